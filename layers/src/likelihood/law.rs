//! The law of targets.

use crate::{Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// The law of the targets of some examples, a function of the network's output: its axes lead, `[samples, rows, ..]` or
/// `[rows, ..]`, and what it is asked about is broadcast against them.
///
/// Only the log density is needed to train. What a law does not tell, predictions do not report. What it tells is
/// `f32`, or `f64` where that has too few digits, and has an axis of extent 1, or no axis, where it is the same for
/// all.
///
/// ```
/// use bayeslift_ir::{Builder, Expr, Type};
/// use bayeslift_layers::{Scope, likelihood::{Law, Likelihood, Normal}};
///
/// /// With probability 1/2 a law, else the uniform one on (0, 1).
/// struct OrUniform<'b>(Box<dyn Law<'b> + 'b>);
///
/// impl<'b> Law<'b> for OrUniform<'b> {
///     fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
///         let uniform = target.less(0.0).select(0.0, target.less_equal(1.0).select(1.0, 0.0));
///         ((self.0.log_prob(target).exp() + uniform) * 0.5).log()
///     }
///     fn mean(&self) -> Option<Expr<'b>> {
///         Some((self.0.mean()? + 0.5) * 0.5)
///     }
///     fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
///         let uniform = x.max(0.0).less(1.0).select(x.max(0.0), 1.0);
///         Some((self.0.cdf(x)? + uniform.to_f64()) * 0.5)
///     }
/// }
///
/// // what a law does not tell is `None`: predictions do not report it
/// let b = Builder::new();
/// let output = b.input("output", Type::f32([8, 1]));
/// let law = OrUniform(Normal::fixed(1.0).law(&Scope::initialize(&b, 0), output)?);
/// assert!(law.mean().is_some() && law.variance().is_none() && law.entropy().is_none() && law.gain(output).is_none());
/// assert!(law.quantile(output).is_none() && law.probabilities().is_none());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub trait Law<'b> {
    /// The log density, or log probability, of each [event](super::Target::events).
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b>;

    /// What training maximizes for each event in the place of log p; default: none. As it is the logarithm of no
    /// density, there is no [importance-weighted bound](super::Bound::ImportanceWeighted) of it.
    fn gain(&self, target: Expr<'b>) -> Option<Expr<'b>> {
        let _ = target;
        None
    }

    /// The probabilities of classes, `[.., events.., classes]`, where targets are some of them.
    fn probabilities(&self) -> Option<Expr<'b>> {
        None
    }

    /// The mean of each number, where it exists.
    fn mean(&self) -> Option<Expr<'b>> {
        None
    }

    /// The variance of each number, where it exists.
    fn variance(&self) -> Option<Expr<'b>> {
        None
    }

    /// The entropy of each event, in nats; differential where there is a density.
    fn entropy(&self) -> Option<Expr<'b>> {
        None
    }

    /// The probability that a number is at most `x`, which may have more axes in front.
    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let _ = x;
        None
    }

    /// The least number that has at most probability 1 - `p` above it, for `p` between 0 and 1.
    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let _ = p;
        None
    }

    /// A target for each sample and row, labels as numbers. Default: by the quantile of uniform noise: nothing is
    /// rejected while drawing, since each draw is a function of its address.
    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        self.quantile(noise.uniform("target"))
    }
}

/// What [`Law::draw`] makes targets of: random numbers, one for each number of a target, in the shape that targets
/// have, `[samples, rows, ..]` or `[rows, ..]`.
///
/// Each is a function of its address - seed, place in the network, sample, row, unit - and of a name: different names
/// give independent numbers, the same name gives the same ones.
///
/// ```
/// use bayeslift_ir::Expr;
/// use bayeslift_layers::likelihood::{Law, TargetNoise};
///
/// /// The Laplace law of scale 1 around the output.
/// struct Laplace<'b>(Expr<'b>);
///
/// impl<'b> Law<'b> for Laplace<'b> {
///     fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
///         -(target - self.0).abs() - std::f64::consts::LN_2
///     }
///     fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
///         // the difference of two exponential numbers; `noise.normal("name")` gives standard normal ones
///         let exponential = |name| -noise.uniform(name).log();
///         Some(self.0 + exponential("above") - exponential("below"))
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TargetNoise<'b> {
    site: Site<'b>,
    shape: Shape,
}

impl<'b> TargetNoise<'b> {
    /// Noise of a site, for targets of this shape, `[samples, rows, ..]` or `[rows, ..]`. Predictions make one; only
    /// who draws from a law on their own needs to.
    ///
    /// # Errors
    /// A site of a context without a noise address.
    pub fn new(site: Site<'b>, shape: Shape) -> Result<Self, Error> {
        site.check_noise()?;
        Ok(TargetNoise { site, shape })
    }

    /// Numbers that are uniform on the open interval (0, 1): neither 0 nor 1.
    pub fn uniform(&self, name: &str) -> Expr<'b> {
        self.of(NoiseDistribution::Uniform, name)
    }

    /// Numbers that are normal with mean 0 and variance 1.
    pub fn normal(&self, name: &str) -> Expr<'b> {
        self.of(NoiseDistribution::Normal, name)
    }

    fn of(&self, law: NoiseDistribution, name: &str) -> Expr<'b> {
        let samples = usize::from(self.site.sample_count().is_some());
        // labels may have an axis of rows alone, and the last axis of noise counts units
        let units = (self.shape.len() == samples + 1).then_some(1);
        let shape: Shape = self.shape.iter().copied().chain(units).collect();
        let noise = self.site.child(name).example_noise(law, &shape).expect("the site has a noise address");
        let drawn = noise.shape();
        noise.reshape(&drawn[..drawn.len() - usize::from(units.is_some())])
    }
}
