//! Random well-formed graphs with inputs, for property tests of everything that takes a graph.
//!
//! A case is a list of steps, each an operation and choices. Choices are taken modulo what there is, so that every
//! list is a graph and deleting steps, which is how proptest shrinks, leaves one. Operations that would exceed the
//! limits on size are left out.
//!
//! How many cases there are, and which, is read from the environment in one way: [`config`].

mod compare;
mod indexed;
mod movements;
mod program;
mod settings;

use crate::{Binary, Compare, DType, Graph, Op, Shape, Tensor, Type, Unary, Value};
pub use compare::{is_near, largest};
use indexed::indexed;
use movements::{
    broadcast, broadcast_of, fold, reshape, reshape_of, some_window, transpose, transpose_of, window, window_of,
};
use program::{MAX_VALUE, Program, SPECIAL, SPECIAL_F64};
use proptest::prelude::*;
pub use settings::{cases, config, seed};

/// Extents around the widths of vectors, lanes and tiles; the last exceeds a chunk of `Dot`.
const EXTENTS: [usize; 13] = [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 260];
/// The largest number of products in a contraction.
const MAX_PRODUCTS: usize = 1 << 20;
/// What constants hold.
const CONSTANT: [f32; 10] = [1.0, 0.0, -1.0, 0.5, 2.0, -0.0, 1e-3, 100.0, -3.25, 0.1];

/// Graphs that cover every operation, with fitting inputs: floats within 4 of zero, in one graph of four mixed with
/// not-a-numbers, infinities, zeros of both signs, denormals and huge numbers. Two graphs of five have values of `f64`.
///
/// There are several outputs, which may repeat, report an input or update one of equal type. Values have at most 8192
/// elements and noise sites have distinct streams.
pub fn graph_and_inputs() -> impl Strategy<Value = (Graph, Vec<Tensor>)> {
    let step = (any::<u8>(), any::<[u16; 3]>(), any::<[u8; 6]>(), any::<u16>());
    let step = step.prop_map(|(kind, operands, choices, seed)| Step { kind, operands, choices, seed });
    let steps = proptest::collection::vec(step, 1..32);
    let ends = proptest::collection::vec((any::<u16>(), any::<u8>()), 0..3);
    let (specials, doubles) = (proptest::bool::weighted(0.25), proptest::bool::weighted(0.4));
    (steps, ends, specials, doubles).prop_map(|(steps, ends, specials, doubles)| {
        let mut program = Program::new(specials, doubles);
        for step in &steps {
            let make = MAKERS[usize::from(step.kind) % MAKERS.len()];
            // A step that finds no operands or exceeds a limit does nothing.
            let _ = make(&mut program, step);
        }
        program.finish(&ends)
    })
}

/// One operation and its choices.
#[derive(Debug)]
struct Step {
    kind: u8,
    operands: [u16; 3],
    choices: [u8; 6],
    seed: u16,
}

impl Step {
    fn choose<T: Clone>(&self, choice: usize, from: &[T]) -> T {
        from[usize::from(self.choices[choice]) % from.len()].clone()
    }

    /// `rank` extents, chosen from the last axis on and cut to 1 beyond the limit.
    fn shape(&self, rank: usize) -> Shape {
        let mut elements = 1;
        let mut extents: Vec<usize> = (0..rank)
            .map(|i| {
                let extent = self.choose(5 - i, &EXTENTS);
                let extent = if elements * extent > MAX_VALUE { 1 } else { extent };
                elements *= extent;
                extent
            })
            .collect();
        extents.reverse();
        Shape::new(&extents)
    }
}

type Maker = fn(&mut Program, &Step) -> Option<Value>;

