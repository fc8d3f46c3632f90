//! Programs in C that go on training, are interrupted and go on: the bits of the trainer.

use crate::{
    facade, harness, networks,
    training_program::{Batch, Learner, batches, bits, expect_state},
};
use bayeslift::{
    Abstention, DeviceTraining, Measure,
    deploy::{self, DeployOptions, Level, Package, Weights},
    ir::DType,
    layers::Rates,
    prelude::*,
};

fn local() -> Network {
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(7, 12).activation(Activation::Relu)).layer(layer(12, 5));
    Network::new(layers, [7], likelihood::Categorical, 11).unwrap()
}

fn compile(trainer: &Trainer, network: &Network, training: &DeviceTraining) -> Package {
    let options = DeployOptions::new("net").samples(9).row_block(4);
    deploy::training(trainer, network, training, &options).unwrap()
}

/// Steps in memory and on the device, whose program ends and begins again in between: losses, parameters, the
/// optimizer's state and predictions have the same bits.
fn compare(name: &str, mut network: Network, options: TrainerOptions, training: &DeviceTraining, before: usize) {
    let mut trainer = Trainer::new(&network, 500, options).unwrap();
    let all = batches(&network, training.rows, before + 7);
    let (first, rest) = all.split_at(before);
    for batch in first {
        trainer.step(&mut network, batch.input()).unwrap();
    }
    let package = compile(&trainer, &network, training);
    let learner = Learner::build(&format!("training/{name}"), &package, &["cc", "-O1"], &[]);
    learner.compare(&mut trainer, &mut network, training, rest, 3);
    assert_eq!(package.manifest["training"]["in_place"], training.in_place);
}

#[test]
fn steps_have_the_trainers_bits() {
    for (how, training) in [("beside", DeviceTraining::new(6)), ("in_place", DeviceTraining::new(6).in_place())] {
        let sgd = TrainerOptions::default().optimizer(Sgd::new(0.1));
        compare(&format!("sgd_{how}"), local(), sgd, &training, 0);
        compare(&format!("adam_{how}"), local(), TrainerOptions::default(), &training, 2);
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy/training/adam_{how}"));
        let mut compiler = std::process::Command::new("c++");
        harness::run(compiler.current_dir(folder).args(["-fsyntax-only", "-x", "c++", "-Wall", "-Werror", "net.h"]));
    }
}

/// Schedules, weights of the divergence, several samples, limits of the gradients' norm, and every optimizer.
#[test]
fn whatever_a_trainer_is_told() {
    let of = |optimizer: std::sync::Arc<dyn Optimizer>| TrainerOptions::default().optimizer(optimizer);
    let rows = DeviceTraining::new;
    let cosine = rows(5).schedule(Schedule::Cosine { to: 0.1 }, 4).divergence_weight(0.25);
    compare("cosine", local(), TrainerOptions::default().samples(3).clip_norm(0.1).seed(1 << 40), &cosine, 1);
    let linear = rows(1).schedule(Schedule::Linear { to: 0.0 }, 6);
    compare("linear", local(), of(std::sync::Arc::new(AdamW::new(0.01))), &linear, 3);
    let half = rows(4).in_place().schedule(Schedule::HalfLife { half_life: 2.5, to: 0.2 }, 100);
    compare("half", local(), of(std::sync::Arc::new(RmsProp::new(0.01).momentum(0.5).centered(true))), &half, 0);
    compare("momentum", local(), of(std::sync::Arc::new(Sgd::new(0.1).momentum(0.9).nesterov(true))), &rows(3), 0);
    let layers = || Sequential::new().layer(Affine::new(7, 9).activation(Activation::Tanh)).layer(Affine::new(9, 5));
    let network = |seed| Network::new(layers(), [7], likelihood::Categorical, seed).unwrap();
    compare("ivon", network(1), of(std::sync::Arc::new(Ivon::default())), &rows(6), 2);
    compare("sgld", network(2), of(std::sync::Arc::new(Sgld::new(0.1))), &rows(6), 2);
}

/// Every layer and every likelihood.
#[test]
fn every_kind_of_network_learns() {
    for (name, network) in networks::networks() {
        let learns = network.parameters().variables().iter().any(|variable| variable.trainable);
        // a closure tells no moments
        if !learns || name == "custom" {
            continue;
        }
        let training = DeviceTraining::new(3);
        compare(&format!("kinds/{name}"), network, TrainerOptions::default(), &training, 0);
    }
}

/// Rows of tables that were read, in place and beside.
#[test]
fn tables_learn_by_rows() {
    let layers = || {
        let table = Embedding::new(5, 3);
        Sequential::new().layer(table).layer(Flatten).layer(Affine::new(12, 3))
    };
    let network = |seed| Network::new(layers(), [4], likelihood::Categorical, seed).unwrap();
    let lazy = || TrainerOptions::default().optimizer(Lazy(Adam::new(0.01)));
    compare("lazy", network(1), lazy(), &DeviceTraining::new(2).in_place(), 1);
    compare("lazy_beside", network(2), lazy(), &DeviceTraining::new(2), 1);
}

