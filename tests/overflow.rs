//! Predictions from inputs so large that what is computed of them overflows: right where they can be, and else an
//! error.

use bayeslift::{layers::distribution::Normal, prelude::*};

/// A layer whose locations are drawn and whose scales are all 0.1.
fn local(inputs: usize, outputs: usize, activation: Activation) -> AffineVariationalReparameterizationLocal {
    let posterior = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, _| {
            let loc = scope.parameter("loc", shape, &Initializer::HeNormal)?;
            Ok(Normal::new(loc, scope.builder().constant(0.1).broadcast(shape)).into())
        })
    });
    AffineVariationalReparameterizationLocal::new(inputs, outputs).posterior_maker(posterior).activation(activation)
}

fn regression(layers: impl Layer + 'static, inputs: usize) -> Network {
    Network::new(layers, [inputs], likelihood::Normal::fixed(0.5), 7).unwrap()
}

fn predictor(network: &Network) -> Predictor {
    Predictor::with_options(network, &PredictorOptions::default().samples(16).blocks(8, 8)).unwrap()
}

#[test]
fn spreads_scale_with_inputs_beyond_the_squares() {
    // beside inputs of this size the bias is nothing
    let predictor = predictor(&regression(local(3, 2, Activation::None), 3));
    let unit = predictor.regress(&[1e10, -2e10, 3e10]).unwrap();
    let large = predictor.regress(&[1e30, -2e30, 3e30]).unwrap();
    for (unit, large) in [(unit.mean(), large.mean()), (unit.epistemic(), large.epistemic())] {
        for (unit, large) in unit.iter().zip(large) {
            assert!((large / unit / 1e20 - 1.0).abs() < 1e-5, "{large} for 1e20 * {unit}");
        }
    }
}

#[test]
fn a_squashed_output_is_as_certain_as_it_is() {
    let predictor = predictor(&regression(local(1, 3, Activation::Tanh), 1));
    let (small, large) = (predictor.regress(&[1e15]).unwrap(), predictor.regress(&[1e20]).unwrap());
    assert_eq!((large.mean(), large.epistemic()), (small.mean(), small.epistemic()));
    let sure = small.mean().iter().filter(|mean| mean.abs() == 1.0).count();
    assert!(sure > 0, "{small:?}");
}

#[test]
fn layers_behind_a_relu_get_what_they_should() {
    let layers = Sequential::new().layer(local(2, 8, Activation::Relu)).layer(local(8, 2, Activation::Tanh));
    let network = Network::new(layers.clone().layer(Affine::new(2, 3)), [2], likelihood::Categorical, 3).unwrap();
    let predictor = predictor(&network);
    let (small, large) = (predictor.classify(&[1e12, -3e12]).unwrap(), predictor.classify(&[1e24, -3e24]).unwrap());
    assert_eq!(small.probabilities(), large.probabilities());
    assert!(large.labels()[0].is_some());
}

#[test]
fn a_prediction_that_is_not_finite_is_an_error_with_its_row() {
    let network = regression(local(3, 2, Activation::None), 3);
    let mut inputs = vec![0.5; 12 * 3];
    inputs[7 * 3..8 * 3].fill(f32::MAX);
    inputs[9 * 3..10 * 3].fill(-f32::MAX);
    let error = predictor(&network).regress(&inputs).unwrap_err();
    let is_largest = |x: f64| x == f64::from(f32::MAX);
    assert!(matches!(error, Error::NonFinitePrediction { row: 7, largest } if is_largest(largest)), "{error}");
    let allowing = PredictorOptions::default().samples(16).blocks(8, 8).allow_non_finite(true);
    let allowing = Predictor::with_options(&network, &allowing).unwrap();
    let found = allowing.regress(&inputs).unwrap();
    let ordinary = predictor(&network).regress(&[0.5; 12 * 3]).unwrap();
    let kinds = [Regression::mean, Regression::aleatoric, Regression::epistemic, Regression::total];
    for of in kinds {
        for row in 0..12 {
            let (found, ordinary) = (&of(&found)[row * 2..][..2], &of(&ordinary)[row * 2..][..2]);
            match row {
                7 | 9 => assert!(found.iter().all(|x| x.is_nan()), "row {row}: {found:?}"),
                _ => assert_eq!(found, ordinary, "row {row}"),
            }
        }
    }
    // rows are counted from the first of the call, whatever their numbers
    let error = predictor(&network).regress_rows(&[40, 3], &[0.0, 0.0, 0.0, f32::MAX, 0.0, -f32::MAX]);
    assert!(matches!(error, Err(Error::NonFinitePrediction { row: 1, .. })), "{error:?}");
}

#[test]
fn parameters_that_are_not_finite_are_no_answer() {
    let layers = Sequential::new().layer(Affine::new(3, 4).activation(Activation::Relu)).layer(Affine::new(4, 3));
    let mut network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    network.parameters_mut().get_mut("affine_1/kernel").unwrap().tensor.as_f32_mut().unwrap()[2] = f32::NAN;
    let predictor = predictor(&network);
    assert!(matches!(predictor.classify(&[1.0; 6]), Err(Error::NonFinitePrediction { row: 0, .. })));
    let data = Dataset::classification([3], vec![1.0; 6], vec![0, 1]).unwrap();
    assert!(matches!(predictor.log_likelihood(&data), Err(Error::NonFinitePrediction { row: 0, .. })));
}

#[test]
fn likelihoods_are_of_the_same_outputs() {
    let layers = Sequential::new().layer(local(2, 4, Activation::Tanh)).layer(Affine::new(4, 1));
    let network = regression(layers, 2);
    let predictor = predictor(&network);
    let of = |scale: f32, target: f32| {
        let data = Dataset::regression([2], vec![scale, -3.0 * scale, 0.5, 1.0], 1, vec![target, 0.2]).unwrap();
        predictor.log_likelihood(&data).unwrap()
    };
    assert_eq!(of(1e15, 0.3), of(1e24, 0.3));
    // a target that is out of reach has no density in `f32`
    assert_eq!(of(1.0, 1e30)[0], f64::NEG_INFINITY);
    assert_eq!(of(1.0, 1e30)[1], of(1e24, 0.3)[1]);
}

/// Whether a row has a prediction is a matter of its own samples, however they are split into blocks.
#[test]
fn samples_that_are_not_asked_for_do_not_count() {
    let posterior = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, _| {
            let loc = scope.parameter("loc", shape, &Initializer::Zeros)?;
            Ok(Normal::new(loc, scope.builder().constant(1.0).broadcast(shape)).into())
        })
    });
    // 2.5e38 times a normal number: one sample in six overflows, and tanh makes 1 of it
    let layer = AffineVariationalReparameterizationLocal::new(1, 1).posterior_maker(posterior);
    let network = regression(layer.activation(Activation::Tanh), 1);
    let found = |samples: usize, rows: usize| -> Vec<bool> {
        let options = PredictorOptions::default().samples(5).blocks(samples, rows).allow_non_finite(true);
        let found = Predictor::with_options(&network, &options).unwrap().regress(&[2.5e38; 64]).unwrap();
        found.mean().iter().map(|mean| mean.is_nan()).collect()
    };
    let want = found(5, 64);
    let refused = want.iter().filter(|refused| **refused).count();
    assert!((20..60).contains(&refused), "{refused} of 64");
    for (samples, rows) in [(1, 1), (2, 8), (3, 64), (4, 16)] {
        assert_eq!(found(samples, rows), want, "blocks of {samples} samples and {rows} rows");
    }
}
