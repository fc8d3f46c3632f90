//! Operations on ranges, with bounds in `f64`. Of `f32` values they are rounded afterwards: a sum, product, quotient or
//! root of `f32` that is rounded to `f64` first, and then to `f32`, is what it is rounded to at once (Figueroa, 1995).

use super::Range;
use bayeslift_ir::{Binary, DType, Scalar, Unary, elementary};

/// The products of numbers of two ranges, without rounding, and whether one may be no number.
pub(super) fn products(a: Range, b: Range) -> ([f64; 2], bool) {
    let product = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
    let all = [product(a.low, b.low), product(a.low, b.high), product(a.high, b.low), product(a.high, b.high)];
    (extremes(all), zero_times_infinity(a, b))
}

fn zero_times_infinity(a: Range, b: Range) -> bool {
    a.contains(0.0) && b.is_infinite() || b.contains(0.0) && a.is_infinite()
}

fn extremes(all: [f64; 4]) -> [f64; 2] {
    [all.into_iter().fold(f64::INFINITY, f64::min), all.into_iter().fold(f64::NEG_INFINITY, f64::max)]
}

/// The sum of `count` numbers of this type from `low` to `high`, in any order and with a rounding at each.
pub(super) fn sum([low, high]: [f64; 2], count: usize, dtype: DType) -> Range {
    let n = count as f64;
    rounded([n * low, n * high], n * low.abs().max(high.abs()), count, dtype)
}

/// What a sum can be that without rounding lies between bounds, if `count` terms, of absolute values that sum to no
/// more than `size`, are added by multiplications and additions that round.
pub(super) fn rounded([low, high]: [f64; 2], size: f64, count: usize, dtype: DType) -> Range {
    let [epsilon, least, largest] = match dtype {
        DType::F64 => [f64::EPSILON, f64::from_bits(1), f64::MAX],
        _ => [f32::EPSILON, f32::from_bits(1), f32::MAX].map(f64::from),
    };
    let (n, has_sign) = (count as f64, [low >= 0.0, high <= 0.0]);
    let slack = size * (n + 4.0) * epsilon + n * least;
    // parts of the sum may overflow
    let overflows = size + slack > largest;
    let (low, high) = match (overflows, has_sign) {
        (true, [true, _]) => (0.0, f64::INFINITY),
        (true, [_, true]) => (f64::NEG_INFINITY, 0.0),
        (true, [false, false]) => return Range::ALL,
        (false, _) => (low - slack, high + slack),
    };
    // what is of one sign stays so
    let low = if has_sign[0] { low.max(0.0) } else { low };
    let high = if has_sign[1] { high.min(0.0) } else { high };
    Range::new(low, high).of_type(dtype)
}

/// An elementary function of this type.
fn of(op: Unary, x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => elementary::double::unary(&mut Scalar, op, x),
        _ => elementary::unary(&mut Scalar, op, x as f32).into(),
    }
}

/// A number of this type that is some neighbours below: room for the error of an elementary function.
fn below(x: f64, dtype: DType) -> f64 {
    let next = |x: f64| if dtype == DType::F64 { x.next_down() } else { (x as f32).next_down().into() };
    (0..8).fold(x, |x, _| if x > f64::NEG_INFINITY { next(x) } else { x })
}

/// As [`below`], above.
fn above(x: f64, dtype: DType) -> f64 {
    -below(-x, dtype)
}

/// A function of numbers of this type.
pub(super) fn unary(op: Unary, x: Range, dtype: DType) -> Range {
    // Functions that rise, with room for their errors.
    let risen =
        || Range { low: below(of(op, x.low, dtype), dtype), high: above(of(op, x.high, dtype), dtype), nan: x.nan };
    let clipped = |range: Range, low: f64, high: f64| Range {
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
        Unary::Exp | Unary::Softplus => clipped(risen(), 0.0, f64::INFINITY),
        Unary::Sigmoid => clipped(risen(), 0.0, 1.0),
        Unary::Tanh | Unary::Erf => clipped(risen(), -1.0, 1.0),
        Unary::Log if x.high < 0.0 => Range::ALL,
        Unary::Log => {
            let [low, high] = [x.low, x.high].map(|x| of(op, x.max(0.0), dtype));
            let high = if high > f64::NEG_INFINITY { above(high, dtype) } else { high };
            Range { low: below(low, dtype), high, nan: x.nan || x.low < 0.0 }
        }
        Unary::Sin | Unary::Cos => {
            const LARGEST: f64 = (1 << 20) as f64;
            Range { low: -1.000_001, high: 1.000_001, nan: x.nan || x.low < -LARGEST || x.high > LARGEST }
        }
    }
}

pub(super) fn binary(op: Binary, a: Range, b: Range) -> Range {
    match op {
        Binary::Add => add(a, b),
        Binary::Mul => {
            let product = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
            corners(a, b, product).and_nan(zero_times_infinity(a, b))
        }
        Binary::Div if b.contains(0.0) => Range::ALL,
        Binary::Div => {
            let both_infinite = a.is_infinite() && b.is_infinite();
            let quotient = |x: f64, y: f64| if x.is_infinite() && y.is_infinite() { 0.0 } else { x / y };
            corners(a, b, quotient).and_nan(both_infinite)
        }
        // If `b` is no number, it is `a`.
        Binary::Max => {
            Range { low: if b.nan { a.low } else { a.low.max(b.low) }, high: a.high.max(b.high), nan: a.nan }
        }
    }
}

/// The range of an operation that is monotone in each operand.
fn corners(a: Range, b: Range, of: impl Fn(f64, f64) -> f64) -> Range {
    let all = [of(a.low, b.low), of(a.low, b.high), of(a.high, b.low), of(a.high, b.high)];
    let [low, high] = extremes(all);
    Range { low, high, nan: a.nan || b.nan }
}

pub(super) fn add(a: Range, b: Range) -> Range {
    let opposite = |x: Range, y: Range| x.high == f64::INFINITY && y.low == f64::NEG_INFINITY;
    let (low, high) = (a.low + b.low, a.high + b.high);
    Range {
        low: if low.is_nan() { f64::NEG_INFINITY } else { low },
        high: if high.is_nan() { f64::INFINITY } else { high },
        nan: a.nan || b.nan || opposite(a, b) || opposite(b, a),
    }
}

/// The square of one operand, which is not the product of two.
pub(super) fn square(x: Range) -> Range {
    let (low, high) = (x.low * x.low, x.high * x.high);
    Range { low: if x.contains(0.0) { 0.0 } else { low.min(high) }, high: low.max(high), nan: x.nan }
}
