//! Which network a model file is of: the very same loads, any other is refused in words, weights are taken on purpose.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::{
    ir::Expr,
    ir::Tensor,
    layers::{
        Call, Context, Error as LayerError, KernelBias, LayerDescription, Local, Scope, Variational,
        distribution::Normal,
    },
    prelude::*,
};
use facade::{bits, small_layers};
use files::{folder, with_header};

type Kind = AffineVariationalReparameterizationLocal;

fn layer() -> Kind {
    Kind::new(3, 4)
}

fn network(layer: impl Layer + 'static) -> Network {
    Network::new(layer, [3], likelihood::Categorical, 0).unwrap()
}

/// The first difference that is found when the file of one network is loaded into another one.
fn difference(saved: &Network, mut own: Network) -> String {
    let bytes = saved.to_bytes().unwrap();
    let before = bits(&own);
    let error = own.load_bytes(&bytes).unwrap_err();
    assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
    assert_eq!(bits(&own), before);
    // Itself it loads.
    saved.clone().load_bytes(&bytes).unwrap();
    let message = error.to_string();
    message.strip_prefix("the model file `(bytes)` is of another network: ").unwrap().to_owned()
}

/// Both ways around: what the file says comes first.
fn differ(a: impl Layer + Clone + 'static, b: impl Layer + Clone + 'static, words: &str, x: &str, y: &str) {
    let (a, b) = (network(a), network(b));
    assert_eq!(difference(&a, b.clone()), format!("{words} is {x}, the network's is {y}"));
    assert_eq!(difference(&b, a), format!("{words} is {y}, the network's is {x}"));
}

#[test]
fn each_option_is_told() {
    let one = |layer: Kind| Sequential::new().layer(layer);
    let relu = one(layer().activation(Activation::Relu));
    differ(relu.clone(), one(layer().activation(Activation::Tanh)), "layer `affine`: its activation", "relu", "tanh");
    let flipout = Sequential::new().layer(AffineVariationalFlipout::new(3, 4).activation(Activation::Relu));
    differ(relu.clone(), flipout, "layer `affine`: its estimator", "Local", "Flipout");
    differ(relu, one(layer()), "layer `affine`: its activation", "relu", "none");
    let mean = one(layer().posterior_value(PosteriorValue::Mean));
    differ(mean, one(layer()), "layer `affine`: its posterior_value", "Mean", "Sample");
    differ(one(layer().seed(5)), one(layer()), "layer `affine`: its seed", "5", "none");
    let unpacked = one(layer().unpack_weights(|weights| Ok(KernelBias { bias: None, ..weights })));
    differ(unpacked, one(layer()), "layer `affine`: its estimator", "Local of unpacked weights", "Local");
    differ(one(Kind::new(3, 5)), one(layer()), "layer `affine`: its output_size", "5", "4");
    differ(one(layer().use_bias(false)), one(layer()), "layer `affine`: its use_bias", "false", "true");
    // A single layer is called by its name.
    differ(layer().activation(Activation::Elu), layer(), "layer `affine`: its activation", "elu", "none");

    let same = |layer: &dyn Fn() -> Sequential| {
        let own = layer();
        Sequential::new().layer(own).layer(Affine::new(4, 2))
    };
    let with = |layer: fn() -> Sequential| same(&layer);
    differ(
        with(|| Sequential::new().layer(layer()).layer(Dropout::monte_carlo(0.5).name("d"))),
        with(|| Sequential::new().layer(layer()).layer(Dropout::new(0.5).name("d"))),
        "layer `sequential/d`: its kind",
        "monte_carlo_dropout",
        "dropout",
    );
    differ(
        with(|| Sequential::new().layer(layer()).layer(Dropout::new(0.25))),
        with(|| Sequential::new().layer(layer()).layer(Dropout::new(0.5))),
        "layer `sequential/dropout`: its rate",
        "0.25",
        "0.5",
    );
    differ(
        with(|| Sequential::new().layer(layer()).layer(LayerNormalization::new(4).epsilon(0.5))),
        with(|| Sequential::new().layer(layer()).layer(LayerNormalization::new(4))),
        "layer `sequential/layer_normalization`: its epsilon",
        "0.5",
        "0.001",
    );
    differ(
        with(|| Sequential::new().layer(layer()).layer(BatchNormalization::new(4).momentum(0.5))),
        with(|| Sequential::new().layer(layer()).layer(BatchNormalization::new(4))),
        "layer `sequential/batch_normalization`: its momentum",
        "0.5",
        "0.99",
    );
    differ(
        with(|| Sequential::new().layer(Branches::add().layer(layer()).layer(layer()))),
        with(|| Sequential::new().layer(Branches::concatenate().layer(Kind::new(3, 2)).layer(Kind::new(3, 2)))),
        "layer `sequential/branches`: its join",
        "add",
        "concatenate",
    );
}

