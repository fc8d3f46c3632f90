//! Noise: known answers, the published vectors of the whole law, addresses, and statistics at fixed seeds.
//!
//! Everything here is deterministic. A threshold's false alarm probability is over the choice of the seed: a correct
//! generator fails with that probability when seeds or addresses in these tests are changed.

use bayeslift_ir::NoiseDistribution::{self, Normal, Rademacher, Uniform};
use bayeslift_ir::{Scalar, arbitrary::largest, noise, noise::Address};

/// Threefry2x32-20 and the address law written again, plainly, to check the words.
mod plain {
    use super::Address;

    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];

    pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
        let key = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd1_1bda];
        let mut x = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
        for round in 0..20 {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
            if round % 4 == 3 {
                let j = round / 4 + 1;
                x[0] = x[0].wrapping_add(key[j % 3]);
                x[1] = x[1].wrapping_add(key[(j + 1) % 3]).wrapping_add(j as u32);
            }
        }
        x
    }

    /// The counter that Threefry takes to `x`.
    pub fn threefry_inverse(key: [u32; 2], mut x: [u32; 2]) -> [u32; 2] {
        let key = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd1_1bda];
        for round in (0..20).rev() {
            if round % 4 == 3 {
                let j = round / 4 + 1;
                x[0] = x[0].wrapping_sub(key[j % 3]);
                x[1] = x[1].wrapping_sub(key[(j + 1) % 3]).wrapping_sub(j as u32);
            }
            x[1] = (x[1] ^ x[0]).rotate_right(ROTATIONS[round % 8]);
            x[0] = x[0].wrapping_sub(x[1]);
        }
        [x[0].wrapping_sub(key[0]), x[1].wrapping_sub(key[1])]
    }

    pub fn split(x: u64) -> [u32; 2] {
        [x as u32, (x >> 32) as u32]
    }

    /// Both words of the block that holds the unit.
    pub fn words(stream: u64, a: Address) -> [u32; 2] {
        let key = threefry(threefry(split(a.seed), split(stream)), split(a.step));
        let key = threefry(key, [a.sample, split(a.row)[1]]);
        let half = if a.units > 16 { 16 } else { 8 };
        threefry(key, [split(a.row)[0], a.unit / (2 * half) * half + a.unit % half])
    }

    /// The normals of two words, in double precision but for u, whose rounding is part of the law.
    pub fn normals([first, second]: [u32; 2]) -> [f64; 2] {
        let u = ((first >> 1) as f32).mul_add(0.5_f32.powi(31), 0.5_f32.powi(32));
        let radius = (-2.0 * libm::log(f64::from(u))).sqrt();
        // In eighths of a turn, so that the angle is exact before it is an angle.
        let eighths = f64::from(second) * 0.5_f64.powi(29);
        let quarter = (eighths / 2.0).round();
        let rest = (eighths - 2.0 * quarter) * std::f64::consts::FRAC_PI_4;
        let (sin, cos) = (libm::sin(rest), libm::cos(rest));
        let (sin, cos) = [(sin, cos), (cos, -sin), (-sin, -cos), (-cos, sin)][quarter as usize % 4];
        [radius * cos, radius * sin]
    }
}

/// What `pair` makes of given words: Threefry is a bijection, so some counter gives them.
fn pair_of(distribution: NoiseDistribution, words: [u32; 2]) -> [f32; 2] {
    let key = [0x0123_4567, 0x89ab_cdef];
    let [row_low, slot] = plain::threefry_inverse(key, words);
    noise::pair(&mut Scalar, distribution, key, row_low, slot)
}

const STREAM: u64 = 0x8755_1404_f61c_5d95;

#[test]
fn threefry_gives_the_known_answers_of_random123() {
    // tests/kat_vectors: threefry2x32, 20 rounds; counter and key of zeros, of ones, of digits of pi.
    for (key, counter, words) in [
        ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
        ([!0, !0], [!0, !0], [0x1cb9_96fc, 0xbb00_2be7]),
        ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
    ] {
        assert_eq!(noise::threefry(&mut Scalar, key, counter), words);
        assert_eq!(plain::threefry(key, counter), words);
        assert_eq!(plain::threefry_inverse(key, words), counter);
    }
}

