//! What sort of operation each primitive is: the one classification that grouping, order, storage, costs and code
//! follow.

use crate::{Binary, Compare, DType, Noise, Op, Shape, Unary, Window};

/// What sort of operation an [`Op`] is, with what each sort does: from [`Op::kind`].
///
/// ```
/// use bayeslift_ir::{Builder, Kind, Type};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 64]));
/// b.output("y", x.dot(b.input("w", Type::f32([64, 10]))).relu().sum(0));
/// let graph = b.finish()?;
/// let count = |is: fn(Kind<'_>) -> bool| graph.nodes().iter().filter(|node| is(node.op.kind())).count();
/// assert_eq!(count(|kind| matches!(kind, Kind::Input(_))), 2);
/// assert_eq!(count(|kind| matches!(kind, Kind::Contraction | Kind::Reduction { .. })), 2);
/// // the maximum with 0, which is a literal that is broadcast
/// assert_eq!(count(|kind| matches!(kind, Kind::Elementwise(_) | Kind::Literal(_) | Kind::Movement(_))), 3);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// What the caller passes: the graph input with this index.
    Input(usize),
    /// Known when the graph is made, without operands.
    Literal(Literal),
    /// Random numbers, each a function of where it is.
    Noise(&'a Noise),
    /// Each element is computed from the operands' elements at the same index.
    Elementwise(Elementwise),
    /// Products summed over an axis that both operands have.
    Contraction,
    /// The elements along an axis become one.
    Reduction {
        /// What they become.
        function: Reduction,
        /// The axis, which disappears.
        axis: usize,
    },
    /// Each element is the sum of those that a window takes from there.
    Fold {
        /// The windows.
        window: Window,
        /// The extent of the axis in the result.
        extent: usize,
    },
    /// Rows are read, added to or replaced where numbers, which are values, say.
    Indexed(Indexed),
    /// Elements are moved or repeated, and none is computed.
    Movement(Movement<'a>),
}

/// The value of a literal.
///
/// ```
/// use bayeslift_ir::{Kind, Literal, Op};
/// assert_eq!(Op::Constant(0.5_f32.to_bits()).kind(), Kind::Literal(Literal::Float(0x3f00_0000)));
/// assert_eq!(Op::Iota(8).kind(), Kind::Literal(Literal::Position));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// An `f32` scalar, by its bits.
    Float(u32),
    /// An `f64` scalar, by its bits.
    Double(u64),
    /// A `u32` scalar.
    Word(u32),
    /// Each element is its own index.
    Position,
}

/// A function of the operands' elements at one index.
///
/// ```
/// use bayeslift_ir::{Arithmetic, Elementwise, Kind, Op, Unary};
/// let Kind::Elementwise(function) = Op::Unary(Unary::Tanh).kind() else { unreachable!() };
/// assert_eq!((function, function.arithmetic()), (Elementwise::Unary(Unary::Tanh), Arithmetic::Elementary));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elementwise {
    /// See [`Op::Unary`].
    Unary(Unary),
    /// See [`Op::Binary`].
    Binary(Binary),
    /// See [`Op::Compare`].
    Compare(Compare),
    /// See [`Op::Select`].
    Select,
    /// See [`Op::Convert`].
    Convert(DType),
    /// See [`Op::StopGradient`].
    StopGradient,
}

/// What machines make of an elementwise function, for whatever counts what elements cost.
///
/// ```
/// use bayeslift_ir::{Arithmetic, Binary, Elementwise, Unary};
/// assert_eq!(Elementwise::Binary(Binary::Mul).arithmetic(), Arithmetic::Simple);
/// assert_eq!(Elementwise::Unary(Unary::Sqrt).arithmetic(), Arithmetic::Division);
/// assert_eq!(Elementwise::StopGradient.arithmetic(), Arithmetic::Copy);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// None: the operand's element.
    Copy,
    /// An instruction, or a few.
    Simple,
    /// One instruction that takes long: a division or a square root.
    Division,
    /// A sequence of instructions, as [`elementary`](crate::elementary) has them.
    Elementary,
}

/// What the elements along an axis become.
///
/// ```
/// use bayeslift_ir::{Kind, Op, Reduction};
/// assert_eq!(Op::Max(2).kind(), Kind::Reduction { function: Reduction::Max, axis: 2 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// See [`Op::Sum`].
    Sum,
    /// See [`Op::Max`].
    Max,
}

/// What is done with rows that have numbers.
///
/// ```
/// use bayeslift_ir::Indexed;
/// // [rows, width] read by u32[n]
/// assert_eq!((Indexed::Gather.source(), Indexed::Gather.numbers(), Indexed::Gather.table()), (Some(0), 1, None));
/// // [rows, width] with the rows u32[n] replaced by [n, width]
/// let replace = Indexed::ScatterRows;
/// assert_eq!((replace.table(), replace.numbers(), replace.source()), (Some(0), 1, Some(2)));
/// // u32[n]
/// let first = Indexed::FirstEqual { rows: 100 };
/// assert_eq!((first.numbers(), first.source()), (0, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// See [`Op::Gather`].
    Gather,
    /// See [`Op::ScatterAdd`].
    ScatterAdd {
        /// The number of rows of the result.
        rows: usize,
    },
    /// See [`Op::ScatterRows`].
    ScatterRows,
    /// See [`Op::FirstEqual`].
    FirstEqual {
        /// What numbers are below, as far as they equal others.
        rows: usize,
    },
}

