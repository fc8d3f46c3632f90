//! Building graphs with ordinary operators: broadcasting is implicit, the first error is kept.

use crate::{Binary, Compare, DType, Error, Graph, Noise, Op, Shape, Type, Unary, Value};
use smallvec::SmallVec;
use std::{
    cell::{Ref, RefCell},
    ops,
};

/// Builds a [`Graph`].
///
/// Operations on its [`Expr`]s never fail at the spot: the first error is kept, later operations do nothing,
/// and [`Builder::finish`] or [`Builder::check`] report it together with the scope it arose in.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 64]));
/// let w = b.input("w", Type::f32([64, 10]));
/// let bias = b.input("bias", Type::f32([10]));
/// b.output("y", (x.dot(w) + bias).relu());
/// let graph = b.finish()?;
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    graph: Graph,
    scope: Vec<String>,
    error: Option<Error>,
}

/// A value under construction: `+ - * /` and methods add operations to its [`Builder`].
#[derive(Clone, Copy, Debug)]
pub struct Expr<'b> {
    builder: &'b Builder,
    value: Value,
}

/// The operands that noise is addressed by, shared by all noise sites of a graph.
#[derive(Clone, Copy, Debug)]
pub struct NoiseAddress<'b> {
    /// `u32[4]`: seed low, seed high, step low, step high.
    pub key: Expr<'b>,
    /// `u32[]`: the number of the first sample.
    pub first_sample: Expr<'b>,
    /// `u32[2]`: the number of the first example, low and high.
    pub first_row: Expr<'b>,
}

impl From<Graph> for Builder {
    /// Continues a graph.
    fn from(graph: Graph) -> Self {
        Builder { state: RefCell::new(State { graph, ..State::default() }) }
    }
}

impl Builder {
    /// A builder of an empty graph.
    pub fn new() -> Self {
        Builder::default()
    }

    /// The graph, or the first error.
    pub fn finish(self) -> Result<Graph, Error> {
        let state = self.state.into_inner();
        match state.error {
            Some(error) => Err(error),
            None => Ok(state.graph),
        }
    }

    /// The first error so far, if any.
    pub fn check(&self) -> Result<(), Error> {
        self.state.borrow().error.clone().map_or(Ok(()), Err)
    }

