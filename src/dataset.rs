//! Examples in memory: inputs and targets, checked once.

mod checks;
mod digest;
mod missing;
mod one_hot;
mod rows;
mod smoothed;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use checks::{check_finite, check_labels, check_simplex, check_weights, rows, sizes};
pub(crate) use rows::Batch;
pub(crate) use weights::weighted_mean;

use crate::{Error, FloatCow, error::counted};
use bayeslift_ir::Shape;

/// What a network is to predict, row after row.
///
/// ```
/// use bayeslift::{Dataset, Targets};
/// let data = Dataset::regression([1], vec![0.0, 0.5], 2, vec![1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(*data.targets(), Targets::Values { units: 2, values: vec![1.0, 2.0, 3.0, 4.0] });
/// let data = Dataset::classification([1], vec![0.0, 0.5], vec![1, 0])?;
/// assert!(matches!(data.targets(), Targets::Labels(labels) if labels[..] == [1, 0]));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class for each row, or for each position of each row; classes are counted from 0.
    Labels(Vec<u32>),
    /// Numbers for each row.
    Values {
        /// How many a row has, at all of its positions.
        units: usize,
        /// All of them, row after row: rows * units numbers.
        values: Vec<f32>,
    },
    /// Numbers of `f64` for each row, for a network of `f64`.
    Doubles {
        /// How many a row has, at all of its positions.
        units: usize,
        /// All of them, row after row: rows * units numbers.
        values: Vec<f64>,
    },
}

impl Targets {
    /// How many numbers a row has, and all of them; `None` of labels.
    pub(crate) fn numbers(&self) -> Option<(usize, FloatCow<'_>)> {
        match self {
            Targets::Labels(_) => None,
            Targets::Values { units, values } => Some((*units, values.as_slice().into())),
            Targets::Doubles { units, values } => Some((*units, values.as_slice().into())),
        }
    }

    /// Of `units` numbers a row.
    pub(crate) fn of_numbers(units: usize, values: FloatCow<'_>) -> Targets {
        match values {
            FloatCow::F32(values) => Targets::Values { units, values: values.into_owned() },
            FloatCow::F64(values) => Targets::Doubles { units, values: values.into_owned() },
        }
    }
}

/// Inputs with their targets. Inputs and targets are finite; their counts agree.
///
/// ```
/// use bayeslift::Dataset;
/// let data = Dataset::classification([2], vec![0.0, 0.5, 1.0, -1.0], vec![1, 0])?;
/// assert_eq!((data.rows(), &data.shape()[..]), (2, &[2][..]));
/// assert_eq!((data.inputs(), data.input(1)), (&[0.0, 0.5, 1.0, -1.0][..], &[1.0, -1.0][..]));
/// assert_eq!((data.labels(), data.values()), (&[1, 0][..], &[][..]));
/// let error = Dataset::classification([2], vec![0.0, f32::NAN], vec![1]).unwrap_err().to_string();
/// assert_eq!(error, "column 1 of row 0 of the inputs is NaN; every element must be finite");
/// # Ok::<(), bayeslift::Error>(())
/// ```
///
/// The constructor says what targets a row has: a class or a grade ([`classification`](Dataset::classification)),
/// numbers such as measurements or counts ([`regression`](Dataset::regression)), several answers of yes or no
/// ([`multi_label`](Dataset::multi_label)); or a class or numbers for each of its positions, such as pixels
/// ([`classification_at`](Dataset::classification_at), [`regression_at`](Dataset::regression_at)). Targets may be
/// missing: [`classification_with_missing`](Dataset::classification_with_missing),
/// [`regression_with_missing`](Dataset::regression_with_missing), [`with_present`](Dataset::with_present). Numbers may
/// be of `f64`: [`classification_f64`](Dataset::classification_f64), [`regression_f64`](Dataset::regression_f64). Rows
/// may have weights: [`with_weights`](Dataset::with_weights), [`balanced`](Dataset::balanced).
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    shape: Shape,
    inputs: FloatCow<'static>,
    target_shape: Shape,
    targets: Targets,
    /// Whether each target is known. One that is not has a stand-in, a copy of one that is.
    present: Option<Vec<bool>>,
    weights: Option<Vec<f32>>,
}

impl Dataset {
    /// Inputs of this shape each, row after row, with a label for each: the number of its class, counted from 0. The
    /// number of classes is the network's, which refuses labels beyond it.
    ///
    /// # Errors
    /// [`Error::Argument`] for counts that do not agree, or no rows; [`Error::NonFinite`] for an input that is not
    /// finite.
    pub fn classification(shape: impl Into<Shape>, inputs: Vec<f32>, labels: Vec<u32>) -> Result<Dataset, Error> {
        Dataset::classification_at(shape, inputs, [], labels)
    }

