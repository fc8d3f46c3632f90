//! Ways to compute a divergence: quadrature against adaptive quadrature in f64, choice by variable, closures, Monte
//! Carlo's gradient.

mod common;

use bayeslift_ir::{Builder, Elements, Graph, Shape, Tensor, Type, evaluate, evaluate_f64};
use bayeslift_layers::{
    AffineVariationalReparameterization as Reparameterization, AffineVariationalReparameterizationLocal as Local,
    AnyDistribution, Context, Divergence, Error, Layer, Posterior, Prior, RandomVariable, Scope, Sequential,
    distribution::{BernoulliMask, Deterministic, Gamma, Horseshoe, LocationScale, LogUniform, Mixture, Normal},
    noise_inputs,
};
use bayeslift_passes::gradients;
use common::{integral::normal_mean, noise_count};
use std::f64::consts::{LN_2, PI};

type MakePrior = for<'b> fn(&'b Builder) -> AnyDistribution<'b>;

fn log_normal(x: f64, loc: f64, scale: f64) -> f64 {
    -((x - loc) / scale).powi(2) / 2.0 - scale.ln() - (2.0 * PI).ln() / 2.0
}

fn mixture(x: f64, parts: &[(f64, f64)]) -> f64 {
    let joint = |&(p, scale): &(f64, f64)| f64::ln(p) + log_normal(x, 0.0, scale);
    let largest = parts.iter().map(joint).fold(f64::MIN, f64::max);
    largest + parts.iter().map(|part| (joint(part) - largest).exp()).sum::<f64>().ln()
}

/// A mixture of two around 0.
fn spike_and_slab(b: &Builder, [p, spike, slab]: [f64; 3]) -> AnyDistribution<'_> {
    Mixture::new(vec![(p, Normal::scalar(b, 0.0, spike)), (1.0 - p, Normal::scalar(b, 0.0, slab))]).unwrap().into()
}

/// The divergence of N(loc, scale^2), inputs of the graph, and its gradients.
fn graph(divergence: &Divergence, make: MakePrior) -> Graph {
    let b = Builder::new();
    let [loc, scale] = ["loc", "scale"].map(|name| b.input(name, Type::f32([])));
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let variable = RandomVariable::new("w", Shape::default(), Normal::new(loc, scale), make(&b));
    let kl = divergence.of(&variable.term(&context, None)).unwrap();
    b.output("kl", kl);
    for (i, gradient) in gradients(kl, &[loc, scale]).into_iter().enumerate() {
        b.output(&format!("d{i}"), gradient);
    }
    b.finish().unwrap()
}

fn at(graph: &Graph, loc: f64, scale: f64) -> f64 {
    let mut tensors: Vec<Tensor> = [loc, scale].map(|x| Tensor::f32([], [x as f32]).unwrap()).to_vec();
    tensors.extend([
        Tensor::u32([4], [0, 0, 0, 0]).unwrap(),
        Tensor::u32([], [0]).unwrap(),
        Tensor::u32([2], [0, 0]).unwrap(),
    ]);
    evaluate(graph, &tensors).unwrap()[0].as_f32().unwrap()[0].into()
}

/// In f64: value and gradients.
fn in_f64(graph: &Graph, loc: f64, scale: f64) -> Vec<f64> {
    let mut inputs: Vec<Elements<f64>> = [loc, scale].map(|x| Elements::Floats(vec![x])).to_vec();
    inputs.extend([vec![0; 4], vec![0], vec![0; 2]].map(Elements::Words));
    evaluate_f64(graph, &inputs).unwrap().iter().map(|x| x.floats().unwrap()[0]).collect()
}

fn entropy(scale: f64) -> f64 {
    0.5 + (2.0 * PI).ln() / 2.0 + scale.ln()
}

const DEFAULT: [(f64, f64); 2] = [(0.5, 1.0), (0.5, 2000.0)];

