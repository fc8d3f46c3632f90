//! Networks as C99: by several compilers, at all levels of optimization and whatever they are told besides, on several
//! machines, every result
//! has the bits that the predictor gives.
//!
//! A C compiler is needed (`cc`); with `CI=true` clang, cross compilers and emulators too, which `.ci/run` installs.
//! `BAYESLIFT_ALL=1`
//! takes all compilers and options together.

#[allow(dead_code)]
#[path = "../deploy/decision_program.rs"]
mod decision_program;
#[allow(dead_code)] // Each test uses a part of it.
#[path = "../facade/mod.rs"]
mod facade;
#[path = "../deploy/graph_program.rs"]
mod graph_program;
#[allow(dead_code)]
#[path = "../deploy/harness.rs"]
mod harness;
#[path = "../facade/networks.rs"]
mod networks;

mod calls;
mod compilers;
mod cortex;
mod decisions;
mod doubles;
mod graphs;
mod python;
mod rules;
mod training;
#[allow(dead_code)]
#[path = "../deploy/training_program.rs"]
mod training_program;
mod web;

use bayeslift::{
    deploy::{self, DeployOptions, Package, System},
    layers::flatten_rightmost,
    prelude::*,
};
use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Options for C that is called this.
pub fn options(name: &str) -> DeployOptions {
    DeployOptions::new(name).for_system(System::c(None).unwrap())
}

/// A network as C.
pub fn c(network: &Network, options: &DeployOptions) -> Package {
    deploy::network(network, options).unwrap()
}

/// A network of classes with every estimator.
pub fn classes() -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(7, 20).activation(Activation::Relu))
        .layer(AffineVariationalReparameterization::new(20, 12).activation(Activation::Tanh))
        .layer(AffineVariationalFlipout::new(12, 5));
    Network::new(layers, [7], likelihood::Categorical, 11).unwrap()
}

/// The digits, trained a little, and the test part.
pub fn digits() -> (Network, Dataset) {
    let (train, test) = facade::digits();
    let mut network = facade::digits_network(0);
    Fit::new().batch_size(64).epochs(2).learning_rate(3e-3).run(&mut network, &train).unwrap();
    (network, test)
}

/// The wines, trained a little, and the test part.
pub fn wines() -> (Network, Dataset) {
    let (train, test) = facade::wines();
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(11, 50).activation(Activation::Relu)).layer(layer(50, 1));
    let mut network = Network::new(layers, [11], likelihood::Normal::learned(1.0), 0).unwrap();
    Fit::new().batch_size(64).epochs(2).learning_rate(3e-3).run(&mut network, &train).unwrap();
    (network, test)
}

/// A convolution of images.
pub fn images() -> Network {
    let convolution = ConvolutionVariationalReparameterization::new(1, 4, 5).strides(2).padding(Padding::Same);
    let layers = Sequential::new()
        .layer(convolution.activation(Activation::LeakyRelu))
        .layer(flatten_rightmost(3))
        .layer(AffineVariationalReparameterizationLocal::new(7 * 7 * 4, 10));
    Network::new(layers, [14, 14, 1], likelihood::Categorical, 0).unwrap()
}

/// Whether a tool is here. Where all tests have to run, it is.
pub fn is_here(tool: &str) -> bool {
    let started = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if started.is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "`{tool}` is missing; .ci/run installs it");
    say(&format!("not tested: `{tool}` is missing"));
    false
}

/// Prints also of tests that pass.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether all combinations are to be tested.
pub fn all() -> bool {
    std::env::var_os("BAYESLIFT_ALL").is_some()
}
