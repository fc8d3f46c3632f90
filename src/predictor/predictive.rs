//! The whole predictive distribution of some rows: the mixture of the samples' laws.

use super::{Predictor, mixture::Mixture, question::Question, rows::Numbers, run::Rows};
use crate::{Classification, Error, Float, Regression, Targets, dataset::check_finite};
use bayeslift_ir::{DType, Environment};

/// What a predictor knows of the targets of some rows: the mixture over posterior samples of the law that the
/// likelihood gives each.
///
/// Moments are known from the beginning; the rest is computed when it is asked for, with the same samples and the same
/// bits.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let predictor = Predictor::new(&network)?;
/// let predictive = predictor.predict(&[0.1, 0.2, -1.0, 0.0])?; // of later rows: `predict_from`
/// let mean = predictive.regression().expect("numbers are predicted").mean();
/// let (low, high) = predictive.interval(0.9)?;
/// assert!(low[0] < mean[0] && mean[0] < high[0]);
///
/// // the quantile of 0.25 is where the distribution function is 0.25, `[rows, units]`
/// let quarter = &predictive.quantiles(&[0.25])?[0];
/// assert!((predictive.cdf(quarter)?[1] - 0.25).abs() < 1e-6);
/// let (low, high) = predictive.highest_density_interval(0.5)?;
/// assert!(predictive.cdf(&high)?[0] - predictive.cdf(&low)?[0] > 0.499);
///
/// // how well it tells what was found there: nats, and a distance in the target's unit
/// let found = Targets::Values { units: 1, values: vec![0.0, 90.0] };
/// assert!(predictive.log_prob(&found)?[1] < -20.0);
/// assert!(predictive.crps(&[0.0, 90.0])?[1] > 20.0);
///
/// // a target for each of 64 posterior samples and each row, or the mean of its law
/// let (mut draws, mut means) = (0, 0);
/// predictive.draws(|_sample, _row, target| draws += target.len())?;
/// predictive.parameters(|_sample, _row, outputs| means += outputs.len())?;
/// assert_eq!((draws, means, predictive.classification()), (128, 128, None));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictive<'p, T = f32> {
    predictor: &'p Predictor,
    inputs: &'p [T],
    first_row: u64,
    classification: Option<Classification<T>>,
    regression: Option<Regression<T>>,
}

impl Predictor {
    /// The predictive distribution of the targets of any number of rows of inputs, `[rows, input..]`: the mixture over
    /// posterior samples of the likelihood's laws, which can be asked for quantiles, intervals and draws.
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a prediction that is not finite.
    pub fn predict<'p>(&'p self, inputs: &'p [f32]) -> Result<Predictive<'p>, Error> {
        self.predict_from(0, inputs)
    }

    /// As [`Predictor::predict`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::predict`]; rows are counted from the first of the call.
    pub fn predict_from<'p>(&'p self, first_row: u64, inputs: &'p [f32]) -> Result<Predictive<'p>, Error> {
        self.predictive(first_row, inputs)
    }

    pub(super) fn predictive<'p, T: Float>(
        &'p self,
        first_row: u64,
        inputs: &'p [T],
    ) -> Result<Predictive<'p, T>, Error> {
        let _environment = Environment::enter();
        let rows = self.rows(Numbers::From(first_row), inputs)?;
        let (mut classification, mut regression) = (None, None);
        if self.first == Question::Moments {
            let mut answers = self.answer(Question::Moments, &rows)?;
            (classification, regression) = (Classification::of(&mut answers), Regression::of(&mut answers));
        }
        Ok(Predictive { predictor: self, inputs, first_row, classification, regression })
    }
}

