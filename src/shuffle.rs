//! Random orders that are the same on every machine.

use bayeslift_ir::{
    Scalar,
    noise::{site_key, stream, threefry},
};

/// A random order of `0..count`, a pure function of its arguments.
///
/// Fisher and Yates's shuffle. The i-th exchange takes the 64-bit word at counter i of the Threefry key of (seed, use,
/// number), scaled to the range by its upper half (Lemire 2019): the bias is below count / 2^64.
pub(crate) fn permutation(seed: u64, purpose: &str, number: u64, count: usize) -> Vec<usize> {
    let words = |x: u64| [x as u32, (x >> 32) as u32];
    let stream = words(stream("bayeslift/shuffle", purpose));
    let key = site_key(&mut Scalar, words(seed), words(number), stream);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        let [low, high] = threefry(&mut Scalar, key, words(i as u64));
        let word = u64::from(high) << 32 | u64::from(low);
        let j = (u128::from(word) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_and_pinned() {
        let mut order = permutation(1, "epoch", 2, 1000);
        assert_eq!(order, permutation(1, "epoch", 2, 1000));
        assert_ne!(order, permutation(1, "epoch", 3, 1000));
        assert_ne!(order, permutation(2, "epoch", 2, 1000));
        assert_ne!(order, permutation(1, "split", 2, 1000));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
        assert_eq!(permutation(0, "epoch", 0, 1), [0]);
        assert!(permutation(0, "epoch", 0, 0).is_empty());
        assert_eq!(permutation(42, "epoch", 1, 10), [1, 5, 9, 6, 2, 7, 3, 8, 0, 4]);
    }

    #[test]
    fn every_element_is_as_likely_everywhere() {
        // Five elements at five places over 5000 orders: each count is 1000 with standard deviation 28.3. The largest
        // of 25 deviations exceeds 4.5 deviations with probability 1.7e-4; seeds are fixed.
        let mut counts = [[0_i32; 5]; 5];
        for number in 0..5000 {
            for (place, element) in permutation(7, "epoch", number, 5).into_iter().enumerate() {
                counts[place][element] += 1;
            }
        }
        let worst = counts.iter().flatten().map(|count| (count - 1000).abs()).max();
        assert!(worst < Some(127), "{counts:?}");
    }
}
