//! The functions that an object has for those who link it.

mod decide;
mod init;
mod pieces;
mod self_test;
mod together;

pub use init::{checksum, checksum_of};
pub use pieces::STATE_HEADER;
pub use self_test::{TEST_SAMPLES, test_inputs};

use super::{
    block::Block,
    combine::Together,
    entry::{Looks, OfBlock, Parts},
    layout::{ALIGN, accumulator_bytes},
    status::status,
};
use crate::predictor::PREDICTION_STEP;
use Width::{Long, Word};
use bayeslift_codegen::{
    Architecture,
    link::processor::environment,
    routine::{Callee, Expr, Routine, RoutineBuilder, Variable, Width},
};

/// What tells a workspace that was initialised.
const WORKSPACE: i64 = 0x6261_7965_736c_6966;
/// The numbers of samples are below.
const MOST_SAMPLES: i64 = 1 << 32;

/// What an object answers with if it is not told.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    pub seed: u64,
    pub samples: usize,
}

/// Which block serves for what, by number.
#[derive(Clone, Copy, Debug)]
pub struct Roles {
    pub many: usize,
    pub one: usize,
    /// A single row with the default number of samples at once.
    pub direct: Option<usize>,
    /// A single row, to decide on it.
    pub decide: Option<usize>,
}

/// All that functions are made from.
pub struct Functions<'a> {
    pub parts: Parts<'a>,
    pub roles: Roles,
    pub defaults: Defaults,
    pub architecture: Architecture,
    /// Whether samples differ.
    pub draws: bool,
    pub name: &'a str,
    /// The checksum and the bytes of weights that the caller brings.
    pub weights: Option<(u64, u64)>,
    /// The self-test's results, each of the blocks `many` and `direct`, and where the information lies.
    pub expected: [Vec<u64>; 2],
    pub information: u64,
    /// The routines of each block, and those that look at inputs.
    pub of: Vec<OfBlock>,
    /// Of an ensemble: the routines that make one answer of a block's.
    pub together: Vec<Together>,
    pub looks: Looks,
}

/// The arguments of a loop over blocks of rows.
struct Turn {
    row: Variable,
    count: Variable,
    accumulators: Expr,
}

