//! Comparing tensors the way the reproducibility contract does.

use crate::Tensor;

/// `Ok` if both tensors have one type and every element the same bits. Any two NaNs are the same: their sign and
/// payload are unspecified.
///
/// # Errors
/// A message that names both types, or the first index at which they differ with both elements and their bits.
pub fn same_bits(a: &Tensor, b: &Tensor) -> Result<(), String> {
    if a.ty() != b.ty() {
        return Err(format!("the types {} and {} differ", a.ty(), b.ty()));
    }
    let float = a.as_f32().is_some();
    let is_nan = |bits: u32| float && f32::from_bits(bits).is_nan();
    let same = |a: u32, b: u32| a == b || is_nan(a) && is_nan(b);
    let (a_words, b_words) = (a.words(), b.words());
    let differing = || (0..a_words.len()).filter(|&i| !same(a_words[i], b_words[i]));
    let Some(first) = differing().next() else { return Ok(()) };

    let mut rest = first;
    let mut index = vec![0; a.shape().len()];
    for (index, extent) in index.iter_mut().zip(a.shape().iter()).rev() {
        (*index, rest) = (rest % extent, rest / extent);
    }
    let show = |bits: u32| if float { format!("{:e}", f32::from_bits(bits)) } else { bits.to_string() };
    let (x, y) = (a_words[first], b_words[first]);
    let (count, ty) = (differing().count(), a.ty());
    Err(format!("{ty} at {index:?}: {} ({x:#010x}) and {} ({y:#010x}); {count} elements differ", show(x), show(y)))
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
}
