//! What callers pass for inputs.

use bayeslift_ir::{DType, Tensor};

/// A tensor passed to a call: its elements in row-major order, borrowed.
///
/// Slices of `f32` and `u32` turn into arguments, so that literals among them need no suffix; doubles are named as
/// such.
#[derive(Debug)]
pub enum Argument<'a> {
    /// Floats to read.
    F32(&'a [f32]),
    /// Doubles to read.
    F64(&'a [f64]),
    /// Integers, or a mask as `0` and `u32::MAX`, to read.
    U32(&'a [u32]),
    /// Floats that the call may overwrite: for donated inputs.
    F32Mut(&'a mut [f32]),
    /// Doubles that the call may overwrite: for donated inputs.
    F64Mut(&'a mut [f64]),
    /// Integers that the call may overwrite: for donated inputs.
    U32Mut(&'a mut [u32]),
}

impl Argument<'_> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Argument::F32(x) => x.len(),
            Argument::F64(x) => x.len(),
            Argument::U32(x) => x.len(),
            Argument::F32Mut(x) => x.len(),
            Argument::F64Mut(x) => x.len(),
            Argument::U32Mut(x) => x.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the elements; [`DType::U32`] also of a mask's.
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Argument::F32(_) | Argument::F32Mut(_) => DType::F32,
            Argument::F64(_) | Argument::F64Mut(_) => DType::F64,
            Argument::U32(_) | Argument::U32Mut(_) => DType::U32,
        }
    }

    /// Whether elements of this type may be passed so.
    pub(crate) fn fits(&self, dtype: DType) -> bool {
        self.dtype() == if dtype == DType::Mask { DType::U32 } else { dtype }
    }

    /// The elements, if they are integers or a mask.
    pub(crate) fn words(&self) -> impl Iterator<Item = u32> {
        let words: &[u32] = match self {
            Argument::U32(x) => x,
            Argument::U32Mut(x) => x,
            Argument::F32(_) | Argument::F32Mut(_) | Argument::F64(_) | Argument::F64Mut(_) => &[],
        };
        words.iter().copied()
    }

    pub(crate) fn is_mutable(&self) -> bool {
        matches!(self, Argument::F32Mut(_) | Argument::F64Mut(_) | Argument::U32Mut(_))
    }

    /// The address of the first element. Written through only where the argument is mutable.
    pub(crate) fn pointer(&mut self) -> *mut u8 {
        match self {
            Argument::F32(x) => x.as_ptr().cast_mut().cast(),
            Argument::F64(x) => x.as_ptr().cast_mut().cast(),
            Argument::U32(x) => x.as_ptr().cast_mut().cast(),
            Argument::F32Mut(x) => x.as_mut_ptr().cast(),
            Argument::F64Mut(x) => x.as_mut_ptr().cast(),
            Argument::U32Mut(x) => x.as_mut_ptr().cast(),
        }
    }
}

impl<'a> From<&'a [f32]> for Argument<'a> {
    fn from(x: &'a [f32]) -> Self {
        Argument::F32(x)
    }
}

impl<'a> From<&'a [u32]> for Argument<'a> {
    fn from(x: &'a [u32]) -> Self {
        Argument::U32(x)
    }
}

impl<'a> From<&'a mut [f32]> for Argument<'a> {
    fn from(x: &'a mut [f32]) -> Self {
        Argument::F32Mut(x)
    }
}

impl<'a> From<&'a mut [u32]> for Argument<'a> {
    fn from(x: &'a mut [u32]) -> Self {
        Argument::U32Mut(x)
    }
}

impl<'a> From<&'a Tensor> for Argument<'a> {
    #[inline]
    fn from(tensor: &'a Tensor) -> Self {
        match tensor.dtype() {
            DType::F32 => Argument::F32(tensor.as_f32().unwrap_or(&[])),
            DType::F64 => Argument::F64(tensor.as_f64().unwrap_or(&[])),
            DType::U32 | DType::Mask => Argument::U32(tensor.as_u32().unwrap_or(&[])),
        }
    }
}

impl<'a> From<&'a mut Tensor> for Argument<'a> {
    #[inline]
    fn from(tensor: &'a mut Tensor) -> Self {
        match tensor.dtype() {
            DType::F32 => Argument::F32Mut(tensor.as_f32_mut().unwrap_or(&mut [])),
            DType::F64 => Argument::F64Mut(tensor.as_f64_mut().unwrap_or(&mut [])),
            DType::U32 | DType::Mask => Argument::U32Mut(tensor.as_u32_mut().unwrap_or(&mut [])),
        }
    }
}
