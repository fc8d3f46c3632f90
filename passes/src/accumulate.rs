//! A graph on a batch of many rows as graphs on fewer rows, run one after the other, and one on what they leave:
//! gradient accumulation.

mod part;
mod rows;

use crate::rebuild::Rebuild;
use bayeslift_ir::{DOT_CHUNK, DType, Graph, Input, Op, SUM_CHUNK, Tensor, Type, Value};
use rows::{Place, Rows, places};

/// What batches cannot be split for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccumulationError {
    /// A value that is not computed row by row, nor summed over rows at the end.
    #[error("{value} {reason}")]
    Entangled {
        /// The value.
        value: Value,
        /// What it does, as the rest of a sentence.
        reason: &'static str,
    },
    /// A part that ends in the midst of a chunk of a sum.
    #[error("parts of {found} rows, expected multiples of {multiple}")]
    Rows {
        /// The number of rows of a part.
        found: usize,
        /// What it has to be a multiple of, unless it is the last.
        multiple: usize,
    },
    /// The graph cannot be built.
    #[error(transparent)]
    Graph(#[from] bayeslift_ir::Error),
}

/// A graph whose inputs have a row for each example of a batch, cut where it sums over rows: gradients of parameters,
/// losses.
///
/// [`Accumulation::part`] computes what some of the rows add to these sums, and [`Accumulation::whole`] the graph's
/// outputs of the sums. Both together give the bits that the graph gives, since a sum over rows adds in chunks, in
/// order ([`DOT_CHUNK`], [`SUM_CHUNK`]): a part adds its chunks one by one to what the parts before it left. Sums in
/// another order - those over the last axis -, maxima and what compares or replaces rows are left to the whole, which
/// gets all of their operand, row by row; in graphs of training these are a number or few for each row, or the
/// gradients of rows of a table.
///
/// Memory is that of a part's rows but for those operands.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate, same_bits};
/// use bayeslift_passes::Accumulation;
///
/// // the gradient of sum((x w)^2) / 600 on 600 rows
/// let b = Builder::new();
/// let (x, w) = (b.input("x", Type::f32([600, 3])), b.input("w", Type::f32([3, 2])));
/// let y = x.dot(w);
/// b.output("gradient", x.transpose(&[1, 0]).dot(y * 2.0) / 600.0);
/// let graph = b.finish()?;
///
/// let accumulation = Accumulation::new(&graph, 600, |input| input.name == "x")?;
/// let x: Vec<f32> = (0..1800).map(|i| (i as f32 * 0.7).sin()).collect();
/// let w = Tensor::f32([3, 2], [0.3, -0.2, 0.5, 0.9, -1.5, 0.1])?;
/// let mut sums = accumulation.zeros()?;
/// for rows in [0..256, 256..512, 512..600] {
///     let part = accumulation.part(rows.len(), rows.end == 600)?;
///     let x = Tensor::f32([rows.len(), 3], &x[rows.start * 3..rows.end * 3])?;
///     sums = evaluate(&part, &[&[x, w.clone()], &sums[..]].concat())?;
/// }
/// let x = Tensor::f32([600, 3], x)?;
/// let found = evaluate(&accumulation.whole()?, &[&[x.clone(), w.clone()], &sums[..]].concat())?;
/// same_bits(&found[0], &evaluate(&graph, &[x, w])?[0])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Accumulation {
    graph: Graph,
    rows: usize,
    is_by_row: Vec<bool>,
    places: Vec<Place>,
    sums: Vec<Sum>,
    stacks: Vec<Stack>,
}

/// A sum over rows that parts carry on.
#[derive(Clone, Copy, Debug)]
struct Sum {
    value: Value,
    /// How many addends a row has, and a chunk.
    each: usize,
    chunk: usize,
}

/// A value that the whole gets of all rows.
#[derive(Clone, Copy, Debug)]
struct Stack {
    value: Value,
    rows: Rows,
}

