//! Scripts for pages, with WebAssembly by clang, in node: the same bits.

use crate::{
    c, classes, digits,
    doubles::doubles,
    harness::{self, Number, inputs, inputs_f64, moments, run},
    is_here, options, wines,
};
use bayeslift::{
    deploy::{self, Weights},
    prelude::*,
};
use std::{fs, process::Command};

fn compare<T: Number>(network: &Network, name: &str, x: &[T], samples: usize) {
    let package = c(network, &options(name).samples(samples).row_block(8));
    let folder = harness::folder(&format!("c/web/{name}"));
    deploy::write(&folder, &package.web().unwrap()).unwrap();
    fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.bytes()).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("web.mjs"), include_str!("web.mjs")).unwrap();
    run(Command::new("node").current_dir(&folder).args(["web.mjs", name, &samples.to_string(), &T::DTYPE.to_string()]));
    let got = fs::read(folder.join("results")).unwrap();
    let options = PredictorOptions::default().samples(samples).seed(5);
    let predictor = Predictor::with_options(network, &options).unwrap();
    let want: Vec<u8> = moments(&predictor, 7, x, &package).into_iter().flatten().flat_map(T::bytes).collect();
    assert!(got == want, "{name}: {got:x?} {want:x?}");
}

#[test]
fn web_assembly_gives_the_same_bits() {
    if !is_here("clang") || !is_here("wasm-ld") || !is_here("node") {
        return;
    }
    compare(&classes(), "classes", &inputs(13 * 7), 7);
    compare(&doubles(), "doubles", &inputs_f64(13 * 7), 7);
    let ((of_digits, digits), (of_wines, wines)) = (digits(), wines());
    compare(&of_digits, "digits", digits.inputs(), 16);
    compare(&of_wines, "wines", wines.inputs(), 64);
    let apart = c(&classes(), &options("apart").weights(Weights::File)).web().unwrap_err().to_string();
    assert!(apart.contains("with weights inside"), "{apart}");
}