/// Batches that are refused leave the state as it was, and the next step is that of a trainer that never saw them.
#[test]
fn what_is_not_finite_is_refused() {
    let trainings = [("refused", DeviceTraining::new(6)), ("refused_in_place", DeviceTraining::new(6).in_place())];
    for (name, training) in trainings {
        let mut network = local();
        let mut trainer = Trainer::new(&network, 500, TrainerOptions::default()).unwrap();
        let package = compile(&trainer, &network, &training);
        let learner = Learner::build(&format!("training/{name}"), &package, &["cc", "-O1"], &[]);
        let status = |name: &str| {
            let line = package.header.lines().find(|line| line.contains(&format!("NET_{name} = "))).unwrap();
            line.split(['=', ',', '/']).nth(1).unwrap().trim().parse::<u32>().unwrap()
        };
        let good = batches(&network, 6, 2);
        let changed = |change: &dyn Fn(&mut Batch)| {
            let mut batch = good[1].clone();
            change(&mut batch);
            batch
        };
        let labels = |batch: &mut Batch| batch.targets = Targets::Labels(vec![0, 1, 5, 0, 0, 0]);
        let all = [
            good[0].clone(),
            changed(&|batch| batch.inputs[3] = f32::NAN),
            changed(&|batch| batch.inputs[41] = f32::NEG_INFINITY),
            changed(&labels),
            changed(&|batch| batch.inputs.fill(3e38)),
            changed(&|batch| batch.inputs[0] = 1e30),
            good[1].clone(),
        ];
        let told = learner.run("-", &all, "end.state", &[], 0);
        if !training.in_place {
            let refused = [1, 4, 5].map(|i: usize| trainer.step(&mut network, all[i].input()).is_err());
            assert_eq!(refused, [1, 4, 5].map(|i: usize| told.steps[i].0 != 0));
        }
        let want: Vec<_> = good.iter().map(|batch| bits(&trainer.step(&mut network, batch.input()).unwrap())).collect();
        let statuses: Vec<u32> = told.steps.iter().map(|(status, _)| *status).collect();
        let (input, target) = (status("ERROR_NOT_FINITE_INPUT"), status("ERROR_TARGET"));
        assert_eq!(statuses[..4], [0, input, input, target], "{name}");
        let refusals = ["ERROR_NOT_FINITE_LOSS", "ERROR_NOT_FINITE_UPDATE", "ERROR_LARGE_GRADIENT"].map(status);
        assert!(statuses[4..6].iter().all(|status| refusals.contains(status)), "{name}: {statuses:?}");
        assert_eq!([told.steps[0].1, told.steps[6].1], want[..], "{name}");
        expect_state(&learner.state("end.state"), &trainer, &network);
    }
    // numbers that are none of the likelihood's
    let layer = AffineVariationalReparameterizationLocal::new(2, 1);
    let network = Network::new(layer, [2], likelihood::Poisson, 3).unwrap();
    let trainer = Trainer::new(&network, 50, TrainerOptions::default()).unwrap();
    let package = compile(&trainer, &network, &DeviceTraining::new(1));
    let learner = Learner::build("training/targets", &package, &["cc", "-O1"], &[]);
    let of =
        |target: f32| Batch { inputs: vec![1.0, 2.0], targets: Targets::Values { units: 1, values: vec![target] } };
    let told = learner.run("-", &[of(2.0), of(-1.0), of(1.5), of(f32::NAN), of(0.0)], "end.state", &[], 0);
    let is_refused: Vec<bool> = told.steps.iter().map(|(status, _)| *status != 0).collect();
    assert_eq!(is_refused, [false, true, true, true, false]);
}

