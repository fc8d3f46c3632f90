//! The tile IR: straight-line SSA over scalars and vectors of unspecified width, inside counted loops.
//!
//! One [`TileKernel`] becomes one function `fn(arguments: *const *mut u8, scratch: *mut u8, begin: i64, end: i64)` that
//! processes tiles `begin..end`. Emitters choose the vector width; the bits do not depend on it.
//!
//! [`interpret`] says what tile code does, [`verify`](verify()) what well-formed code is, and [`text`] prints and reads
//! it.

mod builder;
mod error;
mod index;
mod inst;
mod interleaved;
mod interpret;
mod operation;
mod renumber;
pub mod text;
mod verify;

pub use builder::TileBuilder;
pub use error::{Error, Fault};
pub use inst::Inst;
pub use interleaved::Interleaved;
pub use interpret::{MAX_LANES, interpret};
pub use operation::{Class, FloatBinary, FloatCompare, FloatUnary, IntBinary, Shift};
pub use verify::{MAX_DEPTH, verify, verify_for};

use std::fmt::{self, Display};

/// A value of a tile kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// The class of a register and whether it is a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegType {
    /// What it holds.
    pub class: Class,
    /// Whether it has the emitter's width, or one element.
    pub vector: bool,
}

impl Display for RegType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.vector { "a vector of class" } else { "a scalar of class" }, self.class.name())
    }
}

/// How many lanes of a vector are active in an access, from the first on, if not all: only they touch memory. Lanes
/// that are not read are 0.
pub type ActiveLanes = Option<u32>;

/// What the operations of lanes make that a [`TileBuilder`] records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneMode {
    /// Scalars.
    Scalar,
    /// Vectors, of which loads and stores touch these lanes.
    Vector(ActiveLanes),
}

impl LaneMode {
    /// Whether they make vectors.
    pub fn is_vector(self) -> bool {
        self != LaneMode::Scalar
    }

    /// The lanes that loads and stores of vectors touch.
    pub fn active(self) -> ActiveLanes {
        if let LaneMode::Vector(active) = self { active } else { None }
    }
}

/// Where an access begins: `base[index + offset]`, in elements of four bytes, of which a double occupies two, the low
/// word first.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Base {
    /// The tensor of this argument.
    Argument(usize),
    /// The thread's scratch memory.
    Scratch,
}

impl Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Argument(i) => write!(f, "argument{i}"),
            Base::Scratch => f.write_str("scratch"),
        }
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Defines a register.
    Let(Reg, Inst),
    /// Writes a register's elements.
    Store(Address, Reg, ActiveLanes),
    /// Brings the memory to the second-level cache. Changes nothing, wherever it is.
    Prefetch(Address),
    /// Reads four neighbours, no doubles, from as many places as a vector has lanes: lane `i` of `into[j]` is element
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
        /// The lanes that read.
        active: ActiveLanes,
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

impl TileKernel {
    /// Whether some register holds doubles. Emitters of wide vectors give all vectors of such code the lanes that those
    /// of doubles have.
    pub fn has_doubles(&self) -> bool {
        self.regs.iter().any(|reg| reg.class == Class::Double)
    }
}
