//! Random contractions of windows, larger than random graphs have them: runs that chunks cut, rows that tiles cut, and
//! windows in any direction and order.

use bayeslift_ir::{Builder, DType, Expr, Graph, Shape, Type, Window};

/// A small generator of choices.
pub struct Choices(pub u64);

impl Choices {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
    /// One of some.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Windows on an axis of this extent.
fn window(choices: &mut Choices, axis: usize, extent: usize) -> Window {
    let size = choices.of(&[1, 2, 3, 4, 7, 40]).min(extent);
    let dilation = choices.of(&[1, 1, 1, 2, -1, 3, 0]);
    let reach = |n: usize, by: i64| (n - 1) * by.unsigned_abs() as usize;
    let (size, dilation) = if reach(size, dilation) < extent { (size, dilation) } else { (size, 1) };
    let within = reach(size, dilation);
    let step: i64 = choices.of(&[1, 1, 1, 2, -1, 3, 4, -2]);
    let count = (extent - 1 - within) / step.unsigned_abs() as usize + 1;
    let along = reach(count, step);
    let start = if dilation < 0 { within } else { 0 } + if step < 0 { along } else { 0 };
    Window { axis, start: start + choices.below(extent - within - along), size, dilation, count, step }
}

/// A value, or what contractions compute while they pack it.
fn image<'b>(choices: &mut Choices, x: Expr<'b>) -> Expr<'b> {
    let b = x.builder();
    match choices.below(6) {
        0 => x.square(),
        1 => x * b.input("row", Type::new(x.dtype(), [x.shape().last_extent()])),
        2 => x.max(0.0),
        3 => -x,
        _ => x,
    }
}

/// A random order of `rank` axes.
fn order(choices: &mut Choices, rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    (1..rank).rev().for_each(|i| order.swap(i, choices.below(i + 1)));
    order
}

/// Windows of an image as a matrix, or as some.
fn matrix<'b>(choices: &mut Choices, b: &'b Builder) -> Option<Expr<'b>> {
    let rank = 2 + choices.below(3);
    let shape: Shape = (0..rank).map(|_| choices.of(&[1, 2, 3, 4, 5, 8, 12, 16, 17, 31, 64, 300])).collect();
    if shape.elements() > 60_000 {
        return None;
    }
    let dtype = choices.of(&[DType::F32, DType::F32, DType::F64]);
    let mut x = image(choices, b.input("x", Type::new(dtype, &shape[..])));
    for _ in 0..1 + choices.below(2) {
        let axis = choices.below(x.shape().len());
        x = x.window(window(choices, axis, x.shape()[axis]));
        if x.shape().elements() > 60_000 {
            return None;
        }
    }
    if choices.below(4) > 0 {
        x = x.transpose(&order(choices, x.shape().len()));
    }
    let shape = x.shape();
    let cut = 1 + choices.below(shape.len() - 1);
    let first = if choices.below(3) == 0 { choices.below(cut) } else { 0 };
    let product = |axes: &[usize]| axes.iter().product::<usize>();
    let [batch, rows, cols] = [product(&shape[..first]), product(&shape[first..cut]), product(&shape[cut..])];
    x = x.reshape(if first > 0 { vec![batch, rows, cols] } else { vec![rows, cols] }.as_slice());
    Some(if choices.below(2) == 0 { x } else { x.matrix_transpose() })
}

/// A contraction of windows; `None` where that is too large.
pub fn contraction_of_windows(choices: &mut Choices) -> Option<Graph> {
    let b = Builder::new();
    let x = matrix(choices, &b)?;
    let (shape, n) = (x.shape(), choices.of(&[1, 2, 5, 8, 17, 24, 33, 64, 100]));
    let [rows, cols] = shape[shape.len() - 2..] else { return None };
    let batch = &shape[..shape.len() - 2];
    if shape.elements() * n > 3_000_000 {
        return None;
    }
    let other = |shape: [usize; 2]| b.input("other", Type::new(x.dtype(), [batch, &shape].concat().as_slice()));
    let y = match choices.below(8) {
        0 => other([n, rows]).dot(x),
        1 if rows == cols => x.dot(x),
        1 if rows * rows * cols < 3_000_000 => x.dot(x.matrix_transpose()),
        _ => x.dot(other([cols, n])),
    };
    b.output("y", y);
    b.output("z", y.sin());
    b.finish().ok()
}
