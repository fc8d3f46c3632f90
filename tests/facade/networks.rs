//! Networks of every kind.

use bayeslift::{ir::DType, layers::*, prelude::*};
use std::sync::Arc;

/// Networks of every layer, likelihood, prior and activation that come with Bayeslift.
pub fn networks() -> Vec<(String, Network)> {
    networks_of(DType::F32)
}

/// As [`networks`], of this type.
pub fn networks_of(dtype: DType) -> Vec<(String, Network)> {
    let mut all: Vec<(String, Network)> = Vec::new();
    let mut add = |name: &str, layers: Sequential, input: &[usize], likelihood: Arc<dyn Likelihood>| {
        let layers = if dtype == DType::F32 { layers } else { layers.dtype(dtype) };
        all.push((name.to_owned(), Network::new(layers, input, likelihood, 1).unwrap()));
    };
    let categorical = || Arc::new(likelihood::Categorical);
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
    add("normal", likelihood(), &[3], Arc::new(likelihood::Normal::fixed(0.5)));
    add("normal_learned", likelihood(), &[3], Arc::new(likelihood::Normal::learned(0.5)));
    add("softmax_centered", likelihood(), &[3], Arc::new(likelihood::SoftmaxCenteredNormal::fixed(0.5)));
    add("softmax_centered_learned", likelihood(), &[3], Arc::new(likelihood::SoftmaxCenteredNormal::learned(0.5)));
    use likelihood::{Poisson, Scale, ZeroInflated};
    let learned = Scale::Learned { initial: 0.5 };
    let of_two = |outputs: usize| one().layer(AffineVariationalReparameterizationLocal::new(3, 2 * outputs));
    add("normal_heteroscedastic", of_two(2), &[3], Arc::new(likelihood::Normal::heteroscedastic()));
    add("log_normal", of_two(1), &[3], Arc::new(likelihood::LogNormal::new(learned)));
    add("laplace", of_two(2), &[3], Arc::new(likelihood::Laplace::new(Scale::Output)));
    add("student_t", of_two(1), &[3], Arc::new(likelihood::StudentT::new(4.0, learned)));
    add("gamma", of_two(2), &[3], Arc::new(likelihood::Gamma::new(Scale::Output)));
    add("beta", of_two(1), &[3], Arc::new(likelihood::Beta::new(learned)));
    add("bernoulli", of_two(1), &[3], Arc::new(likelihood::Bernoulli));
    add("poisson", of_two(1), &[3], Arc::new(Poisson));
    add("negative_binomial", of_two(1), &[3], Arc::new(likelihood::NegativeBinomial::new(learned)));
    add("zero_inflated", of_two(2), &[3], Arc::new(ZeroInflated::new(Poisson)));
    let of_one = one().layer(AffineVariationalReparameterizationLocal::new(3, 1));
    add("ordered_logit", of_one, &[3], Arc::new(likelihood::OrderedLogit::new(4)));
    add("normal_mixture", of_two(6), &[3], Arc::new(likelihood::NormalMixture::new(2)));
    let custom =
        likelihood::Custom::new("Exponential", 1, likelihood::Support::NonNegative, |x, y| x[0] - x[0].exp() * y);
    add("custom", of_two(1), &[3], Arc::new(custom));

    let image = |layers: Sequential| layers.layer(Flatten);
    let convolution = Convolution::new(2, 4, [3, 2]).strides([2, 1]).padding(Padding::Same).groups(2);
    add("convolution", image(one().layer(convolution)), &[4, 4, 2], categorical());
    let local = ConvolutionVariationalReparameterizationLocal::new(1, 2, 2).padding([(1, 0), (0, 1)]);
    add("convolution_local", image(one().layer(local)), &[4, 4, 1], categorical());
    let drawn = ConvolutionVariationalReparameterization::new(1, 2, [3]).padding(Padding::Causal).dilations(2);
    add("convolution_reparameterization", image(one().layer(drawn)), &[6, 1], categorical());
    add(
        "convolution_flipout",
        image(one().layer(ConvolutionVariationalFlipout::new(1, 2, 2))),
        &[3, 3, 1],
        categorical(),
    );
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
    add(
        "embedding_local",
        embedded(one().layer(EmbeddingVariationalReparameterizationLocal::new(5, 2))),
        &[3],
        categorical(),
    );
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
    add(
        "branches",
        one().layer(branches).layer(Branches::add().layer(Affine::new(4, 2)).layer(Affine::new(4, 2))),
        &[3],
        categorical(),
    );
    add("small", crate::facade::small_layers(), &[3], Arc::new(likelihood::Normal::learned(0.3)));
    all
}
