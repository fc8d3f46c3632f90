//! The same bits from every backend: 50 training steps on the digits, and predictions after them.

use crate::facade::{bits, digits, digits_network, small_data};
use bayeslift::{layers::distribution::LocationScale, prelude::*, runtime::Options};

fn backends() -> Vec<(&'static str, Backend)> {
    vec![
        ("one thread, the widest vectors", Options::default().threads(1).into()),
        ("width 8", Options::default().lanes(8).into()),
        ("width 4", Options::default().lanes(4).into()),
        ("two threads", Options::default().threads(2).into()),
        ("three threads", Options::default().threads(3).into()),
        ("eight threads", Options::default().threads(8).into()),
        ("width 1", Options::default().lanes(1).into()),
        ("width 1, two threads", Options::default().lanes(1).threads(2).into()),
        ("not simplified", Options::default().simplify(false).into()),
        ("the reference evaluator", Backend::Reference),
    ]
}

/// Makes 50 steps of the example's training: two epochs of 25 batches, the last of 64 - 8 rows.
fn train(backend: &Backend) -> (Network, Vec<f64>) {
    let (train, _) = digits();
    let train = train.select(&(0..64 * 25 - 8).map(|row| row % train.rows()).collect::<Vec<_>>()).unwrap();
    let mut network = digits_network(3);
    let fit = Fit::new().batch_size(64).epochs(2).learning_rate(3e-3).divergence_weight(0.1);
    let report = fit.warm_up(WarmUp::Fraction(0.3)).backend(backend.clone()).run(&mut network, &train).unwrap();
    assert_eq!(report.steps, 50);
    (network, report.epochs.iter().map(|epoch| epoch.loss).collect())
}

#[test]
fn training_and_prediction_have_the_same_bits_everywhere() {
    let backends = backends();
    let (want, losses) = train(&backends[0].1);
    let (_, test) = digits();
    let inputs = &test.inputs()[..32 * 64];
    let predict = |network: &Network, backend: &Backend| {
        let options = PredictorOptions::default().samples(8).blocks(4, 16).backend(backend.clone());
        Predictor::with_options(network, &options).unwrap()
    };
    let prediction = predict(&want, &backends[0].1).classify(inputs).unwrap();
    for (name, backend) in &backends[1..] {
        let (network, found) = train(backend);
        assert_eq!(found, losses, "{name}");
        for ((path, want), (_, found)) in bits(&want).iter().zip(bits(&network)) {
            assert!(*want == found, "{name}: `{path}` has other bits");
        }
        let predictor = predict(&network, backend);
        assert_eq!(predictor.classify(inputs).unwrap(), prediction, "{name}");
        // 32 rows at once, or 7 + 25.
        let (head, tail) = inputs.split_at(7 * 64);
        let parts = [predictor.classify(head).unwrap(), predictor.classify_from(7, tail).unwrap()];
        let parts = parts.map(|part| part.probabilities().to_vec()).concat();
        assert_eq!(parts, prediction.probabilities(), "{name}");
    }
}

/// Priors with heavy tails, and a posterior that is drawn from one, by other optimizers.
#[test]
fn heavy_tails_have_the_same_bits_everywhere() {
    let layer = AffineVariationalReparameterizationLocal::new;
    let laplace = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            let scale = scope.parameter("raw_scale", shape, &Initializer::Constant(-3.0))?.softplus();
            Ok(LocationScale::laplace(loc, scale).into())
        })
    });
    let train = |backend: &Backend, optimizer: &dyn Fn(Fit) -> Fit| {
        let layers = Sequential::new()
            .layer(layer(3, 20).prior_maker(Prior::laplace(0.0, 0.5)).activation(Activation::Relu))
            .layer(layer(20, 17).prior_maker(Prior::student_t(3.0, 0.0, 0.5)).activation(Activation::Relu))
            .layer(layer(17, 9).prior_maker(Prior::logistic(0.0, 0.5)).activation(Activation::Relu))
            .layer(
                AffineVariationalReparameterization::new(9, 2)
                    .posterior_maker(laplace.clone())
                    .prior_maker(Prior::cauchy(0.0, 0.5)),
            );
        let mut network = Network::new(layers, [3], likelihood::Categorical, 5).unwrap();
        let fit = Fit::new().batch_size(16).epochs(2).backend(backend.clone());
        optimizer(fit).run(&mut network, &small_data(100)).unwrap();
        bits(&network)
    };
    let optimizers: [&dyn Fn(Fit) -> Fit; 2] =
        [&|fit| fit.optimizer(Sgd::new(0.05).momentum(0.9).nesterov(true)), &|fit| {
            fit.optimizer(RmsProp::new(0.01).centered(true).momentum(0.5))
        }];
    for optimizer in optimizers {
        let backends = backends();
        let want = train(&backends[0].1, optimizer);
        for (name, backend) in &backends[1..] {
            assert_eq!(train(backend, optimizer), want, "{name}");
        }
    }
}
