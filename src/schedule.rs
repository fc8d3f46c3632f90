//! What changes from step to step: the learning rate, the weight of the divergence.

use bayeslift_ir::{Environment, Expr, Scalar, elementary};
use std::{fmt, sync::Arc};

/// Where a step is in a training: what a [`Schedule`] is a function of.
///
/// ```
/// use bayeslift::Position;
/// // the 51st of 100 steps in 4 epochs of 25
/// let at = Position::new(51, 100, 4);
/// assert_eq!(at, Position { step: 51, steps: 100, epoch: 3, epochs: 4 });
/// assert_eq!(at.done(), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the step, counted from 1.
    pub step: u64,
    /// The number of steps, if training does not stop early.
    pub steps: u64,
    /// The number of its epoch, counted from 1.
    pub epoch: usize,
    /// The number of epochs, if training does not stop early.
    pub epochs: usize,
}

impl Position {
    /// Step number `step`, counted from 1, of a training whose `epochs` epochs have equally many steps: each has
    /// steps / epochs of them, rounded down, at least 1.
    pub fn new(step: u64, steps: u64, epochs: usize) -> Position {
        let each = (steps / (epochs as u64).max(1)).max(1);
        Position { step, steps, epoch: (step.saturating_sub(1) / each) as usize + 1, epochs }
    }

    /// The part of the training that is done before the step, (step - 1) / steps: from 0 to (just below) 1.
    pub fn done(&self) -> f64 {
        self.step.saturating_sub(1) as f64 / self.steps.max(1) as f64
    }
}

/// A factor that changes in the course of a training: of the learning rate, of the weight of the divergence.
///
/// Computed with sequences of Bayeslift's own, so that it has the same bits on every machine. Given to
/// [`Fit::schedule`](crate::Fit::schedule) for the learning rate, and to
/// [`Fit::divergence_schedule`](crate::Fit::divergence_schedule) for the weight of the divergence. With d the part of
/// the steps that is [done](Position::done):
///
/// ```
/// use bayeslift::{Position, Schedule};
/// let factors = |schedule: Schedule| [1, 51].map(|step| schedule.factor(&Position::new(step, 100, 4)));
/// assert_eq!(factors(Schedule::Constant), [1.0, 1.0]);
/// assert_eq!(factors(Schedule::Linear { to: 0.5 }), [1.0, 0.75]);
/// assert_eq!(factors(Schedule::Epochs { every: 1, factor: 0.5 }), [1.0, 0.25]);
/// let near = |schedule, expected: f64| (factors(schedule)[1] - expected).abs() < 1e-6;
/// assert!(near(Schedule::Cosine { to: 0.0 }, 0.5));
/// assert!(near(Schedule::HalfLife { half_life: 25.0, to: 0.0 }, 0.25));
/// ```
///
/// A factor that is negative or not finite ends a fit in the step that it is for. For the learning rate, such a factor
/// at the end of a line or of a cosine is refused before the first step, with
/// [`Error::Argument`](crate::Error::Argument).
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// On a straight line from 1 to this factor: 1 + (to - 1) d.
    Linear {
        /// The factor after the last step.
        to: f64,
    },
    /// On half a period of the cosine from 1 to this factor: to + (1 - to) (1 + cos(pi d)) / 2 (Loshchilov and Hutter
    /// 2017).
    Cosine {
        /// The factor after the last step.
        to: f64,
    },
    /// to + (1 - to) 0.5^(steps done / half_life): TFP's `halflife_decay` from 1.
    HalfLife {
        /// After how many steps half of the way is done, above 0.
        half_life: f64,
        /// What it comes ever closer to.
        to: f64,
    },
    /// Multiplied by `factor` after every `every` epochs, at least 1.
    Epochs {
        /// The number of epochs between two changes.
        every: usize,
        /// What each of them multiplies by.
        factor: f64,
    },
    /// Any other function; see [`Schedule::by_position`].
    Custom(Arc<dyn Fn(&Position) -> f64 + Send + Sync>),
}

impl Schedule {
    /// Any function of the part that is done, from 0 before the first step to (just below) 1 before the last.
    ///
    /// ```
    /// use bayeslift::{Position, Schedule};
    /// let halved_late = Schedule::custom(|done| if done < 0.75 { 1.0 } else { 0.5 });
    /// assert_eq!(halved_late.factor(&Position::new(81, 100, 1)), 0.5);
    /// ```
    pub fn custom(factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Schedule::by_position(move |position| factor(position.done()))
    }

    /// Any function of step and epoch.
    ///
    /// ```
    /// use bayeslift::{Position, Schedule};
    /// // cyclical annealing (Fu and others 2019): in every ten epochs up from 0 for five, then 1
    /// let cyclical = Schedule::by_position(|at| (((at.epoch - 1) % 10) as f64 / 5.0).min(1.0));
    /// let factor = |epoch| cyclical.factor(&Position { step: epoch as u64, steps: 20, epoch, epochs: 20 });
    /// assert_eq!([1, 3, 6, 10, 11].map(factor), [0.0, 0.4, 1.0, 1.0, 0.0]);
    /// ```
    pub fn by_position(factor: impl Fn(&Position) -> f64 + Send + Sync + 'static) -> Self {
        Schedule::Custom(Arc::new(factor))
    }

