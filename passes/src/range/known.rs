//! What is known of the operands of contractions.

use super::{Range, arithmetic::rounded};
use crate::rebuild::Rebuild;
use bayeslift_ir::{DType, Error, Graph, Op, Tensor, Value, evaluate};
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
    let mut computed = Rebuild::new(graph);
    for input in graph.inputs().iter().zip(tensors).filter(|(_, tensor)| tensor.is_some()).map(|(input, _)| input) {
        computed.input(&input.name, input.value)?;
    }
    let (mut all, mut later) = (HashMap::new(), Vec::new());
    for value in graph.values().filter(|v| live[v.index()] && graph.node(*v).op == Op::Dot) {
        let args = &graph.node(value).args;
        // two that are known need no bound
        let Some(operand) = [1, 0].into_iter().find(|&i| known[args[i].index()] && !known[args[1 - i].index()]) else {
            continue;
        };
        match graph.node(args[operand]).op {
            Op::Input(i) => {
                all.extend(tensors[i as usize].and_then(|tensor| Some((value, Factor::of(tensor, operand)?))))
            }
            _ => {
                let result = computed.copy_with_operands(args[operand])?;
                computed.graph.output(&value.to_string(), result)?;
                later.push((value, operand));
            }
        }
    }
    if !later.is_empty() {
        let given: Vec<Tensor> = tensors.iter().flatten().map(|&tensor| tensor.clone()).collect();
        let results = evaluate(&computed.graph, &given)?;
        let factors = later.into_iter().zip(&results);
        all.extend(factors.filter_map(|((value, operand), tensor)| Some((value, Factor::of(tensor, operand)?))));
    }
    Ok(all)
}

impl Factor {
    /// That of matrices which are this operand; none if they are not finite.
    fn of(tensor: &Tensor, operand: usize) -> Option<Factor> {
        let elements = match (tensor.as_f32(), tensor.as_f64()) {
            (Some(elements), _) => elements.iter().map(|&x| x.into()).collect(),
            (_, elements) => elements?.to_vec(),
        };
        let shape = tensor.shape();
        let (rows, columns) = (shape[shape.len() - 2], shape.last_extent());
        let mut sums = Vec::new();
        for matrix in elements.chunks_exact(rows * columns) {
            // Of columns if it is on the right, else of rows.
            let (mut positive, mut negative) = (vec![0.0; columns], vec![0.0; columns]);
            for row in matrix.chunks_exact(columns) {
                for ((positive, negative), &x) in positive.iter_mut().zip(&mut negative).zip(row) {
                    *positive += if x > 0.0 { x } else { 0.0 };
                    // also what is no number
                    *negative += if x > 0.0 { 0.0 } else { -x };
                }
                if operand == 0 {
                    sums.push([&mut positive, &mut negative].map(|sums| {
                        let sum = sums.iter().sum::<f64>();
                        sums.fill(0.0);
                        sum
                    }));
                }
            }
            if operand == 1 {
                sums.extend(positive.into_iter().zip(negative).map(|(positive, negative)| [positive, negative]));
            }
        }
        let is_finite = sums.iter().flatten().all(|sum| sum.is_finite());
        is_finite.then_some(Factor { operand, sums })
    }

    /// The range of products of `depth` terms of this type with finite numbers of this range.
    pub fn times(&self, x: Range, depth: usize, dtype: DType) -> Range {
        let (above, below) = (x.high.max(0.0), (-x.low).max(0.0));
        let (mut low, mut high, mut size) = (0.0_f64, 0.0_f64, 0.0_f64);
        for [positive, negative] in &self.sums {
            low = low.max(below * positive + above * negative);
            high = high.max(above * positive + below * negative);
            size = size.max(above.max(below) * (positive + negative));
        }
        rounded([-low, high], size, depth, dtype)
    }
}
