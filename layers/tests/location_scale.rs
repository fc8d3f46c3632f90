//! Laplace's, the logistic, Cauchy's law and Student's t: densities, statistics and draws, against f64.

mod common;

use bayeslift_ir::{Builder, Expr, evaluate};
use bayeslift_layers::{
    AffineVariationalReparameterization as Reparameterization, AnyDistribution, Layer, Posterior, Prior,
    distribution::LocationScale,
};
use common::{At, forward, map, normals, run};
use std::f64::consts::PI;

type Make = for<'b> fn(Expr<'b>, Expr<'b>) -> LocationScale<'b>;

/// A law, its standard log density, and the part below x of the standard law.
struct Law {
    name: &'static str,
    make: Make,
    log_density: fn(f64) -> f64,
    below: fn(f64) -> f64,
}

/// Student's t with `$degrees` degrees of freedom.
macro_rules! student_t {
    ($degrees:literal) => {
        |loc, scale| LocationScale::student_t($degrees, loc, scale).unwrap()
    };
}

fn laws() -> Vec<Law> {
    let cauchy = |x: f64| -(x * x).ln_1p() - PI.ln();
    vec![
        Law {
            name: "Laplace",
            make: |loc, scale| LocationScale::laplace(loc, scale),
            log_density: |x| -x.abs() - 2_f64.ln(),
            below: |x| if x < 0.0 { x.exp() / 2.0 } else { 1.0 - (-x).exp() / 2.0 },
        },
        Law {
            name: "Logistic",
            make: |loc, scale| LocationScale::logistic(loc, scale),
            log_density: |x| -x.abs() - 2.0 * (-x.abs()).exp().ln_1p(),
            below: |x| 1.0 / (1.0 + (-x).exp()),
        },
        Law {
            name: "Cauchy",
            make: |loc, scale| LocationScale::cauchy(loc, scale),
            log_density: cauchy,
            below: |x| 0.5 + x.atan() / PI,
        },
        Law { name: "StudentT", make: student_t!(1.0), log_density: cauchy, below: |x| 0.5 + x.atan() / PI },
        Law {
            name: "StudentT",
            make: student_t!(2.0),
            log_density: |x| -1.5 * (x * x / 2.0).ln_1p() - 8_f64.ln() / 2.0,
            below: |x| 0.5 + x / (2.0 * (2.0 + x * x).sqrt()),
        },
        Law {
            name: "StudentT",
            make: student_t!(4.0),
            log_density: |x| -2.5 * (x * x / 4.0).ln_1p() + (3.0 / 8.0_f64).ln(),
            below: |x| {
                let square = x * x / (1.0 + x * x / 4.0);
                0.5 + 0.375 * x / (1.0 + x * x / 4.0).sqrt() * (1.0 - square / 12.0)
            },
        },
        // near the normal law, of which these are the parts below
        Law {
            name: "StudentT",
            make: student_t!(1e6),
            log_density: |x| -500_000.5 * (x * x / 1e6).ln_1p() - (2.0 * PI).ln() / 2.0 - 0.25e-6,
            below: |x| match x {
                -2.0 => 0.022_750_131_948,
                -0.5 => 0.308_537_538_726,
                0.0 => 0.5,
                1.0 => 0.841_344_746_069,
                2.0 => 0.977_249_868_052,
                _ => f64::NAN,
            },
        },
    ]
}

#[test]
fn densities() {
    let mut x: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.1).collect();
    x.extend([1e-30, -1e-3, 30.0, -80.0, 3000.0, -1e5]);
    for Law { name, make, log_density, .. } in laws() {
        let found = map(&x, |x| {
            let law: AnyDistribution<'_> = make(x.builder().constant(0.25), x.builder().constant(2.0)).into();
            assert_eq!(law.family(), name);
            law.log_prob(x)
        });
        for (&x, found) in x.iter().zip(found) {
            let want = log_density((f64::from(x) - 0.25) / 2.0) - 2_f64.ln();
            let error = (f64::from(found) - want).abs();
            assert!(error <= 1e-6 * want.abs().max(1.0), "{name} at {x}: {found}, expected {want}");
        }
        let noise = normals(100, 1);
        let difference = map(&noise, |noise| {
            let (loc, scale) = (noise.builder().constant(0.5), noise.builder().constant(0.25));
            let law = make(loc, scale);
            let draw = bayeslift_layers::Draw { value: loc + scale * noise, noise: Some(noise) };
            law.log_prob_of_draw(&draw) - law.log_prob(draw.value)
        });
        assert!(difference.iter().all(|x| x.abs() <= 2e-6), "{name}: the density of a draw is that of its value");
    }
}

