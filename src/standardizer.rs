//! Units: data brought to mean 0 and standard deviation 1, predictions brought back.

use crate::{Dataset, Error, Float, FloatCow, Regression, Targets, dataset::weighted_mean};
use bayeslift_ir::{DType, Environment};
use libm::log;

/// Brings each column of inputs and target numbers to mean 0 and standard deviation 1, as measured on one data set (the
/// training part: the others must not be looked at). A column of targets is one unit, at all positions, without those
/// that are missing.
///
/// ```
/// use bayeslift::{Dataset, Standardizer};
/// let data = Dataset::regression([1], vec![1.0, 3.0], 1, vec![10.0, 30.0])?;
/// let standardizer = Standardizer::of(&data);
/// assert_eq!(standardizer.apply(&data)?.inputs(), [-1.0, 1.0]);
/// assert_eq!(standardizer.apply(&data)?.values(), [-1.0, 1.0]);
/// // inputs to predict for are brought to the units of training
/// assert_eq!(standardizer.inputs(&[2.0_f32, 4.0])?, [0.0, 2.0]);
/// // targets have the standard deviation 10
/// assert!((standardizer.log_scale() - 10_f64.ln()).abs() < 1e-12);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    inputs: Vec<Column>,
    targets: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    mean: f64,
    scale: f64,
}

impl Standardizer {
    /// Measures a data set. A column that is constant, or missing, keeps its unit.
    pub fn of(data: &Dataset) -> Standardizer {
        let _environment = Environment::enter();
        let inputs = columns(&data.floats(), data.shape().elements(), None);
        let numbers = data.targets().numbers();
        let of_targets = |(_, values)| columns(&values, data.target_shape().last_extent(), data.present());
        let targets = numbers.map_or_else(Vec::new, of_targets);
        Standardizer { inputs, targets }
    }

