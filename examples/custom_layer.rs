//! A variational layer of your own, in a few lines: random factors on the inputs and outputs of an ordinary kernel
//! (rank-1 Bayesian networks; Dusenberry and others 2020). It learns handwritten digits with a twentieth of the random
//! variables that random kernels and biases have.
//!
//!     cargo run --release --example custom_layer

#[allow(dead_code)] // Each example uses a part of it.
mod common;

use bayeslift::prelude::*;
use clap::Parser;
use common::{Arguments, bold, table::Table};
use serde_json::json;
use std::process::ExitCode;

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const SAMPLES: usize = 64;

/// y = s ((r x) kernel) + bias with random vectors r: [input] and s: [output] near 1; products with them are
/// elementwise. That is a kernel with random elements r_i kernel_ij s_j.
struct RankOne {
    input: usize,
    output: usize,
    activation: Activation,
}

impl VariationalLayer for RankOne {
    fn kind(&self) -> &str {
        "rank_one"
    }

    fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, LayerError> {
        // Not random: they have no prior.
        scope.parameter("kernel", &[self.input, self.output].into(), &Initializer::GlorotUniform)?;
        scope.parameter("bias", &[self.output].into(), &Initializer::Zeros)?;
        let factor = |name, units: usize| {
            let prior = distribution::Normal::scalar(scope.builder(), 1.0, 0.3);
            RandomVariable::mean_field(scope, name, [units], &Initializer::Ones, 0.1, prior)
        };
        Ok(vec![factor("r", self.input)?, factor("s", self.output)?])
    }

    fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, LayerError> {
        draws.context().check_input(x, self.input)?;
        let product = (x * on_units(draws.value("r")?, x)).dot(draws.parameter("kernel")?);
        let output = product * on_units(draws.value("s")?, product) + draws.parameter("bias")?;
        Ok(self.activation.apply(output))
    }
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let path = arguments.data.clone().unwrap_or_else(|| common::data_file("digits.csv.gz"));
    let table = Table::read(&path, PIXELS + 1, false)?;
    let (pixels, labels) = table.split_last();
    let labels = table.labels(&labels, CLASSES as u32)?;
    let data = Dataset::classification([PIXELS], pixels.iter().map(|pixel| pixel / 16.0).collect(), labels)?;
    let (test, train) = data.partition(|row| row % 5 == 4)?;

    let layers = Sequential::new()
        .layer(RankOne { input: PIXELS, output: 64, activation: Activation::Relu })
        .layer(RankOne { input: 64, output: CLASSES, activation: Activation::None });
    let mut network = Network::new(layers, [PIXELS], likelihood::Categorical, arguments.seed)?;
    if !arguments.json {
        println!("{}\n\n{}", network.summary(), network.layer().trace([train.rows(), PIXELS].into())?);
    }

    let options = arguments.options();
    let (progress, update) = common::progress_bar();
    let report = Fit::new()
        .batch_size(64)
        .epochs(if arguments.quick { 10 } else { 100 })
        .learning_rate(3e-3)
        .divergence(Divergence::Exact)
        .backend(options.clone())
        .progress(update)
        .run(&mut network, &train)?;
    progress.finish_and_clear();

    let options = PredictorOptions::default().samples(SAMPLES).backend(options);
    let prediction = Predictor::with_options(&network, &options)?.classify(test.inputs())?;
    let accuracy = metrics::accuracy(prediction.probabilities(), CLASSES, test.labels())?;
    let nll = metrics::negative_log_likelihood(prediction.probabilities(), CLASSES, test.labels())?;
    if let Some(path) = &arguments.save {
        network.save(path)?;
    }
    if arguments.json {
        let (compile_ms, seconds) = (report.compile_time.as_secs_f64() * 1e3, report.train_time.as_secs_f64());
        println!("{}", json!({ "accuracy": accuracy, "nll": nll, "compile_ms": compile_ms, "train_seconds": seconds }));
        return Ok(());
    }
    println!("{}", bold(&format!("{} test images, {SAMPLES} posterior samples", test.rows())));
    println!("  accuracy                 {:.2} %", accuracy * 100.0);
    println!("  negative log likelihood  {nll:.4} nats");
    println!("  trained in               {:.2} s: {} steps", report.train_time.as_secs_f64(), report.steps);
    common::notes(&report);
    Ok(())
}
