//! Convolutional networks, trained and used: compiled code gives the evaluator's bits, splits change nothing,
//! statistics of batches are kept.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{Backend, layers::metrics, prelude::*, runtime::Options};
use facade::{bits, digits};

/// Images of 6 x 5 x 2, of which the first or the second half is brighter.
fn images(rows: usize) -> Dataset {
    let noise = |i: usize| ((i * 37 + i * i * 11) % 101) as f32 / 101.0;
    let pixel = |row: usize, i: usize| noise(row * 61 + i) + if (i < 30) == row.is_multiple_of(2) { 0.6 } else { 0.0 };
    let pixels = (0..rows).flat_map(|row| (0..60).map(move |i| pixel(row, i)));
    Dataset::classification([6, 5, 2], pixels.collect(), (0..rows as u32).map(|row| row % 2).collect()).unwrap()
}

/// The other kinds of layers, on volumes of 6 x 5 x 2 with one channel.
fn volumes() -> Sequential {
    Sequential::new()
        .apply(|x| x.expand(x.shape().len()))
        .layer(ConvolutionVariationalFlipout::new(1, 4, [3, 2, 1]).strides([1, 2, 1]).activation(Activation::Relu))
        .layer(Convolution::new(4, 6, [2, 2, 2]).padding(Padding::Causal).groups(2))
        .layer(ConvolutionTransposeVariationalReparameterization::new(6, 3, [3, 2, 2]).strides([2, 1, 1]))
        .layer(Pooling::max([2, 2, 2]).strides(1))
        .layer(ConvolutionTransposeVariationalFlipout::new(3, 3, [2, 1, 1]).dilations([2, 1, 1]))
        .layer(ConvolutionTranspose::new(3, 5, [1, 2, 2]).padding(Padding::Same))
        .layer(Dropout::new(0.2))
        .layer(GlobalPooling::average(3))
        .layer(AffineVariationalFlipout::new(5, 2))
}

/// Every kind of layer that works on images.
fn layers() -> Sequential {
    let same = |i, o| ConvolutionVariationalReparameterizationLocal::new(i, o, [3, 3]).padding(Padding::Same);
    Sequential::new()
        .layer(same(2, 3).activation(Activation::Relu))
        .layer(BatchNormalization::new(3).momentum(0.9))
        .layer(Residual::new(ConvolutionVariationalFlipout::new(3, 3, 3).padding(Padding::Same)))
        .layer(
            Branches::concatenate()
                .layer(Pooling::max(2).padding(Padding::Same))
                .layer(Pooling::average(2).padding(Padding::Same)),
        )
        .layer(ConvolutionTransposeVariationalReparameterizationLocal::new(6, 4, 2).strides(2).groups(2))
        .layer(Dropout::monte_carlo(0.1))
        .layer(ConvolutionVariationalReparameterization::new(4, 4, [3, 2]).strides(2))
        .layer(LayerNormalization::new(4))
        .layer(Flatten)
        .layer(AffineVariationalReparameterizationLocal::new(24, 2))
}

fn network() -> Network {
    Network::new(layers(), [6, 5, 2], likelihood::Categorical, 3).unwrap()
}

fn trained(backend: Backend, samples: usize) -> (Network, Vec<f64>) {
    trained_from(network(), backend, samples)
}

fn trained_from(mut network: Network, backend: Backend, samples: usize) -> (Network, Vec<f64>) {
    let data = images(12);
    let options = TrainerOptions::default().backend(backend).samples(samples);
    let mut trainer = Trainer::new(&network, 12, options).unwrap();
    let step = |_| trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap().loss;
    let losses = (0..3).map(step).collect();
    (network, losses)
}

