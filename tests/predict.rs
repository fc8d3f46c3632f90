//! Predicting: the same bits however a call is split, the split of the uncertainty, what bad input gets.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{Answer, layers::distribution::Normal, prelude::*};
use facade::{small_data, small_layers};

/// A network whose posterior is wide, so that samples differ.
fn wide(likelihood: impl Likelihood + 'static) -> Network {
    let mut network = Network::new(small_layers(), [3], likelihood, 11).unwrap();
    for (path, parameter) in network.parameters_mut().iter_mut() {
        if path.ends_with("raw_scale") && !path.starts_with("likelihood") {
            parameter.tensor.as_f32_mut().unwrap().fill(-0.5);
        }
    }
    network
}

fn predictor(network: &Network, samples: usize, blocks: (usize, usize)) -> Predictor {
    let options = PredictorOptions::default().samples(samples).blocks(blocks.0, blocks.1);
    Predictor::with_options(network, &options).unwrap()
}

#[test]
fn the_split_of_rows_and_samples_does_not_matter() {
    let network = wide(likelihood::Categorical);
    let data = small_data(32);
    let all = predictor(&network, 37, (32, 32)).classify(data.inputs()).unwrap();
    assert!(all.mutual_information().iter().all(|&information| information > 1e-3));
    for blocks in [(1, 1), (5, 7), (37, 64), (64, 3)] {
        assert_eq!(predictor(&network, 37, blocks).classify(data.inputs()).unwrap(), all, "blocks of {blocks:?}");
    }
    let predictor = predictor(&network, 37, (16, 8));
    let (head, tail) = data.inputs().split_at(7 * 3);
    let (head, tail) = (predictor.classify(head).unwrap(), predictor.classify_from(7, tail).unwrap());
    assert_eq!([head.probabilities(), tail.probabilities()].concat(), all.probabilities());
    assert_eq!([head.mutual_information(), tail.mutual_information()].concat(), all.mutual_information());
    // Row numbers matter, also those above 2^32.
    let far = predictor.classify_from(1 << 40, data.inputs()).unwrap();
    assert_ne!(far, all);
    let one = predictor.classify_from((1 << 40) + 9, data.input(9)).unwrap();
    assert_eq!(one.probabilities(), far.row(9));
}

/// A program that does not know what a network predicts is answered as one that does.
#[test]
fn whatever_a_network_predicts() {
    let inputs = small_data(8).inputs().to_vec();
    let classes = predictor(&wide(likelihood::Categorical), 9, (9, 4));
    let expected = classes.classify_from(1 << 33, &inputs).unwrap();
    assert_eq!(classes.answer_from(1 << 33, &inputs).unwrap(), Answer::Classes(expected));
    let numbers = predictor(&wide(likelihood::Normal::learned(0.5)), 9, (9, 4));
    let expected = numbers.regress_from(5, &inputs).unwrap();
    assert_eq!(numbers.answer_from(5, &inputs).unwrap(), Answer::Numbers(expected));
    assert_eq!(numbers.input()[..], [3]);
    // Student's t with so few degrees of freedom has no mean
    let neither = predictor(&wide(likelihood::StudentT::new(1.0, likelihood::Scale::Fixed(1.0))), 9, (9, 4));
    let error = neither.answer_from(0, &inputs).unwrap_err();
    assert!(matches!(error, Error::Misuse { .. }), "{error}");
    assert!(error.to_string().contains("the likelihood's law tells neither probabilities nor a mean"));
}

#[test]
fn regression_splits_too() {
    let network = wide(likelihood::Normal::learned(0.5));
    let inputs = small_data(32).inputs().to_vec();
    let all = predictor(&network, 20, (20, 32)).regress(&inputs).unwrap();
    let predictor = predictor(&network, 20, (6, 5));
    let (head, tail) = inputs.split_at(7 * 3);
    let (head, tail) = (predictor.regress(head).unwrap(), predictor.regress_from(7, tail).unwrap());
    assert_eq!([head.mean(), tail.mean()].concat(), all.mean());
    assert_eq!([head.epistemic(), tail.epistemic()].concat(), all.epistemic());
    assert_eq!((all.rows(), all.units()), (32, 2));
    for i in 0..64 {
        assert!((all.aleatoric()[i] - 0.5).abs() < 1e-6 && all.epistemic()[i] > 0.01);
        assert!((all.total()[i] - all.aleatoric()[i].hypot(all.epistemic()[i])).abs() < 1e-6);
    }
}

