//! Statistics, distribution functions, quantiles and draws.

use crate::{ask, close, column, each, is_double};
use bayeslift_layers::likelihood::Support;

#[test]
fn moments_and_entropies_are_those_of_the_density() {
    each(|row, point| {
        let none = column(row, &[0.0]);
        let [mean, variance, entropy] =
            ask(row, &point.0, &none, |law, _, _| [law.mean(), law.variance(), law.entropy()]);
        assert_eq!(usize::from(mean.is_some()) + usize::from(variance.is_some()), row.moments, "{}", row.name);
        let expected = row.expectation(point, |y| y);
        if let Some(mean) = mean {
            close("mean", mean[0], expected, 1e-6);
        }
        if let Some(variance) = variance {
            let expected = row.expectation(point, |y| (y - expected) * (y - expected));
            assert!((variance[0] / expected - 1.0).abs() < 1e-6, "variance: {}, expected {expected}", variance[0]);
        }
        if let Some(entropy) = entropy {
            let log_prob = row.closed(&point.0);
            close("entropy", entropy[0], row.expectation(point, |y| -log_prob(y)), 1e-6);
        }
    });
}

#[test]
fn distribution_functions_are_integrals() {
    each(|row, point| {
        let support = row.target().support;
        let mut y: Vec<f64> = row.targets.iter().map(|&y| y.into()).filter(|&y: &f64| y < 1e3).collect();
        if support != Support::Real {
            // beyond the support, and between counts
            y.extend([-1.0, 1.5]);
        }
        let [cdf] = ask(row, &point.0, &column(row, &y), |law, y, _| [law.cdf(y)]);
        for (y, found) in y.into_iter().zip(cdf.unwrap()) {
            let expected = match support {
                _ if y < 0.0 && support != Support::Real => 0.0,
                Support::UnitInterval if y > 1.0 => 1.0,
                _ => row.below(point, y),
            };
            close(&format!("P(y <= {y})"), found, expected, if is_double(row) { 2e-7 } else { 1e-6 });
        }
    });
}

#[test]
fn quantiles_invert_distribution_functions() {
    let p = [1e-7, 1e-3, 0.1, 0.25, 0.5, 0.8, 0.999, 1.0 - 1e-7];
    each(|row, point| {
        let [quantiles] = ask(row, &point.0, &column(row, &p), |law, p, _| [law.quantile(p)]);
        let quantiles = quantiles.unwrap();
        if row.target().support.is_discrete() {
            for (p, found) in p.into_iter().zip(quantiles) {
                assert_eq!(found.fract(), 0.0);
                // rounding of a sum of probabilities in `f32` may decide
                let [below, above] = [found - 1.0, found].map(|y| row.below(point, y));
                assert!(below < p + 1e-6 * p && above >= p - 1e-7, "the {p}-quantile is {found}: {below}, {above}");
            }
        } else {
            let [back] = ask(row, &point.0, &column(row, &quantiles), |law, x, _| [law.cdf(x)]);
            for (p, back) in p.into_iter().zip(back.unwrap()) {
                assert!((back - p).abs() <= 1e-9 * p.min(1.0 - p) + 5e-16, "P(y <= {p}-quantile) is {back}");
            }
        }
    });
}

/// Each of the 40 or so comparisons would fail with probability 1e-6 for a right law, if the seed were another.
#[test]
fn draws_follow_the_law() {
    let count = 1000;
    each(|row, point| {
        let shape = column(row, &vec![0.0; count]);
        let [draws] = ask(row, &point.0, &shape, |law, _, noise| [law.draw(noise)]);
        let mut draws = draws.unwrap();
        assert_eq!(draws.len(), count);
        draws.sort_by(f64::total_cmp);
        if row.target().support.is_discrete() {
            chi_square(&draws, &row.masses(&point.0));
        } else {
            let [cdf] = ask(row, &point.0, &column(row, &draws), |law, x, _| [law.cdf(x)]);
            kolmogorov_smirnov(&cdf.unwrap());
        }
    });
}

/// Fails unless sorted numbers are uniform, by the bound of Dvoretzky, Kiefer, Wolfowitz and Massart on the largest
/// distance.
pub fn kolmogorov_smirnov(sorted: &[f64]) {
    let count = sorted.len() as f64;
    let mut largest = 0.0_f64;
    for (i, &p) in sorted.iter().enumerate() {
        assert!((0.0..=1.0).contains(&p), "{p} is no probability");
        largest = largest.max(p - i as f64 / count).max((i as f64 + 1.0) / count - p);
    }
    let bound = (libm::log(2.0 / 1e-6) / (2.0 * count)).sqrt();
    assert!(largest <= bound, "the draws' distribution function is off by {largest}, more than {bound}");
}

/// Fails unless counts have these probabilities, by Pearson's statistic and the cube root of Wilson and Hilferty.
fn chi_square(draws: &[f64], masses: &[(f64, f64)]) {
    let count = draws.len() as f64;
    let mut cells = vec![(0.0, 0.0)];
    let mut rest = count;
    for &(y, mass) in masses {
        let (found, expected) = cells.last_mut().unwrap();
        *found += draws.iter().filter(|&&draw| draw == y).count() as f64;
        *expected += mass * count;
        rest -= mass * count;
        if *expected >= 10.0 && rest >= 10.0 {
            cells.push((0.0, 0.0));
        }
    }
    let all: f64 = cells.iter().map(|(found, _)| found).sum();
    assert!(all >= count - 1.0, "{} draws are no targets, or too large", count - all);
    let statistic: f64 = cells.iter().map(|(found, expected)| (found - expected) * (found - expected) / expected).sum();
    let degrees = cells.len() as f64 - 1.0;
    assert!(degrees >= 1.0, "one cell tests nothing");
    let variance = 2.0 / (9.0 * degrees);
    let z = (libm::cbrt(statistic / degrees) - (1.0 - variance)) / variance.sqrt();
    assert!(z <= 4.76, "chi-square is {statistic} with {degrees} degrees of freedom");
}
