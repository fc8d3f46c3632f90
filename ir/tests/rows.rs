//! Rows by their numbers: the evaluator beside products with one-hot rows, whose bits it has, and definitions by index.

use bayeslift_ir::{Builder, DType, Expr, Graph, Op, Tensor, Type, evaluate, noise, result_type, same_bits, verify};

fn run(inputs: &[Tensor], build: impl for<'b> Fn(&[Expr<'b>]) -> Vec<Expr<'b>>) -> Vec<Tensor> {
    let b = Builder::new();
    let x: Vec<Expr<'_>> = inputs.iter().enumerate().map(|(i, tensor)| b.input(&i.to_string(), tensor.ty())).collect();
    build(&x).into_iter().enumerate().for_each(|(i, y)| b.output(&format!("y{i}"), y));
    let graph = b.finish().unwrap();
    verify(&graph).unwrap();
    // read back it is the same
    assert_eq!(graph.to_string().parse::<Graph>().unwrap(), graph);
    evaluate(&graph, inputs).unwrap()
}

/// Elements of mixed magnitude, so that another order of addition shows.
fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut elements = vec![0.0; shape.iter().product()];
    noise::fill_row(bayeslift_ir::NoiseDistribution::Normal, 3, seed, 0, 0, 0, &mut elements);
    elements.iter_mut().for_each(|x| *x = *x * *x * *x);
    Tensor::f32(shape, elements).unwrap()
}

/// Numbers with many equal ones, and some that are no row's.
fn numbers(shape: &[usize], rows: usize) -> Tensor {
    let number =
        |i: usize| if i % 13 == 12 { u32::MAX - i as u32 } else { (i * i * 7 + i / 3) as u32 % (rows as u32 + 1) };
    Tensor::u32(shape, (0..shape.iter().product()).map(number).collect::<Vec<_>>()).unwrap()
}

/// A row is what a product with its one-hot row gives, and sums of rows have the order of the product's adjoint.
#[test]
fn rows_are_those_of_one_hot_products() {
    for (rows, n, width) in [(1, 1, 1), (5, 3, 2), (40, 255, 3), (7, 256, 17), (300, 257, 1), (3, 1000, 4)] {
        let inputs = [random(&[rows, width], 1), numbers(&[n], rows), random(&[n, width], 2)];
        let found = run(&inputs, |x| {
            let one_hot = x[1].one_hot(rows);
            let gathered = [x[0].gather(x[1]), one_hot.dot(x[0])];
            [gathered, [x[2].scatter_add(x[1], rows), one_hot.matrix_transpose().dot(x[2])]].concat()
        });
        same_bits(&found[0], &found[1]).unwrap();
        same_bits(&found[2], &found[3]).unwrap();
    }
}