#[test]
fn layers_of_images_are_told() {
    let images = |layer: &dyn Fn() -> Sequential| {
        Network::new(layer().layer(GlobalPooling::average(2)), [6, 6, 1], likelihood::Categorical, 0).unwrap()
    };
    type Variant = fn() -> Sequential;
    let cases: [(Variant, Variant, &str); 7] = [
        (
            || Sequential::new().layer(Convolution::new(1, 2, 3).padding(Padding::Same)),
            || Sequential::new().layer(Convolution::new(1, 2, 3)),
            "layer `convolution`: its padding is Same, the network's is Valid",
        ),
        (
            || Sequential::new().layer(Convolution::new(1, 2, [3, 3]).strides(2)),
            || Sequential::new().layer(Convolution::new(1, 2, 3).strides([2, 1])),
            "layer `convolution`: its strides is [2,2], the network's is [2,1]",
        ),
        (
            || Sequential::new().layer(ConvolutionVariationalFlipout::new(1, 2, 2).dilations(2)),
            || Sequential::new().layer(ConvolutionVariationalFlipout::new(1, 2, 2)),
            "layer `convolution`: its dilations is [2,2], the network's is [1,1]",
        ),
        (
            || Sequential::new().layer(ConvolutionTranspose::new(1, 2, 2).strides(2).output_padding(1)),
            || Sequential::new().layer(ConvolutionTranspose::new(1, 2, 2).strides(2)),
            "layer `convolution_transpose`: its output_padding is [1,1], the network's is none",
        ),
        (
            || Sequential::new().layer(Affine::new(1, 2)).layer(Pooling::max(2).strides(1).name("pool")),
            || Sequential::new().layer(Affine::new(1, 2)).layer(Pooling::max(2).name("pool")),
            "layer `pool`: its strides is [1,1], the network's is [2,2]",
        ),
        (
            || Sequential::new().layer(Affine::new(1, 2)).layer(Pooling::max(2).name("pool")),
            || Sequential::new().layer(Affine::new(1, 2)).layer(Pooling::average(2).name("pool")),
            "layer `pool`: its kind is max_pooling, the network's is average_pooling",
        ),
        (
            || Sequential::new().layer(Residual::new(Affine::new(1, 2)).shortcut(Affine::new(1, 2).use_bias(false))),
            || {
                let shortcut = Affine::new(1, 2).use_bias(false).activation(Activation::Relu);
                Sequential::new().layer(Residual::new(Affine::new(1, 2)).shortcut(shortcut))
            },
            "layer `residual/shortcut`: its activation is none, the network's is relu",
        ),
    ];
    for (a, b, expected) in cases {
        assert_eq!(difference(&images(&a), images(&b)), expected);
    }
}

#[test]
fn other_layers_inputs_and_likelihoods_are_told() {
    let one = || Sequential::new().layer(layer());
    let with = |activation: Activation| network(one().layer(activation));
    let message = difference(&with(Activation::Relu), with(Activation::Tanh));
    assert_eq!(message, "it has the layer `relu` where the network has `tanh`");
    let two = || network(one().layer(Affine::new(4, 4).use_bias(false)));
    assert_eq!(difference(&network(one()), two()), "it has no layer `affine_1`");
    assert_eq!(difference(&two(), network(one())), "it has the layer `affine_1`, which the network has not");
    let other_input = Network::new(Kind::new(2, 4), [2], likelihood::Categorical, 0).unwrap();
    assert_eq!(difference(&other_input, network(layer())), "its inputs have shape [2], expected [3]");
    let likelihood = |likelihood| Network::new(layer(), [3], likelihood, 0).unwrap();
    let normal = "Normal(loc = output, scale = 1)";
    assert_eq!(
        difference(&likelihood(likelihood::Normal::fixed(1.0)), network(layer())),
        format!("its likelihood is {normal}, expected Categorical(logits = output)")
    );
    assert_eq!(
        difference(&likelihood(likelihood::Normal::fixed(1.0)), likelihood(likelihood::Normal::fixed(2.0))),
        format!("its likelihood is {normal}, expected Normal(loc = output, scale = 2)")
    );
    // Where a learned scale began is no part of the network that was learned.
    let bytes = likelihood(likelihood::Normal::learned(0.5)).to_bytes().unwrap();
    likelihood(likelihood::Normal::learned(0.25)).load_bytes(&bytes).unwrap();
    // Nor are initial values, checks, or the name of the network's own layer.
    let bytes = network(one()).to_bytes().unwrap();
    let initial = layer().kernel_initializer(Initializer::HeNormal).validate_args(true);
    network(Sequential::new().layer(initial).name("other")).load_bytes(&bytes).unwrap();
}

