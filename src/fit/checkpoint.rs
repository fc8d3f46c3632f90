//! Writing how far a fit came, and going on from there.

use super::{Epoch, Fit, ValidationPart, batches::Batches, log::Log, validation::Found};
use crate::{
    Error, Network, NewFile, Position, Schedule, Trainer, VariableDivergence,
    model_file::Contents,
    training_file::{Bits, Conditions, TrainingFile},
};
use bayeslift_layers::Parameters;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// At how many points schedules are compared.
const FACTORS: u32 = 256;

/// How far a fit came, beside what its trainer and its network hold. Notes are not part of it: they are made before the
/// first step, or after the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The epochs that are over.
    pub(super) epochs: Vec<EpochRecord>,
    /// The sums of the epoch that is under way.
    pub(super) sums: EpochRecord,
    /// How many batches of that epoch are done.
    pub(super) position: usize,
    /// The weight of the divergence in the last step.
    pub(super) divergence_weight: Bits,
    /// The number of epochs that validation can choose from so far.
    pub(super) choices: usize,
    /// The divergences of the last step; files of versions that did not tell them have none.
    #[serde(default)]
    pub(super) divergences: Vec<DivergenceRecord>,
    pub(super) stopped_early: bool,
    pub(super) validation: Option<Found>,
    /// How many bytes the log has.
    pub(super) log: Option<u64>,
    /// How long all took so far, in nanoseconds.
    pub(super) train_time: u64,
}

/// An [`Epoch`] to the bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochRecord {
    epoch: usize,
    loss: Bits,
    negative_log_likelihood: Bits,
    divergence: Bits,
    divergence_weight: Bits,
    validation: Option<Bits>,
}

impl From<&Epoch> for EpochRecord {
    fn from(epoch: &Epoch) -> Self {
        let Epoch { epoch, loss, negative_log_likelihood, divergence, divergence_weight, validation } = *epoch;
        EpochRecord {
            epoch,
            loss: Bits(loss),
            negative_log_likelihood: Bits(negative_log_likelihood),
            divergence: Bits(divergence),
            divergence_weight: Bits(divergence_weight),
            validation: validation.map(Bits),
        }
    }
}

impl From<&EpochRecord> for Epoch {
    fn from(record: &EpochRecord) -> Self {
        Epoch {
            epoch: record.epoch,
            loss: record.loss.0,
            negative_log_likelihood: record.negative_log_likelihood.0,
            divergence: record.divergence.0,
            divergence_weight: record.divergence_weight.0,
            validation: record.validation.map(|Bits(validation)| validation),
        }
    }
}

/// A [`VariableDivergence`] to the bit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DivergenceRecord {
    path: String,
    method: String,
    nats: Bits,
}

impl From<&VariableDivergence> for DivergenceRecord {
    fn from(divergence: &VariableDivergence) -> Self {
        let VariableDivergence { path, method, nats } = divergence;
        DivergenceRecord { path: path.clone(), method: method.clone(), nats: Bits(*nats) }
    }
}

impl From<DivergenceRecord> for VariableDivergence {
    fn from(DivergenceRecord { path, method, nats }: DivergenceRecord) -> Self {
        VariableDivergence { path, method, nats: nats.0 }
    }
}

impl Record {
    /// Checks that a fit can have come so far: what is wrong otherwise, of a file that was made to look whole.
    fn check(&self, steps: u64, fit: &Fit<'_>, batches: &Batches) -> Result<(), String> {
        let epochs = fit.epochs;
        let done = self.epochs.len();
        let made = (batches.count() as u64).saturating_mul(done as u64).saturating_add(self.position as u64);
        let is_under_way = self.position < batches.count() && (self.position == 0 || done < epochs);
        if steps != made || done > epochs || !is_under_way {
            let position = self.position;
            return Err(format!("it tells of {steps} steps, {done} epochs and {position} batches, which disagree"));
        }
        let is_numbered = |(i, record): (usize, &EpochRecord)| record.epoch == i + 1;
        if !self.epochs.iter().enumerate().all(is_numbered) || self.choices > done {
            return Err("its epochs are not numbered one after the other".to_owned());
        }
        let (found, validates) = (self.validation.as_ref(), !matches!(fit.validation, ValidationPart::None));
        if self.log.is_some() != fit.log.is_some()
            || found.is_some() != validates
            || found.is_some_and(|found| !found.is_of_epochs(done))
        {
            return Err("what it tells of validation or log is not of its epochs".to_owned());
        }
        Ok(())
    }
}

/// Where a fit is written to.
pub(super) struct Checkpoint {
    path: PathBuf,
    every: u64,
    conditions: Conditions,
}

/// What a fit goes on from.
pub(super) struct Saved {
    pub record: Record,
    pub network: Network,
    /// The parameters of the best validated epoch.
    pub best: Option<Parameters>,
}

impl Checkpoint {
    /// The checkpoint of a fit that is about to begin on this network.
    pub fn new(
        fit: &Fit<'_>,
        (path, every): &(PathBuf, u64),
        trainer: &Trainer,
        network: &Network,
        data: [String; 2],
    ) -> Checkpoint {
        Checkpoint { path: path.clone(), every: *every, conditions: conditions(fit, trainer, network, data) }
    }

