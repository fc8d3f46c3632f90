//! How good and how honest predictions are: plain functions of slices.
//!
//! Probabilities are row-major `[rows, classes]`, those of several posterior samples `[samples, rows, classes]`. Sums
//! are taken in `f64` in order, logarithms without the platform's library, so a report is the same on every machine.
//! Every function refuses no rows, lengths that do not fit, labels out of range, and numbers that are not
//! probabilities. A row that is `NaN` throughout is one without a prediction: for [`accuracy`] it is wrong, and all
//! others refuse it.

mod ranking;
mod temperature;

pub use ranking::{area_under_roc, average_precision, coverage};
pub use temperature::{at_temperature, temperature};

use crate::{Error, natural_log};
use bayeslift_ir::Environment;
use std::fmt;

/// The part of rows whose most probable class is their label. Of equally probable classes the first counts; a row of
/// `NaN`, which has no prediction, is wrong.
///
/// ```
/// use bayeslift_layers::metrics::accuracy;
/// assert_eq!(accuracy(&[0.9, 0.1, 0.4, 0.6], 2, &[0, 0])?, 0.5);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self).
pub fn accuracy(probabilities: &[f32], classes: usize, labels: &[u32]) -> Result<f64, Error> {
    Environment::within(|| {
        let has_prediction = |row: &[f32]| row.iter().any(|p| !p.is_nan());
        let rows = labelled_if(has_prediction, probabilities, classes, labels)?;
        let right = rows.filter(|&(row, label)| has_prediction(row) && best(row).0 == label).count();
        Ok(right as f64 / labels.len() as f64)
    })
}

/// The mean of -log p(label), in nats; infinite where a label has probability 0.
///
/// ```
/// use bayeslift_layers::metrics::negative_log_likelihood;
/// let found = negative_log_likelihood(&[0.5, 0.5, 0.25, 0.75], 2, &[0, 0])?;
/// assert!((found - (2_f64.ln() + 4_f64.ln()) / 2.0).abs() < 1e-12);
/// // logits are refused, they need a softmax first
/// assert!(negative_log_likelihood(&[2.0, -1.0], 2, &[0]).is_err());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self).
pub fn negative_log_likelihood(probabilities: &[f32], classes: usize, labels: &[u32]) -> Result<f64, Error> {
    Environment::within(|| {
        let rows = labelled(probabilities, classes, labels)?;
        // a probability may be below 0 by rounding
        let sum: f64 = rows.map(|(row, label)| -natural_log(f64::from(row[label].max(0.0)))).sum();
        // without the sign of a sum of -0
        Ok(sum / labels.len() as f64 + 0.0)
    })
}

/// The mean over rows of sum_c (p_c - [c is the label])^2, between 0 and 2 (Brier 1950).
///
/// ```
/// use bayeslift_layers::metrics::brier_score;
/// assert_eq!(brier_score(&[0.5, 0.5], 2, &[0])?, 0.5);
/// assert_eq!(brier_score(&[0.0, 1.0], 2, &[0])?, 2.0); // sure and wrong
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self).
pub fn brier_score(probabilities: &[f32], classes: usize, labels: &[u32]) -> Result<f64, Error> {
    Environment::within(|| {
        let rows = labelled(probabilities, classes, labels)?;
        let square = |x: f64| x * x;
        let of_row = |(row, label): (&[f32], usize)| -> f64 {
            row.iter().enumerate().map(|(c, &p)| square(f64::from(p) - if c == label { 1.0 } else { 0.0 })).sum()
        };
        Ok(rows.map(of_row).sum::<f64>() / labels.len() as f64)
    })
}

/// How confidence compares with accuracy: what [`calibration`] finds.
///
/// ```
/// use bayeslift_layers::metrics::{CalibrationBin, calibration};
/// // two rows of confidence 3/4, one right and one wrong; one of confidence 1, and right
/// let found = calibration(&[0.75, 0.25, 0.25, 0.75, 1.0, 0.0], 2, &[0, 0, 0], 4)?;
/// assert_eq!(found.bins[2], CalibrationBin { lower: 0.5, upper: 0.75, count: 2, confidence: 0.75, accuracy: 0.5 });
/// assert_eq!(found.bins[3].count, 1);
/// assert!((found.expected_error - 2.0 / 3.0 * 0.25).abs() < 1e-12);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The expected calibration error: sum over bins of count / rows * |accuracy - confidence|.
    pub expected_error: f64,
    /// The bins, from confidence 0 to 1.
    pub bins: Vec<CalibrationBin>,
}

