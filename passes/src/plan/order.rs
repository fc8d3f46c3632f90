//! The order of kernels, and which memory outside the arena each stored value takes.
//!
//! A donated input is overwritten in place where every other reader can run before the writer and the writer reads
//! it by the element alone; otherwise the new value is made elsewhere and copied at the end.

use super::{Kernel, Place, groups::Groups, groups::values_of};
use bayeslift_ir::{Graph, Kind, Op, Value};
use std::collections::{BTreeSet, HashSet};

pub(super) struct Ordered {
    pub kernels: Vec<Kernel>,
    /// `None` for values without memory; the arena's offsets are not assigned yet.
    pub places: Vec<Option<Place>>,
}

/// The arena, before offsets are assigned.
pub(super) const UNASSIGNED: Place = Place::Arena(usize::MAX);

/// What a kernel reads from memory.
#[derive(Default)]
struct Reads {
    kernels: BTreeSet<usize>,
    inputs: BTreeSet<usize>,
    /// Inputs read other than at the very element that is computed.
    inputs_elsewhere: BTreeSet<usize>,
}

pub(super) fn order(graph: &Graph, groups: Groups) -> Ordered {
    let Groups { mut kernels, group_of, stored } = groups;
    let reads: Vec<Reads> = (0..kernels.len()).map(|g| reads_of(graph, &kernels, &group_of, &stored, g)).collect();
    let mut before: Vec<BTreeSet<usize>> = reads.iter().map(|r| r.kernels.clone()).collect();
    let mut places: Vec<Option<Place>> =
        graph.values().map(|v| if stored[v.index()] { Some(UNASSIGNED) } else { None }).collect();
    for (i, input) in graph.inputs().iter().enumerate() {
        places[input.value.index()] = Some(Place::Input(i));
    }

    let mut readers = vec![Vec::new(); graph.inputs().len()];
    for (g, reads) in reads.iter().enumerate() {
        reads.inputs.iter().for_each(|&input| readers[input].push(g));
    }
    // Inputs whose old value some output reports: it must survive until the end.
    let reported: HashSet<Value> = graph.outputs().iter().map(|output| row_major_source(graph, output.value)).collect();

    let mut copies = Vec::new();
    for (k, output) in graph.outputs().iter().enumerate() {
        let target = output.updates.map_or(Place::Output(k), Place::Input);
        let source = row_major_source(graph, output.value);
        if places[source.index()] == Some(target) {
            continue; // the donated input itself
        }
        let writer = group_of[source.index()].filter(|_| places[source.index()] == Some(UNASSIGNED));
        let in_place = writer.is_some_and(|writer| match output.updates {
            None => true,
            Some(input) => {
                let others = readers[input].iter().copied().filter(|&g| g != writer);
                let free = !reads[writer].inputs_elsewhere.contains(&input)
                    && !reported.contains(&graph.inputs()[input].value)
                    && others.clone().all(|reader| !waits_for(&before, reader, writer));
                if free {
                    before[writer].extend(others);
                }
                free
            }
        });
        if in_place {
            places[source.index()] = Some(target);
        } else {
            copies.push((source, target));
        }
    }
    for (value, place) in graph.values().zip(&places) {
        if let (Some(place), Some(g)) = (place, group_of[value.index()])
            && !is_reduction(graph, value)
        {
            kernels[g].stores.push((value, *place));
        }
    }

    let mut ordered: Vec<Kernel> = topological(&before).into_iter().map(|g| std::mem::take(&mut kernels[g])).collect();
    // Copies come last: all readers of what they overwrite have run. Those that read a donated input go first.
    copies.sort_by_key(|&(_, target)| matches!(target, Place::Input(_)));
    for (source, target) in copies {
        let shape = &graph.ty(source).shape;
        let stores = vec![(source, target)];
        ordered.push(Kernel { rows: shape.rows(), cols: shape.last_extent(), stores, ..Kernel::default() });
    }
    Ordered { kernels: ordered, places }
}

/// The value with the same row-major elements that has memory.
fn row_major_source(graph: &Graph, mut value: Value) -> Value {
    while let Op::Reshape(_) = graph.node(value).op {
        value = graph.node(value).args[0];
    }
    value
}

fn is_reduction(graph: &Graph, value: Value) -> bool {
    match graph.node(value).op.kind() {
        Kind::Reduction { .. } | Kind::Fold { .. } => true,
        Kind::Input(_) | Kind::Literal(_) | Kind::Noise(_) => false,
        Kind::Elementwise(_) | Kind::Contraction | Kind::Movement(_) => false,
    }
}

fn reads_of(graph: &Graph, kernels: &[Kernel], group_of: &[Option<usize>], stored: &[bool], g: usize) -> Reads {
    let kernel = &kernels[g];
    let mut reads = Reads::default();
    for value in values_of(kernel) {
        let node = graph.node(value);
        let by_element = node.op.is_elementwise() || kernel.row_reductions.contains(&value);
        for &arg in &node.args {
            if kernel.computes(arg) {
                continue;
            }
            if by_element && kernel.column_reduction.is_none() && in_place_input(graph, arg, kernel) {
                let Op::Input(i) = graph.node(arg).op else { unreachable!("checked by in_place_input") };
                reads.inputs.insert(i as usize);
            } else {
                read(graph, group_of, stored, g, arg, &mut reads);
            }
        }
    }
    reads
}

/// Whether `arg` is an input whose element at the kernel's own row and column is read.
fn in_place_input(graph: &Graph, arg: Value, kernel: &Kernel) -> bool {
    let shape = &graph.ty(arg).shape;
    matches!(graph.node(arg).op, Op::Input(_)) && (shape.rows(), shape.last_extent()) == (kernel.rows, kernel.cols)
}

fn read(graph: &Graph, group_of: &[Option<usize>], stored: &[bool], g: usize, value: Value, reads: &mut Reads) {
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        let node = graph.node(value);
        if let Op::Input(i) = node.op {
            reads.inputs.insert(i as usize);
            reads.inputs_elsewhere.insert(i as usize);
        } else if let Some(h) = group_of[value.index()] {
            // What the kernel computes itself it does not read, unless a stored view of it comes between.
            if h != g {
                debug_assert!(stored[value.index()], "{value} is read by another kernel but not stored");
                reads.kernels.insert(h);
            }
        } else {
            debug_assert!(node.args.is_empty() || node.op.is_movement() || !stored[value.index()]);
            stack.extend(&node.args);
        }
    }
}

/// Whether kernel `a` runs after kernel `b` in every order.
fn waits_for(before: &[BTreeSet<usize>], a: usize, b: usize) -> bool {
    let mut seen = vec![false; before.len()];
    let mut stack = vec![a];
    while let Some(g) = stack.pop() {
        if g == b {
            return true;
        }
        if !std::mem::replace(&mut seen[g], true) {
            stack.extend(&before[g]);
        }
    }
    false
}

/// Kernels after all they wait for; among the ready ones the smallest index first.
fn topological(before: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = before.iter().map(BTreeSet::len).collect();
    let mut after = vec![Vec::new(); before.len()];
    for (g, set) in before.iter().enumerate() {
        for &h in set {
            after[h].push(g);
        }
    }
    let mut ready: BTreeSet<usize> = (0..before.len()).filter(|&g| waiting[g] == 0).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(g) = ready.pop_first() {
        order.push(g);
        for &next in &after[g] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.insert(next);
            }
        }
    }
    assert_eq!(order.len(), before.len(), "kernels wait for each other");
    order
}
