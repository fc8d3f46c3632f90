//! Indices: general registers, addresses, division.

use super::{BASE, Emitted, Emitter, FROM_INDEX, GENERAL, Location, RAX, RDX, TO_INDEX, Unsupported};
use crate::tile::{Inst, Reg};
use iced_x86::{Code, Instruction, MemoryOperand, Register};

impl Emitter<'_> {
    /// An index in a register: its own, or this temporary.
    pub(super) fn index(&mut self, reg: Reg, temporary: Register) -> Emitted<Register> {
        match self.location(reg) {
            Location::Register(n) => return Ok(GENERAL[usize::from(n)]),
            Location::Slot(slot) => self.add(Instruction::with2(Code::Mov_r64_rm64, temporary, Self::slot(slot)))?,
            Location::Index(x) => self.add(Instruction::with2(Code::Mov_rm64_imm32, temporary, x as i32))?,
            Location::Constant(_) | Location::Double(_) | Location::Unloaded => unreachable!("this is no index"),
        }
        Ok(temporary)
    }

    fn index_target(&self, reg: Reg) -> Register {
        match self.location(reg) {
            Location::Register(n) => GENERAL[usize::from(n)],
            _ => RAX,
        }
    }

    pub(super) fn write_index(&mut self, reg: Reg, from: Register) -> Emitted {
        match self.location(reg) {
            Location::Register(n) if GENERAL[usize::from(n)] == from => Ok(()),
            Location::Register(n) => self.add(Instruction::with2(Code::Mov_r64_rm64, GENERAL[usize::from(n)], from)),
            Location::Slot(slot) => self.add(Instruction::with2(Code::Mov_rm64_r64, Self::slot(slot), from)),
            _ => unreachable!("constants are not written"),
        }
    }

    pub(super) fn index_inst(&mut self, reg: Reg, inst: Inst) -> Emitted {
        match inst {
            Inst::Index(_) if matches!(self.location(reg), Location::Index(_)) => Ok(()),
            Inst::Index(x) => {
                self.add(Instruction::with2(Code::Mov_r64_imm64, RAX, x))?;
                self.write_index(reg, RAX)
            }
            Inst::IndexLow(a) => {
                let a = self.index(a, RAX)?;
                self.low_to_vector(reg, a)
            }
            Inst::IndexHigh(a) => {
                let a = self.index(a, RAX)?;
                if a != RAX {
                    self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, a))?;
                }
                self.add(Instruction::with2(Code::Shr_rm64_imm8, RAX, 32))?;
                self.low_to_vector(reg, RAX)
            }
            Inst::IndexFrom(low, high) => {
                let (low, high) = (self.register(low, false)?, self.register(high, false)?);
                let code = TO_INDEX.of(self.isa, false);
                self.add(Instruction::with2(code, Register::EAX, low))?;
                self.add(Instruction::with2(code, Register::EDX, high))?;
                self.add(Instruction::with2(Code::Shl_rm64_imm8, RDX, 32))?;
                self.add(Instruction::with2(Code::Or_r64_rm64, RAX, RDX))?;
                self.write_index(reg, RAX)
            }
            Inst::IndexAdd(a, b) => {
                let target = self.index_target(reg);
                match (self.location(a), self.location(b)) {
                    (_, Location::Index(x)) => self.index_plus(target, a, x)?,
                    (Location::Index(x), _) => self.index_plus(target, b, x)?,
                    _ => {
                        let (a, b) = (self.index(a, RAX)?, self.index(b, RDX)?);
                        let sum = MemoryOperand::with_base_index(a, b);
                        self.add(Instruction::with2(Code::Lea_r64_m, target, sum))?;
                    }
                }
                self.write_index(reg, target)
            }
            Inst::IndexScale(a, by) => {
                let target = self.index_target(reg);
                let a = self.index(a, RAX)?;
                let by = i32::try_from(by).map_err(|_| Unsupported)?;
                self.add(Instruction::with3(Code::Imul_r64_rm64_imm32, target, a, by))?;
                self.write_index(reg, target)
            }
            Inst::IndexDiv(a, by) => {
                self.divide(a, by)?;
                self.write_index(reg, RAX)
            }
            Inst::IndexRem(a, by) => {
                self.divide(a, by)?;
                self.write_index(reg, RDX)
            }
            Inst::IndexMin(a, b) => {
                let a = self.index(a, RAX)?;
                if a != RAX {
                    self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, a))?;
                }
                let b = self.index(b, RDX)?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, b, RAX))?;
                self.add(Instruction::with2(Code::Cmovl_r64_rm64, RAX, b))?;
                self.write_index(reg, RAX)
            }
            inst => unreachable!("{inst:?} makes no index"),
        }
    }

    fn low_to_vector(&mut self, reg: Reg, from: Register) -> Emitted {
        let target = self.target(reg);
        self.add(Instruction::with2(FROM_INDEX.of(self.isa, false), target, low_half(from)))?;
        self.keep(reg, target)
    }

    fn index_plus(&mut self, target: Register, a: Reg, x: i64) -> Emitted {
        let a = self.index(a, RAX)?;
        self.add(Instruction::with2(Code::Lea_r64_m, target, MemoryOperand::with_base_displ(a, x)))
    }

    /// Quotient in rax, remainder in rdx.
    fn divide(&mut self, a: Reg, by: i64) -> Emitted {
        let a = self.index(a, RAX)?;
        if a != RAX {
            self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, a))?;
        }
        let divisor = u64::try_from(by).map_err(|_| Unsupported)?;
        if divisor.is_power_of_two() && by <= i64::from(i32::MAX) {
            self.add(Instruction::with2(Code::Mov_r64_rm64, RDX, RAX))?;
            self.add(Instruction::with2(Code::And_rm64_imm32, RDX, (by - 1) as i32))?;
            return self.add(Instruction::with2(Code::Shr_rm64_imm8, RAX, divisor.trailing_zeros()));
        }
        self.add(Instruction::with2(Code::Xor_r32_rm32, Register::EDX, Register::EDX))?;
        self.add(Instruction::with2(Code::Mov_r64_imm64, BASE, by))?;
        self.loaded = None;
        self.add(Instruction::with1(Code::Div_rm64, BASE))
    }
}

fn low_half(register: Register) -> Register {
    Register::EAX + (register as u32 - Register::RAX as u32)
}
