//! What some rows of a batch add to sums over all rows.

use super::{
    Accumulation, AccumulationError, Sum,
    rows::{Place, Rows, reshaped, with_extent},
};
use crate::rebuild::Rebuild;
use bayeslift_ir::{Args, Binary, DOT_CHUNK, DType, Error, Graph, Op, SUM_CHUNK, Shape, Type, Value, Window};

/// The graph for `rows` rows.
pub(super) fn part(of: &Accumulation, rows: usize) -> Result<Graph, AccumulationError> {
    let graph = &of.graph;
    let mut part = PartBuilder { of, rows, to: Rebuild::new(graph) };
    for (i, input) in graph.inputs().iter().enumerate() {
        if of.is_by_row[i] {
            let ty = graph.ty(input.value);
            let ty = Type::new(ty.dtype, with_extent(&ty.shape, 0, rows));
            let made = part.to.graph.input(&input.name, ty)?;
            part.to.set(input.value, made);
        } else {
            part.to.input(&input.name, input.value)?;
        }
    }
    let sums = of.sums.iter().enumerate().map(|(i, sum)| {
        let ty = graph.ty(sum.value).clone();
        part.to.graph.input(&format!("sum {i}"), ty)
    });
    let before: Vec<Value> = sums.collect::<Result<_, _>>()?;
    let live = needed(of);
    for value in graph.values().filter(|value| live[value.index()]) {
        if let Place::ByRow(place) = of.places[value.index()] {
            part.to.set_origin_of(value);
            part.by_row(value, place)?;
        }
    }
    for ((i, sum), &before) in of.sums.iter().enumerate().zip(&before) {
        part.to.set_origin_of(sum.value);
        let after = part.carried(sum, before)?;
        part.to.graph.output_updating(&format!("sum {i}"), after, before)?;
    }
    for (i, stack) in of.stacks.iter().enumerate() {
        let value = part.to.of(stack.value);
        part.to.graph.output(&format!("stack {i}"), value)?;
    }
    Ok(part.to.graph)
}

/// What sums and stacks are made of.
fn needed(of: &Accumulation) -> Vec<bool> {
    let mut needed = vec![false; of.graph.nodes().len()];
    of.sums.iter().for_each(|sum| needed[sum.value.index()] = true);
    of.stacks.iter().for_each(|stack| needed[stack.value.index()] = true);
    for value in of.graph.values().rev() {
        if needed[value.index()] {
            of.graph.node(value).args.iter().for_each(|arg| needed[arg.index()] = true);
        }
    }
    needed
}

struct PartBuilder<'a> {
    of: &'a Accumulation,
    rows: usize,
    to: Rebuild<'a>,
}

