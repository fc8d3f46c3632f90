//! Deciding on classes with as many samples as it takes: the loop over looks at sums that grow.

use super::{
    Predictor,
    answers::Answers,
    block::{Care, Memory, Pool},
    certainty::{Limits, limits},
    question::{CERTAIN, FIRST_LOOK, Question},
    rows::{Numbers, RowBlock},
    run::{Given, Rows},
};
use crate::{Abstention, Classification, Error, Float, Measure};
use bayeslift_ir::Environment;
use bayeslift_runtime::Argument;

/// How [`Predictor::decide`] decides: how seldom it may be wrong, how many samples it may take, when to abstain.
///
/// ```
/// use bayeslift::{Abstention, DecisionOptions, Measure};
///
/// let unsure = Abstention::new(Measure::PredictiveEntropy, 0.5)?; // nats
/// let options = DecisionOptions::new(0.01).most(1024).abstention(unsure);
/// assert_eq!((options.error, options.most), (0.01, 1024));
/// assert_eq!(options.abstention.map(|abstention| abstention.above()), Some(0.5));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecisionOptions {
    /// The probability that a decision on a row which is certain is wrong: at most that.
    pub error: f64,
    /// The most samples of a row; default: 4096.
    pub most: usize,
    /// When to abstain; default: never.
    pub abstention: Option<Abstention>,
}

impl DecisionOptions {
    /// With this probability of being wrong where the decision is certain, more than 0 and less than 1: what is not is
    /// refused by [`Predictor::decide`].
    pub fn new(error: f64) -> DecisionOptions {
        DecisionOptions { error, most: 4096, abstention: None }
    }

    /// With at most this many samples of a row, at least 1 and below 2^32; default: 4096.
    pub fn most(mut self, samples: usize) -> Self {
        self.most = samples;
        self
    }

    /// Abstaining so. By the predictive entropy, whether to abstain is part of what is decided.
    pub fn abstention(mut self, abstention: Abstention) -> Self {
        self.abstention = Some(abstention);
        self
    }

    fn check(&self) -> Result<(), Error> {
        check_error(self.error)?;
        if self.most == 0 || u32::try_from(self.most).is_err() {
            return Err(Error::argument("the most samples of a decision", "at least 1 and below 2^32", self.most));
        }
        match self.abstention.map(|abstention| abstention.measure()) {
            Some(measure @ Measure::Epistemic) => Err(measure.missing()),
            _ => Ok(()),
        }
    }
}

/// Whether an error is one that decisions can have.
pub fn check_error(error: f64) -> Result<(), Error> {
    if error > 0.0 && error < 1.0 {
        return Ok(());
    }
    Err(Error::argument("the error of decisions", "a probability between 0 and 1", error))
}

/// The predictive entropy above which one abstains, if one does by that.
pub fn entropy_above(abstention: Option<Abstention>) -> Option<f64> {
    abstention.filter(|abstention| abstention.measure() == Measure::PredictiveEntropy).map(|a| a.above())
}

/// Decisions on rows: see [`Predictor::decide`].
///
/// ```
/// use bayeslift::{DecisionOptions, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let decisions = Predictor::new(&network)?.decide(&[0.1, 0.2, 30.0, -30.0], &DecisionOptions::new(0.05).most(64))?;
/// assert_eq!(decisions.labels(), decisions.prediction().labels());
/// for (row, &samples) in decisions.samples().iter().enumerate() {
///     assert!(decisions.certain()[row] || samples == 64);
///     assert!(!decisions.abstains()[row]); // nobody asked for it
/// }
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions<T = f32> {
    prediction: Classification<T>,
    samples: Vec<usize>,
    certain: Vec<bool>,
    abstains: Vec<bool>,
}

impl<T: Float> Decisions<T> {
    /// The prediction by which it was decided: that of each row has the bits of [`Predictor::classify`] with as many
    /// samples as [`samples`](Decisions::samples) tells.
    pub fn prediction(&self) -> &Classification<T> {
        &self.prediction
    }

    /// The most probable class of each label, as [`Classification::labels`].
    pub fn labels(&self) -> Vec<Option<u32>> {
        self.prediction.labels()
    }

    /// How many posterior samples each row took, `[rows]`.
    pub fn samples(&self) -> &[usize] {
        &self.samples
    }

    /// For each label whether the decision is certain, but for the error that was asked for; where it is not, the row
    /// took the most samples.
    pub fn certain(&self) -> &[bool] {
        &self.certain
    }

