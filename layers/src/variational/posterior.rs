//! The posterior and the prior that a variational layer is told to have.

use crate::{
    AnyDistribution, Declaration, Draw, Error, Group, Initializer, Scope, Site,
    distribution::{
        Horseshoe, LocationScale, LogUniform, Mixture, Normal,
        joint::{Joint, Layout},
    },
};
use bayeslift_ir::{Expr, Shape};
use std::{fmt, sync::Arc};

/// Something for the kernel of a layer, and for its bias if it has one.
///
/// ```
/// use bayeslift_layers::KernelBias;
/// let units = KernelBias { kernel: [3, 2].to_vec(), bias: None };
/// assert_eq!(units.map(|shape| shape.iter().product::<usize>()), KernelBias { kernel: 6, bias: None });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelBias<T> {
    /// For the kernel.
    pub kernel: T,
    /// For the bias.
    pub bias: Option<T>,
}

impl<T> KernelBias<T> {
    /// The same function of both.
    pub fn map<U>(self, function: impl Fn(T) -> U) -> KernelBias<U> {
        KernelBias { kernel: function(self.kernel), bias: self.bias.map(function) }
    }
}

/// What a maker of a posterior or prior is told: the shapes of kernel and bias, and how their values begin.
#[derive(Clone, Debug)]
pub struct KernelBiasShape {
    /// The shape of the kernel, `[.., input, output]`.
    pub kernel: Shape,
    /// The shape of the bias, `[.., output]`, if there is one.
    pub bias: Option<Shape>,
    /// The law of the kernel's initial values.
    pub kernel_initializer: Initializer,
    /// The law of the bias's initial values.
    pub bias_initializer: Initializer,
    /// The number of leading axes that count independent kernels.
    pub batch_ndims: usize,
}

impl KernelBiasShape {
    /// The number of elements of kernel and bias together.
    pub fn elements(&self) -> usize {
        self.kernel.elements() + self.bias.as_ref().map_or(0, |bias| bias.elements())
    }

    /// Makes something for the kernel and for the bias: `make(scope, shape, initializer)` with the scopes `kernel`
    /// and `bias`.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn each<'b, T>(
        &self,
        scope: &Scope<'b>,
        make: impl Fn(&Scope<'b>, &Shape, &Initializer) -> Result<T, Error>,
    ) -> Result<KernelBias<T>, Error> {
        let kernel = make(&scope.child("kernel"), &self.kernel, &self.kernel_initializer)?;
        let bias = self.bias.as_ref().map(|shape| make(&scope.child("bias"), shape, &self.bias_initializer));
        Ok(KernelBias { kernel, bias: bias.transpose()? })
    }
}

type Maker =
    dyn for<'b> Fn(&Scope<'b>, &KernelBiasShape) -> Result<KernelBias<AnyDistribution<'b>>, Error> + Send + Sync;

/// Makes the posterior of a layer: the distribution over its weights that training fits.
///
/// ```
/// use bayeslift_ir::Shape;
/// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Initializer, Posterior, distribution::Normal};
///
/// // One scale for all weights of a tensor.
/// let posterior = Posterior::new(|scope, shape| {
///     shape.each(scope, |scope, shape, initializer| {
///         let loc = scope.parameter("loc", shape, initializer)?;
///         let raw_scale = scope.parameter("raw_scale", &Shape::default(), &Initializer::Constant(-5.0))?;
///         Ok(Normal::from_raw_scale(loc, raw_scale.broadcast(shape)).into())
///     })
/// });
/// let layer = AffineVariationalReparameterizationLocal::new(64, 10).posterior_maker(posterior);
/// ```
#[derive(Clone)]
pub struct Posterior(PosteriorMaker);

type JointMaker = dyn for<'b> Fn(&Scope<'b>, &KernelBiasShape) -> Result<AnyDistribution<'b>, Error> + Send + Sync;

#[derive(Clone)]
enum PosteriorMaker {
    Each(Arc<Maker>),
    Joint(Arc<JointMaker>),
}

/// The posterior of a layer: of its kernel and its bias, and of both together if they depend on each other.
pub(crate) struct Made<'b> {
    pub each: KernelBias<AnyDistribution<'b>>,
    pub joint: Option<Joint<'b>>,
}

