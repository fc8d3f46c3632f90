//! Answers do not depend on how the work was cut.

use super::{block::Care, *};
use crate::{Backend, prelude::*};
use bayeslift_layers::distribution::Normal;
use bayeslift_runtime::{Options, Rewriting};

/// Locations that are drawn, and the scale 0.1 everywhere.
fn posterior() -> Posterior {
    Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, _| {
            let loc = scope.parameter("loc", shape, &Initializer::HeNormal)?;
            Ok(Normal::new(loc, scope.builder().constant(0.1).broadcast(shape)).into())
        })
    })
}

/// Networks of many kinds of layers, with their names, for images of four by four.
fn networks() -> Vec<(&'static str, Network)> {
    let local =
        |inputs, outputs| AffineVariationalReparameterizationLocal::new(inputs, outputs).posterior_maker(posterior());
    let convolution = || ConvolutionVariationalReparameterizationLocal::new(1, 3, 2).posterior_maker(posterior());
    let flat = || Sequential::new().layer(Flatten);
    let categorical = |layers: Sequential| Network::new(layers, [4, 4, 1], likelihood::Categorical, 5).unwrap();
    let normal = |layers: Sequential| Network::new(layers, [4, 4, 1], likelihood::Normal::fixed(0.5), 5).unwrap();
    let drawn = AffineVariationalReparameterization::new(6, 5).posterior_maker(posterior());
    vec![
        ("affine", categorical(flat().layer(local(16, 6).activation(Activation::Relu)).layer(local(6, 3)))),
        (
            "without biases",
            categorical(flat().layer(local(16, 6).use_bias(false).activation(Activation::Tanh)).layer(local(6, 3))),
        ),
        ("one layer", normal(flat().layer(local(16, 2)))),
        (
            "convolution",
            categorical(
                Sequential::new().layer(convolution().activation(Activation::Relu)).layer(Flatten).layer(local(27, 3)),
            ),
        ),
        (
            "normalization",
            normal(
                flat()
                    .layer(local(16, 6))
                    .layer(LayerNormalization::new(6))
                    .layer(local(6, 2).activation(Activation::Gelu)),
            ),
        ),
        (
            "drawn weights",
            normal(
                flat()
                    .layer(local(16, 6).activation(Activation::Elu))
                    .layer(drawn)
                    .layer(Activation::Softplus)
                    .layer(Affine::new(5, 2)),
            ),
        ),
        (
            "flipout",
            categorical(
                flat()
                    .layer(
                        AffineVariationalFlipout::new(16, 6)
                            .posterior_maker(posterior())
                            .activation(Activation::LeakyRelu),
                    )
                    .layer(AffineVariationalFlipout::new(6, 3).posterior_maker(posterior())),
            ),
        ),
    ]
}

/// Rows of small numbers, of which some are multiplied by one of `factors`.
fn inputs(rows: usize, factors: &[f32]) -> Vec<f32> {
    let x = |i: usize| ((i * 37 + i * i * 11) % 101) as f32 / 50.0 - 1.0;
    (0..rows * 16).map(|i| x(i) * factors[i / 16 % factors.len()]).collect()
}

/// All that is computed of rows with one kind of care, and which rows have nothing finite by it.
fn with_care(predictor: &Predictor, care: Care, numbers: Numbers<'_>, x: &[f32]) -> (Vec<u32>, Vec<usize>) {
    let rows = predictor.rows(numbers, x).unwrap();
    let (blocks, count) = (predictor.blocks(Question::Moments), rows.sizes.len());
    let pool = blocks.pool(&predictor.model, &predictor.options, 4).unwrap();
    let mut answers = Answers::new(pool, predictor.samples(), count);
    let mut failed = predictor.answer_with(care, blocks, &rows, (0..count).collect(), &mut answers).unwrap();
    failed.sort_unstable();
    let names = ["probabilities", "predictive_entropy", "mutual_information", "mean", "epistemic", "total"];
    let all = names.iter().filter_map(|name| answers.take(name)).flatten();
    (all.map(f32::to_bits).collect(), failed)
}

fn backends() -> Vec<Backend> {
    let compiled = |rewriting| Options::default().rewriting(rewriting);
    vec![
        compiled(Rewriting::Off).into(),
        compiled(Rewriting::Exact).lanes(4).into(),
        compiled(Rewriting::All).into(),
        Backend::Reference,
    ]
}

