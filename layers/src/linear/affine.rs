//! The densely connected layer without randomness, y = activation(x kernel + bias).

use crate::{
    Context, Error, KernelBias, KernelBiasConfig, KernelBiasLayer, KernelBiasShape, LayerDescription, Linear,
    MatrixProduct,
    linear::kernel_bias::{Sealed, kernel_bias_options, layer_of_kernel_and_bias, output},
    linear::{add_bias, product},
};
use bayeslift_ir::{Expr, Shape};

/// A deterministic affine layer, y = activation(x kernel + bias), with one parameter `kernel: [batch.., input,
/// output]` and one `bias: [batch.., output]`.
///
/// Its input is `[.., input]`, with any number of axes in front, and its output `[.., output]`. With
/// [`Affine::batch_shape`] it is several layers at once: the leading axes of the input are broadcast against the batch
/// shape, aligned at the last, and the output is `[broadcast.., output]`. An ensemble of five on `[rows, 64]` inputs
/// takes them as `[rows, 1, 64]` and gives `[rows, 5, 10]`.
///
/// Refused with [`Error::Argument`], where parameters are declared: a size of 0. Refused with [`Error::Shape`], where
/// it is called: an input whose last extent is not `input`, or whose other axes do not broadcast with the batch shape.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Activation, Affine, Context, Initializer, Layer, Scope};
/// let layer = Affine::new(2, 1).kernel_initializer(Initializer::Ones).activation(Activation::Relu);
/// let parameters = layer.initialize(0)?;
/// assert_eq!(parameters.paths().collect::<Vec<_>>(), ["kernel", "bias"]);
/// let b = Builder::new();
/// let context = Context::new(Scope::bind(&b, &parameters)?);
/// b.output("y", layer.call(&context, b.input("x", Type::f32([2, 2])))?.output);
/// // the inputs of the graph are the parameters, then x
/// let mut inputs: Vec<Tensor> = parameters.iter().map(|(_, parameter)| parameter.tensor.clone()).collect();
/// inputs.push(Tensor::f32([2, 2], [1.0, 2.0, 1.0, -2.0])?);
/// assert_eq!(evaluate(&b.finish()?, &inputs)?[0].as_f32(), Some(&[3.0, 0.0][..]));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Affine {
    config: KernelBiasConfig,
    batch_shape: Shape,
}

impl Affine {
    /// A layer from `input_size` to `output_size` units, each at least 1; else it is refused where its parameters are
    /// declared.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        Affine { config: KernelBiasConfig::new("affine", input_size, output_size), batch_shape: Shape::default() }
    }

    kernel_bias_options!();

    /// The shape of a batch of independent layers, each with its own kernel and bias. Default: one layer, the empty
    /// shape.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer};
    /// let ensemble = Affine::new(64, 10).batch_shape([5]);
    /// assert_eq!(ensemble.variables()?[0].ty.shape[..], [5, 64, 10]);
    /// assert_eq!(ensemble.trace([32, 1, 64].into())?.rows[0].ty.shape[..], [32, 5, 10]);
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn batch_shape(mut self, batch_shape: impl Into<Shape>) -> Self {
        self.batch_shape = batch_shape.into();
        self
    }

    fn words(&self) -> LayerDescription {
        self.config.describe().option("batch_shape", &self.batch_shape)
    }
}

layer_of_kernel_and_bias!(Affine);

impl KernelBiasLayer for Affine {
    fn config(&self) -> &KernelBiasConfig {
        &self.config
    }

    fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.config.shape(&self.batch_shape, &[], self.config.input_size)
    }

    fn check(&self) -> Result<(), Error> {
        self.config.check()
    }

    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error> {
        context.check_input(x, self.config.input_size)?;
        Ok(Box::new(MatrixProduct))
    }

    fn output<'b>(&self, context: &Context<'b>, x: Expr<'b>, weights: KernelBias<Expr<'b>>) -> Result<Expr<'b>, Error> {
        if self.batch_shape.is_empty() {
            return output(self, context, x, weights);
        }
        context.check_input(x, self.config.input_size)?;
        let samples = usize::from(context.sample_count().is_some());
        let product = batched_product(x, weights.kernel, &self.batch_shape, samples)?;
        Ok(weights.bias.map_or(product, |bias| product + bias))
    }
}

/// x kernel + bias where the weights may have a sample axis in front: `x: [.., input]`, `kernel: [input, output]` or
/// `[samples, input, output]`, and likewise `bias`. With a sample axis the first axis of `x` counts samples and is 1
/// or as many.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::affine;
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([1, 32, 3]));
/// let (kernel, bias) = (b.input("kernel", Type::f32([5, 3, 2])), b.input("bias", Type::f32([5, 2])));
/// assert_eq!(affine(x, kernel, Some(bias)).shape()[..], [5, 32, 2]);
/// ```
///
/// Extents that do not fit are an error of the graph, which [`Builder::finish`](bayeslift_ir::Builder::finish) tells.
pub fn affine<'b>(x: Expr<'b>, kernel: Expr<'b>, bias: Option<Expr<'b>>) -> Expr<'b> {
    let product = product(x, kernel);
    bias.map_or(product, |bias| add_bias(product, bias))
}

/// y[.., b, o] = sum_i x[.., b, i] kernel[b, i, o] for `x: [.., batch.., input]`, whose axes are broadcast against
/// the batch shape; the first `samples` axes of `x`, none or one, count samples and stay what they are.
fn batched_product<'b>(x: Expr<'b>, kernel: Expr<'b>, batch: &Shape, samples: usize) -> Result<Expr<'b>, Error> {
    let (shape, kernel_shape) = (x.shape(), kernel.shape());
    let (input, output) = (shape.last_extent(), kernel_shape.last_extent());
    let leading = Shape::new(&shape[samples..shape.len() - 1]);
    let Some(rows) = leading.broadcast_with(batch) else {
        return Err(Error::shape(
            "the input",
            format!("leading axes that broadcast with the batch shape {batch}"),
            &shape,
        ));
    };
    let join = |parts: &[&[usize]]| Shape::new(&parts.concat());
    let samples = &shape[..samples];
    // Axes that the input has not come after that of samples, which is not broadcast against the batch.
    let missing = vec![1; rows.len() - leading.len()];
    let x = x.reshape(join(&[samples, &missing, &leading, &[input]]));
    let full = join(&[samples, &rows]);
    // The batch goes in front, so that each of its kernels meets all its rows in one product.
    let (outer, inner) = full.split_at(full.len() - batch.len());
    let (rows, count) = (outer.iter().product::<usize>(), inner.iter().product::<usize>());
    let x = x.broadcast(&join(&[&full, &[input]])).reshape([rows, count, input]).transpose(&[1, 0, 2]);
    let kernel = kernel.broadcast(&join(&[inner, &[input, output]])).reshape([count, input, output]);
    Ok(x.dot(kernel).transpose(&[1, 0, 2]).reshape(join(&[&full, &[output]])))
}
