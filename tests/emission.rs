//! What a network says of itself is the same from version to version, or is known to be another.
//!
//! A model file is compared with a network by words, and by the text of a graph if both are made by one version of what
//! makes graphs. This test holds digests of both for a set of networks with every layer.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[path = "facade/networks.rs"]
mod networks;

use bayeslift::{layers::*, prelude::*};
use networks::networks;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The version of what makes graphs that the digests below are of.
const EMITTER: u32 = 3;

/// For each network the first 16 digits of the digest of its words, and of its graph's text.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("affine", "81f2ed8e7fb42cff", "f9cdfab77ef7595c"),
    ("local", "dcd459800d273e76", "5d7b87ae1db5d4d1"),
    ("reparameterization", "3ef7f0ecaacd4083", "ccbaee522c4e184b"),
    ("flipout", "609726205ec49ecb", "34a2122ce27f202b"),
    ("mean", "27af924b596f304d", "659962cbb00c6cae"),
    ("mode", "6e682d7a91608d54", "659962cbb00c6cae"),
    ("seed", "bfb2f9954e08e8ce", "91e1636973010a37"),
    ("relu", "fd507ce5b04ae4b9", "68f6a611956963ee"),
    ("leaky_relu", "7550afd6da1564a8", "62a52ccf4d77780b"),
    ("elu", "b7dc19034bb9d2e8", "8e5080a6855713ec"),
    ("selu", "1fc07cb9689d4a50", "19778c47476619f8"),
    ("gelu", "2f3c5619e8d13302", "97e68a7a36806c40"),
    ("sigmoid", "bcb2c7d74ac0259e", "b11a2dd7faaf41cd"),
    ("softplus", "bfbc06cfb6384dcc", "b68fb89c937a310d"),
    ("swish", "89989a0dd76581e6", "e83edc5b209efce7"),
    ("tanh", "e1e32f5583899640", "b3117137a6f397eb"),
    ("prior_normal", "1a40a167d2bdfd52", "5505f1fd76ffbd1f"),
    ("prior_laplace", "7f95e75b31751576", "a458ee20f676297e"),
    ("prior_logistic", "ffdd7fd32b0268b5", "2bf09ffa9ee37858"),
    ("prior_cauchy", "457a968790917ea6", "31d1eb25f426863e"),
    ("prior_student_t", "d4563152724a601a", "3d244b7966e7319b"),
    ("normal", "e29d5f8423aae003", "5d7b87ae1db5d4d1"),
    ("normal_learned", "ff67395ed5f741ed", "6304537d3f549fca"),
    ("softmax_centered", "db565ddf55183258", "5d7b87ae1db5d4d1"),
    ("softmax_centered_learned", "a4c3b73bbb984a5e", "4b2c23c40d080c2e"),
    ("normal_heteroscedastic", "63ca0fff278c5f52", "4fa5f2559999d60a"),
    ("log_normal", "27e2cb8fd3e57158", "6304537d3f549fca"),
    ("laplace", "2049a3735c977bd4", "4fa5f2559999d60a"),
    ("student_t", "1026999fe7657e97", "6304537d3f549fca"),
    ("gamma", "c288fc4cb4a83162", "4fa5f2559999d60a"),
    ("beta", "1ed0560fb29c7e61", "6304537d3f549fca"),
    ("bernoulli", "0a9b280790203c9e", "5d7b87ae1db5d4d1"),
    ("poisson", "487e47813aca15c7", "5d7b87ae1db5d4d1"),
    ("negative_binomial", "098a9b61d8effe54", "6304537d3f549fca"),
    ("zero_inflated", "a1fba1908f9f19ee", "4fa5f2559999d60a"),
    ("ordered_logit", "0614a08523125c45", "ca1a148fdee9426d"),
    ("normal_mixture", "3a0559d748770a66", "d6171e4400bf3c86"),
    ("custom", "7756df0f74562b12", "5d7b87ae1db5d4d1"),
    ("convolution", "0eb2697720ecbfd2", "cb59b0459c8f069a"),
    ("convolution_local", "540affcc675c9ae8", "bf764e4be41124f5"),
    ("convolution_reparameterization", "4b20e7bc53747e2c", "2ee11aab3166b21d"),
    ("convolution_flipout", "73d942b63751c085", "90161d1241bfcfae"),
    ("transpose", "0a3a296ac5fd70cd", "a96d9d8646ad8a41"),
    ("transpose_local", "c7a309240d6aa50a", "75e1be2a8241192c"),
    ("transpose_reparameterization", "c830636c997d7cc3", "872629bac022dcb6"),
    ("transpose_flipout", "83c8a5fb156cca9d", "18fbe35f9051d567"),
    ("max_pooling", "b77e8b99c8348599", "7a07b4087ed827e1"),
    ("average_pooling", "be79c1c2da1c61ab", "4bec9136fb9d83d1"),
    ("global_max_pooling", "04f6807f510f6c04", "0b21b6724c529da9"),
    ("global_average_pooling", "78768a348f8c2a29", "8d131611d51a0568"),
    ("flatten_rightmost", "b43efa046390cf4f", "850af8d51a44a6cc"),
    ("embedding", "900650696c37f342", "0bd0aafff0162f39"),
    ("embedding_local", "1c6bf6df99c76b68", "77b79cba87cb20fc"),
    ("embedding_reparameterization", "98f7e50f7eb0fa2d", "9eadbdb1c81a4633"),
    ("embedding_flipout", "84bc9bff4677cbae", "80b5ab485d074bb0"),
    ("dropout", "1454ab9d13a67177", "cd4b631707505dac"),
    ("normalization", "9cda49ebc8ea5817", "382131745b2919b4"),
    ("residual", "1a8c5b29826e2fff", "68f470d1850dee44"),
    ("branches", "a0a62bb85065eeb0", "985dbf7b84c9515a"),
    ("small", "58c2c061217c9d2d", "b86425a802a537bf"),
];

