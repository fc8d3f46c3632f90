//! The model against answers known by hand, and against the processor.

use super::{Machine, Vector, bytes_of, native::Native, words_of};
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, CpuidFeature, EncodingKind, Instruction, InstructionBlock, MemoryOperand,
    OpKind, Register,
};
use std::collections::BTreeSet;

/// What an instruction makes of vectors in registers 0 to 3 of four lanes, `10 * n + lane`, of which more follow.
fn known(instruction: Result<Instruction, iced_x86::IcedError>) -> [u32; 8] {
    let mut machine = with_vectors();
    machine.step(&instruction.unwrap()).unwrap();
    machine.vectors[0][..8].try_into().unwrap()
}

fn with_vectors() -> Machine {
    let mut machine = Machine::new(&[]);
    for n in 0..4 {
        machine.set_vector_register(Register::ZMM0 + n, std::array::from_fn(|lane| n * 10 + lane as u32));
    }
    machine
}

#[test]
fn shuffles() {
    use Register::{XMM0, XMM1, XMM2, YMM0, YMM1, YMM2};
    let insert =
        |immediate| known(Instruction::with4(Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8, XMM0, XMM1, XMM2, immediate));
    assert_eq!(insert(0b10_01_0000), [10, 22, 12, 13, 0, 0, 0, 0]);
    assert_eq!(insert(0b11_11_0001), [0, 11, 12, 23, 0, 0, 0, 0]);
    let low = Instruction::with3(Code::VEX_Vunpcklps_ymm_ymm_ymmm256, YMM0, YMM1, YMM2);
    assert_eq!(known(low), [10, 20, 11, 21, 14, 24, 15, 25]);
    let high = Instruction::with3(Code::VEX_Vunpckhps_ymm_ymm_ymmm256, YMM0, YMM1, YMM2);
    assert_eq!(known(high), [12, 22, 13, 23, 16, 26, 17, 27]);
    let shuffle = Instruction::with4(Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, YMM0, YMM1, YMM2, 0b00_01_10_11);
    assert_eq!(known(shuffle), [13, 12, 21, 20, 17, 16, 25, 24]);
    let shuffle = Instruction::with3(Code::VEX_Vpshufd_ymm_ymmm256_imm8, YMM0, YMM1, 0b00_01_10_11);
    assert_eq!(known(shuffle), [13, 12, 11, 10, 17, 16, 15, 14]);
    let halves =
        |immediate| known(Instruction::with4(Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, YMM0, YMM1, YMM2, immediate));
    assert_eq!(halves(0x20), [10, 11, 12, 13, 20, 21, 22, 23]);
    assert_eq!(halves(0x31), [14, 15, 16, 17, 24, 25, 26, 27]);
    assert_eq!(halves(0x83), [24, 25, 26, 27, 0, 0, 0, 0]);
    let insert = Instruction::with4(Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, YMM0, YMM1, XMM2, 1);
    assert_eq!(known(insert), [10, 11, 12, 13, 20, 21, 22, 23]);
    let extract = Instruction::with3(Code::VEX_Vextractf128_xmmm128_ymm_imm8, XMM0, YMM1, 1);
    assert_eq!(known(extract), [14, 15, 16, 17, 0, 0, 0, 0]);
    let blend = Instruction::with4(Code::VEX_Vblendps_ymm_ymm_ymmm256_imm8, YMM0, YMM1, YMM2, 0b1000_0101);
    assert_eq!(known(blend), [20, 11, 22, 13, 14, 15, 16, 27]);
}

