//! What a kernel reads, stated once: all who ask read [`Kernel::reads`].

use super::{DotOperand, Kernel, KernelKind, Read};
use crate::View;
use bayeslift_ir::{Graph, Kind, Op, Value};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// What a kernel reads, given which values have memory: each once, and in order of their values.
pub(super) fn of(graph: &Graph, has_memory: &impl Fn(Value) -> bool, kernel: &Kernel) -> Vec<Read> {
    let node = |value: Value| graph.node(value);
    let mut read: Vec<Value> = match &kernel.kind {
        KernelKind::Products(_) => Vec::new(),
        KernelKind::Rows(reductions) => reductions.iter().map(|&reduction| node(reduction).args[0]).collect(),
        KernelKind::Column(value) | KernelKind::Fold(value) => vec![node(*value).args[0]],
        KernelKind::Indexed(value) => source(graph, *value).into_iter().collect(),
        KernelKind::Copy(value) => vec![*value],
    };
    let (mut made, mut moved) = (BTreeSet::new(), BTreeSet::new());
    for &value in &kernel.body {
        match node(value).op.kind() {
            Kind::Elementwise(_) => read.extend(&node(value).args),
            Kind::Literal(_) | Kind::Noise(_) => made.extend([value]),
            Kind::Movement(_) => moved.extend([value]),
            Kind::Input(_) | Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => {
                unreachable!("{value} = {} is in no body", node(value).op.name())
            }
        }
    }
    let read = read.into_iter().map(|value| aligned(graph, value, has_memory));
    let is_drawn = |value: &Value| node(*value).op.is_noise() && !has_memory(*value);
    let (drawn, read): (BTreeSet<Value>, BTreeSet<Value>) =
        read.filter(|value| !kernel.has_elements_of(*value)).partition(is_drawn);
    made.extend(drawn);

    let view = |value: Value| try_view(graph, value, has_memory).expect("what strides cannot express is in memory");
    let made = made.into_iter().map(|value| {
        let address = node(value).args.iter().map(|&arg| view(arg)).collect();
        Read::Made { value, address }
    });
    let moved = moved.into_iter().map(|value| {
        let view = view(node(value).args[0]).through(&node(value).op);
        Read::Element { value, view: view.expect("what strides cannot express is in memory") }
    });
    let read = read.into_iter().map(|value| Read::Element { value, view: view(value) });
    let operands = kernel.products().iter().flat_map(|&dot| {
        [0, 1].map(|number| Read::Operand { dot, number, operand: operand(graph, node(dot).args[number], has_memory) })
    });
    let indexed = if let KernelKind::Indexed(value) = kernel.kind { whole(graph, value) } else { [None; 2] };
    let identity = |value: Option<Value>| value.map(|value| View::identity(graph, value));
    let numbers = identity(indexed[0]).map(|view| Read::Numbers { view });
    let table = identity(indexed[1]).map(|view| Read::Table { view });
    made.chain(moved).chain(read).chain(numbers).chain(table).chain(operands).collect()
}

/// The operand of an indexed operation whose elements are read by the element, if it has one.
fn source(graph: &Graph, value: Value) -> Option<Value> {
    let Kind::Indexed(indexed) = graph.node(value).op.kind() else { return None };
    indexed.source().map(|i| graph.node(value).args[i])
}

/// What an indexed operation reads as a whole: numbers and, if it changes one, a table. Each is where its elements are
/// in memory.
pub(super) fn whole(graph: &Graph, value: Value) -> [Option<Value>; 2] {
    let Kind::Indexed(indexed) = graph.node(value).op.kind() else { return [None; 2] };
    let at = |i: usize| row_major_source(graph, graph.node(value).args[i]);
    [Some(at(indexed.numbers())), indexed.table().map(at)]
}

/// The value with the same row-major elements that has memory.
pub(super) fn row_major_source(graph: &Graph, mut value: Value) -> Value {
    while let Op::Reshape(_) = graph.node(value).op {
        value = graph.node(value).args[0];
    }
    value
}

/// The value whose elements `value` has, in the same rows and columns: looks through reshapes that keep the last axis,
/// as long as nothing on the way has memory of its own.
pub(super) fn aligned(graph: &Graph, mut value: Value, has_memory: &impl Fn(Value) -> bool) -> Value {
    while !has_memory(value) && keeps_columns(graph, value) {
        value = graph.node(value).args[0];
    }
    value
}

/// Whether a value is a reshape under which every element keeps its row and column.
fn keeps_columns(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    matches!(node.op, Op::Reshape(_)) && graph.ty(node.args[0]).shape.last_extent() == node.ty.shape.last_extent()
}

/// How a contraction reads an operand: in memory, or as a cheap elementwise value that is computed while packing.
fn operand(graph: &Graph, value: Value, has_memory: &impl Fn(Value) -> bool) -> DotOperand {
    let (source, _) = behind_views(graph, value, has_memory);
    if has_memory(source) {
        let view = try_view(graph, value, has_memory);
        return DotOperand::Memory(view.expect("operands are read through views"));
    }
    let views = prologue_views(graph, value, has_memory);
    let (value, views) = views.expect("checked when the kernels were formed");
    DotOperand::Computed { value, views }
}

/// The view of a value down to one that `has_memory` or is no view operation; `None` where strides cannot express it.
fn try_view(graph: &Graph, value: Value, has_memory: &impl Fn(Value) -> bool) -> Option<View> {
    let (source, movement) = behind_views(graph, value, has_memory);
    movement.iter().rev().try_fold(View::identity(graph, source), |view, &v| view.through(&graph.node(v).op))
}

/// The value that view operations lead to from `value`, and their results, the last first. Ends at memory.
pub(super) fn behind_views(
    graph: &Graph,
    mut value: Value,
    has_memory: impl Fn(Value) -> bool,
) -> (Value, SmallVec<[Value; 4]>) {
    let mut movement = SmallVec::new();
    while !has_memory(value) && graph.node(value).op.is_movement() {
        movement.push(value);
        value = graph.node(value).args[0];
    }
    (value, movement)
}

/// For a contraction's operand that is a cheap elementwise value behind views: that value, and how each of its operands
/// is read in the shape of the contraction's operand.
pub(super) fn prologue_views(
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
