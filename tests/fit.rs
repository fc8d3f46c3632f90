//! Fitting: what a step computes, what options mean, what bad input gets.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{layers::Group, prelude::*};
use facade::{bits, small_data, small_layers};

fn small(seed: u64) -> Network {
    Network::new(small_layers(), [3], likelihood::Categorical, seed).unwrap()
}

fn message(error: Error) -> String {
    error.to_string()
}

#[test]
fn a_small_network_learns() {
    let data = small_data(300);
    let mut network = small(1);
    let fit = || Fit::new().epochs(20).batch_size(32).learning_rate(1e-2).divergence_weight(0.1);
    let report = fit().run(&mut network, &data).unwrap();
    assert!(report.epochs[19].negative_log_likelihood < 0.5 * report.epochs[0].negative_log_likelihood, "{report:?}");
    let prediction = Predictor::new(&network).unwrap().classify(data.inputs()).unwrap();
    assert!(metrics::accuracy(prediction.probabilities(), 2, data.labels()).unwrap() > 0.9);
    // The same again from the same seed, and not from another.
    let (mut again, mut other) = (small(1), small(1));
    fit().run(&mut again, &data).unwrap();
    assert_eq!(bits(&again), bits(&network));
    fit().seed(2).run(&mut other, &data).unwrap();
    assert_ne!(bits(&other), bits(&network));
}

#[test]
fn every_example_is_used_once_an_epoch() {
    // Ten rows in batches of four: two full batches and one of two.
    let data = small_data(10);
    let mut sizes = Vec::new();
    let fit = Fit::new().epochs(3).batch_size(4).progress(|progress| sizes.push((progress.epoch, progress.step)));
    let report = fit.run(&mut small(0), &data).unwrap();
    assert_eq!((report.steps, report.training_examples, report.best_epoch), (9, 10, None));
    let expected: Vec<(usize, u64)> = (1..=9).map(|step| ((step as usize - 1) / 3 + 1, step)).collect();
    assert_eq!(sizes, expected);
    // A batch larger than the data is one batch of all.
    let report = Fit::new().epochs(2).batch_size(1000).run(&mut small(0), &data).unwrap();
    assert_eq!(report.steps, 2);
}

#[test]
fn the_divergence_is_divided_by_the_number_of_training_examples() {
    let data = small_data(8);
    for (examples, weight) in [(8, 1.0), (1000, 1.0), (1000, 0.25)] {
        let mut network = small(3);
        let mut trainer = Trainer::new(&network, examples, TrainerOptions::default()).unwrap();
        let input = StepInput::new(data.inputs(), data.targets()).divergence_weight(weight);
        let loss = trainer.step(&mut network, input).unwrap();
        let want = loss.negative_log_likelihood + loss.divergence * (weight / examples as f64);
        assert!((loss.loss - want).abs() < 1e-5 * want.abs(), "{loss:?} {want}");
        assert!(loss.divergence > 100.0);
    }
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    let data = small_data(8);
    let mut network = small(4);
    let mut trainer = Trainer::new(&network, 8, TrainerOptions::default()).unwrap();
    trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap();
    let state = |trainer: &Trainer| trainer.state().map(|(_, tensor)| tensor.words()).collect::<Vec<_>>();
    let (before, state_before) = (bits(&network), state(&trainer));

    let mut nan = data.inputs().to_vec();
    nan[7] = f32::NAN;
    let error = trainer.step(&mut network, StepInput::new(&nan, data.targets())).unwrap_err();
    let Error::NonFiniteLoss { step, ref cause, .. } = error else { panic!("{error}") };
    assert_eq!((step, cause.as_str()), (2, "column 1 of row 2 of the inputs is NaN; every element must be finite"));
    assert_eq!((bits(&network), state(&trainer), trainer.steps()), (before.clone(), state_before.clone(), 1));

    let huge = vec![f32::MAX; 24];
    let error = message(trainer.step(&mut network, StepInput::new(&huge, data.targets())).unwrap_err());
    assert!(error.starts_with("the loss of step 2 is") && error.contains("the forward pass overflowed"), "{error}");
    assert_eq!((bits(&network), state(&trainer)), (before, state_before));

    // The same step with sound data is that of a trainer which never saw the others.
    trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap();
    let mut other = small(4);
    let mut trainer = Trainer::new(&other, 8, TrainerOptions::default()).unwrap();
    for _ in 0..2 {
        trainer.step(&mut other, StepInput::new(data.inputs(), data.targets())).unwrap();
    }
    assert_eq!(bits(&network), bits(&other));
}

