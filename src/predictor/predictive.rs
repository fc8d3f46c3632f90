//! The whole predictive distribution of some rows: the mixture of the samples' laws.

use super::{
    Predictor,
    question::Question,
    rows::{Numbers, RowBlock},
    run::Rows,
};
use crate::{Classification, Error, Regression, Targets};
use bayeslift_ir::{Environment, Tensor};

/// What a predictor knows of the targets of some rows: the mixture over posterior samples of the law that the likelihood gives each.
///
/// Moments are known from the beginning; the rest is computed when it is asked for, with the same samples and the same bits.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let predictor = Predictor::new(&network)?;
/// let predictive = predictor.predict(&[0.1, 0.2, -1.0, 0.0])?;
/// let mean = predictive.regression().expect("numbers are predicted").mean();
/// let (low, high) = predictive.interval(0.9)?;
/// assert!(low[0] < mean[0] && mean[0] < high[0]);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictive<'p> {
    predictor: &'p Predictor,
    inputs: &'p [f32],
    first_row: u64,
    classification: Option<Classification>,
    regression: Option<Regression>,
}

impl Predictor {
    /// The predictive distribution of any number of rows.
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a prediction that is not finite.
    pub fn predict<'p>(&'p self, inputs: &'p [f32]) -> Result<Predictive<'p>, Error> {
        self.predict_from(0, inputs)
    }

    /// As [`Predictor::predict`], for the rows from number `first_row` on of a larger batch: with the same bits as in that batch.
    ///
    /// # Errors
    /// As for [`Predictor::predict`]; rows are counted from the first of the call.
    pub fn predict_from<'p>(&'p self, first_row: u64, inputs: &'p [f32]) -> Result<Predictive<'p>, Error> {
        let _environment = Environment::enter();
        let rows = self.rows(Numbers::From(first_row), inputs)?;
        let (mut classification, mut regression) = (None, None);
        if self.has_moments {
            let mut answers = self.answer(Question::Moments, &rows)?;
            (classification, regression) = (Classification::of(&mut answers), Regression::of(&mut answers));
        }
        Ok(Predictive { predictor: self, inputs, first_row, classification, regression })
    }
}

