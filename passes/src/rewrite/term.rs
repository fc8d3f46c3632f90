//! The language of the e-graph: primitive operations with their attributes inside, numbered leaves, fused operations.
//!
//! Attributes are never children, so every term has a type. In the text of rules, `transpose` exchanges the last two
//! axes, and `permute`, `broadcast` and `reshape` match any operation of that kind.

use super::Fused;
use bayeslift_ir::{Binary, Compare, Op, Shape, Unary};
use egg::{FromOp, FromOpError, Id, Language};
use smallvec::{SmallVec, smallvec};

/// An operation applied to classes of equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term {
    pub head: Head,
    pub args: SmallVec<[Id; 3]>,
}

/// What a [`Term`] does with its operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Head {
    /// The leaf of this number: a value that the region only reads.
    Slot(u32),
    /// A primitive operation, never an input.
    Op(Op),
    /// A fused operation: all its results together.
    Fused(Fused),
    /// This result of a fused operation, which is the operand.
    Part(u8),
}

impl Term {
    pub fn new(head: Head, args: impl IntoIterator<Item = Id>) -> Term {
        Term { head, args: args.into_iter().collect() }
    }

    pub fn op(op: Op, args: &[Id]) -> Term {
        Term::new(Head::Op(op), args.iter().copied())
    }

    /// The primitive operation, if it is one.
    pub fn primitive(&self) -> Option<&Op> {
        match &self.head {
            Head::Op(op) => Some(op),
            _ => None,
        }
    }
}

impl Language for Term {
    type Discriminant = &'static str;

    fn discriminant(&self) -> &'static str {
        match &self.head {
            Head::Slot(_) => "slot",
            Head::Op(op) => op.name(),
            Head::Fused(fused) => fused.name(),
            Head::Part(_) => "part",
        }
    }

    /// Whether `other` is what this term of a pattern asks for.
    fn matches(&self, other: &Term) -> bool {
        let fits = match (&self.head, &other.head) {
            (Head::Op(Op::Transpose(pattern)), Head::Op(Op::Transpose(found))) => {
                !pattern.is_empty() || *found == last_two_exchanged(found.len())
            }
            (Head::Op(Op::Broadcast(_)), Head::Op(Op::Broadcast(_))) => true,
            (Head::Op(Op::Reshape(_)), Head::Op(Op::Reshape(_))) => true,
            (pattern, found) => pattern == found,
        };
        fits && self.args.len() == other.args.len()
    }

    fn children(&self) -> &[Id] {
        &self.args
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}

/// The permutation of a matrix transpose.
pub(super) fn last_two_exchanged(rank: usize) -> SmallVec<[u8; 4]> {
    let mut axes: SmallVec<[u8; 4]> = (0..rank as u8).collect();
    if rank >= 2 {
        axes.swap(rank - 2, rank - 1);
    }
    axes
}

impl FromOp for Term {
    type Error = FromOpError;

    fn from_op(name: &str, args: Vec<Id>) -> Result<Term, FromOpError> {
        let op = match name {
            "dot" => Some(Op::Dot),
            "select" => Some(Op::Select),
            "transpose" => Some(Op::Transpose(smallvec![])),
            "permute" => Some(Op::Transpose(smallvec![0])),
            "broadcast" => Some(Op::Broadcast(Shape::default())),
            "reshape" => Some(Op::Reshape(Shape::default())),
            _ => None,
        };
        let unary = || Unary::ALL.iter().find(|op| op.name() == name).map(|&op| Op::Unary(op));
        let binary = || Binary::ALL.iter().find(|op| op.name() == name).map(|&op| Op::Binary(op));
        let compare = || Compare::ALL.iter().find(|op| op.name() == name).map(|&op| Op::Compare(op));
        let fused = || Fused::ALL.iter().find(|fused| fused.name() == name).map(|&fused| Head::Fused(fused));
        let head = op.or_else(unary).or_else(binary).or_else(compare).map(Head::Op).or_else(fused);
        match head {
            Some(head) => Ok(Term::new(head, args)),
            None => Err(FromOpError::new(name, args)),
        }
    }
}
