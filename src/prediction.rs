//! What predictions are.

use crate::{Float, predictor::Answers};

/// What a network predicts of rows: see [`Predictor::answer_from`](crate::Predictor::answer_from).
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T = f32> {
    /// Classes with their probabilities.
    Classes(Classification<T>),
    /// Numbers with their standard deviations.
    Numbers(Regression<T>),
}

/// Predictions of classes, with the uncertainty of each row and its parts, in nats; in `f32`, or `f64`.
///
/// Where a row has several labels, one at each of its positions or several of yes and no, there is all of this for each
/// of them, one after the other: see [`labels_of_a_row`](Classification::labels_of_a_row).
#[derive(Clone, Debug, PartialEq)]
pub struct Classification<T = f32> {
    classes: usize,
    labels: usize,
    probabilities: Vec<T>,
    predictive_entropy: Vec<T>,
    expected_entropy: Vec<T>,
    mutual_information: Vec<T>,
}

impl<T: Float> Classification<T> {
    /// Of the answers to what is asked of each row, if they tell of classes.
    pub(crate) fn of(answers: &mut Answers) -> Option<Classification<T>> {
        let labels = answers.width("predictive_entropy");
        let classes = answers.width("probabilities") / labels.max(1);
        Some(Classification {
            classes,
            labels,
            probabilities: answers.take("probabilities")?,
            predictive_entropy: answers.take("predictive_entropy")?,
            expected_entropy: answers.take("expected_entropy")?,
            mutual_information: answers.take("mutual_information")?,
        })
    }

    /// Of classes, labels of a row, probabilities, and the three entropies.
    pub(crate) fn of_parts(
        (classes, labels): (usize, usize),
        probabilities: Vec<T>,
        [predictive_entropy, expected_entropy, mutual_information]: [Vec<T>; 3],
    ) -> Self {
        Classification { classes, labels, probabilities, predictive_entropy, expected_entropy, mutual_information }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.predictive_entropy.len() / self.labels.max(1)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many labels a row has: 1, or the number of its positions, or that of answers of yes and no.
    pub fn labels_of_a_row(&self) -> usize {
        self.labels
    }

    /// The mean over samples of the probabilities, row after row.
    pub fn probabilities(&self) -> &[T] {
        &self.probabilities
    }

    /// The probabilities of one row, of all of its labels.
    ///
    /// # Panics
    /// A row beyond the end, as for slices.
    pub fn row(&self, row: usize) -> &[T] {
        let width = self.labels * self.classes;
        &self.probabilities[row * width..][..width]
    }

    /// The most probable class of each label, the first of equals; none for a row without a prediction, which is there
    /// with [`PredictorOptions::allow_non_finite`](crate::PredictorOptions::allow_non_finite) only.
    pub fn labels(&self) -> Vec<Option<u32>> {
        (0..self.predictive_entropy.len()).map(|i| self.ranking(i).first().map(|&(class, _)| class as u32)).collect()
    }

    /// The classes of one label with their probabilities, most probable first; none if the row has no prediction. Of
    /// rows with one label, the number of a label is that of its row.
    ///
    /// # Panics
    /// A label beyond the end, as for slices.
    pub fn ranking(&self, label: usize) -> Vec<(usize, T)> {
        let probabilities = &self.probabilities[label * self.classes..][..self.classes];
        if probabilities.iter().any(|&p| p.into().is_nan()) {
            return Vec::new();
        }
        let mut ranking: Vec<(usize, T)> = probabilities.iter().copied().enumerate().collect();
        ranking.sort_by_key(|(_, p)| std::cmp::Reverse(p.order()));
        ranking
    }

    /// The entropy of the mean prediction of each row: the total uncertainty.
    pub fn predictive_entropy(&self) -> &[T] {
        &self.predictive_entropy
    }

    /// The mean of the samples' entropies of each row: the part of the uncertainty that lies in the data.
    pub fn expected_entropy(&self) -> &[T] {
        &self.expected_entropy
    }

    /// The mutual information of label and weights of each row, the difference of the two: the part that more data
    /// would remove. It is that of the samples, and 0 of a single one, which differs from none.
    pub fn mutual_information(&self) -> &[T] {
        &self.mutual_information
    }
}

/// Predictions of numbers, with their standard deviations, in `f32`, or `f64`. All are row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression<T = f32> {
    units: usize,
    mean: Vec<T>,
    aleatoric: Vec<T>,
    epistemic: Vec<T>,
    total: Vec<T>,
}

impl<T: Float> Regression<T> {
    /// Of the answers to what is asked of each row, if they tell of numbers.
    pub(crate) fn of(answers: &mut Answers) -> Option<Regression<T>> {
        let units = answers.width("mean");
        let mean = answers.take("mean")?;
        let mut spread = |name: &str| answers.take(name).unwrap_or_else(|| vec![T::NAN; mean.len()]);
        let [aleatoric, epistemic, total] = ["aleatoric", "epistemic", "total"].map(&mut spread);
        Some(Regression { units, mean, aleatoric, epistemic, total })
    }

    /// With what a standardizer makes of them.
    pub(crate) fn new(units: usize, mean: Vec<T>, [aleatoric, epistemic, total]: [Vec<T>; 3]) -> Self {
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
    pub fn mean(&self) -> &[T] {
        &self.mean
    }

    /// The standard deviation of the noise in the data, which the likelihood describes.
    pub fn aleatoric(&self) -> &[T] {
        &self.aleatoric
    }

    /// The standard deviation of the mean over the posterior: what more data would remove. It is estimated from the
    /// samples, of the variance with S - 1 for S samples, which has no bias: of one sample there is none, and it is
    /// `NaN`. A network that draws nothing has 0.
    pub fn epistemic(&self) -> &[T] {
        &self.epistemic
    }

    /// The standard deviation of the predictive distribution, the root of the sum of both squares; `NaN` where one is.
    pub fn total(&self) -> &[T] {
        &self.total
    }
}
