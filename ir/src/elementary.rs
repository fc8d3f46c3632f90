//! Elementary functions of `f32`, each one fixed sequence of [`Lanes`] operations: no branch on a value, no table.
//!
//! Errors are the largest over all 2^32 inputs, measured by `tests/elementary.rs`, in units in the last place of the
//! exact result (2^-149 for a denormal result). Denormal inputs and results are full citizens: the bounds hold there.
//!
//! | function | error (ulp) | at special values                                                        |
//! |----------|-------------|--------------------------------------------------------------------------|
//! | exp      | 0.90        | exp(-inf) = 0, exp(inf) = inf                                            |
//! | log      | 0.94        | log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf                        |
//! | sin      | 1.67        | for \|x\| <= 2^20, NaN beyond; sin(-0) = -0                              |
//! | cos      | 1.81        | for \|x\| <= 2^20, NaN beyond                                            |
//! | tanh     | 2.57        | tanh(-0) = -0, tanh(+-inf) = +-1                                         |
//! | erf      | 1.84        | erf(-0) = -0, erf(+-inf) = +-1                                           |
//! | softplus | 1.87        | softplus(-inf) = 0, softplus(inf) = inf                                  |
//! | sigmoid  | 2.41        | sigmoid(-inf) = 0, sigmoid(inf) = 1                                      |
//!
//! Not-a-number gives not-a-number. Negation, absolute value, square root and floor are exact or correctly rounded.
//!
//! Polynomials are weighted minimax fits (Lawson's iteration in double precision) of the least degree whose error is
//! well below half an ulp; coefficients are rounded to `f32` one at a time, lowest power first, and the rest fitted
//! again; `ir/tools/fit_polynomials.py` measures them beside fits by exchange. Range reductions are Cody and Waite's
//! (1980) with a fused multiply-add (Boldo, Daumas and Li, 2009). The forms of the logarithm (a mantissa in [2/3, 4/3))
//! and of the error function (1 - e^-s) follow N. Juffa's single-precision functions.
//!
//! Those of `f64` are in [`double`].

pub mod double;

use crate::{Lanes, Unary};
use std::f32::consts::{FRAC_2_PI, FRAC_PI_2, LN_2, LOG2_E};

/// The function that `op` names, of one float: each variant of [`Unary`] has one.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// use bayeslift_ir::Unary;
/// assert_eq!(elementary::unary(&mut Scalar, Unary::Floor, -0.5), -1.0);
/// assert_eq!(elementary::unary(&mut Scalar, Unary::Sqrt, 9.0), 3.0);
/// ```
pub fn unary<L: Lanes>(l: &mut L, op: Unary, x: L::F) -> L::F {
    match op {
        Unary::Neg => l.neg(x),
        Unary::Abs => l.abs(x),
        Unary::Exp => exp(l, x),
        Unary::Log => log(l, x),
        Unary::Sqrt => l.sqrt(x),
        Unary::Sin => sin(l, x),
        Unary::Cos => cos(l, x),
        Unary::Tanh => tanh(l, x),
        Unary::Erf => erf(l, x),
        Unary::Softplus => softplus(l, x),
        Unary::Sigmoid => sigmoid(l, x),
        Unary::Floor => l.floor(x),
    }
}

/// 1.5 * 2^23. A sum with it is rounded to an integer, which is left in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// e^r = 1 + r + ... for |r| <= ln 2 / 2, to 3.1e-9.
const EXP: [f32; 7] = [1.0, 1.0, 0.49999994, 0.16666521, 0.04166826, 0.008368669, 0.0013821289];
/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, to 1.4e-8 of e^r - 1.
const EXPM1: [f32; 5] = [0.49999997, 0.16666546, 0.04166744, 0.008366256, 0.001387032];
/// (ln(1 + f) - f) / f^2 for |f| <= 1/3, to 4.7e-9 of ln(1 + f).
#[rustfmt::skip]
const LOG: [f32; 9] = [
    -0.5, 0.33333215, -0.24999805, 0.20010436, -0.16680221, 0.14005543, -0.12187454, 0.13985594, -0.12879284,
];
/// (ln(1 + t) - t) / t^2 for 0 <= t <= 1, to 5.3e-9 of ln(1 + t).
#[rustfmt::skip]
const LOG1P: [f32; 9] = [
    -0.4999993, 0.33330464, -0.2495802, 0.19692121, -0.15344977, 0.10661371, -0.057460487, 0.02008847, -0.0032910798,
];
/// (sin r - r) / r^3 in powers of r^2 for |r| <= 1.055 pi / 4, to 6.2e-9 of sin r.
const SIN: [f32; 3] = [-0.1666665, 0.008331838, -1.947334e-4];
/// cos r in powers of r^2 for |r| <= 1.055 pi / 4, to 2.1e-10.
const COS: [f32; 5] = [1.0, -0.5, 0.041666638, -0.0013886954, 2.439283e-5];
/// -ln(1 - erf t) / t - 1 for 0 <= t <= 4, to 4.3e-9 of erf t.
#[rustfmt::skip]
const ERF: [f32; 9] = [
    0.12837917, 0.63661957, 0.102776304, -0.019147823, -1.6950472e-4, 0.001675678, -6.373652e-4, 1.18862175e-4,
    -9.38811e-6,
];

