//! Compiled code against the reference evaluator, bit for bit, on random graphs.
//!
//! `BAYESLIFT_CASES=1000000 cargo test --release --test reproducibility` runs that many graphs; `BAYESLIFT_SEED` says
//! which.

use crate::common::{self, check_everywhere};
use bayeslift_ir::{
    Builder, DType, Expr, Graph, Tensor, Value,
    arbitrary::{config, graph_and_inputs},
};
use bayeslift_passes::{Rewriting, gradients};
use bayeslift_runtime::Options;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// How many random graphs there are if nothing else is asked for.
const CASES: u32 = if cfg!(debug_assertions) { 300 } else { 4000 };

fn check(graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<(), TestCaseError> {
    if let Ok(path) = std::env::var("BAYESLIFT_TRACE") {
        // the case that is about to run, in case it ends the process
        std::fs::write(path, format!("{options:?}\n{graph}"))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
    common::check(graph, inputs, options).map_err(TestCaseError::fail)
}

fn configurations() -> impl Strategy<Value = Options> {
    let widths = proptest::sample::select(&[1, 4, 8, 16][..]);
    let threads = proptest::sample::select(&[1, 2, 3, 8][..]);
    let levels = proptest::sample::select(&[Rewriting::Off, Rewriting::Exact, Rewriting::All][..]);
    (widths, threads, any::<[bool; 2]>(), levels).prop_map(|(width, threads, [simplify, finest], rewriting)| {
        Options::default().lanes(width).threads(threads).simplify(simplify).rewriting(rewriting).finest(finest)
    })
}

fn on_random_graphs(default: u32, check: impl Fn(Graph, &[Tensor], &Options) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(config(default));
    let strategy = (graph_and_inputs(), configurations());
    runner.run(&strategy, |((graph, inputs), options)| check(graph, &inputs, &options)).unwrap();
}

#[test]
fn random_graphs() {
    on_random_graphs(CASES, |graph, inputs, options| check(&graph, inputs, options));
}

/// Random graphs made steps of training: every input of floats that no output updates takes a step down the gradient of
/// the sum of all outputs of floats, in place.
#[test]
fn random_training_steps() {
    on_random_graphs(CASES / 4, |graph, inputs, options| {
        let is_float = |value: Value| graph.ty(value).dtype.is_float();
        let outputs: Vec<Value> = graph.outputs().iter().map(|output| output.value).filter(|&v| is_float(v)).collect();
        let updated: Vec<Option<usize>> = graph.outputs().iter().map(|output| output.updates).collect();
        let free = graph.inputs().iter().enumerate().filter(|(i, _)| !updated.contains(&Some(*i)));
        let free: Vec<Value> = free.map(|(_, input)| input.value).filter(|&v| is_float(v)).collect();
        let is_double = free.iter().any(|&value| graph.ty(value).dtype == DType::F64);
        let b = Builder::from(graph);
        let total = |output: Value| {
            let sum = b.expr(output).sum_all();
            if is_double { sum.to_f64() } else { sum.to_f32() }
        };
        let zero = if is_double { b.constant_f64(0.0) } else { b.constant(0.0) };
        let loss = outputs.iter().fold(zero, |loss, &output| loss + total(output));
        let parameters: Vec<Expr> = free.iter().map(|&input| b.expr(input)).collect();
        for (parameter, gradient) in parameters.iter().zip(gradients(loss, &parameters)) {
            let name = format!("new {}", parameter.value());
            b.output_updating(&name, *parameter - gradient * 0.01, *parameter);
        }
        check(&b.finish().unwrap(), inputs, options)
    });
}

/// `BAYESLIFT_REPLAY=FILE cargo test --test reproducibility -- --ignored` runs the graph of a file.
#[test]
#[ignore = "needs a file"]
fn replay() {
    let path = std::env::var("BAYESLIFT_REPLAY").expect("BAYESLIFT_REPLAY names the file of a graph");
    let text = std::fs::read_to_string(path).unwrap();
    let text = &text[text.find("graph {").unwrap()..];
    let graph: Graph = text.parse().unwrap();
    check_everywhere(&graph);
}
