//! Folds: cleared first, then every window adds its elements where it takes them from.

use super::Lowering;
use super::element::Points;
use super::noise::NOISE_BLOCK;
use crate::tile::{Abreast, Base, Class, Reg};
use bayeslift_ir::{DoubleLanes, Kind, Lanes, Value, Window};

/// How many vectors are added side by side.
const ABREAST: usize = 4;

impl Lowering<'_> {
    /// A kernel that folds `[outer.., size, count, inner..]` to `[outer.., extent, inner..]`. Returns the number of tiles: what
    /// windows share is in one.
    pub(super) fn fold(&mut self, value: Value) -> usize {
        let Kind::Fold { window, extent } = self.plan.graph.node(value).op.kind() else {
            unreachable!("{value} is a fold")
        };
        let operand = self.plan.graph.node(value).args[0];
        let shape = self.plan.graph.ty(operand).shape.clone();
        let outer: usize = shape[..window.axis].iter().product();
        let inner = &shape[window.axis + 2..];
        let (between, cols) = (inner.iter().rev().skip(1).product::<usize>(), shape.last_extent());
        let base = self.written(value);
        let row_of = if inner.is_empty() { 1 } else { between * cols };
        let (is_last, block) = (inner.is_empty(), extent * row_of);
        self.tiles(outer, 1, 1, |s, tile, _| {
            let block_start = s.b.index_scale(tile, block);
            let [none, all] = [0, block].map(|index| s.b.index(index));
            s.each_column([none, all], NOISE_BLOCK, block, ABREAST, |s, cols| {
                for &col in cols {
                    let index = s.b.index_add(block_start, col);
                    let class = s.class(value);
                    let zero = if class == Class::Double { s.b.dconstant(0.0) } else { s.b.constant(0.0) };
                    let address = s.element(base, class, index);
                    s.b.store(address, zero);
                }
            });
            let first = s.b.index_offset(block_start, (window.start * row_of) as i64);
            let [none, size, count] = [0, window.size, window.count].map(|index| s.b.index(index));
            s.repeat(none, size, 1, |s, j| {
                let to_j = s.b.index_scale_signed(j, window.dilation * row_of as i64);
                let at = s.b.index_add(first, to_j);
                let row = s.b.index_scale(tile, window.size);
                let row = s.b.index_add(row, j);
                if is_last {
                    return s.add_windows(operand, row, (base, at), window);
                }
                s.repeat(none, count, 1, |s, p| {
                    let to_p = s.b.index_scale_signed(p, window.step * row_of as i64);
                    let at = s.b.index_add(at, to_p);
                    let row = s.b.index_scale(row, window.count);
                    let row = s.b.index_add(row, p);
                    let row = s.b.index_scale(row, between);
                    let end = s.b.index(between);
                    s.repeat(none, end, 1, |s, i| {
                        let to_row = s.b.index_scale(i, cols);
                        let (at, row) = (s.b.index_add(at, to_row), s.b.index_add(row, i));
                        s.add_row(operand, row, (base, at), cols);
                    });
                });
            });
        })
    }

    /// Adds a row of the operand to the elements from `at` on.
    fn add_row(&mut self, operand: Value, row: Reg, at: (Base, Reg), cols: usize) {
        let row = self.enter_row(row, None);
        let (start, end) = (self.b.index(0), self.b.index(cols));
        self.each_column([start, end], NOISE_BLOCK, cols, ABREAST, |s, cols| match *cols {
            [a, b, c, d] => {
                let x = s.eval(operand, &row, &mut Points::new([a, b, c, d]));
                s.add_to(at, [a, b, c, d], x);
            }
            _ => cols.iter().for_each(|&col| {
                let x = s.eval(operand, &row, &mut Points::new([col]));
                s.add_to(at, [col], x);
            }),
        });
    }

    /// As [`Lowering::add_row`], where the row's columns are windows: each is a step after the one before.
    fn add_windows(&mut self, operand: Value, row: Reg, at: (Base, Reg), window: Window) {
        if window.step == 1 {
            return self.add_row(operand, row, at, window.count);
        }
        let row = self.enter_row(row, None);
        let (start, end) = (self.b.index(0), self.b.index(window.count));
        self.repeat(start, end, 1, |s, p| {
            let to_p = s.b.index_scale_signed(p, window.step);
            s.lanes(1, |s| {
                let x = s.eval(operand, &row, &mut Points::new([p]));
                s.add_to(at, [to_p], x);
            });
        });
    }

    fn add_to<const N: usize>(&mut self, (base, at): (Base, Reg), offsets: [Reg; N], x: [Reg; N]) {
        let class = self.b.ty(x[0]).class;
        let addresses = offsets.map(|offset| {
            let index = self.b.index_add(at, offset);
            self.element(base, class, index)
        });
        let sums = addresses.map(|address| self.b.load(class, address));
        let b = &mut Abreast(&mut self.b);
        let sums = if class == Class::Double { b.dadd(sums, x) } else { b.add(sums, x) };
        addresses.into_iter().zip(sums).for_each(|(address, sum)| self.b.store(address, sum));
    }
}
