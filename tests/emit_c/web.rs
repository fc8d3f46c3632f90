//! WebAssembly, by clang, in node: the same bits.

use crate::{
    c, classes, digits,
    harness::{self, inputs, moments, results, run},
    is_here, options, wines,
};
use bayeslift::prelude::*;
use std::{fs, process::Command};

fn compare(network: &Network, name: &str, x: &[f32], samples: usize) {
    let package = c(network, &options(name).samples(samples).row_block(8));
    let folder = harness::folder(&format!("c/web/{name}"));
    package.write(&folder).unwrap();
    fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("web.mjs"), include_str!("web.mjs")).unwrap();
    let source = format!("{name}.c");
    let mut command = Command::new("clang");
    command.current_dir(&folder).args(["--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-Wall", "-Wextra"]);
    command.args(["-Werror", "-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--export=__heap_base"]);
    for function in ["predict", "self_test"] {
        command.arg(format!("-Wl,--export={name}_{function}"));
    }
    run(command.args([&source, "-o", "network.wasm"]));
    let rows = x.len() / network.input().elements();
    let widths: Vec<String> = results(&package).iter().map(|(_, width)| width.to_string()).collect();
    let workspace = package.manifest["bytes"]["workspace"].to_string();
    let mut command = Command::new("node");
    command.current_dir(&folder).args(["web.mjs", name, &workspace, &rows.to_string(), &samples.to_string()]);
    run(command.args(widths));
    let got = fs::read(folder.join("results")).unwrap();
    let got: Vec<u32> = got.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let options = PredictorOptions::default().samples(samples).seed(5);
    let predictor = Predictor::with_options(network, &options).unwrap();
    let want: Vec<u32> = moments(&predictor, 7, x, &package).into_iter().flatten().map(f32::to_bits).collect();
    assert!(got == want, "{name}: {got:x?} {want:x?}");
}

#[test]
fn web_assembly_gives_the_same_bits() {
    if !is_here("clang") || !is_here("wasm-ld") || !is_here("node") {
        return;
    }
    compare(&classes(), "classes", &inputs(13 * 7), 7);
    let ((of_digits, digits), (of_wines, wines)) = (digits(), wines());
    compare(&of_digits, "digits", digits.inputs(), 16);
    compare(&of_wines, "wines", wines.inputs(), 64);
}
