//! Model files: safetensors, with all that is known about the network in the metadata.

mod compare;
pub(crate) mod describe;
mod digest;
pub(crate) mod json;
mod layer;
mod prediction;

use crate::{Error, Network, new_file};
use bayeslift_ir::{DType, Foreign, Graph, Shape, Tensor, Type};
use bayeslift_layers::{Group, Layer, Likelihood, Parameter, Parameters, likelihood::Target};
pub(crate) use compare::{load, load_bytes, load_file, load_weights};
pub(crate) use digest::Contents;
pub(crate) use prediction::{Prediction, target};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The version of the format that is written. Version 1, which is read as well, had no layers and no digest; version 2
/// no graphs of predictions; version 3 no numbers of steps and epochs; graphs of version 4 do not tell where values
/// come from.
const VERSION: u32 = 5;

/// The version of what makes a graph of a network: layers, likelihoods and the graph's builder. Raise it when the graph
/// of any network changes, which `tests/emission.rs` finds out: files of an earlier version are then compared by their
/// words alone, and go on to load.
const EMITTER_VERSION: u32 = 3;

/// The metadata key that holds the description, as JSON. One key, because safetensors keeps keys in no order and the
/// same network is to give the same bytes.
const KEY: &str = "bayeslift";

/// The largest file that is read without knowing the network: 8 GiB.
pub(crate) const LARGEST_FILE: u64 = 8 << 30;

/// What a file may hold besides the elements of its tensors: the limit of safetensors for its header, and its length.
pub(crate) const LARGEST_HEADER: u64 = 100_000_000 + 8;

/// What errors call a model that is no file but bytes.
pub(crate) const BYTES: &str = "(bytes)";

/// A model file, read to look at: what [`Network::save`](crate::Network::save) wrote.
///
/// Any program that reads safetensors finds the parameters by path; the metadata key `bayeslift` holds the rest as
/// JSON.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(4, 3);
/// let network = Network::new(layer, [4], likelihood::Categorical, 7)?;
/// let path = std::env::temp_dir().join(format!("bayeslift-{}.safetensors", std::process::id()));
/// network.save(&path)?;
/// let file = ModelFile::read(&path)?;
/// assert_eq!(file.seed, 7);
/// assert!(file.graph()?.outputs().iter().any(|output| output.name == "output"));
/// assert_eq!(file.priors[0].path, "kernel");
/// assert_eq!(file.layers[0].options["estimator"], "Local");
/// // it can predict without the layers' code, and so knows what is predicted
/// assert!(file.stands_alone());
/// assert_eq!(file.target().and_then(|target| target.classes()), Some(3));
/// assert_eq!(ModelFile::from_bytes(&network.to_bytes()?)?.digest, file.digest);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// The version of the format: 5; 4 of files from before graphs told where values come from, 3 from before steps and
    /// epochs were part of it, 2 from before graphs of predictions were, 1 from before layers and a digest were.
    pub version: u32,
    /// SHA-256 of all that the file says and holds, as 64 hexadecimal digits; it was compared when the file was read.
    /// `None` in a file of version 1, **of which damage goes unnoticed**: save it again.
    ///
    /// It is the digest of pieces of bytes, each after its length as a number. Numbers have 8 bytes, the lowest first.
    /// The pieces are the JSON text under the key `bayeslift` but for its last field, `,"digest":".."}`; then for each
    /// tensor, in the order of that text, its name, its element type as the header has it, the number of its axes and
    /// the extents (numbers), and its bytes (without their length).
    pub digest: Option<String>,
    /// The version of what made the graph; two graphs of one network may differ if it does. `None` in a file of version
    /// 1.
    pub emitter: Option<u32>,
    /// The parameters, in the network's order.
    pub parameters: Parameters,
    /// How each stored parameter is turned into what it describes, such as a scale, by path.
    pub parameterization: Vec<Described>,
    /// The posterior of each random variable.
    pub posteriors: Vec<Described>,
    /// The prior of each random variable.
    pub priors: Vec<Described>,
    /// The layers, a container before those inside. None in a file of version 1.
    pub layers: Vec<DescribedLayer>,
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
    /// The number of training steps that were made on the network; 0 in a file of a version before 4.
    pub steps: u64,
    /// The number of epochs that were begun on the network; 0 in a file of a version before 4.
    pub epochs: u64,
    /// The text form of the network's graph.
    pub graph_text: String,
    /// What predictions are computed by, if the file stands alone.
    pub(crate) prediction: Option<Prediction>,
}

/// Something about a parameter or random variable, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Its path.
    pub path: String,
    /// What it is.
    pub text: String,
}

/// A layer, in words: what [`Layer::describe`](crate::layers::Layer::describe) says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedLayer {
    /// Its path; empty for the network's own layer.
    pub path: String,
    /// The kind of layer.
    pub kind: String,
    /// What it was told, by name.
    pub options: BTreeMap<String, String>,
}

