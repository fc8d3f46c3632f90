//! Rows and columns: elementwise values, stores and reductions over the last axis.

use super::element::{Leaf, Points, Row};
use super::noise::NOISE_BLOCK;
use super::{Argument, Lowering, TILE_COST};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{Lanes, Op, SUM_LANES, Value};
use bayeslift_passes::Axis;

/// About how many elements a tile has: at most, and where they take long at least.
const TILE_ELEMENTS: usize = 4096;
const FEW_ELEMENTS: usize = 256;
/// How many vectors are computed side by side: each is a chain of operations that wait for each other, and the machine does
/// not look far ahead. Fewer where much is read and written besides, after a product, unless that takes few operations; and
/// fewer where operations are so many that their values would fill the stack.
const ABREAST: usize = 4;
const FEW_ABREAST: usize = 2;
const MANY: usize = 64;
const LIGHT: usize = 6;

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
        let each = (self.cost / (rows * cols)).max(1);
        let elements = (TILE_COST / each).clamp(FEW_ELEMENTS, TILE_ELEMENTS).next_multiple_of(NOISE_BLOCK);
        if rows == 1 && self.kernel.row_reductions.is_empty() {
            return self.tiles(cols, elements, |s, first, last| {
                let row = s.b.index(0);
                let row = s.enter_row(row, None);
                s.columns(&row, first, last, cols, &[]);
            });
        }
        let rows_of_a_tile = elements.div_ceil(cols).min(rows);
        let accumulators: Vec<(Value, usize)> =
            self.kernel.row_reductions.clone().into_iter().map(|r| (r, self.take_scratch(SUM_LANES))).collect();
        self.tiles(rows, rows_of_a_tile, |s, first, last| {
            s.prepare_rows(first, last, rows_of_a_tile);
            s.repeat(first, last, 1, |s, row| {
                let row = s.enter_row(row, None);
                let (start, end) = (s.b.index(0), s.b.index(cols));
                s.clear(&accumulators);
                s.columns(&row, start, end, cols, &accumulators);
                s.finish_reductions(&row, &accumulators);
            });
        })
    }

    /// Whether rows may be joined to one: every element is read and written at its own number.
    fn is_flat(&self) -> bool {
        self.kernel.row_reductions.is_empty()
            && self.leaves.values().all(|leaf| match leaf {
                Leaf::Float(_) | Leaf::Word(_) => true,
                Leaf::Memory { view, .. } => view.is_contiguous() || view.is_uniform(),
                Leaf::Noise(_) | Leaf::Position(_) => false,
            })
    }

    /// Loops over the tiles that the caller asks for; each is a range of `extent` split in steps of `step`.
    pub(super) fn tiles(&mut self, extent: usize, step: usize, body: impl FnOnce(&mut Self, Reg, Reg)) -> usize {
        let (begin, end) = self.b.tile_range();
        let limit = self.b.index(extent);
        self.repeat(begin, end, 1, |s, tile| {
            let first = s.b.index_scale(tile, step);
            let last = s.b.index_offset(first, step as i64);
            let last = s.b.index_min(last, limit);
            body(s, first, last);
        });
        extent.div_ceil(step)
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

    /// The columns `start..end` of a row. `start` is a multiple of the noise block; so is `end`, unless it is `cols`.
    pub(super) fn columns(&mut self, row: &Row, start: Reg, end: Reg, cols: usize, accumulators: &[(Value, usize)]) {
        if self.width == 1 || self.noise_sites().is_empty() {
            let is_heavy = !self.kernel.dots.is_empty() && !self.is_light();
            let abreast = if is_heavy || self.kernel.members.len() > MANY { FEW_ABREAST } else { ABREAST };
            return self.each_column(start, end, cols, abreast, |s, cols| s.abreast(row, cols, accumulators));
        }
        self.noisy_columns(row, start, end, cols, accumulators);
    }

    /// `body` for the vectors of the columns `start..end`, so many at a time, then one at a time, then the last, which may
    /// be a part of a vector. `start` is a multiple of the noise block, and so is `end`, unless it is `cols`.
    pub(super) fn each_column(
        &mut self,
        start: Reg,
        end: Reg,
        cols: usize,
        abreast: usize,
        body: impl Fn(&mut Self, &[Reg]),
    ) {
        let (width, part) = (self.width, cols % self.width);
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
            left = if NOISE_BLOCK.is_multiple_of(step) { cols % step } else { left };
        }
        if part > 0 {
            self.repeat(done, end, width as i64, |s, col| s.lanes(part, |s| body(s, &[col])));
        }
    }

    /// The elements or vectors at some columns, side by side where that is worth while.
    pub(super) fn abreast(&mut self, row: &Row, cols: &[Reg], accumulators: &[(Value, usize)]) {
        match *cols {
            [a, b, c, d] => self.points(row, &mut Points::new([a, b, c, d]), accumulators),
            [a, b] => self.points(row, &mut Points::new([a, b]), accumulators),
            _ => cols.iter().for_each(|&col| self.points(row, &mut Points::new([col]), accumulators)),
        }
    }

    /// Whether the loop around an element takes longer than the element.
    fn is_light(&self) -> bool {
        let takes_one = |&member: &Value| match self.plan.graph.node(member).op {
            Op::Unary(op) => !op.is_elementary(),
            _ => true,
        };
        let members = &self.kernel.members;
        members.len() <= LIGHT && members.iter().all(takes_one) && self.noise_sites().is_empty()
    }

    /// Runs `body` with vectors of which it reads and writes the first `lanes` lanes.
    pub(super) fn lanes<T>(&mut self, lanes: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        self.b.vector = self.width > 1;
        self.b.part = (lanes < self.width).then_some(lanes as u32);
        let result = body(self);
        (self.b.vector, self.b.part) = (false, None);
        result
    }

    /// Some elements or vectors: adds to the reductions, stores.
    pub(super) fn points<const N: usize>(
        &mut self,
        row: &Row,
        points: &mut Points<N>,
        accumulators: &[(Value, usize)],
    ) {
        for &(reduction, accumulator) in accumulators {
            let node = self.plan.graph.node(reduction);
            let is_sum = matches!(node.op, Op::Sum(_));
            for (col, x) in points.cols.into_iter().zip(self.eval(node.args[0], row, points)) {
                let index = self.b.index_rem(col, SUM_LANES);
                let address = Address { base: Base::Scratch, index, offset: accumulator as i64 };
                let sum = self.b.load(Class::Float, address);
                let sum = if is_sum { self.b.add(sum, x) } else { self.b.max(sum, x) };
                self.b.store(address, sum);
            }
        }
        self.store(row, points);
    }

    /// Sets the lanes of reductions to their identities.
    fn clear(&mut self, accumulators: &[(Value, usize)]) {
        for &(reduction, accumulator) in accumulators {
            let identity = if let Op::Sum(_) = self.plan.graph.node(reduction).op { 0.0 } else { f32::NEG_INFINITY };
            let (start, end) = (self.b.index(0), self.b.index(SUM_LANES));
            self.repeat(start, end, 1, |s, lane| {
                let x = s.b.constant(identity);
                s.b.store(Address { base: Base::Scratch, index: lane, offset: accumulator as i64 }, x);
            });
        }
    }

    /// Combines the lanes by the contract's tree and stores the row's results.
    fn finish_reductions(&mut self, row: &Row, accumulators: &[(Value, usize)]) {
        for &(reduction, accumulator) in accumulators {
            let is_sum = matches!(self.plan.graph.node(reduction).op, Op::Sum(_));
            let index = self.b.index(0);
            let mut lanes: Vec<Reg> = (0..SUM_LANES)
                .map(|lane| {
                    let offset = (accumulator + lane) as i64;
                    self.b.load(Class::Float, Address { base: Base::Scratch, index, offset })
                })
                .collect();
            while lanes.len() > 1 {
                let upper = lanes.split_off(lanes.len() / 2);
                for (a, b) in lanes.iter_mut().zip(upper) {
                    *a = if is_sum { self.b.add(*a, b) } else { self.b.max(*a, b) };
                }
            }
            let place = self.plan.places[reduction.index()].expect("reductions are stored");
            let base = Base::Argument(self.argument(Argument::Place(place)));
            self.b.store(Address { base, index: row.row, offset: 0 }, lanes[0]);
        }
    }
}
