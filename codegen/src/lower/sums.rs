//! Reductions over the last axis: sixteen lanes, then the tree of the contract. Lanes lie in scratch memory; in
//! registers where a row is short, and then the lanes of several rows are combined at once.

use super::code::Code;
use super::pointwise::{Points, Pointwise, Row};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{Lanes, Reduction, SUM_LANES, Value};

/// The reductions of a kernel over the last axis.
pub(super) struct RowReductions(Vec<RowReduction>);

#[derive(Clone, Copy)]
struct RowReduction {
    value: Value,
    function: Reduction,
    /// Where its lanes lie in scratch memory; where rows are short, the first row's.
    lanes_at: usize,
}

/// The lanes of a row's reductions while its elements come.
pub(super) struct Sums<'r> {
    reductions: &'r [RowReduction],
    /// Of each reduction of a short row its lanes; none where they lie in scratch memory.
    registers: Vec<Vec<Reg>>,
}

impl Sums<'_> {
    /// Of a row that is not reduced.
    pub fn none() -> Sums<'static> {
        Sums { reductions: &[], registers: Vec::new() }
    }
}

impl RowReductions {
    /// Takes memory for the kernel's reductions: where rows are short, for those of `rows_at_once`.
    pub fn new(code: &mut Code<'_>, rows_at_once: usize) -> RowReductions {
        let context = code.context;
        let lanes = if context.has_short_rows() { rows_at_once * context.width() } else { SUM_LANES };
        let reduction = |&value: &Value| RowReduction {
            value,
            function: context.reduction(value),
            lanes_at: code.take_scratch(lanes),
        };
        RowReductions(context.kernel.row_reductions().iter().map(reduction).collect())
    }

    /// Begins a row: all lanes are their identities.
    pub fn begin(&self, code: &mut Code<'_>) -> Sums<'_> {
        let mut registers = Vec::new();
        let width = code.context.width();
        for reduction in &self.0 {
            let identity = identity(reduction.function);
            if code.context.has_short_rows() {
                registers.push(code.lanes(width, |code| vec![code.b.constant(identity); SUM_LANES / width]));
                continue;
            }
            let (start, end) = (code.b.index(0), code.b.index(SUM_LANES));
            code.repeat(start, end, 1, |code, lane| {
                let x = code.b.constant(identity);
                code.b.store(Address { base: Base::Scratch, index: lane, offset: reduction.lanes_at as i64 }, x);
            });
        }
        Sums { reductions: &self.0, registers }
    }

    /// Combines the lanes of short rows, as many at once as a vector has elements, and stores the results. Ranges of
    /// rows begin at whole vectors of all `rows`.
    pub fn finish_short_rows(&self, code: &mut Code<'_>, first: Reg, last: Reg, rows: usize) {
        let width = code.context.width();
        for reduction in &self.0 {
            let finish = |code: &mut Code<'_>, row: Reg| {
                let number = code.b.index_sub(row, first);
                let index = code.b.index_scale(number, width);
                // the same lane of each row is a vector
                let lanes = (0..width).step_by(4).flat_map(|lane| {
                    let offset = (reduction.lanes_at + lane) as i64;
                    code.b.load_transposed(Class::Float, Address { base: Base::Scratch, index, offset }, width as i64)
                });
                let lanes = lanes.collect();
                let results = reduction.combine(code, lanes);
                reduction.store(code, row, results);
            };
            let rest = code.repeat_whole(first, last, width, |code, row| code.lanes(width, |code| finish(code, row)));
            match rows % width {
                0 => {}
                1 => code.repeat(rest, last, 1, |code, row| {
                    let number = code.b.index_sub(row, first);
                    let index = code.b.index_scale(number, width);
                    reduction.finish(code, row, index, width);
                }),
                left => code.repeat(rest, last, width as i64, |code, row| code.lanes(left, |code| finish(code, row))),
            }
        }
    }
}

impl Sums<'_> {
    /// Adds what is reduced at some points to the lanes of their columns.
    pub fn add<const N: usize>(
        &mut self,
        code: &mut Code<'_>,
        pointwise: &Pointwise<'_>,
        row: &Row,
        points: &mut Points<N>,
    ) {
        for (number, reduction) in self.reductions.iter().enumerate() {
            let operand = code.context.operand(reduction.value);
            for (col, x) in points.cols.into_iter().zip(pointwise.eval(code, operand, row, points)) {
                if let Some(lanes) = self.registers.get_mut(number) {
                    let col = code.b.constant_index(col).expect("columns of short rows are known") as usize;
                    let sum = &mut lanes[col % SUM_LANES / code.context.width()];
                    *sum = reduction.add_part(code, *sum, x);
                    continue;
                }
                let index = code.b.index_rem(col, SUM_LANES);
                let address = Address { base: Base::Scratch, index, offset: reduction.lanes_at as i64 };
                let sum = code.b.load(Class::Float, address);
                let sum = reduction.add(code, sum, x);
                code.b.store(address, sum);
            }
        }
    }

    /// Combines the lanes and stores the row's results.
    pub fn finish(self, code: &mut Code<'_>, row: &Row) {
        for reduction in self.reductions {
            let index = code.b.index(0);
            reduction.finish(code, row.row, index, SUM_LANES);
        }
    }

    /// Combines the lanes of a short row to one vector, and keeps it in scratch memory until
    /// [`RowReductions::finish_short_rows`]: that of the row `more` after the one of this number in its tile.
    pub fn keep(self, code: &mut Code<'_>, number: Reg, more: usize) {
        let width = code.context.width();
        for (reduction, lanes) in self.reductions.iter().zip(self.registers) {
            let index = code.b.index_scale(number, width);
            let offset = (reduction.lanes_at + more * width) as i64;
            code.lanes(width, |code| {
                let vector = reduction.combine(code, lanes);
                code.b.store(Address { base: Base::Scratch, index, offset }, vector);
            });
        }
    }
}

impl RowReduction {
    fn add(&self, code: &mut Code<'_>, a: Reg, b: Reg) -> Reg {
        step(self.function, &mut code.b, a, b)
    }

    /// The sum with the lanes of `x` that there are.
    fn add_part(&self, code: &mut Code<'_>, sum: Reg, x: Reg) -> Reg {
        let combined = self.add(code, sum, x);
        let Some(active) = code.b.mode().active() else { return combined };
        let (lane, end) = (code.b.lane_numbers(), code.b.integer(active));
        let is_there = code.b.iless(lane, end);
        code.b.select(is_there, combined, sum)
    }

    /// Combines the lanes of a row, `lanes` from element `index` of its scratch memory on, and stores its result.
    fn finish(&self, code: &mut Code<'_>, row: Reg, index: Reg, lanes: usize) {
        let lanes = (0..lanes).map(|lane| {
            let address = Address { base: Base::Scratch, index, offset: (self.lanes_at + lane) as i64 };
            code.b.load(Class::Float, address)
        });
        let lanes = lanes.collect();
        let result = self.combine(code, lanes);
        self.store(code, row, result);
    }

    fn store(&self, code: &mut Code<'_>, row: Reg, results: Reg) {
        let base = code.written(self.value);
        code.b.store(Address { base, index: row, offset: 0 }, results);
    }

    /// The tree of the contract: halves, until one is left.
    fn combine(&self, code: &mut Code<'_>, mut lanes: Vec<Reg>) -> Reg {
        while lanes.len() > 1 {
            let upper = lanes.split_off(lanes.len() / 2);
            lanes = lanes.into_iter().zip(upper).map(|(a, b)| self.add(code, a, b)).collect();
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
