//! Elementary functions of `f64`, each one fixed sequence of [`DoubleLanes`] operations: no branch on a value, no
//! table, no fused multiply-add.
//!
//! Errors are the largest that `tests/elementary_double.rs` finds among twenty million arguments (of the last three
//! functions among two million), in units in the last place of the exact result (2^-1074 for a denormal result).
//! Denormal inputs and results are full citizens.
//!
//! | function | error (ulp) | at special values                                                        |
//! |----------|-------------|--------------------------------------------------------------------------|
//! | exp      | 0.87        | exp(-inf) = 0, exp(inf) = inf                                            |
//! | log      | 0.85        | log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf                        |
//! | sin      | 1.13        | for \|x\| <= 2^20, NaN beyond; sin(-0) = -0                              |
//! | cos      | 1.13        | for \|x\| <= 2^20, NaN beyond                                            |
//! | tanh     | 2.42        | tanh(-0) = -0, tanh(+-inf) = +-1                                         |
//! | erf      | 1.76        | erf(-0) = -0, erf(+-inf) = +-1                                           |
//! | softplus | 1.76        | softplus(-inf) = 0, softplus(inf) = inf                                  |
//! | sigmoid  | 1.18        | sigmoid(-inf) = 0, sigmoid(inf) = 1                                      |
//!
//! Not-a-number gives not-a-number. Negation, absolute value, square root and floor are exact or correctly rounded.
//!
//! Polynomials are weighted minimax fits (Remez's exchange) of the least degree whose error is well below half an ulp;
//! coefficients are rounded to `f64` one at a time, lowest power first, and the rest fitted again. The range reduction
//! is Cody and Waite's (1980), with a first part of ln 2 short enough for exact products (Tang, 1989). That the
//! logarithm loses nothing by rounding x / (2 + x) is the argument of K. C. Ng's in fdlibm, and so is how the cosine
//! keeps what 1 - r^2 / 2 rounds. Sine and cosine have the domain of those of `f32`. The error function too
//! has the form of that of `f32`, 1 - e^-s.

mod coefficients;

use crate::{DoubleLanes, Unary};
use coefficients::{COS, ERF, EXP, LOG, SIN};
use std::f64::consts::{FRAC_2_PI, LOG2_E, SQRT_2};

/// The function that `op` names, of one double: each variant of [`Unary`] has one.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// use bayeslift_ir::Unary;
/// assert_eq!(double::unary(&mut Scalar, Unary::Floor, -0.5), -1.0);
/// assert_eq!(double::unary(&mut Scalar, Unary::Sqrt, 9.0), 3.0);
/// ```
pub fn unary<L: DoubleLanes>(l: &mut L, op: Unary, x: L::D) -> L::D {
    match op {
        Unary::Neg => l.dneg(x),
        Unary::Abs => l.dabs(x),
        Unary::Exp => exp(l, x),
        Unary::Log => log(l, x),
        Unary::Sqrt => l.dsqrt(x),
        Unary::Sin => sin(l, x),
        Unary::Cos => cos(l, x),
        Unary::Tanh => tanh(l, x),
        Unary::Erf => erf(l, x),
        Unary::Softplus => softplus(l, x),
        Unary::Sigmoid => sigmoid(l, x),
        Unary::Floor => l.dfloor(x),
    }
}

/// 1.5 * 2^52. A sum with it is rounded to an integer, which is left in the low word of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts. The first has 42 bits, so that its products with exponents are exact.
const LN_2: [f64; 2] = [0.6931471805598903, 5.497923018708371e-14];

/// pi / 2 in four parts, of which three have 33 bits, so that their products with 20 bits are exact.
const PI_HALVES: [f64; 4] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];

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

/// `x`, negated where the top bit of `by` is set.
pub(crate) fn flip_sign<L: DoubleLanes>(l: &mut L, x: L::D, by: L::I) -> L::D {
    let (high, low, mask) = (l.high_word(x), l.low_word(x), l.integer(0x8000_0000));
    let sign = l.and(by, mask);
    let high = l.xor(high, sign);
    l.double_of_words(high, low)
}

/// |magnitude| with the sign of `sign`.
fn copysign<L: DoubleLanes>(l: &mut L, magnitude: L::D, sign: L::D) -> L::D {
    let (magnitude, sign) = (l.dabs(magnitude), l.high_word(sign));
    flip_sign(l, magnitude, sign)
}

