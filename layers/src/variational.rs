use crate::{
    Call, Context, Error, Estimator, KernelBiasShape, Layer, MatrixProduct, Scope,
    affine::{AffineConfig, affine_options},
    random_weights::{RandomWeights, random_weights_options},
};
use bayeslift_ir::{Expr, Shape};

/// An affine layer with random weights: a posterior over kernel and bias that training fits, a prior that it is kept
/// close to.
///
/// Use it by the names [`AffineVariationalReparameterization`](crate::AffineVariationalReparameterization),
/// [`AffineVariationalReparameterizationLocal`](crate::AffineVariationalReparameterizationLocal) and
/// [`AffineVariationalFlipout`](crate::AffineVariationalFlipout), which differ only in how the output is drawn:
/// parameters, paths and divergence are the same, so one can be trained and another used to predict.
///
/// Its input is `[.., input]` and its output `[.., output]`, with any number of axes in front, the first of which
/// counts examples.
#[derive(Clone, Debug)]
pub struct AffineVariational<E: Estimator> {
    config: AffineConfig,
    pub(crate) weights: RandomWeights<E>,
}

impl<E: Estimator> AffineVariational<E> {
    /// A layer from `input_size` to `output_size` units, with TFP's defaults: mean-field normal posterior,
    /// spike-and-slab prior.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        AffineVariational { config: AffineConfig::new(input_size, output_size), weights: RandomWeights::default() }
    }

    affine_options!();

    random_weights_options!();

    /// The shapes of kernel and bias, as makers receive them.
    pub fn kernel_bias_shape(&self) -> KernelBiasShape {
        let (input, output) = (self.config.input_size, self.config.output_size);
        KernelBiasShape {
            kernel: Shape::new(&[input, output]),
            bias: self.config.use_bias.then(|| Shape::new(&[output])),
            kernel_initializer: self.config.kernel_initializer.clone(),
            bias_initializer: self.config.bias_initializer.clone(),
            batch_ndims: 0,
        }
    }
}

impl<E: Estimator> Layer for AffineVariational<E> {
    fn name(&self) -> &str {
        self.config.name()
    }

    fn has_default_name(&self) -> bool {
        self.config.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        let declare = || {
            self.posterior_in(scope)?;
            self.prior_in(scope)?;
            Ok(())
        };
        declare().map_err(|error: Error| error.within(self.config.label(scope.path())))
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let call = || {
            let (posterior, prior) = (self.posterior_in(context.scope())?, self.prior_in(context.scope())?);
            context.check_input(x, self.config.input_size)?;
            let mut call = self.weights.call(context, posterior, prior, self.kernel_bias_shape(), &MatrixProduct, x)?;
            call.output = self.config.activation.apply(call.output);
            Ok(call)
        };
        call().map_err(|error: Error| error.within(self.config.label(context.path())))
    }
}
