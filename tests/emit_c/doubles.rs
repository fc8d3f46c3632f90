//! Networks of `f64` as C: `double`, with the bits of `Predictor::double`, by compilers and on machines that differ.

use crate::{
    c,
    compilers::{ELSEWHERE, HERE},
    harness::{self, Call, Program, inputs_f64},
    networks, options,
};
use bayeslift::{
    Ensemble, EnsemblePredictor,
    deploy::{self, Weights},
    ir::DType,
    prelude::*,
};

/// A network of classes with every estimator.
pub fn doubles() -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(7, 20).activation(Activation::Relu))
        .layer(AffineVariationalReparameterization::new(20, 12).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(12, 5));
    Network::new(layers.dtype(DType::F64), [7], likelihood::Categorical, 11).unwrap()
}

/// Nothing that a compiler may do with products and sums changes a bit, and neither do machines of 32 bits.
#[test]
fn compilers_and_machines_give_the_same_bits() {
    let network = doubles();
    let package = c(&network, &options("doubles").samples(7).row_block(8));
    let source = String::from_utf8_lossy(&package.object);
    assert!(source.contains("const double *inputs") && !source.contains("fma("), "{source}");
    let here = [&["-O0", "-std=c99"][..], &["-O3", "-march=native", "-ffp-contract=fast"]];
    let all = HERE.iter().flat_map(|compiler| here.map(|besides| (compiler, besides)));
    // gcc for 64-bit ARM, and for 32 bits with multiply-adds of `float` and without; clang for those
    let all = all.chain([0, 2, 3, 5].map(|i| (&ELSEWHERE[i], &["-O2"][..])));
    for (compiler, besides) in all.filter(|(compiler, _)| compiler.is_here()) {
        let program = compiler.program("doubles", &package, besides);
        for (rows, samples) in [(1, 7), (1, 1), (13, 40)] {
            let call = Call { rows, samples, first_row: (1 << 32) + 5, ..Call::default() };
            program.compare(&package, &network, &call, &inputs_f64(rows * 7));
        }
    }
}

/// Every layer and every likelihood.
#[test]
fn every_kind_of_network_compiles() {
    for (name, network) in networks::networks_of(DType::F64) {
        let package = deploy::network(&network, &options("net").samples(5).row_block(4));
        let Some(package) = harness::with_moments(&name, package) else { continue };
        let program = Program::build_with(&format!("c/doubles/{name}"), &[&package], &["cc", "-O1"], &[]);
        let units = network.input().elements();
        for (rows, samples) in [(1, 5), (7, 3)] {
            let x: Vec<f64> = (0..rows * units).map(|i| (i * i % 5) as f64).collect();
            program.compare(&package, &network, &Call { rows, samples, ..Call::default() }, &x);
        }
    }
}

#[test]
fn pieces_weights_elsewhere_and_ensembles() {
    let network = doubles();
    for weights in [Weights::File, Weights::Included] {
        let package = c(&network, &options("pieces").samples(16).row_block(8).weights(weights));
        let program = Program::build_with(&format!("c/doubles/{weights:?}"), &[&package], &["cc", "-O2"], &[]);
        for (rows, pieces) in [(1, vec![]), (21, vec![3, 3, 3])] {
            let samples = if pieces.is_empty() { 16 } else { pieces.iter().sum() };
            let call = Call { rows, samples, pieces, first_row: 9, ..Call::default() };
            program.compare(&package, &network, &call, &inputs_f64(rows * 7));
        }
    }
    let ensemble = Ensemble::new(2, |member| {
        let layers = Sequential::new().layer(AffineVariationalReparameterizationLocal::new(7, 2)).dtype(DType::F64);
        Network::new(layers, [7], likelihood::Normal::learned(0.5), member)
    });
    let ensemble = ensemble.unwrap();
    let package = deploy::ensemble(&ensemble, &options("members").samples(7).row_block(4)).unwrap();
    let program = Program::build_with("c/doubles/members", &[&package], &["cc", "-O2"], &[]);
    let predictor = EnsemblePredictor::with_options(&ensemble, &PredictorOptions::default().samples(7)).unwrap();
    for rows in [1, 6] {
        let x = inputs_f64(rows * 7);
        let want = harness::moments_of_all(&predictor, 0, &x, &package);
        program.expect(&Call { rows, samples: 7, seed: 0, ..Call::default() }, &x, want);
    }
}
