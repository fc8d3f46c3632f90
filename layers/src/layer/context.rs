//! What a layer is called with: parameters, samples, noise, and which values random weights have.

use crate::{Call, Draw, Error, Layer, PosteriorValue, Scope, TraceRow};
use bayeslift_ir::{Builder, Expr, Noise, NoiseAddress, NoiseDistribution, Shape, Type, noise::stream};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Adds the inputs that noise is addressed by: `noise/key`, `noise/first_sample`, `noise/first_row`; see
/// [`NoiseAddress`].
pub fn noise_inputs(builder: &Builder) -> NoiseAddress<'_> {
    NoiseAddress {
        key: builder.input("noise/key", Type::u32([4])),
        first_sample: builder.input("noise/first_sample", Type::u32([])),
        first_row: builder.input("noise/first_row", Type::u32([2])),
    }
}

/// What a layer is called with: the builder and parameters of its scope, where noise comes from, how many samples are
/// drawn at once.
///
/// # Samples
/// Without [`Context::samples`] tensors have the axes the user sees: `[rows, units]`. With it every tensor has one
/// more axis in front, which counts posterior samples. Its extent is 1 until the first layer that draws noise and the
/// number of samples from there on, so that what does not depend on the sample is computed once. [`Context::input`]
/// adds the axis to the network's input. Functions in between must therefore work on trailing axes.
///
/// ```
/// use bayeslift_ir::{Builder, NoiseDistribution, Type};
/// use bayeslift_layers::{
///     AffineVariationalReparameterizationLocal, Context, Layer, PosteriorValue, Scope, noise_inputs,
/// };
///
/// let layer = AffineVariationalReparameterizationLocal::new(3, 2);
/// let (builder, parameters) = (Builder::new(), layer.initialize(0)?);
/// let scope = Scope::bind(&builder, &parameters)?;
/// let x = builder.input("x", Type::f32([8, 3]));
///
/// // one draw for 8 rows, without an axis of samples; as predictions call it
/// let context = Context::new(scope.clone()).noise(noise_inputs(&builder));
/// assert_eq!((context.path(), context.sample_count(), context.is_training()), ("", None, false));
/// assert_eq!(layer.call(&context, x)?.output.ty(), Type::f32([8, 2]));
/// context.check_input(x, 3)?;
/// assert!(context.check_input(x, 4).is_err());
///
/// // sixteen draws at once, as training calls it
/// let many = context.clone().samples(16).training();
/// assert_eq!(many.input(x).ty(), Type::f32([1, 8, 3]));
/// assert_eq!(layer.call(&many, many.input(x))?.output.ty(), Type::f32([16, 8, 2]));
/// assert_eq!((many.sample_count(), many.is_training()), (Some(16), true));
///
/// // no draw: the means of all posteriors
/// let means = Context::new(scope).posterior_value(PosteriorValue::Mean);
/// assert!(matches!(means.posterior_value_override(), Some(PosteriorValue::Mean)));
/// assert_eq!(layer.call(&means, x)?.output.ty(), Type::f32([8, 2]));
///
/// // noise of a layer's own
/// let site = many.child("dropout").site("keep");
/// assert_eq!((site.path(), site.sample_count()), ("dropout/keep".to_owned(), Some(16)));
/// let uniform = site.example_noise(NoiseDistribution::Uniform, &[16, 8, 2].into())?;
/// assert_eq!(uniform.ty(), Type::f32([16, 8, 2]));
/// let of_weights = site.child("kernel").with_samples(None).weight_noise(NoiseDistribution::Normal, &[3, 2].into())?;
/// assert_eq!(of_weights.ty(), Type::f32([3, 2]));
/// assert!(means.site("keep").check_noise().unwrap_err().to_string().contains("keep")); // it has no address
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context<'b> {
    scope: Scope<'b>,
    noise: Option<NoiseAddress<'b>>,
    samples: Option<usize>,
    value: Option<PosteriorValue>,
    seed: Option<u64>,
    training: bool,
    calls: Rc<RefCell<HashMap<String, u32>>>,
    trace: Option<Rc<RefCell<Vec<TraceRow>>>>,
}