/// What a step may do, simple things first; what networks are made of appears more than once.
const MAKERS: [Maker; 36] = [
    input,
    unary,
    binary,
    binary,
    constant,
    broadcast,
    sum,
    dot,
    transpose,
    reshape,
    unary,
    binary,
    compare,
    select,
    reduce_max,
    noise,
    dot,
    sum,
    |program, step| program.push(Op::StopGradient, &[program.pick(step, 0, |_| true)?]),
    |program, step| {
        let x = program.pick(step, 0, |ty| ty.dtype == DType::U32 || ty.dtype == DType::F32)?;
        if program.graph.ty(x).dtype == DType::F32 {
            return program.push(Op::Convert(DType::U32), &[x]);
        }
        let to = if program.doubles { step.choose(0, &[DType::F32, DType::F64]) } else { DType::F32 };
        program.push(Op::Convert(to), &[x])
    },
    |program, step| program.push(Op::Iota(step.choose(0, &EXTENTS)), &[]),
    compare,
    select,
    noise,
    layer,
    views,
    views,
    computed_operands,
    window,
    fold,
    convolution,
    convolution,
    other_precision,
    other_precision,
    indexed,
    indexed,
];

fn input(program: &mut Program, step: &Step) -> Option<Value> {
    use DType::{F32, F64, Mask, U32};
    let float = if program.doubles { F64 } else { F32 };
    let dtype = step.choose(0, &[F32, F32, F32, float, float, U32, U32, Mask]);
    let rank = step.choose(1, &[2, 1, 3, 0, 2, 4]);
    program.input(Type::new(dtype, step.shape(rank)), step.seed)
}

fn constant(program: &mut Program, step: &Step) -> Option<Value> {
    let special = program.specials && step.choices[1].is_multiple_of(4);
    let op = match step.choices[0] % 4 {
        3 => Op::ConstantU32(u32::from(step.seed) % 9),
        2 if program.doubles && special => Op::ConstantF64(step.choose(2, &SPECIAL_F64).to_bits()),
        2 if program.doubles => Op::ConstantF64((1.1 * f64::from(step.choose(2, &CONSTANT))).to_bits()),
        _ if special => Op::Constant(step.choose(2, &SPECIAL).to_bits()),
        _ => Op::Constant(step.choose(2, &CONSTANT).to_bits()),
    };
    program.push(op, &[])
}

fn unary(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.float(step, 0)?;
    program.push(Op::Unary(step.choose(0, Unary::ALL)), &[x])
}

/// A value of `f32` as `f64`, or the reverse.
fn other_precision(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.float(step, 0).filter(|_| program.doubles)?;
    let to = if program.graph.ty(x).dtype == DType::F64 { DType::F32 } else { DType::F64 };
    program.push(Op::Convert(to), &[x])
}

fn binary(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.float(step, 0)?;
    let (x, y) = program.aligned(x, step, 1)?;
    program.push(Op::Binary(step.choose(0, Binary::ALL)), &[x, y])
}

fn compare(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.dtype != DType::Mask)?;
    let (x, y) = program.aligned(x, step, 1)?;
    program.push(Op::Compare(step.choose(0, Compare::ALL)), &[x, y])
}

fn select(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |_| true)?;
    let (x, y) = program.aligned(x, step, 1)?;
    let shape = program.shape(x);
    let fits = |ty: &Type| ty.dtype == DType::Mask && ty.shape.broadcast_with(&shape).as_ref() == Some(&shape);
    let mask = match program.pick(step, 2, fits) {
        Some(mask) => program.broadcast(mask, &shape)?,
        None => program.input(Type::new(DType::Mask, shape), step.seed)?,
    };
    program.push(Op::Select, &[mask, x, y])
}

