//! How far a posterior is from its prior, and the ways of computing that.

mod custom;
mod quadrature;

pub use custom::CustomDivergence;

use crate::{AnyDistribution, Draw, Error, Term};
use bayeslift_ir::{Expr, Shape};
use std::fmt;

/// How the divergence KL(posterior || prior) = E_posterior[log posterior(w) - log prior(w)] of a random variable is
/// computed.
///
/// Always a sum over all elements, in nats. Nothing is divided by the number of examples here; a trainer does that in
/// one place.
///
/// One that has no answer for some pair of posterior and prior takes another [or](Divergence::or) one:
///
/// ```
/// use bayeslift_layers::Divergence;
/// // closed forms; integrals for normal posteriors without one; of whatever is left the mean over two draws
/// let divergence = Divergence::Exact.or(Divergence::quadrature()).or(Divergence::MonteCarlo { draws: 2 });
/// assert_eq!(divergence.to_string(), "Exact, or Quadrature { nodes: 8 }, or MonteCarlo { draws: 2 }");
/// ```
///
/// # Which
/// Closed forms where there are any: they cost least, and have no noise. Where there is none and the posterior is
/// normal, five to eight nodes of quadrature, whose errors [`Quadrature`](Divergence::Quadrature) tells: with the
/// default prior below 1e-7 nats a weight while posterior scales are below 0.2. A training step of 784-400-400-10 on
/// 128 rows takes then as long as with one draw (5 nodes 1.0 to 1.1 times, 8 nodes 0.8 to 1.4; 16 nodes 3.5 to 4.3, 32
/// nodes 6.5 to 8.8: medians of one run each on one and on two threads of a machine with other work; `cargo bench
/// --bench divergence`). It draws nothing, where a local layer's one draw is for the divergence alone.
///
/// What draws add to the noise of a step's gradient goes as 1 / (number of training examples)^2. With 60,000 it is
/// nothing: there, at posterior scales of 0.05, they have 1e-7 of the variance that the likelihood has in the
/// locations, and 2e-5 of that in the raw scales. With 500 the latter would be a quarter. The reported divergence is
/// exact either way: one draw of 478,000 weights has a standard deviation of 490 nats.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Divergence {
    /// The mean of log posterior(w) - log prior(w) over draws of w. The first draw is the one that the forward pass
    /// used, where it used one - if it used several samples at once, all of them - and further ones are addressed at
    /// `divergence` of the variable's site. The gradient is the full one, through the path and the density.
    MonteCarlo {
        /// The number of draws, at least 1.
        draws: usize,
    },
    /// The closed form that the posterior's family has [with the prior's](crate::Distribution::divergence_from). Draws
    /// nothing.
    Exact,
    /// For a normal posterior and any prior of each element on its own: the entropy in closed form, and the mean of log
    /// prior(w) by quadrature. Draws nothing.
    ///
    /// Where the prior's density is [smooth](crate::Distribution::pieces) it is the Gauss-Hermite rule with
    /// `nodes` nodes. With the default prior, 1/2 N(0, 1) + 1/2 N(0, 2000^2), the largest error over all posterior
    /// means, in nats a weight, is by the posterior's scale:
    ///
    /// | nodes | 0.05  | 0.1   | 0.2   | 0.5   | 1     | 2     |
    /// |-------|-------|-------|-------|-------|-------|-------|
    /// | 3     | 2e-7  | 7e-6  | 4e-4  | 2e-2  | 2e-1  | 5e-1  |
    /// | 5     | 3e-11 | 2e-8  | 8e-6  | 3e-3  | 5e-2  | 3e-1  |
    /// | 8     | 6e-15 | 9e-12 | 8e-8  | 4e-4  | 2e-2  | 1e-1  |
    /// | 16    |       |       | 8e-12 | 7e-6  | 2e-3  | 3e-2  |
    /// | 32    |       |       |       | 3e-8  | 8e-5  | 6e-3  |
    /// | 48    |       |       |       | 4e-10 | 9e-6  | 2e-3  |
    ///
    /// For a spike of another scale both scales are in units of that. A prior that is not smooth says where its pieces
    /// end, and its integral is one of each piece, by a Gauss-Legendre rule of 20 nodes, within 6 posterior scales of
    /// the mean, at the cost of all these nodes: within 1e-6 nats at scales up to 1, however narrow the prior's
    /// features are. Rounding to `f32` adds some units in 1e-7 of the divergence, and of the entropies that are its
    /// parts.
    Quadrature {
        /// The number of nodes of the Gauss-Hermite rule, from 1 to 64.
        nodes: usize,
    },
    /// A closure; see [`Divergence::custom`].
    Custom(CustomDivergence),
    /// The first, or where it has no answer the second; see [`Divergence::or`].
    Or(Box<[Divergence; 2]>),
}

