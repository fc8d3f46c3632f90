//! Tile IR to x86-64 machine code for vectors of eight (AVX2) or sixteen lanes (AVX-512).
//!
//! Cranelift's vectors end at 128 bits; these functions stand beside its own in the same module. A function is one
//! position-independent blob: code, then its constants. Vectors and scalars of either kind live in vector registers,
//! truth values in mask registers where there are some, indices in general registers. It follows the System V
//! convention and calls nothing.
//!
//! Code with doubles is AVX2's on all machines: vectors have four lanes; doubles fill a register, all else half of one.
//!
//! Some instructions need a register for an operand that lies in memory. How many, the emitter finds out by emitting:
//! where the allocation has no such register it asks for one, and starts again.

mod allocate;
mod double;
mod index;
mod isa;
mod loops;
mod memory;
mod pointers;
mod schedule;
mod vector;

use super::{Emitter as KernelEmitter, MachineCode, Refusal, check};
use crate::{Target, tile::*};
use allocate::{Allocation, Limits, Location, Ranges};
use iced_x86::{BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register};
pub use isa::Isa;
use isa::*;
use pointers::Pointers;

/// Emits wide vectors for this target.
pub(super) struct X86(pub Target);

impl KernelEmitter for X86 {
    fn target(&self) -> Target {
        self.0
    }

    fn emit(&mut self, kernel: &TileKernel) -> Result<MachineCode, Refusal> {
        check(kernel, self.0)?;
        let (bytes, stack_bytes) =
            emitted(kernel, self.0).map_err(|Unsupported| Refusal("it does not fit wide vectors".into()))?;
        Ok(MachineCode { target: self.0, bytes, alignment: LINE as u64, relocations: Vec::new(), stack_bytes })
    }
}

/// Why a kernel is left to the portable emitter.
#[derive(Debug)]
pub struct Unsupported;

/// Mask registers k1 to k5 hold values; k6 and k7 are temporary, k0 means no mask.
const MASKS: u8 = 5;
/// Where indices live, and pointers of arguments in what is left: first those that no caller wants back.
const GENERAL: [Register; 9] = [
    Register::RCX,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
/// What a caller wants back, besides the register of constants.
const SAVED: [Register; 5] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];
/// The table of pointer arguments and the scratch memory, as they are passed.
const ARGUMENTS: Register = Register::RDI;
const SCRATCH: Register = Register::RSI;
/// The constants.
const POOL: Register = Register::RBP;
/// Where a pointer argument is loaded to that has no register of its own.
const BASE: Register = Register::R11;
/// Temporaries; division needs these two.
const RAX: Register = Register::RAX;
const RDX: Register = Register::RDX;
/// The smallest page of any system.
const PAGE: i64 = 4096;
/// The largest frame.
const MAX_FRAME: i64 = 1 << 16;
/// The distance of the frame's slots, and the alignment of the constants: a cache line.
const LINE: usize = 64;
/// How often emission may start again; each time it knows of more temporaries.
const MAX_ROUNDS: usize = 32;
/// Where the constants are until the length of the code is known: no label, and near enough.
const SOMEWHERE: i64 = 1 << 30;

/// Machine code for `kernel`, which was lowered for `target`.
pub fn emit(kernel: &TileKernel, target: Target) -> Result<Vec<u8>, Unsupported> {
    emitted(kernel, target).map(|(bytes, _)| bytes)
}

/// The code, and how much of the stack it takes.
fn emitted(kernel: &TileKernel, target: Target) -> Result<(Vec<u8>, u64), Unsupported> {
    let isa = Isa::of(target.instruction_set()).ok_or(Unsupported)?;
    let (isa, lanes) = if kernel.has_doubles() { (Isa::Avx2, target.of_doubles().lanes()) } else { (isa, isa.lanes()) };
    let (vector, mask) = match isa {
        Isa::Avx2 => (16, 0),
        Isa::Avx512 => (32, MASKS),
    };
    let limits = Limits { vector, mask, general: GENERAL.len() as u8 };
    let mut uses = vec![0; kernel.regs.len()];
    count_uses(&kernel.body, &mut uses);
    let kernel = &schedule::schedule(kernel, &uses, limits, (isa, target.machine().latencies));
    let ranges = Ranges::new(kernel);
    let mut needs = vec![0; ranges.positions()];
    for round in 1..=MAX_ROUNDS {
        let allocation = ranges.allocate(limits, &needs);
        let pointers = Pointers::new(kernel, &allocation);
        let mut emitter = Emitter {
            kernel,
            isa,
            lanes,
            limits,
            allocation,
            pointers,
            uses: &uses,
            position: 0,
            taken: 0,
            needs,
            is_complete: true,
            code: Vec::new(),
            labels: 0,
            pending: None,
            pool: Vec::new(),
            loaded: None,
            unloaded: None,
        };
        emitter.function()?;
        if emitter.is_complete {
            let stack_bytes = emitter.stack_bytes()?;
            return Ok((emitter.finish()?, stack_bytes));
        }
        needs = emitter.needs;
        if round >= MAX_ROUNDS / 2 {
            // values that move to the stack need more in turn: from now on every statement gets what the neediest takes
            let most = needs.iter().copied().max().unwrap_or(0);
            needs.fill(most);
        }
    }
    Err(Unsupported)
}

