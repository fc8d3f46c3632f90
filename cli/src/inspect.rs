//! `bayeslift inspect`: what a model file says of itself.

use crate::{
    error::{Error, shown},
    sink,
};
use bayeslift::{
    Described, DescribedLayer, Ensemble, ModelFile,
    ir::{DType, Foreign, Shape},
    layers::likelihood::{Support, Target},
};
use serde_json::{Value, json};
use std::{fmt::Write, path::PathBuf};

/// Tells what a model is: layers, parameters, posteriors, priors, likelihood, sizes; of an ensemble its members, and
/// that of the first
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model: what `Network::save` wrote, or the folder that `Ensemble::save` did
    model: PathBuf,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let path = &arguments.model;
    if path.is_dir() {
        return ensemble(arguments);
    }
    let file = ModelFile::read(path)?;
    let text = if arguments.json { json(&file).to_string() + "\n" } else { text(&file, &shown(path)) };
    sink::write(None, &text)
}

/// Of an ensemble: each member as JSON, or a line for each and then the first.
fn ensemble(arguments: &Arguments) -> Result<(), Error> {
    let paths = Ensemble::files(&arguments.model);
    let files = paths.iter().map(ModelFile::read).collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        let members: Vec<Value> = files.iter().map(json).collect();
        return sink::write(None, &format!("{}\n", json!({ "members": members })));
    }
    let mut text_of_all = format!("{}\n  {} members\n\n", shown(&arguments.model), files.len());
    let rows = paths.iter().zip(&files).map(|(path, file)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fitted = format!("seed {}, {} steps", file.seed, grouped(file.steps as usize));
        [name, fitted, format!("digest {}", file.digest.as_deref().unwrap_or("none"))]
    });
    text_of_all.push_str(&table(rows.collect()));
    text_of_all.push('\n');
    text_of_all.push_str(&text(&files[0], &shown(&paths[0])));
    sink::write(None, &text_of_all)
}

/// How many bytes parameters have.
fn bytes(file: &ModelFile) -> usize {
    file.parameters.iter().map(|(_, parameter)| parameter.tensor.ty().bytes()).sum()
}

/// How many numbers parameters have, and how many of them are trained.
fn sizes(file: &ModelFile) -> [usize; 2] {
    let of = |must_be_trainable: bool| {
        let parameters = file.parameters.iter().map(|(_, parameter)| parameter);
        let counted = parameters.filter(|parameter| parameter.trainable || !must_be_trainable);
        counted.map(|parameter| parameter.tensor.shape().elements()).sum()
    };
    [of(false), of(true)]
}

fn json(file: &ModelFile) -> Value {
    let [numbers, trainable] = sizes(file);
    let parameter = |(path, parameter): (&str, &bayeslift::layers::Parameter)| {
        let shape = parameter.tensor.shape();
        json!({
            "path": path,
            "shape": shape.to_vec(),
            "dtype": parameter.tensor.dtype().to_string(),
            "group": parameter.group.name(),
            "trainable": parameter.trainable,
            "elements": shape.elements(),
            "bytes": parameter.tensor.ty().bytes(),
        })
    };
    let target = file.target().map(|target| {
        let (support, classes) = support(&target);
        json!({ "support": support, "classes": classes, "shape": target.shape.to_vec(), "events": target.events.to_vec() })
    });
    json!({
        "format_version": file.version,
        "emitter_version": file.emitter,
        "digest": file.digest,
        "predicts_alone": file.stands_alone(),
        "input": file.input.to_vec(),
        "target": target,
        "likelihood": file.likelihood,
        "training_examples": file.training_examples,
        "steps": file.steps,
        "epochs": file.epochs,
        "seed": file.seed,
        "layers": file.layers,
        "parameters": file.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "parameterization": file.parameterization,
        "posteriors": file.posteriors,
        "priors": file.priors,
        "elements": numbers,
        "trainable_elements": trainable,
        "bytes": bytes(file),
    })
}

