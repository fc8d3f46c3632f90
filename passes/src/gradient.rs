//! Gradients, source to source: reverse mode on the builder's own graph.
//!
//! [`pullback`], [`derivative`] and [`linear`] are the table of vector-Jacobian rules, one a primitive. Everything a
//! rule emits is ordinary graph, so it is simplified, fused and differentiated like the rest. Broadcasting is undone in
//! the rule of `Broadcast` alone: the builder makes every other operation see operands of equal shapes.

mod convolution;

use bayeslift_ir::{Binary, DType, Error, Expr, Graph, Op, Operand, Shape, Unary, Value};
use std::f64::consts::FRAC_2_SQRT_PI;

/// The gradients of the scalar `loss` with respect to each of `with_respect_to`, of the same types.
///
/// They may be any values of floats, `f64` among them, not only inputs. Where the loss does not depend on one, its
/// gradient is zeros. What is not differentiable has a defined gradient: `sqrt` has 0 at 0 (so that a scale of zero
/// variance has a finite one), `abs` has 0 at 0, `max(a, b)` gives all to `b` at a tie, a reduced maximum is split
/// evenly among ties.
///
/// # Errors
/// The builder keeps an error if `loss` is no scalar of floats, or one of `with_respect_to` has no floats.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_passes::gradients;
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([3]));
/// b.output("gradient", gradients(x.square().sum(0), &[x])[0]);
/// let gradient = evaluate(&b.finish()?, &[Tensor::f32([3], [1.0, -2.0, 0.5])?])?;
/// assert_eq!(gradient, [Tensor::f32([3], [2.0, -4.0, 1.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn gradients<'b>(loss: Expr<'b>, with_respect_to: &[Expr<'b>]) -> Vec<Expr<'b>> {
    let b = loss.builder();
    if let Err(error) = b.check().and_then(|()| check(loss, with_respect_to)) {
        b.fail(error);
        return with_respect_to.to_vec();
    }
    let wanted = depends_on(&b.graph(), with_respect_to);
    let adjoints = adjoints(loss, with_respect_to, &wanted);
    let gradient = |x: &Expr<'b>| adjoints.get(x.value().index()).copied().flatten();
    let zeros = |x: Expr<'b>| 0.0_f32.into_expr(x).broadcast(&x.shape());
    with_respect_to.iter().map(|x| gradient(x).unwrap_or_else(|| zeros(*x))).collect()
}

fn check(loss: Expr<'_>, with_respect_to: &[Expr<'_>]) -> Result<(), Error> {
    let arguments = [("the loss", loss)].into_iter().chain(with_respect_to.iter().map(|&x| ("a parameter", x)));
    for (argument, x) in arguments {
        let found = x.ty().dtype;
        if !found.is_float() {
            let (op, argument) = ("gradients".into(), argument.into());
            return Err(Error::DTypeMismatch { op, argument, expected: DType::F32, found });
        }
    }
    let found = loss.shape();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::ShapeMismatch { op: "gradients".into(), argument: "the loss".into(), expected: "[]".into(), found })
}

/// For each node whether it depends on one of `roots`.
fn depends_on(graph: &Graph, roots: &[Expr<'_>]) -> Vec<bool> {
    let mut depends = vec![false; graph.nodes().len()];
    roots.iter().for_each(|root| depends[root.value().index()] = true);
    for value in graph.values() {
        let inherits = graph.node(value).args.iter().any(|arg| depends[arg.index()]);
        depends[value.index()] |= inherits;
    }
    depends
}

/// An adjoint: `base`, times `factor` if there is one, plus `rest` if there is one.
///
/// Where one elementwise operation follows the other, their derivatives are multiplied first, and by what comes from
/// the loss last (preaccumulation; Griewank and Walther 2008, section 10.2). Derivatives are known in the forward pass,
/// so one product is kept for the backward pass, and nothing that they are made of, such as noise.
///
/// What comes from elsewhere than a contraction, such as the gradient of a divergence, may be known in the forward pass
/// too, where derivatives are: it is the rest.
#[derive(Clone, Copy)]
struct Adjoint<'b> {
    base: Expr<'b>,
    factor: Option<Expr<'b>>,
    rest: Option<Expr<'b>>,
}

impl<'b> Adjoint<'b> {
    fn new(base: Expr<'b>) -> Self {
        Adjoint { base, factor: None, rest: None }
    }

