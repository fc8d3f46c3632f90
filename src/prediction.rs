//! What predictions are.

use crate::{Float, predictor::Answers};

/// What a network predicts of rows, of whichever kind its targets are: see
/// [`Predictor::answer_from`](crate::Predictor::answer_from).
///
/// ```
/// use bayeslift::{Answer, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// match Predictor::new(&network)?.answer_from(0, &[0.1, 0.2])? {
///     Answer::Classes(classes) => println!("class {:?}", classes.labels()[0]),
///     Answer::Numbers(numbers) => println!("{} ± {}", numbers.mean()[0], numbers.total()[0]),
/// }
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T = f32> {
    /// Classes with their probabilities.
    Classes(Classification<T>),
    /// Numbers with their standard deviations.
    Numbers(Regression<T>),
}

/// Predictions of classes, with the uncertainty of each row and its parts, in nats; as `f32` or `f64`.
///
/// With p_s the probabilities of posterior sample s and H the entropy: probabilities are the mean of the p_s, the
/// predictive entropy is H(mean of the p_s), the expected entropy the mean of the H(p_s), and the mutual information of
/// label and weights the first less the second (Houlsby and others 2011).
///
/// Where a row has several labels, one at each of its positions or several of yes and no, there is all of this for each
/// of them, one after the other: see [`labels_of_a_row`](Classification::labels_of_a_row).
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let prediction = Predictor::new(&network)?.classify(&[0.1, 0.2, 30.0, -30.0])?; // two rows
/// assert_eq!((prediction.rows(), prediction.labels_of_a_row(), prediction.classes()), (2, 1, 3));
/// assert_eq!((prediction.probabilities().len(), prediction.row(1).len()), (6, 3));
/// assert!((prediction.row(0).iter().sum::<f32>() - 1.0).abs() < 1e-6);
///
/// let (class, probability) = prediction.ranking(0)[0]; // the most probable class of the first row
/// assert_eq!((Some(class as u32), probability), (prediction.labels()[0], prediction.row(0)[class]));
/// // what is not known, in nats: all of it, the data's part of it, and the weights'
/// let [all, data] = [prediction.predictive_entropy()[1], prediction.expected_entropy()[1]];
/// assert!((all - data - prediction.mutual_information()[1]).abs() < 1e-6);
/// # Ok::<(), bayeslift::Error>(())
/// ```
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

    /// The number of rows that were asked about.
    pub fn rows(&self) -> usize {
        self.predictive_entropy.len() / self.labels.max(1)
    }

    /// The number of classes, 2 for labels of yes and no: how many probabilities a label has.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many labels a row has: 1, or the number of its positions, or that of answers of yes and no.
    pub fn labels_of_a_row(&self) -> usize {
        self.labels
    }

    /// The mean over samples of the probabilities, `[rows, labels, classes]`, row after row.
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

    /// The entropy of the mean prediction, in nats, `[rows, labels]`: the total uncertainty.
    pub fn predictive_entropy(&self) -> &[T] {
        &self.predictive_entropy
    }

    /// The mean of the samples' entropies, in nats, `[rows, labels]`: the part of the uncertainty that lies in the
    /// data.
    pub fn expected_entropy(&self) -> &[T] {
        &self.expected_entropy
    }

    /// The mutual information of label and weights, in nats, `[rows, labels]`, the difference of the two: the part that
    /// more data would remove. It is that of the samples, and 0 of a single one, which differs from none.
    pub fn mutual_information(&self) -> &[T] {
        &self.mutual_information
    }
}

/// Predictions of numbers, with their standard deviations, in the unit of the targets, as `f32` or `f64`.
///
/// All are `[rows, units]`, row after row. Of a number whose law has mean m_s and variance v_s in posterior sample s of
/// S, by the law of total variance:
///
/// - mean: the mean of the m_s,
/// - aleatoric^2: the mean of the v_s, the noise in the data,
/// - epistemic^2: the variance of the m_s, with S - 1, what is not known of the weights,
/// - total^2: the sum of both.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let prediction = Predictor::new(&network)?.regress(&[0.1, 0.2, -1.0, 0.0])?;
/// assert_eq!((prediction.rows(), prediction.units()), (2, 1));
/// assert!((prediction.aleatoric()[1] - 0.5).abs() < 1e-6);
/// assert!(prediction.total()[1] > prediction.epistemic()[1]);
/// # Ok::<(), bayeslift::Error>(())
/// ```
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

    /// How many numbers a row has, at all of its positions.
    pub fn units(&self) -> usize {
        self.units
    }

    /// The mean of the predictive distribution, `[rows, units]`.
    pub fn mean(&self) -> &[T] {
        &self.mean
    }

    /// The standard deviation of the noise in the data, which the likelihood describes, `[rows, units]`; `NaN` where
    /// the likelihood's law has no variance.
    pub fn aleatoric(&self) -> &[T] {
        &self.aleatoric
    }

    /// The standard deviation of the mean over the posterior, `[rows, units]`: what more data would remove. It is
    /// estimated from the samples, of the variance with S - 1 for S samples, which has no bias: of one sample there is
    /// none, and it is `NaN`. A network that draws nothing has 0.
    pub fn epistemic(&self) -> &[T] {
        &self.epistemic
    }

    /// The standard deviation of the predictive distribution, `[rows, units]`: the root of aleatoric^2 + epistemic^2,
    /// `NaN` where one of them is.
    pub fn total(&self) -> &[T] {
        &self.total
    }
}