#[test]
fn many_threads_predict_at_once() {
    let network = wide(likelihood::Categorical);
    let predictor = predictor(&network, 16, (8, 8));
    let data = small_data(20);
    let want = predictor.classify(data.inputs()).unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| predictor.classify(data.inputs()).unwrap())).collect();
        calls.into_iter().for_each(|call| assert_eq!(call.join().unwrap(), want));
    });
}

#[test]
fn likelihoods_are_those_of_the_mixture() {
    let network = wide(likelihood::Categorical);
    let data = small_data(20);
    let predictor = predictor(&network, 24, (7, 6));
    let prediction = predictor.classify(data.inputs()).unwrap();
    for (row, log_likelihood) in predictor.log_likelihood(&data).unwrap().into_iter().enumerate() {
        let want = f64::from(prediction.row(row)[data.labels()[row] as usize]).ln();
        assert!((log_likelihood - want).abs() < 1e-5 * (1.0 + want.abs()), "{log_likelihood} {want}");
    }
    let nll = predictor.negative_log_likelihood(&data).unwrap();
    let want = metrics::negative_log_likelihood(prediction.probabilities(), 2, data.labels()).unwrap();
    assert!((nll - want).abs() < 1e-5, "{nll} {want}");
}

#[test]
fn one_sample_of_a_regression_is_a_normal_density() {
    let network = wide(likelihood::Normal::fixed(0.5));
    let data = Dataset::regression([3], small_data(4).inputs().to_vec(), 2, vec![0.1; 8]).unwrap();
    let predictor = predictor(&network, 1, (1, 4));
    let prediction = predictor.regress(data.inputs()).unwrap();
    // one sample says nothing of the spread
    assert!(prediction.epistemic().iter().chain(prediction.total()).all(|spread| spread.is_nan()));
    for (row, log_likelihood) in predictor.log_likelihood(&data).unwrap().into_iter().enumerate() {
        let of = |i: usize| {
            let z = (0.1 - f64::from(prediction.mean()[row * 2 + i])) / 0.5;
            -0.5 * z * z - 0.5_f64.ln() - 0.918_938_533_204_672_7
        };
        let want = of(0) + of(1);
        assert!((log_likelihood - want).abs() < 1e-5 * (1.0 + want.abs()), "{log_likelihood} {want}");
    }
}

#[test]
fn the_posterior_mean_has_no_spread() {
    let network = wide(likelihood::Categorical);
    let options = PredictorOptions::default().posterior_value(PosteriorValue::Mean);
    let predictor = Predictor::with_options(&network, &options).unwrap();
    let prediction = predictor.classify(small_data(9).inputs()).unwrap();
    assert!(prediction.mutual_information().iter().all(|&information| information < 1e-6));
    assert_eq!(prediction, predictor.classify_from(3, small_data(9).inputs()).unwrap());
}

#[test]
fn samples_have_the_posteriors_law() {
    let network = normal_outputs();
    let prediction = predictor(&network, 4096, (512, 4)).regress(&[0.0; 4]).unwrap();
    // Standard errors: 3 / 64 of the mean, 3 / sqrt(2 * 4096) of the deviation. Four each, at a fixed seed.
    for row in 0..4 {
        assert!((prediction.mean()[row] - 2.0).abs() < 4.0 * 3.0 / 64.0, "{prediction:?}");
        assert!((prediction.epistemic()[row] - 3.0).abs() < 4.0 * 3.0 / 90.5, "{prediction:?}");
    }
    assert_ne!(prediction.mean()[0], prediction.mean()[1]);
}

