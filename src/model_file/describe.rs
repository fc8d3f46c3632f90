//! What a model file says about a network in words and as a graph.

use super::{Described, DescribedParameter, Description, VERSION};
use crate::{Error, Network};
use bayeslift_ir::{Binary, Builder, Expr, Op};
use bayeslift_layers::{Distribution, Group, Likelihood, Scale, Term};

pub(super) fn description(network: &Network) -> Result<Description, Error> {
    let parameters = network.parameters().iter();
    let parameters = parameters.map(|(path, parameter)| DescribedParameter {
        path: path.to_owned(),
        group: parameter.group.name().to_owned(),
        trainable: parameter.trainable,
    });
    let builder = Builder::new();
    let terms = network.on_rows(&builder, 1)?.1.terms;
    Ok(Description {
        version: VERSION,
        seed: network.seed(),
        training_examples: network.training_examples(),
        input: network.input().to_vec(),
        likelihood: likelihood(network),
        parameters: parameters.collect(),
        parameterization: parameterization(network, &terms),
        posteriors: each(&terms, |term| distribution(&term.posterior)),
        priors: each(&terms, |term| distribution(&term.prior)),
        summary: network.summary(),
        graph: network.graph(1)?.to_string(),
    })
}

/// What each random variable of the network has as its posterior.
pub fn posteriors(network: &Network) -> Result<Vec<Described>, Error> {
    let builder = Builder::new();
    let terms = network.on_rows(&builder, 1)?.1.terms;
    Ok(each(&terms, |term| distribution(&term.posterior)))
}

fn each(terms: &[Term<'_>], of: impl Fn(&Term<'_>) -> String) -> Vec<Described> {
    terms.iter().map(|term| Described { path: term.site.path(), text: of(term) }).collect()
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

/// How scales are made of parameters: the positive numbers that are stored as any real ones.
fn parameterization(network: &Network, terms: &[Term<'_>]) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    for term in terms {
        let scale = match &term.posterior {
            Distribution::Normal(posterior) => posterior.scale,
            Distribution::LocationScale(posterior) => posterior.scale,
            _ => continue,
        };
        for path in parameters(scale) {
            if !all.iter().any(|described| described.path == path) {
                all.push(Described { path, text: format!("scale = {}", expression(scale)) });
            }
        }
    }
    let likelihood = network.parameters().iter().filter(|(_, parameter)| parameter.group == Group::Likelihood);
    all.extend(
        likelihood
            .filter(|(path, _)| path.ends_with("raw_scale"))
            .map(|(path, _)| Described { path: path.to_owned(), text: format!("scale = softplus({path}) + 1e-5") }),
    );
    all
}

/// The parameters that a value is made of.
fn parameters(x: Expr<'_>) -> Vec<String> {
    let graph = x.builder().graph();
    let (mut stack, mut seen, mut found) = (vec![x.value()], Vec::new(), Vec::new());
    while let Some(value) = stack.pop() {
        if seen.contains(&value) {
            continue;
        }
        seen.push(value);
        match graph.node(value).op {
            Op::Input(i) => found.push(graph.inputs()[i as usize].name.clone()),
            _ => stack.extend(&graph.node(value).args),
        }
    }
    found
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

/// What stands for a value that is not made of parameters by the element.
pub const COMPUTED: &str = "computed; see the graph";

/// A constant, a parameter, or what is made of them by the element; of others only that they are computed.
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
        Op::Unary(function) => format!("{}({})", function.name(), expression(arg(0))),
        Op::Binary(Binary::Add) => format!("{} + {}", expression(arg(0)), expression(arg(1))),
        Op::Binary(function) => format!("{}({}, {})", function.name(), expression(arg(0)), expression(arg(1))),
        _ => COMPUTED.to_owned(),
    }
}
