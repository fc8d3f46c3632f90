use crate::{
    Activation, Call, Context, Declaration, Error, Group, Initializer, KernelBias, Layer, Scope, linear::add_bias,
};
use bayeslift_ir::{DType, Expr, Shape};

/// A deterministic affine layer, y = activation(x kernel + bias), with one parameter `kernel: [batch.., input,
/// output]` and one `bias: [batch.., output]`.
///
/// Its input is `[.., input]`, with any number of axes in front, and its output `[.., output]`. With
/// [`Affine::batch_shape`] it is several layers at once: the leading axes of the input are broadcast against the batch
/// shape, aligned at the last, and the output is `[broadcast.., output]`. An ensemble of five on `[rows, 64]` inputs
/// takes them as `[rows, 1, 64]` and gives `[rows, 5, 10]`.
///
/// ```
/// use bayeslift_layers::{Activation, Affine, Initializer, Layer};
/// let layer = Affine::new(64, 10).kernel_initializer(Initializer::HeUniform).activation(Activation::Relu);
/// assert_eq!(layer.variables()?.len(), 2);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Affine {
    pub(crate) config: AffineConfig,
    batch_shape: Shape,
}

/// What every affine layer is told.
#[derive(Clone, Debug)]
pub(crate) struct AffineConfig {
    pub input_size: usize,
    pub output_size: usize,
    pub kernel_initializer: Initializer,
    pub bias_initializer: Initializer,
    pub use_bias: bool,
    pub dtype: DType,
    pub activation: Activation,
    pub validate_args: bool,
    pub name: Option<String>,
}

impl AffineConfig {
    pub fn new(input_size: usize, output_size: usize) -> Self {
        AffineConfig {
            input_size,
            output_size,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            use_bias: true,
            dtype: DType::F32,
            activation: Activation::None,
            validate_args: false,
            name: None,
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("affine")
    }

    /// Checks what does not depend on parameters.
    pub fn check(&self) -> Result<(), Error> {
        for (argument, size) in [("input_size", self.input_size), ("output_size", self.output_size)] {
            if size == 0 {
                return Err(Error::argument(argument, "at least 1", size));
            }
        }
        if self.dtype != DType::F32 {
            return Err(Error::argument("dtype", "f32, the only float type so far", self.dtype));
        }
        Ok(())
    }

    /// The path that errors of the layer name: its own at the root, where there is no path.
    pub fn label<'a>(&'a self, path: &'a str) -> &'a str {
        if path.is_empty() { self.name() } else { path }
    }
}

/// The builder methods that all affine layers share.
macro_rules! affine_options {
    () => {
        /// The law of the kernel's initial values; for a variational layer, of its posterior's location. Glorot
        /// uniform unless told.
        pub fn kernel_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config.kernel_initializer = initializer;
            self
        }

        /// The law of the bias's initial values; for a variational layer, of its posterior's location. Zeros unless
        /// told.
        pub fn bias_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config.bias_initializer = initializer;
            self
        }

        /// Whether there is a bias. There is unless told.
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.config.use_bias = use_bias;
            self
        }

        /// The element type. Only `f32` so far; another is an error when the layer is declared.
        pub fn dtype(mut self, dtype: bayeslift_ir::DType) -> Self {
            self.config.dtype = dtype;
            self
        }

        /// The function of the output. The identity unless told.
        pub fn activation(mut self, activation: crate::Activation) -> Self {
            self.config.activation = activation;
            self
        }

        /// Whether the elements of all parameters are checked to be finite where they are bound.
        pub fn validate_args(mut self, validate_args: bool) -> Self {
            self.config.validate_args = validate_args;
            self
        }

        /// Its own name, unique in its container and without `/`. `affine` unless told, and numbered by containers.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config.name = Some(name.into());
            self
        }

        /// The number of inputs.
        pub fn input_size(&self) -> usize {
            self.config.input_size
        }

        /// The number of outputs.
        pub fn output_size(&self) -> usize {
            self.config.output_size
        }
    };
}
pub(crate) use affine_options;

impl Affine {
    /// A layer from `input_size` to `output_size` units.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        Affine { config: AffineConfig::new(input_size, output_size), batch_shape: Shape::default() }
    }

    affine_options!();

    /// The shape of a batch of independent layers. One layer, the empty shape, unless told.
    pub fn batch_shape(mut self, batch_shape: impl Into<Shape>) -> Self {
        self.batch_shape = batch_shape.into();
        self
    }

    fn weights<'b>(&self, scope: &Scope<'b>) -> Result<KernelBias<Expr<'b>>, Error> {
        self.config.check()?;
        let scope = scope.validating(self.config.validate_args);
        let batch_ndims = self.batch_shape.len();
        let weight = |name: &str, units: &[usize], initializer: &Initializer| {
            let shape = self.batch_shape.iter().chain(units).copied().collect::<Shape>();
            let declaration =
                Declaration { shape: &shape, initializer, batch_ndims, trainable: true, group: Group::Weight };
            scope.declare_parameter(name, &declaration)
        };
        let (input, output) = (self.config.input_size, self.config.output_size);
        let kernel = weight("kernel", &[input, output], &self.config.kernel_initializer)?;
        let bias = self.config.use_bias.then(|| weight("bias", &[output], &self.config.bias_initializer));
        Ok(KernelBias { kernel, bias: bias.transpose()? })
    }
}

impl Layer for Affine {
    fn name(&self) -> &str {
        self.config.name()
    }

    fn has_default_name(&self) -> bool {
        self.config.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.weights(scope).map(drop).map_err(|error| error.within(self.config.label(scope.path())))
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let call = || {
            let weights = self.weights(context.scope())?;
            context.check_input(x, self.config.input_size)?;
            let output = if self.batch_shape.is_empty() {
                affine(x, weights.kernel, weights.bias)
            } else {
                let samples = usize::from(context.sample_count().is_some());
                let product = batched_product(x, weights.kernel, &self.batch_shape, samples)?;
                weights.bias.map_or(product, |bias| product + bias)
            };
            Ok(Call::new(self.config.activation.apply(output)))
        };
        call().map_err(|error: Error| error.within(self.config.label(context.path())))
    }
}

/// x kernel + bias where the weights may have a sample axis in front: `x: [.., input]`, `kernel: [input, output]` or
/// `[samples, input, output]`, and likewise `bias`. With a sample axis the first axis of `x` counts samples and is 1
/// or as many.
pub fn affine<'b>(x: Expr<'b>, kernel: Expr<'b>, bias: Option<Expr<'b>>) -> Expr<'b> {
    let product = product(x, kernel);
    bias.map_or(product, |bias| add_bias(product, bias))
}

/// x kernel; see [`affine`].
pub(crate) fn product<'b>(x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
    let (shape, kernel_shape) = (x.shape(), kernel.shape());
    let units = kernel_shape.last_extent();
    if kernel_shape.len() <= 2 || shape.len() < 2 {
        // A single example is a matrix of one row.
        return if shape.len() == 1 { x.expand(0).dot(kernel).reshape([units]) } else { x.dot(kernel) };
    }
    // One matrix product a sample: all axes between the sample axis and the units count rows.
    let rows = shape[1..shape.len() - 1].iter().product();
    let output = x.reshape([shape[0], rows, shape.last_extent()]).dot(kernel);
    let mut extents = shape.to_vec();
    extents[0] = kernel_shape[0];
    *extents.last_mut().expect("an input has units") = units;
    output.reshape(extents.as_slice())
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
