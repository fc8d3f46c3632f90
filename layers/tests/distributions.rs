//! Densities, statistics and draws of distributions; likelihoods, activations, initializers, the optimizer: against
//! f64.

mod common;

use bayeslift_ir::{Builder, Shape, Tensor, Type, arbitrary::largest, evaluate};
use bayeslift_layers::{
    Activation, Affine, Divergence, Draw, Initializer, Layer, Likelihood, Scope, Sequential,
    distribution::{AnyDistribution, Categorical, Deterministic, Mixture, Normal, SoftmaxCenteredNormal},
    exact, flatten_rightmost,
    likelihood::{self, Support, Target},
    monte_carlo,
};
use common::{At, forward, map, normals, random, run};
use std::f64::consts::{LN_2, PI};

fn close(got: &[f32], want: impl Iterator<Item = f64>, tolerance: f64) {
    for (i, (&got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(error <= tolerance * want.abs().max(1.0), "element {i}: {got}, expected {want}");
    }
}

fn log_normal(x: f64, loc: f64, scale: f64) -> f64 {
    -((x - loc) / scale).powi(2) / 2.0 - scale.ln() - (2.0 * PI).ln() / 2.0
}

/// Points from the middle far out into the tails.
fn points() -> Vec<f32> {
    let mut points: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.1).collect();
    points.extend([1e-30, -1e-3, 30.0, -80.0, 3000.0, -1e5]);
    points
}

#[test]
fn densities() {
    let x = points();
    let at = |i: usize| f64::from(x[i]);
    let each = |f: fn(f64) -> f64| (0..x.len()).map(move |i| f(at(i)));
    let got = map(&x, |x| Normal::scalar(x.builder(), 0.3, 1.7).log_prob(x));
    close(&got, each(|x| log_normal(x, 0.3_f32.into(), 1.7_f32.into())), 1e-6);

    let spike_slab = |x: f64| {
        let (a, b) = (log_normal(x, 0.0, 1.0), log_normal(x, 0.0, 2000.0));
        a.max(b) + (-(a - b).abs()).exp().ln_1p() - LN_2
    };
    let got = map(&x, |x| Mixture::spike_and_slab(x.builder()).log_prob(x));
    close(&got, (0..x.len()).map(|i| spike_slab(at(i))), 1e-6);
    assert!((spike_slab(0.0) + 1.611_585_839).abs() < 1e-9);

    // Three components, the last not the widest.
    let got = map(&x, |x| {
        let normal = |loc, scale| Normal::scalar(x.builder(), loc, scale);
        let parts = vec![(0.2, normal(0.0, 1.0)), (0.5, normal(1.0, 100.0)), (0.3, normal(-2.0, 0.5))];
        Mixture::new(parts).unwrap().log_prob(x)
    });
    let mixture = |x: f64| {
        let parts = [(0.2, 0.0, 1.0), (0.5, 1.0, 100.0), (0.3, -2.0, 0.5)];
        let joint = parts.map(|(p, loc, scale): (f64, f64, f64)| p.ln() + log_normal(x, loc, scale));
        let max = joint.iter().copied().fold(f64::MIN, f64::max);
        max + joint.iter().map(|j| (j - max).exp()).sum::<f64>().ln()
    };
    close(&got, (0..x.len()).map(|i| mixture(at(i))), 2e-6);

    // A scale that is none is seen, not left out.
    let got = map(&[1.0], |x| {
        let normal = |scale| Normal::scalar(x.builder(), 0.0, scale);
        Mixture::new(vec![(0.5, normal(-1.0)), (0.5, normal(2000.0))]).unwrap().log_prob(x)
    });
    assert!(got[0].is_nan(), "{got:?}");

    let got = map(&[1.0, 2.0], |x| Deterministic::new(x.builder().constant(2.0)).log_prob(x));
    assert_eq!(got, [f32::NEG_INFINITY, 0.0]);
}

