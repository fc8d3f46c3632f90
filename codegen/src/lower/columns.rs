//! Reductions over an axis that is not the last: columns side by side, rows in order.

use super::element::Points;
use super::{Argument, Lowering};
use crate::tile::{Address, Base, Reg};
use bayeslift_ir::{Lanes, Op, SUM_CHUNK, Value};

/// How many columns a tile has.
const TILE_COLUMNS: usize = 64;

impl Lowering<'_> {
    /// A kernel that reduces an outer axis. Returns the number of tiles.
    pub(super) fn column_reduction(&mut self, reduction: Value) -> usize {
        let node = self.plan.graph.node(reduction);
        let (Op::Sum(axis) | Op::Max(axis)) = node.op else { unreachable!("not a reduction") };
        let is_sum = matches!(node.op, Op::Sum(_));
        let shape = self.plan.graph.ty(node.args[0]).shape.clone();
        let extent = shape[axis];
        let between: usize = shape[axis + 1..shape.len() - 1].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let cols = self.kernel.cols;
        let place = self.plan.places[reduction.index()].expect("reductions are stored");
        let base = Base::Argument(self.argument(Argument::Place(place)));

        let blocks = cols.div_ceil(TILE_COLUMNS);
        let reduce = |s: &mut Self, result_row: Reg, col: Reg| {
            let first = {
                let outer = s.b.index_div(result_row, between);
                let outer = s.b.index_scale(outer, extent * between);
                let inner = s.b.index_rem(result_row, between);
                s.b.index_add(outer, inner)
            };
            let total = s.reduce_column(node.args[0], is_sum, first, between, extent, col);
            let offset = s.b.index_scale(result_row, cols);
            let index = s.b.index_add(offset, col);
            s.b.store(Address { base, index, offset: 0 }, total);
        };
        self.tiles(outer * between * blocks, 1, |s, tile, _| {
            let result_row = s.b.index_div(tile, blocks);
            let block = s.b.index_rem(tile, blocks);
            let start = s.b.index_scale(block, TILE_COLUMNS);
            let end = s.b.index_offset(start, TILE_COLUMNS as i64);
            let limit = s.b.index(cols);
            let end = s.b.index_min(end, limit);
            s.each_column(start, end, cols, 1, |s, cols| cols.iter().for_each(|&col| reduce(s, result_row, col)));
        })
    }

    /// The reduction of `extent` elements of a column, `stride` rows apart.
    fn reduce_column(
        &mut self,
        operand: Value,
        is_sum: bool,
        first: Reg,
        stride: usize,
        extent: usize,
        col: Reg,
    ) -> Reg {
        let (zero, end) = (self.b.index(0), self.b.index(extent));
        let add = |s: &mut Self, i: Reg, sum: Reg| {
            let row = s.b.index_scale(i, stride);
            let row = s.b.index_add(first, row);
            let row = s.enter_row(row, None);
            let [x] = s.eval(operand, &row, &mut Points::new([col]));
            if is_sum { s.b.add(sum, x) } else { s.b.max(sum, x) }
        };
        if !is_sum {
            let lowest = self.b.constant(f32::NEG_INFINITY);
            return self.repeat_carrying(zero, end, 1, &[lowest], |s, i, max| vec![add(s, i, max[0])])[0];
        }
        let none = self.b.constant(0.0);
        let totals = self.repeat_carrying(zero, end, SUM_CHUNK as i64, &[none], |s, chunk, total| {
            let chunk_end = s.b.index_offset(chunk, SUM_CHUNK as i64);
            let chunk_end = s.b.index_min(chunk_end, end);
            let sum = s.repeat_carrying(chunk, chunk_end, 1, &[none], |s, i, sum| vec![add(s, i, sum[0])])[0];
            vec![s.b.add(total[0], sum)]
        });
        totals[0]
    }
}
