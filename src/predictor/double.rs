//! Predictions with all digits of `f64`, of networks and of ensembles.

use super::{DecisionOptions, Decisions, Predictor, predictive::Predictive, rows::Numbers};
use crate::{
    Answer, Classification, EnsembleAnswer, EnsembleClassification, EnsemblePredictor, EnsembleRegression, Error,
    Regression,
};
use bayeslift_ir::DType;

/// A predictor whose inputs and predictions are of `f64`: see [`Predictor::double`] and [`EnsemblePredictor::double`].
/// Each method computes what the method of the same name of [`Predictor`] or [`EnsemblePredictor`] does, with its
/// shapes and its errors, and rounds nothing.
///
/// ```
/// use bayeslift::{Answer, DecisionOptions, ir::DType, prelude::*};
///
/// let layers = Sequential::new().dtype(DType::F64).layer(AffineVariationalReparameterizationLocal::new(2, 3));
/// let network = Network::new(layers, [2], likelihood::Categorical, 0)?;
/// let predictor = Predictor::new(&network)?;
/// let double = predictor.double()?;
///
/// let batch = [0.1, 0.2, 30.0, -30.0];
/// let whole: Classification<f64> = double.classify(&batch)?;
/// assert!((whole.row(0).iter().sum::<f64>() - 1.0).abs() < 1e-14);
/// assert_eq!(double.classify_from(1, &batch[2..])?.row(0), whole.row(1)); // the same bits, alone
/// assert_eq!(double.answer_from(0, &batch)?, Answer::Classes(whole.clone()));
/// assert_eq!(double.predict(&batch)?.classification(), Some(&whole));
/// let decisions = double.decide(&batch, &DecisionOptions::new(0.05).most(64))?;
/// assert_eq!(decisions.labels().len(), 2);
/// assert_eq!(double.decide_from(1, &batch[2..], &DecisionOptions::new(0.05).most(64))?.labels().len(), 1);
/// assert_eq!(double.classify_rows(&[1], &batch[2..])?.row(0), whole.row(1));
/// assert!(double.predict_from(1, &batch[2..])?.classification().is_some());
/// // classes are no numbers, which a network that predicts some gives in the same ways
/// assert!(double.regress(&batch).is_err());
/// assert!(double.regress_from(1, &batch).is_err() && double.regress_rows(&[5, 7], &batch).is_err());
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Double<'p, P = Predictor>(&'p P);

impl Predictor {
    /// The predictor of a network of [`f64`](crate::layers::Sequential::dtype), with inputs and predictions of `f64`.
    /// Its methods are those of the predictor, which take `f32`, compute the same in `f64` for such a network, and
    /// round what they tell.
    ///
    /// ```
    /// use bayeslift::{ir::DType, prelude::*};
    ///
    /// let layers = Sequential::new().dtype(DType::F64).layer(AffineVariationalReparameterizationLocal::new(2, 1));
    /// let network = Network::new(layers, [2], likelihood::Normal::fixed(0.1), 0)?;
    /// let predictor = Predictor::new(&network)?;
    /// let mean: f64 = predictor.double()?.regress(&[0.1, 0.2])?.mean()[0];
    /// assert!((mean - f64::from(predictor.regress(&[0.1, 0.2])?.mean()[0])).abs() < 1e-6);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// A network of `f32`.
    pub fn double(&self) -> Result<Double<'_>, Error> {
        Double::of(self, self.dtype())
    }
}

impl EnsemblePredictor {
    /// The predictor of an ensemble of networks of `f64`, with inputs and predictions of `f64`: see
    /// [`Predictor::double`].
    ///
    /// ```
    /// use bayeslift::{Ensemble, EnsemblePredictor, ir::DType, prelude::*};
    ///
    /// let ensemble = Ensemble::new(3, |member| {
    ///     let layers = Sequential::new().dtype(DType::F64).layer(AffineVariationalReparameterizationLocal::new(2, 1));
    ///     Network::new(layers, [2], likelihood::Normal::fixed(0.1), member)
    /// })?;
    /// let predictor = EnsemblePredictor::new(&ensemble)?;
    /// let between: f64 = predictor.double()?.regress(&[0.1, 0.2])?.between[0];
    /// assert!(between > 0.0);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Networks of `f32`.
    pub fn double(&self) -> Result<Double<'_, EnsemblePredictor>, Error> {
        Double::of(self, self.dtype())
    }
}

