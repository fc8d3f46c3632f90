//! The loops of the evaluator over row-major elements. Their orders of addition are frozen.

use super::{DOT_CHUNK, SUM_CHUNK, SUM_LANES, real::Real};
use crate::{Shape, Window};

/// `b > a ? b : a`.
#[inline]
pub(super) fn max<R: PartialOrd>(a: R, b: R) -> R {
    if b > a { b } else { a }
}

/// `[b.., m, k]` times `[b.., k, n]`, in the order that [`DOT_CHUNK`] defines.
pub(super) fn dot<R: Real>(a: &[R], b: &[R], a_shape: &Shape, b_shape: &Shape) -> Vec<R> {
    let (m, k, n) = (a_shape[a_shape.len() - 2], a_shape.last_extent(), b_shape.last_extent());
    let mut out = Vec::with_capacity(a.len() / k * n);
    let mut chunk = vec![R::from(0.0); n];
    for (a, b) in a.chunks_exact(m * k).zip(b.chunks_exact(k * n)) {
        for a_row in a.chunks_exact(k) {
            let start = out.len();
            for (a_chunk, b_chunk) in a_row.chunks(DOT_CHUNK).zip(b.chunks(DOT_CHUNK * n)) {
                chunk.fill(R::from(0.0));
                for (&a, b_row) in a_chunk.iter().zip(b_chunk.chunks_exact(n)) {
                    chunk.iter_mut().zip(b_row).for_each(|(sum, &b)| *sum = R::fma(a, b, *sum));
                }
                accumulate(&mut out, start, &chunk);
            }
        }
    }
    out
}

/// Sum of `f32` over `axis`, in the order that [`SUM_LANES`] defines for the last axis and [`SUM_CHUNK`] for others.
pub(super) fn sum<R: Real>(x: &[R], shape: &Shape, axis: usize) -> Vec<R> {
    let extent = shape[axis];
    if axis + 1 == shape.len() {
        return x.chunks_exact(extent).map(|row| lanes(row, R::from(0.0), |a, b| a + b)).collect();
    }
    let inner = shape[axis + 1..].iter().product::<usize>();
    let mut out = Vec::with_capacity(x.len() / extent);
    let mut chunk_sum = vec![R::from(0.0); inner];
    for block in x.chunks_exact(extent * inner) {
        let start = out.len();
        for chunk in block.chunks(SUM_CHUNK * inner) {
            chunk_sum.fill(R::from(0.0));
            for row in chunk.chunks_exact(inner) {
                chunk_sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum = *sum + x);
            }
            accumulate(&mut out, start, &chunk_sum);
        }
    }
    out
}

/// Maximum of `f32` over `axis`: by lanes over the last axis, in increasing order from -infinity over others.
pub(super) fn reduce_max<R: Real>(x: &[R], shape: &Shape, axis: usize) -> Vec<R> {
    let (extent, lowest) = (shape[axis], R::from(f32::NEG_INFINITY));
    if axis + 1 == shape.len() {
        return x.chunks_exact(extent).map(|row| lanes(row, lowest, max)).collect();
    }
    in_order(x, shape, axis, lowest, max)
}

/// The elements along `axis` combined in increasing order from `start`.
pub(super) fn in_order<R: Copy>(x: &[R], shape: &Shape, axis: usize, start: R, combine: impl Fn(R, R) -> R) -> Vec<R> {
    let (extent, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let mut out = vec![start; x.len() / extent];
    for (block, out) in x.chunks_exact(extent * inner).zip(out.chunks_exact_mut(inner)) {
        for row in block.chunks_exact(inner) {
            out.iter_mut().zip(row).for_each(|(out, &x)| *out = combine(*out, x));
        }
    }
    out
}

/// Appends the first chunk at `start`, adds later ones to it.
fn accumulate<R: Real>(out: &mut Vec<R>, start: usize, chunk: &[R]) {
    if out.len() == start {
        out.extend_from_slice(chunk);
    } else {
        out[start..].iter_mut().zip(chunk).for_each(|(total, &sum)| *total = *total + sum);
    }
}

/// Sixteen lanes from `start`, then the tree.
fn lanes<R: Copy>(row: &[R], start: R, combine: impl Fn(R, R) -> R) -> R {
    let mut lanes = [start; SUM_LANES];
    for chunk in row.chunks(SUM_LANES) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = combine(*lane, x));
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] = combine(lanes[j], lanes[j + half]);
        }
    }
    lanes[0]
}

/// Sums over the windows of an axis that each element is in, in the order that [`Op::Fold`](crate::Op::Fold) defines.
pub(super) fn fold<R: Real>(x: &[R], shape: &Shape, window: &Window, extent: usize) -> Vec<R> {
    let inner = shape[window.axis + 2..].iter().product::<usize>();
    let mut out = vec![R::from(0.0); x.len() / (window.size * window.count) * extent];
    for (block, out) in x.chunks_exact(window.size * window.count * inner).zip(out.chunks_exact_mut(extent * inner)) {
        for (index, row) in block.chunks_exact(inner).enumerate() {
            let element = window.element(index / window.count, index % window.count) as usize;
            out[element * inner..].iter_mut().zip(row).for_each(|(sum, &x)| *sum = *sum + x);
        }
    }
    out
}

/// For each axis of `to` how far apart its neighbours are in an operand of shape `from`: 0 where it is repeated.
pub(super) fn broadcast_strides(from: &Shape, to: &Shape) -> Vec<i64> {
    let mut strides = vec![0; to.len()];
    let added = to.len() - from.len();
    for (axis, (&extent, &stride)) in from.iter().zip(&from.strides()).enumerate() {
        if extent > 1 {
            strides[added + axis] = stride as i64;
        }
    }
    strides
}

/// The elements of a result of shape `shape` that reads its operand from `start` on with these strides.
pub(super) fn gather<T: Copy>(x: &[T], start: usize, shape: &Shape, strides: &[i64]) -> Vec<T> {
    fn walk<T: Copy>(x: &[T], offset: i64, shape: &[usize], strides: &[i64], out: &mut Vec<T>) {
        match (shape, strides) {
            ([extent], [stride]) => out.extend((0..*extent as i64).map(|i| x[(offset + i * stride) as usize])),
            ([extent, shape @ ..], [stride, strides @ ..]) => {
                (0..*extent as i64).for_each(|i| walk(x, offset + i * stride, shape, strides, out));
            }
            _ => out.push(x[offset as usize]),
        }
    }
    let mut out = Vec::with_capacity(shape.elements());
    walk(x, start as i64, shape, strides, &mut out);
    out
}
