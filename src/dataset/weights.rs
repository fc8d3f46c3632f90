//! How much each example counts.

use super::{Dataset, Targets, check_weights};
use crate::Error;
use bayeslift_ir::Environment;
use std::collections::BTreeMap;

impl Dataset {
    /// With a weight for each example, which its log likelihood is multiplied by: 0 leaves it out, 2 counts it twice.
    /// They take the place of weights that it has.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::regression([1], vec![0.0, 1.0, 2.0], 1, vec![0.1, 0.9, 7.0])?;
    /// let data = data.with_weights(vec![1.0, 1.0, 0.25])?;
    /// assert_eq!(data.select(&[2, 0])?.weights(), Some(&[0.25, 1.0][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Not one weight for each row; one that is negative or not finite; weights that are all 0.
    pub fn with_weights(self, weights: Vec<f32>) -> Result<Dataset, Error> {
        check_weights(self.rows(), &weights)?;
        if weights.iter().all(|&weight| weight == 0.0) {
            return Err(Error::argument("the largest weight", "a number above 0", 0));
        }
        Ok(Dataset { weights: Some(weights), ..self })
    }

    /// With weights by which all classes count alike, however many examples they have: an example of a class with n of
    /// them has the weight rows / (classes n), where classes are those that occur (`class_weight="balanced"` of
    /// scikit-learn, after King and Zeng 2001). Their mean is 1. They take the place of weights that it has.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::classification([1], vec![0.0, 1.0, 2.0, 3.0], vec![0, 0, 0, 7])?.balanced()?;
    /// assert_eq!(data.weights(), Some(&[2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// Examples whose label is missing are not counted, and have the weight 1.
    ///
    /// # Errors
    /// Targets that are not one label for each row.
    pub fn balanced(&self) -> Result<Dataset, Error> {
        let _environment = Environment::enter();
        let labels = match &self.targets {
            Targets::Labels(labels) if self.target_shape.is_empty() => labels,
            targets => {
                let kind = if matches!(targets, Targets::Labels(_)) { "labels" } else { "numbers" };
                let problem = format!(
                    "the targets of a row are {kind} of shape {}, where classes are balanced by one label for each row",
                    self.target_shape
                );
                return Err(Error::misuse(problem, "give weights of your own by `Dataset::with_weights`"));
            }
        };
        let is_known = |row: usize| self.present().is_none_or(|present| present[row]);
        let mut counts = BTreeMap::new();
        for (_, label) in labels.iter().enumerate().filter(|&(row, _)| is_known(row)) {
            *counts.entry(label).or_insert(0_usize) += 1;
        }
        let rows = counts.values().sum::<usize>() as f64;
        let weight = |(row, label): (usize, &u32)| {
            let count = counts.get(label).filter(|_| is_known(row));
            count.map_or(1.0, |&count| (rows / (counts.len() as f64 * count as f64)) as f32)
        };
        let weights = labels.iter().enumerate().map(weight).collect();
        self.clone().with_weights(weights)
    }

    /// The weight of each example; `None` if it was given none, which counts all alike.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }
}

/// The mean over rows, each times its weight.
pub(crate) fn weighted_mean(rows: &[f64], weights: Option<&[f32]>) -> f64 {
    let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
    // what does not count may be infinite
    let sum: f64 = rows.iter().enumerate().filter(|(row, _)| weight(*row) > 0.0).map(|(row, x)| x * weight(row)).sum();
    sum / rows.len() as f64
}
