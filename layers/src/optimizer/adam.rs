//! Adam (Kingma and Ba 2015).

use super::{Optimizer, Options, Step, Update, power::power};
use crate::{Error, Variable, host::integer_power};
use bayeslift_ir::{Environment, Expr};

/// Adam (Kingma and Ba 2015, algorithm 1 in the form of its section 2), with the defaults of Keras.
///
/// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p = p - rate_t m / (sqrt v + epsilon) with
/// rate_t = rate sqrt(1 - b2^t) / (1 - b1^t).
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Adam, Group, Optimizer, Step, Variable};
/// let adam = Adam::new(0.01).beta_1(0.9).beta_2(0.99).epsilon(1e-8);
/// let rate = adam.scalar_values(1, 1.0)[0];
/// assert!((rate - 0.01 * 0.01_f64.sqrt() / 0.1).abs() < 1e-15);
///
/// // the first step moves every weight by the learning rate, however large its gradient is
/// let b = Builder::new();
/// let variable = Variable::new("w", Type::f32([2]), Group::Weight);
/// let [w, gradient, zero] = ["w", "gradient", "zero"].map(|name| b.input(name, Type::f32([2])));
/// let step = Step { state: &[zero, zero], scalars: &[b.constant(rate)], ..Step::new(&variable, w) };
/// b.output("w", adam.update(&step, gradient).parameter);
/// let given = [[1.0, 1.0], [100.0, -0.01], [0.0, 0.0]].map(|x| Tensor::f32([2], x).unwrap());
/// let after = evaluate(&b.finish()?, &given)?;
/// let moved = after[0].as_f32().unwrap();
/// assert!((moved[0] - 0.99).abs() < 1e-4 && (moved[1] - 1.01).abs() < 1e-4);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate; default: 1e-3.
    pub learning_rate: f64,
    /// The decay of the mean of gradients, b1; default: 0.9.
    pub beta_1: f64,
    /// The decay of the mean of squared gradients, b2; default: 0.999.
    pub beta_2: f64,
    /// Keeps the denominator from 0; default: 1e-7.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Adam {
    /// Adam with this learning rate and the defaults of its fields; a rate that is not positive is refused when
    /// training begins.
    pub fn new(learning_rate: f64) -> Self {
        Adam { learning_rate, ..Adam::default() }
    }

    /// Sets b1, the decay of the mean of gradients: from 0 to below 1; default: 0.9. At 0 only the last one counts.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// Sets b2, the decay of the mean of squared gradients: from 0 to below 1; default: 0.999.
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.beta_2 = beta_2;
        self
    }

    /// Sets what is added to the root of the mean of squares: positive; default: 1e-7. Weights whose gradients are far
    /// smaller move by less than the rate.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &["m", "v"]
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        Environment::within(|| {
            let correction = |beta| 1.0 - integer_power(beta, step.max(1));
            let rate = self.learning_rate * rate * correction(self.beta_2).sqrt() / correction(self.beta_1);
            vec![rate]
        })
    }

    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        let correction = |beta| 1.0 - power(beta, step);
        Some(vec![rate * self.learning_rate * correction(self.beta_2).sqrt() / correction(self.beta_1)])
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let &Step { parameter, state, scalars, .. } = step;
        let m = state[0] * self.beta_1 + gradient * (1.0 - self.beta_1);
        let v = state[1] * self.beta_2 + gradient.square() * (1.0 - self.beta_2);
        let parameter = parameter - m * scalars[0] / (v.sqrt() + self.epsilon);
        Update { parameter, state: vec![m, v] }
    }

    fn check(&self) -> Result<(), Error> {
        let options = Options("Adam");
        options.positive("learning_rate", self.learning_rate)?;
        options.share("beta_1", self.beta_1)?;
        options.share("beta_2", self.beta_2)?;
        options.positive("epsilon", self.epsilon)
    }
}
