//! Targets between 0 and 1.

use super::{Law, Likelihood, Scale, Support, Target, elementary::sigmoid};
use crate::{
    Error, Scope,
    special::{beta_lower, beta_quantile, digamma, log_beta},
};
use bayeslift_ir::{Expr, Shape};

/// The beta law with mean sigmoid(output) and variance mean (1 - mean) / (concentration + 1), of numbers between 0 and
/// 1 (Ferrari and Cribari-Neto 2004, equation 4). Output and targets `[.., rows, units]`; where the concentration is an
/// output too, the output has twice as many: log odds of means, then raw concentrations.
///
/// log p(y) = (a - 1) log y + (b - 1) log(1 - y) - log B(a, b), with a = mean concentration, b = (1 - mean)
/// concentration
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Beta, Likelihood, Scale}};
///
/// let likelihood = Beta::new(Scale::Fixed(4.0));
/// assert_eq!(Beta::new(Scale::Output).target(&[8].into())?.shape, [4].into()); // half are concentrations
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [0.5])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (0.405465)).abs() < 1e-5); // a = b = 2: log 6 + 2 log 0.5
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beta {
    /// a + b: 2 for the uniform law where the mean is 1/2, more for a narrower one.
    pub concentration: Scale,
}

impl Beta {
    /// With this concentration.
    pub fn new(concentration: Scale) -> Self {
        Beta { concentration }
    }
}

impl Likelihood for Beta {
    fn describe(&self) -> String {
        format!("Beta(mean = sigmoid(output), concentration = {})", self.concentration)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.concentration.outputs(), Support::UnitInterval)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.concentration.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (logit, concentration) = self.concentration.split(scope, output)?;
        // further out a or b would be 0
        let logit = logit.to_f64().min(600.0).max(-600.0);
        Ok(Box::new(BetaLaw { mean: [sigmoid(logit), sigmoid(-logit)], concentration: concentration.to_f64() }))
    }
}

struct BetaLaw<'b> {
    /// Of the target, and of 1 - target.
    mean: [Expr<'b>; 2],
    concentration: Expr<'b>,
}

impl<'b> BetaLaw<'b> {
    /// a and b.
    fn powers(&self) -> [Expr<'b>; 2] {
        self.mean.map(|mean| mean * self.concentration)
    }
}

impl<'b> Law<'b> for BetaLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let ([a, b], target) = (self.powers(), target.to_f64());
        (a - 1.0) * target.log() + (b - 1.0) * (1.0 - target).log() - log_beta(a, b)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.mean[0])
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(self.mean[0] * self.mean[1] / (self.concentration + 1.0))
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        let ([a, b], c) = (self.powers(), self.concentration);
        let of = |power: Expr<'b>| (power - 1.0) * digamma(power);
        Some(log_beta(a, b) - of(a) - of(b) + (c - 2.0) * digamma(c))
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let [a, b] = self.powers();
        Some(beta_lower(a, b, x))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let [a, b] = self.powers();
        Some(beta_quantile(a, b, p))
    }
}
