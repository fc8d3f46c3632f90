//! Where overflow would be hidden, and what is done about it.

use super::*;
use bayeslift_ir::{Builder, Expr, Tensor, Type, evaluate, same_bits};

const X: [f32; 12] = [1.0, -2.0, 3.0, 1e20, -1e20, 1e20, 3e38, 1e-3, -5.0, 1e37, 0.0, 2e37];

fn layer<'b>(b: &'b Builder, activation: impl Fn(Expr<'b>) -> Expr<'b>) -> Expr<'b> {
    let x = b.input("x", Type::f32([4, 3]));
    let [m, s, noise] = ["m", "s", "noise"].map(|name| b.input(name, Type::f32([3, 2])));
    let noise = noise.sum(0);
    activation(x.dot(m) + x.square().dot(s.square()).sqrt() * noise)
}

fn inputs(x: [f32; 12]) -> [Tensor; 4] {
    let m = Tensor::f32([3, 2], [0.1, -0.2, 0.3, 0.1, 0.0, 0.25]).unwrap();
    let s = Tensor::f32([3, 2], [0.01, 0.02, 0.03, 0.01, 0.001, 0.5]).unwrap();
    let noise = Tensor::f32([3, 2], [0.5, -1.0, 0.25, 0.0, -0.3, 0.2]).unwrap();
    [Tensor::f32([4, 3], x).unwrap(), m, s, noise]
}

#[test]
fn roots_of_what_overflowed_are_as_in_double_precision() {
    let b = Builder::new();
    b.output("y", layer(&b, |y| y));
    let graph = b.finish().unwrap();
    let inputs = inputs(X);
    let rescaled = rescale(&graph).unwrap().unwrap();
    let (before, after) = (evaluate(&graph, &inputs).unwrap(), evaluate(&rescaled, &inputs).unwrap());
    let (before, after) = (before[0].as_f32().unwrap(), after[0].as_f32().unwrap());
    let double: Vec<_> = inputs.iter().map(bayeslift_ir::Elements::from).collect();
    let want = bayeslift_ir::evaluate_f64(&graph, &double).unwrap();
    for (i, &want) in want[0].floats().unwrap().iter().enumerate() {
        assert!((f64::from(after[i]) - want).abs() <= 1e-6 * want.abs(), "element {i}: {} for {want}", after[i]);
        assert_eq!(before[i].is_finite(), i / 2 == 0, "element {i}: {}", before[i]);
    }
    // the first row's bits stay
    assert_eq!(before[..2], after[..2]);
}

