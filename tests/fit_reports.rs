//! How fits end: what validation chooses, what errors keep, what reports note.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{
    FitNote,
    ir::{DType, Tensor},
    prelude::*,
};
use facade::{bits, small_data, small_layers};
use std::error::Error as _;

/// 40 points of y = slope x.
fn line(slope: f32) -> Dataset {
    let x: Vec<f32> = (0..40).map(|i| i as f32 / 40.0 - 0.5).collect();
    let y = x.iter().map(|x| slope * x).collect();
    Dataset::regression([1], x, 1, y).unwrap()
}

/// y = x times a weight that begins here.
fn slope(weight: f32) -> Network {
    let layer = Affine::new(1, 1).use_bias(false);
    let mut network = Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    network.parameters_mut().assign("kernel", Tensor::f32([1, 1], [weight]).unwrap()).unwrap();
    network
}

fn weight(network: &Network) -> f32 {
    network.parameters().get("kernel").unwrap().tensor.as_f32().unwrap()[0]
}

/// A row of which the likelihood is finite, and one where its square is as long as the weight is below 2 or so.
fn steep() -> Dataset {
    Dataset::regression([1], vec![0.1, 1e19], 1, vec![0.0, 0.0]).unwrap()
}

/// The parts of an error of a fit.
fn failed(result: Result<FitReport, Error>) -> (usize, FitReport, Error, String) {
    let error = result.unwrap_err();
    let message = error.to_string();
    assert_eq!(
        error.source().unwrap().to_string(),
        match &error {
            Error::Fit { source, .. } => source.to_string(),
            other => panic!("{other}"),
        }
    );
    let Error::Fit { epoch, report, source, .. } = error else { unreachable!("matched before") };
    (epoch, *report, *source, message)
}

#[test]
fn a_validation_that_is_never_finite_is_an_error_that_names_the_row() {
    for (bad, value) in [(1e20, f64::NEG_INFINITY), (-1e20, f64::NEG_INFINITY)] {
        let validation = Dataset::regression([1], vec![0.1, bad, bad], 1, vec![0.0; 3]).unwrap();
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(10).validation(validation.clone());
        let mut network = slope(1.0);
        let (epoch, report, source, message) = failed(fit(200).run(&mut network, &line(2.0)));
        // not after 200 epochs
        assert_eq!((epoch, report.epochs.len(), report.steps, report.best_epoch), (10, 10, 40, None));
        let Error::NonFiniteValidation { epoch, row, log_likelihood } = source else { panic!("{source}") };
        assert_eq!((epoch, row, log_likelihood), (10, 1, value));
        assert_eq!(
            message,
            "fitting ended in epoch 10 of 200, after 40 steps: validation can choose no epoch, since it is not finite: \
             after epoch 10 the log likelihood of row 1 of the validation data is -inf; the network now has the \
             parameters of step 40"
        );
        // what was trained is kept
        let mut same = slope(1.0);
        Fit::new().epochs(10).batch_size(10).run(&mut same, &line(2.0)).unwrap();
        assert_eq!((bits(&network), network.training_examples()), (bits(&same), Some(40)));
        let (epoch, report, source, _) = failed(fit(3).run(&mut slope(1.0), &line(2.0)));
        assert!(epoch == 3 && report.epochs.len() == 3 && matches!(source, Error::NonFiniteValidation { .. }));
    }
    // not a number: a quotient of two infinities, for the second row
    let validation = Dataset::classification([3], [[0.1; 3], [1e20, -1e20, 1e20]].concat(), vec![0, 1]).unwrap();
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new()
        .layer(layer(3, 8).activation(Activation::Relu))
        .apply(|x| x.square() / (x.square() + 1.0))
        .layer(layer(8, 2));
    let mut network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    let (_, report, source, _) = failed(Fit::new().epochs(4).validation(validation).run(&mut network, &small_data(40)));
    assert!(matches!(source, Error::NonFiniteValidation { epoch: 4, row: 1, .. }), "{source}");
    assert!(report.epochs.iter().all(|epoch| !epoch.validation.unwrap().is_finite() && epoch.loss.is_finite()));
    assert!(network.parameters().check_finite().is_ok());
}

