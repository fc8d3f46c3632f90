//! Random well-typed tile code over every operation, on memory that it stays within.
//!
//! A case is a list of steps, each an operation and choices. Choices are taken modulo what there is, so that every list
//! is code and deleting steps, which is how proptest shrinks, leaves some. A step that finds no operands does nothing.

use bayeslift_codegen::tile::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// The elements of each argument, and of each half of scratch memory.
pub const ELEMENTS: usize = 512;
/// Floats and integers to read, floats and integers to read and write.
pub const ARGUMENTS: [Class; 4] = [Class::Float, Class::Int, Class::Float, Class::Int];
/// How many tiles there are.
pub const TILES: i64 = 3;
/// How deep loops are nested besides that over tiles.
const DEPTH: usize = 3;
/// What indices and their factors are.
const INDICES: [i64; 12] = [0, 1, 2, 5, 100, -1, -3, 17, 1 << 20, 1 << 33, -(1 << 40), i64::MAX - 1];
const FACTORS: [i64; 9] = [-1, 0, 1, 2, 3, 5, 64, -7, 1 << 21];
const DIVISORS: [i64; 8] = [1, 2, 3, 7, 16, 1000, 1 << 32, i64::MAX];
const STRIDES: [i64; 7] = [1, 2, 3, 0, -1, 7, -4];
const FLOATS: [f32; 12] =
    [0.0, -0.0, 1.0, -1.5, 0.1, 1e-45, -1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 8_388_609.0];
const DOUBLES: [f64; 10] = [0.0, -0.0, 0.1, -1.5, 5e-324, -1e-310, f64::MAX, f64::INFINITY, f64::NAN, 1e39];
const INTS: [u32; 8] = [0, 1, 0x8000_0000, u32::MAX, 0x7fff_ffff, 0x3f80_0000, 0xdead_beef, 24];

#[derive(Clone, Debug)]
pub struct Step {
    kind: u8,
    operands: [u16; 3],
    choices: [u8; 4],
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<u8>(), any::<[u16; 3]>(), any::<[u8; 4]>());
    prop::collection::vec(step.prop_map(|(kind, operands, choices)| Step { kind, operands, choices }), 1..80)
}

/// What arguments hold at first: floats among which are all kinds, integers small and large.
pub fn memory(seed: u32) -> Vec<Vec<u32>> {
    let word = |class: Class, i: usize| {
        let bits = (i as u32 ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b);
        match class {
            Class::Float if bits.is_multiple_of(11) => FLOATS[i % FLOATS.len()].to_bits(),
            Class::Float => ((bits >> 8) as f32 / (1 << 20) as f32 - 8.0).to_bits(),
            _ if bits.is_multiple_of(7) => INTS[i % INTS.len()],
            _ => bits,
        }
    };
    ARGUMENTS.iter().map(|&class| (0..ELEMENTS).map(|i| word(class, i)).collect()).collect()
}

/// What code may have of doubles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubles {
    None,
    Scalars,
    Vectors,
}

/// The code of these steps, for vectors of so many lanes; of one lane it has none.
pub fn kernel(steps: &[Step], lanes: usize, doubles: Doubles) -> TileKernel {
    let mut g = Generator { lanes, doubles, regs: Vec::new(), ranges: HashMap::new(), bodies: vec![Body::default()] };
    let (begin, end) = (g.reg(Class::Index, false), g.reg(Class::Index, false));
    g.ranges.extend([(begin, (0, TILES)), (end, (0, TILES))]);
    g.fill_scratch();
    g.open(begin, end, 1, (0, TILES - 1), &[]);
    g.seed();
    steps.iter().for_each(|step| {
        g.step(step);
    });
    while g.bodies.len() > 1 {
        g.close(&steps[0]);
    }
    let body = g.bodies.remove(0).stmts;
    TileKernel { regs: g.regs, begin, end, body, arguments: ARGUMENTS.len(), scratch_bytes: 8 * ELEMENTS }
}

/// A loop's counter, range, step and what it carries, from which values.
type Header = (Reg, [Reg; 2], i64, Vec<(Reg, Reg)>);

