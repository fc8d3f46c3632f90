//! Divergences as a fit tells them; priors of one's own in files; rates by group.

use bayeslift::{
    Backend, FitReport, VariableDivergence,
    ir::{NoiseDistribution, Shape, Tensor},
    layers::{Declaration, Group, Rates, Site, distribution::Normal},
    prelude::*,
};

/// The triangular law on (-width, width), a prior that the library does not know.
#[derive(Debug)]
struct Triangular<'b>(Expr<'b>);

impl<'b> Distribution<'b> for Triangular<'b> {
    fn family(&self) -> &'static str {
        "Triangular"
    }
    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("width", self.0)]
    }
    fn log_prob(&self, w: Expr<'b>) -> Expr<'b> {
        (self.0 - w.abs()).max(1e-6).log() - self.0.log() * 2.0
    }
    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, LayerError> {
        let [u, v] = ["u", "v"].map(|name| site.child(name).weight_noise(NoiseDistribution::Uniform, shape));
        Ok(site.value((u? - v?) * self.0))
    }
}

fn triangular(width: f32) -> Prior {
    Prior::new(move |scope, shape| {
        shape.each(scope, |scope, _, _| Ok(Triangular(scope.builder().constant(width)).into()))
    })
}

fn layers(priors: [Prior; 2]) -> Sequential {
    let [first, second] = priors;
    let layer = AffineVariationalReparameterizationLocal::new;
    Sequential::new()
        .layer(layer(1, 4).prior_maker(first).activation(Activation::Tanh))
        .layer(layer(4, 1).prior_maker(second))
}

fn network(priors: [Prior; 2]) -> Network {
    Network::new(layers(priors), [1], likelihood::Normal::learned(0.5), 3).unwrap()
}

fn data() -> Dataset {
    let x: Vec<f32> = (0..32).map(|i| i as f32 / 16.0 - 1.0).collect();
    let y = x.iter().map(|x| (3.0 * x).sin()).collect();
    Dataset::regression([1], x, 1, y).unwrap()
}

fn divergence() -> Divergence {
    Divergence::Exact.or(Divergence::Quadrature { nodes: 8 }).or(Divergence::default())
}

/// Their sum is the divergence of the step, in compiled steps and in those that are checked before anything is written,
/// and by the evaluator.
#[test]
fn steps_tell_each_term() {
    let expected = [
        ("affine/kernel", "Quadrature { nodes: 8 }"),
        ("affine/bias", "Quadrature { nodes: 8 }"),
        ("affine_1/kernel", "Exact"),
        ("affine_1/bias", "Exact"),
    ];
    let data = data();
    let mut told: Vec<Vec<VariableDivergence>> = Vec::new();
    for (backend, rate) in [(Backend::default(), 1.0), (Backend::Reference, 1.0), (Backend::default(), 2048.0)] {
        let mut network = network([Prior::spike_and_slab(), Prior::normal(0.0, 1.0)]);
        // a rate above 1024 is not known to keep updates finite
        let options = TrainerOptions::default().divergence(divergence()).backend(backend).optimizer(Adam::new(1e-6));
        let mut trainer = Trainer::new(&network, 32, options).unwrap();
        assert!(trainer.divergences().is_empty());
        let input = StepInput::new(data.inputs(), data.targets()).rate(rate);
        let loss = trainer.step(&mut network, input).unwrap();
        let found = trainer.divergences().to_vec();
        let names: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.method.as_str())).collect();
        assert_eq!(names, expected);
        let sum: f64 = found.iter().map(|one| one.nats).sum();
        assert!((sum / loss.divergence - 1.0).abs() < 1e-6, "{sum}, expected {}", loss.divergence);
        told.push(found);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[test]
fn fits_report_each_term() {
    let mut network = network([Prior::laplace(0.0, 1.0), Prior::spike_and_slab()]);
    let only_exact = Divergence::Exact.or(Divergence::MonteCarlo { draws: 2 });
    let report: FitReport = Fit::new().epochs(2).divergence(only_exact).run(&mut network, &data()).unwrap();
    let methods: Vec<_> = report.divergences.iter().map(|one| one.method.as_str()).collect();
    assert_eq!(methods, ["MonteCarlo { draws: 2 }"; 4]);
    let last = report.epochs.last().unwrap();
    let sum: f64 = report.divergences.iter().map(|one| one.nats).sum();
    // one step an epoch
    assert!((sum / last.divergence - 1.0).abs() < 1e-5, "{sum}, expected {}", last.divergence);
    let text = report.to_string();
    let words = format!(", divergence {:.1} by MonteCarlo {{ draws: 2 }}", report.divergences[0].nats);
    let line = text.lines().find(|line| line.starts_with("affine/kernel: scale "));
    assert!(line.is_some_and(|line| line.ends_with(&words)), "{text}");
}

