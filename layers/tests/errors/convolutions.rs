//! Convolutions, and layers around them.

use super::*;

#[test]
fn arguments_of_convolutions() {
    let new = || Convolution::new(4, 6, [3, 3]);
    let transposed = || ConvolutionTranspose::new(4, 6, [3, 3]);
    let most = 2_147_483_647_usize;
    let cases: &[(String, &str)] = &[
        (declared(Convolution::new(0, 6, 3)), "convolution`: input_size is 0, expected at least 1"),
        (declared(new().rank(4)), "convolution`: rank is 4, expected 1, 2 or 3"),
        (declared(new().rank(usize::MAX)), "convolution`: rank is 18446744073709551615, expected 1, 2 or 3"),
        (
            declared(new().rank(1)),
            "convolution`: filter_shape is [3,3], expected one number, or one for each of 1 axes",
        ),
        (declared(Convolution::new(4, 6, [])), "convolution`: rank is 0, expected 1, 2 or 3"),
        (
            declared(Convolution::new(4, 6, [3, 0])),
            "convolution`: filter_shape is [3,0], expected a number from 1 to 2147483647 on each axis",
        ),
        (declared(new().strides(0)), "convolution`: strides is 0, expected a number from 1 to 2147483647 on each axis"),
        (declared(new().strides([1])), "convolution`: strides is [1], expected one number, or one for each of 2 axes"),
        (
            declared(new().strides(most + 1)),
            "convolution`: strides is 2147483648, expected a number from 1 to 2147483647 on each axis",
        ),
        (
            declared(new().dilations([1, 0])),
            "convolution`: dilations is [1,0], expected a number from 1 to 2147483647 on each axis",
        ),
        (
            declared(new().dilations(most)),
            "convolution`: filter_shape is [3,3] with dilations 2147483647, expected windows that reach over at most 2147483648 positions",
        ),
        (declared(new().padding([(1, 1)])), "convolution`: padding is [(1, 1)], expected a pair for each of 2 axes"),
        (
            declared(new().padding([(usize::MAX, 0), (0, 0)])),
            "convolution`: padding is [(18446744073709551615, 0), (0, 0)], expected at most 2147483648 on each side",
        ),
        (declared(new().groups(0)), "convolution`: groups is 0, expected a divisor of input_size, which is 4"),
        (declared(new().groups(3)), "convolution`: groups is 3, expected a divisor of input_size, which is 4"),
        (declared(new().groups(4)), "convolution`: groups is 4, expected a divisor of output_size, which is 6"),
        (
            declared(Convolution::new(1 << 20, 1 << 20, [3, 3])),
            "convolution`: elements of a tensor: 9895604649984 exceeds the limit of 2147483648",
        ),
        (
            declared(new().batch_shape([0])),
            "convolution`: shape [0,3,3,4,6] has extent 0 on axis 0; every extent must be at least 1",
        ),
        (
            declared(transposed().strides(0)),
            "convolution_transpose`: strides is 0, expected a number from 1 to 2147483647 on each axis",
        ),
        (
            declared(transposed().output_padding(1)),
            "convolution_transpose`: output_padding is 1, expected less than strides on each axis, which is 1",
        ),
        (
            declared(transposed().output_padding([0])),
            "convolution_transpose`: output_padding is [0], expected one number, or one for each of 2 axes",
        ),
        (
            declared(Variational::<_, bayeslift_layers::Local>::of(new().batch_shape([5]))),
            "convolution`: batch_shape is [5], expected []: a variational layer has several kernels by its samples",
        ),
        (
            declared(Variational::<_, bayeslift_layers::Flipout>::of(transposed().groups(5).name("up"))),
            "up`: groups is 5, expected a divisor of input_size, which is 4",
        ),
    ];
    for (found, want) in cases {
        assert_eq!(*found, format!("in layer `{want}"));
    }
}

