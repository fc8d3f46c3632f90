//! Fitting a network to a data set.

mod batches;
mod checkpoint;
mod course;
mod diagnosis;
mod ensemble;
mod flow;
mod log;
mod note;
mod report;
mod run;
mod validation;

pub(crate) use checkpoint::Record;
pub use diagnosis::Diagnosis;
pub use flow::ProgressFlow;
pub use note::FitNote;
pub use report::{Epoch, FitReport, Progress};

use crate::{Backend, Dataset, Error, Schedule, WarmUp};
use bayeslift_ir::Shape;
use bayeslift_layers::{Adam, Divergence, Optimizer, Recipe, likelihood::Bound};
use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How to fit a network: the options, and [`Fit::run`].
///
/// A step's loss is the mean negative log likelihood of its batch + weight * divergence / number of training examples.
/// Every epoch uses every training example once, in an order that only the seed and the epoch decide; where the batch
/// size does not divide their number, the last batch of an epoch is smaller (and has a compiled step of its own). Only
/// where a single example would be left over and a layer needs more, as [`BatchNormalization`] does, it is joined to
/// the batch before it.
///
/// With a validation part the network gets the parameters of the epoch with the best validation, out of those that had
/// the full weight of the divergence in all of their steps: the posterior during a warm-up is colder than was asked
/// for. Early stopping counts from the first of them. Without such an epoch the last parameters are kept, and a
/// [note](FitNote::NoEpochToChoose) says so. An epoch whose validation is infinite or not a number is never chosen, and
/// noted. If none can be chosen for that, the fit ends with [`Error::NonFiniteValidation`]; before the end if it is so
/// ten times in a row before an epoch was chosen.
///
/// A second run on the same network goes on from its parameters with a fresh optimizer. Steps and epochs of a report
/// begin with 1 again, as do schedule and warm-up; orders and noise do not: they go on by the numbers of steps and
/// epochs that the network remembers ([`Network::steps`](crate::Network::steps),
/// [`Network::epochs`](crate::Network::epochs)), so that no run has those of another. The rows of a validation split
/// stay the same.
///
/// A run that may be killed is given a [checkpoint](Fit::checkpoint).
///
/// [`BatchNormalization`]: bayeslift_layers::BatchNormalization
///
/// ```
/// use bayeslift::prelude::*;
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
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
///
/// What else there is to choose:
///
/// ```
/// use bayeslift::{layers::likelihood::Bound, prelude::*, runtime::Options};
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// # let held_out = Dataset::classification([1], vec![0.2, 0.8], vec![0, 1])?;
/// # let log = std::env::temp_dir().join(format!("bayeslift-fit-{}.csv", std::process::id()));
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
/// let report = Fit::new()
///     .epochs(4)
///     .optimizer(AdamW::new(1e-2))
///     .schedule(Schedule::Cosine { to: 0.1 })
///     .divergence(Divergence::MonteCarlo { draws: 2 })
///     .divergence_weight(0.5)
///     .divergence_schedule(Schedule::Constant)
///     .samples(4) // for each step, of which
///     .bound(Bound::Evidence) // the mean log likelihood is taken
///     .micro_batch_size(256)
///     .clip_norm(10.0)
///     .seed(7)
///     .shuffle(true)
///     .validation(held_out) // or a part of the data: `validation_split(0.2)`
///     .validation_samples(32)
///     .early_stopping(3)
///     .backend(Options::default().threads(1))
///     .log(&log)
///     .run(&mut network, &data)?;
/// assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count() as u64, 1 + report.steps); // a head
/// # std::fs::remove_file(log).unwrap();
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
    divergence_schedule: Schedule,
    warm_up: WarmUp,
    samples: usize,
    bound: Bound,
    micro_batch_size: Option<usize>,
    clip_norm: Option<f64>,
    seed: Option<u64>,
    shuffle: bool,
    validation: ValidationPart,
    validation_samples: usize,
    patience: Option<usize>,
    backend: Backend,
    progress: Option<Box<OnProgress<'a>>>,
    checkpoint: Option<(PathBuf, u64)>,
    log: Option<PathBuf>,
}

