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

    /// The most probable class of each row, the first of equals; none for a row without a prediction, which is there with
    /// [`PredictorOptions::allow_non_finite`](crate::PredictorOptions::allow_non_finite) only.
    pub fn labels(&self) -> Vec<Option<u32>> {
        (0..self.rows()).map(|row| self.ranking(row).first().map(|&(class, _)| class as u32)).collect()
    }

    /// The classes of one row with their probabilities, most probable first; none if the row has no prediction.
    ///
    /// # Panics
    /// A row beyond the end, as for slices.
    pub fn ranking(&self, row: usize) -> Vec<(usize, f32)> {
        if self.row(row).iter().any(|p| p.is_nan()) {
            return Vec::new();
        }
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
    /// would remove. It is that of the samples, and 0 of a single one, which differs from none.
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

    /// The standard deviation of the mean over the posterior: what more data would remove. It is estimated from the samples,
    /// of the variance with S - 1 for S samples, which has no bias: of one sample there is none, and it is `NaN`. A network
    /// that draws nothing has 0.
    pub fn epistemic(&self) -> &[f32] {
        &self.epistemic
    }

    /// The standard deviation of the predictive distribution, the root of the sum of both squares; `NaN` where one is.
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

/// What is added up over the samples of rows. In `f64` and in the order of the samples, so that the split of samples and
/// rows into blocks does not matter.
pub(crate) trait Sums {
    /// Adds a sample of a row, by a block's outputs.
    fn add(&mut self, row: Row, outputs: &[&[f32]]);

    /// Forgets the samples of a row.
    fn clear(&mut self, row: usize);

    /// Whether all that will be reported of a row is.
    fn is_finite(&self, row: usize) -> bool;

    /// Makes all that will be reported of a row no numbers.
    fn give_up(&mut self, row: usize);
}

/// Sums for [`Classification`].
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

    fn probabilities(&mut self, row: usize) -> &mut [f64] {
        &mut self.probabilities[row * self.classes..][..self.classes]
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
            let total: f64 = mean().filter(|&p| p != 0.0).map(|p| -p * log(p)).sum();
            let expected = entropy / samples;
            result.probabilities.extend(mean().map(|p| p as f32));
            result.predictive_entropy.push(not_negative(total));
            result.expected_entropy.push(not_negative(expected));
            result.mutual_information.push(not_negative(total - expected));
        }
        result
    }
}

/// What is not negative but for rounding, without the sign that 0 may have. What is not a number stays so: nobody is to take
/// it for certain.
fn not_negative(x: f64) -> f32 {
    if x <= 0.0 { 0.0 } else { x as f32 }
}

impl Sums for ClassificationSums {
    /// By probabilities and their entropy.
    fn add(&mut self, row: Row, outputs: &[&[f32]]) {
        let (probabilities, entropy) = (&outputs[0][row.values(self.classes)], outputs[1][row.at]);
        self.samples[row.number] += 1;
        self.probabilities(row.number).iter_mut().zip(probabilities).for_each(|(sum, &p)| *sum += f64::from(p));
        self.entropy[row.number] += f64::from(entropy);
    }

    fn clear(&mut self, row: usize) {
        (self.samples[row], self.entropy[row]) = (0, 0.0);
        self.probabilities(row).fill(0.0);
    }

    fn is_finite(&self, row: usize) -> bool {
        let probabilities = &self.probabilities[row * self.classes..][..self.classes];
        self.entropy[row].is_finite() && probabilities.iter().all(|p| p.is_finite())
    }

    fn give_up(&mut self, row: usize) {
        self.entropy[row] = f64::NAN;
        self.probabilities(row).fill(f64::NAN);
    }
}

/// Sums for [`Regression`], by Welford's recurrence.
pub(crate) struct RegressionSums {
    units: usize,
    /// Whether samples are drawn. If not, they are all the same, and there is only one.
    draws: bool,
    samples: Vec<u64>,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
    scale: Vec<f64>,
}

