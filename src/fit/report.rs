//! What fitting reports: while it runs, and at the end.

use crate::StepLoss;
use std::time::Duration;

/// What [`Fit::progress`](crate::Fit::progress) is told after each step.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The step, counted from 1.
    pub step: u64,
    /// The number of steps if training does not stop early.
    pub steps: u64,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// What the step measured.
    pub loss: StepLoss,
    /// The validation part's negative log likelihood after the last epoch that is over.
    pub validation: Option<f64>,
}

/// The history of one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Epoch {
    /// The number of the epoch, counted from 1.
    pub epoch: usize,
    /// The mean over its examples of the steps' losses.
    pub loss: f64,
    /// Likewise of the negative log likelihood.
    pub negative_log_likelihood: f64,
    /// Likewise of the divergence, in nats, neither weighted nor divided.
    pub divergence: f64,
    /// The mean over the validation part of -log of the predictive density, after the epoch.
    pub validation: Option<f64>,
}

/// What [`Fit::run`](crate::Fit::run) returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FitReport {
    /// The history.
    pub epochs: Vec<Epoch>,
    /// The number of steps made.
    pub steps: u64,
    /// The epoch, counted from 1, whose parameters the network now has; `None` without a validation part: the last.
    pub best_epoch: Option<usize>,
    /// Whether training stopped before its last epoch.
    pub stopped_early: bool,
    /// The number of examples trained on, after a validation split.
    pub training_examples: usize,
    /// How long the first compilation took, for a full batch.
    pub compile_time: Duration,
    /// How long all took after the first compilation.
    pub train_time: Duration,
}

impl FitReport {
    /// Steps in a second of training, validation included.
    pub fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.train_time.as_secs_f64()
    }
}
