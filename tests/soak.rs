//! Many small networks, one after the other and on many threads at once: what they took they give back. The only test
//! of its process, since it looks at the memory of all of it.
//!
//! `BAYESLIFT_CASES=10000 cargo test --release --test soak` makes that many.
#![cfg(target_os = "linux")]

use bayeslift::{prelude::*, runtime::Options};
use std::thread;

/// How much more memory the process may have in the end than in the middle. Allocators keep what they had for a while,
/// for each thread; of what each network has, its graphs, plans, code and workspaces, a tenth that stayed would be
/// more.
const GROWTH: usize = 8 << 20;

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn cases() -> usize {
    bayeslift_ir::arbitrary::cases(300) as usize
}

/// Compiles, trains a little, predicts and drops a network; a few shapes come in turns.
fn live(number: usize) {
    let (units, rows) = (4 + number % 3, 8 + number % 2);
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(2, units).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(units, 2));
    let mut network = Network::new(layers, [2], likelihood::Categorical, number as u64).unwrap();
    let inputs: Vec<f32> = (0..2 * rows).map(|i| (i as f32 * 0.9).sin()).collect();
    let data = Dataset::classification([2], inputs, (0..rows as u32).map(|i| i % 2).collect()).unwrap();
    let options = Options::default().threads(2);
    let report = Fit::new().epochs(2).batch_size(rows).backend(options.clone()).run(&mut network, &data).unwrap();
    assert_eq!(report.steps, 2);
    let options = PredictorOptions::default().samples(4).backend(options);
    let predictor = Predictor::with_options(&network, &options).unwrap();
    let want = predictor.classify(data.inputs()).unwrap();
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| assert_eq!(predictor.classify(data.inputs()).unwrap(), want))));
    });
}

#[test]
fn memory_stays_flat() {
    let cases = cases().max(2);
    let of_threads = |numbers: std::ops::Range<usize>| {
        thread::scope(|scope| {
            for first in 0..4 {
                let numbers = numbers.clone();
                scope.spawn(move || numbers.skip(first).step_by(4).for_each(live));
            }
        });
    };
    let (quarter, half) = (cases / 4, cases / 2);
    (0..quarter).for_each(live);
    of_threads(quarter..half);
    let middle = resident();
    (half..half + quarter).for_each(live);
    of_threads(half + quarter..cases);
    let end = resident();
    assert!(end < middle + GROWTH, "{middle} bytes after {half} networks became {end} after {cases}");
}
