//! Numbers of either type of floats, as networks of either take them.

use crate::Error;
use bayeslift_ir::{DType, Tensor};
use bayeslift_runtime::Argument;
use std::{borrow::Cow, fmt, num::ParseFloatError, str::FromStr};

/// Borrowed numbers of `f32` or `f64`, as steps of training take them: see [`StepInput`](crate::StepInput).
///
/// ```
/// use bayeslift::Floats;
/// let mean = |numbers: Floats<'_>| match numbers {
///     Floats::F32(numbers) => numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / numbers.len() as f64,
///     Floats::F64(numbers) => numbers.iter().sum::<f64>() / numbers.len() as f64,
/// };
/// assert_eq!((mean(Floats::F32(&[1.0, 2.0])), mean(Floats::F64(&[0.5]))), (1.5, 0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floats<'a> {
    /// Of `f32`: a network of `f64` takes them too, as they are.
    F32(&'a [f32]),
    /// Of `f64`: only a network of `f64` takes them.
    F64(&'a [f64]),
}

impl<'a> Floats<'a> {
    pub(crate) fn argument(self) -> Argument<'a> {
        match self {
            Floats::F32(numbers) => Argument::F32(numbers),
            Floats::F64(numbers) => Argument::F64(numbers),
        }
    }
}

/// Numbers of `f32` or `f64`, borrowed or not.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub enum FloatCow<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
}

impl<'a> From<Floats<'a>> for FloatCow<'a> {
    fn from(numbers: Floats<'a>) -> Self {
        match numbers {
            Floats::F32(numbers) => numbers.into(),
            Floats::F64(numbers) => numbers.into(),
        }
    }
}

impl<'a> From<&'a [f32]> for FloatCow<'a> {
    fn from(numbers: &'a [f32]) -> Self {
        FloatCow::F32(numbers.into())
    }
}

impl<'a> From<&'a [f64]> for FloatCow<'a> {
    fn from(numbers: &'a [f64]) -> Self {
        FloatCow::F64(numbers.into())
    }
}

