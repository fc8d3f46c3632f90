//! The arithmetic that elementary functions and noise are written in.
//!
//! A function over [`Lanes`] is defined once. [`Scalar`] runs it on one `f32`, for the reference evaluator;
//! the tile builder of the code generator records it as vector code. Both give the same bits, because
//! every operation here is exact or correctly rounded on every target.

mod double;

pub use double::DoubleLanes;

/// Operations on lanes of `f32`, 32-bit integers and truth values.
///
/// Float operations are IEEE 754 binary32 with round to nearest even and denormals kept. Integers wrap.
///
/// A function of floats is written once, for whatever computes it:
///
/// ```
/// use bayeslift_ir::{Lanes, Scalar};
/// /// a x^2 + b, with a sign that is that of `sign`.
/// fn parabola<L: Lanes>(l: &mut L, x: L::F, sign: L::F) -> L::F {
///     let (a, b) = (l.constant(3.0), l.constant(0.25));
///     let square = l.mul(x, x);
///     let y = l.fma(a, square, b);
///     let (bits, sign, mask) = (l.bits(y), l.bits(sign), l.integer(1 << 31));
///     let sign = l.and(sign, mask);
///     let bits = l.or(bits, sign);
///     l.float_of_bits(bits)
/// }
/// assert_eq!(parabola(&mut Scalar, 2.0, -0.0), -12.25);
/// ```
///
/// What each gives, of one lane:
///
/// ```
/// use bayeslift_ir::{Lanes, Scalar};
/// let (mut l, nan) = (Scalar, f32::NAN);
/// assert_eq!((l.add(1.0, 2.0), l.sub(1.0, 2.0), l.div(1.0, 2.0), l.sqrt(9.0)), (3.0, -1.0, 0.5, 3.0));
/// assert_eq!((l.neg(0.0).to_bits(), l.abs(-0.0).to_bits(), l.floor(-0.5)), (1 << 31, 0, -1.0));
/// assert_eq!((l.less(nan, 1.0), l.less_equal(1.0, 1.0), l.equal(-0.0, 0.0)), (false, true, true));
/// assert_eq!((l.max(1.0, nan), l.max(nan, 1.0).is_nan(), l.select(true, 1.0, 2.0)), (1.0, true, 1.0));
/// // integers: most have no sign, but `to_float`, `sar` and `iless` see one
/// assert_eq!((l.iadd(u32::MAX, 2), l.isub(1, 2), l.xor(5, 3)), (1, u32::MAX, 6));
/// assert_eq!((l.shl(1, 31), l.shr(1 << 31, 31), l.sar(1 << 31, 31), l.rotl(1 << 31, 1)), (1 << 31, 1, u32::MAX, 1));
/// assert_eq!((l.iless(u32::MAX, 0), l.iequal(1, 1), l.iselect(false, 1, 2)), (true, true, 2));
/// assert_eq!(l.to_float(u32::MAX), -1.0);
/// ```
pub trait Lanes {
    /// Floats.
    type F: Copy;
    /// 32-bit integers.
    type I: Copy;
    /// Truth values.
    type M: Copy;