#[derive(Default)]
struct Body {
    stmts: Vec<Stmt>,
    visible: Vec<Reg>,
    /// Of a loop.
    header: Option<Header>,
}

struct Generator {
    lanes: usize,
    doubles: Doubles,
    regs: Vec<RegType>,
    /// The least and the largest value of each index, if they are known.
    ranges: HashMap<Reg, (i64, i64)>,
    bodies: Vec<Body>,
}

impl Generator {
    fn reg(&mut self, class: Class, vector: bool) -> Reg {
        self.regs.push(RegType { class, vector });
        let reg = Reg(self.regs.len() as u32 - 1);
        self.body().visible.push(reg);
        reg
    }

    fn body(&mut self) -> &mut Body {
        self.bodies.last_mut().expect("the kernel's body")
    }

    fn push(&mut self, stmt: Stmt) {
        self.body().stmts.push(stmt);
    }

    fn define(&mut self, class: Class, vector: bool, inst: Inst) -> Reg {
        let reg = self.reg(class, vector);
        self.push(Stmt::Let(reg, inst));
        reg
    }

    fn index(&mut self, inst: Inst, range: Option<(i64, i64)>) -> Reg {
        let reg = self.define(Class::Index, false, inst);
        self.ranges.extend(range.map(|range| (reg, range)));
        reg
    }

    fn constant(&mut self, x: i64) -> Reg {
        self.index(Inst::Index(x), Some((x, x)))
    }

    /// A register of this type, mostly a late one.
    fn pick(&self, class: Class, vector: bool, choice: u16) -> Option<Reg> {
        let ty = RegType { class, vector };
        let all = self.bodies.iter().flat_map(|body| &body.visible).copied();
        let all: Vec<Reg> = all.filter(|&reg| self.regs[reg.0 as usize] == ty).collect();
        let latest = if choice.is_multiple_of(4) { all.len() } else { all.len().min(6) };
        (latest > 0).then(|| all[all.len() - 1 - usize::from(choice) % latest])
    }

    /// Scratch memory is written before it is read.
    fn fill_scratch(&mut self) {
        let [zero, elements] = [0, ELEMENTS as i64].map(|x| self.constant(x));
        let (float, int) = (
            self.define(Class::Float, false, Inst::Float(0.75_f32.to_bits())),
            self.define(Class::Int, false, Inst::Int(77)),
        );
        let counter = self.open(zero, elements, 1, (0, ELEMENTS as i64 - 1), &[]);
        for (offset, value) in [(0, float), (ELEMENTS as i64, int)] {
            self.push(Stmt::Store(Address { base: Base::Scratch, index: counter, offset }, value, None));
        }
        self.close_with(&[]);
    }

    /// Something of every type.
    fn seed(&mut self) {
        let index = self.constant(0);
        for vector in [false, self.lanes > 1] {
            for (argument, class) in [(0, Class::Float), (1, Class::Int), (1, Class::Double)] {
                if class == Class::Double && (self.doubles == Doubles::None || vector && !self.has_vectors(class)) {
                    continue;
                }
                let at = |offset| Address { base: Base::Argument(argument), index, offset };
                let [a, b] = [3, 200].map(|offset| self.define(class, vector, Inst::Load(class, at(offset), None)));
                let compared = match class {
                    Class::Int => Inst::IntLess(a, b),
                    _ => Inst::Compare(FloatCompare::Less, a, b),
                };
                self.define(Class::Mask, vector, compared);
            }
        }
    }

    fn has_vectors(&self, class: Class) -> bool {
        match class {
            Class::Index => false,
            Class::Double => self.lanes > 1 && self.doubles == Doubles::Vectors,
            Class::Float | Class::Int | Class::Mask => self.lanes > 1,
        }
    }

