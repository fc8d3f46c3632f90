use super::{Law, Likelihood, Scale, Support, Target, TargetNoise, parts};
use crate::{Error, Scope, distribution};
use bayeslift_ir::{Expr, Shape};

/// N(loc, scale^2) of each number. Output and targets `[.., rows, units]`; where the scale is an output too, the output has twice as many:
/// locations, then raw scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// The standard deviation.
    pub scale: Scale,
}

impl Normal {
    /// With this standard deviation.
    pub fn fixed(scale: f32) -> Self {
        Normal { scale: Scale::Fixed(scale) }
    }

    /// With a standard deviation for each unit, which is learned and starts at `initial`.
    pub fn learned(initial: f32) -> Self {
        Normal { scale: Scale::Learned { initial } }
    }

    /// With a standard deviation for each target, which the network outputs (Nix and Weigend 1994).
    pub fn heteroscedastic() -> Self {
        Normal { scale: Scale::Output }
    }
}

impl Likelihood for Normal {
    fn describe(&self) -> String {
        format!("Normal(loc = output, scale = {})", self.scale)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1 + self.scale.outputs(), Support::Real)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.scale.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let (loc, raw) = match self.scale {
            Scale::Output => {
                let [loc, raw] = parts(output);
                (loc, Some(raw))
            }
            _ => (output, None),
        };
        let scale = self.scale.expr(scope, loc.shape().last_extent(), raw)?;
        Ok(Box::new(distribution::Normal::new(loc, scale)))
    }
}

impl<'b> Law<'b> for distribution::Normal<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        distribution::Normal::log_prob(self, target)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(self.scale.square())
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        Some(self.loc + self.scale * noise.normal("target"))
    }
}
