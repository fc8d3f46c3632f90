//! Units that are dropped at random, in training or always.

use crate::{Call, Context, Error, Layer, LayerDescription, Scope, distribution::rounded};
use bayeslift_ir::{Expr, NoiseDistribution};

/// Sets each element to 0 with probability `rate`, and divides the others by 1 - `rate`, so that the mean stays
/// (Srivastava and others 2014).
///
/// [`Dropout::new`] drops in training alone. [`Dropout::monte_carlo`] drops always, so that a prediction averages over
/// what is dropped, sample by sample (Gal and Ghahramani 2016): also where a [context](Context::posterior_value) asks
/// for the mean of posteriors, as a mask is no posterior.
///
/// Masks have addresses like all noise: one for each example and element, and each posterior sample its own.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, evaluate};
/// use bayeslift_layers::{Context, Dropout, Layer, Scope, noise_inputs};
/// let b = Builder::new();
/// let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b)).training();
/// let x = b.constant(3.0).broadcast(&[4, 100].into());
/// b.output("y", Dropout::new(0.25).call(&context, x)?.output);
/// // the key, the first sample and the first row
/// let address = [Tensor::u32([4], [7, 0, 0, 0])?, Tensor::u32([], [0])?, Tensor::u32([2], [0, 0])?];
/// let y = evaluate(&b.finish()?, &address)?.remove(0);
/// // 3 / (1 - 0.25), or dropped
/// assert!(y.as_f32().is_some_and(|y| y.iter().all(|&y| y == 4.0 || y == 0.0)));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    rate: f64,
    always: bool,
    name: Option<String>,
}

impl Dropout {
    /// Drops elements in training with this probability, from 0 to below 1, and does nothing in predictions. Another
    /// rate is refused with [`Error::Argument`] where a network is made of the layer.
    ///
    /// ```
    /// use bayeslift_layers::{Dropout, Layer};
    /// let error = Dropout::new(1.0).initialize(0).unwrap_err();
    /// assert!(error.to_string().ends_with("rate is 1, expected a number from 0 to below 1"));
    /// ```
    pub fn new(rate: f64) -> Self {
        Dropout { rate, always: false, name: None }
    }

    /// Drops elements in training and in predictions, with this probability, from 0 to below 1. Its default name is
    /// `monte_carlo_dropout`.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Dropout, Sequential};
    /// let dropout = Dropout::monte_carlo(0.1).name("mask");
    /// let network = Sequential::new().layer(Affine::new(64, 32)).layer(dropout).layer(Affine::new(32, 10));
    /// assert_eq!(network.names().nth(1), Some("mask"));
    /// ```
    pub fn monte_carlo(rate: f64) -> Self {
        Dropout { rate, always: true, name: None }
    }

    /// Gives the layer a name, its part of the address of its noise. Names are unique in a container and have no `/`;
    /// others are refused where a network is made of it. Default: that of its kind, such as `dropout`, which containers
    /// number: `dropout_1`, ..
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Layer for Dropout {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(if self.always { "monte_carlo_dropout" } else { "dropout" })
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        let is_rate = (0.0..1.0).contains(&self.rate);
        if is_rate { Ok(()) } else { Err(Error::argument("rate", "a number from 0 to below 1", self.rate)) }
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.declare(context.scope())?;
        let shape = x.shape();
        context.check_input(x, shape.last_extent())?;
        if self.rate == 0.0 || !(self.always || context.is_training()) {
            return Ok(Call::new(x));
        }
        let uniform = context.call_site("mask").example_noise(NoiseDistribution::Uniform, &shape)?;
        Ok(Call::new(uniform.less(self.rate).select(0.0, x / (1.0 - rounded(x, self.rate)))))
    }

    fn describe(&self) -> LayerDescription {
        LayerDescription::new(if self.always { "monte_carlo_dropout" } else { "dropout" }).option("rate", self.rate)
    }
}
