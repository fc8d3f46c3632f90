//! Variational layers: the laws of their outputs, their divergences, and what they draw.

mod common;

use bayeslift_ir::{Builder, Expr, Tensor, Type, evaluate};
use bayeslift_layers::{
    AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization,
    AffineVariationalReparameterizationLocal as Local, Call, Context, Divergence, Error, KernelBias, Layer, Posterior,
    PosteriorValue, Prior, Scope, Sequential,
    distribution::{Deterministic, Normal},
};
use common::{At, forward, graph, noise_count, random, run};

const MONTE_CARLO: Divergence = Divergence::MonteCarlo { draws: 1 };

fn with_divergence(builder: &Builder, call: &Call<'_>, divergence: &Divergence) -> Result<(), Error> {
    builder.output("y", call.output);
    builder.output("divergence", call.divergence(divergence)?);
    Ok(())
}

/// The theory: 7850 weights at 7.1004 nats each plus loc^2 / 2, 55,748 in all; log q of a draw varies by 1/2 a weight,
/// so one draw has standard deviation sqrt(7850 / 2) = 62.6. The mean of 64 draws is within 5 standard errors (false
/// alarm 6e-7), their spread within 4.5 of its own (7e-6).
#[test]
fn initial_divergence_of_a_default_layer() {
    let layer = Local::new(784, 10);
    let parameters = layer.initialize(11).unwrap();
    let graph = graph(&layer, &parameters, &[1, 784], None, |b, call| with_divergence(b, call, &MONTE_CARLO));
    let x = Tensor::f32([1, 784], vec![0.5; 784]).unwrap();
    let draws = 64;
    let divergence =
        |step| f64::from(run(&graph, &parameters, &[("x", x.clone())], At { step, ..At::default() })[1][0]);
    let values: Vec<f64> = (0..draws).map(divergence).collect();
    let n = draws as f64;
    let mean = values.iter().sum::<f64>() / n;
    let stddev = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    assert!((mean - 55_748.0).abs() < 5.0 * 62.6 / n.sqrt(), "mean {mean}");
    assert!((stddev / 62.6 - 1.0).abs() < 4.5 / (2.0 * n).sqrt(), "standard deviation {stddev}");
}