impl<'p, P> Double<'p, P> {
    fn of(predictor: &'p P, found: DType) -> Result<Double<'p, P>, Error> {
        if found == DType::F64 {
            return Ok(Double(predictor));
        }
        let problem = format!("the network is of {found}, and has no predictions of f64");
        Err(Error::misuse(problem, "make it of f64 by `Sequential::dtype`, or predict in f32"))
    }
}

impl Double<'_, EnsemblePredictor> {
    /// As [`EnsemblePredictor::classify`].
    ///
    /// # Errors
    /// As there.
    pub fn classify(&self, inputs: &[f64]) -> Result<EnsembleClassification<f64>, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`EnsemblePredictor::classify_from`].
    ///
    /// # Errors
    /// As there.
    pub fn classify_from(&self, first_row: u64, inputs: &[f64]) -> Result<EnsembleClassification<f64>, Error> {
        self.0.classify_of(first_row, inputs)
    }

    /// As [`EnsemblePredictor::regress`].
    ///
    /// # Errors
    /// As there.
    pub fn regress(&self, inputs: &[f64]) -> Result<EnsembleRegression<f64>, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`EnsemblePredictor::regress_from`].
    ///
    /// # Errors
    /// As there.
    pub fn regress_from(&self, first_row: u64, inputs: &[f64]) -> Result<EnsembleRegression<f64>, Error> {
        self.0.regress_of(first_row, inputs)
    }

    /// As [`EnsemblePredictor::answer_from`].
    ///
    /// # Errors
    /// As there.
    pub fn answer_from(&self, first_row: u64, inputs: &[f64]) -> Result<EnsembleAnswer<f64>, Error> {
        self.0.answer_of(first_row, inputs)
    }
}

impl<'p> Double<'p> {
    /// As [`Predictor::classify`].
    ///
    /// # Errors
    /// As there.
    pub fn classify(&self, inputs: &[f64]) -> Result<Classification<f64>, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`Predictor::classify_from`].
    ///
    /// # Errors
    /// As there.
    pub fn classify_from(&self, first_row: u64, inputs: &[f64]) -> Result<Classification<f64>, Error> {
        self.0.classify_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::classify_rows`].
    ///
    /// # Errors
    /// As there.
    pub fn classify_rows(&self, numbers: &[u64], inputs: &[f64]) -> Result<Classification<f64>, Error> {
        self.0.classify_numbered(Numbers::Each(numbers), inputs)
    }

    /// As [`Predictor::decide`].
    ///
    /// # Errors
    /// As there.
    pub fn decide(&self, inputs: &[f64], options: &DecisionOptions) -> Result<Decisions<f64>, Error> {
        self.decide_from(0, inputs, options)
    }

    /// As [`Predictor::decide_from`].
    ///
    /// # Errors
    /// As there.
    pub fn decide_from(
        &self,
        first_row: u64,
        inputs: &[f64],
        options: &DecisionOptions,
    ) -> Result<Decisions<f64>, Error> {
        self.0.decide_numbered(Numbers::From(first_row), inputs, options)
    }

    /// As [`Predictor::regress`].
    ///
    /// # Errors
    /// As there.
    pub fn regress(&self, inputs: &[f64]) -> Result<Regression<f64>, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`Predictor::regress_from`].
    ///
    /// # Errors
    /// As there.
    pub fn regress_from(&self, first_row: u64, inputs: &[f64]) -> Result<Regression<f64>, Error> {
        self.0.regress_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::regress_rows`].
    ///
    /// # Errors
    /// As there.
    pub fn regress_rows(&self, numbers: &[u64], inputs: &[f64]) -> Result<Regression<f64>, Error> {
        self.0.regress_numbered(Numbers::Each(numbers), inputs)
    }

    /// As [`Predictor::answer_from`].
    ///
    /// # Errors
    /// As there.
    pub fn answer_from(&self, first_row: u64, inputs: &[f64]) -> Result<Answer<f64>, Error> {
        self.0.answer_of(first_row, inputs)
    }

    /// As [`Predictor::predict`].
    ///
    /// # Errors
    /// As there.
    pub fn predict(&self, inputs: &'p [f64]) -> Result<Predictive<'p, f64>, Error> {
        self.predict_from(0, inputs)
    }

    /// As [`Predictor::predict_from`].
    ///
    /// # Errors
    /// As there.
    pub fn predict_from(&self, first_row: u64, inputs: &'p [f64]) -> Result<Predictive<'p, f64>, Error> {
        self.0.predictive(first_row, inputs)
    }
}
