//! Pooling, dropout, normalization and composition: what they compute, and what training remembers.

mod common;

use bayeslift_ir::{Builder, Tensor, Type};
use bayeslift_layers::{
    Affine, AffineVariationalReparameterizationLocal, BatchNormalization, Branches, Context, Convolution, Dropout,
    Embedding, Error, Flatten, GlobalPooling, Initializer, Layer, LayerNormalization, Padding, Parameters, Pooling,
    PosteriorValue, Residual, Scope, Sequential, flatten_rightmost, noise_inputs, value_where_absent,
};
use common::{At, forward, of, random, run};

/// The outputs of a call in training: the layer's own, and the updates in the order of their paths.
fn trained(layer: &dyn Layer, parameters: &Parameters, x: &Tensor, samples: Option<usize>) -> Vec<Vec<f32>> {
    let b = Builder::new();
    let mut context = Context::new(Scope::bind(&b, parameters).unwrap()).noise(noise_inputs(&b)).training();
    if let Some(samples) = samples {
        context = context.samples(samples);
    }
    let input = context.input(b.input("x", x.ty()));
    let call = layer.call(&context, input).unwrap();
    b.output("y", call.output);
    let mut updates = call.updates;
    updates.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, value) in &updates {
        b.output(path, *value);
    }
    run(&b.finish().unwrap(), parameters, &[("x", x.clone())], At::default())
}

fn close(got: &[f32], want: impl IntoIterator<Item = f64>, what: &str) {
    let want: Vec<f64> = want.into_iter().collect();
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (f64::from(*got) - want).abs() <= 2e-6 * want.abs().max(1.0),
            "{what}, element {i}: {got}, expected {want}"
        );
    }
}

/// Every window of a pooling, by its definition.
fn pooled(x: &Tensor, size: &[usize], strides: &[usize], same: bool, max: bool) -> Vec<f64> {
    let (shape, rank) = (x.shape().to_vec(), size.len());
    let (positions, channels) = (&shape[1..=rank], shape[rank + 1]);
    let axis = |i: usize| {
        let (n, f, s) = (positions[i], size[i], strides[i]);
        let total = if same { f.saturating_sub((n - 1) % s + 1) } else { 0 };
        let count = if same { n.div_ceil(s) } else { (n - f) / s + 1 };
        (count, total / 2)
    };
    let indices = |extents: &[usize]| {
        extents.iter().fold(vec![vec![]], |all: Vec<Vec<usize>>, &extent| {
            all.iter().flat_map(|index| (0..extent).map(move |i| [&index[..], &[i]].concat())).collect()
        })
    };
    let counts: Vec<usize> = (0..rank).map(|i| axis(i).0).collect();
    let mut out = Vec::new();
    for y in indices(&[&[shape[0]], &counts[..], &[channels]].concat()) {
        let elements = indices(size).into_iter().filter_map(|j| {
            let place =
                |i: usize| (y[1 + i] * strides[i] + j[i]).checked_sub(axis(i).1).filter(|&at| at < positions[i]);
            let places = (0..rank).map(place).collect::<Option<Vec<_>>>()?;
            let index = [&[y[0]], &places[..], &[y[rank + 1]]].concat();
            let at = shape.iter().zip(&index).fold(0, |sum, (extent, i)| sum * extent + i);
            Some(f64::from(x.as_f32().unwrap()[at]))
        });
        let elements: Vec<f64> = elements.collect();
        out.push(match max {
            true => elements.into_iter().fold(f64::NEG_INFINITY, f64::max),
            false => elements.iter().sum::<f64>() / elements.len() as f64,
        });
    }
    out
}

