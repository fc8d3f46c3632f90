//! Scalars computed on the host that enter a compiled computation: the same bits on every machine.
//!
//! Only `+ - * /` on `f64` and the bits of numbers are used; each is correctly rounded everywhere, so no platform's
//! mathematical library has a say.

use bayeslift_ir::Environment;
use std::f64::consts::{LN_2, PI};

/// x^n by repeated squaring: products only, so the bits are the same on every machine. Its relative error grows with n,
/// as about n / 2^53. x^0 is 1, for every x.
///
/// ```
/// use bayeslift_layers::integer_power;
/// assert_eq!(integer_power(0.5, 10), 1.0 / 1024.0);
/// assert_eq!(integer_power(0.9, 0), 1.0);
/// ```
pub fn integer_power(x: f64, mut n: u64) -> f64 {
    Environment::within(|| {
        let (mut power, mut square) = (1.0, x);
        while n > 0 {
            if n & 1 == 1 {
                power *= square;
            }
            square *= square;
            n >>= 1;
        }
        power
    })
}

/// The `r` with softplus(r) = log(1 + e^r) = y, for y > 0: r = y + log(1 - e^-y).
///
/// Gives not-a-number for y <= 0. It is what a scale that a softplus makes positive is stored as. The bits are the same
/// on every machine.
///
/// ```
/// use bayeslift_layers::inverse_softplus;
/// let stored = inverse_softplus(0.1);
/// assert!((stored.exp().ln_1p() - 0.1).abs() < 1e-15);
/// assert_eq!(inverse_softplus(100.0), 100.0); // softplus is the identity there
/// assert!(inverse_softplus(0.0).is_nan());
/// ```
pub fn inverse_softplus(y: f64) -> f64 {
    Environment::within(|| if y.is_nan() || y <= 0.0 { f64::NAN } else { y + natural_log(-expm1(-y)) })
}

/// The natural logarithm, within a few units in the last place; minus infinity for 0 and subnormal numbers,
/// not-a-number for negative ones. The bits are the same on every machine, which those of `f64::ln` are not.
///
/// ```
/// use bayeslift_layers::natural_log;
/// assert_eq!(natural_log(1.0), 0.0);
/// assert!((natural_log(10.0) - std::f64::consts::LN_10).abs() < 1e-15);
/// assert_eq!(natural_log(0.0), f64::NEG_INFINITY);
/// assert!(natural_log(-1.0).is_nan());
/// ```
pub fn natural_log(x: f64) -> f64 {
    Environment::within(|| {
        if x.is_nan() || x < 0.0 {
            return f64::NAN;
        }
        if x < f64::MIN_POSITIVE {
            return f64::NEG_INFINITY;
        }
        if x == f64::INFINITY {
            return x;
        }
        let bits = x.to_bits();
        let mut exponent = (bits >> 52) as i64 - 1023;
        let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
        if mantissa > std::f64::consts::SQRT_2 {
            mantissa *= 0.5;
            exponent += 1;
        }
        // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716: twelve terms leave 0.1716^24 / 25.
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let square = s * s;
        let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
        exponent as f64 * LN_2 + 2.0 * s * series
    })
}

/// Natural logarithm of the gamma function of a positive number: Stirling's series from 10 on (Abramowitz and Stegun
/// 1964, 6.1.41), below it by Gamma(x + 1) = x Gamma(x). Within 1e-13, or a few ulp where that is more.
pub fn log_gamma(mut x: f64) -> f64 {
    Environment::within(|| {
        let mut product = 1.0;
        while x < 10.0 {
            product *= x;
            x += 1.0;
        }
        let (inverse, square) = (1.0 / x, 1.0 / (x * x));
        let terms = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
        let series = inverse * terms.iter().rev().fold(0.0, |sum, term| sum * square + term);
        (x - 0.5) * natural_log(x) - x + natural_log(2.0 * PI) / 2.0 + series - natural_log(product)
    })
}

/// e^x - 1 for x <= 0; within a few ulp.
fn expm1(x: f64) -> f64 {
    if x < -40.0 {
        return -1.0;
    }
    // e^x - 1 for x in [-1/2, 0] by its series; each doubling is u (u + 2).
    let (mut reduced, mut doublings) = (x, 0);
    while reduced < -0.5 {
        reduced *= 0.5;
        doublings += 1;
    }
    let series = (1..=20).rev().fold(0.0, |sum, k| (sum + 1.0) * reduced / f64::from(k));
    (0..doublings).fold(series, |u, _| u * (u + 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_scale_is_the_reference_value() {
        let raw = inverse_softplus(1e-3 - 1e-5);
        assert_eq!(raw as f32, -6.917_310_7_f32); // golden `initial_scale`: -6.91731071472168
        assert!((raw + 6.917_310_574).abs() < 1e-9, "{raw}");
    }

    #[test]
    fn elementary_functions_agree_with_the_platform() {
        for i in 1..4000 {
            let y = f64::from(i) * 0.01;
            let want = y + (-(-y).exp_m1()).ln();
            assert!((inverse_softplus(y) - want).abs() <= 1e-14 * want.abs().max(1.0), "inverse_softplus({y})");
            assert!((natural_log(y) - y.ln()).abs() <= 4e-16 * y.ln().abs().max(1.0), "log({y})");
        }
        assert!(inverse_softplus(0.0).is_nan() && inverse_softplus(-1.0).is_nan());
        assert!(
            natural_log(-1e-7).is_nan() && natural_log(f64::NEG_INFINITY).is_nan() && natural_log(f64::NAN).is_nan()
        );
        assert_eq!([0.0, -0.0, f64::INFINITY].map(natural_log), [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
        assert_eq!(inverse_softplus(100.0), 100.0);
        assert_eq!(integer_power(0.5, 10), 1.0 / 1024.0);
        assert_eq!(integer_power(0.9, 0), 1.0);
        // factorials, and Gamma(1/2) = sqrt(pi)
        let mut factorial = 0.0_f64;
        for n in 1..100 {
            let found = log_gamma(f64::from(n));
            assert!((found - factorial).abs() <= 1e-13 * factorial.max(1.0), "log_gamma({n}): {found}");
            factorial += f64::from(n).ln();
        }
        assert!((log_gamma(0.5) - PI.ln() / 2.0).abs() <= 1e-13);
    }
}
