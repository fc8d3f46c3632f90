//! Objects, linked into programs in C and run: every result has the bits that the predictor gives.
//!
//! A C compiler is needed (`cc`, `c++`); with `CI=true` cross compilers and emulators too, which `.ci/run` installs.

mod decision_program;
mod decisions;
mod doubles;
mod ensembles;
#[allow(dead_code)] // Each test uses a part of it.
#[path = "../facade/mod.rs"]
mod facade;
mod foreign;
mod formats;
mod graph_program;
mod graphs;
mod harness;
mod hostile;
#[path = "../facade/networks.rs"]
mod networks;
mod readme;
mod training;
mod training_program;

use bayeslift::{
    deploy::{self, DeployOptions, Level, Weights},
    layers::flatten_rightmost,
    prelude::*,
};
use harness::{Call, Program, inputs};

/// A network of classes with every estimator.
pub fn classes() -> Network {
    classes_by(11)
}

/// As [`classes`], of this seed.
pub fn classes_by(seed: u64) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(7, 20).activation(Activation::Relu))
        .layer(AffineVariationalReparameterization::new(20, 12).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(12, 5));
    Network::new(layers, [7], likelihood::Categorical, seed).unwrap()
}

/// Rows one and many, fewer samples than a block has, and more; rows that no 32 bits count.
#[test]
fn results_have_the_predictors_bits() {
    let network = classes();
    let package = deploy::network(&network, &DeployOptions::new("classes").samples(7)).unwrap();
    let program = Program::build("classes", &[&package]);
    for (rows, samples) in [(1, 7), (1, 1), (1, 64), (40, 7), (33, 1000), (17, 64), (16, 7)] {
        for first_row in [0, (1 << 32) + 5] {
            let call = Call { rows, samples, first_row, ..Call::default() };
            program.compare(&package, &network, &call, &inputs(rows * 7));
        }
    }
}

#[test]
fn samples_in_pieces_are_those_of_one_call() {
    let network = classes();
    let package = deploy::network(&network, &DeployOptions::new("pieces").samples(16).row_block(8)).unwrap();
    let program = Program::build("pieces", &[&package]);
    for (rows, pieces) in [(1, vec![1, 6]), (8, vec![16, 1, 40]), (21, vec![3, 3, 3]), (3, vec![100])] {
        let call = Call { rows, samples: pieces.iter().sum(), pieces, first_row: 9, ..Call::default() };
        program.compare(&package, &network, &call, &inputs(rows * 7));
    }
}

#[test]
fn old_machines_and_several_instruction_sets_give_the_same_bits() {
    let network = classes();
    let call = Call { rows: 40, samples: 9, ..Call::default() };
    for levels in [vec![Level::V1], vec![Level::V2], vec![Level::V4, Level::V1, Level::V3]] {
        let name = levels.iter().map(ToString::to_string).collect::<Vec<_>>().join("_");
        let package = deploy::network(&network, &DeployOptions::new("levels").samples(9).levels(levels)).unwrap();
        Program::build(&format!("levels_{name}"), &[&package]).compare(&package, &network, &call, &inputs(40 * 7));
    }
    for levels in [vec![], vec![Level::V1, Level::V3]] {
        let name = format!("outside_{}", levels.len());
        let options = DeployOptions::new("outside").samples(9).levels(levels).weights(Weights::File);
        let package = deploy::network(&network, &options).unwrap();
        Program::build(&name, &[&package]).compare(&package, &network, &call, &inputs(40 * 7));
    }
}

/// Every layer and every likelihood.
#[test]
fn every_kind_of_network_compiles() {
    for (name, network) in networks::networks() {
        let options = DeployOptions::new("net").samples(5).row_block(4);
        let Some(package) = harness::with_moments(&name, deploy::network(&network, &options)) else { continue };
        let program = Program::build(&format!("kinds/{name}"), &[&package]);
        let units = network.input().elements();
        for (rows, samples) in [(1, 5), (7, 3)] {
            let x: Vec<f32> = (0..rows * units).map(|i| (i * i % 5) as f32).collect();
            program.compare(&package, &network, &Call { rows, samples, ..Call::default() }, &x);
        }
    }
}

