//! Graph to plan: which kernels run, in which order, on which memory.
//!
//! A kernel is a set of graph values evaluated together at each element of one index space; the graph itself
//! stays the description of what is computed. Forming kernels is greedy and deterministic.

#![warn(clippy::wildcard_enum_match_arm, reason = "a new sort of operation has to say how it is planned")]

mod footprint;
mod groups;
mod memory;
mod order;
mod work;

pub use footprint::{ElementRead, Footprint};
pub use work::{Access, Counts, Extents, Part, Role, Work};

use crate::{Fusion, View};
use bayeslift_ir::{Error, Graph, Op, Value};
use smallvec::SmallVec;
use std::{collections::BTreeSet, fmt};

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The caller's tensor for this input. Written only where the input is donated.
    Input(usize),
    /// The caller's tensor for this output.
    Output(usize),
    /// The arena, at this offset in bytes.
    Arena(usize),
}

/// Values that one function computes in one pass over `rows` x `cols` elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// The product of all axes of the index space but the last.
    pub rows: usize,
    /// The last axis of the index space.
    pub cols: usize,
    /// Matrix products computed tile by tile; their elements are operands of `members`.
    pub dots: Vec<Value>,
    /// Elementwise values evaluated at each element.
    pub members: BTreeSet<Value>,
    /// Reductions of an element's value over the last axis.
    pub row_reductions: Vec<Value>,
    /// The reduction over another axis, or the fold, that this kernel is, if it is one. The index space is its operand's.
    pub column_reduction: Option<Value>,
    /// Values stored in full, and where. A kernel without members that stores a view copies it.
    pub stores: Vec<(Value, Place)>,
}

impl Kernel {
    /// Whether a value is an elementwise value or a contraction of this kernel.
    pub fn computes(&self, value: Value) -> bool {
        self.members.contains(&value) || self.dots.contains(&value)
    }
}

/// How a contraction reads an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// From memory.
    Memory(View),
    /// As an elementwise function of values that lie in memory or are constant.
    Computed {
        /// The elementwise value.
        value: Value,
        /// Its operands, each in the shape of the contraction's operand.
        views: SmallVec<[View; 2]>,
    },
}

/// A graph and how to run it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The graph whose values the kernels name.
    pub graph: Graph,
    /// The kernels in the order they run.
    pub kernels: Vec<Kernel>,
    /// For each value its place, if it has memory.
    pub places: Vec<Option<Place>>,
    /// The size of the arena, a multiple of 64.
    pub arena_bytes: usize,
}

impl Plan {
    /// Plans a graph.
    ///
    /// # Errors
    /// An arena beyond the limit.
    pub fn new(graph: Graph) -> Result<Plan, Error> {
        Plan::with_fusions(graph, &[])
    }

    /// Plans a graph whose contractions start in one kernel where they are one operation, if they can.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub fn with_fusions(graph: Graph, fusions: &[Fusion]) -> Result<Plan, Error> {
        let graph = isolate_copies(graph)?;
        let groups = groups::form(&graph, fusions)?;
        let order::Ordered { kernels, places } = order::order(&graph, groups);
        memory::assign(graph, kernels, places)
    }

    /// How a value is read: itself if it has memory or computes, otherwise through its view operations.
    pub fn view(&self, value: Value) -> View {
        let view = try_view(&self.graph, value, &|v| self.places[v.index()].is_some());
        view.expect("reshapes that strides cannot express have an operand in memory")
    }

    /// How a member that only moves data reads its operand, in its own shape.
    pub fn copied(&self, value: Value) -> View {
        let node = self.graph.node(value);
        self.view(node.args[0]).through(&node.op).expect("as for `view`")
    }

    /// A contraction's operand: a value in memory and its view, or a cheap elementwise value that is computed while
    /// packing, and the views of its operands.
    pub fn operand(&self, value: Value) -> Operand {
        let (source, _) = behind_views(&self.graph, value, |v| self.places[v.index()].is_some());
        if self.places[source.index()].is_some() {
            return Operand::Memory(self.view(value));
        }
        let views = prologue_views(&self.graph, value, &|v| self.places[v.index()].is_some());
        let (value, views) = views.expect("checked when the kernels were formed");
        Operand::Computed { value, views }
    }

    /// The value whose elements `value` has, in the same rows and columns: looks through reshapes that keep the last
    /// axis, as long as nothing on the way has memory of its own.
    pub fn aligned(&self, value: Value) -> Value {
        let mut v = value;
        while self.places[v.index()].is_none() && keeps_columns(&self.graph, v) {
            v = self.graph.node(v).args[0];
        }
        v
    }
}

