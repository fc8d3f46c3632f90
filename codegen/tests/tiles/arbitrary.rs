//! Random well-typed tile code over every operation, on memory that it stays within.
//!
//! A case is a list of steps, each an operation and choices. Choices are taken modulo what there is, so that every list
//! is code and deleting steps, which is how proptest shrinks, leaves some. A step that finds no operands does nothing.

mod step;

use bayeslift_codegen::tile::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// The elements of each argument, and of each half of scratch memory.
pub const ELEMENTS: usize = 512;
/// Floats and integers to read, floats and integers to read and write.
pub const ARGUMENTS: [Class; 4] = [Class::Float, Class::Int, Class::Float, Class::Int];
/// How many tiles there are.
pub const TILES: i64 = 3;
const FLOATS: [f32; 12] =
    [0.0, -0.0, 1.0, -1.5, 0.1, 1e-45, -1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 8_388_609.0];
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

/// The code of these steps, for vectors of `lanes` lanes; of one lane it has none.
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
}
