//! Overflow that looks like a result: finding where it could be, watching for it, and computing without it.
//!
//! Most operations pass on what is not finite. Some do not: tanh of infinity is 1, x divided by infinity 0, and a
//! maximum with 0 makes 0 of -infinity. [`hidden`] lists what they read where interval analysis cannot exclude that it
//! is not finite, [`watch`] makes a graph say whether it was, and [`rescale`] computes square roots of what overflowed
//! in another unit.

use crate::{
    range::{Range, RangeAnalysis},
    rebuild::{Rebuild, rebuild},
};
use bayeslift_ir::{Binary, Compare, DType, Error, Graph, Op, Shape, Unary, Value};
use std::collections::HashMap;

/// The name of the output that [`watch`] adds.
pub const WATCH: &str = "not finite";

/// The name of an output that says up to where a graph of `f64` is watched: it, and what it is made of. What comes
/// after are statistics, which are made to show what is not finite, and of which a density of 0 has an infinite
/// logarithm. In graphs of `f32` these are the values of `f64`.
pub const INSIDE: &str = "network";

/// The live values of `f32`, and those of `f64` [inside](INSIDE), that may be infinite or not a number by their ranges
/// where what reads them does not pass that on, and those of which a square root is taken that may be infinite:
/// [`rescale`] can do better. None of them is a constant. Where none is listed, and all outputs are finite, nothing in
/// the graph has overflowed that they depend on.
///
/// Infinities that come from infinite constants are meant: of values made of them it counts whether they are no
/// numbers. So is what [`Op::Select`] does not choose.
pub fn hidden(graph: &Graph, ranges: &[Range]) -> Vec<Value> {
    suspects(graph, ranges, true).into_iter().map(|suspect| suspect.value).collect()
}

/// The graph with one more output, the scalar [`WATCH`]: 1 if a value was not finite where nothing that reads it passes
/// that on, else 0; with `roots` also 1 where a square root was taken of infinity. All other outputs keep their bits.
/// `None` if there is nothing to watch.
///
/// # Errors
/// Those of building a graph; none for a graph that verifies, has no masks among its inputs and no such output.
pub fn watch(graph: &Graph, roots: bool) -> Result<Option<Graph>, Error> {
    let ranges = RangeAnalysis::new(graph, |_| None)?.ranges(|_| Range::ALL);
    let suspects = suspects(graph, &ranges, roots);
    let mut graph = graph.clone();
    let mut all = None;
    for Suspect { value, only_nan } in suspects {
        graph.set_origin(graph.origin(value).clone());
        let shape = graph.ty(value).shape.clone();
        let fine = if only_nan {
            graph.push(Op::Compare(Compare::Equal), &[value, value])?
        } else {
            let largest = match graph.ty(value).dtype {
                DType::F64 => Op::ConstantF64(f64::MAX.to_bits()),
                _ => Op::Constant(f32::MAX.to_bits()),
            };
            let (size, largest) =
                (graph.push(Op::Unary(Unary::Abs), &[value])?, repeated(&mut graph, &shape, largest)?);
            graph.push(Op::Compare(Compare::LessEqual), &[size, largest])?
        };
        let (zero, one) = (constant(&mut graph, &shape, 0.0)?, constant(&mut graph, &shape, 1.0)?);
        let mut found = graph.push(Op::Select, &[fine, zero, one])?;
        // row by row first, which threads share
        if shape.len() > 1 {
            found = graph.push(Op::Max(shape.len() - 1), &[found])?;
        }
        let elements = graph.ty(found).shape.elements();
        found = graph.push(Op::Reshape([elements].into()), &[found])?;
        found = graph.push(Op::Max(0), &[found])?;
        all = Some(match all {
            None => found,
            Some(all) => graph.push(Op::Binary(Binary::Max), &[all, found])?,
        });
    }
    let Some(all) = all else { return Ok(None) };
    graph.output(WATCH, all)?;
    Ok(Some(graph))
}

