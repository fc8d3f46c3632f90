//! The arithmetic of `f64` beside that of lanes.

use super::{Lanes, Scalar};

/// Operations on `f64`: IEEE 754 binary64 with round to nearest even and denormals kept, and none that is fused.
///
/// What a double's parts tell is taken from its two words, so that 32-bit integers are all that is needed.
#[allow(missing_docs, reason = "the operation's name is its meaning; exceptions are documented")]
pub trait DoubleLanes: Lanes {
    /// Doubles.
    type D: Copy;

    fn dconstant(&mut self, x: f64) -> Self::D;
    fn dadd(&mut self, a: Self::D, b: Self::D) -> Self::D;
    fn dsub(&mut self, a: Self::D, b: Self::D) -> Self::D;
    fn dmul(&mut self, a: Self::D, b: Self::D) -> Self::D;
    fn ddiv(&mut self, a: Self::D, b: Self::D) -> Self::D;
    fn dsqrt(&mut self, a: Self::D) -> Self::D;
    /// Flips the sign bit.
    fn dneg(&mut self, a: Self::D) -> Self::D;
    /// Clears the sign bit.
    fn dabs(&mut self, a: Self::D) -> Self::D;
    fn dfloor(&mut self, a: Self::D) -> Self::D;
    fn dless(&mut self, a: Self::D, b: Self::D) -> Self::M;
    fn dless_equal(&mut self, a: Self::D, b: Self::D) -> Self::M;
    fn dequal(&mut self, a: Self::D, b: Self::D) -> Self::M;
    /// `m ? a : b`.
    fn dselect(&mut self, m: Self::M, a: Self::D, b: Self::D) -> Self::D;

    /// The same number.
    fn widen(&mut self, a: Self::F) -> Self::D;
    /// The nearest float, ties to even.
    fn narrow(&mut self, a: Self::D) -> Self::F;
    /// A signed integer as it is.
    fn to_double(&mut self, a: Self::I) -> Self::D;

    /// The bits of sign, exponent and the highest 20 of the fraction.
    fn high_word(&mut self, a: Self::D) -> Self::I;
    /// The lowest 32 bits of the fraction.
    fn low_word(&mut self, a: Self::D) -> Self::I;
    fn double_of_words(&mut self, high: Self::I, low: Self::I) -> Self::D;

    /// `b > a ? b : a`.
    fn dmax(&mut self, a: Self::D, b: Self::D) -> Self::D {
        let m = self.dless(a, b);
        self.dselect(m, b, a)
    }
}

impl DoubleLanes for Scalar {
    type D = f64;

    fn dconstant(&mut self, x: f64) -> f64 {
        x
    }
    fn dadd(&mut self, a: f64, b: f64) -> f64 {
        a + b
    }
    fn dsub(&mut self, a: f64, b: f64) -> f64 {
        a - b
    }
    fn dmul(&mut self, a: f64, b: f64) -> f64 {
        a * b
    }
    fn ddiv(&mut self, a: f64, b: f64) -> f64 {
        a / b
    }
    fn dsqrt(&mut self, a: f64) -> f64 {
        a.sqrt()
    }
    fn dneg(&mut self, a: f64) -> f64 {
        -a
    }
    fn dabs(&mut self, a: f64) -> f64 {
        a.abs()
    }
    fn dfloor(&mut self, a: f64) -> f64 {
        a.floor()
    }
    fn dless(&mut self, a: f64, b: f64) -> bool {
        a < b
    }
    fn dless_equal(&mut self, a: f64, b: f64) -> bool {
        a <= b
    }
    fn dequal(&mut self, a: f64, b: f64) -> bool {
        a == b
    }
    fn dselect(&mut self, m: bool, a: f64, b: f64) -> f64 {
        if m { a } else { b }
    }
    fn widen(&mut self, a: f32) -> f64 {
        a.into()
    }
    fn narrow(&mut self, a: f64) -> f32 {
        a as f32
    }
    fn to_double(&mut self, a: u32) -> f64 {
        (a as i32).into()
    }
    fn high_word(&mut self, a: f64) -> u32 {
        (a.to_bits() >> 32) as u32
    }
    fn low_word(&mut self, a: f64) -> u32 {
        a.to_bits() as u32
    }
    fn double_of_words(&mut self, high: u32, low: u32) -> f64 {
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }
}
