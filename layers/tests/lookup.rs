//! Embeddings: rows of a table by their numbers, given or drawn.

mod common;

use bayeslift_ir::{Builder, Tensor, Type};
use bayeslift_layers::{
    Context, Embedding, EmbeddingVariationalFlipout, EmbeddingVariationalReparameterization,
    EmbeddingVariationalReparameterizationLocal, Initializer, KernelBias, Layer, Posterior, PosteriorValue, Scope,
    distribution,
};
use common::{At, forward, of, random, run};

/// Rows of the kernel, for both types of input; a number that is no category gives zeros.
#[test]
fn embeddings_look_up_rows() {
    let layer = Embedding::new(5, 3);
    let parameters = layer.initialize(1).unwrap();
    let rows = parameters.get("kernel").unwrap().tensor.as_f32().unwrap().to_vec();
    assert!(rows.iter().all(|x| x.abs() < 0.05 && *x != 0.0));
    let of_words = |words: &Tensor| {
        let b = Builder::new();
        let context = Context::new(Scope::bind(&b, &parameters).unwrap());
        b.output("y", layer.call(&context, b.input("x", words.ty())).unwrap().output);
        run(&b.finish().unwrap(), &parameters, &[("x", words.clone())], At::default()).remove(0)
    };
    let want = [&rows[12..15], &rows[0..3], &[0.0; 3], &rows[6..9]].concat();
    assert_eq!(of_words(&Tensor::u32([2, 2], [4, 0, 5, 2]).unwrap()), want);
    assert_eq!(of_words(&Tensor::f32([2, 2], [4.0, 0.0, 5.0, 2.0]).unwrap()), want);
    // whole numbers up to 2^24 are `f32`
    let error = |categories| {
        let b = Builder::new();
        let context = Context::new(Scope::describe(&b));
        let call = Embedding::new(categories, 1).call(&context, b.input("x", Type::f32([1])));
        call.map(drop).map_err(|error| error.to_string())
    };
    error(1 << 24).unwrap();
    let want = "in layer `embedding`: the input's element type is f32, expected u32, for more than 16777216 categories";
    assert_eq!(error((1 << 24) + 1).unwrap_err(), want);
}

/// A local embedding has the variance of a row for each place; a flipped one has one row for an example.
#[test]
fn embeddings_with_random_rows() {
    let local = EmbeddingVariationalReparameterizationLocal::new(4, 2);
    let mut parameters = local.initialize(1).unwrap();
    parameters.assign("kernel/raw_scale", random(&[4, 2], 2)).unwrap();
    let words = Tensor::f32([2, 3], [1.0, 3.0, 1.0, 1.0, 0.0, 2.0]).unwrap();
    let samples = 4000;
    let output = |layer: &dyn Layer| {
        let graph = forward(layer, &parameters, &[2, 3], Some(samples));
        run(&graph, &parameters, &[("x", words.clone())], At { seed: 4, ..At::default() }).remove(0)
    };
    let (drawn, flipped) = (output(&local), output(&EmbeddingVariationalFlipout::new(4, 2)));
    let parameter = |path: &str, i: usize| f64::from(parameters.get(path).unwrap().tensor.as_f32().unwrap()[i]);
    for place in 0..12 {
        let (word, unit) = (words.as_f32().unwrap()[place / 2] as usize, place % 2);
        let loc = parameter("kernel/loc", word * 2 + unit);
        let variance = (parameter("kernel/raw_scale", word * 2 + unit).exp().ln_1p() + 1e-5).powi(2);
        for y in [&drawn, &flipped] {
            let found = y.chunks(12).map(|y| (f64::from(y[place]) - loc).powi(2)).sum::<f64>() / samples as f64;
            assert!((found / variance - 1.0).abs() < 5.0 * (2.0 / samples as f64).sqrt(), "{found} {variance}");
        }
    }
    // Places 0 and 2 of the first example are one word.
    assert!(flipped.chunks(12).all(|y| y[0] == y[4] && y[1] == y[5]));
    assert!(drawn.chunks(12).all(|y| y[0] != y[4]));
}

/// The rows of a drawn table are drawn where they are read, at the address of the row: a call has the bits of rows of
/// the whole table, and so have values of other makers, for some samples at once or none.
#[test]
fn drawn_rows_are_rows_of_the_drawn_table() {
    let words = Tensor::f32([2, 3], [1.0, 3.0, 1.0, 4.0, 0.0, 2.0]).unwrap();
    let one_scale = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            let scale = scope.parameter("scale", &[shape[0], 1].into(), &Initializer::Constant(0.5))?;
            Ok(distribution::Normal::new(loc, scale.broadcast(shape)).into())
        })
    });
    for layer in [
        EmbeddingVariationalReparameterization::new(5, 2),
        EmbeddingVariationalReparameterization::new(5, 2).posterior_maker(one_scale),
        EmbeddingVariationalReparameterization::new(5, 2).posterior_value(PosteriorValue::Mean),
        EmbeddingVariationalReparameterization::new(5, 2)
            .unpack_weights(|weights| Ok(KernelBias { kernel: weights.kernel.tanh() * 2.0, ..weights })),
    ] {
        let parameters = layer.initialize(1).unwrap();
        for samples in [None, Some(1), Some(3)] {
            let graph = common::graph(&layer, &parameters, &[2, 3], samples, |b, call| {
                b.output("y", call.output);
                b.output("kernel", call.posterior_value("kernel").unwrap());
                Ok(())
            });
            let at = At { seed: 4, first_sample: 2, ..At::default() };
            let found = run(&graph, &parameters, &[("x", words.clone())], at);
            let is_unpacked = format!("{layer:?}").contains("unpacked");
            for (sample, rows) in found[0].chunks(12).enumerate() {
                for (place, word) in [1, 3, 1, 4, 0, 2].into_iter().enumerate() {
                    let row = &rows[2 * place..2 * place + 2];
                    let drawn = &found[1][(sample * 5 + word) * 2 % found[1].len()..][..2];
                    match is_unpacked {
                        false => assert_eq!(row, drawn, "{layer:?}"),
                        true => row.iter().zip(drawn).for_each(|(y, x)| assert!((y - 2.0 * x.tanh()).abs() < 1e-6)),
                    }
                }
            }
        }
    }
}

/// Tables that are computed of one number, or by a long chain of operations; what is no row stays zeros.
#[test]
fn computed_tables_have_no_more_rows() {
    let chain = |steps: usize| {
        EmbeddingVariationalReparameterization::new(5, 2).posterior_value(PosteriorValue::Mean).unpack_weights(
            move |weights| {
                let kernel = (0..steps).fold(weights.kernel, |x, i| if i % 2 == 0 { 1.0 - x } else { -x });
                Ok(KernelBias { kernel, ..weights })
            },
        )
    };
    let constant = EmbeddingVariationalReparameterization::new(5, 2).unpack_weights(|weights| {
        let kernel = weights.kernel.builder().constant(2.5).broadcast(&[5, 2].into());
        Ok(KernelBias { kernel, ..weights })
    });
    let layers: [&dyn Layer; 4] = [&chain(1), &chain(3), &chain(1000), &constant];
    for (i, layer) in layers.into_iter().enumerate() {
        let parameters = layer.initialize(1).unwrap();
        let y = of(layer, &parameters, &Tensor::f32([2, 1], [3.0, 7.0]).unwrap());
        assert!(y[..2].iter().all(|y| *y != 0.0) && y[2..] == [0.0; 2], "{i}: {y:?}");
    }
}
