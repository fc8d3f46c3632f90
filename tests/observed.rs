//! What is known of targets: missing ones, weights of rows, targets at positions, and what is taken of several samples.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{
    layers::likelihood::{Bound, Scale},
    prelude::*,
};
use facade::{bits, small_layers};

fn inputs(rows: usize) -> Vec<f32> {
    (0..rows * 3).map(|i| ((i * 37 + i * i * 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn values(rows: usize) -> Vec<f32> {
    inputs(rows).chunks(3).flat_map(|x| [x[0] - x[1], x[2] * 0.5]).collect()
}

fn network() -> Network {
    Network::new(small_layers(), [3], likelihood::Normal::learned(0.5), 3).unwrap()
}

/// A network after some steps on these targets, of which these are known, with these weights of rows.
fn stepped(values: &[f32], present: Option<&[bool]>, weights: Option<&[f32]>) -> Network {
    let mut network = network();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let (x, targets) = (inputs(values.len() / 2), Targets::Values { units: 2, values: values.to_vec() });
    for _ in 0..3 {
        let input = StepInput::new(&x, &targets).present(present).weights(weights);
        trainer.step(&mut network, input).unwrap();
    }
    network
}

/// What stands in for a missing target changes no bit; a mask of targets that are all known changes none, nor do
/// weights of 1.
#[test]
fn missing_targets_change_nothing_of_the_rest() {
    let present: Vec<bool> = (0..16).map(|i| i % 5 != 1).collect();
    let with = |stand_in: f32| {
        let filled = values(8).into_iter().zip(&present).map(|(y, &present)| if present { y } else { stand_in });
        bits(&stepped(&filled.collect::<Vec<f32>>(), Some(&present), None))
    };
    assert_eq!(with(0.0), with(-123.0));
    let plain = bits(&stepped(&values(8), None, None));
    assert_ne!(with(0.0), plain);
    assert_eq!(plain, bits(&stepped(&values(8), Some(&[true; 16]), None)));
    assert_eq!(plain, bits(&stepped(&values(8), None, Some(&[1.0; 8]))));
    assert_ne!(plain, bits(&stepped(&values(8), None, Some(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))));
}

/// A log density is of the known targets: that of all is the sum of both parts, for a law of independent ones.
#[test]
fn densities_are_of_known_targets() {
    let layers = Sequential::new().layer(Affine::new(3, 2));
    let network = Network::new(layers, [3], likelihood::Normal::fixed(0.5), 3).unwrap();
    let predictor = Predictor::new(&network).unwrap();
    let data = Dataset::regression([3], inputs(8), 2, values(8)).unwrap();
    let all = predictor.log_likelihood(&data).unwrap();
    // both halves have all of the last row
    let part = |unit: usize| {
        let present = (0..16).map(|i| i / 2 == 7 || i % 2 == unit && i / 2 != 3).collect();
        predictor.log_likelihood(&data.clone().with_present(present).unwrap()).unwrap()
    };
    let (first, second) = (part(0), part(1));
    for row in 0..7 {
        let want = if row == 3 { 0.0 } else { all[row] };
        assert!((first[row] + second[row] - want).abs() < 1e-6, "row {row}");
    }
    assert_eq!([first[7], second[7]], [all[7]; 2]);
    let weighted = data.clone().with_weights((0..8).map(|row| row as f32).collect()).unwrap();
    let want = -all.iter().enumerate().map(|(row, x)| x * row as f64).sum::<f64>() / 8.0;
    assert!((predictor.negative_log_likelihood(&weighted).unwrap() - want).abs() < 1e-9);
}

/// A row of weight 2 is one that is there twice: the sums of losses agree, of a network that draws nothing.
#[test]
fn weights_count_rows() {
    let network = || Network::new(Affine::new(3, 2), [3], likelihood::Normal::fixed(0.5), 3).unwrap();
    let loss = |x: &[f32], y: &[f32], weights: Option<&[f32]>| {
        let mut network = network();
        let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
        let targets = Targets::Values { units: 2, values: y.to_vec() };
        let loss = trainer.step(&mut network, StepInput::new(x, &targets).weights(weights)).unwrap();
        loss.negative_log_likelihood * (x.len() / 3) as f64
    };
    let (x, y) = (inputs(2), values(2));
    let twice = loss(&[&x[..], &x[3..]].concat(), &[&y[..], &y[2..]].concat(), None);
    assert!((twice - loss(&x, &y, Some(&[1.0, 2.0]))).abs() < 1e-5 * twice.abs());
}

/// The mean of logarithms is below the logarithm of the mean; of one sample both are the same bits.
#[test]
fn more_samples_make_a_tighter_bound() {
    let loss = |samples: usize, bound: Bound| {
        let mut network = network();
        network.parameters_mut().get_mut("affine/kernel/raw_scale").unwrap().tensor.as_f32_mut().unwrap().fill(0.0);
        let options = TrainerOptions::default().samples(samples).bound(bound);
        let mut trainer = Trainer::new(&network, 100, options).unwrap();
        let targets = Targets::Values { units: 2, values: values(8) };
        trainer.step(&mut network, StepInput::new(&inputs(8), &targets)).unwrap().negative_log_likelihood
    };
    assert_eq!(loss(1, Bound::Evidence).to_bits(), loss(1, Bound::ImportanceWeighted).to_bits());
    let (evidence, weighted) = (loss(16, Bound::Evidence), loss(16, Bound::ImportanceWeighted));
    assert!(weighted < evidence - 0.05, "{weighted} and {evidence}");
    assert!(weighted.is_finite());
}

/// A label for each position: whether a pixel is brighter than its left neighbour.
#[test]
fn positions_have_labels() {
    let rows = 64;
    let pixels: Vec<f32> = (0..rows * 8).map(|i| ((i * 7919 + i * i * 31) % 97) as f32 / 48.0 - 1.0).collect();
    let is_brighter = |i: usize| u32::from(!i.is_multiple_of(8) && pixels[i] > pixels[i - 1]);
    let labels: Vec<u32> = (0..rows * 8).map(is_brighter).collect();
    let data = Dataset::classification_at([8, 1], pixels.clone(), [8], labels).unwrap();
    let layers = Sequential::new()
        .layer(Convolution::new(1, 8, [3]).padding(Padding::Same).activation(Activation::Tanh))
        .layer(ConvolutionVariationalReparameterization::new(8, 2, [1]));
    let mut network = Network::new(layers, [8, 1], likelihood::Categorical, 0).unwrap();
    assert_eq!(network.target().shape[..], [8]);
    Fit::new().epochs(150).batch_size(16).learning_rate(2e-2).divergence_weight(0.01).run(&mut network, &data).unwrap();
    let predictor = Predictor::new(&network).unwrap();
    let prediction = predictor.classify(data.inputs()).unwrap();
    assert_eq!((prediction.rows(), prediction.classes(), prediction.labels_of_a_row()), (rows, 2, 8));
    let accuracy = metrics::accuracy(prediction.probabilities(), 2, data.labels()).unwrap();
    assert!(accuracy > 0.95, "{accuracy}");
    // a row's density is that of all of its positions
    let of_row = predictor.log_likelihood(&data).unwrap();
    let want: f64 = (0..8).map(|i| f64::from(prediction.row(0)[i * 2 + data.labels()[i] as usize]).ln()).sum();
    assert!((of_row[0] - want).abs() < 0.5, "{} and {want}", of_row[0]);
}

/// Whatever stands where a target is missing: a step has the bits that it has with a target there.
#[test]
fn what_is_missing_may_be_anything() {
    fn check<T: Copy>(likelihood: impl Likelihood + Clone + 'static, of: fn(Vec<T>) -> Targets, good: [T; 6], bad: T) {
        let rows = 2;
        let step = |targets: &[T], present: [bool; 6]| {
            let mut network = Network::new(Affine::new(3, 2), [3, 3], likelihood.clone(), 3).unwrap();
            let targets = of(targets.to_vec());
            let each = network.target().shape.elements();
            let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
            let present: Vec<bool> = present.iter().flat_map(|&x| std::iter::repeat_n(x, rows * each / 6)).collect();
            let x = inputs(rows * 3);
            let loss = trainer.step(&mut network, StepInput::new(&x, &targets).present(Some(&present)));
            loss.map(|loss| (loss.loss.to_bits(), bits(&network)))
        };
        let some = [true, false, true, true, false, true];
        let filled = |of: fn(usize) -> bool| {
            let mut targets = good;
            (0..6).filter(|&i| of(i)).for_each(|i| targets[i] = bad);
            targets
        };
        let want = step(&good, some).unwrap();
        assert_eq!(step(&filled(|i| i % 3 == 1), some).unwrap(), want, "{likelihood:?}");
        assert!(step(&filled(|i| i == 2), some).is_err(), "{likelihood:?}");
        let none = step(&filled(|_| true), [false; 6]).unwrap();
        assert_eq!(none, step(&good, [false; 6]).unwrap(), "{likelihood:?}");
    }
    fn numbers(values: Vec<f32>) -> Targets {
        Targets::Values { units: 6, values: values.into_iter().flat_map(|x| [x, x]).collect() }
    }
    fn points(values: Vec<f32>) -> Targets {
        Targets::Values { units: 9, values: values.into_iter().flat_map(|x| [x, 0.5, 0.5 - x]).collect() }
    }
    check(likelihood::Categorical, Targets::Labels, [0, 1, 1, 0, 0, 1], u32::MAX);
    for bad in [f32::NAN, f32::INFINITY] {
        check(likelihood::Normal::fixed(0.5), numbers, [0.1, -1.0, 0.5, 0.3, 2.0, 0.25], bad);
    }
    for bad in [f32::NAN, -1.0] {
        check(likelihood::Bernoulli, numbers, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0], bad);
        check(likelihood::Poisson, numbers, [0.0, 1.0, 3.0, 0.0, 2.0, 1.0], bad);
        check(likelihood::Gamma::new(Scale::Fixed(1.0)), numbers, [0.1, 1.0, 3.0, 0.5, 2.0, 1.0], bad);
        check(likelihood::Beta::new(Scale::Fixed(3.0)), numbers, [0.1, 0.9, 0.3, 0.5, 0.2, 0.7], bad);
        let points_likelihood = likelihood::SoftmaxCenteredNormal::fixed(1.0);
        check(points_likelihood, points, [0.1, 0.2, 0.3, 0.4, 0.25, 0.15], bad);
    }
    // positive numbers, but no point
    check(likelihood::SoftmaxCenteredNormal::fixed(1.0), points, [0.1, 0.2, 0.3, 0.4, 0.25, 0.15], 0.75);
}

/// Also where its density is 0 in `f32`.
#[test]
fn a_row_of_weight_0_does_not_count() {
    let (mut x, mut y) = (inputs(4), values(4));
    let step = |x: &[f32], y: &[f32], bound: Bound| {
        let mut network = network();
        let mut trainer = Trainer::new(&network, 100, TrainerOptions::default().samples(2).bound(bound)).unwrap();
        let targets = Targets::Values { units: 2, values: y.to_vec() };
        let input = StepInput::new(x, &targets).weights(Some(&[1.0, 0.0, 2.0, 0.5]));
        let loss = trainer.step(&mut network, input).unwrap();
        (loss.loss.to_bits(), bits(&network))
    };
    let bounds = [Bound::Evidence, Bound::ImportanceWeighted];
    let want = bounds.map(|bound| step(&x, &y, bound));
    x[3..6].fill(0.0);
    y[2..4].fill(1e20);
    assert_eq!(bounds.map(|bound| step(&x, &y, bound)), want);
}

/// Of steps with weights or missing targets too.
#[test]
fn steps_tell_their_kernels() {
    let mut network = network();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let (x, targets) = (inputs(4), Targets::Values { units: 2, values: values(4) });
    let input = StepInput::new(&x, &targets);
    trainer.step(&mut network, input.weights(Some(&[1.0, 2.0, 0.0, 1.0]))).unwrap();
    let weighted = trainer.kernels(4).unwrap();
    assert!(weighted > 0 && trainer.kernels(3).is_none() && trainer.kernels(5).is_none());
    trainer.prepare(&network, 4).unwrap();
    assert_eq!(trainer.kernels(4), Some(weighted));
    trainer.prepare(&network, 3).unwrap();
    assert!(trainer.kernels(3).is_some());
}

/// Targets of another shape are others, though they are as many.
#[test]
fn targets_have_the_shape_of_the_networks() {
    let network = || Network::new(Affine::new(3, 3), [2, 3], likelihood::Normal::fixed(1.0), 3).unwrap();
    let data = |positions: usize| {
        Dataset::regression_at([2, 3], inputs(8), [positions], 6 / positions, vec![0.5; 24]).unwrap()
    };
    let run = |data: &Dataset, validation: &Dataset| {
        Fit::new().epochs(1).validation(validation.clone()).run(&mut network(), data)
    };
    run(&data(2), &data(2)).unwrap();
    for (train, validation) in [(3, 2), (2, 3)] {
        assert_eq!(
            run(&data(train), &data(validation)).unwrap_err().to_string(),
            "the shape of a row's targets is [3,2], expected [2,3], that of the network's"
        );
    }
    let labels = Dataset::classification_at([2, 3], inputs(8), [2, 1], vec![0; 8]).unwrap();
    let mut network = Network::new(Affine::new(3, 3), [2, 3], likelihood::Categorical, 3).unwrap();
    assert_eq!(
        Fit::new().run(&mut network, &labels).unwrap_err().to_string(),
        "the shape of a row's targets is [2,1], expected [2], that of the network's"
    );
}

/// Errors tell the row, not the number of the label.
#[test]
fn labels_at_positions_are_of_rows() {
    let mut labels = vec![0; 8];
    labels[5] = 3;
    let data = Dataset::classification_at([2, 3], inputs(8), [2], labels).unwrap();
    let mut network = Network::new(Affine::new(3, 3), [2, 3], likelihood::Categorical, 3).unwrap();
    let error = Fit::new().run(&mut network, &data).unwrap_err();
    assert!(matches!(error, Error::Label { row: 2, label: 3, classes: 3 }), "{error}");
    assert!(matches!(data.smoothed(3, 0.1), Err(Error::Label { row: 2, label: 3, classes: 3 })));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut network = network();
    let mut trainer = Trainer::new(&network, 100, TrainerOptions::default()).unwrap();
    let (x, targets) = (inputs(2), Targets::Values { units: 2, values: values(2) });
    let mut message = |input: StepInput<'_>| trainer.step(&mut network, input).unwrap_err().to_string();
    let input = StepInput::new(&x, &targets);
    for (input, want) in [
        (
            input.present(Some(&[true])),
            "the number of targets said to be present or not is 1, expected 4, one for each target",
        ),
        (input.weights(Some(&[1.0])), "the number of weights is 1, expected 2, one for each row"),
        (input.weights(Some(&[1.0, -1.0])), "the weight of row 1 is -1, expected a finite number, not negative"),
        (input.weights(Some(&[f32::NAN, 1.0])), "the weight of row 0 is NaN, expected a finite number, not negative"),
    ] {
        assert_eq!(message(input), want);
    }
}