impl<'b> Context<'b> {
    /// A context without noise, for one posterior value.
    pub fn new(scope: Scope<'b>) -> Self {
        Context {
            scope,
            noise: None,
            samples: None,
            value: None,
            seed: None,
            training: false,
            calls: Rc::default(),
            trace: None,
        }
    }

    /// Draws noise at this address; see [`noise_inputs`].
    pub fn noise(mut self, address: NoiseAddress<'b>) -> Self {
        self.noise = Some(address);
        self
    }

    /// Draws `samples` posterior samples at once.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = Some(samples);
        self
    }

    /// Every variational layer uses this value of its posterior instead of its own choice, such as
    /// [`PosteriorValue::Mean`] for a prediction without noise.
    pub fn posterior_value(mut self, value: PosteriorValue) -> Self {
        self.value = Some(value);
        self
    }

    /// Calls layers as a step of training does: dropout drops, batch normalization uses the batch. Predictions do not.
    pub fn training(mut self) -> Self {
        self.training = true;
        self
    }

    /// Whether layers are called as a step of training does.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The network's input with the sample axis that layers expect.
    pub fn input(&self, x: Expr<'b>) -> Expr<'b> {
        if self.samples.is_some() { x.expand(0) } else { x }
    }

    /// The context of the layer `name` in this one.
    pub fn child(&self, name: &str) -> Context<'b> {
        Context { scope: self.scope.child(name), ..self.clone() }
    }

    /// Calls a layer of this one under a name: what a container does for each of its layers.
    ///
    /// # Errors
    /// Those of the layer and of the operations it adds, marked with its path.
    pub fn call_layer(&self, name: &str, layer: &dyn Layer, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let context = self.child(name);
        let call = self.builder().scoped(name, || layer.call(&context, x));
        let call = call.map_err(|error| error.within(context.path()))?;
        // Errors of the graph are kept for later; here the layer is known.
        self.builder().check().map_err(|error| Error::from(error).within(context.path()))?;
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(TraceRow::new(context.path(), call.output));
        }
        Ok(call)
    }

    /// This context, which notes what the layers called in it give.
    pub fn tracing(mut self) -> Self {
        self.trace = Some(Rc::default());
        self
    }

    /// What was noted, in the order in which layers returned; nothing unless [tracing](Context::tracing).
    pub fn traced(&self) -> Vec<TraceRow> {
        self.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default()
    }

    /// This context with a layer's own seed mixed into its noise addresses.
    pub(crate) fn seeded(&self, seed: Option<u64>) -> Context<'b> {
        Context { seed: seed.or(self.seed), ..self.clone() }
    }

    /// The builder of the graph.
    pub fn builder(&self) -> &'b Builder {
        self.scope.builder()
    }

    /// The scope of the parameters.
    pub fn scope(&self) -> &Scope<'b> {
        &self.scope
    }

    /// The path of the layer.
    pub fn path(&self) -> &str {
        self.scope.path()
    }

    /// The number of posterior samples drawn at once; `None` if tensors have no sample axis.
    pub fn sample_count(&self) -> Option<usize> {
        self.samples
    }

    /// The posterior value that overrides those of the layers.
    pub fn posterior_value_override(&self) -> Option<&PosteriorValue> {
        self.value.as_ref()
    }

    /// The noise site of a random variable: every call of the layer at this path shares its draws.
    pub fn site(&self, name: &str) -> Site<'b> {
        self.site_at(name.to_owned())
    }

    /// A noise site of this call alone: the second call of the layer at this path gets `name_1`, the third `name_2`.
    pub fn call_site(&self, name: &str) -> Site<'b> {
        let path = self.scope.path_of(name);
        let mut calls = self.calls.borrow_mut();
        let count = calls.entry(path).or_insert(0);
        *count += 1;
        self.site_at(if *count == 1 { name.to_owned() } else { format!("{name}_{}", *count - 1) })
    }

    fn site_at(&self, name: String) -> Site<'b> {
        Site { scope: self.scope.clone(), noise: self.noise, samples: self.samples, seed: self.seed, name }
    }

    /// Checks an input `[.., units]` of a layer, with the sample axis where there is one.
    ///
    /// # Errors
    /// No axis but the sample axis, another number of units, a sample axis that is neither 1 nor the number of
    /// samples, elements of another type than the network's floats.
    pub fn check_input(&self, x: Expr<'b>, units: usize) -> Result<(), Error> {
        self.builder().check()?;
        let (ty, axes) = (x.ty(), usize::from(self.samples.is_some()));
        if !x.is_float() {
            return Err(Error::argument("the input's element type", self.builder().float().name(), ty.dtype));
        }
        if ty.shape.len() <= axes || ty.shape.last_extent() != units {
            let samples = if axes == 1 { "samples,.." } else { ".." };
            return Err(Error::shape("the input", format!("[{samples},{units}]"), &ty.shape));
        }
        match self.samples {
            Some(samples) if ty.shape[0] != 1 && ty.shape[0] != samples => Err(Error::shape(
                "the input",
                format!("a first axis of 1 or {samples}, which counts samples"),
                &ty.shape,
            )),
            _ => Ok(()),
        }
    }

    /// Checks an input `[examples.., positions.., channels]` of a layer, with `rank` axes of positions and the sample
    /// axis where there is one.
    ///
    /// # Errors
    /// Too few axes; otherwise as for [`Context::check_input`].
    pub fn check_image(&self, x: Expr<'b>, rank: usize, channels: usize) -> Result<(), Error> {
        self.builder().check()?;
        let (shape, axes) = (x.shape(), usize::from(self.samples.is_some()));
        if x.is_float() && (shape.len() < axes + 1 + rank + 1 || shape.last_extent() != channels) {
            let samples = if axes == 1 { "samples," } else { "" };
            let positions = match rank {
                1 => "length",
                2 => "height,width",
                _ => "depth,height,width",
            };
            return Err(Error::shape("the input", format!("[{samples}examples,..,{positions},{channels}]"), &shape));
        }
        self.check_input(x, channels)
    }
}

