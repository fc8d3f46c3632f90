//! How large a value can be, told by what it is made of.
//!
//! The gradient of a kernel is a product of what a layer was called with and of what comes back to it: two values of a
//! row for each example, where the gradient has a row for each input. A bound from the sizes of these two is known
//! before the gradient is, costs a small part of it, and does not need the gradient to be kept.

use crate::range::lower_bound;
use bayeslift_ir::{Binary, Builder, DType, Expr, Node, NoiseDistribution, Op, Unary, Value};

/// For each value of floats, a scalar that no magnitude among its elements exceeds, given that those of `finite` are
/// finite: computed from the operands of the contractions that it ends with, and not from the value. Where an operand
/// is not finite, or too large to be squared, the scalar is infinite or not a number, which says nothing.
///
/// A scalar that is finite also bounds whatever arises between those operands and the value, in whichever order terms
/// are added and factors multiplied: each size that enters is at least 1. So a value with a finite bound is finite.
///
/// The size of an operand is its Frobenius norm, since by Cauchy's inequality no element of a product exceeds that of
/// the left operand times that of the right one. Sums round, by less than a thousandth.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_passes::magnitude_bounds;
/// let b = Builder::new();
/// let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([2, 2])));
/// b.output("bound", magnitude_bounds(&[x.dot(y)], &[])[0]);
/// let (x, y) = (Tensor::f32([2, 2], [1.0, 1.0, 1.0, 0.0])?, Tensor::f32([2, 2], [2.0, 0.0, 2.0, 0.0])?);
/// let bound = evaluate(&b.finish()?, &[x, y])?;
/// assert_eq!(bound, [Tensor::f32([], [6.0])?]); // the largest element of the product is 4
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn magnitude_bounds<'b>(values: &[Expr<'b>], finite: &[Expr<'b>]) -> Vec<Expr<'b>> {
    let Some(b) = values.first().map(|value| value.builder()).filter(|b| b.check().is_ok()) else {
        return values.to_vec();
    };
    let nodes = b.graph().nodes().to_vec();
    let [without_sums, with_sums] = [false, true].map(|sums| ends_with_contraction(&nodes, sums));
    let mut sizes =
        Sizes { builder: b, finite: finite.iter().map(|x| x.value()).collect(), measured: Vec::new(), known: None };
    let all = |sizes: &mut Sizes<'b>| -> Vec<Expr<'b>> {
        let ends = |value: &Expr<'b>| if value.shape().len() > 1 { &with_sums } else { &without_sums };
        values.iter().map(|value| bound(sizes, *value, &nodes, ends(value))).collect()
    };
    // first to find out what is measured, then with what that measured
    all(&mut sizes);
    sizes.measure();
    all(&mut sizes)
}

/// For each node whether it is made, by operations that [`bound`] sees through, of the result of a contraction: a
/// product, or a sum of what comes back for each example, as the gradient of a bias is. For values with more axes sums
/// are seen through.
fn ends_with_contraction(nodes: &[Node], see_sums: bool) -> Vec<bool> {
    let mut ends = Vec::with_capacity(nodes.len());
    for Node { op, args, .. } in nodes {
        let any = |args: &[Value]| args.iter().any(|arg| ends[arg.index()]);
        ends.push(match op {
            Op::Dot | Op::ScatterAdd(_) => true,
            Op::Sum(_) => !see_sums || any(args),
            Op::Fold(..) | Op::Reshape(_) | Op::Transpose(_) | Op::Broadcast(_) | Op::Window(_) => any(args),
            Op::Unary(Unary::Neg | Unary::Abs) | Op::StopGradient => any(args),
            Op::Binary(Binary::Add | Binary::Mul | Binary::Max) => any(args),
            Op::Binary(Binary::Div) => any(&args[..1]) && !any(&args[1..]),
            Op::Select => any(&args[1..]),
            Op::Gather => any(&args[..1]),
            Op::ScatterRows => any(&[args[0], args[2]]),
            Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) | Op::Noise(_) => {
                false
            }
            Op::Unary(_) | Op::Compare(_) | Op::Convert(_) | Op::Max(_) | Op::FirstEqual(_) => false,
        });
    }
    ends
}

const UNSEEN: &str = "`ends_with_contraction` sees through it";

