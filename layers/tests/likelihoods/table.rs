//! The table of laws: each with a closed form of its own, in f64 and by the platform-free `libm`, at some outputs.

use bayeslift_layers::likelihood::{
    Bernoulli, Beta, Categorical, Custom, Gamma, Laplace, Likelihood, LogNormal, NegativeBinomial, Normal,
    NormalMixture, OrderedLogit, Poisson, Scale, StudentT, Support, ZeroInflated,
};
use libm::{exp, lgamma, log, log1p};
use std::f64::consts::PI;

/// A law of one target: its likelihood, and log p(y) given the outputs.
pub struct Row {
    pub name: &'static str,
    pub likelihood: Box<dyn Likelihood>,
    pub log_prob: fn(&[f64], f64) -> f64,
    /// Outputs, each with about where its law is and how wide, for integrals.
    pub points: Vec<(Vec<f32>, f64, f64)>,
    /// Targets to ask about.
    pub targets: Vec<f32>,
    /// The number of moments that there are.
    pub moments: usize,
}

const REAL: &[f32] = &[-30.0, -2.5, -0.125, 0.0, 0.5, 1.0, 3.0, 250.0];
const POSITIVE: &[f32] = &[1e-6, 0.01, 0.5, 1.0, 2.75, 40.0, 1e4];
const UNIT: &[f32] = &[1e-6, 0.01, 0.25, 0.5, 0.875, 0.999];
const COUNT: &[f32] = &[0.0, 1.0, 2.0, 5.0, 17.0, 300.0, 20_000.0];

fn scale(raw: f64) -> f64 {
    raw.max(0.0) + log1p(exp(-raw.abs())) + 1e-5
}

fn log_sigmoid(x: f64) -> f64 {
    if x < 0.0 { x - log1p(exp(x)) } else { -log1p(exp(-x)) }
}

fn sigmoid(x: f64) -> f64 {
    exp(log_sigmoid(x))
}

fn normal(y: f64, loc: f64, scale: f64) -> f64 {
    -((y - loc) / scale).powi(2) / 2.0 - log(scale) - log(2.0 * PI) / 2.0
}

fn student(y: f64, degrees: f64, loc: f64, scale: f64) -> f64 {
    let z = (y - loc) / scale;
    lgamma((degrees + 1.0) / 2.0)
        - lgamma(degrees / 2.0)
        - log(degrees * PI) / 2.0
        - log(scale)
        - (degrees + 1.0) / 2.0 * log1p(z * z / degrees)
}

fn gamma(y: f64, mean: f64, concentration: f64) -> f64 {
    let rate = concentration / mean;
    concentration * log(rate) + (concentration - 1.0) * log(y) - rate * y - lgamma(concentration)
}

fn beta(y: f64, mean: f64, concentration: f64) -> f64 {
    let (a, b) = (mean * concentration, (1.0 - mean) * concentration);
    (a - 1.0) * log(y) + (b - 1.0) * log1p(-y) + lgamma(concentration) - lgamma(a) - lgamma(b)
}

fn poisson(n: f64, rate: f64) -> f64 {
    n * log(rate) - rate - lgamma(n + 1.0)
}

fn negative_binomial(n: f64, mean: f64, r: f64) -> f64 {
    lgamma(n + r) - lgamma(r) - lgamma(n + 1.0) + r * log(r / (r + mean)) + n * log(mean / (r + mean))
}

fn inflated(n: f64, gate: f64, log_prob: f64) -> f64 {
    let counted = (1.0 - sigmoid(gate)) * exp(log_prob);
    if n == 0.0 { log(sigmoid(gate) + counted) } else { log_sigmoid(-gate) + log_prob }
}

fn ordered(grade: f64, location: f64, cutpoints: &[f64]) -> f64 {
    let grade = grade as usize;
    let below = |grade: usize| cutpoints.get(grade).map_or(1.0, |cutpoint| sigmoid(cutpoint - location));
    log(below(grade) - grade.checked_sub(1).map_or(0.0, below))
}

fn logistic(y: f64, loc: f64, scale: f64) -> f64 {
    let z = (y - loc) / scale;
    log_sigmoid(z) + log_sigmoid(-z) - log(scale)
}

