//! What stands beside a value under construction: expressions and numbers, and the operators between them.

use crate::{Binary, DType, Expr, Unary};
use std::ops;

/// What may stand as an operand: an [`Expr`] or a number.
///
/// A number with a fraction takes the type of the float beside it: `f64`, or the nearest `f32`; else the builder's. So
/// one piece of code builds for both, and has all digits of its constants in `f64`. To the left of an operator stands
/// an `f32`, whose digits are those of `f32` beside an `f64`, too: Rust would have to be told the type of each literal
/// there otherwise.
///
/// ```
/// use bayeslift_ir::{Builder, Type, Unary};
/// let b = Builder::new();
/// let x = b.input("x", Type::f64([3]));
/// b.output("y", (1.0 - x * 0.1).log());
/// assert!(b.finish()?.nodes().iter().any(|node| node.op == bayeslift_ir::Op::ConstantF64(0.1_f64.to_bits())));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub trait Operand<'b>: Copy {
    /// The operand as an expression that stands beside this one: an expression is itself, a number is a scalar constant
    /// of a type that suits. For functions that take either:
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Expr, Operand, Type};
    /// fn leaky<'b>(x: Expr<'b>, slope: impl Operand<'b>) -> Expr<'b> {
    ///     x.max(x * slope.into_expr(x))
    /// }
    /// let b = Builder::new();
    /// let (x, slope) = (b.input("x", Type::f64([2, 8])), b.input("slope", Type::f64([8])));
    /// assert_eq!(leaky(x, 0.01).ty(), leaky(x, slope).ty());
    /// ```
    fn into_expr(self, beside: Expr<'b>) -> Expr<'b>;
}

impl<'b> Operand<'b> for Expr<'b> {
    fn into_expr(self, _: Expr<'b>) -> Expr<'b> {
        self
    }
}

impl<'b> Operand<'b> for f32 {
    fn into_expr(self, beside: Expr<'b>) -> Expr<'b> {
        f64::from(self).into_expr(beside)
    }
}

impl<'b> Operand<'b> for f64 {
    fn into_expr(self, beside: Expr<'b>) -> Expr<'b> {
        match beside.dtype() {
            DType::F64 => beside.builder.constant_f64(self),
            DType::F32 => beside.builder.constant_f32(self as f32),
            DType::U32 | DType::Mask => beside.builder.constant(self),
        }
    }
}

impl<'b> Operand<'b> for u32 {
    fn into_expr(self, beside: Expr<'b>) -> Expr<'b> {
        beside.builder.constant_u32(self)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $body:expr) => {
        impl<'b, T: Operand<'b>> ops::$trait<T> for Expr<'b> {
            type Output = Expr<'b>;
            fn $method(self, other: T) -> Expr<'b> {
                let ($a, $b) = (self, other.into_expr(self));
                $body
            }
        }
        impl<'b> ops::$trait<Expr<'b>> for f32 {
            type Output = Expr<'b>;
            fn $method(self, other: Expr<'b>) -> Expr<'b> {
                let ($a, $b) = (self.into_expr(other), other);
                $body
            }
        }
    };
}

operator!(Add, add, |a, b| a.binary(Binary::Add, b));
operator!(Sub, sub, |a, b| a.binary(Binary::Add, -b));
operator!(Mul, mul, |a, b| a.binary(Binary::Mul, b));
operator!(Div, div, |a, b| a.binary(Binary::Div, b));

impl<'b> ops::Neg for Expr<'b> {
    type Output = Expr<'b>;
    fn neg(self) -> Expr<'b> {
        self.unary(Unary::Neg)
    }
}
