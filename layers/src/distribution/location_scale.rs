//! Distributions that are one of location 0 and scale 1, moved and stretched.

use super::{Distribution, Known, constant, standardized};
use crate::{Draw, Error, Site, host};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};
use std::f64::consts::{LN_2, PI};

/// The law of loc + scale Z, for Z of a symmetric family with heavier tails than the normal one: as a prior it lets
/// single weights be large and keeps the others small. For z = (x - loc) / scale:
///
/// | family     | log p(x) + log scale                               | a draw of Z, for uniform u and v                     |
/// |------------|----------------------------------------------------|------------------------------------------------------|
/// | Laplace    | -\|z\| - log 2                                     | -sign(u - 1/2) log(1 - 2 \|u - 1/2\|)                |
/// | logistic   | -\|z\| - 2 log(1 + e^-\|z\|)                       | log u - log(1 - u)                                   |
/// | Cauchy     | -log(1 + z^2) - log pi                             | tan(pi (u - 1/2))                                    |
/// | Student's t| -(n + 1)/2 log(1 + z^2 / n) + constant, n degrees  | (n (u^(-2/n) - 1))^1/2 cos(2 pi v) (Bailey 1994)     |
///
/// The constant is log Gamma((n + 1)/2) - log Gamma(n/2) - log(n pi)/2. A draw is as far out as u, an odd multiple of
/// 2^-24, allows: up to 15.9 scales for the Laplace and 16.6 for the logistic law. z^2 must be finite, so |z| below
/// 1.8e19.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::distribution::LocationScale;
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let [zero, one] = [0.0, 1.0].map(number);
/// let t = LocationScale::student_t(3.0, zero, one).expect("degrees between 0.5 and 1e6");
/// assert_eq!((t.family(), t.degrees()), ("StudentT", Some(3.0)));
/// b.output("t", t.log_prob(zero));
/// b.output("laplace", LocationScale::laplace(zero, one).log_prob(one));
/// b.output("logistic", LocationScale::logistic(zero, one).log_prob(zero));
/// b.output("cauchy", LocationScale::cauchy(zero, one).log_prob(one));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.000889)); // log(2 / (pi sqrt 3))
/// assert!(near(1, -1.693147)); // -1 - log 2
/// assert!(near(2, -1.386294)); // -log 4
/// assert!(near(3, -1.837877)); // -log(2 pi)
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocationScale<'b> {
    /// The location: the median and the most probable value.
    pub loc: Expr<'b>,
    /// The scale, positive: what one standard unit is worth, not the standard deviation.
    pub scale: Expr<'b>,
    pub(crate) family: Family,
}

/// The law of Z.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    Laplace,
    Logistic,
    Cauchy,
    StudentT { degrees: f64 },
}

impl Family {
    /// The degrees of freedom of Student's t, of which Cauchy's law is a special case.
    pub(crate) fn degrees(self) -> Option<f64> {
        match self {
            Family::StudentT { degrees } => Some(degrees),
            Family::Cauchy => Some(1.0),
            Family::Laplace | Family::Logistic => None,
        }
    }

    /// The variance of Z, if it is finite.
    pub(crate) fn variance(self) -> Option<f64> {
        match self {
            Family::Laplace => Some(2.0),
            Family::Logistic => Some(PI * PI / 3.0),
            Family::StudentT { degrees } if degrees > 2.0 => Some(degrees / (degrees - 2.0)),
            Family::Cauchy | Family::StudentT { .. } => None,
        }
    }
}

impl<'b> LocationScale<'b> {
    /// Laplace's law, with standard deviation sqrt(2) scale.
    pub fn laplace(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        LocationScale { loc, scale, family: Family::Laplace }
    }

    /// The logistic law, with standard deviation pi / sqrt(3) scale.
    pub fn logistic(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        LocationScale { loc, scale, family: Family::Logistic }
    }

    /// Cauchy's law, which has no mean.
    pub fn cauchy(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        LocationScale { loc, scale, family: Family::Cauchy }
    }

    /// Student's t with `degrees` degrees of freedom: Cauchy's law for 1, near the normal one for many.
    ///
    /// # Errors
    /// Degrees of freedom that are not between 0.5 and 1e6, beyond which draws in `f32` lose their tails or their
    /// digits.
    pub fn student_t(degrees: f64, loc: Expr<'b>, scale: Expr<'b>) -> Result<Self, Error> {
        if !(0.5..=1e6).contains(&degrees) {
            let what = "the degrees of freedom of Student's t";
            return Err(Error::argument(what, "a number from 0.5 to 1e6", degrees));
        }
        Ok(LocationScale { loc, scale, family: Family::StudentT { degrees } })
    }

