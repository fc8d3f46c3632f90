//! Random graphs as objects: the bits of compiled code in memory.

use super::graph_program::{double_network, in_memory, outputs, table_update};
use bayeslift::{
    deploy::DeployOptions,
    ir::{
        DType, Graph, Tensor,
        arbitrary::{config, graph_and_inputs},
        same_bits,
    },
};
use proptest::prelude::*;

/// Whether an object has the bits of code in memory; its files are in a folder of the test's own.
fn compare(graph: &Graph, inputs: &[Tensor], folder: &str) -> Result<(), TestCaseError> {
    let got = outputs(graph, inputs, &DeployOptions::new("graph"), folder);
    for (got, want) in got.iter().zip(in_memory(graph, inputs)) {
        prop_assert_eq!(same_bits(got, &want), Ok(()), "{}", graph);
        prop_assert!(want.ty().dtype != DType::Mask || want.words().iter().all(|word| *word == 0 || *word == u32::MAX));
    }
    Ok(())
}

#[test]
fn random_graphs_have_the_bits_of_code_in_memory() {
    proptest!(config(25), |((graph, inputs) in graph_and_inputs())| compare(&graph, &inputs, "graph")?);
}

#[test]
fn rows_are_updated_in_objects() {
    let (graph, inputs) = table_update();
    compare(&graph, &inputs, "rows").unwrap();
}

/// Of a network of `f64` there are objects of its graph.
#[test]
fn a_network_of_f64_is_a_graph_like_others() {
    let (graph, inputs) = double_network();
    compare(&graph, &inputs, "double").unwrap();
}