    /// The factor in a step, as the formula of its variant says, or what the function of [`Schedule::custom`] and
    /// [`Schedule::by_position`] gives.
    pub fn factor(&self, at: &Position) -> f64 {
        Environment::within(|| match self {
            Schedule::Constant => 1.0,
            Schedule::Linear { to } => 1.0 + (to - 1.0) * at.done(),
            Schedule::Cosine { to } => {
                let cosine = f64::from(elementary::cos(&mut Scalar, (std::f64::consts::PI * at.done()) as f32));
                to + (1.0 - to) * (0.5 * (1.0 + cosine))
            }
            Schedule::HalfLife { half_life, to } => {
                let halvings = at.step.saturating_sub(1) as f64 / half_life;
                let left = f64::from(elementary::exp(&mut Scalar, (-std::f64::consts::LN_2 * halvings) as f32));
                to + (1.0 - to) * left
            }
            Schedule::Epochs { every, factor } => {
                // by products, as powers of the standard library differ between systems
                (0..(at.epoch.max(1) - 1) / (*every).max(1)).fold(1.0, |product, _| product * factor)
            }
            Schedule::Custom(factor) => factor(at),
        })
    }

    /// As [`Schedule::factor`] of a training of one epoch, as graph code with the same bits: from the number of steps
    /// done before, a scalar `f64` up to `steps`, to one. `None` of what goes by epochs, and of a closure.
    pub(crate) fn factor_expr<'b>(&self, before: Expr<'b>, steps: u64) -> Option<Expr<'b>> {
        let one = before.builder().constant_f64(1.0);
        let done = before / steps.max(1) as f64;
        Some(match *self {
            Schedule::Constant => one,
            Schedule::Linear { to } => one + done * (to - 1.0),
            Schedule::Cosine { to } => {
                let cosine = (done * std::f64::consts::PI).to_f32().cos().to_f64();
                one * to + (one + cosine) * 0.5 * (1.0 - to)
            }
            Schedule::HalfLife { half_life, to } => {
                let left = (before / half_life * -std::f64::consts::LN_2).to_f32().exp().to_f64();
                one * to + left * (1.0 - to)
            }
            Schedule::Epochs { .. } | Schedule::Custom(_) => return None,
        })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant => f.write_str("Constant"),
            Schedule::Linear { to } => write!(f, "Linear({to})"),
            Schedule::Cosine { to } => write!(f, "Cosine({to})"),
            Schedule::HalfLife { half_life, to } => write!(f, "HalfLife({half_life}, {to})"),
            Schedule::Epochs { every, factor } => write!(f, "Epochs({every}, {factor})"),
            Schedule::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}

/// How long the weight of the divergence rises, on a straight line from 0.
///
/// Without it the prior may switch units off before the data had a say. While the weight rises the posterior is colder
/// than asked for, so validation chooses among epochs after the warm-up; see [`Fit`](crate::Fit).
///
/// ```
/// use bayeslift::WarmUp;
/// // over the first 20 of 100 steps
/// let factors = |warm_up: WarmUp| [1, 11, 21].map(|step| warm_up.factor(step, 100));
/// assert_eq!(factors(WarmUp::Steps(20)), [0.0, 0.5, 1.0]);
/// assert_eq!(factors(WarmUp::Fraction(0.2)), factors(WarmUp::Steps(20)));
/// assert_eq!(factors(WarmUp::None), [1.0; 3]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WarmUp {
    /// Not at all: the weight is whole from the first step on.
    #[default]
    None,
    /// For this number of steps.
    Steps(u64),
    /// For this part of all steps, from 0 to 1; a fit refuses any other with
    /// [`Error::Argument`](crate::Error::Argument).
    Fraction(f64),
}

impl WarmUp {
    /// The factor of the weight in a step, counted from 1, out of `steps`: 0 in the first, 1 when the warm-up is over.
    ///
    /// ```
    /// use bayeslift::WarmUp;
    /// assert_eq!(WarmUp::Fraction(0.5).factor(1, 100), 0.0);
    /// assert_eq!(WarmUp::Fraction(0.5).factor(26, 100), 0.5);
    /// assert_eq!(WarmUp::Fraction(0.5).factor(60, 100), 1.0);
    /// ```
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        Environment::within(|| {
            let over = match self {
                WarmUp::None => 0.0,
                WarmUp::Steps(steps) => steps as f64,
                WarmUp::Fraction(fraction) => fraction * steps as f64,
            };
            let done = step.saturating_sub(1) as f64;
            if done >= over { 1.0 } else { done / over }
        })
    }
}
