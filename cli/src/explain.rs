//! `bayeslift explain`: what a model is compiled to.

use crate::{error::Error, sink};
use bayeslift::{Predictor, PredictorOptions, runtime::Options, runtime::Target};
use std::path::PathBuf;

/// Tells what the model is compiled to: which kernels, what is fused into each, how much it computes
///
/// That is what computes one block of samples and rows; `predict` calls it for one block after the other. An input
/// named `early` is what is computed of the parameters once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model: what `Network::save` wrote
    model: PathBuf,
    /// How many samples of the posterior there are; a block of several rows has up to 32 of them
    #[arg(long, value_name = "S", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// How many rows a block has
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    rows: u32,
    /// Explain code for another machine, such as `neon`, `zen4` or `zen3/simd128`
    #[arg(long, value_name = "MACHINE", value_parser = target)]
    target: Option<Target>,
    /// Threads to compute on; default: as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Measure the time of each kernel too, as the median of RUNS runs (default: 100) on inputs that are zero
    #[arg(long, value_name = "RUNS", num_args = 0..=1, require_equals = true, default_missing_value = "100", conflicts_with = "target",
          value_parser = clap::value_parser!(u32).range(1..))]
    profile: Option<u32>,
    /// Write a picture of the kernels
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the graph of kernels for Graphviz
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  bayeslift explain wine.safetensors --profile
  bayeslift explain wine.safetensors --rows 1 --svg wine.svg
  bayeslift explain wine.safetensors --target neon --threads 1";

pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let machine = Options::default();
    let threads = arguments.threads.map_or(machine.threads, usize::from);
    let options = PredictorOptions::default();
    let block = options.sample_block;
    let rows = arguments.rows as usize;
    let options = options.samples(arguments.samples as usize).blocks(block, rows).backend(machine.threads(threads));
    let predictor = Predictor::open_with_options(&arguments.model, &options)?;
    let explanation = match (arguments.target, arguments.profile) {
        (Some(target), _) => predictor.explain_for(target, threads)?,
        (None, Some(runs)) => {
            predictor.profile(&vec![0.0; rows.saturating_mul(predictor.input().elements())], runs as usize)?
        }
        (None, None) => predictor.explain()?,
    };
    for (path, text) in [(&arguments.svg, explanation.to_svg()), (&arguments.dot, explanation.to_dot())] {
        if let Some(path) = path {
            sink::write(Some(path), &text)?;
        }
    }
    let text = if arguments.json { explanation.to_json() + "\n" } else { explanation.to_string() };
    sink::write(None, &text)
}

/// A target by its name.
fn target(name: &str) -> Result<Target, String> {
    Target::named(name).ok_or_else(|| {
        let names: Vec<String> = Target::all().map(|target| target.to_string()).collect();
        format!("there are {}", names.join(", "))
    })
}