impl Predictive<'_> {
    /// Probabilities and entropies, where targets are classes, labels of yes and no included.
    pub fn classification(&self) -> Option<&Classification> {
        self.classification.as_ref()
    }

    /// Means and standard deviations, where targets are numbers whose law has a mean.
    pub fn regression(&self) -> Option<&Regression> {
        self.regression.as_ref()
    }

    /// The least number for each target that is not exceeded with probability `p`, for each of these `p`, in `f32`: the first one at which
    /// the mixture's cdf reaches `p`.
    ///
    /// It is found by halving, with one pass over all samples each time; of the network's outputs, which are kept meanwhile.
    ///
    /// # Errors
    /// A `p` that is not between 0 and 1; a law without a cdf; outputs that are not finite.
    pub fn quantiles(&self, probabilities: &[f64]) -> Result<Vec<Vec<f32>>, Error> {
        let _environment = Environment::enter();
        if let Some(p) = probabilities.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
            return Err(Error::argument("the probability of a quantile", "a number between 0 and 1", p));
        }
        let units = self.predictor.model.target.shape.elements();
        let mut found = vec![vec![0.0; self.rows()? * units]; probabilities.len()];
        self.each_block(|mixture| {
            for (found, &p) in found.iter_mut().zip(probabilities) {
                mixture.scatter(&mixture.quantile(|_| p)?, found);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The central interval of each target that has this probability, from lower to upper end: as much lies below as above.
    ///
    /// # Errors
    /// A probability that is not between 0 and 1; otherwise as for [`Predictive::quantiles`].
    pub fn interval(&self, probability: f64) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let tail = (1.0 - probability) / 2.0;
        let mut ends = self.quantiles(&[tail, 1.0 - tail])?.into_iter();
        Ok((ends.next().unwrap_or_default(), ends.next().unwrap_or_default()))
    }

    /// The shortest interval of each target that has this probability: of a law with one peak, where its density is highest.
    ///
    /// # Errors
    /// As for [`Predictive::interval`].
    pub fn highest_density_interval(&self, probability: f64) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let _environment = Environment::enter();
        if !(probability > 0.0 && probability < 1.0) {
            return Err(Error::argument("the probability of an interval", "a number between 0 and 1", probability));
        }
        let units = self.predictor.model.target.shape.elements();
        let zeros = vec![0.0; self.rows()? * units];
        let (mut low, mut high) = (zeros.clone(), zeros);
        self.each_block(|mixture| {
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
    /// Another number of numbers than targets; a law without a cdf; outputs that are not finite.
    pub fn cdf(&self, at: &[f32]) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        let units = self.predictor.model.target.shape.elements();
        self.check_count("numbers", at.len(), self.rows()? * units)?;
        let mut found = vec![0.0; at.len()];
        self.each_block(|mixture| {
            mixture.scatter(&mixture.cdf(&mixture.block.of(at, units))?, &mut found);
            Ok(())
        })?;
        Ok(found)
    }

    /// log p(targets | input) of each row: see [`Predictor::log_likelihood`].
    ///
    /// # Errors
    /// As there.
    pub fn log_prob(&self, targets: &Targets) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        self.predictor.log_prob(
            Numbers::From(self.first_row),
            self.inputs,
            &self.predictor.model.input,
            (targets, None),
        )
    }

    /// The continuous ranked probability score of each target, E|x - y| - E|x - x'| / 2 for draws x and x' (Gneiting and Raftery 2007,
    /// equation 21): a distance in the target's unit, smaller is better. Of the draws of [`Predictive::draws`], without bias for
    /// any number of them (Ferro 2014).
    ///
    /// # Errors
    /// Another number of targets; fewer than two samples; a law without draws.
    pub fn crps(&self, targets: &[f32]) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        let predictor = self.predictor;
        let (samples, units) = (predictor.options.samples, predictor.model.target.shape.elements());
        self.check_count("targets", targets.len(), self.rows()? * units)?;
        if samples < 2 {
            return Err(Error::argument("the number of samples", "at least 2, for a score of draws", samples));
        }
        let mut scores = vec![0.0; targets.len()];
        for block in self.blocks()? {
            let mut draws = vec![Vec::with_capacity(samples); block.rows.len() * units];
            let first = block.rows[0].1;
            self.stream(Question::Draw, &block, |_, row, values| {
                for (unit, &x) in values.iter().enumerate() {
                    draws[(row - first) * units + unit].push(x);
                }
            })?;
            for (i, draws) in draws.iter_mut().enumerate() {
                scores[first * units + i] = score(draws, targets[first * units + i]);
            }
        }
        Ok(scores)
    }

    /// Calls `each` with the sample's number, the row and the targets that are drawn there, `[units]`: one for each sample of the
    /// posterior, so that a row's draws follow its predictive distribution. Memory does not grow with their number.
    ///
    /// # Errors
    /// A law without draws; draws that are not finite.
    pub fn draws(&self, each: impl FnMut(usize, usize, &[f32])) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.predictor.stream(Question::Draw, &self.all()?, each)
    }

    /// As [`Predictive::draws`], with the network's outputs, the parameters of each sample's law. If the network draws nothing there
    /// is one sample.
    ///
    /// # Errors
    /// Outputs that are not finite.
    pub fn parameters(&self, each: impl FnMut(usize, usize, &[f32])) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.predictor.stream(Question::Output, &self.all()?, each)
    }

    fn all(&self) -> Result<Rows<'_>, Error> {
        self.predictor.rows(Numbers::From(self.first_row), self.inputs)
    }

    fn rows(&self) -> Result<usize, Error> {
        crate::dataset::rows(&self.predictor.model.input, self.inputs)
    }

    fn blocks(&self) -> Result<Vec<RowBlock>, Error> {
        let numbers = Numbers::From(self.first_row);
        Ok(RowBlock::all((0..self.rows()?).collect(), numbers, self.predictor.options.row_block))
    }

    fn check_count(&self, what: &str, found: usize, expected: usize) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        Err(Error::argument(format!("the number of {what}"), format!("{expected}, one for each target"), found))
    }

    fn stream(
        &self,
        question: Question,
        block: &RowBlock,
        each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), Error> {
        self.predictor.stream_block(question, block, &self.all()?, each)
    }

    /// Calls `each` with the mixtures of the rows, block after block.
    fn each_block(&self, mut each: impl FnMut(Mixture<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let rows = self.all()?;
        for block in self.blocks()? {
            let outputs = self.predictor.outputs(&block, &rows)?;
            each(Mixture { predictor: self.predictor, block: &block, outputs: &outputs })?;
        }
        Ok(())
    }
}

/// E|x - y| - E|x - x'| / 2 over draws and pairs of different draws.
fn score(draws: &mut [f32], target: f32) -> f64 {
    draws.sort_by(f32::total_cmp);
    let count = draws.len() as f64;
    let distance: f64 = draws.iter().map(|&x| (f64::from(x) - f64::from(target)).abs()).sum();
    // the sum over pairs of |x - x'|, by ranks
    let weight = |rank: usize| 2.0 * rank as f64 + 1.0 - count;
    let spread: f64 = draws.iter().enumerate().map(|(rank, &x)| weight(rank) * f64::from(x)).sum();
    distance / count - spread / (count * (count - 1.0))
}

/// The laws of all samples of a block of rows.
struct Mixture<'a> {
    predictor: &'a Predictor,
    block: &'a RowBlock,
    outputs: &'a [f32],
}

