//! Training step by step. One step is one compiled function: forward pass, gradients, update of the parameters.

mod accumulated;
mod arguments;
mod checked;
mod clip;
mod device;
mod explain;
mod finite;
mod graph;
mod inputs;
mod norms;
mod options;
mod overflow;
mod posterior;
mod rows;
mod saved;
mod stand_ins;
mod targets;

pub(crate) use clip::check_clip_norm;
pub(crate) use device::DeviceGraphs;
pub use device::DeviceTraining;
#[cfg(feature = "deploy")]
pub(crate) use device::{REFUSED_SCALARS, REFUSED_TARGETS, STEP};
#[cfg(feature = "deploy")]
pub(crate) use finite::LARGEST_GRADIENT;
pub use options::{StepInput, TrainerOptions};
pub(crate) use targets::{check_dataset, check_observed, check_targets, known_events};

use crate::{
    Error, Network,
    engine::{Engine, Session},
    error::counted,
};
use accumulated::AccumulatedStep;
use arguments::{Numbers, Scalars};
use bayeslift_ir::{Environment, Graph, Tensor, Type};
use bayeslift_layers::Variable;
use checked::{CheckedStep, Measured};
use finite::FiniteUpdates;
use graph::{StepGraph, Updates};
use norms::Norms;
use options::Form;
use stand_ins::with_stand_ins;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// What one step measured, before it moved the parameters. Numbers of `f32` are as they are in `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// The number of the step, counted from 1.
    pub step: u64,
    /// negative log likelihood + divergence weight * divergence / training examples. These are all rows, whatever their
    /// weights and whether their targets are known: a row of weight 2 is one example that is observed twice.
    pub loss: f64,
    /// The mean over batch and samples of the row's weight * -log p(target | input), in nats, of the targets that are
    /// known.
    pub negative_log_likelihood: f64,
    /// The divergence of the posterior from the prior, in nats, neither weighted nor divided.
    pub divergence: f64,
}

impl StepLoss {
    /// Of loss, negative log likelihood and divergence.
    fn of(step: u64, [loss, negative_log_likelihood, divergence]: [f64; 3]) -> StepLoss {
        StepLoss { step, loss, negative_log_likelihood, divergence }
    }
}

/// The divergence of one random variable in a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VariableDivergence {
    /// The path of the random variable, such as `affine/kernel`.
    pub path: String,
    /// How it was computed: which of the [alternatives](bayeslift_layers::Divergence::or) had an answer.
    pub method: String,
    /// In nats, neither weighted nor divided.
    pub nats: f64,
}

impl fmt::Display for VariableDivergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.words())
    }
}

impl VariableDivergence {
    /// Without the path.
    pub(crate) fn words(&self) -> String {
        format!("divergence {:.1} by {}", self.nats, self.method)
    }
}

/// Makes training steps on a network: holds the optimizer's state and the compiled step, one for each size of batch it
/// has seen, and a second one where a step was not known to be finite before it was made.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 2);
/// let mut network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
/// let labels = Targets::Labels(vec![0, 1]);
/// let loss = trainer.step(&mut network, StepInput::new(&[1.0, 0.0, 0.0, 1.0], &labels))?;
/// assert!(loss.negative_log_likelihood > 0.0);
///
/// // what a step measures: its loss, by its parts
/// let whole = loss.negative_log_likelihood + loss.divergence / 1000.0;
/// assert!((loss.loss - whole).abs() < 1e-4 * whole);
/// let of_variables: f64 = trainer.divergences().iter().map(|variable| variable.nats).sum();
/// assert!((of_variables - loss.divergence).abs() < 1e-4 * loss.divergence);
///
/// // and what it keeps
/// assert_eq!(trainer.state().next().map(|(path, m)| (path, m.shape())), Some(("adam/kernel/loc/m", &[2, 2].into())));
/// trainer.prepare(&network, 32)?; // compiles the step for 32 rows before it is needed
/// assert!(trainer.compile_time().as_nanos() > 0 && trainer.kernels(32).is_some());
/// let graph = trainer.graph(&network, 32)?;
/// assert!(graph.outputs().iter().any(|output| output.name == "loss"));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    options: TrainerOptions,
    training_examples: usize,
    seed: u64,
    step: u64,
    variables: Vec<Variable>,
    /// The optimizer's state by path, in the order of the graph's inputs.
    state: Vec<(String, Tensor)>,
    updates: FiniteUpdates,
    compiled: BTreeMap<Form, Compiled>,
    /// Steps that are made in parts.
    accumulated: BTreeMap<Form, AccumulatedStep>,
    norms: BTreeMap<Form, Norms>,
    divergences: Vec<VariableDivergence>,
    compile_time: Duration,
}

