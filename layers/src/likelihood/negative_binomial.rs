//! Counts that vary more than a Poisson distribution's.

use super::{
    Law, Likelihood, Scale, Support, Target, TargetNoise,
    elementary::{sigmoid, softplus},
    gamma::GammaLaw,
    invert::quantile_of,
    poisson::PoissonLaw,
};
use crate::{
    Error, Scope,
    special::{beta_lower, log_gamma, log_gamma_ratio},
};
use bayeslift_ir::{Expr, Shape};

/// The negative binomial law of counts, with mean e^output and variance mean + mean^2 / concentration: Poisson's law
/// with a rate that has a gamma law of this concentration (NB2 of Cameron and Trivedi 1986). Output and targets, whole
/// numbers from 0 on, `[.., rows, units]`; where the concentration is an output too, the output has twice as many:
/// logarithms of means, then raw concentrations.
///
/// log p(n) = log Gamma(n + r) - log Gamma(r) - log n! + r log(r / (r + mean)) + n log(mean / (r + mean)), with r the
/// concentration
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, NegativeBinomial, Scale}};
///
/// let likelihood = NegativeBinomial::new(Scale::Fixed(1.0));
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [0.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-0.693147)).abs() < 1e-5); // mean 1: log(1 / (1 + 1))
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NegativeBinomial {
    /// Near Poisson's law where it is much larger than the mean.
    pub concentration: Scale,
}

impl NegativeBinomial {
    /// With this concentration.
    pub fn new(concentration: Scale) -> Self {
        NegativeBinomial { concentration }
    }
}

impl Likelihood for NegativeBinomial {
    fn describe(&self) -> String {
        format!("NegativeBinomial(log mean = output, concentration = {})", self.concentration)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.concentration.outputs(), Support::Count)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.concentration.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (log_mean, concentration) = self.concentration.split(scope, output)?;
        Ok(Box::new(NegativeBinomialLaw { log_mean: log_mean.to_f64(), concentration: concentration.to_f64() }))
    }
}

struct NegativeBinomialLaw<'b> {
    log_mean: Expr<'b>,
    concentration: Expr<'b>,
}

impl<'b> NegativeBinomialLaw<'b> {
    /// log(mean / concentration).
    fn log_ratio(&self) -> Expr<'b> {
        self.log_mean - self.concentration.log()
    }
}

impl<'b> Law<'b> for NegativeBinomialLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let (count, r, log_ratio) = (target.to_f64(), self.concentration, self.log_ratio());
        let coefficient = log_gamma_ratio(r, count) - log_gamma(count + 1.0);
        coefficient - softplus(log_ratio) * r - softplus(-log_ratio) * count
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.log_mean.exp())
    }

    fn variance(&self) -> Option<Expr<'b>> {
        let mean = self.log_mean.exp();
        Some(mean + mean.square() / self.concentration)
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let count = x.to_f64().floor();
        let cdf = beta_lower(self.concentration, count.max(0.0) + 1.0, sigmoid(-self.log_ratio()));
        Some(count.less(0.0).select(0.0, cdf))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        quantile_of(self, Support::Count, p)
    }
    /// A count of Poisson's law whose rate is drawn from the gamma law.
    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        let rates = GammaLaw { log_mean: self.log_mean, concentration: self.concentration };
        let log_rate = rates.quantile(noise.uniform("rate"))?.log();
        PoissonLaw { log_rate }.draw(noise)
    }
}
