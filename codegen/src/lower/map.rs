//! Rows and columns: elementwise values, stores and reductions over the last axis.

use super::element::{Leaf, Points, Row};
use super::noise::NOISE_BLOCK;
use super::shape::BAND;
use super::sums::Accumulator;
use super::{Lowering, Tiling};
use crate::tile::Reg;
use bayeslift_ir::{Arithmetic, Kind, Value};
use bayeslift_passes::Axis;

/// About how many elements are computed in one go: those for which keys of rows are prepared, and lanes of sums kept.
const AT_ONCE: usize = 4096;
/// How many vectors are computed side by side: each is a chain of operations that wait for each other, and the machine does
/// not look far ahead. Fewer where much is read and written besides, after a product, unless that takes few operations; and
/// fewer where operations are so many that their values would fill the stack.
const ABREAST: usize = 4;
const FEW_ABREAST: usize = 2;
const MANY: usize = 64;
const LIGHT: usize = 6;
/// How many short rows are computed side by side, those of which two share their draws, and of how many the lanes are kept at most.
const ROWS_ABREAST: usize = 2;
const PAIRED_ROWS_ABREAST: usize = 4;
const MOST_SHORT_ROWS: usize = 256;

impl Lowering<'_> {
    /// A kernel without contractions. Returns the number of tiles.
    pub(super) fn map(&mut self) -> usize {
        let (mut rows, mut cols) = (self.kernel.rows, self.kernel.cols);
        if self.is_flat() {
            (rows, cols) = (1, rows * cols);
            for leaf in self.leaves.values_mut() {
                if let Leaf::Memory { view, .. } = leaf {
                    view.axes = [Axis::new(cols, i64::from(!view.is_uniform()))].into_iter().collect();
                    view.shape = [cols].into();
                }
            }
        }
        if rows == 1 && self.kernel.row_reductions().is_empty() {
            let unit = if self.noise_sites().is_empty() { BAND } else { NOISE_BLOCK };
            self.tiling = Some(Tiling::of_one_block(cols, unit));
            return self.tiles(cols, unit, AT_ONCE, |s, first, last| {
                let row = s.b.index(0);
                let row = s.enter_row(row, None);
                s.columns(&row, first, last, cols, &[]);
            });
        }
        if self.reduces_in_order() {
            return self.rows_in_order(rows, cols, AT_ONCE.div_ceil(cols));
        }
        let short = self.has_short_rows();
        let rows_at_once = match AT_ONCE.div_ceil(cols) {
            rows if short => {
                let most = MOST_SHORT_ROWS / self.kernel.row_reductions().len().max(1);
                rows.min(most).max(1).next_multiple_of(self.target.lanes())
            }
            rows => rows,
        };
        let rows_at_once = rows_at_once.min(rows);
        let accumulators = self.accumulators(rows_at_once);
        let unit = if short { BAND } else { 1 };
        self.tiling = Some(Tiling::of_one_block(rows * cols, unit * cols));
        self.tiles(rows, unit, rows_at_once, |s, first, last| {
            s.prepare_rows(first, last, rows_at_once);
            let mut rest = first;
            let abreast = s.rows_abreast();
            if short {
                rest = s.repeat_whole(first, last, abreast, |s, row| {
                    s.some_rows(row, abreast, first, cols, &accumulators);
                });
            }
            if !short || !rows.is_multiple_of(abreast) {
                s.repeat(rest, last, 1, |s, row| s.some_rows(row, 1, first, cols, &accumulators));
            }
            if short {
                s.finish_short_rows(first, last, rows, &accumulators);
            }
        })
    }

    /// Some rows of the tile that begins at `first`, in one run of statements if they have no loops, so that they can be scheduled side by
    /// side: what rows share in memory is read before anything is written.
    fn some_rows(&mut self, row: Reg, count: usize, first: Reg, cols: usize, accumulators: &[Accumulator]) {
        let rows: Vec<Reg> = (0..count).map(|i| self.b.index_offset(row, i as i64)).collect();
        let mut rows: Vec<Row> = rows.into_iter().map(|row| self.enter_row(row, None)).collect();
        self.draw_by_twos(&mut rows);
        for (i, row) in rows.iter().enumerate() {
            let (start, end) = (self.b.index(0), self.b.index(cols));
            self.clear(accumulators);
            self.columns(row, start, end, cols, accumulators);
            if self.has_short_rows() {
                let number = self.b.index_sub(rows[0].row, first);
                self.keep_lanes(number, i, accumulators);
            } else {
                self.finish_reductions(row, accumulators);
            }
        }
    }

    /// Whether a row is too short to hide that its operations wait for each other.
    pub(super) fn has_short_rows(&self) -> bool {
        self.target.lanes() > 1 && self.kernel.cols <= NOISE_BLOCK
    }

    /// How many short rows are computed side by side.
    pub(super) fn rows_abreast(&self) -> usize {
        if self.draws_by_twos() && self.kernel.members.len() <= MANY { PAIRED_ROWS_ABREAST } else { ROWS_ABREAST }
    }

    /// Whether rows may be joined to one: every element is read and written at its own number.
    fn is_flat(&self) -> bool {
        // samples of doubles, each a part of a value: joined rows leave no short rest
        let of_parts = self.kernel.is_of_doubles(&self.plan.graph);
        self.kernel.row_reductions().is_empty()
            && self.leaves.values().all(|leaf| match leaf {
                Leaf::Float(_) | Leaf::Double(_) | Leaf::Word(_) => true,
                Leaf::Memory { view, .. } => {
                    view.is_contiguous() || view.is_uniform() || of_parts && view.is_in_order()
                }
                Leaf::Noise(_) | Leaf::Position(_) => false,
            })
    }

    /// Loops over the tiles that the caller asks for, each `unit` of `extent`, in ranges of up to `step`. Returns how many there are. Who
    /// calls a kernel of one tile asks for that, so nothing depends on the range then.
    pub(super) fn tiles(
        &mut self,
        extent: usize,
        unit: usize,
        step: usize,
        body: impl FnOnce(&mut Self, Reg, Reg),
    ) -> usize {
        let limit = self.b.index(extent);
        let [begin, end] = if extent <= unit {
            [self.b.index(0), limit]
        } else {
            let (begin, end) = self.b.tile_range();
            let [begin, end] = [begin, end].map(|tile| self.b.index_scale(tile, unit));
            [begin, self.b.index_min(end, limit)]
        };
        self.repeat(begin, end, step as i64, |s, first| {
            let last = s.b.index_offset(first, step as i64);
            let last = s.b.index_min(last, end);
            body(s, first, last);
        });
        extent.div_ceil(unit)
    }

    /// A loop whose body lowers more of the kernel.
    pub(super) fn repeat(&mut self, start: Reg, end: Reg, step: i64, body: impl FnOnce(&mut Self, Reg)) {
        self.repeat_carrying(start, end, step, &[], |s, counter, _| {
            body(s, counter);
            Vec::new()
        });
    }

    /// `body` for each whole step from `start` to `end`; returns where the rest begins.
    pub(super) fn repeat_whole(&mut self, start: Reg, end: Reg, step: usize, body: impl FnOnce(&mut Self, Reg)) -> Reg {
        let count = self.b.index_sub(end, start);
        let whole = self.b.index_round_down(count, step);
        let last = self.b.index_add(start, whole);
        self.repeat(start, last, step as i64, body);
        last
    }

    /// As [`Lowering::repeat`], carrying values.
    pub(super) fn repeat_carrying(
        &mut self,
        start: Reg,
        end: Reg,
        step: i64,
        initial: &[Reg],
        body: impl FnOnce(&mut Self, Reg, &[Reg]) -> Vec<Reg>,
    ) -> Vec<Reg> {
        if let Some((start_at, end_at)) = self.b.constant_index(start).zip(self.b.constant_index(end)) {
            match end_at - start_at {
                ..=0 => return initial.to_vec(),
                count if count <= step => return body(self, start, initial),
                _ => {}
            }
        }
        let (counter, carried) = self.b.open_loop(initial);
        let next = body(self, counter, &carried);
        self.b.close_loop(counter, start, end, step, initial, &carried, &next);
        carried
    }

    /// The columns `start..end` of a row. `start` is a multiple of the noise block where noise is drawn, else of [`BAND`]; so is
    /// `end`, unless it is `cols`.
    pub(super) fn columns(&mut self, row: &Row, start: Reg, end: Reg, cols: usize, accumulators: &[Accumulator]) {
        if self.target.lanes() == 1 || self.noise_sites().is_empty() {
            let abreast = self.abreast_of_row();
            let unit = if self.kernel.products().is_empty() { BAND } else { NOISE_BLOCK };
            return self.each_column([start, end], unit, cols, abreast, |s, cols| s.abreast(row, cols, accumulators));
        }
        self.noisy_columns(row, start, end, cols, accumulators);
    }

    /// How many vectors of a row are computed side by side.
    pub(super) fn abreast_of_row(&self) -> usize {
        let is_heavy = !self.kernel.products().is_empty() && !self.is_light();
        // scalars of doubles take few registers each
        let has_scalars = self.kernel.is_of_doubles(&self.plan.graph) && self.target.lanes() == 1;
        let is_long = self.kernel.members.len() > MANY && !has_scalars;
        if is_heavy || is_long { FEW_ABREAST } else { ABREAST }
    }

    /// `body` for the vectors of the columns `start..end`, so many at a time, then one at a time, then the last, which may
    /// be a part of a vector. `start` is a multiple of `unit`, and so is `end`, unless it is `cols`.
    pub(super) fn each_column(
        &mut self,
        [start, end]: [Reg; 2],
        unit: usize,
        cols: usize,
        abreast: usize,
        body: impl Fn(&mut Self, &[Reg]),
    ) {
        let (width, part) = (self.target.lanes(), cols % self.target.lanes());
        if let (Some(mut col), Some(end)) = (self.b.constant_index(start), self.b.constant_index(end))
            && end - col <= NOISE_BLOCK as i64
        {
            for step in [abreast * width, width, part] {
                while step > 0 && col + step as i64 <= end {
                    let cols = (0..step).step_by(width).map(|i| self.b.index((col as usize) + i));
                    let cols: Vec<Reg> = cols.collect();
                    self.lanes(step.min(width), |s| body(s, &cols));
                    col += step as i64;
                }
            }
            return;
        }
        let (mut done, mut left) = (start, cols);
        for step in [abreast * width, width] {
            if left < step {
                continue;
            }
            done = self.repeat_whole(done, end, step, |s, first| {
                let cols: Vec<Reg> = (0..step).step_by(width).map(|col| s.b.index_offset(first, col as i64)).collect();
                s.lanes(width, |s| body(s, &cols));
            });
            // known where every range of columns has the same rest
            left = if unit.is_multiple_of(step) { cols % step } else { left };
        }
        if part > 0 {
            self.repeat(done, end, width as i64, |s, col| s.lanes(part, |s| body(s, &[col])));
        }
    }

    /// The elements or vectors at some columns, side by side where that is worth while.
    pub(super) fn abreast(&mut self, row: &Row, cols: &[Reg], accumulators: &[Accumulator]) {
        match *cols {
            [a, b, c, d] => self.points(row, &mut Points::new([a, b, c, d]), accumulators),
            [a, b] => self.points(row, &mut Points::new([a, b]), accumulators),
            _ => cols.iter().for_each(|&col| self.points(row, &mut Points::new([col]), accumulators)),
        }
    }

    /// Whether the loop around an element takes longer than the element.
    fn is_light(&self) -> bool {
        let takes_one = |&member: &Value| match self.plan.graph.node(member).op.kind() {
            Kind::Elementwise(function) => function.arithmetic() != Arithmetic::Elementary,
            // made or moved; only how much is unrolled depends on it
            _ => true,
        };
        let members = &self.kernel.members;
        members.len() <= LIGHT && members.iter().all(takes_one) && self.noise_sites().is_empty()
    }

    /// Runs `body` with vectors of which it reads and writes the first `lanes` lanes.
    pub(super) fn lanes<T>(&mut self, lanes: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        self.b.vector = self.target.lanes() > 1;
        self.b.part = (lanes < self.target.lanes()).then_some(lanes as u32);
        let result = body(self);
        (self.b.vector, self.b.part) = (false, None);
        result
    }

    /// Some elements or vectors: adds to the reductions, stores.
    pub(super) fn points<const N: usize>(&mut self, row: &Row, points: &mut Points<N>, accumulators: &[Accumulator]) {
        self.accumulate(row, points, accumulators);
        self.store(row, points);
    }
}