/// The rows whose confidence - the probability of their most probable class - lies in (lower, upper].
///
/// ```
/// use bayeslift_layers::metrics::{CALIBRATION_BINS, calibration};
/// let found = calibration(&[0.9, 0.1], 2, &[1], CALIBRATION_BINS)?;
/// // a bar of a reliability diagram: where confidence is above accuracy, predictions are too sure
/// let bin = found.bins.iter().find(|bin| bin.count > 0).unwrap();
/// assert!(bin.lower < bin.confidence && bin.confidence <= bin.upper);
/// assert_eq!(bin.accuracy, 0.0);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Below all confidences.
    pub lower: f64,
    /// The largest confidence that counts.
    pub upper: f64,
    /// The number of rows.
    pub count: usize,
    /// Their mean confidence, 0 without rows.
    pub confidence: f64,
    /// The part of them that is right, 0 without rows.
    pub accuracy: f64,
}

/// The number of bins that [`calibration`] is usually reported with.
pub const CALIBRATION_BINS: usize = 15;

/// The expected calibration error over `bins` bins of equal width (Guo and others 2017, equation 3), with the bins.
/// `probabilities` are `[rows, classes]`, `labels` one a row.
///
/// ```
/// use bayeslift_layers::metrics::calibration;
/// // three of four rows of confidence 3/4 are right: as honest as can be
/// let found = calibration(&[0.75, 0.25].repeat(4), 2, &[0, 0, 0, 1], 10)?;
/// assert_eq!(found.expected_error, 0.0);
/// assert_eq!(found.bins.len(), 10);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self); no bins, or more than 2^20.
pub fn calibration(probabilities: &[f32], classes: usize, labels: &[u32], bins: usize) -> Result<Calibration, Error> {
    Environment::within(|| {
        let rows = labelled(probabilities, classes, labels)?;
        if !(1..=MOST_BINS).contains(&bins) {
            return Err(Error::argument("the number of bins", format!("a number from 1 to {MOST_BINS}"), bins));
        }
        let edge = |i: usize| i as f64 / bins as f64;
        let empty = |i| CalibrationBin { lower: edge(i), upper: edge(i + 1), count: 0, confidence: 0.0, accuracy: 0.0 };
        let mut bins: Vec<CalibrationBin> = (0..bins).map(empty).collect();
        for (row, label) in rows {
            let (class, confidence) = best(row);
            let confidence = f64::from(confidence);
            let at = bins.iter().position(|bin| confidence <= bin.upper).unwrap_or(bins.len() - 1);
            bins[at].count += 1;
            bins[at].confidence += confidence;
            bins[at].accuracy += if class == label { 1.0 } else { 0.0 };
        }
        let mut expected_error = 0.0;
        for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
            expected_error += (bin.accuracy - bin.confidence).abs() / labels.len() as f64;
            bin.confidence /= bin.count as f64;
            bin.accuracy /= bin.count as f64;
        }
        Ok(Calibration { expected_error, bins })
    })
}

/// The square root of the mean of (prediction - target)^2, in units of the target. Of tensors of any shape, flat.
///
/// ```
/// use bayeslift_layers::metrics::root_mean_square_error;
/// assert_eq!(root_mean_square_error(&[1.0, 7.0], &[0.0, 0.0])?, 5.0); // the root of (1 + 49) / 2
/// assert!(root_mean_square_error(&[1.0, f64::NAN], &[0.0, 0.0]).is_err());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// No predictions, another number of targets, elements that are not finite.
pub fn root_mean_square_error<T: Copy + Into<f64> + fmt::Display>(
    predictions: &[T],
    targets: &[T],
) -> Result<f64, Error> {
    Environment::within(|| {
        check_length("predictions", predictions.len(), "one for each target", targets.len())?;
        for (argument, values) in [("predictions", predictions), ("targets", targets)] {
            if let Some((i, x)) = values.iter().enumerate().find(|&(_, &x)| !x.into().is_finite()) {
                return Err(Error::argument(&format!("element {i} of the {argument}"), "a finite number", x));
            }
        }
        let square = |(&p, &t): (&T, &T)| {
            let distance: f64 = p.into() - t.into();
            distance * distance
        };
        let squares = predictions.iter().zip(targets).map(square);
        Ok((squares.sum::<f64>() / targets.len() as f64).sqrt())
    })
}

