//! Targets that are proportions.

use super::{Law, Likelihood, Scale, Support, Target, TargetNoise};
use crate::{Error, Scope, distribution};
use bayeslift_ir::{Expr, Shape};

/// A point on the simplex of K classes, softmax((z, 0)) for z = N(output, scale^2): see
/// [`SoftmaxCenteredNormal`](distribution::SoftmaxCenteredNormal), the likelihood of TFP's example. Output `[.., rows,
/// K - 1]`, targets `[.., rows, K]`: positive numbers, in rows that sum to 1. Labels have to be smoothed to be such
/// points.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, SoftmaxCenteredNormal}};
///
/// let likelihood = SoftmaxCenteredNormal::fixed(1.0);
/// assert_eq!(likelihood.target(&[1].into())?.shape, [2].into());
/// assert_eq!(SoftmaxCenteredNormal::learned(0.5).target(&[4].into())?.shape, [5].into());
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 2])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 2], [0.5, 0.5])?])?;
/// // -log sqrt(2 pi) - 2 log 0.5 - log(2) / 2
/// assert!((found[0].as_f32().expect("floats")[0] - (0.120781)).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxCenteredNormal {
    /// The standard deviation of every log ratio of a class to the last one: a number, or learned.
    pub scale: Scale,
}

impl SoftmaxCenteredNormal {
    /// With this standard deviation.
    pub fn fixed(scale: f64) -> Self {
        SoftmaxCenteredNormal { scale: Scale::Fixed(scale) }
    }

    /// With a standard deviation that is learned and starts at `initial`, one for all classes.
    pub fn learned(initial: f64) -> Self {
        SoftmaxCenteredNormal { scale: Scale::Learned { initial } }
    }

    fn scale<'b>(&self, scope: &Scope<'b>) -> Result<Expr<'b>, Error> {
        if let Scale::Output = self.scale {
            let expected = "fixed or learned: one for all classes";
            return Err(Error::argument("the scale of a softmax-centered normal likelihood", expected, "an output"));
        }
        self.scale.expr(scope, 1, None)
    }
}

impl Likelihood for SoftmaxCenteredNormal {
    fn describe(&self) -> String {
        format!("SoftmaxCentered(Normal(loc = output, scale = {}))", self.scale)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        let mut shape = output.to_vec();
        shape.iter_mut().rev().take(1).for_each(|units| *units += 1);
        let classes = output.last_extent() + 1;
        Ok(Target::numbers(shape.as_slice(), Support::Simplex(classes)).joint())
    }

    fn declare(&self, scope: &Scope<'_>, _: &Target) -> Result<(), Error> {
        self.scale(scope).map(drop)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(distribution::SoftmaxCenteredNormal::new(output, self.scale(scope)?)))
    }
}

impl<'b> Law<'b> for distribution::SoftmaxCenteredNormal<'b> {
    fn log_prob(&self, points: Expr<'b>) -> Expr<'b> {
        distribution::SoftmaxCenteredNormal::log_prob(self, points)
    }

    /// Those of the centre: the mean has no closed form.
    fn probabilities(&self) -> Option<Expr<'b>> {
        Some(self.center())
    }

    /// That of a label with these probabilities.
    fn entropy(&self) -> Option<Expr<'b>> {
        Law::entropy(&distribution::Categorical::new(self.logits()))
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        let noise = noise.normal("target");
        let axis = noise.shape().len().saturating_sub(1);
        let ratios = self.loc + self.scale * noise.slice(axis, 0..self.classes() - 1);
        Some(ratios.pad(axis, 0, 1, 0).softmax())
    }
}
