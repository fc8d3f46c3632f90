//! The divergence of a normal posterior from any prior of each element, by quadrature.

use crate::{AnyDistribution, Error, distribution::Normal};
use bayeslift_ir::{Environment, Expr, Shape};
use std::f64::consts::PI;

/// How many nodes a piece of a prior that is not smooth has, and how many posterior scales from the mean its integral
/// ends.
const NODES_OF_A_PIECE: usize = 20;
const REACH: f64 = 6.0;

/// 1/2 + log sqrt(2 pi): the entropy of a normal distribution less the logarithm of its scale.
const ENTROPY: f64 = 1.418_938_533_204_672_7;

/// KL(posterior || prior) of each element of a value of shape `shape`, if the posterior is normal and the prior one of
/// each element.
pub(super) fn of<'b>(
    posterior: &AnyDistribution<'b>,
    prior: &AnyDistribution<'b>,
    shape: &Shape,
    nodes: usize,
) -> Result<Option<Expr<'b>>, Error> {
    if !(1..=64).contains(&nodes) {
        return Err(Error::argument("the number of nodes of Divergence::Quadrature", "a number from 1 to 64", nodes));
    }
    let (Some(posterior), 0) = (posterior.as_normal(), prior.event_ndims()) else { return Ok(None) };
    let pieces = prior.get().pieces();
    let expectation = match pieces.is_empty() {
        true => smooth(&posterior, |w| prior.log_prob(w), nodes),
        false => by_pieces(&posterior, |w| prior.log_prob(w), &pieces),
    };
    let element = -(posterior.scale.log() + ENTROPY) - expectation;
    Ok(Some(element.broadcast(shape)))
}

/// The mean of a function by the Gauss-Hermite rule.
///
/// Nodes are operations, not an axis: they are constants, and no value of theirs is stored for the gradient.
fn smooth<'b>(posterior: &Normal<'b>, of: impl Fn(Expr<'b>) -> Expr<'b>, nodes: usize) -> Expr<'b> {
    let terms = gauss_hermite(nodes).into_iter().map(|(node, weight)| {
        let value = if node == 0.0 { posterior.loc } else { posterior.loc + posterior.scale * node };
        of(value) * weight
    });
    terms.reduce(|a, b| a + b).expect("a rule has a node")
}

