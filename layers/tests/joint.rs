//! Distributions of whole tensors, and joint posteriors of kernel and bias.

mod common;

use bayeslift_ir::{Builder, Elements, Expr, Graph, Shape, Tensor, Type, evaluate, evaluate_f64};
use bayeslift_layers::{
    AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization,
    AffineVariationalReparameterizationLocal as Local, AnyDistribution, Context, Distribution, Divergence, Draw,
    Initializer, Layer, Posterior, PosteriorValue, Prior, Scope,
    distribution::{Beta, Dirichlet, LocationScale, MatrixNormal, MultivariateNormal, Normal, lower_triangular},
    exact, noise_inputs,
};
use bayeslift_passes::gradients;
use common::{At, run};
use std::f64::consts::PI;

const N: usize = 4;

/// A lower-triangular scale whose rows depend on each other.
fn triangle(n: usize, of: f64) -> Vec<f64> {
    (0..n * n)
        .map(|i| {
            let (row, column) = (i / n, i % n);
            match column.cmp(&row) {
                std::cmp::Ordering::Less => 0.25 * ((i + 1) as f64 * of).sin(),
                std::cmp::Ordering::Equal => 0.5 + 0.25 * ((i as f64) * of).cos(),
                std::cmp::Ordering::Greater => 0.0,
            }
        })
        .collect()
}

/// A matrix [n, m], row after row.
type Matrix = Vec<Vec<f64>>;

fn rows(x: &[f64], m: usize) -> Matrix {
    x.chunks(m).map(<[f64]>::to_vec).collect()
}

fn product_with_transpose(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().map(|a| b.iter().map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect()).collect()
}

/// log det and the solution of C x = b, by Gaussian elimination with pivots.
fn solve(mut c: Matrix, mut b: Vec<f64>) -> (f64, Vec<f64>) {
    let n = c.len();
    let mut log_det = 0.0;
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| c[p][i].abs().total_cmp(&c[q][i].abs())).unwrap();
        c.swap(i, pivot);
        b.swap(i, pivot);
        log_det += c[i][i].abs().ln();
        let (above, right) = (c[i].clone(), b[i]);
        for row in i + 1..n {
            let factor = c[row][i] / above[i];
            c[row].iter_mut().zip(&above).skip(i).for_each(|(x, above)| *x -= factor * above);
            b[row] -= factor * right;
        }
    }
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| c[i][j] * b[j]).sum();
        b[i] = (b[i] - rest) / c[i][i];
    }
    (log_det, b)
}

/// log N(x; loc, C).
fn log_normal(x: &[f64], loc: &[f64], c: &Matrix) -> f64 {
    let d: Vec<f64> = x.iter().zip(loc).map(|(x, loc)| x - loc).collect();
    let (log_det, solved) = solve(c.clone(), d.clone());
    let squared: f64 = d.iter().zip(solved).map(|(a, b)| a * b).sum();
    -0.5 * (squared + log_det + d.len() as f64 * (2.0 * PI).ln())
}

/// KL between normal distributions, with inverses column by column.
fn kl(loc: &[f64], c: &Matrix, prior_loc: &[f64], prior: &Matrix) -> f64 {
    let n = loc.len();
    let trace: f64 = (0..n).map(|j| solve(prior.clone(), c.iter().map(|row| row[j]).collect()).1[j]).sum();
    let d: Vec<f64> = loc.iter().zip(prior_loc).map(|(a, b)| a - b).collect();
    let (prior_log_det, solved) = solve(prior.clone(), d.clone());
    let squared: f64 = d.iter().zip(solved).map(|(a, b)| a * b).sum();
    0.5 * (trace + squared - n as f64 + prior_log_det - solve(c.clone(), vec![0.0; n]).0)
}

type Make = for<'b> fn(&[Expr<'b>]) -> AnyDistribution<'b>;

/// A law of four numbers `[2, 2]` by its inputs, their values, its mean and its covariance.
struct Case {
    name: &'static str,
    make: Make,
    inputs: Vec<(Shape, Vec<f64>)>,
    covariance: Matrix,
}