    fn value(self) -> Expr<'b> {
        let first = self.factor.map_or(self.base, |factor| self.base * factor);
        self.rest.map_or(first, |rest| first + rest)
    }

    fn times(self, derivative: Expr<'b>) -> Self {
        let factor = self.factor.map_or(derivative, |factor| factor * derivative);
        Adjoint { factor: Some(factor), rest: self.rest.map(|rest| rest * derivative), ..self }
    }

    /// `change`, which is linear, done to each term.
    fn change(self, change: impl Fn(Expr<'b>) -> Expr<'b>) -> Self {
        let rest = self.rest.map(&change);
        match self.factor {
            Some(factor) => Adjoint { factor: Some(change(factor)), rest, ..self },
            None => Adjoint { base: change(self.base), rest, ..self },
        }
    }

    fn plus(self, other: Self) -> Self {
        let rest = match (self.rest, other.rest) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        match (self.factor, other.factor) {
            (Some(a), Some(b)) if self.base.value() == other.base.value() => {
                Adjoint { factor: Some(a + b), rest, ..self }
            }
            _ if self.is_from_contraction() && !other.is_from_contraction() => self.plus_rest(other.value()),
            _ if other.is_from_contraction() && !self.is_from_contraction() => other.plus_rest(self.value()),
            _ => Adjoint::new(self.value() + other.value()),
        }
    }

    fn plus_rest(self, more: Expr<'b>) -> Self {
        Adjoint { rest: Some(self.rest.map_or(more, |rest| rest + more)), ..self }
    }

    /// Whether it is a contraction's result times something, so that it is known in the backward pass alone.
    fn is_from_contraction(self) -> bool {
        let graph = self.base.builder().graph();
        let mut node = graph.node(self.base.value());
        while matches!(node.op, Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) | Op::Sum(_)) {
            node = graph.node(node.args[0]);
        }
        self.factor.is_some() && node.op == Op::Dot
    }
}

/// For each node up to the loss its adjoint, if it is wanted and one arrives.
fn adjoints<'b>(loss: Expr<'b>, with_respect_to: &[Expr<'b>], wanted: &[bool]) -> Vec<Option<Expr<'b>>> {
    let b = loss.builder();
    let values: Vec<Value> = b.graph().values().take(loss.value().index() + 1).collect();
    let mut adjoints: Vec<Option<Adjoint<'b>>> = vec![None; values.len()];
    adjoints[loss.value().index()] = Some(Adjoint::new(1.0_f32.into_expr(loss)));
    for &value in values.iter().rev().filter(|value| wanted[value.index()]) {
        let Some(adjoint) = adjoints[value.index()] else { continue };
        let node = b.graph().node(value).clone();
        let origin = b.graph().origin(value).gradient();
        let args: Vec<Expr<'b>> = node.args.iter().map(|&arg| b.expr(arg)).collect();
        for (i, arg) in node.args.iter().enumerate().filter(|(_, arg)| wanted[arg.index()]) {
            b.from_origin(origin.clone(), || {
                let image = match node.op {
                    Op::Dot if i == 0 => {
                        convolution::image_adjoint(args[0], args[1], with_respect_to, || adjoint.value())
                    }
                    _ => None,
                };
                let (target, more) = match image {
                    Some((image, more)) => (image.value(), Some(Adjoint::new(more))),
                    None => (*arg, pullback(&node.op, i, &args, b.expr(value), adjoint)),
                };
                if let Some(more) = more {
                    adjoints[target.index()] = Some(adjoints[target.index()].map_or(more, |sum| sum.plus(more)));
                }
            });
        }
    }
    let origin = |value| b.graph().origin(value).gradient();
    let whole = |(value, adjoint): (Value, Option<Adjoint<'b>>)| {
        adjoint.map(|adjoint| b.from_origin(origin(value), || adjoint.value()))
    };
    values.into_iter().zip(adjoints).map(whole).collect()
}

/// What the adjoint of `y = op(x)` contributes to the adjoint of `x[i]`; `None` for nothing.
fn pullback<'b>(op: &Op, i: usize, x: &[Expr<'b>], y: Expr<'b>, adjoint: Adjoint<'b>) -> Option<Adjoint<'b>> {
    match op {
        Op::Unary(op) => match op {
            Unary::Neg => Some(adjoint.change(|g| -g)),
            Unary::Abs => {
                let g = adjoint.value();
                Some(Adjoint::new(positive(x[0]).select(g, positive(-x[0]).select(-g, 0.0))))
            }
            Unary::Log => Some(adjoint.change(|g| g / x[0])),
            Unary::Floor => None,
            _ => Some(adjoint.times(derivative(*op, x[0], y))),
        },
        Op::Binary(Binary::Add) => Some(adjoint),
        Op::Binary(Binary::Mul) => Some(adjoint.times(x[1 - i])),
        Op::Binary(Binary::Div) if i == 0 => Some(adjoint.change(|g| g / x[1])),
        Op::Binary(Binary::Div) => Some(adjoint.change(|g| -(g * y) / x[1])),
        _ => linear(op, i, x, y, adjoint.value()).map(Adjoint::new),
    }
}

