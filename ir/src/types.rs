//! Types of graph values: an element type and a static shape.

use crate::Error;
use smallvec::SmallVec;
use std::fmt;

/// The element type of a tensor. Prints as its name.
///
/// ```
/// use bayeslift_ir::DType;
/// assert_eq!(DType::ALL.map(DType::name), ["f32", "f64", "u32", "mask"]);
/// assert_eq!(DType::ALL.map(DType::bytes), [4, 8, 4, 4]);
/// assert_eq!(DType::ALL.map(DType::words), [1, 2, 1, 1]);
/// assert_eq!(DType::ALL.map(DType::is_float), [true, true, false, false]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64: statistics over many samples, and special functions. Computed without fused multiply-add.
    F64,
    /// Unsigned 32-bit integers: labels, counters, noise keys.
    U32,
    /// Truth values, the result of comparisons. Stored as `0` or `u32::MAX`.
    Mask,
}

impl DType {
    /// All of them.
    pub const ALL: [DType; 4] = [DType::F32, DType::F64, DType::U32, DType::Mask];

    /// The name in messages and in the [text form](crate::text) of graphs: `f32`, `f64`, `u32` or `mask`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::U32 => "u32",
            DType::Mask => "mask",
        }
    }

    /// The four-byte words that an element occupies, in tensors and in compiled code: 2 of `f64`, 1 of all others.
    pub fn words(self) -> usize {
        match self {
            DType::F64 => 2,
            DType::F32 | DType::U32 | DType::Mask => 1,
        }
    }

    /// The bytes that an element occupies: four a [word](DType::words), also of a mask.
    pub fn bytes(self) -> usize {
        4 * self.words()
    }

    /// Whether elements are floating-point numbers: `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The extents of a tensor, outermost axis first. Scalars have rank 0. Reads as a slice of extents; prints as
/// `[32,3,10]`.
///
/// Any extents make a shape; that of a graph's value has passed [`Shape::check`].
///
/// ```
/// use bayeslift_ir::Shape;
/// let shape = Shape::new(&[32, 3, 10]);
/// assert_eq!((shape.len(), shape.elements(), shape.rows(), shape.last_extent()), (3, 960, 96, 10));
/// assert_eq!(shape.strides()[..], [30, 10, 1]);
/// assert_eq!(shape.without(1).to_string(), "[32,10]");
/// assert_eq!(shape.broadcast_with(&Shape::from([10])), Some(shape.clone()));
/// assert_eq!(shape.broadcast_with(&Shape::from([3])), None);
///
/// let error = Shape::from([32, 0]).check().unwrap_err();
/// assert_eq!(error.to_string(), "shape [32,0] has extent 0 on axis 1; every extent must be at least 1");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

/// The largest rank a graph value may have.
pub const MAX_RANK: usize = 12;
/// The largest number of four-byte elements a graph value may have (8 GiB); of larger ones as many as take that much.
pub const MAX_ELEMENTS: usize = 1 << 31;

impl Shape {
    /// A shape with these extents, of which nothing is checked. No extents make the shape of a scalar.
    pub fn new(extents: &[usize]) -> Self {
        Shape(SmallVec::from_slice(extents))
    }