/// The bound of a value. Nodes that it is made of come before it, so no recursion is needed for long chains.
fn bound<'b>(sizes: &mut Sizes<'b>, value: Expr<'b>, nodes: &[Node], ends: &[bool]) -> Expr<'b> {
    let b = value.builder();
    let last = value.value().index();
    let is_end = |x: Value| match &nodes[x.index()].op {
        Op::Dot | Op::ScatterAdd(_) => true,
        Op::Sum(_) => !ends[nodes[x.index()].args[0].index()] || value.shape().len() < 2,
        _ => !ends[x.index()],
    };
    let values: Vec<Value> = b.graph().values().take(last + 1).collect();
    let mut needed = vec![false; last + 1];
    needed[last] = true;
    for &x in values.iter().rev() {
        if needed[x.index()] && !is_end(x) {
            let Node { op, args, .. } = &nodes[x.index()];
            let numbers = |i: usize| match op {
                Op::Select => i > 0,
                Op::Gather | Op::ScatterRows => i != 1,
                _ => true,
            };
            args.iter().enumerate().filter(|(i, _)| numbers(*i)).for_each(|(_, arg)| needed[arg.index()] = true);
        }
    }
    let mut bounds: Vec<Option<Expr<'b>>> = vec![None; last + 1];
    for x in values.into_iter().filter(|x| needed[x.index()]) {
        let Node { op, args, .. } = &nodes[x.index()];
        let arg = |i: usize| b.expr(args[i]);
        let of = |i: usize| bounds[args[i].index()].expect("operands come first");
        let found = match op {
            _ if !ends[x.index()] => sizes.of_other(b.expr(x)),
            Op::Dot => sizes.of(arg(0), Side::Left, DEPTH) * sizes.of(arg(1), Side::Right, DEPTH),
            Op::Sum(axis) if is_end(x) => sizes.of(arg(0), Side::Right, DEPTH) * (arg(0).shape()[*axis] as f32).sqrt(),
            Op::Sum(axis) => of(0) * arg(0).shape()[*axis] as f32,
            // each element is a sum of some rows' elements
            Op::ScatterAdd(_) => sizes.of(arg(0), Side::Right, DEPTH) * (arg(1).shape().last_extent() as f32).sqrt(),
            Op::Gather => of(0),
            Op::ScatterRows => of(0) + of(2),
            // each element is the sum of as many as a window has places, at most
            Op::Fold(window, _) => of(0) * window.size as f32,
            Op::Binary(Binary::Mul) => of(0) * of(1),
            // an infinite divisor makes nothing of what is not finite
            Op::Binary(Binary::Div) => {
                of(0) * sizes.of_other(1.0 / arg(1)) + sizes.of_other(arg(1)) * f32::MIN_POSITIVE
            }
            Op::Binary(Binary::Add | Binary::Max) => of(0) + of(1),
            Op::Select => of(1) + of(2),
            Op::Reshape(_) | Op::Transpose(_) | Op::Broadcast(_) | Op::Window(_) => of(0),
            Op::Unary(Unary::Neg | Unary::Abs) | Op::StopGradient => of(0),
            Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) | Op::Noise(_) => {
                unreachable!("{UNSEEN}")
            }
            Op::Unary(_) | Op::Compare(_) | Op::Convert(_) | Op::Max(_) | Op::FirstEqual(_) => {
                unreachable!("{UNSEEN}")
            }
        };
        bounds[x.index()] = Some(found);
    }
    bounds[last].expect("it is needed")
}

/// How far to look into an operand.
const DEPTH: usize = 16;

/// What a value that is measured is to a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// What layers are called with.
    Left,
    /// What comes back to them.
    Right,
    /// It is in no contraction.
    Other,
}