/// The density of a law on the simplex, per area of the simplex: its integral over two and over three classes is 1.
#[test]
fn density_on_the_simplex_integrates_to_one() {
    let steps = 400;
    let at = |i: usize| (i as f32 + 0.5) / steps as f32;
    let segment: Vec<f32> = (0..steps).flat_map(|i| [at(i), 1.0 - at(i)]).collect();
    // The centres of the small squares that the plane of the first two coordinates is cut in.
    let triangle = (0..steps * steps).map(|k| [at(k / steps), at(k % steps)]).filter(|[a, b]| a + b < 0.9999);
    let triangle: Vec<f32> = triangle.flat_map(|[a, b]| [a, b, 1.0 - a - b]).collect();
    for (points, loc, area) in [(segment, vec![0.3], 2_f64.sqrt()), (triangle, vec![0.3, -0.4], 3_f64.sqrt())] {
        let classes = loc.len() + 1;
        let b = Builder::new();
        let x = b.input("x", Type::f32([points.len() / classes, classes]));
        let law = SoftmaxCenteredNormal::new(b.input("loc", Type::f32([classes - 1])), b.constant(0.8));
        assert_eq!(law.classes(), classes);
        b.output("log_prob", law.log_prob(x));
        b.output("center", law.center());
        let inputs = [
            Tensor::f32([points.len() / classes, classes], points).unwrap(),
            Tensor::f32([classes - 1], loc.clone()).unwrap(),
        ];
        let out = evaluate(&b.finish().unwrap(), &inputs).unwrap();
        let density: f64 = out[0].as_f32().unwrap().iter().map(|&p| f64::from(p).exp()).sum();
        let integral = density * area / (steps as f64).powi(classes as i32 - 1);
        assert!((integral - 1.0).abs() < 1e-4, "{integral}");
        let exp: Vec<f64> = loc.iter().chain(&[0.0]).map(|&x| f64::from(x).exp()).collect();
        close(out[1].as_f32().unwrap(), exp.iter().map(|e| e / exp.iter().sum::<f64>()), 1e-6);
    }
}

#[test]
fn density_of_a_draw_is_the_density_of_its_value() {
    let noise = normals(100, 1);
    let got = map(&noise, |noise| {
        let normal = Normal::scalar(noise.builder(), 0.5, 0.25);
        let draw = normal.transform(noise);
        normal.log_prob_of_draw(&draw) - normal.log_prob_of_draw(&Draw { noise: None, ..draw })
    });
    close(&got, std::iter::repeat(0.0), 2e-6);
}

#[test]
fn statistics() {
    let builder = Builder::new();
    let normal = |loc, scale| Normal::scalar(&builder, loc, scale);
    let mixture: AnyDistribution =
        Mixture::new(vec![(0.25, normal(1.0, 2.0)), (0.75, normal(-1.0, 0.5))]).unwrap().into();
    builder.output("mean", mixture.mean().unwrap());
    builder.output("stddev", mixture.stddev().unwrap());
    let point: AnyDistribution = Deterministic::new(builder.constant(f32::INFINITY)).into();
    builder.output("zero", point.stddev().unwrap());
    let logits = builder.constant(0.0).broadcast(&Shape::new(&[3]));
    let categorical: AnyDistribution = Categorical::new(logits).into();
    assert!(categorical.mean().is_err() && categorical.mode().is_err() && categorical.stddev().is_err());
    let out = evaluate(&builder.finish().unwrap(), &[]).unwrap();
    let value = |i: usize| out[i].as_f32().unwrap()[0];
    assert_eq!(value(0), -0.5);
    let variance: f64 = 0.25 * (4.0 + 2.25) + 0.75 * (0.25 + 0.25);
    assert!((f64::from(value(1)) - variance.sqrt()).abs() < 1e-6);
    assert_eq!(value(2), 0.0);
}

