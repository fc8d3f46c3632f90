//! Steps that train convolutions, of sizes around those of vectors, tiles and chunks.

use crate::common::check_everywhere;
use bayeslift_ir::{Builder, Convolution, Graph, Sliding, Type};
use bayeslift_passes::gradients;

/// A convolution of an image that is itself computed, its mean and its variance, and a step down the gradients of all
/// that they are made of.
fn step(axes: &[Sliding], groups: usize, image: &[usize], outputs: usize) -> Graph {
    let b = Builder::new();
    let sizes: Vec<usize> = axes.iter().map(|axis| axis.size).collect();
    let kernel = [&sizes[..], &[image[image.len() - 1] / groups, outputs]].concat();
    let convolution = Convolution { axes: axes.iter().copied().collect(), groups };
    let (x, mean) = (b.input("x", Type::f32(image)), b.input("mean", Type::f32(kernel.as_slice())));
    let scale = b.input("scale", Type::f32(kernel.as_slice()));
    let h = x.sin();
    let y = convolution.apply(h, mean).max(convolution.apply(h.square(), scale.square()).sqrt());
    b.output("y", y);
    let parameters = [x, mean, scale];
    for (name, (parameter, gradient)) in
        ["new x", "new mean", "new scale"].iter().zip(parameters.iter().zip(gradients(y.sum_all(), &parameters)))
    {
        b.output_updating(name, *parameter - gradient * 0.01, *parameter);
    }
    b.finish().unwrap()
}

fn axis(size: usize, step: usize, dilation: usize, before: usize, after: usize) -> Sliding {
    Sliding { size, step, dilation, before, after }
}

#[test]
fn steps_that_train_convolutions() {
    let cases: [(&[Sliding], usize, &[usize], usize); 8] = [
        (&[axis(7, 2, 1, 2, 3); 2], 1, &[2, 28, 28, 1], 8),
        (&[axis(3, 1, 1, 1, 1); 2], 1, &[2, 9, 7, 32], 33),
        (&[axis(3, 2, 1, 0, 1); 2], 1, &[3, 8, 11, 36], 17),
        (&[axis(3, 1, 2, 2, 2); 2], 2, &[1, 9, 8, 6], 10),
        (&[axis(5, 1, 1, 4, 0)], 1, &[4, 40, 3], 16),
        (&[axis(100, 3, 1, 0, 0)], 1, &[2, 130, 5], 3),
        (&[axis(2, 1, 1, 0, 0), axis(3, 2, 1, 1, 1), axis(2, 1, 1, 0, 0)], 1, &[2, 4, 6, 5, 7], 9),
        (&[axis(3, 2, 2, 1, 1)], 4, &[2, 21, 8], 4),
    ];
    for (axes, groups, image, outputs) in cases {
        check_everywhere(&step(axes, groups, image, outputs));
    }
}
