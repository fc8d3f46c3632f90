use crate::{
    Declaration, Error, Group, Initializer, Scope,
    distribution::{Categorical, Normal, SoftmaxCenteredNormal},
    posterior::initial_raw_scale,
};
use bayeslift_ir::{Expr, Shape, Type};
use std::fmt;

/// The law of a target given a network's output; its negative logarithm is the loss.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Likelihood, Scope};
/// let builder = Builder::new();
/// let logits = builder.input("logits", Type::f32([32, 10]));
/// let labels = builder.input("labels", Type::u32([32]));
/// let scope = Scope::describe(&builder);
/// let loss = Likelihood::Categorical.loss(&scope, logits, labels)?;
/// assert_eq!(loss.shape().len(), 0);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Likelihood {
    /// A label with probabilities softmax(output): categorical cross-entropy. Output `[.., rows, classes]` as logits,
    /// targets `u32[rows]`.
    Categorical,
    /// N(output, scale^2) on every element. Output and targets `[.., rows, units]`.
    Normal {
        /// The standard deviation.
        scale: Scale,
    },
    /// A point on the simplex of K classes, softmax((z, 0)) for z = N(output, scale^2): see [`SoftmaxCenteredNormal`],
    /// the likelihood of TFP's example. Output `[.., rows, K - 1]`, targets `[.., rows, K]`: positive numbers of which
    /// each row sums to 1. Labels have to be smoothed to be such points.
    SoftmaxCenteredNormal {
        /// The standard deviation of every log ratio of a class to the last one.
        scale: Scale,
    },
}

/// The standard deviation of a likelihood, the same for all examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// This number.
    Fixed(f32),
    /// Learned, as softplus of the trainable parameter `likelihood/raw_scale` + 1e-5.
    Learned {
        /// The value that it starts at, above 1e-5.
        initial: f32,
    },
}

impl Likelihood {
    /// N(output, scale^2) with a fixed scale.
    pub fn normal(scale: f32) -> Self {
        Likelihood::Normal { scale: Scale::Fixed(scale) }
    }

    /// N(output, scale^2) with a scale that is learned and starts at `initial`.
    pub fn normal_learned(initial: f32) -> Self {
        Likelihood::Normal { scale: Scale::Learned { initial } }
    }

    /// softmax((N(output, scale^2), 0)) with a fixed scale.
    pub fn softmax_centered_normal(scale: f32) -> Self {
        Likelihood::SoftmaxCenteredNormal { scale: Scale::Fixed(scale) }
    }

    /// softmax((N(output, scale^2), 0)) with a scale that is learned and starts at `initial`.
    pub fn softmax_centered_normal_learned(initial: f32) -> Self {
        Likelihood::SoftmaxCenteredNormal { scale: Scale::Learned { initial } }
    }

