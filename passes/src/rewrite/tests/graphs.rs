//! Whole graphs: bits, determinism, regions.

use super::super::{Fused, Rewriting};
use crate::{Pipeline, Rewritten, gradients, optimize, simplify};
use bayeslift_ir::{
    Binary, Builder, DType, Elements, Expr, Graph, Noise, NoiseAddress, NoiseDistribution, Op, Tensor, Type,
    arbitrary::{config, graph_and_inputs, largest},
    evaluate, evaluate_f64, same_bits, verify,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
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

/// The passes of rewriting alone.
fn rewrite(graph: &Graph, rewriting: Rewriting) -> Rewritten {
    Pipeline { simplify: false, rewriting, stop_after: None }.run(graph).unwrap()
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
    #![proptest_config(config(1000))]

    #[test]
    fn exact_rewriting_keeps_the_bits_of_random_graphs((graph, inputs) in graph_and_inputs(), simplified: bool) {
        let pipeline = Pipeline { simplify: simplified, rewriting: Rewriting::Exact, stop_after: None };
        let rewritten = pipeline.run(&graph).unwrap().graph;
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

/// The graph in which every number it computes is an output, whatever the program has made of it.
fn with_all_outputs(graph: &Graph) -> Graph {
    let mut all = graph.clone();
    for value in graph.values().filter(|&value| *graph.ty(value) == Type::f32(graph.ty(value).shape.clone())) {
        all.output(&format!("value {value}"), value).unwrap();
    }
    all
}

/// Behind a contraction of each output with itself, what rounding rules change.
fn with_something_to_round(graph: Graph, choices: [u8; 2]) -> Graph {
    let floats = graph.outputs().iter().map(|output| output.value).filter(|&v| graph.ty(v).dtype == DType::F32);
    let floats: Vec<_> = floats.collect();
    let b = Builder::from(graph);
    for (i, value) in floats.into_iter().enumerate() {
        let x = b.expr(value);
        let elements = x.shape().elements();
        let mut y = x.reshape([1, elements]).dot(x.reshape([elements, 1]));
        for choice in choices {
            y = match choice % 3 {
                0 => y / (3.0 + f32::from(choice / 3)),
                1 => y.abs().square().sqrt(),
                _ => (y * 1e-3).exp().log(),
            };
        }
        b.output(&format!("rounded {i}"), y);
    }
    b.finish().unwrap()
}

/// Whether `all` is as near the truth as `off`, but for a few roundings; not a number where that is none, and only
/// there.
fn check_near(truth: &[f64], off: &[f32], all: &[f32], roundings: f64) -> Result<(), String> {
    let are_numbers = |found: &[f32]| found.iter().map(|x| !x.is_nan()).collect::<Vec<_>>();
    if are_numbers(off) != are_numbers(all) {
        return Err(format!("not the same ones are numbers: {off:?} became {all:?}"));
    }
    let error = |found: &[f32]| {
        let numbers = truth.iter().zip(found).filter(|(_, x)| !x.is_nan());
        largest(numbers.map(|(truth, &x)| (f64::from(x) - truth).abs()))
    };
    let (found, allowed) = (error(all), 2.0 * error(off) + roundings);
    if found <= allowed { Ok(()) } else { Err(format!("off by {found}, {allowed} allowed")) }
}

#[test]
fn what_is_not_a_number_is_not_near() {
    let truth = [1.0, 2.0];
    assert!(check_near(&truth, &[1.0, 2.0], &[1.0, f32::NAN], 1.0).is_err());
    assert!(check_near(&truth, &[f32::NAN, 2.0], &[1.0, 2.0], 1.0).is_err());
    assert!(check_near(&truth, &[f32::NAN, 2.0], &[f32::NAN, 4.0], 1.0).is_err());
    assert_eq!(check_near(&truth, &[f32::NAN, 2.0], &[f32::NAN, 2.5], 1.0), Ok(()));
}

/// Rewriting of random graphs that overflow nowhere is as near the truth as the graph, but for a few roundings of the
/// largest number on the way. The same graphs in every run: roundings may fall on either side of a comparison.
#[test]
fn rounding_rewriting_is_near_the_truth() {
    let config = config(2000);
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let (mut checked, mut changed) = (0, 0);
    let strategy = (graph_and_inputs(), any::<[u8; 2]>());
    for _ in 0..cases {
        let ((graph, inputs), choices) = strategy.new_tree(&mut runner).unwrap().current();
        let graph = with_something_to_round(graph, choices);
        let doubles: Vec<Elements<f64>> = inputs.iter().map(Elements::from).collect();
        let all_values = evaluate_f64(&with_all_outputs(&graph), &doubles).unwrap();
        let floats = || all_values.iter().filter_map(Elements::floats).flatten();
        let scale = largest(floats().map(|x| x.abs()));
        if !floats().all(|x| x.is_finite() && x.abs() < 1e30) {
            continue;
        }
        let results = [Rewriting::Off, Rewriting::All].map(|level| {
            let rewritten = optimize(&graph, level).unwrap().graph;
            evaluate(&rewritten, &inputs).unwrap()
        });
        checked += 1;
        changed += u32::from(results[0] != results[1]);
        for ((truth, off), all) in all_values.iter().zip(&results[0]).zip(&results[1]) {
            let (Some(truth), Some(off), Some(all)) = (truth.floats(), off.as_f32(), all.as_f32()) else { continue };
            check_near(truth, off, all, 1e-6 * scale).unwrap_or_else(|error| panic!("{error}\n{graph}{inputs:?}"));
        }
    }
    assert!(
        checked > cases / 4 && changed > cases / 20,
        "{checked} graphs without overflow, {changed} of them changed"
    );
}

#[test]
fn rewriting_is_deterministic() {
    let graph = descent(3, 8, 5);
    let text = |graph: &Graph| {
        let rewritten = rewrite(graph, Rewriting::All);
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
    let rewritten = rewrite(&graph, Rewriting::All);
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
    let rewritten = rewrite(&graph, Rewriting::Off);
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
    check_interface(&graph, &rewrite(&graph, Rewriting::All).graph);
}

/// The label of the only layer of a graph: x M, x² S, and what `f` makes of the two and of noise.
fn label(f: impl for<'b> Fn(Expr<'b>, Expr<'b>, Expr<'b>, Expr<'b>) -> Expr<'b>) -> String {
    let b = &Builder::new();
    let input = |name, shape: &[usize]| b.input(name, Type::f32(shape));
    let (x, m, s) = (input("x", &[4, 3]), input("m", &[3, 5]), input("s", &[3, 5]));
    let words = |name, shape: &[usize]| b.input(name, Type::u32(shape));
    let address =
        NoiseAddress { key: words("key", &[4]), first_sample: words("sample", &[]), first_row: words("row", &[2]) };
    let kind = Noise {
        distribution: NoiseDistribution::Normal,
        dtype: DType::F32,
        stream: 1,
        sample_axis: None,
        example_axis: Some(0),
        shape: [4, 5].into(),
    };
    b.output("y", f(x.dot(m), x.square().dot(s), b.noise(kind, address), input("bias", &[5])));
    b.check().unwrap();
    let rewritten = optimize(&b.graph().clone(), Rewriting::Exact).unwrap();
    assert_eq!(rewritten.fusions.len(), 1);
    rewritten.fusions[0].label().replace("local_reparameterization", "")
}

#[test]
fn whole_layers_are_found() {
    assert_eq!(label(|m, v, noise, _| m + v.sqrt() * noise), "(noise)");
    assert_eq!(label(|m, v, noise, _| noise * v.sqrt() + m), "(noise)");
    assert_eq!(label(|m, v, noise, bias| (m + bias) + (v + bias.square()).sqrt() * noise), "(bias, noise)");
    assert_eq!(label(|m, v, noise, bias| ((m + bias) + v.sqrt() * noise).sigmoid()), "(mean bias, noise, sigmoid)");
    assert_eq!(label(|m, v, noise, bias| (m + (v + bias).sqrt() * noise).tanh()), "(variance bias, noise, tanh)");
    assert_eq!(label(|m, v, noise, _| (m + v.sqrt() * noise).relu().softplus()), "(noise, relu)");
    // an output that is also summed is no intermediate value of its activation
    assert_eq!(label(|m, v, noise, _| (m + v.sqrt() * noise).relu() + (m + v.sqrt() * noise).sum(0)), "(noise)");
    // no layer: the deviation is read elsewhere, noise is not added, what is added differs between rows
    assert_eq!(label(|m, v, noise, _| m + v.sqrt() * noise + v.sqrt().sum(0)), "");
    assert_eq!(label(|m, v, noise, _| m * (v.sqrt() * noise)), "");
    assert_eq!(label(|m, v, noise, _| (m + noise) + v.sqrt() * noise), "");
}