pub fn rows() -> Vec<Row> {
    let (real, positive, unit, count) = (REAL.to_vec(), POSITIVE.to_vec(), UNIT.to_vec(), COUNT.to_vec());
    let row = |name, likelihood, log_prob, points, targets: &Vec<f32>, moments| {
        let targets = targets.clone();
        Row { name, likelihood, log_prob, points, targets, moments }
    };
    vec![
        row(
            "normal",
            Box::new(Normal::fixed(0.5)),
            |x, y| normal(y, x[0], 0.5),
            vec![(vec![0.25], 0.25, 0.5), (vec![-3.0], -3.0, 0.5)],
            &real,
            2,
        ),
        row(
            "normal, learned",
            Box::new(Normal::learned(0.75)),
            |x, y| normal(y, x[0], 0.75),
            vec![(vec![0.25], 0.25, 0.75)],
            &real,
            2,
        ),
        row(
            "normal, heteroscedastic",
            Box::new(Normal::heteroscedastic()),
            |x, y| normal(y, x[0], scale(x[1])),
            vec![(vec![0.25, -1.5], 0.25, 0.2), (vec![1.0, 2.0], 1.0, 2.0)],
            &real,
            2,
        ),
        row(
            "log-normal",
            Box::new(LogNormal::new(Scale::Output)),
            |x, y| normal(log(y), x[0], scale(x[1])) - log(y),
            vec![(vec![0.25, -1.5], 1.3, 0.2), (vec![-1.0, 0.5], 0.4, 1.0), (vec![0.5, -6.0], 1.65, 0.0025)],
            &positive,
            2,
        ),
        row(
            "Laplace",
            Box::new(Laplace::new(Scale::Output)),
            |x, y| -(y - x[0]).abs() / scale(x[1]) - log(2.0 * scale(x[1])),
            vec![(vec![0.25, -1.5], 0.25, 0.2), (vec![-2.0, 2.0], -2.0, 2.0)],
            &real,
            2,
        ),
        row(
            "Student's t",
            Box::new(StudentT::new(4.5, Scale::Output)),
            |x, y| student(y, 4.5, x[0], scale(x[1])),
            vec![(vec![0.25, -1.5], 0.25, 0.2), (vec![-2.0, 2.0], -2.0, 2.0)],
            &real,
            2,
        ),
        row(
            "Student's t without a variance",
            Box::new(StudentT::new(1.5, Scale::Fixed(0.75))),
            |x, y| student(y, 1.5, x[0], 0.75),
            vec![(vec![0.25], 0.25, 0.75)],
            &real,
            1,
        ),
        row(
            "gamma",
            Box::new(Gamma::new(Scale::Fixed(2.5))),
            |x, y| gamma(y, exp(x[0]), 2.5),
            vec![(vec![0.25], 1.3, 0.6), (vec![-3.0], 0.05, 0.6)],
            &positive,
            2,
        ),
        row(
            "gamma, heteroscedastic",
            Box::new(Gamma::new(Scale::Output)),
            |x, y| gamma(y, exp(x[0]), scale(x[1])),
            vec![(vec![0.25, -0.5], 1.3, 1.5), (vec![2.0, 50.0], 7.4, 0.15), (vec![-1.0, 3000.0], 0.37, 0.02)],
            &positive,
            2,
        ),
        row(
            "beta",
            Box::new(Beta::new(Scale::Fixed(8.0))),
            |x, y| beta(y, sigmoid(x[0]), 8.0),
            vec![(vec![0.5], 0.6, 0.8), (vec![-1.0], 0.25, 0.8)],
            &unit,
            2,
        ),
        row(
            "beta, heteroscedastic",
            Box::new(Beta::new(Scale::Output)),
            |x, y| beta(y, sigmoid(x[0]), scale(x[1])),
            vec![(vec![-0.75, 3.0], 0.3, 1.0), (vec![0.0, 500.0], 0.5, 0.1)],
            &unit,
            2,
        ),
        row(
            "Poisson",
            Box::new(Poisson),
            |x, y| poisson(y, exp(x[0])),
            vec![(vec![0.5], 0.0, 0.0), (vec![-2.0], 0.0, 0.0), (vec![5.0], 0.0, 0.0)],
            &count,
            2,
        ),
        row(
            "negative binomial",
            Box::new(NegativeBinomial::new(Scale::Fixed(1.5))),
            |x, y| negative_binomial(y, exp(x[0]), 1.5),
            vec![(vec![0.5], 0.0, 0.0), (vec![2.0], 0.0, 0.0)],
            &count,
            2,
        ),
        row(
            "negative binomial, heteroscedastic",
            Box::new(NegativeBinomial::new(Scale::Output)),
            |x, y| negative_binomial(y, exp(x[0]), scale(x[1])),
            vec![(vec![0.5, -1.0], 0.0, 0.0), (vec![3.0, 20.0], 0.0, 0.0)],
            &count,
            2,
        ),
        row(
            "zero-inflated Poisson",
            Box::new(ZeroInflated::new(Poisson)),
            |x, y| inflated(y, x[1], poisson(y, exp(x[0]))),
            vec![(vec![0.5, -1.0], 0.0, 0.0), (vec![3.0, 0.5], 0.0, 0.0)],
            &count,
            2,
        ),
        row(
            "zero-inflated negative binomial",
            Box::new(ZeroInflated::new(NegativeBinomial::new(Scale::Output))),
            |x, y| inflated(y, x[2], negative_binomial(y, exp(x[0]), scale(x[1]))),
            vec![(vec![0.5, -1.0, -1.0], 0.0, 0.0), (vec![3.0, 2.0, 0.5], 0.0, 0.0)],
            &count,
            2,
        ),
        row(
            "Bernoulli",
            Box::new(Bernoulli),
            |x, y| log_sigmoid(if y == 1.0 { x[0] } else { -x[0] }),
            vec![(vec![0.5], 0.0, 0.0), (vec![-4.0], 0.0, 0.0)],
            &vec![0.0, 1.0],
            2,
        ),
        row(
            "categorical",
            Box::new(Categorical),
            |x, y| x[y as usize] - log(x.iter().map(|&x| exp(x)).sum()),
            vec![(vec![0.5, -1.0, 0.25], 0.0, 0.0), (vec![3.0, -3.0, 2.0], 0.0, 0.0)],
            &vec![0.0, 1.0, 2.0],
            0,
        ),
        row(
            "ordered logit",
            Box::new(OrderedLogit::new(5)),
            |x, y| ordered(y, x[0], &[-1.5, -0.5, 0.5, 1.5]),
            vec![(vec![0.25], 0.0, 0.0), (vec![-3.0], 0.0, 0.0)],
            &vec![0.0, 1.0, 2.0, 3.0, 4.0],
            0,
        ),
        row(
            "ordered logit of two",
            Box::new(OrderedLogit::new(2)),
            |x, y| ordered(y, x[0], &[0.0]),
            vec![(vec![0.25], 0.0, 0.0)],
            &vec![0.0, 1.0],
            0,
        ),
        row(
            "mixture",
            Box::new(NormalMixture::new(3)),
            |x, y| {
                let total = log(x[..3].iter().map(|&x| exp(x)).sum());
                log((0..3).map(|i| exp(x[i] - total + normal(y, x[3 + i], scale(x[6 + i])))).sum())
            },
            vec![
                (vec![0.5, 0.0, -1.0, 0.0, 2.5, -1.0, -1.0, 0.5, -2.0], 0.0, 0.3),
                (vec![0.0, 1.0, 0.0, -5.0, 0.0, 5.0, -1.0, -1.0, -1.0], 0.0, 0.3),
            ],
            &vec![-6.0, -2.5, -0.125, 0.0, 0.5, 1.0, 3.0],
            2,
        ),
        row(
            "mixture of one",
            Box::new(NormalMixture::new(1)),
            |x, y| normal(y, x[1], scale(x[2])),
            vec![(vec![0.5, 1.0, -0.5], 1.0, 0.5)],
            &vec![-2.5, -0.125, 0.0, 0.5, 1.0, 3.0],
            2,
        ),
        row(
            "custom, by its quantile",
            exponential(),
            |x, y| gamma(y, exp(-x[0]), 1.0),
            vec![(vec![0.5], 0.6, 1.0)],
            &positive,
            2,
        ),
        row(
            "custom, by its cdf",
            custom_logistic(),
            |x, y| logistic(y, x[0], scale(x[1])),
            vec![(vec![0.5, 1.0], 0.5, 1.0)],
            &real,
            2,
        ),
    ]
}

