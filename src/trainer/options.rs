//! How steps are made, and what one is called with.

use crate::{Backend, Floats, Targets};
use bayeslift_layers::{Adam, Divergence, Optimizer, likelihood::Bound};
use std::sync::Arc;

/// How a [`Trainer`](crate::Trainer) makes its steps.
///
/// ```
/// use bayeslift::prelude::*;
/// let options = TrainerOptions::default().optimizer(Sgd::new(0.1)).divergence(Divergence::Exact).samples(4).seed(7);
/// assert_eq!((options.samples, options.seed), (4, Some(7)));
///
/// use bayeslift::{layers::likelihood::Bound, runtime::Options};
/// let options = options.bound(Bound::ImportanceWeighted).micro_batch_size(256).clip_norm(10.0);
/// let options = options.backend(Options::default().threads(1));
/// assert_eq!((options.micro_batch_size, options.clip_norm), (Some(256), Some(10.0)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainerOptions {
    /// The rule that moves parameters; default: Adam with rate 1e-3.
    pub optimizer: Arc<dyn Optimizer>,
    /// How the divergence is computed.
    pub divergence: Divergence,
    /// The number of posterior samples that the negative log likelihood of a step is a mean over; default: 1.
    pub samples: usize,
    /// What is taken of these samples; default: the evidence lower bound.
    pub bound: Bound,
    /// The most rows that are computed at once; default: all of a batch.
    pub micro_batch_size: Option<usize>,
    /// What the norm of a step's gradients is kept at or below; default: anything.
    pub clip_norm: Option<f64>,
    /// Addresses the noise, with the number of steps made on the network; default: the network's seed.
    pub seed: Option<u64>,
    /// How steps are run.
    pub backend: Backend,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        TrainerOptions {
            optimizer: Arc::new(Adam::default()),
            divergence: Divergence::default(),
            samples: 1,
            bound: Bound::default(),
            micro_batch_size: None,
            clip_norm: None,
            seed: None,
            backend: Backend::default(),
        }
    }
}

impl TrainerOptions {
    /// With this rule that moves parameters.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self
    }

    /// With the divergence computed in this way.
    pub fn divergence(mut self, divergence: Divergence) -> Self {
        self.divergence = divergence;
        self
    }

    /// With this number of posterior samples in each step, at least 1.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// With this taken of the samples.
    pub fn bound(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// With steps on more than `rows` rows made in parts of `rows` rows: gradient accumulation, with the bits of the
    /// step on one batch. Memory is that of a part. A step is checked for what is not finite after it was computed,
    /// beside parameters and state.
    ///
    /// Sums over rows add 256 rows (products) or 64 (other sums) at a time, and parts must end where these do: take
    /// multiples of 256. Where a row adds more than once to a product, as in convolutions, fewer may do; an error says
    /// of what the number must be a multiple. The last part of a batch may have any number of rows. Layers for which a
    /// row depends on all others, as [`BatchNormalization`](bayeslift_layers::BatchNormalization), are refused at the
    /// first step, and mostly so are several samples, which products add one after the other.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(4, 3);
    /// let targets = Targets::Labels((0..600).map(|i| i % 3).collect());
    /// let inputs: Vec<f32> = (0..2400).map(|i| (i as f32 * 0.7).sin()).collect();
    /// let train = |options| -> Result<Network, Error> {
    ///     let mut network = Network::new(layer.clone(), [4], likelihood::Categorical, 0)?;
    ///     Trainer::new(&network, 600, options)?.step(&mut network, StepInput::new(&inputs, &targets))?;
    ///     Ok(network)
    /// };
    /// let whole = train(TrainerOptions::default())?;
    /// assert_eq!(train(TrainerOptions::default().micro_batch_size(256))?.parameters(), whole.parameters());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn micro_batch_size(mut self, rows: usize) -> Self {
        self.micro_batch_size = Some(rows);
        self
    }

    /// With the gradients of each step scaled, all by one number, so that their norm is not above this limit (Pascanu
    /// et al. 2013): the root of the sum of squares of all of their elements. Positive.
    ///
    /// The norm is computed in `f64`, so that no finite gradient is too large or small for it. It must be known before
    /// the first parameter moves, so updates wait for all gradients: a step of 784-400-400-10 with 128 rows takes 1.07
    /// times as long.
    pub fn clip_norm(mut self, limit: f64) -> Self {
        self.clip_norm = Some(limit);
        self
    }

    /// With this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Run in this way.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }
}