#[test]
fn parameters_are_taken_over_without_compiling() {
    let (wide, mut other) = (wide(likelihood::Categorical), wide(likelihood::Categorical));
    let mut predictor = predictor(&wide, 8, (8, 8));
    other.parameters_mut().get_mut("affine_2/bias").unwrap().tensor.as_f32_mut().unwrap()[0] = 3.0;
    let inputs = small_data(5).inputs().to_vec();
    let before = predictor.classify(&inputs).unwrap();
    predictor.set_parameters(&other).unwrap();
    let after = predictor.classify(&inputs).unwrap();
    assert_ne!(after, before);
    assert_eq!(after, same_predictor(&other).classify(&inputs).unwrap());
    let foreign = Network::new(Affine::new(3, 2), [3], likelihood::Categorical, 0).unwrap();
    assert!(predictor.set_parameters(&foreign).is_err());
    assert_eq!(predictor.classify(&inputs).unwrap(), after);
}

fn same_predictor(network: &Network) -> Predictor {
    predictor(network, 8, (8, 8))
}

#[test]
fn bad_input_is_an_error() {
    let network = wide(likelihood::Categorical);
    let predictor = predictor(&network, 4, (4, 4));
    let error = |result: Result<Classification, Error>| result.unwrap_err().to_string();
    assert!(error(predictor.classify(&[])).contains("a multiple of 3 above 0: 3 for each input"));
    assert!(error(predictor.classify(&[0.0; 4])).contains("a multiple of 3 above 0: 3 for each input"));
    let inputs = [0.0, 0.0, 0.0, 0.0, f32::INFINITY, 0.0];
    assert_eq!(
        error(predictor.classify(&inputs)),
        "column 1 of row 1 of the inputs is inf; every element must be finite"
    );
    assert!(predictor.regress(&[0.0; 3]).unwrap_err().to_string().contains("use `classify`"));
    let unchecked = PredictorOptions::default().samples(4).check_inputs(false);
    let refused = Predictor::with_options(&network, &unchecked).unwrap().classify(&inputs);
    assert!(matches!(refused, Err(Error::NonFinitePrediction { row: 1, largest: f64::INFINITY })), "{refused:?}");
    let unchecked = unchecked.allow_non_finite(true);
    let prediction = Predictor::with_options(&network, &unchecked).unwrap().classify(&inputs).unwrap();
    assert!(prediction.labels()[0].is_some() && prediction.labels()[1].is_none() && prediction.ranking(1).is_empty());
    assert!(prediction.row(0)[0].is_finite() && prediction.row(1)[0].is_nan());
    // what is not a number is not certain
    for uncertainty in [prediction.predictive_entropy(), prediction.expected_entropy(), prediction.mutual_information()]
    {
        assert!(uncertainty[0] >= 0.0 && uncertainty[1].is_nan(), "{uncertainty:?}");
    }
    for options in [PredictorOptions::default().samples(0), PredictorOptions::default().blocks(1, 0)] {
        assert!(Predictor::with_options(&network, &options).unwrap_err().to_string().contains("at least 1"));
    }
    let labels = Dataset::classification([3], vec![0.0; 3], vec![9]).unwrap();
    assert!(matches!(predictor.log_likelihood(&labels), Err(Error::Label { row: 0, label: 9, classes: 2 })));
}

/// A layer without inputs to speak of: the output is normal with the location 2 and the scale 3 of its bias.
fn normal_outputs() -> Network {
    let posterior = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, _| {
            let loc = scope.parameter("loc", shape, &Initializer::Constant(2.0))?;
            Ok(Normal::new(loc, scope.builder().constant(3.0).broadcast(shape)).into())
        })
    });
    let layer = AffineVariationalReparameterizationLocal::new(1, 1).posterior_maker(posterior);
    Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).unwrap()
}