fn one(x: Expr<'_>, i: usize) -> Expr<'_> {
    x.slice(0, i..i + 1)
}

/// Tables of their own for each of several.
#[test]
fn tables_side_by_side() {
    let (batch, rows, n, width) = (3, 6, 300, 5);
    let inputs = [random(&[batch, rows, width], 1), numbers(&[batch, n], rows), random(&[batch, n, width], 2)];
    let found = run(&inputs, |x| {
        let mut all = vec![x[0].gather(x[1]), x[2].scatter_add(x[1], rows)];
        for i in 0..batch {
            let numbers = one(x[1], i).reshape([n]);
            all.push(one(all[0], i).reshape([n, width]));
            all.push(one(x[0], i).reshape([rows, width]).gather(numbers));
            all.push(one(all[1], i).reshape([rows, width]));
            all.push(one(x[2], i).reshape([n, width]).scatter_add(numbers, rows));
        }
        all
    });
    found[2..].chunks(2).for_each(|pair| same_bits(&pair[0], &pair[1]).unwrap());
}

#[test]
fn the_first_of_equal_numbers_counts() {
    let (rows, n) = (9, 50);
    let inputs = [random(&[rows, 2], 1), numbers(&[n], rows), random(&[n, 2], 2)];
    let found = run(&inputs, |x| vec![x[0].scatter_rows(x[1], x[2]), x[1].first_equal(rows)]);
    let numbers = inputs[1].as_u32().unwrap();
    let first = |number: u32| numbers.iter().position(|&other| other == number);
    let table = (0..rows).flat_map(|row| {
        let (source, at) = first(row as u32).map_or((0, row), |i| (2, i));
        inputs[source].as_f32().unwrap()[2 * at..][..2].to_vec()
    });
    assert_eq!(found[0].as_f32().unwrap(), table.collect::<Vec<_>>());
    let position =
        |(i, &number): (usize, &u32)| if (number as usize) < rows { first(number).unwrap() as u32 } else { i as u32 };
    assert_eq!(found[1].as_u32().unwrap(), numbers.iter().enumerate().map(position).collect::<Vec<_>>());
    assert!(found[1].as_u32().unwrap().iter().enumerate().any(|(i, &first)| (first as usize) < i));
}

/// Whole numbers are themselves up to 2^24, and all else is no row's number.
#[test]
fn floats_are_numbers_if_they_are_whole() {
    let (last, none) = (1_u32 << 24, u32::MAX);
    let known = [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 1),
        (4095.0, 4095),
        (4096.0, 4096),
        (8_388_607.0, 8_388_607),
        (8_388_609.0, 8_388_609),
        (16_777_215.0, last - 1),
        (16_777_216.0, last),
        (16_777_218.0, none),
        (0.5, none),
        (8_388_607.5, none),
        (-1.0, none),
        (1e-45, none),
        (-1e-45, none),
        (f32::MAX, none),
        (f32::INFINITY, none),
        (f32::NEG_INFINITY, none),
        (f32::NAN, none),
    ];
    let x = Tensor::f32([known.len()], known.map(|(x, _)| x)).unwrap();
    assert_eq!(run(&[x], |x| vec![x[0].to_u32()])[0].as_u32().unwrap(), known.map(|(_, number)| number));
}

#[test]
fn operands_that_do_not_fit_are_errors() {
    let f = |shape: &[usize]| Type::f32(shape);
    let u = |shape: &[usize]| Type::u32(shape);
    let message = |op: Op, args: &[Type]| result_type(&op, &args.iter().collect::<Vec<_>>()).unwrap_err().to_string();
    for (op, args, expected) in [
        (Op::Gather, vec![f(&[5]), u(&[2])], "gather: operand 0 has shape [5], which does not fit rank 2 or more"),
        (Op::Gather, vec![f(&[5, 2]), f(&[2])], "gather: operand 1 has element type f32, expected u32"),
        (
            Op::Gather,
            vec![f(&[3, 5, 2]), u(&[4])],
            "gather: operand 1 has shape [4], which does not fit [3,n] for a table of shape [3,5,2]",
        ),
        (
            Op::ScatterAdd(4),
            vec![f(&[5, 2]), u(&[4])],
            "scatter_add: operand 1 has shape [4], which does not fit [5], a number for each row",
        ),
        (
            Op::ScatterAdd(0),
            vec![f(&[5, 2]), u(&[5])],
            "shape [0,2] has extent 0 on axis 0; every extent must be at least 1",
        ),
        (
            Op::ScatterRows,
            vec![f(&[9, 2]), u(&[4]), f(&[4, 3])],
            "scatter_rows: operand 2 has shape [4,3], which does not fit [n,2] for a table of shape [9,2]",
        ),
        (
            Op::ScatterRows,
            vec![f(&[1, 9, 2]), u(&[4]), f(&[4, 2])],
            "scatter_rows: operand 0 has shape [1,9,2], which does not fit rank 2",
        ),
        (Op::FirstEqual(3), vec![u(&[2, 2])], "first_equal: operand 0 has shape [2,2], which does not fit rank 1"),
        (Op::Convert(DType::Mask), vec![f(&[2])], "convert: to f32, f64 or u32, not to mask"),
        (Op::Convert(DType::U32), vec![Type::f64([2])], "convert: operand 0 has element type f64, expected f32"),
    ] {
        assert_eq!(message(op, &args), expected);
    }
    let missing =
        "graph {\n  %0 = input \"x\" : u32[3]\n  %1 = first_equal %0 : u32[3]\n}".parse::<Graph>().unwrap_err();
    assert_eq!(missing.to_string(), "line 3: expected `rows=` after `first_equal`");
}