/// The derivative of `y = op(x)` for an elementwise function.
fn derivative<'b>(op: Unary, x: Expr<'b>, y: Expr<'b>) -> Expr<'b> {
    match op {
        Unary::Exp => y,
        Unary::Sqrt => positive(x).select(0.5 / y, 0.0),
        Unary::Sin => x.cos(),
        Unary::Cos => -x.sin(),
        // 1 - y^2 and y (1 - y) would lose what is left of a saturated y
        Unary::Tanh => 4.0 * ((2.0 * x).sigmoid() * (-2.0 * x).sigmoid()),
        Unary::Erf => FRAC_2_SQRT_PI.into_expr(x) * (-x.square()).exp(),
        Unary::Softplus => x.sigmoid(),
        Unary::Sigmoid => y * (-x).sigmoid(),
        Unary::Neg | Unary::Abs | Unary::Log | Unary::Floor => unreachable!("has a rule of its own"),
    }
}

/// As [`pullback`], for operations that select, move or add up elements; `g` is the adjoint.
fn linear<'b>(op: &Op, i: usize, x: &[Expr<'b>], y: Expr<'b>, g: Expr<'b>) -> Option<Expr<'b>> {
    let left = i == 0;
    Some(match op {
        // of y = max(x0, x1), which is x1 where x1 > x0: x1 equals y there and at a tie, and nothing equals what is not
        // a number; y is kept for other uses more often than x0
        Op::Binary(Binary::Max) if left => x[1].equal(y).select(0.0, g),
        Op::Binary(Binary::Max) => x[1].equal(y).select(g, 0.0),
        Op::Select => match i {
            1 => x[0].select(g, 0.0),
            2 => x[0].select(0.0, g),
            _ => return None,
        },
        Op::Dot if left => g.dot(x[1].matrix_transpose()),
        Op::Dot => x[0].matrix_transpose().dot(g),
        Op::Sum(axis) => g.expand(*axis).broadcast(&x[0].shape()),
        Op::Max(axis) => {
            let hit = x[0].equal(y.expand(*axis));
            let hits = hit.select(1.0_f32.into_expr(g), 0.0).sum(*axis);
            hit.select((g / hits).expand(*axis), 0.0)
        }
        Op::Broadcast(shape) => unbroadcast(g, &x[0].shape(), shape),
        Op::Reshape(_) => g.reshape(x[0].shape()),
        Op::Transpose(permutation) => {
            let mut inverse = vec![0; permutation.len()];
            (0..).zip(permutation).for_each(|(to, &from)| inverse[usize::from(from)] = to);
            g.transpose(&inverse)
        }
        Op::Window(window) => g.fold(*window, x[0].shape()[window.axis]),
        Op::Fold(window, _) => g.window(*window),
        Op::Gather if left => {
            let shape = x[0].shape();
            g.scatter_add(x[1], shape[shape.len() - 2])
        }
        Op::ScatterAdd(_) if left => g.gather(x[1]),
        Op::ScatterRows => match i {
            0 => g.scatter_rows(x[1], 0.0_f32.into_expr(g).broadcast(&x[2].shape())),
            2 => {
                // the first of several counts
                let positions = g.builder().iota(x[1].shape().last_extent());
                let is_first = x[1].first_equal(x[0].shape()[0]).equal(positions);
                is_first.expand(1).select(g.gather(x[1]), 0.0)
            }
            _ => return None,
        },
        Op::Gather | Op::ScatterAdd(_) | Op::FirstEqual(_) => return None,
        Op::Unary(_) | Op::Binary(_) => unreachable!("has a rule of its own"),
        Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) | Op::Noise(_) => {
            return None;
        }
        Op::Convert(DType::F64) if x[0].dtype() == DType::F32 => g.to_f32(),
        Op::Convert(_) if x[0].dtype() == DType::F64 => g.to_f64(),
        Op::Compare(_) | Op::Convert(_) | Op::StopGradient => return None,
    })
}

/// The mask `0 < x`.
fn positive<'b>(x: Expr<'b>) -> Expr<'b> {
    0.0_f32.into_expr(x).less(x)
}

/// Sums `g` of shape `to` over the axes along which a value of shape `from` was repeated, last axis first.
fn unbroadcast<'b>(g: Expr<'b>, from: &Shape, to: &Shape) -> Expr<'b> {
    let added = to.len() - from.len();
    let repeated = |&axis: &usize| axis < added || from[axis - added] != to[axis];
    (0..to.len()).rev().filter(repeated).fold(g, Expr::sum).reshape(from.clone())
}
