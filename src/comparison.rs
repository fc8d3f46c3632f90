//! What drawing weights is worth: scores by posterior samples beside those of the posterior's mean.

use crate::{Dataset, Error, Network, Predictor, PredictorOptions, Targets, dataset::weighted_mean};
use bayeslift_ir::Environment;
use bayeslift_layers::{PosteriorValue, metrics};
use std::fmt;

/// How good predictions of a data set are: a half of a [`Comparison`].
///
/// Only the negative log likelihood is known of all data. The others are `None` where targets are of another kind, are
/// missing, or have weights.
///
/// ```
/// use bayeslift::{Comparison, Scores, prelude::*};
///
/// # let (inputs, values) = ((0..64).map(|i| i as f32 / 64.0).collect(), vec![0.0; 64]);
/// let data = Dataset::regression([1], inputs, 1, values)?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 1).kernel_initializer(Initializer::Zeros);
/// let network = Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0)?;
/// let Scores { negative_log_likelihood, accuracy, root_mean_square_error, .. } =
///     Comparison::new(&network, &data, &PredictorOptions::default())?.mean;
/// // the mean weight is 0 and so are all targets: -log density of N(0, 1) at 0 is log(2 pi) / 2
/// assert!((negative_log_likelihood - 0.9189).abs() < 1e-4);
/// assert_eq!((accuracy, root_mean_square_error), (None, Some(0.0)));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scores {
    /// The mean over rows of -log p(target | input), in nats.
    pub negative_log_likelihood: f64,
    /// The part of rows whose most probable class is their label; of data with one label a row.
    pub accuracy: Option<f64>,
    /// The [expected calibration error](metrics::calibration), with as many bins as there; of data with one label a
    /// row.
    pub calibration_error: Option<f64>,
    /// The square root of the mean squared error of predicted means; of data of numbers.
    pub root_mean_square_error: Option<f64>,
}

/// A network's predictions by posterior samples, and as if its weights were the means of their posteriors. Where the
/// two do not differ, drawing weights is not worth its time.
///
/// ```
/// use bayeslift::{Comparison, prelude::*};
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let network = Network::new(AffineVariationalReparameterizationLocal::new(1, 2), [1], likelihood::Categorical, 0)?;
/// let comparison = Comparison::new(&network, &data, &PredictorOptions::default())?;
/// println!("{comparison}");
/// // scales of 1e-3 are as good as none
/// assert!((comparison.samples.negative_log_likelihood - comparison.mean.negative_log_likelihood).abs() < 1e-3);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// By posterior samples, as many as the options say.
    pub samples: Scores,
    /// By the means of posteriors.
    pub mean: Scores,
    /// The mean over rows of log p(target | input) by samples less that by means: what samples gain, in nats.
    pub gain: f64,
    /// The standard error of the gain over rows, whose differences are taken row by row.
    pub gain_standard_error: f64,
}

impl Comparison {
    /// Compares on a data set, which training has not seen.
    ///
    /// # Errors
    /// As for [`Predictor::with_options`] and [`Predictor::log_likelihood`].
    pub fn new(network: &Network, data: &Dataset, options: &PredictorOptions) -> Result<Comparison, Error> {
        let _environment = Environment::enter();
        let (samples, by_samples) = scores(&Predictor::with_options(network, options)?, data)?;
        let at_mean = options.clone().posterior_value(PosteriorValue::Mean);
        let (mean, by_mean) = scores(&Predictor::with_options(network, &at_mean)?, data)?;
        let gains: Vec<f64> = by_samples.iter().zip(&by_mean).map(|(a, b)| a - b).collect();
        let gain = weighted_mean(&gains, data.weights());
        let squares: Vec<f64> = gains.iter().map(|x| (x - gain) * (x - gain)).collect();
        let rows = gains.len() as f64;
        let variance = weighted_mean(&squares, data.weights()) * rows / (rows - 1.0);
        Ok(Comparison { samples, mean, gain, gain_standard_error: (variance / rows).sqrt() })
    }
}

/// The scores, and the log likelihood of each row.
fn scores(predictor: &Predictor, data: &Dataset) -> Result<(Scores, Vec<f64>), Error> {
    let rows = predictor.log_likelihood(data)?;
    let mut scores = Scores {
        negative_log_likelihood: 0.0 - weighted_mean(&rows, data.weights()),
        accuracy: None,
        calibration_error: None,
        root_mean_square_error: None,
    };
    let is_whole = data.present().is_none() && data.weights().is_none();
    match data.targets() {
        Targets::Labels(labels) if is_whole && labels.len() == data.rows() => {
            let prediction = predictor.classify_data(data)?;
            let (probabilities, classes) = (prediction.probabilities(), prediction.classes());
            scores.accuracy = Some(metrics::accuracy(probabilities, classes, labels)?);
            let calibration = metrics::calibration(probabilities, classes, labels, metrics::CALIBRATION_BINS)?;
            scores.calibration_error = Some(calibration.expected_error);
        }
        Targets::Values { .. } | Targets::Doubles { .. } if is_whole => {
            let values: Vec<f64> = data.targets().numbers().iter().flat_map(|(_, values)| values.iter()).collect();
            if let Ok(prediction) = predictor.regress_data(data)
                && prediction.mean().len() == values.len()
            {
                scores.root_mean_square_error = Some(metrics::root_mean_square_error(prediction.mean(), &values)?);
            }
        }
        _ => {}
    }
    Ok((scores, rows))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, scores) in [("by samples", &self.samples), ("at the mean", &self.mean)] {
            write!(f, "{name:<12} negative log likelihood {:.4}", scores.negative_log_likelihood)?;
            let named = [
                ("accuracy", scores.accuracy),
                ("calibration error", scores.calibration_error),
                ("root mean square error", scores.root_mean_square_error),
            ];
            for (name, score) in named {
                score.map_or(Ok(()), |score| write!(f, ", {name} {score:.4}"))?;
            }
            writeln!(f)?;
        }
        write!(f, "samples gain {:.4} ± {:.4} nats a row", self.gain, self.gain_standard_error)
    }
}
