//! Interval analysis: between which numbers the elements of each value lie, and whether they may be no numbers.
//!
//! Bounds hold for the arithmetic of the evaluator, with its roundings and overflows. Where an operation is monotone
//! and rounded once, a bound is the same operation on bounds; sums and products of matrices are bounded with room for
//! every rounding, and elementary functions with room for their errors. A product with a matrix that is known is
//! bounded by the sums of its columns, or of its rows if it is on the left: much closer than its largest element times
//! its extent.

mod arithmetic;
mod known;

use arithmetic::{add, binary, products, square, sum, unary};
use bayeslift_ir::{Binary, DType, Error, Graph, Noise, NoiseDistribution, Op, Tensor, Unary, Value, Window};
use known::{Factor, factors};
use smallvec::SmallVec;
use std::collections::HashMap;

/// What an element can be: a number from `low` to `high`, infinite ones among them, or, with `nan`, no number.
///
/// Bounds of a mask are without meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element is below it.
    pub low: f64,
    /// No element is above it.
    pub high: f64,
    /// Whether an element may be no number.
    pub nan: bool,
}

impl Range {
    /// Anything.
    pub const ALL: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY, nan: true };

    /// Numbers from `low` to `high`.
    pub const fn new(low: f64, high: f64) -> Range {
        Range { low, high, nan: false }
    }

    /// That of a tensor's elements.
    pub fn of(tensor: &Tensor) -> Range {
        match (tensor.as_f32(), tensor.as_f64()) {
            (Some(elements), _) => Range::around(elements.iter().map(|&x| x.into())),
            (_, Some(elements)) => Range::around(elements.iter().copied()),
            _ => Range::around(tensor.words().into_iter().map(f64::from)),
        }
    }

    fn around(elements: impl Iterator<Item = f64>) -> Range {
        let none = Range { low: f64::INFINITY, high: f64::NEG_INFINITY, nan: false };
        // comparisons with what is no number do not hold
        let range = elements.fold(none, |Range { low, high, nan }, x| Range {
            low: if x < low { x } else { low },
            high: if x > high { x } else { high },
            nan: nan | x.is_nan(),
        });
        if range.low <= range.high { range } else { Range::ALL }
    }

    /// Whether an element can be `x`.
    pub fn contains(self, x: f64) -> bool {
        if x.is_nan() { self.nan } else { self.low <= x && x <= self.high }
    }

    /// Whether every element is a finite number.
    pub fn is_finite(self) -> bool {
        !self.nan && !self.is_infinite()
    }

    fn is_infinite(self) -> bool {
        self.low == f64::NEG_INFINITY || self.high == f64::INFINITY
    }

    /// Whichever of the two.
    fn or(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high), nan: self.nan || other.nan }
    }

    fn and_nan(self, nan: bool) -> Range {
        Range { nan: self.nan || nan, ..self }
    }

    /// That of the nearest numbers of this type.
    fn of_type(self, dtype: DType) -> Range {
        match dtype {
            DType::F32 => Range { low: (self.low as f32).into(), high: (self.high as f32).into(), nan: self.nan },
            DType::F64 | DType::U32 | DType::Mask => self,
        }
    }

    fn negated(self) -> Range {
        Range { low: -self.high, high: -self.low, nan: self.nan }
    }
}

/// The interval analysis of a graph, of which some inputs may be known.
#[derive(Debug)]
pub struct RangeAnalysis<'g> {
    graph: &'g Graph,
    /// For each input its elements' range, if it is known.
    known: Vec<Option<Range>>,
    /// Of contractions with a known operand.
    factors: HashMap<Value, Factor>,
}

impl<'g> RangeAnalysis<'g> {
    /// Prepares an analysis; `known` gives the tensors of the inputs, by number, that are known.
    ///
    /// # Errors
    /// Tensors that do not fit the inputs.
    pub fn new<'t>(graph: &'g Graph, known: impl Fn(usize) -> Option<&'t Tensor>) -> Result<RangeAnalysis<'g>, Error> {
        let tensors: Vec<Option<&Tensor>> = (0..graph.inputs().len()).map(known).collect();
        for (input, tensor) in graph.inputs().iter().zip(&tensors) {
            let expected = graph.ty(input.value);
            if let Some(found) = tensor.map(|tensor| tensor.ty()).filter(|found| found != expected) {
                let (op, argument) = ("range analysis".into(), format!("the tensor of `{}`", input.name));
                return Err(match found.dtype == expected.dtype {
                    true => Error::ShapeMismatch { op, argument, expected: expected.to_string(), found: found.shape },
                    false => Error::DTypeMismatch { op, argument, expected: expected.dtype, found: found.dtype },
                });
            }
        }
        let factors = factors(graph, &tensors)?;
        Ok(RangeAnalysis { graph, known: tensors.iter().map(|tensor| tensor.map(Range::of)).collect(), factors })
    }

