//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019).

use super::{Adam, Optimizer, Options, Step, Update, names};
use crate::{Error, Group, Variable};
use bayeslift_ir::{Environment, Expr};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), with the conventions and defaults of
/// Keras.
///
/// p = (1 - rate w) p - rate_t m / (sqrt v + epsilon), with m, v and rate_t of [`Adam`]. A penalty w p^2 / 2 in the
/// loss would go through m and v, and so be divided by the size of the gradients: it would pull least where gradients
/// are large. This one pulls all weights alike.
///
/// # What decays
/// By default weights of deterministic layers, [`Group::Weight`]: all of them, biases too. Locations of posteriors
/// do not, since the divergence pulls them to their prior already, and decay would be a second prior. Scales of
/// posteriors must not: they are stored as what a softplus makes positive, so decay would pull the scale to log 2,
/// which no prior says. Parameters of priors and of likelihoods are scales and bounds as well.
///
/// [`Sgd`](crate::Sgd) has no such option: in plain gradient descent decay and penalty are the same (proposition 1
/// there).
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Adam, AdamW, Group, Optimizer, Variable};
/// let optimizer = AdamW::new(0.01).weight_decay(0.05);
/// let weight = Variable::new("weight", Type::f32([2]), Group::Weight);
/// assert_eq!(optimizer.state(&weight), ["m", "v"]);
/// assert_eq!(optimizer.scalar_values(1, 1.0)[1], 1.0 - 0.01 * 0.05);
/// assert_eq!(optimizer.groups, [Group::Weight]);
/// // what priors learn as well, and another memory of squares
/// let optimizer = AdamW::default().adam(Adam::new(0.01).beta_2(0.99)).groups([Group::Weight, Group::Prior]);
/// assert_eq!(optimizer.scalar_values(1, 1.0)[1], 1.0 - 0.01 * 0.004);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate, decays of means and epsilon.
    pub adam: Adam,
    /// Which part of a weight is lost in a step, divided by the learning rate; default: 0.004. A product of both
    /// that is above 1 counts as 1.
    pub weight_decay: f64,
    /// The groups of parameters that decay; default: weights of deterministic layers.
    pub groups: Vec<Group>,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW { adam: Adam::default(), weight_decay: 0.004, groups: vec![Group::Weight] }
    }
}

impl AdamW {
    /// AdamW with this learning rate, a decay of 0.004 of weights of deterministic layers, and Adam's defaults.
    pub fn new(learning_rate: f64) -> Self {
        AdamW { adam: Adam::new(learning_rate), ..AdamW::default() }
    }

    /// Sets w: in each step a weight is multiplied by 1 - rate w, and by 0 where that is negative; not negative,
    /// default: 0.004.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets the groups of parameters that decay, and no others do; default: [`Group::Weight`].
    pub fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.groups = groups.into_iter().collect();
        self
    }

    /// Sets all options of Adam; its learning rate replaces the one that [`AdamW::new`] was given.
    pub fn adam(mut self, adam: Adam) -> Self {
        self.adam = adam;
        self
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adam_w"
    }

    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.adam.state(variable)
    }

    fn scalars(&self) -> Vec<String> {
        names(&["rate", "kept"])
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        let mut scalars = self.adam.scalar_values(step, rate);
        scalars.push(Environment::within(|| 1.0 - self.adam.learning_rate * rate * self.weight_decay));
        scalars
    }

    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        let mut scalars = self.adam.scalar_exprs(step, rate)?;
        scalars.push(1.0 - rate * self.adam.learning_rate * self.weight_decay);
        Some(scalars)
    }

    /// What is kept is 1 - rate * weight decay.
    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        vec![scalars[0] * factor, 1.0 - (1.0 - scalars[1]) * factor]
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let mut step = *step;
        if self.groups.contains(&step.variable.group) {
            // between bounds that it should have, so that the update is known to be finite
            step.parameter = step.parameter * step.scalars[1].max(0.0).min(1.0);
        }
        self.adam.update(&step, gradient)
    }

    fn check(&self) -> Result<(), Error> {
        self.adam.check()?;
        Options("AdamW").not_negative("weight_decay", self.weight_decay)
    }
}
