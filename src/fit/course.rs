//! A fit that is under way.

use super::{
    Epoch, Fit, FitNote, FitReport, Progress,
    batches::Batches,
    checkpoint::{Checkpoint, Record, Saved},
    log::{Line, Log},
    validation::Validation,
};
use crate::{
    Error, Network, Position, StepInput, Trainer,
    dataset::Batch,
    shuffle::permutation,
    source::{Examples, read_ahead},
    training_file::Bits,
};
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// What a fit works with, and what it has done so far.
pub(super) struct Course<'f, 'a> {
    fit: &'f mut Fit<'a>,
    trainer: Trainer,
    data: Examples<'f>,
    validation: Option<Validation>,
    batches: Batches,
    checkpoint: Option<Checkpoint>,
    log: Option<Log>,
    /// How many epochs were begun on the network before.
    epochs_before: u64,
    /// What was done, but for what only the end decides.
    report: FitReport,
    /// The number of epochs that validation can choose from so far.
    choices: usize,
    /// The epoch that is under way, with the sums of its steps so far.
    sums: Epoch,
    /// How many batches of it are done.
    position: usize,
    /// How long it took before it was resumed.
    time_before: Duration,
    start: Instant,
}

impl<'f, 'a> Course<'f, 'a> {
    /// Compiles the first step.
    pub fn new(
        fit: &'f mut Fit<'a>,
        mut trainer: Trainer,
        network: &Network,
        data: Examples<'f>,
        validation: Option<Validation>,
        (batches, notes): (Batches, Vec<FitNote>),
    ) -> Result<Self, Error> {
        trainer.prepare(network, batches.first())?;
        let report = FitReport {
            epochs: Vec::new(),
            steps: 0,
            best_epoch: None,
            divergence_weight: 0.0,
            posterior: None,
            stopped_early: false,
            stopped: false,
            training_examples: data.rows(),
            notes,
            diagnoses: Vec::new(),
            posteriors: Vec::new(),
            divergences: Vec::new(),
            compile_time: trainer.compile_time(),
            train_time: Default::default(),
        };
        Ok(Course {
            fit,
            trainer,
            data,
            validation,
            batches,
            checkpoint: None,
            log: None,
            epochs_before: network.epochs(),
            report,
            choices: 0,
            sums: beginning(1),
            position: 0,
            time_before: Duration::ZERO,
            start: Instant::now(),
        })
    }

    /// Says where to write how far it came, and each step.
    pub fn write_to(&mut self, checkpoint: Option<Checkpoint>, log: Option<Log>) {
        (self.checkpoint, self.log) = (checkpoint, log);
    }

    /// Goes on from what was written; the trainer is there already.
    pub fn resume(&mut self, saved: Saved, network: &mut Network) {
        let Saved { record, network: loaded, best } = saved;
        *network = loaded;
        self.report.epochs = record.epochs.iter().map(Epoch::from).collect();
        self.report.steps = self.trainer.steps();
        self.report.divergence_weight = record.divergence_weight.0;
        self.report.stopped_early = record.stopped_early;
        (self.sums, self.position) = (Epoch::from(&record.sums), record.position);
        self.report.divergences = record.divergences.into_iter().map(Into::into).collect();
        self.choices = record.choices;
        self.time_before = Duration::from_nanos(record.train_time);
        if let (Some(validation), Some(found)) = (&mut self.validation, record.validation) {
            validation.resume(found, best);
        }
    }