impl Accumulation {
    /// Cuts a graph of which these inputs have `rows` rows, on their first axis. Noise by example counts rows, too. Cut
    /// a graph that was rewritten, and do no more to what comes of it than keeps bits.
    ///
    /// # Errors
    /// [`AccumulationError::Entangled`]: a value that reads what is summed over rows and rows themselves, as batch
    /// normalization does; one that moves rows; an output that has rows.
    pub fn new(graph: &Graph, rows: usize, by_row: impl Fn(&Input) -> bool) -> Result<Accumulation, AccumulationError> {
        let is_by_row: Vec<bool> = graph.inputs().iter().map(by_row).collect();
        let places = places(graph, rows, &is_by_row)?;
        let (mut sums, mut stacks) = (Vec::new(), Vec::new());
        for value in graph.values().filter(|value| places[value.index()] == Place::Sum) {
            let node = graph.node(value);
            let of_rows = node.args.iter().filter_map(|arg| Some((*arg, places[arg.index()].rows()?)));
            let carried = match node.op {
                Op::Dot => Some(DOT_CHUNK),
                Op::ScatterAdd(_) => {
                    // of positions that count rows alone, both in what is added and in where
                    let along = graph.ty(node.args[1]).shape.len() - 1;
                    let counts = |arg: &Value| places[arg.index()].rows().is_some_and(|rows| rows.axis == along);
                    node.args.iter().all(counts).then_some(DOT_CHUNK)
                }
                // those of `f64` add row after row, without chunks
                Op::Sum(axis) if axis + 1 < graph.ty(node.args[0]).shape.len() => {
                    Some(if node.ty.dtype == DType::F64 { 1 } else { SUM_CHUNK })
                }
                _ => None,
            };
            match (carried, of_rows.clone().next()) {
                (Some(chunk), Some((_, Rows { each, .. }))) => sums.push(Sum { value, each, chunk }),
                _ => stacks.extend(of_rows.map(|(value, rows)| Stack { value, rows })),
            }
        }
        stacks.sort_by_key(|stack| stack.value);
        stacks.dedup_by_key(|stack| stack.value);
        // such as targets that a metric reads: the whole has these as they are
        stacks.retain(|stack| !matches!(graph.node(stack.value).op, Op::Input(_)));
        Ok(Accumulation { graph: graph.clone(), rows, is_by_row, places, sums, stacks })
    }

    /// What the number of rows of each part but the last has to be a multiple of.
    pub fn multiple(&self) -> usize {
        let of = |sum: &Sum| sum.chunk / greatest_common_divisor(sum.chunk, sum.each);
        // divisors of one power of two
        self.sums.iter().map(of).max().unwrap_or(1)
    }

    /// The sums before the first part: -0, which added to anything leaves it, to the bit.
    ///
    /// # Errors
    /// None for a graph that was built.
    pub fn zeros(&self) -> Result<Vec<Tensor>, AccumulationError> {
        let zeros = self.sums.iter().map(|sum| {
            let ty = self.graph.ty(sum.value);
            Tensor::floats(ty, vec![-0.0; ty.shape.elements()])
        });
        Ok(zeros.collect::<Result<_, _>>()?)
    }

    /// The type that each stack has for `rows` rows, and the axis that counts them, in the order in which parts return
    /// stacks and the whole takes them.
    pub fn stacks(&self, rows: usize) -> impl Iterator<Item = (Type, usize)> {
        self.stacks.iter().map(move |stack| {
            let ty = self.graph.ty(stack.value);
            (Type::new(ty.dtype, stack.rows.resized(&ty.shape, rows)), stack.rows.axis)
        })
    }

    /// What `rows` rows add. Inputs: those of the graph, of which those by row have `rows`, then the sums so far.
    /// Outputs: the sums, which update those, then what is stacked.
    ///
    /// # Errors
    /// [`AccumulationError::Rows`], unless these rows are the last.
    pub fn part(&self, rows: usize, is_last: bool) -> Result<Graph, AccumulationError> {
        let multiple = self.multiple();
        if rows == 0 || !is_last && !rows.is_multiple_of(multiple) {
            return Err(AccumulationError::Rows { found: rows, multiple });
        }
        part::part(self, rows)
    }

    /// The graph's outputs of what all parts left. Inputs: those of the graph, of which those by row are read by
    /// nothing but what needs all rows anyway, then the sums, then the stacks.
    ///
    /// # Errors
    /// None for a graph that was built.
    pub fn whole(&self) -> Result<Graph, AccumulationError> {
        let mut to = Rebuild::with_inputs(&self.graph)?;
        for (i, sum) in self.sums.iter().enumerate() {
            to.input(&format!("sum {i}"), sum.value)?;
        }
        for (i, stack) in self.stacks.iter().enumerate() {
            to.input(&format!("stack {i}"), stack.value)?;
        }
        for output in self.graph.outputs() {
            let value = to.copy_with_operands(output.value)?;
            to.output(output, value)?;
        }
        Ok(to.graph)
    }
}

/// By Euclid.
fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
