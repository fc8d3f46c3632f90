//! The law of targets.

use crate::{Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// The law of the targets of some examples, a function of the network's output: its axes lead, `[samples, rows, ..]` or
/// `[rows, ..]`, and what it is asked about is broadcast against them.
///
/// Only the log density is needed to train. What a law does not tell, predictions do not report. What it tells is
/// `f32`, or `f64` where that has too few digits, and has an axis of extent 1, or no axis, where it is the same for
/// all.
pub trait Law<'b> {
    /// The log density, or log probability, of each [event](super::Target::events).
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b>;

    /// What training maximizes for each event in the place of log p; default: none. As it is the logarithm of no
    /// density, there is no [importance-weighted bound](super::Bound::ImportanceWeighted) of it.
    fn gain(&self, target: Expr<'b>) -> Option<Expr<'b>> {
        let _ = target;
        None
    }

    /// The probabilities of classes, `[.., events.., classes]`, where targets are some of them.
    fn probabilities(&self) -> Option<Expr<'b>> {
        None
    }

    /// The mean of each number, where it exists.
    fn mean(&self) -> Option<Expr<'b>> {
        None
    }

    /// The variance of each number, where it exists.
    fn variance(&self) -> Option<Expr<'b>> {
        None
    }

    /// The entropy of each event, in nats; differential where there is a density.
    fn entropy(&self) -> Option<Expr<'b>> {
        None
    }

    /// The probability that a number is at most `x`, which may have more axes in front.
    fn cdf(&self, x: Expr<'b>) -> Option<Expr<'b>> {
        let _ = x;
        None
    }

    /// The least number that has at most probability 1 - `p` above it, for `p` between 0 and 1.
    fn quantile(&self, p: Expr<'b>) -> Option<Expr<'b>> {
        let _ = p;
        None
    }

    /// A target for each sample and row, labels as numbers. Default: by the quantile of uniform noise: nothing is
    /// rejected while drawing, since each draw is a function of its address.
    fn draw(&self, noise: &TargetNoise<'b>) -> Option<Expr<'b>> {
        self.quantile(noise.uniform("target"))
    }
}

/// Where the noise of draws of targets comes from: one number for each element of a target.
#[derive(Clone, Debug)]
pub struct TargetNoise<'b> {
    site: Site<'b>,
    shape: Shape,
}

impl<'b> TargetNoise<'b> {
    /// At a site that has a noise address, for an activation of the shape `[samples, rows, ..]` or `[rows, ..]`.
    ///
    /// # Errors
    /// A site without one.
    pub fn new(site: Site<'b>, shape: Shape) -> Result<Self, Error> {
        site.check_noise()?;
        Ok(TargetNoise { site, shape })
    }

    /// Uniform on the open interval (0, 1).
    pub fn uniform(&self, name: &str) -> Expr<'b> {
        self.of(NoiseDistribution::Uniform, name)
    }

    /// Standard normal.
    pub fn normal(&self, name: &str) -> Expr<'b> {
        self.of(NoiseDistribution::Normal, name)
    }

    fn of(&self, law: NoiseDistribution, name: &str) -> Expr<'b> {
        let samples = usize::from(self.site.sample_count().is_some());
        // labels may have an axis of rows alone, and the last axis of noise counts units
        let units = (self.shape.len() == samples + 1).then_some(1);
        let shape: Shape = self.shape.iter().copied().chain(units).collect();
        let noise = self.site.child(name).example_noise(law, &shape).expect("the site has a noise address");
        let drawn = noise.shape();
        noise.reshape(&drawn[..drawn.len() - usize::from(units.is_some())])
    }
}
