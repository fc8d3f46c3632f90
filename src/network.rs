//! A network: a layer with its parameters.

use crate::{Error, FloatCow, Floats, model_file};
use bayeslift_ir::{Builder, DType, Environment, Expr, Graph, Shape, Type};
use bayeslift_layers::{
    Call, Context, Divergence, Layer, Likelihood, Parameters, Scope, likelihood::Target, noise_inputs,
};
use std::{fmt, path::Path, sync::Arc};

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

    /// The layer.
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

    /// The parameters, of the layer and of the likelihood.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameters, to change them: assign values with [`Parameters::assign`], freeze some with
    /// [`Parameters::set_trainable`]. A predictor keeps those it has until
    /// [`Predictor::set_parameters`](crate::Predictor::set_parameters).
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The shape of one input.
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

    /// Saves the network as a safetensors file: parameters by path, and in the metadata all that is known about them;
    /// see [`ModelFile`](crate::ModelFile).
    ///
    /// The file is written under a temporary name in the same folder, synced and renamed, so that it is there as a
    /// whole or not at all, whatever happens meanwhile; what a killed process leaves of that is removed by the next
    /// save there. A link stays one, and its target is written. A file that is replaced keeps its mode and, where the
    /// system allows it, its owner.
    ///
    /// # Errors
    /// [`Error::File`], also for a name that is taken by what is no regular file: a folder, a pipe, a device; a
    /// parameter with an element that is not finite, which [`Network::load`] would refuse.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::save(self, path.as_ref())
    }

    /// Loads what [`Network::save`] wrote of this very network: parameters with what is trainable, seed, and the
    /// numbers of training examples, of steps and of epochs.
    ///
    /// Compared are the shape of inputs, the likelihood, the layers with all that changes their output, the parameters'
    /// names and types, posteriors and priors. What has no words - an activation, posterior, prior or layer of one's
    /// own - is compared by the network's graph, as long as the file was written by a version of Bayeslift that makes
    /// the same graphs. [`Network::load_weights`] loads the parameters of another network on purpose.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is truncated, damaged, foreign or of another version, or has
    /// an element that is not finite; [`Error::OtherNetwork`] with the first difference. The network is unchanged then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load(self, path.as_ref())
    }

    /// Loads parameters that [`Network::save`] wrote, of any network that has parameters of the same names and types:
    /// the same layers with another activation, estimator or prior. Their values are all that changes.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let path = std::env::temp_dir().join(format!("bayeslift-weights-{}.safetensors", std::process::id()));
    /// let layer = AffineVariationalReparameterizationLocal::new(4, 3);
    /// Network::new(layer, [4], likelihood::Categorical, 1)?.save(&path)?;
    ///
    /// let mut flipout = Network::new(AffineVariationalFlipout::new(4, 3), [4], likelihood::Categorical, 2)?;
    /// let error = flipout.load(&path).unwrap_err().to_string();
    /// assert!(error.ends_with("layer `affine`: its estimator is Local, the network's is Flipout"), "{error}");
    /// flipout.load_weights(&path)?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::load`], where only the parameters are compared.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load_weights(self, path.as_ref())
    }

    /// The bytes that [`Network::save`] writes to a file.
    ///
    /// # Errors
    /// A parameter with an element that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let _environment = Environment::enter();
        model_file::bytes(self)
    }

    /// Loads what [`Network::to_bytes`] gave, or a file has that [`Network::save`] wrote.
    ///
    /// # Errors
    /// As for [`Network::load`].
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load_bytes(self, bytes)
    }

    /// A trained network of the bytes of a model file, such as one that is part of the program. The shape of inputs and
    /// the seed are the file's.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// fn layer() -> Sequential {
    ///     Sequential::new().layer(AffineVariationalReparameterizationLocal::new(4, 3))
    /// }
    ///
    /// # let trained = Network::new(layer(), [4], likelihood::Categorical, 7)?.to_bytes()?;
    /// # macro_rules! include_bytes { ($name:literal) => { &trained } }
    /// let model: &[u8] = include_bytes!("model.safetensors");
    /// let network = Network::from_bytes(layer(), likelihood::Categorical, model)?;
    /// let prediction = Predictor::new(&network)?.classify(&[0.1, 0.2, 0.3, 0.4])?;
    /// # assert_eq!((network.seed(), network.to_bytes()?), (7, trained));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::new`] and [`Network::load`].
    pub fn from_bytes(
        layer: impl Layer + 'static,
        likelihood: impl Likelihood + 'static,
        bytes: &[u8],
    ) -> Result<Network, Error> {
        let _environment = Environment::enter();
        model_file::network(layer, likelihood, bytes)
    }

    /// Saves the layers' parameters as `save` of a network of `tfp.experimental.nn` does, for its `load` to read: a
    /// NumPy archive of the arrays `arr_0`, `arr_1`, .. in the order of a TensorFlow module's variables - for a
    /// variational layer kernel location, kernel raw scale, bias location, bias raw scale; for a deterministic one
    /// bias, kernel. The file has the name it is given: TFP's own `save` appends `.npz` if it is missing, and its
    /// `load` does not.
    ///
    /// Such a file names nothing: use [`Network::save`] unless TFP is to read it. A likelihood's parameters are not
    /// part of it.
    ///
    /// # Errors
    /// [`Error::Argument`] for a posterior other than TFP's default, normal with scale = softplus(raw scale) + 1e-5,
    /// since a file says nothing of that; otherwise as for [`Network::save`].
    #[cfg(feature = "npz")]
    pub fn save_tfp(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::save(self, path.as_ref(), false)
    }

    /// As [`Network::save_tfp`], for a network of TFP's `ConvolutionV2` layers in the places of convolutions: their
    /// kernels are written as `[filter.. * input, output]` and their biases as `[1, 1, output]`. What either writes
    /// [`Network::load_tfp`] reads.
    ///
    /// # Errors
    /// As for [`Network::save_tfp`].
    #[cfg(feature = "npz")]
    pub fn save_tfp_v2(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::save(self, path.as_ref(), true)
    }

    /// Loads the layers' parameters from a file that a network of `tfp.experimental.nn` or [`Network::save_tfp`] saved.
    ///
    /// What such a file lets be checked is checked: the number of arrays, of each its number, element type and shape,
    /// and that its elements are finite. It has no names, so **two arrays of one shape cannot be told apart**: a file
    /// of a network whose layers come in another order loads without an error if the shapes agree. A file that has more
    /// than the layers' variables, such as what `also_track` names, is refused. Seed, likelihood and what is trainable
    /// stay what they are.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let network = |seed| Network::new(AffineVariationalFlipout::new(4, 3), [4], likelihood::Categorical, seed);
    /// let path = std::env::temp_dir().join(format!("bayeslift-{}.npz", std::process::id()));
    /// network(1)?.save_tfp(&path)?;
    /// let mut other = network(2)?;
    /// other.load_tfp(&path)?;
    /// assert_eq!(other.parameters(), network(1)?.parameters());
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is no NumPy archive of `f32` arrays, or damaged;
    /// [`Error::OtherNetwork`] for other arrays than the network has; [`Error::Argument`] as for [`Network::save_tfp`].
    /// The network is unchanged then.
    #[cfg(feature = "npz")]
    pub fn load_tfp(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::load(self, path.as_ref(), false)
    }

    /// As [`Network::load_tfp`], and rounds elements that are `f64` to the nearest `f32`.
    ///
    /// # Errors
    /// As for [`Network::load_tfp`]; an element beyond the largest `f32`.
    #[cfg(feature = "npz")]
    pub fn load_tfp_rounded(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::load(self, path.as_ref(), true)
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
