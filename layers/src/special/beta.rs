//! The incomplete beta function, the quantiles of beta distributions, and Student's t, which follows from them.
//!
//! With D = x^a y^b / (a B(a, b)), y = 1 - x (DLMF 8.17.2 with log(t / (1 - t)) = log(x / y) - s; and 8.17.20),
//!
//! ```text
//! I_x(a, b) = D (1 + x (a + b) J),  J = integral of lambda^(a + 1) mu^b ds over s > 0,
//! lambda = t / x = w mu,  mu = (1 - t) / y = 1 / (y + x w),  w = e^-s,
//! ```
//!
//! for x / y <= (a + 1/2) / (b + 1/2), else 1 - I_y(b, a) (DLMF 8.17.4). The integrand falls from 1 and its logarithm
//! is concave, with slope (a + 1) y - b x at s = 0, which is 1/2 at least, and curvature (a + 1 + b) x y.

use super::gamma::{LOG_SQRT_TWO_PI, log_beta, stirling_error_excess};
use super::normal::rough_normal_quantile;
use super::quadrature::half_line;
use super::{deviance, halley_step, one_side, operands};
use bayeslift_ir::Expr;

/// The tail that x is in, with what it is a tail of: I_x(a, b), or where it is the upper one I_y(b, a).
struct Tail<'b> {
    is_lower: Expr<'b>,
    /// a of a lower tail, b of an upper one.
    power: Expr<'b>,
    /// log D.
    log_density: Expr<'b>,
    /// The tail over D.
    factor: Expr<'b>,
}

impl<'b> Tail<'b> {
    /// For x, y > 0 with x + y = 1.
    fn new([a, b]: [Expr<'b>; 2], [x, y]: [Expr<'b>; 2]) -> Self {
        let sum = a + b;
        let deviances = a * deviance(x * sum / a) + b * deviance(y * sum / b);
        // log(x^a y^b / B(a, b))
        let log_kernel = (a / sum * b).log() * 0.5 - LOG_SQRT_TWO_PI - stirling_error_excess(&[a, b], sum) - deviances;

        let is_lower = (x * (b + 0.5)).less_equal(y * (a + 0.5));
        let swap = |p: Expr<'b>, q: Expr<'b>| (is_lower.select(p, q), is_lower.select(q, p));
        let ((a, b), (x, y)) = (swap(a, b), swap(x, y));
        let power = a + 1.0;
        let slope = power * y - b * x;
        let scale = (1.0 / (slope.square() + (sum + 1.0) * x * y).sqrt()).stop_gradient();
        let axis = x.shape().len();
        let (nodes, weights) = half_line(x.builder());
        let w = (nodes * (-scale).expand(axis)).exp();
        let mu = 1.0 / (y.expand(axis) + x.expand(axis) * w);
        // log(lambda^power mu^b) by deviances, whose first orders are (w - 1) mu slope
        let deviances = power.expand(axis) * deviance(w * mu) + b.expand(axis) * deviance(mu);
        let integrand = ((w - 1.0) * mu * slope.expand(axis) - deviances).exp();
        let integral = (integrand * weights).sum(axis) * scale;
        Tail { is_lower, power: a, log_density: log_kernel - a.log(), factor: x * sum * integral + 1.0 }
    }

    /// I_x(a, b), or 1 - I_x(a, b) where `upper`; the smaller of the two has relative accuracy.
    fn probability(&self, upper: bool) -> Expr<'b> {
        one_side(self.is_lower, self.log_density.exp() * self.factor, upper)
    }
}

/// I_x(a, b), or 1 - I_x(a, b) where `upper`, for any x.
fn probability<'b>(a: Expr<'b>, b: Expr<'b>, x: Expr<'b>, upper: bool) -> Expr<'b> {
    let [a, b, x] = operands([a, b, x]);
    let (is_below, is_inside) = (x.less_equal(0.0), x.less(1.0));
    let inside = is_below.select(0.5, is_inside.select(x, x.min(0.5)));
    let probability = Tail::new([a, b], [inside, 1.0 - inside]).probability(upper);
    let end = |is_upper: bool| probability * 0.0 + f64::from(is_upper);
    is_below.select(end(upper), is_inside.select(probability, end(!upper)))
}

