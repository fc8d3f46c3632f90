//! The order of statements between loops: operations that wait for each other are moved apart.
//!
//! The machine looks some dozens of operations ahead. A long chain - a polynomial, a draw - fills what it looks at with
//! operations that wait, so chains that do not need each other come in turns: list scheduling by the time that is left
//! from an operation to the end, for as long as there are registers, and by what frees registers after that.

use super::{Isa, Limits, allocate::File, reads_from_memory, vector::rotates_by_shifts};
use crate::{target::Latencies, tile::*};
use smallvec::SmallVec;
use std::{cmp::Reverse, collections::HashMap};

/// Operations that begin in a cycle.
const ISSUE: u32 = 2;
/// How long it takes to move a value to memory and back.
const MOVE: u32 = 3;
/// Longer runs stay as they are: listing takes the square of what is ready at a time.
const LONG: usize = 4096;
/// How many operations wait for their operands at a time.
const QUEUE: usize = 48;
/// How long a written element takes to be read again.
const FORWARD: u32 = 8 * ISSUE;

/// The kernel with its straight-line code in another order, where that is better. `uses` says how often each register
/// is read.
pub(super) fn schedule(
    kernel: &TileKernel,
    uses: &[u32],
    limits: Limits,
    (isa, latencies): (Isa, Latencies),
) -> TileKernel {
    let count = kernel.regs.len();
    let mut scheduler = Scheduler {
        kernel,
        uses,
        limits,
        isa,
        latencies,
        places: (0..count as u32).map(Reg).collect(),
        reads: vec![0; count],
        definer: vec![None; count],
        left: vec![0; count],
    };
    scheduler.count_reads(&kernel.body);
    let body = scheduler.block(&kernel.body, false);
    TileKernel { body, regs: kernel.regs.clone(), ..*kernel }
}

/// Statements that stay together: one, or a load and its only reader, which reads from memory.
#[derive(Default)]
struct Unit {
    stmts: SmallVec<[Stmt; 1]>,
    /// How many units must still come before this one.
    waits_for: usize,
    /// The units that wait for this one, and how long.
    next: SmallVec<[(usize, u32); 4]>,
    /// The time from its beginning to the end of all that waits for it.
    height: u32,
    /// When all that it waits for is there.
    ready: u32,
    /// How many vector registers its results take.
    results: i32,
    /// The vector registers it reads, each with how often.
    reads: SmallVec<[(Reg, u32); 3]>,
}

struct Scheduler<'k> {
    kernel: &'k TileKernel,
    /// How often each register is read, in all the kernel.
    uses: &'k [u32],
    limits: Limits,
    isa: Isa,
    latencies: Latencies,
    /// The register whose place each register shares: that of which it is the bits, or itself.
    places: Vec<Reg>,
    /// How often each place is read, in all the kernel.
    reads: Vec<u32>,
    /// For each register the unit of the current run that defines it.
    definer: Vec<Option<usize>>,
    /// For each register that the current run defines, how many reads are to come; what outlives the run has one more.
    left: Vec<u32>,
}

