//! Objects of networks of `f64`: inputs and results are `double`, and every bit is that of `Predictor::double`.

use super::{
    ensembles,
    harness::{Call, Program, inputs_f64, with_moments},
    networks,
};
use bayeslift::{
    Ensemble,
    deploy::{self, DeployOptions, Level, Package, Weights},
    ir::{DType, Tensor},
    prelude::*,
};

/// A network of classes with every estimator.
pub fn double_by(seed: u64) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(7, 20).activation(Activation::Relu))
        .layer(AffineVariationalReparameterization::new(20, 12).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(12, 5));
    Network::new(layers.dtype(DType::F64), [7], likelihood::Categorical, seed).unwrap()
}

/// Three of them.
pub fn members() -> Ensemble {
    Ensemble::new(3, |member| Ok(double_by(11 + member))).unwrap()
}

/// Every layer and every likelihood.
#[test]
fn every_kind_of_network_has_the_predictors_bits() {
    for (name, network) in networks::networks_of(DType::F64) {
        let package = deploy::network(&network, &DeployOptions::new("net").samples(5).row_block(4));
        let Some(package) = with_moments(&name, package) else { continue };
        assert!(package.header.contains("const double *inputs"), "{}", package.header);
        let program = Program::build(&format!("doubles/{name}"), &[&package]);
        let units = network.input().elements();
        for (rows, samples) in [(1, 5), (7, 3)] {
            let fraction = if name.starts_with("embedding") { 0.0 } else { 1e-9 };
            let x: Vec<f64> = (0..rows * units).map(|i| (i * i % 5) as f64 * (1.0 + fraction)).collect();
            program.compare(&package, &network, &Call { rows, samples, ..Call::default() }, &x);
        }
    }
}

/// Of bytes of a file, with instructions chosen when the program runs, weights apart, samples in pieces, and many rows.
#[test]
fn files_levels_weights_and_pieces() {
    let network = double_by(11);
    let bytes = network.to_bytes().unwrap();
    for (name, levels, weights) in [
        ("whole", vec![], Weights::Inside),
        ("old", vec![Level::V1], Weights::Inside),
        ("levels", vec![Level::V4, Level::V1, Level::V3], Weights::File),
    ] {
        let options = DeployOptions::new("net").samples(7).row_block(8).levels(levels).weights(weights);
        let package = deploy::bytes(&bytes, &options).unwrap();
        let program = Program::build(&format!("doubles/of/{name}"), &[&package]);
        for (rows, pieces) in [(1, vec![]), (1, vec![1, 6]), (21, vec![3, 40]), (64, vec![])] {
            let samples = if pieces.is_empty() { 7 } else { pieces.iter().sum() };
            let call = Call { rows, samples, pieces, first_row: (1 << 32) + 5, ..Call::default() };
            program.compare(&package, &network, &call, &inputs_f64(rows * 7));
        }
    }
}

#[test]
fn ensembles_have_the_bits_of_all_members() {
    let layer = AffineVariationalReparameterizationLocal::new;
    let numbers = |member| {
        let layers = Sequential::new().layer(layer(7, 9).activation(Activation::Relu)).layer(layer(9, 2));
        Network::new(layers.dtype(DType::F64), [7], likelihood::Normal::learned(0.3), member)
    };
    for (name, ensemble) in [("classes", members()), ("numbers", Ensemble::new(2, numbers).unwrap())] {
        let package = deploy::ensemble(&ensemble, &DeployOptions::new("all").samples(7).row_block(4).seed(1)).unwrap();
        let program = Program::build(&format!("doubles/ensemble/{name}"), &[&package]);
        for (rows, pieces) in [(1, vec![]), (6, vec![]), (9, vec![2, 11])] {
            let samples = if pieces.is_empty() { 7 } else { pieces.iter().sum() };
            let call = Call { rows, samples, pieces, first_row: 3, ..Call::default() };
            ensembles::compare(&program, &package, &ensemble, &call, &inputs_f64(rows * 7));
        }
    }
}

