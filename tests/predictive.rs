//! The predictive distribution: what it says of the mixture of the samples' laws, against the mixture itself.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{
    ir::Shape,
    layers::likelihood::{Law, Support, Target},
    prelude::*,
};
use facade::{small_data, small_layers};

/// The logistic law with scale 0.3.
#[derive(Debug)]
struct Logistic;

const SCALE: f64 = 0.3;

struct Located<'b>(Expr<'b>);

impl Likelihood for Logistic {
    fn describe(&self) -> String {
        "Logistic(loc = output, scale = 0.3)".to_owned()
    }

    fn target(&self, output: &Shape) -> Result<Target, LayerError> {
        Target::of_parts(output, 1, Support::Real)
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, LayerError> {
        Ok(Box::new(Located(output)))
    }
}

impl<'b> Law<'b> for Located<'b> {
    fn log_prob(&self, x: Expr<'b>) -> Expr<'b> {
        let z = (x - self.0) / SCALE;
        -z - (-z).softplus() * 2.0 - SCALE.ln()
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.0)
    }

    fn variance(&self) -> Option<Expr<'b>> {
        let variance = self.0.builder().constant_f64(SCALE * SCALE * std::f64::consts::PI.powi(2) / 3.0);
        Some(variance)
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let z = (x.to_f64() - self.0.to_f64()) / SCALE;
        Some(1.0 / ((-z).exp() + 1.0))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let p = p.to_f64();
        Some(self.0.to_f64() + (p / (1.0 - p)).log() * SCALE)
    }
}

/// A network whose samples differ, with two targets a row.
fn network() -> Network {
    let mut network = Network::new(small_layers(), [3], Logistic, 11).unwrap();
    for (path, parameter) in network.parameters_mut().iter_mut() {
        if path.ends_with("raw_scale") {
            parameter.tensor.as_f32_mut().unwrap().fill(-1.0);
        }
    }
    network
}

fn predictor(samples: usize, blocks: (usize, usize)) -> Predictor {
    let options = PredictorOptions::default().samples(samples).blocks(blocks.0, blocks.1);
    Predictor::with_options(&network(), &options).unwrap()
}

/// The locations of all samples of each target, in f64.
fn locations(predictive: &Predictive<'_>, targets: usize) -> Vec<Vec<f64>> {
    let mut locations = vec![Vec::new(); targets];
    let collect = |_, row: usize, values: &[f32]| {
        values.iter().enumerate().for_each(|(unit, &x)| locations[row * values.len() + unit].push(x.into()));
    };
    predictive.parameters(collect).unwrap();
    locations
}

fn mixture(locations: &[f64], x: f32) -> f64 {
    let cdf = |loc: &f64| 1.0 / (1.0 + ((loc - f64::from(x)) / SCALE).exp());
    locations.iter().map(cdf).sum::<f64>() / locations.len() as f64
}