fn text(file: &ModelFile, name: &str) -> String {
    let mut text = format!("{name}\n");
    let mut line = |what: &str, value: &str| {
        // a string takes all that is written to it
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    let numbers = |shape: &Shape| match shape.len() {
        0 | 1 => grouped(shape.elements()),
        _ => format!("{shape}, {}", grouped(shape.elements())),
    };
    line("inputs", &format!("{} numbers", numbers(&file.input)));
    line("targets", &file.target().map_or_else(|| "not described".to_owned(), |target| targets(&target)));
    line("likelihood", &Foreign::whole(&file.likelihood).to_string());
    line(
        "fitted to",
        &match file.training_examples {
            Some(examples) => format!("{} examples", grouped(examples)),
            None => "nothing that the file tells of".to_owned(),
        },
    );
    line("seed", &file.seed.to_string());
    let [count, trainable] = sizes(file);
    let tensors = file.parameters.len();
    let is_double = file.parameters.iter().any(|(_, parameter)| parameter.tensor.dtype() == DType::F64);
    let numbers = if is_double { "numbers of f64" } else { "numbers" };
    let parameters = format!("{} {numbers} in {tensors} tensors, {} bytes", grouped(count), grouped(bytes(file)));
    let frozen = if trainable == count { String::new() } else { format!("; {} are trained", grouped(trainable)) };
    line("parameters", &(parameters + &frozen));
    line(
        "predicts",
        if file.stands_alone() { "alone" } else { "only after it is loaded into a network of its layers" },
    );
    let emitter = file.emitter.map_or_else(String::new, |emitter| format!(", graphs of version {emitter}"));
    line("format", &format!("version {}{emitter}", file.version));
    line("digest", file.digest.as_deref().unwrap_or("none"));

    if !file.layers.is_empty() {
        text.push_str("\nlayers\n");
        file.layers.iter().for_each(|described| text.push_str(&layer(described)));
    }
    text.push_str("\nparameters\n");
    let rows = file.parameters.iter().map(|(path, parameter)| {
        let trained = if parameter.trainable { "" } else { ", not trained" };
        let shape = parameter.tensor.shape().to_string().replace(',', ", ");
        [Foreign::new(path).to_string(), shape, format!("{}{trained}", parameter.group.name())]
    });
    text.push_str(&table(rows.collect()));
    for (title, described) in
        [("posteriors", &file.posteriors), ("priors", &file.priors), ("parameterization", &file.parameterization)]
    {
        if !described.is_empty() {
            let _ = writeln!(text, "\n{title}");
            let row = |Described { path, text }: &Described| {
                [Foreign::new(path).to_string(), Foreign::cut(text, 400).to_string(), String::new()]
            };
            text.push_str(&table(described.iter().map(row).collect()));
        }
    }
    text
}

/// A layer below those that it is in: its name, its kind if that is another one, its sizes, and what it was told
/// besides.
fn layer(described: &DescribedLayer) -> String {
    let DescribedLayer { path, kind, options } = described;
    let depth = if path.is_empty() { 0 } else { 1 + path.matches('/').count() };
    let name = path.rsplit('/').next().filter(|name| !name.is_empty() && name != kind);
    let mut words = name.map_or_else(String::new, |name| format!("{}: ", Foreign::new(name)));
    words += &Foreign::new(kind).to_string();
    if let (Some(input), Some(output)) = (options.get("input_size"), options.get("output_size")) {
        words += &format!(" {} -> {}", Foreign::new(input), Foreign::new(output));
    }
    // what is as for most layers says nothing
    const USUAL: [&str; 4] = ["none", "[]", "true", "Sample"];
    for (option, value) in options {
        if !USUAL.contains(&value.as_str()) && option != "input_size" && option != "output_size" {
            words += &format!(", {} {}", Foreign::new(option).to_string().replace('_', " "), Foreign::new(value));
        }
    }
    format!("  {}{words}\n", "  ".repeat(depth))
}

/// Columns, each as wide as what is longest in it.
fn table(rows: Vec<[String; 3]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [first, second] = [width(0), width(1)];
    let line = |[a, b, c]: &[String; 3]| {
        let line = format!("  {a:<first$}  {b:<second$}  {c}");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The name of a support, as in model files, and the number of classes if it has one.
fn support(target: &Target) -> (&'static str, Option<usize>) {
    let name = match target.support {
        Support::Classes(_) => "classes",
        Support::Simplex(_) => "simplex",
        Support::Real => "real",
        Support::Positive => "positive",
        Support::NonNegative => "non-negative",
        Support::UnitInterval => "unit interval",
        Support::Binary => "binary",
        Support::Count => "count",
        _ => "other",
    };
    (name, target.classes())
}

/// What one target is, in words.
fn targets(target: &Target) -> String {
    let many = target.shape.elements();
    let one = match target.support {
        Support::Classes(classes) => format!("one of {classes} classes"),
        Support::Simplex(classes) => return format!("a point of {classes} positive coordinates that sum to 1"),
        Support::Positive => "a number above 0".to_owned(),
        Support::NonNegative => "a number from 0 on".to_owned(),
        Support::UnitInterval => "a number between 0 and 1".to_owned(),
        Support::Binary => "0 or 1".to_owned(),
        Support::Count => "a count".to_owned(),
        _ => "a number".to_owned(),
    };
    if many == 1 { one } else { format!("{one}, for each of {} places of {}", grouped(many), target.shape) }
}

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
