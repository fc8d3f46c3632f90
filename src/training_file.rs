//! Training files: safetensors, with all that a course of training needs to go on as if it had never been interrupted.
//!
//! A training file holds a whole model file, which says what the network is, beside the optimizer's state and a
//! description with the conditions of the course. Like a model file it is there as a whole or not at all, and has a
//! digest of all that it holds.

mod conditions;

use crate::{
    Error, ModelFile, Network, fit,
    model_file::{self, Contents, LARGEST_HEADER, json},
    new_file,
    trainer::DeviceGraphs,
};
use bayeslift_ir::{Foreign, Tensor, Type};
use bayeslift_layers::{Optimizer, Variable};
pub(crate) use conditions::Conditions;
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, path::Path};

/// The version of the format that is written and read.
const VERSION: u32 = 1;

/// The metadata key that holds the description, as JSON.
const KEY: &str = "bayeslift_training";

/// The tensor that is a model file.
const NETWORK: &str = "network";

/// The JSON document under [`KEY`], but for its digest, which is its last field.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    version: u32,
    /// What has to be the same for the course to be the same.
    pub conditions: Conditions,
    /// The number of training examples, which divides the divergence.
    pub training_examples: usize,
    /// The number of steps that the trainer made.
    pub steps: u64,
    /// How far a [`Fit`](crate::Fit) came; none of a trainer's own steps.
    pub course: Option<fit::Record>,
    /// How a device goes on, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<OnDevice>,
    /// SHA-256 of this text without its last field, and of all tensors in the order of their names, as that of
    /// [`ModelFile::digest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Description {
    pub fn new(conditions: Conditions, training_examples: usize, steps: u64, course: Option<fit::Record>) -> Self {
        Description { version: VERSION, conditions, training_examples, steps, course, device: None, digest: None }
    }

    /// For a device too, which makes steps of `rows` rows by these graphs.
    pub fn for_device(mut self, graphs: &DeviceGraphs, rows: usize, seed: u64) -> Self {
        let [before, step] = [&graphs.before, &graphs.step].map(ToString::to_string);
        self.device = Some(OnDevice { rows, seed, before, step });
        self
    }
}

/// How a device goes on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDevice {
    /// The rows of a step.
    rows: usize,
    /// Addresses the noise.
    seed: u64,
    /// The graphs, as text.
    before: String,
    step: String,
}

/// All that a device goes on with.
#[cfg(feature = "deploy")]
pub(crate) struct ForDevice {
    pub file: ModelFile,
    pub state: Vec<(String, Tensor)>,
    pub graphs: DeviceGraphs,
    pub rows: usize,
    pub seed: u64,
    pub steps: u64,
}

/// Reads a training file that is for a device.
///
/// # Errors
/// [`Error::File`]; [`Error::TrainingFormat`] for one that is truncated, damaged, foreign, of another version, or for
/// no device.
#[cfg(feature = "deploy")]
pub(crate) fn for_device(path: &Path) -> Result<ForDevice, Error> {
    let format = |message: String| Error::TrainingFormat {
        path: path.to_owned(),
        message: Foreign::cut(&message, 1000).to_string(),
    };
    let bytes = model_file::read_bytes(path, model_file::LARGEST_FILE).map_err(|error| match error {
        Error::Format { message, .. } => format(message),
        error => error,
    })?;
    let (Description { device, steps, .. }, file, tensors) = parts(&bytes).map_err(format)?;
    let OnDevice { rows, seed, before, step } =
        device.ok_or_else(|| format("it is for no device: write it by `Trainer::save_for_device`".to_owned()))?;
    let graph = |text: String| text.parse().map_err(|error| format(format!("a graph of its steps: {error}")));
    let graphs = DeviceGraphs { before: graph(before)?, step: graph(step)? };
    if rows == 0 {
        return Err(format("its steps have no rows".to_owned()));
    }
    let state =
        tensors.into_iter().map(|(name, tensor)| match (name.strip_prefix("state/"), tensor.first_non_finite()) {
            (None, _) => Err(format(format!("it has the tensor `{}`, which nothing needs", Foreign::new(&name)))),
            (_, Some((_, x))) => {
                Err(format(format!("its tensor `{}` has the element {x}, which is not finite", Foreign::new(&name))))
            }
            (Some(path), None) => Ok((path.to_owned(), tensor)),
        });
    Ok(ForDevice { file, state: state.collect::<Result<_, _>>()?, graphs, rows, seed, steps })
}

