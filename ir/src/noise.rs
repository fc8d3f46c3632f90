//! Addressed random numbers: every element is a pure function of its logical address.
//!
//! Threefry2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
//! here TF(key, counter), turns an address into random words of 32 bits. Numbers of 64 bits are (low, high) pairs of
//! words.
//!
//! ```text
//! K0 = TF(seed, stream)   K1 = TF(K0, step)   K2 = TF(K1, (sample, row high))
//! (first, second) = TF(K2, (row low, slot))   slot = unit / 2h * h + unit % h
//! ```
//!
//! with h = 16, or 8 where a row has at most 16 units, for which one block of 16 is enough. A unit's word is the first
//! if unit % 2h < h, else the second: units u and u + h of a block share their words and, if normal, are the two
//! results of one Box-Muller transform. No vector of up to 16 lanes needs a shuffle.
//!
//! | distribution | element                                                                                          |
//! |--------------|--------------------------------------------------------------------------------------------------|
//! | normal       | (-2 ln u)^1/2 cos v for the first, sin v for the second; \|z\| <= (64 ln 2)^1/2 = 6.6604         |
//! | uniform      | an odd multiple of 2^-24 in (0, 1), from the top 23 bits of its word                             |
//! | rademacher   | -1 if the top bit of its word is set, else 1                                                     |
//!
//! with u = t 2^-31 + 2^-32 in (0, 1], t = first >> 1, both rounded to `f32`, and v = second 2^-32 turns. A normal is
//! within 4.3 ulp of that formula (the largest error of 2^30).
//!
//! Noise of `f64` has more digits of the same numbers: words of 64 bits, whose high halves are the words above. The low
//! halves are (first', second') = TF(K2, (row low, slot + 2^31)).
//!
//! | distribution | element of `f64`                                                                                 |
//! |--------------|--------------------------------------------------------------------------------------------------|
//! | normal       | (-2 ln u)^1/2 cos v for the first, sin v for the second; \|z\| <= (108 ln 2)^1/2 = 8.6522        |
//! | uniform      | an odd multiple of 2^-53 in (0, 1), from the top 52 bits of its word                             |
//! | rademacher   | -1 if the top bit of its word is set, else 1                                                     |
//!
//! with u = t 2^-31 + (2 (first' >> 10) + 1) 2^-54 in (0, 1], rounded to `f64`, and v = second 2^-32 + (second' >> 1)
//! 2^-63 turns, whose distance from the nearest quarter is rounded to `f64`. So a uniform of `f32` is within 2^-24 of
//! that of `f64`. A normal is within 4 ulp of that formula, which `tests/noise_double.rs` looks at.

use crate::{DoubleLanes, Lanes, NoiseDistribution, Scalar, elementary};

/// Threefry2x32 with 20 rounds (Salmon et al. 2011; rotations and parity as in their Random123): a bijection of
/// counters for each key, whose results look random.
///
/// ```
/// use bayeslift_ir::{Scalar, noise};
/// // an answer that Random123 publishes
/// assert_eq!(noise::threefry(&mut Scalar, [0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
/// ```
pub fn threefry<L: Lanes>(l: &mut L, key: [L::I; 2], counter: [L::I; 2]) -> [L::I; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let parity = l.integer(0x1bd1_1bda);
    let folded = l.xor(key[0], key[1]);
    let keys = [key[0], key[1], l.xor(folded, parity)];
    let [mut a, mut b] = [l.iadd(counter[0], keys[0]), l.iadd(counter[1], keys[1])];
    for (injection, rotations) in (1..=5).zip(ROTATIONS.iter().cycle()) {
        for &by in rotations {
            a = l.iadd(a, b);
            b = l.rotl(b, by);
            b = l.xor(b, a);
        }
        let number = l.integer(injection as u32);
        // Of a key only: computed once where a key serves many counters.
        let numbered = l.iadd(keys[(injection + 1) % 3], number);
        a = l.iadd(a, keys[injection % 3]);
        b = l.iadd(b, numbered);
    }
    [a, b]
}

