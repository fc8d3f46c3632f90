//! What defines a register.

use super::{ActiveLanes, Address, Class, FloatBinary, FloatCompare, FloatUnary, IntBinary, Reg, RegType, Shift};
use Class::{Double, Float, Index, Int, Mask};

/// A pure operation, or a load.
///
/// Those on floats, doubles, integers and masks act on each lane of vectors or on scalars; all their operands, and the
/// result, are vectors, or all are scalars, except where it says otherwise. What each gives, to the bit, is defined by
/// [`interpret`](super::interpret); of a result that is no number, sign and payload are unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// A float by its bits, in every lane.
    Float(u32),
    /// An integer, in every lane.
    Int(u32),
    /// A double by its bits, in every lane.
    Double(u64),
    /// A float from a float, or a double from a double.
    Unary(FloatUnary, Reg),
    /// A float from two floats, or a double from two doubles.
    Binary(FloatBinary, Reg, Reg),
    /// `a * b + c` of floats, rounded once.
    Fma(Reg, Reg, Reg),
    /// A mask from two floats or two doubles.
    Compare(FloatCompare, Reg, Reg),
    /// Where a mask holds, the first of two floats, doubles or integers, else the second.
    Select(Reg, Reg, Reg),
    /// The bits of a float as an integer.
    Bits(Reg),
    /// The float of these bits.
    FromBits(Reg),
    /// The float nearest to a signed integer, ties to even.
    ToFloat(Reg),
    /// A float as a double.
    Widen(Reg),
    /// The float nearest to a double, ties to even.
    Narrow(Reg),
    /// A signed integer as a double.
    ToDouble(Reg),
    /// The high 32 bits of a double as an integer.
    HighWord(Reg),
    /// The low 32 bits of a double as an integer.
    LowWord(Reg),
    /// The double of these high and low 32 bits.
    FromWords(Reg, Reg),
    /// An integer from two integers.
    IntBinary(IntBinary, Reg, Reg),
    /// An integer shifted by a constant.
    Shift(Shift, Reg, u32),
    /// A mask from two integers: whether they are equal.
    IntEqual(Reg, Reg),
    /// A mask from two signed integers: whether the first is less.
    IntLess(Reg, Reg),
    /// A vector with a scalar float, double or integer in every lane.
    Splat(Reg),
    /// The integer vector 0, 1, 2, ...
    LaneNumbers,
    /// The lower halves of two vectors of floats, one after the other; or, if so told, their upper halves. Of vectors
    /// of eight lanes and more.
    Halves(Reg, Reg, bool),
    /// The float, double or integer at an address, or as many consecutive ones as a vector has active lanes.
    Load(Class, Address, ActiveLanes),
    /// A vector of floats, doubles or integers that lie this many elements of four bytes apart, as addresses count:
    /// doubles that are neighbours lie two apart.
    LoadStrided(Class, Address, i64, ActiveLanes),
    /// The low 32 bits of an index, as a scalar integer.
    IndexLow(Reg),
    /// The high 32 bits of an index, as a scalar integer.
    IndexHigh(Reg),
    /// An index from its low and high 32 bits, scalar integers.
    IndexFrom(Reg, Reg),
    /// A constant index.
    Index(i64),
    /// Sum of indices, modulo 2^64.
    IndexAdd(Reg, Reg),
    /// An index times a constant, modulo 2^64.
    IndexScale(Reg, i64),
    /// The quotient, rounded down, of an index that is not negative and a positive constant.
    IndexDiv(Reg, i64),
    /// The remainder of that division.
    IndexRem(Reg, i64),
    /// The smaller of two indices.
    IndexMin(Reg, Reg),
}

impl Inst {
    /// Calls `f` with each register that the operation reads.
    pub fn operands(mut self, mut f: impl FnMut(Reg)) {
        self.operands_mut(|reg| f(*reg));
    }