/// Mean, variance and covariance of y = x M + m + sqrt(x^2 S^2 + s^2) noise over 4000 samples, each within 5 standard
/// errors (24 numbers: false alarm 1.4e-5).
#[test]
fn moments_of_a_local_layer() {
    let (rows, input, output, samples) = (2, 3, 2, 4000);
    let layer = Local::new(input, output);
    let mut parameters = layer.initialize(1).unwrap();
    for (i, (_, parameter)) in parameters.iter_mut().enumerate() {
        let shape = parameter.tensor.shape().to_vec();
        parameter.tensor = random(&shape, i as u64 + 1);
    }
    let x = random(&[rows, input], 9);
    let graph = forward(&layer, &parameters, &[rows, input], Some(samples));
    let y = run(&graph, &parameters, &[("x", x.clone())], At { seed: 5, ..At::default() }).remove(0);

    let of =
        |path: &str| parameters.get(path).unwrap().tensor.as_f32().unwrap().iter().map(|&v| f64::from(v)).collect();
    let (m, b): (Vec<f64>, Vec<f64>) = (of("kernel/loc"), of("bias/loc"));
    let scale = |raw: Vec<f64>| raw.into_iter().map(|r| r.exp().ln_1p() + 1e-5).collect::<Vec<f64>>();
    let (s, t) = (scale(of("kernel/raw_scale")), scale(of("bias/raw_scale")));
    let x: Vec<f64> = x.as_f32().unwrap().iter().map(|&v| f64::from(v)).collect();
    let n = samples as f64;
    let column = |k: usize| (0..samples).map(move |i| i * rows * output + k);
    let mut centred = Vec::new();
    for row in 0..rows {
        for unit in 0..output {
            let sum = |f: &dyn Fn(usize) -> f64| (0..input).map(f).sum::<f64>();
            let loc = b[unit] + sum(&|i| x[row * input + i] * m[i * output + unit]);
            let variance = t[unit].powi(2) + sum(&|i| (x[row * input + i] * s[i * output + unit]).powi(2));
            let values: Vec<f64> = column(row * output + unit).map(|i| f64::from(y[i]) - loc).collect();
            let mean = values.iter().sum::<f64>() / n;
            assert!(mean.abs() < 5.0 * (variance / n).sqrt(), "mean of row {row} unit {unit}: off by {mean}");
            let found = values.iter().map(|v| v * v).sum::<f64>() / n;
            assert!((found / variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "variance {found}, expected {variance}");
            centred.push(values.iter().map(|v| v / variance.sqrt()).collect::<Vec<f64>>());
        }
    }
    for i in 0..centred.len() {
        for j in 0..i {
            let correlation = centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum::<f64>() / n;
            assert!(correlation.abs() < 5.0 / n.sqrt(), "outputs {i} and {j} correlate by {correlation}");
        }
    }
}

/// Inputs with any number of axes, `[examples, positions.., input]`: the same law and, with the same bits, the same
/// outputs where a batch is split or a sample is drawn alone.
#[test]
fn axes_between_examples_and_units() {
    fn check(layer: impl Layer) {
        let mut parameters = layer.initialize(2).unwrap();
        for path in ["kernel/raw_scale", "bias/raw_scale"] {
            parameters.get_mut(path).unwrap().tensor.as_f32_mut().unwrap().fill(0.3);
        }
        let at = At { seed: 77, step: 5, ..At::default() };
        for positions in [&[][..], &[3], &[2, 3]] {
            let shape = |rows: usize| [&[rows], positions, &[4]].concat();
            let (x, outputs) = (random(&shape(4), 3), positions.iter().product::<usize>() * 3);
            let inputs = x.shape().elements() / 4;
            let all = forward(&layer, &parameters, &shape(4), Some(3));
            assert_eq!(all.nodes()[all.outputs()[0].value.index()].ty.shape[..], [&[3, 4], positions, &[3]].concat());
            let all = run(&all, &parameters, &[("x", x.clone())], at).remove(0);
            let rows = Tensor::f32(shape(2).as_slice(), &x.as_f32().unwrap()[2 * inputs..]).unwrap();
            let part = forward(&layer, &parameters, &shape(2), Some(1));
            let part = run(&part, &parameters, &[("x", rows)], At { first_sample: 1, first_row: 2, ..at }).remove(0);
            assert_eq!(all[6 * outputs..8 * outputs], part);
        }
        // A single example without an axis of examples.
        let one = forward(&layer, &parameters, &[4], None);
        assert_eq!(run(&one, &parameters, &[("x", random(&[4], 3))], at)[0].len(), 3);
    }
    check(Local::new(4, 3));
    check(Reparameterization::new(4, 3));
    check(Flipout::new(4, 3));
}

/// Sample 3 of five at once is the sample 3 drawn alone; rows 2 and 3 of a batch are those drawn as a batch of their
/// own.
#[test]
fn samples_and_rows_can_be_split() {
    let network = Sequential::new()
        .layer(Local::new(4, 8))
        .apply(|x| x.relu())
        .layer(Flipout::new(8, 8))
        .layer(Reparameterization::new(8, 3));
    let mut parameters = network.initialize(2).unwrap();
    for (path, parameter) in parameters.iter_mut() {
        if path.ends_with("raw_scale") {
            parameter.tensor.as_f32_mut().unwrap().fill(0.3);
        }
    }
    let x = random(&[4, 4], 3);
    let at = At { seed: 77, step: 5, ..At::default() };
    let all = forward(&network, &parameters, &[4, 4], Some(5));
    let all = run(&all, &parameters, &[("x", x.clone())], at).remove(0);
    let one = forward(&network, &parameters, &[4, 4], Some(1));
    let one = run(&one, &parameters, &[("x", x.clone())], At { first_sample: 3, ..at }).remove(0);
    assert_eq!(all[3 * 12..4 * 12], one);
    let rows = Tensor::f32([2, 4], &x.as_f32().unwrap()[8..]).unwrap();
    let part = forward(&network, &parameters, &[2, 4], Some(1));
    let part = run(&part, &parameters, &[("x", rows)], At { first_sample: 3, first_row: 2, ..at }).remove(0);
    assert_eq!(one[6..], part);
    // Without a sample axis it is sample 0.
    let plain = forward(&network, &parameters, &[4, 4], None);
    assert_eq!(all[..12], run(&plain, &parameters, &[("x", x)], at).remove(0));
}

/// The divergence of a reparameterization layer is that of the weights its output used, found here from the outputs.
#[test]
fn divergence_uses_the_draw_of_the_forward_pass() {
    let layer = Reparameterization::new(2, 1).prior_maker(Prior::normal(0.0, 1.0));
    let mut parameters = layer.initialize(3).unwrap();
    parameters.get_mut("kernel/raw_scale").unwrap().tensor.as_f32_mut().unwrap().fill(0.0);
    parameters.get_mut("bias/raw_scale").unwrap().tensor.as_f32_mut().unwrap().fill(0.0);
    let graph = graph(&layer, &parameters, &[3, 2], None, |b, call| with_divergence(b, call, &MONTE_CARLO));
    assert_eq!(noise_count(&graph), 2, "{graph}");
    let x = Tensor::f32([3, 2], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
    let out = run(&graph, &parameters, &[("x", x)], At::default());
    let (bias, first, second) = (out[0][0], out[0][1] - out[0][0], out[0][2] - out[0][0]);
    let scale = 2_f64.ln() + 1e-5;
    let loc = |path, i: usize| f64::from(parameters.get(path).unwrap().tensor.as_f32().unwrap()[i]);
    let term = |w: f32, loc: f64| {
        let w = f64::from(w);
        -((w - loc) / scale).powi(2) / 2.0 - scale.ln() + w * w / 2.0
    };
    let want = term(first, loc("kernel/loc", 0)) + term(second, loc("kernel/loc", 1)) + term(bias, loc("bias/loc", 0));
    assert!((f64::from(out[1][0]) - want).abs() < 1e-5, "{} {want}", out[1][0]);
}

/// More draws and more samples give the mean of the single ones.
#[test]
fn divergence_of_many_draws() {
    for samples in [None, Some(3)] {
        for local in [true, false] {
            let layer: Box<dyn Layer> =
                if local { Box::new(Local::new(5, 4)) } else { Box::new(Reparameterization::new(5, 4)) };
            let parameters = layer.initialize(3).unwrap();
            let divergence = |divergence: Divergence| {
                let graph = graph(&*layer, &parameters, &[2, 5], samples, |builder, call| {
                    builder.output("divergence", call.divergence(&divergence)?);
                    Ok(())
                });
                run(&graph, &parameters, &[("x", random(&[2, 5], 1))], At::default())[0][0]
            };
            let (few, many) = (divergence(MONTE_CARLO), divergence(Divergence::MonteCarlo { draws: 4000 }));
            // 24 weights at 7.1 nats plus loc^2 / 2 <= 0.33 each; one draw has standard deviation sqrt(24 / 2) = 3.5.
            assert!((few - 171.0).abs() < 18.0 + 1.0, "{few}");
            assert!((many - 171.5).abs() < 1.5, "{many}");
        }
    }
}

#[test]
fn exact_divergence_is_the_mean_of_draws() {
    let layer =
        Local::new(6, 5).prior_maker(Prior::normal(0.5, 0.3)).posterior_maker(Posterior::mean_field_with_scale(0.2));
    let parameters = layer.initialize(4).unwrap();
    let graph = graph(&layer, &parameters, &[1, 6], None, |builder, call| {
        builder.output("exact", call.divergence(&Divergence::Exact)?);
        builder.output("mean", call.divergence(&Divergence::MonteCarlo { draws: 20_000 })?);
        Ok(())
    });
    let out = run(&graph, &parameters, &[("x", random(&[1, 6], 1))], At::default());
    // A draw varies by less than 10 nats, 20000 draws by 0.07; five times that.
    assert!((out[0][0] - out[1][0]).abs() < 0.35, "{} {}", out[0][0], out[1][0]);
}

/// A layer called twice under one path.
struct Twice<L>(L);

impl<L: Layer> Layer for Twice<L> {
    fn name(&self) -> &str {
        "twice"
    }
    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.0.declare(&scope.child("shared"))
    }
    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let shared = context.child("shared");
        let mut call = self.0.call(&shared, x)?;
        let again = self.0.call(&shared, call.output)?;
        call.output = again.output;
        call.absorb(again.terms);
        Ok(call)
    }
}