impl Scheduler<'_> {
    /// `carries` says whether sums are carried around the block. Their order is chosen with care already.
    fn block(&mut self, stmts: &[Stmt], carries: bool) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(stmts.len());
        for run in stmts.chunk_by(|a, b| !is_loop(a) && !is_loop(b)) {
            match run {
                [Stmt::Loop { counter, start, end, step, carried, body }] => {
                    let (counter, start, end, step) = (*counter, *start, *end, *step);
                    let sums = carried.iter().any(|carry| self.kernel.regs[carry.reg.0 as usize].vector);
                    let (carried, body) = (carried.clone(), self.block(body, sums));
                    out.push(Stmt::Loop { counter, start, end, step, carried, body });
                }
                _ if carries => out.extend_from_slice(run),
                _ => self.run(run, &mut out),
            }
        }
        out
    }

    fn run(&mut self, stmts: &[Stmt], out: &mut Vec<Stmt>) {
        if stmts.len() > LONG {
            return out.extend_from_slice(stmts);
        }
        let mut units = self.units(stmts);
        self.connect(&mut units);
        self.count_registers(&mut units);
        let written: Vec<usize> = (0..units.len()).collect();
        let listed = self.list(&mut units);
        let best = if self.estimate(&units, &listed) < self.estimate(&units, &written) { listed } else { written };
        for i in best {
            out.extend(units[i].stmts.drain(..));
        }
        for stmt in stmts {
            stmt.results(|reg| (self.definer[reg.0 as usize], self.left[reg.0 as usize]) = (None, 0));
        }
    }

    fn units(&mut self, stmts: &[Stmt]) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::with_capacity(stmts.len());
        let mut at = 0;
        while let Some(stmt) = stmts.get(at) {
            let together = match stmt {
                Stmt::Let(loaded, Inst::Load(_, _, None)) => {
                    reads_from_memory(self.kernel, self.uses, *loaded, stmts.get(at + 1))
                }
                _ => false,
            };
            let end = at + 1 + usize::from(together);
            stmts[at..end].iter().for_each(|stmt| stmt.results(|reg| self.definer[reg.0 as usize] = Some(units.len())));
            units.push(Unit { stmts: stmts[at..end].iter().cloned().collect(), ..Unit::default() });
            at = end;
        }
        units
    }

    /// Finds what each unit waits for: the definitions of what it reads, and accesses to the same memory before it, of
    /// which one writes.
    fn connect(&self, units: &mut [Unit]) {
        let mut written: HashMap<Base, usize> = HashMap::new();
        let mut read: HashMap<Base, Vec<usize>> = HashMap::new();
        for i in 0..units.len() {
            let mut before: SmallVec<[(usize, u32); 4]> = SmallVec::new();
            for stmt in &units[i].stmts {
                let definer = |reg: Reg| self.definer[reg.0 as usize].filter(|&by| by != i);
                stmt.operands(|reg| before.extend(definer(reg).map(|by| (by, self.latency(&units[by])))));
                match access(stmt) {
                    Some((base, true)) => {
                        before.extend(written.insert(base, i).map(|by| (by, 0)));
                        before.extend(read.remove(&base).into_iter().flatten().filter(|&by| by != i).map(|by| (by, 0)));
                    }
                    Some((base, false)) => {
                        before.extend(written.get(&base).map(|&by| (by, FORWARD)));
                        read.entry(base).or_default().push(i);
                    }
                    None => {}
                }
            }
            before.sort_unstable_by_key(|&(by, wait)| (by, Reverse(wait)));
            before.dedup_by_key(|&mut (by, _)| by);
            units[i].waits_for = before.len();
            before.into_iter().for_each(|(by, wait)| units[by].next.push((i, wait)));
        }
        for i in (0..units.len()).rev() {
            let after = units[i].next.iter().map(|&(next, wait)| wait + units[next].height).max();
            units[i].height = after.unwrap_or(0);
        }
    }

    /// Counts how often places are read, and finds which registers share one.
    fn count_reads(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let Some((alias, of)) = alias(stmt) {
                self.places[alias.0 as usize] = self.places[of.0 as usize];
                continue;
            }
            stmt.operands(|reg| self.reads[self.places[reg.0 as usize].0 as usize] += 1);
            if let Stmt::Loop { carried, body, .. } = stmt {
                self.count_reads(body);
                carried.iter().for_each(|carry| self.reads[self.places[carry.next.0 as usize].0 as usize] += 1);
            }
        }
    }

    /// Finds which vector registers units read, and how many their results take.
    fn count_registers(&mut self, units: &mut [Unit]) {
        for unit in units.iter_mut() {
            for stmt in unit.stmts.iter().filter(|stmt| alias(stmt).is_none()) {
                stmt.operands(|reg| {
                    let reg = self.places[reg.0 as usize];
                    if !self.wants_register(reg) {
                        return;
                    }
                    self.left[reg.0 as usize] += 1;
                    match unit.reads.iter_mut().find(|(read, _)| *read == reg) {
                        Some((_, count)) => *count += 1,
                        None => unit.reads.push((reg, 1)),
                    }
                });
            }
        }
        for unit in units {
            for stmt in unit.stmts.iter().filter(|stmt| alias(stmt).is_none()) {
                stmt.results(|reg| {
                    let outlives = self.reads[reg.0 as usize] > self.left[reg.0 as usize];
                    self.left[reg.0 as usize] += u32::from(outlives);
                    unit.results += i32::from(self.wants_register(reg) && self.left[reg.0 as usize] > 0);
                });
            }
        }
    }

    /// Whether a value that the current run defines is kept in a vector register.
    fn wants_register(&self, reg: Reg) -> bool {
        let class = self.kernel.regs[reg.0 as usize].class;
        self.definer[reg.0 as usize].is_some() && self.limits.file(class) == File::Vector
    }

    /// The units in an order in which they wait for little.
    fn list(&mut self, units: &mut [Unit]) -> Vec<usize> {
        let limit = i32::from(self.limits.vector);
        let mut order = Vec::with_capacity(units.len());
        let mut open: Vec<usize> = (0..units.len()).filter(|&i| units[i].waits_for == 0).collect();
        let (mut now, mut alive) = (0, 0);
        while !open.is_empty() {
            let key = |&i: &usize| {
                let unit = &units[i];
                let change = if alive < limit { 0 } else { self.change(unit) };
                (change, unit.ready.max(now), Reverse(unit.height), i)
            };
            let (at, _) = open.iter().enumerate().min_by_key(|(_, i)| key(i)).expect("some unit is open");
            let chosen = open.swap_remove(at);
            alive += self.enter(&units[chosen]);
            let begin = now.max(units[chosen].ready);
            for n in 0..units[chosen].next.len() {
                let (next, wait) = units[chosen].next[n];
                let unit = &mut units[next];
                unit.ready = unit.ready.max(begin + wait);
                unit.waits_for -= 1;
                if unit.waits_for == 0 {
                    open.push(next);
                }
            }
            now = begin + self.operations(&units[chosen]);
            order.push(chosen);
        }
        self.leave(units);
        order
    }

    /// About how long units take in an order, on a machine that looks some way ahead, with what moving values to memory
    /// and back takes.
    fn estimate(&mut self, units: &[Unit], order: &[usize]) -> u32 {
        let limit = i32::from(self.limits.vector);
        let mut ready = vec![0; units.len()];
        let mut begins: Vec<u32> = Vec::with_capacity(units.len());
        let (mut end, mut alive, mut moved) = (0, 0, 0);
        for (n, &i) in order.iter().enumerate() {
            // the place of an operation in the queue is free when those before it have begun
            let queued = if n < QUEUE { 0 } else { begins[n - QUEUE] };
            let begin = ready[i].max(queued).max(n as u32);
            units[i].next.iter().for_each(|&(next, wait)| ready[next] = ready[next].max(begin + wait));
            end = end.max(begin);
            begins.push(end);
            let change = self.enter(&units[i]);
            alive += change;
            moved += change.max(0).min((alive - limit).max(0)) as u32;
        }
        self.leave(units);
        end + MOVE * moved
    }

    /// Counts a unit's reads as done. Gives how many more vector registers are taken after it.
    fn enter(&mut self, unit: &Unit) -> i32 {
        let change = self.change(unit);
        unit.reads.iter().for_each(|&(reg, count)| self.left[reg.0 as usize] -= count);
        change
    }

    /// Takes back all that [`Scheduler::enter`] counted.
    fn leave(&mut self, units: &[Unit]) {
        for (reg, count) in units.iter().flat_map(|unit| &unit.reads) {
            self.left[reg.0 as usize] += count;
        }
    }

    /// How many more vector registers are taken after a unit.
    fn change(&self, unit: &Unit) -> i32 {
        let dies = |&&(reg, count): &&(Reg, u32)| self.left[reg.0 as usize] == count;
        unit.results - unit.reads.iter().filter(dies).count() as i32
    }

    /// About how long a unit's result takes, in the time in which one operation begins.
    fn latency(&self, unit: &Unit) -> u32 {
        let Latencies { arithmetic, division, root, load, shuffle } = self.latencies;
        let cycles = |stmt: &Stmt| match stmt {
            Stmt::Let(_, inst) => match inst {
                Inst::Float(_) | Inst::Int(_) | Inst::Double(_) | Inst::Index(_) => 0,
                Inst::Bits(_) | Inst::FromBits(_) => 0,
                Inst::Unary(FloatUnary::Neg | FloatUnary::Abs, _) => 1,
                Inst::Unary(FloatUnary::Sqrt, _) => root,
                Inst::LoadStrided(..) => 16,
                Inst::Binary(FloatBinary::Div, ..) => division,
                Inst::Binary(FloatBinary::Max | FloatBinary::Min, ..) => 1,
                Inst::Unary(..) | Inst::Binary(..) | Inst::Fma(..) | Inst::ToFloat(_) => arithmetic,
                Inst::Widen(_) | Inst::Narrow(_) | Inst::ToDouble(_) => shuffle + arithmetic,
                Inst::HighWord(_) | Inst::LowWord(_) | Inst::FromWords(..) => shuffle + 1,
                Inst::Compare(_, a, _) if self.is_double(a) => shuffle + 2,
                Inst::Load(..) => load,
                Inst::IndexDiv(..) | Inst::IndexRem(..) | Inst::Splat(_) | Inst::Halves(..) | Inst::IndexLow(_) => {
                    shuffle
                }
                _ if self.is_rotated_by_shifts(stmt) => 2,
                _ => 1,
            },
            Stmt::LoadTransposed { .. } => 12,
            Stmt::Store(..) | Stmt::Prefetch(_) | Stmt::Loop { .. } => 0,
        };
        unit.stmts.iter().map(cycles).sum::<u32>() * ISSUE
    }

    /// How many operations a unit is: about one, but for a rotation that takes two shifts, and for halves of doubles
    /// and truth values of them, which are put together.
    fn operations(&self, unit: &Unit) -> u32 {
        let several = |stmt: &Stmt| match stmt {
            Stmt::Let(_, Inst::HighWord(_) | Inst::LowWord(_) | Inst::FromWords(..)) => true,
            Stmt::Let(_, Inst::Compare(_, a, _)) => self.is_double(a),
            _ => self.is_rotated_by_shifts(stmt),
        };
        if unit.stmts.iter().any(several) { 3 } else { 1 }
    }

    fn is_double(&self, reg: &Reg) -> bool {
        self.kernel.regs[reg.0 as usize].class == Class::Double
    }

    fn is_rotated_by_shifts(&self, stmt: &Stmt) -> bool {
        matches!(stmt, Stmt::Let(_, Inst::Shift(Shift::RotateLeft, _, by)) if rotates_by_shifts(self.isa, *by))
    }
}

/// A register that only names the bits of another, and that other.
fn alias(stmt: &Stmt) -> Option<(Reg, Reg)> {
    match *stmt {
        Stmt::Let(reg, Inst::Bits(of) | Inst::FromBits(of)) => Some((reg, of)),
        _ => None,
    }
}

fn is_loop(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Loop { .. })
}

/// The memory that a statement accesses, and whether it writes.
fn access(stmt: &Stmt) -> Option<(Base, bool)> {
    match stmt {
        Stmt::Let(_, Inst::Load(_, address, _) | Inst::LoadStrided(_, address, ..)) => Some((address.base, false)),
        Stmt::LoadTransposed { address, .. } => Some((address.base, false)),
        Stmt::Store(address, ..) => Some((address.base, true)),
        // what is brought near changes nothing, wherever that is done; loops are in no run
        Stmt::Let(..) | Stmt::Prefetch(_) | Stmt::Loop { .. } => None,
    }
}