    /// As [`Inst::operands`], to change them.
    pub fn operands_mut(&mut self, mut f: impl FnMut(&mut Reg)) {
        match self {
            Inst::Float(_) | Inst::Int(_) | Inst::Double(_) | Inst::LaneNumbers | Inst::Index(_) => {}
            Inst::Unary(_, a) | Inst::Bits(a) | Inst::FromBits(a) | Inst::ToFloat(a) | Inst::Shift(_, a, _) => f(a),
            Inst::Widen(a) | Inst::Narrow(a) | Inst::ToDouble(a) | Inst::HighWord(a) | Inst::LowWord(a) => f(a),
            Inst::Splat(a) | Inst::IndexLow(a) | Inst::IndexHigh(a) | Inst::IndexScale(a, _) => f(a),
            Inst::IndexDiv(a, _) | Inst::IndexRem(a, _) => f(a),
            Inst::Load(_, address, _) | Inst::LoadStrided(_, address, ..) => f(&mut address.index),
            Inst::Binary(_, a, b) | Inst::Compare(_, a, b) | Inst::IntBinary(_, a, b) | Inst::IntEqual(a, b) => {
                [a, b].into_iter().for_each(f);
            }
            Inst::IntLess(a, b) | Inst::IndexFrom(a, b) | Inst::IndexAdd(a, b) | Inst::IndexMin(a, b) => {
                [a, b].into_iter().for_each(f);
            }
            Inst::Halves(a, b, _) | Inst::FromWords(a, b) => [a, b].into_iter().for_each(f),
            Inst::Fma(a, b, c) | Inst::Select(a, b, c) => [a, b, c].into_iter().for_each(f),
        }
    }

    /// The classes of the operands and that of the result: what an operation takes, and makes. Those of floats take
    /// doubles if their first operand is one, `Select` what its second operand, and `Splat` what its only one is, of
    /// these `types`.
    pub(super) fn classes(&self, types: &[RegType]) -> (&'static [Class], Class) {
        let given = |i: usize| types.get(i).map_or(Float, |ty| ty.class);
        match *self {
            Inst::Float(_) => (&[], Float),
            Inst::Int(_) | Inst::LaneNumbers => (&[], Int),
            Inst::Index(_) => (&[], Index),
            Inst::Double(_) => (&[], Double),
            Inst::Unary(..) if given(0) == Double => (&[Double], Double),
            Inst::Binary(..) if given(0) == Double => (&[Double, Double], Double),
            Inst::Compare(..) if given(0) == Double => (&[Double, Double], Mask),
            Inst::Select(..) if given(1) == Double => (&[Mask, Double, Double], Double),
            Inst::Unary(..) => (&[Float], Float),
            Inst::Binary(..) | Inst::Halves(..) => (&[Float, Float], Float),
            Inst::Fma(..) => (&[Float, Float, Float], Float),
            Inst::Compare(..) => (&[Float, Float], Mask),
            Inst::Select(..) if given(1) == Int => (&[Mask, Int, Int], Int),
            Inst::Select(..) => (&[Mask, Float, Float], Float),
            Inst::Bits(_) => (&[Float], Int),
            Inst::FromBits(_) | Inst::ToFloat(_) => (&[Int], Float),
            Inst::Widen(_) => (&[Float], Double),
            Inst::Narrow(_) => (&[Double], Float),
            Inst::ToDouble(_) => (&[Int], Double),
            Inst::HighWord(_) | Inst::LowWord(_) => (&[Double], Int),
            Inst::FromWords(..) => (&[Int, Int], Double),
            Inst::IntBinary(..) => (&[Int, Int], Int),
            Inst::Shift(..) => (&[Int], Int),
            Inst::IntEqual(..) | Inst::IntLess(..) => (&[Int, Int], Mask),
            Inst::Splat(_) if given(0) == Int => (&[Int], Int),
            Inst::Splat(_) if given(0) == Double => (&[Double], Double),
            Inst::Splat(_) => (&[Float], Float),
            Inst::Load(class, ..) | Inst::LoadStrided(class, ..) => (&[Index], class),
            Inst::IndexLow(_) | Inst::IndexHigh(_) => (&[Index], Int),
            Inst::IndexFrom(..) => (&[Int, Int], Index),
            Inst::IndexAdd(..) | Inst::IndexMin(..) => (&[Index, Index], Index),
            Inst::IndexScale(..) | Inst::IndexDiv(..) | Inst::IndexRem(..) => (&[Index], Index),
        }
    }

    /// Whether the operands are vectors, and whether the result is, of an operation that makes a vector or not, as
    /// `vector` says, if it can.
    pub(super) fn vectors(&self, vector: bool) -> (bool, bool) {
        match self {
            Inst::Splat(_) | Inst::LoadStrided(..) => (false, true),
            Inst::LaneNumbers | Inst::Halves(..) => (true, true),
            Inst::Load(..) => (false, vector),
            Inst::IndexLow(_) | Inst::IndexHigh(_) | Inst::IndexFrom(..) | Inst::Index(_) => (false, false),
            Inst::IndexAdd(..) | Inst::IndexMin(..) => (false, false),
            Inst::IndexScale(..) | Inst::IndexDiv(..) | Inst::IndexRem(..) => (false, false),
            _ => (vector, vector),
        }
    }
}
