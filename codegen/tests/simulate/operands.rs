//! Operands of all instructions: registers of every size, memory, immediates, and the masks and broadcasts of EVEX.

use super::{Machine, Vector};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// One bit for each register of the model.
fn bit(register: Register) -> u64 {
    let file = match register {
        _ if register.is_vector_register() => 16,
        _ if register.is_k() => 48,
        _ => 0,
    };
    1 << (file + register.number())
}

fn low_bytes(size: usize) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (size * 8)) - 1 }
}

/// Whether an instruction works on the first lane of its operands alone.
fn is_scalar(i: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(
        i.mnemonic(),
        Vaddss
            | Vsubss
            | Vmulss
            | Vdivss
            | Vsqrtss
            | Vmaxss
            | Vminss
            | Vroundss
            | Vrndscaless
            | Vmovss
            | Vfmadd132ss
            | Vfmadd213ss
            | Vfmadd231ss
    )
}

/// The size of an operand in bytes.
pub fn size(i: &Instruction, operand: u32) -> usize {
    match i.op_kind(operand) {
        OpKind::Register => i.op_register(operand).size(),
        _ => i.memory_size().size(),
    }
}

pub fn lanes(i: &Instruction) -> usize {
    size(i, 0) / 4
}

/// Whether the first `lanes` lanes are all active.
pub fn covers(active: u16, lanes: usize) -> bool {
    active.trailing_ones() as usize >= lanes
}

/// The 8-bit immediate at the end of an instruction.
pub fn immediate(i: &Instruction) -> Result<u8, String> {
    match i.op_kind(i.op_count() - 1) {
        OpKind::Immediate8 => Ok(i.immediate8()),
        _ => Err("is modelled with an immediate alone".into()),
    }
}

impl Machine {
    pub fn mark_written(&mut self, register: Register) {
        self.written |= bit(register);
    }

    fn check_written(&self, register: Register) -> Result<(), String> {
        match self.written & bit(register) {
            0 => Err(format!("reads {register:?}, which nothing has written")),
            _ => Ok(()),
        }
    }

    /// A general or mask register.
    pub fn register(&self, register: Register) -> Result<u64, String> {
        self.check_written(register)?;
        match register {
            Register::AH | Register::BH | Register::CH | Register::DH => Err("the second byte is not modelled".into()),
            _ if register.is_k() => Ok(self.masks[register.number()]),
            _ if register.is_gpr() => Ok(self.general[register.number()] & low_bytes(register.size())),
            _ => Err(format!("{register:?} is no integer")),
        }
    }

    pub fn set_register(&mut self, register: Register, x: u64) {
        let n = register.number();
        if register.is_k() {
            self.masks[n] = x;
        } else {
            // writing half a register clears the other half, writing less keeps the rest
            let kept = if register.size() < 4 { !low_bytes(register.size()) } else { 0 };
            self.general[n] = self.general[n] & kept | x & low_bytes(register.size());
        }
        self.mark_written(register);
    }

    pub fn vector_register(&self, register: Register) -> Result<Vector, String> {
        if !register.is_vector_register() {
            return Err(format!("{register:?} is no vector"));
        }
        self.check_written(register)?;
        Ok(self.vectors[register.number()])
    }

    pub fn set_vector_register(&mut self, register: Register, mut x: Vector) {
        let lanes = register.size() / 4;
        x[lanes..].fill(0);
        self.dirty |= lanes > 4;
        self.vectors[register.number()] = x;
        self.mark_written(register);
    }

    /// The address of a memory operand; of one element if it has a vector of indices.
    pub fn address(&self, i: &Instruction, operand: u32, element: usize) -> Result<u64, String> {
        let mut failed = None;
        let address = i.virtual_address(operand, element, |register, element, _| {
            let value = match register {
                _ if register.is_vector_register() => self.vector_register(register).map(|v| u64::from(v[element])),
                _ if register.is_segment_register() => Ok(0),
                _ => self.register(register),
            };
            value.map_err(|message| failed = Some(message)).ok()
        });
        address.ok_or_else(|| failed.unwrap_or_else(|| "has no address".into()))
    }