/// All elements are negative, so that a padded zero would win.
#[test]
fn poolings_of_one_to_three_axes() {
    let cases: &[(&[usize], &[usize], &[usize])] = &[
        (&[2, 7, 3], &[3], &[2]),
        (&[2, 7, 3], &[2], &[3]),
        (&[2, 5, 6, 2], &[2, 3], &[2, 3]),
        (&[1, 6, 5, 2], &[3, 2], &[1, 2]),
        (&[1, 4, 5, 3, 2], &[2, 3, 2], &[2, 1, 1]),
    ];
    for (shape, size, strides) in cases {
        let mut x = random(shape, 3);
        x.as_f32_mut().unwrap().iter_mut().for_each(|x| *x = -x.abs() - 0.1);
        for padding in [Padding::Valid, Padding::Same] {
            for max in [true, false] {
                let layer = if max { Pooling::max(*size) } else { Pooling::average(*size) };
                let layer = layer.strides(*strides).padding(padding.clone());
                let want = pooled(&x, size, strides, padding == Padding::Same, max);
                close(&of(&layer, &Parameters::new(), &x), want, &format!("{layer:?} of {shape:?}"));
            }
        }
    }
    let x = random(&[2, 4, 4, 3], 5);
    assert_eq!(
        of(&Pooling::max(2), &Parameters::new(), &x),
        of(&Pooling::max([2, 2]).strides(2), &Parameters::new(), &x)
    );
    let all = |max| pooled(&x, &[4, 4], &[1, 1], false, max);
    close(&of(&GlobalPooling::max(2), &Parameters::new(), &x), all(true), "the largest of all");
    close(&of(&GlobalPooling::average(2), &Parameters::new(), &x), all(false), "the mean of all");
}

/// Nothing wins against what is not there, however small what is there is.
#[test]
fn the_largest_of_the_smallest_numbers() {
    for smallest in [f32::MIN, f32::NEG_INFINITY] {
        let x = Tensor::f32([1, 4, 1], [smallest; 4]).unwrap();
        let layer = Pooling::max([3]).strides([1]).padding(Padding::Same);
        assert_eq!(of(&layer, &Parameters::new(), &x), [smallest; 4]);
    }
}

#[test]
fn flattening_keeps_examples_and_samples() {
    let x = random(&[3, 2, 4], 1);
    for samples in [None, Some(2)] {
        let graph = forward(&Flatten, &Parameters::new(), &[3, 2, 4], samples);
        let shape = graph.ty(graph.outputs()[0].value).shape.to_vec();
        assert_eq!(shape, if samples.is_some() { vec![1, 3, 8] } else { vec![3, 8] });
        assert_eq!(run(&graph, &Parameters::new(), &[("x", x.clone())], At::default())[0], x.as_f32().unwrap());
    }
}

/// In training a share of `rate` is dropped, within five standard errors, and the rest is scaled up.
#[test]
fn dropout_drops_in_training() {
    let (rate, n) = (0.3_f32, 10_000);
    let x = Tensor::f32([100, 100], vec![1.0; n]).unwrap();
    let layer = Dropout::new(rate.into());
    let y = trained(&layer, &Parameters::new(), &x, None).remove(0);
    let dropped = y.iter().filter(|y| **y == 0.0).count() as f64;
    let error = (n as f64 * 0.3 * 0.7).sqrt();
    assert!((dropped - 0.3 * n as f64).abs() < 5.0 * error, "{dropped}");
    assert!(y.iter().all(|y| *y == 0.0 || *y == 1.0 / (1.0 - rate)));
    // Each posterior sample has its own mask; the first is that of a call without samples.
    let samples = trained(&layer, &Parameters::new(), &x, Some(2)).remove(0);
    assert_eq!(samples[..n], y);
    assert_ne!(samples[n..], y);
    assert_eq!(of(&layer, &Parameters::new(), &x), x.as_f32().unwrap());
    assert_eq!(trained(&Dropout::new(0.0), &Parameters::new(), &x, None)[0], x.as_f32().unwrap());
}