/// K1: the key of a noise site in one step, TF(TF(seed, stream), step). Each is (low, high) words.
///
/// ```
/// use bayeslift_ir::{Scalar, noise};
/// let (seed, step, stream) = ([7, 0], [100, 0], [1, 2]);
/// let of_the_site = noise::threefry(&mut Scalar, seed, stream);
/// let key = noise::site_key(&mut Scalar, seed, step, stream);
/// assert_eq!(key, noise::threefry(&mut Scalar, of_the_site, step));
/// ```
pub fn site_key<L: Lanes>(l: &mut L, seed: [L::I; 2], step: [L::I; 2], stream: [L::I; 2]) -> [L::I; 2] {
    let key = threefry(l, seed, stream);
    threefry(l, key, step)
}

/// K2: the key of the rows of one sample whose index has this high word, TF(K1, (sample, row high)).
///
/// ```
/// use bayeslift_ir::{Scalar, noise};
/// let site_key = [1, 2];
/// let keys = [3, 4].map(|sample| noise::row_key(&mut Scalar, site_key, sample, 0));
/// assert_eq!(keys[1], noise::threefry(&mut Scalar, site_key, [4, 0]));
/// assert_ne!(keys[0], keys[1]);
/// ```
pub fn row_key<L: Lanes>(l: &mut L, site_key: [L::I; 2], sample: L::I, row_high: L::I) -> [L::I; 2] {
    threefry(l, site_key, [sample, row_high])
}

/// How far units are apart that share their words, h, in rows of `units` units: 8 up to 16 units, else 16.
///
/// ```
/// use bayeslift_ir::noise;
/// assert_eq!([1, 16, 17, 1000].map(noise::half), [8, 8, 16, 16]);
/// ```
pub fn half(units: usize) -> usize {
    if units <= 16 { 8 } else { 16 }
}

/// The elements of units u and u + h, for `slot` = u / 2h * h + u % h and h of [`half`]. The key is that of
/// [`row_key`].
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Normal, Scalar, noise};
/// let (seed, stream) = (7, 0x2_0000_0001);
/// let mut row = [0.0; 24];
/// noise::fill_row(Normal, stream, seed, 100, 3, 5, &mut row);
/// let key = noise::site_key(&mut Scalar, [7, 0], [100, 0], [1, 2]);
/// let key = noise::row_key(&mut Scalar, key, 3, 0);
/// assert_eq!(noise::pair(&mut Scalar, Normal, key, 5, 2), [row[2], row[2 + 16]]);
/// ```
pub fn pair<L: Lanes>(
    l: &mut L,
    distribution: NoiseDistribution,
    row_key: [L::I; 2],
    row_low: L::I,
    slot: L::I,
) -> [L::F; 2] {
    let words = threefry(l, row_key, [row_low, slot]);
    match distribution {
        NoiseDistribution::Normal => normal(l, words),
        NoiseDistribution::Uniform => words.map(|word| uniform(l, word)),
        NoiseDistribution::Rademacher => words.map(|word| rademacher(l, word)),
    }
}

/// Two independent standard normals (Box and Muller, "A note on the generation of random normal deviates", 1958).
fn normal<L: Lanes>(l: &mut L, [first, second]: [L::I; 2]) -> [L::F; 2] {
    const TWO_TO_MINUS_31: f32 = f32::from_bits((127 - 31) << 23);
    // Thirty-one bits, because conversion is signed. Towards 0, where the tail of the normal is, u keeps all of them.
    let t = l.shr(first, 1);
    let (t, scale, half) = (l.to_float(t), l.constant(TWO_TO_MINUS_31), l.constant(TWO_TO_MINUS_31 / 2.0));
    let u = l.fma(t, scale, half);
    let (log, minus_two) = (elementary::log_of_normal(l, u), l.constant(-2.0));
    let square = l.mul(log, minus_two);
    let radius = l.sqrt(square);

    // The angle is the nearest quarter turn, in the top two bits once an eighth is added, and an exact rest.
    let (eighth, quarters) = (l.integer(0x2000_0000), l.integer(0xc000_0000));
    let turned = l.iadd(second, eighth);
    let quarter = l.and(turned, quarters);
    let rest = l.isub(second, quarter);
    let (rest, scale) = (l.to_float(rest), l.constant(std::f32::consts::PI * TWO_TO_MINUS_31));
    let rest = l.mul(rest, scale);
    let (s, c) = elementary::sin_cos_of_small(l, rest);
    let (one_quarter, zero) = (l.integer(0x4000_0000), l.integer(0));
    let odd = l.and(turned, one_quarter);
    let is_even = l.iequal(odd, zero);
    let (cos, sin) = (l.select(is_even, c, s), l.select(is_even, s, c));
    // The sine is negative in quarters 2 and 3, the cosine in 1 and 2.
    let next = l.iadd(turned, one_quarter);
    let (cos, sin) = (elementary::flip_sign(l, cos, next), elementary::flip_sign(l, sin, turned));
    [l.mul(radius, cos), l.mul(radius, sin)]
}