/// `c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule.
fn polynomial<L: Lanes>(l: &mut L, x: L::F, coefficients: &[f32]) -> L::F {
    let (&last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    let last = l.constant(last);
    rest.iter().rev().fold(last, |sum, &c| {
        let c = l.constant(c);
        l.fma(sum, x, c)
    })
}

/// The larger of `x` and `limit`; not-a-number stays.
fn at_least<L: Lanes>(l: &mut L, x: L::F, limit: f32) -> L::F {
    let limit = l.constant(limit);
    l.max(x, limit)
}

/// The smaller of `x` and `limit`; not-a-number stays.
fn at_most<L: Lanes>(l: &mut L, x: L::F, limit: f32) -> L::F {
    let limit = l.constant(limit);
    let above = l.less(limit, x);
    l.select(above, limit, x)
}

/// `x`, negated where the top bit of `by` is set.
pub(crate) fn flip_sign<L: Lanes>(l: &mut L, x: L::F, by: L::I) -> L::F {
    let (bits, mask) = (l.bits(x), l.integer(0x8000_0000));
    let sign = l.and(by, mask);
    let bits = l.xor(bits, sign);
    l.float_of_bits(bits)
}

/// |magnitude| with the sign of `sign`.
fn copysign<L: Lanes>(l: &mut L, magnitude: L::F, sign: L::F) -> L::F {
    let (magnitude, sign) = (l.abs(magnitude), l.bits(sign));
    flip_sign(l, magnitude, sign)
}

/// x = n ln 2 + r, n the nearest integer: r, and an integer whose low nine bits are n + bias.
///
/// The first step is exact: x and n ln 2 (rounded to 24 bits) are multiples of 2^-25, and so is their small difference.
fn reduce_ln2<L: Lanes>(l: &mut L, x: L::F, bias: u32) -> (L::F, L::I) {
    let (log2_e, round) = (l.constant(LOG2_E), l.constant(ROUND + bias as f32));
    let rounded = l.fma(x, log2_e, round);
    let n = l.sub(rounded, round);
    let (high, low) = (l.constant(-LN_2), l.constant(1.9046542e-9));
    let r = l.fma(n, high, x);
    let r = l.fma(n, low, r);
    (r, l.bits(rounded))
}

/// The float whose exponent field is the low eight bits of `field`; the ninth bit must be clear.
fn exponent<L: Lanes>(l: &mut L, field: L::I) -> L::F {
    let bits = l.shl(field, 23);
    l.float_of_bits(bits)
}

/// e^x, as 2^n times a polynomial in r with x = n ln 2 + r. Within 0.90 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!(elementary::exp(&mut Scalar, 1.0), std::f32::consts::E);
/// assert_eq!([89.0, -104.0].map(|x| elementary::exp(&mut Scalar, x)), [f32::INFINITY, 0.0]);
/// ```
pub fn exp<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // The limits are beyond the largest x with a finite and the smallest x with a positive result.
    let x = at_most(l, x, 89.0);
    let x = at_least(l, x, -104.0);
    let (r, biased) = reduce_ln2(l, x, 2 * 127);
    let p = polynomial(l, r, &EXP);
    // 2^n overflows or underflows where e^x need not, so it comes in two factors. The first product
    // is exact; the second rounds once, to a denormal as well.
    let half = l.shr(biased, 1);
    let other_half = l.isub(biased, half);
    let (half, other_half) = (exponent(l, half), exponent(l, other_half));
    let p = l.mul(p, half);
    l.mul(p, other_half)
}

/// e^x for x <= 0: as [`exp`], but a constant second factor is enough.
fn exp_nonpositive<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let x = at_least(l, x, -104.0);
    let (r, biased) = reduce_ln2(l, x, 127 + 64);
    let p = polynomial(l, r, &EXP);
    let (scale, down) = (exponent(l, biased), l.constant(f32::from_bits((127 - 64) << 23)));
    let p = l.mul(p, scale);
    l.mul(p, down)
}