const LOC: [f64; N] = [0.25, -0.5, 1.0, 0.125];

fn cases() -> Vec<Case> {
    let loc = || (Shape::new(&[2, 2]), LOC.to_vec());
    let scale = triangle(N, 1.0);
    let factor: Vec<f64> = (0..2 * N).map(|i| 0.5 * ((i + 2) as f64).sin()).collect();
    let diagonal = vec![0.5, 0.25, 0.75, 0.375];
    let mut of_low_rank = product_with_transpose(&rows(&factor, 2), &rows(&factor, 2));
    diagonal.iter().enumerate().for_each(|(i, d)| of_low_rank[i][i] += d * d);
    let (a, b) = (triangle(2, 0.5), triangle(2, 2.0));
    let [of_rows, of_columns] = [&a, &b].map(|x| product_with_transpose(&rows(x, 2), &rows(x, 2)));
    let kronecker = |i: usize, j: usize| of_rows[i / 2][j / 2] * of_columns[i % 2][j % 2];
    vec![
        Case {
            name: "MultivariateNormal",
            make: |p| MultivariateNormal::new(p[0], p[1]).unwrap().into(),
            covariance: product_with_transpose(&rows(&scale, N), &rows(&scale, N)),
            inputs: vec![loc(), (Shape::new(&[N, N]), scale)],
        },
        Case {
            name: "MultivariateNormal",
            make: |p| MultivariateNormal::low_rank(p[0], p[1], p[2]).unwrap().into(),
            covariance: of_low_rank,
            inputs: vec![loc(), (Shape::new(&[2, 2]), diagonal), (Shape::new(&[N, 2]), factor)],
        },
        Case {
            name: "MatrixNormal",
            make: |p| MatrixNormal::new(p[0], p[1], p[2]).unwrap().into(),
            covariance: (0..N).map(|i| (0..N).map(|j| kronecker(i, j)).collect()).collect(),
            inputs: vec![loc(), (Shape::new(&[2, 2]), a), (Shape::new(&[2, 2]), b)],
        },
    ]
}

fn graph(case: &Case, build: impl for<'b> FnOnce(&'b Builder, &[Expr<'b>], AnyDistribution<'b>)) -> Graph {
    let b = Builder::new();
    let inputs: Vec<_> = case
        .inputs
        .iter()
        .enumerate()
        .map(|(i, (shape, _))| b.input(&format!("p{i}"), Type::f32(shape.clone())))
        .collect();
    build(&b, &inputs, (case.make)(&inputs));
    b.finish().unwrap()
}