impl RegressionSums {
    pub fn new(rows: usize, units: usize, draws: bool) -> Self {
        let zeros = vec![0.0; rows * units];
        RegressionSums {
            units,
            draws,
            samples: vec![0; rows],
            mean: zeros.clone(),
            squares: zeros.clone(),
            scale: zeros,
        }
    }

    fn units(&self, row: usize) -> std::ops::Range<usize> {
        row * self.units..(row + 1) * self.units
    }

    /// The variance of element `i`, without bias: not a number of one sample, which says nothing of it.
    fn variance(&self, i: usize) -> f64 {
        match self.samples[i / self.units] {
            _ if !self.draws && !self.mean[i].is_nan() => 0.0,
            0 | 1 => f64::NAN,
            samples => self.squares[i] / (samples - 1) as f64,
        }
    }

    fn total(&self, i: usize) -> f64 {
        (self.variance(i) + self.scale[i] * self.scale[i]).sqrt()
    }

    pub fn finish(self) -> Regression {
        let each = |of: &dyn Fn(usize) -> f64| (0..self.mean.len()).map(|i| of(i) as f32).collect::<Vec<f32>>();
        let aleatoric = each(&|i| if self.mean[i].is_nan() { f64::NAN } else { self.scale[i] });
        let epistemic = each(&|i| self.variance(i).sqrt());
        let total = each(&|i| self.total(i));
        Regression::new(self.units, each(&|i| self.mean[i]), [aleatoric, epistemic, total])
    }
}

impl Sums for RegressionSums {
    /// By means, and scales that all samples share.
    fn add(&mut self, row: Row, outputs: &[&[f32]]) {
        let [means, scales] = [0, 1].map(|i| &outputs[i][row.values(self.units)]);
        self.samples[row.number] += 1;
        let samples = self.samples[row.number] as f64;
        let at = row.number * self.units;
        for (unit, (&x, &scale)) in means.iter().zip(scales).enumerate() {
            self.scale[at + unit] = f64::from(scale);
            let (mean, squares) = (&mut self.mean[at + unit], &mut self.squares[at + unit]);
            let before = f64::from(x) - *mean;
            *mean += before / samples;
            *squares += before * (f64::from(x) - *mean);
        }
    }

    fn clear(&mut self, row: usize) {
        let units = self.units(row);
        self.samples[row] = 0;
        self.mean[units.clone()].fill(0.0);
        self.squares[units].fill(0.0);
    }

    fn is_finite(&self, row: usize) -> bool {
        let is_finite = |x: f64| (x as f32).is_finite();
        // One sample has no spread, and need not have one.
        let has_spread = !self.draws || self.samples[row] > 1;
        let mut units = self.units(row);
        units.all(|i| is_finite(self.scale[i]) && is_finite(self.mean[i]) && (!has_spread || is_finite(self.total(i))))
    }

    fn give_up(&mut self, row: usize) {
        let units = self.units(row);
        self.mean[units.clone()].fill(f64::NAN);
        self.squares[units].fill(f64::NAN);
    }
}

/// Sums for log likelihoods.
pub(crate) struct LikelihoodSums(Vec<LogMeanExp>);

impl LikelihoodSums {
    pub fn new(rows: usize) -> Self {
        LikelihoodSums(vec![LogMeanExp::default(); rows])
    }

    pub fn finish(self) -> Vec<f64> {
        self.0.iter().map(LogMeanExp::finish).collect()
    }
}

impl Sums for LikelihoodSums {
    /// By log likelihoods.
    fn add(&mut self, row: Row, outputs: &[&[f32]]) {
        self.0[row.number].add(outputs[0][row.at]);
    }

    fn clear(&mut self, row: usize) {
        self.0[row] = LogMeanExp::default();
    }

    /// A density may be 0.
    fn is_finite(&self, row: usize) -> bool {
        self.0[row].finish() < f64::INFINITY
    }

    fn give_up(&mut self, row: usize) {
        self.0[row].add(f32::NAN);
    }
}

/// The logarithm of a mean of exponentials, one after the other.
#[derive(Clone, Copy, Debug)]
struct LogMeanExp {
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
    fn add(&mut self, x: f32) {
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

    fn finish(&self) -> f64 {
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