/// Only what any version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// A floating-point number that is written as its bits: text of it might be read as another one, and JSON has no
/// infinities.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Bits(pub f64);

impl From<u64> for Bits {
    fn from(bits: u64) -> Self {
        Bits(f64::from_bits(bits))
    }
}

impl From<Bits> for u64 {
    fn from(Bits(number): Bits) -> Self {
        number.to_bits()
    }
}

/// What a file holds besides its description.
enum Entry<'a> {
    Tensor(&'a Tensor),
    Bytes { bytes: &'a [u8], shape: [usize; 1] },
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Entry::Tensor(tensor) => model_file::View(tensor).dtype(),
            Entry::Bytes { .. } => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Entry::Tensor(tensor) => tensor.shape(),
            Entry::Bytes { shape, .. } => shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Entry::Tensor(tensor) => tensor.words().into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into(),
            Entry::Bytes { bytes, .. } => (*bytes).into(),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Entry::Tensor(tensor) => tensor.ty().bytes(),
            Entry::Bytes { bytes, .. } => bytes.len(),
        }
    }
}

/// Writes a training file, as a whole or not at all.
///
/// # Errors
/// A parameter with an element that is not finite, [`Error::File`].
pub(crate) fn write<'a>(
    path: &Path,
    description: &Description,
    network: &Network,
    tensors: impl Iterator<Item = (String, &'a Tensor)>,
) -> Result<(), Error> {
    let format = |message: String| Error::TrainingFormat { path: path.to_owned(), message };
    let network = model_file::bytes(network)?;
    let network = Entry::Bytes { bytes: &network, shape: [network.len()] };
    let mut entries: BTreeMap<String, Entry<'_>> =
        tensors.map(|(name, tensor)| (name, Entry::Tensor(tensor))).collect();
    entries.insert(NETWORK.to_owned(), network);
    let mut json = serde_json::to_string(description).map_err(|error| format(error.to_string()))?;
    json.pop();
    let mut contents = Contents::of(&json);
    for (name, entry) in &entries {
        contents.tensor(name, &entry.dtype().to_string(), entry.shape());
        contents.bytes(&entry.data());
    }
    json.push_str(&model_file::signature(&contents.finish()));
    let metadata = [(KEY.to_owned(), json)].into_iter().collect();
    let bytes = safetensors::serialize(entries, Some(metadata)).map_err(|error| format(error.to_string()))?;
    new_file::replace(path, &bytes)
}

/// A training file that was read, and is whole.
pub(crate) struct TrainingFile<'p> {
    path: &'p Path,
    pub description: Description,
    network: ModelFile,
    /// Those that were not taken yet, by name.
    tensors: BTreeMap<String, Tensor>,
}

impl<'p> TrainingFile<'p> {
    /// Reads a file that has no more than `copies` copies of the network's parameters, and the optimizer's state of
    /// them.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::TrainingFormat`] for one that is truncated, damaged, foreign, larger than it can be,
    /// or of another version.
    pub fn read(path: &'p Path, network: &Network, copies: usize, optimizer: &dyn Optimizer) -> Result<Self, Error> {
        let bytes = |variable: &Variable| {
            (variable.ty.bytes() as u64).saturating_mul((copies + optimizer.state(variable).len()) as u64)
        };
        let bytes = network.parameters().variables().iter().map(bytes).fold(0, u64::saturating_add);
        let limit = bytes.saturating_add(2 * LARGEST_HEADER);
        let format = |message: String| Error::TrainingFormat { path: path.to_owned(), message };
        let bytes = model_file::read_bytes(path, limit).map_err(|error| match error {
            Error::Format { message, .. } => format(message),
            error => error,
        })?;
        let parts = parts(&bytes).map_err(|message| format(Foreign::cut(&message, 1000).to_string()));
        parts.map(|(description, network, tensors)| TrainingFile { path, description, network, tensors })
    }

    /// The network with what the file says of it.
    ///
    /// # Errors
    /// [`Error::OtherTraining`] for the file of another network.
    pub fn network(&self, like: &Network) -> Result<Network, Error> {
        let mut network = like.clone();
        match model_file::load_file(&mut network, self.network.clone(), self.path) {
            Ok(()) => Ok(network),
            Err(Error::OtherNetwork { message, .. }) => Err(self.other(format!("its network is another: {message}"))),
            Err(error) => Err(error),
        }
    }

