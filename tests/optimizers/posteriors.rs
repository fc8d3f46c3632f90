//! Optimizers that draw, against posteriors that are known, and what they do with these.

use super::{SEED, kernel};
use bayeslift::layers::Group;
use bayeslift::prelude::*;
use std::sync::Arc;

const UNITS: usize = 64;
const ROWS: usize = 10;

/// As many regressions on a constant as there are units, on the same targets of known noise: `spread` is its standard
/// deviation.
fn constants(spread: f64) -> (Network, Vec<f32>, Targets, f64) {
    let layer = Affine::new(1, UNITS).use_bias(false).kernel_initializer(Initializer::Zeros);
    let network = Network::new(layer, [1], likelihood::Normal::fixed(spread), 0).unwrap();
    let values: Vec<f32> = (0..ROWS).map(|row| 0.7 + 0.1 * row as f32).collect();
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / ROWS as f64;
    let values = values.iter().flat_map(|&y| [y; UNITS]).collect();
    (network, vec![1.0; ROWS], Targets::Values { units: UNITS, values }, mean)
}

/// Draws of a normal posterior that is known: with targets of variance v and prior precision s its precision is N / v +
/// s, and its mean that of the targets times N / v over that. A step of rate r makes of it a process w' = (1 - r H) w +
/// noise with H = 1 / v + s / N, whose mean is the posterior's and whose variance is the posterior's over 1 - r H / 2.
///
/// Bounds are five standard errors of correlated draws: a right sampler with another seed fails once in a
/// million times.
#[test]
fn langevin_draws_have_the_laws_mean_and_variance() {
    const PRECISION: f64 = 5.0;
    for divergence_weight in [1.0, 0.25] {
        let (mut network, inputs, targets, mean) = constants(0.5);
        let temperature = divergence_weight / ROWS as f64;
        let curvature = 4.0 + temperature * PRECISION;
        let rate = 0.25 / curvature;
        let optimizer = Sgld::new(rate).prior_precision(PRECISION);
        let options = TrainerOptions::default().optimizer(optimizer).seed(SEED).backend(Options::default().threads(1));
        let mut trainer = Trainer::new(&network, ROWS, options).unwrap();
        let mut draws: Vec<f64> = Vec::new();
        for step in 0..1100 {
            let input = StepInput::new(&inputs, &targets).divergence_weight(divergence_weight);
            trainer.step(&mut network, input).unwrap();
            if step >= 100 {
                draws.extend(kernel(&network));
            }
        }
        let count = draws.len() as f64;
        let found_mean = draws.iter().sum::<f64>() / count;
        let want_mean = 4.0 * mean / curvature;
        let found_variance = draws.iter().map(|w| (w - want_mean) * (w - want_mean)).sum::<f64>() / count;
        let posterior_variance = temperature / curvature;
        let want_variance = posterior_variance / (1.0 - rate * curvature / 2.0);
        // an autoregressive process of correlation c has (1 + c) / (1 - c) times the variance of a mean; its squares
        // have c^2
        let c = 1.0 - rate * curvature;
        let error_of_mean = (want_variance / count * (1.0 + c) / (1.0 - c)).sqrt();
        let error_of_variance = want_variance * (2.0 / count * (1.0 + c * c) / (1.0 - c * c)).sqrt();
        assert!(
            (found_mean - want_mean).abs() <= 5.0 * error_of_mean,
            "seed {SEED}, weight {divergence_weight}: mean {found_mean}, expected {want_mean} +- {error_of_mean}"
        );
        assert!(
            (found_variance - want_variance).abs() <= 5.0 * error_of_variance,
            "seed {SEED}, weight {divergence_weight}: variance {found_variance}, expected {want_variance} +- {error_of_variance}"
        );
        // and the bounds are so close that half the noise, or twice the prior, is seen
        assert!(5.0 * error_of_variance < 0.2 * want_variance);
        assert!(5.0 * error_of_mean < want_mean - 4.0 * mean / (curvature + temperature * PRECISION));
    }
}

