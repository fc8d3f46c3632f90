//! Model files: safetensors, with all that is known about the network in the metadata.

pub(crate) mod describe;
pub(crate) mod write;

use crate::{Error, Network};
use bayeslift_ir::{Graph, Shape, Tensor, Type};
use bayeslift_layers::{Group, Parameter, Parameters, value_where_absent};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The metadata key that holds the description, as JSON. One key, because safetensors keeps keys in no order and the
/// same network is to give the same bytes.
const KEY: &str = "bayeslift";

/// The largest file that is read without knowing the network: 8 GiB.
const LARGEST_FILE: u64 = 8 << 30;

/// What a file may hold besides the elements of its tensors: the limit of safetensors for its header, and its length.
const LARGEST_HEADER: u64 = 100_000_000 + 8;

/// A model file, read to look at: what [`Network::save`](crate::Network::save) wrote.
///
/// Any program that reads safetensors finds the parameters by path; the metadata key `bayeslift` holds the rest as JSON.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(4, 3);
/// let network = Network::new(layer, [4], Likelihood::Categorical, 7)?;
/// let path = std::env::temp_dir().join(format!("bayeslift-{}.safetensors", std::process::id()));
/// network.save(&path)?;
/// let file = ModelFile::read(&path)?;
/// assert_eq!(file.seed, 7);
/// assert!(file.graph()?.outputs().iter().any(|output| output.name == "output"));
/// assert_eq!(file.priors[0].path, "kernel");
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// The parameters, in the network's order.
    pub parameters: Parameters,
    /// How each stored parameter is turned into what it describes, such as a scale, by path.
    pub parameterization: Vec<Described>,
    /// The posterior of each random variable.
    pub posteriors: Vec<Described>,
    /// The prior of each random variable.
    pub priors: Vec<Described>,
    /// The likelihood, as text.
    pub likelihood: String,
    /// The shape of one input.
    pub input: Shape,
    /// The table of parameters that [`Network::summary`](crate::Network::summary) gives.
    pub summary: String,
    /// The seed that parameters were drawn with.
    pub seed: u64,
    /// The number of examples that the network was fitted to.
    pub training_examples: Option<usize>,
    /// The text form of the network's graph.
    pub graph_text: String,
}

/// Something about a parameter or random variable, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its path.
    pub path: String,
    /// What it is.
    pub text: String,
}

/// The JSON document under [`KEY`].
#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    seed: u64,
    training_examples: Option<usize>,
    input: Vec<usize>,
    likelihood: String,
    parameters: Vec<DescribedParameter>,
    parameterization: Vec<Described>,
    posteriors: Vec<Described>,
    priors: Vec<Described>,
    summary: String,
    graph: String,
}

#[derive(Serialize, Deserialize)]
struct DescribedParameter {
    path: String,
    group: String,
    trainable: bool,
}

/// Only what any version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

pub(crate) fn save(network: &Network, path: &Path) -> Result<(), Error> {
    let description = describe::description(network)?;
    let format = |message: String| Error::Format { path: path.to_owned(), message };
    let json = serde_json::to_string(&description).map_err(|error| format(error.to_string()))?;
    let metadata = [(KEY.to_owned(), json)].into_iter().collect();
    let tensors = network.parameters().iter().map(|(path, parameter)| (path, write::View(&parameter.tensor)));
    let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|error| format(error.to_string()))?;
    write::replace(path, &bytes)
}

