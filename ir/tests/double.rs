//! Values of `f64`: their types, the orders in which they are added, conversions, and numbers beside them.

use bayeslift_ir::{
    Builder, DType, Elements, Expr, Graph, Op, Tensor, Type, Window, evaluate, evaluate_f64, same_bits,
};

fn graph(inputs: &[&Tensor], build: impl for<'b> Fn(&'b Builder, &[Expr<'b>]) -> Expr<'b>) -> Graph {
    let b = Builder::new();
    let x: Vec<Expr<'_>> = inputs.iter().enumerate().map(|(i, tensor)| b.input(&i.to_string(), tensor.ty())).collect();
    b.output("y", build(&b, &x));
    b.finish().unwrap()
}

fn run(inputs: &[&Tensor], build: impl for<'b> Fn(&'b Builder, &[Expr<'b>]) -> Expr<'b>) -> Tensor {
    let inputs_owned: Vec<Tensor> = inputs.iter().copied().cloned().collect();
    evaluate(&graph(inputs, build), &inputs_owned).unwrap().remove(0)
}

#[track_caller]
fn check(found: &Tensor, expected: &Tensor) {
    same_bits(found, expected).unwrap();
}

/// Elements of mixed magnitude and sign, so that another order of addition shows.
fn mixed(shape: &[usize]) -> Tensor {
    let element = |i: usize| (0.7 + i as f64).sin() * 10_f64.powi(i as i32 * 7 % 13 - 6);
    Tensor::f64(shape, (0..shape.iter().product()).map(element).collect::<Vec<_>>()).unwrap()
}

#[test]
fn sums_and_maxima_go_along_an_axis_in_order() {
    let shape = [3, 150, 2];
    let x = mixed(&shape);
    let elements = x.as_f64().unwrap();
    let at = |i: usize, j: usize, k: usize| elements[(i * 150 + j) * 2 + k];
    let sums = (0..3).flat_map(|i| (0..2).map(move |k| (0..150).fold(0.0, |sum, j| sum + at(i, j, k))));
    check(&run(&[&x], |_, x| x[0].sum(1)), &Tensor::f64([3, 2], sums.collect::<Vec<_>>()).unwrap());

    let rows = x.as_f64().unwrap().chunks_exact(300);
    let sums: Vec<f64> = rows.clone().map(|row| row.iter().fold(0.0, |sum, x| sum + x)).collect();
    let flat = run(&[&x], |_, x| x[0].reshape([3, 300]).sum(1));
    check(&flat, &Tensor::f64([3], sums).unwrap());
    let largest = rows.map(|row| row.iter().fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a }));
    check(
        &run(&[&x], |_, x| x[0].reshape([3, 300]).reduce_max(1)),
        &Tensor::f64([3], largest.collect::<Vec<_>>()).unwrap(),
    );
    // from +0 and from -infinity; what is no number is passed over
    let none = Tensor::f64([2], [-0.0, -0.0]).unwrap();
    check(&run(&[&none], |_, x| x[0].sum(0)), &Tensor::f64([], [0.0]).unwrap());
    let some = Tensor::f64([3, 1], [f64::NAN, -3.0, f64::NAN]).unwrap();
    check(&run(&[&some], |_, x| x[0].reduce_max(0)), &Tensor::f64([1], [-3.0]).unwrap());
}

/// In chunks, and without a fused multiply-add.
#[test]
fn products_add_in_order() {
    let (a, x) = (mixed(&[2, 3, 600]), mixed(&[2, 600, 5]));
    let (left, right) = (a.as_f64().unwrap(), x.as_f64().unwrap());
    let element = |i: usize| {
        let (batch, row, col) = (i / 15, i / 5 % 3, i % 5);
        let term = |k: usize| left[(batch * 3 + row) * 600 + k] * right[(batch * 600 + k) * 5 + col];
        let chunks = [0..256, 256..512, 512..600].map(|chunk| chunk.fold(0.0, |sum, k| sum + term(k)));
        (chunks[0] + chunks[1]) + chunks[2]
    };
    let expected = Tensor::f64([2, 3, 5], (0..30).map(element).collect::<Vec<_>>()).unwrap();
    check(&run(&[&a, &x], |_, x| x[0].dot(x[1])), &expected);
}

