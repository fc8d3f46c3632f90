//! Positive targets, by their logarithm.

use super::{Law, Likelihood, Scale, Support, Target, TargetNoise, normal::NormalLaw};
use crate::{Error, Scope};
use bayeslift_ir::{Expr, Shape};

/// A number whose logarithm is normal: N(loc, scale^2) of log target. Output and targets as for
/// [`Normal`](super::Normal); e^loc is the median.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, LogNormal, Scale}};
///
/// let likelihood = LogNormal::new(Scale::Fixed(0.5));
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [1.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-0.225791)).abs() < 1e-5); // log N(log 1; 0, 0.5^2) - log 1
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    /// The standard deviation of the logarithm.
    pub scale: Scale,
}

impl LogNormal {
    /// With this standard deviation of the logarithm.
    pub fn new(scale: Scale) -> Self {
        LogNormal { scale }
    }
}

impl Likelihood for LogNormal {
    fn describe(&self) -> String {
        format!("LogNormal(loc = output, scale = {})", self.scale)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.scale.outputs(), Support::Positive)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.scale.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(LogNormalLaw { log: NormalLaw::new(self.scale.split(scope, output)?, 0.0) }))
    }
}

struct LogNormalLaw<'b> {
    /// That of the logarithm.
    log: NormalLaw<'b>,
}

impl<'b> Law<'b> for LogNormalLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let log = target.log();
        self.log.log_prob(log) - log
    }

    fn mean(&self) -> Option<Expr<'b>> {
        let [loc, scale] = self.log.f64();
        Some((loc + scale.square() * 0.5).exp())
    }

    fn variance(&self) -> Option<Expr<'b>> {
        let square = self.log.f64()[1].square();
        Some(self.mean()?.square() * (square.exp() - 1.0))
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        Some(self.log.entropy()? + self.log.f64()[0])
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let x = x.to_f64();
        let is_above = x.builder().constant_f64(0.0).less(x);
        let cdf = self.log.cdf(is_above.select(x, 1.0).log())?;
        Some(is_above.select(cdf, 0.0))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        Some(self.log.quantile(p)?.exp())
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        Some(self.log.draw(noise)?.to_f64().exp())
    }
}