/// e^x - 1 for |x| <= 60, as 2^n (e^r - 1) + (2^n - 1).
fn expm1<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (r, biased) = reduce_ln2(l, x, 127);
    let q = polynomial(l, r, &EXPM1);
    let square = l.mul(r, r);
    let p = l.fma(square, q, r);
    let (scale, one) = (exponent(l, biased), l.constant(1.0));
    let whole = l.sub(scale, one);
    l.fma(scale, p, whole)
}

/// k and ln m with x = 2^k m and 2/3 <= m < 4/3, for a normal positive number.
fn log_parts<L: Lanes>(l: &mut L, x: L::F) -> (L::F, L::F) {
    let (two_thirds, mask, one) = (l.integer((2.0_f32 / 3.0).to_bits()), l.integer(0xff80_0000), l.constant(1.0));
    let bits = l.bits(x);
    let above = l.isub(bits, two_thirds);
    let k = l.sar(above, 23);
    let k_field = l.and(above, mask);
    let m = l.isub(bits, k_field);
    let m = l.float_of_bits(m);
    let f = l.sub(m, one);
    let q = polynomial(l, f, &LOG);
    let square = l.mul(f, f);
    (l.to_float(k), l.fma(square, q, f))
}

/// Natural logarithm of a normal positive number; unspecified for any other.
pub(crate) fn log_of_normal<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (k, log_m) = log_parts(l, x);
    let ln_2 = l.constant(LN_2);
    l.fma(k, ln_2, log_m)
}

/// Natural logarithm of a number that is at least the smallest normal one, or infinite, or not a number: the same bits
/// as [`log`], in fewer operations. Unspecified for any other. For arguments whose range is known.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// for x in [f32::MIN_POSITIVE, 0.3, 7.0, f32::INFINITY] {
///     assert_eq!(elementary::log_of_at_least_normal(&mut Scalar, x), elementary::log(&mut Scalar, x));
/// }
/// ```
pub fn log_of_at_least_normal<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (y, inf) = (log_of_normal(l, x), l.constant(f32::INFINITY));
    let is_finite = l.less(x, inf);
    l.select(is_finite, y, x)
}

/// Natural logarithm: -infinity at 0, not a number below. Within 0.94 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!([0.0, 1.0].map(|x| elementary::log(&mut Scalar, x)), [f32::NEG_INFINITY, 0.0]);
/// assert!(elementary::log(&mut Scalar, -1.0).is_nan());
/// ```
pub fn log<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (zero, smallest_normal) = (l.constant(0.0), l.constant(f32::MIN_POSITIVE));
    let (up, down) = (l.constant((1 << 24) as f32), l.constant(-24.0));
    let is_denormal = l.less(x, smallest_normal);
    let scaled = l.mul(x, up);
    let normal = l.select(is_denormal, scaled, x);
    let offset = l.select(is_denormal, down, zero);
    let (k, log_m) = log_parts(l, normal);
    let (k, ln_2) = (l.add(k, offset), l.constant(LN_2));
    let y = l.fma(k, ln_2, log_m);

    let (inf, minus_inf, nan) = (l.constant(f32::INFINITY), l.constant(f32::NEG_INFINITY), l.constant(f32::NAN));
    let is_finite = l.less(x, inf);
    let y = l.select(is_finite, y, x);
    let is_zero = l.equal(x, zero);
    let y = l.select(is_zero, minus_inf, y);
    let is_negative = l.less(x, zero);
    l.select(is_negative, nan, y)
}

/// (sin r, cos r) for |r| <= 1.055 pi / 4.
pub(crate) fn sin_cos_of_small<L: Lanes>(l: &mut L, r: L::F) -> (L::F, L::F) {
    let square = l.mul(r, r);
    let cube = l.mul(square, r);
    let s = polynomial(l, square, &SIN);
    let c = polynomial(l, square, &COS);
    (l.fma(cube, s, r), c)
}

