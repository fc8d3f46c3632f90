//! The horseshoe, whose density is an integral itself.

use super::common::{
    integral::{integral, normal_mean},
    map,
};
use bayeslift_ir::{Builder, Shape, Tensor, evaluate};
use bayeslift_layers::{AnyDistribution, Context, Distribution, Scope, distribution::Horseshoe, noise_inputs};
use std::f64::consts::PI;

/// The horseshoe's density as the integral over its scales: c of the half-Cauchy law, by c = tan(angle).
fn log_density(x: f64, scale: f64) -> f64 {
    let z = x / scale;
    let integrand = |angle: f64| {
        let c: f64 = angle.tan();
        if c == 0.0 { 0.0 } else { (-(z / c).powi(2) / 2.0).exp() / c * 2.0 / PI / (2.0 * PI).sqrt() }
    };
    (integral(&integrand, 0.0, PI / 2.0, 1e-12) / scale).ln()
}

/// The horseshoe's density near 0, in its tails, and against the integral over its scales.
#[test]
fn density_of_the_horseshoe() {
    let x: Vec<f32> = vec![1e-6, 1e-3, -0.1, 0.5, 0.7, 0.704, 0.71, 1.0, -3.0, 10.0, 300.0];
    let found = map(&x, |x| Distribution::log_prob(&Horseshoe::new(x.builder().constant(0.5)), x));
    for (&x, found) in x.iter().zip(found) {
        let want = log_density(x.into(), 0.5);
        assert!((f64::from(found) - want).abs() < 2e-6 * want.abs().max(1.0), "{x}: {found}, expected {want}");
    }
}

/// Of 40,000 draws the part below some sizes, within 5 standard errors.
#[test]
fn draws_of_the_horseshoe() {
    const DRAWS: usize = 40_000;
    let b = Builder::new();
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let law: AnyDistribution<'_> = Horseshoe::new(b.constant(0.5)).into();
    b.output("draws", law.sample(&context.site("w"), &Shape::new(&[DRAWS])).unwrap().value);
    let noise =
        [Tensor::u32([4], [11, 0, 0, 0]).unwrap(), Tensor::u32([], [0]).unwrap(), Tensor::u32([2], [0, 0]).unwrap()];
    let draws = evaluate(&b.finish().unwrap(), &noise).unwrap();
    let draws = draws[0].as_f32().unwrap();
    for size in [0.01, 0.1, 0.5, 2.0, 10.0] {
        // P(|c z| < y) is the mean over z of 2 / pi atan(y / |z|)
        let y = size / 0.5;
        let of_z = |z: f64| 2.0 / PI * (y / z.abs()).atan();
        let want = normal_mean(&of_z, 0.0, 1.0, &[0.0]);
        let found = draws.iter().filter(|draw| f64::from(draw.abs()) < size).count() as f64 / DRAWS as f64;
        let error = (want * (1.0 - want) / DRAWS as f64).sqrt();
        assert!((found - want).abs() < 5.0 * error, "below {size}: {found}, expected {want}");
    }
    let negative = draws.iter().filter(|&&draw| draw < 0.0).count() as f64 / DRAWS as f64;
    assert!((negative - 0.5).abs() < 5.0 * 0.5 / (DRAWS as f64).sqrt(), "{negative}");
}
