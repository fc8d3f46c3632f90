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
    for (i, (value, bound)) in values.iter().zip(magnitude_bounds(&values, &[])).enumerate() {
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
                elements.iter_mut().for_each(|x| *x *= scale);
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
    b.output("bound", magnitude_bounds(&[gradient], &[])[0]);
    let graph = b.finish().unwrap();
    let bound = evaluate(&graph, &[Tensor::f32([5, 3], [2.0; 15]).unwrap(), Tensor::f32([5, 4], [0.5; 20]).unwrap()]);
    // (1 + 15 * 4) * (1 + 20 / 4)^1/2
    let (found, expected) = (bound.unwrap()[0].as_f32().unwrap()[0], 61.0 * 6_f32.sqrt());
    assert!((found - expected).abs() <= 1e-4 * expected, "{found}, expected {expected}");
}

/// Divisors that overflow, or that are no numbers, are not hidden behind what they divide.
#[test]
fn what_divisors_hide_is_not_bounded() {
    let b = Builder::new();
    let [x, y, z] = ["x", "y", "z"].map(|name| b.input(name, Type::f32([2, 2])));
    fn huge(x: Expr<'_>) -> Expr<'_> {
        x * 1e30 * 1e30
    }
    let no_number = (huge(x) - huge(y)).abs() + 1e-3;
    let quotients = [x.dot(y) / (z * 1e30).square(), x.dot(y) / no_number, x.dot(y) * (1.0 / no_number), x.dot(y) / z];
    let bounds = magnitude_bounds(&quotients, &[]);
    bounds.iter().enumerate().for_each(|(i, bound)| b.output(&format!("bound {i}"), *bound));
    b.output("of a saturated input", magnitude_bounds(&[z.tanh().dot(y)], &[])[0]);
    let graph = b.finish().unwrap();
    let of = |z: f32| {
        let inputs = [1.0, 1.0, z].map(|x| Tensor::f32([2, 2], [x; 4]).unwrap());
        let results = evaluate(&graph, &inputs).unwrap();
        results.iter().map(|bound| bound.as_f32().unwrap()[0].is_finite()).collect::<Vec<_>>()
    };
    assert_eq!(of(1.0), [false, false, false, true, true]);
    assert_eq!(of(f32::NAN), [false, false, false, false, false]);
}
