use crate::{
    AffineVariational, Error, Estimator,
    affine::affine,
    variational::{Forward, Output},
};
use bayeslift_ir::Expr;

/// An affine layer whose weights are drawn: y = activation(x W + b) with one draw of W and b for all examples of a call (weight uncertainty;
/// Blundell and others 2015, algorithm of section 3.2).
///
/// The Monte Carlo divergence uses the very draw that the output used. See [`AffineVariational`] for the options.
///
/// ```
/// use bayeslift_layers::{Activation, AffineVariationalReparameterization, Layer, Prior};
/// let layer = AffineVariationalReparameterization::new(64, 10)
///     .activation(Activation::LeakyRelu)
///     .prior_maker(Prior::normal(0.0, 1.0))
///     .name("head");
/// let parameters = layer.initialize(0)?;
/// assert_eq!(parameters.paths().collect::<Vec<_>>(), ["kernel/loc", "kernel/raw_scale", "bias/loc", "bias/raw_scale"]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type AffineVariationalReparameterization = AffineVariational<Reparameterization>;

/// Draws the weights, once for all examples: the estimator of [`AffineVariationalReparameterization`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Reparameterization;

impl Estimator for Reparameterization {
    fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Output<'b>, Error> {
        let (kernel, bias) = (call.kernel()?, call.bias()?);
        let output = affine(x, kernel.value, bias.map(|bias| bias.value));
        Ok(Output { output, kernel: Some(kernel), bias })
    }
}