/// The published vectors: (seed, stream, step, sample, row, unit), the word, and the bits of the normal and the
/// uniform.
///
/// Derived by a Python script that shares nothing with this crate (integers, then the formula in 40 digits): the words
/// and the uniforms as they are, the normals up to 2 ulp, where the bits are this crate's. The Rademacher element is
/// the word's top bit.
type Vector = ((u64, u64, u64, u32, u64, u32), u32, u32, u32);
const VECTORS: &[Vector] = &[
    ((0, 0, 0, 0, 0, 0), 0x4261_bcc8, 0xbf23_34c4, 0x3e84_c37a),
    ((0, 0, 0, 0, 0, 16), 0x503c_5210, 0x3fc1_d43d, 0x3ea0_78a6),
    ((0, 0, 0, 0, 0, 1), 0x5bc2_4216, 0x3fb4_9f2b, 0x3eb7_8486),
    ((0, 0, 0, 0, 0, 47), 0x0169_6b1b, 0x4027_6a39, 0x3bb4_b580),
    ((1, 0, 0, 0, 0, 0), 0x97f0_9886, 0xbeb4_6ccd, 0x3f17_f099),
    ((0, 1, 0, 0, 0, 0), 0x8091_910c, 0x3d52_4bc4, 0x3f00_9191),
    ((0, 0, 1, 0, 0, 0), 0xa757_0a3d, 0x3f19_18a8, 0x3f27_570b),
    ((0, 0, 0, 1, 0, 0), 0x5a8b_efd0, 0x3f25_c806, 0x3eb5_17de),
    ((0, 0, 0, 0, 1, 0), 0xffd8_fa93, 0xbc27_8fa8, 0x3f7f_d8fb),
    ((1 << 32, 0, 0, 0, 0, 0), 0xa5e8_7f00, 0xbf2c_44ce, 0x3f25_e87f),
    ((0, 1 << 32, 0, 0, 0, 0), 0xb2ae_ca53, 0x3f42_c301, 0x3f32_aecb),
    ((0, 0, 1 << 32, 0, 0, 0), 0x3395_92ab, 0x3eb8_aa3b, 0x3e4e_564c),
    ((0, 0, 0, 0, 1 << 32, 0), 0x5a06_ce3a, 0xbf06_5e0d, 0x3eb4_0d9e),
    ((0x0123_4567_89ab_cdef, STREAM, 1000, 7, (3 << 32) + 12_345, 1023), 0x7daf_7125, 0x3dc1_bf68, 0x3efb_5ee2),
    ((!0, !0, !0, !0, !0, !0), 0xef43_2834, 0xbeb8_1c59, 0x3f6f_4329),
];

/// Units of a row: enough that its words are addressed by blocks of 32.
const MANY: u32 = 1 << 20;

#[test]
fn elements_are_the_published_vectors() {
    let mut failed = false;
    for &((seed, stream, step, sample, row, unit), word, normal, uniform) in VECTORS {
        let address = Address { seed, step, sample, row, unit, units: MANY };
        let half = (unit / 16 % 2) as usize;
        assert_eq!(plain::words(stream, address)[half], word, "{address:?}");
        let sign = if word >> 31 == 1 { -1.0 } else { 1.0_f32 };
        let bits = |distribution| noise::element(distribution, stream, address).to_bits();
        let actual = [Normal, Uniform, Rademacher].map(bits);
        if actual != [normal, uniform, sign.to_bits()] {
            println!("{address:?}: {actual:#010x?}");
            failed = true;
        }
    }
    assert!(!failed);
}

#[test]
fn short_rows_have_blocks_of_sixteen() {
    for units in 1..=16 {
        for unit in 0..units {
            let address = Address { seed: 5, step: 2, sample: 1, row: 77, unit, units };
            let word = plain::words(STREAM, address)[usize::from(unit >= 8)];
            let sign = if word >> 31 == 1 { -1.0 } else { 1.0 };
            assert_eq!(noise::element(Rademacher, STREAM, address), sign, "{address:?}");
            let uniform = (f64::from(word >> 9) * 2.0 + 1.0) / f64::from(1 << 24);
            assert_eq!(f64::from(noise::element(Uniform, STREAM, address)), uniform, "{address:?}");
        }
    }
}

#[test]
fn streams_are_the_published_hashes() {
    assert_eq!(noise::stream("", ""), 0x4f2d_b50f_1240_40cd);
    assert_eq!(noise::stream("net/dense", "kernel"), STREAM);
    assert_eq!(noise::stream("net/dense", "bias"), 0x13ca_dcf7_76c5_5928);
    assert_eq!(noise::stream("net/densek", "ernel"), 0x4396_071f_49a9_22ba);
}