#[test]
fn the_best_of_the_epochs_that_compare_is_kept() {
    // The weight grows by about 0.1 a step, four times an epoch, until the steep row is too steep.
    let mut network = slope(0.2);
    let fit = |weight| Fit::new().epochs(12).batch_size(10).learning_rate(weight).validation(steep());
    let report = fit(0.1).run(&mut network, &line(9.0)).unwrap();
    let finite = report.epochs.iter().take_while(|epoch| epoch.validation.unwrap().is_finite()).count();
    assert!((2..10).contains(&finite), "the test is void: {report}");
    let lost: Vec<usize> = (finite + 1..=12).collect();
    let note = FitNote::NotCompared { epochs: lost.clone(), row: 1, log_likelihood: f64::NEG_INFINITY };
    assert_eq!((report.best_epoch, &report.notes[..]), (Some(1), &[note][..]));
    let expected = format!(
        "\nnote: {} epochs could not be compared: after epoch 12 the log likelihood of row 1 of the validation data was \
         -inf",
        lost.len()
    );
    assert!(report.to_string().ends_with(&expected), "{report}");
    assert!(weight(&network) < 1.0);

    // The other way around: the network recovers. An epoch that does not compare is no reason to keep it.
    let mut network = slope(3.5);
    let report = fit(0.1).early_stopping(11).run(&mut network, &line(0.0)).unwrap();
    let lost = report.epochs.iter().take_while(|epoch| !epoch.validation.unwrap().is_finite()).count();
    assert!((1..8).contains(&lost), "the test is void: {report}");
    assert!(report.best_epoch.unwrap() > lost && weight(&network).abs() < 2.0, "{report}");
    assert!(matches!(&report.notes[0], FitNote::LongPatience { patience: 11, epochs: 12 }), "{report}");
    assert!(matches!(&report.notes[1], FitNote::NotCompared { epochs, .. } if epochs.len() == lost), "{report}");

    // Patience runs while nothing compares.
    let (epoch, report, source, _) = failed(fit(1e-3).early_stopping(3).run(&mut slope(3.5), &line(9.0)));
    assert_eq!((epoch, report.stopped_early), (3, true));
    assert!(matches!(source, Error::NonFiniteValidation { epoch: 3, row: 1, .. }), "{source}");
}

fn warming(warm_up: WarmUp) -> (Network, Fit<'static>) {
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(3, 30).activation(Activation::Relu)).layer(layer(30, 2));
    let network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    (network, Fit::new().epochs(60).batch_size(16).learning_rate(2e-2).warm_up(warm_up).validation_split(0.3))
}

#[test]
fn validation_chooses_after_the_warm_up() {
    // 56 examples in 4 batches: 240 steps. The warm-up is over after 142, in epoch 36; epoch 37 is the first with it
    // all.
    let data = small_data(80);
    let (mut network, fit) = warming(WarmUp::Steps(142));
    let report = fit.early_stopping(5).run(&mut network, &data).unwrap();
    let validation = |epoch: usize| report.epochs[epoch - 1].validation.unwrap();
    let best = report.best_epoch.unwrap();
    assert!(best >= 37, "{report}");
    let warm = (1..=36).map(validation).fold(f64::INFINITY, f64::min);
    assert!(warm < validation(best), "the test is void: no cold epoch is better: {report}");
    assert!((37..=report.epochs.len()).all(|epoch| validation(epoch) >= validation(best)));
    // patience runs from epoch 37
    assert!(report.stopped_early && report.epochs.len() == best + 5, "{report}");
    assert_eq!(report.divergence_weight, 1.0);
    let weights: Vec<f64> = report.epochs.iter().map(|epoch| epoch.divergence_weight).collect();
    assert_eq!((weights[0], weights[34], weights[35]), (3.0 / 142.0, 139.0 / 142.0, 1.0));
    assert!(weights.windows(2).all(|pair| pair[0] <= pair[1]));
    // The network has the parameters of that epoch.
    let (part, _) = data.split(0.3, 1).unwrap();
    let options = PredictorOptions::default().samples(16).seed(1);
    let again = Predictor::with_options(&network, &options).unwrap().negative_log_likelihood(&part).unwrap();
    assert_eq!(again, validation(best));
}

#[test]
fn a_warm_up_as_long_as_training_leaves_nothing_to_choose() {
    let data = small_data(80);
    for warm_up in [WarmUp::Fraction(1.0), WarmUp::Steps(1000), WarmUp::Steps(237)] {
        let (mut network, fit) = warming(warm_up);
        let report = fit.early_stopping(2).run(&mut network, &data).unwrap();
        assert_eq!((report.best_epoch, report.epochs.len(), report.stopped_early), (None, 60, false));
        // The last parameters: those of a fit without validation.
        let (mut other, fit) = warming(warm_up);
        let (_, train) = data.split(0.3, 1).unwrap();
        let plain = fit.validation(data.clone()).run(&mut other, &train).unwrap();
        assert_eq!((bits(&other), plain.steps), (bits(&network), 240));
        // The warm-up of 237 steps is over in the last epoch, but not in all of it.
        let reached = report.epochs[59].divergence_weight;
        let mut notes = vec![FitNote::NoEpochToChoose];
        if warm_up != WarmUp::Steps(237) {
            notes.insert(0, FitNote::WarmUpNotOver { reached, divergence_weight: 1.0 });
        }
        assert_eq!((report.notes, report.divergence_weight), (notes, reached), "{warm_up:?}");
    }
}

