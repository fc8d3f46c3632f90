//! Distributions over graph values.
//!
//! Most are over each element on their own: density, draws and statistics are elementwise, so a tensor of parameters is
//! the product of its elements' distributions (what TFP writes as `Independent`). Sums over elements are taken where a
//! number is needed: in the [divergence](crate::Divergence) and the [likelihood](crate::Likelihood).

mod bernoulli_mask;
mod categorical;
mod deterministic;
mod gamma;
mod horseshoe;
pub(crate) mod joint;
pub(crate) mod location_scale;
mod log_uniform;
mod matrix_normal;
mod mixture;
mod mixture_of;
mod multivariate_normal;
mod normal;
mod positive;
mod softmax_centered;
mod triangular;
mod uniform;

pub use bernoulli_mask::BernoulliMask;
pub use categorical::Categorical;
pub use deterministic::Deterministic;
pub use gamma::{Beta, Dirichlet, Gamma};
pub use horseshoe::Horseshoe;
pub use location_scale::LocationScale;
pub use log_uniform::LogUniform;
pub use matrix_normal::MatrixNormal;
pub use mixture::Mixture;
pub use mixture_of::MixtureOf;
pub use multivariate_normal::MultivariateNormal;
pub use normal::Normal;
pub use positive::{HalfCauchy, HalfNormal, LogNormal};
pub use softmax_centered::SoftmaxCenteredNormal;
pub use triangular::lower_triangular;
pub use uniform::Uniform;

use crate::{Error, Site};
use bayeslift_ir::{DType, Expr, Operand, Shape};
use std::{fmt, sync::Arc};

/// A value drawn from a distribution.
///
/// ```
/// use bayeslift_ir::Builder;
/// use bayeslift_layers::{Draw, distribution::Normal};
///
/// let b = Builder::new();
/// let Draw { value, noise } = Normal::scalar(&b, 1.0, 2.0).transform(b.constant(0.5));
/// assert!(noise.is_some() && value.shape().is_empty()); // 1 + 2 * 0.5
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Draw<'b> {
    /// The value.
    pub value: Expr<'b>,
    /// The standard noise it was made from, for a reparameterized draw: `value = loc + scale * noise`.
    pub noise: Option<Expr<'b>>,
}

/// A distribution of weights: a posterior or a prior. Whoever implements it has one wherever a maker of
/// [posteriors](crate::Posterior) or [priors](crate::Prior) makes one, in model files and in code that is compiled
/// ahead of time.
///
/// A value of it is an expression; all that is computed of it is graph code, so gradients and compiled code follow.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution, Expr, Shape};
/// use bayeslift_layers::{Distribution, Draw, Error, Prior, Site};
///
/// /// The triangular law on (-width, width): a weight of each size below the width, small ones rather than large ones.
/// #[derive(Clone, Copy, Debug)]
/// struct Triangular<'b> {
///     width: Expr<'b>,
/// }
///
/// impl<'b> Distribution<'b> for Triangular<'b> {
///     fn family(&self) -> &'static str {
///         "Triangular"
///     }
///     fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
///         vec![("width", self.width)]
///     }
///     fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
///         ((1.0 - value.abs() / self.width) / self.width).log()
///     }
///     fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
///         let [u, v] = ["u", "v"].map(|name| site.child(name).weight_noise(NoiseDistribution::Uniform, shape));
///         Ok(site.value((u? - v?) * self.width))
///     }
///     // and what it knows of itself, if somebody asks
///     fn mean(&self) -> Option<Expr<'b>> {
///         Some(self.width * 0.0)
///     }
///     fn mode(&self) -> Option<Expr<'b>> {
///         self.mean()
///     }
///     fn stddev(&self) -> Option<Expr<'b>> {
///         Some(self.width / 6_f64.sqrt())
///     }
///     fn pieces(&self) -> Vec<Expr<'b>> {
///         vec![-self.width, self.width * 0.0, self.width] // where its density bends
///     }
/// }
///
/// let prior = Prior::new(|scope, shape| {
///     shape.each(scope, |scope, _, _| Ok(Triangular { width: scope.builder().constant(3.0) }.into()))
/// });
/// ```
pub trait Distribution<'b>: fmt::Debug {
    /// The name of the family, which messages and model files say.
    fn family(&self) -> &'static str;

    /// The parameters by name, such as `loc` and `scale`: what a model file says of the distribution, and what code
    /// that knows the family computes from.
    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)>;

    /// The log density (or log probability) of each event of `value`: of each element, unless
    /// [events](Distribution::event_ndims) have axes, which the result has not.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b>;

    /// The log density of each event of a draw from this very distribution, computed from the draw's noise where that
    /// is known, so that neither is rounded to a value and back. Default: that of its value.
    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        self.log_prob(draw.value)
    }

    /// A draw of this shape at a noise site: `[samples, shape..]`, or `shape` without samples.
    ///
    /// # Errors
    /// A context without noise; [`Error::Undefined`] for a distribution without draws of weights.
    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error>;

    /// The mean of each element. Default: none.
    fn mean(&self) -> Option<Expr<'b>> {
        None
    }

    /// The most probable value, if there is a closed form of it. Default: none.
    fn mode(&self) -> Option<Expr<'b>> {
        None
    }

    /// The standard deviation of each element, if it is finite. Default: none.
    fn stddev(&self) -> Option<Expr<'b>> {
        None
    }

    /// How many trailing axes of a value are one event: elements along them depend on each other. Default: none do.
    fn event_ndims(&self) -> usize {
        0
    }

    /// The same distribution as one of a family that other code knows. A family of one's own that has normal elements
    /// says so here: then layers that draw outputs take it, and it has the closed forms of divergences that the normal
    /// one has. Default: none of them.
    fn known(&self) -> Known<'b> {
        Known::Other
    }

    /// The divergence from a prior, in nats, of each event, if there is a closed form: KL(this || prior). Whoever knows
    /// one for a pair of families tells it in the posterior's, or gives a [closure](crate::Divergence::custom).
    /// Default: none.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        let _ = prior;
        None
    }

    /// Points in increasing order between which the log density is smooth: where it bends or ends. Quadrature cuts its
    /// integrals there. Default: none, for a density that is smooth on the scale of any posterior.
    fn pieces(&self) -> Vec<Expr<'b>> {
        Vec::new()
    }

    /// The distribution in words, for model files, given words for values. Default: the family and its parameters.
    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        let parameters = self.parameters();
        if parameters.is_empty() {
            return self.family().to_owned();
        }
        let parameter = |(name, value): &(&str, Expr<'b>)| format!("{name} = {}", words(*value));
        format!("{}({})", self.family(), parameters.iter().map(parameter).collect::<Vec<_>>().join(", "))
    }
}