/// A shared layer is one random variable: its divergence counts once, a draw of its weights is used in both places, and
/// a local layer draws each output on its own.
#[test]
fn a_layer_used_twice() {
    let with = |layer: &dyn Layer| {
        let parameters = layer.initialize(6).unwrap();
        let graph = graph(layer, &parameters, &[2, 4], None, |b, call| with_divergence(b, call, &MONTE_CARLO));
        let divergence = run(&graph, &parameters, &[("x", random(&[2, 4], 1))], At::default())[1][0];
        (noise_count(&graph), divergence)
    };
    let (noises, divergence) = with(&Twice(Local::new(4, 4)));
    assert_eq!(noises, 4, "two outputs, and a kernel and a bias for the divergence");
    assert!((divergence - 20.0 * 7.1).abs() < 18.0, "{divergence}");
    let (noises, divergence) = with(&Twice(Reparameterization::new(4, 4)));
    assert_eq!(noises, 2, "one kernel and one bias");
    assert!((divergence - 20.0 * 7.1).abs() < 18.0, "{divergence}");
    let (noises, divergence) = with(&Twice(Flipout::new(4, 4)));
    assert_eq!(noises, 6, "one kernel and one bias, and two kinds of signs for each call");
    assert!((divergence - 20.0 * 7.1).abs() < 18.0, "{divergence}");
}