/// Moments, cdf and density are those of the mixture, computed on the host from the samples' outputs.
#[test]
fn it_is_the_mixture_of_the_samples_laws() {
    let (predictor, data) = (predictor(37, (8, 4)), small_data(9));
    let predictive = predictor.predict(data.inputs()).unwrap();
    let locations = locations(&predictive, 18);
    assert!(locations.iter().all(|of_target| of_target.len() == 37));
    let at: Vec<f32> = (0..18).map(|i| i as f32 / 4.0 - 2.0).collect();
    let cdf = predictive.cdf(&at).unwrap();
    let regression = predictive.regression().unwrap();
    assert_eq!(*regression, predictor.regress(data.inputs()).unwrap());
    for i in 0..18 {
        let want = mixture(&locations[i], at[i]);
        assert!((cdf[i] - want).abs() < 1e-14, "target {i}: {} and {want}", cdf[i]);
        let mean = locations[i].iter().sum::<f64>() / 37.0;
        let variance = locations[i].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 36.0;
        let noise = SCALE * SCALE * std::f64::consts::PI.powi(2) / 3.0;
        for (found, want) in [
            (regression.mean()[i], mean),
            (regression.epistemic()[i], variance.sqrt()),
            (regression.aleatoric()[i], noise.sqrt()),
            (regression.total()[i], (variance + noise).sqrt()),
        ] {
            assert!((f64::from(found) - want).abs() < 1e-7 * (1.0 + want.abs()), "target {i}: {found} and {want}");
        }
    }
    let targets = Targets::Values { units: 2, values: at.clone() };
    for (row, found) in predictive.log_prob(&targets).unwrap().into_iter().enumerate() {
        let density = |sample: usize| -> f64 {
            let of_unit = |unit: usize| {
                let i = row * 2 + unit;
                let z = (f64::from(at[i]) - locations[i][sample]) / SCALE;
                -z - 2.0 * (-z).exp().ln_1p() - SCALE.ln()
            };
            (of_unit(0) + of_unit(1)).exp()
        };
        let want = ((0..37).map(density).sum::<f64>() / 37.0).ln();
        assert!((found - want).abs() < 1e-5 * (1.0 + want.abs()), "row {row}: {found} and {want}");
    }
}

/// The first `f32` at which the cdf reaches p, and none before.
#[test]
fn quantiles_are_where_the_cdf_reaches_them() {
    let (predictor, data) = (predictor(37, (8, 4)), small_data(9));
    let predictive = predictor.predict(data.inputs()).unwrap();
    let levels = [1e-6, 0.05, 0.5, 0.9, 1.0 - 1e-6];
    for (quantiles, p) in predictive.quantiles(&levels).unwrap().into_iter().zip(levels) {
        let before: Vec<f32> = quantiles.iter().map(|x| x.next_down()).collect();
        let (at, before) = (predictive.cdf(&quantiles).unwrap(), predictive.cdf(&before).unwrap());
        assert!(at.iter().all(|&cdf| cdf >= p) && before.iter().all(|&cdf| cdf < p), "{p}: {at:?}, {before:?}");
    }
    let (low, high) = predictive.interval(0.9).unwrap();
    assert_eq!(vec![low.clone(), high.clone()], predictive.quantiles(&[0.05, 0.95]).unwrap());
    // The shortest interval has its probability, and is no longer than the central one.
    let (shortest_low, shortest_high) = predictive.highest_density_interval(0.9).unwrap();
    let mass = predictive.cdf(&shortest_high).unwrap().into_iter().zip(predictive.cdf(&shortest_low).unwrap());
    assert!(mass.map(|(above, below)| above - below).all(|mass| (mass - 0.9).abs() < 1e-4));
    for i in 0..18 {
        assert!(shortest_high[i] - shortest_low[i] <= (high[i] - low[i]) * 1.0001, "target {i}");
    }
}

/// Bits do not depend on how samples, rows and calls are split.
#[test]
fn splits_do_not_matter() {
    let data = small_data(9);
    let all = |blocks: (usize, usize)| {
        let predictor = predictor(11, blocks);
        let predictive = predictor.predict(data.inputs()).unwrap();
        let mut draws = vec![0; 11 * 18];
        let keep = |sample: usize, row: usize, values: &[f32]| {
            values.iter().enumerate().for_each(|(u, x)| draws[(sample * 9 + row) * 2 + u] = x.to_bits());
        };
        predictive.draws(keep).unwrap();
        let crps = predictive.crps(&[0.5; 18]).unwrap();
        (draws, crps, predictive.quantiles(&[0.3]).unwrap(), predictive.cdf(&[0.25; 18]).unwrap())
    };
    let want = all((11, 32));
    for blocks in [(1, 1), (4, 2), (3, 9), (64, 5)] {
        assert_eq!(all(blocks), want, "blocks of {blocks:?}");
    }
    let predictor = predictor(11, (4, 4));
    let (head, tail) = data.inputs().split_at(4 * 3);
    let parts = [predictor.predict(head).unwrap(), predictor.predict_from(4, tail).unwrap()];
    let found: Vec<f32> = parts.iter().flat_map(|part| part.quantiles(&[0.3]).unwrap().remove(0)).collect();
    assert_eq!(found, want.2[0]);
}

