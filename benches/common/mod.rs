//! What the benches share: options, timing, what the machine can do, and the noise kernel.

pub mod machine;
mod noise;

use bayeslift::ir::{Builder, Op, Type, Unary};
use bayeslift::runtime::{Executable, Options, Target};
pub use noise::NoiseKernel;
use std::{error::Error, time::Instant};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The value of `target=`: this machine, or another one that it can stand in for.
pub fn target(name: &str) -> Result<Target> {
    let target = if name == "host" { Some(Target::host()) } else { Target::named(name) };
    let known = || Target::all().map(|target| target.to_string()).collect::<Vec<_>>().join(", ");
    target.ok_or_else(|| format!("target={name}: there are host, {}", known()).into())
}

/// The value of `isa=`: how many lanes the vectors have that Bayeslift may use.
pub fn lanes(isa: &str) -> Result<usize> {
    match isa.parse() {
        Ok(lanes @ (1 | 4 | 8 | 16)) => Ok(lanes),
        _ => Err(format!("isa={isa}: vectors have 1, 4, 8 or 16 lanes").into()),
    }
}

/// How many threads the machine runs at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of each of `calls` at best. They are timed in turn, so that all meet the same machine; a run repeats its
/// call for a millisecond, so that short ones can be measured. There are `runs`, fewer where that takes seconds.
pub fn best_seconds<const N: usize>(runs: usize, mut calls: [&mut dyn FnMut() -> Result<()>; N]) -> Result<[f64; N]> {
    const RUN: f64 = 1e-3;
    const ENOUGH: (usize, f64) = (3, 2.0);
    let mut repeats = [1; N];
    for (call, repeats) in calls.iter_mut().zip(&mut repeats) {
        while seconds(*repeats, call)? < RUN {
            *repeats *= 2;
        }
    }
    let mut best = [f64::MAX; N];
    let start = Instant::now();
    for run in 0..runs {
        if run >= ENOUGH.0 && start.elapsed().as_secs_f64() > ENOUGH.1 {
            break;
        }
        for ((call, &repeats), best) in calls.iter_mut().zip(&repeats).zip(&mut best) {
            *best = best.min(seconds(repeats, call)? / repeats as f64);
        }
    }
    Ok(best)
}

/// Seconds that a function of `n` elements takes at best, from one buffer to another.
pub fn function_seconds(function: Unary, n: usize, runs: usize, options: &Options) -> Result<f64> {
    let b = Builder::new();
    b.output("y", b.push(Op::Unary(function), &[b.input("x", Type::f32([n]))]));
    let executable = Executable::compile(b.finish()?, options)?;
    let (mut workspace, mut y) = (executable.workspace()?, executable.new_outputs()?);
    // Where all of them are defined. Kernels have no branches: which arguments they get does not matter otherwise.
    let x: Vec<f32> = (1..=n).map(|i| i as f32 * (8.0 / n as f32)).collect();
    let mut call = || Ok(executable.call_into(&mut workspace, &mut [x.as_slice().into()], &mut y)?);
    let [seconds] = best_seconds(runs, [&mut call])?;
    Ok(seconds)
}

fn seconds(repeats: usize, call: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..repeats {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64())
}