#[test]
fn a_fit_that_fails_keeps_what_it_has() {
    let data = line(2.0);
    let fails = |at: f64| Schedule::custom(move |done| if done < at { 1.0 } else { f64::NAN });
    let fit = |epochs: usize| Fit::new().epochs(epochs).batch_size(10).learning_rate(0.3);
    // Without validation: what the steps before have made of it. The ninth of 16 steps fails, in epoch 3.
    let mut network = slope(1.0);
    let (epoch, report, source, message) = failed(fit(4).schedule(fails(0.5)).run(&mut network, &data));
    assert_eq!((epoch, report.steps, report.epochs.len(), report.best_epoch), (3, 8, 2, None));
    assert!(matches!(source, Error::Argument { .. }));
    assert_eq!(
        message,
        "fitting ended in epoch 3 of 4, after 8 steps: the factor of the learning rate is NaN, expected a finite number, not \
         negative; the network now has the parameters of step 8"
    );
    let mut same = slope(1.0);
    assert_eq!(fit(2).run(&mut same, &data).unwrap().epochs, report.epochs);
    assert_eq!((bits(&network), network.training_examples()), (bits(&same), Some(40)));
    // With validation: the best so far.
    let validation = Dataset::regression([1], vec![0.1, 1.0], 1, vec![0.2, 2.0]).unwrap();
    let mut network = slope(1.0);
    let fit = fit(40).validation(validation.clone()).schedule(fails(0.9));
    let (_, report, _, message) = failed(fit.run(&mut network, &data));
    let best = report.best_epoch.unwrap();
    assert!(best < report.epochs.len(), "the test is void: {report}");
    assert!(message.contains(&format!("parameters of epoch {best}, the best validated")), "{message}");
    let again = Predictor::new(&network).unwrap().negative_log_likelihood(&validation).unwrap();
    assert_eq!(Some(again), report.epochs[best - 1].validation);
    // A loss that is not finite, in the second step: one of the rows has a target that is too far.
    let (mut inputs, mut targets) = (data.inputs().to_vec(), data.values().to_vec());
    (inputs[25], targets[25]) = (1.0, 1e30);
    let data = Dataset::regression([1], inputs, 1, targets).unwrap();
    let mut network = slope(1.0);
    let (_, report, source, _) = failed(Fit::new().batch_size(20).shuffle(false).run(&mut network, &data));
    assert_eq!((report.steps, report.epochs.len()), (1, 0));
    assert!(matches!(source, Error::NonFiniteLoss { step: 2, .. }), "{source}");
    assert!(weight(&network).is_finite() && weight(&network) != 1.0);
    // Where no step was made the network is what it was, and says so.
    let mut network = slope(1.0);
    let (_, report, _, message) = failed(Fit::new().shuffle(false).run(&mut network, &data));
    assert_eq!((report.steps, report.divergence_weight), (0, 0.0));
    assert!(
        message.starts_with("fitting ended in epoch 1 of 10, after 0 steps: the loss of step 1 is inf"),
        "{message}"
    );
    assert!(message.ends_with("; the network is unchanged"), "{message}");
    assert_eq!((bits(&network), network.training_examples()), (bits(&slope(1.0)), None));
}

