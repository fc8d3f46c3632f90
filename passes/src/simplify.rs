//! Deterministic local simplification: every rule keeps every bit, and none makes code worse.

use crate::rebuild::{Rebuild, rebuild};
use bayeslift_ir::{Args, Binary, DType, Environment, Error, Graph, Op, Scalar, Shape, Unary, Value, elementary};
use std::ops::{Add, Div, Mul};

/// The same outputs with fewer operations: dead nodes gone, constants folded, movement composed, elementwise
/// work done before it is broadcast rather than after. Exact: the outputs keep their bits.
///
/// # Errors
/// Those of building a graph; none for a graph that verifies.
pub fn simplify(graph: &Graph) -> Result<Graph, Error> {
    let _environment = Environment::enter();
    let simple = rebuild(graph, |to, value| {
        let args = to.operands(value);
        push(&mut to.graph, graph.node(value).op.clone(), &args)
    })?;
    // again for what that left without users
    rebuild(&simple, Rebuild::copy)
}

/// Adds `op` in its simplest form. Operands are simple already.
fn push(graph: &mut Graph, op: Op, args: &[Value]) -> Result<Value, Error> {
    if let Some(value) = existing(graph, &op, args) {
        return Ok(value);
    }
    if let Some(constant) = folded(graph, &op, args) {
        return graph.push(constant, &[]);
    }
    // op(broadcast a, broadcast b) = broadcast op(a, b)
    if op.is_elementwise()
        && let Some(shape) = common_source(graph, args)
    {
        let full = graph.ty(args[0]).shape.clone();
        let sources: Args = args.iter().map(|&arg| source_of_shape(graph, arg, &shape)).collect::<Result<_, _>>()?;
        let small = push(graph, op, &sources)?;
        return push(graph, Op::Broadcast(full), &[small]);
    }
    match (&op, args) {
        (Op::Broadcast(_), &[x]) => {
            if let Op::Broadcast(_) = graph.node(x).op {
                let inner = graph.node(x).args[0];
                return push(graph, op, &[inner]);
            }
        }
        (Op::Reshape(_), &[x]) => {
            if let Op::Reshape(_) = graph.node(x).op {
                let inner = graph.node(x).args[0];
                return push(graph, op, &[inner]);
            }
        }
        (Op::Transpose(outer), &[x]) => {
            if let Op::Transpose(inner) = &graph.node(x).op {
                let composed = outer.iter().map(|&axis| inner[usize::from(axis)]).collect();
                let source = graph.node(x).args[0];
                return push(graph, Op::Transpose(composed), &[source]);
            }
        }
        _ => {}
    }
    graph.push(op, args)
}

/// A value that the result equals already.
fn existing(graph: &Graph, op: &Op, args: &[Value]) -> Option<Value> {
    let inner = |value: Value, unary: Unary| match graph.node(value).op {
        Op::Unary(found) if found == unary => Some(graph.node(value).args[0]),
        _ => None,
    };
    let is = |value: Value, x: f32| {
        let double = |c: f64| c.to_bits() == f64::from(x).to_bits();
        graph.constant(value).is_some_and(|c| c.to_bits() == x.to_bits())
            || graph.constant_f64(value).is_some_and(double)
    };
    match (op, args) {
        (Op::StopGradient, &[x]) => Some(x),
        (Op::Unary(Unary::Neg), &[x]) => inner(x, Unary::Neg),
        (Op::Binary(Binary::Mul), &[a, b]) if is(b, 1.0) => Some(a),
        (Op::Binary(Binary::Mul), &[a, b]) if is(a, 1.0) => Some(b),
        (Op::Binary(Binary::Div), &[a, b]) if is(b, 1.0) => Some(a),
        // x + -0 keeps even the sign of zero; x + 0 does not
        (Op::Binary(Binary::Add), &[a, b]) if is(b, -0.0) => Some(a),
        (Op::Binary(Binary::Add), &[a, b]) if is(a, -0.0) => Some(b),
        (Op::Select, &[_, a, b]) if a == b => Some(a),
        // to `f64` and back
        (Op::Convert(DType::F32), &[x]) if graph.node(x).op == Op::Convert(DType::F64) => {
            Some(graph.node(x).args[0]).filter(|&x| graph.ty(x).dtype == DType::F32)
        }
        (Op::Broadcast(shape) | Op::Reshape(shape), &[x]) if graph.ty(x).shape == *shape => Some(x),
        (Op::Transpose(permutation), &[x]) if permutation.iter().copied().eq(0..permutation.len() as u8) => Some(x),
        _ => None,
    }
}

/// The constant that an operation on constants is.
fn folded(graph: &Graph, op: &Op, args: &[Value]) -> Option<Op> {
    let float = |i: usize| match graph.node(args[i]).op {
        Op::Constant(bits) => Some(f32::from_bits(bits)),
        _ => None,
    };
    let double = |i: usize| match graph.node(args[i]).op {
        Op::ConstantF64(bits) => Some(f64::from_bits(bits)),
        _ => None,
    };
    let constant = |x: f32| Op::Constant(if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() });
    let constant_f64 = |x: f64| Op::ConstantF64(if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() });
    match op {
        Op::Convert(DType::F32) => double(0).map(|x| constant(x as f32)),
        Op::Convert(DType::F64) => match graph.node(args[0]).op {
            Op::ConstantU32(x) => Some(constant_f64(x.into())),
            _ => float(0).map(|x| constant_f64(x.into())),
        },
        Op::Unary(function) if double(0).is_some() => {
            Some(constant_f64(elementary::double::unary(&mut Scalar, *function, double(0)?)))
        }
        Op::Binary(function) if double(0).is_some() => Some(constant_f64(binary(*function, double(0)?, double(1)?))),
        _ => fold(op, float).map(Op::Constant),
    }
}

/// The bits of an operation's result, by the arithmetic that compiled code uses, where `operand` tells the operands.
pub(crate) fn fold(op: &Op, operand: impl Fn(usize) -> Option<f32>) -> Option<u32> {
    let x = match op {
        Op::Unary(op) => elementary::unary(&mut Scalar, *op, operand(0)?),
        Op::Binary(op) => binary(*op, operand(0)?, operand(1)?),
        _ => return None,
    };
    Some(if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() })
}

fn binary<T>(op: Binary, a: T, b: T) -> T
where
    T: PartialOrd + Add<Output = T> + Mul<Output = T> + Div<Output = T>,
{
    match op {
        Binary::Add => a + b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max if b > a => b,
        Binary::Max => a,
    }
}

/// The smaller shape that all operands are broadcast from, if there is one.
fn common_source(graph: &Graph, args: &[Value]) -> Option<Shape> {
    let mut common: Option<Shape> = None;
    for &arg in args {
        let Op::Broadcast(_) = graph.node(arg).op else { return None };
        let source = &graph.ty(graph.node(arg).args[0]).shape;
        common = Some(match common {
            None => source.clone(),
            Some(shape) => shape.broadcast_with(source)?,
        });
    }
    let common = common?;
    (common.elements() < graph.ty(args[0]).shape.elements()).then_some(common)
}

/// What `broadcast` repeats, repeated only as far as `shape`.
fn source_of_shape(graph: &mut Graph, broadcast: Value, shape: &Shape) -> Result<Value, Error> {
    let source = graph.node(broadcast).args[0];
    push(graph, Op::Broadcast(shape.clone()), &[source])
}