#[test]
fn fit_reports_a_loss_that_is_not_finite() {
    let mut network = small(4);
    network.parameters_mut().get_mut("affine_2/bias").unwrap().tensor.as_f32_mut().unwrap()[1] = f32::INFINITY;
    let before = bits(&network);
    let error = message(Fit::new().run(&mut network, &small_data(40)).unwrap_err());
    assert!(error.contains("step 1") && error.contains("`affine_2/bias` is inf at element 1"), "{error}");
    assert_eq!(bits(&network), before);
}

#[test]
fn the_best_parameters_are_kept() {
    let data = small_data(200);
    let mut network = small(5);
    // A rate that is far too high makes validation jump.
    let fit = Fit::new().epochs(12).batch_size(16).learning_rate(0.3).validation_split(0.25).seed(9);
    let report = fit.run(&mut network, &data).unwrap();
    let validations: Vec<f64> = report.epochs.iter().map(|epoch| epoch.validation.unwrap()).collect();
    let best = report.best_epoch.unwrap();
    assert!(validations.iter().all(|v| *v >= validations[best - 1]), "{validations:?} {best}");
    assert_ne!(best, 12, "the test is void: choose another seed");
    assert_eq!((report.training_examples, network.training_examples()), (150, Some(150)));
    // The network has that epoch's parameters: it validates as reported.
    let (validation, _) = data.split(0.25, 9).unwrap();
    let options = PredictorOptions::default().samples(16).seed(9);
    let again = Predictor::with_options(&network, &options).unwrap().negative_log_likelihood(&validation).unwrap();
    assert_eq!(again, validations[best - 1]);
}

#[test]
fn training_stops_early() {
    let data = small_data(200);
    let (validation, train) = data.partition(|row| row % 4 == 0).unwrap();
    let fit = Fit::new().epochs(100).batch_size(16).learning_rate(0.3).validation(validation).early_stopping(2);
    let report = fit.run(&mut small(6), &train).unwrap();
    assert!(report.stopped_early);
    assert_eq!(report.epochs.len(), report.best_epoch.unwrap() + 2);
}

#[test]
fn frozen_parameters_stay() {
    let data = small_data(64);
    let mut network = small(7);
    let frozen = network
        .parameters_mut()
        .set_trainable(false, |path, group| group == Group::Scale || path.starts_with("affine_2"));
    assert_eq!(frozen, 6);
    let before = bits(&network);
    Fit::new().epochs(2).run(&mut network, &data).unwrap();
    for ((path, old), (_, new)) in before.iter().zip(bits(&network)) {
        let is_frozen = path.ends_with("raw_scale") || path.starts_with("affine_2");
        assert_eq!(*old == new, is_frozen, "{path}");
    }
    network.parameters_mut().set_trainable(false, |_, _| true);
    let error = message(Fit::new().run(&mut network, &data).unwrap_err());
    assert_eq!(error, "the number of trainable parameters is 0, expected at least 1");
}

#[test]
fn several_samples_and_the_exact_divergence_train() {
    let layer = AffineVariationalReparameterizationLocal::new(3, 2).prior_maker(Prior::normal(0.0, 1.0));
    let mut network = Network::new(layer, [3], likelihood::Categorical, 0).unwrap();
    let fit = Fit::new().epochs(4).samples(3).divergence(Divergence::Exact).schedule(Schedule::Cosine { to: 0.0 });
    let report = fit.learning_rate(1e-2).run(&mut network, &small_data(64)).unwrap();
    // Exact: the divergence moves smoothly with the parameters.
    let divergences: Vec<f64> = report.epochs.iter().map(|epoch| epoch.divergence).collect();
    assert!(divergences.windows(2).all(|pair| pair[1] < pair[0]), "{divergences:?}");
}