/// A contraction whose left operand is made of windows, or is their transpose, and may be a square.
fn convolution(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.dtype.is_float() && (2..=4).contains(&ty.shape.len()))?;
    let x = match step.choices[5] % 4 {
        0 => program.push(Op::Binary(Binary::Mul), &[x, x])?,
        _ => x,
    };
    let axis = usize::from(step.choices[0]) % (program.shape(x).len() - 1);
    let window = some_window(step, axis, program.shape(x)[axis])?;
    let shape = program.shape(x);
    if shape.elements() / shape[axis] * window.size * window.count > MAX_VALUE {
        return None;
    }
    let windows = program.push(Op::Window(window), &[x])?;
    // [before.., size, count, after..] to [before.. * count, size * after..]
    let rank = shape.len() + 1;
    let order = (0..axis).chain([axis + 1, axis]).chain(axis + 2..rank).map(|axis| axis as u8);
    let turned = program.push(Op::Transpose(order.collect()), &[windows])?;
    let rows = shape[..axis].iter().product::<usize>() * window.count;
    let depth = shape[axis + 1..].iter().product::<usize>() * window.size;
    let left = program.push(Op::Reshape([rows, depth].into()), &[turned])?;
    let left = if step.choices[1].is_multiple_of(2) { left } else { program.matrix_transpose(left)? };
    let (depth, n) = (program.shape(left)[1], step.choose(2, &EXTENTS));
    if program.shape(left).elements() * n > MAX_PRODUCTS || depth * n > MAX_VALUE {
        return None;
    }
    let right = Type::new(program.graph.ty(left).dtype, [depth, n]);
    let right = match program.pick(step, 1, |ty| *ty == right) {
        Some(right) => right,
        None => program.input(right, step.seed)?,
    };
    program.push(Op::Dot, &[left, right])
}

/// Views of views, which strides may or may not express, and something that reads the last.
fn views(program: &mut Program, step: &Step) -> Option<Value> {
    let mut x = program.pick(step, 0, |_| true)?;
    for (turn, &choice) in step.choices.iter().enumerate() {
        let operands = [step.operands[1].rotate_left(5 * turn as u32); 3];
        let choices = step.choices.map(|other| other.wrapping_mul(2 * turn as u8 + 1) ^ choice >> 3);
        let next = Step { kind: choice, operands, choices, seed: step.seed };
        let moved = match choice % 6 {
            0 => broadcast_of(program, &next, x),
            1 => reshape_of(program, &next, x),
            2 => window_of(program, &next, x),
            _ => transpose_of(program, &next, x),
        };
        x = moved.unwrap_or(x);
    }
    program.push(Op::StopGradient, &[x])
}

/// A contraction whose operands are cheap and may be seen through views: computed while they are packed.
fn computed_operands(program: &mut Program, step: &Step) -> Option<Value> {
    let operand = |program: &mut Program, i: usize| {
        let x = program.pick(step, i, |ty| ty.dtype.is_float() && ty.shape.len() >= 2)?;
        let (x, y) = program.aligned(x, step, 2 - i)?;
        let x = program.push(Op::Binary(step.choose(i, Binary::ALL)), &[x, y])?;
        if step.choices[i].is_multiple_of(3) { transpose_of(program, step, x) } else { Some(x) }
    };
    let a = operand(program, 0)?;
    let b = operand(program, 1).unwrap_or(a);
    let (a_shape, b_shape) = (program.shape(a), program.shape(b));
    let fits = a_shape.len() == b_shape.len()
        && a_shape[..a_shape.len() - 2] == b_shape[..b_shape.len() - 2]
        && program.graph.ty(a).dtype == program.graph.ty(b).dtype;
    let (k, n) = (a_shape.last_extent(), b_shape.last_extent());
    let b = match fits {
        true if b_shape[b_shape.len() - 2] == k => b,
        true if n == k => program.matrix_transpose(b)?,
        _ => program.matrix_transpose(a)?,
    };
    if a_shape.elements() * program.shape(b).last_extent() > MAX_PRODUCTS {
        return None;
    }
    program.push(Op::Dot, &[a, b])
}

fn sum(program: &mut Program, step: &Step) -> Option<Value> {
    let (x, axis) = reduced(program, step)?;
    program.push(Op::Sum(axis), &[x])
}

fn reduce_max(program: &mut Program, step: &Step) -> Option<Value> {
    let (x, axis) = reduced(program, step)?;
    program.push(Op::Max(axis), &[x])
}

