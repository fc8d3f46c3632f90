//! Bayeslift compiles Bayesian neural networks to native code.
//!
//! A program builds a network out of variational layers. Bayeslift turns a whole training step - forward pass,
//! gradients, optimizer - into one compiled function, and the trained network into another that answers with calibrated
//! uncertainty.
//!
//! ```
//! use bayeslift::prelude::*;
//!
//! fn main() -> Result<(), Error> {
//!     // Two interleaved spirals: where is a point?
//!     let point = |i: usize| [(i as f32 * 0.1).cos(), (i as f32 * 0.1).sin()].map(|x| x * i as f32 / 100.0);
//!     let (one, other) = ((0..100).flat_map(point), (0..100).flat_map(|i| point(i).map(|x| -x)));
//!     let data = Dataset::classification([2], one.chain(other).collect(), [[0; 100], [1; 100]].concat())?;
//!
//!     let layers = Sequential::new()
//!         .layer(AffineVariationalReparameterizationLocal::new(2, 32).activation(Activation::Tanh))
//!         .layer(AffineVariationalReparameterizationLocal::new(32, 2));
//!     let mut network = Network::new(layers, [2], likelihood::Categorical, 42)?;
//!     let report = Fit::new().epochs(30).learning_rate(1e-2).divergence_weight(0.1).run(&mut network, &data)?;
//!     println!("compiled in {:?}, {:.0} steps a second", report.compile_time, report.steps_per_second());
//!
//!     let prediction = Predictor::new(&network)?.classify(&[0.5, 0.5, 30.0, -30.0])?;
//!     println!("the first point is on spiral 1 with probability {}", prediction.row(0)[1]);
//!     println!("{} nats of doubt about the second come from the weights", prediction.mutual_information()[1]);
//!     Ok(())
//! }
//! ```
//!
//! # Parts
//!
//! - [`Network`]: a [layer](layers::Layer) with its parameters, the shape of its inputs and the likelihood of its
//!   targets; [saved](Network::save) as safetensors, [looked at](ModelFile) without the program.
//! - [`Dataset`], [`Standardizer`]: examples in memory, with weights and missing targets, checked once.
//! - [`Fit`]: epochs, shuffling, warm-up of the divergence, validation, early stopping, checkpoints that a run goes on
//!   from. Below it [`Trainer`]: one step.
//! - [`Predictor`]: means over posterior samples with the two parts of their uncertainty, from many threads at once.
//! - [`Explanation`]: what was fused into each kernel, how much that is and how long it takes, as text or as a picture.
//! - [`NewFile`], [`npy`]: files that are whole or not there, and arrays of NumPy.
//! - [`layers`]: layers, posteriors, priors, divergences, likelihoods, optimizers, metrics. [`ir`], `bayeslift_passes`
//!   and [`runtime`]: the graph, its gradients and its compilation, for those who go below.
//!
//! # The same bits everywhere
//!
//! The number of threads, the vector width, the split of a prediction over calls, and the machine do not change a
//! single bit: every noise draw has an address made of seed, step, place in the network, sample, row and unit, and the
//! order of every sum is part of its definition. [`Backend::Reference`] runs the same step by the evaluator that
//! defines it.

mod abstention;
mod comparison;
mod dataset;
#[cfg(feature = "deploy")]
pub mod deploy;
mod engine;
mod ensemble;
mod error;
mod fit;
mod floats;
mod model_file;
mod network;
mod new_file;
pub mod npy;
mod posteriors;
mod prediction;
mod predictor;
mod schedule;
mod shuffle;
mod source;
mod standardizer;
#[cfg(feature = "npz")]
mod tfp_file;
mod trainer;
mod training_file;
mod warm_start;

pub use abstention::{Abstention, Measure};
pub use bayeslift_ir as ir;
pub use bayeslift_layers as layers;
pub use bayeslift_passes::gradients;
pub use bayeslift_runtime as runtime;
pub use bayeslift_runtime::Explanation;
pub use comparison::{Comparison, Scores};
pub use dataset::{Dataset, Targets};
pub use engine::{Backend, SharedCode};
pub use ensemble::{Ensemble, EnsembleAnswer, EnsembleClassification, EnsemblePredictor, EnsembleRegression};
pub use error::Error;
pub use fit::{Diagnosis, Epoch, Fit, FitNote, FitReport, Progress, ProgressFlow};
pub(crate) use floats::FloatCow;
pub use floats::{Float, Floats};
pub use model_file::{Described, DescribedLayer, ModelFile};
pub use network::Network;
pub use new_file::NewFile;
pub use posteriors::PosteriorReport;
pub use prediction::{Answer, Classification, Regression};
pub use predictor::{DecisionOptions, Decisions, Double, Predictive, Predictor, PredictorOptions};
pub use schedule::{Position, Schedule, WarmUp};
pub use source::{Source, SourceError};
pub use standardizer::Standardizer;
pub use trainer::{DeviceTraining, StepInput, StepLoss, Trainer, TrainerOptions, VariableDivergence};
pub use warm_start::{StartReport, WeightMap};