/// A status by its name in the header.
fn status(package: &Package, name: &str) -> u64 {
    let line = package.header.lines().find(|line| line.contains(&format!("_{name} = "))).unwrap();
    let number = line.split(" = ").nth(1).and_then(|text| text.split([',', ' ']).next());
    number.unwrap().parse().unwrap()
}

/// What is not finite, or too large, wherever it is among many rows; and what becomes too large inside is told.
#[test]
fn hostile_numbers_are_refused() {
    let layers = Sequential::new().layer(Affine::new(7, 3).activation(Activation::Tanh)).layer(Affine::new(3, 1));
    let mut network = Network::new(layers.dtype(DType::F64), [7], likelihood::Normal::fixed(0.1), 0).unwrap();
    let assign = |network: &mut Network, path: &str, of: f64| {
        let ty = network.parameters().get(path).unwrap().tensor.ty();
        let tensor = Tensor::floats(&ty, vec![of; ty.shape.elements()]).unwrap();
        network.parameters_mut().assign(path, tensor).unwrap();
    };
    assign(&mut network, "affine/kernel", 1e10);
    let package = deploy::network(&network, &DeployOptions::new("net")).unwrap();
    let program = Program::build("doubles/hostile", &[&package]);
    let largest: f64 = package.manifest["largest_input"].as_f64().unwrap();
    assert!(largest > 1e290 && largest < 1e298, "{largest:e}");
    assert!(package.header.contains(&format!("NET_LARGEST_INPUT {largest:e} ")), "{}", package.header);
    let rows = 9;
    let of = |at: usize, x: f64| {
        let mut inputs = inputs_f64(rows * 7);
        inputs[at] = x;
        program.call(&Call { rows, ..Call::default() }, &inputs).0
    };
    for at in [0, 1, 30, rows * 7 - 1] {
        for x in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(of(at, x), status(&package, "ERROR_NOT_FINITE_INPUT"), "{x} at {at}");
        }
        for x in [largest.next_up(), -largest.next_up(), f64::MAX, f64::MIN] {
            assert_eq!(of(at, x), status(&package, "ERROR_LARGE_INPUT"), "{x} at {at}");
        }
        for x in [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, 1e39, largest, -largest] {
            assert_eq!(of(at, x), 0, "{x} at {at}");
        }
    }

    assign(&mut network, "affine_1/kernel", 0.7e308);
    assign(&mut network, "affine/kernel", 1.0);
    let package = deploy::network(&network, &DeployOptions::new("infinite")).unwrap();
    let program = Program::build("doubles/infinite", &[&package]);
    let x = [[0.1_f64; 7], [50.0; 7], [-0.1; 7]].concat();
    let (found, got) = program.call(&Call { rows: 3, ..Call::default() }, &x);
    assert_eq!(found, status(&package, "ERROR_NOT_FINITE_RESULT"));
    let is_finite: Vec<bool> = got[..3].iter().map(|x| x.is_finite()).collect();
    assert_eq!(is_finite, [true, false, true], "{got:?}");
}

/// Where no bound can be shown the object looks itself for what an activation hides.
#[test]
fn what_activations_hide_is_told() {
    let layers = Sequential::new().layer(Affine::new(2, 3).activation(Activation::Tanh)).layer(Affine::new(3, 1));
    let mut network = Network::new(layers.dtype(DType::F64), [2], likelihood::Normal::fixed(0.1), 0).unwrap();
    let kernel = Tensor::f64([2, 3], [f64::MAX / 2.0; 6]).unwrap();
    network.parameters_mut().assign("affine/kernel", kernel).unwrap();
    network.parameters_mut().assign("affine/bias", Tensor::f64([3], [f64::MAX; 3]).unwrap()).unwrap();
    let package = deploy::network(&network, &DeployOptions::new("net")).unwrap();
    assert_eq!(package.manifest["largest_input"].as_f64(), Some(f64::MAX));
    let program = Program::build("doubles/hidden", &[&package]);
    let call = Call { rows: 2, ..Call::default() };
    program.compare(&package, &network, &call, &[-0.5, -0.25, -1.0, -0.125_f64]);
    let (found, _) = program.call(&call, &[-0.5, -0.25, 0.5, 0.5_f64]);
    assert_eq!(found, status(&package, "ERROR_NOT_FINITE_RESULT"));
}
