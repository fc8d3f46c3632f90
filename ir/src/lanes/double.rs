//! The arithmetic of `f64` beside that of lanes.

use super::{Lanes, Scalar};

/// Operations on `f64`: IEEE 754 binary64 with round to nearest even and denormals kept, and none that is fused.
///
/// What a double's parts tell is taken from its two words, so that 32-bit integers are all that is needed.
///
/// ```
/// use bayeslift_ir::{DoubleLanes, Lanes, Scalar};
/// /// sqrt(a^2 + b^2) of floats that a float's square may not hold.
/// fn hypotenuse<L: DoubleLanes>(l: &mut L, a: L::F, b: L::F) -> L::F {
///     let (a, b) = (l.widen(a), l.widen(b));
///     let (a, b) = (l.dmul(a, a), l.dmul(b, b));
///     let sum = l.dadd(a, b);
///     let root = l.dsqrt(sum);
///     l.narrow(root)
/// }
/// assert_eq!(hypotenuse(&mut Scalar, 3e30, 4e30), 5e30);
/// ```
///
/// What the others give, of one lane:
///
/// ```
/// use bayeslift_ir::{DoubleLanes, Scalar};
/// let (mut l, nan) = (Scalar, f64::NAN);
/// assert_eq!((l.dsub(1.0, 2.0), l.ddiv(1.0, 2.0), l.dfloor(-0.5), l.dabs(-1.5)), (-1.0, 0.5, -1.0, 1.5));
/// assert_eq!((l.dless(nan, 1.0), l.dless_equal(1.0, 1.0), l.dequal(-0.0, 0.0)), (false, true, true));
/// assert_eq!((l.dmax(1.0, nan), l.dmax(nan, 1.0).is_nan(), l.dselect(false, 1.0, 2.0)), (1.0, true, 2.0));
/// let (pi, minus_zero) = (l.dconstant(std::f64::consts::PI), l.dneg(0.0));
/// assert_eq!((l.high_word(pi), l.low_word(pi), l.high_word(minus_zero)), (0x4009_21fb, 0x5444_2d18, 1 << 31));
/// assert_eq!((l.double_of_words(0x3ff0_0000, 0), l.to_double(u32::MAX)), (1.0, -1.0));
/// ```
pub trait DoubleLanes: Lanes {
    /// Doubles.
    type D: Copy;

    /// This number in every lane.
    fn dconstant(&mut self, x: f64) -> Self::D;
    /// The sum `a + b`, correctly rounded.
    fn dadd(&mut self, a: Self::D, b: Self::D) -> Self::D;
    /// The difference `a - b`, correctly rounded.
    fn dsub(&mut self, a: Self::D, b: Self::D) -> Self::D;
    /// The product `a * b`, correctly rounded.
    fn dmul(&mut self, a: Self::D, b: Self::D) -> Self::D;
    /// The quotient `a / b`, correctly rounded.
    fn ddiv(&mut self, a: Self::D, b: Self::D) -> Self::D;
    /// The square root, correctly rounded; not a number below 0.
    fn dsqrt(&mut self, a: Self::D) -> Self::D;
    /// `-a`: flips the sign bit, also of zeros and of what is not a number.
    fn dneg(&mut self, a: Self::D) -> Self::D;
    /// `|a|`: clears the sign bit, also of zeros and of what is not a number.
    fn dabs(&mut self, a: Self::D) -> Self::D;
    /// The largest integer that is not above `a`, as a double.
    fn dfloor(&mut self, a: Self::D) -> Self::D;
    /// `a < b`: false if one is not a number.
    fn dless(&mut self, a: Self::D, b: Self::D) -> Self::M;
    /// `a <= b`: false if one is not a number.
    fn dless_equal(&mut self, a: Self::D, b: Self::D) -> Self::M;
    /// `a == b`: false if one is not a number, true of -0 and +0.
    fn dequal(&mut self, a: Self::D, b: Self::D) -> Self::M;
    /// `m ? a : b` on doubles, whose bits stay.
    fn dselect(&mut self, m: Self::M, a: Self::D, b: Self::D) -> Self::D;

    /// A float as a double, which has the same number.
    fn widen(&mut self, a: Self::F) -> Self::D;
    /// The float that is nearest to a double, ties to even; infinite where that is too large.
    fn narrow(&mut self, a: Self::D) -> Self::F;
    /// A signed integer as a double, which has the same number.
    fn to_double(&mut self, a: Self::I) -> Self::D;

    /// The bits of sign, exponent and the highest 20 of the fraction.
    fn high_word(&mut self, a: Self::D) -> Self::I;
    /// The lowest 32 bits of the fraction.
    fn low_word(&mut self, a: Self::D) -> Self::I;
    /// The double that has these two words: the inverse of [`DoubleLanes::high_word`] and [`DoubleLanes::low_word`].
    fn double_of_words(&mut self, high: Self::I, low: Self::I) -> Self::D;

    /// `b > a ? b : a`: `a` at a tie and where one is not a number.
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
