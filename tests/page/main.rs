//! The page of `examples/page` in a browser, opened as a file: its answers have the predictor's bits, and digits that
//! are drawn with the mouse are read.
//!
//! clang, `wasm-ld`, node and Chromium are needed; with `CI=true` they have to be there, and `.ci/run` installs them.

#[allow(dead_code)] // The test uses a part of it.
#[path = "../facade/mod.rs"]
mod facade;
#[path = "../../examples/page/page.rs"]
mod page;

use bayeslift::prelude::*;
use serde_json::Value;
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whether a tool is here. Where all tests have to run, it is.
fn is_here(tool: &str) -> bool {
    let is_here = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(is_here || env::var_os("CI").is_none(), "`{tool}` is missing; .ci/run installs it");
    if !is_here {
        let _ = writeln!(io::stderr(), "not tested: `{tool}` is missing");
    }
    is_here
}

/// The bits of floats that went through JSON: as doubles, which hold them.
fn bits(array: &Value) -> Vec<u32> {
    array.as_array().unwrap().iter().map(|value| (value.as_f64().unwrap() as f32).to_bits()).collect()
}

#[test]
fn a_page_reads_digits() {
    if !["clang", "wasm-ld", "node", "chromium"].into_iter().all(is_here) {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = root.join("examples/no_std/digits.safetensors");
    let (_, test) = facade::digits();
    let numbers: Vec<usize> = (0..test.rows()).map(|row| row * 5 + 4).collect();
    let made = page::page(&model, &test, &numbers).unwrap();
    assert!(made.accuracy > 0.97, "{}", made.accuracy);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("digits.html");
    fs::write(&path, made.html).unwrap();
    let mut command = Command::new("node");
    command.arg(root.join("tests/page/browser.mjs")).arg("chromium").arg(&path);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    for samples in [1, page::SAMPLES] {
        let predictor = Predictor::open_with_options(&model, &PredictorOptions::default().samples(samples)).unwrap();
        let want = predictor.classify(test.inputs()).unwrap();
        let rows = told["told"][samples.to_string()].as_array().unwrap();
        assert_eq!(rows.len(), test.rows());
        for (row, got) in rows.iter().enumerate() {
            for (name, want, width) in [
                ("probabilities", want.probabilities(), 10),
                ("predictive_entropy", want.predictive_entropy(), 1),
                ("expected_entropy", want.expected_entropy(), 1),
                ("mutual_information", want.mutual_information(), 1),
            ] {
                let want: Vec<u32> = want[row * width..][..width].iter().map(|x| x.to_bits()).collect();
                assert_eq!(bits(&got[name]), want, "{name} of row {row}, {samples} samples");
            }
        }
    }
    assert_eq!(told["linked"], "test image 89, a 3: it was not trained on this");
    for digit in 0..10 {
        let drawn = &told["drawn"][digit.to_string()];
        assert_eq!(drawn["digit"], digit.to_string(), "{drawn}");
        // of what is seen: as high as the images of the data set, with as much ink
        let pixels: Vec<u64> =
            drawn["pixels"].as_array().unwrap().iter().map(|pixel| pixel.as_u64().unwrap()).collect();
        assert!(pixels.chunks(8).all(|line| line.iter().sum::<u64>() > 0), "{pixels:?}");
        assert!((290..340).contains(&pixels.iter().sum::<u64>()), "{pixels:?}");
    }
    assert_eq!(told["cleared"], serde_json::json!(["", "Nothing is drawn yet."]));
    assert_eq!(told["failures"], serde_json::json!([]));
    // what the page says of itself
    let sure = told["sure"].as_u64().unwrap();
    assert!((196..=224).contains(&sure), "{sure} of 300 scribbles were named with more than 90 %");
}
