//! Elementary functions, each one sequence of [`Lanes`] operations.
use crate::{Lanes, Unary};

/// The function that `op` names.
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

/// The sign bit of a float.
const SIGN: u32 = 0x8000_0000;
/// 1.5 * 2^23: a float added to it is rounded to an integer, which the low bits of the sum hold.
const ROUND: f32 = 12_582_912.0;

/// `c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule.
fn polynomial<L: Lanes>(l: &mut L, x: L::F, coefficients: &[f32]) -> L::F {
    let (&last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let last = l.constant(last);
    rest.iter().rev().fold(last, |sum, &c| {
        let c = l.constant(c);
        l.fma(sum, x, c)
    })
}

/// `x` clamped from below; not-a-number stays.
fn at_least<L: Lanes>(l: &mut L, x: L::F, limit: f32) -> L::F {
    let limit = l.constant(limit);
    l.max(x, limit)
}

/// `x` clamped from above; not-a-number stays.
fn at_most<L: Lanes>(l: &mut L, x: L::F, limit: f32) -> L::F {
    let limit = l.constant(limit);
    let above = l.less(limit, x);
    l.select(above, limit, x)
}

/// `magnitude` with the sign of `sign`.
fn copysign<L: Lanes>(l: &mut L, magnitude: L::F, sign: L::F) -> L::F {
    let mask = l.integer(SIGN);
    let magnitude = l.abs(magnitude);
    let (magnitude, sign) = (l.bits(magnitude), l.bits(sign));
    let sign = l.and(sign, mask);
    let bits = l.or(magnitude, sign);
    l.from_bits(bits)
}

/// `x = n ln 2 + r` with n the nearest integer: gives r and the bits of `n + bias + ROUND`.
///
/// The first step of Cody and Waite's reduction is exact, the second rounds once.
fn reduce_ln2<L: Lanes>(l: &mut L, x: L::F, bias: f32) -> (L::F, L::I) {
    let (log2_e, magic) = (l.constant(std::f32::consts::LOG2_E), l.constant(ROUND + bias));
    let shifted = l.fma(x, log2_e, magic);
    let n = l.sub(shifted, magic);
    let (high, low) = (l.constant(-std::f32::consts::LN_2), l.constant(1.904_654_3e-9));
    let r = l.fma(n, high, x);
    let r = l.fma(n, low, r);
    (r, l.bits(shifted))
}

const EXP: [f32; 7] = [1.0, 1.0, 0.49999994, 0.16666521, 0.04166826, 0.008368669, 0.0013821289];

/// e^x.
pub fn exp<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let x = at_most(l, x, 89.0);
    let x = at_least(l, x, -104.0);
    let (r, n) = reduce_ln2(l, x, 254.0);
    let p = polynomial(l, r, &EXP);
    // 2^n in two factors: the first product is exact, the second rounds once, also to a denormal.
    let half = l.shr(n, 1);
    let other = l.isub(n, half);
    let (half, other) = (l.shl(half, 23), l.shl(other, 23));
    let (half, other) = (l.from_bits(half), l.from_bits(other));
    let p = l.mul(p, half);
    l.mul(p, other)
}

/// e^x for x <= 0.
fn exp_nonpositive<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let x = at_least(l, x, -104.0);
    let (r, n) = reduce_ln2(l, x, 127.0 + 64.0);
    let p = polynomial(l, r, &EXP);
    let scale = l.shl(n, 23);
    let (scale, down) = (l.from_bits(scale), l.constant(f32::from_bits((127 - 64) << 23)));
    let p = l.mul(p, scale);
    l.mul(p, down)
}

/// e^x - 1 for -60 <= x <= 0.
fn expm1_nonpositive<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (r, n) = reduce_ln2(l, x, 127.0);
    let q = polynomial(l, r, &[0.49999997, 0.16666546, 0.04166744, 0.008366256, 0.001387032]);
    let square = l.mul(r, r);
    let p = l.fma(square, q, r);
    let scale = l.shl(n, 23);
    let (scale, one) = (l.from_bits(scale), l.constant(1.0));
    let whole = l.sub(scale, one);
    l.fma(scale, p, whole)
}

/// ln x for normal, finite, positive x, plus `exponent` ln 2.
fn log_normal<L: Lanes>(l: &mut L, x: L::F, exponent: L::F) -> L::F {
    // x = 2^k m with m in [2/3, 4/3).
    let bits = l.bits(x);
    let two_thirds = l.integer(0x3f2a_aaab);
    let k = l.isub(bits, two_thirds);
    let mask = l.integer(0xff80_0000);
    let k_bits = l.and(k, mask);
    let m = l.isub(bits, k_bits);
    let (m, k) = (l.from_bits(m), l.sar(k, 23));
    let (one, k) = (l.constant(1.0), l.to_float(k));
    let f = l.sub(m, one);
    let q = polynomial(
        l,
        f,
        &[-0.5, 0.33333215, -0.24999805, 0.20010436, -0.16680221, 0.14005543, -0.12187454, 0.13985594, -0.12879284],
    );
    let square = l.mul(f, f);
    let p = l.fma(square, q, f);
    let k = l.add(k, exponent);
    let ln_2 = l.constant(std::f32::consts::LN_2);
    l.fma(k, ln_2, p)
}

