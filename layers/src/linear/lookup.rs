//! Rows of a table by their numbers, where the table is a parameter or computed from parameters by the element.

use crate::{Context, Linear, MatrixProduct, Scope};
use bayeslift_ir::{Expr, Kind, Op, Shape, Value};
use std::collections::{HashMap, HashSet};

/// What an [`Embedding`](crate::Embedding) gives for a number that is no category's.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Context, Embedding, Initializer, Layer, Scope, Unseen};
/// let rows = |unseen: Unseen| {
///     let layer = Embedding::new(3, 1).kernel_initializer(Initializer::Ones).unseen(unseen);
///     let (b, parameters) = (Builder::new(), layer.initialize(0)?);
///     let context = Context::new(Scope::bind(&b, &parameters)?);
///     b.output("rows", layer.call(&context, b.input("numbers", Type::u32([2])))?.output);
///     let inputs = [parameters.get("kernel")?.tensor.clone(), Tensor::u32([2], [2, 3])?];
///     Ok::<_, bayeslift_layers::Error>(evaluate(&b.finish()?, &inputs)?.remove(0))
/// };
/// // of three categories, 2 is the last
/// assert_eq!(rows(Unseen::Zeros)?.as_f32(), Some(&[1.0, 0.0][..]));
/// assert!(rows(Unseen::Error)?.as_f32().is_some_and(|rows| rows[0] == 1.0 && rows[1].is_nan()));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unseen {
    /// A row of zeros.
    #[default]
    Zeros,
    /// An error: the row is `NaN`, so a step of training or a prediction with it fails, and changes nothing.
    Error,
}

/// Takes the rows of a kernel `[rows, width]` whose numbers are the input: what a product with one-hot rows gives,
/// without the product.
///
/// The rows of a kernel that is computed by the element - a draw loc + softplus(raw_scale) noise - are computed of the
/// rows of what it is made of. So a call reads, draws and differentiates the rows that it needs, and none besides.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    rows: usize,
    unseen: Unseen,
    /// What layers find as parameters: gradients are taken with respect to these, so they are read as they are.
    parameters: HashSet<Value>,
}

impl Lookup {
    pub fn new(rows: usize, unseen: Unseen, scope: &Scope<'_>) -> Lookup {
        Lookup { rows, unseen, parameters: scope.bound_values() }
    }

    /// Rows `[.., width]` of `table: [rows, width]` with the numbers `u32[..]`; of `[samples, rows, width]` with
    /// `[samples, ..]`, of which the first axis is 1 or as many.
    pub fn rows<'b>(&self, table: Expr<'b>, numbers: &Numbers<'b>) -> Expr<'b> {
        let (shape, count) = (table.shape(), &numbers.shape);
        let b = table.builder();
        if b.check().is_err() || shape.len() < 2 || shape.len() > 3 || shape[shape.len() - 2] != self.rows {
            return table.gather(numbers.flat);
        }
        let width = shape.last_extent();
        let samples = (shape.len() == 3).then(|| shape[0]);
        let leading = samples.into_iter().chain(count.iter().copied().skip(usize::from(samples.is_some())));
        let full: Shape = leading.chain([width]).collect();
        let mut reader = Reader::new(self, numbers, &shape);
        let is_computed = !self.is_read(table);
        let found = reader.read(table).broadcast(&full);
        let other = if self.unseen == Unseen::Error { f32::NAN } else { 0.0 };
        match self.unseen == Unseen::Error || is_computed {
            // of rows of zeros functions need not be zeros
            true => {
                let is_row = numbers.flat.less(self.rows as u32);
                is_row.reshape(count.iter().copied().chain([1]).collect::<Shape>()).select(found, other)
            }
            false => found,
        }
    }

    /// Whether a value is read as it is.
    fn is_read(&self, value: Expr<'_>) -> bool {
        let graph = value.builder().graph();
        let op = &graph.node(value.value()).op;
        self.parameters.contains(&value.value()) || !op.is_elementwise() && !matches!(op, Op::Broadcast(_))
    }
}

/// The numbers of rows: one value for all that read these rows, so that gradients meet there.
#[derive(Clone, Debug)]
pub(crate) struct Numbers<'b> {
    /// In a row, `u32[n]`.
    flat: Expr<'b>,
    /// The shape that they have for who reads.
    shape: Shape,
}

impl<'b> Numbers<'b> {
    fn new(numbers: Expr<'b>) -> Numbers<'b> {
        let shape = numbers.shape();
        Numbers { flat: numbers.reshape([shape.elements()]), shape }
    }
}

/// Reads rows of values of a table's shape.
struct Reader<'a, 'b> {
    lookup: &'a Lookup,
    numbers: &'a Numbers<'b>,
    /// The shape of the table.
    full: &'a Shape,
    known: HashMap<Value, Expr<'b>>,
    /// How many operations it is in.
    depth: usize,
}

/// What is made by more operations, one after the other, is computed as a whole.
const MAX_DEPTH: usize = 256;

impl<'a, 'b> Reader<'a, 'b> {
    fn new(lookup: &'a Lookup, numbers: &'a Numbers<'b>, full: &'a Shape) -> Reader<'a, 'b> {
        Reader { lookup, numbers, full, known: HashMap::new(), depth: 0 }
    }

