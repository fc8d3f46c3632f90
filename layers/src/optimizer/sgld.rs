//! Stochastic gradient Langevin dynamics (Welling and Teh 2011).

use super::{Optimizer, Options, Step, Update, check_is_deterministic, prior_precision, zeros};
use crate::{Error, Variable};
use bayeslift_ir::{Environment, Expr, Tensor};

/// Stochastic gradient Langevin dynamics (Welling and Teh 2011, equation 4): gradient descent with noise, so that the
/// parameters of a network of *deterministic* layers wander as draws of their posterior do.
///
/// With N training examples, weight w of the divergence, temperature T = w / N, prior precision s and standard normal
/// noise e,
///
/// p = p - rate (g + T s p) + sqrt(2 rate T) e.
///
/// That is the paper's step with epsilon = 2 rate T, where g is the gradient of the *mean* negative log likelihood, as
/// everywhere here, so that the rate has the size that it has for [`Sgd`](crate::Sgd). The draws are of the density
/// exp(-loss / T) times the prior's: the posterior for a weight of 1, a colder one below that, and during a warm-up.
///
/// Weights have a normal prior of mean 0 with that precision; what a likelihood learns has none. A layer with a
/// posterior of its own is refused: its divergence is that of a distribution, and not the density of a draw.
///
/// # Use
/// The parameters after a step are one draw; draws that follow each other are alike. So train for a while, then keep
/// the parameters at regular intervals. With a constant rate draws vary too much, by a part of about rate times half
/// the curvature of the loss; by theory it should fall.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Group, Optimizer, Sgld, Variable};
/// let optimizer = Sgld::new(0.01).prior_precision(25.0);
/// assert_eq!(optimizer.scalar_values(1, 0.5), [0.005]);
/// let weight = Variable::new("weight", Type::f32([2]), Group::Weight);
/// assert!(optimizer.state(&weight).is_empty());
/// let loc = Variable::new("loc", Type::f32([2]), Group::Loc);
/// assert!(optimizer.initial_state(&loc).unwrap_err().to_string().contains("use deterministic layers"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgld {
    /// The learning rate; default: 0.01.
    pub learning_rate: f64,
    /// The reciprocal of the variance of the weights' prior; default: 1; 0 for none.
    pub prior_precision: f64,
}

impl Default for Sgld {
    fn default() -> Self {
        Sgld { learning_rate: 0.01, prior_precision: 1.0 }
    }
}

impl Sgld {
    /// Langevin dynamics with this learning rate, positive, and a standard normal prior of the weights.
    pub fn new(learning_rate: f64) -> Self {
        Sgld { learning_rate, ..Sgld::default() }
    }

    /// Sets s, the reciprocal of the variance of the weights' prior: not negative; default: 1; 0 for none.
    pub fn prior_precision(mut self, prior_precision: f64) -> Self {
        self.prior_precision = prior_precision;
        self
    }
}

impl Optimizer for Sgld {
    fn name(&self) -> &'static str {
        "sgld"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &[]
    }

    fn scalar_values(&self, _step: u64, rate: f64) -> Vec<f64> {
        Environment::within(|| vec![self.learning_rate * rate])
    }

    fn scalar_exprs<'b>(&self, _step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        Some(vec![rate * self.learning_rate])
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let rate = step.scalars[0];
        // between bounds that it should have, so that the update is known to be finite
        let pull = (rate * prior_precision(step, self.prior_precision)).max(0.0).min(1.0);
        let spread = (rate * step.temperature * 2.0).max(0.0).sqrt();
        let parameter = step.parameter * (1.0 - pull) - gradient * rate + step.normal() * spread;
        Update { parameter, state: Vec::new() }
    }

    fn check(&self) -> Result<(), Error> {
        let options = Options("Sgld");
        options.positive("learning_rate", self.learning_rate)?;
        options.not_negative("prior_precision", self.prior_precision)
    }

    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        check_is_deterministic("Sgld", variable)?;
        zeros(self, variable)
    }
}
