//! The normal distribution, of independent elements.

use super::{Distribution, Known, standardized};
use crate::{Draw, Error, Site, host};
use bayeslift_ir::{Builder, Expr, NoiseDistribution, Shape};

/// log(sqrt(2 pi)).
pub(crate) const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// The normal distribution N(loc, scale^2).
///
/// log p(x) = -((x - loc) / scale)^2 / 2 - log scale - log sqrt(2 pi)
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::distribution::Normal;
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Normal::new(number(1.0), number(2.0));
/// b.output("log_prob", law.log_prob(number(3.0)));
/// let draw = law.transform(number(-1.5)); // of this standard normal noise
/// b.output("draw", draw.value);
/// b.output("log_prob_of_draw", law.log_prob_of_draw(&draw));
/// b.output("standard", Normal::scalar(&b, 0.0, 1.0).log_prob(number(0.0)));
/// b.output("raw", Normal::from_raw_scale(number(0.0), number(Normal::raw_scale(2.0))).log_prob(number(0.0)));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -2.112086)); // -(3 - 1)^2 / (2 2^2) - log 2 - log sqrt(2 pi)
/// assert!(near(1, -2.0)); // 1 - 1.5 * 2
/// assert!(near(2, -2.737086)); // -1.5^2 / 2 - log 2 - log sqrt(2 pi)
/// assert!(near(3, -0.918939)); // -log sqrt(2 pi)
/// assert!(near(4, -1.612086)); // -log 2 - log sqrt(2 pi)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Normal<'b> {
    /// The mean.
    pub loc: Expr<'b>,
    /// The standard deviation, positive.
    pub scale: Expr<'b>,
}

impl<'b> Normal<'b> {
    /// N(loc, scale^2); location and scale are broadcast against each other and against values.
    pub fn new(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        Normal { loc, scale }
    }

    /// The same for every element.
    pub fn scalar(builder: &'b Builder, loc: f64, scale: f64) -> Self {
        Normal { loc: builder.constant(loc), scale: builder.constant(scale) }
    }

    /// N(loc, scale^2) with scale = softplus(raw_scale) + 1e-5, TFP's map from any real number to a positive one; the
    /// added constant keeps the scale from vanishing in rounding.
    pub fn from_raw_scale(loc: Expr<'b>, raw_scale: Expr<'b>) -> Self {
        Normal { loc, scale: raw_scale.softplus() + 1e-5 }
    }

    /// The raw scale of a scale, as [`Normal::from_raw_scale`] takes it: not a number of one that is not above 1e-5.
    ///
    /// ```
    /// use bayeslift_layers::distribution::Normal;
    /// assert_eq!(Normal::raw_scale(1e-3) as f32, -6.9173107);
    /// ```
    pub fn raw_scale(scale: f64) -> f64 {
        host::inverse_softplus(scale - 1e-5)
    }

    /// The log density of each element.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob_at(standardized(value, self.loc, self.scale).square())
    }

    /// The log density of each element of a draw. From the draw's noise it is -noise^2 / 2 - log scale - log sqrt(2
    /// pi): the same function of the parameters, with the same gradient, and without the rounding of (loc + scale
    /// noise - loc) / scale.
    pub fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        match draw.noise {
            Some(noise) => self.log_prob_at(noise.square()),
            None => self.log_prob(draw.value),
        }
    }

    fn log_prob_at(&self, squared: Expr<'b>) -> Expr<'b> {
        squared * -0.5 - (self.scale.log() + LOG_SQRT_TWO_PI)
    }

    /// loc + scale * noise, for standard normal noise: the reparameterized draw (Kingma and Welling 2014, equation
    /// 4).
    pub fn transform(&self, noise: Expr<'b>) -> Draw<'b> {
        Draw { value: self.loc + self.scale * noise, noise: Some(noise) }
    }

    /// A draw of this shape at a noise site.
    ///
    /// # Errors
    /// A context without noise.
    pub fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        Ok(self.transform(site.weight_noise(NoiseDistribution::Normal, shape)?))
    }
}

impl<'b> Distribution<'b> for Normal<'b> {
    fn family(&self) -> &'static str {
        "Normal"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("loc", self.loc), ("scale", self.scale)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob(value)
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        self.log_prob_of_draw(draw)
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        self.sample(site, shape)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.scale)
    }

    fn known(&self) -> Known<'b> {
        Known::Normal(*self)
    }

    /// From the [log-uniform](super::LogUniform) prior by approximation. From a normal prior: with ratio r = scale /
    /// prior scale and d = (loc - prior loc) / prior scale it is (d^2 + (r - 1)(r + 1)) / 2 - log r. The factored r^2 -
    /// 1 keeps its digits near r = 1.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let prior = match prior.known() {
            Known::Normal(prior) => prior,
            Known::LogUniform(prior) => return Some(prior.of(self)),
            _ => return None,
        };
        let ratio = self.scale / prior.scale;
        let distance = (self.loc - prior.loc) / prior.scale;
        Some((distance.square() + (ratio - 1.0) * (ratio + 1.0)) * 0.5 - ratio.log())
    }
}
