//! Reductions over an axis that is not the last: columns side by side, rows in order.

use super::code::Code;
use super::in_order;
use super::noise::RowKeys;
use super::pointwise::{Points, Pointwise};
use super::shape::INTERLEAVED;
use super::sums::{identity, step};
use crate::tile::{Base, Class, Interleaved, Reg};
use bayeslift_ir::{DoubleLanes, Kind, Lanes, Reduction, SUM_CHUNK, Value};

/// How many columns a tile has.
const TILE_COLUMNS: usize = 64;

/// A column to reduce: `extent` elements of `operand`, `stride` rows apart from row `first` on.
#[derive(Clone, Copy)]
struct Column {
    operand: Value,
    function: Reduction,
    first: Reg,
    stride: usize,
    extent: usize,
}

impl Pointwise<'_> {
    /// A kernel that reduces an outer axis. Returns the number of tiles.
    pub fn column_reduction(&self, code: &mut Code<'_>, reduction: Value) -> usize {
        let node = self.context.plan.graph.node(reduction);
        let Kind::Reduction { function, axis } = node.op.kind() else { unreachable!("{reduction} is a reduction") };
        let shape = self.context.plan.graph.ty(node.args[0]).shape.clone();
        let extent = shape[axis];
        let between: usize = shape[axis + 1..shape.len() - 1].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let cols = self.context.kernel.cols;
        let base = code.written(reduction);

        let blocks = cols.div_ceil(TILE_COLUMNS);
        code.tiles(outer * between * blocks, 1, 1, |code, tile, _| {
            let result_row = code.b.index_div(tile, blocks);
            let block = code.b.index_rem(tile, blocks);
            let start = code.b.index_scale(block, TILE_COLUMNS);
            let end = code.b.index_offset(start, TILE_COLUMNS as i64);
            let limit = code.b.index(cols);
            let end = code.b.index_min(end, limit);
            let first = {
                let outer = code.b.index_div(result_row, between);
                let outer = code.b.index_scale(outer, extent * between);
                let inner = code.b.index_rem(result_row, between);
                code.b.index_add(outer, inner)
            };
            let column = Column { operand: node.args[0], function, first, stride: between, extent };
            let offset = code.b.index_scale(result_row, cols);
            code.each_column([start, end], TILE_COLUMNS, cols, INTERLEAVED, |code, cols| match *cols {
                [a, b, c, d] => self.reduce(code, column, [a, b, c, d], base, offset),
                _ => cols.iter().for_each(|&col| self.reduce(code, column, [col], base, offset)),
            });
        })
    }

    /// Reduces some columns, or vectors of them, and stores the results in the row that begins at `offset`.
    fn reduce<const N: usize>(&self, code: &mut Code<'_>, column: Column, cols: [Reg; N], base: Base, offset: Reg) {
        for (col, total) in cols.into_iter().zip(self.reduce_columns(code, column, cols)) {
            let index = code.b.index_add(offset, col);
            let address = code.element(code.b.ty(total).class, base, index, 0);
            code.b.store(address, total);
        }
    }

    fn reduce_columns<const N: usize>(&self, code: &mut Code<'_>, column: Column, cols: [Reg; N]) -> [Reg; N] {
        let (zero, end) = (code.b.index(0), code.b.index(column.extent));
        let of = |state: &[Reg]| <[Reg; N]>::try_from(state).expect("as many as columns");
        let is_double = self.context.class(column.operand) == Class::Double;
        let add = |code: &mut Code<'_>, i: Reg, sum: &[Reg]| {
            let row = code.b.index_scale(i, column.stride);
            let row = code.b.index_add(column.first, row);
            let row = self.enter_row(code, row, &RowKeys::none());
            let x = self.eval(code, column.operand, &row, &mut Points::new(cols));
            let b = &mut Interleaved(&mut code.b);
            match is_double {
                true => in_order::step(column.function, b, of(sum), x).to_vec(),
                false => step(column.function, b, of(sum), x).to_vec(),
            }
        };
        if is_double {
            let none = [code.b.dconstant(in_order::identity(column.function)); N];
            return of(&code.repeat_carrying(zero, end, 1, &none, add));
        }
        let none = [code.b.constant(identity(column.function)); N];
        match column.function {
            Reduction::Max => of(&code.repeat_carrying(zero, end, 1, &none, add)),
            Reduction::Sum => of(&code.repeat_carrying(zero, end, SUM_CHUNK as i64, &none, |code, chunk, total| {
                let chunk_end = code.b.index_offset(chunk, SUM_CHUNK as i64);
                let chunk_end = code.b.index_min(chunk_end, end);
                let sum = code.repeat_carrying(chunk, chunk_end, 1, &none, add);
                Interleaved(&mut code.b).add(of(total), of(&sum)).to_vec()
            })),
        }
    }
}
