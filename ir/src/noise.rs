//! Addressed random numbers: every element is a pure function of its logical address.
//!
//! Threefry2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), written TF(key, counter) here,
//! turns an address into two words of 32 random bits:
//!
//! ```text
//! K0 = TF(seed, stream)   K1 = TF(K0, step)   K2 = TF(K1, (sample, row >> 32))
//! words(row, unit) = TF(K2, (row & 0xffff_ffff, slot))   slot = (unit / 32) * 16 + unit % 16
//! ```
//!
//! Numbers of 64 bits are (low, high) pairs. Units u and u + 16 of a block of 32 share a slot: if `unit % 32 < 16` the
//! unit is the first of the [`pair`], else the second, so no vector width up to 16 needs a shuffle.

use crate::{Distribution, Lanes, Scalar, elementary};

/// Threefry2x32 with 20 rounds (Salmon et al. 2011, section 3.2; constants of Random123).
pub fn threefry<L: Lanes>(l: &mut L, key: [L::I; 2], counter: [L::I; 2]) -> [L::I; 2] {
    const PARITY: u32 = 0x1bd1_1bda;
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let parity = l.integer(PARITY);
    let both = l.xor(key[0], key[1]);
    let keys = [key[0], key[1], l.xor(both, parity)];
    let [mut a, mut b] = [l.iadd(counter[0], keys[0]), l.iadd(counter[1], keys[1])];
    for group in 1..=5 {
        for by in ROTATIONS[(group + 1) % 2] {
            a = l.iadd(a, b);
            b = l.rotl(b, by);
            b = l.xor(b, a);
        }
        let number = l.integer(group as u32);
        a = l.iadd(a, keys[group % 3]);
        let key = l.iadd(keys[(group + 1) % 3], number);
        b = l.iadd(b, key);
    }
    [a, b]
}

/// K1, the key of a noise site in a step. Seed and step are (low, high) words.
pub fn site_key<L: Lanes>(l: &mut L, seed: [L::I; 2], step: [L::I; 2], stream: u64) -> [L::I; 2] {
    let stream = [l.integer(stream as u32), l.integer((stream >> 32) as u32)];
    let key = threefry(l, seed, stream);
    threefry(l, key, step)
}

/// K2, the key of the rows of one sample that share the high word of their index.
pub fn row_key<L: Lanes>(l: &mut L, site_key: [L::I; 2], sample: L::I, row_high: L::I) -> [L::I; 2] {
    threefry(l, site_key, [sample, row_high])
}

/// The elements of units u and u + 16, for `slot = (u / 32) * 16 + u % 16`.
pub fn pair<L: Lanes>(
    l: &mut L,
    distribution: Distribution,
    row_key: [L::I; 2],
    row_low: L::I,
    slot: L::I,
) -> [L::F; 2] {
    let words = threefry(l, row_key, [row_low, slot]);
    match distribution {
        Distribution::Normal => normal(l, words),
        Distribution::Uniform => words.map(|word| uniform(l, word)),
        Distribution::Rademacher => words.map(|word| rademacher(l, word)),
    }
}

/// Two independent standard normals from two words (Box and Muller, 1958).
fn normal<L: Lanes>(l: &mut L, [first, second]: [L::I; 2]) -> [L::F; 2] {
    let first = l.shr(first, 1);
    let t = l.to_float(first);
    let (scale, offset) = (l.constant(1.0 / 2_147_483_648.0), l.constant(0.5 / 2_147_483_648.0));
    let u = l.fma(t, scale, offset);
    let log = elementary::log_of_normal(l, u);
    let minus_two = l.constant(-2.0);
    let square = l.mul(log, minus_two);
    let radius = l.sqrt(square);

    let (eighth, quadrants) = (l.integer(0x2000_0000), l.integer(0xc000_0000));
    let turned = l.iadd(second, eighth);
    let quadrant = l.and(turned, quadrants);
    let rest = l.isub(second, quadrant);
    let (rest, scale) = (l.to_float(rest), l.constant(std::f32::consts::PI / 2_147_483_648.0));
    let angle = l.mul(rest, scale);
    let (s, c) = elementary::sin_cos_of_small(l, angle);
    let (odd, sign, zero) = (l.integer(0x4000_0000), l.integer(0x8000_0000), l.integer(0));
    let is_odd = l.and(turned, odd);
    let even = l.iequal(is_odd, zero);
    let (sine, cosine) = (l.select(even, s, c), l.select(even, c, s));
    let sine_sign = l.and(turned, sign);
    let cosine_sign = l.iadd(turned, odd);
    let cosine_sign = l.and(cosine_sign, sign);
    [(cosine, cosine_sign), (sine, sine_sign)].map(|(part, sign)| {
        let part = l.bits(part);
        let part = l.xor(part, sign);
        let part = l.from_bits(part);
        l.mul(radius, part)
    })
}

/// The odd multiples of 2^-24 in (0, 1), from the top 23 bits.
fn uniform<L: Lanes>(l: &mut L, word: L::I) -> L::F {
    let (one, almost_one) = (l.integer(0x3f80_0000), l.constant(1.0 - 0.5 * f32::EPSILON));
    let fraction = l.shr(word, 9);
    let bits = l.or(fraction, one);
    let from_one = l.from_bits(bits);
    l.sub(from_one, almost_one)
}

/// -1 if the top bit is set, else 1.
fn rademacher<L: Lanes>(l: &mut L, word: L::I) -> L::F {
    let (one, sign) = (l.integer(0x3f80_0000), l.integer(0x8000_0000));
    let sign = l.and(word, sign);
    let bits = l.or(sign, one);
    l.from_bits(bits)
}

/// The logical address of a noise element within its site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// The seed of the run.
    pub seed: u64,
    /// The training step, or any other counter of calls.
    pub step: u64,
    /// Index of the posterior sample.
    pub sample: u32,
    /// Row-major index over all axes but the sample axis and the last.
    pub row: u64,
    /// Index on the last axis.
    pub unit: u32,
}

/// The element of `stream` at `address`.
pub fn element(distribution: Distribution, stream: u64, address: Address) -> f32 {
    let Address { seed, step, sample, row, unit } = address;
    let key = row_key_of(stream, seed, step, sample, row);
    let slot = unit / 32 * 16 + unit % 16;
    pair(&mut Scalar, distribution, key, row as u32, slot)[(unit / 16 % 2) as usize]
}

/// The elements of units 0, 1, ... of one row.
pub fn fill_row(distribution: Distribution, stream: u64, seed: u64, step: u64, sample: u32, row: u64, out: &mut [f32]) {
    let key = row_key_of(stream, seed, step, sample, row);
    for (block, out) in (0..).zip(out.chunks_mut(32)) {
        for lane in 0..out.len().min(16) {
            let [first, second] = pair(&mut Scalar, distribution, key, row as u32, block * 16 + lane as u32);
            out[lane] = first;
            if let Some(out) = out.get_mut(lane + 16) {
                *out = second;
            }
        }
    }
}

fn row_key_of(stream: u64, seed: u64, step: u64, sample: u32, row: u64) -> [u32; 2] {
    let words = |x: u64| [x as u32, (x >> 32) as u32];
    let key = site_key(&mut Scalar, words(seed), words(step), stream);
    row_key(&mut Scalar, key, sample, words(row)[1])
}

/// The stream of the noise site `site` in the layer at `path`: FNV-1a over the bytes of the path, 0xff (which
/// occurs in no UTF-8 text) and the site, then the finalizer of SplitMix64.
pub fn stream(path: &str, site: &str) -> u64 {
    let bytes = path.bytes().chain([0xff]).chain(site.bytes());
    let mut hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