fn reduced(program: &mut Program, step: &Step) -> Option<(Value, usize)> {
    let x = program.pick(step, 0, |ty| ty.dtype.is_float() && !ty.shape.is_empty())?;
    Some((x, usize::from(step.choices[0]) % program.shape(x).len()))
}

/// A contraction, of operands that may be transposed, with a value that fits or else a new input.
fn dot(program: &mut Program, step: &Step) -> Option<Value> {
    let a = match program.pick(step, 0, |ty| ty.dtype.is_float() && ty.shape.len() >= 2) {
        Some(a) if step.choices[0].is_multiple_of(2) => program.matrix_transpose(a)?,
        Some(a) => a,
        None => {
            let float = if program.doubles { DType::F64 } else { DType::F32 };
            let dtype = step.choose(4, &[DType::F32, float]);
            program.input(Type::new(dtype, step.shape(2 + step.choose(3, &[0, 0, 1]))), step.seed)?
        }
    };
    let dtype = program.graph.ty(a).dtype;
    let a_shape = program.shape(a);
    let (batch, k) = (&a_shape[..a_shape.len() - 2], a_shape.last_extent());
    let transposed = step.choices[1].is_multiple_of(2);
    let k_from_last = if transposed { 1 } else { 2 };
    let fits = |ty: &Type| {
        let rank = ty.shape.len();
        ty.dtype == dtype && rank >= 2 && ty.shape[..rank - 2] == *batch && ty.shape[rank - k_from_last] == k
    };
    let b = match program.pick(step, 1, fits) {
        Some(b) => b,
        None => {
            let n = step.choose(2, &EXTENTS);
            let tail = if transposed { [n, k] } else { [k, n] };
            program.input(Type::new(dtype, batch.iter().copied().chain(tail).collect::<Shape>()), step.seed)?
        }
    };
    let b = if transposed { program.matrix_transpose(b)? } else { b };
    let n = program.shape(b).last_extent();
    if a_shape.elements() * n > MAX_PRODUCTS {
        return None;
    }
    program.push(Op::Dot, &[a, b])
}

/// Two contractions of one operand with an epilogue of noise, as a layer with local reparameterization has.
fn layer(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.dtype.is_float() && ty.shape.len() == 2)?;
    let (x_shape, n, dtype) = (program.shape(x), step.choose(2, &EXTENTS), program.graph.ty(x).dtype);
    let ty = Type::new(dtype, [x_shape[1], n]);
    if x_shape.elements() * n > MAX_PRODUCTS {
        return None;
    }
    let mut weights = |seed| program.input(ty.clone(), step.seed ^ seed);
    let (mean, scale) = (weights(0)?, weights(1)?);
    let epsilon = program.noise(step, dtype, Shape::new(&[x_shape[0], n]), None, Some(0))?;
    let x_squared = program.push(Op::Binary(Binary::Mul), &[x, x])?;
    let scale_squared = program.push(Op::Binary(Binary::Mul), &[scale, scale])?;
    let variance = program.push(Op::Dot, &[x_squared, scale_squared])?;
    let deviation = program.push(Op::Unary(Unary::Sqrt), &[variance])?;
    let perturbation = program.push(Op::Binary(Binary::Mul), &[deviation, epsilon])?;
    let mean = program.push(Op::Dot, &[x, mean])?;
    program.push(Op::Binary(Binary::Add), &[mean, perturbation])
}

fn noise(program: &mut Program, step: &Step) -> Option<Value> {
    let rank = step.choose(0, &[2, 1, 3, 4]);
    let sample_axis = (rank > 1 && step.choices[1].is_multiple_of(2)).then_some(0);
    let first_free = if sample_axis.is_some() { 1 } else { 0 };
    let example_axis = (rank > 1 + first_free && step.choices[2].is_multiple_of(2)).then_some(first_free as u8);
    let float = if program.doubles { DType::F64 } else { DType::F32 };
    program.noise(step, step.choose(4, &[DType::F32, float]), step.shape(rank), sample_axis, example_axis)
}
