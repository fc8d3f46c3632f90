//! What all layers with a random kernel and bias share; an [`Estimator`] is where they differ.

mod convolution;
mod embedding;
mod estimator;
mod flipout;
mod layer;
mod local;
mod posterior;
mod random_variable;
mod recipe;
mod reparameterization;
mod unpack;

pub use convolution::{
    ConvolutionTransposeVariational, ConvolutionTransposeVariationalFlipout,
    ConvolutionTransposeVariationalReparameterization, ConvolutionTransposeVariationalReparameterizationLocal,
    ConvolutionVariational, ConvolutionVariationalFlipout, ConvolutionVariationalReparameterization,
    ConvolutionVariationalReparameterizationLocal,
};
pub use embedding::{
    EmbeddingVariational, EmbeddingVariationalFlipout, EmbeddingVariationalReparameterization,
    EmbeddingVariationalReparameterizationLocal,
};
pub use estimator::{Estimate, Estimator, Forward};
pub use flipout::{AffineVariationalFlipout, Flipout, FlipoutBias, Signs, flipout_output};
pub use layer::{Draws, VariationalLayer};
pub use local::{AffineVariationalReparameterizationLocal, Local, LocalBias, local_affine, local_output};
pub(crate) use posterior::initial_raw_scale;
pub use posterior::{CustomValue, KernelBias, KernelBiasShape, Posterior, PosteriorValue, Prior};
pub use random_variable::RandomVariable;
pub use recipe::Recipe;
pub use reparameterization::{AffineVariationalReparameterization, Reparameterization};

use crate::{
    Affine, AnyDistribution, Call, Context, Eager, Error, KernelBiasConfig, KernelBiasLayer, Layer, LayerDescription,
    Parameters, Reads, Scope, Term, distribution::joint::JOINT, linear::kernel_bias_options,
};
use bayeslift_ir::{DType, Expr, Shape};
use posterior::Made;
use std::{fmt::Debug, sync::Arc};

/// A layer with random weights: a posterior over kernel and bias that training fits, a prior that it is kept close to.
///
/// `L` says what the kernel does - [`Affine`], [`Embedding`](crate::Embedding), [`Convolution`](crate::Convolution),
/// [`ConvolutionTranspose`](crate::ConvolutionTranspose) - and `E` how the output is drawn:
/// [`Reparameterization`](crate::Reparameterization), [`Local`](crate::Local), [`Flipout`](crate::Flipout). Each pair
/// has a name, such as [`AffineVariationalReparameterizationLocal`](crate::AffineVariationalReparameterizationLocal).
/// Pairs of one `L` differ only in how the output is drawn: parameters, paths and divergence are the same, so one can
/// be trained and another used to predict.
///
/// Inputs and outputs are those of `L`; the first axis counts examples.
///
/// ```
/// use bayeslift_layers::{
///     AffineVariationalReparameterizationLocal, Layer, Posterior, PosteriorValue, Prior, Recipe,
/// };
///
/// let layer = AffineVariationalReparameterizationLocal::new(3, 2)
///     .posterior_maker(Posterior::mean_field_with_scale(0.1))
///     .prior_maker(Prior::normal(0.0, 0.5))
///     .posterior_value(PosteriorValue::Mean)
///     .seed(7);
/// assert_eq!((layer.get_seed(), layer.kernel_bias_shape().elements()), (Some(7), 3 * 2 + 2));
/// assert!(matches!(layer.get_posterior_value(), PosteriorValue::Mean));
/// assert_eq!(Layer::name(layer.inner()), "affine"); // the layer whose weights are random
/// println!("{:?}", layer.estimator());
///
/// // the distributions of the weights, to look at
/// let parameters = layer.initialize(0)?;
/// let scale = |of: bayeslift_layers::Eager| Ok::<_, bayeslift_layers::Error>(of.stddev()?.as_f32().expect("floats")[0]);
/// assert!((scale(layer.posterior(&parameters).kernel)? - 0.1).abs() < 1e-6);
/// assert_eq!(scale(layer.prior(&parameters).kernel)?, 0.5);
/// assert_eq!(scale(layer.bias_prior(&parameters)?)?, 0.5);
/// assert!((scale(layer.bias_posterior(&parameters)?)? - 0.1).abs() < 1e-6);
///
/// // posterior and prior that were found to work on tables
/// let of_recipe = AffineVariationalReparameterizationLocal::new(3, 2).recipe(&Recipe::tables());
/// assert_eq!(of_recipe.initialize(0)?.len(), 4);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Variational<L: KernelBiasLayer, E: Estimator> {
    pub(crate) layer: L,
    pub(crate) estimator: E,
    posterior: Posterior,
    prior: Prior,
    posterior_value: PosteriorValue,
    seed: Option<u64>,
}

