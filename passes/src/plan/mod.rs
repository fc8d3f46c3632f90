//! Graph to plan: which kernels run, in which order, on which memory.
//!
//! A kernel is a set of graph values evaluated together at each element of one index space; the graph itself
//! stays the description of what is computed. Forming kernels is greedy and deterministic.

#![warn(clippy::wildcard_enum_match_arm, reason = "a new sort of operation has to say how it is planned")]

mod footprint;
mod groups;
mod kernel;
mod memory;
mod order;
mod reads;
mod verify;
mod work;

pub use footprint::Footprint;
pub use kernel::{DotOperand, Kernel, KernelKind, Read, Write};
pub use verify::Defect;
pub use work::{Access, Counts, Extents, Part, Role, Work};

use crate::{Fusion, rebuild::Rebuild};
use bayeslift_ir::{Error, Graph, Op, Value};
use std::fmt;

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
        let mut plan = groups::form(graph, fusions)?;
        debug_assert_eq!(plan.verify_kernels(), Ok(()));
        order::order(&mut plan);
        debug_assert_eq!(plan.verify_order(), Ok(()));
        memory::assign(&mut plan)?;
        debug_assert_eq!(plan.verify(), Ok(()));
        Ok(plan)
    }

    /// The value whose elements `value` has, in the same rows and columns: looks through reshapes that keep the last
    /// axis, as long as nothing on the way has memory of its own.
    pub fn aligned(&self, value: Value) -> Value {
        reads::aligned(&self.graph, value, &|v| self.places[v.index()].is_some())
    }
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
    // values are named by fusions, so all of them stay where they are
    let mut to = Rebuild::new(&graph);
    graph.values().try_for_each(|value| to.copy(value).map(|copy| debug_assert_eq!(copy, value)))?;
    for output in graph.outputs() {
        let value = match is_foreign_input(&graph, output) {
            true => to.graph.push(Op::StopGradient, &[output.value])?,
            false => output.value,
        };
        to.output(output, value)?;
    }
    Ok(to.graph)
}

/// Lists kernels in order with what each computes, reads and writes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "arena {} bytes", self.arena_bytes)?;
        for (i, kernel) in self.kernels.iter().enumerate() {
            writeln!(f, "kernel {i}: {} x {}", kernel.rows, kernel.cols)?;
            let list = |values: &mut dyn Iterator<Item = Value>| values.map(|v| format!(" {v}")).collect::<String>();
            let mut line = |name: &str, values: String| -> fmt::Result {
                if values.is_empty() { Ok(()) } else { writeln!(f, "  {name}{values}") }
            };
            match &kernel.kind {
                KernelKind::Products(products) => line("dots", list(&mut products.iter().copied()))?,
                KernelKind::Rows(sums) => line("reduces columns of each row:", list(&mut sums.iter().copied()))?,
                KernelKind::Column(sum) => line("reduces an outer axis:", format!(" {sum}"))?,
                KernelKind::Fold(fold) => line("folds", format!(" {fold}"))?,
                KernelKind::Indexed(value) => line("indexes", format!(" {value}"))?,
                KernelKind::Copy(value) => line("copies", format!(" {value}"))?,
            }
            line("elementwise", list(&mut kernel.body.iter().copied()))?;
            let in_memory = |value: &Value| self.places[value.index()].is_some();
            line("reads", list(&mut kernel.read_footprints().into_keys().filter(in_memory)))?;
            for Write { value, place, .. } in &kernel.writes {
                line("writes", format!(" {value} in {place:?}"))?;
            }
        }
        Ok(())
    }
}
