//! Simplification keeps every bit beside constants that are special: zeros of both signs, what is no number,
//! infinities.

use bayeslift_ir::{Binary, Builder, Expr, Graph, Op, Tensor, Type, Unary, evaluate, same_bits};
use bayeslift_passes::simplify;

const SPECIAL: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    -3.25,
    1e-45,
    -1e-40,
    f32::MIN_POSITIVE,
    f32::MAX,
    -1e30,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    88.8,
];

#[track_caller]
fn check(graph: &Graph, what: &str) -> Graph {
    let x = Tensor::f32([SPECIAL.len()], SPECIAL).unwrap();
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|_| x.clone()).collect();
    let simplified = simplify(graph).unwrap();
    let [want, found] = [graph, &simplified].map(|graph| evaluate(graph, &inputs).unwrap());
    for (i, (want, found)) in want.iter().zip(&found).enumerate() {
        assert_eq!(same_bits(want, found), Ok(()), "{what}, output {i}\n{simplified}");
    }
    simplified
}

/// The graph that reports what `build` makes of a builder.
fn graph(build: impl for<'b> Fn(&'b Builder) -> Vec<Expr<'b>>) -> Graph {
    let b = Builder::new();
    build(&b).into_iter().enumerate().for_each(|(i, y)| b.output(&format!("y{i}"), y));
    b.finish().unwrap()
}

#[test]
fn constants_fold_to_the_bits_of_the_evaluator() {
    for &op in Unary::ALL {
        let graph = graph(|b| SPECIAL.map(|c| b.push(Op::Unary(op), &[b.constant(c)])).to_vec());
        let simplified = check(&graph, op.name());
        assert!(simplified.nodes().iter().all(|node| node.args.is_empty()), "{simplified}");
    }
    for &op in Binary::ALL {
        for left in SPECIAL {
            let graph = graph(|b| SPECIAL.map(|c| b.push(Op::Binary(op), &[b.constant(left), b.constant(c)])).to_vec());
            let simplified = check(&graph, &format!("{} of {left:e} and others", op.name()));
            assert!(simplified.nodes().iter().all(|node| node.args.is_empty()), "{simplified}");
        }
    }
}

#[test]
fn constants_beside_anything_keep_its_bits() {
    for &op in Binary::ALL {
        for c in SPECIAL {
            let graph = graph(|b| {
                let x = b.input("x", Type::f32([SPECIAL.len()]));
                let c = b.constant(c).broadcast(&x.shape());
                vec![b.push(Op::Binary(op), &[x, c]), b.push(Op::Binary(op), &[c, x])]
            });
            check(&graph, &format!("{} beside {c:e}", op.name()));
        }
    }
}

/// What has no `f32` is special, too.
const SPECIAL_F64: [f64; 8] = [0.1, 1e-320, f64::MAX, -1e300, 1e39, 1.0 + f64::EPSILON, 709.9, -745.1];

#[test]
fn constants_of_f64_fold_to_the_bits_of_the_evaluator() {
    let all: Vec<f64> = SPECIAL.map(f64::from).into_iter().chain(SPECIAL_F64).collect();
    let is_folded = |graph: &Graph| graph.nodes().iter().all(|node| node.args.is_empty());
    for &op in Unary::ALL {
        let graph = graph(|b| all.iter().map(|&c| b.push(Op::Unary(op), &[b.constant_f64(c)])).collect());
        assert!(is_folded(&check(&graph, op.name())));
    }
    for &op in Binary::ALL {
        for &left in &all {
            let pairs = graph(|b| {
                all.iter().map(|&c| b.push(Op::Binary(op), &[b.constant_f64(left), b.constant_f64(c)])).collect()
            });
            assert!(is_folded(&check(&pairs, &format!("{} of {left:e} and others", op.name()))));
        }
        // beside anything
        for &c in &all {
            let graph = graph(|b| {
                let x = b.input("x", Type::f32([SPECIAL.len()])).to_f64();
                let c = b.constant_f64(c).broadcast(&x.shape());
                vec![b.push(Op::Binary(op), &[x, c]), b.push(Op::Binary(op), &[c, x])]
            });
            check(&graph, &format!("{} beside {c:e}", op.name()));
        }
    }
    let conversions = graph(|b| {
        let from_doubles = all.iter().map(|&c| b.constant_f64(c).to_f32());
        let from_words = [0, 7, u32::MAX].map(|word| b.constant_u32(word).to_f64());
        from_doubles.chain(SPECIAL.map(|c| b.constant(c).to_f64())).chain(from_words).collect()
    });
    assert!(is_folded(&check(&conversions, "conversions")));
    let back = graph(|b| vec![b.input("x", Type::f32([SPECIAL.len()])).to_f64().to_f32(), b.iota(3).to_f64().to_f32()]);
    // integers come back as floats
    assert_eq!(check(&back, "to f64 and back").nodes().len(), 4);
}