    /// The rows of a value of the table's shape; the axis of samples is 1 where they do not depend on it.
    fn read(&mut self, value: Expr<'b>) -> Expr<'b> {
        if let Some(&known) = self.known.get(&value.value()) {
            return known;
        }
        let b = value.builder();
        let node = b.graph().node(value.value()).clone();
        let args: Vec<Expr<'b>> = node.args.iter().map(|&arg| b.expr(arg)).collect();
        let rows = match node.op.kind() {
            _ if self.lookup.parameters.contains(&value.value()) || self.depth > MAX_DEPTH => self.gather(value),
            Kind::Elementwise(_) => {
                self.depth += 1;
                let args: Vec<Expr<'b>> = args.into_iter().map(|arg| self.read(arg)).collect();
                self.depth -= 1;
                let shapes = args.iter().map(|arg| Some(arg.shape()));
                let common = shapes.reduce(|a, b| a?.broadcast_with(&b?)).flatten().unwrap_or_default();
                let args: Vec<Expr<'b>> = args.into_iter().map(|arg| arg.broadcast(&common)).collect();
                b.push(node.op.clone(), &args)
            }
            _ => match (&node.op, args.as_slice()) {
                (Op::Broadcast(_), &[source]) => self.repeated(source).unwrap_or_else(|| self.gather(value)),
                _ => self.gather(value),
            },
        };
        self.known.insert(value.value(), rows);
        rows
    }

    /// The rows of what `source` is repeated to.
    fn repeated(&mut self, source: Expr<'b>) -> Option<Expr<'b>> {
        let shape = source.shape();
        let (axes, numbers) = (self.full.len(), &self.numbers.shape);
        // the same table for each sample, or one number for each row
        if shape.len() == 2 && shape[0] == self.lookup.rows && shape != *self.full {
            return Some(Reader::new(self.lookup, self.numbers, &shape).read(source));
        }
        // one row, or one number, for all rows
        let has_rows = shape.len() >= 2 && shape[shape.len() - 2] != 1;
        if has_rows || self.full[axes - 2] == 1 {
            return None;
        }
        let samples = if shape.len() == 3 { shape[0] } else { 1 };
        let last = shape.last().copied().unwrap_or(1);
        let mut extents = vec![1; numbers.len() + 1];
        extents[numbers.len()] = last;
        if samples > 1 {
            extents[0] = samples;
        }
        Some(source.reshape(extents.as_slice()))
    }

    /// Rows of a value that lies there, or is drawn where it is read.
    fn gather(&self, value: Expr<'b>) -> Expr<'b> {
        let (shape, Numbers { flat, shape: numbers }) = (value.shape(), self.numbers);
        if shape.len() < 3 {
            let full = numbers.iter().copied().chain([shape.last_extent()]);
            return value.gather(*flat).reshape(full.collect::<Shape>());
        }
        // a table for each sample
        let each: usize = numbers[1..].iter().product();
        let flat = flat.reshape([numbers[0], each]).broadcast(&[shape[0], each].into());
        let rows = value.gather(flat);
        let full = [shape[0]].into_iter().chain(numbers[1..].iter().copied()).chain([shape.last_extent()]);
        rows.reshape(full.collect::<Shape>())
    }
}

impl Linear for Lookup {
    fn apply<'b>(&self, x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
        match x.is_float() {
            // one-hot rows times something
            true => MatrixProduct.apply(x, kernel),
            false => self.rows(kernel, &Numbers::new(x)),
        }
    }

    fn square<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        // 1 and 0 are their own squares
        x
    }

    fn multiply<'b>(&self, x: Expr<'b>, factor: Expr<'b>) -> Expr<'b> {
        x.one_hot(self.rows) * factor
    }

    fn input_shape(&self, x: Expr<'_>) -> Shape {
        x.shape().iter().copied().chain([self.rows]).collect()
    }
}

/// Which rows of a random table a call read, and how much each counts: an estimate of the sum over all rows. A
/// [`Term`](crate::Term) of an embedding that was told
/// [`read_counts`](crate::EmbeddingVariational::read_counts) has it, and there is the formula; divergences use it.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{
///     Context, EmbeddingVariationalReparameterizationLocal, Error, Layer, Reads, Scope, noise_inputs,
/// };
/// let call_reads = |layer: EmbeddingVariationalReparameterizationLocal| {
///     let b = Builder::new();
///     let context = Context::new(Scope::bind(&b, &layer.initialize(0)?)?).noise(noise_inputs(&b));
///     let call = layer.call(&context, b.input("words", Type::u32([32])))?;
///     let reads: Option<&Reads<'_>> = call.terms[0].reads.as_ref();
///     Ok::<_, Error>(reads.is_some())
/// };
/// let layer = EmbeddingVariationalReparameterizationLocal::new(3, 2);
/// assert!(!call_reads(layer.clone())?);
/// assert!(call_reads(layer.read_counts([4, 1, 0]))?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reads<'b> {
    lookup: Lookup,
    /// Of the rows that were read, as `[1, reads]`.
    numbers: Numbers<'b>,
    /// The inverse of each row's frequency among reads, `[rows, 1]`; 0 for a row that is never read.
    weights: Expr<'b>,
}

impl<'b> Reads<'b> {
    pub(crate) fn new(context: &Context<'b>, rows: usize, numbers: Expr<'b>, weights: Expr<'b>) -> Reads<'b> {
        let lookup = Lookup::new(rows, Unseen::Zeros, context.scope());
        let Numbers { flat, shape } = Numbers::new(numbers);
        Reads { lookup, numbers: Numbers { flat, shape: [1, shape.elements()].into() }, weights }
    }

    /// The mean over reads of the sum of a row's numbers times the row's weight: of a number for each element, `[..,
    /// rows, width]`, or for each row, where events have one axis. `None` for events of several rows.
    pub(crate) fn sum(&self, events: Expr<'b>, event_ndims: usize) -> Option<Expr<'b>> {
        let elements = match event_ndims {
            0 => events,
            1 => events.expand(events.shape().len()),
            _ => return None,
        };
        let reads = self.numbers.shape.elements();
        let rows = self.lookup.rows(elements, &self.numbers) * self.weights.gather(self.numbers.flat);
        Some(rows.sum_all() / reads as f64)
    }
}
