//! Reductions of doubles: one chain each, in increasing order. Several chains go side by side, since the additions of one wait for each
//! other.

use super::Lowering;
use super::element::{Points, Row};
use crate::tile::Reg;
use bayeslift_ir::{DoubleLanes, Kind, Reduction, Value};

/// How many rows are reduced side by side.
const ROWS_ABREAST: usize = 4;

impl Lowering<'_> {
    /// How many rows the kernel reduces side by side in order; 0 if it reduces no rows of doubles.
    pub(super) fn rows_in_order(&self) -> usize {
        let reduces = !self.kernel.row_reductions().is_empty() && self.kernel.is_of_doubles(&self.plan.graph);
        if reduces { ROWS_ABREAST } else { 0 }
    }

    /// Computes and stores so many rows, from `first` on, and what they are reduced to.
    pub(super) fn reduce_rows_in_order(&mut self, first: Reg, count: usize, cols: usize) {
        let rows: Vec<Reg> = (0..count).map(|i| self.b.index_offset(first, i as i64)).collect();
        let rows: Vec<Row> = rows.into_iter().map(|row| self.enter_row(row, None)).collect();
        let reductions: Vec<(Value, Reduction)> =
            self.kernel.row_reductions().iter().map(|&value| (value, self.reduction(value))).collect();
        let none = reductions.iter().map(|&(_, function)| self.b.dconstant(identity(function)));
        let none = none.collect::<Vec<_>>().repeat(count);
        let (start, end) = (self.b.index(0), self.b.index(cols));
        let results = self.repeat_carrying(start, end, 1, &none, |s, col, so_far| {
            let mut next = Vec::with_capacity(so_far.len());
            for (row, so_far) in rows.iter().zip(so_far.chunks(reductions.len())) {
                let mut points = Points::new([col]);
                for (&(reduction, function), &so_far) in reductions.iter().zip(so_far) {
                    let [x] = s.eval(s.plan.graph.node(reduction).args[0], row, &mut points);
                    next.push(step(function, &mut s.b, so_far, x));
                }
                s.store(row, &mut points);
            }
            next
        });
        for (row, results) in rows.iter().zip(results.chunks(reductions.len())) {
            for (&(reduction, _), &result) in reductions.iter().zip(results) {
                let base = self.written(reduction);
                let address = self.element(base, self.b.ty(result).class, row.row);
                self.b.store(address, result);
            }
        }
    }

    /// What a reduction does.
    pub(super) fn reduction(&self, value: Value) -> Reduction {
        match self.plan.graph.node(value).op.kind() {
            Kind::Reduction { function, .. } => function,
            _ => unreachable!("{value} is no reduction"),
        }
    }
}

/// What a reduction of doubles begins with.
pub(super) fn identity(function: Reduction) -> f64 {
    super::sums::identity(function).into()
}

/// What a reduction of doubles makes of what it has and another element.
pub(super) fn step<L: DoubleLanes>(function: Reduction, lanes: &mut L, so_far: L::D, x: L::D) -> L::D {
    match function {
        Reduction::Sum => lanes.dadd(so_far, x),
        Reduction::Max => lanes.dmax(so_far, x),
    }
}
