//! Regions: the parts of a graph around its contractions. Everything else is cut off: a region reads it as leaves.
//!
//! Contractions that share an operand are one region, such as those of a layer in the forward and the backward pass. It
//! has the operations that lead from them to something else, up to a distance or to values of `f64`, and the movement
//! and squares that lead to their operands. Leaves are numbered in order of appearance, so that regions of equal
//! structure are equal.

use super::term::{Head, Term};
use bayeslift_ir::{Binary, DType, Graph, Op, Type, Value};
use egg::Id;
use std::collections::HashMap;

/// How many elementwise operations behind a contraction belong to its region. Movement does not count: how much of it
/// there is may depend on extents, and what a region contains must not.
const REACH: usize = 7;
/// The most contractions in one region.
const MAX_DOTS: usize = 32;
/// The most operations that lead from contractions; larger regions stay as they are.
const MAX_NODES: usize = 1000;
/// How far movement and squares are followed back from an operand.
const MAX_COPIES: usize = 8;

/// What is rewritten at once, without the values that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Problem {
    /// The types of the leaves.
    pub slots: Vec<Type>,
    /// Operands before users.
    pub terms: Vec<Term>,
    /// The terms that are read from outside.
    pub roots: Vec<Id>,
}

/// A [`Problem`] of a graph.
#[derive(Debug)]
pub(super) struct Region {
    pub problem: Problem,
    /// The value of each term.
    pub values: Vec<Value>,
    /// The value of each leaf.
    pub leaves: Vec<Value>,
    /// The value of each root.
    pub roots: Vec<Value>,
    /// Its contractions.
    pub dots: Vec<Value>,
}

/// All regions of a graph, disjoint but for what leads to their operands.
pub(super) fn find(graph: &Graph) -> Vec<Region> {
    let live = graph.live();
    let groups = group_contractions(graph, &live);
    let finder = Finder { graph, owner: owners(graph, &live, &groups), constant: constants(graph) };
    let (needed, is_root) = finder.mark();

    let mut nodes: Vec<Vec<Value>> = vec![Vec::new(); graph.nodes().len()];
    for value in graph.values().filter(|v| needed[v.index()]) {
        if let Some(near) = finder.owner[value.index()] {
            nodes[near.group].push(value);
        }
    }
    let groups = nodes.into_iter().filter(|nodes| (1..=MAX_NODES).contains(&nodes.len()));
    groups.map(|nodes| finder.region(&nodes, &is_root)).collect()
}

/// The group that each contraction belongs to, named by the index of its first.
fn group_contractions(graph: &Graph, live: &[bool]) -> Vec<usize> {
    let mut group: Vec<usize> = (0..graph.nodes().len()).collect();
    let mut size = vec![1; graph.nodes().len()];
    let mut reader: Vec<Option<Value>> = vec![None; graph.nodes().len()];
    let sources = sources(graph);
    for dot in graph.values().filter(|v| live[v.index()] && graph.node(*v).op == Op::Dot) {
        for &arg in &graph.node(dot).args {
            let Some(other) = reader[sources[arg.index()].index()].replace(dot) else { continue };
            let (a, b) = (leader(&mut group, other.index()), leader(&mut group, dot.index()));
            if a != b && size[a] + size[b] <= MAX_DOTS {
                let (first, second) = (a.min(b), a.max(b));
                group[second] = first;
                size[first] += size[second];
            }
        }
    }
    (0..group.len()).map(|i| leader(&mut group, i)).collect()
}

fn leader(group: &mut [usize], mut i: usize) -> usize {
    while group[i] != i {
        group[i] = group[group[i]];
        i = group[i];
    }
    i
}

/// For each value what it is made of by movement and squares.
fn sources(graph: &Graph) -> Vec<Value> {
    let mut sources: Vec<Value> = graph.values().collect();
    for value in graph.values().filter(|v| leads_to_operand(graph, *v)) {
        sources[value.index()] = sources[graph.node(value).args[0].index()];
    }
    sources
}

/// For each value whether it is a constant, repeated or not.
fn constants(graph: &Graph) -> Vec<bool> {
    let mut constants = vec![false; graph.nodes().len()];
    for value in graph.values() {
        let node = graph.node(value);
        constants[value.index()] = match node.op {
            Op::Constant(_) => true,
            ref op => op.is_movement() && constants[node.args[0].index()],
        };
    }
    constants
}

fn leads_to_operand(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    node.op.is_movement() || node.op == Op::Binary(Binary::Mul) && node.args[0] == node.args[1]
}

/// The contraction that a value is made from.
#[derive(Clone, Copy, Debug)]
struct Near {
    group: usize,
    latest: Value,
    distance: usize,
}

