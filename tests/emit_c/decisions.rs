//! Decisions in C: by several compilers, on a machine of 32 bits too, in Python and in pages, after as many samples,
//! with the same bits.

use crate::{
    c, classes,
    decision_program::{Asked, DecisionProgram, decided},
    digits,
    harness::{self, inputs, run},
    is_here, options, say,
};
use bayeslift::{
    Abstention, Measure,
    deploy::{self, DeployOptions, Package},
};
use std::{fs, process::Command};

fn deciding(options: DeployOptions, above: f64) -> DeployOptions {
    let abstention = Abstention::new(Measure::PredictiveEntropy, above).unwrap();
    options.samples(16).row_block(4).decide(0.05).abstention(abstention)
}

#[test]
fn compilers_and_machines_decide_alike() {
    let (network, test) = digits();
    let network_of_classes = classes();
    let package = c(&network, &deciding(options("digits"), 0.7));
    let small = c(&network_of_classes, &deciding(options("small"), 1.5));
    let here = [(&["gcc", "-O2"][..], &[][..]), (&["clang", "-O2"], &[]), (&["gcc", "-O0"], &[])];
    let elsewhere = [
        (&["arm-linux-gnueabihf-gcc", "-static", "-O2"][..], &["qemu-arm"][..]),
        (&["arm-linux-gnueabihf-gcc", "-static", "-O2", "-mfpu=neon-vfpv4"], &["qemu-arm"]),
    ];
    for (compiler, runner) in here.into_iter().chain(elsewhere) {
        if !is_here(compiler[0]) || runner.first().is_some_and(|runner| !is_here(runner)) {
            continue;
        }
        let of = |name: &str| format!("c/decisions/{name}/{}", compiler.join("_").replace(['/', '='], "-"));
        let program = DecisionProgram::build(&of("small"), &small, compiler, runner);
        let x: Vec<f32> = inputs(9 * 7).into_iter().map(|x| x * 2.0).collect();
        for (samples, first_row) in [(100, 0), (7, (1 << 32) - 2)] {
            program.compare(&small, &network_of_classes, Asked { rows: 9, samples, seed: 5, first_row }, &x);
        }
        let rows = if runner.is_empty() { 60 } else { 12 };
        let program = DecisionProgram::build(&of("digits"), &package, compiler, runner);
        let asked = Asked { rows, samples: 300, seed: 1, first_row: 0 };
        program.compare(&package, &network, asked, &test.inputs()[..rows * 64]);
    }
}

/// A package of [`classes`], the rows that programs decide on, and what they have to write.
fn made(name: &str, emitted: DeployOptions) -> (Package, Vec<f32>, Vec<u8>) {
    let network = classes();
    let package = deploy::network(&network, &deciding(emitted, 1.5)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let x: Vec<f32> = inputs(9 * 7).into_iter().map(|x| x * 2.0).collect();
    let asked = Asked { rows: 9, samples: 500, seed: 5, first_row: 3 };
    let (_, want) = decided(&package, &network, asked, &x);
    (package, x, want)
}

const IN_PYTHON: &str = r#"
import numpy as np
import net

rows = np.fromfile("inputs", np.float32).reshape(-1, net.INPUTS)
decision = net.decide(rows, seed=5, first_row=3, samples=500)
answer = decision.answer
with open("results", "wb") as file:
    for array in [answer.probabilities, answer.predictive_entropy, answer.expected_entropy, answer.mutual_information]:
        file.write(array.tobytes())
    assert answer.abstain.dtype == np.bool_ and decision.certain.dtype == np.bool_
    for array in [answer.abstain, decision.label, decision.samples, decision.certain]:
        assert array.shape == (9,)
        file.write(array.tobytes())
again = net.predict(rows[:1], seed=5, first_row=3, samples=int(decision.samples[0]))
assert again.abstain[0] == answer.abstain[0] and again.probabilities.tobytes() == answer.probabilities[:1].tobytes()
try:
    net.decide(rows, samples=0)
    raise SystemExit("it took what is wrong")
except net.Error as error:
    assert error.status == "ERROR_SAMPLES"
"#;

#[test]
fn the_module_in_python_decides() {
    let has_numpy = |python: &&str| {
        let output = Command::new(python).args(["-c", "import numpy"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_numpy) else {
        assert!(std::env::var_os("CI").is_none(), "NumPy is missing; .ci/run installs it");
        return say("not tested: NumPy is missing");
    };
    for (name, made_of, emitted) in [("c", "net.c", options("net")), ("object", "net.o", DeployOptions::new("net"))] {
        let (package, x, want) = made(name, emitted);
        let folder = harness::folder(&format!("c/decisions/python/{name}"));
        package.write(&folder).unwrap();
        run(Command::new("cc").current_dir(&folder).args(["-shared", "-O2", "-fPIC", made_of, "-o", "libnet.so"]));
        fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        fs::write(folder.join("program.py"), IN_PYTHON).unwrap();
        run(Command::new(python).current_dir(&folder).arg("program.py"));
        assert!(fs::read(folder.join("results")).unwrap() == want, "{name}");
    }
}

const IN_NODE: &str = r#"
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { strict as assert } from 'node:assert';

const network = await createRequire(import.meta.url)('./net.js').load();
const bytes = readFileSync('inputs');
const rows = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const options = { seed: 5n, firstRow: 3, samples: 500 };
const answer = network.decide(rows, options);
assert.throws(() => network.decide(rows, { samples: 0 }), { status: 'ERROR_SAMPLES' });
const first = network.predict(rows.subarray(0, 7), { ...options, samples: answer.samples[0] });
assert.equal(first.abstain[0], answer.abstain[0]);
writeFileSync('results', Buffer.concat(Object.values(answer).map((array) => Buffer.from(array.buffer))));
"#;

#[test]
fn pages_decide() {
    if !is_here("clang") || !is_here("wasm-ld") || !is_here("node") {
        return;
    }
    let (package, x, want) = made("page", options("net"));
    let folder = harness::folder("c/decisions/web");
    deploy::write(&folder, &package.web().unwrap()).unwrap();
    fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("web.mjs"), IN_NODE).unwrap();
    run(Command::new("node").current_dir(&folder).arg("web.mjs"));
    assert!(fs::read(folder.join("results")).unwrap() == want);
}
