//! Why a step is not finite: which value was the first that is not.

use super::{Scalars, StepInput, Trainer, graph::StepGraph, graph::Updates, tensors};
use crate::{Backend, Error, Network, dataset::check_finite, engine::Engine};
use bayeslift_ir::{Builder, DType, Graph, Op, Value};
use bayeslift_runtime::{Options, Rewriting};

/// What was seen not to be finite.
#[derive(Clone, Copy)]
pub(super) enum Culprit<'a> {
    Loss,
    /// What the parameter, state or statistic of this path was to become.
    Update(&'a str),
}

/// Where to look for the reason.
pub(super) fn cause(
    trainer: &mut Trainer,
    network: &mut Network,
    input: &StepInput<'_>,
    scalars: &Scalars,
    culprit: Culprit<'_>,
) -> String {
    let inputs = check_finite("inputs", network.input().elements(), &input.inputs.into());
    let numbers = input.targets.numbers();
    let targets = numbers.map_or(Ok(()), |(units, values)| check_finite("targets", units.max(1), &values));
    let parameters = network.parameters().check_finite().map_err(Error::from);
    if let Err(error) = inputs.and(targets).and(parameters) {
        return error.to_string();
    }
    // An error on the way to the reason is not the reason.
    let origin = match origin(trainer, network, input, scalars, culprit).ok().flatten() {
        Some(First::Unseen(sentence)) => return sentence,
        Some(First::Operation(first)) => format!(", {first}"),
        None => String::new(),
    };
    match culprit {
        Culprit::Loss => format!("parameters and data are finite, so the forward pass overflowed{origin}"),
        Culprit::Update(_) => {
            format!("parameters, data and loss are finite, so what is behind the loss overflowed{origin}")
        }
    }
}

/// What was not finite first.
enum First {
    /// An operation, in words.
    Operation(String),
    /// What is not a number on purpose, since an input is no category; as a sentence.
    Unseen(String),
}

/// The value that is not finite though all that it is made of is.
fn origin(
    trainer: &mut Trainer,
    network: &mut Network,
    input: &StepInput<'_>,
    scalars: &Scalars,
    culprit: Culprit<'_>,
) -> Result<Option<First>, Error> {
    let form = input.form(network.rows(input.inputs)?);
    let step = trainer.step_graph(network, form, Updates::Aside)?;
    let name = match culprit {
        Culprit::Loss => "loss",
        Culprit::Update(path) => path,
    };
    let Some(output) = step.graph.outputs().iter().find(|output| output.name == name) else { return Ok(None) };
    let mut value = output.value;
    let looks = |value: Value| step.graph.ty(value).dtype == network.dtype() && !is_leaf(&step.graph.node(value).op);
    let looked_at: Vec<Value> = ancestors(&step.graph, value).into_iter().filter(|value| looks(*value)).collect();
    let plain = |options: &Options| options.clone().rewriting(Rewriting::Off).into();
    let backend = trainer.options.backend.options().map_or(Backend::Reference, plain);
    let engine = Engine::new(counting(step.graph.clone(), &looked_at)?, &backend)?;
    let mut session = engine.session()?;
    engine.call(&mut session, &mut scalars.arguments(tensors(network, &mut trainer.state), input))?;
    let counts = session.outputs[session.outputs.len() - looked_at.len()..].iter();
    let counts = counts.map(|count| count.to_f64s().is_some_and(|count| count[0] > 0.0));
    let bad: Vec<Value> = looked_at.into_iter().zip(counts).filter(|(_, bad)| *bad).map(|(value, _)| value).collect();
    if !bad.contains(&value) {
        return Ok(None);
    }
    // operands come before what is made of them
    while let Some(operand) = step.graph.node(value).args.iter().filter(|arg| bad.contains(arg)).min() {
        value = *operand;
    }
    if let Some(select) = unseen(&step.graph, value) {
        let b = Builder::from(step.graph.clone());
        let is_known = b.expr(step.graph.node(select).args[0]);
        b.output("unseen", is_known.select(0.0, 1.0));
        let engine = Engine::new(b.finish()?, &backend)?;
        let mut session = engine.session()?;
        engine.call(&mut session, &mut scalars.arguments(tensors(network, &mut trainer.state), input))?;
        let found = session.outputs.last().and_then(|found| found.to_f64s()).unwrap_or_default();
        let each = (found.len() / form.rows).max(1);
        let row = found.iter().position(|&unseen| unseen > 0.0).map_or(0, |element| element / each % form.rows);
        let place = place(&step, network, select);
        return Ok(Some(First::Unseen(format!("row {row} has a category that is unseen {place}"))));
    }
    Ok(Some(First::Operation(format!("first {}", describe(&step, network, value)))))
}

/// The selection that puts what is not a number in the place of a row, if this is its constant.
fn unseen(graph: &Graph, value: Value) -> Option<Value> {
    let node = graph.node(value);
    let is_constant = matches!(node.op, Op::Broadcast(_)) && graph.number(node.args[0]).is_some_and(f64::is_nan);
    let is_of_it = |user: &Value| graph.node(*user).op == Op::Select && graph.node(*user).args[2] == value;
    graph.values().find(|user| is_constant && is_of_it(user))
}

fn is_leaf(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::Constant(_) | Op::Noise(_))
}

/// All that a value is made of, and the value.
fn ancestors(graph: &Graph, value: Value) -> Vec<Value> {
    let mut is_needed = vec![false; value.index() + 1];
    is_needed[value.index()] = true;
    for value in graph.values().take(value.index() + 1).rev() {
        if is_needed[value.index()] {
            graph.node(value).args.iter().for_each(|arg| is_needed[arg.index()] = true);
        }
    }
    graph.values().zip(is_needed).filter(|(_, is_needed)| *is_needed).map(|(value, _)| value).collect()
}

/// The graph with more outputs: how many elements of each value are not finite.
fn counting(graph: Graph, values: &[Value]) -> Result<Graph, Error> {
    let b = Builder::from(graph);
    for value in values {
        let x = b.expr(*value);
        let largest = if x.dtype() == DType::F64 { f64::MAX } else { f32::MAX.into() };
        b.output(&format!("not finite/{value}"), x.abs().less_equal(largest).select(0.0, 1.0).sum_all());
    }
    Ok(b.finish()?)
}

/// The operation of a value, its type, and the layer that it belongs to.
pub(super) fn describe(step: &StepGraph, network: &Network, value: Value) -> String {
    let (op, ty) = (step.graph.node(value).op.name(), step.graph.ty(value));
    format!("in a `{op}` {}, of type {ty}", place(step, network, value))
}

/// The part of the network, or of the step, that a value is from.
fn place(step: &StepGraph, network: &Network, value: Value) -> String {
    let origin = step.graph.origin(value);
    match (&*origin.scope, origin.scope.strip_suffix("/divergence")) {
        (scope, _) if origin.is_gradient || scope.starts_with("update/") => format!("of the {origin}"),
        (scope @ ("likelihood" | "loss"), _) => format!("in the {scope}"),
        (_, Some(variable)) => format!("in the divergence of `{variable}`"),
        ("", _) => format!("in layer `{}`", network.layer().name()),
        (layer, _) => format!("in layer `{layer}`"),
    }
}
