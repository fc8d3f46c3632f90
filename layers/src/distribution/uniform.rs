//! The uniform distribution.

use super::{Distribution, Known};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// The law of equal density on (low, high): log p(x) = -log(high - low). Its gradient is 0 inside, and a value beyond
/// an end has probability 0: a prior for posteriors that cannot leave it, such as another of this family.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Uniform};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Uniform::new(number(-1.0), number(3.0));
/// b.output("log_prob", law.log_prob(number(0.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.386294)); // -log 4
/// assert!(near(1, 1.0)); // (low + high) / 2
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Uniform<'b> {
    /// The lower end.
    pub low: Expr<'b>,
    /// The upper end, above the lower one.
    pub high: Expr<'b>,
}

impl<'b> Uniform<'b> {
    /// Between these ends.
    pub fn new(low: Expr<'b>, high: Expr<'b>) -> Self {
        Uniform { low, high }
    }

    fn width(&self) -> Expr<'b> {
        self.high - self.low
    }
}

impl<'b> Distribution<'b> for Uniform<'b> {
    fn family(&self) -> &'static str {
        "Uniform"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("low", self.low), ("high", self.high)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let inside = value.less(self.high).select(-self.width().log(), f32::NEG_INFINITY);
        self.low.less_equal(value).select(inside, f32::NEG_INFINITY)
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        // a draw that is rounded to an end is a draw
        (-self.width().log()).broadcast(&draw.value.shape())
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Uniform, shape)?;
        Ok(Draw { value: self.low + self.width() * noise, noise: Some(noise) })
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some((self.low + self.high) * 0.5)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.width() * (1.0_f64 / 12.0).sqrt())
    }

    fn known(&self) -> Known<'b> {
        Known::Uniform(*self)
    }

    /// log(prior width / width), infinite where this one leaves the prior (Gil 2011, page 60).
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::Uniform(prior) = prior.known() else { return None };
        let difference = prior.width().log() - self.width().log();
        let is_inside = self.high.less_equal(prior.high).select(difference, f32::INFINITY);
        Some(prior.low.less_equal(self.low).select(is_inside, f32::INFINITY))
    }

    fn pieces(&self) -> Vec<Expr<'b>> {
        vec![self.low, self.high]
    }
}
