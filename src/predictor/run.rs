//! Answering a question for the rows of a call: the loop over blocks of samples and rows.

use super::{
    PREDICTION_STEP, Predictor,
    answers::Answers,
    block::{Blocks, Care, Compiled, Memory, Pool},
    question::Question,
    rows::{Numbers, RowBlock},
};
use crate::{
    Error, Float, FloatCow, Targets,
    engine::{noise_key, words},
};
use bayeslift_layers::likelihood::Target;
use bayeslift_runtime::{Argument, Explanation};
use std::borrow::Cow;

/// The rows of a call.
pub(super) struct Rows<'a> {
    pub numbers: Numbers<'a>,
    /// In the type of the network.
    pub inputs: FloatCow<'a>,
    /// What the question needs besides.
    pub besides: Besides<'a>,
    /// The largest absolute value of each row.
    pub sizes: Vec<f64>,
}

/// What a question needs besides inputs, row after row.
#[derive(Clone, Copy)]
pub(super) enum Besides<'a> {
    Nothing,
    Targets {
        targets: &'a Targets,
        /// Which events are known, as a mask.
        known: &'a [u32],
    },
}

/// An argument of a block: numbers of the call, or a copy of those of its rows.
enum ArgumentCow<'a> {
    Words(Cow<'a, [u32]>),
    Floats(FloatCow<'a>),
}

impl Predictor {
    /// Answers a question for all rows.
    pub(super) fn answer(&self, question: Question, rows: &Rows<'_>) -> Result<Answers, Error> {
        let blocks = self.blocks(question);
        let count = rows.sizes.len();
        let any = blocks.any(&self.model, &self.options, self.row_block(count))?;
        let mut answers = Answers::new(any, self.options.samples, count);
        self.carefully(rows, any.bound, &mut answers, |care, left, answers| {
            self.answer_with(care, blocks, rows, left, answers)
        })?;
        Ok(answers)
    }

    /// How many rows a block has that serves `rows` rows.
    pub(super) fn row_block(&self, rows: usize) -> usize {
        if rows * 2 <= self.options.row_block { 1 } else { self.options.row_block }
    }

    /// Computes all rows by `compute`, which is told a care and rows, and returns those of them that have nothing
    /// finite by it.
    ///
    /// Rows for which nothing can overflow unseen are computed as they are; others, and those that give nothing finite,
    /// with more and more care.
    pub(super) fn carefully(
        &self,
        rows: &Rows<'_>,
        bound: f64,
        answers: &mut Answers,
        mut compute: impl FnMut(Care, Vec<usize>, &mut Answers) -> Result<Vec<usize>, Error>,
    ) -> Result<(), Error> {
        let (mut left, mut large): (Vec<usize>, Vec<usize>) =
            (0..rows.sizes.len()).partition(|&row| rows.sizes[row] <= bound);
        for care in Care::ALL {
            left = compute(care, left, answers)?;
            left.append(&mut large);
            if left.is_empty() {
                return Ok(());
            }
        }
        if let Some(&row) = left.iter().min()
            && !self.options.allow_non_finite
        {
            return Err(Error::NonFinitePrediction { row, largest: rows.sizes[row] });
        }
        left.into_iter().for_each(|row| answers.give_up(row));
        Ok(())
    }

    /// As [`Predictor::answer`], for a question that is answered with one number for each row.
    pub(super) fn answer_one(&self, question: Question, rows: &Rows<'_>) -> Result<Vec<f64>, Error> {
        Ok(self.answer(question, rows)?.take_f64().unwrap_or_default())
    }

    /// Computes these rows with this care. Returns those that have nothing finite by it.
    pub(super) fn answer_with(
        &self,
        care: Care,
        blocks: &Blocks,
        rows: &Rows<'_>,
        which: Vec<usize>,
        answers: &mut Answers,
    ) -> Result<Vec<usize>, Error> {
        let mut without = Vec::new();
        let mut pending = RowBlock::all(which, rows.numbers, self.options.row_block);
        while let Some(block) = pending.pop() {
            let pool = blocks.pool(&self.model, &self.options, block.size)?;
            let Some(compiled) = pool.with(care, &self.options.backend)? else {
                without.extend(block.rows.iter().map(|&(_, row)| row));
                continue;
            };
            let mut memory = pool.take(compiled)?;
            let found = self.answer_block(pool, compiled, &mut memory, &block, rows);
            if found.is_ok() {
                answers.fill(&block, &memory);
            }
            compiled.put_back(memory);
            if !found? {
                without.extend(block.rows.iter().map(|&(_, row)| row).filter(|&row| !answers.is_finite(row)));
            } else if block.size == 1 {
                without.extend(block.rows.iter().map(|&(_, row)| row));
            } else {
                // Which of the rows it was shows each of them alone.
                pending.extend(block.rows.iter().map(|&(_, row)| RowBlock::alone(row, rows.numbers)));
            }
        }
        Ok(without)
    }

    /// Adds up all samples of one block of rows, and makes results of them. Tells whether a value was not finite that
    /// results do not show.
    fn answer_block(
        &self,
        pool: &Pool,
        compiled: &Compiled,
        memory: &mut Memory,
        block: &RowBlock,
        rows: &Rows<'_>,
    ) -> Result<bool, Error> {
        let given = Given::of(self, block, rows);
        let mut found = false;
        memory.clear(pool);
        for turn in self.turns(pool) {
            found |= self.add(pool, compiled, memory, &given, turn.first, &[[turn.done as u32]])?;
        }
        self.finish(pool, memory)?;
        Ok(found)
    }

    /// Adds the samples of a block from number `first` on, as far as the numbers in `bounds` say: [`DONE`], and, of an
    /// open block, [`END`]. Tells whether a value was not finite that results do not show.
    ///
    /// [`DONE`]: super::question::DONE
    /// [`END`]: super::question::END
    pub(super) fn add(
        &self,
        pool: &Pool,
        compiled: &Compiled,
        memory: &mut Memory,
        given: &Given<'_>,
        first: usize,
        bounds: &[[u32; 1]],
    ) -> Result<bool, Error> {
        let first = [first as u32];
        let mut arguments = self.arguments(pool, given, &first);
        if !memory.accumulators.is_empty() {
            arguments.extend(bounds.iter().map(|number| Argument::U32(number)));
            arguments.extend(memory.accumulators.iter_mut().map(Argument::from));
        }
        compiled.engine.call(&mut memory.session, &mut arguments)?;
        Ok(compiled.found(&memory.session))
    }

    /// Makes results of what was added up.
    pub(super) fn finish(&self, pool: &Pool, memory: &mut Memory) -> Result<(), Error> {
        memory.finish(pool, [Argument::U32(&[self.options.samples as u32])])
    }

    /// As [`Predictor::profile`], of the first samples of a block.
    pub(super) fn profile_block(
        &self,
        pool: &Pool,
        memory: &mut Memory,
        block: &RowBlock,
        rows: &Rows<'_>,
        runs: usize,
    ) -> Result<Explanation, Error> {
        let given = Given::of(self, block, rows);
        memory.clear(pool);
        let mut arguments = self.arguments(pool, &given, &[0]);
        if !memory.accumulators.is_empty() {
            arguments.push(Argument::U32(&[0]));
            arguments.extend(memory.accumulators.iter_mut().map(Argument::from));
        }
        pool.plain.engine.profile(&mut memory.session, &mut arguments, runs)
    }

    /// The blocks of samples.
    pub(super) fn turns(&self, pool: &Pool) -> impl Iterator<Item = Turn> + use<> {
        let (samples, at_once) = (if pool.draws { self.options.samples } else { 1 }, pool.at_once);
        // The last block has some samples again rather than ones that nobody asked for.
        (0..samples).step_by(at_once).map(move |done| Turn { first: done.min(samples - at_once), done, at_once })
    }

    /// What a block is computed of that begins with outputs.
    pub(super) fn given<'a, T: Float>(&self, block: &RowBlock, outputs: &'a [T], at: &'a [T]) -> Given<'a> {
        let (key, first_row) = (self.key(), words(block.first));
        Given { key, first_row, x: T::floats(outputs), besides: vec![ArgumentCow::Floats(T::floats(at))] }
    }

    /// The key that predictions' noise is addressed by.
    fn key(&self) -> [u32; 4] {
        noise_key(self.options.seed.unwrap_or(self.model.seed), PREDICTION_STEP)
    }

    /// The arguments of a block that all questions have: what depends on parameters, the address of its noise, inputs.
    pub(super) fn arguments<'a>(&'a self, pool: &'a Pool, given: &'a Given<'_>, first: &'a [u32]) -> Vec<Argument<'a>> {
        const OTHERS: usize = 16;
        let mut arguments = Vec::with_capacity(OTHERS);
        pool.parameters(&self.model, &mut arguments);
        arguments.extend([&given.key, first, &given.first_row].map(Argument::U32));
        arguments.push(given.x.argument());
        arguments.extend(given.besides.iter().map(ArgumentCow::argument));
        arguments
    }
}