/// Draws follow the mixture: the largest distance of their distribution from its cdf is beyond what a million such
/// tests would show once (Kolmogorov and Smirnov, by the inequality of Dvoretzky, Kiefer and Wolfowitz: 2 e^(-2 n d^2)
/// = 1e-6).
#[test]
fn draws_follow_the_distribution() {
    let samples = 4096;
    let (predictor, data) = (predictor(samples, (32, 4)), small_data(2));
    let predictive = predictor.predict(data.inputs()).unwrap();
    let mut draws = vec![Vec::new(); 4];
    predictive.draws(|_, row, values| (0..2).for_each(|unit| draws[row * 2 + unit].push(values[unit]))).unwrap();
    let locations = locations(&predictive, 4);
    let bound = ((2e6_f64).ln() / (2.0 * samples as f64)).sqrt();
    for (draws, locations) in draws.iter_mut().zip(&locations) {
        draws.sort_by(f32::total_cmp);
        let of_rank = |(rank, &x): (usize, &f32)| {
            let (cdf, rank) = (mixture(locations, x), rank as f64);
            (cdf - rank / samples as f64).abs().max((cdf - (rank + 1.0) / samples as f64).abs())
        };
        let distance = draws.iter().enumerate().map(of_rank).fold(0.0, f64::max);
        assert!(distance < bound, "{distance} of at most {bound}");
    }
}

#[test]
fn what_cannot_be_told_is_an_error() {
    let (predictor, data) = (predictor(5, (8, 4)), small_data(3));
    let predictive = predictor.predict(data.inputs()).unwrap();
    assert!(predictive.classification().is_none());
    let message = |error: Error| error.to_string();
    assert_eq!(
        message(predictive.quantiles(&[0.5, 1.0]).unwrap_err()),
        "the probability of a quantile is 1, expected a number between 0 and 1"
    );
    assert!(message(predictive.cdf(&[0.0; 5]).unwrap_err()).starts_with("the number of numbers is 5, expected 6"));
    for p in [f64::NAN, -0.5, 0.0, 1.0, 1.5] {
        let interval = message(predictive.interval(p).unwrap_err());
        assert_eq!(interval, format!("the probability of an interval is {p}, expected a number between 0 and 1"));
        assert_eq!(message(predictive.highest_density_interval(p).unwrap_err()), interval);
    }
    let one = Predictor::with_options(&network(), &PredictorOptions::default().samples(1)).unwrap();
    assert!(one.predict(data.inputs()).unwrap().crps(&[0.0; 6]).is_err());
    let points = likelihood::SoftmaxCenteredNormal::fixed(1.0);
    let labels = Network::new(small_layers(), [3], points, 1).unwrap();
    let labels = Predictor::new(&labels).unwrap();
    let predictive = labels.predict(data.inputs()).unwrap();
    assert!(predictive.regression().is_none() && predictive.classification().is_some());
    let error = message(predictive.interval(0.9).unwrap_err());
    assert!(error.contains("law tells no cdf"), "{error}");
}