/// Monte Carlo dropout also drops in predictions, of means too, and a batch can be split.
#[test]
fn monte_carlo_dropout_drops_always() {
    let network =
        Sequential::new().layer(AffineVariationalReparameterizationLocal::new(3, 50)).layer(Dropout::monte_carlo(0.5));
    let parameters = network.initialize(0).unwrap();
    let x = random(&[4, 3], 2);
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).noise(noise_inputs(&b));
    let call = network.call(&context.posterior_value(PosteriorValue::Mean), b.input("x", x.ty())).unwrap();
    b.output("y", call.output);
    let graph = b.finish().unwrap();
    let all = run(&graph, &parameters, &[("x", x.clone())], At::default()).remove(0);
    let zeros = all.iter().filter(|y| **y == 0.0).count();
    assert!((60..140).contains(&zeros), "{zeros}");
    let graph = forward(&network, &parameters, &[4, 3], Some(2));
    let all = run(&graph, &parameters, &[("x", x.clone())], At::default()).remove(0);
    let rows = Tensor::f32([2, 3], &x.as_f32().unwrap()[6..]).unwrap();
    let part = forward(&network, &parameters, &[2, 3], Some(1));
    let part = run(&part, &parameters, &[("x", rows)], At { first_sample: 1, first_row: 2, ..At::default() }).remove(0);
    assert_eq!(all[300..], part);
}

#[test]
fn layer_normalization_of_rows() {
    let layer = LayerNormalization::new(5);
    let mut parameters = layer.initialize(0).unwrap();
    let x = random(&[2, 3, 5], 1);
    for (path, seed) in [("scale", 2), ("offset", 3)] {
        parameters.assign(path, random(&[5], seed)).unwrap();
    }
    let get = |path: &str, i: usize| f64::from(parameters.get(path).unwrap().tensor.as_f32().unwrap()[i]);
    let mut want = Vec::new();
    for row in x.as_f32().unwrap().chunks(5) {
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / 5.0;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 5.0;
        let normal = |x: f32| (f64::from(x) - mean) / (variance + 1e-3).sqrt();
        want.extend(row.iter().enumerate().map(|(i, &x)| normal(x) * get("scale", i) + get("offset", i)));
    }
    close(&of(&layer, &parameters, &x), want, "layer normalization");
    assert!(LayerNormalization::new(5).center(false).scale(false).variables().unwrap().is_empty());
}

/// Gives a batch normalization the averages that a call in training returned.
fn remember(parameters: &mut Parameters, out: &[Vec<f32>]) {
    for (path, new) in ["moving_mean", "moving_variance", "moving_weight"].into_iter().zip(&out[1..]) {
        parameters.assign(path, Tensor::f32([new.len()], &new[..]).unwrap()).unwrap();
    }
}

