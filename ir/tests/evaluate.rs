//! The evaluator against definitions written out element by element.

use bayeslift_ir::{
    Builder, DOT_CHUNK, DType, Elements, Error, Expr, Graph, Noise, NoiseAddress, NoiseDistribution, SUM_CHUNK,
    SUM_LANES, Shape, Tensor, Type, evaluate, evaluate_f64, fma, noise, same_bits,
};

/// Elements of mixed magnitude and sign, so that another order of addition shows.
fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let element = |unit| {
        let address = noise::Address { seed, unit, units: 1 << 20, ..Default::default() };
        let x = noise::element(NoiseDistribution::Normal, 7, address);
        x * x * x
    };
    Tensor::f32(shape, (0..shape.iter().product::<usize>() as u32).map(element).collect::<Vec<_>>()).unwrap()
}

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

/// Compares with `expected`, a definition by index.
#[track_caller]
fn check(found: &Tensor, shape: &[usize], expected: impl Fn(&[usize]) -> f32) {
    let index = |mut i: usize| {
        let mut index = vec![0; shape.len()];
        for (axis, extent) in shape.iter().enumerate().rev() {
            (index[axis], i) = (i % extent, i / extent);
        }
        index
    };
    let elements: Vec<f32> = (0..shape.iter().product()).map(|i| expected(&index(i))).collect();
    same_bits(found, &Tensor::f32(shape, elements).unwrap()).unwrap();
}

/// The element at an index.
fn at(tensor: &Tensor, index: &[usize]) -> f32 {
    let offset = index.iter().zip(tensor.shape().iter()).fold(0, |offset, (i, extent)| offset * extent + i);
    tensor.as_f32().unwrap()[offset]
}

/// Chunk sums of `terms` added in order, each summed in order from +0 by `add`.
fn in_chunks<T: Copy>(terms: &[T], chunk: usize, add: impl Fn(f32, T) -> f32) -> f32 {
    let sums = terms.chunks(chunk).map(|chunk| chunk.iter().fold(0.0, |sum, &term| add(sum, term)));
    sums.reduce(|total, sum| total + sum).unwrap()
}

/// Lanes, then the tree.
fn in_lanes(terms: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes: Vec<f32> = (0..SUM_LANES)
        .map(|lane| terms.iter().skip(lane).step_by(SUM_LANES).fold(start, |total, &x| combine(total, x)))
        .collect();
    while lanes.len() > 1 {
        let (low, high) = lanes.split_at(lanes.len() / 2);
        lanes = low.iter().zip(high).map(|(&a, &b)| combine(a, b)).collect();
    }
    lanes[0]
}

