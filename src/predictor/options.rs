//! How to predict.

use crate::Backend;
use bayeslift_layers::PosteriorValue;

/// How a [`Predictor`](crate::Predictor) predicts.
///
/// ```
/// use bayeslift::{prelude::*, runtime::Options};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let predictor = |options: PredictorOptions| Predictor::with_options(&network, &options);
/// let regress = |options: PredictorOptions, inputs: &[f32]| predictor(options)?.regress(inputs);
///
/// let options = PredictorOptions::default().samples(100).seed(7);
/// let other_blocks = options.clone().blocks(8, 64).backend(Options::default().threads(1));
/// let inputs = [0.1, 0.2, -1.0, 0.0];
/// assert_eq!(regress(options.clone(), &inputs)?, regress(other_blocks, &inputs)?); // the same bits
///
/// let of_means = regress(options.clone().posterior_value(PosteriorValue::Mean), &inputs)?;
/// assert_eq!(of_means.epistemic(), [0.0, 0.0]); // nothing is drawn
///
/// let broken = [0.1, 0.2, f32::NAN, 0.0];
/// assert!(regress(options.clone(), &broken).is_err());
/// let rows = regress(options.check_inputs(false).allow_non_finite(true), &broken)?;
/// assert!(rows.mean()[0].is_finite() && rows.mean()[1].is_nan());
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PredictorOptions {
    /// The number of posterior samples; default: 64.
    pub samples: usize,
    /// Addresses the noise; default: the network's seed.
    pub seed: Option<u64>,
    /// The number of samples that are computed at once. Results do not depend on it.
    pub sample_block: usize,
    /// The number of rows that are computed at once. Results do not depend on it.
    pub row_block: usize,
    /// A value of the posteriors to use instead of the layers' own, such as [`PosteriorValue::Mean`].
    pub posterior_value: Option<PosteriorValue>,
    /// Whether inputs are checked to be finite. Default: they are.
    pub check_inputs: bool,
    /// Whether a row whose prediction is not finite is returned, as what is not a number, instead of an error. By
    /// default it is not.
    pub allow_non_finite: bool,
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
            allow_non_finite: false,
            backend: Backend::default(),
        }
    }
}

impl PredictorOptions {
    /// With this number of posterior samples of each row, at least 1 and below 2^32; default: 64.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// With this seed, which addresses the noise; default: the network's.
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

    /// With or without rows whose prediction is not finite: all numbers of such a row are `NaN`, and it has no label.
    /// The other rows are what they are without it.
    pub fn allow_non_finite(mut self, allow: bool) -> Self {
        self.allow_non_finite = allow;
        self
    }

    /// Run in this way; default: compiled, on all cores.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }
}