    /// The range of each value, if `input` gives those of the inputs that are not known.
    pub fn ranges(&self, input: impl Fn(usize) -> Range) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::with_capacity(self.graph.nodes().len());
        for value in self.graph.values() {
            ranges.push(self.range(value, |arg| ranges[arg.index()], &input));
        }
        ranges
    }

    /// The range of a value, given those of its operands.
    fn range(&self, value: Value, arg: impl Fn(Value) -> Range, input: impl Fn(usize) -> Range) -> Range {
        let node = self.graph.node(value);
        let args: SmallVec<[Range; 3]> = node.args.iter().map(|&value| arg(value)).collect();
        self.before_rounding(value, &args, input).of_type(node.ty.dtype)
    }

    fn before_rounding(&self, value: Value, args: &[Range], input: impl Fn(usize) -> Range) -> Range {
        let node = self.graph.node(value);
        let of = |i: usize| args[i];
        let extent = |i: usize, axis: usize| self.graph.ty(node.args[i]).shape[axis];
        match &node.op {
            Op::Input(index) => match self.known[*index as usize] {
                Some(range) => range,
                None if node.ty.dtype == DType::U32 => ANY_WORD,
                None => input(*index as usize),
            },
            Op::Constant(bits) => constant(f32::from_bits(*bits).into()),
            Op::ConstantF64(bits) => constant(f64::from_bits(*bits)),
            Op::ConstantU32(x) => constant((*x).into()),
            Op::Iota(extent) => Range::new(0.0, (*extent as u32 - 1).into()),
            Op::Noise(Noise { distribution, dtype, .. }) => match distribution {
                NoiseDistribution::Normal if *dtype == DType::F64 => {
                    Range::new(-LARGEST_NORMAL_F64, LARGEST_NORMAL_F64)
                }
                NoiseDistribution::Normal => Range::new(-LARGEST_NORMAL, LARGEST_NORMAL),
                NoiseDistribution::Uniform => Range::new(0.0, 1.0),
                NoiseDistribution::Rademacher => Range::new(-1.0, 1.0),
            },
            Op::Unary(op) => unary(*op, of(0), node.ty.dtype),
            Op::Binary(Binary::Add) if shift(self.graph, value).is_some() => {
                let sum = add(of(0), of(1));
                Range { high: sum.high.min(0.0), ..sum }
            }
            Op::Binary(Binary::Mul) if node.args[0] == node.args[1] => square(of(0)),
            Op::Binary(op) => binary(*op, of(0), of(1)),
            Op::Compare(_) => Range::new(0.0, 1.0),
            Op::Select => of(1).or(of(2)),
            Op::Convert(DType::U32) => ANY_WORD,
            Op::Convert(_) | Op::StopGradient => of(0),
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) => of(0),
            Op::Dot => {
                let nan = of(0).nan || of(1).nan;
                let depth = self.graph.ty(node.args[0]).shape.last_extent();
                let product = match self.factors.get(&value) {
                    Some(factor) if !of(1 - factor.operand).is_infinite() => {
                        factor.times(of(1 - factor.operand), depth, node.ty.dtype)
                    }
                    _ => {
                        let (terms, nan) = products(of(0), of(1));
                        sum(terms, depth, node.ty.dtype).and_nan(nan)
                    }
                };
                product.and_nan(nan)
            }
            Op::Sum(axis) => {
                let total = sum([of(0).low, of(0).high], extent(0, *axis), node.ty.dtype).and_nan(of(0).nan);
                // one of the exponentials is that of 0
                let is_softmax = matches!(&self.graph.node(node.args[0]), exp
                    if exp.op == Op::Unary(Unary::Exp) && shift(self.graph, exp.args[0]) == Some(*axis));
                Range { low: if is_softmax { total.low.max(1.0) } else { total.low }, ..total }
            }
            Op::Max(_) => {
                Range { low: if of(0).nan { f64::NEG_INFINITY } else { of(0).low }, high: of(0).high, nan: false }
            }
            Op::Fold(window, _) => {
                let terms = sum([of(0).low, of(0).high], overlap(window), node.ty.dtype).and_nan(of(0).nan);
                terms.or(Range::new(0.0, 0.0))
            }
            Op::Gather => of(0).or(Range::new(0.0, 0.0)),
            Op::ScatterAdd(_) => {
                let count = self.graph.ty(node.args[1]).shape.last_extent();
                let terms = sum([of(0).low, of(0).high], count, node.ty.dtype).and_nan(of(0).nan);
                terms.or(Range::new(0.0, 0.0))
            }
            Op::ScatterRows => of(0).or(of(2)),
            Op::FirstEqual(_) => Range::new(0.0, (node.ty.shape.last_extent() as u32 - 1).into()),
        }
    }
}

