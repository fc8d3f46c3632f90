//! Reductions over the last axis: sixteen lanes, then the tree of the contract. Lanes lie in scratch memory; in registers where a
//! row is short.

use super::element::{Points, Row};
use super::{Argument, Lowering};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{Lanes, Op, SUM_LANES, Value};

/// A reduction of a kernel, and where its lanes are.
#[derive(Clone, Copy)]
pub(super) struct Accumulator {
    reduction: Value,
    is_sum: bool,
    /// Where in scratch memory.
    place: usize,
}

impl Lowering<'_> {
    /// Takes memory for the kernel's reductions.
    pub(super) fn accumulators(&mut self) -> Vec<Accumulator> {
        let reductions = self.kernel.row_reductions.clone().into_iter();
        let accumulator = |reduction| Accumulator {
            reduction,
            is_sum: matches!(self.plan.graph.node(reduction).op, Op::Sum(_)),
            place: self.take_scratch(SUM_LANES),
        };
        reductions.map(accumulator).collect()
    }

    fn combine(&mut self, accumulator: Accumulator, a: Reg, b: Reg) -> Reg {
        if accumulator.is_sum { self.b.add(a, b) } else { self.b.max(a, b) }
    }

    /// Sets all lanes to their identities.
    pub(super) fn clear(&mut self, accumulators: &[Accumulator]) {
        for &Accumulator { reduction, is_sum, place } in accumulators {
            let identity = if is_sum { 0.0 } else { f32::NEG_INFINITY };
            if self.has_short_rows() {
                let lanes = self.lanes(self.width, |s| vec![s.b.constant(identity); SUM_LANES / s.width]);
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
                    let sum = &mut lanes[col % SUM_LANES / self.width];
                    *sum = self.accumulate_in_register(accumulator, *sum, x);
                    self.short_sums.insert(accumulator.reduction, lanes);
                    continue;
                }
                let index = self.b.index_rem(col, SUM_LANES);
                let address = Address { base: Base::Scratch, index, offset: accumulator.place as i64 };
                let sum = self.b.load(Class::Float, address);
                let sum = self.combine(accumulator, sum, x);
                self.b.store(address, sum);
            }
        }
    }

    /// The sum with the lanes of `x` that there are.
    fn accumulate_in_register(&mut self, accumulator: Accumulator, sum: Reg, x: Reg) -> Reg {
        let combined = self.combine(accumulator, sum, x);
        let Some(part) = self.b.part else { return combined };
        let (lane, part) = (self.b.lane_numbers(), self.b.integer(part));
        let is_there = self.b.iless(lane, part);
        self.b.select(is_there, combined, sum)
    }

    /// Combines the lanes and stores the row's results.
    pub(super) fn finish_reductions(&mut self, row: &Row, accumulators: &[Accumulator]) {
        for &accumulator in accumulators {
            let result = match self.short_sums.remove(&accumulator.reduction) {
                Some(lanes) => self.combine_registers(accumulator, lanes),
                None => self.combine_memory(accumulator),
            };
            let place = self.plan.places[accumulator.reduction.index()].expect("reductions are stored");
            let base = Base::Argument(self.argument(Argument::Place(place)));
            self.b.store(Address { base, index: row.row, offset: 0 }, result);
        }
    }

    fn combine_memory(&mut self, accumulator: Accumulator) -> Reg {
        let mut lanes: Vec<Reg> = (0..SUM_LANES).map(|lane| self.load_lane(accumulator, lane)).collect();
        while lanes.len() > 1 {
            lanes = self.halve(accumulator, lanes);
        }
        lanes[0]
    }

    /// Vectors by vectors, then halves of a vector, which meet by way of memory.
    fn combine_registers(&mut self, accumulator: Accumulator, mut lanes: Vec<Reg>) -> Reg {
        let width = self.width;
        while lanes.len() > 1 {
            lanes = self.lanes(width, |s| s.halve(accumulator, lanes));
        }
        let (mut vector, mut half) = (lanes[0], width / 2);
        while half > 0 {
            let place = self.address(accumulator, 0);
            self.lanes(2 * half, |s| s.b.store(place, vector));
            if half == 1 {
                let [a, b] = [0, 1].map(|lane| self.load_lane(accumulator, lane));
                return self.combine(accumulator, a, b);
            }
            vector = self.lanes(half, |s| {
                let upper = s.address(accumulator, half);
                let [a, b] = [place, upper].map(|place| s.b.load(Class::Float, place));
                s.combine(accumulator, a, b)
            });
            half /= 2;
        }
        vector
    }

    fn halve(&mut self, accumulator: Accumulator, mut lanes: Vec<Reg>) -> Vec<Reg> {
        let upper = lanes.split_off(lanes.len() / 2);
        lanes.into_iter().zip(upper).map(|(a, b)| self.combine(accumulator, a, b)).collect()
    }

    fn load_lane(&mut self, accumulator: Accumulator, lane: usize) -> Reg {
        let address = self.address(accumulator, lane);
        self.b.load(Class::Float, address)
    }

    fn address(&mut self, accumulator: Accumulator, lane: usize) -> Address {
        Address { base: Base::Scratch, index: self.b.index(0), offset: (accumulator.place + lane) as i64 }
    }
}