/// The batch's statistics in training, and moving averages towards them; elsewhere those alone.
#[test]
fn batch_normalization_remembers_the_batch() {
    let layer = BatchNormalization::new(2).momentum(0.75).epsilon(0.01);
    let mut parameters = layer.initialize(0).unwrap();
    let x = random(&[3, 4, 2], 1);
    let elements: Vec<f64> = x.as_f32().unwrap().iter().map(|&x| f64::from(x)).collect();
    let statistics = [0, 1].map(|unit| {
        let own: Vec<f64> = elements.iter().skip(unit).step_by(2).copied().collect();
        let mean = own.iter().sum::<f64>() / 12.0;
        (mean, own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0)
    });
    let normalized = |by: [(f64, f64); 2]| {
        elements
            .iter()
            .enumerate()
            .map(move |(i, x)| (x - by[i % 2].0) / (by[i % 2].1 + 0.01).sqrt())
            .collect::<Vec<_>>()
    };
    let out = trained(&layer, &parameters, &x, None);
    close(&out[0], normalized(statistics), "in training");
    close(&of(&layer, &parameters, &x), normalized([(0.0, 1.0); 2]), "before training");
    // After one batch the averages are the batch's own; those that are warm move by 1 - momentum.
    close(&out[1], statistics.map(|(mean, _)| mean), "the first moving mean");
    close(&out[2], statistics.map(|(_, variance)| variance), "the first moving variance");
    assert_eq!(out[3], [12.0; 2]);
    parameters.assign("moving_weight", Tensor::f32([2], [-1.0; 2]).unwrap()).unwrap();
    let out = trained(&layer, &parameters, &x, None);
    let moved = [0, 1].map(|unit| (0.25 * statistics[unit].0, 0.75 + 0.25 * statistics[unit].1));
    close(&out[1], moved.map(|(mean, _)| mean), "the moving mean");
    close(&out[2], moved.map(|(_, variance)| variance), "the moving variance");
    assert_eq!(out[3], [48.0; 2]);
    remember(&mut parameters, &out);
    close(&of(&layer, &parameters, &x), normalized(moved), "after training");
    // A batch whose squares overflow is not remembered; the other unit's is.
    let overflowing = Tensor::f32([2, 2], [1e20, 1.0, 0.0, 3.0]).unwrap();
    let after = trained(&layer, &parameters, &overflowing, None);
    let before = parameters.get("moving_variance").unwrap().tensor.as_f32().unwrap();
    close(&after[2], [f64::from(before[0]), f64::from(before[1]) + (1.0 - f64::from(before[1])) * 2.0 / 38.0], "kept");
    assert_eq!((after[1][0], after[2][0], &after[3][..]), (out[1][0], before[0], &[48.0, 38.0][..]));
    // A network reports the updates of its layers, by path; samples are part of a batch.
    let network = Sequential::new().layer(Residual::new(BatchNormalization::new(2))).layer(BatchNormalization::new(2));
    let b = Builder::new();
    let parameters = network.initialize(0).unwrap();
    let context = Context::new(Scope::bind(&b, &parameters).unwrap()).training().samples(5);
    let call = network.call(&context, b.input("x", Type::f32([5, 3, 2]))).unwrap();
    let paths: Vec<&str> = call.updates.iter().map(|(path, _)| path.as_str()).collect();
    let inner = "residual/batch_normalization";
    let all = [inner, "batch_normalization"]
        .map(|path| ["mean", "variance", "weight"].map(|of| format!("{path}/moving_{of}")));
    assert_eq!(paths, all.concat());
}

/// Each batch counts by its rows and by momentum to the power of its age, from the first step on.
#[test]
fn moving_averages_weigh_batches_by_their_rows() {
    for momentum in [0.0, 0.5, 0.99, 1.0] {
        let layer = BatchNormalization::new(1).momentum(momentum);
        let mut parameters = layer.initialize(0).unwrap();
        let (mut weight, mut sums) = (0.0, [0.0, 0.0]);
        for step in 0..60 {
            let rows = if step % 2 == 0 { 64 } else { 2 };
            // around 50, alike but for few rows
            let x = random(&[rows, 1], step).as_f32().unwrap().iter().map(|x| 50.0 + 2.0 * x).collect::<Vec<f32>>();
            let out = trained(&layer, &parameters, &Tensor::f32([rows, 1], &x[..]).unwrap(), None);
            let count = rows as f64;
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
            let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
            weight = momentum * weight + count;
            sums = [momentum * sums[0] + count * mean, momentum * sums[1] + count * variance];
            let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-5 * want.max(1.0);
            let want = sums.map(|sum| sum / weight);
            assert!(close(out[1][0], want[0]) && close(out[2][0], want[1]), "{momentum} {step}: {out:?} {want:?}");
            assert!(close(out[3][0], weight), "{momentum} {step}: {out:?} {weight}");
            remember(&mut parameters, &out);
        }
    }
    // Averages that are warm stay where momentum is 1.
    let layer = BatchNormalization::new(1).momentum(1.0);
    let mut parameters = layer.initialize(0).unwrap();
    let weight = value_where_absent("moving_weight", parameters.get("moving_weight").unwrap()).unwrap();
    assert_eq!(value_where_absent("moving_mean", parameters.get("moving_mean").unwrap()), None);
    parameters.assign("moving_weight", weight).unwrap();
    let out = trained(&layer, &parameters, &random(&[8, 1], 1), None);
    assert_eq!(out[1..], [[0.0], [1.0], [-1.0]]);
}