/// The JSON document under [`KEY`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    version: u32,
    emitter: Option<u32>,
    seed: u64,
    training_examples: Option<usize>,
    /// In files since version 4, as `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u64>,
    input: Vec<usize>,
    likelihood: String,
    parameters: Vec<DescribedParameter>,
    parameterization: Vec<Described>,
    posteriors: Vec<Described>,
    priors: Vec<Described>,
    layers: Option<Vec<DescribedLayer>>,
    summary: String,
    graph: String,
    /// In files of version 3; null where graphs differ by more than their size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prediction: Option<Prediction>,
    /// The last one, so that it can be cut off from what it is the digest of.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// A tensor as safetensors sees it.
pub(crate) struct View<'a>(pub &'a Tensor);

impl safetensors::View for View<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::U32 | DType::Mask => Dtype::U32,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.words().into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        self.0.ty().bytes()
    }
}

/// What follows the text that a digest is of.
pub(crate) fn signature(digest: &str) -> String {
    format!(",\"digest\":\"{digest}\"}}")
}

/// A network as the bytes of a model file.
pub(crate) fn bytes(network: &Network) -> Result<Vec<u8>, Error> {
    network.parameters().check_finite()?;
    let format = |message: String| Error::Format { path: BYTES.into(), message };
    let description = describe::description(network)?;
    let mut json = serde_json::to_string(&description).map_err(|error| format(error.to_string()))?;
    json.pop();
    let mut contents = Contents::of(&json);
    for (path, Parameter { tensor, .. }) in network.parameters().iter() {
        contents.tensor(path, &safetensors::View::dtype(&View(tensor)).to_string(), tensor.shape());
        contents.elements(tensor);
    }
    json.push_str(&signature(&contents.finish()));
    let metadata = [(KEY.to_owned(), json)].into_iter().collect();
    let tensors = network.parameters().iter().map(|(path, parameter)| (path, View(&parameter.tensor)));
    safetensors::serialize(tensors, Some(metadata)).map_err(|error| format(error.to_string()))
}

pub(crate) fn save(network: &Network, path: &Path) -> Result<(), Error> {
    new_file::replace(path, &bytes(network)?)
}