impl Indexed {
    /// Which operand has the rows that are read, if one has: its index among the operands.
    pub fn source(self) -> Option<usize> {
        match self {
            Indexed::Gather | Indexed::ScatterAdd { .. } => Some(0),
            Indexed::ScatterRows => Some(2),
            Indexed::FirstEqual { .. } => None,
        }
    }

    /// Which operand has the numbers of rows, as `u32`: its index among the operands.
    pub fn numbers(self) -> usize {
        match self {
            Indexed::Gather | Indexed::ScatterAdd { .. } | Indexed::ScatterRows => 1,
            Indexed::FirstEqual { .. } => 0,
        }
    }

    /// Which operand is the table of which the result is a changed one, if one is: its index among the operands. Its
    /// memory may receive the result.
    pub fn table(self) -> Option<usize> {
        (self == Indexed::ScatterRows).then_some(0)
    }
}

/// How elements are moved.
///
/// ```
/// use bayeslift_ir::{Kind, Movement, Op};
/// let op = Op::Transpose([1, 0].into_iter().collect());
/// assert_eq!(op.kind(), Kind::Movement(Movement::Transpose(&[1, 0])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement<'a> {
    /// See [`Op::Broadcast`].
    Broadcast(&'a Shape),
    /// See [`Op::Reshape`].
    Reshape(&'a Shape),
    /// See [`Op::Transpose`].
    Transpose(&'a [u8]),
    /// See [`Op::Window`].
    Window(Window),
}

impl Op {
    /// What sort of operation it is, with its attributes.
    pub fn kind(&self) -> Kind<'_> {
        match self {
            Op::Input(index) => Kind::Input(*index as usize),
            Op::Constant(bits) => Kind::Literal(Literal::Float(*bits)),
            Op::ConstantF64(bits) => Kind::Literal(Literal::Double(*bits)),
            Op::ConstantU32(word) => Kind::Literal(Literal::Word(*word)),
            Op::Iota(_) => Kind::Literal(Literal::Position),
            Op::Noise(noise) => Kind::Noise(noise),
            Op::Unary(function) => Kind::Elementwise(Elementwise::Unary(*function)),
            Op::Binary(function) => Kind::Elementwise(Elementwise::Binary(*function)),
            Op::Compare(function) => Kind::Elementwise(Elementwise::Compare(*function)),
            Op::Select => Kind::Elementwise(Elementwise::Select),
            Op::Convert(to) => Kind::Elementwise(Elementwise::Convert(*to)),
            Op::StopGradient => Kind::Elementwise(Elementwise::StopGradient),
            Op::Dot => Kind::Contraction,
            Op::Sum(axis) => Kind::Reduction { function: Reduction::Sum, axis: *axis },
            Op::Max(axis) => Kind::Reduction { function: Reduction::Max, axis: *axis },
            Op::Broadcast(shape) => Kind::Movement(Movement::Broadcast(shape)),
            Op::Reshape(shape) => Kind::Movement(Movement::Reshape(shape)),
            Op::Transpose(permutation) => Kind::Movement(Movement::Transpose(permutation)),
            Op::Window(window) => Kind::Movement(Movement::Window(*window)),
            Op::Fold(window, extent) => Kind::Fold { window: *window, extent: *extent },
            Op::Gather => Kind::Indexed(Indexed::Gather),
            Op::ScatterAdd(rows) => Kind::Indexed(Indexed::ScatterAdd { rows: *rows }),
            Op::ScatterRows => Kind::Indexed(Indexed::ScatterRows),
            Op::FirstEqual(rows) => Kind::Indexed(Indexed::FirstEqual { rows: *rows }),
        }
    }

    /// Whether the operation only moves or repeats elements, as [`Op::Transpose`] and [`Op::Broadcast`] do.
    pub fn is_movement(&self) -> bool {
        matches!(self.kind(), Kind::Movement(_))
    }

    /// Whether the operation computes each element from the operands' elements at the same index, as [`Op::Binary`]
    /// does.
    pub fn is_elementwise(&self) -> bool {
        matches!(self.kind(), Kind::Elementwise(_))
    }

    /// Whether the operation has no operands and always gives the same elements: a constant, or [`Op::Iota`].
    pub fn is_literal(&self) -> bool {
        matches!(self.kind(), Kind::Literal(_))
    }

    /// Whether the operation draws random numbers: [`Op::Noise`], and no other.
    pub fn is_noise(&self) -> bool {
        matches!(self.kind(), Kind::Noise(_))
    }
}

impl Elementwise {
    /// What machines make of it: the class of its cost for an element.
    pub fn arithmetic(self) -> Arithmetic {
        match self {
            Elementwise::Unary(Unary::Neg | Unary::Abs | Unary::Floor) => Arithmetic::Simple,
            Elementwise::Unary(Unary::Sqrt) | Elementwise::Binary(Binary::Div) => Arithmetic::Division,
            Elementwise::Unary(
                Unary::Exp
                | Unary::Log
                | Unary::Sin
                | Unary::Cos
                | Unary::Tanh
                | Unary::Erf
                | Unary::Softplus
                | Unary::Sigmoid,
            ) => Arithmetic::Elementary,
            Elementwise::Binary(Binary::Add | Binary::Mul | Binary::Max) => Arithmetic::Simple,
            Elementwise::Compare(_) | Elementwise::Select | Elementwise::Convert(_) => Arithmetic::Simple,
            Elementwise::StopGradient => Arithmetic::Copy,
        }
    }
}
