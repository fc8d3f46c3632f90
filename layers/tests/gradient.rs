//! Gradients of whole networks against central differences in f64, with the same noise on both sides, and where the
//! variance of a local layer is zero.

mod common;

use bayeslift_ir::{Builder, Elements, Expr, Graph, Tensor, Type, evaluate_f64};
use bayeslift_layers::{
    Activation, Affine, AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization,
    AffineVariationalReparameterizationLocal as Local, BatchNormalization, Branches, Context, Convolution,
    ConvolutionTranspose, Divergence, Dropout, Embedding, Estimator, Flatten, Flipout as FlipoutEstimator,
    GlobalPooling, Initializer, KernelBiasLayer, Layer, LayerNormalization, Likelihood, Local as LocalEstimator,
    Padding, Parameters, Pooling, Posterior, Prior, Reparameterization as ReparameterizationEstimator, Residual, Scope,
    Sequential, Variational,
    distribution::LocationScale,
    flatten_rightmost,
    likelihood::{self, Support, Target},
    noise_inputs,
};
use bayeslift_passes::gradients;
use common::{At, random, run};

/// The loss of a network - its likelihood and a tenth of its divergence - and the gradient of every parameter.
fn training_graph(
    network: &dyn Layer,
    likelihood: &dyn Likelihood,
    parameters: &Parameters,
    divergence: &Divergence,
    x: &[usize],
    samples: Option<usize>,
) -> Graph {
    let builder = Builder::new();
    let scope = Scope::bind(&builder, parameters).unwrap();
    let mut context = Context::new(scope.clone()).noise(noise_inputs(&builder)).training();
    if let Some(samples) = samples {
        context = context.samples(samples);
    }
    let call = network.call(&context, context.input(builder.input("x", Type::f32(x)))).unwrap();
    let (output, axes) = (call.output.shape(), usize::from(samples.is_some()));
    let target = likelihood.target(&output[axes + 1..].into()).unwrap();
    let targets = builder.input("targets", target.ty(output[axes], builder.float()));
    let loss =
        likelihood.loss(&scope, call.output, &targets.into()).unwrap() + call.divergence(divergence).unwrap() * 0.1;
    builder.output("loss", loss);
    let at: Vec<_> = parameters.paths().map(|path| scope.expr(path).unwrap()).collect();
    for (path, gradient) in parameters.paths().zip(gradients(loss, &at)) {
        builder.output(path, gradient);
    }
    builder.finish().unwrap()
}

fn with_likelihood(network: &dyn Layer, likelihood: &dyn Likelihood) -> Parameters {
    let builder = Builder::new();
    let scope = Scope::initialize(&builder, 3);
    network.declare(&scope).unwrap();
    likelihood.declare(&scope, &Target::numbers([2], Support::Real)).unwrap();
    scope.parameters()
}

fn check(network: &dyn Layer, likelihood: impl Likelihood, divergence: Divergence, samples: Option<usize>) {
    check_at(network, likelihood, divergence, samples, random(&[3, 4], 4));
}

fn check_at(
    network: &dyn Layer,
    likelihood: impl Likelihood,
    divergence: Divergence,
    samples: Option<usize>,
    x: Tensor,
) {
    let parameters = with_likelihood(network, &likelihood);
    let rows = x.shape()[0];
    let graph = training_graph(network, &likelihood, &parameters, &divergence, x.shape(), samples);
    let targets = match likelihood.target(&[2].into()).unwrap().support {
        Support::Classes(_) => Tensor::u32([rows], [1, 0, 1]).unwrap(),
        Support::Simplex(_) => {
            Tensor::f32([rows, 3], [[0.2, 0.1, 0.7], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]].concat()).unwrap()
        }
        _ => random(&[rows, 2], 8),
    };
    let mut inputs: Vec<Elements<f64>> = graph
        .inputs()
        .iter()
        .map(|input| match input.name.as_str() {
            "noise/key" => Elements::Words(vec![5, 0, 6, 0]),
            "noise/first_sample" => Elements::Words(vec![0]),
            "noise/first_row" => Elements::Words(vec![0, 0]),
            "x" => Elements::from(&x),
            "targets" => Elements::from(&targets),
            path => Elements::from(&parameters.get(path).unwrap().tensor),
        })
        .collect();
    let run = |inputs: &[Elements<f64>]| evaluate_f64(&graph, inputs).unwrap();
    let results = run(&inputs);
    let mut largest = 0.0_f64;
    for (i, path) in parameters.paths().enumerate() {
        let index = graph.inputs().iter().position(|input| input.name == path).unwrap();
        let gradient = results[i + 1].floats().unwrap().to_vec();
        for (element, found) in gradient.into_iter().enumerate() {
            let mut loss_at = |h: f64| {
                let Elements::Floats(values) = &mut inputs[index] else { unreachable!() };
                let before = values[element];
                values[element] = before + h;
                let loss = run(&inputs)[0].floats().unwrap()[0];
                let Elements::Floats(values) = &mut inputs[index] else { unreachable!() };
                values[element] = before;
                loss
            };
            let h = 1e-5;
            let expected = (loss_at(h) - loss_at(-h)) / (2.0 * h);
            largest = largest.max(expected.abs());
            let error = (found - expected).abs();
            assert!(
                error <= 1e-6 * expected.abs().max(1.0),
                "d loss / d {path}[{element}]: {found}, expected {expected}"
            );
        }
    }
    assert!(largest > 1e-3, "gradients that are all zero test nothing");
}

