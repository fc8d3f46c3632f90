//! Optimizers as networks are trained by them: against their formulas in f64, and those that draw against posteriors that are known.

use bayeslift::ir::{Distribution, noise};
use bayeslift::layers::Group;
use bayeslift::prelude::*;
use std::sync::Arc;

const SEED: u64 = 3;

fn backends() -> [Backend; 4] {
    let compiled = |width, threads| Backend::from(Options::default().lanes(width).threads(threads));
    [compiled(16, 2), compiled(4, 1), compiled(1, 1), Backend::Reference]
}

/// Weights of a linear regression on two inputs, and what an optimizer keeps of each: two of a kernel, and a bias.
#[derive(Clone, Copy, Debug)]
struct Regression {
    weights: [f64; 3],
    first: [f64; 3],
    second: [f64; 3],
}

const INPUTS: [[f64; 2]; 4] = [[1.0, 0.5], [-0.5, 1.5], [2.0, -1.0], [0.25, 0.75]];
const TARGETS: [f64; 4] = [3.0, -1.0, 2.0, 0.5];
const EXAMPLES: usize = 40;

/// The gradient of the mean of (y - x w - b)^2 / 2.
fn gradient(weights: [f64; 3]) -> [f64; 3] {
    let mut gradient = [0.0; 3];
    for ([a, b], y) in INPUTS.iter().zip(TARGETS) {
        let error = weights[0] * a + weights[1] * b + weights[2] - y;
        gradient = [gradient[0] + error * a / 4.0, gradient[1] + error * b / 4.0, gradient[2] + error / 4.0];
    }
    gradient
}

/// The noise of a step, by its address.
fn noise_of(step: u64) -> [f64; 3] {
    [("kernel", 0), ("kernel", 1), ("bias", 0)].map(|(path, row)| {
        let address = noise::Address { seed: SEED, step, row, units: 1, ..Default::default() };
        noise::element(Distribution::Normal, noise::stream(path, "optimizer"), address).into()
    })
}

fn clipped(gradient: [f64; 3], limit: f64) -> [f64; 3] {
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    gradient.map(|g| g * (limit / norm).min(1.0))
}

fn adam_w(state: &mut Regression, gradient: [f64; 3], t: i32) {
    for (i, g) in gradient.into_iter().enumerate() {
        state.first[i] = 0.9 * state.first[i] + 0.1 * g;
        state.second[i] = 0.999 * state.second[i] + 0.001 * g * g;
        let root = (state.second[i] / (1.0 - 0.999_f64.powi(t))).sqrt();
        state.weights[i] -= 0.05 * 0.2 * state.weights[i];
        state.weights[i] -= 0.05 * state.first[i] / (1.0 - 0.9_f64.powi(t)) / root;
    }
}

/// A weight of the divergence of 0.5: half the temperature.
const TEMPERATURE: f64 = 0.5 / EXAMPLES as f64;

fn sgld(state: &mut Regression, t: i32) {
    let (gradient, noise) = (gradient(state.weights), noise_of(t as u64));
    for (i, w) in state.weights.iter_mut().enumerate() {
        *w += (2.0 * 0.1 * TEMPERATURE).sqrt() * noise[i] - 0.1 * (gradient[i] + TEMPERATURE * 4.0 * *w);
    }
}

/// Algorithm 1 of Shen et al. 2024, with the decay of the Hessian that documentation tells.
fn ivon(state: &mut Regression, t: i32) {
    let (noise, d) = (noise_of(t as u64), TEMPERATURE * 4.0);
    let scale = [0, 1, 2].map(|i| (TEMPERATURE / (state.second[i] + d)).sqrt());
    let gradient = gradient([0, 1, 2].map(|i| state.weights[i] + scale[i] * noise[i]));
    let beta_2 = 0.99_f64.min(1.0 - 1.0 / (f64::from(t) + 9.0));
    for (i, g) in gradient.into_iter().enumerate() {
        let h = state.second[i];
        let estimate = g * noise[i] / scale[i];
        state.first[i] = 0.8 * state.first[i] + 0.2 * g;
        let change = (1.0 - beta_2) * (estimate - h);
        let bounded = change.clamp(-(h + d), h + d);
        state.second[i] = h + bounded + bounded * bounded / (2.0 * (h + d));
        let mean = state.first[i] / (1.0 - 0.8_f64.powi(t));
        let direction = (mean / (state.second[i] + d)).clamp(-1.0, 1.0);
        state.weights[i] -= 0.05 * (direction + d * state.weights[i] / (state.second[i] + d));
    }
}