/// A toy whose noise grows along the input: intervals of 90 % cover 88 to 92 % of 4,000 targets in each fifth of it,
/// where the error of a coverage is 0.5 %.
#[test]
fn intervals_cover_where_it_is_quiet_and_where_it_is_loud() {
    // SplitMix64 (Steele, Lea and Flood 2014), as numbers between 0 and 1; pairs of them are normal by Box and Muller
    let uniform = |i: usize| {
        let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let data = |rows: usize, from: usize| {
        let part = |i: usize, which: usize| uniform((from + i) * 3 + which);
        let x: Vec<f32> = (0..rows).map(|i| (part(i, 0) * 2.0 - 1.0) as f32).collect();
        let noise = |i: usize| (-2.0 * (1.0 - part(i, 1)).ln()).sqrt() * (std::f64::consts::TAU * part(i, 2)).cos();
        let y = x.iter().enumerate().map(|(i, &x)| {
            let x = f64::from(x);
            ((2.0 * x).sin() + (0.1 + 0.2 * (x + 1.0)) * noise(i)) as f32
        });
        let y = y.collect();
        Dataset::regression([1], x, 1, y).unwrap()
    };
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(1, 32).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(32, 2));
    let mut network = Network::new(layers, [1], likelihood::Normal::heteroscedastic(), 3).unwrap();
    let fit = Fit::new().epochs(150).batch_size(64).learning_rate(1e-2).schedule(Schedule::Cosine { to: 0.0 });
    fit.run(&mut network, &data(8000, 0)).unwrap();
    let (predictor, test) = (Predictor::new(&network).unwrap(), data(20_000, 1_000_000));
    let (low, high) = predictor.predict(test.inputs()).unwrap().interval(0.9).unwrap();
    let mut counts = [[0.0_f64; 2]; 5];
    for (i, (x, y)) in test.inputs().iter().zip(test.values()).enumerate() {
        let [covered, all] = &mut counts[(((x + 1.0) * 2.5) as usize).min(4)];
        *all += 1.0;
        *covered += f64::from(u8::from(low[i] <= *y && *y <= high[i]));
    }
    let coverage = counts.map(|[covered, all]| covered / all);
    assert!(coverage.iter().all(|coverage| (0.88..=0.92).contains(coverage)), "{coverage:?}");
}

/// A law may be the same for all rows, and tell neither mean nor variance; it need not read what it is asked.
#[test]
fn laws_of_no_output_are_the_same_everywhere() {
    let exponential = likelihood::Custom::new("Exponential(1)", 1, Support::NonNegative, |_, y| -y)
        .cdf(|_, y| 1.0 - (-y.to_f64()).exp())
        .quantile(|_, p| -(1.0 - p).log());
    let layers = || Sequential::new().layer(Affine::new(3, 2));
    let flat = likelihood::Custom::new("Flat", 1, Support::UnitInterval, |parts, _| parts[0] * 0.0);
    let data = small_data(9);
    let targets = Targets::Values { units: 2, values: (0..18).map(|i| i as f32 / 40.0 + 0.1).collect() };
    let network = Network::new(layers(), [3], exponential, 0).unwrap();
    let predictor = Predictor::with_options(&network, &PredictorOptions::default().samples(40).blocks(8, 4)).unwrap();
    assert!(predictor.explain().is_ok());
    let predictive = predictor.predict(data.inputs()).unwrap();
    assert!(predictive.regression().is_none() && predictor.regress(data.inputs()).is_err());
    let cdf = predictive.cdf(&[1.0; 18]).unwrap();
    assert!(cdf.iter().all(|cdf| (cdf - (1.0 - (-1.0_f64).exp())).abs() < 1e-14), "{cdf:?}");
    let log_prob = predictive.log_prob(&targets).unwrap();
    assert!((log_prob[0] + 0.1 + 0.125).abs() < 1e-6, "{log_prob:?}");
    let mut draws = Vec::new();
    predictive.draws(|_, _, values| draws.extend_from_slice(values)).unwrap();
    assert_eq!(draws.len(), 40 * 18);
    let mean = draws.iter().sum::<f32>() / draws.len() as f32;
    assert!((mean - 1.0).abs() < 0.2, "{mean}");
    assert!(predictive.crps(&[1.0; 18]).unwrap().iter().all(|score| score.is_finite()));
    let flat = Predictor::new(&Network::new(layers(), [3], flat, 0).unwrap()).unwrap();
    assert_eq!(flat.predict(data.inputs()).unwrap().log_prob(&targets).unwrap(), [0.0; 9]);
}

