//! What an object does around its kernels, block by block.

use super::{
    block::{Block, Column, Compiled},
    decisions::{Abstains, Decides},
    element::Element,
    layout::{Layout, accumulators_of},
    members::Members,
};
use crate::predictor::question::{CERTAIN, Question, Turns};
use Width::{Long, Word};
use bayeslift_codegen::Architecture;
use bayeslift_codegen::routine::{
    Callee, Data, Expr, Memory, Routine, RoutineBuilder, Statement, Variable, Width, launches,
};
use bayeslift_passes::WATCH;

/// What all routines of an object are made from.
pub struct Parts<'a> {
    pub blocks: &'a [(Block, Vec<Compiled>)],
    /// The level that each of a block's codes is for; a single `None` if there is no choice.
    pub levels: &'a [Option<i64>],
    pub layout: &'a Layout,
    /// What inputs and results are.
    pub element: Element,
    /// The numbers of an input row.
    pub units: usize,
    /// Where each block's known values lie; those of an ensemble are told by its members.
    pub known: &'a [Vec<Known>],
    pub members: Option<&'a Members>,
    pub abstains: Option<Abstains>,
    pub decides: Option<Decides>,
    /// Whether members tell offsets in weights that the caller brings.
    pub brings_weights: bool,
    /// For each block and level, its first kernel's number.
    pub kernels: &'a [Vec<usize>],
}

/// Where a value lies that a block knows.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    Data(u64),
    /// This many bytes after where the workspace says that the caller's own memory begins: weights, or a state.
    Brought(u64),
    Workspace(i64),
}

/// The routines of a block, by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct OfBlock {
    /// `(accumulators)`: begins anew, if there are any.
    pub clear: Option<Callee>,
    /// `(workspace, accumulators, x, count, first row, first sample, done, end)`: adds samples. 1 if a value was not
    /// finite that results do not show.
    pub update: Callee,
    /// `(workspace, accumulators, samples)`: makes results of what was added up, if `update` does not.
    pub finish: Option<Callee>,
    /// `(workspace, result, count, row, samples)`: gives results to the caller; 1 if one is not finite.
    pub give: Callee,
}

/// Appends a routine without a name; `about` tells people what it does.
pub fn add(routines: &mut Vec<Routine>, builder: RoutineBuilder, about: &str) -> Callee {
    routines.push(builder.finish(None, about, Long));
    Callee::Routine(routines.len() - 1)
}

/// What is said of routines that give results.
pub const NOT_FINITE: &str = "Not 0 if one is not finite";

/// The routines that look at inputs, `(inputs, count)`: quickly, whether one is refused, and, to say why, the bits of
/// the largest size.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    pub exceeds: Callee,
    pub largest: Callee,
}

impl Looks {
    /// For numbers up to `bound`, which is finite.
    pub fn new(routines: &mut Vec<Routine>, element: Element, bound: f64, architecture: Architecture) -> Looks {
        // a load of RISC-V that is not aligned may be a trap; in C there is none
        let reads_anywhere = matches!(architecture, Architecture::X86_64 | Architecture::Aarch64);
        let reads_longs = reads_anywhere || element.width == Long;
        Looks { exceeds: exceeds(routines, element, bound, reads_longs), largest: largest(routines, element) }
    }
}

/// `(inputs, count)`: the bits of the largest size of `count` numbers: more than the exponent's if one is not finite.
fn largest(routines: &mut Vec<Routine>, element: Element) -> Callee {
    let (mut b, [inputs, count]) = RoutineBuilder::new([Long, Long]);
    let largest = b.set(0);
    b.each(count, |b, i| {
        let size = (inputs + i * element.bytes).load(element.width, 0) & element.size();
        b.assign(largest, Expr::from(largest).maximum(size));
    });
    b.give(largest);
    add(routines, b, "(inputs, count): the bits of the largest size of `count` numbers")
}

