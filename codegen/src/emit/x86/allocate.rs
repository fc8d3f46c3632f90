//! Where the values of a tile kernel live: linear scan over live ranges, extended over loops.
//!
//! Ranges are counted in half steps: an instruction at position p reads at 2p and writes at 2p + 1, so that a result
//! may take the register of an operand that dies there. A loop's entry writes at 2p, so that what enters never meets
//! what is carried.

use crate::tile::{Carried, Class, Inst, Reg, Stmt, TileKernel};
use std::collections::{BTreeSet, HashMap};

/// Where the range of a value begins that nothing defines, or nobody reads.
const UNDEFINED: u32 = u32::MAX;

/// The three register files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Vector,
    Mask,
    General,
}

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Register of its file, by number among those that are allocated.
    Register(u8),
    /// Slot of the stack frame.
    Slot(u32),
    /// A constant, by its bits: no register.
    Constant(u32),
    /// A constant double, by its bits.
    Double(u64),
    /// A constant index.
    Index(i64),
    /// Where its only reader, the statement after its load, reads it.
    Unloaded,
}

/// A kernel's values with their places.
pub(super) struct Allocation {
    pub locations: Vec<Location>,
    pub slots: u32,
    /// The general registers that something lives in, by number.
    pub general: BTreeSet<u8>,
    /// For each position the vector registers that are free for its own use.
    pub temporaries: Vec<Vec<u8>>,
}

/// How many registers of each file are allocated.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub vector: u8,
    /// 0 where truth values live in vector registers.
    pub mask: u8,
    pub general: u8,
}

impl Limits {
    pub fn file(self, class: Class) -> File {
        match class {
            Class::Mask if self.mask > 0 => File::Mask,
            Class::Float | Class::Double | Class::Int | Class::Mask => File::Vector,
            Class::Index => File::General,
        }
    }
}

/// Where the values of a kernel are defined and used. Statements have positions in the order of the text; a loop has
/// one for its entry and one for its end.
pub(super) struct Ranges<'k> {
    kernel: &'k TileKernel,
    aliases: Vec<Reg>,
    constant: Vec<Option<Location>>,
    /// Position and loop of the definition.
    defined: Vec<(u32, usize)>,
    start: Vec<u32>,
    end: Vec<u32>,
    weight: Vec<f32>,
    /// For carried values, the last use within the loop's body.
    last_in_body: Vec<u32>,
    /// For carried values the loop that carries them, 0 for others.
    carrier: Vec<usize>,
    /// Parent, entry and exit of each loop; loop 0 is the function.
    loops: Vec<(usize, u32, u32)>,
    /// Fused multiply-adds: position, loop, result, addend.
    sums: Vec<(u32, usize, Reg, Reg)>,
    carried: Vec<(Reg, Reg)>,
    uses: Vec<(Reg, u32, usize)>,
    position: u32,
    /// Values that share one place, by the first of them.
    webs: Vec<u32>,
}

