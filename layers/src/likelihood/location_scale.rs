//! Laplace's law and Student's t: numbers with heavier tails than normal ones, so that a few that are far off have less
//! say.

use super::{Law, Likelihood, Scale, Support, Target, TargetNoise, elementary::sigmoid};
use crate::{
    Error, Scope,
    distribution::{LocationScale, location_scale::Family},
    special::{digamma, log_beta, student_cdf, student_quantile},
};
use bayeslift_ir::{Expr, Shape};

/// Laplace's law with median output: training minimizes absolute distances. Output and targets `[.., rows, units]`;
/// where the scale is an output too, the output has twice as many: locations, then raw scales.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Laplace, Likelihood, Scale}};
///
/// let likelihood = Laplace::new(Scale::Fixed(1.0));
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [1.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-1.693147)).abs() < 1e-5); // -|1 - 0| - log 2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Laplace {
    /// The mean distance from the median; the standard deviation is sqrt(2) times it.
    pub scale: Scale,
}

impl Laplace {
    /// With this scale.
    pub fn new(scale: Scale) -> Self {
        Laplace { scale }
    }
}

impl Likelihood for Laplace {
    fn describe(&self) -> String {
        format!("Laplace(loc = output, scale = {})", self.scale)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.scale.outputs(), Support::Real)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.scale.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (loc, scale) = self.scale.split(scope, output)?;
        Ok(Box::new(LocationScale::laplace(loc, scale)))
    }
}

/// Student's t with median output (Lange, Little and Taylor 1989). Output and targets as for [`Laplace`].
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, Scale, StudentT}};
///
/// let likelihood = StudentT::new(3.0, Scale::Fixed(1.0));
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [0.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-1.000889)).abs() < 1e-5); // log(2 / (pi sqrt 3))
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudentT {
    /// The degrees of freedom, from 0.5 to 1e6: the fewer, the heavier the tails.
    pub degrees: f64,
    /// What one standard unit is worth, not the standard deviation, which is sqrt(degrees / (degrees - 2)) times it.
    pub scale: Scale,
}

impl StudentT {
    /// With `degrees` degrees of freedom and this scale.
    pub fn new(degrees: f64, scale: Scale) -> Self {
        StudentT { degrees, scale }
    }
}

impl Likelihood for StudentT {
    fn describe(&self) -> String {
        format!("StudentT(degrees = {}, loc = output, scale = {})", self.degrees, self.scale)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.scale.outputs(), Support::Real)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        let one = scope.builder().constant(1.0);
        LocationScale::student_t(self.degrees, one, one)?;
        self.scale.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (loc, scale) = self.scale.split(scope, output)?;
        Ok(Box::new(LocationScale::student_t(self.degrees, loc, scale)?))
    }
}

impl<'b> Law<'b> for LocationScale<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        LocationScale::log_prob(self, target)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        LocationScale::mean(self)
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(self.scale.to_f64().square() * self.family.variance()?)
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        let constant = |x: f64| self.loc.builder().constant_f64(x);
        let of_standard = match self.family {
            Family::Laplace => constant(2.0).log() + 1.0,
            Family::Logistic => constant(2.0),
            Family::StudentT { .. } | Family::Cauchy => {
                let n = constant(self.family.degrees()?);
                let (half, upper) = (n * 0.5, n * 0.5 + 0.5);
                upper * (digamma(upper) - digamma(half)) + n.log() * 0.5 + log_beta(half, constant(0.5))
            }
        };
        Some(self.scale.to_f64().log() + of_standard)
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let z = (x.to_f64() - self.loc.to_f64()) / self.scale.to_f64();
        Some(match self.family {
            Family::Laplace => {
                let tail = (-z.abs()).exp() * 0.5;
                z.less(0.0).select(tail, 1.0 - tail)
            }
            Family::Logistic => sigmoid(z),
            Family::StudentT { .. } | Family::Cauchy => {
                student_cdf(z.builder().constant_f64(self.family.degrees()?), z)
            }
        })
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let p = p.to_f64();
        let z = match self.family {
            Family::Laplace => {
                let log_tails = (p.min(1.0 - p) * 2.0).log();
                p.less(0.5).select(log_tails, -log_tails)
            }
            Family::Logistic => p.log() - (1.0 - p).log(),
            Family::StudentT { .. } | Family::Cauchy => {
                student_quantile(p.builder().constant_f64(self.family.degrees()?), p)
            }
        };
        Some(self.loc.to_f64() + self.scale.to_f64() * z)
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        let standard = self.standard(noise.uniform("target"), || Ok(noise.uniform("target/angle"))).ok()?;
        Some(self.loc + self.scale * standard)
    }
}
