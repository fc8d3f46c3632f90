//! Functions of each element, as options of layers and as layers.

use crate::{Call, Context, Error, Layer, LayerDescription, Scope};
use bayeslift_ir::Expr;
use std::{fmt, sync::Arc};

/// An elementwise function after a layer, as TensorFlow defines it. Also a [`Layer`] of its own.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Activation, Affine, Sequential};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([3]));
/// b.output("y", Activation::LeakyRelu.apply(x));
/// let y = evaluate(&b.finish()?, &[Tensor::f32([3], [-5.0, 0.0, 5.0])?])?;
/// assert_eq!(y[0].as_f32(), Some(&[-1.0, 0.0, 5.0][..]));
/// // as an option of a layer, or as a layer after it
/// let option = Affine::new(8, 4).activation(Activation::Relu);
/// let network = Sequential::new().layer(Affine::new(8, 4)).layer(Activation::Relu);
/// assert_eq!(network.names().collect::<Vec<_>>(), ["affine", "relu"]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Activation {
    /// x.
    #[default]
    None,
    /// max(x, 0); its gradient at 0 is 0.
    Relu,
    /// max(x, x / 5); its gradient at 0 is 1 / 5.
    LeakyRelu,
    /// x for x >= 0, e^x - 1 below (Clevert, Unterthiner and Hochreiter 2016).
    Elu,
    /// 1.0507 elu with the slope 1.6733 below 0 (Klambauer and others 2017).
    Selu,
    /// x (1 + erf(x / sqrt 2)) / 2: x times the standard normal's distribution function, not its tanh approximation.
    Gelu,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// log(1 + e^x).
    Softplus,
    /// x sigmoid(x).
    Swish,
    /// Hyperbolic tangent.
    Tanh,
    /// Any other function; see [`Activation::custom`].
    Custom(Arc<dyn for<'b> Fn(Expr<'b>) -> Expr<'b> + Send + Sync>),
}

impl Activation {
    /// Any function. Its output should have the shape of its argument, which may have an axis of samples in front.
    ///
    /// ```
    /// # use bayeslift_layers::Activation;
    /// let square = Activation::custom(|x| x * x);
    /// assert_eq!(square.name(), "custom");
    /// ```
    pub fn custom(function: impl for<'b> Fn(Expr<'b>) -> Expr<'b> + Send + Sync + 'static) -> Self {
        Activation::Custom(Arc::new(function))
    }

    /// The activation that has this [`Activation::name`]: `relu`, `leaky_relu`, .., or `none` and `linear`. `None` for
    /// any other name, also for `custom`.
    ///
    /// ```
    /// # use bayeslift_layers::Activation;
    /// assert_eq!(Activation::from_name("leaky_relu").map(|found| found.name()), Some("leaky_relu"));
    /// assert_eq!(Activation::from_name("linear").map(|found| found.name()), Some("none"));
    /// assert!(Activation::from_name("custom").is_none());
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Activation::None,
            Activation::Relu,
            Activation::LeakyRelu,
            Activation::Elu,
            Activation::Selu,
            Activation::Gelu,
            Activation::Sigmoid,
            Activation::Softplus,
            Activation::Swish,
            Activation::Tanh,
        ];
        let name = if name == "linear" { "none" } else { name };
        all.into_iter().find(|activation| activation.name() == name)
    }

    /// The name: that of the variant, in lower case with underscores, such as `leaky_relu`. It is the default name of
    /// the activation as a layer, too.
    pub fn name(&self) -> &'static str {
        match self {
            Activation::None => "none",
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky_relu",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::Sigmoid => "sigmoid",
            Activation::Softplus => "softplus",
            Activation::Swish => "swish",
            Activation::Tanh => "tanh",
            Activation::Custom(_) => "custom",
        }
    }

    /// The function, applied to each element of `x`: an expression of the same shape.
    pub fn apply<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        match self {
            Activation::None => x,
            Activation::Relu => x.relu(),
            Activation::LeakyRelu => x.max(x * 0.2),
            Activation::Elu => exponential_below_zero(x, 1.0, 1.0),
            Activation::Selu => exponential_below_zero(x, SELU_SCALE, SELU_SCALE * SELU_ALPHA),
            Activation::Gelu => x * 0.5 * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Softplus => x.softplus(),
            Activation::Swish => x * x.sigmoid(),
            Activation::Tanh => x.tanh(),
            Activation::Custom(function) => function(x),
        }
    }
}

/// The constants of SELU (Klambauer, Unterthiner, Mayr and Hochreiter, 2017).
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// scale x for x >= 0, slope (e^x - 1) below. The exponential never sees a positive number, where it would overflow
/// and its gradient would be 0 times infinity.
fn exponential_below_zero<'b>(x: Expr<'b>, scale: f64, slope: f64) -> Expr<'b> {
    let below = (x.min(0.0).exp() - 1.0) * slope;
    x.less(0.0).select(below, if scale == 1.0 { x } else { x * scale })
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Layer for Activation {
    fn name(&self) -> &str {
        Activation::name(self)
    }

    fn has_default_name(&self) -> bool {
        true
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn call<'b>(&self, _: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        Ok(Call::new(self.apply(x)))
    }

    fn describe(&self) -> LayerDescription {
        LayerDescription::new("activation").option("function", self.name())
    }
}
