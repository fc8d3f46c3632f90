//! Every mistake of a user is a typed error whose message names the layer, the argument, what was expected and what
//! came.

#[path = "../common/mod.rs"]
mod common;
mod convolutions;

use bayeslift_ir::{Builder, DType, Expr, Tensor, Type};
use bayeslift_layers::{
    Adam, AdamW, Affine, AffineVariationalFlipout as Flipout,
    AffineVariationalReparameterization as Reparameterization, AffineVariationalReparameterizationLocal as Local,
    Context, Convolution, ConvolutionTranspose, Divergence, Error, Initializer, Ivon, KernelBias, Layer, Likelihood,
    Optimizer, Parameters, Posterior, PosteriorValue, Prior, RmsProp, Scope, Sequential, Sgd, Sgld, Variational,
    distribution::{Deterministic, Mixture, Normal},
    flatten_rightmost, likelihood, noise_inputs, unflatten_kernel,
};

fn declared(layer: impl Layer) -> String {
    layer.initialize(0).unwrap_err().to_string()
}

/// The error of calling a layer on an input of this type, with noise.
fn called_with(layer: &dyn Layer, parameters: &Parameters, x: Type, samples: Option<usize>) -> String {
    let builder = Builder::new();
    let mut context = Context::new(Scope::bind(&builder, parameters).unwrap()).noise(noise_inputs(&builder));
    if let Some(samples) = samples {
        context = context.samples(samples);
    }
    layer.call(&context, builder.input("x", x)).map(|_| ()).unwrap_err().to_string()
}

fn called(layer: impl Layer, x: Type) -> String {
    let parameters = layer.initialize(0).unwrap();
    called_with(&layer, &parameters, x, None)
}

#[test]
fn arguments_of_layers() {
    let cases: &[(String, &str)] = &[
        (declared(Affine::new(0, 3)), "in layer `affine`: input_size is 0, expected at least 1"),
        (declared(Local::new(3, 0).name("head")), "in layer `head`: output_size is 0, expected at least 1"),
        (
            declared(Sequential::new().layer(Affine::new(2, 2)).layer(Local::new(2, 0))),
            "in layer `affine_1`: output_size is 0, expected at least 1",
        ),
        (
            declared(
                Sequential::new().layer(Affine::new(2, 2)).layer(Local::new(2, 2).dtype(DType::F64)).dtype(DType::F32),
            ),
            "in layer `affine_1`: the layer's dtype is f64, and the network is of f32; give one to all layers, by that of the \
             `Sequential` around them",
        ),
        (declared(Local::new(2, 2).dtype(DType::U32)), "in layer `affine`: dtype is u32, expected f32 or f64"),
        (
            declared(Affine::new(usize::MAX, 2)),
            "in layer `affine`: elements of a tensor: 18446744073709551615 exceeds the limit of 2147483648",
        ),
        (
            declared(Affine::new(2, 2).batch_shape([3, 0])),
            "in layer `affine`: shape [3,0,2,2] has extent 0 on axis 1; every extent must be at least 1",
        ),
        (
            declared(Sequential::new().layer(Affine::new(2, 2).name("a")).layer(Affine::new(2, 2).name("a"))),
            "in layer `sequential`: two layers are named `a`; give one of them another name",
        ),
        (
            declared(Sequential::new().layer(Affine::new(2, 2).name("a/b"))),
            "in layer `sequential`: the name of a layer is \"a/b\", expected a name that is not empty and has neither `/` nor control characters",
        ),
        (
            declared(Local::new(2, 2).prior_maker(Prior::normal(0.0, -1.0))),
            "in layer `affine`: the prior is Normal(loc = 0, scale = -1), expected a finite loc and a positive, finite scale",
        ),
        (
            declared(Local::new(2, 2).posterior_maker(Posterior::mean_field_with_scale(0.0))),
            "in layer `affine`: the initial scale is 0, expected a finite number above 1e-5",
        ),
        (
            declared(Local::new(2, 2).posterior_maker(without_bias())),
            "in layer `affine`: the posterior that was made is of a kernel alone, but the layer has a kernel and a bias; make a distribution for each that `KernelBiasShape` has a shape of",
        ),
        (
            declared(Local::new(2, 2).posterior_maker(Posterior::new(|scope, shape| {
                let loc = |scope: &Scope<'_>| scope.parameter("loc", &shape.kernel, &Initializer::Zeros).map(|_| ());
                loc(scope)?;
                loc(scope)?;
                unreachable!()
            }))),
            "in layer `affine`: two parameters are named `loc`; give one of them another name",
        ),
        (
            declared(Affine::new(2, 3).kernel_initializer(Initializer::value(Tensor::scalar(1.0)))),
            "in layer `affine`: the type of what the initializer gives is f32[], expected f32[2,3]",
        ),
        (
            declared(Affine::new(2, 2).validate_args(true).bias_initializer(Initializer::Constant(f64::NAN))),
            "in layer `affine`: parameter `bias` is NaN at element 0; every element must be finite",
        ),
    ];
    for (found, want) in cases {
        assert_eq!(found, want);
    }
}

