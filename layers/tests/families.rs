//! Families of single elements: densities, normalization, statistics, draws, gradients, divergences, against formulas
//! and integrals in f64 that share nothing with the library.

#[path = "families/closed_forms.rs"]
mod closed_forms;
mod common;
#[path = "families/horseshoe.rs"]
mod horseshoe;

use bayeslift_ir::{Builder, Elements, Expr, Graph, Shape, Tensor, Type, evaluate, evaluate_f64};
use bayeslift_layers::{
    AnyDistribution, Context, Divergence, Draw, Scope,
    distribution::{
        Beta, Gamma, HalfCauchy, HalfNormal, LocationScale, LogNormal, LogUniform, MixtureOf, Normal, Uniform,
    },
    noise_inputs,
};
use bayeslift_passes::gradients;
use common::integral::integral;
use libm::lgamma;
use std::f64::consts::{LN_2, PI};

type Make = for<'b> fn(&[Expr<'b>]) -> AnyDistribution<'b>;

/// A family with some parameters, and what is true of it.
struct Case {
    name: &'static str,
    make: Make,
    parameters: Vec<f64>,
    log_density: fn(&[f64], f64) -> f64,
    /// An interval with all but 1e-7 of the probability, and where the density has a corner in it.
    ends: [f64; 2],
    corners: Vec<f64>,
    /// Another law of the family, if there is a closed form of the divergence from it.
    prior: Option<Vec<f64>>,
    /// Whether it has these statistics.
    has_mean: bool,
    has_stddev: bool,
}

fn log_normal(x: f64, loc: f64, scale: f64) -> f64 {
    -((x - loc) / scale).powi(2) / 2.0 - scale.ln() - (2.0 * PI).ln() / 2.0
}

fn half_cauchy(x: f64, scale: f64) -> f64 {
    (2.0 / PI).ln() - scale.ln() - (x / scale).powi(2).ln_1p()
}

fn cases() -> Vec<Case> {
    let case = |name, make, parameters: &[f64], prior: &[f64], log_density, ends| Case {
        name,
        make,
        parameters: parameters.to_vec(),
        log_density,
        ends,
        corners: Vec::new(),
        prior: Some(prior.to_vec()),
        has_mean: true,
        has_stddev: true,
    };
    let gamma: Make = |p| Gamma::new(p[0], p[1]).into();
    let of_gamma = |p: &[f64], x: f64| p[0] * p[1].ln() - lgamma(p[0]) + (p[0] - 1.0) * x.ln() - p[1] * x;
    let beta: Make = |p| Beta::new(p[0], p[1]).into();
    let of_beta = |p: &[f64], x: f64| {
        let normalization = lgamma(p[0]) + lgamma(p[1]) - lgamma(p[0] + p[1]);
        (p[0] - 1.0) * x.ln() + (p[1] - 1.0) * (-x).ln_1p() - normalization
    };
    let log_normal_law: Make = |p| LogNormal::new(p[0], p[1]).into();
    let of_log_normal = |p: &[f64], x: f64| log_normal(x.ln(), p[0], p[1]) - x.ln();
    vec![
        case("LogNormal", log_normal_law, &[0.25, 0.5], &[-0.5, 1.25], of_log_normal, [1e-9, 30.0]),
        case(
            "HalfNormal",
            |p| HalfNormal::new(p[0]).into(),
            &[1.75],
            &[0.75],
            |p, x| LN_2 + log_normal(x, 0.0, p[0]),
            [0.0, 12.0],
        ),
        Case {
            has_mean: false,
            has_stddev: false,
            ..case(
                "HalfCauchy",
                |p| HalfCauchy::new(p[0]).into(),
                &[0.75],
                &[2.0],
                |p, x| half_cauchy(x, p[0]),
                [0.0, 5e7],
            )
        },
        case("Gamma", gamma, &[2.5, 1.5], &[4.0, 0.75], of_gamma, [0.0, 25.0]),
        case("Gamma", gamma, &[30.0, 0.5], &[20.0, 0.25], of_gamma, [0.0, 250.0]),
        case("Beta", beta, &[2.5, 4.0], &[1.5, 2.0], of_beta, [0.0, 1.0 - 1e-9]),
        case(
            "Uniform",
            |p| Uniform::new(p[0], p[1]).into(),
            &[-0.5, 1.25],
            &[-1.0, 2.0],
            |p, _| -(p[1] - p[0]).ln(),
            [-0.5, 1.25],
        ),
        Case {
            corners: vec![0.5],
            prior: None,
            ..case(
                "MixtureOf",
                |p| {
                    let components = vec![Normal::new(p[1], p[2]).into(), LocationScale::laplace(p[3], p[4]).into()];
                    MixtureOf::new(p[0].expand(0).pad(0, 1, 0, 0), components).unwrap().into()
                },
                // logits 0 and 1.25
                &[1.25, -2.0, 0.5, 0.5, 0.75],
                &[],
                |p, x| {
                    let second = 1.0 / (1.0 + (-p[0]).exp());
                    let laplace = -((x - p[3]) / p[4]).abs() - (2.0 * p[4]).ln();
                    ((1.0 - second) * log_normal(x, p[1], p[2]).exp() + second * laplace.exp()).ln()
                },
                [-15.0, 15.0],
            )
        },
    ]
}

