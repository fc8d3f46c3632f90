//! Results have the digits of `f64`: gradients, fits, predictions and layers against their formulas.

use super::{mixed, mixed_data, numbers};
use bayeslift::{
    ir::{DType, Graph, Tensor, evaluate},
    layers::*,
    prelude::*,
};

/// The inputs of a step's graph, of which the parameters are these.
fn step_inputs(graph: &Graph, parameters: &Parameters, data: &Dataset) -> Vec<Tensor> {
    let input = |input: &bayeslift::ir::Input| {
        let ty = graph.ty(input.value);
        match input.name.as_str() {
            "x" => Tensor::f64(ty.shape.clone(), data.inputs_f64()),
            "targets" => Tensor::f64(ty.shape.clone(), data.values_f64()),
            "rate" => Tensor::f64([], [1.0]),
            "divergence_scale" => Tensor::f64([], [0.01]),
            "noise/key" => Tensor::u32([4], [1, 2, 3, 4]),
            name if name.starts_with("noise/") => Tensor::zeros(ty),
            path => Ok(parameters.get(path).unwrap().tensor.clone()),
        }
        .unwrap()
    };
    graph.inputs().iter().map(input).collect()
}

/// Gradients of the loss with respect to all parameters, as steps of gradient descent follow them, are quotients of
/// differences: with digits that `f32` does not have.
#[test]
fn gradients_are_quotients_of_differences() {
    let (network, data) = (mixed(DType::F64), mixed_data(11));
    for divergence in [Divergence::default(), Divergence::Exact.or(Divergence::Quadrature { nodes: 9 })] {
        let options = TrainerOptions::default().optimizer(Sgd::new(1.0)).divergence(divergence);
        let graph = Trainer::new(&network, 100, options).unwrap().graph(&network, data.rows()).unwrap();
        let at = |name: &str| graph.outputs().iter().position(|output| output.name == name).unwrap();
        let run = |parameters: &Parameters| evaluate(&graph, &step_inputs(&graph, parameters, &data)).unwrap();
        let before = network.parameters();
        let after = run(before);
        for (path, parameter) in before.iter() {
            let (old, new) = (parameter.tensor.to_f64s().unwrap(), after[at(path)].to_f64s().unwrap());
            for i in [0, old.len() / 2, old.len() - 1] {
                let gradient = old[i] - new[i];
                let loss = |by: f64| {
                    let (mut moved, mut elements) = (before.clone(), old.clone());
                    elements[i] += by;
                    moved.assign(path, Tensor::floats(&parameter.tensor.ty(), elements).unwrap()).unwrap();
                    run(&moved)[at("loss")].to_f64s().unwrap()[0]
                };
                // of the fourth order, so that little of what it leaves out is left
                let step = 1e-3;
                let [near, far] = [1.0, 2.0].map(|k| (loss(k * step) - loss(-k * step)) / (2.0 * k * step));
                let quotient = (4.0 * near - far) / 3.0;
                assert!(
                    (gradient - quotient).abs() <= 1e-9 * quotient.abs().max(1.0),
                    "{path} {i}: {gradient} {quotient}"
                );
            }
        }
    }
}

/// Least squares by gradient descent: to all digits in `f64`, and in `f32` not to nine.
#[test]
fn a_fit_in_f64_has_digits_that_one_in_f32_has_not() {
    let x: Vec<f64> = numbers(20).iter().map(|x| 2.0 * x - 1.0).collect();
    let law = |x: f64| 1.0 / 3.0 * x + std::f64::consts::SQRT_2;
    let error = |dtype: DType| {
        let layers = Sequential::new().dtype(dtype).layer(Affine::new(1, 1));
        let mut network = Network::new(layers, [1], likelihood::Normal::fixed(1.0), 0).unwrap();
        let y: Vec<f64> = x.iter().map(|&x| law(x)).collect();
        let (x32, y32) = (x.iter().map(|&x| x as f32).collect::<Vec<f32>>(), y.iter().map(|&y| y as f32).collect());
        let (single, double) = (Targets::Values { units: 1, values: y32 }, Targets::Doubles { units: 1, values: y });
        let input = match dtype {
            DType::F64 => StepInput::f64(&x, &double),
            _ => StepInput::new(&x32, &single),
        };
        let mut trainer = Trainer::new(&network, 20, TrainerOptions::default().optimizer(Sgd::new(0.5))).unwrap();
        for _ in 0..500 {
            trainer.step(&mut network, input).unwrap();
        }
        let predictor = Predictor::new(&network).unwrap();
        let found: Vec<f64> = match dtype {
            DType::F64 => predictor.double().unwrap().regress(&x).unwrap().mean().to_vec(),
            _ => predictor.regress(&x32).unwrap().mean().iter().map(|&y| y.into()).collect(),
        };
        found.iter().zip(&x).fold(0.0, |largest: f64, (y, &x)| largest.max((y - law(x)).abs()))
    };
    let [single, double] = [DType::F32, DType::F64].map(error);
    assert!(double < 1e-14 && single > 1e-9, "{single} {double}");
}

