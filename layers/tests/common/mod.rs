//! Evaluates graphs of layers.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod integral;

use bayeslift_ir::{Builder, Expr, Graph, Op, Tensor, Type, evaluate, noise};
use bayeslift_layers::{Call, Context, Error, Layer, Parameters, Scope, noise_inputs};

/// Where a graph's noise begins.
#[derive(Clone, Copy, Default)]
pub struct At {
    pub seed: u64,
    pub step: u64,
    pub first_sample: u32,
    pub first_row: u32,
}

/// Evaluates the outputs of a graph: parameters by path, other inputs by name, noise at an address.
pub fn run(graph: &Graph, parameters: &Parameters, others: &[(&str, Tensor)], at: At) -> Vec<Vec<f32>> {
    bayeslift_ir::verify(graph).unwrap();
    let bind = |name: &str| match name {
        "noise/key" => {
            let words = |x: u64| [x as u32, (x >> 32) as u32];
            Tensor::u32([4], [words(at.seed), words(at.step)].concat()).unwrap()
        }
        "noise/first_sample" => Tensor::u32([], [at.first_sample]).unwrap(),
        "noise/first_row" => Tensor::u32([2], [at.first_row, 0]).unwrap(),
        _ => match others.iter().find(|(other, _)| *other == name) {
            Some((_, tensor)) => tensor.clone(),
            None => parameters.get(name).unwrap().tensor.clone(),
        },
    };
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|input| bind(&input.name)).collect();
    evaluate(graph, &inputs).unwrap().iter().map(|tensor| tensor.as_f32().unwrap().to_vec()).collect()
}

/// A graph that calls a layer on an input `x`, with noise.
pub fn graph(
    layer: &dyn Layer,
    parameters: &Parameters,
    x: &[usize],
    samples: Option<usize>,
    outputs: impl for<'b> Fn(&Builder, &Call<'b>) -> Result<(), Error>,
) -> Graph {
    let builder = Builder::new();
    let mut context = Context::new(Scope::bind(&builder, parameters).unwrap()).noise(noise_inputs(&builder));
    if let Some(samples) = samples {
        context = context.samples(samples);
    }
    let x = context.input(builder.input("x", Type::f32(x)));
    outputs(&builder, &layer.call(&context, x).unwrap()).unwrap();
    builder.finish().unwrap()
}

/// As [`graph`], with the layer's output alone.
pub fn forward(layer: &dyn Layer, parameters: &Parameters, x: &[usize], samples: Option<usize>) -> Graph {
    graph(layer, parameters, x, samples, |builder, call| {
        builder.output("y", call.output);
        Ok(())
    })
}

/// What a layer gives for an input, at the first address of noise.
pub fn of(layer: &dyn Layer, parameters: &Parameters, x: &Tensor) -> Vec<f32> {
    run(&forward(layer, parameters, x.shape(), None), parameters, &[("x", x.clone())], At::default()).remove(0)
}

/// The noise operations of a graph.
pub fn noise_count(graph: &Graph) -> usize {
    graph.nodes().iter().filter(|node| matches!(node.op, Op::Noise(_))).count()
}

/// Standard normals that no layer draws.
pub fn normals(count: usize, seed: u64) -> Vec<f32> {
    let mut out = vec![0.0; count];
    noise::fill_row(bayeslift_ir::NoiseDistribution::Normal, noise::stream("tests", "data"), seed, 0, 0, 0, &mut out);
    out
}

/// A tensor of standard normals.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::f32(shape, normals(shape.iter().product(), seed)).unwrap()
}

/// A scalar function of one input `x`, evaluated at each element.
pub fn map(x: &[f32], function: impl for<'b> Fn(Expr<'b>) -> Expr<'b>) -> Vec<f32> {
    let builder = Builder::new();
    builder.output("y", function(builder.input("x", Type::f32([x.len()]))));
    let x = Tensor::f32([x.len()], x).unwrap();
    evaluate(&builder.finish().unwrap(), &[x]).unwrap()[0].as_f32().unwrap().to_vec()
}
