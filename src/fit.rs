//! Fitting a network to a data set.

mod report;

pub use report::{Epoch, FitReport, Progress};

use crate::{
    Backend, Dataset, Error, Network, Predictor, PredictorOptions, Schedule, StepInput, Trainer, TrainerOptions,
    WarmUp, dataset::Batch, shuffle::permutation, trainer::check_targets,
};
use bayeslift_layers::{Adam, Divergence, Optimizer, Parameters};
use std::{fmt, sync::Arc, time::Instant};

/// How to fit a network: the options, and [`Fit::run`].
///
/// A step's loss is the mean negative log likelihood of its batch + weight * divergence / number of training examples.
/// Every epoch uses every training example once, in an order that only the seed and the epoch decide; where the batch
/// size does not divide their number, the last batch of an epoch is smaller (and has a compiled step of its own).
///
/// ```
/// use bayeslift::prelude::*;
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let mut network = Network::new(AffineVariationalReparameterizationLocal::new(1, 2), [1], Likelihood::Categorical, 0)?;
/// let report = Fit::new()
///     .epochs(3)
///     .batch_size(24)
///     .learning_rate(1e-2)
///     .warm_up(WarmUp::Fraction(0.3))
///     .progress(|progress| println!("step {} of {}", progress.step, progress.steps))
///     .run(&mut network, &data)?;
/// assert_eq!((report.epochs.len(), report.steps), (3, 9));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[must_use = "nothing is fitted before `run`"]
pub struct Fit<'a> {
    epochs: usize,
    batch_size: usize,
    optimizer: Arc<dyn Optimizer>,
    schedule: Schedule,
    divergence: Divergence,
    divergence_weight: f64,
    warm_up: WarmUp,
    samples: usize,
    seed: Option<u64>,
    shuffle: bool,
    validation: Validation,
    validation_samples: usize,
    patience: Option<usize>,
    backend: Backend,
    progress: Option<Box<OnProgress<'a>>>,
}

type OnProgress<'a> = dyn FnMut(&Progress) + 'a;

/// Where the validation part comes from.
#[derive(Clone, Debug)]
enum Validation {
    None,
    Split(f64),
    Data(Box<Dataset>),
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Fit::new()
    }
}

impl<'a> Fit<'a> {
    /// 10 epochs, batches of 32, Adam with rate 1e-3, divergence weight 1 without warm-up, no validation.
    pub fn new() -> Self {
        Fit {
            epochs: 10,
            batch_size: 32,
            optimizer: Arc::new(Adam::default()),
            schedule: Schedule::default(),
            divergence: Divergence::default(),
            divergence_weight: 1.0,
            warm_up: WarmUp::None,
            samples: 1,
            seed: None,
            shuffle: true,
            validation: Validation::None,
            validation_samples: 16,
            patience: None,
            backend: Backend::default(),
            progress: None,
        }
    }

    /// The number of times that every training example is used, at least 1.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// The number of examples a step uses, at least 1.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Adam with this learning rate.
    pub fn learning_rate(self, rate: f64) -> Self {
        self.optimizer(Adam::new(rate))
    }

