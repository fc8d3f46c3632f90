//! What fitting reports: while it runs, and at the end.

use super::{Diagnosis, FitNote};
use crate::{Network, PosteriorReport, StepLoss, VariableDivergence};
use bayeslift_layers::Parameters;
use std::{fmt, time::Duration};

/// What [`Fit::progress`](crate::Fit::progress) is told after each step.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'n> {
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
    /// The network after the step.
    pub network: &'n Network,
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
    /// The weight of the divergence in its last step: below [`Fit::divergence_weight`](crate::Fit::divergence_weight)
    /// during the warm-up.
    pub divergence_weight: f64,
    /// The mean over the validation part of -log of the predictive density, after the epoch.
    pub validation: Option<f64>,
}

/// What [`Fit::run`](crate::Fit::run) returns; in [`Error::Fit`](crate::Error::Fit), what there was of it.
///
/// It prints as a short summary with its notes.
///
/// ```
/// use bayeslift::prelude::*;
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
/// let report = Fit::new().epochs(3).validation_split(0.25).run(&mut network, &data)?;
/// assert_eq!((report.training_examples, report.steps, report.epochs.len()), (48, 6, 3));
/// let best = &report.epochs[report.best_epoch.expect("validation chose one") - 1];
/// assert!(report.epochs.iter().all(|epoch| best.validation <= epoch.validation));
/// assert_eq!(report.divergence_of_example(), Some(best.divergence / 48.0)); // nats
/// println!("{report}, {:.0} steps a second", report.steps_per_second());
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FitReport {
    /// The history of the epochs that are over.
    pub epochs: Vec<Epoch>,
    /// The number of steps made.
    pub steps: u64,
    /// The epoch, counted from 1, that validation chose, whose parameters the network now has; `None` if it chose none,
    /// as without a validation part: they are those of the last step.
    pub best_epoch: Option<usize>,
    /// The weight of the divergence in the last step that made the parameters which the network now has; 0 if there was
    /// no step.
    pub divergence_weight: f64,
    /// The posterior of an optimizer that has one, such as [`Ivon`](bayeslift_layers::Ivon), around the parameters that
    /// the network now has: what [`Trainer::posterior`](crate::Trainer::posterior) tells, with the scales of the last
    /// step.
    pub posterior: Option<Parameters>,
    /// Whether training stopped before its last epoch, because validation got no better.
    pub stopped_early: bool,
    /// Whether [`Fit::progress`](crate::Fit::progress) stopped it before that.
    pub stopped: bool,
    /// The number of examples trained on, after a validation split.
    pub training_examples: usize,
    /// What went otherwise than the options may have meant.
    pub notes: Vec<FitNote>,
    /// What is remarkable about the fit itself, and what to do about it.
    pub diagnoses: Vec<Diagnosis>,
    /// How far the posterior of each random variable has moved.
    pub posteriors: Vec<PosteriorReport>,
    /// The divergence of each random variable in the last step that was made, and how it was computed.
    pub divergences: Vec<VariableDivergence>,
    /// How long the first compilation took, for a full batch; of a run that went on from a checkpoint, that of its last
    /// part.
    pub compile_time: Duration,
    /// How long all took after the first compilation; of a run that went on from a checkpoint, with its parts before,
    /// as far as they were kept.
    pub train_time: Duration,
}

impl FitReport {
    /// Steps in a second of training, validation included.
    pub fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.train_time.as_secs_f64()
    }

    /// Notes the divergences of a step; names but once.
    pub(super) fn note_divergences(&mut self, of_step: &[VariableDivergence]) {
        if self.divergences.len() != of_step.len() {
            self.divergences = of_step.to_vec();
        }
        self.divergences.iter_mut().zip(of_step).for_each(|(noted, now)| noted.nats = now.nats);
    }

    /// The epoch whose parameters the network has, or the last one.
    pub(super) fn kept_epoch(&self) -> Option<&Epoch> {
        self.best_epoch.and_then(|best| self.epochs.get(best - 1)).or(self.epochs.last())
    }

    /// The divergence of an example, in nats, neither weighted nor divided by anything else, in the epoch whose
    /// parameters the network has; `None` before the first epoch is over.
    pub fn divergence_of_example(&self) -> Option<f64> {
        self.kept_epoch().map(|epoch| epoch.divergence / self.training_examples as f64)
    }

    /// Which parameters the network has.
    pub(crate) fn kept(&self) -> String {
        match (self.best_epoch, self.steps) {
            (Some(epoch), _) => format!("the network now has the parameters of epoch {epoch}, the best validated"),
            (None, 0) => "the network is unchanged".to_owned(),
            (None, step) => format!("the network now has the parameters of step {step}"),
        }
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epochs, seconds) = (self.epochs.len(), self.train_time.as_secs_f64());
        let early = match (self.stopped_early, self.stopped) {
            (true, _) => ", stopped early",
            (false, true) => ", stopped by the program",
            (false, false) => "",
        };
        write!(f, "{epochs} epochs, {} steps on {} examples", self.steps, self.training_examples)?;
        write!(f, " in {seconds:.2} s{early}; {}", self.kept())?;
        if let Some(Epoch { epoch, loss, negative_log_likelihood, divergence, validation, .. }) = self.kept_epoch() {
            let (weight, of_example) = (self.divergence_weight, divergence / self.training_examples as f64);
            write!(f, "\nepoch {epoch}: loss {loss:.4}, negative log likelihood {negative_log_likelihood:.4}")?;
            write!(f, ", divergence {divergence:.1} weighted by {weight}, {of_example:.4} of an example")?;
            validation.map_or(Ok(()), |validation| write!(f, ", validation {validation:.4}"))?;
        }
        for posterior in &self.posteriors {
            write!(f, "\n{posterior}")?;
            if let Some(divergence) = self.divergences.iter().find(|one| one.path == posterior.path) {
                write!(f, ", {}", divergence.words())?;
            }
        }
        let has_line = |path: &str| self.posteriors.iter().any(|posterior| posterior.path == path);
        let others = self.divergences.iter().filter(|one| !has_line(&one.path));
        others.into_iter().try_for_each(|divergence| write!(f, "\n{divergence}"))?;
        self.notes.iter().try_for_each(|note| write!(f, "\nnote: {note}"))?;
        self.diagnoses.iter().try_for_each(|diagnosis| write!(f, "\nnote: {diagnosis}"))
    }
}