impl<T: Float> Predictive<'_, T> {
    /// Probabilities and entropies, where targets are classes, labels of yes and no included.
    pub fn classification(&self) -> Option<&Classification<T>> {
        self.classification.as_ref()
    }

    /// Means and standard deviations, where targets are numbers whose law has a mean.
    pub fn regression(&self) -> Option<&Regression<T>> {
        self.regression.as_ref()
    }

    /// The least number for each target that is not exceeded with probability `p`, for each of these `p`: the first
    /// number at which the mixture's cdf reaches `p`.
    ///
    /// It is found by halving, with 32 passes, 64 in `f64`, of the cdf over all samples; of the network's outputs,
    /// which are kept meanwhile. For a normal law that takes about as long as the prediction, for one whose cdf is an
    /// incomplete function a thousand times as long.
    ///
    /// # Errors
    /// A `p` that is not between 0 and 1; a law without a cdf; outputs that are not finite.
    pub fn quantiles(&self, probabilities: &[f64]) -> Result<Vec<Vec<T>>, Error> {
        let _environment = Environment::enter();
        if let Some(p) = probabilities.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
            return Err(Error::argument("the probability of a quantile", "a number between 0 and 1", p));
        }
        let units = self.predictor.model.target.shape.elements();
        let mut found = vec![vec![T::default(); self.rows()? * units]; probabilities.len()];
        self.each_block(|mixture: Mixture<'_, T>| {
            for (found, &p) in found.iter_mut().zip(probabilities) {
                mixture.scatter(&mixture.quantile(&|_| p)?, found);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The central interval of each target that has this probability, from lower to upper end: as much lies below as
    /// above.
    ///
    /// # Errors
    /// A probability that is not between 0 and 1; otherwise as for [`Predictive::quantiles`].
    pub fn interval(&self, probability: f64) -> Result<(Vec<T>, Vec<T>), Error> {
        check_probability(probability)?;
        let tail = (1.0 - probability) / 2.0;
        let mut ends = self.quantiles(&[tail, 1.0 - tail])?.into_iter();
        Ok((ends.next().unwrap_or_default(), ends.next().unwrap_or_default()))
    }

    /// The shortest interval of each target that has this probability, or nearly the shortest: of a law with one peak,
    /// where its density is highest. Of numbers its lower end is found on a grid of 256 and then one of 64 points,
    /// between the quantiles that leave out a 64th of what is outside; of counts each is tried, if they are no more
    /// than 256.
    ///
    /// # Errors
    /// As for [`Predictive::interval`].
    pub fn highest_density_interval(&self, probability: f64) -> Result<(Vec<T>, Vec<T>), Error> {
        let _environment = Environment::enter();
        check_probability(probability)?;
        let units = self.predictor.model.target.shape.elements();
        let zeros = vec![T::default(); self.rows()? * units];
        let (mut low, mut high) = (zeros.clone(), zeros);
        self.each_block(|mixture: Mixture<'_, T>| {
            let ends = mixture.shortest(probability)?;
            mixture.scatter(&ends.0, &mut low);
            mixture.scatter(&ends.1, &mut high);
            Ok(())
        })?;
        Ok((low, high))
    }

    /// The probability that each target is at most a number, row after row.
    ///
    /// # Errors
    /// Another number of numbers than targets, one that is no number; a law without a cdf; outputs that are not finite.
    pub fn cdf(&self, at: &[T]) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        let units = self.predictor.model.target.shape.elements();
        self.check_count("numbers", at.len(), self.rows()? * units)?;
        if at.iter().any(|&x| x.into().is_nan()) {
            check_finite("numbers", units, &T::floats(at))?;
        }
        // infinity is beyond the largest number
        let largest = if T::DTYPE == DType::F64 { f64::MAX } else { f32::MAX.into() };
        let at: Vec<T> = at.iter().map(|&x| T::nearest(x.into().clamp(-largest, largest))).collect();
        let mut found = vec![0.0; at.len()];
        self.each_block(|mixture: Mixture<'_, T>| {
            mixture.scatter(&mixture.cdf(&mixture.block.of(&at, units))?, &mut found);
            Ok(())
        })?;
        Ok(found)
    }

    /// log p(targets | input) of each row, of targets that are all known: see [`Predictor::log_likelihood`], which
    /// takes a data set with missing ones.
    ///
    /// # Errors
    /// As there.
    pub fn log_prob(&self, targets: &Targets) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        self.predictor.log_prob(Numbers::From(self.first_row), T::floats(self.inputs), (targets, None))
    }

    /// The continuous ranked probability score of each target, E|x - y| - E|x - x'| / 2 for draws x and x' (Gneiting
    /// and Raftery 2007, equation 21): a distance in the target's unit, smaller is better. Of the draws of
    /// [`Predictive::draws`], without bias for any number of them (Ferro 2014).
    ///
    /// # Errors
    /// Another number of targets, one that is not finite; fewer than two samples; a law without draws.
    pub fn crps(&self, targets: &[T]) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        let predictor = self.predictor;
        let (samples, units) = (predictor.options.samples, predictor.model.target.shape.elements());
        self.check_count("targets", targets.len(), self.rows()? * units)?;
        if samples < 2 {
            return Err(Error::argument("the number of samples", "at least 2, for a score of draws", samples));
        }
        check_finite("targets", units, &T::floats(targets))?;
        let (rows, mut scores) = (self.all()?, vec![0.0; targets.len()]);
        for block in predictor.careful_blocks(Question::Draw, &rows)? {
            // rows of a block are in the order of their numbers, which is that of the call
            let place = |row: usize| block.rows.partition_point(|&(_, other)| other < row);
            let mut draws = vec![Vec::with_capacity(samples); block.rows.len() * units];
            predictor.stream_block(Question::Draw, &block, &rows, &mut |_, row, values: &[T]| {
                draws[place(row) * units..][..units].iter_mut().zip(values).for_each(|(draws, &x)| draws.push(x));
            })?;
            for (draws, &(_, row)) in draws.chunks_mut(units).zip(&block.rows) {
                for (unit, draws) in draws.iter_mut().enumerate() {
                    scores[row * units + unit] = score(draws, targets[row * units + unit]);
                }
            }
        }
        Ok(scores)
    }

    /// Calls `each` with the sample's number, the row and the targets that are drawn there, `[units]`: one for each
    /// sample of the posterior, so that a row's draws follow its predictive distribution. Memory does not grow with
    /// their number.
    ///
    /// # Errors
    /// A law without draws; draws that are not finite.
    pub fn draws(&self, mut each: impl FnMut(usize, usize, &[T])) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.predictor.stream(Question::Draw, &self.all()?, &mut each)
    }

    /// As [`Predictive::draws`], with the network's outputs, the parameters of each sample's law. If the network draws
    /// nothing there is one sample.
    ///
    /// # Errors
    /// Outputs that are not finite.
    pub fn parameters(&self, mut each: impl FnMut(usize, usize, &[T])) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.predictor.stream(Question::Output, &self.all()?, &mut each)
    }

    fn all(&self) -> Result<Rows<'_>, Error> {
        self.predictor.rows(Numbers::From(self.first_row), self.inputs)
    }

    fn rows(&self) -> Result<usize, Error> {
        crate::dataset::rows(&self.predictor.model.input, self.inputs.len())
    }

    fn check_count(&self, what: &str, found: usize, expected: usize) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        Err(Error::argument(format!("the number of {what}"), format!("{expected}, one for each target"), found))
    }

    /// Calls `each` with the mixtures of the rows, block after block.
    fn each_block(&self, mut each: impl FnMut(Mixture<'_, T>) -> Result<(), Error>) -> Result<(), Error> {
        let rows = self.all()?;
        for block in self.predictor.careful_blocks(Question::Output, &rows)? {
            let outputs = self.predictor.outputs(&block, &rows)?;
            each(Mixture::new(self.predictor, &block, &outputs))?;
        }
        Ok(())
    }
}