/// At all widths of vectors, on one thread and on several.
#[test]
fn compiled_steps_give_the_bits_of_the_evaluator() {
    for layers in [layers, volumes] {
        let network = || Network::new(layers(), [6, 5, 2], likelihood::Categorical, 3).unwrap();
        for samples in [1, 2] {
            let (reference, losses) = trained_from(network(), Backend::Reference, samples);
            for (width, threads) in [(1, 1), (4, 2), (8, 1), (16, 3)] {
                let options = Options::default().lanes(width).threads(threads);
                let (compiled, compiled_losses) = trained_from(network(), options.into(), samples);
                assert_eq!(compiled_losses, losses, "{width:?}");
                assert_eq!(bits(&compiled), bits(&reference), "{width:?}");
            }
            for ((path, words), (_, before)) in bits(&reference).into_iter().zip(bits(&network())) {
                assert_ne!(words, before, "{path} was not trained");
            }
        }
    }
}

/// Moving averages stay what they are where the loss is not finite, and in predictions.
#[test]
fn statistics_move_in_finite_steps_alone() {
    let (data, mut network) = (images(4), network());
    let mut trainer = Trainer::new(&network, 4, TrainerOptions::default()).unwrap();
    trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap();
    let before = bits(&network);
    let mut inputs = data.inputs().to_vec();
    inputs[7] = f32::NAN;
    assert!(trainer.step(&mut network, StepInput::new(&inputs, data.targets())).is_err());
    Predictor::new(&network).unwrap().classify(data.inputs()).unwrap();
    assert_eq!(bits(&network), before);
}

#[test]
fn predictions_can_be_split_and_saved() {
    let (network, _) = trained(Backend::default(), 1);
    let data = images(9);
    let predict = |network: &Network, backend: Backend, blocks: (usize, usize)| {
        let options = PredictorOptions::default().samples(7).blocks(blocks.0, blocks.1).backend(backend);
        Predictor::with_options(network, &options).unwrap().classify(data.inputs()).unwrap()
    };
    let all = predict(&network, Backend::Reference, (7, 9));
    for blocks in [(7, 9), (1, 1), (3, 4)] {
        assert_eq!(predict(&network, Backend::default(), blocks), all, "blocks of {blocks:?}");
    }
    let path = std::env::temp_dir().join(format!("bayeslift-convolutions-{}.safetensors", std::process::id()));
    network.save(&path).unwrap();
    let mut other = Network::new(layers(), [6, 5, 2], likelihood::Categorical, 8).unwrap();
    let loaded = other.load(&path);
    std::fs::remove_file(&path).unwrap();
    loaded.unwrap();
    assert_eq!(predict(&other, Backend::default(), (7, 9)), all);
}

/// A small convolutional network learns the digits.
#[test]
fn digits_are_learned() {
    let (train, test) = digits();
    let image = |x: &Dataset, labels: &Targets| {
        let Targets::Labels(labels) = labels else { panic!("digits have labels") };
        Dataset::classification([8, 8, 1], x.inputs().to_vec(), labels.clone()).unwrap()
    };
    let train = image(&train, train.targets());
    let layers = Sequential::new()
        .layer(ConvolutionVariationalReparameterizationLocal::new(1, 16, 3).activation(Activation::Relu))
        .layer(ConvolutionVariationalReparameterizationLocal::new(16, 32, 3).strides(2).activation(Activation::Relu))
        .layer(Flatten)
        .layer(AffineVariationalReparameterizationLocal::new(128, 10));
    let mut network = Network::new(layers, [8, 8, 1], likelihood::Categorical, 1).unwrap();
    Fit::new().epochs(20).batch_size(64).learning_rate(5e-3).divergence_weight(0.3).run(&mut network, &train).unwrap();
    let prediction = Predictor::new(&network).unwrap().classify(test.inputs()).unwrap();
    let Targets::Labels(labels) = test.targets() else { panic!("digits have labels") };
    let accuracy = metrics::accuracy(prediction.probabilities(), 10, labels).unwrap();
    assert!(accuracy > 0.96, "{accuracy}");
}
