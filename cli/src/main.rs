//! The command `bayeslift`: looks at saved networks, predicts with them, compiles them, and tells what they were
//! compiled to.
//!
//! Each subcommand is a file: its arguments, and `run`.

mod abstain;
mod answer;
mod compile;
mod error;
mod explain;
mod input;
mod inspect;
mod predict;
mod progress;
mod sink;

use clap::{Parser, Subcommand};
use error::Error;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Looks at saved Bayesian neural networks, predicts with them, and compiles them for other programs.
///
/// A model is a file that `Network::save` of the library wrote, or a folder of such files, by `Ensemble::save`. It
/// needs no program: the layers are part of it.
#[derive(Debug, Parser)]
#[command(name = "bayeslift", version, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  bayeslift inspect wine.safetensors
  bayeslift predict wine.safetensors wines.csv --output answers.csv
  bayeslift compile wine.safetensors --output deploy --name wine
  bayeslift explain wine.safetensors --svg wine.svg

Exit codes: 0 when all went well, 1 for errors, 2 for arguments that cannot be.";

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Arguments),
    Predict(predict::Arguments),
    Compile(compile::Arguments),
    Explain(explain::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    match result {
        // whoever read the answer has read enough, as `head` does
        Ok(()) | Err(Error::ClosedPipe) => ExitCode::SUCCESS,
        Err(error) => {
            // where this cannot be written there is nobody to tell
            let _ = writeln!(io::stderr(), "bayeslift: {error}");
            ExitCode::FAILURE
        }
    }
}