/// The smaller of `x` and `limit`; not-a-number stays.
fn at_most<L: DoubleLanes>(l: &mut L, x: L::D, limit: f64) -> L::D {
    let limit = l.dconstant(limit);
    let above = l.dless(limit, x);
    l.dselect(above, limit, x)
}

/// e^r - 1 with x = n ln 2 + r, n the nearest integer, and an integer whose low bits are n + bias.
fn reduced_expm1<L: DoubleLanes>(l: &mut L, x: L::D, bias: u32) -> (L::D, L::I) {
    let (log2_e, round) = (l.dconstant(LOG2_E), l.dconstant(ROUND + f64::from(bias)));
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
    let square = l.dmul(r, r);
    let curve = l.dmul(square, q);
    // What rounding r lost matters for the largest term alone, which is added as it was.
    let small = l.dsub(curve, low);
    (l.dadd(high, small), biased)
}

/// e^x, as 2^n (1 + r + r^2 q(r)) with x = n ln 2 + r. Within 0.87 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!(double::exp(&mut Scalar, 1.0), std::f64::consts::E);
/// assert_eq!([710.0, -746.0].map(|x| double::exp(&mut Scalar, x)), [f64::INFINITY, 0.0]);
/// ```
pub fn exp<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    // The limits are beyond the largest x with a finite and the smallest x with a positive result.
    let (x, smallest) = (at_most(l, x, 710.0), l.dconstant(-746.0));
    let x = l.dmax(x, smallest);
    let (p, biased) = reduced_expm1(l, x, 2 * 1023);
    let one = l.dconstant(1.0);
    let p = l.dadd(one, p);

    // 2^n overflows or underflows where e^x need not, so it comes in two factors. The first product
    // is exact; the second rounds once, to a denormal as well.
    let half = l.shr(biased, 1);
    let other_half = l.isub(biased, half);
    let (half, other_half) = (exponent(l, half), exponent(l, other_half));
    let p = l.dmul(p, half);
    l.dmul(p, other_half)
}

/// e^x - 1 for |x| <= 60, as 2^n (e^r - 1) + (2^n - 1).
fn expm1<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (p, biased) = reduced_expm1(l, x, 1023);
    let (scale, one) = (exponent(l, biased), l.dconstant(1.0));
    let (part, whole) = (l.dmul(scale, p), l.dsub(scale, one));
    l.dadd(part, whole)
}

/// Natural logarithm of 2^offset x, for a normal positive x: k ln 2 + ln(1 + f) with x = 2^k (1 + f) and 1 + f between
/// the square roots of 1/2 and 2.
///
/// With s = f / (2 + f), ln(1 + f) = ln((1 + s) / (1 - s)) = 2 s + s p(s^2), and 2 s = f - s f = f - f^2 / 2 + s f^2 /
/// 2: the rounding of s reaches small terms only.
fn log_of_scaled<L: DoubleLanes>(l: &mut L, x: L::D, offset: Option<L::D>) -> L::D {
    let (high, low) = (l.high_word(x), l.low_word(x));
    let (least, mask) = (l.integer(((SQRT_2 / 2.0).to_bits() >> 32) as u32), l.integer(0xfff0_0000));
    let above = l.isub(high, least);
    let k = l.sar(above, 20);
    let k_field = l.and(above, mask);
    let high = l.isub(high, k_field);
    let m = l.double_of_words(high, low);
    let (one, two, half) = (l.dconstant(1.0), l.dconstant(2.0), l.dconstant(0.5));
    let f = l.dsub(m, one);
    let k = l.to_double(k);
    let k = if let Some(offset) = offset { l.dadd(k, offset) } else { k };

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
    l.dadd(k_high, y)
}

/// Natural logarithm of a normal positive number; unspecified for any other.
pub(crate) fn log_of_normal<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    log_of_scaled(l, x, None)
}

