//! Objects of other architectures, run by an emulator.

use super::{classes, doubles, ensembles, facade, harness};
use bayeslift::{
    deploy::{self, DeployOptions, Package},
    prelude::*,
};
use harness::{Call, Program, inputs, inputs_f64};
use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

/// An architecture, with what compiles and runs its programs here.
struct Architecture {
    system: &'static str,
    compiler: &'static str,
    emulator: &'static str,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture { system: "aarch64-unknown-linux-gnu", compiler: "aarch64-linux-gnu-gcc", emulator: "qemu-aarch64" },
    Architecture { system: "riscv64gc-unknown-linux-gnu", compiler: "riscv64-linux-gnu-gcc", emulator: "qemu-riscv64" },
];

impl Architecture {
    /// Whether its programs can be made and run here. Where all tests have to run, they can.
    fn is_here(&self) -> bool {
        let missing = [self.compiler, self.emulator].into_iter().find(|tool| {
            let started = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            started.is_err()
        });
        let Some(tool) = missing else { return true };
        assert!(std::env::var_os("CI").is_none(), "`{tool}` is missing; .ci/run installs it");
        // not by `println`, which tests that pass do not show
        let _ = writeln!(
            io::stderr(),
            "not tested: {}, since `{tool}` is missing (Debian: gcc-*-linux-gnu and qemu-user)",
            self.system
        );
        false
    }

    fn compare(&self, name: &str, network: &Network, calls: &[(usize, usize)]) {
        let package = deploy::network(network, &self.options()).unwrap();
        let program = self.program(name, &package);
        for &(rows, samples) in calls {
            let call = Call { rows, samples, first_row: 1 << 33, ..Call::default() };
            program.compare(&package, network, &call, &inputs(rows * network.input().elements()));
        }
    }

    fn options(&self) -> DeployOptions {
        DeployOptions::new("net").samples(5).row_block(8).for_system(self.system.parse().unwrap())
    }

    fn program(&self, name: &str, package: &Package) -> Program {
        let name = format!("foreign/{}/{name}", self.system);
        Program::build_with(&name, &[package], &[self.compiler, "-static"], &[self.emulator])
    }
}

#[test]
fn other_architectures_give_the_same_bits() {
    for architecture in ARCHITECTURES.iter().filter(|architecture| architecture.is_here()) {
        architecture.compare("classes", &classes(), &[(1, 5), (1, 1), (13, 40), (4, 5)]);
        architecture.compare("digits", &facade::digits_network(0), &[(17, 8)]);
        let layer = AffineVariationalReparameterizationLocal::new;
        let layers = Sequential::new().layer(layer(300, 200).activation(Activation::Relu)).layer(layer(200, 4));
        let large = Network::new(layers, [300], likelihood::Gamma::new(likelihood::Scale::Output), 2).unwrap();
        architecture.compare("large", &large, &[(1, 5), (9, 3)]);
        let members = ensembles::members(2);
        let package = deploy::ensemble(&members, &architecture.options().seed(0)).unwrap();
        let program = architecture.program("members", &package);
        for (rows, samples) in [(1, 5), (9, 3)] {
            let call = Call { rows, samples, ..Call::default() };
            ensembles::compare(&program, &package, &members, &call, &inputs(rows * 7));
        }
        let doubles = doubles::members();
        let package = deploy::ensemble(&doubles, &architecture.options().seed(0)).unwrap();
        let program = architecture.program("doubles", &package);
        for (rows, samples) in [(1, 5), (9, 3)] {
            let call = Call { rows, samples, ..Call::default() };
            ensembles::compare(&program, &package, &doubles, &call, &inputs_f64(rows * 7));
        }
    }
}
