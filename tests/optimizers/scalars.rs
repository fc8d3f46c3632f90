//! Scalars of steps as graph code: the bits of those that a host computes.

use bayeslift::{
    ir::{Builder, Tensor, Type, evaluate},
    layers::{Partitioned, Rates, RmsProp, Sgld},
    prelude::*,
};
use std::sync::Arc;

#[test]
fn code_of_scalars_has_the_bits_of_a_host() {
    let partitioned = Partitioned::new(Adam::new(1e-3)).with(Sgd::new(0.1), |variable| variable.path.ends_with("bias"));
    let optimizers: [Arc<dyn Optimizer>; 11] = [
        Arc::new(Adam::default()),
        Arc::new(Adam::new(0.3).beta_1(0.0).beta_2(0.99)),
        Arc::new(Adam::new(1e-3).beta_1(0.5).beta_2(1.0 - f64::EPSILON)),
        Arc::new(AdamW::new(2e-3).weight_decay(0.3)),
        Arc::new(Ivon::default()),
        Arc::new(Ivon::new(0.2).beta_1(0.7)),
        Arc::new(RmsProp::default()),
        Arc::new(Lazy(Sgd::new(0.03))),
        Arc::new(Sgld::new(0.7)),
        Arc::new(Rates::new(Adam::new(1e-2), |_| 0.5)),
        Arc::new(partitioned),
    ];
    let steps = (1..40).chain((5..53).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]));
    let steps: Vec<u64> = steps.chain([1000, 123_456, 7_450_000, (1 << 53) - 1]).collect();
    for optimizer in &optimizers {
        let b = Builder::new();
        let [step, rate] = ["step", "rate"].map(|name| b.input(name, Type::f64([])));
        let scalars = optimizer.scalar_exprs(step, rate).unwrap();
        assert_eq!(scalars.len(), optimizer.scalars().len(), "{optimizer:?}");
        scalars.iter().enumerate().for_each(|(i, scalar)| b.output(&i.to_string(), *scalar));
        let graph = b.finish().unwrap();
        for (&step, rate) in steps.iter().zip([1.0, 0.1, 0.75, 1e-9, 3.0].iter().cycle()) {
            let inputs = [step as f64, *rate].map(|x| Tensor::f64([], [x]).unwrap());
            let got = evaluate(&graph, &inputs).unwrap();
            let got: Vec<u64> = got.iter().map(|scalar| scalar.as_f64().unwrap()[0].to_bits()).collect();
            let want: Vec<u64> = optimizer.scalar_values(step, *rate).into_iter().map(f64::to_bits).collect();
            assert_eq!(got, want, "step {step}, {optimizer:?}");
        }
    }
}