/// The table in the documentation of `Divergence::Quadrature`: the largest error over means, with the default prior.
#[test]
fn errors_of_gauss_hermite_are_those_of_the_table() {
    let table = [
        (3, [1.3e-7, 8e-6, 4e-4, 2e-2, 1.4e-1, 5e-1]),
        (5, [1e-7, 1e-7, 8e-6, 3e-3, 5e-2, 2.5e-1]),
        (8, [1e-7, 1e-7, 1.5e-7, 4e-4, 1.5e-2, 1e-1]),
        (16, [1e-7, 1e-7, 1e-7, 7e-6, 2e-3, 3e-2]),
        (32, [1e-7, 1e-7, 1e-7, 1.5e-7, 8e-5, 6e-3]),
        (48, [1e-7, 1e-7, 1e-7, 1e-7, 9e-6, 2e-3]),
    ];
    for (nodes, bounds) in table {
        let graph = graph(&Divergence::Quadrature { nodes }, |b| Mixture::spike_and_slab(b).into());
        for (scale, bound) in [0.05, 0.1, 0.2, 0.5, 1.0, 2.0].into_iter().zip(bounds) {
            let errors = (0..=20).map(|i| {
                let loc = f64::from(i) * 0.4;
                let mean = normal_mean(&|x| mixture(x, &DEFAULT), loc, scale, &[]);
                (in_f64(&graph, loc, scale)[0] - (-entropy(scale) - mean)).abs()
            });
            // nodes and weights are rounded to f32, of log densities up to 9
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= bound + 1e-6, "{nodes} nodes, scale {scale}: {worst}");
            assert!(
                bound < 1e-6 || worst > bound / 3.0,
                "{nodes} nodes, scale {scale}: {worst} is far better than told"
            );
        }
    }
}

/// Priors with corners, spikes and poles, under posteriors on both sides of their scales.
#[test]
fn quadrature_is_the_integral() {
    type Density = fn(f64) -> f64;
    let horseshoe: Density = |x| {
        // e^y E1(y) by the integral of e^(-y s) / (1 + s) over s > 0, with s = e^t
        let y = (x / 0.5).powi(2) / 2.0;
        let integrand = |t: f64| (-y * t.exp()).exp() / (1.0 + (-t).exp());
        let integral = common::integral::integral(&integrand, -40.0, (745.0 / y.max(1e-300)).ln().min(690.0), 1e-9);
        integral.ln() - 0.5_f64.ln() - (2.0 * PI.powi(3)).ln() / 2.0
    };
    let cases: [(&str, MakePrior, Density, &[f64], bool); 9] = [
        ("default", |b| Mixture::spike_and_slab(b).into(), |x| mixture(x, &DEFAULT), &[], true),
        (
            "a narrow spike",
            |b| spike_and_slab(b, [0.5, 0.0025, 1.0]),
            |x| mixture(x, &[(0.5, 0.0025), (0.5, 1.0)]),
            &[-0.008_654, 0.008_654],
            false,
        ),
        (
            "Blundell's spike",
            |b| spike_and_slab(b, [0.75, 0.000_911_882, 1.0]),
            |x| mixture(x, &[(0.75, 0.000_911_882), (0.25, 1.0)]),
            &[-0.003_7, 0.003_7],
            false,
        ),
        ("normal", |b| Normal::scalar(b, 0.5, 0.25).into(), |x| log_normal(x, 0.5, 0.25), &[], false),
        (
            "Laplace",
            |b| LocationScale::laplace(b.constant(0.25), b.constant(0.5)).into(),
            |x| -((x - 0.25) / 0.5).abs() - 1_f64.ln(),
            &[0.25],
            false,
        ),
        (
            "Cauchy",
            |b| LocationScale::cauchy(b.constant(0.0), b.constant(0.01)).into(),
            |x| -(x / 0.01).powi(2).ln_1p() - (PI * 0.01).ln(),
            &[0.0],
            false,
        ),
        (
            "logistic",
            |b| LocationScale::logistic(b.constant(0.0), b.constant(0.05)).into(),
            |x| -(x / 0.05).abs() - 2.0 * (-(x / 0.05).abs()).exp().ln_1p() - 0.05_f64.ln(),
            &[0.0],
            false,
        ),
        (
            "log-uniform",
            |b| LogUniform::new(b).into(),
            |x| -x.abs().max(1e-30).ln(),
            &[-1.0, -1e-1, -1e-2, -1e-3, -1e-5, 0.0, 1e-5, 1e-3, 1e-2, 1e-1, 1.0],
            false,
        ),
        (
            "horseshoe",
            |b| Horseshoe::new(b.constant(0.5)).into(),
            horseshoe,
            &[-0.5, -1e-1, -1e-2, -1e-4, 0.0, 1e-4, 1e-2, 1e-1, 0.5],
            false,
        ),
    ];
    for (name, make, log_density, corners, is_smooth) in cases {
        let graph = graph(&Divergence::Quadrature { nodes: 48 }, make);
        for scale in [0.001, 0.03, 0.1, 0.3, 1.0] {
            for loc in [0.0, 0.004, 0.1, -0.3, 1.0] {
                let mean = match name {
                    // an integral in an integral
                    "horseshoe" if scale != 0.1 => continue,
                    _ => normal_mean(&log_density, loc, scale, corners),
                };
                let want = -entropy(scale) - mean;
                let found = at(&graph, loc, scale);
                // of two parts that cancel, of which each has the digits of f32
                let size = mean.abs().max(entropy(scale).abs()).max(want.abs()).max(1.0);
                let bound = if is_smooth && scale == 1.0 { 1e-5 } else { 2e-6 * size };
                assert!((found - want).abs() < bound, "{name}, N({loc}, {scale}^2): {found}, expected {want}");
            }
        }
    }
}

