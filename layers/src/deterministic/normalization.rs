//! Units brought to mean 0 and variance 1: over a batch, or within an example.

use crate::{
    Call, Context, Declaration, Error, Group, Initializer, Layer, LayerDescription, Parameter, Scope,
    distribution::rounded,
};
use bayeslift_ir::{DType, Expr, Operand, Shape, Tensor};

/// What both normalizations are told.
#[derive(Clone, Debug)]
struct Config {
    units: usize,
    epsilon: f64,
    center: bool,
    scale: bool,
    name: Option<String>,
}

/// What normalized elements are multiplied with, and what is added then.
struct Affinity<'b> {
    scale: Option<Expr<'b>>,
    offset: Option<Expr<'b>>,
}

impl Config {
    fn new(units: usize, epsilon: f64) -> Self {
        Config { units, epsilon, center: true, scale: true, name: None }
    }

    fn shape(&self) -> Shape {
        Shape::new(&[self.units])
    }

    fn describe(&self, kind: &str) -> LayerDescription {
        LayerDescription::new(kind)
            .option("units", self.units)
            .option("epsilon", self.epsilon)
            .option("center", self.center)
            .option("scale", self.scale)
    }

    fn affinity<'b>(&self, scope: &Scope<'b>) -> Result<Affinity<'b>, Error> {
        if self.units == 0 {
            return Err(Error::argument("units", "at least 1", self.units));
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::argument("epsilon", "a positive, finite number", self.epsilon));
        }
        let parameter = |name, initializer| scope.parameter(name, &self.shape(), &initializer);
        let scale = self.scale.then(|| parameter("scale", Initializer::Ones)).transpose()?;
        let offset = self.center.then(|| parameter("offset", Initializer::Zeros)).transpose()?;
        Ok(Affinity { scale, offset })
    }

    /// (x - mean) / sqrt(variance + epsilon) scale + offset
    fn apply<'b>(&self, centred: Expr<'b>, variance: Expr<'b>, affinity: &Affinity<'b>) -> Expr<'b> {
        let y = centred / (variance + self.epsilon).sqrt();
        let y = affinity.scale.map_or(y, |scale| y * scale);
        affinity.offset.map_or(y, |offset| y + offset)
    }
}

/// The builder methods that normalizations share.
macro_rules! normalization_options {
    () => {
        /// What is added to variances before their square root. Default: 1e-3, as in Keras. It is positive and finite,
        /// else the layer is refused where a network is made of it.
        ///
        /// ```
        /// use bayeslift_layers::{Layer, LayerNormalization};
        /// let error = LayerNormalization::new(8).epsilon(0.0).initialize(0).unwrap_err();
        /// assert!(error.to_string().ends_with("epsilon is 0, expected a positive, finite number"));
        /// ```
        pub fn epsilon(mut self, epsilon: f64) -> Self {
            self.config.epsilon = epsilon;
            self
        }

        /// Whether a learned `offset: [units]`, which begins with 0, is added to what was normalized. By default it is.
        ///
        /// ```
        /// use bayeslift_layers::{Layer, LayerNormalization};
        /// let paths = |layer: LayerNormalization| {
        ///     Ok::<_, bayeslift_layers::Error>(layer.initialize(0)?.paths().map(str::to_owned).collect::<Vec<_>>())
        /// };
        /// assert_eq!(paths(LayerNormalization::new(8))?, ["scale", "offset"]);
        /// assert_eq!(paths(LayerNormalization::new(8).center(false))?, ["scale"]);
        /// assert!(paths(LayerNormalization::new(8).center(false).scale(false))?.is_empty());
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn center(mut self, center: bool) -> Self {
            self.config.center = center;
            self
        }

        /// Whether what was normalized is multiplied with a learned `scale: [units]`, which begins with 1. By default
        /// it is.
        pub fn scale(mut self, scale: bool) -> Self {
            self.config.scale = scale;
            self
        }

        /// Gives the layer a name, its part of the paths of its parameters, such as `norm/scale`. Names are unique in a
        /// container and have no `/`; others are refused where a network is made of it. Default: that of its kind,
        /// which containers number.
        ///
        /// ```
        /// use bayeslift_layers::{Affine, Layer, LayerNormalization, Sequential};
        /// let network = Sequential::new().layer(Affine::new(4, 8)).layer(LayerNormalization::new(8).name("norm"));
        /// assert_eq!(network.initialize(0)?.paths().last(), Some("norm/offset"));
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config.name = Some(name.into());
            self
        }
    };
}

