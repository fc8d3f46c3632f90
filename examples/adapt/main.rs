//! A new writer: a network that learned digits upright is compiled to C, and goes on learning in a program of its own
//! from a stream of digits that lean, eight at a time. What it knew before is the prior of what it learns. Needs a C
//! compiler, `cc`.
//!
//!     cargo run --release --features deploy --example adapt

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;

use bayeslift::{
    DeviceTraining,
    deploy::{self, DeployOptions, System},
    prelude::*,
};
use clap::Parser;
use common::{Arguments, bar, bold, table::Table};
use serde_json::json;
use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

const PIXELS: usize = 64;
const CLASSES: usize = 10;
/// The rows of a step.
const ROWS: usize = 8;
/// The weight of the divergence, before and on the stream.
const WEIGHT: f64 = 0.1;
/// How the new writer's digits lean, in degrees.
const LEAN: f32 = 30.0;

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let path = arguments.data.clone().unwrap_or_else(|| common::data_file("digits.csv.gz"));
    let (pixels, labels) = Table::read(&path, PIXELS + 1, false)?.split_last();
    let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
    let data = Dataset::classification([PIXELS], pixels.iter().map(|pixel| pixel / 16.0).collect(), labels)?;
    let (upright, others) = data.partition(|row| row % 5 == 4)?;
    let leaning: Vec<f32> = upright.inputs().chunks(PIXELS).flat_map(|image| turned(image, LEAN)).collect();
    let leaning = Dataset::classification([PIXELS], leaning, upright.labels().to_vec())?;
    // what comes, and what shows how well it is read
    let batches = leaning.rows() * 2 / 3 / ROWS;
    let (stream, asked) = leaning.partition(|row| row >= batches * ROWS).map(|(asked, stream)| (stream, asked))?;

    // what all writers before have in common; then it is the prior
    let layer = |inputs, outputs| {
        AffineVariationalReparameterizationLocal::new(inputs, outputs).prior_maker(Prior::remembered(1.0))
    };
    let layers = Sequential::new().layer(layer(PIXELS, 32).activation(Activation::Relu)).layer(layer(32, CLASSES));
    let mut network = Network::new(layers, [PIXELS], likelihood::Categorical, arguments.seed)?;
    Fit::new()
        .batch_size(64)
        .epochs(if arguments.quick { 10 } else { 100 })
        .learning_rate(3e-3)
        .divergence_weight(WEIGHT)
        .warm_up(WarmUp::Fraction(0.3))
        .backend(arguments.options())
        .run(&mut network, &others)?;
    network.posterior_as_prior()?;
    let before = accuracy(&network, &asked)?;
    let upright_before = accuracy(&network, &upright)?;

    let options = TrainerOptions::default().optimizer(Adam::new(1e-2)).backend(arguments.options());
    let mut trainer = Trainer::new(&network, stream.rows(), options)?;
    let schedule = Schedule::Cosine { to: 0.1 };
    let training = DeviceTraining::new(ROWS).schedule(schedule, batches as u64).divergence_weight(WEIGHT).in_place();
    if let Some(path) = &arguments.save {
        // for `bayeslift compile --train`
        trainer.save_for_device(&network, path, &training)?;
    }
    let options = DeployOptions::new("digits").for_system(System::c(None)?).samples(32).row_block(ROWS);
    let package = deploy::training(&trainer, &network, &training, &options)?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target").join("adapt");
    package.write(&folder)?;
    let program = compiled(&folder)?;

    // half of the stream, and, another day, the rest
    let state = folder.join("digits.state");
    let _ = fs::remove_file(&state);
    let (mut right, mut losses, mut after) = (Vec::new(), Vec::new(), 0);
    for part in [0..batches / 2, batches / 2..batches] {
        let told = learned(&program, &state, (&stream, part), &asked)?;
        right.extend(told.right);
        losses.extend(told.losses);
        after = told.after;
    }

    // the same steps in this program
    let mut is_same = true;
    for (batch, bits) in losses.iter().enumerate() {
        let labels = Targets::Labels(stream.labels()[batch * ROWS..][..ROWS].to_vec());
        let input = StepInput::new(&stream.inputs()[batch * ROWS * PIXELS..][..ROWS * PIXELS], &labels);
        let loss = trainer.step(&mut network, input.rate(training.rate(batch as u64 + 1)).divergence_weight(WEIGHT))?;
        is_same &= (loss.loss as f32).to_bits() == *bits;
    }
    let after = f64::from(after) / asked.rows() as f64;
    is_same &= after == accuracy(&network, &asked)?;
    let upright_after = accuracy(&network, &upright)?;
    let bytes = |what: &str| package.manifest["bytes"][what].as_u64().unwrap_or_default();
    if arguments.json {
        let line = json!({
            "accuracy_before": before,
            "accuracy_after": after,
            "upright_before": upright_before,
            "upright_after": upright_after,
            "steps": batches,
            "same_bits": is_same,
        });
        println!("{line}");
    } else {
        println!("{}", bold(&format!("{} digits of a new writer, who leans by {LEAN} degrees", stream.rows())));
        for (i, right) in right.chunks(5).enumerate() {
            let read = right.len() * ROWS;
            let part = f64::from(right.iter().sum::<u32>()) / read as f64;
            println!(
                "  {:>4} to {:>4}  {} {:5.1} %",
                i * 5 * ROWS + 1,
                i * 5 * ROWS + read,
                bar(part, 24),
                part * 100.0
            );
        }
        println!("  of {} others, before  {:5.1} %", asked.rows(), before * 100.0);
        println!("  and after             {:5.1} %", after * 100.0);
        println!(
            "  of those before it leant, before {:5.1} %, after {:5.1} %",
            upright_before * 100.0,
            upright_after * 100.0
        );
        println!("  {} bytes of state, {} of workspace", bytes("state"), bytes("workspace"));
        println!("  the bits of the library: {}", if is_same { "the same" } else { "others" });
    }
    if is_same { Ok(()) } else { Err("the program in C learned otherwise".into()) }
}

