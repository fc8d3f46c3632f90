//! What the examples share: options, reading tables, a progress bar, drawing in a terminal.

pub mod recipe;
pub mod table;

use bayeslift::{FitReport, Progress, runtime::Options};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    error::Error,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Options that the examples share.
#[derive(Clone, Debug, clap::Parser)]
pub struct Arguments {
    /// Print one line of JSON instead of a report
    #[arg(long)]
    pub json: bool,
    /// Decides initial weights, shuffling and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// A tenth of the epochs
    #[arg(long)]
    pub quick: bool,
    /// Write the trained network to a safetensors file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Read another table than the one that is shipped
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Threads to compute on (default: all cores); results do not depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl Arguments {
    /// How to compile.
    pub fn options(&self) -> Options {
        self.threads.map_or_else(Options::default, |threads| Options::default().threads(threads))
    }
}

/// Says what went wrong, if something did.
pub fn finish(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A file of the project's `data` folder.
pub fn data_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A progress bar on stderr, and a function that moves it. Nothing is drawn where stderr is no terminal.
pub fn progress_bar() -> (ProgressBar, impl FnMut(&Progress)) {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:40.cyan/blue} {percent:>3} %  {msg}  {elapsed}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    let handle = bar.clone();
    let update = move |progress: &Progress| {
        handle.set_length(progress.steps);
        handle.set_position(progress.step);
        if progress.step % 16 == 1 {
            let (nll, divergence) = (progress.loss.negative_log_likelihood, progress.loss.divergence);
            handle.set_message(format!("epoch {:>3}  nll {nll:.4}  kl {divergence:.0} nats", progress.epoch));
        }
    };
    (bar, update)
}

/// Prints what a fit noted, if it did.
pub fn notes(report: &FitReport) {
    report.notes.iter().for_each(|note| println!("  note: {note}"));
    report.diagnoses.iter().for_each(|diagnosis| println!("  note: {diagnosis}"));
}

/// A horizontal bar of `width` cells, filled to this part in eighths of a cell.
pub fn bar(part: f64, width: usize) -> String {
    let eighths = (part.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{:<width$}", "█".repeat(eighths / 8) + rest)
}

/// Bold text, where stdout is a terminal that wants colours.
pub fn bold(text: &str) -> String {
    if coloured() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether stdout is a terminal that wants colours.
pub fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