fn inputs(case: &Case) -> Vec<Tensor> {
    let tensor = |(shape, values): &(Shape, Vec<f64>)| {
        Tensor::f32(shape.clone(), values.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap()
    };
    case.inputs.iter().map(tensor).collect()
}

fn noise(seed: u32) -> [Tensor; 3] {
    [Tensor::u32([4], [seed, 0, 0, 0]).unwrap(), Tensor::u32([], [0]).unwrap(), Tensor::u32([2], [0, 0]).unwrap()]
}

#[test]
fn densities_and_statistics() {
    for case in cases() {
        let x = [0.5, 0.25, -0.75, 1.5, 0.0, 1.0, 2.0, -0.5];
        let graph = graph(&case, |b, _, law| {
            assert_eq!((law.family(), law.event_ndims()), (case.name, 2));
            b.output("log_prob", law.log_prob(b.input("x", Type::f32([2, 2, 2]))));
            b.output("one", law.log_prob(b.input("y", Type::f32([2, 2]))));
            b.output("mean", law.mean().unwrap());
            b.output("stddev", law.stddev().unwrap());
        });
        let values = x.map(|x: f64| x as f32);
        let more = [Tensor::f32([2, 2, 2], values).unwrap(), Tensor::f32([2, 2], &values[..4]).unwrap()];
        let found = evaluate(&graph, &[inputs(&case), more.to_vec()].concat()).unwrap();
        let found: Vec<Vec<f64>> =
            found.iter().map(|x| x.as_f32().unwrap().iter().map(|&x| x.into()).collect()).collect();
        for (i, found) in found[0].iter().chain(&found[1]).enumerate() {
            let want = log_normal(&x[i % 2 * N..][..N], &LOC, &case.covariance);
            assert!((found - want).abs() < 2e-5 * want.abs().max(1.0), "{}: {found}, expected {want}", case.name);
        }
        assert_eq!(found[2], LOC);
        for (i, stddev) in found[3].iter().enumerate() {
            assert!((stddev - case.covariance[i][i].sqrt()).abs() < 1e-6, "{}", case.name);
        }
    }
}

/// Covariances of 40,000 draws within 5 standard errors, and the density of a draw is that of its value.
#[test]
fn draws() {
    const DRAWS: usize = 40_000;
    for (seed, case) in cases().iter().enumerate() {
        let graph = graph(case, |b, _, law| {
            let context = Context::new(Scope::describe(b)).noise(noise_inputs(b)).samples(DRAWS);
            let draw = law.sample(&context.site("w"), &Shape::new(&[2, 2])).unwrap();
            b.output("draw", draw.value);
            b.output("difference", law.log_prob_of_draw(&draw) - law.log_prob(draw.value));
        });
        let found = evaluate(&graph, &[inputs(case), noise(seed as u32 + 1).to_vec()].concat()).unwrap();
        let [draws, differences] = [0, 1].map(|i: usize| found[i].as_f32().unwrap());
        assert!(differences.len() == DRAWS && differences.iter().all(|x| x.abs() < 1e-4), "{}", case.name);
        let element = |draw: &[f32], i: usize| f64::from(draw[i]) - LOC[i];
        for i in 0..N {
            for j in 0..N {
                let products = draws.chunks(N).map(|draw| element(draw, i) * element(draw, j));
                let found = products.sum::<f64>() / DRAWS as f64;
                let c = &case.covariance;
                // the variance of a product of jointly normal numbers (Isserlis)
                let error = ((c[i][i] * c[j][j] + c[i][j] * c[i][j]) / DRAWS as f64).sqrt();
                assert!((found - c[i][j]).abs() < 5.0 * error, "{} {i} {j}: {found}, expected {}", case.name, c[i][j]);
            }
            let mean = draws.chunks(N).map(|draw| element(draw, i)).sum::<f64>() / DRAWS as f64;
            assert!(mean.abs() < 5.0 * (case.covariance[i][i] / DRAWS as f64).sqrt(), "{} {i}: {mean}", case.name);
        }
    }
}

/// From independent priors and from one of the same family.
#[test]
fn divergences_and_gradients() {
    for case in cases() {
        let is_low_rank = case.inputs.len() == 3 && case.name == "MultivariateNormal";
        let others: Vec<(Shape, Vec<f64>)> = case
            .inputs
            .iter()
            .enumerate()
            .map(|(i, (shape, values))| match i {
                0 => (shape.clone(), vec![0.0, 0.25, 0.5, -0.25]),
                _ if is_low_rank => (shape.clone(), values.clone()),
                _ => (shape.clone(), triangle(shape[0], 3.0)),
            })
            .collect();
        let graph = graph(&case, |b, parameters, law| {
            let prior: AnyDistribution<'_> = Normal::scalar(b, 0.25, 0.75).into();
            let others: Vec<_> =
                others.iter().enumerate().map(|(i, x)| b.input(&format!("q{i}"), Type::f32(x.0.clone()))).collect();
            let context = Context::new(Scope::describe(b)).noise(noise_inputs(b));
            let draw = law.sample(&context.site("w"), &Shape::new(&[2, 2])).unwrap();
            let shape = Shape::new(&[2, 2]);
            let independent = exact(&law, &prior, &shape).unwrap();
            b.output("independent", independent);
            let own = exact(&law, &(case.make)(&others), &shape);
            assert_eq!(own.is_none(), is_low_rank);
            let own = own.unwrap_or(independent);
            b.output("own", own);
            let loss = independent
                + own * 0.5
                + law.log_prob(draw.value) * 0.3
                + draw.value.sum_all() * 0.1
                + bayeslift_layers::monte_carlo(&law, &prior, &draw, &shape) * 0.2;
            b.output("loss", loss);
            for (i, gradient) in gradients(loss, parameters).into_iter().enumerate() {
                b.output(&format!("d{i}"), gradient);
            }
        });
        let mut inputs: Vec<Elements<f64>> =
            case.inputs.iter().chain(&others).map(|(_, values)| Elements::Floats(values.clone())).collect();
        // in the order in which the graph has them
        inputs.extend([vec![3, 0, 0, 0], vec![0], vec![0, 0]].map(Elements::Words));
        let run = |inputs: &[Elements<f64>]| -> Vec<Vec<f64>> {
            evaluate_f64(&graph, inputs).unwrap().iter().map(|x| x.floats().unwrap().to_vec()).collect()
        };
        let found = run(&inputs);
        let independent: Matrix =
            (0..N).map(|i| (0..N).map(|j| if i == j { 0.75 * 0.75 } else { 0.0 }).collect()).collect();
        let want = kl(&LOC, &case.covariance, &[0.25; N], &independent);
        assert!((found[0][0] - want).abs() < 1e-6, "{}: {}, expected {want}", case.name, found[0][0]);
        if !is_low_rank {
            let prior = match case.inputs.len() {
                2 => product_with_transpose(&rows(&others[1].1, N), &rows(&others[1].1, N)),
                _ => {
                    let [a, b] =
                        [1, 2].map(|i: usize| product_with_transpose(&rows(&others[i].1, 2), &rows(&others[i].1, 2)));
                    (0..N).map(|i| (0..N).map(|j| a[i / 2][j / 2] * b[i % 2][j % 2]).collect()).collect()
                }
            };
            let want = kl(&LOC, &case.covariance, &others[0].1, &prior);
            assert!((found[1][0] - want).abs() < 1e-6, "{}: {}, expected {want}", case.name, found[1][0]);
        }
        for (i, (shape, _)) in case.inputs.iter().enumerate() {
            for element in 0..shape.elements() {
                // what is above the diagonal of a scale is no parameter
                let is_free = i == 0 || is_low_rank || element % shape[1] <= element / shape[1];
                if !is_free {
                    continue;
                }
                let mut at = |h: f64| {
                    let Elements::Floats(values) = &mut inputs[i] else { unreachable!() };
                    values[element] += h;
                    let loss = run(&inputs)[2][0];
                    let Elements::Floats(values) = &mut inputs[i] else { unreachable!() };
                    values[element] -= h;
                    loss
                };
                let want = (at(1e-5) - at(-1e-5)) / 2e-5;
                let found = found[3 + i][element];
                assert!(
                    (found - want).abs() < 1e-6 * want.abs().max(1.0),
                    "{} d{i}[{element}]: {found}, expected {want}",
                    case.name
                );
            }
        }
    }
}

/// The beta law is Dirichlet's of two numbers.
#[test]
fn dirichlet() {
    let b = Builder::new();
    let input = |name: &str, n: usize| b.input(name, Type::f32([n]));
    let (q, p) = (Dirichlet::new(input("q", 2)), Dirichlet::new(input("p", 2)));
    fn beta<'b>(x: &Dirichlet<'b>) -> Beta<'b> {
        let one = |i: usize| x.concentration.slice(0, i..i + 1).reshape(Shape::default());
        Beta::new(one(0), one(1))
    }
    let x = input("x", 2);
    b.output("log_prob", q.log_prob(x));
    b.output("beta", beta(&q).log_prob(x.slice(0, 0..1)));
    b.output("kl", exact(&q.into(), &p.into(), &Shape::new(&[2])).unwrap());
    let [first, second] = [q, p].map(|x| beta(&x));
    b.output("beta kl", exact(&first.into(), &second.into(), &Shape::default()).unwrap());
    b.output("mean", q.mean().unwrap());
    b.output("stddev", q.stddev().unwrap());
    b.output("beta stddev", beta(&q).stddev().unwrap());
    let context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b)).samples(20_000);
    b.output("draws", q.sample(&context.site("w"), &Shape::new(&[2])).unwrap().value);
    let tensor = |x: [f32; 2]| Tensor::f32([2], x).unwrap();
    let inputs = [vec![tensor([1.5, 2.5]), tensor([3.0, 0.5]), tensor([0.25, 0.75])], noise(4).to_vec()].concat();
    let found = evaluate(&b.finish().unwrap(), &inputs).unwrap();
    let value = |i: usize| f64::from(found[i].as_f32().unwrap()[0]);
    for (a, b) in [(0, 1), (2, 3), (5, 6)] {
        assert!((value(a) - value(b)).abs() < 2e-6, "{} {}", value(a), value(b));
    }
    assert!(value(2) > 0.5 && (value(4) - 0.375).abs() < 1e-6);
    let draws = found[7].as_f32().unwrap();
    assert!(draws.chunks(2).all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-6));
    let mean = draws.chunks(2).map(|pair| f64::from(pair[0])).sum::<f64>() / 20_000.0;
    assert!((mean - 0.375).abs() < 5.0 * value(5) / 20_000_f64.sqrt(), "{mean}");
}