/// The part of digits that are named right.
fn accuracy(network: &Network, data: &Dataset) -> Result<f64, Box<dyn Error>> {
    let options = PredictorOptions::default().samples(32);
    let predictor = Predictor::with_options(network, &options)?;
    // each by itself, as the program in C reads them
    let mut right = 0;
    for (row, label) in data.labels().iter().enumerate() {
        let answer = predictor.classify(data.input(row))?;
        right += u32::from(answer.ranking(0)[0].0 == *label as usize);
    }
    Ok(f64::from(right) / data.rows() as f64)
}

/// An image turned about its centre, between pixels on a line from one to the next.
fn turned(image: &[f32], degrees: f32) -> Vec<f32> {
    const SIDE: i32 = 8;
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let pixel = |x: i32, y: i32| match (0..SIDE).contains(&x) && (0..SIDE).contains(&y) {
        true => image[(y * SIDE + x) as usize],
        false => 0.0,
    };
    let at = |x: f32, y: f32| {
        let (left, top) = (x.floor(), y.floor());
        let (right, below) = (x - left, y - top);
        let (x, y) = (left as i32, top as i32);
        let row = |y: i32| pixel(x, y) * (1.0 - right) + pixel(x + 1, y) * right;
        row(y) * (1.0 - below) + row(y + 1) * below
    };
    let centre = (SIDE - 1) as f32 / 2.0;
    let all = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x as f32 - centre, y as f32 - centre)));
    all.map(|(x, y)| at(centre + cosine * x + sine * y, centre - sine * x + cosine * y)).collect()
}

/// The program around the package in a folder.
fn compiled(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    fs::write(folder.join("adapt.c"), include_str!("adapt.c"))?;
    let mut command = Command::new("cc");
    command.current_dir(folder).args(["-O2", "adapt.c", "digits.c", "-o", "adapt"]);
    let status = command.status().map_err(|error| format!("no C compiler: `cc`: {error}"))?;
    if status.success() { Ok(folder.join("adapt")) } else { Err("`cc` failed".into()) }
}

/// What the program tells of a part of the stream.
struct Told {
    /// How many of each batch it read right before it learned it.
    right: Vec<u32>,
    /// The bits of the losses.
    losses: Vec<u32>,
    /// How many of those that it was asked about it read right afterwards.
    after: u32,
}

/// Runs the program on a part of the stream.
fn learned(
    program: &Path,
    state: &Path,
    (stream, batches): (&Dataset, std::ops::Range<usize>),
    asked: &Dataset,
) -> Result<Told, Box<dyn Error>> {
    let bytes = |data: &Dataset, rows: std::ops::Range<usize>| -> Vec<u8> {
        let pixels = data.inputs()[rows.start * PIXELS..rows.end * PIXELS].iter().flat_map(|x| x.to_le_bytes());
        pixels.chain(data.labels()[rows].iter().flat_map(|label| label.to_le_bytes())).collect()
    };
    let mut given = (batches.len() as u32).to_le_bytes().to_vec();
    batches.for_each(|batch| given.extend(bytes(stream, batch * ROWS..(batch + 1) * ROWS)));
    given.extend((asked.rows() as u32).to_le_bytes());
    (0..asked.rows()).for_each(|row| given.extend(bytes(asked, row..row + 1)));
    let mut child = Command::new(program).arg(state).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let writer = std::thread::spawn(move || stdin.write_all(&given));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer failed")??;
    if !output.status.success() {
        return Err(format!("the program in C failed: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut told = Told { right: Vec::new(), losses: Vec::new(), after: 0 };
    for line in text.lines() {
        match line.split_once(' ') {
            Some((count, loss)) => {
                told.right.push(count.parse()?);
                told.losses.push(u32::from_str_radix(loss, 16)?);
            }
            None => told.after = line.parse()?,
        }
    }
    Ok(told)
}
