//! Host tensors.

use crate::aligned_vec::AlignedVec;
use crate::{DType, Error, Shape, Type, memory};

/// A tensor in host memory, row-major: what graphs are evaluated on, and compiled functions called with.
///
/// Its elements are contiguous, with the last axis innermost. Two are equal if types and elements are, as `==`
/// compares numbers; [`same_bits`](crate::same_bits) compares bits.
///
/// ```
/// use bayeslift_ir::{DType, Shape, Tensor, Type};
/// let mut x = Tensor::f32([2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!((x.ty(), x.dtype(), x.shape().rows()), (Type::f32([2, 3]), DType::F32, 2));
/// x.as_f32_mut().unwrap()[4] = f32::INFINITY;
/// assert_eq!(x.as_f32().unwrap()[3..], [3.0, f32::INFINITY, 5.0]);
/// assert_eq!((x.as_u32(), x.first_non_finite()), (None, Some((4, f64::INFINITY))));
///
/// let labels = Tensor::u32([3], [7, 0, 9])?;
/// assert_eq!((labels.as_u32(), labels.to_f64s()), (Some(&[7, 0, 9][..]), None));
/// assert_eq!(Tensor::zeros(&Type::u32([2]))?, Tensor::u32([2], [0, 0])?);
///
/// let error = Tensor::f32([3], [1.0, 2.0]).unwrap_err();
/// assert_eq!(error.to_string(), "`tensor`: 2 elements for the type f32[3], which has 3");
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

/// The elements of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
enum Data {
    F32(AlignedVec<f32>),
    F64(AlignedVec<f64>),
    U32(AlignedVec<u32>),
    Mask(AlignedVec<u32>),
}

impl Tensor {
    /// A tensor of `f32` with these elements, in row-major order.
    ///
    /// # Errors
    /// [`Error::ElementCount`] for another number of elements than the shape has; for an extent of 0 or a shape beyond
    /// the limits those of [`Type::check`].
    pub fn f32(shape: impl Into<Shape>, elements: impl Into<Vec<f32>>) -> Result<Tensor, Error> {
        let (shape, elements) = (shape.into(), elements.into());
        check_count(&Type::f32(shape.clone()), elements.len())?;
        Ok(Tensor { shape, data: Data::F32(elements.into()) })
    }