#[test]
fn shuffles_by_registers() {
    use Register::{XMM0, XMM1, XMM2, XMM3};
    let mut machine = with_vectors();
    let lanes = |x: [u32; 4]| -> Vector { std::array::from_fn(|lane| x.get(lane).copied().unwrap_or(0)) };
    machine.set_vector_register(XMM1, lanes([0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c]));
    machine.set_vector_register(XMM2, lanes([0x00010203, 0x8001_0f80, 0x70ff_1f0e, 0x7fff_ffff]));
    machine.set_vector_register(XMM3, lanes([0x8000_0000, 0x7fff_ffff, 0x00ff_0080, 0xffff_ffff]));
    let mut step = |instruction: Result<Instruction, _>| {
        machine.step(&instruction.unwrap()).unwrap();
        machine.vectors[0][..4].to_vec()
    };
    let shuffle = Instruction::with3(Code::VEX_Vpshufb_xmm_xmm_xmmm128, XMM0, XMM1, XMM2);
    assert_eq!(step(shuffle), [0x00010203, 0x00010f00, 0x00000f0e, 0x0f000000]);
    let blend = Instruction::with4(Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm, XMM0, XMM1, XMM2, XMM3);
    assert_eq!(step(blend), [0x00010203, 0x07060504, 0x0b0a0908, 0x7fff_ffff]);
    let blend = Instruction::with4(Code::VEX_Vpblendvb_xmm_xmm_xmmm128_xmm, XMM0, XMM1, XMM2, XMM3);
    assert_eq!(step(blend), [0x00020100, 0x0701_0f80, 0x0bff_090e, 0x7fff_ffff]);
}

/// Masks keep or clear lanes, and memory behind them is not there.
#[test]
fn masks_and_broadcasts() {
    use Register::{K1, K2, R9, YMM0, YMM1, YMM2, ZMM0, ZMM1, ZMM2};
    let mut machine = with_vectors();
    let three = machine.memory.map("three", bytes_of(&[7, 8, 9]), false, 0);
    let target = machine.memory.map("target", bytes_of(&[1, 2, 3]), true, 4);
    machine.set_register(K1, 0b101);
    machine.set_register(R9, three);
    let at = MemoryOperand::with_base(R9);
    let add = Code::EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32;
    let mut step = |instruction: Result<Instruction, _>, adapt: &dyn Fn(&mut Instruction)| {
        let mut instruction = instruction.unwrap();
        adapt(&mut instruction);
        machine.step(&instruction).map(|()| machine.vectors[0])
    };
    let masked = |i: &mut Instruction| i.set_op_mask(K1);
    let zeroed = |i: &mut Instruction| {
        i.set_op_mask(K1);
        i.set_zeroing_masking(true);
    };
    let merged = step(Instruction::with3(add, YMM0, YMM1, YMM2), &masked).unwrap();
    assert_eq!(merged, [30, 1, 34, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    let cleared = step(Instruction::with3(add, YMM0, YMM1, YMM2), &zeroed).unwrap();
    assert_eq!(cleared[..8], [30, 0, 34, 0, 0, 0, 0, 0]);
    let loaded = step(Instruction::with3(add, YMM0, YMM1, at), &zeroed).unwrap();
    assert_eq!(loaded[..8], [17, 0, 21, 0, 0, 0, 0, 0]);
    assert!(step(Instruction::with3(add, YMM0, YMM1, at), &|_| ()).unwrap_err().contains("three"));
    let broadcast = MemoryOperand::new(R9, Register::None, 1, 8, 1, true, Register::None);
    let added = step(Instruction::with3(add, YMM0, YMM1, broadcast), &|_| ()).unwrap();
    assert_eq!(added[..9], [19, 20, 21, 22, 23, 24, 25, 26, 0]);
    let blend = Instruction::with3(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, ZMM0, ZMM1, ZMM2);
    assert_eq!(
        step(blend, &masked).unwrap(),
        std::array::from_fn(|n| if n == 0 || n == 2 { 20 } else { 10 } + n as u32)
    );
    step(Instruction::with4(Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, K2, ZMM1, ZMM2, 1), &masked).unwrap();
    let store = Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, at, ZMM1);
    assert!(step(store.clone(), &masked).unwrap_err().contains("read-only"));
    assert_eq!(machine.register(K2), Ok(0b101));
    machine.set_register(R9, target);
    let mut store = store.unwrap();
    store.set_op_mask(K2);
    machine.step(&store).unwrap();
    assert_eq!(words_of(machine.memory.region(target)), [10, 2, 12]);
    let aligned = Instruction::with2(Code::EVEX_Vmovaps_xmm_k1z_xmmm128, Register::XMM0, at).unwrap();
    assert!(machine.step(&aligned).unwrap_err().contains("not aligned"));
    let gather = MemoryOperand::new(R9, ZMM1, 4, -40, 4, false, Register::None);
    let mut gather = Instruction::with2(Code::EVEX_Vpgatherdd_zmm_k1_vm32z, ZMM0, gather).unwrap();
    gather.set_op_mask(K1);
    machine.step(&gather).unwrap();
    assert_eq!((machine.vectors[0][..4].to_vec(), machine.register(K1)), (vec![10, 11, 12, 13], Ok(0)));
}

#[test]
fn mistakes_are_found() {
    use Register::{EAX, K7, R9, RAX, RBX, RDI, RSI, RSP, YMM0, YMM1};
    let run = |instructions: &[Result<Instruction, iced_x86::IcedError>]| {
        let mut instructions: Vec<Instruction> = instructions.iter().map(|i| i.clone().unwrap()).collect();
        instructions.push(Instruction::with(Code::Retnq));
        let mut machine = Machine::new(&encode(&instructions));
        let scratch = machine.memory.map("scratch", vec![0; 32], true, 0);
        machine.call(0, scratch, 0, 1)
    };
    let found = |instructions: &[_], message: &str| {
        let error = run(instructions).unwrap_err();
        assert!(error.contains(message), "{error}");
    };
    let scratch = |offset| MemoryOperand::with_base_displ(RSI, offset);
    let load = |offset| Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, YMM0, scratch(offset));
    let end = || Ok(Instruction::with(Code::VEX_Vzeroupper));
    assert_eq!(run(&[]), Ok(()));
    assert_eq!(run(&[load(0), end()]), Ok(()));
    found(&[load(0)], "vzeroupper");
    found(&[load(4), end()], "32 bytes at 4 of scratch, which has 32");
    found(&[load(-4), end()], "32 bytes at -4 of scratch");
    found(&[Instruction::with2(Code::Mov_r64_rm64, RAX, MemoryOperand::with_base(RDI))], "in no region");
    found(&[Instruction::with3(Code::VEX_Vaddps_ymm_ymm_ymmm256, YMM0, YMM1, YMM1)], "reads YMM1");
    found(&[Instruction::with3(Code::VEX_Kandw_kr_kr_kr, K7, K7, K7)], "reads K7");
    found(&[Instruction::with2(Code::Mov_r64_rm64, RAX, R9)], "reads R9");
    found(
        &[Instruction::with2(Code::Xor_r32_rm32, EAX, EAX), Instruction::with2(Code::Mov_r64_rm64, RBX, RAX)],
        "hold",
    );
    found(&[Instruction::with1(Code::Push_r64, RBX)], "continues at");
    found(&[Instruction::with2(Code::Cmovl_r64_rm64, RSI, RDI)], "flags");
    let pool = MemoryOperand::with_base_displ(Register::RIP, 0);
    found(&[Instruction::with2(Code::Mov_rm64_r64, pool, RDI)], "read-only");
    let below = MemoryOperand::with_base_displ(RSP, -4096);
    assert_eq!(run(&[Instruction::with2(Code::Or_rm64_imm8, below, 0)]), Ok(()));
    found(&[Instruction::with2(Code::Mov_rm64_r64, below, RDI)], "red zone");
    found(&[Instruction::with_branch(Code::Jmp_rel32_64, 1)], "middle of an instruction");
    found(&[Instruction::with_branch(Code::Jmp_rel32_64, 0)], "does not end");
}