    /// A data set in standard units. Labels stay.
    ///
    /// # Errors
    /// Another number of columns than was measured; numbers that overflow.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, Error> {
        let _environment = Environment::enter();
        let columns = data.shape().elements();
        if columns != self.inputs.len() {
            let expected = as_measured(self.inputs.len());
            return Err(Error::argument("the number of inputs of a row", expected, columns));
        }
        let inputs = apply(&self.inputs, &data.floats());
        let targets = match data.targets().numbers() {
            None => data.targets().clone(),
            Some((units, values)) => {
                let columns = data.target_shape().last_extent();
                if columns != self.targets.len() {
                    let argument = "the number of targets of a row";
                    return Err(Error::argument(argument, as_measured(self.targets.len()), columns));
                }
                Targets::of_numbers(units, apply(&self.targets, &values))
            }
        };
        data.with_numbers(inputs, targets)
    }

    /// Inputs in standard units.
    ///
    /// # Errors
    /// Not whole rows of as many columns as were measured.
    pub fn inputs<T: Float>(&self, inputs: &[T]) -> Result<Vec<T>, Error> {
        let _environment = Environment::enter();
        if !inputs.len().is_multiple_of(self.inputs.len()) {
            let expected = format!("a multiple of {}", as_measured(self.inputs.len()));
            return Err(Error::argument("the number of input elements", expected, inputs.len()));
        }
        let in_units = apply(&self.inputs, &T::floats(inputs));
        let in_units = in_units.iter().map(T::nearest).collect();
        Ok(in_units)
    }

    /// Predictions that were made in standard units, in the data's own: means times the scale plus the mean of their
    /// column, standard deviations times the scale.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    /// let data = Dataset::regression([1], vec![1.0, 3.0], 1, vec![10.0, 30.0])?;
    /// let standardizer = Standardizer::of(&data);
    /// # let layer = Affine::new(1, 1).kernel_initializer(Initializer::Ones);
    /// # let network = Network::new(layer, [1], likelihood::Normal::fixed(0.5), 0)?;
    /// // a network of the standardized data that tells its input and a standard deviation of 0.5
    /// let prediction = Predictor::new(&network)?.regress(&standardizer.inputs(&[3.0])?)?;
    /// let restored = standardizer.restore(&prediction)?;
    /// assert_eq!((restored.mean(), restored.aleatoric()), (&[30.0][..], &[5.0][..]));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of targets than was measured; a prediction that is too large for `f32` in the data's units.
    pub fn restore<T: Float>(&self, prediction: &Regression<T>) -> Result<Regression<T>, Error> {
        let _environment = Environment::enter();
        if prediction.units() != self.targets.len() {
            let expected = as_measured(self.targets.len());
            return Err(Error::argument("the number of targets of a row", expected, prediction.units()));
        }
        let column = |i: usize| self.targets[i % self.targets.len()];
        let scaled = |spread: &[T]| -> Vec<T> {
            spread.iter().enumerate().map(|(i, &x)| T::nearest(x.into() * column(i).scale)).collect()
        };
        let mean = prediction.mean().iter().enumerate();
        let mean: Vec<T> = mean.map(|(i, &x)| T::nearest(x.into() * column(i).scale + column(i).mean)).collect();
        let spreads = [prediction.aleatoric(), prediction.epistemic(), prediction.total()].map(scaled);
        if let Some(i) =
            [&mean].into_iter().chain(&spreads).find_map(|values| values.iter().position(|&x| x.into().is_infinite()))
        {
            let row = i / prediction.units();
            let problem =
                format!("the prediction of row {row} is too large for `{}` in the units of the data", T::DTYPE);
            return Err(Error::misuse(problem, "measure targets in a larger unit"));
        }
        Ok(Regression::new(prediction.units(), mean, spreads))
    }

    /// The sum of the natural logarithms of the measured standard deviations: by this much, in nats, the log density of
    /// a row's targets is smaller in the data's units than in standard ones. Add it to a negative log likelihood, if
    /// every row has all targets, and no positions; else see [`Standardizer::log_scale_of`].
    pub fn log_scale(&self) -> f64 {
        Environment::within(|| self.targets.iter().map(|column| log(column.scale)).sum())
    }

    /// As [`Standardizer::log_scale`], of the targets that a data set has: the mean over rows of the weight of each, if
    /// rows have some, times the sum over its targets, those at positions too, that are known. It is to be added to
    /// [`Predictor::negative_log_likelihood`](crate::Predictor::negative_log_likelihood) of that data in standard
    /// units.
    ///
    /// ```
    /// use bayeslift::{Dataset, Standardizer};
    /// let data = Dataset::regression([1], vec![1.0, 3.0], 1, vec![10.0, 30.0])?;
    /// let standardizer = Standardizer::of(&data);
    /// // half of the targets are known
    /// let half = data.with_present(vec![true, false])?;
    /// assert!((standardizer.log_scale_of(&half)? - 10_f64.ln() / 2.0).abs() < 1e-12);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of targets than in the data that was measured; labels.
    pub fn log_scale_of(&self, data: &Dataset) -> Result<f64, Error> {
        let _environment = Environment::enter();
        let (units, of_row) = (data.target_shape().last_extent(), data.target_shape().elements());
        if data.targets().numbers().is_none() || units != self.targets.len() {
            return Err(Error::argument("the number of targets of a row", as_measured(self.targets.len()), units));
        }
        let is_known = |i: usize| data.present().is_none_or(|present| present[i]);
        let of_target = |i: usize| if is_known(i) { log(self.targets[i % units].scale) } else { 0.0 };
        let rows: Vec<f64> =
            (0..data.rows()).map(|row| (row * of_row..(row + 1) * of_row).map(of_target).sum()).collect();
        Ok(weighted_mean(&rows, data.weights()))
    }
}

/// What is expected where a data set was measured that has this number of columns.
fn as_measured(columns: usize) -> String {
    format!("{columns}, as in the data that was measured")
}

