//! The rewritten graph: regions from their solutions, everything else as it was. Fused operations become their
//! definitions.
//!
//! Roots are made where they were. Contractions are made where one of their region was as soon as their operands are
//! there, not where their first root is: that may be an update at the end of a step, and kernels run in the order of
//! the graph.

use super::{
    Fused, Fusion,
    region::Region,
    saturate::Solution,
    term::{Head, Term},
};
use crate::rebuild::Rebuild;
use bayeslift_ir::{Args, Error, Graph, Op, Value};
use egg::Id;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Builds the graph in which each region is replaced by its solution.
pub(super) fn emit(graph: &Graph, regions: &[(Region, Rc<Solution>)]) -> Result<(Graph, Vec<Fusion>), Error> {
    let mut root_of = vec![None; graph.nodes().len()];
    let mut region_of_dot = vec![None; graph.nodes().len()];
    for (r, (region, _)) in regions.iter().enumerate() {
        region.dots.iter().for_each(|dot| region_of_dot[dot.index()] = Some(r));
        region.roots.iter().enumerate().for_each(|(i, root)| root_of[root.index()] = Some((r, i)));
    }
    let needed = needed(graph, regions, &root_of);
    let mut to = Rebuild::with_inputs(graph)?;
    let emitter = |(region, solution)| Emitter::new(region, solution, &needed);
    let mut emitters: Vec<_> = regions.iter().map(|(region, solution)| (region, &**solution)).map(emitter).collect();
    for value in graph.values() {
        to.set_origin_of(value);
        if let Some(r) = region_of_dot[value.index()] {
            emitters[r].emit_contractions(&mut to, value)?;
        }
        match root_of[value.index()] {
            _ if !needed[value.index()] || matches!(graph.node(value).op, Op::Input(_)) => {}
            Some((r, i)) => {
                let root = emitters[r].solution.roots[i];
                let made = emitters[r].emit(&mut to, root)?;
                to.set(value, made);
            }
            None => drop(to.copy(value)?),
        }
    }
    let fusions = emitters.iter().flat_map(Emitter::fusions).collect();
    Ok((to.finish()?, fusions))
}

/// Which of a graph's values the outputs depend on, if regions are replaced.
fn needed(graph: &Graph, regions: &[(Region, Rc<Solution>)], root_of: &[Option<(usize, usize)>]) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    graph.outputs().iter().for_each(|output| needed[output.value.index()] = true);
    for value in graph.values().rev().filter(|v| !graph.node(*v).args.is_empty()) {
        if !needed[value.index()] {
            continue;
        }
        match root_of[value.index()] {
            Some((r, i)) => {
                let (region, solution) = &regions[r];
                let leaves = solution.leaves(solution.roots[i]);
                leaves.for_each(|leaf| needed[region.leaves[leaf].index()] = true);
            }
            None => graph.node(value).args.iter().for_each(|arg| needed[arg.index()] = true),
        }
    }
    needed
}

/// Emits the terms of one region.
struct Emitter<'a> {
    region: &'a Region,
    solution: &'a Solution,
    made: Vec<Option<Value>>,
    /// The contractions that are not made yet, each with the last leaf that it is made of.
    pending: Vec<(Option<Value>, Id)>,
    /// For each fused operation its emitted parts, and what they are made of.
    parts: BTreeMap<Id, (BTreeSet<u8>, BTreeSet<Value>)>,
}

impl Emitter<'_> {
    fn new<'a>(region: &'a Region, solution: &'a Solution, needed: &[bool]) -> Emitter<'a> {
        let roots = region.roots.iter().zip(&solution.roots).filter(|(value, _)| needed[value.index()]);
        let behind: BTreeSet<Id> = roots.flat_map(|(_, &root)| solution.behind(root)).collect();
        let is_contraction = |id: &Id| {
            let head = &solution.terms[usize::from(*id)].head;
            matches!(head, Head::Op(Op::Dot) | Head::Part(_))
        };
        let last_leaf = |id: Id| solution.leaves(id).map(|leaf| region.leaves[leaf]).max();
        let pending = behind.into_iter().filter(is_contraction).map(|id| (last_leaf(id), id)).collect();
        Emitter { region, solution, made: vec![None; solution.terms.len()], pending, parts: BTreeMap::new() }
    }

    /// Makes the contractions whose leaves come before this value.
    fn emit_contractions(&mut self, to: &mut Rebuild<'_>, before: Value) -> Result<(), Error> {
        let (ready, pending) = self.pending.iter().partition(|(last, _)| last.is_none_or(|last| last < before));
        self.pending = pending;
        let ready: Vec<(Option<Value>, Id)> = ready;
        ready.into_iter().try_for_each(|(_, id)| self.emit(to, id).map(drop))
    }

    /// The value of a term that is a root or a contraction.
    fn emit(&mut self, to: &mut Rebuild<'_>, root: Id) -> Result<Value, Error> {
        for id in self.solution.behind(root) {
            if self.made[usize::from(id)].is_none() {
                let equal = self.solution.equals[usize::from(id)].map(|term| self.region.values[usize::from(term)]);
                let outer = equal.map(|equal| to.set_origin_of(equal));
                self.made[usize::from(id)] = Some(self.emit_term(to, &self.solution.terms[usize::from(id)])?);
                outer.map(|outer| to.graph.set_origin(outer));
            }
        }
        Ok(self.value(root))
    }

    fn value(&self, id: Id) -> Value {
        self.made[usize::from(id)].expect("operands come first")
    }

    fn emit_term(&mut self, to: &mut Rebuild<'_>, term: &Term) -> Result<Value, Error> {
        match &term.head {
            Head::Slot(slot) => Ok(to.of(self.region.leaves[*slot as usize])),
            Head::Part(part) => self.emit_part(&mut to.graph, term.args[0], *part),
            Head::Op(op) => {
                let args: Args = term.args.iter().map(|&arg| self.value(arg)).collect();
                to.graph.push(op.clone(), &args)
            }
            Head::Fused(fused) => unreachable!("{fused} is emitted by its parts"),
        }
    }

    /// A part of a fused operation, by its definition.
    fn emit_part(&mut self, out: &mut Graph, whole: Id, part: u8) -> Result<Value, Error> {
        let Term { head: Head::Fused(fused), args } = &self.solution.terms[usize::from(whole)] else {
            unreachable!("a part of {:?}", self.solution.terms[usize::from(whole)])
        };
        let (mut made, mut error) = (BTreeSet::new(), None);
        let value = fused.parts()[usize::from(part)].build(
            out,
            |var| self.value(args[fused.operand(var)]),
            |out, &value| out.ty(value).clone(),
            |out, term, args| {
                let value = out.push(term.primitive()?.clone(), args).map_err(|found| error = Some(found)).ok()?;
                made.insert(value);
                Some(value)
            },
        );
        let (parts, values) = self.parts.entry(whole).or_default();
        parts.insert(part);
        values.append(&mut made);
        value.ok_or_else(|| error.unwrap_or_else(|| Error::Malformed(format!("the definition of {fused}"))))
    }

    /// The fused operations of which every part was emitted.
    fn fusions(&self) -> impl Iterator<Item = Fusion> {
        self.parts.iter().filter_map(|(&whole, (parts, values))| {
            let Head::Fused(kind) = self.solution.terms[usize::from(whole)].head else { return None };
            let all = parts.len() == Fused::parts(kind).len();
            all.then(|| Fusion { kind, output: None, values: values.iter().copied().collect() })
        })
    }
}