    /// A tensor of `f64` with these elements, in row-major order.
    ///
    /// ```
    /// use bayeslift_ir::Tensor;
    /// let mut x = Tensor::f64([2], [0.1, 0.2])?;
    /// x.as_f64_mut().unwrap()[1] = 0.3;
    /// assert_eq!((x.as_f64(), x.as_f32()), (Some(&[0.1, 0.3][..]), None));
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Tensor::f32`].
    pub fn f64(shape: impl Into<Shape>, elements: impl Into<Vec<f64>>) -> Result<Tensor, Error> {
        let (shape, elements) = (shape.into(), elements.into());
        check_count(&Type::f64(shape.clone()), elements.len())?;
        Ok(Tensor { shape, data: Data::F64(elements.into()) })
    }

    /// A tensor of `u32` with these elements, in row-major order: labels, numbers of rows, keys of noise.
    ///
    /// # Errors
    /// As for [`Tensor::f32`].
    pub fn u32(shape: impl Into<Shape>, elements: impl Into<Vec<u32>>) -> Result<Tensor, Error> {
        let (shape, elements) = (shape.into(), elements.into());
        check_count(&Type::u32(shape.clone()), elements.len())?;
        Ok(Tensor { shape, data: Data::U32(elements.into()) })
    }

    /// A tensor of `f32` or `f64` from numbers, of `f32` from the nearest.
    ///
    /// ```
    /// use bayeslift_ir::{Tensor, Type};
    /// assert_eq!(Tensor::floats(&Type::f32([2]), vec![0.1, 2.0])?, Tensor::f32([2], [0.1, 2.0])?);
    /// assert_eq!(Tensor::floats(&Type::f64([2]), vec![0.1, 2.0])?.to_f64s(), Some(vec![0.1, 2.0]));
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Tensor::f32`]; [`Error::DTypeMismatch`] for a type of other elements.
    pub fn floats(ty: &Type, elements: Vec<f64>) -> Result<Tensor, Error> {
        match ty.dtype {
            DType::F64 => Tensor::f64(ty.shape.clone(), elements),
            DType::F32 => Tensor::f32(ty.shape.clone(), elements.iter().map(|&x| x as f32).collect::<Vec<f32>>()),
            found => {
                let (op, argument) = ("tensor".into(), "the elements' type".into());
                Err(Error::DTypeMismatch { op, argument, expected: DType::F32, found })
            }
        }
    }

    /// The elements of an `f32` or `f64` tensor as `f64`, which has all of either; `None` of any other tensor.
    pub fn to_f64s(&self) -> Option<Vec<f64>> {
        match &self.data {
            Data::F32(elements) => Some(elements.iter().map(|&x| x.into()).collect()),
            Data::F64(elements) => Some(elements.to_vec()),
            Data::U32(_) | Data::Mask(_) => None,
        }
    }

    /// The first element that is infinite or not a number, with its index in row-major order. `None` if there is none,
    /// as in every tensor of `u32` or masks.
    pub fn first_non_finite(&self) -> Option<(usize, f64)> {
        match &self.data {
            Data::F32(elements) => {
                elements.iter().position(|x| !x.is_finite()).map(|index| (index, elements[index].into()))
            }
            Data::F64(elements) => elements.iter().position(|x| !x.is_finite()).map(|index| (index, elements[index])),
            Data::U32(_) | Data::Mask(_) => None,
        }
    }

    /// A tensor of any type from its four-byte words: bits of floats - of an `f64` first the low, then the high ones -,
    /// integers, or `0` for false in masks and anything else for true.
    ///
    /// ```
    /// use bayeslift_ir::{DType, Tensor, Type};
    /// let one = Tensor::from_words(&Type::f64([]), vec![0, 0x3ff0_0000])?;
    /// assert_eq!((one.as_f64(), one.words()), (Some(&[1.0][..]), vec![0, 0x3ff0_0000]));
    /// let mask = Tensor::from_words(&Type::new(DType::Mask, [2]), vec![0, 1])?;
    /// assert_eq!(mask.words(), [0, u32::MAX]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Tensor::f32`]; the words of half an `f64` count as an element too many, or too few.
    pub fn from_words(ty: &Type, words: Vec<u32>) -> Result<Tensor, Error> {
        ty.check()?;
        // half an element is one too few or one too many
        let (found, size) = (words.len(), ty.dtype.words());
        check_count(ty, if found < ty.words() { found / size } else { found.div_ceil(size) })?;
        let data = match ty.dtype {
            DType::F64 => {
                let double = |words: &[u32]| f64::from_bits(u64::from(words[1]) << 32 | u64::from(words[0]));
                Data::F64(words.chunks_exact(2).map(double).collect::<Vec<f64>>().into())
            }
            DType::F32 => Data::F32(words.into_iter().map(f32::from_bits).collect::<Vec<f32>>().into()),
            DType::U32 => Data::U32(words.into()),
            DType::Mask => {
                let mask = |word| if word == 0 { 0 } else { u32::MAX };
                Data::Mask(words.into_iter().map(mask).collect::<Vec<u32>>().into())
            }
        };
        Ok(Tensor { shape: ty.shape.clone(), data })
    }

    /// A scalar of `f32`, whose shape is `[]`.
    ///
    /// ```
    /// use bayeslift_ir::{Tensor, Type};
    /// assert_eq!(Tensor::scalar(0.5).ty(), Type::f32([]));
    /// ```
    pub fn scalar(x: f32) -> Tensor {
        Tensor { shape: Shape::default(), data: Data::F32(vec![x].into()) }
    }

    /// All elements zero, or false in a mask.
    ///
    /// # Errors
    /// Those of [`Type::check`]; [`Error::OutOfMemory`].
    pub fn zeros(ty: &Type) -> Result<Tensor, Error> {
        ty.check()?;
        let elements = ty.shape.elements();
        memory::check(elements, ty.dtype.bytes(), "the elements of a tensor")?;
        // systems have zeros for nothing, until they are written
        let data = match ty.dtype {
            DType::F32 => Data::F32(vec![0.0; elements].into()),
            DType::F64 => Data::F64(vec![0.0; elements].into()),
            DType::U32 => Data::U32(vec![0; elements].into()),
            DType::Mask => Data::Mask(vec![0; elements].into()),
        };
        Ok(Tensor { shape: ty.shape.clone(), data })
    }

