//! The arithmetic that an evaluation has for `f32` values: `f32` is the definition, `f64` the oracle. Values of `f64`
//! are `f64` in both; only elementary functions of them differ.

use crate::{Scalar, Unary, elementary, lanes};
use std::ops::{Add, Div, Mul};

/// Numbers a graph can be evaluated in.
pub(super) trait Real:
    Copy + PartialOrd + From<f32> + Into<f64> + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The nearest number, ties to even.
    fn from_u32(x: u32) -> Self;
    /// As [`Real::from_u32`].
    fn from_f64(x: f64) -> Self;
    /// `a * b + c`: for `f32` with one rounding.
    fn fma(a: Self, b: Self, c: Self) -> Self;
    /// An elementary function.
    fn unary(op: Unary, x: Self) -> Self;
    /// An elementary function of an `f64` value's element.
    fn unary_of_double(op: Unary, x: f64) -> f64;
}

impl Real for f32 {
    fn from_u32(x: u32) -> f32 {
        x as f32
    }

    fn from_f64(x: f64) -> f32 {
        x as f32
    }

    #[inline]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        lanes::fma(a, b, c)
    }

    fn unary(op: Unary, x: f32) -> f32 {
        elementary::unary(&mut Scalar, op, x)
    }

    fn unary_of_double(op: Unary, x: f64) -> f64 {
        elementary::double::unary(&mut Scalar, op, x)
    }
}

impl Real for f64 {
    fn from_u32(x: u32) -> f64 {
        x.into()
    }

    fn from_f64(x: f64) -> f64 {
        x
    }

    /// Two roundings: what a product of `f64` is, accurate enough for an oracle, and fast everywhere.
    #[inline]
    fn fma(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }

    fn unary(op: Unary, x: f64) -> f64 {
        match op {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Exp => libm::exp(x),
            Unary::Log => libm::log(x),
            Unary::Sqrt => libm::sqrt(x),
            Unary::Sin => libm::sin(x),
            Unary::Cos => libm::cos(x),
            Unary::Tanh => libm::tanh(x),
            Unary::Erf => libm::erf(x),
            // The exponent is never positive, so nothing overflows.
            Unary::Softplus => libm::log1p(libm::exp(-x.abs())) + x.max(0.0),
            Unary::Sigmoid if x < 0.0 => libm::exp(x) / (1.0 + libm::exp(x)),
            Unary::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Unary::Floor => libm::floor(x),
        }
    }

    fn unary_of_double(op: Unary, x: f64) -> f64 {
        f64::unary(op, x)
    }
}