/// The mean of a function that is smooth between these points, by a Gauss-Legendre rule on each piece. Ends of pieces
/// are in scales from the mean, where both ends of the integral are exact.
fn by_pieces<'b>(posterior: &Normal<'b>, of: impl Fn(Expr<'b>) -> Expr<'b>, ends: &[Expr<'b>]) -> Expr<'b> {
    let &Normal { loc, scale } = posterior;
    let b = loc.builder();
    let rule = gauss_legendre(NODES_OF_A_PIECE);
    let last = b.constant(REACH);
    let (mut begin, mut sum) = (-last, None);
    for end in ends.iter().map(|&end| (end - loc) / scale).chain([last]) {
        let end = end.max(begin).min(last);
        let (middle, half) = ((begin + end) * 0.5, (end - begin) * 0.5);
        let terms = rule.iter().map(|&(node, weight)| {
            let z = middle + half * node;
            of(loc + scale * z) * (z.square() * -0.5).exp() * weight
        });
        let piece = terms.reduce(|a, b| a + b).expect("a rule has a node") * half;
        sum = Some(sum.map_or(piece, |sum: Expr<'b>| sum + piece));
        begin = end;
    }
    sum.expect("there is a last piece") * (1.0 / (2.0 * PI).sqrt())
}

/// Nodes and weights with which a mean under the standard normal distribution is exact for polynomials of degree up to
/// 2 n - 1. Roots of orthonormal Hermite polynomials, between those of the one before, by bisection; weights are
/// Christoffel's.
///
/// Only `+ - * /` and square roots, so that the bits are the same everywhere.
pub(super) fn gauss_hermite(n: usize) -> Vec<(f64, f64)> {
    Environment::within(|| {
        // all orthonormal polynomials up to a degree at a point
        let values = |x: f64, degree: usize| {
            let mut values = vec![1.0, x];
            for k in 1..degree {
                let (this, last) = (values[k], values[k - 1]);
                values.push((x * this - (k as f64).sqrt() * last) / ((k + 1) as f64).sqrt());
            }
            values
        };
        let mut roots = vec![0.0];
        for degree in 2..=n {
            let bound = 2.0 * (degree as f64).sqrt();
            let ends: Vec<f64> = [-bound].into_iter().chain(roots).chain([bound]).collect();
            let at = |x: f64| values(x, degree)[degree];
            roots = ends.windows(2).map(|ends| root(at, ends[0], ends[1])).collect();
            // the middle one of an odd number
            if degree % 2 == 1 {
                roots[degree / 2] = 0.0;
            }
        }
        roots.iter().map(|&x| (x, 1.0 / values(x, n)[..n].iter().map(|p| p * p).sum::<f64>())).collect()
    })
}

/// Nodes and weights on (-1, 1) with which integrals are exact for polynomials of degree up to 2 n - 1; likewise.
pub(super) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    Environment::within(|| {
        let values = |x: f64, degree: usize| {
            let mut values = vec![1.0, x];
            for k in 1..degree {
                let (k_f, this, last) = (k as f64, values[k], values[k - 1]);
                values.push(((2.0 * k_f + 1.0) * x * this - k_f * last) / (k_f + 1.0));
            }
            values
        };
        let mut roots = vec![0.0];
        for degree in 2..=n {
            let ends: Vec<f64> = [-1.0].into_iter().chain(roots).chain([1.0]).collect();
            roots = ends.windows(2).map(|ends| root(|x| values(x, degree)[degree], ends[0], ends[1])).collect();
            if degree % 2 == 1 {
                roots[degree / 2] = 0.0;
            }
        }
        let norm = |k: usize| (2 * k + 1) as f64 / 2.0;
        let weight = |x: f64| 1.0 / values(x, n)[..n].iter().enumerate().map(|(k, p)| p * p * norm(k)).sum::<f64>();
        roots.iter().map(|&x| (x, weight(x))).collect()
    })
}

/// The root of a function that changes its sign once between two points.
fn root(of: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let is_positive = of(high) > 0.0;
    // as many halvings as digits
    for _ in 0..64 {
        let middle = low + (high - low) * 0.5;
        *if (of(middle) > 0.0) == is_positive { &mut high } else { &mut low } = middle;
    }
    low + (high - low) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments of the standard normal distribution and of the interval, to the degree that the rules promise.
    #[test]
    fn rules_are_exact_for_polynomials() {
        for n in [1, 2, 3, 5, 8, 17, 32, 64] {
            let (hermite, legendre) = (gauss_hermite(n), gauss_legendre(n));
            assert_eq!((hermite.len(), legendre.len()), (n, n));
            assert!(hermite.iter().chain(&legendre).all(|&(_, weight)| weight > 0.0));
            let mut moment = 1.0;
            // higher moments are beyond the digits of the largest nodes
            for degree in (0..(2 * n).min(24)).step_by(2) {
                let power = |rule: &[(f64, f64)]| rule.iter().map(|(x, w)| w * x.powi(degree as i32)).sum::<f64>();
                let (found, of_interval) = (power(&hermite), power(&legendre));
                assert!((found / moment - 1.0).abs() < 1e-11, "{n} nodes, x^{degree}: {found}, expected {moment}");
                let expected = 2.0 / (degree as f64 + 1.0);
                assert!((of_interval - expected).abs() < 1e-14, "{n} nodes, x^{degree}: {of_interval}");
                moment *= degree as f64 + 1.0;
            }
            for rule in [hermite, legendre] {
                assert!(
                    rule.iter()
                        .zip(rule.iter().rev())
                        .all(|((a, v), (b, w))| (a + b).abs() < 1e-13 && (v - w).abs() < 1e-14)
                );
            }
        }
    }
}
