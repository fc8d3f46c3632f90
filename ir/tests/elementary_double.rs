//! Accuracy, special values and fixed bits of the elementary functions of `f64`.
//!
//! The truth is computed in pairs of doubles (Dekker, 1971; Knuth's and Ogita's exact sums and products), which have
//! some 106 bits. Bounds are the largest errors that were found among many more arguments than the default tests look
//! at:
//!
//! ```text
//! BAYESLIFT_CASES=100000000 cargo test --release -p bayeslift-ir --test elementary_double -- --nocapture
//! ```

use bayeslift_ir::{Scalar, Unary, arbitrary::cases, elementary::double};
use std::f64::consts::FRAC_PI_2;

/// An unevaluated sum of two doubles that do not overlap.
#[derive(Clone, Copy, Debug)]
struct Pair(f64, f64);

const LN_2: Pair = Pair(std::f64::consts::LN_2, 2.3190468138462996e-17);

impl Pair {
    /// a + b without error.
    fn sum(a: f64, b: f64) -> Pair {
        let sum = a + b;
        let b_part = sum - a;
        Pair(sum, (a - (sum - b_part)) + (b - b_part))
    }

    /// a b without error.
    fn product(a: f64, b: f64) -> Pair {
        Pair(a * b, a.mul_add(b, -(a * b)))
    }

    fn add(self, other: Pair) -> Pair {
        let high = Pair::sum(self.0, other.0);
        let low = Pair::sum(self.1, other.1);
        let high = Pair::sum(high.0, high.1 + low.0);
        Pair::sum(high.0, high.1 + low.1)
    }

    fn mul(self, other: Pair) -> Pair {
        let high = Pair::product(self.0, other.0);
        Pair::sum(high.0, high.1 + (self.0 * other.1 + self.1 * other.0))
    }

    fn div(self, by: f64) -> Pair {
        let first = self.0 / by;
        let product = Pair::product(first, by);
        let rest = self.add(Pair(-product.0, -product.1));
        Pair::sum(first, (rest.0 + rest.1) / by)
    }

    fn over(self, by: Pair) -> Pair {
        let first = self.0 / by.0;
        let rest = self.add(by.mul(Pair(-first, 0.0)));
        Pair::sum(first, (rest.0 + rest.1) / by.0)
    }

    fn neg(self) -> Pair {
        Pair(-self.0, -self.1)
    }

    /// e^r - 1 for |r| <= 1, by its series.
    fn expm1(self) -> Pair {
        (2..=32).rev().fold(Pair(1.0, 0.0), |sum, n| sum.mul(self).div(f64::from(n)).add(Pair(1.0, 0.0))).mul(self)
    }
}

const ONE: Pair = Pair(1.0, 0.0);

/// e^x as a pair, and the power of two that it is to be multiplied by.
fn exp(x: f64) -> (Pair, i32) {
    exp_of(Pair(x, 0.0))
}

fn exp_of(x: Pair) -> (Pair, i32) {
    let n = (x.0 / std::f64::consts::LN_2).round();
    let r = x.add(LN_2.mul(Pair(-n, 0.0)));
    (r.expm1().add(ONE), n as i32)
}

/// A pair times a power of two that leaves it normal.
fn scaled((x, scale): (Pair, i32)) -> Pair {
    Pair(x.0 * power(scale), x.1 * power(scale))
}

/// What is x but for less than 2^-200 of it, where |x| is so small.
fn tiny(x: f64) -> Option<(Pair, i32)> {
    (x.abs() < power(-200)).then_some((Pair(x * power(600), 0.0), -600))
}

/// ln(1 + t) of a pair from 0 to 1.
fn log1p(t: Pair) -> Pair {
    if t.0 < power(-60) {
        let square = t.mul(t);
        return t.add(square.div(-2.0)).add(square.mul(t).div(3.0));
    }
    let y = libm::log1p(t.0);
    let e = Pair(-y, 0.0).expm1();
    let rest = t.add(e).add(t.mul(e));
    Pair(y, 0.0).add(rest).add(rest.mul(rest).div(-2.0))
}

