//! Matrix products beside those of the crate `gemm`.
//!
//! NN is the forward product x w, TN the weight gradient x^T g, NT the input gradient g w^T; each m x k by k x n, the
//! transposed operand stored the other way around. `dual` is a local reparameterization layer: x m and x^2 s^2, then
//! relu(x m + bias + sqrt(x^2 s^2) * noise). Its noise is read from memory, because what drawing it takes is measured
//! by itself; `gemm` does its two products alone, and finds the squares made. Operations are those of the products:
//! twice m k n, and for `dual` twice that. `gemm_ratio` is above 1 where Bayeslift is the faster, on as many threads.

use crate::{
    Settings, Table,
    common::{Result, best_seconds, machine},
    rounded,
};
use bayeslift::ir::{Builder, Type, arbitrary::is_near};
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
];

#[derive(Clone, Copy, PartialEq)]
enum Family {
    NN,
    TN,
    NT,
    Dual,
}

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
        for (name, family) in [("NN", Family::NN), ("TN", Family::TN), ("NT", Family::NT), ("dual", Family::Dual)] {
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
    let transposed = (family == Family::TN, family == Family::NT);
    let is_dual = family == Family::Dual;
    let (x, loc, scale, noise, bias) = (values(m * k), values(k * n), values(k * n), values(m * n), values(n));

    let executable = Executable::compile(graph(family, (m, k, n))?, &settings.options)?;
    let (mut workspace, mut y) = (executable.workspace()?, executable.new_outputs()?);
    let mut inputs: Vec<Argument<'_>> = vec![x.as_slice().into(), loc.as_slice().into()];
    if is_dual {
        inputs.extend([&scale, &noise, &bias].map(|tensor| Argument::from(tensor.as_slice())));
    }
    let mut ours = || Ok(executable.call_into(&mut workspace, &mut inputs, &mut y)?);

    let square = |x: &[f32]| -> Vec<f32> { x.iter().map(|x| x * x).collect() };
    let (x_square, variance) = if is_dual { (square(&x), square(&scale)) } else { (Vec::new(), Vec::new()) };
    let (mut mean, mut output_variance) = (vec![0.0; m * n], vec![0.0; if is_dual { m * n } else { 0 }]);
    let mut theirs = || {
        multiply(settings.threads, (m, k, n), transposed, &x, &loc, &mut mean);
        if is_dual {
            multiply(settings.threads, (m, k, n), transposed, &x_square, &variance, &mut output_variance);
        }
        Ok(())
    };

    let seconds = best_seconds(settings.runs(), [&mut ours, &mut theirs])?;
    for (i, &found) in y[0].as_f32().ok_or("a product is f32")?.iter().enumerate() {
        let expected = match family {
            Family::Dual => (mean[i] + bias[i % n] + output_variance[i].sqrt() * noise[i]).max(0.0),
            _ => mean[i],
        };
        if !is_near(found.into(), expected.into(), 1e-5 + 1e-6 * k as f64) {
            return Err(format!("{m}x{k}x{n}: element {i} is {found}, but {expected} by gemm").into());
        }
    }
    let products = if is_dual { 2 } else { 1 };
    Ok(seconds.map(|seconds| (2 * m * k * n * products) as f64 / seconds / 1e9))
}

/// Numbers from -1/2 to 1/2 in which no pattern of a matrix shows.
pub fn values(n: usize) -> Vec<f32> {
    let value = |i: u32| i.wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b) >> 8;
    (1..=n as u32).map(|i| value(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}

fn graph(family: Family, (m, k, n): Size) -> Result<bayeslift::ir::Graph> {
    let b = Builder::new();
    let matrix = |name: &str, rows: usize, columns: usize| b.input(name, Type::f32([rows, columns]));
    let y = match family {
        Family::NN => matrix("x", m, k).dot(matrix("w", k, n)),
        Family::TN => matrix("x", k, m).matrix_transpose().dot(matrix("w", k, n)),
        Family::NT => matrix("x", m, k).dot(matrix("w", n, k).matrix_transpose()),
        Family::Dual => {
            let x = matrix("x", m, k);
            let kernel = Normal::new(matrix("loc", k, n), matrix("scale", k, n));
            let noise = matrix("noise", m, n);
            let bias = LocalBias::Value(b.input("bias", Type::f32([n])));
            local_affine(x, &kernel, Some(bias), noise).relu()
        }
    };
    b.output("y", y);
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
