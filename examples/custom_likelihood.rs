//! A likelihood of one's own: the von Mises law of angles, exp(k cos(x - loc)) / (2 pi I0(k)). Its model file needs
//! none of this code.
//!
//!     cargo run --release --example custom_likelihood
use bayeslift::{layers::likelihood::*, prelude::*};
use std::f32::consts::TAU;

fn von_mises() -> Custom {
    Custom::new("VonMises(loc = output 0, k = softplus(output 1))", 2, Support::Real, |parts, x| {
        let (k, angles) = (parts[1].softplus(), x.builder().iota(64).to_f32() * (TAU / 64.0));
        let axis = k.shape().len();
        // I0(k) is the mean of exp(k cos angle) over the circle
        let bessel = ((angles.cos() - 1.0) * k.expand(axis)).exp().mean(axis);
        k * ((x - parts[0]).cos() - 1.0) - bessel.log() - TAU.ln()
    })
    .mean(|parts| parts[0])
}

fn main() -> Result<(), Error> {
    // the direction of a wind that turns with the height, and of which more is known there
    let x: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| 2.0 * x + (1.1 - x) * (i as f32 * 12.9898).sin()).collect();
    let data = Dataset::regression([1], x, 1, y)?;
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(1, 32).activation(Activation::Tanh))
        .layer(AffineVariationalReparameterizationLocal::new(32, 2));
    let mut network = Network::new(layers, [1], von_mises(), 42)?;
    let report = Fit::new().epochs(60).learning_rate(1e-2).run(&mut network, &data)?;

    let path = std::env::temp_dir().join(format!("wind-{}.safetensors", std::process::id()));
    network.save(&path)?;
    let predictor = Predictor::open(&path)?;
    let prediction = predictor.regress(&[0.1, 0.9])?;
    println!("{:?} ± {:?} after {} steps", prediction.mean(), prediction.epistemic(), report.steps);
    println!("{:.3} nats", predictor.negative_log_likelihood(&data)?);
    std::fs::remove_file(path).unwrap_or_default();
    Ok(())
}
