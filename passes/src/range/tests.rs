//! Bounds hold for what the evaluator computes.

use super::*;
use bayeslift_ir::{
    Builder, Type,
    arbitrary::{config, graph_and_inputs},
    evaluate,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(3000))]

    /// Whatever the inputs, hostile ones among them, and whichever of them are known: each element lies in the range of
    /// its value.
    #[test]
    fn every_element_lies_in_its_range((mut graph, inputs) in graph_and_inputs(), known: u64) {
        let outputs = graph.outputs().len();
        let values: Vec<Value> = graph.values().filter(|v| graph.ty(*v).dtype != DType::Mask).collect();
        for &value in &values {
            graph.output(&format!("value {value}"), value).unwrap();
        }
        let is_known = |i: usize| known >> (i % 64) & 1 == 1;
        let analysis = RangeAnalysis::new(&graph, |i| is_known(i).then_some(&inputs[i])).unwrap();
        let ranges = analysis.ranges(|i| Range::of(&inputs[i]));
        for (&value, tensor) in values.iter().zip(&evaluate(&graph, &inputs).unwrap()[outputs..]) {
            let range = ranges[value.index()];
            let elements: Vec<f64> = match (tensor.as_f32(), tensor.as_f64()) {
                (Some(elements), _) => elements.iter().map(|&x| x.into()).collect(),
                (_, Some(elements)) => elements.to_vec(),
                _ => tensor.words().into_iter().map(f64::from).collect(),
            };
            let beyond = elements.into_iter().find(|&x| !range.contains(x));
            prop_assert_eq!(beyond, None, "{} is said to be in {:?}", value, range);
        }
    }
}

/// Tensors of other types than the inputs have are refused.
#[test]
fn known_tensors_fit_their_inputs() {
    let b = Builder::new();
    let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([2, 2])));
    b.output("z", x.dot(y));
    let graph = b.finish().unwrap();
    for tensor in [Tensor::f32([4], [1.0; 4]), Tensor::f32([2, 3], [1.0; 6]), Tensor::u32([2, 2], [1; 4])] {
        let tensor = tensor.unwrap();
        let error = RangeAnalysis::new(&graph, |i| (i == 1).then_some(&tensor)).unwrap_err().to_string();
        assert!(error.starts_with("range analysis: the tensor of `y` has"), "{error}");
    }
}

/// The graph of outputs, and the ranges of these.
fn ranges_of(builder: Builder, input: Range) -> Vec<Range> {
    let graph = builder.finish().unwrap();
    let ranges = RangeAnalysis::new(&graph, |_| None).unwrap().ranges(|_| input);
    graph.outputs().iter().map(|output| ranges[output.value.index()]).collect()
}

#[test]
fn a_softmax_of_finite_numbers_is_finite() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([4, 3]));
    b.output("logarithms", x.log_softmax());
    b.output("probabilities", x.log_softmax().exp());
    // the maximum of another axis says nothing of the difference
    let square = b.input("square", Type::f32([3, 3]));
    b.output("columns from rows", (square - square.reduce_max(1)).exp());
    let found = ranges_of(b, Range::new(-1e30, 1e30));
    assert!(found[0].is_finite() && found[0].high < 1e-5, "{found:?}");
    assert!(found[1].low >= 0.0 && found[1].high < 1.001, "{found:?}");
    assert_eq!(found[2].high, f64::INFINITY);
}

#[test]
fn deviations_are_of_no_negative_variance() {
    let b = Builder::new();
    let (x, s) = (b.input("x", Type::f32([4, 300])), b.input("s", Type::f32([300, 5])));
    b.output("deviation", x.square().dot(s.square()).sqrt());
    b.output("mean", x.square().sum(1).sqrt());
    let found = ranges_of(b, Range::new(-2.0, 1.0));
    let exact = (300.0_f64 * 16.0).sqrt();
    assert!(!found[0].nan && found[0].low == 0.0 && (exact..exact * 1.001).contains(&found[0].high), "{found:?}");
    assert!(!found[1].nan && found[1].low == 0.0, "{found:?}");
}

#[test]
fn a_known_matrix_is_bounded_by_its_columns() {
    let b = Builder::new();
    let (x, m) = (b.input("x", Type::f32([4, 3])), b.input("m", Type::f32([2, 3])));
    b.output("y", x.dot(m.transpose(&[1, 0])));
    b.output("z", m.dot(x.transpose(&[1, 0])));
    let graph = b.finish().unwrap();
    // each of its rows sums to 6 in absolute value, of which 5 are positive or negative
    let tensor = Tensor::f32([2, 3], [5.0, 0.0, -1.0, 1.0, -2.0, -3.0]).unwrap();
    let analysis = RangeAnalysis::new(&graph, |i| (i == 1).then_some(&tensor)).unwrap();
    let of =
        |input: Range| graph.outputs().iter().map(|o| analysis.ranges(|_| input)[o.value.index()]).collect::<Vec<_>>();
    for found in of(Range::new(-1.0, 1.0)) {
        assert!(found.contains(6.0) && found.contains(-6.0) && found.high < 6.001 && found.low > -6.001, "{found:?}");
    }
    for found in of(Range::new(0.0, 1.0)) {
        assert!(found.contains(5.0) && found.contains(-5.0) && found.high < 5.001 && found.low > -5.001, "{found:?}");
    }
}
