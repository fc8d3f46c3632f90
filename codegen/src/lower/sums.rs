//! Reductions over the last axis: sixteen lanes, then the tree of the contract. Lanes lie in scratch memory; in registers where a
//! row is short, and then the lanes of several rows are combined at once.

use super::Lowering;
use super::element::{Points, Row};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{Lanes, Reduction, SUM_LANES, Value};

/// A reduction of a kernel, and where its lanes are.
#[derive(Clone, Copy)]
pub(super) struct Accumulator {
    reduction: Value,
    function: Reduction,
    /// Where in scratch memory; where rows are short, the first row's.
    place: usize,
}

impl Lowering<'_> {
    /// Takes memory for the kernel's reductions: where rows are short, for those of so many.
    pub(super) fn accumulators(&mut self, rows_at_once: usize) -> Vec<Accumulator> {
        let lanes = if self.has_short_rows() { rows_at_once * self.target.lanes() } else { SUM_LANES };
        let reductions = self.kernel.row_reductions().iter();
        let accumulator = |&reduction: &Value| {
            let function = self.reduction(reduction);
            Accumulator { reduction, function, place: self.take_scratch(lanes) }
        };
        reductions.map(accumulator).collect()
    }

    fn add(&mut self, accumulator: Accumulator, a: Reg, b: Reg) -> Reg {
        step(accumulator.function, &mut self.b, a, b)
    }

    /// Sets all lanes to their identities.
    pub(super) fn clear(&mut self, accumulators: &[Accumulator]) {
        for &Accumulator { reduction, function, place } in accumulators {
            let identity = identity(function);
            if self.has_short_rows() {
                let lanes =
                    self.lanes(self.target.lanes(), |s| vec![s.b.constant(identity); SUM_LANES / s.target.lanes()]);
                self.short_sums.insert(reduction, lanes);
                continue;
            }
            let (start, end) = (self.b.index(0), self.b.index(SUM_LANES));
            self.repeat(start, end, 1, |s, lane| {
                let x = s.b.constant(identity);
                s.b.store(Address { base: Base::Scratch, index: lane, offset: place as i64 }, x);
            });
        }
    }

    /// Adds what is reduced at some points to the lanes of their columns.
    pub(super) fn accumulate<const N: usize>(
        &mut self,
        row: &Row,
        points: &mut Points<N>,
        accumulators: &[Accumulator],
    ) {
        for &accumulator in accumulators {
            let operand = self.plan.graph.node(accumulator.reduction).args[0];
            for (col, x) in points.cols.into_iter().zip(self.eval(operand, row, points)) {
                if let Some(mut lanes) = self.short_sums.remove(&accumulator.reduction) {
                    let col = self.b.constant_index(col).expect("columns of short rows are known") as usize;
                    let sum = &mut lanes[col % SUM_LANES / self.target.lanes()];
                    *sum = self.accumulate_in_register(accumulator, *sum, x);
                    self.short_sums.insert(accumulator.reduction, lanes);
                    continue;
                }
                let index = self.b.index_rem(col, SUM_LANES);
                let address = Address { base: Base::Scratch, index, offset: accumulator.place as i64 };
                let sum = self.b.load(Class::Float, address);
                let sum = self.add(accumulator, sum, x);
                self.b.store(address, sum);
            }
        }
    }

    /// The sum with the lanes of `x` that there are.
    fn accumulate_in_register(&mut self, accumulator: Accumulator, sum: Reg, x: Reg) -> Reg {
        let combined = self.add(accumulator, sum, x);
        let Some(part) = self.b.part else { return combined };
        let (lane, part) = (self.b.lane_numbers(), self.b.integer(part));
        let is_there = self.b.iless(lane, part);
        self.b.select(is_there, combined, sum)
    }

    /// Combines the lanes and stores the row's results.
    pub(super) fn finish_reductions(&mut self, row: &Row, accumulators: &[Accumulator]) {
        for &accumulator in accumulators {
            let index = self.b.index(0);
            self.finish_row(accumulator, row.row, (index, accumulator.place), SUM_LANES);
        }
    }

    /// Combines the lanes of a short row to one vector, and keeps it in scratch memory until [`Lowering::finish_short_rows`]: that of
    /// the row `more` after the one of this number in its tile.
    pub(super) fn keep_lanes(&mut self, number: Reg, more: usize, accumulators: &[Accumulator]) {
        for &accumulator in accumulators {
            let lanes = self.short_sums.remove(&accumulator.reduction).expect("rows are short");
            let index = self.b.index_scale(number, self.target.lanes());
            let offset = (accumulator.place + more * self.target.lanes()) as i64;
            self.lanes(self.target.lanes(), |s| {
                let vector = s.combine(accumulator, lanes);
                s.b.store(Address { base: Base::Scratch, index, offset }, vector);
            });
        }
    }

    /// Combines the lanes of short rows, as many at once as a vector has elements, and stores the results. Ranges of rows
    /// begin at whole vectors of all `rows`.
    pub(super) fn finish_short_rows(&mut self, first: Reg, last: Reg, rows: usize, accumulators: &[Accumulator]) {
        let width = self.target.lanes();
        for &accumulator in accumulators {
            let finish = |s: &mut Self, row: Reg| {
                let number = s.b.index_sub(row, first);
                let index = s.b.index_scale(number, width);
                // the same lane of each row is a vector
                let lanes = (0..width).step_by(4).flat_map(|lane| {
                    let address = Address { base: Base::Scratch, index, offset: (accumulator.place + lane) as i64 };
                    s.b.load_transposed(Class::Float, address, width as i64)
                });
                let lanes = lanes.collect();
                let results = s.combine(accumulator, lanes);
                s.store_results(accumulator, row, results);
            };
            let rest = self.repeat_whole(first, last, width, |s, row| s.lanes(width, |s| finish(s, row)));
            match rows % width {
                0 => {}
                1 => self.repeat(rest, last, 1, |s, row| {
                    let number = s.b.index_sub(row, first);
                    let index = s.b.index_scale(number, width);
                    s.finish_row(accumulator, row, (index, accumulator.place), width);
                }),
                left => self.repeat(rest, last, width as i64, |s, row| s.lanes(left, |s| finish(s, row))),
            }
        }
    }

    /// Combines the lanes of a row, so many from a place in scratch memory on, and stores its result.
    fn finish_row(&mut self, accumulator: Accumulator, row: Reg, (index, place): (Reg, usize), lanes: usize) {
        let lanes = (0..lanes).map(|lane| {
            let address = Address { base: Base::Scratch, index, offset: (place + lane) as i64 };
            self.b.load(Class::Float, address)
        });
        let lanes = lanes.collect();
        let result = self.combine(accumulator, lanes);
        self.store_results(accumulator, row, result);
    }

    fn store_results(&mut self, accumulator: Accumulator, row: Reg, results: Reg) {
        let base = self.written(accumulator.reduction);
        self.b.store(Address { base, index: row, offset: 0 }, results);
    }

    /// The tree of the contract: halves, until one is left.
    fn combine(&mut self, accumulator: Accumulator, mut lanes: Vec<Reg>) -> Reg {
        while lanes.len() > 1 {
            let upper = lanes.split_off(lanes.len() / 2);
            lanes = lanes.into_iter().zip(upper).map(|(a, b)| self.add(accumulator, a, b)).collect();
        }
        lanes[0]
    }
}

/// What a reduction begins with.
pub(super) fn identity(function: Reduction) -> f32 {
    match function {
        Reduction::Sum => 0.0,
        Reduction::Max => f32::NEG_INFINITY,
    }
}

/// What a reduction makes of what it has and another element.
pub(super) fn step<L: Lanes>(function: Reduction, lanes: &mut L, so_far: L::F, x: L::F) -> L::F {
    match function {
        Reduction::Sum => lanes.add(so_far, x),
        Reduction::Max => lanes.max(so_far, x),
    }
}