#[test]
fn scales_of_raw_numbers_are_lower_triangular() {
    let b = Builder::new();
    b.output("scale", lower_triangular(b.input("raw", Type::f32([3, 3]))));
    let raw = Tensor::f32([3, 3], [0.0, 1.0, 2.0, -3.0, -40.0, 5.0, 6.0, 7.0, 1.0]).unwrap();
    let found = evaluate(&b.finish().unwrap(), &[raw]).unwrap();
    let found = found[0].as_f32().unwrap();
    let close = |i: usize, x: f32| (found[i] - x).abs() < 1e-6;
    assert!(close(0, 2_f32.ln() + 1e-5) && found[4] == 1e-5 && close(8, 1.313_261_7 + 1e-5), "{found:?}");
    assert_eq!([1, 2, 5, 3, 6, 7].map(|i: usize| found[i]), [0.0, 0.0, 0.0, -3.0, 6.0, 7.0]);
}

fn joint() -> Posterior {
    Posterior::joint(|scope, shape| {
        let n = shape.elements();
        let loc = scope.parameter("loc", &Shape::new(&[n]), &Initializer::Uniform { limit: 1.0 })?;
        let raw_scale = scope.parameter("raw_scale", &Shape::new(&[n, n]), &Initializer::Uniform { limit: 1.0 })?;
        Ok(MultivariateNormal::new(loc, lower_triangular(raw_scale))?.into())
    })
}

