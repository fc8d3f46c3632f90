//! Transposed convolutions: the adjoint of a convolution, as a layer.

use super::{
    PerAxis,
    geometry::{Geometry, convolution_options, parts, within_limits},
};
use crate::{
    Context, Error, KernelBiasConfig, KernelBiasLayer, KernelBiasShape, LayerDescription, Linear,
    linear::kernel_bias::{Sealed, kernel_bias_options, layer_of_kernel_and_bias},
};
use bayeslift_ir::{Convolution as Windows, Expr, Shape};

/// A deterministic transposed convolution: the adjoint of a [`Convolution`](crate::Convolution) with exchanged
/// channels, then bias and activation.
///
/// Its input is `[examples.., positions.., input_size]` and its output `[examples.., positions.., output_size]`.
/// Position p of the input adds its channels times element j of the filter to position p stride + j dilation of the
/// output; what the [`Padding`](crate::Padding) says is cut off the borders. Any stride goes with any dilation. Its
/// parameters are `kernel: [filter.., input_size / groups, output_size]`, TFP's layout, and `bias: [output_size]`;
/// [`unflatten_kernel`](crate::unflatten_kernel) reads kernels that TFP holds as matrices.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Context, ConvolutionTranspose, Layer, Padding, Scope};
/// let layer = ConvolutionTranspose::new(8, 1, [3, 3]).strides(2).padding(Padding::Same);
/// let b = Builder::new();
/// let parameters = layer.initialize(0)?;
/// let context = Context::new(Scope::bind(&b, &parameters)?);
/// let y = layer.call(&context, b.input("x", Type::f32([16, 14, 14, 8])))?.output;
/// assert_eq!(y.shape()[..], [16, 28, 28, 1]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConvolutionTranspose {
    config: KernelBiasConfig,
    geometry: Geometry,
    pub(crate) output_padding: Option<PerAxis>,
}

impl ConvolutionTranspose {
    /// A transposed convolution from `input_size` to `output_size` channels with filters of this shape; a number is the
    /// size of a filter on every axis.
    pub fn new(input_size: usize, output_size: usize, filter_shape: impl Into<PerAxis>) -> Self {
        ConvolutionTranspose {
            config: KernelBiasConfig::new("convolution_transpose", input_size, output_size),
            geometry: Geometry::new(filter_shape.into()),
            output_padding: None,
        }
    }

    kernel_bias_options!();
    convolution_options!();

    /// How many positions more the output has than the least, on each axis; less than the stride.
    ///
    /// Convolutions of several extents have one extent, and this says which of them is meant, as in Keras. For n
    /// positions, strides of s and filters that reach over r positions the least is (n - 1) s + r with
    /// [`Padding::Valid`](crate::Padding::Valid), that less 2 (r / 2) with [`Padding::Same`](crate::Padding::Same),
    /// that less r - 1 on the first axis of [`Padding::Causal`](crate::Padding::Causal), and that less what
    /// [`Padding::Explicit`](crate::Padding::Explicit) cuts off. Unless told, there are as many positions as
    /// [`Padding`](crate::Padding) says. A number that is not below the stride is refused where a network is made of
    /// the layer.
    ///
    /// ```
    /// use bayeslift_layers::{ConvolutionTranspose, Layer, Padding};
    /// let layer = |more: usize| ConvolutionTranspose::new(8, 1, [3]).strides(2).output_padding(more);
    /// let extent = |more| Ok::<_, bayeslift_layers::Error>(layer(more).trace([1, 14, 8].into())?.rows[0].ty.shape[1]);
    /// // (14 - 1) 2 + 3 at least
    /// assert_eq!((extent(0)?, extent(1)?), (29, 30));
    /// assert!(extent(2).unwrap_err().to_string().contains("output_padding is 2, expected less than strides"));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis>) -> Self {
        self.output_padding = Some(output_padding.into());
        self
    }

    fn words(&self) -> LayerDescription {
        let more = self.output_padding.as_ref().map(|more| more.on(self.geometry.rank()).to_string());
        let description = self.geometry.describe(self.config.describe());
        description.option("output_padding", more.as_deref().unwrap_or("none"))
    }

    pub(crate) fn geometry_mut(&mut self) -> &mut Geometry {
        &mut self.geometry
    }

    /// The transposed convolution of an input of this shape, which has enough axes.
    fn on(&self, input: &Shape) -> Result<Spread, Error> {
        let rank = self.geometry.rank();
        let (before, positions, channels) = parts(input, rank);
        let more = self.output_padding.as_ref().map(|more| more.each(rank).collect::<Vec<usize>>());
        let (mut axes, mut extents) = (Vec::new(), Vec::new());
        for (i, (mut axis, &n)) in self.geometry.axes().zip(positions).enumerate() {
            let more = more.as_ref().map(|more| more[i]);
            let Some((extent, cut)) = self.geometry.padding.of_transpose(i, &axis, n, more) else {
                let expected = format!("positions of which padding {:?} leaves some", self.geometry.padding);
                return Err(Error::shape("the input", expected, input));
            };
            let full = (n - 1) * axis.step + (axis.size - 1) * axis.dilation + 1;
            (axis.before, axis.after) = (cut, full.saturating_sub(cut.saturating_add(extent)));
            axes.push(axis);
            extents.push(extent);
        }
        let outputs = self.config.output_size;
        let whole: Vec<usize> = axes
            .iter()
            .zip(&extents)
            .map(|(axis, extent)| (axis.before.saturating_add(*extent)).saturating_add(axis.after).max(axis.step))
            .collect();
        within_limits("the output before cutting", &[before, &whole, &[outputs]])?;
        // Where strides are dilated, zeros are put between positions.
        let step = |axis: &bayeslift_ir::Sliding| if axis.dilation == 1 { axis.step } else { 1 };
        let windows: Vec<usize> = axes.iter().zip(&whole).map(|(axis, n)| n.div_ceil(step(axis))).collect();
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.size.div_ceil(step(axis))).collect();
        within_limits("the array of windows", &[before, &windows, &sizes, &[channels]])?;
        let convolution = Windows { axes: axes.into_iter().collect(), groups: self.geometry.groups };
        Ok(Spread { convolution, extents })
    }
}

layer_of_kernel_and_bias!(ConvolutionTranspose);

impl KernelBiasLayer for ConvolutionTranspose {
    fn config(&self) -> &KernelBiasConfig {
        &self.config
    }

    fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.geometry.shape(&self.config, &Shape::default())
    }

    fn check(&self) -> Result<(), Error> {
        self.geometry.check(&self.config)?;
        let Some(more) = &self.output_padding else { return Ok(()) };
        let rank = self.geometry.rank();
        more.check("output_padding", rank, 0)?;
        if more.each(rank).zip(self.geometry.axes()).any(|(more, axis)| more >= axis.step) {
            let expected = format!("less than strides on each axis, which is {}", self.geometry.strides);
            return Err(Error::argument("output_padding", expected, more));
        }
        Ok(())
    }

    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error> {
        self.check()?;
        context.check_image(x, self.geometry.rank(), self.config.input_size)?;
        Ok(Box::new(self.on(&x.shape())?))
    }
}

/// Each position of an image spread over a window of the result.
#[derive(Debug)]
struct Spread {
    convolution: Windows,
    extents: Vec<usize>,
}

impl Linear for Spread {
    fn apply<'b>(&self, x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
        self.convolution.apply_transpose(x, kernel, &self.extents)
    }
}
