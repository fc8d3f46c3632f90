//! Layers whose output is drawn from what a function makes of their posterior.

mod common;

use bayeslift_ir::{Builder, Type};
use bayeslift_layers::{
    AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization,
    AffineVariationalReparameterizationLocal as Local, AnyDistribution, Context, Divergence, Error, KernelBias, Layer,
    PosteriorValue, Scope, distribution::LocationScale, noise_inputs,
};
use common::{At, forward, random, run};

#[test]
fn weights_unpacked_by_a_closure() {
    let layer = Reparameterization::new(3, 3)
        .unpack_weights(|weights| Ok(KernelBias { kernel: weights.kernel * 0.0, ..weights }))
        .posterior_value(PosteriorValue::Mean)
        .bias_initializer(bayeslift_layers::Initializer::Ones);
    let parameters = layer.initialize(0).unwrap();
    let graph = forward(&layer, &parameters, &[2, 3], None);
    assert_eq!(run(&graph, &parameters, &[("x", random(&[2, 3], 1))], At::default())[0], [1.0; 6]);
}

/// The divergence of several draws has a site of its own, also where the layer drew at the variable's.
#[test]
fn unpacked_layers_have_divergences_of_several_draws() {
    fn other_bias<'b>(weights: KernelBias<AnyDistribution<'b>>) -> Result<KernelBias<AnyDistribution<'b>>, Error> {
        let of = |bias: &AnyDistribution<'b>| -> Result<AnyDistribution<'b>, Error> {
            Ok(LocationScale::laplace(bias.mean()?, bias.stddev()?).into())
        };
        Ok(KernelBias { bias: weights.bias.as_ref().map(of).transpose()?, ..weights })
    }
    let layers: [Box<dyn Layer>; 5] = [
        Box::new(Flipout::new(3, 2).unpack_weights(other_bias)),
        Box::new(Local::new(3, 2).unpack_weights(other_bias)),
        Box::new(Flipout::new(3, 2).unpack_weights(|weights| Ok(weights))),
        Box::new(Reparameterization::new(3, 2).unpack_weights(|weights| Ok(weights))),
        Box::new(Local::new(3, 2).unpack_weights(|weights| Ok(weights))),
    ];
    for layer in layers {
        let parameters = layer.initialize(0).unwrap();
        for (draws, samples) in [(1, None), (2, None), (2, Some(3)), (3, Some(2))] {
            let b = Builder::new();
            let mut context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
            if let Some(samples) = samples {
                context = context.samples(samples);
            }
            let call = layer.call(&context, context.input(b.input("x", Type::f32([4, 3])))).unwrap();
            b.output("y", call.output);
            b.output("divergence", call.divergence(&Divergence::MonteCarlo { draws }).unwrap());
            bayeslift_ir::verify(&b.finish().unwrap()).unwrap();
        }
    }
}

#[test]
fn a_local_layer_draws_from_what_unpacking_gives() {
    let parameters = Local::new(3, 2).initialize(0).unwrap();
    let graph = |layer: &Local, value: PosteriorValue| {
        let b = Builder::new();
        let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
        let call = layer.call(&context.posterior_value(value), b.input("x", Type::f32([4, 3]))).unwrap();
        b.output("y", call.output);
        b.output("divergence", call.divergence(&Divergence::default()).unwrap());
        b.finish().unwrap().to_string()
    };
    let whole = Local::new(3, 2).unpack_weights(|weights| Ok(weights));
    let without_bias = Local::new(3, 2).unpack_weights(|weights| Ok(KernelBias { bias: None, ..weights }));
    for value in [PosteriorValue::Sample, PosteriorValue::Mean] {
        let plain = graph(&Local::new(3, 2), value.clone());
        assert_eq!(graph(&without_bias, value.clone()).matches(" add ").count(), {
            // with a normal bias one addition to the mean and, where noise is drawn, one to the variance
            let additions = if matches!(value, PosteriorValue::Sample) { 2 } else { 1 };
            graph(&whole, value.clone()).matches(" add ").count() - additions
        });
        if matches!(value, PosteriorValue::Sample) {
            assert_eq!(graph(&whole, value), plain);
        }
    }
}
