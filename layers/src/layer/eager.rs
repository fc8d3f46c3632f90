//! Distributions of a network's weights, looked at outside of any graph.

use crate::{AnyDistribution, Context, Divergence, Draw, Error, Parameters, Scope, Term, noise_inputs};
use bayeslift_ir::{Builder, Environment, Expr, Graph, Shape, Tensor, evaluate};
use std::{fmt, sync::Arc};

type Make = dyn for<'b> Fn(&Scope<'b>) -> Result<AnyDistribution<'b>, Error> + Send + Sync;

/// A distribution with its parameters, to look at: draws and statistics as tensors, with the bits that compiled code
/// gives. [`Variational::posterior`](crate::Variational::posterior) and its siblings give those of a layer's weights.
///
/// ```
/// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Layer, Prior};
/// let layer = AffineVariationalReparameterizationLocal::new(3, 2).prior_maker(Prior::normal(0.0, 0.5));
/// let prior = layer.kernel_prior(&layer.initialize(7)?);
/// assert_eq!(prior.family()?, "Normal");
/// assert_eq!(prior.stddev()?.as_f32(), Some(&[0.5; 6][..]));
/// assert_eq!(prior.sample(0, 10)?.shape()[..], [10, 3, 2]);
/// assert_eq!(prior.mode()?, prior.mean()?);
/// // log N(0; 0, 0.5^2) = -log 0.5 - log sqrt(2 pi), of each weight
/// let log_prob = prior.log_prob(&prior.mean()?)?;
/// assert!(log_prob.as_f32().unwrap().iter().all(|x| (x + 0.225791).abs() < 1e-5));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone)]
pub struct Eager {
    parameters: Arc<Parameters>,
    shape: Shape,
    make: Arc<Make>,
}

