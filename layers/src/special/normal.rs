//! The standard normal distribution function, its logarithm and its inverse.
//!
//! All three rest on the tail Q(z) = e^(-z^2 / 2) M(z) for z >= 0. With x = z / sqrt 2, 2 M(z) = (2 x / pi) integral of
//! e^(-t^2) / (t^2 + x^2) dt over t > 0 (DLMF 7.7.1), and the trapezoidal rule with step h = 1/2 at midpoints gives all
//! digits of it at 13 points, once the residue of the pole at t = ix is added (Hunter and Regan 1972, *A note on the
//! evaluation of the complementary error function*): 2 / (e^(-x^2) + e^(2 pi x / h - x^2)). All terms are positive;
//! what is left out is e^(-(pi / h)^2) = 7e-18 of the result, and so is the residue from x = pi / h on.

use super::polynomial;
use bayeslift_ir::Expr;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The step of the trapezoidal rule, and the number of its points: e^(-t^2) of the next one is 5e-20.
const STEP: f64 = 0.5;
const POINTS: usize = 13;
/// sqrt(2 pi).
const SQRT_TWO_PI: f64 = 2.506_628_274_631_000_7;

/// M(z) = e^(z^2 / 2) Q(z), the tail over the density at z, up to a factor sqrt(2 pi), for z >= 0.
fn scaled_tail(z: Expr<'_>) -> Expr<'_> {
    let axis = z.shape().len();
    // beyond 1e150 the square would overflow
    let x = z.min(1e150) * FRAC_1_SQRT_2;
    let squares = ((z.builder().iota(POINTS).to_f64() + 0.5) * STEP).square();
    let sum = ((-squares).exp() / (squares + x.square().expand(axis))).sum(axis);
    let near = x.min(PI / STEP);
    let residue = 1.0 / ((-near.square()).exp() + (near * (-near + 2.0 * PI / STEP)).exp());
    sum * x * (STEP / PI) + residue
}

/// Whether z < 0, and |z|, which has the gradient of z at 0.
fn sign_and_size(z: Expr<'_>) -> (Expr<'_>, Expr<'_>) {
    let is_negative = z.less(0.0);
    (is_negative, is_negative.select(-z, z))
}

/// e^(-z^2 / 2).
fn bell(z: Expr<'_>) -> Expr<'_> {
    (z.square() * -0.5).exp()
}

/// The standard normal distribution function, with relative accuracy in the lower tail: the integral of
/// e^(-t^2 / 2) / sqrt(2 pi) over t from -infinity to z. `f64`, of the shape of `z`. For errors see
/// [`special`](crate::special).
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::special::normal_cdf;
/// let b = Builder::new();
/// b.output("p", normal_cdf(b.input("z", Type::f64([2]))));
/// let p = evaluate(&b.finish()?, &[Tensor::f64([2], [0.0, f64::NEG_INFINITY])?])?;
/// assert_eq!(p, [Tensor::f64([2], [0.5, 0.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn normal_cdf(z: Expr<'_>) -> Expr<'_> {
    let (is_negative, size) = sign_and_size(z.to_f64());
    let tail = bell(size) * scaled_tail(size);
    is_negative.select(tail, 1.0 - tail)
}

/// The logarithm of [`normal_cdf`], with relative accuracy in both tails and down to z = -1e150. `f64`, of the shape of
/// `z`.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::normal_log_cdf;
/// let b = Builder::new();
/// // about -z^2 / 2 - log(-z sqrt(2 pi)), where the probability itself is 0 as a number
/// b.output("y", normal_log_cdf(b.constant_f64(-1000.0)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y + 500_007.826_7).abs() < 1e-3);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn normal_log_cdf(z: Expr<'_>) -> Expr<'_> {
    let (is_negative, size) = sign_and_size(z.to_f64());
    let scaled = scaled_tail(size);
    let tail = bell(size) * scaled;
    // log(1 - tail) from its rounded argument and what that lost
    let rest = 1.0 - tail;
    let upper = rest.log() - (tail - (1.0 - rest));
    is_negative.select(scaled.log() - size.square() * 0.5, upper)
}

/// The z >= 0 beyond which the probability is `tail`, at most 1/2: a rational function of sqrt(-2 log tail) that errs
/// by less than 4.5e-4 (Abramowitz and Stegun 26.2.23, after Hastings 1955).
fn rough_quantile(tail: Expr<'_>) -> Expr<'_> {
    let t = (tail.log() * -2.0).sqrt();
    t - polynomial(t, &[2.515517, 0.802853, 0.010328]) / polynomial(t, &[1.0, 1.432788, 0.189269, 0.001308])
}

/// The z for which [`normal_cdf`] is about p, with an error below 4.5e-4.
pub(super) fn rough_normal_quantile(p: Expr<'_>) -> Expr<'_> {
    let z = rough_quantile(p.min(1.0 - p));
    p.less(0.5).select(-z, z)
}

/// The z for which [`normal_cdf`] of z is p: -infinity at p = 0, 0 at p = 1/2, infinity at p = 1. `f64`, of the shape
/// of `p`. For errors see [`special`](crate::special).
///
/// One step of Householder's method of the fourth order on log Q(z) = log tail, which is nearly quadratic, reduces a
/// rough value's error of 4.5e-4 to 1e-15. The derivatives of log Q are -h, -h' and -h'', with the hazard
/// h = density / Q, of which h' = h (h - z).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::special::normal_quantile;
/// let b = Builder::new();
/// b.output("y", normal_quantile(b.constant_f64(0.975)));
/// let y = evaluate(&b.finish()?, &[])?[0].as_f64().unwrap()[0];
/// assert!((y - 1.959_963_984_540_054).abs() < 4e-15);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn normal_quantile(p: Expr<'_>) -> Expr<'_> {
    let p = p.to_f64();
    let tail = p.min(1.0 - p);
    let is_end = tail.equal(0.0);
    let tail = is_end.select(0.5, tail);
    let z = rough_quantile(tail).stop_gradient();
    let scaled = scaled_tail(z);
    let hazard = 1.0 / (scaled * SQRT_TWO_PI);
    let newton = (scaled.log() - z.square() * 0.5 - tail.log()) / hazard;
    // the second and the third derivative over the first
    let second = hazard - z;
    let third = (second + hazard) * second - 1.0;
    let step = newton * (newton * second * 0.5 + 1.0) / (newton * (second + newton * third / 6.0) + 1.0);
    let z = is_end.select(f64::INFINITY, z + step);
    p.less(0.5).select(-z, z)
}