/// A mixture's draws: the part below 0 and the second moment, over 20000 draws, within 5 standard errors (1.2e-6).
#[test]
fn draws_of_a_mixture() {
    let layer = bayeslift_layers::AffineVariationalReparameterization::new(100, 200).use_bias(false).prior_maker(
        bayeslift_layers::Prior::new(|scope, shape| {
            shape.each(scope, |scope, _, _| {
                let normal = |loc| Normal::scalar(scope.builder(), loc, 1.0);
                Ok(Mixture::new(vec![(0.3, normal(-10.0)), (0.5, normal(10.0)), (0.2, normal(20.0))])?.into())
            })
        }),
    );
    let parameters = layer.initialize(0).unwrap();
    let draws = layer.kernel_prior(&parameters).sample(3, 1).unwrap();
    let draws = draws.as_f32().unwrap();
    let part = |low: f32, high: f32| draws.iter().filter(|&&w| low < w && w < high).count() as f64 / 20_000.0;
    for (low, high, p) in [(-16.0, -4.0, 0.3), (4.0, 15.0, 0.5), (15.0, 26.0, 0.2_f64)] {
        let error = (p * (1.0 - p) / 20_000.0).sqrt();
        assert!((part(low, high) - p).abs() < 5.0 * error, "{low} to {high}: {}", part(low, high));
    }
}

/// The closed form between normals, also where the ratio of scales is near 1 and the two are nearly equal.
#[test]
fn exact_divergence_of_normals() {
    let cases: &[(f32, f32, f32, f32)] = &[
        (0.0, 1.0, 0.0, 1.0),
        (0.0, 1e-3, 0.0, 1.0),
        (0.5, 0.3, -1.0, 2.0),
        (1e-4, 1.0001, 0.0, 1.0),
        (3.0, 1e-5, 0.0, 1e3),
        (0.0, 1e3, 0.0, 1e-2),
    ];
    for &(loc, scale, prior_loc, prior_scale) in cases {
        let builder = Builder::new();
        let posterior: AnyDistribution = Normal::scalar(&builder, loc.into(), scale.into()).into();
        let prior: AnyDistribution = Normal::scalar(&builder, prior_loc.into(), prior_scale.into()).into();
        builder.output("kl", exact(&posterior, &prior, &Shape::new(&[2, 3])).unwrap());
        let got = evaluate(&builder.finish().unwrap(), &[]).unwrap()[0].as_f32().unwrap()[0];
        let [m, s, n, t] = [loc, scale, prior_loc, prior_scale].map(f64::from);
        let d = s.ln() - t.ln();
        let want = 6.0 * (((m - n) / t).powi(2) / 2.0 + (2.0 * d).exp_m1() / 2.0 - d);
        assert!((f64::from(got) - want).abs() <= 1e-6 * want.max(0.3), "{got} {want}");
    }
    let builder = Builder::new();
    let normal: AnyDistribution = Normal::scalar(&builder, 0.0, 1.0).into();
    assert!(exact(&normal, &Mixture::spike_and_slab(&builder).into(), &Shape::new(&[2])).is_none());
    let draw = Draw { value: builder.constant(0.0).broadcast(&Shape::new(&[4, 2])), noise: None };
    builder.output("kl", monte_carlo(&normal, &normal, &draw, &Shape::new(&[2])));
    assert_eq!(evaluate(&builder.finish().unwrap(), &[]).unwrap()[0].as_f32().unwrap(), [0.0]);
    assert_eq!(Divergence::default(), Divergence::MonteCarlo { draws: 1 });
}

