//! Interval analysis: between which numbers the elements of each value lie, and whether they may be no numbers.
//!
//! Bounds hold for the arithmetic of the evaluator, with its roundings and overflows. Where an operation is monotone and
//! rounded once, a bound is the same operation on bounds; sums and products of matrices are bounded in `f64`, with room for
//! every rounding, and elementary functions with room for their errors. A product with a matrix that is known is bounded by
//! the sums of its columns, or of its rows if it is on the left: much closer than its largest element times its extent.

use crate::stage::Copy;
use bayeslift_ir::{
    Binary, DType, Distribution, Error, Graph, Noise, Op, Scalar, Tensor, Unary, Value, Window, elementary, evaluate,
};
use std::collections::HashMap;

/// What an element can be: a number from `low` to `high`, infinite ones among them, or, with `nan`, no number.
///
/// Bounds of a `u32` are those of its conversion to `f32`; those of a mask are without meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element is below it.
    pub low: f32,
    /// No element is above it.
    pub high: f32,
    /// Whether an element may be no number.
    pub nan: bool,
}

impl Range {
    /// Anything.
    pub const ALL: Range = Range { low: f32::NEG_INFINITY, high: f32::INFINITY, nan: true };

    /// Numbers from `low` to `high`.
    pub const fn new(low: f32, high: f32) -> Range {
        Range { low, high, nan: false }
    }

    /// That of a tensor's elements.
    pub fn of(tensor: &Tensor) -> Range {
        let include = |range: Option<Range>, x: f32| match range {
            _ if x.is_nan() => Some(Range { nan: true, ..range.unwrap_or(Range::new(0.0, 0.0)) }),
            None => Some(Range::new(x, x)),
            Some(Range { low, high, nan }) => Some(Range { low: low.min(x), high: high.max(x), nan }),
        };
        let range = match tensor.as_f32() {
            Some(elements) => elements.iter().copied().fold(None, include),
            None => tensor.words().into_iter().map(|word| word as f32).fold(None, include),
        };
        range.unwrap_or(Range::ALL)
    }

    /// Whether an element can be `x`.
    pub fn contains(self, x: f32) -> bool {
        if x.is_nan() { self.nan } else { self.low <= x && x <= self.high }
    }

    /// Whether every element is a finite number.
    pub fn is_finite(self) -> bool {
        !self.nan && self.low > f32::NEG_INFINITY && self.high < f32::INFINITY
    }

    fn is_infinite(self) -> bool {
        self.low == f32::NEG_INFINITY || self.high == f32::INFINITY
    }