/// A network of these layers with what the bytes of a model file have.
pub(crate) fn network(
    layer: impl Layer + 'static,
    likelihood: impl Likelihood + 'static,
    bytes: &[u8],
) -> Result<Network, Error> {
    let file = ModelFile::from_bytes(bytes)?;
    let mut network = Network::new(layer, file.input.clone(), likelihood, file.seed)?;
    compare::load_file(&mut network, file, Path::new(BYTES))?;
    Ok(network)
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for one that is truncated, damaged, foreign, larger than 8 GiB or of another
    /// version, or with an element that is not finite.
    pub fn read(path: impl AsRef<Path>) -> Result<ModelFile, Error> {
        ModelFile::read_limited(path.as_ref(), LARGEST_FILE)
    }

    /// Reads the bytes of a model file, which [`Network::to_bytes`](crate::Network::to_bytes) gives as well.
    ///
    /// # Errors
    /// As for [`ModelFile::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, Error> {
        parse(bytes).map_err(|message| Error::Format { path: BYTES.into(), message })
    }

    /// Whether the file has all that predictions take, so that [`Predictor::open`](crate::Predictor::open) can read it
    /// without the layers' code. It does not if the network's computation changes with the number of rows or samples,
    /// as a layer of one's own may, nor if it is from before graphs of predictions were part of files.
    pub fn stands_alone(&self) -> bool {
        self.prediction.is_some()
    }

    /// What the target of one example looks like, as far as the file knows: it does if it [stands
    /// alone](ModelFile::stands_alone).
    pub fn target(&self) -> Option<Target> {
        self.prediction.as_ref().and_then(target)
    }

    /// The graph of the network's forward pass on one row; see [`Network::graph`](crate::Network::graph).
    ///
    /// # Errors
    /// A text that does not parse.
    pub fn graph(&self) -> Result<Graph, Error> {
        Ok(self.graph_text.parse()?)
    }

    /// Reads a model file that has no more than this many bytes of elements.
    pub(crate) fn read_for(path: &Path, elements: u64) -> Result<ModelFile, Error> {
        ModelFile::read_limited(path, elements.saturating_add(LARGEST_HEADER))
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

/// What the header of a safetensors file has under a key of its metadata, if there is something.
pub(crate) fn metadata(bytes: &[u8], key: &str) -> Result<Option<String>, String> {
    let damaged = |error: safetensors::SafeTensorError| format!("it is no whole safetensors file: {error}");
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    json::check(&bytes[8..8 + length]).map_err(|error| format!("its header does not parse: {error}"))?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// The description in the header of a file, of a version that is known, and its text.
fn description(bytes: &[u8]) -> Result<(Description, String), String> {
    let json = metadata(bytes, KEY)?;
    let json = json.ok_or(format!("its metadata has no key `{KEY}`: it was not written by Bayeslift"))?;
    let what = format!("its metadata `{KEY}`");
    let invalid = |error: serde_json::Error| format!("{what} does not parse: {error}");
    let AnyVersion { version } = serde_json::from_str(&json).map_err(invalid)?;
    if !(1..=VERSION).contains(&version) {
        return Err(format!("it has version {version}, expected 1 to {VERSION}"));
    }
    json::check(json.as_bytes()).map_err(invalid)?;
    let description: Description = serde_json::from_str(&json).map_err(invalid)?;
    if description.prediction.is_some() && version < 3 {
        return Err(format!("{what} has a field `prediction`, which version {version} does not allow"));
    }
    for (name, is_there, since) in [
        ("emitter", description.emitter.is_some(), 2),
        ("layers", description.layers.is_some(), 2),
        ("digest", description.digest.is_some(), 2),
        ("steps", description.steps.is_some(), 4),
        ("epochs", description.epochs.is_some(), 4),
    ] {
        if is_there != (version >= since) {
            let has = if is_there { "has a" } else { "has no" };
            return Err(format!("{what} {has} field `{name}`, which version {version} does not allow"));
        }
    }
    Ok((description, json))
}

pub(crate) fn parse(bytes: &[u8]) -> Result<ModelFile, String> {
    // What the file says is quoted here and there by those who read it.
    contents(bytes).map_err(|message| Foreign::cut(&message, 1000).to_string())
}

/// A tensor of `f32` or `f64` of a file.
pub(crate) fn float_tensor(view: &TensorView<'_>, name: &str) -> Result<Tensor, String> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        other => return Err(format!("its tensor `{name}` has element type {other}, expected F32 or F64")),
    };
    let about = |error: bayeslift_ir::Error| format!("its tensor `{name}`: {error}");
    let ty = Type::new(dtype, view.shape());
    ty.check().map_err(about)?;
    let words = view.data().as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    Tensor::from_words(&ty, words).map_err(about)
}

fn contents(bytes: &[u8]) -> Result<ModelFile, String> {
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|error| format!("it is no whole safetensors file: {error}"))?;
    let (description, json) = description(bytes)?;
    let digest = &description.digest;
    let signed = digest.as_ref().map(|digest| {
        let text = json.strip_suffix(&signature(digest));
        text.ok_or("its digest is not the last field of its metadata, or not plain").map(Contents::of)
    });
    let mut signed = signed.transpose()?;
    let input = Shape::new(&description.input);
    input.check().map_err(|error| format!("its input: {error}"))?;

    let mut parameters = Parameters::new();
    for DescribedParameter { path, group, trainable } in description.parameters {
        let name = Foreign::new(&path).to_string();
        let view = tensors.tensor(&path).map_err(|_| format!("it has no tensor for the parameter `{name}`"))?;
        if let Some(signed) = &mut signed {
            signed.tensor(&path, &view.dtype().to_string(), view.shape());
            signed.bytes(view.data());
        }
        let tensor = float_tensor(&view, &name)?;
        let group = Group::from_name(&group)
            .ok_or_else(|| format!("its parameter `{name}` has the unknown group `{}`", Foreign::new(&group)))?;
        parameters.insert(&path, Parameter { tensor, trainable, group }).map_err(|error| error.to_string())?;
    }
    let mut extra: Vec<&str> = tensors.names().into_iter().filter(|name| !parameters.contains(name)).collect();
    extra.sort_unstable();
    if let Some(extra) = extra.first() {
        return Err(format!("it has the tensor `{}`, which its metadata does not describe", Foreign::new(extra)));
    }
    if let (Some(signed), Some(digest)) = (signed, digest) {
        let found = signed.finish();
        if found != *digest {
            return Err(format!("it is damaged: its contents have the digest {found}, expected {digest}"));
        }
    }
    parameters.check_finite().map_err(|error| error.to_string())?;
    Ok(ModelFile {
        version: description.version,
        digest: description.digest,
        emitter: description.emitter,
        parameters,
        parameterization: description.parameterization,
        posteriors: description.posteriors,
        priors: description.priors,
        layers: description.layers.unwrap_or_default(),
        likelihood: description.likelihood,
        input,
        summary: description.summary,
        seed: description.seed,
        training_examples: description.training_examples,
        steps: description.steps.unwrap_or_default(),
        epochs: description.epochs.unwrap_or_default(),
        graph_text: description.graph,
        prediction: description.prediction,
    })
}
