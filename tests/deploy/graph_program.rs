//! Programs in C around graphs, and what compiled code in memory gives.

use crate::harness;
use bayeslift::{
    deploy::{self, DeployOptions},
    ir::{Builder, DType, Graph, Input, Tensor, Type},
    layers::*,
    prelude::*,
    runtime::{Argument, Executable},
};
use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
};

/// A program that reads the inputs of a graph and writes its outputs, those that are updated among the inputs first.
fn source(graph: &Graph, manifest: &serde_json::Value) -> String {
    let mut text = String::from(
        "#include \"graph.h\"\n#include <stdio.h>\n#include <stdlib.h>\n\
         int main(void) {\n  graph_inputs in; graph_outputs out; size_t got = 0; int status;\n  \
         char *workspace = (char *)malloc(GRAPH_WORKSPACE_BYTES + 64);\n  workspace += 64 - (size_t)workspace % 64;\n",
    );
    let t = &mut text;
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let [inputs, outputs] = ["inputs", "outputs"].map(|what| manifest[what].as_array().unwrap().clone());
    for (input, told) in graph.inputs().iter().zip(&inputs) {
        let bytes = graph.ty(input.value).words() * 4;
        let name = name(told);
        writeln!(t, "  {{ void *p = malloc({bytes} + 1); got += fread(p, 1, {bytes}, stdin); in.{name} = p; }}")
            .unwrap();
    }
    let returned: Vec<_> = graph.outputs().iter().filter(|output| output.updates.is_none()).collect();
    for (output, told) in returned.iter().zip(&outputs) {
        let bytes = graph.ty(output.value).words() * 4;
        writeln!(t, "  out.{} = malloc({bytes} + 1);", name(told)).unwrap();
    }
    for (what, all) in [("in", &inputs), ("out", &outputs)] {
        if all.is_empty() {
            writeln!(t, "  {what}.none = workspace;").unwrap();
        }
    }
    writeln!(t, "  status = graph_call(&in, &out, workspace); if (status) return status;").unwrap();
    for output in graph.outputs() {
        let bytes = graph.ty(output.value).words() * 4;
        let from = match output.updates {
            Some(input) => format!("in.{}", name(&inputs[input])),
            None => {
                let at = returned.iter().position(|other| std::ptr::eq(*other, output)).unwrap();
                format!("out.{}", name(&outputs[at]))
            }
        };
        writeln!(t, "  fwrite({from}, 1, {bytes}, stdout);").unwrap();
    }
    let given: usize = graph.inputs().iter().map(|input| graph.ty(input.value).words() * 4).sum();
    writeln!(t, "  return got == {given} ? 0 : 9;\n}}").unwrap();
    text
}

/// The outputs by a program around what these options make of a graph, whose name is `graph`; its files are in the
/// folder.
pub fn outputs(graph: &Graph, inputs: &[Tensor], options: &DeployOptions, folder: &str) -> Vec<Tensor> {
    let package = deploy::graph(graph, options).unwrap();
    let folder = harness::folder(folder);
    package.write(&folder).unwrap();
    fs::write(folder.join("main.c"), source(graph, &package.manifest)).unwrap();
    let made = format!("graph.{}", package.extension);
    harness::run(Command::new("cc").current_dir(&folder).args(["-O1", "main.c", &made, "-o", "main"]));
    let words = |tensor: &Tensor| tensor.words().into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let given: Vec<u8> = inputs.iter().flat_map(words).collect();
    fs::write(folder.join("inputs"), given).unwrap();
    let stdin = Stdio::from(fs::File::open(folder.join("inputs")).unwrap());
    let output = harness::run(Command::new(folder.join("main")).stdin(stdin));
    let mut words = output.stdout.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let types = graph.outputs().iter().map(|output| graph.ty(output.value));
    types.map(|ty| Tensor::from_words(ty, words.by_ref().take(ty.words()).collect()).unwrap()).collect()
}

/// The outputs by compiled code in memory; of those that are updated, the inputs.
pub fn in_memory(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    let executable = Executable::compile(graph.clone(), &Options::default()).unwrap();
    let mut donated = inputs.to_vec();
    let mut workspace = executable.workspace().unwrap();
    let mut returned = executable.new_outputs().unwrap();
    let mut arguments: Vec<_> = donated.iter_mut().map(Argument::from).collect();
    executable.call_into(&mut workspace, &mut arguments, &mut returned).unwrap();
    drop(arguments);
    let mut returned = returned.into_iter();
    let outputs = graph.outputs().iter().map(|output| match output.updates {
        Some(input) => donated[input].clone(),
        None => returned.next().unwrap(),
    });
    outputs.collect()
}

/// Rows of a table that are moved along the sums of their gradients, as a step on a device does it, and inputs.
pub fn table_update() -> (Graph, [Tensor; 2]) {
    let (rows, n, width) = (1000, 300, 5);
    let b = Builder::new();
    let (table, x) = (b.input("table", Type::f32([rows, width])), b.input("x", Type::f32([n])));
    let numbers = x.to_u32();
    let read = table.gather(numbers);
    let first = numbers.first_equal(rows);
    let sums = read.square().scatter_add(first, n).gather(first);
    b.output("all sums", read.scatter_add(numbers, rows));
    b.output_updating("table", table.scatter_rows(numbers, read - sums * 0.1), table);
    let elements = (0..rows * width).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>();
    let x = (0..n).map(|i| if i % 7 == 6 { -0.5 } else { (i * i % 401) as f32 * 3.0 }).collect::<Vec<_>>();
    let inputs = [Tensor::f32([rows, width], elements).unwrap(), Tensor::f32([n], x).unwrap()];
    (b.finish().unwrap(), inputs)
}

/// A forward pass of a network of `f64` with every estimator, and inputs.
pub fn double_network() -> (Graph, Vec<Tensor>) {
    let layers = Sequential::new()
        .layer(EmbeddingVariationalReparameterizationLocal::new(9, 3))
        .layer(Flatten)
        .layer(AffineVariationalFlipout::new(6, 5).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(5, 4).activation(Activation::Gelu))
        .layer(AffineVariationalReparameterization::new(4, 2))
        .dtype(DType::F64);
    let network = Network::new(layers, [2], likelihood::Normal::learned(0.5), 3).unwrap();
    let graph = network.graph(7).unwrap();
    let input = |input: &Input| match input.name.as_str() {
        "x" => Tensor::f64([7, 2], (0..14).map(|i| f64::from(i * i % 11)).collect::<Vec<f64>>()).unwrap(),
        "noise/key" => Tensor::u32([4], [1, 2, 3, 4]).unwrap(),
        name if name.starts_with("noise/") => Tensor::zeros(graph.ty(input.value)).unwrap(),
        path => network.parameters().get(path).unwrap().tensor.clone(),
    };
    let inputs = graph.inputs().iter().map(input).collect();
    (graph, inputs)
}
