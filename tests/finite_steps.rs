//! Steps that overflow: whatever they are, what follows `Ok` is finite, and what follows an error is what was before.

use bayeslift::ir::{NoiseDistribution, noise};
use bayeslift::prelude::*;
use bayeslift_ir::arbitrary::{cases, seed};
use std::sync::Arc;

fn options(backend: Backend) -> TrainerOptions {
    TrainerOptions::default().backend(backend)
}

fn backends() -> [Backend; 4] {
    let compiled = |width, threads| Backend::from(Options::default().lanes(width).threads(threads));
    [compiled(16, 2), compiled(4, 1), compiled(1, 1), Backend::Reference]
}

fn saturating(activation: Activation) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(1, 4).activation(activation))
        .layer(AffineVariationalReparameterizationLocal::new(4, 2));
    Network::new(layers, [1], likelihood::Categorical, 0).unwrap()
}

/// The variance of the first layer overflows, and what saturates hides it from the loss.
#[test]
fn what_a_loss_hides_is_found() {
    for activation in [Activation::Tanh, Activation::Sigmoid] {
        for backend in backends() {
            let mut network = saturating(activation.clone());
            let before = network.clone();
            let mut trainer = Trainer::new(&network, 100, options(backend.clone())).unwrap();
            let state: Vec<_> = trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.clone())).collect();
            let labels = Targets::Labels(vec![0, 1]);
            let error = trainer.step(&mut network, StepInput::new(&[1e20, 1.0], &labels)).unwrap_err();
            let Error::NonFiniteUpdate { step: 1, loss, ref path, ref cause, .. } = error else { panic!("{error}") };
            assert!(loss.is_finite());
            assert_eq!(path, "affine/kernel/raw_scale");
            assert!(cause.contains("first in a `mul` in layer `affine`, of type f32[2,1]"), "{cause}");
            assert_eq!(network.parameters(), before.parameters());
            assert!(trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.clone())).eq(state));
            // and training goes on, as if nothing had been
            let mut other = before.clone();
            let mut fresh = Trainer::new(&other, 100, options(backend)).unwrap();
            for inputs in [[0.5, 1.0], [-0.5, 0.25]] {
                let loss = trainer.step(&mut network, StepInput::new(&inputs, &labels)).unwrap();
                assert_eq!(loss, fresh.step(&mut other, StepInput::new(&inputs, &labels)).unwrap());
            }
            assert_eq!(network.parameters(), other.parameters());
        }
    }
}

/// Gradients divided by a scalar that is 1: the same bits, but nothing is known of a quotient by any number, so every
/// step is checked before it is applied.
#[derive(Clone, Debug)]
struct Unproved<O>(O);

impl<O: Optimizer> Optimizer for Unproved<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.0.state(variable)
    }

    fn scalars(&self) -> Vec<String> {
        ["rate", "one"].map(str::to_owned).to_vec()
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        [self.0.scalar_values(step, rate), vec![1.0]].concat()
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        self.0.update(&Step { scalars: &step.scalars[..1], ..*step }, gradient / step.scalars[1])
    }

    fn check(&self) -> Result<(), bayeslift::layers::Error> {
        self.0.check()
    }
}

type Bits = Vec<(String, Vec<u32>)>;

fn bits(network: &Network, trainer: &Trainer) -> Bits {
    let parameters = network.parameters().iter().map(|(path, parameter)| (path.to_owned(), parameter.tensor.words()));
    parameters.chain(trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.words()))).collect()
}

fn are_finite(bits: &Bits) -> bool {
    bits.iter().flat_map(|(_, words)| words).all(|word| f32::from_bits(*word).is_finite())
}

