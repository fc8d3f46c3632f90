//! The generator of random graphs: what it makes is well-formed, runs, and covers every operation.

use bayeslift_ir::{
    Binary, Compare, DOT_CHUNK, DType, Graph, Noise, NoiseDistribution, Op, Output, Tensor, Unary,
    arbitrary::{config, graph_and_inputs},
    evaluate, same_bits, verify,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn graphs_are_well_formed_and_run((graph, inputs) in graph_and_inputs()) {
        prop_assert_eq!(verify(&graph), Ok(()));
        let outputs = evaluate(&graph, &inputs).unwrap();
        for (output, tensor) in graph.outputs().iter().zip(&outputs) {
            prop_assert_eq!(graph.ty(output.value), &tensor.ty());
        }
        let again = evaluate(&graph, &inputs).unwrap();
        for (a, b) in outputs.iter().zip(&again) {
            prop_assert_eq!(same_bits(a, b), Ok(()));
        }
    }
}

/// The operations, besides elementwise functions. Tests on random graphs print and read, evaluate, differentiate and
/// compile them.
const OPERATIONS: &str = "input constant iota noise select convert stop_gradient dot sum reduce_max broadcast reshape \
                          transpose window fold gather scatter_add scatter_rows first_equal";

/// What of a graph should occur in some graph.
fn features(graph: &Graph, inputs: &[Tensor]) -> Vec<String> {
    let mut features = Vec::new();
    for node in graph.nodes() {
        features.push(node.op.name().to_owned());
        let operand = |i: usize| graph.node(node.args[i]);
        let is_transposed = |i: usize| matches!(operand(i).op, Op::Transpose(_));
        features.push(match &node.op {
            Op::Noise(Noise { distribution, dtype, sample_axis, example_axis, .. }) => {
                format!("{} {dtype} {} {}", distribution.name(), sample_axis.is_some(), example_axis.is_some())
            }
            Op::Dot => {
                let is_batch = node.ty.shape.len() > 2;
                format!("dot {} {is_batch} {} {}", node.ty.dtype, is_transposed(0), is_transposed(1))
            }
            Op::Sum(axis) | Op::Max(axis) => format!("{} {axis} {}", node.op.name(), node.ty.dtype),
            Op::Compare(_) | Op::Unary(_) | Op::Binary(_) => format!("{} {}", node.op.name(), operand(0).ty.dtype),
            Op::Convert(to) => format!("convert {} {to}", operand(0).ty.dtype),
            Op::Select | Op::Fold(..) => format!("{} {}", node.op.name(), node.ty.dtype),
            Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) => format!("constant {}", node.ty.dtype),
            Op::Gather => format!("gather {} {}", operand(0).op.is_noise(), node.ty.shape.len() > 2),
            Op::ScatterAdd(_) => format!(
                "scatter_add {} {}",
                operand(0).ty.shape.len() > 2,
                operand(1).ty.shape.last_extent() > DOT_CHUNK
            ),
            Op::ScatterRows => {
                let updates = |output: &Output| output.updates.is_some() && graph.node(output.value) == node;
                format!("scatter_rows {}", graph.outputs().iter().any(updates))
            }
            Op::FirstEqual(_) => continue,
            // a new operation stops the build here: it belongs to `OPERATIONS`, and what makes random graphs has to
            // make it
            Op::Input(_) | Op::Iota(_) | Op::StopGradient => continue,
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Window(_) => continue,
        });
    }
    let updates = graph.outputs().iter().filter(|output| output.updates.is_some());
    features.extend(updates.map(|output| format!("update {}", graph.ty(output.value).dtype)));
    if graph.outputs().len() > 3 {
        features.push("many outputs".into());
    }
    let floats = inputs.iter().filter_map(Tensor::as_f32).flatten();
    let kinds = floats.map(|x| if x.is_finite() { "" } else { "not finite" }.to_owned());
    features.extend(kinds.collect::<BTreeSet<_>>());
    features
}

#[test]
fn graphs_cover_everything() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..3000 {
        let (graph, inputs) = graph_and_inputs().new_tree(&mut runner).unwrap().current();
        seen.extend(features(&graph, &inputs));
    }
    let mut wanted: Vec<String> = Vec::new();
    wanted.extend(OPERATIONS.split(' ').map(str::to_owned));
    let floats = [DType::F32, DType::F64];
    let numbers = [DType::F32, DType::F64, DType::U32];
    wanted.extend(Unary::ALL.iter().flat_map(|op| floats.map(|ty| format!("{} {ty}", op.name()))));
    wanted.extend(Binary::ALL.iter().flat_map(|op| floats.map(|ty| format!("{} {ty}", op.name()))));
    wanted.extend(Compare::ALL.iter().flat_map(|op| numbers.map(|ty| format!("{} {ty}", op.name()))));
    wanted.extend(DType::ALL.map(|ty| format!("select {ty}")));
    wanted.extend(numbers.map(|ty| format!("constant {ty}")));
    wanted.extend(["u32 f32", "u32 f64", "f32 f64", "f64 f32", "f32 u32"].map(|types| format!("convert {types}")));
    wanted.extend(floats.map(|ty| format!("fold {ty}")));
    for axis in 0..4 {
        wanted.extend(["sum", "reduce_max"].into_iter().flat_map(|op| floats.map(|ty| format!("{op} {axis} {ty}"))));
    }
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        for ty in floats {
            wanted.extend([true, false].map(|batch| format!("dot {ty} {batch} {a} {b}")));
            wanted.extend(NoiseDistribution::ALL.iter().map(|law| format!("{} {ty} {a} {b}", law.name())));
        }
    }
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        wanted.extend([format!("gather {a} {b}"), format!("scatter_add {a} {b}")]);
    }
    wanted.extend([false, true].map(|updates| format!("scatter_rows {updates}")));
    wanted.extend(["update f32", "update f64", "many outputs", "not finite"].map(str::to_owned));
    let missing: Vec<_> = wanted.into_iter().filter(|feature| !seen.contains(feature)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn failures_shrink_to_few_nodes() {
    let mut runner = TestRunner::new_with_rng(
        Config { failure_persistence: None, ..Config::default() },
        TestRunner::deterministic().new_rng(),
    );
    let has_tanh = |graph: &Graph| graph.nodes().iter().any(|node| node.op == Op::Unary(Unary::Tanh));
    let failure = runner.run(&graph_and_inputs(), |(graph, _)| {
        prop_assert!(!has_tanh(&graph));
        Ok(())
    });
    let Err(proptest::test_runner::TestError::Fail(_, (graph, _))) = failure else { panic!("{failure:?}") };
    assert!(graph.nodes().len() <= 3, "{graph}");
}