/// A quadratic loss is known to its last bit: IVON's mean is the posterior's, and its variance 1 / (N H / w + s),
/// wherever the Hessian starts.
///
/// The estimates of the Hessian H are H e^2 + (m - mean) H e / scale, of variance 2 H^2 and a little; their mean with a
/// memory of 1 / (1 - b2) has (1 - b2) / 2 of that, and its square over (h + d) adds (1 - b2) H / (1 + d / H) to h. The
/// mean m is an average of gradients whose noise has the deviation H scale. Bounds are five standard errors, and the
/// bias where it is told: once in a million.
#[test]
fn ivon_finds_the_posterior_of_a_quadratic_loss() {
    const PRECISION: f64 = 5.0;
    for (first_hessian, divergence_weight) in [(4.0, 1.0), (0.05, 1.0), (100.0, 1.0), (1.0, 0.25)] {
        let (mut network, inputs, targets, mean) = constants(0.5);
        let (rate, beta_2, steps) = (0.02, 0.998, 3000);
        let optimizer = Ivon::new(rate).prior_precision(PRECISION).first_hessian(first_hessian).beta_2(beta_2);
        let options = TrainerOptions::default().optimizer(optimizer).seed(SEED).backend(Options::default().threads(1));
        let mut trainer = Trainer::new(&network, ROWS, options).unwrap();
        for _ in 0..steps {
            let input = StepInput::new(&inputs, &targets).divergence_weight(divergence_weight);
            trainer.step(&mut network, input).unwrap();
        }
        let temperature = divergence_weight / ROWS as f64;
        let (hessian, prior) = (4.0, temperature * PRECISION);
        let (want_mean, want_variance) = (hessian * mean / (hessian + prior), temperature / (hessian + prior));
        let posterior = trainer.posterior(&network, divergence_weight).unwrap();
        let raw = posterior.get("kernel/raw_scale").unwrap().tensor.as_f32().unwrap().to_vec();
        let scales: Vec<f64> = raw.iter().map(|&raw| f64::from(raw).exp().ln_1p() + 1e-5).collect();
        let place = format!("seed {SEED}, first Hessian {first_hessian}, weight {divergence_weight}");

        let found = kernel(&network).iter().sum::<f64>() / UNITS as f64;
        let error = (rate / 2.0 * want_variance / UNITS as f64).sqrt();
        assert!((found - want_mean).abs() <= 5.0 * error, "{place}: mean {found}, expected {want_mean} +- {error}");
        assert_eq!(
            posterior.get("kernel/loc").unwrap().tensor,
            network.parameters().get("kernel").unwrap().tensor,
            "{place}"
        );

        let precisions = scales.iter().map(|scale| 1.0 / (scale * scale)).sum::<f64>() / UNITS as f64;
        let want = 1.0 / want_variance;
        let error = want * ((1.0 - beta_2) / UNITS as f64).sqrt();
        let bias = want * (1.0 - beta_2) * 1.5;
        assert!(
            (precisions - want).abs() <= 5.0 * error + bias,
            "{place}: precision {precisions}, expected {want} +- {error}, less than {bias} above"
        );
        assert!(5.0 * error + bias < 0.05 * want);
    }
}

/// The posterior goes to a network of variational layers, which predicts with it.
#[test]
fn a_posterior_predicts() {
    let (mut network, inputs, targets, _) = constants(0.5);
    let options = TrainerOptions::default().optimizer(Ivon::default().beta_2(0.99)).seed(SEED);
    let mut trainer = Trainer::new(&network, ROWS, options).unwrap();
    for _ in 0..200 {
        trainer.step(&mut network, StepInput::new(&inputs, &targets)).unwrap();
    }
    let layer = AffineVariationalReparameterization::new(1, UNITS).use_bias(false);
    let mut bayesian = Network::new(layer, [1], likelihood::Normal::fixed(0.5), 0).unwrap();
    let posterior = trainer.posterior(&network, 1.0).unwrap();
    assert_eq!(posterior.paths().collect::<Vec<_>>(), bayesian.parameters().paths().collect::<Vec<_>>());
    for (path, parameter) in posterior.iter() {
        assert_eq!(parameter.group, bayesian.parameters().get(path).unwrap().group);
        bayesian.parameters_mut().assign(path, parameter.tensor.clone()).unwrap();
    }
    let predictor = Predictor::with_options(&bayesian, &PredictorOptions::default().samples(400)).unwrap();
    let prediction = predictor.regress(&[1.0]).unwrap();
    let raw = posterior.get("kernel/raw_scale").unwrap().tensor.as_f32().unwrap().to_vec();
    // the deviation of 400 draws has a standard error of 3.5 %; five of them
    for (found, raw) in prediction.epistemic().iter().zip(raw) {
        let want = f64::from(raw).exp().ln_1p() + 1e-5;
        assert!((f64::from(*found) / want - 1.0).abs() < 0.18, "{found}, expected {want}");
    }
}

