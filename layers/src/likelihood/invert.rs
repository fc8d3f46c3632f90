//! Quantiles by search: what a law needs for them, and for draws, is its distribution function.
//!
//! Each round asks the distribution function at many points between two bounds, on a new first axis, and keeps the part
//! in which it passes p. The number of rounds is fixed: the graph is small, and how long it takes depends on no value.

use super::{Law, Support};
use bayeslift_ir::Expr;

/// Into how many parts a round divides what is between the bounds.
const PARTS: usize = 16;
/// With nine, bounds come closer by a factor of 7e10.
const ROUNDS: usize = 9;

/// The quantile of a law of numbers that tells its distribution function, and its mean and variance unless its support
/// has two ends.
pub(super) fn quantile_of<'b>(law: &dyn Law<'b>, support: Support, p: Expr<'b>) -> Option<Expr<'b>> {
    let (p, (least, largest)) = (p.to_f64(), support.bounds());
    let bounds = if least.is_finite() && largest.is_finite() {
        [least, largest].map(|bound| p.builder().constant_f64(bound))
    } else {
        let [low, high] = moment_bounds(law.mean()?, law.variance()?, p);
        [low.max(least), high.min(largest)]
    };
    let cdf = |x: Expr<'b>| law.cdf(x);
    cdf(bounds[0])?;
    let cdf = |x: Expr<'b>| cdf(x).expect("it was told before").to_f64();
    Some(if support.is_discrete() { count_quantile(cdf, p, bounds) } else { quantile(cdf, p, bounds) })
}

/// Bounds of the `p`-quantile of any law with this mean and variance, by Cantelli's inequality: it is at most sqrt(p /
/// (1 - p)) standard deviations above the mean, and at most sqrt((1 - p) / p) below it.
fn moment_bounds<'b>(mean: Expr<'b>, variance: Expr<'b>, p: Expr<'b>) -> [Expr<'b>; 2] {
    let (mean, stddev) = (mean.to_f64(), variance.to_f64().sqrt());
    // beyond these a distribution function in `f64` is 0 or 1
    let (below, above) = (p.max(1e-16), (1.0 - p).max(1e-16));
    [mean - stddev * (above / below).sqrt(), mean + stddev * (below / above).sqrt()]
}

/// How many of the `count` points `low + step`, `low + 2 step`, .. have a distribution function below `p`, as a number.
pub(super) fn points_below<'b>(
    cdf: impl Fn(Expr<'b>) -> Expr<'b>,
    p: Expr<'b>,
    [low, step]: [Expr<'b>; 2],
    count: usize,
) -> Expr<'b> {
    let mut shape = vec![1; low.shape().len() + 1];
    shape[0] = count;
    let number = low.builder().iota(count).to_f64().reshape(shape.as_slice()) + 1.0;
    cdf(number * step + low).less(p).select(p * 0.0 + 1.0, 0.0).sum(0)
}

/// The x where a continuous distribution function is `p`, between two bounds. All are `f64`; the function is given
/// points with one more axis in front.
pub(super) fn quantile<'b>(cdf: impl Fn(Expr<'b>) -> Expr<'b>, p: Expr<'b>, [low, high]: [Expr<'b>; 2]) -> Expr<'b> {
    let zero = (p + low + high) * 0.0;
    let (mut low, mut step) = (low + zero, high - low);
    for _ in 0..ROUNDS {
        step = step / PARTS as f64;
        low = low + points_below(&cdf, p, [low, step], PARTS - 1) * step;
    }
    // the rest of the way along the chord
    let [below, above] = [low, low + step].map(&cdf);
    let rise = above - below;
    let part = zero.less(rise).select((p - below) / rise, 0.5).max(0.0).min(1.0);
    low + step * part
}

/// The least whole number k with `cdf(k) >= p`, between two bounds, from 0 on; near it, if these are further apart than
/// the search can resolve. The function is given whole numbers, with one more axis in front.
fn count_quantile<'b>(cdf: impl Fn(Expr<'b>) -> Expr<'b>, p: Expr<'b>, [low, high]: [Expr<'b>; 2]) -> Expr<'b> {
    let zero = (p + low + high) * 0.0;
    // below the answer, which may be `low`; above it
    let mut low = low.max(0.0).floor() - 1.0 + zero;
    let mut width = high.floor() + 1.0 - low;
    for _ in 0..ROUNDS {
        let step = (-(-width / PARTS as f64).floor()).max(1.0);
        low = low + points_below(&cdf, p, [low, step], PARTS - 1) * step;
        width = step;
    }
    low + 1.0
}
