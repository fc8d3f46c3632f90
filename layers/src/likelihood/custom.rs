//! A law of the user's own, by closures.

use super::{Law, Likelihood, Support, Target, invert::quantile_of, part};
use crate::{Error, Scope};
use bayeslift_ir::{Expr, Shape};
use std::{fmt, sync::Arc};

/// A function of the parts of an output alone.
type OfParts = dyn for<'b> Fn(&[Expr<'b>]) -> Expr<'b> + Send + Sync;
/// A function of the parts of an output, and of targets or probabilities.
type OfPartsAt = dyn for<'b> Fn(&[Expr<'b>], Expr<'b>) -> Expr<'b> + Send + Sync;

/// A law of each number that closures tell, for one that needs no type of its own. Targets `[.., rows, units]`, output
/// `[.., rows, units parts]`: closures get its [parts](super::parts), `[.., rows, units]` each.
///
/// ```
/// use bayeslift_layers::likelihood::{Custom, Support};
///
/// // waiting times with rate e^output
/// let exponential = Custom::new("Exponential", 1, Support::NonNegative, |parts, y| parts[0] - parts[0].exp() * y)
///     .mean(|parts| (-parts[0]).exp())
///     .variance(|parts| (parts[0] * -2.0).exp())
///     // of numbers with more digits than `f32` has, and so in `f64`
///     .cdf(|parts, y| 1.0 - (-y.to_f64() * parts[0].to_f64().exp()).exp())
///     .quantile(|parts, p| -(1.0 - p).log() / parts[0].to_f64().exp());
/// ```
#[derive(Clone)]
pub struct Custom {
    name: String,
    parts: usize,
    support: Support,
    log_prob: Arc<OfPartsAt>,
    mean: Option<Arc<OfParts>>,
    variance: Option<Arc<OfParts>>,
    entropy: Option<Arc<OfParts>>,
    cdf: Option<Arc<OfPartsAt>>,
    quantile: Option<Arc<OfPartsAt>>,
}

impl Custom {
    /// A law with a name, which model files have and compare; a number of outputs for each target; the values that
    /// targets may have; and the log density of targets, `f32` or `f64`, given the parts of the output.
    pub fn new(
        name: impl Into<String>,
        parts: usize,
        support: Support,
        log_prob: impl for<'b> Fn(&[Expr<'b>], Expr<'b>) -> Expr<'b> + Send + Sync + 'static,
    ) -> Self {
        Custom {
            name: name.into(),
            parts,
            support,
            log_prob: Arc::new(log_prob),
            mean: None,
            variance: None,
            entropy: None,
            cdf: None,
            quantile: None,
        }
    }

    /// Tells the mean.
    #[must_use]
    pub fn mean(mut self, mean: impl for<'b> Fn(&[Expr<'b>]) -> Expr<'b> + Send + Sync + 'static) -> Self {
        self.mean = Some(Arc::new(mean));
        self
    }

    /// Tells the variance.
    #[must_use]
    pub fn variance(mut self, variance: impl for<'b> Fn(&[Expr<'b>]) -> Expr<'b> + Send + Sync + 'static) -> Self {
        self.variance = Some(Arc::new(variance));
        self
    }

    /// Tells the entropy, in nats.
    #[must_use]
    pub fn entropy(mut self, entropy: impl for<'b> Fn(&[Expr<'b>]) -> Expr<'b> + Send + Sync + 'static) -> Self {
        self.entropy = Some(Arc::new(entropy));
        self
    }

    /// Tells the probability that a number is at most another one, which may be an `f64` and have more axes in front.
    /// Quantiles follow, and draws, where mean and variance are told too, or numbers are between 0 and 1.
    #[must_use]
    pub fn cdf(mut self, cdf: impl for<'b> Fn(&[Expr<'b>], Expr<'b>) -> Expr<'b> + Send + Sync + 'static) -> Self {
        self.cdf = Some(Arc::new(cdf));
        self
    }

    /// Tells the quantile of a probability, which is an `f64`. Draws follow.
    #[must_use]
    pub fn quantile(
        mut self,
        quantile: impl for<'b> Fn(&[Expr<'b>], Expr<'b>) -> Expr<'b> + Send + Sync + 'static,
    ) -> Self {
        self.quantile = Some(Arc::new(quantile));
        self
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({}, parts: {}, support: {:?})", self.name, self.parts, self.support)
    }
}

impl Likelihood for Custom {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        if let Support::Classes(_) | Support::Simplex(_) = self.support {
            let expected = "one of numbers: implement `Likelihood` for labels and for points";
            return Err(Error::argument("the support of a custom likelihood", expected, self.support));
        }
        Target::of_parts(output, self.parts, self.support)
    }

    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let parts = (0..self.parts).map(|index| part(output, index, self.parts)).collect();
        Ok(Box::new(CustomLaw { parts, custom: self.clone() }))
    }
}

struct CustomLaw<'b> {
    custom: Custom,
    parts: Vec<Expr<'b>>,
}

impl<'b> Law<'b> for CustomLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        (self.custom.log_prob)(&self.parts, target)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        self.custom.mean.as_ref().map(|mean| mean(&self.parts))
    }

    fn variance(&self) -> Option<Expr<'b>> {
        self.custom.variance.as_ref().map(|variance| variance(&self.parts))
    }

    fn entropy(&self) -> Option<Expr<'b>> {
        self.custom.entropy.as_ref().map(|entropy| entropy(&self.parts))
    }

    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        self.custom.cdf.as_ref().map(|cdf| cdf(&self.parts, x))
    }

    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        match &self.custom.quantile {
            Some(quantile) => Some(quantile(&self.parts, p.to_f64())),
            None => quantile_of(self, self.custom.support, p),
        }
    }
}
