//! What a model file says about a network in words and as a graph.

use super::{Described, DescribedParameter, Description, VERSION};
use crate::{Error, Network};
use bayeslift_ir::{Builder, Expr, Op, Unary};
use bayeslift_layers::{Distribution, Group, Likelihood, Scale, Term};

pub(super) fn description(network: &Network) -> Result<Description, Error> {
    let parameters = network.parameters().iter();
    let parameters = parameters.map(|(path, parameter)| DescribedParameter {
        path: path.to_owned(),
        group: parameter.group.name().to_owned(),
        trainable: parameter.trainable,
    });
    let builder = Builder::new();
    let (_, call) = network.on_rows(&builder, 1)?;
    let each = |of: &dyn Fn(&Term<'_>) -> String| {
        call.terms.iter().map(|term| Described { path: term.site.path(), text: of(term) }).collect()
    };
    Ok(Description {
        version: VERSION,
        seed: network.seed(),
        training_examples: network.training_examples(),
        input: network.input().to_vec(),
        likelihood: likelihood(network),
        parameters: parameters.collect(),
        parameterization: parameterization(network),
        posteriors: each(&|term| distribution(&term.posterior)),
        priors: each(&|term| distribution(&term.prior)),
        summary: network.summary(),
        graph: network.graph(1)?.to_string(),
    })
}

/// The likelihood, without its learned numbers.
pub fn likelihood(network: &Network) -> String {
    let normal = |scale: &Scale| match scale {
        Scale::Fixed(scale) => format!("Normal(loc = output, scale = {scale})"),
        Scale::Learned { .. } => "Normal(loc = output, scale = softplus(likelihood/raw_scale) + 1e-5)".to_owned(),
    };
    match network.likelihood() {
        Likelihood::Categorical => "Categorical(logits = output)".to_owned(),
        Likelihood::Normal { scale } => normal(scale),
        Likelihood::SoftmaxCenteredNormal { scale } => format!("SoftmaxCentered({})", normal(scale)),
        other => format!("{other:?}"),
    }
}

/// The positive numbers that are stored as any real ones.
fn parameterization(network: &Network) -> Vec<Described> {
    let raw = network.parameters().iter().filter(|(path, parameter)| {
        matches!(parameter.group, Group::Scale | Group::Likelihood) && path.ends_with("raw_scale")
    });
    let text = |path: &str| format!("scale = softplus({path}) + 1e-5");
    raw.map(|(path, _)| Described { path: path.to_owned(), text: text(path) }).collect()
}

pub fn distribution(distribution: &Distribution<'_>) -> String {
    match distribution {
        Distribution::Normal(d) => format!("Normal(loc = {}, scale = {})", expression(d.loc), expression(d.scale)),
        Distribution::LocationScale(d) => {
            let degrees = d.degrees().map_or(String::new(), |degrees| format!("degrees = {degrees}, "));
            let (loc, scale) = (expression(d.loc), expression(d.scale));
            format!("{}({degrees}loc = {loc}, scale = {scale})", d.family())
        }
        Distribution::Deterministic(d) => format!("Deterministic({})", expression(d.loc)),
        Distribution::Mixture(mixture) => {
            let component = |(probability, d): &(f32, bayeslift_layers::distribution::Normal<'_>)| {
                format!("{probability} Normal(loc = {}, scale = {})", expression(d.loc), expression(d.scale))
            };
            mixture.components().iter().map(component).collect::<Vec<_>>().join(" + ")
        }
        other => other.family().to_owned(),
    }
}

/// A constant, a parameter, or a positive number made of one; of others only that they are computed.
fn expression(x: Expr<'_>) -> String {
    let builder = x.builder();
    let graph = builder.graph();
    if let Some(constant) = graph.constant(x.value()) {
        return constant.to_string();
    }
    let node = graph.node(x.value());
    let arg = |i: usize| builder.expr(node.args[i]);
    match &node.op {
        Op::Input(i) => graph.inputs()[*i as usize].name.clone(),
        Op::Broadcast(_) | Op::Reshape(_) => expression(arg(0)),
        Op::Unary(Unary::Softplus) => format!("softplus({})", expression(arg(0))),
        Op::Binary(bayeslift_ir::Binary::Add) => format!("{} + {}", expression(arg(0)), expression(arg(1))),
        _ => "computed; see the graph".to_owned(),
    }
}
