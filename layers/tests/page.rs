//! What `docs/tfp.md` promises of the page of `AffineVariationalReparameterizationLocal` and no other test shows.

mod common;

use bayeslift_ir::{DType, Shape, Tensor};
use bayeslift_layers::{
    Activation, Affine, AffineVariationalReparameterizationLocal, Convolution, Divergence, Initializer, Layer, Local,
    PosteriorValue, Prior, Residual, Sequential, Variational, expand_dims,
};
use common::{At, forward, random, run};

fn local() -> AffineVariationalReparameterizationLocal {
    AffineVariationalReparameterizationLocal::new(3, 2).kernel_initializer(Initializer::Ones)
}

fn output(layer: &dyn Layer, seed: u64) -> Vec<f32> {
    let parameters = layer.initialize(0).unwrap();
    let graph = forward(layer, &parameters, &[4, 3], None);
    run(&graph, &parameters, &[("x", random(&[4, 3], 1))], At { seed, ..At::default() }).remove(0)
}

/// `seed`: equal seeds give equal draws, others, or none, give others - and no seed of a layer makes two layers of a
/// network draw the same (TFP B5).
#[test]
fn a_seed_of_its_own_decides_a_layers_draws() {
    let seeds = [None, Some(0), Some(1), Some(3), Some(1 << 40)];
    let layer = |seed: Option<u64>| seed.into_iter().fold(local(), |layer, seed| layer.seed(seed));
    let outputs: Vec<Vec<f32>> = seeds.iter().map(|seed| output(&layer(*seed), 7)).collect();
    for (i, one) in outputs.iter().enumerate() {
        assert_eq!(*one, output(&layer(seeds[i]), 7));
        assert!(outputs[..i].iter().all(|other| other != one), "seed {:?}", seeds[i]);
        // the seed of a step or prediction has its say as well
        assert_ne!(*one, output(&layer(seeds[i]), 8));
    }
    // the same layer twice in one network, on one input
    let twice = |x: &Sequential| output(x, 7);
    let alone = Sequential::new().layer(local().seed(3).name("first"));
    let renamed = Sequential::new().layer(local().seed(3).name("second"));
    assert_ne!(twice(&alone), twice(&renamed));
}

/// `activation_fn`, `dtype`, `posterior_value_fn`, `validate_args`, `seed`, and what else a layer was told.
#[test]
fn a_layer_tells_what_it_was_told() {
    let layer = local().activation(Activation::Tanh).validate_args(true).seed(5).posterior_value(PosteriorValue::Mean);
    assert_eq!((layer.input_size(), layer.output_size(), layer.has_bias()), (3, 2, true));
    assert_eq!((layer.get_activation().name(), layer.get_dtype()), (Activation::Tanh.name(), None));
    assert_eq!(local().dtype(DType::F64).get_dtype(), Some(DType::F64));
    assert_eq!((layer.validates_args(), layer.get_seed()), (true, Some(5)));
    assert!(matches!(layer.get_posterior_value(), PosteriorValue::Mean));
    assert!(matches!(layer.get_kernel_initializer(), Initializer::Ones));
    assert!(matches!(layer.get_bias_initializer(), Initializer::Zeros));
    assert_eq!((format!("{:?}", layer.estimator()), layer.inner().output_size()), ("Local".to_owned(), 2));
    let plain = AffineVariationalReparameterizationLocal::new(3, 2).use_bias(false);
    assert_eq!((plain.has_bias(), plain.validates_args(), plain.get_seed()), (false, false, None));
    assert!(matches!(plain.get_posterior_value(), PosteriorValue::Sample));
    let convolution = Convolution::new(1, 2, [3, 3]).activation(Activation::Relu);
    assert_eq!(convolution.get_activation().name(), "relu");
}

/// `submodules`, `name_scope`: all layers of a network by path, each of which is the path of its parameters.
#[test]
fn submodules_have_the_paths_of_their_parameters() {
    let block = Sequential::new().layer(local()).layer(Affine::new(2, 3));
    let network = Sequential::new()
        .layer(Residual::new(block).shortcut(Affine::new(3, 3)))
        .layer(bayeslift_layers::Branches::add().layer(Affine::new(3, 2)).layer(Affine::new(3, 2)));
    let modules = network.submodules();
    let paths: Vec<&str> = modules.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "residual",
        "residual/sequential",
        "residual/sequential/affine",
        "residual/sequential/affine_1",
        "residual/shortcut",
        "branches",
        "branches/affine",
        "branches/affine_1",
    ];
    assert_eq!(paths, expected);
    let parameters = network.initialize(0).unwrap();
    for (path, layer) in modules {
        let own: Vec<String> = layer.variables().unwrap().into_iter().map(|variable| variable.path).collect();
        assert_eq!(parameters.under(&path).paths().collect::<Vec<_>>(), own, "{path}");
    }
}

