//! The joint laws of the outputs of variational convolutions, over examples, positions and channels, against those that
//! drawn weights give.

mod common;

use bayeslift_ir::Tensor;
use bayeslift_layers::{
    Convolution, ConvolutionTranspose, Flipout, KernelBiasLayer, Layer, Local, Parameters, Reparameterization,
    Variational,
};
use common::{At, forward, random, run};

const SAMPLES: usize = 4000;

/// Mean and covariance of a layer's outputs under independent normal weights, from the layer itself: outputs are linear
/// in the weights, so each weight adds its variance times the product of two outputs of a layer that has it alone.
struct Law {
    mean: Vec<f64>,
    covariance: Vec<Vec<f64>>,
}

impl Law {
    fn new(layer: &impl KernelBiasLayer, posterior: &Parameters, x: &Tensor) -> Law {
        let mut weights = layer.initialize(0).unwrap();
        let graph = forward(layer, &weights, x.shape(), None);
        let of = |path: &str| posterior.get(path).unwrap().tensor.as_f32().unwrap().to_vec();
        let set = |weights: &mut Parameters, path: &str, value: &[f32]| {
            weights.get_mut(path).unwrap().tensor.as_f32_mut().unwrap().copy_from_slice(value);
        };
        let run = |weights: &Parameters| -> Vec<f64> {
            let y = run(&graph, weights, &[("x", x.clone())], At::default()).remove(0);
            y.into_iter().map(f64::from).collect()
        };
        for path in ["kernel", "bias"] {
            set(&mut weights, path, &of(&format!("{path}/loc")));
        }
        let mean = run(&weights);
        let mut covariance = vec![vec![0.0; mean.len()]; mean.len()];
        for path in ["kernel", "bias"] {
            for other in ["kernel", "bias"] {
                weights.get_mut(other).unwrap().tensor.as_f32_mut().unwrap().fill(0.0);
            }
            for (i, raw) in of(&format!("{path}/raw_scale")).into_iter().enumerate() {
                weights.get_mut(path).unwrap().tensor.as_f32_mut().unwrap()[i] = 1.0;
                let (y, variance) = (run(&weights), (f64::from(raw).exp().ln_1p() + 1e-5).powi(2));
                weights.get_mut(path).unwrap().tensor.as_f32_mut().unwrap()[i] = 0.0;
                for a in 0..y.len() {
                    for b in 0..y.len() {
                        covariance[a][b] += variance * y[a] * y[b];
                    }
                }
            }
        }
        Law { mean, covariance }
    }
}

/// What an estimator keeps of the covariance under drawn weights.
#[derive(Clone, Copy, Debug)]
enum Keeps {
    /// All of it.
    Everything,
    /// That of each example; examples are uncorrelated.
    Examples,
    /// Variances; outputs are uncorrelated.
    Variances,
}

/// Mean and covariance of all outputs within five standard errors: those of the mean are known, those of covariances
/// are estimated from the same samples. About 300 numbers a layer: false alarm 2e-4 in all.
fn check<L: KernelBiasLayer>(plain: &L, layer: &dyn Layer, law: &Law, at: (&Parameters, &Tensor), keeps: Keeps) {
    let (parameters, x) = at;
    let graph = forward(layer, parameters, x.shape(), Some(SAMPLES));
    let y = run(&graph, parameters, &[("x", x.clone())], At { seed: 5, ..At::default() }).remove(0);
    let (count, n) = (law.mean.len(), SAMPLES as f64);
    let an_example = count / x.shape()[0];
    let centred: Vec<Vec<f64>> = (0..count)
        .map(|i| (0..SAMPLES).map(|sample| f64::from(y[sample * count + i]) - law.mean[i]).collect())
        .collect();
    let what = |i: usize, j: usize| format!("{} keeps {keeps:?}: outputs {i} and {j}", plain.name());
    for i in 0..count {
        let off = centred[i].iter().sum::<f64>() / n;
        let error = (law.covariance[i][i] / n).sqrt();
        assert!(off.abs() < 5.0 * error, "mean of output {i} is off by {off}, standard error {error}");
        for j in 0..=i {
            let products = || centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b);
            let found = products().sum::<f64>() / n;
            let error = (products().map(|p| (p - found).powi(2)).sum::<f64>() / n / n).sqrt();
            let kept = match keeps {
                Keeps::Everything => true,
                Keeps::Examples => i / an_example == j / an_example,
                Keeps::Variances => i == j,
            };
            let want = if kept { law.covariance[i][j] } else { 0.0 };
            assert!((found - want).abs() < 5.0 * error, "{}: {found}, expected {want}", what(i, j));
        }
    }
}