#[test]
fn nothing_is_drawn_in_vain() {
    let layer = Local::new(4, 3);
    let parameters = layer.initialize(0).unwrap();
    let plain = forward(&layer, &parameters, &[2, 4], None);
    assert_eq!(noise_count(&plain), 1, "{plain}");
    assert_eq!(plain.to_string().matches("= noise").count(), 1, "{plain}");

    // An exact divergence needs no draw, with either estimator.
    let exact = |layer: &dyn Layer| {
        noise_count(&graph(layer, &parameters, &[2, 4], None, |b, call| with_divergence(b, call, &Divergence::Exact)))
    };
    assert_eq!(exact(&Local::new(4, 3).prior_maker(Prior::normal(0.0, 1.0))), 1);
    assert_eq!(exact(&Reparameterization::new(4, 3).prior_maker(Prior::normal(0.0, 1.0))), 2);
    assert_eq!(exact(&Flipout::new(4, 3).prior_maker(Prior::normal(0.0, 1.0))), 4);
    assert_eq!(exact(&Flipout::new(4, 3).use_bias(false).prior_maker(Prior::normal(0.0, 1.0))), 3);
}

#[test]
fn mean_and_mode_draw_nothing() {
    let layers: [Box<dyn Layer>; 2] = [Box::new(Reparameterization::new(3, 2)), Box::new(Flipout::new(3, 2))];
    layers.into_iter().for_each(draws_nothing_at_mean_and_mode);
}

fn draws_nothing_at_mean_and_mode(last: Box<dyn Layer>) {
    let network = Sequential::new().layer(Local::new(4, 3)).push(last.into());
    let parameters = network.initialize(8).unwrap();
    for value in [PosteriorValue::Mean, PosteriorValue::Mode] {
        let builder = Builder::new();
        let context = Context::new(Scope::bind(&builder, &parameters).unwrap()).posterior_value(value);
        let x = builder.input("x", Type::f32([2, 4]));
        let call = network.call(&context, x).unwrap();
        builder.output("y", call.output);
        let graph = builder.finish().unwrap();
        assert!(!graph.to_string().contains("noise"), "{graph}");
        let y = run(&graph, &parameters, &[("x", random(&[2, 4], 1))], At::default()).remove(0);

        let builder = Builder::new();
        let of = |path: &str| builder.input(path, parameters.get(path).unwrap().tensor.ty());
        let x = builder.input("x", Type::f32([2, 4]));
        let h = x.dot(of("affine/kernel/loc")) + of("affine/bias/loc");
        builder.output("y", h.dot(of("affine_1/kernel/loc")) + of("affine_1/bias/loc"));
        let want = run(&builder.finish().unwrap(), &parameters, &[("x", random(&[2, 4], 1))], At::default()).remove(0);
        assert_eq!(y, want);
    }
}