type Case = (&'static str, Arc<dyn Optimizer>, Option<f64>, f64, fn(&mut Regression, i32));

fn cases() -> Vec<Case> {
    let adam: Arc<dyn Optimizer> = Arc::new(AdamW::new(0.05).weight_decay(0.2));
    vec![
        ("adam_w", adam.clone(), None, 0.0, |state, t| adam_w(state, gradient(state.weights), t)),
        // first gradients are longer than 1, later ones are not
        ("adam_w, clipped", adam, Some(1.0), 0.0, |state, t| adam_w(state, clipped(gradient(state.weights), 1.0), t)),
        ("descent, clipped", Arc::new(Sgd::new(0.1)), Some(0.5), 0.0, |state, _| {
            let gradient = clipped(gradient(state.weights), 0.5);
            state.weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
        }),
        ("sgld", Arc::new(Sgld::new(0.1).prior_precision(4.0)), None, 0.0, sgld),
        (
            "ivon",
            Arc::new(Ivon::new(0.05).prior_precision(4.0).first_hessian(0.5).beta_1(0.8).beta_2(0.99)),
            None,
            0.5,
            ivon,
        ),
    ]
}

#[test]
fn trained_parameters_follow_formulas() {
    let inputs: Vec<f32> = INPUTS.iter().flatten().map(|&x| x as f32).collect();
    let targets = Targets::Values { units: 1, values: TARGETS.map(|y| y as f32).to_vec() };
    for (name, optimizer, clip_norm, second, formula) in cases() {
        let mut bits: Option<Vec<Vec<u32>>> = None;
        for backend in backends() {
            let mut network = Network::new(Affine::new(2, 1), [2], likelihood::Normal::fixed(1.0), 0).unwrap();
            let flat = |network: &Network| {
                let of = |path: &str| network.parameters().get(path).unwrap().tensor.as_f32().unwrap().to_vec();
                let (kernel, bias) = (of("kernel"), of("bias"));
                [kernel[0], kernel[1], bias[0]].map(f64::from)
            };
            let mut options =
                TrainerOptions::default().optimizer(optimizer.clone()).seed(SEED).backend(backend.clone());
            options.clip_norm = clip_norm;
            let mut trainer = Trainer::new(&network, EXAMPLES, options).unwrap();
            let mut want = Regression { weights: flat(&network), first: [0.0; 3], second: [second; 3] };
            let mut found = Vec::new();
            for t in 1..=30 {
                trainer.step(&mut network, StepInput::new(&inputs, &targets).divergence_weight(0.5)).unwrap();
                formula(&mut want, t);
                for (found, want) in flat(&network).into_iter().zip(want.weights) {
                    let error = (found - want).abs();
                    assert!(error <= 2e-5, "{name}, {backend:?}, step {t}: {found}, by its formula {want}");
                }
                found.extend(network.parameters().iter().map(|(_, parameter)| parameter.tensor.words()));
            }
            found.extend(trainer.state().map(|(_, tensor)| tensor.words()));
            assert_eq!(*bits.get_or_insert(found.clone()), found, "{name}, {backend:?}");
        }
    }
}

const UNITS: usize = 64;
const ROWS: usize = 10;

/// As many regressions on a constant as there are units, on the same targets of known noise: `spread` is its standard deviation.
fn constants(spread: f32) -> (Network, Vec<f32>, Targets, f64) {
    let layer = Affine::new(1, UNITS).use_bias(false).kernel_initializer(Initializer::Zeros);
    let network = Network::new(layer, [1], likelihood::Normal::fixed(spread), 0).unwrap();
    let values: Vec<f32> = (0..ROWS).map(|row| 0.7 + 0.1 * row as f32).collect();
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / ROWS as f64;
    let values = values.iter().flat_map(|&y| [y; UNITS]).collect();
    (network, vec![1.0; ROWS], Targets::Values { units: UNITS, values }, mean)
}

fn kernel(network: &Network) -> Vec<f64> {
    let kernel = &network.parameters().get("kernel").unwrap().tensor;
    kernel.as_f32().unwrap().iter().copied().map(f64::from).collect()
}

/// Draws of a normal posterior that is known: with targets of variance v and prior precision s its precision is N / v + s, and its mean
/// that of the targets times N / v over that. A step of rate r makes of it a process w' = (1 - r H) w + noise with H = 1 / v + s / N, whose
/// mean is the posterior's and whose variance is the posterior's over 1 - r H / 2.
///
/// Bounds are five standard errors of so many correlated draws: a right sampler with another seed fails once in a million times.
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
        // an autoregressive process of correlation c has (1 + c) / (1 - c) times the variance of a mean; its squares have c^2
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

/// A quadratic loss is known to its last bit: IVON's mean is the posterior's, and its variance 1 / (N H / w + s), wherever the Hessian starts.
///
/// The estimates of the Hessian H are H e^2 + (m - mean) H e / scale, of variance 2 H^2 and a little; their mean with a memory of
/// 1 / (1 - b2) has (1 - b2) / 2 of that, and its square over (h + d) adds (1 - b2) H / (1 + d / H) to h. The mean m is an average of
/// gradients whose noise has the deviation H scale. Bounds are five standard errors, and the bias where it is told: once in a million.
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

/// A first Hessian that is hundreds of times too small, that of targets with little noise, does not throw the mean away.
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
        let scale = f64::from(spread) / (ROWS as f64).sqrt();
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

/// Steps of ordinary size are known to be finite before they write, with deterministic layers and a likelihood that learns.
#[test]
fn ordinary_steps_of_deterministic_layers_are_known_to_be_finite() {
    let optimizers: [(Arc<dyn Optimizer>, Option<f64>); 4] = [
        (Arc::new(AdamW::default()), None),
        (Arc::new(AdamW::default()), Some(1.0)),
        (Arc::new(Sgld::default()), None),
        (Arc::new(Ivon::default()), None),
    ];
    for (optimizer, clip_norm) in optimizers {
        let layers = Sequential::new().layer(Affine::new(2, 5).activation(Activation::Tanh)).layer(Affine::new(5, 3));
        let mut network = Network::new(layers, [2], likelihood::Normal::learned(1.0), 0).unwrap();
        let mut options = TrainerOptions::default().optimizer(optimizer.clone()).backend(Options::default().threads(1));
        options.clip_norm = clip_norm;
        let mut trainer = Trainer::new(&network, 10, options).unwrap();
        trainer.prepare(&network, 2).unwrap();
        let compiled = trainer.compile_time();
        let targets = Targets::Values { units: 3, values: vec![1.0, 2.0, 3.0, 0.0, -1.0, 0.5] };
        for step in 0..10 {
            let input = StepInput::new(&[1.0, 0.5, -1.0, 2.0], &targets).divergence_weight(f64::from(step) / 9.0);
            trainer.step(&mut network, input).unwrap();
        }
        assert_eq!(trainer.compile_time(), compiled, "{optimizer:?}");
    }
}

/// As the optimizer, with the same bits, but in a way about which nothing can be proved: gradients are divided by a scalar, which is 1.
#[derive(Debug)]
struct Unproved(Arc<dyn Optimizer>);

impl Optimizer for Unproved {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn state(&self) -> &'static [&'static str] {
        self.0.state()
    }

    fn scalars(&self) -> &'static [&'static str] {
        match self.0.scalars().len() {
            1 => &["one", "a"],
            2 => &["one", "a", "b"],
            _ => &["one", "a", "b", "c", "d"],
        }
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f32> {
        [vec![1.0], self.0.scalar_values(step, rate)].concat()
    }

    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        self.0.scale(&Step { scalars: &step.scalars[1..], ..*step })
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        self.0.update(&Step { scalars: &step.scalars[1..], ..*step }, gradient / step.scalars[0])
    }

    fn check(&self) -> Result<(), bayeslift::layers::Error> {
        self.0.check()
    }

    fn initial_state(
        &self,
        variable: &bayeslift::layers::Variable,
    ) -> Result<Vec<(String, bayeslift::ir::Tensor)>, bayeslift::layers::Error> {
        self.0.initial_state(variable)
    }
}