    /// What was written of the same fit, if it was; the trainer goes on from there then.
    ///
    /// # Errors
    /// As for [`Trainer::load`], compared with all that decides the course.
    pub fn read(
        &self,
        fit: &Fit<'_>,
        trainer: &mut Trainer,
        network: &Network,
        batches: &Batches,
    ) -> Result<Option<Saved>, Error> {
        // what is there and cannot be read is not to be written over
        if fs::metadata(&self.path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let failed = |source| Error::File { path: self.path.clone(), action: "write", source };
            // now rather than after some steps
            return NewFile::create(&self.path).map(|_| None).map_err(failed);
        }
        let mut file = TrainingFile::read(&self.path, network, 2, &*fit.optimizer)?;
        let Some(record) = file.description.course.take() else {
            return Err(file.other("it is that of a `Trainer`, which goes on by `Trainer::load`".to_owned()));
        };
        let loaded = file.network(network)?;
        file.compare(&self.conditions)?;
        let steps = file.description.steps;
        record.check(steps, fit, batches).map_err(|message| file.format(message))?;
        let state = trainer.take_state(&mut file)?;
        let has_best = record.validation.as_ref().is_some_and(|found| found.kept.is_some());
        let best = has_best.then(|| -> Result<Parameters, Error> {
            let mut best = loaded.parameters().clone();
            for (path, parameter) in best.iter_mut() {
                parameter.tensor = file.take(&format!("best/{path}"), &parameter.tensor.ty())?;
            }
            Ok(best)
        });
        let best = best.transpose()?;
        file.check_taken()?;
        trainer.restore(steps, state);
        Ok(Some(Saved { record, network: loaded, best }))
    }

    /// Whether to write after this step.
    pub fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.every)
    }

    /// Writes how far the fit came.
    ///
    /// # Errors
    /// A parameter with an element that is not finite; [`Error::File`].
    pub fn write(
        &self,
        trainer: &Trainer,
        network: &Network,
        record: Record,
        best: Option<&Parameters>,
    ) -> Result<(), Error> {
        let best = best.into_iter().flat_map(|best| best.iter());
        let best = best.map(|(path, parameter)| (format!("best/{path}"), &parameter.tensor));
        trainer.save_course(&self.path, (self.conditions.clone(), record), network, best)
    }

    /// The log of a fit that goes on.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::OtherTraining`] for a log with fewer lines than the fit has written.
    pub fn log(&self, path: &Path, saved: &Saved) -> Result<Log, Error> {
        let log = Log::resume(path, saved.record.log.unwrap_or_default())?;
        log.map_err(|message| Error::OtherTraining { path: self.path.clone(), message })
    }
}

/// All that decides the course of a fit: its result is a function of this.
fn conditions(fit: &Fit<'_>, trainer: &Trainer, network: &Network, [data, validation]: [String; 2]) -> Conditions {
    let positions = |i| Position::new(u64::from(i) + 1, u64::from(FACTORS), fit.epochs.min(FACTORS as usize));
    let factors = |schedule: &Schedule| (0..FACTORS).map(|i| schedule.factor(&positions(i))).collect::<Vec<_>>();
    let part = match &fit.validation {
        ValidationPart::None => "none".to_owned(),
        ValidationPart::Split(fraction) => format!("a part of {fraction:?}"),
        ValidationPart::Data(_) => "data of its own".to_owned(),
    };
    let frozen = network.parameters().iter().filter(|(_, parameter)| !parameter.trainable);
    let mut beginning = Contents::of("parameters");
    for (path, parameter) in network.parameters().iter() {
        beginning.tensor(path, "f32", parameter.tensor.shape());
        beginning.elements(&parameter.tensor);
    }
    // files of before there were any have no such line
    let divergence_schedule = match &fit.divergence_schedule {
        Schedule::Constant => Conditions::default(),
        schedule => Conditions::default()
            .with("schedule of the divergence's weight", schedule)
            .with_digest("factors of the divergence's weight", factors(schedule)),
    };
    divergence_schedule
        .with("number of epochs", fit.epochs)
        .with("batch size", fit.batch_size)
        .with("schedule", &fit.schedule)
        .with_digest("factors of the schedule", factors(&fit.schedule))
        .with("weight of the divergence", fit.divergence_weight)
        .with("warm-up", fit.warm_up)
        .with("shuffling", fit.shuffle)
        .with_text("validation part", part)
        .with("number of validation samples", fit.validation_samples)
        .with("patience of early stopping", fit.patience)
        .with_text("log", if fit.log.is_some() { "there" } else { "not there" })
        .with_text("digest of the data", data)
        .with_text("digest of the validation data", validation)
        .with("list of frozen parameters", frozen.map(|(path, _)| path).collect::<Vec<_>>())
        .and(trainer.conditions(network))
        .with("number of steps that were made on the network before", network.steps())
        .with("number of epochs that were begun on the network before", network.epochs())
        .with_text("digest of the parameters at the beginning", beginning.finish())
}