/// The largest correlation of two different outputs that `choose` picks.
fn largest_correlation(law: &Law, choose: impl Fn(usize, usize) -> bool) -> f64 {
    let c = &law.covariance;
    let pairs = (0..c.len()).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|&(i, j)| choose(i, j));
    pairs.map(|(i, j)| (c[i][j] / (c[i][i] * c[j][j]).sqrt()).abs()).fold(0.0, f64::max)
}

fn check_all<L: KernelBiasLayer>(plain: &L, x: &Tensor) {
    let mut parameters = Variational::<L, Local>::of(plain.clone()).initialize(1).unwrap();
    for (i, (_, parameter)) in parameters.iter_mut().enumerate() {
        parameter.tensor = random(parameter.tensor.shape(), i as u64 + 1);
    }
    let law = Law::new(plain, &parameters, x);
    let an_example = law.mean.len() / x.shape()[0];
    let within = largest_correlation(&law, |i, j| i / an_example == j / an_example);
    let between = largest_correlation(&law, |i, j| i / an_example != j / an_example);
    assert!(within > 0.3 && between > 0.3, "outputs that hardly correlate test nothing: {within}, {between}");
    let at = (&parameters, x);
    check(plain, &Variational::<L, Reparameterization>::of(plain.clone()), &law, at, Keeps::Everything);
    check(plain, &Variational::<L, Local>::of(plain.clone()), &law, at, Keeps::Variances);
    check(plain, &Variational::<L, Flipout>::of(plain.clone()), &law, at, Keeps::Examples);
}

/// With flipout, positions of one example covary as under drawn weights: TFP draws a sign for each position, which
/// makes them uncorrelated.
#[test]
fn laws_of_convolutions() {
    check_all(&Convolution::new(2, 2, [2]), &random(&[2, 4, 2], 9));
    check_all(&Convolution::new(2, 2, [2, 2]).strides([1, 2]).groups(2), &random(&[2, 3, 4, 2], 10));
}

#[test]
fn laws_of_transposed_convolutions() {
    check_all(&ConvolutionTranspose::new(2, 1, [3]).strides(2), &random(&[2, 3, 2], 11));
    check_all(&ConvolutionTranspose::new(2, 2, [2, 1]).dilations(2).strides([1, 2]), &random(&[2, 2, 1, 2], 12));
}

/// Over its positions one example of a flipout layer is jointly normal: the fourth moment of a sum of positions is
/// three times its squared variance, within five standard errors (96 / n).
#[test]
fn a_flipped_example_is_jointly_normal() {
    let plain = Convolution::new(2, 1, [2]);
    let layer = Variational::<Convolution, Flipout>::of(plain.clone());
    let mut parameters = layer.initialize(1).unwrap();
    for (i, (_, parameter)) in parameters.iter_mut().enumerate() {
        parameter.tensor = random(parameter.tensor.shape(), i as u64 + 21);
    }
    let x = random(&[1, 4, 2], 3);
    let law = Law::new(&plain, &parameters, &x);
    let graph = forward(&layer, &parameters, x.shape(), Some(SAMPLES));
    let y = run(&graph, &parameters, &[("x", x)], At { seed: 2, ..At::default() }).remove(0);
    let mean: f64 = law.mean.iter().sum();
    let variance: f64 = law.covariance.iter().flatten().sum();
    let sums =
        y.chunks(law.mean.len()).map(|y| (y.iter().map(|&y| f64::from(y)).sum::<f64>() - mean) / variance.sqrt());
    let fourth = sums.map(|z| z.powi(4)).sum::<f64>() / SAMPLES as f64;
    assert!((fourth - 3.0).abs() < 5.0 * (96.0 / SAMPLES as f64).sqrt(), "{fourth}");
}