#[test]
fn gradients_of_quadrature_are_those_of_differences() {
    let priors: [MakePrior; 4] = [
        |b| Mixture::spike_and_slab(b).into(),
        |b| spike_and_slab(b, [0.5, 0.01, 1.0]),
        |b| LocationScale::laplace(b.constant(0.25), b.constant(0.5)).into(),
        |b| LogUniform::new(b).into(),
    ];
    for make in priors {
        let graph = graph(&Divergence::Quadrature { nodes: 8 }, make);
        for (loc, scale) in [(0.02, 0.1), (0.3, 0.05), (-1.0, 0.4)] {
            let found = in_f64(&graph, loc, scale);
            let h = 1e-6;
            let of = |dl: f64, ds: f64| in_f64(&graph, loc + dl, scale + ds)[0];
            let expected = [(of(h, 0.0) - of(-h, 0.0)) / (2.0 * h), (of(0.0, h) - of(0.0, -h)) / (2.0 * h)];
            for (found, expected) in found[1..].iter().zip(expected) {
                assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
            }
        }
    }
}

/// A network with a prior of each layer.
fn network(priors: [Prior; 2]) -> Sequential {
    let [first, second] = priors;
    Sequential::new().layer(Local::new(3, 2).prior_maker(first)).layer(Local::new(2, 2).prior_maker(second))
}

fn methods(network: &dyn Layer, divergence: &Divergence) -> Result<(Vec<String>, usize), Error> {
    let parameters = network.initialize(0).unwrap();
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
    let call = network.call(&context, b.input("x", Type::f32([4, 3]))).unwrap();
    let before = noise_count(&b.graph());
    let divergences = call.divergences(divergence)?;
    let noise = noise_count(&b.graph()) - before;
    Ok((divergences.iter().map(|one| format!("{} by {}", one.path, one.method)).collect(), noise))
}

/// One layer with a prior that has no closed form does not forbid it for others.
#[test]
fn each_variable_takes_the_first_that_has_an_answer() {
    let layers = network([Prior::spike_and_slab(), Prior::normal(0.0, 1.0)]);
    let divergence = Divergence::Exact.or(Divergence::Quadrature { nodes: 5 });
    let (found, noise) = methods(&layers, &divergence).unwrap();
    let quadrature = "Quadrature { nodes: 5 }";
    let expected = [
        format!("affine/kernel by {quadrature}"),
        format!("affine/bias by {quadrature}"),
        "affine_1/kernel by Exact".to_owned(),
        "affine_1/bias by Exact".to_owned(),
    ];
    assert_eq!(found, expected);
    assert_eq!(noise, 0);
    let (found, noise) = methods(&layers, &Divergence::Exact.or(Divergence::default())).unwrap();
    assert_eq!(found[0], "affine/kernel by MonteCarlo { draws: 1 }");
    assert_eq!(noise, 2, "what has a closed form draws nothing");

    let error = methods(&layers, &Divergence::Exact).unwrap_err().to_string();
    assert_eq!(
        error,
        "the divergence of Normal from Mixture at `affine/kernel` has no closed form; say what to take then, as \
         Divergence::Exact.or(Divergence::quadrature()), or use Divergence::MonteCarlo"
    );
    let none = Divergence::custom("never", |_| Ok(None));
    let error = methods(&layers, &none.clone().or(Divergence::Exact)).unwrap_err().to_string();
    assert!(error.contains("at `affine/kernel` is not computed by never, or Exact; say"), "{error}");
    let error = methods(&layers, &Divergence::Quadrature { nodes: 0 }).unwrap_err().to_string();
    assert!(error.contains("Divergence::Quadrature is 0, expected a number from 1 to 64"), "{error}");
    let error = methods(&layers, &Divergence::custom("elements", |term| Ok(Some(term.posterior.mean()?)))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the divergence `elements` of `affine/kernel` has shape [3,2], expected [], a sum over all elements"
    );
    assert_eq!(none.clone(), none);
    assert_ne!(Divergence::custom("never", |_| Ok(None)), none);
}