/// The graph with square roots of `f32` that do not overflow before their results do: where a value is infinite of
/// which the root is taken, it is computed again of numbers of 2^-70 their size, and its root is multiplied by 2^70.
/// Where nothing was infinite all bits stay. `None` if there is no such root.
///
/// What is computed again are sums, products and contractions, up to the squares in them. With 2^-70 neither the square
/// of a number nor what is lost below the smallest one matters for a sum of squares that has overflowed; and because
/// the unit is the same everywhere, no element's bits depend on other elements.
///
/// # Errors
/// Those of building a graph; none for a graph that verifies.
pub fn rescale(graph: &Graph) -> Result<Option<Graph>, Error> {
    let ranges = RangeAnalysis::new(graph, |_| None)?.ranges(|_| Range::ALL);
    let (mut rescaled, mut found) = (Rescaled::new(graph), false);
    let graph = rebuild(graph, |to, value| {
        let (node, result) = (graph.node(value), to.copy(value)?);
        let is_root = node.op == Op::Unary(Unary::Sqrt) && node.ty.dtype == DType::F32;
        if !is_root || ranges[node.args[0].index()].high != f64::INFINITY {
            return Ok(result);
        }
        found = true;
        rescaled.root(to, node.args[0], result)
    })?;
    Ok(found.then_some(graph))
}

/// A value that may be not finite, or of which it only counts whether it is no number.
struct Suspect {
    value: Value,
    only_nan: bool,
}

fn suspects(graph: &Graph, ranges: &[Range], roots: bool) -> Vec<Suspect> {
    let live = graph.live();
    let (meant, inside) = (meant(graph, ranges), inside(graph));
    let mut suspected = vec![false; graph.nodes().len()];
    for value in graph.values().filter(|v| live[v.index()]) {
        let node = graph.node(value);
        for (i, &arg) in node.args.iter().enumerate() {
            let (range, hides) = (ranges[arg.index()], hides(graph, value, i));
            let infinite = hides.below && range.low == f64::NEG_INFINITY || hides.above && range.high == f64::INFINITY;
            let root = roots && node.op == Op::Unary(Unary::Sqrt) && range.high == f64::INFINITY;
            let hidden = hides.nan && range.nan || (infinite || root) && !meant[arg.index()];
            let is_watched = graph.ty(arg).dtype == DType::F32 || inside[arg.index()];
            suspected[arg.index()] |=
                hidden && is_watched && graph.ty(arg).dtype.is_float() && graph.number(arg).is_none();
        }
    }
    let suspected = graph.values().filter(|v| suspected[v.index()]);
    suspected.map(|value| Suspect { value, only_nan: meant[value.index()] }).collect()
}

/// What is watched whatever its type.
fn inside(graph: &Graph) -> Vec<bool> {
    let mut inside = vec![false; graph.nodes().len()];
    if let Some(output) = graph.outputs().iter().find(|output| output.name == INSIDE) {
        inside[output.value.index()] = true;
    }
    for value in graph.values().rev() {
        if inside[value.index()] {
            graph.node(value).args.iter().for_each(|arg| inside[arg.index()] = true);
        }
    }
    inside
}

/// A graph without the output [`INSIDE`], and what only that needs.
///
/// # Errors
/// Those of building a graph; none for a graph that verifies.
pub fn unmarked(graph: &Graph) -> Result<Graph, Error> {
    let mut to = Rebuild::with_inputs(graph)?;
    for output in graph.outputs().iter().filter(|output| output.name != INSIDE) {
        let value = to.copy_with_operands(output.value)?;
        to.output(output, value)?;
    }
    Ok(to.graph)
}

/// The values that are infinite because a constant is.
fn meant(graph: &Graph, ranges: &[Range]) -> Vec<bool> {
    let mut meant: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    for (node, range) in graph.nodes().iter().zip(ranges) {
        let is_meant = match node.op {
            Op::Constant(bits) => !f32::from_bits(bits).is_finite(),
            Op::ConstantF64(bits) => !f64::from_bits(bits).is_finite(),
            _ => node.args.iter().any(|arg| meant[arg.index()]),
        };
        meant.push(is_meant && !range.is_finite());
    }
    meant
}

/// What of an operand that is not finite may leave a finite result.
struct Hides {
    nan: bool,
    /// -infinity.
    below: bool,
    /// Infinity.
    above: bool,
}

