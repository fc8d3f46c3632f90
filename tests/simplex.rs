//! Networks whose targets are points on the simplex: training, predicting, what bad targets get.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::prelude::*;
use facade::{bits, digits, small_data};

fn network(layers: Sequential, inputs: usize) -> Network {
    Network::new(layers, [inputs], likelihood::SoftmaxCenteredNormal::learned(1.0), 1).unwrap()
}

fn digits_network() -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalFlipout::new(64, 32).activation(Activation::Relu))
        .layer(AffineVariationalReparameterizationLocal::new(32, 9));
    network(layers, 64)
}

#[test]
fn labels_are_learned_as_points() {
    let (train, test) = digits();
    let mut network = digits_network();
    assert_eq!((network.outputs(), network.classes()), (9, Some(10)));
    let train = train.smoothed(10, 0.05).unwrap();
    let report = Fit::new()
        .epochs(15)
        .learning_rate(1e-2)
        .divergence_weight(0.1)
        .validation(test.smoothed(10, 0.05).unwrap())
        .run(&mut network, &train)
        .unwrap();
    let validations: Vec<f64> = report.epochs.iter().filter_map(|epoch| epoch.validation).collect();
    assert!(validations.last() < validations.first(), "{validations:?}");
    let prediction = Predictor::new(&network).unwrap().classify(test.inputs()).unwrap();
    assert_eq!((prediction.classes(), prediction.rows()), (10, test.rows()));
    let accuracy = metrics::accuracy(prediction.probabilities(), 10, test.labels()).unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn model_files_know_the_likelihood() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("simplex.safetensors");
    let network = digits_network();
    network.save(&path).unwrap();
    let normal = "Normal(loc = output, scale = softplus(likelihood/raw_scale) + 1e-5)";
    assert_eq!(ModelFile::read(&path).unwrap().likelihood, format!("SoftmaxCentered({normal})"));
    let mut loaded = digits_network();
    loaded.parameters_mut().get_mut("likelihood/raw_scale").unwrap().tensor.as_f32_mut().unwrap()[0] = 9.0;
    loaded.load(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&network));
    let layers = || Sequential::new().layer(AffineVariationalFlipout::new(64, 9));
    let mut other = Network::new(layers(), [64], likelihood::Normal::fixed(1.0), 0).unwrap();
    let error = other.load(&path).unwrap_err().to_string();
    assert!(error.contains("its likelihood is SoftmaxCentered(Normal("), "{error}");
}

/// By hand, with the posterior mean as the only sample.
#[test]
fn log_likelihood_is_the_density_of_the_point() {
    let layers = Sequential::new().layer(AffineVariationalFlipout::new(3, 1));
    let network = Network::new(layers, [3], likelihood::SoftmaxCenteredNormal::fixed(0.5), 1).unwrap();
    let data = small_data(4).smoothed(2, 0.3).unwrap();
    let options = PredictorOptions::default().posterior_value(PosteriorValue::Mean);
    let predictor = Predictor::with_options(&network, &options).unwrap();
    let prediction = predictor.classify(data.inputs()).unwrap();
    for (row, found) in predictor.log_likelihood(&data).unwrap().into_iter().enumerate() {
        let (p, y) = (prediction.row(row), &data.values()[2 * row..]);
        let ratio = |x: &[f32]| (f64::from(x[0]) / f64::from(x[1])).ln();
        let z = (ratio(y) - ratio(p)) / 0.5;
        let want = -0.5 * z * z
            - 0.5_f64.ln()
            - 0.918_938_533_204_672_7
            - f64::from(y[0]).ln()
            - f64::from(y[1]).ln()
            - 0.5 * 2_f64.ln();
        assert!((found - want).abs() < 2e-5 * (1.0 + want.abs()), "{found} {want}");
    }
}

#[test]
fn compiled_steps_and_predictions_have_the_evaluators_bits() {
    let layers = || {
        Sequential::new()
            .layer(AffineVariationalFlipout::new(3, 8).activation(Activation::Tanh))
            .layer(AffineVariationalFlipout::new(8, 2).use_bias(false))
    };
    let data = small_data(40).smoothed(3, 0.1).unwrap();
    let result = |backend: Backend| {
        let mut network = network(layers(), 3);
        Fit::new().epochs(3).backend(backend.clone()).run(&mut network, &data).unwrap();
        let options = PredictorOptions::default().samples(8).blocks(3, 7).backend(backend);
        let prediction = Predictor::with_options(&network, &options).unwrap().classify(data.inputs()).unwrap();
        (bits(&network), prediction)
    };
    let want = result(Backend::Reference);
    assert!(result(Backend::default()) == want);
    assert!(result(bayeslift::runtime::Options::default().threads(2).into()) == want);
}

