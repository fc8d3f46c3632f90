//! Networks find the parameters of known laws: draws are made with them, a deterministic network is fitted, and what it
//! finds is compared with what there was, in standard errors. And labels come in any form.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{
    layers::{Parameters, inverse_softplus},
    prelude::*,
};
use facade::bits;
use libm::{cos, exp, lgamma, log, log1p, sqrt};
use likelihood::{Scale, ZeroInflated};
use std::{f64::consts::PI, sync::Arc};

/// A law whose parameters are known.
struct Case {
    name: &'static str,
    likelihood: Arc<dyn Likelihood>,
    /// The intercepts that the fit starts at, one for each output.
    start: Vec<f32>,
    /// What there is to find.
    truth: Vec<f64>,
    /// That, of what was found in a network.
    found: fn(&Parameters) -> Vec<f64>,
    /// The targets of an input.
    draw: fn(&[f64], f64, &mut Uniform) -> Vec<f64>,
    /// log p of the targets of an input.
    log_prob: fn(&[f64], f64, &[f64]) -> f64,
}

impl Case {
    /// Draws with the parameters that are to be found: inputs, each with its targets.
    fn data(&self, rows: usize) -> Vec<(f64, Vec<f64>)> {
        let mut uniform = Uniform(7);
        let row = |_| {
            let x = f64::from((uniform.next() * 2.0 - 1.0) as f32);
            (x, (self.draw)(&self.truth, x, &mut uniform))
        };
        (0..rows).map(row).collect()
    }

    /// An affine network that was fitted to them.
    fn fit(&self, data: &[(f64, Vec<f64>)], epochs: usize, backend: Backend) -> Network {
        let inputs: Vec<f32> = data.iter().map(|(x, _)| *x as f32).collect();
        let targets = data.iter().flat_map(|(_, y)| y);
        // an intercept would move all cutpoints
        let has_cutpoints = self.name == "grades in an order";
        let data_set = if has_cutpoints {
            Dataset::classification([1], inputs, targets.map(|&y| y as u32).collect())
        } else {
            Dataset::regression([1], inputs, data[0].1.len(), targets.map(|&y| y as f32).collect())
        };
        let layer = Affine::new(1, self.start.len()).use_bias(!has_cutpoints);
        let mut network = Network::new(layer, [1], self.likelihood.clone(), 3).unwrap();
        if let Ok(bias) = network.parameters_mut().get_mut("bias") {
            bias.tensor.as_f32_mut().unwrap().copy_from_slice(&self.start);
        }
        Fit::new()
            .epochs(epochs)
            .batch_size(data.len())
            .learning_rate(0.1)
            .schedule(Schedule::Cosine { to: 0.0 })
            .backend(backend)
            .run(&mut network, &data_set.unwrap())
            .unwrap();
        network
    }
}

/// Numbers in (0, 1): Steele and others' SplitMix64.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 11) as f64 * 2.0_f64.powi(-53) + 2.0_f64.powi(-54)
    }

    fn normal(&mut self) -> f64 {
        sqrt(-2.0 * log(self.next())) * cos(2.0 * PI * self.next())
    }

    /// A count, by the sum of its probabilities.
    fn count(&mut self, log_prob: impl Fn(f64) -> f64) -> f64 {
        let (mut u, mut count) = (self.next(), 0.0);
        loop {
            u -= exp(log_prob(count));
            if u <= 0.0 {
                return count;
            }
            count += 1.0;
        }
    }
}