/// (2 k + 1) 2^-24 with k the top 23 bits: 1 + k 2^-23 by its bits, less 1 - 2^-24, exactly.
fn uniform<L: Lanes>(l: &mut L, word: L::I) -> L::F {
    let (one, below_one) = (l.integer(1.0_f32.to_bits()), l.constant(1.0 - f32::EPSILON / 2.0));
    let k = l.shr(word, 9);
    let bits = l.or(k, one);
    let shifted = l.float_of_bits(bits);
    l.sub(shifted, below_one)
}

fn rademacher<L: Lanes>(l: &mut L, word: L::I) -> L::F {
    let one = l.constant(1.0);
    elementary::flip_sign(l, one, word)
}

/// As [`pair`], of `f64`: more digits of the same numbers.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Uniform, Scalar, noise};
/// let coarse = noise::pair(&mut Scalar, Uniform, [1, 2], 5, 2);
/// let fine = noise::pair_f64(&mut Scalar, Uniform, [1, 2], 5, 2);
/// assert!((f64::from(coarse[0]) - fine[0]).abs() <= 0.5_f64.powi(24));
/// ```
pub fn pair_f64<L: DoubleLanes>(
    l: &mut L,
    distribution: NoiseDistribution,
    row_key: [L::I; 2],
    row_low: L::I,
    slot: L::I,
) -> [L::D; 2] {
    let high = threefry(l, row_key, [row_low, slot]);
    if distribution == NoiseDistribution::Rademacher {
        return high.map(|word| {
            let one = l.dconstant(1.0);
            elementary::double::flip_sign(l, one, word)
        });
    }
    let beyond = l.integer(1 << 31);
    let slot = l.xor(slot, beyond);
    let low = threefry(l, row_key, [row_low, slot]);
    match distribution {
        NoiseDistribution::Normal => normal_f64(l, high, low),
        _ => [0, 1].map(|i| uniform_f64(l, high[i], low[i])),
    }
}

/// As [`normal`], of `f64`.
fn normal_f64<L: DoubleLanes>(l: &mut L, [first, second]: [L::I; 2], [first_low, second_low]: [L::I; 2]) -> [L::D; 2] {
    let (t, rest) = (l.shr(first, 1), l.shr(first_low, 10));
    let (t, rest) = (l.to_double(t), l.to_double(rest));
    let [scale, rest_scale, half] = [-31, -53, -54].map(|exponent| l.dconstant(two_to(exponent)));
    let (t, rest) = (l.dmul(t, scale), l.dmul(rest, rest_scale));
    // exact, of less than 23 bits
    let rest = l.dadd(rest, half);
    let u = l.dadd(t, rest);
    let (log, minus_two) = (elementary::double::log_of_normal(l, u), l.dconstant(-2.0));
    let square = l.dmul(log, minus_two);
    let radius = l.dsqrt(square);

    // The angle is the nearest quarter turn, in the top two bits once an eighth is added, and a rest.
    let (eighth, quarters) = (l.integer(0x2000_0000), l.integer(0xc000_0000));
    let turned = l.iadd(second, eighth);
    let quarter = l.and(turned, quarters);
    let rest = l.isub(second, quarter);
    let more = l.shr(second_low, 1);
    let (rest, more) = (l.to_double(rest), l.to_double(more));
    let more = l.dmul(more, scale);
    let rest = l.dadd(rest, more);
    let scale = l.dconstant(std::f64::consts::PI * two_to(-31));
    let rest = l.dmul(rest, scale);
    let (s, c) = elementary::double::sin_cos_of_small(l, rest);
    let (one_quarter, zero) = (l.integer(0x4000_0000), l.integer(0));
    let odd = l.and(turned, one_quarter);
    let is_even = l.iequal(odd, zero);
    let (cos, sin) = (l.dselect(is_even, c, s), l.dselect(is_even, s, c));
    // The sine is negative in quarters 2 and 3, the cosine in 1 and 2.
    let next = l.iadd(turned, one_quarter);
    let (cos, sin) = (elementary::double::flip_sign(l, cos, next), elementary::double::flip_sign(l, sin, turned));
    [l.dmul(radius, cos), l.dmul(radius, sin)]
}

