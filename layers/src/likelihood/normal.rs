//! Numbers with normal noise.

use super::{Law, Likelihood, Scale, Support, Target, TargetNoise};
use crate::{
    Error, Scope, distribution,
    special::{normal_cdf, normal_quantile},
};
use bayeslift_ir::{Expr, Shape};

/// The entropy of a standard normal number, log(2 pi e) / 2.
const STANDARD_ENTROPY: f64 = 1.418_938_533_204_672_7;

/// N(loc, scale^2) of each number. Output and targets `[.., rows, units]`; where the scale is an output too, the output
/// has twice as many: locations, then raw scales.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, Normal}};
///
/// let likelihood = Normal::fixed(2.0);
/// assert_eq!(Normal::learned(1.0).target(&[3].into())?.shape, [3].into());
/// // a location and a raw scale for each target; the loss of Seitzer and others (2022)
/// let of_both = Normal::heteroscedastic().beta_nll(0.5);
/// assert_eq!(of_both.target(&[6].into())?.shape, [3].into());
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 1])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 1], [0.0])?, Tensor::f32([1, 1], [0.0])?])?;
/// assert!((found[0].as_f32().expect("floats")[0] - (-1.612086)).abs() < 1e-5); // -log 2 - log sqrt(2 pi)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// The standard deviation.
    pub scale: Scale,
    /// What power of its variance a target's part in training is weighted with; see [`Normal::beta_nll`].
    pub beta: f64,
}

impl Normal {
    /// With this standard deviation.
    pub fn fixed(scale: f64) -> Self {
        Normal { scale: Scale::Fixed(scale), beta: 0.0 }
    }

    /// With a standard deviation for each unit, which is learned and starts at `initial`.
    pub fn learned(initial: f64) -> Self {
        Normal { scale: Scale::Learned { initial }, beta: 0.0 }
    }

    /// With a standard deviation for each target, which the network outputs (Nix and Weigend 1994).
    pub fn heteroscedastic() -> Self {
        Normal { scale: Scale::Output, beta: 0.0 }
    }

    /// In training, weights -log p of each target with its variance^beta, through which no gradient flows (Seitzer et
    /// al. 2022, equation 5): 0 is the likelihood itself, with which large variances excuse poor means; 1 fits means as
    /// least squares do. The paper recommends 0.5. What is predicted, and reported of predictions, is the likelihood's.
    /// Weighted so it is no density, and [`Bound::ImportanceWeighted`](super::Bound::ImportanceWeighted) refuses it.
    #[must_use]
    pub fn beta_nll(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
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
        if !(0.0..=1.0).contains(&self.beta) {
            return Err(Error::argument("beta of a normal likelihood", "a number from 0 to 1", self.beta));
        }
        self.scale.declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(NormalLaw::new(self.scale.split(scope, output)?, self.beta)))
    }
}

pub(super) struct NormalLaw<'b> {
    normal: distribution::Normal<'b>,
    beta: f64,
}

impl<'b> NormalLaw<'b> {
    /// N(loc, scale^2) for what [`Scale::split`] gives.
    pub fn new((loc, scale): (Expr<'b>, Expr<'b>), beta: f64) -> Self {
        NormalLaw { normal: distribution::Normal::new(loc, scale), beta }
    }

    /// Location and scale.
    pub fn f64(&self) -> [Expr<'b>; 2] {
        [self.normal.loc, self.normal.scale].map(Expr::to_f64)
    }
}

impl<'b> Law<'b> for NormalLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        self.normal.log_prob(target)
    }

    fn gain(&self, target: Expr<'b>) -> Option<Expr<'b>> {
        let weight = || (self.normal.scale.log() * (2.0 * self.beta)).exp().stop_gradient();
        (self.beta != 0.0).then(|| self.log_prob(target) * weight())
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.normal.loc)
    }

    fn variance(&self) -> Option<Expr<'b>> {
        Some(self.normal.scale.to_f64().square())
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        Some(self.normal.scale.to_f64().log() + STANDARD_ENTROPY)
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let [loc, scale] = self.f64();
        Some(normal_cdf((x.to_f64() - loc) / scale))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let [loc, scale] = self.f64();
        Some(loc + scale * normal_quantile(p))
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        Some(self.normal.transform(noise.normal("target")).value)
    }
}