/// Kernel and bias are parts of one draw, and of one term of the divergence.
#[test]
fn joint_posteriors_of_kernel_and_bias() {
    let layer = Reparameterization::new(3, 2).posterior_maker(joint()).prior_maker(Prior::normal(0.25, 2.0));
    let parameters = layer.initialize(1).unwrap();
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b)).samples(2);
    let call = layer.call(&context, context.input(b.input("x", Type::f32([4, 3])))).unwrap();
    assert_eq!(call.terms.len(), 1);
    let divergence = |divergence: &Divergence| call.divergence(divergence).unwrap();
    b.output("output", call.output);
    b.output("value", call.posterior_value("kernel_bias").unwrap());
    b.output("exact", divergence(&Divergence::Exact));
    b.output("draws", divergence(&Divergence::MonteCarlo { draws: 20_000 }));
    let x = common::random(&[4, 3], 2);
    let found = run(&b.finish().unwrap(), &parameters, &[("x", x.clone())], At { seed: 3, ..At::default() });
    for sample in 0..2 {
        let w = &found[1][sample * 8..][..8];
        for (row, input) in x.as_f32().unwrap().chunks(3).enumerate() {
            for unit in 0..2 {
                let want = (0..3).map(|i| input[i] * w[2 * i + unit]).sum::<f32>() + w[6 + unit];
                let found = found[0][sample * 8 + row * 2 + unit];
                assert!((found - want).abs() < 1e-5, "{found}, expected {want}");
            }
        }
    }
    let (exact, draws) = (f64::from(found[2][0]), f64::from(found[3][0]));
    assert!((exact - draws).abs() < 0.01 * exact.max(3.0), "{exact} {draws}");

    // statistics of each
    let posterior = layer.posterior(&parameters);
    let loc = parameters.get("loc").unwrap().tensor.as_f32().unwrap().to_vec();
    assert_eq!(posterior.kernel.mean().unwrap().as_f32().unwrap(), &loc[..6]);
    assert_eq!(posterior.bias.unwrap().mean().unwrap().as_f32().unwrap(), &loc[6..]);

    // the mean of the posterior, whose density is that of the value
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).posterior_value(PosteriorValue::Mean);
    let call = layer.call(&context, b.input("x", Type::f32([4, 3]))).unwrap();
    b.output("value", call.posterior_value("kernel_bias").unwrap());
    b.output("kl", call.divergence(&Divergence::default()).unwrap());
    let found = run(&b.finish().unwrap(), &parameters, &[("x", x)], At::default());
    assert_eq!(found[0], loc);
    assert!(found[1][0].is_finite());
}