#[test]
fn gradients_of_networks() {
    let posterior = || Posterior::mean_field_with_scale(0.3);
    let local = |i, o| Local::new(i, o).posterior_maker(posterior());
    let reparameterization = |i, o| Reparameterization::new(i, o).posterior_maker(posterior());
    let one = Divergence::MonteCarlo { draws: 1 };
    let smooth = Sequential::new().layer(local(4, 3).activation(Activation::Tanh)).layer(local(3, 2));
    check(&smooth, likelihood::Categorical, one.clone(), None);
    check(&smooth, likelihood::Categorical, Divergence::MonteCarlo { draws: 3 }, Some(2));
    let mixed = Sequential::new()
        .layer(reparameterization(4, 3).activation(Activation::Swish))
        .layer(Affine::new(3, 3).activation(Activation::Elu))
        .layer(local(3, 2));
    check(&mixed, likelihood::Normal::learned(0.7), one.clone(), None);
    check(&mixed, likelihood::Normal::learned(0.7), one, Some(2));
    let flipped = |activation| {
        let flipout = |i, o| Flipout::new(i, o).posterior_maker(posterior());
        Sequential::new().layer(flipout(4, 3).activation(activation)).layer(flipout(3, 2).use_bias(false))
    };
    let one = Divergence::default();
    check(&flipped(Activation::Tanh), likelihood::Categorical, one.clone(), None);
    check(&flipped(Activation::Softplus), likelihood::Normal::learned(0.7), one.clone(), Some(2));
    check(&flipped(Activation::Tanh), likelihood::SoftmaxCenteredNormal::learned(0.7), one.clone(), None);
    check(&flipped(Activation::Tanh), likelihood::SoftmaxCenteredNormal::fixed(0.7), one, Some(2));
    let exact = Sequential::new().layer(reparameterization(4, 2).prior_maker(Prior::normal(0.1, 0.5)));
    check(&exact, likelihood::Normal::fixed(0.5), Divergence::Exact, None);
    let heavy = Sequential::new()
        .layer(reparameterization(4, 3).prior_maker(Prior::laplace(0.1, 0.5)).activation(Activation::Tanh))
        .layer(local(3, 3).prior_maker(Prior::student_t(3.0, -0.1, 0.5)).activation(Activation::Tanh))
        .layer(reparameterization(3, 3).prior_maker(Prior::logistic(0.1, 0.5)).activation(Activation::Tanh))
        .layer(reparameterization(3, 2).prior_maker(Prior::cauchy(0.1, 0.5)));
    check(&heavy, likelihood::Categorical, Divergence::default(), Some(2));
}

/// A posterior with a learned scale that is not normal.
#[test]
fn gradients_of_draws_with_heavy_tails() {
    let makes: [for<'b> fn(Expr<'b>, Expr<'b>) -> LocationScale<'b>; 4] = [
        |l, s| LocationScale::laplace(l, s),
        |l, s| LocationScale::logistic(l, s),
        |l, s| LocationScale::cauchy(l, s),
        |loc, scale| LocationScale::student_t(3.0, loc, scale).unwrap(),
    ];
    for make in makes {
        let posterior = Posterior::new(move |scope, shape| {
            shape.each(scope, |scope, shape, initializer| {
                let loc = scope.parameter("loc", shape, initializer)?;
                let scale = scope.parameter("raw_scale", shape, &Initializer::Constant(-1.0))?.softplus();
                Ok(make(loc, scale).into())
            })
        });
        let layer = Reparameterization::new(4, 2).posterior_maker(posterior);
        check(&layer, likelihood::Categorical, Divergence::default(), None);
    }
}