/// The entropy -sum_c p_c log p_c of each row, in nats. Of the mean prediction over posterior samples it is the total
/// uncertainty, from 0 to the logarithm of the number of classes.
///
/// ```
/// use bayeslift_layers::metrics::predictive_entropy;
/// let entropy = predictive_entropy(&[0.5, 0.5, 1.0, 0.0], 2)?;
/// assert!((entropy[0] - 2_f64.ln()).abs() < 1e-12);
/// assert_eq!(entropy[1], 0.0);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self).
pub fn predictive_entropy(probabilities: &[f32], classes: usize) -> Result<Vec<f64>, Error> {
    let _environment = Environment::enter();
    check_probabilities(probabilities, classes)?;
    Ok(probabilities.chunks_exact(classes).map(|row| entropy(row.iter().map(|&p| f64::from(p)))).collect())
}

/// The mutual information of label and weights for each row, in nats: the entropy of the mean prediction minus the
/// mean entropy of the `samples` predictions. It is the part of the uncertainty that more data would remove (Houlsby
/// and others 2011).
///
/// ```
/// use bayeslift_layers::metrics::mutual_information;
/// // Two samples that are each sure, of different classes: all uncertainty is about the weights.
/// let information = mutual_information(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// assert!((information[0] - 2_f64.ln()).abs() < 1e-12);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for the [module](self); a number of rows that is no multiple of the number of samples.
pub fn mutual_information(probabilities: &[f32], samples: usize, classes: usize) -> Result<Vec<f64>, Error> {
    let _environment = Environment::enter();
    check_probabilities(probabilities, classes)?;
    let all = probabilities.len() / classes;
    if samples == 0 || !all.is_multiple_of(samples) {
        return Err(Error::argument(
            "the number of samples",
            format!("a divisor of {all}, the number of rows"),
            samples,
        ));
    }
    let rows = all / samples;
    let element = |sample: usize, row: usize, c: usize| f64::from(probabilities[(sample * rows + row) * classes + c]);
    let of_row = |row: usize| {
        let mean = |c| (0..samples).map(|s| element(s, row, c)).sum::<f64>() / samples as f64;
        let each = (0..samples).map(|s| entropy((0..classes).map(|c| element(s, row, c)))).sum::<f64>();
        not_negative(entropy((0..classes).map(mean)) - each / samples as f64)
    };
    Ok((0..rows).map(of_row).collect())
}

fn entropy(probabilities: impl Iterator<Item = f64>) -> f64 {
    not_negative(probabilities.filter(|&p| p > 0.0).map(|p| -p * natural_log(p)).sum())
}

/// What is not negative but for rounding, without the sign that 0 may have. What is not a number stays so.
fn not_negative(x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { x }
}

/// The first of the most probable classes, and its probability.
fn best(row: &[f32]) -> (usize, f32) {
    row.iter().copied().enumerate().fold((0, f32::MIN), |best, (c, p)| if p > best.1 { (c, p) } else { best })
}

/// Rows with their labels, after the checks.
fn labelled<'a>(
    probabilities: &'a [f32],
    classes: usize,
    labels: &'a [u32],
) -> Result<impl Iterator<Item = (&'a [f32], usize)>, Error> {
    labelled_if(|_| true, probabilities, classes, labels)
}

