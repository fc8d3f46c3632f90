//! Predicting with posterior samples.

use crate::{
    Backend, Classification, Dataset, Error, Network, Regression, Targets,
    dataset::{self, check_finite},
    engine::{Engine, Session, noise_key, words},
    fit::check_shape,
    prediction::{ClassificationSums, LogMeanExp, RegressionSums},
    trainer::check_targets,
};
use bayeslift_ir::{Builder, Graph, Tensor};
use bayeslift_layers::{Context, Likelihood, PosteriorValue, Scope, noise_inputs};
use bayeslift_runtime::Argument;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The step that predictions draw their noise at: no training step reaches it.
const PREDICTION_STEP: u64 = u64::MAX;

/// How a [`Predictor`] predicts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PredictorOptions {
    /// The number of posterior samples; 64 unless told.
    pub samples: usize,
    /// Addresses the noise; the network's seed unless told.
    pub seed: Option<u64>,
    /// The number of samples that are computed at once. Results do not depend on it.
    pub sample_block: usize,
    /// The number of rows that are computed at once. Results do not depend on it.
    pub row_block: usize,
    /// A value of the posteriors to use instead of the layers' own, such as [`PosteriorValue::Mean`].
    pub posterior_value: Option<PosteriorValue>,
    /// Whether inputs are checked to be finite. They are unless told.
    pub check_inputs: bool,
    /// How predictions are run.
    pub backend: Backend,
}

impl Default for PredictorOptions {
    fn default() -> Self {
        PredictorOptions {
            samples: 64,
            seed: None,
            sample_block: 32,
            row_block: 32,
            posterior_value: None,
            check_inputs: true,
            backend: Backend::default(),
        }
    }
}

impl PredictorOptions {
    /// With this number of posterior samples.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// With this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// With blocks of this many samples and rows. Results do not depend on it.
    pub fn blocks(mut self, samples: usize, rows: usize) -> Self {
        (self.sample_block, self.row_block) = (samples, rows);
        self
    }

    /// With this value of the posteriors instead of the layers' own.
    pub fn posterior_value(mut self, value: PosteriorValue) -> Self {
        self.posterior_value = Some(value);
        self
    }

    /// With or without a check that inputs are finite.
    pub fn check_inputs(mut self, check: bool) -> Self {
        self.check_inputs = check;
        self
    }

    /// Run in this way.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }
}

/// A network compiled for prediction, with the parameters it had: means over posterior samples, with their uncertainty.
///
/// Many threads may predict at once. Compiled is one block of samples and rows, so neither the number of samples nor the
/// number of rows compiles anything again, and memory does not grow with the number of samples. Each row's prediction is a pure
/// function of parameters, seed, input and the row's number: rows may be split over calls and machines.
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
    outputs: Pool,
    /// Compiled when likelihoods are first asked for.
    likelihoods: OnceLock<Pool>,
}

/// A compiled block and the memory of those who called it.
#[derive(Debug)]
struct Pool {
    engine: Engine,
    free: Mutex<Vec<Session>>,
}

impl Pool {
    fn new(graph: Graph, backend: &Backend) -> Result<Pool, Error> {
        Ok(Pool { engine: Engine::new(graph, backend)?, free: Mutex::default() })
    }

