//! Each kind of kernel beside what the machine can do.
//!
//! ```text
//! cargo bench -q --bench kernels -- [products] [MxKxN ...] [convolutions] [functions] [noise] [copy] [target] [quick] [threads=N] [target=zen4|..] [isa=1|4|8|16] [--json]
//! ```
//!
//! Sections run in this order, all of them unless some are named; sizes of products mean these products alone; `quick`
//! measures less, and less well. Defaults: one thread, the widest vectors. `--json` prints an object a
//! line for each row of the tables.
//!
//! `peak` always comes first: independent fused multiply-adds by the width of vectors, on one thread and on all at
//! once. Percentages are of the peak of the widest vectors, and of the copy, on as many threads as the kernels may use,
//! whatever `isa` they use. Every figure is the best of 20 runs, fewer of those that take seconds. A run repeats its
//! call for at least a millisecond, and a call is timed whole, with the check of its arguments.

#[path = "../common/mod.rs"]
mod common;
mod convolutions;
mod elementwise;
mod products;
mod table;
mod target;

use bayeslift::runtime::Options;
use common::{Result, machine};
use serde_json::json;
use table::{Table, rounded};

/// What to measure, and how.
struct Settings {
    sections: Vec<String>,
    sizes: Vec<products::Size>,
    threads: usize,
    options: Options,
    quick: bool,
    json: bool,
}

type Section = fn(&Settings, &mut Table) -> Result<()>;

const SECTIONS: &[(&str, Section)] = &[
    ("products", products::products),
    ("convolutions", convolutions::convolutions),
    ("functions", elementwise::functions),
    ("noise", elementwise::noise),
    ("copy", elementwise::copy),
    ("target", target::target),
];

impl Settings {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Settings> {
        let mut settings = Settings {
            sections: Vec::new(),
            sizes: Vec::new(),
            threads: 1,
            options: Options::default(),
            quick: false,
            json: false,
        };
        for argument in arguments {
            match argument.split_once('=') {
                Some(("threads", n)) => {
                    settings.threads = n.parse().map_err(|_| format!("threads={n} is no number"))?
                }
                Some(("target", name)) => settings.options = settings.options.target(common::target(name)?),
                Some(("isa", isa)) => settings.options = settings.options.lanes(common::lanes(isa)?),
                None if argument == "--json" => settings.json = true,
                None if argument == "quick" => settings.quick = true,
                None if SECTIONS.iter().any(|&(name, _)| name == argument) => settings.sections.push(argument),
                None if let Some(size) = products::parse(&argument) => {
                    settings.sizes.push(size);
                    settings.sections.push("products".into());
                }
                _ => return Err(format!("no section or option `{argument}`").into()),
            }
        }
        settings.threads = settings.threads.max(1);
        settings.options = settings.options.threads(settings.threads);
        Ok(settings)
    }

    fn runs(&self) -> usize {
        if self.quick { 3 } else { 20 }
    }
}

fn main() -> Result<()> {
    // cargo passes `--bench` to every bench
    let settings = Settings::parse(std::env::args().skip(1).filter(|argument| argument != "--bench"))?;
    peaks(&mut Table::new("peak", settings.json));
    for (name, measure) in SECTIONS {
        if settings.sections.is_empty() || settings.sections.iter().any(|section| section == name) {
            measure(&settings, &mut Table::new(name, settings.json))?;
        }
    }
    Ok(())
}

fn peaks(table: &mut Table) {
    let mut counts = vec![1, common::cores()];
    counts.dedup();
    for lanes in [4, 8, 16].into_iter().filter(|&lanes| lanes <= machine::widest()) {
        for &threads in &counts {
            let gflops = machine::peak_gflops(threads, lanes);
            table.row(&[("lanes", json!(lanes)), ("threads", json!(threads)), ("gflops", rounded(gflops))]);
        }
    }
}