impl Trainer {
    /// A trainer of networks like this one, on a data set of `training_examples`, which divides the divergence.
    ///
    /// # Errors
    /// Options out of range, a network without trainable parameters.
    pub fn new(network: &Network, training_examples: usize, options: TrainerOptions) -> Result<Trainer, Error> {
        let _environment = Environment::enter();
        options.optimizer.check()?;
        check_clip_norm(options.clip_norm)?;
        let rows = options.micro_batch_size.unwrap_or(1);
        for (argument, count) in
            [("samples", options.samples), ("training examples", training_examples), ("rows of a micro batch", rows)]
        {
            if count == 0 {
                return Err(Error::argument(format!("the number of {argument}"), "at least 1", count));
            }
        }
        let variables = network.parameters().variables();
        let trainable = variables.iter().filter(|variable| variable.trainable);
        let state = trainable.map(|variable| options.optimizer.initial_state(variable));
        let mut state: Vec<_> = state.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        state.iter_mut().for_each(|(_, tensor)| tensor.align());
        if !variables.iter().any(|variable| variable.trainable) {
            return Err(Error::argument("the number of trainable parameters", "at least 1", 0));
        }
        let seed = options.seed.unwrap_or(network.seed());
        let updates = FiniteUpdates::of(&*options.optimizer, &variables, &state, network.dtype());
        Ok(Trainer {
            options,
            training_examples,
            seed,
            step: 0,
            variables,
            state,
            updates,
            compiled: BTreeMap::new(),
            accumulated: BTreeMap::new(),
            norms: BTreeMap::new(),
            divergences: Vec::new(),
            compile_time: Duration::ZERO,
        })
    }

