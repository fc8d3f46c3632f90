//! The incomplete gamma functions and the quantiles of gamma distributions.
//!
//! With D = x^a e^-x / Gamma(a + 1) (DLMF 8.6.3 and 8.6.7, and 8.8.5 for the sum in P),
//!
//! ```text
//! P(a, x) = D (1 + x I),  I = integral of w^(a + 1) e^(-x (w - 1)) ds over s > 0 with w = e^-s,  for x <= a + 1,
//! Q(a, x) = D a I,        I = integral of w^a e^(-x (w - 1)) ds over s > 0 with w = e^s,         for x > a + 1.
//! ```
//!
//! Both integrands fall from 1, and their logarithm is concave: its slope at s = 0 is |c - x| and its curvature x, for
//! w^c. So 1 / sqrt((c - x)^2 + x) is their scale. The power is a + 1 in the lower integral, by the recurrence in a,
//! because with w^a it has two scales where a is small; the upper integral has a single one where x > a + 1.

use super::gamma::{LOG_SQRT_TWO_PI, log_gamma, stirling_error};
use super::normal::rough_normal_quantile;
use super::quadrature::half_line;
use super::{deviance, halley_step, one_side, operands};
use bayeslift_ir::Expr;

/// The tail that x is in: the lower one, P, or the upper one, Q.
struct Tail<'b> {
    is_lower: Expr<'b>,
    /// log D.
    log_density: Expr<'b>,
    /// P / D or Q / D.
    factor: Expr<'b>,
}

impl<'b> Tail<'b> {
    /// For finite x > 0.
    fn new(a: Expr<'b>, x: Expr<'b>) -> Self {
        let is_lower = x.less_equal(a + 1.0);
        let power = is_lower.select(a + 1.0, a);
        let scale = (1.0 / ((power - x).square() + x).sqrt()).stop_gradient();
        let axis = x.shape().len();
        let (nodes, weights) = half_line(x.builder());
        let w = (nodes * is_lower.select(-scale, scale).expand(axis)).exp();
        // The logarithm of the rounded w, so that integrand and argument agree: a node may be off, its value may not.
        let integrand = (power.expand(axis) * w.log() - x.expand(axis) * (w - 1.0)).exp();
        let integral = (integrand * weights).sum(axis) * scale;
        let log_density = -(a * deviance(x / a)) - (a.log() * 0.5 + LOG_SQRT_TWO_PI + stirling_error(a));
        Tail { is_lower, log_density, factor: is_lower.select(x * integral + 1.0, a * integral) }
    }
}

/// P(a, x), or Q(a, x) where `upper`.
fn probability<'b>(a: Expr<'b>, x: Expr<'b>, upper: bool) -> Expr<'b> {
    let [a, x] = operands([a, x]);
    let is_below = x.less_equal(0.0);
    let tail = Tail::new(a, is_below.select(1.0, x.min(1e300)));
    let this = tail.log_density.exp() * tail.factor;
    let probability = one_side(tail.is_lower, this, upper);
    is_below.select(probability * 0.0 + f64::from(upper), probability)
}

/// The regularized lower incomplete gamma function P(a, x), for a > 0: the integral of t^(a - 1) e^-t / Gamma(a) over t
/// from 0 to x (DLMF 8.2.4). It is the distribution function of the gamma distribution with concentration a and rate 1:
/// 0 for x <= 0. Its gradient at x = 0 is 0.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::gamma_lower;
/// let b = Builder::new();
/// b.output("y", gamma_lower(b.constant_f64(1.0), b.constant_f64(2.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - (1.0 - (-2.0_f64).exp())).abs() < 5e-14); // with a = 1 the exponential distribution
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn gamma_lower<'b>(a: Expr<'b>, x: Expr<'b>) -> Expr<'b> {
    probability(a, x, false)
}

/// The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x), with relative accuracy where it is small.
///
/// It is 1 for x <= 0. A count of a Poisson distribution with rate r is at most n with probability Q(n + 1, r). `f64`;
/// arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::gamma_upper;
/// let b = Builder::new();
/// // at most one event where two are expected: e^-2 (1 + 2)
/// b.output("y", gamma_upper(b.constant_f64(2.0), b.constant_f64(2.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 3.0 * (-2.0_f64).exp()).abs() < 5e-14);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn gamma_upper<'b>(a: Expr<'b>, x: Expr<'b>) -> Expr<'b> {
    probability(a, x, true)
}

/// Halley steps of [`gamma_quantile`]; with one less the worst error is 2e-7.
const STEPS: usize = 3;

/// The x for which [`gamma_lower`] of a and x is p, for a > 0: 0 at p = 0 and infinity at p = 1.
///
/// Steps begin at the largest of three values: Wilson and Hilferty's (1931) cube of a normal quantile; the root of
/// x^a / Gamma(a + 1) = p, which P approaches for small x, with a factor for its next term; and an estimate from
/// x^(a - 1) e^-x / Gamma(a) = 1 - p, which Q approaches for large x. Each is too small where another one is good.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::gamma_quantile;
/// let b = Builder::new();
/// // the median of an exponential distribution is log 2
/// b.output("y", gamma_quantile(b.constant_f64(1.0), b.constant_f64(0.5)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 2_f64.ln()).abs() < 1e-11);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn gamma_quantile<'b>(a: Expr<'b>, p: Expr<'b>) -> Expr<'b> {
    let [a, p] = operands([a, p]);
    let (log_p, log_q) = (p.log(), (1.0 - p).log());
    let log_gamma = log_gamma(a);

    let cube_root = (rough_normal_quantile(p) + a.sqrt() * 3.0 - 1.0 / (a.sqrt() * 3.0)) / (a.sqrt() * 3.0);
    let cube_root = cube_root.max(0.0);
    let power = ((log_p + a.log() + log_gamma) / a).exp();
    let from_below = power * (power / (a + 1.0)).min(1.0).exp();
    let excess = (-(log_q + log_gamma)).max(0.0);
    let from_above = excess - (excess + 1.0).log();
    let begin = (a * cube_root * cube_root.square()).max(from_below).max(from_above).max(1e-290);

    // the gradient is that of the last step, which is the implicit function's
    let x = (0..STEPS).fold(begin, |x, _| {
        let x = x.stop_gradient();
        let Tail { is_lower, log_density, factor } = Tail::new(a, x);
        let difference = log_density + factor.log() - is_lower.select(log_p, log_q);
        let slope = is_lower.select(a, -a) / factor;
        x * halley_step(difference, slope, a - x - slope).exp()
    });
    // where x would be less than any number the power is exact; there is no step from infinity
    let x = power.less(1e-290).select(power, x);
    p.equal(1.0).select(a.stop_gradient() * f64::INFINITY, x)
}
