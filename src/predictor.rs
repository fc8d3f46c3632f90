//! Predicting with posterior samples.

mod block;
mod options;

pub use options::PredictorOptions;

use crate::{
    Classification, Dataset, Error, Network, Regression, Targets,
    dataset::{self, check_finite},
    engine::{Session, noise_key, words},
    fit::check_shape,
    prediction::{ClassificationSums, LogMeanExp, RegressionSums, Row},
    trainer::check_targets,
};
use bayeslift_ir::Tensor;
use bayeslift_layers::Likelihood;
use bayeslift_runtime::{Argument, Explanation};
use block::{Blocks, Pool, RowBlock};

/// The step that predictions draw their noise at: no training step reaches it.
const PREDICTION_STEP: u64 = u64::MAX;

/// A network compiled for prediction, with the parameters it had: means over posterior samples, with their uncertainty.
///
/// Many threads may predict at once. Compiled is one block of samples and rows, and when it is first needed a block of a
/// single row; so neither the number of samples nor the number of rows compiles anything again, and memory does not grow
/// with the number of samples. What depends on parameters alone, such as variances, is computed once, when a predictor gets
/// its parameters. Each row's prediction is a pure function of parameters, seed, input and the row's number:
/// rows may be split over calls and machines.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], Likelihood::Categorical, 0)?;
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
            return Err(Error::argument("the number of samples", "below 2^32", options.samples));
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
        self.network.check(network.parameters())?;
        if network.parameters().len() != self.network.parameters().len() {
            let expected = format!("{}, as compiled for", self.network.parameters().len());
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
    /// A network that predicts numbers; inputs that are no whole rows or not finite.
    pub fn classify(&self, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`Predictor::classify`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::classify`].
    pub fn classify_from(&self, first_row: u64, inputs: &[f32]) -> Result<Classification, Error> {
        let Some(classes) = self.network.classes() else {
            return Err(Error::argument(
                "the network's likelihood",
                "categorical, to classify",
                "another: use `regress`",
            ));
        };
        let mut sums = ClassificationSums::new(self.rows(inputs)?, classes);
        self.run(&self.outputs, first_row, inputs, None, |row, outputs| {
            sums.add(row, &outputs[0][row.values(classes)], outputs[1][row.values(1)][0]);
        })?;
        Ok(sums.finish())
    }

    /// Predicts numbers for any number of rows.
    ///
    /// # Errors
    /// A network whose likelihood is not normal; inputs that are no whole rows or not finite.
    pub fn regress(&self, inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`Predictor::regress`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::regress`].
    pub fn regress_from(&self, first_row: u64, inputs: &[f32]) -> Result<Regression, Error> {
        let Likelihood::Normal { .. } = self.network.likelihood() else {
            return Err(Error::argument("the network's likelihood", "normal, to regress", "another: use `classify`"));
        };
        let units = self.network.outputs();
        let mut sums = RegressionSums::new(self.rows(inputs)?, units);
        self.run(&self.outputs, first_row, inputs, None, |row, outputs| {
            sums.add(row, &outputs[0][row.values(units)], outputs[1][0]);
        })?;
        Ok(sums.finish())
    }

    /// log p(targets | input) of each row under the predictive distribution, the mixture over posterior samples: the
    /// logarithm of the mean of the samples' densities, in nats.
    ///
    /// # Errors
    /// Data that does not fit the network; a machine that refuses executable memory.
    pub fn log_likelihood(&self, data: &Dataset) -> Result<Vec<f64>, Error> {
        check_shape(&self.network, data)?;
        check_targets(&self.network, data.rows(), data.targets())?;
        let mut sums = vec![LogMeanExp::default(); data.rows()];
        self.run(&self.likelihoods, 0, data.inputs(), Some(data.targets()), |row, outputs| {
            sums[row.number].add(outputs[0][row.values(1)][0]);
        })?;
        Ok(sums.iter().map(LogMeanExp::finish).collect())
    }

    /// The mean of -[`Predictor::log_likelihood`].
    ///
    /// # Errors
    /// As for [`Predictor::log_likelihood`].
    pub fn negative_log_likelihood(&self, data: &Dataset) -> Result<f64, Error> {
        let rows = self.log_likelihood(data)?;
        Ok(-rows.iter().sum::<f64>() / rows.len() as f64)
    }

    /// What each kernel of a block of samples and rows does: what was fused into it, what it reads and writes, how much it
    /// computes. An input named `early` is what was computed of the parameters before.
    ///
    /// # Errors
    /// A backend that compiles nothing.
    pub fn explain(&self) -> Result<Explanation, Error> {
        self.outputs.pool(&self.network, &self.options, self.options.row_block)?.engine.explain()
    }

    /// As [`Predictor::explain`], with the median time of each kernel over `runs` computations of the first block of these
    /// inputs.
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a backend that compiles nothing.
    pub fn profile(&self, inputs: &[f32], runs: usize) -> Result<Explanation, Error> {
        let size = self.options.row_block;
        let block = RowBlock { first: 0, count: size.min(self.rows(inputs)?), size };
        let x = block.of(inputs, self.network.input().elements());
        let key = self.key();
        let pool = self.outputs.pool(&self.network, &self.options, size)?;
        let mut session = pool.take()?;
        let result = pool.engine.profile(&mut session, &mut self.arguments(pool, [&key, &[0], &[0, 0]], &x), runs);
        pool.put_back(session);
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

    fn rows(&self, inputs: &[f32]) -> Result<usize, Error> {
        let rows = dataset::rows(self.network.input(), inputs)?;
        if self.options.check_inputs {
            check_finite("inputs", inputs.len() / rows, inputs)?;
        }
        Ok(rows)
    }

    /// Computes all blocks, and hands each sample of each row to `add`: for each row, samples in increasing order.
    fn run(
        &self,
        blocks: &Blocks,
        first_row: u64,
        inputs: &[f32],
        targets: Option<&Targets>,
        mut add: impl FnMut(Row, &[&[f32]]),
    ) -> Result<(), Error> {
        let rows = inputs.len() / self.network.input().elements();
        let mut first = 0;
        while first < rows {
            // Padding more than half a block costs more than single rows.
            let left = rows - first;
            let size = if left * 2 <= self.options.row_block { 1 } else { self.options.row_block };
            let pool = blocks.pool(&self.network, &self.options, size)?;
            let mut session = pool.take()?;
            let block = RowBlock { first, count: size.min(left), size };
            let number = first_row.wrapping_add(first as u64);
            let result = self.run_block(pool, &mut session, number, block, inputs, targets, &mut add);
            pool.put_back(session);
            result?;
            first += block.count;
        }
        Ok(())
    }

    /// Computes all samples of one block of rows, whose first has this number.
    #[allow(clippy::too_many_arguments)] // Each is its own thing, and there is one caller.
    fn run_block(
        &self,
        pool: &Pool,
        session: &mut Session,
        number: u64,
        block: RowBlock,
        inputs: &[f32],
        targets: Option<&Targets>,
        add: &mut impl FnMut(Row, &[&[f32]]),
    ) -> Result<(), Error> {
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
        let first_row = words(number);
        // Without a sample axis in the output - no layer drew noise - all samples are one.
        let drawn = session.outputs[0].shape()[0] == self.options.sample_block;
        let samples = if drawn { self.options.samples } else { 1 };
        for first_sample in (0..samples).step_by(self.options.sample_block) {
            let first_sample_word = [first_sample as u32];
            let mut arguments = self.arguments(pool, [&key, &first_sample_word, &first_row], &x);
            arguments.extend(targets.iter().map(reborrow));
            pool.engine.call(session, &mut arguments)?;
            let outputs: Vec<&[f32]> = session.outputs.iter().filter_map(Tensor::as_f32).collect();
            for sample in 0..self.options.sample_block.min(samples - first_sample) {
                for row in 0..block.count {
                    add(Row { number: block.first + row, at: sample * block.size + row }, &outputs);
                }
            }
        }
        Ok(())
    }
}

fn reborrow<'a>(argument: &'a Argument<'_>) -> Argument<'a> {
    match argument {
        Argument::F32(x) => Argument::F32(x),
        Argument::F32Mut(x) => Argument::F32(x),
        Argument::U32(x) => Argument::U32(x),
        Argument::U32Mut(x) => Argument::U32(x),
    }
}
