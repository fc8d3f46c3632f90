//! One label of several.

use super::{Distribution, undefined};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, Shape};

/// The distribution of a label 0, .., classes - 1 with probabilities softmax(logits).
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
