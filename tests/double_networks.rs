//! Networks of `f64`: they train, predict, and are saved with all digits, whatever runs them.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;
#[path = "double_networks/formulas.rs"]
mod formulas;
#[allow(dead_code)]
#[path = "facade/networks.rs"]
mod networks;

use bayeslift::{
    Comparison, Error,
    ir::{DType, Tensor, Type},
    layers::*,
    prelude::*,
};
use facade::bits;
use files::folder;
use networks::networks_of;
use std::sync::Arc;

/// Numbers that look random, from 0 to 1, of which none is one of `f32`.
fn numbers(count: usize) -> Vec<f64> {
    let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29);
    (1..=count as u64).map(|i| (mixed(i) >> 11 | 1) as f64 / (1_u64 << 53) as f64).collect()
}

fn inputs(name: &str, network: &Network, rows: usize) -> Vec<f64> {
    let x = numbers(rows * network.input().elements());
    match name.starts_with("embedding") {
        true => x.iter().map(|x| (x * 5.0).floor()).collect(),
        false => x.iter().map(|x| 2.0 * x - 1.0).collect(),
    }
}

/// Targets of the network's kind.
fn targets(network: &Network, rows: usize) -> Targets {
    use likelihood::Support;
    let (support, units) = (network.target().support, network.target().shape.elements());
    let of = |of: fn(f64) -> f64| numbers(rows * units).into_iter().map(of).collect();
    let values = match support {
        Support::Classes(classes) => {
            return Targets::Labels((0..(rows * units) as u32).map(|i| i * 7 % 5 % classes as u32).collect());
        }
        Support::Binary => of(|x| f64::from(x > 0.5)),
        Support::Count => of(|x| (5.0 * x).floor()),
        Support::Simplex(_) => {
            numbers(rows).into_iter().flat_map(|x| [0.2 + 0.1 * x, 0.5 - 0.2 * x, 0.3 + 0.1 * x]).collect()
        }
        _ => of(|x| 0.1 + 0.8 * x),
    };
    Targets::Doubles { units, values }
}

fn backends() -> Vec<(&'static str, Backend)> {
    let compiled = |lanes, threads| Backend::from(Options::default().lanes(lanes).threads(threads));
    vec![
        ("reference", Backend::Reference),
        ("16 lanes", compiled(16, 2)),
        ("4 lanes", compiled(4, 1)),
        ("1 lane", compiled(1, 1)),
    ]
}

/// All networks of the facade's tests, with steps and predictions of each backend.
#[test]
fn networks_of_every_kind_have_the_same_bits_on_every_backend() {
    for (name, network) in networks_of(DType::F64) {
        assert_eq!(network.dtype(), DType::F64, "{name}");
        assert!(network.parameters().iter().all(|(_, p)| p.tensor.dtype() == DType::F64), "{name}");
        let rows = 7;
        let (x, targets) = (inputs(&name, &network, rows), targets(&network, rows));
        let mut expected = None;
        for (backend_name, backend) in backends() {
            let mut trained = network.clone();
            let mut losses = Vec::new();
            if network.parameters().iter().any(|(_, p)| p.trainable) {
                let options = TrainerOptions::default().optimizer(Adam::new(1e-2)).backend(backend.clone());
                let mut trainer = Trainer::new(&trained, 100, options).unwrap();
                for _ in 0..3 {
                    let loss = trainer.step(&mut trained, StepInput::f64(&x, &targets));
                    let loss = loss.unwrap_or_else(|error| panic!("{name}, {backend_name}: {error}"));
                    assert!(loss.loss.is_finite(), "{name}");
                    losses.push(loss.loss.to_bits());
                }
                assert_ne!(bits(&trained), bits(&network), "{name}: nothing was trained");
            }
            let options = PredictorOptions::default().samples(5).blocks(2, 4).backend(backend);
            let predictor = Predictor::with_options(&trained, &options).unwrap();
            let mut told = Vec::new();
            let predictive = predictor.double().unwrap().predict(&x).unwrap_or_else(|error| panic!("{name}: {error}"));
            if let Some(answer) = predictive.classification() {
                told.extend(
                    [answer.probabilities(), answer.predictive_entropy(), answer.mutual_information()].concat(),
                );
            }
            if let Some(answer) = predictive.regression() {
                told.extend([answer.mean(), answer.epistemic(), answer.aleatoric(), answer.total()].concat());
            }
            assert!(!told.is_empty() || name == "custom", "{name}");
            predictive.parameters(|_, _, outputs| told.extend(outputs)).unwrap();
            told.extend(predictive.log_prob(&targets).unwrap());
            if !matches!(name.as_str(), "custom" | "softmax_centered" | "softmax_centered_learned") {
                predictive.draws(|_, _, draws| told.extend(draws)).unwrap();
            }
            let told: Vec<u64> = told.into_iter().map(f64::to_bits).collect();
            let found = (bits(&trained), losses, told);
            match &expected {
                None => expected = Some(found),
                Some(expected) => assert_eq!(found, *expected, "{name}, {backend_name}"),
            }
        }
    }
}

