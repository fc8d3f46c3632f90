//! Gradients of random graphs: they have the types of what they belong to, verify and run, and are the slopes of the
//! loss.

use bayeslift_ir::{
    Builder, DType, Elements, Expr, Graph, Op, Tensor, Unary, Value,
    arbitrary::{config, graph_and_inputs, is_near},
    evaluate, evaluate_f64, verify,
};
use bayeslift_passes::gradients;
use proptest::{prelude::*, test_runner::TestRunner};
use std::cell::Cell;

fn floats(graph: &Graph, values: impl Iterator<Item = Value>) -> Vec<Value> {
    values.filter(|&value| graph.ty(value).dtype.is_float()).collect()
}

/// The graph that also reports `loss`, the sum of all outputs of floats, and its gradients with respect to all inputs
/// of floats. In `f64` if one of the inputs is.
fn differentiate(graph: Graph) -> Graph {
    let outputs = floats(&graph, graph.outputs().iter().map(|output| output.value));
    let inputs = floats(&graph, graph.inputs().iter().map(|input| input.value));
    let b = Builder::from(graph);
    let is_double = inputs.iter().any(|&input| b.expr(input).dtype() == DType::F64);
    let total = |output: &Value| {
        let sum = b.expr(*output).sum_all();
        if is_double { sum.to_f64() } else { sum.to_f32() }
    };
    let zero = if is_double { b.constant_f64(0.0) } else { b.constant(0.0) };
    let loss = outputs.iter().fold(zero, |loss, output| loss + total(output));
    b.output("loss", loss);
    let x: Vec<Expr<'_>> = inputs.iter().map(|&input| b.expr(input)).collect();
    for (x, gradient) in x.iter().zip(gradients(loss, &x)) {
        assert_eq!(x.ty(), gradient.ty());
        b.output(&format!("gradient of {}", x.value()), gradient);
    }
    b.finish().unwrap()
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn gradients_verify_and_run((graph, inputs) in graph_and_inputs()) {
        let graph = differentiate(graph);
        prop_assert_eq!(verify(&graph), Ok(()));
        prop_assert!(evaluate(&graph, &inputs).is_ok());
    }
}

/// The graph without what stops gradients, and without steps, whose slopes differences do not see: they are 0.
fn without_stops(graph: &Graph) -> Graph {
    let mut out = Graph::new();
    let mut map: Vec<Value> = Vec::new();
    for node in graph.nodes() {
        let args: Vec<Value> = node.args.iter().map(|arg| map[arg.index()]).collect();
        map.push(match node.op {
            Op::Input(i) => out.input(&graph.inputs()[i as usize].name, node.ty.clone()).unwrap(),
            Op::StopGradient | Op::Unary(Unary::Floor) => args[0],
            _ => out.push(node.op.clone(), &args).unwrap(),
        });
    }
    for output in graph.outputs() {
        out.output(&output.name, map[output.value.index()]).unwrap();
    }
    out
}

/// The numbers of either type of floats.
fn numbers(elements: &Elements<f64>) -> Option<&[f64]> {
    elements.floats().or(elements.doubles())
}

/// Whether every float on the way to the outputs is a number far from overflow.
fn is_tame(graph: &Graph, inputs: &[Elements<f64>]) -> bool {
    let mut all = graph.clone();
    for value in floats(graph, graph.values()) {
        all.output(&format!("value {value}"), value).unwrap();
    }
    let results = evaluate_f64(&all, inputs).unwrap();
    results.iter().filter_map(numbers).flatten().all(|x| x.abs() < 1e9)
}

/// Whether the gradients are the slope of the loss in some direction, by differences in double precision. `None` where
/// the loss has no slope to speak of: a kink, a step, an overflow, or digits that are lost.
fn is_slope(graph: Graph, inputs: &[Tensor]) -> Option<Result<(), String>> {
    let mut at: Vec<Elements<f64>> = inputs.iter().map(Elements::from).collect();
    // elements that are equal would be kinks
    for (input, elements) in at.iter_mut().enumerate() {
        if let Elements::Floats(x) | Elements::Doubles(x) = elements {
            x.iter_mut().enumerate().for_each(|(i, x)| *x += 1e-3 * ((input * 57 + i * 29) as f64).sin());
        }
    }
    if !is_tame(&graph, &at) {
        return None;
    }
    let graph = &differentiate(graph);
    let direction = |input: usize, i: usize| ((input * 131 + i * 17) as f64 * 0.7).sin();
    let loss_at = graph.outputs().iter().position(|output| output.name == "loss")?;
    let loss = |h: f64| {
        let step = |x: &[f64], input| x.iter().enumerate().map(|(i, x)| x + h * direction(input, i)).collect();
        let moved = at.iter().enumerate().map(|(input, elements)| match elements {
            Elements::Floats(x) => Elements::Floats(step(x, input)),
            Elements::Doubles(x) => Elements::Doubles(step(x, input)),
            Elements::Words(_) => elements.clone(),
        });
        numbers(&evaluate_f64(graph, &moved.collect::<Vec<_>>()).unwrap()[loss_at]).unwrap()[0]
    };
    const H: f64 = 1e-6;
    let [before, here, after] = [loss(-H), loss(0.0), loss(H)];
    let [left, right] = [(here - before) / H, (after - here) / H];
    // what is lost of a sum that has no more digits than an `f64`
    let lost = here.abs().max(1.0) * 1e-14 / H;
    let size = left.abs().max(right.abs()).max(1e-3);
    // nearer there must be the same slope, as there is not where the sine of a huge number was taken
    let differences = (after - before) / (2.0 * H);
    let nearer = (loss(H / 7.0) - loss(-H / 7.0)) / (2.0 * H / 7.0);
    let is_straight = is_near(left, right, 1e-3 * size) && is_near(nearer, differences, 1e-3 * size);
    if !differences.is_finite() || !is_straight || lost > 1e-4 * size {
        return None;
    }
    let results = evaluate_f64(graph, &at).unwrap();
    let mut gradients = results[loss_at + 1..].iter();
    let mut slope = 0.0;
    for (input, elements) in at.iter().enumerate() {
        if let Some(x) = numbers(elements) {
            let gradient = numbers(gradients.next().unwrap()).unwrap();
            assert_eq!(gradient.len(), x.len());
            slope += gradient.iter().enumerate().map(|(i, g)| g * direction(input, i)).sum::<f64>();
        }
    }
    assert!(gradients.next().is_none());
    Some(match is_near(slope, differences, 2e-3 * size + lost) {
        true => Ok(()),
        false => Err(format!("the slope is {slope} by gradients, {differences} by differences\n{graph}{inputs:?}")),
    })
}

#[test]
fn gradients_are_slopes() {
    let config = config(400);
    let cases = config.cases;
    let checked = Cell::new(0);
    let check = |(graph, inputs): (Graph, Vec<Tensor>)| {
        let Some(result) = is_slope(without_stops(&graph), &inputs) else { return Ok(()) };
        checked.set(checked.get() + 1);
        result.map_err(TestCaseError::fail)
    };
    TestRunner::new(config).run(&graph_and_inputs(), check).unwrap_or_else(|error| panic!("{error}"));
    assert!(checked.get() > cases / 5, "{} of {cases} graphs have slopes", checked.get());
}