const IF_NEW: &str = "these networks are new here: take the digests that this test prints, and raise nothing.";

const IF_GRAPHS_CHANGED: &str = "\
the graphs of these networks changed. That is no mistake, but files that were written before have other ones. Raise
EMITTER_VERSION in src/model_file.rs (once since the last release is enough) and EMITTER here, and take the digests that
this test prints. Files of the version before go on to load, compared by their words.";

const IF_WORDS_CHANGED: &str = "\
the words for these networks changed. Files of this version of the format hold the old ones and would be refused: keep
the words. If they must change, raise VERSION in src/model_file.rs, and compare files of the version before by what both
say, as src/model_file/compare.rs does for version 1; then take the digests that this test prints.";

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn networks_say_what_they_said() {
    let (mut new, mut words_changed, mut graphs_changed) = (Vec::new(), Vec::new(), Vec::new());
    let mut table = String::new();
    let networks = networks();
    for (name, network) in &networks {
        let file = ModelFile::from_bytes(&network.to_bytes().unwrap()).unwrap();
        assert_eq!(
            file.emitter,
            Some(EMITTER),
            "EMITTER_VERSION was raised: raise EMITTER here as well, and look at the digests"
        );
        let words = format!("{} {:?} {:?} {:?}", file.likelihood, file.layers, file.posteriors, file.priors);
        let (words, graph) = (digest(&words), digest(&file.graph_text));
        match EXPECTED.iter().find(|(expected, ..)| expected == name) {
            None => new.push(name.as_str()),
            Some((_, expected_words, expected_graph)) => {
                words_changed.extend((words != *expected_words).then_some(name.as_str()));
                graphs_changed.extend((graph != *expected_graph).then_some(name.as_str()));
            }
        }
        table += &format!("    (\"{name}\", \"{words}\", \"{graph}\"),\n");
    }
    let mut failures = String::new();
    for (names, what) in [(new, IF_NEW), (words_changed, IF_WORDS_CHANGED), (graphs_changed, IF_GRAPHS_CHANGED)] {
        if !names.is_empty() {
            failures += &format!("\n{}: {what}\n", names.join(", "));
        }
    }
    assert!(failures.is_empty(), "{failures}\n{table}");
    let names: BTreeSet<&str> = EXPECTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!((names.len(), networks.len()), (EXPECTED.len(), EXPECTED.len()), "a row of a network that is not there");
}

/// A predictor of the file alone, without layers, has the bits of the network's, whatever the blocks; closures
/// included.
#[test]
fn files_predict_alone() {
    let mut networks = networks();
    let closures = Sequential::new()
        .layer(Affine::new(3, 4).activation(Activation::custom(|x| (-x.square()).exp())))
        .layer(Lambda::new("double", |x| x * 2.0))
        .layer(AffineVariationalReparameterizationLocal::new(4, 2));
    networks.push(("closures".to_owned(), Network::new(closures, [3], likelihood::Categorical, 1).unwrap()));
    for (name, network) in networks {
        let bytes = network.to_bytes().unwrap();
        let rows = 3;
        let x: Vec<f32> = (0..rows * network.input().elements()).map(|i| (i * i % 5) as f32).collect();
        for (samples, blocks) in [(1, (1, 1)), (5, (2, 3)), (5, (8, 2))] {
            let options = PredictorOptions::default().samples(samples).blocks(blocks.0, blocks.1);
            let options = options.backend(Backend::Reference);
            let own = Predictor::with_options(&network, &options).unwrap();
            let alone = Predictor::from_bytes_with_options(&bytes, &options).unwrap();
            let found = alone.predict(&x).unwrap_or_else(|error| panic!("{name}: {error}"));
            let want = own.predict(&x).unwrap();
            assert_eq!(found.classification(), want.classification(), "{name}");
            let all = |predictive: &Predictive<'_>| {
                let spreads = |of: &Regression| [of.mean(), of.aleatoric(), of.epistemic(), of.total()].concat();
                let numbers = predictive.regression().map_or(Vec::new(), spreads);
                let mut outputs: Vec<u32> =
                    numbers.into_iter().map(|x| if x.is_nan() { 0 } else { x.to_bits() }).collect();
                predictive.parameters(|_, _, x| outputs.extend(x.iter().map(|x| x.to_bits()))).unwrap();
                outputs
            };
            assert_eq!(all(&found), all(&want), "{name}");
        }
    }
}

/// The words themselves, of one network: what everybody reads in a file.
#[test]
fn words_are_plain() {
    let network = Network::new(facade::small_layers(), [3], likelihood::Normal::learned(0.3), 0).unwrap();
    let file = ModelFile::from_bytes(&network.to_bytes().unwrap()).unwrap();
    let lines: Vec<String> = file
        .layers
        .iter()
        .map(|layer| {
            let options: Vec<String> = layer.options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("`{}` {}: {}", layer.path, layer.kind, options.join(", "))
        })
        .collect();
    let affine = |activation: &str, estimator: &str, [input, output]: [u32; 2]| {
        format!(
            "affine: activation = {activation}, batch_shape = [], {estimator}input_size = {input}, output_size = {output}, "
        )
    };
    let random = "posterior_value = Sample, seed = none, use_bias = true";
    let expected = [
        "`` sequential: ".to_owned(),
        format!("`affine` {}{random}", affine("relu", "estimator = Local, ", [3, 8])),
        format!("`affine_1` {}{random}", affine("tanh", "estimator = Reparameterization, ", [8, 5])),
        format!("`affine_2` {}use_bias = true", affine("none", "", [5, 2])),
    ];
    assert_eq!(lines, expected);
}
