//! Steps that a device goes on with: the graphs that make one where there is no host.

use super::{Trainer, finite::LARGEST_SCALAR, graph::Updates};
use crate::{Error, Network, Position, Schedule};
use bayeslift_ir::{DType, Environment, Graph, Type};
use bayeslift_runtime::Options;

/// How a device goes on training: `deploy::training` (feature `deploy`) compiles it, and
/// [`Trainer::save_for_device`] saves it for the command `bayeslift compile --train`.
///
/// ```
/// use bayeslift::{DeviceTraining, prelude::*};
/// let training = DeviceTraining::new(8).schedule(Schedule::Linear { to: 0.1 }, 90).divergence_weight(0.5);
/// assert_eq!(training.rate(1), 1.0);
/// assert!((training.rate(46) - 0.55).abs() < 1e-12);
/// assert!((training.rate(91) - 0.1).abs() < 1e-12 && training.rate(1000) == training.rate(91));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceTraining {
    /// The number of rows of each step.
    pub rows: usize,
    /// What the learning rate is multiplied by in the course of `steps` steps; after them the factor stays.
    pub schedule: Schedule,
    /// How many steps the schedule takes.
    pub steps: u64,
    /// The weight of the divergence; default: 1.
    pub divergence_weight: f64,
    /// Whether steps write over what was before as they go; default: no.
    pub in_place: bool,
}

impl DeviceTraining {
    /// Steps of `rows` rows, at the optimizer's own rate.
    pub fn new(rows: usize) -> Self {
        DeviceTraining { rows, schedule: Schedule::Constant, steps: 1, divergence_weight: 1.0, in_place: false }
    }

    /// With the rate multiplied by this schedule's factor over `steps` steps on the device, and by its last one from
    /// then on: any [`Schedule`] but one by epochs or of a closure.
    pub fn schedule(mut self, schedule: Schedule, steps: u64) -> Self {
        (self.schedule, self.steps) = (schedule, steps);
        self
    }

    /// With this weight of the divergence.
    pub fn divergence_weight(mut self, weight: f64) -> Self {
        self.divergence_weight = weight;
        self
    }

    /// With steps that write over parameters and optimizer's state as they go, in place of making new ones beside them
    /// and looking whether they are finite. That saves the memory of a copy of them, and time; of tables it moves the
    /// rows that were read alone. A step that is not known to be finite before it writes anything, since a bound of its
    /// gradients is above 2^50 (see [`Trainer::graph`]), is refused then, where a trainer makes it if it is finite
    /// after all.
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// The factor of the learning rate in the device's step of this number, counted from 1: what
    /// [`StepInput::rate`](crate::StepInput::rate) is told for the same bits.
    pub fn rate(&self, step: u64) -> f64 {
        let step = step.min(self.steps.saturating_add(1));
        self.schedule.factor(&Position { step, steps: self.steps, epoch: 1, epochs: 1 })
    }

    fn check(&self) -> Result<(), Error> {
        let DeviceTraining { rows, schedule, steps, divergence_weight, .. } = self;
        if *rows == 0 || *steps == 0 {
            let argument = if *rows == 0 { "rows of a device's step" } else { "steps of a device's schedule" };
            return Err(Error::argument(format!("the number of {argument}"), "at least 1", 0));
        }
        if !(*divergence_weight >= 0.0 && divergence_weight.is_finite()) {
            let expected = "a finite number, not negative";
            return Err(Error::argument("the divergence weight", expected, divergence_weight));
        }
        let is_good = match *schedule {
            Schedule::Linear { to } | Schedule::Cosine { to } => to >= 0.0 && to.is_finite(),
            Schedule::HalfLife { half_life, to } => to >= 0.0 && to.is_finite() && half_life > 0.0,
            _ => true,
        };
        match is_good {
            true => Ok(()),
            false => Err(Error::argument(
                "the schedule",
                "factors that are finite and not negative",
                schedule_name(schedule),
            )),
        }
    }
}

fn schedule_name(schedule: &Schedule) -> String {
    format!("`{schedule:?}`")
}

/// The graphs of a device's steps.
#[derive(Clone, Debug)]
pub(crate) struct DeviceGraphs {
    /// From [`STEP`], `u32[2]`, and `targets` to what a step's graph takes by these names: the optimizer's scalars and
    /// `divergence_scale`. Then [`REFUSED_TARGETS`] and, of steps in place, [`REFUSED_SCALARS`], each 0 if there are
    /// none.
    pub before: Graph,
    /// As [`Trainer::graph`] has it, or, if it is not to be made in place, with updates that update nothing and without
    /// a bound.
    pub step: Graph,
}

