//! Steps of all sizes are finite, or refused.

use super::SEED;
use bayeslift::ir::{NoiseDistribution, noise};
use bayeslift::layers::Partitioned;
use bayeslift::prelude::*;
use std::sync::Arc;

/// Steps of ordinary size are known to be finite before they write, with deterministic layers and a likelihood that
/// learns.
#[test]
fn ordinary_steps_of_deterministic_layers_are_known_to_be_finite() {
    let partitioned = Partitioned::new(AdamW::new(0.1)).with(Sgd::new(1.0), |variable| variable.path.contains("bias"));
    let optimizers: [(Arc<dyn Optimizer>, Option<f64>); 5] = [
        (Arc::new(AdamW::default()), None),
        (Arc::new(AdamW::default()), Some(1.0)),
        (Arc::new(Sgld::default()), None),
        (Arc::new(Ivon::default()), None),
        (Arc::new(partitioned), None),
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

/// As the optimizer, with the same bits, but in a way about which nothing can be proved: gradients are divided by a
/// scalar, which is 1.
#[derive(Debug)]
struct Unproved(Arc<dyn Optimizer>);

impl Optimizer for Unproved {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.0.state(variable)
    }

    fn scalars(&self) -> Vec<String> {
        [vec!["one".to_owned()], self.0.scalars()].concat()
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
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
        variable: &Variable,
    ) -> Result<Vec<(String, bayeslift::ir::Tensor)>, bayeslift::layers::Error> {
        self.0.initial_state(variable)
    }
}

/// Steps on inputs and targets of all sizes: what follows `Ok` is finite, what follows an error is what was before, and
/// both are those of steps that are looked at before they are applied.
#[test]
fn a_step_is_finite_or_was_not() {
    let partitioned = Partitioned::new(AdamW::new(0.1)).with(Sgd::new(1.0), |variable| variable.path.contains("bias"));
    let optimizers: [(Arc<dyn Optimizer>, Option<f64>); 5] = [
        (Arc::new(AdamW::new(0.1)), Some(1.0)),
        (Arc::new(Sgd::new(10.0)), Some(1e3)),
        (Arc::new(Sgld::default()), None),
        (Arc::new(Ivon::default()), None),
        (Arc::new(partitioned), None),
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
                noise::element(NoiseDistribution::Uniform, case as u64, address)
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
