//! What changes from step to step: the learning rate, the weight of the divergence.

use bayeslift_ir::{Environment, Scalar, elementary};
use std::{fmt, sync::Arc};

/// A factor of the learning rate, by the part of the training that is done.
///
/// Computed with sequences of Bayeslift's own, so that it has the same bits on every machine.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// On a straight line from 1 to this factor.
    Linear {
        /// The factor after the last step.
        to: f64,
    },
    /// On half a period of the cosine from 1 to this factor (Loshchilov and Hutter 2017).
    Cosine {
        /// The factor after the last step.
        to: f64,
    },
    /// Any other function; see [`Schedule::custom`].
    Custom(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl Schedule {
    /// Any function of the part that is done, from 0 before the first step to (just below) 1 before the last.
    ///
    /// ```
    /// use bayeslift::Schedule;
    /// let halved_late = Schedule::custom(|done| if done < 0.75 { 1.0 } else { 0.5 });
    /// assert_eq!(halved_late.factor(0.8), 0.5);
    /// ```
    pub fn custom(factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Schedule::Custom(Arc::new(factor))
    }

    /// The factor when this part of the training is done.
    pub fn factor(&self, done: f64) -> f64 {
        Environment::within(|| match self {
            Schedule::Constant => 1.0,
            Schedule::Linear { to } => 1.0 + (to - 1.0) * done,
            Schedule::Cosine { to } => {
                let cosine = f64::from(elementary::cos(&mut Scalar, (std::f64::consts::PI * done) as f32));
                to + (1.0 - to) * (0.5 * (1.0 + cosine))
            }
            Schedule::Custom(factor) => factor(done),
        })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant => f.write_str("Constant"),
            Schedule::Linear { to } => write!(f, "Linear({to})"),
            Schedule::Cosine { to } => write!(f, "Cosine({to})"),
            Schedule::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}

/// How long the weight of the divergence rises, on a straight line from 0.
///
/// Without it the prior may switch units off before the data had a say. While the weight rises the posterior is colder
/// than asked for, so validation chooses among epochs after the warm-up; see [`Fit`](crate::Fit).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WarmUp {
    /// Not at all.
    #[default]
    None,
    /// For this number of steps.
    Steps(u64),
    /// For this part of all steps, from 0 to 1.
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
