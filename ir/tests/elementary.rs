//! Accuracy, special values and fixed bits of the elementary functions.
//!
//! Every bound is the largest error over all 2^32 inputs, rounded up to a hundredth of an ulp. The default tests look
//! at a sample and at the worst input of each function; the full search takes some minutes:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+fma" cargo test --release -p bayeslift-ir --test elementary -- --ignored --nocapture
//! ```

use bayeslift_ir::{Scalar, Unary, elementary};
use std::f64::consts::FRAC_PI_2;

struct Case {
    op: Unary,
    /// The function in double precision; its own error is below 1e-8 ulp of `f32`.
    reference: fn(f64) -> f64,
    /// The largest error, and an input (its bits) that has it.
    bound: f64,
    worst: u32,
    /// The results lie in here, ends included.
    range: [f32; 2],
    /// The sum of the results' bits over the sample, each times its odd number: the contract is on bits.
    checksum: u64,
}

const INF: f32 = f32::INFINITY;

const CASES: [Case; 8] = [
    Case {
        op: Unary::Exp,
        reference: libm::exp,
        bound: 0.90,
        worst: 0xc0bb_2813,
        range: [0.0, INF],
        checksum: 0xcd5b_80cc_71b1_708a,
    },
    Case {
        op: Unary::Log,
        reference: libm::log,
        bound: 0.94,
        worst: 0x3f22_ba71,
        range: [-INF, INF],
        checksum: 0xedc3_5fd1_eaa4_cfb3,
    },
    Case {
        op: Unary::Sin,
        reference: sin,
        bound: 1.67,
        worst: 0x4963_8262,
        range: [-1.0, 1.0],
        checksum: 0x7d83_06df_4cb1_0f0c,
    },
    Case {
        op: Unary::Cos,
        reference: cos,
        bound: 1.81,
        worst: 0x4972_8378,
        range: [-1.0, 1.0],
        checksum: 0x75dc_c6a3_babc_7be8,
    },
    Case {
        op: Unary::Tanh,
        reference: libm::tanh,
        bound: 2.57,
        worst: 0x3d7e_0c19,
        range: [-1.0, 1.0],
        checksum: 0x03b2_b146_eb2e_2378,
    },
    Case {
        op: Unary::Erf,
        reference: libm::erf,
        bound: 1.84,
        worst: 0x3e5f_80ea,
        range: [-1.0, 1.0],
        checksum: 0x06b9_ea1c_26b7_a5c6,
    },
    Case {
        op: Unary::Softplus,
        reference: softplus,
        bound: 1.87,
        worst: 0x3c6e_1aa0,
        range: [0.0, INF],
        checksum: 0x55ba_fcb3_fffb_a913,
    },
    Case {
        op: Unary::Sigmoid,
        reference: sigmoid,
        bound: 2.41,
        worst: 0xc085_088d,
        range: [0.0, 1.0],
        checksum: 0x0910_aa46_d62b_5d8e,
    },
];

/// The argument where our sine and cosine are defined, else not-a-number.
fn in_domain(x: f64) -> f64 {
    if x.abs() <= f64::from(1 << 20) { x } else { f64::NAN }
}

fn sin(x: f64) -> f64 {
    libm::sin(in_domain(x))
}

