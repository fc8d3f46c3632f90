//! Optimizers as networks are trained by them: against their formulas in f64, and those that draw against posteriors
//! that are known.

mod clipping;
mod finite;
mod formulas;
mod partitioned;
mod posteriors;
mod scalars;

use bayeslift::prelude::*;
use std::sync::Arc;

const SEED: u64 = 3;

fn backends() -> [Backend; 4] {
    let compiled = |width, threads| Backend::from(Options::default().lanes(width).threads(threads));
    [compiled(16, 2), compiled(4, 1), compiled(1, 1), Backend::Reference]
}

fn kernel(network: &Network) -> Vec<f64> {
    let kernel = &network.parameters().get("kernel").unwrap().tensor;
    kernel.as_f32().unwrap().iter().copied().map(f64::from).collect()
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
