//! How probable a predictor finds targets that are known.

use super::{
    Predictor,
    question::Question,
    rows::Numbers,
    run::{Besides, Rows},
};
use crate::{
    Dataset, Error, FloatCow, Targets,
    dataset::{self, weighted_mean},
    trainer::{check_dataset, check_observed, check_targets, known_events},
};
use bayeslift_ir::Environment;

impl Predictor {
    /// log p(targets | input) of each row under the predictive distribution, the mixture over posterior samples: the
    /// logarithm of the mean of the samples' densities, in nats; of the targets that are known, so 0 of a row without
    /// one. -infinity where all densities are 0 in `f32`.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let network = Network::new(Affine::new(1, 1), [1], likelihood::Normal::fixed(2.0), 0)?;
    /// let predictor = Predictor::new(&network)?; // of a law whose mean is 0 for an input of 0
    /// let data = Dataset::regression([1], vec![0.0, 0.0], 1, vec![0.0, 2.0])?;
    /// let rows = predictor.log_likelihood(&data)?;
    /// assert!((rows[0] + 1.612086).abs() < 1e-5); // -log 2 - log sqrt(2 pi)
    /// assert!((rows[0] - rows[1] - 0.5).abs() < 1e-5); // 2^2 / (2 2^2)
    /// assert!((predictor.negative_log_likelihood(&data)? + (rows[0] + rows[1]) / 2.0).abs() < 1e-12);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Data that does not fit the network; a machine that refuses executable memory; a row whose density is not finite,
    /// as for predictions.
    pub fn log_likelihood(&self, data: &Dataset) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        check_dataset(&self.model.input, &self.model.target, data)?;
        self.log_prob(Numbers::From(0), data.floats(), (data.targets(), data.present()))
    }

    /// As [`Predictor::log_likelihood`], of rows with these numbers.
    pub(super) fn log_prob(
        &self,
        numbers: Numbers<'_>,
        inputs: FloatCow<'_>,
        (targets, present): (&Targets, Option<&[bool]>),
    ) -> Result<Vec<f64>, Error> {
        let own = match targets.numbers() {
            Some((units, values)) if values.dtype() != self.model.dtype => {
                Some(Targets::of_numbers(units, values.of_network("targets", self.model.dtype)?))
            }
            _ => None,
        };
        let targets = own.as_ref().unwrap_or(targets);
        let mut rows = self.rows_of(numbers, &inputs)?;
        check_targets(&self.model.target, rows.sizes.len(), targets)?;
        check_observed(&self.model.target, rows.sizes.len(), present, None)?;
        let events = rows.sizes.len() * self.model.target.events.elements();
        let known = present.map_or_else(|| vec![u32::MAX; events], |present| known_events(&self.model.target, present));
        if let Some((units, values)) = targets.numbers() {
            let others = dataset::sizes(units, &values);
            rows.sizes.iter_mut().zip(others).for_each(|(size, other)| *size = size.max(other));
        }
        let rows = Rows { besides: Besides::Targets { targets, known: &known }, ..rows };
        self.answer_one(Question::LogProb, &rows)
    }

    /// The mean over rows of -[`Predictor::log_likelihood`], times the row's weight where rows have some: what training
    /// minimizes beside the divergence, for the mixture.
    ///
    /// # Errors
    /// As for [`Predictor::log_likelihood`].
    pub fn negative_log_likelihood(&self, data: &Dataset) -> Result<f64, Error> {
        let rows = self.log_likelihood(data)?;
        // not -0 of a sum that is 0
        Ok(Environment::within(|| 0.0 - weighted_mean(&rows, data.weights())))
    }
}
