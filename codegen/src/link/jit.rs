//! Linking machine code into executable memory.

use crate::Error;
use crate::emit::{MachineCode, Relocated, Relocation, native, signature};
use cranelift_jit::{JITBuilder, JITModule, SystemMemoryProvider};
use cranelift_module::{
    FuncId, Linkage, Module as _, ModuleError, ModuleReloc, ModuleRelocTarget, default_libcall_names,
};

/// The signature of compiled kernels: pointers to tensors, scratch memory, the range of tiles. Whoever calls one
/// vouches for the memory behind the pointers, and that the [`Code`] it is of is still there.
pub type Function = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64);

/// Functions in executable memory, by their [`Symbol`](crate::Symbol)s, and the memory, which is freed with this.
pub struct Code {
    /// Kept to be freed.
    _module: Module,
    functions: Vec<Function>,
}

// SAFETY: after linking, the module is only kept to be freed; nothing is called through it, and the code it holds
// is read-only.
unsafe impl Sync for Code {}

/// A module whose memory is freed with it; Cranelift's own leaks it.
struct Module(Option<JITModule>);

impl Module {
    fn get(&mut self) -> &mut JITModule {
        self.0.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(module) = self.0.take() {
            // SAFETY: whoever calls a function vouches that its code is still there.
            unsafe { module.free_memory() };
        }
    }
}

impl Code {
    /// Links functions.
    ///
    /// # Errors
    /// Code for a target that does not run here; a machine that refuses executable memory.
    pub fn link(functions: &[MachineCode]) -> Result<Code, Error> {
        if let Some(target) = functions.iter().map(|code| code.target).find(|target| !target.runs_here()) {
            return Err(Error::ForeignTarget { target });
        }
        let mut builder = JITBuilder::with_isa(native()?, default_libcall_names());
        builder
            .symbol("fmaf", fused_multiply_add as *const u8)
            .symbol("floorf", floor as *const u8)
            .symbol("floor", floor_of_double as *const u8);
        // takes memory as code comes; kernels call nothing that has to be near
        builder.memory_provider(Box::new(SystemMemoryProvider::new()));
        let mut linked = Module(Some(JITModule::new(builder)));
        let module = linked.get();
        let ids = functions.iter().enumerate().map(|(number, code)| define(module, number, code));
        let ids: Vec<FuncId> = ids.collect::<Result<_, _>>()?;
        module.finalize_definitions().map_err(refused)?;
        let pointer = |id| {
            let address = module.get_finalized_function(id);
            // SAFETY: emitters make functions of this signature, by the calling convention of C on the systems that
            // their targets run on.
            unsafe { std::mem::transmute::<*const u8, Function>(address) }
        };
        let functions = ids.into_iter().map(pointer).collect();
        Ok(Code { _module: linked, functions })
    }

    /// The functions, by their symbols. They may be called as long as this is there.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} functions)", self.functions.len())
    }
}

/// Puts a function into the module.
fn define(module: &mut JITModule, number: usize, code: &MachineCode) -> Result<FuncId, Error> {
    let (name, signature) = (format!("kernel_{number}"), signature(module.isa(), module.isa().default_call_conv()));
    let id = module.declare_function(&name, Linkage::Local, &signature).map_err(refused)?;
    let relocation = |relocation: &Relocation| {
        let name = match relocation.target {
            Relocated::LibraryCall(call) => ModuleRelocTarget::LibCall(call),
            Relocated::Here(offset) => ModuleRelocTarget::FunctionOffset(id, offset),
        };
        ModuleReloc { offset: relocation.offset, kind: relocation.kind, name, addend: relocation.addend }
    };
    let relocations: Vec<ModuleReloc> = code.relocations.iter().map(relocation).collect();
    module.define_function_bytes(id, code.alignment, &code.bytes, &relocations).map_err(refused)?;
    Ok(id)
}

/// What machines without a fused multiply-add call for each: exact, as the evaluator's.
extern "C" fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    bayeslift_ir::fma(a, b, c)
}

/// What machines without an instruction for it call.
extern "C" fn floor(x: f32) -> f32 {
    x.floor()
}

/// As [`floor`].
extern "C" fn floor_of_double(x: f64) -> f64 {
    x.floor()
}