    /// Checks that the course is one under these conditions.
    ///
    /// # Errors
    /// [`Error::OtherTraining`] with the first that differs.
    pub fn compare(&self, own: &Conditions) -> Result<(), Error> {
        self.description.conditions.difference(own).map_or(Ok(()), |difference| Err(self.other(difference)))
    }

    /// Takes out a tensor, of which the name and the type are known.
    ///
    /// # Errors
    /// [`Error::TrainingFormat`] if it is not there, of another type or not finite.
    pub fn take(&mut self, name: &str, ty: &Type) -> Result<Tensor, Error> {
        let mut tensor = self.tensors.remove(name).ok_or_else(|| self.format(format!("it has no tensor `{name}`")))?;
        if tensor.ty() != *ty {
            return Err(self.format(format!("its tensor `{name}` has type {}, expected {ty}", tensor.ty())));
        }
        if let Some((_, x)) = tensor.first_non_finite() {
            return Err(self.format(format!("its tensor `{name}` has the element {x}, which is not finite")));
        }
        tensor.align();
        Ok(tensor)
    }

    /// Checks that all tensors were taken.
    ///
    /// # Errors
    /// [`Error::TrainingFormat`] with the first that was not.
    pub fn check_taken(&self) -> Result<(), Error> {
        let Some(name) = self.tensors.keys().next() else { return Ok(()) };
        Err(self.format(format!("it has the tensor `{}`, which nothing needs", Foreign::new(name))))
    }

    /// The error for a file that is not what it should be.
    pub fn format(&self, message: String) -> Error {
        Error::TrainingFormat { path: self.path.to_owned(), message }
    }

    /// The error for a file of another course.
    pub fn other(&self, message: String) -> Error {
        Error::OtherTraining { path: self.path.to_owned(), message }
    }
}

/// What the bytes of a file hold, or what is wrong with them.
fn parts(bytes: &[u8]) -> Result<(Description, ModelFile, BTreeMap<String, Tensor>), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("it is no whole safetensors file: {error}"))?;
    let text = model_file::metadata(bytes, KEY)?;
    let text = text.ok_or(format!(
        "its metadata has no key `{KEY}`: none of `Trainer::save`, `Trainer::save_for_device` and `Fit` wrote it"
    ))?;
    let invalid = |error: serde_json::Error| format!("its metadata `{KEY}` does not parse: {error}");
    let AnyVersion { version } = serde_json::from_str(&text).map_err(invalid)?;
    if version != VERSION {
        return Err(format!("it has version {version}, expected {VERSION}"));
    }
    json::check(text.as_bytes()).map_err(invalid)?;
    let description: Description = serde_json::from_str(&text).map_err(invalid)?;
    let digest = description.digest.as_ref().ok_or("it has no digest")?;
    let signed = text.strip_suffix(&model_file::signature(digest));
    let mut contents = Contents::of(signed.ok_or("its digest is not the last field of its metadata, or not plain")?);
    let mut names = file.names();
    names.sort_unstable();
    let (mut network, mut tensors) = (None, BTreeMap::new());
    for name in names {
        let shown = Foreign::new(name).to_string();
        let view = file.tensor(name).map_err(|error| format!("its tensor `{shown}`: {error}"))?;
        contents.tensor(name, &view.dtype().to_string(), view.shape());
        contents.bytes(view.data());
        if name == NETWORK && view.dtype() == Dtype::U8 {
            network = Some(view.data());
            continue;
        }
        tensors.insert(name.to_owned(), model_file::float_tensor(&view, &shown)?);
    }
    let found = contents.finish();
    if found != *digest {
        return Err(format!("it is damaged: its contents have the digest {found}, expected {digest}"));
    }
    if description.training_examples == 0 || description.steps == u64::MAX {
        return Err("it is of no training examples, or of too many steps".to_owned());
    }
    let network = network.ok_or_else(|| format!("it has no bytes `{NETWORK}`"))?;
    let network = model_file::parse(network).map_err(|message| format!("its network: {message}"))?;
    Ok((description, network, tensors))
}
