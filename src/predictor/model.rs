//! What a predictor predicts with: parameters, and the graphs of a block of samples and rows.

use super::{PredictorOptions, template::Template};
use crate::{Error, Network};
use bayeslift_ir::{Builder, DType, Expr, Foreign, Graph, Shape, Type, Value};
use bayeslift_layers::{
    Context, Group, Parameters, PosteriorValue, Scope,
    likelihood::{Observed, Support, Target, TargetNoise},
    noise_inputs,
};
use std::collections::HashMap;

/// Parameters with what is computed of them.
#[derive(Debug)]
pub struct Model {
    source: Source,
    pub input: Shape,
    pub target: Target,
    /// The likelihood, in words.
    pub likelihood: String,
    pub seed: u64,
}

/// Where graphs come from.
#[derive(Debug)]
enum Source {
    /// The layers and the likelihood make them.
    Network { network: Box<Network>, value: Option<PosteriorValue> },
    /// They were made before, for any number of samples and rows.
    Stored { parameters: Parameters, network: Template, law: Template },
}

impl Model {
    pub fn of_network(network: &Network, options: &PredictorOptions) -> Model {
        Model {
            input: network.input().clone(),
            target: network.target().clone(),
            likelihood: network.likelihood().describe(),
            seed: network.seed(),
            source: Source::Network { network: Box::new(network.clone()), value: options.posterior_value.clone() },
        }
    }

    /// Of graphs that were made before.
    ///
    /// # Errors
    /// Graphs that are not those of such parameters, inputs and targets.
    pub fn stored(
        parameters: Parameters,
        [network, law]: [Template; 2],
        (input, seed): (Shape, u64),
        (target, likelihood): (Target, String),
    ) -> Result<Model, Error> {
        let source = Source::Stored { parameters, network, law };
        let model = Model { source, input, target, likelihood, seed };
        let sizes = [2, 3];
        let network = model.network(sizes[0], sizes[1])?;
        let output = output_type(&network)?;
        let law = model.law(output.clone(), sizes[0], sizes[1])?;
        model.check_inputs(&network, &[("x", model.batch_type(sizes[1]))])?;
        let targets = model.target.ty(sizes[1]);
        let at = Type::f32(targets.shape.clone());
        let events: Shape = sizes[1..].iter().chain(model.target.events.iter()).copied().collect();
        let present = Type::new(DType::Mask, events);
        model.check_inputs(&law, &[("output", output), ("targets", targets), ("present", present), ("at", at)])?;
        Ok(model)
    }

    /// Whether a graph reads nothing but parameters, the address of noise, and these.
    fn check_inputs(&self, graph: &Graph, others: &[(&str, Type)]) -> Result<(), Error> {
        let b = Builder::new();
        let noise = noise_inputs(&b);
        let noise = NOISE.into_iter().zip([noise.key, noise.first_sample, noise.first_row].map(Expr::ty));
        let others: Vec<(&str, Type)> = noise.chain(others.iter().cloned()).collect();
        for input in graph.inputs() {
            let parameter = self.parameters().get(&input.name).ok().map(|parameter| parameter.tensor.ty());
            let other = || others.iter().find(|(name, _)| *name == input.name).map(|(_, ty)| ty.clone());
            let (found, name) = (graph.ty(input.value), Foreign::new(&input.name));
            match parameter.or_else(other) {
                Some(expected) if expected == *found => {}
                Some(expected) => {
                    return Err(Error::argument(format!("the type of the input `{name}`"), expected, found));
                }
                None => return Err(Error::argument("an input", "a parameter or what a call is given", name)),
            }
        }
        Ok(())
    }

    pub fn parameters(&self) -> &Parameters {
        match &self.source {
            Source::Network { network, .. } => network.parameters(),
            Source::Stored { parameters, .. } => parameters,
        }
    }

    /// Takes over the parameters of a network of the same layers.
    pub fn set_parameters(&mut self, from: &Network) -> Result<(), Error> {
        if let Source::Network { network, .. } = &self.source {
            network.check(from.parameters())?;
        }
        let own = match &mut self.source {
            Source::Network { network, .. } => network.parameters_mut(),
            Source::Stored { parameters, .. } => parameters,
        };
        if from.parameters().len() != own.len() {
            let expected = format!("{}, as the predictor was compiled for", own.len());
            return Err(Error::argument("the number of parameters", expected, from.parameters().len()));
        }
        // all are compared before one is changed
        for (path, parameter) in own.iter() {
            let (expected, found) = (parameter.tensor.ty(), from.parameters().get(path)?.tensor.ty());
            if expected != found {
                return Err(Error::argument(format!("the type of the parameter `{path}`"), expected, found));
            }
        }
        for (path, parameter) in own.iter_mut() {
            parameter.tensor.clone_from(&from.parameters().get(path)?.tensor);
        }
        Ok(())
    }