type OnProgress<'a> = dyn FnMut(&Progress<'_>) -> ControlFlow<()> + 'a;

/// Where the validation part comes from.
#[derive(Clone, Debug)]
enum ValidationPart {
    None,
    Split(f64),
    Data(Arc<Dataset>),
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
            divergence_schedule: Schedule::default(),
            warm_up: WarmUp::None,
            samples: 1,
            bound: Bound::default(),
            micro_batch_size: None,
            clip_norm: None,
            seed: None,
            shuffle: true,
            validation: ValidationPart::None,
            validation_samples: 16,
            patience: None,
            backend: Backend::default(),
            progress: None,
            checkpoint: None,
            log: None,
        }
    }

    /// By a recipe, on `examples` training examples.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// # let (inputs, values) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| (i as f32 / 9.0).sin()).collect());
    /// let data = Dataset::regression([1], inputs, 1, values)?;
    /// let recipe = Recipe::tables();
    /// let layers = Sequential::new()
    ///     .layer(AffineVariationalReparameterizationLocal::new(1, 8).recipe(&recipe).activation(Activation::Relu))
    ///     .layer(AffineVariationalReparameterizationLocal::new(8, 1).recipe(&recipe));
    /// let mut network = Network::new(layers, [1], likelihood::Normal::learned(1.0), 0)?;
    /// let report = Fit::by(&recipe, data.rows()).epochs(3).run(&mut network, &data)?;
    /// # assert_eq!(report.steps, 6);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn by(recipe: &Recipe, examples: usize) -> Self {
        Fit::new()
            .epochs(recipe.epochs(examples))
            .batch_size(recipe.batch_size)
            .learning_rate(recipe.learning_rate)
            .schedule(Schedule::Cosine { to: 0.0 })
            .divergence(recipe.divergence.clone())
            .divergence_weight(recipe.divergence_weight)
            .warm_up(WarmUp::Fraction(recipe.warm_up))
    }

    /// The number of times that every training example is used, at least 1.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// The number of examples a step uses, at least 1. All of them if there are fewer, which the report notes.
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

    /// How the weight of the divergence changes, besides the warm-up: cyclical annealing, a posterior that is cooled or
    /// warmed. Validation chooses among the epochs that had the weight of the last step in all of theirs.
    pub fn divergence_schedule(mut self, schedule: Schedule) -> Self {
        self.divergence_schedule = schedule;
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

    /// What is taken of the samples of a step; default: the evidence lower bound.
    pub fn bound(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// Computes no more rows at once, so that a batch need not fit into memory as a whole; see
    /// [`TrainerOptions::micro_batch_size`](crate::TrainerOptions::micro_batch_size).
    pub fn micro_batch_size(mut self, rows: usize) -> Self {
        self.micro_batch_size = Some(rows);
        self
    }

    /// Scales the gradients of a step so that their norm is not above this limit; see
    /// [`TrainerOptions::clip_norm`](crate::TrainerOptions::clip_norm).
    pub fn clip_norm(mut self, limit: f64) -> Self {
        self.clip_norm = Some(limit);
        self
    }

    /// Decides, with the numbers of steps and epochs that the network remembers, shuffling and noise, and alone the
    /// validation split; default: the network's own seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether each epoch has an order of its own. Default: it has.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Keeps a random part of the data for validation after every epoch. At the end the network has the parameters of
    /// the epoch with the best validation, out of those after the warm-up; see [`Fit`]. The number of training examples
    /// is that of the rest. The seed decides which rows they are: a second fit with another seed trains on some of
    /// them.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation = ValidationPart::Split(fraction);
        self
    }

    /// As [`Fit::validation_split`], with this data for validation; all of the training data is trained on.
    pub fn validation(mut self, data: Dataset) -> Self {
        self.validation = ValidationPart::Data(Arc::new(data));
        self
    }

    /// The number of posterior samples that validation draws; default: 16.
    pub fn validation_samples(mut self, samples: usize) -> Self {
        self.validation_samples = samples;
        self
    }

    /// Stops when this many epochs, at least 1, have passed without a better validation, counted from the first epoch
    /// after the warm-up. Needs a validation part.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// How steps and validation are run. Default: compiled, with [`Options::default`](bayeslift_runtime::Options).
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }

    /// Is told after each step, and may look at the network. If it returns [`ControlFlow::Break`], training stops:
    /// after the last step of an epoch with its validation, else at once. The report says so, and the network gets the
    /// best validated parameters, as at any end. If it panics, the network has the parameters of that step.
    pub fn progress<F: ProgressFlow>(mut self, mut progress: impl FnMut(&Progress<'_>) -> F + 'a) -> Self {
        self.progress = Some(Box::new(move |told| progress(told).flow()));
        self
    }

    /// Writes the course to a file after every `every` steps, at least 1, and at its end, and goes on with what is
    /// there: a program that is killed is run again as it is, and ends with the parameters, the report and the log of
    /// one that was never interrupted, bit for bit.
    ///
    /// The file has the network, the optimizer's state, the position in the epoch, the report so far and what
    /// validation keeps, and a digest of it all; it is there as a whole or not at all, as a [model
    /// file](crate::Network::save). It also says what decides the course: options, data (their digest), and the
    /// network's parameters before the first step. [`Fit::run`] goes on only if all of these are what they were. So it
    /// need not be told whether to: the result is the same either way, and what belongs to another run is neither taken
    /// for this one's nor written over, but an error that says what differs. Only threads, `every` and the place of the
    /// log are free. Closures - a schedule, layer or optimizer of one's own - are compared as far as the graph of a
    /// step, the optimizer's debugging text and some values of the schedule tell.
    ///
    /// A run that is over ends at once when it is run again; to train anew, remove the file. One that [`Fit::progress`]
    /// stopped is written too, and goes on. Times may differ, and [`Fit::progress`] may be told of a step twice, of
    /// which the second was made again. What cannot be written ends the run with [`Error::Fit`].
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// # let path = std::env::temp_dir().join(format!("bayeslift-checkpoint-{}.safetensors", std::process::id()));
    /// # let data = Dataset::regression([1], vec![0.0, 0.5, 1.0], 1, vec![0.1, 0.4, 1.1])?;
    /// let run = |epochs| {
    ///     let layer = AffineVariationalReparameterizationLocal::new(1, 1);
    ///     let mut network = Network::new(layer, [1], likelihood::Normal::fixed(0.1), 0)?;
    ///     let report = Fit::new().epochs(epochs).batch_size(2).checkpoint(&path, 100).run(&mut network, &data)?;
    ///     Ok::<_, Error>((report.epochs, network))
    /// };
    /// let (epochs, network) = run(50)?;
    /// let (again, other) = run(50)?; // makes no step
    /// assert_eq!((again, other.parameters()), (epochs, network.parameters()));
    /// let error = run(60).unwrap_err().to_string();
    /// assert!(error.ends_with("is of another course: its number of epochs is 50, expected 60"), "{error}");
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn checkpoint(mut self, path: impl AsRef<Path>, every: u64) -> Self {
        self.checkpoint = Some((path.as_ref().to_owned(), every));
        self
    }

    /// Writes a line for each step to a file, whose name ends with `.csv` or `.jsonl` (a JSON object a line): step,
    /// epoch, loss, negative log likelihood, divergence, its weight, the factor of the learning rate, and validation in
    /// the last line of an epoch that has one. Numbers read back to their bits; an infinite one is `null` in JSON.
    /// Lines are there at the end of each epoch. A file that is there is replaced, unless the run goes on from a
    /// [checkpoint](Fit::checkpoint): then no line is missing, and none is there twice.
    pub fn log(mut self, path: impl AsRef<Path>) -> Self {
        self.log = Some(path.as_ref().to_owned());
        self
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
pub(crate) fn check_shape(expected: &Shape, found: &Shape) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::argument("the shape of an input", format!("{expected}, that of the network's inputs"), found))
}
