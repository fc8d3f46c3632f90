//! Matrix products on one thread, in the three layouts that training needs, in GFLOP/s.
//!
//! `cargo bench -q --bench kernels`
//!
//! NN is the forward product x w, TN the weight gradient x^T g, NT the input gradient g w^T.

use bayeslift_ir::{Builder, Type};
use bayeslift_runtime::{Executable, Options};
use std::{error::Error, time::Instant};

/// m, k, n: square, and the products of a 784-400-400-10 network at batch 128.
const SIZES: &[(usize, usize, usize)] =
    &[(64, 64, 64), (512, 512, 512), (128, 784, 400), (400, 400, 128), (784, 128, 400), (2048, 400, 10)];
const RUNS: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:>16} {:>8} {:>8} {:>8}   GFLOP/s, best of {RUNS} runs", "m x k x n", "NN", "TN", "NT");
    for &(m, k, n) in SIZES {
        print!("{:>16}", format!("{m}x{k}x{n}"));
        for (left, right) in [(false, false), (true, false), (false, true)] {
            print!(" {:>8.1}", gflops(m, k, n, left, right)?);
        }
        println!();
    }
    Ok(())
}

fn gflops(m: usize, k: usize, n: usize, transpose_left: bool, transpose_right: bool) -> Result<f64, Box<dyn Error>> {
    let b = Builder::new();
    let matrix = |name: &str, rows: usize, cols: usize, transpose: bool| {
        let (stored, swapped) = ([rows, cols], [cols, rows]);
        if transpose { b.input(name, Type::f32(swapped)).matrix_transpose() } else { b.input(name, Type::f32(stored)) }
    };
    b.output("y", matrix("x", m, k, transpose_left).dot(matrix("w", k, n, transpose_right)));
    let executable = Executable::compile(b.finish()?, &Options::default())?;
    let mut workspace = executable.workspace()?;
    let (x, w) = (vec![0.5_f32; m * k], vec![0.25_f32; k * n]);
    let mut y = executable.new_outputs();
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        executable.call_into(&mut workspace, &mut [x.as_slice().into(), w.as_slice().into()], &mut y)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (m * k * n) as f64 / best / 1e9)
}
