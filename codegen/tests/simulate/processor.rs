//! The model against the processor: every instruction of AVX2 that it knows, with operands in registers and in memory,
//! on random ones.

use super::{Machine, bytes_of, encode, native::Native, words_of};
use bayeslift_ir::arbitrary::seed;
use iced_x86::{Code, CpuidFeature, EncodingKind, Instruction, MemoryOperand, OpKind, Register};
use std::collections::BTreeSet;

/// Words of the memory that an instruction is tried on: vectors 0 to 3, integers, an operand in memory, and what
/// registers and conditions hold afterwards.
const INTEGERS: usize = 32;
const OPERAND: usize = 64;
const RESULTS: usize = 128;
const CONDITIONS: usize = 192;
const WORDS: usize = 256;
const INTEGER_REGISTERS: [Register; 4] = [Register::RAX, Register::RCX, Register::RDX, Register::R8];

/// A function that loads registers from memory, executes an instruction and stores them again, and whether conditions
/// hold.
fn program(instruction: Instruction, conditions: bool) -> Vec<u8> {
    let at = |word: usize| MemoryOperand::with_base_displ(Register::R9, word as i64 * 4);
    let mut code = vec![Instruction::with2(Code::Mov_r64_rm64, Register::R9, MemoryOperand::with_base(Register::RDI))];
    for (n, register) in INTEGER_REGISTERS.into_iter().enumerate() {
        code.push(Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, Register::YMM0 + n as u32, at(n * 8)));
        code.push(Instruction::with2(Code::Mov_r64_rm64, register, at(INTEGERS + n * 2)));
    }
    code.push(Ok(instruction));
    for (n, register) in INTEGER_REGISTERS.into_iter().enumerate() {
        code.push(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, at(RESULTS + n * 8), Register::YMM0 + n as u32));
        code.push(Instruction::with2(Code::Mov_rm64_r64, at(RESULTS + 32 + n * 2), register));
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
    let mut random = Random(seed());
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
            // not-a-numbers that arithmetic makes are any
            let arithmetic = ["Vadd", "Vsub", "Vmul", "Vdiv", "Vsqrt", "Vfmadd", "Vcvt", "Vroundpd"];
            let arithmetic = arithmetic.iter().any(|name| format!("{:?}", instruction.mnemonic()).starts_with(name));
            let is_nan = |&x: &u32| f32::from_bits(x).is_nan();
            let is_double_nan = |x: &[u32]| f64::from_bits(u64::from(x[1]) << 32 | u64::from(x[0])).is_nan();
            let same = |(a, b): (&[u32], &[u32])| {
                let mut words = a.iter().zip(b);
                words.all(|(a, b)| a == b || arithmetic && is_nan(a) && is_nan(b))
                    || arithmetic && is_double_nan(a) && is_double_nan(b)
            };
            let equal = got.chunks(2).zip(want[0].chunks(2)).all(same);
            assert!(equal, "{instruction:?}\nof {words:x?}\ngives {:x?}\nnot {got:x?}", want[0]);
        }
    }
    modelled
}

/// An instruction by the kinds of operands that the name of its code ends with; register `n` for operand `n`, or both
/// of the first two the same.
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

#[test]
fn vectors_do_what_the_processor_does() {
    if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
        return eprintln!("skipped: this machine has no AVX2");
    }
    let mut random = Random(seed() ^ 1);
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
    Vextractf128 Vextracti128 Vextractps Vperm2f128 Vperm2i128 Vblendps Vpblendd Vblendvps Vpblendvb
    Vbroadcastss Vpbroadcastd
    Vaddpd Vsubpd Vmulpd Vdivpd Vmaxpd Vminpd Vsqrtpd Vroundpd Vcmppd Vblendvpd Vcvtps2pd Vcvtdq2pd Vcvtpd2ps Vpmovsxdq
    Vmovddup Vbroadcastsd Vmovsd Vmovhpd
    Vmovups Vmovaps Vmovdqu Vmovdqa Vmovss Vmovd Vmovq Vmaskmovps Vpmaskmovd Vpgatherdd Vgatherdps";

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
