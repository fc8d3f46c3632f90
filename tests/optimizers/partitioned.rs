//! Several optimizers, each for a part of the parameters.

use super::{SEED, backends};
use bayeslift::layers::{Group, Partitioned};
use bayeslift::prelude::*;
use std::sync::Arc;

fn network() -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(2, 5).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(5, 2));
    Network::new(layers, [2], likelihood::Categorical, SEED).unwrap()
}

/// Momentum for scales, weight decay for biases, Adam for the rest.
fn partitioned() -> Partitioned {
    Partitioned::new(Adam::new(1e-2))
        .with(AdamW::new(1e-3), |variable| variable.path.contains("bias"))
        .with(Sgd::new(0.3).momentum(0.9), |variable| variable.group == Group::Scale)
}

fn step(trainer: &mut Trainer, network: &mut Network, rate: f64) {
    let inputs: Vec<f32> = (0..8).map(|i| (i * i % 7) as f32 - 3.0).collect();
    let targets = Targets::Labels(vec![0, 1, 1, 0]);
    trainer.step(network, StepInput::new(&inputs, &targets).rate(rate)).unwrap();
}

fn words(network: &Network, trainer: &Trainer) -> Vec<(String, Vec<u32>)> {
    let parameters = network.parameters().iter().map(|(path, parameter)| (path.to_owned(), parameter.tensor.words()));
    parameters.chain(trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.words()))).collect()
}

/// After a first step each parameter, and what is kept of it, is what its own optimizer makes of all.
#[test]
fn each_optimizer_moves_its_part() {
    let own = |path: &str| match path {
        _ if path.contains("raw_scale") => 2,
        _ if path.contains("bias") => 1,
        _ => 0,
    };
    for backend in backends() {
        let run = |optimizer: Arc<dyn Optimizer>| {
            let mut network = network();
            let options = TrainerOptions::default().optimizer(optimizer).backend(backend.clone());
            let mut trainer = Trainer::new(&network, 100, options).unwrap();
            step(&mut trainer, &mut network, 0.7);
            words(&network, &trainer)
        };
        let found = run(Arc::new(partitioned()));
        let alone: [Arc<dyn Optimizer>; 3] =
            [Arc::new(Adam::new(1e-2)), Arc::new(AdamW::new(1e-3)), Arc::new(Sgd::new(0.3).momentum(0.9))];
        let alone = alone.map(run);
        let expected = |path: &str| alone[own(path)].iter().find(|(other, _)| other == path);
        let mut seen = [0; 3];
        for (path, words) in &found {
            assert_eq!(Some(words), expected(path).map(|(_, words)| words), "{path}, {backend:?}");
            seen[own(path)] += 1;
        }
        // two layers: location, and two moments of it; scales with a momentum
        assert_eq!(seen, [6, 6, 8], "{backend:?}");
        // they do differ
        assert!((0..3).all(|i| found.iter().any(|(path, words)| {
            own(path) != i && alone[i].iter().any(|(other, others)| other == path && others != words)
        })));
    }
}

/// Steps after a file is read are those that would have been made.
#[test]
fn a_saved_trainer_goes_on() {
    let path = std::env::temp_dir().join(format!("bayeslift-partitioned-{}.safetensors", std::process::id()));
    let options = || TrainerOptions::default().optimizer(partitioned()).backend(Options::default().threads(1));
    let mut first = network();
    let mut trainer = Trainer::new(&first, 100, options()).unwrap();
    (0..3).for_each(|_| step(&mut trainer, &mut first, 1.0));
    trainer.save(&first, &path).unwrap();
    let mut again = network();
    let mut trainer_again = Trainer::load(&mut again, &path, options()).unwrap();
    (0..3).for_each(|_| step(&mut trainer, &mut first, 0.5));
    (0..3).for_each(|_| step(&mut trainer_again, &mut again, 0.5));
    assert_eq!(words(&first, &trainer), words(&again, &trainer_again));
    let others = || {
        let others = Partitioned::new(Adam::new(1e-2)).with(Sgd::new(0.3).momentum(0.9), |_| false);
        TrainerOptions::default().optimizer(others).backend(Options::default().threads(1))
    };
    assert!(matches!(Trainer::load(&mut again, &path, others()), Err(Error::OtherTraining { .. })));
    std::fs::remove_file(path).unwrap();
}
