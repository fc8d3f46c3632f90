//! `bayeslift inspect` tells what is in a model file.

mod common;

use bayeslift::prelude::*;
use common::*;
use serde_json::{Value, json};

#[test]
fn json_has_all_that_the_file_has() {
    let folder = folder("inspect-json");
    let mut network = classes();
    let data = Dataset::classification([4], inputs(4 * 20), vec![1; 20]).unwrap();
    Fit::new().epochs(1).run(&mut network, &data).unwrap();
    let model = saved(&folder, &network);
    let text = answer(bayeslift(["inspect", "--json"]).arg(&model));
    assert_eq!(text.lines().count(), 1);
    let found: Value = serde_json::from_str(&text).unwrap();
    let file = ModelFile::read(&model).unwrap();
    for (key, expected) in [
        ("format_version", json!(file.version)),
        ("emitter_version", json!(file.emitter)),
        ("digest", json!(file.digest)),
        ("predicts_alone", json!(true)),
        ("input", json!([4])),
        ("target", json!({ "support": "classes", "classes": 3, "shape": [], "events": [] })),
        ("likelihood", json!(file.likelihood)),
        ("training_examples", json!(20)),
        ("steps", json!(file.steps)),
        ("epochs", json!(file.epochs)),
        ("seed", json!(7)),
        // locations and scales of the weights, and of the biases locations
        ("elements", json!(file.parameters.iter().map(|(_, p)| p.tensor.shape().elements()).sum::<usize>())),
        ("trainable_elements", json!(found["elements"])),
        ("bytes", json!(found["elements"].as_u64().unwrap() * 4)),
    ] {
        assert_eq!(found[key], expected, "{key}");
    }
    let kinds: Vec<&str> = found["layers"].as_array().unwrap().iter().map(|x| x["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds.len()), ("sequential", 3));
    assert_eq!(found["layers"][1]["options"]["output_size"], "8");
    let parameters = found["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), file.parameters.len());
    assert_eq!(parameters[0]["path"], "affine/kernel/loc");
    assert_eq!((&parameters[0]["shape"], &parameters[0]["bytes"]), (&json!([4, 8]), &json!(128)));
    assert_eq!((&parameters[0]["group"], &parameters[0]["trainable"]), (&json!("loc"), &json!(true)));
    for key in ["posteriors", "priors", "parameterization"] {
        assert!(found[key][0]["text"].is_string(), "{key}");
    }
}

#[test]
fn text_is_for_people() {
    let folder = folder("inspect-text");
    let mut network = numbers(2);
    network.parameters_mut().set_trainable(false, |path, _| path == "affine/kernel/loc");
    let text = answer(bayeslift(["inspect"]).arg(saved(&folder, &network)));
    for part in [
        "inputs       2 numbers",
        "targets      a number, for each of 2 places of [2]",
        "fitted to    nothing that the file tells of",
        "seed         3",
        "sequential\n",
        " 2 -> 8, activation tanh",
        "affine/kernel/loc ",
        "[2, 8]",
        "loc, not trained",
        "are trained",
        "priors\n",
        "Normal(loc = ",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()));
}