/// Normalizes each row of units: y = (x - mean) / sqrt(variance + epsilon) scale + offset, with mean and variance over
/// the last axis of `[.., units]` (Ba, Kiros and Hinton 2016). The variance is the mean square of the distances from
/// the mean. The parameters are `scale` and `offset`, `[units]`; the default of epsilon is 1e-3, as in Keras.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Context, Layer, LayerNormalization, Scope};
/// let layer = LayerNormalization::new(2).center(false).scale(false).epsilon(3.0);
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([1, 2]));
/// b.output("y", layer.call(&Context::new(Scope::describe(&b)), x)?.output);
/// // the mean is 6 and the variance 1
/// let y = evaluate(&b.finish()?, &[Tensor::f32([1, 2], [5.0, 7.0])?])?;
/// assert_eq!(y[0].as_f32(), Some(&[-1.0 / 2.0, 1.0 / 2.0][..]));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNormalization {
    config: Config,
}

impl LayerNormalization {
    /// A normalization of rows of this many units: at least 1, else the layer is refused where a network is made of it.
    pub fn new(units: usize) -> Self {
        LayerNormalization { config: Config::new(units, 1e-3) }
    }

    normalization_options!();
}

impl Layer for LayerNormalization {
    fn describe(&self) -> LayerDescription {
        self.config.describe("layer_normalization")
    }

    fn name(&self) -> &str {
        self.config.name.as_deref().unwrap_or("layer_normalization")
    }

    fn has_default_name(&self) -> bool {
        self.config.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.config.affinity(scope).map(drop)
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let affinity = self.config.affinity(context.scope())?;
        context.check_input(x, self.config.units)?;
        let axis = x.shape().len() - 1;
        let centred = x - x.mean(axis).expand(axis);
        let variance = centred.square().mean(axis).expand(axis);
        Ok(Call::new(self.config.apply(centred, variance, &affinity)))
    }
}

/// Normalizes each unit, or channel: y = (x - mean) / sqrt(variance + epsilon) scale + offset (Ioffe and Szegedy 2015).
///
/// In training mean and variance are those of the batch: over all axes of `[.., units]` but the last, posterior samples
/// included. The variance is the mean square of the distances from the mean, in training and where it is kept: that of
/// the batch, not an estimate for more rows, as in Keras. A batch with a single value of each unit, which is its own
/// mean, is refused: [`Error::SingleValue`].
///
/// A step moves the parameters `moving_mean`, `moving_variance` and `moving_weight`, all `[units]` and not trainable.
/// For a batch of n values of each unit
///
/// - weight' = momentum weight + n, from 0,
/// - mean' = mean + (mean of the batch - mean) n / weight', and the variance likewise.
///
/// So a moving average is the mean over all batches so far, each weighted by its number of values and by momentum to
/// the power of its age: a last batch of few rows counts as little as it has rows, and after the first step the
/// averages are those of the first batch, not what they began with. (It is the division by the sum of weights that
/// corrects the start of [`Adam`](crate::Adam)'s averages. Where batches are of one size it fades, and what is left is
/// the law of Keras: momentum times what it was plus 1 - momentum times the batch's.) With momentum 1 it is the mean
/// over all batches. Elsewhere than in training these averages are used, so that no prediction depends on what it is
/// batched with. By default epsilon is 1e-3 and momentum 0.99, as in Keras.
///
/// Whoever assigns averages from elsewhere and trains on them assigns `moving_weight` too: the number of values that
/// they stand for, or any negative number for averages that are warm, those of very many batches like the next one.
/// With 0, the first step would replace them.
///
/// With batches, a row's part of the loss depends on the other rows; and freezing `scale` and `offset` does not stop
/// the moving averages.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{BatchNormalization, Context, Layer, Scope};
/// let layer = BatchNormalization::new(1).momentum(0.5).center(false).scale(false);
/// let parameters = layer.initialize(0)?;
/// assert_eq!(parameters.paths().collect::<Vec<_>>(), ["moving_mean", "moving_variance", "moving_weight"]);
/// let b = Builder::new();
/// let context = Context::new(Scope::bind(&b, &parameters)?).training();
/// let call = layer.call(&context, b.input("x", Type::f32([4, 1])))?;
/// call.updates.iter().for_each(|(path, value)| b.output(path, *value));
/// // averages of 4 values before, with mean 1 and variance 1, and a batch of 4 with mean 4 and variance 9
/// let inputs = [[1.0], [1.0], [4.0]].map(|value| Tensor::f32([1], value)).into_iter();
/// let inputs: Result<Vec<_>, _> = inputs.chain([Tensor::f32([4, 1], [1.0, 7.0, 1.0, 7.0])]).collect();
/// let new: Vec<f32> = evaluate(&b.finish()?, &inputs?)?.iter().filter_map(|new| Some(new.as_f32()?[0])).collect();
/// let weight: f32 = 0.5 * 4.0 + 4.0;
/// assert!((new[0] - (1.0 + 3.0 * 4.0 / weight)).abs() < 1e-6 && (new[1] - (1.0 + 8.0 * 4.0 / weight)).abs() < 1e-6);
/// assert_eq!(new[2], weight);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    config: Config,
    momentum: f64,
}

impl BatchNormalization {
    /// A normalization of this many units: at least 1, else the layer is refused where a network is made of it.
    pub fn new(units: usize) -> Self {
        BatchNormalization { config: Config::new(units, 1e-3), momentum: 0.99 }
    }

