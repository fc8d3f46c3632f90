//! Answers a few samples at a time, in memory that the caller keeps.

use super::{Functions, MOST_SAMPLES, Turn, check_memory, refuse, within};
use crate::deploy::{entry::OfBlock, layout::ALIGN, status::status};
use Width::{Long, Word};
use bayeslift_codegen::routine::{Expr, RoutineBuilder, Variable, Width};

/// What tells a state that was initialised.
const STATE: i64 = 0x6261_7965_7373_7461;
/// The bytes of a state before the accumulators, and what they hold, long by long.
pub const STATE_HEADER: u64 = ALIGN;
const STATE_SEED: i64 = 8;
const STATE_FIRST_ROW: i64 = 16;
const STATE_FIRST_SAMPLE: i64 = 24;
const STATE_ROWS: i64 = 32;
const STATE_DONE: i64 = 40;
/// Whether a value was not finite that results do not show.
const STATE_FOUND: i64 = 48;

impl Functions<'_> {
    pub(super) fn begin(&self) -> RoutineBuilder {
        let (mut builder, [request, rows, state]) = RoutineBuilder::new([Long; 3]);
        let b = &mut builder;
        check_memory(b, &[state]);
        self.check_rows(b, None, rows);
        let [seed, first_row, first_sample, _] = self.request(b, request);
        b.store(Long, state, 0, STATE);
        b.store(Long, state, STATE_SEED, seed);
        b.store(Long, state, STATE_FIRST_ROW, first_row);
        b.store(Long, state, STATE_FIRST_SAMPLE, first_sample);
        b.store(Long, state, STATE_ROWS, rows);
        b.store(Long, state, STATE_DONE, 0);
        b.store(Long, state, STATE_FOUND, 0);
        self.each_block(b, rows, (state + STATE_HEADER as i64, true), |b, block, turn| {
            let Some(clear) = self.of[block].clear else { return };
            self.times(b, |b, member| {
                b.run(clear, vec![turn.accumulators + member * self.accumulator_bytes(block)]);
            });
        });
        b.give(status("OK"));
        builder
    }

    fn check_state(b: &mut RoutineBuilder, state: Variable) {
        check_memory(b, &[state]);
        refuse(b, Expr::from(state).load(Long, 0).equal(STATE).is_zero(), "ERROR_UNINITIALISED");
    }

    pub(super) fn add(&self) -> RoutineBuilder {
        let (mut builder, [samples, inputs, rows, state, workspace]) =
            RoutineBuilder::new([Word, Long, Long, Long, Long]);
        let b = &mut builder;
        Self::check_state(b, state);
        self.check_workspace(b, workspace);
        self.check_rows(b, Some(inputs), rows);
        let load = |b: &mut RoutineBuilder, at| b.set(Expr::from(state).load(Long, at));
        let [begun, seed, first_row, first_sample, done] =
            [STATE_ROWS, STATE_SEED, STATE_FIRST_ROW, STATE_FIRST_SAMPLE, STATE_DONE].map(|at| load(b, at));
        refuse(b, Expr::from(begun).equal(rows).is_zero(), "ERROR_ROWS");
        let end = b.set(done + samples);
        refuse(b, Expr::from(MOST_SAMPLES).less(first_sample + end), "ERROR_SAMPLES");
        within(b, self.architecture, |b| {
            let found = self.with_inputs(b, (inputs, rows), |b, _| {
                self.set_seed(b, workspace, seed);
                self.each_block(b, rows, (state + STATE_HEADER as i64, true), |b, block, turn| {
                    let x = inputs + turn.row * self.row_bytes();
                    let number = first_row + turn.row;
                    let others = [x, turn.count.into(), number, first_sample.into(), done.into(), end.into()];
                    self.each_member(b, workspace, |b, member| {
                        let accumulators = turn.accumulators + member * self.accumulator_bytes(block);
                        let arguments = [workspace.into(), accumulators].into_iter().chain(others);
                        let found = b.call(self.of[block].update, arguments.collect());
                        b.when(found, |b| b.store(Long, state, STATE_FOUND, found));
                    });
                });
                b.store(Long, state, STATE_DONE, end);
            });
            b.assign(rows, found);
        });
        b.give(rows);
        builder
    }

    pub(super) fn finish(&self) -> RoutineBuilder {
        let (mut builder, [result, state, workspace]) = RoutineBuilder::new([Long; 3]);
        let b = &mut builder;
        refuse(b, Expr::from(result).is_zero(), "ERROR_NULL");
        Self::check_state(b, state);
        self.check_workspace(b, workspace);
        let rows = b.set(Expr::from(state).load(Long, STATE_ROWS));
        let samples = b.set(Expr::from(state).load(Long, STATE_DONE));
        refuse(b, Expr::from(samples).is_zero(), "ERROR_SAMPLES");
        let found = b.set(status("OK"));
        b.when(Expr::from(state).load(Long, STATE_FOUND), |b| b.assign(found, status("ERROR_NOT_FINITE_RESULT")));
        within(b, self.architecture, |b| {
            self.each_block(b, rows, (state + STATE_HEADER as i64, true), |b, block, turn| {
                let OfBlock { finish, .. } = self.of[block];
                let Turn { row, count, accumulators } = turn;
                self.times(b, |b, member| {
                    let accumulators = accumulators + member.clone() * self.accumulator_bytes(block);
                    finish
                        .into_iter()
                        .for_each(|finish| b.run(finish, vec![workspace.into(), accumulators.clone(), samples.into()]));
                    if !self.together.is_empty() {
                        let bad = self.gather(b, block, workspace, [member, count.into(), samples.into()]);
                        b.when(bad, |b| b.assign(found, status("ERROR_NOT_FINITE_RESULT")));
                    }
                });
                self.combine(b, block, workspace);
                let bad = self.give(b, block, [workspace, result, count, row, samples].map(Expr::from).into());
                b.when(bad, |b| b.assign(found, status("ERROR_NOT_FINITE_RESULT")));
            });
        });
        b.give(found);
        builder
    }
}