#[test]
fn extreme_words_give_the_stated_extremes() {
    let largest = (64.0 * std::f64::consts::LN_2).sqrt() as f32;
    assert_eq!(largest, 6.660_437);
    // u = 2^-32 for the words 0 and 1; angles 0, 1/4, 1/2, 3/4 turn.
    for first in [0, 1] {
        let z = [0, 1 << 30, 2 << 30, 3 << 30].map(|angle| pair_of(Normal, [first, angle]));
        assert_eq!(z, [[largest, 0.0], [0.0, largest], [-largest, 0.0], [0.0, -largest]]);
    }
    // u = 1: nothing is left of the radius.
    assert_eq!(pair_of(Normal, [!0, 0x1234_5678]), [0.0, 0.0]);
    assert_eq!(pair_of(Uniform, [0, !0]), [0.5_f32.powi(24), 1.0 - 0.5_f32.powi(24)]);
    assert_eq!(pair_of(Uniform, [0x1ff, 0x8000_0000]), [0.5_f32.powi(24), 0.5 + 0.5_f32.powi(24)]);
    assert_eq!(pair_of(Rademacher, [0x7fff_ffff, 0x8000_0000]), [1.0, -1.0]);
}

#[test]
fn normals_are_within_the_documented_error() {
    let error = |words| {
        let error_in_ulp = |(z, exact): (f32, f64)| {
            let ulp = 2.0_f64.powi(libm::ilogb(exact) - 23);
            (f64::from(z) - exact).abs() / ulp
        };
        let pairs = pair_of(Normal, words).into_iter().zip(plain::normals(words));
        largest(pairs.filter(|(_, exact)| *exact != 0.0).map(error_in_ulp))
    };
    // All octants, and all magnitudes of u and of the angle's rest.
    let sample = (0..1_u32 << 17).map(|i| {
        let spread = [i.wrapping_mul(2_654_435_769), i.wrapping_mul(1_640_531_535)];
        [spread[0] >> (i % 29), (spread[1] as i32 >> (i / 29 % 29)) as u32 ^ (i << 30)]
    });
    let error_of_all = largest(sample.map(error));
    assert!(error_of_all <= 4.3, "{error_of_all}");
    // The worst of 2^30 normals from random words.
    let worst = error([0x9ee3_d3d2, 0x7d69_8e9a]);
    assert!((4.2..=4.3).contains(&worst), "{worst}");
}

#[test]
fn rows_hold_their_elements() {
    let base = Address { seed: 42, step: 3, sample: 5, row: (1 << 32) + 9, ..Address::default() };
    for distribution in [Normal, Uniform, Rademacher] {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 64, 100] {
            let mut row = vec![f32::NAN; length];
            noise::fill_row(distribution, STREAM, base.seed, base.step, base.sample, base.row, &mut row);
            for (unit, x) in (0..).zip(row) {
                assert_eq!(
                    x,
                    noise::element(distribution, STREAM, Address { unit, units: length as u32, ..base }),
                    "unit {unit} of {length}"
                );
            }
        }
    }
}

#[test]
fn partners_share_a_block_and_nothing_else() {
    let mut seen = std::collections::HashMap::new();
    for row in (0..16).chain((0..16).map(|row| (1 << 32) + row)) {
        for unit in 0..256 {
            let words = plain::words(STREAM, Address { row, unit, units: MANY, ..Address::default() });
            seen.entry(words).or_insert_with(Vec::new).push((row, unit));
        }
    }
    for users in seen.values() {
        let [(row, unit), partner] = users[..] else { panic!("{users:?}") };
        assert_eq!(partner, (row, unit + 16));
        assert!(unit % 32 < 16);
    }
}

/// 2^16 elements: 256 rows of 256 units from `base` on.
fn field(distribution: NoiseDistribution, stream: u64, base: Address) -> Vec<f32> {
    let mut field = vec![0.0; 1 << 16];
    for (row, out) in (base.row..).zip(field.chunks_mut(256)) {
        noise::fill_row(distribution, stream, base.seed, base.step, base.sample, row, out);
    }
    field
}

/// 2^20 elements: 4 samples in each of 4 steps.
fn million(distribution: NoiseDistribution) -> Vec<f64> {
    let bases =
        (0..16).map(|i| Address { seed: 2026, step: i / 4, sample: i as u32 % 4, row: 0, unit: 0, units: MANY });
    bases.flat_map(|base| field(distribution, STREAM, base)).map(f64::from).collect()
}

/// `sum` of n independent terms of mean 0 and this variance, within five standard deviations.
///
/// False alarm: 5.7e-7 for each call, by the normal limit; all n here are 2^16 or more.
fn assert_centered(what: &str, terms: impl Iterator<Item = f64>, variance: f64) {
    let (n, sum) = terms.fold((0.0, 0.0), |(n, sum), term| (n + 1.0, sum + term));
    let z = sum / (n * variance).sqrt();
    assert!(z.abs() < 5.0, "{what}: {z:.2} standard deviations");
}

/// Kolmogorov and Smirnov's distance to `cdf` of n sorted values, times the root of n.
///
/// False alarm: P(> 2.7) = 2 exp(-2 2.7^2) = 9.3e-7, by the limit for large n.
fn assert_distributed(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let above = |(i, x): (usize, &f64)| largest([i, i + 1].map(|i| (cdf(*x) - i as f64 / n).abs()));
    let distance = largest(values.iter().enumerate().map(above));
    assert!(distance * n.sqrt() < 2.7, "{}", distance * n.sqrt());
}