    /// The number of steps that this trainer made, of which the optimizer is told. Noise is addressed by
    /// [`Network::steps`], those that all trainers made on a network.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Addresses the noise.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The divergence of each random variable in the last step that was made, before it moved the parameters; their sum
    /// is [`StepLoss::divergence`]. Not numbers before the first step, of which nothing is known before it is
    /// [prepared](Trainer::prepare).
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = |inputs, outputs| AffineVariationalReparameterizationLocal::new(inputs, outputs).use_bias(false);
    /// let layers = Sequential::new().layer(layer(2, 2)).layer(layer(2, 2).prior_maker(Prior::normal(0.0, 1.0)));
    /// let mut network = Network::new(layers, [2], likelihood::Categorical, 0)?;
    /// let divergence = Divergence::Exact.or(Divergence::Quadrature { nodes: 5 });
    /// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default().divergence(divergence))?;
    /// let labels = Targets::Labels(vec![0, 1]);
    /// trainer.step(&mut network, StepInput::new(&[1.0, 0.0, 0.0, 1.0], &labels))?;
    /// let methods: Vec<_> = trainer.divergences().iter().map(|one| format!("{} by {}", one.path, one.method)).collect();
    /// assert_eq!(methods, ["affine/kernel by Quadrature { nodes: 5 }", "affine_1/kernel by Exact"]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn divergences(&self) -> &[VariableDivergence] {
        &self.divergences
    }

    /// How long compiling took so far, for all sizes of batches.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// The number of kernels that the step for this number of rows was compiled to, if it was. Batches with missing
    /// targets and batches with weights have steps of their own: of several that are compiled it is the last in the
    /// order of neither, weights, missing targets, both.
    pub fn kernels(&self, rows: usize) -> Option<usize> {
        let mut steps = self.compiled.iter().filter(|(form, _)| form.rows == rows);
        steps.next_back().map(|(_, compiled)| compiled.engine.kernels())
    }

    /// The optimizer's state by path, such as `adam/affine/kernel/loc/m`.
    pub fn state(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.state.iter().map(|(path, tensor)| (path.as_str(), tensor))
    }

    /// The graph of one step on this number of rows, without missing targets and without weights.
    ///
    /// Inputs: the parameters by path, the optimizer's state, the noise address, `x`, `targets`, the optimizer's
    /// scalars by name, `divergence_scale`. Trainable parameters, state and what layers update are donated. Outputs:
    /// those updates, then `loss`, `negative_log_likelihood`, `divergence`, and `bound`, which no magnitude of a
    /// gradient exceeds: where it is above 2^50 or not a number, the updates are what was before, and [`Trainer::step`]
    /// makes the step in another way. Steps that are compiled have one more output for each random variable, its
    /// divergence, for [`Trainer::divergences`].
    ///
    /// # Errors
    /// A network whose parameters are not those that the trainer was made for; layers that do not fit.
    pub fn graph(&self, network: &Network, rows: usize) -> Result<Graph, Error> {
        Ok(self.step_graph(network, rows.into(), Updates::InPlace)?.graph)
    }

    /// Makes one step. Compiles first if it is the first batch of its size.
    ///
    /// After `Ok` parameters, state and statistics are finite, if parameters were before. Mostly that is known before
    /// anything is written, from bounds of the gradients (see [`Trainer::graph`]) and of what the optimizer makes of
    /// them. Where it is not - gradients that may exceed 2^50, a rate above 1024, an optimizer about which nothing can
    /// be proved -, the step is computed beside parameters and state, with the same bits, and put in place if it is
    /// finite: that takes a second compiled step, up to half as long again, and memory for a copy of them.
    ///
    /// # Errors
    /// A batch that does not fit, labels out of range, another network than the trainer's, a weight or rate that is
    /// negative, not finite or too large for `f32`: nothing has changed then. [`Error::NonFiniteLoss`],
    /// [`Error::NonFiniteUpdate`]: parameters and state are bit for bit what they were.
    pub fn step(&mut self, network: &mut Network, input: StepInput<'_>) -> Result<StepLoss, Error> {
        let _environment = Environment::enter();
        let (form, numbers) = self.check_input(network, &input)?;
        let input = numbers.input(&input);
        if self.accumulates(form.rows) {
            let scalars = self.scalars(network, &input)?;
            return self.accumulated_step(network, &input, &scalars);
        }
        self.prepare_form(network, form)?;
        let (step, scalars) = (self.step + 1, self.scalars(network, &input)?);
        let compiled = prepared(&mut self.compiled, form)?;
        // Parameters that were assigned may be anything; where the last step was not proved to be finite, this one will
        // hardly be either.
        let is_known = self.step > 0 || network.parameters().check_finite().is_ok();
        if !is_known || !compiled.is_bounded || !self.updates.are_finite_for(scalars.optimizer(), scalars.temperature())
        {
            return self.checked_step(network, &input, step, &scalars);
        }
        let mut arguments = scalars.arguments(tensors(network, &mut self.state), &input);
        compiled.engine.call(&mut compiled.session, &mut arguments)?;
        let measured = Measured::of(step, &compiled.session.outputs, self.divergences.len());
        if !measured.loss.loss.is_finite() {
            return Err(self.non_finite_loss(network, &input, &scalars, measured.loss));
        }
        if !measured.is_bounded() {
            return self.checked_step(network, &input, step, &scalars);
        }
        tell(&mut self.divergences, &compiled.session.outputs);
        self.count(network, step);
        Ok(measured.loss)
    }

    /// Notes which terms a step's divergence has: the same in all forms of steps.
    fn name_divergences(&mut self, step: &StepGraph) {
        if self.divergences.is_empty() {
            let term = |(path, method, _): &(String, String, _)| (path.clone(), method.clone());
            let unknown = |(path, method)| VariableDivergence { path, method, nats: f64::NAN };
            self.divergences = step.terms.iter().map(term).map(unknown).collect();
        }
    }

    /// Counts a step that was made.
    fn count(&mut self, network: &mut Network, step: u64) {
        self.step = step;
        network.set_made(network.steps().wrapping_add(1), network.epochs());
    }

    /// Compiles the step for this number of rows without missing targets and without weights, if it is not compiled
    /// yet.
    ///
    /// # Errors
    /// As for [`Trainer::graph`]; a machine that refuses executable memory.
    pub fn prepare(&mut self, network: &Network, rows: usize) -> Result<(), Error> {
        let _environment = Environment::enter();
        match self.accumulates(rows) {
            true => self.prepare_accumulated(network, rows.into()),
            false => self.prepare_form(network, rows.into()),
        }
    }

    fn prepare_form(&mut self, network: &Network, form: Form) -> Result<(), Error> {
        if !self.compiled.contains_key(&form) {
            let start = Instant::now();
            let step = self.step_graph(network, form, Updates::InPlace)?;
            let engine = Engine::new(step.telling()?, &self.options.backend)?;
            self.name_divergences(&step);
            let session = engine.session()?;
            self.compiled.insert(form, Compiled { engine, session, is_bounded: true, checked: None });
            self.compile_time += start.elapsed();
        }
        Ok(())
    }

    /// Checks what a step is called with. Returns the form of step that it needs, and the numbers of the batch as it
    /// takes them.
    fn check_input<'a>(&self, network: &Network, input: &StepInput<'a>) -> Result<(Form, Numbers<'a>), Error> {
        let rows = network.rows(input.inputs)?;
        check_observed(network.target(), rows, input.present, input.weights)?;
        let targets = with_stand_ins(network.target(), input.targets, input.present);
        check_targets(network.target(), rows, &targets)?;
        self.check_network(network)?;
        for (argument, number) in
            [("divergence weight", input.divergence_weight), ("factor of the learning rate", input.rate)]
        {
            if !(number >= 0.0 && number.is_finite()) {
                return Err(Error::argument(format!("the {argument}"), "a finite number, not negative", number));
            }
        }
        Ok((input.form(rows), Numbers::of(network, input.inputs, targets)?))
    }

    fn check_network(&self, network: &Network) -> Result<(), Error> {
        let found = network.parameters();
        let other = found.iter().zip(&self.variables).find(|((path, parameter), variable)| {
            *path != variable.path
                || parameter.trainable != variable.trainable
                || parameter.tensor.dtype() != variable.ty.dtype
                || *parameter.tensor.shape() != variable.ty.shape
        });
        let one = |path: &str, ty: &Type, trainable: bool| {
            format!("{} `{path}` {ty}", if trainable { "the trainable" } else { "the not trainable" })
        };
        let difference = match other {
            None if found.len() == self.variables.len() => return Ok(()),
            None => format!("it has {}, not {}", counted(found.len(), "parameter"), self.variables.len()),
            Some(((path, parameter), variable)) => format!(
                "it has {} in place of {}",
                one(path, &parameter.tensor.ty(), parameter.trainable),
                one(&variable.path, &variable.ty, variable.trainable)
            ),
        };
        let problem = format!("the trainer is not of this network: {difference}");
        Err(Error::misuse(problem, "make another trainer"))
    }
}