/// A value that is alone in its batch says nothing of a spread: it would be remembered as none.
#[test]
fn a_batch_with_a_single_value_of_each_unit_is_refused_in_training() {
    let error = |shape: &[usize], samples: Option<usize>| {
        let (b, network) = (Builder::new(), Sequential::new().layer(BatchNormalization::new(2)));
        let parameters = network.initialize(0).unwrap();
        let mut context = Context::new(Scope::bind(&b, &parameters).unwrap()).training();
        if let Some(samples) = samples {
            context = context.samples(samples);
        }
        network.call(&context, b.input("x", Type::f32(shape))).err()
    };
    let refused = error(&[1, 2], None).unwrap();
    assert_eq!(refused, Error::SingleValue.within("batch_normalization"));
    assert!(
        refused.to_string().starts_with("in layer `batch_normalization`: the batch has a single value of each unit")
    );
    assert_eq!(error(&[1, 1, 2], Some(4)), Some(refused));
    assert_eq!([error(&[1, 3, 2], None), error(&[2, 2], None), error(&[4, 1, 2], Some(4))], [None, None, None]);
}

#[test]
fn branches_and_residuals() {
    let x = random(&[2, 4], 1);
    let network = Branches::concatenate().layer(Affine::new(4, 1)).layer(Affine::new(4, 3)).layer(Affine::new(4, 2));
    let parameters = network.initialize(3).unwrap();
    assert_eq!(parameters.paths().nth(2), Some("affine_1/kernel"));
    let own = |name: &str| {
        of(
            &Affine::new(
                4,
                if name == "affine" {
                    1
                } else if name == "affine_1" {
                    3
                } else {
                    2
                },
            ),
            &parameters.under(name),
            &x,
        )
    };
    let parts = [(own("affine"), 1), (own("affine_1"), 3), (own("affine_2"), 2)];
    let want: Vec<f32> =
        (0..2).flat_map(|row| parts.iter().flat_map(move |(y, n)| y[row * n..(row + 1) * n].to_vec())).collect();
    assert_eq!(of(&network, &parameters, &x), want);

    let sum = Branches::add().layer(Affine::new(4, 4)).layer(Residual::new(Affine::new(4, 4)));
    let parameters = sum.initialize(3).unwrap();
    let [a, b] = ["affine", "residual/affine"].map(|path| of(&Affine::new(4, 4), &parameters.under(path), &x));
    let want: Vec<f32> = (0..8).map(|i| a[i] + (x.as_f32().unwrap()[i] + b[i])).collect();
    assert_eq!(of(&sum, &parameters, &x), want);

    let block = Residual::new(Convolution::new(2, 3, [3]).padding(Padding::Same)).shortcut(Convolution::new(2, 3, [1]));
    let parameters = block.initialize(0).unwrap();
    let x = random(&[2, 5, 2], 4);
    let [a, b] = [("shortcut", 1), ("convolution", 3)]
        .map(|(path, size)| of(&Convolution::new(2, 3, [size]).padding(Padding::Same), &parameters.under(path), &x));
    assert_eq!(of(&block, &parameters, &x), a.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<f32>>());
    // A branch that draws has samples, and one that does not has none.
    let mixed =
        Branches::concatenate().layer(AffineVariationalReparameterizationLocal::new(4, 2)).layer(Affine::new(4, 1));
    let graph = forward(&mixed, &mixed.initialize(0).unwrap(), &[2, 4], Some(3));
    assert_eq!(graph.ty(graph.outputs()[0].value).shape[..], [3, 2, 3]);
}

