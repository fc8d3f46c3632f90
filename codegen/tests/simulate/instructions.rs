//! The model against answers known by hand, and its complaints.

use super::{Machine, Vector, bytes_of, encode, words_of};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

/// What an instruction makes of vectors in registers 0 to 3 of four lanes, `10 * n + lane`, of which more follow.
fn known(instruction: Result<Instruction, IcedError>) -> [u32; 8] {
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
    use Register::{XMM0, XMM1, XMM2, YMM0, YMM1, YMM2, ZMM0, ZMM1, ZMM2};
    let insert =
        |immediate| known(Instruction::with4(Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8, XMM0, XMM1, XMM2, immediate));
    assert_eq!(insert(0x90), [10, 22, 12, 13, 0, 0, 0, 0]);
    assert_eq!(insert(0xf1), [0, 11, 12, 23, 0, 0, 0, 0]);
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
    let quarters = Code::EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8;
    let mut machine = with_vectors();
    machine.step(&Instruction::with4(quarters, ZMM0, ZMM1, ZMM2, 0b11_00_01_10).unwrap()).unwrap();
    let want = [18, 19, 20, 21, 14, 15, 16, 17, 20, 21, 22, 23, 32, 33, 34, 35];
    assert_eq!(machine.vectors[0], want);
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
    let run = |instructions: &[Result<Instruction, IcedError>]| {
        let mut instructions: Vec<Instruction> = instructions.iter().map(|i| i.clone().unwrap()).collect();
        instructions.push(Instruction::with(Code::Retnq));
        let mut machine = Machine::new(&encode(&instructions));
        let scratch = machine.memory.map("scratch", vec![0; 32], true, 0);
        machine.max_steps = 100;
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