/// A graph of one case: inputs are the parameters `p0`, .. and what `build` adds.
fn graph(case: &Case, build: impl for<'b> FnOnce(&'b Builder, &[Expr<'b>], AnyDistribution<'b>)) -> Graph {
    let b = Builder::new();
    let parameters: Vec<_> = (0..case.parameters.len()).map(|i| b.input(&format!("p{i}"), Type::f32([]))).collect();
    build(&b, &parameters, (case.make)(&parameters));
    b.finish().unwrap()
}

fn inputs(parameters: &[f64]) -> Vec<Tensor> {
    parameters.iter().map(|&p| Tensor::f32([], [p as f32]).unwrap()).collect()
}

#[test]
fn densities_are_those_of_the_formulas() {
    for case in cases() {
        let [low, high] = case.ends;
        let width = (high - low).min(20.0);
        let x: Vec<f32> = (1..200).map(|i| (low + width * (f64::from(i) / 200.0)) as f32).collect();
        let graph = graph(&case, |b, _, law| {
            assert_eq!(law.family(), case.name);
            b.output("log_prob", law.log_prob(b.input("x", Type::f32([x.len()]))));
        });
        let inputs = [inputs(&case.parameters), vec![Tensor::f32([x.len()], x.clone()).unwrap()]].concat();
        let found = evaluate(&graph, &inputs).unwrap();
        for (&x, &found) in x.iter().zip(found[0].as_f32().unwrap()) {
            let want = (case.log_density)(&case.parameters, x.into());
            let error = (f64::from(found) - want).abs();
            assert!(error <= 2e-6 * want.abs().max(1.0), "{} at {x}: {found}, expected {want}", case.name);
        }
    }
}

/// Outside of the support there is no probability, and no gradient that is not a number.
#[test]
fn densities_end() {
    let outside: [(Make, &[f32]); 6] = [
        (|p| LogNormal::new(p[0], p[1]).into(), &[-1.0, 0.0]),
        (|p| HalfNormal::new(p[1]).into(), &[-1.0]),
        (|p| HalfCauchy::new(p[1]).into(), &[-1.0]),
        (|p| Gamma::new(p[1], p[1]).into(), &[-1.0, 0.0]),
        (|p| Beta::new(p[1], p[1]).into(), &[-0.5, 0.0, 1.0, 1.5]),
        (|p| Uniform::new(p[0], p[1]).into(), &[-0.5, 1.0, 2.0]),
    ];
    for (make, points) in outside {
        let b = Builder::new();
        let law = make(&[b.constant(0.0), b.constant(1.0)]);
        let x = b.input("x", Type::f32([points.len()]));
        let log_prob = law.log_prob(x);
        b.output("log_prob", log_prob);
        b.output("gradient", gradients(log_prob.sum_all(), &[x])[0]);
        let found = evaluate(&b.finish().unwrap(), &[Tensor::f32([points.len()], points).unwrap()]).unwrap();
        assert!(found[0].as_f32().unwrap().iter().all(|&x| x == f32::NEG_INFINITY), "{}: {found:?}", law.family());
        assert!(found[1].as_f32().unwrap().iter().all(|x| x.is_finite()), "{}: {found:?}", law.family());
    }
}