/// A deterministic bias is added, and a sampled one of another family is drawn once for all examples.
#[test]
fn a_bias_that_is_not_normal() {
    let posterior = Posterior::new(|scope, shape| {
        let zeros = scope.builder().constant(0.0).broadcast(&shape.kernel);
        let point = scope.builder().constant(2.0).broadcast(shape.bias.as_ref().unwrap());
        let kernel = Normal::new(zeros, zeros).into();
        Ok(KernelBias { kernel, bias: Some(Deterministic::new(point).into()) })
    });
    let layers: [Box<dyn Layer>; 2] = [
        Box::new(Local::new(3, 2).posterior_maker(posterior.clone())),
        Box::new(Flipout::new(3, 2).posterior_maker(posterior)),
    ];
    for (layer, samples) in layers.iter().flat_map(|layer| [(layer, None), (layer, Some(3))]) {
        let parameters = layer.initialize(0).unwrap();
        assert!(parameters.is_empty());
        let graph = forward(&**layer, &parameters, &[2, 3], samples);
        let y = run(&graph, &parameters, &[("x", random(&[2, 3], 1))], At::default()).remove(0);
        assert_eq!(y, vec![2.0; 4 * samples.unwrap_or(1)]);
    }
}

/// Default-named layers of the same sizes have their own paths, initial values and noise, also with the same seed.
#[test]
fn default_names_never_collide() {
    let layer = || Local::new(8, 8).seed(3);
    let inner = Sequential::new().layer(layer()).layer(layer());
    let network = Sequential::new().layer(layer()).layer(layer()).layer(inner.clone()).layer(inner);
    let parameters = network.initialize(1).unwrap();
    let kernels: Vec<(&str, &[f32])> = parameters
        .iter()
        .filter(|(path, _)| path.ends_with("kernel/loc"))
        .map(|(path, parameter)| (path, parameter.tensor.as_f32().unwrap()))
        .collect();
    let paths: Vec<&str> = kernels.iter().map(|(path, _)| *path).collect();
    let expected = [
        "affine",
        "affine_1",
        "sequential/affine",
        "sequential/affine_1",
        "sequential_1/affine",
        "sequential_1/affine_1",
    ];
    assert_eq!(paths, expected.map(|path| format!("{path}/kernel/loc")));
    for i in 0..kernels.len() {
        for j in 0..i {
            assert_ne!(kernels[i].1, kernels[j].1);
        }
    }
    // The verifier rejects two noise sites with one stream; `run` calls it.
    let graph = graph(&network, &parameters, &[2, 8], None, |b, call| with_divergence(b, call, &MONTE_CARLO));
    assert_eq!(noise_count(&graph), 6 * 3);
    run(&graph, &parameters, &[("x", random(&[2, 8], 1))], At::default());
    // Another layer elsewhere changes nothing.
    let longer = network.clone().layer(Local::new(8, 2)).initialize(1).unwrap();
    assert!(parameters.iter().all(|(path, parameter)| longer.get(path).unwrap() == parameter));
}

