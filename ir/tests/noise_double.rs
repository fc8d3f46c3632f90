//! Noise of `f64`: its published vectors, its extremes, how near it is to that of `f32`, its error and its moments.

use bayeslift_ir::NoiseDistribution::{self, Normal, Rademacher, Uniform};
use bayeslift_ir::{
    Builder, DType, Noise, NoiseAddress, Scalar, Tensor, Type, arbitrary::largest, evaluate, noise, noise::Address,
};

const STREAM: u64 = 0x8755_1404_f61c_5d95;
/// Units of a row: enough that its words are addressed by blocks of 32.
const MANY: u32 = 1 << 20;

/// Seed, stream, step, sample, row and unit of the published vectors, which are those of `f32`.
type Place = (u64, u64, u64, u32, u64, u32);
const PLACES: [Place; 15] = [
    (0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 16),
    (0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 0, 47),
    (1, 0, 0, 0, 0, 0),
    (0, 1, 0, 0, 0, 0),
    (0, 0, 1, 0, 0, 0),
    (0, 0, 0, 1, 0, 0),
    (0, 0, 0, 0, 1, 0),
    (1 << 32, 0, 0, 0, 0, 0),
    (0, 1 << 32, 0, 0, 0, 0),
    (0, 0, 1 << 32, 0, 0, 0),
    (0, 0, 0, 0, 1 << 32, 0),
    (0x0123_4567_89ab_cdef, STREAM, 1000, 7, (3 << 32) + 12_345, 1023),
    (!0, !0, !0, !0, !0, !0),
];

/// For each place the word of 64 bits, and the bits of the normal and the uniform.
///
/// Derived by a Python script that shares nothing with this crate (integers, then the formula in 60 digits, but for u,
/// whose rounding is part of the law): the words and the uniforms as they are, the normals up to 2 ulp, where the bits
/// are this crate's.
const VECTORS: [(u64, u64, u64); 15] = [
    (0x4261_bcc8_82d8_d089, 0xbfe4_6698_8b4a_57ca, 0x3fd0_986f_3220_b636),
    (0x503c_5210_3dac_211e, 0x3ff8_3a87_a193_34a4, 0x3fd4_0f14_840f_6b0a),
    (0x5bc2_4216_6e0b_afe6, 0x3ff6_93e5_725f_3a84, 0x3fd6_f090_859b_82ea),
    (0x0169_6b1b_60d2_2f52, 0x4004_ed47_2198_6a00, 0x3f76_96b1_b60d_2280),
    (0x97f0_9886_01e0_bef7, 0xbfd6_8d99_ae00_2d59, 0x3fe2_fe13_10c0_3c17),
    (0x8091_910c_a1b8_0e68, 0x3faa_4978_94ec_30e0, 0x3fe0_1232_2194_3701),
    (0xa757_0a3d_c373_f38a, 0x3fe3_2314_f88b_22bf, 0x3fe4_eae1_47b8_6e7f),
    (0x5a8b_efd0_cea3_ca06, 0x3fe4_b900_b239_5a7b, 0x3fd6_a2fb_f433_a8f2),
    (0xffd8_fa93_09e9_4890, 0xbf84_f212_95c5_235c, 0x3fef_fb1f_5261_3d29),
    (0xa5e8_7f00_5af5_7d22, 0xbfe5_8899_bd99_9507, 0x3fe4_bd0f_e00b_5eaf),
    (0xb2ae_ca53_e90b_d8d9, 0x3fe8_5860_18ff_6aad, 0x3fe6_55d9_4a7d_217b),
    (0x3395_92ab_ffa3_81e4, 0x3fd7_1547_1eb2_9a5f, 0x3fc9_cac9_55ff_d1c4),
    (0x5a06_ce3a_b619_0333, 0xbfe0_cbc1_92c5_c08b, 0x3fd6_81b3_8ead_8642),
    (0x7daf_7125_bdd4_99b0, 0x3fb8_37ec_f4ce_8bc4, 0x3fdf_6bdc_496f_7526),
    (0xef43_2834_2e78_d9cc, 0xbfd7_038b_4966_e909, 0x3fed_e865_0685_cf1b),
];

