//! Matrix products beside those of the crate `gemm`.
//!
//! NN is the forward product x w, TN the weight gradient x^T g, NT the input gradient g w^T; each m x k by k x n, the
//! transposed operand stored the other way around. `dual` is a local reparameterization layer: x m and x^2 s^2, then
//! relu(x m + bias + sqrt(x^2 s^2) * noise). Its noise is read from memory, because what drawing it takes is measured
//! by itself. `dual_NT` is its input gradient, g m^T + 2 x (h (s^2)^T), and `update` a weight gradient x^T g with a
//! step of Adam, in place. `gemm` does the products alone, and finds the squares made. Operations are those of the
//! products: twice m k n, and for `dual` and `dual_NT` twice that. `gemm_ratio` is above 1 where Bayeslift is the
//! faster, on as many threads.

use crate::{
    Settings, Table,
    common::{Result, best_seconds, machine},
    rounded,
};
use bayeslift::ir::{Builder, Expr, Tensor, Type, arbitrary::is_near};
use bayeslift::layers::{LocalBias, distribution::Normal, local_affine};
use bayeslift::runtime::{Argument, Executable};
use gemm::Parallelism;
use serde_json::json;

/// m, k, n.
pub type Size = (usize, usize, usize);

const SQUARES: &[usize] = &[16, 32, 64, 128, 256, 512, 1024, 2048];
/// Layers of networks of the field, at the batches of training and of prediction, and shapes that fit no tile.
const SIZES: &[Size] = &[
    (128, 784, 400),
    (128, 400, 400),
    (128, 400, 10),
    (400, 128, 10),
    (784, 128, 400),
    (32, 784, 400),
    (1, 784, 400),
    (1, 64, 50),
    (64, 64, 50),
    (2048, 400, 10),
    (2048, 400, 400),
    (1, 400, 10),
    (4096, 10, 64),
    (33, 100, 77),
    (100, 100_000, 10),
    (7, 1000, 1),
    // large layers, and what comes back through them
    (256, 1600, 1600),
    (1600, 256, 1600),
    (64, 3000, 3000),
    (3000, 64, 3000),
    (1024, 784, 100),
    (784, 1024, 100),
    (2048, 2000, 2000),
];

#[derive(Clone, Copy, PartialEq)]
enum Family {
    NN,
    TN,
    NT,
    Dual,
    DualNT,
    Update,
}

const FAMILIES: [(&str, Family); 6] = [
    ("NN", Family::NN),
    ("TN", Family::TN),
    ("NT", Family::NT),
    ("dual", Family::Dual),
    ("dual_NT", Family::DualNT),
    ("update", Family::Update),
];

impl Family {
    fn is_dual(self) -> bool {
        matches!(self, Family::Dual | Family::DualNT)
    }

    /// Whether the left and the right operand are transposed.
    fn transposed(self) -> (bool, bool) {
        (matches!(self, Family::TN | Family::Update), matches!(self, Family::NT | Family::DualNT))
    }

    /// The names and shapes of the inputs. Those of an update from the third on are updated.
    fn inputs(self, (m, k, n): Size) -> Vec<(&'static str, Vec<usize>)> {
        let x = if self.transposed().0 { vec![k, m] } else { vec![m, k] };
        let w = if self.transposed().1 { vec![n, k] } else { vec![k, n] };
        let result = vec![m, n];
        match self {
            Family::NN | Family::TN | Family::NT => vec![("x", x), ("w", w)],
            Family::Dual => vec![("x", x), ("loc", w.clone()), ("scale", w), ("noise", result), ("bias", vec![n])],
            Family::DualNT => vec![("g", x.clone()), ("loc", w.clone()), ("scale", w), ("h", x), ("x", result)],
            Family::Update => vec![("x", x), ("g", w), ("w", result.clone()), ("m", result.clone()), ("v", result)],
        }
    }
}

/// Of Adam: the learning rate, what is kept of both moments, and what its root is kept from 0 by.
const ADAM: [f32; 4] = [0.1, 0.9, 0.99, 1e-3];

/// A size as it is written: 128x784x400.
pub fn parse(text: &str) -> Option<Size> {
    let mut extents = text.split('x').map(|extent| extent.parse().ok().filter(|&extent| extent > 0));
    let size = (extents.next()??, extents.next()??, extents.next()??);
    extents.next().is_none().then_some(size)
}

pub fn products(settings: &Settings, table: &mut Table) -> Result<()> {
    let peak = machine::peak_gflops(settings.threads, machine::widest());
    let (squares, sizes) = if settings.quick { (&SQUARES[..5], &SIZES[..3]) } else { (SQUARES, SIZES) };
    let all: Vec<Size> = squares.iter().map(|&n| (n, n, n)).chain(sizes.iter().copied()).collect();
    for &(m, k, n) in if settings.sizes.is_empty() { &all } else { &settings.sizes } {
        for (name, family) in FAMILIES {
            let [ours, theirs] = gflops(settings, family, (m, k, n))?;
            table.row(&[
                ("shape", json!(format!("{m}x{k}x{n}"))),
                ("family", json!(name)),
                ("gflops", rounded(ours)),
                ("peak_percent", rounded(100.0 * ours / peak)),
                ("gemm_gflops", rounded(theirs)),
                ("gemm_ratio", rounded(ours / theirs)),
            ]);
        }
    }
    Ok(())
}

