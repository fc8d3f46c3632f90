//! What a network says of itself is the same from version to version, or is known to be another.
//!
//! A model file is compared with a network by words, and by the text of a graph if both are made by one version of what
//! makes graphs. This test holds digests of both for a set of networks with every layer.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{layers::*, prelude::*};
use sha2::{Digest, Sha256};

/// The version of what makes graphs that the digests below are of.
const EMITTER: u32 = 1;

/// For each network the first 16 digits of the digest of its words, and of its graph's text.
const EXPECTED: &[(&str, &str, &str)] = &[
];

const IF_GRAPHS_CHANGED: &str = "\
The graphs of these networks changed. That is no mistake, but files that were written before have other ones. Raise
EMITTER_VERSION in src/model_file.rs (once since the last release is enough) and EMITTER here, and take the digests that
this test prints. Files of the version before go on to load, compared by their words.";

const IF_WORDS_CHANGED: &str = "\
The words for these networks changed. Files of this version of the format hold the old ones and would be refused: keep
the words. If they must change, raise VERSION in src/model_file.rs, and compare files of the version before by what both
say, as src/model_file/compare.rs does for version 1; then take the digests that this test prints.";

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Networks of every layer, likelihood, prior and activation that come with Bayeslift.
fn networks() -> Vec<(String, Network)> {
    let mut all: Vec<(String, Network)> = Vec::new();
    let mut add = |name: &str, layers: Sequential, input: &[usize], likelihood: Likelihood| {
        all.push((name.to_owned(), Network::new(layers, input, likelihood, 1).unwrap()));
    };
    let categorical = || Likelihood::Categorical;
    let one = Sequential::new;
    add("affine", one().layer(Affine::new(3, 4).use_bias(false)).layer(Affine::new(4, 2)), &[3], categorical());
    add("local", one().layer(AffineVariationalReparameterizationLocal::new(3, 2)), &[3], categorical());
    add("reparameterization", one().layer(AffineVariationalReparameterization::new(3, 2)), &[3], categorical());
    add("flipout", one().layer(AffineVariationalFlipout::new(3, 2)), &[3], categorical());
    let value = |value| one().layer(AffineVariationalReparameterizationLocal::new(3, 2).posterior_value(value));
    add("mean", value(PosteriorValue::Mean), &[3], categorical());
    add("mode", value(PosteriorValue::Mode), &[3], categorical());
    add("seed", one().layer(AffineVariationalFlipout::new(3, 2).seed(7)), &[3], categorical());
    for name in ["relu", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "softplus", "swish", "tanh"] {
        let activation = Activation::from_name(name).unwrap();
        let layers = one().layer(Affine::new(3, 2).activation(activation.clone())).layer(activation);
        add(name, layers, &[3], categorical());
    }
    let prior = |prior| one().layer(AffineVariationalReparameterization::new(3, 2).prior_maker(prior));
    add("prior_normal", prior(Prior::normal(0.5, 2.0)), &[3], categorical());
    add("prior_laplace", prior(Prior::laplace(0.5, 2.0)), &[3], categorical());
    add("prior_logistic", prior(Prior::logistic(0.5, 2.0)), &[3], categorical());
    add("prior_cauchy", prior(Prior::cauchy(0.5, 2.0)), &[3], categorical());
    add("prior_student_t", prior(Prior::student_t(3.0, 0.5, 2.0)), &[3], categorical());
    let likelihood = || one().layer(AffineVariationalReparameterizationLocal::new(3, 2));
    add("normal", likelihood(), &[3], Likelihood::normal(0.5));
    add("normal_learned", likelihood(), &[3], Likelihood::normal_learned(0.5));
    add("softmax_centered", likelihood(), &[3], Likelihood::softmax_centered_normal(0.5));
    add("softmax_centered_learned", likelihood(), &[3], Likelihood::softmax_centered_normal_learned(0.5));

    let image = |layers: Sequential| layers.layer(Flatten);
    let convolution = Convolution::new(2, 4, [3, 2]).strides([2, 1]).padding(Padding::Same).groups(2);
    add("convolution", image(one().layer(convolution)), &[4, 4, 2], categorical());
    let local = ConvolutionVariationalReparameterizationLocal::new(1, 2, 2).padding([(1, 0), (0, 1)]);
    add("convolution_local", image(one().layer(local)), &[4, 4, 1], categorical());
    let drawn = ConvolutionVariationalReparameterization::new(1, 2, [3]).padding(Padding::Causal).dilations(2);
    add("convolution_reparameterization", image(one().layer(drawn)), &[6, 1], categorical());
    add("convolution_flipout", image(one().layer(ConvolutionVariationalFlipout::new(1, 2, 2))), &[3, 3, 1], categorical());
    let transpose = ConvolutionTranspose::new(1, 2, 3).strides(2).output_padding(1).padding(Padding::Same);
    add("transpose", image(one().layer(transpose)), &[2, 2, 1], categorical());
    let local = ConvolutionTransposeVariationalReparameterizationLocal::new(1, 2, 2);
    add("transpose_local", image(one().layer(local)), &[2, 2, 1], categorical());
    let drawn = ConvolutionTransposeVariationalReparameterization::new(1, 2, 2);
    add("transpose_reparameterization", image(one().layer(drawn)), &[2, 2, 1], categorical());
    let flipout = ConvolutionTransposeVariationalFlipout::new(1, 2, 2);
    add("transpose_flipout", image(one().layer(flipout)), &[2, 2, 1], categorical());
    let pooled = |layer: Pooling| image(one().layer(layer));
    add("max_pooling", pooled(Pooling::max(2).strides(1).padding(Padding::Same)), &[3, 3, 1], categorical());
    add("average_pooling", pooled(Pooling::average([2, 2]).padding(Padding::Same)), &[3, 3, 1], categorical());
    add("global_max_pooling", one().layer(GlobalPooling::max(2)), &[3, 3, 2], categorical());
    add("global_average_pooling", one().layer(GlobalPooling::average(1)), &[3, 2], categorical());
    add("flatten_rightmost", one().layer(flatten_rightmost(2)), &[3, 2], categorical());

    let embedded = |layer: Sequential| image(layer);
    add("embedding", embedded(one().layer(Embedding::new(5, 2))), &[3], categorical());
    add("embedding_local", embedded(one().layer(EmbeddingVariationalReparameterizationLocal::new(5, 2))), &[3], categorical());
    let drawn = EmbeddingVariationalReparameterization::new(5, 2);
    add("embedding_reparameterization", embedded(one().layer(drawn)), &[3], categorical());
    add("embedding_flipout", embedded(one().layer(EmbeddingVariationalFlipout::new(5, 2))), &[3], categorical());
    add("dropout", one().layer(Dropout::new(0.5)).layer(Dropout::monte_carlo(0.25)), &[3], categorical());
    let normalized = one().layer(LayerNormalization::new(3)).layer(BatchNormalization::new(3).momentum(0.5));
    add("normalization", normalized, &[3], categorical());
    let inner = || one().layer(Affine::new(3, 3)).layer(Activation::Relu);
    let residual = Residual::new(inner()).shortcut(Affine::new(3, 3).name("straight"));
    add("residual", one().layer(residual).layer(Residual::new(inner())), &[3], categorical());
    let branches = Branches::concatenate().layer(inner()).layer(Affine::new(3, 1));
    add("branches", one().layer(branches).layer(Branches::add().layer(Affine::new(4, 2)).layer(Affine::new(4, 2))), &[3], categorical());
    add("small", facade::small_layers(), &[3], Likelihood::normal_learned(0.3));
    all
}

