//! Predicting with posterior samples.

mod block;
mod moment;
mod options;
mod rows;

pub use options::PredictorOptions;

use crate::{
    Classification, Dataset, Error, Network, Regression, Targets,
    dataset::{self, check_finite},
    engine::{Session, noise_key, words},
    fit::check_shape,
    prediction::{ClassificationSums, LikelihoodSums, RegressionSums, Row, Sums},
    trainer::check_targets,
};
use bayeslift_ir::{Environment, Tensor};
use bayeslift_runtime::{Argument, Explanation};
use block::{Blocks, Care, Compiled, Pool};
use rows::{Numbers, RowBlock};

/// The step that predictions draw their noise at: no training step reaches it.
const PREDICTION_STEP: u64 = u64::MAX;

/// A network compiled for prediction, with the parameters it had: means over posterior samples, with their uncertainty.
///
/// Many threads may predict at once. Compiled is one block of samples and rows, and when it is first needed a block of a
/// single row; so neither the number of samples nor the number of rows compiles anything again, and memory does not grow
/// with the number of samples. What depends on parameters alone, such as variances, is computed once, when a predictor gets
/// its parameters. Each row's prediction is a pure function of parameters, seed, input and the row's number:
/// rows may be split over calls and machines. [`Predictor::classify`] and [`Predictor::regress`] count rows from 0;
/// [`Predictor::classify_rows`] and [`Predictor::regress_rows`] are told their numbers, for a service that batches requests.
///
/// # Numbers that are too large
/// Inputs are finite, but what is computed of them need not be. Where that may be, by the parameters and the size of a row's
/// inputs, a row is computed with more care: so that standard deviations of a layer's output do not overflow before it does, and
/// so that no activation hides what was not finite. A row that has no finite prediction is
/// [`Error::NonFinitePrediction`] or, with [`PredictorOptions::allow_non_finite`], `NaN` throughout. Bits do not depend on such
/// care, nor on what a row is computed with.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let predictor = Predictor::new(&network)?;
/// let prediction = predictor.classify(&[0.1, 0.2, -1.0, 0.0])?;
/// assert_eq!(prediction.rows(), 2);
/// assert!(prediction.predictive_entropy()[0] <= 3_f32.ln());
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    network: Network,
    options: PredictorOptions,
    outputs: Blocks,
    likelihoods: Blocks,
}

impl Predictor {
    /// A predictor with the default options: 64 samples.
    ///
    /// # Errors
    /// A machine that refuses executable memory.
    pub fn new(network: &Network) -> Result<Predictor, Error> {
        Predictor::with_options(network, &PredictorOptions::default())
    }