#[test]
fn the_variance_of_few_samples_has_no_bias() {
    let network = normal_outputs();
    // The estimate of one row has the standard deviation 9 sqrt(2 / (S - 1)); the mean is of 4096 rows.
    for samples in [2, 4] {
        let found = predictor(&network, samples, (samples, 64)).regress(&[0.0; 4096]).unwrap();
        let variance = found.epistemic().iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / 4096.0;
        let error = 9.0 * (2.0 / (samples as f64 - 1.0)).sqrt() / 64.0;
        assert!((variance - 9.0).abs() < 4.0 * error, "{samples} samples: {variance}");
        for (epistemic, total) in found.epistemic().iter().zip(found.total()) {
            assert!((total / epistemic.hypot(1.0) - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn a_network_that_draws_nothing_has_no_spread() {
    let network = Network::new(Affine::new(3, 2), [3], likelihood::Normal::fixed(0.5), 1).unwrap();
    for (samples, blocks) in [(1, (1, 1)), (8, (1, 4)), (8, (8, 4))] {
        let found = predictor(&network, samples, blocks).regress(small_data(5).inputs()).unwrap();
        assert_eq!((found.epistemic(), found.total()), (&[0.0; 10][..], &[0.5; 10][..]), "{samples} samples");
    }
}

#[test]
fn certainty_has_no_entropy() {
    // logits of 0 and -200 or so, in every sample
    let mut network = Network::new(Affine::new(3, 2), [3], likelihood::Categorical, 1).unwrap();
    network.parameters_mut().get_mut("bias").unwrap().tensor.as_f32_mut().unwrap()[0] = -200.0;
    let found = predictor(&network, 3, (3, 4)).classify(small_data(5).inputs()).unwrap();
    for of in [found.predictive_entropy(), found.expected_entropy(), found.mutual_information()] {
        assert!(of.iter().all(|x| x.to_bits() == 0), "{of:?}");
    }
}

/// Requests with numbers of their own, from many threads, are computed in whatever groups they come together in.
#[test]
fn a_service_answers_each_request_alone() {
    use std::sync::{Mutex, mpsc};
    let network = wide(likelihood::Categorical);
    let predictor = predictor(&network, 9, (4, 8));
    let data = small_data(60);
    // Numbers in turns close and far, repeated ones and the largest among them.
    let number = |request: usize| match request % 5 {
        0 => u64::MAX - request as u64 / 5,
        1 => 7,
        2 => 1 << (request % 60),
        _ => 1000 + request as u64,
    };
    let answers = Mutex::new(vec![None; 60]);
    let serve = |requests: Vec<usize>| {
        let numbers: Vec<u64> = requests.iter().map(|&request| number(request)).collect();
        let inputs: Vec<f32> = requests.iter().flat_map(|&request| data.input(request).to_vec()).collect();
        let found = predictor.classify_rows(&numbers, &inputs).unwrap();
        for (row, &request) in requests.iter().enumerate() {
            let answer = (found.row(row).to_vec(), found.mutual_information()[row]);
            answers.lock().unwrap()[request] = Some(answer);
        }
    };
    let (send, receive) = mpsc::channel::<usize>();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let send = send.clone();
            scope.spawn(move || (0..15).for_each(|i| send.send(i * 4 + client).unwrap()));
        }
        drop(send);
        // groups of one to seventeen
        let mut size = 1;
        while let Ok(first) = receive.recv() {
            let requests: Vec<usize> = std::iter::once(first).chain(receive.iter().take(size - 1)).collect();
            size = size % 17 + 4;
            let serve = &serve;
            scope.spawn(move || serve(requests));
        }
    });
    for (request, answer) in answers.into_inner().unwrap().into_iter().enumerate() {
        let alone = predictor.classify_from(number(request), data.input(request)).unwrap();
        let want = (alone.row(0).to_vec(), alone.mutual_information()[0]);
        assert_eq!(answer, Some(want), "request {request}, number {}", number(request));
    }
}

#[test]
fn regressions_of_numbered_rows_are_those_of_the_numbers() {
    let network = wide(likelihood::Normal::fixed(0.5));
    let predictor = predictor(&network, 7, (3, 4));
    let inputs = small_data(10).inputs().to_vec();
    let numbers = [5, 3, 3, 4, 1 << 50, 6, 3, 0, 2, 5];
    let found = predictor.regress_rows(&numbers, &inputs).unwrap();
    for (row, &number) in numbers.iter().enumerate() {
        let alone = predictor.regress_from(number, &inputs[row * 3..][..3]).unwrap();
        let own = row * 2..(row + 1) * 2;
        assert_eq!((&found.mean()[own.clone()], &found.total()[own]), (alone.mean(), alone.total()), "row {row}");
    }
    let error = predictor.regress_rows(&numbers[..9], &inputs).unwrap_err().to_string();
    assert_eq!(error, "the number of row numbers is 9, expected 10, one for each row");
}
