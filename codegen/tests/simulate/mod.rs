//! A model of an x86-64 machine with all vectors: decodes a function that `wide` emitted and runs it, on any machine.
//!
//! It follows the manual, not the emitter, and is stricter than a machine: an access outside of what a kernel may
//! touch, a register or flags that nothing has written, a broken calling convention are errors that name the
//! instruction. A mnemonic is one row in `vector`, `double` or `general`.

mod double;
mod general;
mod instructions;
mod memory;
pub mod native;
mod operands;
#[cfg(all(target_arch = "x86_64", unix))]
mod processor;
mod vector;

use crate::stages::POISON;
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Decoder, DecoderOptions, Instruction, InstructionBlock, Mnemonic, OpKind,
    Register, RoundingControl,
};
use memory::Memory;

/// The lanes of a vector register.
pub type Vector = [u32; 16];

#[derive(Clone, Copy)]
struct Flags {
    zero: bool,
    sign: bool,
    carry: bool,
    overflow: bool,
}

pub struct Machine {
    pub general: [u64; 16],
    pub vectors: [Vector; 32],
    pub masks: [u64; 8],
    pub memory: Memory,
    /// How many instructions a call may take.
    pub max_steps: u64,
    /// The registers that hold something, see `operands`.
    written: u64,
    /// None where they are undefined.
    flags: Option<Flags>,
    /// Whether an upper half of a vector may hold something, which slows down code that follows.
    dirty: bool,
    ip: u64,
    code: Vec<u8>,
    /// The addresses of the code and the stack.
    start: u64,
    stack: u64,
    instructions: Vec<Instruction>,
    /// For each byte of the code which instruction begins there.
    decoded: Vec<u32>,
}

/// Of bytes that are not decoded yet, and of bytes within an instruction.
const UNKNOWN: u32 = u32::MAX;
const INSIDE: u32 = u32::MAX - 1;
/// Where a function returns to, in no region.
const RETURN: u64 = 0x7e7e;
const STACK_BYTES: usize = 1 << 17;
const PRESERVED: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// The bytes of words.
pub fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The bytes of instructions, whose branches name addresses from the first on.
fn encode(instructions: &[Instruction]) -> Vec<u8> {
    let options = BlockEncoderOptions::DONT_FIX_BRANCHES;
    BlockEncoder::encode(64, InstructionBlock::new(instructions, 0), options).unwrap().code_buffer
}

pub fn words_of(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
}

impl Machine {
    pub fn new(code: &[u8]) -> Machine {
        let mut memory = Memory::default();
        let start = memory.map("the code", code.to_vec(), false, 0);
        // the stack pointer is no multiple of a vector's size: functions align it themselves
        let stack = memory.map("the stack", bytes_of(&[POISON; STACK_BYTES / 4]), true, 48);
        Machine {
            general: [0; 16],
            vectors: [[POISON; 16]; 32],
            masks: [0; 8],
            memory,
            max_steps: 1 << 28,
            written: 0,
            flags: None,
            dirty: false,
            ip: start,
            code: code.to_vec(),
            start,
            stack,
            instructions: Vec::new(),
            decoded: vec![UNKNOWN; code.len()],
        }
    }

    /// Calls the code as a kernel, until it returns.
    pub fn call(&mut self, arguments: u64, scratch: u64, begin: u64, end: u64) -> Result<(), String> {
        let top = self.stack + STACK_BYTES as u64;
        self.written = 0;
        self.flags = None;
        self.dirty = false;
        // no address, and no two the same
        self.general = std::array::from_fn(|n| 0xdead_0000_0000_0000 + n as u64);
        let preserved = PRESERVED.map(|register| self.general[register.number()]);
        for (register, x) in [
            (Register::RDI, arguments),
            (Register::RSI, scratch),
            (Register::RDX, begin),
            (Register::RCX, end),
            (Register::RSP, top - 8),
        ] {
            self.set_register(register, x);
        }
        self.memory.write(top - 8, &RETURN.to_le_bytes())?;
        self.ip = self.start;
        for _ in 0..self.max_steps {
            let at = self.ip;
            if at == RETURN {
                let found = PRESERVED.map(|register| self.general[register.number()]);
                return match self.general[Register::RSP.number()] == top {
                    _ if found != preserved => Err(format!("{PRESERVED:?} hold {found:#x?} at the return")),
                    false => Err("the stack pointer is another at the return".into()),
                    true if self.dirty => Err("returns without vzeroupper".into()),
                    true => Ok(()),
                };
            }
            let instruction = self.fetch()?;
            self.ip = instruction.next_ip();
            self.step(&instruction).map_err(|message| {
                let registers = (0..instruction.op_count()).map(|n| instruction.op_register(n));
                let registers: Vec<_> = registers.filter(|&register| register != Register::None).collect();
                format!("{:?} {registers:?} at {:#x} {message}", instruction.code(), at - self.start)
            })?;
        }
        Err("does not end".into())
    }

    fn fetch(&mut self) -> Result<Instruction, String> {
        let offset = self.ip.wrapping_sub(self.start) as usize;
        match self.decoded.get(offset) {
            None => return Err(format!("continues at {:#x}, outside of the code", self.ip)),
            Some(&INSIDE) => return Err(format!("jumps into the middle of an instruction, at {offset:#x}")),
            Some(&UNKNOWN) => {}
            Some(&n) => return Ok(self.instructions[n as usize]),
        }
        let mut decoder = Decoder::with_ip(64, &self.code[offset..], self.ip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.code() == Code::INVALID {
            return Err(format!("no instruction at {offset:#x}"));
        }
        self.decoded[offset..offset + instruction.len()].fill(INSIDE);
        self.decoded[offset] = self.instructions.len() as u32;
        self.instructions.push(instruction);
        Ok(instruction)
    }

    /// Executes an instruction; a jump sets where to go on.
    pub fn step(&mut self, i: &Instruction) -> Result<(), String> {
        if !matches!(i.rounding_control(), RoundingControl::None | RoundingControl::RoundToNearest) {
            return Err("rounds in a way that is not modelled".into());
        }
        if ignores_operands(i) {
            (0..i.op_count())
                .filter(|&n| i.op_kind(n) == OpKind::Register)
                .for_each(|n| self.mark_written(i.op_register(n)));
        }
        match self.general_instruction(i)? || self.vector_instruction(i)? || self.double_instruction(i)? {
            true => Ok(()),
            false => Err(format!("is not modelled: {:?} in this form", i.mnemonic())),
        }
    }
}

/// Whether the result is the same whatever the operands hold, as in clearing a register.
fn ignores_operands(i: &Instruction) -> bool {
    use Mnemonic::*;
    let same = |a, b| i.op_register(a) != Register::None && i.op_register(a) == i.op_register(b);
    match i.mnemonic() {
        Xor | Sub => same(0, 1),
        Vxorps | Vpxor | Vpxord | Vpsubd | Vpcmpeqd | Kxorw | Kxnorw => same(1, 2),
        Vpternlogd => same(1, 2) && matches!(i.immediate8(), 0 | 255),
        _ => false,
    }
}
