//! Compiling ahead of time: a trained network becomes an object that a program in C, or in any language that calls C,
//! links. It needs nothing else.
//!
//! ```
//! use bayeslift::{deploy::{self, DeployOptions}, prelude::*};
//!
//! let layer = AffineVariationalReparameterizationLocal::new(2, 3);
//! let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
//! let package = deploy::network(&network, &DeployOptions::new("flowers").samples(32))?;
//! assert!(package.header.contains("int flowers_predict("));
//! # Ok::<(), bayeslift::Error>(())
//! ```

mod block;
mod combine;
mod compile;
mod decisions;
mod element;
mod entry;
mod facts;
mod functions;
mod graph;
mod header;
mod information;
mod language;
mod layout;
mod library;
mod members;
mod package;
mod prototypes;
mod python;
mod rust;
mod status;
mod template;
mod training;
mod web;

pub use bayeslift_codegen::{Level, System};
pub use graph::graph;
pub use package::{File, Package, write};
pub use training::{training, training_file};

use crate::{
    Abstention, Ensemble, Error, ModelFile, Network, PredictorOptions, model_file,
    predictor::{model::Model, stored},
};
use bayeslift_ir::Environment;
use compile::{Subject, compile};
use std::path::Path;

/// Where a package has its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Weights {
    /// In its read-only data.
    #[default]
    Inside,
    /// In a file of their own, which a program brings into memory as it likes. `NAME_init` compares their checksum.
    File,
    /// Of C: in a file of their own, `NAME.data`, which the assembler includes. So much is soon compiled.
    Included,
}

/// What to compile, and for what.
///
/// ```
/// use bayeslift::{deploy::{self, DeployOptions, Weights}, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let options = DeployOptions::new("flowers")
///     .samples(32)
///     .seed(7)
///     .row_block(16)
///     .weights(Weights::Inside)
///     .input_names(["petal length [cm]", "petal width [cm]"])
///     .output_names(["setosa", "versicolor", "virginica"]);
/// let package = deploy::network(&network, &options)?;
/// assert!(package.header.contains("int flowers_predict("));
/// assert!(deploy::network(&network, &DeployOptions::new("two words")).is_err()); // no identifier of C
///
/// // the same from a file, without the layers' code; and what there is to write
/// let from_file = deploy::bytes(&network.to_bytes()?, &options)?;
/// let names: Vec<String> = from_file.files().into_iter().map(|file| file.name).collect();
/// assert!(names.contains(&"flowers.h".to_owned()), "{names:?}");
/// # let folder = std::env::temp_dir().join(format!("bayeslift-deploy-{}", std::process::id()));
/// package.write(&folder)?; // or `deploy::write` of some of the files
/// assert!(folder.join("flowers.h").exists());
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeployOptions {
    /// What names in the object begin with.
    pub name: String,
    /// The system it is for, or C for any; default: this machine's.
    pub system: Option<System>,
    /// The levels of x86-64 it is for. Of several, the program chooses when it runs. Default: the third.
    pub levels: Vec<Level>,
    /// The number of posterior samples of a request that names none. Default: 64.
    pub samples: usize,
    /// Addresses the noise of a request that names no seed. Default: the network's seed.
    pub seed: Option<u64>,
    /// The most rows that are computed at once. Results do not depend on it; the workspace grows with it.
    pub row_block: usize,
    /// Where the weights are.
    pub weights: Weights,
    /// When to abstain. Then results have a byte of 1 or 0 too, `abstain`, for each row, or each label or number of a
    /// row.
    pub abstention: Option<Abstention>,
    /// The probability that a decision which is certain is wrong. Then there is `NAME_decide`: see
    /// [`Predictor::decide`](crate::Predictor::decide).
    pub decision_error: Option<f64>,
    /// The names of a row's numbers, with their units if you like: one for each, or none. `NAME_info` tells.
    pub input_names: Vec<String>,
    /// The names of the classes, or of the numbers that are predicted: one for each, or none.
    pub output_names: Vec<String>,
}

impl DeployOptions {
    /// With this name, an identifier of C.
    pub fn new(name: impl Into<String>) -> DeployOptions {
        let PredictorOptions { samples, row_block, .. } = PredictorOptions::default();
        DeployOptions {
            name: name.into(),
            system: None,
            levels: Vec::new(),
            samples,
            seed: None,
            row_block,
            weights: Weights::Inside,
            abstention: None,
            decision_error: None,
            input_names: Vec::new(),
            output_names: Vec::new(),
        }
    }

    /// For this system.
    pub fn for_system(mut self, system: System) -> Self {
        self.system = Some(system);
        self
    }

    fn system(&self) -> Result<System, Error> {
        match &self.system {
            Some(system) => Ok(system.clone()),
            None => Ok(System::host().map_err(bayeslift_runtime::Error::from)?),
        }
    }

    /// For these levels of x86-64.
    pub fn levels(mut self, levels: impl IntoIterator<Item = Level>) -> Self {
        self.levels = levels.into_iter().collect();
        self
    }

    /// With this number of posterior samples where none is told.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// With this seed where none is told.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// With at most `rows` rows at once.
    pub fn row_block(mut self, rows: usize) -> Self {
        self.row_block = rows;
        self
    }