#[test]
fn likelihoods() {
    let (rows, classes) = (4, 3);
    let logits = random(&[rows, classes], 1);
    let labels = [2, 0, 1, 1];
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let output = builder.input("logits", Type::f32([rows, classes]));
    let targets = builder.input("labels", Type::u32([rows]));
    builder.output("log_prob", likelihood::Categorical.log_prob(&scope, output, &targets.into()).unwrap());
    builder.output("loss", likelihood::Categorical.loss(&scope, output, &targets.into()).unwrap());
    // Two samples of the output against the same labels.
    let samples = builder.input("samples", Type::f32([2, rows, classes]));
    builder.output("both", likelihood::Categorical.log_prob(&scope, samples, &targets.into()).unwrap());
    let twice = Tensor::f32([2, rows, classes], [logits.as_f32().unwrap(), logits.as_f32().unwrap()].concat()).unwrap();
    let out =
        evaluate(&builder.finish().unwrap(), &[logits.clone(), Tensor::u32([rows], labels).unwrap(), twice]).unwrap();
    let logits: Vec<f64> = logits.as_f32().unwrap().iter().map(|&x| f64::from(x)).collect();
    let want: Vec<f64> = (0..rows)
        .map(|i| {
            let row = &logits[i * classes..][..classes];
            row[labels[i] as usize] - row.iter().map(|x| x.exp()).sum::<f64>().ln()
        })
        .collect();
    close(out[0].as_f32().unwrap(), want.iter().copied(), 1e-6);
    close(out[1].as_f32().unwrap(), std::iter::once(-want.iter().sum::<f64>() / rows as f64), 1e-6);
    close(out[2].as_f32().unwrap(), want.iter().chain(&want).copied(), 1e-6);

    // A class that is out of the question says nothing of another label.
    let builder = Builder::new();
    let output = builder.input("logits", Type::f32([2, 3]));
    let labels = builder.input("labels", Type::u32([2]));
    builder.output("log_prob", Categorical::new(output).log_prob(labels));
    builder.output("of one-hots", Categorical::new(output).log_prob_of_one_hot(labels.one_hot(3)));
    let masked = Tensor::f32([2, 3], [1.0, f32::NEG_INFINITY, 1.0, 2e38, -2e38, 0.0]).unwrap();
    let out = evaluate(&builder.finish().unwrap(), &[masked, Tensor::u32([2], [0, 0]).unwrap()]).unwrap();
    for found in out {
        close(found.as_f32().unwrap(), [-LN_2, 0.0].into_iter(), 1e-6);
    }

    let likelihood = likelihood::Normal::learned(0.5);
    let builder = Builder::new();
    let scope = Scope::initialize(&builder, 0);
    likelihood.declare(&scope, &Target::numbers([2], Support::Real)).unwrap();
    let parameters = scope.parameters();
    assert_eq!(parameters.paths().collect::<Vec<_>>(), ["likelihood/raw_scale"]);
    let builder = Builder::new();
    let scope = Scope::bind(&builder, &parameters).unwrap();
    let (y, t) = (builder.input("y", Type::f32([3, 2])), builder.input("t", Type::f32([3, 2])));
    builder.output("loss", likelihood.loss(&scope, y, &t.into()).unwrap());
    builder.output("variance", likelihood.law(&scope, y).unwrap().variance().unwrap().to_f32());
    let (y, t) = (random(&[3, 2], 5), random(&[3, 2], 6));
    let out = run(&builder.finish().unwrap(), &parameters, &[("y", y.clone()), ("t", t.clone())], At::default());
    let pairs = y.as_f32().unwrap().iter().zip(t.as_f32().unwrap());
    let want = -pairs.map(|(&y, &t)| log_normal(t.into(), y.into(), 0.5)).sum::<f64>() / 3.0;
    close(&out[0], std::iter::once(want), 1e-6);
    close(&out[1], [0.25; 2].into_iter(), 1e-7);
}

#[test]
fn activations() {
    let x: Vec<f32> = points().into_iter().filter(|x| x.abs() < 100.0).collect();
    type Case = (&'static str, fn(f64) -> f64);
    let cases: &[Case] = &[
        ("none", |x| x),
        ("linear", |x| x),
        ("relu", |x| x.max(0.0)),
        ("leaky_relu", |x| if x > 0.0 { x } else { 0.2 * x }),
        ("elu", |x| if x > 0.0 { x } else { x.exp_m1() }),
        ("selu", |x| 1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * x.exp_m1() }),
        ("gelu", |x| 0.5 * x * (1.0 + libm_erf(x / 2.0_f64.sqrt()))),
        ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        ("softplus", |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        ("swish", |x| x / (1.0 + (-x).exp())),
        ("tanh", f64::tanh),
    ];
    for (name, want) in cases {
        let activation = Activation::from_name(name).unwrap();
        let got = map(&x, |x| activation.apply(x));
        close(&got, x.iter().map(|&x| want(f64::from(x))), 1e-6);
        // As a layer of its own.
        let network = Sequential::new().layer(activation);
        let graph = forward(&network, &network.initialize(0).unwrap(), &[x.len()], None);
        let x = Tensor::f32([x.len()], x.clone()).unwrap();
        assert_eq!(run(&graph, &Default::default(), &[("x", x)], At::default())[0], got);
    }
    assert!(Activation::from_name("maxout").is_none());
    assert_eq!(map(&[3.0], |x| Activation::custom(|x| x * x).apply(x)), [9.0]);
}

/// erf by its series, for the moderate arguments here; 1 in magnitude beyond 6.
fn libm_erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / PI.sqrt()
}

