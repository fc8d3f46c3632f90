//! One layer of a file, for one layer of a network.

use super::{Described, LARGEST_FILE, ModelFile, describe};
use crate::{Error, Network};
use bayeslift_ir::{Environment, Foreign};
use std::path::Path;

impl Network {
    /// Loads the parameters of one layer, or of one container of layers, from a file that [`Network::save`] wrote of
    /// any network that has it: `layer` is its path here, such as `affine_1` or `residual/affine`, and `layer_of_file`
    /// that of the layer in the file. Empty paths are whole networks.
    ///
    /// What is compared is that layer: the names, types and order of its parameters, and what its posteriors are made
    /// of. Everything else of the network stays as it is, also what is trainable. A layer alone is saved as a network
    /// of it.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let dense = AffineVariationalReparameterizationLocal::new;
    /// let path = std::env::temp_dir().join(format!("bayeslift-layer-{}.safetensors", std::process::id()));
    /// let trained = Sequential::new().layer(dense(4, 8)).layer(dense(8, 3));
    /// Network::new(trained, [4], likelihood::Categorical, 1)?.save(&path)?;
    ///
    /// // the same body below another head
    /// let other = Sequential::new().layer(dense(4, 8).name("body")).layer(dense(8, 1));
    /// let mut network = Network::new(other, [4], likelihood::Normal::learned(1.0), 2)?;
    /// network.load_layer("body", &path, "affine")?;
    /// # let file = ModelFile::read(&path)?;
    /// # assert_eq!(network.parameters().under("body"), file.parameters.under("affine"));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`ModelFile::read`]; [`Error::OtherNetwork`] for a layer that is not there, or another one; a path that
    /// is no layer of this network. The network is unchanged then.
    pub fn load_layer(&mut self, layer: &str, file: impl AsRef<Path>, layer_of_file: &str) -> Result<(), Error> {
        let _environment = Environment::enter();
        let path = file.as_ref();
        let file = ModelFile::read_limited(path, LARGEST_FILE)?;
        let other = |message: String| Error::OtherNetwork { path: path.to_owned(), message };
        let own = below(self.parameters().paths(), layer);
        if own.is_empty() {
            let expected =
                format!("the path of a layer with parameters, as in {}", Foreign::list(self.parameters().paths()));
            return Err(Error::argument("the layer to load", expected, format!("`{}`", Foreign::new(layer))));
        }
        let found = below(file.parameters.paths(), layer_of_file);
        if own != found {
            let message = format!(
                "its layer `{}` has the parameters {}, expected {}",
                Foreign::new(layer_of_file),
                Foreign::list(found.iter().copied()),
                Foreign::list(own.iter().copied())
            );
            return Err(other(message));
        }
        let [posteriors, _] = describe::posteriors_and_priors(self)?;
        let (own_posteriors, posteriors) = (texts(&posteriors, layer), texts(&file.posteriors, layer_of_file));
        if let Some((own, found)) = own_posteriors.iter().zip(&posteriors).find(|(own, found)| own != found) {
            return Err(other(format!("a posterior of its layer is {}, expected {own}", Foreign::new(found))));
        }
        let mut parameters = self.parameters().clone();
        for name in &own {
            let tensor = &file.parameters.get(&joined(layer_of_file, name))?.tensor;
            let to = joined(layer, name);
            let expected = parameters.get(&to)?.tensor.ty();
            if tensor.ty() != expected {
                let name = Foreign::new(name);
                return Err(other(format!("its parameter `{name}` has type {}, expected {expected}", tensor.ty())));
            }
            parameters.assign(&to, tensor.clone())?;
        }
        self.check(&parameters)?;
        self.replace_parameters(parameters);
        Ok(())
    }
}

fn joined(layer: &str, name: &str) -> String {
    if layer.is_empty() { name.to_owned() } else { format!("{layer}/{name}") }
}

/// The rest of each path that begins with a layer's.
fn below<'p>(paths: impl Iterator<Item = &'p str>, layer: &str) -> Vec<&'p str> {
    let rest = |path: &'p str| match layer {
        "" => Some(path),
        _ => path.strip_prefix(layer).and_then(|rest| rest.strip_prefix('/')),
    };
    paths.filter_map(rest).collect()
}

/// What the random variables of a layer have as distributions, with paths as they are in the layer.
fn texts(described: &[Described], layer: &str) -> Vec<String> {
    let prefix = joined(layer, "");
    let of = |described: &&Described| layer.is_empty() || described.path.starts_with(&prefix);
    described
        .iter()
        .filter(of)
        .map(|described| if layer.is_empty() { described.text.clone() } else { described.text.replace(&prefix, "") })
        .collect()
}