    /// Whichever of the two.
    fn or(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high), nan: self.nan || other.nan }
    }

    fn and_nan(self, nan: bool) -> Range {
        Range { nan: self.nan || nan, ..self }
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

/// The known operand of a contraction: of each of its columns, or rows, the sum of what is positive, and of what is
/// negative as a positive number.
#[derive(Debug)]
struct Factor {
    /// Which operand it is.
    operand: usize,
    sums: Vec<[f64; 2]>,
}

impl<'g> RangeAnalysis<'g> {
    /// Prepares an analysis; `known` gives the tensors of the inputs, by number, that are known.
    ///
    /// # Errors
    /// Tensors that do not fit the inputs.
    pub fn new<'t>(
        graph: &'g Graph,
        known: impl Fn(usize) -> Option<&'t Tensor>,
    ) -> Result<RangeAnalysis<'g>, Error> {
        let tensors: Vec<Option<&Tensor>> = (0..graph.inputs().len()).map(known).collect();
        let factors = factors(graph, &tensors)?;
        Ok(RangeAnalysis { graph, known: tensors.iter().map(|tensor| tensor.map(Range::of)).collect(), factors })
    }

    /// The range of each value, if `input` gives those of the inputs that are not known.
    pub fn ranges(&self, input: impl Fn(usize) -> Range) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::with_capacity(self.graph.nodes().len());
        for value in self.graph.values() {
            ranges.push(self.range(value, &ranges, &input));
        }
        ranges
    }

    /// The range of a value, whose operands have these.
    fn range(&self, value: Value, ranges: &[Range], input: &impl Fn(usize) -> Range) -> Range {
        let node = self.graph.node(value);
        let of = |i: usize| ranges[node.args[i].index()];
        let extent = |i: usize, axis: usize| self.graph.ty(node.args[i]).shape[axis];
        match &node.op {
            Op::Input(index) => match self.known[*index as usize] {
                Some(range) => range,
                None if node.ty.dtype == DType::U32 => ANY_WORD,
                None => input(*index as usize),
            },
            Op::Constant(bits) => match f32::from_bits(*bits) {
                x if x.is_nan() => Range::new(0.0, 0.0).and_nan(true),
                x => Range::new(x, x),
            },
            Op::ConstantU32(x) => Range::new(*x as f32, *x as f32),
            Op::Iota(extent) => Range::new(0.0, (*extent as u32 - 1) as f32),
            Op::Noise(Noise { distribution, .. }) => match distribution {
                Distribution::Normal => Range::new(-LARGEST_NORMAL, LARGEST_NORMAL),
                Distribution::Uniform => Range::new(0.0, 1.0),
                Distribution::Rademacher => Range::new(-1.0, 1.0),
            },
            Op::Unary(op) => unary(*op, of(0)),
            Op::Binary(Binary::Add) if shift(self.graph, value).is_some() => {
                let sum = add(of(0), of(1));
                Range { high: sum.high.min(0.0), ..sum }
            }
            Op::Binary(Binary::Mul) if node.args[0] == node.args[1] => square(of(0)),
            Op::Binary(op) => binary(*op, of(0), of(1)),
            Op::Compare(_) => Range::new(0.0, 1.0),
            Op::Select => of(1).or(of(2)),
            Op::Convert | Op::StopGradient => of(0),
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) => of(0),
            Op::Dot => {
                let nan = of(0).nan || of(1).nan;
                let depth = self.graph.ty(node.args[0]).shape.last_extent();
                let product = match self.factors.get(&value) {
                    Some(factor) if !of(1 - factor.operand).is_infinite() => factor.times(of(1 - factor.operand), depth),
                    _ => {
                        let (terms, nan) = products(of(0), of(1));
                        sum(terms, depth).and_nan(nan)
                    }
                };
                product.and_nan(nan)
            }
            Op::Sum(axis) => {
                let total = sum([of(0).low, of(0).high].map(f64::from), extent(0, *axis)).and_nan(of(0).nan);
                // one of the exponentials is that of 0
                let is_softmax = matches!(&self.graph.node(node.args[0]), exp
                    if exp.op == Op::Unary(Unary::Exp) && shift(self.graph, exp.args[0]) == Some(*axis));
                Range { low: if is_softmax { total.low.max(1.0) } else { total.low }, ..total }
            }
            Op::Max(_) => Range {
                low: if of(0).nan { f32::NEG_INFINITY } else { of(0).low },
                high: of(0).high,
                nan: false,
            },
            Op::Fold(window, _) => {
                let terms = sum([of(0).low, of(0).high].map(f64::from), overlap(window)).and_nan(of(0).nan);
                terms.or(Range::new(0.0, 0.0))
            }
        }
    }
}

const ANY_WORD: Range = Range::new(0.0, u32::MAX as f32);
/// No normal noise is larger; see [`noise`](bayeslift_ir::noise).
const LARGEST_NORMAL: f32 = 6.661;

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

/// The known operands of contractions.
fn factors(graph: &Graph, tensors: &[Option<&Tensor>]) -> Result<HashMap<Value, Factor>, Error> {
    let mut known: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        known.push(match node.op {
            Op::Input(i) => tensors[i as usize].is_some(),
            _ => node.args.iter().all(|arg| known[arg.index()]),
        });
    }
    let live = graph.live();
    let mut copy = Copy::new(graph);
    let mut given = Vec::new();
    for (input, tensor) in graph.inputs().iter().zip(tensors) {
        if let Some(tensor) = tensor {
            copy.input(&input.name, input.value)?;
            given.push((*tensor).clone());
        }
    }
    let mut operands: Vec<(Value, usize)> = Vec::new();
    for value in graph.values().filter(|v| live[v.index()] && graph.node(*v).op == Op::Dot) {
        let args = &graph.node(value).args;
        // two that are known need no bound
        if let Some(operand) = [1, 0].into_iter().find(|&i| known[args[i].index()] && !known[args[1 - i].index()]) {
            let result = copy.value(args[operand])?;
            copy.graph.output(&value.to_string(), result)?;
            operands.push((value, operand));
        }
    }
    let results = evaluate(&copy.graph, &given)?;
    let factor = |((value, operand), tensor): ((Value, usize), &Tensor)| {
        let (shape, elements) = (tensor.shape(), tensor.as_f32()?);
        let finite = elements.iter().all(|x| x.is_finite());
        finite.then(|| (value, Factor { operand, sums: sums(elements, shape[shape.len() - 2], shape.last_extent(), operand) }))
    };
    Ok(operands.into_iter().zip(&results).filter_map(factor).collect())
}