impl Posterior {
    /// A posterior by a closure that receives a scope at the layer's path and the shapes.
    pub fn new(
        make: impl for<'b> Fn(&Scope<'b>, &KernelBiasShape) -> Result<KernelBias<AnyDistribution<'b>>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Posterior(PosteriorMaker::Each(Arc::new(make)))
    }

    /// One posterior of kernel and bias together: a closure that makes a distribution of vectors `[n]`, of the kernel's
    /// elements and behind them the bias's.
    ///
    /// Layers draw both from one draw of it. Those that draw outputs or flip weights need independent normal weights,
    /// and refuse it: a layer with plain [reparameterization](crate::Reparameterization) takes it. The random variable
    /// is `kernel_bias`, its prior is that of the layer, of kernel and bias on their own.
    ///
    /// ```
    /// use bayeslift_layers::{
    ///     AffineVariationalReparameterization, Divergence, Initializer, Layer, Posterior, Prior,
    ///     distribution::{MultivariateNormal, lower_triangular},
    /// };
    ///
    /// // the full covariance of 12 numbers
    /// let posterior = Posterior::joint(|scope, shape| {
    ///     let n = shape.elements();
    ///     let loc = scope.parameter("loc", &[n].into(), &Initializer::GlorotUniform)?;
    ///     let raw_scale = scope.parameter("raw_scale", &[n, n].into(), &Initializer::custom(move |shape| {
    ///         let element = |i| if i % (n + 1) == 0 { -3.0 } else { 0.0 };
    ///         Ok(bayeslift_ir::Tensor::f32(shape.clone(), (0..n * n).map(element).collect::<Vec<f32>>())?)
    ///     }))?;
    ///     Ok(MultivariateNormal::new(loc, lower_triangular(raw_scale))?.into())
    /// });
    /// let layer = AffineVariationalReparameterization::new(3, 3)
    ///     .posterior_maker(posterior)
    ///     .prior_maker(Prior::normal(0.0, 1.0));
    /// assert_eq!(layer.initialize(0)?.paths().collect::<Vec<_>>(), ["loc", "raw_scale"]);
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn joint(
        make: impl for<'b> Fn(&Scope<'b>, &KernelBiasShape) -> Result<AnyDistribution<'b>, Error> + Send + Sync + 'static,
    ) -> Self {
        Posterior(PosteriorMaker::Joint(Arc::new(make)))
    }

    /// Independent normal distributions (TFP's `make_kernel_bias_posterior_mvn_diag`): a `loc` that starts as the
    /// initializer says, and a scale = softplus(`raw_scale`) + 1e-5 that starts at 1e-3.
    pub fn mean_field() -> Self {
        Posterior::mean_field_with_scale(1e-3)
    }

    /// As [`Posterior::mean_field`], with another initial scale, above 1e-5.
    pub fn mean_field_with_scale(initial_scale: f64) -> Self {
        Posterior::new(move |scope, shape| {
            let initializer = Initializer::Constant(initial_raw_scale(initial_scale)?);
            shape.each(scope, |scope, extents, loc| mean_field(scope, extents, loc, &initializer, shape.batch_ndims))
        })
    }

    /// The distributions in a scope that stands at the layer's path.
    ///
    /// # Errors
    /// Those of the maker; a bias where there is none or the other way around.
    pub fn make<'b>(
        &self,
        scope: &Scope<'b>,
        shape: &KernelBiasShape,
    ) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
        Ok(self.made(scope, shape)?.each)
    }

    pub(crate) fn made<'b>(&self, scope: &Scope<'b>, shape: &KernelBiasShape) -> Result<Made<'b>, Error> {
        match &self.0 {
            PosteriorMaker::Each(make) => {
                Ok(Made { each: checked("posterior", make(scope, shape)?, shape)?, joint: None })
            }
            PosteriorMaker::Joint(make) => {
                let joint = Joint { distribution: make(scope, shape)?, layout: Layout::of(shape) };
                Ok(Made { each: joint.parts(), joint: Some(joint) })
            }
        }
    }
}

impl Default for Posterior {
    fn default() -> Self {
        Posterior::mean_field()
    }
}

/// The raw scale with softplus(raw) + 1e-5 = `scale`: -6.9173107 for 1e-3.
pub(crate) fn initial_raw_scale(scale: f64) -> Result<f64, Error> {
    let raw = Normal::raw_scale(scale);
    if raw.is_finite() {
        Ok(raw)
    } else {
        Err(Error::argument("the initial scale", "a finite number above 1e-5", scale))
    }
}

fn mean_field<'b>(
    scope: &Scope<'b>,
    shape: &Shape,
    loc: &Initializer,
    raw_scale: &Initializer,
    batch_ndims: usize,
) -> Result<AnyDistribution<'b>, Error> {
    let declaration = |initializer, group| Declaration { shape, initializer, batch_ndims, trainable: true, group };
    let loc = scope.declare_parameter("loc", &declaration(loc, Group::Loc))?;
    let raw_scale = scope.declare_parameter("raw_scale", &declaration(raw_scale, Group::Scale))?;
    Ok(Normal::from_raw_scale(loc, raw_scale).into())
}