/// A file says what a prior is, predicts without its code, and loads into the network that has it and into no other.
#[test]
fn priors_of_ones_own_are_in_files() {
    let mut trained = network([triangular(2.0), triangular(3.0)]);
    Fit::new().epochs(3).divergence(divergence()).run(&mut trained, &data()).unwrap();
    let bytes = trained.to_bytes().unwrap();
    let file = bayeslift::ModelFile::from_bytes(&bytes).unwrap();
    let priors: Vec<_> = file.priors.iter().map(|prior| prior.text.as_str()).collect();
    let [first, second] = ["Triangular(width = 2)", "Triangular(width = 3)"];
    assert_eq!(priors, [first, first, second, second]);
    let inputs = [0.1, -0.7];
    let alone = Predictor::from_bytes(&bytes).unwrap().regress(&inputs).unwrap();
    let own = Predictor::new(&trained).unwrap().regress(&inputs).unwrap();
    assert_eq!((alone.mean(), alone.epistemic()), (own.mean(), own.epistemic()));

    let mut same = network([triangular(2.0), triangular(3.0)]);
    same.load_bytes(&bytes).unwrap();
    assert_eq!(same.parameters(), trained.parameters());
    let mut other = network([triangular(2.0), triangular(2.5)]);
    let error = other.load_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("Triangular(width = 3)") && error.contains("Triangular(width = 2.5)"), "{error}");
}

/// Priors with a scale that is learned, of the group `Prior`.
fn learned() -> Prior {
    Prior::new(|scope, shape| {
        shape.each(scope, |scope, _, _| {
            let declaration = Declaration {
                shape: &Shape::default(),
                initializer: &Initializer::Constant(0.5),
                batch_ndims: 0,
                trainable: true,
                group: Group::Prior,
            };
            let raw = scope.declare_parameter("raw_scale", &declaration)?;
            Ok(Normal::from_raw_scale(raw.builder().constant(0.0), raw).into())
        })
    })
}

/// After one step from equal parameters a parameter has moved by its factor times what it moves without: exactly where
/// that is a power of two.
#[test]
fn rates_have_factors_by_group() {
    let data = data();
    let moved = |optimizer: std::sync::Arc<dyn Optimizer>| {
        let mut network = network([learned(), learned()]);
        let before = network.parameters().clone();
        let options = TrainerOptions::default().divergence(Divergence::Exact).optimizer(optimizer);
        let mut trainer = Trainer::new(&network, 32, options).unwrap();
        trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap();
        let values = |tensor: &Tensor| tensor.as_f32().unwrap().to_vec();
        let pairs = before.iter().zip(network.parameters().iter());
        pairs
            .map(|((path, a), (_, b))| {
                let by = values(&a.tensor).into_iter().zip(values(&b.tensor)).map(|(a, b)| f64::from(b) - f64::from(a));
                (path.to_owned(), a.group, by.collect::<Vec<_>>())
            })
            .collect::<Vec<_>>()
    };
    let factor = |group: Group| match group {
        Group::Prior => 0.5,
        Group::Scale => 0.0,
        _ => 1.0,
    };
    let sgd = || Sgd::new(1e-2);
    let adam_w = || AdamW::new(1e-2);
    let cases: [[std::sync::Arc<dyn Optimizer>; 2]; 3] = [
        [std::sync::Arc::new(sgd()), std::sync::Arc::new(Rates::new(sgd(), move |v| factor(v.group)))],
        [
            std::sync::Arc::new(Adam::new(1e-2)),
            std::sync::Arc::new(Rates::new(Adam::new(1e-2), move |v| factor(v.group))),
        ],
        [std::sync::Arc::new(adam_w()), std::sync::Arc::new(Rates::new(adam_w(), move |v| factor(v.group)))],
    ];
    for [plain, with_factors] in cases {
        let is_decayed = format!("{plain:?}").starts_with("AdamW");
        let (plain, with_factors) = (moved(plain), moved(with_factors));
        assert!(plain.iter().any(|(_, group, by)| *group == Group::Prior && by[0] != 0.0));
        for ((path, group, plain), (_, _, found)) in plain.iter().zip(&with_factors) {
            for (plain, found) in plain.iter().zip(found) {
                let want = plain * factor(*group);
                let is_right = if factor(*group) == 1.0 || factor(*group) == 0.0 && !is_decayed {
                    *found == want
                } else {
                    (found - want).abs() <= 1e-6
                };
                assert!(is_right, "{path}: {found}, expected {want}");
            }
        }
    }
    let network = network([learned(), learned()]);
    let options = TrainerOptions::default().optimizer(Rates::new(sgd(), |_| -1.0));
    let error = Trainer::new(&network, 32, options).unwrap_err().to_string();
    assert!(error.contains("Rates's factor of `affine/kernel/loc` is -1"), "{error}");
}
