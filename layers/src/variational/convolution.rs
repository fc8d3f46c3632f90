//! Convolutions with random weights, by each estimator.

use crate::{
    Convolution, ConvolutionTranspose, Estimator, Flipout, Local, PerAxis, Reparameterization, Variational,
    linear::{Geometry, convolution_options},
};

/// A convolution with random weights; see [`Variational`].
pub type ConvolutionVariational<E> = Variational<Convolution, E>;

/// A convolution whose weights are drawn: one draw of kernel and bias for all examples and positions of a call
/// (Blundell and others 2015). The Monte Carlo divergence uses that draw. See [`Variational`] and [`Convolution`] for
/// the options.
///
/// ```
/// use bayeslift_layers::{Activation, ConvolutionVariationalReparameterization, Layer, Padding};
/// let layer = ConvolutionVariationalReparameterization::new(3, 16, [3, 3])
///     .padding(Padding::Same)
///     .activation(Activation::Relu);
/// let paths: Vec<_> = layer.variables()?.into_iter().map(|variable| variable.path).collect();
/// assert_eq!(paths, ["kernel/loc", "kernel/raw_scale", "bias/loc", "bias/raw_scale"]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type ConvolutionVariationalReparameterization = Variational<Convolution, Reparameterization>;

/// A convolution whose outputs are drawn: the local reparameterization trick (Kingma, Salimans and Welling 2015).
///
/// With independent normal weights the output before the activation is normal at each position, and is drawn as such,
/// with noise of its own for each example, position and channel:
///
/// y = x * M + m + sqrt(x^2 * S^2 + s^2) noise
///
/// where * is the convolution, for kernel locations M and scales S and bias locations m and scales s, squares
/// elementwise. Under drawn weights, outputs at different positions of one example are correlated, as they share them;
/// here they are independent given the input. Each output has the right law, and the gradient of an expected sum over
/// positions is right; the variance of that sum is not that of drawn weights ([`ConvolutionVariationalFlipout`] keeps
/// the joint law of an example). See [`Variational`] and [`Convolution`] for the options.
///
/// ```
/// use bayeslift_layers::{Activation, ConvolutionVariationalReparameterizationLocal, Layer, flatten_rightmost};
/// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Sequential};
/// let network = Sequential::new()
///     .layer(ConvolutionVariationalReparameterizationLocal::new(1, 8, 5).strides(2).activation(Activation::Relu))
///     .layer(flatten_rightmost(3))
///     .layer(AffineVariationalReparameterizationLocal::new(2 * 2 * 8, 10));
/// println!("{}", network.summary()?);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type ConvolutionVariationalReparameterizationLocal = Variational<Convolution, Local>;

/// A convolution whose weights are drawn once and flipped for each example: flipout (Wen and others 2018, section 3.2).
///
/// Signs are drawn for each example and channel, and are the same at all its positions, so that the output of one
/// example - over all positions and channels at once - has exactly the law that drawn weights give it. See
/// [`AffineVariationalFlipout`](crate::AffineVariationalFlipout) for what is drawn, [`Variational`] and [`Convolution`]
/// for the options.
///
/// ```
/// use bayeslift_layers::{Activation, ConvolutionVariationalFlipout, Layer};
/// let layer = ConvolutionVariationalFlipout::new(1, 8, [3, 3]).activation(Activation::Relu);
/// assert_eq!(layer.variables()?[0].ty.shape[..], [3, 3, 1, 8]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub type ConvolutionVariationalFlipout = Variational<Convolution, Flipout>;

/// A transposed convolution with random weights; see [`Variational`].
pub type ConvolutionTransposeVariational<E> = Variational<ConvolutionTranspose, E>;

/// A transposed convolution whose weights are drawn; see [`ConvolutionVariationalReparameterization`].
pub type ConvolutionTransposeVariationalReparameterization = Variational<ConvolutionTranspose, Reparameterization>;

/// A transposed convolution whose outputs are drawn; see [`ConvolutionVariationalReparameterizationLocal`].
pub type ConvolutionTransposeVariationalReparameterizationLocal = Variational<ConvolutionTranspose, Local>;

/// A transposed convolution whose weights are drawn once and flipped for each example; see
/// [`ConvolutionVariationalFlipout`].
pub type ConvolutionTransposeVariationalFlipout = Variational<ConvolutionTranspose, Flipout>;

impl<E: Estimator> ConvolutionVariational<E> {
    /// A convolution from `input_size` to `output_size` channels with filters of this shape; a number is the size of a
    /// filter on every axis. See [`Variational::of`] for the defaults.
    pub fn new(input_size: usize, output_size: usize, filter_shape: impl Into<PerAxis>) -> Self {
        Variational::of(Convolution::new(input_size, output_size, filter_shape))
    }

    convolution_options!();

    fn geometry_mut(&mut self) -> &mut Geometry {
        self.layer.geometry_mut()
    }
}

impl<E: Estimator> ConvolutionTransposeVariational<E> {
    /// A transposed convolution from `input_size` to `output_size` channels with filters of this shape; a number is the
    /// size of a filter on every axis. See [`Variational::of`] for the defaults.
    pub fn new(input_size: usize, output_size: usize, filter_shape: impl Into<PerAxis>) -> Self {
        Variational::of(ConvolutionTranspose::new(input_size, output_size, filter_shape))
    }

    convolution_options!();

    /// How many positions more the output has; see [`ConvolutionTranspose::output_padding`].
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis>) -> Self {
        self.layer.output_padding = Some(output_padding.into());
        self
    }

    fn geometry_mut(&mut self) -> &mut Geometry {
        self.layer.geometry_mut()
    }
}
