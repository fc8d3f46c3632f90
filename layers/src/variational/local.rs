//! The local reparameterization estimator: outputs are drawn, not weights.

use super::unpack::{Unpack, unpacking_estimator};
use crate::{
    AffineVariational, AnyDistribution, Error, Estimate, Estimator, Forward, Linear, MatrixProduct, PosteriorValue,
    distribution::Normal, linear::add_bias,
};
use bayeslift_ir::{Expr, NoiseDistribution};

/// An affine layer whose outputs are drawn: the local reparameterization trick (Kingma, Salimans and Welling 2015,
/// equation 6).
///
/// With independent normal weights the output before the activation is normal, and is drawn as such for each example
/// and unit:
///
/// y = x M + m + sqrt(x^2 S^2 + s^2) * noise
///
/// for kernel locations M and scales S and bias locations m and scales s, squares elementwise. A bias posterior of
/// another family is drawn once for all examples and added. Weights are never drawn in the forward pass, so the
/// gradient's variance falls with the number of examples, and the Monte Carlo divergence has draws of its own.
///
/// With [`PosteriorValue::Mean`], [`Mode`](PosteriorValue::Mode) or a closure it is the affine layer of that value of
/// the weights, and draws nothing of its own. See [`Variational`](crate::Variational) for the options.
///
/// ```
/// use bayeslift_layers::{Activation, AffineVariationalReparameterizationLocal, Layer};
/// let layer = AffineVariationalReparameterizationLocal::new(784, 10).activation(Activation::Relu);
/// println!("{}", layer.summary()?);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type AffineVariationalReparameterizationLocal = AffineVariational<Local>;

/// Draws the output of each example: the estimator of [`AffineVariationalReparameterizationLocal`].
#[derive(Clone, Default)]
pub struct Local {
    unpack: Unpack,
}

unpacking_estimator!(Local);

/// The bias of [`local_affine`] and [`local_output`].
#[derive(Clone, Copy, Debug)]
pub enum LocalBias<'b> {
    /// Random, with noise of its own for each example.
    Normal(Normal<'b>),
    /// A value, the same for all examples: `[output]`, or `[samples, output]`.
    Value(Expr<'b>),
}

/// x M + m + sqrt(x^2 S^2 + s^2) * noise, where M and S^2 act on x and x^2 as `linear` says; see
/// [`AffineVariationalReparameterizationLocal`].
///
/// `x: [.., input]`, `noise: [.., output]`. The variance is formed once, before its only square root, whose gradient is
/// 0 at 0: an input row of zeros gives finite gradients.
pub fn local_output<'b>(
    linear: &dyn Linear,
    x: Expr<'b>,
    kernel: &Normal<'b>,
    bias: Option<LocalBias<'b>>,
    noise: Expr<'b>,
) -> Expr<'b> {
    let mut loc = linear.apply(x, kernel.loc);
    let mut variance = linear.apply(linear.square(x), kernel.scale.square());
    match bias {
        Some(LocalBias::Normal(bias)) => {
            loc = loc + bias.loc;
            variance = variance + bias.scale.square();
        }
        Some(LocalBias::Value(bias)) => loc = add_bias(loc, bias),
        None => {}
    }
    loc + variance.sqrt() * noise
}

/// x M + m + sqrt(x^2 S^2 + s^2) * noise for matrices M and S: [`local_output`] of an affine layer.
pub fn local_affine<'b>(x: Expr<'b>, kernel: &Normal<'b>, bias: Option<LocalBias<'b>>, noise: Expr<'b>) -> Expr<'b> {
    local_output(&MatrixProduct, x, kernel, bias, noise)
}

impl Estimator for Local {
    fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
        self.unpack.forward(call, |call| draw(call, x))
    }
}

fn draw<'b>(call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
    let kernel = call.normal_kernel("local")?;
    if !matches!(call.value, PosteriorValue::Sample) {
        return Ok(call.of_values(x, call.kernel()?, call.bias()?));
    }
    let (bias, used) = match call.posterior.bias.as_ref().and_then(AnyDistribution::as_normal) {
        Some(bias) => (Some(LocalBias::Normal(bias)), None),
        None => {
            let used = call.bias()?;
            (used.map(|draw| LocalBias::Value(draw.value)), used)
        }
    };
    let shape = call.linear.apply(x, kernel.loc).shape();
    let noise = call.context.call_site("output").example_noise(NoiseDistribution::Normal, &shape)?;
    Ok(Estimate { output: local_output(call.linear, x, &kernel, bias, noise), kernel: None, bias: used })
}
