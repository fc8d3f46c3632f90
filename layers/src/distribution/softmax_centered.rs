//! Proportions: the softmax of normals and of a last 0.

use super::normal::LOG_SQRT_TWO_PI;
use crate::host;
use bayeslift_ir::Expr;

/// The logistic-normal distribution of a point on the simplex, K positive numbers that sum to 1: softmax((z, 0)) for
/// K - 1 independent z = N(loc, scale^2) (Aitchison and Shen 1980; what TFP writes as `SoftmaxCentered()(Normal(loc,
/// scale))`).
///
/// Unlike a [`Categorical`](super::Categorical) it is a law of proportions, not of labels, and has a spread of its own.
/// A label is a corner of the simplex, where the density is not defined: it must be smoothed first.
///
/// log p(y) = sum_k log N(log(y_k / y_K); loc_k, scale^2) - sum_j log y_j - log(K) / 2, with k over the first K - 1
/// classes and j over all; the density is per area of the simplex in K dimensions, as in TFP.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::distribution::SoftmaxCenteredNormal;
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let law = SoftmaxCenteredNormal::new(full(0.0, &[1]), b.constant(1.0));
/// assert_eq!(law.classes(), 2);
/// b.output("log_prob", law.log_prob(full(0.5, &[2])));
/// b.output("logits", law.logits());
/// b.output("center", law.center());
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, 0.120781)); // -log sqrt(2 pi) - 2 log 0.5 - log(2) / 2
/// assert!(near(1, 0.0)); // (loc, 0)
/// assert!(near(2, 0.5)); // softmax((0, 0))
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCenteredNormal<'b> {
    /// The locations, `[.., K - 1]`.
    pub loc: Expr<'b>,
    /// The standard deviation of every z, a positive scalar.
    pub scale: Expr<'b>,
}

impl<'b> SoftmaxCenteredNormal<'b> {
    /// softmax((z, 0)) for z = N(loc, scale^2), with locations `[.., K - 1]` and a scalar scale.
    pub fn new(loc: Expr<'b>, scale: Expr<'b>) -> Self {
        SoftmaxCenteredNormal { loc, scale }
    }

    /// K, the number of classes.
    pub fn classes(&self) -> usize {
        self.loc.shape().last_extent() + 1
    }

    /// (loc, 0), `[.., K]`: the logits of the [centre](SoftmaxCenteredNormal::center).
    pub fn logits(&self) -> Expr<'b> {
        self.loc.pad(self.loc.shape().len().saturating_sub(1), 0, 1, 0)
    }

    /// softmax((loc, 0)), `[.., K]`: the point whose log ratios are the medians of theirs. The mean has no closed form.
    pub fn center(&self) -> Expr<'b> {
        self.logits().softmax()
    }

    /// The log density of each point of `points: [.., K]`, broadcast against the leading axes of loc. Not a number for
    /// a point that is not inside the simplex: check targets where they enter.
    pub fn log_prob(&self, points: Expr<'b>) -> Expr<'b> {
        let classes = self.classes();
        let axis = self.loc.shape().len().max(points.shape().len()).saturating_sub(1);
        let log_points = points.log();
        let points_axis = points.shape().len().saturating_sub(1);
        let log_last = log_points.slice(points_axis, classes - 1..classes);
        // Log ratios less locations; that of the last class is 0 - 0.
        let distance = (log_points - log_last - self.logits()) * (1.0 / self.scale);
        let peak = (self.scale.log() + LOG_SQRT_TWO_PI) * (classes - 1) as f64;
        let area = 0.5 * host::natural_log(classes as f64);
        distance.square().sum(axis) * -0.5 - log_points.sum(points_axis) - (peak + area)
    }
}