/// The step for one form of batch.
#[derive(Debug)]
struct Compiled {
    engine: Engine,
    session: Session,
    /// Whether the last step was known to be finite before anything was written.
    is_bounded: bool,
    checked: Option<CheckedStep>,
}

/// The tensors that a step updates or reads, in the order of its graph.
fn tensors<'a>(network: &'a mut Network, state: &'a mut [(String, Tensor)]) -> impl Iterator<Item = &'a mut Tensor> {
    let parameters = network.parameters_mut().iter_mut().map(|(_, parameter)| &mut parameter.tensor);
    parameters.chain(state.iter_mut().map(|(_, tensor)| tensor))
}

/// Notes the terms of the divergence, which are the last outputs of a step.
fn tell(divergences: &mut [VariableDivergence], outputs: &[Tensor]) {
    for (divergence, output) in divergences.iter_mut().rev().zip(outputs.iter().rev()) {
        divergence.nats = output.to_f64s().map_or(f64::NAN, |nats| nats[0]);
    }
}

fn prepared(compiled: &mut BTreeMap<Form, Compiled>, form: Form) -> Result<&mut Compiled, Error> {
    let missing = || Error::misuse(format!("no step for {} is compiled", counted(form.rows, "row")), "prepare one");
    compiled.get_mut(&form).ok_or_else(missing)
}