/// Steps on inputs and targets of all sizes: what follows `Ok` is finite, what follows an error is what was before, and both are those of
/// steps that are looked at before they are applied.
#[test]
fn a_step_is_finite_or_was_not() {
    let optimizers: [(Arc<dyn Optimizer>, Option<f64>); 4] = [
        (Arc::new(AdamW::new(0.1)), Some(1.0)),
        (Arc::new(Sgd::new(10.0)), Some(1e3)),
        (Arc::new(Sgld::default()), None),
        (Arc::new(Ivon::default()), None),
    ];
    let mut seen = [0; 2];
    for (case, (optimizer, clip_norm)) in optimizers.into_iter().enumerate() {
        let layers = Sequential::new().layer(Affine::new(2, 5).activation(Activation::Tanh)).layer(Affine::new(5, 2));
        let mut network = Network::new(layers, [2], likelihood::Normal::learned(1.0), 0).unwrap();
        let trainer = |optimizer: Arc<dyn Optimizer>| {
            let mut options = TrainerOptions::default().optimizer(optimizer).backend(Options::default().threads(1));
            options.clip_norm = clip_norm;
            Trainer::new(&network, 10, options).unwrap()
        };
        let (mut fast, mut checked) = (trainer(optimizer.clone()), trainer(Arc::new(Unproved(optimizer.clone()))));
        let mut twin = network.clone();
        let bits = |network: &Network, trainer: &Trainer| -> Vec<Vec<u32>> {
            let parameters = network.parameters().iter().map(|(_, parameter)| parameter.tensor.words());
            parameters.chain(trainer.state().map(|(_, tensor)| tensor.words())).collect()
        };
        for step in 0..60 {
            let uniform = |unit: u32| {
                let address = noise::Address { seed: SEED, step, unit, units: 64, ..Default::default() };
                noise::element(Distribution::Uniform, case as u64, address)
            };
            let scale = [1.0, 10_f32.powf(76.0 * uniform(0) - 38.0)][step as usize % 2];
            let number = |i: u32| (uniform(i) - 0.5) * if i.is_multiple_of(3) { 1.0 } else { scale };
            let inputs: Vec<f32> = (1..5).map(number).collect();
            let targets = Targets::Values { units: 2, values: (5..9).map(number).collect() };
            let input = StepInput::new(&inputs, &targets).divergence_weight(f64::from(uniform(10)));
            let before = bits(&network, &fast);
            let result = fast.step(&mut network, input);
            let expected = checked.step(&mut twin, input);
            let after = bits(&network, &fast);
            let place = format!("{optimizer:?}, seed {SEED}, step {step}, {inputs:?}, {targets:?}");
            assert_eq!(result.is_ok(), expected.is_ok(), "{place}: {result:?}, checked {expected:?}");
            match result {
                Ok(_) => assert!(after.iter().flatten().all(|word| f32::from_bits(*word).is_finite()), "{place}"),
                Err(Error::NonFiniteLoss { .. } | Error::NonFiniteUpdate { .. }) => assert!(before == after, "{place}"),
                Err(error) => panic!("{place}: {error}"),
            }
            assert!(after == bits(&twin, &checked), "{place}");
            seen[usize::from(expected.is_ok())] += 1;
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?} steps were not finite, and were");
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

/// However large gradients are, their norm is the limit after clipping.
#[test]
fn huge_gradients_are_clipped() {
    for backend in backends() {
        for size in [1.0_f32, 1e10, 1e17] {
            let layer = Affine::new(2, 1).use_bias(false).kernel_initializer(Initializer::Zeros);
            let mut network = Network::new(layer, [2], likelihood::Normal::fixed(1.0), 0).unwrap();
            let options = TrainerOptions::default().optimizer(Sgd::new(1.0)).clip_norm(0.5).backend(backend.clone());
            let mut trainer = Trainer::new(&network, 10, options).unwrap();
            let targets = Targets::Values { units: 1, values: vec![10.0 * size] };
            trainer.step(&mut network, StepInput::new(&[3.0 * size, -4.0 * size], &targets)).unwrap();
            let kernel = kernel(&network);
            for (found, want) in kernel.iter().zip([0.3, -0.4]) {
                assert!((found - want).abs() < 1e-6, "{backend:?}, {size}: {kernel:?}");
            }
        }
    }
}

/// Gradients below the limit are followed as they are, to the bit.
#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let train = |clip_norm| {
        let layer = AffineVariationalReparameterizationLocal::new(2, 3);
        let mut network = Network::new(layer, [2], likelihood::Categorical, 0).unwrap();
        let mut options = TrainerOptions::default();
        options.clip_norm = clip_norm;
        let mut trainer = Trainer::new(&network, 10, options).unwrap();
        let labels = Targets::Labels(vec![0, 2]);
        for _ in 0..5 {
            trainer.step(&mut network, StepInput::new(&[1.0, 0.5, -0.5, 2.0], &labels)).unwrap();
        }
        network
    };
    assert_eq!(train(None).parameters(), train(Some(1e6)).parameters());
    assert_ne!(train(None).parameters(), train(Some(1e-6)).parameters());
}

