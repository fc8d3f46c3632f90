//! What a product brings near while its sums keep the machine busy: memory that is read next, one share for each
//! register tile.

use super::code::Code;
use super::context::Context;
use super::leaf::Leaf;
use super::panel::{OperandSource, Panel, Span};
use super::pointwise::Pointwise;
use super::products::{Sizes, Tile};
use super::shape::{LINE, RegisterTile};
use crate::tile::{Base, Reg};
use bayeslift_ir::{DOT_CHUNK, Value};
use bayeslift_passes::Read;
use std::collections::{BTreeSet, HashSet};

/// Rows of the right operand that one register tile brings near at most.
const MOST_ROWS: usize = 48;

/// What comes after a register tile's sums.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    /// The next strip of the right operand.
    pub right: Option<Next<'a>>,
    /// The memory that the epilogue reads.
    pub epilogue: &'a BTreeSet<Base>,
}

/// Where the next strip of a right operand lies.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    /// In the operand, from which it will be packed.
    ToPack(&'a OperandSource),
    /// In a panel that all tiles share.
    Packed(Panel),
}

impl Context<'_> {
    /// How many values as large as the kernel its elements read from memory, or leave there and read. Both stages of a
    /// kernel must agree on it, so it depends on the plan alone.
    pub fn large_values(&self) -> usize {
        let elements = self.kernel.rows * self.kernel.cols;
        let read = self.kernel.reads.iter().filter(|read| match read {
            Read::Element { value, view } => {
                view.source == *value && self.plan.places[value.index()].is_some() && view.shape.elements() == elements
            }
            Read::Made { .. } | Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => false,
        });
        let is_operand = |value: Value| {
            let mut args = self.kernel.body.iter().flat_map(|&value| &self.plan.graph.node(value).args);
            args.any(|&arg| self.plan.aligned(arg) == value)
        };
        read.count() + self.kernel.element_writes().filter(|write| is_operand(write.value)).count()
    }
}

impl Pointwise<'_> {
    /// The memory of which the kernel reads the element at its own row and column.
    pub fn streams(&self, code: &mut Code<'_>) -> BTreeSet<Base> {
        let elements = self.context.kernel.rows * self.context.kernel.cols;
        let streamed = |leaf: &Leaf| match leaf {
            Leaf::Memory { place, view, .. } if view.is_contiguous() && view.shape.elements() == elements => {
                Some(code.memory(*place))
            }
            _ => None,
        };
        self.leaves.values().filter_map(streamed).collect()
    }
}

impl Code<'_> {
    /// Brings near a share of what comes next, before the register tile of `rows` rows at `(row, col)`.
    pub fn prefetch(
        &mut self,
        ahead: Ahead<'_>,
        sizes: Sizes,
        (tile, chunk): (Tile, Span),
        (row, rows): (Reg, usize),
        col: Reg,
    ) {
        self.prefetch_epilogue(ahead.epilogue, sizes, (tile, chunk), (row, rows), col);
        if let Some(right) = ahead.right {
            self.prefetch_right(right, sizes, tile, chunk, (row, col));
        }
    }

    /// Brings near what the epilogue reads at the elements of a register tile, some of its rows with each chunk. What
    /// it only writes would come for nothing.
    fn prefetch_epilogue(
        &mut self,
        streams: &BTreeSet<Base>,
        sizes: Sizes,
        (tile, chunk): (Tile, Span),
        (row, rows): (Reg, usize),
        col: Reg,
    ) {
        let (cols, rows) = (tile.cols.extent, rows.div_ceil(chunk.extent.div_ceil(DOT_CHUNK)));
        let number = self.b.index_div(chunk.first, DOT_CHUNK);
        let share = self.b.index_scale(number, rows);
        let first = self.b.index_scale(tile.batch, tile.rows.extent);
        let first = self.b.index_add(first, row);
        let first = self.b.index_add(first, share);
        let first = self.b.index_scale(first, cols);
        let index = self.b.index_add(first, col);
        let line = LINE / self.context.words();
        for &base in streams {
            for i in 0..rows {
                for j in (0..sizes.strip).step_by(line) {
                    let address = self.float_at(base, index, (i * cols + j) as i64);
                    self.b.prefetch(address);
                }
            }
        }
    }

    /// Brings near the strip of the right operand after the one of the register tile at `(row, col)`: the register
    /// tiles of a strip share its rows. Nothing is known of the strip after a chunk's last one; what is brought instead
    /// is a little memory for nothing.
    fn prefetch_right(&mut self, right: Next<'_>, sizes: Sizes, tile: Tile, chunk: Span, (row, col): (Reg, Reg)) {
        let RegisterTile { rows, .. } = sizes.register;
        let share = DOT_CHUNK.min(chunk.extent).div_ceil((sizes.tile_rows / rows).max(1)).min(MOST_ROWS);
        let number = self.b.index_sub(row, tile.rows.first);
        let number = self.b.index_div(number, rows);
        let first = self.b.index_scale(number, share);
        let first = self.b.index_add(chunk.first, first);
        let last = self.b.index_offset(chunk.last, -(share as i64));
        let first = self.b.index_min(first, last);
        let next = self.b.index_offset(col, sizes.strip as i64);
        let line = LINE / self.context.words();
        let source = match right {
            Next::ToPack(source) => source,
            Next::Packed(panel) => {
                let [to_row, to_col] =
                    [(first, panel.depth), (next, panel.tiles)].map(|(i, step)| self.b.index_scale_signed(i, step));
                let index = self.b.index_add(panel.origin, to_row);
                let index = self.b.index_add(index, to_col);
                for i in (0..share * sizes.strip).step_by(line) {
                    let address = self.float_at(panel.base, index, (panel.offset + i) as i64);
                    self.b.prefetch(address);
                }
                return;
            }
        };
        let indices = self.indices(source, tile.batch, first, next);
        let mut seen = HashSet::new();
        for ((place, matrix), index) in source.places().zip(indices) {
            let (row, col) = matrix.steps();
            let Some(place) = place.filter(|place| seen.insert((*place, row, col))) else { continue };
            let base = self.memory(place);
            let step = |distance: i64| if distance == 1 { line } else { 1 };
            for i in (0..share).step_by(step(row)) {
                for j in (0..sizes.strip).step_by(step(col)) {
                    let offset = i as i64 * row + j as i64 * col;
                    let address = self.float_at(base, index, offset);
                    self.b.prefetch(address);
                }
            }
        }
    }
}
