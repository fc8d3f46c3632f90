//! Running a fit: what is checked before the first step, and what is made of the options.

use super::{
    Fit, FitReport, ValidationPart,
    batches::Batches,
    checkpoint::Checkpoint,
    course::Course,
    diagnosis::diagnoses,
    log::{Form, Log},
    validation::Validation,
};
use crate::{
    Dataset, Error, Network, Schedule, Source, Trainer, TrainerOptions, WarmUp,
    posteriors::Moments,
    source::Examples,
    trainer::{check_clip_norm, check_dataset},
};
use bayeslift_ir::Environment;
use std::sync::Arc;

impl Fit<'_> {
    fn check(&self) -> Result<(), Error> {
        let counts = [
            ("number of epochs", self.epochs),
            ("batch size", self.batch_size),
            ("number of samples", self.samples),
            ("number of validation samples", self.validation_samples),
            ("patience of early stopping", self.patience.unwrap_or(1)),
        ];
        if let Some((argument, count)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(format!("the {argument}"), "at least 1", count));
        }
        if let WarmUp::Fraction(fraction) = self.warm_up
            && !(0.0..=1.0).contains(&fraction)
        {
            return Err(Error::argument("the fraction of the warm-up", "a number from 0 to 1", fraction));
        }
        self.optimizer.check()?;
        check_clip_norm(self.clip_norm)?;
        let weight = self.divergence_weight;
        if !(weight >= 0.0 && (weight as f32).is_finite()) {
            let expected = "a number that is finite as `f32` and not negative";
            return Err(Error::argument("the weight of the divergence", expected, format!("{weight:?}")));
        }
        let end = match self.schedule {
            Schedule::Linear { to } | Schedule::Cosine { to } => to,
            _ => 1.0,
        };
        if !(end >= 0.0 && self.optimizer.scalar_values(1, end).iter().all(|&rate| (rate as f32).is_finite())) {
            let expected = "a number that is not negative and leaves the learning rate finite";
            return Err(Error::argument("the last factor of the schedule", expected, format!("{end:?}")));
        }
        if let Some((path, every)) = &self.checkpoint {
            if *every == 0 {
                return Err(Error::argument(
                    "the number of steps from one checkpoint to the next",
                    "at least 1",
                    every,
                ));
            }
            if self.log.as_ref() == Some(path) {
                let problem = format!("checkpoint and log have one name, `{}`", path.display());
                return Err(Error::misuse(problem, "give them two"));
            }
        }
        self.log.as_deref().map_or(Ok(()), |path| Form::of(path).map(drop))?;
        if self.patience.is_some() && matches!(self.validation, ValidationPart::None) {
            let remedy = "give some by `Fit::validation_split` or `Fit::validation`";
            return Err(Error::misuse("early stopping needs data to validate on, and there is none", remedy));
        }
        Ok(())
    }

    /// Fits the network.
    ///
    /// # Errors
    /// Options out of range, data that does not fit the network, layers that do not fit, a
    /// [checkpoint](Fit::checkpoint) that is damaged ([`Error::TrainingFormat`]) or of another run
    /// ([`Error::OtherTraining`]): nothing has changed then.
    ///
    /// [`Error::Fit`] for all that happens once steps are made, such as [`Error::NonFiniteLoss`] or a factor of a
    /// custom schedule that is negative or not finite. It has the report so far, and the network has the best
    /// parameters so far; if validation has chosen none, those from before the step that failed.
    pub fn run(self, network: &mut Network, data: &Dataset) -> Result<FitReport, Error> {
        let _environment = Environment::enter();
        self.check()?;
        let seed = self.seed.unwrap_or(network.seed());
        match &self.validation {
            ValidationPart::None => self.run_on(network, Examples::Memory(data), None),
            ValidationPart::Data(validation) => {
                let validation = validation.clone();
                self.run_on(network, Examples::Memory(data), Some(validation))
            }
            ValidationPart::Split(fraction) => {
                let (validation, rest) = data.split(*fraction, seed)?;
                self.run_on(network, Examples::Memory(&rest), Some(Arc::new(validation)))
            }
        }
    }

    /// As [`Fit::run`], on examples that are read when they are needed. Steps have the bits that they have on a data
    /// set of the same examples.
    ///
    /// # Errors
    /// As for [`Fit::run`]; a [split](Fit::validation_split), which a source has none of: validate on data of their
    /// own. [`Error::Fit`] with [`Error::Source`] where examples could not be read.
    pub fn run_source(self, network: &mut Network, source: &dyn Source) -> Result<FitReport, Error> {
        let _environment = Environment::enter();
        self.check()?;
        if source.rows() == 0 {
            return Err(Error::argument("the number of examples of the source", "at least 1", 0));
        }
        let validation = match &self.validation {
            ValidationPart::None => None,
            ValidationPart::Data(validation) => Some(validation.clone()),
            ValidationPart::Split(_) => {
                let problem = "a source is read as it is needed, so no part of it can be split off";
                return Err(Error::misuse(problem, "give data to validate on by `Fit::validation`"));
            }
        };
        self.run_on(network, Examples::Read(source), validation)
    }

    fn run_on(
        mut self,
        network: &mut Network,
        data: Examples<'_>,
        validation: Option<Arc<Dataset>>,
    ) -> Result<FitReport, Error> {
        let seed = self.seed.unwrap_or(network.seed());
        let in_memory = match data {
            Examples::Memory(data) => Some(data),
            Examples::Read(_) => None,
        };
        for data in validation.as_deref().into_iter().chain(in_memory) {
            check_dataset(network.input(), network.target(), data)?;
        }
        let options = TrainerOptions {
            optimizer: self.optimizer.clone(),
            divergence: self.divergence.clone(),
            samples: self.samples,
            bound: self.bound,
            micro_batch_size: self.micro_batch_size,
            clip_norm: self.clip_norm,
            seed: Some(seed),
            backend: self.backend.clone(),
        };
        let mut trainer = Trainer::new(network, data.rows(), options)?;
        let mut notes = Vec::new();
        let batches = Batches::new(self.batch_size, data.rows(), network, &trainer, &mut notes)?;
        let checkpoint = self.checkpoint.as_ref();
        let checkpoint = checkpoint.map(|at| {
            let digest = validation.as_deref().map_or("none".to_owned(), Dataset::digest);
            Checkpoint::new(&self, at, &trainer, network, [data.identity(), digest])
        });
        let saved = match &checkpoint {
            Some(checkpoint) => checkpoint.read(&self, &mut trainer, network, &batches)?,
            None => None,
        };
        let log = match (&self.log, &checkpoint, &saved) {
            (None, _, _) => None,
            (Some(path), Some(checkpoint), Some(saved)) => Some(checkpoint.log(path, saved)?),
            (Some(path), _, _) => Some(Log::create(path)?),
        };
        let (samples, backend) = (self.validation_samples, self.backend.clone());
        let validation = validation.map(|validation| Validation::new(network, validation, samples, seed, backend));
        let validation = validation.transpose()?;
        let before = Moments::of(network)?;
        let mut course = Course::new(&mut self, trainer, network, data, validation, (batches, notes))?;
        course.write_to(checkpoint, log);
        if let Some(saved) = saved {
            course.resume(saved, network);
        }
        let mut result = course.run(network);
        let report = match &mut result {
            Ok(report) => report,
            Err(Error::Fit { report, .. }) => &mut **report,
            Err(_) => return result,
        };
        report.posteriors = Moments::of(network)?.compared(&before);
        report.diagnoses = diagnoses(report);
        result
    }
}
