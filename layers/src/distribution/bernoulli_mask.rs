//! A value that is there or 0: the posterior of DropConnect.

use super::Distribution;
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// A weight that is there with a probability, and else 0: loc times a Bernoulli mask (DropConnect; Wan and others
/// 2013). As a posterior it is that of Gal and Ghahramani (2016), of single weights.
///
/// A draw moves with the location where the mask keeps it; no gradient passes the mask, so the probability is learned
/// by the divergence alone.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::BernoulliMask};
///
/// let b = Builder::new();
/// let law = BernoulliMask::new(b.constant(2.0), b.constant(0.75));
/// b.output("kept", law.log_prob(b.constant(2.0)));
/// b.output("dropped", law.log_prob(b.constant(0.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -0.287682)); // log 0.75
/// assert!(near(1, -1.386294)); // log 0.25
/// assert!(near(2, 1.5)); // 2 * 0.75
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BernoulliMask<'b> {
    /// The weight.
    pub loc: Expr<'b>,
    /// The probability that it is kept, between 0 and 1.
    pub keep: Expr<'b>,
}

impl<'b> BernoulliMask<'b> {
    /// A weight that is kept with a probability.
    pub fn new(loc: Expr<'b>, keep: Expr<'b>) -> Self {
        BernoulliMask { loc, keep }
    }
}

impl<'b> Distribution<'b> for BernoulliMask<'b> {
    fn family(&self) -> &'static str {
        "BernoulliMask"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("loc", self.loc), ("keep", self.keep)]
    }

    /// The log probability: of the weight, of 0, and of others minus infinity.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let dropped = value.equal(0.0).select((1.0 - self.keep).log(), f32::NEG_INFINITY);
        value.equal(self.loc).select(self.keep.log(), dropped)
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Uniform, shape)?;
        Ok(site.value(noise.less(self.keep).select(self.loc, 0.0)))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc * self.keep)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.loc.abs() * (self.keep * (1.0 - self.keep)).sqrt())
    }

    /// -keep log prior(loc) - (1 - keep) log prior(0) - the entropy of the mask: as of a [point](super::Deterministic),
    /// less an infinite constant. For a normal prior around 0 it is keep loc^2 / (2 scale^2) and what does not depend
    /// on the location.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        if prior.event_ndims() > 0 {
            return None;
        }
        let drop = 1.0 - self.keep;
        let kept = self.keep * (self.keep.log() - prior.log_prob(self.loc));
        Some(kept + drop * (drop.log() - prior.log_prob(self.loc * 0.0)))
    }
}