/// An integral under the density of a case. From a limit of 0 it is by x = e^t.
fn expectation(case: &Case, of: impl Fn(f64) -> f64, ends: [f64; 2]) -> f64 {
    let density = |x: f64| (case.log_density)(&case.parameters, x).exp();
    let [low, high] = ends;
    if low == 0.0 {
        let integrand = |t: f64| density(t.exp()) * of(t.exp()) * t.exp();
        return integral(&integrand, -40.0, high.ln(), 1e-11);
    }
    let mut ends = vec![low, high];
    ends.extend(case.corners.iter().filter(|corner| low < **corner && **corner < high));
    ends.sort_by(f64::total_cmp);
    ends.windows(2).map(|ends| integral(&|x| density(x) * of(x), ends[0], ends[1], 1e-11)).sum()
}

#[test]
fn densities_integrate_to_one_and_statistics_are_theirs() {
    for case in cases() {
        let total = expectation(&case, |_| 1.0, case.ends);
        assert!((total - 1.0).abs() < 1e-7, "{}: {total}", case.name);
        let graph = graph(&case, |b, _, law| {
            for (name, value) in [("mean", law.mean()), ("stddev", law.stddev())] {
                if let Ok(value) = value {
                    b.output(name, value);
                }
            }
        });
        let found = evaluate(&graph, &inputs(&case.parameters)).unwrap();
        let names: Vec<&str> = graph.outputs().iter().map(|output| output.name.as_str()).collect();
        let expected: Vec<&str> =
            [("mean", case.has_mean), ("stddev", case.has_stddev)].iter().filter(|x| x.1).map(|x| x.0).collect();
        assert_eq!(names, expected, "{}", case.name);
        if names.is_empty() {
            continue;
        }
        let mean = expectation(&case, |x| x, case.ends);
        let variance = expectation(&case, |x| (x - mean).powi(2), case.ends);
        for (found, want) in found.iter().zip([mean, variance.sqrt()]) {
            let found = f64::from(found.as_f32().unwrap()[0]);
            assert!((found - want).abs() < 3e-6 * want.abs().max(1.0), "{}: {found}, expected {want}", case.name);
        }
    }
}

/// No point near a mode is more probable.
#[test]
fn modes_are_the_most_probable_values() {
    for case in cases() {
        let graph = graph(&case, |b, _, law| {
            if let Ok(mode) = law.mode() {
                b.output("mode", mode);
            }
        });
        let found = evaluate(&graph, &inputs(&case.parameters)).unwrap();
        let Some(mode) = found.first().map(|mode| f64::from(mode.as_f32().unwrap()[0])) else { continue };
        let at = |x: f64| (case.log_density)(&case.parameters, x);
        assert!(at(mode) >= at(mode + 1e-3) && (mode == case.ends[0] || at(mode) >= at(mode - 1e-3)), "{}", case.name);
    }
}

/// Of 40,000 draws the part below some points, within 5 standard errors: some 50 numbers, false alarm 3e-5 in all. And
/// the density that is told of a draw is that of its value.
#[test]
fn draws_have_the_distribution_and_its_density() {
    const DRAWS: usize = 40_000;
    for (seed, case) in cases().into_iter().enumerate() {
        let graph = graph(&case, |b, _, law| {
            let context = Context::new(Scope::describe(b)).noise(noise_inputs(b));
            let draw = law.sample(&context.site("w"), &Shape::new(&[DRAWS])).unwrap();
            b.output("draw", draw.value);
            let of_value = Draw { noise: None, ..draw };
            b.output("difference", law.log_prob_of_draw(&draw) - law.log_prob_of_draw(&of_value));
            b.output("log_prob", law.log_prob(draw.value));
        });
        let noise = [
            Tensor::u32([4], [seed as u32, 0, 0, 0]).unwrap(),
            Tensor::u32([], [0]).unwrap(),
            Tensor::u32([2], [0, 0]).unwrap(),
        ];
        let found = evaluate(&graph, &[inputs(&case.parameters), noise.to_vec()].concat()).unwrap();
        let [draws, differences, log_probs] = [0, 1, 2].map(|i: usize| found[i].as_f32().unwrap());
        // uniform draws may be rounded to an end
        for (difference, log_prob) in differences.iter().zip(log_probs).filter(|(d, _)| d.is_finite()) {
            assert!(difference.abs() <= 2e-5 * log_prob.abs().max(1.0), "{}: {difference}", case.name);
        }
        assert!(differences.iter().filter(|x| !x.is_finite()).count() < 5, "{}", case.name);
        let mut sorted = draws.to_vec();
        sorted.sort_by(f32::total_cmp);
        for part in [0.02, 0.2, 0.5, 0.8, 0.98] {
            let x = sorted[(part * DRAWS as f64) as usize];
            let want = expectation(&case, |_| 1.0, [case.ends[0], x.into()]);
            let error = (want * (1.0 - want) / DRAWS as f64).sqrt();
            assert!((part - want).abs() < 5.0 * error, "{} below {x}: {part}, expected {want}", case.name);
        }
    }
}

