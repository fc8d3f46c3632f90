//! Rows and columns: elementwise values, stores and reductions over the last axis.

use super::Tiling;
use super::code::{Code, Tiles};
use super::leaf::Leaf;
use super::noise::RowKeys;
use super::pointwise::{Points, Pointwise, Row};
use super::shape::{BAND, INTERLEAVED, NOISE_BLOCK};
use super::sums::{RowReductions, Sums};
use crate::tile::Reg;
use bayeslift_ir::{Arithmetic, Kind, Value};
use bayeslift_passes::Axis;

/// About how many elements are computed in one go: those for which keys of rows are prepared, and lanes of sums kept.
const AT_ONCE: usize = 4096;
/// Fewer vectors are computed side by side where much is read and written besides, after a product, unless that takes
/// few operations; and where there are more operations than `MANY`, whose values would fill the stack.
const FEW_INTERLEAVED: usize = 2;
const MANY: usize = 64;
const LIGHT: usize = 6;
/// How many short rows are computed side by side, those of which two share their draws, and of how many the lanes are
/// kept at most.
const INTERLEAVED_ROWS: usize = 2;
const PAIRED_INTERLEAVED_ROWS: usize = 4;
const MOST_SHORT_ROWS: usize = 256;

/// A kernel without contractions.
pub(super) fn map(mut pointwise: Pointwise<'_>, code: &mut Code<'_>) -> Tiles {
    let (mut rows, mut cols) = (code.context.kernel.rows, code.context.kernel.cols);
    if pointwise.are_flat() {
        (rows, cols) = (1, rows * cols);
        pointwise.flatten(cols);
    }
    if rows == 1 && code.context.kernel.row_reductions().is_empty() {
        let unit = if pointwise.sites.is_empty() { BAND } else { NOISE_BLOCK };
        let tiles = code.tiles(cols, unit, AT_ONCE, |code, first, last| {
            let row = code.b.index(0);
            let row = pointwise.enter_row(code, row, &RowKeys::none());
            pointwise.columns(code, &row, [first, last], cols, &mut Sums::none());
        });
        return (tiles, Some(Tiling::of_one_block(cols, unit)));
    }
    if !code.context.kernel.row_reductions().is_empty() && code.context.is_of_doubles() {
        return pointwise.rows_in_order(code, rows, cols, AT_ONCE.div_ceil(cols));
    }
    pointwise.rows(code, rows, cols)
}