#[test]
fn networks_say_what_they_said() {
    let (mut words_changed, mut graphs_changed) = (false, false);
    let mut table = String::new();
    let networks = networks();
    for (i, (name, network)) in networks.iter().enumerate() {
        let file = ModelFile::from_bytes(&network.to_bytes().unwrap()).unwrap();
        assert_eq!(file.emitter, Some(EMITTER), "EMITTER_VERSION was raised: raise EMITTER here as well, and look at the digests");
        let words = format!("{} {:?} {:?} {:?}", file.likelihood, file.layers, file.posteriors, file.priors);
        let (words, graph) = (digest(&words), digest(&file.graph_text));
        let (expected_name, expected_words, expected_graph) = EXPECTED.get(i).copied().unwrap_or_default();
        words_changed |= words != expected_words;
        graphs_changed |= graph != expected_graph || name != expected_name;
        table += &format!("    (\"{name}\", \"{words}\", \"{graph}\"),\n");
    }
    let words = if words_changed { IF_WORDS_CHANGED } else { "" };
    let graphs = if graphs_changed { IF_GRAPHS_CHANGED } else { "" };
    let is_same = !words_changed && !graphs_changed && EXPECTED.len() == networks.len();
    assert!(is_same, "\n{words}\n{graphs}\n\n{table}");
}

/// The words themselves, of one network: what everybody reads in a file.
#[test]
fn words_are_plain() {
    let network = Network::new(facade::small_layers(), [3], Likelihood::normal_learned(0.3), 0).unwrap();
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
