//! Steps of tables of which rows are read: they compute and write those rows alone.

use bayeslift_ir::{Builder, Expr, Op, Tensor};
use bayeslift_layers::{Optimizer, Step, Update};

/// The gradient of a table that rows were read of, once.
#[derive(Clone, Copy)]
pub(super) struct RowGradient<'b> {
    /// The numbers of the rows that were read, `u32[n]`: some may be equal, some no row's.
    pub numbers: Expr<'b>,
    /// For each of them the position of the first that equals it.
    first: Expr<'b>,
    /// The sum of the gradients of each row, where it was read first, and zeros at other positions: `[n, width]`. In
    /// the order of [`Op::ScatterAdd`], as in a gradient of all rows.
    pub sums: Expr<'b>,
    /// The gradient of all rows, which is computed if it is asked for.
    pub all: Expr<'b>,
}

impl<'b> RowGradient<'b> {
    /// If a gradient is that of rows and of nothing else.
    pub fn of(gradient: Expr<'b>) -> Option<RowGradient<'b>> {
        let b: &'b Builder = gradient.builder();
        let node = b.graph().node(gradient.value()).clone();
        let (Op::ScatterAdd(rows), 2) = (&node.op, node.ty.shape.len()) else { return None };
        let [each, numbers] = [0, 1].map(|i| b.expr(node.args[i]));
        let first = numbers.first_equal(*rows);
        Some(RowGradient { numbers, first, sums: each.scatter_add(first, numbers.shape().elements()), all: gradient })
    }

    /// What becomes of the rows that were read, of the parameter and of its state: at each position, so that equal ones
    /// become the same.
    pub fn update(self, optimizer: &dyn Optimizer, step: &Step<'_, 'b>) -> Update<'b> {
        let state: Vec<Expr<'b>> = step.state.iter().map(|state| state.gather(self.numbers)).collect();
        let parameter = step.parameter.gather(self.numbers);
        let of_rows = Step { parameter, state: &state, numbers: Some(self.numbers), ..*step };
        optimizer.update(&of_rows, self.sums.gather(self.first))
    }

    /// As [`RowGradient::update`], for all rows, of which those that were not read stay.
    pub fn update_of_all(self, optimizer: &dyn Optimizer, step: &Step<'_, 'b>) -> Update<'b> {
        let b = self.all.builder();
        let one = b.constant(1.0).broadcast(&[self.numbers.shape().elements(), 1].into());
        let is_read = b.constant(0.0).less(one.scatter_add(self.numbers, self.all.shape()[0]));
        let Update { parameter, state } = optimizer.update(step, self.all);
        let state = state.into_iter().zip(step.state).map(|(new, &old)| is_read.select(new, old));
        Update { parameter: is_read.select(parameter, step.parameter), state: state.collect() }
    }
}

/// Writes rows `[n, width]` over those of a table that have these numbers; of several for one row the first counts.
pub(super) fn write_rows(table: &mut Tensor, numbers: &[u32], rows: &Tensor) {
    let width = rows.shape().last_extent();
    if let (Some(table), Some(rows)) = (table.as_f32_mut(), rows.as_f32()) {
        write(table, numbers, rows, width);
    } else if let (Some(table), Some(rows)) = (table.as_f64_mut(), rows.as_f64()) {
        write(table, numbers, rows, width);
    }
}

fn write<T: Copy>(table: &mut [T], numbers: &[u32], rows: &[T], width: usize) {
    for (row, &number) in rows.chunks_exact(width).zip(numbers).rev() {
        if let Some(old) = table.chunks_exact_mut(width).nth(number as usize) {
            old.copy_from_slice(row);
        }
    }
}
