//! A network: a layer with its parameters.

mod files;

use crate::{Error, FloatCow, Floats};
use bayeslift_ir::{Builder, DType, Environment, Expr, Graph, Shape, Type};
use bayeslift_layers::{
    Call, Context, Divergence, Layer, Likelihood, Parameters, Scope, likelihood::Target, noise_inputs,
};
use std::{fmt, sync::Arc};

/// A layer, the likelihood of its targets, and the parameters of both.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = Sequential::new()
///     .layer(AffineVariationalReparameterizationLocal::new(64, 32).activation(Activation::Relu))
///     .layer(AffineVariationalReparameterizationLocal::new(32, 10));
/// let network = Network::new(layer, [64], likelihood::Categorical, 42)?;
/// assert_eq!(network.outputs(), 10);
/// println!("{}", network.summary());
/// # Ok::<(), bayeslift::Error>(())
/// ```
///
/// What it tells of itself:
///
/// ```
/// use bayeslift::{ir::DType, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(64, 10);
/// let mut network = Network::new(layer, [64], likelihood::Categorical, 42)?;
/// assert_eq!((network.input(), network.classes(), network.dtype()), (&[64].into(), Some(10), DType::F32));
/// assert_eq!((network.target().classes(), network.seed(), network.training_examples()), (Some(10), 42, None));
/// assert_eq!(network.likelihood().describe(), "Categorical(logits = output)");
/// assert_eq!(network.layer().name(), "affine");
/// assert_eq!(network.parameters().get("kernel/loc")?.tensor.shape(), &[64, 10].into());
///
/// // one forward pass of 32 rows, for those who go below
/// let graph = network.graph(32)?;
/// assert_eq!(graph.outputs().iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["output", "divergence"]);
///
/// network.parameters_mut().get_mut("bias/loc")?.tensor = bayeslift::ir::Tensor::f32([3], [0.0; 3])?;
/// assert!(network.validate().unwrap_err().to_string().contains("bias/loc"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Network {
    layer: Arc<dyn Layer>,
    likelihood: Arc<dyn Likelihood>,
    parameters: Parameters,
    input: Shape,
    outputs: usize,
    dtype: DType,
    target: Target,
    seed: u64,
    training_examples: Option<usize>,
    steps: u64,
    epochs: u64,
}

impl Network {
    /// A network with fresh parameters. `input` is the shape of one example; parameters are drawn at addresses made of
    /// `seed` and their paths, the same on every machine.
    ///
    /// # Errors
    /// Whatever is wrong with the layers, found by calling them on one example: shapes that do not fit, names that
    /// exist, an output that the likelihood cannot read (categorical: fewer than two classes).
    pub fn new(
        layer: impl Layer + 'static,
        input: impl Into<Shape>,
        likelihood: impl Likelihood + 'static,
        seed: u64,
    ) -> Result<Network, Error> {
        let _environment = Environment::enter();
        let (layer, likelihood, input) = (Arc::new(layer), Arc::new(likelihood), input.into());
        input.check()?;
        let dtype = layer.element_type().unwrap_or(DType::F32);
        let builder = Builder::of(dtype);
        let scope = Scope::initialize(&builder, seed);
        layer.declare(&scope).map_err(|error| error.within(layer.name()))?;
        let target = Target::labels([], 0);
        let parameters = scope.parameters();
        let mut network = Network {
            layer,
            likelihood,
            parameters,
            input,
            outputs: 0,
            dtype,
            target,
            seed,
            training_examples: None,
            steps: 0,
            epochs: 0,
        };
        let output = network.on_rows(&network.builder(), 1)?.1.output.shape().without(0);
        network.outputs = output.last_extent();
        network.target = network.likelihood.target(&output)?;
        network.likelihood.declare(&scope, &network.target)?;
        network.parameters = scope.parameters();
        crate::predictor::law::check(&network, &output)?;
        Ok(network)
    }

    /// The layer that the network is made of, which may contain others.
    pub fn layer(&self) -> &Arc<dyn Layer> {
        &self.layer
    }

    /// The law of targets given the output.
    pub fn likelihood(&self) -> &Arc<dyn Likelihood> {
        &self.likelihood
    }

    /// What the target of an example looks like.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The parameters of the layer and of the likelihood, in the order in which they are declared: all that training
    /// changes, and what layers remember of the data.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameters, to change them: assign values with [`Parameters::assign`], freeze some with
    /// [`Parameters::set_trainable`]. A predictor keeps those it has until
    /// [`Predictor::set_parameters`](crate::Predictor::set_parameters).
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The shape of one input, without the axis of rows.
    pub fn input(&self) -> &Shape {
        &self.input
    }

    /// The element type of parameters, of inputs, of all that is computed between: `f32`, or `f64` if the layers
    /// [say so](bayeslift_layers::Sequential::dtype).
    ///
    /// A network of `f64` takes data of [`f64`](crate::Dataset::regression_f64), and of `f32` too, each number of which
    /// is one of `f64`. Its predictions have all digits by [`Predictor::double`](crate::Predictor::double), and are
    /// rounded to `f32` by other methods.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A builder of its graphs.
    pub(crate) fn builder(&self) -> Builder {
        Builder::of(self.dtype)
    }