impl<L: KernelBiasLayer, E: Estimator> Variational<L, E> {
    /// `layer` with random weights, with TFP's defaults: mean-field normal posterior, spike-and-slab prior.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Local, Variational};
    /// let layer: Variational<Affine, Local> = Variational::of(Affine::new(64, 10));
    /// assert_eq!(Layer::name(&layer), "affine");
    /// ```
    pub fn of(layer: L) -> Self {
        Variational {
            layer,
            estimator: E::default(),
            posterior: Posterior::default(),
            prior: Prior::default(),
            posterior_value: PosteriorValue::default(),
            seed: None,
        }
    }

    fn config(&self) -> &KernelBiasConfig {
        self.layer.config()
    }

    fn config_mut(&mut self) -> &mut KernelBiasConfig {
        crate::linear::Sealed::config_mut(&mut self.layer)
    }

    kernel_bias_options!();

    /// The maker of the posterior. Default: [`Posterior::mean_field`].
    pub fn posterior_maker(mut self, posterior: Posterior) -> Self {
        self.posterior = posterior;
        self
    }

    /// The maker of the prior. Default: [`Prior::spike_and_slab`].
    pub fn prior_maker(mut self, prior: Prior) -> Self {
        self.prior = prior;
        self
    }

    /// The posterior and the prior of a recipe.
    pub fn recipe(self, recipe: &Recipe) -> Self {
        self.posterior_maker(recipe.posterior.clone()).prior_maker(recipe.prior.clone())
    }

    /// The value of the posterior that a call uses. Default: a sample. A [context](Context::posterior_value) may
    /// override it.
    pub fn posterior_value(mut self, value: PosteriorValue) -> Self {
        self.posterior_value = value;
        self
    }

    /// A seed of the layer's own, mixed with its path into its noise addresses. Layers at different paths never share
    /// noise, with or without seeds.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The value of the posterior that a call uses.
    pub fn get_posterior_value(&self) -> &PosteriorValue {
        &self.posterior_value
    }

    /// The seed of the layer's own, if it has one.
    pub fn get_seed(&self) -> Option<u64> {
        self.seed
    }

    /// The layer whose weights are random.
    pub fn inner(&self) -> &L {
        &self.layer
    }

    /// How the output is drawn, with what it draws from.
    pub fn estimator(&self) -> &E {
        &self.estimator
    }