    fn open(&mut self, start: Reg, end: Reg, step: i64, range: (i64, i64), initial: &[Reg]) -> Reg {
        self.bodies.push(Body::default());
        let counter = self.reg(Class::Index, false);
        self.ranges.insert(counter, range);
        let carried = initial.iter().map(|&initial| {
            let RegType { class, vector } = self.regs[initial.0 as usize];
            (self.reg(class, vector), initial)
        });
        let carried = carried.collect();
        self.body().header = Some((counter, [start, end], step, carried));
        counter
    }

    /// Closes a loop: what it made last is stored first, so that it can be seen.
    fn close(&mut self, step: &Step) {
        let stored: Vec<Reg> = self.body().visible.iter().rev().copied().take(12).collect();
        for (i, reg) in stored.into_iter().enumerate() {
            self.store(reg, step.operands[i % 3].wrapping_add(i as u16 * 37), step.choices[1], true);
        }
        let carried = self.body().header.as_ref().expect("a loop is open").3.clone();
        let next = carried.iter().zip(step.operands.into_iter().cycle()).map(|(&(reg, _), choice)| {
            let RegType { class, vector } = self.regs[reg.0 as usize];
            self.pick(class, vector, choice).expect("there is the carried value itself")
        });
        let next: Vec<Reg> = next.collect();
        self.close_with(&next);
    }

    fn close_with(&mut self, next: &[Reg]) {
        let Body { stmts: body, header, .. } = self.bodies.pop().expect("a loop is open");
        let (counter, [start, end], step, carried) = header.expect("a loop is open");
        self.body().visible.extend(carried.iter().map(|&(reg, _)| reg));
        let carried = carried.into_iter().zip(next).map(|((reg, initial), &next)| Carried { reg, initial, next });
        let carried = carried.collect();
        self.push(Stmt::Loop { counter, start, end, step, carried, body });
    }

    /// An address from which the words `first..=last` are, or begin, elements of this class.
    fn address(&self, class: Class, written: bool, (first, last): (i64, i64), choices: [u16; 2]) -> Option<Address> {
        let index = self.pick(Class::Index, false, choices[0])?;
        let (least, most) = *self.ranges.get(&index)?;
        // doubles lie among integers, whose every bit counts
        let last = if class == Class::Double { last + 1 } else { last };
        let places = [
            (Base::Argument(if class == Class::Float { 2 } else { 3 }), 0),
            (Base::Scratch, if class == Class::Float { 0 } else { ELEMENTS }),
        ];
        let readable = (Base::Argument(if class == Class::Float { 0 } else { 1 }), 0);
        let places = if written { places.to_vec() } else { [&places[..], &[readable]].concat() };
        let (base, begin) = places[usize::from(choices[1]) % places.len()];
        let lowest = (begin as i64).checked_sub(least)?.checked_sub(first)?;
        let highest = (begin as i64 + ELEMENTS as i64 - 1).checked_sub(most)?.checked_sub(last)?;
        let room = highest.checked_sub(lowest).filter(|&room| room >= 0)?;
        let offset = lowest + i64::from(choices[1] / 3) % (room + 1);
        (offset.unsigned_abs() <= 1 << 40).then_some(Address { base, index, offset })
    }

    fn active_lanes(&self, vector: bool, choice: u8) -> ActiveLanes {
        (vector && choice.is_multiple_of(3)).then(|| 1 + u32::from(choice / 3) % self.lanes as u32)
    }

    fn touched(&self, vector: bool, active: ActiveLanes) -> i64 {
        active.map_or(if vector { self.lanes as i64 } else { 1 }, i64::from)
    }

    /// Where the last of neighbours begins.
    fn last(&self, class: Class, vector: bool, active: ActiveLanes) -> i64 {
        (self.touched(vector, active) - 1) * if class == Class::Double { 2 } else { 1 }
    }

    /// Stores a float or an integer; one that nothing else shows goes to an argument.
    fn store(&mut self, reg: Reg, choice: u16, active: u8, shown: bool) -> Option<()> {
        let RegType { class, vector } = self.regs[reg.0 as usize];
        let reg = match class {
            Class::Float | Class::Int => reg,
            Class::Double => self.number(reg),
            Class::Mask | Class::Index => return None,
        };
        let active = self.active_lanes(vector, active);
        let last = self.last(class, vector, active);
        let choices = [choice, if shown { choice & !1 } else { choice }];
        let address = self.address(class, true, (0, last), choices)?;
        self.push(Stmt::Store(address, reg, active));
        Some(())
    }

