//! The graphs that predictions are made of: that of a network, and that of the law of its output.

use crate::{Error, Network};
use bayeslift_ir::{Builder, DType, Expr, Graph, Shape, Type};
use bayeslift_layers::{
    Context, Group, Parameters, PosteriorValue, Scope,
    likelihood::{Observed, Support, Target, TargetNoise},
    noise_inputs,
};

/// What a law tells of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Probabilities,
    Entropy,
    Mean,
    Variance,
    /// A target.
    Draw,
    /// The log density of each row's `targets` where they are `present`, a mask of events.
    LogProb,
    /// The probability of numbers up to `at`, which are like targets.
    Cdf,
}

impl Quantity {
    /// What the output of a law's graph is called.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Probabilities => "probabilities",
            Quantity::Entropy => "entropy",
            Quantity::Mean => "mean",
            Quantity::Variance => "variance",
            Quantity::Draw => "draw",
            Quantity::LogProb => "log_prob",
            Quantity::Cdf => "cdf",
        }
    }

    /// Its shape for `samples` samples and `rows` rows.
    pub fn shape(self, target: &Target, [samples, rows]: [usize; 2]) -> Shape {
        let classes = [target.classes().unwrap_or(2)];
        let of_row: [&[usize]; 2] = match self {
            Quantity::Probabilities => [&target.events, &classes],
            Quantity::Entropy => [&target.events, &[]],
            Quantity::Mean | Quantity::Variance | Quantity::Draw | Quantity::Cdf => [&target.shape, &[]],
            Quantity::LogProb => [&[], &[]],
        };
        [&[samples, rows], of_row[0], of_row[1]].concat().as_slice().into()
    }
}

/// The types of what is asked about, for `rows` rows: `targets`, `present` and `at`.
pub fn asked(target: &Target, rows: usize, float: DType) -> [(&'static str, Type); 3] {
    let events: Shape = [rows].iter().chain(target.events.iter()).copied().collect();
    let targets = target.ty(rows, float);
    let at = Type::new(float, targets.shape.clone());
    [("targets", targets), ("present", Type::new(DType::Mask, events)), ("at", at)]
}

/// The graph of a network on a block: see [`Model::network`].
pub fn network_graph(
    network: &Network,
    value: Option<&PosteriorValue>,
    samples: usize,
    rows: usize,
) -> Result<Graph, Error> {
    let b = network.builder();
    let context = context(Scope::bind(&b, network.parameters())?, value, samples);
    let x = b.input("x", network.batch_type(rows));
    b.output("output", network.call(&context, x)?.output);
    Ok(b.finish()?)
}

/// The law of a block, from the likelihood's parameters, the noise address and `output`, and from what is [`asked`]
/// about. Outputs are the [quantities](Quantity) that it tells, for as many samples as the output has; draws for all.
pub fn law_graph(
    network: &Network,
    value: Option<&PosteriorValue>,
    output: Type,
    [samples, rows]: [usize; 2],
) -> Result<Graph, Error> {
    let builder = network.builder();
    add_law(&builder, network, value, output, [samples, rows])?;
    Ok(builder.finish()?)
}

fn add_law<'b>(
    b: &'b Builder,
    network: &Network,
    value: Option<&PosteriorValue>,
    output: Type,
    [samples, rows]: [usize; 2],
) -> Result<(), Error> {
    let mut parameters = Parameters::new();
    for (path, parameter) in network.parameters().iter().filter(|(_, p)| p.group == Group::Likelihood) {
        parameters.insert(path, parameter.clone())?;
    }
    let scope = Scope::bind(b, &parameters)?;
    let context = context(scope.clone(), value, samples);
    let output = b.input("output", output);
    let (likelihood, target) = (network.likelihood(), network.target());
    let [targets, present, at] = asked(target, rows, b.float()).map(|(name, ty)| b.input(name, ty));
    let law = likelihood.law(&scope, output)?;
    let of_output = output.shape().first().copied().unwrap_or(1);
    let tell = |quantity: Quantity, x: Option<Expr<'b>>, samples: usize| {
        let shape = quantity.shape(target, [samples, rows]);
        x.into_iter().for_each(|x| b.output(quantity.name(), shown(x.broadcast(&shape), output)));
    };
    // errors name what of the law they are in
    let tell = |quantity: Quantity, samples: usize, x: &dyn Fn() -> Option<Expr<'b>>| {
        b.scoped(&format!("law/{}", quantity.name()), || tell(quantity, x(), samples));
    };
    tell(Quantity::Probabilities, of_output, &|| law.probabilities());
    tell(Quantity::Entropy, of_output, &|| {
        Some(law.probabilities()?).map(|p| law.entropy().unwrap_or_else(|| entropy(p)))
    });
    tell(Quantity::Mean, of_output, &|| law.mean());
    tell(Quantity::Variance, of_output, &|| law.variance());
    if !matches!(target.support, Support::Simplex(_)) {
        tell(Quantity::Cdf, of_output, &|| law.cdf(if target.support.is_discrete() { at.floor() } else { at }));
    }
    let shape = Quantity::Draw.shape(target, [samples, rows]);
    let noise = TargetNoise::new(context.child("likelihood").site("target"), shape)?;
    tell(Quantity::Draw, samples, &|| law.draw(&noise).map(Expr::to_float));
    let observed = Observed { targets, present: Some(present), weights: None };
    let log_prob = b.scoped("law/log_prob", || likelihood.log_prob(&scope, output, &observed))?;
    tell(Quantity::LogProb, of_output, &|| Some(log_prob));
    Ok(b.check()?)
}

/// Whether the law of a network's output `[positions.., outputs]` can be told.
///
/// # Errors
/// What is wrong with it, such as types that do not fit, with the name of what tells it.
pub fn check(network: &Network, output: &[usize]) -> Result<(), Error> {
    let output = Type::new(network.dtype(), [&[1, 1], output].concat().as_slice());
    law_graph(network, None, output, [1, 1]).map(drop)
}

/// A quantity `[samples, rows, ..]`, which is not a number where the output of its row is not finite, if it is computed
/// in `f64`: only graphs of `f32` are watched for what hides an overflow.
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
