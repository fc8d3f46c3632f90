//! Tile IR to x86-64 machine code for 512-bit vectors (AVX-512 F, VL, DQ).
//!
//! Cranelift's vectors end at 128 bits; these functions stand beside its own in the same module. A function is one
//! position-independent blob: code, then its constants. Vectors are zmm registers, scalars of either kind xmm registers, truth values
//! mask registers, indices general registers. It follows the System V convention and calls nothing.

mod allocate;
mod index;
mod vector;

use crate::tile::*;
use allocate::{Allocation, Limits, Location, allocate, operands};
use iced_x86::{BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register};
use index::low_half;
use vector::*;

/// The number of elements of a vector.
pub const WIDTH: usize = 16;

/// Why a kernel is left to the portable emitter.
#[derive(Debug)]
pub struct Unsupported;

/// Whether this machine runs the code.
pub fn is_supported() -> bool {
    #[cfg(all(target_arch = "x86_64", unix))]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
    }
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    {
        false
    }
}

/// Vector registers that hold values; the three above them hold operands from memory.
const VECTORS: u8 = 29;
/// Mask registers k1 to k5 hold values; k6 and k7 are temporary, k0 means no mask.
const MASKS: u8 = 5;
const GENERAL: [Register; 9] = [
    Register::RBX,
    Register::RCX,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
const SAVED: [Register; 6] = [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];
/// The table of pointer arguments and the scratch memory, as they are passed.
const ARGUMENTS: Register = Register::RDI;
const SCRATCH: Register = Register::RSI;
/// The constants.
const POOL: Register = Register::RBP;
/// Where a pointer argument is loaded to.
const BASE: Register = Register::R11;
/// Temporaries; division needs these two.
const RAX: Register = Register::RAX;
const RDX: Register = Register::RDX;
/// The smallest page of any system.
const PAGE: i64 = 4096;
/// The largest frame.
const MAX_FRAME: i64 = 1 << 16;
/// The label of the constants.
const POOL_LABEL: u64 = 1 << 40;

/// Machine code for `kernel`.
pub fn emit(kernel: &TileKernel) -> Result<Vec<u8>, Unsupported> {
    let limits = Limits { vector: VECTORS, mask: MASKS, general: GENERAL.len() as u8 };
    let allocation = allocate(kernel, limits);
    let frame = i64::from(allocation.slots) * 64 + 64;
    if frame > MAX_FRAME {
        return Err(Unsupported);
    }
    let mut uses = vec![0; kernel.regs.len()];
    count_uses(&kernel.body, &mut uses);
    let mut emitter = Emitter {
        kernel,
        allocation,
        uses,
        code: Vec::new(),
        labels: 0,
        pending: None,
        constants: (0..WIDTH as u32).collect(),
        loaded: None,
    };
    emitter.prologue(frame)?;
    emitter.block(&kernel.body)?;
    emitter.epilogue(frame)?;
    emitter.finish()
}

fn count_uses(stmts: &[Stmt], uses: &mut [u32]) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, inst) => operands(inst).into_iter().for_each(|reg| uses[reg.0 as usize] += 1),
            Stmt::Store(address, value) => {
                uses[address.index.0 as usize] += 1;
                uses[value.0 as usize] += 1;
            }
            Stmt::Loop { start, end, carried, body, .. } => {
                let carried = carried.iter().flat_map(|c| [c.initial, c.next]);
                [*start, *end].into_iter().chain(carried).for_each(|reg| uses[reg.0 as usize] += 1);
                count_uses(body, uses);
            }
        }
    }
}

