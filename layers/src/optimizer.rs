//! How a step moves a parameter by its gradient.

mod adam;
mod adam_w;
mod ivon;
mod lazy;
mod partitioned;
mod power;
mod rates;
mod rms_prop;
mod sgd;
mod sgld;
mod step;

pub use adam::Adam;
pub use adam_w::AdamW;
pub use ivon::Ivon;
pub use lazy::Lazy;
pub use partitioned::Partitioned;
pub use rates::Rates;
pub use rms_prop::RmsProp;
pub use sgd::Sgd;
pub use sgld::Sgld;
pub use step::Step;

use crate::{Error, Group, Variable};
use bayeslift_ir::{Expr, Foreign, Tensor};
use std::{fmt::Debug, sync::Arc};

/// A rule that moves a parameter along its gradient.
///
/// It is told which parameter it moves, so that it can treat groups apart, and where noise comes from, so that it can
/// draw; see [`Step`].
///
/// An update is ordinary graph code. What changes with the step but not with the parameter - a bias-corrected step
/// size - enters as scalar inputs, computed on the host in `f64` with `+ - * /` and square roots only, so that they
/// have the same bits everywhere.
///
/// # Which
/// [`Adam`], also with decoupled weight decay ([`AdamW`]), [`RmsProp`] and [`Sgd`] move parameters. [`Sgld`] makes them
/// wander as draws of their posterior do, and [`Ivon`] finds a normal posterior around each; both for deterministic
/// layers. [`Lazy`] moves of tables the rows that were read.
///
/// Lion (Chen et al. 2023) is not among them. It moves each parameter by the rate, along the sign of a mean of
/// gradients, which saves one of Adam's two tensors of state, and was found to pay with batches of thousands of
/// examples and strong weight decay. Where weights are drawn and batches are small, gradients of many parameters are
/// mostly noise, and the sign of noise is as long a step as any. The example in the facade's `prelude` is a rule of
/// this kind in ten lines.
///
/// # Groups
/// [`Rates`] gives parameters rates of their own, by group or path, and [`Partitioned`] optimizers of their own.
///
/// # Writing one
/// Gradient descent along the mean of all gradients so far, each taken at a draw around the weights:
///
/// ```
/// use bayeslift_ir::{Builder, Expr, Tensor, Type, evaluate};
/// use bayeslift_layers::{Error, Group, Optimizer, Step, Update, Variable};
///
/// #[derive(Debug)]
/// struct Averaged {
///     rate: f64,
///     spread: f64,
/// }
///
/// impl Optimizer for Averaged {
///     fn name(&self) -> &'static str {
///         "averaged"
///     }
///     fn state(&self, _: &Variable) -> &'static [&'static str] {
///         &["mean"]
///     }
///     fn scalars(&self) -> Vec<String> {
///         vec!["rate".into(), "share".into()]
///     }
///     fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
///         vec![rate * self.rate, 1.0 / step as f64]
///     }
///     fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
///         Some(vec![rate * self.rate, 1.0 / step])
///     }
///     fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
///         let p = step.parameter;
///         Some(p.builder().constant(self.spread).broadcast(&p.shape()))
///     }
///     fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
///         let mean = step.state[0] + (gradient - step.state[0]) * step.scalars[1];
///         Update { parameter: step.parameter - mean * step.scalars[0], state: vec![mean] }
///     }
///     fn check(&self) -> Result<(), Error> {
///         if self.rate > 0.0 && self.spread >= 0.0 {
///             return Ok(());
///         }
///         let (argument, expected) = ("Averaged's rate".into(), "a positive number".into());
///         Err(Error::Argument { argument, expected, found: self.rate.to_string() })
///     }
/// }
///
/// let rule = Averaged { rate: 0.1, spread: 0.01 };
/// rule.check()?;
/// let weight = Variable::new("w", Type::f32([2]), Group::Weight);
/// let start = Tensor::f32([2], [0.0, 0.0])?;
/// assert_eq!(rule.initial_state(&weight)?, [("averaged/w/mean".to_string(), start.clone())]);
/// assert_eq!(rule.scalar_values(4, 0.5), [0.05, 0.25]); // step 4, where a schedule halves the rate
/// assert!(!rule.moves_read_rows(&weight)); // the mean falls where the gradient is 0
///
/// // one step, as a trainer makes it
/// let b = Builder::new();
/// let [w, gradient, mean] = ["w", "gradient", "mean"].map(|name| b.input(name, Type::f32([2])));
/// let scalars = [b.constant(1.0), b.constant(0.5)];
/// let scalars = rule.scalars_at(&scalars, 0.5); // for a factor of 1/2 of `Rates`: the rate, and not the share
/// let step = Step { state: &[mean], scalars: &scalars, ..Step::new(&weight, w) };
/// b.output("value", rule.value(&step)); // what the network computes with: a draw, `spread` around the weights
/// b.output("w", rule.update(&step, gradient).parameter);
/// let given = [Tensor::f32([2], [1.0, 2.0])?, Tensor::f32([2], [4.0, -4.0])?, start];
/// let after = evaluate(&b.finish()?, &given)?;
/// assert!((after[0].as_f32().unwrap()[0] - 1.0).abs() < 0.1);
/// assert_eq!(after[1], Tensor::f32([2], [0.0, 3.0])?); // w - 1/2 * (1/2 * gradient)
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub trait Optimizer: Debug + Send + Sync {
    /// The name, the first part of the paths of its state, as in `adam/affine/kernel/loc/m`.
    fn name(&self) -> &'static str;

    /// The names of the state tensors of a parameter, the last parts of their paths; each has the parameter's type.
    fn state(&self, variable: &Variable) -> &'static [&'static str];

    /// The names of the scalars of a step, in the order of [`Optimizer::scalar_values`]; default: `rate` alone.
    fn scalars(&self) -> Vec<String> {
        names(&["rate"])
    }

    /// The scalars of a step, one for each name: `step` counts from 1, and `rate` is what a schedule multiplies the
    /// learning rate by. A trainer rounds them to the parameters' type.
    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64>;

    /// As [`Optimizer::scalar_values`], as graph code with the same bits, for steps that are made where there is no
    /// host: of the step's number, a scalar `f64` that is a whole number from 1 on, and the factor of the learning
    /// rate, one too. Each is a scalar `f64`.
    ///
    /// `None`, the default, of a rule that has no such code: then no device makes its steps.
    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        let _ = (step, rate);
        None
    }

    /// The scalars of a step whose learning rate has another factor, given those of the step. Default: times the factor
    /// are those whose names end with `rate`, and the others stay; a rule with others that change with the rate says
    /// how.
    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        let is_rate = self.scalars().into_iter().map(|name| name.ends_with("rate"));
        scalars.iter().zip(is_rate).map(|(&scalar, is_rate)| if is_rate { scalar * factor } else { scalar }).collect()
    }

    /// How far from the parameter the network's value of it lies in a step: the scale of a normal distribution around
    /// it, with the parameter's type; `None`, the default, where that is the parameter itself.
    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        let _ = step;
        None
    }

    /// What the network computes with in a step in the place of the parameter, and what the gradient is taken at: a
    /// draw around the parameter if there is a [scale](Optimizer::scale), else the parameter.
    fn value<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        self.scale(step).map_or(step.parameter, |scale| step.parameter + step.normal() * scale)
    }

    /// The parameter and its state after a step, of whose loss this is the gradient with respect to
    /// [`Optimizer::value`].
    ///
    /// A trainer proves by interval analysis, if it can, that updates of moderate gradients are finite, and then writes
    /// in place; what it cannot prove, such as a quotient by what may be 0, costs it a look at each step.
    ///
    /// # Panics
    /// A step with fewer tensors of state or scalars than names.
    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b>;

    /// Whether rows of a table whose gradient is zero, since no example read them, may be left alone: then a step
    /// computes and writes those that were read, and costs nothing for others. The update must go element by element.
    ///
    /// True of a rule to which a gradient of zero makes no difference, such as plain [`Sgd`], and of one that is
    /// defined so, as [`Lazy`] is. Default: no.
    fn moves_read_rows(&self, variable: &Variable) -> bool {
        let _ = variable;
        false
    }

    /// Checks the options, before anything is compiled. For the rules here, what must be positive must be so, and
    /// finite, as an `f32` too.
    ///
    /// # Errors
    /// An option that is out of range: [`Error::Argument`] with its name and the range.
    fn check(&self) -> Result<(), Error>;

    /// The state of a parameter at the start: paths such as `adam/affine/kernel/loc/m`, and tensors, zeros by default.
    ///
    /// # Errors
    /// A type beyond the limits; a parameter that the rule is not for.
    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        zeros(self, variable)
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Arc<O> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        (**self).state(variable)
    }
    fn scalars(&self) -> Vec<String> {
        (**self).scalars()
    }
    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        (**self).scalar_values(step, rate)
    }
    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        (**self).scalar_exprs(step, rate)
    }
    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        (**self).scalars_at(scalars, factor)
    }
    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        (**self).scale(step)
    }
    fn value<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        (**self).value(step)
    }
    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        (**self).update(step, gradient)
    }
    fn moves_read_rows(&self, variable: &Variable) -> bool {
        (**self).moves_read_rows(variable)
    }
    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        (**self).initial_state(variable)
    }
}

