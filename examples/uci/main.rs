//! The regression benchmark of Hernandez-Lobato and Adams (2015): twenty splits of small tables, one recipe for all of
//! them, beside what was published.
//!
//!     cargo run --release --example uci -- FOLDER [--json]
//!     cargo run --release --example uci -- FOLDER --rows 50 --method local --method few --method dropout:dropout=0.2
//!
//! FOLDER has a folder for each set, as Gal and Ghahramani distribute them: `data.txt`, `index_features.txt`,
//! `index_target.txt`, and `test_rows.txt`, a line for each split. A network has 50 hidden units. It is trained on a
//! split's training part alone, whose mean and deviation inputs and targets are scaled by; scores are those of the test
//! part, in the data's units, as means over splits with their standard errors.
//!
//! Several methods are compared split by split. A method is `local` (by `Recipe::tables`), `few` (by that recipe),
//! `last-layer`, `dropout` or `deterministic`, with other settings behind it: `local:weight=0.5:warm-up=0.2`.

#[allow(dead_code)] // Each example uses a part of it.
#[path = "../common/mod.rs"]
mod common;
mod method;
mod set;

use clap::Parser;
use common::bold;
use indicatif::{ProgressBar, ProgressStyle};
use method::{Method, Score};
use serde_json::json;
use set::{Parts, Set};
use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The sets, the most splits of each by default, and what was published: RMSE and log likelihood with their standard
/// errors by probabilistic backpropagation (Hernandez-Lobato and Adams 2015), and without by MC dropout (Gal and
/// Ghahramani 2016).
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
    /// Print one line of JSON a set, of several methods one for each of them
    #[arg(long)]
    json: bool,
    /// Which sets, of those that are there; by default all but the largest
    #[arg(long, value_delimiter = ',', default_values = ["bostonHousing", "concrete", "energy", "kin8nm", "yacht"])]
    sets: Vec<String>,
    /// How many splits of each set; by default 20, of the large ones 5
    #[arg(long)]
    splits: Option<usize>,
    /// Score on a tenth of each training part instead of the test part: to choose settings by
    #[arg(long)]
    choose: bool,
    /// Train on N rows of each training part; with --choose, score on all others of it
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// What is trained: `local`, `few`, `last-layer`, `dropout` or `deterministic`, with settings: `local:weight=0.5`.
    /// Of several the others are compared with the first
    #[arg(long = "method", value_name = "METHOD", default_values = ["local"])]
    methods: Vec<Method>,
    /// How many splits are computed at once; by default one on each core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    common::finish(run(&Arguments::parse()).map_err(|error| error as Box<dyn Error>))
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut sets = Vec::new();
    for (name, splits, ..) in SETS.into_iter().filter(|(name, ..)| arguments.sets.iter().any(|set| set == name)) {
        sets.push(Set::read(&arguments.folder, name, arguments.splits.unwrap_or(splits))?);
    }
    let parts = Parts { choose: arguments.choose, rows: arguments.rows };
    let scores = scores(&sets, parts, arguments)?;
    if arguments.methods.len() > 1 {
        compare(&sets, &scores, arguments);
    } else {
        tell(&sets, &scores, arguments.json);
    }
    Ok(())
}

