//! Where the values of a tile kernel live: linear scan over live ranges, extended over loops.
//!
//! Ranges are counted in half steps: an instruction at position p reads at 2p and writes at 2p + 1, so that a result may take the
//! register of an operand that dies there. A loop's entry writes at 2p, so that what enters never meets what is carried.

use crate::tile::{Carried, Class, Inst, Reg, Stmt, TileKernel};

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
    /// A constant index.
    Index(i64),
}

/// A kernel's values with their places.
pub(super) struct Allocation {
    pub locations: Vec<Location>,
    pub slots: u32,
}

/// How many registers of each file are allocated.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub vector: u8,
    pub mask: u8,
    pub general: u8,
}

struct Ranges<'k> {
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
}

pub(super) fn file(class: Class) -> File {
    match class {
        Class::Float | Class::Int => File::Vector,
        Class::Mask => File::Mask,
        Class::Index => File::General,
    }
}

/// The registers an instruction reads.
pub(super) fn operands(inst: &Inst) -> Vec<Reg> {
    match *inst {
        Inst::Float(_) | Inst::Int(_) | Inst::LaneNumbers | Inst::Index(_) => vec![],
        Inst::Unary(_, a) | Inst::Bits(a) | Inst::FromBits(a) | Inst::ToFloat(a) | Inst::Shift(_, a, _) => vec![a],
        Inst::Splat(a) | Inst::IndexLow(a) | Inst::IndexHigh(a) | Inst::IndexScale(a, _) => vec![a],
        Inst::IndexDiv(a, _) | Inst::IndexRem(a, _) => vec![a],
        Inst::Binary(_, a, b) | Inst::Compare(_, a, b) | Inst::IntBinary(_, a, b) | Inst::IntEqual(a, b) => vec![a, b],
        Inst::IntLess(a, b) | Inst::IndexFrom(a, b) | Inst::IndexAdd(a, b) | Inst::IndexMin(a, b) => vec![a, b],
        Inst::Fma(a, b, c) | Inst::Select(a, b, c) => vec![a, b, c],
        Inst::Load(_, address) | Inst::LoadStrided(_, address, _) => vec![address.index],
    }
}

pub(super) fn allocate(kernel: &TileKernel, limits: Limits) -> Allocation {
    let count = kernel.regs.len();
    let mut ranges = Ranges {
        kernel,
        aliases: (0..count as u32).map(Reg).collect(),
        constant: vec![None; count],
        defined: vec![(0, 0); count],
        start: vec![0; count],
        end: vec![0; count],
        weight: vec![0.0; count],
        last_in_body: vec![0; count],
        carrier: vec![0; count],
        loops: vec![(0, 0, u32::MAX)],
        sums: Vec::new(),
        carried: Vec::new(),
        uses: Vec::new(),
        position: 1,
    };
    ranges.start[kernel.begin.0 as usize] = 1;
    ranges.start[kernel.end.0 as usize] = 1;
    ranges.block(&kernel.body, 0);
    ranges.extend();
    let webs = ranges.join();
    ranges.scan(&webs, limits)
}

impl Ranges<'_> {
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
                    Inst::Index(x) if i32::try_from(x).is_ok() => {
                        self.constant[reg.0 as usize] = Some(Location::Index(x));
                    }
                    Inst::Bits(a) | Inst::FromBits(a) => self.aliases[reg.0 as usize] = self.alias(a),
                    _ => {
                        for operand in operands(inst) {
                            self.read(operand, 2 * p, inside);
                        }
                        self.define(*reg, 2 * p + 1, inside);
                        if let Inst::Fma(_, _, c) = *inst {
                            self.sums.push((2 * p, inside, *reg, self.alias(c)));
                        }
                    }
                },
                Stmt::Store(address, value) => {
                    self.read(address.index, 2 * p, inside);
                    self.read(*value, 2 * p, inside);
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
                if at < self.loops[carrier].2 {
                    self.last_in_body[r] = self.last_in_body[r].max(in_body);
                }
            }
        }
        for r in 0..self.start.len() {
            if self.carrier[r] != 0 {
                self.end[r] = self.end[r].max(self.loops[self.carrier[r]].2 + 1);
            }
        }
    }

    /// Values that share one place: a sum with the addend that dies in it, a carried value with its next.
    fn join(&mut self) -> Vec<u32> {
        let mut web: Vec<u32> = (0..self.start.len() as u32).collect();
        fn find(web: &mut [u32], mut r: u32) -> u32 {
            while web[r as usize] != r {
                web[r as usize] = web[web[r as usize] as usize];
                r = web[r as usize];
            }
            r
        }
        for (at, inside, result, addend) in self.sums.clone() {
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
                let (a, b) = (find(&mut web, result.0), find(&mut web, addend.0));
                web[a.max(b) as usize] = a.min(b);
            }
        }
        for (reg, next) in self.carried.clone() {
            let (r, n) = (reg.0 as usize, next.0 as usize);
            let plain = self.constant[n].is_none() && self.carrier[n] == 0 && self.defined[n].1 == self.carrier[r];
            // the old value must not be needed once the new one exists
            if plain && self.last_in_body[r] < self.start[n] && self.kernel.regs[r] == self.kernel.regs[n] {
                let (a, b) = (find(&mut web, reg.0), find(&mut web, next.0));
                web[a.max(b) as usize] = a.min(b);
            }
        }
        (0..web.len() as u32).map(|r| find(&mut web, r)).collect()
    }

    fn scan(self, webs: &[u32], limits: Limits) -> Allocation {
        let count = self.start.len();
        let (mut start, mut end, mut weight) = (vec![u32::MAX; count], vec![0; count], vec![0.0; count]);
        for (r, &web) in webs.iter().enumerate() {
            if self.constant[r].is_none() && self.aliases[r].0 as usize == r {
                let w = web as usize;
                start[w] = start[w].min(self.start[r]);
                end[w] = end[w].max(self.end[r]);
                weight[w] += self.weight[r];
            }
        }
        let mut order: Vec<usize> = (0..count).filter(|&w| start[w] != u32::MAX).collect();
        order.sort_by_key(|&w| (start[w], w));
        let mut locations = vec![Location::Slot(0); count];
        let mut slots = 0;
        let mut active: [Vec<(usize, u8)>; 3] = Default::default();
        let mut free: [Vec<u8>; 3] =
            [limits.vector, limits.mask, limits.general].map(|limit| (0..limit).rev().collect());
        for w in order {
            let f = file(self.kernel.regs[w].class) as usize;
            active[f].retain(|&(other, register)| {
                let lives = end[other] >= start[w];
                if !lives {
                    free[f].push(register);
                }
                lives
            });
            let cost = |v: usize| weight[v] / (1.0 + (end[v] - start[v]) as f32);
            let register = free[f].pop().or_else(|| {
                let cheapest = active[f].iter().map(|&(v, _)| v).min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
                if cost(cheapest) >= cost(w) {
                    return None;
                }
                let i = active[f].iter().position(|&(v, _)| v == cheapest)?;
                let (_, register) = active[f].swap_remove(i);
                locations[cheapest] = Location::Slot(slots);
                slots += 1;
                Some(register)
            });
            locations[w] = match register {
                Some(register) => {
                    active[f].push((w, register));
                    Location::Register(register)
                }
                None => {
                    slots += 1;
                    Location::Slot(slots - 1)
                }
            };
        }
        let resolved = (0..count).map(|r| {
            let r = self.aliases[r].0 as usize;
            self.constant[r].unwrap_or(locations[webs[r] as usize])
        });
        Allocation { locations: resolved.collect(), slots }
    }
}
