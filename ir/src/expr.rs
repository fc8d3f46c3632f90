//! Values under construction: ordinary operators and methods add operations to the graph, and broadcast implicitly.

mod movement;
mod rows;

use crate::{Binary, Builder, Compare, DType, Error, Op, Shape, Type, Unary, Value};
use std::ops;

/// A value under construction: `+ - * /` and methods add operations to its [`Builder`].
#[derive(Clone, Copy, Debug)]
pub struct Expr<'b> {
    pub(crate) builder: &'b Builder,
    pub(crate) value: Value,
}

impl<'b> Expr<'b> {
    /// The value in the graph.
    pub fn value(self) -> Value {
        self.value
    }

    /// The builder it belongs to.
    pub fn builder(self) -> &'b Builder {
        self.builder
    }

    /// The type.
    pub fn ty(self) -> Type {
        self.builder.graph().ty(self.value).clone()
    }

    /// The type of the elements.
    pub fn dtype(self) -> DType {
        self.builder.graph().ty(self.value).dtype
    }

    /// The shape.
    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    fn unary(self, op: Unary) -> Expr<'b> {
        self.builder.push(Op::Unary(op), &[self])
    }

    /// Both operands broadcast to their common shape.
    fn aligned(self, op: &'static str, other: Expr<'b>) -> (Expr<'b>, Expr<'b>) {
        let (a, b) = (self.shape(), other.shape());
        match a.broadcast_with(&b) {
            Some(shape) => (self.broadcast(&shape), other.broadcast(&shape)),
            None => {
                if self.builder.check().is_ok() {
                    self.builder.fail(Error::ShapeMismatch {
                        op: op.into(),
                        argument: "the right operand".into(),
                        expected: format!("a broadcast with {a}, the shape of the left operand"),
                        found: b,
                    });
                }
                (self, other)
            }
        }
    }

    fn binary(self, op: Binary, other: Expr<'b>) -> Expr<'b> {
        let (a, b) = self.aligned(op.name(), other);
        self.builder.push(Op::Binary(op), &[a, b])
    }

    fn compare(self, op: Compare, other: Expr<'b>) -> Expr<'b> {
        let (a, b) = self.aligned(op.name(), other);
        self.builder.push(Op::Compare(op), &[a, b])
    }

    /// The same elements repeated to `shape`.
    pub fn broadcast(self, shape: &Shape) -> Expr<'b> {
        if self.shape() == *shape { self } else { self.builder.push(Op::Broadcast(shape.clone()), &[self]) }
    }

    /// The same elements under another shape.
    pub fn reshape(self, shape: impl Into<Shape>) -> Expr<'b> {
        let shape = shape.into();
        if self.shape() == shape { self } else { self.builder.push(Op::Reshape(shape), &[self]) }
    }

    /// Axis `i` of the result is axis `permutation[i]` of this.
    pub fn transpose(self, permutation: &[usize]) -> Expr<'b> {
        if permutation.iter().copied().eq(0..self.shape().len()) {
            return self;
        }
        let permutation = permutation.iter().map(|&axis| u8::try_from(axis).unwrap_or(u8::MAX)).collect();
        self.builder.push(Op::Transpose(permutation), &[self])
    }

    /// The last two axes exchanged.
    pub fn matrix_transpose(self) -> Expr<'b> {
        let rank = self.shape().len();
        let mut permutation: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            permutation.swap(rank - 2, rank - 1);
        }
        self.transpose(&permutation)
    }

    /// Matrix product: `[b.., m, k]` with `[b.., k, n]`. Leading axes are broadcast; a right operand of rank 2 is
    /// applied to all leading axes of the left one at once.
    pub fn dot(self, other: Expr<'b>) -> Expr<'b> {
        let (a, b) = (self.shape(), other.shape());
        if a.len() < 2 || b.len() < 2 || a[a.len() - 1] != b[b.len() - 2] {
            return self.builder.push(Op::Dot, &[self, other]);
        }
        if b.len() == 2 && a.len() > 2 {
            let flat = self.reshape([a.rows(), a.last_extent()]).dot(other);
            let mut shape = a.to_vec();
            shape[a.len() - 1] = b[1];
            return flat.reshape(shape.as_slice());
        }
        let (batch_a, batch_b) = (Shape::new(&a[..a.len() - 2]), Shape::new(&b[..b.len() - 2]));
        let Some(batch) = batch_a.broadcast_with(&batch_b) else {
            return self.builder.push(Op::Dot, &[self, other]);
        };
        let full = |s: &Shape| batch.iter().chain(&s[s.len() - 2..]).copied().collect::<Shape>();
        let (x, y) = (self.broadcast(&full(&a)), other.broadcast(&full(&b)));
        self.builder.push(Op::Dot, &[x, y])
    }

    /// e^x.
    pub fn exp(self) -> Expr<'b> {
        self.unary(Unary::Exp)
    }
    /// Natural logarithm: -infinity at 0, not a number below.
    pub fn log(self) -> Expr<'b> {
        self.unary(Unary::Log)
    }
    /// Square root; its gradient at 0 is 0. Not a number below 0.
    pub fn sqrt(self) -> Expr<'b> {
        self.unary(Unary::Sqrt)
    }
    /// Sine.
    pub fn sin(self) -> Expr<'b> {
        self.unary(Unary::Sin)
    }
    /// Cosine.
    pub fn cos(self) -> Expr<'b> {
        self.unary(Unary::Cos)
    }
    /// Hyperbolic tangent.
    pub fn tanh(self) -> Expr<'b> {
        self.unary(Unary::Tanh)
    }
    /// Error function: 2 / sqrt(pi) times the integral of e^(-t^2) over t from 0 to x.
    pub fn erf(self) -> Expr<'b> {
        self.unary(Unary::Erf)
    }
    /// log(1 + e^x).
    pub fn softplus(self) -> Expr<'b> {
        self.unary(Unary::Softplus)
    }
    /// 1 / (1 + e^-x).
    pub fn sigmoid(self) -> Expr<'b> {
        self.unary(Unary::Sigmoid)
    }
    /// Largest integer not above x.
    pub fn floor(self) -> Expr<'b> {
        self.unary(Unary::Floor)
    }
    /// |x|.
    pub fn abs(self) -> Expr<'b> {
        self.unary(Unary::Abs)
    }
    /// x * x.
    pub fn square(self) -> Expr<'b> {
        self * self
    }
    /// The larger of two elements, broadcast to a common shape: `other > self ? other : self`. So not-a-number stays in
    /// `self`, and is ignored in `other`. The gradient goes to the larger, and at a tie to `other`.
    pub fn max(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.binary(Binary::Max, other)
    }
    /// The smaller of two elements, broadcast to a common shape: `-max(-self, -other)`. Ties and not-a-number are as
    /// for [`Expr::max`].
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// b.output("y", b.input("x", Type::f32([3])).min(1.0));
    /// let y = evaluate(&b.finish()?, &[Tensor::f32([3], [-2.0, 1.0, 5.0])?])?;
    /// assert_eq!(y, [Tensor::f32([3], [-2.0, 1.0, 1.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn min(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        -(-self).max(-other)
    }
    /// max(x, 0); its gradient at 0 is 0.
    pub fn relu(self) -> Expr<'b> {
        self.max(0.0)
    }
    /// The mask `self < other`.
    pub fn less(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::Less, other)
    }
    /// The mask `self <= other`.
    pub fn less_equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::LessEqual, other)
    }
    /// The mask `self == other`.
    pub fn equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::Equal, other)
    }
    /// `self ? a : b` for a mask, broadcast to a common shape. Two numbers are of the builder's type of floats.
    pub fn select(self, a: impl Operand<'b>, b: impl Operand<'b>) -> Expr<'b> {
        let b = b.into_expr(a.into_expr(self));
        let (a, b) = a.into_expr(b).aligned("select", b);
        let (mask, a) = self.aligned("select", a);
        let b = b.broadcast(&a.shape());
        self.builder.push(Op::Select, &[mask, a, b])
    }
    /// As `f32`: of `u32` and `f64` the nearest, ties to even.
    pub fn to_f32(self) -> Expr<'b> {
        self.convert(DType::F32)
    }
    /// As `f64`, which has every number of `f32` and `u32`.
    pub fn to_f64(self) -> Expr<'b> {
        self.convert(DType::F64)
    }
    /// As `u32`: of a float a whole number from 0 to 2^24 as it is, and everything else as `u32::MAX`.
    pub fn to_u32(self) -> Expr<'b> {
        if self.dtype() == DType::F64 {
            let nearest = self.to_f32();
            return nearest.to_f64().equal(self).select(nearest.to_u32(), u32::MAX);
        }
        self.convert(DType::U32)
    }
    /// As the builder's [type of floats](Builder::float).
    pub fn to_float(self) -> Expr<'b> {
        self.convert(self.builder.float())
    }
    fn convert(self, to: DType) -> Expr<'b> {
        if self.dtype() == to { self } else { self.builder.push(Op::Convert(to), &[self]) }
    }
    /// The same value; no gradient flows through it.
    pub fn stop_gradient(self) -> Expr<'b> {
        self.builder.push(Op::StopGradient, &[self])
    }
    /// Sum over one axis, which disappears.
    pub fn sum(self, axis: usize) -> Expr<'b> {
        self.builder.push(Op::Sum(axis), &[self])
    }
    /// Sum over all axes, last axis first.
    pub fn sum_all(self) -> Expr<'b> {
        (0..self.shape().len()).rev().fold(self, Expr::sum)
    }
    /// Maximum over one axis, which disappears. Not-a-number elements are ignored; elements that tie share the
    /// gradient.
    pub fn reduce_max(self, axis: usize) -> Expr<'b> {
        self.builder.push(Op::Max(axis), &[self])
    }
    /// Mean over one axis, which disappears.
    pub fn mean(self, axis: usize) -> Expr<'b> {
        let extent = self.shape().get(axis).copied().unwrap_or(1);
        self.sum(axis) / extent as f64
    }
    /// Mean over all axes.
    pub fn mean_all(self) -> Expr<'b> {
        let elements = self.shape().elements();
        self.sum_all() / elements as f64
    }
    /// An axis of extent 1 inserted before `axis`.
    pub fn expand(self, axis: usize) -> Expr<'b> {
        let mut shape = self.shape().to_vec();
        shape.insert(axis.min(shape.len()), 1);
        self.reshape(shape.as_slice())
    }
    /// The logarithm of the softmax over the last axis: x_i - log sum_j e^(x_j). A scalar is refused.
    pub fn log_softmax(self) -> Expr<'b> {
        let rank = self.shape().len();
        let Some(axis) = rank.checked_sub(1) else {
            return self.sum(0); // a scalar has no last axis: records that error
        };
        let shifted = self.less_maximum(axis);
        shifted - shifted.exp().sum(axis).log().expand(axis)
    }
    /// The softmax over the last axis: e^(x_i) / sum_j e^(x_j). A scalar is refused.
    pub fn softmax(self) -> Expr<'b> {
        let Some(axis) = self.shape().len().checked_sub(1) else {
            return self.sum(0); // a scalar has no last axis: records that error
        };
        let exponentials = self.less_maximum(axis).exp();
        exponentials / exponentials.sum(axis).expand(axis)
    }
    /// `x - max(x)` over an axis: what a softmax takes exponentials of, so that none overflows.
    pub fn less_maximum(self, axis: usize) -> Expr<'b> {
        self - self.reduce_max(axis).stop_gradient().expand(axis)
    }
    /// `u32` labels of shape `[..]` as rows `[.., classes]` of floats with one 1.
    pub fn one_hot(self, classes: usize) -> Expr<'b> {
        self.one_hot_mask(classes).select(1.0, 0.0)
    }

    /// As [`Expr::one_hot`], as masks.
    pub fn one_hot_mask(self, classes: usize) -> Expr<'b> {
        let axis = self.shape().len();
        self.expand(axis).compare(Compare::Equal, self.builder.iota(classes))
    }

    /// Whether the value is of the builder's [type of floats](Builder::float).
    pub fn is_float(self) -> bool {
        self.dtype() == self.builder.float()
    }
}

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
    /// The operand as an expression that stands beside this one.
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
