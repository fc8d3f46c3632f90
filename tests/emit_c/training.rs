//! Training that goes on in C: the bits of the trainer by every compiler, on machines of 32 bits, and on a bare
//! microcontroller, in so much flash and memory.

use crate::{
    compilers::{ELSEWHERE, HERE},
    cortex::{COMPILER, EMULATOR, KB, PROCESSORS, flash_of, start},
    facade, harness,
    harness::moments,
    is_here, options, say,
    training_program::{Batch, Learner, batches, bits, expect_state, names, state_of},
};
use bayeslift::{
    DeviceTraining,
    deploy::{self, Package, Weights},
    prelude::*,
};
use std::fs;

/// Layers of every estimator with what a batch is normalized by, a learned scale, and a schedule.
fn layers() -> Sequential {
    Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(6, 9))
        .layer(BatchNormalization::new(9))
        .layer(Activation::Relu)
        .layer(AffineVariationalReparameterization::new(9, 5).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(5, 2))
}

fn network() -> Network {
    Network::new(layers(), [6], likelihood::Normal::learned(0.5), 4).unwrap()
}

#[test]
fn training_goes_on_in_c_by_every_compiler() {
    let beside = DeviceTraining::new(5).schedule(Schedule::Cosine { to: 0.1 }, 6);
    let in_place = beside.clone().in_place();
    let [gcc, clang] = [&HERE[0], &HERE[1]];
    // of 32 bits: without multiply-adds, and with
    let [plain, fused] = [&ELSEWHERE[2], &ELSEWHERE[3]];
    let all = [
        (Weights::Inside, beside, [(gcc, "-O0"), (clang, "-O2"), (plain, "-O2")]),
        (Weights::Included, in_place, [(gcc, "-O2"), (clang, "-O0"), (fused, "-O1")]),
    ];
    for (weights, training, compilers) in all {
        for (compiler, level) in compilers.into_iter().filter(|(compiler, _)| compiler.is_here()) {
            let mut network = network();
            let mut trainer = Trainer::new(&network, 300, TrainerOptions::default()).unwrap();
            let options = options("learner").samples(5).row_block(4).weights(weights);
            let package = deploy::training(&trainer, &network, &training, &options).unwrap();
            let command = [compiler.command, &[level, "-std=c99"]].concat();
            let name = format!("c/training/{weights:?}/{}", command.join("_").replace(['/', '='], "-"));
            let learner = Learner::build(&name, &package, &command, compiler.runner);
            let all = batches(&network, 5, 6);
            learner.compare(&mut trainer, &mut network, &training, &all, 3);
        }
    }
}

/// Steps of a trainer and on a microcontroller.
fn compare(
    package: &Package,
    (trainer, network): (&mut Trainer, &mut Network),
    (all, x): (&[Batch], &[f32]),
    memory: usize,
) {
    let processor = &PROCESSORS[0];
    let name = &package.name;
    let folder = harness::folder(&format!("c/cortex-training/{name}"));
    package.write(&folder).unwrap();
    fs::write(folder.join("network.h"), format!("{}#define STEPS {}\n", names(package), all.len())).unwrap();
    fs::write(folder.join("batches"), all.iter().flat_map(Batch::bytes).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("rows"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let words = start(processor, &folder, include_str!("cortex_training.c"), name, "-O2", [256 * KB, memory]);
    let (steps, rest) = words.split_at(4 * all.len());
    for (batch, got) in all.iter().zip(steps.chunks_exact(4)) {
        let want = bits(&trainer.step(network, batch.input()).unwrap());
        assert_eq!((got[0], &got[1..]), (0, &want[..]), "{name}");
    }
    let samples = package.manifest["samples"].as_u64().unwrap() as usize;
    let predictor = Predictor::with_options(network, &PredictorOptions::default().samples(samples)).unwrap();
    let (rest, [stack, of_step, of_row]) = rest.split_at(rest.len() - 3) else { unreachable!("three words") };
    let bytes = |what: &str| package.manifest["bytes"][what].as_u64().unwrap() as usize;
    let (got, state) = rest.split_at(rest.len() - bytes("state") / 4);
    let units = network.input().elements();
    let width = got.len() / (x.len() / units);
    for (row, (x, got)) in x.chunks_exact(units).zip(got.chunks_exact(width)).enumerate() {
        let want: Vec<u32> = moments(&predictor, 0, x, package).into_iter().flatten().map(f32::to_bits).collect();
        assert_eq!(got, want, "{name}, row {row}");
    }
    expect_state(
        &state_of(package, &state.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()),
        trainer,
        network,
    );
    say(&format!(
        "{}, {name}, -O2: {:.1} KB of flash, {:.1} KB of state, {:.1} KB of workspace, {stack} B of stack, \
         {:.2} million instructions a step, {:.2} a prediction",
        processor.name,
        flash_of(&folder) as f64 / 1024.0,
        bytes("state") as f64 / 1024.0,
        bytes("workspace") as f64 / 1024.0,
        f64::from(*of_step) / 1e6,
        f64::from(*of_row) / 1e6
    ));
}

#[test]
fn microcontrollers_go_on_training() {
    if !is_here(COMPILER) || !is_here(EMULATOR) {
        return;
    }
    let compile = |trainer: &Trainer, network: &Network, training: &DeviceTraining, name: &str| {
        deploy::training(trainer, network, training, &options(name).samples(8).row_block(1)).unwrap()
    };
    let training = DeviceTraining::new(5);
    let mut small = network();
    let mut trainer = Trainer::new(&small, 300, TrainerOptions::default()).unwrap();
    let package = compile(&trainer, &small, &training, "small");
    let (all, x) = (batches(&small, 5, 6), batches(&small, 4, 1).remove(0).inputs);
    compare(&package, (&mut trainer, &mut small), (&all, &x), 64 * KB);

    // digits, in place
    let (train, test) = facade::digits();
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(64, 16).activation(Activation::Relu)).layer(layer(16, 10));
    let mut digits = Network::new(layers, [64], likelihood::Categorical, 0).unwrap();
    Fit::new().batch_size(64).epochs(2).learning_rate(3e-3).run(&mut digits, &train).unwrap();
    let all: Vec<Batch> = (0..8)
        .map(|i| Batch {
            inputs: train.inputs()[i * 8 * 64..][..8 * 64].to_vec(),
            targets: Targets::Labels(train.labels()[i * 8..][..8].to_vec()),
        })
        .collect();
    let options: [(&str, TrainerOptions); 2] = [
        ("digits_adam", TrainerOptions::default()),
        ("digits_sgd", TrainerOptions::default().optimizer(Sgd::new(0.05))),
    ];
    for (name, options) in options {
        let mut network = digits.clone();
        let mut trainer = Trainer::new(&network, train.rows(), options).unwrap();
        let package = compile(&trainer, &network, &DeviceTraining::new(8).in_place(), name);
        compare(&package, (&mut trainer, &mut network), (&all, &test.inputs()[..5 * 64]), 192 * KB);
    }
}
