//! Handwritten digits: a Bayesian network of one hidden layer learns them from 1,438 images of 8 x 8 pixels, says how
//! sure it is of 359 others, and shows those it is least sure of.
//!
//!     cargo run --release --example digits

#[allow(dead_code)] // Each example uses a part of it.
mod common;

use bayeslift::{Comparison, prelude::*};
use clap::Parser;
use common::{Arguments, bar, bold, table::Table};
use serde_json::json;
use std::{error::Error, process::ExitCode};

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const SAMPLES: usize = 64;

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let path = arguments.data.clone().unwrap_or_else(|| common::data_file("digits.csv.gz"));
    let table = Table::read(&path, PIXELS + 1, false)?;
    let (pixels, labels) = table.split_last();
    let labels = table.labels(&labels, CLASSES as u32)?;
    let inputs = pixels.iter().map(|pixel| pixel / 16.0).collect();
    let data = Dataset::classification([PIXELS], inputs, labels)?;
    let (test, train) = data.partition(|row| row % 5 == 4)?;

    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(PIXELS, 64).activation(Activation::Relu)).layer(layer(64, CLASSES));
    let mut network = Network::new(layers, [PIXELS], likelihood::Categorical, arguments.seed)?;
    if !arguments.json {
        println!("{}\n", network.summary());
    }

    let options = arguments.options();
    let (progress, update) = common::progress_bar();
    let report = Fit::new()
        .batch_size(64)
        .epochs(if arguments.quick { 10 } else { 100 })
        .learning_rate(3e-3)
        .divergence_weight(0.1)
        .warm_up(WarmUp::Fraction(0.3))
        .backend(options.clone())
        .progress(update)
        .run(&mut network, &train)?;
    progress.finish_and_clear();

    let options = PredictorOptions::default().samples(SAMPLES).backend(options);
    let prediction = Predictor::with_options(&network, &options)?.classify(test.inputs())?;
    let comparison = Comparison::new(&network, &test, &options)?;
    let (probabilities, labels) = (prediction.probabilities(), test.labels());
    let accuracy = metrics::accuracy(probabilities, CLASSES, labels)?;
    let nll = metrics::negative_log_likelihood(probabilities, CLASSES, labels)?;
    let ece = metrics::calibration(probabilities, CLASSES, labels, metrics::CALIBRATION_BINS)?.expected_error;
    let compile_ms = report.compile_time.as_secs_f64() * 1e3;
    let (train_seconds, steps_per_second) = (report.train_time.as_secs_f64(), report.steps_per_second());
    if let Some(path) = &arguments.save {
        network.save(path)?;
    }
    if arguments.json {
        let line = json!({
            "accuracy": accuracy,
            "nll": nll,
            "ece": ece,
            "gain_of_samples": comparison.gain,
            "gain_standard_error": comparison.gain_standard_error,
            "compile_ms": compile_ms,
            "train_seconds": train_seconds,
            "steps_per_second": steps_per_second,
        });
        println!("{line}");
        return Ok(());
    }

    println!("{}", bold(&format!("{} test images, {SAMPLES} posterior samples", test.rows())));
    println!("  accuracy                 {:.2} %", accuracy * 100.0);
    println!("  negative log likelihood  {nll:.4} nats");
    println!("  calibration error        {ece:.4}");
    let (gain, error) = (comparison.gain, comparison.gain_standard_error);
    println!("  samples gain             {gain:.4} ± {error:.4} nats over the posterior's mean");
    println!("  step compiled in         {compile_ms:.1} ms");
    println!("  trained in               {train_seconds:.2} s: {} steps, {steps_per_second:.0} a second", report.steps);
    common::notes(&report);
    println!("\n{}", bold("Least sure of"));
    let entropy = prediction.predictive_entropy();
    let mut order: Vec<usize> = (0..test.rows()).collect();
    order.sort_by(|&a, &b| entropy[b].total_cmp(&entropy[a]));
    order.iter().take(5).for_each(|&row| show(&prediction, &test, row));
    if let Some(path) = &arguments.save {
        println!("\nSaved to {}", path.display());
    }
    Ok(())
}

/// Draws a digit, and beside it the best guesses and where the uncertainty comes from.
fn show(prediction: &Classification, test: &Dataset, row: usize) {
    let label = test.labels()[row];
    let entropy = prediction.predictive_entropy()[row];
    let mut beside = vec![format!("image {}: {}", row * 5 + 4, bold(&format!("a {label}")))];
    for (class, probability) in prediction.ranking(row).into_iter().take(3) {
        let mark = if class == label as usize { "✓" } else { " " };
        let bar = bar(f64::from(probability), 24);
        beside.push(format!("{class} {mark} {bar} {:5.1} %", probability * 100.0));
    }
    beside.push(format!("uncertainty       {entropy:.2} nats"));
    let parts = [
        ("from the image  ", prediction.expected_entropy()[row]),
        ("from the weights", prediction.mutual_information()[row]),
    ];
    for (name, part) in parts {
        beside.push(format!("{name}  {part:.2} {}", bar(f64::from(part / entropy), 15)));
    }
    println!();
    for (pixels, text) in test.input(row).chunks(8).zip(beside.iter().map(String::as_str).chain(std::iter::repeat("")))
    {
        let drawn: String = pixels.iter().map(|&pixel| shade(pixel)).collect();
        println!("  {drawn}  {text}");
    }
}

/// A pixel of brightness 0 to 1, two columns wide so that it is about square.
fn shade(brightness: f32) -> String {
    if common::coloured() {
        // The grey ramp of the 256 colours has 24 steps.
        format!("\x1b[48;5;{}m  \x1b[0m", 232 + (brightness.clamp(0.0, 1.0) * 23.0).round() as u8)
    } else {
        ["  ", "░░", "▒▒", "▓▓", "██"][(brightness.clamp(0.0, 1.0) * 4.0).round() as usize].to_owned()
    }
}
