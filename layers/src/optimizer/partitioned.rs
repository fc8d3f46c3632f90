//! Several optimizers, each for a part of the parameters.

use super::{Optimizer, Step, Update};
use crate::{Error, Variable};
use bayeslift_ir::{Expr, Tensor};
use std::{fmt, ops::Range, sync::Arc};

/// Several optimizers, each for a part of the parameters.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Adam, Group, Optimizer, Partitioned, Sgd, Variable};
///
/// // gradient descent for scales, Adam for the rest
/// let optimizer =
///     Partitioned::new(Adam::new(1e-3)).with(Sgd::new(1e-2), |variable| variable.group == Group::Scale);
/// let [loc, scale] = [Group::Loc, Group::Scale].map(|group| Variable::new("p", Type::f32([2]), group));
/// assert_eq!(optimizer.state(&loc), ["m", "v"]);
/// assert!(optimizer.state(&scale).is_empty());
/// ```
///
/// Factors of schedules are of all their rates. The state of a parameter is that of its own optimizer, at the same path
/// in files. Clipping is of the norm of all gradients.
#[derive(Clone)]
pub struct Partitioned {
    assignments: Vec<Assignment>,
}

/// An optimizer, and which parameters it is for.
#[derive(Clone)]
struct Assignment {
    optimizer: Arc<dyn Optimizer>,
    is_for: Arc<dyn Fn(&Variable) -> bool + Send + Sync>,
}

impl Partitioned {
    /// This optimizer for all parameters that no other is for; [`Partitioned::with`] adds the others.
    pub fn new(optimizer: impl Optimizer + 'static) -> Self {
        Partitioned { assignments: vec![Assignment { optimizer: Arc::new(optimizer), is_for: Arc::new(|_| true) }] }
    }

    /// Also this optimizer, for the parameters of which the closure says so. Of several that a parameter has, the last
    /// is taken.
    pub fn with(
        mut self,
        optimizer: impl Optimizer + 'static,
        is_for: impl Fn(&Variable) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.assignments.push(Assignment { optimizer: Arc::new(optimizer), is_for: Arc::new(is_for) });
        self
    }

    /// The number of the optimizer of a parameter.
    fn number(&self, variable: &Variable) -> usize {
        self.assignments.iter().rposition(|assignment| (assignment.is_for)(variable)).unwrap_or(0)
    }

    fn of(&self, variable: &Variable) -> &dyn Optimizer {
        &*self.assignments[self.number(variable)].optimizer
    }

    /// Which of all scalars are each optimizer's.
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let range = |assignment: &Assignment| {
            let start = end;
            end += assignment.optimizer.scalars().len();
            start..end
        };
        self.assignments.iter().map(range).collect()
    }

    /// What the parameter's optimizer says of a step.
    fn with_step<'b, T>(&self, step: &Step<'_, 'b>, say: impl FnOnce(&dyn Optimizer, &Step<'_, 'b>) -> T) -> T {
        let number = self.number(step.variable);
        let scalars = &step.scalars[self.ranges()[number].clone()];
        say(&*self.assignments[number].optimizer, &Step { scalars, ..*step })
    }
}

/// Which parameters each is for is in a step's graph.
impl fmt::Debug for Partitioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partitioned")?;
        f.debug_list().entries(self.assignments.iter().map(|assignment| &assignment.optimizer)).finish()
    }
}

impl Optimizer for Partitioned {
    fn name(&self) -> &'static str {
        "partitioned"
    }

    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.of(variable).state(variable)
    }

    /// Those of each optimizer, after its number.
    fn scalars(&self) -> Vec<String> {
        let of = |(i, assignment): (usize, &Assignment)| {
            let named = move |name: String| format!("{i}/{name}");
            assignment.optimizer.scalars().into_iter().map(named).collect::<Vec<_>>()
        };
        self.assignments.iter().enumerate().flat_map(of).collect()
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        self.assignments.iter().flat_map(|assignment| assignment.optimizer.scalar_values(step, rate)).collect()
    }

    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        let of_each = self.assignments.iter().map(|assignment| assignment.optimizer.scalar_exprs(step, rate));
        Some(of_each.collect::<Option<Vec<_>>>()?.concat())
    }

    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        let of =
            |(assignment, range): (&Assignment, Range<usize>)| assignment.optimizer.scalars_at(&scalars[range], factor);
        self.assignments.iter().zip(self.ranges()).flat_map(of).collect()
    }

    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        self.with_step(step, |optimizer, step| optimizer.scale(step))
    }

    fn value<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        self.with_step(step, |optimizer, step| optimizer.value(step))
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        self.with_step(step, |optimizer, step| optimizer.update(step, gradient))
    }

    fn moves_read_rows(&self, variable: &Variable) -> bool {
        self.of(variable).moves_read_rows(variable)
    }

    fn check(&self) -> Result<(), Error> {
        self.assignments.iter().try_for_each(|assignment| assignment.optimizer.check())
    }

    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        self.of(variable).initial_state(variable)
    }
}
