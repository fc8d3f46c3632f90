//! RMSProp (Tieleman and Hinton 2012).

use super::{Optimizer, Options, Step, Update};
use crate::{Error, Variable};
use bayeslift_ir::{Environment, Expr};

/// RMSprop (Tieleman and Hinton 2012, lecture 6e; centered: Graves 2013, equations 38 to 41), with the conventions and
/// defaults of Keras.
///
/// v = rho v + (1 - rho) g^2, p = p - rate g / sqrt(v + epsilon). Centered, v - a^2 takes the place of v in the root,
/// with a = rho a + (1 - rho) g, and 0 where rounding makes that negative. With momentum u, m = u m + rate g / sqrt(v +
/// epsilon), p = p - m.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Group, Optimizer, RmsProp, Variable};
/// let weight = Variable::new("weight", Type::f32([2]), Group::Weight);
/// assert_eq!(RmsProp::new(0.001).state(&weight), ["v"]);
/// assert_eq!(RmsProp::new(0.001).centered(true).momentum(0.5).state(&weight), ["v", "a", "momentum"]);
/// // for small gradients, with a longer memory
/// let optimizer = RmsProp::new(0.001).rho(0.99).epsilon(1e-12);
/// optimizer.check()?;
/// assert!(optimizer.rho(1.0).check().unwrap_err().to_string().contains("rho is 1"));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// The learning rate; default: 1e-3.
    pub learning_rate: f64,
    /// The decay of the means; default: 0.9.
    pub rho: f64,
    /// Which part of the last step is made again, in [0, 1); default: 0.
    pub momentum: f64,
    /// Keeps the denominator from 0; default: 1e-7. It is added below the root, so gradients that are smaller than its
    /// root, 3e-4, as those of posterior scales are on large data, move parameters by less than the rate.
    pub epsilon: f64,
    /// Whether the gradient is divided by its deviation, and not by its size; default: no.
    pub centered: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp { learning_rate: 1e-3, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

impl RmsProp {
    /// RMSprop with this learning rate, not centered, without momentum, and with the defaults of its fields.
    pub fn new(learning_rate: f64) -> Self {
        RmsProp { learning_rate, ..RmsProp::default() }
    }

    /// Sets rho, the decay of the means of gradients and their squares: from 0 to below 1; default: 0.9.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = rho;
        self
    }

    /// Sets what is added below the root: positive; default: 1e-7. Gradients below its root move parameters less.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Sets u, which part of the last step is made again: from 0 to below 1; default: 0, and then no state is kept.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets whether gradients are divided by their standard deviation instead of their root mean square; default: no.
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }
}

impl Optimizer for RmsProp {
    fn name(&self) -> &'static str {
        "rms_prop"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        match (self.centered, self.momentum == 0.0) {
            (false, true) => &["v"],
            (false, false) => &["v", "momentum"],
            (true, true) => &["v", "a"],
            (true, false) => &["v", "a", "momentum"],
        }
    }

    fn scalar_values(&self, _step: u64, rate: f64) -> Vec<f64> {
        Environment::within(|| vec![self.learning_rate * rate])
    }

    fn scalar_exprs<'b>(&self, _step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        Some(vec![rate * self.learning_rate])
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let &Step { parameter, state, scalars, .. } = step;
        let mean = |old: Expr<'b>, new: Expr<'b>| old * self.rho + new * (1.0 - self.rho);
        let v = mean(state[0], gradient.square());
        let mut new = vec![v];
        let mut size = v;
        if self.centered {
            let a = mean(state[1], gradient);
            size = (v - a.square()).max(0.0);
            new.push(a);
        }
        let mut step = gradient * scalars[0] / (size + self.epsilon).sqrt();
        if self.momentum != 0.0 {
            step = state[new.len()] * self.momentum + step;
            new.push(step);
        }
        Update { parameter: parameter - step, state: new }
    }

    fn check(&self) -> Result<(), Error> {
        let options = Options("RmsProp");
        options.positive("learning_rate", self.learning_rate)?;
        options.share("rho", self.rho)?;
        options.share("momentum", self.momentum)?;
        options.positive("epsilon", self.epsilon)
    }
}
