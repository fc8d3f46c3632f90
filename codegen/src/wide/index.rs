//! Indices: general registers, addresses, division.

use super::{ARGUMENTS, BASE, RAX, RDX, SCRATCH};
use super::{Emitted, Emitter, GENERAL, Location, Unsupported};
use crate::tile::{Address, Base, Reg};
use iced_x86::{Code, Instruction, MemoryOperand, Register};

impl Emitter<'_> {
    /// An index in a register: its own, or this temporary.
    pub(super) fn index(&mut self, reg: Reg, temporary: Register) -> Emitted<Register> {
        match self.location(reg) {
            Location::Register(n) => return Ok(GENERAL[usize::from(n)]),
            Location::Slot(slot) => self.add(Instruction::with2(Code::Mov_r64_rm64, temporary, Self::slot(slot)))?,
            Location::Index(x) => self.add(Instruction::with2(Code::Mov_rm64_imm32, temporary, x as i32))?,
            Location::Constant(_) => unreachable!("a constant is no index"),
        }
        Ok(temporary)
    }

    pub(super) fn index_target(&self, reg: Reg) -> Register {
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

    pub(super) fn address(&mut self, address: Address) -> Emitted<MemoryOperand> {
        let base = match address.base {
            Base::Scratch => SCRATCH,
            Base::Argument(i) => {
                if self.loaded != Some(i) {
                    let pointer = MemoryOperand::with_base_displ(ARGUMENTS, i as i64 * 8);
                    self.add(Instruction::with2(Code::Mov_r64_rm64, BASE, pointer))?;
                    self.loaded = Some(i);
                }
                BASE
            }
        };
        let (index, elements) = match self.location(address.index) {
            Location::Index(x) => (Register::None, x + address.offset),
            _ => (self.index(address.index, RAX)?, address.offset),
        };
        let bytes = elements * 4;
        if i32::try_from(bytes).is_err() {
            return Err(Unsupported);
        }
        Ok(MemoryOperand::new(base, index, 4, bytes, 1, false, Register::None))
    }

    pub(super) fn index_plus(&mut self, target: Register, a: Reg, x: i64) -> Emitted {
        let a = self.index(a, RAX)?;
        self.add(Instruction::with2(Code::Lea_r64_m, target, MemoryOperand::with_base_displ(a, x)))
    }

    /// Quotient in rax, remainder in rdx.
    pub(super) fn divide(&mut self, a: Reg, by: i64) -> Emitted {
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

pub(super) fn low_half(register: Register) -> Register {
    Register::EAX + (register as u32 - Register::RAX as u32)
}
