//! What affine layers, convolutions and embeddings have in common: a kernel, a bias, and options.

use crate::{
    Activation, Call, Context, Declaration, Error, Group, Initializer, KernelBias, KernelBiasShape, Layer,
    LayerDescription, Linear, Scope, linear::add_bias,
};
use bayeslift_ir::{DType, Expr, Shape};
use std::fmt::Debug;

/// A layer y = activation(linear(x, kernel) + bias): an affine layer, a convolution, a transposed convolution.
///
/// This says what its kernel is and how it acts. Where the weights come from is another matter: from parameters, in the
/// layer itself, or from a posterior, in a [`Variational`](crate::Variational) of it.
///
/// It is sealed: this crate's layers are all that there are, so that methods may be added. For a layer of your own
/// implement [`Layer`], or, with random weights, [`VariationalLayer`](crate::VariationalLayer).
pub trait KernelBiasLayer: sealed::Sealed + Layer + Clone + Debug + 'static {
    /// What all such layers are told.
    fn config(&self) -> &KernelBiasConfig;

    /// What all such layers are told, to change it.
    fn config_mut(&mut self) -> &mut KernelBiasConfig;

    /// The shapes of kernel and bias, as makers of posteriors receive them.
    fn kernel_bias_shape(&self) -> KernelBiasShape;

    /// Checks what does not depend on parameters or inputs.
    ///
    /// # Errors
    /// Arguments of the layer that make no sense.
    fn check(&self) -> Result<(), Error>;

    /// How the kernel acts on an input like `x`.
    ///
    /// # Errors
    /// An input that does not fit.
    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error>;

    /// For a kernel that is a table, of which calls read rows: the weights `[rows, 1]` by which its divergence is
    /// estimated of the rows that were read, if it is; see [`Reads`](crate::Reads). Default: of no layer.
    ///
    /// # Errors
    /// Parameters that do not fit.
    fn read_weights<'b>(&self, scope: &Scope<'b>) -> Result<Option<Expr<'b>>, Error> {
        let _ = scope;
        Ok(None)
    }

    /// What the kernel acts on; default: the input itself.
    fn prepare<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        x
    }

    /// The output before the activation, of these weights, for a layer without randomness. An estimator of random
    /// weights calls [`KernelBiasLayer::linear`] instead, so a layer whose output is no linear map of its kernel has to
    /// be a [`Layer`] of its own.
    ///
    /// # Errors
    /// An input that does not fit.
    fn output<'b>(&self, context: &Context<'b>, x: Expr<'b>, weights: KernelBias<Expr<'b>>) -> Result<Expr<'b>, Error> {
        output(self, context, x, weights)
    }
}

pub(crate) mod sealed {
    /// What [`layer_of_kernel_and_bias`](super::layer_of_kernel_and_bias) makes a layer.
    pub trait Sealed {}
}

/// linear(x, kernel) + bias.
pub(crate) fn output<'b>(
    layer: &impl KernelBiasLayer,
    context: &Context<'b>,
    x: Expr<'b>,
    weights: KernelBias<Expr<'b>>,
) -> Result<Expr<'b>, Error> {
    let y = layer.linear(context, x)?.apply(layer.prepare(x), weights.kernel);
    Ok(weights.bias.map_or(y, |bias| add_bias(y, bias)))
}

/// Lets a type be a [`KernelBiasLayer`], and makes it a layer without randomness: its weights are parameters. Its
/// method `words` describes it.
macro_rules! layer_of_kernel_and_bias {
    ($layer:ty) => {
        impl crate::linear::kernel_bias::sealed::Sealed for $layer {}

        impl crate::Layer for $layer {
            fn name(&self) -> &str {
                self.config.name()
            }

            fn has_default_name(&self) -> bool {
                self.config.name.is_none()
            }

            fn element_type(&self) -> Option<bayeslift_ir::DType> {
                self.config.dtype
            }

            fn declare(&self, scope: &crate::Scope<'_>) -> Result<(), Error> {
                crate::linear::kernel_bias::declare(self, scope)
            }

            fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<crate::Call<'b>, Error> {
                crate::linear::kernel_bias::call(self, context, x)
            }

            fn describe(&self) -> crate::LayerDescription {
                self.words()
            }
        }
    };
}
pub(crate) use layer_of_kernel_and_bias;

pub(crate) fn declare(layer: &impl KernelBiasLayer, scope: &Scope<'_>) -> Result<(), Error> {
    weights(layer, scope).map(drop).map_err(|error| error.within(layer.config().label(scope.path())))
}

pub(crate) fn call<'b>(layer: &impl KernelBiasLayer, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
    let output = weights(layer, context.scope()).and_then(|weights| layer.output(context, x, weights));
    let output = output.map_err(|error| error.within(layer.config().label(context.path())))?;
    Ok(Call::new(layer.config().activation.apply(output)))
}

/// What every layer with a kernel and a bias is told; set it by the layer's own methods.
#[derive(Clone, Debug)]
pub struct KernelBiasConfig {
    pub(crate) input_size: usize,
    pub(crate) output_size: usize,
    pub(crate) kernel_initializer: Initializer,
    pub(crate) bias_initializer: Initializer,
    pub(crate) use_bias: bool,
    pub(crate) dtype: Option<DType>,
    pub(crate) activation: Activation,
    pub(crate) validate_args: bool,
    pub(crate) name: Option<String>,
    kind: &'static str,
}