fn address((seed, _, step, sample, row, unit): Place) -> Address {
    Address { seed, step, sample, row, unit, units: MANY }
}

#[test]
fn elements_are_the_published_vectors() {
    for (place, (word, normal, uniform)) in PLACES.into_iter().zip(VECTORS) {
        let bits = |law| noise::element_f64(law, place.1, address(place)).to_bits();
        assert_eq!(bits(Normal), normal, "{place:?}");
        assert_eq!(bits(Uniform), uniform, "{place:?}");
        let sign = if word >> 63 == 1 { -1.0_f64 } else { 1.0 };
        assert_eq!(bits(Rademacher), sign.to_bits(), "{place:?}");
    }
}

/// More digits of the same numbers.
#[test]
fn elements_are_near_those_of_single_precision() {
    for units in [1, 7, 16, 17, 100] {
        for (row, unit) in (0..200).flat_map(|row| (0..units).map(move |unit| (row, unit))) {
            let address = Address { seed: 5, step: 2, sample: 1, row, unit, units };
            let both = |law| (noise::element_f64(law, STREAM, address), noise::element(law, STREAM, address).into());
            let (wide, narrow): (f64, f64) = both(Uniform);
            assert!((wide - narrow).abs() <= 2.0_f64.powi(-24), "{address:?}: {wide:e} {narrow:e}");
            let (wide, narrow) = both(Rademacher);
            assert_eq!(wide, narrow, "{address:?}");
            let (wide, narrow) = both(Normal);
            assert!((wide - narrow).abs() <= 2e-6 + 1e-4 / narrow.abs().max(1.0), "{address:?}: {wide:e} {narrow:e}");
        }
    }
}

/// What the law makes of two words of 64 bits, written again, plainly.
fn normals([first, second]: [u64; 2]) -> [f64; 2] {
    let u = (first >> 33) as f64 * 2.0_f64.powi(-31) + (2 * (first as u32 >> 10) + 1) as f64 * 2.0_f64.powi(-54);
    let radius = (-2.0 * libm::log(u)).sqrt();
    // in units of 2^-63 turns, so that the distance from a quarter is exact before it is rounded
    let turned = second >> 1;
    let quarter = (turned + (1 << 60)) >> 61;
    let rest = turned.wrapping_sub(quarter << 61).cast_signed() as f64 * 2.0_f64.powi(-63) * std::f64::consts::TAU;
    let (sin, cos) = (libm::sin(rest), libm::cos(rest));
    let (sin, cos) = [(sin, cos), (cos, -sin), (-sin, -cos), (-cos, sin)][quarter as usize % 4];
    [radius * cos, radius * sin]
}

/// Both words of 64 bits at a counter.
fn words(key: [u32; 2], row_low: u32, slot: u32) -> [u64; 2] {
    let high = noise::threefry(&mut Scalar, key, [row_low, slot]);
    let low = noise::threefry(&mut Scalar, key, [row_low, slot.wrapping_add(1 << 31)]);
    [0, 1].map(|i| u64::from(high[i]) << 32 | u64::from(low[i]))
}

#[test]
fn normals_follow_the_formula() {
    let key = [0x0123_4567, 0x89ab_cdef];
    let mut error = 0.0_f64;
    for slot in 0..1_u32 << 16 {
        let found = noise::pair_f64(&mut Scalar, Normal, key, 7, slot);
        for (found, want) in found.into_iter().zip(normals(words(key, 7, slot))) {
            let ulp = 2.0_f64.powi(libm::ilogb(want) - 52);
            error = error.max((found - want).abs() / ulp);
        }
    }
    assert!(error <= 4.0, "{error}");
}

/// 2^20 elements: 4 samples in each of 4 steps.
fn million(law: NoiseDistribution) -> Vec<f64> {
    let mut all = vec![0.0; 1 << 20];
    for (i, row) in all.chunks_mut(256).enumerate() {
        let (step, sample) = (i as u64 >> 10, (i >> 8) as u32 & 3);
        noise::fill_row_f64(law, STREAM, 2026, step, sample, i as u64 & 255, row);
    }
    all
}

