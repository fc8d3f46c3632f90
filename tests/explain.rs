//! Explaining training steps and predictions: what is told, and that nothing changes by it.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{Explanation, ir::Tensor, prelude::*, runtime::Target};
use facade::{bits, small_data, small_layers};

fn small() -> Network {
    Network::new(small_layers(), [3], likelihood::Categorical, 1).unwrap()
}

fn state(trainer: &Trainer) -> Vec<(String, Vec<u32>)> {
    trainer.state().map(|(path, tensor)| (path.to_owned(), Tensor::words(tensor))).collect()
}

fn written(explanation: &Explanation) -> Vec<&str> {
    let mut names: Vec<&str> = explanation.kernels.iter().flat_map(|kernel| kernel.outputs()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_step_is_explained() {
    let network = small();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let explanation = trainer.explain(&network, 16).unwrap();
    assert_eq!(trainer.kernels(16), Some(explanation.kernels.len()));
    assert!(explanation.time().is_none());

    // every parameter, the optimizer's state, the four results and the divergence of each random variable are written
    // once
    let names = network.parameters().iter().map(|(path, _)| path.to_owned());
    let mut expected: Vec<String> = names.chain(trainer.state().map(|(path, _)| path.to_owned())).collect();
    expected.extend(["loss", "negative_log_likelihood", "divergence", "bound"].map(String::from));
    expected.extend(trainer.divergences().iter().map(|one| format!("divergence/{}", one.path)));
    expected.sort_unstable();
    assert_eq!(written(&explanation), expected);

    // every kernel is known by its layer
    let origins: Vec<String> = explanation
        .kernels
        .iter()
        .map(|kernel| kernel.work.origin().map(ToString::to_string).unwrap_or_default())
        .collect();
    let products = explanation.kernels.iter().zip(&origins).filter(|(kernel, _)| kernel.work.counts.flops > 0);
    let mut products: Vec<&str> = products.map(|(_, origin)| origin.as_str()).collect();
    products.sort_unstable();
    products.dedup();
    let layers = ["affine", "affine_1", "affine_2"].map(String::from);
    let expected = layers.clone().into_iter().chain(layers.map(|layer| format!("gradient of {layer}")));
    assert_eq!(products, expected.collect::<Vec<_>>(), "{explanation}");
    assert!(origins.iter().all(|origin| !origin.is_empty()), "{explanation}");

    // two products forward and two backward where noise is drawn, less the gradient of the input, one of each elsewhere
    let products = |m: u64, k: u64, n: u64| 2 * m * k * n;
    let local = 4 * products(16, 3, 8);
    let weights = 3 * products(16, 8, 5);
    let dense = 3 * products(16, 5, 2);
    assert_eq!(explanation.total().flops, local + weights + dense, "{explanation}");
}

#[test]
fn profiling_leaves_everything_as_it_was() {
    let data = small_data(16);
    let input = || StepInput::new(data.inputs(), data.targets());
    let (mut network, mut other) = (small(), small());
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let mut unprofiled = Trainer::new(&other, 100, TrainerOptions::default()).unwrap();
    trainer.step(&mut network, input()).unwrap();
    unprofiled.step(&mut other, input()).unwrap();

    let explanation = trainer.profile(&network, input(), 5).unwrap();
    assert_eq!(explanation.runs, 5);
    assert!(explanation.kernels.iter().all(|kernel| kernel.time.is_some()));
    assert_eq!((trainer.steps(), bits(&network)), (1, bits(&other)));
    assert_eq!(state(&trainer), state(&unprofiled));
    let losses = (trainer.step(&mut network, input()).unwrap(), unprofiled.step(&mut other, input()).unwrap());
    assert_eq!(losses.0, losses.1);
    assert_eq!(bits(&network), bits(&other));
}

#[test]
fn predictions_are_explained() {
    let network = small();
    let predictor = Predictor::new(&network).unwrap();
    let explanation = predictor.explain().unwrap();
    assert_eq!(written(&explanation), ["accumulator/entropy", "accumulator/probabilities"]);
    assert!(explanation.total().draws > 0 && explanation.time().is_none());
    let data = small_data(40);
    let before = predictor.classify(data.inputs()).unwrap();
    // more rows than a block, and fewer
    for rows in [40, 1] {
        let measured = predictor.profile(&data.inputs()[..rows * 3], 3).unwrap();
        assert_eq!(measured.total(), explanation.total());
        assert!(measured.time().is_some());
    }
    assert_eq!(predictor.classify(data.inputs()).unwrap(), before);
    assert!(matches!(predictor.profile(&[1.0], 3), Err(Error::Argument { .. })));
}

/// What there is to compute is the same on any machine, and nothing of it has to run here.
#[test]
fn predictions_are_explained_for_other_machines() {
    let predictor = Predictor::new(&small()).unwrap();
    let here = predictor.explain().unwrap();
    for target in Target::all() {
        let there = predictor.explain_for(target, 3).unwrap();
        assert_eq!((there.total(), written(&there)), (here.total(), written(&here)), "{target}");
        assert!(there.kernels.iter().all(|kernel| kernel.threads <= 3 && kernel.time.is_none()), "{target}");
    }
    assert_eq!(predictor.explain_for(Target::host(), usize::MAX).unwrap().total(), here.total());
}

#[test]
fn the_evaluator_has_no_kernels() {
    let network = small();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default().backend(Backend::Reference)).unwrap();
    let data = small_data(8);
    let predictor = Predictor::with_options(&network, &PredictorOptions::default().backend(Backend::Reference));
    let results = [
        trainer.explain(&network, 8),
        trainer.profile(&network, StepInput::new(data.inputs(), data.targets()), 3),
        predictor.unwrap().explain(),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Misuse { .. }), "{error}");
        assert!(
            error.to_string().contains("the reference evaluator has no kernels to explain; use a compiled backend"),
            "{error}"
        );
    }
}

#[test]
fn batches_that_cannot_be_are_errors() {
    let network = small();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    for rows in [0, 1 << 40] {
        for result in [trainer.explain(&network, rows).map(drop), trainer.prepare(&network, rows)] {
            assert!(result.is_err(), "{rows} rows");
        }
    }
}