impl KernelBiasConfig {
    /// The defaults of a layer whose default name is `kind`.
    pub(crate) fn new(kind: &'static str, input_size: usize, output_size: usize) -> Self {
        KernelBiasConfig {
            input_size,
            output_size,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            use_bias: true,
            dtype: None,
            activation: Activation::None,
            validate_args: false,
            name: None,
            kind,
        }
    }

    /// Its own name, or the default of its kind.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind)
    }

    /// What changes the layer's output, in words.
    pub(crate) fn describe(&self) -> LayerDescription {
        LayerDescription::new(self.kind)
            .option("input_size", self.input_size)
            .option("output_size", self.output_size)
            .option("use_bias", self.use_bias)
            .option("activation", self.activation.name())
    }

    /// The shapes of a kernel `batch ++ window ++ [input, output]` and of its bias `batch ++ [output]`.
    pub(crate) fn shape(&self, batch: &Shape, window: &[usize], input: usize) -> KernelBiasShape {
        let join = |parts: &[&[usize]]| Shape::new(&parts.concat());
        KernelBiasShape {
            kernel: join(&[batch, window, &[input, self.output_size]]),
            bias: self.use_bias.then(|| join(&[batch, &[self.output_size]])),
            kernel_initializer: self.kernel_initializer.clone(),
            bias_initializer: self.bias_initializer.clone(),
            batch_ndims: batch.len(),
        }
    }

    /// Checks what does not depend on parameters.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (argument, size) in [("input_size", self.input_size), ("output_size", self.output_size)] {
            if size == 0 {
                return Err(Error::argument(argument, "at least 1", size));
            }
        }
        Ok(())
    }

    /// The path that errors of the layer name: its own at the root, where there is no path.
    pub(crate) fn label<'a>(&'a self, path: &'a str) -> &'a str {
        if path.is_empty() { self.name() } else { path }
    }
}

/// The parameters `kernel` and `bias` of a layer without randomness, declared or found.
fn weights<'b>(layer: &impl KernelBiasLayer, scope: &Scope<'b>) -> Result<KernelBias<Expr<'b>>, Error> {
    layer.check()?;
    scope.check_dtype(layer.config().dtype)?;
    let (shape, scope) = (layer.kernel_bias_shape(), scope.validating(layer.config().validate_args));
    let weight = |name: &str, extents: &Shape, initializer: &Initializer| {
        let batch_ndims = shape.batch_ndims;
        let declaration =
            Declaration { shape: extents, initializer, batch_ndims, trainable: true, group: Group::Weight };
        scope.declare_parameter(name, &declaration)
    };
    let kernel = weight("kernel", &shape.kernel, &shape.kernel_initializer)?;
    let bias = shape.bias.as_ref().map(|extents| weight("bias", extents, &shape.bias_initializer));
    Ok(KernelBias { kernel, bias: bias.transpose()? })
}

/// The builder methods that all layers with a kernel and a bias share.
macro_rules! kernel_bias_options {
    () => {
        /// The law of the kernel's initial values; for a variational layer, of its posterior's location. Default:
        /// Glorot uniform.
        pub fn kernel_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config_mut().kernel_initializer = initializer;
            self
        }

        /// The law of the bias's initial values; for a variational layer, of its posterior's location. Default: zeros.
        pub fn bias_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config_mut().bias_initializer = initializer;
            self
        }

        /// Whether there is a bias. There is by default.
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.config_mut().use_bias = use_bias;
            self
        }

        /// The element type of parameters, input and output, `f32` or `f64`: that of the network, which is `f32` unless
        /// a layer of it says otherwise. Layers that say different types are an error when the network is made.
        pub fn dtype(mut self, dtype: bayeslift_ir::DType) -> Self {
            self.config_mut().dtype = Some(dtype);
            self
        }

        /// The function of the output. Default: the identity.
        pub fn activation(mut self, activation: crate::Activation) -> Self {
            self.config_mut().activation = activation;
            self
        }

        /// Whether the elements of all parameters are checked to be finite where they are bound.
        pub fn validate_args(mut self, validate_args: bool) -> Self {
            self.config_mut().validate_args = validate_args;
            self
        }

        /// Gives the layer a name, its part of the paths of its parameters, such as `hidden/kernel`. Names are unique
        /// in a container and have no `/`; others are refused where a network is made of it. Default: that of its kind,
        /// which containers number: `affine`, `affine_1`, ..
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config_mut().name = Some(name.into());
            self
        }

        /// The law that the kernel's initial values are drawn from.
        pub fn get_kernel_initializer(&self) -> &crate::Initializer {
            &self.config().kernel_initializer
        }

        /// The law that the bias's initial values are drawn from.
        pub fn get_bias_initializer(&self) -> &crate::Initializer {
            &self.config().bias_initializer
        }

        /// Whether there is a bias.
        pub fn has_bias(&self) -> bool {
            self.config().use_bias
        }

        /// The element type, if it was told one.
        pub fn get_dtype(&self) -> Option<bayeslift_ir::DType> {
            self.config().dtype
        }

        /// The function of the output.
        pub fn get_activation(&self) -> &crate::Activation {
            &self.config().activation
        }

        /// Whether the elements of parameters are checked to be finite where they are bound.
        pub fn validates_args(&self) -> bool {
            self.config().validate_args
        }

        /// The number of inputs, or of channels of the input.
        pub fn input_size(&self) -> usize {
            self.config().input_size
        }

        /// The number of outputs, or of channels of the output.
        pub fn output_size(&self) -> usize {
            self.config().output_size
        }
    };
}
pub(crate) use kernel_bias_options;