/// Of log densities and of draws, in every argument, against central differences in f64.
#[test]
fn gradients_are_those_of_differences() {
    for case in cases() {
        let points = [0.3, 0.7, 0.45];
        let graph = graph(&case, |b, parameters, law| {
            let x = b.input("x", Type::f32([3]));
            let context = Context::new(Scope::describe(b)).noise(noise_inputs(b));
            let draw = law.sample(&context.site("w"), &Shape::new(&[3])).unwrap();
            let loss =
                law.log_prob(x).sum_all() + draw.value.sum_all() * 0.1 + law.log_prob_of_draw(&draw).sum_all() * 0.3;
            b.output("loss", loss);
            let at = [parameters, &[x]].concat();
            for (i, gradient) in gradients(loss, &at).into_iter().enumerate() {
                b.output(&format!("d{i}"), gradient);
            }
        });
        let mut at: Vec<Vec<f64>> = case.parameters.iter().map(|&p| vec![p]).collect();
        at.push(points.to_vec());
        check_gradients(&graph, at, &[vec![7, 0, 3, 0], vec![0], vec![0, 0]], case.name);
    }
}

/// The first output's gradients in the floats `at`, which are the other outputs, by differences in f64.
fn check_gradients(graph: &Graph, mut at: Vec<Vec<f64>>, words: &[Vec<u32>], name: &str) {
    let run = |at: &[Vec<f64>]| {
        let floats = at.iter().cloned().map(Elements::Floats);
        let inputs: Vec<Elements<f64>> = floats.chain(words.iter().cloned().map(Elements::Words)).collect();
        evaluate_f64(graph, &inputs).unwrap()
    };
    let results = run(&at);
    assert_eq!(results.len(), at.len() + 1);
    for i in 0..at.len() {
        for (element, &found) in results[i + 1].floats().unwrap().iter().enumerate() {
            let x = at[i][element];
            let mut moved = |h: f64| {
                at[i][element] = x + h;
                run(&at)[0].floats().unwrap()[0]
            };
            // in digits of a scale, which may be small
            let h = 1e-5 * if x == 0.0 { 1.0 } else { x.abs().min(1.0) };
            let expected = (moved(h) - moved(-h)) / (2.0 * h);
            at[i][element] = x;
            let error = (found - expected).abs();
            assert!(error <= 1e-6 * expected.abs().max(1.0), "{name} d{i}: {found}, expected {expected}");
        }
    }
}

#[test]
fn what_a_family_has_not_is_said() {
    let b = Builder::new();
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
    let law: AnyDistribution<'_> = LogUniform::new(&b).into();
    let error = law.sample(&context.site("w"), &Shape::new(&[2])).unwrap_err().to_string();
    assert_eq!(error, "LogUniform has no draws: its density has no finite integral");
    let error = MixtureOf::new(b.constant(0.0), vec![law]).unwrap_err().to_string();
    assert_eq!(error, "the logits of a mixture has shape [], expected [1], one for each component");
    assert_eq!(Divergence::quadrature().to_string(), "Quadrature { nodes: 8 }");
}