    /// For each label whether to abstain, by the prediction; never, if no abstention was asked for.
    pub fn abstains(&self) -> &[bool] {
        &self.abstains
    }
}

/// The samples of a row before each look, and after it, up to `most`.
fn looks(most: usize) -> impl Iterator<Item = (usize, usize)> {
    let next = move |&(_, end): &(usize, usize)| (end < most).then(|| (end, (2 * end).min(most)));
    std::iter::successors(Some((0, FIRST_LOOK.min(most))), next)
}

impl Predictor {
    /// Decides on the class of each row, with as many samples as that takes: 16, and twice as many as long as the
    /// decision is not certain, up to [`most`](DecisionOptions::most). The options' number of samples does not count
    /// here.
    ///
    /// # What is certain
    /// The decision that infinitely many samples would make: the class whose mean probability over the posterior is the
    /// largest. Of each row, the probability - over the noise, and so over seeds - that a label is said to be certain
    /// and is not decided so is at most [`error`](DecisionOptions::error), for any number of classes and whatever the
    /// posterior. It is a bound, by the inequalities of Hoeffding and of Maurer and Pontil, which holds however often
    /// samples are looked at; decisions are mostly far less often wrong. It says nothing of how far the network is
    /// right.
    ///
    /// Where one abstains by the predictive entropy, the decision is to abstain, or else the class: certain is that the
    /// entropy of the mean probabilities is above the threshold, or that it is not and which class it is. That is told
    /// by bounds of the entropy, by the largest probability and by samples' entropies, which do not meet: rows whose
    /// entropy is close to the threshold may take all samples and stay undecided. Where one abstains by the mutual
    /// information, certain is the class alone.
    ///
    /// ```
    /// # use bayeslift::{DecisionOptions, prelude::*};
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let decisions = Predictor::new(&network)?.decide(&[3.0, -2.0], &DecisionOptions::new(0.01))?;
    /// println!("class {:?} by {} samples", decisions.labels()[0], decisions.samples()[0]);
    ///
    /// let options = PredictorOptions::default().samples(decisions.samples()[0]);
    /// let predicted = Predictor::with_options(&network, &options)?.classify(&[3.0, -2.0])?;
    /// assert_eq!(decisions.prediction(), &predicted);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::classify`]; options out of range.
    pub fn decide(&self, inputs: &[f32], options: &DecisionOptions) -> Result<Decisions, Error> {
        self.decide_from(0, inputs, options)
    }

    /// As [`Predictor::decide`], for the rows from number `first_row` on of a larger batch: see
    /// [`Predictor::classify_from`].
    ///
    /// # Errors
    /// As for [`Predictor::decide`].
    pub fn decide_from(&self, first_row: u64, inputs: &[f32], options: &DecisionOptions) -> Result<Decisions, Error> {
        self.decide_numbered(Numbers::From(first_row), inputs, options)
    }

    pub(super) fn decide_numbered<T: Float>(
        &self,
        numbers: Numbers<'_>,
        inputs: &[T],
        options: &DecisionOptions,
    ) -> Result<Decisions<T>, Error> {
        let _environment = Environment::enter();
        options.check()?;
        let told = self.told()?;
        let width = |name: &str| told.iter().find(|(known, _)| *known == name).map(|(_, width)| *width);
        let [labels, all] = ["predictive_entropy", "probabilities"].map(width);
        let (Some(labels), Some(all)) = (labels, all) else { return Err(self.tells_no_classes()) };
        let rows = self.rows(numbers, inputs)?;
        let count = rows.sizes.len();
        let any = self.blocks(Question::Decision).any(&self.model, &self.options, self.row_block(count))?;
        let mut decision = Decision {
            rows: &rows,
            limits: limits(options.error, (all / labels, labels), entropy_above(options.abstention)),
            most: if any.draws { options.most } else { 1 },
            taken: vec![0; count],
            certain: vec![false; count * labels],
        };
        let mut answers = Answers::new(any, options.most, count);
        self.carefully(&rows, any.bound, &mut answers, |care, left, answers| {
            self.decide_with(care, left, &mut decision, answers)
        })?;
        let Decision { taken: samples, certain, .. } = decision;
        let prediction = Classification::of(&mut answers).ok_or_else(|| self.tells_no_classes())?;
        let abstains = match &options.abstention {
            Some(abstention) => prediction.abstains(abstention)?,
            None => vec![false; certain.len()],
        };
        Ok(Decisions { prediction, samples, certain, abstains })
    }