#[test]
fn inputs_of_convolutions() {
    let new = || Convolution::new(4, 6, [3, 2]);
    let transposed = || ConvolutionTranspose::new(4, 6, [3, 2]);
    let local = || Variational::<_, bayeslift_layers::Local>::of(new());
    let f32 = |shape: &[usize]| Type::f32(shape);
    let cases: &[(String, &str)] = &[
        (
            called(new(), f32(&[2, 8, 8, 3])),
            "convolution`: the input has shape [2,8,8,3], expected [examples,..,height,width,4]",
        ),
        (
            called(local(), f32(&[8, 8, 4])),
            "convolution`: the input has shape [8,8,4], expected [examples,..,height,width,4]",
        ),
        (
            called(Convolution::new(4, 6, [2]), f32(&[8, 4])),
            "convolution`: the input has shape [8,4], expected [examples,..,length,4]",
        ),
        (
            called(Convolution::new(4, 6, 2).rank(3), f32(&[2, 8, 8, 4])),
            "convolution`: the input has shape [2,8,8,4], expected [examples,..,depth,height,width,4]",
        ),
        (called(new(), Type::u32([2, 8, 8, 4])), "convolution`: the input's element type is u32, expected f32"),
        (
            called(local(), f32(&[2, 2, 8, 4])),
            "convolution`: the input has shape [2,2,8,4], expected positions of [3,2] or more",
        ),
        (
            called(new().padding([(1, 0), (0, 0)]).dilations(2), f32(&[2, 3, 8, 4])),
            "convolution`: the input has shape [2,3,8,4], expected positions of [4,3] or more",
        ),
        (
            called(new().padding([(1 << 30, 0), (0, 1 << 30)]), f32(&[2, 3, 8, 4])),
            "convolution`: the padded input has shape [2,1073741827,1073741832,4], expected at most 2147483648 elements",
        ),
        (
            called(Convolution::new(1, 1, [1 << 15]), f32(&[1, 1 << 17, 1])),
            "convolution`: the array of windows has shape [1,98305,32768,1], expected at most 2147483648 elements",
        ),
        (
            called(new().batch_shape([5]), f32(&[2, 3, 8, 4])),
            "convolution`: the input has shape [2,3,8,4], expected axes before positions that broadcast with the batch shape [5]",
        ),
        (
            called(transposed(), f32(&[2, 8, 8, 6])),
            "convolution_transpose`: the input has shape [2,8,8,6], expected [examples,..,height,width,4]",
        ),
        (
            called(transposed().padding([(9, 9), (0, 0)]), f32(&[2, 8, 8, 4])),
            "convolution_transpose`: the input has shape [2,8,8,4], expected positions of which padding Explicit([(9, 9), (0, 0)]) leaves some",
        ),
        (
            called(transposed().strides(2_147_483_647), f32(&[2, 8, 8, 4])),
            "convolution_transpose`: the output before cutting has shape [2,17179869176,17179869176,6], expected at most 2147483648 elements",
        ),
    ];
    for (found, want) in cases {
        assert_eq!(*found, format!("in layer `{want}"));
    }
    let layer = local();
    let parameters = layer.initialize(0).unwrap();
    for (x, want) in [
        (
            f32(&[3, 2, 8, 8, 4]),
            "the input has shape [3,2,8,8,4], expected a first axis of 1 or 5, which counts samples",
        ),
        (f32(&[5, 8, 8, 4]), "the input has shape [5,8,8,4], expected [samples,examples,..,height,width,4]"),
    ] {
        assert_eq!(called_with(&layer, &parameters, x, Some(5)), format!("in layer `convolution`: {want}"));
    }
    let flat = |shape: &[usize]| Tensor::f32(shape, vec![0.0; shape.iter().product()]).unwrap();
    let shape = [3, 3, 2, 4].into();
    for wrong in [flat(&[4, 18]), flat(&[72]), flat(&[3, 3, 2, 4])] {
        let error = unflatten_kernel(&wrong, &shape).unwrap_err().to_string();
        assert_eq!(error, format!("the flattened kernel is {}, expected f32[18,4]", wrong.ty()));
    }
}