/// (2 k + 1) 2^-53 with k the top 52 bits: 1 + k 2^-52 by its bits, less 1 - 2^-53, exactly.
fn uniform_f64<L: DoubleLanes>(l: &mut L, high: L::I, low: L::I) -> L::D {
    let (one, below_one) = (l.integer((1.0_f64.to_bits() >> 32) as u32), l.dconstant(1.0 - f64::EPSILON / 2.0));
    let (top, above, below) = (l.shr(high, 12), l.shl(high, 20), l.shr(low, 12));
    let (high, low) = (l.or(top, one), l.or(above, below));
    let shifted = l.double_of_words(high, low);
    l.dsub(shifted, below_one)
}

/// 2^exponent.
const fn two_to(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Where in a noise site an element is. The element is a function of this, of the site's stream and of the law alone:
/// it depends on no batch, thread or machine.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Normal, noise::{self, Address}};
/// let at = Address { seed: 7, step: 100, sample: 3, row: 5, unit: 2, units: 64 };
/// let stream = noise::stream("mlp/affine", "kernel");
/// let mut row = [0.0; 64];
/// noise::fill_row(Normal, stream, at.seed, at.step, at.sample, at.row, &mut row);
/// assert_eq!(noise::element(Normal, stream, at), row[2]);
/// assert_ne!(noise::element(Normal, stream, at), noise::element(Normal, stream, Address { step: 101, ..at }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// The seed of the run.
    pub seed: u64,
    /// The training step, or any other count of calls.
    pub step: u64,
    /// The posterior sample.
    pub sample: u32,
    /// The row-major index over all axes but the sample axis and the last.
    pub row: u64,
    /// The index on the last axis.
    pub unit: u32,
    /// The extent of the last axis.
    pub units: u32,
}

/// The element of the site `stream` at `address`, by the formulas at the head of this module. For whole rows
/// [`fill_row`] takes half the time.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Rademacher, noise::{self, Address}};
/// let at = |seed, row| Address { seed, row, units: 1, ..Address::default() };
/// let signs = |seed| (0..8).map(move |row| noise::element(Rademacher, 1, at(seed, row)));
/// assert!(signs(7).eq(signs(7)) && !signs(7).eq(signs(8)));
/// ```
pub fn element(distribution: NoiseDistribution, stream: u64, address: Address) -> f32 {
    let (key, row_low, slot, which) = place(stream, address);
    pair(&mut Scalar, distribution, key, row_low, slot)[which]
}

/// As [`element`], of `f64`: more digits of the same number.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Uniform, noise::{self, Address}};
/// let at = Address { seed: 7, unit: 3, units: 10, ..Address::default() };
/// let (coarse, fine) = (noise::element(Uniform, 1, at), noise::element_f64(Uniform, 1, at));
/// assert!((f64::from(coarse) - fine).abs() <= 0.5_f64.powi(24));
/// ```
pub fn element_f64(distribution: NoiseDistribution, stream: u64, address: Address) -> f64 {
    let (key, row_low, slot, which) = place(stream, address);
    pair_f64(&mut Scalar, distribution, key, row_low, slot)[which]
}