/// Means, spreads and limits of random initial values, within 5 standard errors of 20000 draws; equal on every call.
#[test]
fn initial_values() {
    let (shape, ty) = (Shape::new(&[100, 200]), Type::f32([100, 200]));
    let n = 20_000.0;
    for (initializer, variance) in [
        (Initializer::GlorotUniform, 2.0 / 300.0),
        (Initializer::HeUniform, 2.0 / 100.0),
        (Initializer::GlorotNormal, 2.0 / 300.0),
        (Initializer::HeNormal, 2.0_f64 / 100.0),
        (Initializer::LecunUniform, 1.0 / 100.0),
        (Initializer::LecunNormal, 1.0 / 100.0),
        // the variance of a standard normal between -2 and 2
        (Initializer::TruncatedNormal { stddev: 0.1 }, 0.01 * 0.773_741_3),
        (Initializer::Normal { stddev: 0.1 }, 0.01),
    ] {
        let values = initializer.initial(1, 2, &ty, 0).unwrap();
        assert_eq!(values, initializer.initial(1, 2, &ty, 0).unwrap());
        assert_ne!(values, initializer.initial(1, 3, &ty, 0).unwrap());
        assert_ne!(values, initializer.initial(2, 2, &ty, 0).unwrap());
        let values: Vec<f64> = values.as_f32().unwrap().iter().map(|&x| f64::from(x)).collect();
        let mean = values.iter().sum::<f64>() / n;
        let found = values.iter().map(|x| x * x).sum::<f64>() / n;
        assert!(mean.abs() < 5.0 * (variance / n).sqrt(), "{initializer:?}: mean {mean}");
        // The fourth moment of a uniform or cut-off normal is below 2.4 variance^2, so this is 5 errors or more; that
        // of a normal is 3.
        let moment = if matches!(initializer, Initializer::Normal { .. }) { 2.0 } else { 1.4 };
        assert!((found / variance - 1.0).abs() < 5.0 * (moment / n).sqrt(), "{initializer:?}: variance {found}");
        if matches!(initializer, Initializer::Normal { .. }) {
            continue;
        }
        let limit = initializer
            .limit(&shape, 0)
            .or_else(|| initializer.stddev_before_truncation(&shape, 0).map(|stddev| 2.0 * stddev))
            .unwrap();
        let largest = largest(values.iter().map(|x| x.abs()));
        assert!(largest <= limit * (1.0 + 1e-6) && largest > limit * 0.99, "{initializer:?}: {largest} of {limit}");
    }
}

/// Tall, wide, square and flattened matrices: their rows or columns are orthogonal and of norm `gain`, batch by batch,
/// and uniform: the element at (0, 0) has mean 0 and variance gain^2 / length.
#[test]
fn orthogonal_initial_values() {
    let initializer = Initializer::Orthogonal { gain: 1.5 };
    for (shape, batch_ndims) in
        [(&[7, 3][..], 0), (&[3, 7], 0), (&[5, 5], 0), (&[2, 3, 4], 0), (&[3, 4, 2], 1), (&[4], 0)]
    {
        let values = initializer.initial(1, 2, &Type::f32(shape), batch_ndims).unwrap();
        let columns = *shape.last().unwrap();
        let of_batch: usize = shape[batch_ndims..].iter().product();
        for matrix in values.as_f32().unwrap().chunks(of_batch) {
            let rows = of_batch / columns;
            let at = |row: usize, column: usize| f64::from(matrix[row * columns + column]);
            let (count, length, wide) = (rows.min(columns), rows.max(columns), rows < columns);
            let element = |vector: usize, i: usize| if wide { at(vector, i) } else { at(i, vector) };
            for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
                let dot: f64 = (0..length).map(|i| element(a, i) * element(b, i)).sum();
                let expected = if a == b { 2.25 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-6, "{shape:?}: {a} {b} {dot}");
            }
        }
    }
    let draws = 2000_u64;
    let first = |seed| f64::from(initializer.initial(seed, 2, &Type::f32([6, 2]), 0).unwrap().as_f32().unwrap()[0]);
    let (mean, square) = (0..draws).map(first).fold((0.0, 0.0), |(m, s), x| (m + x, s + x * x));
    let (n, variance) = (draws as f64, 2.25 / 6.0);
    assert!((mean / n).abs() < 5.0 * (variance / n).sqrt(), "{mean}");
    // of a coordinate on the sphere in 6 dimensions the fourth moment is 3 / (6 * 8)
    let moment = 2.25 * 2.25 * 3.0 / 48.0 - variance * variance;
    assert!((square / n - variance).abs() < 5.0 * (moment / n).sqrt(), "{square}");
}