#[test]
fn a_watched_graph_says_what_its_outputs_hide() {
    type Activation = fn(Expr<'_>) -> Expr<'_>;
    // (activation, inputs, whether something overflowed)
    let cases: [(Activation, f32, bool); 6] = [
        (|y| y.tanh(), 1e20, true),
        (|y| y.relu(), 1e20, true),
        (|y| y.tanh(), 1e10, false),
        (|y| y.relu(), 1e10, false),
        (|y| y / (y.square() + 1.0), 1e20, true),
        (|y| y.less(0.0).select(y.min(0.0).exp(), y), 1e20, true),
    ];
    for (i, (activation, scale, overflows)) in cases.into_iter().enumerate() {
        let b = Builder::new();
        b.output("y", layer(&b, activation));
        let graph = b.finish().unwrap();
        let watched = watch(&graph, true).unwrap().unwrap();
        let x = [1.0, -2.0, 3.0, -0.5, 0.25, 0.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0].map(|x: f32| x * scale);
        let (plain, seen) = (evaluate(&graph, &inputs(x)).unwrap(), evaluate(&watched, &inputs(x)).unwrap());
        assert_eq!(same_bits(&plain[0], &seen[0]), Ok(()), "case {i}");
        assert_eq!(watched.outputs()[1].name, WATCH);
        assert_eq!(seen[1].as_f32().unwrap()[0] == 1.0, overflows, "case {i}");
    }
}

#[test]
fn infinities_that_are_meant_are_not_watched() {
    let b = Builder::new();
    let (x, hidden) = (b.input("x", Type::f32([2, 3])), b.input("hidden", Type::u32([2])));
    let masked = hidden.one_hot_mask(3).select(f32::NEG_INFINITY, x);
    b.output("attention", masked.log_softmax().exp());
    let watched = watch(&b.finish().unwrap(), true).unwrap().unwrap();
    let hidden = Tensor::u32([2], [2, 0]).unwrap();
    let of = |x: f32| {
        let x = Tensor::f32([2, 3], [1.0, 2.0, 3.0, x, 5.0, 6.0]).unwrap();
        let outputs = evaluate(&watched, &[x, hidden.clone()]).unwrap();
        (outputs[0].as_f32().unwrap().to_vec(), outputs[1].as_f32().unwrap()[0])
    };
    let (attention, found) = of(4.0);
    assert!(attention[2] == 0.0 && attention[3] == 0.0 && found == 0.0, "{attention:?} {found}");
    // what is no number is not meant: a maximum ignores it
    let b = Builder::new();
    let x = b.input("x", Type::f32([2, 3]));
    b.output("largest", (x - x + f32::NEG_INFINITY).reduce_max(1));
    let watched = watch(&b.finish().unwrap(), true).unwrap().unwrap();
    let found = |x: f32| evaluate(&watched, &[Tensor::f32([2, 3], [x; 6]).unwrap()]).unwrap()[1].clone();
    assert_eq!((found(1.0).as_f32().unwrap()[0], found(f32::INFINITY).as_f32().unwrap()[0]), (0.0, 1.0));
}

#[test]
fn nothing_is_hidden_where_ranges_are_finite() {
    let b = Builder::new();
    b.output("y", layer(&b, |y| y.tanh()));
    let graph = b.finish().unwrap();
    let of = |size: f64| {
        let ranges = RangeAnalysis::new(&graph, |_| None).unwrap().ranges(|_| Range::new(-size, size));
        hidden(&graph, &ranges)
    };
    assert_eq!(of(1e4), []);
    assert_eq!(of(1e18).len(), 2);
    // a linear graph hides nothing
    let b = Builder::new();
    b.output("y", b.input("x", Type::f32([4, 3])).dot(b.input("m", Type::f32([3, 2]))) * 2.0);
    let graph = b.finish().unwrap();
    assert!(watch(&graph, true).unwrap().is_none() && rescale(&graph).unwrap().is_none());
}

/// Sums and products of `f64` made of finite `f32` do not overflow, and accumulators show what does.
#[test]
fn statistics_in_f64_hide_nothing() {
    let suspects = |size: f64, build: for<'b> fn(Expr<'b>, Expr<'b>) -> Vec<(Expr<'b>, bool)>| {
        let b = Builder::new();
        let (x, mean) = (b.input("x", Type::f32([4, 3])), b.input("mean", Type::f64([3])));
        for (i, (result, updates)) in build(x, mean).into_iter().enumerate() {
            let name = format!("output {i}");
            if updates { b.output_updating(&name, result, mean) } else { b.output(&name, result) }
        }
        let graph = b.finish().unwrap();
        let any = Range::new(-f64::MAX, f64::MAX);
        let ranges = RangeAnalysis::new(&graph, |_| None)
            .unwrap()
            .ranges(|i| if i == 0 { Range::new(-size, size) } else { any });
        hidden(&graph, &ranges).len()
    };
    let largest = f32::MAX.into();
    // a mean and squared distances, with any finite mean
    assert_eq!(
        suspects(largest, |x, mean| {
            let x = x.to_f64().sum(0);
            let next = mean + (x - mean) / 4.0;
            vec![(next, true), (((x - mean) * (x - next)).sqrt(), false)]
        }),
        0
    );
    // powers up to the seventh of finite numbers are finite, and so nothing is hidden of them
    assert_eq!(
        suspects(largest, |x, _| {
            let x = x.to_f64();
            vec![((x.square() * x.square() * x.square() * x).exp(), false)]
        }),
        0
    );
    // what is too large for `f32` is no number of that
    assert_eq!(suspects(largest, |x, _| vec![(x.to_f64().square().to_f32().tanh(), false)]), 1);
    assert_eq!(suspects(1e19, |x, _| vec![(x.to_f64().square().to_f32().tanh(), false)]), 0);
    // those who go on in `f64` take care of it themselves
    assert_eq!(suspects(largest, |x, _| vec![((x * 2.0).to_f64().exp(), false)]), 0);
}