/// Results that are not finite are written, and said.
/// A full covariance of kernel and bias, and a prior that only a closure knows.
#[test]
fn laws_of_ones_own_compile() {
    let posterior = Posterior::joint(|scope, shape| {
        let n = shape.elements();
        let loc = scope.parameter("loc", &[n].into(), &Initializer::Uniform { limit: 1.0 })?;
        let raw_scale = scope.parameter("raw_scale", &[n, n].into(), &Initializer::Uniform { limit: 1.0 })?;
        let scale = distribution::lower_triangular(raw_scale);
        Ok(distribution::MultivariateNormal::new(loc, scale)?.into())
    });
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterization::new(7, 3).posterior_maker(posterior).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(3, 4).prior_maker(Prior::horseshoe(0.1)));
    let network = Network::new(layers, [7], likelihood::Categorical, 11).unwrap();
    let package = deploy::bytes(&network.to_bytes().unwrap(), &DeployOptions::new("laws").samples(7)).unwrap();
    let program = Program::build("laws", &[&package]);
    let call = Call { rows: 19, samples: 7, ..Call::default() };
    program.compare(&package, &network, &call, &inputs(19 * 7));
}

#[test]
fn results_that_are_not_finite_are_told() {
    let mut network = Network::new(Affine::new(2, 1), [2], likelihood::Normal::fixed(1.0), 0).unwrap();
    let kernel = bayeslift::ir::Tensor::f32([2, 1], [1e38_f32; 2]).unwrap();
    network.parameters_mut().assign("kernel", kernel).unwrap();
    let package = deploy::network(&network, &DeployOptions::new("infinite")).unwrap();
    let program = Program::build("infinite", &[&package]);
    let (status, got) = program.call(&Call { rows: 3, ..Call::default() }, &[1.0_f32, 0.5, 1e3, 1e3, 0.0, 0.5]);
    let code = package.header.lines().find(|line| line.contains("ERROR_NOT_FINITE_RESULT")).unwrap();
    assert!(code.contains(&format!("= {status},")), "{status}, but {code}");
    let mean = &got[..3];
    assert_eq!((mean[0].is_finite(), mean[1].is_finite(), mean[2].is_finite()), (true, false, true), "{mean:?}");
}

/// Whole test sets: the digits, wines, and images for the convolution of TFP's documentation.
#[test]
fn whole_test_sets() {
    let (train, test) = facade::digits();
    let mut digits = facade::digits_network(0);
    Fit::new().batch_size(64).epochs(3).learning_rate(3e-3).run(&mut digits, &train).unwrap();
    let package = deploy::bytes(&digits.to_bytes().unwrap(), &DeployOptions::new("digits")).unwrap();
    let call = Call { rows: test.rows(), ..Call::default() };
    Program::build("digits", &[&package]).compare(&package, &digits, &call, test.inputs());

    let (train, test) = facade::wines();
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(11, 50).activation(Activation::Relu)).layer(layer(50, 1));
    let mut wines = Network::new(layers, [11], likelihood::Normal::learned(1.0), 0).unwrap();
    Fit::new().batch_size(64).epochs(3).learning_rate(3e-3).run(&mut wines, &train).unwrap();
    let package = deploy::network(&wines, &DeployOptions::new("wines")).unwrap();
    let call = Call { rows: test.rows(), ..Call::default() };
    Program::build("wines", &[&package]).compare(&package, &wines, &call, test.inputs());

    let layers = Sequential::new()
        .layer(
            ConvolutionVariationalReparameterization::new(1, 8, 7)
                .strides(2)
                .padding(Padding::Same)
                .activation(Activation::LeakyRelu),
        )
        .layer(flatten_rightmost(3))
        .layer(AffineVariationalReparameterizationLocal::new(14 * 14 * 8, 10));
    let network = Network::new(layers, [28, 28, 1], likelihood::Categorical, 0).unwrap();
    let package = deploy::network(&network, &DeployOptions::new("images").samples(4).row_block(8)).unwrap();
    let call = Call { rows: 20, samples: 4, ..Call::default() };
    Program::build("images", &[&package]).compare(&package, &network, &call, &inputs(20 * 784));
}
