//! Whole graphs: bits, determinism, regions.

use super::super::{Fused, Rewriting, optimize, rewrite};
use crate::{gradients, simplify};
use bayeslift_ir::{
    Binary, Builder, Expr, Graph, Op, Tensor, Type, arbitrary::graph_and_inputs, evaluate, same_bits, verify,
};
use proptest::prelude::*;
use std::thread;

/// A step of gradient descent on layers of this width with local reparameterization, without noise.
fn descent(layers: usize, width: usize, rows: usize) -> Graph {
    let b = &Builder::new();
    let x = b.input("x", Type::f32([rows, width]));
    let noise = b.input("noise", Type::f32([rows, width]));
    let (mut y, mut parameters): (Expr<'_>, Vec<Expr<'_>>) = (x, Vec::new());
    for layer in 0..layers {
        let weight = |name: &str| b.input(&format!("{layer}/{name}"), Type::f32([width, width]));
        let (m, s) = (weight("m"), weight("s"));
        let deviation = y.square().dot(s.softplus().square()).sqrt();
        y = (y.dot(m) + deviation * noise).relu();
        parameters.extend([m, s]);
    }
    let gradients = gradients(y.square().mean_all(), &parameters);
    for (i, (&parameter, gradient)) in parameters.iter().zip(gradients).enumerate() {
        b.output_updating(&format!("new {i}"), parameter - gradient * 0.01, parameter);
    }
    b.check().unwrap();
    let graph = b.graph().clone();
    simplify(&graph).unwrap()
}

fn check_interface(before: &Graph, after: &Graph) {
    verify(after).unwrap();
    let inputs = |graph: &Graph| -> Vec<_> {
        graph.inputs().iter().map(|input| (input.name.clone(), graph.ty(input.value).clone())).collect()
    };
    let outputs = |graph: &Graph| -> Vec<_> {
        let output =
            |output: &bayeslift_ir::Output| (output.name.clone(), graph.ty(output.value).clone(), output.updates);
        graph.outputs().iter().map(output).collect()
    };
    assert_eq!(inputs(before), inputs(after));
    assert_eq!(outputs(before), outputs(after));
}

fn check_bits(before: &Graph, after: &Graph, inputs: &[Tensor]) -> Result<(), String> {
    let (want, found) = (evaluate(before, inputs).unwrap(), evaluate(after, inputs).unwrap());
    want.iter().zip(&found).try_for_each(|(want, found)| same_bits(want, found))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn exact_rewriting_keeps_the_bits_of_random_graphs((graph, inputs) in graph_and_inputs(), simplified: bool) {
        let rewritten = if simplified { optimize(&graph, Rewriting::Exact) } else { rewrite(&graph, Rewriting::Exact) };
        let rewritten = rewritten.unwrap().graph;
        check_interface(&graph, &rewritten);
        check_bits(&graph, &rewritten, &inputs).map_err(TestCaseError::fail)?;
        check_interface(&graph, &optimize(&graph, Rewriting::All).unwrap().graph);
    }

    #[test]
    fn exact_rewriting_keeps_the_bits_of_gradients((graph, inputs) in graph_and_inputs()) {
        let is_float = |ty: &Type| *ty == Type::f32(ty.shape.clone());
        let outputs: Vec<_> = graph.outputs().iter().map(|output| output.value).collect();
        let names: Vec<_> = graph.inputs().iter().map(|input| input.value).filter(|&v| is_float(graph.ty(v))).collect();
        let b = Builder::from(graph.clone());
        let floats = outputs.iter().filter(|&&v| is_float(graph.ty(v))).map(|&v| b.expr(v).sum_all());
        let loss = floats.fold(b.constant(0.0), |sum, output| sum + output);
        let inputs_of: Vec<_> = names.iter().map(|&input| b.expr(input)).collect();
        for (i, gradient) in gradients(loss, &inputs_of).into_iter().enumerate() {
            b.output(&format!("gradient {i}"), gradient);
        }
        let graph = b.finish().unwrap();
        let rewritten = optimize(&graph, Rewriting::Exact).unwrap().graph;
        check_interface(&graph, &rewritten);
        check_bits(&graph, &rewritten, &inputs).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn rewriting_is_deterministic() {
    let graph = descent(3, 8, 5);
    let text = |graph: &Graph| {
        let rewritten = rewrite(graph, Rewriting::All).unwrap();
        format!("{}{:?}{}", rewritten.graph, rewritten.fusions, rewritten.report)
    };
    let want = text(&graph);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..4).all(|_| text(&graph) == want))).collect();
        assert!(runs.into_iter().all(|run| run.join().unwrap()));
    });
}

#[test]
fn equal_layers_are_rewritten_once() {
    let graph = descent(8, 400, 128);
    let rewritten = rewrite(&graph, Rewriting::All).unwrap();
    // the first has no gradient with respect to its input, the last is followed by the loss
    assert_eq!((rewritten.report.regions, rewritten.report.distinct_regions), (8, 3));
    let count = |kind| rewritten.fusions.iter().filter(|fusion| fusion.kind == kind).count();
    assert_eq!(count(Fused::LocalReparameterization), 8);
    assert_eq!(count(Fused::DualWeightGradient), 8);
    assert_eq!(count(Fused::DualInputGradient), 7);
    let dots = |value| rewritten.graph.node(value).op == bayeslift_ir::Op::Dot;
    assert!(rewritten.fusions.iter().all(|fusion| fusion.values.iter().filter(|&&v| dots(v)).count() == 2));
}

#[test]
fn nothing_happens_when_it_is_off() {
    let graph = descent(2, 8, 5);
    let rewritten = rewrite(&graph, Rewriting::Off).unwrap();
    assert_eq!(rewritten.graph, graph);
    assert_eq!((rewritten.fusions.len(), rewritten.report.regions), (0, 0));
}

#[test]
fn long_chains_and_many_contractions_are_no_trouble() {
    let mut graph = Graph::new();
    let x = graph.input("x", Type::f32([2, 3])).unwrap();
    let permutation: smallvec::SmallVec<[u8; 4]> = [1, 0].into_iter().collect();
    let mut y = x;
    for _ in 0..20_000 {
        y = graph.push(Op::Binary(Binary::Mul), &[y, y]).unwrap();
        y = graph.push(Op::Transpose(permutation.clone()), &[y]).unwrap();
    }
    let transposed = graph.push(Op::Transpose(permutation.clone()), &[x]).unwrap();
    let mut sum = graph.push(Op::Dot, &[y, transposed]).unwrap();
    for _ in 0..20_000 {
        sum = graph.push(Op::Reshape([4].into()), &[sum]).unwrap();
        sum = graph.push(Op::Reshape([2, 2].into()), &[sum]).unwrap();
        sum = graph.push(Op::Transpose(permutation.clone()), &[sum]).unwrap();
    }
    for i in 0..2000 {
        let weights = graph.input(&format!("w{i}"), Type::f32([3, 2])).unwrap();
        let product = graph.push(Op::Dot, &[x, weights]).unwrap();
        sum = graph.push(Op::Binary(Binary::Add), &[sum, product]).unwrap();
    }
    graph.output("y", sum).unwrap();
    check_interface(&graph, &rewrite(&graph, Rewriting::All).unwrap().graph);
}