struct Emitter<'k> {
    kernel: &'k TileKernel,
    allocation: Allocation,
    uses: Vec<u32>,
    code: Vec<Instruction>,
    /// How many labels were given out. A label is the address that the encoder replaces.
    labels: u64,
    /// The label that the next instruction carries.
    pending: Option<u64>,
    /// Words after the code; the first are the numbers of lanes.
    constants: Vec<u32>,
    /// The argument whose pointer is in `BASE`.
    loaded: Option<usize>,
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

    fn prologue(&mut self, frame: i64) -> Emitted {
        for register in SAVED {
            self.add(Instruction::with1(Code::Push_r64, register))?;
        }
        // Touching each page of a large frame finds the end of the stack before anything lies beyond it.
        for page in 1..=frame / PAGE {
            let touched = MemoryOperand::with_base_displ(Register::RSP, -page * PAGE);
            self.add(Instruction::with2(Code::Or_rm64_imm8, touched, 0))?;
        }
        // A frame aligned to a cache line; its last slot keeps the stack pointer.
        self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, Register::RSP))?;
        self.add(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, frame as i32))?;
        self.add(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64))?;
        let kept = MemoryOperand::with_base_displ(Register::RSP, frame - 64);
        self.add(Instruction::with2(Code::Mov_rm64_r64, kept, RAX))?;
        let pool = MemoryOperand::with_base_displ(Register::RIP, POOL_LABEL as i64);
        self.add(Instruction::with2(Code::Lea_r64_m, POOL, pool))?;
        // The range of tiles comes in rdx and rcx; rcx may be the first's place.
        self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, Register::RCX))?;
        self.write_index(self.kernel.begin, RDX)?;
        self.write_index(self.kernel.end, RAX)
    }

    fn epilogue(&mut self, frame: i64) -> Emitted {
        self.push(Instruction::with(Code::VEX_Vzeroupper));
        let kept = MemoryOperand::with_base_displ(Register::RSP, frame - 64);
        self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RSP, kept))?;
        for register in SAVED.into_iter().rev() {
            self.add(Instruction::with1(Code::Pop_r64, register))?;
        }
        self.push(Instruction::with(Code::Retnq));
        Ok(())
    }

    fn finish(mut self) -> Emitted<Vec<u8>> {
        self.place(POOL_LABEL);
        for i in 0..self.constants.len() {
            let word = Instruction::with_declare_dword_1(self.constants[i]);
            self.push(word);
        }
        let block = InstructionBlock::new(&self.code, 0);
        Ok(BlockEncoder::encode(64, block, BlockEncoderOptions::NONE).map_err(failed)?.code_buffer)
    }

    fn location(&self, reg: Reg) -> Location {
        self.allocation.locations[reg.0 as usize]
    }

    fn is_wide(&self, reg: Reg) -> bool {
        self.kernel.regs[reg.0 as usize].vector
    }

    fn slot(slot: u32) -> MemoryOperand {
        MemoryOperand::with_base_displ(Register::RSP, i64::from(slot) * 64)
    }

    /// A constant, repeated in all lanes where an instruction takes a vector.
    fn constant(&mut self, bits: u32, repeated: bool) -> MemoryOperand {
        let known = self.constants[WIDTH..].iter().position(|&word| word == bits);
        let index = WIDTH
            + known.unwrap_or_else(|| {
                self.constants.push(bits);
                self.constants.len() - 1 - WIDTH
            });
        MemoryOperand::new(POOL, Register::None, 1, index as i64 * 4, 1, repeated, Register::None)
    }

    fn block(&mut self, stmts: &[Stmt]) -> Emitted {
        let mut i = 0;
        while i < stmts.len() {
            match &stmts[i] {
                Stmt::Let(loaded, Inst::Load(_, address)) if !self.is_wide(*loaded) => {
                    // a scalar that only fills a vector is loaded into all its lanes
                    if let Some(Stmt::Let(filled, Inst::Splat(of))) = stmts.get(i + 1)
                        && of == loaded
                        && self.uses[loaded.0 as usize] == 1
                    {
                        let memory = self.address(*address)?;
                        let target = self.target(*filled);
                        self.add(Instruction::with2(BROADCAST.of(true), target, memory))?;
                        self.keep(*filled)?;
                        i += 1;
                    } else {
                        let memory = self.address(*address)?;
                        let target = self.target(*loaded);
                        self.add(Instruction::with2(Code::EVEX_Vmovss_xmm_k1z_m32, target, memory))?;
                        self.keep(*loaded)?;
                    }
                }
                Stmt::Let(reg, inst) => self.inst(*reg, *inst)?,
                Stmt::Store(address, value) => self.store(*address, *value)?,
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    self.repeat(*counter, (*start, *end, *step), carried, body)?;
                }
            }
            i += 1;
        }
        Ok(())
    }

    fn store(&mut self, address: Address, value: Reg) -> Emitted {
        let wide = self.is_wide(value);
        let value = self.register(value, wide, 0)?;
        let memory = self.address(address)?;
        let code = if wide { Code::EVEX_Vmovups_zmmm512_k1z_zmm } else { Code::EVEX_Vmovss_m32_k1_xmm };
        self.add(Instruction::with2(code, memory, value))
    }

    fn inst(&mut self, reg: Reg, inst: Inst) -> Emitted {
        match inst {
            Inst::Float(_) | Inst::Int(_) | Inst::Bits(_) | Inst::FromBits(_) => Ok(()),
            Inst::Index(_) if matches!(self.location(reg), Location::Index(_)) => Ok(()),
            Inst::Index(x) => {
                self.add(Instruction::with2(Code::Mov_r64_imm64, RAX, x))?;
                self.write_index(reg, RAX)
            }
            Inst::Unary(FloatUnary::Sqrt, a) => self.unary(SQRT, reg, a),
            Inst::Unary(FloatUnary::Floor, a) => self.unary_immediate(ROUND, reg, a, 9),
            Inst::Unary(FloatUnary::Neg, a) => self.with_constant(XOR, reg, a, 0x8000_0000),
            Inst::Unary(FloatUnary::Abs, a) => self.with_constant(AND, reg, a, 0x7fff_ffff),
            Inst::Binary(op, a, b) => {
                let pair = match op {
                    FloatBinary::Add => ADD,
                    FloatBinary::Sub => SUB,
                    FloatBinary::Mul => MUL,
                    FloatBinary::Div => DIV,
                };
                self.binary(pair, reg, a, b)
            }
            Inst::Fma(a, b, c) => self.fma(reg, a, b, c),
            Inst::Compare(op, a, b) => {
                let predicate = match op {
                    FloatCompare::Less => 1,
                    FloatCompare::LessEqual => 2,
                    FloatCompare::Equal => 0,
                };
                self.compare(COMPARE, reg, a, b, predicate)
            }
            Inst::Select(m, a, b) => self.select(reg, m, a, b),
            Inst::ToFloat(a) => self.unary(TO_FLOAT, reg, a),
            Inst::IntBinary(op, a, b) => {
                let pair = match op {
                    IntBinary::Add => IADD,
                    IntBinary::Sub => ISUB,
                    IntBinary::And => AND,
                    IntBinary::Or => OR,
                    IntBinary::Xor => XOR,
                };
                self.binary(pair, reg, a, b)
            }
            Inst::Shift(op, a, by) => {
                let pair = match op {
                    Shift::Left => SHL,
                    Shift::LogicalRight => SHR,
                    Shift::ArithmeticRight => SAR,
                    Shift::RotateLeft => ROTL,
                };
                self.unary_immediate(pair, reg, a, by)
            }
            Inst::IntEqual(a, b) => self.compare(ICOMPARE, reg, a, b, 0),
            Inst::IntLess(a, b) => self.compare(ICOMPARE, reg, a, b, 1),
            Inst::Splat(a) => {
                let target = self.target(reg);
                let instruction = match self.location(a) {
                    Location::Register(n) => Instruction::with2(BROADCAST.of(true), target, vector(n, false)),
                    Location::Slot(slot) => Instruction::with2(BROADCAST.of(true), target, Self::slot(slot)),
                    Location::Constant(bits) => {
                        let memory = self.constant(bits, false);
                        Instruction::with2(BROADCAST.of(true), target, memory)
                    }
                    Location::Index(_) => unreachable!("an index is no vector"),
                };
                self.add(instruction)?;
                self.keep(reg)
            }
            Inst::LaneNumbers => {
                let lanes = MemoryOperand::with_base(POOL);
                let target = self.target(reg);
                self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, target, lanes))?;
                self.keep(reg)
            }
            Inst::Load(_, address) => {
                let memory = self.address(address)?;
                let target = self.target(reg);
                self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, target, memory))?;
                self.keep(reg)
            }
            Inst::LoadStrided(_, address, stride) => self.gather(reg, address, stride),
            Inst::IndexLow(a) => {
                let a = self.index(a, RAX)?;
                let target = self.target(reg);
                self.add(Instruction::with2(Code::EVEX_Vmovd_xmm_rm32, target, low_half(a)))?;
                self.keep(reg)
            }
            Inst::IndexHigh(a) => {
                let a = self.index(a, RAX)?;
                if a != RAX {
                    self.add(Instruction::with2(Code::Mov_r64_rm64, RAX, a))?;
                }
                self.add(Instruction::with2(Code::Shr_rm64_imm8, RAX, 32))?;
                let target = self.target(reg);
                self.add(Instruction::with2(Code::EVEX_Vmovd_xmm_rm32, target, Register::EAX))?;
                self.keep(reg)
            }
            Inst::IndexFrom(low, high) => {
                let (low, high) = (self.register(low, false, 0)?, self.register(high, false, 1)?);
                self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, Register::EAX, low))?;
                self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, Register::EDX, high))?;
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
        }
    }

    /// Copies a value to the place of another of its type.
    fn copy(&mut self, to: Reg, from: Reg) -> Emitted {
        let (there, here) = (self.location(to), self.location(from));
        if there == here {
            return Ok(());
        }
        match self.kernel.regs[to.0 as usize].class {
            Class::Index => {
                let from = self.index(from, RAX)?;
                self.write_index(to, from)
            }
            Class::Mask => Err(Unsupported),
            Class::Float | Class::Int => {
                let wide = self.is_wide(to);
                let target = self.target(to);
                self.load_into(target, from, wide)?;
                self.keep(to)
            }
        }
    }

    fn repeat(
        &mut self,
        counter: Reg,
        (start, end, step): (Reg, Reg, i64),
        carried: &[Carried],
        body: &[Stmt],
    ) -> Emitted {
        let (looped, after) = (self.new_label(), self.new_label());
        for carry in carried {
            // copies are made one after the other: none may overwrite what another still reads
            let overwritten = |to: &Carried| {
                self.location(to.reg) != self.location(to.next)
                    && to.reg != carry.reg
                    && self.location(to.reg) == self.location(carry.next)
                    && self.same_file(to.reg, carry.next)
            };
            if carried.iter().any(overwritten) {
                return Err(Unsupported);
            }
        }
        for carry in carried {
            self.copy(carry.reg, carry.initial)?;
        }
        let first = self.index(start, RAX)?;
        self.write_index(counter, first)?;
        self.test(counter, end)?;
        self.add(Instruction::with_branch(Code::Jge_rel32_64, after))?;
        self.place(looped);
        self.block(body)?;
        for carry in carried {
            self.copy(carry.reg, carry.next)?;
        }
        let now = self.index(counter, RAX)?;
        let step = i32::try_from(step).map_err(|_| Unsupported)?;
        self.add(Instruction::with2(Code::Add_rm64_imm32, now, step))?;
        self.write_index(counter, now)?;
        self.test(counter, end)?;
        self.add(Instruction::with_branch(Code::Jl_rel32_64, looped))?;
        self.place(after);
        Ok(())
    }

    fn same_file(&self, a: Reg, b: Reg) -> bool {
        let file = |r: Reg| allocate::file(self.kernel.regs[r.0 as usize].class);
        file(a) == file(b)
    }

    fn test(&mut self, counter: Reg, end: Reg) -> Emitted {
        let counter = self.index(counter, RAX)?;
        match self.location(end) {
            Location::Index(x) => self.add(Instruction::with2(Code::Cmp_rm64_imm32, counter, x as i32)),
            _ => {
                let end = self.index(end, RDX)?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, counter, end))
            }
        }
    }
}
