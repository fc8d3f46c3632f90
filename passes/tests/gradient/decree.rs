//! Gradients that are defined by decree: where a function has none, of what the loss does not read, and of what cannot
//! have any.

use super::{gradients, local_reparameterization};
use bayeslift_ir::{Builder, Error, Expr, Graph, Op, Tensor, Type, Unary, evaluate};

/// The outputs of the graph `build` makes, in f32, on all-zero inputs of these shapes.
fn at_zero(shapes: &[&[usize]], build: impl for<'b> Fn(&'b Builder, &[Expr<'b>])) -> Vec<Tensor> {
    let b = Builder::new();
    let x: Vec<Expr<'_>> =
        (shapes.iter().enumerate()).map(|(i, shape)| b.input(&i.to_string(), Type::f32(*shape))).collect();
    build(&b, &x);
    let inputs: Vec<Tensor> = shapes.iter().map(|shape| Tensor::zeros(&Type::f32(*shape)).unwrap()).collect();
    evaluate(&b.finish().unwrap(), &inputs).unwrap()
}

#[test]
fn finite_at_zero_variance() {
    let shapes: [&[usize]; 3] = [&[5, 6], &[6, 4], &[6, 4]];
    let outputs = at_zero(&shapes, |b, x| {
        let loss = local_reparameterization(b, x[0], x[1], x[2]).square().sum_all();
        gradients(loss, x).into_iter().enumerate().for_each(|(i, gradient)| b.output(&i.to_string(), gradient));
    });
    for gradient in outputs {
        assert!(gradient.as_f32().unwrap().iter().all(|x| x.is_finite()), "{gradient:?}");
    }
}

#[test]
fn defined_where_not_differentiable() {
    let gradient = |f: fn(Expr<'_>) -> Expr<'_>| {
        at_zero(&[&[4]], |b, x| b.output("gradient", gradients(f(x[0]).sum_all(), x)[0]))[0].as_f32().unwrap().to_vec()
    };
    assert_eq!(gradient(|x| x.sqrt()), [0.0; 4]);
    assert_eq!(gradient(|x| (x - 1.0).sqrt()), [0.0; 4]);
    assert_eq!(gradient(|x| x.abs()), [0.0; 4]);
    assert_eq!(gradient(|x| x.floor()), [0.0; 4]);
    assert_eq!(gradient(|x| x.relu()), [0.0; 4]);
    assert_eq!(gradient(|x| x.max(x * 2.0)), [2.0; 4]);
    assert_eq!(gradient(|x| x.reduce_max(0)), [0.25; 4]);
    assert_eq!(gradient(|x| x.less(1.0).select(x, x * 3.0)), [1.0; 4]);
}

#[test]
fn unreached_parameters_get_zeros() {
    let outputs = at_zero(&[&[2], &[3, 2]], |b, x| {
        for (i, gradient) in gradients(x[0].sum(0) + x[1].stop_gradient().sum_all(), x).into_iter().enumerate() {
            b.output(&i.to_string(), gradient);
        }
    });
    assert_eq!(outputs, [Tensor::f32([2], [1.0; 2]).unwrap(), Tensor::f32([3, 2], [0.0; 6]).unwrap()]);
}

#[test]
fn intermediate_values_have_gradients_too() {
    let outputs = at_zero(&[&[2]], |b, x| {
        let y = x[0] + 3.0;
        let loss = y.square().sum(0);
        let found = gradients(loss, &[y, x[0], loss]);
        found.into_iter().enumerate().for_each(|(i, gradient)| b.output(&i.to_string(), gradient));
    });
    let six = Tensor::f32([2], [6.0; 2]).unwrap();
    assert_eq!(outputs, [six.clone(), six, Tensor::scalar(1.0)]);
}

#[test]
fn only_what_is_asked_for_is_differentiated() {
    let nodes = |parameters: fn(&[Expr<'_>]) -> usize| {
        let b = Builder::new();
        let x = [b.input("x", Type::f32([4, 3])), b.input("w", Type::f32([3, 2]))];
        let loss = x[0].sin().dot(x[1]).sum_all();
        let before = b.graph().nodes().len();
        gradients(loss, &x[parameters(&x)..]);
        let graph: Graph = b.finish().unwrap();
        graph.nodes()[before..].iter().filter(|node| node.op == Op::Unary(Unary::Cos)).count()
    };
    assert_eq!(nodes(|_| 0), 1);
    assert_eq!(nodes(|_| 1), 0);
}

#[test]
fn errors_are_typed() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([2, 3]));
    gradients(x, &[x]);
    let error = b.finish().unwrap_err();
    assert_eq!(error.to_string(), "gradients: the loss has shape [2,3], which does not fit []");

    let b = Builder::new();
    let (x, labels) = (b.input("x", Type::f32([])), b.input("labels", Type::u32([3])));
    gradients(x, &[labels]);
    assert!(matches!(b.check(), Err(Error::DTypeMismatch { .. })));
    // After an error nothing is built, and nothing panics.
    gradients(x, &[x, labels]);
}

/// The greater of two numbers, of which one is none, is the first: so is what it depends on.
#[test]
fn gradients_of_maxima_with_what_is_not_a_number() {
    let b = Builder::new();
    let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([4])));
    let greater = x.max(y);
    b.output("max", greater);
    for gradient in gradients(greater.sum_all(), &[x, y]) {
        b.output(&format!("gradient {}", gradient.value()), gradient);
    }
    let inputs = [[1.0, f32::NAN, 1.0, 2.0], [f32::NAN, 1.0, 2.0, 2.0]].map(|x| Tensor::f32([4], x).unwrap());
    let found = evaluate(&b.finish().unwrap(), &inputs).unwrap();
    let found: Vec<&[f32]> = found.iter().map(|x| x.as_f32().unwrap()).collect();
    assert!(found[0][0] == 1.0 && found[0][1].is_nan() && found[0][2..] == [2.0, 2.0]);
    // at a tie the second
    assert_eq!(found[1..], [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]);
}
