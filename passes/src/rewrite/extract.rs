//! Choosing one term of each class: the cheapest altogether, where a class that is used twice is paid once.
//!
//! First greedily, after extraction-gym's `faster_greedy_dag`: every class keeps the set of classes that its choice
//! needs, and a choice that needs itself is rejected. A fused operation pays only if all its parts are taken from it,
//! which no class can see alone, so greed leaves them out; afterwards each is tried as a whole. Ties are broken by the
//! number of classes, then by the order of terms.

use super::{
    cost,
    fact::EGraph,
    term::{Head, Term},
};
use bayeslift_ir::Type;
use egg::{Id, Language};
use fixedbitset::FixedBitSet;
use smallvec::SmallVec;
use std::collections::{BTreeSet, VecDeque};

/// What was chosen.
pub(super) struct Extracted {
    /// Operands first.
    pub terms: Vec<Term>,
    /// The class of each term.
    pub classes: Vec<Id>,
    /// The terms that are roots.
    pub roots: Vec<Id>,
}

/// The cheapest terms of these classes; `None` if greed leads into a cycle.
pub(super) fn extract(egraph: &EGraph, roots: &[Id]) -> Option<Extracted> {
    let mut extractor = Extractor::new(egraph);
    extractor.choose();
    let roots: Vec<usize> = roots.iter().map(|&root| extractor.index(root)).collect();
    extractor.fuse(&roots);
    extractor.finish(&roots)
}

struct Extractor<'e> {
    egraph: &'e EGraph,
    /// The classes, in increasing order; everything else is by index into them.
    classes: Vec<Id>,
    /// The index of every canonical class.
    indices: Vec<usize>,
    users: Vec<BTreeSet<usize>>,
    choices: Vec<Option<Choice>>,
}

#[derive(Clone)]
struct Choice {
    term: Term,
    /// The cost of the term alone.
    own: u64,
    /// The cost of all that it needs, itself included.
    total: u64,
    needs: FixedBitSet,
}

