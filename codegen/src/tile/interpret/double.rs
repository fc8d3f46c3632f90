//! What operations on doubles give.

use super::{Interpreter, Value, ZERO};
use crate::tile::{Class, FloatBinary, FloatCompare, FloatUnary, Inst, Reg};
use bayeslift_ir::{DoubleLanes, Lanes, Scalar};

impl Interpreter<'_, '_> {
    fn double(&self, reg: Reg) -> f64 {
        let [low, high, ..] = *self.words(reg);
        Scalar.double_of_words(high, low)
    }

    /// What an operation gives that makes a double or takes one; `None` for any other.
    pub(super) fn double_inst(&self, inst: Inst) -> Option<Value> {
        let is_double = |reg: Reg| self.kernel.regs[reg.0 as usize].class == Class::Double;
        Some(match inst {
            Inst::Double(bits) => of_double(f64::from_bits(bits)),
            Inst::Unary(op, a) if is_double(a) => {
                let a = self.double(a);
                of_double(match op {
                    FloatUnary::Sqrt => Scalar.dsqrt(a),
                    FloatUnary::Neg => Scalar.dneg(a),
                    FloatUnary::Abs => Scalar.dabs(a),
                    FloatUnary::Floor => Scalar.dfloor(a),
                })
            }
            Inst::Binary(op, a, b) if is_double(a) => {
                let [a, b] = [a, b].map(|reg| self.double(reg));
                of_double(match op {
                    FloatBinary::Add => Scalar.dadd(a, b),
                    FloatBinary::Sub => Scalar.dsub(a, b),
                    FloatBinary::Mul => Scalar.dmul(a, b),
                    FloatBinary::Div => Scalar.ddiv(a, b),
                    FloatBinary::Max if a > b => a,
                    FloatBinary::Min if a < b => a,
                    FloatBinary::Max | FloatBinary::Min => b,
                })
            }
            Inst::Compare(op, a, b) if is_double(a) => {
                let [a, b] = [a, b].map(|reg| self.double(reg));
                let holds = match op {
                    FloatCompare::Less => Scalar.dless(a, b),
                    FloatCompare::LessEqual => Scalar.dless_equal(a, b),
                    FloatCompare::Equal => Scalar.dequal(a, b),
                };
                of_word(if holds { u32::MAX } else { 0 })
            }
            Inst::Select(mask, a, b) if is_double(a) => {
                of_double(if self.words(mask)[0] != 0 { self.double(a) } else { self.double(b) })
            }
            Inst::Widen(a) => of_double(Scalar.widen(Scalar.float_of_bits(self.words(a)[0]))),
            Inst::Narrow(a) => of_word(Scalar.bits(Scalar.narrow(self.double(a)))),
            Inst::ToDouble(a) => of_double(Scalar.to_double(self.words(a)[0])),
            Inst::HighWord(a) => of_word(Scalar.high_word(self.double(a))),
            Inst::LowWord(a) => of_word(Scalar.low_word(self.double(a))),
            Inst::FromWords(high, low) => of_double(Scalar.double_of_words(self.words(high)[0], self.words(low)[0])),
            _ => return None,
        })
    }
}

fn of_double(x: f64) -> Value {
    let mut value = of_word(Scalar.low_word(x));
    value.words[1] = Scalar.high_word(x);
    value
}

fn of_word(word: u32) -> Value {
    let mut value = ZERO;
    value.words[0] = word;
    value
}