    /// The rule that moves parameters.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self
    }

    /// How the learning rate changes.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// How the divergence is computed.
    pub fn divergence(mut self, divergence: Divergence) -> Self {
        self.divergence = divergence;
        self
    }

    /// The weight of the divergence: 1 for the evidence lower bound, less for a cold posterior. The division by the
    /// number of training examples is not part of it.
    pub fn divergence_weight(mut self, weight: f64) -> Self {
        self.divergence_weight = weight;
        self
    }

    /// How long the weight of the divergence rises from 0.
    pub fn warm_up(mut self, warm_up: WarmUp) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// The number of posterior samples that each step's negative log likelihood is a mean over.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Decides shuffling, noise and validation split; the network's own seed unless told.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether each epoch has an order of its own. It has unless told.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Keeps a random part of the data for validation after every epoch. At the end the network has the parameters of
    /// the epoch with the best validation. The number of training examples is that of the rest.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation = Validation::Split(fraction);
        self
    }

    /// As [`Fit::validation_split`], with data of its own.
    pub fn validation(mut self, data: Dataset) -> Self {
        self.validation = Validation::Data(Box::new(data));
        self
    }

    /// The number of posterior samples that validation draws; 16 unless told.
    pub fn validation_samples(mut self, samples: usize) -> Self {
        self.validation_samples = samples;
        self
    }

    /// Stops when this many epochs, at least 1, have passed without a better validation. Needs a validation part.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// How steps and validation are run.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }

    /// Is told after each step.
    pub fn progress(mut self, progress: impl FnMut(&Progress) + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    fn check(&self) -> Result<(), Error> {
        let counts = [
            ("number of epochs", self.epochs),
            ("batch size", self.batch_size),
            ("number of samples", self.samples),
            ("number of validation samples", self.validation_samples),
            ("patience of early stopping", self.patience.unwrap_or(1)),
        ];
        if let Some((argument, count)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(format!("the {argument}"), "at least 1", count));
        }
        if let WarmUp::Fraction(fraction) = self.warm_up
            && !(0.0..=1.0).contains(&fraction)
        {
            return Err(Error::argument("the fraction of the warm-up", "a number from 0 to 1", fraction));
        }
        self.optimizer.check()?;
        let weight = self.divergence_weight;
        if !(weight >= 0.0 && (weight as f32).is_finite()) {
            let expected = "a finite `f32`, not negative";
            return Err(Error::argument("the weight of the divergence", expected, format!("{weight:?}")));
        }
        let end = match self.schedule {
            Schedule::Linear { to } | Schedule::Cosine { to } => to,
            _ => 1.0,
        };
        if !(end >= 0.0 && self.optimizer.scalar_values(1, end).iter().all(|rate| rate.is_finite())) {
            let expected = "a number, not negative, that leaves rates finite";
            return Err(Error::argument("the last factor of the schedule", expected, format!("{end:?}")));
        }
        if self.patience.is_some() && matches!(self.validation, Validation::None) {
            return Err(Error::argument("the validation part", "one, for early stopping", "none"));
        }
        Ok(())
    }

    /// Fits the network.
    ///
    /// # Errors
    /// Options out of range, data that does not fit the network: nothing has changed then. [`Error::NonFiniteLoss`], a
    /// factor of a custom schedule that is negative or not finite: the network has the parameters from before that step.
    pub fn run(mut self, network: &mut Network, data: &Dataset) -> Result<FitReport, Error> {
        self.check()?;
        let seed = self.seed.unwrap_or(network.seed());
        let split;
        let (validation, data) = match &self.validation {
            Validation::None => (None, data),
            Validation::Data(validation) => (Some(&**validation), data),
            Validation::Split(fraction) => {
                split = data.split(*fraction, seed)?;
                (Some(&split.0), &split.1)
            }
        };
        for data in validation.into_iter().chain([data]) {
            check_shape(network, data)?;
            check_targets(network, data.rows(), data.targets())?;
        }
        let options = TrainerOptions {
            optimizer: self.optimizer.clone(),
            divergence: self.divergence.clone(),
            samples: self.samples,
            seed: Some(seed),
            backend: self.backend.clone(),
        };
        let mut trainer = Trainer::new(network, data.rows(), options)?;
        let mut best = match validation {
            Some(validation) => Some(Best::new(&self, network, validation.clone(), seed)?),
            None => None,
        };
        trainer.prepare(network, self.batch_size.min(data.rows()))?;
        let compile_time = trainer.compile_time();

        let (start, mut epochs, mut stopped_early) = (Instant::now(), Vec::new(), false);
        for number in 1..=self.epochs {
            let known = best.as_ref().and_then(|best| best.last);
            let mut epoch = self.epoch(number, network, &mut trainer, data, seed, known)?;
            if let Some(best) = &mut best {
                epoch.validation = Some(best.look(network, number)?);
            }
            epochs.push(epoch);
            let since = best.as_ref().map_or(0, |best| number - best.epoch);
            if self.patience.is_some_and(|patience| since >= patience) {
                stopped_early = number < self.epochs;
                break;
            }
        }
        let best_epoch = best.map(|best| best.restore(network));
        Ok(FitReport {
            epochs,
            steps: trainer.steps(),
            best_epoch,
            stopped_early,
            training_examples: data.rows(),
            compile_time,
            train_time: start.elapsed(),
        })
    }

    /// Uses every example once.
    fn epoch(
        &mut self,
        number: usize,
        network: &mut Network,
        trainer: &mut Trainer,
        data: &Dataset,
        seed: u64,
        validation: Option<f64>,
    ) -> Result<Epoch, Error> {
        let rows = data.rows();
        let steps = (rows.div_ceil(self.batch_size) as u64).saturating_mul(self.epochs as u64);
        let order = if self.shuffle { permutation(seed, "epoch", number as u64, rows) } else { (0..rows).collect() };
        let mut batch = Batch::like(data);
        let mut epoch =
            Epoch { epoch: number, loss: 0.0, negative_log_likelihood: 0.0, divergence: 0.0, validation: None };
        for chosen in order.chunks(self.batch_size) {
            batch.fill(data, chosen);
            let step = trainer.steps() + 1;
            let input = StepInput {
                inputs: &batch.inputs,
                targets: &batch.targets,
                divergence_weight: self.divergence_weight * self.warm_up.factor(step, steps),
                rate: self.schedule.factor((step - 1) as f64 / steps as f64),
            };
            let loss = trainer.step(network, input)?;
            network.set_training_examples(Some(rows));
            let part = chosen.len() as f64 / rows as f64;
            epoch.loss += f64::from(loss.loss) * part;
            epoch.negative_log_likelihood += f64::from(loss.negative_log_likelihood) * part;
            epoch.divergence += f64::from(loss.divergence) * part;
            if let Some(progress) = &mut self.progress {
                progress(&Progress { step, steps, epoch: number, loss, validation });
            }
        }
        Ok(epoch)
    }
}