/// A place in the network that draws noise: the path of a layer, the name of a random variable or call in it, and a
/// noise address.
///
/// ```
/// use bayeslift_ir::{Builder, NoiseDistribution, Type};
/// use bayeslift_layers::{Context, Scope, noise_inputs};
///
/// let builder = Builder::new();
/// let scope = Scope::initialize(&builder, 0).child("affine");
/// let context = Context::new(scope).noise(noise_inputs(&builder)).samples(16);
/// let site = context.site("kernel");
/// assert_eq!((site.path(), site.sample_count()), ("affine/kernel".to_owned(), Some(16)));
///
/// // the same for all examples of a sample, or for each example its own
/// let of_weights = site.weight_noise(NoiseDistribution::Normal, &[3, 2].into())?;
/// let of_examples = site.child("mask").example_noise(NoiseDistribution::Uniform, &[1, 8, 2].into())?;
/// assert_eq!((of_weights.ty(), of_examples.ty()), (Type::f32([16, 3, 2]), Type::f32([16, 8, 2])));
/// assert_eq!(site.with_samples(None).weight_noise(NoiseDistribution::Normal, &[3].into())?.ty(), Type::f32([3]));
///
/// // the address is a hash of path and name: other sites have other noise
/// assert_ne!(site.stream(), site.child("mask").stream());
/// assert!(site.value(of_weights).noise.is_none()); // a draw that is known by its value alone
/// let silent = Context::new(Scope::initialize(site.builder(), 0)).site("kernel");
/// assert!(silent.check_noise().unwrap_err().to_string().contains("kernel"));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Site<'b> {
    scope: Scope<'b>,
    noise: Option<NoiseAddress<'b>>,
    samples: Option<usize>,
    seed: Option<u64>,
    name: String,
}

