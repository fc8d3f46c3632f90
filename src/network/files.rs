//! Networks in files: the project's own, and those of TFP.

use super::Network;
use crate::{Error, model_file};
use bayeslift_ir::Environment;
use bayeslift_layers::{Layer, Likelihood};
use std::path::Path;

impl Network {
    /// Saves the network as a safetensors file: parameters by path, and in the metadata all that is known about them;
    /// see [`ModelFile`](crate::ModelFile).
    ///
    /// The file is written under a temporary name in the same folder, synced and renamed, so that it is there as a
    /// whole or not at all, whatever happens meanwhile; what a killed process leaves of that is removed by the next
    /// save there. A link stays one, and its target is written. A file that is replaced keeps its mode and, where the
    /// system allows it, its owner.
    ///
    /// # Errors
    /// [`Error::File`], also for a name that is taken by what is no regular file: a folder, a pipe, a device; a
    /// parameter with an element that is not finite, which [`Network::load`] would refuse.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::save(self, path.as_ref())
    }

    /// Loads what [`Network::save`] wrote of this very network: parameters with what is trainable, seed, and the
    /// numbers of training examples, of steps and of epochs.
    ///
    /// Compared are the shape of inputs, the likelihood, the layers with all that changes their output, the parameters'
    /// names and types, posteriors and priors. What has no words - an activation, posterior, prior or layer of one's
    /// own - is compared by the network's graph, as long as the file was written by a version of Bayeslift that makes
    /// the same graphs. [`Network::load_weights`] loads the parameters of another network on purpose.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is truncated, damaged, foreign or of another version, or has
    /// an element that is not finite; [`Error::OtherNetwork`] with the first difference. The network is unchanged then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load(self, path.as_ref())
    }

    /// Loads parameters that [`Network::save`] wrote, of any network that has parameters of the same names and types:
    /// the same layers with another activation, estimator or prior. Their values are all that changes.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let path = std::env::temp_dir().join(format!("bayeslift-weights-{}.safetensors", std::process::id()));
    /// let layer = AffineVariationalReparameterizationLocal::new(4, 3);
    /// Network::new(layer, [4], likelihood::Categorical, 1)?.save(&path)?;
    ///
    /// let mut flipout = Network::new(AffineVariationalFlipout::new(4, 3), [4], likelihood::Categorical, 2)?;
    /// let error = flipout.load(&path).unwrap_err().to_string();
    /// assert!(error.ends_with("layer `affine`: its estimator is Local, the network's is Flipout"), "{error}");
    /// flipout.load_weights(&path)?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::load`], where only the parameters are compared.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load_weights(self, path.as_ref())
    }

    /// The bytes that [`Network::save`] writes to a file.
    ///
    /// # Errors
    /// A parameter with an element that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let _environment = Environment::enter();
        model_file::bytes(self)
    }

    /// Loads what [`Network::to_bytes`] gave, or a file has that [`Network::save`] wrote.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let make = |seed| {
    ///     let layer = AffineVariationalReparameterizationLocal::new(4, 3);
    ///     Network::new(layer, [4], likelihood::Categorical, seed)
    /// };
    /// let (trained, mut other) = (make(7)?, make(8)?);
    /// other.load_bytes(&trained.to_bytes()?)?;
    /// assert_eq!((other.parameters(), other.seed()), (trained.parameters(), 7));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::load`].
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let _environment = Environment::enter();
        model_file::load_bytes(self, bytes)
    }

    /// A trained network of the bytes of a model file, such as one that is part of the program. The shape of inputs and
    /// the seed are the file's.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// fn layer() -> Sequential {
    ///     Sequential::new().layer(AffineVariationalReparameterizationLocal::new(4, 3))
    /// }
    ///
    /// # let trained = Network::new(layer(), [4], likelihood::Categorical, 7)?.to_bytes()?;
    /// # macro_rules! include_bytes { ($name:literal) => { &trained } }
    /// let model: &[u8] = include_bytes!("model.safetensors");
    /// let network = Network::from_bytes(layer(), likelihood::Categorical, model)?;
    /// let prediction = Predictor::new(&network)?.classify(&[0.1, 0.2, 0.3, 0.4])?;
    /// # assert_eq!((network.seed(), network.to_bytes()?), (7, trained));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::new`] and [`Network::load`].
    pub fn from_bytes(
        layer: impl Layer + 'static,
        likelihood: impl Likelihood + 'static,
        bytes: &[u8],
    ) -> Result<Network, Error> {
        let _environment = Environment::enter();
        model_file::network(layer, likelihood, bytes)
    }

    /// Saves the layers' parameters as `save` of a network of `tfp.experimental.nn` does, for its `load` to read: a
    /// NumPy archive of the arrays `arr_0`, `arr_1`, .. in the order of a TensorFlow module's variables - for a
    /// variational layer kernel location, kernel raw scale, bias location, bias raw scale; for a deterministic one
    /// bias, kernel. The file has the name it is given: TFP's own `save` appends `.npz` if it is missing, and its
    /// `load` does not.
    ///
    /// Such a file names nothing: use [`Network::save`] unless TFP is to read it. A likelihood's parameters are not
    /// part of it.
    ///
    /// # Errors
    /// [`Error::Argument`] for a posterior other than TFP's default, normal with scale = softplus(raw scale) + 1e-5,
    /// since a file says nothing of that; otherwise as for [`Network::save`].
    #[cfg(feature = "npz")]
    pub fn save_tfp(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::save(self, path.as_ref(), false)
    }

    /// As [`Network::save_tfp`], for a network of TFP's `ConvolutionV2` layers in the places of convolutions: their
    /// kernels are written as `[filter.. * input, output]` and their biases as `[1, 1, output]`. What either writes
    /// [`Network::load_tfp`] reads.
    ///
    /// # Errors
    /// As for [`Network::save_tfp`].
    #[cfg(feature = "npz")]
    pub fn save_tfp_v2(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::save(self, path.as_ref(), true)
    }

    /// Loads the layers' parameters from a file that a network of `tfp.experimental.nn` or [`Network::save_tfp`] saved.
    ///
    /// What such a file lets be checked is checked: the number of arrays, of each its number, element type and shape,
    /// and that its elements are finite. It has no names, so **two arrays of one shape cannot be told apart**: a file
    /// of a network whose layers come in another order loads without an error if the shapes agree. A file that has more
    /// than the layers' variables, such as what `also_track` names, is refused. Seed, likelihood and what is trainable
    /// stay what they are.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let network = |seed| Network::new(AffineVariationalFlipout::new(4, 3), [4], likelihood::Categorical, seed);
    /// let path = std::env::temp_dir().join(format!("bayeslift-{}.npz", std::process::id()));
    /// network(1)?.save_tfp(&path)?;
    /// let mut other = network(2)?;
    /// other.load_tfp(&path)?;
    /// assert_eq!(other.parameters(), network(1)?.parameters());
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is no NumPy archive of `f32` arrays, or damaged;
    /// [`Error::OtherNetwork`] for other arrays than the network has; [`Error::Argument`] as for [`Network::save_tfp`].
    /// The network is unchanged then.
    #[cfg(feature = "npz")]
    pub fn load_tfp(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::load(self, path.as_ref(), false)
    }

    /// As [`Network::load_tfp`], and rounds elements that are `f64` to the nearest `f32`.
    ///
    /// # Errors
    /// As for [`Network::load_tfp`]; an element beyond the largest `f32`.
    #[cfg(feature = "npz")]
    pub fn load_tfp_rounded(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let _environment = Environment::enter();
        crate::tfp_file::load(self, path.as_ref(), true)
    }
}