fn encode(instructions: &[Instruction]) -> Vec<u8> {
    // branches of tests name addresses, not labels
    let options = BlockEncoderOptions::DONT_FIX_BRANCHES;
    BlockEncoder::encode(64, InstructionBlock::new(instructions, 0), options).unwrap().code_buffer
}

/// Words of the memory that an instruction is tried on: vectors 0 to 3, integers, an operand in memory, and what registers
/// and conditions hold afterwards.
const INTEGERS: usize = 32;
const OPERAND: usize = 64;
const RESULTS: usize = 128;
const CONDITIONS: usize = 192;
const WORDS: usize = 256;
const INTEGER_REGISTERS: [Register; 4] = [Register::RAX, Register::RCX, Register::RDX, Register::R8];

/// A function that loads registers from memory, executes an instruction and stores them again, and whether conditions hold.
fn program(instruction: Instruction, conditions: bool) -> Vec<u8> {
    let at = |word: usize| MemoryOperand::with_base_displ(Register::R9, word as i64 * 4);
    let mut code = vec![Instruction::with2(Code::Mov_r64_rm64, Register::R9, MemoryOperand::with_base(Register::RDI))];
    for n in 0..4 {
        code.push(Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, Register::YMM0 + n as u32, at(n * 8)));
        code.push(Instruction::with2(Code::Mov_r64_rm64, INTEGER_REGISTERS[n], at(INTEGERS + n * 2)));
    }
    code.push(Ok(instruction));
    for n in 0..4 {
        code.push(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, at(RESULTS + n * 8), Register::YMM0 + n as u32));
        code.push(Instruction::with2(Code::Mov_rm64_r64, at(RESULTS + 32 + n * 2), INTEGER_REGISTERS[n]));
    }
    let moves = [
        Code::Cmovl_r64_rm64,
        Code::Cmovge_r64_rm64,
        Code::Cmovg_r64_rm64,
        Code::Cmovle_r64_rm64,
        Code::Cmove_r64_rm64,
        Code::Cmovb_r64_rm64,
        Code::Cmovs_r64_rm64,
    ];
    for (n, code_of_move) in moves.into_iter().enumerate().filter(|_| conditions) {
        code.push(Instruction::with2(Code::Mov_r64_imm64, Register::R10, 0u64));
        code.push(Instruction::with2(Code::Mov_r64_imm64, Register::R11, 1u64));
        code.push(Instruction::with2(code_of_move, Register::R10, Register::R11));
        code.push(Instruction::with2(Code::Mov_rm64_r64, at(CONDITIONS + n * 2), Register::R10));
    }
    code.push(Ok(Instruction::with(Code::VEX_Vzeroupper)));
    code.push(Ok(Instruction::with(Code::Retnq)));
    encode(&code.into_iter().collect::<Result<Vec<_>, _>>().unwrap())
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }

    /// Floats, integers and what is special among either.
    fn word(&mut self) -> u32 {
        let x = self.next();
        let special = [0.0, -0.0, 1.0, 0.5, -2.5, 1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        match self.next() % 6 {
            0 => special[x as usize % special.len()].to_bits(),
            1 => x % 9,
            2 => (x % 9).wrapping_neg(),
            3 => x,
            _ => (x as i32 as f32 / 1e9).to_bits(),
        }
    }
}

