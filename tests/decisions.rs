//! Deciding: with how many samples, by which bits, how often wrong; and abstaining.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
#[path = "facade/networks.rs"]
mod networks;

use bayeslift::{Abstention, Answer, DecisionOptions, Decisions, Measure, ir::DType, prelude::*};
use facade::{digits, digits_network, small_data, small_layers};
use std::collections::BTreeSet;

/// A network whose posterior is so wide that some rows take more samples than others.
fn wide(layers: Sequential, likelihood: impl Likelihood + 'static) -> Network {
    let mut network = Network::new(layers, [3], likelihood, 11).unwrap();
    for (path, parameter) in network.parameters_mut().iter_mut() {
        if path.ends_with("raw_scale") && !path.starts_with("likelihood") {
            let floats = parameter.tensor.shape().elements();
            parameter.tensor = match parameter.tensor.dtype() {
                DType::F64 => bayeslift::ir::Tensor::f64(parameter.tensor.shape().clone(), vec![-0.5; floats]).unwrap(),
                _ => bayeslift::ir::Tensor::f32(parameter.tensor.shape().clone(), vec![-0.5; floats]).unwrap(),
            };
        }
    }
    network
}

fn predictor(network: &Network, samples: usize) -> Predictor {
    Predictor::with_options(network, &PredictorOptions::default().samples(samples)).unwrap()
}

/// What was decided of each row has the bits of a prediction with as many samples.
fn has_the_bits_of_predictions(network: &Network, inputs: &[f32], decisions: &Decisions) {
    let (units, width) = (network.input().elements(), decisions.prediction().labels_of_a_row());
    for &samples in decisions.samples().iter().collect::<BTreeSet<_>>() {
        let predictor = predictor(network, samples);
        for row in (0..decisions.samples().len()).filter(|&row| decisions.samples()[row] == samples) {
            let want = predictor.classify_from(row as u64, &inputs[row * units..][..units]).unwrap();
            let got = decisions.prediction();
            assert_eq!(got.row(row), want.probabilities(), "row {row}, {samples} samples");
            let labels = row * width..(row + 1) * width;
            assert_eq!(&got.predictive_entropy()[labels.clone()], want.predictive_entropy());
            assert_eq!(&got.mutual_information()[labels.clone()], want.mutual_information());
            assert_eq!(&decisions.labels()[labels], want.labels());
        }
    }
}

#[test]
fn decisions_have_the_bits_of_predictions() {
    let (network, data) = trained_digits();
    let (rows, units) = (200, 64);
    let inputs = &data.inputs()[..rows * units];
    let options = DecisionOptions::new(0.05).most(1000);
    let decisions = predictor(&network, 64).decide(inputs, &options).unwrap();
    has_the_bits_of_predictions(&network, inputs, &decisions);
    let taken: BTreeSet<usize> = decisions.samples().iter().copied().collect();
    assert!(taken.len() > 3 && taken.contains(&16) && taken.contains(&1000), "{taken:?}");
    for (&samples, &is_certain) in decisions.samples().iter().zip(decisions.certain()) {
        assert!(is_certain || samples == 1000, "{samples} samples");
    }
    // however it is computed
    for blocks in [(1, 1), (5, 7), (64, 3), (16, 64)] {
        let other = PredictorOptions::default().blocks(blocks.0, blocks.1);
        let other = Predictor::with_options(&network, &other).unwrap().decide(inputs, &options).unwrap();
        assert_eq!(other, decisions, "blocks of {blocks:?}");
    }
    let reference = PredictorOptions::default().backend(Backend::Reference);
    let reference = Predictor::with_options(&network, &reference).unwrap();
    let few = reference.decide(&inputs[..3 * units], &options).unwrap();
    assert_eq!(few.samples(), &decisions.samples()[..3]);
    assert_eq!(few.prediction().probabilities(), &decisions.prediction().probabilities()[..30]);
    let (head, tail) = inputs.split_at(9 * units);
    let predictor = predictor(&network, 64);
    let (head, tail) = (predictor.decide(head, &options).unwrap(), predictor.decide_from(9, tail, &options).unwrap());
    assert_eq!([head.samples(), tail.samples()].concat(), decisions.samples());
    assert_eq!([head.labels(), tail.labels()].concat(), decisions.labels());
    // a larger number at most changes nothing about what was certain before
    let more = predictor.decide(inputs, &DecisionOptions::new(0.05).most(4000)).unwrap();
    for row in 0..rows {
        let is_same = more.samples()[row] == decisions.samples()[row];
        assert!(is_same || decisions.samples()[row] == 1000 && more.samples()[row] > 1000 || !decisions.certain()[row]);
    }
    // fewer samples than a look has
    let few = predictor.decide(inputs, &DecisionOptions::new(0.05).most(5)).unwrap();
    assert_eq!(few.samples(), [5; 200]);
    has_the_bits_of_predictions(&network, inputs, &few);
}

