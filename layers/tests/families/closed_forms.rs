//! Closed forms of divergences against integrals.

use super::{
    cases, check_gradients,
    common::integral::{integral, normal_mean},
    expectation, graph, half_cauchy, inputs,
};
use bayeslift_ir::{Builder, Expr, Graph, Shape, Tensor, Type, evaluate};
use bayeslift_layers::{
    distribution::{LocationScale, LogUniform, Normal},
    exact,
};
use bayeslift_passes::gradients;
use std::f64::consts::{LN_2, PI};

/// Of a divergence in these parameters.
fn check_gradients_at(graph: &Graph, at: &[f64], name: &str) {
    check_gradients(graph, at.iter().map(|&x| vec![x]).collect(), &[], name);
}

/// The closed form of a pair of one family, and its gradient.
#[test]
fn closed_forms_of_divergences_are_integrals() {
    for case in cases() {
        let Some(prior) = case.prior.clone() else {
            let graph = Builder::new();
            let parameters: Vec<_> = case.parameters.iter().map(|&p| graph.constant(p)).collect();
            let [q, p] = [(); 2].map(|()| (case.make)(&parameters));
            assert!(exact(&q, &p, &Shape::default()).is_none(), "{} has a closed form that is not tested", case.name);
            continue;
        };
        let want =
            expectation(&case, |x| (case.log_density)(&case.parameters, x) - (case.log_density)(&prior, x), case.ends);
        let graph = graph(&case, |b, parameters, law| {
            let of_prior: Vec<_> = (0..prior.len()).map(|i| b.input(&format!("q{i}"), Type::f32([]))).collect();
            let kl = exact(&law, &(case.make)(&of_prior), &Shape::default()).unwrap();
            b.output("kl", kl);
            for (i, gradient) in gradients(kl, &[parameters, &of_prior].concat()).into_iter().enumerate() {
                b.output(&format!("d{i}"), gradient);
            }
        });
        let tensors = [inputs(&case.parameters), inputs(&prior)].concat();
        let found = f64::from(evaluate(&graph, &tensors).unwrap()[0].as_f32().unwrap()[0]);
        assert!((found - want).abs() < 3e-6 * want.max(1.0), "{}: {found}, expected {want}", case.name);
        check_gradients_at(&graph, &[&case.parameters[..], &prior].concat(), case.name);
    }
}

/// Between laws with heavy tails, by integrals over an angle.
#[test]
fn closed_forms_of_location_scale_laws_are_integrals() {
    type Law = for<'b> fn(Expr<'b>, Expr<'b>) -> LocationScale<'b>;
    let laplace = |x: f64, loc: f64, scale: f64| -((x - loc) / scale).abs() - (2.0 * scale).ln();
    let cauchy = |x: f64, loc: f64, scale: f64| half_cauchy(x - loc, scale) - LN_2;
    type Density = fn(f64, f64, f64) -> f64;
    let laws: [(Law, Density); 2] = [
        (|loc, scale| LocationScale::laplace(loc, scale), laplace),
        (|loc, scale| LocationScale::cauchy(loc, scale), cauchy),
    ];
    for (make, log_density) in laws {
        for at in [[0.25, 0.5, -1.0, 2.0], [0.0, 1e-3, 0.25, 1.0], [1.0, 1.0, 1.0, 1.001], [0.5, 2.0, -0.5, 0.5]] {
            let [loc, scale, prior_loc, prior_scale] = at;
            let integrand = |angle: f64| {
                let x = loc + scale * angle.tan();
                let p = log_density(x, loc, scale);
                p.exp() * (p - log_density(x, prior_loc, prior_scale)) * scale / angle.cos().powi(2)
            };
            let mut ends = [-PI / 2.0 + 1e-9, 0.0, ((prior_loc - loc) / scale).atan(), PI / 2.0 - 1e-9];
            ends.sort_by(f64::total_cmp);
            let want: f64 = ends.windows(2).map(|ends| integral(&integrand, ends[0], ends[1], 1e-10)).sum();
            let b = Builder::new();
            let parameters: Vec<_> = (0..4).map(|i| b.input(&format!("p{i}"), Type::f32([]))).collect();
            let [q, p] = [0, 2].map(|i| make(parameters[i], parameters[i + 1]).into());
            let kl = exact(&q, &p, &Shape::default()).unwrap();
            b.output("kl", kl);
            for (i, gradient) in gradients(kl, &parameters).into_iter().enumerate() {
                b.output(&format!("d{i}"), gradient);
            }
            let graph = b.finish().unwrap();
            let tensors = at.map(|x| Tensor::f32([], [x as f32]).unwrap());
            let found = f64::from(evaluate(&graph, &tensors).unwrap()[0].as_f32().unwrap()[0]);
            assert!((found - want).abs() < 1e-6 * want.max(0.5), "{at:?}: {found}, expected {want}");
            check_gradients_at(&graph, &at, "a pair");
        }
    }
}

/// The approximation of the divergence from the log-uniform prior is near the integral, less its limit for small means;
/// it falls with scale / |mean| alone.
#[test]
fn divergence_from_the_log_uniform_prior() {
    let graph = {
        let b = Builder::new();
        let [loc, scale] = ["loc", "scale"].map(|name| b.input(name, Type::f32([])));
        let kl = exact(&Normal::new(loc, scale).into(), &LogUniform::new(&b).into(), &Shape::default()).unwrap();
        b.output("kl", kl);
        for (i, gradient) in gradients(kl, &[loc, scale]).into_iter().enumerate() {
            b.output(&format!("d{i}"), gradient);
        }
        b.finish().unwrap()
    };
    let at = |loc: f64, scale: f64| {
        let tensors = [loc, scale].map(|x| Tensor::f32([], [x as f32]).unwrap());
        evaluate(&graph, &tensors).unwrap().iter().map(|x| f64::from(x.as_f32().unwrap()[0])).collect::<Vec<_>>()
    };
    // the mean of log |z| is -(Euler's constant + log 2) / 2
    let limit = -0.5 - (2.0 * PI).ln() / 2.0 - (0.577_215_664_901_532_9 + LN_2) / 2.0;
    let mut worst = 0.0_f64;
    for i in -24..=24 {
        let scale = 10_f64.powf(f64::from(i) / 12.0);
        let near: Vec<f64> = (0..9).map(|k| 10_f64.powi(-k)).flat_map(|x| [-x, x]).chain([0.0]).collect();
        let mean = normal_mean(&|x| x.abs().max(1e-300).ln(), 1.0, scale, &near);
        let want = -0.5 - (2.0 * PI).ln() / 2.0 - scale.ln() + mean - limit;
        let found = at(1.0, scale)[0];
        assert!((found - at(-0.01, 0.01 * scale)[0]).abs() < 2e-5, "it depends on the ratio alone");
        worst = worst.max((found - want).abs());
    }
    assert!((0.005..0.01).contains(&worst), "{worst}");
    assert!(at(0.0, 1e-3).iter().all(|x| x.is_finite()) && at(0.0, 1e-3)[0].abs() < 1e-6);
    check_gradients_at(&graph, &[0.3, 0.2], "log-uniform");
    check_gradients_at(&graph, &[-0.05, 0.2], "log-uniform");
}
