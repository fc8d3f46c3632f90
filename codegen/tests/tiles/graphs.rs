//! Whole graphs by the interpreter, against the evaluator, as they were lowered and through text.

use crate::stages;
use bayeslift_codegen::{
    Target, lower,
    tile::{TileKernel, interpret},
};
use bayeslift_ir::{
    Graph, Tensor,
    arbitrary::{config, graph_and_inputs},
    evaluate, same_bits,
};
use bayeslift_passes::{Kernel, Plan, simplify};
use proptest::{prelude::*, test_runner::TestRunner};

/// More statements than the largest random graph takes.
const LIMIT: u64 = 1 << 30;

/// The same code, printed and read.
fn through_text(code: &TileKernel) -> Result<TileKernel, String> {
    let again: TileKernel = code.to_string().parse().map_err(|error| format!("printed, it is an error: {error}"))?;
    if again == code.renumbered() { Ok(again) } else { Err(format!("printed, it is other code:\n{again}")) }
}

fn interpreted(plan: &Plan, inputs: &[Tensor], target: Target) -> Result<Vec<Tensor>, String> {
    let lower = |kernel: &Kernel| lower(plan, kernel, target, 2);
    stages::run(plan, inputs, lower, |stage, arguments| {
        let code = through_text(&stage.lowered.code)?;
        let tiles = stage.lowered.tiles as i64;
        // tiles run in any order; a kernel of one tile does not look at the range
        for tiles in [tiles / 2..tiles, 0..tiles / 2].into_iter().filter(|tiles| !tiles.is_empty()) {
            interpret(&code, stage.lowered.lanes, arguments, tiles, LIMIT).map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

fn check(graph: &Graph, inputs: &[Tensor], target: Target) -> Result<(), String> {
    let want = evaluate(graph, inputs).map_err(|e| e.to_string())?;
    let simplified = simplify(graph).map_err(|e| e.to_string())?;
    for graph in [graph, &simplified] {
        let plan = Plan::new(graph.clone()).map_err(|e| e.to_string())?;
        let context = |message| format!("{target}: {message}\n{plan}\n{graph}");
        for (i, (got, want)) in interpreted(&plan, inputs, target).map_err(context)?.iter().zip(&want).enumerate() {
            same_bits(got, want).map_err(|message| context(format!("output {i}: {message}")))?;
        }
    }
    Ok(())
}

/// Random graphs on random machines.
#[test]
fn random_graphs() {
    let targets = prop::sample::select(Target::all().collect::<Vec<_>>());
    let mut runner = TestRunner::new(config(if cfg!(debug_assertions) { 120 } else { 1200 }));
    let run = |((graph, inputs), target): ((Graph, Vec<Tensor>), Target)| {
        check(&graph, &inputs, target).map_err(TestCaseError::fail)
    };
    runner.run(&(graph_and_inputs(), targets), run).unwrap();
}
