//! Convolutions and transposed convolutions: shapes, paddings, adjoints, batches, what splitting keeps, flattened
//! kernels.

mod common;

use bayeslift_ir::{Builder, Shape, Tensor, Type};
use bayeslift_layers::{
    Affine, AffineVariationalReparameterization, Context, Convolution, ConvolutionTranspose,
    ConvolutionTransposeVariationalFlipout, ConvolutionTransposeVariationalReparameterizationLocal,
    ConvolutionVariationalFlipout, ConvolutionVariationalReparameterization,
    ConvolutionVariationalReparameterizationLocal, Divergence, Initializer, KernelBiasLayer, Layer, Padding,
    Parameters, PosteriorValue, Prior, Scope, Sequential, fans, flatten_rightmost, unflatten_kernel,
};
use common::{At, forward, graph, noise_count, random, run};

/// The shape of a layer's output.
fn shape(layer: &dyn Layer, x: &[usize]) -> Vec<usize> {
    let b = Builder::new();
    let context = Context::new(Scope::bind(&b, &layer.initialize(0).unwrap()).unwrap());
    let shape = layer.call(&context, b.input("x", Type::f32(x))).unwrap().output.shape().to_vec();
    b.check().unwrap();
    shape
}

/// The output of a layer without noise.
fn of(layer: &dyn Layer, parameters: &Parameters, x: &Tensor) -> Vec<f32> {
    run(&forward(layer, parameters, x.shape(), None), parameters, &[("x", x.clone())], At::default()).remove(0)
}

fn close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{what}, element {i}: {got}, expected {want}");
    }
}

#[test]
fn positions_of_outputs() {
    let images = |layer: Convolution| shape(&layer, &[2, 7, 8, 3]);
    let new = || Convolution::new(3, 4, [3, 2]);
    assert_eq!(images(new()), [2, 5, 7, 4]);
    assert_eq!(images(new().strides(2)), [2, 3, 4, 4]);
    assert_eq!(images(new().dilations([3, 2])), [2, 1, 6, 4]);
    assert_eq!(images(new().padding(Padding::Same)), [2, 7, 8, 4]);
    assert_eq!(images(new().padding(Padding::Same).strides([3, 2]).dilations(2)), [2, 3, 4, 4]);
    assert_eq!(images(new().padding(Padding::Causal)), [2, 7, 8, 4]);
    assert_eq!(images(new().padding([(4, 0), (0, 1)])), [2, 9, 8, 4]);
    assert_eq!(images(Convolution::new(3, 4, 1)), [2, 7, 8, 4]);
    assert_eq!(shape(&Convolution::new(3, 4, 2).rank(1), &[5, 7, 3]), [5, 6, 4]);
    assert_eq!(shape(&Convolution::new(3, 4, 2).rank(3), &[5, 7, 6, 4, 3]), [5, 6, 5, 3, 4]);
    assert_eq!(shape(&Convolution::new(3, 4, [2]), &[5, 6, 7, 3]), [5, 6, 6, 4], "two axes of examples");
    let new = || ConvolutionTranspose::new(3, 4, [3, 2]);
    let images = |layer: ConvolutionTranspose| shape(&layer, &[2, 5, 4, 3]);
    assert_eq!(images(new()), [2, 7, 5, 4]);
    assert_eq!(images(new().strides([2, 3])), [2, 11, 12, 4]);
    assert_eq!(images(new().padding(Padding::Same).strides([2, 3])), [2, 10, 12, 4]);
    assert_eq!(images(new().padding(Padding::Causal).strides([2, 3])), [2, 10, 12, 4]);
    assert_eq!(images(new().dilations(3).strides(2)), [2, 15, 10, 4]);
    assert_eq!(images(new().padding([(1, 1), (0, 2)])), [2, 5, 3, 4]);
    assert_eq!(shape(&ConvolutionTranspose::new(3, 4, 2).rank(1), &[5, 7, 3]), [5, 8, 4]);
    assert_eq!(shape(&ConvolutionTranspose::new(3, 4, 2).rank(3), &[5, 7, 6, 4, 3]), [5, 8, 7, 5, 4]);
}