/// What one step is called with, besides parameters and state.
///
/// ```
/// use bayeslift::prelude::*;
/// let targets = Targets::Labels(vec![0, 1]);
/// let input = StepInput::new(&[0.5, -0.5], &targets).divergence_weight(0.1).rate(0.5);
/// assert_eq!((input.divergence_weight, input.rate), (0.1, 0.5));
/// // the second target is not known, and the first row counts twice
/// let input = input.present(Some(&[true, false])).weights(Some(&[2.0, 1.0]));
/// assert_eq!(input.weights, Some(&[2.0, 1.0][..]));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StepInput<'a> {
    /// Inputs, `[rows, input..]`, row after row.
    pub inputs: Floats<'a>,
    /// The targets of these rows.
    pub targets: &'a Targets,
    /// The weight of the divergence; default: 1. The division by the number of training examples is the trainer's.
    pub divergence_weight: f64,
    /// A factor of the learning rate; default: 1.
    pub rate: f64,
    /// Which targets are known, one truth value for each, in their order; default: all. Others add nothing to the loss,
    /// whatever stands in their places, such as `NaN`.
    pub present: Option<&'a [bool]>,
    /// How many times each row counts, one finite number for each, not negative; default: once.
    pub weights: Option<&'a [f32]>,
}

impl<'a> StepInput<'a> {
    /// A batch of `f32` inputs, `[rows, input..]`, row after row, with their targets. Its divergence has weight 1, and
    /// the learning rate is the optimizer's own. A network of [`f64`](crate::layers::Sequential::dtype) takes it too:
    /// each `f32` is also an `f64`.
    ///
    /// The number of rows is that of the inputs over the size of one. Nothing is checked here: [`Trainer::step`]
    /// refuses a batch that does not fit its network.
    ///
    /// [`Trainer::step`]: crate::Trainer::step
    pub fn new(inputs: &'a [f32], targets: &'a Targets) -> Self {
        StepInput::of(Floats::F32(inputs), targets)
    }

    /// As [`StepInput::new`], with inputs of `f64`, for a network of [`f64`](crate::layers::Sequential::dtype). A
    /// network of `f32` refuses them in [`Trainer::step`](crate::Trainer::step): nothing is rounded silently.
    ///
    /// ```
    /// use bayeslift::{ir::DType, prelude::*};
    ///
    /// let layers = Sequential::new().dtype(DType::F64).layer(AffineVariationalReparameterizationLocal::new(1, 1));
    /// let mut network = Network::new(layers, [1], likelihood::Normal::fixed(0.1), 0)?;
    /// let mut trainer = Trainer::new(&network, 2, TrainerOptions::default())?;
    /// let targets = Targets::Doubles { units: 1, values: vec![0.0, 1.0] };
    /// let loss = trainer.step(&mut network, StepInput::f64(&[0.1, 0.2], &targets))?;
    /// assert!(loss.loss.is_finite());
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn f64(inputs: &'a [f64], targets: &'a Targets) -> Self {
        StepInput::of(Floats::F64(inputs), targets)
    }

    pub(crate) fn of(inputs: Floats<'a>, targets: &'a Targets) -> Self {
        StepInput { inputs, targets, divergence_weight: 1.0, rate: 1.0, present: None, weights: None }
    }

    /// With this weight of the divergence: less than 1 for a cold posterior, 0 for none.
    pub fn divergence_weight(mut self, weight: f64) -> Self {
        self.divergence_weight = weight;
        self
    }

    /// With this factor of the learning rate.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// With only these targets known; all are for `None`.
    pub fn present(mut self, present: Option<&'a [bool]>) -> Self {
        self.present = present;
        self
    }

    /// With these weights of rows; all count once for `None`.
    pub fn weights(mut self, weights: Option<&'a [f32]>) -> Self {
        self.weights = weights;
        self
    }

    /// Which step it is an input of.
    pub(super) fn form(&self, rows: usize) -> Form {
        Form { rows, has_present: self.present.is_some(), has_weights: self.weights.is_some() }
    }
}

/// What steps are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub rows: usize,
    pub has_present: bool,
    pub has_weights: bool,
}

impl From<usize> for Form {
    /// So many rows, of which all targets are known and count once.
    fn from(rows: usize) -> Form {
        Form { rows, has_present: false, has_weights: false }
    }
}
