//! `bayeslift compile` writes whole packages, or nothing.

mod common;

use bayeslift::{DeviceTraining, prelude::*};
use common::*;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_package_with_all_that_belongs_to_it() {
    let folder = folder("compile");
    let model = saved(&folder, &classes());
    let output = folder.join("deep").join("package");
    let compile = || {
        let mut command =
            bayeslift(["compile", "--name", "grades", "--samples", "9", "--package", "--weights", "file"]);
        command.args(["--output-names", "low,fair,high"]);
        command.arg(&model).arg("--output").arg(&output);
        command
    };
    let text = answer(&mut compile());
    let files = [
        "grades.h",
        "grades.json",
        "grades.o",
        "grades.pc",
        "grades.py",
        "grades.rs",
        "grades.weights",
        "gradesConfig.cmake",
        "libgrades.a",
    ];
    assert_eq!(names(&output), files);
    assert!(files.iter().all(|file| text.contains(file)) && text.contains("of workspace"), "{text}");
    let read = |name: &str| fs::read(output.join(name)).unwrap();
    let first: Vec<Vec<u8>> = files.iter().map(|name| read(name)).collect();
    let manifest: Value = serde_json::from_slice(&read("grades.json")).unwrap();
    assert_eq!(manifest["inputs"], 4);
    assert_eq!(manifest["outputs"], 3);
    assert_eq!(manifest["bytes"]["weights"], read("grades.weights").len());
    assert_eq!(manifest["output_names"], serde_json::json!(["low", "fair", "high"]));
    let command = "bayeslift compile MODEL --output DIR --name grades --samples 9 --weights file --output-names \
                   'low,fair,high' --package";
    assert_eq!(manifest["command"], command);
    // the same bytes again, over what is there
    let json = answer(compile().arg("--json"));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), manifest);
    assert_eq!(files.iter().map(|name| read(name)).collect::<Vec<_>>(), first);
}

/// What it was told is in the manifest, and the same command says it again.
#[test]
fn abstaining_and_deciding() {
    let folder = folder("compile_decisions");
    let model = saved(&folder, &classes());
    let output = folder.join("package");
    let mut command = bayeslift(["compile", "--samples", "300", "--abstain-above", "0.5", "--decide", "0.01"]);
    let json = answer(command.arg("--json").arg(&model).arg("--output").arg(&output));
    let manifest: Value = serde_json::from_str(&json).unwrap();
    let abstention = serde_json::json!({ "measure": "predictive_entropy", "above": 0.5, "width": 1 });
    assert_eq!(manifest["abstention"], abstention);
    assert_eq!(manifest["decisions"]["error"], 0.01);
    let told = "bayeslift compile MODEL --output DIR --name model --samples 300 --abstain-above 0.5 --decide 0.01";
    assert_eq!(manifest["command"], told);
    let header = fs::read_to_string(output.join("model.h")).unwrap();
    assert!(header.contains("uint8_t *abstain;") && header.contains("int model_decide("), "{header}");
}

#[test]
fn systems_and_instruction_sets() {
    let folder = folder("compile-systems");
    let model = saved(&folder, &numbers(2));
    for (arguments, object) in [
        (&["--target", "aarch64-apple-darwin"][..], "model.o"),
        (&["--target", "x86_64-pc-windows-msvc", "--isa", "v3,v4"], "model.obj"),
        (&["--target", "riscv64gc-unknown-linux-gnu"], "model.o"),
    ] {
        let output = folder.join(arguments[1]);
        answer(bayeslift(["compile"]).args(arguments).arg(&model).arg("--output").arg(&output));
        assert!(names(&output).contains(&object.to_owned()), "{arguments:?}");
        let header = fs::read_to_string(output.join("model.h")).unwrap();
        assert_eq!(header.contains("model_init_isa"), arguments.contains(&"v3,v4"));
    }
}

/// C, with its weights in the text, in a file that a program reads, and in one that the assembler includes.
#[test]
fn c_for_any_system() {
    let folder = folder("compile-c");
    let model = saved(&folder, &numbers(2));
    for (arguments, written) in [
        (
            &["--target", "thumbv7em-none-eabihf", "--row-block", "1"][..],
            &["model.c", "model.h", "model.json", "model.py", "model.rs"][..],
        ),
        (&["--weights", "file"], &["model.c", "model.h", "model.json", "model.py", "model.rs", "model.weights"]),
        (&["--weights", "included"], &["model.c", "model.data", "model.h", "model.json", "model.py", "model.rs"]),
    ] {
        let output = folder.join(arguments[1]);
        answer(bayeslift(["compile", "--emit", "c"]).args(arguments).arg(&model).arg("--output").arg(&output));
        assert_eq!(names(&output), written);
        let manifest: Value = serde_json::from_slice(&fs::read(output.join("model.json")).unwrap()).unwrap();
        let command = manifest["command"].as_str().unwrap();
        assert!(command.contains("--emit c") && command.contains(&arguments.join(" ")), "{command}");
    }
}