fn simulated(code: &[u8], words: &[u32]) -> Result<Vec<u32>, String> {
    let mut machine = Machine::new(code);
    let data = machine.memory.map("the data", bytes_of(words), true, 0);
    let table = machine.memory.map("the arguments", data.to_le_bytes().to_vec(), false, 0);
    machine.call(table, 0, 0, 1)?;
    Ok(words_of(machine.memory.region(data)))
}

/// The programs that the model takes, run by it and the processor on the same memory.
fn compare(cases: &[(Instruction, bool)]) -> BTreeSet<String> {
    let mut random = Random(1);
    let programs: Vec<Vec<u8>> = cases.iter().map(|&(instruction, flags)| program(instruction, flags)).collect();
    let mut modelled = BTreeSet::new();
    let native = Native::new(&programs);
    for (n, (program, (instruction, _))) in programs.iter().zip(cases).enumerate() {
        for _ in 0..16 {
            let mut words: Vec<u32> = (0..WORDS).map(|_| random.word()).collect();
            if instruction.is_vsib() {
                words[8..16].iter_mut().for_each(|index| *index %= 64);
            }
            let got = match simulated(program, &words) {
                Err(message) if message.contains("modelled") => break,
                got => got.unwrap(),
            };
            modelled.insert(format!("{:?}", instruction.mnemonic()));
            let mut want = [words.clone()];
            native.call(n, &mut want, 0, 0, 1);
            let is_nan = |x: u32| f32::from_bits(x).is_nan();
            // not-a-numbers that arithmetic makes are any
            let arithmetic = ["Vadd", "Vsub", "Vmul", "Vdiv", "Vsqrt", "Vfmadd"];
            let arithmetic = arithmetic.iter().any(|name| format!("{:?}", instruction.mnemonic()).starts_with(name));
            let same = |(&a, &b): (&u32, &u32)| a == b || arithmetic && is_nan(a) && is_nan(b);
            let equal = got.iter().zip(&want[0]).all(same);
            assert!(equal, "{instruction:?}\nof {words:x?}\ngives {:x?}\nnot {got:x?}", want[0]);
        }
    }
    modelled
}

