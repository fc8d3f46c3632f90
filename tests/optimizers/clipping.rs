//! Clipping by the norm of all gradients.

use super::{backends, kernel};
use bayeslift::prelude::*;

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