    /// As [`Dataset::classification`], with a label for each position of each input, such as the pixels of an image or
    /// the words of a sentence. [`Dataset::with_present`] says which positions have none, such as those beyond the end
    /// of a sentence.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// // two images of 4 x 4 pixels: which of them are bright?
    /// let pixels: Vec<f32> = (0..32).map(|i| i as f32 / 31.0).collect();
    /// let labels = pixels.iter().map(|&pixel| u32::from(pixel > 0.5)).collect();
    /// let data = Dataset::classification_at([4, 4, 1], pixels, [4, 4], labels)?;
    /// assert_eq!((data.rows(), data.target_shape()[..].to_vec()), (2, vec![4, 4]));
    /// assert_eq!(data.select(&[1])?.labels(), [1; 16]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::classification`].
    pub fn classification_at(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        positions: impl Into<Shape>,
        labels: Vec<u32>,
    ) -> Result<Dataset, Error> {
        Dataset::new(shape.into(), FloatCow::F32(inputs.into()), positions.into(), Targets::Labels(labels))
    }

    /// Inputs of this shape each, row after row, with `units` numbers for each: values are `[rows, units]`.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::regression([1], vec![0.0, 0.5], 2, vec![1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!((data.rows(), &data.target_shape()[..]), (2, &[2][..]));
    /// let error = Dataset::regression([1], vec![0.0, 0.5], 2, vec![1.0]).unwrap_err().to_string();
    /// assert_eq!(error, "the number of targets is 1, expected 4: targets of shape [2] each for 2 inputs");
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::classification`]; a target that is not finite; no units.
    pub fn regression(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        units: usize,
        values: Vec<f32>,
    ) -> Result<Dataset, Error> {
        Dataset::regression_at(shape, inputs, [], units, values)
    }

    /// As [`Dataset::regression`], with `units` numbers for each position of each input: values have the shape
    /// `[rows, positions.., units]`.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// // a series of three values, with two numbers for each
    /// let data = Dataset::regression_at([3], vec![1.0, 2.0, 3.0], [3], 2, vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.0])?;
    /// assert_eq!(data.target_shape()[..], [3, 2]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::regression`].
    pub fn regression_at(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        positions: impl Into<Shape>,
        units: usize,
        values: Vec<f32>,
    ) -> Result<Dataset, Error> {
        let numbers = [FloatCow::F32(inputs.into()), FloatCow::F32(values.into())];
        Dataset::of_numbers(shape.into(), positions.into(), units, numbers)
    }

    /// As [`Dataset::classification_at`], with inputs of `f64`, for a network of
    /// [`f64`](crate::layers::Sequential::dtype). Positions are `[]` where a row has one label.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::classification_f64([1], vec![0.1, 0.2], [], vec![1, 0])?;
    /// assert_eq!((data.inputs_f64(), data.labels()), (&[0.1, 0.2][..], &[1, 0][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::classification`].
    pub fn classification_f64(
        shape: impl Into<Shape>,
        inputs: Vec<f64>,
        positions: impl Into<Shape>,
        labels: Vec<u32>,
    ) -> Result<Dataset, Error> {
        Dataset::new(shape.into(), FloatCow::F64(inputs.into()), positions.into(), Targets::Labels(labels))
    }

    /// As [`Dataset::regression_at`], with inputs and targets of `f64`, for a network of
    /// [`f64`](crate::layers::Sequential::dtype). Positions are `[]` where a row has `units` numbers.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::regression_f64([1], vec![0.1, 0.2], [], 1, vec![1.0 + 1e-12, 2.0])?;
    /// assert_eq!(data.inputs_f64(), [0.1, 0.2]);
    /// assert_eq!(data.values_f64(), [1.0 + 1e-12, 2.0]);
    /// assert!(data.inputs().is_empty() && data.values().is_empty());
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::regression`].
    pub fn regression_f64(
        shape: impl Into<Shape>,
        inputs: Vec<f64>,
        positions: impl Into<Shape>,
        units: usize,
        values: Vec<f64>,
    ) -> Result<Dataset, Error> {
        let numbers = [FloatCow::F64(inputs.into()), FloatCow::F64(values.into())];
        Dataset::of_numbers(shape.into(), positions.into(), units, numbers)
    }

    fn of_numbers(
        shape: Shape,
        positions: Shape,
        units: usize,
        [inputs, values]: [FloatCow<'static>; 2],
    ) -> Result<Dataset, Error> {
        positions.check()?;
        let target_shape: Shape = positions.iter().copied().chain([units]).collect();
        let units = positions.elements().saturating_mul(units);
        Dataset::new(shape, inputs, target_shape, Targets::of_numbers(units, values))
    }

    /// As [`Dataset::regression`], with several labels for each input, each of which applies, 1, or does not, 0.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// // is it a cat? is it black?
    /// let data = Dataset::multi_label([1], vec![0.3, 0.7], 2, vec![1.0, 0.0, 1.0, 1.0])?;
    /// assert_eq!(data.values(), [1.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::regression`]; a number that is neither 0 nor 1.
    pub fn multi_label(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        labels: usize,
        values: Vec<f32>,
    ) -> Result<Dataset, Error> {
        let data = Dataset::regression(shape, inputs, labels, values)?;
        match data.values().iter().position(|&value| value != 0.0 && value != 1.0) {
            None => Ok(data),
            Some(i) => {
                let target = format!("target {} of row {}", i % labels, i / labels);
                Err(Error::argument(target, "0 or 1", data.values()[i]))
            }
        }
    }

    fn new(shape: Shape, inputs: FloatCow<'static>, target_shape: Shape, targets: Targets) -> Result<Dataset, Error> {
        let rows = rows(&shape, inputs.len())?;
        let found = match &targets {
            Targets::Labels(labels) => labels.len(),
            Targets::Values { values, .. } => values.len(),
            Targets::Doubles { values, .. } => values.len(),
        };
        if target_shape.last() == Some(&0) {
            return Err(Error::argument("the number of targets of a row", "at least 1", 0));
        }
        let wanted = target_shape.iter().fold(rows as u128, |count, &extent| count.saturating_mul(extent as u128));
        if wanted != found as u128 {
            let each = match target_shape.is_empty() {
                true => "a label".to_owned(),
                false => format!("targets of shape {target_shape}"),
            };
            let expected = format!("{wanted}: {each} each for {}", counted(rows, "input"));
            return Err(Error::argument("the number of targets", expected, found));
        }
        target_shape.check()?;
        check_finite("inputs", inputs.len() / rows, &inputs)?;
        if let Some((units, values)) = targets.numbers() {
            check_finite("targets", units, &values)?;
        }
        Ok(Dataset { shape, inputs, target_shape, targets, present: None, weights: None })
    }

    /// The same examples with other numbers.
    pub(crate) fn with_numbers(&self, inputs: FloatCow<'static>, targets: Targets) -> Result<Dataset, Error> {
        let data = Dataset::new(self.shape.clone(), inputs, self.target_shape.clone(), targets)?;
        Ok(Dataset { present: self.present.clone(), weights: self.weights.clone(), ..data })
    }

    /// The shape of one input, without the axis of rows, such as `[28, 28, 1]` of grey images.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The shape of the targets of one row: `[positions..]` of labels, `[positions.., units]` of numbers, so `[]` and
    /// `[units]` where rows have no positions.
    pub fn target_shape(&self) -> &Shape {
        &self.target_shape
    }

    /// The number of examples, at least 1. Those whose weight is 0 or whose targets are missing count, too.
    pub fn rows(&self) -> usize {
        self.inputs.len() / self.shape.elements()
    }

    /// All inputs, `[rows, shape..]`, row after row; empty if they are of `f64`: see [`Dataset::inputs_f64`].
    pub fn inputs(&self) -> &[f32] {
        self.inputs.as_f32()
    }

    /// All inputs, `[rows, shape..]`, row after row, if they are of `f64`; else empty: see [`Dataset::inputs`].
    pub fn inputs_f64(&self) -> &[f64] {
        self.inputs.as_f64()
    }

    /// All inputs, of either type.
    pub(crate) fn floats(&self) -> FloatCow<'_> {
        self.inputs.borrowed()
    }

    /// The targets of all rows, of whichever kind they are: [`Targets`] has an example. A missing one has a stand-in
    /// there; see [`Dataset::present`].
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The labels, `[rows, positions..]`, row after row; empty if targets are numbers: see [`Dataset::values`].
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Labels(labels) => labels,
            Targets::Values { .. } | Targets::Doubles { .. } => &[],
        }
    }

    /// The target numbers, `[rows, positions.., units]`, row after row; empty if targets are labels, or of `f64`.
    pub fn values(&self) -> &[f32] {
        match &self.targets {
            Targets::Labels(_) | Targets::Doubles { .. } => &[],
            Targets::Values { values, .. } => values,
        }
    }

    /// The target numbers, `[rows, positions.., units]`, row after row, if they are of `f64`; else empty: see
    /// [`Dataset::values`].
    pub fn values_f64(&self) -> &[f64] {
        match &self.targets {
            Targets::Labels(_) | Targets::Values { .. } => &[],
            Targets::Doubles { values, .. } => values,
        }
    }

    /// The input of one row.
    ///
    /// # Panics
    /// A row beyond the end, as for slices; inputs of `f64`.
    pub fn input(&self, row: usize) -> &[f32] {
        let elements = self.shape.elements();
        &self.inputs()[row * elements..][..elements]
    }
}
