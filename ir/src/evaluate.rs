//! The reference evaluator: what a graph means, bit for bit, and the same graph in `f64` as accuracy oracle.
//!
//! One interpreter serves both; it is generic over [`Real`]. Only live nodes are computed, in order, and a value is
//! freed after its last use. The orders in which [`loops`] adds are part of the graph's meaning: compiled code
//! gives the same bits.

mod loops;
mod real;
mod rows;

use crate::{
    Binary, Compare, DType, Environment, Error, Foreign, Graph, Noise, NoiseDistribution, Op, Tensor, Type, Value,
    memory, noise,
};
use real::Real;
use std::rc::Rc;

/// A `Dot` adds its products in chunks of this many: within a chunk in increasing order from +0, of `f32` by fused
/// multiply-add, of `f64` each rounded before it is added; the chunks' sums are added in increasing order to the first.
pub const DOT_CHUNK: usize = 256;

/// A `Sum` of `f32` over an axis that is not the last adds in chunks of this many: within a chunk in increasing order
/// from +0; the chunks' sums are added in increasing order to the first.
pub const SUM_CHUNK: usize = 64;

/// A `Sum` or `Max` of `f32` over the last axis has this many lanes: lane `j` takes the elements at `j`, `j +
/// SUM_LANES`, .. in increasing order, from +0 or -infinity. Then lane `j` takes lane `j + 8`, `j + 4`, `j + 2`, `j +
/// 1`.
pub const SUM_LANES: usize = 16;

/// Elements of a value in row-major order, as the evaluator holds them. `R` is what holds those of `f32` values: `f64`
/// in [`evaluate_f64`].
///
/// ```
/// use bayeslift_ir::{Elements, Tensor};
/// let of = |tensor: &Tensor| Elements::<f64>::from(tensor);
/// assert_eq!(of(&Tensor::f32([2], [0.5, 2.0])?).floats(), Some(&[0.5, 2.0][..]));
/// assert_eq!(of(&Tensor::f64([1], [0.1])?).doubles(), Some(&[0.1][..]));
/// assert_eq!(of(&Tensor::u32([1], [7])?).words(), Some(&[7][..]));
/// assert_eq!(of(&Tensor::u32([1], [7])?).floats(), None);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Elements<R> {
    /// An `f32` value's elements, in the precision of the evaluation.
    Floats(Vec<R>),
    /// An `f64` value's elements.
    Doubles(Vec<f64>),
    /// A `u32` value's elements, or a mask's as `0` and `u32::MAX`.
    Words(Vec<u32>),
}

impl<R> Elements<R> {
    /// The elements of an `f32` value; `None` of any other.
    pub fn floats(&self) -> Option<&[R]> {
        match self {
            Elements::Floats(elements) => Some(elements),
            Elements::Doubles(_) | Elements::Words(_) => None,
        }
    }

    /// The elements of an `f64` value; `None` of any other.
    pub fn doubles(&self) -> Option<&[f64]> {
        match self {
            Elements::Doubles(elements) => Some(elements),
            Elements::Floats(_) | Elements::Words(_) => None,
        }
    }

    /// The elements of a `u32` value, or of a mask as `0` and `u32::MAX`; `None` of any other.
    pub fn words(&self) -> Option<&[u32]> {
        match self {
            Elements::Floats(_) | Elements::Doubles(_) => None,
            Elements::Words(elements) => Some(elements),
        }
    }

    fn len(&self) -> usize {
        match self {
            Elements::Floats(elements) => elements.len(),
            Elements::Doubles(elements) => elements.len(),
            Elements::Words(elements) => elements.len(),
        }
    }
}

impl<R: From<f32>> From<&Tensor> for Elements<R> {
    /// The tensor's elements, `f32` converted exactly.
    fn from(tensor: &Tensor) -> Self {
        match (tensor.as_f32(), tensor.as_f64()) {
            (Some(elements), _) => Elements::Floats(elements.iter().map(|&x| x.into()).collect()),
            (_, Some(elements)) => Elements::Doubles(elements.to_vec()),
            _ => Elements::Words(tensor.words()),
        }
    }
}

