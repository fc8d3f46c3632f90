//! One label of several.

use super::{Distribution, undefined};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, Shape};

/// The distribution of a label 0, .., classes - 1 with probabilities softmax(logits).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::distribution::Categorical;
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let law = Categorical::new(full(0.0, &[4]));
/// assert_eq!(law.classes(), 4);
/// b.output("log_prob", law.log_prob(b.constant_u32(3)));
/// b.output("smoothed", law.log_prob_of_one_hot(full(0.25, &[4])));
/// b.output("probabilities", law.probabilities());
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.386294)); // log(1 / 4)
/// assert!(near(1, -1.386294)); // 4 * 0.25 log(1 / 4)
/// assert!(near(2, 0.25)); // 1 / 4
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Categorical<'b> {
    /// Unnormalized log probabilities, `[.., classes]`.
    pub logits: Expr<'b>,
}

impl<'b> Categorical<'b> {
    /// Probabilities softmax(logits) over the last axis.
    pub fn new(logits: Expr<'b>) -> Self {
        Categorical { logits }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.logits.shape().last_extent()
    }

    /// The log probability of each `u32` label of `labels: [..]`, broadcast against the leading axes of the logits. A
    /// label out of range has log probability 0: check labels where they enter.
    pub fn log_prob(&self, labels: Expr<'b>) -> Expr<'b> {
        let log_probabilities = self.logits.log_softmax();
        let axis = log_probabilities.shape().len().saturating_sub(1);
        // chosen, not multiplied by 0 and 1: another class may have log probability minus infinity
        labels.one_hot_mask(self.classes()).select(log_probabilities, 0.0).sum(axis)
    }

    /// The log probability of each label that is given as a one-hot row, `[.., classes]`; of other rows of weights the
    /// sum of weight times log probability, without what has weight 0.
    pub fn log_prob_of_one_hot(&self, rows: Expr<'b>) -> Expr<'b> {
        let log_probabilities = self.logits.log_softmax();
        let axis = log_probabilities.shape().len().saturating_sub(1);
        (rows * rows.equal(0.0).select(0.0, log_probabilities)).sum(axis)
    }

    /// The probabilities, `[.., classes]`.
    pub fn probabilities(&self) -> Expr<'b> {
        self.logits.softmax()
    }
}

/// Its values are labels: it has neither draws of weights nor mean, mode and standard deviation.
impl<'b> Distribution<'b> for Categorical<'b> {
    fn family(&self) -> &'static str {
        "Categorical"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("logits", self.logits)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob(value)
    }

    fn sample(&self, _: &Site<'b>, _: &Shape) -> Result<Draw<'b>, Error> {
        Err(undefined("Categorical", "draws of weights"))
    }

    fn describe(&self, _: &dyn Fn(Expr<'b>) -> String) -> String {
        "Categorical".to_owned()
    }
}
