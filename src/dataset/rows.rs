//! Choosing rows.

use super::{Dataset, Targets};
use crate::{Error, FloatCow, error::counted, shuffle::permutation};
use bayeslift_ir::Environment;

impl Dataset {
    /// These rows, in this order, with their weights. A row may be there several times.
    ///
    /// ```
    /// # use bayeslift::Dataset;
    /// let data = Dataset::classification([1], vec![0.0, 1.0, 2.0], vec![5, 6, 7])?;
    /// assert_eq!(data.select(&[2, 0, 2])?.labels(), [7, 5, 7]);
    /// assert!(data.select(&[3]).is_err());
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// No rows, a row beyond the end, rows of which none has a weight above 0.
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
        let Batch { inputs, targets, present, weights } = batch;
        if weights.as_ref().is_some_and(|weights| weights.iter().all(|&weight| weight == 0.0)) {
            let problem = format!("the weights of the {} to select are all 0", counted(rows.len(), "row"));
            return Err(Error::misuse(problem, "select one of another weight too"));
        }
        let (shape, target_shape) = (self.shape.clone(), self.target_shape.clone());
        Ok(Dataset { shape, inputs, target_shape, targets, present, weights })
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
    /// One part without rows, or without a row whose weight is above 0.
    pub fn partition(&self, choose: impl Fn(usize) -> bool) -> Result<(Dataset, Dataset), Error> {
        let (chosen, others): (Vec<usize>, Vec<usize>) = (0..self.rows()).partition(|&row| choose(row));
        if chosen.is_empty() || others.is_empty() {
            let (part, rows) = (if chosen.is_empty() { "none" } else { "all" }, counted(self.rows(), "row"));
            let problem = format!("{part} of the {rows} were chosen, which leaves a part without rows");
            return Err(Error::misuse(problem, "choose some and leave some"));
        }
        Ok((self.select(&chosen)?, self.select(&others)?))
    }

    /// Splits off a random part of the rows, as `(part, rest)`: the same rows for the same seed on every machine. The
    /// order of rows is kept. The part has rows * fraction rows, rounded to the nearest whole number.
    ///
    /// ```
    /// # use bayeslift::Dataset;
    /// # let data = Dataset::classification([1], vec![0.0; 10], vec![0; 10])?;
    /// let (test, train) = data.split(0.2, 7)?;
    /// assert_eq!((test.rows(), train.rows()), (2, 8));
    /// assert!(data.split(0.0, 7).is_err());
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// A fraction that leaves one part without rows, or without a row whose weight is above 0.
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
    pub inputs: FloatCow<'static>,
    pub targets: Targets,
    /// Which targets are known, if some of the data set are not.
    pub present: Option<Vec<bool>>,
    /// The weight of each row, if the data set has weights.
    pub weights: Option<Vec<f32>>,
}

impl Batch {
    /// No rows, for a data set of this kind.
    pub fn like(data: &Dataset) -> Batch {
        let targets = match &data.targets {
            Targets::Labels(_) => Targets::Labels(Vec::new()),
            Targets::Values { units, .. } => Targets::Values { units: *units, values: Vec::new() },
            Targets::Doubles { units, .. } => Targets::Doubles { units: *units, values: Vec::new() },
        };
        let (present, weights) = (data.present.as_ref().map(|_| Vec::new()), data.weights.as_ref().map(|_| Vec::new()));
        Batch { inputs: data.inputs.none_like(), targets, present, weights }
    }

    /// Replaces what it holds by these rows.
    pub fn fill(&mut self, data: &Dataset, rows: &[usize]) {
        let targets = data.target_shape.elements();
        match (&mut self.inputs, &data.inputs) {
            (FloatCow::F32(to), FloatCow::F32(from)) => gather(to.to_mut(), from, data.shape.elements(), rows),
            (FloatCow::F64(to), FloatCow::F64(from)) => gather(to.to_mut(), from, data.shape.elements(), rows),
            _ => unreachable!("made like this data set"),
        }
        match (&mut self.targets, &data.targets) {
            (Targets::Labels(to), Targets::Labels(from)) => gather(to, from, targets, rows),
            (Targets::Values { values: to, .. }, Targets::Values { values: from, .. }) => {
                gather(to, from, targets, rows)
            }
            (Targets::Doubles { values: to, .. }, Targets::Doubles { values: from, .. }) => {
                gather(to, from, targets, rows)
            }
            _ => unreachable!("made like this data set"),
        }
        if let (Some(to), Some(from)) = (&mut self.present, &data.present) {
            gather(to, from, targets, rows);
        }
        if let (Some(to), Some(from)) = (&mut self.weights, &data.weights) {
            gather(to, from, 1, rows);
        }
    }
}

/// Replaces what is in `to` by these rows of `columns` columns.
fn gather<T: Copy>(to: &mut Vec<T>, from: &[T], columns: usize, rows: &[usize]) {
    to.clear();
    rows.iter().for_each(|&row| to.extend_from_slice(&from[row * columns..][..columns]));
}
