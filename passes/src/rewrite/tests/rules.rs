//! Each rule on random terms of its left side: it finds something there, and what it finds is what its class says.

use super::{
    super::{
        Fused, Rewriting,
        rules::{Class, RULES, Rule},
        template::Template,
    },
    terms::{Instance, Random, egraph_of, graph_of},
};
use crate::Pipeline;
use bayeslift_ir::{
    Builder, Elements, Graph, Shape, Tensor, Type,
    arbitrary::{cases, is_near, seed},
    evaluate, evaluate_f64, same_bits,
};
use egg::{Runner, SimpleScheduler};

/// How many terms each rule is tried on.
const CASES: u32 = 24;
/// The most random terms for each of those, of which most have no type.
const ATTEMPTS: u32 = 1000;
/// How much further from the truth than the nearest number a rounding rule may be, in units of relative precision.
const TOLERANCE: f64 = 2.0;
/// From the strictest to the weakest.
const CLASSES: [Class; 3] = [Class::Exact, Class::Rounding, Class::Domain];

#[test]
fn rules_are_of_their_class() {
    // fewer terms may not show that a rule needs its class
    let (cases, seed) = (cases(CASES).max(CASES), seed());
    for (number, rule) in (0..).zip(RULES) {
        let result = check_rule(rule, cases, seed.wrapping_add(number));
        result.unwrap_or_else(|error| panic!("BAYESLIFT_SEED={seed}: {error}"));
    }
}

/// The test above tells a rule of every other class than its own, stricter or weaker.
#[test]
fn rules_are_of_no_other_class() {
    for rule in RULES {
        for class in CLASSES.into_iter().filter(|&class| class != rule.class) {
            let other = Rule { class, name: rule.name, left: rule.left, right: rule.right, when: rule.when };
            let error = check_rule(&other, CASES, 0).expect_err(rule.name);
            let expected: &[&str] = if class > rule.class { &["would do"] } else { &["too far", "differ"] };
            assert!(expected.iter().any(|part| error.contains(part)), "as {class:?}: {error}");
        }
    }
}

/// Rules that are not of their class: the test above would tell.
#[test]
fn false_rules_are_refused() {
    use super::super::rules::{
        Right::Text,
        When::{self, NonNegative},
    };
    let rule = |name, class, left, right, when: &'static [When]| Rule { name, class, left, right: Text(right), when };
    let wrong = [
        // no number where x is negative
        rule("square-sqrt", Class::Domain, "(mul (sqrt ?x) (sqrt ?x))", "?x", &[]),
        rule("square-sqrt-by-rounding", Class::Rounding, "(mul (sqrt ?x) (sqrt ?x))", "?x", &[]),
        rule("exp-log", Class::Domain, "(exp (log ?x))", "?x", &[]),
        // a number where both are negative
        rule("sqrt-mul", Class::Domain, "(sqrt (mul ?a ?b))", "(mul (sqrt ?a) (sqrt ?b))", &[]),
        rule("sqrt-mul-by-rounding", Class::Rounding, "(sqrt (mul ?a ?b))", "(mul (sqrt ?a) (sqrt ?b))", &[]),
        // 1, but for infinities, zeros and what is no number
        rule("div-same", Class::Rounding, "(div ?x ?x)", "(exp (add ?x (neg ?x)))", &[]),
        rule("log-mul", Class::Domain, "(log (mul ?a ?b))", "(add (log ?a) (log ?b))", &[]),
        // the other sign
        rule("sqrt-square-of-any", Class::Domain, "(sqrt (mul ?x ?x))", "?x", &[]),
        // another rounding
        rule("square-sqrt-exactly", Class::Exact, "(mul (sqrt ?x) (sqrt ?x))", "?x", &[NonNegative("?x")]),
        rule("associate", Class::Exact, "(add (add ?a ?b) ?c)", "(add ?a (add ?b ?c))", &[]),
        // the sign of zero, and what is no number
        rule("max-same", Class::Exact, "(abs ?x)", "(max ?x (neg ?x))", &[]),
        rule("add-neg", Class::Exact, "(add ?x (neg ?x))", "(mul (add ?x (neg ?x)) (neg (abs ?x)))", &[]),
    ];
    for rule in &wrong {
        let error = check_rule(rule, CASES, 0).expect_err(rule.name);
        assert!(error.starts_with(&format!("the rule {}: ", rule.name)), "{error}");
        assert!(error.contains("too far") || error.contains("differ"), "{error}");
    }
}