    /// Declares the likelihood's parameters, under `likelihood` in the root scope of the network.
    ///
    /// # Errors
    /// A scale that is not positive and finite.
    pub fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        match self {
            Likelihood::Categorical => Ok(()),
            Likelihood::Normal { scale } | Likelihood::SoftmaxCenteredNormal { scale } => scale.expr(scope).map(drop),
        }
    }

    /// The type of the targets of an output `[.., rows, units]`, where `axes` leading axes count samples.
    pub fn target_type(&self, output: &Shape, axes: usize) -> Type {
        let shape = &output[axes.min(output.len())..];
        match self {
            Likelihood::Categorical => Type::u32(&shape[..shape.len().saturating_sub(1)]),
            Likelihood::Normal { .. } => Type::f32(shape),
            Likelihood::SoftmaxCenteredNormal { .. } => {
                let mut shape = shape.to_vec();
                shape.iter_mut().rev().take(1).for_each(|units| *units += 1);
                Type::f32(shape.as_slice())
            }
        }
    }

    /// The number of classes that a network with this number of outputs predicts; `None` if it predicts numbers.
    pub fn classes(&self, outputs: usize) -> Option<usize> {
        match self {
            Likelihood::Categorical => Some(outputs),
            Likelihood::SoftmaxCenteredNormal { .. } => Some(outputs + 1),
            Likelihood::Normal { .. } => None,
        }
    }

    /// The logits `[.., classes]` of the classes that an output `[.., units]` predicts; `None` if it predicts numbers.
    /// For a law on the simplex those of its [centre](SoftmaxCenteredNormal::center).
    pub fn logits<'b>(&self, output: Expr<'b>) -> Option<Expr<'b>> {
        match self {
            Likelihood::Categorical => Some(output),
            Likelihood::SoftmaxCenteredNormal { .. } => {
                Some(SoftmaxCenteredNormal::new(output, output.builder().constant(1.0)).logits())
            }
            Likelihood::Normal { .. } => None,
        }
    }

    /// The standard deviation, a scalar; `None` for a likelihood without one.
    ///
    /// # Errors
    /// As for [`Likelihood::declare`]; a parameter that does not fit.
    pub fn scale<'b>(&self, scope: &Scope<'b>) -> Result<Option<Expr<'b>>, Error> {
        match self {
            Likelihood::Categorical => Ok(None),
            Likelihood::Normal { scale } | Likelihood::SoftmaxCenteredNormal { scale } => scale.expr(scope).map(Some),
        }
    }

    /// log p(target | output) of each example: the output's shape without its last axis.
    ///
    /// # Errors
    /// Targets that do not fit the output; as for [`Likelihood::declare`].
    pub fn log_prob<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, targets: Expr<'b>) -> Result<Expr<'b>, Error> {
        let shape = output.shape();
        let Some(units) = shape.len().checked_sub(1) else {
            return Err(Error::shape("the network's output", "[.., units]", &shape));
        };
        // The targets have no sample axis.
        let found = targets.ty();
        if ![0, 1].iter().any(|&axes| found == self.target_type(&shape, axes)) {
            let argument = format!("the type of the targets for an output of shape {shape}");
            let expected = self.target_type(&shape, usize::from(shape.len() > 2));
            return Err(Error::argument(&argument, expected.to_string(), found));
        }
        match self {
            Likelihood::Categorical => Ok(Categorical::new(output).log_prob(targets)),
            Likelihood::Normal { scale } => Ok(Normal::new(output, scale.expr(scope)?).log_prob(targets).sum(units)),
            Likelihood::SoftmaxCenteredNormal { scale } => {
                Ok(SoftmaxCenteredNormal::new(output, scale.expr(scope)?).log_prob(targets))
            }
        }
    }

    /// The mean over all examples (and samples) of -log p(target | output), a scalar, in nats.
    ///
    /// # Errors
    /// As for [`Likelihood::log_prob`].
    pub fn loss<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, targets: Expr<'b>) -> Result<Expr<'b>, Error> {
        Ok(-self.log_prob(scope, output, targets)?.mean_all())
    }
}

/// The law in words, without its learned numbers: what model files say of it.
impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Likelihood::Categorical => f.write_str("Categorical(logits = output)"),
            Likelihood::Normal { scale } => write!(f, "Normal(loc = output, scale = {scale})"),
            Likelihood::SoftmaxCenteredNormal { scale } => {
                write!(f, "SoftmaxCentered(Normal(loc = output, scale = {scale}))")
            }
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scale::Fixed(scale) => write!(f, "{scale}"),
            Scale::Learned { .. } => f.write_str("softplus(likelihood/raw_scale) + 1e-5"),
        }
    }
}

impl Scale {
    fn expr<'b>(self, scope: &Scope<'b>) -> Result<Expr<'b>, Error> {
        match self {
            Scale::Fixed(scale) if scale > 0.0 && scale.is_finite() => Ok(scope.builder().constant(scale)),
            Scale::Fixed(scale) => {
                Err(Error::argument("the scale of a normal likelihood", "a positive, finite number", scale))
            }
            Scale::Learned { initial } => {
                let initializer = &Initializer::Constant(initial_raw_scale(initial)?);
                let (shape, group) = (&Shape::default(), Group::Likelihood);
                let declaration = Declaration { shape, initializer, batch_ndims: 0, trainable: true, group };
                let raw_scale = scope.child("likelihood").declare_parameter("raw_scale", &declaration)?;
                Ok(raw_scale.softplus() + 1e-5)
            }
        }
    }
}