/// An instruction by the kinds of operands that the name of its code ends with; register `n` for operand `n`, or both of
/// the first two the same.
fn instance(code: Code, in_memory: bool, repeated: bool, immediate: u8) -> Option<Instruction> {
    let name = format!("{code:?}");
    let mut instruction = Instruction::default();
    instruction.set_code(code);
    for (n, kind) in name.split('_').skip(2).enumerate() {
        let operand = n as u32;
        let number = if repeated { [1, 1, 0, 2][n] } else { operand };
        let register = |i: &mut Instruction, register| i.set_op_register(operand, register);
        let memory = |i: &mut Instruction, index| {
            i.set_op_kind(operand, OpKind::Memory);
            i.set_memory_base(Register::R9);
            i.set_memory_index(index);
            i.set_memory_index_scale(if index == Register::None { 1 } else { 4 });
            i.set_memory_displ_size(1);
            i.set_memory_displacement64(OPERAND as u64 * 4);
        };
        match kind {
            "xmm" => register(&mut instruction, Register::XMM0 + number),
            "ymm" => register(&mut instruction, Register::YMM0 + number),
            "r32" => register(&mut instruction, Register::EAX + number),
            "imm8" => {
                instruction.set_op_kind(operand, OpKind::Immediate8);
                instruction.set_immediate8(immediate);
            }
            "vm32x" => memory(&mut instruction, Register::XMM1),
            "vm32y" => memory(&mut instruction, Register::YMM1),
            _ if kind.starts_with('m') => memory(&mut instruction, Register::None),
            _ if !kind.contains('m') => return None,
            _ if in_memory => memory(&mut instruction, Register::None),
            _ if kind.starts_with("xmmm") => register(&mut instruction, Register::XMM0 + number),
            _ if kind.starts_with("ymmm") => register(&mut instruction, Register::YMM0 + number),
            "rm32" => register(&mut instruction, Register::EAX + number),
            "rm64" => register(&mut instruction, Register::RAX + number),
            _ => return None,
        }
    }
    Some(instruction)
}

#[cfg(all(target_arch = "x86_64", unix))]
#[test]
fn vectors_do_what_the_processor_does() {
    if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
        return eprintln!("skipped: this machine has no AVX2");
    }
    let mut random = Random(2);
    let mut cases = Vec::new();
    let known = [CpuidFeature::AVX, CpuidFeature::AVX2, CpuidFeature::FMA];
    let runs = |code: &Code| {
        code.encoding() == EncodingKind::VEX && code.cpuid_features().iter().all(|feature| known.contains(feature))
    };
    for code in Code::values().filter(runs) {
        let name = format!("{code:?}");
        let immediates = if name.contains("imm8") { 24 } else { 1 };
        for (in_memory, repeated) in [(false, false), (true, false), (false, true), (true, true)] {
            // a gather's registers are distinct
            let repeated = repeated && !name.contains("vm32");
            let made = (0..immediates).filter_map(|_| instance(code, in_memory, repeated, random.next() as u8));
            cases.extend(made.map(|instruction| (instruction, false)));
        }
    }
    let modelled = compare(&cases);
    for name in VECTOR_INSTRUCTIONS.split_whitespace() {
        assert!(modelled.contains(name), "{name} was not compared");
    }
}

/// Those of AVX2 that code for vectors may use.
const VECTOR_INSTRUCTIONS: &str = "
    Vaddps Vaddss Vsubps Vsubss Vmulps Vmulss Vdivps Vdivss Vsqrtps Vsqrtss Vmaxps Vminps Vroundps Vroundss Vcvtdq2ps
    Vfmadd132ps Vfmadd213ps Vfmadd231ps Vfmadd132ss Vfmadd213ss Vfmadd231ss
    Vpaddd Vpsubd Vpmulld Vpand Vpandn Vpor Vpxor Vandps Vandnps Vorps Vxorps Vpslld Vpsrld Vpsrad
    Vcmpps Vpcmpeqd Vpcmpgtd Vpshufb Vpshufd Vshufps Vpermilps Vunpcklps Vunpckhps Vinsertps Vinsertf128 Vinserti128
    Vextractf128 Vextracti128 Vperm2f128 Vperm2i128 Vblendps Vpblendd Vblendvps Vpblendvb Vbroadcastss Vpbroadcastd
    Vmovups Vmovaps Vmovdqu Vmovdqa Vmovss Vmovd Vmovq Vmaskmovps Vpmaskmovd Vpgatherdd Vgatherdps";

