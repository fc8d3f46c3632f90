//! What operations cost this machine, as a row of the table of machines has them.

use crate::{
    Settings, Table,
    common::{NoiseKernel, Result, best_seconds, function_seconds},
};
use bayeslift::ir::{Builder, Expr, NoiseDistribution, Type, Unary};
use bayeslift::runtime::{Executable, Options};
use serde_json::json;

/// Elements of a buffer that the first-level cache holds, with another one.
const N: usize = 1 << 11;

/// Picoseconds for each element, on one thread.
pub fn target(settings: &Settings, table: &mut Table) -> Result<()> {
    let options = settings.options.clone().threads(1);
    let picoseconds = |seconds: f64, count: usize| (seconds * 1e12 / count as f64).round() as u64;
    let map = |body: &dyn for<'b> Fn(Expr<'b>) -> Expr<'b>| elementwise(body, settings.runs(), &options);
    // of two passes that differ in `MORE` operations: in turns, so that none waits for the one before all the time
    const MORE: usize = 32;
    let repeated = |count: usize, step: fn(Expr<'_>, f32) -> Expr<'_>| {
        map(&move |x| (0..count).fold(x, |y, i| step(y, 1.0 + i as f32 / 64.0)))
    };
    let each = |step: fn(Expr<'_>, f32) -> Expr<'_>| -> Result<u64> {
        Ok(picoseconds(repeated(2 * MORE, step)? - repeated(MORE, step)?, N * MORE))
    };
    let functions = [Unary::Exp, Unary::Log, Unary::Softplus, Unary::Tanh];
    let functions = functions.map(|function| function_seconds(function, N, settings.runs(), &options));
    let mut elementary = 0.0;
    for seconds in functions {
        elementary += seconds? / 4.0;
    }
    let mut noise = NoiseKernel::compile(NoiseDistribution::Normal, N, &options)?;
    let [draw] = best_seconds(settings.runs(), [&mut || noise.draw().map(drop)])?;
    table.row(&[
        ("target", json!(options.target.to_string())),
        ("product", json!(picoseconds(product(settings.runs(), &options)?, SIZE * SIZE * SIZE))),
        ("access", json!(picoseconds(map(&|x| x)?, 2 * N))),
        ("simple", json!(each(|y, c| y * c + c)? / 2)),
        ("division", json!(each(|y, c| c / y)?)),
        ("elementary", json!(picoseconds(elementary, N))),
        ("draw", json!(picoseconds(draw, N))),
    ]);
    Ok(())
}

/// Seconds of a pass over a buffer.
fn elementwise(body: &dyn for<'b> Fn(Expr<'b>) -> Expr<'b>, runs: usize, options: &Options) -> Result<f64> {
    let b = Builder::new();
    b.output("y", body(b.input("x", Type::f32([N]))));
    let executable = Executable::compile(b.finish()?, options)?;
    let (mut workspace, mut y) = (executable.workspace()?, executable.new_outputs()?);
    let x = vec![1.5_f32; N];
    let mut call = || Ok(executable.call_into(&mut workspace, &mut [x.as_slice().into()], &mut y)?);
    let [seconds] = best_seconds(runs, [&mut call])?;
    Ok(seconds)
}

/// Rows, columns and depth of a product that caches hold.
const SIZE: usize = 256;

/// Seconds of a product.
fn product(runs: usize, options: &Options) -> Result<f64> {
    let b = Builder::new();
    let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([SIZE, SIZE])));
    b.output("z", x.dot(y));
    let executable = Executable::compile(b.finish()?, options)?;
    let (mut workspace, mut z) = (executable.workspace()?, executable.new_outputs()?);
    let x = vec![0.5_f32; SIZE * SIZE];
    let mut call =
        || Ok(executable.call_into(&mut workspace, &mut [x.as_slice().into(), x.as_slice().into()], &mut z)?);
    let [seconds] = best_seconds(runs, [&mut call])?;
    Ok(seconds)
}