/// `sum` of n independent terms of mean 0 and this variance, within five standard deviations: false alarm 5.7e-7.
fn assert_centered(what: &str, terms: impl Iterator<Item = f64>, variance: f64) {
    let (n, sum) = terms.fold((0.0, 0.0), |(n, sum), term| (n + 1.0, sum + term));
    let z = sum / (n * variance).sqrt();
    assert!(z.abs() < 5.0, "{what}: {z:.2} standard deviations");
}

#[test]
fn digits_beyond_those_of_single_precision_are_uniform_and_independent() {
    let u = million(Uniform);
    assert!(u.iter().all(|&u| 0.0 < u && u < 1.0 && (u * 2.0_f64.powi(53)) % 2.0 == 1.0));
    let low: Vec<f64> = u.iter().map(|u| (u * 2.0_f64.powi(23)).fract() - 0.5).collect();
    assert_centered("mean", low.iter().copied(), 1.0 / 12.0);
    assert_centered("second moment", low.iter().map(|x| x * x - 1.0 / 12.0), 1.0 / 80.0 - 1.0 / 144.0);
    assert_centered("with the high digits", low.iter().zip(&u).map(|(x, u)| x * (u - 0.5)), 1.0 / 144.0);
    assert_centered("with a neighbour", low.windows(2).map(|x| x[0] * x[1]), 1.0 / 144.0);
    assert_centered("with a partner", low.iter().zip(&low[16..]).map(|(x, y)| x * y), 1.0 / 144.0);
}

#[test]
fn normals_have_the_moments() {
    let z = million(Normal);
    assert_centered("mean", z.iter().copied(), 1.0);
    assert_centered("second moment", z.iter().map(|z| z.powi(2) - 1.0), 2.0);
    assert_centered("third moment", z.iter().map(|z| z.powi(3)), 15.0);
    assert_centered("fourth moment", z.iter().map(|z| z.powi(4) - 3.0), 96.0);
    assert_centered("partners", z.iter().zip(&z[16..]).map(|(a, b)| a * b), 1.0);
    assert!(largest(z.iter().map(|z| z.abs())) <= (108.0 * std::f64::consts::LN_2).sqrt());
}

#[test]
fn values_of_a_graph_are_addressed() {
    for (units, law) in [(5, Normal), (40, Uniform), (16, Rademacher)] {
        let b = Builder::new();
        let address = NoiseAddress {
            key: b.input("key", Type::u32([4])),
            first_sample: b.input("sample", Type::u32([])),
            first_row: b.input("row", Type::u32([2])),
        };
        let site = |dtype, stream| Noise {
            distribution: law,
            dtype,
            stream,
            sample_axis: Some(0),
            example_axis: Some(1),
            shape: [2, 3, units].into(),
        };
        b.output("z", b.noise(site(DType::F64, 5), address));
        let graph = b.graph().clone();
        assert_eq!(graph.to_string().parse(), Ok(graph.clone()));
        let words = |n: usize, words: &[u32]| Tensor::u32([n], words.to_vec()).unwrap();
        let inputs = [words(4, &[1, 2, 3, 4]), Tensor::u32([], [7]).unwrap(), words(2, &[u32::MAX, 1])];
        let z = evaluate(&graph, &inputs).unwrap();
        for (i, &z) in z[0].as_f64().unwrap().iter().enumerate() {
            let (sample, row, unit) = (i / units / 3, i / units % 3, i % units);
            let address = Address {
                seed: 2 << 32 | 1,
                step: 4 << 32 | 3,
                sample: 7 + sample as u32,
                row: 0x1_ffff_ffff + row as u64,
                unit: unit as u32,
                units: units as u32,
            };
            assert_eq!(z, noise::element_f64(law, 5, address), "{address:?}");
        }
        b.noise(site(DType::U32, 6), address);
        assert_eq!(b.check().unwrap_err().to_string(), "noise: of f32 or f64, not of u32");
    }
}
