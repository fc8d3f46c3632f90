//! Folds: cleared first, then every window adds its elements where it takes them from.

use super::code::Code;
use super::noise::RowKeys;
use super::pointwise::{Points, Pointwise};
use super::shape::{INTERLEAVED, NOISE_BLOCK};
use crate::tile::{Base, Class, Interleaved, Reg};
use bayeslift_ir::{DoubleLanes, Kind, Lanes, Value, Window};

impl Pointwise<'_> {
    /// A kernel that folds `[outer.., size, count, inner..]` to `[outer.., extent, inner..]`. Returns the number of
    /// tiles: what windows share is in one.
    pub fn fold(&self, code: &mut Code<'_>, value: Value) -> usize {
        let Kind::Fold { window, extent } = self.context.plan.graph.node(value).op.kind() else {
            unreachable!("{value} is a fold")
        };
        let operand = self.context.operand(value);
        let shape = self.context.plan.graph.ty(operand).shape.clone();
        let outer: usize = shape[..window.axis].iter().product();
        let inner = &shape[window.axis + 2..];
        let (between, cols) = (inner.iter().rev().skip(1).product::<usize>(), shape.last_extent());
        let base = code.written(value);
        let row_of = if inner.is_empty() { 1 } else { between * cols };
        let (is_last, block) = (inner.is_empty(), extent * row_of);
        code.tiles(outer, 1, 1, |code, tile, _| {
            let block_start = code.b.index_scale(tile, block);
            code.clear_elements(base, block_start, block);
            let first = code.b.index_offset(block_start, (window.start * row_of) as i64);
            let [none, size, count] = [0, window.size, window.count].map(|index| code.b.index(index));
            code.repeat(none, size, 1, |code, j| {
                let to_j = code.b.index_scale_signed(j, window.dilation * row_of as i64);
                let at = code.b.index_add(first, to_j);
                let row = code.b.index_scale(tile, window.size);
                let row = code.b.index_add(row, j);
                if is_last {
                    return self.add_windows(code, operand, row, (base, at), window);
                }
                code.repeat(none, count, 1, |code, p| {
                    let to_p = code.b.index_scale_signed(p, window.step * row_of as i64);
                    let at = code.b.index_add(at, to_p);
                    let row = code.b.index_scale(row, window.count);
                    let row = code.b.index_add(row, p);
                    let row = code.b.index_scale(row, between);
                    let end = code.b.index(between);
                    code.repeat(none, end, 1, |code, i| {
                        let to_row = code.b.index_scale(i, cols);
                        let (at, row) = (code.b.index_add(at, to_row), code.b.index_add(row, i));
                        self.add_row(code, operand, row, (base, at), cols);
                    });
                });
            });
        })
    }

    /// Adds a row of the operand to the elements from `at` on.
    fn add_row(&self, code: &mut Code<'_>, operand: Value, row: Reg, at: (Base, Reg), cols: usize) {
        let row = self.enter_row(code, row, &RowKeys::none());
        let (start, end) = (code.b.index(0), code.b.index(cols));
        code.each_column([start, end], NOISE_BLOCK, cols, INTERLEAVED, |code, cols| match *cols {
            [a, b, c, d] => {
                let x = self.eval(code, operand, &row, &mut Points::new([a, b, c, d]));
                add_to(code, at, [a, b, c, d], x);
            }
            _ => cols.iter().for_each(|&col| {
                let x = self.eval(code, operand, &row, &mut Points::new([col]));
                add_to(code, at, [col], x);
            }),
        });
    }

    /// As [`Pointwise::add_row`], where the row's columns are windows: each is a step after the one before.
    fn add_windows(&self, code: &mut Code<'_>, operand: Value, row: Reg, at: (Base, Reg), window: Window) {
        if window.step == 1 {
            return self.add_row(code, operand, row, at, window.count);
        }
        let row = self.enter_row(code, row, &RowKeys::none());
        let (start, end) = (code.b.index(0), code.b.index(window.count));
        code.repeat(start, end, 1, |code, p| {
            let to_p = code.b.index_scale_signed(p, window.step);
            code.lanes(1, |code| {
                let x = self.eval(code, operand, &row, &mut Points::new([p]));
                add_to(code, at, [to_p], x);
            });
        });
    }
}

fn add_to<const N: usize>(code: &mut Code<'_>, (base, at): (Base, Reg), offsets: [Reg; N], x: [Reg; N]) {
    let class = code.b.ty(x[0]).class;
    let addresses = offsets.map(|offset| {
        let index = code.b.index_add(at, offset);
        code.element(class, base, index, 0)
    });
    let sums = addresses.map(|address| code.b.load(class, address));
    let b = &mut Interleaved(&mut code.b);
    let sums = if class == Class::Double { b.dadd(sums, x) } else { b.add(sums, x) };
    addresses.into_iter().zip(sums).for_each(|(address, sum)| code.b.store(address, sum));
}
