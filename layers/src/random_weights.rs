//! What all layers with a random kernel and bias share, whatever the kernel does.

use crate::{
    Call, Context, Distribution, Eager, Error, Estimator, Forward, KernelBias, KernelBiasShape, Linear, Parameters,
    Posterior, PosteriorValue, Prior, RandomVariable, Scope,
};
use bayeslift_ir::{Expr, Shape};
use std::sync::Arc;

/// The random kernel and bias of a layer: the posterior that training fits, the prior that it is kept close to, and how
/// outputs are drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct RandomWeights<E> {
    pub estimator: E,
    pub posterior: Posterior,
    pub prior: Prior,
    pub posterior_value: PosteriorValue,
    pub seed: Option<u64>,
}

/// Which of the two distributions of weights.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Posterior,
    Prior,
}

impl<E: Estimator> RandomWeights<E> {
    /// The distributions over graph values, in a scope at the layer's path.
    pub fn make<'b>(
        &self,
        which: Which,
        scope: &Scope<'b>,
        shape: &KernelBiasShape,
    ) -> Result<KernelBias<Distribution<'b>>, Error> {
        match which {
            Which::Posterior => self.posterior.make(scope, shape),
            Which::Prior => self.prior.make(scope, shape),
        }
    }

    /// The distributions with these parameters, to look at.
    pub fn eager(&self, which: Which, parameters: &Parameters, shape: &KernelBiasShape) -> KernelBias<Eager> {
        let (weights, parameters, all) =
            (Arc::new(self.clone()), Arc::new(parameters.clone()), Arc::new(shape.clone()));
        let one = |shape: &Shape, choose: Choose| {
            let (weights, all) = (weights.clone(), all.clone());
            Eager::new(parameters.clone(), shape.clone(), move |scope| choose(weights.make(which, scope, &all)?))
        };
        let kernel = one(&shape.kernel, |made| Ok(made.kernel));
        let bias = shape.bias.as_ref();
        let bias = bias.map(|shape| one(shape, |made| made.bias.ok_or_else(|| no_bias("distribution"))));
        KernelBias { kernel, bias }
    }

    /// The output before the activation, where the kernel acts on the input as `linear` says, with the terms of kernel
    /// and bias.
    pub fn call<'b>(
        &self,
        context: &Context<'b>,
        posterior: KernelBias<Distribution<'b>>,
        prior: KernelBias<Distribution<'b>>,
        shape: KernelBiasShape,
        linear: &dyn Linear,
        x: Expr<'b>,
    ) -> Result<Call<'b>, Error> {
        let context = &context.seeded(self.seed);
        let value = context.posterior_value_override().unwrap_or(&self.posterior_value);
        let call = Forward { context, posterior: &posterior, shape: &shape, value, linear };
        let output = self.estimator.forward(&call, x)?;
        let kernel = RandomVariable::new("kernel", shape.kernel, posterior.kernel, prior.kernel);
        let mut terms = vec![kernel.term(context, output.kernel)];
        if let (Some(shape), Some(posterior), Some(prior)) = (shape.bias, posterior.bias, prior.bias) {
            terms.push(RandomVariable::new("bias", shape, posterior, prior).term(context, output.bias));
        }
        Ok(Call { output: output.output, terms })
    }
}

type Choose = for<'b> fn(KernelBias<Distribution<'b>>) -> Result<Distribution<'b>, Error>;

pub(crate) fn no_bias(what: &str) -> Error {
    Error::argument(&format!("the bias's {what}"), "a layer with use_bias", "that of a layer without a bias")
}

