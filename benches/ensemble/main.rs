//! An ensemble of five beside one network: how long their steps and their compilation take, as multiples.
//!
//! ```text
//! cargo bench -q --bench ensemble [-- rounds=5]
//! ```
//!
//! Expected: members beside each other make better use of cores than one network, whose threads wait for each other:
//! less than five times a step, the less the smaller the network; and code that is compiled once. Figures are medians
//! over rounds in which both take turns.

use bayeslift::{Ensemble, prelude::*};
use std::{error::Error, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MEMBERS: usize = 5;

fn main() -> Result<()> {
    let given = std::env::args().find_map(|argument| argument.strip_prefix("rounds=").map(str::parse));
    // `cargo bench` alone runs every bench
    let rounds: usize = given.transpose()?.unwrap_or(5);
    println!(
        "network         batch   steps   one: step   compiling   five: steps   compiling   five/one: steps   compiling"
    );
    for (inputs, hidden, batch, steps) in [(13, 50, 32, 4000), (64, 50, 64, 2000), (784, 400, 128, 300)] {
        let rows = batch * 10;
        let x: Vec<f32> = (0..rows * inputs).map(|i| (i * 2_654_435_761 % 1000) as f32 / 1000.0).collect();
        let data = Dataset::classification([inputs], x, (0..rows as u32).map(|row| row % 10).collect())?;
        let make = |seed| {
            let layers = Sequential::new()
                .layer(AffineVariationalReparameterizationLocal::new(inputs, hidden).activation(Activation::Relu))
                .layer(AffineVariationalReparameterizationLocal::new(hidden, hidden).activation(Activation::Relu))
                .layer(AffineVariationalReparameterizationLocal::new(hidden, 10));
            Network::new(layers, [inputs], likelihood::Categorical, seed)
        };
        let fit = || Fit::new().batch_size(batch).epochs(steps / 10);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let mut one = make(0)?;
            let start = Instant::now();
            let compiling = fit().run(&mut one, &data)?.compile_time.as_secs_f64();
            let one = [start.elapsed().as_secs_f64() - compiling, compiling];
            let mut ensemble = Ensemble::new(MEMBERS, make)?;
            let start = Instant::now();
            let reports = ensemble.fit(&data, |_| fit())?;
            let all = start.elapsed().as_secs_f64();
            // of the member that compiled; the others take what it made
            let compiling = reports.iter().map(|report| report.compile_time.as_secs_f64()).fold(0.0, f64::max);
            times.push([one[0], one[1], all - compiling, compiling]);
        }
        let median = |of: &dyn Fn(&[f64; 4]) -> f64| {
            let mut values: Vec<f64> = times.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let micros = 1e6 / steps as f64;
        println!(
            "{inputs:>3}-{hidden}-{hidden}-10 {batch:>8} {steps:>7} {:>9.1}us {:>9.1}ms {:>11.1}us {:>9.1}ms {:>17.2} {:>11.2}",
            median(&|t| t[0]) * micros,
            median(&|t| t[1]) * 1e3,
            median(&|t| t[2]) * micros,
            median(&|t| t[3]) * 1e3,
            median(&|t| t[2] / t[0]),
            median(&|t| t[3] / t[1]),
        );
    }
    Ok(())
}