/// `expand_dims` on several axes at once, as TFP's where these have one sign; out of range it names the layer.
#[test]
fn axes_are_inserted_at_once() {
    let shape = |axes: &[isize], input: &[usize]| {
        let trace = Sequential::new().layer(expand_dims(axes)).trace(Shape::new(input))?;
        Ok::<_, bayeslift_layers::Error>(trace.rows[0].ty.shape.to_vec())
    };
    // signs that TFP's sorting mixes up: it gives [2, 1, 1, 1, 3, 1]
    assert_eq!(shape(&[-1, 0, 1, -1], &[2, 3]).unwrap(), [1, 2, 1, 3, 1, 1]);
    // as TFP
    assert_eq!(shape(&[-1, -2], &[2, 3]).unwrap(), [2, 1, 3, 1]);
    assert_eq!(shape(&[0, 0], &[2, 3]).unwrap(), [1, 1, 2, 3]);
    assert_eq!(shape(&[2], &[2, 3]).unwrap(), [2, 3, 1]);
    assert_eq!(shape(&[-3], &[2, 3]).unwrap(), [1, 2, 3]);
    assert_eq!(shape(&[], &[2, 3]).unwrap(), [2, 3]);
    for axes in [&[3][..], &[-4], &[0, 7]] {
        let error = shape(axes, &[2, 3]).unwrap_err().to_string();
        assert!(error.contains("expand_dims"), "{error}");
    }
}

/// A kernel-only layer works in each estimator (TFP B8), and has the divergence of its kernel alone.
#[test]
fn layers_without_bias_are_whole() {
    let layer: Variational<Affine, Local> = Variational::of(Affine::new(3, 2).use_bias(false));
    let parameters = layer.initialize(0).unwrap();
    assert_eq!(parameters.paths().collect::<Vec<_>>(), ["kernel/loc", "kernel/raw_scale"]);
    let zeros = Tensor::f32([4, 3], [0.0; 12]).unwrap();
    let graph = forward(&layer, &parameters, &[4, 3], None);
    assert_eq!(run(&graph, &parameters, &[("x", zeros)], At::default())[0], [0.0; 8]);
    assert!(layer.bias_posterior(&parameters).is_err());
}

/// The standard deviation of the default prior, and how it pulls far out: -log p(w) grows as 2.5e-7 w^2 / 2 (TFP B19
/// has 25e-6, and the deviation 1415 for each component).
#[test]
fn the_default_prior_is_what_it_is_said_to_be() {
    let layer = local();
    let prior = layer.kernel_prior(&layer.initialize(0).unwrap());
    let stddev = prior.stddev().unwrap();
    assert!(stddev.as_f32().unwrap().iter().all(|s| (s - 1414.214).abs() < 1e-3), "{stddev:?}");
    let at = |w: f32| {
        let log_prob = prior.log_prob(&Tensor::f32([3, 2], [w; 6]).unwrap()).unwrap();
        f64::from(log_prob.as_f32().unwrap()[0])
    };
    // second differences over 2000
    let pull = -(at(8000.0) - 2.0 * at(6000.0) + at(4000.0)) / 2000.0_f64.powi(2);
    assert!((pull / 2.5e-7 - 1.0).abs() < 1e-4, "{pull}");
}

/// Of N(1, 0.001^2) on six weights, the standard normal prior: 6 (0.5 (1 + 0.001^2 - 1) - log 0.001) nats; the entropy
/// is 6 (log 0.001 + 1.4189).
#[test]
fn looking_tells_divergences_and_entropies() {
    let layer = local().prior_maker(Prior::normal(0.0, 1.0));
    let parameters = layer.initialize(0).unwrap();
    let (posterior, prior) = (layer.kernel_posterior(&parameters), layer.kernel_prior(&parameters));
    let (log, half) = (0.001_f64.ln(), 0.5 * (1.0 + 1e-6 - 1.0));
    let exact = posterior.divergence_from(&prior, &Divergence::Exact, 0).unwrap();
    assert!((exact - 6.0 * (half - log)).abs() < 1e-4, "{exact}");
    let quadrature = posterior.divergence_from(&prior, &Divergence::quadrature(), 0).unwrap();
    assert!((quadrature - exact).abs() < 1e-4, "{quadrature}");
    // five errors of the mean of 1000 draws, of which each has the variance 6 / 2
    let error = 5.0 * (3.0_f64 / 1000.0).sqrt();
    let drawn = posterior.divergence_from(&prior, &Divergence::MonteCarlo { draws: 1000 }, 1).unwrap();
    assert!((drawn - exact).abs() < error, "{drawn}");
    let entropy = posterior.entropy(1, 1000).unwrap();
    assert!((entropy - 6.0 * (log + 1.418_938_533)).abs() < error, "{entropy}");
    assert_ne!(entropy, posterior.entropy(2, 1000).unwrap());
}
