use crate::{Error, host::integer_power};
use bayeslift_ir::{Expr, Tensor, Type};
use std::fmt::Debug;

/// A rule that moves a parameter along its gradient.
///
/// An update is ordinary graph code. What changes with the step but not with the parameter - a bias-corrected step
/// size - enters as scalar inputs, computed on the host in `f64` with `+ - * /` and square roots only, so that they
/// have the same bits everywhere.
pub trait Optimizer: Debug + Send + Sync {
    /// The name, the first part of the paths of its state.
    fn name(&self) -> &'static str;

    /// The names of the state tensors of one parameter; each has the parameter's type and starts at zero.
    fn state(&self) -> &'static [&'static str];

    /// The names of the scalars of a step.
    fn scalars(&self) -> &'static [&'static str];

    /// The scalars of a step, counted from 1, with the learning rate times `rate`.
    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f32>;

    /// The parameter and its state after a step. `state` and `scalars` are in the order of their names.
    ///
    /// # Panics
    /// Fewer of them than names.
    fn update<'b>(
        &self,
        parameter: Expr<'b>,
        gradient: Expr<'b>,
        state: &[Expr<'b>],
        scalars: &[Expr<'b>],
    ) -> Update<'b>;

    /// Checks the options.
    ///
    /// # Errors
    /// One that is out of range.
    fn check(&self) -> Result<(), Error>;

    /// The state of a parameter at the start: paths such as `adam/affine/kernel/loc/m`, and zeros.
    ///
    /// # Errors
    /// A type beyond the limits.
    fn initial_state(&self, path: &str, ty: &Type) -> Result<Vec<(String, Tensor)>, Error> {
        let one = |name: &&str| Ok((format!("{}/{path}/{name}", self.name()), Tensor::zeros(ty)?));
        self.state().iter().map(one).collect()
    }
}

/// What [`Optimizer::update`] returns.
#[derive(Clone, Debug)]
pub struct Update<'b> {
    /// The parameter after the step.
    pub parameter: Expr<'b>,
    /// Its state after the step.
    pub state: Vec<Expr<'b>>,
}

/// Adam (Kingma and Ba 2015, algorithm 1 in the form of its section 2), with the defaults of Keras.
///
/// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p = p - rate_t m / (sqrt v + epsilon) with
/// rate_t = rate sqrt(1 - b2^t) / (1 - b1^t).
///
/// ```
/// use bayeslift_layers::{Adam, Optimizer};
/// let adam = Adam::new(0.01);
/// assert!((adam.scalar_values(1, 1.0)[0] - 0.01 * 0.001_f32.sqrt() / 0.1).abs() < 1e-8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate; 1e-3 unless told.
    pub learning_rate: f64,
    /// The decay of the mean of gradients, b1; 0.9 unless told.
    pub beta_1: f64,
    /// The decay of the mean of squared gradients, b2; 0.999 unless told.
    pub beta_2: f64,
    /// Keeps the denominator from 0; 1e-7 unless told.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Adam {
    /// Adam with this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Adam { learning_rate, ..Adam::default() }
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn state(&self) -> &'static [&'static str] {
        &["m", "v"]
    }

    fn scalars(&self) -> &'static [&'static str] {
        &["rate"]
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f32> {
        let correction = |beta| 1.0 - integer_power(beta, step.max(1));
        let rate = self.learning_rate * rate * correction(self.beta_2).sqrt() / correction(self.beta_1);
        vec![rate as f32]
    }

    fn update<'b>(
        &self,
        parameter: Expr<'b>,
        gradient: Expr<'b>,
        state: &[Expr<'b>],
        scalars: &[Expr<'b>],
    ) -> Update<'b> {
        let m = state[0] * self.beta_1 as f32 + gradient * (1.0 - self.beta_1) as f32;
        let v = state[1] * self.beta_2 as f32 + gradient.square() * (1.0 - self.beta_2) as f32;
        let parameter = parameter - m * scalars[0] / (v.sqrt() + self.epsilon as f32);
        Update { parameter, state: vec![m, v] }
    }

    fn check(&self) -> Result<(), Error> {
        let check = |argument: &str, value: f64, good: bool, expected: &str| {
            if good { Ok(()) } else { Err(Error::argument(&format!("Adam's {argument}"), expected, value)) }
        };
        let rate = self.learning_rate;
        check("learning_rate", rate, rate > 0.0 && rate.is_finite(), "a positive, finite number")?;
        for (name, beta) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            check(name, beta, (0.0..1.0).contains(&beta), "a number in [0, 1)")?;
        }
        check("epsilon", self.epsilon, self.epsilon > 0.0 && self.epsilon.is_finite(), "a positive, finite number")
    }
}