/// Natural logarithm of a normal, finite, positive number. Anything else gives an unspecified result.
pub(crate) fn log_of_normal<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let zero = l.constant(0.0);
    log_normal(l, x, zero)
}

/// Natural logarithm.
pub fn log<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (zero, shift, scale) = (l.constant(0.0), l.constant(-24.0), l.constant(16_777_216.0));
    let smallest = l.constant(f32::MIN_POSITIVE);
    let denormal = l.less(x, smallest);
    let scaled = l.mul(x, scale);
    let scaled = l.select(denormal, scaled, x);
    let exponent = l.select(denormal, shift, zero);
    let y = log_normal(l, scaled, exponent);
    let (infinity, nan) = (l.constant(f32::INFINITY), l.constant(f32::NAN));
    let finite = l.less(x, infinity);
    let y = l.select(finite, y, x);
    let minus_infinity = l.constant(f32::NEG_INFINITY);
    let is_zero = l.equal(x, zero);
    let y = l.select(is_zero, minus_infinity, y);
    let negative = l.less(x, zero);
    l.select(negative, nan, y)
}

/// Sine and cosine of |r| <= pi/4, without range reduction.
pub(crate) fn sin_cos_reduced<L: Lanes>(l: &mut L, r: L::F) -> (L::F, L::F) {
    let square = l.mul(r, r);
    let s = polynomial(l, square, &[-0.16666655, 0.008332187, -1.9517906e-4]);
    let cube = l.mul(square, r);
    let s = l.fma(cube, s, r);
    let c = polynomial(l, square, &[1.0, -0.5, 0.041666646, -0.001388731, 2.4432327e-5]);
    (s, c)
}

/// sin(x + turns pi / 2).
fn sin_turned<L: Lanes>(l: &mut L, x: L::F, quarters: u32) -> L::F {
    let (two_over_pi, magic) = (l.constant(std::f32::consts::FRAC_2_PI), l.constant(ROUND));
    let shifted = l.fma(x, two_over_pi, magic);
    let n = l.sub(shifted, magic);
    let parts = [std::f32::consts::FRAC_PI_2, -4.371_139e-8, -1.716_338_6e-15];
    let r = parts.into_iter().fold(x, |r, part| {
        let part = l.constant(-part);
        l.fma(n, part, r)
    });
    let (s, c) = sin_cos_reduced(l, r);
    let (q, offset) = (l.bits(shifted), l.integer(quarters));
    let q = l.iadd(q, offset);
    let (one, zero, two) = (l.integer(1), l.integer(0), l.integer(2));
    let odd = l.and(q, one);
    let even = l.iequal(odd, zero);
    let y = l.select(even, s, c);
    let half_turn = l.and(q, two);
    let sign = l.shl(half_turn, 30);
    let y = l.bits(y);
    let y = l.xor(y, sign);
    let y = l.from_bits(y);
    let (limit, nan) = (l.constant(4_194_304.0), l.constant(f32::NAN));
    let size = l.abs(x);
    let inside = l.less_equal(size, limit);
    l.select(inside, y, nan)
}

/// Sine of x in radians.
pub fn sin<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let y = sin_turned(l, x, 0);
    y
}

/// Cosine of x in radians.
pub fn cos<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    sin_turned(l, x, 1)
}

/// Hyperbolic tangent.
pub fn tanh<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let size = at_most(l, size, 16.0);
    let (minus_two, two) = (l.constant(-2.0), l.constant(2.0));
    let argument = l.mul(size, minus_two);
    let e = expm1_nonpositive(l, argument);
    let denominator = l.add(e, two);
    let y = l.div(e, denominator);
    copysign(l, y, x)
}

/// Error function.
pub fn erf<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let t = at_most(l, size, 4.0);
    let p = polynomial(
        l,
        t,
        &[
            0.12837917,
            0.63661504,
            0.102832176,
            -0.019400539,
            3.7068172e-4,
            0.0010711038,
            -2.751636e-4,
            9.4544475e-6,
            3.636645e-6,
        ],
    );
    let exponent = l.fma(t, p, t);
    let exponent = l.neg(exponent);
    let e = expm1_nonpositive(l, exponent);
    copysign(l, e, x)
}

/// log(1 + e^x).
pub fn softplus<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let argument = l.neg(size);
    let t = exp_nonpositive(l, argument);
    let q = polynomial(
        l,
        t,
        &[
            -0.4999993,
            0.33330464,
            -0.2495802,
            0.19692121,
            -0.15344977,
            0.10661371,
            -0.057460487,
            0.02008847,
            -0.0032910798,
        ],
    );
    let square = l.mul(t, t);
    let log1p = l.fma(square, q, t);
    let positive = at_least(l, x, 0.0);
    l.add(positive, log1p)
}

/// 1 / (1 + e^-x).
pub fn sigmoid<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let argument = l.neg(size);
    let e = exp_nonpositive(l, argument);
    let (zero, one) = (l.constant(0.0), l.constant(1.0));
    let negative = l.less(x, zero);
    let numerator = l.select(negative, e, one);
    let denominator = l.add(one, e);
    l.div(numerator, denominator)
}