fn refused(error: ModuleError) -> Error {
    Error::NoExecutableMemory(super::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::{Placement, emitters};
    use crate::tile::{Address, Base, Class, LaneMode, Reg, TileBuilder};
    use crate::{InstructionSet, KernelArgument, KernelTable, Program, Target, compile};
    use bayeslift_ir::{
        Graph, Op, Tensor,
        arbitrary::{config, graph_and_inputs},
        evaluate, same_bits,
    };
    use bayeslift_passes::{Place, Plan};
    use proptest::prelude::*;

    /// What a program gives that updates no input.
    fn run(Program { table, functions }: &Program<MachineCode>, inputs: &[Tensor]) -> Vec<Tensor> {
        let code = Code::link(functions).unwrap();
        let KernelTable { arena_bytes, scratch_bytes, shared_bytes, .. } = *table;
        let mut inputs: Vec<Vec<u32>> = inputs.iter().map(Tensor::words).collect();
        let mut outputs: Vec<Vec<u32>> = table.outputs.iter().map(|out| vec![0; out.ty.words()]).collect();
        let [mut arena, mut scratch, mut shared] =
            [arena_bytes, scratch_bytes, shared_bytes].map(|bytes| vec![0_u32; bytes / 4]);
        for stage in &table.stages {
            let pointers = stage.arguments.iter().map(|argument| match argument {
                KernelArgument::Place(Place::Input(i)) => inputs[*i].as_mut_ptr().cast(),
                KernelArgument::Place(Place::Output(i)) => outputs[*i].as_mut_ptr().cast(),
                KernelArgument::Place(Place::Arena(offset)) => arena[offset / 4..].as_mut_ptr().cast(),
                KernelArgument::Shared => shared.as_mut_ptr().cast(),
                KernelArgument::Words(words) => words.as_ptr().cast_mut().cast(),
            });
            let (pointers, tiles): (Vec<*mut u8>, i64) = (pointers.collect(), stage.tiles as i64);
            // SAFETY: every pointer is that of the value the table has at its place.
            unsafe { code.functions()[stage.symbol.0](pointers.as_ptr(), scratch.as_mut_ptr().cast(), 0, tiles) };
        }
        let outputs = table.outputs.iter().zip(outputs);
        outputs.map(|(output, words)| Tensor::from_words(&output.ty, words).unwrap()).collect()
    }

    /// Accesses of which some lanes lie within 2 GiB of the pointer and some beyond, on both sides; where a kernel
    /// cannot be wide, it is not.
    #[test]
    fn offsets_around_two_gibibytes_are_right() {
        const BORDER: i64 = 1 << 29;
        type Load = fn(&mut TileBuilder, Address, i64) -> Vec<Reg>;
        let loads: [Load; 2] = [
            |b, from, stride| vec![b.load_strided(Class::Int, from, stride)],
            |b, from, stride| b.load_transposed(Class::Int, from, stride).to_vec(),
        ];
        let sets = InstructionSet::ALL.into_iter().filter(|set| *set > InstructionSet::Scalar);
        let targets = sets.map(|set| Target::host().with_lanes(set.lanes()));
        let targets: Vec<Target> = targets.filter(|target| target.lanes() > 1).collect();
        for (part, offset) in (1..=4).flat_map(|part| (-6..6).map(move |offset| (part, offset))) {
            for (load, border, stride) in loads.iter().flat_map(|load| {
                [BORDER, -BORDER].into_iter().flat_map(move |border| [1, 7].map(move |stride| (load, border, stride)))
            }) {
                let mut b = TileBuilder::new();
                let (begin, end) = b.tile_range();
                let memory = |argument, index, offset| Address { base: Base::Argument(argument), index, offset };
                b.enter(LaneMode::Vector(Some(part)));
                let rows = load(&mut b, memory(0, begin, border + offset), stride);
                for (i, &row) in (0..).zip(&rows) {
                    b.store(memory(1, end, border + offset + i * 4), row);
                }
                let kernel = b.finish(2, 0);
                let input: Vec<u32> = (100..164).collect();
                for &target in &targets {
                    let mut emitters = emitters(target, Placement::Memory).unwrap();
                    let emitted = emitters.iter_mut().find_map(|emitter| emitter.emit(&kernel).ok());
                    let code = Code::link(&[emitted.expect("some emitter takes it")]).unwrap();
                    let function = code.functions()[0];
                    let mut input = input.clone();
                    let mut output = vec![0_u32; 64];
                    let pointers = [input.as_mut_ptr().cast::<u8>(), output.as_mut_ptr().cast()];
                    // SAFETY: the indices bring all accesses to elements 16 to 64 of memory that has as many.
                    unsafe { function(pointers.as_ptr(), std::ptr::null_mut(), 16 - border, 16 - border) };
                    let mut want = vec![0_u32; 64];
                    for row in 0..rows.len() as i64 {
                        for lane in 0..i64::from(part) {
                            let from = 16 + offset + lane * stride + row;
                            want[(16 + offset + row * 4 + lane) as usize] = input[from as usize];
                        }
                    }
                    assert_eq!(
                        output, want,
                        "{target}, {part} lanes from {border} + {offset}, {stride} apart:\n{kernel}"
                    );
                }
            }
        }
    }

    /// The same bits on machines of which little is known: on x86-64 one that has no fused multiply-add, no rounding to
    /// whole numbers, and no vectors, since comparisons trap on operands that are not aligned.
    #[test]
    fn other_machines_of_this_architecture_give_the_same_bits() {
        let targets: Vec<Target> = Target::all().filter(Target::runs_here).collect();
        let is_poorer = |target: &Target| target.machine() != Target::host().machine();
        assert!(cfg!(not(target_arch = "x86_64")) || targets.iter().any(is_poorer));
        proptest!(config(60), |((graph, inputs) in graph_and_inputs(), target in proptest::sample::select(targets))| {
            let mut plain = Graph::new();
            for value in graph.values() {
                match graph.node(value).op {
                    Op::Input(i) => plain.input(&graph.inputs()[i as usize].name, graph.ty(value).clone()).unwrap(),
                    _ => plain.push(graph.node(value).op.clone(), &graph.node(value).args).unwrap(),
                };
            }
            for output in graph.outputs() {
                plain.output(&output.name, output.value).unwrap();
            }
            let want = evaluate(&plain, &inputs).unwrap();
            let program = compile(&Plan::new(plain).unwrap(), &[], (target, Placement::Memory), 1).unwrap();
            for (got, want) in run(&program, &inputs).iter().zip(&want) {
                prop_assert_eq!(same_bits(got, want), Ok(()), "{}", target);
            }
        });
    }

    #[test]
    fn code_for_another_machine_is_refused() {
        let kernel = TileBuilder::new().finish(0, 0);
        let emitted = emitters(Target::host(), Placement::Memory).unwrap()[0].emit(&kernel).unwrap();
        let target = Target::all().find(|target| !target.runs_here()).expect("nobody is every machine");
        let foreign = MachineCode { target, ..emitted };
        assert!(matches!(Code::link(&[foreign]), Err(Error::ForeignTarget { .. })));
    }
}