impl Default for Divergence {
    /// One draw, as in TFP.
    fn default() -> Self {
        Divergence::MonteCarlo { draws: 1 }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Divergence::Custom(custom) => f.write_str(custom.name()),
            Divergence::Or(both) => write!(f, "{}, or {}", both[0], both[1]),
            other => write!(f, "{other:?}"),
        }
    }
}

/// The divergence of one random variable, and how it was computed: what
/// [`Call::divergences`](crate::Call::divergences) lists.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{
///     AffineVariationalReparameterizationLocal, Context, Divergence, Layer, Scope, TermDivergence, noise_inputs,
/// };
/// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
/// let b = Builder::new();
/// let context = Context::new(Scope::bind(&b, &layer.initialize(0)?)?).noise(noise_inputs(&b));
/// let call = layer.call(&context, b.input("x", Type::f32([5, 3])))?;
/// let divergences: Vec<TermDivergence> = call.divergences(&Divergence::default())?;
/// assert_eq!((divergences[0].path.as_str(), &divergences[0].method), ("kernel", &Divergence::default()));
/// assert!(divergences[0].value.shape().is_empty());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TermDivergence<'b> {
    /// The path of the random variable, such as `affine/kernel`.
    pub path: String,
    /// In nats, a scalar.
    pub value: Expr<'b>,
    /// What of the [alternatives](Divergence::or) had an answer.
    pub method: Divergence,
}

impl Divergence {
    /// [`Quadrature`](Divergence::Quadrature) with 8 nodes: for normal posteriors and any prior of each element.
    pub fn quadrature() -> Self {
        Divergence::Quadrature { nodes: 8 }
    }