#[cfg(all(target_arch = "x86_64", unix))]
#[test]
fn integers_do_what_the_processor_does() {
    use Register::{EAX, ECX, R9, RAX, RCX, RDX};
    if !is_x86_feature_detected!("avx") {
        return eprintln!("skipped: this machine has no AVX");
    }
    let memory = MemoryOperand::with_base_displ(R9, OPERAND as i64 * 4);
    let set_flags = [
        Instruction::with2(Code::Add_r64_rm64, RAX, RCX),
        Instruction::with2(Code::Add_r32_rm32, EAX, memory),
        Instruction::with2(Code::Add_rm64_imm32, memory, -3),
        Instruction::with2(Code::Add_rm64_imm8, RAX, 5),
        Instruction::with2(Code::Sub_r64_rm64, RAX, RCX),
        Instruction::with2(Code::Sub_rm32_imm32, ECX, 9),
        Instruction::with2(Code::Cmp_r64_rm64, RAX, memory),
        Instruction::with2(Code::Cmp_r32_rm32, EAX, ECX),
        Instruction::with2(Code::Cmp_rm64_imm32, RCX, -4),
        Instruction::with2(Code::Cmp_rm64_imm8, memory, 1),
        Instruction::with2(Code::Test_rm64_r64, RAX, RAX),
        Instruction::with2(Code::And_rm64_imm8, RAX, -64),
        Instruction::with2(Code::And_r64_rm64, RAX, RCX),
        Instruction::with2(Code::Or_rm64_r64, memory, RCX),
        Instruction::with2(Code::Xor_r32_rm32, EAX, EAX),
        Instruction::with1(Code::Neg_rm64, RAX),
        Instruction::with1(Code::Neg_rm32, memory),
    ];
    let others = [
        Instruction::with1(Code::Not_rm64, RAX),
        Instruction::with2(Code::Mov_r64_rm64, RAX, memory),
        Instruction::with2(Code::Mov_rm64_imm32, memory, -7),
        Instruction::with2(Code::Mov_rm32_r32, memory, ECX),
        Instruction::with2(Code::Mov_r32_rm32, EAX, ECX),
        Instruction::with2(Code::Movsxd_r64_rm32, RAX, ECX),
        Instruction::with2(Code::Lea_r64_m, RAX, MemoryOperand::new(RCX, RDX, 4, -9, 1, false, Register::None)),
        Instruction::with2(Code::Lea_r32_m, EAX, MemoryOperand::with_base_index(RCX, RDX)),
        Instruction::with2(Code::Imul_r64_rm64, RAX, RCX),
        Instruction::with3(Code::Imul_r64_rm64_imm32, RAX, RCX, -1234),
        Instruction::with3(Code::Imul_r32_rm32_imm8, EAX, memory, 7),
        Instruction::with2(Code::Shl_rm64_imm8, RAX, 35),
        Instruction::with2(Code::Shr_rm64_imm8, RAX, 32),
        Instruction::with2(Code::Shr_rm32_imm8, EAX, 3),
        Instruction::with2(Code::Sar_rm64_imm8, RAX, 9),
        Instruction::with2(Code::Sar_rm32_imm8, memory, 2),
    ];
    // these keep the carry, which the loads before them have not set
    let counts = [Instruction::with1(Code::Inc_rm64, RAX), Instruction::with1(Code::Dec_rm32, ECX)];
    let flagged = set_flags.into_iter().map(|instruction| (instruction.unwrap(), true));
    let plain = others.into_iter().chain(counts).map(|instruction| (instruction.unwrap(), false));
    compare(&flagged.chain(plain).collect::<Vec<_>>());
}

#[test]
fn divides() {
    let mut machine = Machine::new(&[]);
    for (register, x) in [(Register::RAX, 100), (Register::RDX, 1), (Register::RCX, 7)] {
        machine.set_register(register, x);
    }
    let divide = Instruction::with1(Code::Div_rm64, Register::RCX).unwrap();
    machine.step(&divide).unwrap();
    // 2^64 = 7 * 2635249153387078802 + 2
    assert_eq!((machine.general[0], machine.general[2]), (2_635_249_153_387_078_802 + 14, 4));
    machine.set_register(Register::RDX, 7);
    assert!(machine.step(&divide).unwrap_err().contains("faults"));
}