/// Layers with every estimator, an embedding apart, and what a likelihood learns.
fn mixed(dtype: DType) -> Network {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(3, 6).activation(Activation::Tanh))
        .layer(LayerNormalization::new(6))
        .layer(AffineVariationalFlipout::new(6, 5).prior_maker(Prior::laplace(0.1, 0.7)).activation(Activation::Gelu))
        .layer(AffineVariationalReparameterization::new(5, 2).prior_maker(Prior::normal(0.0, 0.3)))
        .dtype(dtype);
    Network::new(layers, [3], likelihood::Normal::learned(0.3), 3).unwrap()
}

fn mixed_data(rows: usize) -> Dataset {
    let x: Vec<f64> = numbers(3 * rows).iter().map(|x| 2.0 * x - 1.0).collect();
    let y = x.chunks(3).flat_map(|x| [x[0] * x[1], x[2].sin()]).collect();
    Dataset::regression_f64([3], x, [], 2, y).unwrap()
}

fn input_of(data: &Dataset) -> StepInput<'_> {
    StepInput::f64(data.inputs_f64(), data.targets())
}

/// Files hold all digits: of parameters, of the optimizer's state, and of arrays for TFP.
#[test]
fn files_have_all_bits() {
    let folder = folder("double_networks");
    let (path, data) = (folder.join("model.safetensors"), mixed_data(40));
    let mut network = mixed(DType::F64);
    let mut trainer = Trainer::new(&network, 40, TrainerOptions::default()).unwrap();
    trainer.step(&mut network, input_of(&data)).unwrap();
    network.save(&path).unwrap();
    let mut loaded = mixed(DType::F64);
    loaded.load(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&network));
    let told = |predictor: &Predictor| -> Vec<u64> {
        let told = predictor.double().unwrap().regress(data.inputs_f64()).unwrap();
        [told.mean(), told.total()].concat().into_iter().map(f64::to_bits).collect()
    };
    let of_network = told(&Predictor::new(&network).unwrap());
    assert_eq!(told(&Predictor::open(&path).unwrap()), of_network);
    let error = mixed(DType::F32).load(&path).unwrap_err().to_string();
    assert!(error.contains("f64[3,6], expected f32[3,6]"), "{error}");

    let training = folder.join("training.safetensors");
    trainer.save(&network, &training).unwrap();
    let (mut other, options) = (mixed(DType::F64), TrainerOptions::default());
    let mut resumed = Trainer::load(&mut other, &training, options).unwrap();
    for (network, trainer) in [(&mut network, &mut trainer), (&mut other, &mut resumed)] {
        trainer.step(network, input_of(&data)).unwrap();
    }
    assert_eq!(bits(&other), bits(&network));
    let state = |trainer: &Trainer| trainer.state().map(|(_, tensor)| tensor.words()).collect::<Vec<_>>();
    assert_eq!(state(&resumed), state(&trainer));

    let affine = |dtype| {
        let layers = Sequential::new().layer(AffineVariationalFlipout::new(4, 3)).layer(Affine::new(3, 2)).dtype(dtype);
        Network::new(layers, [4], likelihood::Categorical, 1).unwrap()
    };
    let (double, single) = (folder.join("double.npz"), folder.join("single.npz"));
    let mut network = affine(DType::F64);
    let elements = numbers(12);
    network.parameters_mut().assign("affine/kernel/loc", Tensor::f64([4, 3], elements).unwrap()).unwrap();
    network.save_tfp(&double).unwrap();
    affine(DType::F32).save_tfp(&single).unwrap();
    let mut other = affine(DType::F64);
    other.load_tfp(&double).unwrap();
    assert_eq!(bits(&other), bits(&network));
    let error = other.load_tfp(&single).unwrap_err().to_string();
    assert!(error.contains("it has element type '<f4', f32, where the network is of f64"), "{error}");
    let error = affine(DType::F32).load_tfp(&double).unwrap_err().to_string();
    assert!(error.contains("it has element type '<f8', f64"), "{error}");
    affine(DType::F32).load_tfp_rounded(&double).unwrap();
}