    /// The graph so far.
    pub fn graph(&self) -> Ref<'_, Graph> {
        Ref::map(self.state.borrow(), |state| &state.graph)
    }

    /// Runs `build` with `name` appended to the scope path, which errors report.
    pub fn scoped<T>(&self, name: &str, build: impl FnOnce() -> T) -> T {
        self.state.borrow_mut().scope.push(name.to_owned());
        let result = build();
        self.state.borrow_mut().scope.pop();
        result
    }

    /// The scope path, joined by `/`.
    pub fn scope(&self) -> String {
        self.state.borrow().scope.join("/")
    }

    /// Keeps `error` if it is the first.
    pub fn fail(&self, error: Error) {
        let mut state = self.state.borrow_mut();
        let error = error.within(&state.scope.join("/"));
        state.error.get_or_insert(error);
    }

    fn record(&self, add: impl FnOnce(&mut Graph) -> Result<Value, Error>) -> Expr<'_> {
        let added = {
            let mut state = self.state.borrow_mut();
            if state.error.is_some() { Ok(None) } else { add(&mut state.graph).map(Some) }
        };
        let value = match added {
            Ok(Some(value)) => value,
            Ok(None) => self.inert(),
            Err(error) => {
                self.fail(error);
                self.inert()
            }
        };
        Expr { builder: self, value }
    }

    /// What operations give after an error: some value of the graph, never used.
    fn inert(&self) -> Value {
        let zero = self.state.borrow_mut().graph.push(Op::Constant(0), &[]);
        zero.unwrap_or_else(|_| self.graph().values().next().expect("a full graph has nodes"))
    }

    /// Adds any operation; operands must have exactly the types it needs.
    pub fn push<'b>(&'b self, op: Op, args: &[Expr<'b>]) -> Expr<'b> {
        let args: SmallVec<[Value; 3]> = args.iter().map(|arg| arg.value).collect();
        self.record(|graph| graph.push(op, &args))
    }

    /// An expression for a value of this graph.
    pub fn expr(&self, value: Value) -> Expr<'_> {
        assert!(value.index() < self.graph().nodes().len(), "{value} is not a value of this graph");
        Expr { builder: self, value }
    }

    /// A named input.
    pub fn input(&self, name: &str, ty: Type) -> Expr<'_> {
        self.record(|graph| graph.input(name, ty))
    }

    /// A scalar constant.
    pub fn constant(&self, x: f32) -> Expr<'_> {
        let x = if x.is_nan() { f32::NAN } else { x };
        self.push(Op::Constant(x.to_bits()), &[])
    }

    /// A scalar `u32` constant.
    pub fn constant_u32(&self, x: u32) -> Expr<'_> {
        self.push(Op::ConstantU32(x), &[])
    }

    /// The `u32` indices 0 to `extent - 1`.
    pub fn iota(&self, extent: usize) -> Expr<'_> {
        self.push(Op::Iota(extent), &[])
    }

    /// Addressed noise; see [`Noise`] for the axes.
    pub fn noise<'b>(&'b self, noise: Noise, address: NoiseAddress<'b>) -> Expr<'b> {
        self.push(Op::Noise(noise), &[address.key, address.first_sample, address.first_row])
    }

    /// Names a result.
    pub fn output(&self, name: &str, expr: Expr<'_>) {
        self.record(|graph| graph.output(name, expr.value).map(|()| expr.value));
    }

    /// Names a result that overwrites the donated input `input`.
    pub fn output_updating(&self, name: &str, expr: Expr<'_>, input: Expr<'_>) {
        self.record(|graph| graph.output_updating(name, expr.value, input.value).map(|()| expr.value));
    }
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
    /// Natural logarithm.
    pub fn log(self) -> Expr<'b> {
        self.unary(Unary::Log)
    }
    /// Square root; its gradient at 0 is 0.
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
    /// Error function.
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
    /// `other > self ? other : self`.
    pub fn max(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self.builder);
        self.binary(Binary::Max, other)
    }
    /// The smaller: `-max(-self, -other)`.
    pub fn min(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self.builder);
        -(-self).max(-other)
    }
    /// max(x, 0); its gradient at 0 is 0.
    pub fn relu(self) -> Expr<'b> {
        self.max(0.0)
    }
    /// The mask `self < other`.
    pub fn less(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self.builder);
        self.compare(Compare::Less, other)
    }
    /// The mask `self <= other`.
    pub fn less_equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self.builder);
        self.compare(Compare::LessEqual, other)
    }
    /// The mask `self == other`.
    pub fn equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self.builder);
        self.compare(Compare::Equal, other)
    }
    /// `self ? a : b` for a mask, broadcast to a common shape.
    pub fn select(self, a: impl Operand<'b>, b: impl Operand<'b>) -> Expr<'b> {
        let (a, b) = a.into_expr(self.builder).aligned("select", b.into_expr(self.builder));
        let (mask, a) = self.aligned("select", a);
        let b = b.broadcast(&a.shape());
        self.builder.push(Op::Select, &[mask, a, b])
    }
    /// `u32` to `f32`.
    pub fn convert(self) -> Expr<'b> {
        self.builder.push(Op::Convert, &[self])
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
    /// Maximum over one axis, which disappears.
    pub fn reduce_max(self, axis: usize) -> Expr<'b> {
        self.builder.push(Op::Max(axis), &[self])
    }
    /// Mean over one axis, which disappears.
    pub fn mean(self, axis: usize) -> Expr<'b> {
        let extent = self.shape().get(axis).copied().unwrap_or(1);
        self.sum(axis) / extent as f32
    }
    /// Mean over all axes.
    pub fn mean_all(self) -> Expr<'b> {
        let elements = self.shape().elements();
        self.sum_all() / elements as f32
    }
    /// An axis of extent 1 inserted before `axis`.
    pub fn expand(self, axis: usize) -> Expr<'b> {
        let mut shape = self.shape().to_vec();
        shape.insert(axis.min(shape.len()), 1);
        self.reshape(shape.as_slice())
    }
    /// log of the softmax over the last axis.
    pub fn log_softmax(self) -> Expr<'b> {
        let rank = self.shape().len();
        let Some(axis) = rank.checked_sub(1) else {
            return self.sum(0); // a scalar has no last axis: records that error
        };
        let shifted = self - self.reduce_max(axis).stop_gradient().expand(axis);
        shifted - shifted.exp().sum(axis).log().expand(axis)
    }
    /// `u32` labels of shape `[..]` as `f32` rows `[.., classes]` with one 1.
    pub fn one_hot(self, classes: usize) -> Expr<'b> {
        let axis = self.shape().len();
        let hit = self.expand(axis).compare(Compare::Equal, self.builder.iota(classes));
        hit.select(1.0, 0.0)
    }
    /// Whether the value is an `f32`.
    pub fn is_f32(self) -> bool {
        self.ty().dtype == DType::F32
    }
}

/// What may stand as an operand: an [`Expr`] or a number.
pub trait Operand<'b> {
    /// The operand as an expression.
    fn into_expr(self, builder: &'b Builder) -> Expr<'b>;
}

impl<'b> Operand<'b> for Expr<'b> {
    fn into_expr(self, _: &'b Builder) -> Expr<'b> {
        self
    }
}

impl<'b> Operand<'b> for f32 {
    fn into_expr(self, builder: &'b Builder) -> Expr<'b> {
        builder.constant(self)
    }
}

impl<'b> Operand<'b> for u32 {
    fn into_expr(self, builder: &'b Builder) -> Expr<'b> {
        builder.constant_u32(self)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $body:expr) => {
        impl<'b, T: Operand<'b>> ops::$trait<T> for Expr<'b> {
            type Output = Expr<'b>;
            fn $method(self, other: T) -> Expr<'b> {
                let ($a, $b) = (self, other.into_expr(self.builder));
                $body
            }
        }
        impl<'b> ops::$trait<Expr<'b>> for f32 {
            type Output = Expr<'b>;
            fn $method(self, other: Expr<'b>) -> Expr<'b> {
                let ($a, $b) = (self.into_expr(other.builder), other);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_error_is_kept_with_its_scope() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([32, 64]));
        let w = b.input("w", Type::f32([63, 10]));
        let y = b.scoped("network", || b.scoped("dense", || x.dot(w)));
        let _ = y + b.input("z", Type::f32([7]));
        let message = b.finish().unwrap_err().to_string();
        assert_eq!(
            message,
            "in `network/dense`: dot: operand 1 has shape [63,10], which does not fit [64,n] for a left operand of shape [32,64]"
        );
    }

    #[test]
    fn equal_nodes_are_one() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([4]));
        assert_eq!((x + 1.0).exp().value(), (x + 1.0).exp().value());
    }
}
