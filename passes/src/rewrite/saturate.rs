//! Rewriting one region: all rules until nothing new follows, bounded by iterations and nodes, never by time.

use super::{
    Rewriting,
    extract::{Extracted, extract},
    fact::{EGraph, Facts},
    region::Problem,
    rules,
    term::{Head, Term},
};
use egg::{Id, Language, Runner, SimpleScheduler};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// The most iterations for one region.
const MAX_ITERATIONS: usize = 8;
/// The most terms in the e-graph of one region.
const MAX_NODES: usize = 20_000;

/// What became of a [`Problem`]: terms, operands first, and which of them the roots are, in order.
#[derive(Debug)]
pub(super) struct Solution {
    pub terms: Vec<Term>,
    /// For each term the first of the problem that it equals, if there is one.
    pub equals: Vec<Option<Id>>,
    pub roots: Vec<Id>,
    pub iterations: usize,
    pub nodes: usize,
    pub classes: usize,
    /// How often each rule found something new.
    pub fired: BTreeMap<&'static str, usize>,
}

pub(super) fn solve(problem: &Problem, level: Rewriting) -> Solution {
    let mut egraph = EGraph::new(Facts { slots: problem.slots.clone() });
    let mut ids: Vec<Id> = Vec::with_capacity(problem.terms.len());
    for term in &problem.terms {
        ids.push(egraph.add(term.clone().map_children(|arg| ids[usize::from(arg)])));
    }
    let runner = Runner::<Term, Facts>::new(Facts::default())
        .with_egraph(egraph)
        .with_time_limit(Duration::MAX)
        .with_iter_limit(MAX_ITERATIONS)
        .with_node_limit(MAX_NODES)
        .with_scheduler(SimpleScheduler)
        .run(rules::rewrites(level));
    let roots: Vec<Id> = problem.roots.iter().map(|&root| ids[usize::from(root)]).collect();
    let Some(Extracted { terms, classes, roots }) = extract(&runner.egraph, &roots) else { return unchanged(problem) };
    let mut first = HashMap::new();
    for (term, &id) in ids.iter().enumerate() {
        first.entry(runner.egraph.find(id)).or_insert(Id::from(term));
    }
    let equals = classes.iter().map(|class| first.get(class).copied()).collect();
    let mut fired = BTreeMap::new();
    for (name, count) in runner.iterations.iter().flat_map(|iteration| &iteration.applied) {
        *fired.entry(name.as_str()).or_default() += count;
    }
    Solution {
        terms,
        equals,
        roots,
        iterations: runner.iterations.len(),
        nodes: runner.egraph.total_number_of_nodes(),
        classes: runner.egraph.number_of_classes(),
        fired,
    }
}

/// The problem as its own solution.
pub(super) fn unchanged(problem: &Problem) -> Solution {
    let (terms, roots, count) = (problem.terms.clone(), problem.roots.clone(), problem.terms.len());
    let equals = (0..count).map(|term| Some(Id::from(term))).collect();
    Solution { terms, equals, roots, nodes: count, classes: count, iterations: 0, fired: BTreeMap::new() }
}

impl Solution {
    /// The terms that a root is made of, operands first. Fused operations are not among them, but their parts are, made
    /// of the operands that they read.
    pub fn behind(&self, root: Id) -> Vec<Id> {
        let mut seen = vec![false; self.terms.len()];
        let (mut pending, mut behind) = (vec![root], Vec::new());
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut seen[usize::from(id)], true) {
                continue;
            }
            behind.push(id);
            let term = &self.terms[usize::from(id)];
            match term.head {
                Head::Part(part) => pending.extend(self.operands_of_part(term, part)),
                _ => pending.extend(&term.args),
            }
        }
        behind.sort_unstable();
        behind
    }

    /// The leaves that a root is made of.
    pub fn leaves(&self, root: Id) -> impl Iterator<Item = usize> {
        self.behind(root).into_iter().filter_map(|id| match self.terms[usize::from(id)].head {
            Head::Slot(slot) => Some(slot as usize),
            _ => None,
        })
    }

    /// The operands that a part of a fused operation reads.
    fn operands_of_part(&self, projection: &Term, part: u8) -> Vec<Id> {
        let whole = &self.terms[usize::from(projection.args[0])];
        let Head::Fused(fused) = whole.head else { unreachable!("{projection:?} projects {whole:?}") };
        let vars = fused.parts()[usize::from(part)].0.vars();
        let operands = fused.operands().iter().zip(&whole.args);
        operands.filter(|(var, _)| vars.contains(var)).map(|(_, &arg)| arg).collect()
    }
}