    /// Moves the elements to the beginning of a cache line, where they and those of clones stay. Compiled code then
    /// reads and writes vectors that lie in one line each: worth it for large tensors that are used often, such as
    /// parameters. Where there is no memory for a copy, they stay where they are. Nothing that can be read changes.
    ///
    /// ```
    /// use bayeslift_ir::Tensor;
    /// let mut weights = Tensor::f32([1000], vec![0.5; 1000])?;
    /// weights.align();
    /// assert_eq!(weights.as_f32().unwrap().as_ptr().align_offset(64), 0);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn align(&mut self) {
        match &mut self.data {
            Data::F32(elements) => elements.align(),
            Data::F64(elements) => elements.align(),
            Data::U32(elements) | Data::Mask(elements) => elements.align(),
        }
    }

    /// The type: that of the elements, and the shape. A copy; [`Tensor::shape`] and [`Tensor::dtype`] make none.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype(), self.shape.clone())
    }

    /// The type of the elements, of which [`Tensor::as_f32`] and the like give a slice.
    #[inline]
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::U32(_) => DType::U32,
            Data::Mask(_) => DType::Mask,
        }
    }

    /// The shape, outermost axis first: reads as a slice of extents, `[]` of a scalar.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements of an `f32` tensor in row-major order; `None` of any other tensor.
    #[inline]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(elements) => Some(elements),
            _ => None,
        }
    }

    /// As [`Tensor::as_f32`], to change in place.
    #[inline]
    pub fn as_f32_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.data {
            Data::F32(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements of an `f64` tensor in row-major order; `None` of any other tensor.
    #[inline]
    pub fn as_f64(&self) -> Option<&[f64]> {
        match &self.data {
            Data::F64(elements) => Some(elements),
            _ => None,
        }
    }

    /// As [`Tensor::as_f64`], to change in place.
    #[inline]
    pub fn as_f64_mut(&mut self) -> Option<&mut [f64]> {
        match &mut self.data {
            Data::F64(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements of a `u32` tensor in row-major order, or of a mask as `0` and `u32::MAX`; `None` of floats.
    #[inline]
    pub fn as_u32(&self) -> Option<&[u32]> {
        match &self.data {
            Data::U32(elements) | Data::Mask(elements) => Some(elements),
            Data::F32(_) | Data::F64(_) => None,
        }
    }

    /// As [`Tensor::as_u32`], to change in place. Write nothing but `0` and `u32::MAX` to a mask.
    ///
    /// ```
    /// use bayeslift_ir::Tensor;
    /// let mut step = Tensor::u32([], [41])?;
    /// step.as_u32_mut().unwrap()[0] += 1;
    /// assert_eq!(step.as_u32(), Some(&[42][..]));
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    #[inline]
    pub fn as_u32_mut(&mut self) -> Option<&mut [u32]> {
        match &mut self.data {
            Data::U32(elements) | Data::Mask(elements) => Some(elements),
            Data::F32(_) | Data::F64(_) => None,
        }
    }

    /// The bits of every element as [`Tensor::from_words`] takes them.
    pub fn words(&self) -> Vec<u32> {
        match &self.data {
            Data::F32(elements) => elements.iter().map(|x| x.to_bits()).collect(),
            Data::F64(elements) => {
                elements.iter().map(|x| x.to_bits()).flat_map(|bits| [bits as u32, (bits >> 32) as u32]).collect()
            }
            Data::U32(elements) | Data::Mask(elements) => elements.to_vec(),
        }
    }
}

fn check_count(ty: &Type, found: usize) -> Result<(), Error> {
    ty.check()?;
    if ty.shape.elements() == found {
        return Ok(());
    }
    Err(Error::ElementCount { name: "tensor".into(), ty: ty.clone(), expected: ty.shape.elements(), found })
}
