//! Terms with variables: the sides of rules and the definitions of fused operations.

use super::fact::EGraph;
use super::term::{Head, Term, last_two_exchanged};
use bayeslift_ir::{Op, Type, result_type};
use egg::{ENodeOrVar, Id, Pattern, Var};

/// A term with variables, as text writes it.
pub(super) struct Template(pub Pattern<Term>);

impl Template {
    /// Parses text of this module's tables.
    pub fn parse(text: &str) -> Template {
        Template(text.parse().unwrap_or_else(|error| panic!("`{text}` is no term: {error}")))
    }

    /// The term with variables replaced, from the leaves up; `None` where `make` fails.
    ///
    /// `ty` tells the type of what was made, from which a matrix transpose learns its rank.
    pub fn build<T: Clone, C: ?Sized>(
        &self,
        context: &mut C,
        bound: impl Fn(Var) -> T,
        ty: impl Fn(&C, &T) -> Type,
        mut make: impl FnMut(&mut C, &Term, &[T]) -> Option<T>,
    ) -> Option<T> {
        let mut made: Vec<T> = Vec::new();
        for node in self.0.ast.as_ref() {
            made.push(match node {
                ENodeOrVar::Var(var) => bound(*var),
                ENodeOrVar::ENode(term) => {
                    let args: Vec<T> = term.args.iter().map(|&arg| made[usize::from(arg)].clone()).collect();
                    let mut term = term.clone();
                    if let Head::Op(Op::Transpose(permutation)) = &mut term.head {
                        *permutation = last_two_exchanged(ty(context, &args[0]).shape.len());
                    }
                    make(context, &term, &args)?
                }
            });
        }
        made.pop()
    }

    /// The class of the term, added if it is new; `None` if it has no type.
    pub fn add(&self, egraph: &mut EGraph, bound: impl Fn(Var) -> Id) -> Option<Id> {
        self.build(
            egraph,
            bound,
            |egraph, &id| egraph[id].data.ty.clone(),
            |egraph, term, args| match &term.head {
                Head::Op(op) => add(egraph, op.clone(), args),
                head => Some(egraph.add(Term::new(head.clone(), args.iter().copied()))),
            },
        )
    }

    /// The type of the term, if it has one.
    pub fn ty(&self, bound: impl Fn(Var) -> Type) -> Option<Type> {
        self.build(
            &mut (),
            bound,
            |_, ty| ty.clone(),
            |_, term, args| {
                let args: Vec<&Type> = args.iter().collect();
                result_type(term.primitive()?, &args).ok()
            },
        )
    }
}

/// The class of an operation, added if it is new; `None` if the operands do not fit.
pub(super) fn add(egraph: &mut EGraph, op: Op, args: &[Id]) -> Option<Id> {
    let fits = {
        let types: Vec<&Type> = args.iter().map(|&arg| &egraph[arg].data.ty).collect();
        result_type(&op, &types).is_ok()
    };
    fits.then(|| egraph.add(Term::op(op, args)))
}