    /// The name of the family, as TFP has it.
    pub fn family(&self) -> &'static str {
        match self.family {
            Family::Laplace => "Laplace",
            Family::Logistic => "Logistic",
            Family::Cauchy => "Cauchy",
            Family::StudentT { .. } => "StudentT",
        }
    }

    /// The degrees of freedom, of Student's t.
    pub fn degrees(&self) -> Option<f64> {
        if let Family::StudentT { degrees } = self.family { Some(degrees) } else { None }
    }

    /// The log density of each element.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob_at(standardized(value, self.loc, self.scale))
    }

    /// The log density of each element of a draw, from its noise where that is known: without the rounding of (loc +
    /// scale noise - loc) / scale.
    pub fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        draw.noise.map_or_else(|| self.log_prob(draw.value), |noise| self.log_prob_at(noise))
    }

    fn log_prob_at(&self, z: Expr<'b>) -> Expr<'b> {
        let (shape, constant) = match self.family {
            Family::Laplace => (-z.abs(), -LN_2),
            Family::Logistic => (-z.abs() - (-z.abs()).softplus() * 2.0, 0.0),
            Family::Cauchy => (-log_of_one_plus(z.square()), -host::natural_log(PI)),
            Family::StudentT { degrees: n } => {
                let gamma = host::log_gamma((n + 1.0) / 2.0) - host::log_gamma(n / 2.0);
                let power = -(n + 1.0) / 2.0;
                (log_of_one_plus(z.square() * (1.0 / n)) * power, gamma - host::natural_log(n * PI) / 2.0)
            }
        };
        shape - (self.scale.log() - constant)
    }

    /// A draw of this shape at a noise site, loc + scale Z.
    ///
    /// # Errors
    /// A context without noise.
    pub fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = self.standard(site.weight_noise(NoiseDistribution::Uniform, shape)?, || {
            site.child("angle").weight_noise(NoiseDistribution::Uniform, shape)
        })?;
        Ok(Draw { value: self.loc + self.scale * noise, noise: Some(noise) })
    }

    /// A draw of Z from uniform noise, of which some families need a second number.
    pub(crate) fn standard(
        &self,
        u: Expr<'b>,
        angle: impl FnOnce() -> Result<Expr<'b>, Error>,
    ) -> Result<Expr<'b>, Error> {
        // exact, and never 0
        let c = u - 0.5;
        let signed = |size: Expr<'b>| c.less(0.0).select(-size, size);
        Ok(match self.family {
            Family::Laplace => signed(-(1.0 - c.abs() * 2.0).log()),
            Family::Logistic => u.log() - (1.0 - u).log(),
            Family::Cauchy => {
                // the tangent of the angle to the nearer axis, up to an eighth of a turn, or its inverse
                let is_near = c.abs().less_equal(0.25);
                let angle = is_near.select(c.abs(), 0.5 - c.abs()) * PI;
                let (sin, cos) = (angle.sin(), angle.cos());
                signed(is_near.select(sin, cos) / is_near.select(cos, sin))
            }
            Family::StudentT { degrees: n } => {
                // e^y - 1, with its digits near 0
                let y = u.log() * (-2.0 / n);
                let t = (y * 0.5).tanh();
                let less_one = y.less(1.0).select(t * 2.0 / (1.0 - t), y.exp() - 1.0);
                let v = angle()?;
                (less_one * n).sqrt() * (v * (2.0 * PI)).cos()
            }
        })
    }

    /// The mean, if there is one.
    pub(crate) fn mean(&self) -> Option<Expr<'b>> {
        let has_mean = match self.family {
            Family::Laplace | Family::Logistic => true,
            Family::Cauchy => false,
            Family::StudentT { degrees } => degrees > 1.0,
        };
        has_mean.then_some(self.loc)
    }

    /// The standard deviation, if it is finite.
    pub(crate) fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.scale * self.family.variance()?.sqrt())
    }
}

/// log(1 + y) for finite y >= 0, with the digits of y that adding 1 loses.
pub(super) fn log_of_one_plus(y: Expr<'_>) -> Expr<'_> {
    let sum = y + 1.0;
    let lost = y - (sum - 1.0);
    sum.log() + lost / sum
}

impl<'b> Distribution<'b> for LocationScale<'b> {
    fn family(&self) -> &'static str {
        self.family()
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
        self.mean()
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        self.stddev()
    }

    fn known(&self) -> Known<'b> {
        Known::LocationScale(*self)
    }

    /// From a law of the same family: Laplace's (Gil 2011, *On Renyi divergence measures for continuous alphabet
    /// sources*, page 38) and Cauchy's (Chyzak and Nielsen 2019, theorem 1), as TFP has them.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let Known::LocationScale(prior) = prior.known() else { return None };
        let distance = (self.loc - prior.loc).abs();
        match (self.family, prior.family) {
            (Family::Laplace, Family::Laplace) => {
                let ratio = self.scale / prior.scale;
                let change = distance / prior.scale + ratio * (-distance / self.scale).exp() - 1.0;
                Some(change - ratio.log())
            }
            (Family::Cauchy, Family::Cauchy) => {
                // (s + t)^2 + d^2 is 4 s t + (s - t)^2 + d^2
                let product = self.scale * prior.scale;
                Some(log_of_one_plus(((self.scale - prior.scale).square() + distance.square()) / (product * 4.0)))
            }
            _ => None,
        }
    }

    /// Laplace's density has a corner. Others with small scales are smooth on that scale near the location, and on the
    /// scale of the distance from it beyond.
    fn pieces(&self) -> Vec<Expr<'b>> {
        if matches!(self.family, Family::Laplace) {
            return vec![self.loc];
        }
        let is_wide = constant(self.scale).is_none_or(|scale| scale >= 0.5);
        let scales: &[f64] = if is_wide { &[] } else { &[-64.0, -16.0, -4.0, -1.0, 0.0, 1.0, 4.0, 16.0, 64.0] };
        scales.iter().map(|&scale| self.loc + self.scale * scale).collect()
    }

    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        let degrees = self.degrees().map_or(String::new(), |degrees| format!("degrees = {degrees}, "));
        format!("{}({degrees}loc = {}, scale = {})", self.family(), words(self.loc), words(self.scale))
    }
}
