//! Rewriting of whole networks: exact rules keep every bit, others round differently, and none heeds how work is split.

#[allow(dead_code, reason = "each test uses a part of it")]
mod facade;

use bayeslift::{layers::Lambda, passes::Rewriting, prelude::*, runtime::Options};
use facade::{bits, small_data};

const LEVELS: [Rewriting; 3] = [Rewriting::Off, Rewriting::Exact, Rewriting::All];

/// Layers of every kind, with a division by a constant beside contractions: there a rounding rule has something to do.
fn network() -> Network {
    let third = |name: &str| Lambda::new(name, |x| x / 3.0);
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(3, 8).activation(Activation::Relu))
        .layer(third("third"))
        .layer(AffineVariationalReparameterization::new(8, 5).activation(Activation::Tanh))
        .layer(Affine::new(5, 5))
        .layer(third("ninth"))
        .layer(AffineVariationalReparameterizationLocal::new(5, 2));
    let mut network = Network::new(layers, [3], Likelihood::Categorical, 11).unwrap();
    for (path, parameter) in network.parameters_mut().iter_mut() {
        if path.ends_with("raw_scale") {
            parameter.tensor.as_f32_mut().unwrap().fill(-0.5);
        }
    }
    network
}

fn backend(level: Rewriting) -> Backend {
    Options::default().rewriting(level).into()
}

fn classify(network: &Network, backend: &Backend, blocks: (usize, usize)) -> Classification {
    let options = PredictorOptions::default().samples(12).blocks(blocks.0, blocks.1).backend(backend.clone());
    Predictor::with_options(network, &options).unwrap().classify(small_data(19).inputs()).unwrap()
}

#[test]
fn predictions_do_not_depend_on_blocks_at_any_level() {
    let network = network();
    let of_level = LEVELS.map(|level| {
        let all = classify(&network, &backend(level), (12, 19));
        for blocks in [(1, 1), (1, 4), (4, 1), (5, 7), (16, 32)] {
            assert_eq!(classify(&network, &backend(level), blocks), all, "{level:?}, blocks of {blocks:?}");
        }
        all
    });
    let [off, exact, all] = of_level;
    assert_eq!(exact, off);
    assert_eq!(classify(&network, &Backend::Reference, (3, 4)), all);
    assert_ne!(all, off, "no rounding rule had something to do");
    for (all, off) in all.probabilities().iter().zip(off.probabilities()) {
        assert!((all - off).abs() < 1e-6, "{all} {off}");
    }
}

/// Makes ten steps.
fn train(backend: Backend, samples: usize) -> Network {
    let mut network = network();
    let mut options = TrainerOptions::default();
    (options.backend, options.samples) = (backend, samples);
    let mut trainer = Trainer::new(&network, 100, options).unwrap();
    let data = small_data(16);
    for _ in 0..10 {
        trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap();
    }
    network
}

#[test]
fn training_has_the_bits_of_its_level() {
    for samples in [1, 3] {
        let [off, exact, all] = LEVELS.map(|level| train(backend(level), samples));
        assert_eq!(bits(&exact), bits(&off));
        assert_eq!(bits(&train(Backend::Reference, samples)), bits(&all));
        for ((path, all), (_, off)) in all.parameters().iter().zip(off.parameters().iter()) {
            for (all, off) in all.tensor.as_f32().unwrap().iter().zip(off.tensor.as_f32().unwrap()) {
                // a step of Adam is about the rate, whatever the gradient
                assert!((all - off).abs() < 1e-4, "`{path}`: {all} {off}");
            }
        }
    }
}
