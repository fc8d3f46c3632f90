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
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Context, Convolution, KernelBias, KernelBiasLayer, Scope};
/// let layer = Convolution::new(1, 4, 3).use_bias(false);
/// layer.check()?;
/// assert_eq!(layer.config().name(), "convolution");
/// let shape = layer.kernel_bias_shape().kernel;
/// assert_eq!(shape[..], [3, 3, 1, 4]);
/// // the layer with a kernel that is no parameter of its own
/// let b = Builder::new();
/// let context = Context::new(Scope::describe(&b));
/// let (x, kernel) = (b.input("x", Type::f32([16, 28, 28, 1])), b.input("drawn", Type::f32(shape)));
/// let y = layer.linear(&context, x)?.apply(layer.prepare(x), kernel);
/// let same = layer.output(&context, x, KernelBias { kernel, bias: None })?;
/// assert_eq!((&y.shape()[..], y.shape()), (&[16, 26, 26, 4][..], same.shape()));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub trait KernelBiasLayer: sealed::Sealed + Layer + Clone + Debug + 'static {
    /// What all such layers are told: sizes, initializers, activation, name.
    fn config(&self) -> &KernelBiasConfig;

    /// The shapes of kernel and bias and their initializers, as makers of posteriors receive them. An affine layer has
    /// a kernel `[batch.., input, output]`, a convolution `[batch.., filter.., input / groups, output]`.
    fn kernel_bias_shape(&self) -> KernelBiasShape;

    /// Checks what does not depend on parameters or inputs.
    ///
    /// # Errors
    /// [`Error::Argument`] for arguments of the layer that make no sense, such as a size of 0 or groups that do not
    /// divide the channels.
    fn check(&self) -> Result<(), Error>;

    /// How the kernel acts on an input like `x`, as its caller gives it, before [`KernelBiasLayer::prepare`].
    ///
    /// # Errors
    /// An input of another shape or element type than the layer takes.
    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error>;

    /// For a kernel that is a table, of which calls read rows: the weights `[rows, 1]` by which its divergence is
    /// estimated of the rows that were read, if it is; see [`Reads`](crate::Reads). Default: `None`.
    ///
    /// ```
    /// use bayeslift_ir::Builder;
    /// use bayeslift_layers::{Affine, EmbeddingVariationalReparameterizationLocal, KernelBiasLayer, Scope};
    /// let b = Builder::new();
    /// let scope = Scope::describe(&b);
    /// let layer = EmbeddingVariationalReparameterizationLocal::new(3, 2).read_counts([4, 1, 0]);
    /// let weights = layer.inner().read_weights(&scope)?;
    /// assert_eq!(weights.map(|weights| weights.shape()), Some([3, 1].into()));
    /// assert!(Affine::new(3, 2).read_weights(&scope)?.is_none());
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Parameters that do not fit.
    fn read_weights<'b>(&self, scope: &Scope<'b>) -> Result<Option<Expr<'b>>, Error> {
        let _ = scope;
        Ok(None)
    }

    /// What the kernel acts on, made of the layer's input. Default: the input itself; an embedding makes whole numbers,
    /// `u32`, of it.
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