/// Intervals of samples that are far apart, and of counts, against all intervals.
#[test]
fn shortest_intervals_are_the_shortest() {
    let of = |likelihood: std::sync::Arc<dyn Likelihood>, scale: f32| {
        let layers = Sequential::new().layer(AffineVariationalReparameterization::new(1, 1));
        let mut network = Network::new(layers, [1], likelihood, 5).unwrap();
        for (path, parameter) in network.parameters_mut().iter_mut() {
            let value = if path.ends_with("raw_scale") { scale } else { 1.0 };
            parameter.tensor.as_f32_mut().unwrap().fill(value);
        }
        let options = PredictorOptions::default().samples(3).blocks(3, 4);
        Predictor::with_options(&network, &options).unwrap()
    };
    let x: Vec<f32> = (0..9).map(|i| i as f32 / 4.0 - 1.0).collect();
    let peaks = of(std::sync::Arc::new(likelihood::Normal::fixed(0.05)), 1.0);
    let predictive = peaks.predict(&x).unwrap();
    for p in [0.3, 0.5, 0.9] {
        let (low, high) = predictive.highest_density_interval(p).unwrap();
        let mass: Vec<f64> = predictive.cdf(&high).unwrap();
        let mass = mass.into_iter().zip(predictive.cdf(&low).unwrap()).map(|(above, below)| above - below);
        assert!(mass.clone().all(|mass| mass > p - 1e-6 && mass < p + 1e-3), "{p}: {:?}", mass.collect::<Vec<f64>>());
        let levels: Vec<f64> = (1..200).map(|k| (1.0 - p) * f64::from(k) / 200.0).collect();
        let ends =
            |add: f64| predictive.quantiles(&levels.iter().map(|level| level + add).collect::<Vec<f64>>()).unwrap();
        let (lows, highs) = (ends(0.0), ends(p));
        for row in 0..9 {
            let best = (0..levels.len()).map(|k| highs[k][row] - lows[k][row]).fold(f32::INFINITY, f32::min);
            let found = high[row] - low[row];
            assert!(found <= best * 1.05, "row {row}, {p}: {found}, where {best} is possible");
        }
    }
    let counts = of(std::sync::Arc::new(likelihood::Poisson), -20.0);
    let predictive = counts.predict(&x).unwrap();
    for p in [0.5, 0.9] {
        let (low, high) = predictive.highest_density_interval(p).unwrap();
        let cdf: Vec<Vec<f64>> = (0..60).map(|k| predictive.cdf(&[k as f32; 9]).unwrap()).collect();
        for row in 0..9 {
            let mass = |low: usize, high: usize| cdf[high][row] - if low == 0 { 0.0 } else { cdf[low - 1][row] };
            let wide_enough = |low: usize| (low..60).find(|&high| mass(low, high) >= p);
            let best = (0..60).filter_map(|low| Some(wide_enough(low)? - low)).min().unwrap();
            let (low, high) = (low[row] as usize, high[row] as usize);
            assert!(
                mass(low, high) >= p && high - low == best,
                "row {row}, {p}: {low} to {high}, where {best} is possible"
            );
        }
    }
}

