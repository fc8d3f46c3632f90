//! Predictions with all digits of `f64`.

use super::{Predictor, predictive::Predictive, rows::Numbers};
use crate::{Answer, Classification, Error, Regression};
use bayeslift_ir::DType;

/// A predictor whose inputs and predictions are of `f64`: see [`Predictor::double`].
#[derive(Clone, Copy, Debug)]
pub struct Double<'p>(&'p Predictor);

impl Predictor {
    /// The predictor of a network of [`f64`](crate::layers::Sequential::dtype), with inputs and predictions of `f64`. Its methods are
    /// those of the predictor, which take `f32`, compute the same in `f64` for such a network, and round what they tell.
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
        match self.model.dtype {
            DType::F64 => Ok(Double(self)),
            found => {
                let problem = format!("the network is of {found}, and has no predictions of f64");
                Err(Error::misuse(problem, "make it of f64 by `Sequential::dtype`, or predict in f32"))
            }
        }
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