/// What [`Optimizer::update`] returns: what a parameter and its state are after a step, each with the parameter's type.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Group, Optimizer, Sgd, Step, Update, Variable};
/// let b = Builder::new();
/// let variable = Variable::new("w", Type::f32([2]), Group::Weight);
/// let [w, gradient, momentum] = ["w", "gradient", "momentum"].map(|name| b.input(name, Type::f32([2])));
/// let step = Step { state: &[momentum], scalars: &[b.constant(0.1)], ..Step::new(&variable, w) };
/// let Update { parameter, state } = Sgd::new(0.1).momentum(0.9).update(&step, gradient);
/// assert_eq!((parameter.shape(), state.len()), (w.shape(), 1));
/// ```
#[derive(Clone, Debug)]
pub struct Update<'b> {
    /// The parameter after the step.
    pub parameter: Expr<'b>,
    /// Its state after the step, in the order of [`Optimizer::state`].
    pub state: Vec<Expr<'b>>,
}

/// Names as strings.
fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// State of zeros.
fn zeros<O: Optimizer + ?Sized>(optimizer: &O, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
    let Variable { path, ty, .. } = variable;
    let one = |name: &&str| Ok((format!("{}/{path}/{name}", optimizer.name()), Tensor::zeros(ty)?));
    optimizer.state(variable).iter().map(one).collect()
}