impl<'a> FloatCow<'a> {
    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        match self {
            FloatCow::F32(numbers) => numbers.len(),
            FloatCow::F64(numbers) => numbers.len(),
        }
    }

    /// Their type.
    pub(crate) fn dtype(&self) -> DType {
        match self {
            FloatCow::F32(_) => DType::F32,
            FloatCow::F64(_) => DType::F64,
        }
    }

    /// The numbers themselves.
    pub(crate) fn slices(&self) -> Floats<'_> {
        match self {
            FloatCow::F32(numbers) => Floats::F32(numbers),
            FloatCow::F64(numbers) => Floats::F64(numbers),
        }
    }

    /// The same numbers, borrowed.
    pub(crate) fn borrowed(&self) -> FloatCow<'_> {
        match self {
            FloatCow::F32(numbers) => FloatCow::F32(Cow::Borrowed(numbers)),
            FloatCow::F64(numbers) => FloatCow::F64(Cow::Borrowed(numbers)),
        }
    }

    /// The number at a place, as `f64`, which has all of `f32`.
    pub(crate) fn at(&self, i: usize) -> f64 {
        match self {
            FloatCow::F32(numbers) => numbers[i].into(),
            FloatCow::F64(numbers) => numbers[i],
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> {
        (0..self.len()).map(|i| self.at(i))
    }

    /// The nearest numbers of a type.
    pub(crate) fn nearest<T: Float>(&self) -> Vec<T> {
        match self {
            FloatCow::F32(numbers) => numbers.iter().map(|&x| T::nearest(x.into())).collect(),
            FloatCow::F64(numbers) => numbers.iter().map(|&x| T::nearest(x)).collect(),
        }
    }

    /// Their bits, of `f64` the lower word first.
    #[cfg(feature = "deploy")]
    pub(crate) fn words(&self) -> Vec<u32> {
        match self {
            FloatCow::F32(numbers) => numbers.iter().map(|x| x.to_bits()).collect(),
            FloatCow::F64(numbers) => {
                numbers.iter().map(|x| x.to_bits()).flat_map(|x| [x as u32, (x >> 32) as u32]).collect()
            }
        }
    }

    /// Those of `f32`; none if they are of `f64`.
    pub(crate) fn as_f32(&self) -> &[f32] {
        if let FloatCow::F32(numbers) = self { numbers } else { &[] }
    }

    /// Those of `f64`; none if they are of `f32`.
    pub(crate) fn as_f64(&self) -> &[f64] {
        if let FloatCow::F64(numbers) = self { numbers } else { &[] }
    }

    /// Of a network of this type: those of `f32` as they are in `f64`, and never the other way around.
    ///
    /// # Errors
    /// Numbers of `f64` for a network of `f32`.
    pub(crate) fn of_network(self, what: &str, dtype: DType) -> Result<FloatCow<'a>, Error> {
        match (self, dtype) {
            (FloatCow::F32(numbers), DType::F64) => Ok(FloatCow::F64(numbers.iter().map(|&x| f64::from(x)).collect())),
            (FloatCow::F64(_), DType::F32) => {
                let problem = format!("the {what} are of f64, and the network is of f32");
                Err(Error::misuse(
                    problem,
                    "make the network of f64 by `Sequential::dtype`, or round the numbers to f32",
                ))
            }
            (own, _) => Ok(own),
        }
    }

    /// Of a kind without numbers, to fill.
    pub(crate) fn none_like(&self) -> FloatCow<'static> {
        match self {
            FloatCow::F32(_) => FloatCow::F32(Cow::Owned(Vec::new())),
            FloatCow::F64(_) => FloatCow::F64(Cow::Owned(Vec::new())),
        }
    }

    pub(crate) fn argument(&self) -> Argument<'_> {
        self.slices().argument()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`: what predictions are told in. It is sealed: no other type has it.
///
/// ```
/// use bayeslift::{Classification, Float};
///
/// /// How sure each prediction is, of a network of either type.
/// fn confidence<T: Float>(prediction: &Classification<T>) -> Vec<f64> {
///     let most = |row| prediction.ranking(row).first().map_or(T::NAN, |&(_, p)| p).into();
///     (0..prediction.rows()).map(most).collect()
/// }
///
/// // the nearest number of the type, and the next one above it
/// assert_eq!(<f32 as Float>::nearest(0.1), 0.1_f32);
/// assert_eq!(f32::of_order(1.0_f32.order() + 1), 1.0 + f32::EPSILON);
/// assert!((-1.0_f64).order() < 0.0_f64.order());
/// ```
pub trait Float:
    sealed::Sealed
    + Copy
    + Default
    + PartialOrd
    + Into<f64>
    + fmt::Debug
    + fmt::Display
    + fmt::LowerExp
    + FromStr<Err = ParseFloatError>
    + Send
    + Sync
    + 'static
{
    /// The type in graphs.
    const DTYPE: DType;
    /// Not a number.
    const NAN: Self;
    /// The largest finite number.
    const MAX: Self;

    /// The number of this type that is nearest to `x`, of two the even one; infinite where `x` is beyond the range.
    fn nearest(x: f64) -> Self;

    #[doc(hidden)]
    fn floats(numbers: &[Self]) -> FloatCow<'_>;

    #[doc(hidden)]
    fn owned(numbers: Vec<Self>) -> FloatCow<'static>;

    #[doc(hidden)]
    fn of_tensor(tensor: Option<&Tensor>) -> Cow<'_, [Self]>;

    /// The place of the number in the total order of its type, from negative `NaN`s over negative numbers, -0, +0 and
    /// positive numbers to positive `NaN`s. Neighbouring numbers have consecutive places, so that a range of numbers
    /// can be halved by its places.
    fn order(self) -> u64;

    /// The number of this place in the order: the inverse of [`Float::order`]. Of `f32` only the lower 32 bits count.
    fn of_order(order: u64) -> Self;
}

impl Float for f32 {
    const DTYPE: DType = DType::F32;
    const NAN: f32 = f32::NAN;
    const MAX: f32 = f32::MAX;

    fn nearest(x: f64) -> f32 {
        x as f32
    }

    fn floats(numbers: &[f32]) -> FloatCow<'_> {
        numbers.into()
    }

    fn owned(numbers: Vec<f32>) -> FloatCow<'static> {
        FloatCow::F32(numbers.into())
    }

    fn of_tensor(tensor: Option<&Tensor>) -> Cow<'_, [f32]> {
        let Some(tensor) = tensor else { return Cow::default() };
        tensor
            .as_f32()
            .map_or_else(|| tensor.to_f64s().unwrap_or_default().iter().map(|&x| x as f32).collect(), Cow::from)
    }

    fn order(self) -> u64 {
        let bits = self.to_bits();
        (if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }).into()
    }

    fn of_order(order: u64) -> f32 {
        let order = order as u32;
        f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
    }
}

impl Float for f64 {
    const DTYPE: DType = DType::F64;
    const NAN: f64 = f64::NAN;
    const MAX: f64 = f64::MAX;

    fn nearest(x: f64) -> f64 {
        x
    }

    fn floats(numbers: &[f64]) -> FloatCow<'_> {
        numbers.into()
    }

    fn owned(numbers: Vec<f64>) -> FloatCow<'static> {
        FloatCow::F64(numbers.into())
    }

    fn of_tensor(tensor: Option<&Tensor>) -> Cow<'_, [f64]> {
        let Some(tensor) = tensor else { return Cow::default() };
        tensor.as_f64().map_or_else(|| tensor.to_f64s().unwrap_or_default().into(), Cow::from)
    }

    fn order(self) -> u64 {
        let bits = self.to_bits();
        if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
    }

    fn of_order(order: u64) -> f64 {
        f64::from_bits(if order >> 63 == 1 { order & !(1 << 63) } else { !order })
    }
}
