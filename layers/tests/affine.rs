//! The deterministic affine layer: batches of layers broadcast against the leading axes of the input.

mod common;

use bayeslift_ir::arbitrary::largest;
use bayeslift_layers::{Affine, Initializer, Layer};
use common::{At, forward, random, run};

/// The row-major index in a tensor of this shape, whose axes are aligned at the last and broadcast, of the element that
/// `index` of the broadcast shape reads.
fn broadcast_index(shape: &[usize], index: &[usize]) -> usize {
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).fold(0, |at, (&extent, &i)| at * extent + if extent == 1 { 0 } else { i })
}

/// y[.., o] = sum_i x[.., i] kernel[.., i, o] + bias[.., o], as TFP's `matmul(x[..., None, :], kernel)[..., 0, :]`
/// broadcasts.
#[test]
fn batches_broadcast_against_leading_axes() {
    let cases: &[(&[usize], &[usize], &[usize])] = &[
        // batch shape, leading axes of the input, leading axes of the output
        (&[], &[], &[]),
        (&[], &[7], &[7]),
        (&[], &[7, 2, 3], &[7, 2, 3]),
        (&[2], &[2], &[2]),
        (&[2], &[1], &[2]),
        (&[2], &[7, 2], &[7, 2]),
        (&[2], &[7, 1], &[7, 2]),
        (&[5], &[7, 3, 1], &[7, 3, 5]),
        (&[3, 2], &[2], &[3, 2]),
        (&[3, 2], &[1, 1], &[3, 2]),
        (&[3, 2], &[7, 1, 2], &[7, 3, 2]),
        (&[1, 2], &[3, 1], &[3, 2]),
        (&[2, 1], &[7, 2, 3], &[7, 2, 3]),
    ];
    let (input, output) = (4, 3);
    for &(batch, leading, want) in cases {
        let layer = Affine::new(input, output).batch_shape(batch);
        let mut parameters = layer.initialize(1).unwrap();
        parameters.get_mut("bias").unwrap().tensor = random(&[batch, &[output]].concat(), 2);
        let x = random(&[leading, &[input]].concat(), 3);
        for samples in [None, Some(5)] {
            let graph = forward(&layer, &parameters, x.shape(), samples);
            let y = &graph.nodes()[graph.outputs()[0].value.index()].ty.shape;
            // What is not random keeps a sample axis of 1.
            let sample_axis = if samples.is_some() { &[1][..] } else { &[] };
            assert_eq!(y[..], [sample_axis, want, &[output]].concat(), "{batch:?} {leading:?}");
            let y = run(&graph, &parameters, &[("x", x.clone())], At::default()).remove(0);
            let of = |path: &str| parameters.get(path).unwrap().tensor.as_f32().unwrap().to_vec();
            let (kernel, bias, x) = (of("kernel"), of("bias"), x.as_f32().unwrap());
            for (k, found) in y.into_iter().enumerate() {
                let (mut rest, unit, mut index) = (k / output, k % output, vec![0; want.len()]);
                for (i, &extent) in index.iter_mut().zip(want).rev() {
                    (*i, rest) = (rest % extent, rest / extent);
                }
                let (layer, row) = (broadcast_index(batch, &index), broadcast_index(leading, &index));
                let term = |i: usize| x[row * input + i] * kernel[(layer * input + i) * output + unit];
                let want = bias[layer * output + unit] + (0..input).map(term).sum::<f32>();
                assert!((found - want).abs() < 1e-5, "{batch:?} {leading:?} {index:?}: {found}, expected {want}");
            }
        }
    }
}

/// Each layer of a batch starts as it would alone: fans leave the axes of the batch out, the bias's among them.
#[test]
fn initializers_know_the_batch() {
    let layer = Affine::new(20, 30).bias_initializer(Initializer::GlorotUniform).batch_shape([500]);
    let parameters = layer.initialize(1).unwrap();
    for (path, fans) in [("kernel", 20 + 30), ("bias", 30 + 1)] {
        let limit = (6.0 / fans as f32).sqrt();
        let values = parameters.get(path).unwrap().tensor.as_f32().unwrap().to_vec();
        let largest = largest(values.iter().map(|x| f64::from(x.abs()))) as f32;
        // of 15,000 uniform draws the largest is within a thousandth of the limit, but for e^-15
        assert!((0.999 * limit..=limit).contains(&largest), "{path}: {largest}, expected up to {limit}");
    }
}
