//! Vectors and masks: arithmetic, and operands that lie in registers, in the frame or among the constants.

use super::{Emitted, Emitter, Location, POOL, RAX, Unsupported, VECTORS, WIDTH, failed};
use crate::tile::{Address, Reg};
use iced_x86::{Code, Instruction, MemoryOperand, Register};

/// An instruction for xmm and for zmm registers.
#[derive(Clone, Copy)]
pub(super) struct Pair(Code, Code);

macro_rules! pairs {
    ($($name:ident = $x:ident, $z:ident;)*) => { $(pub(super) const $name: Pair = Pair(Code::$x, Code::$z);)* };
}

#[rustfmt::skip]
pairs! {
    ADD = EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er;
    SUB = EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er;
    MUL = EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er;
    DIV = EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er;
    FMA231 = EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er;
    FMA213 = EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er;
    FMA132 = EVEX_Vfmadd132ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er;
    SQRT = EVEX_Vsqrtps_xmm_k1z_xmmm128b32, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er;
    ROUND = EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8, EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae;
    TO_FLOAT = EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er;
    IADD = EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32;
    ISUB = EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32;
    AND = EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32;
    OR = EVEX_Vpord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32;
    XOR = EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32;
    SHL = EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8;
    SHR = EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8;
    SAR = EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8;
    ROTL = EVEX_Vprold_xmm_k1z_xmmm128b32_imm8, EVEX_Vprold_zmm_k1z_zmmm512b32_imm8;
    COMPARE = EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8, EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae;
    ICOMPARE = EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8, EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8;
    BLEND = EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32, EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
    BROADCAST = EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32;
}

impl Pair {
    pub(super) fn of(self, wide: bool) -> Code {
        if wide { self.1 } else { self.0 }
    }
}

/// A vector operand of an instruction.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Register(Register),
    Memory(MemoryOperand),
}

pub(super) fn vector(number: u8, wide: bool) -> Register {
    (if wide { Register::ZMM0 } else { Register::XMM0 }) + u32::from(number)
}

pub(super) fn mask(number: u8) -> Register {
    Register::K1 + u32::from(number)
}

