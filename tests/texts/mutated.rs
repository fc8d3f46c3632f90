//! Texts of random graphs and of fixtures, changed at random.

use crate::{
    common::check,
    inputs, is_small,
    mutation::{Mutation, mutate, mutation},
};
use bayeslift::ir::{
    Builder, DType, Error, Expr, Graph,
    arbitrary::{config, graph_and_inputs},
    verify,
};
use bayeslift::runtime::Options;
use bayeslift_passes::{Plan, Rewriting, gradients};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use std::{cell::Cell, env, fs, path::Path};

/// The graphs of all fixtures, as text.
fn fixtures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let text = |path| fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    // tile code, and what a graph is run with, are texts of another kind
    let graph = |file: String| file.split("\n----\n").next().unwrap().split("\nwith\n").next().unwrap().to_owned();
    paths.into_iter().map(text).map(graph).filter(|text| text.contains("graph {")).collect()
}

/// How far a text came.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    refused: u32,
    verified: u32,
    run: u32,
    differentiated: u32,
}

fn check_text(text: &str, options: &Options, outcomes: &Cell<Outcomes>) -> Result<(), String> {
    let mut counts = outcomes.get();
    let graph = match text.parse::<Graph>() {
        Ok(graph) => graph,
        Err(error) => {
            let says_where = match &error {
                Error::Parse { line, .. } => (1..=text.lines().count() + 1).contains(line),
                Error::In { scope, .. } => scope.starts_with("line "),
                _ => false,
            };
            counts.refused += 1;
            outcomes.set(counts);
            return if says_where { Ok(()) } else { Err(format!("an error without a line: {error}")) };
        }
    };
    let printed = graph.to_string();
    let again: Graph = printed.parse().map_err(|error| format!("printed, it is an error: {error}\n{printed}"))?;
    if again != graph || again.to_string() != printed {
        return Err(format!("printed, it is another graph\n{printed}{again}"));
    }
    match verify(&graph) {
        Ok(()) => counts.verified += 1,
        Err(Error::StreamCollision { .. }) => return Ok(()),
        Err(error) => return Err(format!("it does not verify: {error}")),
    }
    if is_small(&graph) {
        check(&graph, &inputs(&graph), options)?;
        counts.run += 1;
    } else {
        // too large to run, not to plan
        let optimized = options.optimize(&graph).map_err(|error| error.to_string())?;
        Plan::new(optimized.graph).map_err(|error| error.to_string())?;
    }
    // gradients may be too large where the graph is not, and are then an error
    if let Ok(step) = with_gradients(graph) {
        verify(&step).map_err(|error| format!("its gradients do not verify: {error}\n{step}"))?;
        if is_small(&step) {
            check(&step, &inputs(&step), options)?;
            counts.differentiated += 1;
        }
    }
    outcomes.set(counts);
    Ok(())
}

/// The graph that also reports the gradients of the sum of all `f32` outputs.
fn with_gradients(graph: Graph) -> Result<Graph, Error> {
    let floats = |value: &bayeslift::ir::Value| graph.ty(*value).dtype == DType::F32;
    let outputs: Vec<_> = graph.outputs().iter().map(|output| output.value).filter(floats).collect();
    let parameters: Vec<_> = graph.inputs().iter().map(|input| input.value).filter(floats).collect();
    let b = Builder::from(graph);
    let loss = outputs.iter().fold(b.constant(0.0), |sum, &output| sum + b.expr(output).sum_all());
    let parameters: Vec<Expr<'_>> = parameters.into_iter().map(|input| b.expr(input)).collect();
    for (i, gradient) in gradients(loss, &parameters).into_iter().enumerate() {
        b.output(&format!("gradient number {i}"), gradient);
    }
    b.finish()
}

#[derive(Clone, Debug)]
enum Source {
    Random(Box<Graph>),
    Fixture(Index),
}

#[test]
fn changed_texts_are_errors_or_graphs() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 50, "{} fixtures", fixtures.len());
    let source = prop_oneof![
        graph_and_inputs().prop_map(|(graph, _)| Source::Random(Box::new(graph))),
        any::<Index>().prop_map(Source::Fixture),
    ];
    let widths = prop::sample::select(&[1, 4, 8][..]);
    let levels = prop::sample::select(&[Rewriting::Off, Rewriting::Exact, Rewriting::All][..]);
    let options = (widths, levels, any::<bool>()).prop_map(|(width, rewriting, simplify)| {
        Options::default().threads(1).lanes(width).rewriting(rewriting).simplify(simplify)
    });
    let outcomes = Cell::new(Outcomes::default());
    let trace = env::var_os("BAYESLIFT_TRACE");
    let config = config(if cfg!(debug_assertions) { 300 } else { 1000 });
    let cases = config.cases;
    let check = |(source, mutations, options): (Source, Vec<Mutation>, Options)| {
        let text = match &source {
            Source::Random(graph) => graph.to_string(),
            Source::Fixture(which) => which.get(&fixtures).clone(),
        };
        let text = mutations.iter().fold(text, |text, mutation| mutate(&text, mutation));
        if let Some(path) = &trace {
            fs::write(path, format!("{options:?}\n{text}")).unwrap();
        }
        check_text(&text, &options, &outcomes)
            .map_err(|message| TestCaseError::fail(format!("{message}\nthe text:\n{text}")))
    };
    let mutations = prop::collection::vec(mutation(), 1..4);
    TestRunner::new(config).run(&(source, mutations, options), check).unwrap_or_else(|error| panic!("{error}"));
    let Outcomes { refused, verified, run, differentiated } = outcomes.get();
    println!("{cases} texts: {refused} refused, {verified} well-formed, {run} run, {differentiated} differentiated");
    // each happens often, or the changes test nothing
    assert!(
        [refused, verified, run, differentiated].iter().all(|&count| count > cases / 20),
        "{cases} texts: {refused} refused, {verified} well-formed, {run} run, {differentiated} differentiated"
    );
}
