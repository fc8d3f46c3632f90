//! The graph: append-only, hash-consed, statically shaped SSA.

use crate::{Error, Op, Origin, Type, infer};
use smallvec::SmallVec;
use std::{
    collections::{HashMap, HashSet},
    fmt, mem,
};

/// A value of a graph: the index of the node that defines it. Prints as `%3`.
///
/// It is a number and means nothing without its graph: the same one is another value of another graph.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// let y = b.input("x", Type::f32([2])).exp();
/// assert_eq!((y.value().index(), y.value().to_string()), (1, "%1".into()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);

impl Value {
    /// The index of the defining node in [`Graph::nodes`]; operands have smaller indices.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Operands of a node.
pub type Args = SmallVec<[Value; 3]>;

/// An operation applied to operands, with the type of its result.
///
/// ```
/// use bayeslift_ir::{Builder, Op, Type, Unary};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([2]));
/// let (y, graph) = (x.exp(), b.graph());
/// let node = graph.node(y.value());
/// assert_eq!((&node.op, &node.args[..], &node.ty), (&Op::Unary(Unary::Exp), &[x.value()][..], &Type::f32([2])));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The operands.
    pub args: Args,
    /// The type of the result.
    pub ty: Type,
}

/// A named input: its position in [`Graph::inputs`] is that of its tensor in a call.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// b.input("images", Type::f32([32, 784]));
/// b.input("labels", Type::u32([32]));
/// let graph = b.finish()?;
/// let types: Vec<String> = graph.inputs().iter().map(|i| format!("{}: {}", i.name, graph.ty(i.value))).collect();
/// assert_eq!(types, ["images: f32[32,784]", "labels: u32[32]"]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The name callers bind a tensor to.
    pub name: String,
    /// The value it defines.
    pub value: Value,
}

/// A named result: its position in [`Graph::outputs`] is that of its tensor among the results of a call.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// let (w, gradient) = (b.input("w", Type::f32([8])), b.input("gradient", Type::f32([8])));
/// b.output_updating("w", w - gradient * 0.1, w);
/// b.output("largest", gradient.abs().reduce_max(0));
/// let graph = b.finish()?;
/// assert_eq!(graph.outputs()[0].updates, Some(0));
/// assert_eq!((graph.outputs()[1].name.as_str(), graph.outputs()[1].updates), ("largest", None));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The name callers find the result by.
    pub name: String,
    /// The value it reports.
    pub value: Value,
    /// The index of an input of the same type whose memory receives the result. That input is donated:
    /// the caller passes it mutably and finds the result there.
    pub updates: Option<usize>,
}

/// The largest number of nodes in a graph.
pub const MAX_NODES: usize = 1 << 20;

/// A tensor program: nodes in topological order, named inputs and outputs.
///
/// Equal nodes are one node: [`Graph::push`] returns the existing value. A [`Builder`](crate::Builder) makes graphs
/// with ordinary operators, and broadcasts; this is what it makes, and what programs read. `{}` prints the [text
/// form](crate::text), which `parse` reads. Two graphs are equal if nodes, inputs and outputs are.
///
/// ```
/// use bayeslift_ir::{Binary, Graph, Op, Type};
/// let mut graph = Graph::new();
/// let w = graph.input("w", Type::f32([3]))?;
/// let half = graph.push(Op::Constant(0.5_f32.to_bits()), &[])?;
/// let halves = graph.push(Op::Broadcast([3].into()), &[half])?;
/// let y = graph.push(Op::Binary(Binary::Mul), &[w, halves])?;
/// assert_eq!(graph.push(Op::Binary(Binary::Mul), &[w, halves])?, y);
/// let error = graph.push(Op::Binary(Binary::Mul), &[w, half]).unwrap_err();
/// let message = "mul: operand 1 has shape [], which does not fit [3], the shape of operand 0";
/// assert_eq!(error.to_string(), message);
///
/// graph.output("half", y)?;
/// let text = "graph {\n  %0 = input \"w\" : f32[3]\n  %1 = constant 0.5 : f32[]\n  %2 = broadcast %1 : f32[3]\n  \
///             %3 = mul %0 %2 : f32[3]\n  output \"half\" = %3\n}\n";
/// assert_eq!((graph.to_string(), text.parse::<Graph>()?), (text.into(), graph));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
///
/// What passes ask a graph:
///
/// ```
/// use bayeslift_ir::{Builder, Op, Type};
/// let b = Builder::of(bayeslift_ir::DType::F64);
/// let w = b.input("w", Type::f64([3]));
/// let (third, _unused) = (b.constant(0.25).broadcast(&[3].into()), w.exp());
/// b.output_updating("w", w * third, w);
/// let graph = b.finish()?;
/// assert_eq!((graph.inputs().len(), graph.outputs().len(), graph.is_donated(0)), (1, 1, true));
/// assert_eq!(graph.live(), [true, true, true, false, true]);
/// let third = third.value();
/// assert_eq!((graph.number(third), graph.constant_f64(third), graph.constant(third)), (Some(0.25), Some(0.25), None));
/// let last = graph.values().last().unwrap();
/// assert_eq!((graph.nodes().len(), graph.node(last).args[1], graph.ty(last)), (5, third, &Type::f64([3])));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Where each node comes from, and where those do that are appended.
    origins: Vec<Origin>,
    origin: Origin,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    interned: HashMap<(Op, Args), Value>,
    /// The names of `inputs` and of `outputs`.
    input_names: HashSet<String>,
    output_names: HashSet<String>,
    /// The indices of inputs that outputs update.
    donated: HashSet<usize>,
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes && self.inputs == other.inputs && self.outputs == other.outputs
    }
}

