//! What a predictor predicts with: parameters, and the graphs of a block of samples and rows.

use super::{
    PredictorOptions,
    law::{self, Quantity, law_graph, network_graph},
    template::Template,
};
use crate::{Error, Network};
use bayeslift_ir::{Builder, DType, Expr, Foreign, Graph, Op, Shape, Type, Value};
use bayeslift_layers::{Parameters, PosteriorValue, likelihood::Target, noise_inputs};
use std::collections::HashMap;

/// Parameters with what is computed of them.
#[derive(Clone, Debug)]
pub struct Model {
    representation: Representation,
    pub input: Shape,
    /// The type of the network's floats.
    pub dtype: DType,
    pub target: Target,
    /// The likelihood, in words.
    pub likelihood: String,
    pub seed: u64,
}

/// What a model is made of, and its graphs with it.
#[derive(Clone, Debug)]
enum Representation {
    /// The layers and the likelihood make them.
    Network { network: Box<Network>, value: Option<PosteriorValue> },
    /// They were made before, for any number of samples and rows.
    Stored { parameters: Parameters, network: Template, law: Template },
}

impl Model {
    pub fn of_network(network: &Network, options: &PredictorOptions) -> Model {
        Model {
            input: network.input().clone(),
            dtype: network.dtype(),
            target: network.target().clone(),
            likelihood: network.likelihood().describe(),
            seed: network.seed(),
            representation: Representation::Network {
                network: Box::new(network.clone()),
                value: options.posterior_value.clone(),
            },
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
        let Target { shape, events, .. } = &target;
        if shape[..events.len().min(shape.len())] != events[..] || target.classes().is_some_and(|classes| classes < 2) {
            return Err(Error::argument(
                "what a target is",
                "a shape that begins with its events, or two classes",
                "another",
            ));
        }
        let representation = Representation::Stored { parameters, network, law };
        let mut model = Model { representation, input, dtype: DType::F32, target, likelihood, seed };
        let sizes = [2, 3];
        let network = model.network(sizes[0], sizes[1])?;
        let output = output_type(&network)?;
        model.dtype = output.dtype;
        let law = model.law(output.clone(), sizes[0], sizes[1])?;
        model.check_inputs(&network, &[("x", model.batch_type(sizes[1]))])?;
        let asked = law::asked(&model.target, sizes[1], model.dtype);
        let others: Vec<(&str, Type)> = [("output", output)].into_iter().chain(asked).collect();
        model.check_inputs(&law, &others)?;
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
        match &self.representation {
            Representation::Network { network, .. } => network.parameters(),
            Representation::Stored { parameters, .. } => parameters,
        }
    }

    /// Takes over the parameters of a network of the same layers.
    pub fn set_parameters(&mut self, from: &Network) -> Result<(), Error> {
        if let Representation::Network { network, .. } = &self.representation {
            network.check(from.parameters())?;
        }
        let own = match &mut self.representation {
            Representation::Network { network, .. } => network.parameters_mut(),
            Representation::Stored { parameters, .. } => parameters,
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
        Type::new(self.dtype, [rows].iter().chain(self.input.iter()).copied().collect::<Shape>())
    }

    /// The network on a block: from parameters, noise address and `x` to `output`.
    pub fn network(&self, samples: usize, rows: usize) -> Result<Graph, Error> {
        match &self.representation {
            Representation::Network { network, value } => network_graph(network, value.as_ref(), samples, rows),
            Representation::Stored { network, .. } => network.graph(samples, rows),
        }
    }

    /// Whether samples differ: whether a layer draws noise.
    pub fn draws(&self) -> Result<bool, Error> {
        let network = self.network(2, 3)?;
        let live = network.live();
        Ok(network.values().any(|value| live[value.index()] && matches!(network.node(value).op, Op::Noise(_))))
    }

    /// The law of a block, of an output of this type: see [`law_graph`].
    fn law(&self, output: Type, samples: usize, rows: usize) -> Result<Graph, Error> {
        match &self.representation {
            Representation::Network { network, value } => law_graph(network, value.as_ref(), output, [samples, rows]),
            Representation::Stored { law, .. } => law.graph(samples, rows),
        }
    }

    /// A block in this builder, made of parameters, noise address, what it begins with, and what is asked about.
    pub fn block<'b>(
        &'b self,
        b: &'b Builder,
        start: Start,
        asked: &[&str],
        [samples, rows]: [usize; 2],
    ) -> Result<BlockBuilder<'b>, Error> {
        let parameters = self.parameters().iter();
        let mut known: HashMap<String, Expr<'b>> =
            parameters.map(|(path, parameter)| (path.to_owned(), b.input(path, parameter.tensor.ty()))).collect();
        let noise = noise_inputs(b);
        for (name, expr) in NOISE.iter().zip([noise.key, noise.first_sample, noise.first_row]) {
            known.insert((*name).to_owned(), expr);
        }
        let network = self.network(samples, rows)?;
        let ty = output_type(&network)?;
        let fits =
            ty.dtype == self.dtype && ty.dtype.is_float() && ty.shape.len() > 2 && [1, samples].contains(&ty.shape[0]);
        if !fits || ty.shape[1] != rows {
            let expected = format!("{}[{samples},{rows},..,outputs]", self.dtype);
            return Err(Error::argument("the type of the network's output", expected, ty));
        }
        let output = match start {
            Start::Inputs => {
                known.insert("x".to_owned(), b.input("x", self.batch_type(rows)));
                inline(b, &network, "output", &known).expect("its type is known")
            }
            Start::Output => b.input("output", ty.clone()),
        };
        known.insert("output".to_owned(), output);
        for (name, ty) in law::asked(&self.target, rows, self.dtype) {
            if asked.contains(&name) {
                known.insert(name.to_owned(), b.input(name, ty));
            }
        }
        let law = self.law(ty, samples, rows)?;
        b.check()?;
        Ok(BlockBuilder {
            b,
            law,
            known,
            target: &self.target,
            sizes: [samples, rows],
            first_sample: noise.first_sample,
        })
    }
}

