//! Abstaining: where a prediction is left to somebody else, because too little is certain.

use crate::{Classification, Error, Float, Regression};

/// What is measured of a prediction, to [abstain](Abstention) by. Default: the predictive entropy.
///
/// ```
/// use bayeslift::{Abstention, Measure, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let prediction = Predictor::new(&network)?.regress(&[0.1, 0.2, -1.0, 0.0])?;
/// // weights begin with standard deviations of 1e-3, so their part is far below 0.1
/// assert_eq!(prediction.abstains(&Abstention::new(Measure::Epistemic, 0.1)?)?, [false, false]);
/// let error = prediction.abstains(&Abstention::new(Measure::MutualInformation, 0.1)?).unwrap_err();
/// assert!(error.to_string().starts_with("the network tells no mutual_information"));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Measure {
    /// Of classes: the [entropy of the prediction](Classification::predictive_entropy), all of its uncertainty, in
    /// nats: from 0 to log(classes).
    #[default]
    PredictiveEntropy,
    /// Of classes: the [mutual information](Classification::mutual_information) of label and weights, what the network
    /// does not know, in nats.
    MutualInformation,
    /// Of numbers: the [standard deviation of the mean](Regression::epistemic) over the posterior, what the network
    /// does not know, in the unit of the number.
    Epistemic,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measure::PredictiveEntropy => "predictive_entropy",
            Measure::MutualInformation => "mutual_information",
            Measure::Epistemic => "epistemic",
        }
    }

    /// What is wrong where a network does not tell it.
    pub(crate) fn missing(self) -> Error {
        let problem = format!("the network tells no {}, which it was to abstain by", self.name());
        let remedy = match self {
            Measure::Epistemic => "it predicts classes: abstain by the entropy or the mutual information",
            _ => "it predicts numbers, whose entropy has no threshold of its own: abstain by the epistemic deviation",
        };
        Error::misuse(problem, remedy)
    }
}

/// When to abstain: where a measure of the uncertainty exceeds a number. What is not a number exceeds all.
///
/// ```
/// use bayeslift::{Abstention, Measure, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let prediction = Predictor::new(&network)?.classify(&[0.1, 0.2, -1.0, 0.0])?;
/// let abstention = Abstention::new(Measure::PredictiveEntropy, 0.5)?;
/// assert_eq!((abstention.measure(), abstention.above()), (Measure::PredictiveEntropy, 0.5));
/// let abstains = prediction.abstains(&abstention)?;
/// assert_eq!(abstains[0], prediction.predictive_entropy()[0] > 0.5);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Abstention {
    measure: Measure,
    above: f64,
}

impl Abstention {
    /// Where this measure is above this number.
    ///
    /// # Errors
    /// A number that is negative, or not finite.
    pub fn new(measure: Measure, above: f64) -> Result<Abstention, Error> {
        if above.is_finite() && above >= 0.0 {
            return Ok(Abstention { measure, above });
        }
        Err(Error::argument("the number above which to abstain", "finite, and not negative", above))
    }

    /// What is measured of each prediction.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// The number above which to abstain, in the unit of the measure: nats, or that of the predicted number.
    pub fn above(&self) -> f64 {
        self.above
    }

    /// Where to abstain, by what was measured.
    fn of<T: Float>(&self, values: &[T]) -> Vec<bool> {
        values.iter().map(|&x| x.into()).map(|x: f64| x > self.above || x.is_nan()).collect()
    }
}

impl<T: Float> Classification<T> {
    /// Where to abstain: for each row, or each label of a row, `[rows, labels]`. A prediction that is `NaN` is
    /// abstained from.
    ///
    /// ```
    /// use bayeslift::{Abstention, Measure, prelude::*};
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// # let prediction = Predictor::new(&network)?.classify(&[0.1, 0.2, -1.0, 0.0])?;
    /// // no entropy of three classes is above log 3
    /// let never = Abstention::new(Measure::PredictiveEntropy, 1.1)?;
    /// assert_eq!(prediction.abstains(&never)?, [false, false]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Misuse`] for [`Measure::Epistemic`], a measure of numbers.
    pub fn abstains(&self, abstention: &Abstention) -> Result<Vec<bool>, Error> {
        match abstention.measure {
            Measure::PredictiveEntropy => Ok(abstention.of(self.predictive_entropy())),
            Measure::MutualInformation => Ok(abstention.of(self.mutual_information())),
            Measure::Epistemic => Err(abstention.measure.missing()),
        }
    }
}

impl<T: Float> Regression<T> {
    /// Where to abstain: for each number of each row, `[rows, units]`. A prediction that is `NaN`, as the epistemic
    /// deviation of a single sample is, is abstained from; see [`Measure`] for an example.
    ///
    /// # Errors
    /// [`Error::Misuse`] for any measure but [`Measure::Epistemic`].
    pub fn abstains(&self, abstention: &Abstention) -> Result<Vec<bool>, Error> {
        match abstention.measure {
            Measure::Epistemic => Ok(abstention.of(self.epistemic())),
            _ => Err(abstention.measure.missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_checked() {
        for above in [-0.1, f64::NAN, f64::INFINITY] {
            let error = Abstention::new(Measure::PredictiveEntropy, above).unwrap_err();
            assert!(error.to_string().contains("abstain"), "{error}");
        }
    }
}
