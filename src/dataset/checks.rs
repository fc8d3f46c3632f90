//! What inputs and targets must be.

use crate::{Error, FloatCow, error::short};
use bayeslift_ir::{Environment, Shape};
use bayeslift_layers::likelihood::SIMPLEX_ROUNDING;

/// The number of rows that `inputs` elements make, if each row has this shape.
pub(crate) fn rows(shape: &Shape, inputs: usize) -> Result<usize, Error> {
    shape.check()?;
    let elements = shape.elements();
    if inputs == 0 || !inputs.is_multiple_of(elements) {
        let expected = format!("a multiple of {elements} above 0: {elements} for each input of shape {shape}");
        return Err(Error::argument("the number of input elements", expected, inputs));
    }
    Ok(inputs / elements)
}

/// Checks that all elements of rows of `columns` are finite.
pub(crate) fn check_finite(what: &'static str, columns: usize, values: &FloatCow<'_>) -> Result<(), Error> {
    let found = match values {
        FloatCow::F32(values) => values.iter().position(|x| !x.is_finite()),
        FloatCow::F64(values) => values.iter().position(|x| !x.is_finite()),
    };
    match found {
        None => Ok(()),
        Some(i) => Err(Error::NonFinite { what, row: i / columns, column: i % columns, value: values.at(i) }),
    }
}

/// The largest absolute value of each row of `columns`: infinite or not a number if one of its elements is.
pub(crate) fn sizes(columns: usize, values: &FloatCow<'_>) -> Vec<f64> {
    // Without the sign, bits have the order of magnitudes, then infinity, then NaN.
    match values {
        FloatCow::F32(values) => {
            let of_row = |row: &[f32]| row.iter().fold(0, |largest, x| u32::max(largest, x.to_bits() & 0x7fff_ffff));
            values.chunks_exact(columns).map(|row| f32::from_bits(of_row(row)).into()).collect()
        }
        FloatCow::F64(values) => {
            let of_row = |row: &[f64]| row.iter().fold(0, |largest, x| u64::max(largest, x.abs().to_bits()));
            values.chunks_exact(columns).map(|row| f64::from_bits(of_row(row))).collect()
        }
    }
}

/// Checks that each point, of which a row has `points`, is inside the simplex: positive numbers that sum to 1, to a
/// thousandth.
pub(crate) fn check_simplex(classes: usize, points: usize, values: &FloatCow<'_>) -> Result<(), Error> {
    let _environment = Environment::enter();
    let all: Vec<f64> = values.iter().collect();
    for (i, point) in all.chunks_exact(classes.max(1)).enumerate() {
        let target = match points {
            0 | 1 => format!("the target of row {i}"),
            _ => format!("target {} of row {}", i % points, i / points),
        };
        if let Some(column) = point.iter().position(|x| x.is_nan() || *x <= 0.0) {
            let found = format!("{} in column {column}", short(point[column]));
            return Err(Error::argument(target, "a row of positive numbers that sum to 1", found));
        }
        let sum: f64 = point.iter().sum();
        if (sum - 1.0).abs() > SIMPLEX_ROUNDING {
            let found = format!("a row that sums to {sum}");
            return Err(Error::argument(target, "a row of positive numbers that sum to 1", found));
        }
    }
    Ok(())
}

/// Checks that all labels, of which a row has `of_row`, are below `classes`.
pub(crate) fn check_labels(classes: usize, of_row: usize, labels: &[u32]) -> Result<(), Error> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(i) => Err(Error::Label { row: i / of_row.max(1), label: labels[i], classes }),
    }
}

/// Checks that there is a weight for each row by which it can count.
pub(crate) fn check_weights(rows: usize, weights: &[f32]) -> Result<(), Error> {
    if weights.len() != rows {
        return Err(Error::argument("the number of weights", format!("{rows}, one for each row"), weights.len()));
    }
    match weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite())) {
        None => Ok(()),
        Some(row) => {
            let weight = format!("the weight of row {row}");
            Err(Error::argument(weight, "a finite number, not negative", weights[row]))
        }
    }
}
