//! Rows of a table by the numbers of categories, as a layer.

use super::{
    kernel_bias::{Sealed, kernel_bias_options, layer_of_kernel_and_bias},
    lookup::Lookup,
};
use crate::{
    Context, Declaration, Error, Group, Initializer, KernelBiasConfig, KernelBiasLayer, KernelBiasShape,
    LayerDescription, Linear, Scope, Unseen,
};
use bayeslift_ir::{DType, Expr, Shape, Tensor};
use std::sync::Arc;

/// Whole numbers beyond are not all of them an `f32`.
const MOST_FLOAT_CATEGORIES: usize = 1 << f32::MANTISSA_DIGITS;

/// A row of numbers for each of `input_size` categories: an input `[..]` of category numbers gives `[.., output_size]`,
/// rows of the parameter `kernel: [input_size, output_size]`.
///
/// Inputs are `u32`, or, of at most 2^24 categories, `f32` that are whole numbers. One that is no category gives a row
/// of zeros, or is an error: see [`Embedding::unseen`]. The initializer is uniform on (-0.05, 0.05), as in Keras, and
/// there is no bias; both are options. Inputs of another type are refused with [`Error::Argument`].
///
/// A call reads the rows that its input names, and costs nothing for others. What a step of training costs beside that
/// depends on the optimizer: one that moves the rows that were read alone
/// ([`Optimizer::moves_read_rows`](crate::Optimizer::moves_read_rows): plain [`Sgd`](crate::Sgd), and any in
/// [`Lazy`](crate::Lazy)) touches no others, so a table of a million rows trains at the cost of those of a batch, if
/// one layer of the network reads it, once. Others, such as [`Adam`](crate::Adam), move all rows in every step. For the
/// divergence of random rows see [`EmbeddingVariational::read_counts`](crate::EmbeddingVariational::read_counts).
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
    pub(crate) unseen: Unseen,
    /// How often each category occurs in the data of training.
    pub(crate) read_counts: Option<Arc<[u32]>>,
}

impl Embedding {
    /// Rows of `output_size` numbers for `input_size` categories; each is at least 1, or the layer is refused where its
    /// parameters are declared.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        let mut config = KernelBiasConfig::new("embedding", input_size, output_size);
        config.kernel_initializer = crate::Initializer::Uniform { limit: 0.05 };
        config.use_bias = false;
        Embedding { config, unseen: Unseen::default(), read_counts: None }
    }

    /// What an input gives that is no category. Default: a row of zeros.
    ///
    /// ```
    /// use bayeslift_layers::{Embedding, Unseen};
    /// let layer = Embedding::new(100, 16).unseen(Unseen::Error);
    /// ```
    pub fn unseen(mut self, unseen: Unseen) -> Self {
        self.unseen = unseen;
        self
    }

    kernel_bias_options!();

    fn words(&self) -> LayerDescription {
        let mut words = self.config.describe();
        if self.unseen != Unseen::default() {
            words = words.option("unseen", format!("{:?}", self.unseen));
        }
        if self.read_counts.is_some() {
            words = words.option("divergence", "of rows that are read");
        }
        words
    }
}

layer_of_kernel_and_bias!(Embedding);

impl KernelBiasLayer for Embedding {
    fn config(&self) -> &KernelBiasConfig {
        &self.config
    }

    fn kernel_bias_shape(&self) -> KernelBiasShape {
        self.config.shape(&Shape::default(), &[], self.config.input_size)
    }

    fn check(&self) -> Result<(), Error> {
        self.config.check()?;
        let (expected, found) = (self.config.input_size, self.read_counts.as_ref().map(|counts| counts.len()));
        match found.filter(|&found| found != expected) {
            None => Ok(()),
            Some(found) => Err(Error::argument("the number of read_counts", expected.to_string(), found)),
        }
    }

    fn read_weights<'b>(&self, scope: &Scope<'b>) -> Result<Option<Expr<'b>>, Error> {
        let Some(counts) = &self.read_counts else { return Ok(None) };
        let all: u64 = counts.iter().copied().map(u64::from).sum();
        let weight = move |&count: &u32| if count == 0 { 0.0 } else { all as f64 / f64::from(count) };
        let (shape, counts) = (Shape::new(&[self.config.input_size, 1]), Arc::clone(counts));
        let initializer = Initializer::custom(move |shape| {
            let weights: Vec<f64> = counts.iter().map(weight).collect();
            Ok(Tensor::f64(shape.clone(), weights)?)
        });
        let (trainable, group) = (false, Group::Statistic);
        let declaration = Declaration { shape: &shape, initializer: &initializer, batch_ndims: 0, trainable, group };
        scope.child("kernel").declare_parameter("weight", &declaration).map(Some)
    }

    fn linear<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Box<dyn Linear>, Error> {
        context.builder().check()?;
        let (ty, samples) = (x.ty(), context.sample_count());
        if !x.is_float() && ty.dtype != DType::U32 {
            let expected = format!("u32 or {}", context.builder().float());
            return Err(Error::argument("the input's element type", expected, ty.dtype));
        }
        if x.is_float() && self.config.input_size > MOST_FLOAT_CATEGORIES {
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
        Ok(Box::new(Lookup::new(self.config.input_size, self.unseen, context.scope())))
    }

    fn prepare<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        x.to_u32()
    }
}