/// An input row of zeros among others: TFP's gradient of a local layer is not a number there.
#[test]
fn gradients_at_a_row_of_zeros() {
    let mut x = random(&[3, 4], 4);
    x.as_f32_mut().unwrap()[4..8].fill(0.0);
    let posterior = || Posterior::mean_field_with_scale(0.3);
    for use_bias in [true, false] {
        let layers: [Box<dyn Layer>; 4] = [
            Box::new(Local::new(4, 2).use_bias(use_bias).posterior_maker(posterior())),
            Box::new(Flipout::new(4, 2).use_bias(use_bias).posterior_maker(posterior())),
            Box::new(Reparameterization::new(4, 2).use_bias(use_bias).posterior_maker(posterior())),
            Box::new(Affine::new(4, 2).use_bias(use_bias)),
        ];
        for layer in layers {
            for samples in [None, Some(2)] {
                check_at(&*layer, likelihood::Categorical, Divergence::default(), samples, x.clone());
            }
        }
    }
}

/// Convolutions of one to three axes of positions by every estimator, on images of which one is all zeros.
#[test]
fn gradients_of_convolutions() {
    fn with<L: KernelBiasLayer, E: Estimator>(layer: L) -> Variational<L, E> {
        Variational::of(layer).posterior_maker(Posterior::mean_field_with_scale(0.3))
    }
    let with_zeros = |shape: &[usize]| {
        let mut x = random(shape, 4);
        let an_example = x.shape().elements() / shape[0];
        x.as_f32_mut().unwrap()[an_example..2 * an_example].fill(0.0);
        x
    };
    let images = |first: Variational<Convolution, LocalEstimator>| {
        let second = ConvolutionTranspose::new(2, 2, [2, 1]).strides([2, 1]).dilations(2);
        let third = Convolution::new(2, 1, 2).strides(2).padding([(0, 1), (1, 0)]);
        Sequential::new()
            .layer(first.strides(2).padding(Padding::Same).activation(Activation::Tanh))
            .layer(with::<_, LocalEstimator>(second.activation(Activation::Tanh)))
            .layer(with::<_, FlipoutEstimator>(third))
            .layer(flatten_rightmost(3))
            .layer(Affine::new(3, 2))
    };
    let x = with_zeros(&[3, 3, 4, 2]);
    for (use_bias, samples) in [(true, None), (false, Some(2))] {
        let first = with(Convolution::new(2, 2, [3, 2]).use_bias(use_bias));
        check_at(&images(first), likelihood::Categorical, Divergence::default(), samples, x.clone());
    }
    let series = Sequential::new()
        .layer(with::<_, FlipoutEstimator>(Convolution::new(2, 4, [2]).groups(2).dilations(2).padding(Padding::Causal)))
        .layer(Activation::Tanh)
        .layer(with::<_, ReparameterizationEstimator>(ConvolutionTranspose::new(4, 2, [2]).groups(2).strides(2)))
        .layer(with::<_, LocalEstimator>(Convolution::new(2, 2, [3]).groups(2).strides(3)))
        .layer(flatten_rightmost(2))
        .layer(Affine::new(4, 2));
    let x = with_zeros(&[3, 3, 2]);
    check_at(&series, likelihood::Normal::learned(0.7), Divergence::default(), None, x.clone());
    check_at(&series, likelihood::Categorical, Divergence::default(), Some(2), x);
    let volumes = Sequential::new()
        .layer(with::<_, LocalEstimator>(Convolution::new(1, 2, 2).rank(3)))
        .layer(with::<_, LocalEstimator>(ConvolutionTranspose::new(2, 1, [2, 1, 2]).strides([1, 1, 2])))
        .layer(flatten_rightmost(4))
        .layer(Affine::new(8, 2));
    check_at(&volumes, likelihood::Categorical, Divergence::default(), Some(2), with_zeros(&[3, 2, 3, 2, 1]));
    let batches = Convolution::new(2, 1, [2]).batch_shape([2]).activation(Activation::Tanh);
    let batches = Sequential::new().layer(batches).layer(flatten_rightmost(3)).layer(Affine::new(4, 2));
    check_at(&batches, likelihood::Categorical, Divergence::default(), None, with_zeros(&[3, 1, 3, 2]));
}

