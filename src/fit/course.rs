//! A fit that is under way.

use super::{Epoch, Fit, FitNote, FitReport, Progress, batches::Batches, validation::Validation};
use crate::{Dataset, Error, Network, StepInput, Trainer, dataset::Batch, shuffle::permutation};
use std::time::Instant;

/// What a fit works with, and what it has done so far.
pub(super) struct Course<'f, 'a> {
    fit: &'f mut Fit<'a>,
    trainer: Trainer,
    data: &'f Dataset,
    seed: u64,
    validation: Option<Validation>,
    batches: Batches,
    /// What was done, but for what only the end decides.
    report: FitReport,
    /// How many epochs were begun on the network before.
    epochs_before: u64,
    /// The number of epochs that validation can choose from so far.
    choices: usize,
    start: Instant,
}

impl<'f, 'a> Course<'f, 'a> {
    /// Compiles the first step.
    pub fn new(
        fit: &'f mut Fit<'a>,
        mut trainer: Trainer,
        network: &Network,
        data: &'f Dataset,
        validation: Option<Validation>,
        seed: u64,
    ) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let batches = Batches::new(fit.batch_size, data.rows(), network, &trainer, &mut notes)?;
        trainer.prepare(network, batches.first())?;
        let report = FitReport {
            epochs: Vec::new(),
            steps: 0,
            best_epoch: None,
            divergence_weight: 0.0,
            stopped_early: false,
            training_examples: data.rows(),
            notes,
            compile_time: trainer.compile_time(),
            train_time: Default::default(),
        };
        let (epochs_before, start) = (network.epochs(), Instant::now());
        Ok(Course { fit, trainer, data, seed, validation, batches, report, epochs_before, choices: 0, start })
    }

    /// Trains to the end. Whatever comes of it, the network has the parameters that the report names.
    pub fn run(mut self, network: &mut Network) -> Result<FitReport, Error> {
        let epochs = self.fit.epochs;
        let (mut epoch, mut result) = (0, Ok(()));
        while result.is_ok() && epoch < epochs && !self.report.stopped_early {
            epoch += 1;
            result = self.epoch(epoch, network);
        }
        let result = result.and_then(|()| self.check_end());
        let report = self.finish(network);
        match result {
            Ok(()) => Ok(report),
            Err(source) => Err(Error::Fit { epoch, epochs, report: Box::new(report), source: Box::new(source) }),
        }
    }

    /// The weight of the divergence in a step, counted from 1.
    fn divergence_weight(&self, step: u64) -> f64 {
        self.fit.divergence_weight * self.fit.warm_up.factor(step, self.steps())
    }

    /// The number of steps if training does not stop early.
    fn steps(&self) -> u64 {
        (self.batches.count() as u64).saturating_mul(self.fit.epochs as u64)
    }

    /// Uses every example once, and validates.
    fn epoch(&mut self, number: usize, network: &mut Network) -> Result<(), Error> {
        // The weight only rises: if it is full in the first step it is in all.
        let can_be_chosen = self.divergence_weight(self.trainer.steps() + 1) == self.fit.divergence_weight;
        let epoch = self.train(number, network)?;
        self.report.epochs.push(epoch);
        let Some(validation) = &mut self.validation else { return Ok(()) };
        self.choices += usize::from(can_be_chosen);
        let value = validation.look(network, number, can_be_chosen)?;
        self.report.epochs.iter_mut().last().into_iter().for_each(|epoch| epoch.validation = Some(value));
        validation.check_hope()?;
        let is_over = self.fit.patience.is_some_and(|patience| validation.is_over(patience));
        self.report.stopped_early = is_over && number < self.fit.epochs;
        Ok(())
    }

    fn train(&mut self, number: usize, network: &mut Network) -> Result<Epoch, Error> {
        let (data, rows, steps) = (self.data, self.data.rows(), self.steps());
        let validation = self.validation.as_ref().and_then(|validation| validation.last);
        let made = self.epochs_before.wrapping_add(number as u64);
        let order = if self.fit.shuffle { permutation(self.seed, "epoch", made, rows) } else { (0..rows).collect() };
        let mut batch = Batch::like(data);
        let mut epoch = Epoch {
            epoch: number,
            loss: 0.0,
            negative_log_likelihood: 0.0,
            divergence: 0.0,
            divergence_weight: 0.0,
            validation: None,
        };
        for chosen in self.batches.of(&order) {
            batch.fill(data, chosen);
            let step = self.trainer.steps() + 1;
            let input = StepInput::new(&batch.inputs, &batch.targets)
                .present(batch.present.as_deref())
                .weights(batch.weights.as_deref())
                .divergence_weight(self.divergence_weight(step))
                .rate(self.fit.schedule.factor((step - 1) as f64 / steps as f64));
            let loss = self.trainer.step(network, input)?;
            network.set_training_examples(Some(rows));
            network.set_made(network.steps(), made);
            (self.report.steps, self.report.divergence_weight) = (step, input.divergence_weight);
            let part = chosen.len() as f64 / rows as f64;
            epoch.loss += f64::from(loss.loss) * part;
            epoch.negative_log_likelihood += f64::from(loss.negative_log_likelihood) * part;
            epoch.divergence += f64::from(loss.divergence) * part;
            epoch.divergence_weight = input.divergence_weight;
            if let Some(progress) = &mut self.fit.progress {
                progress(&Progress { step, steps, epoch: number, loss, validation });
            }
        }
        Ok(epoch)
    }

    /// Checks that validation could choose, and says what it could not.
    fn check_end(&mut self) -> Result<(), Error> {
        let (reached, divergence_weight) = (self.report.divergence_weight, self.fit.divergence_weight);
        if reached != divergence_weight {
            self.report.notes.push(FitNote::WarmUpNotOver { reached, divergence_weight });
        }
        let Some(validation) = &self.validation else { return Ok(()) };
        if self.choices == 0 {
            self.report.notes.push(FitNote::NoEpochToChoose);
        } else if let Some(patience) = self.fit.patience
            && !self.report.stopped_early
            && self.choices <= patience.saturating_add(1)
        {
            self.report.notes.push(FitNote::LongPatience { patience, epochs: self.choices });
        }
        validation.check_end(self.report.epochs.len())
    }

    /// Gives the network the best parameters, if validation chose some.
    fn finish(self, network: &mut Network) -> FitReport {
        let mut report = self.report;
        if let Some(validation) = self.validation {
            validation.note(&mut report.notes);
            report.best_epoch = validation.restore(network);
        }
        if let Some(best) = report.best_epoch.and_then(|best| report.epochs.get(best - 1)) {
            report.divergence_weight = best.divergence_weight;
        }
        report.train_time = self.start.elapsed();
        report
    }
}
