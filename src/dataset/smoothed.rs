//! Labels as points inside the simplex.

use super::{Dataset, Targets, check_labels};
use crate::Error;
use bayeslift_ir::{Environment, Shape, memory};

impl Dataset {
    /// The labels of `classes` classes as points inside the simplex, for
    /// [`likelihood::SoftmaxCenteredNormal`](bayeslift_layers::likelihood::SoftmaxCenteredNormal): 1 - smoothing more
    /// for the label's class than for the others, which get smoothing / classes (label smoothing; Szegedy and others
    /// 2016, section 7). A corner of the simplex itself has no density.
    ///
    /// ```
    /// # use bayeslift::Dataset;
    /// # let data = Dataset::classification([1], vec![0.0; 2], vec![2, 0])?;
    /// assert_eq!(data.smoothed(4, 0.2)?.values(), [0.05, 0.05, 0.85, 0.05, 0.85, 0.05, 0.05, 0.05]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// Targets of the shape `[positions..]` become `[positions.., classes]`; all numbers of a missing label are
    /// missing.
    ///
    /// # Errors
    /// Targets that are no labels, or not below `classes`; a smoothing outside (0, 1).
    pub fn smoothed(&self, classes: usize, smoothing: f32) -> Result<Dataset, Error> {
        let _environment = Environment::enter();
        let Targets::Labels(labels) = &self.targets else {
            let remedy = "make the data set by `Dataset::classification`";
            return Err(Error::misuse("the targets to smooth are numbers, where labels are needed", remedy));
        };
        check_labels(classes, self.target_shape.elements(), labels)?;
        if !(smoothing > 0.0 && smoothing < 1.0) {
            return Err(Error::argument("the smoothing of labels", "a number between 0 and 1", smoothing));
        }
        Shape::new(&[labels.len(), classes]).check()?;
        memory::check(labels.len() * classes, 4, "smoothed labels")?;
        let other = smoothing / classes as f32;
        let mut values = vec![other; labels.len() * classes];
        for (row, &label) in values.chunks_exact_mut(classes).zip(labels) {
            row[label as usize] = 1.0 - smoothing + other;
        }
        let target_shape: Shape = self.target_shape.iter().copied().chain([classes]).collect();
        let present = self.present.as_ref();
        let present =
            present.map(|present| present.iter().flat_map(|&known| std::iter::repeat_n(known, classes)).collect());
        let targets = Targets::Values { units: target_shape.elements(), values };
        Ok(Dataset { target_shape, targets, present, ..self.clone() })
    }
}
