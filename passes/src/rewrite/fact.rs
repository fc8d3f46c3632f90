//! What is known of every class of equal values: type, constant, sign. Types are by the graph's own rule.

use super::term::{Head, Term};
use crate::simplify::fold;
use bayeslift_ir::{Binary, DType, Op, Type, Unary, result_type};
use egg::{Analysis, DidMerge, Id};

/// What is known of all elements of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The type; of a fused operation, that of each of its parts.
    pub ty: Type,
    /// The bits that every element has.
    pub constant: Option<u32>,
    pub sign: Sign,
}

/// What is proved of the sign of every element that is a number. Nothing is said of those that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Any,
    /// The sign bit is clear.
    NonNegative,
    /// Above zero.
    Positive,
}

/// Derives [`Fact`]s, given the types of the leaves.
#[derive(Default)]
pub(super) struct Facts {
    pub slots: Vec<Type>,
}

pub(super) type EGraph = egg::EGraph<Term, Facts>;

impl Analysis<Term> for Facts {
    type Data = Fact;

    fn make(egraph: &mut EGraph, term: &Term, _: Id) -> Fact {
        let fact = |i: usize| &egraph[term.args[i]].data;
        let unknown = |ty: Type| Fact { ty, constant: None, sign: Sign::Any };
        match &term.head {
            Head::Slot(slot) => unknown(egraph.analysis.slots[*slot as usize].clone()),
            Head::Part(_) => unknown(fact(0).ty.clone()),
            Head::Fused(fused) => {
                let ty = fused.parts()[0].ty(|var| fact(fused.operand(var)).ty.clone());
                unknown(ty.unwrap_or_else(|| panic!("operands do not fit {term:?}")))
            }
            Head::Op(op) => {
                let args: Vec<&Fact> = (0..term.args.len()).map(fact).collect();
                of(op, &args, term.args.iter().all(|&arg| egraph.find(arg) == egraph.find(term.args[0])))
            }
        }
    }

    fn merge(&mut self, a: &mut Fact, b: Fact) -> DidMerge {
        assert_eq!(a.ty, b.ty, "a rule equates values of different types");
        let merged = Fact { ty: b.ty.clone(), constant: a.constant.or(b.constant), sign: a.sign.max(b.sign) };
        let changed = DidMerge(*a != merged, b != merged);
        *a = merged;
        changed
    }
}

/// What follows for an operation. `same` says that all its operands are one value.
fn of(op: &Op, args: &[&Fact], same: bool) -> Fact {
    let types: Vec<&Type> = args.iter().map(|fact| &fact.ty).collect();
    let ty = result_type(op, &types).unwrap_or_else(|error| panic!("a rule made an ill-typed term: {error}"));
    let constant = constant(op, args);
    let sign = match constant {
        Some(bits) if ty.dtype == DType::F32 => sign_of(f32::from_bits(bits)),
        _ => sign(op, args, same),
    };
    Fact { ty, constant, sign }
}

fn constant(op: &Op, args: &[&Fact]) -> Option<u32> {
    match op {
        Op::Constant(bits) => Some(*bits),
        op if op.is_movement() || *op == Op::StopGradient => args[0].constant,
        _ => fold(op, |i| args[i].constant.map(f32::from_bits)),
    }
}

fn sign_of(x: f32) -> Sign {
    if x > 0.0 {
        Sign::Positive
    } else if x.to_bits() == 0 {
        Sign::NonNegative
    } else {
        Sign::Any
    }
}

/// Underflow takes products, quotients and exponentials of positive numbers down to zero, so they are but not negative.
fn sign(op: &Op, args: &[&Fact], same: bool) -> Sign {
    let weakest = || args.iter().map(|fact| fact.sign).min().unwrap_or(Sign::Any);
    match op {
        Op::Unary(Unary::Exp | Unary::Abs | Unary::Softplus | Unary::Sigmoid) => Sign::NonNegative,
        Op::Convert(_) if args[0].ty.dtype == DType::U32 => Sign::NonNegative,
        Op::Unary(Unary::Sqrt) => args[0].sign,
        Op::Binary(Binary::Mul | Binary::Div) | Op::Dot if weakest() > Sign::Any => Sign::NonNegative,
        Op::Binary(Binary::Mul) if same => Sign::NonNegative,
        Op::Binary(Binary::Add) if weakest() > Sign::Any => args[0].sign.max(args[1].sign),
        // a tie of zeros, and an operand that is no number, give the left one: of the right one only a constant is
        // known to be a number
        Op::Binary(Binary::Max) if args[1].constant.is_some_and(|c| f32::from_bits(c) > 0.0) => Sign::Positive,
        Op::Binary(Binary::Max) => args[0].sign,
        Op::Select => args[1].sign.min(args[2].sign),
        Op::Sum(_) if weakest() > Sign::Any => Sign::NonNegative,
        op if op.is_movement() || *op == Op::StopGradient => args[0].sign,
        _ => Sign::Any,
    }
}
