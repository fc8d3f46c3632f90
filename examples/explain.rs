//! What becomes of a network: which layers, gradients and updates were fused into which kernels of a training step, and
//! how long each takes.
//!
//!     cargo run --release --example explain -- --svg step.svg

#[allow(dead_code)] // Each example uses a part of it.
mod common;

use bayeslift::{prelude::*, runtime::Options};
use clap::Parser;
use std::{error::Error, fs, path::PathBuf, process::ExitCode};

const INPUTS: usize = 256;
const CLASSES: usize = 10;
const ROWS: usize = 128;

/// Explains the kernels of a training step.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// A tenth of the steps
    #[arg(long)]
    quick: bool,
    /// Write a picture of the kernels' times
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the graph of kernels for Graphviz
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Threads to compute on (default: all cores); results do not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(INPUTS, 128).activation(Activation::Relu)).layer(layer(128, CLASSES));
    let mut network = Network::new(layers, [INPUTS], likelihood::Categorical, 0)?;

    // bumps at a tenth of the row for each class
    let bump = |row: usize, i: usize| (-0.01 * (i as f32 - (row % CLASSES * INPUTS / CLASSES) as f32).powi(2)).exp();
    let inputs: Vec<f32> = (0..ROWS * INPUTS).map(|i| bump(i / INPUTS, i % INPUTS)).collect();
    let targets = Targets::Labels((0..ROWS).map(|row| (row % CLASSES) as u32).collect());

    let options = arguments.threads.map_or_else(Options::default, |n| Options::default().threads(n));
    let mut trainer = Trainer::new(&network, ROWS, TrainerOptions::default().backend(options))?;
    let steps = if arguments.quick { 10 } else { 100 };
    for _ in 0..steps {
        trainer.step(&mut network, StepInput::new(&inputs, &targets))?;
    }

    let explanation = trainer.profile(&network, StepInput::new(&inputs, &targets), steps)?;
    if arguments.json {
        println!("{}", explanation.to_json());
    } else {
        print!("{explanation}");
    }
    for (path, text) in [(&arguments.svg, explanation.to_svg()), (&arguments.dot, explanation.to_dot())] {
        if let Some(path) = path {
            fs::write(path, text).map_err(|error| format!("could not write `{}`: {error}", path.display()))?;
        }
    }
    Ok(())
}
