//! Labels that are given as rows with a single 1.

use super::{Dataset, Targets};
use crate::{Error, FloatCow};
use bayeslift_ir::Shape;

impl Targets {
    /// Labels of rows that have a 1 in the column of their class and 0 in the others, as TFP's `OneHotCategorical`
    /// takes them.
    ///
    /// ```
    /// use bayeslift::Targets;
    /// assert_eq!(Targets::one_hot(3, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0])?, Targets::Labels(vec![2, 0]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Numbers that are no whole rows; a row that is not one-hot.
    pub fn one_hot(classes: usize, rows: &[f32]) -> Result<Targets, Error> {
        if classes == 0 || !rows.len().is_multiple_of(classes) {
            let expected = format!("a multiple of {classes}, the number of classes");
            return Err(Error::argument("the number of elements of one-hot rows", expected, rows.len()));
        }
        let label = |(row, values): (usize, &[f32])| {
            let label = values.iter().position(|&x| x == 1.0);
            let other = (0..classes).find(|&column| Some(column) != label && values[column] != 0.0);
            match (label, other) {
                (Some(label), None) => Ok(label as u32),
                (_, other) => {
                    let what = match other {
                        Some(column) => format!("{} in column {column}", values[column]),
                        None => "no 1".to_owned(),
                    };
                    let problem = format!(
                        "row {row} of the one-hot targets has {what}, where there is to be a single 1 among zeros"
                    );
                    let remedy = "give labels to `Dataset::classification`, or proportions to `Dataset::regression` \
                         for a network with `likelihood::SoftmaxCenteredNormal`";
                    Err(Error::misuse(problem, remedy))
                }
            }
        };
        Ok(Targets::Labels(rows.chunks_exact(classes).enumerate().map(label).collect::<Result<_, _>>()?))
    }
}

impl Dataset {
    /// As [`Dataset::classification`], with labels as [one-hot rows](Targets::one_hot) of `classes` classes.
    ///
    /// ```
    /// use bayeslift::Dataset;
    /// let data = Dataset::one_hot([1], vec![0.3, 0.7], 3, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0])?;
    /// assert_eq!(data.labels(), [2, 0]);
    /// let error = Dataset::one_hot([1], vec![0.3], 2, &[0.5, 0.5]).unwrap_err().to_string();
    /// assert!(error.starts_with("row 0 of the one-hot targets has 0.5 in column 0"));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Dataset::classification`] and [`Targets::one_hot`].
    pub fn one_hot(shape: impl Into<Shape>, inputs: Vec<f32>, classes: usize, rows: &[f32]) -> Result<Dataset, Error> {
        Dataset::new(shape.into(), FloatCow::F32(inputs.into()), Shape::default(), Targets::one_hot(classes, rows)?)
    }
}