    /// With the weights there.
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// Abstaining so.
    ///
    /// ```
    /// use bayeslift::{Abstention, Measure, deploy::{self, DeployOptions}, prelude::*};
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let abstention = Abstention::new(Measure::PredictiveEntropy, 0.5)?;
    /// let package = deploy::network(&network, &DeployOptions::new("flowers").abstention(abstention).decide(0.01))?;
    /// assert!(package.header.contains("uint8_t *abstain; /* 1 a row: 1 of predictive_entropy above 0.5, else 0 */"));
    /// assert!(package.header.contains("int flowers_decide("));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn abstention(mut self, abstention: Abstention) -> Self {
        self.abstention = Some(abstention);
        self
    }

    /// Deciding with this error. The most samples of a row are then those of the request. A row is looked at alone, so
    /// many rows take longer than they do by [`Predictor::decide`](crate::Predictor::decide).
    pub fn decide(mut self, error: f64) -> Self {
        self.decision_error = Some(error);
        self
    }

    /// With these names of the numbers of a row, such as `alcohol [%]`.
    pub fn input_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.input_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// With these names of the classes, or of the numbers that are predicted.
    pub fn output_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.output_names = names.into_iter().map(Into::into).collect();
        self
    }
}

/// Compiles a network. Inputs and results are numbers of its type: of one of [`f64`](crate::layers::Sequential::dtype)
/// they are `double`, with the bits of [`Predictor::double`](crate::Predictor::double).
///
/// # Errors
/// A name that is no identifier; options out of range; a system that there are no objects for; a law without moments;
/// abstaining by what the network does not tell; deciding with a network that predicts numbers, or draws no samples.
pub fn network(network: &Network, options: &DeployOptions) -> Result<Package, Error> {
    let _environment = Environment::enter();
    let file = ModelFile::from_bytes(&network.to_bytes()?)?;
    let model = Model::of_network(network, &PredictorOptions::default());
    compile(Subject::Network(&model), file.digest.as_deref(), options)
}

/// Compiles what [`Network::save`] wrote, without the layers' code; of a folder, what [`Ensemble::save`] wrote: see
/// [`ensemble()`].
///
/// # Errors
/// As for [`network()`] and [`ensemble()`], and for [`Predictor::open`](crate::Predictor::open).
pub fn file(path: impl AsRef<Path>, options: &DeployOptions) -> Result<Package, Error> {
    let _environment = Environment::enter();
    let path = path.as_ref();
    if path.is_dir() {
        let files = Ensemble::files(path).into_iter().map(|path| Ok((ModelFile::read(&path)?, path)));
        let (files, paths): (Vec<_>, Vec<_>) = files.collect::<Result<Vec<_>, Error>>()?.into_iter().unzip();
        let digest = digest_of(&files);
        let models =
            files.into_iter().zip(&paths).map(|(file, path)| stored::model(file, path, &PredictorOptions::default()));
        return compile(Subject::Ensemble(&models.collect::<Result<Vec<_>, _>>()?), Some(&digest), options);
    }
    of_file(ModelFile::read(path)?, path, options)
}

/// As [`file()`], of the bytes that [`Network::to_bytes`] gave.
///
/// # Errors
/// As for [`file()`].
pub fn bytes(bytes: &[u8], options: &DeployOptions) -> Result<Package, Error> {
    let _environment = Environment::enter();
    of_file(ModelFile::from_bytes(bytes)?, Path::new(model_file::BYTES), options)
}

/// Compiles an ensemble to one object, whose functions are those of a network's and whose answers have the bits of
/// [`EnsemblePredictor`](crate::EnsemblePredictor). Members share all code: beside a network's object it has the
/// weights of all of them. Its results have the two parts of what is not known besides, within members and between
/// them.
///
/// Each member draws noise by its own seed, or all by that of the options. A request of another seed than `NAME_SEED`,
/// which is the first member's, moves all of them by the same.
///
/// ```
/// use bayeslift::{Ensemble, deploy::{self, DeployOptions}, prelude::*};
///
/// let ensemble = Ensemble::new(5, |member| {
///     let layer = AffineVariationalReparameterizationLocal::new(2, 3);
///     Network::new(layer, [2], likelihood::Categorical, member)
/// })?;
/// let package = deploy::ensemble(&ensemble, &DeployOptions::new("flowers").samples(32))?;
/// assert!(package.header.contains("#define FLOWERS_MEMBERS 5"));
/// assert!(package.header.contains("float *information_between;"));
/// # Ok::<(), bayeslift::Error>(())
/// ```
///
/// # Errors
/// As for [`network()`]; members whose layers or likelihood differ.
pub fn ensemble(ensemble: &Ensemble, options: &DeployOptions) -> Result<Package, Error> {
    let _environment = Environment::enter();
    let files = ensemble.members().iter().map(|member| ModelFile::from_bytes(&member.to_bytes()?));
    let digest = digest_of(&files.collect::<Result<Vec<_>, _>>()?);
    let models = ensemble.members().iter().map(|member| Model::of_network(member, &PredictorOptions::default()));
    compile(Subject::Ensemble(&models.collect::<Vec<_>>()), Some(&digest), options)
}

/// A digest of members: that of their digests, one after the other.
fn digest_of(files: &[ModelFile]) -> String {
    let all: String = files.iter().filter_map(|file| file.digest.as_deref()).collect();
    package::digest(all.as_bytes())
}

fn of_file(file: ModelFile, path: &Path, options: &DeployOptions) -> Result<Package, Error> {
    let digest = file.digest.clone();
    let model = stored::model(file, path, &PredictorOptions::default())?;
    compile(Subject::Network(&model), digest.as_deref(), options)
}