    /// A double that is a number: the bits of what is none are nobody's business.
    fn number(&mut self, a: Reg) -> Reg {
        let vector = self.regs[a.0 as usize].vector;
        let is_number = self.define(Class::Mask, vector, Inst::Compare(FloatCompare::Equal, a, a));
        let other = self.define(Class::Double, vector, Inst::Double(2.5_f64.to_bits()));
        self.define(Class::Double, vector, Inst::Select(is_number, a, other))
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        use Class::{Double, Float, Index, Int, Mask};
        let Step { kind, operands: [x, y, z], choices: [c, d, e, f] } = *step;
        let vector = self.lanes > 1 && !c.is_multiple_of(4);
        let of = |choice: u8, count: usize| usize::from(choice) % count;
        match kind % 40 {
            0 => drop(self.define(Float, vector, Inst::Float(FLOATS[of(d, FLOATS.len())].to_bits()))),
            1 => drop(self.define(Int, vector, Inst::Int(INTS[of(d, INTS.len())]))),
            2 => {
                let op = FloatUnary::ALL[of(d, FloatUnary::ALL.len())];
                let a = self.pick(Float, vector, x)?;
                self.define(Float, vector, Inst::Unary(op, a));
            }
            3..=5 => {
                let op = FloatBinary::ALL[of(d, FloatBinary::ALL.len())];
                let (a, b) = (self.pick(Float, vector, x)?, self.pick(Float, vector, y)?);
                self.define(Float, vector, Inst::Binary(op, a, b));
            }
            6 | 7 => {
                let [a, b, c] = [x, y, z].map(|choice| self.pick(Float, vector, choice));
                self.define(Float, vector, Inst::Fma(a?, b?, c?));
            }
            8 => {
                let op = FloatCompare::ALL[of(d, FloatCompare::ALL.len())];
                let (a, b) = (self.pick(Float, vector, x)?, self.pick(Float, vector, y)?);
                self.define(Mask, vector, Inst::Compare(op, a, b));
            }
            9 => {
                let class = if d.is_multiple_of(2) { Float } else { Int };
                let mask = self.pick(Mask, vector, z)?;
                let (a, b) = (self.pick(class, vector, x)?, self.pick(class, vector, y)?);
                self.define(class, vector, Inst::Select(mask, a, b));
            }
            10 => {
                // the bits of what is no number are nobody's business
                let a = self.pick(Float, vector, x)?;
                let is_number = self.define(Mask, vector, Inst::Compare(FloatCompare::Equal, a, a));
                let other = self.define(Float, vector, Inst::Float(2.5_f32.to_bits()));
                let number = self.define(Float, vector, Inst::Select(is_number, a, other));
                self.define(Int, vector, Inst::Bits(number));
            }
            11 => {
                let a = self.pick(Int, vector, x)?;
                self.define(Float, vector, if d.is_multiple_of(2) { Inst::FromBits(a) } else { Inst::ToFloat(a) });
            }
            12 | 13 => {
                let op = IntBinary::ALL[of(d, IntBinary::ALL.len())];
                let (a, b) = (self.pick(Int, vector, x)?, self.pick(Int, vector, y)?);
                self.define(Int, vector, Inst::IntBinary(op, a, b));
            }
            14 => {
                let op = Shift::ALL[of(d, Shift::ALL.len())];
                let a = self.pick(Int, vector, x)?;
                let by = if op == Shift::RotateLeft { 1 + u32::from(e) % 31 } else { u32::from(e) % 32 };
                self.define(Int, vector, Inst::Shift(op, a, by));
            }
            15 => {
                let (a, b) = (self.pick(Int, vector, x)?, self.pick(Int, vector, y)?);
                self.define(Mask, vector, if d.is_multiple_of(2) { Inst::IntEqual(a, b) } else { Inst::IntLess(a, b) });
            }
            16 if self.lanes > 1 => {
                let class = [Float, Int, Double][of(d, if self.has_vectors(Double) { 3 } else { 2 })];
                let a = self.pick(class, false, x)?;
                self.define(class, true, Inst::Splat(a));
            }
            17 if self.lanes > 1 => drop(self.define(Int, true, Inst::LaneNumbers)),
            18 if self.lanes >= 8 => {
                let (a, b) = (self.pick(Float, true, x)?, self.pick(Float, true, y)?);
                self.define(Float, true, Inst::Halves(a, b, d.is_multiple_of(2)));
            }
            19 | 20 => {
                let class = if d.is_multiple_of(2) { Float } else { Int };
                let active = self.active_lanes(vector, e);
                let address = self.address(class, false, (0, self.touched(vector, active) - 1), [x, y])?;
                self.define(class, vector, Inst::Load(class, address, active));
            }
            21 | 22 if self.lanes > 1 => {
                let class = if d.is_multiple_of(2) { Float } else { Int };
                let (active, stride) = (self.active_lanes(true, e), STRIDES[of(f, STRIDES.len())]);
                let distance = stride * (self.touched(true, active) - 1);
                let further = if kind % 40 == 21 { 0 } else { 3 };
                let address = self.address(class, false, (distance.min(0), distance.max(0) + further), [x, y])?;
                if further == 0 {
                    self.define(class, true, Inst::LoadStrided(class, address, stride, active));
                } else {
                    let into = [(); 4].map(|()| self.reg(class, true));
                    self.push(Stmt::LoadTransposed { into, class, address, stride, active });
                }
            }
            23 => {
                let class = if d.is_multiple_of(2) { Float } else { Int };
                let reg = self.pick(class, vector, z)?;
                self.store(reg, x ^ y, e, false)?;
            }
            24 if self.bodies.len() <= DEPTH + 1 => {
                let first = i64::from(d % 7) - 3;
                let (count, step) = (i64::from(e % 4), [1, 2, 5][of(f, 3)]);
                let (start, end) = (self.constant(first), self.constant(first + count * step - i64::from(e / 4 % 2)));
                let third = if f.is_multiple_of(8) { Mask } else { Float };
                let initial = [(Float, x), (Int, y), (third, z), (Index, x), (Double, y)];
                let initial = initial.into_iter().take(usize::from(f / 3) % 6);
                let initial: Vec<Reg> = initial
                    .filter_map(|(class, choice)| self.pick(class, vector && self.has_vectors(class), choice))
                    .collect();
                self.open(start, end, step, (first, first + (count - 1).max(0) * step), &initial);
            }
            25 if self.bodies.len() > 2 => self.close(step),
            26 | 27 => self.index_step(x, y, [d, e])?,
            28 => {
                let index = self.pick(Index, false, x)?;
                match d % 3 {
                    0 => drop(self.define(Int, false, Inst::IndexLow(index))),
                    1 => drop(self.define(Int, false, Inst::IndexHigh(index))),
                    _ => {
                        let (low, high) = (self.pick(Int, false, y)?, self.pick(Int, false, z)?);
                        self.index(Inst::IndexFrom(low, high), None);
                    }
                }
            }
            29 => {
                let index = self.pick(Index, false, x)?;
                self.push(Stmt::Prefetch(Address { base: Base::Argument(of(d, 4)), index, offset: i64::from(e) }));
            }
            30.. if self.doubles != Doubles::None => self.double_step(step)?,
            _ => {}
        }
        Some(())
    }

