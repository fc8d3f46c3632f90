//! Bounds of magnitudes hold, on random graphs and their gradients, with inputs of all sizes.

use bayeslift_ir::{
    Builder, DType, Expr, Graph, Tensor, Type, Value,
    arbitrary::{config, graph_and_inputs},
    evaluate,
};
use bayeslift_passes::{gradients, magnitude_bounds};
use proptest::prelude::*;

/// The graph whose outputs are, in turn, values and their bounds: its `f32` outputs and the gradients of their sum.
fn bounded(graph: Graph) -> Graph {
    let float = |value: &Value| graph.ty(*value).dtype == DType::F32;
    let outputs: Vec<Value> = graph.outputs().iter().map(|output| output.value).filter(float).collect();
    let inputs: Vec<Value> = graph.inputs().iter().map(|input| input.value).filter(float).collect();
    let fresh = Builder::from(graph);
    let loss = outputs.iter().fold(fresh.constant(0.0), |loss, &output| loss + fresh.expr(output).sum_all());
    let x: Vec<Expr<'_>> = inputs.iter().map(|&input| fresh.expr(input)).collect();
    let values: Vec<Expr<'_>> = outputs.iter().map(|&x| fresh.expr(x)).chain(gradients(loss, &x)).collect();
    for (i, (value, bound)) in values.iter().zip(magnitude_bounds(&values)).enumerate() {
        fresh.output(&format!("value {i}"), *value);
        fresh.output(&format!("bound {i}"), bound);
    }
    fresh.finish().unwrap()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn no_element_exceeds_a_bound((graph, inputs) in graph_and_inputs(), exponent in -30..30_i32) {
        let names = graph.outputs().len();
        let graph = bounded(graph);
        let scale = 10_f32.powi(exponent);
        let inputs: Vec<Tensor> = inputs.into_iter().map(|mut tensor| {
            if let Some(elements) = tensor.as_f32_mut() {
                // what bounds take for granted
                elements.iter_mut().for_each(|x| *x = if x.is_finite() { (*x * scale).clamp(-f32::MAX, f32::MAX) } else { scale });
            }
            tensor
        }).collect();
        let results = evaluate(&graph, &inputs).unwrap();
        for pair in results[names..].chunks(2) {
            let (value, bound) = (pair[0].as_f32().unwrap(), pair[1].as_f32().unwrap()[0]);
            prop_assert!(bound.is_nan() || bound >= 0.0, "{bound}");
            if bound.is_finite() {
                let allowed = f64::from(bound) * 1.001;
                for x in value {
                    prop_assert!(f64::from(x.abs()) <= allowed, "{x} beyond {bound}:\n{graph}");
                }
            }
        }
    }
}

/// Bounds are not far from what they bound, so that they are of use: the weight gradient of a layer.
#[test]
fn the_bound_of_a_product_is_within_its_norms() {
    let b = Builder::new();
    let [x, adjoint] = [("x", 3), ("adjoint", 4)].map(|(name, units)| b.input(name, Type::f32([5, units])));
    let gradient = x.square().matrix_transpose().dot(adjoint);
    b.output("bound", magnitude_bounds(&[gradient])[0]);
    let graph = b.finish().unwrap();
    let bound = evaluate(&graph, &[Tensor::f32([5, 3], [2.0; 15]).unwrap(), Tensor::f32([5, 4], [0.5; 20]).unwrap()]);
    // (1 + 15 * 4) * (1 + 20 / 4)^1/2
    let (found, expected) = (bound.unwrap()[0].as_f32().unwrap()[0], 61.0 * 6_f32.sqrt());
    assert!((found - expected).abs() <= 1e-4 * expected, "{found}, expected {expected}");
}