/// 1 / (1 + e^-x).
fn sigmoid(x: f64) -> (Pair, i32) {
    if x < -100.0 {
        return exp(x);
    }
    let e = scaled(exp(-x.abs()));
    (if x < 0.0 { e } else { ONE }.over(ONE.add(e)), 0)
}

/// ln(1 + e^x).
fn softplus(x: f64) -> (Pair, i32) {
    if x < -100.0 {
        return exp(x);
    }
    let e = if x.abs() < 200.0 { scaled(exp(-x.abs())) } else { Pair(0.0, 0.0) };
    (Pair(x.max(0.0), 0.0).add(log1p(e)), 0)
}

fn tanh(x: f64) -> (Pair, i32) {
    if let Some(same) = tiny(x) {
        return same;
    }
    let twice = 2.0 * x.abs().min(40.0);
    let e = if twice < 0.75 { Pair(twice, 0.0).expm1() } else { scaled(exp(twice)).add(ONE.neg()) };
    let y = e.over(e.add(Pair(2.0, 0.0)));
    (if x < 0.0 { y.neg() } else { y }, 0)
}

/// The error function, as 2 pi^-1/2 e^-x^2 (x + 2 x^3 / 3 + 4 x^5 / 15 + ..): all terms have one sign.
fn erf(x: f64) -> (Pair, i32) {
    const TWO_OVER_ROOT_PI: Pair = Pair(std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);
    if let Some((x, scale)) = tiny(x) {
        return (TWO_OVER_ROOT_PI.mul(x), scale);
    }
    let x = x.clamp(-8.0, 8.0);
    let square = Pair::product(x, x);
    let (mut sum, mut term) = (Pair(x, 0.0), Pair(x, 0.0));
    for n in 1..400 {
        term = term.mul(square).mul(Pair(2.0, 0.0)).div(f64::from(2 * n + 1));
        sum = sum.add(term);
    }
    (TWO_OVER_ROOT_PI.mul(scaled(exp_of(square.neg()))).mul(sum), 0)
}

/// The sine of x + quarters pi / 2.
fn sin_turned(x: f64, quarters: i64) -> (Pair, i32) {
    const PI_HALVES: [f64; 3] = [FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];
    if quarters == 0
        && let Some(same) = tiny(x)
    {
        return same;
    }
    let n = (x * std::f64::consts::FRAC_2_PI).round();
    let r = PI_HALVES.into_iter().fold(Pair(x, 0.0), |r, part| r.add(Pair::product(-n, part)));
    let square = r.mul(r).neg();
    let quarters = (n as i64 + quarters).rem_euclid(4);
    let first = quarters % 2;
    let series = |first: i64| {
        (1..16).rev().fold(ONE, |sum, n| {
            let n = (2 * n + first) as f64;
            sum.mul(square).div(n * (n - 1.0)).add(ONE)
        })
    };
    let y = if first == 0 { series(1).mul(r) } else { series(0) };
    (if quarters < 2 { y } else { y.neg() }, 0)
}

/// ln x of a normal number: y + ln(x e^-y) with y near it.
fn log(x: f64) -> (Pair, i32) {
    let exponent = ((x.to_bits() >> 52) as i32 & 0x7ff) - 1023;
    let exponent = if x < 1.5 * power(exponent) { exponent } else { exponent + 1 };
    let m = x / power(exponent);
    let y = libm::log(m);
    let (f, e) = (Pair::sum(m, -1.0), Pair(-y, 0.0).expm1());
    let rest = f.add(e).add(f.mul(e));
    let log_rest = rest.add(rest.mul(rest).div(-2.0));
    (Pair(y, 0.0).add(log_rest).add(LN_2.mul(Pair(exponent.into(), 0.0))), 0)
}