/// Of Bayeslift and of `gemm`, which must agree about the results.
fn gflops(settings: &Settings, family: Family, (m, k, n): Size) -> Result<[f64; 2]> {
    let given: Vec<Vec<f32>> =
        family.inputs((m, k, n)).iter().map(|(_, shape)| values(shape.iter().product())).collect();
    let square = |x: &[f32]| -> Vec<f32> { x.iter().map(|x| x * x).collect() };
    let (read, updated) = given.split_at(if family == Family::Update { 2 } else { given.len() });
    let mut updated = updated.to_vec();
    if let Some(second_moment) = updated.last_mut() {
        *second_moment = square(second_moment);
    }

    let executable = Executable::compile(graph(family, (m, k, n))?, &settings.options)?;
    let (mut workspace, mut y) = (executable.workspace()?, executable.new_outputs()?);
    let mut ours = |updated: &mut [Vec<f32>], y: &mut [Tensor]| {
        let mut inputs: Vec<Argument<'_>> = read.iter().map(|x| x.as_slice().into()).collect();
        inputs.extend(updated.iter_mut().map(|x| Argument::F32Mut(x)));
        executable.call_into(&mut workspace, &mut inputs, y)?;
        Ok(())
    };

    // the left and the right operand of the second product
    let operands = match family {
        Family::Dual => Some((square(&read[0]), square(&read[2]))),
        Family::DualNT => Some((read[3].clone(), square(&read[2]))),
        _ => None,
    };
    let (mut first, mut second) = (vec![0.0; m * n], vec![0.0; if family.is_dual() { m * n } else { 0 }]);
    let theirs = |first: &mut [f32], second: &mut [f32]| {
        multiply(settings.threads, (m, k, n), family.transposed(), &read[0], &read[1], first);
        if let Some((left, right)) = &operands {
            multiply(settings.threads, (m, k, n), family.transposed(), left, right, second);
        }
        Ok(())
    };

    let [learning_rate, keep, keep_square, least] = ADAM;
    let before = updated.clone();
    ours(&mut updated, &mut y)?;
    theirs(&mut first, &mut second)?;
    let expected = |i: usize| match family {
        Family::Dual => (first[i] + read[4][i % n] + second[i].sqrt() * read[3][i]).max(0.0),
        Family::DualNT => first[i] + 2.0 * read[4][i] * second[i],
        Family::Update => {
            let moment = keep * before[1][i] + (1.0 - keep) * first[i];
            let square = keep_square * before[2][i] + (1.0 - keep_square) * first[i] * first[i];
            before[0][i] - learning_rate * moment / (square.sqrt() + least)
        }
        Family::NN | Family::TN | Family::NT => first[i],
    };
    let found = match family {
        Family::Update => &updated[0],
        _ => y[0].as_f32().ok_or("a product is f32")?,
    };
    for (i, &found) in found.iter().enumerate() {
        if !is_near(found.into(), expected(i).into(), 1e-5 + 1e-6 * k as f64) {
            return Err(format!("{m}x{k}x{n}: element {i} is {found}, but {} by gemm", expected(i)).into());
        }
    }
    let seconds =
        best_seconds(settings.runs(), [&mut || ours(&mut updated, &mut y), &mut || theirs(&mut first, &mut second)])?;
    let products = if family.is_dual() { 2 } else { 1 };
    Ok(seconds.map(|seconds| (2 * m * k * n * products) as f64 / seconds / 1e9))
}

/// Numbers from -1/2 to 1/2 in which no pattern of a matrix shows.
pub fn values(n: usize) -> Vec<f32> {
    let value = |i: u32| i.wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b) >> 8;
    (1..=n as u32).map(|i| value(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}

fn graph(family: Family, size: Size) -> Result<bayeslift::ir::Graph> {
    let b = Builder::new();
    let inputs = family.inputs(size).into_iter().map(|(name, shape)| b.input(name, Type::f32(shape.as_slice())));
    let inputs: Vec<Expr<'_>> = inputs.collect();
    match (family, inputs.as_slice()) {
        (Family::Dual, &[x, loc, scale, noise, bias]) => {
            let kernel = Normal::new(loc, scale);
            b.output("y", local_affine(x, &kernel, Some(LocalBias::Value(bias)), noise).relu());
        }
        (Family::DualNT, &[g, loc, scale, h, x]) => {
            b.output("y", g.dot(loc.matrix_transpose()) + 2.0 * x * h.dot(scale.square().matrix_transpose()));
        }
        (Family::Update, &[x, g, weight, first, second]) => {
            let [learning_rate, keep, keep_square, least] = ADAM;
            let gradient = x.matrix_transpose().dot(g);
            let moment = keep * first + (1.0 - keep) * gradient;
            let square = keep_square * second + (1.0 - keep_square) * gradient.square();
            b.output_updating("w", weight - learning_rate * moment / (square.sqrt() + least), weight);
            b.output_updating("m", moment, first);
            b.output_updating("v", square, second);
        }
        _ => {
            let (of_left, of_right) = family.transposed();
            let x = if of_left { inputs[0].matrix_transpose() } else { inputs[0] };
            let w = if of_right { inputs[1].matrix_transpose() } else { inputs[1] };
            b.output("y", x.dot(w));
        }
    }
    Ok(b.finish()?)
}

/// y = x w by `gemm`.
fn multiply(threads: usize, (m, k, n): Size, transposed: (bool, bool), x: &[f32], w: &[f32], y: &mut [f32]) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    // columns, then rows, are this far apart
    let strides = |rows: usize, columns: usize, transposed: bool| {
        if transposed { (rows as isize, 1) } else { (1, columns as isize) }
    };
    let (x_strides, w_strides) = (strides(m, k, transposed.0), strides(k, n, transposed.1));
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let (y, x, w) = (y.as_mut_ptr(), x.as_ptr(), w.as_ptr());
    // SAFETY: the lengths were checked, and these strides reach each element of the matrices once.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y,
            1,
            n as isize,
            false,
            x,
            x_strides.0,
            x_strides.1,
            w,
            w_strides.0,
            w_strides.1,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
