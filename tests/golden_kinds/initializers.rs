//! What layers begin with: the limits of initializers, and the scale of a default layer.

use super::*;

impl Case {
    /// Fans and limits of every row.
    pub(super) fn initializers(&self) -> Fallible<Vec<Measured>> {
        let mut errors = Vec::new();
        for (i, row) in self.entry["rows"].as_array().ok_or("no rows")?.iter().enumerate() {
            let shape: Vec<usize> = serde_json::from_value(row["shape"].clone())?;
            let (shape, batch_ndims) = (Shape::new(&shape), row["batch_ndims"].as_u64().unwrap_or(0) as usize);
            let (fan_in, fan_out) = fans(&shape, batch_ndims);
            let numbers = [
                ("fan_in", Some(fan_in as f64)),
                ("fan_out", Some(fan_out as f64)),
                ("glorot_uniform_limit", Initializer::GlorotUniform.limit(&shape, batch_ndims)),
                ("he_uniform_limit", Initializer::HeUniform.limit(&shape, batch_ndims)),
                (
                    "glorot_normal_stddev_before_truncation",
                    Initializer::GlorotNormal.stddev_before_truncation(&shape, batch_ndims),
                ),
                (
                    "he_normal_stddev_before_truncation",
                    Initializer::HeNormal.stddev_before_truncation(&shape, batch_ndims),
                ),
            ];
            for (name, got) in numbers {
                let want = row[name].as_f64().ok_or_else(|| format!("row {i} has no {name}"))?;
                errors.push(Measured::new(format!("row {i} {name}"), got.into_iter(), &[want])?);
            }
        }
        Ok(errors)
    }

    /// The raw scale that a default layer starts with, and the scale that compiled code makes of it.
    pub(super) fn initial_scale(&self) -> Fallible<Vec<Measured>> {
        let parameters = AffineVariationalReparameterizationLocal::new(1, 1).initialize(0)?;
        let raw = parameters.get("kernel/raw_scale")?.tensor.clone();
        let b = Builder::new();
        let x = b.input("raw", raw.ty());
        b.output("scale", Normal::from_raw_scale(x, x).scale);
        let scale = run(b.finish()?, |_| Ok(raw.clone()))?.remove(0);
        let mut errors = Vec::new();
        for (name, tensor) in [("raw", raw), ("scale", scale)] {
            let want = self.entry[name].as_f64().ok_or_else(|| format!("no {name}"))?;
            errors.push(Measured::new(name, floats(&tensor)?.into_iter(), &[want])?);
        }
        Ok(errors)
    }
}
