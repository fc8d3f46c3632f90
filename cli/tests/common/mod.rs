//! What tests of the command have in common: folders, models, and running it.

#![allow(dead_code)] // each test uses a part of it

use bayeslift::{Ensemble, Float, prelude::*};
use std::{
    fmt::Display,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// An empty folder.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// The command with these arguments.
pub fn bayeslift<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bayeslift"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What it writes to standard output, if all goes well and it says nothing else.
pub fn answer(command: &mut Command) -> String {
    succeeded(command.output().unwrap())
}

/// As [`answer`], with this standard input.
pub fn answer_to(command: &mut Command, input: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    succeeded(child.wait_with_output().unwrap())
}

fn succeeded(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Three classes of four numbers.
pub fn classes() -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(4, 8).activation(Activation::Relu))
        .layer(AffineVariationalReparameterizationLocal::new(8, 3));
    Network::new(layers, [4], likelihood::Categorical, 7).unwrap()
}

/// `units` numbers of two numbers.
pub fn numbers(units: usize) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(2, 8).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(8, units));
    Network::new(layers, [2], likelihood::Normal::learned(0.5), 3).unwrap()
}

/// Two classes of two numbers, of weights that are so large that large inputs have no prediction.
pub fn large() -> Network {
    let mut network =
        Network::new(AffineVariationalReparameterizationLocal::new(2, 2), [2], likelihood::Categorical, 0).unwrap();
    let weights = bayeslift::ir::Tensor::f32([2, 2], [100.0_f32; 4]).unwrap();
    network.parameters_mut().assign("kernel/loc", weights).unwrap();
    network
}

/// Saves a network in a folder.
pub fn saved(folder: &Path, network: &Network) -> PathBuf {
    let path = folder.join("model.safetensors");
    network.save(&path).unwrap();
    path
}

/// Members that are like [`classes`], of other seeds, and the folder that they are saved in.
pub fn ensemble(folder: &Path) -> (Ensemble, PathBuf) {
    let member = |seed| {
        let layers = Sequential::new()
            .layer(AffineVariationalReparameterizationLocal::new(4, 8).activation(Activation::Relu))
            .layer(AffineVariationalReparameterizationLocal::new(8, 3));
        Network::new(layers, [4], likelihood::Categorical, 7 + seed)
    };
    let (ensemble, path) = (Ensemble::new(3, member).unwrap(), folder.join("members"));
    ensemble.save(&path).unwrap();
    (ensemble, path)
}

/// `count` inputs, neither regular nor large.
pub fn inputs(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 23.0).collect()
}

/// Rows as CSV.
pub fn csv<T: Display>(width: usize, values: &[T]) -> String {
    let line = |row: &[T]| row.iter().map(T::to_string).collect::<Vec<_>>().join(",") + "\n";
    values.chunks(width).map(line).collect()
}

/// An array as NumPy saves it.
pub fn npy(element_type: &str, is_column_major: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
    let order = if is_column_major { "True" } else { "False" };
    let header = format!("{{'descr': '{element_type}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
}

/// The header of an answer, and its fields line by line.
pub fn parsed(answer: &str) -> (&str, Vec<Vec<&str>>) {
    let mut lines = answer.lines();
    (lines.next().unwrap(), lines.map(|line| line.split(',').collect()).collect())
}

/// Compares fields with numbers, by their bits.
pub fn assert_bits<'a, T: Float>(fields: impl IntoIterator<Item = &'a &'a str>, expected: &[T]) {
    let found: Vec<u64> = fields.into_iter().map(|field| field.parse::<T>().unwrap().order()).collect();
    assert_eq!(found, expected.iter().map(|x| x.order()).collect::<Vec<_>>(), "{expected:?}");
}
