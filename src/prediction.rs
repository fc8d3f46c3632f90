//! What predictions are, and how they are added up over samples.

// Pure arithmetic, so the bits are the same on every machine, which the standard library's need not be.
use libm::{exp, log};

/// Predictions of classes, with the uncertainty of each row and its parts, in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    classes: usize,
    probabilities: Vec<f32>,
    predictive_entropy: Vec<f32>,
    expected_entropy: Vec<f32>,
    mutual_information: Vec<f32>,
}

impl Classification {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.predictive_entropy.len()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The mean over samples of the probabilities, row after row.
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The probabilities of one row.
    ///
    /// # Panics
    /// A row beyond the end, as for slices.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.probabilities[row * self.classes..][..self.classes]
    }

    /// The most probable class of each row; the first of equals.
    pub fn labels(&self) -> Vec<u32> {
        (0..self.rows()).map(|row| self.ranking(row)[0].0 as u32).collect()
    }

    /// The classes of one row with their probabilities, most probable first.
    ///
    /// # Panics
    /// A row beyond the end, as for slices.
    pub fn ranking(&self, row: usize) -> Vec<(usize, f32)> {
        let mut ranking: Vec<(usize, f32)> = self.row(row).iter().copied().enumerate().collect();
        ranking.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ranking
    }

    /// The entropy of the mean prediction of each row: the total uncertainty.
    pub fn predictive_entropy(&self) -> &[f32] {
        &self.predictive_entropy
    }

    /// The mean of the samples' entropies of each row: the part of the uncertainty that lies in the data.
    pub fn expected_entropy(&self) -> &[f32] {
        &self.expected_entropy
    }

    /// The mutual information of label and weights of each row, the difference of the two: the part that more data
    /// would remove.
    pub fn mutual_information(&self) -> &[f32] {
        &self.mutual_information
    }
}

/// Predictions of numbers, with their standard deviations. All are row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    units: usize,
    mean: Vec<f32>,
    aleatoric: Vec<f32>,
    epistemic: Vec<f32>,
    total: Vec<f32>,
}

impl Regression {
    /// Means, with aleatoric, epistemic and total standard deviations.
    pub(crate) fn new(units: usize, mean: Vec<f32>, [aleatoric, epistemic, total]: [Vec<f32>; 3]) -> Self {
        Regression { units, mean, aleatoric, epistemic, total }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.mean.len() / self.units
    }

    /// The number of numbers that a row has.
    pub fn units(&self) -> usize {
        self.units
    }

    /// The mean of the predictive distribution.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation of the noise in the data, which the likelihood describes.
    pub fn aleatoric(&self) -> &[f32] {
        &self.aleatoric
    }

    /// The standard deviation of the samples' means: what more data would remove.
    pub fn epistemic(&self) -> &[f32] {
        &self.epistemic
    }

    /// The standard deviation of the predictive distribution, the root of the sum of both squares.
    pub fn total(&self) -> &[f32] {
        &self.total
    }
}

/// A sample of a row: the row's number in the call, and where it is in a block's outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub number: usize,
    pub at: usize,
}

impl Row {
    /// Where its values are, if a row has this many.
    pub fn values(self, units: usize) -> std::ops::Range<usize> {
        self.at * units..(self.at + 1) * units
    }
}

/// Sums over samples for [`Classification`]. In `f64` and in the order of the samples, so that the split of samples and
/// rows into blocks does not matter.
pub(crate) struct ClassificationSums {
    classes: usize,
    samples: Vec<u64>,
    probabilities: Vec<f64>,
    entropy: Vec<f64>,
}

impl ClassificationSums {
    pub fn new(rows: usize, classes: usize) -> Self {
        ClassificationSums {
            classes,
            samples: vec![0; rows],
            probabilities: vec![0.0; rows * classes],
            entropy: vec![0.0; rows],
        }
    }

    pub fn add(&mut self, row: Row, probabilities: &[f32], entropy: f32) {
        self.samples[row.number] += 1;
        let sums = &mut self.probabilities[row.number * self.classes..][..self.classes];
        sums.iter_mut().zip(probabilities).for_each(|(sum, &p)| *sum += f64::from(p));
        self.entropy[row.number] += f64::from(entropy);
    }