    /// This number in every lane.
    fn constant(&mut self, x: f32) -> Self::F;
    /// The sum `a + b`, correctly rounded.
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// The difference `a - b`, correctly rounded.
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// The product `a * b`, correctly rounded.
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// The quotient `a / b`, correctly rounded.
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c` with one rounding; see [`fma()`].
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The square root, correctly rounded; not a number below 0.
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    /// `-a`: flips the sign bit, also of zeros and of what is not a number.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// `|a|`: clears the sign bit, also of zeros and of what is not a number.
    fn abs(&mut self, a: Self::F) -> Self::F;
    /// The largest integer that is not above `a`, as a float.
    fn floor(&mut self, a: Self::F) -> Self::F;
    /// `a < b`: false if one is not a number.
    fn less(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a <= b`: false if one is not a number.
    fn less_equal(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a == b`: false if one is not a number, true of -0 and +0.
    fn equal(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `m ? a : b` on floats, whose bits stay.
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The 32 bits of a float: sign, 8 of the exponent, 23 of the fraction.
    fn bits(&mut self, a: Self::F) -> Self::I;
    /// The float that has these bits: the inverse of [`Lanes::bits`].
    fn float_of_bits(&mut self, a: Self::I) -> Self::F;
    /// A signed integer to the nearest float, ties to even.
    fn to_float(&mut self, a: Self::I) -> Self::F;

    /// This integer in every lane.
    fn integer(&mut self, x: u32) -> Self::I;
    /// The sum `a + b` modulo 2^32.
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// The difference `a - b` modulo 2^32.
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// The bits that both have.
    fn and(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// The bits that one has, or both have.
    fn or(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// The bits that one has and the other has not.
    fn xor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Shifts left by 0 to 31 bits, and zeros in from the right.
    fn shl(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Shifts right by 0 to 31 bits, and zeros in from the left.
    fn shr(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Shifts right by 0 to 31 bits, and the sign in from the left.
    fn sar(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Rotates left by 1 to 31 bits.
    fn rotl(&mut self, a: Self::I, by: u32) -> Self::I;
    /// `a == b` on integers.
    fn iequal(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// `a < b` on integers with a sign.
    fn iless(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// `m ? a : b` on integers.
    fn iselect(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I;

    /// `b > a ? b : a`: `a` at a tie and where one is not a number.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let m = self.less(a, b);
        self.select(m, b, a)
    }
}

/// [`Lanes`] of one element, computed at once: what the reference evaluator runs elementary functions and noise on.
///
/// ```
/// use bayeslift_ir::{Lanes, Scalar, elementary};
/// assert_eq!(Scalar.div(1.0, 4.0), 0.25);
/// assert_eq!(elementary::exp(&mut Scalar, 0.0), 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Lanes for Scalar {
    type F = f32;
    type I = u32;
    type M = bool;

    fn constant(&mut self, x: f32) -> f32 {
        x
    }
    fn add(&mut self, a: f32, b: f32) -> f32 {
        a + b
    }
    fn sub(&mut self, a: f32, b: f32) -> f32 {
        a - b
    }
    fn mul(&mut self, a: f32, b: f32) -> f32 {
        a * b
    }
    fn div(&mut self, a: f32, b: f32) -> f32 {
        a / b
    }
    fn fma(&mut self, a: f32, b: f32, c: f32) -> f32 {
        fma(a, b, c)
    }
    fn sqrt(&mut self, a: f32) -> f32 {
        a.sqrt()
    }
    fn neg(&mut self, a: f32) -> f32 {
        -a
    }
    fn abs(&mut self, a: f32) -> f32 {
        a.abs()
    }
    fn floor(&mut self, a: f32) -> f32 {
        a.floor()
    }
    fn less(&mut self, a: f32, b: f32) -> bool {
        a < b
    }
    fn less_equal(&mut self, a: f32, b: f32) -> bool {
        a <= b
    }
    fn equal(&mut self, a: f32, b: f32) -> bool {
        a == b
    }
    fn select(&mut self, m: bool, a: f32, b: f32) -> f32 {
        if m { a } else { b }
    }
    fn bits(&mut self, a: f32) -> u32 {
        a.to_bits()
    }
    fn float_of_bits(&mut self, a: u32) -> f32 {
        f32::from_bits(a)
    }
    fn to_float(&mut self, a: u32) -> f32 {
        a as i32 as f32
    }
    fn integer(&mut self, x: u32) -> u32 {
        x
    }
    fn iadd(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
    fn isub(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_sub(b)
    }
    fn and(&mut self, a: u32, b: u32) -> u32 {
        a & b
    }
    fn or(&mut self, a: u32, b: u32) -> u32 {
        a | b
    }
    fn xor(&mut self, a: u32, b: u32) -> u32 {
        a ^ b
    }
    fn shl(&mut self, a: u32, by: u32) -> u32 {
        a << by
    }
    fn shr(&mut self, a: u32, by: u32) -> u32 {
        a >> by
    }
    fn sar(&mut self, a: u32, by: u32) -> u32 {
        (a as i32 >> by) as u32
    }
    fn rotl(&mut self, a: u32, by: u32) -> u32 {
        a.rotate_left(by)
    }
    fn iequal(&mut self, a: u32, b: u32) -> bool {
        a == b
    }
    fn iless(&mut self, a: u32, b: u32) -> bool {
        (a as i32) < (b as i32)
    }
    fn iselect(&mut self, m: bool, a: u32, b: u32) -> u32 {
        if m { a } else { b }
    }
}

/// `a * b + c` with one rounding: the hardware's instruction where the build allows it, exact software elsewhere.
///
/// The product of two `f32` is exact in `f64`; the sum is rounded to odd there, so that the
/// final rounding to `f32` is the only one that counts (Boldo and Melquiond, 2008).
///
/// ```
/// use bayeslift_ir::fma;
/// let x = 1.0 + f32::EPSILON;
/// // x^2 = 1 + 2 epsilon + epsilon^2, of which a product alone loses the last term
/// assert_eq!((fma(x, x, -1.0 - 2.0 * f32::EPSILON), x * x - 1.0 - 2.0 * f32::EPSILON), (f32::EPSILON.powi(2), 0.0));
/// ```
#[inline]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") {
        return a.mul_add(b, c);
    }
    let product = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let sum = product + c;
    if !sum.is_finite() {
        return sum as f32;
    }
    // The error of the sum (Knuth's TwoSum), exact where nothing overflows.
    let c_part = sum - product;
    let error = (product - (sum - c_part)) + (c - c_part);
    if error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum as f32;
    }
    let toward = if (error > 0.0) == (sum > 0.0) { 1 } else { u64::MAX };
    f64::from_bits(sum.to_bits().wrapping_add(toward)) as f32
}