fn max(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[test]
fn dot_adds_in_chunks() {
    for k in [1, 2, 17, DOT_CHUNK - 1, DOT_CHUNK, DOT_CHUNK + 1, 3 * DOT_CHUNK + 5] {
        let (a, b) = (tensor(1, &[2, 3, k]), tensor(2, &[2, k, 5]));
        check(&run(&[&a, &b], |_, x| x[0].dot(x[1])), &[2, 3, 5], |i| {
            let terms: Vec<_> = (0..k).map(|k| (at(&a, &[i[0], i[1], k]), at(&b, &[i[0], k, i[2]]))).collect();
            in_chunks(&terms, DOT_CHUNK, |sum, (a, b)| fma(a, b, sum))
        });
    }
}

#[test]
fn sum_over_the_last_axis_has_lanes() {
    for n in [1, 2, 15, 16, 17, 31, 33, 100, 1000] {
        let x = tensor(3, &[4, n]);
        let row = |i: usize| (0..n).map(|j| at(&x, &[i, j])).collect::<Vec<_>>();
        check(&run(&[&x], |_, x| x[0].sum(1)), &[4], |i| in_lanes(&row(i[0]), 0.0, |a, b| a + b));
        check(&run(&[&x], |_, x| x[0].reduce_max(1)), &[4], |i| in_lanes(&row(i[0]), f32::NEG_INFINITY, max));
    }
}

#[test]
fn sum_over_other_axes_has_chunks() {
    for n in [1, 2, SUM_CHUNK - 1, SUM_CHUNK, SUM_CHUNK + 1, 5 * SUM_CHUNK + 3] {
        for inner in [1, 3] {
            let x = tensor(4, &[2, n, inner]);
            let column = |i: &[usize]| (0..n).map(|j| at(&x, &[i[0], j, i[1]])).collect::<Vec<_>>();
            check(&run(&[&x], |_, x| x[0].sum(1)), &[2, inner], |i| in_chunks(&column(i), SUM_CHUNK, |sum, x| sum + x));
            check(&run(&[&x], |_, x| x[0].reduce_max(1)), &[2, inner], |i| {
                column(i).into_iter().fold(f32::NEG_INFINITY, max)
            });
        }
    }
}

#[test]
fn signs_of_zero_and_not_a_number() {
    let zeros = Tensor::f32([2, 1], [-0.0, -0.0]).unwrap();
    check(&run(&[&zeros], |_, x| x[0].sum(1)), &[2], |_| 0.0);
    check(&run(&[&zeros], |_, x| x[0].sum(0)), &[1], |_| 0.0);
    check(&run(&[&zeros], |_, x| x[0].reduce_max(1)), &[2], |_| -0.0);
    let mixed = Tensor::f32([3], [f32::NAN, 1.0, f32::NAN]).unwrap();
    check(&run(&[&mixed], |_, x| x[0].reduce_max(0)), &[], |_| 1.0);
    check(&run(&[&mixed], |_, x| x[0].max(2.0)), &[3], |i| [f32::NAN, 2.0, f32::NAN][i[0]]);
    check(&run(&[&mixed], |b, x| b.constant(2.0).max(x[0])), &[3], |_| 2.0);
    check(&run(&[&mixed], |_, x| x[0].equal(x[0]).select(1.0, 0.0)), &[3], |i| [0.0, 1.0, 0.0][i[0]]);
    check(&run(&[&mixed], |_, x| x[0].less_equal(1.0).select(1.0, 0.0)), &[3], |i| [0.0, 1.0, 0.0][i[0]]);
}

#[test]
fn movement_follows_its_indices() {
    let x = tensor(5, &[2, 3, 4]);
    check(&run(&[&x], |_, x| x[0].transpose(&[2, 0, 1])), &[4, 2, 3], |i| at(&x, &[i[1], i[2], i[0]]));
    check(&run(&[&x], |_, x| x[0].reshape([6, 4])), &[6, 4], |i| at(&x, &[i[0] / 3, i[0] % 3, i[1]]));
    let column = tensor(6, &[3, 1]);
    check(&run(&[&column], |_, x| x[0].broadcast(&Shape::new(&[2, 3, 4]))), &[2, 3, 4], |i| at(&column, &[i[1], 0]));
    check(&run(&[&Tensor::scalar(2.5)], |_, x| x[0].broadcast(&Shape::new(&[2, 2]))), &[2, 2], |_| 2.5);
}

#[test]
fn whole_numbers_and_masks() {
    let large = Tensor::u32([3], [16_777_217, u32::MAX, 7]).unwrap();
    check(&run(&[&large], |_, x| x[0].to_f32()), &[3], |i| [16_777_216.0, 4_294_967_296.0, 7.0][i[0]]);
    check(&run(&[&large], |_, x| x[0].less(8u32).select(1.0, 0.0)), &[3], |i| [0.0, 0.0, 1.0][i[0]]);
    let labels = Tensor::u32([2], [2, 0]).unwrap();
    check(&run(&[&labels], |_, x| x[0].one_hot(3)), &[2, 3], |i| if i[1] == [2, 0][i[0]] { 1.0 } else { 0.0 });
    let mask = run(&[&labels], |_, x| x[0].equal(2u32));
    assert_eq!(mask.ty().to_string(), "mask[2]");
    assert_eq!(mask.words(), [u32::MAX, 0]);
}

#[test]
fn noise_is_addressed() {
    let (seed, step) = (0x1_2345_6789_u64, 0xab_cdef_0123_u64);
    let key = Tensor::u32([4], [seed as u32, 1, step as u32, 0xab]).unwrap();
    let first_sample = Tensor::u32([], [u32::MAX]).unwrap();
    let first_row = Tensor::u32([2], [u32::MAX, 3]).unwrap();
    let draw = |shape: &[usize], sample_axis, example_axis| {
        run(&[&key, &first_sample, &first_row], |b, x| {
            let (distribution, shape) = (NoiseDistribution::Normal, Shape::new(shape));
            let address = NoiseAddress { key: x[0], first_sample: x[1], first_row: x[2] };
            b.noise(Noise { distribution, dtype: DType::F32, stream: 5, sample_axis, example_axis, shape }, address)
        })
    };
    let element = |sample, row, unit: usize, units| {
        let unit = unit as u32;
        noise::element(NoiseDistribution::Normal, 5, noise::Address { seed, step, sample, row, unit, units })
    };
    let first = 0x3_ffff_ffff_u64;
    check(&draw(&[2, 3, 40], Some(0), Some(1)), &[2, 3, 40], |i| {
        element(u32::MAX.wrapping_add(i[0] as u32), first + i[1] as u64, i[2], 40)
    });
    check(&draw(&[3, 2, 5], None, Some(0)), &[3, 2, 5], |i| {
        element(0, (first + i[0] as u64) * 2 + i[1] as u64, i[2], 5)
    });
    check(&draw(&[2, 3, 5], Some(0), None), &[2, 3, 5], |i| {
        element(u32::MAX.wrapping_add(i[0] as u32), i[1] as u64, i[2], 5)
    });
    check(&draw(&[3, 5], None, None), &[3, 5], |i| element(0, i[0] as u64, i[1], 5));
    check(&draw(&[3, 16], None, None), &[3, 16], |i| element(0, i[0] as u64, i[1], 16));
    check(&draw(&[5], None, None), &[5], |i| element(0, 0, i[0], 5));
}

#[test]
fn the_oracle_is_near() {
    let (a, b) = (tensor(8, &[6, 300]), tensor(9, &[300, 5]));
    let graph = graph(&[&a, &b], |_, x| x[0].dot(x[1]));
    let near = evaluate(&graph, &[a.clone(), b.clone()]).unwrap().remove(0);
    let exact = evaluate_f64(&graph, &[Elements::from(&a), Elements::from(&b)]).unwrap().remove(0);
    for (i, (near, exact)) in near.as_f32().unwrap().iter().zip(exact.floats().unwrap()).enumerate() {
        let magnitude: f32 = (0..300).map(|k| (at(&a, &[i / 5, k]) * at(&b, &[k, i % 5])).abs()).sum();
        assert!((f64::from(*near) - exact).abs() <= f64::from(300.0 * f32::EPSILON * magnitude));
    }
}

#[test]
fn wrong_inputs_are_typed_errors() {
    let x = tensor(1, &[2, 3]);
    let graph = graph(&[&x, &x], |_, x| x[0] + x[1]);
    let message = |inputs: &[Tensor]| evaluate(&graph, inputs).unwrap_err().to_string();
    assert_eq!(message(std::slice::from_ref(&x)), "evaluate: 1 tensors for 2 inputs: 0, 1");
    assert_eq!(
        message(&[x.clone(), tensor(1, &[3, 2])]),
        "evaluate: input `1` has shape [3,2], which does not fit [2,3]"
    );
    let words = Tensor::u32([2, 3], [0; 6]).unwrap();
    assert_eq!(message(&[words, x.clone()]), "evaluate: input `0` has element type u32, expected f32");

    let floats = |n: usize| Elements::Floats(vec![0.0; n]);
    assert!(matches!(evaluate_f64(&graph, &[floats(6)]), Err(Error::Attribute { .. })));
    assert!(matches!(evaluate_f64(&graph, &[floats(6), floats(5)]), Err(Error::ElementCount { .. })));
    assert!(matches!(evaluate_f64(&graph, &[floats(6), Elements::Words(vec![])]), Err(Error::DTypeMismatch { .. })));
}

/// A training step's worth of work is fast enough to test with.
#[test]
fn fifty_layers() {
    let (x, w) = (tensor(1, &[64, 64]), tensor(2, &[64, 64]));
    let y = run(&[&x, &w], |_, x| (0..50).fold(x[0], |h, _| h.dot(x[1]).tanh()));
    assert_eq!(y.ty(), Type::f32([64, 64]));
}