/// Where nothing overflows care changes no bit, whatever the layers, the level of rewriting and how the graph is run;
/// also of rows beyond the bound, which only might overflow.
#[test]
fn care_changes_no_bits() {
    for (name, network) in networks() {
        for backend in backends() {
            let options = PredictorOptions::default().samples(5).blocks(3, 4).backend(backend.clone());
            let predictor = Predictor::with_options(&network, &options).unwrap();
            let (model, options) = (&predictor.model, &predictor.options);
            let pool = |question| predictor.blocks(question).pool(model, options, 4).unwrap();
            let [bound, of_likelihood] = [Question::Moments, Question::LogProb].map(|question| pool(question).bound);
            assert!(bound >= 1024.0 && of_likelihood >= 1024.0, "{name}: bounds {bound}, {of_likelihood}");
            let x = inputs(9, &[1.0, 2000.0, 1e-3, 3e8]);
            let plain = with_care(&predictor, Care::Plain, Numbers::From(3), &x);
            assert_eq!(plain.1, [] as [usize; 0], "{name}");
            for care in [Care::Watched, Care::Rescaled] {
                let careful = with_care(&predictor, care, Numbers::From(3), &x);
                // some networks have nothing to take care of
                let is_other = pool(Question::Moments).with(care, &backend).unwrap().is_some();
                assert!(careful == plain || !is_other, "{name}, {backend:?}, {care:?}: {:?}", careful.1);
            }
        }
    }
}

/// A row of a batch with rows that overflow has the bits it has alone, and rows that overflow do, too.
#[test]
fn rows_that_overflow_change_no_others() {
    for (name, network) in networks() {
        let options = PredictorOptions::default().samples(5).blocks(3, 4).allow_non_finite(true);
        let predictor = Predictor::with_options(&network, &options).unwrap();
        let other = Predictor::with_options(&network, &options.clone().blocks(2, 1)).unwrap();
        let x = inputs(11, &[1.0, 1e20, 0.5, 1e37, f32::MAX]);
        let classes = network.classes().is_some();
        let all = |predictor: &Predictor, first: u64, x: &[f32]| -> Vec<u32> {
            let bits = |x: &[f32]| x.iter().map(|x| if x.is_nan() { 0 } else { x.to_bits() }).collect::<Vec<u32>>();
            match classes {
                true => bits(predictor.classify_from(first, x).unwrap().probabilities()),
                false => bits(predictor.regress_from(first, x).unwrap().total()),
            }
        };
        let together = all(&predictor, 0, &x);
        assert_eq!(together, all(&other, 0, &x), "{name}");
        let alone: Vec<u32> = (0..11).flat_map(|row| all(&predictor, row as u64, &x[row * 16..][..16])).collect();
        assert_eq!(together, alone, "{name}");
    }
}

/// What a layer's output hides is found in the row it is in, with the compiled code and without.
#[test]
fn what_an_activation_hides_is_found() {
    // 1e38 times two locations of 10 overflows to -infinity, which a relu makes 0 of.
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Elu] {
        let layers = Sequential::new().layer(Affine::new(2, 2).activation(activation.clone())).layer(Affine::new(2, 2));
        let mut network = Network::new(layers, [2], likelihood::Categorical, 0).unwrap();
        let kernel = network.parameters_mut().get_mut("affine/kernel").unwrap();
        kernel.tensor.as_f32_mut().unwrap().copy_from_slice(&[-10.0, 1.0, -10.0, 1.0]);
        for backend in [Backend::default(), Backend::Reference] {
            let options = PredictorOptions::default().samples(2).blocks(2, 4).backend(backend);
            let x = [1.0, 2.0, 3.0, 4.0, 1e38, 1e38, 5.0, 6.0];
            let refused = Predictor::with_options(&network, &options).unwrap().classify(&x);
            let row = matches!(refused, Err(Error::NonFinitePrediction { row: 2, largest }) if largest as f32 == 1e38);
            assert!(row, "{activation:?}: {refused:?}");
            let options = options.allow_non_finite(true);
            let labels = Predictor::with_options(&network, &options).unwrap().classify(&x).unwrap().labels();
            let known: Vec<bool> = labels.iter().map(Option::is_some).collect();
            assert_eq!(known, [true, true, false, true], "{activation:?}");
        }
    }
}

/// Rows of a network so deep that nothing is proved of them are watched, and are what they are with less care.
#[test]
fn deep_networks_are_watched() {
    let mut layers = Sequential::new().layer(Flatten);
    for _ in 0..48 {
        layers = layers.layer(AffineVariationalReparameterizationLocal::new(16, 16).activation(Activation::Relu));
    }
    let network = Network::new(layers.layer(Affine::new(16, 2)), [4, 4, 1], likelihood::Normal::fixed(1.0), 1).unwrap();
    let options = PredictorOptions::default().samples(4).blocks(4, 4);
    let predictor = Predictor::with_options(&network, &options).unwrap();
    let blocks = predictor.blocks(Question::Moments);
    assert!(blocks.any(&predictor.model, &predictor.options, 4).unwrap().bound < 1.0);
    let x = inputs(7, &[1.0]);
    let plain = with_care(&predictor, Care::Plain, Numbers::From(0), &x);
    let found = predictor.regress(&x).unwrap();
    let means = plain.0.iter().map(|&bits| f32::from_bits(bits));
    assert_eq!(means.take(14).collect::<Vec<f32>>(), found.mean());
}
