//! What each sample of each row gives, handed to the caller one after the other: memory does not grow with their
//! number.

use super::{
    Predictor,
    block::{Care, Compiled, Memory, Pool},
    question::Question,
    rows::RowBlock,
    run::{Given, Rows, Turn},
};
use crate::{Error, Float};
use bayeslift_ir::memory;

/// Takes the values of some samples, `[samples, rows of the block, ..]`, and whether something was not finite that they
/// do not show.
type OnTurn<'a, T> = dyn FnMut(Turn, bool, &[T]) -> Result<(), Error> + 'a;

impl Predictor {
    /// Calls `each` with sample, row and values, for each block of rows in the samples' order.
    pub(super) fn stream<T: Float>(
        &self,
        question: Question,
        rows: &Rows<'_>,
        each: &mut dyn FnMut(usize, usize, &[T]),
    ) -> Result<(), Error> {
        let blocks = self.careful_blocks(question, rows)?;
        blocks.iter().try_for_each(|block| self.stream_block(question, block, rows, each))
    }

    /// The blocks of a call's rows. Those that are so large that something may overflow unseen are alone.
    pub(super) fn careful_blocks(&self, question: Question, rows: &Rows<'_>) -> Result<Vec<RowBlock>, Error> {
        let size = self.row_block(rows.sizes.len());
        let bound = self.blocks(question).any(&self.model, &self.options, size)?.bound;
        let (small, large): (Vec<usize>, Vec<usize>) = (0..rows.sizes.len()).partition(|&row| rows.sizes[row] <= bound);
        let mut blocks = RowBlock::all(small, rows.numbers, self.options.row_block);
        blocks.extend(large.into_iter().map(|row| RowBlock::alone(row, rows.numbers)));
        Ok(blocks)
    }

    /// As [`Predictor::stream`], of one block of rows. If rows are wanted that are not finite, all values of such a row
    /// are `NaN`.
    pub(super) fn stream_block<T: Float>(
        &self,
        question: Question,
        block: &RowBlock,
        rows: &Rows<'_>,
        each: &mut dyn FnMut(usize, usize, &[T]),
    ) -> Result<(), Error> {
        let mut bad = vec![false; block.size];
        if self.options.allow_non_finite {
            // first of all, since what was handed over cannot be taken back
            self.each_turn(question, block, rows, &mut |turn, found, values: &[T]| {
                let units = values.len() / (turn.at_once * block.size);
                for (i, values) in values.chunks_exact(units).enumerate() {
                    bad[i % block.size] |= found || values.iter().any(|&x| !x.into().is_finite());
                }
                Ok(())
            })?;
        }
        self.each_turn(question, block, rows, &mut |turn, found, values: &[T]| {
            let units = values.len() / (turn.at_once * block.size);
            let none = vec![T::NAN; units];
            for sample in turn.done..turn.first + turn.at_once {
                for &(place, row) in &block.rows {
                    let at = (sample - turn.first) * block.size + place;
                    let values = &values[at * units..][..units];
                    if !self.options.allow_non_finite && (found || values.iter().any(|&x| !x.into().is_finite())) {
                        return Err(Error::NonFinitePrediction { row, largest: rows.sizes[row] });
                    }
                    each(sample, row, if bad[place] { &none } else { values });
                }
            }
            Ok(())
        })
    }

    /// The outputs of all samples of a block of rows, `[samples, rows of the block, ..]`.
    pub(super) fn outputs<T: Float>(&self, block: &RowBlock, rows: &Rows<'_>) -> Result<Vec<T>, Error> {
        let pool = self.blocks(Question::Output).pool(&self.model, &self.options, block.size)?;
        let units = pool.each_elements() / (pool.at_once * block.size);
        let samples = if pool.draws { self.options.samples } else { 1 };
        memory::check(samples.saturating_mul(block.size * units), size_of::<T>(), "the outputs of all samples")?;
        let mut outputs = vec![T::default(); samples * block.size * units];
        self.stream_block(Question::Output, block, rows, &mut |sample, row, values: &[T]| {
            for &(place, _) in block.rows.iter().filter(|(_, other)| *other == row) {
                outputs[(sample * block.size + place) * units..][..units].copy_from_slice(values);
            }
        })?;
        Ok(outputs)
    }

    /// Computes all samples of a block with as much care as its rows need, and calls `each` with what each turn gives.
    fn each_turn<T: Float>(
        &self,
        question: Question,
        block: &RowBlock,
        rows: &Rows<'_>,
        each: &mut OnTurn<'_, T>,
    ) -> Result<(), Error> {
        let pool = self.blocks(question).pool(&self.model, &self.options, block.size)?;
        let compiled = self.careful(pool, block, rows)?;
        let mut memory = pool.take(compiled)?;
        let given = Given::of(self, block, rows);
        let result = self.turns(pool).try_for_each(|turn| {
            let Memory { session, .. } = &mut memory;
            let first = [turn.first as u32];
            compiled.engine.call(session, &mut self.arguments(pool, &given, &first))?;
            let found = compiled.found(session);
            each(turn, found, &T::of_tensor(session.outputs.first()))
        });
        compiled.put_back(memory);
        result
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
}
