//! What targets look like.

use super::batch;
use crate::Error;
use bayeslift_ir::{DType, Expr, Shape, Type};
use std::fmt;

/// What the target of one example looks like.
///
/// ```
/// use bayeslift_ir::{DType, Type};
/// use bayeslift_layers::likelihood::{Support, Target};
///
/// // a label at each of five positions, of ten classes
/// let labels = Target::labels([5], 10);
/// assert_eq!((labels.ty(32, DType::F32), labels.classes()), (Type::u32([32, 5]), Some(10)));
/// // three counts, of an output with two parameters for each
/// let counts = Target::of_parts(&[6].into(), 2, Support::Count)?;
/// assert_eq!(counts, Target::numbers([3], Support::Count));
/// assert!(Target::of_parts(&[7].into(), 2, Support::Count).is_err());
/// // a point on the simplex has one probability, not one for each coordinate
/// assert_eq!(Target::numbers([4], Support::Simplex(4)).joint().events.elements(), 1);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Which values it may have.
    pub support: Support,
    /// Its shape: `[positions..]` of labels, `[positions.., units]` of numbers.
    pub shape: Shape,
    /// The shape of what has a probability of its own: that of the target where its elements are independent given the
    /// output.
    pub events: Shape,
}

/// Which values a target may have.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::likelihood::Support;
///
/// assert!(Support::Count.contains(3.0) && !Support::Count.contains(2.5) && !Support::Real.contains(f64::NAN));
/// assert!(Support::Count.is_discrete() && !Support::Positive.is_discrete());
/// assert_eq!((Support::UnitInterval.bounds(), Support::UnitInterval.stand_in()), ((0.0, 1.0), 0.5));
/// let b = Builder::new();
/// b.output("may_be", Support::Positive.contains_expr(b.constant(-1.0)));
/// assert_eq!(evaluate(&b.finish()?, &[])?[0].as_f32(), Some(&[0.0][..]));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Support {
    /// One of this number of classes: labels 0, 1, .. as `u32`.
    Classes(usize),
    /// Any finite number.
    Real,
    /// Numbers above 0.
    Positive,
    /// Numbers from 0 on.
    NonNegative,
    /// Numbers between 0 and 1, both excluded.
    UnitInterval,
    /// 0 and 1.
    Binary,
    /// 0, 1, 2, ..
    Count,
    /// Points of this number of positive coordinates, which sum to 1.
    Simplex(usize),
}

impl Target {
    /// Labels of `classes` classes, one for each position.
    pub fn labels(positions: impl Into<Shape>, classes: usize) -> Target {
        let shape = positions.into();
        Target { support: Support::Classes(classes), events: shape.clone(), shape }
    }

    /// Numbers, each with a probability of its own.
    pub fn numbers(shape: impl Into<Shape>, support: Support) -> Target {
        let shape = shape.into();
        Target { support, events: shape.clone(), shape }
    }

    /// The target of an output `[positions.., outputs]` in which each number has this many [parts](super::parts).
    ///
    /// # Errors
    /// A number of outputs that is no multiple of it.
    pub fn of_parts(output: &Shape, parts: usize, support: Support) -> Result<Target, Error> {
        let outputs = output.last_extent();
        if output.is_empty() || outputs == 0 || !outputs.is_multiple_of(parts.max(1)) {
            let expected = format!("a multiple of {parts}, the number of the law's parameters for each target");
            return Err(Error::argument("the number of outputs", expected, outputs));
        }
        let mut shape = output.to_vec();
        shape.iter_mut().rev().take(1).for_each(|units| *units /= parts.max(1));
        Ok(Target::numbers(shape.as_slice(), support))
    }

    /// As before, for a law of points: the last axis has one probability.
    pub fn joint(mut self) -> Target {
        self.events = self.shape[..self.shape.len().saturating_sub(1)].into();
        self
    }

    /// The type of the targets of `rows` rows, in a network of this type of floats.
    pub fn ty(&self, rows: usize, float: DType) -> Type {
        let dtype = if let Support::Classes(_) = self.support { DType::U32 } else { float };
        batch(dtype, rows, &self.shape)
    }

