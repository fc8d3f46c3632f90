//! Positive parameters of laws.

use super::{Target, parts};
use crate::{Declaration, Error, Group, Initializer, Scope, variational::initial_raw_scale};
use bayeslift_ir::{Expr, Shape};
use std::fmt;

/// Where a positive parameter of a law comes from, such as the standard deviation of a normal one.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Scope, likelihood::{Scale, Support, Target}};
///
/// let b = Builder::new();
/// let scope = Scope::initialize(&b, 0);
/// Scale::Learned { initial: 0.5 }.declare(&scope, &Target::numbers([3], Support::Real))?;
/// assert_eq!(scope.parameters().get("likelihood/raw_scale")?.tensor.ty(), Type::f32([3]));
/// assert!(Scale::Fixed(-1.0).expr(&scope, 3, None).is_err()); // scales are positive
///
/// // of an output with two numbers for each target: locations, then raw scales
/// assert_eq!((Scale::Output.outputs(), Scale::Fixed(1.0).outputs()), (1, 0));
/// let (loc, scale) = Scale::Output.split(&scope, b.input("output", Type::f32([8, 6])))?;
/// assert_eq!((loc.ty(), scale.ty()), (Type::f32([8, 3]), Type::f32([8, 3])));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scale {
    /// This number.
    Fixed(f64),
    /// Learned, one for each unit of the targets and the same for all examples: softplus of the trainable parameter
    /// `likelihood/raw_scale` + 1e-5.
    Learned {
        /// The value that it starts at, above 1e-5.
        initial: f64,
    },
    /// An output of the network, one for each target: softplus of the output + 1e-5.
    Output,
}

impl Scale {
    /// How many of a network's outputs it takes for each target: 0 or 1.
    pub fn outputs(self) -> usize {
        usize::from(self == Scale::Output)
    }

    /// Declares the parameter, if it is learned.
    ///
    /// # Errors
    /// A number that is not positive and finite.
    pub fn declare(self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        self.expr(scope, target.shape.last_extent(), None).map(drop)
    }

    /// The parameter, for targets of `units` units; `raw` is the output that it takes, if it takes one.
    ///
    /// # Errors
    /// As for [`Scale::declare`]; a parameter that does not fit.
    pub fn expr<'b>(self, scope: &Scope<'b>, units: usize, raw: Option<Expr<'b>>) -> Result<Expr<'b>, Error> {
        match self {
            Scale::Fixed(scale) if scale > 0.0 && scale.is_finite() => Ok(scope.builder().constant(scale)),
            Scale::Fixed(scale) => {
                Err(Error::argument("the scale of a likelihood", "a positive, finite number", scale))
            }
            Scale::Learned { initial } => {
                let initializer = &Initializer::Constant(initial_raw_scale(initial)?);
                let shape = &if units == 1 { Shape::default() } else { [units].into() };
                let (batch_ndims, group) = (0, Group::Likelihood);
                let declaration = Declaration { shape, initializer, batch_ndims, trainable: true, group };
                let raw_scale = scope.child("likelihood").declare_parameter("raw_scale", &declaration)?;
                Ok(raw_scale.softplus() + 1e-5)
            }
            Scale::Output => Ok(raw.map_or_else(|| scope.builder().constant(1.0), |raw| raw.softplus() + 1e-5)),
        }
    }

    /// The two parameters of a law that has this one and another one before it, which is always an output: for each
    /// target of an output `[.., units]`, or `[.., 2 units]` if this one is an output too.
    ///
    /// # Errors
    /// As for [`Scale::expr`].
    pub fn split<'b>(self, scope: &Scope<'b>, output: Expr<'b>) -> Result<(Expr<'b>, Expr<'b>), Error> {
        let (first, raw) = match self {
            Scale::Output => {
                let [first, raw] = parts(output);
                (first, Some(raw))
            }
            _ => (output, None),
        };
        let scale = self.expr(scope, first.shape().last_extent(), raw)?;
        Ok((first, scale))
    }
}

/// In words, without numbers that are learned.
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scale::Fixed(scale) => write!(f, "{scale}"),
            Scale::Learned { .. } => f.write_str("softplus(likelihood/raw_scale) + 1e-5"),
            Scale::Output => f.write_str("softplus(output) + 1e-5"),
        }
    }
}
