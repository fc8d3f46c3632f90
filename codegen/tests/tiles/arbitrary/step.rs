//! What one step of random tile code adds: an operation on operands that are there.

use super::{Doubles, FLOATS, Generator, INTS, Step};
use bayeslift_codegen::tile::*;

/// How deep loops are nested besides that over tiles.
const DEPTH: usize = 3;
/// What indices are, and what they are multiplied and divided by.
const INDICES: [i64; 12] = [0, 1, 2, 5, 100, -1, -3, 17, 1 << 20, 1 << 33, -(1 << 40), i64::MAX - 1];
const FACTORS: [i64; 9] = [-1, 0, 1, 2, 3, 5, 64, -7, 1 << 21];
const DIVISORS: [i64; 8] = [1, 2, 3, 7, 16, 1000, 1 << 32, i64::MAX];
const STRIDES: [i64; 7] = [1, 2, 3, 0, -1, 7, -4];
const DOUBLES: [f64; 10] = [0.0, -0.0, 0.1, -1.5, 5e-324, -1e-310, f64::MAX, f64::INFINITY, f64::NAN, 1e39];

/// Operations that floats and doubles both have.
enum Common {
    Unary,
    Binary,
    Compare,
    Select,
}

impl Generator {
    pub(super) fn step(&mut self, step: &Step) -> Option<()> {
        use Class::{Double, Float, Index, Int, Mask};
        let Step { kind, operands: [x, y, z], choices: [c, d, e, f] } = *step;
        let vector = self.lanes > 1 && !c.is_multiple_of(4);
        let of = |choice: u8, count: usize| usize::from(choice) % count;
        match kind % 40 {
            0 => drop(self.define(Float, vector, Inst::Float(FLOATS[of(d, FLOATS.len())].to_bits()))),
            1 => drop(self.define(Int, vector, Inst::Int(INTS[of(d, INTS.len())]))),
            2 => self.float_step(Float, vector, Common::Unary, step)?,
            3..=5 => self.float_step(Float, vector, Common::Binary, step)?,
            6 | 7 => {
                let [a, b, c] = [x, y, z].map(|choice| self.pick(Float, vector, choice));
                self.define(Float, vector, Inst::Fma(a?, b?, c?));
            }
            8 => self.float_step(Float, vector, Common::Compare, step)?,
            9 => self.float_step(if d.is_multiple_of(2) { Float } else { Int }, vector, Common::Select, step)?,
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

    /// An operation of [`Common`] on this class; a selection may be of integers.
    fn float_step(&mut self, class: Class, vector: bool, operation: Common, step: &Step) -> Option<()> {
        let Step { operands: [x, y, z], choices: [_, d, ..], .. } = *step;
        let of = |count: usize| usize::from(d) % count;
        let a = self.pick(class, vector, x)?;
        let (result, inst) = match operation {
            Common::Unary => (class, Inst::Unary(FloatUnary::ALL[of(FloatUnary::ALL.len())], a)),
            Common::Binary => {
                let b = self.pick(class, vector, y)?;
                (class, Inst::Binary(FloatBinary::ALL[of(FloatBinary::ALL.len())], a, b))
            }
            Common::Compare => {
                let b = self.pick(class, vector, y)?;
                (Class::Mask, Inst::Compare(FloatCompare::ALL[of(FloatCompare::ALL.len())], a, b))
            }
            Common::Select => {
                let (mask, b) = (self.pick(Class::Mask, vector, z)?, self.pick(class, vector, y)?);
                (class, Inst::Select(mask, a, b))
            }
        };
        self.define(result, vector, inst);
        Some(())
    }

    fn double_step(&mut self, step: &Step) -> Option<()> {
        use Class::{Double, Float, Int};
        let Step { kind, operands: [x, y, z], choices: [c, d, e, f] } = *step;
        let of = |choice: u8, count: usize| usize::from(choice) % count;
        let vector = self.has_vectors(Double) && !c.is_multiple_of(4);
        match kind % 10 {
            0 => drop(self.define(Double, vector, Inst::Double(DOUBLES[of(d, DOUBLES.len())].to_bits()))),
            1 => self.float_step(Double, vector, Common::Unary, step)?,
            2 | 3 => self.float_step(Double, vector, Common::Binary, step)?,
            4 => self.float_step(Double, vector, Common::Compare, step)?,
            5 => self.float_step(Double, vector, Common::Select, step)?,
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