fn exponential() -> Box<dyn Likelihood> {
    let custom =
        Custom::new("Exponential(log rate = output)", 1, Support::Positive, |parts, y| parts[0] - parts[0].exp() * y)
            .mean(|parts| (-parts[0]).exp())
            .variance(|parts| (parts[0] * -2.0).exp())
            .entropy(|parts| 1.0 - parts[0])
            .cdf(|parts, x| 1.0 - (-(parts[0].to_f64().exp() * x.to_f64().max(0.0))).exp())
            .quantile(|parts, p| -(1.0 - p).log() / parts[0].to_f64().exp());
    Box::new(custom)
}

/// The logistic law, whose quantiles are found by search.
fn custom_logistic() -> Box<dyn Likelihood> {
    let custom = Custom::new("Logistic", 2, Support::Real, |parts, y| {
        let scale = parts[1].softplus() + 1e-5;
        let z = ((y - parts[0]) / scale).abs();
        -z - (-z).softplus() * 2.0 - scale.log()
    })
    .mean(|parts| parts[0])
    .variance(|parts| (parts[1].softplus() + 1e-5).to_f64().square() * (PI * PI / 3.0))
    .cdf(|parts, x| {
        let z = (x.to_f64() - parts[0].to_f64()) / (parts[1].softplus() + 1e-5).to_f64();
        1.0 / ((-z).exp() + 1.0)
    });
    Box::new(custom)
}