fn count_uses(stmts: &[Stmt], uses: &mut [u32]) {
    for stmt in stmts {
        stmt.operands(|reg| uses[reg.0 as usize] += 1);
        if let Stmt::Loop { carried, body, .. } = stmt {
            carried.iter().for_each(|carry| uses[carry.next.0 as usize] += 1);
            count_uses(body, uses);
        }
    }
}

/// Whether a loaded value's only reader is the next statement, which can read it from memory: a scalar that is copied
/// to all lanes, a vector that is a factor, added or widened.
fn reads_from_memory(kernel: &TileKernel, uses: &[u32], loaded: Reg, next: Option<&Stmt>) -> bool {
    let Some(Stmt::Let(_, next)) = next else { return false };
    let wide = kernel.regs[loaded.0 as usize].vector;
    let reads = match next {
        Inst::Splat(a) => !wide && *a == loaded,
        Inst::Widen(a) => wide && *a == loaded,
        Inst::Fma(a, b, c) => wide && (*a == loaded || *b == loaded) && *c != loaded,
        Inst::Binary(_, a, b) => wide && *b == loaded && *a != loaded,
        _ => false,
    };
    reads && uses[loaded.0 as usize] == 1
}

struct Emitter<'k> {
    kernel: &'k TileKernel,
    isa: Isa,
    /// How many lanes vectors have.
    lanes: usize,
    limits: Limits,
    allocation: Allocation,
    pointers: Pointers,
    uses: &'k [u32],
    /// The statement's position, as the allocation counts.
    position: u32,
    /// How many temporaries the statement has taken.
    taken: usize,
    /// How many temporaries each statement takes.
    needs: Vec<u8>,
    /// Whether all temporaries that were asked for existed.
    is_complete: bool,
    code: Vec<Instruction>,
    /// How many labels were given out. A label is the address that the encoder replaces.
    labels: u64,
    /// The label that the next instruction carries.
    pending: Option<u64>,
    /// Words after the code.
    pool: Vec<u32>,
    /// The argument whose pointer is in `BASE`.
    loaded: Option<usize>,
    /// A value that its only reader, the next statement, reads from memory.
    unloaded: Option<(Reg, Address)>,
}

type Emitted<T = ()> = Result<T, Unsupported>;

fn failed(_: iced_x86::IcedError) -> Unsupported {
    Unsupported
}

