//! What a number of samples makes certain of a class: bounds of the means of probabilities, as graph code in `f64`.
//!
//! A sample's probabilities are independent draws in [0, 1], whose mean over infinitely many samples is what a decision
//! is about. Two inequalities bound it by the first `n` of them, each but for a small probability: with `x` their mean,
//! `V` their sample variance,
//!
//! - `mean >= x - sqrt(2 V l / n) - 7 l / (3 (n - 1))`, but for 2 e^-l: Maurer and Pontil, Empirical Bernstein Bounds
//!   and Sample Variance Penalization, COLT 2009, Theorem 4, with `l = ln(2 / delta)`;
//! - `n kl(x, mean) <= l` where `mean < x`, but for e^-l: Hoeffding, Probability Inequalities for Sums of Bounded
//!   Random Variables, Journal of the American Statistical Association 58 (1963), Theorem 1; `kl` is the divergence of
//!   two answers of yes and no.
//!
//! Both hold for `1 - x` too, so from above. The first is the sharper where samples hardly differ, the second of few
//! samples and of means near 0 and 1. Of K classes a decision that is wrong needs that one of the K bounds from below
//! fails, or that from above of the most probable class, or that of samples' entropies from below: `3 (K + 2) e^-l` a
//! look. Look number `j` of those at a label has the part `1 / (j (j + 1))` of the error, and these sum to 1: so
//! samples may be looked at as often as one likes, and a larger number of them at most changes nothing about the looks
//! before.

use bayeslift_ir::Expr;
use bayeslift_layers::natural_log;

/// The input that holds the number of the look, counted from 1.
pub const LOOK: &str = "samples/look";
/// The input that holds [`Limits`].
pub const LIMITS: &str = "samples/limits";

/// More than rounding makes of a mean, or of a variance, of up to 2^32 samples, and than probabilities of `f32` may
/// exceed 1 by.
const SLACK: f64 = 1.0 / 65536.0;

/// What a decision is made by: `[level, keep, abstain, entropy]`.
///
/// `level` is `l` but for the part of the error that a look has. It is certain that a label is kept where a class is
/// certain to have at least the probability `keep`; and that it is not where all are certain to have at most `abstain`,
/// or samples to have an expected entropy of more than `entropy`, as a part of the largest that there is: the entropy
/// of a mean is not less than the mean of entropies.
pub type Limits = [f64; 4];

/// How many [`Limits`] there are.
pub const COUNT: usize = 4;

/// The limits for rows of `labels` labels of `classes` classes each: with an error for all of a row's, and the
/// predictive entropy above which one abstains, if one does by that.
///
/// Of entropies, with `p` the largest probability: at most `h(p) + (1 - p) ln(K - 1)`, by Fano's inequality; and at
/// least that of as many classes of probability `p` as there can be, and one of the rest.
pub fn limits(error: f64, (classes, labels): (usize, usize), above: Option<f64>) -> Limits {
    let level = natural_log(3.0 * (classes as f64 + 2.0) * labels as f64 / error);
    let Some(above) = above else { return [level, 0.0, 0.0, 1.0] };
    let term = |p: f64| if p > 0.0 { -p * natural_log(p) } else { 0.0 };
    let others = natural_log((classes.max(2) - 1) as f64);
    let most = |p: f64| term(p) + term(1.0 - p) + (1.0 - p) * others;
    let least = |p: f64| {
        let whole = (1.0 / p).floor();
        whole * term(p) + term(1.0 - whole * p)
    };
    // both fall as the largest probability grows, from that of equal classes on
    let first = 1.0 / classes as f64;
    let keep = if natural_log(classes as f64) + ROUNDING < above {
        0.0
    } else {
        bisect(first, |p| most(p) + ROUNDING > above)[1]
    };
    let abstain = bisect(first, |p| least(p) - ROUNDING > above)[0];
    let abstain = if least(abstain) - ROUNDING > above { abstain } else { 0.0 };
    [level, keep, abstain, ((above + ROUNDING) / natural_log(classes.max(2) as f64)).min(1.0)]
}

/// More than rounding makes of an entropy here.
const ROUNDING: f64 = 1e-9;

/// Numbers beside each other, from `first` to 1: of the first a condition may hold, of the second it does not.
fn bisect(first: f64, holds: impl Fn(f64) -> bool) -> [f64; 2] {
    let [mut low, mut high] = [first, 1.0];
    for _ in 0..64 {
        let middle = low + (high - low) / 2.0;
        if holds(middle) { low = middle } else { high = middle }
    }
    [low, high]
}

/// 1 for each label that is certain, else 0: its class, and whether it is kept, or that it is not. From the sums over
/// samples of probabilities `[rows, .., classes]` and of their squares, and of entropies `[rows, ..]` and of theirs,
/// the number of samples, that of the look, and the [`Limits`].
pub fn certain<'b>(
    probabilities: [Expr<'b>; 2],
    entropies: [Expr<'b>; 2],
    samples: Expr<'b>,
    look: Expr<'b>,
    limits: Expr<'b>,
) -> Expr<'b> {
    let limit = |i: usize| limits.slice(0, i..i + 1);
    let level = limit(0) + (look * (look + 1.0)).log();
    let bounds = Bounds::new(probabilities, samples, level);
    let mean = bounds.mean;
    let axis = mean.shape().len() - 1;
    let all = |x: Expr<'b>| -(-x).reduce_max(axis);
    let one = mean.builder().constant_f64(1.0);
    // the most probable class, and the others
    let largest = mean.reduce_max(axis).expand(axis);
    let is_largest = mean.equal(largest);
    let next = is_largest.select(0.0, mean).reduce_max(axis).expand(axis);
    let between = (largest + next) * 0.5;
    let apart = all(is_largest.select(bounds.above(between), bounds.below(between)));
    let is_one = is_largest.select(one, 0.0).sum(axis).equal(1.0);
    // what has more than half has more than the others
    let is_more_than_half = bounds.above(one * 0.5).reduce_max(axis);
    let has_class = is_more_than_half.max(is_one.select(apart, 0.0));
    let is_kept = bounds.above(limit(1)).reduce_max(axis);
    let largest = natural_log(mean.shape()[axis].max(2) as f64);
    let parts = [entropies[0] / largest, entropies[1] / (largest * largest)];
    let is_left = all(bounds.below(limit(2))).max(Bounds::new(parts, samples, level).above(limit(3)));
    (has_class * is_kept).max(is_left)
}