/// A point for each position of a row.
#[test]
fn points_at_positions_are_learned() {
    let rows = 24;
    let inputs: Vec<f32> = (0..rows * 12).map(|i| ((i * 37 + i * i * 11) % 101) as f32 / 50.0 - 1.0).collect();
    let label = |x: &[f32]| u32::from(x[0] < x[1]) + u32::from(x[0] < x[1] && x[1] < x[2]);
    let labels: Vec<u32> = inputs.chunks(3).map(label).collect();
    let data = Dataset::classification_at([4, 3], inputs, [4], labels.clone()).unwrap().smoothed(3, 0.1).unwrap();
    let likelihood = likelihood::SoftmaxCenteredNormal::fixed(1.0);
    let mut network = Network::new(Affine::new(3, 2), [4, 3], likelihood, 1).unwrap();
    let report = Fit::new().epochs(150).learning_rate(5e-2).run(&mut network, &data).unwrap();
    let losses: Vec<f32> = report.epochs.iter().map(|epoch| epoch.loss as f32).collect();
    assert!(losses[149] < losses[0] - 1.0, "{} to {}", losses[0], losses[149]);
    let prediction = Predictor::new(&network).unwrap().classify(data.inputs()).unwrap();
    assert_eq!((prediction.rows(), prediction.labels_of_a_row(), prediction.classes()), (rows, 4, 3));
    let accuracy = metrics::accuracy(prediction.probabilities(), 3, &labels).unwrap();
    assert!(accuracy > 0.8, "{accuracy}");
    // the second point of the third row is none
    let mut values = data.values().to_vec();
    values[2 * 12 + 3] += 0.5;
    let data = Dataset::regression_at([4, 3], data.inputs().to_vec(), [4], 3, values).unwrap();
    let error = Fit::new().run(&mut network, &data).unwrap_err().to_string();
    assert!(error.starts_with("target 1 of row 2 is a row that sums to 1.5"), "{error}");
}

#[test]
fn bad_targets_are_errors() {
    let mut network = network(Sequential::new().layer(AffineVariationalFlipout::new(3, 1)), 3);
    let labels = small_data(2);
    let inputs = labels.inputs().to_vec();
    let mut fit = |units: usize, values: &[f32]| {
        let data = Dataset::regression([3], inputs.clone(), units, values.to_vec()).unwrap();
        Fit::new().run(&mut network, &data).unwrap_err().to_string()
    };
    let row = "the target of row 1 is";
    assert_eq!(
        fit(2, &[0.5, 0.5, 1.0, 0.0]),
        format!("{row} 0 in column 1, expected a row of positive numbers that sum to 1")
    );
    assert_eq!(
        fit(2, &[0.5, 0.5, 0.5, 0.25]),
        format!("{row} a row that sums to 0.75, expected a row of positive numbers that sum to 1")
    );
    assert_eq!(
        fit(1, &[0.5, 0.5]),
        "the targets are 2 rows of 1 number, where the network needs 2 rows of 2 numbers that sum to 1; make them of labels by \
         `Dataset::smoothed`"
    );
    assert_eq!(
        Fit::new().run(&mut network, &labels).unwrap_err().to_string(),
        "the targets are 2 labels, where the network needs 2 rows of 2 numbers that sum to 1; make them of labels by \
         `Dataset::smoothed`"
    );
    assert!(labels.smoothed(2, 0.0).unwrap_err().to_string().contains("the smoothing of labels is 0"));
    assert!(labels.smoothed(2, f32::NAN).is_err() && labels.smoothed(2, 1.0).is_err());
    let points = labels.smoothed(2, 0.1).unwrap();
    assert!(points.smoothed(2, 0.1).unwrap_err().to_string().contains("are numbers, where labels are needed"));
    let one = Dataset::classification([3], vec![0.0; 3], vec![2]).unwrap();
    assert!(matches!(one.smoothed(2, 0.1), Err(Error::Label { row: 0, label: 2, classes: 2 })));
    assert!(Predictor::new(&network).unwrap().regress(&[0.0; 3]).is_err());
}