/// The scores of each set, by method and split.
fn scores(sets: &[Set], parts: Parts, arguments: &Arguments) -> Result<Vec<Vec<Vec<Score>>>> {
    // the largest first, so that threads end together
    let of_set = |i: usize| {
        (0..sets[i].splits.len())
            .flat_map(move |split| (0..arguments.methods.len()).map(move |method| (i, method, split)))
    };
    let mut jobs: Vec<(usize, usize, usize)> = (0..sets.len()).flat_map(of_set).collect();
    jobs.sort_by_key(|&(set, method, split)| (std::cmp::Reverse(sets[set].rows()), set, split, method));
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40.cyan/blue} {pos} of {len} networks  {elapsed}")?);
    let empty = |set: &Set| vec![vec![Score::default(); set.splits.len()]; arguments.methods.len()];
    let (next, scores) = (AtomicUsize::new(0), Mutex::new(sets.iter().map(empty).collect::<Vec<_>>()));
    let work = || -> Result<()> {
        while let Some(&(set, method, split)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let score = arguments.methods[method].score(&sets[set], split, parts)?;
            scores.lock().expect("no thread panics")[set][method][split] = score;
            bar.inc(1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let count = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let threads: Vec<_> = (0..count.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    bar.finish_and_clear();
    Ok(scores.into_inner().expect("no thread panics"))
}

/// One method beside what was published.
fn tell(sets: &[Set], scores: &[Vec<Vec<Score>>], is_json: bool) {
    if !is_json {
        let scores = "             RMSE              PBP dropout    log likelihood             PBP dropout";
        println!("{}", bold(&format!("set            splits {scores}   in 90 %  seconds")));
    }
    for (set, scores) in sets.iter().zip(scores) {
        let of = |value: fn(&Score) -> f64| mean_and_error(scores[0].iter().map(value));
        let [(rmse, rmse_se), (log_likelihood, log_likelihood_se)] = [of(|s| s.rmse), of(|s| s.log_likelihood)];
        let (coverage90, _) = of(|score| score.coverage);
        let seconds: f64 = scores[0].iter().map(|score| score.seconds).sum();
        if is_json {
            let line = json!({
                "data": set.name, "splits": scores[0].len(), "rmse": rmse, "rmse_se": rmse_se, "log_likelihood": log_likelihood,
                "log_likelihood_se": log_likelihood_se, "coverage90": coverage90, "seconds": seconds,
            });
            println!("{line}");
            continue;
        }
        let known = SETS.iter().find(|(name, ..)| *name == set.name);
        let (_, _, [pbp_rmse, pbp_rmse_se, pbp, pbp_se], [dropout_rmse, dropout]) = known.expect("only these are read");
        print!("{:<14} {:>6} {rmse:>9.4} ± {rmse_se:<6.4}", set.name, scores[0].len());
        print!(" {pbp_rmse:>6.3} ± {pbp_rmse_se:<6.4} {dropout_rmse:>7.2}");
        print!(" {log_likelihood:>9.3} ± {log_likelihood_se:<5.3} {pbp:>7.3} ± {pbp_se:<5.3} {dropout:>7.2}");
        println!(" {:>8.1} {seconds:>8.1}", coverage90 * 100.0);
    }
}

/// Several methods: how much higher their log likelihood and RMSE are than those of the first, on the same splits;
/// last, on all sets together.
fn compare(sets: &[Set], scores: &[Vec<Vec<Score>>], arguments: &Arguments) {
    if !arguments.json {
        let scores = "     RMSE   log likelihood     higher than the first's   in 90 %";
        println!("{}", bold(&format!("{:<15} {:<32} {scores}", "set", "method")));
    }
    let mut sums = vec![(0.0, 0.0_f64); arguments.methods.len()];
    for (set, scores) in sets.iter().zip(scores) {
        for ((method, of_method), sum) in arguments.methods.iter().zip(scores).zip(&mut sums) {
            let of = |value: fn(&Score) -> f64| mean_and_error(of_method.iter().map(value));
            let ((rmse, rmse_se), (likelihood, likelihood_se)) = (of(|s| s.rmse), of(|s| s.log_likelihood));
            let (coverage, _) = of(|s| s.coverage);
            let gains = of_method.iter().zip(&scores[0]).map(|(a, first)| a.log_likelihood - first.log_likelihood);
            let (gain, gain_se) = mean_and_error(gains);
            *sum = (sum.0 + gain, sum.1.hypot(gain_se));
            if arguments.json {
                let line = json!({
                    "data": set.name, "method": method.name, "splits": of_method.len(), "rmse": rmse, "rmse_se": rmse_se,
                    "log_likelihood": likelihood, "log_likelihood_se": likelihood_se, "coverage90": coverage, "gain": gain,
                    "gain_se": gain_se,
                });
                println!("{line}");
            } else {
                print!("{:<15} {:<32} {rmse:>8.3} {likelihood:>8.3} ± {likelihood_se:<5.3}", set.name, method.name);
                println!("       {gain:>+8.3} ± {gain_se:<5.3} {:>12.1}", coverage * 100.0);
            }
        }
    }
    for (method, (gain, gain_se)) in arguments.methods.iter().zip(sums) {
        if arguments.json {
            println!("{}", json!({ "method": method.name, "sets": sets.len(), "gain": gain, "gain_se": gain_se }));
        } else {
            println!("{:<15} {:<32} {:>40} {gain:>+8.3} ± {gain_se:<5.3}", "sum over sets", method.name, "");
        }
    }
}

/// The mean of some numbers, and its standard error.
fn mean_and_error(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