/// A number that no element of a value is below, whatever the inputs are: by its operation and by a few of those behind
/// it. Elements that are not numbers may be among them.
pub fn lower_bound(graph: &Graph, value: Value) -> f64 {
    /// How many operations are looked at, one behind the other.
    const DEPTH: usize = 6;
    fn near(analysis: &RangeAnalysis<'_>, value: Value, depth: usize) -> Range {
        if let Some(number) = analysis.graph.number(value) {
            return constant(number);
        }
        let Some(depth) = depth.checked_sub(1) else { return Range::ALL };
        analysis.range(value, |arg| near(analysis, arg, depth), |_| Range::ALL)
    }
    let known = vec![None; graph.inputs().len()];
    near(&RangeAnalysis { graph, known, factors: HashMap::new() }, value, DEPTH).low
}

/// That of a constant.
fn constant(x: f64) -> Range {
    if x.is_nan() { Range::new(0.0, 0.0).and_nan(true) } else { Range::new(x, x) }
}

const ANY_WORD: Range = Range::new(0.0, u32::MAX as f64);
/// No normal noise is larger; see [`noise`](bayeslift_ir::noise).
const LARGEST_NORMAL: f64 = 6.661;
const LARGEST_NORMAL_F64: f64 = 8.653;

/// How many terms an element of a fold has at most.
fn overlap(window: &Window) -> usize {
    // At each place in the window it is in one window at most, and in each window at one place, unless these do not
    // differ.
    let places = if window.step != 0 || window.count == 1 { window.size } else { usize::MAX };
    let windows = if window.dilation != 0 || window.size == 1 { window.count } else { usize::MAX };
    places.min(windows).min(window.size * window.count)
}

/// If a value is an operand less its own maximum over an axis: that axis. It is not above 0 then.
fn shift(graph: &Graph, value: Value) -> Option<usize> {
    let node = graph.node(value);
    let (Op::Binary(Binary::Add), &[a, b]) = (&node.op, node.args.as_slice()) else { return None };
    less_maximum(graph, a, b).or_else(|| less_maximum(graph, b, a))
}

/// The axis, if `y` is the maximum of `x` over it, negated and repeated along it.
fn less_maximum(graph: &Graph, x: Value, mut y: Value) -> Option<usize> {
    let (mut negations, mut column) = (0, None);
    loop {
        let node = graph.node(y);
        match &node.op {
            Op::Unary(Unary::Neg) => negations += 1,
            Op::StopGradient => {}
            Op::Broadcast(_) if column.is_none() && node.ty.shape == graph.ty(x).shape => {
                column = Some(graph.ty(node.args[0]).shape.clone());
            }
            Op::Reshape(_) => {}
            &Op::Max(axis) if negations == 1 && node.args[0] == x => {
                let mut expected = graph.ty(x).shape.to_vec();
                expected[axis] = 1;
                // without a broadcast the axis has one element
                let found = column.as_ref().unwrap_or(&graph.ty(x).shape);
                return (found[..] == expected[..]).then_some(axis);
            }
            _ => return None,
        }
        y = node.args[0];
    }
}

#[cfg(test)]
mod tests;
