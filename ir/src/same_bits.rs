//! Comparing tensors the way the reproducibility contract does.

use crate::{DType, Tensor};

/// `Ok` if both tensors have one type and every element the same bits. Any two NaNs are the same: their sign and
/// payload are unspecified. Unlike `==`, it tells -0 from +0.
///
/// ```
/// use bayeslift_ir::{Tensor, same_bits};
/// let nan = Tensor::scalar(f32::NAN);
/// assert_eq!((same_bits(&nan, &nan), nan == nan), (Ok(()), false));
/// let error = same_bits(&Tensor::scalar(0.0), &Tensor::scalar(-0.0)).unwrap_err();
/// assert_eq!(error, "f32[] at []: 0e0 (0x00000000) and -0e0 (0x80000000); 1 elements differ");
/// ```
///
/// # Errors
/// A message that names both types, or the first index at which they differ with both elements and their bits.
pub fn same_bits(a: &Tensor, b: &Tensor) -> Result<(), String> {
    if a.ty() != b.ty() {
        return Err(format!("the types {} and {} differ", a.ty(), b.ty()));
    }
    let words = a.dtype().words();
    let (a_words, b_words) = (a.words(), b.words());
    let (a_bits, b_bits) = (a_words.chunks_exact(words).map(bits), b_words.chunks_exact(words).map(bits));
    let is_nan = |bits: u64| match a.dtype() {
        DType::F32 => f32::from_bits(bits as u32).is_nan(),
        DType::F64 => f64::from_bits(bits).is_nan(),
        DType::U32 | DType::Mask => false,
    };
    let differ = |(a, b): &(u64, u64)| a != b && !(is_nan(*a) && is_nan(*b));
    let mut differing = a_bits.zip(b_bits).enumerate().filter(|(_, pair)| differ(pair));
    let Some((first, (x, y))) = differing.next() else { return Ok(()) };

    let mut rest = first;
    let mut index = vec![0; a.shape().len()];
    for (index, extent) in index.iter_mut().zip(a.shape().iter()).rev() {
        (*index, rest) = (rest % extent, rest / extent);
    }
    let show = |bits: u64| match a.dtype() {
        DType::F32 => format!("{:e} ({bits:#010x})", f32::from_bits(bits as u32)),
        DType::F64 => format!("{:e} ({bits:#018x})", f64::from_bits(bits)),
        DType::U32 | DType::Mask => format!("{bits} ({bits:#010x})"),
    };
    let (count, ty) = (differing.count() + 1, a.ty());
    Err(format!("{ty} at {index:?}: {} and {}; {count} elements differ", show(x), show(y)))
}

/// The bits of an element, of which these are the words.
fn bits(words: &[u32]) -> u64 {
    words.iter().rev().fold(0, |bits, &word| bits << 32 | u64::from(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_difference() {
        let a = Tensor::f32([2, 2], [1.0, 0.0, f32::NAN, 2.0]).unwrap();
        let mut b = Tensor::f32([2, 2], [1.0, 0.0, -f32::NAN, 2.0]).unwrap();
        assert_eq!(same_bits(&a, &b), Ok(()));
        b.as_f32_mut().unwrap()[1] = -0.0;
        b.as_f32_mut().unwrap()[3] = 3.0;
        let message = "f32[2,2] at [0, 1]: 0e0 (0x00000000) and -0e0 (0x80000000); 2 elements differ";
        assert_eq!(same_bits(&a, &b), Err(message.into()));
        assert_eq!(same_bits(&a, &Tensor::scalar(1.0)), Err("the types f32[2,2] and f32[] differ".into()));
    }

    #[test]
    fn both_words_of_a_double_count() {
        let a = Tensor::f64([3], [f64::NAN, 1.0, 2.0]).unwrap();
        let b = Tensor::f64([3], [-f64::NAN, 1.0, 2.0]).unwrap();
        assert_eq!(same_bits(&a, &b), Ok(()));
        for other in [1.0 + f64::EPSILON, -1.0] {
            let mut b = b.clone();
            b.as_f64_mut().unwrap()[1] = other;
            let message = format!(
                "f64[3] at [1]: 1e0 (0x3ff0000000000000) and {other:e} ({:#018x}); 1 elements differ",
                other.to_bits()
            );
            assert_eq!(same_bits(&a, &b), Err(message));
        }
    }
}