/// Networks in which overflow hides, of one to three inputs.
fn networks(seed: u64) -> Vec<(&'static str, Network)> {
    type Local = AffineVariationalReparameterizationLocal;
    let categorical = |name, layers: Sequential, input: &[usize]| {
        (name, Network::new(layers, input, likelihood::Categorical, seed).unwrap())
    };
    // with a closed form of the divergence, or without
    let prior = || if seed.is_multiple_of(2) { Prior::spike_and_slab() } else { Prior::normal(0.0, 1.0) };
    let local = |inputs, outputs| Local::new(inputs, outputs).prior_maker(prior());
    let hidden =
        |activation: Activation| Sequential::new().layer(local(2, 5).activation(activation)).layer(local(5, 3));
    let apply = |f: for<'b> fn(Expr<'b>) -> Expr<'b>| Sequential::new().layer(local(2, 5)).apply(f).layer(local(5, 3));
    let regression = Network::new(hidden(Activation::Relu), [2], likelihood::Normal::learned(1.0), seed).unwrap();
    let convolution = ConvolutionVariationalReparameterizationLocal::new(1, 4, [2, 2]);
    let image = Sequential::new()
        .layer(convolution.prior_maker(prior()).activation(Activation::Relu))
        .layer(GlobalPooling::max(2))
        .layer(Affine::new(4, 3));
    let saturated = Sequential::new()
        .apply(|x| x.tanh())
        .layer(Convolution::new(1, 4, [2, 2]))
        .layer(GlobalPooling::max(2))
        .layer(Affine::new(4, 3));
    let without_bias = Sequential::new()
        .layer(local(2, 5).use_bias(false).activation(Activation::Tanh))
        .layer(local(5, 3).use_bias(false));
    let drawn = Sequential::new()
        .layer(AffineVariationalReparameterization::new(2, 5).prior_maker(prior()).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(5, 3).prior_maker(prior()));
    let normalized = Sequential::new()
        .layer(local(2, 5))
        .layer(BatchNormalization::new(5).momentum(if seed % 3 == 2 { 1.0 } else { 0.9 }))
        .layer(LayerNormalization::new(5))
        .layer(local(5, 3).activation(Activation::Sigmoid));
    vec![
        categorical("tanh", hidden(Activation::Tanh), &[2]),
        categorical("sigmoid", hidden(Activation::Sigmoid), &[2]),
        categorical("relu", hidden(Activation::Relu), &[2]),
        categorical("square", apply(|x| x.square().tanh()), &[2]),
        categorical("log", apply(|x| x.abs().log().sigmoid()), &[2]),
        categorical("reciprocal", apply(|x| (1.0 / x).tanh()), &[2]),
        categorical("exp", apply(|x| x.exp().tanh()), &[2]),
        categorical("pooled", image, &[3, 3, 1]),
        categorical("saturated", saturated, &[3, 3, 1]),
        categorical("without bias", without_bias, &[2]),
        categorical("drawn", drawn, &[2]),
        categorical("normalized", normalized, &[2]),
        ("regression", regression),
    ]
}