fn softplus(x: f64) -> f64 {
    log1p(exp(x))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The raw parameter of a scale.
fn raw(scale: f64) -> f64 {
    inverse_softplus(scale - 1e-5)
}

fn normal(y: f64, loc: f64, raw: f64) -> f64 {
    let scale = softplus(raw) + 1e-5;
    -((y - loc) / scale).powi(2) / 2.0 - log(scale)
}

fn poisson(count: f64, log_rate: f64) -> f64 {
    count * log_rate - exp(log_rate) - lgamma(count + 1.0)
}

fn negative_binomial(count: f64, log_mean: f64, raw: f64) -> f64 {
    let (mean, r) = (exp(log_mean), softplus(raw) + 1e-5);
    let coefficient = lgamma(count + r) - lgamma(r) - lgamma(count + 1.0);
    coefficient + r * log(r / (r + mean)) + count * log(mean / (r + mean))
}

/// The probability of each of four grades.
fn grades(theta: &[f64], x: f64) -> [f64; 4] {
    let second = theta[1] + softplus(theta[2]) + 1e-5;
    let cutpoints = [theta[1], second, second + softplus(theta[3]) + 1e-5];
    let [a, b, c] = cutpoints.map(|cutpoint| sigmoid(cutpoint - theta[0] * x));
    [a, b - a, c - b, 1.0 - c]
}

fn student(y: f64, loc: f64, raw: f64) -> f64 {
    let scale = softplus(raw) + 1e-5;
    -2.5 * log1p(((y - loc) / scale).powi(2) / 4.0) - log(scale)
}

/// All elements of parameters, one parameter after the other.
fn elements(parameters: &Parameters, paths: &[&str]) -> Vec<f64> {
    let of = |path: &&str| parameters.get(path).unwrap().tensor.as_f32().unwrap().to_vec();
    paths.iter().flat_map(of).map(f64::from).collect()
}

/// Slopes, then intercepts, then raw scales.
const AFFINE: [&str; 2] = ["kernel", "bias"];
const WITH_SCALE: [&str; 3] = ["kernel", "bias", "likelihood/raw_scale"];

/// Laws of numbers.
fn numbers() -> Vec<Case> {
    let learned = |initial| Scale::Learned { initial };
    vec![
        Case {
            name: "a normal law whose scale depends on the input",
            likelihood: Arc::new(likelihood::Normal::heteroscedastic()),
            start: vec![0.0; 2],
            truth: vec![1.5, 0.8, -0.5, -0.3],
            found: |parameters| elements(parameters, &AFFINE),
            draw: |t, x, u| vec![t[0] * x + t[2] + (softplus(t[1] * x + t[3]) + 1e-5) * u.normal()],
            log_prob: |t, x, y| normal(y[0], t[0] * x + t[2], t[1] * x + t[3]),
        },
        Case {
            name: "a normal law with a scale for each unit",
            likelihood: Arc::new(likelihood::Normal::learned(0.5)),
            start: vec![0.0; 2],
            truth: vec![1.0, -2.0, 0.25, 0.5, raw(0.1), raw(1.0)],
            found: |parameters| elements(parameters, &WITH_SCALE),
            draw: |t, x, u| (0..2).map(|i| t[i] * x + t[2 + i] + (softplus(t[4 + i]) + 1e-5) * u.normal()).collect(),
            log_prob: |t, x, y| (0..2).map(|i| normal(y[i], t[i] * x + t[2 + i], t[4 + i])).sum(),
        },
        Case {
            name: "a mixture",
            likelihood: Arc::new(likelihood::NormalMixture::new(2)),
            // one component would do for all from a start at one place
            start: vec![0.0, 0.0, 1.0, -1.0, 0.0, 0.0],
            // log odds, locations and raw scales: slopes, then intercepts
            truth: vec![1.0, 1.0, -0.5, 0.3, 0.0, 0.5, 2.0, -1.5, raw(0.5), raw(0.3)],
            found: |parameters| {
                let all = elements(parameters, &AFFINE);
                // either component may be the upper one
                let [upper, lower] = if all[8] > all[9] { [0, 1] } else { [1, 0] };
                let of = |x: &[f64]| [x[upper] - x[lower], x[2 + upper], x[2 + lower], x[4 + upper], x[4 + lower]];
                all.chunks(6).flat_map(of).collect()
            },
            draw: |t, x, u| {
                let [logit, upper, lower, raw_upper, raw_lower] = [0, 1, 2, 3, 4].map(|i| t[i] * x + t[5 + i]);
                let (loc, raw) = if u.next() < sigmoid(logit) { (upper, raw_upper) } else { (lower, raw_lower) };
                vec![loc + (softplus(raw) + 1e-5) * u.normal()]
            },
            log_prob: |t, x, y| {
                let [logit, upper, lower, raw_upper, raw_lower] = [0, 1, 2, 3, 4].map(|i| t[i] * x + t[5 + i]);
                let p = sigmoid(logit);
                log(p * exp(normal(y[0], upper, raw_upper)) + (1.0 - p) * exp(normal(y[0], lower, raw_lower)))
            },
        },
        Case {
            name: "Student's t",
            likelihood: Arc::new(likelihood::StudentT::new(4.0, learned(1.0))),
            start: vec![0.0; 1],
            truth: vec![1.5, -0.5, raw(0.4)],
            found: |parameters| elements(parameters, &WITH_SCALE),
            draw: |t, x, u| {
                let chi_square: f64 = (0..4).map(|_| u.normal().powi(2)).sum();
                vec![t[0] * x + t[1] + (softplus(t[2]) + 1e-5) * u.normal() / sqrt(chi_square / 4.0)]
            },
            log_prob: |t, x, y| student(y[0], t[0] * x + t[1], t[2]),
        },
    ]
}

/// Laws of counts.
fn counts() -> Vec<Case> {
    let learned = |initial| Scale::Learned { initial };
    vec![
        Case {
            name: "Poisson's law",
            likelihood: Arc::new(likelihood::Poisson),
            start: vec![0.0; 1],
            truth: vec![0.75, 1.0],
            found: |parameters| elements(parameters, &AFFINE),
            draw: |t, x, u| vec![u.count(|count| poisson(count, t[0] * x + t[1]))],
            log_prob: |t, x, y| poisson(y[0], t[0] * x + t[1]),
        },
        Case {
            name: "a negative binomial law",
            likelihood: Arc::new(likelihood::NegativeBinomial::new(learned(1.0))),
            start: vec![0.0; 1],
            truth: vec![0.75, 1.0, raw(2.0)],
            found: |parameters| elements(parameters, &WITH_SCALE),
            draw: |t, x, u| vec![u.count(|count| negative_binomial(count, t[0] * x + t[1], t[2]))],
            log_prob: |t, x, y| negative_binomial(y[0], t[0] * x + t[1], t[2]),
        },
        Case {
            name: "a zero-inflated Poisson law",
            likelihood: Arc::new(ZeroInflated::new(likelihood::Poisson)),
            start: vec![0.0; 2],
            truth: vec![0.75, 1.0, 1.0, -0.5],
            found: |parameters| elements(parameters, &AFFINE),
            draw: |t, x, u| {
                let is_zero = u.next() < sigmoid(t[1] * x + t[3]);
                vec![if is_zero { 0.0 } else { u.count(|count| poisson(count, t[0] * x + t[2])) }]
            },
            log_prob: |t, x, y| {
                let (gate, counted) = (sigmoid(t[1] * x + t[3]), exp(poisson(y[0], t[0] * x + t[2])));
                log((1.0 - gate) * counted + if y[0] == 0.0 { gate } else { 0.0 })
            },
        },
    ]
}

/// Laws of labels.
fn labels() -> Vec<Case> {
    vec![
        Case {
            name: "grades in an order",
            likelihood: Arc::new(likelihood::OrderedLogit::new(4)),
            start: vec![0.0; 1],
            truth: vec![1.5, -1.0, raw(0.5), raw(2.0)],
            found: |parameters| {
                elements(parameters, &["kernel", "likelihood/first_cutpoint", "likelihood/raw_increments"])
            },
            draw: |t, x, u| vec![u.count(|grade| log(grades(t, x)[grade as usize]))],
            log_prob: |t, x, y| log(grades(t, x)[y[0] as usize]),
        },
        Case {
            name: "several labels",
            likelihood: Arc::new(likelihood::Bernoulli),
            start: vec![0.0; 2],
            truth: vec![2.0, -1.0, 0.5, -0.5],
            found: |parameters| elements(parameters, &AFFINE),
            draw: |t, x, u| (0..2).map(|i| f64::from(u.next() < sigmoid(t[i] * x + t[2 + i]))).collect(),
            log_prob: |t, x, y| (0..2).map(|i| -softplus((1.0 - 2.0 * y[i]) * (t[i] * x + t[2 + i]))).sum(),
        },
    ]
}

/// The standard errors of parameters, by the inverse of the second derivatives of the log likelihood at the truth.
fn standard_errors(case: &Case, data: &[(f64, Vec<f64>)]) -> Vec<f64> {
    let size = case.truth.len();
    let h = 1e-3;
    let at = |moves: &[(usize, f64)]| -> f64 {
        let mut theta = case.truth.clone();
        moves.iter().for_each(|&(i, by)| theta[i] += by);
        data.iter().map(|(x, y)| -(case.log_prob)(&theta, *x, y)).sum()
    };
    // beside it the unit matrix, which becomes the inverse
    let mut rows: Vec<Vec<f64>> = (0..size)
        .map(|i| {
            let second = |j: usize| {
                (at(&[(i, h), (j, h)]) - at(&[(i, h), (j, -h)]) - at(&[(i, -h), (j, h)]) + at(&[(i, -h), (j, -h)]))
                    / (4.0 * h * h)
            };
            (0..size).map(second).chain((0..size).map(|j| f64::from(u8::from(i == j)))).collect()
        })
        .collect();
    for i in 0..size {
        let pivot = rows[i][i];
        rows[i].iter_mut().for_each(|x| *x /= pivot);
        let row = rows[i].clone();
        for (_, other) in rows.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = other[i];
            other.iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
        }
    }
    (0..size).map(|i| sqrt(rows[i][size + i])).collect()
}