/// Runs `graph` on `inputs`, one tensor an input in the graph's order; gives one tensor an output.
///
/// Its bits define what compiled code gives. It is simple rather than fast: for tests, and to try an expression. Only
/// what outputs need is computed.
///
/// # Errors
/// [`Error::Attribute`] for a wrong number of inputs; [`Error::DTypeMismatch`] or [`Error::ShapeMismatch`] for an input
/// of another element type or shape than the graph's; [`Error::OutOfMemory`].
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([2, 2]));
/// b.output("row sums", x.sum(1));
/// let y = evaluate(&b.finish()?, &[Tensor::f32([2, 2], [1.0, 2.0, 3.0, 4.0])?])?;
/// assert_eq!(y, [Tensor::f32([2], [3.0, 7.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let _environment = Environment::enter();
    check_count(graph, inputs.len())?;
    for (input, tensor) in graph.inputs().iter().zip(inputs) {
        check_input(&input.name, graph.ty(input.value), &tensor.ty())?;
    }
    let results = run::<f32>(graph, &|index| Elements::from(&inputs[index]))?;
    let tensors = graph.outputs().iter().zip(results).map(|(output, elements)| {
        let ty = graph.ty(output.value);
        match Rc::unwrap_or_clone(elements) {
            Elements::Floats(elements) => Tensor::f32(ty.shape.clone(), elements),
            Elements::Doubles(elements) => Tensor::f64(ty.shape.clone(), elements),
            Elements::Words(elements) => Tensor::from_words(ty, elements),
        }
    });
    tensors.collect()
}

/// Runs `graph` in `f64` on the elementary functions of the crate `libm`: the accuracy oracle.
///
/// Noise of `f32` is the `f32` noise, widened; that of `f64` is as it is. Inputs are [`Elements`], so that they may
/// hold what no `f32` holds; make them from tensors with [`Elements::from`].
///
/// # Errors
/// [`Error::Attribute`] for a wrong number of inputs; [`Error::DTypeMismatch`] for an input that is floats, doubles or
/// words where the graph's is another of these; [`Error::ElementCount`] for another number of elements;
/// [`Error::OutOfMemory`].
///
/// ```
/// use bayeslift_ir::{Builder, Elements, Tensor, Type, evaluate, evaluate_f64};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([]));
/// b.output("y", (x + 1.0) - x);
/// let (graph, x) = (b.finish()?, Tensor::scalar(1e8));
/// assert_eq!(evaluate(&graph, &[x.clone()])?, [Tensor::scalar(0.0)]);
/// assert_eq!(evaluate_f64(&graph, &[Elements::from(&x)])?[0].floats(), Some(&[1.0][..]));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn evaluate_f64(graph: &Graph, inputs: &[Elements<f64>]) -> Result<Vec<Elements<f64>>, Error> {
    let _environment = Environment::enter();
    check_count(graph, inputs.len())?;
    for (input, elements) in graph.inputs().iter().zip(inputs) {
        let ty = graph.ty(input.value);
        match (elements, ty.dtype) {
            (Elements::Floats(_), DType::F32) | (Elements::Doubles(_), DType::F64) => {}
            (Elements::Words(_), DType::U32 | DType::Mask) => {}
            (Elements::Floats(_), _) => return Err(dtype_mismatch(&input.name, ty.dtype, DType::F32)),
            (Elements::Doubles(_), _) => return Err(dtype_mismatch(&input.name, ty.dtype, DType::F64)),
            (Elements::Words(_), _) => return Err(dtype_mismatch(&input.name, ty.dtype, DType::U32)),
        }
        let (expected, found) = (ty.shape.elements(), elements.len());
        if expected != found {
            return Err(Error::ElementCount { name: input.name.clone(), ty: ty.clone(), expected, found });
        }
    }
    let results = run::<f64>(graph, &|index| inputs[index].clone())?;
    Ok(results.into_iter().map(Rc::unwrap_or_clone).collect())
}

fn check_count(graph: &Graph, found: usize) -> Result<(), Error> {
    if found == graph.inputs().len() {
        return Ok(());
    }
    let names = Foreign::list(graph.inputs().iter().map(|input| input.name.as_str()));
    let message = format!("{found} tensors for {} inputs: {names}", graph.inputs().len());
    Err(Error::Attribute { op: "evaluate".into(), message })
}

fn check_input(name: &str, expected: &Type, found: &Type) -> Result<(), Error> {
    if expected.dtype != found.dtype {
        return Err(dtype_mismatch(name, expected.dtype, found.dtype));
    }
    if expected.shape != found.shape {
        return Err(Error::ShapeMismatch {
            op: "evaluate".into(),
            argument: format!("input `{name}`"),
            expected: expected.shape.to_string(),
            found: found.shape.clone(),
        });
    }
    Ok(())
}

fn dtype_mismatch(name: &str, expected: DType, found: DType) -> Error {
    Error::DTypeMismatch { op: "evaluate".into(), argument: format!("input `{name}`"), expected, found }
}

