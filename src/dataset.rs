//! Examples in memory: inputs and targets, checked once.

use crate::{Error, error::counted, shuffle::permutation};
use bayeslift_ir::{Environment, Shape, memory};

/// What a network is to predict.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class for each row.
    Labels(Vec<u32>),
    /// Numbers for each row, row after row.
    Values {
        /// How many a row has.
        units: usize,
        /// All of them.
        values: Vec<f32>,
    },
}

/// Inputs with their targets. Inputs and targets are finite; their counts agree.
///
/// ```
/// use bayeslift::Dataset;
/// let data = Dataset::classification([2], vec![0.0, 0.5, 1.0, -1.0], vec![1, 0])?;
/// assert_eq!(data.rows(), 2);
/// assert_eq!(data.input(1), [1.0, -1.0]);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    shape: Shape,
    inputs: Vec<f32>,
    targets: Targets,
}

impl Dataset {
    /// Inputs of this shape each, row after row, with a label for each.
    ///
    /// # Errors
    /// Counts that do not agree; no rows; an input that is not finite.
    pub fn classification(shape: impl Into<Shape>, inputs: Vec<f32>, labels: Vec<u32>) -> Result<Dataset, Error> {
        Dataset::new(shape.into(), inputs, Targets::Labels(labels))
    }

    /// Inputs of this shape each, row after row, with `units` numbers for each.
    ///
    /// # Errors
    /// As for [`Dataset::classification`]; a target that is not finite.
    pub fn regression(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        units: usize,
        values: Vec<f32>,
    ) -> Result<Dataset, Error> {
        Dataset::new(shape.into(), inputs, Targets::Values { units, values })
    }

    fn new(shape: Shape, inputs: Vec<f32>, targets: Targets) -> Result<Dataset, Error> {
        let rows = rows(&shape, &inputs)?;
        let (found, units) = match &targets {
            Targets::Labels(labels) => (labels.len(), 1),
            Targets::Values { units, values } => (values.len(), *units),
        };
        if units == 0 {
            return Err(Error::argument("the number of targets of a row", "at least 1", units));
        }
        if rows.checked_mul(units) != Some(found) {
            let expected = format!("{} for {}", rows as u128 * units as u128, counted(rows, "input"));
            return Err(Error::argument("the number of targets", expected, found));
        }
        check_finite("inputs", inputs.len() / rows, &inputs)?;
        if let Targets::Values { units, values } = &targets {
            check_finite("targets", *units, values)?;
        }
        Ok(Dataset { shape, inputs, targets })
    }

    /// The shape of one input.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of examples, at least 1.
    pub fn rows(&self) -> usize {
        self.inputs.len() / self.shape.elements()
    }

    /// All inputs, row after row.
    pub fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// The targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The labels; empty if targets are numbers.
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Labels(labels) => labels,
            Targets::Values { .. } => &[],
        }
    }

    /// The target numbers, row after row; empty if targets are labels.
    pub fn values(&self) -> &[f32] {
        match &self.targets {
            Targets::Labels(_) => &[],
            Targets::Values { values, .. } => values,
        }
    }

    /// The input of one row.
    ///
    /// # Panics
    /// A row beyond the end, as for slices.
    pub fn input(&self, row: usize) -> &[f32] {
        let elements = self.shape.elements();
        &self.inputs[row * elements..][..elements]
    }

    /// These rows, in this order.
    ///
    /// # Errors
    /// No rows, a row beyond the end.
    pub fn select(&self, rows: &[usize]) -> Result<Dataset, Error> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            let expected = format!("a number below {}, the number of rows", self.rows());
            return Err(Error::argument("the number of a row to select", expected, row));
        }
        if rows.is_empty() {
            return Err(Error::argument("the number of rows to select", "at least 1", 0));
        }
        let mut batch = Batch::like(self);
        batch.fill(self, rows);
        Ok(Dataset { shape: self.shape.clone(), inputs: batch.inputs, targets: batch.targets })
    }

    /// The rows for which `choose` holds by their number, and the others.
    ///
    /// ```
    /// # use bayeslift::Dataset;
    /// # let data = Dataset::classification([1], vec![0.0; 10], vec![0; 10])?;
    /// let (test, train) = data.partition(|row| row % 5 == 4)?;
    /// assert_eq!((test.rows(), train.rows()), (2, 8));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// One part without rows.
    pub fn partition(&self, choose: impl Fn(usize) -> bool) -> Result<(Dataset, Dataset), Error> {
        let (chosen, others): (Vec<usize>, Vec<usize>) = (0..self.rows()).partition(|&row| choose(row));
        if chosen.is_empty() || others.is_empty() {
            let (part, rows) = (if chosen.is_empty() { "none" } else { "all" }, counted(self.rows(), "row"));
            let problem = format!("{part} of the {rows} were chosen, which leaves a part without rows");
            return Err(Error::misuse(problem, "choose some and leave some"));
        }
        Ok((self.select(&chosen)?, self.select(&others)?))
    }

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
    /// # Errors
    /// Targets that are no labels, or not below `classes`; a smoothing outside (0, 1).
    pub fn smoothed(&self, classes: usize, smoothing: f32) -> Result<Dataset, Error> {
        let _environment = Environment::enter();
        let Targets::Labels(labels) = &self.targets else {
            let remedy = "make the data set by `Dataset::classification`";
            return Err(Error::misuse("the targets to smooth are numbers, where labels are needed", remedy));
        };
        check_labels(classes, labels)?;
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
        Dataset::new(self.shape.clone(), self.inputs.clone(), Targets::Values { units: classes, values })
    }

    /// Splits off a random part of the rows, as `(part, rest)`: the same rows for the same seed on every machine. The
    /// order of rows is kept.
    ///
    /// # Errors
    /// A fraction that leaves one part without rows.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), Error> {
        let _environment = Environment::enter();
        let rows = self.rows();
        let part = (rows as f64 * fraction).round();
        if !(part >= 1.0 && part < rows as f64) {
            let expected = format!("a number that cuts {} into two parts, each of at least 1", counted(rows, "row"));
            return Err(Error::argument("the fraction of rows to split off", expected, fraction));
        }
        let mut chosen = vec![false; rows];
        permutation(seed, "split", 0, rows).into_iter().take(part as usize).for_each(|row| chosen[row] = true);
        self.partition(|row| chosen[row])
    }
}

