//! Targets of which some are not known.

use super::{Dataset, Targets};
use crate::{Error, error::counted};
use bayeslift_ir::Shape;

impl Dataset {
    /// As [`Dataset::classification`], where labels may be missing.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::classification_with_missing([1], vec![0.0, 1.0, 2.0], vec![Some(1), None, Some(0)])?;
    /// assert_eq!(data.present(), Some(&[true, false, true][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::classification`]; no label at all.
    pub fn classification_with_missing(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        labels: Vec<Option<u32>>,
    ) -> Result<Dataset, Error> {
        let (labels, present) = values_and_presence(labels);
        Dataset::classification(shape, inputs, labels)?.with_present(present)
    }

    /// As [`Dataset::regression`], where numbers may be missing.
    ///
    /// Where a table marks them by `NaN`, say so: elsewhere `NaN` is an error.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let table = [0.5, f32::NAN, f32::NAN, 2.0];
    /// let known = table.iter().map(|&value| if value.is_nan() { None } else { Some(value) });
    /// let data = Dataset::regression_with_missing([1], vec![0.0, 1.0], 2, known.collect())?;
    /// assert_eq!(data.present(), Some(&[true, false, false, true][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::regression`]; a unit without any number.
    pub fn regression_with_missing(
        shape: impl Into<Shape>,
        inputs: Vec<f32>,
        units: usize,
        values: Vec<Option<f32>>,
    ) -> Result<Dataset, Error> {
        let (values, present) = values_and_presence(values);
        Dataset::regression(shape, inputs, units, values)?.with_present(present)
    }

    /// With some targets missing: those for which `present`, in the order of the targets, is false. What stands there,
    /// any finite number or label, is replaced. What is missing already stays so.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// // two sentences, of two words and of one, whose words are of class 1 or 2; 0 fills the rest
    /// let labels = vec![2, 1, 1, 0];
    /// let present = labels.iter().map(|&label| label != 0).collect();
    /// let data = Dataset::classification_at([2], vec![0.3, 0.1, 0.2, 0.0], [2], labels)?.with_present(present)?;
    /// assert_eq!(data.present(), Some(&[true, true, true, false][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of them than of targets; no label, or a unit without any number.
    pub fn with_present(mut self, mut present: Vec<bool>) -> Result<Dataset, Error> {
        let targets = self.rows() * self.target_shape.elements();
        if present.len() != targets {
            let expected = format!("{targets}, one for each target");
            return Err(Error::argument("the number of targets said to be present or not", expected, present.len()));
        }
        if let Some(known) = &self.present {
            present.iter_mut().zip(known).for_each(|(present, known)| *present &= known);
        }
        if present.iter().all(|&present| present) {
            return Ok(self);
        }
        let rows = self.rows();
        let missing = |unit| {
            let problem = format!("target {unit} is missing in all of {}", counted(rows, "row"));
            Error::misuse(problem, "leave it out, or give one row a number for it")
        };
        match &mut self.targets {
            Targets::Labels(labels) => {
                let missing = |_| {
                    let problem = format!("all {} are missing", counted(targets, "label"));
                    Error::misuse(problem, "give at least one")
                };
                stand_in(1, labels, &present).map_err(missing)?;
            }
            Targets::Values { values, .. } => {
                stand_in(self.target_shape.last_extent(), values, &present).map_err(missing)?;
            }
            Targets::Doubles { values, .. } => {
                stand_in(self.target_shape.last_extent(), values, &present).map_err(missing)?;
            }
        }
        Ok(Dataset { present: Some(present), ..self })
    }

    /// Whether each target is known, in their order; `None` if all are.
    ///
    /// [`Dataset::targets`] has something for a missing target too: a copy of one of the same unit that is known, and
    /// so one that a likelihood takes. In a part of a data set a unit may have stand-ins alone.
    pub fn present(&self) -> Option<&[bool]> {
        self.present.as_deref()
    }
}

fn values_and_presence<T: Copy + Default>(targets: Vec<Option<T>>) -> (Vec<T>, Vec<bool>) {
    targets.into_iter().map(|target| (target.unwrap_or_default(), target.is_some())).unzip()
}

/// Replaces what is missing, in rows of `units` units, by what the first complete row has for its unit, since a law may
/// take rows only as a whole; without such a row by what the first has that knows the unit. A unit that none knows is
/// the error.
fn stand_in<T: Copy>(units: usize, values: &mut [T], present: &[bool]) -> Result<(), usize> {
    let complete = present.chunks_exact(units).position(|row| row.iter().all(|&present| present));
    let known = |unit: usize| (unit..values.len()).step_by(units).find(|&i| present[i]).ok_or(unit);
    let source = |unit: usize| complete.map_or_else(|| known(unit), |row| Ok(row * units + unit));
    let stand_ins = (0..units).map(|unit| Ok(values[source(unit)?])).collect::<Result<Vec<T>, usize>>()?;
    for (i, value) in values.iter_mut().enumerate().filter(|&(i, _)| !present[i]) {
        *value = stand_ins[i % units];
    }
    Ok(())
}
