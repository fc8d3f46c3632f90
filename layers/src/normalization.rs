use crate::{Call, Context, Declaration, Error, Group, Initializer, Layer, Scope};
use bayeslift_ir::{Expr, Shape};

/// What both normalizations are told.
#[derive(Clone, Debug)]
struct Config {
    units: usize,
    epsilon: f32,
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
    fn new(units: usize, epsilon: f32) -> Self {
        Config { units, epsilon, center: true, scale: true, name: None }
    }

    fn shape(&self) -> Shape {
        Shape::new(&[self.units])
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
        /// What is added to variances before their square root.
        pub fn epsilon(mut self, epsilon: f32) -> Self {
            self.config.epsilon = epsilon;
            self
        }

        /// Whether a learned `offset` is added to what was normalized. It is unless told.
        pub fn center(mut self, center: bool) -> Self {
            self.config.center = center;
            self
        }

        /// Whether what was normalized is multiplied with a learned `scale`. It is unless told.
        pub fn scale(mut self, scale: bool) -> Self {
            self.config.scale = scale;
            self
        }

        /// Its own name, unique in its container and without `/`. That of its kind unless told, and numbered by
        /// containers.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config.name = Some(name.into());
            self
        }
    };
}

/// Normalizes each row of units: y = (x - mean) / sqrt(variance + epsilon) scale + offset, with mean and variance over
/// the last axis of `[.., units]` (Ba, Kiros and Hinton 2016). The parameters are `scale` and `offset`, `[units]`;
/// epsilon is 1e-3, as in Keras, unless told.
///
/// ```
/// use bayeslift_layers::{Affine, LayerNormalization, Sequential};
/// let network = Sequential::new().layer(Affine::new(64, 32)).layer(LayerNormalization::new(32));
/// ```
#[derive(Clone, Debug)]
pub struct LayerNormalization {
    config: Config,
}

impl LayerNormalization {
    /// A normalization of rows of this many units.
    pub fn new(units: usize) -> Self {
        LayerNormalization { config: Config::new(units, 1e-3) }
    }

    normalization_options!();
}

impl Layer for LayerNormalization {
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
/// included; a step moves the parameters `moving_mean` and `moving_variance`, which are not trainable, towards them:
/// each becomes momentum times what it was plus 1 - momentum times the batch's (the variance is that of the batch, not
/// an estimate for more rows). Elsewhere these are used, so that no prediction depends on what it is batched with.
/// Epsilon is 1e-3 and momentum 0.99, as in Keras, unless told.
///
/// With batches, a row's part of the loss depends on the other rows; and freezing `scale` and `offset` does not stop
/// the moving averages.
///
/// ```
/// use bayeslift_layers::{BatchNormalization, Layer};
/// let layer = BatchNormalization::new(8).momentum(0.9);
/// assert_eq!((layer.variables()?.len(), layer.trainable_variables()?.len()), (4, 2));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    config: Config,
    momentum: f32,
}

impl BatchNormalization {
    /// A normalization of this many units.
    pub fn new(units: usize) -> Self {
        BatchNormalization { config: Config::new(units, 1e-3), momentum: 0.99 }
    }

    normalization_options!();

    /// How much of a moving average a step keeps. 0.99 unless told.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    fn parameters<'b>(&self, scope: &Scope<'b>) -> Result<(Affinity<'b>, [Expr<'b>; 2]), Error> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::argument("momentum", "a number in [0, 1]", self.momentum));
        }
        let affinity = self.config.affinity(scope)?;
        let moving = |name, initializer| {
            let (shape, group) = (&self.config.shape(), Group::Statistic);
            let declaration = Declaration { shape, initializer: &initializer, batch_ndims: 0, trainable: false, group };
            scope.declare_parameter(name, &declaration)
        };
        let mean = moving("moving_mean", Initializer::Zeros)?;
        Ok((affinity, [mean, moving("moving_variance", Initializer::Ones)?]))
    }
}

impl Layer for BatchNormalization {
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
        let rows = |x: Expr<'b>| x.reshape([x.shape().elements() / units, units]);
        let mean = rows(x).mean(0);
        let centred = x - mean;
        let variance = rows(centred.square()).mean(0);
        let mut call = Call::new(self.config.apply(centred, variance, &affinity));
        for ((name, old), new) in ["moving_mean", "moving_variance"].into_iter().zip(moving).zip([mean, variance]) {
            let moved = old * self.momentum + new.stop_gradient() * (1.0 - self.momentum);
            // one batch whose squares overflow must not spoil all that follow
            let kept = moved.abs().less_equal(f32::MAX).select(moved, old);
            call.updates.push((context.scope().path_of(name), kept));
        }
        Ok(call)
    }
}