/// Checks that a parameter is none of a posterior or prior.
fn check_is_deterministic(optimizer: &str, variable: &Variable) -> Result<(), Error> {
    let Variable { path, group, .. } = variable;
    if !matches!(group, Group::Loc | Group::Scale | Group::Prior) {
        return Ok(());
    }
    let (path, group) = (Foreign::new(path), group.name());
    let problem = format!(
        "{optimizer} is for deterministic layers, whose weights it draws itself, and `{path}` is of group {group}"
    );
    Err(Error::misuse(problem, "use deterministic layers, or another optimizer"))
}

/// The precision of the prior of a weight, in units of the loss: a scalar; of what a likelihood learns 0.
fn prior_precision<'b>(step: &Step<'_, 'b>, precision: f64) -> Expr<'b> {
    match step.variable.group {
        Group::Likelihood => step.temperature.builder().constant(0.0),
        _ => step.temperature * precision,
    }
}

/// Checks an optimizer's options.
struct Options(&'static str);

impl Options {
    fn check(&self, option: &str, value: f64, is_good: bool, expected: &str) -> Result<(), Error> {
        // in powers of ten where it is huge or tiny
        let found = if value.abs() > 1e16 || value != 0.0 && value.abs() < 1e-5 {
            format!("{value:e}")
        } else {
            value.to_string()
        };
        if is_good { Ok(()) } else { Err(Error::argument(&format!("{}'s {option}", self.0), expected, found)) }
    }

    fn positive(&self, option: &str, value: f64) -> Result<(), Error> {
        let as_computed = value as f32;
        self.check(
            option,
            value,
            as_computed > 0.0 && as_computed.is_finite(),
            "a number that is positive and finite as `f32`",
        )
    }

    fn not_negative(&self, option: &str, value: f64) -> Result<(), Error> {
        let is_good = value >= 0.0 && (value as f32).is_finite();
        self.check(option, value, is_good, "a number that is not negative and finite as `f32`")
    }

    fn share(&self, option: &str, value: f64) -> Result<(), Error> {
        self.check(option, value, (0.0..1.0).contains(&value), "a number from 0 to below 1")
    }
}