/// Measures `count` columns, each by what is present of it.
fn columns(values: &FloatCow<'_>, count: usize, present: Option<&[bool]>) -> Vec<Column> {
    let column = |at: usize| {
        let is_present = |i: &usize| present.is_none_or(|present| present[*i]);
        let present = || (at..values.len()).step_by(count).filter(is_present).map(|i| values.at(i));
        let rows = present().count().max(1) as f64;
        let mean = present().sum::<f64>() / rows;
        let scale = (present().map(|x| (x - mean) * (x - mean)).sum::<f64>() / rows).sqrt();
        // A constant column's deviation is rounding: below what its type resolves.
        let epsilon = if values.dtype() == DType::F64 { f64::EPSILON } else { f32::EPSILON.into() };
        let constant = scale <= mean.abs() * epsilon;
        Column { mean, scale: if constant { 1.0 } else { scale } }
    };
    (0..count).map(column).collect()
}

fn apply(columns: &[Column], values: &FloatCow<'_>) -> FloatCow<'static> {
    let one = |(i, x): (usize, f64)| {
        let column = columns[i % columns.len()];
        (x - column.mean) / column.scale
    };
    let all = values.iter().enumerate().map(one);
    match values {
        FloatCow::F32(_) => FloatCow::F32(all.map(|x| x as f32).collect()),
        FloatCow::F64(_) => FloatCow::F64(all.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_restored() {
        let data = Dataset::regression([2], vec![1.0, 7.0, 3.0, 7.0, 5.0, 7.0], 1, vec![2.0, 4.0, 9.0]).unwrap();
        let standardizer = Standardizer::of(&data);
        let standard = standardizer.apply(&data).unwrap();
        assert_eq!(standard.input(1), [0.0, 0.0]);
        let prediction = Regression::new(1, standard.values().to_vec(), [vec![1.0; 3], vec![0.0; 3], vec![1.0; 3]]);
        let restored = standardizer.restore(&prediction).unwrap();
        assert!(restored.mean().iter().zip(data.values()).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!((f64::from(restored.total()[0]).ln() - standardizer.log_scale()).abs() < 1e-6);
        let large = Regression::<f32>::new(1, vec![0.0, 3e38], [vec![1.0; 2], vec![0.0; 2], vec![1.0; 2]]);
        let error = standardizer.restore(&large).unwrap_err().to_string();
        assert_eq!(
            error,
            "the prediction of row 1 is too large for `f32` in the units of the data; measure targets in a larger unit"
        );
        assert!(standardizer.inputs(&[0.0; 3]).is_err());
        for columns in [1, 4] {
            let other = Dataset::regression([columns], vec![0.0; 4], 1, vec![0.0; 4 / columns]).unwrap();
            let error = standardizer.apply(&other).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the number of inputs of a row is {columns}, expected 2, as in the data that was measured")
            );
        }
    }

    /// Each known target counts with its own unit's scale, and a row as often as its weight says.
    #[test]
    fn log_scales_are_of_known_targets() {
        let values = vec![0.0, 10.0, 2.0, 30.0, 4.0, 50.0];
        let data = Dataset::regression([1], vec![0.0, 1.0, 2.0], 2, values.clone()).unwrap();
        let standardizer = Standardizer::of(&data);
        let whole = standardizer.log_scale_of(&data).unwrap();
        assert!((whole - standardizer.log_scale()).abs() < 1e-12);
        let [first, second] = [0, 1].map(|i| standardizer.targets[i].scale.ln());
        let partial = data.clone().with_present(vec![true, true, true, false, false, true]).unwrap();
        let partial = partial.with_weights(vec![1.0, 2.0, 0.0]).unwrap();
        let want = (first + second + 2.0 * first) / 3.0;
        assert!((standardizer.log_scale_of(&partial).unwrap() - want).abs() < 1e-12);
        let positions = Dataset::regression_at([3], vec![0.0; 3], [3], 2, values).unwrap();
        assert!((standardizer.log_scale_of(&positions).unwrap() - 3.0 * (first + second)).abs() < 1e-12);
        let labels = Dataset::classification([1], vec![0.0], vec![0]).unwrap();
        assert!(standardizer.log_scale_of(&labels).is_err());
    }
}