    /// A predictor with these options.
    ///
    /// # Errors
    /// Options out of range; layers that refuse the posterior value; a machine that refuses executable memory.
    pub fn with_options(network: &Network, options: &PredictorOptions) -> Result<Predictor, Error> {
        let _environment = Environment::enter();
        let mut options = options.clone();
        let counts = [
            ("number of samples", options.samples),
            ("block of samples", options.sample_block),
            ("block of rows", options.row_block),
        ];
        if let Some((argument, count)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(format!("the {argument}"), "at least 1", count));
        }
        if u32::try_from(options.samples).is_err() {
            return Err(Error::argument("the number of samples", "a number below 2^32", options.samples));
        }
        network.validate()?;
        options.sample_block = options.sample_block.min(options.samples);
        let outputs = Blocks::new(false);
        outputs.pool(network, &options, options.row_block)?;
        Ok(Predictor { network: network.clone(), options, outputs, likelihoods: Blocks::new(true) })
    }

    /// The number of posterior samples.
    pub fn samples(&self) -> usize {
        self.options.samples
    }

    /// Takes over the parameters of a network of the same layers, without compiling.
    ///
    /// # Errors
    /// Other parameters than the predictor was compiled for; it is unchanged then.
    pub fn set_parameters(&mut self, network: &Network) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.network.check(network.parameters())?;
        if network.parameters().len() != self.network.parameters().len() {
            let expected = format!("{}, as the predictor was compiled for", self.network.parameters().len());
            return Err(Error::argument("the number of parameters", expected, network.parameters().len()));
        }
        for (path, parameter) in self.network.parameters_mut().iter_mut() {
            parameter.tensor.clone_from(&network.parameters().get(path)?.tensor);
        }
        self.outputs.set_parameters(&self.network)?;
        self.likelihoods.set_parameters(&self.network)
    }

    /// Predicts classes for any number of rows. With a likelihood on the simplex a sample's probabilities are those of
    /// its centre.
    ///
    /// # Errors
    /// A network that predicts numbers; inputs that are no whole rows or not finite; a prediction that is not finite.
    pub fn classify(&self, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`Predictor::classify`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::classify`]; rows are counted from the first of the call.
    pub fn classify_from(&self, first_row: u64, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::classify`], for rows of these numbers, in any order: each with the bits that
    /// [`Predictor::classify_from`] gives it alone. Rows may share a number, and then they share their noise.
    ///
    /// A service that collects requests gives each request a number, and its answer does not depend on the requests that
    /// it is computed with. Rows whose numbers are close are computed together. Rows of scattered numbers are computed one by
    /// one: 32 of them take 1.1 to 1.6 times as long, for networks of 11 to 784 inputs and 8 to 64 samples, so number requests
    /// as they come.
    ///
    /// ```
    /// # use bayeslift::prelude::*;
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let predictor = Predictor::new(&network)?;
    /// let (first, second) = ([0.1, 0.2], [-1.0, 0.5]);
    /// let together = predictor.classify_rows(&[71, 70], &[second, first].concat())?;
    /// assert_eq!(together.row(0), predictor.classify_rows(&[71], &second)?.row(0));
    /// assert_eq!(together.row(1), predictor.classify_from(70, &first)?.row(0));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::classify`]; not one number for each row.
    pub fn classify_rows(&self, numbers: &[u64], inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_numbered(Numbers::Each(numbers), inputs)
    }

    fn classify_numbered(&self, numbers: Numbers<'_>, inputs: &[f32]) -> Result<Classification, Error> {
        let _environment = Environment::enter();
        let Some(classes) = self.network.classes() else {
            let problem = format!(
                "the network predicts numbers, not classes: its likelihood is {}",
                self.network.likelihood().describe()
            );
            return Err(Error::misuse(problem, "use `regress`"));
        };
        let sizes = self.sizes(numbers, inputs)?;
        let mut sums = ClassificationSums::new(sizes.len(), classes);
        self.run(&self.outputs, numbers, (inputs, None), sizes, &mut sums)?;
        Ok(sums.finish())
    }

    /// Predicts numbers for any number of rows.
    ///
    /// # Errors
    /// A network whose likelihood is not normal; inputs that are no whole rows or not finite; a prediction that is not
    /// finite.
    pub fn regress(&self, inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`Predictor::regress`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::regress`]; rows are counted from the first of the call.
    pub fn regress_from(&self, first_row: u64, inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::regress`], for rows of these numbers, in any order: see [`Predictor::classify_rows`].
    ///
    /// # Errors
    /// As for [`Predictor::regress`]; not one number for each row.
    pub fn regress_rows(&self, numbers: &[u64], inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_numbered(Numbers::Each(numbers), inputs)
    }

    fn regress_numbered(&self, numbers: Numbers<'_>, inputs: &[f32]) -> Result<Regression, Error> {
        let _environment = Environment::enter();
        if self.network.classes().is_some() {
            let problem = format!(
                "the network predicts classes, not numbers: its likelihood is {}",
                self.network.likelihood().describe()
            );
            return Err(Error::misuse(problem, "use `classify`"));
        }
        let sizes = self.sizes(numbers, inputs)?;
        let draws = self.outputs.any(&self.network, &self.options, self.options.row_block)?.draws;
        let mut sums = RegressionSums::new(sizes.len(), self.network.target().shape.elements(), draws);
        self.run(&self.outputs, numbers, (inputs, None), sizes, &mut sums)?;
        Ok(sums.finish())
    }

    /// log p(targets | input) of each row under the predictive distribution, the mixture over posterior samples: the
    /// logarithm of the mean of the samples' densities, in nats. -infinity where all densities are 0 in `f32`.
    ///
    /// # Errors
    /// Data that does not fit the network; a machine that refuses executable memory; a row whose density is not finite, as
    /// for predictions.
    pub fn log_likelihood(&self, data: &Dataset) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        check_shape(&self.network, data)?;
        check_targets(&self.network, data.rows(), data.targets())?;
        let mut sizes = dataset::sizes(data.shape().elements(), data.inputs());
        if let Targets::Values { units, values } = data.targets() {
            sizes.iter_mut().zip(dataset::sizes(*units, values)).for_each(|(size, other)| *size = size.max(other));
        }
        let mut sums = LikelihoodSums::new(data.rows());
        self.run(&self.likelihoods, Numbers::From(0), (data.inputs(), Some(data.targets())), sizes, &mut sums)?;
        Ok(sums.finish())
    }

    /// The mean of -[`Predictor::log_likelihood`].
    ///
    /// # Errors
    /// As for [`Predictor::log_likelihood`].
    pub fn negative_log_likelihood(&self, data: &Dataset) -> Result<f64, Error> {
        let rows = self.log_likelihood(data)?;
        // not -0 of a sum that is 0
        Ok(Environment::within(|| 0.0 - rows.iter().sum::<f64>() / rows.len() as f64))
    }

    /// What each kernel of a block of samples and rows does: what was fused into it, what it reads and writes, how much it
    /// computes. An input named `early` is what was computed of the parameters before.
    ///
    /// # Errors
    /// A backend that compiles nothing.
    pub fn explain(&self) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        self.outputs.pool(&self.network, &self.options, self.options.row_block)?.plain.engine.explain()
    }

    /// As [`Predictor::explain`], with the median time of each kernel over `runs` computations of the first block of these
    /// inputs.
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a backend that compiles nothing.
    pub fn profile(&self, inputs: &[f32], runs: usize) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        let size = self.options.row_block;
        let count = size.min(self.sizes(Numbers::From(0), inputs)?.len());
        let block = RowBlock { first: 0, size, rows: (0..count).map(|row| (row, row)).collect() };
        let x = block.of(inputs, self.network.input().elements());
        let key = self.key();
        let pool = self.outputs.pool(&self.network, &self.options, size)?;
        let mut session = pool.plain.take()?;
        let mut arguments = self.arguments(pool, [&key, &[0], &[0, 0]], &x);
        let result = pool.plain.engine.profile(&mut session, &mut arguments, runs);
        pool.plain.put_back(session);
        result
    }

    /// The key that predictions' noise is addressed by.
    fn key(&self) -> [u32; 4] {
        noise_key(self.options.seed.unwrap_or(self.network.seed()), PREDICTION_STEP)
    }

    /// The arguments of a block, but for targets: what depends on parameters, the address of its noise, inputs.
    fn arguments<'a>(&'a self, pool: &'a Pool, address: [&'a [u32]; 3], x: &'a [f32]) -> Vec<Argument<'a>> {
        let mut arguments: Vec<Argument<'_>> = pool.parameters(&self.network).collect();
        arguments.extend(address.map(Argument::U32));
        arguments.push(Argument::F32(x));
        arguments
    }

    /// The largest absolute value of each row, after the checks of inputs and numbers.
    fn sizes(&self, numbers: Numbers<'_>, inputs: &[f32]) -> Result<Vec<f32>, Error> {
        let rows = dataset::rows(self.network.input(), inputs)?;
        if let Numbers::Each(numbers) = numbers
            && numbers.len() != rows
        {
            return Err(Error::argument(
                "the number of row numbers",
                format!("{rows}, one for each row"),
                numbers.len(),
            ));
        }
        let sizes = dataset::sizes(inputs.len() / rows, inputs);
        if self.options.check_inputs && sizes.iter().any(|size| !size.is_finite()) {
            check_finite("inputs", inputs.len() / rows, inputs)?;
        }
        Ok(sizes)
    }

    /// Adds up all samples of all rows, whose largest numbers are `sizes`: for each row, samples in increasing order.
    ///
    /// Rows for which nothing can overflow unseen are computed as they are; others, and those that give nothing finite, with more
    /// and more care.
    fn run(
        &self,
        blocks: &Blocks,
        numbers: Numbers<'_>,
        data: (&[f32], Option<&Targets>),
        sizes: Vec<f32>,
        sums: &mut impl Sums,
    ) -> Result<(), Error> {
        let size = if sizes.len() * 2 <= self.options.row_block { 1 } else { self.options.row_block };
        let bound = blocks.any(&self.network, &self.options, size)?.bound;
        let (mut rows, mut large): (Vec<usize>, Vec<usize>) = (0..sizes.len()).partition(|&row| sizes[row] <= bound);
        for care in Care::ALL {
            rows = self.run_with(care, blocks, numbers, data, rows, sums)?;
            rows.append(&mut large);
        }
        if let Some(&row) = rows.iter().min()
            && !self.options.allow_non_finite
        {
            return Err(Error::NonFinitePrediction { row, largest: sizes[row] });
        }
        rows.into_iter().for_each(|row| sums.give_up(row));
        Ok(())
    }

    /// Computes these rows with this care. Gives those that have nothing finite by it.
    fn run_with(
        &self,
        care: Care,
        blocks: &Blocks,
        numbers: Numbers<'_>,
        data: (&[f32], Option<&Targets>),
        rows: Vec<usize>,
        sums: &mut impl Sums,
    ) -> Result<Vec<usize>, Error> {
        let mut without = Vec::new();
        let mut pending = RowBlock::all(rows, numbers, self.options.row_block);
        while let Some(block) = pending.pop() {
            let pool = blocks.pool(&self.network, &self.options, block.size)?;
            let Some(compiled) = pool.with(care, &self.options.backend)? else {
                without.extend(block.rows.iter().map(|&(_, row)| row));
                continue;
            };
            let mut session = compiled.take()?;
            block.rows.iter().for_each(|&(_, row)| sums.clear(row));
            let result = self.run_block(pool, compiled, &mut session, &block, data, sums);
            compiled.put_back(session);
            if !result? {
                without.extend(block.rows.iter().map(|&(_, row)| row).filter(|&row| !sums.is_finite(row)));
            } else if block.size == 1 {
                without.extend(block.rows.iter().map(|&(_, row)| row));
            } else {
                // Which of the rows it was shows each of them alone.
                let alone = |&(place, row): &(usize, usize)| RowBlock {
                    first: block.first.wrapping_add(place as u64),
                    size: 1,
                    rows: vec![(0, row)],
                };
                pending.extend(block.rows.iter().map(alone));
            }
        }
        Ok(without)
    }

    /// Computes all samples of one block of rows. Gives whether something was found that outputs do not show.
    fn run_block(
        &self,
        pool: &Pool,
        compiled: &Compiled,
        session: &mut Session,
        block: &RowBlock,
        (inputs, targets): (&[f32], Option<&Targets>),
        sums: &mut impl Sums,
    ) -> Result<bool, Error> {
        let key = self.key();
        let x = block.of(inputs, self.network.input().elements());
        let (labels, values);
        let targets = match targets {
            None => None,
            Some(Targets::Labels(all)) => {
                labels = block.of(all, 1);
                Some(Argument::U32(&labels))
            }
            Some(Targets::Values { units, values: all }) => {
                values = block.of(all, *units);
                Some(Argument::F32(&values))
            }
        };
        let first_row = words(block.first);
        // Where no layer draws noise all samples are one.
        let samples = if pool.draws { self.options.samples } else { 1 };
        let mut found = false;
        for next in (0..samples).step_by(self.options.sample_block) {
            // The last block has some samples again rather than ones that nobody asked for.
            let first_sample = next.min(samples.saturating_sub(self.options.sample_block));
            let first_sample_word = [first_sample as u32];
            let mut arguments = self.arguments(pool, [&key, &first_sample_word, &first_row], &x);
            arguments.extend(targets.iter().map(reborrow));
            compiled.engine.call(session, &mut arguments)?;
            found |= compiled.found(session);
            let outputs: Vec<&[f32]> = session.outputs.iter().filter_map(Tensor::as_f32).collect();
            for sample in next - first_sample..self.options.sample_block.min(samples - first_sample) {
                for &(place, row) in &block.rows {
                    sums.add(Row { number: row, at: sample * block.size + place }, &outputs);
                }
            }
        }
        Ok(found)
    }
}

fn reborrow<'a>(argument: &'a Argument<'_>) -> Argument<'a> {
    match argument {
        Argument::F32(x) => Argument::F32(x),
        Argument::F32Mut(x) => Argument::F32(x),
        Argument::F64(x) => Argument::F64(x),
        Argument::F64Mut(x) => Argument::F64(x),
        Argument::U32(x) => Argument::U32(x),
        Argument::U32Mut(x) => Argument::U32(x),
    }
}

#[cfg(test)]
mod tests;