fn without_bias() -> Posterior {
    Posterior::new(|scope, shape| {
        let loc = scope.parameter("loc", &shape.kernel, &Initializer::Zeros)?;
        Ok(KernelBias { kernel: Deterministic::new(loc).into(), bias: None })
    })
}

#[test]
fn inputs_of_layers() {
    let network = || Sequential::new().layer(Local::new(4, 3)).layer(Affine::new(3, 2).name("head"));
    let cases: &[(String, &str)] = &[
        (called(Local::new(4, 3), Type::f32([2, 5])), "in layer `affine`: the input has shape [2,5], expected [..,4]"),
        (called(Affine::new(4, 3), Type::f32([])), "in layer `affine`: the input has shape [], expected [..,4]"),
        (called(network(), Type::f32([5])), "in layer `affine`: the input has shape [5], expected [..,4]"),
        (
            called(Sequential::new().layer(Affine::new(4, 3)).layer(Affine::new(4, 2).name("head")), Type::f32([2, 4])),
            "in layer `head`: the input has shape [2,3], expected [..,4]",
        ),
        (
            called(Affine::new(4, 3), Type::u32([2, 4])),
            "in layer `affine`: the input's element type is u32, expected f32",
        ),
        (
            called(Affine::new(4, 3).batch_shape([3]), Type::f32([2, 4])),
            "in layer `affine`: the input has shape [2,4], expected leading axes that broadcast with the batch shape [3]",
        ),
        (
            called(Sequential::new().layer(flatten_rightmost(3)), Type::f32([2, 4])),
            "in layer `flatten_rightmost`: flatten_rightmost: the input has shape [2,4], \
             which does not fit 3 or more axes (and ndims at least 1)",
        ),
        (
            called(Sequential::new().apply(|x| x + x.sum(0).expand(0).expand(3)), Type::f32([2, 3])),
            "in layer `lambda`: add: the right operand has shape [1,3,1], which does not fit",
        ),
        (
            called(Local::new(2, 2).use_bias(false).posterior_maker(without_bias()), Type::f32([1, 2])),
            "in layer `affine`: the posterior of a local layer's kernel is Deterministic, expected Normal; layers with plain reparameterization take any",
        ),
        (
            called(Flipout::new(2, 2).use_bias(false).posterior_maker(without_bias()), Type::f32([1, 2])),
            "in layer `affine`: the posterior of a flipout layer's kernel is Deterministic, expected Normal; layers with plain reparameterization take any",
        ),
        (
            called(
                Reparameterization::new(2, 2)
                    .posterior_value(PosteriorValue::custom(|_, site, _| Ok(site.builder().constant(1.0)))),
                Type::f32([1, 2]),
            ),
            "in layer `affine`: the posterior value has shape [], expected [2,2] or [2,2]",
        ),
    ];
    for (found, want) in cases {
        // A sum of shapes that do not fit may or may not name both; the beginning is what matters there.
        assert!(found.starts_with(want), "{found}\n{want}");
    }
    let layer = Local::new(4, 3);
    let parameters = layer.initialize(0).unwrap();
    let cases = [
        (
            Type::f32([3, 2, 4]),
            5,
            "in layer `affine`: the input has shape [3,2,4], expected a first axis of 1 or 5, which counts samples",
        ),
        (Type::f32([4]), 5, "in layer `affine`: the input has shape [4], expected [samples,..,4]"),
    ];
    for (x, samples, want) in cases {
        assert_eq!(called_with(&layer, &parameters, x, Some(samples)), want);
    }
    // No samples are an error of the graph, not a panic.
    let builder = Builder::new();
    let context = Context::new(Scope::bind(&builder, &parameters).unwrap()).noise(noise_inputs(&builder)).samples(0);
    let x = builder.input("x", Type::f32([1, 2, 4]));
    let error = layer.call(&context, x).and_then(|_| Ok(builder.check()?)).unwrap_err().to_string();
    assert!(error.contains("extent 0 on axis 0"), "{error}");
}

