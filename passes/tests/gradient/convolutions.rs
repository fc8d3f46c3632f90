//! Convolutions, and other products with windows on an image.

use super::{SIGNED, check, gradients};
use bayeslift_ir::{Builder, Convolution, Elements, Op, Shape, Sliding, Type, Window, evaluate_f64, windows_as_rows};

/// Convolutions of every kind; the adjoint of an image is a product with windows, so that nothing but padding is
/// folded.
#[test]
fn convolutions() {
    let axis = |size, step, dilation, before, after| Sliding { size, step, dilation, before, after };
    let cases: [(&[Sliding], usize, &[usize], usize); 7] = [
        (&[axis(3, 1, 1, 0, 0)], 1, &[2, 6, 2], 3),
        (&[axis(3, 2, 1, 1, 1)], 1, &[2, 6, 2], 3),
        (&[axis(2, 3, 1, 0, 0)], 2, &[2, 9, 4], 2),
        (&[axis(3, 1, 2, 2, 2)], 1, &[1, 6, 2], 2),
        (&[axis(2, 2, 2, 1, 0)], 1, &[2, 7, 1], 2),
        (&[axis(3, 2, 1, 1, 0), axis(2, 1, 2, 0, 1)], 2, &[2, 5, 4, 2], 2),
        (&[axis(2, 1, 1, 0, 0), axis(1, 1, 1, 0, 0), axis(2, 2, 1, 1, 1)], 1, &[1, 3, 2, 4, 1], 2),
    ];
    for (axes, groups, image, outputs) in cases {
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.size).collect();
        let kernel = [&sizes[..], &[image[image.len() - 1] / groups, outputs]].concat();
        let convolution = Convolution { axes: axes.iter().copied().collect(), groups };
        check(&[(image, SIGNED), (&kernel, SIGNED)], |b, x| {
            let y = convolution.apply(x[0], x[1]);
            gradients(y.square().sum_all(), &[x[0], x[1]]);
            let folded =
                b.graph().nodes().iter().filter(|node| matches!(node.op, Op::Fold(w, _) if w.size > 1)).count();
            assert_eq!(folded, 0, "{convolution:?}");
            // the square of windows on a square, as in the variance of a local layer
            y.square() + convolution.apply(x[0].square(), x[1].square())
        });
        let extents = &image[1..image.len() - 1];
        let channels = image[image.len() - 1];
        let turned = [&sizes[..], &[outputs / groups, channels]].concat();
        let positions = axes.iter().zip(extents).map(|(axis, &extent)| axis.windows(extent).unwrap());
        let small: Vec<usize> = [image[0]].into_iter().chain(positions).chain([outputs]).collect();
        check(&[(&small, SIGNED), (&turned, SIGNED)], |_, x| convolution.apply_transpose(x[0], x[1], extents));
    }
    // a kernel for each of two images
    let convolution = Convolution { axes: [axis(2, 1, 1, 0, 0)].into_iter().collect(), groups: 1 };
    check(&[(&[2, 1, 4, 2], SIGNED), (&[2, 2, 2, 3], SIGNED)], |_, x| convolution.apply(x[0], x[1]));
    check(&[(&[1, 4, 2], SIGNED), (&[2, 2, 2, 3], SIGNED)], |_, x| {
        convolution.apply(x[0].broadcast(&[2, 1, 4, 2].into()), x[1])
    });
}

/// What lies between an image and the rows of its windows has a gradient of its own, alone and beside the image's.
#[test]
fn windows_that_are_parameters() {
    let axis = Sliding { size: 3, step: 2, dilation: 1, before: 1, after: 1 };
    let b = Builder::new();
    let (image, kernel) = (b.input("image", Type::f32([1, 2, 6, 1, 2])), b.input("kernel", Type::f32([6, 3])));
    let rows = windows_as_rows(image, &[axis]);
    let loss = rows.dot(kernel).square().sum_all();
    let mut chain = vec![rows];
    while let Some(behind) = chain.last().and_then(|x| b.graph().node(x.value()).args.first().copied()) {
        chain.push(b.expr(behind));
    }
    for (i, (&x, together)) in chain.iter().zip(gradients(loss, &chain)).enumerate() {
        b.output(&format!("alone {i}"), gradients(loss, &[x])[0]);
        b.output(&format!("together {i}"), together);
    }
    let some = |n: usize| Elements::Floats((0..n).map(|i| (i as f64).sin()).collect());
    let outputs = evaluate_f64(&b.finish().unwrap(), &[some(24), some(18)]).unwrap();
    for (i, pair) in outputs.chunks(2).enumerate() {
        let [alone, together] = [&pair[0], &pair[1]].map(|gradient| gradient.floats().unwrap());
        assert!(alone.iter().zip(together).all(|(a, b)| (a - b).abs() < 1e-12), "{i}");
        assert!(alone.iter().any(|&x| x != 0.0), "{i}");
    }
}

/// Products with windows that are those of no convolution, which has none as large.
#[test]
fn windows_unlike_those_of_convolutions() {
    for (shape, window) in [
        (&[1, 1, 1 << 17, 1, 1], Window { axis: 2, start: 0, size: 1 << 15, dilation: 1, count: 1, step: 1 }),
        (&[8, 1, 2, 1, 3], Window { axis: 0, start: 0, size: 3, dilation: 1, count: 6, step: 1 }),
        (&[1, 8, 2, 1, 3], Window { axis: 1, start: 0, size: 3, dilation: 1, count: 6, step: 1 }),
    ] {
        let b = Builder::new();
        let x = b.input("x", Type::f32(&shape[..]));
        let turned = x.window(window).transpose(&[0, 4, 1, 3, 2, 5]);
        let depth = turned.shape()[4..].iter().product();
        let rows = turned.reshape([turned.shape().elements() / depth, depth]);
        let loss = rows.dot(b.constant(1.0).broadcast(&Shape::new(&[depth, 1]))).sum_all();
        b.output("gradient", gradients(loss, &[x])[0]);
        assert!(b.finish().is_ok(), "{window:?}");
    }
}
