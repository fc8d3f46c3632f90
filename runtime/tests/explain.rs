//! What compiled graphs say of themselves. How it looks is in `tests/fixtures/explain_*.txt`.

use bayeslift_ir::{Builder, Graph, Tensor, Type};
use bayeslift_runtime::{Argument, Executable, Explanation, Kind, Options};

/// Names that mean something in every format they are written in.
const HOSTILE: [&str; 4] = ["a<b>&amp;\"c\"", "line\nbreak\t\u{1b}[1m", "back\\slash\\n'", "]]> <!-- \u{0}"];

fn compile(graph: Graph) -> Executable {
    Executable::compile(graph, &Options::default().threads(2)).unwrap()
}

/// A step: a product whose gradient moves the weights, with noise and reductions.
fn step(names: [&str; 4]) -> Graph {
    let b = Builder::new();
    let [x, w] = [(names[0], [64, 32]), (names[1], [32, 16])].map(|(name, shape)| b.input(name, Type::f32(shape)));
    let y = x.dot(w).tanh();
    b.output_updating(names[2], w - x.transpose(&[1, 0]).dot(y) * 0.01, w);
    b.output(names[3], y.square().sum_all());
    b.finish().unwrap()
}

/// The explanation of a step, measured over three calls, and the weights after them.
fn profile(graph: &Graph) -> (Explanation, Vec<f32>) {
    let executable = compile(graph.clone());
    let mut workspace = executable.workspace().unwrap();
    let (x, mut w) = (vec![0.5; 64 * 32], vec![0.25; 32 * 16]);
    let mut inputs = [Argument::F32(&x), Argument::F32Mut(&mut w)];
    let explanation =
        executable.profile(&mut workspace, &mut inputs, &mut executable.new_outputs().unwrap(), 3).unwrap();
    (explanation, w)
}

#[test]
fn a_product_is_counted_exactly() {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32([3, 5, 7])), b.input("w", Type::f32([3, 11, 7])));
    b.output("y", x.square().dot(w.transpose(&[0, 2, 1])).exp() + 1.0);
    let explanation = compile(b.finish().unwrap()).explain();

    let [kernel] = &explanation.kernels[..] else { panic!("one kernel expected:\n{explanation}") };
    assert_eq!(kernel.name, "product 3*5x7x11 NT, 1 packed, exp, 1 op");
    assert_eq!((kernel.kind(), kernel.waits_for()), (Kind::Product, vec![]));
    assert_eq!(kernel.inputs().collect::<Vec<_>>(), ["x", "w"]);
    assert_eq!(kernel.outputs().collect::<Vec<_>>(), ["y"]);
    let counts = kernel.work.counts;
    assert_eq!(counts.flops, 2 * 3 * 5 * 7 * 11);
    assert_eq!((counts.operations, counts.functions, counts.draws), (3 * 5 * 7 + 3 * 5 * 11, 3 * 5 * 11, 0));
    assert_eq!(counts.read_bytes, 4 * (3 * 5 * 7 + 3 * 11 * 7));
    assert_eq!(counts.written_bytes, 4 * 3 * 5 * 11);
    assert_eq!(counts.bytes(), counts.read_bytes + counts.written_bytes);
}

#[test]
fn totals_are_sums() {
    let (explanation, _) = profile(&step(["x", "w", "w'", "loss"]));
    let kernels = &explanation.kernels;
    assert!(kernels.len() > 1 && explanation.runs == 3);
    let sum = |count: fn(&bayeslift_runtime::ExplainedKernel) -> u64| kernels.iter().map(count).sum::<u64>();
    let total = explanation.total();
    assert_eq!(total.flops, sum(|kernel| kernel.work.counts.flops));
    assert_eq!(total.flops, 2 * 2 * 64 * 32 * 16);
    assert_eq!(total.operations, sum(|kernel| kernel.work.counts.operations));
    assert_eq!(total.bytes(), sum(|kernel| kernel.work.counts.bytes()));
    assert_eq!(explanation.time(), kernels.iter().map(|kernel| kernel.time).sum());
    // whoever waits, waits for a kernel before
    let waits = kernels.iter().enumerate().map(|(k, kernel)| kernel.waits_for().iter().all(|&before| before < k));
    assert!(waits.eq(kernels.iter().map(|_| true)));
}