    /// Writes how far it came.
    fn save(&mut self, network: &Network) -> Result<(), Error> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        // the log first: what is promised here must be there
        let log = self.log.as_mut().map(Log::sync).transpose()?;
        let found = self.validation.as_ref().map(Validation::found);
        let record = Record {
            epochs: self.report.epochs.iter().map(Into::into).collect(),
            sums: (&self.sums).into(),
            position: self.position,
            divergence_weight: Bits(self.report.divergence_weight),
            choices: self.choices,
            divergences: self.report.divergences.iter().map(Into::into).collect(),
            stopped_early: self.report.stopped_early,
            validation: found.map(|(found, _)| found.clone()),
            log,
            train_time: u64::try_from(self.time().as_nanos()).unwrap_or(u64::MAX),
        };
        checkpoint.write(&self.trainer, network, record, found.and_then(|(_, best)| best))
    }

    /// How long it took so far.
    fn time(&self) -> Duration {
        self.time_before.saturating_add(self.start.elapsed())
    }

    /// Trains to the end. Whatever comes of it, the network has the parameters that the report names.
    pub fn run(mut self, network: &mut Network) -> Result<FitReport, Error> {
        let epochs = self.fit.epochs;
        let (mut epoch, mut result) = (self.report.epochs.len(), Ok(()));
        while result.is_ok() && epoch < epochs && !self.report.stopped_early && !self.report.stopped {
            epoch += 1;
            result = self.epoch(epoch, network);
        }
        let result = result.and_then(|()| self.check_end());
        let result = result.and(self.log.as_mut().map_or(Ok(()), Log::flush));
        let report = self.finish(network);
        match result {
            Ok(()) => Ok(report),
            Err(source) => Err(Error::Fit { epoch, epochs, report: Box::new(report), source: Box::new(source) }),
        }
    }

    /// Where a step, counted from 1, is.
    fn position(&self, step: u64) -> Position {
        Position::new(step, self.steps(), self.fit.epochs)
    }

    /// The weight of the divergence in a step, counted from 1.
    fn divergence_weight(&self, step: u64) -> f64 {
        let scheduled = self.fit.divergence_weight * self.fit.divergence_schedule.factor(&self.position(step));
        scheduled * self.fit.warm_up.factor(step, self.steps())
    }

    /// The weight that training leads to: that of its last step, if the warm-up is over by then.
    fn full_divergence_weight(&self) -> f64 {
        self.fit.divergence_weight * self.fit.divergence_schedule.factor(&self.position(self.steps()))
    }

    /// The number of steps if training does not stop early.
    fn steps(&self) -> u64 {
        (self.batches.count() as u64).saturating_mul(self.fit.epochs as u64)
    }

    /// Uses every example once, or those that are left of the epoch, and validates.
    fn epoch(&mut self, number: usize, network: &mut Network) -> Result<(), Error> {
        self.train(number, network)?;
        if self.position < self.batches.count() {
            // stopped in the midst of it
            return self.save(network);
        }
        self.report.epochs.push(std::mem::replace(&mut self.sums, beginning(number + 1)));
        self.position = 0;
        self.validate(number, network)?;
        let is_over = number == self.fit.epochs || self.report.stopped_early;
        self.report.stopped &= !is_over;
        self.log.as_mut().map_or(Ok(()), Log::flush)?;
        let is_due = self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_due(self.trainer.steps()));
        if is_due || is_over || self.report.stopped { self.save(network) } else { Ok(()) }
    }

    /// Validates after an epoch, if there is data for that.
    fn validate(&mut self, number: usize, network: &Network) -> Result<(), Error> {
        let (count, full) = (self.batches.count() as u64, self.full_divergence_weight());
        let first = count.saturating_mul(number as u64 - 1).saturating_add(1);
        let can_be_chosen = (first..first.saturating_add(count)).all(|step| self.divergence_weight(step) == full);
        let Some(validation) = &mut self.validation else { return Ok(()) };
        self.choices += usize::from(can_be_chosen);
        let value = validation.look(network, number, can_be_chosen)?;
        self.report.epochs.iter_mut().last().into_iter().for_each(|epoch| epoch.validation = Some(value));
        self.log.iter_mut().for_each(|log| log.validation(value));
        validation.check_hope()?;
        let is_over = self.fit.patience.is_some_and(|patience| validation.is_over(patience));
        self.report.stopped_early = is_over && number < self.fit.epochs;
        Ok(())
    }

    /// Makes the steps that are left of an epoch.
    fn train(&mut self, number: usize, network: &mut Network) -> Result<(), Error> {
        let rows = self.data.rows();
        let made = self.epochs_before.wrapping_add(number as u64);
        let order = match self.fit.shuffle {
            true => permutation(self.trainer.seed(), "epoch", made, rows),
            false => (0..rows).collect(),
        };
        let batches = self.batches.of(&order).skip(self.position);
        match self.data {
            Examples::Memory(data) => {
                let mut batch = Batch::like(data);
                for chosen in batches {
                    batch.fill(data, chosen);
                    if self.step(number, network, &batch, chosen.len())?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Examples::Read(source) => {
                let (input, target) = (network.input().clone(), network.target().clone());
                read_ahead(source, (&input, &target), batches, |read| {
                    for data in read {
                        let data = data?;
                        let all: Vec<usize> = (0..data.rows()).collect();
                        let mut batch = Batch::like(&data);
                        batch.fill(&data, &all);
                        if self.step(number, network, &batch, all.len())?.is_break() {
                            break;
                        }
                    }
                    Ok(())
                })
            }
        }
    }

    /// Makes step `number`, on `examples` examples.
    fn step(
        &mut self,
        number: usize,
        network: &mut Network,
        batch: &Batch,
        examples: usize,
    ) -> Result<ControlFlow<()>, Error> {
        let (rows, steps) = (self.data.rows(), self.steps());
        let validation = self.validation.as_ref().and_then(Validation::last);
        let step = self.trainer.steps() + 1;
        let input = StepInput::of(batch.inputs.slices(), &batch.targets)
            .present(batch.present.as_deref())
            .weights(batch.weights.as_deref())
            .divergence_weight(self.divergence_weight(step))
            .rate(self.fit.schedule.factor(&self.position(step)));
        let (divergence_weight, rate) = (input.divergence_weight, input.rate);
        let loss = self.trainer.step(network, input)?;
        self.report.note_divergences(self.trainer.divergences());
        network.set_training_examples(Some(rows));
        network.set_made(network.steps(), self.epochs_before.wrapping_add(number as u64));
        (self.report.steps, self.report.divergence_weight) = (step, divergence_weight);
        self.position += 1;
        let (part, sums) = (examples as f64 / rows as f64, &mut self.sums);
        sums.loss += loss.loss * part;
        sums.negative_log_likelihood += loss.negative_log_likelihood * part;
        sums.divergence += loss.divergence * part;
        sums.divergence_weight = divergence_weight;
        if let Some(log) = &mut self.log {
            log.step(Line { epoch: number, dtype: network.dtype(), loss, divergence_weight, rate, validation: None })?;
        }
        if let Some(progress) = &mut self.fit.progress
            && progress(&Progress { step, steps, epoch: number, loss, validation, network }).is_break()
        {
            self.report.stopped = true;
            return Ok(ControlFlow::Break(()));
        }
        let is_due = self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_due(step));
        // after the last batch only with what validation says
        if is_due && self.position < self.batches.count() {
            self.save(network)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Checks that validation could choose, and says what it could not.
    fn check_end(&mut self) -> Result<(), Error> {
        let (reached, divergence_weight) = (self.report.divergence_weight, self.full_divergence_weight());
        if reached != divergence_weight {
            self.report.notes.push(FitNote::WarmUpNotOver { reached, divergence_weight });
        }
        let Some(validation) = &self.validation else { return Ok(()) };
        if self.choices == 0 {
            self.report.notes.push(FitNote::NoEpochToChoose);
        } else if let Some(patience) = self.fit.patience
            && !self.report.stopped_early
            && !self.report.stopped
            && self.choices <= patience.saturating_add(1)
        {
            self.report.notes.push(FitNote::LongPatience { patience, epochs: self.choices });
        }
        // who stops it takes what there is
        if self.report.stopped { Ok(()) } else { validation.check_end(self.report.epochs.len()) }
    }

    /// Gives the network the best parameters, if validation chose some.
    fn finish(self, network: &mut Network) -> FitReport {
        let time = self.time();
        let mut report = self.report;
        if let Some(validation) = self.validation {
            validation.note(&mut report.notes);
            report.best_epoch = validation.restore(network);
        }
        if let Some(best) = report.best_epoch.and_then(|best| report.epochs.get(best - 1)) {
            report.divergence_weight = best.divergence_weight;
        }
        // a network that the trainer made steps on is its network
        report.posterior = self.trainer.posterior_if_any(network, report.divergence_weight).ok().flatten();
        report.train_time = time;
        report
    }
}

/// An epoch before its first step.
fn beginning(epoch: usize) -> Epoch {
    Epoch { epoch, loss: 0.0, negative_log_likelihood: 0.0, divergence: 0.0, divergence_weight: 0.0, validation: None }
}
