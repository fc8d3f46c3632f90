//! Elementary functions of `f64`, each one fixed sequence of [`DoubleLanes`] operations: no branch on a value, no table, no
//! fused multiply-add.
//!
//! Errors are the largest that `tests/elementary_double.rs` finds among twenty million arguments, in units in
//! the last place of the exact result (2^-1074 for a denormal result). Denormal inputs and results are full citizens.
//!
//! | function | error (ulp) | at special values                                 |
//! |----------|-------------|---------------------------------------------------|
//! | exp      | 0.87        | exp(-inf) = 0, exp(inf) = inf                     |
//! | log      | 0.85        | log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf |
//!
//! Not-a-number gives not-a-number. Negation, absolute value, square root and floor are exact or correctly rounded.
//!
//! Polynomials are weighted minimax fits (Remez's exchange) of the least degree whose error is well below half an ulp;
//! coefficients are rounded to `f64` one at a time, lowest power first, and the rest fitted again. The range reduction is Cody
//! and Waite's (1980), with a first part of ln 2 short enough for exact products (Tang, 1989). That the logarithm loses nothing by
//! rounding x / (2 + x) is the argument of K. C. Ng's in fdlibm.

use crate::{DoubleLanes, Unary};
use std::f64::consts::{LOG2_E, SQRT_2};

/// The function that `op` names, one of those that there are [of doubles](Unary::is_of_doubles).
pub fn unary<L: DoubleLanes>(l: &mut L, op: Unary, x: L::D) -> L::D {
    match op {
        Unary::Neg => l.dneg(x),
        Unary::Abs => l.dabs(x),
        Unary::Exp => exp(l, x),
        Unary::Log => log(l, x),
        Unary::Sqrt => l.dsqrt(x),
        Unary::Floor => l.dfloor(x),
        Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Erf | Unary::Softplus | Unary::Sigmoid => {
            unreachable!("the type rule refuses {} of f64", op.name())
        }
    }
}

/// 1.5 * 2^52. A sum with it is rounded to an integer, which is left in the low word of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts. The first has 42 bits, so that its products with exponents are exact.
const LN_2: [f64; 2] = [0.6931471805598903, 5.497923018708371e-14];

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, to 1.7e-17 of e^r.
const EXP: [f64; 11] = [
    0.5,
    0.16666666666666688,
    0.041666666666666824,
    0.008333333333313897,
    0.001388888888877784,
    0.0001984126990336764,
    2.480158756260322e-5,
    2.7557227572389793e-6,
    2.7557049325011106e-7,
    2.5113541841821208e-8,
    2.095287378997779e-9,
];
/// (ln((1 + s) / (1 - s)) / s - 2) / s^2 in powers of s^2 for |s| <= 3 - 2 sqrt 2, to 1.3e-18 of the logarithm.
const LOG: [f64; 7] = [
    0.6666666666666734,
    0.3999999999941652,
    0.28571428742073235,
    0.22222198599036813,
    0.18183563223551916,
    0.15314074003649297,
    0.14795753504144774,
];

