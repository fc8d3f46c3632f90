//! Softmax with cross-entropy: it is found, its gradient is right, and sums over one-hots are gone.

use super::super::{Fused, Rewriting};
use crate::{Pipeline, gradients, optimize};
use bayeslift_ir::{
    Builder, Elements, Expr, Graph, Op, Shape, Tensor, Type, arbitrary::config, evaluate, evaluate_f64, same_bits,
};
use proptest::prelude::*;

/// The loss of labels that all samples share, each row weighted if `weighted`, and its gradient.
fn graph(shape: &[usize], weighted: bool, scale: f32, by_product: bool) -> Graph {
    let b = &Builder::new();
    let logits = b.input("logits", Type::f32(shape));
    let rows = &shape[shape.len() - 2..shape.len() - 1];
    let labels = b.input("labels", Type::u32(rows));
    let weights = b.input("weights", Type::f32(rows));
    let classes = shape[shape.len() - 1];
    let picked = match by_product {
        true => logits.log_softmax() * labels.one_hot(classes),
        false => labels.one_hot_mask(classes).select(logits.log_softmax(), 0.0),
    };
    let log_likelihood = picked.sum(shape.len() - 1);
    let weighted = if weighted { log_likelihood * weights } else { log_likelihood };
    let loss = -weighted.mean_all() * scale;
    b.output("loss", loss);
    b.output("gradient", gradients(loss, &[logits])[0]);
    b.check().unwrap();
    b.graph().clone()
}

fn case() -> impl Strategy<Value = (Vec<usize>, bool, f32, bool, u64)> {
    let shape = (1..4usize, 1..7usize, 2..40usize, any::<bool>());
    let shape = shape.prop_map(|(s, r, c, samples)| if samples { vec![s, r, c] } else { vec![r, c] });
    (shape, any::<bool>(), prop_oneof![Just(1.0f32), -10.0..10.0f32], any::<bool>(), any::<u64>())
}

fn sums_over_classes(graph: &Graph, shape: &[usize]) -> usize {
    let is_sum = |op: &Op, operand: &Shape| *op == Op::Sum(shape.len() - 1) && operand[..] == *shape;
    let nodes = graph.nodes().iter().filter(|node| node.args.len() == 1);
    nodes.filter(|node| is_sum(&node.op, &graph.ty(node.args[0]).shape)).count()
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn gradients_of_softmax_cross_entropy((shape, weighted, scale, by_product, seed) in case()) {
        let graph = graph(&shape, weighted, scale, by_product);
        let rewritten = optimize(&graph, Rewriting::All).unwrap();
        let found = |fusion: &&super::super::Fusion| fusion.kind == Fused::SoftmaxCrossEntropy;
        prop_assert_eq!(rewritten.fusions.iter().filter(found).count(), 1);
        // the sum of exponentials and that of the log-likelihood
        prop_assert_eq!(sums_over_classes(&rewritten.graph, &shape), 2, "{}", rewritten.graph);

        let mut random = super::terms::Random(seed);
        let (rows, classes) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let logits = random.tensor(&Type::f32(&shape[..]), false);
        // a label in eight is out of range
        let labels: Vec<u32> = (0..rows).map(|_| random.below(classes + classes.div_ceil(8)) as u32).collect();
        let weights = random.tensor(&Type::f32([rows]), false);
        let inputs = [logits, Tensor::u32([rows], labels.clone()).unwrap(), weights];
        let run = |level| evaluate(&optimize(&graph, level).unwrap().graph, &inputs).unwrap();
        let (off, exact, all) = (run(Rewriting::Off), run(Rewriting::Exact), run(Rewriting::All));
        for ((off, exact), all) in off.iter().zip(&exact).zip(&all) {
            same_bits(off, exact).map_err(TestCaseError::fail)?;
            // but for the sign of zeros
            prop_assert_eq!(off.as_f32().unwrap(), all.as_f32().unwrap());
        }

        // the gradient by its formula
        let doubles: Vec<Elements<f64>> = inputs.iter().map(Elements::from).collect();
        let by_rules = evaluate_f64(&graph, &doubles).unwrap();
        let (logits, weights) = (doubles[0].floats().unwrap(), doubles[2].floats().unwrap());
        let examples = logits.len() / classes;
        for (i, row) in logits.chunks(classes).enumerate() {
            let total: f64 = row.iter().map(|x| x.exp()).sum();
            let weight = if weighted { weights[i % rows] } else { 1.0 } * f64::from(scale) / examples as f64;
            let label = labels[i % rows] as usize;
            for (class, x) in row.iter().enumerate() {
                let hit = f64::from(u8::from(class == label));
                let want = if label < classes { (x.exp() / total - hit) * weight } else { 0.0 };
                let at = i * classes + class;
                let found = f64::from(all[1].as_f32().unwrap()[at]);
                prop_assert!((found - want).abs() <= 1e-6 * weight.abs(), "{found} {want}");
                prop_assert!((by_rules[1].floats().unwrap()[at] - want).abs() <= 1e-12 * weight.abs().max(1e-3));
            }
        }
    }
}

/// Masks that look like those of labels but count along another axis, or have labels there, are left alone.
#[test]
fn other_masks_are_no_one_hots() {
    const CLASSES: usize = 3;
    let masks: [for<'b> fn(&'b Builder, Expr<'b>) -> Expr<'b>; 3] = [
        // counts rows
        |b, labels| {
            let rows = b.iota(CLASSES).reshape([CLASSES, 1]).broadcast(&Shape::new(&[CLASSES, CLASSES]));
            labels.expand(2).equal(rows.reshape([1, CLASSES, CLASSES]))
        },
        |b, labels| {
            let rows = b.iota(CLASSES).expand(0).broadcast(&Shape::new(&[CLASSES, CLASSES])).transpose(&[1, 0]);
            labels.expand(2).equal(rows)
        },
        // the labels of the other axis
        |b, labels| {
            let first = labels.slice(1, 0..1).reshape([CLASSES]);
            let mask = first.expand(1).equal(b.iota(CLASSES)).reshape([CLASSES, 1, CLASSES]);
            mask.broadcast(&Shape::new(&[CLASSES; 3]))
        },
    ];
    for (i, mask) in masks.into_iter().enumerate() {
        let b = Builder::new();
        let labels = b.input("labels", Type::u32([CLASSES, CLASSES]));
        b.output("picked", mask(&b, labels).select(2.0, 0.0).sum(2));
        let graph = b.finish().unwrap();
        let labels = Tensor::u32([CLASSES, CLASSES], [0, 1, 2, 1, 1, 0, 5, 2, 2]).unwrap();
        let run = |graph: &Graph| evaluate(graph, std::slice::from_ref(&labels)).unwrap().remove(0);
        let want = run(&graph);
        for level in [Rewriting::Exact, Rewriting::All] {
            for simplify in [true, false] {
                let rewritten = Pipeline { simplify, rewriting: level, stop_after: None }.run(&graph);
                assert_eq!(same_bits(&run(&rewritten.unwrap().graph), &want), Ok(()), "mask {i}, {level:?}");
            }
        }
    }
}