impl Graph {
    /// An empty graph: without nodes, inputs and outputs.
    pub fn new() -> Self {
        Graph::default()
    }

    /// Appends an input, the next one that callers pass.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] for a name that an input has; those of [`Type::check`]; [`Error::TooLarge`] beyond
    /// [`MAX_NODES`].
    pub fn input(&mut self, name: &str, ty: Type) -> Result<Value, Error> {
        ty.check()?;
        if self.input_names.contains(name) {
            return Err(Error::DuplicateName { what: "inputs", name: name.to_owned() });
        }
        let op = Op::Input(self.inputs.len() as u32);
        let value = self.append(Node { op, args: Args::new(), ty })?;
        self.input_names.insert(name.to_owned());
        self.inputs.push(Input { name: name.to_owned(), value });
        Ok(value)
    }

    /// Appends an operation, or finds the equal one that exists.
    ///
    /// # Errors
    /// Those of [`result_type`](crate::result_type) where operands do not fit the operation; [`Error::Malformed`] for
    /// operands that do not exist and for [`Op::Input`]; [`Error::TooLarge`] beyond [`MAX_NODES`]. The graph is then
    /// what it was.
    pub fn push(&mut self, op: Op, args: &[Value]) -> Result<Value, Error> {
        if let Op::Input(_) = op {
            return Err(Error::Malformed("inputs are made by `Graph::input`".into()));
        }
        if let Some(arg) = args.iter().find(|arg| arg.index() >= self.nodes.len()) {
            return Err(Error::Malformed(format!("{} has the operand {arg}, which does not exist", op.name())));
        }
        let key = (op, Args::from_slice(args));
        if let Some(&value) = self.interned.get(&key) {
            return Ok(value);
        }
        let ty = {
            let types: SmallVec<[&Type; 3]> = args.iter().map(|&arg| self.ty(arg)).collect();
            infer::result_type(&key.0, &types)?
        };
        let value = self.append(Node { op: key.0.clone(), args: key.1.clone(), ty })?;
        self.interned.insert(key, value);
        Ok(value)
    }

    fn append(&mut self, node: Node) -> Result<Value, Error> {
        if self.nodes.len() >= MAX_NODES {
            let size = self.nodes.len() as u64 + 1;
            return Err(Error::TooLarge { what: "nodes of a graph", size, limit: MAX_NODES as u64 });
        }
        self.nodes.push(node);
        self.origins.push(self.origin.clone());
        Ok(Value(self.nodes.len() as u32 - 1))
    }

    /// Names a result, the next one that callers receive. A value may have several names.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] for a name that an output has; [`Error::Malformed`] for a value that does not exist.
    pub fn output(&mut self, name: &str, value: Value) -> Result<(), Error> {
        self.add_output(Output { name: name.to_owned(), value, updates: None })
    }

    /// Names a result that overwrites the input `input`, which the caller donates: passes mutably, to find the result
    /// there.
    ///
    /// # Errors
    /// As for [`Graph::output`]; [`Error::Malformed`] if `input` is no input or is donated already;
    /// [`Error::ShapeMismatch`] if the types differ.
    ///
    /// ```
    /// use bayeslift_ir::{Graph, Op, Type};
    /// let mut graph = Graph::new();
    /// let step = graph.input("step", Type::u32([]))?;
    /// let zero = graph.push(Op::ConstantU32(0), &[])?;
    /// graph.output_updating("step", zero, step)?;
    /// let error = graph.output_updating("again", zero, step).unwrap_err();
    /// assert_eq!(error.to_string(), "malformed graph: two outputs update the input `step`");
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn output_updating(&mut self, name: &str, value: Value, input: Value) -> Result<(), Error> {
        let Some(&Op::Input(index)) = self.nodes.get(input.index()).map(|node| &node.op) else {
            return Err(Error::Malformed(format!("output `{name}` updates {input}, which is no input")));
        };
        let index = index as usize;
        if self.donated.contains(&index) {
            return Err(Error::Malformed(format!("two outputs update the input `{}`", self.inputs[index].name)));
        }
        self.check_exists(name, value)?;
        if self.ty(value) != self.ty(input) {
            return Err(Error::ShapeMismatch {
                op: "output".into(),
                argument: name.to_owned(),
                expected: format!("{}, the type of the input it updates", self.ty(input)),
                found: self.ty(value).shape.clone(),
            });
        }
        self.add_output(Output { name: name.to_owned(), value, updates: Some(index) })
    }