/// `c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule.
fn polynomial<L: DoubleLanes>(l: &mut L, x: L::D, coefficients: &[f64]) -> L::D {
    let (&last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    let last = l.dconstant(last);
    rest.iter().rev().fold(last, |sum, &c| {
        let (product, c) = (l.dmul(sum, x), l.dconstant(c));
        l.dadd(product, c)
    })
}

/// The double whose exponent field is the low eleven bits of `field`; the twelfth bit must be clear.
fn exponent<L: DoubleLanes>(l: &mut L, field: L::I) -> L::D {
    let (high, low) = (l.shl(field, 20), l.integer(0));
    l.double_of_words(high, low)
}

/// e^x, as 2^n (1 + r + r^2 q(r)) with x = n ln 2 + r.
pub fn exp<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    // The limits are beyond the largest x with a finite and the smallest x with a positive result.
    let (largest, smallest) = (l.dconstant(710.0), l.dconstant(-746.0));
    let above = l.dless(largest, x);
    let x = l.dselect(above, largest, x);
    let x = l.dmax(x, smallest);

    let (log2_e, round) = (l.dconstant(LOG2_E), l.dconstant(ROUND + 2.0 * 1023.0));
    let n = l.dmul(x, log2_e);
    let rounded = l.dadd(n, round);
    let (n, biased) = (l.dsub(rounded, round), l.low_word(rounded));
    // Exact: if n is not 0, x and the product are multiples of 2^-54, and so is their small difference.
    let [high, low] = LN_2.map(|part| {
        let part = l.dconstant(part);
        l.dmul(n, part)
    });
    let high = l.dsub(x, high);
    let r = l.dsub(high, low);

    let q = polynomial(l, r, &EXP);
    let (square, one) = (l.dmul(r, r), l.dconstant(1.0));
    let curve = l.dmul(square, q);
    // What rounding r lost matters for the largest term alone, which is added as it was.
    let small = l.dsub(curve, low);
    let p = l.dadd(high, small);
    let p = l.dadd(one, p);

    // 2^n overflows or underflows where e^x need not, so it comes in two factors. The first product
    // is exact; the second rounds once, to a denormal as well.
    let half = l.shr(biased, 1);
    let other_half = l.isub(biased, half);
    let (half, other_half) = (exponent(l, half), exponent(l, other_half));
    let p = l.dmul(p, half);
    l.dmul(p, other_half)
}

/// Natural logarithm: k ln 2 + ln(1 + f) with x = 2^k (1 + f) and 1 + f between the square roots of 1/2 and 2.
///
/// With s = f / (2 + f), ln(1 + f) = ln((1 + s) / (1 - s)) = 2 s + s p(s^2), and 2 s = f - s f = f - f^2 / 2 + s f^2 / 2: the rounding
/// of s reaches small terms only.
pub fn log<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (zero, smallest_normal) = (l.dconstant(0.0), l.dconstant(f64::MIN_POSITIVE));
    let (up, down) = (l.dconstant((1_u64 << 54) as f64), l.dconstant(-54.0));
    let is_denormal = l.dless(x, smallest_normal);
    let scaled = l.dmul(x, up);
    let normal = l.dselect(is_denormal, scaled, x);
    let offset = l.dselect(is_denormal, down, zero);

    let (high, low) = (l.high_word(normal), l.low_word(normal));
    let (least, mask) = (l.integer(((SQRT_2 / 2.0).to_bits() >> 32) as u32), l.integer(0xfff0_0000));
    let above = l.isub(high, least);
    let k = l.sar(above, 20);
    let k_field = l.and(above, mask);
    let high = l.isub(high, k_field);
    let m = l.double_of_words(high, low);
    let (one, two, half) = (l.dconstant(1.0), l.dconstant(2.0), l.dconstant(0.5));
    let f = l.dsub(m, one);
    let k = l.to_double(k);
    let k = l.dadd(k, offset);

    let denominator = l.dadd(two, f);
    let s = l.ddiv(f, denominator);
    let z = l.dmul(s, s);
    let p = polynomial(l, z, &LOG);
    let p = l.dmul(z, p);
    let half_f = l.dmul(half, f);
    let half_square = l.dmul(half_f, f);
    let sum = l.dadd(half_square, p);
    let correction = l.dmul(s, sum);
    let [k_high, k_low] = LN_2.map(|part| {
        let part = l.dconstant(part);
        l.dmul(k, part)
    });
    let correction = l.dadd(correction, k_low);
    let bend = l.dsub(half_square, correction);
    let y = l.dsub(f, bend);
    let y = l.dadd(k_high, y);

    let (inf, minus_inf, nan) = (l.dconstant(f64::INFINITY), l.dconstant(f64::NEG_INFINITY), l.dconstant(f64::NAN));
    let is_finite = l.dless(x, inf);
    let y = l.dselect(is_finite, y, x);
    let is_zero = l.dequal(x, zero);
    let y = l.dselect(is_zero, minus_inf, y);
    let is_negative = l.dless(x, zero);
    l.dselect(is_negative, nan, y)
}