/// A distribution of a family that has closed forms with others; see [`Distribution::known`].
///
/// ```
/// use bayeslift_ir::Builder;
/// use bayeslift_layers::{AnyDistribution, distribution::{Known, Normal}};
///
/// let b = Builder::new();
/// let law: AnyDistribution<'_> = Normal::scalar(&b, 0.0, 1.0).into();
/// assert!(matches!(law.known(), Known::Normal(_)));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Known<'b> {
    /// See [`Normal`].
    Normal(Normal<'b>),
    /// See [`LocationScale`].
    LocationScale(LocationScale<'b>),
    /// See [`LogNormal`].
    LogNormal(LogNormal<'b>),
    /// See [`HalfNormal`].
    HalfNormal(HalfNormal<'b>),
    /// See [`HalfCauchy`].
    HalfCauchy(HalfCauchy<'b>),
    /// See [`Gamma`].
    Gamma(Gamma<'b>),
    /// See [`Beta`].
    Beta(Beta<'b>),
    /// See [`Dirichlet`].
    Dirichlet(Dirichlet<'b>),
    /// See [`Uniform`].
    Uniform(Uniform<'b>),
    /// See [`LogUniform`].
    LogUniform(LogUniform<'b>),
    /// See [`Horseshoe`].
    Horseshoe(Horseshoe<'b>),
    /// See [`MultivariateNormal`].
    MultivariateNormal(MultivariateNormal<'b>),
    /// See [`MatrixNormal`].
    MatrixNormal(MatrixNormal<'b>),
    /// See [`Deterministic`].
    Deterministic(Deterministic<'b>),
    /// Any other, such as a user's.
    Other,
}

/// A distribution of any family, to hold and hand on: posterior and prior of a random variable. Every [`Distribution`]
/// becomes one by `into`.
///
/// ```
/// use bayeslift_ir::Builder;
/// use bayeslift_layers::{AnyDistribution, Context, Scope, distribution::{LocationScale, Normal}, noise_inputs};
///
/// let b = Builder::new();
/// let law: AnyDistribution<'_> = Normal::scalar(&b, 1.0, 2.0).into();
/// assert_eq!((law.family(), law.parameters()[0].0, law.event_ndims()), ("Normal", "loc", 0));
/// assert_eq!(law.describe(&|value| value.ty().to_string()), "Normal(loc = f32[], scale = f32[])");
/// assert!(law.as_normal().is_some() && law.get().mean().is_some());
///
/// // graph code: statistics, densities, and a draw `[3, 2]` of eight samples
/// let site = Context::new(Scope::initialize(&b, 0)).noise(noise_inputs(&b)).samples(8).site("kernel");
/// let draw = law.sample(&site, &[3, 2].into())?;
/// assert_eq!(draw.value.shape(), [8, 3, 2].into());
/// b.output("log_prob", law.log_prob(draw.value));
/// b.output("from_noise", law.log_prob_of_draw(&draw)); // the same, without the rounding to a value and back
/// b.output("statistics", law.mean()? + law.mode()? + law.stddev()?);
///
/// let cauchy: AnyDistribution<'_> = LocationScale::cauchy(b.constant(0.0), b.constant(1.0)).into();
/// assert!(cauchy.as_normal().is_none() && cauchy.mean().unwrap_err().to_string().contains("mean"));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone)]
pub struct AnyDistribution<'b>(Arc<dyn Distribution<'b> + 'b>);

impl<'b> AnyDistribution<'b> {
    /// The name of the family.
    pub fn family(&self) -> &'static str {
        self.0.family()
    }

    /// The parameters by name.
    pub fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        self.0.parameters()
    }

    /// The log density (or log probability) of each event of `value`.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.0.log_prob(value)
    }

    /// The log density of each event of a draw from this very distribution.
    pub fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        self.0.log_prob_of_draw(draw)
    }

    /// A draw of this shape at a noise site: `[samples, shape..]`, or `shape` without samples.
    ///
    /// # Errors
    /// A context without noise; a family without draws of weights.
    pub fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        self.0.sample(site, shape)
    }

    /// The mean.
    ///
    /// # Errors
    /// A family without one.
    pub fn mean(&self) -> Result<Expr<'b>, Error> {
        self.0.mean().ok_or_else(|| self.undefined("mean"))
    }

    /// The most probable value.
    ///
    /// # Errors
    /// A family without a closed form of it.
    pub fn mode(&self) -> Result<Expr<'b>, Error> {
        self.0.mode().ok_or_else(|| self.undefined("mode in closed form"))
    }

    /// The standard deviation.
    ///
    /// # Errors
    /// A family without a finite one.
    pub fn stddev(&self) -> Result<Expr<'b>, Error> {
        self.0.stddev().ok_or_else(|| self.undefined("finite standard deviation"))
    }

    /// How many trailing axes of a value are one event; see [`Distribution::event_ndims`].
    pub fn event_ndims(&self) -> usize {
        self.0.event_ndims()
    }

    /// The same distribution as one of a family with closed forms; see [`Distribution::known`].
    pub fn known(&self) -> Known<'b> {
        self.0.known()
    }

    /// The normal distribution of each element, if it is one.
    pub fn as_normal(&self) -> Option<Normal<'b>> {
        if let Known::Normal(normal) = self.known() { Some(normal) } else { None }
    }

    /// The distribution in words, given words for values.
    pub fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        self.0.describe(words)
    }

    /// The distribution itself.
    pub fn get(&self) -> &(dyn Distribution<'b> + 'b) {
        &*self.0
    }

    fn undefined(&self, what: &'static str) -> Error {
        undefined(self.family(), what)
    }
}

impl<'b, D: Distribution<'b> + 'b> From<D> for AnyDistribution<'b> {
    fn from(distribution: D) -> Self {
        AnyDistribution(Arc::new(distribution))
    }
}

impl fmt::Debug for AnyDistribution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn undefined(distribution: &'static str, what: &'static str) -> Error {
    Error::Undefined { distribution, what }
}

/// A centre, and points at these distances on both sides of it.
fn around<'b>(centre: Expr<'b>, scale: impl Operand<'b>, distances: &[f64]) -> Vec<Expr<'b>> {
    let scale = centre * 0.0 + scale;
    let left = distances.iter().rev().map(|&distance| centre - scale * distance);
    left.chain([centre]).chain(distances.iter().map(|&distance| centre + scale * distance)).collect()
}

/// The number that a value is, if it is a constant.
fn constant(x: Expr<'_>) -> Option<f64> {
    x.builder().graph().number(x.value())
}

/// A number as constants beside this are: of `f32` the nearest one.
pub(crate) fn rounded(beside: Expr<'_>, x: f64) -> f64 {
    if beside.dtype() == DType::F64 { x } else { f64::from(x as f32) }
}

/// (value - loc) / scale; by a product where the scale is constant.
fn standardized<'b>(value: Expr<'b>, loc: Expr<'b>, scale: Expr<'b>) -> Expr<'b> {
    let distance = value - loc;
    constant(scale).map_or_else(|| distance / scale, |scale| distance * (1.0 / scale))
}
