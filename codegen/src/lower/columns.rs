//! Reductions over an axis that is not the last: columns side by side, rows in order.

use super::Lowering;
use super::element::Points;
use super::in_order;
use super::sums::{identity, step};
use crate::tile::{Abreast, Base, Class, Reg};
use bayeslift_ir::{DoubleLanes, Kind, Lanes, Reduction, SUM_CHUNK, Value};

/// How many columns a tile has.
const TILE_COLUMNS: usize = 64;

/// How many vectors of columns are reduced side by side: each is a chain of sums.
const ABREAST: usize = 4;

/// A column to reduce: `extent` elements of `operand`, `stride` rows apart from row `first` on.
#[derive(Clone, Copy)]
struct Column {
    operand: Value,
    function: Reduction,
    first: Reg,
    stride: usize,
    extent: usize,
}

impl Lowering<'_> {
    /// A kernel that reduces an outer axis. Returns the number of tiles.
    pub(super) fn column_reduction(&mut self, reduction: Value) -> usize {
        let node = self.plan.graph.node(reduction);
        let Kind::Reduction { function, axis } = node.op.kind() else { unreachable!("{reduction} is a reduction") };
        let shape = self.plan.graph.ty(node.args[0]).shape.clone();
        let extent = shape[axis];
        let between: usize = shape[axis + 1..shape.len() - 1].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let cols = self.kernel.cols;
        let base = self.written(reduction);

        let blocks = cols.div_ceil(TILE_COLUMNS);
        self.tiles(outer * between * blocks, 1, 1, |s, tile, _| {
            let result_row = s.b.index_div(tile, blocks);
            let block = s.b.index_rem(tile, blocks);
            let start = s.b.index_scale(block, TILE_COLUMNS);
            let end = s.b.index_offset(start, TILE_COLUMNS as i64);
            let limit = s.b.index(cols);
            let end = s.b.index_min(end, limit);
            let first = {
                let outer = s.b.index_div(result_row, between);
                let outer = s.b.index_scale(outer, extent * between);
                let inner = s.b.index_rem(result_row, between);
                s.b.index_add(outer, inner)
            };
            let column = Column { operand: node.args[0], function, first, stride: between, extent };
            let offset = s.b.index_scale(result_row, cols);
            s.each_column([start, end], TILE_COLUMNS, cols, ABREAST, |s, cols| match *cols {
                [a, b, c, d] => s.reduce(column, [a, b, c, d], base, offset),
                _ => cols.iter().for_each(|&col| s.reduce(column, [col], base, offset)),
            });
        })
    }

    /// Reduces some columns, or vectors of them, and stores the results in the row that begins at `offset`.
    fn reduce<const N: usize>(&mut self, column: Column, cols: [Reg; N], base: Base, offset: Reg) {
        for (col, total) in cols.into_iter().zip(self.reduce_columns(column, cols)) {
            let index = self.b.index_add(offset, col);
            let address = self.element(base, self.b.ty(total).class, index);
            self.b.store(address, total);
        }
    }

    fn reduce_columns<const N: usize>(&mut self, column: Column, cols: [Reg; N]) -> [Reg; N] {
        let (zero, end) = (self.b.index(0), self.b.index(column.extent));
        let of = |state: &[Reg]| <[Reg; N]>::try_from(state).expect("as many as columns");
        let is_double = self.class(column.operand) == Class::Double;
        let add = |s: &mut Self, i: Reg, sum: &[Reg]| {
            let row = s.b.index_scale(i, column.stride);
            let row = s.b.index_add(column.first, row);
            let row = s.enter_row(row, None);
            let x = s.eval(column.operand, &row, &mut Points::new(cols));
            let b = &mut Abreast(&mut s.b);
            match is_double {
                true => in_order::step(column.function, b, of(sum), x).to_vec(),
                false => step(column.function, b, of(sum), x).to_vec(),
            }
        };
        if is_double {
            let none = [self.b.dconstant(in_order::identity(column.function)); N];
            return of(&self.repeat_carrying(zero, end, 1, &none, add));
        }
        let none = [self.b.constant(identity(column.function)); N];
        match column.function {
            Reduction::Max => of(&self.repeat_carrying(zero, end, 1, &none, add)),
            Reduction::Sum => of(&self.repeat_carrying(zero, end, SUM_CHUNK as i64, &none, |s, chunk, total| {
                let chunk_end = s.b.index_offset(chunk, SUM_CHUNK as i64);
                let chunk_end = s.b.index_min(chunk_end, end);
                let sum = s.repeat_carrying(chunk, chunk_end, 1, &none, add);
                Abreast(&mut s.b).add(of(total), of(&sum)).to_vec()
            })),
        }
    }
}
