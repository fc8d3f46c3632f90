//! Products with operands that are packed once for all tiles, and with rows that are no multiple of a register tile's.

use crate::common::{check, some_inputs};
use bayeslift_codegen::{Target, lower};
use bayeslift_ir::{Builder, DType, Graph, Shape, Type};
use bayeslift_passes::Plan;
use bayeslift_runtime::Options;

/// The layouts of an operand: as it is, transposed, and squared.
const LAYOUTS: usize = 3;

/// `batches` products of `m` by `k` by `n`, of which all have the same right operand, and one more product of the same
/// left one; both in one expression.
fn products(dtype: DType, [batches, m, k, n]: [usize; 4], layout: usize, second_depth: usize) -> Graph {
    let b = Builder::new();
    let operand = |name: &str, shape: &[usize], layout: usize| {
        let rank = shape.len();
        let mut stored = shape.to_vec();
        if layout % LAYOUTS == 1 {
            stored.swap(rank - 1, rank - 2);
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        if layout % LAYOUTS == 1 {
            axes.swap(rank - 1, rank - 2);
        }
        let x = b.input(name, Type::new(dtype, Shape::new(&stored))).transpose(&axes);
        if layout % LAYOUTS == 2 { x * x } else { x }
    };
    let left = operand("left", &[batches, m, k], layout);
    let right = operand("right", &[k, n], layout / LAYOUTS).broadcast(&Shape::new(&[batches, k, n]));
    let first = left.dot(right);
    let left = operand("another left", &[batches, m, second_depth], layout + 1);
    let right = operand("another right", &[batches, second_depth, n], layout / LAYOUTS + 1);
    let bias = b.input("bias", Type::new(dtype, [n]));
    b.output("y", (first + left.dot(right) * 0.5 + bias).max(0.0));
    b.finish().unwrap()
}

fn is_shared(graph: &Graph, threads: usize) -> bool {
    let plan = Plan::new(graph.clone()).unwrap();
    let target = Target::named("zen3").expect("a row of the table");
    plan.kernels.iter().any(|kernel| lower(&plan, kernel, target, threads).len() > 1)
}

#[test]
fn products_with_shared_operands() {
    let shapes = [
        [1, 451, 70, 90],
        [1, 1000, 33, 64],
        [3, 200, 300, 49],
        [7, 65, 259, 31],
        [1, 40, 130, 1500],
        [5, 129, 17, 600],
        [1, 2000, 513, 10],
    ];
    let mut shared = [0; 2];
    for (i, shape) in shapes.into_iter().enumerate() {
        for layout in 0..LAYOUTS * LAYOUTS {
            for (dtype, shared) in [DType::F32, DType::F64].into_iter().zip(&mut shared) {
                let graph = products(dtype, shape, layout, [shape[2], 20, 257][(i + layout) % 3]);
                let inputs = some_inputs(&graph);
                let threads = 1 + (i + layout) % 3;
                *shared += usize::from(is_shared(&graph, threads));
                let widths = [16, 8, 4, 1];
                for width in [16, widths[(i + layout) % 4]] {
                    check(&graph, &inputs, &Options::default().lanes(width).threads(threads).finest(true)).unwrap();
                }
            }
        }
    }
    assert!(shared.iter().all(|&shared| shared >= 30), "{shared:?} graphs share something");
}

/// Every number of rows around register tiles, in every layout: read in place, packed by rows and in strips.
#[test]
fn any_number_of_rows() {
    for m in 1..=40 {
        for (layout, dtype) in (0..LAYOUTS).flat_map(|layout| [(layout, DType::F32), (layout, DType::F64)]) {
            let graph = products(dtype, [1, m, 300, 33], layout, 5);
            let inputs = some_inputs(&graph);
            for width in [16, 8, 4] {
                check(&graph, &inputs, &Options::default().lanes(width).threads(1)).unwrap();
            }
        }
    }
}
