//! Targets that are labels.

use super::{Law, Likelihood, Target};
use crate::{Error, Scope, distribution};
use bayeslift_ir::{Expr, Shape};

/// A label with probabilities softmax(output): categorical cross-entropy. Output `[.., rows, positions.., classes]` as
/// logits, targets `u32[rows, positions..]`.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Categorical, Likelihood}};
///
/// let likelihood = Categorical;
/// assert_eq!(likelihood.target(&[4].into())?.classes(), Some(4));
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 4])), b.input("y", Type::u32([1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 4], [0.0; 4])?, Tensor::u32([1], [2])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-1.386294)).abs() < 1e-5); // log(1 / 4)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Categorical;

impl Likelihood for Categorical {
    fn describe(&self) -> String {
        "Categorical(logits = output)".to_owned()
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        match output.split_last() {
            Some((&classes, positions)) if classes >= 2 => Ok(Target::labels(positions, classes)),
            _ => {
                let expected = "2 or more, one for each class";
                Err(Error::argument("the number of outputs of a categorical network", expected, output.last_extent()))
            }
        }
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(distribution::Categorical::new(output)))
    }
}

impl<'b> Law<'b> for distribution::Categorical<'b> {
    fn log_prob(&self, labels: Expr<'b>) -> Expr<'b> {
        distribution::Categorical::log_prob(self, labels)
    }

    fn probabilities(&self) -> Option<Expr<'b>> {
        Some(distribution::Categorical::probabilities(self))
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        let axis = self.logits.shape().len().saturating_sub(1);
        let shifted = self.logits.less_maximum(axis);
        let exponentials = shifted.exp();
        let sum = exponentials.sum(axis);
        let probabilities = exponentials / sum.expand(axis);
        // log p is the shifted logit less the logarithm of the sum: a sum of what is not negative, so nothing cancels.
        // A logit of -infinity has probability 0.
        Some(sum.log() - probabilities.equal(0.0).select(0.0, probabilities * shifted).sum(axis))
    }

    /// Of the label as a number, whether or not its order means anything.
    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let probabilities = distribution::Categorical::probabilities(self);
        let label = x.builder().iota(self.classes()).to_f64();
        let is_below = label.less_equal(x.to_f64().expand(x.shape().len()));
        let axis = probabilities.shape().len().max(x.shape().len() + 1) - 1;
        Some(is_below.select(probabilities.to_f64(), 0.0).sum(axis))
    }

    /// As for the cdf. It has positive probability.
    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let probabilities = distribution::Categorical::probabilities(self);
        let (builder, classes) = (p.builder(), self.classes());
        let is_up_to = builder.iota(classes).expand(1).less_equal(builder.iota(classes));
        let sums = probabilities.dot(is_up_to.select(1.0, 0.0)).to_f64();
        let axis = sums.shape().len().saturating_sub(1);
        // the last one is 1 up to rounding, so it is never passed
        let is_passed = sums.less(p.to_f64().expand(p.shape().len()) * sums.slice(axis, classes - 1..classes));
        let axis = is_passed.shape().len().saturating_sub(1);
        Some(is_passed.select(1.0, 0.0).sum(axis))
    }
}