    /// The shapes of kernel and bias, as makers receive them.
    pub fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.layer.kernel_bias_shape()
    }

    /// Checks what does not depend on parameters or inputs.
    fn check_in(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.layer.check()?;
        scope.check_dtype(self.config().dtype)?;
        let shape = self.kernel_bias_shape();
        if shape.batch_ndims > 0 {
            let batch = Shape::new(&shape.kernel[..shape.batch_ndims]);
            return Err(Error::argument(
                "batch_shape",
                "[]: a variational layer has several kernels by its samples",
                batch,
            ));
        }
        Ok(())
    }

    /// The posterior over graph values, in a scope at the layer's path.
    ///
    /// # Errors
    /// Arguments of the layer that make no sense, parameters that do not fit, errors of the maker.
    pub fn posterior_in<'b>(&self, scope: &Scope<'b>) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
        Ok(self.posterior_made(scope)?.each)
    }

    fn posterior_made<'b>(&self, scope: &Scope<'b>) -> Result<Made<'b>, Error> {
        self.check_in(scope)?;
        self.posterior.made(&scope.validating(self.config().validate_args), &self.kernel_bias_shape())
    }

    /// The prior over graph values, in a scope at the layer's path.
    ///
    /// # Errors
    /// As for [`Variational::posterior_in`].
    pub fn prior_in<'b>(&self, scope: &Scope<'b>) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
        self.check_in(scope)?;
        self.prior.make(&scope.validating(self.config().validate_args), &self.kernel_bias_shape())
    }

    fn eager(&self, parameters: &Parameters, make: EagerMaker<L, E>) -> KernelBias<Eager> {
        let (layer, parameters) = (Arc::new(self.clone()), Arc::new(parameters.clone()));
        let one = |shape: Shape, choose: Choose| {
            let layer = layer.clone();
            Eager::new(parameters.clone(), shape, move |scope| choose(make(&layer, scope)?))
        };
        let shape = self.kernel_bias_shape();
        let kernel = one(shape.kernel, |made| Ok(made.kernel));
        let bias = shape.bias.map(|shape| one(shape, |made| made.bias.ok_or_else(|| no_bias("distribution"))));
        KernelBias { kernel, bias }
    }

    /// The posterior of kernel and bias with these parameters, to look at: statistics and draws as tensors. Parameters
    /// that do not fit are an error of what is asked of it, not of this call. The parameters are the layer's own: use
    /// [`Parameters::under`] for a layer of a network.
    ///
    /// ```
    /// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Layer};
    /// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
    /// let parameters = layer.initialize(7)?;
    /// let scale = layer.posterior(&parameters).kernel.stddev()?;
    /// assert!(scale.as_f32().unwrap().iter().all(|s| (s - 1e-3).abs() < 1e-8));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn posterior(&self, parameters: &Parameters) -> KernelBias<Eager> {
        self.eager(parameters, |layer, scope| layer.posterior_in(scope))
    }

    /// The prior of kernel and bias with these parameters, to look at; see [`Variational::posterior`].
    pub fn prior(&self, parameters: &Parameters) -> KernelBias<Eager> {
        self.eager(parameters, |layer, scope| layer.prior_in(scope))
    }

    /// The distribution of the kernel after training: the part `kernel` of [`Variational::posterior`], which says what
    /// `parameters` are. Its values have the kernel's shape.
    ///
    /// ```
    /// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Layer, Sequential};
    /// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
    /// let parameters = Sequential::new().layer(layer.clone()).initialize(7)?;
    /// let kernel = layer.kernel_posterior(&parameters.under("affine"));
    /// assert_eq!((kernel.family()?, kernel.shape()[..].to_vec()), ("Normal", vec![3, 2]));
    /// assert_eq!(kernel.mean()?, parameters.get("affine/kernel/loc")?.tensor);
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn kernel_posterior(&self, parameters: &Parameters) -> Eager {
        self.posterior(parameters).kernel
    }

    /// The distribution of the kernel that the divergence compares its posterior with: the part `kernel` of
    /// [`Variational::prior`].
    pub fn kernel_prior(&self, parameters: &Parameters) -> Eager {
        self.prior(parameters).kernel
    }

    /// The distribution of the bias after training: the part `bias` of [`Variational::posterior`].
    ///
    /// # Errors
    /// A layer without bias.
    pub fn bias_posterior(&self, parameters: &Parameters) -> Result<Eager, Error> {
        self.posterior(parameters).bias.ok_or_else(|| no_bias("posterior").within(self.config().name()))
    }

    /// The distribution of the bias that the divergence compares its posterior with: the part `bias` of
    /// [`Variational::prior`].
    ///
    /// # Errors
    /// A layer without bias.
    pub fn bias_prior(&self, parameters: &Parameters) -> Result<Eager, Error> {
        self.prior(parameters).bias.ok_or_else(|| no_bias("prior").within(self.config().name()))
    }

    fn try_call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let context = &context.seeded(self.seed);
        let shape = self.kernel_bias_shape();
        let Made { each: posterior, joint } = self.posterior_made(context.scope())?;
        let prior = self.prior_in(context.scope())?;
        let linear = self.layer.linear(context, x)?;
        let value = context.posterior_value_override().unwrap_or(&self.posterior_value);
        let forward = Forward { context, posterior: &posterior, shape: &shape, value, linear: &*linear };
        let prepared = self.layer.prepare(x);
        let output = self.estimator.forward(&forward, prepared)?;
        if let Some(joint) = joint {
            let is_drawn = matches!(value, PosteriorValue::Sample);
            let used = KernelBias { kernel: output.kernel, bias: Some(output.bias) };
            let used = joint.value(&context.site(JOINT), is_drawn, used)?;
            let (vector, prior) = (joint.layout.vector(), joint.prior(&prior));
            let terms = vec![RandomVariable::new(JOINT, vector, joint.distribution, prior).term(context, used)];
            return Ok(Call { terms, ..Call::new(self.config().activation.apply(output.output)) });
        }
        let weights = self.layer.read_weights(context.scope())?;
        let rows = self.config().input_size;
        let reads = weights.map(|weights| Reads::new(context, rows, prepared, weights));
        let kernel = RandomVariable::new("kernel", shape.kernel, posterior.kernel, prior.kernel);
        let mut terms = vec![Term { reads, ..kernel.term(context, output.kernel) }];
        if let (Some(shape), Some(posterior), Some(prior)) = (shape.bias, posterior.bias, prior.bias) {
            terms.push(RandomVariable::new("bias", shape, posterior, prior).term(context, output.bias));
        }
        Ok(Call { terms, ..Call::new(self.config().activation.apply(output.output)) })
    }
}