/// All that is above a step: fits with validation, units, comparisons, ensembles, micro batches, by data of either
/// type.
#[test]
fn fits_take_data_of_either_type() {
    let data = mixed_data(300);
    let standardizer = Standardizer::of(&data);
    let data = standardizer.apply(&data).unwrap();
    let fit = || Fit::new().epochs(3).batch_size(64).validation_split(0.2).learning_rate(0.01);
    let mut network = mixed(DType::F64);
    let report = fit().run(&mut network, &data).unwrap();
    assert!(report.best_epoch.is_some(), "{report}");
    let comparison = Comparison::new(&network, &data, &PredictorOptions::default().samples(8)).unwrap();
    assert!(comparison.samples.root_mean_square_error.unwrap() > 0.0);
    let predictor = Predictor::new(&network).unwrap();
    let prediction = predictor.double().unwrap().regress(data.inputs_f64()).unwrap();
    assert_eq!(standardizer.restore(&prediction).unwrap().mean().len(), 600);

    // numbers of `f32` are numbers of `f64`
    let rounded: Vec<f32> = data.inputs_f64().iter().map(|&x| x as f32).collect();
    let targets: Vec<f32> = data.values_f64().iter().map(|&x| x as f32).collect();
    let widened = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let single = Dataset::regression([3], rounded.clone(), 2, targets.clone()).unwrap();
    let double = Dataset::regression_f64([3], widened(&rounded), [], 2, widened(&targets)).unwrap();
    let weights: Vec<f32> = numbers(300).iter().map(|x| (3.0 * x) as f32).collect();
    let fitted = |data: Dataset| {
        let mut network = mixed(DType::F64);
        fit().run(&mut network, &data.with_weights(weights.clone()).unwrap()).unwrap();
        bits(&network)
    };
    assert_eq!(fitted(single.clone()), fitted(double.clone()));
    let norms = |input: StepInput<'_>| {
        let network = mixed(DType::F64);
        let mut trainer = Trainer::new(&network, 300, TrainerOptions::default()).unwrap();
        trainer.gradient_norms(&network, input).unwrap()
    };
    assert_eq!(norms(StepInput::new(single.inputs(), single.targets())), norms(input_of(&double)));
    let answers = predictor.regress(&rounded).unwrap();
    let all = predictor.double().unwrap().regress(&widened(&rounded)).unwrap();
    assert!(answers.mean().iter().zip(all.mean()).all(|(&a, &b)| a.to_bits() == (b as f32).to_bits()));
    let [a, b] = [&single, &double].map(|data| predictor.log_likelihood(data).unwrap());
    assert_eq!(a, b);

    let parts = |options: TrainerOptions| {
        let (mut network, data) = (mixed(DType::F64), mixed_data(530));
        let mut trainer = Trainer::new(&network, 530, options).unwrap();
        for _ in 0..2 {
            trainer.step(&mut network, input_of(&data)).unwrap();
        }
        bits(&network)
    };
    assert_eq!(parts(TrainerOptions::default().micro_batch_size(256)), parts(TrainerOptions::default()));
}

