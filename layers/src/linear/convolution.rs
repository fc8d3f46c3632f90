//! Convolutions: matrix products with windows on an image.

mod geometry;
mod padding;
mod per_axis;
mod transpose;

use super::kernel_bias::{Sealed, kernel_bias_options, layer_of_kernel_and_bias, output};
use crate::{Context, Error, KernelBias, KernelBiasConfig, KernelBiasLayer, KernelBiasShape, LayerDescription, Linear};
use bayeslift_ir::{Convolution as Windows, Expr, Shape, Tensor, Type};
use geometry::parts;
pub(crate) use geometry::{Geometry, convolution_options};
pub use padding::Padding;
pub use per_axis::PerAxis;
pub use transpose::ConvolutionTranspose;

/// A deterministic convolution, y = activation(x * kernel + bias), on one, two or three axes of positions.
///
/// Its input is `[examples.., positions.., input_size]`, channels last, and its output `[examples.., positions..,
/// output_size]`. It is a cross-correlation, as everywhere in the field: the filter is not reversed. Its parameters are
/// `kernel: [batch.., filter.., input_size / groups, output_size]` and `bias: [batch.., output_size]`.
///
/// With [`Convolution::batch_shape`] it is several layers at once: the axes right before the positions of the input,
/// `[.., batch.., positions.., input_size]`, are broadcast against the batch shape, as those before the units of an
/// [`Affine`](crate::Affine) layer are.
///
/// Fans of initializers include the filter: `input_size / groups` and `output_size` times its elements.
///
/// Refused with [`Error::Argument`], where parameters are declared: sizes, strides or dilations of 0, groups that do
/// not divide both sizes. Refused with [`Error::Shape`], where it is called: an input without these axes, or with fewer
/// positions than a window reaches over.
///
/// ```
/// use bayeslift_layers::{Activation, Convolution, Layer, Padding};
/// let layer = Convolution::new(1, 8, [5, 5]).strides(2).padding(Padding::Same).activation(Activation::Relu);
/// assert_eq!(layer.variables()?[0].ty.shape[..], [5, 5, 1, 8]);
/// assert_eq!(layer.trace([16, 28, 28, 1].into())?.rows[0].ty.shape[..], [16, 14, 14, 8]);
/// let small = Convolution::new(1, 8, [5, 5]).trace([16, 4, 28, 1].into());
/// assert!(small.unwrap_err().to_string().contains("expected positions of [5,5] or more"));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Convolution {
    config: KernelBiasConfig,
    geometry: Geometry,
    batch_shape: Shape,
}

impl Convolution {
    /// A convolution from `input_size` to `output_size` channels with filters of this shape; a number is the size of a
    /// filter on every axis.
    pub fn new(input_size: usize, output_size: usize, filter_shape: impl Into<PerAxis>) -> Self {
        Convolution {
            config: KernelBiasConfig::new("convolution", input_size, output_size),
            geometry: Geometry::new(filter_shape.into()),
            batch_shape: Shape::default(),
        }
    }

    kernel_bias_options!();
    convolution_options!();

    /// The shape of a batch of independent layers, each with its own kernel and bias. Default: one layer, the empty
    /// shape.
    ///
    /// ```
    /// use bayeslift_layers::{Convolution, Layer};
    /// let ensemble = Convolution::new(1, 8, 3).batch_shape([5]);
    /// assert_eq!(ensemble.variables()?[0].ty.shape[..], [5, 3, 3, 1, 8]);
    /// assert_eq!(ensemble.trace([32, 1, 28, 28, 1].into())?.rows[0].ty.shape[..], [32, 5, 26, 26, 8]);
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn batch_shape(mut self, batch_shape: impl Into<Shape>) -> Self {
        self.batch_shape = batch_shape.into();
        self
    }

    fn words(&self) -> LayerDescription {
        self.geometry.describe(self.config.describe()).option("batch_shape", &self.batch_shape)
    }

    pub(crate) fn geometry_mut(&mut self) -> &mut Geometry {
        &mut self.geometry
    }
}

layer_of_kernel_and_bias!(Convolution);

impl KernelBiasLayer for Convolution {
    fn config(&self) -> &KernelBiasConfig {
        &self.config
    }

    fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.geometry.shape(&self.config, &self.batch_shape)
    }

    fn check(&self) -> Result<(), Error> {
        self.geometry.check(&self.config)
    }

    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error> {
        self.check()?;
        context.check_image(x, self.geometry.rank(), self.config.input_size)?;
        Ok(Box::new(self.geometry.on(&x.shape())?))
    }

    fn output<'b>(&self, context: &Context<'b>, x: Expr<'b>, weights: KernelBias<Expr<'b>>) -> Result<Expr<'b>, Error> {
        if self.batch_shape.is_empty() {
            return output(self, context, x, weights);
        }
        let linear = self.linear(context, x)?;
        let (rank, samples) = (self.geometry.rank(), usize::from(context.sample_count().is_some()));
        let y = batched(&*linear, x, weights.kernel, &self.batch_shape, [rank, samples])?;
        let ones = vec![1; rank];
        let on_images = [&self.batch_shape, &ones[..], &[self.config.output_size]].concat();
        Ok(weights.bias.map_or(y, |bias| y + bias.reshape(on_images.as_slice())))
    }
}

/// Windows on the image, with a sample axis in front of the kernel, of the image, or of both.
impl Linear for Windows {
    fn apply<'b>(&self, x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
        Windows::apply(self, x, kernel)
    }
}

/// Each image `[.., batch.., positions.., channels]` by the kernel of its place in the batch, whose axes are broadcast
/// against the batch shape; the first `samples` axes of `x`, none or one, count samples and stay what they are.
fn batched<'b>(
    linear: &dyn Linear,
    x: Expr<'b>,
    kernel: Expr<'b>,
    batch: &Shape,
    [rank, samples]: [usize; 2],
) -> Result<Expr<'b>, Error> {
    let (shape, kernel_shape) = (x.shape(), kernel.shape());
    let (before, positions, channels) = parts(&shape, rank);
    let (samples, leading) = before.split_at(samples);
    let Some(rows) = Shape::new(leading).broadcast_with(batch) else {
        let expected = format!("axes before positions that broadcast with the batch shape {batch}");
        return Err(Error::shape("the input", expected, &shape));
    };
    let join = |parts: &[&[usize]]| Shape::new(&parts.concat());
    let image = join(&[positions, &[channels]]);
    let missing = vec![1; rows.len() - leading.len()];
    let x = x.reshape(join(&[samples, &missing, leading, &image]));
    let full = join(&[samples, &rows]);
    // The batch goes in front, so that each of its kernels meets all its images in one product.
    let (outer, inner) = full.split_at(full.len() - batch.len());
    let (rows, count) = (outer.iter().product::<usize>(), inner.iter().product::<usize>());
    let exchanged: Vec<usize> = [1, 0].into_iter().chain(2..rank + 3).collect();
    let x = x.broadcast(&join(&[&full, &image])).reshape(join(&[&[rows, count], &image])).transpose(&exchanged);
    let own = &kernel_shape[batch.len()..];
    let kernel = kernel.broadcast(&join(&[inner, own])).reshape(join(&[&[count], own]));
    let y = linear.apply(x, kernel).transpose(&exchanged);
    // after an error, which the builder keeps, there are no such axes
    Ok(y.shape().get(2..).map_or(y, |image| y.reshape(join(&[&full, image]))))
}

/// A kernel `[filter.. * input, output]`, as TFP's `ConvolutionV2` and its transposed convolutions hold it, under the
/// shape `[filter.., input, output]` that convolutions have here.
///
/// ```
/// use bayeslift_ir::Tensor;
/// use bayeslift_layers::unflatten_kernel;
/// let flat = Tensor::f32([18, 4], vec![0.5; 72])?;
/// assert_eq!(unflatten_kernel(&flat, &[3, 3, 2, 4].into())?.shape()[..], [3, 3, 2, 4]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// A tensor that is not such a matrix.
pub fn unflatten_kernel(flat: &Tensor, shape: &Shape) -> Result<Tensor, Error> {
    shape.check()?;
    let matrix = Shape::new(&[shape.rows(), shape.last_extent()]);
    match flat.to_f64s() {
        Some(elements) if *flat.shape() == matrix => {
            Ok(Tensor::floats(&Type::new(flat.dtype(), shape.clone()), elements)?)
        }
        _ => Err(Error::argument("the flattened kernel", format!("f32{matrix}"), flat.ty())),
    }
}