/// The sums of what is positive and of what is negative, for each column of matrices if they are the right operand, else for
/// each row.
fn sums(elements: &[f32], rows: usize, columns: usize, operand: usize) -> Vec<[f64; 2]> {
    let count = if operand == 1 { columns } else { rows };
    let mut all = Vec::with_capacity(elements.len() / (rows * columns) * count);
    for matrix in elements.chunks_exact(rows * columns) {
        let start = all.len();
        all.resize(start + count, [0.0; 2]);
        for (i, row) in matrix.chunks_exact(columns).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                let [positive, negative] = &mut all[start + if operand == 1 { j } else { i }];
                if x > 0.0 { *positive += f64::from(x) } else { *negative -= f64::from(x) }
            }
        }
    }
    all
}

impl Factor {
    /// The range of products of so many terms with finite numbers of this range.
    fn times(&self, x: Range, depth: usize) -> Range {
        let (above, below) = (f64::from(x.high.max(0.0)), f64::from((-x.low).max(0.0)));
        let (mut low, mut high, mut size) = (0.0_f64, 0.0_f64, 0.0_f64);
        for [positive, negative] in &self.sums {
            low = low.max(below * positive + above * negative);
            high = high.max(above * positive + below * negative);
            size = size.max(above.max(below) * (positive + negative));
        }
        rounded([-low, high], size, depth)
    }
}

/// The products of numbers of two ranges, without rounding, and whether one may be no number.
fn products(a: Range, b: Range) -> ([f64; 2], bool) {
    let product = |x: f32, y: f32| if x == 0.0 || y == 0.0 { 0.0 } else { f64::from(x) * f64::from(y) };
    let all = [product(a.low, b.low), product(a.low, b.high), product(a.high, b.low), product(a.high, b.high)];
    (extremes(all), zero_times_infinity(a, b))
}

fn zero_times_infinity(a: Range, b: Range) -> bool {
    a.contains(0.0) && b.is_infinite() || b.contains(0.0) && a.is_infinite()
}

fn extremes(all: [f64; 4]) -> [f64; 2] {
    [all.into_iter().fold(f64::INFINITY, f64::min), all.into_iter().fold(f64::NEG_INFINITY, f64::max)]
}

/// The sum of so many numbers from `low` to `high`, in any order and with a rounding at each.
fn sum([low, high]: [f64; 2], count: usize) -> Range {
    let n = count as f64;
    rounded([n * low, n * high], n * low.abs().max(high.abs()), count)
}

/// What a sum can be that without rounding lies between bounds, if so many terms, of absolute values that sum to no more than
/// `size`, are added by multiplications and additions that round.
fn rounded([low, high]: [f64; 2], size: f64, count: usize) -> Range {
    let (n, has_sign) = (count as f64, [low >= 0.0, high <= 0.0]);
    let slack = size * (n + 4.0) * f64::from(f32::EPSILON) + n * f64::from(f32::from_bits(1));
    // parts of the sum may overflow
    let overflows = size + slack > f64::from(f32::MAX);
    let (low, high) = match (overflows, has_sign) {
        (true, [true, _]) => (0.0, f64::INFINITY),
        (true, [_, true]) => (f64::NEG_INFINITY, 0.0),
        (true, [false, false]) => return Range::ALL,
        (false, _) => (low - slack, high + slack),
    };
    // what is of one sign stays so
    let low = if has_sign[0] { low.max(0.0) } else { low };
    let high = if has_sign[1] { high.min(0.0) } else { high };
    Range::new(below(low), above(high))
}

/// The largest `f32` that is not above.
fn below(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x { nearest.next_down() } else { nearest }
}

/// The smallest `f32` that is not below.
fn above(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) < x { nearest.next_up() } else { nearest }
}

/// How many terms an element of a fold has at most.
fn overlap(window: &Window) -> usize {
    // At each place in the window it is in one window at most, and in each window at one place, unless these do not differ.
    let places = if window.step != 0 || window.count == 1 { window.size } else { usize::MAX };
    let windows = if window.dilation != 0 || window.size == 1 { window.count } else { usize::MAX };
    places.min(windows).min(window.size * window.count)
}