#[test]
fn parameters_that_do_not_fit() {
    let layer = Sequential::new().layer(Affine::new(2, 3).validate_args(true));
    let parameters = layer.initialize(0).unwrap();
    assert!(layer.validate(&parameters).is_ok());
    let message = |parameters: &Parameters| layer.validate(parameters).unwrap_err().to_string();

    assert_eq!(
        message(&Parameters::new()),
        "in layer `affine`: there is no parameter named `affine/kernel`; there are: "
    );
    assert_eq!(
        message(&Sequential::new().layer(Affine::new(2, 4)).initialize(0).unwrap()),
        "in layer `affine`: parameter `affine/kernel` has type f32[2,4], expected f32[2,3]"
    );
    let mut bad = parameters.clone();
    bad.get_mut("affine/bias").unwrap().tensor.as_f32_mut().unwrap()[1] = f32::INFINITY;
    assert_eq!(
        message(&bad),
        "in layer `affine`: parameter `affine/bias` is inf at element 1; every element must be finite"
    );
    assert_eq!(
        bad.check_finite().unwrap_err().to_string(),
        "parameter `affine/bias` is inf at element 1; every element must be finite"
    );
    // Calling the layer says the same.
    assert_eq!(called_with(&layer, &bad, Type::f32([1, 2]), None), message(&bad));

    let mut parameters = parameters;
    assert_eq!(
        parameters.assign("affine/bias", Tensor::scalar(0.0)).unwrap_err().to_string(),
        "parameter `affine/bias` has type f32[], expected f32[3]"
    );
    assert_eq!(
        parameters.get("affine/bais").unwrap_err().to_string(),
        "there is no parameter named `affine/bais`; there are: affine/kernel, affine/bias"
    );
    let again = parameters.get("affine/bias").unwrap().clone();
    assert_eq!(
        parameters.insert("affine/bias", again).unwrap_err().to_string(),
        "two parameters are named `affine/bias`; give one of them another name"
    );
}

#[test]
fn divergences() {
    let layer = Local::new(2, 2);
    let parameters = layer.initialize(0).unwrap();
    let message = |noise: bool, divergence: Divergence| {
        let builder = Builder::new();
        let mut context = Context::new(Scope::bind(&builder, &parameters).unwrap());
        if noise {
            context = context.noise(noise_inputs(&builder));
        } else {
            context = context.posterior_value(PosteriorValue::Mean);
        }
        let call = layer.call(&context, builder.input("x", Type::f32([1, 2]))).unwrap();
        call.divergence(&divergence).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        message(true, Divergence::Exact).unwrap_err(),
        "the divergence of Normal from Mixture at `kernel` has no closed form; say what to take then, as \
         Divergence::Exact.or(Divergence::quadrature()), or use Divergence::MonteCarlo"
    );
    assert_eq!(
        message(true, Divergence::MonteCarlo { draws: 0 }).unwrap_err(),
        "the number of draws of Divergence::MonteCarlo is 0, expected at least 1"
    );
    // At the mean there is a value, so one draw needs no noise; more do.
    assert!(message(false, Divergence::MonteCarlo { draws: 1 }).is_ok());
    assert_eq!(
        message(false, Divergence::MonteCarlo { draws: 2 }).unwrap_err(),
        "`kernel/divergence` draws noise, but the context has no noise address; \
         call Context::noise, or use PosteriorValue::Mean"
    );
    let builder = Builder::new();
    let context = Context::new(Scope::bind(&builder, &parameters).unwrap());
    assert_eq!(
        layer.call(&context, builder.input("x", Type::f32([1, 2]))).unwrap_err().to_string(),
        "in layer `affine`: `output` draws noise, but the context has no noise address; \
         call Context::noise, or use PosteriorValue::Mean"
    );
}

