//! Random well-formed graphs with inputs, for property tests of everything that takes a graph.
//!
//! A case is a list of [`Step`]s, each an operation and choices. Choices are taken modulo what there is, so that every
//! list is a graph and deleting steps, which is how proptest shrinks, leaves one. Operations that would exceed the
//! limits on size are left out.

use crate::{
    Binary, Compare, DType, Distribution, Error, Graph, Noise, Op, Shape, Tensor, Type, Unary, Value, result_type,
};
use proptest::prelude::*;

/// Extents around the widths of vectors, lanes and tiles; the last exceeds a chunk of `Dot`.
const EXTENTS: [usize; 13] = [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 260];
const MAX_VALUE: usize = 1 << 13;
const MAX_TOTAL: usize = 1 << 17;
const MAX_PRODUCTS: usize = 1 << 20;
const MAX_SHAPE_RANK: usize = 5;

const SPECIAL: [f32; 12] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    f32::MIN_POSITIVE,
    -1e-40,
    1e-45,
    f32::MAX,
    -1e30,
    88.8,
    -104.0,
];
const CONSTANT: [f32; 10] = [1.0, 0.0, -1.0, 0.5, 2.0, -0.0, 1e-3, 100.0, -3.25, 0.1];

/// Graphs that cover every operation, with fitting inputs: floats within 4 of zero, in one graph of four mixed with
/// not-a-numbers, infinities, zeros of both signs, denormals and huge numbers.
///
/// There are several outputs, which may repeat, report an input or update one of equal type. Values have at most 8192
/// elements and noise sites have distinct streams.
pub fn graph_and_inputs() -> impl Strategy<Value = (Graph, Vec<Tensor>)> {
    let step = (any::<u8>(), any::<[u16; 3]>(), any::<[u8; 6]>(), any::<u16>());
    let step = step.prop_map(|(kind, operands, choices, seed)| Step { kind, operands, choices, seed });
    let steps = proptest::collection::vec(step, 1..32);
    let ends = proptest::collection::vec((any::<u16>(), any::<u8>()), 0..3);
    (steps, ends, proptest::bool::weighted(0.25)).prop_map(|(steps, ends, specials)| {
        let mut program = Program { specials, ..Program::default() };
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

    /// Up to `rank` extents, from the last choices on.
    fn shape(&self, rank: usize) -> Shape {
        let extents: Vec<usize> = (0..rank).map(|axis| self.choose(5 - axis, &EXTENTS)).collect();
        let mut elements = 1;
        // The last axis counts most, so it is limited last.
        let mut shape: Vec<usize> = (extents.into_iter().rev())
            .map(|extent| {
                let extent = if elements * extent > MAX_VALUE { 1 } else { extent };
                elements *= extent;
                extent
            })
            .collect();
        shape.reverse();
        Shape::new(&shape)
    }
}

/// A graph under construction, and the tensors of its inputs.
#[derive(Default)]
struct Program {
    graph: Graph,
    inputs: Vec<Tensor>,
    elements: usize,
    specials: bool,
}

type Maker = fn(&mut Program, &Step) -> Option<Value>;

/// What a step may do, simple things first; what networks are made of appears more than once.
const MAKERS: [Maker; 24] = [
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
        let x = program.pick(step, 0, |ty| ty.dtype == DType::U32)?;
        program.push(Op::Convert, &[x])
    },
    |program, step| program.push(Op::Iota(step.choose(0, &EXTENTS)), &[]),
    compare,
    select,
    noise,
];

fn input(program: &mut Program, step: &Step) -> Option<Value> {
    use DType::{F32, Mask, U32};
    let dtype = step.choose(0, &[F32, F32, F32, F32, F32, U32, U32, Mask]);
    let rank = step.choose(1, &[2, 1, 3, 0, 2, 4]);
    program.input(Type::new(dtype, step.shape(rank)), step.seed)
}

fn constant(program: &mut Program, step: &Step) -> Option<Value> {
    let special = program.specials && step.choices[1].is_multiple_of(4);
    let op = match step.choices[0] % 4 {
        3 => Op::ConstantU32(u32::from(step.seed) % 9),
        _ if special => Op::Constant(step.choose(2, &SPECIAL).to_bits()),
        _ => Op::Constant(step.choose(2, &CONSTANT).to_bits()),
    };
    program.push(op, &[])
}

fn unary(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.float(step, 0)?;
    program.push(Op::Unary(step.choose(0, Unary::ALL)), &[x])
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

fn broadcast(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |_| true)?;
    let mut to = program.shape(x).to_vec();
    for (axis, extent) in to.iter_mut().enumerate().filter(|(_, extent)| **extent == 1) {
        *extent = step.choose(2 + axis % 4, &EXTENTS);
    }
    if step.choices[0].is_multiple_of(2) && to.len() < MAX_SHAPE_RANK {
        to.insert(0, step.choose(1, &EXTENTS));
    }
    program.push(Op::Broadcast(Shape::new(&to)), &[x])
}

fn transpose(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.shape.len() > 1)?;
    let mut axes: Vec<u8> = (0..program.shape(x).len() as u8).collect();
    let last = axes.len() - 1;
    match step.choices[0] % 4 {
        0 => axes.swap(last - 1, last),
        1 => axes.reverse(),
        2 => axes.rotate_left(1),
        _ => axes.swap(0, usize::from(step.choices[1]) % last),
    }
    program.push(Op::Transpose(axes.into_iter().collect()), &[x])
}