#[test]
fn bad_options_and_data_are_errors() {
    let data = small_data(10);
    let run = |fit: Fit<'_>| message(fit.run(&mut small(0), &data).unwrap_err());
    assert_eq!(run(Fit::new().epochs(0)), "the number of epochs is 0, expected at least 1");
    assert_eq!(run(Fit::new().batch_size(0)), "the batch size is 0, expected at least 1");
    assert_eq!(
        run(Fit::new().learning_rate(-1.0)),
        "Adam's learning_rate is -1, expected a number that is positive and finite as `f32`"
    );
    assert!(
        run(Fit::new().early_stopping(3))
            .starts_with("early stopping needs data to validate on, and there is none; give some by")
    );
    assert!(run(Fit::new().validation_split(1.0)).contains("into two parts, each of at least 1"));
    assert!(run(Fit::new().validation_split(f64::NAN)).contains("into two parts, each of at least 1"));
    assert!(run(Fit::new().warm_up(WarmUp::Fraction(2.0))).starts_with("the fraction of the warm-up is 2"));
    assert!(
        run(Fit::new().schedule(Schedule::custom(|_| -1.0))).contains("0 steps: the factor of the learning rate is -1")
    );
    for weight in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        let error = run(Fit::new().divergence_weight(weight).warm_up(WarmUp::Steps(3)));
        assert_eq!(
            error,
            format!(
                "the weight of the divergence is {weight:?}, expected a number that is finite as `f32` and not negative"
            )
        );
    }
    for end in [-1.0, f64::NAN, 1e300] {
        let want = format!(
            "the last factor of the schedule is {end:?}, expected a number that is not negative and leaves the learning rate finite"
        );
        assert_eq!(run(Fit::new().schedule(Schedule::Linear { to: end })), want);
        assert_eq!(run(Fit::new().schedule(Schedule::Cosine { to: end })), want);
    }
    let huge = run(Fit::new().schedule(Schedule::custom(|_| 1e300)));
    assert_eq!(
        huge,
        "fitting ended in epoch 1 of 10, after 0 steps: at 1e300 times the learning rate, the optimizer's \
         rate is inf; use a smaller factor of the learning rate; the network is unchanged"
    );
    assert_eq!(
        run(Fit::new().learning_rate(1e39)),
        "Adam's learning_rate is 1e39, expected a number that is positive and finite as `f32`"
    );
    let none = run(Fit::new().optimizer(RmsProp::new(f64::NAN)));
    assert_eq!(none, "RmsProp's learning_rate is NaN, expected a number that is positive and finite as `f32`");
    let tiny = run(Fit::new().optimizer(RmsProp { epsilon: 1e-46, ..RmsProp::default() }));
    assert_eq!(tiny, "RmsProp's epsilon is 1e-46, expected a number that is positive and finite as `f32`");
    // refused at the first step: nothing has changed
    let mut network = small(0);
    Fit::new().schedule(Schedule::custom(|_| 1e300)).run(&mut network, &data).unwrap_err();
    assert_eq!((bits(&network), network.training_examples()), (bits(&small(0)), None));
    let exact = run(Fit::new().divergence(Divergence::Exact));
    assert!(exact.contains("`affine/kernel` has no closed form"), "{exact}");

    let error = |data: Result<Dataset, Error>| message(data.unwrap_err());
    let absurd = error(Dataset::regression([1], vec![0.0, 1.0], 1 << 63, vec![]));
    assert_eq!(
        absurd,
        "the number of targets is 0, expected 18446744073709551616: targets of shape [9223372036854775808] each for 2 inputs"
    );
    let absurd = error(data.smoothed(1 << 62, 0.1));
    assert!(absurd.contains("elements"), "{absurd}");
    assert_eq!(
        error(Dataset::classification([3], vec![0.0; 7], vec![0, 1])),
        "the number of input elements is 7, expected a multiple of 3 above 0: 3 for each input of shape [3]"
    );
    assert_eq!(
        error(Dataset::classification([3], vec![0.0; 6], vec![0])),
        "the number of targets is 1, expected 2: a label each for 2 inputs"
    );
    assert_eq!(
        error(Dataset::regression([2], vec![0.0, 1.0, f32::NAN, 0.0], 1, vec![0.0; 2])),
        "column 0 of row 1 of the inputs is NaN; every element must be finite"
    );
    assert!(error(Dataset::classification([0], vec![], vec![])).contains("extent 0"));

    let labels = Dataset::classification([3], vec![0.0; 6], vec![1, 2]).unwrap();
    assert_eq!(
        message(Fit::new().run(&mut small(0), &labels).unwrap_err()),
        "the label of row 1 is 2, expected a number below 2, the number of classes"
    );
    let numbers = Dataset::regression([3], vec![0.0; 6], 2, vec![0.0; 4]).unwrap();
    assert_eq!(
        message(Fit::new().run(&mut small(0), &numbers).unwrap_err()),
        "the targets are 2 rows of 2 numbers, where the network needs 2 labels; if they are one-hot rows, \
         make labels of them by `Dataset::one_hot` or `Targets::one_hot`"
    );
    let narrow = Dataset::classification([2], vec![0.0; 4], vec![0, 1]).unwrap();
    assert_eq!(
        message(Fit::new().run(&mut small(0), &narrow).unwrap_err()),
        "the shape of an input is [2], expected [3], that of the network's inputs"
    );
}