fn cos(x: f64) -> f64 {
    libm::cos(in_domain(x))
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

fn evaluate(op: Unary, x: f32) -> f32 {
    elementary::unary(&mut Scalar, op, x)
}

/// |y - exact| in units in the last place of the exact result. An infinity counts as 2^128.
fn error_in_ulp(y: f32, exact: f64) -> f64 {
    if y.is_nan() || exact.is_nan() {
        return if y.is_nan() == exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let limit = 2.0_f64.powi(128);
    let y = f64::from(y).clamp(-limit, limit);
    let exact = exact.clamp(-limit, limit);
    let exponent = (exact.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    let ulp = 2.0_f64.powi(exponent.clamp(-126, 127) - 23);
    (y - exact).abs() / ulp
}

impl Case {
    /// The error at x, after checking that the result is in range.
    fn error(&self, x: f32) -> f64 {
        let y = evaluate(self.op, x);
        let [low, high] = self.range;
        assert!(y.is_nan() || (low <= y && y <= high), "{}({x:e}) = {y:e} is out of range", self.op.name());
        error_in_ulp(y, (self.reference)(f64::from(x)))
    }

    /// The largest error over `inputs`, and where it is.
    fn largest_error(&self, inputs: impl Iterator<Item = f32>) -> (f64, f32) {
        inputs.map(|x| (self.error(x), x)).fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
    }
}

/// Inputs of all magnitudes and both signs, with the corners of every binade and the surroundings of hard places.
fn sample() -> impl Iterator<Item = f32> {
    let spread = (0..1_u32 << 19).map(|i| i.wrapping_mul(2_654_435_769));
    let corners = (0..512_u32).flat_map(|exponent| {
        [0, 1, 2, 0x2a_aaab, 0x35_04f3, 0x3f_ffff, 0x40_0000, 0x7f_fffe, 0x7f_ffff].map(|m| exponent << 23 | m)
    });
    // Limits of exp (denormal, zero, infinite results), clamps, ends of reduced ranges, fixed points of log and
    // softplus.
    let hard =
        [-103.972_08, -104.0, -87.336_55, 88.722_84, 0.346_573_6, 2.0 / 3.0, 1.0, 4.0 / 3.0, 3.92, 4.0, 9.01, 10.0];
    let around =
        hard.into_iter().flat_map(|x: f32| (0..1024).flat_map(move |d| [x, -x].map(|x| x.to_bits() + d - 512)));
    let bits = spread.chain(corners).chain(around).map(f32::from_bits);
    // Arguments next to multiples of pi / 2, up to the end of the domain.
    let multiples = (0..667_544).step_by(29).map(|n| (f64::from(n) * FRAC_PI_2) as f32);
    bits.chain(multiples)
}

/// What an operation is where it has no case: the number itself, not a near one. An operation that is neither here nor
/// there does not compile.
fn exact(op: Unary) -> Option<fn(f32) -> f32> {
    use Unary::{Abs, Cos, Erf, Exp, Floor, Log, Neg, Sigmoid, Sin, Softplus, Sqrt, Tanh};
    match op {
        Neg => Some(|x| -x),
        Abs => Some(f32::abs),
        Sqrt => Some(f32::sqrt),
        Floor => Some(f32::floor),
        Exp | Log | Sin | Cos | Tanh | Erf | Softplus | Sigmoid => None,
    }
}

#[test]
fn every_operation_is_exact_or_has_a_bound() {
    for &op in Unary::ALL {
        let bounds = CASES.iter().filter(|case| case.op == op).count();
        let Some(exact) = exact(op) else {
            assert_eq!(bounds, 1, "cases of {}", op.name());
            continue;
        };
        assert_eq!(bounds, 0, "{} is exact", op.name());
        for x in sample() {
            let (found, want) = (evaluate(op, x), exact(x));
            let same = found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan();
            assert!(same, "{}({x:e}) is {found:e}, not {want:e}", op.name());
        }
    }
}

#[test]
fn errors_are_within_the_documented_bounds() {
    for case in &CASES {
        let (name, bound) = (case.op.name(), case.bound);
        let (error, x) = case.largest_error(sample());
        assert!(error <= bound, "{name}({x:e}) is off by {error:.4} ulp");
        let worst = case.error(f32::from_bits(case.worst));
        assert!(
            bound - 0.01 < worst && worst <= bound,
            "the worst error of {name} is {worst:.4}, documented as {bound}"
        );
    }
}

#[test]
#[ignore = "looks at all 2^32 inputs of every function; takes minutes"]
fn bounds_are_exact_over_all_inputs() {
    let mut failed = false;
    for case in &CASES {
        let half = |start: u32| case.largest_error((start..=start + (u32::MAX >> 1)).map(f32::from_bits));
        let halves = std::thread::scope(|s| [0, 1 << 31].map(|start| s.spawn(move || half(start))).map(|t| t.join()));
        let [positive, negative] = halves.map(|half| half.expect("all results are in range"));
        let (error, x) = if negative.0 > positive.0 { negative } else { positive };
        println!("{:8} {error:.4} ulp at {x:e} = {:#010x}", case.op.name(), x.to_bits());
        failed |= !(error <= case.bound && error > case.bound - 0.01);
    }
    assert!(!failed, "the documented bounds are not the measured ones");
}

#[test]
fn special_values() {
    const NAN: f32 = f32::NAN;
    const TINY: f32 = f32::from_bits(1);
    let table: &[(Unary, &[(f32, f32)])] = &[
        (Unary::Neg, &[(0.0, -0.0), (-0.0, 0.0), (INF, -INF), (TINY, -TINY), (NAN, NAN)]),
        (Unary::Abs, &[(-0.0, 0.0), (-INF, INF), (-TINY, TINY), (NAN, NAN)]),
        (Unary::Sqrt, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-1.0, NAN), (2e-45, 3.743_392e-23), (NAN, NAN)]),
        (Unary::Floor, &[(-0.0, -0.0), (-0.5, -1.0), (0.5, 0.0), (-TINY, -1.0), (INF, INF), (-INF, -INF), (NAN, NAN)]),
        (
            Unary::Exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (TINY, 1.0),
                (INF, INF),
                (f32::MAX, INF),
                (88.722_84, INF),
                (88.722_83, 3.402_798_5e38),
                (-INF, 0.0),
                (f32::MIN, 0.0),
                (-103.973, 0.0),
                (-103.971, TINY),
                (NAN, NAN),
            ],
        ),
        (
            Unary::Log,
            &[
                (1.0, 0.0),
                (0.0, -INF),
                (-0.0, -INF),
                (-TINY, NAN),
                (-1.0, NAN),
                (-INF, NAN),
                (INF, INF),
                (TINY, -103.278_93),
                (f32::MAX, 88.722_84),
                (NAN, NAN),
            ],
        ),
        (Unary::Sin, &[(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (-TINY, -TINY), (INF, NAN), (-INF, NAN), (NAN, NAN)]),
        (Unary::Sin, &[(1_048_576.0, 0.330_493_15), (1_048_576.1, NAN), (-1_048_576.1, NAN), (f32::MAX, NAN)]),
        (Unary::Cos, &[(0.0, 1.0), (-0.0, 1.0), (TINY, 1.0), (INF, NAN), (-INF, NAN), (f32::MAX, NAN), (NAN, NAN)]),
        (Unary::Tanh, &[(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (-TINY, -TINY), (INF, 1.0), (-INF, -1.0), (NAN, NAN)]),
        (Unary::Erf, &[(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (-TINY, -TINY), (INF, 1.0), (-INF, -1.0), (NAN, NAN)]),
        (
            Unary::Softplus,
            &[(INF, INF), (f32::MAX, f32::MAX), (-INF, 0.0), (f32::MIN, 0.0), (-103.5, TINY), (NAN, NAN)],
        ),
        (
            Unary::Sigmoid,
            &[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (f32::MIN, 0.0), (-103.5, TINY), (NAN, NAN)],
        ),
    ];
    for op in Unary::ALL {
        assert!(
            table.iter().any(|(other, values)| other == op && !values.is_empty()),
            "{} is special nowhere",
            op.name()
        );
    }
    for &(op, values) in table {
        for &(x, expected) in values {
            let y = evaluate(op, x);
            let same = y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan());
            assert!(same, "{}({x:e}) is {y:e}, not {expected:e}", op.name());
        }
    }
}

#[test]
fn bits_are_fixed() {
    let checksum = |case: &Case| {
        sample().zip((1_u64..).step_by(2)).fold(0_u64, |sum, (x, odd)| {
            let y = evaluate(case.op, x);
            let bits = if y.is_nan() { f32::NAN.to_bits() } else { y.to_bits() };
            sum.wrapping_add(odd.wrapping_mul(u64::from(bits)))
        })
    };
    let hex = |sums: [u64; 8]| sums.map(|sum| format!("{sum:#018x}"));
    assert_eq!(hex(CASES.each_ref().map(checksum)), hex(CASES.each_ref().map(|case| case.checksum)));
}

#[test]
fn the_short_logarithm_is_the_logarithm_from_the_smallest_normal_number_on() {
    let words = (f32::MIN_POSITIVE.to_bits()..=f32::INFINITY.to_bits()).step_by(4099);
    let all = words.chain([f32::MAX.to_bits(), f32::INFINITY.to_bits(), 1.0_f32.to_bits()]);
    for x in all.map(f32::from_bits) {
        let (short, long) = (elementary::log_of_at_least_normal(&mut Scalar, x), elementary::log(&mut Scalar, x));
        assert_eq!(short.to_bits(), long.to_bits(), "log {x:e}");
    }
    assert!(elementary::log_of_at_least_normal(&mut Scalar, f32::NAN).is_nan());
}