/// Rows are certain together with all of their labels.
#[test]
fn every_kind_of_network_of_classes_decides() {
    let (mut decided, mut refused) = (0, 0);
    for dtype in [DType::F32, DType::F64] {
        for (name, network) in networks::networks_of(dtype) {
            let units = network.input().elements();
            let x: Vec<f32> = (0..5 * units).map(|i| (i * i % 5) as f32).collect();
            let options = DecisionOptions::new(0.2).most(100);
            match predictor(&network, 64).decide(&x, &options) {
                Ok(decisions) => {
                    has_the_bits_of_predictions(&network, &x, &decisions);
                    decided += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Misuse { .. }), "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(decided > 60 && refused > 20, "{decided} decided, {refused} refused");
}

#[test]
fn a_network_that_draws_nothing_is_certain_at_once() {
    let network = Network::new(Affine::new(3, 4), [3], likelihood::Categorical, 0).unwrap();
    let decisions = predictor(&network, 64).decide(&[0.5; 9], &DecisionOptions::new(0.01)).unwrap();
    assert_eq!((decisions.samples(), decisions.certain()), (&[1; 3][..], &[true; 3][..]));
    has_the_bits_of_predictions(&network, &[0.5; 9], &decisions);
}

/// Numbers that overflow: such a row is told, or refused, and the others are what they are without it.
#[test]
fn rows_that_are_not_finite() {
    let mut network = wide(small_layers(), likelihood::Categorical);
    let (path, shape) = {
        let (path, parameter) = network.parameters().iter().find(|(path, _)| path.ends_with("kernel/loc")).unwrap();
        (path.to_owned(), parameter.tensor.shape().clone())
    };
    let large = bayeslift::ir::Tensor::f32(shape.clone(), vec![1e18_f32; shape.elements()]).unwrap();
    network.parameters_mut().assign(&path, large).unwrap();
    let mut x = small_data(40).inputs().to_vec();
    x[7 * 3] = 3e38;
    x[7 * 3 + 1] = 3e38;
    let options = DecisionOptions::new(0.05).most(64);
    let error = predictor(&network, 64).decide(&x, &options).unwrap_err();
    assert!(matches!(error, Error::NonFinitePrediction { row: 7, .. }), "{error}");
    let allowing = PredictorOptions::default().allow_non_finite(true);
    let decisions = Predictor::with_options(&network, &allowing).unwrap().decide(&x, &options).unwrap();
    assert_eq!((decisions.labels()[7], decisions.certain()[7]), (None, false));
    x[7 * 3] = 0.0;
    x[7 * 3 + 1] = 0.0;
    let others = predictor(&network, 64).decide(&x, &options).unwrap();
    for row in (0..40).filter(|&row| row != 7) {
        assert_eq!(decisions.prediction().row(row), others.prediction().row(row));
        assert_eq!(decisions.samples()[row], others.samples()[row]);
    }
}

/// A fair coin for each row: whatever is said to be certain is wrong. Of 2000 rows at most a part of 0.2 may be, and
/// more than 480, were it that part, would be found with a probability below 1e-5. Samples that are 0 or 1 are the
/// worst that there are.
#[test]
fn what_is_undecided_is_rarely_decided() {
    let layer = AffineVariationalReparameterizationLocal::new(1, 1).use_bias(false);
    let mut network = Network::new(layer, [1], likelihood::Bernoulli, 3).unwrap();
    for (path, parameter) in network.parameters_mut().iter_mut() {
        let value = if path.ends_with("loc") { 0.0 } else { 3.0 };
        parameter.tensor.as_f32_mut().unwrap().fill(value);
    }
    for size in [30.0, 0.3] {
        let decisions = predictor(&network, 64).decide(&vec![size; 2000], &DecisionOptions::new(0.2)).unwrap();
        let wrong = decisions.certain().iter().filter(|&&is_certain| is_certain).count();
        println!("inputs of {size}: {wrong} of 2000 fair coins decided");
        assert!(wrong <= 480, "{wrong}");
        assert!(decisions.samples().iter().all(|&samples| samples == 4096 || wrong > 0));
    }
}

fn trained_digits() -> (Network, Dataset) {
    let (train, test) = digits();
    let mut network = digits_network(0);
    Fit::new().batch_size(64).epochs(10).learning_rate(3e-3).run(&mut network, &train).unwrap();
    (network, test)
}

/// Of the digits, beside the mean of 4096 samples of another seed: an error of 0.2 may be that of a part of 0.2, and
/// three seeds of 359 rows would have more than 275 wrong with a probability below 1e-5.
#[test]
fn digits_take_few_samples() {
    let (network, test) = trained_digits();
    let many = PredictorOptions::default().samples(4096).seed(1 << 40);
    let many = Predictor::with_options(&network, &many).unwrap().classify(test.inputs()).unwrap();
    let (mut wrong, mut taken, mut certain) = (0, 0, 0);
    for seed in 0..3 {
        let predictor = PredictorOptions::default().seed(seed);
        let predictor = Predictor::with_options(&network, &predictor).unwrap();
        let decisions = predictor.decide(test.inputs(), &DecisionOptions::new(0.2)).unwrap();
        taken += decisions.samples().iter().sum::<usize>();
        for (row, label) in decisions.labels().into_iter().enumerate() {
            certain += usize::from(decisions.certain()[row]);
            wrong += usize::from(decisions.certain()[row] && label != many.labels()[row]);
        }
    }
    let rows = 3 * test.rows();
    println!("{rows} rows, {certain} certain, {wrong} of them wrong, {:.1} samples each", taken as f64 / rows as f64);
    assert!(wrong <= 275, "{wrong} of {certain}");
    assert!(certain * 10 > rows * 9 && taken < 400 * rows, "{certain} certain by {taken} samples");
}

/// What decisions take and how often they are wrong, for the table of the documentation: prints, and asserts what has
/// to hold of each.
#[test]
fn digits_by_errors_and_thresholds() {
    let (network, test) = trained_digits();
    let predictor = Predictor::new(&network).unwrap();
    let many = PredictorOptions::default().samples(4096).seed(1 << 40);
    let many = Predictor::with_options(&network, &many).unwrap().classify(test.inputs()).unwrap();
    let mut before = usize::MAX;
    for error in [0.001, 0.01, 0.1] {
        for above in [None, Some(0.7)] {
            let mut options = DecisionOptions::new(error);
            options.abstention = above.map(|above| Abstention::new(Measure::PredictiveEntropy, above).unwrap());
            let decisions = predictor.decide(test.inputs(), &options).unwrap();
            let left = options.abstention.map(|abstention| many.abstains(&abstention).unwrap());
            let left = left.unwrap_or_else(|| vec![false; test.rows()]);
            let is_wrong = |row: usize| match (decisions.abstains()[row], left[row]) {
                (false, false) => decisions.labels()[row] != many.labels()[row],
                (got, want) => got != want,
            };
            let certain = || (0..test.rows()).filter(|&row| decisions.certain()[row]);
            let (count, wrong) = (certain().count(), certain().filter(|&row| is_wrong(row)).count());
            let mut sorted = decisions.samples().to_vec();
            sorted.sort_unstable();
            let taken: usize = sorted.iter().sum();
            let mean = taken as f64 / test.rows() as f64;
            println!(
                "error {error}, abstaining above {above:?}: {count} of {} certain, {wrong} wrong, {} abstain, {mean:.1} samples, median {}, 90 % {}",
                test.rows(),
                decisions.abstains().iter().filter(|&&abstains| abstains).count(),
                sorted[test.rows() / 2],
                sorted[test.rows() * 9 / 10],
            );
            if above.is_none() {
                assert!(taken <= before, "{taken} samples at an error of {error}, {before} at a smaller one");
                before = taken;
            }
            // more would be found with a probability below 1e-5, were the error what is asked for
            let most = [(0.001, 5), (0.01, 15), (0.1, 63)].into_iter().find(|(of, _)| *of == error).unwrap().1;
            assert!(wrong <= most, "{wrong} of {count}");
        }
    }
}

#[test]
fn predictions_abstain_above_a_threshold() {
    let network = wide(small_layers(), likelihood::Categorical);
    let data = small_data(50);
    let prediction = predictor(&network, 32).classify(data.inputs()).unwrap();
    for (measure, values) in [
        (Measure::PredictiveEntropy, prediction.predictive_entropy()),
        (Measure::MutualInformation, prediction.mutual_information()),
    ] {
        let mut sorted = values.to_vec();
        sorted.sort_by(f32::total_cmp);
        for (above, count) in [(f64::from(sorted[24]), 25), (f64::from(sorted[49]), 0), (0.0, 50), (10.0, 0)] {
            let abstains = prediction.abstains(&Abstention::new(measure, above).unwrap()).unwrap();
            assert_eq!(abstains.iter().filter(|&&abstains| abstains).count(), count, "{measure:?} above {above}");
            assert!(abstains.iter().zip(values).all(|(&abstains, &value)| abstains == (f64::from(value) > above)));
        }
        let options = DecisionOptions::new(0.1).most(64).abstention(Abstention::new(measure, 0.05).unwrap());
        let decisions = predictor(&network, 32).decide(data.inputs(), &options).unwrap();
        let abstains = decisions.prediction().abstains(&options.abstention.unwrap()).unwrap();
        assert_eq!(decisions.abstains(), abstains);
    }
    let epistemic = Abstention::new(Measure::Epistemic, 0.1).unwrap();
    let error = prediction.abstains(&epistemic).unwrap_err();
    assert!(error.to_string().contains("epistemic"), "{error}");

    let numbers = predictor(&wide(small_layers(), likelihood::Normal::fixed(0.1)), 32);
    let Answer::Numbers(prediction) = numbers.answer_from(0, data.inputs()).unwrap() else { panic!("classes") };
    let abstains = prediction.abstains(&epistemic).unwrap();
    assert!(abstains.iter().zip(prediction.epistemic()).all(|(&abstains, &spread)| abstains == (spread > 0.1)));
    // one sample tells no spread, so nothing is certain
    let one = predictor(&wide(small_layers(), likelihood::Normal::fixed(0.1)), 1);
    assert_eq!(one.regress(&[0.0; 3]).unwrap().abstains(&epistemic).unwrap(), [true, true]);
    let error = prediction.abstains(&Abstention::new(Measure::PredictiveEntropy, 0.1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("predicts numbers"), "{error}");
}

#[test]
fn wrong_options_are_told() {
    let predictor = predictor(&wide(small_layers(), likelihood::Categorical), 8);
    for error in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
        let found = predictor.decide(&[0.0; 3], &DecisionOptions::new(error)).unwrap_err();
        assert!(found.to_string().contains("the error of decisions"), "{found}");
    }
    for most in [0, 1 << 32] {
        let found = predictor.decide(&[0.0; 3], &DecisionOptions::new(0.1).most(most)).unwrap_err();
        assert!(found.to_string().contains("the most samples"), "{found}");
    }
    let epistemic = DecisionOptions::new(0.1).abstention(Abstention::new(Measure::Epistemic, 0.1).unwrap());
    let found = predictor.decide(&[0.0; 3], &epistemic).unwrap_err();
    assert!(matches!(found, Error::Misuse { .. }), "{found}");
    for inputs in [&[][..], &[0.0; 4], &[f32::NAN; 3]] {
        predictor.decide(inputs, &DecisionOptions::new(0.1)).unwrap_err();
    }
    let numbers = wide(small_layers(), likelihood::Normal::fixed(0.1));
    let found = Predictor::new(&numbers).unwrap().decide(&[0.0; 3], &DecisionOptions::new(0.1)).unwrap_err();
    assert!(found.to_string().contains("predicts numbers"), "{found}");
}
