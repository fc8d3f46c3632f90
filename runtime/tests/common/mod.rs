//! Compiled code against the reference evaluator.

#![allow(dead_code, reason = "not every test uses everything")]

pub mod process;
pub mod windows;

use bayeslift_ir::{DType, Graph, Tensor, evaluate, same_bits};
use bayeslift_passes::Rewriting;
use bayeslift_runtime::{Argument, Executable, Options};

/// All outputs of a call in the graph's order, also those that update an input.
pub fn run(graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<Vec<Tensor>, String> {
    let executable = Executable::compile(graph.clone(), options).map_err(|error| error.to_string())?;
    let outputs = call(&executable, graph, inputs)?;
    if options.is_finest() && options.threads > 1 {
        again(&executable, graph, inputs, &outputs)?;
    }
    Ok(outputs)
}

/// Calls several times without a pause, so that other threads have been woken when the later calls begin.
fn again(executable: &Executable, graph: &Graph, inputs: &[Tensor], want: &[Tensor]) -> Result<(), String> {
    const CALLS: usize = 12;
    let mut workspace = executable.workspace().map_err(|error| error.to_string())?;
    let mut calls: Vec<_> = (0..CALLS).map(|_| (inputs.to_vec(), executable.new_outputs().unwrap())).collect();
    let mut arguments: Vec<_> = calls
        .iter_mut()
        .map(|(inputs, outputs)| (inputs.iter_mut().map(Argument::from).collect::<Vec<_>>(), outputs))
        .collect();
    for (inputs, outputs) in &mut arguments {
        executable.call_into(&mut workspace, inputs, outputs).map_err(|error| error.to_string())?;
    }
    for (inputs, returned) in calls {
        let mut returned = returned.iter();
        for (output, want) in graph.outputs().iter().zip(want) {
            let got = output.updates.map_or_else(|| returned.next().expect("one each"), |input| &inputs[input]);
            same_bits(got, want).map_err(|message| format!("{}, called again: {message}\n{graph}", output.name))?;
        }
    }
    Ok(())
}

/// As [`run`], of a graph that is compiled.
pub fn call(executable: &Executable, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
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

/// Whether compiled code gives the evaluator's bits, of the rewritten graph if that rounds differently.
pub fn check(graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<(), String> {
    let rewritten = match options.rewriting {
        Rewriting::Off | Rewriting::Exact => None,
        _ => Some(options.optimize(graph).map_err(|error| error.to_string())?.graph),
    };
    let want = evaluate(rewritten.as_ref().unwrap_or(graph), inputs).map_err(|error| error.to_string())?;
    let got = run(graph, inputs, options)?;
    for ((got, want), output) in got.iter().zip(&want).zip(graph.outputs()) {
        same_bits(got, want).map_err(|message| format!("{options:?}\n{}: {message}\n{graph}", output.name))?;
    }
    Ok(())
}

/// Floats for every input.
pub fn some_inputs(graph: &Graph) -> Vec<Tensor> {
    let tensor = |input: &bayeslift_ir::Input| {
        let ty = graph.ty(input.value);
        let elements = 0..ty.shape.elements();
        if ty.dtype == DType::F64 {
            return Tensor::f64(&ty.shape[..], elements.map(|i| (i as f64 * 0.37).sin()).collect::<Vec<_>>()).unwrap();
        }
        let words = elements.map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        Tensor::from_words(ty, words).unwrap()
    };
    graph.inputs().iter().map(tensor).collect()
}

/// Checks a graph of floats at both widths, on one to three threads, simplified or not.
#[track_caller]
pub fn check_everywhere(graph: &Graph) {
    let inputs = some_inputs(graph);
    for threads in 1..4 {
        for width in [1, 4, 8, 16] {
            for simplify in [false, true] {
                let options = Options::default().lanes(width).threads(threads).simplify(simplify).finest(true);
                check(graph, &inputs, &options).unwrap();
            }
        }
    }
}