#[test]
fn what_users_get_wrong() {
    let declared = |layer: &dyn Layer| layer.initialize(0).unwrap_err().to_string();
    let called = |layer: &dyn Layer, x: &[usize]| {
        let b = Builder::new();
        let context = Context::new(Scope::bind(&b, &layer.initialize(0).unwrap()).unwrap()).noise(noise_inputs(&b));
        layer.call(&context, b.input("x", Type::f32(x))).unwrap_err().to_string()
    };
    let cases = [
        (
            declared(&Pooling::max(0)),
            "in layer `max_pooling`: pool_size is 0, expected a number from 1 to 2147483647 on each axis",
        ),
        (
            declared(&Pooling::max([2, 2]).rank(1)),
            "in layer `max_pooling`: pool_size is [2,2], expected one number, or one for each of 1 axes",
        ),
        (
            declared(&Pooling::average(2).strides(0)),
            "in layer `average_pooling`: strides is 0, expected a number from 1 to 2147483647 on each axis",
        ),
        (
            declared(&Pooling::max(2).padding(Padding::Causal)),
            "in layer `max_pooling`: padding is Causal, expected Valid or Same",
        ),
        (called(&Pooling::max(3), &[2, 2, 4, 1]), "the input has shape [2,2,4,1], expected positions of [3,3] or more"),
        (called(&Pooling::max(3), &[2, 4, 1]), "the input has shape [2,4,1], expected [examples,..,height,width,1]"),
        (declared(&GlobalPooling::max(4)), "in layer `global_max_pooling`: rank is 4, expected 1, 2 or 3"),
        (called(&GlobalPooling::average(1), &[2, 4]), "the input has shape [2,4], expected [examples,..,length,4]"),
        (declared(&Dropout::new(1.0)), "in layer `dropout`: rate is 1, expected a number from 0 to below 1"),
        (
            declared(&Dropout::monte_carlo(f64::NAN)),
            "in layer `monte_carlo_dropout`: rate is NaN, expected a number from 0 to below 1",
        ),
        (declared(&LayerNormalization::new(0)), "in layer `layer_normalization`: units is 0, expected at least 1"),
        (
            declared(&LayerNormalization::new(2).epsilon(0.0)),
            "in layer `layer_normalization`: epsilon is 0, expected a positive, finite number",
        ),
        (
            declared(&BatchNormalization::new(2).momentum(1.5)),
            "in layer `batch_normalization`: momentum is 1.5, expected a number from 0 to 1",
        ),
        (called(&BatchNormalization::new(2), &[3, 4]), "the input has shape [3,4], expected [..,2]"),
        (declared(&Embedding::new(0, 2)), "in layer `embedding`: input_size is 0, expected at least 1"),
        (called(&Embedding::new(3, 2), &[]), "in layer `embedding`: the input has shape [], expected [examples,..]"),
        (declared(&Branches::add()), "in layer `branches`: the number of branches is 0, expected at least 1"),
        (
            called(&Branches::concatenate().layer(Affine::new(2, 1)).layer(flatten_rightmost(2)), &[2, 3, 2]),
            "the output of a branch has shape [2,6], expected that of the first, [2,3,1], but for the last axis",
        ),
        (
            called(&Branches::add().layer(Affine::new(2, 1)).layer(Affine::new(2, 2)), &[2, 2]),
            "the output of a branch has shape [2,2], expected that of the first, [2,1], but for the axis of samples",
        ),
        (
            called(&Residual::new(Affine::new(2, 1)), &[3, 2]),
            "the layer's output has shape [3,1], expected [3,2] as that of the shortcut, but for an axis of samples",
        ),
        (
            declared(&Residual::new(Affine::new(2, 2).name("shortcut")).shortcut(Affine::new(2, 2))),
            "in layer `residual`: two layers are named `shortcut`; give one of them another name",
        ),
        (
            declared(&Residual::new(Affine::new(2, 2).name("a/b"))),
            "in layer `residual`: the name of a layer is \"a/b\", expected a name that is not empty and has neither `/` nor control characters",
        ),
        (
            declared(&Residual::new(Affine::new(2, 2).kernel_initializer(Initializer::value(Tensor::scalar(0.0))))),
            "in layer `affine`: the type of what the initializer gives is f32[], expected f32[2,2]",
        ),
    ];
    for (found, want) in cases {
        assert_eq!(found, want);
    }
}
