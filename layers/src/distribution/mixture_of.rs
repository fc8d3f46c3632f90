//! Mixtures of any distributions.

use super::{AnyDistribution, Distribution};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// A mixture of any distributions of single elements, with probabilities softmax(logits) that may be learned. (For
/// normal components with fixed probabilities, [`Mixture`](super::Mixture) costs less.)
///
/// log p(x) = log sum_i softmax(logits)_i p_i(x). A draw picks a component by a uniform number, which no gradient
/// passes: probabilities are learned in priors, by the density.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::{LocationScale, MixtureOf, Normal}};
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let laplace = LocationScale::laplace(b.constant(0.0), b.constant(1.0));
/// let parts = vec![Normal::scalar(&b, 0.0, 1.0).into(), laplace.into()];
/// let law = MixtureOf::new(full(0.0, &[2]), parts)?; // half of each
/// b.output("log_prob", law.log_prob(b.constant(0.0)));
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -0.799684)); // log((1 / sqrt(2 pi) + 1 / 2) / 2)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MixtureOf<'b> {
    logits: Expr<'b>,
    components: Vec<AnyDistribution<'b>>,
}

impl<'b> MixtureOf<'b> {
    /// A mixture of these components with logits `[components]`.
    ///
    /// # Errors
    /// No component; logits of another shape; a component whose elements depend on each other.
    pub fn new(logits: Expr<'b>, components: Vec<AnyDistribution<'b>>) -> Result<Self, Error> {
        logits.builder().check()?;
        if logits.shape() != Shape::new(&[components.len().max(1)]) || components.is_empty() {
            let expected = format!("[{}], one for each component", components.len().max(1));
            return Err(Error::shape("the logits of a mixture", expected, &logits.shape()));
        }
        if let Some(joint) = components.iter().find(|component| component.event_ndims() > 0) {
            return Err(Error::argument("a component of a mixture", "a law of single elements", joint.family()));
        }
        Ok(MixtureOf { logits, components })
    }

    /// Probabilities and components.
    fn weighted(&self) -> impl Iterator<Item = (Expr<'b>, &AnyDistribution<'b>)> {
        let probabilities = self.logits.softmax();
        let one = move |i: usize| probabilities.slice(0, i..i + 1).reshape(Shape::default());
        self.components.iter().enumerate().map(move |(i, component)| (one(i), component))
    }

    fn expectation(&self, of: impl Fn(&AnyDistribution<'b>) -> Option<Expr<'b>>) -> Option<Expr<'b>> {
        let terms: Option<Vec<_>> = self.weighted().map(|(p, component)| Some(of(component)? * p)).collect();
        terms?.into_iter().reduce(|a, b| a + b)
    }
}

impl<'b> Distribution<'b> for MixtureOf<'b> {
    fn family(&self) -> &'static str {
        "MixtureOf"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("logits", self.logits)]
    }

    /// Added two by two as log(e^a + e^b) = b + softplus(a - b) for b >= a.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let log_probabilities = self.logits.log_softmax();
        let joints = self.components.iter().enumerate().map(|(i, component)| {
            component.log_prob(value) + log_probabilities.slice(0, i..i + 1).reshape(Shape::default())
        });
        let sum = joints.reduce(|a, b| {
            let swap = b.less(a);
            let (low, high) = (swap.select(b, a), swap.select(a, b));
            // where both are minus infinity so is their sum
            let difference = low.equal(f32::NEG_INFINITY).select(f32::NEG_INFINITY, low - high);
            high + difference.softplus()
        });
        sum.expect("a mixture has a component")
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let uniform = site.child("component").weight_noise(NoiseDistribution::Uniform, shape)?;
        let (mut value, mut below): (Option<Expr<'b>>, Option<Expr<'b>>) = (None, None);
        for (i, (probability, component)) in self.weighted().enumerate() {
            let draw = component.sample(&site.child(&format!("component {i}")), shape)?.value;
            value = Some(match (value, below) {
                (Some(value), Some(below)) => uniform.less(below).select(value, draw),
                _ => draw,
            });
            below = Some(below.map_or(probability, |below| below + probability));
        }
        Ok(site.value(value.expect("a mixture has a component")))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        self.expectation(|component| component.mean().ok())
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        let mean = self.mean()?;
        let second = |component: &AnyDistribution<'b>| {
            let (loc, stddev) = (component.mean().ok()?, component.stddev().ok()?);
            Some(stddev.square() + (loc - mean).square())
        };
        Some(self.expectation(second)?.sqrt())
    }

    fn pieces(&self) -> Vec<Expr<'b>> {
        // those of several components would be in no order that is known
        let mut pieces = self.components.iter().map(|component| component.get().pieces());
        pieces.find(|pieces| !pieces.is_empty()).unwrap_or_default()
    }

    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        let components: Vec<_> = self.components.iter().map(|component| component.describe(words)).collect();
        format!("MixtureOf(logits = {}; {})", words(self.logits), components.join(", "))
    }
}