#[test]
fn profiling_calls_as_often_as_it_says() {
    let graph = step(["x", "w", "w'", "loss"]);
    let (_, w) = profile(&graph);
    let executable = compile(graph);
    let (x, mut expected) = (vec![0.5; 64 * 32], vec![0.25; 32 * 16]);
    let mut workspace = executable.workspace().unwrap();
    for _ in 0..4 {
        executable.call(&mut workspace, &mut [Argument::F32(&x), Argument::F32Mut(&mut expected)]).unwrap();
    }
    assert_eq!(w, expected);
    assert_eq!((executable.explain().time(), executable.explain().runs), (None, 0));
}

#[test]
fn a_graph_without_kernels_is_explained() {
    let explanation = compile(Graph::new()).explain();
    assert!(explanation.kernels.is_empty() && explanation.time().is_none());
    assert!(explanation.to_string().contains("total of 0 kernels"));
    assert!(explanation.to_svg().ends_with("</svg>\n") && explanation.to_dot().ends_with("}\n"));
}

#[test]
fn reductions_and_movement_are_explained() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([4, 64]));
    b.output("constant", b.constant(1.0).broadcast(&[4, 64].into()));
    b.output("turned", x.transpose(&[1, 0]));
    b.output("maxima", x.reduce_max(1));
    let explanation = compile(b.finish().unwrap()).explain();
    let kinds: Vec<Kind> = explanation.kernels.iter().map(|kernel| kernel.kind()).collect();
    assert_eq!(kinds, [Kind::Reduction, Kind::Movement, Kind::Movement], "{explanation}");
    assert_eq!(explanation.total().written_bytes, 4 * (4 * 64 + 4 * 64 + 4));
}

#[test]
fn lines_are_short() {
    let long = "ü".repeat(300);
    let (explanation, _) = profile(&step([&long, "w", HOSTILE[1], "loss"]));
    for text in [explanation.to_string(), compile(step(["x", &long, "w'", "loss"])).explain().to_string()] {
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("line\nbreak"), "{text}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let mut explanation = profile(&step(HOSTILE)).0;
    explanation.kernels[0].labels = vec!["<&\"\n\\".to_owned()];

    let dot = explanation.to_dot();
    for line in dot.lines().filter(|line| line.contains("label=\"")) {
        // outside of what backslashes escape, quotes come in pairs
        let bare = line.replace("\\\\", "").replace("\\\"", "");
        assert!(bare.matches('"').count() % 2 == 0 && bare.ends_with(';'), "{line}");
        assert!(!line.replace("&amp;", "").contains('&'), "{line}");
    }
    assert!(
        dot.contains("a<b>&amp;amp;\\\"c\\\"") && dot.contains("line\\\\nbreak\\\\t") && dot.contains("[<&amp;\\\"")
    );

    let svg = explanation.to_svg();
    assert!(svg.contains("a&lt;b&gt;&amp;amp;&quot;c&quot;") && svg.contains("]]&gt; &lt;!-- \\u{0}"));
    let allowed = |c: char| c == '\n' || !c.is_control();
    assert!(dot.chars().all(allowed) && svg.chars().all(allowed));
    // what is between tags has no bare mark
    let tags = ["svg", "rect", "text", "title", "g"];
    for part in svg.split('<').skip(1) {
        let name = part.trim_start_matches('/');
        assert!(tags.iter().any(|tag| name.starts_with(tag)), "<{part}");
        assert_eq!(part.matches('>').count(), 1, "<{part}");
    }

    let json = explanation.to_json();
    assert!(
        json.contains(r#""a<b>&amp;\"c\"""#) && json.contains(r#""line\nbreak\t\u001b[1m""#) && !json.contains('\n')
    );
}

#[test]
fn profiling_checks_like_a_call() {
    let executable = compile(step(["x", "w", "w'", "loss"]));
    let mut workspace = executable.workspace().unwrap();
    let mut inputs: Vec<Tensor> = executable.inputs().map(|(_, ty)| Tensor::zeros(ty).unwrap()).collect();
    let mut arguments: Vec<Argument> = inputs.iter().map(Argument::from).collect();
    let mut outputs = executable.new_outputs().unwrap();
    assert!(executable.profile(&mut workspace, &mut arguments, &mut outputs, 1).is_err());
    let mut arguments: Vec<Argument> = inputs.iter_mut().map(Argument::from).collect();
    assert_eq!(executable.profile(&mut workspace, &mut arguments, &mut outputs, 0).unwrap().runs, 1);
}