    /// The number of outputs of the layer, at each position: what the likelihood reads.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of classes that are predicted; `None` if it is numbers. One more than outputs if the likelihood is
    /// [`SoftmaxCenteredNormal`](bayeslift_layers::likelihood::SoftmaxCenteredNormal).
    pub fn classes(&self) -> Option<usize> {
        self.target.classes()
    }

    /// The seed that the parameters were drawn with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The number of examples that the network was last fitted to; `None` before.
    pub fn training_examples(&self) -> Option<usize> {
        self.training_examples
    }

    pub(crate) fn set_training_examples(&mut self, examples: Option<usize>) {
        self.training_examples = examples;
    }

    /// The number of training steps that were made on the network, by any [`Trainer`](crate::Trainer) or
    /// [`Fit`](crate::Fit). It addresses the noise of the next one, so that no step has the noise of another. It is
    /// part of the network's file; files of versions before 4 did not have it, and give 0.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let data = Dataset::regression([1], vec![0.0, 0.5, 1.0], 1, vec![0.1, 0.4, 1.1])?;
    /// let layer = AffineVariationalReparameterizationLocal::new(1, 1);
    /// let mut network = Network::new(layer, [1], likelihood::Normal::fixed(0.1), 0)?;
    /// Fit::new().epochs(3).batch_size(2).run(&mut network, &data)?;
    /// assert_eq!((network.steps(), network.epochs()), (6, 3));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of epochs that [`Fit`](crate::Fit) has begun on the network. It decides the order of examples in the
    /// next one; see [`Network::steps`].
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// Says how many steps and epochs were made so far.
    pub(crate) fn set_made(&mut self, steps: u64, epochs: u64) {
        (self.steps, self.epochs) = (steps, epochs);
    }

    /// A text table of the parameters.
    pub fn summary(&self) -> String {
        self.parameters.summary(self.layer.name())
    }

    /// Checks that all parameters are there and of the right types, and finite where a layer has `validate_args`.
    ///
    /// # Errors
    /// The first that is not.
    pub fn validate(&self) -> Result<(), Error> {
        self.check(&self.parameters)
    }

    pub(crate) fn check(&self, parameters: &Parameters) -> Result<(), Error> {
        self.layer.validate(parameters)?;
        let builder = self.builder();
        Ok(self.likelihood.declare(&Scope::bind(&builder, parameters)?, &self.target)?)
    }

    pub(crate) fn replace_parameters(&mut self, parameters: Parameters) {
        self.parameters = parameters;
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// The graph of one forward pass. Inputs: the parameters by path, the noise address (`noise/key`,
    /// `noise/first_sample`, `noise/first_row`), and `x`, `[rows, input..]`. Outputs: `output`, `[rows, outputs]` or
    /// `[rows, positions.., outputs]`, and the scalar `divergence` in nats (by Monte Carlo, one draw).
    ///
    /// # Errors
    /// As for [`Network::new`].
    pub fn graph(&self, rows: usize) -> Result<Graph, Error> {
        let _environment = Environment::enter();
        let builder = self.builder();
        let (_, call) = self.on_rows(&builder, rows)?;
        builder.output("output", call.output);
        builder.output("divergence", call.divergence(&Divergence::default())?);
        Ok(builder.finish()?)
    }

    /// Calls the network in a fresh graph: on a batch of this number of rows, without a sample axis.
    pub(crate) fn on_rows<'b>(&self, builder: &'b Builder, rows: usize) -> Result<(Context<'b>, Call<'b>), Error> {
        let scope = Scope::bind(builder, &self.parameters)?;
        let context = Context::new(scope).noise(noise_inputs(builder));
        let x = builder.input("x", self.batch_type(rows));
        let call = self.call(&context, x)?;
        Ok((context, call))
    }

    /// The number of rows of inputs.
    pub(crate) fn rows(&self, inputs: Floats<'_>) -> Result<usize, Error> {
        crate::dataset::rows(&self.input, FloatCow::from(inputs).len())
    }

    /// The type of a batch of inputs.
    pub(crate) fn batch_type(&self, rows: usize) -> Type {
        Type::new(self.dtype, [rows].iter().chain(self.input.iter()).copied().collect::<Shape>())
    }

    /// Calls the network on a batch, and checks that its output is rows of outputs for each example, at each of its
    /// positions.
    pub(crate) fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let name = self.layer.name();
        // a batch of no rows, or of too many, is no input
        context.builder().check().map_err(|error| bayeslift_layers::Error::from(error).within(name))?;
        let rows = x.shape()[0];
        let call = self.layer.call(context, context.input(x)).map_err(|error| error.within(name))?;
        context.builder().check().map_err(|error| bayeslift_layers::Error::from(error).within(name))?;
        let (ty, axes) = (call.output.ty(), usize::from(context.sample_count().is_some()));
        if ty.shape.len() >= axes + 2 && ty.shape[axes] == rows && call.output.is_float() {
            return Ok(call);
        }
        let shape = if axes == 1 && !ty.shape.is_empty() { ty.shape.without(0) } else { ty.shape };
        let expected =
            format!("{}[{rows},..,outputs], a row for each input, as of an affine layer after `Flatten`", self.dtype);
        Err(Error::argument(format!("the type of the output of `{name}`"), expected, Type::new(ty.dtype, shape)))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, outputs) = (self.layer.name(), self.outputs);
        write!(f, "Network({name}: {} -> [{outputs}], {} parameter tensors)", self.input, self.parameters.len())
    }
}