impl PartBuilder<'_> {
    /// An operation that computes rows, for fewer of them.
    fn resized_op(&self, op: &Op, rows: Rows) -> Op {
        match op {
            Op::Broadcast(shape) => Op::Broadcast(rows.resized(shape, self.rows)),
            Op::Reshape(shape) => Op::Reshape(rows.resized(shape, self.rows)),
            Op::Noise(noise) => {
                let mut noise = noise.clone();
                noise.shape = rows.resized(&noise.shape, self.rows);
                Op::Noise(noise)
            }
            op => op.clone(),
        }
    }

    /// Makes what is computed row by row. Its operands that are, are there already.
    fn by_row(&mut self, value: Value, rows: Rows) -> Result<(), AccumulationError> {
        let node = self.of.graph.node(value);
        if matches!(node.op, Op::Input(_)) {
            return Ok(());
        }
        let along = match node.op {
            Op::Dot if rows.axis + 2 < node.ty.shape.len() => Some(rows),
            Op::Dot => None,
            Op::Gather if rows.axis + 2 == node.ty.shape.len() => None,
            _ => Some(rows),
        };
        let args = self.operands(value, if node.op.is_noise() { None } else { along })?;
        let made = self.to.graph.push(self.resized_op(&node.op, rows), &args)?;
        self.to.set(value, made);
        Ok(())
    }

    /// What has become of a node's operands: those by row are there, and of others there is as much as rows along this
    /// axis need.
    fn operands(&mut self, value: Value, along: Option<Rows>) -> Result<Args, AccumulationError> {
        let args = self.of.graph.node(value).args.clone();
        args.iter().map(|&arg| self.operand(arg, along)).collect()
    }

    fn operand(&mut self, arg: Value, along: Option<Rows>) -> Result<Value, AccumulationError> {
        match (self.of.places[arg.index()], along) {
            (Place::ByRow(_), _) => Ok(self.to.of(arg)),
            (_, Some(rows)) => self.repeated(arg, rows),
            (_, None) => Ok(self.to.copy_with_operands(arg)?),
        }
    }

    /// A value that is the same for all rows, repeated for fewer of them.
    fn repeated(&mut self, value: Value, rows: Rows) -> Result<Value, AccumulationError> {
        let graph = &self.of.graph;
        let node = graph.node(value);
        let args = match &node.op {
            Op::Broadcast(shape) => {
                let arg = node.args[0];
                let from = &graph.ty(arg).shape;
                let axis = (rows.axis + from.len()).checked_sub(shape.len());
                match axis.filter(|&axis| from[axis] != 1) {
                    None => [self.to.copy_with_operands(arg)?].into_iter().collect(),
                    Some(axis) => [self.repeated(arg, Rows { axis, ..rows })?].into_iter().collect(),
                }
            }
            Op::Transpose(permutation) => {
                let axis = usize::from(permutation[rows.axis]);
                [self.repeated(node.args[0], Rows { axis, ..rows })?].into_iter().collect()
            }
            Op::Reshape(shape) => {
                let arg = node.args[0];
                let Some(of_arg) = reshaped(shape, rows, self.of.rows, &graph.ty(arg).shape) else {
                    return Err(differs(value));
                };
                [self.repeated(arg, of_arg)?].into_iter().collect()
            }
            Op::Sum(axis) | Op::Max(axis) => {
                let axis = rows.axis + usize::from(rows.axis >= *axis);
                [self.repeated(node.args[0], Rows { axis, ..rows })?].into_iter().collect()
            }
            op if op.is_elementwise() && !node.args.is_empty() => {
                let args = node.args.iter().map(|&arg| self.repeated(arg, rows));
                args.collect::<Result<Args, _>>()?
            }
            _ => return Err(differs(value)),
        };
        Ok(self.to.graph.push(self.resized_op(&node.op, rows), &args)?)
    }

    /// A sum over the rows before and these.
    fn carried(&mut self, sum: &Sum, before: Value) -> Result<Value, AccumulationError> {
        let Sum { value, each, .. } = *sum;
        let node = self.of.graph.node(value);
        let chunks = match node.op {
            Op::Sum(axis) if node.ty.dtype == DType::F64 => {
                // row after row: what is there is the first of them
                let x = self.operand(node.args[0], None)?;
                let all = behind(&mut self.to.graph, before, x, axis)?;
                return Ok(self.to.graph.push(Op::Sum(axis), &[all])?);
            }
            Op::Sum(axis) => {
                let x = self.operand(node.args[0], None)?;
                self.sums_of_chunks(x, axis)?
            }
            Op::ScatterAdd(rows) => {
                let [x, to] = [self.to.of(node.args[0]), self.to.of(node.args[1])];
                self.rows_of_chunks(x, to, rows)?
            }
            _ => {
                let k = self.of.graph.ty(node.args[0]).shape.len() - 1;
                let a = self.operand(node.args[0], Some(Rows { axis: k, each }))?;
                let b = self.operand(node.args[1], Some(Rows { axis: k - 1, each }))?;
                self.products_of_chunks(a, b)?
            }
        };
        let add = |sum, chunk| Ok(self.to.graph.push(Op::Binary(Binary::Add), &[sum, chunk])?);
        chunks.into_iter().try_fold(before, add)
    }

    fn sums_of_chunks(&mut self, x: Value, axis: usize) -> Result<Vec<Value>, Error> {
        let graph = &mut self.to.graph;
        let extent = graph.ty(x).shape[axis];
        let mut chunks = Vec::new();
        let (full, rest) = (extent / SUM_CHUNK, extent % SUM_CHUNK);
        if full > 0 {
            let x = split(graph, x, axis, full, SUM_CHUNK)?;
            let sums = graph.push(Op::Sum(axis + 1), &[x])?;
            chunks = pieces(graph, sums, axis, full)?;
        }
        if rest > 0 {
            let x = slice(graph, x, axis, full * SUM_CHUNK, rest)?;
            chunks.push(graph.push(Op::Sum(axis), &[x])?);
        }
        Ok(chunks)
    }

    fn rows_of_chunks(&mut self, x: Value, to: Value, rows: usize) -> Result<Vec<Value>, Error> {
        let graph = &mut self.to.graph;
        let shape = &graph.ty(to).shape;
        let (axis, extent) = (shape.len() - 1, shape.last_extent());
        let (full, rest) = (extent / DOT_CHUNK, extent % DOT_CHUNK);
        let mut chunks = Vec::new();
        if full > 0 {
            let x = split(graph, x, axis, full, DOT_CHUNK)?;
            let to = split(graph, to, axis, full, DOT_CHUNK)?;
            let sums = graph.push(Op::ScatterAdd(rows), &[x, to])?;
            chunks = pieces(graph, sums, axis, full)?;
        }
        if rest > 0 {
            let x = slice(graph, x, axis, full * DOT_CHUNK, rest)?;
            let to = slice(graph, to, axis, full * DOT_CHUNK, rest)?;
            chunks.push(graph.push(Op::ScatterAdd(rows), &[x, to])?);
        }
        Ok(chunks)
    }

    fn products_of_chunks(&mut self, a: Value, b: Value) -> Result<Vec<Value>, Error> {
        let graph = &mut self.to.graph;
        let rank = graph.ty(a).shape.len();
        let (m, k) = (rank - 2, rank - 1);
        let extent = graph.ty(a).shape[k];
        let (full, rest) = (extent / DOT_CHUNK, extent % DOT_CHUNK);
        if full + usize::from(rest > 0) == 1 {
            return Ok(vec![graph.push(Op::Dot, &[a, b])?]);
        }
        let mut chunks = Vec::new();
        if full > 0 {
            let a = split(graph, a, k, full, DOT_CHUNK)?;
            // [.., m, chunks, k] to [.., chunks, m, k]
            let mut permutation: Vec<u8> = (0..=rank as u8).collect();
            permutation.swap(m, m + 1);
            let a = graph.push(Op::Transpose(permutation.into()), &[a])?;
            let b = split(graph, b, m, full, DOT_CHUNK)?;
            let products = graph.push(Op::Dot, &[a, b])?;
            chunks = pieces(graph, products, m, full)?;
        }
        if rest > 0 {
            let a = slice(graph, a, k, full * DOT_CHUNK, rest)?;
            let b = slice(graph, b, m, full * DOT_CHUNK, rest)?;
            chunks.push(graph.push(Op::Dot, &[a, b])?);
        }
        Ok(chunks)
    }
}