fn unary(op: Unary, x: Range) -> Range {
    let of = |x: f32| elementary::unary(&mut Scalar, op, x);
    // Functions that rise, with room for their errors.
    let risen = || {
        let (low, high) = (of(x.low), of(x.high));
        let low = (0..8).fold(low, |low, _| if low > f32::NEG_INFINITY { low.next_down() } else { low });
        let high = (0..8).fold(high, |high, _| if high < f32::INFINITY { high.next_up() } else { high });
        Range { low, high, nan: x.nan }
    };
    let clipped = |range: Range, low: f32, high: f32| Range {
        low: range.low.clamp(low, high),
        high: range.high.clamp(low, high),
        ..range
    };
    match op {
        Unary::Neg => x.negated(),
        Unary::Abs if x.low >= 0.0 => x,
        Unary::Abs if x.high <= 0.0 => x.negated(),
        Unary::Abs => Range { low: 0.0, high: x.high.max(-x.low), nan: x.nan },
        Unary::Sqrt => {
            let (low, high) = (x.low.max(0.0).sqrt(), x.high.max(0.0).sqrt());
            Range { low, high, nan: x.nan || x.low < 0.0 }
        }
        Unary::Floor => Range { low: x.low.floor(), high: x.high.floor(), nan: x.nan },
        Unary::Exp | Unary::Softplus => clipped(risen(), 0.0, f32::INFINITY),
        Unary::Sigmoid => clipped(risen(), 0.0, 1.0),
        Unary::Tanh | Unary::Erf => clipped(risen(), -1.0, 1.0),
        Unary::Log if x.high < 0.0 => Range::ALL,
        Unary::Log => {
            let positive = Range::new(x.low.max(0.0), x.high.max(0.0));
            unary_log(positive).and_nan(x.nan || x.low < 0.0)
        }
        Unary::Sin | Unary::Cos => {
            const LARGEST: f32 = (1 << 20) as f32;
            Range { low: -1.000_001, high: 1.000_001, nan: x.nan || x.low < -LARGEST || x.high > LARGEST }
        }
    }
}

/// The logarithm of numbers that are not negative.
fn unary_log(x: Range) -> Range {
    let of = |x: f32| elementary::unary(&mut Scalar, Unary::Log, x);
    let (mut low, mut high) = (of(x.low), of(x.high));
    for _ in 0..8 {
        low = if low > f32::NEG_INFINITY { low.next_down() } else { low };
        high = if high > f32::NEG_INFINITY && high < f32::INFINITY { high.next_up() } else { high };
    }
    Range { low, high, nan: x.nan }
}

fn binary(op: Binary, a: Range, b: Range) -> Range {
    match op {
        Binary::Add => add(a, b),
        Binary::Mul => {
            let product = |x: f32, y: f32| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
            corners(a, b, product).and_nan(zero_times_infinity(a, b))
        }
        Binary::Div if b.contains(0.0) => Range::ALL,
        Binary::Div => {
            let both_infinite = a.is_infinite() && b.is_infinite();
            let quotient = |x: f32, y: f32| if x.is_infinite() && y.is_infinite() { 0.0 } else { x / y };
            corners(a, b, quotient).and_nan(both_infinite)
        }
        // If `b` is no number, it is `a`.
        Binary::Max => Range {
            low: if b.nan { a.low } else { a.low.max(b.low) },
            high: a.high.max(b.high),
            nan: a.nan,
        },
    }
}

/// The range of an operation that is monotone in each operand.
fn corners(a: Range, b: Range, of: impl Fn(f32, f32) -> f32) -> Range {
    let all = [of(a.low, b.low), of(a.low, b.high), of(a.high, b.low), of(a.high, b.high)];
    let [low, high] = extremes(all.map(f64::from));
    Range { low: low as f32, high: high as f32, nan: a.nan || b.nan }
}

fn add(a: Range, b: Range) -> Range {
    let opposite = |x: Range, y: Range| x.high == f32::INFINITY && y.low == f32::NEG_INFINITY;
    let (low, high) = (a.low + b.low, a.high + b.high);
    Range {
        low: if low.is_nan() { f32::NEG_INFINITY } else { low },
        high: if high.is_nan() { f32::INFINITY } else { high },
        nan: a.nan || b.nan || opposite(a, b) || opposite(b, a),
    }
}

/// The square of one operand, which is not the product of two.
fn square(x: Range) -> Range {
    let (low, high) = (x.low * x.low, x.high * x.high);
    Range { low: if x.contains(0.0) { 0.0 } else { low.min(high) }, high: low.max(high), nan: x.nan }
}

#[cfg(test)]
mod tests;
