//! Every rule of the gradient against central differences in f64.

#[path = "gradient/convolutions.rs"]
mod convolutions;
#[path = "gradient/decree.rs"]
mod decree;

use bayeslift_ir::{
    Binary, Builder, Compare, DType, Elements, Expr, Noise, NoiseAddress, NoiseDistribution, Op, Shape, Tensor, Type,
    Unary, Window, evaluate, evaluate_f64, noise, verify,
};
use bayeslift_passes::gradients;

/// A parameter: its shape and the range of its elements.
type Parameter<'a> = (&'a [usize], [f64; 2]);

/// Elements spread over `range`, the same in every run.
fn elements(seed: u64, shape: &[usize], [low, high]: [f64; 2]) -> Vec<f64> {
    let uniform = |unit| {
        let address = noise::Address { seed, unit, units: 1 << 20, ..Default::default() };
        f64::from(noise::element(NoiseDistribution::Uniform, 1, address))
    };
    (0..shape.iter().product::<usize>() as u32).map(|unit| low + (high - low) * uniform(unit)).collect()
}

/// Differentiates `sum(f(parameters) * weights)` for fixed weights and compares with central differences.
#[track_caller]
fn check<'a>(parameters: &[Parameter<'a>], f: impl for<'b> Fn(&'b Builder, &[Expr<'b>]) -> Expr<'b>) {
    let b = Builder::new();
    let x: Vec<Expr<'_>> =
        (parameters.iter().enumerate()).map(|(i, &(shape, _))| b.input(&format!("x{i}"), Type::f32(shape))).collect();
    let y = f(&b, &x);
    let weights = b.input("weights", Type::f32(y.shape()));
    let loss = (y * weights).sum_all();
    let gradients = gradients(loss, &x);
    b.output("loss", loss);
    gradients.iter().enumerate().for_each(|(i, gradient)| b.output(&format!("gradient of x{i}"), *gradient));
    let graph = b.finish().unwrap();
    verify(&graph).unwrap();

    let mut values: Vec<Vec<f64>> =
        (0..).zip(parameters).map(|(seed, &(shape, range))| elements(seed, shape, range)).collect();
    values.push(elements(100, &graph.ty(graph.inputs()[parameters.len()].value).shape, [0.5, 1.5]));
    let run = |values: &[Vec<f64>]| {
        let inputs: Vec<Elements<f64>> = values.iter().cloned().map(Elements::Floats).collect();
        evaluate_f64(&graph, &inputs).unwrap()
    };
    let results = run(&values);
    for parameter in 0..parameters.len() {
        let gradient = results[parameter + 1].floats().unwrap();
        assert_eq!(gradient.len(), values[parameter].len());
        for (i, &found) in gradient.iter().enumerate() {
            let x = values[parameter][i];
            let h = 1e-5 * x.abs().max(1.0);
            let mut loss_at = |x: f64| {
                values[parameter][i] = x;
                run(&values)[0].floats().unwrap()[0]
            };
            let expected = (loss_at(x + h) - loss_at(x - h)) / (2.0 * h);
            values[parameter][i] = x;
            let error = (found - expected).abs();
            assert!(
                error <= 1e-6 * expected.abs().max(1.0),
                "d loss / d x{parameter}[{i}] at {x}: {found}, central difference {expected}\n{graph}"
            );
        }
    }
}

const SIGNED: [f64; 2] = [-2.0, 2.0];
const POSITIVE: [f64; 2] = [0.2, 3.0];
const SHAPES: [&[usize]; 5] = [&[], &[1], &[7], &[3, 5], &[2, 3, 4]];

#[test]
fn every_unary() {
    for &op in Unary::ALL {
        let range = match op {
            Unary::Log | Unary::Sqrt => POSITIVE,
            _ => SIGNED,
        };
        for shape in SHAPES {
            check(&[(shape, range)], |b, x| b.push(Op::Unary(op), &[x[0]]));
        }
    }
}