/// A pair of families that a user knows: the exponential posterior and the half-normal prior.
#[test]
fn pairs_are_registered_by_closures() {
    let pair = Divergence::custom("laplace from normal", |term| {
        let (q, Some(p)) = (term.posterior.parameters(), term.prior.as_normal()) else { return Ok(None) };
        if term.posterior.family() != "Laplace" {
            return Ok(None);
        }
        let (loc, scale) = (q[0].1, q[1].1);
        let of_prior = (scale.square() * 2.0 + (loc - p.loc).square()) / p.scale.square() * 0.5 + p.scale.log();
        let element = of_prior + (0.5 * (2.0 * PI).ln() - 1.0 - LN_2) as f32 - scale.log();
        Ok(Some(element.broadcast(&term.shape).sum_all()))
    });
    let b = Builder::new();
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let law = LocationScale::laplace(b.constant(0.25), b.constant(0.5));
    let variable = RandomVariable::new("w", [2], law, Normal::scalar(&b, -1.0, 2.0));
    let term = variable.term(&context, None);
    b.output("kl", pair.clone().or(Divergence::Exact).of(&term).unwrap());
    let draws = Divergence::MonteCarlo { draws: 20_000 }.of(&term).unwrap();
    b.output("draws", draws);
    let noise =
        [Tensor::u32([4], [5, 0, 0, 0]).unwrap(), Tensor::u32([], [0]).unwrap(), Tensor::u32([2], [0, 0]).unwrap()];
    let found = evaluate(&b.finish().unwrap(), &noise).unwrap();
    let [exact, draws] = [0, 1].map(|i: usize| f64::from(found[i].as_f32().unwrap()[0]));
    let density = |x: f64| -((x - 0.25) / 0.5).abs();
    let integrand = |x: f64| density(x).exp() * (density(x) - log_normal(x, -1.0, 2.0));
    let integral = |a, b| common::integral::integral(&integrand, a, b, 1e-11);
    let want = 2.0 * (integral(-20.0, 0.25) + integral(0.25, 20.0));
    assert!((exact - want).abs() < 1e-6, "{exact}, expected {want}");
    // the standard deviation of two elements' difference of log densities is below 2
    assert!((draws - want).abs() < 5.0 * 2.0 / 20_000_f64.sqrt(), "{draws}, expected {want}");
}

