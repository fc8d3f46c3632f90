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

/// The bias of [`local_affine`] and [`local_output`], which has an example.
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
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{LocalBias, MatrixProduct, distribution::Normal, local_affine, local_output};
///
/// let b = Builder::new();
/// let (x, noise) = (b.input("x", Type::f32([1, 2])), b.constant(1.0).broadcast(&[1, 1].into()));
/// let normal = |loc: f64, scale: f64, shape: &[usize]| {
///     Normal::new(b.constant(loc).broadcast(&shape.into()), b.constant(scale).broadcast(&shape.into()))
/// };
/// let (kernel, bias) = (normal(2.0, 1.0, &[2, 1]), LocalBias::Normal(normal(0.5, 12.0, &[1])));
/// b.output("y", local_output(&MatrixProduct, x, &kernel, Some(bias), noise));
/// b.output("same", local_affine(x, &kernel, Some(bias), noise));
/// let value = LocalBias::Value(b.constant(0.5).broadcast(&[1].into()));
/// b.output("of_a_value", local_affine(x, &kernel, Some(value), noise));
/// let found = evaluate(&b.finish()?, &[Tensor::f32([1, 2], [3.0, 4.0])?])?;
/// // 2 (3 + 4) + 0.5 + sqrt(3^2 + 4^2 + 12^2), and with sqrt(3^2 + 4^2)
/// let numbers: Vec<f32> = found.iter().map(|output| output.as_f32().expect("floats")[0]).collect();
/// assert_eq!(numbers, [27.5, 27.5, 19.5]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
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

/// x M + m + sqrt(x^2 S^2 + s^2) * noise for matrices M and S: [`local_output`] of an affine layer, whose page has an
/// example. `x: [.., input]`, M and S `[input, output]`, `noise: [.., output]`.
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
