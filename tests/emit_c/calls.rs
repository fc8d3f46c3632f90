//! What programs ask of C besides: pieces, weights elsewhere, ensembles, networks of every kind, wrong calls.

use crate::{
    c, classes,
    harness::{self, Call, Program, inputs},
    networks, options,
};
use bayeslift::{
    Ensemble, EnsemblePredictor,
    deploy::{self, Weights},
    prelude::*,
};
use std::{fs, process::Command};

#[test]
fn samples_in_pieces_and_weights_elsewhere() {
    let network = classes();
    for weights in [Weights::Inside, Weights::File, Weights::Included] {
        let package = c(&network, &options("pieces").samples(16).row_block(8).weights(weights));
        let program = Program::build_with(&format!("c/pieces/{weights:?}"), &[&package], &["cc", "-O2"], &[]);
        for (rows, pieces) in [(1, vec![]), (1, vec![1, 6]), (21, vec![3, 3, 3]), (3, vec![100])] {
            let samples = if pieces.is_empty() { 16 } else { pieces.iter().sum() };
            let call = Call { rows, samples, pieces, first_row: 9, ..Call::default() };
            program.compare(&package, &network, &call, &inputs(rows * 7));
        }
    }
}

/// Every layer and every likelihood.
#[test]
fn every_kind_of_network_compiles() {
    for (name, network) in networks::networks() {
        let package = deploy::network(&network, &options("net").samples(5).row_block(4));
        let Some(package) = harness::with_moments(&name, package) else { continue };
        let program = Program::build_with(&format!("c/kinds/{name}"), &[&package], &["cc", "-O1"], &[]);
        let units = network.input().elements();
        for (rows, samples) in [(1, 5), (7, 3)] {
            let x: Vec<f32> = (0..rows * units).map(|i| (i * i % 5) as f32).collect();
            program.compare(&package, &network, &Call { rows, samples, ..Call::default() }, &x);
        }
    }
}

#[test]
fn ensembles_share_their_functions() {
    let ensemble = Ensemble::new(3, |member| {
        let layer = AffineVariationalReparameterizationLocal::new;
        let layers = Sequential::new().layer(layer(7, 9).activation(Activation::Relu)).layer(layer(9, 4));
        Network::new(layers, [7], likelihood::Categorical, member)
    });
    let ensemble = ensemble.unwrap();
    let package = deploy::ensemble(&ensemble, &options("members").samples(7).row_block(4).seed(5)).unwrap();
    let program = Program::build_with("c/members", &[&package], &["cc", "-O2"], &[]);
    let mut told = PredictorOptions::default().samples(7);
    told.seed = Some(5);
    let predictor = EnsemblePredictor::with_options(&ensemble, &told).unwrap();
    for rows in [1, 6] {
        let x = inputs(rows * 7);
        let want = harness::moments_of_all(&predictor, 0, &x, &package);
        program.expect(&Call { rows, samples: 7, seed: 5, ..Call::default() }, &x, want);
    }
}

/// Two files in one program, threads, borders that trap, another environment, and calls that are wrong, as of objects.
#[test]
fn hostile_programs() {
    let folder = harness::folder("c/hostile");
    let second = AffineVariationalReparameterizationLocal::new(3, 2);
    let second = Network::new(second, [3], likelihood::Normal::learned(0.1), 1).unwrap();
    for (name, network) in [("first", &classes()), ("second", &second)] {
        let mut options = options(name).samples(9);
        if name == "second" {
            options = options.input_names(["x [m]", "y [m]", "heading"]).output_names(["steering", "speed [m/s]"]);
        }
        c(network, &options).write(&folder).unwrap();
    }
    fs::write(folder.join("hostile.c"), include_str!("../deploy/hostile.c")).unwrap();
    let strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-frounding-math", "-O2", "-pthread", "-std=gnu99"];
    // how much of the stack a call takes is the compiler's to say
    let stack = "-DFIRST_STACK_BYTES=65536";
    for sanitized in [&[][..], &["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]] {
        let mut command = Command::new("cc");
        command.current_dir(&folder).args(strict).args(sanitized).arg(stack);
        harness::run(command.args(["hostile.c", "first.c", "second.c", "-lm", "-o", "hostile"]));
        harness::run(&mut Command::new(folder.join("hostile")));
    }
}