/// Makes the prior of a layer: the distribution over its weights before data. Its scope is `prior` at the layer's
/// path, where it may declare parameters, trainable or not.
/// The laws that need no closure, at 0 where all but two have their peak:
///
/// ```
/// use bayeslift_ir::Tensor;
/// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Layer, Prior};
///
/// let at_zero = |prior: Prior| {
///     let layer = AffineVariationalReparameterizationLocal::new(1, 1).prior_maker(prior);
///     let log_prob = layer.kernel_prior(&layer.initialize(0)?).log_prob(&Tensor::f32([1, 1], [0.0])?)?;
///     Ok::<_, Box<dyn std::error::Error>>(log_prob.as_f32().expect("floats")[0].exp())
/// };
/// let priors = [Prior::normal(0.0, 1.0), Prior::remembered(1.0), Prior::laplace(0.0, 1.0), Prior::logistic(0.0, 1.0)];
/// for (prior, density) in priors.into_iter().zip([0.39894, 0.39894, 0.5, 0.25]) {
///     assert!((at_zero(prior)? - density).abs() < 1e-5);
/// }
/// for prior in [Prior::cauchy(0.0, 1.0), Prior::student_t(3.0, 0.0, 1.0), Prior::spike_and_slab()] {
///     assert!(at_zero(prior)? < 0.4);
/// }
/// assert!(at_zero(Prior::horseshoe(1.0))? > 1.0 && at_zero(Prior::log_uniform())? > 1.0); // both grow without end
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Prior(Arc<Maker>);

impl Prior {
    /// A prior by a closure that receives a scope and the shapes.
    pub fn new(
        make: impl for<'b> Fn(&Scope<'b>, &KernelBiasShape) -> Result<KernelBias<AnyDistribution<'b>>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Prior(Arc::new(make))
    }

    /// 1/2 N(0, 1) + 1/2 N(0, 2000^2) on every weight (TFP's `make_kernel_bias_prior_spike_and_slab`).
    pub fn spike_and_slab() -> Self {
        Prior::new(|scope, shape| shape.each(scope, |scope, _, _| Ok(Mixture::spike_and_slab(scope.builder()).into())))
    }

    /// N(loc, scale^2) on every weight.
    pub fn normal(loc: f64, scale: f64) -> Self {
        Prior::centred("Normal", loc, scale, |loc, scale| Ok(Normal::new(loc, scale).into()))
    }

    /// N(loc, scale^2) with a `loc` and a `scale` for each weight, which are parameters of the network that training
    /// leaves alone: 0 and `scale` at first. What was learned before can be put there, such as a posterior for data
    /// that come after.
    pub fn remembered(scale: f64) -> Self {
        Prior::new(move |scope, shape| {
            if !(scale > 0.0 && scale.is_finite()) {
                return Err(Error::argument("the scale of the prior", "a positive, finite number", scale));
            }
            shape.each(scope, |scope, extents, _| {
                let declare = |name: &str, initializer: &Initializer| {
                    let (trainable, group) = (false, Group::Prior);
                    let batch_ndims = shape.batch_ndims;
                    scope.declare_parameter(
                        name,
                        &Declaration { shape: extents, initializer, batch_ndims, trainable, group },
                    )
                };
                let loc = declare("loc", &Initializer::Zeros)?;
                Ok(Normal::new(loc, declare("scale", &Initializer::Constant(scale))?).into())
            })
        })
    }

    /// The [log-uniform](LogUniform) law on every weight: the prior of sparse variational dropout. With
    /// [`Divergence::Exact`](crate::Divergence::Exact) its divergence from a normal posterior is by approximation.
    pub fn log_uniform() -> Self {
        Prior::new(|scope, shape| shape.each(scope, |scope, _, _| Ok(LogUniform::new(scope.builder()).into())))
    }

    /// The [horseshoe](Horseshoe) on every weight.
    pub fn horseshoe(scale: f64) -> Self {
        Prior::centred("Horseshoe", 0.0, scale, |_, scale| Ok(Horseshoe::new(scale).into()))
    }

    /// [Laplace's law](LocationScale::laplace) on every weight: that of a penalty on sizes, not on squares.
    pub fn laplace(loc: f64, scale: f64) -> Self {
        Prior::centred("Laplace", loc, scale, |loc, scale| Ok(LocationScale::laplace(loc, scale).into()))
    }

    /// [The logistic law](LocationScale::logistic) on every weight.
    pub fn logistic(loc: f64, scale: f64) -> Self {
        Prior::centred("Logistic", loc, scale, |loc, scale| Ok(LocationScale::logistic(loc, scale).into()))
    }

    /// [Cauchy's law](LocationScale::cauchy) on every weight.
    pub fn cauchy(loc: f64, scale: f64) -> Self {
        Prior::centred("Cauchy", loc, scale, |loc, scale| Ok(LocationScale::cauchy(loc, scale).into()))
    }

    /// [Student's t](LocationScale::student_t) on every weight.
    pub fn student_t(degrees: f64, loc: f64, scale: f64) -> Self {
        Prior::centred("StudentT", loc, scale, move |loc, scale| {
            Ok(LocationScale::student_t(degrees, loc, scale)?.into())
        })
    }

    /// One law of this family on every weight.
    fn centred(
        family: &'static str,
        loc: f64,
        scale: f64,
        make: impl for<'b> Fn(Expr<'b>, Expr<'b>) -> Result<AnyDistribution<'b>, Error> + Send + Sync + 'static,
    ) -> Self {
        Prior::new(move |scope, shape| {
            if !(scale > 0.0 && scale.is_finite() && loc.is_finite()) {
                let found = format!("{family}(loc = {loc}, scale = {scale})");
                return Err(Error::argument("the prior", "a finite loc and a positive, finite scale", found));
            }
            shape.each(scope, |scope, _, _| make(scope.builder().constant(loc), scope.builder().constant(scale)))
        })
    }

    /// The distributions in a scope that stands at the layer's path.
    ///
    /// # Errors
    /// Those of the maker; a bias where there is none or the other way around.
    pub fn make<'b>(
        &self,
        scope: &Scope<'b>,
        shape: &KernelBiasShape,
    ) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
        checked("prior", (self.0)(&scope.child("prior"), shape)?, shape)
    }
}