/// The sizes of values: Frobenius norms, or more; at least 1.
struct Sizes<'b> {
    builder: &'b Builder,
    /// Values of which every element is known to be finite.
    finite: Vec<Value>,
    /// What is to be measured.
    measured: Vec<(Side, Expr<'b>)>,
    /// The size of all left operands, and that of all others, once they were measured: what layers are called with may
    /// be large, the others are small, and a product of both is to stay below a limit.
    known: Option<[Expr<'b>; 2]>,
}

impl<'b> Sizes<'b> {
    fn of(&mut self, x: Expr<'b>, side: Side, depth: usize) -> Expr<'b> {
        let root = |times: usize| (times as f32).sqrt();
        if let Some(factor) = self.factor(x) {
            return factor * root(x.shape().elements());
        }
        let (op, args) = node(x);
        let Some(depth) = depth.checked_sub(1) else { return self.measured(x, side) };
        match &op {
            Op::Reshape(_) | Op::Transpose(_) | Op::StopGradient | Op::Unary(Unary::Neg | Unary::Abs) => {
                self.of(args[0], side, depth)
            }
            Op::Broadcast(shape) => {
                self.of(args[0], side, depth) * root(shape.elements() / args[0].shape().elements().max(1))
            }
            // an element is in at most as many windows as they have places
            Op::Window(window) => self.of(args[0], side, depth) * root(window.size),
            Op::Binary(Binary::Mul) if args[0].value() == args[1].value() => self.of(args[0], side, depth).square(),
            Op::Binary(Binary::Mul) => match [0, 1].map(|i| self.factor(args[i])) {
                [Some(factor), _] => self.of(args[1], side, depth) * factor,
                [None, Some(factor)] => self.of(args[0], side, depth) * factor,
                [None, None] => self.measured(x, side),
            },
            _ => self.measured(x, side),
        }
    }

    /// What no magnitude exceeds in what is in no contraction, at least 1: told by parameters and scales where it can
    /// be, since these are read anyway.
    fn of_other(&mut self, x: Expr<'b>) -> Expr<'b> {
        let before = self.measured.len();
        // as many operations are looked at as a density has that is a mixture of a few
        if let Some(size) = self.of_parameters(x, &mut 512) {
            return size;
        }
        self.measured.truncate(before);
        self.of(x, Side::Other, DEPTH)
    }

    fn of_parameters(&mut self, x: Expr<'b>, left: &mut usize) -> Option<Expr<'b>> {
        *left = left.checked_sub(1)?;
        if let Some(factor) = self.factor(x) {
            return Some(factor);
        }
        let (op, args) = node(x);
        match &op {
            Op::Input(_) if x.shape().is_empty() => Some(x.abs().max(1.0)),
            Op::Input(_) | Op::Gather | Op::Unary(Unary::Softplus) => Some(self.measured(x, Side::Other)),
            Op::Reshape(_) | Op::Transpose(_) | Op::StopGradient | Op::Unary(Unary::Neg | Unary::Abs) => {
                self.of_parameters(args[0], left)
            }
            // at most 1 of what is a number, which is what a size says that is finite, be it huge
            Op::Unary(Unary::Sigmoid | Unary::Tanh | Unary::Erf) => {
                Some(1.0 + self.of_parameters(args[0], left)? * f32::MIN_POSITIVE)
            }
            Op::Binary(Binary::Add) => Some(self.of_parameters(args[0], left)? + self.of_parameters(args[1], left)?),
            Op::Binary(Binary::Mul) => match [0, 1].map(|i| self.factor(args[i])) {
                [Some(factor), _] => Some(self.of_parameters(args[1], left)? * factor),
                [None, Some(factor)] => Some(self.of_parameters(args[0], left)? * factor),
                _ => Some(self.of_parameters(args[0], left)? * self.of_parameters(args[1], left)?),
            },
            Op::Binary(Binary::Div) => {
                let divisor = self.of_parameters(args[1], left)?;
                let least = lower_bound(&self.builder.graph(), args[1].value());
                let factor = Some(1.0 / least).filter(|factor| *factor > 0.0 && factor.is_finite())?;
                // a quotient by what may be no number, which its size says, may be none
                Some(self.of_parameters(args[0], left)? * factor.max(1.0) + divisor * f32::MIN_POSITIVE)
            }
            _ => None,
        }
    }

    /// What no magnitude exceeds, at least 1, if that is known without measuring, or of a scalar.
    fn factor(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        if let Some(largest) = self.largest(x, DEPTH) {
            return Some(self.builder.constant(largest.max(1.0)));
        }
        let mut scalar = x;
        for _ in 0..DEPTH {
            let (op, args) = node(scalar);
            match op.is_movement() {
                true => scalar = args[0],
                false => break,
            }
        }
        scalar.shape().is_empty().then(|| scalar.abs().max(1.0))
    }

    /// What no magnitude exceeds, if the operations say so.
    fn largest(&self, x: Expr<'b>, depth: usize) -> Option<f64> {
        let depth = depth.checked_sub(1)?;
        let (op, args) = node(x);
        match &op {
            Op::Constant(_) | Op::ConstantF64(_) => {
                x.builder().graph().number(x.value()).map(f64::abs).filter(|x| x.is_finite())
            }
            Op::Noise(noise) => Some(match (noise.distribution, noise.dtype) {
                (NoiseDistribution::Normal, DType::F64) => 9.0,
                (NoiseDistribution::Normal, _) => 7.0,
                _ => 1.0,
            }),
            Op::Unary(Unary::Sigmoid | Unary::Tanh | Unary::Erf) if self.is_number(args[0], depth) => Some(1.0),
            Op::Unary(Unary::Neg | Unary::Abs) | Op::StopGradient => self.largest(args[0], depth),
            op if op.is_movement() => self.largest(args[0], depth),
            Op::Select => Some(self.largest(args[1], depth)?.max(self.largest(args[2], depth)?)),
            _ => None,
        }
    }

    /// Whether each element is a number, or infinite.
    fn is_number(&self, x: Expr<'b>, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let is_factor = |x: Expr<'b>| x.builder().graph().number(x.value()).is_some_and(|x| x != 0.0 && x.is_finite());
        let (op, args) = node(x);
        match &op {
            Op::Input(_) => self.finite.contains(&x.value()),
            Op::Unary(Unary::Neg | Unary::Abs) => self.is_number(args[0], depth),
            Op::Binary(Binary::Mul) => (0..2).any(|i| self.is_number(args[i], depth) && is_factor(args[1 - i])),
            op if op.is_movement() => self.is_number(args[0], depth),
            _ => false,
        }
    }

    fn measured(&mut self, x: Expr<'b>, side: Side) -> Expr<'b> {
        if let Some([left, other]) = self.known {
            return if side == Side::Left { left } else { other };
        }
        if !self.measured.iter().any(|(of, known)| *of == side && known.value() == x.value()) {
            self.measured.push((side, x));
        }
        self.builder.constant(1.0)
    }

    /// The Frobenius norms of sums of magnitudes of one side and shape, and 1: so few kernels do it, which read each
    /// value once.
    fn measure(&mut self) {
        let squares = |side: Side| {
            let of_role = self.measured.iter().filter(move |(of, _)| *of == side);
            // locations and scales of one layer, which its divergence reads, and not those of others
            let most = if side == Side::Other { 2 } else { usize::MAX };
            let magnitudes = by_shape(of_role.map(|(_, x)| x.abs()), most);
            magnitudes.into_iter().map(move |x| first_sums(x.square(), side))
        };
        let norm = |squares: Vec<Expr<'b>>| {
            squares.into_iter().fold(self.builder.constant(1.0), |sum, x| sum + x.sum_all()).sqrt()
        };
        let left = norm(by_shape(squares(Side::Left), usize::MAX));
        let other = norm(by_shape(squares(Side::Right).chain(squares(Side::Other)), usize::MAX));
        self.known = Some([left, other]);
    }
}

/// Sums over the axes that are summed over first: over the last one where divergences are summed over long rows anyway,
/// else over the others, since whole vectors are added up then.
fn first_sums(x: Expr<'_>, side: Side) -> Expr<'_> {
    /// How many elements make a long row.
    const LONG: usize = 256;
    let Some(last) = x.shape().len().checked_sub(1) else { return x };
    match side == Side::Other && x.shape().last_extent() >= LONG {
        true => x.sum(last),
        false => (0..last).rev().fold(x, Expr::sum),
    }
}

/// The sums of values that have one shape, each of at most `most`.
fn by_shape<'b>(values: impl Iterator<Item = Expr<'b>>, most: usize) -> Vec<Expr<'b>> {
    let mut sums: Vec<(Expr<'b>, usize)> = Vec::new();
    for value in values {
        match sums.iter_mut().find(|(sum, count)| sum.shape() == value.shape() && *count < most) {
            Some((sum, count)) => (*sum, *count) = (*sum + value, *count + 1),
            None => sums.push((value, 1)),
        }
    }
    sums.into_iter().map(|(sum, _)| sum).collect()
}

fn node<'b>(x: Expr<'b>) -> (Op, Vec<Expr<'b>>) {
    let b = x.builder();
    let node = b.graph().node(x.value()).clone();
    (node.op, node.args.iter().map(|&arg| b.expr(arg)).collect())
}
