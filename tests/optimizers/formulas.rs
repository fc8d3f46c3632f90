//! Trained parameters against the optimizers' formulas in f64.

use super::{SEED, backends};
use bayeslift::ir::{NoiseDistribution, noise};
use bayeslift::prelude::*;
use std::sync::Arc;

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
        noise::element(NoiseDistribution::Normal, noise::stream(path, "optimizer"), address).into()
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
