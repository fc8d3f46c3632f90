//! Compiled code against the reference evaluator, bit for bit, on random graphs.
//!
//! `BAYESLIFT_CASES=1000000 cargo test --release -p bayeslift-runtime --test differential` runs that many graphs.

use bayeslift_ir::{Graph, Tensor, arbitrary::graph_and_inputs, evaluate, same_bits};
use bayeslift_runtime::{Argument, Executable, Options, Width};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// All outputs in the graph's order, also those that update an input.
fn run(graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<Vec<Tensor>, String> {
    let executable = Executable::compile(graph.clone(), options).map_err(|error| error.to_string())?;
    let mut workspace = executable.workspace().map_err(|error| error.to_string())?;
    let mut inputs = inputs.to_vec();
    let mut arguments: Vec<Argument> = inputs.iter_mut().map(Argument::from).collect();
    let mut returned = executable.call(&mut workspace, &mut arguments).map_err(|error| error.to_string())?.into_iter();
    drop(arguments);
    let outputs = graph.outputs().iter().map(|output| match output.updates {
        Some(input) => inputs[input].clone(),
        None => returned.next().expect("an output for each that updates no input"),
    });
    Ok(outputs.collect())
}

fn check(graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<(), TestCaseError> {
    if let Ok(path) = std::env::var("BAYESLIFT_TRACE") {
        // the case that is about to run, in case it ends the process
        std::fs::write(path, format!("{options:?}\n{graph}"))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
    let want = evaluate(graph, inputs).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let got = run(graph, inputs, options).map_err(TestCaseError::fail)?;
    for ((got, want), output) in got.iter().zip(&want).zip(graph.outputs()) {
        same_bits(got, want)
            .map_err(|message| TestCaseError::fail(format!("{options:?}\n{}: {message}\n{graph}", output.name)))?;
    }
    Ok(())
}

fn configurations() -> impl Strategy<Value = Options> {
    (any::<bool>(), 1..4usize, any::<bool>()).prop_map(|(wide, threads, simplify)| {
        let width = if wide { Width::Four } else { Width::One };
        Options::default().width(width).threads(threads).simplify(simplify)
    })
}

#[test]
fn random_graphs() {
    let cases = std::env::var("BAYESLIFT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let config = Config { cases, max_shrink_iters: 4096, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = (graph_and_inputs(), configurations());
    runner.run(&strategy, |((graph, inputs), options)| check(&graph, &inputs, &options)).unwrap();
}

#[test]
fn replay() {
    let Ok(path) = std::env::var("BAYESLIFT_REPLAY") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let text = &text[text.find("graph {").unwrap()..];
    let graph: Graph = text.parse().unwrap();
    let inputs: Vec<Tensor> = graph
        .inputs()
        .iter()
        .map(|input| {
            let ty = graph.ty(input.value);
            let words = (0..ty.shape.elements()).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
            Tensor::from_words(ty, words).unwrap()
        })
        .collect();
    for threads in 1..4 {
        for width in [Width::One, Width::Four] {
            for simplify in [false, true] {
                let options = Options::default().width(width).threads(threads).simplify(simplify);
                eprintln!("{options:?}");
                check(&graph, &inputs, &options).unwrap();
            }
        }
    }
}