impl Eager {
    /// A distribution of values of shape `shape` that `make` builds in a scope bound to `parameters`.
    pub fn new(
        parameters: Arc<Parameters>,
        shape: Shape,
        make: impl for<'b> Fn(&Scope<'b>) -> Result<AnyDistribution<'b>, Error> + Send + Sync + 'static,
    ) -> Self {
        Eager { parameters, shape, make: Arc::new(make) }
    }

    /// The shape of one value.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The name of the distribution's family, such as `Normal`: see [`Distribution::family`].
    ///
    /// # Errors
    /// Parameters that do not fit the layer.
    ///
    /// [`Distribution::family`]: crate::Distribution::family
    pub fn family(&self) -> Result<&'static str, Error> {
        let builder = Builder::of(self.parameters.float());
        Ok((self.make)(&Scope::bind(&builder, &self.parameters)?)?.family())
    }

    /// The mean of each element, of the shape of a value.
    ///
    /// # Errors
    /// Parameters that do not fit; a family without one.
    pub fn mean(&self) -> Result<Tensor, Error> {
        self.statistic(|distribution| distribution.mean())
    }

    /// The most probable value of each element, of the shape of a value.
    ///
    /// # Errors
    /// Parameters that do not fit; a family without a closed form of it.
    pub fn mode(&self) -> Result<Tensor, Error> {
        self.statistic(|distribution| distribution.mode())
    }

    /// The standard deviation of each element, of the shape of a value.
    ///
    /// # Errors
    /// Parameters that do not fit; a family without one.
    pub fn stddev(&self) -> Result<Tensor, Error> {
        self.statistic(|distribution| distribution.stddev())
    }

    /// The log density of each element of `value`, in nats.
    ///
    /// # Errors
    /// Parameters that do not fit; a value of another shape.
    pub fn log_prob(&self, value: &Tensor) -> Result<Tensor, Error> {
        if *value.shape() != self.shape {
            return Err(Error::shape("the value", self.shape.to_string(), value.shape()));
        }
        self.run(std::slice::from_ref(value), None, |scope, distribution| {
            let value = scope.builder().input("value", value.ty());
            Ok(distribution.log_prob(value))
        })
    }

    /// `samples` draws, `[samples, shape..]`, the same for the same seed on every machine. They are not those of any
    /// network.
    ///
    /// # Errors
    /// Parameters that do not fit; zero samples.
    pub fn sample(&self, seed: u64, samples: usize) -> Result<Tensor, Error> {
        self.run(&[], Some(seed), |scope, distribution| {
            let context = Context::new(scope.clone()).noise(noise_inputs(scope.builder())).samples(samples);
            let Draw { value, .. } = distribution.sample(&context.site("eager"), &self.shape)?;
            // A draw from a distribution without randomness has no sample axis.
            let shape = [samples].iter().chain(self.shape.iter()).copied().collect();
            Ok(value.broadcast(&shape))
        })
    }

    /// The divergence of this distribution from `prior`, which has the same parameters, in nats, summed over all
    /// elements. Draws that it needs are addressed by the seed, and are those of no network.
    ///
    /// ```
    /// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Divergence, Layer, Prior};
    /// let layer = AffineVariationalReparameterizationLocal::new(3, 2).prior_maker(Prior::normal(0.0, 1.0));
    /// let parameters = layer.initialize(7)?;
    /// let (posterior, prior) = (layer.kernel_posterior(&parameters), layer.kernel_prior(&parameters));
    /// let exact = posterior.divergence_from(&prior, &Divergence::Exact, 0)?;
    /// let drawn = posterior.divergence_from(&prior, &Divergence::MonteCarlo { draws: 1000 }, 0)?;
    /// // the mean of 1000 draws of 6 weights, each with a variance of 1/2
    /// assert!((exact - drawn).abs() < 5.0 * (3.0_f64 / 1000.0).sqrt());
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Divergence::with_method`]; parameters that do not fit.
    pub fn divergence_from(&self, prior: &Eager, divergence: &Divergence, seed: u64) -> Result<f64, Error> {
        let value = self.run(&[], Some(seed), |scope, posterior| {
            let context = Context::new(scope.clone()).noise(noise_inputs(scope.builder()));
            let term = Term {
                site: context.site("eager"),
                shape: self.shape.clone(),
                posterior: posterior.clone(),
                prior: (prior.make)(scope)?,
                value: None,
                reads: None,
            };
            divergence.of(&term)
        })?;
        Ok(value.to_f64s().map_or(f64::NAN, |value| value[0]))
    }

    /// The entropy in nats, summed over all elements, by the mean of -log density over draws that the seed addresses:
    /// of a normal distribution its error is that of the mean of `samples` numbers of variance 1/2, times the root of
    /// the number of elements.
    ///
    /// # Errors
    /// As for [`Eager::sample`].
    pub fn entropy(&self, seed: u64, samples: usize) -> Result<f64, Error> {
        let value = self.run(&[], Some(seed), |scope, distribution| {
            let context = Context::new(scope.clone()).noise(noise_inputs(scope.builder())).samples(samples);
            let draw = distribution.sample(&context.site("eager"), &self.shape)?;
            let draws = draw.value.shape().elements() / self.shape.elements().max(1);
            Ok(-distribution.log_prob_of_draw(&draw).sum_all() / draws as f64)
        })?;
        Ok(value.to_f64s().map_or(f64::NAN, |value| value[0]))
    }

    fn statistic(&self, of: impl for<'b> Fn(&AnyDistribution<'b>) -> Result<Expr<'b>, Error>) -> Result<Tensor, Error> {
        self.run(&[], None, |_, distribution| Ok(of(distribution)?.broadcast(&self.shape)))
    }

    fn run(
        &self,
        more: &[Tensor],
        seed: Option<u64>,
        build: impl for<'b> Fn(&Scope<'b>, &AnyDistribution<'b>) -> Result<Expr<'b>, Error>,
    ) -> Result<Tensor, Error> {
        let _environment = Environment::enter();
        let builder = Builder::of(self.parameters.float());
        let scope = Scope::bind(&builder, &self.parameters)?;
        let value = build(&scope, &(self.make)(&scope)?)?;
        builder.output("value", value);
        let mut inputs: Vec<Tensor> = self.parameters.iter().map(|(_, parameter)| parameter.tensor.clone()).collect();
        inputs.extend_from_slice(more);
        evaluate_one(builder.finish()?, inputs, seed)
    }
}

impl fmt::Debug for Eager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eager({})", self.shape)
    }
}

/// Evaluates the only output of a graph. With a seed, the inputs end with those of [`noise_inputs`], and get that
/// seed, step 0, and first sample and row 0.
pub(crate) fn evaluate_one(graph: Graph, mut inputs: Vec<Tensor>, seed: Option<u64>) -> Result<Tensor, Error> {
    if let Some(seed) = seed {
        inputs.push(Tensor::u32([4], [seed as u32, (seed >> 32) as u32, 0, 0])?);
        inputs.push(Tensor::u32([], [0])?);
        inputs.push(Tensor::u32([2], [0, 0])?);
    }
    let mut outputs = evaluate(&graph, &inputs)?;
    Ok(outputs.remove(0))
}