#[test]
fn affine_by_hand_and_in_batches() {
    let layer = Affine::new(2, 2).activation(Activation::Relu);
    let mut parameters = layer.initialize(0).unwrap();
    parameters.assign("kernel", Tensor::f32([2, 2], [1.0, 2.0, 3.0, -4.0]).unwrap()).unwrap();
    parameters.assign("bias", Tensor::f32([2], [0.5, 1.0]).unwrap()).unwrap();
    let x = Tensor::f32([2], [1.0, 1.0]).unwrap();
    let graph = forward(&layer, &parameters, &[2], None);
    assert_eq!(run(&graph, &parameters, &[("x", x)], At::default())[0], [4.5, 0.0]);

    // Every element of a batch is the layer of its own weights, for inputs of any number of leading axes.
    let layer = Affine::new(3, 2).batch_shape([4, 1]);
    let parameters = layer.initialize(1).unwrap();
    let (kernel, bias) = (&parameters.get("kernel").unwrap().tensor, &parameters.get("bias").unwrap().tensor);
    let (kernel, bias) = (kernel.as_f32().unwrap(), bias.as_f32().unwrap());
    for extents in [&[3][..], &[5, 3], &[4, 5, 3], &[2, 1, 5, 3]] {
        let x = random(extents, 3);
        let graph = forward(&layer, &parameters, extents, None);
        let shape = graph.ty(graph.outputs()[0].value).shape.clone();
        let y = run(&graph, &parameters, &[("x", x.clone())], At::default()).remove(0);
        let leading = Shape::new(&extents[..extents.len() - 1]).broadcast_with(&Shape::new(&[4, 1])).unwrap();
        assert_eq!(shape[..shape.len() - 1], leading[..]);
        let x = x.as_f32().unwrap();
        for (at, y) in y.chunks(2).enumerate() {
            let (rank, strides) = (leading.len(), leading.strides());
            let index = |axis: usize| at / strides[axis] % leading[axis];
            let batch = index(rank - 2);
            let row = (0..extents.len() - 1).fold(0, |row, axis| {
                let from = axis + rank + 1 - extents.len();
                row * extents[axis] + if extents[axis] == 1 { 0 } else { index(from) }
            });
            for (o, &y) in y.iter().enumerate() {
                let dot =
                    (0..3).map(|i| f64::from(x[row * 3 + i]) * f64::from(kernel[(batch * 3 + i) * 2 + o])).sum::<f64>();
                let want = dot + f64::from(bias[batch * 2 + o]);
                assert!((f64::from(y) - want).abs() < 1e-5, "{extents:?} {at} {o}: {y} {want}");
            }
        }
    }
}

#[test]
fn flatten_keeps_rows() {
    let network = Sequential::new().layer(flatten_rightmost(3)).layer(Affine::new(24, 2));
    let parameters = network.initialize(0).unwrap();
    let graph = forward(&network, &parameters, &[5, 2, 3, 4], None);
    assert_eq!(graph.ty(graph.outputs()[0].value).shape.to_vec(), [5, 2]);
    let graph = forward(&network, &parameters, &[5, 2, 3, 4], Some(3));
    assert_eq!(graph.ty(graph.outputs()[0].value).shape.to_vec(), [1, 5, 2]);
}