/// `(inputs, count)`: whether a number's size is larger than `bound`, which is finite. Two numbers of 32 bits are
/// looked at in one: half by half, a size and what is left above the bound reach the highest bit if the size is larger.
fn exceeds(routines: &mut Vec<Routine>, element: Element, bound: f64, reads_longs: bool) -> Callee {
    /// How many longs are looked at in turn, and how many of them do not wait for each other.
    const LONGS: i64 = 8;
    const INTERLEAVED: usize = 4;
    let above = element.in_a_long(element.size() - element.bits(bound));
    let (mut b, [inputs, count]) = RoutineBuilder::new([Long, Long]);
    let kept = [(); INTERLEAVED].map(|()| b.set(0));
    let (at, end) = (b.set(inputs), b.set(inputs + count * element.bytes));
    if reads_longs {
        b.repeat((at + (LONGS * 8 - 1)).less(end), |b| {
            for (i, kept) in (0..LONGS).zip(kept.into_iter().cycle()) {
                let sizes = Expr::from(at).load(Long, i * 8) & element.in_a_long(element.size());
                b.assign(kept, (sizes + above) | kept);
            }
            b.assign(at, at + LONGS * 8);
        });
    }
    b.repeat(Expr::from(at).less(end), |b| {
        let size = Expr::from(at).load(element.width, 0) & element.size();
        b.assign(kept[0], (size + above) | kept[0]);
        b.assign(at, at + element.bytes);
    });
    let [first, second, third, fourth] = kept.map(Expr::from);
    b.give((first | second | (third | fourth)) & element.in_a_long(element.sign));
    add(routines, b, "(inputs, count): whether a number is not finite, or too large")
}

