//! The example of TensorFlow Probability's layers: a convolution and a dense layer, both Bayesian, on MNIST or
//! Fashion-MNIST.
//!
//!     cargo run --release --example mnist_bnn -- FOLDER [--likelihood categorical] [--layer flipout] [--epochs 5]
//!
//! The folder holds the four IDX files, packed or not. It reports accuracy, negative log likelihood and calibration,
//! and draws the images that the network is most and least sure of, and a reliability diagram.

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
mod idx;
mod pictures;

use bayeslift::prelude::*;
use clap::{Parser, ValueEnum};
use common::{Arguments, bold};
use pictures::Tile;
use serde_json::json;
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

const SIDE: usize = 28;
const CLASSES: usize = 10;
/// How much of a label's probability all classes share, so that it is a point inside the simplex.
const SMOOTHING: f32 = 0.05;
/// Images in a row of the sheet.
const ROW: usize = 12;
const HELP: &str = "Fashion-MNIST is Debian's package dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist, or \
                    https://github.com/zalandoresearch/fashion-mnist";

#[derive(Parser)]
#[command(about = "A Bayesian convolutional network on MNIST or Fashion-MNIST", after_help = HELP)]
struct Options {
    /// The folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    /// t10k-labels-idx1-ubyte
    folder: PathBuf,
    /// The law of a label given the network's output
    #[arg(long, value_enum, default_value = "simplex")]
    likelihood: LikelihoodKind,
    /// The estimator of the dense layer
    #[arg(long, value_enum, default_value = "local")]
    layer: LayerKind,
    /// Passes over the training images
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Posterior samples of a prediction
    #[arg(long, default_value_t = 32)]
    samples: usize,
    /// The folder that pictures are written to; it is made if there is none
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pictures: PathBuf,
    #[command(flatten)]
    common: Arguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum LikelihoodKind {
    /// Labels as points on the simplex, softmax of a normal with 9 outputs: the likelihood of TFP's example
    Simplex,
    /// Labels with the probabilities softmax of 10 outputs
    Categorical,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayerKind {
    Reparameterization,
    Local,
    Flipout,
}

fn main() -> ExitCode {
    common::finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let [train, test] = ["train", "t10k"].map(|part| images(&options.folder, part));
    let (train, test) = (train?, test?);
    let mut network = network(options)?;
    let folder = &options.pictures;
    std::fs::create_dir_all(folder).map_err(|error| format!("could not make `{}`: {error}", folder.display()))?;
    let quiet = options.common.json;
    if !quiet {
        println!("{}\n", network.summary());
    }
    let train = match options.likelihood {
        LikelihoodKind::Simplex => train.smoothed(CLASSES, SMOOTHING)?,
        LikelihoodKind::Categorical => train,
    };
    let (progress, update) = common::progress_bar();
    let report = Fit::new()
        .batch_size(128)
        .epochs(options.epochs)
        .learning_rate(1e-3)
        .backend(options.common.options())
        .progress(update)
        .run(&mut network, &train)?;
    progress.finish_and_clear();
    if let Some(path) = &options.common.save {
        network.save(path)?;
    }

    let predictor = PredictorOptions::default().samples(options.samples).backend(options.common.options());
    let prediction = Predictor::with_options(&network, &predictor)?.classify(test.inputs())?;
    let (probabilities, labels) = (prediction.probabilities(), test.labels());
    let accuracy = metrics::accuracy(probabilities, CLASSES, labels)?;
    let nll = metrics::negative_log_likelihood(probabilities, CLASSES, labels)?;
    let calibration = metrics::calibration(probabilities, CLASSES, labels, metrics::CALIBRATION_BINS)?;
    let (sheet, diagram) = (folder.join("mnist_bnn.png"), folder.join("mnist_bnn_reliability.svg"));
    draw(&sheet, &prediction, &test)?;
    pictures::reliability(&diagram, &calibration)?;
    let seconds = report.train_time.as_secs_f64();
    if quiet {
        let line = json!({
            "accuracy": accuracy,
            "nll": nll,
            "ece": calibration.expected_error,
            "compile_ms": report.compile_time.as_secs_f64() * 1e3,
            "train_seconds": seconds,
            "steps_per_second": report.steps_per_second(),
        });
        println!("{line}");
        return Ok(());
    }
    println!("{}", bold(&format!("{} test images, {} posterior samples", test.rows(), options.samples)));
    println!("  accuracy                 {:.2} %", accuracy * 100.0);
    println!("  negative log likelihood  {nll:.4} nats");
    println!("  calibration error        {:.4}", calibration.expected_error);
    println!("  step compiled in         {:.1} ms", report.compile_time.as_secs_f64() * 1e3);
    println!("  trained in               {seconds:.2} s: {} steps", report.steps);
    common::notes(&report);
    println!("\nMost sure of, then least sure of: {}", sheet.display());
    println!("Reliability diagram: {}", diagram.display());
    Ok(())
}

fn network(options: &Options) -> Result<Network, Box<dyn Error>> {
    let (likelihood, outputs): (Arc<dyn Likelihood>, usize) = match options.likelihood {
        LikelihoodKind::Simplex => (Arc::new(likelihood::SoftmaxCenteredNormal::fixed(1.0)), CLASSES - 1),
        LikelihoodKind::Categorical => (Arc::new(likelihood::Categorical), CLASSES),
    };
    let filters = 32;
    let features = SIDE.div_ceil(2).pow(2) * filters;
    let layers = Sequential::new()
        .layer(
            ConvolutionVariationalReparameterization::new(1, filters, 7)
                .strides(2)
                .padding(Padding::Same)
                .kernel_initializer(Initializer::HeUniform)
                .activation(Activation::LeakyRelu),
        )
        .layer(flatten_rightmost(3));
    let layers = match options.layer {
        LayerKind::Reparameterization => layers.layer(AffineVariationalReparameterization::new(features, outputs)),
        LayerKind::Local => layers.layer(AffineVariationalReparameterizationLocal::new(features, outputs)),
        LayerKind::Flipout => layers.layer(AffineVariationalFlipout::new(features, outputs)),
    };
    Ok(Network::new(layers, [SIDE, SIDE, 1], likelihood, options.common.seed)?)
}

/// The images of one part, from 0 to 1, with their labels.
fn images(folder: &Path, part: &str) -> Result<Dataset, Box<dyn Error>> {
    let file = |kind: &str| -> Result<PathBuf, String> {
        let plain = folder.join(format!("{part}-{kind}-ubyte"));
        let packed = folder.join(format!("{part}-{kind}-ubyte.gz"));
        let found = [plain, packed.clone()].into_iter().find(|path| path.exists());
        found.ok_or_else(|| format!("there is no `{}`.\n{HELP}", packed.display()))
    };
    let images = idx::read(&file("images-idx3")?, 3)?;
    let labels = idx::read(&file("labels-idx1")?, 1)?;
    if images.extents[1..] != [SIDE, SIDE] || images.extents[0] != labels.extents[0] {
        let (images, labels) = (images.extents, labels.extents);
        return Err(
            format!("{part}: images {images:?} with labels {labels:?}, expected [n, {SIDE}, {SIDE}], [n]").into()
        );
    }
    let inputs = images.bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let labels: Vec<u32> = labels.bytes.iter().map(|&byte| u32::from(byte)).collect();
    if let Some(label) = labels.iter().find(|&&label| label as usize >= CLASSES) {
        return Err(format!("{part}: there is a label {label}, expected labels below {CLASSES}").into());
    }
    Ok(Dataset::classification([SIDE, SIDE, 1], inputs, labels)?)
}

/// Draws the images that the network is most sure of, and those that it is least sure of, in two rows each.
fn draw(path: &Path, prediction: &Classification, test: &Dataset) -> Result<(), Box<dyn Error>> {
    let (entropy, guesses) = (prediction.predictive_entropy(), prediction.labels());
    let mut order: Vec<usize> = (0..test.rows()).collect();
    order.sort_by(|&a, &b| entropy[a].total_cmp(&entropy[b]));
    let tile = |&row: &usize| Tile { pixels: test.input(row), is_right: guesses[row] == Some(test.labels()[row]) };
    let count = (2 * ROW).min(test.rows());
    let chosen = [&order[..count], &order[order.len() - count..]];
    let rows = chosen.iter().flat_map(|rows| rows.chunks(ROW)).map(|row| row.iter().map(tile).collect());
    pictures::sheet(path, SIDE, &rows.collect::<Vec<_>>())
}
