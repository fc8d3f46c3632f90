//! Runs of every kind, small ones.

use crate::facade::small_data;
use bayeslift::prelude::*;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The runs of these tests.
pub const KINDS: usize = 5;

pub fn network(kind: usize) -> Network {
    let local = AffineVariationalReparameterizationLocal::new;
    let layers = match kind {
        // a batch of a single row is joined to the one before it, and moving averages are parameters that steps write
        2 => Sequential::new().layer(BatchNormalization::new(3)).layer(local(3, 2)),
        _ => Sequential::new().layer(local(3, 3).activation(Activation::Tanh)).layer(local(3, 2)),
    };
    let mut network = Network::new(layers, [3], likelihood::Categorical, 4).unwrap();
    if kind == 3 {
        network.parameters_mut().set_trainable(false, |path, _| path.ends_with("1/bias/loc"));
    }
    network
}

pub fn data(kind: usize) -> Dataset {
    match kind {
        2 => small_data(37),
        4 => {
            let data = small_data(30);
            let present = (0..30).map(|row| row % 7 != 3).collect();
            data.with_present(present)
                .unwrap()
                .with_weights((0..30).map(|row| 0.5 + row as f32 / 20.0).collect())
                .unwrap()
        }
        _ => small_data(50),
    }
}

pub fn fit<'a>(kind: usize) -> Fit<'a> {
    let fit = Fit::new().batch_size(9).learning_rate(0.05).backend(Backend::Reference);
    match kind {
        // early stopping ends it, long before its last epoch
        0 => fit.epochs(40).warm_up(WarmUp::Steps(12)).validation_split(0.3).early_stopping(2).validation_samples(3),
        1 => fit.epochs(5).optimizer(Sgd::new(0.05)).schedule(Schedule::Cosine { to: 0.1 }).shuffle(false).samples(2),
        2 => fit.epochs(5).validation(small_data(11)).validation_samples(2).warm_up(WarmUp::Fraction(0.3)).seed(8),
        3 => fit.epochs(5).optimizer(RmsProp::new(0.01)).schedule(Schedule::custom(|done| 1.0 - 0.5 * done)),
        _ => fit.epochs(4).divergence_weight(0.3).warm_up(WarmUp::Fraction(0.9)).validation_split(0.2),
    }
}

/// A checkpoint in the middle of the run of kind 0.
pub fn checkpoint(folder: &Path) -> PathBuf {
    let path = folder.join("checkpoint");
    let stop = |progress: &Progress| match progress.step {
        23 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let report = fit(0).checkpoint(&path, 1000).progress(stop).run(&mut network(0), &data(0)).unwrap();
    assert!(report.stopped && report.best_epoch.is_some(), "the test is void: {report}");
    path
}