    /// An integer from a register, memory or the instruction.
    pub fn integer(&self, i: &Instruction, operand: u32) -> Result<u64, String> {
        match i.op_kind(operand) {
            OpKind::Register => self.register(i.op_register(operand)),
            OpKind::Memory => {
                let bytes = self.memory.read(self.address(i, operand, 0)?, i.memory_size().size())?;
                Ok(bytes.iter().rev().fold(0, |x, &byte| x << 8 | u64::from(byte)))
            }
            _ => Ok(i.immediate(operand) & low_bytes(size(i, 0).max(1))),
        }
    }

    pub fn set_integer(&mut self, i: &Instruction, operand: u32, x: u64) -> Result<(), String> {
        match i.op_kind(operand) {
            OpKind::Register => self.set_register(i.op_register(operand), x),
            _ => {
                let address = self.address(i, operand, 0)?;
                self.write(address, &x.to_le_bytes()[..i.memory_size().size()])?;
            }
        }
        Ok(())
    }

    /// Writes memory. Whatever interrupts a program may overwrite what lies far below its stack pointer.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), String> {
        let stack = self.general[Register::RSP.number()];
        let below = address >= self.stack && address < stack.wrapping_sub(128) && stack >= self.stack;
        if below && self.memory.read(address, bytes.len())? != bytes {
            return Err("changes memory below the red zone of the stack".into());
        }
        self.memory.write(address, bytes)
    }

    /// The lanes that an instruction's mask lets through.
    pub fn active(&self, i: &Instruction) -> Result<u16, String> {
        match i.op_mask() {
            Register::None => Ok(u16::MAX),
            mask if is_scalar(i) => Ok(self.register(mask)? as u16 | !1),
            mask => Ok(self.register(mask)? as u16),
        }
    }

    fn check_alignment(&self, i: &Instruction, address: u64) -> Result<(), String> {
        let aligned = matches!(i.mnemonic(), Mnemonic::Vmovaps | Mnemonic::Vmovdqa | Mnemonic::Vmovdqa32);
        match aligned && !address.is_multiple_of(i.memory_size().size() as u64) {
            true => Err(format!("faults on {address:#x}, which is not aligned")),
            false => Ok(()),
        }
    }

    /// A vector from a register or memory; other lanes than `active` ones are not touched there.
    pub fn vector(&self, i: &Instruction, operand: u32, active: u16) -> Result<Vector, String> {
        if i.op_kind(operand) != OpKind::Memory {
            return self.vector_register(i.op_register(operand));
        }
        let address = self.address(i, operand, 0)?;
        if i.is_broadcast() {
            let word = if active == 0 { 0 } else { self.memory.read_word(address)? };
            return Ok([word; 16]);
        }
        self.check_alignment(i, address)?;
        let lanes = i.memory_size().size() / 4;
        let mut x = [0; 16];
        if covers(active, lanes) {
            let words = self.memory.read(address, lanes * 4)?.chunks_exact(4);
            x.iter_mut().zip(words).for_each(|(x, word)| *x = u32::from_le_bytes(word.try_into().expect("four bytes")));
            return Ok(x);
        }
        for (lane, x) in x[..lanes].iter_mut().enumerate().filter(|(lane, _)| active >> lane & 1 == 1) {
            *x = self.memory.read_word(address + lane as u64 * 4)?;
        }
        Ok(x)
    }

    /// Writes the first operand, a register or memory, where the mask says so.
    pub fn put(&mut self, i: &Instruction, x: Vector) -> Result<(), String> {
        let active = self.active(i)?;
        if i.op_kind(0) == OpKind::Memory {
            let address = self.address(i, 0, 0)?;
            self.check_alignment(i, address)?;
            return self.store(address, &x[..lanes(i)], active);
        }
        let register = i.op_register(0);
        let old = match covers(active, lanes(i)) || i.zeroing_masking() {
            true => [0; 16],
            false => self.vector_register(register)?,
        };
        self.set_vector_register(register, std::array::from_fn(|l| if active >> l & 1 == 1 { x[l] } else { old[l] }));
        Ok(())
    }

    pub fn store(&mut self, address: u64, x: &[u32], active: u16) -> Result<(), String> {
        if covers(active, x.len()) {
            let mut bytes = [0; 64];
            bytes.chunks_exact_mut(4).zip(x).for_each(|(bytes, x)| bytes.copy_from_slice(&x.to_le_bytes()));
            return self.write(address, &bytes[..x.len() * 4]);
        }
        for (lane, x) in x.iter().enumerate().filter(|(lane, _)| active >> lane & 1 == 1) {
            self.write(address + lane as u64 * 4, &x.to_le_bytes())?;
        }
        Ok(())
    }

    /// Any function of operands and the number of the result's lane; operands are read in full.
    pub fn arrange<const N: usize>(
        &mut self,
        i: &Instruction,
        sources: [u32; N],
        f: impl Fn(&[Vector; N], usize) -> u32,
    ) -> Result<(), String> {
        self.compute(i, sources, u16::MAX, f)
    }

    fn compute<const N: usize>(
        &mut self,
        i: &Instruction,
        sources: [u32; N],
        reads: u16,
        f: impl Fn(&[Vector; N], usize) -> u32,
    ) -> Result<(), String> {
        let mut operands = [[0; 16]; N];
        for (operand, source) in operands.iter_mut().zip(sources) {
            *operand = self.vector(i, source, reads)?;
        }
        let mut result = [0; 16];
        for (lane, result) in result[..lanes(i)].iter_mut().enumerate() {
            *result = f(&operands, lane);
        }
        self.put(i, result)
    }

    /// The same function of operands in every lane. Of scalars, in the first: the others are those of the first operand
    /// after the result, or of the result itself where that is an operand.
    pub fn lanewise<const N: usize>(
        &mut self,
        i: &Instruction,
        sources: [u32; N],
        f: impl Fn([u32; N]) -> u32,
    ) -> Result<(), String> {
        let scalar = is_scalar(i) && i.op_kind(0) == OpKind::Register;
        let rest = match scalar && i.op_count() > 2 {
            true if sources[0] == 0 => self.vectors[i.op_register(0).number()],
            true => self.vectors[i.op_register(1).number()],
            false => [0; 16],
        };
        self.compute(i, sources, self.active(i)?, |operands, lane| match scalar && lane > 0 {
            true => rest[lane],
            false => f(std::array::from_fn(|n| operands[n][lane])),
        })
    }

    pub fn floats<const N: usize>(
        &mut self,
        i: &Instruction,
        sources: [u32; N],
        f: impl Fn([f32; N]) -> f32,
    ) -> Result<(), String> {
        self.lanewise(i, sources, |operands| f(operands.map(f32::from_bits)).to_bits())
    }

    /// A comparison: VEX fills the lanes of a vector, EVEX the bits of a mask.
    pub fn compare(&mut self, i: &Instruction, f: impl Fn(u32, u32) -> bool) -> Result<(), String> {
        if !i.op_register(0).is_k() {
            return self.lanewise(i, [1, 2], |[a, b]| if f(a, b) { u32::MAX } else { 0 });
        }
        let active = self.active(i)?;
        let (a, b) = (self.vector(i, 1, active)?, self.vector(i, 2, active)?);
        let lanes = (0..size(i, 1) / 4).filter(|&lane| active >> lane & 1 == 1 && f(a[lane], b[lane]));
        let mask = lanes.fold(0, |mask, lane| mask | 1 << lane);
        self.set_register(i.op_register(0), mask);
        Ok(())
    }
}