/// Rules are those of `f32`; conversions are undone on the way back.
#[test]
fn values_of_f64() {
    for &op in Unary::ALL {
        let range = if matches!(op, Unary::Log | Unary::Sqrt) { POSITIVE } else { SIGNED };
        check(&[(&[3, 5], range)], |b, x| b.push(Op::Unary(op), &[x[0].to_f64()]).to_f32());
    }
    for &op in Binary::ALL {
        check(&[(&[3, 5], SIGNED), (&[3, 5], POSITIVE)], |b, x| {
            b.push(Op::Binary(op), &[x[0].to_f64(), x[1].to_f64()]).to_f32()
        });
    }
    for axis in 0..3 {
        check(&[(&[2, 3, 4], SIGNED)], |_, x| x[0].to_f64().sum(axis).to_f32());
        check(&[(&[2, 3, 4], SIGNED)], |_, x| x[0].to_f64().reduce_max(axis).square().to_f32());
    }
    let window = Window { axis: 0, start: 0, size: 3, dilation: 1, count: 2, step: 2 };
    check(&[(&[5, 2], SIGNED)], |_, x| x[0].to_f64().window(window).square().to_f32());
    check(&[(&[3, 2, 2], SIGNED)], |_, x| x[0].to_f64().fold(window, 6).square().to_f32());
    check(&[(&[4, 3], SIGNED)], |_, x| (x[0].to_f64().log_softmax() * x[0].to_f64()).to_f32());
    check(&[(&[2, 3, 4], SIGNED), (&[2, 4, 5], SIGNED)], |_, x| x[0].to_f64().dot(x[1].to_f64()).to_f32());
    check(&[(&[3, 4], SIGNED)], |_, x| x[0].to_f64().dot(x[0].to_f64().matrix_transpose()).tanh().to_f32());
    check(&[(&[4], SIGNED)], |b, x| x[0].to_f64().less(0.1).select(x[0].to_f64() * 3.0, b.iota(4).to_f64()).to_f32());

    // with respect to an `f64`, of an `f64`, which has all its digits
    let b = Builder::new();
    let x = b.input("x", Type::f64([2]));
    let gradient = gradients((x.exp() * x.to_f32().to_f64()).sum(0), &[x, b.input("y", Type::f64([3]))]);
    gradient.iter().enumerate().for_each(|(i, gradient)| b.output(&i.to_string(), *gradient));
    let x = [0.1_f64, -1.7];
    let inputs = [Tensor::f64([2], x).unwrap(), Tensor::f64([3], [1.0; 3]).unwrap()];
    let found = evaluate(&b.finish().unwrap(), &inputs).unwrap();
    for (found, x) in found[0].as_f64().unwrap().iter().zip(x) {
        // of the second factor there are the digits of `f32` alone
        let rounded = f64::from(x as f32);
        let (want, second) = (x.exp() * rounded, f64::from(x.exp() as f32));
        assert!((found - want - second).abs() < 1e-15, "{found:e}");
    }
    assert_eq!(found[1], Tensor::f64([3], [0.0; 3]).unwrap());
}

#[test]
fn every_binary() {
    for &op in Binary::ALL {
        let range = if op == Binary::Div { POSITIVE } else { SIGNED };
        for shape in SHAPES {
            check(&[(shape, SIGNED), (shape, range)], |b, x| b.push(Op::Binary(op), &[x[0], x[1]]));
            check(&[(shape, range)], |b, x| b.push(Op::Binary(op), &[x[0], x[0] * 3.0]));
        }
    }
}

#[test]
fn broadcasts_are_undone() {
    let pairs: [(&[usize], &[usize]); 6] =
        [(&[3, 4], &[4]), (&[3, 1], &[1, 4]), (&[], &[2, 2]), (&[2, 3, 4], &[3, 1]), (&[1, 1], &[5]), (&[1, 3], &[1])];
    for (a, b) in pairs {
        check(&[(a, SIGNED), (b, SIGNED)], |_, x| x[0] * x[1] + x[1]);
        check(&[(b, SIGNED), (a, POSITIVE)], |_, x| x[0] / x[1]);
    }
    check(&[(&[1, 3, 1], SIGNED)], |_, x| x[0].broadcast(&Shape::new(&[5, 2, 3, 4])).sin());
}