/// Some samples of a block: the number of the first, how many were added before, how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub first: usize,
    pub done: usize,
    pub at_once: usize,
}

/// What a block of rows is computed of, besides parameters.
pub(super) struct Given<'a> {
    key: [u32; 4],
    first_row: [u32; 2],
    x: FloatCow<'a>,
    besides: Vec<ArgumentCow<'a>>,
}

impl<'a> Given<'a> {
    pub fn of(predictor: &Predictor, block: &RowBlock, rows: &'a Rows<'a>) -> Self {
        Given {
            key: predictor.key(),
            first_row: words(block.first),
            x: block.floats(&rows.inputs, predictor.model.input.elements()),
            besides: rows.besides.of(block, &predictor.model.target),
        }
    }
}

impl<'a> Besides<'a> {
    fn of(self, block: &RowBlock, target: &Target) -> Vec<ArgumentCow<'a>> {
        let Besides::Targets { targets, known } = self else { return Vec::new() };
        let units = target.shape.elements();
        let targets = match targets {
            Targets::Labels(labels) => ArgumentCow::Words(block.of(labels, units)),
            Targets::Values { values, .. } => ArgumentCow::Floats(FloatCow::F32(block.of(values, units))),
            Targets::Doubles { values, .. } => ArgumentCow::Floats(FloatCow::F64(block.of(values, units))),
        };
        vec![targets, ArgumentCow::Words(block.of(known, target.events.elements()))]
    }
}

impl ArgumentCow<'_> {
    fn argument(&self) -> Argument<'_> {
        match self {
            ArgumentCow::Words(words) => Argument::U32(words),
            ArgumentCow::Floats(floats) => floats.argument(),
        }
    }
}