impl<'k> Ranges<'k> {
    pub fn new(kernel: &'k TileKernel) -> Ranges<'k> {
        let count = kernel.regs.len();
        let mut ranges = Ranges {
            kernel,
            aliases: (0..count as u32).map(Reg).collect(),
            constant: vec![None; count],
            defined: vec![(0, 0); count],
            start: vec![UNDEFINED; count],
            end: vec![0; count],
            weight: vec![0.0; count],
            last_in_body: vec![0; count],
            carrier: vec![0; count],
            loops: vec![(0, 0, u32::MAX)],
            sums: Vec::new(),
            carried: Vec::new(),
            uses: Vec::new(),
            position: 1,
            webs: Vec::new(),
        };
        ranges.block(&kernel.body, 0);
        for tile in [kernel.begin, kernel.end] {
            if ranges.uses.iter().any(|&(reg, ..)| reg == tile) {
                ranges.start[tile.0 as usize] = 1;
            }
        }
        ranges.extend();
        ranges.webs = ranges.join();
        ranges
    }

    /// How many positions there are.
    pub fn positions(&self) -> usize {
        self.position as usize
    }

    fn alias(&self, reg: Reg) -> Reg {
        self.aliases[reg.0 as usize]
    }

    fn read(&mut self, reg: Reg, at: u32, inside: usize) {
        let reg = self.alias(reg);
        if self.constant[reg.0 as usize].is_none() {
            self.uses.push((reg, at, inside));
        }
    }

    fn define(&mut self, reg: Reg, at: u32, inside: usize) {
        self.defined[reg.0 as usize] = (at, inside);
        self.start[reg.0 as usize] = at;
        self.end[reg.0 as usize] = at;
    }

    fn block(&mut self, stmts: &[Stmt], inside: usize) {
        for stmt in stmts {
            let p = self.position;
            self.position += 1;
            match stmt {
                Stmt::Let(reg, inst) => match *inst {
                    Inst::Float(bits) | Inst::Int(bits) => {
                        self.constant[reg.0 as usize] = Some(Location::Constant(bits));
                    }
                    Inst::Double(bits) => self.constant[reg.0 as usize] = Some(Location::Double(bits)),
                    Inst::Index(x) if i32::try_from(x).is_ok() => {
                        self.constant[reg.0 as usize] = Some(Location::Index(x));
                    }
                    Inst::Bits(a) | Inst::FromBits(a) => self.aliases[reg.0 as usize] = self.alias(a),
                    _ => {
                        inst.operands(|operand| self.read(operand, 2 * p, inside));
                        self.define(*reg, 2 * p + 1, inside);
                        if let Inst::Fma(_, _, c) = *inst {
                            self.sums.push((2 * p, inside, *reg, self.alias(c)));
                        }
                    }
                },
                Stmt::Store(..) | Stmt::Prefetch(_) => stmt.operands(|operand| self.read(operand, 2 * p, inside)),
                Stmt::LoadTransposed { into, .. } => {
                    // results are written before the last operand is read
                    stmt.operands(|operand| self.read(operand, 2 * p + 1, inside));
                    into.iter().for_each(|&reg| self.define(reg, 2 * p, inside));
                }
                Stmt::Loop { counter, start, end, carried, body, .. } => {
                    let own = self.loops.len();
                    self.loops.push((inside, 2 * p, 0));
                    for &reg in [start, end].into_iter().chain(carried.iter().map(|c| &c.initial)) {
                        self.read(reg, 2 * p + 1, inside);
                    }
                    for &reg in [counter].into_iter().chain(carried.iter().map(|c| &c.reg)) {
                        self.define(reg, 2 * p, own);
                        self.carrier[reg.0 as usize] = own;
                    }
                    self.block(body, own);
                    let exit = 2 * self.position;
                    self.position += 1;
                    self.loops[own].2 = exit;
                    self.read(*counter, exit, own);
                    self.read(*end, exit, own);
                    for &Carried { reg, next, .. } in carried {
                        self.read(next, exit, own);
                        self.carried.push((reg, self.alias(next)));
                    }
                }
            }
        }
    }

    fn contains(&self, outer: usize, mut inner: usize) -> bool {
        while inner != outer {
            if inner == 0 {
                return false;
            }
            inner = self.loops[inner].0;
        }
        true
    }

    /// Extends ranges to the end of every loop that uses a value from outside.
    fn extend(&mut self) {
        for (reg, at, inside) in std::mem::take(&mut self.uses) {
            let r = reg.0 as usize;
            let home = self.defined[r].1;
            let mut depth = 0;
            let (mut around, mut last) = (inside, at);
            while around != 0 {
                if !self.contains(around, home) {
                    last = last.max(self.loops[around].2);
                }
                depth += 1;
                around = self.loops[around].0;
            }
            self.end[r] = self.end[r].max(last);
            self.weight[r] += 8f32.powi(depth.min(8));
            let carrier = self.carrier[r];
            if carrier != 0 && self.contains(carrier, inside) {
                // a use in a deeper loop lasts until that loop ends
                let in_body = if inside == carrier { at } else { u32::MAX };
                self.last_in_body[r] = self.last_in_body[r].max(in_body);
            }
        }
        for r in 0..self.start.len() {
            if self.carrier[r] != 0 {
                self.end[r] = self.end[r].max(self.loops[self.carrier[r]].2 + 1);
            }
        }
    }

    /// Values that share one place: a sum with the addend that dies in it, a carried value with its next.
    fn join(&self) -> Vec<u32> {
        let mut web: Vec<u32> = (0..self.start.len() as u32).collect();
        // in the order of the text, so an addend's web ends with it
        for &(at, inside, result, addend) in &self.sums {
            let (r, c) = (result.0 as usize, addend.0 as usize);
            if self.constant[c].is_some() || self.kernel.regs[r] != self.kernel.regs[c] {
                continue;
            }
            let dies = if self.carrier[c] == inside && inside != 0 {
                self.last_in_body[c] == at
            } else {
                self.carrier[c] == 0 && self.defined[c].1 == inside && self.end[c] == at
            };
            if dies {
                web[r] = web[c];
            }
        }
        let mut merged: HashMap<u32, Vec<usize>> = HashMap::new();
        for (r, &of) in web.iter().enumerate() {
            merged.entry(of).or_default().push(r);
        }
        for &(reg, next) in &self.carried {
            let (r, n) = (reg.0 as usize, next.0 as usize);
            let (into, from) = (web[r], web[n]);
            let plain = self.constant[n].is_none() && self.carrier[n] == 0 && self.defined[n].1 == self.carrier[r];
            if into == from || !plain || self.kernel.regs[r] != self.kernel.regs[n] {
                continue;
            }
            // no two of them may be needed at once
            let apart = |&a: &usize, &b: &usize| {
                let (a, b) = (self.in_loop(a, self.carrier[r]), self.in_loop(b, self.carrier[r]));
                a.1 < b.0 || b.1 < a.0
            };
            if merged[&into].iter().all(|a| merged[&from].iter().all(|b| apart(a, b))) {
                let moved = merged.remove(&from).unwrap_or_default();
                moved.iter().for_each(|&m| web[m] = into);
                merged.entry(into).or_default().extend(moved);
            }
        }
        web
    }

    /// When a value is alive: one that this loop carries from its beginning, if the body does not read it only there,
    /// to its last use in the body.
    fn in_loop(&self, r: usize, carrier: usize) -> (u32, u32) {
        let start = self.start[r];
        (start, if self.carrier[r] == carrier { self.last_in_body[r].max(start) } else { self.end[r] })
    }

    /// Gives places to all values, and at each position as many vector registers of its own as it needs.
    pub fn allocate(&self, limits: Limits, needs: &[u8]) -> Allocation {
        let count = self.start.len();
        let empty = Interval { start: UNDEFINED, end: 0, weight: 0.0, file: File::Vector };
        let mut intervals = vec![empty; count];
        for (r, &web) in self.webs.iter().enumerate() {
            if self.constant[r].is_none() && self.aliases[r].0 as usize == r {
                let interval = &mut intervals[web as usize];
                interval.start = interval.start.min(self.start[r]);
                interval.end = interval.end.max(self.end[r]);
                interval.weight += self.weight[r];
                interval.file = limits.file(self.kernel.regs[r].class);
            }
        }
        for (position, &need) in (0..).zip(needs) {
            let own =
                Interval { start: 2 * position, end: 2 * position + 1, weight: f32::INFINITY, file: File::Vector };
            intervals.extend(std::iter::repeat_n(own, need.into()));
        }
        let registers = scan(&intervals, limits);
        let (values, own) = registers.split_at(count);
        let is_general = |interval: &Interval| interval.file == File::General && interval.start != UNDEFINED;
        let general = intervals.iter().zip(values).filter(|(interval, _)| is_general(interval));
        let general = general.filter_map(|(_, register)| *register).collect();
        let mut own = own.iter().map(|register| register.expect("nothing weighs more"));
        let temporaries = needs.iter().map(|&need| own.by_ref().take(need.into()).collect()).collect();
        let mut slots = 0;
        let places = values.iter().map(|register| match register {
            Some(register) => Location::Register(*register),
            None => {
                slots += 1;
                Location::Slot(slots - 1)
            }
        });
        let places: Vec<Location> = places.collect();
        let located = (0..count).map(|r| {
            let r = self.aliases[r].0 as usize;
            self.constant[r].unwrap_or(places[self.webs[r] as usize])
        });
        Allocation { locations: located.collect(), slots, general, temporaries }
    }
}

/// Something that wants a register while it lives.
#[derive(Clone, Copy)]
struct Interval {
    start: u32,
    end: u32,
    weight: f32,
    file: File,
}

/// Linear scan: where registers run out, the interval with the fewest uses for its length gets none.
fn scan(intervals: &[Interval], limits: Limits) -> Vec<Option<u8>> {
    let mut order: Vec<usize> = (0..intervals.len()).filter(|&i| intervals[i].start != UNDEFINED).collect();
    order.sort_by_key(|&i| (intervals[i].start, i));
    // nobody asks where an empty interval lives
    let mut registers: Vec<Option<u8>> = intervals.iter().map(|i| (i.start == UNDEFINED).then_some(0)).collect();
    let mut active: [Vec<usize>; 3] = Default::default();
    let mut free = [limits.vector, limits.mask, limits.general].map(|limit| (0..limit).rev().collect::<Vec<u8>>());
    let cost = |i: usize| intervals[i].weight / (1.0 + (intervals[i].end - intervals[i].start) as f32);
    for i in order {
        let file = intervals[i].file as usize;
        active[file].retain(|&other| {
            let lives = intervals[other].end >= intervals[i].start;
            if !lives {
                free[file].extend(registers[other]);
            }
            lives
        });
        if free[file].is_empty() {
            let cheapest = active[file].iter().copied().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
            if let Some(cheapest) = cheapest.filter(|&other| cost(other) < cost(i)) {
                free[file].extend(registers[cheapest].take());
                active[file].retain(|&other| other != cheapest);
            }
        }
        registers[i] = free[file].pop();
        if registers[i].is_some() {
            active[file].push(i);
        }
    }
    registers
}