/// What most programs need, those with layers and optimizers of their own too. The layers' error is `LayerError` here.
///
/// ```
/// use bayeslift::prelude::*;
///
/// /// x^2, with a factor for each unit.
/// struct Square(usize);
///
/// impl Layer for Square {
///     fn name(&self) -> &str {
///         "square"
///     }
///     fn declare(&self, scope: &Scope<'_>) -> Result<(), LayerError> {
///         scope.parameter("factor", &[self.0].into(), &Initializer::Ones).map(drop)
///     }
///     fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, LayerError> {
///         context.check_input(x, self.0)?;
///         let factor = context.scope().parameter("factor", &[self.0].into(), &Initializer::Ones)?;
///         Ok(Call::new(x.square() * factor))
///     }
/// }
///
/// /// A random offset for each unit.
/// struct Offset(usize);
///
/// impl VariationalLayer for Offset {
///     fn kind(&self) -> &str {
///         "offset"
///     }
///     fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, LayerError> {
///         let prior = distribution::Normal::scalar(scope.builder(), 0.0, 1.0);
///         Ok(vec![RandomVariable::mean_field(scope, "by", [self.0], &Initializer::Zeros, 0.1, prior)?])
///     }
///     fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, LayerError> {
///         draws.context().check_input(x, self.0)?;
///         Ok(x + on_units(draws.value("by")?, x))
///     }
/// }
///
/// /// Moves every parameter by the rate, against the sign of its gradient.
/// #[derive(Debug)]
/// struct SignDescent(f64);
///
/// impl Optimizer for SignDescent {
///     fn name(&self) -> &'static str {
///         "sign_descent"
///     }
///     fn state(&self, _: &Variable) -> &'static [&'static str] {
///         &[]
///     }
///     fn scalar_values(&self, _step: u64, rate: f64) -> Vec<f64> {
///         vec![self.0 * rate]
///     }
///     fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
///         let sign = gradient.less(0.0).select(-1.0, 1.0);
///         Update { parameter: step.parameter - sign * step.scalars[0], state: vec![] }
///     }
///     fn check(&self) -> Result<(), LayerError> {
///         Ok(())
///     }
/// }
///
/// let data = Dataset::regression([1], vec![0.0, 1.0, 2.0, 3.0], 1, vec![1.0, 3.0, 9.0, 19.0])?;
/// let layers = Sequential::new().layer(Square(1)).layer(Offset(1));
/// let mut network = Network::new(layers, [1], likelihood::Normal::fixed(1.0), 0)?;
/// let mut losses = Vec::new();
/// Fit::new()
///     .epochs(20)
///     .optimizer(SignDescent(0.05))
///     .backend(Options::default().threads(1))
///     .progress(|progress: &Progress| losses.push(progress.loss.loss))
///     .run(&mut network, &data)?;
/// assert!(losses[19] < losses[0]);
/// # Ok::<(), Error>(())
/// ```
pub mod prelude {
    pub use crate::{
        Backend, Classification, Dataset, Error, Fit, FitReport, ModelFile, Network, Predictive, Predictor,
        PredictorOptions, Progress, Regression, Schedule, Standardizer, StepInput, Targets, Trainer, TrainerOptions,
        WarmUp,
    };
    pub use bayeslift_ir::Expr;
    pub use bayeslift_layers::{
        Activation, Adam, AdamW, Affine, AffineVariationalFlipout, AffineVariationalReparameterization,
        AffineVariationalReparameterizationLocal, AnyDistribution, BatchNormalization, Branches, Call, Context,
        Convolution, ConvolutionTranspose, ConvolutionTransposeVariationalFlipout,
        ConvolutionTransposeVariationalReparameterization, ConvolutionTransposeVariationalReparameterizationLocal,
        ConvolutionVariationalFlipout, ConvolutionVariationalReparameterization,
        ConvolutionVariationalReparameterizationLocal, Distribution, Divergence, Draw, Draws, Dropout, Embedding,
        EmbeddingVariationalFlipout, EmbeddingVariationalReparameterization,
        EmbeddingVariationalReparameterizationLocal, Error as LayerError, Flatten, GlobalPooling, Initializer, Ivon,
        Layer, LayerDescription, LayerNormalization, Lazy, Likelihood, Optimizer, Padding, Pooling, Posterior,
        PosteriorValue, Prior, RandomVariable, Recipe, Residual, RmsProp, Scope, Sequential, Sgd, Sgld, Step, Unseen,
        Update, Variable, VariationalLayer, distribution, flatten_rightmost, likelihood, metrics, on_units,
    };
    pub use bayeslift_runtime::Options;
}

/// The README's program, compiled by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The guide's programs, likewise.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
