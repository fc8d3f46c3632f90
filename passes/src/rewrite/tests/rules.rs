//! Each rule on random terms of its left side: it finds something there, and what it finds is what its class says.

use super::{
    super::{
        Fused, Rewriting, rewrite,
        rules::{Class, RULES, Rule},
        template::Template,
    },
    terms::{Instance, Random, egraph_of, graph_of},
};
use bayeslift_ir::{Elements, Graph, Tensor, evaluate, evaluate_f64, same_bits};
use egg::{Runner, SimpleScheduler};

/// How many terms each rule is tried on.
const CASES: usize = 24;
/// The most random terms, of which most have no type.
const ATTEMPTS: usize = 20_000;
/// How much further from the truth than the nearest number a rounding rule may be, in units of relative precision.
const TOLERANCE: f64 = 2.0;

#[test]
fn rules_are_of_their_class() {
    for (seed, rule) in (0..).zip(RULES) {
        let mut random = Random(seed);
        let left = Template::parse(rule.left);
        let mut fired = 0;
        for _ in 0..ATTEMPTS {
            let mut instance = Instance::new(&mut random);
            let Some(value) = instance.term(&left, rule.when, &mut random) else { continue };
            let mut graph = instance.graph;
            graph.output("y", value).unwrap();
            fired += usize::from(check(rule, &graph, &mut random));
            if fired == CASES {
                break;
            }
        }
        assert!(fired == CASES, "{} found something in {fired} of {ATTEMPTS} random terms", rule.name);
    }
}

/// Compares what a graph's output is by all terms that the rule equates to it. Whether there was another one.
fn check(rule: &Rule, graph: &Graph, random: &mut Random) -> bool {
    let (egraph, ids) = egraph_of(graph);
    let root = ids[graph.outputs()[0].value.index()];
    let runner = Runner::default().with_egraph(egraph).with_scheduler(SimpleScheduler).with_iter_limit(1);
    let egraph = runner.run(&[rule.compile()]).egraph;
    let inputs = graph.inputs().iter().map(|input| graph.ty(input.value));
    let inputs: Vec<Tensor> = inputs.map(|ty| random.tensor(ty, rule.class == Class::Exact)).collect();
    let want = evaluate(graph, &inputs).unwrap().remove(0);
    let others = egraph[root].nodes.iter().map(|term| graph_of(graph, &egraph, term));
    let others: Vec<Graph> = others.filter(|other| !contains(graph, other)).collect();
    for other in &others {
        let found = evaluate(other, &inputs).unwrap().remove(0);
        let result = match rule.class {
            Class::Exact => same_bits(&want, &found),
            Class::Rounding | Class::Domain => near(&truth(graph, &inputs), &found),
        };
        result.unwrap_or_else(|error| panic!("{}: {error}\n{graph}{other}{inputs:?}", rule.name));
    }
    !others.is_empty()
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

fn near(want: &[f64], found: &Tensor) -> Result<(), String> {
    for (want, &found) in want.iter().zip(found.as_f32().unwrap()) {
        let allowed = (0.5 + TOLERANCE) * f64::from(f32::EPSILON) * want.abs() + f64::from(f32::MIN_POSITIVE);
        if (f64::from(found) - want).abs() > allowed {
            return Err(format!("{found} is too far from {want}"));
        }
    }
    Ok(())
}

#[test]
fn fused_operations_are_found_and_are_their_definitions() {
    for (seed, &fused) in (0..).zip(Fused::ALL).filter(|(_, fused)| !fused.parts().is_empty()) {
        let mut random = Random(seed);
        let mut found = 0;
        for _ in 0..ATTEMPTS {
            let mut instance = Instance::new(&mut random);
            // what must be beside it, by the parts of that, which name their operands alike
            let beside = fused.beside().map_or(&[][..], |_| Fused::LocalReparameterization.parts());
            let terms = beside.iter().chain(fused.parts());
            let values: Option<Vec<_>> = terms.map(|term| instance.term(term, &[], &mut random)).collect();
            let Some(values) = values else { continue };
            let mut graph = instance.graph;
            let outputs = (0..).zip(&values);
            outputs.for_each(|(i, &value)| graph.output(&format!("y{i}"), value).unwrap());
            let rewritten = rewrite(&graph, Rewriting::Exact).unwrap();
            let inputs = graph.inputs().iter().map(|input| graph.ty(input.value));
            let inputs: Vec<Tensor> = inputs.map(|ty| random.tensor(ty, true)).collect();
            let results = [&graph, &rewritten.graph].map(|graph| evaluate(graph, &inputs).unwrap());
            for (want, found) in results[0].iter().zip(&results[1]) {
                same_bits(want, found).unwrap_or_else(|error| panic!("{fused}: {error}\n{graph}{}", rewritten.graph));
            }
            found += usize::from(rewritten.fusions.iter().any(|fusion| fusion.kind == fused));
            if found == CASES {
                break;
            }
        }
        assert!(found == CASES, "{fused} was found in {found} of {ATTEMPTS} random terms");
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
