//! The gamma distribution.

use super::{Distribution, Known, positive::where_positive};
use crate::{
    Draw, Error, Site,
    special::{beta_quantile, digamma, gamma_quantile, log_beta, log_gamma},
};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// The gamma law: log p(x) = k log r - log Gamma(k) + (k - 1) log x - r x, for x > 0, concentration k and rate r.
///
/// Densities and divergences are computed in `f64`. A draw is the quantile of a uniform number, so that it moves with
/// both parameters; it costs some hundreds of operations.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Gamma};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Gamma::new(number(3.0), number(2.0));
/// b.output("log_prob", law.log_prob(number(1.0)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -0.613706)); // 3 log 2 - log 2! - 2
/// assert!(near(1, 1.5)); // concentration / rate
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gamma<'b> {
    /// The concentration, or shape, positive: 1 for the exponential law.
    pub concentration: Expr<'b>,
    /// The rate, positive: 1 / rate is a scale.
    pub rate: Expr<'b>,
}

impl<'b> Gamma<'b> {
    /// With this concentration and rate.
    pub fn new(concentration: Expr<'b>, rate: Expr<'b>) -> Self {
        Gamma { concentration, rate }
    }
}

impl<'b> Distribution<'b> for Gamma<'b> {
    fn family(&self) -> &'static str {
        "Gamma"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("concentration", self.concentration), ("rate", self.rate)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let (k, r) = (self.concentration.to_f64(), self.rate.to_f64());
        where_positive(value, |x| {
            let x = x.to_f64();
            (k * r.log() - log_gamma(k) + (k - 1.0) * x.log() - r * x).to_float()
        })
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let u = site.weight_noise(NoiseDistribution::Uniform, shape)?;
        Ok(site.value((gamma_quantile(self.concentration, u) / self.rate.to_f64()).to_float()))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.concentration / self.rate)
    }

    /// (k - 1) / r, and 0 for concentrations below 1.
    fn mode(&self) -> Option<Expr<'b>> {
        Some((self.concentration - 1.0).max(0.0) / self.rate)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.concentration.sqrt() / self.rate)
    }

    fn known(&self) -> Known<'b> {
        Known::Gamma(*self)
    }

    /// (k - l) digamma(k) + log Gamma(l) - log Gamma(k) + l (log r - log q) + k (q - r) / r, for a prior with
    /// concentration l and rate q (Penny 2001, *KL-divergences of normal, gamma, Dirichlet and Wishart densities*).
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::Gamma(prior) = prior.known() else { return None };
        let [k, r, l, q] = [self.concentration, self.rate, prior.concentration, prior.rate].map(Expr::to_f64);
        let of_concentrations = (k - l) * digamma(k) + log_gamma(l) - log_gamma(k);
        Some((of_concentrations + l * (r / q).log() + k * ((q - r) / r)).to_float())
    }
}

/// The beta law: log p(x) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b), for 0 < x < 1.
///
/// Computed as [`Gamma`] is.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Beta};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Beta::new(number(2.0), number(3.0));
/// b.output("log_prob", law.log_prob(number(0.5)));
/// b.output("mean", law.mean().expect("it has one"));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, 0.405465)); // log 12 + log 0.5 + 2 log 0.5
/// assert!(near(1, 0.4)); // 2 / (2 + 3)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Beta<'b> {
    /// a, positive.
    pub concentration1: Expr<'b>,
    /// b, positive.
    pub concentration0: Expr<'b>,
}

impl<'b> Beta<'b> {
    /// With these concentrations, named as TFP names them: of 1 and of 0.
    pub fn new(concentration1: Expr<'b>, concentration0: Expr<'b>) -> Self {
        Beta { concentration1, concentration0 }
    }

    fn powers(&self) -> [Expr<'b>; 2] {
        [self.concentration1, self.concentration0].map(Expr::to_f64)
    }
}