#[test]
fn posteriors_and_priors_are_told() {
    let prior = |prior| network(layer().prior_maker(prior));
    assert_eq!(
        difference(&prior(Prior::normal(0.0, 1.0)), prior(Prior::normal(0.0, 2.0))),
        "its prior of `kernel` is Normal(loc = 0, scale = 1), the network's is Normal(loc = 0, scale = 2)"
    );
    assert_eq!(
        difference(&prior(Prior::laplace(0.0, 1.0)), network(layer())),
        "its prior of `kernel` is Laplace(loc = 0, scale = 1), the network's is 0.5 Normal(loc = 0, scale = 1) + 0.5 \
         Normal(loc = 0, scale = 2000)"
    );
    // The same numbers under another parameterization are another network's.
    let posterior = |by: f32| {
        network(layer().posterior_maker(Posterior::new(move |scope, shape| {
            shape.each(scope, |scope, shape, initializer| {
                let loc = scope.parameter("loc", shape, initializer)?;
                let raw_scale = scope.parameter("raw_scale", shape, &Initializer::Constant(-5.0))?;
                Ok(Normal::new(loc, (raw_scale.softplus() + 1e-5) * by).into())
            })
        })))
    };
    let made = |by: &str| format!("Normal(loc = kernel/loc, scale = mul(softplus(kernel/raw_scale) + 0.00001, {by}))");
    assert_eq!(
        difference(&posterior(2.0), posterior(0.5)),
        format!("its posterior of `kernel` is {}, the network's is {}", made("2"), made("0.5"))
    );
    let plain = "Normal(loc = kernel/loc, scale = softplus(kernel/raw_scale) + 0.00001)";
    assert_eq!(
        difference(&posterior(2.0), network(layer())),
        format!("its posterior of `kernel` is {}, the network's is {plain}", made("2"))
    );
    // A text that would have no end is cut off.
    let deep = network(layer().posterior_maker(Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            let scale = (0..64).fold(scope.parameter("scale", shape, &Initializer::Ones)?, |x, _| x.max(x * 0.5) * x);
            Ok(Normal::new(loc, scale).into())
        })
    })));
    let file = ModelFile::from_bytes(&deep.to_bytes().unwrap()).unwrap();
    assert!(file.posteriors[0].text.contains("computed; see the graph") && file.posteriors[0].text.len() < 1 << 20);
}

/// A layer of one's own that says nothing but its name, or an option as well.
struct Power(i32, bool);

impl Layer for Power {
    fn name(&self) -> &str {
        "power"
    }
    fn declare(&self, _: &Scope<'_>) -> Result<(), LayerError> {
        Ok(())
    }
    fn call<'b>(&self, _: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, LayerError> {
        Ok(Call::new((1..self.0).fold(x, |power, _| power * x)))
    }
    fn describe(&self) -> LayerDescription {
        let description = LayerDescription::new("power");
        if self.1 { description.option("exponent", self.0) } else { description }
    }
}

#[test]
fn what_has_no_words_is_told_by_the_graph() {
    let graph = |message: String| {
        assert!(message.starts_with("its layers are told in the same words, but line "), "{message}");
        assert!(message.ends_with("of one's own computes something else"), "{message}");
    };
    let custom = |by: f32| network(layer().activation(Activation::custom(move |x| x * by)));
    graph(difference(&custom(1.5), custom(2.5)));
    let power = |exponent, tells| network(Sequential::new().layer(layer()).layer(Power(exponent, tells)));
    graph(difference(&power(2, false), power(3, false)));
    assert_eq!(difference(&power(2, true), power(3, true)), "layer `power`: its exponent is 2, the network's is 3");
    assert_eq!(
        difference(&power(2, false), power(2, true)),
        "layer `power`: its exponent is not told, the network's is 2"
    );
    let tempered = |by: f32| {
        let layer: Variational<Affine, Local> = layer().unpack_weights(move |weights| {
            Ok(weights.map(|posterior| match posterior.as_normal() {
                Some(d) => Normal::new(d.loc, d.scale * by).into(),
                None => posterior,
            }))
        });
        network(layer)
    };
    graph(difference(&tempered(0.5), tempered(2.0)));
    let applied = |by: f32| network(Sequential::new().layer(layer()).apply(move |x| x * by));
    graph(difference(&applied(1.5), applied(2.5)));
}