impl Mixture<'_> {
    fn units(&self) -> usize {
        self.predictor.model.target.shape.elements()
    }

    /// The cdf at numbers, one for each target of the block.
    fn cdf(&self, at: &[f32]) -> Result<Vec<f64>, Error> {
        self.predictor.cdf(self.block, self.outputs, at)
    }

    /// The quantile of each target, for a probability by its number.
    fn quantile(&self, p: impl Fn(usize) -> f64) -> Result<Vec<f32>, Error> {
        let (lower, upper) = self.predictor.model.target.support.bounds();
        let [lower, upper] = [lower.max(f32::MIN), upper.min(f32::MAX)].map(order);
        let count = self.block.size * self.units();
        let mut ends = vec![(lower, upper); count];
        // as many halvings as a float has bits leave one
        for _ in 0..u32::BITS {
            let middle = |&(low, high): &(u32, u32)| low + (high - low) / 2;
            let at: Vec<f32> = ends.iter().map(|ends| float(middle(ends))).collect();
            for (i, (ends, cdf)) in ends.iter_mut().zip(self.cdf(&at)?).enumerate() {
                let at = middle(ends);
                if cdf >= p(i) {
                    ends.1 = at;
                } else {
                    ends.0 = ends.1.min(at + 1);
                }
            }
        }
        Ok(ends.into_iter().map(|(_, high)| float(high)).collect())
    }

    /// The ends of the shortest interval of each target that has this probability: the probability below it is found by the golden
    /// section (Kiefer 1953).
    fn shortest(&self, probability: f64) -> Result<(Vec<f32>, Vec<f32>), Error> {
        /// Each leaves 0.618 of where it can be.
        const STEPS: usize = 18;
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let rest = 1.0 - probability;
        let ends_above = |below: &[f64]| -> Result<_, Error> {
            // a quantile is that of a probability between 0 and 1
            let inside = |p: f64| p.clamp(1e-12, 1.0 - 1e-12);
            Ok((self.quantile(|i| inside(below[i]))?, self.quantile(|i| inside(below[i] + probability))?))
        };
        let widths = |ends: &(Vec<f32>, Vec<f32>)| -> Vec<f64> {
            ends.0.iter().zip(&ends.1).map(|(&low, &high)| f64::from(high) - f64::from(low)).collect()
        };
        let count = self.block.size * self.units();
        let mut range = vec![(0.0, rest); count];
        let inner = |(low, high): (f64, f64)| (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        for _ in 0..STEPS {
            let (left, right): (Vec<f64>, Vec<f64>) = range.iter().map(|&range| inner(range)).unzip();
            let (left_widths, right_widths) = (widths(&ends_above(&left)?), widths(&ends_above(&right)?));
            for (i, range) in range.iter_mut().enumerate() {
                if left_widths[i] <= right_widths[i] { range.1 = right[i] } else { range.0 = left[i] }
            }
        }
        let middle: Vec<f64> = range.iter().map(|(low, high)| (low + high) / 2.0).collect();
        ends_above(&middle)
    }

    /// Puts what each target of the block has where the call has its row.
    fn scatter<T: Copy>(&self, of_block: &[T], all: &mut [T]) {
        self.block.scatter(of_block, all, self.units());
    }
}

impl Predictor {
    /// The mixture's cdf at numbers, one for each target of a block, of outputs that it has.
    fn cdf(&self, block: &RowBlock, outputs: &[f32], at: &[f32]) -> Result<Vec<f64>, Error> {
        let pool = self.blocks(Question::Cdf).pool(&self.model, &self.options, block.size)?;
        let mut memory = pool.take(&pool.plain)?;
        memory.clear(pool);
        let result = self.turns(pool).try_for_each(|turn| {
            let sample = outputs.len() / if pool.draws { self.options.samples } else { 1 };
            let given = self.given(block, &outputs[turn.first * sample..][..turn.at_once * sample], at);
            self.add(pool, &pool.plain, &mut memory, &given, turn).map(drop)
        });
        let result = result.and_then(|()| self.finish(pool, &mut memory));
        let found = memory.results().first().and_then(Tensor::as_f64).unwrap_or_default().to_vec();
        pool.plain.put_back(memory);
        result.map(|()| found)
    }
}

/// The number of a finite float in the order of floats.
fn order(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The float of this number in the order of floats.
fn float(order: u32) -> f32 {
    f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_in_order() {
        let floats = [f32::MIN, -1.0, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-45, 1.0, 1.5, f32::MAX];
        assert!(floats.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
        assert!(floats.iter().all(|&x| float(order(x)).to_bits() == x.to_bits()));
    }

    #[test]
    fn score_by_hand() {
        // |0 - 1| and |4 - 1| on average, less half of |0 - 4|
        assert_eq!(score(&mut [4.0, 0.0], 1.0), 2.0 - 2.0);
        let (mut draws, target): ([f32; 3], f32) = ([1.0, 2.0, 4.0], 3.0);
        let pairs = (1.0 + 3.0 + 2.0) / 3.0;
        assert!((score(&mut draws, target) - (4.0 / 3.0 - pairs / 2.0)).abs() < 1e-15);
    }
}
