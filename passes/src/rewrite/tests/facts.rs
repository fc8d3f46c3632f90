//! Facts hold on random graphs.

use super::{
    super::{Rewriting, fact::Sign},
    terms::{SPECIAL, egraph_of},
};
use crate::optimize;
use bayeslift_ir::{
    Binary, Builder, DType, Expr, Graph, Op, Tensor, Type, Unary,
    arbitrary::{config, graph_and_inputs},
    evaluate,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn facts_hold((graph, inputs) in graph_and_inputs()) {
        check(&graph, &inputs)?;
    }
}

/// Whether what is known of each value is so.
fn check(graph: &Graph, inputs: &[Tensor]) -> Result<(), TestCaseError> {
    let (egraph, ids) = egraph_of(graph);
    let all = reporting_all(graph);
    let values = evaluate(&all, inputs).unwrap();
    prop_assert_eq!((values.len(), ids.len()), (graph.nodes().len(), graph.nodes().len()));
    for (value, (found, id)) in graph.values().zip(values.iter().zip(&ids)) {
        let fact = &egraph[*id].data;
        prop_assert_eq!(&fact.ty, graph.ty(value));
        if fact.ty.dtype != DType::F32 {
            continue;
        }
        for &x in found.as_f32().unwrap() {
            let holds = match fact.sign {
                Sign::Any => true,
                Sign::NonNegative => x.is_nan() || x.is_sign_positive(),
                Sign::Positive => x.is_nan() || x > 0.0,
            };
            prop_assert!(holds, "{:?} is {x:e}, not {:?}", graph.node(value), fact.sign);
            let constant = fact.constant.map(f32::from_bits);
            let equal = constant.is_none_or(|c| c.to_bits() == x.to_bits() || c.is_nan() && x.is_nan());
            prop_assert!(equal, "{:?} is {x:e}, not {constant:?}", graph.node(value));
        }
    }
    Ok(())
}

/// Operations on operands of every sign, of which every element meets every other: zeros of both signs, what is no
/// number and what underflows among them.
#[test]
fn facts_hold_on_special_elements() {
    let special: Vec<f32> = SPECIAL.iter().flat_map(|&x| [x, -x]).chain([1e-30, -1e-30, 1e30]).collect();
    let n = special.len();
    let b = Builder::new();
    let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([n, n])));
    let constants = [0.0, -0.0, 1e-30, 2.0, -1.0, f32::INFINITY, f32::NAN].map(|c| b.constant(c).broadcast(&x.shape()));
    fn operands(x: Expr<'_>) -> [Expr<'_>; 4] {
        [x, x.abs(), x.abs().max(1e-30), -x.abs()]
    }
    let mut sum = Vec::new();
    for left in operands(x).into_iter().chain(constants) {
        for right in operands(y).into_iter().chain(constants) {
            for (a, b) in [(left, right), (right, left)] {
                sum.extend(Binary::ALL.iter().map(|&op| a.builder().push(Op::Binary(op), &[a, b])));
            }
        }
        sum.extend(Unary::ALL.iter().map(|&op| left.builder().push(Op::Unary(op), &[left])));
        sum.extend([left.sum(0), left.reduce_max(1), left.dot(left), left * left]);
    }
    sum.into_iter().enumerate().for_each(|(i, value)| b.output(&format!("y{i}"), value));
    let pairs = (0..n * n).map(|i| (special[i / n], special[i % n]));
    let (x, y): (Vec<f32>, Vec<f32>) = pairs.unzip();
    let inputs = [x, y].map(|x| Tensor::f32([n, n], x).unwrap());
    check(&b.finish().unwrap(), &inputs).unwrap();
}

/// What is no number may be anywhere, whatever else is known: the larger of a negative number and that is the negative
/// number.
#[test]
fn a_maximum_with_what_may_be_no_number_has_any_sign() {
    let b = Builder::new();
    let [x, y, z, w] = ["x", "y", "z", "w"].map(|name| b.input(name, Type::f32([1, 1])));
    b.output("y", (x.dot(z) + w).max((y.dot(z) * w).max(1e-30)).abs());
    let graph = b.finish().unwrap();
    let inputs = [-5.0, f32::NAN, 1.0, 0.0].map(|x| Tensor::f32([1, 1], [x]).unwrap());
    for level in [Rewriting::Exact, Rewriting::All] {
        let rewritten = optimize(&graph, level).unwrap().graph;
        assert_eq!(evaluate(&rewritten, &inputs).unwrap()[0].as_f32().unwrap(), [5.0], "{rewritten}");
    }
}

/// The graph that reports every value.
fn reporting_all(graph: &Graph) -> Graph {
    let mut all = Graph::new();
    for value in graph.values() {
        let node = graph.node(value);
        match node.op {
            Op::Input(i) => all.input(&graph.inputs()[i as usize].name, node.ty.clone()).unwrap(),
            _ => all.push(node.op.clone(), &node.args).unwrap(),
        };
        all.output(&value.to_string(), value).unwrap();
    }
    all
}
