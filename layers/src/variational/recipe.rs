//! Settings that go together, and were measured together.

use crate::{Divergence, Posterior, Prior};
use std::ops::RangeInclusive;

/// What a variational network is trained with: posterior and prior of its layers, and how they are fitted. TFP's
/// defaults, which are those of the layers, start posteriors so narrow and take priors so wide that short training
/// stops at a point and long training underfits; `docs/uncertainty.md` has the tables that each recipe was chosen by.
///
/// A layer takes its part by [`Variational::recipe`](crate::Variational::recipe), a fit by `Fit::by`.
///
/// ```
/// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Recipe};
/// let recipe = Recipe::tables();
/// let layer = AffineVariationalReparameterizationLocal::new(13, 50).recipe(&recipe);
/// assert_eq!(recipe.epochs(455), 1000);
/// assert_eq!(recipe.epochs(7373), 86);
/// assert_eq!(Recipe::few().divergence_weight, 0.7); // for tables of some tens of rows
/// assert!(Recipe::images().epochs(60_000) >= 1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recipe {
    /// The posterior of layers.
    pub posterior: Posterior,
    /// The prior of layers.
    pub prior: Prior,
    /// How the divergence is computed.
    pub divergence: Divergence,
    /// The weight of the divergence: 1 for the evidence lower bound, less for a cold posterior.
    pub divergence_weight: f64,
    /// The part of all steps for which that weight rises from 0.
    pub warm_up: f64,
    /// Adam's learning rate at first; it falls to 0 along a cosine.
    pub learning_rate: f64,
    /// The number of examples of a step.
    pub batch_size: usize,
    /// About how many steps there are,
    pub steps: usize,
    /// but never fewer or more epochs than these.
    pub epochs: RangeInclusive<usize>,
}

impl Recipe {
    /// For tables of hundreds to ten thousands of rows, standardized: N(0, 1) on every weight, posteriors that begin
    /// with scale 0.05, the exact divergence, whose weight rises for three quarters of 20,000 steps.
    pub fn tables() -> Recipe {
        Recipe {
            posterior: Posterior::mean_field_with_scale(0.05),
            prior: Prior::normal(0.0, 1.0),
            divergence: Divergence::Exact,
            divergence_weight: 1.0,
            warm_up: 0.75,
            learning_rate: 1e-2,
            batch_size: 32,
            steps: 20_000,
            epochs: 40..=1000,
        }
    }

    /// For tables of some tens to a hundred rows: as [`Recipe::tables`], but a colder posterior, whose divergence has
    /// the weight 0.7 and rises for nine tenths of all steps. With so few rows that recipe switches units off that are
    /// needed, and takes what they explained for noise; with 200 it is this one that is worse, since it is too sure.
    pub fn few() -> Recipe {
        Recipe { divergence_weight: 0.7, warm_up: 0.9, ..Recipe::tables() }
    }

    /// For tens of thousands of images: TFP's posterior and prior, a cold posterior, whose divergence has the weight
    /// 0.13, and a rate that moves scales in 12,000 steps.
    pub fn images() -> Recipe {
        Recipe {
            posterior: Posterior::mean_field(),
            prior: Prior::spike_and_slab(),
            divergence: Divergence::MonteCarlo { draws: 1 },
            divergence_weight: 0.13,
            warm_up: 0.0,
            learning_rate: 2e-3,
            batch_size: 128,
            steps: 12_000,
            epochs: 10..=100,
        }
    }

    /// The number of epochs on `examples` training examples.
    pub fn epochs(&self, examples: usize) -> usize {
        let steps_of_an_epoch = examples.div_ceil(self.batch_size.max(1)).max(1);
        (self.steps / steps_of_an_epoch).clamp(*self.epochs.start(), *self.epochs.end().max(self.epochs.start()))
    }
}
