//! The regression benchmark of Hernandez-Lobato and Adams (2015): twenty splits of small tables, one recipe for all of them, beside what was
//! published.
//!
//!     cargo run --release --example uci -- FOLDER [--json]
//!
//! FOLDER has a folder for each set, as Gal and Ghahramani distribute them: `data.txt`, `index_features.txt`, `index_target.txt`, and
//! `test_rows.txt`, a line for each split. A network has 50 hidden units. It is trained on a split's training part alone, whose
//! mean and deviation inputs and targets are scaled by; scores are those of the test part, in the data's units, as means over splits with their standard
//! errors.

#[allow(dead_code)] // Each example uses a part of it.
mod common;

use bayeslift::{prelude::*, runtime::Options};
use clap::Parser;
use common::bold;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The sets, the most splits of each unless told, and what was published: RMSE and log likelihood with their standard errors by probabilistic
/// backpropagation (Hernandez-Lobato and Adams 2015), and without by MC dropout (Gal and Ghahramani 2016).
const SETS: [(&str, usize, [f64; 4], [f64; 2]); 6] = [
    ("bostonHousing", 20, [3.01, 0.18, -2.57, 0.09], [2.97, -2.46]),
    ("concrete", 20, [5.67, 0.09, -3.16, 0.02], [5.23, -3.04]),
    ("energy", 20, [1.80, 0.05, -2.04, 0.02], [1.66, -1.99]),
    ("kin8nm", 5, [0.098, 0.0007, 0.896, 0.006], [0.10, 0.95]),
    ("power-plant", 5, [4.12, 0.03, -2.84, 0.01], [4.02, -2.80]),
    ("yacht", 20, [1.02, 0.05, -1.63, 0.02], [1.11, -1.55]),
];
const HIDDEN: usize = 50;
const SAMPLES: usize = 256;

/// Scores of small tables beside published ones
#[derive(clap::Parser)]
struct Arguments {
    /// The folder of the sets
    folder: PathBuf,
    /// Print one line of JSON a set
    #[arg(long)]
    json: bool,
    /// Which sets, of those that are there; all but the largest unless told
    #[arg(long, value_delimiter = ',', default_values = ["bostonHousing", "concrete", "energy", "kin8nm", "yacht"])]
    sets: Vec<String>,
    /// How many splits of each set; 20, of the large ones 5, unless told
    #[arg(long)]
    splits: Option<usize>,
    /// Score on a tenth of each training part instead of the test part: to choose settings by
    #[arg(long)]
    choose: bool,
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()).map_err(|error| error as Box<dyn Error>))
}

/// A set, read.
struct Set {
    name: String,
    features: usize,
    inputs: Vec<f32>,
    targets: Vec<f32>,
    /// The test rows of each split.
    splits: Vec<Vec<usize>>,
}

