//! Making probabilities surer or less sure of themselves, all alike: one number, fitted to data that nothing was
//! trained on.

use super::{check_probabilities, labelled};
use crate::{Error, natural_log};
use bayeslift_ir::{Environment, Scalar, elementary::double};

/// Probabilities below count as this, so that none is out of reach.
const LEAST: f64 = 1e-30;
/// Temperatures are fitted between this and its inverse.
const HOTTEST: f64 = 16.0;

/// The temperature at which these probabilities have the least negative log likelihood on these labels, between 1/16
/// and 16: above 1 where they are too sure, below 1 where they are not sure enough (Guo and others 2017). Means of
/// predictions that are calibrated each are not sure enough, so an ensemble of such members has one below 1 (Rahaman
/// and Thiery 2021).
///
/// Of data that neither training nor a choice has seen; a few hundred rows do. [`at_temperature`] applies it.
///
/// ```
/// use bayeslift_layers::metrics::{at_temperature, temperature};
/// // right nine times of ten, but not sure of it
/// let (probabilities, labels) = ([0.7, 0.3].repeat(10), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// let fitted = temperature(&probabilities, 2, &labels)?;
/// assert!(fitted < 1.0);
/// assert!((at_temperature(&probabilities, 2, fitted)?[0] - 0.9).abs() < 1e-6);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](super).
pub fn temperature(probabilities: &[f32], classes: usize, labels: &[u32]) -> Result<f64, Error> {
    Environment::within(|| {
        let rows: Vec<(Vec<f64>, usize)> =
            labelled(probabilities, classes, labels)?.map(|(row, label)| (logarithms(row), label)).collect();
        // the derivative of the negative log likelihood by 1/T, which grows with that: it is a convex function of it
        let slope = |inverse: f64| -> f64 {
            let of_row = |(logarithms, label): &(Vec<f64>, usize)| {
                let expected: f64 = softmax(logarithms, inverse).zip(logarithms).map(|(p, x)| p * x).sum();
                expected - logarithms[*label]
            };
            rows.iter().map(of_row).sum()
        };
        let (mut low, mut high) = (1.0 / HOTTEST, HOTTEST);
        // until they are neighbours
        for _ in 0..64 {
            let middle = (low * high).sqrt();
            if slope(middle) < 0.0 { low = middle } else { high = middle }
        }
        Ok(1.0 / (low * high).sqrt())
    })
}

/// Probabilities at another temperature `T`: `p_c^(1/T) / sum_k p_k^(1/T)`. Their order stays, so accuracy does.
/// Below 1 makes them surer, above 1 less sure; `[rows, classes]`, as what is given.
///
/// ```
/// use bayeslift_layers::metrics::at_temperature;
/// let surer = at_temperature(&[0.75, 0.25], 2, 0.5)?; // squares, in proportion: 9 to 1
/// assert!((surer[0] - 0.9).abs() < 1e-6);
/// assert!(at_temperature(&[0.75, 0.25], 2, 0.0).is_err());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](super); a temperature that is not positive and finite.
pub fn at_temperature(probabilities: &[f32], classes: usize, temperature: f64) -> Result<Vec<f32>, Error> {
    Environment::within(|| {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::argument("the temperature", "a positive, finite number", temperature));
        }
        check_probabilities(probabilities, classes)?;
        let of_row = |row: &[f32]| softmax(&logarithms(row), 1.0 / temperature).map(|p| p as f32).collect::<Vec<_>>();
        Ok(probabilities.chunks_exact(classes).flat_map(of_row).collect())
    })
}

fn logarithms(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&p| natural_log(f64::from(p).max(LEAST))).collect()
}

/// The softmax of these logarithms times a factor.
fn softmax(logarithms: &[f64], factor: f64) -> impl Iterator<Item = f64> {
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logarithms.iter().map(|x| double::exp(&mut Scalar, factor * (x - largest))).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(move |power| power / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{accuracy, negative_log_likelihood};

    /// Rows of three classes, and labels that follow probabilities of another temperature.
    fn drawn(rows: usize, at: f64) -> (Vec<f32>, Vec<u32>) {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 24) as f64
        };
        let (mut probabilities, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let logits: Vec<f64> = (0..3).map(|_| 4.0 * uniform()).collect();
            probabilities.extend(softmax(&logits, 1.0).map(|p| p as f32));
            let mut left = uniform();
            let label = softmax(&logits, 1.0 / at).position(|p| {
                left -= p;
                left < 0.0
            });
            labels.push(label.unwrap_or(2) as u32);
        }
        (probabilities, labels)
    }

    #[test]
    fn the_temperature_that_labels_follow_is_found() {
        // with what a program of NumPy's finds for the same labels
        for (at, want) in [(0.5, 0.499_609_926_96), (1.0, 0.982_715_037_42), (2.5, 2.358_116_231_29)] {
            let (probabilities, labels) = drawn(20_000, at);
            let fitted = temperature(&probabilities, 3, &labels).unwrap();
            assert!((fitted / want - 1.0).abs() < 1e-6, "{fitted} and {want}");
            // no other is better
            let loss = |t: f64| {
                let there = at_temperature(&probabilities, 3, t).unwrap();
                assert_eq!(accuracy(&there, 3, &labels).unwrap(), accuracy(&probabilities, 3, &labels).unwrap());
                negative_log_likelihood(&there, 3, &labels).unwrap()
            };
            assert!(loss(fitted) < loss(fitted * 1.05) && loss(fitted) < loss(fitted / 1.05));
        }
    }

    #[test]
    fn borders() {
        // always right, and always wrong
        let probabilities = [0.6, 0.4, 0.4, 0.6];
        assert!((temperature(&probabilities, 2, &[0, 1]).unwrap() * HOTTEST - 1.0).abs() < 1e-9);
        assert!((temperature(&probabilities, 2, &[1, 0]).unwrap() / HOTTEST - 1.0).abs() < 1e-9);
        // probabilities of 0 stay small, and finite
        let cold = at_temperature(&[1.0, 0.0], 2, 0.5).unwrap();
        assert_eq!(cold[0], 1.0);
        assert!(cold[1] >= 0.0 && cold[1] < 1e-30);
        assert!(temperature(&[1.0, 0.0], 2, &[1]).unwrap().is_finite());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = at_temperature(&probabilities, 2, bad).unwrap_err().to_string();
            assert!(error.contains("a positive, finite number"), "{error}");
        }
        assert!(at_temperature(&[0.5, 0.9], 2, 1.0).is_err() && temperature(&[], 2, &[]).is_err());
    }
}
