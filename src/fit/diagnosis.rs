//! What is remarkable about a fit, and what to do about it.

use super::FitReport;
use crate::PosteriorReport;
use std::fmt;

/// A posterior is at its start if its scale has changed by less than this factor,
const MOVED: f64 = 1.5;
/// and that of a point if weights are this many times as large as it is wide.
const POINT: f64 = 20.0;
/// The divergence outweighs a likelihood that is smaller by this factor, where that is not near 0.
const OUTWEIGHS: f64 = 3.0;
const NEAR: f64 = 0.3;

/// A sign that a fit did not come to what it could. It prints as a sentence that says what to do.
///
/// ```
/// use bayeslift::{Diagnosis, prelude::*};
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
/// // a hundred times the weight of the evidence lower bound
/// let report = Fit::new().epochs(2).divergence_weight(100.0).run(&mut network, &data)?;
/// let outweighs = |diagnosis: &Diagnosis| matches!(diagnosis, Diagnosis::DivergenceOutweighs { .. });
/// assert!(report.diagnoses.iter().any(outweighs));
/// report.diagnoses.iter().for_each(|diagnosis| println!("{diagnosis}"));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// The posteriors of most weights are about as wide as at the start, and weights many times as large as that:
    /// predictions by samples are those of a point.
    PosteriorAtItsStart {
        /// The median standard deviation of the largest such random variable, before and after.
        scale: [f64; 2],
    },
    /// The weighted divergence of an example is many times its negative log likelihood: what is minimized is mostly the
    /// divergence.
    DivergenceOutweighs {
        /// The weighted divergence of an example in the epoch whose parameters are kept, in nats.
        divergence: f64,
        /// Its negative log likelihood, in nats.
        negative_log_likelihood: f64,
    },
    /// Validation was best after the last epoch: training may have ended too early.
    ValidationStillFalls {
        /// By how much it fell from the epoch before, in nats.
        by: f64,
    },
}

/// What there is to say of a report.
pub(super) fn diagnoses(report: &FitReport) -> Vec<Diagnosis> {
    [posterior_at_its_start(&report.posteriors), divergence_outweighs(report), validation_still_falls(report)]
        .into_iter()
        .flatten()
        .collect()
}

fn posterior_at_its_start(posteriors: &[PosteriorReport]) -> Option<Diagnosis> {
    let is_point = |posterior: &&PosteriorReport| {
        let [before, after] = posterior.scale;
        after < before * MOVED && before < after * MOVED && posterior.signal_to_noise[1] > POINT
    };
    let elements = |of: &[&PosteriorReport]| of.iter().map(|posterior| posterior.elements).sum::<usize>();
    let points: Vec<&PosteriorReport> = posteriors.iter().filter(is_point).collect();
    let largest = points.iter().max_by_key(|posterior| posterior.elements)?;
    let are_most = 2 * elements(&points) > elements(&posteriors.iter().collect::<Vec<_>>());
    are_most.then_some(Diagnosis::PosteriorAtItsStart { scale: largest.scale })
}

fn divergence_outweighs(report: &FitReport) -> Option<Diagnosis> {
    let divergence = report.divergence_weight * report.divergence_of_example()?;
    let negative_log_likelihood = report.kept_epoch()?.negative_log_likelihood;
    let outweighs = divergence > OUTWEIGHS * negative_log_likelihood.abs().max(NEAR);
    outweighs.then_some(Diagnosis::DivergenceOutweighs { divergence, negative_log_likelihood })
}

fn validation_still_falls(report: &FitReport) -> Option<Diagnosis> {
    let [.., before, last] = &report.epochs[..] else { return None };
    let by = before.validation? - last.validation?;
    (report.best_epoch == Some(last.epoch) && by > 0.0).then_some(Diagnosis::ValidationStillFalls { by })
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagnosis::PosteriorAtItsStart { scale: [before, after] } => write!(
                f,
                "the posterior has hardly left its start (scales {before:.1e} to {after:.1e}), so predictions are those of a \
                 point: train longer, or start wider, as `Recipe` does"
            ),
            Diagnosis::DivergenceOutweighs { divergence, negative_log_likelihood } => write!(
                f,
                "the divergence outweighs the likelihood: {divergence:.3} nats of an example against \
                 {negative_log_likelihood:.3}; if the network underfits, use a prior as wide as weights are, a smaller weight of \
                 the divergence, or more data"
            ),
            Diagnosis::ValidationStillFalls { by } => write!(
                f,
                "validation was best after the last epoch, {by:.4} nats better than after the one before: train longer"
            ),
        }
    }
}
