//! Flipout: weights drawn once, and flipped by signs for each example.

use super::unpack::{Unpack, unpacking_estimator};
use crate::{
    AffineVariational, AnyDistribution, Context, Error, Estimate, Estimator, Forward, Linear, distribution::Normal,
    linear::add_bias,
};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// An affine layer whose weights are drawn once and flipped for each example: flipout (Wen, Vicol, Ba, Tran and Grosse
/// 2018, equation 4).
///
/// A call draws standard normal `noise_W: [input, output]` and `noise_b: [output]`, and for each example n independent
/// signs `r_n: [input]` and `s_n: [output]`, each 1 or -1 with probability 1/2:
///
/// y_n = x_n M + m + s_n ((r_n x_n) (S noise_W) + s noise_b)
///
/// for kernel locations M and scales S and bias locations m and scales s; signs and noise multiply elementwise. That is
/// the affine layer of the weights M + S (noise_W r_n s_n') and m + s noise_b s_n: a normal draw times a sign is a
/// normal draw, so the output of one example, over all its units at once, has exactly the law that drawn weights give
/// it. Signs of different examples are independent, so their outputs are uncorrelated (not independent), and the
/// variance of a mean over examples falls with their number as if each had weights of its own - at the cost of two
/// products.
///
/// There is one set of draws: the Monte Carlo divergence gets the very weights that are flipped, M + S noise_W and m +
/// s noise_b. (In TFP the divergence, the bias and the perturbation draw three times, and the bias is not flipped,
/// which correlates the outputs of all examples.) A bias posterior of another family than normal is drawn once for all
/// examples and added.
///
/// In an input with axes between example and units, `[examples, positions.., input]`, all positions of an example share
/// its signs, as they would share drawn weights. With [`PosteriorValue::Mean`](crate::PosteriorValue::Mean),
/// [`Mode`](crate::PosteriorValue::Mode) or a closure it is the affine layer of that value of the weights, and draws
/// nothing of its own. See [`Variational`](crate::Variational) for the options.
///
/// ```
/// use bayeslift_layers::{Activation, AffineVariationalFlipout, Layer};
/// let layer = AffineVariationalFlipout::new(784, 10).activation(Activation::Relu);
/// let paths: Vec<_> = layer.variables()?.into_iter().map(|variable| variable.path).collect();
/// assert_eq!(paths, ["kernel/loc", "kernel/raw_scale", "bias/loc", "bias/raw_scale"]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type AffineVariationalFlipout = AffineVariational<Flipout>;

/// Draws the weights and flips them for each example: the estimator of [`AffineVariationalFlipout`].
#[derive(Clone, Default)]
pub struct Flipout {
    unpack: Unpack,
}

unpacking_estimator!(Flipout);

/// The signs of one call of a flipout layer.
#[derive(Clone, Copy, Debug)]
pub struct Signs<'b> {
    /// Of the input's channels: `[examples, 1.., input]`.
    pub input: Expr<'b>,
    /// Of the output's channels: `[examples, 1.., output]`.
    pub output: Expr<'b>,
}

impl<'b> Signs<'b> {
    /// Draws signs for each example and channel of an input and an output of these shapes, at the sites `sign_input`
    /// and `sign_output` of this call alone. Axes between example and channel - the positions of an image - share them.
    /// With samples there is one more axis in front.
    ///
    /// # Errors
    /// A context without a noise address.
    pub fn draw(context: &Context<'b>, input: &Shape, output: &Shape) -> Result<Self, Error> {
        let axes = usize::from(context.sample_count().is_some());
        let signs = |name: &str, shape: &Shape| {
            let mut extents = shape.to_vec();
            let units = extents.len().saturating_sub(1);
            if let Some(positions) = extents.get_mut(axes + 1..units) {
                positions.fill(1);
            }
            context.call_site(name).example_noise(NoiseDistribution::Rademacher, &extents.as_slice().into())
        };
        Ok(Signs { input: signs("sign_input", input)?, output: signs("sign_output", output)? })
    }
}

/// The bias of [`flipout_output`], which has an example.
#[derive(Clone, Copy, Debug)]
pub enum FlipoutBias<'b> {
    /// Drawn from this distribution with this noise, `[output]` or `[samples, output]`, and flipped for each example.
    Normal(Normal<'b>, Expr<'b>),
    /// A value, the same for all examples: `[output]`, or `[samples, output]`.
    Value(Expr<'b>),
}

/// x M + m + s ((r x) (S noise) + bias noise), where M and S act on x as `linear` says; see
/// [`AffineVariationalFlipout`].
///
/// `noise` has the shape of the kernel, or a sample axis in front of it. All draws are arguments, so that it is a
/// function; [`Signs::draw`] draws the signs.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{FlipoutBias, MatrixProduct, Signs, distribution::Normal, flipout_output};
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let (x, kernel) = (full(1.0, &[1, 2]), Normal::new(full(2.0, &[2, 1]), full(0.5, &[2, 1])));
/// let signs = Signs { input: full(-1.0, &[1, 2]), output: full(1.0, &[1, 1]) }; // or by `Signs::draw`
/// let bias = FlipoutBias::Value(full(0.25, &[1]));
/// b.output("y", flipout_output(&MatrixProduct, x, &kernel, full(3.0, &[2, 1]), Some(bias), &signs));
/// // (1 + 1) 2 + 0.25 + (-1 - 1) 0.5 * 3
/// assert_eq!(evaluate(&b.finish()?, &[])?[0].as_f32(), Some(&[1.25][..]));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn flipout_output<'b>(
    linear: &dyn Linear,
    x: Expr<'b>,
    kernel: &Normal<'b>,
    noise: Expr<'b>,
    bias: Option<FlipoutBias<'b>>,
    signs: &Signs<'b>,
) -> Expr<'b> {
    let mut loc = linear.apply(x, kernel.loc);
    let mut perturbation = linear.apply(linear.multiply(x, signs.input), kernel.scale * noise);
    match bias {
        Some(FlipoutBias::Normal(bias, noise)) => {
            loc = add_bias(loc, bias.loc);
            perturbation = add_bias(perturbation, bias.scale * noise);
        }
        Some(FlipoutBias::Value(bias)) => loc = add_bias(loc, bias),
        None => {}
    }
    loc + perturbation * signs.output
}

impl Estimator for Flipout {
    fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
        self.unpack.forward(call, |call| draw(call, x))
    }
}

fn draw<'b>(call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
    let posterior = call.normal_kernel("flipout")?;
    let (kernel, bias) = (call.kernel()?, call.bias()?);
    // Only a draw has noise.
    let Some(noise) = kernel.noise else { return Ok(call.of_values(x, kernel, bias)) };
    let normal = call.posterior.bias.as_ref().and_then(AnyDistribution::as_normal);
    let flipped = bias.map(|draw| match (normal, draw.noise) {
        (Some(posterior), Some(noise)) => FlipoutBias::Normal(posterior, noise),
        _ => FlipoutBias::Value(draw.value),
    });
    let output = call.linear.apply(x, posterior.loc).shape();
    let signs = Signs::draw(call.context, &call.linear.input_shape(x), &output)?;
    let output = flipout_output(call.linear, x, &posterior, noise, flipped, &signs);
    Ok(Estimate { output, kernel: Some(kernel), bias })
}