impl fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fit")
            .field("epochs", &self.epochs)
            .field("batch_size", &self.batch_size)
            .field("optimizer", &self.optimizer)
            .field("divergence_weight", &self.divergence_weight)
            .field("warm_up", &self.warm_up)
            .finish_non_exhaustive()
    }
}

/// Checks that the inputs of a data set are those of a network.
pub(crate) fn check_shape(network: &Network, data: &Dataset) -> Result<(), Error> {
    if data.shape() == network.input() {
        return Ok(());
    }
    Err(Error::argument("the shape of an input", format!("{}, that of the network", network.input()), data.shape()))
}

/// The validation part, and the parameters that did best on it.
struct Best {
    predictor: Predictor,
    data: Dataset,
    parameters: Parameters,
    value: f64,
    /// The epoch of these parameters; 0 for those before training.
    epoch: usize,
    last: Option<f64>,
}

impl Best {
    fn new(fit: &Fit<'_>, network: &Network, data: Dataset, seed: u64) -> Result<Best, Error> {
        let mut options = PredictorOptions::default().samples(fit.validation_samples).seed(seed);
        options.backend = fit.backend.clone();
        let predictor = Predictor::with_options(network, &options)?;
        let parameters = network.parameters().clone();
        Ok(Best { predictor, data, parameters, value: f64::INFINITY, epoch: 0, last: None })
    }

    /// Validates the network after an epoch, and keeps its parameters if they are the best so far.
    fn look(&mut self, network: &Network, epoch: usize) -> Result<f64, Error> {
        self.predictor.set_parameters(network)?;
        let value = self.predictor.negative_log_likelihood(&self.data)?;
        let is_better = value < self.value || self.value.is_nan() && !value.is_nan();
        if self.epoch == 0 || is_better {
            (self.value, self.epoch) = (value, epoch);
            self.parameters.clone_from(network.parameters());
        }
        self.last = Some(value);
        Ok(value)
    }

    fn restore(self, network: &mut Network) -> usize {
        network.replace_parameters(self.parameters);
        self.epoch
    }
}
