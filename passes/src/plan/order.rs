//! The order of kernels, and which memory outside the arena each stored value takes.
//!
//! A donated input is overwritten in place where every other reader can run before the writer and the writer reads
//! it by the element alone; otherwise the new value is made elsewhere and copied at the end.

use super::{Footprint, Kernel, KernelKind, Place, Plan, Read, Write, groups::UNASSIGNED, reads::row_major_source};
use crate::View;
use bayeslift_ir::{Graph, Op, Value};
use std::collections::{BTreeSet, HashSet};

/// Orders the kernels of a plan, and says what each writes; offsets in the arena are not assigned yet.
pub(super) fn order(plan: &mut Plan) {
    let (graph, kernels, places) = (&plan.graph, &plan.kernels, &mut plan.places);
    let mut makers: Vec<Option<usize>> = vec![None; graph.nodes().len()];
    for (k, kernel) in kernels.iter().enumerate() {
        let stored = kernel.values().filter(|value| places[value.index()].is_some());
        stored.for_each(|value| makers[value.index()] = Some(k));
    }
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); kernels.len()];
    let mut readers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.inputs().len()];
    for (k, kernel) in kernels.iter().enumerate() {
        for value in kernel.reads.iter().flat_map(Read::views).map(|view| view.source) {
            before[k].extend(makers[value.index()]);
            if let Op::Input(i) = graph.node(value).op {
                readers[i as usize].insert(k);
            }
        }
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
        let writer = makers[source.index()].filter(|_| places[source.index()] == Some(UNASSIGNED));
        let in_place = writer.is_some_and(|writer| match output.updates {
            None => true,
            Some(input) => {
                let others = readers[input].iter().copied().filter(|&k| k != writer);
                let old = graph.inputs()[input].value;
                let free = kernels[writer].may_overwrite(old)
                    && !reported.contains(&old)
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

    let mut kernels = std::mem::take(&mut plan.kernels);
    for kernel in &mut kernels {
        kernel.writes = writes(kernel, places);
    }
    plan.kernels = topological(&before).into_iter().map(|k| std::mem::take(&mut kernels[k])).collect();
    // Copies come last: all readers of what they overwrite have run. Those that read a donated input go first.
    copies.sort_by_key(|&(_, target)| matches!(target, Place::Input(_)));
    plan.kernels.extend(copies.into_iter().map(|(source, target)| copy(graph, source, target)));
}

/// What a kernel leaves in memory: of what it computes all that has a place.
fn writes(kernel: &Kernel, places: &[Option<Place>]) -> Vec<Write> {
    let in_place = |value: Value, footprint: Option<Footprint>| {
        places[value.index()].map(|place| Write { value, place, footprint })
    };
    let of_rows = Some(Footprint::of_rows(kernel));
    let reductions = match &kernel.kind {
        KernelKind::Rows(reductions) => reductions.iter().filter_map(|&value| in_place(value, of_rows)).collect(),
        KernelKind::Column(value) | KernelKind::Fold(value) | KernelKind::Indexed(value) => {
            in_place(*value, None).into_iter().collect()
        }
        KernelKind::Products(_) | KernelKind::Copy(_) => Vec::new(),
    };
    let elements: BTreeSet<Value> = kernel.products().iter().chain(&kernel.body).copied().collect();
    let elements = elements.into_iter().filter_map(|value| in_place(value, Some(Footprint::ELEMENT)));
    reductions.into_iter().chain(elements).collect()
}

/// The kernel that copies a value in memory to a place.
fn copy(graph: &Graph, value: Value, place: Place) -> Kernel {
    let shape = &graph.ty(value).shape;
    let (rows, cols) = (shape.rows(), shape.last_extent());
    let reads = vec![Read::Element { value, view: View::identity(graph, value) }];
    let writes = vec![Write { value, place, footprint: Some(Footprint::ELEMENT) }];
    Kernel { kind: KernelKind::Copy(value), rows, cols, reads, writes, ..Kernel::default() }
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