/// What a block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
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
pub const NOISE: [&str; 3] = ["noise/key", "noise/first_sample", "noise/first_row"];

/// A block of samples and rows under construction.
pub struct BlockBuilder<'b> {
    pub b: &'b Builder,
    /// The numbers of samples and rows.
    pub sizes: [usize; 2],
    pub first_sample: Expr<'b>,
    target: &'b Target,
    law: Graph,
    known: HashMap<String, Expr<'b>>,
}

impl<'b> BlockBuilder<'b> {
    /// The network's output, `[samples, rows, ..]`, with one sample where nothing is drawn.
    pub fn output(&self) -> Expr<'b> {
        self.known["output"]
    }

    /// What the law tells, `[samples, rows, ..]`, with one sample where all are one; `None` if it does not.
    ///
    /// # Errors
    /// A stored law that tells something of another type.
    pub fn quantity(&self, quantity: Quantity) -> Result<Option<Expr<'b>>, Error> {
        let Some(found) = inline(self.b, &self.law, quantity.name(), &self.known) else { return Ok(None) };
        self.b.check()?;
        let (ty, [samples, rows]) = (found.ty(), self.sizes);
        let fits = [1, samples].iter().any(|&samples| ty.shape == quantity.shape(self.target, [samples, rows]));
        if fits && ty.dtype.is_float() {
            return Ok(Some(found));
        }
        let expected = quantity.shape(self.target, self.sizes);
        Err(Error::argument(format!("the type of the law's {}", quantity.name()), format!("f32{expected}"), ty))
    }
}

/// An output of a graph, made in a builder of expressions that are known by the names of the graph's inputs. `None` if
/// there is no such output, or an input is not known.
fn inline<'b>(b: &'b Builder, graph: &Graph, name: &str, known: &HashMap<String, Expr<'b>>) -> Option<Expr<'b>> {
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
        made.insert(input.value, *known.get(&input.name)?);
    }
    for value in graph.values().filter(|value| needed[value.index()]) {
        if !made.contains_key(&value) {
            let node = graph.node(value);
            let args: Vec<Expr<'b>> = node.args.iter().map(|arg| made[arg]).collect();
            let origin = graph.origin(value).clone();
            made.insert(value, b.from_origin(origin, || b.push(node.op.clone(), &args)));
        }
    }
    Some(made[&output])
}
