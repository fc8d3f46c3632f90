//! Numbers with noise of several normals.

use super::{Law, Likelihood, Support, Target, TargetNoise, invert, parts};
use crate::{
    Error, Scope, distribution,
    special::{normal_cdf, normal_quantile},
};
use bayeslift_ir::{Expr, Shape};

/// A mixture of normal laws for each number, all of it from the network: a mixture density network (Bishop 1994,
/// equations 22 and 23). Targets `[.., rows, units]`; output `[.., rows, 3 units components]`: the logits of the
/// components' probabilities, then their locations, then their raw scales, each `[units, components]`, row after row. A
/// scale is softplus(raw scale) + 1e-5.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Parameters, Scope, likelihood::{Likelihood, NormalMixture}};
///
/// let likelihood = NormalMixture::new(2);
/// assert_eq!(likelihood.target(&[6].into())?.shape, [1].into());
/// let b = Builder::new();
/// let (output, y) = (b.input("output", Type::f32([1, 6])), b.input("y", Type::f32([1, 1])));
/// let law = likelihood.law(&Scope::bind(&b, &Parameters::default())?, output)?;
/// b.output("log_prob", law.log_prob(y).to_f32());
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 6], [0.0; 6])?, Tensor::f32([1, 1], [0.0])?])?;
/// // scale log 2: -log log 2 - log sqrt(2 pi)
/// assert!((found[0].as_f32().expect("floats")[0] - (-0.552441)).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalMixture {
    /// The number of components, at least 1.
    pub components: usize,
}

impl NormalMixture {
    /// With this number of components.
    pub fn new(components: usize) -> Self {
        NormalMixture { components }
    }
}

impl Likelihood for NormalMixture {
    fn describe(&self) -> String {
        format!(
            "NormalMixture({} components, logits, locs, scales = output, output, softplus(output) + 1e-5)",
            self.components
        )
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        if self.components == 0 {
            return Err(Error::argument("the number of components of a mixture", "1 or more", 0));
        }
        Target::of_parts(output, 3 * self.components, Support::Real)
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let [logits, loc, raw_scale] = parts(output).map(|part: Expr<'b>| {
            let (mut shape, units) = (part.shape().to_vec(), part.shape().last_extent() / self.components.max(1));
            shape.pop();
            shape.extend([units, self.components]);
            part.reshape(shape.as_slice())
        });
        let axis = loc.shape().len().saturating_sub(1);
        Ok(Box::new(MixtureLaw { logits, normal: distribution::Normal::from_raw_scale(loc, raw_scale), axis }))
    }
}

/// Parameters are `[.., units, components]`.
struct MixtureLaw<'b> {
    logits: Expr<'b>,
    normal: distribution::Normal<'b>,
    /// That of components.
    axis: usize,
}

impl<'b> MixtureLaw<'b> {
    /// sum_i probability_i x_i, of `f64`.
    fn expectation(&self, of_components: Expr<'b>) -> Expr<'b> {
        let products = self.logits.softmax().to_f64() * of_components;
        products.sum(products.shape().len().saturating_sub(1))
    }

    /// Locations and scales.
    fn f64(&self) -> [Expr<'b>; 2] {
        [self.normal.loc, self.normal.scale].map(Expr::to_f64)
    }
}

impl<'b> Law<'b> for MixtureLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        let joint = self.logits.log_softmax() + self.normal.log_prob(target.expand(target.shape().len()));
        let axis = joint.shape().len().saturating_sub(1);
        // where all are -infinity, so is the result
        let largest = joint.reduce_max(axis).max(f32::MIN).stop_gradient();
        (joint - largest.expand(axis)).exp().sum(axis).log() + largest
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.expectation(self.normal.loc.to_f64()))
    }

    fn variance(&self) -> Option<Expr<'b>> {
        let [loc, scale] = self.f64();
        let distance = loc - self.mean()?.expand(self.axis);
        Some(self.expectation(scale.square() + distance.square()))
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let [loc, scale] = self.f64();
        Some(self.expectation(normal_cdf((x.to_f64().expand(x.shape().len()) - loc) / scale)))
    }

    /// By search between the least and the largest of the components' quantiles.
    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let [loc, scale] = self.f64();
        let (p, axis) = (p.to_f64(), p.shape().len());
        let of_components = loc + scale * normal_quantile(p).expand(axis);
        let axis = of_components.shape().len().saturating_sub(1);
        let bounds = [-(-of_components).reduce_max(axis), of_components.reduce_max(axis)];
        Some(invert::quantile(|x| self.cdf(x).expect("a mixture has one"), p, bounds))
    }

    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        let component = distribution::Categorical::new(self.logits).quantile(noise.uniform("component"))?;
        let number = component.builder().iota(self.normal.loc.shape().last_extent()).to_float();
        let is_it = number.equal(component.expand(self.axis));
        let [loc, scale] = [self.normal.loc, self.normal.scale].map(|x| is_it.select(x, 0.0).sum(self.axis));
        Some(loc + scale * noise.normal("target"))
    }
}
