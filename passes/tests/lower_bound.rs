//! What is said of a value without computing it holds when it is computed.

use bayeslift_ir::{
    Builder, Shape,
    arbitrary::{config, graph_and_inputs},
    evaluate,
};
use bayeslift_passes::lower_bound;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(500))]
    #[test]
    fn no_element_is_below_the_bound((mut graph, inputs) in graph_and_inputs()) {
        let outputs = graph.outputs().len();
        let floats: Vec<_> = graph.values().filter(|v| graph.ty(*v).dtype.is_float()).collect();
        for &value in &floats {
            graph.output(&format!("value {value}"), value).unwrap();
        }
        for (&value, tensor) in floats.iter().zip(&evaluate(&graph, &inputs).unwrap()[outputs..]) {
            let bound = lower_bound(&graph, value);
            let below = tensor.to_f64s().unwrap().into_iter().find(|&x| x < bound);
            prop_assert_eq!(below, None, "{} is said to be at least {}", value, bound);
        }
    }
}

/// Behind more operations than are looked at, nothing is known of what is divided.
#[test]
fn quotients_of_what_is_far_have_no_bound() {
    let b = Builder::new();
    let constant = |x: f32| b.constant(x).broadcast(&Shape::new(&[4]));
    let far = [[2, 2], [4, 1], [1, 4], [2, 2]].into_iter().fold(constant(2.0), |x, shape| x.reshape(shape));
    let near = constant(-5.0).reshape([2, 2]) / far + 1.0;
    let numerator = (0..8).fold(constant(-5.0).reshape([2, 2]), |x, _| x + 0.0);
    let distant = numerator / far + 1.0;
    assert_eq!([near, distant].map(|x| lower_bound(&b.graph(), x.value())), [-1.5, f64::NEG_INFINITY]);
}
