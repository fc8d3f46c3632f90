//! What is said of a value without computing it holds when it is computed.

use bayeslift_ir::{
    Builder, Scalar, Shape,
    arbitrary::{config, graph_and_inputs},
    elementary, evaluate,
};
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
            let bound = graph.lower_bound(value);
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
    assert_eq!([near, distant].map(|x| b.graph().lower_bound(x.value())), [-1.5, f64::NEG_INFINITY]);
}

#[test]
fn the_short_logarithm_is_the_logarithm_from_the_smallest_normal_number_on() {
    let words = (f32::MIN_POSITIVE.to_bits()..=f32::INFINITY.to_bits()).step_by(4099);
    let all = words.chain([f32::MAX.to_bits(), f32::INFINITY.to_bits(), 1.0_f32.to_bits()]);
    for x in all.map(f32::from_bits) {
        let (short, long) = (elementary::log_of_at_least_normal(&mut Scalar, x), elementary::log(&mut Scalar, x));
        assert_eq!(short.to_bits(), long.to_bits(), "log {x:e}");
    }
    assert!(elementary::log_of_at_least_normal(&mut Scalar, f32::NAN).is_nan());
}
