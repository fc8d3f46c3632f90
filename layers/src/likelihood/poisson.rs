//! Counts.

use super::{Law, Likelihood, Support, Target, invert::points_below};
use crate::{
    Error, Scope,
    special::{gamma_upper, log_gamma, normal_quantile},
};
use bayeslift_ir::{Expr, Shape};

/// Poisson's law of counts, with rate e^output. Output and targets, whole numbers from 0 on, `[.., rows, units]`.
///
/// log p(n) = n output - e^output - log n!
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, Poisson}};
///
/// let likelihood = Poisson;
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [0.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-1.0)).abs() < 1e-5); // rate 1: -e^0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poisson;

impl Likelihood for Poisson {
    fn describe(&self) -> String {
        "Poisson(log rate = output)".to_owned()
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1, Support::Count)
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(PoissonLaw { log_rate: output.to_f64() }))
    }
}

pub(super) struct PoissonLaw<'b> {
    pub log_rate: Expr<'b>,
}

/// How many counts [`PoissonLaw::quantile`] looks at, and how many of them are below its guess.
const NEAR: usize = 32;
const BELOW: f64 = 12.0;
/// The rate up to which all quantiles are among the first [`NEAR`] counts.
const SMALL: f64 = 3.0;

impl<'b> Law<'b> for PoissonLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let count = target.to_f64();
        count * self.log_rate - self.log_rate.exp() - log_gamma(count + 1.0)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.log_rate.exp())
    }

    fn variance(&self) -> Option<Expr<'b>> {
        self.mean()
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let count = x.to_f64().floor();
        let cdf = gamma_upper(count.max(0.0) + 1.0, self.log_rate.exp());
        Some(count.less(0.0).select(0.0, cdf))
    }

    /// Looks at the counts around a guess that is near enough: the expansion of Cornish and Fisher (1938) to the third
    /// order, from the normal quantile.
    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let (rate, p) = (self.log_rate.exp(), p.to_f64());
        let (z, stddev) = (normal_quantile(p.max(1e-16).min(1.0 - 1e-16)), rate.sqrt());
        let square = z.square();
        let guess = rate + stddev * z + (square - 1.0) / 6.0 + z * (1.0 - square) / (stddev * 72.0);
        let first = rate.less(SMALL).select(0.0, (guess.floor() - BELOW).max(0.0));
        let one = p * 0.0 + 1.0;
        let cdf = |x: Expr<'b>| self.cdf(x).expect("Poisson's law has one");
        Some(first + points_below(cdf, p, [first - one, one], NEAR))
    }
}
