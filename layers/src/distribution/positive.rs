//! Distributions of positive numbers: functions of a normal, Cauchy or other variable.

use super::{Distribution, Known, LocationScale, Normal, normal::LOG_SQRT_TWO_PI, rounded};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};
use std::f64::consts::{LN_2, PI};

/// The law of e^z for normal z: log p(x) = log N(log x; loc, scale^2) - log x, for x > 0.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::LogNormal};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = LogNormal::new(number(0.0), number(0.5));
/// b.output("log_prob", law.log_prob(number(1.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -0.225791)); // log N(0; 0, 0.5^2) - log 1
/// assert!(near(1, 1.133148)); // e^(0.5^2 / 2)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogNormal<'b> {
    /// The law of log x.
    pub log: Normal<'b>,
}

impl<'b> LogNormal<'b> {
    /// With this mean and this standard deviation of the logarithm.
    pub fn new(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        LogNormal { log: Normal::new(loc, scale) }
    }
}

impl<'b> Distribution<'b> for LogNormal<'b> {
    fn family(&self) -> &'static str {
        "LogNormal"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        self.log.parameters()
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        where_positive(value, |x| self.log.log_prob(x.log()) - x.log())
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        let Some(noise) = draw.noise else { return self.log_prob(draw.value) };
        let log = self.log.transform(noise);
        self.log.log_prob_of_draw(&log) - log.value
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let Draw { value, noise } = self.log.sample(site, shape)?;
        Ok(Draw { value: value.exp(), noise })
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some((self.log.loc + self.log.scale.square() * 0.5).exp())
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some((self.log.loc - self.log.scale.square()).exp())
    }

    /// mean (e^(scale^2) - 1)^1/2, with e^y - 1 = 2 t / (1 - t) and t = tanh(y / 2).
    fn stddev(&self) -> Option<Expr<'b>> {
        let t = (self.log.scale.square() * 0.5).tanh();
        Some(self.mean()? * (t * 2.0 / (1.0 - t)).sqrt())
    }

    fn known(&self) -> Known<'b> {
        Known::LogNormal(*self)
    }

    /// That of the logarithms.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::LogNormal(prior) = prior.known() else { return None };
        self.log.divergence_from(&prior.log)
    }
}

/// The law of scale |z| for standard normal z: log p(x) = log 2 + log N(x; 0, scale^2), for x >= 0.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::HalfNormal};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = HalfNormal::new(number(2.0));
/// b.output("log_prob", law.log_prob(number(1.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.043939)); // log 2 + log N(1; 0, 2^2)
/// assert!(near(1, 1.595769)); // 2 sqrt(2 / pi)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HalfNormal<'b> {
    /// The scale, positive.
    pub scale: Expr<'b>,
}

impl<'b> HalfNormal<'b> {
    /// With this scale, which is not the standard deviation.
    pub fn new(scale: Expr<'b>) -> Self {
        HalfNormal { scale }
    }

    fn at(&self, squared: Expr<'b>) -> Expr<'b> {
        squared * -0.5 - (self.scale.log() + (rounded(self.scale, LOG_SQRT_TWO_PI) - rounded(self.scale, LN_2)))
    }
}

impl<'b> Distribution<'b> for HalfNormal<'b> {
    fn family(&self) -> &'static str {
        "HalfNormal"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("scale", self.scale)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        where_not_negative(value, self.at((value / self.scale).square()))
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        draw.noise.map_or_else(|| self.log_prob(draw.value), |noise| self.at(noise.square()))
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Normal, shape)?;
        Ok(Draw { value: self.scale * noise.abs(), noise: Some(noise) })
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.scale * (2.0 / PI).sqrt())
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.scale * 0.0)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.scale * (1.0 - 2.0 / PI).sqrt())
    }

    fn known(&self) -> Known<'b> {
        Known::HalfNormal(*self)
    }

    /// As between normal distributions around 0: both densities are twice theirs (Gil 2011, page 119).
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::HalfNormal(prior) = prior.known() else { return None };
        let centred = |scale: Expr<'b>| Normal::new(scale.builder().constant(0.0), scale);
        centred(self.scale).divergence_from(&centred(prior.scale))
    }
}

/// The law of |z| for z of Cauchy's law around 0: log p(x) = log(2 / pi) - log scale - log(1 + (x / scale)^2), for x >=
/// 0 (Gelman 2006). It has no mean.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::HalfCauchy};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = HalfCauchy::new(number(2.0));
/// b.output("log_prob", law.log_prob(number(2.0)));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.837877)); // log(2 / pi) - log 2 - log(1 + 1)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HalfCauchy<'b> {
    /// The scale, positive: the median.
    pub scale: Expr<'b>,
}

impl<'b> HalfCauchy<'b> {
    /// With this median.
    pub fn new(scale: Expr<'b>) -> Self {
        HalfCauchy { scale }
    }

    fn whole(&self) -> LocationScale<'b> {
        LocationScale::cauchy(self.scale.builder().constant(0.0), self.scale)
    }
}

impl<'b> Distribution<'b> for HalfCauchy<'b> {
    fn family(&self) -> &'static str {
        "HalfCauchy"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("scale", self.scale)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        where_not_negative(value, self.whole().log_prob(value) + LN_2)
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        let Some(_) = draw.noise else { return self.log_prob(draw.value) };
        self.whole().log_prob_of_draw(draw) + LN_2
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let Draw { noise, .. } = self.whole().sample(site, shape)?;
        let noise = noise.map(Expr::abs);
        Ok(Draw { value: noise.map_or(self.scale, |noise| self.scale * noise), noise })
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.scale * 0.0)
    }

    fn known(&self) -> Known<'b> {
        Known::HalfCauchy(*self)
    }

    /// As between laws of Cauchy around 0.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::HalfCauchy(prior) = prior.known() else { return None };
        self.whole().divergence_from(&prior.whole())
    }
}

/// A log density of positive values, and minus infinity of others, whose gradient is 0.
pub(super) fn where_positive<'b>(value: Expr<'b>, log_prob: impl FnOnce(Expr<'b>) -> Expr<'b>) -> Expr<'b> {
    let is_positive = value.builder().constant(0.0).less(value);
    is_positive.select(log_prob(is_positive.select(value, 1.0)), f32::NEG_INFINITY)
}

fn where_not_negative<'b>(value: Expr<'b>, log_prob: Expr<'b>) -> Expr<'b> {
    value.less(0.0).select(f32::NEG_INFINITY, log_prob)
}