/// The key and the low word of an element's row, its slot, and which of the pair there it is.
fn place(stream: u64, address: Address) -> ([u32; 2], u32, u32, usize) {
    let Address { seed, step, sample, row, unit, units } = address;
    let (key, row_low) = host_key(stream, seed, step, sample, row);
    let half = half(units as usize) as u32;
    (key, row_low, unit / (2 * half) * half + unit % half, (unit / half % 2) as usize)
}

/// The elements of all units of one row: what [`element`] gives, at half the cost. `out` has as many elements as the
/// site's last axis, not a part of it.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Normal, noise::{self, Address}};
/// let mut row = [0.0; 100];
/// noise::fill_row(Normal, 1, 7, 0, 0, 5, &mut row);
/// let at = Address { seed: 7, row: 5, unit: 99, units: 100, ..Address::default() };
/// assert_eq!(row[99], noise::element(Normal, 1, at));
/// ```
pub fn fill_row(
    distribution: NoiseDistribution,
    stream: u64,
    seed: u64,
    step: u64,
    sample: u32,
    row: u64,
    out: &mut [f32],
) {
    let (key, row_low) = host_key(stream, seed, step, sample, row);
    fill(out, |slot| pair(&mut Scalar, distribution, key, row_low, slot));
}

/// As [`fill_row`], of `f64`: more digits of the same numbers, what [`element_f64`] gives.
///
/// ```
/// use bayeslift_ir::{NoiseDistribution::Normal, noise::{self, Address}};
/// let mut row = [0.0; 100];
/// noise::fill_row_f64(Normal, 1, 7, 0, 0, 5, &mut row);
/// let at = Address { seed: 7, row: 5, unit: 99, units: 100, ..Address::default() };
/// assert_eq!(row[99], noise::element_f64(Normal, 1, at));
/// ```
pub fn fill_row_f64(
    distribution: NoiseDistribution,
    stream: u64,
    seed: u64,
    step: u64,
    sample: u32,
    row: u64,
    out: &mut [f64],
) {
    let (key, row_low) = host_key(stream, seed, step, sample, row);
    fill(out, |slot| pair_f64(&mut Scalar, distribution, key, row_low, slot));
}

/// The elements of a row, given the pair of each slot.
fn fill<T>(out: &mut [T], pair: impl Fn(u32) -> [T; 2]) {
    let half = half(out.len());
    for (first_slot, block) in (0..).step_by(half).zip(out.chunks_mut(2 * half)) {
        let (firsts, seconds) = block.split_at_mut(block.len().min(half));
        for (lane, out) in firsts.iter_mut().enumerate() {
            let [first, second] = pair(first_slot + lane as u32);
            *out = first;
            if let Some(out) = seconds.get_mut(lane) {
                *out = second;
            }
        }
    }
}

/// K2 and the low word of the row.
fn host_key(stream: u64, seed: u64, step: u64, sample: u32, row: u64) -> ([u32; 2], u32) {
    let [row_low, row_high] = words(row);
    let key = site_key(&mut Scalar, words(seed), words(step), words(stream));
    (row_key(&mut Scalar, key, sample, row_high), row_low)
}

/// The low and the high word.
fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The stream of the noise site `site` in the layer at `path`.
///
/// FNV-1a (64 bits) over the bytes of `path`, the byte 0xff, which UTF-8 does not use, and the bytes of `site`; then
/// the finalizer of SplitMix64 (Steele, Lea and Flood, 2014), a bijection that spreads every bit over all. Two sites of
/// one graph that have one stream are refused by [`verify`](crate::verify).
///
/// ```
/// use bayeslift_ir::noise;
/// assert_eq!(noise::stream("net/dense", "bias"), 0x13ca_dcf7_76c5_5928);
/// // where a path ends counts
/// assert_ne!(noise::stream("net/dense", "kernel"), noise::stream("net/densek", "ernel"));
/// ```
pub fn stream(path: &str, site: &str) -> u64 {
    let bytes = path.bytes().chain([0xff]).chain(site.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
