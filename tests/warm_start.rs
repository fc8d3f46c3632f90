//! Beginning with known weights, and a posterior as the next prior.

use bayeslift::{
    ir::{DType, Shape, Tensor},
    prelude::*,
};

fn tensor(shape: impl Into<Shape>, values: &[f32]) -> Tensor {
    Tensor::f32(shape, values.to_vec()).unwrap()
}

fn values(network: &Network, path: &str) -> Vec<f32> {
    network.parameters().get(path).unwrap().tensor.as_f32().unwrap().to_vec()
}

/// y = w x of one weight, with noise of 0.5 that is known.
fn line(prior: Prior) -> Network {
    let layer = AffineVariationalReparameterizationLocal::new(1, 1)
        .use_bias(false)
        .posterior_maker(Posterior::mean_field_with_scale(0.3))
        .prior_maker(prior);
    Network::new(layer, [1], likelihood::Normal::fixed(0.5), 0).unwrap()
}

/// 60 points of y = 1.7 x.
fn points() -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..60).map(|i| (i * 37 % 60) as f32 / 30.0 - 1.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| 1.7 * x + 0.5 * (i as f32 * 2.39).sin()).collect();
    (x, y)
}

fn fit(network: &mut Network, x: &[f32], y: &[f32]) {
    let data = Dataset::regression([1], x.to_vec(), 1, y.to_vec()).unwrap();
    let fit = Fit::new().epochs(3000).batch_size(x.len()).learning_rate(0.02).schedule(Schedule::Cosine { to: 0.0 });
    fit.samples(8).divergence(Divergence::Exact).run(network, &data).unwrap();
}

/// One weight with a normal prior and known noise has a normal posterior: that of all data at once is that of the parts
/// one after the other.
#[test]
fn a_stream_of_ten_parts_gives_the_posterior_of_all() {
    let (x, y) = points();
    let (mut precision, mut sum) = (1.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        precision += f64::from(x * x) / 0.25;
        sum += f64::from(x * y) / 0.25;
    }
    let (mean, scale) = (sum / precision, 1.0 / f64::sqrt(precision));
    let told = |network: &Network| {
        let raw = f64::from(values(network, "kernel/raw_scale")[0]);
        (f64::from(values(network, "kernel/loc")[0]), raw.exp().ln_1p() + 1e-5)
    };
    let mut network = line(Prior::remembered(1.0));
    for (x, y) in x.chunks(6).zip(y.chunks(6)) {
        fit(&mut network, x, y);
        network.posterior_as_prior().unwrap();
        let (mean, scale) = told(&network);
        assert!((f64::from(values(&network, "prior/kernel/loc")[0]) - mean).abs() < 1e-6);
        assert!((f64::from(values(&network, "prior/kernel/scale")[0]) - scale).abs() < 1e-6);
    }
    // steps draw noise, so that each part ends a little beside its optimum
    let (streamed, spread) = told(&network);
    assert!((streamed - mean).abs() < 0.25 * scale, "{streamed} and {mean} ± {scale}");
    assert!((spread / scale - 1.0).abs() < 0.1, "{spread} and {scale}");
    // the last part alone is far from that
    let mut last = line(Prior::remembered(1.0));
    fit(&mut last, &x[54..], &y[54..]);
    assert!((told(&last).1 / scale - 1.0).abs() > 0.5, "the test is void");
}

/// A posterior of `f64` becomes a prior with all its digits.
#[test]
fn priors_of_f64_have_all_digits() {
    let layer = AffineVariationalReparameterizationLocal::new(1, 1).prior_maker(Prior::remembered(1.0));
    let layers = Sequential::new().layer(layer).dtype(DType::F64);
    let mut network = Network::new(layers, [1], likelihood::Normal::fixed(0.5), 0).unwrap();
    let of = |network: &Network, path: &str| network.parameters().get(path).unwrap().tensor.as_f64().unwrap()[0];
    let loc = Tensor::f64([1, 1], [1.0 / 3.0]).unwrap();
    network.parameters_mut().assign("affine/kernel/loc", loc).unwrap();
    network.posterior_as_prior().unwrap();
    assert_eq!(of(&network, "affine/prior/kernel/loc"), 1.0 / 3.0);
    let scale = of(&network, "affine/kernel/raw_scale").exp().ln_1p() + 1e-5;
    assert!((of(&network, "affine/prior/kernel/scale") / scale - 1.0).abs() < 1e-14);
}

#[test]
fn weights_become_means_with_scales_of_their_size() {
    let layers = Sequential::new()
        .layer(Affine::new(2, 2))
        .layer(AffineVariationalReparameterizationLocal::new(2, 1).prior_maker(Prior::remembered(2.0)));
    let mut network = Network::new(layers, [2], likelihood::Normal::fixed(1.0), 0).unwrap();
    assert_eq!(values(&network, "affine_1/prior/kernel/scale"), [2.0, 2.0]);
    let known =
        [("affine/kernel", tensor([2, 2], &[1.0, 2.0, 3.0, 4.0])), ("affine_1/kernel", tensor([2, 1], &[-3.0, 0.0]))];
    network.start_from(known.clone(), 0.1).unwrap();
    assert_eq!(values(&network, "affine/kernel"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(values(&network, "affine_1/kernel/loc"), [-3.0, 0.0]);
    assert_eq!(values(&network, "affine_1/prior/kernel/loc"), [-3.0, 0.0]);
    let scales: Vec<f64> =
        values(&network, "affine_1/kernel/raw_scale").iter().map(|&raw| f64::from(raw).exp().ln_1p() + 1e-5).collect();
    assert!((scales[0] - 0.3).abs() < 1e-6 && (scales[1] - 1e-4).abs() < 1e-8, "{scales:?}");
    // what does not fit changes nothing
    let before = network.parameters().clone();
    for (bad, says) in [
        (("affine_9/kernel", tensor([2, 1], &[1.0, 1.0])), "affine_9/kernel"),
        (("affine_1/kernel", tensor([1, 2], &[1.0, 1.0])), "affine_1/"),
        (("affine_1/kernel", tensor([2, 1], &[f32::NAN, 1.0])), "affine_1/"),
    ] {
        let changed = ("affine/kernel", tensor([2, 2], &[9.0; 4]));
        let error = network.start_from([changed, bad], 0.1).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(*network.parameters(), before);
    }
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(network.start_from(known.clone(), scale).is_err());
    }
}

#[test]
fn only_what_can_remember_takes_a_posterior() {
    let mut network = line(Prior::normal(0.0, 1.0));
    let before = network.parameters().clone();
    let error = network.posterior_as_prior().unwrap_err().to_string();
    assert!(error.contains("the prior of `kernel`") && error.contains("Prior::remembered"), "{error}");
    assert_eq!(*network.parameters(), before);
    let mut plain = Network::new(Affine::new(1, 1), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    assert!(plain.posterior_as_prior().unwrap_err().to_string().contains("no posterior"));
    // training leaves it alone
    let (x, y) = points();
    let mut network = line(Prior::remembered(1.5));
    fit(&mut network, &x[..6], &y[..6]);
    assert_eq!([values(&network, "prior/kernel/loc"), values(&network, "prior/kernel/scale")], [[0.0], [1.5]]);
    let layer = AffineVariationalReparameterizationLocal::new(1, 1).prior_maker(Prior::remembered(f64::NAN));
    assert!(Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).is_err());
}
