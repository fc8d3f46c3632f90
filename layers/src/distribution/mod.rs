//! Distributions over graph values.
//!
//! A distribution here is over each element on its own: its density, draws and statistics are elementwise, so a
//! tensor of parameters is the product of its elements' distributions (what TFP writes as `Independent`). Sums over
//! elements are taken where a number is needed: in the [divergence](crate::Divergence) and the
//! [likelihood](crate::Likelihood).

mod categorical;
mod deterministic;
pub(crate) mod location_scale;
mod mixture;
mod normal;
mod softmax_centered;

pub use categorical::Categorical;
pub use deterministic::Deterministic;
pub use location_scale::LocationScale;
pub use mixture::Mixture;
pub use normal::Normal;
pub use softmax_centered::SoftmaxCenteredNormal;

use crate::{Error, Site};
use bayeslift_ir::{Expr, Shape};

/// A value drawn from a distribution.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'b> {
    /// The value.
    pub value: Expr<'b>,
    /// The standard noise it was made from, for a reparameterized draw: `value = loc + scale * noise`.
    pub noise: Option<Expr<'b>>,
}

/// A distribution of one of the families that Bayeslift knows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Distribution<'b> {
    /// See [`Normal`].
    Normal(Normal<'b>),
    /// See [`Mixture`].
    Mixture(Mixture<'b>),
    /// See [`Deterministic`].
    Deterministic(Deterministic<'b>),
    /// See [`Categorical`].
    Categorical(Categorical<'b>),
    /// See [`LocationScale`].
    LocationScale(LocationScale<'b>),
}

impl<'b> Distribution<'b> {
    /// The name of the family.
    pub fn family(&self) -> &'static str {
        match self {
            Distribution::Normal(_) => "Normal",
            Distribution::Mixture(_) => "Mixture",
            Distribution::Deterministic(_) => "Deterministic",
            Distribution::Categorical(_) => "Categorical",
            Distribution::LocationScale(d) => d.family(),
        }
    }

    /// The log density (or log probability) of each element of `value`.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        match self {
            Distribution::Normal(d) => d.log_prob(value),
            Distribution::Mixture(d) => d.log_prob(value),
            Distribution::Deterministic(d) => d.log_prob(value),
            Distribution::Categorical(d) => d.log_prob(value),
            Distribution::LocationScale(d) => d.log_prob(value),
        }
    }

    /// The log density of each element of a draw from this very distribution, computed from the draw's noise where it
    /// is known.
    pub fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        match self {
            Distribution::Normal(d) => d.log_prob_of_draw(draw),
            Distribution::LocationScale(d) => d.log_prob_of_draw(draw),
            _ => self.log_prob(draw.value),
        }
    }

    /// A draw of this shape at a noise site: `[samples, shape..]`, or `shape` without samples.
    ///
    /// # Errors
    /// A context without noise; a [`Categorical`], whose draws are labels.
    pub fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        match self {
            Distribution::Normal(d) => d.sample(site, shape),
            Distribution::Mixture(d) => d.sample(site, shape),
            Distribution::Deterministic(d) => Ok(site.value(d.loc.broadcast(shape))),
            Distribution::Categorical(_) => Err(self.undefined("draws of weights")),
            Distribution::LocationScale(d) => d.sample(site, shape),
        }
    }

    /// The mean.
    ///
    /// # Errors
    /// A [`Categorical`], whose labels have no mean; Cauchy's law and Student's t with no more than one degree of freedom.
    pub fn mean(&self) -> Result<Expr<'b>, Error> {
        match self {
            Distribution::Normal(d) => Ok(d.loc),
            Distribution::Mixture(d) => Ok(d.mean()),
            Distribution::Deterministic(d) => Ok(d.loc),
            Distribution::Categorical(_) => Err(self.undefined("mean")),
            Distribution::LocationScale(d) => d.mean().ok_or_else(|| self.undefined("mean")),
        }
    }

    /// The most probable value.
    ///
    /// # Errors
    /// A [`Mixture`], whose mode has no closed form; a [`Categorical`], whose mode is a label.
    pub fn mode(&self) -> Result<Expr<'b>, Error> {
        match self {
            Distribution::Normal(d) => Ok(d.loc),
            Distribution::Deterministic(d) => Ok(d.loc),
            Distribution::LocationScale(d) => Ok(d.loc),
            Distribution::Mixture(_) | Distribution::Categorical(_) => Err(self.undefined("mode in closed form")),
        }
    }

    /// The standard deviation.
    ///
    /// # Errors
    /// A [`Categorical`], whose labels have none; Cauchy's law and Student's t with no more than two degrees of freedom.
    pub fn stddev(&self) -> Result<Expr<'b>, Error> {
        match self {
            Distribution::Normal(d) => Ok(d.scale),
            Distribution::Mixture(d) => Ok(d.variance().sqrt()),
            Distribution::Deterministic(d) => Ok(d.loc.builder().constant(0.0).broadcast(&d.loc.shape())),
            Distribution::Categorical(_) => Err(self.undefined("standard deviation")),
            Distribution::LocationScale(d) => d.stddev().ok_or_else(|| self.undefined("finite standard deviation")),
        }
    }

    fn undefined(&self, what: &'static str) -> Error {
        Error::Undefined { distribution: self.family(), what }
    }
}

macro_rules! from {
    ($($family:ident),*) => {$(
        impl<'b> From<$family<'b>> for Distribution<'b> {
            fn from(distribution: $family<'b>) -> Self {
                Distribution::$family(distribution)
            }
        }
    )*};
}
from!(Normal, Mixture, Deterministic, Categorical, LocationScale);

/// (value - loc) / scale; by a product where the scale is constant.
fn standardized<'b>(value: Expr<'b>, loc: Expr<'b>, scale: Expr<'b>) -> Expr<'b> {
    let distance = value - loc;
    let constant = scale.builder().graph().constant(scale.value());
    constant.map_or_else(|| distance / scale, |scale| distance * (1.0 / scale))
}
