//! What a model file says about a network in words and as a graph.

use super::{Described, DescribedLayer, DescribedParameter, Description, EMITTER_VERSION, VERSION, prediction};
use crate::{Error, Network, error::short};
use bayeslift_ir::{Binary, Expr, Op};
use bayeslift_layers::{AnyDistribution, Group, LayerDescription, Term};

pub(super) fn description(network: &Network) -> Result<Description, Error> {
    let parameters = network.parameters().iter();
    let parameters = parameters.map(|(path, parameter)| DescribedParameter {
        path: path.to_owned(),
        group: parameter.group.name().to_owned(),
        trainable: parameter.trainable,
    });
    let builder = network.builder();
    let terms = network.on_rows(&builder, 1)?.1.terms;
    Ok(Description {
        version: VERSION,
        emitter: Some(EMITTER_VERSION),
        seed: network.seed(),
        training_examples: network.training_examples(),
        steps: Some(network.steps()),
        epochs: Some(network.epochs()),
        input: network.input().to_vec(),
        likelihood: network.likelihood().describe(),
        parameters: parameters.collect(),
        parameterization: parameterization(network, &terms),
        posteriors: each(&terms, |term| distribution(&term.posterior)),
        priors: each(&terms, |term| distribution(&term.prior)),
        layers: Some(layers(network)),
        summary: network.summary(),
        graph: network.graph(1)?.to_string(),
        prediction: prediction::prediction(network),
        digest: None,
    })
}

/// The layers of the network, a container before those inside.
pub fn layers(network: &Network) -> Vec<DescribedLayer> {
    fn walk(path: String, layer: LayerDescription, all: &mut Vec<DescribedLayer>) {
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let inner: Vec<(String, LayerDescription)> =
            layer.layers.into_iter().map(|(name, layer)| (inside(&name), layer)).collect();
        all.push(DescribedLayer { path, kind: layer.kind, options: layer.options.into_iter().collect() });
        inner.into_iter().for_each(|(path, layer)| walk(path, layer, all));
    }
    let mut all = Vec::new();
    walk(String::new(), network.layer().describe(), &mut all);
    all
}

/// What each random variable of the network has as its posterior and as its prior.
pub fn posteriors_and_priors(network: &Network) -> Result<[Vec<Described>; 2], Error> {
    let builder = network.builder();
    let terms = network.on_rows(&builder, 1)?.1.terms;
    Ok([each(&terms, |term| distribution(&term.posterior)), each(&terms, |term| distribution(&term.prior))])
}

fn each(terms: &[Term<'_>], of: impl Fn(&Term<'_>) -> String) -> Vec<Described> {
    terms.iter().map(|term| Described { path: term.site.path(), text: of(term) }).collect()
}

/// How scales, and what else a distribution has besides a location, are made of parameters: positive numbers that are
/// stored as any real ones.
fn parameterization(network: &Network, terms: &[Term<'_>]) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    for term in terms {
        let parameters_of = term.posterior.parameters();
        for (name, made) in parameters_of.into_iter().filter(|(name, _)| *name != "loc") {
            for path in parameters(made) {
                if !all.iter().any(|described| described.path == path) {
                    all.push(Described { path, text: format!("{name} = {}", expression(made)) });
                }
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

pub fn distribution(distribution: &AnyDistribution<'_>) -> String {
    distribution.describe(&|value| expression(value))
}

/// What stands for a value that is not made of parameters by the element.
pub const COMPUTED: &str = "computed; see the graph";

/// A constant, a parameter, or what is made of them by the element; of others only that they are computed.
fn expression(x: Expr<'_>) -> String {
    shallow(x, 12)
}

/// As [`expression`], with functions nested at most `depth` deep: written out, what shares values may have no end.
fn shallow(x: Expr<'_>, depth: u32) -> String {
    let builder = x.builder();
    let graph = builder.graph();
    if let Some(constant) = graph.number(x.value()) {
        return short(constant);
    }
    let node = graph.node(x.value());
    let Some(deeper) = depth.checked_sub(1) else { return COMPUTED.to_owned() };
    let arg = |i: usize| shallow(builder.expr(node.args[i]), deeper);
    match &node.op {
        Op::Input(i) => graph.inputs()[*i as usize].name.clone(),
        Op::Broadcast(_) | Op::Reshape(_) => arg(0),
        Op::Unary(function) => format!("{}({})", function.name(), arg(0)),
        Op::Binary(Binary::Add) => format!("{} + {}", arg(0), arg(1)),
        Op::Binary(function) => format!("{}({}, {})", function.name(), arg(0), arg(1)),
        _ => COMPUTED.to_owned(),
    }
}