fn reshape(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |_| true)?;
    let mut shape = program.shape(x).to_vec();
    let axis = usize::from(step.choices[1]) % shape.len().max(1);
    match step.choices[0] % 4 {
        0 => shape = vec![shape.iter().product()],
        1 if axis + 1 < shape.len() => shape[axis] *= shape.remove(axis + 1),
        2 if axis < shape.len() => {
            let factor = [5, 3, 2].into_iter().find(|factor| shape[axis].is_multiple_of(*factor)).unwrap_or(1);
            shape[axis] /= factor;
            shape.insert(axis, factor);
        }
        _ => shape.insert(axis, 1),
    }
    program.push(Op::Reshape(Shape::new(&shape)), &[x])
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
    let x = program.pick(step, 0, |ty| ty.dtype == DType::F32 && !ty.shape.is_empty())?;
    Some((x, usize::from(step.choices[0]) % program.shape(x).len()))
}

/// A contraction, of operands that may be transposed, with a value that fits or else a new input.
fn dot(program: &mut Program, step: &Step) -> Option<Value> {
    let matrix = |ty: &Type| ty.dtype == DType::F32 && ty.shape.len() >= 2;
    let a = match program.pick(step, 0, matrix) {
        Some(a) if step.choices[0].is_multiple_of(2) => program.matrix_transpose(a)?,
        Some(a) => a,
        None => program.input(Type::f32(step.shape(2 + step.choose(3, &[0, 0, 1]))), step.seed)?,
    };
    let a_shape = program.shape(a);
    let (batch, k) = (&a_shape[..a_shape.len() - 2], a_shape.last_extent());
    let transposed = step.choices[1].is_multiple_of(2);
    let k_from_last = if transposed { 1 } else { 2 };
    let fits = |ty: &Type| {
        let rank = ty.shape.len();
        matrix(ty) && ty.shape[..rank - 2] == *batch && ty.shape[rank - k_from_last] == k
    };
    let b = match program.pick(step, 1, fits) {
        Some(b) => b,
        None => {
            let n = step.choose(2, &EXTENTS);
            let tail = if transposed { [n, k] } else { [k, n] };
            program.input(Type::f32(batch.iter().copied().chain(tail).collect::<Shape>()), step.seed)?
        }
    };
    let b = if transposed { program.matrix_transpose(b)? } else { b };
    let n = program.shape(b).last_extent();
    if a_shape.elements() * n > MAX_PRODUCTS {
        return None;
    }
    program.push(Op::Dot, &[a, b])
}

fn noise(program: &mut Program, step: &Step) -> Option<Value> {
    let rank = step.choose(0, &[2, 1, 3, 4]);
    let sample_axis = (rank > 1 && step.choices[1].is_multiple_of(2)).then_some(0);
    let first_free = if sample_axis.is_some() { 1 } else { 0 };
    let example_axis = (rank > 1 + first_free && step.choices[2].is_multiple_of(2)).then_some(first_free as u8);
    let attributes = Noise {
        distribution: step.choose(3, Distribution::ALL),
        // Every node is a new stream; the seed keeps the high word in use.
        stream: program.graph.nodes().len() as u64 | u64::from(step.seed) << 40,
        sample_axis,
        example_axis,
        shape: step.shape(rank),
    };
    let address = [("key", 4), ("first sample", 1), ("first row", 2)].map(|(name, words)| {
        let existing = program.graph.inputs().iter().find(|input| input.name == name);
        existing.map(|input| input.value).or_else(|| {
            let ty = if words == 1 { Type::u32([]) } else { Type::u32([words]) };
            // Large words, so that counting from them carries.
            let words = (0..words as u32).map(|i| u32::MAX - (u32::from(step.seed) >> (4 * i)) % 20).collect();
            program.named_input(name, Tensor::from_words(&ty, words))
        })
    });
    let [Some(key), Some(first_sample), Some(first_row)] = address else { return None };
    program.push(Op::Noise(attributes), &[key, first_sample, first_row])
}

impl Program {
    fn shape(&self, value: Value) -> Shape {
        self.graph.ty(value).shape.clone()
    }

    /// The value that operand `i` of the step chooses among those that fit, counted from the last.
    fn pick(&self, step: &Step, i: usize, fits: impl Fn(&Type) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self.graph.values().rev().filter(|&value| fits(self.graph.ty(value))).collect();
        let index = usize::from(step.operands[i]).checked_rem(fitting.len())?;
        Some(fitting[index])
    }