#[test]
fn bad_networks_are_errors_that_name_the_layer() {
    let error = |layers: Sequential| message(Network::new(layers, [3], likelihood::Categorical, 0).unwrap_err());
    let narrow = error(Sequential::new().layer(Affine::new(3, 4)).layer(Affine::new(5, 2)));
    assert_eq!(narrow, "in layer `affine_1`: the input has shape [1,4], expected [..,5]");
    assert!(error(Sequential::new().layer(Affine::new(3, 1))).contains("2 or more, one for each class"));
    let reduced = error(Sequential::new().layer(Affine::new(3, 2)).apply(|x| x.sum(0)));
    assert_eq!(
        reduced,
        "the type of the output of `sequential` is f32[2], expected f32[1,..,outputs], a row for each input, as of an affine \
         layer after `Flatten`"
    );

    let mut network = small(0);
    let mut trainer = Trainer::new(&network, 10, TrainerOptions::default()).unwrap();
    network.parameters_mut().set_trainable(false, |path, _| path == "affine_2/bias");
    let data = small_data(4);
    let error = message(trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap_err());
    assert_eq!(
        error,
        "the trainer is not of this network: it has the not trainable `affine_2/bias` f32[2] in place of the trainable \
         `affine_2/bias` f32[2]; make another trainer"
    );
}

/// Norms of gradients are those of one graph, whatever runs it, and looking moves nothing: plain gradient descent moves
/// each parameter by the rate times its gradient.
#[test]
fn gradients_tell_their_norms() {
    let layers = Sequential::new().layer(Affine::new(3, 4).activation(Activation::Tanh)).layer(Affine::new(4, 2));
    let data = facade::small_data(20);
    let input = StepInput::new(data.inputs(), data.targets());
    let mut network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    let before = network.clone();
    let options = || TrainerOptions::default().optimizer(Sgd::new(1.0));
    let mut trainer = Trainer::new(&network, 20, options()).unwrap();
    let norms = trainer.gradient_norms(&network, input).unwrap();
    assert_eq!(norms, trainer.gradient_norms(&network, input).unwrap());
    assert_eq!((network.parameters(), trainer.steps()), (before.parameters(), 0));
    let mut reference = Trainer::new(&network, 20, options().backend(Backend::Reference)).unwrap();
    assert_eq!(norms, reference.gradient_norms(&network, input).unwrap());
    trainer.step(&mut network, input).unwrap();
    for ((path, norm), (_, old)) in norms.iter().zip(before.parameters().iter()) {
        let new = &network.parameters().get(path).unwrap().tensor;
        let pairs = new.as_f32().unwrap().iter().zip(old.tensor.as_f32().unwrap());
        let moved = pairs.map(|(new, old)| (f64::from(*new) - f64::from(*old)).powi(2)).sum::<f64>().sqrt();
        assert!((moved - norm).abs() < 1e-6 * norm.max(0.1), "{path}: {moved} {norm}");
    }
}
