//! Values under construction: ordinary operators and methods add operations to the graph, and broadcast implicitly.

mod elementwise;
mod movement;
mod operand;
mod rows;

pub use operand::Operand;

use crate::{Binary, Builder, Compare, DType, Error, Op, Shape, Type, Unary, Value};

/// A value under construction: `+ - * /` and methods add operations to its [`Builder`].
///
/// It is a number and a reference, to be copied freely. Shapes are broadcast as in NumPy: aligned at the last axis,
/// with extents that are equal or 1. What does not fit is an error that the builder keeps; the expression then is some
/// value that is never used. Functions of a module take and give expressions, and find the builder in them:
///
/// ```
/// use bayeslift_ir::{Builder, DType, Expr, Shape, Type};
/// fn standardize(x: Expr<'_>) -> Expr<'_> {
///     let centered = x - x.mean(0);
///     centered / (centered.square().mean(0) + x.builder().constant(1e-6)).sqrt()
/// }
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 10]));
/// let y = standardize(x);
/// assert_eq!((y.shape(), y.dtype(), y.is_float()), (Shape::from([32, 10]), DType::F32, true));
/// assert_eq!((y.ty(), b.graph().ty(y.value()).clone()), (x.ty(), Type::f32([32, 10])));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Expr<'b> {
    pub(crate) builder: &'b Builder,
    pub(crate) value: Value,
}

/// What a value is, products, shapes, reductions.
///
/// ```
/// use bayeslift_ir::{Builder, Shape, Tensor, Type, evaluate};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([2, 3]));
/// assert_eq!(x.reshape([3, 1, 2]).transpose(&[2, 0, 1]).shape(), Shape::from([2, 3, 1]));
/// assert_eq!(x.expand(1).broadcast(&[5, 2, 4, 3].into()).shape(), Shape::from([5, 2, 4, 3]));
/// b.output("sums", x.sum(1));
/// b.output("all", x.sum_all());
/// b.output("means", x.mean(0));
/// b.output("mean of all", x.mean_all());
/// b.output("largest", x.reduce_max(1));
/// b.output("below", x.less_maximum(1));
/// b.output("products", x.dot(x.matrix_transpose()));
/// let y = evaluate(&b.finish()?, &[Tensor::f32([2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?])?;
/// assert_eq!(y[..2], [Tensor::f32([2], [6.0, 15.0])?, Tensor::scalar(21.0)]);
/// assert_eq!(y[2..4], [Tensor::f32([3], [2.5, 3.5, 4.5])?, Tensor::scalar(3.5)]);
/// assert_eq!(y[4..6], [Tensor::f32([2], [3.0, 6.0])?, Tensor::f32([2, 3], [-2.0, -1.0, 0.0, -2.0, -1.0, 0.0])?]);
/// assert_eq!(y[6], Tensor::f32([2, 2], [14.0, 32.0, 32.0, 77.0])?);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
impl<'b> Expr<'b> {
    /// The value in the graph: what [`Graph`](crate::Graph)'s methods ask for.
    pub fn value(self) -> Value {
        self.value
    }