    /// Any number of a random variable: a closed form of a pair of families, another divergence, a penalty. It has no
    /// answer where it returns `None`. The name is what reports and errors say.
    ///
    /// ```
    /// use bayeslift_layers::Divergence;
    /// // Renyi's divergence of order alpha of normal distributions, as Li and Turner (2016) use it: with alpha = 0.5 a
    /// // posterior spreads further than by KL, which is alpha = 1
    /// let alpha = 0.5;
    /// let renyi = Divergence::custom("Renyi(0.5)", move |term| {
    ///     let (Some(q), Some(p)) = (term.posterior.as_normal(), term.prior.as_normal()) else { return Ok(None) };
    ///     let variance = p.scale.square() * alpha + q.scale.square() * (1.0 - alpha);
    ///     let logs = p.scale.log() * alpha + q.scale.log() * (1.0 - alpha) - variance.log() * 0.5;
    ///     let element = (q.loc - p.loc).square() / variance * (alpha / 2.0) + logs / (alpha - 1.0);
    ///     Ok(Some(element.broadcast(&term.shape).sum_all()))
    /// });
    /// let divergence = renyi.or(Divergence::default());
    /// ```
    pub fn custom(
        name: impl Into<String>,
        of: impl for<'b> Fn(&Term<'b>) -> Result<Option<Expr<'b>>, Error> + Send + Sync + 'static,
    ) -> Self {
        Divergence::Custom(CustomDivergence::new(name.into(), of))
    }

    /// This one, or where it has no answer the other. [`MonteCarlo`](Divergence::MonteCarlo) always has one, so what
    /// comes after it is never asked. Where this one
    /// fails, the other is not asked either.
    pub fn or(self, other: Divergence) -> Self {
        Divergence::Or(Box::new([self, other]))
    }

    /// The divergence of one random variable, a scalar.
    ///
    /// # Errors
    /// As for [`Divergence::with_method`].
    pub fn of<'b>(&self, term: &Term<'b>) -> Result<Expr<'b>, Error> {
        Ok(self.with_method(term)?.value)
    }

    /// The divergence of one random variable, and what of the alternatives it is by.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// use bayeslift_layers::{
    ///     AffineVariationalReparameterizationLocal, Context, Divergence, Layer, Scope, noise_inputs,
    /// };
    /// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
    /// let b = Builder::new();
    /// let context = Context::new(Scope::bind(&b, &layer.initialize(0)?)?).noise(noise_inputs(&b));
    /// let call = layer.call(&context, b.input("x", Type::f32([5, 3])))?;
    /// // the default prior is a mixture, from which a normal posterior has no divergence in closed form
    /// assert!(Divergence::Exact.of(&call.terms[0]).is_err());
    /// let divergence = Divergence::Exact.or(Divergence::quadrature());
    /// assert_eq!(divergence.with_method(&call.terms[0])?.method, Divergence::quadrature());
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Monte Carlo: zero draws, a draw without a noise address. Quadrature: a number of nodes that is not from 1 to 64.
    /// A closure's own; one that returns no scalar. No alternative with an answer.
    pub fn with_method<'b>(&self, term: &Term<'b>) -> Result<TermDivergence<'b>, Error> {
        self.answer(term)?.ok_or_else(|| {
            let (path, posterior, prior) = (term.site.path(), term.posterior.family(), term.prior.family());
            match self {
                Divergence::Exact => Error::NoExactDivergence { path, posterior, prior },
                _ => Error::NoDivergence { path, posterior, prior, divergence: self.to_string() },
            }
        })
    }

    fn answer<'b>(&self, term: &Term<'b>) -> Result<Option<TermDivergence<'b>>, Error> {
        let value = match self {
            Divergence::Or(both) => {
                let first = both[0].answer(term)?;
                return if first.is_some() { Ok(first) } else { both[1].answer(term) };
            }
            Divergence::Exact => {
                let events = exact_events(&term.posterior, &term.prior, &term.shape);
                events.map(|events| term.sum(events, term.posterior.event_ndims()))
            }
            Divergence::Quadrature { nodes } => {
                let elements = quadrature::of(&term.posterior, &term.prior, &term.shape, *nodes)?;
                elements.map(|elements| term.sum(elements, 0))
            }
            Divergence::Custom(custom) => custom.of(term)?,
            Divergence::MonteCarlo { draws: 0 } => {
                return Err(Error::argument("the number of draws of Divergence::MonteCarlo", "at least 1", 0));
            }
            Divergence::MonteCarlo { draws } => Some(by_draws(term, *draws)?),
        };
        Ok(value.map(|value| TermDivergence { path: term.site.path(), value, method: self.clone() }))
    }
}

fn by_draws<'b>(term: &Term<'b>, draws: usize) -> Result<Expr<'b>, Error> {
    let sum = |events: Expr<'b>, ndims: usize| term.sum(events, ndims);
    let estimate = |draw: &Draw<'b>| mean_over_draws(&term.posterior, &term.prior, draw, &term.shape, sum);
    let Some(used) = &term.value else {
        // the layer may have drawn at its own site
        let site = match draws {
            1 => term.site.clone(),
            _ => term.site.child("divergence").with_samples(Some(draws)),
        };
        return Ok(estimate(&term.posterior.sample(&site, &term.shape)?));
    };
    let used_draws = used.value.shape().elements() / term.shape.elements().max(1);
    let Some(more) = draws.checked_sub(used_draws).filter(|&more| more > 0) else {
        return Ok(estimate(used));
    };
    let site = term.site.child("divergence").with_samples(Some(more));
    let fresh = estimate(&term.posterior.sample(&site, &term.shape)?);
    Ok((estimate(used) * used_draws as f64 + fresh * more as f64) / draws as f64)
}