/// Of 40,000 draws the part below some points, within 5 standard errors: 35 numbers, false alarm 2e-5 in all.
#[test]
fn draws() {
    const DRAWS: usize = 40_000;
    for (i, Law { name, make, below, .. }) in laws().into_iter().enumerate() {
        let prior = Prior::new(move |scope, shape| {
            shape.each(scope, |scope, _, _| {
                Ok(make(scope.builder().constant(1.0), scope.builder().constant(0.5)).into())
            })
        });
        let layer = Reparameterization::new(200, DRAWS / 200).use_bias(false).prior_maker(prior);
        let draws = layer.kernel_prior(&layer.initialize(0).unwrap()).sample(3 + i as u64, 1).unwrap();
        let draws = draws.as_f32().unwrap();
        assert!(draws.iter().all(|x| x.is_finite()), "{name}");
        for z in [-2.0, -0.5, 0.0, 1.0, 2.0] {
            let (want, x) = (below(z), (1.0 + 0.5 * z) as f32);
            let found = draws.iter().filter(|&&draw| draw < x).count() as f64 / DRAWS as f64;
            let error = (want * (1.0 - want) / DRAWS as f64).sqrt();
            assert!((found - want).abs() < 5.0 * error, "{name} {i}, below {z}: {found}, expected {want}");
        }
    }
}

#[test]
fn statistics() {
    let with_stddev: [(Make, f32); 3] = [
        (|loc, scale| LocationScale::laplace(loc, scale), 8_f32.sqrt()),
        (|loc, scale| LocationScale::logistic(loc, scale), 2.0 * std::f32::consts::PI / 3_f32.sqrt()),
        (student_t!(4.0), 8_f32.sqrt()),
    ];
    fn law(b: &Builder, make: Make) -> AnyDistribution<'_> {
        make(b.constant(3.0), b.constant(2.0)).into()
    }
    for (make, stddev) in with_stddev {
        let b = Builder::new();
        let law = law(&b, make);
        b.output("mean", law.mean().unwrap());
        b.output("mode", law.mode().unwrap());
        b.output("stddev", law.stddev().unwrap());
        let found = evaluate(&b.finish().unwrap(), &[]).unwrap();
        let [mean, mode, found] = [0, 1, 2].map(|i: usize| found[i].as_f32().unwrap()[0]);
        assert_eq!([mean, mode], [3.0, 3.0]);
        assert!((found - stddev).abs() < 1e-6, "{found}, expected {stddev}");
    }
    let b = Builder::new();
    let error = |found: Result<Expr<'_>, bayeslift_layers::Error>| found.unwrap_err().to_string();
    let cauchy = law(&b, laws()[2].make);
    assert!(cauchy.mode().is_ok());
    assert_eq!(error(cauchy.mean()), "Cauchy has no mean");
    assert_eq!(error(cauchy.stddev()), "Cauchy has no finite standard deviation");
    assert!(law(&b, student_t!(1.0)).mean().is_err() && law(&b, student_t!(1.5)).mean().is_ok());
    assert!(law(&b, student_t!(2.0)).stddev().is_err() && law(&b, student_t!(2.5)).stddev().is_ok());
}

#[test]
fn options_out_of_range() {
    let initialize = |prior: Prior| Reparameterization::new(2, 2).prior_maker(prior).initialize(0);
    for (prior, want) in [
        (Prior::laplace(0.0, 0.0), "Laplace(loc = 0, scale = 0)"),
        (Prior::logistic(f64::NAN, 1.0), "Logistic(loc = NaN, scale = 1)"),
        (Prior::cauchy(0.0, f64::INFINITY), "Cauchy(loc = 0, scale = inf)"),
        (Prior::student_t(3.0, 0.0, -1.0), "StudentT(loc = 0, scale = -1)"),
        (
            Prior::student_t(0.1, 0.0, 1.0),
            "the degrees of freedom of Student's t is 0.1, expected a number from 0.5 to 1e6",
        ),
    ] {
        let found = initialize(prior).unwrap_err().to_string();
        assert!(found.contains(want), "{found}");
    }
    for prior in [Prior::laplace(0.0, 1.0), Prior::student_t(0.5, 0.0, 1.0), Prior::student_t(1e6, 0.0, 1.0)] {
        initialize(prior).unwrap();
    }
}

/// A layer's weights are draws of such a posterior: of 20,000 the parts within its median distance from the location
/// and within a scale, to 5 standard errors.
#[test]
fn posteriors() {
    const UNITS: usize = 20_000;
    let posterior = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            Ok(LocationScale::laplace(loc, scope.builder().constant(0.5)).into())
        })
    });
    let layer = Reparameterization::new(1, UNITS).use_bias(false).posterior_maker(posterior);
    let parameters = layer.initialize(0).unwrap();
    let x = bayeslift_ir::Tensor::f32([1, 1], [1.0]).unwrap();
    let graph = forward(&layer, &parameters, &[1, 1], None);
    let weights = run(&graph, &parameters, &[("x", x)], At { seed: 1, ..At::default() }).remove(0);
    let loc = parameters.get("kernel/loc").unwrap().tensor.as_f32().unwrap();
    for (distance, want) in [(0.5 * 2_f64.ln(), 0.5), (0.5, 1.0 - (-1_f64).exp())] {
        let within = weights.iter().zip(loc).filter(|(w, loc)| f64::from(*w - *loc).abs() < distance).count();
        let (found, error) = (within as f64 / UNITS as f64, (want * (1.0 - want) / UNITS as f64).sqrt());
        assert!((found - want).abs() < 5.0 * error, "within {distance}: {found}, expected {want}");
    }
}
