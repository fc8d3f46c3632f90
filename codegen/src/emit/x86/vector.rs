//! Vectors and truth values: arithmetic on operands that lie in registers, in the frame or among the constants.

use super::{isa::*, *};

/// The operand of an instruction that may lie in either.
#[derive(Clone, Copy)]
pub(super) enum RegisterOrMemory {
    Register(Register),
    Memory(MemoryOperand),
}

/// Whether a rotation is two shifts and their union, for want of an instruction; by whole bytes it moves bytes.
pub(super) fn rotates_by_shifts(isa: Isa, by: u32) -> bool {
    isa == Isa::Avx2 && !by.is_multiple_of(8)
}

fn mask(number: u8) -> Register {
    Register::K1 + u32::from(number)
}

impl Emitter<'_> {
    /// A vector register for this statement's own use. Until the allocation has it, any does: the code is not used.
    pub(super) fn temporary(&mut self, wide: bool) -> Register {
        let (position, taken) = (self.position as usize, self.taken);
        self.taken += 1;
        self.needs[position] = self.needs[position].max(self.taken as u8);
        let own = self.allocation.temporaries[position].get(taken);
        self.is_complete &= own.is_some();
        self.isa.vector(own.copied().unwrap_or(0), wide)
    }

    /// A vector operand where memory may stand.
    pub(super) fn source(&mut self, reg: Reg, wide: bool) -> Emitted<RegisterOrMemory> {
        Ok(match (self.location(reg), self.unloaded) {
            (Location::Register(n), _) => RegisterOrMemory::Register(self.isa.vector(n, wide)),
            (Location::Slot(slot), _) => RegisterOrMemory::Memory(Self::slot(slot)),
            (Location::Constant(bits), _) => RegisterOrMemory::Memory(self.constant(bits)),
            (Location::Double(bits), _) => RegisterOrMemory::Memory(self.constant_double(bits)),
            (Location::Unloaded, Some((_, address))) => RegisterOrMemory::Memory(self.address(address)?),
            _ => unreachable!("an index is no vector"),
        })
    }

    /// A vector operand in a register: its own, or a temporary.
    pub(super) fn register(&mut self, reg: Reg, wide: bool) -> Emitted<Register> {
        if let Location::Register(n) = self.location(reg) {
            return Ok(self.isa.vector(n, wide));
        }
        let into = self.temporary(wide);
        self.load_into(into, reg, wide)?;
        Ok(into)
    }

    pub(super) fn load_into(&mut self, into: Register, reg: Reg, wide: bool) -> Emitted {
        let (isa, code) = (self.isa, MOVE.of(self.isa, wide));
        match self.location(reg) {
            Location::Constant(0) | Location::Double(0) => self.clear(into, wide),
            Location::Constant(bits) => {
                let memory = self.pooled(&[bits]);
                self.add(Instruction::with2(BROADCAST.of(isa, wide), into, memory))
            }
            Location::Double(bits) => {
                let memory = self.constant_double(bits);
                self.add(Instruction::with2(code, into, memory))
            }
            Location::Slot(slot) => self.add(Instruction::with2(code, into, Self::slot(slot))),
            Location::Register(n) => {
                let from = isa.vector(n, wide);
                if from == into { Ok(()) } else { self.add(Instruction::with2(code, into, from)) }
            }
            Location::Unloaded => {
                let RegisterOrMemory::Memory(memory) = self.source(reg, wide)? else {
                    unreachable!("it lies in memory")
                };
                self.add(Instruction::with2(LOAD.of(isa, wide), into, memory))
            }
            Location::Index(_) => unreachable!("an index is no vector"),
        }
    }

    pub(super) fn clear(&mut self, register: Register, wide: bool) -> Emitted {
        self.add(Instruction::with3(XOR.of(self.isa, wide), register, register, register))
    }

    /// Where to compute a vector: its register, or a temporary that [`Emitter::keep`] stores.
    pub(super) fn target(&mut self, reg: Reg) -> Register {
        let wide = self.is_wide(reg);
        match self.location(reg) {
            Location::Register(n) => self.isa.vector(n, wide),
            _ => self.temporary(wide),
        }
    }

    pub(super) fn keep(&mut self, reg: Reg, target: Register) -> Emitted {
        let Location::Slot(slot) = self.location(reg) else { return Ok(()) };
        let code = SPILL.of(self.isa, self.is_wide(reg));
        self.add(Instruction::with2(code, Self::slot(slot), target))
    }

    pub(super) fn unary(&mut self, codes: Codes, reg: Reg, a: Reg) -> Emitted {
        // what is widened or narrowed, and what comes of it, are not of the same size
        let (from, to) = (self.is_wide(a), self.is_wide(reg));
        let (target, code) = (self.target(reg), codes.of(self.isa, from || to));
        let instruction = match self.source(a, from)? {
            RegisterOrMemory::Register(a) => Instruction::with2(code, target, a),
            RegisterOrMemory::Memory(a) => Instruction::with2(code, target, a),
        };
        self.add(instruction)?;
        self.keep(reg, target)
    }

    pub(super) fn unary_immediate(&mut self, codes: Codes, reg: Reg, a: Reg, immediate: u32) -> Emitted {
        let wide = self.is_wide(reg);
        // VEX shifts take no memory
        let a = self.register(a, wide)?;
        let target = self.target(reg);
        self.add(Instruction::with3(codes.of(self.isa, wide), target, a, immediate))?;
        self.keep(reg, target)
    }

    pub(super) fn rotate(&mut self, reg: Reg, a: Reg, by: u32) -> Emitted {
        match self.isa {
            Isa::Avx512 => self.unary_immediate(ROTATE, reg, a, by),
            Isa::Avx2 if !rotates_by_shifts(self.isa, by) => {
                let (wide, target) = (self.is_wide(reg), self.target(reg));
                let a = self.register(a, wide)?;
                let byte = |i: u32| (i / 4 * 4 + (i + 4 - by / 8) % 4) % 16;
                let word = |w: u32| (0..4).map(|i| byte(4 * w + i) << (8 * i)).sum();
                let bytes: Vec<u32> = (0..self.isa.lanes() as u32).map(word).collect();
                let bytes = RegisterOrMemory::Memory(self.pooled(&bytes));
                self.three(ROTATE.of(self.isa, wide), target, a, bytes)?;
                self.keep(reg, target)
            }
            Isa::Avx2 => {
                let wide = self.is_wide(reg);
                let (left, right, or) = (SHL.of(self.isa, wide), SHR.of(self.isa, wide), OR.of(self.isa, wide));
                let a = self.register(a, wide)?;
                let (high, target) = (self.temporary(wide), self.target(reg));
                self.add(Instruction::with3(left, high, a, by))?;
                self.add(Instruction::with3(right, target, a, 32 - by))?;
                self.add(Instruction::with3(or, target, target, high))?;
                self.keep(reg, target)
            }
        }
    }

    pub(super) fn binary(&mut self, codes: Codes, reg: Reg, a: Reg, b: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let a = self.register(a, wide)?;
        let b = self.source(b, wide)?;
        self.three(codes.of(self.isa, wide), target, a, b)?;
        self.keep(reg, target)
    }

    pub(super) fn halves(&mut self, reg: Reg, a: Reg, b: Reg, upper: bool) -> Emitted {
        // which quarter, or half, of an operand comes where
        let which = match (self.isa, upper) {
            (Isa::Avx2, false) => 0x20,
            (Isa::Avx2, true) => 0x31,
            (Isa::Avx512, false) => 0b01_00_01_00,
            (Isa::Avx512, true) => 0b11_10_11_10,
        };
        let target = self.target(reg);
        let (a, b) = (self.register(a, true)?, self.register(b, true)?);
        self.add(Instruction::with4(HALVES.of(self.isa, true), target, a, b, which))?;
        self.keep(reg, target)
    }

    pub(super) fn three(&mut self, code: Code, target: Register, a: Register, b: RegisterOrMemory) -> Emitted {
        self.add(match b {
            RegisterOrMemory::Register(b) => Instruction::with3(code, target, a, b),
            RegisterOrMemory::Memory(b) => Instruction::with3(code, target, a, b),
        })
    }

    /// `a ^ constant` and the like.
    pub(super) fn with_memory(&mut self, codes: Codes, reg: Reg, a: Reg, constant: MemoryOperand) -> Emitted {
        let wide = self.is_wide(reg);
        let target = self.target(reg);
        let a = self.register(a, wide)?;
        self.three(codes.of(self.isa, wide), target, a, RegisterOrMemory::Memory(constant))?;
        self.keep(reg, target)
    }

    /// The three forms differ in which operand the result replaces and which may lie in memory.
    pub(super) fn fma(&mut self, reg: Reg, a: Reg, b: Reg, c: Reg) -> Emitted {
        let (isa, wide) = (self.isa, self.is_wide(reg));
        let target = self.target(reg);
        let is_target =
            |s: &Self, r: Reg| matches!(s.location(r), Location::Register(n) if isa.vector(n, wide) == target);
        // a factor in memory stands second
        let (a, b) = if matches!(self.location(a), Location::Register(_)) { (a, b) } else { (b, a) };
        if !is_target(self, c) && (is_target(self, a) || is_target(self, b)) {
            let other = if is_target(self, a) { b } else { a };
            match (self.source(other, wide)?, self.source(c, wide)?) {
                (RegisterOrMemory::Register(other), c) => self.three(FMA213.of(isa, wide), target, other, c)?,
                (other, RegisterOrMemory::Register(c)) => self.three(FMA132.of(isa, wide), target, c, other)?,
                (_, c) => {
                    let other = self.register(other, wide)?;
                    self.three(FMA213.of(isa, wide), target, other, c)?;
                }
            }
        } else {
            self.load_into(target, c, wide)?;
            let a = self.register(a, wide)?;
            let b = self.source(b, wide)?;
            self.three(FMA231.of(isa, wide), target, a, b)?;
        }
        self.keep(reg, target)
    }

    /// A truth value where masks have registers of their own.
    fn mask(&mut self, reg: Reg) -> Emitted<Register> {
        Ok(match self.location(reg) {
            Location::Register(n) => mask(n),
            Location::Slot(slot) => {
                self.add(Instruction::with2(Code::VEX_Kmovw_kr_km16, Register::K6, Self::slot(slot)))?;
                Register::K6
            }
            _ => unreachable!("no mask is constant"),
        })
    }

    pub(super) fn compare(&mut self, codes: Codes, reg: Reg, a: Reg, b: Reg, predicate: Option<u32>) -> Emitted {
        let wide = self.is_wide(reg);
        let a = self.register(a, wide)?;
        let target = match (self.isa, self.location(reg)) {
            (Isa::Avx2, _) => self.target(reg),
            (Isa::Avx512, Location::Register(n)) => mask(n),
            (Isa::Avx512, _) => Register::K7,
        };
        let code = codes.of(self.isa, wide);
        let instruction = match (self.source(b, wide)?, predicate) {
            (RegisterOrMemory::Register(b), Some(predicate)) => Instruction::with4(code, target, a, b, predicate),
            (RegisterOrMemory::Memory(b), Some(predicate)) => Instruction::with4(code, target, a, b, predicate),
            (RegisterOrMemory::Register(b), None) => Instruction::with3(code, target, a, b),
            (RegisterOrMemory::Memory(b), None) => Instruction::with3(code, target, a, b),
        };
        self.add(instruction)?;
        match (self.isa, self.location(reg)) {
            (Isa::Avx2, _) => self.keep(reg, target),
            (Isa::Avx512, Location::Slot(slot)) => {
                self.add(Instruction::with2(Code::VEX_Kmovw_m16_kr, Self::slot(slot), target))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn select(&mut self, reg: Reg, m: Reg, a: Reg, b: Reg) -> Emitted {
        let wide = self.is_wide(reg);
        let (target, code) = (self.target(reg), BLEND.of(self.isa, wide));
        let b = self.register(b, wide)?;
        match self.isa {
            Isa::Avx2 => {
                let m = self.register(m, wide)?;
                let instruction = match self.source(a, wide)? {
                    RegisterOrMemory::Register(a) => Instruction::with4(code, target, b, a, m),
                    RegisterOrMemory::Memory(a) => Instruction::with4(code, target, b, a, m),
                };
                self.add(instruction)?;
            }
            Isa::Avx512 => {
                let m = self.mask(m)?;
                let mut instruction = match self.source(a, wide)? {
                    RegisterOrMemory::Register(a) => Instruction::with3(code, target, b, a),
                    RegisterOrMemory::Memory(a) => Instruction::with3(code, target, b, a),
                }
                .map_err(failed)?;
                instruction.set_op_mask(m);
                self.push(instruction);
            }
        }
        self.keep(reg, target)
    }

    pub(super) fn splat(&mut self, reg: Reg, a: Reg) -> Emitted {
        let (target, wide) = (self.target(reg), self.is_wide(reg));
        let is_double = self.class(reg) == Class::Double;
        let (broadcast, splat) = if is_double { (BROADCAST_DOUBLE, SPLAT_DOUBLE) } else { (BROADCAST, SPLAT) };
        let (broadcast, splat) = (broadcast.of(self.isa, wide), splat.of(self.isa, wide));
        match (self.location(a), self.unloaded) {
            (Location::Register(n), _) => self.add(Instruction::with2(splat, target, self.isa.vector(n, false)))?,
            (Location::Slot(slot), _) => self.add(Instruction::with2(broadcast, target, Self::slot(slot)))?,
            (Location::Unloaded, Some((_, address))) => {
                let memory = self.address(address)?;
                self.add(Instruction::with2(broadcast, target, memory))?;
            }
            _ => self.load_into(target, a, wide)?,
        }
        self.keep(reg, target)
    }
}