/// Natural logarithm: -infinity at 0, not a number below. Within 0.85 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!([0.0, 1.0].map(|x| double::log(&mut Scalar, x)), [f64::NEG_INFINITY, 0.0]);
/// assert!(double::log(&mut Scalar, -1.0).is_nan());
/// ```
pub fn log<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (zero, smallest_normal) = (l.dconstant(0.0), l.dconstant(f64::MIN_POSITIVE));
    let (up, down) = (l.dconstant((1_u64 << 54) as f64), l.dconstant(-54.0));
    let is_denormal = l.dless(x, smallest_normal);
    let scaled = l.dmul(x, up);
    let normal = l.dselect(is_denormal, scaled, x);
    let offset = l.dselect(is_denormal, down, zero);
    let y = log_of_scaled(l, normal, Some(offset));

    let (inf, minus_inf, nan) = (l.dconstant(f64::INFINITY), l.dconstant(f64::NEG_INFINITY), l.dconstant(f64::NAN));
    let is_finite = l.dless(x, inf);
    let y = l.dselect(is_finite, y, x);
    let is_zero = l.dequal(x, zero);
    let y = l.dselect(is_zero, minus_inf, y);
    let is_negative = l.dless(x, zero);
    l.dselect(is_negative, nan, y)
}

/// ln(1 + t) for 0 <= t <= 1, as ln u + (t - (u - 1)) / u with u = 1 + t as it is rounded.
fn log1p<L: DoubleLanes>(l: &mut L, t: L::D) -> L::D {
    let one = l.dconstant(1.0);
    let u = l.dadd(one, t);
    let above = l.dsub(u, one);
    let lost = l.dsub(t, above);
    let (log, correction) = (log_of_normal(l, u), l.ddiv(lost, u));
    l.dadd(log, correction)
}

/// (sin r, cos r) for |r| <= pi / 4, or little more.
pub(crate) fn sin_cos_of_small<L: DoubleLanes>(l: &mut L, r: L::D) -> (L::D, L::D) {
    let (square, one, half) = (l.dmul(r, r), l.dconstant(1.0), l.dconstant(0.5));
    let cube = l.dmul(square, r);
    let s = polynomial(l, square, &SIN);
    let s = l.dmul(cube, s);
    let s = l.dadd(r, s);
    // 1 - r^2 / 2, and what rounding that lost
    let half_square = l.dmul(half, square);
    let whole = l.dsub(one, half_square);
    let lost = l.dsub(one, whole);
    let lost = l.dsub(lost, half_square);
    let (c, fourth) = (polynomial(l, square, &COS), l.dmul(square, square));
    let c = l.dmul(fourth, c);
    let c = l.dadd(lost, c);
    (s, l.dadd(whole, c))
}

/// a - b, and what rounding that lost, exactly (Knuth).
fn difference<L: DoubleLanes>(l: &mut L, a: L::D, b: L::D) -> [L::D; 2] {
    let d = l.dsub(a, b);
    let b_part = l.dsub(a, d);
    let a_part = l.dadd(d, b_part);
    let (a_rest, b_rest) = (l.dsub(a, a_part), l.dsub(b_part, b));
    [d, l.dadd(a_rest, b_rest)]
}

/// sin(x + quarters pi / 2) for x >= 0.
///
/// For x <= 2^20, n is the multiple of pi / 2 nearest to x, or as near. The first part of n pi / 2 is subtracted
/// exactly, the second and third with what is lost, and what the four parts miss is below 2^-130; no such number is
/// closer to a multiple than 2^-75.
fn sin_turned<L: DoubleLanes>(l: &mut L, x: L::D, quarters: u32) -> L::D {
    let (frac_2_pi, round) = (l.dconstant(FRAC_2_PI), l.dconstant(ROUND));
    let n = l.dmul(x, frac_2_pi);
    let rounded = l.dadd(n, round);
    let n = l.dsub(rounded, round);
    let [first, second, third, fourth] = PI_HALVES.map(|part| {
        let part = l.dconstant(part);
        l.dmul(n, part)
    });
    let r = l.dsub(x, first);
    let [r, lost_before] = difference(l, r, second);
    let [r, lost] = difference(l, r, third);
    let rest = l.dadd(lost_before, lost);
    let rest = l.dsub(rest, fourth);
    let sum = l.dadd(r, rest);
    let r = l.dsub(r, sum);
    let (r, rest) = (sum, l.dadd(r, rest));
    // sin(r + rest) = sin r + rest cos r, and cos(r + rest) = cos r - rest sin r
    let (s, c) = sin_cos_of_small(l, r);
    let (more, less) = (l.dmul(rest, c), l.dmul(rest, s));
    let (s, c) = (l.dadd(s, more), l.dsub(c, less));

    let (quarters, zero, one) = (l.integer(quarters), l.integer(0), l.integer(1));
    let quadrant = l.low_word(rounded);
    let quadrant = l.iadd(quadrant, quarters);
    let odd = l.and(quadrant, one);
    let is_even = l.iequal(odd, zero);
    let y = l.dselect(is_even, s, c);
    let negative = l.shl(quadrant, 30);
    let y = flip_sign(l, y, negative);

    let (limit, nan) = (l.dconstant((1 << 20) as f64), l.dconstant(f64::NAN));
    let in_domain = l.dless_equal(x, limit);
    l.dselect(in_domain, y, nan)
}

