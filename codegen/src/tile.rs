//! The tile IR: straight-line SSA over scalars and vectors of unspecified width, inside counted loops.
//!
//! One [`TileKernel`] becomes one function `fn(arguments: *const *mut u8, scratch: *mut u8, begin: i64, end: i64)` that
//! processes tiles `begin..end`. Emitters choose the vector width; the bits do not depend on it.

mod abreast;
mod builder;
mod index;

pub use abreast::Abreast;
pub use builder::TileBuilder;

use std::fmt;

/// A value of a tile kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `f32` elements.
    Float,
    /// 32-bit integers.
    Int,
    /// Truth values.
    Mask,
    /// One 64-bit signed integer: a row, a column, an element's number.
    Index,
}

/// The class of a register and whether it is a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegType {
    /// What it holds.
    pub class: Class,
    /// Whether it has the emitter's width, or one element.
    pub vector: bool,
}

#[allow(missing_docs, reason = "named after the operations of `Lanes`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatUnary {
    Sqrt,
    Neg,
    Abs,
    Floor,
}

#[allow(missing_docs, reason = "named after the operations of `Lanes`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatBinary {
    Add,
    Sub,
    Mul,
    Div,
    /// `a > b ? a : b`.
    Max,
    /// `a < b ? a : b`.
    Min,
}

#[allow(missing_docs, reason = "named after the operations of `Lanes`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatCompare {
    Less,
    LessEqual,
    Equal,
}

#[allow(missing_docs, reason = "named after the operations of `Lanes`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntBinary {
    Add,
    Sub,
    And,
    Or,
    Xor,
}

#[allow(missing_docs, reason = "named after the operations of `Lanes`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shift {
    Left,
    LogicalRight,
    ArithmeticRight,
    RotateLeft,
}

/// A pure operation, or a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// A float by its bits.
    Float(u32),
    /// An integer.
    Int(u32),
    /// Elementwise on floats.
    Unary(FloatUnary, Reg),
    /// Elementwise on floats.
    Binary(FloatBinary, Reg, Reg),
    /// `a * b + c`, rounded once.
    Fma(Reg, Reg, Reg),
    /// Floats to a mask.
    Compare(FloatCompare, Reg, Reg),
    /// Mask, floats or integers of that mask's width.
    Select(Reg, Reg, Reg),
    /// The bits of floats.
    Bits(Reg),
    /// Floats from bits.
    FromBits(Reg),
    /// Signed integers to floats.
    ToFloat(Reg),
    /// Elementwise on integers.
    IntBinary(IntBinary, Reg, Reg),
    /// Shift by a constant.
    Shift(Shift, Reg, u32),
    /// Integers to a mask: equal.
    IntEqual(Reg, Reg),
    /// Signed integers to a mask: less.
    IntLess(Reg, Reg),
    /// A scalar in every lane.
    Splat(Reg),
    /// 0, 1, 2, ... in the lanes of an integer vector.
    LaneNumbers,
    /// The lower halves of two vectors, one after the other; or, if so told, their upper halves. Of vectors of eight lanes
    /// and more.
    Halves(Reg, Reg, bool),
    /// Reads one element, or as many consecutive ones as a vector has.
    Load(Class, Address, Part),
    /// Reads a vector whose lanes are this many elements apart.
    LoadStrided(Class, Address, i64, Part),
    /// The low 32 bits of an index, as a scalar integer.
    IndexLow(Reg),
    /// The high 32 bits of an index.
    IndexHigh(Reg),
    /// An index from its low and high 32 bits.
    IndexFrom(Reg, Reg),
    /// A constant index.
    Index(i64),
    /// Sum of indices.
    IndexAdd(Reg, Reg),
    /// An index times a constant.
    IndexScale(Reg, i64),
    /// A non-negative index divided by a positive constant.
    IndexDiv(Reg, i64),
    /// The remainder of that division.
    IndexRem(Reg, i64),
    /// The smaller index.
    IndexMin(Reg, Reg),
}