// Each of the 39 parameters would be further off with probability 6e-5, if the seed were another.

#[test]
fn parameters_of_numbers_are_found() {
    are_found(numbers());
}

#[test]
fn parameters_of_counts_are_found() {
    are_found(counts());
}

#[test]
fn parameters_of_labels_are_found() {
    are_found(labels());
}

fn are_found(cases: Vec<Case>) {
    for case in cases {
        let data = case.data(2000);
        let found = (case.found)(case.fit(&data, 300, Backend::default()).parameters());
        let errors = standard_errors(&case, &data);
        assert_eq!(found.len(), case.truth.len(), "{}", case.name);
        for (i, ((found, truth), error)) in found.iter().zip(&case.truth).zip(&errors).enumerate() {
            assert!(*error > 1e-4 && *error < 0.3, "{}: parameter {i} has a standard error of {error}", case.name);
            assert!((found - truth).abs() <= 4.0 * error, "{}: {found}, expected {truth} +- {error}", case.name);
        }
    }
}

#[test]
fn compiled_laws_have_the_bits_of_the_evaluator() {
    for case in [numbers(), counts(), labels()].into_iter().flatten() {
        let data = case.data(70);
        let [compiled, evaluated] =
            [Backend::default(), Backend::Reference].map(|backend| bits(&case.fit(&data, 5, backend)));
        assert_eq!(compiled, evaluated, "{}", case.name);
    }
}