    fn take(&self) -> Result<Session, Error> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| self.engine.session(), Ok)
    }

    fn put_back(&self, session: Session) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
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
        let outputs = Pool::new(block(network, &options, false)?, &options.backend)?;
        Ok(Predictor { network: network.clone(), options, outputs, likelihoods: OnceLock::new() })
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
        Ok(())
    }

    /// Predicts classes for any number of rows.
    ///
    /// # Errors
    /// A network whose likelihood is not categorical; inputs that are no whole rows or not finite.
    pub fn classify(&self, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`Predictor::classify`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::classify`].
    pub fn classify_from(&self, first_row: u64, inputs: &[f32]) -> Result<Classification, Error> {
        let Likelihood::Categorical = self.network.likelihood() else {
            return Err(Error::argument(
                "the network's likelihood",
                "categorical, to classify",
                "another: use `regress`",
            ));
        };
        let classes = self.network.outputs();
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
        let pool = match self.likelihoods.get() {
            Some(pool) => pool,
            None => {
                let pool = Pool::new(block(&self.network, &self.options, true)?, &self.options.backend)?;
                self.likelihoods.get_or_init(|| pool)
            }
        };
        let mut sums = vec![LogMeanExp::default(); data.rows()];
        self.run(pool, 0, data.inputs(), Some(data.targets()), |row, outputs| {
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
        pool: &Pool,
        first_row: u64,
        inputs: &[f32],
        targets: Option<&Targets>,
        add: impl FnMut(Row, &[&[f32]]),
    ) -> Result<(), Error> {
        let mut session = pool.take()?;
        let result = self.run_in(&pool.engine, &mut session, first_row, inputs, targets, add);
        pool.put_back(session);
        result
    }

    fn run_in(
        &self,
        engine: &Engine,
        session: &mut Session,
        first_row: u64,
        inputs: &[f32],
        targets: Option<&Targets>,
        mut add: impl FnMut(Row, &[&[f32]]),
    ) -> Result<(), Error> {
        let elements = self.network.input().elements();
        let (rows, block) = (inputs.len() / elements, self.options.row_block);
        let key = noise_key(self.options.seed.unwrap_or(self.network.seed()), PREDICTION_STEP);
        // Without a sample axis in the output - no layer drew noise - all samples are one.
        let drawn = session.outputs[0].shape()[0] > 1 || self.options.sample_block == 1;
        let samples = if drawn { self.options.samples } else { 1 };
        let mut padded = (Vec::new(), Vec::new(), Vec::new());
        for first in (0..rows).step_by(block) {
            let count = block.min(rows - first);
            let first_row = words(first_row.wrapping_add(first as u64));
            let x = pad(&mut padded.0, inputs, first, count, block, elements);
            let y = match targets {
                None => None,
                Some(Targets::Labels(labels)) => {
                    Some(Argument::U32(pad(&mut padded.1, labels, first, count, block, 1)))
                }
                Some(Targets::Values { units, values }) => {
                    Some(Argument::F32(pad(&mut padded.2, values, first, count, block, *units)))
                }
            };
            let parameters = self.network.parameters().iter().map(|(_, parameter)| &parameter.tensor);
            let mut arguments: Vec<Argument<'_>> = parameters.map(Argument::from).collect();
            let at = arguments.len() + 1;
            arguments.extend([Argument::U32(&key), Argument::U32(&[0]), Argument::U32(&first_row), Argument::F32(x)]);
            arguments.extend(y);
            for first_sample in (0..samples).step_by(self.options.sample_block) {
                let number = [first_sample as u32];
                // The borrow of `number` ends with the block, so the address is put back below.
                let mut arguments: Vec<Argument<'_>> = arguments.iter().map(reborrow).collect();
                arguments[at] = Argument::U32(&number);
                engine.call(session, &mut arguments)?;
                let outputs: Vec<&[f32]> = session.outputs.iter().filter_map(Tensor::as_f32).collect();
                for sample in 0..self.options.sample_block.min(samples - first_sample) {
                    for row in 0..count {
                        add(Row { number: first + row, at: sample * block + row }, &outputs);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A sample of a row: the row's number in the call, and where it is in a block's outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub number: usize,
    at: usize,
}

impl Row {
    /// Where its values are, if a row has this many.
    fn values(self, units: usize) -> std::ops::Range<usize> {
        self.at * units..(self.at + 1) * units
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

/// The `count` rows from `first` on; a tail is padded with zeros to a block.
fn pad<'a, T: Copy + Default>(
    padded: &'a mut Vec<T>,
    all: &'a [T],
    first: usize,
    count: usize,
    block: usize,
    units: usize,
) -> &'a [T] {
    let rows = &all[first * units..(first + count) * units];
    if count == block {
        return rows;
    }
    padded.clear();
    padded.extend_from_slice(rows);
    padded.resize(block * units, T::default());
    padded
}

/// The graph of one block. Inputs: the parameters, the noise address, `x`, and with `likelihood` also `targets`. Outputs,
/// each with the axes `[samples, rows]` in front: the log likelihood; or probabilities and their entropy; or the mean,
/// and as a scalar the standard deviation.
fn block(network: &Network, options: &PredictorOptions, likelihood: bool) -> Result<Graph, Error> {
    let b = &Builder::new();
    let scope = Scope::bind(b, network.parameters())?;
    let mut context = Context::new(scope.clone()).noise(noise_inputs(b)).samples(options.sample_block);
    if let Some(value) = &options.posterior_value {
        context = context.posterior_value(value.clone());
    }
    let x = b.input("x", network.batch_type(options.row_block));
    let output = network.call(&context, x)?.output;
    if likelihood {
        let targets = b.input("targets", network.likelihood().target_type(&output.shape(), 1));
        b.output("log_likelihood", network.likelihood().log_prob(&scope, output, targets)?);
    } else if let Some(scale) = network.likelihood().scale(&scope)? {
        b.output("mean", output);
        b.output("scale", scale);
    } else {
        let log_probabilities = output.log_softmax();
        let probabilities = log_probabilities.exp();
        b.output("probabilities", probabilities);
        // Where a probability is 0, its logarithm is finite, or -infinity if the logit is.
        let terms = probabilities.equal(0.0).select(0.0, probabilities * log_probabilities);
        b.output("entropy", -terms.sum(2));
    }
    b.check()?;
    let graph = b.graph().clone();
    Ok(graph)
}
