//! A single value, with certainty.

use super::{Distribution, Known};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, Shape};

/// All probability at one point.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Deterministic};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Deterministic::new(number(1.0));
/// b.output("log_prob", law.log_prob(number(1.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, 0.0)); // probability 1
/// assert!(near(1, 1.0)); // the point
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deterministic<'b> {
    /// The point.
    pub loc: Expr<'b>,
}

impl<'b> Deterministic<'b> {
    /// All probability at `loc`.
    pub fn new(loc: Expr<'b>) -> Self {
        Deterministic { loc }
    }

    /// The log probability of each element: 0 at the point, minus infinity elsewhere, as in TFP.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        value.equal(self.loc).select(0.0, f32::NEG_INFINITY)
    }
}

impl<'b> Distribution<'b> for Deterministic<'b> {
    fn family(&self) -> &'static str {
        "Deterministic"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("loc", self.loc)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob(value)
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        Ok(site.value(self.loc.broadcast(shape)))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.loc.builder().constant(0.0).broadcast(&self.loc.shape()))
    }

    fn known(&self) -> Known<'b> {
        Known::Deterministic(*self)
    }

    /// -log prior(loc), as in TFP: less an entropy that no gradient depends on, and which is minus infinity.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        (prior.event_ndims() == 0).then(|| -prior.log_prob(self.loc))
    }

    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        format!("Deterministic({})", words(self.loc))
    }
}