    /// Decides on these rows with this care. Returns those that have nothing finite by it.
    fn decide_with(
        &self,
        care: Care,
        mut open: Vec<usize>,
        decision: &mut Decision<'_>,
        answers: &mut Answers,
    ) -> Result<Vec<usize>, Error> {
        let (blocks, numbers) = (self.blocks(Question::Decision), decision.rows.numbers);
        let mut sums = Sums::default();
        let mut without = Vec::new();
        for (look, (done, end)) in (1..).zip(looks(decision.most)) {
            let all = match care {
                Care::Plain => RowBlock::all(open, numbers, self.options.row_block),
                // which of the rows is not finite each of them shows alone
                _ => open.into_iter().map(|row| RowBlock::alone(row, numbers)).collect(),
            };
            open = Vec::new();
            for block in all {
                let of_block = || block.rows.iter().map(|&(_, row)| row);
                let pool = blocks.pool(&self.model, &self.options, block.size)?;
                let Some(compiled) = pool.with(care, &self.options.backend)? else {
                    without.extend(of_block());
                    continue;
                };
                let mut memory = pool.take(compiled)?;
                memory.clear(pool);
                sums.put(&block, pool, &mut memory);
                let given = Given::of(self, &block, decision.rows);
                let mut found = false;
                for first in (done..end).step_by(pool.at_once) {
                    let bounds = [[first as u32], [end as u32]];
                    found |= self.add(pool, compiled, &mut memory, &given, first, &bounds)?;
                }
                let numbers = [[end as u32], [look]];
                let limits = Argument::F64(&decision.limits);
                memory.finish(pool, numbers.iter().map(|number| Argument::U32(number)).chain([limits]))?;
                sums.take(&block, decision.taken.len(), &memory);
                answers.fill(&block, &memory);
                decision.note(&block, pool, &memory, end);
                compiled.put_back(memory);
                for row in of_block() {
                    if found || !answers.is_finite(row) {
                        decision.of_row(row).fill(false);
                        without.push(row);
                    } else if decision.of_row(row).contains(&false) {
                        open.push(row);
                    }
                }
            }
            if open.is_empty() {
                break;
            }
        }
        Ok(without)
    }
}

/// A call that decides.
struct Decision<'a> {
    rows: &'a Rows<'a>,
    limits: Limits,
    most: usize,
    /// For each row how many samples it took.
    taken: Vec<usize>,
    /// For each label of each row whether it is certain.
    certain: Vec<bool>,
}

impl Decision<'_> {
    /// Takes over what a look at a block's rows found.
    fn note(&mut self, block: &RowBlock, pool: &Pool, memory: &Memory, samples: usize) {
        let labels = self.certain.len() / self.taken.len();
        let Some(at) = pool.results().position(|(name, _)| name == CERTAIN) else { return };
        let certain = memory.results()[at].to_f64s().unwrap_or_default();
        let certain: Vec<bool> = certain.into_iter().map(|x| x == 1.0).collect();
        block.scatter(&certain, &mut self.certain, labels);
        block.rows.iter().for_each(|&(_, row)| self.taken[row] = samples);
    }

    /// Whether each of a row's labels is certain.
    fn of_row(&mut self, row: usize) -> &mut [bool] {
        let labels = self.certain.len() / self.taken.len();
        &mut self.certain[row * labels..][..labels]
    }
}

/// What the samples of each row were added up to: a vector for each accumulator, row after row.
#[derive(Default)]
struct Sums(Vec<Vec<f64>>);

impl Sums {
    /// Gives the sums of a block's rows to the memory that adds to them.
    fn put(&self, block: &RowBlock, pool: &Pool, memory: &mut Memory) {
        for ((sums, tensor), sum) in self.0.iter().zip(&mut memory.accumulators).zip(&pool.accumulators) {
            let width = sum.ty.shape.elements() / block.size;
            let all = tensor.as_f64_mut().unwrap_or_default();
            for &(place, row) in &block.rows {
                all[place * width..][..width].copy_from_slice(&sums[row * width..][..width]);
            }
        }
    }

    /// Keeps the sums of a block's rows, of `rows` in all.
    fn take(&mut self, block: &RowBlock, rows: usize, memory: &Memory) {
        self.0.resize(memory.accumulators.len(), Vec::new());
        for (sums, tensor) in self.0.iter_mut().zip(&memory.accumulators) {
            let all = tensor.as_f64().unwrap_or_default();
            let width = all.len() / block.size;
            sums.resize(rows * width, 0.0);
            block.scatter(all, sums, width);
        }
    }
}