/// Each is one sentence on standard error, and nothing is written.
#[test]
fn errors_leave_nothing() {
    let folder = folder("compile-errors");
    let model = saved(&folder, &classes());
    let damaged = folder.join("damaged.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let output = folder.join("output");
    let refused = |model: &Path, output: &Path, arguments: &[&str]| {
        let mut command: Command = bayeslift(["compile"]);
        let output = command.args(arguments).arg(model).arg("--output").arg(output).output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (model, output, arguments, code, says) in [
        (&model, &output, &["--name", "7up"][..], 1, "an identifier of C"),
        (&model, &output, &["--target", "nowhere"], 2, "no objects for `nowhere`"),
        (&model, &output, &["--target", "aarch64-pc-windows-msvc"], 2, "COFF"),
        (&model, &output, &["--target", "thumbv7em-none-eabihf"], 2, "`--emit c` is for any system"),
        (
            &model,
            &output,
            &["--target", "powerpc64-unknown-linux-gnu", "--emit", "c"],
            2,
            "powerpc64-unknown-linux-gnu",
        ),
        (&model, &output, &["--weights", "included"], 1, "in a file of their own"),
        (&model, &output, &["--emit", "c", "--isa", "v3"], 1, "a level of x86-64"),
        (&model, &output, &["--emit", "c", "--package"], 1, "an archive was to be made of C"),
        (&model, &output, &["--isa", "v9"], 2, "v1, v2, v3 and v4"),
        (&model, &output, &["--target", "aarch64-unknown-linux-gnu", "--isa", "v3"], 1, "a level of x86-64"),
        (&model, &output, &["--samples", "0"], 2, "--samples"),
        (&model, &output, &["--input-names", "a,b"], 1, "names of the numbers of a row is 2, expected 4, or none"),
        (&model, &output, &["--output-names", "low,,high"], 1, "a text of one line that is not empty"),
        (&damaged, &output, &[], 1, "digest"),
        (&folder.join("none"), &output, &[], 1, "none"),
        (&model, &file, &[], 1, "file"),
    ] {
        let (found, said) = refused(model, output, arguments);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    assert!(!output.exists());
}

/// A script for pages takes clang: where there is none, one sentence says so, and nothing is written.
#[test]
fn scripts_for_pages() {
    let folder = folder("compile-wasm");
    let (model, output) = (saved(&folder, &numbers(1)), folder.join("output"));
    let compile = || {
        let mut command = bayeslift(["compile", "--emit", "wasm", "--row-block", "1", "--samples", "4"]);
        command.arg(&model).arg("--output").arg(&output);
        command
    };
    let refused = compile().env("PATH", &folder).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("there is no clang; install clang and lld"), "{said}");
    assert!(!output.exists());
    let is_here = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !is_here("clang") || !is_here("wasm-ld") {
        assert!(std::env::var_os("CI").is_none(), "clang and lld are missing; .ci/run installs them");
        return eprintln!("not tested: clang and lld are missing");
    }
    answer(&mut compile());
    assert_eq!(names(&output), ["model.js", "model.json"]);
    let script = fs::read_to_string(output.join("model.js")).unwrap();
    // it may be put into a page as it is
    assert!(script.contains("globalThis.model = network") && !script.contains("</script") && !script.contains('@'));
}

#[test]
fn what_goes_on_training() {
    let folder = folder("compile-train");
    let network = classes();
    let trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let model = folder.join("training.safetensors");
    trainer.save_for_device(&network, &model, &DeviceTraining::new(4)).unwrap();
    let output = folder.join("package");
    let compile = |model: &Path| {
        let mut command = bayeslift(["compile", "--train", "--emit", "c", "--row-block", "1", "--name", "learner"]);
        command.arg(model).arg("--output").arg(&output);
        command
    };
    let text = answer(&mut compile(&model));
    assert_eq!(names(&output), ["learner.c", "learner.h", "learner.json"]);
    let manifest: Value = serde_json::from_slice(&fs::read(output.join("learner.json")).unwrap()).unwrap();
    let state = format!("what it learns is a state of {} bytes", manifest["bytes"]["state"]);
    assert!(text.contains(&state), "{text}");
    assert_eq!(manifest["batch_rows"], 4);
    let command = "bayeslift compile MODEL --output DIR --name learner --samples 64 --train --emit c --row-block 1";
    assert_eq!(manifest["command"], command);
    let header = fs::read_to_string(output.join("learner.h")).unwrap();
    assert!(header.contains("int learner_step(") && header.contains("int learner_predict("), "{header}");
    // a model that knows no steps
    let refused = compile(&saved(&folder, &network)).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success()
            && message.contains("none of `Trainer::save`, `Trainer::save_for_device` and `Fit` wrote it"),
        "{message}"
    );
}
