//! Trainers that are saved, to go on later.

use super::{DeviceTraining, Form, Trainer, TrainerOptions, Updates};
use crate::{
    Error, Network, fit,
    model_file::Contents,
    training_file::{self, Conditions, Description, TrainingFile},
};
use bayeslift_ir::{DType, Environment, Tensor};
use bayeslift_layers::Optimizer;
use bayeslift_runtime::{Options, Rewriting};
use std::path::Path;

impl Trainer {
    /// Saves all that training goes on with: the network with its parameters, as [`Network::save`] does, the
    /// optimizer's state, the numbers of steps and of training examples, and the options that decide what steps do, in
    /// words. The file has a digest of all this, and is there as a whole or not at all.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// # let path = std::env::temp_dir().join(format!("bayeslift-training-{}.safetensors", std::process::id()));
    /// # let (inputs, targets) = ([1.0, 0.0, 0.0, 1.0], Targets::Labels(vec![0, 1]));
    /// let layer = || AffineVariationalReparameterizationLocal::new(2, 2);
    /// let mut network = Network::new(layer(), [2], likelihood::Categorical, 0)?;
    /// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
    /// trainer.step(&mut network, StepInput::new(&inputs, &targets))?;
    /// trainer.save(&network, &path)?;
    ///
    /// // another day
    /// let mut again = Network::new(layer(), [2], likelihood::Categorical, 0)?;
    /// let mut trainer_again = Trainer::load(&mut again, &path, TrainerOptions::default())?;
    /// let loss = trainer_again.step(&mut again, StepInput::new(&inputs, &targets))?;
    /// assert_eq!((loss.step, loss), (2, trainer.step(&mut network, StepInput::new(&inputs, &targets))?));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Another network than the trainer's; a parameter with an element that is not finite; [`Error::File`].
    pub fn save(&self, network: &Network, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.check_network(network)?;
        let conditions = self.conditions(network);
        let description = Description::new(conditions, self.training_examples, self.step, None);
        training_file::write(path.as_ref(), &description, network, self.named_state())
    }

    /// As [`Trainer::save`], with the steps that a device goes on with: the command `bayeslift compile --train`, and
    /// `deploy::training_file` (feature `deploy`), make code of them. [`Trainer::load`] reads it too.
    ///
    /// # Errors
    /// As for [`Trainer::save`]; options out of range; an optimizer that tells its scalars on a host alone, a schedule
    /// by epochs or of a closure, a backend that rewrites as none does by default, a network of `f64`.
    pub fn save_for_device(
        &self,
        network: &Network,
        path: impl AsRef<Path>,
        training: &DeviceTraining,
    ) -> Result<(), Error> {
        let _environment = Environment::enter();
        let graphs = self.device_graphs(network, training)?;
        let conditions = self.conditions(network);
        let description = Description::new(conditions, self.training_examples, self.step, None);
        let description = description.for_device(&graphs, training.rows, self.seed);
        training_file::write(path.as_ref(), &description, network, self.named_state())
    }

    /// A trainer that goes on where [`Trainer::save`] was called, with the bits of one that was never interrupted; the
    /// network becomes that of the file.
    ///
    /// `network` is one of the same layers and likelihood, whatever its parameters. `options` are those that the
    /// trainer had. Compared are all that decide what steps do: the optimizer by its debugging text, by some of its
    /// scalars and by its part of the step's graph; divergence, samples, bound and seed; whether rewriting may round
    /// differently. Threads are free.
    ///
    /// # Errors
    /// Options out of range; [`Error::File`]; [`Error::TrainingFormat`] for a file that is truncated, damaged, foreign
    /// or of another version; [`Error::OtherTraining`] with the first difference. The network is unchanged then.
    pub fn load(network: &mut Network, path: impl AsRef<Path>, options: TrainerOptions) -> Result<Trainer, Error> {
        let _environment = Environment::enter();
        let mut file = TrainingFile::read(path.as_ref(), network, 1, &*options.optimizer)?;
        if file.description.course.is_some() {
            return Err(file.other("it is that of a `Fit`, which goes on by `Fit::checkpoint`".to_owned()));
        }
        let loaded = file.network(network)?;
        let mut trainer = Trainer::new(&loaded, file.description.training_examples, options)?;
        file.compare(&trainer.conditions(&loaded))?;
        let state = trainer.take_state(&mut file)?;
        file.check_taken()?;
        trainer.restore(file.description.steps, state);
        *network = loaded;
        Ok(trainer)
    }

    /// What decides what steps do, but for the network.
    pub(crate) fn conditions(&self, network: &Network) -> Conditions {
        let TrainerOptions { optimizer, divergence, samples, bound, clip_norm, backend, .. } = &self.options;
        let Options { rewriting, simplify, .. } = backend.options().cloned().unwrap_or_default();
        let rounds = match (rewriting, simplify) {
            (Rewriting::All, true) => "allowed",
            (Rewriting::All, false) => "allowed without simplification",
            _ => "not allowed",
        };
        let scalars = [1, 2, 1000].map(|step| optimizer.scalar_values(step, 1.0));
        // with the digits that steps have
        let nearest = |scalars: Vec<f64>| scalars.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let scalars = match network.dtype() {
            DType::F64 => format!("{scalars:?}"),
            _ => format!("{:?}", scalars.map(nearest)),
        };
        // of two rows, since batch normalization refuses one; layers of one's own may refuse that too
        let graph = self.step_graph(network, Form::from(2), Updates::Aside).map(|step| step.graph.to_string());
        let digest = |text: String| Contents::of(&text).finish();
        Conditions::default()
            .with("optimizer", optimizer)
            .with_text("optimizer's scalars in steps 1, 2 and 1000", scalars)
            .with("divergence", divergence)
            .with("number of samples", samples)
            .with("bound", bound)
            .with("limit of the gradients' norm", clip_norm)
            .with("seed", self.seed)
            .with_text("rewriting that rounds differently", rounds)
            .with_text("digest of the graph of a step", graph.map_or("none".to_owned(), digest))
    }

    /// Writes a training file of a fit that came so far.
    pub(crate) fn save_course<'a>(
        &'a self,
        path: &Path,
        (conditions, course): (Conditions, fit::Record),
        network: &Network,
        best: impl Iterator<Item = (String, &'a Tensor)>,
    ) -> Result<(), Error> {
        let description = Description::new(conditions, self.training_examples, self.step, Some(course));
        training_file::write(path, &description, network, self.named_state().chain(best))
    }

    fn named_state(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.state.iter().map(|(path, tensor)| (format!("state/{path}"), tensor))
    }

    /// Takes the optimizer's state out of a file, in the order of the trainer's own.
    pub(crate) fn take_state(&self, file: &mut TrainingFile<'_>) -> Result<Vec<Tensor>, Error> {
        self.state.iter().map(|(path, tensor)| file.take(&format!("state/{path}"), &tensor.ty())).collect()
    }

    /// Goes on after `steps` steps with this state.
    pub(crate) fn restore(&mut self, steps: u64, state: Vec<Tensor>) {
        self.step = steps;
        for ((_, tensor), saved) in self.state.iter_mut().zip(state) {
            *tensor = saved;
        }
        // nobody knows where the state of a file came from
        self.updates.look(&self.state);
    }
}
