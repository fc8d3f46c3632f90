//! A parameter's update runs on the tile of its gradient where it is the only reader, else in a kernel of its own: the
//! same bits either way.

use bayeslift::ir::{Builder, Expr, Graph, Tensor, Type, evaluate, same_bits};
use bayeslift::layers::{Adam, AdamW, Group, Ivon, Optimizer, RmsProp, Sgd, Sgld, Step, Variable};
use bayeslift::runtime::{Argument, Executable, Options};
use bayeslift_passes::{Place, Write, gradients};

const SHAPE: [usize; 2] = [40, 50];
const ROWS: usize = 33;

/// What happens to a gradient before the update.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Plain,
    /// It is an output as well.
    Summary,
    /// It is scaled down to a norm, here one that it does not reach.
    Clipped,
    /// It is added to that of batches before, of which there are none.
    Accumulated,
    /// The layer is used twice, the second time on inputs of zeros.
    Shared,
}

fn layer<'b>(x: Expr<'b>, w: Expr<'b>) -> Expr<'b> {
    x.dot(w).tanh().square().sum_all()
}

fn weights() -> Variable {
    Variable::new("w", Type::f32(SHAPE), Group::Weight)
}

/// One step of an optimizer for a layer's weights.
fn step(variant: Variant, optimizer: &dyn Optimizer) -> Graph {
    let b = Builder::new();
    let w = b.input("w", Type::f32(SHAPE));
    let variable = weights();
    let state: Vec<Expr<'_>> = optimizer.state(&variable).iter().map(|name| b.input(name, Type::f32(SHAPE))).collect();
    let x = b.input("x", Type::f32([ROWS, SHAPE[0]]));
    let more = b.input("more", Type::f32([ROWS, SHAPE[0]]));
    let before = b.input("before", Type::f32(SHAPE));
    let scalars: Vec<Expr<'_>> = optimizer.scalars().iter().map(|name| b.input(name, Type::f32([]))).collect();
    let loss = if variant == Variant::Shared { layer(x, w) + layer(more, w) } else { layer(x, w) };
    let gradient = gradients(loss, &[w])[0];
    let gradient = match variant {
        Variant::Clipped => {
            let norm = gradient.square().sum_all().sqrt();
            gradient * norm.less(1e6).select(1.0, 1e6 / norm)
        }
        Variant::Accumulated => gradient + before,
        _ => gradient,
    };
    let temperature = b.constant(0.01);
    let step = Step { state: &state, scalars: &scalars, temperature, ..Step::new(&variable, w) };
    let update = optimizer.update(&step, gradient);
    b.output_updating("new w", update.parameter, w);
    for ((name, new), old) in optimizer.state(&variable).iter().zip(update.state).zip(state) {
        b.output_updating(&format!("new {name}"), new, old);
    }
    if variant == Variant::Summary {
        b.output("gradient", gradient);
    }
    b.finish().unwrap()
}

fn inputs(graph: &Graph) -> Vec<Tensor> {
    let element = |name: &str, i: usize| match name {
        "more" => 0.0,
        // the sum with it keeps even the sign of zero
        "before" => -0.0,
        "rate" | "news" | "likelihood_rate" => 0.01,
        "correction" => 1.5,
        "kept" => 0.99,
        "v" | "hessian" => (i % 7) as f32 / 512.0,
        _ => ((i * 37 + name.len() * 11) % 101) as f32 / 64.0 - 0.75,
    };
    let tensor = |input: &bayeslift::ir::Input| {
        let shape = graph.ty(input.value).shape.clone();
        let elements = (0..shape.elements()).map(|i| element(&input.name, i));
        Tensor::f32(shape.clone(), elements.collect::<Vec<_>>()).unwrap()
    };
    graph.inputs().iter().map(tensor).collect()
}

/// The new values of `w` and of the optimizer's state, and whether the kernel that writes `w` computes a product.
fn run(graph: &Graph, options: &Options) -> (Vec<Tensor>, bool) {
    let executable = Executable::compile(graph.clone(), options).unwrap();
    let mut tensors = inputs(graph);
    let mut arguments: Vec<Argument> = tensors.iter_mut().map(Argument::from).collect();
    executable.call(&mut executable.workspace().unwrap(), &mut arguments).unwrap();
    let plan = executable.plan();
    let stores_w = |write: &Write| write.place == Place::Input(0);
    let writer = plan.kernels.iter().find(|kernel| kernel.writes.iter().any(stores_w)).unwrap();
    let on_tile = !writer.products().is_empty();
    let updated = graph.outputs().iter().filter(|output| output.updates.is_some()).count();
    (tensors[..updated].to_vec(), on_tile)
}

#[test]
fn an_update_has_the_same_bits_wherever_it_runs() {
    let optimizers: [&dyn Optimizer; 8] = [
        &Adam::default(),
        &AdamW::default(),
        &Ivon::default(),
        &Sgld::default(),
        &Sgd::default(),
        &Sgd::default().momentum(0.9).nesterov(true),
        &RmsProp::default(),
        &RmsProp::default().centered(true).momentum(0.9),
    ];
    for optimizer in optimizers {
        let plain = step(Variant::Plain, optimizer);
        let mut expected = evaluate(&plain, &inputs(&plain)).unwrap();
        expected.truncate(1 + optimizer.state(&weights()).len());
        let variants = [Variant::Plain, Variant::Summary, Variant::Clipped, Variant::Accumulated, Variant::Shared];
        for variant in variants {
            let graph = step(variant, optimizer);
            for (width, threads) in [(1, 1), (4, 1), (8, 2), (16, 1)] {
                let (got, on_tile) = run(&graph, &Options::default().lanes(width).threads(threads));
                assert_eq!(got.len(), expected.len());
                for (got, want) in got.iter().zip(&expected) {
                    let case = format!("{optimizer:?}, {variant:?}, {width:?}, {threads} threads");
                    assert_eq!(same_bits(got, want), Ok(()), "{case}");
                }
                // a norm must be known before the first element moves
                assert_eq!(on_tile, variant != Variant::Clipped, "{optimizer:?}, {variant:?}");
            }
        }
    }
}
