//! Operations on ranges.

use super::Range;
use bayeslift_ir::{Binary, Scalar, Unary, elementary};

/// The products of numbers of two ranges, without rounding, and whether one may be no number.
pub(super) fn products(a: Range, b: Range) -> ([f64; 2], bool) {
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
pub(super) fn sum([low, high]: [f64; 2], count: usize) -> Range {
    let n = count as f64;
    rounded([n * low, n * high], n * low.abs().max(high.abs()), count)
}

/// What a sum can be that without rounding lies between bounds, if so many terms, of absolute values that sum to no more than
/// `size`, are added by multiplications and additions that round.
pub(super) fn rounded([low, high]: [f64; 2], size: f64, count: usize) -> Range {
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

pub(super) fn unary(op: Unary, x: Range) -> Range {
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

pub(super) fn binary(op: Binary, a: Range, b: Range) -> Range {
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
        Binary::Max => {
            Range { low: if b.nan { a.low } else { a.low.max(b.low) }, high: a.high.max(b.high), nan: a.nan }
        }
    }
}

/// The range of an operation that is monotone in each operand.
fn corners(a: Range, b: Range, of: impl Fn(f32, f32) -> f32) -> Range {
    let all = [of(a.low, b.low), of(a.low, b.high), of(a.high, b.low), of(a.high, b.high)];
    let [low, high] = extremes(all.map(f64::from));
    Range { low: low as f32, high: high as f32, nan: a.nan || b.nan }
}

pub(super) fn add(a: Range, b: Range) -> Range {
    let opposite = |x: Range, y: Range| x.high == f32::INFINITY && y.low == f32::NEG_INFINITY;
    let (low, high) = (a.low + b.low, a.high + b.high);
    Range {
        low: if low.is_nan() { f32::NEG_INFINITY } else { low },
        high: if high.is_nan() { f32::INFINITY } else { high },
        nan: a.nan || b.nan || opposite(a, b) || opposite(b, a),
    }
}

/// The square of one operand, which is not the product of two.
pub(super) fn square(x: Range) -> Range {
    let (low, high) = (x.low * x.low, x.high * x.high);
    Range { low: if x.contains(0.0) { 0.0 } else { low.min(high) }, high: low.max(high), nan: x.nan }
}