#[test]
fn what_options_may_not_have_meant_is_noted() {
    let data = small_data(10);
    let network = || Network::new(small_layers(), [3], likelihood::Categorical, 0).unwrap();
    let notes = |fit: Fit<'_>| fit.epochs(3).run(&mut network(), &data).unwrap().notes;
    assert_eq!(notes(Fit::new().batch_size(10)), []);
    assert_eq!(notes(Fit::new().batch_size(4)), []);
    let larger = notes(Fit::new().batch_size(11));
    assert_eq!(larger, [FitNote::BatchLargerThanData { batch_size: 11, training_examples: 10 }]);
    assert_eq!(
        larger[0].to_string(),
        "the batch size is 11, but there are 10 training examples: a batch is all of them"
    );
    assert_eq!(notes(Fit::new().batch_size(5).warm_up(WarmUp::Steps(5))), []);
    let warm = notes(Fit::new().batch_size(5).divergence_weight(0.5).warm_up(WarmUp::Steps(10)));
    assert_eq!(warm, [FitNote::WarmUpNotOver { reached: 0.25, divergence_weight: 0.5 }]);
    assert_eq!(notes(Fit::new().batch_size(5).divergence_weight(0.0).warm_up(WarmUp::Steps(10))), []);
    let patient = |patience| notes(Fit::new().batch_size(8).validation_split(0.2).early_stopping(patience));
    assert_eq!(patient(1), []);
    assert_eq!(patient(2), [FitNote::LongPatience { patience: 2, epochs: 3 }]);
    // The report in words.
    let report = Fit::new().epochs(3).batch_size(16).validation_split(0.2).run(&mut network(), &data).unwrap();
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("3 epochs, 3 steps on 8 examples in "), "{text}");
    assert!(lines[1].starts_with("epoch ") && lines[1].contains(" weighted by 1, "), "{text}");
    assert!(lines[1].contains(" of an example, validation "), "{text}");
    assert!(lines[2].starts_with("affine/kernel: scale 1.00e-3 to 1.0"), "{text}");
    assert_eq!(lines[6], "note: the batch size is 16, but there are 8 training examples: a batch is all of them");
}

/// A second fit goes on from where the first ended, whichever parameters that kept.
#[test]
fn a_network_is_fitted_again() {
    let data = small_data(60);
    let mut network = Network::new(small_layers(), [3], likelihood::Categorical, 3).unwrap();
    let fit = || Fit::new().epochs(6).batch_size(16).learning_rate(0.1).validation_split(0.25);
    fit().run(&mut network, &data).unwrap();
    let before = network.clone();
    let first = fit().run(&mut network, &data).unwrap();
    let mut again = before;
    let second = fit().run(&mut again, &data).unwrap();
    assert_eq!((first.epochs, bits(&network)), (second.epochs, bits(&again)));
    assert!(network.parameters().check_finite().is_ok());
}

/// Fits without warm-up, validation and batch normalization: the bits are those they always had.
#[test]
fn plain_fits_keep_their_bits() {
    let mut network = Network::new(small_layers(), [3], likelihood::Categorical, 1).unwrap();
    let fit = Fit::new().epochs(4).batch_size(7).learning_rate(1e-2).divergence_weight(0.3);
    let report = fit.schedule(Schedule::Cosine { to: 0.1 }).run(&mut network, &small_data(30)).unwrap();
    let losses: Vec<u64> = report.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect();
    assert_eq!(losses, [4618510336774827758, 4618405084413646166, 4618357592204316946, 4618275201488763835]);
    let words = bits(&network).into_iter().flat_map(|(_, words)| words);
    let hash =
        words.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| (hash ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 0x5f2e_a9ed_837d_4b27);
}

/// Of a network of `f64` steps and reports have all digits, in logs too, and what is too large for `f32` is no error.
#[test]
fn losses_of_f64_have_all_digits() {
    let layers = || Sequential::new().layer(Affine::new(1, 1)).dtype(DType::F64);
    let (mean, targets) = (1.0 / 3.0, vec![0.1, 0.7]);
    let data = Dataset::regression_f64([1], vec![0.0, 0.0], [], 1, targets.clone()).unwrap();
    let log = std::env::temp_dir().join(format!("bayeslift-losses-{}.csv", std::process::id()));
    let mut network = Network::new(layers(), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    network.parameters_mut().assign("affine/bias", Tensor::f64([1], [mean]).unwrap()).unwrap();
    let mut losses = Vec::new();
    let fit = Fit::new().epochs(1).batch_size(2).log(&log).progress(|progress| {
        losses.push(progress.loss.loss);
        std::ops::ControlFlow::Continue(())
    });
    let report = fit.run(&mut network, &data).unwrap();
    let square = targets.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / 4.0;
    let want = square + 0.5 * (2.0 * std::f64::consts::PI).ln();
    assert!((losses[0] - want).abs() < 1e-15, "{} and {want}", losses[0]);
    assert!((report.epochs[0].loss - want).abs() < 1e-15);
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert_eq!(text.lines().nth(1).unwrap().split(',').nth(2).unwrap().parse::<f64>().unwrap(), losses[0]);

    let far = Dataset::regression_f64([1], vec![0.0], [], 1, vec![1e30]).unwrap();
    let mut network = Network::new(layers(), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let report = Fit::new().epochs(1).run(&mut network, &far).unwrap();
    assert!((report.epochs[0].loss / 0.5e60 - 1.0).abs() < 1e-15, "{report}");
}