fn check_probability(probability: f64) -> Result<(), Error> {
    if probability > 0.0 && probability < 1.0 {
        return Ok(());
    }
    Err(Error::argument("the probability of an interval", "a number between 0 and 1", probability))
}

/// E|x - y| - E|x - x'| / 2 over draws and pairs of different draws.
fn score<T: Float>(draws: &mut [T], target: T) -> f64 {
    draws.sort_by_key(|x| x.order());
    let target: f64 = target.into();
    let count = draws.len() as f64;
    let distance: f64 = draws.iter().map(|&x| (x.into() - target).abs()).sum();
    // the sum over pairs of |x - x'|, by ranks
    let weight = |rank: usize| 2.0 * rank as f64 + 1.0 - count;
    let spread: f64 = draws.iter().enumerate().map(|(rank, &x)| weight(rank) * x.into()).sum();
    distance / count - spread / (count * (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn score_by_hand() {
        // |0 - 1| and |4 - 1| on average, less half of |0 - 4|
        assert_eq!(score(&mut [4.0, 0.0], 1.0), 2.0 - 2.0);
        let (mut draws, target): ([f32; 3], f32) = ([1.0, 2.0, 4.0], 3.0);
        let pairs = (1.0 + 3.0 + 2.0) / 3.0;
        assert!((score(&mut draws, target) - (4.0 / 3.0 - pairs / 2.0)).abs() < 1e-15);
    }
}
