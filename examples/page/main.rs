//! A page on which digits are drawn and read, with the doubt of the network: one file, which needs no server. Needs
//! clang and lld.
//!
//!     cargo run --release --features deploy --example page

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
mod page;

use bayeslift::prelude::*;
use clap::Parser;
use common::table::Table;
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Makes a page that reads digits
#[derive(Debug, Parser)]
struct Arguments {
    /// A network that `--example digits -- --save` wrote; default: the one that is shipped
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where to write the page
    #[arg(long, value_name = "FILE", default_value = "digits.html")]
    output: PathBuf,
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/no_std/digits.safetensors");
    let table = Table::read(&common::data_file("digits.csv.gz"), 65, false)?;
    let (pixels, labels) = table.split_last();
    let labels = table.labels(&labels, 10)?;
    let data = Dataset::classification([64], pixels.iter().map(|pixel| pixel / 16.0).collect(), labels)?;
    // as the network was trained
    let (test, _) = data.partition(|row| row % 5 == 4)?;
    let numbers: Vec<usize> = (0..data.rows()).filter(|row| row % 5 == 4).collect();
    let page = page::page(arguments.model.as_deref().unwrap_or(&shipped), &test, &numbers)?;
    fs::write(&arguments.output, &page.html)?;
    println!("{}: {} KB", arguments.output.display(), page.html.len() / 1024);
    println!("names {:.1} % of {} test images right", page.accuracy * 100.0, test.rows());
    Ok(())
}