/// An affine layer with random weights.
pub type AffineVariational<E> = Variational<Affine, E>;

impl<E: Estimator> AffineVariational<E> {
    /// A layer from `input_size` to `output_size` units; see [`Variational::of`].
    pub fn new(input_size: usize, output_size: usize) -> Self {
        Variational::of(Affine::new(input_size, output_size))
    }
}

type EagerMaker<L, E> = for<'b> fn(&Variational<L, E>, &Scope<'b>) -> Result<KernelBias<AnyDistribution<'b>>, Error>;
type Choose = for<'b> fn(KernelBias<AnyDistribution<'b>>) -> Result<AnyDistribution<'b>, Error>;

fn no_bias(what: &str) -> Error {
    Error::misuse(format!("the layer has no bias, so its bias has no {what}"), "give it one by `use_bias(true)`")
}

impl<L: KernelBiasLayer, E: Estimator> Layer for Variational<L, E> {
    fn name(&self) -> &str {
        self.config().name()
    }

    fn has_default_name(&self) -> bool {
        self.config().name.is_none()
    }

    fn element_type(&self) -> Option<DType> {
        self.config().dtype
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        let declare = || {
            self.posterior_in(scope)?;
            self.prior_in(scope)?;
            self.layer.read_weights(scope)?;
            Ok(())
        };
        declare().map_err(|error: Error| error.within(self.config().label(scope.path())))
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.try_call(context, x).map_err(|error| error.within(self.config().label(context.path())))
    }

    fn describe(&self) -> LayerDescription {
        let seed = self.seed.map(|seed| seed.to_string());
        self.layer
            .describe()
            .option("estimator", format!("{:?}", self.estimator))
            .option("posterior_value", format!("{:?}", self.posterior_value))
            .option("seed", seed.as_deref().unwrap_or("none"))
    }
}
