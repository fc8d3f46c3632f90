//! Left operands whose rows are windows: gathered while they are packed, run by run.
//!
//! A row of windows, or a column where the operand is transposed, lies in memory in runs that one stride describes:
//! channels of neighbouring positions, or neighbouring windows. Everything before is found once a run.

use super::code::Code;
use super::panel::{FOUR, Matrix, OperandSource, ROW_PITCH, Span};
use crate::tile::{Base, Reg};
use bayeslift_ir::DOT_CHUNK;

/// Up to this many runs of a row are packed without a loop.
const FEW_RUNS: usize = 8;

/// Packs some rows, with as many columns of each as are in a run and a chunk.
struct Packing<'s> {
    source: &'s OperandSource,
    /// For each matrix the index of an element `column * step` before the first one of the run.
    before: Vec<Reg>,
    /// Where the rows lie in scratch memory, counted from column 0.
    to: Reg,
    scratch: usize,
    /// Rows that are neighbours in memory and packed together.
    together: usize,
}

impl Code<'_> {
    /// Writes an operand row by row. Returns the rows that it writes, of which the first may come before the first that
    /// is asked for.
    pub fn pack_windows(&mut self, source: &OperandSource, batch: Reg, rows: Span, cols: Span, scratch: usize) -> Span {
        let neighbours =
            |matrix: &Matrix| matches!(matrix.rows.nested().last(), Some((extent, 1)) if extent.is_multiple_of(FOUR));
        let together = if source.matrices().all(neighbours) { FOUR } else { 1 };
        let run = source.matrices().map(|matrix| matrix.cols.nested().last().map_or(1, |&(extent, _)| extent));
        let run = run.reduce(greatest_common_divisor).expect("an operand reads memory");
        let first_row = self.b.index_round_down(rows.first, together);
        let origins = self.origins(source, batch);
        self.repeat(first_row, rows.last, together as i64, |s, row| {
            let of_row: Vec<Reg> = source
                .matrices()
                .zip(&origins)
                .map(|(matrix, &origin)| {
                    let to_row = s.nested_offset(matrix.rows.nested(), row);
                    s.b.index_add(origin, to_row)
                })
                .collect();
            let to = s.b.index_sub(row, first_row);
            let to = s.b.index_scale(to, ROW_PITCH);
            let to = s.b.index_sub(to, cols.first);
            let pack = |s: &mut Self, number: Reg| {
                let first = s.b.index_scale(number, run);
                let before = source.matrices().zip(&of_row).map(|(matrix, &of_row)| {
                    let to_run = s.nested_offset(&runs(matrix, run), number);
                    let back = s.b.index_scale_signed(first, -matrix.steps().1);
                    let to_run = s.b.index_add(to_run, back);
                    s.b.index_add(of_row, to_run)
                });
                let packing = Packing { source, before: before.collect(), to, scratch, together };
                s.pack_run(&packing, first, run, cols);
            };
            if cols.extent <= DOT_CHUNK && cols.extent / run <= FEW_RUNS {
                // where a run begins is known
                for number in 0..cols.extent / run {
                    let number = s.b.index(number);
                    pack(s, number);
                }
                return;
            }
            let first_run = s.b.index_div(cols.first, run);
            let last_run = s.b.index_offset(cols.last, run as i64 - 1);
            let last_run = s.b.index_div(last_run, run);
            s.repeat(first_run, last_run, 1, pack);
        });
        Span { first: first_row, ..rows }
    }

    /// The columns of a chunk that are in the run of columns from `first` on.
    fn pack_run(&mut self, packing: &Packing<'_>, first: Reg, run: usize, chunk: Span) {
        let width = self.context.width();
        let last = self.b.index_offset(first, run as i64);
        if chunk.extent <= DOT_CHUNK {
            // runs are whole
            let whole = self.b.index_offset(first, (run - run % width) as i64);
            if run >= width {
                self.repeat(first, whole, width as i64, |s, col| s.pack_columns(packing, col, width));
            }
            if !run.is_multiple_of(width) {
                self.pack_columns(packing, whole, run % width);
            }
            return;
        }
        let begin = {
            let sum = self.b.index_add(first, chunk.first);
            let smaller = self.b.index_min(first, chunk.first);
            self.b.index_sub(sum, smaller)
        };
        let end = self.b.index_min(last, chunk.last);
        self.repeat_whole(begin, end, width, |s, col| s.pack_columns(packing, col, width));
        if run.is_multiple_of(width) && DOT_CHUNK.is_multiple_of(width) && chunk.extent.is_multiple_of(width) {
            return;
        }
        // the rest as a vector that ends with it and writes some columns again; where there is no vector, one by one
        let count = self.b.index_sub(end, begin);
        let vectors = self.b.index_div(count, width);
        let (none, one) = (self.b.index(0), self.b.index(1));
        let has_vector = self.b.index_min(vectors, one);
        self.repeat(none, has_vector, 1, |s, _| {
            let col = s.b.index_offset(end, -(width as i64));
            s.pack_columns(packing, col, width);
        });
        let done = self.b.index_scale(has_vector, run);
        let end = self.b.index_sub(end, done);
        self.repeat(begin, end, 1, |s, col| s.pack_columns(packing, col, 1));
    }

    /// `lanes` columns from `col` on.
    fn pack_columns(&mut self, packing: &Packing<'_>, col: Reg, lanes: usize) {
        let indices = packing.source.matrices().zip(&packing.before).map(|(matrix, &before)| {
            let to_col = self.b.index_scale_signed(col, matrix.steps().1);
            self.b.index_add(before, to_col)
        });
        let indices: Vec<Reg> = indices.collect();
        let index = self.b.index_add(packing.to, col);
        self.lanes(lanes, |s| {
            let rows = match packing.together {
                FOUR => s.elements_at::<FOUR>(packing.source, &indices).to_vec(),
                _ => s.elements_at::<1>(packing.source, &indices).to_vec(),
            };
            for (i, row) in rows.into_iter().enumerate() {
                let offset = (packing.scratch + i * ROW_PITCH) as i64;
                let address = s.float_at(Base::Scratch, index, offset);
                s.b.store(address, row);
            }
        });
    }
}

/// The nested axes that count runs of columns.
fn runs(matrix: &Matrix, run: usize) -> Vec<(usize, i64)> {
    let mut axes = matrix.cols.nested().to_vec();
    if let Some(last) = axes.last_mut() {
        *last = (last.0 / run, last.1 * run as i64);
    }
    axes
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