pub(crate) fn load(network: &mut Network, path: &Path) -> Result<(), Error> {
    let own = network.parameters().iter().map(|(_, parameter)| parameter.tensor.shape().elements() as u64 * 4);
    let file = ModelFile::read_limited(path, own.sum::<u64>().saturating_add(LARGEST_HEADER))?;
    let other = |message: String| Error::OtherNetwork { path: path.to_owned(), message };
    if file.input != *network.input() {
        return Err(other(format!("its inputs have shape {}, expected {}", file.input, network.input())));
    }
    let likelihood = describe::likelihood(network);
    if file.likelihood != likelihood {
        return Err(other(format!("its likelihood is {}, expected {likelihood}", file.likelihood)));
    }
    let mut parameters = Parameters::new();
    for (name, own) in network.parameters().iter() {
        let Ok(found) = file.parameters.get(name) else {
            if let Some(tensor) = value_where_absent(name, own) {
                parameters.insert(name, Parameter { tensor, ..own.clone() })?;
                continue;
            }
            let known = file.parameters.paths().collect::<Vec<_>>().join(", ");
            return Err(other(format!("it has no parameter `{name}`; it has: {known}")));
        };
        let (expected, ty) = (own.tensor.ty(), found.tensor.ty());
        if expected != ty {
            return Err(other(format!("its parameter `{name}` has type {ty}, expected {expected}")));
        }
        parameters.insert(name, Parameter { group: own.group, ..found.clone() })?;
    }
    if let Some(extra) = file.parameters.paths().find(|name| !parameters.contains(name)) {
        return Err(other(format!("it has the parameter `{extra}`, which the network has not")));
    }
    let own = describe::posteriors(network)?;
    if file.posteriors.len() != own.len() {
        return Err(other(format!("it has {} posteriors, expected {}", file.posteriors.len(), own.len())));
    }
    // what is not told, in words, may be the same
    let is_told = |posterior: &Described| !posterior.text.contains(describe::COMPUTED);
    for (found, expected) in file.posteriors.iter().zip(&own) {
        if found != expected && is_told(found) && is_told(expected) {
            let Described { path, text } = found;
            let (own, expected) = (&expected.path, &expected.text);
            return Err(other(format!("its posterior of `{path}` is {text}; expected, of `{own}`, {expected}")));
        }
    }
    network.check(&parameters)?;
    network.replace_parameters(parameters);
    network.set_seed(file.seed);
    network.set_training_examples(file.training_examples);
    Ok(())
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for one that is truncated, foreign, larger than 8 GiB or of another version.
    pub fn read(path: impl AsRef<Path>) -> Result<ModelFile, Error> {
        ModelFile::read_limited(path.as_ref(), LARGEST_FILE)
    }

    /// The graph of the network's forward pass on one row; see [`Network::graph`](crate::Network::graph).
    ///
    /// # Errors
    /// A text that does not parse.
    pub fn graph(&self) -> Result<Graph, Error> {
        Ok(self.graph_text.parse()?)
    }

    fn read_limited(path: &Path, limit: u64) -> Result<ModelFile, Error> {
        let bytes = read_bytes(path, limit)?;
        parse(&bytes).map_err(|message| Error::Format { path: path.to_owned(), message })
    }
}

/// All bytes of a regular file that is not larger than `limit`.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source: io::Error| Error::File { path: path.to_owned(), action: "read", source };
    let format = |message: String| Error::Format { path: path.to_owned(), message };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format("it is not a regular file".to_owned()));
    }
    let too_large = |size: u64| format(format!("it has {size} bytes or more; at most {limit} are read"));
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    File::open(path).map_err(failed)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<ModelFile, String> {
    let damaged = |error: safetensors::SafeTensorError| format!("it is no whole safetensors file: {error}");
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let json = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let json = json.ok_or(format!("its metadata has no key `{KEY}`: it was not written by Bayeslift"))?;
    let invalid = |error: serde_json::Error| format!("its metadata `{KEY}` does not parse: {error}");
    let AnyVersion { version } = serde_json::from_str(json).map_err(invalid)?;
    if version != VERSION {
        return Err(format!("it has version {version}, expected {VERSION}"));
    }
    let description: Description = serde_json::from_str(json).map_err(invalid)?;
    let input = Shape::new(&description.input);
    input.check().map_err(|error| format!("its input: {error}"))?;

    let mut parameters = Parameters::new();
    for DescribedParameter { path, group, trainable } in description.parameters {
        let view = tensors.tensor(&path).map_err(|_| format!("it has no tensor for the parameter `{path}`"))?;
        if view.dtype() != Dtype::F32 {
            return Err(format!("its tensor `{path}` has element type {}, expected F32", view.dtype()));
        }
        let ty = Type::f32(view.shape());
        ty.shape.check().map_err(|error| format!("its tensor `{path}`: {error}"))?;
        let words = view.data().as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let tensor = Tensor::from_words(&ty, words).map_err(|error| format!("its tensor `{path}`: {error}"))?;
        let group =
            Group::from_name(&group).ok_or(format!("its parameter `{path}` has the unknown group `{group}`"))?;
        parameters.insert(&path, Parameter { tensor, trainable, group }).map_err(|error| error.to_string())?;
    }
    let mut extra: Vec<&str> = tensors.names().into_iter().filter(|name| !parameters.contains(name)).collect();
    extra.sort_unstable();
    if let Some(extra) = extra.first() {
        return Err(format!("it has the tensor `{extra}`, which its metadata does not describe"));
    }
    Ok(ModelFile {
        parameters,
        parameterization: description.parameterization,
        posteriors: description.posteriors,
        priors: description.priors,
        likelihood: description.likelihood,
        input,
        summary: description.summary,
        seed: description.seed,
        training_examples: description.training_examples,
        graph_text: description.graph,
    })
}