#[test]
fn layers_that_need_independence_refuse_joint_posteriors() {
    let layers: [Box<dyn Layer>; 2] =
        [Box::new(Local::new(3, 2).posterior_maker(joint())), Box::new(Flipout::new(3, 2).posterior_maker(joint()))];
    for (layer, kind) in layers.into_iter().zip(["local", "flipout"]) {
        let parameters = layer.initialize(0).unwrap();
        let b = Builder::new();
        let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
        let error = layer.call(&context, b.input("x", Type::f32([4, 3]))).unwrap_err().to_string();
        let expected = format!(
            "in layer `affine`: the posterior of a {kind} layer's kernel is a part of a joint posterior of kernel and \
             bias, expected Normal; layers with plain reparameterization take any"
        );
        assert_eq!(error, expected);
    }
}

/// Priors of other families have no closed form with a joint posterior, and draws of it have.
#[test]
fn joint_posteriors_take_any_prior_by_draws() {
    let layer = Reparameterization::new(3, 2).posterior_maker(joint()).prior_maker(Prior::laplace(0.0, 1.0));
    let parameters = layer.initialize(1).unwrap();
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
    let call = layer.call(&context, b.input("x", Type::f32([4, 3]))).unwrap();
    assert!(call.divergence(&Divergence::Exact).is_err());
    b.output("kl", call.divergence(&Divergence::Exact.or(Divergence::default())).unwrap());
    let value = call.posterior_value("kernel_bias").unwrap();
    let prior = LocationScale::laplace(b.constant(0.0), b.constant(1.0));
    let term = &call.terms[0];
    let of_posterior = term.posterior.log_prob_of_draw(&Draw { noise: None, value });
    b.output("by hand", of_posterior.sum_all() - prior.log_prob(value).sum_all());
    let x = common::random(&[4, 3], 2);
    let found = run(&b.finish().unwrap(), &parameters, &[("x", x)], At::default());
    assert!((found[0][0] - found[1][0]).abs() < 1e-4 * found[0][0].abs().max(1.0), "{found:?}");
}

#[test]
fn shapes_are_checked() {
    let b = Builder::new();
    let [loc, scale, vector] = [[2, 2], [3, 3], [4, 4]].map(|shape| b.input(&format!("{shape:?}"), Type::f32(shape)));
    let error = MultivariateNormal::new(loc, scale).unwrap_err().to_string();
    assert_eq!(error, "the scale of a multivariate normal distribution has shape [3,3], expected [4,4]");
    assert!(MultivariateNormal::low_rank(loc, loc, vector).is_ok());
    let error = MultivariateNormal::low_rank(loc, loc, scale).unwrap_err().to_string();
    assert_eq!(error, "the factor of a multivariate normal distribution has shape [3,3], expected [4,3]");
    let error = MatrixNormal::new(loc, loc, scale).unwrap_err().to_string();
    assert_eq!(error, "the column scale of a matrix normal distribution has shape [3,3], expected [2,2]");
}