/// TFP accepts `output_padding` and never reads it.
#[test]
fn output_padding_chooses_the_extent() {
    let new = || ConvolutionTranspose::new(1, 1, [3]).strides(2);
    let length = |layer: ConvolutionTranspose| shape(&layer, &[1, 5, 1])[1];
    assert_eq!(length(new()), 11);
    assert_eq!([0, 1].map(|more| length(new().output_padding(more))), [11, 12]);
    assert_eq!([0, 1].map(|more| length(new().padding(Padding::Same).output_padding(more))), [9, 10]);
    assert_eq!([0, 1].map(|more| length(new().padding(Padding::Causal).output_padding(more))), [9, 10]);
    assert_eq!([0, 1].map(|more| length(new().padding([(1, 1)]).output_padding(more))), [9, 10]);
    // One position more is one that was cut off, or that nothing reaches.
    let layer = new().bias_initializer(Initializer::Constant(0.5));
    let (parameters, x) = (layer.initialize(1).unwrap(), random(&[1, 5, 1], 2));
    let whole = of(&layer, &parameters, &x);
    let more = of(&layer.clone().output_padding(1), &parameters, &x);
    assert_eq!((&more[..11], more[11]), (&whole[..], 0.5));
    let same = of(&layer.padding(Padding::Same).output_padding(1), &parameters, &x);
    assert_eq!(same, whole[..10]);
}

/// <convolution(x), y> = <x, transposed convolution(y)>, for paddings, strides with dilations, and groups.
#[test]
fn a_transposed_convolution_is_the_adjoint() {
    let mut seed = 0;
    for padding in [Padding::Valid, Padding::Same, [(1, 2), (3, 0)].into()] {
        for (stride, dilation, groups) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (1, 2, 1), (2, 3, 2), (3, 2, 1)] {
            seed += 10;
            let (inputs, outputs, filter) = (2 * groups, groups, [3, 2]);
            let transposed = ConvolutionTranspose::new(outputs, inputs, filter)
                .use_bias(false)
                .strides(stride)
                .dilations(dilation)
                .padding(padding.clone())
                .groups(groups);
            let convolution = Convolution::new(inputs, outputs, filter)
                .use_bias(false)
                .strides(stride)
                .dilations(dilation)
                .padding(padding.clone())
                .groups(groups);
            let y = random(&[2, 4, 5, outputs], seed);
            let x_shape = shape(&transposed, y.shape());
            let x = random(&x_shape, seed + 1);
            let what = format!("{padding:?}, strides {stride}, dilations {dilation}, {groups} groups: {x_shape:?}");
            assert_eq!(shape(&convolution, &x_shape), y.shape()[..], "{what}");
            let mut forwards = convolution.initialize(seed).unwrap();
            // The kernel of the one is that of the other with exchanged channels in each group.
            let kernel = random(&[3, 2, 2, outputs], seed + 2);
            let elements = kernel.as_f32().unwrap();
            let per_group = outputs / groups;
            let mut exchanged = vec![0.0; elements.len()];
            for (i, element) in elements.iter().enumerate() {
                let (place, input, output) = (i / (2 * outputs), i / outputs % 2, i % outputs);
                let (group, output) = (output / per_group, output % per_group);
                exchanged[(place * per_group + output) * inputs + group * 2 + input] = *element;
            }
            forwards.assign("kernel", kernel.clone()).unwrap();
            let mut backwards = transposed.initialize(0).unwrap();
            backwards.assign("kernel", Tensor::f32([3, 2, per_group, inputs], exchanged).unwrap()).unwrap();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let one = dot(&of(&convolution, &forwards, &x), y.as_f32().unwrap());
            let other = dot(x.as_f32().unwrap(), &of(&transposed, &backwards, &y));
            assert!((one - other).abs() < 1e-4 * one.abs().max(1.0), "{what}: {one} and {other}");
        }
    }
}

/// An output of a causal convolution, transposed or not, sees nothing that comes later, and the last one sees the last
/// input.
#[test]
fn causal_padding_hides_what_comes_later() {
    let network = Sequential::new()
        .layer(Convolution::new(2, 3, 3).rank(1).dilations(2).padding(Padding::Causal))
        .layer(ConvolutionTranspose::new(3, 1, 2).rank(1).dilations(2).padding(Padding::Causal));
    let parameters = network.initialize(1).unwrap();
    let x = random(&[1, 9, 2], 3);
    let before = of(&network, &parameters, &x);
    for changed in 0..9 {
        let mut x = x.clone();
        x.as_f32_mut().unwrap()[2 * changed] += 1.0;
        let after = of(&network, &parameters, &x);
        assert_eq!(before[..changed], after[..changed]);
        assert_ne!(before[changed], after[changed]);
    }
}