#[test]
fn a_file_is_compiled_to_the_same_object() {
    let mut network = local();
    let mut trainer = Trainer::new(&network, 500, TrainerOptions::default()).unwrap();
    let all = batches(&network, 3, 3);
    trainer.step(&mut network, all[0].input()).unwrap();
    let training = DeviceTraining::new(3);
    let path = std::env::temp_dir().join(format!("bayeslift-device-{}.safetensors", std::process::id()));
    trainer.save_for_device(&network, &path, &training).unwrap();
    let options = DeployOptions::new("net").samples(9).row_block(4);
    let (of_file, own) = (deploy::training_file(&path, &options).unwrap(), compile(&trainer, &network, &training));
    assert!((of_file.header, of_file.manifest, of_file.object) == (own.header, own.manifest, own.object));
    // a trainer goes on from it as well
    let mut again = local();
    let mut trainer_again = Trainer::load(&mut again, &path, TrainerOptions::default()).unwrap();
    let losses = [&mut trainer, &mut trainer_again].into_iter().zip([&mut network, &mut again]);
    let losses: Vec<_> = losses.map(|(trainer, network)| trainer.step(network, all[1].input()).unwrap()).collect();
    assert_eq!(losses[0], losses[1]);
    trainer.save(&network, &path).unwrap();
    let refused = deploy::training_file(&path, &options).unwrap_err().to_string();
    assert!(refused.contains("it is for no device: write it by `Trainer::save_for_device`"), "{refused}");
    network.save(&path).unwrap();
    let refused = deploy::training_file(&path, &options).unwrap_err().to_string();
    assert!(refused.contains("none of `Trainer::save`, `Trainer::save_for_device` and `Fit` wrote it"), "{refused}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_no_device_can_do_is_refused() {
    let network = local();
    let trainer = |options| Trainer::new(&network, 500, options).unwrap();
    let plain = || trainer(TrainerOptions::default());
    let (rows, name) = (DeviceTraining::new(3), DeployOptions::new("net"));
    let refusal = |trainer: &Trainer, training: &DeviceTraining, options: &DeployOptions| {
        deploy::training(trainer, &network, training, options).unwrap_err().to_string()
    };
    assert!(refusal(&plain(), &DeviceTraining::new(0), &name).contains("the number of rows of a device's step is 0"));
    let custom = rows.clone().schedule(Schedule::custom(|_| 1.0), 10);
    assert!(refusal(&plain(), &custom, &name).contains("a device was to have the schedule `Custom(..)`"));
    let epochs = rows.clone().schedule(Schedule::Epochs { every: 1, factor: 0.5 }, 10);
    assert!(refusal(&plain(), &epochs, &name).contains("`Epochs(1, 0.5)`"));
    let negative = rows.clone().schedule(Schedule::Linear { to: -1.0 }, 10);
    assert!(refusal(&plain(), &negative, &name).contains("expected factors that are finite and not negative"));
    assert!(
        refusal(&plain(), &rows.clone().divergence_weight(f64::NAN), &name).contains("the divergence weight is NaN")
    );
    assert!(refusal(&plain(), &rows, &DeployOptions::new("if")).contains("the name of an object is `if`"));
    assert!(refusal(&plain(), &rows, &name.clone().weights(Weights::File)).contains("in a file of their own"));
    assert!(refusal(&plain(), &rows, &name.clone().levels([Level::V1, Level::V3])).contains("several levels"));
    let abstention = Abstention::new(Measure::PredictiveEntropy, 0.5).unwrap();
    for options in [name.clone().decide(0.1), name.clone().abstention(abstention)] {
        let refused = refusal(&plain(), &rows, &options);
        assert!(refused.contains("a network that learns was to abstain or to decide"), "{refused}");
    }
    let exact = Options::default().rewriting(bayeslift::runtime::Rewriting::Off);
    let exact = trainer(TrainerOptions::default().backend(exact));
    assert!(refusal(&exact, &rows, &name).contains("rewrites as no device does"));
    let large = trainer(TrainerOptions::default().optimizer(Rates::new(Sgd::new(1e5), |_| 1e-6)));
    let refused = refusal(&large, &rows.clone().in_place(), &name);
    assert!(refused.contains("are not known to be finite before they are made"), "{refused}");
    let hosted = trainer(TrainerOptions::default().optimizer(Hosted));
    assert!(refusal(&hosted, &rows, &name).contains("the optimizer `hosted` tells its scalars on a host alone"));
    let other = Network::new(facade::small_layers(), [3], likelihood::Categorical, 0).unwrap();
    let refused = deploy::training(&plain(), &other, &rows, &name).unwrap_err().to_string();
    assert!(refused.contains("the trainer is not of this network"), "{refused}");
    let layers = Sequential::new().layer(Affine::new(2, 3)).dtype(DType::F64);
    let double = Network::new(layers, [2], likelihood::Categorical, 0).unwrap();
    let trainer = Trainer::new(&double, 10, TrainerOptions::default()).unwrap();
    let refused = deploy::training(&trainer, &double, &rows, &name).unwrap_err().to_string();
    assert!(refused.contains("the network is of f64, where devices train networks of f32"), "{refused}");
}

/// A rule that only a host can follow.
#[derive(Debug)]
struct Hosted;

impl Optimizer for Hosted {
    fn name(&self) -> &'static str {
        "hosted"
    }
    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &[]
    }
    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        vec![rate / (step as f64).ln()]
    }
    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        Update { parameter: step.parameter - gradient * step.scalars[0], state: Vec::new() }
    }
    fn check(&self) -> Result<(), LayerError> {
        Ok(())
    }
}
