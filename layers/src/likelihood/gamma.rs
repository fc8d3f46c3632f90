//! Positive targets, by the gamma distribution.

use super::{Law, Likelihood, Scale, Support, Target};
use crate::{
    Error, Scope,
    special::{digamma, gamma_lower, gamma_quantile, log_gamma},
};
use bayeslift_ir::{Expr, Shape};

/// The gamma law with mean e^output and variance mean^2 / concentration, of positive numbers whose spread is in
/// proportion to their size. Output and targets `[.., rows, units]`; where the concentration is an output too, the
/// output has twice as many: logarithms of means, then raw concentrations.
///
/// log p(y) = a log(a y / mean) - a y / mean - log y - log Gamma(a), with a the concentration
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Gamma, Likelihood, Scale}};
///
/// let likelihood = Gamma::new(Scale::Fixed(3.0));
/// assert_eq!(Gamma::new(Scale::Output).target(&[8].into())?.shape, [4].into()); // half are concentrations
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [1.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-0.397310)).abs() < 1e-5); // mean 1: 3 log 3 - 3 - log 2!
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma {
    /// 1 for the exponential law, more for a narrower one.
    pub concentration: Scale,
}

impl Gamma {
    /// With this concentration.
    pub fn new(concentration: Scale) -> Self {
        Gamma { concentration }
    }
}

impl Likelihood for Gamma {
    fn describe(&self) -> String {
        format!("Gamma(log mean = output, concentration = {})", self.concentration)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.concentration.outputs(), Support::Positive)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.concentration.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (log_mean, concentration) = self.concentration.split(scope, output)?;
        Ok(Box::new(GammaLaw { log_mean: log_mean.to_f64(), concentration: concentration.to_f64() }))
    }
}

pub(super) struct GammaLaw<'b> {
    pub log_mean: Expr<'b>,
    pub concentration: Expr<'b>,
}

impl<'b> Law<'b> for GammaLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let (a, log) = (self.concentration, target.to_f64().log());
        let log_ratio = log - self.log_mean;
        // as much as the ratio of target and mean is off 1, and a number that depends on the concentration alone
        let deviance = log_ratio.exp() - 1.0 - log_ratio;
        a * (a.log() - 1.0) - log_gamma(a) - a * deviance - log
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.log_mean.exp())
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(self.log_mean.exp().square() / self.concentration)
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        let a = self.concentration;
        Some(a + self.log_mean - a.log() + log_gamma(a) + (1.0 - a) * digamma(a))
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        Some(gamma_lower(self.concentration, x.to_f64() * self.concentration / self.log_mean.exp()))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        Some(gamma_quantile(self.concentration, p) * self.log_mean.exp() / self.concentration)
    }
}
