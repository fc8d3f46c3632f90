//! Beginning with what is known: the weights of another network, or one's own posterior as the prior of what comes
//! next.

mod file;
mod map;

pub use file::StartReport;
pub use map::WeightMap;

use crate::{Error, Network, posteriors::Moments};
use bayeslift_ir::{Environment, Tensor};
use bayeslift_layers::{Parameters, distribution::Normal};

/// The least scale that a posterior begins with: above what softplus adds.
const LEAST_SCALE: f64 = 1e-4;

impl Network {
    /// Begins with weights that are known, such as those of a deterministic network that was trained alike, or of
    /// another system: MOPED (Krishnan, Subedar and Tickoo 2020). A weight w of a path such as `affine/kernel` becomes
    /// the mean of the posterior there, with the scale `relative_scale` |w|, at least 1e-4, if there is one with TFP's
    /// parameters `loc` and `raw_scale`, else the parameter of that path; and where the prior is a
    /// [remembered](bayeslift_layers::Prior::remembered) one, its mean. Parameters that are not among the weights stay
    /// as they are. Files of other systems are read by [`Network::start_from_file`].
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let plain = Sequential::new().layer(Affine::new(2, 8).activation(Activation::Relu)).layer(Affine::new(8, 1));
    /// let trained = Network::new(plain, [2], likelihood::Normal::learned(1.0), 0)?;
    /// // and then only the last layer is Bayesian
    /// let layers = Sequential::new()
    ///     .layer(Affine::new(2, 8).activation(Activation::Relu))
    ///     .layer(AffineVariationalReparameterizationLocal::new(8, 1).prior_maker(Prior::remembered(1.0)));
    /// let mut network = Network::new(layers, [2], likelihood::Normal::learned(1.0), 0)?;
    /// let weights = trained.parameters().iter().map(|(path, parameter)| (path, parameter.tensor.clone()));
    /// network.start_from(weights, 0.1)?;
    /// // frozen, the first layer stays what it was
    /// network.parameters_mut().set_trainable(false, |path, _| path.starts_with("affine/"));
    /// # let same = |path: &str, from: &str| network.parameters().get(path).unwrap().tensor == trained.parameters().get(from).unwrap().tensor;
    /// # assert!(same("affine/kernel", "affine/kernel") && same("affine_1/kernel/loc", "affine_1/kernel"));
    /// # assert!(same("affine_1/prior/kernel/loc", "affine_1/kernel"));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// A relative scale that is not positive and finite; a path that the network does not have, a tensor of another
    /// type, an element that is not finite: the network is unchanged then.
    pub fn start_from<'p>(
        &mut self,
        weights: impl IntoIterator<Item = (&'p str, Tensor)>,
        relative_scale: f64,
    ) -> Result<(), Error> {
        let _environment = Environment::enter();
        if !(relative_scale > 0.0 && relative_scale.is_finite()) {
            let expected = "a positive, finite number";
            return Err(Error::argument("the relative scale", expected, format!("{relative_scale:?}")));
        }
        let mut parameters = self.parameters().clone();
        for (path, tensor) in weights {
            let (loc, raw_scale) = (format!("{path}/loc"), format!("{path}/raw_scale"));
            if !is_variable(&parameters, path) {
                parameters.assign(path, tensor)?;
                continue;
            }
            let scale = |w: &f64| Normal::raw_scale((relative_scale * w.abs()).max(LEAST_SCALE));
            let elements = tensor.to_f64s().unwrap_or_default();
            let raw = Tensor::floats(&tensor.ty(), elements.iter().map(scale).collect())?;
            let prior = format!("{}/loc", prior_of(path));
            if parameters.contains(&prior) {
                parameters.assign(&prior, tensor.clone())?;
            }
            parameters.assign(&loc, tensor)?;
            parameters.assign(&raw_scale, raw)?;
        }
        parameters.check_finite()?;
        self.replace_parameters(parameters);
        Ok(())
    }

    /// Makes the posterior the prior, for data that come after those it was fitted to: a stream, in parts, of which
    /// none is kept (Nguyen and others 2018). Fit the next part with its own number of examples.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(1, 1).prior_maker(Prior::remembered(1.0));
    /// let mut network = Network::new(layer, [1], likelihood::Normal::fixed(0.5), 0)?;
    /// for part in [[0.0, 1.0], [2.0, 3.0]] {
    ///     let data = Dataset::regression([1], part.to_vec(), 1, part.map(|x| 2.0 * x).to_vec())?;
    ///     Fit::new().epochs(5).run(&mut network, &data)?;
    ///     network.posterior_as_prior()?;
    /// }
    /// let parameters = network.parameters();
    /// assert_eq!(parameters.get("prior/kernel/loc")?.tensor, parameters.get("kernel/loc")?.tensor);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// A random variable whose prior is not a [remembered](bayeslift_layers::Prior::remembered) one, or whose posterior
    /// tells no mean or standard deviation; a network without any: it is unchanged then.
    pub fn posterior_as_prior(&mut self) -> Result<(), Error> {
        let _environment = Environment::enter();
        let mut parameters = self.parameters().clone();
        let Moments(moments) = Moments::of(self)?;
        for moment in &moments {
            let prior = prior_of(&moment.path);
            if !parameters.contains(&format!("{prior}/scale")) {
                let problem =
                    format!("the prior of `{}` has no parameters that a posterior could be put to", moment.path);
                return Err(Error::misuse(problem, "give the layer `Prior::remembered`"));
            }
            for (name, values) in [("loc", &moment.mean), ("scale", &moment.stddev)] {
                let path = format!("{prior}/{name}");
                let ty = parameters.get(&path)?.tensor.ty();
                parameters.assign(&path, Tensor::floats(&ty, values.clone())?)?;
            }
        }
        if moments.is_empty() {
            return Err(Error::misuse("the network has no posterior", "use variational layers"));
        }
        parameters.check_finite()?;
        self.replace_parameters(parameters);
        Ok(())
    }
}

/// Whether a path is that of a random variable with TFP's parameters.
fn is_variable(parameters: &Parameters, path: &str) -> bool {
    ["loc", "raw_scale"].iter().all(|name| parameters.contains(&format!("{path}/{name}")))
}

/// Where the prior of a random variable has its parameters: `affine/prior/kernel` of `affine/kernel`.
fn prior_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((layer, name)) => format!("{layer}/prior/{name}"),
        None => format!("prior/{path}"),
    }
}
