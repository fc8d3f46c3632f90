//! `bayeslift explain` tells what a model is compiled to, here and elsewhere.

mod common;

use common::*;
use serde_json::Value;
use std::fs;

#[test]
fn a_table_a_picture_and_a_graph() {
    let folder = folder("explain");
    let model = saved(&folder, &classes());
    let [svg, dot] = ["kernels.svg", "kernels.dot"].map(|name| folder.join(name));
    let text = answer(
        bayeslift(["explain", "--samples", "16", "--rows", "8"])
            .arg(&model)
            .arg("--svg")
            .arg(&svg)
            .arg("--dot")
            .arg(&dot),
    );
    assert!(text.contains("kernel") && text.contains("product 128x") || text.contains("16x8"), "{text}");
    let svg = fs::read_to_string(&svg).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(fs::read_to_string(&dot).unwrap().starts_with("digraph"));
}

#[test]
fn json_of_this_machine_and_of_others() {
    let folder = folder("explain-json");
    let model = saved(&folder, &numbers(2));
    let explained = |arguments: &[&str]| -> Value {
        let text = answer(bayeslift(["explain", "--json", "--threads", "1"]).args(arguments).arg(&model));
        assert_eq!(text.lines().count(), 1);
        serde_json::from_str(&text).unwrap()
    };
    let here = explained(&[]);
    let kernels = here["kernels"].as_array().unwrap();
    assert!(kernels.iter().any(|kernel| kernel["origin"] == "affine"), "{here}");
    assert_eq!((&here["threads"], &here["seconds"]), (&1.into(), &Value::Null));
    for target in ["neon", "zen4", "x86-64"] {
        let there = explained(&["--target", target]);
        // the same work, in another time
        assert_eq!(there["total"], here["total"], "{target}");
    }
    assert!(explained(&["--profile=3"])["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(explained(&["--profile=3"])["runs"], 3);
    assert!(explained(&["--rows", "1"])["total"] != here["total"]);
}