/// What the operation that defines `value` hides of operand `i`.
fn hides(graph: &Graph, value: Value, i: usize) -> Hides {
    let [nothing, infinities, low, everything] = [[false; 3], [false, true, true], [false, true, false], [true; 3]];
    let node = graph.node(value);
    let [nan, below, above] = match &node.op {
        Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) | Op::Noise(_) => {
            nothing
        }
        Op::Unary(op) => match op {
            Unary::Neg | Unary::Abs | Unary::Log | Unary::Sqrt | Unary::Sin | Unary::Cos | Unary::Floor => nothing,
            Unary::Exp | Unary::Softplus => low,
            Unary::Tanh | Unary::Erf | Unary::Sigmoid => infinities,
        },
        Op::Binary(op) => match op {
            Binary::Add | Binary::Mul => nothing,
            Binary::Div if i == 0 => nothing,
            Binary::Div => infinities,
            // `b > a ? b : a`
            Binary::Max => [i == 1, true, false],
        },
        // who compares with infinity asks for it
        Op::Compare(_) => {
            let other = node.args[1 - i];
            let other = graph.constant(other).map(f64::from).or(graph.constant_f64(other));
            if other.is_some_and(f64::is_infinite) { nothing } else { everything }
        }
        // what is not chosen is not to count
        // what is no number becomes a word like any other
        Op::Convert(DType::U32) => everything,
        Op::Select | Op::Convert(_) | Op::StopGradient => nothing,
        Op::Dot | Op::Sum(_) | Op::Fold(..) => nothing,
        // rows that are not read, or are replaced, are not to count
        Op::Gather | Op::ScatterAdd(_) | Op::ScatterRows | Op::FirstEqual(_) => nothing,
        Op::Max(_) => [true, true, false],
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) => nothing,
    };
    Hides { nan, below, above }
}

/// What square roots are taken of, in another unit.
struct Rescaled<'g> {
    from: &'g Graph,
    /// Values times 2^-140.
    scaled: HashMap<Value, Value>,
    /// For each value whether it is made of squares by operations that keep their scale.
    has_square: Vec<bool>,
    /// How far it is from the root to what is scaled.
    depth: usize,
}

/// How many operations behind a root are rescaled; beyond them values are scaled themselves.
const MAX_DEPTH: usize = 64;

impl<'g> Rescaled<'g> {
    fn new(from: &'g Graph) -> Self {
        let mut has_square: Vec<bool> = Vec::with_capacity(from.nodes().len());
        for node in from.nodes() {
            let has = |i: usize| has_square[node.args[i].index()];
            let made = match &node.op {
                Op::Binary(Binary::Mul) => node.args[0] == node.args[1] || has(0) || has(1),
                Op::Dot | Op::Binary(Binary::Add | Binary::Max) => has(0) || has(1),
                Op::Binary(Binary::Div) | Op::Unary(Unary::Neg | Unary::Abs) => has(0),
                Op::StopGradient | Op::Sum(_) | Op::Max(_) | Op::Fold(..) => has(0),
                Op::Gather | Op::ScatterAdd(_) => has(0),
                Op::ScatterRows => has(0) || has(2),
                Op::Select => has(1) || has(2),
                op => op.is_movement() && has(0),
            };
            has_square.push(made);
        }
        Rescaled { from, scaled: HashMap::new(), has_square, depth: 0 }
    }

    /// The root of `of`, where that is infinite by way of its 2^-140th part.
    fn root(&mut self, to: &mut Rebuild<'_>, of: Value, root: Value) -> Result<Value, Error> {
        let shape = self.from.ty(of).shape.clone();
        let scaled = self.scaled(to, of)?;
        let scaled = to.graph.push(Op::Unary(Unary::Sqrt), &[scaled])?;
        let up = constant(&mut to.graph, &shape, two_to(70))?;
        let rescaled = to.graph.push(Op::Binary(Binary::Mul), &[scaled, up])?;
        let infinity = constant(&mut to.graph, &shape, f32::INFINITY)?;
        let overflowed = to.graph.push(Op::Compare(Compare::Equal), &[to.of(of), infinity])?;
        to.graph.push(Op::Select, &[overflowed, rescaled, root])
    }

