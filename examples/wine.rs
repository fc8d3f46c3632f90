//! The quality of 1,599 red wines, predicted from eleven measurements with its uncertainty: how much the tasters
//! scatter, and how much the network does not know.
//!
//!     cargo run --release --example wine

#[allow(dead_code)] // Each example uses a part of it.
mod common;

use bayeslift::{Comparison, prelude::*};
use clap::Parser;
use common::{Arguments, bar, bold, table::Table};
use serde_json::json;
use std::{error::Error, process::ExitCode};

const FEATURES: usize = 11;
const SAMPLES: usize = 64;

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let path = arguments.data.clone().unwrap_or_else(|| common::data_file("winequality-red.csv.gz"));
    let (inputs, qualities) = Table::read(&path, FEATURES + 1, true)?.split_last();
    let data = Dataset::regression([FEATURES], inputs, 1, qualities)?;
    let (test, train) = data.partition(|row| row % 5 == 4)?;
    let standardizer = Standardizer::of(&train);
    let (standard_train, standard_test) = (standardizer.apply(&train)?, standardizer.apply(&test)?);

    let recipe = Recipe::tables();
    let layer = |inputs, outputs| AffineVariationalReparameterizationLocal::new(inputs, outputs).recipe(&recipe);
    let layers = Sequential::new().layer(layer(FEATURES, 50).activation(Activation::Relu)).layer(layer(50, 1));
    let mut network = Network::new(layers, [FEATURES], likelihood::Normal::learned(1.0), arguments.seed)?;
    if !arguments.json {
        println!("{}\n", network.summary());
    }

    let options = arguments.options();
    let (progress, update) = common::progress_bar();
    let epochs = recipe.epochs(train.rows());
    let report = Fit::by(&recipe, train.rows())
        .epochs(if arguments.quick { epochs / 10 } else { epochs })
        .backend(options.clone())
        .progress(update)
        .run(&mut network, &standard_train)?;
    progress.finish_and_clear();

    let options = PredictorOptions::default().samples(SAMPLES).backend(options);
    let predictor = Predictor::with_options(&network, &options)?;
    // Back in units of quality.
    let prediction = standardizer.restore(&predictor.regress(standard_test.inputs())?)?;
    let rmse = metrics::root_mean_square_error(prediction.mean(), test.values())?;
    let nll = predictor.negative_log_likelihood(&standard_test)? + standardizer.log_scale();
    let comparison = Comparison::new(&network, &standard_test, &options)?;
    let compile_ms = report.compile_time.as_secs_f64() * 1e3;
    let (train_seconds, steps_per_second) = (report.train_time.as_secs_f64(), report.steps_per_second());
    if let Some(path) = &arguments.save {
        network.save(path)?;
    }
    if arguments.json {
        let line = json!({
            "rmse": rmse,
            "nll": nll,
            "gain_of_samples": comparison.gain,
            "gain_standard_error": comparison.gain_standard_error,
            "compile_ms": compile_ms,
            "train_seconds": train_seconds,
            "steps_per_second": steps_per_second,
        });
        println!("{line}");
        return Ok(());
    }

    println!("{}", bold(&format!("{} test wines, {SAMPLES} posterior samples", test.rows())));
    println!("  root mean square error   {rmse:.4}");
    println!("  negative log likelihood  {nll:.4} nats");
    let (gain, error) = (comparison.gain, comparison.gain_standard_error);
    println!("  of which samples gain    {gain:.4} ± {error:.4} over the posterior's mean");
    println!("  step compiled in         {compile_ms:.1} ms");
    println!("  trained in               {train_seconds:.2} s: {} steps, {steps_per_second:.0} a second", report.steps);
    common::notes(&report);
    println!("\n{}", bold("From the wine it knows best to the one it knows least"));
    println!("  wine  quality    predicted  aleatoric  epistemic");
    let mut order: Vec<usize> = (0..test.rows()).collect();
    order.sort_by(|&a, &b| prediction.epistemic()[a].total_cmp(&prediction.epistemic()[b]));
    let largest = order.last().map_or(1.0, |&row| prediction.epistemic()[row]);
    for i in 0..12 {
        let row = order[i * (order.len() - 1) / 11];
        let (mean, total) = (prediction.mean()[row], prediction.total()[row]);
        let (aleatoric, epistemic) = (prediction.aleatoric()[row], prediction.epistemic()[row]);
        let (wine, quality, bar) = (row * 5 + 4, test.values()[row], bar(f64::from(epistemic / largest), 20));
        println!("  {wine:>4}  {quality:>7}  {mean:.2} ± {total:.2}  {aleatoric:>9.2}  {epistemic:>9.2} {bar}");
    }
    if let Some(path) = &arguments.save {
        println!("\nSaved to {}", path.display());
    }
    Ok(())
}