impl Set {
    fn read(folder: &Path, name: &str, splits: usize) -> Result<Set> {
        let read = |file: &str| {
            let path = folder.join(name).join(file);
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let numbers = |text: &str| {
            let numbers =
                text.split_whitespace().map(|word| word.parse::<f64>().map_err(|e| format!("{name}: `{word}`: {e}")));
            numbers.collect::<std::result::Result<Vec<f64>, String>>()
        };
        let indices = |text: &str| Ok::<Vec<usize>, String>(numbers(text)?.into_iter().map(|x| x as usize).collect());
        let features = indices(&read("index_features.txt")?)?;
        let target = indices(&read("index_target.txt")?)?;
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for line in read("data.txt")?.lines().filter(|line| !line.trim().is_empty()) {
            let row = numbers(line)?;
            let of = |column: usize| row.get(column).map(|x| *x as f32).ok_or(format!("{name}: no column {column}"));
            for &column in &features {
                inputs.push(of(column)?);
            }
            targets.push(of(target.first().copied().unwrap_or_default())?);
        }
        let splits = read("test_rows.txt")?.lines().take(splits).map(indices).collect::<std::result::Result<_, _>>()?;
        Ok(Set { name: name.to_owned(), features: features.len(), inputs, targets, splits })
    }

    /// The training and test parts of a split.
    fn parts(&self, split: usize, choose: bool) -> Result<[Dataset; 2]> {
        let data = Dataset::regression([self.features], self.inputs.clone(), 1, self.targets.clone())?;
        let mut is_test = vec![false; self.targets.len()];
        for &row in &self.splits[split] {
            *is_test.get_mut(row).ok_or(format!("{}: no row {row}", self.name))? = true;
        }
        let (test, train) = data.partition(|row| is_test[row])?;
        if !choose {
            return Ok([train, test]);
        }
        let (validation, rest) = train.split(0.1, split as u64)?;
        Ok([rest, validation])
    }
}

/// What a split gave.
#[derive(Clone, Copy, Default)]
struct Score {
    rmse: f64,
    log_likelihood: f64,
    coverage: f64,
    seconds: f64,
}

fn score(set: &Set, split: usize, choose: bool) -> Result<Score> {
    let start = Instant::now();
    let [train, test] = set.parts(split, choose)?;
    let standardizer = Standardizer::of(&train);
    let (train, standard_test) = (standardizer.apply(&train)?, standardizer.apply(&test)?);
    let recipe = Recipe::tables();
    let layer = |inputs, outputs| AffineVariationalReparameterizationLocal::new(inputs, outputs).recipe(&recipe);
    let layers =
        Sequential::new().layer(layer(set.features, HIDDEN).activation(Activation::Relu)).layer(layer(HIDDEN, 1));
    let mut network = Network::new(layers, [set.features], likelihood::Normal::learned(1.0), split as u64)?;
    // splits are computed beside each other
    let backend = Options::default().threads(1);
    Fit::by(&recipe, train.rows()).backend(backend.clone()).run(&mut network, &train)?;
    let options = PredictorOptions::default().samples(SAMPLES).backend(backend);
    let predictor = Predictor::with_options(&network, &options)?;
    let prediction = standardizer.restore(&predictor.regress(standard_test.inputs())?)?;
    let rmse = metrics::root_mean_square_error(prediction.mean(), test.values())?;
    let log_likelihood = -predictor.negative_log_likelihood(&standard_test)? - standardizer.log_scale();
    let (low, high) = predictor.predict(standard_test.inputs())?.interval(0.9)?;
    let coverage = metrics::coverage(&low, &high, standard_test.values())?;
    Ok(Score { rmse, log_likelihood, coverage, seconds: start.elapsed().as_secs_f64() })
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut sets = Vec::new();
    for (name, splits, ..) in SETS.into_iter().filter(|(name, ..)| arguments.sets.iter().any(|set| set == name)) {
        sets.push(Set::read(&arguments.folder, name, arguments.splits.unwrap_or(splits))?);
    }
    // the largest first, so that threads end together
    let mut jobs: Vec<(usize, usize)> =
        sets.iter().enumerate().flat_map(|(i, set)| (0..set.splits.len()).map(move |split| (i, split))).collect();
    jobs.sort_by_key(|&(set, split)| (std::cmp::Reverse(sets[set].targets.len()), set, split));
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40.cyan/blue} {pos} of {len} splits  {elapsed}")?);
    let (next, scores) = (AtomicUsize::new(0), Mutex::new(vec![Vec::new(); sets.len()]));
    let work = || -> Result<()> {
        while let Some(&(set, split)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let score = score(&sets[set], split, arguments.choose)?;
            scores.lock().expect("no thread panics").get_mut(set).into_iter().for_each(|of| of.push((split, score)));
            bar.inc(1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    bar.finish_and_clear();
    if !arguments.json {
        let scores = "             RMSE              PBP dropout    log likelihood             PBP dropout";
        println!("{}", bold(&format!("set            splits {scores}   in 90 %  seconds")));
    }
    for (set, mut scores) in sets.iter().zip(scores.into_inner().expect("no thread panics")) {
        scores.sort_by_key(|(split, _)| *split);
        let of = |value: fn(&Score) -> f64| mean_and_error(scores.iter().map(|(_, score)| value(score)));
        let [(rmse, rmse_se), (log_likelihood, log_likelihood_se)] = [of(|s| s.rmse), of(|s| s.log_likelihood)];
        let (coverage90, _) = of(|score| score.coverage);
        let seconds: f64 = scores.iter().map(|(_, score)| score.seconds).sum();
        if arguments.json {
            let line = json!({
                "data": set.name, "splits": scores.len(), "rmse": rmse, "rmse_se": rmse_se, "log_likelihood": log_likelihood,
                "log_likelihood_se": log_likelihood_se, "coverage90": coverage90, "seconds": seconds,
            });
            println!("{line}");
            continue;
        }
        let known = SETS.iter().find(|(name, ..)| *name == set.name);
        let (_, _, [pbp_rmse, pbp_rmse_se, pbp, pbp_se], [dropout_rmse, dropout]) = known.expect("only these are read");
        print!("{:<14} {:>6} {rmse:>9.4} ± {rmse_se:<6.4}", set.name, scores.len());
        print!(" {pbp_rmse:>6.3} ± {pbp_rmse_se:<6.4} {dropout_rmse:>7.2}");
        print!(" {log_likelihood:>9.3} ± {log_likelihood_se:<5.3} {pbp:>7.3} ± {pbp_se:<5.3} {dropout:>7.2}");
        println!(" {:>8.1} {seconds:>8.1}", coverage90 * 100.0);
    }
    Ok(())
}

/// The mean of some numbers, and its standard error.
fn mean_and_error(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