#[test]
fn comparisons_and_selections() {
    for &op in Compare::ALL {
        check(&[(&[4, 3], SIGNED), (&[4, 3], SIGNED)], |b, x| {
            let mask = b.push(Op::Compare(op), &[x[0], x[1]]);
            mask.select(x[0] * x[1], x[1].sin())
        });
    }
    check(&[(&[3], SIGNED), (&[2, 1], SIGNED)], |_, x| x[0].less(0.3).select(x[1], x[0]));
    check(&[(&[6, 5], SIGNED)], |b, x| x[0] * b.iota(5).to_f32());
    check(&[(&[4, 5], SIGNED)], |b, x| b.iota(4).one_hot(5) * x[0]);
}

#[test]
fn contractions() {
    check(&[(&[3, 4], SIGNED), (&[4, 5], SIGNED)], |_, x| x[0].dot(x[1]));
    check(&[(&[1, 4], SIGNED), (&[4, 1], SIGNED)], |_, x| x[0].dot(x[1]));
    check(&[(&[4, 3], SIGNED), (&[4, 5], SIGNED)], |_, x| x[0].matrix_transpose().dot(x[1]));
    check(&[(&[3, 4], SIGNED), (&[5, 4], SIGNED)], |_, x| x[0].dot(x[1].matrix_transpose()));
    check(&[(&[2, 3, 4], SIGNED), (&[2, 4, 2], SIGNED)], |_, x| x[0].dot(x[1]));
    check(&[(&[2, 3, 4], SIGNED), (&[4, 2], SIGNED)], |_, x| x[0].dot(x[1]));
    check(&[(&[2, 1, 3, 4], SIGNED), (&[3, 4, 2], SIGNED)], |_, x| x[0].dot(x[1]));
    check(&[(&[4, 4], SIGNED)], |_, x| x[0].dot(x[0].matrix_transpose()).dot(x[0]));
}

#[test]
fn reductions() {
    for axis in 0..3 {
        check(&[(&[2, 3, 17], SIGNED)], |_, x| x[0].sum(axis).square());
        check(&[(&[2, 3, 17], SIGNED)], |_, x| x[0].reduce_max(axis).square());
        check(&[(&[2, 3, 4], SIGNED)], |_, x| x[0].mean(axis).exp());
    }
    check(&[(&[3, 1], SIGNED)], |_, x| x[0].sum(1) * x[0].reduce_max(1));
    check(&[(&[5], SIGNED)], |_, x| x[0].sum_all().tanh());
}

#[test]
fn movement() {
    check(&[(&[2, 3, 4], SIGNED)], |_, x| x[0].transpose(&[2, 0, 1]).square());
    check(&[(&[2, 3, 4, 1], SIGNED)], |_, x| x[0].transpose(&[1, 3, 0, 2]).square());
    check(&[(&[6, 4], SIGNED)], |_, x| x[0].reshape([2, 3, 4]).sum(1).square());
    check(&[(&[4], SIGNED)], |_, x| x[0].expand(0) * x[0].expand(1));
}

#[test]
fn windows() {
    let window = Window { axis: 1, start: 1, size: 3, dilation: 2, count: 2, step: 1 };
    check(&[(&[2, 7], SIGNED)], |_, x| x[0].window(window).square());
    check(&[(&[2, 3, 2, 2], SIGNED)], |_, x| x[0].fold(window, 7).square());
    let turned = Window { start: 6, dilation: -1, step: -2, ..window };
    check(&[(&[2, 7, 2], SIGNED)], |_, x| x[0].window(turned).square());
    check(&[(&[4, 3], SIGNED)], |_, x| (x[0].slice(0, 1..3) * x[0].reverse(1).slice(0, 0..2)).pad(1, 1, 2, 1));
}