/// A row without a prediction has no numbers, whatever is asked; the others have theirs, and what fills a block up is
/// no row.
#[test]
fn rows_without_a_prediction_have_no_numbers() {
    // what overflows is hidden by the relu
    let layers = Sequential::new().layer(Affine::new(2, 2).activation(Activation::Relu)).layer(Affine::new(2, 1));
    let mut network = Network::new(layers, [2], likelihood::Normal::fixed(1.0), 0).unwrap();
    let kernel = network.parameters_mut().get_mut("affine/kernel").unwrap();
    kernel.tensor.as_f32_mut().unwrap().copy_from_slice(&[-10.0, 1.0, -10.0, 1.0]);
    let options = PredictorOptions::default().samples(3).blocks(2, 4);
    let x = [1.0, 2.0, 3.0, 4.0, 1e38, 1e38, 5.0, 6.0];
    let strict = Predictor::with_options(&network, &options).unwrap();
    assert!(matches!(strict.predict(&x).unwrap_err(), Error::NonFinitePrediction { row: 2, .. }));
    let lenient = Predictor::with_options(&network, &options.clone().allow_non_finite(true)).unwrap();
    let predictive = lenient.predict(&x).unwrap();
    let mut draws = [0.0; 4];
    predictive.draws(|_, row, values| draws[row] += values[0]).unwrap();
    let cdf: Vec<f32> = predictive.cdf(&[0.0; 4]).unwrap().into_iter().map(|cdf| cdf as f32).collect();
    let (low, _) = predictive.highest_density_interval(0.5).unwrap();
    let mean = predictive.regression().unwrap().mean().to_vec();
    for found in [mean, predictive.quantiles(&[0.5]).unwrap().remove(0), low, cdf, draws.to_vec()] {
        let known: Vec<bool> = found.iter().map(|x| x.is_finite()).collect();
        assert_eq!(known, [true, true, false, true], "{found:?}");
        assert!(found[2].is_nan());
    }
    // zeros fill the block up, of which the activation makes -infinity and hides it
    let hidden = Sequential::new().layer(Affine::new(1, 1).activation(Activation::custom(|x| x.square().log().tanh())));
    let network = Network::new(hidden, [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let predictor = Predictor::with_options(&network, &PredictorOptions::default().samples(4).blocks(4, 8)).unwrap();
    let x: Vec<f32> = (1..9).map(|i| i as f32).collect();
    let all = predictor.predict(&x).unwrap().quantiles(&[0.5]).unwrap();
    assert_eq!(predictor.predict(&x[..6]).unwrap().quantiles(&[0.5]).unwrap()[0], all[0][..6]);
}

/// Several answers of yes and no are labels of a row, and numbers with a mean.
#[test]
fn answers_of_yes_and_no_are_labels_and_numbers() {
    let network = Network::new(small_layers(), [3], likelihood::Bernoulli, 0).unwrap();
    let predictor = Predictor::new(&network).unwrap();
    let data = small_data(5);
    let predictive = predictor.predict(data.inputs()).unwrap();
    let (classification, regression) = (predictive.classification().unwrap(), predictive.regression().unwrap());
    assert_eq!((classification.rows(), classification.labels_of_a_row(), classification.classes()), (5, 2, 2));
    assert_eq!((regression.rows(), regression.units(), classification.labels().len()), (5, 2, 10));
    for row in 0..5 {
        for unit in 0..2 {
            let (p, mean) = (classification.row(row)[unit * 2 + 1], regression.mean()[row * 2 + unit]);
            assert!((p - mean).abs() < 1e-6, "{p} and {mean}");
        }
    }
}

/// What is wrong with a law is said when a network is made, with the name of what tells it.
#[test]
fn laws_that_do_not_fit_are_errors_at_once() {
    let logistic = || likelihood::Custom::new("L", 2, Support::Real, |p, x| -((x - p[0]) / p[1].softplus()).square());
    let make = |law| Network::new(Affine::new(1, 2), [1], law, 0).map(drop);
    make(logistic().mean(|p| p[0])).unwrap();
    let mixed = make(logistic().cdf(|p, x| (x.to_f64() - p[0]).exp())).unwrap_err().to_string();
    assert!(mixed.contains("in `law/cdf`: ") && mixed.contains("expected f64"), "{mixed}");
    let shape = make(logistic().mean(|p| p[0].expand(0).expand(0))).unwrap_err().to_string();
    assert!(shape.contains("in `law/mean`: "), "{shape}");
}