/// The number of a step, counted from 1: low, high.
pub(crate) const STEP: &str = "step";
/// How many targets are none of the likelihood's.
pub(crate) const REFUSED_TARGETS: &str = "refused/targets";
/// How many scalars are larger than the proof that updates are finite allows.
pub(crate) const REFUSED_SCALARS: &str = "refused/scalars";

impl Trainer {
    /// The graphs of a device's steps, which follow this trainer's.
    ///
    /// # Errors
    /// As for [`Trainer::graph`]; options out of range; an optimizer or a schedule without graph code of its scalars;
    /// rewriting that rounds differently; a network of `f64`.
    pub(crate) fn device_graphs(&self, network: &Network, training: &DeviceTraining) -> Result<DeviceGraphs, Error> {
        let _environment = Environment::enter();
        training.check()?;
        self.check_network(network)?;
        if network.dtype() != DType::F32 {
            let problem = format!("the network is of {}, where devices train networks of f32", network.dtype());
            return Err(Error::misuse(problem, "make its layers of f32"));
        }
        let default = Options::default();
        let rewrites = |options: &Options| (options.rewriting, options.simplify);
        if self.options.backend.options().is_some_and(|options| rewrites(options) != rewrites(&default)) {
            let problem = "the trainer's backend rewrites as no device does, so bits would differ";
            return Err(Error::misuse(problem, "leave rewriting and simplification as they are"));
        }
        let scale = training.divergence_weight / self.training_examples as f64;
        let scalars = self.options.optimizer.scalar_values(self.step + 1, 1.0).into_iter();
        let largest = scalars.map(|scalar| scalar * training.rate(1).max(training.rate(u64::MAX)).max(1.0));
        if training.in_place && !self.updates.are_finite_for(largest, f64::from(scale as f32)) {
            let problem = format!(
                "updates of the optimizer `{}` are not known to be finite before they are made",
                self.options.optimizer.name()
            );
            return Err(Error::misuse(problem, "make steps beside what was before, which is the default"));
        }
        let updates = if training.in_place { Updates::InPlace } else { Updates::Accumulated };
        let before = self.before(network, training, scale)?;
        Ok(DeviceGraphs { before, step: self.step_graph(network, training.rows.into(), updates)?.graph })
    }

    fn before(&self, network: &Network, training: &DeviceTraining, scale: f64) -> Result<Graph, Error> {
        let optimizer = &self.options.optimizer;
        let b = &network.builder();
        let words = b.input(STEP, Type::u32([2]));
        let word = |i: usize| words.slice(0, i..i + 1).reshape([]).to_f64();
        let step = word(0) + word(1) * (1_u64 << 32) as f64;
        let done = (step - (self.step + 1) as f64).min(training.steps as f64);
        let rate = training.schedule.factor_expr(done, training.steps).ok_or_else(|| {
            let problem = format!("a device was to have the schedule {}", schedule_name(&training.schedule));
            Error::misuse(problem, "take one that goes by steps: `Constant`, `Linear`, `Cosine` or `HalfLife`")
        })?;
        let scalars = optimizer.scalar_exprs(step, rate).ok_or_else(|| {
            let problem = format!("the optimizer `{}` tells its scalars on a host alone", optimizer.name());
            Error::misuse(problem, "implement `Optimizer::scalar_exprs`, or use another")
        })?;
        let names = optimizer.scalars();
        if scalars.len() != names.len() {
            let problem = format!(
                "the optimizer `{}` has {} names of scalars, but code of {}",
                optimizer.name(),
                names.len(),
                scalars.len()
            );
            return Err(Error::misuse(problem, "make these as many"));
        }
        let mut refused = b.constant(0.0);
        for (name, scalar) in names.iter().zip(&scalars) {
            let scalar = scalar.to_float();
            refused = refused + scalar.abs().less_equal(LARGEST_SCALAR).select(0.0, 1.0);
            b.output(name, scalar);
        }
        b.output("divergence_scale", b.constant_f64(scale).to_float());
        let target = network.target();
        let targets = b.input("targets", target.ty(training.rows, b.float()));
        let inside = target.support.contains_expr(targets);
        b.output(REFUSED_TARGETS, (1.0 - inside).sum_all());
        if training.in_place {
            b.output(REFUSED_SCALARS, refused);
        }
        Ok(b.finish()?)
    }
}
