//! The logarithm of the gamma function, its derivative, and differences of it.
//!
//! Stirling's series has all digits from 8 on. Smaller arguments are raised by 8 with the recurrence
//! Gamma(x + 1) = x Gamma(x) (DLMF 5.5.1), whose eight factors are paired: with t = x (x + 7) they are
//! t (t + 6) (t + 10) (t + 12).

use super::{deviance, operands, polynomial};
use bayeslift_ir::Expr;

/// log(2 pi) / 2.
pub(super) const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// B_2k / (2k (2k - 1)) for k = 1, 2, ..., with Bernoulli's numbers: the coefficients of z^(1 - 2k) in the series of
/// [`stirling_series`]. The first one left out is below 1e-15 at 8.
const STIRLING: [f64; 7] =
    [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];

/// An argument raised to where Stirling's series holds.
struct Raised<'b> {
    /// Whether it had to be: x < 8.
    is_low: Expr<'b>,
    /// x + 8 if it had to be, else x.
    at: Expr<'b>,
    /// x if it had to be; else 1, which does not overflow where x would.
    low: Expr<'b>,
    /// low (low + 7).
    ends: Expr<'b>,
}

impl<'b> Raised<'b> {
    fn new(x: Expr<'b>) -> Self {
        let is_low = x.less(8.0);
        let low = is_low.select(x, 1.0);
        Raised { is_low, at: is_low.select(low + 8.0, x), low, ends: low * (low + 7.0) }
    }

    /// The factors low (low + 1) ... (low + 7) in pairs.
    fn pairs(&self) -> [Expr<'b>; 4] {
        [self.ends, self.ends + 6.0, self.ends + 10.0, self.ends + 12.0]
    }

    /// The logarithm of the product of the factors.
    fn log_product(&self) -> Expr<'b> {
        let [a, b, c, d] = self.pairs();
        (a * b * c * d).log()
    }
}

/// log Gamma(z) - (z - 1/2) log z + z - log sqrt(2 pi) for z >= 8 (DLMF 5.11.1).
fn stirling_series(z: Expr<'_>) -> Expr<'_> {
    let inverse = 1.0 / z;
    polynomial(inverse.square(), &STIRLING) * inverse
}

/// log Gamma(x), for x > 0, with Gamma(x) the integral of t^(x - 1) e^-t over t from 0 to infinity (DLMF 5.2.1). By
/// Stirling's series (DLMF 5.11.1); an x below 8 is first raised by 8 with Gamma(x + 1) = x Gamma(x) (DLMF 5.5.1).
///
/// The result is `f64`, of the shape of `x`. Its error is below 5e-15 for x from 1e-300 to 1e300: absolute for values
/// below 1, relative for larger ones. Its gradient is [`digamma`]. See [`special`](crate::special) for what all these
/// functions have in common.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::special::log_gamma;
/// let b = Builder::new();
/// b.output("y", log_gamma(b.input("x", Type::f32([2]))));
/// let y = evaluate(&b.finish()?, &[Tensor::f32([2], [5.0, 0.5])?])?;
/// let expected = [24.0_f64.ln(), std::f64::consts::PI.sqrt().ln()];
/// assert!(y[0].as_f64().unwrap().iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 5e-15));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn log_gamma(x: Expr<'_>) -> Expr<'_> {
    let raised = Raised::new(x.to_f64());
    let z = raised.at;
    let stirling = (z - 0.5) * (z.log() - 1.0) + (stirling_series(z) + (LOG_SQRT_TWO_PI - 0.5));
    stirling - raised.is_low.select(raised.log_product(), 0.0)
}