impl Parts<'_> {
    /// The routines of a block.
    pub fn of_block(&self, number: usize, routines: &mut Vec<Routine>, data: &mut Data) -> OfBlock {
        let is_open = self.blocks[number].0.turns == Turns::Open;
        let (block, _) = &self.blocks[number];
        let of = match (block.rows, block.at_once) {
            (1, samples) => format!("a row, {samples} samples at once"),
            (rows, samples) => format!("{rows} rows, {samples} samples at once"),
        };
        let clear = is_open.then(|| {
            let about = format!("(accumulators): sets the sums over samples to their first values; {of}");
            add(routines, self.clear(number), &about)
        });
        let update = self.update(number, data);
        let about = format!(
            "(workspace, accumulators, inputs, count, first row, first sample, done, end): adds samples; {of}. 1 if \
             a value was not finite that results do not show"
        );
        let update = add(routines, update, &about);
        let finish = is_open.then(|| {
            let about = format!("(workspace, accumulators, samples): makes results of the sums over samples; {of}");
            add(routines, self.finish(number, data), &about)
        });
        let about =
            format!("(workspace, result, count, row, samples): gives results to the caller; {of}. {NOT_FINITE}");
        let mut results = block.results();
        // a decision's routine has that itself
        results.retain(|column| column.name != CERTAIN);
        // all members abstain together
        let abstains = self.abstains.filter(|_| self.members.is_none());
        let places = &self.layout.results_of(block)[..results.len()];
        let give = give(self.element, block.rows, &results, places, abstains.as_ref());
        let give = add(routines, give, &about);
        OfBlock { clear, update, finish, give }
    }

    fn clear(&self, number: usize) -> RoutineBuilder {
        let (block, _) = &self.blocks[number];
        let (mut b, [accumulators]) = RoutineBuilder::new([Long]);
        for ((sum, at), bytes) in block.accumulators.iter().zip(accumulators_of(block)).zip(block.accumulator_bytes()) {
            let initial = sum.initial.to_bits() as i64;
            b.each((bytes / 8) as i64, |b, i| b.store(Long, accumulators + i * 8, at, initial));
        }
        b.give(0);
        b
    }

    fn update(&self, number: usize, data: &mut Data) -> RoutineBuilder {
        let (block, _) = &self.blocks[number];
        let Layout { first_sample: at_sample, first_row, done: at_done, end: at_end, rows, .. } = *self.layout;
        let (mut b, [workspace, accumulators, x, count, row, first_sample, done, end]) = RoutineBuilder::new([Long; 8]);
        let (source, found) = (b.set(x), b.set(0));
        let look = |b: &mut RoutineBuilder| {
            if block.is_watched {
                // a float of 32 bits, whatever the network's are
                let word = Expr::from(workspace).load(Word, self.layout.watch) & 0x7fff_ffff;
                b.assign(found, found | word.is_zero().is_zero());
            }
        };
        if block.rows > 1 {
            let (units, element) = (self.units as i64, self.element);
            b.when(Expr::from(count).less(block.rows as i64), |b| {
                let (given, all) = (b.set(count * units), block.rows as i64 * units);
                b.each(all, |b, i| {
                    let value = b.set(0);
                    b.when(Expr::from(i).less(given), |b| {
                        b.assign(value, (x + i * element.bytes).load(element.width, 0))
                    });
                    b.store(element.width, workspace + i * element.bytes, rows, value);
                });
                b.assign(source, workspace + rows);
            });
        }
        b.store(Word, workspace, first_row, row);
        b.store(Word, workspace, first_row + 4, row >> 32);
        if block.turns == Turns::Open {
            b.store(Word, workspace, at_end, end);
            let turn = b.set(done);
            b.repeat(Expr::from(turn).less(end), |b| {
                b.store(Word, workspace, at_sample, first_sample + turn);
                b.store(Word, workspace, at_done, turn);
                self.launch(b, workspace, |s, level| s.updates(number, level, [workspace, accumulators, source], data));
                look(b);
                b.assign(turn, turn + block.at_once as i64);
            });
        } else {
            b.store(Word, workspace, at_sample, first_sample);
            self.launch(&mut b, workspace, |s, level| {
                s.updates(number, level, [workspace, accumulators, source], data)
            });
            look(&mut b);
        }
        b.give(found);
        b
    }

    /// Launches by the level that the workspace has.
    pub fn launch(
        &self,
        b: &mut RoutineBuilder,
        workspace: Variable,
        mut launches: impl FnMut(&Self, usize) -> Vec<Statement>,
    ) {
        for (i, level) in self.levels.iter().enumerate() {
            let statements = launches(self, i);
            match level {
                None => b.append(statements),
                Some(level) => {
                    let chosen = Expr::from(workspace).load(Long, self.layout.header + 8);
                    b.when(chosen.equal(*level), |b| b.append(statements));
                }
            }
        }
    }

    fn updates(
        &self,
        number: usize,
        level: usize,
        [workspace, accumulators, x]: [Variable; 3],
        data: &mut Data,
    ) -> Vec<Statement> {
        let (block, compiled) = &self.blocks[number];
        let layout = self.layout;
        let mut inputs = self.known(number, workspace);
        inputs.extend([layout.key, layout.first_sample, layout.first_row].map(|at| workspace + at));
        inputs.push(x.into());
        if block.turns == Turns::Open {
            inputs.extend([layout.done, layout.end].map(|at| workspace + at));
            inputs.extend(accumulators_of(block).into_iter().map(|at| accumulators + at));
        }
        let mut results = self.results(number, workspace).into_iter();
        let outputs = compiled[level].update.outputs.iter().map(|output| match output.updates {
            // it has the memory of an input
            Some(_) => Expr::Number(0),
            None if output.name == WATCH => workspace + layout.watch,
            None => results.next().expect("a place for each result"),
        });
        let outputs = outputs.collect();
        launches(&compiled[level].update, self.kernels[number][level], &self.memory(workspace, inputs, outputs), data)
    }

    /// Where the values lie that a block knows: of an ensemble, those of the member that is asked.
    fn known(&self, number: usize, workspace: Variable) -> Vec<Expr> {
        let brought = || Expr::from(workspace).load(Long, self.layout.header + 16);
        match self.members {
            None => {
                let place = |known: &Known| match *known {
                    Known::Data(at) => Expr::Data(at),
                    Known::Brought(at) => brought() + at as i64,
                    Known::Workspace(at) => workspace + at,
                };
                self.known[number].iter().map(place).collect()
            }
            Some(members) => {
                let own = || Expr::from(workspace).load(Long, self.layout.member);
                let from = || if self.brings_weights { brought() } else { Expr::Data(0) };
                members.known_of(number).map(|at| from() + own().load(Long, at)).collect()
            }
        }
    }

    fn results(&self, number: usize, workspace: Variable) -> Vec<Expr> {
        self.layout.results_of(&self.blocks[number].0).into_iter().map(|at| workspace + at).collect()
    }

    pub fn memory(&self, workspace: Variable, inputs: Vec<Expr>, outputs: Vec<Expr>) -> Memory {
        let [arena, scratch, shared] =
            [self.layout.arena, self.layout.scratch, self.layout.shared].map(|at| workspace + at);
        Memory { inputs, outputs, arena, scratch, shared }
    }

    fn finish(&self, number: usize, data: &mut Data) -> RoutineBuilder {
        let (block, compiled) = &self.blocks[number];
        let (mut b, [workspace, accumulators, samples]) = RoutineBuilder::new([Long; 3]);
        b.store(Word, workspace, self.layout.samples, samples);
        self.launch(&mut b, workspace, |s, level| {
            let Compiled { finish, finish_at, .. } = &compiled[level];
            let sums = accumulators_of(block).into_iter().map(|at| accumulators + at);
            let mut inputs: Vec<Expr> = sums.chain([workspace + s.layout.samples]).collect();
            if let (Question::Decision, Some(decides)) = (block.question, &s.decides) {
                inputs.extend([workspace + s.layout.look, Expr::Data(decides.limits)]);
            }
            let memory = s.memory(workspace, inputs, s.results(number, workspace));
            let finish = finish.as_ref().expect("what is added up is made results of");
            launches(finish, s.kernels[number][level] + finish_at, &memory, data)
        });
        b.give(0);
        b
    }
}