/// The regularized incomplete beta function I_x(a, b), for a, b > 0: the integral of t^(a - 1) (1 - t)^(b - 1) / B(a,
/// b) over t from 0 to x (DLMF 8.17.2). It is the distribution function of the beta distribution: 0 for x <= 0 and 1
/// for x >= 1. Its gradient at x = 0 and at x = 1 is 0.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// The failures before r successes of probability s are at most n with probability I_s(r, n + 1): the distribution
/// function of the negative binomial distribution.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::beta_lower;
/// let b = Builder::new();
/// b.output("y", beta_lower(b.constant_f64(2.0), b.constant_f64(1.0), b.constant_f64(0.3)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 0.09).abs() < 5e-14); // with b = 1 it is x^a
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn beta_lower<'b>(a: Expr<'b>, b: Expr<'b>, x: Expr<'b>) -> Expr<'b> {
    probability(a, b, x, false)
}

/// 1 - I_x(a, b), with relative accuracy where it is small: the probability that a variable of the beta distribution is
/// above x. `f64`; arguments and errors are as for [`beta_lower`].
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::beta_upper;
/// let b = Builder::new();
/// // with a = 1 it is (1 - x)^b
/// b.output("y", beta_upper(b.constant_f64(1.0), b.constant_f64(20.0), b.constant_f64(0.9)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 1e-20).abs() < 1e-31);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn beta_upper<'b>(a: Expr<'b>, b: Expr<'b>, x: Expr<'b>) -> Expr<'b> {
    probability(a, b, x, true)
}

/// Halley steps of [`log_odds_quantile`]; with one less the worst error is 2e-7.
const STEPS: usize = 4;

/// Log odds that are taken for infinite: e^690 is nearly the largest number.
const LARGEST: f64 = 690.0;

/// log(x / y) for the x where I_x(a, b) is p and 1 - p is `q`.
///
/// x / y is a ratio of gamma variables. Steps begin where both are at the point of a normal quantile that is the most
/// probable one for such a ratio, by Wilson and Hilferty's (1931) cubes; kept between the roots of odds^a / (a B) = p
/// and odds^-b / (b B) = q, which the tails approach at the ends, with factors for the next terms.
fn log_odds_quantile<'b>([a, b]: [Expr<'b>; 2], p: Expr<'b>, q: Expr<'b>) -> Expr<'b> {
    let (log_p, log_q, log_beta, sum) = (p.log(), q.log(), log_beta(a, b), a + b);
    // the powers' roots, as log odds of x and of y
    let power = |a: Expr<'b>, log_p: Expr<'b>| (log_p + a.log() + log_beta) / a;
    let (of_x, of_y) = (power(a, log_p), power(b, log_q));
    let bound = |a: Expr<'b>, root: Expr<'b>| root + (sum / (a + 1.0) * root.min(LARGEST).exp()).min(1.0);

    let (c, d) = (a.max(0.5), b.max(0.5));
    let z = rough_normal_quantile(p) / (c + d).sqrt() / 3.0;
    let cube_root = |c: Expr<'b>, z: Expr<'b>| (1.0 - 1.0 / (c * 9.0) + z).max(0.01);
    let ratio = (d / c).sqrt();
    let begin = (c / d).log() + (cube_root(c, z * ratio) / cube_root(d, -(z / ratio))).log() * 3.0;
    let begin = begin.min(-bound(b, of_y)).max(bound(a, of_x));

    // the gradient is that of the last step, which is the implicit function's
    let log_odds = (0..STEPS).fold(begin, |log_odds, _| {
        let log_odds = log_odds.min(LARGEST).max(-LARGEST).stop_gradient();
        let odds = log_odds.exp();
        let y = 1.0 / (odds + 1.0);
        let x = odds * y;
        let Tail { is_lower, power, log_density, factor } = Tail::new([a, b], [x, y]);
        let difference = log_density + factor.log() - is_lower.select(log_p, log_q);
        let slope = is_lower.select(power, -power) / factor;
        log_odds + halley_step(difference, slope, a * y - b * x - slope)
    });
    // beyond the largest odds the powers are exact
    let log_odds = of_x.less(-LARGEST).select(of_x, log_odds);
    of_y.less(-LARGEST).select(-of_y, log_odds)
}