    fn double_step(&mut self, step: &Step) -> Option<()> {
        use Class::{Double, Float, Int, Mask};
        let Step { kind, operands: [x, y, z], choices: [c, d, e, f] } = *step;
        let of = |choice: u8, count: usize| usize::from(choice) % count;
        let vector = self.has_vectors(Double) && !c.is_multiple_of(4);
        match kind % 10 {
            0 => drop(self.define(Double, vector, Inst::Double(DOUBLES[of(d, DOUBLES.len())].to_bits()))),
            1 => {
                let (op, a) = (FloatUnary::ALL[of(d, FloatUnary::ALL.len())], self.pick(Double, vector, x)?);
                self.define(Double, vector, Inst::Unary(op, a));
            }
            2 | 3 => {
                let op = FloatBinary::ALL[of(d, FloatBinary::ALL.len())];
                let (a, b) = (self.pick(Double, vector, x)?, self.pick(Double, vector, y)?);
                self.define(Double, vector, Inst::Binary(op, a, b));
            }
            4 => {
                let op = FloatCompare::ALL[of(d, FloatCompare::ALL.len())];
                let (a, b) = (self.pick(Double, vector, x)?, self.pick(Double, vector, y)?);
                self.define(Mask, vector, Inst::Compare(op, a, b));
            }
            5 => {
                let mask = self.pick(Mask, vector, z)?;
                let (a, b) = (self.pick(Double, vector, x)?, self.pick(Double, vector, y)?);
                self.define(Double, vector, Inst::Select(mask, a, b));
            }
            6 => {
                let inst = match d % 3 {
                    0 => Inst::Widen(self.pick(Float, vector, x)?),
                    1 => Inst::ToDouble(self.pick(Int, vector, x)?),
                    _ => Inst::FromWords(self.pick(Int, vector, x)?, self.pick(Int, vector, y)?),
                };
                self.define(Double, vector, inst);
            }
            7 => {
                let a = self.pick(Double, vector, x)?;
                if d.is_multiple_of(3) {
                    self.define(Float, vector, Inst::Narrow(a));
                    return Some(());
                }
                let a = self.number(a);
                self.define(Int, vector, if d % 3 == 1 { Inst::HighWord(a) } else { Inst::LowWord(a) });
            }
            8 => {
                let active = self.active_lanes(vector, e);
                let stride = if vector && d.is_multiple_of(2) { STRIDES[of(f, STRIDES.len())] } else { 2 };
                let distance = stride * (self.touched(vector, active) - 1);
                let address = self.address(Double, false, (distance.min(0), distance.max(0)), [x, y])?;
                let is_strided = vector && d.is_multiple_of(2);
                let strided = Inst::LoadStrided(Double, address, stride, active);
                self.define(Double, vector, if is_strided { strided } else { Inst::Load(Double, address, active) });
            }
            _ => {
                let reg = self.pick(Double, vector, z)?;
                self.store(reg, x ^ y, e, false)?;
            }
        }
        Some(())
    }