/// Each kernel of a batch meets its own image, with samples in front or not.
#[test]
fn batches_of_kernels() {
    let layer = Convolution::new(2, 3, [2, 2]).padding(Padding::Same).batch_shape([4]);
    let mut parameters = layer.initialize(5).unwrap();
    parameters.assign("bias", random(&[4, 3], 6)).unwrap();
    let x = random(&[2, 1, 3, 3, 2], 7);
    assert_eq!(shape(&layer, x.shape()), [2, 4, 3, 3, 3]);
    let all = of(&layer, &parameters, &x);
    let single = Convolution::new(2, 3, [2, 2]).padding(Padding::Same);
    for number in 0..4 {
        let mut own = single.initialize(0).unwrap();
        for (path, shape) in [("kernel", Shape::new(&[2, 2, 2, 3])), ("bias", Shape::new(&[3]))] {
            let (n, elements) = (shape.elements(), parameters.get(path).unwrap().tensor.as_f32().unwrap().to_vec());
            own.assign(path, Tensor::f32(shape, &elements[number * n..(number + 1) * n]).unwrap()).unwrap();
        }
        let images = Tensor::f32([2, 3, 3, 2], x.as_f32().unwrap()).unwrap();
        let want = of(&single, &own, &images);
        for example in 0..2 {
            let got = &all[(example * 4 + number) * 27..][..27];
            assert_eq!(*got, want[example * 27..][..27]);
        }
    }
    let sampled = forward(&layer, &parameters, x.shape(), Some(3));
    assert_eq!(run(&sampled, &parameters, &[("x", x)], At::default())[0], all);
}

/// A filter of one element is an affine layer on each position.
#[test]
fn a_filter_of_one_element_is_an_affine_layer() {
    let (convolution, affine) = (Convolution::new(3, 2, [1, 1]), Affine::new(3, 2));
    let parameters = affine.initialize(1).unwrap();
    let x = random(&[2, 3, 4, 3], 2);
    let mut own = convolution.initialize(0).unwrap();
    own.assign("kernel", unflatten_kernel(&parameters.get("kernel").unwrap().tensor, &[1, 1, 3, 2].into()).unwrap())
        .unwrap();
    assert_eq!(of(&convolution, &own, &x), of(&affine, &parameters, &x));
}

fn wide_scales(mut parameters: Parameters) -> Parameters {
    for (path, parameter) in parameters.iter_mut() {
        if path.ends_with("raw_scale") {
            parameter.tensor.as_f32_mut().unwrap().fill(0.3);
        }
    }
    parameters
}

/// Sample 3 of five at once is the sample 3 drawn alone; rows 2 and 3 of a batch are those drawn as a batch of their
/// own.
#[test]
fn samples_and_rows_can_be_split() {
    let network = Sequential::new()
        .layer(ConvolutionVariationalReparameterizationLocal::new(2, 3, 2).padding(Padding::Same))
        .apply(|x| x.relu())
        .layer(ConvolutionVariationalFlipout::new(3, 4, [2, 2]).strides(2))
        .layer(ConvolutionTransposeVariationalFlipout::new(4, 2, 2).strides(2).dilations(2))
        .layer(ConvolutionTransposeVariationalReparameterizationLocal::new(2, 2, 2))
        .layer(ConvolutionVariationalReparameterization::new(2, 3, 2).groups(1))
        .layer(flatten_rightmost(3))
        .layer(AffineVariationalReparameterization::new(75, 3));
    let parameters = wide_scales(network.initialize(2).unwrap());
    let x = random(&[4, 5, 5, 2], 3);
    let at = At { seed: 77, step: 5, ..At::default() };
    let output = |x: &Tensor, samples: Option<usize>, at: At| {
        run(&forward(&network, &parameters, x.shape(), samples), &parameters, &[("x", x.clone())], at).remove(0)
    };
    let all = output(&x, Some(5), at);
    let one = output(&x, Some(1), At { first_sample: 3, ..at });
    assert_eq!(all[3 * 12..4 * 12], one);
    let rows = Tensor::f32([2, 5, 5, 2], &x.as_f32().unwrap()[100..]).unwrap();
    assert_eq!(one[6..], output(&rows, Some(1), At { first_sample: 3, first_row: 2, ..at }));
    // Without a sample axis it is sample 0.
    assert_eq!(all[..12], output(&x, None, at));
}

/// Fans count the elements of the filter; TFP's layers with flattened kernels do not, and start with other variances.
#[test]
fn fans_include_the_filter() {
    let shape = Convolution::new(3, 8, [5, 5]).kernel_bias_shape();
    assert_eq!(fans(&shape.kernel, shape.batch_ndims), (75, 200));
    let shape = Convolution::new(3, 8, [5, 5]).batch_shape([7]).kernel_bias_shape();
    assert_eq!(fans(&shape.kernel, shape.batch_ndims), (75, 200));
    let shape = ConvolutionTranspose::new(4, 8, 3).groups(2).kernel_bias_shape();
    assert_eq!((fans(&shape.kernel, 0), shape.kernel.to_vec()), ((18, 72), vec![3, 3, 2, 8]));
}