#[test]
fn folds_add_in_order() {
    let x = mixed(&[5, 20]);
    let window = Window { axis: 0, start: 0, size: 5, dilation: 0, count: 20, step: 1 };
    let expected: Vec<f64> =
        (0..20).map(|p| (0..5).fold(0.0, |sum, j| sum + x.as_f64().unwrap()[j * 20 + p])).collect();
    check(&run(&[&x], |_, x| x[0].fold(window, 20)), &Tensor::f64([20], expected).unwrap());
}

#[test]
fn conversions_are_exact_or_to_the_nearest() {
    let words = Tensor::u32([3], [7, 16_777_217, u32::MAX]).unwrap();
    check(&run(&[&words], |_, x| x[0].to_f32()), &Tensor::f32([3], [7.0, 16_777_216.0, 4_294_967_296.0]).unwrap());
    let doubles = Tensor::f64([3], [7.0, 16_777_217.0, 4_294_967_295.0]).unwrap();
    check(&run(&[&words], |_, x| x[0].to_f64()), &doubles);
    check(&run(&[&words], |_, x| x[0].to_f64().to_f32()), &run(&[&words], |_, x| x[0].to_f32()));

    let floats = [0.1_f32, -0.0, 1e-45, f32::MAX, f32::NEG_INFINITY, f32::NAN];
    let x = Tensor::f32([6], floats).unwrap();
    check(&run(&[&x], |_, x| x[0].to_f64()), &Tensor::f64([6], floats.map(f64::from)).unwrap());
    check(&run(&[&x], |_, x| x[0].to_f64().to_f32().to_f32()), &x);
    // halfway cases go to the even neighbour, what is too large to infinity
    let one = 1.0 + 2.0_f64.powi(-24);
    let wide = [one, one + 2.0_f64.powi(-50), one + 2.0_f64.powi(-23), 1e39, -1e-46];
    let narrow = [1.0, 1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON, f32::INFINITY, -0.0];
    check(&run(&[&Tensor::f64([5], wide).unwrap()], |_, x| x[0].to_f32()), &Tensor::f32([5], narrow).unwrap());
}

#[test]
fn numbers_take_the_type_of_what_they_stand_beside() {
    let x = Tensor::f64([2], [0.3, -2.0]).unwrap();
    let by_hand = |f: fn(f64) -> f64| Tensor::f64([2], x.as_f64().unwrap().iter().map(|&x| f(x)).collect::<Vec<_>>());
    check(&run(&[&x], |_, x| x[0] * 0.1 + 1.0), &by_hand(|x| x * 0.1 + 1.0).unwrap());
    check(&run(&[&x], |_, x| x[0] * 0.1_f32), &by_hand(|x| x * f64::from(0.1_f32)).unwrap());
    check(&run(&[&x], |_, x| 2.0 / x[0].square()), &by_hand(|x| 2.0 / (x * x)).unwrap());
    check(&run(&[&x], |_, x| x[0].relu().min(0.2)), &by_hand(|x| x.clamp(0.0, 0.2)).unwrap());
    check(&run(&[&x], |_, x| x[0].less(0.1).select(0.7, x[0])), &by_hand(|x| if x < 0.1 { 0.7 } else { x }).unwrap());
    check(&run(&[&x], |_, x| x[0].less(0.1).select(x[0], 0.7)), &by_hand(|x| if x < 0.1 { x } else { 0.7 }).unwrap());
    check(&run(&[&x], |_, x| x[0].mean(0)), &Tensor::f64([], [(0.3 - 2.0) / 2.0]).unwrap());
    check(&run(&[&x], |_, x| x[0].mean_all()), &run(&[&x], |_, x| x[0].mean(0)));
    let f32s = Tensor::f32([2], [0.3, -2.0]).unwrap();
    check(&run(&[&f32s], |_, x| x[0] * 0.1), &run(&[&f32s], |b, x| x[0] * b.constant(0.1)));
    assert_eq!(run(&[&f32s], |_, x| x[0].less(0.0).select(1.0, 0.0)).dtype(), DType::F32);

    let softmax = run(&[&x], |_, x| x[0].log_softmax());
    let total: f64 = softmax.as_f64().unwrap().iter().map(|x| x.exp()).sum();
    assert!((total - 1.0).abs() < 1e-15, "{total}");
}

