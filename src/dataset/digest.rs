//! Telling data sets apart.

use super::{Dataset, Targets};
use crate::{FloatCow, model_file::Contents};

impl Dataset {
    /// SHA-256 of all that the data set holds, as hexadecimal digits. It is the same on every machine.
    pub(crate) fn digest(&self) -> String {
        let mut contents = Contents::of("dataset");
        contents.tensor("inputs", self.inputs.dtype().name(), &self.shape);
        contents.number(self.rows());
        words(&mut contents, &self.inputs);
        match &self.targets {
            Targets::Labels(labels) => {
                contents.tensor("targets", "u32", &self.target_shape);
                contents.words(labels.iter().copied());
            }
            Targets::Values { values, .. } => {
                contents.tensor("targets", "f32", &self.target_shape);
                words(&mut contents, &values.as_slice().into());
            }
            Targets::Doubles { values, .. } => {
                contents.tensor("targets", "f64", &self.target_shape);
                words(&mut contents, &values.as_slice().into());
            }
        }
        if let Some(present) = &self.present {
            contents.tensor("present", "bool", &self.target_shape);
            contents.words(present.iter().map(|&present| u32::from(present)));
        }
        if let Some(weights) = &self.weights {
            contents.tensor("weights", "f32", &[]);
            contents.words(weights.iter().map(|x| x.to_bits()));
        }
        contents.finish()
    }
}

/// The bits of numbers, of `f64` first the low ones.
fn words(contents: &mut Contents, numbers: &FloatCow<'_>) {
    match numbers {
        FloatCow::F32(numbers) => contents.words(numbers.iter().map(|x| x.to_bits())),
        FloatCow::F64(numbers) => contents.words(numbers.iter().flat_map(|x| crate::engine::words(x.to_bits()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_is_told_apart() {
        let data =
            |inputs: [f32; 4], values: [f32; 2]| Dataset::regression([2], inputs.to_vec(), 1, values.to_vec()).unwrap();
        let plain = data([1.0, 2.0, 3.0, 4.0], [0.5, 1.0]);
        assert_eq!(plain.digest(), plain.clone().digest());
        let digests = [
            plain.digest(),
            data([1.0, 2.0, 3.0, -4.0], [0.5, 1.0]).digest(),
            data([1.0, 2.0, 3.0, 4.0], [0.5, 1.5]).digest(),
            plain.select(&[1, 0]).unwrap().digest(),
            plain.select(&[0]).unwrap().digest(),
            plain.clone().with_weights(vec![1.0, 1.0]).unwrap().digest(),
            plain.clone().with_weights(vec![1.0, 2.0]).unwrap().digest(),
            plain.clone().with_present(vec![true, false]).unwrap().digest(),
            Dataset::regression([1], vec![1.0, 2.0, 3.0, 4.0], 1, vec![0.5, 1.0, 0.5, 1.0]).unwrap().digest(),
            Dataset::classification([2], vec![1.0, 2.0, 3.0, 4.0], vec![0, 1]).unwrap().digest(),
            Dataset::regression_f64([2], vec![1.0, 2.0, 3.0, 4.0], [], 1, vec![0.5, 1.0]).unwrap().digest(),
            Dataset::regression_f64([2], vec![1.0, 2.0, 3.0, 4.0 + 1e-12], [], 1, vec![0.5, 1.0]).unwrap().digest(),
        ];
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest), "number {i}");
        }
    }
}
