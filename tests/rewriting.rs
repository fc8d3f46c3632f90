//! Rewriting of whole networks: exact rules keep every bit, others round differently, and none heeds how work is split.

#[allow(dead_code, reason = "each test uses a part of it")]
mod facade;

use bayeslift::{
    layers::Lambda,
    prelude::*,
    runtime::{Executable, Options},
};
use bayeslift_passes::{Pipeline, Plan, Rewriting, simplify};
use facade::{bits, small_data};
use std::{thread, time::Instant};

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
    let mut network = Network::new(layers, [3], likelihood::Categorical, 11).unwrap();
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
    let options = TrainerOptions::default().backend(backend).samples(samples);
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

#[test]
fn compiling_twice_gives_the_same_bytes() {
    let network = network();
    let graph = Trainer::new(&network, 100, TrainerOptions::default()).unwrap().graph(&network, 16).unwrap();
    for width in [16, 4] {
        let compile = |rewriting| {
            let options = Options::default().lanes(width).threads(2).rewriting(rewriting);
            let executable = Executable::compile(graph.clone(), &options).unwrap();
            (executable.plan().to_string(), executable.code_digest())
        };
        let all = compile(Rewriting::All);
        thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| compile(Rewriting::All))).collect();
            runs.into_iter().for_each(|run| assert!(run.join().unwrap() == all));
        });
        assert_ne!(compile(Rewriting::Off).1, all.1, "other code has another digest");
    }
}

/// Prints what rewriting takes of compiling a training step of many layers; `cargo test -- --nocapture` shows it.
#[test]
fn many_layers_are_compiled() {
    let mut layers = Sequential::new();
    for _ in 0..20 {
        layers = layers.layer(AffineVariationalReparameterizationLocal::new(256, 256).activation(Activation::Relu));
    }
    let network = Network::new(layers, [256], likelihood::Categorical, 0).unwrap();
    let graph = Trainer::new(&network, 100, TrainerOptions::default()).unwrap().graph(&network, 128).unwrap();
    let milliseconds = |start: Instant| start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let simplified = simplify(&graph).unwrap();
    let simplifying = milliseconds(start);
    let start = Instant::now();
    let rewritten = Pipeline { simplify: false, ..Pipeline::default() }.run(&simplified).unwrap();
    let rewriting = milliseconds(start);
    let start = Instant::now();
    let plan = Plan::with_fusions(rewritten.graph, &rewritten.fusions).unwrap();
    let planning = milliseconds(start);
    let start = Instant::now();
    let executable = Executable::compile(graph, &Options::default()).unwrap();
    let all = milliseconds(start);
    assert_eq!(executable.plan().to_string(), plan.to_string());
    let whole = |fusion: &&bayeslift_passes::Fusion| fusion.label() == "local_reparameterization(bias, noise, relu)";
    assert_eq!(rewritten.fusions.iter().filter(whole).count(), 20);
    println!(
        "{} operations, {} kernels; milliseconds: {simplifying:.1} simplifying, {rewriting:.1} rewriting, {planning:.1} planning, \
         {all:.1} in all",
        simplified.nodes().len(),
        plan.kernels.len(),
    );
}