impl Emitter<'_> {
    fn push(&mut self, mut instruction: Instruction) {
        if let Some(label) = self.pending.take() {
            instruction.set_ip(label);
        }
        self.code.push(instruction);
    }

    fn add(&mut self, instruction: Result<Instruction, iced_x86::IcedError>) -> Emitted {
        self.push(instruction.map_err(failed)?);
        Ok(())
    }

    fn new_label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    /// The next instruction carries this label. What memory held is not known there.
    fn place(&mut self, label: u64) {
        if self.pending.is_some() {
            self.push(Instruction::with(Code::Nopd));
        }
        self.pending = Some(label);
        self.loaded = None;
    }

    fn function(&mut self) -> Emitted {
        let frame = self.frame()?;
        self.prologue(frame)?;
        self.block(&self.kernel.body)?;
        self.epilogue(frame)
    }

    /// The bytes of the frame: none where nothing lives on the stack.
    fn frame(&self) -> Emitted<i64> {
        match i64::from(self.allocation.slots) {
            0 => Ok(0),
            slots if (slots + 1) * LINE as i64 <= MAX_FRAME => Ok((slots + 1) * LINE as i64),
            _ => Err(Unsupported),
        }
    }

    /// The frame, what aligns it, saved registers and the return address.
    fn stack_bytes(&self) -> Emitted<u64> {
        Ok((self.frame()? + LINE as i64) as u64 + 8 * (self.saved().count() as u64 + 1))
    }

    /// The registers to save.
    fn saved(&self) -> impl DoubleEndedIterator<Item = Register> + use<> {
        let is_used = SAVED.map(|register| self.pointers.is_used(register));
        [POOL].into_iter().chain(SAVED.into_iter().zip(is_used).filter_map(|(register, used)| used.then_some(register)))
    }

    fn prologue(&mut self, frame: i64) -> Emitted {
        for register in self.saved() {
            self.add(Instruction::with1(Code::Push_r64, register))?;
        }
        let pool = MemoryOperand::with_base_displ(Register::RIP, SOMEWHERE);
        self.add(Instruction::with2(Code::Lea_r64_m, POOL, pool))?;
        if frame > 0 {
            // Touching each page of a large frame finds the end of the stack before anything lies beyond it.
            for page in 1..=frame / PAGE {
                let touched = MemoryOperand::with_base_displ(Register::RSP, -page * PAGE);
                self.add(Instruction::with2(Code::Or_rm64_imm8, touched, 0))?;
            }
            // A frame aligned to a cache line; its last slot keeps the stack pointer.
            self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, Register::RSP))?;
            self.add(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, frame as i32))?;
            self.add(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -(LINE as i32)))?;
            let kept = MemoryOperand::with_base_displ(Register::RSP, frame - LINE as i64);
            self.add(Instruction::with2(Code::Mov_rm64_r64, kept, RAX))?;
        }
        // The range of tiles comes in rdx and rcx; rcx may be the first's place.
        self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, Register::RCX))?;
        for (tile, from) in [(self.kernel.begin, RDX), (self.kernel.end, RAX)] {
            if self.uses[tile.0 as usize] > 0 {
                self.write_index(tile, from)?;
            }
        }
        for (argument, register) in self.pointers.kept() {
            let pointer = Self::pointer(argument);
            self.add(Instruction::with2(Code::Mov_r64_rm64, register, pointer))?;
        }
        Ok(())
    }

    fn epilogue(&mut self, frame: i64) -> Emitted {
        self.push(Instruction::with(Code::VEX_Vzeroupper));
        if frame > 0 {
            let kept = MemoryOperand::with_base_displ(Register::RSP, frame - LINE as i64);
            self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RSP, kept))?;
        }
        for register in self.saved().rev() {
            self.add(Instruction::with1(Code::Pop_r64, register))?;
        }
        self.push(Instruction::with(Code::Retnq));
        Ok(())
    }

    /// The code, and the constants at the next cache line.
    fn finish(self) -> Emitted<Vec<u8>> {
        let saved = self.saved().count();
        let block = InstructionBlock::new(&self.code, 0);
        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let encoded = BlockEncoder::encode(64, block, options).map_err(failed)?;
        let (mut bytes, offsets) = (encoded.code_buffer, encoded.new_instruction_offsets);
        bytes.resize(bytes.len().next_multiple_of(LINE), 0xcc);
        // the instruction after the saving of registers ends with the distance from its end to the constants
        let after = offsets[saved + 1] as usize;
        let distance = i32::try_from(bytes.len() - after).map_err(|_| Unsupported)?;
        bytes[after - 4..after].copy_from_slice(&distance.to_le_bytes());
        bytes.extend(self.pool.iter().flat_map(|word| word.to_le_bytes()));
        Ok(bytes)
    }

    fn location(&self, reg: Reg) -> Location {
        match self.unloaded {
            Some((unloaded, _)) if unloaded == reg => Location::Unloaded,
            _ => self.allocation.locations[reg.0 as usize],
        }
    }

    fn class(&self, reg: Reg) -> Class {
        self.kernel.regs[reg.0 as usize].class
    }

    fn is_vector(&self, reg: Reg) -> bool {
        self.kernel.regs[reg.0 as usize].vector
    }

    /// Whether a value fills a register, not only its first 128 bits or less.
    fn is_wide(&self, reg: Reg) -> bool {
        self.is_vector(reg) && (self.lanes == self.isa.lanes() || self.class(reg) == Class::Double)
    }

    fn slot(slot: u32) -> MemoryOperand {
        MemoryOperand::with_base_displ(Register::RSP, i64::from(slot) * LINE as i64)
    }

    fn enter(&mut self) {
        self.position += 1;
        self.taken = 0;
    }

    fn block(&mut self, stmts: &[Stmt]) -> Emitted {
        for (i, stmt) in stmts.iter().enumerate() {
            self.enter();
            match stmt {
                Stmt::Let(loaded, Inst::Load(_, address, None))
                    if reads_from_memory(self.kernel, self.uses, *loaded, stmts.get(i + 1)) =>
                {
                    self.unloaded = Some((*loaded, *address));
                    continue;
                }
                Stmt::Let(reg, inst) => self.inst(*reg, *inst)?,
                Stmt::Store(address, value, active) => self.store(*address, *value, *active)?,
                Stmt::Prefetch(address) => {
                    // To the second-level cache: panels and sums need all of the first. Nothing is lost without it.
                    if let Ok(memory) = self.address(*address) {
                        self.add(Instruction::with1(Code::Prefetcht1_m8, memory))?;
                    }
                }
                Stmt::LoadTransposed { into, address, stride, active, .. } => {
                    self.load_transposed(into, *address, *stride, *active)?;
                }
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    self.repeat(*counter, (*start, *end, *step), carried, body)?;
                }
            }
            self.unloaded = None;
        }
        Ok(())
    }

    fn inst(&mut self, reg: Reg, inst: Inst) -> Emitted {
        if let Some(emitted) = self.double_inst(reg, inst) {
            return emitted;
        }
        match inst {
            Inst::Float(_) | Inst::Int(_) | Inst::Bits(_) | Inst::FromBits(_) => Ok(()),
            Inst::Unary(FloatUnary::Sqrt, a) => self.unary(SQRT, reg, a),
            Inst::Unary(FloatUnary::Floor, a) => self.unary_immediate(ROUND, reg, a, 9),
            Inst::Unary(FloatUnary::Neg, a) => {
                let sign = self.constant(0x8000_0000);
                self.with_memory(XOR, reg, a, sign)
            }
            Inst::Unary(FloatUnary::Abs, a) => {
                let rest = self.constant(0x7fff_ffff);
                self.with_memory(AND, reg, a, rest)
            }
            Inst::Binary(op, a, b) => {
                let codes = match op {
                    FloatBinary::Add => ADD,
                    FloatBinary::Sub => SUB,
                    FloatBinary::Mul => MUL,
                    FloatBinary::Div => DIV,
                    FloatBinary::Max => MAX,
                    FloatBinary::Min => MIN,
                };
                self.binary(codes, reg, a, b)
            }
            Inst::Fma(a, b, c) => self.fma(reg, a, b, c),
            Inst::Compare(op, a, b) => self.compare(COMPARE, reg, a, b, Some(predicate(op))),
            Inst::Select(m, a, b) => self.select(reg, m, a, b),
            Inst::ToFloat(a) => self.unary(TO_FLOAT, reg, a),
            Inst::IntBinary(op, a, b) => {
                let codes = match op {
                    IntBinary::Add => IADD,
                    IntBinary::Sub => ISUB,
                    IntBinary::And => AND,
                    IntBinary::Or => OR,
                    IntBinary::Xor => XOR,
                };
                self.binary(codes, reg, a, b)
            }
            Inst::Shift(Shift::Left, a, by) => self.unary_immediate(SHL, reg, a, by),
            Inst::Shift(Shift::LogicalRight, a, by) => self.unary_immediate(SHR, reg, a, by),
            Inst::Shift(Shift::ArithmeticRight, a, by) => self.unary_immediate(SAR, reg, a, by),
            Inst::Shift(Shift::RotateLeft, a, by) => self.rotate(reg, a, by),
            Inst::IntEqual(a, b) => self.compare(IEQUAL, reg, a, b, None),
            Inst::IntLess(a, b) => self.compare(IGREATER, reg, b, a, None),
            Inst::Splat(a) => self.splat(reg, a),
            Inst::LaneNumbers => {
                let lanes = (0..self.lanes as u32).collect::<Vec<_>>();
                let memory = self.pooled(&lanes);
                let target = self.target(reg);
                self.add(Instruction::with2(MOVE.of(self.isa, self.is_wide(reg)), target, memory))?;
                self.keep(reg, target)
            }
            Inst::Halves(a, b, upper) => self.halves(reg, a, b, upper),
            Inst::Load(_, address, active) => self.load(reg, address, active),
            Inst::LoadStrided(_, address, stride, active) => self.load_strided(reg, address, stride, active),
            _ => self.index_inst(reg, inst),
        }
    }
}

/// How instructions that compare say by what.
fn predicate(op: FloatCompare) -> u32 {
    match op {
        FloatCompare::Less => 1,
        FloatCompare::LessEqual => 2,
        FloatCompare::Equal => 0,
    }
}