/// Optimizers of every kind have state of `f64`, and make steps that are finite.
#[test]
fn optimizers_of_every_kind_move_parameters_of_f64() {
    let data = mixed_data(20);
    let deterministic = || {
        let layers = Sequential::new().layer(Affine::new(3, 4).activation(Activation::Elu)).layer(Affine::new(4, 2));
        Network::new(layers.dtype(DType::F64), [3], likelihood::Normal::learned(0.5), 2).unwrap()
    };
    let optimizers: Vec<(bool, Arc<dyn Optimizer>)> = vec![
        (true, Arc::new(Adam::new(0.01))),
        (true, Arc::new(AdamW::new(0.01))),
        (true, Arc::new(RmsProp::new(0.01))),
        (true, Arc::new(Sgd::new(0.01).momentum(0.9).nesterov(true))),
        (false, Arc::new(Sgld::new(0.01))),
        (false, Arc::new(Ivon::new(0.01))),
        (
            true,
            Arc::new(Rates::new(Adam::new(0.01), |variable| if variable.group == Group::Scale { 0.1 } else { 1.0 })),
        ),
    ];
    for (is_for_all, optimizer) in optimizers {
        let network = if is_for_all { mixed(DType::F64) } else { deterministic() };
        let mut trained = network.clone();
        let options = TrainerOptions::default().optimizer(optimizer.clone()).clip_norm(1.0);
        let mut trainer = Trainer::new(&network, 20, options).unwrap();
        for _ in 0..3 {
            trainer.step(&mut trained, input_of(&data)).unwrap();
        }
        assert!(trainer.state().all(|(_, tensor)| tensor.dtype() == DType::F64), "{optimizer:?}");
        assert_ne!(bits(&trained), bits(&network), "{optimizer:?}");
        assert!(trained.parameters().check_finite().is_ok(), "{optimizer:?}");
    }
}

/// What an activation would hide is an error: a row whose layers overflow has no prediction, and others have theirs.
#[test]
fn an_overflow_that_an_activation_hides_is_told() {
    let layers = Sequential::new().layer(Affine::new(2, 3).activation(Activation::Tanh)).layer(Affine::new(3, 1));
    let mut network = Network::new(layers.dtype(DType::F64), [2], likelihood::Normal::fixed(0.1), 0).unwrap();
    let kernel = Tensor::f64([2, 3], [1e10, 1.0, 0.5, 1e10, 1.0, 0.5]).unwrap();
    network.parameters_mut().assign("affine/kernel", kernel).unwrap();
    for backend in [Backend::Reference, Backend::default()] {
        let options = PredictorOptions::default().backend(backend);
        let predictor = Predictor::with_options(&network, &options.clone()).unwrap();
        let (fine, large) = ([1e200, -1e200, 0.5, 0.25], [1e300, 1e300]);
        let alone = predictor.double().unwrap().regress(&fine).unwrap();
        let rows = [&fine[..], &large].concat();
        let error = predictor.double().unwrap().regress(&rows).unwrap_err();
        assert!(matches!(error, Error::NonFinitePrediction { row: 2, largest } if largest == 1e300), "{error}");
        let predictor = Predictor::with_options(&network, &options.allow_non_finite(true)).unwrap();
        let all = predictor.double().unwrap().regress(&rows).unwrap();
        assert!(all.mean()[2].is_nan());
        assert_eq!(all.mean()[..2], *alone.mean());
    }
}

/// What does not fit is an error that says so, and nothing is rounded silently.
#[test]
fn types_that_do_not_fit_are_typed_errors() {
    let data = mixed_data(4);
    let mut network = mixed(DType::F32);
    let mut trainer = Trainer::new(&network, 4, TrainerOptions::default()).unwrap();
    let error = trainer.step(&mut network, input_of(&data)).unwrap_err().to_string();
    assert!(error.starts_with("the inputs are of f64, and the network is of f32"), "{error}");
    let predictor = Predictor::new(&network).unwrap();
    let error = predictor.double().map(drop).unwrap_err().to_string();
    assert!(error.starts_with("the network is of f32, and has no predictions of f64"), "{error}");
    assert!(predictor.log_likelihood(&data).is_err());

    let layers =
        Sequential::new().layer(Affine::new(3, 2).dtype(DType::F64)).layer(Affine::new(2, 2).dtype(DType::F32));
    let error = Network::new(layers, [3], likelihood::Categorical, 0).unwrap_err();
    assert!(matches!(&error, Error::Layer(_)), "{error:?}");
    assert!(
        error.to_string().contains("in layer `affine_1`: the layer's dtype is f32, and the network is of f64"),
        "{error}"
    );

    // a layer's own type is the network's
    let layers = Sequential::new().layer(Residual::new(Affine::new(3, 3).dtype(DType::F64))).layer(Affine::new(3, 2));
    let network = Network::new(layers, [3], likelihood::Categorical, 0).unwrap();
    assert_eq!((network.dtype(), network.parameters().nth(2).unwrap().tensor.ty()), (DType::F64, Type::f64([3, 2])));
}