/// Some rows of a data set, gathered for a step.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub inputs: Vec<f32>,
    pub targets: Targets,
}

impl Batch {
    /// No rows, for a data set of this kind.
    pub fn like(data: &Dataset) -> Batch {
        let targets = match &data.targets {
            Targets::Labels(_) => Targets::Labels(Vec::new()),
            Targets::Values { units, .. } => Targets::Values { units: *units, values: Vec::new() },
        };
        Batch { inputs: Vec::new(), targets }
    }

    /// Replaces what it holds by these rows.
    pub fn fill(&mut self, data: &Dataset, rows: &[usize]) {
        self.inputs.clear();
        rows.iter().for_each(|&row| self.inputs.extend_from_slice(data.input(row)));
        match (&mut self.targets, &data.targets) {
            (Targets::Labels(to), Targets::Labels(from)) => {
                to.clear();
                to.extend(rows.iter().map(|&row| from[row]));
            }
            (Targets::Values { units, values: to }, Targets::Values { values: from, .. }) => {
                to.clear();
                rows.iter().for_each(|&row| to.extend_from_slice(&from[row * *units..][..*units]));
            }
            _ => unreachable!("made like this data set"),
        }
    }
}

/// The number of rows of inputs of this shape each.
pub(crate) fn rows(shape: &Shape, inputs: &[f32]) -> Result<usize, Error> {
    shape.check()?;
    let elements = shape.elements();
    if inputs.is_empty() || !inputs.len().is_multiple_of(elements) {
        let expected = format!("a multiple of {elements} above 0: {elements} for each input of shape {shape}");
        return Err(Error::argument("the number of input elements", expected, inputs.len()));
    }
    Ok(inputs.len() / elements)
}

/// Checks that all elements of rows of `columns` are finite.
pub(crate) fn check_finite(what: &'static str, columns: usize, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::NonFinite { what, row: i / columns, column: i % columns, value: values[i] }),
    }
}

/// The largest absolute value of each row of `columns`: infinite or not a number if one of its elements is.
pub(crate) fn sizes(columns: usize, values: &[f32]) -> Vec<f32> {
    // Bits without the sign are in the order of numbers, then infinity, then what is no number.
    let of_row = |row: &[f32]| row.iter().fold(0, |largest, x| u32::max(largest, x.to_bits() & 0x7fff_ffff));
    values.chunks_exact(columns).map(|row| f32::from_bits(of_row(row))).collect()
}

/// Checks that each row is inside the simplex: positive numbers that sum to 1, to a thousandth.
pub(crate) fn check_simplex(classes: usize, values: &[f32]) -> Result<(), Error> {
    let _environment = Environment::enter();
    for (row, point) in values.chunks_exact(classes.max(1)).enumerate() {
        let target = format!("the target of row {row}");
        if let Some(column) = point.iter().position(|x| x.is_nan() || *x <= 0.0) {
            let found = format!("{} in column {column}", point[column]);
            return Err(Error::argument(target, "a row of positive numbers that sum to 1", found));
        }
        let sum: f64 = point.iter().map(|&x| f64::from(x)).sum();
        if (sum - 1.0).abs() > 1e-3 {
            let found = format!("a row that sums to {sum}");
            return Err(Error::argument(target, "a row of positive numbers that sum to 1", found));
        }
    }
    Ok(())
}

/// Checks that all labels are those of classes.
pub(crate) fn check_labels(classes: usize, labels: &[u32]) -> Result<(), Error> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(row) => Err(Error::Label { row, label: labels[row], classes }),
    }
}