    /// A value of the old graph times 2^-140, of smaller numbers where it is made of squares.
    fn scaled(&mut self, to: &mut Rebuild<'_>, value: Value) -> Result<Value, Error> {
        if let Some(&scaled) = self.scaled.get(&value) {
            return Ok(scaled);
        }
        self.depth += 1;
        let scaled = match self.depth < MAX_DEPTH {
            true => self.scaled_by_parts(to, value)?,
            false => self.tiny(to, value)?,
        };
        self.depth -= 1;
        self.scaled.insert(value, scaled);
        Ok(scaled)
    }

    fn scaled_by_parts(&mut self, to: &mut Rebuild<'_>, value: Value) -> Result<Value, Error> {
        let node = self.from.node(value);
        let (op, args) = (node.op.clone(), node.args.clone());
        match &op {
            Op::Binary(Binary::Mul) | Op::Dot => {
                let has_square = |&i: &usize| args[0] != args[1] && self.has_square[args[i].index()];
                let (a, b) = match [0, 1].into_iter().find(has_square) {
                    Some(0) => (self.scaled(to, args[0])?, to.of(args[1])),
                    Some(_) => (to.of(args[0]), self.scaled(to, args[1])?),
                    None => (self.small(to, args[0])?, self.small(to, args[1])?),
                };
                to.graph.push(op, &[a, b])
            }
            Op::Binary(Binary::Add | Binary::Max) => {
                let (a, b) = (self.scaled(to, args[0])?, self.scaled(to, args[1])?);
                to.graph.push(op, &[a, b])
            }
            Op::Binary(Binary::Div) => {
                let a = self.scaled(to, args[0])?;
                to.graph.push(op, &[a, to.of(args[1])])
            }
            Op::Select => {
                let (a, b) = (self.scaled(to, args[1])?, self.scaled(to, args[2])?);
                to.graph.push(op, &[to.of(args[0]), a, b])
            }
            Op::Unary(Unary::Neg | Unary::Abs) | Op::StopGradient | Op::Sum(_) | Op::Max(_) | Op::Fold(..) => {
                let x = self.scaled(to, args[0])?;
                to.graph.push(op, &[x])
            }
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) => {
                let x = self.scaled(to, args[0])?;
                to.graph.push(op, &[x])
            }
            Op::Gather | Op::ScatterAdd(_) => {
                let x = self.scaled(to, args[0])?;
                to.graph.push(op, &[x, to.of(args[1])])
            }
            Op::ScatterRows => {
                let (table, x) = (self.scaled(to, args[0])?, self.scaled(to, args[2])?);
                to.graph.push(op, &[table, to.of(args[1]), x])
            }
            Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) | Op::Noise(_) => {
                self.tiny(to, value)
            }
            Op::Unary(_) | Op::Compare(_) | Op::Convert(_) | Op::FirstEqual(_) => self.tiny(to, value),
        }
    }

    /// A value times 2^-70.
    fn small(&mut self, to: &mut Rebuild<'_>, value: Value) -> Result<Value, Error> {
        let (x, shape) = (to.of(value), self.from.ty(value).shape.clone());
        let scale = constant(&mut to.graph, &shape, two_to(-70))?;
        to.graph.push(Op::Binary(Binary::Mul), &[x, scale])
    }

    /// A value times 2^-140, in two steps.
    fn tiny(&mut self, to: &mut Rebuild<'_>, value: Value) -> Result<Value, Error> {
        let (x, shape) = (self.small(to, value)?, self.from.ty(value).shape.clone());
        let scale = constant(&mut to.graph, &shape, two_to(-70))?;
        to.graph.push(Op::Binary(Binary::Mul), &[x, scale])
    }
}

fn two_to(exponent: i32) -> f32 {
    f32::from_bits(((127 + exponent) as u32) << 23)
}

fn constant(graph: &mut Graph, shape: &Shape, x: f32) -> Result<Value, Error> {
    repeated(graph, shape, Op::Constant(x.to_bits()))
}

fn repeated(graph: &mut Graph, shape: &Shape, constant: Op) -> Result<Value, Error> {
    let scalar = graph.push(constant, &[])?;
    if shape.is_empty() { Ok(scalar) } else { graph.push(Op::Broadcast(shape.clone()), &[scalar]) }
}

#[cfg(test)]
mod tests;
