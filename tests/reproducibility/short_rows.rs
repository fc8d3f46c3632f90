//! Reductions of short rows, whose lanes are in registers, and of rows around what is short.

use crate::common::{check, some_inputs};
use bayeslift_ir::{Builder, DType, Graph, Noise, NoiseAddress, NoiseDistribution, Shape, Tensor, Type};
use bayeslift_runtime::Options;

/// The sum and the maximum of each row of something that takes several operations, with noise or without.
fn reductions(rows: usize, cols: usize, is_noisy: bool) -> Graph {
    let b = Builder::new();
    let (x, y) = (b.input("x", Type::f32([rows, cols])), b.input("y", Type::f32([rows, cols])));
    let mut z = ((x * y + 0.5).sin() * x).softplus() - y * y;
    if is_noisy {
        let key = b.input("key", Type::u32([4]));
        let first_row = b.input("first_row", Type::u32([2]));
        let address = NoiseAddress { key, first_sample: b.constant_u32(3), first_row };
        let noise = Noise {
            distribution: NoiseDistribution::Normal,
            dtype: DType::F32,
            stream: 5,
            sample_axis: None,
            example_axis: Some(0),
            shape: Shape::new(&[rows, cols]),
        };
        z = z * b.noise(noise, address) + x;
    }
    b.output("sum", z.sum(1));
    b.output("max", (z * 2.0 - y).reduce_max(1));
    b.output("z", z);
    b.finish().unwrap()
}

#[test]
fn reductions_of_short_rows() {
    for cols in [1, 2, 5, 8, 9, 10, 15, 16, 17, 24, 31, 32, 33, 48] {
        for (rows, is_noisy) in [(1, false), (5, false), (5, true), (8, true)] {
            let graph = reductions(rows, cols, is_noisy);
            let mut inputs = some_inputs(&graph);
            if is_noisy {
                inputs[3] = Tensor::u32([2], [u32::MAX - 2, 0]).unwrap();
            }
            for width in [1, 4, 8, 16] {
                let options = Options::default().lanes(width).threads(1);
                check(&graph, &inputs, &options).unwrap();
            }
        }
    }
}
