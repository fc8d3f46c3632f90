//! Stochastic gradient descent, with momentum if one likes.

use super::{Optimizer, Options, Step, Update};
use crate::{Error, Variable};
use bayeslift_ir::{Environment, Expr};

/// Stochastic gradient descent, plain or with momentum (Polyak 1964; Nesterov 1983 in the form of Sutskever et al.
/// 2013, equations 3 and 4), with the conventions of Keras.
///
/// Plain: p = p - rate g. With momentum u: m = u m - rate g, p = p + m; Nesterov's: p = p + u m - rate g with the new
/// m.
///
/// A posterior scale that starts small moves slowly: its gradient is that of the scale times 1 - exp(-scale), a
/// thousandth at the start. [`Adam`](crate::Adam) does not depend on that.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Group, Optimizer, Sgd, Variable};
/// let weight = Variable::new("weight", Type::f32([2]), Group::Weight);
/// assert!(Sgd::new(0.1).state(&weight).is_empty());
/// let nesterov = Sgd::new(0.1).momentum(0.9).nesterov(true);
/// assert_eq!(nesterov.state(&weight), ["momentum"]);
/// assert_eq!(nesterov.scalar_values(1, 0.5), [0.05]); // where a schedule halves the rate
/// assert!(nesterov.momentum(1.0).check().unwrap_err().to_string().contains("momentum is 1"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate; default: 0.01.
    pub learning_rate: f64,
    /// Which part of the last step is made again, in [0, 1); default: 0, and then no state is kept.
    pub momentum: f64,
    /// Whether the gradient counts as if it were taken after that part; default: no. Nothing without momentum.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd { learning_rate: 0.01, momentum: 0.0, nesterov: false }
    }
}

impl Sgd {
    /// Plain gradient descent with this learning rate, positive; no momentum, and no state.
    pub fn new(learning_rate: f64) -> Self {
        Sgd { learning_rate, ..Sgd::default() }
    }

    /// Sets u, which part of the last step is made again: from 0 to below 1; default: 0.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets whether momentum is Nesterov's, and not Polyak's; default: no. Without momentum it changes nothing.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    fn scalar_values(&self, _step: u64, rate: f64) -> Vec<f64> {
        Environment::within(|| vec![self.learning_rate * rate])
    }

    fn scalar_exprs<'b>(&self, _step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        Some(vec![rate * self.learning_rate])
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let &Step { parameter, state, scalars, .. } = step;
        let step = gradient * scalars[0];
        if self.momentum == 0.0 {
            return Update { parameter: parameter - step, state: Vec::new() };
        }
        let momentum = self.momentum;
        let m = state[0] * momentum - step;
        let parameter = if self.nesterov { parameter + (m * momentum - step) } else { parameter + m };
        Update { parameter, state: vec![m] }
    }

    fn moves_read_rows(&self, _: &Variable) -> bool {
        self.momentum == 0.0
    }

    fn check(&self) -> Result<(), Error> {
        let options = Options("Sgd");
        options.positive("learning_rate", self.learning_rate)?;
        options.share("momentum", self.momentum)
    }
}
