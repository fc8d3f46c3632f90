//! Bijectors: inverses, derivatives, and setting parameters through them.

mod common;

use bayeslift_ir::{Builder, Elements, Tensor, Type, evaluate, evaluate_f64};
use bayeslift_layers::{AffineVariationalReparameterizationLocal as Local, Bijector, Layer};
use bayeslift_passes::gradients;

fn bijectors() -> Vec<Bijector> {
    vec![
        Bijector::Softplus,
        Bijector::Exp,
        Bijector::Sigmoid,
        Bijector::Affine { scale: -2.5, shift: 0.75 },
        Bijector::scale(),
        Bijector::Sigmoid.then(Bijector::Affine { scale: 4.0, shift: -2.0 }).then(Bijector::Exp),
    ]
}

#[test]
fn inverses_and_derivatives() {
    let x: Vec<f64> = (-24..=24).map(|i| f64::from(i) * 0.25).collect();
    for bijector in bijectors() {
        let b = Builder::new();
        let input = b.input("x", Type::f32([x.len()]));
        let y = bijector.forward(input);
        b.output("y", y);
        b.output("back", bijector.inverse(y));
        b.output("log_det", bijector.log_det(input));
        b.output("slope", gradients(y.sum_all(), &[input])[0]);
        let graph = b.finish().unwrap();
        let found = evaluate_f64(&graph, &[Elements::Floats(x.clone())]).unwrap();
        let found: Vec<&[f64]> = found.iter().map(|x| x.floats().unwrap()).collect();
        for (i, x) in x.iter().enumerate() {
            let [y, back, log_det, slope] = [0, 1, 2, 3].map(|k: usize| found[k][i]);
            // constants such as 1e-5 are those of f32
            assert!((back - x).abs() < 1e-6 * x.abs().max(1.0), "{bijector} at {x}: {back}");
            assert!(
                (log_det - slope.abs().ln()).abs() < 1e-6,
                "{bijector} at {x}: {log_det}, expected {}",
                slope.abs().ln()
            );
            let on_host = bijector.inverse_of(y);
            assert!((on_host - x).abs() < 1e-5 * x.abs().max(1.0), "{bijector} at {x}: {on_host}");
        }
        let small: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let found = evaluate(&graph, &[Tensor::f32([x.len()], small.clone()).unwrap()]).unwrap();
        for (x, back) in small.iter().zip(found[1].as_f32().unwrap()) {
            assert!((x - back).abs() < 2e-3 * x.abs().max(1.0), "{bijector} at {x}: {back} in f32");
        }
    }
    let formulas: Vec<String> = bijectors().iter().map(ToString::to_string).collect();
    let expected =
        ["softplus(x)", "exp(x)", "sigmoid(x)", "-2.5 x + 0.75", "softplus(x) + 0.00001", "exp(4 sigmoid(x) - 2)"];
    assert_eq!(formulas, expected);
}

/// A scale is set as such: the parameter is the raw one, and what it becomes is right to the last digits.
#[test]
fn parameters_are_set_through_bijectors() {
    let layer = Local::new(2, 2);
    let mut parameters = layer.initialize(0).unwrap();
    let scales = Tensor::f32([2, 2], [1e-4, 0.02, 1.0, 30.0]).unwrap();
    parameters.assign_through("kernel/raw_scale", &Bijector::scale(), &scales).unwrap();
    let found = layer.kernel_posterior(&parameters).stddev().unwrap();
    for (found, want) in found.as_f32().unwrap().iter().zip(scales.as_f32().unwrap()) {
        assert!((found / want - 1.0).abs() < 1e-6, "{found}, expected {want}");
    }
    // the same map as that of initial values
    let same = Tensor::f32([2], [1e-3, 1e-3]).unwrap();
    let before = parameters.get("bias/raw_scale").unwrap().tensor.clone();
    parameters.assign_through("bias/raw_scale", &Bijector::scale(), &same).unwrap();
    assert_eq!(parameters.get("bias/raw_scale").unwrap().tensor, before);

    let negative = Tensor::f32([2], [1.0, -1.0]).unwrap();
    let error = parameters.assign_through("bias/raw_scale", &Bijector::scale(), &negative).unwrap_err().to_string();
    assert_eq!(
        error,
        "element 1 of what is to be `bias/raw_scale` is -1, expected a number that softplus(x) + 0.00001 makes of one"
    );
    let other = Tensor::f32([3], [1.0; 3]).unwrap();
    assert!(parameters.assign_through("bias/raw_scale", &Bijector::scale(), &other).is_err());
    assert!(parameters.assign_through("bias", &Bijector::Exp, &same).is_err());
}