impl Emitter<'_> {
    /// A vector operand where memory may stand.
    pub(super) fn source(&mut self, reg: Reg, wide: bool) -> Source {
        match self.location(reg) {
            Location::Register(n) => Source::Register(vector(n, wide)),
            Location::Slot(slot) => Source::Memory(Self::slot(slot)),
            Location::Constant(bits) => Source::Memory(self.constant(bits, true)),
            Location::Index(_) => unreachable!("an index is no vector"),
        }
    }

    /// A vector operand in a register: its own, or the temporary of this number.
    pub(super) fn register(&mut self, reg: Reg, wide: bool, temporary: u8) -> Emitted<Register> {
        let into = vector(VECTORS + temporary, wide);
        match self.source(reg, wide) {
            Source::Register(register) => return Ok(register),
            Source::Memory(_) => self.load_into(into, reg, wide)?,
        }
        Ok(into)
    }

    pub(super) fn load_into(&mut self, into: Register, reg: Reg, wide: bool) -> Emitted {
        match self.location(reg) {
            Location::Constant(bits) => {
                let memory = self.constant(bits, false);
                self.add(Instruction::with2(BROADCAST.of(wide), into, memory))
            }
            Location::Slot(slot) => self.add(Instruction::with2(Self::moved(wide), into, Self::slot(slot))),
            Location::Register(n) => {
                let from = vector(n, wide);
                if from == into { Ok(()) } else { self.add(Instruction::with2(Self::moved(wide), into, from)) }
            }
            Location::Index(_) => unreachable!("an index is no vector"),
        }
    }

    pub(super) fn moved(wide: bool) -> Code {
        if wide { Code::EVEX_Vmovaps_zmm_k1z_zmmm512 } else { Code::EVEX_Vmovaps_xmm_k1z_xmmm128 }
    }

    /// Where to compute a vector: its register, or a temporary that [`Emitter::keep`] stores.
    pub(super) fn target(&self, reg: Reg) -> Register {
        let wide = self.is_wide(reg);
        match self.location(reg) {
            Location::Register(n) => vector(n, wide),
            _ => vector(VECTORS + 2, wide),
        }
    }

    pub(super) fn keep(&mut self, reg: Reg) -> Emitted {
        let Location::Slot(slot) = self.location(reg) else { return Ok(()) };
        let wide = self.is_wide(reg);
        let code = if wide { Code::EVEX_Vmovaps_zmmm512_k1z_zmm } else { Code::EVEX_Vmovaps_xmmm128_k1z_xmm };
        self.add(Instruction::with2(code, Self::slot(slot), vector(VECTORS + 2, wide)))
    }

    pub(super) fn unary(&mut self, pair: Pair, reg: Reg, a: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let instruction = match self.source(a, wide) {
            Source::Register(a) => Instruction::with2(pair.of(wide), target, a),
            Source::Memory(a) => Instruction::with2(pair.of(wide), target, a),
        };
        self.add(instruction)?;
        self.keep(reg)
    }

    pub(super) fn unary_immediate(&mut self, pair: Pair, reg: Reg, a: Reg, immediate: u32) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let instruction = match self.source(a, wide) {
            Source::Register(a) => Instruction::with3(pair.of(wide), target, a, immediate),
            Source::Memory(a) => Instruction::with3(pair.of(wide), target, a, immediate),
        };
        self.add(instruction)?;
        self.keep(reg)
    }

    pub(super) fn binary(&mut self, pair: Pair, reg: Reg, a: Reg, b: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let a = self.register(a, wide, 0)?;
        let b = self.source(b, wide);
        self.three(pair.of(wide), target, a, b)?;
        self.keep(reg)
    }

    pub(super) fn three(&mut self, code: Code, target: Register, a: Register, b: Source) -> Emitted {
        self.add(match b {
            Source::Register(b) => Instruction::with3(code, target, a, b),
            Source::Memory(b) => Instruction::with3(code, target, a, b),
        })
    }

    /// `a ^ constant` and the like.
    pub(super) fn with_constant(&mut self, pair: Pair, reg: Reg, a: Reg, bits: u32) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let a = self.register(a, wide, 0)?;
        let b = Source::Memory(self.constant(bits, true));
        self.three(pair.of(wide), target, a, b)?;
        self.keep(reg)
    }

    /// The three forms differ in which operand the result replaces and which may lie in memory.
    pub(super) fn fma(&mut self, reg: Reg, a: Reg, b: Reg, c: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let is_target = |s: &Self, r: Reg| match s.location(r) {
            Location::Register(n) => vector(n, wide) == target,
            _ => false,
        };
        // a factor in memory stands second
        let (a, b) = if matches!(self.location(a), Location::Register(_)) { (a, b) } else { (b, a) };
        if is_target(self, c) {
            let a = self.register(a, wide, 0)?;
            let b = self.source(b, wide);
            self.three(FMA231.of(wide), target, a, b)?;
        } else if is_target(self, a) || is_target(self, b) {
            let other = if is_target(self, a) { b } else { a };
            match (self.source(other, wide), self.source(c, wide)) {
                (Source::Register(other), c) => self.three(FMA213.of(wide), target, other, c)?,
                (other, Source::Register(c)) => self.three(FMA132.of(wide), target, c, other)?,
                (_, c) => {
                    let other = self.register(other, wide, 0)?;
                    self.three(FMA213.of(wide), target, other, c)?;
                }
            }
        } else {
            self.load_into(target, c, wide)?;
            let a = self.register(a, wide, 0)?;
            let b = self.source(b, wide);
            self.three(FMA231.of(wide), target, a, b)?;
        }
        self.keep(reg)
    }

    pub(super) fn mask(&mut self, reg: Reg) -> Emitted<Register> {
        Ok(match self.location(reg) {
            Location::Register(n) => mask(n),
            Location::Slot(slot) => {
                self.add(Instruction::with2(Code::VEX_Kmovw_kr_km16, Register::K6, Self::slot(slot)))?;
                Register::K6
            }
            _ => unreachable!("no mask is constant"),
        })
    }

    pub(super) fn compare(&mut self, pair: Pair, reg: Reg, a: Reg, b: Reg, predicate: u32) -> Emitted {
        let wide = self.is_wide(reg);
        let a = self.register(a, wide, 0)?;
        let target = match self.location(reg) {
            Location::Register(n) => mask(n),
            _ => Register::K7,
        };
        let instruction = match self.source(b, wide) {
            Source::Register(b) => Instruction::with4(pair.of(wide), target, a, b, predicate),
            Source::Memory(b) => Instruction::with4(pair.of(wide), target, a, b, predicate),
        };
        self.add(instruction)?;
        if let Location::Slot(slot) = self.location(reg) {
            self.add(Instruction::with2(Code::VEX_Kmovw_m16_kr, Self::slot(slot), target))?;
        }
        Ok(())
    }

    pub(super) fn select(&mut self, reg: Reg, m: Reg, a: Reg, b: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let m = self.mask(m)?;
        let b = self.register(b, wide, 0)?;
        let mut instruction = match self.source(a, wide) {
            Source::Register(a) => Instruction::with3(BLEND.of(wide), target, b, a),
            Source::Memory(a) => Instruction::with3(BLEND.of(wide), target, b, a),
        }
        .map_err(failed)?;
        instruction.set_op_mask(m);
        self.push(instruction);
        self.keep(reg)
    }

    /// Lanes that lie `stride` elements apart.
    pub(super) fn gather(&mut self, reg: Reg, address: Address, stride: i64) -> Emitted {
        if stride.checked_mul(WIDTH as i64).is_none_or(|last| i32::try_from(last).is_err()) {
            return Err(Unsupported);
        }
        let memory = self.address(address)?;
        // the address in one register, the distances of the lanes in a vector
        self.add(Instruction::with2(Code::Lea_r64_m, RAX, memory))?;
        let distances = vector(VECTORS, true);
        let lanes = MemoryOperand::with_base(POOL);
        self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, distances, lanes))?;
        let factor = self.constant(stride as u32, true);
        self.add(Instruction::with3(Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, distances, distances, factor))?;
        self.add(Instruction::with3(Code::VEX_Kxnorw_kr_kr_kr, Register::K7, Register::K7, Register::K7))?;
        let target = vector(VECTORS + 2, true);
        let from = MemoryOperand::new(RAX, distances, 4, 0, 0, false, Register::None);
        let mut gather = Instruction::with2(Code::EVEX_Vpgatherdd_zmm_k1_vm32z, target, from).map_err(failed)?;
        gather.set_op_mask(Register::K7);
        self.push(gather);
        if let Location::Register(n) = self.location(reg) {
            return self.add(Instruction::with2(Self::moved(true), vector(n, true), target));
        }
        self.keep(reg)
    }
}