/// Pooling, dropout, normalization and composition, in training, on images of which one is all zeros.
#[test]
fn gradients_of_building_blocks() {
    let mut x = random(&[3, 4, 3, 2], 4);
    x.as_f32_mut().unwrap()[24..48].fill(0.0);
    let same = |i, o| Convolution::new(i, o, [2, 2]).padding(Padding::Same);
    let blocks = Sequential::new()
        .layer(Residual::new(same(2, 2).activation(Activation::Tanh)).shortcut(Convolution::new(2, 2, 1)))
        .layer(BatchNormalization::new(2))
        .layer(
            Branches::concatenate()
                .layer(Pooling::max(2).padding(Padding::Same))
                .layer(Pooling::average(2).padding(Padding::Same)),
        )
        .layer(Dropout::new(0.2))
        .layer(LayerNormalization::new(4))
        .layer(Branches::add().layer(GlobalPooling::max(2)).layer(GlobalPooling::average(2)))
        .layer(Variational::<_, LocalEstimator>::of(Affine::new(4, 2)));
    for samples in [None, Some(2)] {
        check_at(&blocks, likelihood::Categorical, Divergence::default(), samples, x.clone());
    }
    let words = Tensor::f32([3, 2], [0.0, 3.0, 1.0, 1.0, 7.0, 2.0]).unwrap();
    let sentences = Sequential::new()
        .layer(Variational::<_, FlipoutEstimator>::of(Embedding::new(4, 3)))
        .layer(Flatten)
        .layer(Affine::new(6, 2));
    check_at(&sentences, likelihood::Categorical, Divergence::default(), Some(2), words.clone());
    let local = Variational::<_, LocalEstimator>::of(Embedding::new(4, 1));
    check_at(
        &Sequential::new().layer(local).layer(Flatten),
        likelihood::Categorical,
        Divergence::default(),
        None,
        words,
    );
}

/// Images of zeros, and scales that are as good as zero: the variance of a local layer is 0 everywhere.
#[test]
fn gradients_of_convolutions_are_finite_at_zero_variance() {
    for use_bias in [true, false] {
        let network = Sequential::new()
            .layer(Variational::<_, LocalEstimator>::of(Convolution::new(1, 2, 2).use_bias(use_bias)))
            .layer(Activation::Relu)
            .layer(Variational::<_, LocalEstimator>::of(ConvolutionTranspose::new(2, 1, 2).use_bias(use_bias)))
            .layer(flatten_rightmost(3))
            .layer(Local::new(9, 2).use_bias(use_bias));
        let mut parameters = network.initialize(0).unwrap();
        for (path, parameter) in parameters.iter_mut() {
            if path.ends_with("raw_scale") {
                parameter.tensor.as_f32_mut().unwrap().fill(-200.0);
            }
        }
        let divergence = Divergence::default();
        let graph = training_graph(&network, &likelihood::Categorical, &parameters, &divergence, &[2, 3, 3, 1], None);
        let x = Tensor::f32([2, 3, 3, 1], vec![0.0; 18]).unwrap();
        let targets = Tensor::u32([2], [0, 1]).unwrap();
        let results = run(&graph, &parameters, &[("x", x), ("targets", targets)], At::default());
        assert!(results.iter().flatten().all(|x| x.is_finite()), "{results:?}");
    }
}

/// Input rows of zeros, and scales that are as good as zero.
#[test]
fn gradients_are_finite_at_zero_variance() {
    for (use_bias, flipout) in [(true, false), (false, false), (true, true), (false, true)] {
        let first: Box<dyn Layer> = if flipout {
            Box::new(Flipout::new(4, 3).use_bias(use_bias))
        } else {
            Box::new(Local::new(4, 3).use_bias(use_bias))
        };
        let last = Local::new(3, 2).use_bias(use_bias);
        let network = Sequential::new().push(first.into()).layer(Activation::Relu).layer(last);
        let mut parameters = network.initialize(0).unwrap();
        for (path, parameter) in parameters.iter_mut() {
            if path.ends_with("raw_scale") {
                parameter.tensor.as_f32_mut().unwrap().fill(-200.0);
            }
        }
        let likelihood = likelihood::Categorical;
        let graph = training_graph(&network, &likelihood, &parameters, &Divergence::default(), &[2, 4], None);
        let x = Tensor::f32([2, 4], vec![0.0; 8]).unwrap();
        let targets = Tensor::u32([2], [0, 1]).unwrap();
        let results = run(&graph, &parameters, &[("x", x), ("targets", targets)], At::default());
        assert!(results.iter().flatten().all(|x| x.is_finite()), "{results:?}");
    }
}