/// Points and masks: minus the prior's log probability, less entropies.
#[test]
fn divergences_of_points() {
    let b = Builder::new();
    let prior: AnyDistribution<'_> = Normal::scalar(&b, 0.0, 2.0).into();
    let point: AnyDistribution<'_> = Deterministic::new(b.constant(1.5)).into();
    let mask: AnyDistribution<'_> = BernoulliMask::new(b.constant(1.5), b.constant(0.25)).into();
    let shape = Shape::new(&[3]);
    b.output("point", bayeslift_layers::exact(&point, &prior, &shape).unwrap());
    b.output("mask", bayeslift_layers::exact(&mask, &prior, &shape).unwrap());
    b.output("mean", mask.mean().unwrap());
    b.output("stddev", mask.stddev().unwrap());
    let gamma: AnyDistribution<'_> = Gamma::new(b.constant(1.0), b.constant(1.0)).into();
    assert!(bayeslift_layers::exact(&gamma, &prior, &shape).is_none());
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let draw = mask.sample(&context.site("w"), &Shape::new(&[20_000])).unwrap();
    b.output("draws", draw.value);
    b.output("log_prob", mask.log_prob_of_draw(&draw));
    let noise =
        [Tensor::u32([4], [6, 0, 0, 0]).unwrap(), Tensor::u32([], [0]).unwrap(), Tensor::u32([2], [0, 0]).unwrap()];
    let found = evaluate(&b.finish().unwrap(), &noise).unwrap();
    let value = |i: usize| f64::from(found[i].as_f32().unwrap()[0]);
    assert!((value(0) + 3.0 * log_normal(1.5, 0.0, 2.0)).abs() < 1e-5);
    let entropy = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
    let of_mask = -0.25 * log_normal(1.5, 0.0, 2.0) - 0.75 * log_normal(0.0, 0.0, 2.0) - entropy;
    assert!((value(1) - 3.0 * of_mask).abs() < 1e-5);
    assert!((value(2) - 0.375).abs() < 1e-7 && (value(3) - 1.5 * 0.1875_f64.sqrt()).abs() < 1e-6);
    let (draws, log_probs) = (found[4].as_f32().unwrap(), found[5].as_f32().unwrap());
    assert!(draws.iter().all(|&x| x == 0.0 || x == 1.5));
    let kept = draws.iter().filter(|&&x| x == 1.5).count() as f64 / 20_000.0;
    assert!((kept - 0.25).abs() < 5.0 * (0.1875 / 20_000.0_f64).sqrt(), "{kept}");
    for (draw, log_prob) in draws.iter().zip(log_probs) {
        let want = if *draw == 0.0 { 0.75_f32.ln() } else { 0.25_f32.ln() };
        assert!((log_prob - want).abs() < 1e-6);
    }
}

/// Layers that need independent normal weights say why they take no mask.
#[test]
fn local_layers_refuse_masks() {
    let posterior = || {
        Posterior::new(|scope, shape| {
            shape.each(scope, |scope, shape, initializer| {
                let loc = scope.parameter("loc", shape, initializer)?;
                Ok(BernoulliMask::new(loc, scope.builder().constant(0.5)).into())
            })
        })
    };
    let call = |layer: &dyn Layer| {
        let parameters = layer.initialize(0).unwrap();
        let b = Builder::new();
        let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
        layer.call(&context, b.input("x", Type::f32([4, 3]))).map(|_| ())
    };
    call(&Reparameterization::new(3, 2).posterior_maker(posterior())).unwrap();
    let error = call(&Local::new(3, 2).posterior_maker(posterior())).unwrap_err().to_string();
    assert_eq!(
        error,
        "in layer `affine`: the posterior of a local layer's kernel is BernoulliMask, expected Normal; layers with plain \
         reparameterization take any"
    );
}

/// What draws add to the gradient of a divergence, and quadrature does not: of a weight with scale 0.05 and the default
/// prior the variance of d KL / d loc, times the number of draws.
#[test]
fn quadrature_has_the_mean_of_the_gradients_of_draws() {
    const DRAWS: usize = 4096;
    let b = Builder::new();
    let [loc, scale] = ["loc", "scale"].map(|name| b.input(name, Type::f32([DRAWS])));
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let term = RandomVariable::new("w", [DRAWS], Normal::new(loc, scale), Mixture::spike_and_slab(&b));
    let term = term.term(&context, None);
    for (name, divergence) in [("draws", Divergence::default()), ("quadrature", Divergence::Quadrature { nodes: 5 })] {
        let kl = divergence.of(&term).unwrap();
        for (of, gradient) in ["loc", "scale"].iter().zip(gradients(kl, &[loc, scale])) {
            b.output(&format!("{name}/{of}"), gradient);
        }
    }
    let same = |x: f32| Tensor::f32([DRAWS], vec![x; DRAWS]).unwrap();
    let inputs = [
        same(0.3),
        same(0.05),
        Tensor::u32([4], [5, 0, 0, 0]).unwrap(),
        Tensor::u32([], [0]).unwrap(),
        Tensor::u32([2], [0, 0]).unwrap(),
    ];
    let found = evaluate(&b.finish().unwrap(), &inputs).unwrap();
    for of in [0, 1] {
        let [draws, exact] = [of, of + 2].map(|i: usize| found[i].as_f32().unwrap());
        let exact = f64::from(exact[0]);
        let mean = draws.iter().map(|&x| f64::from(x)).sum::<f64>() / DRAWS as f64;
        let variance = draws.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / (DRAWS - 1) as f64;
        assert!(variance > 0.0);
        assert!((mean - exact).abs() < 5.0 * (variance / DRAWS as f64).sqrt(), "{mean}, expected {exact}");
    }
}