/// The methods that all layers with [`RandomWeights`] share: they have `weights`, a `config` and `kernel_bias_shape`.
macro_rules! random_weights_options {
    () => {
        /// The maker of the posterior. [`Posterior::mean_field`](crate::Posterior::mean_field) unless told.
        pub fn posterior_maker(mut self, posterior: crate::Posterior) -> Self {
            self.weights.posterior = posterior;
            self
        }

        /// The maker of the prior. [`Prior::spike_and_slab`](crate::Prior::spike_and_slab) unless told.
        pub fn prior_maker(mut self, prior: crate::Prior) -> Self {
            self.weights.prior = prior;
            self
        }

        /// The value of the posterior that a call uses. A sample unless told; a
        /// [context](crate::Context::posterior_value) may override it.
        pub fn posterior_value(mut self, value: crate::PosteriorValue) -> Self {
            self.weights.posterior_value = value;
            self
        }

        /// A seed of the layer's own, mixed with its path into its noise addresses. Layers at different paths never
        /// share noise, with or without seeds.
        pub fn seed(mut self, seed: u64) -> Self {
            self.weights.seed = Some(seed);
            self
        }

        /// The posterior over graph values, in a scope at the layer's path.
        ///
        /// # Errors
        /// Arguments of the layer that make no sense, parameters that do not fit, errors of the maker.
        pub fn posterior_in<'b>(
            &self,
            scope: &crate::Scope<'b>,
        ) -> Result<crate::KernelBias<crate::Distribution<'b>>, crate::Error> {
            self.config.check()?;
            let scope = scope.validating(self.config.validate_args);
            self.weights.make(crate::random_weights::Which::Posterior, &scope, &self.kernel_bias_shape())
        }

        /// The prior over graph values, in a scope at the layer's path.
        ///
        /// # Errors
        /// As for `posterior_in`.
        pub fn prior_in<'b>(
            &self,
            scope: &crate::Scope<'b>,
        ) -> Result<crate::KernelBias<crate::Distribution<'b>>, crate::Error> {
            self.config.check()?;
            let scope = scope.validating(self.config.validate_args);
            self.weights.make(crate::random_weights::Which::Prior, &scope, &self.kernel_bias_shape())
        }

        /// The posterior with these parameters, to look at. The parameters are the layer's own: use
        /// [`Parameters::under`](crate::Parameters::under) for a layer of a network.
        ///
        /// ```
        /// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Layer};
        /// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
        /// let parameters = layer.initialize(7)?;
        /// let scale = layer.posterior(&parameters).kernel.stddev()?;
        /// assert!(scale.as_f32().unwrap().iter().all(|s| (s - 1e-3).abs() < 1e-8));
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn posterior(&self, parameters: &crate::Parameters) -> crate::KernelBias<crate::Eager> {
            self.weights.eager(crate::random_weights::Which::Posterior, parameters, &self.kernel_bias_shape())
        }

        /// The prior with these parameters, to look at; see `posterior`.
        pub fn prior(&self, parameters: &crate::Parameters) -> crate::KernelBias<crate::Eager> {
            self.weights.eager(crate::random_weights::Which::Prior, parameters, &self.kernel_bias_shape())
        }

        /// The kernel's posterior.
        pub fn kernel_posterior(&self, parameters: &crate::Parameters) -> crate::Eager {
            self.posterior(parameters).kernel
        }

        /// The kernel's prior.
        pub fn kernel_prior(&self, parameters: &crate::Parameters) -> crate::Eager {
            self.prior(parameters).kernel
        }

        /// The bias's posterior.
        ///
        /// # Errors
        /// A layer without bias.
        pub fn bias_posterior(&self, parameters: &crate::Parameters) -> Result<crate::Eager, crate::Error> {
            let bias = self.posterior(parameters).bias;
            bias.ok_or_else(|| crate::random_weights::no_bias("posterior").within(self.config.name()))
        }

        /// The bias's prior.
        ///
        /// # Errors
        /// A layer without bias.
        pub fn bias_prior(&self, parameters: &crate::Parameters) -> Result<crate::Eager, crate::Error> {
            let bias = self.prior(parameters).bias;
            bias.ok_or_else(|| crate::random_weights::no_bias("prior").within(self.config.name()))
        }
    };
}
pub(crate) use random_weights_options;
