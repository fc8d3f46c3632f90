//! Models of `f64`: all digits of inputs are read, and all of answers written.

mod common;

use bayeslift::{
    Ensemble, EnsemblePredictor,
    deploy::{self, DeployOptions},
    ir::DType,
    prelude::*,
};
use common::*;
use serde_json::Value;
use std::{fs, path::Path};

fn double(seed: u64) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(2, 8).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(8, 1));
    Network::new(layers.dtype(DType::F64), [2], likelihood::Normal::learned(0.5), seed).unwrap()
}

/// Numbers that differ in digits that `f32` has not.
fn doubles(count: usize) -> Vec<f64> {
    inputs(count).into_iter().zip(1..).map(|(x, i)| f64::from(x) + 1e-10 * f64::from(i)).collect()
}

fn predict(model: &Path, file: &Path) -> String {
    answer(bayeslift(["predict", "--samples", "7"]).arg(model).arg(file))
}

#[test]
fn answers_have_all_digits() {
    let folder = folder("doubles-predict");
    let (network, x) = (double(3), doubles(2 * 300));
    let model = saved(&folder, &network);
    let options = PredictorOptions::default().samples(7);
    let predictor = Predictor::with_options(&network, &options).unwrap();
    let want = predictor.double().unwrap().regress(&x).unwrap();
    let elements = |of: fn(f64) -> [u8; 8]| x.iter().flat_map(|&x| of(x)).collect::<Vec<u8>>();
    for (name, bytes) in [
        ("rows.csv", csv(2, &x).into_bytes()),
        ("little.npy", npy("<f8", false, "(300, 2)", &elements(f64::to_le_bytes))),
        ("big.npy", npy(">f8", false, "(300, 2)", &elements(f64::to_be_bytes))),
    ] {
        let file = folder.join(name);
        fs::write(&file, bytes).unwrap();
        let text = predict(&model, &file);
        let (header, lines) = parsed(&text);
        assert_eq!(header, "mean,aleatoric,epistemic,total");
        assert_eq!(lines.len(), 300);
        for (row, fields) in lines.iter().enumerate() {
            let told = [want.mean(), want.aleatoric(), want.epistemic(), want.total()].map(|values| values[row]);
            assert_bits(fields, &told);
        }
    }
    assert!(want.mean().iter().any(|&x| f64::from(x as f32) != x));
}

#[test]
fn members_answer_with_all_digits() {
    let folder = folder("doubles-ensemble");
    let (ensemble, model) = (Ensemble::new(3, |member| Ok(double(member))).unwrap(), folder.join("members"));
    ensemble.save(&model).unwrap();
    let (x, file) = (doubles(2 * 5), folder.join("rows.csv"));
    fs::write(&file, csv(2, &x)).unwrap();
    let predictor = EnsemblePredictor::with_options(&ensemble, &PredictorOptions::default().samples(7)).unwrap();
    let want = predictor.double().unwrap().regress(&x).unwrap();
    let text = predict(&model, &file);
    let (header, lines) = parsed(&text);
    assert_eq!(header, "mean,aleatoric,epistemic,total,epistemic_within,epistemic_between");
    for (row, fields) in lines.iter().enumerate() {
        let all = [want.all.mean(), want.all.aleatoric(), want.all.epistemic(), want.all.total()];
        let told = [all[0], all[1], all[2], all[3], &want.within, &want.between].map(|values| values[row]);
        assert_bits(fields, &told);
    }
}

/// What `f32` has not is a number here, and what `f64` has not is none.
#[test]
fn numbers_that_are_too_large_are_told() {
    let folder = folder("doubles-errors");
    let (model, file) = (saved(&folder, &double(3)), folder.join("rows.csv"));
    fs::write(&file, "1e100,-1e120\n").unwrap();
    let text = predict(&model, &file);
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    for (text, expected) in [
        ("1,2\n3,1e400\n", "line 2, column 2: `1e400` is not finite in f64; inputs are finite numbers up to 1.797"),
        ("1,nan\n", "`nan` is not a number"),
        ("1,2\n1e300,0\n", "line 2 is not finite: its largest input is 1e300;"),
    ] {
        fs::write(&file, text).unwrap();
        let output = bayeslift(["predict"]).arg(&model).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
}

/// The object is that of the library, and its type is told; so are sizes of what the file holds.
#[test]
fn objects_and_files_tell_their_type() {
    let folder = folder("doubles-compile");
    let network = double(3);
    let (model, output) = (saved(&folder, &network), folder.join("package"));
    let command = ["compile", "--samples", "6", "--name", "net", "--json"];
    let json = answer(bayeslift(command).arg(&model).arg("--output").arg(&output));
    let manifest: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(manifest["dtype"], "f64");
    let package = deploy::network(&network, &DeployOptions::new("net").samples(6)).unwrap();
    assert!(fs::read(output.join("net.o")).unwrap() == package.object);
    assert!(fs::read_to_string(output.join("net.h")).unwrap().contains("double *mean;"));

    let told: Value = serde_json::from_str(&answer(bayeslift(["inspect", "--json"]).arg(&model))).unwrap();
    assert_eq!(told["bytes"].as_u64().unwrap(), 8 * told["elements"].as_u64().unwrap());
    assert_eq!(told["parameters"][0]["dtype"], "f64");
    let text = answer(bayeslift(["inspect"]).arg(&model));
    assert!(text.contains(" numbers of f64 in "), "{text}");
}
