use crate::{
    Context, Error, Estimator, Flipout, KernelBiasConfig, KernelBiasLayer, KernelBiasShape, LayerDescription, Linear,
    Local, MatrixProduct, Reparameterization, Variational,
    kernel_bias::{kernel_bias_options, layer_of_kernel_and_bias},
};
use bayeslift_ir::{DType, Expr, Shape};

/// Whole numbers beyond are not all of them an `f32`.
const MOST_FLOAT_CATEGORIES: usize = 1 << f32::MANTISSA_DIGITS;

/// A row of numbers for each of `input_size` categories: an input `[..]` of category numbers gives `[.., output_size]`,
/// rows of the parameter `kernel: [input_size, output_size]`.
///
/// Inputs are `u32`, or, of at most 2^24 categories, `f32` that are whole numbers; one that is no category gives a row of zeros. The initializer is
/// uniform on (-0.05, 0.05), as in Keras, and there is no bias, unless told.
///
/// For now it is a product of the kernel with rows that are 1 in one place: it costs as much as an affine layer from
/// `input_size` units, which is no matter for hundreds of categories and much for hundreds of thousands.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Context, Embedding, Layer, Scope};
/// let layer = Embedding::new(100, 16);
/// let b = Builder::new();
/// let context = Context::new(Scope::bind(&b, &layer.initialize(0)?)?);
/// let words = b.input("words", Type::u32([32, 7]));
/// assert_eq!(layer.call(&context, words)?.output.shape()[..], [32, 7, 16]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    config: KernelBiasConfig,
}

/// An embedding with random weights; see [`Variational`].
pub type EmbeddingVariational<E> = Variational<Embedding, E>;

/// An embedding whose rows are drawn: one draw for all examples of a call. See [`Variational`].
pub type EmbeddingVariationalReparameterization = Variational<Embedding, Reparameterization>;

/// An embedding whose outputs are drawn, each on its own: two places of one category get different draws of its row.
/// See [`Variational`].
pub type EmbeddingVariationalReparameterizationLocal = Variational<Embedding, Local>;

/// An embedding whose rows are drawn once and flipped for each example. See [`Variational`].
pub type EmbeddingVariationalFlipout = Variational<Embedding, Flipout>;

impl Embedding {
    /// Rows of `output_size` numbers for `input_size` categories.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        let mut config = KernelBiasConfig::new("embedding", input_size, output_size);
        config.kernel_initializer = crate::Initializer::Uniform { limit: 0.05 };
        config.use_bias = false;
        Embedding { config }
    }

    kernel_bias_options!();

    fn words(&self) -> LayerDescription {
        self.config.describe()
    }
}

impl<E: Estimator> EmbeddingVariational<E> {
    /// Rows of `output_size` numbers for `input_size` categories. See [`Variational::of`] for the defaults.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        Variational::of(Embedding::new(input_size, output_size))
    }
}

layer_of_kernel_and_bias!(Embedding);

impl KernelBiasLayer for Embedding {
    fn config(&self) -> &KernelBiasConfig {
        &self.config
    }

    fn config_mut(&mut self) -> &mut KernelBiasConfig {
        &mut self.config
    }

    fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.config.shape(&Shape::default(), &[], self.config.input_size)
    }

    fn check(&self) -> Result<(), Error> {
        self.config.check()
    }

    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error> {
        context.builder().check()?;
        let (ty, samples) = (x.ty(), context.sample_count());
        if !matches!(ty.dtype, DType::F32 | DType::U32) {
            return Err(Error::argument("the input's element type", "u32 or f32", ty.dtype));
        }
        if ty.dtype == DType::F32 && self.config.input_size > MOST_FLOAT_CATEGORIES {
            let expected = format!("u32, for more than {MOST_FLOAT_CATEGORIES} categories");
            return Err(Error::argument("the input's element type", expected, ty.dtype));
        }
        let fits = |samples: usize| ty.shape.first().is_some_and(|&first| first == 1 || first == samples);
        if samples.is_some_and(|samples| !fits(samples) || ty.shape.len() < 2) {
            return Err(Error::shape("the input", "[samples,examples,..]", &ty.shape));
        }
        if ty.shape.is_empty() {
            return Err(Error::shape("the input", "[examples,..]", &ty.shape));
        }
        Ok(Box::new(MatrixProduct))
    }

    fn prepare<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        let categories = self.config.input_size;
        if x.is_f32() {
            let is = x.expand(x.shape().len()).equal(x.builder().iota(categories).to_f32());
            is.select(1.0, 0.0)
        } else {
            x.one_hot(categories)
        }
    }
}