    normalization_options!();

    /// How much of the weight of a moving average a step keeps: from 0, the last batch alone, to 1, all batches alike.
    /// Default: 0.99. Another number is refused where a network is made of the layer.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    fn parameters<'b>(&self, scope: &Scope<'b>) -> Result<(Affinity<'b>, [Expr<'b>; 3]), Error> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::argument("momentum", "a number from 0 to 1", self.momentum));
        }
        let affinity = self.config.affinity(scope)?;
        let moving = |name, initializer| {
            let (shape, group) = (&self.config.shape(), Group::Statistic);
            let declaration = Declaration { shape, initializer: &initializer, batch_ndims: 0, trainable: false, group };
            scope.declare_parameter(name, &declaration)
        };
        let mean = moving(MEAN, Initializer::Zeros)?;
        let variance = moving(VARIANCE, Initializer::Ones)?;
        Ok((affinity, [mean, variance, moving(WEIGHT, Initializer::Zeros)?]))
    }

    /// The new values of the moving averages of `old` after a batch of `count` values of each unit with these
    /// statistics.
    fn moved<'b>(&self, old: [Expr<'b>; 3], batch: [Expr<'b>; 2], count: usize) -> [Expr<'b>; 3] {
        let [mean, variance, weight] = old;
        let (count, momentum) = (count as f64, rounded(mean, self.momentum));
        // infinite for averages that never forget: below, what follows of it is not remembered
        let warm = count / rounded(mean, 1.0 - momentum);
        let new_weight = weight.less(0.0).select(warm, weight) * momentum + count;
        let share = count.into_expr(weight) / new_weight;
        let toward = |old: Expr<'b>, new: Expr<'b>| old + (new.stop_gradient() - old) * share;
        let new = [toward(mean, batch[0]), toward(variance, batch[1]), new_weight];
        // One batch whose squares overflow must not spoil all that follow: it is not remembered, nor that it was there.
        let largest = if mean.dtype() == DType::F64 { f64::MAX } else { f32::MAX.into() };
        let finite = new.map(|x| x.abs().less_equal(largest));
        let kept = |i: usize| finite.iter().fold(new[i], |new, finite| finite.select(new, old[i]));
        [kept(0), kept(1), kept(2)]
    }
}

impl Layer for BatchNormalization {
    fn describe(&self) -> LayerDescription {
        self.config.describe("batch_normalization").option("momentum", self.momentum)
    }

    fn name(&self) -> &str {
        self.config.name.as_deref().unwrap_or("batch_normalization")
    }

    fn has_default_name(&self) -> bool {
        self.config.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.parameters(scope).map(drop)
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let (affinity, moving) = self.parameters(context.scope())?;
        let units = self.config.units;
        context.check_input(x, units)?;
        if !context.is_training() {
            return Ok(Call::new(self.config.apply(x - moving[0], moving[1], &affinity)));
        }
        let count = x.shape().elements() / units;
        if count < 2 {
            return Err(Error::SingleValue);
        }
        let rows = |x: Expr<'b>| x.reshape([count, units]);
        let mean = rows(x).mean(0);
        let centred = x - mean;
        let variance = rows(centred.square()).mean(0);
        let mut call = Call::new(self.config.apply(centred, variance, &affinity));
        let path = |name| context.scope().path_of(name);
        let new = self.moved(moving, [mean, variance], count);
        call.updates = [MEAN, VARIANCE, WEIGHT].into_iter().map(path).zip(new).collect();
        Ok(call)
    }
}

/// The names of what a batch normalization remembers.
const MEAN: &str = "moving_mean";
const VARIANCE: &str = "moving_variance";
const WEIGHT: &str = "moving_weight";

/// The value of a parameter that a file may lack, because it is of before there was one or of another program; `None`
/// for a parameter that every file has.
///
/// That is the `moving_weight` of a [`BatchNormalization`]: averages that come without one are taken to be warm, which
/// -1 says for each unit.
///
/// ```
/// use bayeslift_layers::{BatchNormalization, Layer, value_where_absent};
/// let parameters = BatchNormalization::new(2).initialize(0)?;
/// let absent = |path: &str| Ok::<_, bayeslift_layers::Error>(value_where_absent(path, parameters.get(path)?));
/// assert_eq!(absent("moving_weight")?.and_then(|weight| weight.to_f64s()), Some(vec![-1.0, -1.0]));
/// assert_eq!(absent("moving_mean")?, None);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub fn value_where_absent(path: &str, parameter: &Parameter) -> Option<Tensor> {
    let name = path.rsplit('/').next();
    let shape = parameter.tensor.shape();
    let is_weight = parameter.group == Group::Statistic && name == Some(WEIGHT);
    is_weight.then(|| Tensor::floats(&parameter.tensor.ty(), vec![-1.0; shape.elements()]).ok()).flatten()
}