/// The mean over the draws in `draw` of log posterior(w) - log prior(w), summed over the elements of one value of
/// shape `shape`: an estimate of KL(posterior || prior), in nats, a scalar. It may be negative. The draw's value is
/// `[draws, shape..]`, or `shape` for one. Where a draw has the noise it was made of, the posterior's density is
/// computed of that.
///
/// ```
/// use bayeslift_ir::{Builder, Shape, Tensor, evaluate};
/// use bayeslift_layers::{AnyDistribution, Draw, distribution::Normal, exact, monte_carlo};
/// let b = Builder::new();
/// let posterior: AnyDistribution = Normal::scalar(&b, 1.0, 1.0).into();
/// let prior: AnyDistribution = Normal::scalar(&b, 0.0, 1.0).into();
/// let shape = Shape::new(&[2]);
/// let value = b.constant(2.0).broadcast(&Shape::new(&[3, 2])); // three draws of two elements
/// // log posterior - log prior is (2^2 - 1^2) / 2 of each element
/// b.output("estimate", monte_carlo(&posterior, &prior, &Draw { value, noise: None }, &shape));
/// // (1 - 0)^2 / 2 of each element
/// b.output("exact", exact(&posterior, &prior, &shape).unwrap());
/// let found = evaluate(&b.finish()?, &[])?;
/// assert!((found[0].as_f32().unwrap()[0] - 3.0).abs() < 1e-6);
/// assert_eq!(found[1], Tensor::scalar(1.0));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn monte_carlo<'b>(
    posterior: &AnyDistribution<'b>,
    prior: &AnyDistribution<'b>,
    draw: &Draw<'b>,
    shape: &Shape,
) -> Expr<'b> {
    mean_over_draws(posterior, prior, draw, shape, |events, _| events.sum_all())
}

/// As [`monte_carlo`], by a sum over numbers of events; the second argument of `sum` is how many axes fewer than a
/// value they have.
fn mean_over_draws<'b>(
    posterior: &AnyDistribution<'b>,
    prior: &AnyDistribution<'b>,
    draw: &Draw<'b>,
    shape: &Shape,
    sum: impl Fn(Expr<'b>, usize) -> Expr<'b>,
) -> Expr<'b> {
    let (of_posterior, of_prior) = (posterior.log_prob_of_draw(draw), prior.log_prob(draw.value));
    let draws = draw.value.shape().elements() / shape.elements().max(1);
    let sum = match (posterior.event_ndims(), prior.event_ndims()) {
        (a, b) if a == b => sum(of_posterior - of_prior, a),
        // numbers of different events
        (a, b) => sum(of_posterior, a) - sum(of_prior, b),
    };
    if draws <= 1 { sum } else { sum / draws as f64 }
}

/// The closed form of KL(posterior || prior) over the elements of a value of shape `shape`, or `None` where the
/// posterior's family [has](crate::Distribution::divergence_from) none with the prior's. In nats, a scalar.
///
/// ```
/// use bayeslift_ir::{Builder, Shape, Tensor, evaluate};
/// use bayeslift_layers::{AnyDistribution, distribution::{Mixture, Normal}, exact};
/// let b = Builder::new();
/// let posterior: AnyDistribution = Normal::scalar(&b, 1.0, 1.0).into();
/// let prior: AnyDistribution = Normal::scalar(&b, 0.0, 1.0).into();
/// let shape = Shape::new(&[3]);
/// b.output("kl", exact(&posterior, &prior, &shape).unwrap());
/// assert!(exact(&posterior, &Mixture::spike_and_slab(&b).into(), &shape).is_none());
/// assert_eq!(evaluate(&b.finish()?, &[])?, [Tensor::scalar(1.5)]); // (1 - 0)^2 / 2 of each element
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn exact<'b>(posterior: &AnyDistribution<'b>, prior: &AnyDistribution<'b>, shape: &Shape) -> Option<Expr<'b>> {
    exact_events(posterior, prior, shape).map(Expr::sum_all)
}

/// What [`exact`] sums.
fn exact_events<'b>(posterior: &AnyDistribution<'b>, prior: &AnyDistribution<'b>, shape: &Shape) -> Option<Expr<'b>> {
    let event = posterior.get().divergence_from(prior.get())?;
    Some(event.broadcast(&events(posterior, shape)))
}

/// The axes of a value of shape `shape` that count events of a distribution.
fn events(distribution: &AnyDistribution<'_>, shape: &Shape) -> Shape {
    Shape::new(&shape[..shape.len().saturating_sub(distribution.event_ndims())])
}