/// Tries a rule on `cases` random terms of its left side. Its class must hold for all of them, and for some no stricter
/// one: elements are of every size, so that what can overflow or underflow on the way does.
fn check_rule(rule: &Rule, cases: u32, seed: u64) -> Result<(), String> {
    let about = |error| format!("the rule {}: {error}", rule.name);
    let mut random = Random(seed);
    let left = Template::parse(rule.left);
    let (mut fired, mut needed) = (0, Class::Exact);
    for _ in 0..cases.saturating_mul(ATTEMPTS) {
        let mut instance = Instance::new(&mut random);
        let Some(value) = instance.term(&left, rule.when, &mut random) else { continue };
        let mut graph = instance.graph;
        graph.output("y", value).unwrap();
        let Some(class) = check(rule, &graph, &mut random).map_err(about)? else { continue };
        (fired, needed) = (fired + 1, needed.max(class));
        if fired == cases {
            return match needed == rule.class {
                true => Ok(()),
                false => Err(about(format!("it is {:?}, and {needed:?} would do on {cases} random terms", rule.class))),
            };
        }
    }
    Err(about(format!("it found something in {fired} random terms, not in {cases}")))
}

/// Compares what a graph's output is by all terms that the rule equates to it. Gives the strictest class of what they
/// are, or none if there is no other term.
fn check(rule: &Rule, graph: &Graph, random: &mut Random) -> Result<Option<Class>, String> {
    let (egraph, ids) = egraph_of(graph);
    let root = ids[graph.outputs()[0].value.index()];
    let runner = Runner::default().with_egraph(egraph).with_scheduler(SimpleScheduler).with_iter_limit(1);
    let egraph = runner.run(&[rule.compile()]).egraph;
    let inputs = graph.inputs().iter().map(|input| graph.ty(input.value));
    let inputs: Vec<Tensor> = inputs.map(|ty| random.tensor(ty, true)).collect();
    let want = evaluate(graph, &inputs).unwrap().remove(0);
    let truth = truth(graph, &inputs);
    let others = egraph[root].nodes.iter().map(|term| graph_of(graph, &egraph, term));
    let mut needed = None;
    for other in others.filter(|other| !contains(graph, other)) {
        let found = evaluate(&other, &inputs).unwrap().remove(0);
        let is_of = |class| is_of_class(class, &want, &truth, &found);
        is_of(rule.class).map_err(|error| format!("{error}\n{graph}{other}"))?;
        needed = needed.max(CLASSES.into_iter().find(|&class| is_of(class).is_ok()));
    }
    Ok(needed)
}

/// Whether the output of `other` is one that `graph` has anyway.
fn contains(graph: &Graph, other: &Graph) -> bool {
    let output = |graph: &Graph| graph.outputs()[0].value;
    graph.node(output(graph)) == other.node(output(other)) && graph.nodes().len() == other.nodes().len()
}

fn truth(graph: &Graph, inputs: &[Tensor]) -> Vec<f64> {
    let inputs: Vec<Elements<f64>> = inputs.iter().map(Elements::from).collect();
    evaluate_f64(graph, &inputs).unwrap()[0].floats().unwrap().to_vec()
}

/// Whether a rule of this class may make `found` of what its left side computes, which is `truth` in double precision;
/// else which element shows that it may not.
///
/// A rounding rule is near the truth and near the left side, which is not near the truth itself where something
/// overflows or underflows on the way. There a domain rule need only be near the truth; where the left side overflows
/// even in double precision, as the exponential of a large number does, it may have any number.
fn is_of_class(class: Class, want: &Tensor, truth: &[f64], found: &Tensor) -> Result<(), String> {
    let left: Vec<f64> = want.as_f32().unwrap().iter().map(|&x| x.into()).collect();
    let equal = same_bits(want, found);
    match class {
        // also where both are far from the truth
        _ if equal.is_ok() => Ok(()),
        Class::Exact => equal,
        // each is near the truth, so at most twice as far from each other
        Class::Rounding => near(truth, found, 1.0, |_, _| false).and_then(|()| near(&left, found, 2.0, |_, _| false)),
        Class::Domain => near(truth, found, 1.0, |truth, found| truth.is_infinite() && !found.is_nan()),
    }
}