/// Steps on inputs, targets and parameters of all sizes: what follows `Ok` is finite, what follows an error is what was
/// before, and both are those of steps that are always checked: a step that is finite is not refused, and has the same
/// bits.
#[test]
fn a_step_is_finite_or_was_not() {
    let mut seen = [0; 2];
    let first = seed();
    for seed in first..first + u64::from(cases(4)) {
        for (name, network) in networks(seed) {
            let uniform = |unit: u32| {
                let address = noise::Address { seed, unit, units: 1 << 20, ..Default::default() };
                noise::element(NoiseDistribution::Uniform, 7, address)
            };
            let momentum = Sgd::new(10.0).momentum(0.9);
            let optimizers: [(Arc<dyn Optimizer>, Arc<dyn Optimizer>); 4] = [
                (Arc::new(Adam::default()), Arc::new(Unproved(Adam::default()))),
                (Arc::new(Sgd::new(0.1)), Arc::new(Unproved(Sgd::new(0.1)))),
                (Arc::new(RmsProp::new(0.01).momentum(0.9)), Arc::new(Unproved(RmsProp::new(0.01).momentum(0.9)))),
                (Arc::new(momentum), Arc::new(Unproved(momentum))),
            ];
            let (proved, unproved) = optimizers[seed as usize % 4].clone();
            let trainer = |optimizer| {
                let divergence =
                    if seed.is_multiple_of(2) { Divergence::MonteCarlo { draws: 1 } } else { Divergence::Exact };
                let options = options(Options::default().threads(1).into()).optimizer(optimizer).divergence(divergence);
                Trainer::new(&network, 10, options).unwrap()
            };
            let (mut fast, mut checked) = (trainer(proved), trainer(unproved));
            let [mut network, mut twin] = [network.clone(), network];
            for step in 0..12_u32 {
                let exponent = -38.0 + 76.0 * uniform(step);
                let exponents = [0.0, exponent, exponent, 10.0, 19.0, 25.0, 37.0, 0.0];
                let scale = 10_f32.powf(exponents[step as usize % exponents.len()]);
                let columns = network.input().elements();
                let element = |i: usize| {
                    let x = uniform(100 * step + i as u32 + 50) - 0.5;
                    if i.is_multiple_of(3) { x } else { x * scale }
                };
                // of two sizes, and some with an element that is no number
                let rows = 4 - 2 * (step as usize % 2);
                let mut inputs: Vec<f32> = (0..rows * columns).map(element).collect();
                if step == 6 {
                    inputs[columns - 1] = f32::NAN;
                }
                let targets = match network.classes() {
                    Some(_) => Targets::Labels([0, 1, 2, 1][..rows].to_vec()),
                    None => Targets::Values { units: 3, values: (0..3 * rows).map(|i| element(i + 5)).collect() },
                };
                let before = bits(&network, &fast);
                let result = fast.step(&mut network, StepInput::new(&inputs, &targets));
                let expected = checked.step(&mut twin, StepInput::new(&inputs, &targets));
                let after = bits(&network, &fast);
                let place = format!("{name}, seed {seed}, step {step}, inputs {inputs:?}");
                assert_eq!(result.is_ok(), expected.is_ok(), "{place}: {result:?}, checked {expected:?}");
                match result {
                    Ok(_) => assert!(are_finite(&after), "{place}"),
                    Err(Error::NonFiniteLoss { .. } | Error::NonFiniteUpdate { .. }) => {
                        assert!(before == after, "{place}");
                    }
                    Err(error) => panic!("{place}: {error}"),
                }
                seen[usize::from(expected.is_ok())] += 1;
                assert!(after == bits(&twin, &checked), "{place}");
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?} steps were not finite, and were");
}

/// Steps of ordinary size are known to be finite before they write, for every built-in optimizer: nothing else is
/// compiled.
#[test]
fn ordinary_steps_are_known_to_be_finite() {
    let optimizers: [Arc<dyn Optimizer>; 7] = [
        Arc::new(Adam::default()),
        Arc::new(AdamW::default()),
        Arc::new(Sgd::new(0.01)),
        Arc::new(Sgd::new(0.01).momentum(0.9).nesterov(true)),
        Arc::new(RmsProp::default()),
        Arc::new(RmsProp::default().centered(true)),
        Arc::new(RmsProp::default().centered(true).momentum(0.9)),
    ];
    for (i, optimizer) in optimizers.into_iter().enumerate() {
        for (name, mut network) in networks(i as u64) {
            let options = options(Options::default().threads(1).into()).optimizer(optimizer.clone());
            let mut trainer = Trainer::new(&network, 10, options).unwrap();
            trainer.prepare(&network, 4).unwrap();
            let compiled = trainer.compile_time();
            let columns = network.input().elements();
            let element = |i: usize| (i as f32).sin() + 1.5;
            let inputs: Vec<f32> = (0..4 * columns).map(element).collect();
            let targets = match network.classes() {
                Some(_) => Targets::Labels(vec![0, 1, 2, 1]),
                None => Targets::Values { units: 3, values: (0..12).map(element).collect() },
            };
            for _ in 0..4 {
                trainer.step(&mut network, StepInput::new(&inputs, &targets)).unwrap();
            }
            assert_eq!(trainer.compile_time(), compiled, "{name}, {optimizer:?}");
        }
    }
}

/// A gradient that was too large for a proof leaves state behind that is too large for it, for all sizes of batches.
#[test]
fn state_of_a_huge_gradient_is_remembered() {
    let layer = Affine::new(1, 1).use_bias(false).kernel_initializer(Initializer::Zeros);
    let mut network = Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let options = TrainerOptions::default().optimizer(Sgd::new(1000.0).momentum(0.9));
    let mut trainer = Trainer::new(&network, 10, options).unwrap();
    let targets = |values: &[f32]| Targets::Values { units: 1, values: values.to_vec() };
    trainer.step(&mut network, StepInput::new(&[1e17; 2], &targets(&[6e17; 2]))).unwrap();
    let mut failed = 0;
    for _ in 0..30 {
        let before = bits(&network, &trainer);
        match trainer.step(&mut network, StepInput::new(&[0.0], &targets(&[0.0]))) {
            Ok(_) => assert!(are_finite(&bits(&network, &trainer))),
            Err(Error::NonFiniteUpdate { path, .. }) => {
                assert_eq!((path.as_str(), bits(&network, &trainer)), ("kernel", before));
                failed += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(failed > 0, "the parameter never overflowed");
}

/// Scales the gradients of matrices by row, with a quotient of no meaning where the gradient is zero; others are
/// followed as they are.
#[derive(Clone, Debug)]
struct ByRow;

impl Optimizer for ByRow {
    fn name(&self) -> &'static str {
        "by_row"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &[]
    }

    fn scalar_values(&self, _: u64, rate: f64) -> Vec<f64> {
        vec![rate]
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let p = step.parameter;
        let squares = gradient.square();
        let gradient = match p.shape().len() {
            2 => gradient * (squares.sum(1).expand(1) / squares.sum_all()),
            _ => gradient,
        };
        Update { parameter: p - gradient * step.scalars[0], state: Vec::new() }
    }

    fn check(&self) -> Result<(), bayeslift::layers::Error> {
        Ok(())
    }
}

#[test]
fn optimizers_are_proved_for_the_shapes_that_they_have() {
    let mut network = Network::new(Affine::new(1, 1), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let options = TrainerOptions::default().optimizer(ByRow);
    let mut trainer = Trainer::new(&network, 10, options).unwrap();
    let targets = Targets::Values { units: 1, values: vec![1.0] };
    let before = bits(&network, &trainer);
    let error = trainer.step(&mut network, StepInput::new(&[0.0], &targets)).unwrap_err();
    assert!(matches!(&error, Error::NonFiniteUpdate { path, .. } if path == "kernel"), "{error}");
    assert_eq!(bits(&network, &trainer), before);
    trainer.step(&mut network, StepInput::new(&[1.0], &targets)).unwrap();
    assert!(are_finite(&bits(&network, &trainer)));
}
