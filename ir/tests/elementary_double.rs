//! Accuracy, special values and fixed bits of the elementary functions of `f64`.
//!
//! The truth is computed in pairs of doubles (Dekker, 1971; Knuth's and Ogita's exact sums and products), which have some 106
//! bits. Bounds are the largest errors that were found among many more arguments than the default tests look at:
//!
//! ```text
//! BAYESLIFT_CASES=100000000 cargo test --release -p bayeslift-ir --test elementary_double -- --nocapture
//! ```

use bayeslift_ir::{Scalar, Unary, arbitrary::cases, elementary::double};

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

    fn neg(self) -> Pair {
        Pair(-self.0, -self.1)
    }

    /// e^r - 1 for |r| <= 1/2, by its series.
    fn expm1(self) -> Pair {
        (2..=32).rev().fold(Pair(1.0, 0.0), |sum, n| sum.mul(self).div(f64::from(n)).add(Pair(1.0, 0.0))).mul(self)
    }
}

/// e^x as a pair, and the power of two that it is to be multiplied by.
fn exp(x: f64) -> (Pair, i32) {
    let n = (x / std::f64::consts::LN_2).round();
    let r = Pair(x, 0.0).add(LN_2.mul(Pair(-n, 0.0)));
    (r.expm1().add(Pair(1.0, 0.0)), n as i32)
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

const CASES: [Case; 2] = [
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
];

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
        (Unary::Exp, f64::NAN, f64::NAN),
        (Unary::Log, f64::NAN, f64::NAN),
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