impl<'b> Distribution<'b> for Beta<'b> {
    fn family(&self) -> &'static str {
        "Beta"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("concentration1", self.concentration1), ("concentration0", self.concentration0)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let [a, b] = self.powers();
        where_positive(value, |x| {
            let is_below_one = x.less(1.0);
            let x = is_below_one.select(x, 0.5).to_f64();
            let log_prob = (a - 1.0) * x.log() + (b - 1.0) * (1.0 - x).log() - log_beta(a, b);
            is_below_one.select(log_prob.to_float(), f32::NEG_INFINITY)
        })
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let u = site.weight_noise(NoiseDistribution::Uniform, shape)?;
        Ok(site.value(beta_quantile(self.concentration1, self.concentration0, u).to_float()))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.concentration1 / (self.concentration1 + self.concentration0))
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        let (a, b) = (self.concentration1, self.concentration0);
        Some((a * b / (a + b + 1.0)).sqrt() / (a + b))
    }

    fn known(&self) -> Known<'b> {
        Known::Beta(*self)
    }

    /// log B(c, d) - log B(a, b) + (a - c) digamma(a) + (b - d) digamma(b) + (c + d - a - b) digamma(a + b), for a
    /// prior with c and d.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::Beta(prior) = prior.known() else { return None };
        let ([a, b], [c, d]) = (self.powers(), prior.powers());
        let of_powers = (a - c) * digamma(a) + (b - d) * digamma(b) + ((c + d) - (a + b)) * digamma(a + b);
        Some((log_beta(c, d) - log_beta(a, b) + of_powers).to_float())
    }
}

/// Dirichlet's law of K positive numbers that sum to 1, which are an event along the last axis: log p(x) = sum_k (a_k -
/// 1) log x_k + log Gamma(sum_k a_k) - sum_k log Gamma(a_k).
///
/// Computed as [`Gamma`] is; a draw is one of gamma laws over its sum.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Dirichlet};
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let law = Dirichlet::new(full(1.0, &[3])); // the uniform law on the simplex of three
/// assert_eq!(law.event_ndims(), 1);
/// b.output("log_prob", law.log_prob(full(1.0 / 3.0, &[3])));
/// b.output("mean", law.mean().expect("it has one"));
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, 0.693147)); // log 2!
/// assert!(near(1, 0.333333)); // 1 / 3
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dirichlet<'b> {
    /// The concentrations, positive, `[.., K]`.
    pub concentration: Expr<'b>,
}

impl<'b> Dirichlet<'b> {
    /// With these concentrations.
    pub fn new(concentration: Expr<'b>) -> Self {
        Dirichlet { concentration }
    }
}

/// The sum over the last axis.
fn sum_of_last(x: Expr<'_>) -> Expr<'_> {
    x.sum(x.shape().len().saturating_sub(1))
}

/// As [`sum_of_last`], with an axis of one element in its place.
fn kept_sum(x: Expr<'_>) -> Expr<'_> {
    let axis = x.shape().len().saturating_sub(1);
    x.sum(axis).expand(axis)
}

impl<'b> Distribution<'b> for Dirichlet<'b> {
    fn family(&self) -> &'static str {
        "Dirichlet"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("concentration", self.concentration)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let a = self.concentration.to_f64();
        let kernel = sum_of_last((a - 1.0) * value.to_f64().log());
        (kernel + log_gamma(sum_of_last(a)) - sum_of_last(log_gamma(a))).to_float()
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let gamma = gamma_quantile(self.concentration, site.weight_noise(NoiseDistribution::Uniform, shape)?);
        Ok(site.value((gamma / kept_sum(gamma)).to_float()))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.concentration / kept_sum(self.concentration))
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        let sum = kept_sum(self.concentration);
        Some((self.concentration * (sum - self.concentration) / (sum + 1.0)).sqrt() / sum)
    }

    fn event_ndims(&self) -> usize {
        1
    }

    fn known(&self) -> Known<'b> {
        Known::Dirichlet(*self)
    }

    /// log Gamma(sum a) - sum log Gamma(a) - log Gamma(sum c) + sum log Gamma(c) + sum (a - c) (digamma(a) -
    /// digamma(sum a)), for a prior with concentrations c.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::Dirichlet(prior) = prior.known() else { return None };
        let shape = self.concentration.shape().broadcast_with(&prior.concentration.shape())?;
        let [a, c] = [self, &prior].map(|law| law.concentration.broadcast(&shape).to_f64());
        let normalization = |a: Expr<'b>| log_gamma(sum_of_last(a)) - sum_of_last(log_gamma(a));
        let of_logs = sum_of_last((a - c) * (digamma(a) - digamma(kept_sum(a))));
        Some((normalization(a) - normalization(c) + of_logs).to_float())
    }
}