#[test]
fn what_does_not_fit_is_refused() {
    let deterministic = Network::new(Affine::new(1, 1), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let layer = AffineVariationalReparameterizationLocal::new(1, 1);
    let mut variational = Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let of = |optimizer: Arc<dyn Optimizer>| TrainerOptions::default().optimizer(optimizer);
    let refusal = |network: &Network, options| Trainer::new(network, 10, options).unwrap_err().to_string();
    assert_eq!(
        refusal(&variational, of(Arc::new(Ivon::default()))),
        "Ivon is for deterministic layers, whose weights it draws itself, and `kernel/loc` is of group loc; use deterministic \
         layers, or another optimizer"
    );
    assert_eq!(
        refusal(&variational, of(Arc::new(Sgld::default()))),
        "Sgld is for deterministic layers, whose weights it draws itself, and `kernel/loc` is of group loc; use deterministic \
         layers, or another optimizer"
    );
    for limit in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-50] {
        let expected = format!(
            "the limit of the gradients' norm is {limit:?}, expected a number that is positive and finite as `f32`"
        );
        assert_eq!(refusal(&deterministic, TrainerOptions::default().clip_norm(limit)), expected);
        let data = Dataset::regression([1], vec![0.0], 1, vec![1.0]).unwrap();
        assert_eq!(Fit::new().clip_norm(limit).run(&mut variational, &data).unwrap_err().to_string(), expected);
    }
    let trainer = Trainer::new(&deterministic, 10, TrainerOptions::default()).unwrap();
    assert_eq!(
        trainer.posterior(&deterministic, 1.0).unwrap_err().to_string(),
        "the optimizer `adam` draws no parameter, so it has no posterior; train with one that does, such as `Ivon`"
    );
    let trainer = Trainer::new(&deterministic, 10, of(Arc::new(Ivon::default()))).unwrap();
    assert!(trainer.posterior(&deterministic, 1.0).is_ok());
    assert_eq!(
        trainer.posterior(&deterministic, -1.0).unwrap_err().to_string(),
        "the divergence weight is -1.0, expected a finite number, not negative"
    );
    assert!(trainer.posterior(&variational, 1.0).is_err());
}
