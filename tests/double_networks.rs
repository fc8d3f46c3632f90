//! Networks of `f64`: they train, predict, and are saved with all digits, whatever runs them.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;
#[path = "facade/networks.rs"]
mod networks;

use bayeslift::{
    Floats,
    ir::{DType, Tensor, evaluate},
    layers::*,
    prelude::*,
    runtime::Rewriting,
};
use facade::bits;
use networks::networks_of;

/// Numbers that look random, from 0 to 1, of which none is one of `f32`.
fn numbers(count: usize) -> Vec<f64> {
    let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29);
    (1..=count as u64).map(|i| (mixed(i) >> 11 | 1) as f64 / (1_u64 << 53) as f64).collect()
}

fn inputs(name: &str, network: &Network, rows: usize) -> Vec<f64> {
    let x = numbers(rows * network.input().elements());
    match name.starts_with("embedding") {
        true => x.iter().map(|x| (x * 5.0).floor()).collect(),
        false => x.iter().map(|x| 2.0 * x - 1.0).collect(),
    }
}

/// Targets of the network's kind.
fn targets(network: &Network, rows: usize) -> Targets {
    use likelihood::Support;
    let (support, units) = (network.target().support, network.target().shape.elements());
    let of = |of: fn(f64) -> f64| numbers(rows * units).into_iter().map(of).collect();
    let values = match support {
        Support::Classes(classes) => {
            return Targets::Labels((0..(rows * units) as u32).map(|i| i * 7 % 5 % classes as u32).collect());
        }
        Support::Binary => of(|x| f64::from(x > 0.5)),
        Support::Count => of(|x| (5.0 * x).floor()),
        Support::Simplex(_) => {
            numbers(rows).into_iter().flat_map(|x| [0.2 + 0.1 * x, 0.5 - 0.2 * x, 0.3 + 0.1 * x]).collect()
        }
        _ => of(|x| 0.1 + 0.8 * x),
    };
    Targets::Doubles { units, values }
}

fn backends() -> Vec<(&'static str, Backend)> {
    let compiled = |lanes, threads| Backend::from(Options::default().lanes(lanes).threads(threads));
    vec![("reference", Backend::Reference), ("16 lanes", compiled(16, 2)), ("4 lanes", compiled(4, 1)), ("1 lane", compiled(1, 1))]
}

/// All networks of the facade's tests, with steps and predictions of each backend.
#[test]
fn networks_of_every_kind_have_the_same_bits_on_every_backend() {
    for (name, network) in networks_of(DType::F64) {
        assert_eq!(network.dtype(), DType::F64, "{name}");
        assert!(network.parameters().iter().all(|(_, p)| p.tensor.dtype() == DType::F64), "{name}");
        let rows = 7;
        let (x, targets) = (inputs(&name, &network, rows), targets(&network, rows));
        let mut expected = None;
        for (backend_name, backend) in backends() {
            let mut trained = network.clone();
            let mut losses = Vec::new();
            if network.parameters().iter().any(|(_, p)| p.trainable) {
                let options = TrainerOptions::default().optimizer(Adam::new(1e-2)).backend(backend.clone());
                let mut trainer = Trainer::new(&trained, 100, options).unwrap();
                for _ in 0..3 {
                    let loss = trainer.step(&mut trained, StepInput::f64(&x, &targets));
                    let loss = loss.unwrap_or_else(|error| panic!("{name}, {backend_name}: {error}"));
                    assert!(loss.loss.is_finite(), "{name}");
                    losses.push(loss.loss.to_bits());
                }
                assert_ne!(bits(&trained), bits(&network), "{name}: nothing was trained");
            }
            let options = PredictorOptions::default().samples(5).blocks(2, 4).backend(backend);
            let predictor = Predictor::with_options(&trained, &options).unwrap();
            let mut told = Vec::new();
            let predictive = predictor.double().unwrap().predict(&x).unwrap_or_else(|error| panic!("{name}: {error}"));
            if let Some(answer) = predictive.classification() {
                told.extend([answer.probabilities(), answer.predictive_entropy(), answer.mutual_information()].concat());
            }
            if let Some(answer) = predictive.regression() {
                told.extend([answer.mean(), answer.epistemic(), answer.aleatoric(), answer.total()].concat());
            }
            assert!(!told.is_empty() || name == "custom", "{name}");
            predictive.parameters(|_, _, outputs| told.extend(outputs)).unwrap();
            told.extend(predictive.log_prob(&targets).unwrap());
            if !matches!(name.as_str(), "custom" | "softmax_centered" | "softmax_centered_learned") {
                predictive.draws(|_, _, draws| told.extend(draws)).unwrap();
            }
            let told: Vec<u64> = told.into_iter().map(f64::to_bits).collect();
            let found = (bits(&trained), losses, told);
            match &expected {
                None => expected = Some(found),
                Some(expected) => assert_eq!(found, *expected, "{name}, {backend_name}"),
            }
        }
    }
}