/// The x for which [`beta_lower`] of a, b and x is p, for a, b > 0: 0 at p = 0 and 1 at p = 1.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::beta_quantile;
/// let b = Builder::new();
/// b.output("y", beta_quantile(b.constant_f64(2.0), b.constant_f64(1.0), b.constant_f64(0.25)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 0.5).abs() < 1e-12); // where x^2 is 1/4
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn beta_quantile<'b>(a: Expr<'b>, b: Expr<'b>, p: Expr<'b>) -> Expr<'b> {
    let [a, b, p] = operands([a, b, p]);
    let log_odds = log_odds_quantile([a, b], p, 1.0 - p);
    // of the smaller one of x and y, whose exponential does not overflow and whose gradient does not vanish
    let is_small = log_odds.less(0.0);
    let odds = is_small.select(log_odds, -log_odds).exp();
    is_small.select(odds, 1.0) / (odds + 1.0)
}

/// a and b of the beta distribution of degrees / (degrees + t^2).
fn student_parameters(degrees: Expr<'_>) -> [Expr<'_>; 2] {
    [degrees * 0.5, degrees.builder().constant_f64(0.5).broadcast(&degrees.shape())]
}

/// The distribution function of Student's t with this number of degrees of freedom, positive and not necessarily whole.
///
/// The tail beyond |t| is I_x(degrees / 2, 1 / 2) / 2 with x = degrees / (degrees + t^2); it has relative accuracy.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::student_cdf;
/// let b = Builder::new();
/// // one degree of freedom is the Cauchy distribution: 1/2 + atan(t) / pi
/// b.output("y", student_cdf(b.constant_f64(1.0), b.constant_f64(1.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 0.75).abs() < 5e-15);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn student_cdf<'b>(degrees: Expr<'b>, t: Expr<'b>) -> Expr<'b> {
    let [degrees, t] = operands([degrees, t]);
    let is_negative = t.less(0.0);
    // a number near 0 has the gradient that |t| lacks at 0
    let odds = (is_negative.select(-t, t) + 1e-140).square() / degrees;
    let (x, y) = (1.0 / (odds + 1.0), 1.0 / (1.0 / odds + 1.0));
    let tail = Tail::new(student_parameters(degrees), [x, y]).probability(false) * 0.5;
    is_negative.select(tail, 1.0 - tail)
}

/// The t for which [`student_cdf`] of degrees and t is p: -infinity at p = 0, 0 at p = 1/2, infinity at p = 1.
///
/// `f64`; arguments are broadcast against each other. For errors see [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::student_quantile;
/// let b = Builder::new();
/// // the factor of a 95% interval of a mean of ten numbers
/// b.output("y", student_quantile(b.constant_f64(9.0), b.constant_f64(0.975)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 2.262_157).abs() < 1e-6);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn student_quantile<'b>(degrees: Expr<'b>, p: Expr<'b>) -> Expr<'b> {
    let [degrees, p] = operands([degrees, p]);
    let two_tails = p.min(1.0 - p) * 2.0;
    let log_odds = log_odds_quantile(student_parameters(degrees), two_tails, 1.0 - two_tails);
    let t = degrees.sqrt() * (log_odds * -0.5).exp();
    p.less(0.5).select(-t, t)
}