/// Bounds of means by samples.
struct Bounds<'b> {
    mean: Expr<'b>,
    /// How far the mean over infinitely many samples may be from it, by the variance.
    radius: Expr<'b>,
    /// The divergence that it may have.
    divergence: Expr<'b>,
}

impl<'b> Bounds<'b> {
    fn new([sum, squares]: [Expr<'b>; 2], samples: Expr<'b>, level: Expr<'b>) -> Self {
        let mean = sum / samples;
        let variance = (squares - sum * mean) / (samples - 1.0);
        let divergence = level / samples;
        let radius = ((variance.max(0.0) + SLACK) * divergence * 2.0).sqrt() + level * 7.0 / ((samples - 1.0) * 3.0);
        Bounds { mean, radius, divergence }
    }

    /// 1 where the mean over infinitely many samples is certain to be more than `than`, which is below 1, or is 1; else
    /// 0. It is always more than 0.
    fn above(&self, than: Expr<'b>) -> Expr<'b> {
        let least = (self.mean - SLACK).max(0.0);
        let by_variance = than.less(least - self.radius);
        self.either(by_variance, than.less(least), least, than).max(than.less_equal(0.0).select(one(than), 0.0))
    }

    /// As [`Bounds::above`], to be less.
    fn below(&self, than: Expr<'b>) -> Expr<'b> {
        let most = (self.mean + SLACK).min(1.0);
        let by_variance = (most + self.radius).less(than);
        self.either(by_variance, most.less(than), most, than)
    }

    /// What is certain by its variance, or because it is on the right side and diverges by too much.
    fn either(&self, by_variance: Expr<'b>, is_right: Expr<'b>, mean: Expr<'b>, than: Expr<'b>) -> Expr<'b> {
        let one = one(than);
        let log = |x: Expr<'b>| x.max(f64::MIN_POSITIVE).log();
        let [other_mean, other] = [one - mean, one - than];
        let divergence = mean * (log(mean) - log(than)) + other_mean * (log(other_mean) - log(other));
        let diverges = is_right.select(self.divergence.less(divergence).select(one, 0.0), 0.0);
        by_variance.select(one, diverges)
    }
}

fn one(x: Expr<'_>) -> Expr<'_> {
    x.builder().constant_f64(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entropy(probabilities: &[f64]) -> f64 {
        probabilities.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum()
    }

    /// Probabilities of all kinds: a few classes among which all is divided, some with nearly all of it.
    fn probabilities(classes: usize, number: u32) -> Vec<f64> {
        let word = |i: usize| (number * 64 + i as u32).wrapping_mul(0x9e37_79b1) ^ (number << 7);
        let sharpness = f64::from(word(classes) % 17);
        let all: Vec<f64> =
            (0..classes).map(|i| (sharpness * f64::from(word(i) >> 8) / f64::from(1 << 24)).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.into_iter().map(|p| p / sum).collect()
    }

    #[test]
    fn entropies_are_where_the_largest_probability_says() {
        let (mut kept, mut left) = (0, 0);
        for (classes, above) in
            [(2, 0.3), (2, 0.7), (3, 0.0), (3, 0.5), (3, 1.2), (10, 0.1), (10, 1.5), (10, 2.3), (1, 0.0)]
        {
            let [_, keep, abstain, part] = limits(0.1, (classes, 1), Some(above));
            assert!(part * (classes.max(2) as f64).ln() >= above || part == 1.0);
            assert!(abstain <= keep || keep == 0.0, "{classes} classes, {above}: {keep}, {abstain}");
            for number in 0..500 {
                let probabilities = probabilities(classes, number);
                let (largest, entropy) = (probabilities.iter().copied().fold(0.0, f64::max), entropy(&probabilities));
                if largest >= keep {
                    assert!(entropy <= above, "{classes} classes: {entropy} of {probabilities:?} is above {above}");
                    kept += 1;
                }
                if largest <= abstain {
                    assert!(entropy > above, "{classes} classes: {entropy} of {probabilities:?} is not above {above}");
                    left += 1;
                }
            }
        }
        assert!(kept > 500 && left > 500, "{kept} kept, {left} left");
    }

    /// Of two classes the two limits meet, and of a threshold that nothing exceeds all is kept.
    #[test]
    fn limits_are_as_close_as_entropies_let_them_be() {
        let [_, keep, abstain, _] = limits(0.1, (2, 1), Some(0.5));
        assert!(keep - abstain < 1e-6 && (entropy(&[keep, 1.0 - keep]) - 0.5).abs() < 1e-6, "{keep}, {abstain}");
        assert_eq!(limits(0.1, (3, 1), Some(1.1))[1..], [0.0, 0.0, 1.0]);
        assert_eq!(limits(0.1, (3, 1), None)[1..], [0.0, 0.0, 1.0]);
        let level = (3.0 * 12.0 * 4.0 / 0.01_f64).ln();
        assert!((limits(0.01, (10, 4), None)[0] - level).abs() < 1e-12);
    }
}