/// What TFP's users look at on a layer, as tensors.
#[test]
fn eager_values() {
    let layer = Local::new(4, 3).bias_initializer(bayeslift_layers::Initializer::Constant(0.25));
    let parameters = layer.initialize(5).unwrap();
    let kernel = layer.kernel_posterior(&parameters);
    assert_eq!(kernel.family().unwrap(), "Normal");
    assert_eq!(kernel.mean().unwrap(), parameters.get("kernel/loc").unwrap().tensor);
    assert_eq!(kernel.mode().unwrap(), kernel.mean().unwrap());
    assert_eq!(layer.bias_posterior(&parameters).unwrap().mean().unwrap().as_f32().unwrap(), [0.25; 3]);
    let draws = kernel.sample(1, 10).unwrap();
    assert_eq!(draws.shape().to_vec(), [10, 4, 3]);
    assert_eq!(draws, kernel.sample(1, 10).unwrap());
    assert_ne!(draws, kernel.sample(2, 10).unwrap());
    let mean = kernel.mean().unwrap();
    let mut spread = draws.as_f32().unwrap().iter().zip(mean.as_f32().unwrap().iter().cycle());
    assert!(spread.all(|(draw, mean)| draw != mean && (draw - mean).abs() < 0.006), "{draws:?}");
    let prior = layer.kernel_prior(&parameters);
    let stddev = prior.stddev().unwrap();
    assert!(stddev.as_f32().unwrap().iter().all(|s| (s - 1414.214).abs() < 1e-3), "{stddev:?}");
    let zero = prior.log_prob(&Tensor::f32([4, 3], [0.0; 12]).unwrap()).unwrap();
    assert!(zero.as_f32().unwrap().iter().all(|p| (p + 1.611_585_8).abs() < 2e-6), "{zero:?}");
    assert!(prior.mode().is_err());
    assert!(layer.bias_prior(&parameters).is_ok());
    // A layer of a network.
    let network = Sequential::new().layer(Local::new(4, 3));
    let parameters = network.initialize(0).unwrap();
    assert!(layer.posterior(&parameters.under("affine")).kernel.mean().is_ok());
}

/// A prior may learn, or declare what does not; a frozen parameter stays a parameter.
#[test]
fn priors_with_parameters() {
    use bayeslift_layers::{Declaration, Group, Initializer};
    let prior = Prior::new(|scope, shape| {
        shape.each(scope, |scope, shape, _| {
            let zeros = &Initializer::Zeros;
            let declaration =
                |trainable| Declaration { shape, initializer: zeros, batch_ndims: 0, trainable, group: Group::Prior };
            let loc = scope.declare_parameter("loc", &declaration(false))?;
            let raw_scale = scope.declare_parameter("raw_scale", &declaration(true))?;
            Ok(Normal::from_raw_scale(loc, raw_scale).into())
        })
    });
    let layer = Local::new(2, 2).use_bias(false).prior_maker(prior);
    let trainable: Vec<String> = layer.trainable_variables().unwrap().into_iter().map(|v| v.path).collect();
    assert_eq!(trainable, ["kernel/loc", "kernel/raw_scale", "prior/kernel/raw_scale"]);
    assert_eq!(layer.variables().unwrap().len(), 4);
    let mut parameters = layer.initialize(0).unwrap();
    assert_eq!(parameters.set_trainable(false, |_, group| group == Group::Scale), 1);
    assert!(!parameters.get("kernel/raw_scale").unwrap().trainable);
}

#[test]
fn summary_is_a_table() {
    let network = Sequential::new().layer(Local::new(64, 10).name("head")).name("net");
    let want = "\
=== net ==================================================
  SIZE SHAPE                TRAIN NAME
   640 [64, 10]              True head/kernel/loc
   640 [64, 10]              True head/kernel/raw_scale
    10 [10]                  True head/bias/loc
    10 [10]                  True head/bias/raw_scale
trainable size: 1300  /  0.005 MiB  /  {float32: 1300}";
    assert_eq!(network.summary().unwrap(), want);
    assert_eq!(network.initialize(0).unwrap().summary("net"), want);
}

/// A posterior value that is a closure is the value of the weights, in a local layer too.
#[test]
fn posterior_value_by_a_closure() {
    let layer = Local::new(2, 2).posterior_value(PosteriorValue::custom(|posterior, _, _| Ok(posterior.mean()? + 1.0)));
    let parameters = layer.initialize(0).unwrap();
    let graph = forward(&layer, &parameters, &[1, 2], None);
    assert_eq!(noise_count(&graph), 0);
    let y = run(&graph, &parameters, &[("x", Tensor::f32([1, 2], [0.0, 0.0]).unwrap())], At::default()).remove(0);
    assert_eq!(y, [1.0, 1.0]);
    assert!(evaluate(&graph, &[]).is_err());
}