impl Default for Prior {
    fn default() -> Self {
        Prior::spike_and_slab()
    }
}

/// Checks that a maker made what the layer has.
fn checked<'b>(
    what: &str,
    made: KernelBias<AnyDistribution<'b>>,
    shape: &KernelBiasShape,
) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
    let bias = |has: bool| if has { "a kernel and a bias" } else { "a kernel alone" };
    if made.bias.is_some() != shape.bias.is_some() {
        let (found, has) = (bias(made.bias.is_some()), bias(shape.bias.is_some()));
        let problem = format!("the {what} that was made is of {found}, but the layer has {has}");
        return Err(Error::misuse(problem, "make a distribution for each that `KernelBiasShape` has a shape of"));
    }
    Ok(made)
}

/// The closure of [`PosteriorValue::Custom`].
pub type CustomValue = dyn for<'b> Fn(&AnyDistribution<'b>, &Site<'b>, &Shape) -> Result<Expr<'b>, Error> + Send + Sync;

/// Which value of its posterior a layer uses.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum PosteriorValue {
    /// A draw. In a local layer: the law of its output under such draws.
    #[default]
    Sample,
    /// The mean. Draws nothing.
    Mean,
    /// The most probable value. Draws nothing.
    Mode,
    /// Any other value of the distribution, with the site to draw at and the shape of one value.
    Custom(Arc<CustomValue>),
}

impl PosteriorValue {
    /// Any value.
    ///
    /// ```
    /// # use bayeslift_layers::PosteriorValue;
    /// // One standard deviation above the mean.
    /// let value = PosteriorValue::custom(|posterior, _, _| Ok(posterior.mean()? + posterior.stddev()?));
    /// ```
    pub fn custom(
        value: impl for<'b> Fn(&AnyDistribution<'b>, &Site<'b>, &Shape) -> Result<Expr<'b>, Error> + Send + Sync + 'static,
    ) -> Self {
        PosteriorValue::Custom(Arc::new(value))
    }

    /// The value of one distribution.
    ///
    /// # Errors
    /// A draw without a noise address, a statistic that the distribution does not define.
    pub fn of<'b>(&self, posterior: &AnyDistribution<'b>, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        match self {
            PosteriorValue::Sample => posterior.sample(site, shape),
            PosteriorValue::Mean => Ok(site.value(posterior.mean()?.broadcast(shape))),
            PosteriorValue::Mode => Ok(site.value(posterior.mode()?.broadcast(shape))),
            PosteriorValue::Custom(value) => {
                let value = value(posterior, site, shape)?;
                let found = value.shape();
                let with_samples: Shape = site.sample_count().iter().chain(shape.iter()).copied().collect();
                if found != *shape && found != with_samples {
                    return Err(Error::shape("the posterior value", format!("{shape} or {with_samples}"), &found));
                }
                Ok(site.value(value))
            }
        }
    }
}

macro_rules! debug {
    ($($name:ident => $text:expr),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text: fn(&$name) -> &'static str = $text;
                f.write_str(text(self))
            }
        }
    )*};
}
debug! {
    Posterior => |_| "Posterior(..)",
    Prior => |_| "Prior(..)",
    PosteriorValue => |value| match value {
        PosteriorValue::Sample => "Sample",
        PosteriorValue::Mean => "Mean",
        PosteriorValue::Mode => "Mode",
        PosteriorValue::Custom(_) => "Custom(..)",
    }
}