impl Functions<'_> {
    /// Those that a program calls, after the routines that they call.
    pub fn add_to(&self, routines: &mut Vec<Routine>) {
        let mut named = vec![("predict", self.predict()), ("self_test", self.self_test()), ("info", self.info())];
        if self.is_initialised() {
            named.push(("init", self.init(false)));
            if self.has_levels() {
                named.push(("init_isa", self.init(true)));
            }
        }
        if self.draws {
            named.extend([("begin", self.begin()), ("add", self.add()), ("finish", self.finish())]);
        }
        if let (Some(block), Some(decides)) = (self.roles.decide, &self.parts.decides) {
            named.push(("decide", self.decide(block, decides)));
        }
        routines.extend(named.into_iter().map(|(name, builder)| {
            let result = if name == "info" { Long } else { Word };
            builder.finish(Some(format!("{}_{name}", self.name)), "", result)
        }));
    }

    fn has_levels(&self) -> bool {
        self.parts.levels.iter().any(Option::is_some)
    }

    /// Whether a workspace has to be initialised.
    fn is_initialised(&self) -> bool {
        self.has_levels() || self.weights.is_some()
    }

    fn check_workspace(&self, b: &mut RoutineBuilder, workspace: Variable) {
        check_memory(b, &[workspace]);
        if self.is_initialised() {
            let found = Expr::from(workspace).load(Long, self.parts.layout.header);
            refuse(b, found.equal(WORKSPACE).is_zero(), "ERROR_UNINITIALISED");
        }
    }

    fn check_rows(&self, b: &mut RoutineBuilder, inputs: Option<Variable>, rows: Variable) {
        if let Some(inputs) = inputs {
            refuse(b, Expr::from(inputs).is_zero() & Expr::from(rows).is_zero().is_zero(), "ERROR_NULL");
        }
        // so that no number of bytes overflows
        let of_block = |(block, _): &(Block, _)| {
            let widths = block.results().into_iter().map(|result| block.rows * result.width);
            widths.max().unwrap_or(0)
        };
        let widest = self.parts.blocks.iter().map(of_block);
        let widest = widest.chain([self.parts.units, 1]).max().unwrap_or(1) as u64;
        let of_row = accumulator_bytes(&self.parts.blocks[self.roles.many].0) * self.count() as u64;
        refuse(b, Expr::Most(widest.max(of_row)).less(rows), "ERROR_ROWS");
    }

    fn set_key(&self, b: &mut RoutineBuilder, workspace: Variable, seed: impl Into<Expr>) {
        let seed = b.set(seed);
        let key = self.parts.layout.key;
        b.store(Word, workspace, key, seed);
        b.store(Word, workspace, key + 4, seed >> 32);
        b.store(Word, workspace, key + 8, PREDICTION_STEP as u32 as i64);
        b.store(Word, workspace, key + 12, (PREDICTION_STEP >> 32) as i64);
    }

    /// Looks at inputs; then `body`, if nothing is wrong with them. Gives the status.
    fn with_inputs(
        &self,
        b: &mut RoutineBuilder,
        (inputs, rows): (Variable, Variable),
        body: impl FnOnce(&mut RoutineBuilder, Variable),
    ) -> Variable {
        let state = b.set(status("OK"));
        let Looks { exceeds, largest } = self.looks;
        let arguments = || vec![inputs.into(), rows * self.parts.units as i64];
        let is_refused = b.call(exceeds, arguments());
        b.choose(
            is_refused,
            |b| {
                let size = b.call(largest, arguments());
                b.assign(state, status("ERROR_LARGE_INPUT"));
                let is_not_finite = Expr::from(self.parts.element.exponent - 1).less(size);
                b.when(is_not_finite, |b| b.assign(state, status("ERROR_NOT_FINITE_INPUT")));
            },
            |b| body(b, state),
        );
        state
    }

    /// Goes through the rows: blocks of many, as long as more than half of one is left, then single ones.
    /// `accumulators` is where the first block's are, if each block has its own.
    fn each_block(
        &self,
        b: &mut RoutineBuilder,
        rows: Variable,
        (accumulators, are_own): (Expr, bool),
        mut body: impl FnMut(&mut RoutineBuilder, usize, Turn),
    ) {
        let Roles { many, one, .. } = self.roles;
        let row = b.set(0);
        let accumulators = b.set(accumulators);
        b.repeat(Expr::from(row).less(rows), |b| {
            let left = b.set(rows - row);
            let size = self.parts.blocks[many].0.rows as i64;
            let count = b.set(1);
            let is_many = b.set(Expr::from(size).less(left * 2));
            b.when(is_many, |b| b.assign(count, Expr::from(left).minimum(size)));
            let mut of = |b: &mut RoutineBuilder, block: usize| {
                b.collect(|b| {
                    body(b, block, Turn { row, count, accumulators: accumulators.into() });
                    if are_own {
                        b.assign(accumulators, accumulators + self.accumulator_bytes(block) * self.count() as i64);
                    }
                })
            };
            let (of_many, of_one) = (of(b, many), of(b, one));
            b.choose(is_many, |b| b.append(of_many), |b| b.append(of_one));
            b.assign(row, row + count);
        });
    }

    /// The bytes of a row of inputs.
    fn row_bytes(&self) -> i64 {
        self.parts.element.bytes * self.parts.units as i64
    }

    /// The bytes of the accumulators of a block: those of an ensemble's members are one after the other.
    fn accumulator_bytes(&self, block: usize) -> i64 {
        accumulator_bytes(&self.parts.blocks[block].0) as i64
    }

    /// `(request, inputs, rows, result, workspace)`.
    pub fn predict(&self) -> RoutineBuilder {
        let (mut builder, [request, inputs, rows, result, workspace]) = RoutineBuilder::new([Long; 5]);
        let b = &mut builder;
        refuse(b, Expr::from(result).is_zero(), "ERROR_NULL");
        self.check_workspace(b, workspace);
        self.check_rows(b, Some(inputs), rows);
        let [seed, first_row, first_sample, samples] = self.request(b, request);
        within(b, self.architecture, |b| {
            let state = self.with_inputs(b, (inputs, rows), |b, state| {
                self.set_seed(b, workspace, seed);
                let accumulators = workspace + self.parts.layout.accumulators;
                self.each_block(b, rows, (accumulators, false), |b, block, turn| {
                    let answer = |b: &mut RoutineBuilder, block: usize| {
                        let x = inputs + turn.row * self.row_bytes();
                        let number = first_row + turn.row;
                        let given = [x, turn.count.into(), number, first_sample.into(), 0.into(), samples.into()];
                        let found = self.answer(b, block, workspace, turn.accumulators.clone(), given);
                        let arguments = [workspace, result, turn.count, turn.row, samples].map(Expr::from);
                        let bad = self.give(b, block, arguments.into());
                        b.when(bad | found, |b| b.assign(state, status("ERROR_NOT_FINITE_RESULT")));
                    };
                    match self.roles.direct {
                        Some(direct) if block == self.roles.one => {
                            let is_default = Expr::from(samples).equal(self.defaults.samples as i64);
                            b.choose(is_default, |b| answer(b, direct), |b| answer(b, block));
                        }
                        _ => answer(b, block),
                    }
                });
            });
            b.assign(rows, state);
        });
        b.give(rows);
        builder
    }

    /// Adds all samples of a block and makes results of them, of an ensemble those of all members. Gives 1 if a value
    /// was not finite that they do not show.
    fn answer(
        &self,
        b: &mut RoutineBuilder,
        block: usize,
        workspace: Variable,
        accumulators: Expr,
        given: [Expr; 6],
    ) -> Variable {
        if self.together.is_empty() {
            return self.answer_alone(b, block, workspace, accumulators, given);
        }
        let found = b.set(0);
        let [_, count, .., samples] = given.clone();
        self.each_member(b, workspace, |b, member| {
            let unseen = self.answer_alone(b, block, workspace, accumulators, given);
            let bad = self.gather(b, block, workspace, [member, count, samples]);
            b.assign(found, found | unseen | bad);
        });
        self.combine(b, block, workspace);
        found
    }

    /// As [`Functions::answer`], of one network.
    fn answer_alone(
        &self,
        b: &mut RoutineBuilder,
        block: usize,
        workspace: Variable,
        accumulators: Expr,
        [x, count, row, first_sample, done, end]: [Expr; 6],
    ) -> Variable {
        let OfBlock { clear, update, finish, .. } = self.of[block];
        clear.into_iter().for_each(|clear| b.run(clear, vec![accumulators.clone()]));
        let samples = end.clone();
        let all = vec![workspace.into(), accumulators.clone(), x, count, row, first_sample, done, end];
        let found = b.call(update, all);
        finish
            .into_iter()
            .for_each(|finish| b.run(finish, vec![workspace.into(), accumulators.clone(), samples.clone()]));
        found
    }

    /// Seed, first row, first sample, and number of samples of a request.
    fn request(&self, b: &mut RoutineBuilder, request: Variable) -> [Variable; 4] {
        let defaults = [self.defaults.seed as i64, 0, 0, self.defaults.samples as i64];
        let values = defaults.map(|value| b.set(value));
        b.when(request, |b| {
            for (value, (width, at)) in values.into_iter().zip([(Long, 0), (Long, 8), (Word, 16), (Word, 20)]) {
                b.assign(value, Expr::from(request).load(width, at));
            }
        });
        let [_, _, first_sample, samples] = values;
        refuse(b, Expr::from(samples).is_zero(), "ERROR_SAMPLES");
        refuse(b, Expr::from(MOST_SAMPLES).less(first_sample + samples), "ERROR_SAMPLES");
        values
    }

    fn info(&self) -> RoutineBuilder {
        let (mut b, []) = RoutineBuilder::new([]);
        b.give(Expr::Data(self.information));
        b
    }
}

/// Ends a routine with a status if a number is not 0.
pub fn refuse(b: &mut RoutineBuilder, condition: impl Into<Expr>, name: &str) {
    b.when(condition, |b| b.give(status(name)));
}

/// Refuses pointers that are `NULL` or not aligned.
pub fn check_memory(b: &mut RoutineBuilder, pointers: &[Variable]) {
    for &pointer in pointers {
        refuse(b, Expr::from(pointer).is_zero(), "ERROR_NULL");
        refuse(b, pointer & (ALIGN as i64 - 1), "ERROR_MISALIGNED");
    }
}

/// Computes something in the environment that bits are defined in, and restores the host's.
pub fn within(b: &mut RoutineBuilder, architecture: Architecture, body: impl FnOnce(&mut RoutineBuilder)) {
    let (default, computes) = environment(architecture);
    let host = b.call(Callee::ReadEnvironment, Vec::new());
    b.when((host & computes).equal(default & computes).is_zero(), |b| {
        b.run(Callee::WriteEnvironment, vec![default.into()]);
    });
    body(b);
    // also where nothing was set: for the flags
    b.run(Callee::WriteEnvironment, vec![host.into()]);
}
