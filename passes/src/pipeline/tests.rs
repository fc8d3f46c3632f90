//! Passes keep what the list says, and are caught where they do not.

use super::*;
use bayeslift_ir::{
    Builder, DType, Expr, Noise, NoiseAddress, NoiseDistribution, Op, Tensor, Type, Unary,
    arbitrary::{config, graph_and_inputs},
    evaluate, same_bits,
};
use proptest::prelude::*;

/// Runs the passes of a level one by one and looks at each graph and what came of it.
fn each_pass(graph: &Graph, level: Rewriting, mut look: impl FnMut(&Pass, &Graph, &Graph)) {
    let (mut graph, mut found) = (graph.clone(), Found::default());
    for pass in PASSES.iter().filter(|pass| pass.level <= level) {
        let result = pass.run(&graph, level, &mut found).unwrap().unwrap_or_else(|| graph.clone());
        look(pass, &graph, &result);
        graph = result;
    }
}

fn have_same_bits(before: &Graph, after: &Graph, inputs: &[Tensor]) -> Result<(), String> {
    let (want, found) = (evaluate(before, inputs).unwrap(), evaluate(after, inputs).unwrap());
    want.iter().zip(&found).try_for_each(|(want, found)| same_bits(want, found))
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn passes_keep_bits((graph, inputs) in graph_and_inputs()) {
        for level in [Rewriting::Exact, Rewriting::All] {
            each_pass(&graph, level, |pass, before, after| {
                assert_eq!(check(before, after), Ok(()), "{}", pass.name);
                if pass.keeps == Keeps::Bits || level < Rewriting::All {
                    assert_eq!(have_same_bits(before, after, &inputs), Ok(()), "{}, {level:?}", pass.name);
                }
            });
        }
    }

    #[test]
    fn a_pass_to_stop_after_is_the_last((graph, _) in graph_and_inputs()) {
        let mut graphs = Vec::new();
        each_pass(&graph, Rewriting::All, |pass, _, after| graphs.push((pass.name, after.clone())));
        for (name, graph_then) in &graphs {
            let stopped = Pipeline { stop_after: Some(name), ..Pipeline::default() }.run(&graph).unwrap();
            prop_assert_eq!(&stopped.graph, graph_then, "{}", name);
        }
        prop_assert_eq!(&optimize(&graph, Rewriting::All).unwrap().graph, &graphs[graphs.len() - 1].1);
    }
}

/// The list calls no pass inexact that is not, and below the highest level none is.
#[test]
fn passes_that_keep_values_change_bits_at_the_highest_level() {
    let b = &Builder::new();
    let x = b.input("x", Type::f32([3, 3]));
    b.output("third", x.dot(x) / 3.0);
    // the sum of a row is 0 where it has no label
    let (labels, scale) = (b.input("labels", Type::u32([3])), b.input("scale", Type::f32([3, 1])));
    b.output("picked", labels.one_hot_mask(4).select(scale.broadcast(&[3, 4].into()), 0.0).sum(1));
    let graph = b.check().map(|()| b.graph().clone()).unwrap();
    let x = Tensor::f32([3, 3], [0.1, 0.7, 1.3, 2.9, 0.3, 1.9, 2.3, 3.1, 0.2]).unwrap();
    let inputs = [x, Tensor::u32([3], [0, 1, 2]).unwrap(), Tensor::f32([3, 1], [-0.0; 3]).unwrap()];
    let changed_at = |level| {
        let mut changed = Vec::new();
        each_pass(&graph, level, |pass, before, after| {
            changed.extend(have_same_bits(before, after, &inputs).is_err().then_some(pass.name));
        });
        changed
    };
    let inexact: Vec<_> = PASSES.iter().filter(|pass| pass.keeps == Keeps::Values).map(|pass| pass.name).collect();
    assert_eq!((changed_at(Rewriting::Exact), changed_at(Rewriting::All)), (vec![], inexact));
}

#[test]
fn an_unknown_pass_is_told_from_those_there_are() {
    let error = Pipeline { stop_after: Some("fuse"), ..Pipeline::default() }.run(&Graph::new()).unwrap_err();
    let names = "simplify, sum-one-hot, saturate, grow, softmax";
    assert_eq!(error.to_string(), format!("there is no pass named `fuse`; there are: {names}"));
}