/// Sine of x in radians, for |x| <= 2^20; not a number beyond. Within 1.13 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!(double::sin(&mut Scalar, 0.0), 0.0);
/// assert!(double::sin(&mut Scalar, 1_048_577.0).is_nan());
/// ```
pub fn sin<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let size = l.dabs(x);
    let y = sin_turned(l, size, 0);
    let sign = l.high_word(x);
    flip_sign(l, y, sign)
}

/// Cosine of x in radians, for |x| <= 2^20; not a number beyond. Within 1.13 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!(double::cos(&mut Scalar, 0.0), 1.0);
/// assert!(double::cos(&mut Scalar, 1_048_577.0).is_nan());
/// ```
pub fn cos<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let size = l.dabs(x);
    sin_turned(l, size, 1)
}

/// Hyperbolic tangent, as e / (e + 2) with e = e^|2x| - 1. Within 2.42 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!([0.0, 30.0, -30.0].map(|x| double::tanh(&mut Scalar, x)), [0.0, 1.0, -1.0]);
/// ```
pub fn tanh<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (size, two) = (l.dabs(x), l.dconstant(2.0));
    let size = at_most(l, size, 22.0);
    let twice = l.dadd(size, size);
    let e = expm1(l, twice);
    let denominator = l.dadd(e, two);
    let y = l.ddiv(e, denominator);
    copysign(l, y, x)
}

/// Error function 2 / sqrt(pi) times the integral of e^(-t^2) over t from 0 to x, as 1 - e^-s with s = t (1 +
/// polynomial in t) and t = |x|, as that of `f32`. Within 1.76 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!([0.0, 6.0, -6.0].map(|x| double::erf(&mut Scalar, x)), [0.0, 1.0, -1.0]);
/// ```
pub fn erf<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let t = l.dabs(x);
    let t = at_most(l, t, 6.0);
    let p = polynomial(l, t, &ERF);
    let p = l.dmul(t, p);
    let s = l.dadd(t, p);
    let s = l.dneg(s);
    let y = expm1(l, s);
    copysign(l, y, x)
}

/// ln(1 + e^x), as max(x, 0) + ln(1 + e^-|x|). Within 1.76 units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!([0.0, 100.0].map(|x| double::softplus(&mut Scalar, x)), [std::f64::consts::LN_2, 100.0]);
/// ```
pub fn softplus<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (size, zero) = (l.dabs(x), l.dconstant(0.0));
    let size = l.dneg(size);
    let t = exp(l, size);
    let log1p = log1p(l, t);
    let positive = l.dmax(x, zero);
    l.dadd(positive, log1p)
}

/// 1 / (1 + e^-x), as e^x / (1 + e^x) for negative x, so that small results keep their relative accuracy. Within 1.18
/// units in the last place.
///
/// ```
/// use bayeslift_ir::{Scalar, elementary::double};
/// assert_eq!(double::sigmoid(&mut Scalar, 0.0), 0.5);
/// assert_eq!(double::sigmoid(&mut Scalar, -80.0), double::exp(&mut Scalar, -80.0));
/// ```
pub fn sigmoid<L: DoubleLanes>(l: &mut L, x: L::D) -> L::D {
    let (zero, one, size) = (l.dconstant(0.0), l.dconstant(1.0), l.dabs(x));
    let size = l.dneg(size);
    let e = exp(l, size);
    let is_negative = l.dless(x, zero);
    let numerator = l.dselect(is_negative, e, one);
    let denominator = l.dadd(e, one);
    l.ddiv(numerator, denominator)
}