    /// Whether an output updates the input of this index, counted from 0 in the order of [`Graph::inputs`].
    pub fn is_donated(&self, input: usize) -> bool {
        self.donated.contains(&input)
    }

    fn check_exists(&self, name: &str, value: Value) -> Result<(), Error> {
        if value.index() < self.nodes.len() {
            return Ok(());
        }
        Err(Error::Malformed(format!("the output `{name}` reports {value}, which does not exist")))
    }

    fn add_output(&mut self, output: Output) -> Result<(), Error> {
        self.check_exists(&output.name, output.value)?;
        if !self.output_names.insert(output.name.clone()) {
            return Err(Error::DuplicateName { what: "outputs", name: output.name });
        }
        self.donated.extend(output.updates);
        self.outputs.push(output);
        Ok(())
    }

    /// Where a value comes from: the [`Origin`] that was set when its node was appended.
    ///
    /// # Panics
    /// A value that the graph does not have.
    pub fn origin(&self, value: Value) -> &Origin {
        &self.origins[value.index()]
    }

    /// Says where nodes come from that are appended from now on, and gives where they came from until now. Of a new
    /// graph that is unknown.
    ///
    /// ```
    /// use bayeslift_ir::{Graph, Op, Origin, Type, Unary};
    /// let mut graph = Graph::new();
    /// let x = graph.input("x", Type::f32([2]))?;
    /// let outer = graph.set_origin(Origin { scope: "mlp/relu".into(), is_gradient: false });
    /// let y = graph.push(Op::Unary(Unary::Abs), &[x])?;
    /// graph.set_origin(outer);
    /// assert_eq!(graph.origin(y).to_string(), "mlp/relu");
    /// assert!(graph.origin(x).is_unknown());
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn set_origin(&mut self, origin: Origin) -> Origin {
        mem::replace(&mut self.origin, origin)
    }

    /// Where nodes come from that are appended now.
    pub(crate) fn current_origin(&self) -> &Origin {
        &self.origin
    }

    /// The node that defines a value.
    ///
    /// # Panics
    /// A value that the graph does not have.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.index()]
    }

    /// The type of a value.
    ///
    /// # Panics
    /// A value that the graph does not have.
    pub fn ty(&self, value: Value) -> &Type {
        &self.nodes[value.index()].ty
    }

    /// All nodes, operands before users. That of a value is at [`Value::index`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All values, operands before users; from the end, users before operands.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + use<> {
        (0..self.nodes.len() as u32).map(Value)
    }

    /// The inputs, in the order callers pass them: that in which they were appended.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The outputs, in the order callers receive them: that in which they were named.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// For each node whether an output depends on it. Inputs count as live only where they are used.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for output in &self.outputs {
            live[output.value.index()] = true;
        }
        for value in self.values().rev() {
            if live[value.index()] {
                for arg in &self.node(value).args {
                    live[arg.index()] = true;
                }
            }
        }
        live
    }

    /// The constant that a value of `f32` or `f64` holds, seen through broadcasts and reshapes. `None` if it is not
    /// one.
    pub fn number(&self, value: Value) -> Option<f64> {
        self.constant(value).map(f64::from).or_else(|| self.constant_f64(value))
    }

    /// The constant that an `f32` value holds, seen through broadcasts and reshapes. `None` if it is not one.
    pub fn constant(&self, value: Value) -> Option<f32> {
        match self.node(self.repeated(value)).op {
            Op::Constant(bits) => Some(f32::from_bits(bits)),
            _ => None,
        }
    }

    /// The constant that an `f64` value holds, seen through broadcasts and reshapes. `None` if it is not one.
    pub fn constant_f64(&self, value: Value) -> Option<f64> {
        match self.node(self.repeated(value)).op {
            Op::ConstantF64(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// What broadcasts and reshapes make a value of.
    fn repeated(&self, mut value: Value) -> Value {
        while let Op::Broadcast(_) | Op::Reshape(_) = self.node(value).op {
            value = self.node(value).args[0];
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_name_values_that_exist() {
        let mut larger = Graph::new();
        let x = larger.input("x", Type::f32([2])).unwrap();
        let beyond = larger.push(Op::Iota(3), &[]).unwrap();
        let mut graph = Graph::new();
        assert_eq!(graph.input("x", Type::f32([2])), Ok(x));
        let message = "malformed graph: the output `y` reports %1, which does not exist";
        assert_eq!(graph.output("y", beyond).unwrap_err().to_string(), message);
        assert_eq!(graph.output_updating("y", beyond, x).unwrap_err().to_string(), message);
        assert_eq!(graph.output_updating("y", x, x), Ok(()));
        assert!(matches!(graph.output("y", x), Err(Error::DuplicateName { .. })));
        assert!(matches!(graph.output_updating("z", x, x), Err(Error::Malformed(_))));
    }
}
