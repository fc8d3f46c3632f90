//! Doubles: four fill a register. What stands beside them has four lanes too, in half a register: floats, integers, and
//! truth values, which are words of all ones or zeros as those of floats are.

use super::memory::{after, target_of_four};
use super::vector::RegisterOrMemory;
use super::{isa::*, *};

/// Which words of two registers to put together: the low ones of four doubles, or the high ones.
const LOW_WORDS: u32 = 0x88;
const HIGH_WORDS: u32 = 0xdd;

impl Emitter<'_> {
    /// An operation that makes doubles or takes some; `None` for any other.
    pub(super) fn double_inst(&mut self, reg: Reg, inst: Inst) -> Option<Emitted> {
        let is_double = |reg: Reg| self.class(reg) == Class::Double;
        Some(match inst {
            Inst::Double(_) => Ok(()),
            Inst::Unary(op, a) if is_double(a) => match op {
                FloatUnary::Sqrt => self.unary(SQRT_DOUBLE, reg, a),
                FloatUnary::Floor => self.unary_immediate(ROUND_DOUBLE, reg, a, 9),
                FloatUnary::Neg => {
                    let sign = self.constant_double(1 << 63);
                    self.with_memory(XOR, reg, a, sign)
                }
                FloatUnary::Abs => {
                    let rest = self.constant_double(u64::MAX >> 1);
                    self.with_memory(AND, reg, a, rest)
                }
            },
            Inst::Binary(op, a, b) if is_double(a) => {
                let codes = match op {
                    FloatBinary::Add => ADD_DOUBLE,
                    FloatBinary::Sub => SUB_DOUBLE,
                    FloatBinary::Mul => MUL_DOUBLE,
                    FloatBinary::Div => DIV_DOUBLE,
                    FloatBinary::Max => MAX_DOUBLE,
                    FloatBinary::Min => MIN_DOUBLE,
                };
                self.binary(codes, reg, a, b)
            }
            Inst::Compare(op, a, b) if is_double(a) => self.compare_doubles(reg, a, b, predicate(op)),
            Inst::Select(m, a, b) if is_double(a) => self.select_doubles(reg, m, a, b),
            Inst::Widen(a) => self.unary(WIDEN, reg, a),
            Inst::Narrow(a) => self.unary(NARROW, reg, a),
            Inst::ToDouble(a) => self.unary(TO_DOUBLE, reg, a),
            Inst::HighWord(a) => self.words_of_doubles(reg, a, HIGH_WORDS),
            Inst::LowWord(a) => self.words_of_doubles(reg, a, LOW_WORDS),
            Inst::FromWords(high, low) => self.doubles_of_words(reg, high, low),
            _ => return None,
        })
    }

    fn compare_doubles(&mut self, reg: Reg, a: Reg, b: Reg, predicate: u32) -> Emitted {
        let wide = self.is_wide(a);
        let (a, target) = (self.register(a, wide)?, self.target(reg));
        // the lower half of what is compared lies where the result will
        let compared = if wide { whole(target) } else { target };
        let code = COMPARE_DOUBLE.of(self.isa, wide);
        let instruction = match self.source(b, wide)? {
            RegisterOrMemory::Register(b) => Instruction::with4(code, compared, a, b, predicate),
            RegisterOrMemory::Memory(b) => Instruction::with4(code, compared, a, b, predicate),
        };
        self.add(instruction)?;
        if wide {
            self.put_together(target, compared, LOW_WORDS)?;
        }
        self.keep(reg, target)
    }

    fn words_of_doubles(&mut self, reg: Reg, a: Reg, which: u32) -> Emitted {
        let wide = self.is_wide(a);
        let (a, target) = (self.register(a, wide)?, self.target(reg));
        self.put_together(target, a, which)?;
        self.keep(reg, target)
    }

    /// The low or the high words of four doubles, or of two.
    fn put_together(&mut self, target: Register, doubles: Register, which: u32) -> Emitted {
        let lower = target_of_four(doubles);
        let mut upper = lower;
        if doubles != lower {
            upper = self.temporary(false);
            self.add(Instruction::with3(Code::VEX_Vextractf128_xmmm128_ymm_imm8, upper, doubles, 1))?;
        }
        self.add(Instruction::with4(SHUFFLE.of(self.isa, false), target, lower, upper, which))
    }

    fn doubles_of_words(&mut self, reg: Reg, high: Reg, low: Reg) -> Emitted {
        let (isa, target) = (self.isa, self.target(reg));
        let (low, high) = (self.register(low, false)?, self.register(high, false)?);
        let lower = target_of_four(target);
        let upper = (target != lower).then(|| self.temporary(false));
        // first what goes beside the result: that may lie where the words do
        if let Some(upper) = upper {
            self.add(Instruction::with3(UNPACK_HIGH.of(isa, false), upper, low, high))?;
        }
        self.add(Instruction::with3(UNPACK_LOW.of(isa, false), lower, low, high))?;
        if let Some(upper) = upper {
            self.add(Instruction::with4(INSERT_FOUR.of(isa, true), target, target, upper, 1))?;
        }
        self.keep(reg, target)
    }

    fn select_doubles(&mut self, reg: Reg, m: Reg, a: Reg, b: Reg) -> Emitted {
        let (isa, wide, target) = (self.isa, self.is_wide(reg), self.target(reg));
        let extended = self.temporary(wide);
        let code = EXTEND.of(isa, wide);
        let instruction = match self.source(m, false)? {
            RegisterOrMemory::Register(m) => Instruction::with2(code, extended, m),
            RegisterOrMemory::Memory(m) => Instruction::with2(code, extended, m),
        };
        self.add(instruction)?;
        let b = self.register(b, wide)?;
        let code = BLEND_DOUBLE.of(isa, wide);
        let instruction = match self.source(a, wide)? {
            RegisterOrMemory::Register(a) => Instruction::with4(code, target, b, a, extended),
            RegisterOrMemory::Memory(a) => Instruction::with4(code, target, b, a, extended),
        };
        self.add(instruction)?;
        self.keep(reg, target)
    }

    /// Doubles that lie `stride` words apart.
    pub(super) fn load_strided_doubles(
        &mut self,
        target: Register,
        memory: MemoryOperand,
        stride: i64,
        lanes: u32,
    ) -> Emitted {
        let (isa, first) = (self.isa, target_of_four(target));
        let other = if lanes > 2 { self.temporary(false) } else { first };
        for lane in 0..lanes {
            let into = if lane < 2 { first } else { other };
            let element = after(memory, i64::from(lane) * stride)?;
            self.add(match lane % 2 {
                0 => Instruction::with2(LOAD_FIRST.of(isa, false), into, element),
                _ => Instruction::with3(LOAD_SECOND.of(isa, false), into, into, element),
            })?;
        }
        if lanes > 2 {
            self.add(Instruction::with4(INSERT_FOUR.of(isa, true), target, target, other, 1))?;
        }
        Ok(())
    }
}

/// The register of four doubles of which this is the half.
fn whole(half: Register) -> Register {
    Register::YMM0 + (half as u32 - Register::XMM0 as u32)
}
