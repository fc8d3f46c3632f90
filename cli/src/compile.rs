//! `bayeslift compile`: a model as an object that programs link, as a file in C, or as a script for pages.

use crate::{
    abstain::Abstain,
    error::{Error, shown},
    sink,
};
use bayeslift::deploy::{self, DeployOptions, Level, System, Weights};
use serde_json::json;
use std::{fmt::Write, path::PathBuf};

/// Compiles a model to an object, or to a file in C, for programs in C, with its header and a manifest
///
/// What is made predicts with the bits of `bayeslift predict` and needs nothing else: no library, no memory but what
/// the program brings. An ensemble becomes one object, or one file, whose members share their code. C is for what there
/// are no objects for: microcontrollers, WebAssembly.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model: what `Network::save` wrote, or the folder that `Ensemble::save` did; to go on training, what
    /// `Trainer::save_for_device` wrote
    model: PathBuf,
    /// Make what goes on training too: steps with the bits of the trainer, on a state that the program keeps
    #[arg(long)]
    train: bool,
    /// The folder to write to; it is made if there is none
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// What names in the object begin with: an identifier of C
    #[arg(long, default_value = "model")]
    name: String,
    /// What to make: an object for the system; C99, which has the same bits on all systems; or a script for pages, in
    /// which the network is WebAssembly, made by clang
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Emit::Object)]
    emit: Emit,
    /// The system, by Rust's name for it, such as `aarch64-unknown-linux-gnu`; default: this machine's, of C any
    #[arg(long, value_name = "TRIPLE", value_parser = system)]
    target: Option<String>,
    /// Which levels of x86-64, v1 to v4; of several the program chooses when it runs. Default: v3
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = level)]
    isa: Vec<Level>,
    /// How many samples of the posterior are drawn if the program does not say
    #[arg(long, value_name = "S", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// The most rows that are computed at once: the workspace grows with it, results do not depend on it
    #[arg(long, value_name = "N")]
    row_block: Option<usize>,
    /// Addresses the noise if the program does not say; default: that of the network
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the weights are: in the object, in a file that the program brings into memory, or, of C, in a file that
    /// the assembler includes
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Where::Inside)]
    weights: Where,
    #[command(flatten)]
    abstain: Abstain,
    /// Make a function too that decides on classes, with as many samples as that takes: so that what it says is certain
    /// is wrong with this probability at most
    #[arg(long, value_name = "ERROR", allow_negative_numbers = true)]
    decide: Option<f64>,
    /// What the numbers of a row are called, with their units if you like: `alcohol [%],density`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    input_names: Vec<String>,
    /// What the classes, or the numbers that are predicted, are called
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    output_names: Vec<String>,
    /// Write an archive and files for pkg-config and CMake too
    #[arg(long)]
    package: bool,
    /// Print the manifest instead of a list of files
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    Inside,
    File,
    Included,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Emit {
    Object,
    C,
    Wasm,
}

const EXAMPLES: &str = "\
Examples:
  bayeslift compile wine.safetensors --output deploy --name wine
  bayeslift compile wines/ --output deploy --name ensemble
  bayeslift compile wine.safetensors --output deploy --target aarch64-unknown-linux-gnu --samples 32
  bayeslift compile wine.safetensors --output deploy --isa v3,v4 --package
  bayeslift compile wine.safetensors --output deploy --emit c --row-block 1 --samples 16
  bayeslift compile wine.safetensors --output deploy --name wine --emit wasm
  bayeslift compile digits.safetensors --output deploy --abstain-above 0.7 --decide 0.01 --samples 4096
  bayeslift compile wine-training.safetensors --train --output deploy --name wine --emit c --row-block 1";

pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut options = DeployOptions::new(&arguments.name)
        .samples(arguments.samples as usize)
        .levels(arguments.isa.clone())
        .input_names(&arguments.input_names)
        .output_names(&arguments.output_names);
    options.system = made_for(arguments);
    options.row_block = arguments.row_block.unwrap_or(options.row_block);
    options.seed = arguments.seed;
    options.weights = match arguments.weights {
        Where::Inside => Weights::Inside,
        Where::File => Weights::File,
        Where::Included => Weights::Included,
    };
    options.abstention = arguments.abstain.abstention()?;
    options.decision_error = arguments.decide;
    let mut package = match arguments.train {
        true => deploy::training_file(&arguments.model, &options)?,
        false => deploy::file(&arguments.model, &options)?,
    };
    package.manifest["command"] = json!(command(arguments));
    let mut files = if arguments.emit == Emit::Wasm { package.web()? } else { package.files() };
    if arguments.package {
        files.extend(package.library()?);
    }
    deploy::write(&arguments.output, &files)?;
    let mut text = String::new();
    if arguments.json {
        let _ = writeln!(text, "{}", package.manifest);
    } else {
        for file in &files {
            let _ = writeln!(text, "{:>12}  {}", file.bytes.len(), shown(&arguments.output.join(&file.name)));
        }
        let bytes = |what: &str| package.manifest["bytes"][what].as_u64().unwrap_or_default();
        if arguments.train {
            let _ = writeln!(text, "what it learns is a state of {} bytes", bytes("state"));
        }
        let _ = match (bytes("workspace"), bytes("stack")) {
            // of C its compiler knows
            (workspace, 0) => writeln!(text, "a call takes {workspace} bytes of workspace"),
            (workspace, stack) => {
                writeln!(text, "a call takes {workspace} bytes of workspace and up to {stack} of the stack")
            }
        };
    }
    sink::write(None, &text)
}

/// The command that makes the same files of the same model: without paths, which differ between machines.
fn command(arguments: &Arguments) -> String {
    let mut text =
        format!("bayeslift compile MODEL --output DIR --name {} --samples {}", arguments.name, arguments.samples);
    if arguments.train {
        text.push_str(" --train");
    }
    match arguments.emit {
        Emit::Object => {}
        Emit::C => text.push_str(" --emit c"),
        Emit::Wasm => text.push_str(" --emit wasm"),
    }
    if let Some(target) = &arguments.target {
        let _ = write!(text, " --target {target}");
    }
    if !arguments.isa.is_empty() {
        let levels: Vec<String> = arguments.isa.iter().map(ToString::to_string).collect();
        let _ = write!(text, " --isa {}", levels.join(","));
    }
    if let Some(rows) = arguments.row_block {
        let _ = write!(text, " --row-block {rows}");
    }
    if let Some(seed) = arguments.seed {
        let _ = write!(text, " --seed {seed}");
    }
    text.push_str(&arguments.abstain.command());
    if let Some(error) = arguments.decide {
        let _ = write!(text, " --decide {error}");
    }
    match arguments.weights {
        Where::Inside => {}
        Where::File => text.push_str(" --weights file"),
        Where::Included => text.push_str(" --weights included"),
    }
    for (option, names) in [("--input-names", &arguments.input_names), ("--output-names", &arguments.output_names)] {
        if !names.is_empty() {
            let _ = write!(text, " {option} '{}'", names.join(","));
        }
    }
    if arguments.package {
        text.push_str(" --package");
    }
    text
}

/// The name of a system that there are objects for, or compilers of C.
fn system(name: &str) -> Result<String, String> {
    match (name.parse::<System>(), System::c(Some(name))) {
        (Err(of_objects), Err(of_c)) if of_objects.to_string() != of_c.to_string() => {
            Err(format!("{of_objects}; {of_c}"))
        }
        (Err(error), Err(_)) => Err(error.to_string()),
        _ => Ok(name.to_owned()),
    }
}

/// What the package is for. Ends the program where there are no objects for a system.
fn made_for(arguments: &Arguments) -> Option<System> {
    let name = arguments.target.as_deref();
    let system = match arguments.emit {
        Emit::C => Some(System::c(name)),
        Emit::Wasm => Some(System::c(name.or(Some("wasm32-unknown-unknown")))),
        Emit::Object => name.map(str::parse::<System>),
    };
    system.map(|found| {
        found.unwrap_or_else(|error| {
            let said = format!("{error}; `--emit c` is for any system that has a compiler of C\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, said).exit()
        })
    })
}

fn level(name: &str) -> Result<Level, String> {
    name.parse().map_err(|error| format!("{error}"))
}
