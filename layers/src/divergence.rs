use crate::{AnyDistribution, Draw, Error, Term};
use bayeslift_ir::{Expr, Shape};

/// How the divergence KL(posterior || prior) = E_posterior[log posterior(w) - log prior(w)] of a random variable is
/// computed.
///
/// Always a sum over all elements, in nats. Nothing is divided by the number of examples here; a trainer does that in
/// one place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Divergence {
    /// The mean of log posterior(w) - log prior(w) over draws of w. The first draw is the one that the forward pass
    /// used, where it used one - if it used several samples at once, all of them - and further ones are addressed at
    /// `divergence` of the variable's site. The gradient is the full one, through the path and the density.
    MonteCarlo {
        /// The number of draws, at least 1.
        draws: usize,
    },
    /// The closed form, where there is one: normal posterior and normal prior. Draws nothing.
    Exact,
}

impl Default for Divergence {
    /// One draw, as in TFP.
    fn default() -> Self {
        Divergence::MonteCarlo { draws: 1 }
    }
}

impl Divergence {
    /// The divergence of one random variable, a scalar.
    ///
    /// # Errors
    /// Monte Carlo: zero draws, a draw without a noise address. Exact: a pair of families without a closed form.
    pub fn of<'b>(&self, term: &Term<'b>) -> Result<Expr<'b>, Error> {
        match *self {
            Divergence::Exact => {
                exact(&term.posterior, &term.prior, &term.shape).ok_or_else(|| Error::NoExactDivergence {
                    path: term.site.path(),
                    posterior: term.posterior.family(),
                    prior: term.prior.family(),
                })
            }
            Divergence::MonteCarlo { draws } => {
                if draws == 0 {
                    return Err(Error::argument("the number of draws of Divergence::MonteCarlo", "at least 1", draws));
                }
                self.by_draws(term, draws)
            }
        }
    }

    fn by_draws<'b>(&self, term: &Term<'b>, draws: usize) -> Result<Expr<'b>, Error> {
        let estimate = |draw: &Draw<'b>| monte_carlo(&term.posterior, &term.prior, draw, &term.shape);
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
        Ok((estimate(used) * used_draws as f32 + fresh * more as f32) / draws as f32)
    }
}

/// The mean over the draws in `draw` of log posterior(w) - log prior(w), summed over the elements of one value of
/// shape `shape`.
pub fn monte_carlo<'b>(
    posterior: &AnyDistribution<'b>,
    prior: &AnyDistribution<'b>,
    draw: &Draw<'b>,
    shape: &Shape,
) -> Expr<'b> {
    let difference = posterior.log_prob_of_draw(draw) - prior.log_prob(draw.value);
    let draws = draw.value.shape().elements() / shape.elements().max(1);
    let sum = difference.sum_all();
    if draws <= 1 { sum } else { sum / draws as f32 }
}

/// The closed form of KL(posterior || prior) over the elements of a value of shape `shape`, or `None` where there is
/// none.
///
/// For normal distributions with ratio r = posterior scale / prior scale and d = (posterior loc - prior loc) / prior
/// scale it is the sum of (d^2 + (r - 1)(r + 1)) / 2 - log r. The factored r^2 - 1 keeps its digits near r = 1.
pub fn exact<'b>(posterior: &AnyDistribution<'b>, prior: &AnyDistribution<'b>, shape: &Shape) -> Option<Expr<'b>> {
    let event = posterior.get().divergence_from(prior.get())?;
    Some(event.broadcast(&events(posterior, shape)).sum_all())
}

/// The axes of a value of shape `shape` that count events of a distribution.
fn events(distribution: &AnyDistribution<'_>, shape: &Shape) -> Shape {
    Shape::new(&shape[..shape.len().saturating_sub(distribution.event_ndims())])
}