    fn float(&mut self, step: &Step, i: usize) -> Option<Value> {
        let found = self.pick(step, i, |ty| ty.dtype == DType::F32);
        found.or_else(|| self.input(Type::f32(step.shape(2)), step.seed))
    }

    /// `x` and another value of its element type, broadcast to one shape.
    fn aligned(&mut self, x: Value, step: &Step, i: usize) -> Option<(Value, Value)> {
        let Type { dtype, shape } = self.graph.ty(x).clone();
        let y = self.pick(step, i, |ty| ty.dtype == dtype && ty.shape.broadcast_with(&shape).is_some())?;
        let shape = shape.broadcast_with(&self.shape(y))?;
        Some((self.broadcast(x, &shape)?, self.broadcast(y, &shape)?))
    }

    fn broadcast(&mut self, x: Value, shape: &Shape) -> Option<Value> {
        if self.graph.ty(x).shape == *shape { Some(x) } else { self.push(Op::Broadcast(shape.clone()), &[x]) }
    }

    fn matrix_transpose(&mut self, x: Value) -> Option<Value> {
        let mut axes: Vec<u8> = (0..self.graph.ty(x).shape.len() as u8).collect();
        let last = axes.len() - 1;
        axes.swap(last - 1, last);
        self.push(Op::Transpose(axes.into_iter().collect()), &[x])
    }

    /// Adds an operation that fits its operands and the limits.
    fn push(&mut self, op: Op, args: &[Value]) -> Option<Value> {
        let types: Vec<&Type> = args.iter().map(|&arg| self.graph.ty(arg)).collect();
        let ty = result_type(&op, &types).ok()?;
        self.count(&ty)?;
        self.graph.push(op, args).ok()
    }

    fn input(&mut self, ty: Type, seed: u16) -> Option<Value> {
        let name = format!("input {}", self.inputs.len());
        let tensor = Tensor::from_words(&ty, self.words(&ty, seed));
        self.named_input(&name, tensor)
    }

    fn named_input(&mut self, name: &str, tensor: Result<Tensor, Error>) -> Option<Value> {
        let tensor = tensor.ok()?;
        self.count(&tensor.ty())?;
        let value = self.graph.input(name, tensor.ty()).ok()?;
        self.inputs.push(tensor);
        Some(value)
    }

    fn count(&mut self, ty: &Type) -> Option<()> {
        let elements = ty.shape.elements();
        if elements > MAX_VALUE || self.elements + elements > MAX_TOTAL || ty.shape.len() > MAX_SHAPE_RANK {
            return None;
        }
        self.elements += elements;
        Some(())
    }

    /// Elements of an input; the seed 0 gives small whole numbers.
    fn words(&self, ty: &Type, seed: u16) -> Vec<u32> {
        let element = |i: u64| {
            let bits = if seed == 0 { 0 } else { mix(u64::from(seed) << 32 | i) };
            let small = (bits >> 32) as u32 ^ i as u32;
            match ty.dtype {
                DType::F32 if seed == 0 => ((i % 9) as f32 - 4.0).to_bits(),
                DType::F32 if self.specials && bits % 16 == 1 => SPECIAL[small as usize % SPECIAL.len()].to_bits(),
                DType::F32 => ((bits >> 40) as f32 / (1 << 21) as f32 - 4.0).to_bits(),
                DType::U32 if bits % 16 == 1 => small,
                DType::U32 => small % 10,
                DType::Mask => (small & 1) * u32::MAX,
            }
        };
        (0..ty.shape.elements() as u64).map(element).collect()
    }

    /// Reports what nothing uses, and what `ends` choose.
    fn finish(mut self, ends: &[(u16, u8)]) -> (Graph, Vec<Tensor>) {
        let mut used = vec![false; self.graph.nodes().len()];
        self.graph.nodes().iter().flat_map(|node| &node.args).for_each(|arg| used[arg.index()] = true);
        let unused = self.graph.values().rev().filter(|value| !used[value.index()]).take(5);
        let mut outputs: Vec<(Value, u8)> = unused.zip(0..).collect();
        let values: Vec<Value> = self.graph.values().collect();
        if !values.is_empty() {
            outputs.extend(ends.iter().map(|&(choice, update)| (values[usize::from(choice) % values.len()], update)));
        }
        for (index, (value, update)) in outputs.into_iter().enumerate() {
            let name = format!("output {index}");
            let ty = self.graph.ty(value);
            let equal: Vec<Value> = self
                .graph
                .inputs()
                .iter()
                .map(|input| input.value)
                .filter(|&input| self.graph.ty(input) == ty)
                .collect();
            let target = usize::from(update / 2).checked_rem(equal.len()).map(|index| equal[index]);
            let updated = match target {
                Some(target) if update % 2 == 1 => self.graph.output_updating(&name, value, target).is_ok(),
                _ => false,
            };
            if !updated {
                self.graph.output(&name, value).expect("the names of outputs are distinct");
            }
        }
        (self.graph, self.inputs)
    }
}

/// The finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