/// The mean and the standard deviation of targets that a deterministic network predicts, for laws that have them in
/// `f32` and in `f64`.
#[test]
fn moments_are_those_of_the_law() {
    type Moments = fn(&[f64]) -> [f64; 2];
    let cases: [(Arc<dyn Likelihood>, usize, Moments); 4] = [
        (Arc::new(likelihood::Normal::heteroscedastic()), 2, |x| [x[0], softplus(x[1]) + 1e-5]),
        (Arc::new(likelihood::Poisson), 1, |x| [exp(x[0]), sqrt(exp(x[0]))]),
        (Arc::new(likelihood::Bernoulli), 1, |x| [sigmoid(x[0]), sqrt(sigmoid(x[0]) * sigmoid(-x[0]))]),
        (Arc::new(likelihood::Laplace::new(Scale::Output)), 2, |x| [x[0], (softplus(x[1]) + 1e-5) * 2_f64.sqrt()]),
    ];
    for (likelihood, outputs, moments) in cases {
        let network = Network::new(Affine::new(1, outputs), [1], likelihood.clone(), 3).unwrap();
        let inputs = [-1.5, 0.25, 2.0];
        let prediction = Predictor::new(&network).unwrap().regress(&inputs).unwrap();
        let kernel = elements(network.parameters(), &["kernel"]);
        for (i, &x) in inputs.iter().enumerate() {
            let output: Vec<f64> = kernel.iter().map(|kernel| kernel * f64::from(x)).collect();
            let expected = moments(&output);
            let found = [prediction.mean()[i], prediction.aleatoric()[i]].map(f64::from);
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{likelihood:?}: {found}, {expected}"
                );
            }
        }
    }
}

/// What one-hot rows say is what their labels say.
#[test]
fn one_hot_rows_are_labels() {
    let (inputs, labels) = (vec![0.0, 0.5, 1.0, -1.0], [1, 0, 2, 1]);
    let rows: Vec<f32> =
        labels.iter().flat_map(|&label| (0..3).map(move |class| f32::from(u8::from(class == label)))).collect();
    let data = Dataset::one_hot([1], inputs.clone(), 3, &rows).unwrap();
    assert_eq!(data, Dataset::classification([1], inputs.clone(), labels.map(|label| label as u32).to_vec()).unwrap());

    let error = |rows: &[f32]| Dataset::one_hot([1], inputs.clone(), 3, rows).unwrap_err().to_string();
    let mut changed = rows.clone();
    changed[4] = 0.25;
    assert!(
        error(&changed).starts_with("row 1 of the one-hot targets has 0.25 in column 1, where"),
        "{}",
        error(&changed)
    );
    changed[4] = f32::NAN;
    assert!(error(&changed).starts_with("row 1 of the one-hot targets has NaN in column 1"), "{}", error(&changed));
    changed[3..6].fill(0.0);
    assert!(error(&changed).starts_with("row 1 of the one-hot targets has no 1, where"), "{}", error(&changed));
    changed[3..6].fill(1.0);
    assert!(error(&changed).starts_with("row 1 of the one-hot targets has 1 in column 1"), "{}", error(&changed));
    assert!(error(&rows[1..]).contains("the number of elements of one-hot rows is 11"), "{}", error(&rows[1..]));
    assert!(error(&rows[3..]).contains("the number of targets is 3"), "{}", error(&rows[3..]));

    // as numbers they are refused, with what to do
    let numbers = Dataset::regression([1], inputs, 3, rows).unwrap();
    let mut network = Network::new(Affine::new(1, 3), [1], likelihood::Categorical, 0).unwrap();
    let error = Fit::new().run(&mut network, &numbers).unwrap_err().to_string();
    assert!(error.contains("`Dataset::one_hot`"), "{error}");
    Fit::new().epochs(1).run(&mut network, &data).unwrap();
}
