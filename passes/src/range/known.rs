//! What is known of the operands of contractions.

use super::{Range, arithmetic::rounded};
use crate::stage::Copy;
use bayeslift_ir::{Error, Graph, Op, Tensor, Value, evaluate};
use std::collections::HashMap;

/// The known operand of a contraction: of each of its columns, or rows, the sum of what is positive, and of what is
/// negative as a positive number.
#[derive(Debug)]
pub(super) struct Factor {
    /// Which operand it is.
    pub operand: usize,
    sums: Vec<[f64; 2]>,
}

/// The known operands of contractions.
pub(super) fn factors(graph: &Graph, tensors: &[Option<&Tensor>]) -> Result<HashMap<Value, Factor>, Error> {
    let mut known: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        known.push(match node.op {
            Op::Input(i) => tensors[i as usize].is_some(),
            _ => node.args.iter().all(|arg| known[arg.index()]),
        });
    }
    let live = graph.live();
    let mut copy = Copy::new(graph);
    let mut given = Vec::new();
    for (input, tensor) in graph.inputs().iter().zip(tensors) {
        if let Some(tensor) = tensor {
            copy.input(&input.name, input.value)?;
            given.push((*tensor).clone());
        }
    }
    let mut operands: Vec<(Value, usize)> = Vec::new();
    for value in graph.values().filter(|v| live[v.index()] && graph.node(*v).op == Op::Dot) {
        let args = &graph.node(value).args;
        // two that are known need no bound
        if let Some(operand) = [1, 0].into_iter().find(|&i| known[args[i].index()] && !known[args[1 - i].index()]) {
            let result = copy.value(args[operand])?;
            copy.graph.output(&value.to_string(), result)?;
            operands.push((value, operand));
        }
    }
    let results = evaluate(&copy.graph, &given)?;
    let factor = |((value, operand), tensor): ((Value, usize), &Tensor)| {
        let (shape, elements) = (tensor.shape(), tensor.as_f32()?);
        let finite = elements.iter().all(|x| x.is_finite());
        finite.then(|| {
            (value, Factor { operand, sums: sums(elements, shape[shape.len() - 2], shape.last_extent(), operand) })
        })
    };
    Ok(operands.into_iter().zip(&results).filter_map(factor).collect())
}

/// The sums of what is positive and of what is negative, for each column of matrices if they are the right operand, else for
/// each row.
fn sums(elements: &[f32], rows: usize, columns: usize, operand: usize) -> Vec<[f64; 2]> {
    let count = if operand == 1 { columns } else { rows };
    let mut all = Vec::with_capacity(elements.len() / (rows * columns) * count);
    for matrix in elements.chunks_exact(rows * columns) {
        let start = all.len();
        all.resize(start + count, [0.0; 2]);
        for (i, row) in matrix.chunks_exact(columns).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                let [positive, negative] = &mut all[start + if operand == 1 { j } else { i }];
                if x > 0.0 { *positive += f64::from(x) } else { *negative -= f64::from(x) }
            }
        }
    }
    all
}

impl Factor {
    /// The range of products of so many terms with finite numbers of this range.
    pub fn times(&self, x: Range, depth: usize) -> Range {
        let (above, below) = (f64::from(x.high.max(0.0)), f64::from((-x.low).max(0.0)));
        let (mut low, mut high, mut size) = (0.0_f64, 0.0_f64, 0.0_f64);
        for [positive, negative] in &self.sums {
            low = low.max(below * positive + above * negative);
            high = high.max(above * positive + below * negative);
            size = size.max(above.max(below) * (positive + negative));
        }
        rounded([-low, high], size, depth)
    }
}