/// A first Hessian that is hundreds of times too small, that of targets with little noise, does not throw the mean
/// away.
#[test]
fn ivon_recovers_from_a_first_hessian_that_is_too_small() {
    for spread in [0.1, 0.03, 0.01] {
        let (mut network, inputs, targets, mean) = constants(spread);
        let options = TrainerOptions::default().optimizer(Ivon::default().beta_2(0.99)).seed(SEED);
        let mut trainer = Trainer::new(&network, ROWS, options).unwrap();
        for step in 0..2000 {
            let rate = 1.0 - f64::from(step) / 2000.0;
            trainer.step(&mut network, StepInput::new(&inputs, &targets).rate(rate)).unwrap();
        }
        let scale = spread / (ROWS as f64).sqrt();
        for weight in kernel(&network) {
            assert!((weight - mean).abs() < scale, "noise {spread}: {weight}, not {mean} +- {scale}");
        }
    }
}

/// After a fit the posterior is around the parameters that validation chose.
#[test]
fn a_fit_tells_the_posterior() {
    let fit = |optimizer: Arc<dyn Optimizer>| {
        let mut network = Network::new(Affine::new(1, 1), [1], likelihood::Normal::learned(1.0), 0).unwrap();
        let inputs: Vec<f32> = (0..60).map(|i| i as f32 / 60.0).collect();
        let targets = inputs.iter().enumerate().map(|(i, x)| 2.0 * x + 0.1 * (i as f32 * 12.9898).sin()).collect();
        let data = Dataset::regression([1], inputs, 1, targets).unwrap();
        let fit = Fit::new().epochs(8).batch_size(16).optimizer(optimizer).validation_split(0.25);
        let report = fit.warm_up(WarmUp::Steps(3)).run(&mut network, &data).unwrap();
        (network, report)
    };
    let (network, report) = fit(Arc::new(Ivon::default()));
    let posterior = report.posterior.unwrap();
    let variational = AffineVariationalReparameterization::new(1, 1);
    let bayesian = Network::new(variational, [1], likelihood::Normal::learned(1.0), 0).unwrap();
    assert_eq!(posterior.paths().collect::<Vec<_>>(), bayesian.parameters().paths().collect::<Vec<_>>());
    for name in ["kernel", "bias"] {
        let loc = &posterior.get(&format!("{name}/loc")).unwrap().tensor;
        assert_eq!(*loc, network.parameters().get(name).unwrap().tensor);
    }
    assert!(fit(Arc::new(Adam::default())).1.posterior.is_none());
}

/// What a likelihood learns, IVON does not draw: Adam moves it.
#[test]
fn ivon_leaves_likelihoods_to_adam() {
    let layer = || Affine::new(1, 1).kernel_initializer(Initializer::Zeros);
    let train = |optimizer: Arc<dyn Optimizer>| {
        let mut network = Network::new(layer(), [1], likelihood::Normal::learned(1.0), 0).unwrap();
        // what is drawn is frozen, so that both see the same gradients
        network.parameters_mut().set_trainable(false, |_, group| group == Group::Weight);
        let mut trainer = Trainer::new(&network, 10, TrainerOptions::default().optimizer(optimizer)).unwrap();
        let targets = Targets::Values { units: 1, values: vec![0.5] };
        for _ in 0..5 {
            trainer.step(&mut network, StepInput::new(&[1.0], &targets)).unwrap();
        }
        network
    };
    let [ivon, adam] = [Arc::new(Ivon::default()) as Arc<dyn Optimizer>, Arc::new(Adam::new(1e-2))].map(train);
    assert_eq!(ivon.parameters(), adam.parameters());
}
