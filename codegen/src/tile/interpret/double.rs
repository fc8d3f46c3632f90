//! What operations on doubles give.

use super::{Interpreter, Words, ZERO};
use crate::tile::{FloatBinary, FloatCompare, FloatUnary, Inst, Reg};
use bayeslift_ir::{DoubleLanes, Lanes, Scalar};

impl Interpreter<'_, '_> {
    fn double(&self, reg: Reg, lane: usize) -> f64 {
        let words = self.words(reg);
        Scalar.double_of_words(words[2 * lane + 1], words[2 * lane])
    }

    /// What an operation gives that makes doubles or takes some; `None` for any other.
    pub(super) fn double_inst(&self, reg: Reg, inst: Inst) -> Option<Words> {
        Some(match inst {
            Inst::Double(bits) => self.doubles(reg, |_| f64::from_bits(bits)),
            Inst::Unary(op, a) if self.is_double(a) => self.doubles(reg, |lane| {
                let a = self.double(a, lane);
                match op {
                    FloatUnary::Sqrt => Scalar.dsqrt(a),
                    FloatUnary::Neg => Scalar.dneg(a),
                    FloatUnary::Abs => Scalar.dabs(a),
                    FloatUnary::Floor => Scalar.dfloor(a),
                }
            }),
            Inst::Binary(op, a, b) if self.is_double(a) => self.doubles(reg, |lane| {
                let [a, b] = [a, b].map(|reg| self.double(reg, lane));
                match op {
                    FloatBinary::Add => Scalar.dadd(a, b),
                    FloatBinary::Sub => Scalar.dsub(a, b),
                    FloatBinary::Mul => Scalar.dmul(a, b),
                    FloatBinary::Div => Scalar.ddiv(a, b),
                    FloatBinary::Max if a > b => a,
                    FloatBinary::Min if a < b => a,
                    FloatBinary::Max | FloatBinary::Min => b,
                }
            }),
            Inst::Compare(op, a, b) if self.is_double(a) => self.of_lanes(reg, |lane| {
                let [a, b] = [a, b].map(|reg| self.double(reg, lane));
                let holds = match op {
                    FloatCompare::Less => Scalar.dless(a, b),
                    FloatCompare::LessEqual => Scalar.dless_equal(a, b),
                    FloatCompare::Equal => Scalar.dequal(a, b),
                };
                if holds { u32::MAX } else { 0 }
            }),
            Inst::Select(mask, a, b) if self.is_double(a) => {
                self.doubles(reg, |lane| self.double(if self.words(mask)[lane] != 0 { a } else { b }, lane))
            }
            Inst::Splat(a) if self.is_double(a) => self.doubles(reg, |_| self.double(a, 0)),
            Inst::Widen(a) => self.doubles(reg, |lane| Scalar.widen(Scalar.float_of_bits(self.words(a)[lane]))),
            Inst::Narrow(a) => self.of_lanes(reg, |lane| Scalar.bits(Scalar.narrow(self.double(a, lane)))),
            Inst::ToDouble(a) => self.doubles(reg, |lane| Scalar.to_double(self.words(a)[lane])),
            Inst::HighWord(a) => self.of_lanes(reg, |lane| Scalar.high_word(self.double(a, lane))),
            Inst::LowWord(a) => self.of_lanes(reg, |lane| Scalar.low_word(self.double(a, lane))),
            Inst::FromWords(high, low) => {
                self.doubles(reg, |lane| Scalar.double_of_words(self.words(high)[lane], self.words(low)[lane]))
            }
            _ => return None,
        })
    }

    /// A double for each lane.
    fn doubles(&self, reg: Reg, f: impl FnMut(usize) -> f64) -> Words {
        let mut words = ZERO.words;
        let doubles = (0..self.touched(reg, None)).map(f);
        for (pair, x) in words.chunks_exact_mut(2).zip(doubles) {
            pair.copy_from_slice(&[Scalar.low_word(x), Scalar.high_word(x)]);
        }
        words
    }
}
