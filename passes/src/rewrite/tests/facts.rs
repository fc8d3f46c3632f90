//! Facts hold on random graphs.

use super::{super::fact::Sign, terms::egraph_of};
use bayeslift_ir::{
    DType, Graph, Op,
    arbitrary::{config, graph_and_inputs},
    evaluate,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn facts_hold((graph, inputs) in graph_and_inputs()) {
        let (egraph, ids) = egraph_of(&graph);
        let all = reporting_all(&graph);
        let values = evaluate(&all, &inputs).unwrap();
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
