//! The reparameterization estimator: weights are drawn once for all examples of a call.

use crate::{
    AffineVariational, Error, Estimate, Estimator, Forward, KernelBias, KernelBiasLayer, Variational, linear::add_bias,
};
use bayeslift_ir::Expr;
use std::{fmt, sync::Arc};

/// An affine layer whose weights are drawn: y = activation(x W + b) with one draw of W and b for all examples of a
/// call (weight uncertainty; Blundell and others 2015, algorithm of section 3.2).
///
/// The Monte Carlo divergence uses the very draw that the output used. See [`Variational`] for the options.
///
/// ```
/// use bayeslift_layers::{Activation, AffineVariationalReparameterization, Layer, Prior};
/// let layer = AffineVariationalReparameterization::new(64, 10)
///     .activation(Activation::LeakyRelu)
///     .prior_maker(Prior::normal(0.0, 1.0))
///     .name("head");
/// let parameters = layer.initialize(0)?;
/// let paths: Vec<_> = parameters.paths().collect();
/// assert_eq!(paths, ["kernel/loc", "kernel/raw_scale", "bias/loc", "bias/raw_scale"]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type AffineVariationalReparameterization = AffineVariational<Reparameterization>;

/// Draws the weights, once for all examples: the estimator of [`AffineVariationalReparameterization`].
#[derive(Clone, Default)]
pub struct Reparameterization {
    unpack: Option<Arc<Unpack>>,
}

type Unpack = dyn for<'b> Fn(KernelBias<Expr<'b>>) -> Result<KernelBias<Expr<'b>>, Error> + Send + Sync;

impl<L: KernelBiasLayer> Variational<L, Reparameterization> {
    /// A function from the drawn weights to those that are used, such as a mask or tied weights. Default: the identity.
    ///
    /// The divergence is that of the drawn weights. (A bias that is not there needs no unpacking: see `use_bias`.)
    ///
    /// ```
    /// use bayeslift_layers::{AffineVariationalReparameterization, KernelBias};
    /// // An autoencoder's square kernel, kept symmetric.
    /// let layer = AffineVariationalReparameterization::new(8, 8).unpack_weights(|weights| {
    ///     let kernel = (weights.kernel + weights.kernel.matrix_transpose()) * 0.5;
    ///     Ok(KernelBias { kernel, ..weights })
    /// });
    /// ```
    pub fn unpack_weights(
        mut self,
        unpack: impl for<'b> Fn(KernelBias<Expr<'b>>) -> Result<KernelBias<Expr<'b>>, Error> + Send + Sync + 'static,
    ) -> Self {
        self.estimator.unpack = Some(Arc::new(unpack));
        self
    }
}

impl fmt::Debug for Reparameterization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.unpack.is_some() { "Reparameterization of unpacked weights" } else { "Reparameterization" })
    }
}

impl Estimator for Reparameterization {
    fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
        let (kernel, bias) = (call.kernel()?, call.bias()?);
        let drawn = KernelBias { kernel: kernel.value, bias: bias.map(|bias| bias.value) };
        let weights = self.unpack.as_ref().map_or(Ok(drawn), |unpack| unpack(drawn))?;
        let product = call.linear.apply(x, weights.kernel);
        let output = weights.bias.map_or(product, |bias| add_bias(product, bias));
        Ok(Estimate { output, kernel: Some(kernel), bias })
    }
}