impl<'b> Site<'b> {
    /// The path, such as `affine/kernel`.
    pub fn path(&self) -> String {
        self.scope.path_of(&self.name)
    }

    /// The builder of the graph.
    pub fn builder(&self) -> &'b Builder {
        self.scope.builder()
    }

    /// The number of posterior samples drawn at once.
    pub fn sample_count(&self) -> Option<usize> {
        self.samples
    }

    /// The site `name` in this one.
    pub fn child(&self, name: &str) -> Site<'b> {
        Site { name: format!("{}/{name}", self.name), ..self.clone() }
    }

    /// The site `name` in the place of this one.
    pub(crate) fn sibling(&self, name: &str) -> Site<'b> {
        Site { name: name.to_owned(), ..self.clone() }
    }

    /// This site with `samples` draws instead of the context's.
    pub fn with_samples(&self, samples: Option<usize>) -> Site<'b> {
        Site { samples, ..self.clone() }
    }

    /// The stream number: a hash of the layer's path and the site's name, and of the layer's own seed if it has one.
    pub fn stream(&self) -> u64 {
        match self.seed {
            None => stream(self.scope.path(), &self.name),
            Some(seed) => stream(self.scope.path(), &format!("{}#{seed}", self.name)),
        }
    }

    /// Noise for a random variable of this shape, shared by all examples: `[samples, shape..]`, or `shape` without
    /// samples.
    ///
    /// # Errors
    /// A context without a noise address.
    pub fn weight_noise(&self, law: NoiseDistribution, shape: &Shape) -> Result<Expr<'b>, Error> {
        self.draw(law, shape, false)
    }

    /// Noise for each example of an activation of this shape, whose first axis counts examples unless it is the last.
    /// A first axis that counts samples is replaced by the context's number of samples.
    ///
    /// # Errors
    /// A context without a noise address.
    pub fn example_noise(&self, law: NoiseDistribution, shape: &Shape) -> Result<Expr<'b>, Error> {
        // a scalar, as there is after an error, has no axis of samples
        let has_samples = self.samples.is_some() && !shape.is_empty();
        let shape = if has_samples { shape.without(0) } else { shape.clone() };
        self.draw(law, &shape, shape.len() > 1)
    }

    /// Checks that the site can draw noise.
    ///
    /// # Errors
    /// A context without a noise address.
    pub fn check_noise(&self) -> Result<(), Error> {
        self.address().map(drop)
    }

    fn address(&self) -> Result<NoiseAddress<'b>, Error> {
        self.noise.ok_or_else(|| Error::NoNoise { site: self.path() })
    }

    fn draw(&self, distribution: NoiseDistribution, shape: &Shape, examples: bool) -> Result<Expr<'b>, Error> {
        let address = self.address()?;
        Ok(addressed_noise(address, distribution, self.stream(), shape, self.samples, examples))
    }

    /// A draw known only by its value.
    pub fn value(&self, value: Expr<'b>) -> Draw<'b> {
        Draw { value, noise: None }
    }
}

/// Noise `[samples, shape..]`, or `shape` without samples; the first axis of `shape` counts examples if `examples` is
/// set.
pub(crate) fn addressed_noise<'b>(
    address: NoiseAddress<'b>,
    distribution: NoiseDistribution,
    stream: u64,
    shape: &Shape,
    samples: Option<usize>,
    examples: bool,
) -> Expr<'b> {
    // A scalar is drawn as one unit.
    let units = if shape.is_empty() { &[1][..] } else { shape };
    let extents: Shape = samples.iter().chain(units).copied().collect();
    let example_axis = examples.then_some(u8::from(samples.is_some()));
    let noise = Noise {
        distribution,
        dtype: address.key.builder().float(),
        stream,
        sample_axis: samples.map(|_| 0),
        example_axis,
        shape: extents,
    };
    let drawn = address.key.builder().noise(noise, address);
    if shape.is_empty() { drawn.reshape(samples.into_iter().collect::<Shape>()) } else { drawn }
}
