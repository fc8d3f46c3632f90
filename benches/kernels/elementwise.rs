//! Kernels that do something for each element.

use crate::{
    Settings, Table,
    common::{NoiseKernel, Result, best_seconds, function_seconds, machine},
    rounded,
};
use bayeslift::ir::{Builder, NoiseDistribution, Type, Unary};
use bayeslift::runtime::Executable;
use serde_json::json;

/// Nanoseconds per element of each function of one argument, from one buffer of the second-level cache to another.
pub fn functions(settings: &Settings, table: &mut Table) -> Result<()> {
    const N: usize = 1 << 16;
    for &function in Unary::ALL {
        let seconds = function_seconds(function, N, settings.runs(), &settings.options)?;
        table.row(&[("function", json!(function.name())), ("ns", rounded(seconds * 1e9 / N as f64))]);
    }
    Ok(())
}

/// Nanoseconds per number of each distribution, into a buffer that caches hold and into one that they do not.
pub fn noise(settings: &Settings, table: &mut Table) -> Result<()> {
    for &distribution in NoiseDistribution::ALL {
        for n in [1 << 16, 1 << 22] {
            let mut kernel = NoiseKernel::compile(distribution, n, &settings.options)?;
            let [seconds] = best_seconds(settings.runs(), [&mut || kernel.draw().map(drop)])?;
            table.row(&[
                ("distribution", json!(distribution.name())),
                ("n", json!(n)),
                ("ns", rounded(seconds * 1e9 / n as f64)),
            ]);
        }
    }
    Ok(())
}

/// Billions of bytes a second, each counted when read and when written: a copy, and two elementwise passes over
/// operands of the same size.
pub fn copy(settings: &Settings, table: &mut Table) -> Result<()> {
    const N: usize = machine::COPIED / size_of::<f32>();
    let copy = machine::copy_gbps(settings.threads);
    let mut row = |pass: &str, gbps: f64| {
        table.row(&[("pass", json!(pass)), ("gbps", rounded(gbps)), ("copy_percent", rounded(100.0 * gbps / copy))]);
    };
    row("copy", copy);
    for (pass, in_place) in [("z = a * x + y", false), ("y += a * x", true)] {
        let b = Builder::new();
        let (x, y) = (b.input("x", Type::f32([N])), b.input("y", Type::f32([N])));
        let z = b.input("a", Type::f32([])) * x + y;
        if in_place {
            b.output_updating("z", z, y)
        } else {
            b.output("z", z)
        }
        let executable = Executable::compile(b.finish()?, &settings.options)?;
        let (mut workspace, mut z) = (executable.workspace()?, executable.new_outputs()?);
        // not 0: the memory would be one page of zeros, read again and again
        let (x, mut y, a) = (vec![1.0_f32; N], vec![1.0_f32; N], [0.5_f32]);
        let mut call = || {
            let mut inputs = [x.as_slice().into(), y.as_mut_slice().into(), a.as_slice().into()];
            Ok(executable.call_into(&mut workspace, &mut inputs, &mut z)?)
        };
        let [seconds] = best_seconds(settings.runs(), [&mut call])?;
        row(pass, (3 * machine::COPIED) as f64 / seconds / 1e9);
    }
    Ok(())
}
