//! A folder of members is a model, to all commands that take one: looked at, predicted with, compiled.

mod common;

use bayeslift::{EnsemblePredictor, prelude::*};
use common::*;
use serde_json::Value;
use std::fs;

#[test]
fn predictions_are_those_of_the_library() {
    let folder = folder("ensemble-predict");
    let (ensemble, model) = ensemble(&folder);
    let x = inputs(4 * 300);
    let rows = folder.join("rows.csv");
    fs::write(&rows, csv(4, &x)).unwrap();
    let text = answer(bayeslift(["predict", "--samples", "5", "--first-row", "9"]).arg(&model).arg(&rows));
    let predictor = EnsemblePredictor::with_options(&ensemble, &PredictorOptions::default().samples(5)).unwrap();
    let want = predictor.classify_from(9, &x).unwrap();
    let (header, lines) = parsed(&text);
    assert_eq!(
        header,
        "label,probability_0,probability_1,probability_2,predictive_entropy,expected_entropy,mutual_information,\
         information_within,information_between"
    );
    assert_eq!(lines.len(), 300);
    for (row, fields) in lines.iter().enumerate() {
        let all = &want.all;
        assert_eq!(fields[0], all.labels()[row].unwrap().to_string());
        let others =
            [all.predictive_entropy(), all.expected_entropy(), all.mutual_information(), &want.within, &want.between];
        let others: Vec<f32> = others.iter().map(|values| values[row]).collect();
        assert_bits(&fields[1..], &[all.row(row), &others].concat());
    }
    assert!(want.between.iter().any(|&x| x > 1e-3), "members that are alike: the test is void");
}

#[test]
fn all_members_are_told() {
    let folder = folder("ensemble-inspect");
    let (_, model) = ensemble(&folder);
    let text = answer(bayeslift(["inspect"]).arg(&model));
    for part in
        ["  3 members\n", "member-0.safetensors", "member-2.safetensors", "seed 9, 0 steps", "affine/kernel/loc "]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let json: Value = serde_json::from_str(&answer(bayeslift(["inspect", "--json"]).arg(&model))).unwrap();
    let seeds: Vec<u64> = json["members"].as_array().unwrap().iter().map(|m| m["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [7, 8, 9]);
}

/// One object, the same bytes as by the library, and hardly more code than a member's.
#[test]
fn an_ensemble_is_one_object() {
    let folder = folder("ensemble-compile");
    let (_, model) = ensemble(&folder);
    let output = folder.join("package");
    let compile = |model: &std::path::Path, name: &str| {
        let mut command = bayeslift(["compile", "--weights", "file", "--samples", "6", "--name", name, "--json"]);
        let json = answer(command.arg(model).arg("--output").arg(&output));
        serde_json::from_str::<Value>(&json).unwrap()
    };
    let [all, one] = [compile(&model, "all"), compile(&model.join("member-0.safetensors"), "one")];
    assert_eq!(all["members"], 3);
    assert_eq!(one["members"], Value::Null);
    let names: Vec<&str> = all["results"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    let expected = ["probabilities", "predictive_entropy", "expected_entropy", "mutual_information"];
    assert_eq!(names, [&expected[..], &["information_within", "information_between"]].concat());
    let bytes = |manifest: &Value, what: &str| manifest["bytes"][what].as_u64().unwrap();
    assert!(bytes(&all, "code") < bytes(&one, "code") * 3 / 2, "{all} {one}");
    // members that were not trained have some tensors in common, such as biases of 0, which are there once
    let ratio = bytes(&all, "weights") as f64 / bytes(&one, "weights") as f64;
    assert!(ratio > 1.5 && ratio < 3.0, "{ratio}");
    assert_eq!(fs::read(output.join("all.weights")).unwrap().len() as u64, bytes(&all, "weights"));
}

#[test]
fn a_member_that_is_missing_is_named() {
    let folder = folder("ensemble-errors");
    let (_, model) = ensemble(&folder);
    let refused = |command: &str| {
        let mut command = bayeslift([command]);
        match command.get_args().next().unwrap().to_str().unwrap() {
            "predict" => command.arg(&model).arg("none.csv"),
            "compile" => command.arg(&model).arg("--output").arg(folder.join("package")),
            _ => command.arg(&model),
        };
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        String::from_utf8(output.stderr).unwrap()
    };
    fs::remove_file(model.join("member-1.safetensors")).unwrap();
    for command in ["inspect", "predict", "compile"] {
        let said = refused(command);
        assert!(said.contains("member-1.safetensors"), "{command}: {said}");
    }
    fs::remove_dir_all(&model).unwrap();
    fs::create_dir(&model).unwrap();
    for command in ["inspect", "predict", "compile"] {
        let said = refused(command);
        assert!(said.contains("member-0.safetensors"), "{command}: {said}");
    }
}