fn differs(value: Value) -> AccumulationError {
    AccumulationError::Entangled { value, reason: "is not the same for all rows, though it depends on none" }
}

/// An axis as two: `count` chunks of its first elements, and the `size` elements of each.
fn split(graph: &mut Graph, x: Value, axis: usize, count: usize, size: usize) -> Result<Value, Error> {
    let x = slice(graph, x, axis, 0, count * size)?;
    let mut shape = graph.ty(x).shape.to_vec();
    shape.splice(axis..=axis, [count, size]);
    graph.push(Op::Reshape(Shape::new(&shape)), &[x])
}

/// Each element of an axis, which disappears.
fn pieces(graph: &mut Graph, x: Value, axis: usize, count: usize) -> Result<Vec<Value>, Error> {
    let one = |i| {
        let piece = slice(graph, x, axis, i, 1)?;
        let shape = graph.ty(piece).shape.without(axis);
        graph.push(Op::Reshape(shape), &[piece])
    };
    (0..count).map(one).collect()
}

/// Elements along an axis, behind one more. A -0 becomes +0, which no sum tells from it.
fn behind(graph: &mut Graph, first: Value, others: Value, axis: usize) -> Result<Value, Error> {
    let shape = graph.ty(others).shape.clone();
    let extent = shape[axis] + 1;
    let one = graph.push(Op::Reshape(with_extent(&shape, axis, 1)), &[first])?;
    let first = among_zeros(graph, one, axis, (0, extent))?;
    let others = among_zeros(graph, others, axis, (1, extent))?;
    graph.push(Op::Binary(Binary::Add), &[first, others])
}

/// Zeros along an axis but for some elements, from this place on.
fn among_zeros(graph: &mut Graph, x: Value, axis: usize, (at, extent): (usize, usize)) -> Result<Value, Error> {
    let shape = graph.ty(x).shape.clone();
    // neighbours along the axis and beyond it stay neighbours: they move as one axis
    let beyond: usize = shape[axis + 1..].iter().product();
    let count = shape[axis] * beyond;
    let flat = [&shape[..axis], &[1, count]].concat();
    let windows = graph.push(Op::Reshape(flat.as_slice().into()), &[x])?;
    let window = Window { axis, start: at * beyond, size: 1, dilation: 1, count, step: 1 };
    let spread = graph.push(Op::Fold(window, extent * beyond), &[windows])?;
    graph.push(Op::Reshape(with_extent(&shape, axis, extent)), &[spread])
}

/// Some neighbouring elements of an axis.
fn slice(graph: &mut Graph, x: Value, axis: usize, start: usize, size: usize) -> Result<Value, Error> {
    let shape = &graph.ty(x).shape;
    if (start, size) == (0, shape[axis]) {
        return Ok(x);
    }
    let shape = with_extent(shape, axis, size);
    let window = Window { axis, start, size, dilation: 1, count: 1, step: 1 };
    let windows = graph.push(Op::Window(window), &[x])?;
    graph.push(Op::Reshape(shape), &[windows])
}