/// As [`labelled`], where only these rows need to be probabilities.
fn labelled_if<'a>(
    is_checked: impl Fn(&[f32]) -> bool,
    probabilities: &'a [f32],
    classes: usize,
    labels: &'a [u32],
) -> Result<impl Iterator<Item = (&'a [f32], usize)>, Error> {
    check_probabilities_if(is_checked, probabilities, classes)?;
    check_length("labels", labels.len(), "one for each row", probabilities.len() / classes)?;
    if let Some((i, &label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
        return Err(Error::argument(
            &format!("label {i}"),
            format!("a number below {classes}, the number of classes"),
            label,
        ));
    }
    Ok(probabilities.chunks_exact(classes).zip(labels.iter().map(|&label| label as usize)))
}

/// How far the sum of a row may be from 1: wide enough for sums of many rounded numbers, too narrow for logits.
const SUM_TOLERANCE: f64 = 1e-3;
/// The most bins of a calibration: beyond what data can fill.
const MOST_BINS: usize = 1 << 20;

fn check_probabilities(probabilities: &[f32], classes: usize) -> Result<(), Error> {
    check_probabilities_if(|_| true, probabilities, classes)
}

fn check_probabilities_if(
    is_checked: impl Fn(&[f32]) -> bool,
    probabilities: &[f32],
    classes: usize,
) -> Result<(), Error> {
    if classes == 0 {
        return Err(Error::argument("the number of classes", "at least 1", classes));
    }
    if probabilities.is_empty() || !probabilities.len().is_multiple_of(classes) {
        let expected = format!("a multiple of {classes} above 0: {classes} for each row");
        return Err(Error::argument("the number of probabilities", expected, probabilities.len()));
    }
    for (i, row) in probabilities.chunks_exact(classes).enumerate().filter(|(_, row)| is_checked(row)) {
        if let Some(p) = row.iter().find(|&&p| !(-1e-6..=1.0 + 1e-5).contains(&p)) {
            return Err(Error::argument(&format!("a probability of row {i}"), "a number from 0 to 1", p));
        }
        let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(Error::argument(
                &format!("the sum of the probabilities of row {i}"),
                "1; logits need a softmax first",
                sum,
            ));
        }
    }
    Ok(())
}