impl Extractor<'_> {
    fn new(egraph: &EGraph) -> Extractor<'_> {
        let mut classes: Vec<Id> = egraph.classes().map(|class| class.id).collect();
        classes.sort_unstable();
        let mut indices = vec![usize::MAX; classes.last().map_or(0, |&last| usize::from(last) + 1)];
        classes.iter().enumerate().for_each(|(index, &class)| indices[usize::from(class)] = index);
        let count = classes.len();
        let mut extractor =
            Extractor { egraph, classes, indices, users: vec![BTreeSet::new(); count], choices: vec![None; count] };
        for class in 0..count {
            for term in &egraph[extractor.classes[class]].nodes {
                term.args.iter().for_each(|&arg| {
                    let arg = extractor.index(arg);
                    extractor.users[arg].insert(class);
                });
            }
        }
        extractor
    }

    fn index(&self, id: Id) -> usize {
        self.indices[usize::from(self.egraph.find(id))]
    }

    /// Chooses for each class, and again for those that use a class whose choice got cheaper.
    fn choose(&mut self) {
        let mut pending: VecDeque<usize> = (0..self.classes.len()).collect();
        let mut is_pending = vec![true; self.classes.len()];
        while let Some(class) = pending.pop_front() {
            is_pending[class] = false;
            let candidates = self.egraph[self.classes[class]].nodes.iter();
            let best = candidates.filter_map(|term| self.choice(class, term)).min_by(|a, b| a.key().cmp(&b.key()));
            let Some(best) = best else { continue };
            if self.choices[class].as_ref().is_some_and(|old| old.key() <= best.key()) {
                continue;
            }
            self.choices[class] = Some(best);
            for &user in &self.users[class] {
                if !std::mem::replace(&mut is_pending[user], true) {
                    pending.push_back(user);
                }
            }
        }
    }

    /// What choosing this term would mean; `None` if its operands have no choice yet, or need this class.
    fn choice(&self, class: usize, term: &Term) -> Option<Choice> {
        if matches!(term.head, Head::Part(_) | Head::Fused(_)) {
            return None;
        }
        let mut needs = FixedBitSet::with_capacity(self.classes.len());
        for &arg in &term.args {
            needs.union_with(&self.choices[self.index(arg)].as_ref()?.needs);
        }
        if needs.put(class) {
            return None;
        }
        let own = self.cost(class, term);
        let others = needs.ones().filter(|&other| other != class);
        let total = own + others.map(|other| self.choices[other].as_ref().map_or(0, |choice| choice.own)).sum::<u64>();
        Some(Choice { term: term.clone(), own, total, needs })
    }

    fn cost(&self, class: usize, term: &Term) -> u64 {
        let types: SmallVec<[&Type; 4]> = term.args.iter().map(|&arg| &self.egraph[arg].data.ty).collect();
        match &term.head {
            Head::Slot(_) | Head::Part(_) => 0,
            Head::Fused(fused) => cost::fused(*fused, &types),
            Head::Op(op) => cost::of(op, &self.egraph[self.classes[class]].data, &types),
        }
    }

    /// Takes all parts of a fused operation from it where that is cheaper.
    fn fuse(&mut self, roots: &[usize]) {
        for fused in 0..self.classes.len() {
            if self.choices[fused].is_some() {
                continue;
            }
            let Some((before, order)) = self.total(roots) else { return };
            let parts = self.parts(fused);
            if parts.is_empty() || parts.iter().any(|(class, _)| !order.contains(class)) {
                continue;
            }
            let whole = (fused, self.egraph[self.classes[fused]].nodes[0].clone());
            let changes = std::iter::once(whole).chain(parts);
            let old: Vec<_> = changes.map(|(class, term)| (class, self.replace(class, term))).collect();
            if self.total(roots).is_none_or(|(after, _)| after >= before) {
                old.into_iter().for_each(|(class, choice)| self.choices[class] = choice);
            }
        }
    }

    fn replace(&mut self, class: usize, term: Term) -> Option<Choice> {
        let own = self.cost(class, &term);
        self.choices[class].replace(Choice { term, own, total: 0, needs: FixedBitSet::new() })
    }

    /// The classes of a fused operation's results, each with its projection.
    fn parts(&self, fused: usize) -> Vec<(usize, Term)> {
        let mut parts = Vec::new();
        for &class in &self.users[fused] {
            let terms = self.egraph[self.classes[class]].nodes.iter();
            let of_fused = |term: &&Term| matches!(term.head, Head::Part(_)) && self.index(term.args[0]) == fused;
            parts.extend(terms.filter(of_fused).map(|term| (class, term.clone())));
        }
        parts
    }

    /// The cost of all that is chosen for the roots, and those classes, operands first; `None` if there is a cycle.
    fn total(&self, roots: &[usize]) -> Option<(u64, Vec<usize>)> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let mut state = vec![State::New; self.classes.len()];
        let (mut order, mut total) = (Vec::new(), 0);
        let mut stack: Vec<usize> = roots.iter().rev().copied().collect();
        while let Some(&class) = stack.last() {
            let choice = self.choices[class].as_ref()?;
            match state[class] {
                State::New => {
                    state[class] = State::Open;
                    for &arg in choice.term.args.iter().rev() {
                        let arg = self.index(arg);
                        match state[arg] {
                            State::New => stack.push(arg),
                            State::Open => return None,
                            State::Done => {}
                        }
                    }
                }
                State::Open => {
                    state[class] = State::Done;
                    order.push(class);
                    total += choice.own;
                    stack.pop();
                }
                State::Done => {
                    stack.pop();
                }
            }
        }
        Some((total, order))
    }

    fn finish(&self, roots: &[usize]) -> Option<Extracted> {
        let (_, order) = self.total(roots)?;
        let mut position = vec![None; self.classes.len()];
        let mut terms = Vec::with_capacity(order.len());
        let classes = order.iter().map(|&class| self.classes[class]).collect();
        for class in order {
            let term = self.choices[class].as_ref()?.term.clone();
            position[class] = Some(Id::from(terms.len()));
            terms.push(term.map_children(|arg| position[self.index(arg)].expect("operands come first")));
        }
        let roots = roots.iter().map(|&root| position[root]).collect::<Option<_>>()?;
        Some(Extracted { terms, classes, roots })
    }
}

impl Choice {
    fn key(&self) -> (u64, usize, &Term) {
        (self.total, self.needs.count_ones(..), &self.term)
    }
}