    /// The type of a batch of inputs.
    pub fn batch_type(&self, rows: usize) -> Type {
        Type::f32([rows].iter().chain(self.input.iter()).copied().collect::<Shape>())
    }

    /// The network on a block: from parameters, noise address and `x` to `output`.
    pub fn network(&self, samples: usize, rows: usize) -> Result<Graph, Error> {
        match &self.source {
            Source::Network { network, value } => network_graph(network, value.as_ref(), samples, rows),
            Source::Stored { network, .. } => network.graph(samples, rows),
        }
    }

    /// The law of a block, of an output of this type: see [`law_graph`].
    fn law(&self, output: Type, samples: usize, rows: usize) -> Result<Graph, Error> {
        match &self.source {
            Source::Network { network, value } => law_graph(network, value.as_ref(), output, [samples, rows]),
            Source::Stored { law, .. } => law.graph(samples, rows),
        }
    }

    /// A block in this builder, made of parameters, noise address and what it begins with.
    pub fn block<'b>(&self, b: &'b Builder, from: From, samples: usize, rows: usize) -> Result<Block<'b>, Error> {
        let parameters = self.parameters().iter();
        let mut known: HashMap<String, Expr<'b>> =
            parameters.map(|(path, parameter)| (path.to_owned(), b.input(path, parameter.tensor.ty()))).collect();
        let noise = noise_inputs(b);
        for (name, expr) in NOISE.iter().zip([noise.key, noise.first_sample, noise.first_row]) {
            known.insert((*name).to_owned(), expr);
        }
        let network = self.network(samples, rows)?;
        let ty = output_type(&network)?;
        match from {
            From::Inputs => {
                known.insert("x".to_owned(), b.input("x", self.batch_type(rows)));
                let output = inline(b, &network, "output", &mut known).expect("its type is known");
                known.insert("output".to_owned(), output);
            }
            From::Output => drop(known.insert("output".to_owned(), b.input("output", ty.clone()))),
        }
        let law = self.law(ty, samples, rows)?;
        Ok(Block { b, law, known, samples, first_sample: noise.first_sample })
    }
}

/// What a block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The network's inputs.
    Inputs,
    /// Its output.
    Output,
}

/// The type of a network's output.
pub fn output_type(network: &Graph) -> Result<Type, Error> {
    let output = network.outputs().iter().find(|output| output.name == "output");
    let output = output.ok_or_else(|| Error::argument("the network's graph", "one with an output", "another"))?;
    Ok(network.ty(output.value).clone())
}

/// What noise is addressed by, as inputs are named.
const NOISE: [&str; 3] = ["noise/key", "noise/first_sample", "noise/first_row"];

/// A block of samples and rows under construction.
pub struct Block<'b> {
    pub b: &'b Builder,
    pub samples: usize,
    pub first_sample: Expr<'b>,
    law: Graph,
    known: HashMap<String, Expr<'b>>,
}

impl<'b> Block<'b> {
    /// What the law tells under this name, see [`law_graph`], or the network's `output`; inputs that it needs become inputs of the block.
    pub fn quantity(&mut self, name: &str) -> Option<Expr<'b>> {
        if name == "output" {
            return self.known.get(name).copied();
        }
        inline(self.b, &self.law, name, &mut self.known)
    }
}

/// An output of a graph, made in a builder: of expressions that are known by the names of the graph's inputs, or else of new inputs,
/// which are known then.
fn inline<'b>(b: &'b Builder, graph: &Graph, name: &str, known: &mut HashMap<String, Expr<'b>>) -> Option<Expr<'b>> {
    let output = graph.outputs().iter().find(|output| output.name == name)?.value;
    let mut needed = vec![false; graph.nodes().len()];
    needed[output.index()] = true;
    for value in graph.values().rev().filter(|&value| value <= output) {
        if needed[value.index()] {
            graph.node(value).args.iter().for_each(|arg| needed[arg.index()] = true);
        }
    }
    let mut made: HashMap<Value, Expr<'b>> = HashMap::new();
    for input in graph.inputs().iter().filter(|input| needed[input.value.index()]) {
        let new = || b.input(&input.name, graph.ty(input.value).clone());
        made.insert(input.value, *known.entry(input.name.clone()).or_insert_with(new));
    }
    for value in graph.values().filter(|value| needed[value.index()]) {
        if !made.contains_key(&value) {
            let node = graph.node(value);
            let args: Vec<Expr<'b>> = node.args.iter().map(|arg| made[arg]).collect();
            made.insert(value, b.push(node.op.clone(), &args));
        }
    }
    Some(made[&output])
}

/// The graph of a network on a block: see [`Model::network`].
pub fn network_graph(
    network: &Network,
    value: Option<&PosteriorValue>,
    samples: usize,
    rows: usize,
) -> Result<Graph, Error> {
    let b = Builder::new();
    let context = context(Scope::bind(&b, network.parameters())?, value, samples);
    let x = b.input("x", network.batch_type(rows));
    b.output("output", network.call(&context, x)?.output);
    Ok(b.finish()?)
}