/// 2^n of a normal number.
fn power(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// The error of `found` in units in the last place of the truth, which is a pair times a power of two.
fn error(found: f64, (truth, scale): (Pair, i32)) -> f64 {
    let exponent = ((truth.0.abs().to_bits() >> 52) as i32 - 1023 + scale).clamp(-1022, 1023);
    // in units of 2^(exponent - 52), in two steps, as neither is a double in general
    let unit = exponent - 52;
    let scaled = |x: f64, by: i32| x * power(by / 2) * power(by - by / 2);
    let found = scaled(scaled(found, -(unit / 2)), -(unit - unit / 2));
    let truth = Pair(scaled(truth.0, scale - unit), scaled(truth.1, scale - unit));
    let difference = Pair(found, 0.0).add(truth.neg());
    (difference.0 + difference.1).abs()
}

struct Case {
    op: Unary,
    truth: fn(f64) -> (Pair, i32),
    /// The largest error found, rounded up to a hundredth, and an argument that has it.
    bound: f64,
    worst: u64,
    /// An argument, of any 64 bits.
    argument: fn(u64) -> f64,
    /// The sum of the results' bits over the first hundred thousand arguments, each times its odd number.
    checksum: u64,
}

const CASES: [Case; 8] = [
    Case {
        op: Unary::Exp,
        truth: exp,
        bound: 0.87,
        worst: 0x4055_eb90_adc1_38e0,
        // evenly from -745 to 709, or of any small size
        argument: |bits| match bits % 4 {
            0 => f64::from_bits(bits >> 12 | (bits >> 2 & 1) << 63 | (1023 - 40 + bits / 8 % 48) << 52),
            _ => (bits >> 11) as f64 / (1_u64 << 53) as f64 * 1454.7 - 745.0,
        },
        checksum: 0x44f7_7345_06be_e221,
    },
    Case {
        op: Unary::Log,
        truth: log,
        bound: 0.85,
        worst: 0x3fe6_5feb_b661_7f77,
        // of any size, or near to 1
        argument: |bits| match bits % 4 {
            0 => f64::from_bits((bits >> 12 | 1023 << 52) - ((bits / 4 % 2) << 52)),
            1 => 1.0 + ((bits >> 12) as f64 / (1_u64 << 51) as f64 - 1.0) * power(-((bits / 4 % 45) as i32)) / 2.0,
            _ => f64::from_bits((bits >> 2) % (0x7fe << 52) + (1 << 52)),
        },
        checksum: 0xf249_205b_6a84_beaf,
    },
    Case {
        op: Unary::Sin,
        truth: |x| sin_turned(x, 0),
        bound: 1.13,
        worst: 0x407f_0df6_e608_abd8,
        // of any size up to 2^20, or near to a multiple of pi / 2
        argument: |bits| angle(bits),
        checksum: 0xb44e_d045_aeb3_17a9,
    },
    Case {
        op: Unary::Cos,
        truth: |x| sin_turned(x, 1),
        bound: 1.13,
        worst: 0x40fa_a5d6_8cc7_0cd0,
        // as for the sine
        argument: |bits| angle(bits),
        checksum: 0xedf0_c640_f2b6_f292,
    },
    Case {
        op: Unary::Tanh,
        truth: tanh,
        bound: 2.42,
        worst: 0xbf6f_ff30_ad04_ea99,
        // of any small size, or evenly from -21 to 21
        argument: |bits| either(bits, 21.0),
        checksum: 0x8df0_082e_dcce_a1c5,
    },
    Case {
        op: Unary::Erf,
        truth: erf,
        bound: 1.76,
        worst: 0xbfac_166d_ad9c_00d0,
        // of any small size, or evenly from -6.5 to 6.5
        argument: |bits| either(bits, 6.5),
        checksum: 0xfed6_5a57_6f37_d17f,
    },
    Case {
        op: Unary::Softplus,
        truth: softplus,
        bound: 1.76,
        worst: 0xc006_1c20_9a89_2a4c,
        // of any small size, or evenly from -750 to 750, or to a twentieth of that
        argument: |bits| either(bits, 750.0) / if bits % 8 < 4 { 1.0 } else { 20.0 },
        checksum: 0x65b7_eca5_d4c3_6882,
    },
    Case {
        op: Unary::Sigmoid,
        truth: sigmoid,
        bound: 1.18,
        worst: 0xc022_dd52_4dd2_2423,
        // as for softplus
        argument: |bits| either(bits, 745.0) / if bits % 8 < 4 { 1.0 } else { 20.0 },
        checksum: 0x1f08_3df0_bb5f_7dd5,
    },
];

/// Of any size from 2^-60 to 2, or evenly from `-most` to `most`.
fn either(bits: u64, most: f64) -> f64 {
    match bits % 4 {
        0 => f64::from_bits(bits >> 12 | (bits >> 3 & 1) << 63 | (1023 - 60 + bits / 16 % 61) << 52),
        _ => ((bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0) * most,
    }
}

/// Of any size up to 2^20, or near to a multiple of pi / 2.
fn angle(bits: u64) -> f64 {
    match bits % 4 {
        0 => f64::from_bits(bits >> 12 | (bits >> 3 & 1) << 63 | (1023 - 60 + bits / 16 % 80) << 52),
        1 => (bits >> 44) as f64 / 2.0 * FRAC_PI_2,
        _ => ((bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0) * (1 << (bits / 4 % 21)) as f64,
    }
}

/// SplitMix64.
fn random(i: u64) -> u64 {
    let x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn apply(op: Unary, x: f64) -> f64 {
    double::unary(&mut Scalar, op, x)
}

#[test]
fn errors_are_below_the_documented_bounds() {
    for Case { op, truth, bound, worst, argument, .. } in &CASES {
        let of = |x: f64| error(apply(*op, x), truth(x));
        let found = (0..u64::from(cases(100_000))).map(|i| argument(random(i)));
        let (largest, x) = found.map(|x| (of(x), x)).fold((0.0, 0.0), |a, b| if b.0 <= a.0 { a } else { b });
        println!("{}: {largest:.4} ulp at {x:e} ({:#018x})", op.name(), x.to_bits());
        assert!(largest <= *bound, "{} of {x:e}: {largest} ulp", op.name());
        let found = of(f64::from_bits(*worst));
        assert!(bound - 0.02 < found && found <= *bound, "{} of {worst:#x}: {found} ulp", op.name());
    }
}

#[test]
fn special_values_are_exact() {
    const INF: f64 = f64::INFINITY;
    let nan = |x: f64| x.is_nan();
    for (op, x, want) in [
        (Unary::Exp, 0.0, 1.0),
        (Unary::Exp, -0.0, 1.0),
        (Unary::Exp, 5e-324, 1.0),
        (Unary::Exp, INF, INF),
        (Unary::Exp, -INF, 0.0),
        (Unary::Exp, 709.782_712_893_384, 1.797_693_134_862_273_1e308),
        (Unary::Exp, 709.782_712_893_385, INF),
        (Unary::Exp, f64::MAX, INF),
        (Unary::Exp, -f64::MAX, 0.0),
        (Unary::Exp, -745.133_219_101_941_1, 5e-324),
        (Unary::Exp, -745.133_219_101_941_2, 0.0),
        (Unary::Log, 1.0, 0.0),
        (Unary::Log, 0.0, -INF),
        (Unary::Log, -0.0, -INF),
        (Unary::Log, INF, INF),
        (Unary::Log, 2.0, std::f64::consts::LN_2),
        (Unary::Log, 5e-324, -744.440_071_921_381_2),
        (Unary::Log, f64::MIN_POSITIVE, -708.396_418_532_264_1),
        (Unary::Log, f64::MAX, 709.782_712_893_384),
        (Unary::Log, -1.0, f64::NAN),
        (Unary::Log, -5e-324, f64::NAN),
        (Unary::Log, -INF, f64::NAN),
        (Unary::Sin, 0.0, 0.0),
        (Unary::Sin, -0.0, -0.0),
        (Unary::Sin, 5e-324, 5e-324),
        (Unary::Sin, 1_048_577.0, f64::NAN),
        (Unary::Sin, INF, f64::NAN),
        (Unary::Cos, 0.0, 1.0),
        (Unary::Cos, -0.0, 1.0),
        (Unary::Cos, -1_048_577.0, f64::NAN),
        (Unary::Cos, -INF, f64::NAN),
        (Unary::Tanh, -0.0, -0.0),
        (Unary::Tanh, -5e-324, -5e-324),
        (Unary::Tanh, INF, 1.0),
        (Unary::Tanh, -INF, -1.0),
        (Unary::Tanh, 19.5, 1.0),
        (Unary::Erf, -0.0, -0.0),
        (Unary::Erf, 5e-324, 5e-324),
        (Unary::Erf, INF, 1.0),
        (Unary::Erf, -INF, -1.0),
        (Unary::Erf, 6.0, 1.0),
        (Unary::Softplus, 0.0, std::f64::consts::LN_2),
        (Unary::Softplus, INF, INF),
        (Unary::Softplus, -INF, 0.0),
        (Unary::Softplus, -745.133_219_101_941_1, 5e-324),
        (Unary::Softplus, f64::MAX, f64::MAX),
        (Unary::Sigmoid, 0.0, 0.5),
        (Unary::Sigmoid, INF, 1.0),
        (Unary::Sigmoid, -INF, 0.0),
        (Unary::Sigmoid, -745.133_219_101_941_1, 5e-324),
        (Unary::Exp, f64::NAN, f64::NAN),
        (Unary::Log, f64::NAN, f64::NAN),
        (Unary::Sin, f64::NAN, f64::NAN),
        (Unary::Cos, f64::NAN, f64::NAN),
        (Unary::Tanh, f64::NAN, f64::NAN),
        (Unary::Erf, f64::NAN, f64::NAN),
        (Unary::Softplus, f64::NAN, f64::NAN),
        (Unary::Sigmoid, f64::NAN, f64::NAN),
    ] {
        let found = apply(op, x);
        assert!(found.to_bits() == want.to_bits() || nan(found) && nan(want), "{} of {x:e}: {found:e}", op.name());
    }
    for x in [1.5, -0.0, -2.5, 1e300, -5e-324, INF] {
        let exact = [(Unary::Neg, -x), (Unary::Abs, x.abs()), (Unary::Sqrt, x.sqrt()), (Unary::Floor, x.floor())];
        for (op, want) in exact {
            let found = apply(op, x);
            assert!(found.to_bits() == want.to_bits() || nan(found) && nan(want), "{} of {x:e}", op.name());
        }
    }
}

#[test]
fn every_operation_is_exact_or_has_a_bound() {
    let exact = [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Floor];
    for &op in Unary::ALL {
        let cases = CASES.iter().filter(|case| case.op == op).count();
        assert_eq!(cases + usize::from(exact.contains(&op)), 1, "cases of {}", op.name());
    }
}

/// Results that are denormal are as near as others, and so are arguments.
#[test]
fn denormals_are_numbers_like_others() {
    for i in 0..20_000_u64 {
        let x = -708.3 - i as f64 * (745.2 - 708.3) / 20_000.0;
        assert!(error(apply(Unary::Exp, x), exp(x)) < 0.94, "exp of {x:e}");
        let x = f64::from_bits(random(i) >> 12 >> (i % 50) | 1);
        let (y, scaled) = (apply(Unary::Log, x), log(x * power(54)).0);
        let truth = scaled.add(LN_2.mul(Pair(-54.0, 0.0)));
        assert!(error(y, (truth, 0)) <= 0.85, "log of {x:e}");
    }
}

/// The bits are the contract: no target, and no later version, has others.
#[test]
fn bits_are_fixed() {
    for case in &CASES {
        let bits = |i: u64| apply(case.op, (case.argument)(random(i))).to_bits();
        let sum = (0..100_000).fold(0_u64, |sum, i| sum.wrapping_add(bits(i).wrapping_mul(2 * i + 1)));
        assert_eq!(sum, case.checksum, "{}: {sum:#018x}", case.op.name());
    }
}