impl Inst {
    /// Calls `f` with each register that the operation reads.
    pub fn operands(&self, mut f: impl FnMut(Reg)) {
        match *self {
            Inst::Float(_) | Inst::Int(_) | Inst::LaneNumbers | Inst::Index(_) => {}
            Inst::Unary(_, a) | Inst::Bits(a) | Inst::FromBits(a) | Inst::ToFloat(a) | Inst::Shift(_, a, _) => f(a),
            Inst::Splat(a) | Inst::IndexLow(a) | Inst::IndexHigh(a) | Inst::IndexScale(a, _) => f(a),
            Inst::IndexDiv(a, _) | Inst::IndexRem(a, _) => f(a),
            Inst::Binary(_, a, b) | Inst::Compare(_, a, b) | Inst::IntBinary(_, a, b) | Inst::IntEqual(a, b) => {
                [a, b].into_iter().for_each(f);
            }
            Inst::Halves(a, b, _) => [a, b].into_iter().for_each(f),
            Inst::IntLess(a, b) | Inst::IndexFrom(a, b) | Inst::IndexAdd(a, b) | Inst::IndexMin(a, b) => {
                [a, b].into_iter().for_each(f);
            }
            Inst::Fma(a, b, c) | Inst::Select(a, b, c) => {
                [a, b, c].into_iter().for_each(f);
            }
            Inst::Load(_, address, _) | Inst::LoadStrided(_, address, ..) => f(address.index),
        }
    }
}

impl Stmt {
    /// Calls `f` with each register that the statement defines, if it is no loop.
    pub fn results(&self, mut f: impl FnMut(Reg)) {
        match self {
            Stmt::Let(reg, _) => f(*reg),
            Stmt::LoadTransposed { into, .. } => into.iter().for_each(|&reg| f(reg)),
            Stmt::Store(..) | Stmt::Prefetch(_) | Stmt::Loop { .. } => {}
        }
    }

    /// Calls `f` with each register that the statement reads; of a loop, what it reads before its body.
    pub fn operands(&self, mut f: impl FnMut(Reg)) {
        match self {
            Stmt::Let(_, inst) => inst.operands(f),
            Stmt::Store(address, value, _) => {
                [address.index, *value].into_iter().for_each(f);
            }
            Stmt::Prefetch(address) | Stmt::LoadTransposed { address, .. } => f(address.index),
            Stmt::Loop { start, end, carried, .. } => {
                [*start, *end].into_iter().for_each(&mut f);
                carried.iter().for_each(|carry| f(carry.initial));
            }
        }
    }
}

/// How many lanes of a vector an access touches, from the first on, if not all. Lanes that are not read are 0.
pub type Part = Option<u32>;

/// Where an access begins: `base[index + offset]`, in elements of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The memory.
    pub base: Base,
    /// A variable number of elements.
    pub index: Reg,
    /// A constant number of elements.
    pub offset: i64,
}

/// A piece of memory a kernel can access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The tensor of this argument.
    Argument(usize),
    /// The thread's scratch memory.
    Scratch,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Defines a register.
    Let(Reg, Inst),
    /// Writes a register's elements.
    Store(Address, Reg, Part),
    /// Brings the memory near. Changes nothing, wherever it is.
    Prefetch(Address),
    /// Reads four neighbours from as many places as a vector has lanes: lane `i` of `into[j]` is element
    /// `i * stride + j` from the address on.
    LoadTransposed {
        /// The registers it defines.
        into: [Reg; 4],
        /// The class of the elements.
        class: Class,
        /// Where the first lane's elements lie.
        address: Address,
        /// The distance of lanes.
        stride: i64,
        /// How many lanes.
        part: Part,
    },
    /// `for counter in (start..end).step_by(step)`. May run zero times.
    Loop {
        /// The register that counts.
        counter: Reg,
        /// The first value.
        start: Reg,
        /// The bound.
        end: Reg,
        /// The distance of values, positive.
        step: i64,
        /// Values that change from one iteration to the next.
        carried: Vec<Carried>,
        /// The body.
        body: Vec<Stmt>,
    },
}

/// A value carried around a loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Carried {
    /// Its register in the body, and after the loop its last value.
    pub reg: Reg,
    /// The value before the first iteration.
    pub initial: Reg,
    /// The value for the next iteration.
    pub next: Reg,
}

/// A function over tiles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TileKernel {
    /// The types of registers.
    pub regs: Vec<RegType>,
    /// The first tile, a parameter.
    pub begin: Reg,
    /// One past the last tile, a parameter.
    pub end: Reg,
    /// The statements.
    pub body: Vec<Stmt>,
    /// The number of pointer arguments.
    pub arguments: usize,
    /// How much scratch memory a thread needs.
    pub scratch_bytes: usize,
}