/// A file whose digest is right, with another graph or none: written by one who can compute digests.
#[test]
fn graphs_are_compared_within_one_version_of_what_makes_them() {
    use sha2::{Digest, Sha256};
    let network = network(layer());
    let bytes = network.to_bytes().unwrap();
    let changed = |from: &str, to: &str| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let data = &bytes[8 + length..];
        let description = header["__metadata__"]["bayeslift"].as_str().unwrap();
        let (signed, _) = description.split_once(",\"digest\":\"").unwrap();
        assert!(signed.contains(from), "{from}");
        let signed = match to {
            "" => format!("{}\"graph\":\"\"", signed.split_once(from).unwrap().0),
            _ => signed.replacen(from, to, 1),
        };
        let mut hash = Sha256::new();
        let mut piece = |bytes: &[u8], length: bool| {
            if length {
                hash.update((bytes.len() as u64).to_le_bytes());
            }
            hash.update(bytes);
        };
        piece(signed.as_bytes(), true);
        for (name, _) in network.parameters().iter() {
            let tensor = &header[name];
            piece(name.as_bytes(), true);
            piece(b"F32", true);
            let extents = tensor["shape"].as_array().unwrap();
            piece(&(extents.len() as u64).to_le_bytes(), false);
            extents.iter().for_each(|extent| piece(&extent.as_u64().unwrap().to_le_bytes(), false));
            let offset = |i: usize| tensor["data_offsets"][i].as_u64().unwrap() as usize;
            piece(&data[offset(0)..offset(1)], false);
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        header["__metadata__"]["bayeslift"] = format!("{signed},\"digest\":\"{digest}\"}}").into();
        [&with_header(&header.to_string(), 0), data].concat()
    };
    let mut own = network.clone();
    own.load_bytes(&changed("graph {", "graph {")).unwrap();
    for (from, to) in [("\"graph\":", ""), ("sqrt", "exp")] {
        let error = own.load_bytes(&changed(from, to)).unwrap_err();
        assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
        assert!(error.to_string().contains("but line "), "{error}");
    }
    let error = own.load_bytes(&changed("\"graph\":", "")).unwrap_err().to_string();
    assert!(error.contains("line 1 of its graph is `the end`, the network's is `graph {`"), "{error}");
    // Another version of what makes graphs makes other ones of the same network.
    let emitter = ModelFile::from_bytes(&bytes).unwrap().emitter.unwrap();
    let file = changed(&format!("\"emitter\":{emitter}"), &format!("\"emitter\":{}", emitter + 1));
    own.load_bytes(&file).unwrap();
}

#[test]
fn files_of_version_1_load() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model_files/version_1.safetensors");
    let small = |layers, seed| Network::new(layers, [3], likelihood::Normal::learned(0.3), seed).unwrap();
    let mut loaded = small(small_layers(), 6);
    loaded.load(&path).unwrap();
    let file = ModelFile::read(&path).unwrap();
    assert_eq!((file.version, &file.digest, file.emitter, file.layers.len()), (1, &None, None, 0));
    // It has one scale for all units, which every unit gets.
    let mut expected = file.parameters.clone();
    let scale = expected.get_mut("likelihood/raw_scale").unwrap();
    scale.tensor = Tensor::f32([2], scale.tensor.as_f32().unwrap().repeat(2)).unwrap();
    assert_eq!(&expected, loaded.parameters());
    assert_eq!((loaded.seed(), loaded.training_examples()), (5, Some(40)));
    // What it says is compared.
    let narrow = |prior: f64| {
        Sequential::new()
            .layer(
                AffineVariationalReparameterizationLocal::new(3, 8)
                    .activation(Activation::Relu)
                    .prior_maker(Prior::normal(0.0, prior)),
            )
            .layer(AffineVariationalReparameterization::new(8, 5).activation(Activation::Tanh))
            .layer(Affine::new(5, 2))
    };
    let error = small(narrow(1.0), 6).load(&path).unwrap_err().to_string();
    assert!(error.contains("its prior of `affine/kernel` is 0.5 Normal("), "{error}");
    let error = Network::new(small_layers(), [3], likelihood::Normal::fixed(0.3), 6).unwrap().load(&path).unwrap_err();
    assert!(error.to_string().contains("its likelihood is Normal(loc = output, scale = softplus("), "{error}");
    // Saved again it has a digest, and the same numbers.
    let bytes = loaded.to_bytes().unwrap();
    let again = ModelFile::from_bytes(&bytes).unwrap();
    assert_eq!((again.version, again.digest.unwrap().len()), (5, 64));
    assert_eq!(again.parameters, expected);
}

