//! What each sample of each row gives, handed to the caller one after the other: memory does not grow with their number.

use super::{
    Predictor,
    block::{Care, Compiled, Memory, Pool},
    question::Question,
    rows::RowBlock,
    run::{Given, Rows, Turn},
};
use crate::Error;
use bayeslift_ir::{Tensor, memory};
use bayeslift_runtime::Argument;

impl Predictor {
    /// Calls `each` with sample, row and values, for each block of rows in the samples' order.
    pub(super) fn stream(
        &self,
        question: Question,
        rows: &Rows<'_>,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), Error> {
        RowBlock::all((0..rows.sizes.len()).collect(), rows.numbers, self.options.row_block)
            .iter()
            .try_for_each(|block| self.stream_block(question, block, rows, &mut each))
    }

    /// As [`Predictor::stream`], of one block of rows.
    pub(super) fn stream_block(
        &self,
        question: Question,
        block: &RowBlock,
        rows: &Rows<'_>,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), Error> {
        let pool = self.blocks(question).pool(&self.model, &self.options, block.size)?;
        let compiled = self.careful(pool, block, rows)?;
        let mut memory = pool.take(compiled)?;
        let given = Given::of(self, block, rows);
        let result = self.turns(pool).try_for_each(|turn| {
            self.turn(pool, compiled, &mut memory, &given, turn, || self.refuse(block, rows))?;
            let values = memory.session.outputs.first().and_then(Tensor::as_f32).unwrap_or_default();
            let units = values.len() / (turn.at_once * block.size);
            for sample in turn.done..turn.first + turn.at_once {
                for &(place, row) in &block.rows {
                    let at = (sample - turn.first) * block.size + place;
                    let values = &values[at * units..][..units];
                    self.check_row(values, row, rows)?;
                    each(sample, row, values);
                }
            }
            Ok(())
        });
        compiled.put_back(memory);
        result
    }

    /// The outputs of all samples of a block of rows, `[samples, rows of the block, ..]`.
    pub(super) fn outputs(&self, block: &RowBlock, rows: &Rows<'_>) -> Result<Vec<f32>, Error> {
        let pool = self.blocks(Question::Output).pool(&self.model, &self.options, block.size)?;
        let compiled = self.careful(pool, block, rows)?;
        let mut memory = pool.take(compiled)?;
        let (given, mut outputs) = (Given::of(self, block, rows), Vec::new());
        let result = self.turns(pool).try_for_each(|turn| {
            self.turn(pool, compiled, &mut memory, &given, turn, || self.refuse(block, rows))?;
            let values = memory.session.outputs.first().and_then(Tensor::as_f32).unwrap_or_default();
            let sample = values.len() / turn.at_once;
            if outputs.is_empty() {
                memory::check(sample.saturating_mul(self.options.samples), 4, "the outputs of all samples")?;
            }
            outputs.extend_from_slice(&values[(turn.done - turn.first) * sample..]);
            for &(place, row) in &block.rows {
                let units = sample / block.size;
                values
                    .chunks_exact(sample)
                    .try_for_each(|x| self.check_row(&x[place * units..][..units], row, rows))?;
            }
            Ok(())
        });
        compiled.put_back(memory);
        result.map(|()| outputs)
    }

    /// A block with as much care as its rows need.
    fn careful<'a>(&self, pool: &'a Pool, block: &RowBlock, rows: &Rows<'_>) -> Result<&'a Compiled, Error> {
        if block.rows.iter().all(|&(_, row)| rows.sizes[row] <= pool.bound) {
            return Ok(&pool.plain);
        }
        for care in [Care::Rescaled, Care::Watched] {
            if let Some(compiled) = pool.with(care, &self.options.backend)? {
                return Ok(compiled);
            }
        }
        Ok(&pool.plain)
    }

    /// Computes some samples of a block; asks `refuse` if something was found that outputs do not show.
    fn turn(
        &self,
        pool: &Pool,
        compiled: &Compiled,
        memory: &mut Memory,
        given: &Given<'_>,
        turn: Turn,
        refuse: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = [turn.first as u32];
        let mut arguments: Vec<Argument<'_>> = self.arguments(pool, given, &first);
        compiled.engine.call(&mut memory.session, &mut arguments)?;
        if compiled.found(&memory.session) { refuse() } else { Ok(()) }
    }

    /// That a block has no finite prediction, unless such rows are wanted.
    fn refuse(&self, block: &RowBlock, rows: &Rows<'_>) -> Result<(), Error> {
        let largest = block.rows.iter().map(|&(_, row)| row).max_by(|&a, &b| rows.sizes[a].total_cmp(&rows.sizes[b]));
        largest.map_or(Ok(()), |row| self.check_row(&[f32::NAN], row, rows))
    }

    fn check_row(&self, values: &[f32], row: usize, rows: &Rows<'_>) -> Result<(), Error> {
        if self.options.allow_non_finite || values.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        Err(Error::NonFinitePrediction { row, largest: rows.sizes[row] })
    }
}