/// Nothing is drawn at the mean, and a local layer draws one number for each output.
#[test]
fn what_is_drawn() {
    let layer = ConvolutionVariationalReparameterizationLocal::new(2, 3, [2, 2]);
    let parameters = layer.initialize(0).unwrap();
    let graph = forward(&layer, &parameters, &[4, 3, 3, 2], Some(5));
    assert_eq!(noise_count(&graph), 1);
    assert!(graph.to_string().contains("[5,4,2,2,3]"), "{graph}");
    let mean = layer.posterior_value(PosteriorValue::Mean);
    let graph = forward(&mean, &parameters, &[4, 3, 3, 2], Some(5));
    assert_eq!(noise_count(&graph), 0);
    let x = random(&[4, 3, 3, 2], 1);
    let y = run(&graph, &parameters, &[("x", x.clone())], At::default()).remove(0);
    let plain = Convolution::new(2, 3, [2, 2]);
    let mut own = plain.initialize(0).unwrap();
    own.assign("kernel", parameters.get("kernel/loc").unwrap().tensor.clone()).unwrap();
    close(&y, &of(&plain, &own, &x), "the mean");
}

/// The mean and variance products read the windows of the image and of its square, and nothing in between.
#[test]
fn windows_lie_on_the_square_of_the_image() {
    let layer = ConvolutionVariationalReparameterizationLocal::new(1, 2, [2]).use_bias(false);
    let parameters = layer.initialize(0).unwrap();
    let graph = forward(&layer, &parameters, &[3, 4, 1], None);
    let windows: Vec<_> = graph.nodes().iter().filter(|node| node.op.name() == "window").collect();
    assert_eq!(windows.len(), 2, "{graph}");
    let operands: Vec<&str> = windows
        .iter()
        .map(|node| {
            let reshaped = &graph.nodes()[node.args[0].index()];
            graph.nodes()[reshaped.args[0].index()].op.name()
        })
        .collect();
    assert_eq!(operands, ["input", "mul"], "{graph}");
}

/// A batch of kernels is a product of matrices: no value has more elements than the windows or the output. (TFP's has a
/// depthwise convolution whose result has an output for each pair of channels.)
#[test]
fn batches_of_kernels_store_no_pairs_of_channels() {
    let layer = Convolution::new(8, 8, 1).batch_shape([3]);
    let graph = forward(&layer, &layer.initialize(0).unwrap(), &[2, 3, 5, 5, 8], None);
    let largest = graph.values().map(|value| graph.ty(value).shape.elements()).max();
    assert_eq!(largest, Some(2 * 3 * 5 * 5 * 8));
}

/// How a transposed convolution is computed follows from its arguments and shapes: not from a device, and not from what
/// was built before.
#[test]
fn transposed_convolutions_are_functions_of_their_shapes() {
    let build = || {
        let layer = ConvolutionTranspose::new(3, 2, [4, 2]).strides(2);
        forward(&layer, &layer.initialize(0).unwrap(), &[2, 5, 3, 3], None)
    };
    let first = build();
    let other = ConvolutionTranspose::new(3, 2, [4, 2]).strides([1, 3]).dilations([2, 1]);
    forward(&other, &other.initialize(0).unwrap(), &[2, 5, 3, 3], None);
    assert_eq!(first, build());
    assert_eq!(std::thread::spawn(build).join().unwrap(), first);
}

/// Every weight counts once, whatever the number of positions: log(1 / 1e-3) + (1e-6 - 1) / 2 nats each at loc 0.
#[test]
fn divergences_count_weights() {
    let prior = || Prior::normal(0.0, 1.0);
    let layers: [Box<dyn Layer>; 3] = [
        Box::new(
            ConvolutionVariationalReparameterizationLocal::new(2, 4, [3, 3])
                .prior_maker(prior())
                .kernel_initializer(Initializer::Zeros),
        ),
        Box::new(
            ConvolutionVariationalFlipout::new(2, 4, [3, 3])
                .prior_maker(prior())
                .kernel_initializer(Initializer::Zeros),
        ),
        Box::new(
            ConvolutionTransposeVariationalFlipout::new(2, 4, [3, 3])
                .prior_maker(prior())
                .kernel_initializer(Initializer::Zeros),
        ),
    ];
    for layer in layers {
        let parameters = layer.initialize(0).unwrap();
        let graph = graph(&*layer, &parameters, &[2, 5, 5, 2], None, |b, call| {
            b.output("divergence", call.divergence(&Divergence::Exact)?);
            Ok(())
        });
        let found = run(&graph, &parameters, &[("x", random(&[2, 5, 5, 2], 1))], At::default())[0][0];
        let want = (72.0 + 4.0) * 6.407_756;
        assert!((found - want).abs() < 1e-3, "{found}, expected {want}");
    }
}