/// A file of version 2, of the digits example, has no graphs of predictions: it loads with its layers, and then
/// predicts.
#[test]
fn files_of_version_2_load() {
    let bytes: &[u8] = include_bytes!("model_files/version_2.safetensors");
    let file = ModelFile::from_bytes(bytes).unwrap();
    assert_eq!((file.version, file.stands_alone()), (2, false));
    let local = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(local(64, 64).activation(Activation::Relu)).layer(local(64, 10));
    let network = Network::from_bytes(layers, likelihood::Categorical, bytes).unwrap();
    assert_eq!(*network.parameters(), file.parameters);
    let alone = Predictor::from_bytes(bytes).unwrap_err().to_string();
    assert!(alone.contains("a version without graphs of predictions"), "{alone}");
    let own = Predictor::new(&network).unwrap().classify(&[0.5; 128]).unwrap();
    assert_eq!(Predictor::from_bytes(&network.to_bytes().unwrap()).unwrap().classify(&[0.5; 128]).unwrap(), own);
}

#[test]
fn weights_are_taken_on_purpose() {
    let path = folder("model_identity-weights").join("model");
    let mut saved = network(layer().activation(Activation::Relu));
    saved.parameters_mut().set_trainable(false, |_, _| true);
    saved.save(&path).unwrap();
    let flipout = AffineVariationalFlipout::new(3, 4).prior_maker(Prior::normal(0.0, 1.0));
    let mut other = Network::new(flipout, [3], likelihood::Normal::fixed(1.0), 9).unwrap();
    assert!(matches!(other.load(&path), Err(Error::OtherNetwork { .. })));
    other.load_weights(&path).unwrap();
    assert_eq!(bits(&other), bits(&saved));
    // Values are all that changes.
    assert_eq!((other.seed(), other.training_examples()), (9, None));
    assert!(other.parameters().iter().all(|(_, parameter)| parameter.trainable));
    // Names and types are compared.
    let before = bits(&other);
    for (layer, expected) in [
        (Kind::new(3, 5), "its parameter `kernel/loc` has type f32[3,5], expected f32[3,4]"),
        (layer().use_bias(false), "it has no parameter `bias/loc`; it has: kernel/loc, kernel/raw_scale"),
    ] {
        network(layer).save(&path).unwrap();
        let error = other.load_weights(&path).unwrap_err();
        assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(bits(&other), before);
    }
    let error = network(layer().use_bias(false)).load_weights({
        network(layer()).save(&path).unwrap();
        &path
    });
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("it has the parameter `bias/loc`, which the network has not"), "{error}");
}

#[test]
fn a_network_is_part_of_a_program() {
    let bytes: &[u8] = include_bytes!("model_files/version_1.safetensors");
    let network = Network::from_bytes(small_layers(), likelihood::Normal::learned(0.3), bytes).unwrap();
    assert_eq!((network.seed(), network.training_examples(), &network.input()[..]), (5, Some(40), &[3][..]));
    let bytes = network.to_bytes().unwrap();
    let again = Network::from_bytes(small_layers(), likelihood::Normal::learned(0.3), &bytes).unwrap();
    assert_eq!(again.parameters(), network.parameters());
    assert_eq!(again.to_bytes().unwrap(), bytes);
    // The bytes are those of a file.
    let path = folder("model_identity-bytes").join("model");
    network.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let other = Network::from_bytes(layer(), likelihood::Categorical, &bytes).unwrap_err();
    assert!(matches!(other, Error::OtherNetwork { .. }), "{other}");
    let damaged = Network::from_bytes(small_layers(), likelihood::Normal::learned(0.3), &bytes[1..]).unwrap_err();
    assert!(damaged.to_string().starts_with("`(bytes)` is no model file that can be read: "), "{damaged}");
}