/// The values of the outputs.
fn run<R: Real>(graph: &Graph, input: &dyn Fn(usize) -> Elements<R>) -> Result<Vec<Rc<Elements<R>>>, Error> {
    let live = graph.live();
    let mut uses = vec![0usize; graph.nodes().len()];
    for value in graph.values().filter(|value| live[value.index()]) {
        graph.node(value).args.iter().for_each(|arg| uses[arg.index()] += 1);
    }
    graph.outputs().iter().for_each(|output| uses[output.value.index()] += 1);

    let mut values: Vec<Option<Rc<Elements<R>>>> = vec![None; graph.nodes().len()];
    for value in graph.values().filter(|value| live[value.index()]) {
        let ty = graph.ty(value);
        memory::check(ty.shape.elements(), ty.dtype.bytes().max(size_of::<R>()), "values of the evaluator")?;
        values[value.index()] = Some(compute(graph, value, &values, input));
        for arg in &graph.node(value).args {
            uses[arg.index()] -= 1;
            if uses[arg.index()] == 0 {
                values[arg.index()] = None;
            }
        }
    }
    let result = |value: Value| values[value.index()].clone().expect("outputs are live");
    Ok(graph.outputs().iter().map(|output| result(output.value)).collect())
}

/// The value of one node; its operands' values are present.
fn compute<R: Real>(
    graph: &Graph,
    value: Value,
    values: &[Option<Rc<Elements<R>>>],
    input: &dyn Fn(usize) -> Elements<R>,
) -> Rc<Elements<R>> {
    let node = graph.node(value);
    let operand = |i: usize| values[node.args[i].index()].as_ref().expect("operands come first");
    let floats = |i: usize| operand(i).floats().expect("checked by the type rule");
    let words = |i: usize| operand(i).words().expect("checked by the type rule");
    let shape = |i: usize| &graph.ty(node.args[i]).shape;

    let doubles = |i: usize| operand(i).doubles().expect("checked by the type rule");

    use Elements::{Doubles, Floats, Words};
    let gather = |start: usize, strides: Vec<i64>| match &**operand(0) {
        Floats(x) => Floats(loops::gather(x, start, &node.ty.shape, &strides)),
        Doubles(x) => Doubles(loops::gather(x, start, &node.ty.shape, &strides)),
        Words(x) => Words(loops::gather(x, start, &node.ty.shape, &strides)),
    };
    let elements = match &node.op {
        Op::Input(index) => input(*index as usize),
        Op::Constant(bits) => Floats(vec![f32::from_bits(*bits).into()]),
        Op::ConstantF64(bits) => Doubles(vec![f64::from_bits(*bits)]),
        Op::ConstantU32(x) => Words(vec![*x]),
        Op::Iota(extent) => Words((0..*extent as u32).collect()),
        Op::Noise(attributes) => {
            let address = (words(0), words(1)[0], words(2));
            match attributes.dtype {
                DType::F64 => Doubles(draw(attributes, address, noise::fill_row_f64)),
                _ => Floats(draw(attributes, address, noise::fill_row).into_iter().map(R::from).collect()),
            }
        }
        Op::Unary(op) => match &**operand(0) {
            Doubles(x) => Doubles(x.iter().map(|&x| R::unary_of_double(*op, x)).collect()),
            _ => Floats(floats(0).iter().map(|&x| R::unary(*op, x)).collect()),
        },
        Op::Binary(op) => match &**operand(0) {
            Doubles(a) => Doubles(binary(*op, a, doubles(1))),
            _ => Floats(binary(*op, floats(0), floats(1))),
        },
        Op::Compare(op) => Words(match &**operand(0) {
            Floats(a) => compare(*op, a, floats(1)),
            Doubles(a) => compare(*op, a, doubles(1)),
            Words(a) => compare(*op, a, words(1)),
        }),
        Op::Select => match &**operand(1) {
            Floats(a) => Floats(select(words(0), a, floats(2))),
            Doubles(a) => Doubles(select(words(0), a, doubles(2))),
            Words(a) => Words(select(words(0), a, words(2))),
        },
        Op::Convert(to) => match (&**operand(0), to) {
            (Floats(x), DType::U32) => Words(x.iter().map(|&x| rows::number(x.into())).collect()),
            (Floats(x), _) => Doubles(x.iter().map(|&x| x.into()).collect()),
            (Doubles(x), _) => Floats(x.iter().map(|&x| R::from_f64(x)).collect()),
            (Words(x), DType::F64) => Doubles(x.iter().map(|&x| x.into()).collect()),
            (Words(x), _) => Floats(x.iter().map(|&x| R::from_u32(x)).collect()),
        },
        Op::StopGradient | Op::Reshape(_) => return operand(0).clone(),
        Op::Dot => match &**operand(0) {
            Doubles(a) => Doubles(loops::dot(a, doubles(1), shape(0), shape(1))),
            _ => Floats(loops::dot(floats(0), floats(1), shape(0), shape(1))),
        },
        Op::Sum(axis) => match &**operand(0) {
            Doubles(x) => Doubles(loops::in_order(x, shape(0), *axis, 0.0, |sum, x| sum + x)),
            _ => Floats(loops::sum(floats(0), shape(0), *axis)),
        },
        Op::Max(axis) => match &**operand(0) {
            Doubles(x) => Doubles(loops::in_order(x, shape(0), *axis, f64::NEG_INFINITY, loops::max)),
            _ => Floats(loops::reduce_max(floats(0), shape(0), *axis)),
        },
        Op::Broadcast(to) => gather(0, loops::broadcast_strides(shape(0), to)),
        Op::Transpose(permutation) => {
            let from = shape(0).strides();
            gather(0, permutation.iter().map(|&axis| from[usize::from(axis)] as i64).collect())
        }
        Op::Window(window) => {
            let from = shape(0).strides();
            let stride = |&stride: &usize| stride as i64;
            let on_axis = stride(&from[window.axis]);
            let mut strides: Vec<i64> = from[..window.axis].iter().map(stride).collect();
            strides.extend([on_axis * window.dilation, on_axis * window.step]);
            strides.extend(from[window.axis + 1..].iter().map(stride));
            gather(window.start * from[window.axis], strides)
        }
        Op::Fold(window, extent) => match &**operand(0) {
            Doubles(x) => Doubles(loops::fold(x, shape(0), window, *extent)),
            _ => Floats(loops::fold(floats(0), shape(0), window, *extent)),
        },
        Op::Gather => match &**operand(0) {
            Doubles(x) => Doubles(rows::gather(x, words(1), shape(0), shape(1).last_extent())),
            _ => Floats(rows::gather(floats(0), words(1), shape(0), shape(1).last_extent())),
        },
        Op::ScatterAdd(rows) => match &**operand(0) {
            Doubles(x) => Doubles(rows::scatter_add(x, words(1), shape(0), *rows)),
            _ => Floats(rows::scatter_add(floats(0), words(1), shape(0), *rows)),
        },
        Op::ScatterRows => match &**operand(0) {
            Doubles(x) => Doubles(rows::scatter_rows(x, words(1), doubles(2), node.ty.shape.last_extent())),
            _ => Floats(rows::scatter_rows(floats(0), words(1), floats(2), node.ty.shape.last_extent())),
        },
        Op::FirstEqual(rows) => Words(rows::first_equal(words(0), *rows)),
    };
    debug_assert_eq!(elements.len(), node.ty.shape.elements(), "{value} = {}", node.op.name());
    Rc::new(elements)
}