mod sealed {
    /// What [`layer_of_kernel_and_bias`](super::layer_of_kernel_and_bias) makes a layer.
    pub trait Sealed {
        /// What all such layers are told, to change it.
        fn config_mut(&mut self) -> &mut super::KernelBiasConfig;
    }
}
pub(crate) use sealed::Sealed;

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
        impl crate::linear::Sealed for $layer {
            fn config_mut(&mut self) -> &mut crate::KernelBiasConfig {
                &mut self.config
            }
        }

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
///
/// ```
/// use bayeslift_layers::{Affine, KernelBiasLayer};
/// assert_eq!(Affine::new(3, 2).config().name(), "affine");
/// assert_eq!(Affine::new(3, 2).name("hidden").config().name(), "hidden");
/// ```
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

    /// The layer's own name, or the default of its kind, such as `affine`, without the number that a container adds.
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
        /// Glorot uniform; of an embedding uniform on (-0.05, 0.05).
        ///
        /// ```
        /// use bayeslift_layers::{Affine, Initializer, Layer};
        /// let layer = Affine::new(3, 2).kernel_initializer(Initializer::Ones);
        /// let layer = layer.bias_initializer(Initializer::Constant(0.5));
        /// let parameters = layer.initialize(0)?;
        /// assert_eq!(parameters.get("kernel")?.tensor.as_f32(), Some(&[1.0; 6][..]));
        /// assert_eq!(parameters.get("bias")?.tensor.as_f32(), Some(&[0.5; 2][..]));
        /// // what a layer was told it tells
        /// assert!(matches!(layer.get_kernel_initializer(), Initializer::Ones));
        /// assert!(matches!(layer.get_bias_initializer(), Initializer::Constant(_)));
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn kernel_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config_mut().kernel_initializer = initializer;
            self
        }

        /// The law of the bias's initial values; for a variational layer, of its posterior's location. Default: zeros.
        pub fn bias_initializer(mut self, initializer: crate::Initializer) -> Self {
            self.config_mut().bias_initializer = initializer;
            self
        }

        /// Whether a bias, a number for each output unit, is added. Default: it is; in an embedding it is not.
        ///
        /// ```
        /// use bayeslift_layers::{Affine, Layer};
        /// let layer = Affine::new(3, 2).use_bias(false);
        /// assert!(!layer.has_bias());
        /// assert_eq!(layer.initialize(0)?.paths().collect::<Vec<_>>(), ["kernel"]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.config_mut().use_bias = use_bias;
            self
        }

        /// The element type of parameters, input and output, `f32` or `f64`: that of the network, which is `f32` unless
        /// a layer of it says otherwise. Layers that say different types are an error when the network is made.
        ///
        /// ```
        /// use bayeslift_ir::DType;
        /// use bayeslift_layers::{Affine, Layer, Sequential};
        /// let double = Affine::new(3, 2).dtype(DType::F64);
        /// assert_eq!((double.get_dtype(), Affine::new(3, 2).get_dtype()), (Some(DType::F64), None));
        /// // a layer that says nothing has the type of the others
        /// let network = Sequential::new().layer(double).layer(Affine::new(2, 1));
        /// assert!(network.variables()?.iter().all(|variable| variable.ty.dtype == DType::F64));
        /// let error = network.layer(Affine::new(1, 1).dtype(DType::F32)).initialize(0).unwrap_err();
        /// assert!(error.to_string().contains("the layer's dtype is f32, and the network is of f64"));
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn dtype(mut self, dtype: bayeslift_ir::DType) -> Self {
            self.config_mut().dtype = Some(dtype);
            self
        }

        /// The function that is applied to each element of the output, after the bias. Default: the identity.
        ///
        /// ```
        /// use bayeslift_layers::{Activation, Affine};
        /// let layer = Affine::new(3, 2).activation(Activation::Relu);
        /// assert_eq!(layer.get_activation().name(), "relu");
        /// ```
        pub fn activation(mut self, activation: crate::Activation) -> Self {
            self.config_mut().activation = activation;
            self
        }

        /// Whether the elements of all parameters are checked to be finite where they are initialized or bound to a
        /// graph; one that is not is refused with [`Error::NonFinite`](crate::Error::NonFinite). Default: they are not.
        ///
        /// ```
        /// use bayeslift_layers::{Affine, Initializer, Layer};
        /// let layer = Affine::new(3, 2).kernel_initializer(Initializer::Constant(f64::NAN));
        /// assert!(!layer.validates_args() && layer.initialize(0).is_ok());
        /// let error = layer.validate_args(true).initialize(0).unwrap_err();
        /// assert!(error.to_string().ends_with("is NaN at element 0; every element must be finite"));
        /// ```
        pub fn validate_args(mut self, validate_args: bool) -> Self {
            self.config_mut().validate_args = validate_args;
            self
        }

        /// Gives the layer a name, its part of the paths of its parameters, such as `hidden/kernel`. Names are unique
        /// in a container and have no `/`; others are refused where a network is made of it. Default: that of its kind,
        /// which containers number: `affine`, `affine_1`, ..
        ///
        /// ```
        /// use bayeslift_layers::{Affine, Layer, Sequential};
        /// let network = Sequential::new().layer(Affine::new(3, 2).name("hidden")).layer(Affine::new(2, 1));
        /// let parameters = network.initialize(0)?;
        /// assert_eq!(parameters.paths().collect::<Vec<_>>()[1..3], ["hidden/bias", "affine/kernel"]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config_mut().name = Some(name.into());
            self
        }

        /// The law that the kernel's initial values are drawn from: what
        /// [`kernel_initializer`](Self::kernel_initializer) was told, or the default.
        pub fn get_kernel_initializer(&self) -> &crate::Initializer {
            &self.config().kernel_initializer
        }

        /// The law that the bias's initial values are drawn from: what [`bias_initializer`](Self::bias_initializer)
        /// was told, or the default.
        pub fn get_bias_initializer(&self) -> &crate::Initializer {
            &self.config().bias_initializer
        }

        /// Whether the layer has a bias: what [`use_bias`](Self::use_bias) was told, or the default.
        pub fn has_bias(&self) -> bool {
            self.config().use_bias
        }

        /// The element type that [`dtype`](Self::dtype) was told; `None` if the layer has that of the network around
        /// it.
        pub fn get_dtype(&self) -> Option<bayeslift_ir::DType> {
            self.config().dtype
        }

        /// The function that is applied to the output: what [`activation`](Self::activation) was told, or
        /// [`Activation::None`](crate::Activation::None).
        pub fn get_activation(&self) -> &crate::Activation {
            &self.config().activation
        }

        /// Whether the elements of parameters are checked to be finite: what [`validate_args`](Self::validate_args) was
        /// told, or false.
        pub fn validates_args(&self) -> bool {
            self.config().validate_args
        }

        /// The number of units of the input: its last extent, channels for a convolution; for an embedding the number
        /// of categories.
        ///
        /// ```
        /// use bayeslift_layers::Affine;
        /// let layer = Affine::new(3, 2);
        /// assert_eq!((layer.input_size(), layer.output_size()), (3, 2));
        /// ```
        pub fn input_size(&self) -> usize {
            self.config().input_size
        }

        /// The number of units of the output: its last extent, channels for a convolution.
        pub fn output_size(&self) -> usize {
            self.config().output_size
        }
    };
}
pub(crate) use kernel_bias_options;
