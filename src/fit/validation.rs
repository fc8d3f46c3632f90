//! The validation part of a fit, and the parameters that did best on it.

use super::FitNote;
use crate::{Backend, Dataset, Error, Network, Predictor, PredictorOptions, dataset::weighted_mean};
use bayeslift_layers::Parameters;

/// A fit ends when, before there was an epoch to keep, this many validations in a row could not be compared: a network
/// that begins badly may recover, but one that does not is not to be trained to the end for nothing.
const HOPELESS: usize = 10;

/// What validation found so far.
pub(super) struct Validation {
    predictor: Predictor,
    data: Dataset,
    kept: Option<Kept>,
    /// The number of epochs that could be chosen since the one that is kept, or since the first.
    waited: usize,
    /// The epochs whose validation is not finite.
    failed: Vec<usize>,
    /// Of the last of these: the first row whose log likelihood is not finite, with it.
    failure: (usize, f64),
    /// The number of validations in a row, up to the last, that are not finite.
    failed_in_a_row: usize,
    /// The last validation.
    pub last: Option<f64>,
}

/// The best epoch.
struct Kept {
    epoch: usize,
    value: f64,
    parameters: Parameters,
}

impl Validation {
    pub fn new(
        network: &Network,
        data: Dataset,
        samples: usize,
        seed: u64,
        backend: Backend,
    ) -> Result<Validation, Error> {
        // an epoch whose parameters predict nothing is no better than another
        let options = PredictorOptions::default().samples(samples).seed(seed).allow_non_finite(true);
        let options = options.backend(backend);
        let predictor = Predictor::with_options(network, &options)?;
        let (failed, failure, failed_in_a_row) = (Vec::new(), (0, f64::NAN), 0);
        Ok(Validation { predictor, data, kept: None, waited: 0, failed, failure, failed_in_a_row, last: None })
    }

    /// Validates the network after an epoch, and keeps its parameters if they are the best so far of those that can be
    /// chosen. Returns the value.
    pub fn look(&mut self, network: &Network, epoch: usize, can_be_chosen: bool) -> Result<f64, Error> {
        self.predictor.set_parameters(network)?;
        let rows = self.predictor.log_likelihood(&self.data)?;
        let value = 0.0 - weighted_mean(&rows, self.data.weights());
        self.last = Some(value);
        if value.is_finite() {
            self.failed_in_a_row = 0;
        } else {
            let row = rows.iter().position(|row| !row.is_finite()).unwrap_or_default();
            self.failure = (row, rows[row]);
            self.failed.push(epoch);
            self.failed_in_a_row += 1;
        }
        if can_be_chosen {
            self.waited += 1;
            if value.is_finite() && self.kept.as_ref().is_none_or(|kept| value < kept.value) {
                self.waited = 0;
                match &mut self.kept {
                    Some(kept) => {
                        (kept.epoch, kept.value) = (epoch, value);
                        kept.parameters.clone_from(network.parameters());
                    }
                    none => *none = Some(Kept { epoch, value, parameters: network.parameters().clone() }),
                }
            }
        }
        Ok(value)
    }

    /// Whether this many epochs that could be chosen were no better than the one that is kept.
    pub fn is_over(&self, patience: usize) -> bool {
        self.waited >= patience
    }

    /// Checks, while training goes on, that there is hope for an epoch to keep.
    pub fn check_hope(&self) -> Result<(), Error> {
        if self.kept.is_none() && self.failed_in_a_row >= HOPELESS { Err(self.error()) } else { Ok(()) }
    }

    /// Checks, at the end, that if there were epochs to choose from one could be.
    pub fn check_end(&self, epochs: usize) -> Result<(), Error> {
        let nothing_to_compare = self.waited > 0 || self.failed.len() == epochs;
        if self.kept.is_none() && nothing_to_compare { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> Error {
        let (row, log_likelihood) = self.failure;
        Error::NonFiniteValidation { epoch: self.failed.last().copied().unwrap_or_default(), row, log_likelihood }
    }

    /// Says which epochs could not be compared.
    pub fn note(&self, notes: &mut Vec<FitNote>) {
        if !self.failed.is_empty() {
            let (row, log_likelihood) = self.failure;
            notes.push(FitNote::NotCompared { epochs: self.failed.clone(), row, log_likelihood });
        }
    }

    /// Gives the network the parameters of the best epoch, if there is one. Returns that epoch.
    pub fn restore(self, network: &mut Network) -> Option<usize> {
        let Kept { epoch, parameters, .. } = self.kept?;
        network.replace_parameters(parameters);
        Some(epoch)
    }
}
