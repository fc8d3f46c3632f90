//! The right sides of rules that depend on attributes or types. Each gives the classes that equal the one that matched.

use super::{
    fact::EGraph,
    template::add,
    term::{Head, Term},
};
use bayeslift_ir::{Binary, Op, Shape};
use egg::{Id, Subst};
use smallvec::SmallVec;

pub(super) type Apply = fn(&mut EGraph, Id, &Subst) -> Vec<Id>;

/// Movement, with its operand.
fn movements(egraph: &EGraph, class: Id) -> Vec<(Op, Id)> {
    let movement = |term: &Term| match &term.head {
        Head::Op(op) if op.is_movement() => Some((op.clone(), term.args[0])),
        _ => None,
    };
    egraph[class].nodes.iter().filter_map(movement).collect()
}

/// The operands of all operations of a class that `wanted` accepts.
fn operands(egraph: &EGraph, class: Id, wanted: impl Fn(&Op) -> bool) -> Vec<(Op, SmallVec<[Id; 3]>)> {
    let operation = |term: &Term| match &term.head {
        Head::Op(op) if wanted(op) => Some((op.clone(), term.args.clone())),
        _ => None,
    };
    egraph[class].nodes.iter().filter_map(operation).collect()
}

/// One permutation of axes instead of two; none if nothing moves.
pub(super) fn compose_permutations(egraph: &mut EGraph, class: Id, _: &Subst) -> Vec<Id> {
    let mut equal = Vec::new();
    for (outer, middle) in movements(egraph, class) {
        let Op::Transpose(outer) = outer else { continue };
        for (inner, x) in movements(egraph, middle) {
            let Op::Transpose(inner) = inner else { continue };
            let composed: SmallVec<[u8; 4]> = outer.iter().map(|&axis| inner[usize::from(axis)]).collect();
            match composed.iter().copied().eq(0..composed.len() as u8) {
                true => equal.push(x),
                false => equal.extend(add(egraph, Op::Transpose(composed), &[x])),
            }
        }
    }
    equal
}

/// One reshape instead of two; none if the shape is that of the operand.
pub(super) fn compose_reshapes(egraph: &mut EGraph, class: Id, bound: &Subst) -> Vec<Id> {
    let x = bound[variable("?x")];
    let shape = egraph[class].data.ty.shape.clone();
    match egraph[x].data.ty.shape == shape {
        true => vec![x],
        false => add(egraph, Op::Reshape(shape), &[x]).into_iter().collect(),
    }
}

/// reshape(x x) = reshape(x) reshape(x).
pub(super) fn square_of_reshape(egraph: &mut EGraph, class: Id, bound: &Subst) -> Vec<Id> {
    let shape = egraph[class].data.ty.shape.clone();
    let Some(x) = add(egraph, Op::Reshape(shape), &[bound[variable("?x")]]) else { return Vec::new() };
    add(egraph, Op::Binary(Binary::Mul), &[x, x]).into_iter().collect()
}

/// f(broadcast x) = broadcast f(x).
pub(super) fn unary_before_broadcast(egraph: &mut EGraph, class: Id, bound: &Subst) -> Vec<Id> {
    let shape = egraph[class].data.ty.shape.clone();
    let mut equal = Vec::new();
    for (op, _) in operands(egraph, class, |op| matches!(op, Op::Unary(_))) {
        let small = add(egraph, op, &[bound[variable("?x")]]);
        equal.extend(small.and_then(|small| add(egraph, Op::Broadcast(shape.clone()), &[small])));
    }
    equal
}

/// A product of operands that are both repeated over leading axes is computed once and repeated.
pub(super) fn dot_before_broadcast(egraph: &mut EGraph, class: Id, bound: &Subst) -> Vec<Id> {
    let full = egraph[class].data.ty.shape.clone();
    let (a, b) = (bound[variable("?a")], bound[variable("?b")]);
    let (a_shape, b_shape) = (egraph[a].data.ty.shape.clone(), egraph[b].data.ty.shape.clone());
    let leading = full.len() - 2;
    let batch: Shape =
        (0..leading).map(|axis| extent(&a_shape, full.len(), axis).max(extent(&b_shape, full.len(), axis))).collect();
    if batch[..] == full[..leading] {
        return Vec::new();
    }
    let mut equal = Vec::new();
    for (_, args) in operands(egraph, class, |op| *op == Op::Dot) {
        let mut source = |operand: Id, source: Id| {
            let matrix = egraph[operand].data.ty.shape[leading..].to_vec();
            let shape: Shape = batch.iter().copied().chain(matrix).collect();
            match egraph[source].data.ty.shape == shape {
                true => Some(source),
                false => add(egraph, Op::Broadcast(shape), &[source]),
            }
        };
        let (Some(a), Some(b)) = (source(args[0], a), source(args[1], b)) else { continue };
        let Some(dot) = add(egraph, Op::Dot, &[a, b]) else { continue };
        equal.extend(add(egraph, Op::Broadcast(full.clone()), &[dot]));
    }
    equal
}

/// The extent of an axis of a shape that is broadcast to this rank.
fn extent(shape: &Shape, rank: usize, axis: usize) -> usize {
    (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis])
}

/// x / c = x (1 / c).
pub(super) fn multiply_by_reciprocal(egraph: &mut EGraph, _: Id, bound: &Subst) -> Vec<Id> {
    let (x, c) = (bound[variable("?x")], bound[variable("?c")]);
    let Some(bits) = egraph[c].data.constant else { return Vec::new() };
    let shape = egraph[x].data.ty.shape.clone();
    let Some(scalar) = add(egraph, Op::Constant(f32::from_bits(bits).recip().to_bits()), &[]) else {
        return Vec::new();
    };
    let reciprocal = if shape.is_empty() { Some(scalar) } else { add(egraph, Op::Broadcast(shape), &[scalar]) };
    let product = reciprocal.and_then(|reciprocal| add(egraph, Op::Binary(Binary::Mul), &[x, reciprocal]));
    product.into_iter().collect()
}

fn variable(name: &str) -> egg::Var {
    name.parse().expect("a variable")
}
