//! The loops of the evaluator over rows that have numbers.

use super::{DOT_CHUNK, real::Real};
use crate::Shape;
use std::collections::HashMap;

/// The number that an `f32` is, if it is whole and from 0 to 2^24, else `u32::MAX`.
pub(super) fn number(x: f64) -> u32 {
    let most = f64::from(1_u32 << f32::MANTISSA_DIGITS);
    if x.fract() == 0.0 && (0.0..=most).contains(&x) { x as u32 } else { u32::MAX }
}

/// `[b.., rows, width]` at `n` numbers for each of `b`.
pub(super) fn gather<R: Real>(table: &[R], numbers: &[u32], shape: &Shape, n: usize) -> Vec<R> {
    let (rows, width) = (shape[shape.len() - 2], shape.last_extent());
    let mut out = vec![R::from(0.0); numbers.len() * width];
    for (i, (out, &number)) in out.chunks_exact_mut(width).zip(numbers).enumerate() {
        if (number as usize) < rows {
            out.copy_from_slice(&table[(i / n * rows + number as usize) * width..][..width]);
        }
    }
    out
}

/// `[b.., n, width]` added up by numbers, in the order that [`Op::ScatterAdd`](crate::Op::ScatterAdd) defines.
pub(super) fn scatter_add<R: Real>(x: &[R], numbers: &[u32], shape: &Shape, rows: usize) -> Vec<R> {
    let (n, width) = (shape[shape.len() - 2], shape.last_extent());
    let mut out = Vec::with_capacity(x.len() / (n * width) * rows * width);
    for (x, numbers) in x.chunks_exact(n * width).zip(numbers.chunks_exact(n)) {
        let start = out.len();
        out.resize(start + rows * width, R::from(0.0));
        for (x, numbers) in x.chunks(DOT_CHUNK * width).zip(numbers.chunks(DOT_CHUNK)) {
            // each is added to a row of its own, so their order is no matter
            let mut sums: HashMap<u32, Vec<R>> = HashMap::new();
            for (x, &number) in x.chunks_exact(width).zip(numbers).filter(|(_, number)| (**number as usize) < rows) {
                let sum = sums.entry(number).or_insert_with(|| vec![R::from(0.0); width]);
                sum.iter_mut().zip(x).for_each(|(sum, &x)| *sum = *sum + x);
            }
            for (number, sum) in sums {
                let total = &mut out[start + number as usize * width..][..width];
                total.iter_mut().zip(sum).for_each(|(total, sum)| *total = *total + sum);
            }
        }
    }
    out
}

/// The table with rows replaced by the first that has their number.
pub(super) fn scatter_rows<R: Real>(table: &[R], numbers: &[u32], x: &[R], width: usize) -> Vec<R> {
    let mut out = table.to_vec();
    for (x, &number) in x.chunks_exact(width).zip(numbers).rev() {
        if let Some(row) = out.chunks_exact_mut(width).nth(number as usize) {
            row.copy_from_slice(x);
        }
    }
    out
}

/// For each number below `rows` the first position of its like, for others their own.
pub(super) fn first_equal(numbers: &[u32], rows: usize) -> Vec<u32> {
    let mut first: HashMap<u32, u32> = HashMap::new();
    let position = |(i, &number): (u32, &u32)| match (number as usize) < rows {
        true => *first.entry(number).or_insert(i),
        false => i,
    };
    (0..).zip(numbers).map(position).collect()
}
