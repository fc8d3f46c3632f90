//! The validation part of a fit, and the parameters that did best on it.

use super::FitNote;
use crate::{
    Backend, Dataset, Error, Network, Predictor, PredictorOptions, dataset::weighted_mean, training_file::Bits,
};
use bayeslift_layers::Parameters;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A fit ends when, before there was an epoch to keep, this many validations in a row could not be compared: a network
/// that begins badly may recover, but one that does not is not to be trained to the end for nothing.
const HOPELESS: usize = 10;

/// The validation part, and what it found so far.
pub(super) struct Validation {
    predictor: Predictor,
    data: Arc<Dataset>,
    found: Found,
    /// The parameters of the epoch that is kept.
    best: Option<Parameters>,
}

/// What validation found so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    /// The best epoch, with its value.
    pub kept: Option<(usize, Bits)>,
    /// The number of epochs that could be chosen since the one that is kept, or since the first.
    waited: usize,
    /// The epochs whose validation is not finite.
    failed: Vec<usize>,
    /// Of the last of these: the first row whose log likelihood is not finite, with it.
    failure: (usize, Bits),
    /// The number of validations in a row, up to the last, that are not finite.
    failed_in_a_row: usize,
    /// The last validation.
    last: Option<Bits>,
}

impl Found {
    /// Whether this can have been found after `epochs` epochs.
    pub fn is_of_epochs(&self, epochs: usize) -> bool {
        let is_one = |epoch: usize| (1..=epochs).contains(&epoch);
        self.kept.is_none_or(|(epoch, _)| is_one(epoch)) && self.failed.iter().all(|&epoch| is_one(epoch))
    }
}

impl Validation {
    pub fn new(
        network: &Network,
        data: Arc<Dataset>,
        samples: usize,
        seed: u64,
        backend: Backend,
    ) -> Result<Validation, Error> {
        // an epoch whose parameters predict nothing is no better than another
        let options = PredictorOptions::default().samples(samples).seed(seed).allow_non_finite(true);
        let options = options.backend(backend);
        let predictor = Predictor::with_options(network, &options)?;
        let failure = (0, Bits(f64::NAN));
        let found = Found { kept: None, waited: 0, failed: Vec::new(), failure, failed_in_a_row: 0, last: None };
        Ok(Validation { predictor, data, found, best: None })
    }

    /// What was found so far, and the parameters of the epoch that is kept.
    pub fn found(&self) -> (&Found, Option<&Parameters>) {
        (&self.found, self.best.as_ref())
    }

    /// Goes on with what was found before.
    pub fn resume(&mut self, found: Found, best: Option<Parameters>) {
        (self.found, self.best) = (found, best);
    }

    /// The last validation.
    pub fn last(&self) -> Option<f64> {
        self.found.last.map(|Bits(value)| value)
    }

    /// Validates the network after an epoch, and keeps its parameters if they are the best so far of those that can be
    /// chosen. Returns the value.
    pub fn look(&mut self, network: &Network, epoch: usize, can_be_chosen: bool) -> Result<f64, Error> {
        self.predictor.set_parameters(network)?;
        let rows = self.predictor.log_likelihood(&self.data)?;
        let value = 0.0 - weighted_mean(&rows, self.data.weights());
        let found = &mut self.found;
        found.last = Some(Bits(value));
        if value.is_finite() {
            found.failed_in_a_row = 0;
        } else {
            let row = rows.iter().position(|row| !row.is_finite()).unwrap_or_default();
            found.failure = (row, Bits(rows[row]));
            found.failed.push(epoch);
            found.failed_in_a_row += 1;
        }
        if can_be_chosen {
            found.waited += 1;
            if value.is_finite() && found.kept.is_none_or(|(_, Bits(kept))| value < kept) {
                found.waited = 0;
                found.kept = Some((epoch, Bits(value)));
                match &mut self.best {
                    Some(best) => best.clone_from(network.parameters()),
                    none => *none = Some(network.parameters().clone()),
                }
            }
        }
        Ok(value)
    }

    /// Whether this many epochs that could be chosen were no better than the one that is kept.
    pub fn is_over(&self, patience: usize) -> bool {
        self.found.waited >= patience
    }

    /// Checks, while training goes on, that there is hope for an epoch to keep.
    pub fn check_hope(&self) -> Result<(), Error> {
        if self.best.is_none() && self.found.failed_in_a_row >= HOPELESS { Err(self.error()) } else { Ok(()) }
    }

    /// Checks, at the end, that if there were epochs to choose from one could be.
    pub fn check_end(&self, epochs: usize) -> Result<(), Error> {
        let nothing_to_compare = self.found.waited > 0 || self.found.failed.len() == epochs;
        if self.best.is_none() && nothing_to_compare { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> Error {
        let Found { failure: (row, Bits(log_likelihood)), failed, .. } = &self.found;
        let epoch = failed.last().copied().unwrap_or_default();
        Error::NonFiniteValidation { epoch, row: *row, log_likelihood: *log_likelihood }
    }

    /// Says which epochs could not be compared.
    pub fn note(&self, notes: &mut Vec<FitNote>) {
        let Found { failure: (row, Bits(log_likelihood)), failed, .. } = &self.found;
        if !failed.is_empty() {
            let (row, log_likelihood) = (*row, *log_likelihood);
            notes.push(FitNote::NotCompared { epochs: failed.clone(), row, log_likelihood });
        }
    }

    /// Gives the network the parameters of the best epoch, if there is one. Returns that epoch.
    pub fn restore(self, network: &mut Network) -> Option<usize> {
        network.replace_parameters(self.best?);
        self.found.kept.map(|(epoch, _)| epoch)
    }
}