#[test]
fn normals_have_the_moments_and_the_distribution() {
    let z = million(Normal);
    // Moments 0, 1, 0, 3; variances of the powers: 1, 2, 15, 96.
    assert_centered("mean", z.iter().copied(), 1.0);
    assert_centered("second moment", z.iter().map(|z| z.powi(2) - 1.0), 2.0);
    assert_centered("third moment", z.iter().map(|z| z.powi(3)), 15.0);
    assert_centered("fourth moment", z.iter().map(|z| z.powi(4) - 3.0), 96.0);
    assert_distributed(z, |z| 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2));
}

#[test]
fn uniforms_have_the_moments_and_the_distribution() {
    let u = million(Uniform);
    assert!(u.iter().all(|&u| 0.0 < u && u < 1.0));
    // Central moments E x^2k = 1 / ((2k + 1) 4^k): 1/12, 1/80, 1/448, 1/2304.
    let x = || u.iter().map(|u| u - 0.5);
    assert_centered("mean", x(), 1.0 / 12.0);
    assert_centered("second moment", x().map(|x| x.powi(2) - 1.0 / 12.0), 1.0 / 80.0 - 1.0 / 144.0);
    assert_centered("third moment", x().map(|x| x.powi(3)), 1.0 / 448.0);
    assert_centered("fourth moment", x().map(|x| x.powi(4) - 1.0 / 80.0), 1.0 / 2304.0 - 1.0 / 6400.0);
    assert_distributed(u, |u| u);
}

#[test]
fn signs_are_balanced() {
    let signs = million(Rademacher);
    assert!(signs.iter().all(|s| s.abs() == 1.0));
    assert_centered("signs", signs.into_iter(), 1.0);
}

/// No correlation between two fields of unit variance, nor between their squares (if those vary), nor across.
fn assert_uncorrelated(what: &str, a: &[f32], b: &[f32]) {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let square = |x: f64| x * x - 1.0;
    assert_centered(what, pairs().map(|(a, b)| a * b), 1.0);
    assert_centered(&format!("{what}, squares"), pairs().map(|(a, b)| square(a) * square(b)), 4.0);
    assert_centered(&format!("{what}, square and value"), pairs().map(|(a, b)| square(a) * b), 2.0);
}

#[test]
fn elements_at_different_addresses_are_uncorrelated() {
    // 14 comparisons of three statistics: false alarm 2.4e-5 in all.
    let base = Address { seed: 7, step: 11, sample: 2, row: 1000, unit: 0, units: MANY };
    let z = field(Normal, STREAM, base);
    // Lag 16 is the Box-Muller partner in one half of the pairs; here it is the partner in all of them.
    let partners = |skip| z.chunks(16).skip(skip).step_by(2).flatten().copied().collect::<Vec<_>>();
    assert_uncorrelated("Box-Muller partners", &partners(0), &partners(1));
    for lag in [1, 2, 15, 16, 17, 32] {
        assert_uncorrelated(&format!("unit lag {lag}"), &z[lag..], &z[..z.len() - lag]);
    }
    assert_uncorrelated("row lag 1", &z[256..], &z[..z.len() - 256]);
    for (what, stream, other) in [
        ("next sample", STREAM, Address { sample: base.sample + 1, ..base }),
        ("next step", STREAM, Address { step: base.step + 1, ..base }),
        ("next seed", STREAM, Address { seed: base.seed + 1, ..base }),
        ("row 2^32 on", STREAM, Address { row: base.row + (1 << 32), ..base }),
        ("neighbouring stream", STREAM ^ 1, base),
        ("another site", noise::stream("net/dense", "bias"), base),
    ] {
        assert_uncorrelated(what, &z, &field(Normal, stream, other));
    }
}

#[test]
fn signs_at_different_addresses_are_uncorrelated() {
    // The same words as the normals', but one bit of each. 8 comparisons: false alarm 4.6e-6 in all.
    let base = Address { seed: 7, step: 11, sample: 2, row: 1000, unit: 0, units: MANY };
    let signs = field(Rademacher, STREAM, base);
    let products = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).collect::<Vec<_>>();
    for lag in [1, 2, 15, 16, 17, 32, 256] {
        let products = products(&signs[lag..], &signs[..signs.len() - lag]);
        assert_centered(&format!("lag {lag}"), products.into_iter(), 1.0);
    }
    let next = field(Rademacher, STREAM, Address { sample: base.sample + 1, ..base });
    assert_centered("next sample", products(&signs, &next).into_iter(), 1.0);
}