/// Whether a value is a reshape under which every element keeps its row and column.
fn keeps_columns(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    matches!(node.op, Op::Reshape(_)) && graph.ty(node.args[0]).shape.last_extent() == node.ty.shape.last_extent()
}

/// The view of a value down to one that `has_memory` or is no view operation; `None` where strides cannot express it.
fn try_view(graph: &Graph, value: Value, has_memory: &impl Fn(Value) -> bool) -> Option<View> {
    let (source, movement) = behind_views(graph, value, has_memory);
    movement.iter().rev().try_fold(View::identity(graph, source), |view, &v| view.through(&graph.node(v).op))
}

/// The value that view operations lead to from `value`, and their results, the last first. Ends at memory.
fn behind_views(graph: &Graph, mut value: Value, has_memory: impl Fn(Value) -> bool) -> (Value, SmallVec<[Value; 4]>) {
    let mut movement = SmallVec::new();
    while !has_memory(value) && graph.node(value).op.is_movement() {
        movement.push(value);
        value = graph.node(value).args[0];
    }
    (value, movement)
}

/// For a contraction's operand that is a cheap elementwise value behind views: that value, and how each of its operands is
/// read in the shape of the contraction's operand.
fn prologue_views(
    graph: &Graph,
    operand: Value,
    has_memory: &impl Fn(Value) -> bool,
) -> Option<(Value, SmallVec<[View; 2]>)> {
    let (source, movement) = behind_views(graph, operand, |_| false);
    let views = graph.node(source).args.iter().map(|&arg| {
        let view = try_view(graph, arg, has_memory)?;
        movement.iter().rev().try_fold(view, |view, &v| view.through(&graph.node(v).op))
    });
    Some((source, views.collect::<Option<_>>()?))
}

/// Makes donated inputs that receive another input's old value receive a computed copy of it, so that the order of
/// kernels settles who reads before who writes.
fn isolate_copies(graph: Graph) -> Result<Graph, Error> {
    let is_foreign_input = |graph: &Graph, output: &bayeslift_ir::Output| {
        let mut source = output.value;
        while let Op::Reshape(_) = graph.node(source).op {
            source = graph.node(source).args[0];
        }
        matches!(graph.node(source).op, Op::Input(i) if output.updates.is_some_and(|input| input != i as usize))
    };
    if !graph.outputs().iter().any(|output| is_foreign_input(&graph, output)) {
        return Ok(graph);
    }
    let mut out = Graph::new();
    for value in graph.values() {
        let node = graph.node(value);
        let copy = if let Op::Input(i) = node.op {
            out.input(&graph.inputs()[i as usize].name, node.ty.clone())?
        } else {
            out.push(node.op.clone(), &node.args)?
        };
        debug_assert_eq!(copy, value);
    }
    for output in graph.outputs() {
        let value = match is_foreign_input(&graph, output) {
            true => out.push(Op::StopGradient, &[output.value])?,
            false => output.value,
        };
        out.output_like(output, value)?;
    }
    Ok(out)
}

/// Lists kernels in order with what each computes and stores.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "arena {} bytes", self.arena_bytes)?;
        for (i, kernel) in self.kernels.iter().enumerate() {
            writeln!(f, "kernel {i}: {} x {}", kernel.rows, kernel.cols)?;
            let list = |values: &mut dyn Iterator<Item = Value>| values.map(|v| format!(" {v}")).collect::<String>();
            let mut line = |name: &str, values: String| -> fmt::Result {
                if values.is_empty() { Ok(()) } else { writeln!(f, "  {name}{values}") }
            };
            line("dots", list(&mut kernel.dots.iter().copied()))?;
            line("elementwise", list(&mut kernel.members.iter().copied()))?;
            line("reduces columns of each row:", list(&mut kernel.row_reductions.iter().copied()))?;
            line("reduces an outer axis:", list(&mut kernel.column_reduction.iter().copied()))?;
            for (value, place) in &kernel.stores {
                line("stores", format!(" {value} in {place:?}"))?;
            }
        }
        Ok(())
    }
}