/// The law of a block, from the likelihood's parameters, the noise address and `output`. Outputs are what it tells of these, each with the
/// axes `[samples, rows]` in front: `probabilities`, `entropy`, `mean`, `variance`; `draw`, a target; of the inputs `targets` and `present`, a mask of events, `log_prob` of
/// each row; of the input `at`, numbers like targets, `cdf`.
pub fn law_graph(
    network: &Network,
    value: Option<&PosteriorValue>,
    output: Type,
    [samples, rows]: [usize; 2],
) -> Result<Graph, Error> {
    let b = Builder::new();
    let mut parameters = Parameters::new();
    for (path, parameter) in network.parameters().iter().filter(|(_, p)| p.group == Group::Likelihood) {
        parameters.insert(path, parameter.clone())?;
    }
    let scope = Scope::bind(&b, &parameters)?;
    let context = context(scope.clone(), value, samples);
    let output = b.input("output", output);
    let likelihood = network.likelihood();
    let law = likelihood.law(&scope, output)?;
    let (target, ty) = (network.target(), network.target().ty(rows));
    let optional = |name: &str, quantity: Option<Expr<'_>>| {
        quantity.into_iter().for_each(|x| b.output(name, shown(x, output)));
    };
    let probabilities = law.probabilities();
    optional("probabilities", probabilities);
    optional("entropy", probabilities.and_then(|probabilities| law.entropy().or(Some(entropy(probabilities)))));
    let each: Shape = output.shape().iter().take(1).chain(ty.shape.iter()).copied().collect();
    optional("mean", law.mean().map(|mean| mean.broadcast(&each)));
    optional("variance", law.variance().map(|variance| variance.broadcast(&each)));
    if !matches!(target.support, Support::Classes(_) | Support::Simplex(_)) {
        let at = b.input("at", Type::f32(ty.shape.clone()));
        optional("cdf", law.cdf(if target.support.is_discrete() { at.floor() } else { at }));
    }
    let shape: Shape = [samples].iter().chain(ty.shape.iter()).copied().collect();
    optional("draw", law.draw(&TargetNoise::new(context.child("likelihood").site("target"), shape)?).map(Expr::to_f32));
    let events: Shape = [rows].iter().chain(target.events.iter()).copied().collect();
    let (targets, present) = (b.input("targets", ty), b.input("present", Type::new(DType::Mask, events)));
    let observed = Observed { targets, present: Some(present), weights: None };
    b.output("log_prob", shown(likelihood.log_prob(&scope, output, &observed)?, output));
    drop(law);
    b.check()?;
    let graph = b.graph().clone();
    Ok(graph)
}

/// A quantity `[samples, rows, ..]` in which an output that is not finite shows. In `f32` it is watched what hides that; what a law computes in
/// `f64` is not, so that there it becomes no number.
fn shown<'b>(quantity: Expr<'b>, output: Expr<'b>) -> Expr<'b> {
    let is_made_in_f64 = {
        let graph = quantity.builder().graph();
        let mut of_output = vec![false; graph.nodes().len()];
        let mut in_f64 = of_output.clone();
        of_output[output.value().index()] = true;
        for value in graph.values().filter(|value| *value <= quantity.value()) {
            let node = graph.node(value);
            let (index, args) = (value.index(), node.args.iter().map(|arg| arg.index()));
            of_output[index] |= args.clone().any(|arg| of_output[arg]);
            in_f64[index] = of_output[index] && (node.ty.dtype == DType::F64 || args.clone().any(|arg| in_f64[arg]));
        }
        in_f64[quantity.value().index()]
    };
    if !is_made_in_f64 {
        return quantity;
    }
    // 0, or no number: the sum over all but samples and rows
    let zero = (2..output.shape().len()).rev().fold(output * 0.0, Expr::sum);
    let mut shape = zero.shape().to_vec();
    shape.resize(quantity.shape().len(), 1);
    let zero = zero.reshape(shape.as_slice());
    quantity + if quantity.dtype() == DType::F64 { zero.to_f64() } else { zero }
}

/// That of labels with these probabilities, over the last axis.
fn entropy(probabilities: Expr<'_>) -> Expr<'_> {
    let axis = probabilities.shape().len().saturating_sub(1);
    -probabilities.equal(0.0).select(0.0, probabilities * probabilities.log()).sum(axis)
}

fn context<'b>(scope: Scope<'b>, value: Option<&PosteriorValue>, samples: usize) -> Context<'b> {
    let noise = noise_inputs(scope.builder());
    let context = Context::new(scope).noise(noise).samples(samples);
    value.map_or(context.clone(), |value| context.posterior_value(value.clone()))
}
