//! Random graphs as C: the bits of the evaluator, and of compiled code in memory.

use crate::{
    graph_program::{double_network, in_memory, outputs, table_update},
    options,
};
use bayeslift::{
    ir::{
        Graph, Tensor,
        arbitrary::{config, graph_and_inputs},
        evaluate, same_bits,
    },
    runtime::Options,
};
use proptest::prelude::*;

fn compare(graph: &Graph, inputs: &[Tensor], folder: &str) -> Result<(), TestCaseError> {
    let optimized = Options::default().optimize(graph).unwrap().graph;
    let want = evaluate(&optimized, inputs).unwrap();
    let got = outputs(graph, inputs, &options("graph"), folder);
    for ((got, want), compiled) in got.iter().zip(&want).zip(in_memory(graph, inputs)) {
        prop_assert_eq!(same_bits(got, want), Ok(()), "{}", graph);
        prop_assert_eq!(same_bits(got, &compiled), Ok(()), "{}", graph);
    }
    Ok(())
}

#[test]
fn random_graphs_have_the_bits_of_the_evaluator() {
    proptest!(config(25), |((graph, inputs) in graph_and_inputs())| compare(&graph, &inputs, "c/graph")?);
}

#[test]
fn rows_are_updated_in_c() {
    let (graph, inputs) = table_update();
    compare(&graph, &inputs, "c/table").unwrap();
}

/// Of a network of `f64` there are objects of its graph.
#[test]
fn a_network_of_f64_is_a_graph_like_others() {
    let (graph, inputs) = double_network();
    compare(&graph, &inputs, "c/double").unwrap();
}