fn check_length(argument: &str, found: usize, expected: &str, length: usize) -> Result<(), Error> {
    if found == 0 {
        return Err(Error::argument(&format!("the number of {argument}"), "at least 1", found));
    }
    if found != length {
        return Err(Error::argument(&format!("the number of {argument}"), format!("{length}, {expected}"), found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classification_metrics_by_hand() {
        let probabilities = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.3, 0.4];
        let labels = [0, 1, 0];
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-7, "{got} {want}");
        close(accuracy(&probabilities, 3, &labels).unwrap(), 2.0 / 3.0);
        let nll = -(0.7_f64.ln() + 0.8_f64.ln() + 0.3_f64.ln()) / 3.0;
        close(negative_log_likelihood(&probabilities, 3, &labels).unwrap(), nll);
        close(brier_score(&probabilities, 3, &labels).unwrap(), (0.14 + 0.06 + (0.49 + 0.09 + 0.16)) / 3.0);
        let calibration = calibration(&probabilities, 3, &labels, CALIBRATION_BINS).unwrap();
        close(calibration.expected_error, (0.3 + 0.2 + 0.4) / 3.0);
        assert_eq!(calibration.bins.len(), 15);
        assert_eq!(calibration.bins.iter().map(|bin| bin.count).sum::<usize>(), 3);
        assert_eq!(calibration.bins[10].count, 1); // 0.7 lies in (10/15, 11/15]
        close(predictive_entropy(&[0.5, 0.5], 2).unwrap()[0], 2_f64.ln());
        close(root_mean_square_error(&[1.0, 3.0], &[0.0, 1.0]).unwrap(), 2.5_f64.sqrt());
        assert_eq!(negative_log_likelihood(&[0.0, 1.0], 2, &[0]).unwrap(), f64::INFINITY);
        assert_eq!(mutual_information(&[0.5, 0.5, 0.5, 0.5], 2, 2).unwrap(), [0.0]);
        // a row without a prediction is wrong, whatever its label
        let with_none = [f32::NAN, f32::NAN, 0.9, 0.1];
        assert_eq!([0, 1].map(|label| accuracy(&with_none, 2, &[label, 0]).unwrap()), [0.5; 2]);
    }

    #[test]
    fn certainty_is_zero_without_a_sign() {
        let of = |probabilities: &[f32]| -> Vec<u64> {
            let (entropy, none) =
                (predictive_entropy(probabilities, 2).unwrap(), predictive_entropy(&[0.0, 1.0], 2).unwrap());
            let information = mutual_information(probabilities, 1, 2).unwrap();
            entropy.into_iter().chain(none).chain(information).map(f64::to_bits).collect()
        };
        assert_eq!(of(&[1.0, 0.0]), [0; 3]);
        // beyond 1 by rounding
        assert_eq!(of(&[1.0 + 1e-6, 0.0]), [0; 3]);
        assert_eq!(negative_log_likelihood(&[1.0, 0.0], 2, &[0]).unwrap().to_bits(), 0);
    }

    #[test]
    fn edges_of_bins_belong_below_and_ties_to_the_first_class() {
        let calibration = calibration(&[0.5, 0.5, 0.25, 0.75, 1.0, 0.0], 2, &[0, 0, 1], 4).unwrap();
        let of_bins = |of: fn(&CalibrationBin) -> f64| calibration.bins.iter().map(of).collect::<Vec<_>>();
        assert_eq!(of_bins(|bin| bin.count as f64), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(of_bins(|bin| bin.accuracy), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(accuracy(&[0.4, 0.2, 0.4], 3, &[0]).unwrap(), 1.0);
        assert_eq!(accuracy(&[0.4, 0.2, 0.4], 3, &[2]).unwrap(), 0.0);
    }

    /// Samples that agree tell nothing of each other, whatever rounding says.
    #[test]
    fn mutual_information_is_not_negative() {
        for i in 1..200 {
            let p = i as f32 / 400.0;
            let row = [p, 0.5 - p, 0.5];
            for samples in [1, 3, 5, 7] {
                let found = mutual_information(&row.repeat(samples), samples, 3).unwrap();
                assert!(found.len() == 1 && (0.0..1e-12).contains(&found[0]), "{found:?} of {samples} times {row:?}");
            }
        }
    }

    #[test]
    fn bad_input_is_an_error() {
        let check = |result: Result<f64, Error>, message: &str| assert_eq!(result.unwrap_err().to_string(), message);
        check(
            accuracy(&[], 2, &[]),
            "the number of probabilities is 0, expected a multiple of 2 above 0: 2 for each row",
        );
        check(accuracy(&[0.5, 0.5], 0, &[0]), "the number of classes is 0, expected at least 1");
        check(
            accuracy(&[0.5, 0.5, 1.0], 2, &[0]),
            "the number of probabilities is 3, expected a multiple of 2 above 0: 2 for each row",
        );
        check(accuracy(&[0.5, 0.5], 2, &[2]), "label 0 is 2, expected a number below 2, the number of classes");
        check(brier_score(&[0.5, 0.5], 2, &[0, 1]), "the number of labels is 2, expected 1, one for each row");
        check(accuracy(&[0.5, f32::NAN], 2, &[0]), "a probability of row 0 is NaN, expected a number from 0 to 1");
        let none = "a probability of row 0 is NaN, expected a number from 0 to 1";
        check(negative_log_likelihood(&[f32::NAN; 2], 2, &[0]), none);
        check(brier_score(&[f32::NAN; 2], 2, &[0]), none);
        assert_eq!(calibration(&[f32::NAN; 2], 2, &[0], 3).unwrap_err().to_string(), none);
        assert_eq!(predictive_entropy(&[f32::NAN; 2], 2).unwrap_err().to_string(), none);
        let logits =
            "the sum of the probabilities of row 0 is 1.199999988079071, expected 1; logits need a softmax first";
        check(accuracy(&[0.5, 0.7], 2, &[0]), logits);
        check(root_mean_square_error::<f32>(&[], &[]), "the number of predictions is 0, expected at least 1");
        check(root_mean_square_error(&[1.0], &[f32::NAN]), "element 0 of the targets is NaN, expected a finite number");
        let bins = calibration(&[1.0], 1, &[0], 0).unwrap_err().to_string();
        assert_eq!(bins, "the number of bins is 0, expected a number from 1 to 1048576");
        assert!(calibration(&[1.0], 1, &[0], usize::MAX).is_err());
        // below 0 by rounding
        assert_eq!(negative_log_likelihood(&[-1e-7, 1.0], 2, &[0]).unwrap(), f64::INFINITY);
        let samples = mutual_information(&[1.0; 3], 2, 1).unwrap_err().to_string();
        assert_eq!(samples, "the number of samples is 2, expected a divisor of 3, the number of rows");
    }
}
