//! Elementwise functions of values that are in registers.

use super::code::Code;
use crate::tile::{Interleaved, Reg};
use bayeslift_ir::{Binary, Compare, DType, DoubleLanes, Elementwise, Lanes, elementary};

impl Code<'_> {
    /// An elementwise operation; `dtype` is that of its last operand.
    pub fn apply<const N: usize>(&mut self, function: Elementwise, dtype: DType, x: &[[Reg; N]]) -> [Reg; N] {
        let b = &mut Interleaved(&mut self.b);
        match function {
            Elementwise::Unary(function) if dtype == DType::F64 => elementary::double::unary(b, function, x[0]),
            Elementwise::Binary(function) if dtype == DType::F64 => match function {
                Binary::Add => b.dadd(x[0], x[1]),
                Binary::Mul => b.dmul(x[0], x[1]),
                Binary::Div => b.ddiv(x[0], x[1]),
                Binary::Max => b.dmax(x[0], x[1]),
            },
            Elementwise::Compare(function) if dtype == DType::F64 => match function {
                Compare::Less => b.dless(x[0], x[1]),
                Compare::LessEqual => b.dless_equal(x[0], x[1]),
                Compare::Equal => b.dequal(x[0], x[1]),
            },
            Elementwise::Unary(function) => elementary::unary(b, function, x[0]),
            Elementwise::Binary(Binary::Add) => b.add(x[0], x[1]),
            Elementwise::Binary(Binary::Mul) => b.mul(x[0], x[1]),
            Elementwise::Binary(Binary::Div) => b.div(x[0], x[1]),
            Elementwise::Binary(Binary::Max) => b.max(x[0], x[1]),
            Elementwise::Compare(function) if dtype == DType::F32 => match function {
                Compare::Less => b.less(x[0], x[1]),
                Compare::LessEqual => b.less_equal(x[0], x[1]),
                Compare::Equal => b.equal(x[0], x[1]),
            },
            Elementwise::Compare(function) => {
                // flipping the sign bit turns unsigned order into signed order
                let sign = b.integer(1 << 31);
                let (x, y) = (b.xor(x[0], sign), b.xor(x[1], sign));
                match function {
                    Compare::Less => b.iless(x, y),
                    Compare::Equal => b.iequal(x, y),
                    Compare::LessEqual => {
                        let greater = b.iless(y, x);
                        let (yes, no) = (b.integer(u32::MAX), b.integer(0));
                        let word = b.iselect(greater, no, yes);
                        b.iless(word, no)
                    }
                }
            }
            Elementwise::Select => match dtype {
                DType::F32 => b.select(x[0], x[1], x[2]),
                DType::F64 => b.dselect(x[0], x[1], x[2]),
                DType::U32 => b.iselect(x[0], x[1], x[2]),
                DType::Mask => {
                    let (yes, no) = (b.integer(u32::MAX), b.integer(0));
                    let (one, other) = (b.iselect(x[1], yes, no), b.iselect(x[2], yes, no));
                    let word = b.iselect(x[0], one, other);
                    b.iless(word, no)
                }
            },
            Elementwise::Convert(DType::U32) => whole_number(b, x[0]),
            Elementwise::Convert(_) if dtype == DType::F32 => b.widen(x[0]),
            Elementwise::Convert(_) if dtype == DType::F64 => b.narrow(x[0]),
            Elementwise::Convert(to) => {
                // both halves are exact, so the one rounding is that of the sum
                let low_bits = b.integer(0xffff);
                let (high, low) = (b.shr(x[0], 16), b.and(x[0], low_bits));
                if to == DType::F64 {
                    let (high, low, scale) = (b.to_double(high), b.to_double(low), b.dconstant(65536.0));
                    let high = b.dmul(high, scale);
                    return b.dadd(high, low);
                }
                let (high, low) = (b.to_float(high), b.to_float(low));
                let scale = b.constant(65536.0);
                b.fma(high, scale, low)
            }
            Elementwise::StopGradient => x[0],
        }
    }
}

/// A whole number from 0 to 2^24 as a word; all ones for everything else.
fn whole_number<L: Lanes>(b: &mut L, x: L::F) -> L::I {
    // in two halves of 12 and 13 bits: below 2^23 whole numbers are the low bits of their sum with that
    let (scale, minus, two_to_23) = (b.constant(1.0 / 4096.0), b.constant(-4096.0), b.constant((1 << 23) as f32));
    let high = b.mul(x, scale);
    let high = b.floor(high);
    let low = b.fma(high, minus, x);
    let [high, low] = [high, low].map(|half| {
        let sum = b.add(half, two_to_23);
        let (bits, mask) = (b.bits(sum), b.integer((1 << 23) - 1));
        b.and(bits, mask)
    });
    let high = b.shl(high, 12);
    let number = b.iadd(high, low);
    let (floor, zero, most) = (b.floor(x), b.constant(0.0), b.constant((1 << f32::MANTISSA_DIGITS) as f32));
    let (is_whole, is_positive, is_small) = (b.equal(floor, x), b.less_equal(zero, x), b.less_equal(x, most));
    let none = b.integer(u32::MAX);
    [is_whole, is_positive, is_small].into_iter().fold(number, |number, holds| b.iselect(holds, number, none))
}
