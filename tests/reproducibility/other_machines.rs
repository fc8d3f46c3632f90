//! Code for machines that are elsewhere: lowered for one, printed, read again and interpreted, a graph has the bits
//! that this machine's compiled code gives.

use crate::{common, stages};
use bayeslift_codegen::{
    Target, lower,
    tile::{TileKernel, interpret},
};
use bayeslift_ir::{
    Graph, Tensor,
    arbitrary::{config, graph_and_inputs},
    same_bits,
};
use bayeslift_passes::{Plan, Rewriting};
use bayeslift_runtime::Options;
use proptest::{prelude::*, test_runner::TestRunner};

/// More statements than a random graph takes.
const LIMIT: u64 = 1 << 30;

fn check(graph: &Graph, inputs: &[Tensor], target: Target) -> Result<(), String> {
    let want = common::run(graph, inputs, &Options::default().threads(2).rewriting(Rewriting::Off).simplify(false))?;
    let plan = Plan::new(graph.clone()).map_err(|error| error.to_string())?;
    let lower = |kernel: &_| lower(&plan, kernel, target, 2);
    let got = stages::run(&plan, inputs, lower, |stage, arguments| {
        // reading verifies
        let code: TileKernel = stage.lowered.code.to_string().parse().map_err(|error| format!("{error}"))?;
        let tiles = 0..stage.lowered.tiles as i64;
        interpret(&code, stage.lowered.lanes, arguments, tiles, LIMIT).map_err(|error| error.to_string())
    })?;
    for ((got, want), output) in got.iter().zip(&want).zip(graph.outputs()) {
        same_bits(got, want).map_err(|message| format!("{}: {message}\n{graph}", output.name))?;
    }
    Ok(())
}

#[test]
fn code_for_other_machines_has_the_bits_of_this_one() {
    let targets: Vec<Target> = Target::all().filter(|target| target.machine() != Target::host().machine()).collect();
    assert!(targets.len() > 2, "{targets:?}");
    let mut runner = TestRunner::new(config(if cfg!(debug_assertions) { 60 } else { 600 }));
    let run = |((graph, inputs), target): ((Graph, Vec<Tensor>), Target)| {
        check(&graph, &inputs, target).map_err(|message| TestCaseError::fail(format!("{target}: {message}")))
    };
    runner.run(&(graph_and_inputs(), prop::sample::select(targets)), run).unwrap();
}
