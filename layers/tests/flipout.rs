//! Flipout: one example has the law of drawn weights, outputs of different examples are uncorrelated, and divergence
//! and output share their draws.

mod common;

use bayeslift_ir::Tensor;
use bayeslift_layers::{
    AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization, Divergence, Layer,
    Parameters, Posterior, Prior, distribution::Normal,
};
use common::{At, forward, graph, noise_count, random, run};

const ROWS: usize = 2;
const POSITIONS: usize = 2;
const INPUT: usize = 3;
const OUTPUT: usize = 2;
const SAMPLES: usize = 4000;

/// Where an output is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct At3 {
    row: usize,
    position: usize,
    unit: usize,
}

fn outputs() -> impl Iterator<Item = At3> {
    let at = |i: usize| At3 { row: i / (POSITIONS * OUTPUT), position: i / OUTPUT % POSITIONS, unit: i % OUTPUT };
    (0..ROWS * POSITIONS * OUTPUT).map(at)
}

/// The parameters and the input of the test, as `f64`.
struct Setting {
    parameters: Parameters,
    x: Tensor,
}

impl Setting {
    fn new() -> Setting {
        let mut parameters = Flipout::new(INPUT, OUTPUT).initialize(1).unwrap();
        for (i, (_, parameter)) in parameters.iter_mut().enumerate() {
            parameter.tensor = random(parameter.tensor.shape(), i as u64 + 1);
        }
        Setting { parameters, x: random(&[ROWS, POSITIONS, INPUT], 9) }
    }

    fn x(&self, at: At3, i: usize) -> f64 {
        f64::from(self.x.as_f32().unwrap()[(at.row * POSITIONS + at.position) * INPUT + i])
    }

    fn parameter(&self, path: &str, i: usize) -> f64 {
        let value = f64::from(self.parameters.get(path).unwrap().tensor.as_f32().unwrap()[i]);
        if path.ends_with("raw_scale") { value.exp().ln_1p() + 1e-5 } else { value }
    }

    fn mean(&self, at: At3) -> f64 {
        let of = |i: usize| self.x(at, i) * self.parameter("kernel/loc", i * OUTPUT + at.unit);
        self.parameter("bias/loc", at.unit) + (0..INPUT).map(of).sum::<f64>()
    }

    /// Of two outputs under one draw of the weights.
    fn covariance(&self, a: At3, b: At3) -> f64 {
        if a.unit != b.unit {
            return 0.0;
        }
        let of =
            |i: usize| self.x(a, i) * self.x(b, i) * self.parameter("kernel/raw_scale", i * OUTPUT + a.unit).powi(2);
        self.parameter("bias/raw_scale", a.unit).powi(2) + (0..INPUT).map(of).sum::<f64>()
    }