    fn index_step(&mut self, x: u16, y: u16, [d, e]: [u8; 2]) -> Option<()> {
        let (a, b) = (self.pick(Class::Index, false, x)?, self.pick(Class::Index, false, y)?);
        let [of_a, of_b] = [a, b].map(|reg| self.ranges.get(&reg).copied());
        let both = of_a.zip(of_b);
        match d % 6 {
            0 => drop(self.constant(INDICES[usize::from(e) % INDICES.len()])),
            1 => {
                let range = both.and_then(|(a, b)| Some((a.0.checked_add(b.0)?, a.1.checked_add(b.1)?)));
                self.index(Inst::IndexAdd(a, b), range);
            }
            2 => {
                let by = FACTORS[usize::from(e) % FACTORS.len()];
                let ends = of_a.and_then(|a| Some((a.0.checked_mul(by)?, a.1.checked_mul(by)?)));
                self.index(Inst::IndexScale(a, by), ends.map(|(a, b)| (a.min(b), a.max(b))));
            }
            3 => drop(self.index(Inst::IndexMin(a, b), both.map(|(a, b)| (a.0.min(b.0), a.1.min(b.1))))),
            rest => {
                let (least, most) = of_a.filter(|&(least, _)| least >= 0)?;
                let by = DIVISORS[usize::from(e) % DIVISORS.len()];
                if rest == 4 {
                    self.index(Inst::IndexDiv(a, by), Some((least / by, most / by)));
                } else {
                    self.index(Inst::IndexRem(a, by), Some((0, most.min(by - 1))));
                }
            }
        }
        Some(())
    }
}