/// The group of every value that belongs to one: that of the latest contraction it is made from.
fn owners(graph: &Graph, live: &[bool], groups: &[usize]) -> Vec<Option<Near>> {
    let mut owner: Vec<Option<Near>> = vec![None; graph.nodes().len()];
    for value in graph.values().filter(|v| live[v.index()]) {
        let node = graph.node(value);
        // the facts and rules are those of `f32`
        if node.ty.dtype == DType::F64 || node.args.iter().any(|arg| graph.ty(*arg).dtype == DType::F64) {
            continue;
        }
        if node.op == Op::Dot {
            owner[value.index()] = Some(Near { group: groups[value.index()], latest: value, distance: 0 });
        } else if node.op.is_elementwise() || node.op.is_movement() {
            let near = || node.args.iter().filter_map(|arg| owner[arg.index()]);
            let Some(latest) = near().max_by_key(|near| near.latest) else { continue };
            let distance = near().filter(|near| near.group == latest.group).map(|near| near.distance).max();
            let distance = distance.unwrap_or(0) + usize::from(node.op.is_elementwise());
            if distance <= REACH {
                owner[value.index()] = Some(Near { distance, ..latest });
            }
        }
    }
    owner
}

struct Finder<'g> {
    graph: &'g Graph,
    owner: Vec<Option<Near>>,
    constant: Vec<bool>,
}

impl Finder<'_> {
    fn group(&self, value: Value) -> Option<usize> {
        self.owner[value.index()].map(|near| near.group)
    }

    /// Which values must be computed, and which of those are read from outside of their region.
    fn mark(&self) -> (Vec<bool>, Vec<bool>) {
        let mut needed = vec![false; self.graph.nodes().len()];
        let mut is_root = needed.clone();
        for output in self.graph.outputs() {
            needed[output.value.index()] = true;
            is_root[output.value.index()] = true;
        }
        for value in self.graph.values().rev() {
            if !needed[value.index()] {
                continue;
            }
            let group = self.group(value);
            let mut pending: Vec<(Value, usize)> = self.graph.node(value).args.iter().map(|&arg| (arg, 0)).collect();
            while let Some((arg, depth)) = pending.pop() {
                if group.is_some() && self.group(arg) != group && self.is_copied(value, arg, depth) {
                    pending.extend(self.graph.node(arg).args.iter().map(|&arg| (arg, depth + 1)));
                    continue;
                }
                needed[arg.index()] = true;
                is_root[arg.index()] |= self.group(arg) != group;
            }
        }
        (needed, is_root)
    }

    /// Whether a region has a copy of what `user` reads after this many copies, instead of a leaf.
    fn is_copied(&self, user: Value, arg: Value, depth: usize) -> bool {
        let leads = self.graph.node(user).op == Op::Dot && leads_to_operand(self.graph, arg);
        depth < MAX_COPIES && (leads || self.constant[arg.index()])
    }

    fn region(&self, nodes: &[Value], is_root: &[bool]) -> Region {
        let problem = Problem { slots: Vec::new(), terms: Vec::new(), roots: Vec::new() };
        let is_dot = |value: &Value| self.graph.node(*value).op == Op::Dot;
        let dots = nodes.iter().copied().filter(is_dot).collect();
        let mut region = Region { problem, values: Vec::new(), leaves: Vec::new(), roots: Vec::new(), dots };
        let mut ids = HashMap::new();
        for &value in nodes {
            let args =
                self.graph.node(value).args.iter().map(|&arg| self.operand(value, arg, 0, &mut region, &mut ids));
            let args = args.collect::<Vec<Id>>();
            let id = region.add(value, Head::Op(self.graph.node(value).op.clone()), &args);
            ids.insert(value, id);
            if is_root[value.index()] {
                region.roots.push(value);
                region.problem.roots.push(id);
            }
        }
        region
    }

    /// The term of what a node reads: another node, a copy, or a leaf.
    fn operand(&self, user: Value, arg: Value, depth: usize, region: &mut Region, ids: &mut HashMap<Value, Id>) -> Id {
        if let Some(&id) = ids.get(&arg) {
            return id;
        }
        let node = self.graph.node(arg);
        let id = if self.is_copied(user, arg, depth) {
            let args = node.args.iter().map(|&arg| self.operand(user, arg, depth + 1, region, ids));
            let args: Vec<Id> = args.collect();
            region.add(arg, Head::Op(node.op.clone()), &args)
        } else {
            region.leaves.push(arg);
            region.problem.slots.push(node.ty.clone());
            region.add(arg, Head::Slot(region.leaves.len() as u32 - 1), &[])
        };
        ids.insert(arg, id);
        id
    }
}

impl Region {
    fn add(&mut self, value: Value, head: Head, args: &[Id]) -> Id {
        self.values.push(value);
        self.problem.terms.push(Term::new(head, args.iter().copied()));
        Id::from(self.problem.terms.len() - 1)
    }
}