/// Rows of tables, also of several side by side, and of what is computed; rows added up, and rows replaced, where the
/// first counts.
#[test]
fn rows_by_their_numbers() {
    // the numbers 0, 1, .., some of them twice, and one that is no row's of four
    fn numbers(b: &Builder, n: usize) -> Expr<'_> {
        (b.iota(n).to_f32() * 0.75).floor().to_u32()
    }
    check(&[(&[4, 3], SIGNED)], |b, x| x[0].gather(numbers(b, 6)));
    check(&[(&[4, 3], SIGNED)], |b, x| x[0].exp().gather(numbers(b, 8).reshape([2, 4])).square());
    check(&[(&[2, 4, 3], SIGNED)], |b, x| x[0].gather(numbers(b, 10).reshape([2, 5])));
    check(&[(&[7, 2], SIGNED)], |b, x| x[0].square().scatter_add(numbers(b, 7), 4));
    check(&[(&[2, 5, 2], SIGNED)], |b, x| x[0].scatter_add(numbers(b, 10).reshape([2, 5]), 4));
    check(&[(&[4, 3], SIGNED), (&[7, 3], SIGNED)], |b, x| x[0].scatter_rows(numbers(b, 7), x[1]).square());
}

/// What is known in the forward pass arrives beside what comes from a contraction, and both go on through a square.
#[test]
fn squares_of_what_a_contraction_and_a_divergence_read() {
    check(&[(&[3, 4], SIGNED), (&[4, 2], SIGNED)], |_, x| {
        let square = x[1].square();
        x[0].dot(square.tanh()) + square.sin().sum_all()
    });
    check(&[(&[3, 4], SIGNED), (&[4, 2], SIGNED)], |_, x| {
        let square = x[1].square();
        x[0].dot(square.tanh()) * 2.0 + (square * 0.3).sin().sum_all() + square.cos().sum(0)
    });
}

#[test]
fn compositions() {
    check(&[(&[3, 5], SIGNED)], |_, x| x[0].log_softmax());
    check(&[(&[3, 4], SIGNED), (&[4, 5], SIGNED), (&[5], SIGNED)], |b, x| {
        let logits = (x[0].dot(x[1]) + x[2]).relu().log_softmax();
        (b.iota(3).one_hot(5) * logits).sum(1)
    });
    check(&[(&[4], SIGNED), (&[4], POSITIVE)], |_, x| {
        let ratio = (x[0] / x[1]).square();
        0.5 * (x[1].square() + ratio - 1.0) - x[1].log()
    });
    // A value used many times, and the gradient of a gradient.
    check(&[(&[3], SIGNED)], |_, x| (0..10).fold(x[0], |y, _| (y.sin() * y + x[0]) * 0.3));
    check(&[(&[3], POSITIVE)], |_, x| gradients((x[0].log() * x[0].tanh()).sum(0), &[x[0]])[0]);
}

/// `x` through a layer with local reparameterization: mean and standard deviation of the output by contractions,
/// noise on the output. The bias has no variance.
fn local_reparameterization<'b>(b: &'b Builder, x: Expr<'b>, mean: Expr<'b>, scale: Expr<'b>) -> Expr<'b> {
    let key = [1, 2, 3, 4].map(|x| b.constant_u32(x));
    let one_hot = |i: u32| b.iota(4).equal(i);
    let zero = b.constant_u32(0).broadcast(&Shape::new(&[4]));
    let key = (0..4).fold(zero, |words, i| one_hot(i).select(key[i as usize], words));
    let address = NoiseAddress { key, first_sample: b.constant_u32(5), first_row: b.iota(2) };
    let shape = Shape::new(&[x.shape()[0], mean.shape()[1]]);
    let noise = Noise {
        distribution: NoiseDistribution::Normal,
        dtype: DType::F32,
        stream: 9,
        sample_axis: None,
        example_axis: Some(0),
        shape,
    };
    let variance = x.square().dot(scale.softplus().square());
    x.dot(mean) + variance.sqrt() * b.noise(noise, address)
}

#[test]
fn local_reparameterization_under_common_random_numbers() {
    check(&[(&[5, 6], SIGNED), (&[6, 4], SIGNED), (&[6, 4], SIGNED)], |b, x| {
        local_reparameterization(b, x[0], x[1], x[2]).tanh()
    });
}