/// No number where there is to be none, and only there; other elements at most `times` as far away as rounding rules
/// may be, but for those that `is_excused`.
fn near(want: &[f64], found: &Tensor, times: f64, is_excused: fn(f64, f32) -> bool) -> Result<(), String> {
    let elements = found.as_f32().unwrap();
    assert_eq!(want.len(), elements.len());
    for (i, (&want, &x)) in want.iter().zip(elements).enumerate() {
        let allowed = (0.5 + TOLERANCE) * f64::from(f32::EPSILON) * want.abs() + f64::from(f32::MIN_POSITIVE);
        if !is_excused(want, x) && !is_near(x.into(), want, times * allowed) {
            let index = index_of(i, found.shape());
            let (bits, want_bits) = (x.to_bits(), want.to_bits());
            return Err(format!("at {index:?} {x:e} ({bits:#010x}) is too far from {want:e} ({want_bits:#018x})"));
        }
    }
    Ok(())
}

/// The index of the element that is this far behind the first.
fn index_of(mut element: usize, shape: &Shape) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|extent| {
            let at = element % extent;
            element /= extent;
            at
        })
        .collect();
    index.reverse();
    index
}

#[test]
fn fused_operations_are_found_and_are_their_definitions() {
    let (cases, seed) = (cases(CASES), seed());
    for (number, &fused) in (0..).zip(Fused::ALL).filter(|(_, fused)| !fused.parts().is_empty()) {
        let mut random = Random(seed.wrapping_add(number));
        let mut found = 0;
        for _ in 0..cases.saturating_mul(ATTEMPTS) {
            let mut instance = Instance::new(&mut random);
            // what must be beside it, by the parts of that, which name their operands alike
            let beside = fused.beside().map_or(&[][..], |_| Fused::LocalReparameterization.parts());
            let terms = beside.iter().chain(fused.parts());
            let values: Option<Vec<_>> = terms.map(|term| instance.term(term, &[], &mut random)).collect();
            let Some(values) = values else { continue };
            let mut graph = instance.graph;
            let outputs = (0..).zip(&values);
            outputs.for_each(|(i, &value)| graph.output(&format!("y{i}"), value).unwrap());
            let rewritten =
                Pipeline { simplify: false, rewriting: Rewriting::Exact, stop_after: None }.run(&graph).unwrap();
            let inputs = graph.inputs().iter().map(|input| graph.ty(input.value));
            let inputs: Vec<Tensor> = inputs.map(|ty| random.tensor(ty, true)).collect();
            let results = [&graph, &rewritten.graph].map(|graph| evaluate(graph, &inputs).unwrap());
            for (want, found) in results[0].iter().zip(&results[1]) {
                same_bits(want, found).unwrap_or_else(|error| panic!("{fused}: {error}\n{graph}{}", rewritten.graph));
            }
            found += u32::from(rewritten.fusions.iter().any(|fusion| fusion.kind == fused));
            if found == cases {
                break;
            }
        }
        assert!(found == cases, "{fused} was found in {found} random terms, not in {cases}");
    }
}

#[test]
#[should_panic(expected = "values of different types")]
fn an_unsound_rule_is_noticed() {
    let mut random = Random(1);
    let mut instance = Instance::new(&mut random);
    let value = instance.term(&Template::parse("(neg ?x)"), &[], &mut random).unwrap();
    let (mut egraph, ids) = egraph_of(&instance.graph);
    let wrong = super::super::template::add(&mut egraph, bayeslift_ir::Op::Sum(0), &[ids[value.index()]]).unwrap();
    egraph.union(ids[value.index()], wrong);
}

/// Rules on divisions by constants apply to those that their conditions name, and to no others.
#[test]
fn divisors_are_those_that_conditions_name() {
    let fires = |name: &str, divisor: f32| {
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let b = Builder::new();
        let x = b.input("x", Type::f32([2, 3]));
        b.output("y", x / b.constant(divisor).broadcast(&x.shape()));
        let needed = check(rule, &b.finish().unwrap(), &mut Random(0));
        needed.unwrap_or_else(|error| panic!("{name}: {error}")).is_some()
    };
    let smallest = f32::MIN_POSITIVE;
    for divisor in [2.0, 0.5, -4.0, 1024.0, smallest] {
        assert!(fires("div-power-of-two", divisor), "{divisor:e}");
    }
    for divisor in [0.0, -0.0, 3.0, 0.75, smallest / 2.0, f32::INFINITY, f32::NAN] {
        assert!(!fires("div-power-of-two", divisor), "{divisor:e}");
    }
    for divisor in [1.0, 3.0, -10.0, 1e30] {
        assert!(fires("div-constant", divisor), "{divisor:e}");
    }
    for divisor in [0.0, -0.0, 0.75, -0.1, smallest, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        assert!(!fires("div-constant", divisor), "{divisor:e}");
    }
}