/// What the graph of `x`, `y` and a noise site becomes by a pass with a defect, which follows one without.
fn error_after(run: fn(&Graph, Rewriting, &mut Found) -> Result<Option<Graph>, Error>) -> String {
    let b = Builder::new();
    let (x, y) = (b.input("x", Type::f32([3])), b.input("y", Type::f32([3])));
    b.output_updating("new x", x + noise(&b, 3), x);
    b.output("z", y.exp());
    let name = |i: usize| ["simplify", "defective"][i];
    let runs = [PASSES[0].run, run].into_iter().enumerate();
    let passes: Vec<_> =
        runs.map(|(i, run)| Pass { name: name(i), level: Rewriting::Off, keeps: Keeps::Bits, run }).collect();
    let error = Pipeline::default().run_passes(&passes, &b.finish().unwrap()).unwrap_err();
    error.to_string()
}

fn noise(b: &Builder, units: usize) -> Expr<'_> {
    let words = |shape: &[usize], of: u32| {
        let zero = b.push(Op::ConstantU32(of), &[]);
        zero.broadcast(&shape.into())
    };
    let address = NoiseAddress { key: words(&[4], 1), first_sample: words(&[], 0), first_row: words(&[2], 0) };
    let shape = [units].into();
    let site = Noise {
        distribution: NoiseDistribution::Normal,
        dtype: DType::F32,
        stream: 7,
        sample_axis: None,
        example_axis: None,
        shape,
    };
    b.noise(site, address)
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "other builds do not verify")]
fn defects_are_found_and_named() {
    // forgets an input
    let error = error_after(|_, _, _| Ok(Some(Graph::new())));
    let not_those =
        |what| format!("in `defective`: malformed graph: the {what} are not those of the graph that it was made of");
    assert_eq!(error, not_those("inputs"));
    // forgets that an input is updated
    let error = error_after(|graph, _, _| {
        let mut result = crate::rebuild::Rebuild::with_inputs(graph)?.graph;
        for output in graph.outputs() {
            let x = result.inputs()[0].value;
            result.output(&output.name, x)?;
        }
        Ok(Some(result))
    });
    assert_eq!(error, not_those("outputs"));
    // draws the same noise twice
    let error = error_after(|graph, _, _| {
        let b = Builder::from(graph.clone());
        noise(&b, 5);
        let result = b.graph().clone();
        Ok(Some(result))
    });
    assert!(error.starts_with("in `defective`: two noise sites have the stream 0x0000000000000007"), "{error}");
    // fails itself
    let error = error_after(|graph, _, _| {
        let mut result = graph.clone();
        result.push(Op::Unary(Unary::Exp), &[]).map(|_| None)
    });
    assert_eq!(error, "in `defective`: exp: 0 operands, expected 1");
}

#[test]
fn what_replaces_a_value_comes_from_where_that_came() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([8, 4]));
    let parameter = |name: &str, shape: [usize; 2]| b.input(name, Type::f32(shape));
    let parameters = [("m", [4, 6]), ("s", [4, 6]), ("w", [6, 1])].map(|(name, shape)| parameter(name, shape));
    let [m, s, w] = parameters;
    let hidden = b.scoped("local", || x.dot(m) + (x.square().dot(s.square()) + 1e-5).sqrt());
    let loss = b.scoped("affine", || hidden.dot(w) / 3.0).square().sum_all();
    crate::gradients(loss, &parameters).iter().zip(["m'", "s'", "w'"]).for_each(|(g, name)| b.output(name, *g));
    b.output("loss", loss);
    let rewritten = optimize(&b.finish().unwrap(), Rewriting::All).unwrap().graph;
    let live = rewritten.live();
    let dots = rewritten.values().filter(|v| live[v.index()] && rewritten.node(*v).op == Op::Dot);
    let mut origins: Vec<String> = dots.map(|dot| rewritten.origin(dot).to_string()).collect();
    origins.sort();
    let expected = [
        "affine",
        "gradient of affine",
        "gradient of affine",
        "gradient of local",
        "gradient of local",
        "local",
        "local",
    ];
    assert_eq!(origins, expected, "{rewritten:#}");
}
