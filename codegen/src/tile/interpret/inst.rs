//! What each operation gives.

use super::{Interpreter, Value, Words, ZERO};
use crate::tile::{Fault, FloatBinary, FloatCompare, FloatUnary, Inst, IntBinary, Reg, Shift};
use bayeslift_ir::{Lanes, Scalar};

impl Interpreter<'_, '_> {
    pub(super) fn inst(&self, reg: Reg, inst: Inst) -> Result<Value, Fault> {
        if let Some(words) = self.double_inst(reg, inst) {
            return Ok(Value { words, ..ZERO });
        }
        let words = match inst {
            Inst::Float(word) | Inst::Int(word) => self.each(reg, [], |[]| word),
            Inst::Unary(op, a) => self.each(reg, [a], |[a]| {
                let a = Scalar.float_of_bits(a);
                Scalar.bits(match op {
                    FloatUnary::Sqrt => Scalar.sqrt(a),
                    FloatUnary::Neg => Scalar.neg(a),
                    FloatUnary::Abs => Scalar.abs(a),
                    FloatUnary::Floor => Scalar.floor(a),
                })
            }),
            Inst::Binary(op, a, b) => self.each(reg, [a, b], |words| {
                let [a, b] = words.map(|word| Scalar.float_of_bits(word));
                Scalar.bits(match op {
                    FloatBinary::Add => Scalar.add(a, b),
                    FloatBinary::Sub => Scalar.sub(a, b),
                    FloatBinary::Mul => Scalar.mul(a, b),
                    FloatBinary::Div => Scalar.div(a, b),
                    FloatBinary::Max if a > b => a,
                    FloatBinary::Min if a < b => a,
                    FloatBinary::Max | FloatBinary::Min => b,
                })
            }),
            Inst::Fma(a, b, c) => self.each(reg, [a, b, c], |words| {
                let [a, b, c] = words.map(|word| Scalar.float_of_bits(word));
                Scalar.bits(Scalar.fma(a, b, c))
            }),
            Inst::Compare(op, a, b) => self.each(reg, [a, b], |words| {
                let [a, b] = words.map(|word| Scalar.float_of_bits(word));
                mask(match op {
                    FloatCompare::Less => Scalar.less(a, b),
                    FloatCompare::LessEqual => Scalar.less_equal(a, b),
                    FloatCompare::Equal => Scalar.equal(a, b),
                })
            }),
            Inst::Select(m, a, b) => self.each(reg, [m, a, b], |[m, a, b]| Scalar.iselect(m != 0, a, b)),
            Inst::Bits(a) | Inst::FromBits(a) => *self.words(a),
            Inst::ToFloat(a) => self.each(reg, [a], |[a]| Scalar.bits(Scalar.to_float(a))),
            Inst::IntBinary(op, a, b) => self.each(reg, [a, b], |[a, b]| match op {
                IntBinary::Add => Scalar.iadd(a, b),
                IntBinary::Sub => Scalar.isub(a, b),
                IntBinary::And => Scalar.and(a, b),
                IntBinary::Or => Scalar.or(a, b),
                IntBinary::Xor => Scalar.xor(a, b),
            }),
            Inst::Shift(op, a, by) => self.each(reg, [a], |[a]| match op {
                Shift::Left => Scalar.shl(a, by),
                Shift::LogicalRight => Scalar.shr(a, by),
                Shift::ArithmeticRight => Scalar.sar(a, by),
                Shift::RotateLeft => Scalar.rotl(a, by),
            }),
            Inst::IntEqual(a, b) => self.each(reg, [a, b], |[a, b]| mask(Scalar.iequal(a, b))),
            Inst::IntLess(a, b) => self.each(reg, [a, b], |[a, b]| mask(Scalar.iless(a, b))),
            Inst::Splat(a) => self.each(reg, [], |[]| self.words(a)[0]),
            Inst::LaneNumbers => self.of_lanes(reg, |lane| lane as u32),
            Inst::Halves(a, b, upper) => {
                let half = self.lanes / 2;
                let from = if upper { half } else { 0 };
                let mut words = ZERO.words;
                words[..half].copy_from_slice(&self.words(a)[from..from + half]);
                words[half..2 * half].copy_from_slice(&self.words(b)[from..from + half]);
                words
            }
            Inst::Load(_, address, active) => self.load(reg, address, self.neighbours(reg), active)?,
            Inst::LoadStrided(_, address, stride, active) => self.load(reg, address, stride, active)?,
            Inst::IndexLow(a) => self.each(reg, [], |[]| self.index(a) as u32),
            Inst::IndexHigh(a) => self.each(reg, [], |[]| (self.index(a) >> 32) as u32),
            _ => return self.index_inst(inst).map(|index| Value { index, ..ZERO }),
        };
        Ok(Value { words, ..ZERO })
    }

    fn index_inst(&self, inst: Inst) -> Result<i64, Fault> {
        let dividend = |reg| match self.index(reg) {
            index if index < 0 => Err(Fault::NegativeDividend { index }),
            index => Ok(index),
        };
        Ok(match inst {
            Inst::IndexFrom(low, high) => {
                let [low, high] = [low, high].map(|half| u64::from(self.words(half)[0]));
                (high << 32 | low) as i64
            }
            Inst::Index(x) => x,
            Inst::IndexAdd(a, b) => self.index(a).wrapping_add(self.index(b)),
            Inst::IndexScale(a, by) => self.index(a).wrapping_mul(by),
            Inst::IndexDiv(a, by) => dividend(a)? / by,
            Inst::IndexRem(a, by) => dividend(a)? % by,
            Inst::IndexMin(a, b) => self.index(a).min(self.index(b)),
            inst => unreachable!("{inst:?} makes no index"),
        })
    }

    /// `f` of the operands' words in each lane.
    fn each<const N: usize>(&self, reg: Reg, args: [Reg; N], mut f: impl FnMut([u32; N]) -> u32) -> Words {
        self.of_lanes(reg, |lane| f(args.map(|arg| self.words(arg)[lane])))
    }

    /// A word for each lane.
    pub(super) fn of_lanes(&self, reg: Reg, f: impl FnMut(usize) -> u32) -> Words {
        let mut words = ZERO.words;
        let lanes = self.touched(reg, None);
        words[..lanes].iter_mut().zip((0..lanes).map(f)).for_each(|(word, of_lane)| *word = of_lane);
        words
    }
}

fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}