    /// The builder it belongs to: for constants, scopes and errors of functions that are given expressions only.
    pub fn builder(self) -> &'b Builder {
        self.builder
    }

    /// The type: that of the elements, and the shape. A copy.
    pub fn ty(self) -> Type {
        self.builder.graph().ty(self.value).clone()
    }

    /// The type of the elements, without the copy that [`Expr::ty`] makes.
    pub fn dtype(self) -> DType {
        self.builder.graph().ty(self.value).dtype
    }

    /// The shape: a copy, which is read as a slice of extents.
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

    /// The same elements repeated to `shape`: axes are aligned at the last, and extents are those of `shape` or 1, or
    /// it is refused. Operators do this where they need it.
    pub fn broadcast(self, shape: &Shape) -> Expr<'b> {
        if self.shape() == *shape { self } else { self.builder.push(Op::Broadcast(shape.clone()), &[self]) }
    }

    /// The same elements, in row-major order, under another shape. One with another number of elements is refused.
    pub fn reshape(self, shape: impl Into<Shape>) -> Expr<'b> {
        let shape = shape.into();
        if self.shape() == shape { self } else { self.builder.push(Op::Reshape(shape), &[self]) }
    }

    /// Axis `i` of the result is axis `permutation[i]` of this. What does not name each axis once is refused.
    pub fn transpose(self, permutation: &[usize]) -> Expr<'b> {
        if permutation.iter().copied().eq(0..self.shape().len()) {
            return self;
        }
        let permutation = permutation.iter().map(|&axis| u8::try_from(axis).unwrap_or(u8::MAX)).collect();
        self.builder.push(Op::Transpose(permutation), &[self])
    }

    /// The last two axes exchanged: `[b.., m, n]` gives `[b.., n, m]`. Of rank 0 or 1 it is the same value.
    pub fn matrix_transpose(self) -> Expr<'b> {
        let rank = self.shape().len();
        let mut permutation: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            permutation.swap(rank - 2, rank - 1);
        }
        self.transpose(&permutation)
    }

    /// Matrix product: `[b.., m, k]` with `[b.., k, n]`. Leading axes are broadcast; a right operand of rank 2 is
    /// applied to all leading axes of the left one at once. Gives `[b.., m, n]` with `y[i, j] = sum_l x[i, l] w[l, j]`,
    /// added in the order that [`DOT_CHUNK`](crate::DOT_CHUNK) tells. Operands are both `f32` or both `f64`; a rank
    /// below 2 is refused.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// let b = Builder::new();
    /// let f32s = |shape: &[usize]| b.input(&format!("{shape:?}"), Type::f32(shape));
    /// assert_eq!(f32s(&[8, 32, 64]).dot(f32s(&[64, 10])).ty(), Type::f32([8, 32, 10]));
    /// assert_eq!(f32s(&[1, 32, 65]).dot(f32s(&[8, 65, 10])).ty(), Type::f32([8, 32, 10]));
    /// f32s(&[65]).dot(f32s(&[65, 10]));
    /// let message = "dot: operand 0 has shape [65], which does not fit rank 2 or more";
    /// assert_eq!(b.check().unwrap_err().to_string(), message);
    /// ```
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

    /// The same value; no gradient flows through it, as if it were a constant.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Op, Type};
    /// let b = Builder::new();
    /// let y = b.input("x", Type::f32([2])).stop_gradient();
    /// assert_eq!(b.graph().node(y.value()).op, Op::StopGradient);
    /// ```
    pub fn stop_gradient(self) -> Expr<'b> {
        self.builder.push(Op::StopGradient, &[self])
    }
    /// Sum over one axis, which disappears, in an order that [`Op::Sum`] tells. An axis that there is not is refused.
    pub fn sum(self, axis: usize) -> Expr<'b> {
        self.builder.push(Op::Sum(axis), &[self])
    }
    /// Sum over all axes, last axis first, to a scalar. Of a scalar it is the same value.
    pub fn sum_all(self) -> Expr<'b> {
        (0..self.shape().len()).rev().fold(self, Expr::sum)
    }
    /// Maximum over one axis, which disappears. Not-a-number elements are ignored; elements that tie share the
    /// gradient: of n that tie each has 1 / n. -infinity if all are not a number.
    pub fn reduce_max(self, axis: usize) -> Expr<'b> {
        self.builder.push(Op::Max(axis), &[self])
    }
    /// Mean over one axis, which disappears: the [sum](Expr::sum) divided by the extent. An axis that there is not is
    /// refused.
    pub fn mean(self, axis: usize) -> Expr<'b> {
        let extent = self.shape().get(axis).copied().unwrap_or(1);
        self.sum(axis) / extent as f64
    }
    /// Mean over all axes, to a scalar: [`Expr::sum_all`] divided by the number of elements.
    pub fn mean_all(self) -> Expr<'b> {
        let elements = self.shape().elements();
        self.sum_all() / elements as f64
    }
    /// An axis of extent 1 inserted before `axis`; behind the last one if `axis` is the rank, or more.
    pub fn expand(self, axis: usize) -> Expr<'b> {
        let mut shape = self.shape().to_vec();
        shape.insert(axis.min(shape.len()), 1);
        self.reshape(shape.as_slice())
    }
    /// The logarithm of the softmax over the last axis: x_i - log sum_j e^(x_j). The largest x is subtracted first, so
    /// that nothing overflows. A scalar is refused.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let logits = b.input("logits", Type::f32([2, 2]));
    /// b.output("probabilities", logits.softmax());
    /// b.output("logarithms", logits.log_softmax());
    /// let y = evaluate(&b.finish()?, &[Tensor::f32([2, 2], [5.0, 5.0, 1000.0, 0.0])?])?;
    /// assert_eq!(y[0], Tensor::f32([2, 2], [0.5, 0.5, 1.0, 0.0])?);
    /// assert_eq!(y[1].as_f32().unwrap()[2..], [0.0, -1000.0]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn log_softmax(self) -> Expr<'b> {
        let rank = self.shape().len();
        let Some(axis) = rank.checked_sub(1) else {
            return self.sum(0); // a scalar has no last axis: records that error
        };
        let shifted = self.less_maximum(axis);
        shifted - shifted.exp().sum(axis).log().expand(axis)
    }
    /// The softmax over the last axis: e^(x_i) / sum_j e^(x_j), positive numbers whose sum is 1. The largest x is
    /// subtracted first, so that nothing overflows. A scalar is refused.
    pub fn softmax(self) -> Expr<'b> {
        let Some(axis) = self.shape().len().checked_sub(1) else {
            return self.sum(0); // a scalar has no last axis: records that error
        };
        let exponentials = self.less_maximum(axis).exp();
        exponentials / exponentials.sum(axis).expand(axis)
    }
    /// `x - max(x)` over an axis, of the same shape: what a softmax takes exponentials of, so that none overflows. The
    /// maximum counts as a constant to gradients, which is right where only differences of `x` matter.
    pub fn less_maximum(self, axis: usize) -> Expr<'b> {
        self - self.reduce_max(axis).stop_gradient().expand(axis)
    }
    /// `u32` labels of shape `[..]` as rows `[.., classes]` of the builder's floats with one 1; zeros for a label that
    /// is not below `classes`.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, DType, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let label = b.input("label", Type::u32([2]));
    /// assert_eq!(label.one_hot_mask(3).ty(), Type::new(DType::Mask, [2, 3]));
    /// b.output("y", label.one_hot(3));
    /// let y = evaluate(&b.finish()?, &[Tensor::u32([2], [1, 7])?])?;
    /// assert_eq!(y, [Tensor::f32([2, 3], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn one_hot(self, classes: usize) -> Expr<'b> {
        self.one_hot_mask(classes).select(1.0, 0.0)
    }

    /// As [`Expr::one_hot`], as masks: to select from each row what the label says, without a product.
    pub fn one_hot_mask(self, classes: usize) -> Expr<'b> {
        let axis = self.shape().len();
        self.expand(axis).compare(Compare::Equal, self.builder.iota(classes))
    }

    /// Whether the value is of the builder's [type of floats](Builder::float), not merely of one of the two.
    pub fn is_float(self) -> bool {
        self.dtype() == self.builder.float()
    }
}
