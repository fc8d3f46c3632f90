//! Learning rates by group and by parameter.

use super::{Optimizer, Options, Step, Update};
use crate::{Error, Variable};
use bayeslift_ir::{Expr, Tensor};
use std::{fmt, sync::Arc};

/// An optimizer whose learning rate has a factor for each parameter, by its group or its path: 0 freezes it.
///
/// The factor is part of the compiled step; state and scalars are those of the optimizer, so files are too.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Adam, Group, Optimizer, Rates, Variable};
///
/// // half the rate for what priors learn, and twice that for scales
/// let optimizer = Rates::new(Adam::new(1e-3), |variable| match variable.group {
///     Group::Prior => 0.5,
///     Group::Scale => 2.0,
///     _ => 1.0,
/// });
/// assert_eq!(optimizer.name(), "adam"); // as in files
///
/// // a factor is checked when training begins
/// let weight = Variable::new("w", Type::f32([2]), Group::Weight);
/// assert!(Rates::new(Adam::new(1e-3), |_| -1.0).initial_state(&weight).is_err());
/// ```
#[derive(Clone)]
pub struct Rates<O> {
    optimizer: O,
    factor: Arc<Factor>,
}

type Factor = dyn Fn(&Variable) -> f64 + Send + Sync;

impl<O: Optimizer> Rates<O> {
    /// This optimizer, with its rate times what the closure says of a parameter: a finite number, not negative.
    pub fn new(optimizer: O, factor: impl Fn(&Variable) -> f64 + Send + Sync + 'static) -> Self {
        Rates { optimizer, factor: Arc::new(factor) }
    }

    /// What the optimizer is told of a parameter.
    fn with_step<'b, T>(&self, step: &Step<'_, 'b>, of: impl FnOnce(&Step<'_, 'b>) -> T) -> T {
        let factor = (self.factor)(step.variable);
        if factor == 1.0 {
            return of(step);
        }
        of(&Step { scalars: &self.optimizer.scalars_at(step.scalars, factor), ..*step })
    }
}

/// What the factors are is in a step's graph.
impl<O: Optimizer> fmt::Debug for Rates<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rates({:?}, ..)", self.optimizer)
    }
}

impl<O: Optimizer> Optimizer for Rates<O> {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.optimizer.state(variable)
    }

    fn scalars(&self) -> Vec<String> {
        self.optimizer.scalars()
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        self.optimizer.scalar_values(step, rate)
    }

    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        self.optimizer.scalar_exprs(step, rate)
    }

    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        self.optimizer.scalars_at(scalars, factor)
    }

    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        self.with_step(step, |step| self.optimizer.scale(step))
    }

    fn value<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        self.with_step(step, |step| self.optimizer.value(step))
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        self.with_step(step, |step| self.optimizer.update(step, gradient))
    }

    fn moves_read_rows(&self, variable: &Variable) -> bool {
        self.optimizer.moves_read_rows(variable)
    }

    fn check(&self) -> Result<(), Error> {
        self.optimizer.check()
    }

    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        Options("Rates").not_negative(&format!("factor of `{}`", variable.path), (self.factor)(variable))?;
        self.optimizer.initial_state(variable)
    }
}
