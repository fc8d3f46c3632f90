//! Gradients of random graphs: they have the types of what they belong to, verify and run.

use bayeslift_ir::{
    Builder, DType, Expr, Graph, Value,
    arbitrary::{config, graph_and_inputs},
    evaluate, verify,
};
use bayeslift_passes::gradients;
use proptest::prelude::*;

/// The graph whose outputs are the gradients of the sum of all `f32` outputs with respect to all `f32` inputs.
fn differentiate(graph: Graph) -> Graph {
    let float = |value: &Value| graph.ty(*value).dtype == DType::F32;
    let outputs: Vec<Value> = graph.outputs().iter().map(|output| output.value).filter(float).collect();
    let inputs: Vec<Value> = graph.inputs().iter().map(|input| input.value).filter(float).collect();
    let b = Builder::from(graph);
    let loss = outputs.iter().fold(b.constant(0.0), |loss, &output| loss + b.expr(output).sum_all());
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