#[test]
fn distributions_likelihoods_optimizers() {
    let builder = Builder::new();
    let normal = Normal::scalar(&builder, 0.0, 1.0);
    for (components, found) in [(vec![], "[]"), (vec![(0.5, normal)], "[0.5]"), (vec![(f64::NAN, normal)], "[NaN]")] {
        let error = Mixture::new(components).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the list of probabilities of a mixture is {found}, expected one or more positive numbers that sum to 1"
            )
        );
    }
    let scope = Scope::describe(&builder);
    let output = |name: &str, extents: &[usize]| -> Expr<'_> { builder.input(name, Type::f32(extents)) };
    let cases = [
        (
            likelihood::Categorical.loss(&scope, output("a", &[4, 3]), &builder.input("l", Type::u32([5])).into()),
            "the type of the targets for an output of shape [4,3] is u32[5], expected u32[4]",
        ),
        (
            likelihood::Normal::fixed(1.0).loss(&scope, output("b", &[4, 1]), &output("t", &[4]).into()),
            "the type of the targets for an output of shape [4,1] is f32[4], expected f32[4,1]",
        ),
        (
            likelihood::Normal::fixed(0.0).loss(&scope, output("c", &[4, 1]), &output("u", &[4, 1]).into()),
            "the scale of a likelihood is 0, expected a positive, finite number",
        ),
        (
            likelihood::Normal::fixed(f64::INFINITY).loss(&scope, output("i", &[4, 1]), &output("j", &[4, 1]).into()),
            "the scale of a likelihood is inf, expected a positive, finite number",
        ),
        (
            likelihood::Normal::learned(f64::NAN).loss(&scope, output("d", &[4, 1]), &output("v", &[4, 1]).into()),
            "the initial scale is NaN, expected a finite number above 1e-5",
        ),
        (
            likelihood::Categorical.loss(&scope, output("e", &[]), &builder.input("m", Type::u32([])).into()),
            "the network's output has shape [], expected [.., rows, outputs]",
        ),
    ];
    for (found, want) in cases {
        assert_eq!(found.map(|_| ()).unwrap_err().to_string(), want);
    }
    let adam = |change: fn(&mut Adam)| {
        let mut adam = Adam::default();
        change(&mut adam);
        adam.check().unwrap_err().to_string()
    };
    assert!(Adam::default().check().is_ok());
    assert_eq!(
        adam(|adam| adam.learning_rate = 0.0),
        "Adam's learning_rate is 0, expected a number that is positive and finite as `f32`"
    );
    assert_eq!(adam(|adam| adam.beta_2 = 1.0), "Adam's beta_2 is 1, expected a number from 0 to below 1");
    assert_eq!(
        adam(|adam| adam.epsilon = f64::NAN),
        "Adam's epsilon is NaN, expected a number that is positive and finite as `f32`"
    );
    let bad = |optimizer: &dyn Optimizer| optimizer.check().unwrap_err().to_string();
    assert!(Sgld::default().check().is_ok() && Sgld::new(1.0).prior_precision(0.0).check().is_ok());
    assert!(Ivon::default().check().is_ok() && Ivon::new(1.0).prior_precision(0.0).check().is_ok());
    let positive = "expected a number that is positive and finite as `f32`";
    let not_negative = "expected a number that is not negative and finite as `f32`";
    let share = "expected a number from 0 to below 1";
    let refused: [(&dyn Optimizer, &str, &str); 9] = [
        (&Sgld::new(0.0), "Sgld's learning_rate is 0", positive),
        (&Sgld::new(1.0).prior_precision(-1.0), "Sgld's prior_precision is -1", not_negative),
        (&Ivon::new(f64::NAN), "Ivon's learning_rate is NaN", positive),
        (&Ivon::default().prior_precision(f64::INFINITY), "Ivon's prior_precision is inf", not_negative),
        (&Ivon::default().first_hessian(0.0), "Ivon's first_hessian is 0", positive),
        (&Ivon::default().beta_1(1.0), "Ivon's beta_1 is 1", share),
        (&Ivon::default().beta_2(-0.5), "Ivon's beta_2 is -0.5", share),
        (&Ivon::default().clip_radius(-1.0), "Ivon's clip_radius is -1", positive),
        (&Ivon::default().likelihood_rate(0.0), "Ivon's likelihood_rate is 0", positive),
    ];
    for (optimizer, problem, expected) in refused {
        assert_eq!(bad(optimizer), format!("{problem}, {expected}"));
    }
    assert!(AdamW::default().check().is_ok() && AdamW::new(1.0).weight_decay(0.0).check().is_ok());
    for (decay, found) in [(-0.1, "-0.1"), (f64::NAN, "NaN"), (1e40, "1e40")] {
        assert_eq!(
            bad(&AdamW::default().weight_decay(decay)),
            format!("AdamW's weight_decay is {found}, expected a number that is not negative and finite as `f32`")
        );
    }
    assert_eq!(
        bad(&AdamW::new(0.0)),
        "Adam's learning_rate is 0, expected a number that is positive and finite as `f32`"
    );
    assert!(Sgd::default().check().is_ok() && Sgd::new(1.0).momentum(0.9).check().is_ok());
    assert_eq!(
        bad(&Sgd::new(-0.1)),
        "Sgd's learning_rate is -0.1, expected a number that is positive and finite as `f32`"
    );
    assert_eq!(bad(&Sgd::new(0.1).momentum(1.0)), "Sgd's momentum is 1, expected a number from 0 to below 1");
    assert!(RmsProp::default().check().is_ok() && RmsProp::new(1.0).centered(true).momentum(0.9).check().is_ok());
    let rms_prop = |change: fn(&mut RmsProp)| {
        let mut rms_prop = RmsProp::default();
        change(&mut rms_prop);
        bad(&rms_prop)
    };
    let infinite = "RmsProp's learning_rate is inf, expected a number that is positive and finite as `f32`";
    assert_eq!(rms_prop(|options| options.learning_rate = f64::INFINITY), infinite);
    assert_eq!(rms_prop(|options| options.rho = f64::NAN), "RmsProp's rho is NaN, expected a number from 0 to below 1");
    assert_eq!(
        rms_prop(|options| options.momentum = -0.5),
        "RmsProp's momentum is -0.5, expected a number from 0 to below 1"
    );
    assert_eq!(
        rms_prop(|options| options.epsilon = 0.0),
        "RmsProp's epsilon is 0, expected a number that is positive and finite as `f32`"
    );
}

#[test]
fn accessors_of_what_is_not_there() {
    let layer = Local::new(2, 2).use_bias(false).name("head");
    let parameters = layer.initialize(0).unwrap();
    assert!(layer.posterior(&parameters).bias.is_none());
    assert_eq!(
        layer.bias_posterior(&parameters).unwrap_err().to_string(),
        "in layer `head`: the layer has no bias, so its bias has no posterior; give it one by `use_bias(true)`"
    );
    let network = Sequential::new().layer(Affine::new(1, 1));
    assert_eq!(
        network.by_name("dense").map(|_| ()).unwrap_err().to_string(),
        "there is no layer named `dense`; there are: affine"
    );
    assert!(network.get(1).is_none());
    assert!(network.slice(3..9).is_empty());
    // Parameters of another layer.
    assert!(matches!(layer.kernel_posterior(&Parameters::new()).mean(), Err(Error::UnknownName { .. })));
    assert!(layer.kernel_posterior(&parameters).log_prob(&Tensor::scalar(0.0)).is_err());
    assert!(layer.kernel_posterior(&parameters).sample(0, 0).is_err());
}