/// What the type rule refuses names the operation and the operand.
#[test]
fn what_there_is_not_is_a_typed_error() {
    let refuses = |build: fn(&Builder, [Expr<'_>; 3]) -> Value, expected: &str| {
        let b = Builder::new();
        let operands = [("x", DType::F64), ("y", DType::F32), ("m", DType::Mask)]
            .map(|(name, dtype)| b.input(name, Type::new(dtype, [2, 2])));
        build(&b, operands);
        assert_eq!(b.finish().unwrap_err().to_string(), expected);
    };
    type Value = bayeslift_ir::Value;
    refuses(|_, [x, y, _]| (x + y).value(), "add: operand 1 has element type f32, expected f64");
    refuses(|_, [x, y, _]| x.dot(y).value(), "dot: operand 1 has element type f32, expected f64");
    refuses(|_, [x, y, _]| y.dot(x).value(), "dot: operand 1 has element type f64, expected f32");
    refuses(|_, [_, _, m]| m.to_f64().value(), "convert: operand 0 has element type mask, expected u32");
    refuses(
        |b, [x, _, _]| b.push(Op::Convert(DType::U32), &[x]).value(),
        "convert: operand 0 has element type f64, expected f32",
    );
    refuses(
        |b, [x, _, _]| b.push(Op::Convert(DType::F64), &[x]).value(),
        "convert: operand 0 has element type f64, expected u32",
    );
}

/// Accumulators that are overwritten, as prediction has them, and the same in the oracle.
#[test]
fn accumulators_are_donated() {
    let b = Builder::new();
    let (samples, total) = (b.input("samples", Type::f32([4, 3])), b.input("total", Type::f64([3])));
    b.output_updating("total", total + samples.to_f64().sum(0), total);
    let graph = b.finish().unwrap();
    assert_eq!(graph.to_string().parse(), Ok(graph.clone()));
    let samples = Tensor::f32([4, 3], (0..12).map(|i| i as f32 * 0.1).collect::<Vec<_>>()).unwrap();
    let inputs = [samples.clone(), Tensor::f64([3], [1e9, -1.0, 0.0]).unwrap()];
    let found = evaluate(&graph, &inputs).unwrap();
    let at = |i: usize| f64::from(samples.as_f32().unwrap()[i]);
    let sums =
        [1e9, -1.0, 0.0].into_iter().enumerate().map(|(j, x)| x + (0..4).fold(0.0, |sum, i| sum + at(3 * i + j)));
    check(&found[0], &Tensor::f64([3], sums.collect::<Vec<_>>()).unwrap());
    let oracle = evaluate_f64(&graph, &inputs.each_ref().map(Elements::from)).unwrap();
    assert_eq!(oracle[0].doubles(), found[0].as_f64());
    let wrong = [Elements::from(&samples), Elements::Floats(vec![0.0; 3])];
    let message = "evaluate: input `total` has element type f32, expected f64";
    assert_eq!(evaluate_f64(&graph, &wrong).unwrap_err().to_string(), message);
}

#[test]
fn tensors_are_made_of_words_and_give_them_back() {
    let x = Tensor::f64([2], [1.0, -0.1]).unwrap();
    assert_eq!(x.words()[..2], [0, 0x3ff0_0000]);
    assert_eq!(Tensor::from_words(&x.ty(), x.words()), Ok(x.clone()));
    assert!(Tensor::from_words(&x.ty(), vec![0; 3]).is_err());
    assert!(Tensor::from_words(&x.ty(), vec![0; 5]).is_err());
    assert_eq!(Tensor::zeros(&x.ty()).unwrap().as_f64(), Some(&[0.0; 2][..]));
    assert_eq!((x.as_f32(), x.as_u32()), (None, None));
}