/// sin(x + quarters pi / 2) for x >= 0.
///
/// For x <= 2^20, rounding x (2 / pi) picks a multiple n pi / 2 nearest to x up to 0.027 quarter turns. The first part
/// of n pi / 2 is subtracted exactly, and what the three parts miss is below 2^-56, while no such `f32` is closer to a
/// multiple than 2^-28. Beyond 2^20 an argument's own rounding is 1/16 radian and more: the result is not-a-number.
fn sin_turned<L: Lanes>(l: &mut L, x: L::F, quarters: u32) -> L::F {
    let (frac_2_pi, round) = (l.constant(FRAC_2_PI), l.constant(ROUND));
    let rounded = l.fma(x, frac_2_pi, round);
    let n = l.sub(rounded, round);
    let r = [FRAC_PI_2, -4.371139e-8, -1.7151245e-15].into_iter().fold(x, |r, part| {
        let part = l.constant(-part);
        l.fma(n, part, r)
    });
    let (s, c) = sin_cos_of_small(l, r);
    let (quarters, zero, one) = (l.integer(quarters), l.integer(0), l.integer(1));
    let quadrant = l.bits(rounded);
    let quadrant = l.iadd(quadrant, quarters);
    let odd = l.and(quadrant, one);
    let is_even = l.iequal(odd, zero);
    let y = l.select(is_even, s, c);
    let negative = l.shl(quadrant, 30);
    let y = flip_sign(l, y, negative);

    let (limit, nan) = (l.constant((1 << 20) as f32), l.constant(f32::NAN));
    let in_domain = l.less_equal(x, limit);
    l.select(in_domain, y, nan)
}

/// Sine of x in radians, for |x| <= 2^20; not a number beyond. Within 1.67 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!(elementary::sin(&mut Scalar, 0.0), 0.0);
/// assert!(elementary::sin(&mut Scalar, 1_048_577.0).is_nan());
/// ```
pub fn sin<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let y = sin_turned(l, size, 0);
    let sign = l.bits(x);
    flip_sign(l, y, sign)
}

/// Cosine of x in radians, for |x| <= 2^20; not a number beyond. Within 1.81 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!(elementary::cos(&mut Scalar, 0.0), 1.0);
/// assert!(elementary::cos(&mut Scalar, 1_048_577.0).is_nan());
/// ```
pub fn cos<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    sin_turned(l, size, 1)
}

/// Hyperbolic tangent, as e / (e + 2) with e = e^|2x| - 1. Within 2.57 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!([0.0, 30.0, -30.0].map(|x| elementary::tanh(&mut Scalar, x)), [0.0, 1.0, -1.0]);
/// ```
pub fn tanh<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (size, two) = (l.abs(x), l.constant(2.0));
    let size = at_most(l, size, 10.0);
    let twice = l.add(size, size);
    let e = expm1(l, twice);
    let denominator = l.add(e, two);
    let y = l.div(e, denominator);
    copysign(l, y, x)
}

/// Error function 2 / sqrt(pi) times the integral of e^(-t^2) over t from 0 to x, as 1 - e^-s with s = t (1 +
/// polynomial in t) and t = |x|. Within 1.84 units in the last place.
///
/// One polynomial serves the whole range: the exponent is smooth, and the farther out, the less of its
/// relative accuracy matters.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!([0.0, 4.0, -4.0].map(|x| elementary::erf(&mut Scalar, x)), [0.0, 1.0, -1.0]);
/// ```
pub fn erf<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let t = l.abs(x);
    let t = at_most(l, t, 4.0);
    let p = polynomial(l, t, &ERF);
    let s = l.fma(t, p, t);
    let s = l.neg(s);
    let y = expm1(l, s);
    copysign(l, y, x)
}

/// ln(1 + e^x), as max(x, 0) + ln(1 + e^-|x|). Within 1.87 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!([0.0, 100.0].map(|x| elementary::softplus(&mut Scalar, x)), [std::f32::consts::LN_2, 100.0]);
/// ```
pub fn softplus<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let size = l.neg(size);
    let t = exp_nonpositive(l, size);
    let q = polynomial(l, t, &LOG1P);
    let square = l.mul(t, t);
    let log1p = l.fma(square, q, t);
    let positive = at_least(l, x, 0.0);
    l.add(positive, log1p)
}

/// 1 / (1 + e^-x), as e^x / (1 + e^x) for negative x, so that small results keep their relative accuracy. Within 2.41
/// units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary};
/// assert_eq!(elementary::sigmoid(&mut Scalar, 0.0), 0.5);
/// assert_eq!(elementary::sigmoid(&mut Scalar, -80.0), elementary::exp(&mut Scalar, -80.0));
/// ```
pub fn sigmoid<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (zero, one, size) = (l.constant(0.0), l.constant(1.0), l.abs(x));
    let size = l.neg(size);
    let e = exp_nonpositive(l, size);
    let is_negative = l.less(x, zero);
    let numerator = l.select(is_negative, e, one);
    let denominator = l.add(e, one);
    l.div(numerator, denominator)
}
