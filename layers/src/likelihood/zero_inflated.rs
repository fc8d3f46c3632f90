//! Counts that are 0 more often than their law says.

use super::{
    Law, Likelihood, Support, Target, TargetNoise,
    elementary::{sigmoid, softplus},
};
use crate::{Error, Scope};
use bayeslift_ir::{Expr, Shape};

/// A law of counts with more zeros than it would have (Lambert 1992): 0 with probability sigmoid(gate), else a draw of
/// the law, which may be 0 too. Targets as for that law; output `[.., rows, outputs]`, first those that the law reads,
/// then one gate for each unit.
///
/// ```
/// use bayeslift_layers::likelihood::{Likelihood, Poisson, ZeroInflated};
/// // three log rates and three gates
/// assert_eq!(ZeroInflated::new(Poisson).target(&[6].into())?.shape, [3].into());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZeroInflated<L> {
    /// What is inflated.
    pub law: L,
}

impl<L: Likelihood> ZeroInflated<L> {
    /// Inflates a law of counts.
    pub fn new(law: L) -> Self {
        ZeroInflated { law }
    }

    /// What a target is, and the number of gates, which are last among the outputs.
    fn split(&self, output: &Shape) -> Result<(Target, usize), Error> {
        let outputs = output.last_extent();
        let of_law = |gates: usize| {
            let mut shape = output.to_vec();
            shape.iter_mut().rev().take(1).for_each(|extent| *extent -= gates);
            self.law.target(&shape.as_slice().into())
        };
        let fits = |&(ref target, gates): &(Target, usize)| target.shape.last_extent() == gates;
        let split = (1..outputs).filter_map(|gates| Some((of_law(gates).ok()?, gates))).find(fits);
        match split {
            Some((target, gates)) if target.support == Support::Count => Ok((target, gates)),
            Some((target, _)) => Err(Error::argument(
                "the law that is zero-inflated",
                "a law of counts",
                format!("one of {}", target.support),
            )),
            None => {
                let expected = "those of the law, and a gate for each of its units";
                Err(Error::argument("the number of outputs", expected, outputs))
            }
        }
    }
}

impl<L: Likelihood> Likelihood for ZeroInflated<L> {
    fn describe(&self) -> String {
        format!("ZeroInflated({}, gate = sigmoid(output))", self.law.describe())
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Ok(self.split(output)?.0)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.law.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let shape = output.shape();
        let (axis, outputs) = (shape.len().saturating_sub(1), shape.last_extent());
        let (_, gates) = self.split(&shape)?;
        let [of_law, gate] = [0..outputs - gates, outputs - gates..outputs].map(|range| output.slice(axis, range));
        Ok(Box::new(ZeroInflatedLaw { law: self.law.law(scope, of_law)?, gate: gate.to_f64() }))
    }
}

struct ZeroInflatedLaw<'b> {
    law: Box<dyn Law<'b> + 'b>,
    gate: Expr<'b>,
}

impl<'b> ZeroInflatedLaw<'b> {
    /// The probabilities of a certain 0, and of a count as the law says.
    fn gates(&self) -> [Expr<'b>; 2] {
        [sigmoid(self.gate), sigmoid(-self.gate)]
    }
}

impl<'b> Law<'b> for ZeroInflatedLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let certain = -softplus(-self.gate);
        let counted = self.law.log_prob(target).to_f64() - softplus(self.gate);
        target.equal(0.0).select(certain + softplus(counted - certain), counted)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.law.mean()?.to_f64() * self.gates()[1])
    }

    fn variance(&self) -> Option<Expr<'b>> {
        let ([certain, counted], mean) = (self.gates(), self.law.mean()?.to_f64());
        Some((self.law.variance()?.to_f64() + mean.square() * certain) * counted)
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let ([certain, counted], cdf) = (self.gates(), self.law.cdf(x)?.to_f64());
        Some(x.less(0.0).select(0.0, certain + counted * cdf))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let ([certain, counted], p) = (self.gates(), p.to_f64());
        let is_counted = certain.less(p);
        let quantile = self.law.quantile(is_counted.select((p - certain) / counted, 0.5))?;
        Some(is_counted.select(quantile.to_f64(), 0.0))
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        let is_certain = noise.uniform("gate").to_f64().less(self.gates()[0]);
        Some(is_certain.select(0.0, self.law.draw(noise)?.to_f64()))
    }
}
