//! Bayeslift compiles Bayesian neural networks to native code.
mod dataset;
mod engine;
mod error;
mod fit;
mod model_file;
mod network;
mod prediction;
mod predictor;
mod schedule;
mod shuffle;
mod standardizer;
mod trainer;

pub use bayeslift_ir as ir;
pub use bayeslift_layers as layers;
pub use bayeslift_passes as passes;
pub use bayeslift_runtime as runtime;
pub use dataset::{Dataset, Targets};
pub use engine::Backend;
pub use error::Error;
pub use fit::{Epoch, Fit, FitReport, Progress};
pub use model_file::ModelFile;
pub use network::Network;
pub use prediction::{Classification, Regression};
pub use predictor::{Predictor, PredictorOptions};
pub use schedule::{Schedule, WarmUp};
pub use standardizer::Standardizer;
pub use trainer::{StepInput, StepLoss, Trainer, TrainerOptions};

/// What most programs need.
pub mod prelude {
    pub use crate::{
        Backend, Classification, Dataset, Error, Fit, FitReport, ModelFile, Network, Predictor, PredictorOptions,
        Regression, Schedule, Standardizer, StepInput, Targets, Trainer, TrainerOptions, WarmUp,
    };
    pub use bayeslift_layers::{
        Activation, Adam, Affine, AffineVariationalReparameterization, AffineVariationalReparameterizationLocal,
        Divergence, Initializer, Layer, Likelihood, Posterior, PosteriorValue, Prior, Sequential, flatten_rightmost,
        metrics,
    };
}
