//! The machine code for 256-bit and 512-bit vectors, read back by a decoder. Needs no machine that can run it.

use bayeslift_codegen::{
    Target,
    emit::x86::{self, Isa},
    lower,
};
use bayeslift_ir::{
    Graph,
    arbitrary::{config, graph_and_inputs},
};
use bayeslift_passes::{Plan, simplify};
use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, Mnemonic, Register};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::HashSet;

/// What every x86-64 has.
const BASELINE: &[CpuidFeature] = &[
    CpuidFeature::X64,
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL386,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::CMOV,
    CpuidFeature::SSE,
    CpuidFeature::AVX,
];

/// What [`Target::host`] looks for besides.
fn features(isa: Isa) -> &'static [CpuidFeature] {
    match isa {
        Isa::Avx2 => &[CpuidFeature::AVX2, CpuidFeature::FMA],
        // code with doubles is that of AVX2
        Isa::Avx512 => &[CpuidFeature::AVX512F, CpuidFeature::AVX512VL, CpuidFeature::AVX2, CpuidFeature::FMA],
    }
}

/// A machine with these instructions.
fn target(isa: Isa) -> Target {
    let targets = ["zen3", "zen4"].into_iter().filter_map(Target::named);
    let mut targets = targets.filter(|target| Isa::of(target.instruction_set()) == Some(isa));
    targets.next().expect("a row of the table")
}

/// Emits every kernel and checks each instruction.
fn check(graph: &Graph, isa: Isa) -> Result<(), String> {
    let plan = Plan::new(simplify(graph).map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let stages = |(i, kernel)| lower(&plan, kernel, target(isa), 2).into_iter().map(move |stage| (i, stage.code));
    for (i, tile_code) in plan.kernels.iter().enumerate().flat_map(stages) {
        let code = x86::emit(&tile_code, target(isa))
            .map_err(|_| format!("kernel {i} is left to the portable emitter\n{plan}"))?;
        if code != x86::emit(&tile_code, target(isa)).expect("it was emitted before") {
            return Err(format!("kernel {i} is not always the same"));
        }
        check_code(&code, isa).map_err(|message| format!("kernel {i}: {message}\n{tile_code}"))?;
    }
    Ok(())
}

fn check_code(code: &[u8], isa: Isa) -> Result<(), String> {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut targets = Vec::new();
    let mut starts = HashSet::new();
    let mut pointers = HashSet::new();
    loop {
        let instruction = decoder.decode();
        starts.insert(instruction.ip());
        if instruction.code() == Code::INVALID {
            return Err(format!("no instruction at {:#x}", instruction.ip()));
        }
        let known = |feature: &&CpuidFeature| BASELINE.contains(feature) || features(isa).contains(feature);
        if let Some(feature) = instruction.cpuid_features().iter().find(|feature| !known(feature)) {
            return Err(format!("{:?} needs {feature:?}", instruction.code()));
        }
        match instruction.mnemonic() {
            // the only ways out of straight-line code
            Mnemonic::Jl | Mnemonic::Jge => targets.push(instruction.near_branch_target()),
            Mnemonic::Call | Mnemonic::Jmp => return Err(format!("{:?} leaves the function", instruction.code())),
            Mnemonic::Ret => break,
            _ => {}
        }
        let base = instruction.memory_base();
        let known = [Register::None, Register::RSP, Register::RBP, Register::RDI, Register::RSI];
        let computes = instruction.mnemonic() == Mnemonic::Lea;
        if !computes && !known.contains(&base) && !pointers.contains(&base) {
            return Err(format!("{:?} accesses memory from {base:?}", instruction.code()));
        }
        // a register is an argument's pointer from its load to whatever else is written there
        let first = instruction.op0_register();
        if instruction.mnemonic() == Mnemonic::Mov && base == Register::RDI {
            pointers.insert(first);
        } else if !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Push) {
            pointers.remove(&first.full_register());
        }
    }
    match targets.iter().find(|target| !starts.contains(target)) {
        Some(target) => Err(format!("a jump to {target:#x}, where no instruction begins")),
        None => Ok(()),
    }
}

#[test]
fn every_kernel_of_random_graphs_is_emitted_and_decodes() {
    let mut runner = TestRunner::new(config(300));
    let check = |graph: &Graph| [Isa::Avx2, Isa::Avx512].into_iter().try_for_each(|isa| check(graph, isa));
    runner.run(&graph_and_inputs(), |(graph, _)| check(&graph).map_err(TestCaseError::fail)).unwrap();
}
