//! What operations cost, in picoseconds: whole numbers, from types alone.
//!
//! Costs choose between terms that are equal; they foretell no run times. Rules that change bits must win or lose
//! whatever the extents are, which holds because they exchange one elementwise operation for a cheaper one.
//!
//! They are those of one machine on all of them: some choices round differently.

#![warn(clippy::wildcard_enum_match_arm, reason = "a new operation has to say what it costs")]

use super::{Fused, fact::Fact, template::Template};
use crate::Costs;
use bayeslift_ir::{Arithmetic, Kind, Movement, Op, Type, result_type};

const COSTS: Costs = Costs::REFERENCE;
/// Movement that reads through strides.
const VIEW: u64 = 1;
/// What an operation costs beside its elements: a kernel is woken, its tiles are shared out.
const KERNEL: u64 = 500_000;

/// The cost of a primitive operation.
pub(super) fn of(op: &Op, fact: &Fact, args: &[&Type]) -> u64 {
    if fact.constant.is_some() { 0 } else { primitive(op, &fact.ty, args) }
}

fn primitive(op: &Op, ty: &Type, args: &[&Type]) -> u64 {
    let elements = ty.shape.elements() as u64;
    match op.kind() {
        Kind::Contraction => KERNEL + elements * (args[0].shape.last_extent() as u64 * COSTS.product + COSTS.access),
        Kind::Elementwise(function) => match function.arithmetic() {
            Arithmetic::Copy => VIEW,
            arithmetic @ (Arithmetic::Simple | Arithmetic::Division | Arithmetic::Elementary) => {
                elements * COSTS.of(arithmetic)
            }
        },
        Kind::Reduction { .. } | Kind::Fold { .. } => {
            KERNEL + args[0].shape.elements() as u64 * (COSTS.simple + COSTS.access)
        }
        Kind::Indexed(_) => KERNEL + elements * (COSTS.simple + COSTS.access),
        Kind::Movement(Movement::Transpose(_) | Movement::Window(_)) => VIEW + elements * COSTS.simple,
        Kind::Movement(Movement::Broadcast(_) | Movement::Reshape(_)) => VIEW,
        Kind::Input(_) | Kind::Literal(_) | Kind::Noise(_) => 0,
    }
}

/// The cost of a fused operation: of its contractions, in one kernel. What else its parts are made of is computed while
/// operands are read.
pub(super) fn fused(fused: Fused, args: &[&Type]) -> u64 {
    let cost = |part: &Template| {
        let mut total = 0;
        part.build(
            &mut total,
            |var| args[fused.operand(var)].clone(),
            |_, ty| ty.clone(),
            |total, term, args| {
                let (op, args) = (term.primitive()?, args.iter().collect::<Vec<_>>());
                let ty = result_type(op, &args).ok()?;
                if *op == Op::Dot {
                    *total += primitive(op, &ty, &args);
                }
                Some(ty)
            },
        );
        total
    };
    let parts = fused.parts();
    parts.iter().map(cost).sum::<u64>().saturating_sub((parts.len() as u64 - 1) * KERNEL)
}
