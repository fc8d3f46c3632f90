use super::{Law, Likelihood, Target};
use crate::{Error, Scope, distribution};
use bayeslift_ir::{Expr, Shape};

/// A label with probabilities softmax(output): categorical cross-entropy. Output `[.., rows, positions.., classes]` as logits, targets
/// `u32[rows, positions..]`.
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
        let log_probabilities = self.logits.log_softmax();
        let probabilities = log_probabilities.exp();
        let axis = probabilities.shape().len().saturating_sub(1);
        // Where a probability is 0, its logarithm is finite, or -infinity if the logit is.
        Some(-probabilities.equal(0.0).select(0.0, probabilities * log_probabilities).sum(axis))
    }
}