/// What a predictor tells is made of the samples' outputs, with all digits.
#[test]
fn predictions_have_all_digits() {
    let (network, data) = (mixed(DType::F64), mixed_data(5));
    let predictor = Predictor::with_options(&network, &PredictorOptions::default().samples(50)).unwrap();
    let predictive = predictor.double().unwrap().predict(data.inputs_f64()).unwrap();
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); 10];
    predictive
        .parameters(|_, row, outputs| outputs.iter().enumerate().for_each(|(i, &y)| samples[2 * row + i].push(y)))
        .unwrap();
    let regression = predictive.regression().unwrap();
    let scale = {
        let raw = network.parameters().get("likelihood/raw_scale").unwrap().tensor.to_f64s().unwrap();
        raw.iter().map(|raw| raw.exp().ln_1p() + 1e-5).collect::<Vec<f64>>()
    };
    assert!(scale.iter().all(|scale| (scale - 0.3).abs() < 1e-15), "{scale:?}");
    for (i, y) in samples.iter().enumerate() {
        assert_eq!(y.len(), 50);
        let mean = y.iter().sum::<f64>() / 50.0;
        let variance = y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / 49.0;
        assert!((regression.mean()[i] - mean).abs() < 1e-14);
        assert!((regression.epistemic()[i] / variance.sqrt() - 1.0).abs() < 1e-12);
        assert!((regression.aleatoric()[i] - scale[i % 2]).abs() < 1e-15);
        let total = (variance + scale[i % 2] * scale[i % 2]).sqrt();
        assert!((regression.total()[i] / total - 1.0).abs() < 1e-12);
    }
    // the network at the mean of its posterior has one law, whose quantiles are known
    let at_mean = PredictorOptions::default().posterior_value(PosteriorValue::Mean);
    let predictor = Predictor::with_options(&network, &at_mean).unwrap();
    let predictive = predictor.double().unwrap().predict(data.inputs_f64()).unwrap();
    let (low, high) = predictive.interval(0.95).unwrap();
    for (i, &mean) in predictive.regression().unwrap().mean().iter().enumerate() {
        let reach = 1.959_963_984_540_054 * scale[i % 2];
        assert!((mean - reach - low[i]).abs() < 1e-12 && (mean + reach - high[i]).abs() < 1e-12);
        assert!((predictive.cdf(&high).unwrap()[i] - 0.975).abs() < 1e-14);
    }
}

/// Normalization, pooling and embeddings.
#[test]
fn layers_without_golden_values_follow_their_formulas() {
    let run = |layers: Sequential, input: &[usize], x: &[f64]| -> Vec<f64> {
        let network = Network::new(layers.dtype(DType::F64), input, likelihood::Normal::fixed(1.0), 0).unwrap();
        let mut outputs = Vec::new();
        let predictor = Predictor::new(&network).unwrap();
        let predictive = predictor.double().unwrap().predict(x).unwrap();
        predictive.parameters(|_, _, y| outputs.extend(y)).unwrap();
        outputs
    };
    let close = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-14 * b.abs().max(1.0);
        assert!(found.iter().zip(expected).all(is_close), "{found:?} {expected:?}");
    };
    let x = numbers(6);
    let normalized: Vec<f64> = x
        .chunks(3)
        .flat_map(|x| {
            let mean = x.iter().sum::<f64>() / 3.0;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 3.0;
            x.iter().map(move |x| (x - mean) / (variance + 1e-3).sqrt()).collect::<Vec<f64>>()
        })
        .collect();
    close(&run(Sequential::new().layer(LayerNormalization::new(3)), &[3], &x), &normalized);
    let remembered: Vec<f64> = x.iter().map(|x| x / 1.001_f64.sqrt()).collect();
    close(&run(Sequential::new().layer(BatchNormalization::new(3)), &[3], &x), &remembered);
    let image = numbers(16);
    let at = |row: usize, column: usize| image[4 * row + column];
    let blocks = |of: fn([f64; 4]) -> f64| {
        let block = |r: usize, c: usize| of([at(r, c), at(r, c + 1), at(r + 1, c), at(r + 1, c + 1)]);
        [block(0, 0), block(0, 2), block(2, 0), block(2, 2)]
    };
    let pooled = |layer: Pooling| run(Sequential::new().layer(layer).layer(Flatten), &[4, 4, 1], &image);
    close(&pooled(Pooling::average(2)), &blocks(|x| x.iter().sum::<f64>() / 4.0));
    close(&pooled(Pooling::max(2)), &blocks(|x| x.into_iter().fold(f64::MIN, f64::max)));
    let table = numbers(10);
    let values = Tensor::f64([5, 2], table.clone()).unwrap();
    let embedding = Embedding::new(5, 2).kernel_initializer(Initializer::value(values));
    let found = run(Sequential::new().layer(embedding).layer(Flatten), &[2], &[4.0, 1.0, 1.0 + 1e-12, 0.0]);
    // what is no whole number is no category, however near
    close(&found, &[table[8], table[9], table[2], table[3], 0.0, 0.0, table[0], table[1]]);
}
