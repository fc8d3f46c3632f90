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
#[allow(missing_docs, reason = "the operation's name is its meaning; exceptions are documented")]
pub trait Lanes {
    /// Floats.
    type F: Copy;
    /// 32-bit integers.
    type I: Copy;
    /// Truth values.
    type M: Copy;

    fn constant(&mut self, x: f32) -> Self::F;
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c` with one rounding.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    /// Flips the sign bit.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// Clears the sign bit.
    fn abs(&mut self, a: Self::F) -> Self::F;
    fn floor(&mut self, a: Self::F) -> Self::F;
    fn less(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn less_equal(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn equal(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `m ? a : b`.
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    fn bits(&mut self, a: Self::F) -> Self::I;
    fn float_of_bits(&mut self, a: Self::I) -> Self::F;
    /// A signed integer to the nearest float, ties to even.
    fn to_float(&mut self, a: Self::I) -> Self::F;

    fn integer(&mut self, x: u32) -> Self::I;
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn and(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn or(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn shl(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Shifts zeros in from the left.
    fn shr(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Shifts the sign in from the left.
    fn sar(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Rotates left by 1 to 31 bits.
    fn rotl(&mut self, a: Self::I, by: u32) -> Self::I;
    fn iequal(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// Signed comparison `a < b`.
    fn iless(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// `m ? a : b` on integers.
    fn iselect(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I;

    /// `b > a ? b : a`.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let m = self.less(a, b);
        self.select(m, b, a)
    }
}

/// [`Lanes`] of one element, computed at once.
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