/// `(workspace, result, count, row, samples)`: copies what the caller asked for of results of `count` rows, and looks
/// at all of them; 1 if one is not finite. A spread that one sample cannot tell need not be finite.
pub fn give(
    element: Element,
    rows: usize,
    results: &[Column],
    places: &[i64],
    abstains: Option<&Abstains>,
) -> RoutineBuilder {
    let (mut b, [workspace, result, count, row, samples]) = RoutineBuilder::new([Long; 5]);
    let (found, found_in_spreads) = (b.set(0), b.set(0));
    for (i, (Column { name, width }, &at)) in results.iter().zip(places).enumerate() {
        let width = *width as i64;
        let is_spread = matches!(name.as_str(), "epistemic" | "total" | "epistemic_within");
        let kept = if is_spread { found_in_spreads } else { found };
        let numbers = if rows == 1 { width.into() } else { count * width };
        each_long(&mut b, element, numbers.clone(), |b, index, read| {
            let address = workspace + index;
            let exponents = address.load(read, at) & element.in_a_long(element.exponent);
            b.assign(kept, (exponents + element.in_a_long(element.least_exponent())) | kept);
        });
        let into = b.set(Expr::from(result).address(i));
        b.when(into, |b| {
            let into = b.set(into + row * (element.bytes * width));
            each_long(b, element, numbers, |b, index, read| {
                let value = b.set((workspace + index.clone()).load(read, at));
                let to = b.set(into + index);
                // the caller's memory may be aligned to one number
                b.store(element.width, to, 0, value);
                if read != element.width {
                    b.store(element.width, to, 4, value >> 32);
                }
            });
        });
    }
    if let Some(abstains) = abstains {
        abstains.give(&mut b, element, [workspace, result, count, row], places);
    }
    let is_several = Expr::from(samples).equal(1).is_zero();
    b.when(is_several, |b| b.assign(found, found | found_in_spreads));
    b.give(found & element.in_a_long(element.sign));
    b
}

/// Does something with the byte index of each long of `numbers` numbers, and with that of a last one of half its width:
/// the width says which.
fn each_long(
    b: &mut RoutineBuilder,
    element: Element,
    numbers: Expr,
    mut body: impl FnMut(&mut RoutineBuilder, Expr, Width),
) {
    /// Up to this many longs are written without a loop.
    const SHORT: i64 = 8;
    let in_a_long = 8 / element.bytes;
    if let Expr::Number(numbers) = numbers
        && numbers / in_a_long <= SHORT
    {
        (0..numbers / in_a_long).for_each(|long| body(b, (long * 8).into(), Long));
        if numbers % in_a_long == 1 {
            body(b, (numbers * 4 - 4).into(), Word);
        }
        return;
    }
    let numbers = b.set(numbers);
    if element.width == Long {
        b.each(numbers, |b, long| body(b, long * 8, Long));
        return;
    }
    b.each(numbers >> 1, |b, pair| body(b, pair * 8, Long));
    b.when(numbers & 1, |b| body(b, numbers * 4 - 4, Word));
}