    /// The number of elements: the product of all extents, 1 for a scalar. Shapes of graph values are checked not to
    /// overflow; where [`Shape::check`] refuses a shape, the product may.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// The extent of the last axis, 1 for a scalar.
    pub fn last_extent(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// The product of all extents but the last, 1 for a scalar: with [`Shape::last_extent`] columns, the rows of the
    /// matrix that has the same elements.
    pub fn rows(&self) -> usize {
        self.0[..self.0.len().saturating_sub(1)].iter().product()
    }

    /// The shape without axis `axis`: that of a sum over it.
    ///
    /// # Panics
    /// An axis that it does not have.
    pub fn without(&self, axis: usize) -> Shape {
        let mut extents = self.0.clone();
        extents.remove(axis);
        Shape(extents)
    }

    /// Row-major strides: for each axis how many elements apart its neighbours are, 1 on the last axis.
    pub fn strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides = SmallVec::from_elem(1, self.0.len());
        for axis in (1..self.0.len()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The shape both operands are broadcast to: extents are aligned at the last axis and must be equal or 1. `None` if
    /// they are not.
    pub fn broadcast_with(&self, other: &Shape) -> Option<Shape> {
        let rank = self.len().max(other.len());
        let extent = |shape: &Shape, axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |a| shape[a]);
        let mut out = SmallVec::with_capacity(rank);
        for axis in 0..rank {
            out.push(match (extent(self, axis), extent(other, axis)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            });
        }
        Some(Shape(out))
    }

    /// `Ok` if every extent is positive and rank and size are within the limits.
    ///
    /// # Errors
    /// [`Error::EmptyAxis`] for an extent of 0; [`Error::TooLarge`] for more than [`MAX_RANK`] axes or
    /// [`MAX_ELEMENTS`] elements.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.len() > MAX_RANK {
            return Err(Error::TooLarge { what: "rank", size: self.0.len() as u64, limit: MAX_RANK as u64 });
        }
        if let Some(axis) = self.0.iter().position(|&extent| extent == 0) {
            return Err(Error::EmptyAxis { shape: self.clone(), axis });
        }
        let elements = self.0.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        match elements {
            Some(n) if n <= MAX_ELEMENTS => Ok(()),
            n => Err(Error::TooLarge {
                what: "elements of a tensor",
                size: n.map_or(u64::MAX, |n| n as u64),
                limit: MAX_ELEMENTS as u64,
            }),
        }
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Shape::new(extents)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Shape::new(&extents)
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(extents: I) -> Self {
        Shape(extents.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, extent) in self.0.iter().enumerate() {
            write!(f, "{}{extent}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of a graph value: an element type and a shape. Prints as `f32[32,64]`.
///
/// ```
/// use bayeslift_ir::{DType, MAX_ELEMENTS, Type};
/// let ty = Type::f64([32, 64]);
/// assert_eq!((ty.to_string().as_str(), ty.words(), ty.bytes()), ("f64[32,64]", 4096, 16_384));
/// assert_eq!(Type::new(DType::U32, []), Type::u32([]));
///
/// assert!(Type::f32([MAX_ELEMENTS]).check().is_ok());
/// let error = Type::f64([MAX_ELEMENTS]).check().unwrap_err();
/// assert_eq!(error.to_string(), "elements of a tensor: 2147483648 exceeds the limit of 1073741824");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Shape,
}

impl Type {
    /// A tensor type, of which nothing is checked: [`Type::check`] does, and whatever takes types calls it.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Type { dtype, shape: shape.into() }
    }

    /// An `f32` tensor type; `Type::f32([])` is that of a scalar.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Type::new(DType::F32, shape)
    }

    /// An `f64` tensor type; `Type::f64([])` is that of a scalar.
    pub fn f64(shape: impl Into<Shape>) -> Self {
        Type::new(DType::F64, shape)
    }

    /// A `u32` tensor type; `Type::u32([])` is that of a scalar.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Type::new(DType::U32, shape)
    }

    /// The four-byte words that all elements occupy: elements times [`DType::words`].
    pub fn words(&self) -> usize {
        self.shape.elements() * self.dtype.words()
    }

    /// The bytes that all elements occupy: elements times [`DType::bytes`].
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.bytes()
    }

    /// As [`Shape::check`], and that the elements do not take more memory than [`MAX_ELEMENTS`] of four bytes.
    ///
    /// # Errors
    /// As [`Shape::check`]; [`Error::TooLarge`] for more than half of [`MAX_ELEMENTS`] elements of `f64`.
    pub fn check(&self) -> Result<(), Error> {
        self.shape.check()?;
        let (size, limit) = (self.shape.elements() as u64, (MAX_ELEMENTS / self.dtype.words()) as u64);
        if size <= limit { Ok(()) } else { Err(Error::TooLarge { what: "elements of a tensor", size, limit }) }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_aligns_at_the_last_axis() {
        let check = |a: &[usize], b: &[usize], want: Option<&[usize]>| {
            assert_eq!(Shape::new(a).broadcast_with(&Shape::new(b)), want.map(Shape::new), "{a:?} {b:?}");
        };
        check(&[3, 4], &[4], Some(&[3, 4]));
        check(&[3, 1], &[1, 4], Some(&[3, 4]));
        check(&[], &[2, 2], Some(&[2, 2]));
        check(&[3], &[4], None);
    }

    #[test]
    fn absurd_shapes_are_errors() {
        assert!(Shape::new(&[usize::MAX, usize::MAX]).check().is_err());
        assert!(Shape::new(&[3, 0]).check().is_err());
        assert!(Shape::new(&[1; MAX_RANK]).check().is_ok());
        assert!(Shape::new(&[1; MAX_RANK + 1]).check().is_err());
        assert!(Type::f32([MAX_ELEMENTS]).check().is_ok());
        assert!(Type::f64([MAX_ELEMENTS / 2]).check().is_ok());
        assert!(Type::f64([MAX_ELEMENTS / 2 + 1]).check().is_err());
    }
}