/// The digamma function, the derivative of log Gamma(x), for x > 0 (DLMF 5.2.2): the derivative of Stirling's series
/// (DLMF 5.11.2), less 1 / x + ... + 1 / (x + 7) (DLMF 5.5.2) where the argument is raised. `f64`, of the shape of `x`,
/// with the errors of [`log_gamma`].
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::digamma;
/// let b = Builder::new();
/// b.output("y", digamma(b.constant_f64(1.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y + 0.577_215_664_901_532_9).abs() < 5e-15); // minus the Euler-Mascheroni constant
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn digamma(x: Expr<'_>) -> Expr<'_> {
    let raised = Raised::new(x.to_f64());
    let inverse = 1.0 / raised.at;
    let mut coefficients = STIRLING;
    (0..).zip(&mut coefficients).for_each(|(k, coefficient)| *coefficient *= f64::from(2 * k + 1));
    let square = inverse.square();
    let stirling = raised.at.log() - inverse * 0.5 - polynomial(square, &coefficients) * square;
    // two factors of a pair have one sum, 2 x + 7
    let [a, b, c, d] = raised.pairs().map(|pair| 1.0 / pair);
    stirling - raised.is_low.select((a + b + c + d) * (raised.low * 2.0 + 7.0), 0.0)
}

/// The error of Stirling's formula, log Gamma(x) - (x - 1/2) log x + x - log sqrt(2 pi), for x > 0.
pub(super) fn stirling_error(x: Expr<'_>) -> Expr<'_> {
    let raised = Raised::new(x);
    let (low, above) = (raised.low, raised.low + 8.0);
    let of_low = (low - 0.5) * (above / low).log() + (above.log() - 1.0) * 8.0 - raised.log_product();
    stirling_series(raised.at) + raised.is_low.select(of_low, 0.0)
}

/// The sum of [`stirling_error`] at some values less that at another: once, along a new axis of all of them.
pub(super) fn stirling_error_excess<'b>(values: &[Expr<'b>], other: Expr<'b>) -> Expr<'b> {
    let axis = other.shape().len();
    let index = other.builder().iota(values.len() + 1);
    let stacked = (0_u32..)
        .zip(values)
        .fold(other.expand(axis), |rest, (i, value)| index.equal(i).select(value.expand(axis), rest));
    let error = stirling_error(stacked);
    index.equal(values.len() as u32).select(-error, error).sum(axis)
}

/// log Gamma(x + d) - log Gamma(x), for x > 0 and x + d > 0, without the cancellation of large and nearly equal
/// logarithms: for large x it is d log x, whatever log Gamma(x) is.
///
/// log Gamma(x + n) - log Gamma(x) - log n! is the logarithm of a negative binomial's coefficient. `f64`; `x` and `d`
/// are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::log_gamma_ratio;
/// let b = Builder::new();
/// // Gamma(x + 2) / Gamma(x) = x (x + 1), of an x at which log Gamma(x) has lost the digits
/// b.output("y", log_gamma_ratio(b.constant_f64(1e12), b.constant_f64(2.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 2.0 * 1e12_f64.ln()).abs() < 1e-11);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn log_gamma_ratio<'b>(x: Expr<'b>, d: Expr<'b>) -> Expr<'b> {
    let [x, d] = operands([x, d]);
    let above = x + d;
    let ratio = x / above;
    // x log(above / x) - d, with log(ratio) = -d / above - deviance(ratio)
    let exponent = x * deviance(ratio) - d * (d / above);
    d * above.log() + ratio.log() * 0.5 + exponent + stirling_error_excess(&[above], x)
}

/// log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b), for a, b > 0, with no cancellation where one is much
/// the larger: the logarithm of the beta function (DLMF 5.12.1). `f64`; `a` and `b` are broadcast against each other.
/// For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::log_beta;
/// let b = Builder::new();
/// b.output("y", log_beta(b.constant_f64(2.0), b.constant_f64(3.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - (1.0_f64 / 12.0).ln()).abs() < 1e-14); // 1! 2! / 4!
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn log_beta<'b>(a: Expr<'b>, b: Expr<'b>) -> Expr<'b> {
    let [a, b] = operands([a, b]);
    let sum = a + b;
    let (p, q) = (a / sum, b / sum);
    // a log p + b log q, with log p = -q - deviance(p) and log q = -p - deviance(q)
    let exponent = a * q * -2.0 - (a * deviance(p) + b * deviance(q));
    exponent + ((p * b).log() * -0.5 + LOG_SQRT_TWO_PI) + stirling_error_excess(&[a, b], sum)
}
