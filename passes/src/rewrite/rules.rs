//! The rules. Each says of which class it is; tests check that claim on random values.
//!
//! No rule makes a number of what was none, or the reverse, except that a domain rule has the number where its left
//! side overflowed on the way. Commuted operands are written out where they occur: general commutativity and
//! associativity would only make the e-graph large. Rules that change bits look at one operation, or commute with the
//! movement that simplification may put between two, so that whether they apply never depends on extents: predictions
//! have the same bits for any split of a batch.
//!
//! A left side that has one movement of one variable twice would never match: egg looks the second up by its
//! attributes, which patterns leave open.

use super::{
    Rewriting,
    apply::{self, Apply},
    fact::{EGraph, Fact, Facts, Sign},
    fusion,
    template::Template,
    term::Term,
};
use egg::{Applier, Id, PatternAst, Rewrite, Subst, Symbol, Var};
use std::sync::LazyLock;

/// What a rule may do to bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nothing: the same bits for all operands, up to the payload of what is no number.
    Exact,
    /// One rounding more, less or elsewhere, for all operands.
    Rounding,
    /// As `Rounding`, where no intermediate result overflows or underflows.
    Domain,
}

/// What must be known of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// No element is negative or -0.
    NonNegative(&'static str),
    /// Every element is +0.
    Zero(&'static str),
    /// Every element is 2.
    Two(&'static str),
    /// Every element is one power of two whose reciprocal is a number and not rounded.
    PowerOfTwo(&'static str),
    /// Every element is one number with a reciprocal that is not below the smallest normal number nor above 1.
    Divisor(&'static str),
}

impl When {
    pub fn variable(self) -> &'static str {
        let (When::NonNegative(x) | When::Zero(x) | When::Two(x) | When::PowerOfTwo(x) | When::Divisor(x)) = self;
        x
    }

    fn holds(self, fact: &Fact) -> bool {
        let constant = fact.constant.map(f32::from_bits);
        let is = |x: f32| constant.is_some_and(|c| c.to_bits() == x.to_bits());
        match self {
            When::NonNegative(_) => fact.sign >= Sign::NonNegative,
            When::Zero(_) => is(0.0),
            When::Two(_) => is(2.0),
            When::PowerOfTwo(_) => constant.is_some_and(|c| c.is_normal() && c.to_bits() << 9 == 0),
            When::Divisor(_) => constant.is_some_and(|c| c.abs() >= 1.0 && c.recip().is_normal()),
        }
    }
}

/// What a left side becomes.
#[derive(Clone, Copy)]
pub(super) enum Right {
    Text(&'static str),
    /// Code, for what depends on attributes and types.
    Code(Apply),
}

pub(super) struct Rule {
    pub name: &'static str,
    pub class: Class,
    pub left: &'static str,
    pub right: Right,
    pub when: &'static [When],
}

const fn rule(name: &'static str, class: Class, left: &'static str, right: Right, when: &'static [When]) -> Rule {
    Rule { name, class, left, right, when }
}

use Class::{Domain, Exact, Rounding};
use Right::{Code, Text};
use When::{Divisor, NonNegative, PowerOfTwo, Two, Zero};

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // movement around contractions: the order of no sum changes
    rule("permute-permute",       Exact,    "(permute (permute ?x))",               Code(apply::compose_permutations),              &[]),
    rule("reshape-reshape",       Exact,    "(reshape (reshape ?x))",               Code(apply::compose_reshapes),                  &[]),
    rule("transpose-dot",         Exact,    "(transpose (dot ?a ?b))",              Text("(dot (transpose ?b) (transpose ?a))"),    &[]),
    rule("dot-transposes",        Exact,    "(dot (transpose ?a) (transpose ?b))",  Text("(transpose (dot ?b ?a))"),                &[]),
    rule("mul-transposes",        Exact,    "(mul (transpose ?a) (transpose ?b))",  Text("(transpose (mul ?a ?b))"),                &[]),
    rule("reshape-square",        Exact,    "(reshape (mul ?x ?x))",                Code(apply::square_of_reshape),                 &[]),
    // what all samples share is computed once
    rule("dot-broadcasts",        Exact,    "(dot (broadcast ?a) (broadcast ?b))",  Code(apply::dot_before_broadcast),              &[]),
    rule("sqrt-broadcast",        Exact,    "(sqrt (broadcast ?x))",                Code(apply::unary_before_broadcast),            &[]),
    rule("log-broadcast",         Exact,    "(log (broadcast ?x))",                 Code(apply::unary_before_broadcast),            &[]),
    // signs
    rule("neg-neg",               Exact,    "(neg (neg ?x))",                       Text("?x"),                                     &[]),
    rule("mul-neg-neg",           Exact,    "(mul (neg ?a) (neg ?b))",              Text("(mul ?a ?b)"),                            &[]),
    rule("div-neg-neg",           Exact,    "(div (neg ?a) (neg ?b))",              Text("(div ?a ?b)"),                            &[]),
    rule("square-abs",            Exact,    "(mul (abs ?x) (abs ?x))",              Text("(mul ?x ?x)"),                            &[]),
    rule("abs-neg",               Exact,    "(abs (neg ?x))",                       Text("(abs ?x)"),                               &[]),
    rule("abs-non-negative",      Exact,    "(abs ?x)",                             Text("?x"),                                     &[NonNegative("?x")]),
    rule("relu-non-negative",     Exact,    "(max ?x ?z)",                          Text("?x"),                                     &[NonNegative("?x"), Zero("?z")]),
    // constants
    rule("twice",                 Exact,    "(mul ?c ?x)",                          Text("(add ?x ?x)"),                            &[Two("?c")]),
    rule("twice-commuted",        Exact,    "(mul ?x ?c)",                          Text("(add ?x ?x)"),                            &[Two("?c")]),
    rule("div-power-of-two",      Exact,    "(div ?x ?c)",                          Code(apply::multiply_by_reciprocal),            &[PowerOfTwo("?c")]),
    rule("div-constant",          Rounding, "(div ?x ?c)",                          Code(apply::multiply_by_reciprocal),            &[Divisor("?c")]),
    // inverses
    rule("sqrt-square",           Domain,   "(sqrt (mul ?x ?x))",                   Text("?x"),                                     &[NonNegative("?x")]),
    rule("log-exp",               Domain,   "(log (exp ?x))",                       Text("?x"),                                     &[]),
];

/// The rules of a level, and those that recognise fused operations.
pub(super) fn rewrites(level: Rewriting) -> &'static [Rewrite<Term, Facts>] {
    static EXACT: LazyLock<Vec<Rewrite<Term, Facts>>> = LazyLock::new(|| compile(|class| class == Exact));
    static ALL: LazyLock<Vec<Rewrite<Term, Facts>>> = LazyLock::new(|| compile(|_| true));
    match level {
        Rewriting::Off => &[],
        Rewriting::Exact => &EXACT,
        Rewriting::All => &ALL,
    }
}

fn compile(wanted: impl Fn(Class) -> bool) -> Vec<Rewrite<Term, Facts>> {
    let rules = RULES.iter().filter(|rule| wanted(rule.class));
    rules.map(Rule::compile).chain(fusion::rewrites()).collect()
}

impl Rule {
    pub fn compile(&self) -> Rewrite<Term, Facts> {
        let right = match self.right {
            Text(text) => Compiled::Template(Template::parse(text)),
            Code(apply) => Compiled::Code(apply),
        };
        let variable = |when: &When| (when.variable().parse().expect("a variable"), *when);
        let action = Action { right, when: self.when.iter().map(variable).collect() };
        Rewrite::new(self.name, Template::parse(self.left).0, action)
            .unwrap_or_else(|error| panic!("the rule {}: {error}", self.name))
    }
}

/// The right side of a rule, ready to use.
struct Action {
    right: Compiled,
    when: Vec<(Var, When)>,
}

enum Compiled {
    Template(Template),
    Code(Apply),
}

impl Applier<Term, Facts> for Action {
    fn apply_one(
        &self,
        egraph: &mut EGraph,
        class: Id,
        bound: &Subst,
        _: Option<&PatternAst<Term>>,
        _: Symbol,
    ) -> Vec<Id> {
        if !self.when.iter().all(|(var, when)| when.holds(&egraph[bound[*var]].data)) {
            return Vec::new();
        }
        let equal = match &self.right {
            Compiled::Template(template) => template.add(egraph, |var| bound[var]).into_iter().collect(),
            Compiled::Code(apply) => apply(egraph, class, bound),
        };
        let mut changed = Vec::new();
        for id in equal {
            if egraph.union(class, id) {
                changed.push(id);
            }
        }
        changed
    }
}