    pub fn finish(self) -> Classification {
        let mut result = Classification {
            classes: self.classes,
            probabilities: Vec::with_capacity(self.probabilities.len()),
            predictive_entropy: Vec::new(),
            expected_entropy: Vec::new(),
            mutual_information: Vec::new(),
        };
        let rows = self.probabilities.chunks_exact(self.classes).zip(self.entropy);
        for ((sums, entropy), samples) in rows.zip(self.samples) {
            let samples = samples as f64;
            let mean = || sums.iter().map(|sum| sum / samples);
            // What is not a number stays so: nobody is to take it for certain.
            let total: f64 = mean().filter(|&p| p != 0.0).map(|p| -p * log(p)).sum();
            let expected = entropy / samples;
            result.probabilities.extend(mean().map(|p| p as f32));
            result.predictive_entropy.push(total as f32);
            result.expected_entropy.push(expected as f32);
            // Not negative but for rounding.
            let information = total - expected;
            result.mutual_information.push(if information < 0.0 { 0.0 } else { information as f32 });
        }
        result
    }
}

/// Sums over samples for [`Regression`], by Welford's recurrence; see [`ClassificationSums`].
pub(crate) struct RegressionSums {
    units: usize,
    samples: Vec<u64>,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
    scale: f64,
}

impl RegressionSums {
    pub fn new(rows: usize, units: usize) -> Self {
        let zeros = vec![0.0; rows * units];
        RegressionSums { units, samples: vec![0; rows], mean: zeros.clone(), squares: zeros, scale: 0.0 }
    }

    pub fn add(&mut self, row: Row, means: &[f32], scale: f32) {
        self.scale = f64::from(scale);
        self.samples[row.number] += 1;
        let samples = self.samples[row.number] as f64;
        let at = row.number * self.units;
        for (unit, &x) in means.iter().enumerate() {
            let (mean, squares) = (&mut self.mean[at + unit], &mut self.squares[at + unit]);
            let before = f64::from(x) - *mean;
            *mean += before / samples;
            *squares += before * (f64::from(x) - *mean);
        }
    }

    pub fn finish(self) -> Regression {
        let variance = |i: usize| self.squares[i] / self.samples[i / self.units] as f64;
        let each = |of: &dyn Fn(usize) -> f64| (0..self.mean.len()).map(|i| of(i) as f32).collect::<Vec<f32>>();
        let aleatoric = each(&|_| self.scale);
        let epistemic = each(&|i| variance(i).sqrt());
        let total = each(&|i| (variance(i) + self.scale * self.scale).sqrt());
        Regression::new(self.units, each(&|i| self.mean[i]), [aleatoric, epistemic, total])
    }
}

/// The logarithm of a mean of exponentials, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMeanExp {
    count: u64,
    max: f32,
    /// The sum of e^(x - max).
    sum: f64,
}

impl Default for LogMeanExp {
    fn default() -> Self {
        LogMeanExp { count: 0, max: f32::NEG_INFINITY, sum: 0.0 }
    }
}

impl LogMeanExp {
    pub fn add(&mut self, x: f32) {
        self.count += 1;
        if x.is_nan() {
            self.sum = f64::NAN;
        } else if x > self.max {
            self.sum = if self.sum == 0.0 { 1.0 } else { self.sum * exp(f64::from(self.max) - f64::from(x)) + 1.0 };
            self.max = x;
        } else if x > f32::NEG_INFINITY {
            self.sum += exp(f64::from(x) - f64::from(self.max));
        }
    }

    pub fn finish(&self) -> f64 {
        if self.sum == 0.0 {
            return f64::NEG_INFINITY;
        }
        f64::from(self.max) + log(self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_mean_exp_by_hand() {
        let of = |xs: &[f32]| {
            let mut sums = LogMeanExp::default();
            xs.iter().for_each(|&x| sums.add(x));
            sums.finish()
        };
        assert_eq!(of(&[-3.0]), -3.0);
        assert_eq!(of(&[f32::NEG_INFINITY]), f64::NEG_INFINITY);
        assert!((of(&[0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]) + 2_f64.ln()).abs() < 1e-7);
        let want = ((-1000_f64 + 1000.0).exp() + (-1001_f64 + 1000.0).exp()).ln() - 2_f64.ln() - 1000.0;
        assert!((of(&[-1001.0, -1000.0]) - want).abs() < 1e-6);
        assert!((of(&[-1000.0, -1001.0]) - want).abs() < 1e-6);
        assert!(of(&[0.0, f32::NAN, 0.0]).is_nan());
    }
}
