//! Recognising fused operations: one rule each, made of its definition.
//!
//! The left side is all parts at once, joined on the variables that they share. The right side equates each part with
//! its projection from the fused operation.

use super::{
    Fused,
    fact::{EGraph, Facts},
    template::Template,
    term::{Head, Term},
};
use egg::{Applier, Id, PatternAst, Rewrite, SearchMatches, Searcher, Subst, Symbol, Var};

pub(super) fn rewrites() -> impl Iterator<Item = Rewrite<Term, Facts>> {
    Fused::ALL.iter().filter(|fused| !fused.parts().is_empty()).map(|&fused| {
        let rewrite = Rewrite::new(fused.name(), Fusing(fused), Fusing(fused));
        rewrite.unwrap_or_else(|error| panic!("the definition of {fused}: {error}"))
    })
}

/// Searches for all parts of a fused operation, and joins them.
struct Fusing(Fused);

impl Fusing {
    /// What must be there.
    fn templates(&self) -> impl Iterator<Item = &'static Template> {
        self.0.beside().into_iter().chain(self.0.parts())
    }

    fn part(&self, egraph: &mut EGraph, i: usize, bound: &Subst) -> Option<Id> {
        self.0.parts()[i].add(egraph, |var| bound[var])
    }
}

impl Searcher<Term, Facts> for Fusing {
    fn search_eclass_with_limit(&self, egraph: &EGraph, class: Id, limit: usize) -> Option<SearchMatches<'_, Term>> {
        let found = self.search_with_limit(egraph, limit);
        found.into_iter().find(|found| found.eclass == class)
    }

    fn search_with_limit(&self, egraph: &EGraph, limit: usize) -> Vec<SearchMatches<'_, Term>> {
        let mut joined = vec![(None, Subst::default())];
        for template in self.templates() {
            let found = template.0.search(egraph);
            let found = || found.iter().flat_map(|found| found.substs.iter().map(|bound| (found.eclass, bound)));
            let vars = template.0.vars();
            let extend = |(_, bound): &(Option<Id>, Subst)| {
                found().filter_map(|(class, more)| Some((Some(class), join(bound, more, &vars)?))).collect::<Vec<_>>()
            };
            joined = joined.iter().flat_map(extend).take(limit).collect();
        }
        let found = joined.into_iter().filter_map(|(class, bound)| Some((class?, bound)));
        found.map(|(eclass, bound)| SearchMatches { eclass, substs: vec![bound], ast: None }).collect()
    }

    fn vars(&self) -> Vec<Var> {
        self.templates().flat_map(|template| template.0.vars()).collect()
    }
}

/// Both substitutions together, if they agree.
fn join(a: &Subst, b: &Subst, vars: &[Var]) -> Option<Subst> {
    let mut joined = a.clone();
    for &var in vars {
        if joined.insert(var, b[var]).is_some_and(|old| old != b[var]) {
            return None;
        }
    }
    Some(joined)
}

impl Applier<Term, Facts> for Fusing {
    fn apply_one(&self, egraph: &mut EGraph, _: Id, bound: &Subst, _: Option<&PatternAst<Term>>, _: Symbol) -> Vec<Id> {
        let parts: Option<Vec<Id>> = (0..self.0.parts().len()).map(|i| self.part(egraph, i, bound)).collect();
        let Some(parts) = parts else { return Vec::new() };
        let distinct = parts.iter().skip(1).all(|&part| egraph.find(part) != egraph.find(parts[0]));
        if !distinct || parts.iter().any(|&part| egraph[part].data.ty != egraph[parts[0]].data.ty) {
            return Vec::new();
        }
        let operands = self.0.operands().iter().map(|&var| bound[var]);
        let fused = egraph.add(Term::new(Head::Fused(self.0), operands));
        let mut changed = Vec::new();
        for (i, part) in (0..).zip(parts) {
            let projection = egraph.add(Term::new(Head::Part(i), [fused]));
            if egraph.union(part, projection) {
                changed.push(part);
            }
        }
        changed
    }
}