    /// `SAMPLES` outputs of a layer, each less its mean and divided by its standard deviation.
    fn standard_outputs(&self, layer: &dyn Layer, seed: u64) -> Vec<(At3, Vec<f64>)> {
        let graph = forward(layer, &self.parameters, &[ROWS, POSITIONS, INPUT], Some(SAMPLES));
        let y = run(&graph, &self.parameters, &[("x", self.x.clone())], At { seed, ..At::default() }).remove(0);
        let count = ROWS * POSITIONS * OUTPUT;
        let standard = |(k, at): (usize, At3)| {
            let (mean, scale) = (self.mean(at), self.covariance(at, at).sqrt());
            (at, (0..SAMPLES).map(|sample| (f64::from(y[sample * count + k]) - mean) / scale).collect())
        };
        outputs().enumerate().map(standard).collect()
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Of each output its mean, variance and fourth moment (3 for a normal law: that of a product of two normals is 9); of
/// each two their correlation. All within five standard errors, for flipout and for drawn weights: 16 means, variances
/// (2 / n) and fourth moments (96 / n), and 56 correlations ((1 + r^2) / n), false alarm 6e-5 in all.
///
/// Within an example correlations are those of drawn weights; between examples they are 0, bias included, where those
/// of drawn weights reach 0.3 and more.
#[test]
fn one_example_has_the_law_of_drawn_weights_and_examples_are_uncorrelated() {
    let setting = Setting::new();
    let n = SAMPLES as f64;
    let flipped = setting.standard_outputs(&Flipout::new(INPUT, OUTPUT), 5);
    let drawn = setting.standard_outputs(&Reparameterization::new(INPUT, OUTPUT), 6);
    for (at, z) in flipped.iter().chain(&drawn) {
        let moment = |power: i32| mean(z.iter().map(|z| z.powi(power)));
        assert!(moment(1).abs() < 5.0 / n.sqrt(), "mean of {at:?}: {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "variance of {at:?}: {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt(), "fourth moment of {at:?}: {}", moment(4));
    }
    let correlation =
        |of: &[(At3, Vec<f64>)], i: usize, j: usize| mean(of[i].1.iter().zip(&of[j].1).map(|(a, b)| a * b));
    let mut shared = 0.0_f64;
    for i in 0..flipped.len() {
        for j in 0..i {
            let (a, b) = (flipped[i].0, flipped[j].0);
            let scales = (setting.covariance(a, a) * setting.covariance(b, b)).sqrt();
            let of_weights = setting.covariance(a, b) / scales;
            let limit = |r: f64| 5.0 * ((1.0 + r * r) / n).sqrt();
            let found = correlation(&drawn, i, j);
            assert!((found - of_weights).abs() < limit(of_weights), "{a:?} and {b:?}: {found}, expected {of_weights}");
            let want = if a.row == b.row { of_weights } else { 0.0 };
            let found = correlation(&flipped, i, j);
            assert!((found - want).abs() < limit(want), "{a:?} and {b:?}: {found}, expected {want}");
            if a.row != b.row {
                shared = shared.max(of_weights.abs());
            }
        }
    }
    assert!(shared > 0.3, "examples that hardly correlate under drawn weights test nothing: {shared}");
}

/// What flipout is for: a mean over M equal examples varies by 1 / M of what one output does, while that of a layer
/// that draws its weights once varies as one output does. Sixteen examples and two units; both within five standard
/// errors of a variance, false alarm 2e-6.
#[test]
fn the_variance_of_a_mean_falls_with_the_number_of_examples() {
    let (examples, setting) = (16, Setting::new());
    let one = &setting.x.as_f32().unwrap()[..INPUT];
    let x = Tensor::f32([examples, INPUT], one.repeat(examples)).unwrap();
    let variances = |layer: &dyn Layer| {
        let graph = forward(layer, &setting.parameters, &[examples, INPUT], Some(SAMPLES));
        let y = run(&graph, &setting.parameters, &[("x", x.clone())], At { seed: 7, ..At::default() }).remove(0);
        [0, 1].map(|unit| {
            let at = At3 { row: 0, position: 0, unit };
            let mean_of = |sample: &[f32]| mean(sample.iter().skip(unit).step_by(OUTPUT).map(|&y| f64::from(y)));
            let square = |sample: &[f32]| (mean_of(sample) - setting.mean(at)).powi(2);
            mean(y.chunks_exact(examples * OUTPUT).map(square)) / setting.covariance(at, at)
        })
    };
    let n = SAMPLES as f64;
    for variance in variances(&Reparameterization::new(INPUT, OUTPUT)) {
        assert!((variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{variance}");
    }
    // Given the draws it is nearly normal, with a variance that is random itself: the fourth moment is at most 9, that
    // of a product of two normals, and the variance of a square at most 8.
    for variance in variances(&Flipout::new(INPUT, OUTPUT)) {
        let share = variance * examples as f64;
        assert!((share - 1.0).abs() < 5.0 * (8.0 / n).sqrt(), "{share}");
    }
}

/// A posterior whose parameters are one number each.
#[test]
fn a_scale_for_all_weights() {
    let layer = Flipout::new(INPUT, OUTPUT).posterior_maker(Posterior::new(|scope, shape| {
        shape.each(scope, |scope, _, _| Ok(Normal::scalar(scope.builder(), 0.5, 0.1).into()))
    }));
    let y = run(
        &forward(&layer, &Parameters::new(), &[2, INPUT], Some(3)),
        &Parameters::new(),
        &[("x", random(&[2, INPUT], 1))],
        At::default(),
    );
    assert_eq!(y[0].len(), 3 * 2 * OUTPUT);
}

/// The weights that the divergence is computed of are those that the output flips (TFP draws them apart).
#[test]
fn divergence_and_output_share_their_draws() {
    let layer = Flipout::new(2, 1).prior_maker(Prior::normal(0.0, 1.0));
    let mut parameters = layer.initialize(3).unwrap();
    for path in ["kernel/raw_scale", "bias/raw_scale"] {
        parameters.get_mut(path).unwrap().tensor.as_f32_mut().unwrap().fill(0.0);
    }
    let graph = graph(&layer, &parameters, &[4, 2], None, |b, call| {
        b.output("y", call.output);
        b.output("divergence", call.divergence(&Divergence::default())?);
        b.output("kernel", call.posterior_value("kernel").unwrap());
        b.output("bias", call.posterior_value("bias").unwrap());
        Ok(())
    });
    assert_eq!(noise_count(&graph), 4, "a kernel, a bias and two kinds of signs\n{graph}");
    let x = Tensor::f32([4, 2], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
    let out = run(&graph, &parameters, &[("x", x)], At { seed: 8, ..At::default() });
    let loc = |path: &str| parameters.get(path).unwrap().tensor.as_f32().unwrap().to_vec();
    let (m, kernel, bias) = (loc("kernel/loc"), &out[2], out[3][0]);
    // The bias alone, flipped for each example.
    for row in [0, 3] {
        assert!((out[0][row].abs() - bias.abs()).abs() < 1e-6, "{out:?}");
    }
    for i in 0..2 {
        let (found, weight) = ((out[0][i + 1] - m[i]).abs(), kernel[i] - m[i]);
        let possible = [(weight + bias).abs(), (weight - bias).abs()];
        assert!(possible.iter().any(|want| (found - want).abs() < 1e-6), "{found} is none of {possible:?}");
    }
    let scale = 2_f64.ln() + 1e-5;
    let term = |w: f32, loc: f32| {
        let (w, loc) = (f64::from(w), f64::from(loc));
        -((w - loc) / scale).powi(2) / 2.0 - scale.ln() + w * w / 2.0
    };
    let want = term(kernel[0], m[0]) + term(kernel[1], m[1]) + term(bias, 0.0);
    assert!((f64::from(out[1][0]) - want).abs() < 1e-5, "{} {want}", out[1][0]);
}

/// The weights are one random variable of the layer, signs belong to a call; both are those of weight sampling's site.
#[test]
fn weights_are_those_of_a_layer_that_draws_them() {
    let (flipout, drawn) = (Flipout::new(3, 2), Reparameterization::new(3, 2));
    let parameters = flipout.initialize(0).unwrap();
    let weights = |layer: &dyn Layer| {
        let graph = graph(layer, &parameters, &[2, 3], None, |b, call| {
            b.output("kernel", call.posterior_value("kernel").unwrap());
            b.output("divergence", call.divergence(&Divergence::default())?);
            Ok(())
        });
        run(&graph, &parameters, &[("x", random(&[2, 3], 1))], At { seed: 2, step: 7, ..At::default() })
    };
    assert_eq!(weights(&flipout), weights(&drawn));
}
