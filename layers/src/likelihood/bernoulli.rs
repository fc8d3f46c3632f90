//! Targets that are 0 or 1.

use super::{Law, Likelihood, Support, Target, elementary::sigmoid};
use crate::{Error, Scope};
use bayeslift_ir::{Expr, Shape};

/// Yes or no, for each unit: 1 with probability sigmoid(output). Several labels of a row that may apply together, or a
/// single one of two. Output and targets, 0 or 1, `[.., rows, units]`.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Bernoulli, Likelihood}};
///
/// let likelihood = Bernoulli;
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [1.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-0.693147)).abs() < 1e-5); // log(1 / 2)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bernoulli;

impl Likelihood for Bernoulli {
    fn describe(&self) -> String {
        "Bernoulli(logits = output)".to_owned()
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1, Support::Binary)
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(BernoulliLaw { logits: output }))
    }
}

struct BernoulliLaw<'b> {
    logits: Expr<'b>,
}

impl<'b> BernoulliLaw<'b> {
    /// The probability of 0, which does not lose its digits where that of 1 is large.
    fn zero(&self) -> Expr<'b> {
        sigmoid(-self.logits.to_f64())
    }
}

impl<'b> Law<'b> for BernoulliLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        -((1.0 - target * 2.0) * self.logits).softplus()
    }

    /// Those of 0 and 1.
    fn probabilities(&self) -> Option<Expr<'b>> {
        let logits = self.logits.expand(self.logits.shape().len());
        let is_one = logits.builder().iota(2).equal(1);
        Some(is_one.select(logits, -logits).sigmoid())
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.logits.sigmoid())
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(sigmoid(self.logits.to_f64()) * self.zero())
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        // a probability of 0 times a finite logarithm
        let of = |logits: Expr<'b>| logits.sigmoid() * (-logits).softplus();
        Some(of(self.logits) + of(-self.logits))
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let (x, zero) = (x.to_f64(), self.zero());
        Some(x.less(0.0).select(zero * 0.0, x.less(1.0).select(zero, 1.0)))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        Some(p.to_f64().less_equal(self.zero()).select(0.0, 1.0))
    }
}