/// The noise of a whole value. Elements of the sample axis count up from `first_sample`; the row-major index over the
/// other axes but the last counts up from the row of the first example. Absent axes are 0, so that without a sample
/// or example axis the first sample or row is without effect.
fn draw<T: Clone + Default>(
    noise: &Noise,
    (key, first_sample, first_row): (&[u32], u32, &[u32]),
    fill: fn(NoiseDistribution, u64, u64, u64, u32, u64, &mut [T]),
) -> Vec<T> {
    let join = |words: &[u32]| u64::from(words[1]) << 32 | u64::from(words[0]);
    let (seed, step) = (join(&key[..2]), join(&key[2..]));
    let shape = &noise.shape;
    let (samples, first_sample) = noise.sample_axis.map_or((1, 0), |axis| (shape[usize::from(axis)], first_sample));
    let rows = shape.rows() / samples;
    let first_row = noise.example_axis.map_or(0, |axis| {
        let rows_of_an_example = rows / shape[usize::from(axis)];
        join(first_row).wrapping_mul(rows_of_an_example as u64)
    });
    let mut out = vec![T::default(); shape.elements()];
    for (index, out) in out.chunks_exact_mut(shape.last_extent()).enumerate() {
        let sample = first_sample.wrapping_add((index / rows) as u32);
        let row = first_row.wrapping_add((index % rows) as u64);
        fill(noise.distribution, noise.stream, seed, step, sample, row, out);
    }
    out
}

fn binary<R: Real>(op: Binary, a: &[R], b: &[R]) -> Vec<R> {
    let function: fn(R, R) -> R = match op {
        Binary::Add => |a, b| a + b,
        Binary::Mul => |a, b| a * b,
        Binary::Div => |a, b| a / b,
        Binary::Max => loops::max,
    };
    a.iter().zip(b).map(|(&a, &b)| function(a, b)).collect()
}

fn compare<T: PartialOrd>(op: Compare, a: &[T], b: &[T]) -> Vec<u32> {
    let holds: fn(&T, &T) -> bool = match op {
        Compare::Less => |a, b| a < b,
        Compare::LessEqual => |a, b| a <= b,
        Compare::Equal => |a, b| a == b,
    };
    a.iter().zip(b).map(|(a, b)| if holds(a, b) { u32::MAX } else { 0 }).collect()
}

fn select<T: Copy>(mask: &[u32], a: &[T], b: &[T]) -> Vec<T> {
    mask.iter().zip(a.iter().zip(b)).map(|(&mask, (&a, &b))| if mask != 0 { a } else { b }).collect()
}