    /// The number of classes, if it is one of them, or a point with a coordinate for each.
    pub fn classes(&self) -> Option<usize> {
        match self.support {
            Support::Classes(classes) | Support::Simplex(classes) => Some(classes),
            _ => None,
        }
    }
}

/// How much the sum of a point's coordinates may differ from 1.
pub const SIMPLEX_ROUNDING: f64 = 1e-3;

impl Support {
    /// Whether a number may be a target, or a coordinate of one.
    pub fn contains(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Support::Real => true,
                Support::Positive | Support::Simplex(_) => x > 0.0,
                Support::NonNegative => x >= 0.0,
                Support::UnitInterval => x > 0.0 && x < 1.0,
                Support::Binary => x == 0.0 || x == 1.0,
                Support::Count => x >= 0.0 && x.fract() == 0.0,
                Support::Classes(classes) => x >= 0.0 && x.fract() == 0.0 && x < classes as f64,
            }
    }

    /// As [`Support::contains`], as graph code: 1 where an element of `x`, labels as `u32`, may be a target, and 0
    /// elsewhere. Of a point it is the sum of coordinates too, of which the last axis has one for each.
    pub fn contains_expr<'b>(self, x: Expr<'b>) -> Expr<'b> {
        let one = |mask: Expr<'b>| mask.select(1.0, 0.0);
        if let Support::Classes(classes) = self {
            return one(x.less(u32::try_from(classes).unwrap_or(u32::MAX)));
        }
        let largest = if x.dtype() == DType::F64 { f64::MAX } else { f32::MAX.into() };
        let zero = x.builder().constant(0.0);
        let (is_positive, is_not_negative) = (one(zero.less(x)), one(zero.less_equal(x)));
        let is_finite = one(x.abs().less_equal(largest));
        is_finite
            * match self {
                Support::Real | Support::Classes(_) => return is_finite,
                Support::Positive => is_positive,
                Support::NonNegative => is_not_negative,
                Support::UnitInterval => is_positive * one(x.less(1.0)),
                Support::Binary => one(x.equal(0.0)).max(one(x.equal(1.0))),
                Support::Count => is_not_negative * one(x.floor().equal(x)),
                Support::Simplex(_) => {
                    let last = x.shape().len().saturating_sub(1);
                    let rest = (x.to_f64().sum(last) - 1.0).abs();
                    is_positive * one(rest.less_equal(SIMPLEX_ROUNDING)).expand(last).broadcast(&x.shape())
                }
            }
    }

    /// A number that stands in where there is no target: 0 if that may be one. As each coordinate it is the centre of
    /// the simplex.
    pub fn stand_in(self) -> f64 {
        match self {
            Support::Positive => 1.0,
            Support::UnitInterval => 0.5,
            Support::Simplex(classes) => 1.0 / classes.max(1) as f64,
            Support::Classes(_) | Support::Real | Support::NonNegative | Support::Binary | Support::Count => 0.0,
        }
    }

    /// Whether targets are whole numbers, and quantiles too.
    pub fn is_discrete(self) -> bool {
        matches!(self, Support::Classes(_) | Support::Binary | Support::Count)
    }

    /// The least and the largest number, infinite where there is none.
    pub fn bounds(self) -> (f64, f64) {
        match self {
            Support::Real => (f64::NEG_INFINITY, f64::INFINITY),
            Support::Positive | Support::NonNegative | Support::Count => (0.0, f64::INFINITY),
            Support::UnitInterval | Support::Binary | Support::Simplex(_) => (0.0, 1.0),
            Support::Classes(classes) => (0.0, classes.saturating_sub(1) as f64),
        }
    }
}

/// In words: "a number above 0".
impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Support::Classes(classes) => write!(f, "a label below {classes}"),
            Support::Real => f.write_str("a finite number"),
            Support::Positive => f.write_str("a number above 0"),
            Support::NonNegative => f.write_str("a number from 0 on"),
            Support::UnitInterval => f.write_str("a number between 0 and 1"),
            Support::Binary => f.write_str("0 or 1"),
            Support::Count => f.write_str("a whole number from 0 on"),
            Support::Simplex(_) => f.write_str("a positive number, in a row that sums to 1"),
        }
    }
}