impl Pointwise<'_> {
    /// All rows, and what they are reduced to.
    fn rows(&self, code: &mut Code<'_>, rows: usize, cols: usize) -> Tiles {
        let short = self.context.has_short_rows();
        let rows_at_once = match AT_ONCE.div_ceil(cols) {
            rows if short => {
                let most = MOST_SHORT_ROWS / self.context.kernel.row_reductions().len().max(1);
                rows.min(most).max(1).next_multiple_of(self.context.width())
            }
            rows => rows,
        };
        let rows_at_once = rows_at_once.min(rows);
        let reductions = RowReductions::new(code, rows_at_once);
        let unit = if short { BAND } else { 1 };
        let tiles = code.tiles(rows, unit, rows_at_once, |code, first, last| {
            let keys = self.prepare_rows(code, first, last, rows_at_once);
            let mut rest = first;
            let interleaved = self.interleaved_rows();
            let some_rows = |code: &mut Code<'_>, row: Reg, count: usize| {
                self.some_rows(code, (row, count), &keys, first, cols, &reductions);
            };
            if short {
                rest = code.repeat_whole(first, last, interleaved, |code, row| some_rows(code, row, interleaved));
            }
            if !short || !rows.is_multiple_of(interleaved) {
                code.repeat(rest, last, 1, |code, row| some_rows(code, row, 1));
            }
            if short {
                reductions.finish_short_rows(code, first, last, rows);
            }
        });
        (tiles, Some(Tiling::of_one_block(rows * cols, unit * cols)))
    }

    /// Some rows of the tile that begins at `first`, in one run of statements if they have no loops, so that they can
    /// be scheduled side by side: what rows share in memory is read before anything is written.
    fn some_rows(
        &self,
        code: &mut Code<'_>,
        (row, count): (Reg, usize),
        keys: &RowKeys,
        first: Reg,
        cols: usize,
        reductions: &RowReductions,
    ) {
        let rows: Vec<Reg> = (0..count).map(|i| code.b.index_offset(row, i as i64)).collect();
        let mut rows: Vec<Row> = rows.into_iter().map(|row| self.enter_row(code, row, keys)).collect();
        self.draw_by_twos(code, &mut rows);
        for (i, row) in rows.iter().enumerate() {
            let columns = [code.b.index(0), code.b.index(cols)];
            let mut sums = reductions.begin(code);
            self.columns(code, row, columns, cols, &mut sums);
            if self.context.has_short_rows() {
                let number = code.b.index_sub(rows[0].row, first);
                sums.keep(code, number, i);
            } else {
                sums.finish(code, row);
            }
        }
    }

    /// How many short rows are computed side by side.
    pub fn interleaved_rows(&self) -> usize {
        if self.draws_by_twos() && self.context.kernel.body.len() <= MANY {
            PAIRED_INTERLEAVED_ROWS
        } else {
            INTERLEAVED_ROWS
        }
    }

    /// Whether rows may be joined to one: every element is read and written at its own number.
    fn are_flat(&self) -> bool {
        // samples of doubles, each a part of a value: joined rows leave no short rest
        let of_parts = self.context.is_of_doubles();
        self.context.kernel.row_reductions().is_empty()
            && self.leaves.values().all(|leaf| match leaf {
                Leaf::Float(_) | Leaf::Double(_) | Leaf::Word(_) => true,
                Leaf::Memory { view, .. } => {
                    view.is_contiguous() || view.is_uniform() || of_parts && view.is_in_order()
                }
                Leaf::Noise(_) | Leaf::Position(_) => false,
            })
    }

    /// Reads all rows as one of `cols` columns.
    fn flatten(&mut self, cols: usize) {
        for leaf in self.leaves.values_mut() {
            if let Leaf::Memory { view, .. } = leaf {
                view.axes = [Axis::new(cols, i64::from(!view.is_uniform()))].into_iter().collect();
                view.shape = [cols].into();
            }
        }
    }

    /// The columns `start..end` of a row. `start` is a multiple of the noise block where noise is drawn, else of
    /// [`BAND`]; so is `end`, unless it is `cols`.
    pub fn columns(&self, code: &mut Code<'_>, row: &Row, [start, end]: [Reg; 2], cols: usize, sums: &mut Sums<'_>) {
        if self.context.width() == 1 || self.sites.is_empty() {
            let unit = if self.context.kernel.products().is_empty() { BAND } else { NOISE_BLOCK };
            let interleaved = self.interleaved_in_row();
            return code.each_column([start, end], unit, cols, interleaved, |code, cols| match *cols {
                [a, b, c, d] => self.points(code, row, &mut Points::new([a, b, c, d]), sums),
                [a, b] => self.points(code, row, &mut Points::new([a, b]), sums),
                _ => cols.iter().for_each(|&col| self.points(code, row, &mut Points::new([col]), sums)),
            });
        }
        self.noisy_columns(code, row, [start, end], cols, sums);
    }

    /// How many vectors of a row are computed side by side.
    pub fn interleaved_in_row(&self) -> usize {
        let is_heavy = !self.context.kernel.products().is_empty() && !self.is_light();
        // scalars of doubles take few registers each
        let has_scalars = self.context.is_of_doubles() && self.context.width() == 1;
        let is_long = self.context.kernel.body.len() > MANY && !has_scalars;
        if is_heavy || is_long { FEW_INTERLEAVED } else { INTERLEAVED }
    }

    /// Whether the loop around an element takes longer than the element.
    fn is_light(&self) -> bool {
        let takes_one = |&value: &Value| match self.context.plan.graph.node(value).op.kind() {
            Kind::Elementwise(function) => function.arithmetic() != Arithmetic::Elementary,
            // made or moved; only how much is unrolled depends on it
            _ => true,
        };
        let body = &self.context.kernel.body;
        body.len() <= LIGHT && body.iter().all(takes_one) && self.sites.is_empty()
    }

    /// Some elements or vectors: adds to the reductions, stores.
    pub fn points<const N: usize>(&self, code: &mut Code<'_>, row: &Row, points: &mut Points<N>, sums: &mut Sums<'_>) {
        sums.add(code, self, row, points);
        self.store(code, row, points);
    }
}
