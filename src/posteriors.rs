//! Where the posteriors of a network are, and how far a fit has moved them.

use crate::{Error, Network};
use bayeslift_ir::{Environment, Tensor, evaluate};
use bayeslift_passes::simplify;
use std::fmt;

/// Where a fit has moved the posterior of a random variable. Numbers are medians over its elements, before the fit and
/// after it. [`FitReport::posteriors`](crate::FitReport::posteriors) has one for each random variable whose posterior
/// has a mean and a standard deviation.
///
/// ```
/// use bayeslift::prelude::*;
///
/// # let (inputs, labels) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| i / 32).collect());
/// let data = Dataset::classification([1], inputs, labels)?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
/// let report = Fit::new().epochs(3).learning_rate(1e-2).run(&mut network, &data)?;
/// let kernel = &report.posteriors[0];
/// assert_eq!((kernel.path.as_str(), kernel.elements), ("kernel", 2));
/// // standard deviations began with 1e-3, and grow where the data do not need them small
/// assert!((kernel.scale[0] - 1e-3).abs() < 1e-6 && kernel.scale[1] > kernel.scale[0]);
/// println!("{kernel}");
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PosteriorReport {
    /// The path of the random variable, such as `affine/kernel`.
    pub path: String,
    /// How many elements it has.
    pub elements: usize,
    /// The standard deviation of an element.
    pub scale: [f64; 2],
    /// |mean| / standard deviation: below 1 the sign of the element is hardly known, far above 1 it is as if it were a
    /// point.
    pub signal_to_noise: [f64; 2],
    /// How many of its final standard deviations the mean has moved.
    pub moved: f64,
}

impl fmt::Display for PosteriorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PosteriorReport { path, scale: [before, after], signal_to_noise: [noise_before, noise_after], .. } = self;
        write!(f, "{path}: scale {before:.2e} to {after:.2e}, signal to noise {noise_before:.2} to {noise_after:.2}")
    }
}

/// Means and standard deviations of the random variables of a network.
#[derive(Debug)]
pub(crate) struct Moments(pub Vec<Moment>);

#[derive(Debug)]
pub(crate) struct Moment {
    pub path: String,
    pub mean: Vec<f64>,
    pub stddev: Vec<f64>,
}

impl Moments {
    /// Of the random variables whose posteriors tell both.
    pub fn of(network: &Network) -> Result<Moments, Error> {
        let _environment = Environment::enter();
        let b = network.builder();
        let (_, call) = network.on_rows(&b, 1)?;
        let mut paths = Vec::new();
        for term in &call.terms {
            if let (Ok(mean), Ok(stddev)) = (term.posterior.mean(), term.posterior.stddev()) {
                b.output(&format!("{}/mean", paths.len()), mean.broadcast(&term.shape));
                b.output(&format!("{}/stddev", paths.len()), stddev.broadcast(&term.shape));
                paths.push(term.site.path().to_owned());
            }
        }
        // without what only the network's output needs
        let graph = simplify(&b.finish()?)?;
        let value = |input: &bayeslift_ir::Input| match network.parameters().get(&input.name) {
            Ok(parameter) => Ok(parameter.tensor.clone()),
            Err(_) => Tensor::zeros(graph.ty(input.value)),
        };
        let inputs = graph.inputs().iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let mut results = evaluate(&graph, &inputs)?.into_iter();
        let mut next = || results.next().and_then(|tensor| tensor.to_f64s()).unwrap_or_default();
        Ok(Moments(paths.into_iter().map(|path| Moment { path, mean: next(), stddev: next() }).collect()))
    }

    /// How far they have moved since.
    pub fn compared(&self, before: &Moments) -> Vec<PosteriorReport> {
        let of = |now: &Moment| {
            let before =
                before.0.iter().find(|before| before.path == now.path && before.mean.len() == now.mean.len())?;
            let ratio = |a: f64, b: f64| a.abs() / b;
            let signal = |of: &Moment| median(of.mean.iter().zip(&of.stddev).map(|(&m, &s)| ratio(m, s)));
            let scale = |of: &Moment| median(of.stddev.iter().copied());
            let moved = now.mean.iter().zip(&before.mean).zip(&now.stddev);
            Some(PosteriorReport {
                path: now.path.clone(),
                elements: now.mean.len(),
                scale: [scale(before), scale(now)],
                signal_to_noise: [signal(before), signal(now)],
                moved: median(moved.map(|((&now, &before), &s)| ratio(now - before, s))),
            })
        };
        self.0.iter().filter_map(of).collect()
    }
}

/// The middle one of some numbers; the upper of two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { f64::NAN } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}
