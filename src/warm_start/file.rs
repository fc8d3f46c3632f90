//! Weights from a safetensors file of another system, such as PyTorch's `state_dict`.

use super::{
    is_variable,
    map::{Mapped, WeightMap},
};
use crate::{
    Error, Network,
    model_file::{self, json, read_bytes},
};
use bayeslift_ir::{DType, Environment, Foreign, Tensor, Type};
use bayeslift_layers::Group;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashSet, path::Path};

/// What [`Network::start_from_file`] left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartReport {
    /// Paths of the network that the map does not name: parameters, and random variables by their own path; priors are
    /// not told. They are what they were.
    pub kept: Vec<String>,
    /// Tensors of the file that were not used.
    pub ignored: Vec<String>,
}

impl Network {
    /// As [`Network::start_from`], with the weights that a map finds in a safetensors file of another system.
    ///
    /// Tensors of `F32` are taken as they are, those of `F16` and `BF16` are widened, which is exact, and those of
    /// `F64` are rounded to the nearest `f32`, ties to even, unless the network is of `f64`. Others are refused.
    ///
    /// ```no_run
    /// use bayeslift::{WeightMap, prelude::*};
    ///
    /// // in Python: safetensors.torch.save_file(model.state_dict(), "mlp.safetensors"), of
    /// // Sequential(OrderedDict(fc1=Linear(784, 400), relu=ReLU(), fc2=Linear(400, 10)))
    /// let layer = AffineVariationalReparameterizationLocal::new;
    /// let layers = Sequential::new().layer(layer(784, 400).activation(Activation::Relu)).layer(layer(400, 10));
    /// let mut network = Network::new(layers, [784], likelihood::Categorical, 0)?;
    /// let map = WeightMap::new()
    ///     .permuted("affine/kernel", "fc1.weight", [1, 0])
    ///     .tensor("affine/bias", "fc1.bias")
    ///     .permuted("affine_1/kernel", "fc2.weight", [1, 0])
    ///     .tensor("affine_1/bias", "fc2.bias");
    /// network.start_from_file("mlp.safetensors", &map, 0.1)?;
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is damaged; [`Error::OtherWeights`], with all names, for
    /// tensors that the file does not have and for those that the map neither names nor ignores, and for one of another
    /// element type or shape, or whose numbers do not fit `f32`; as for [`Network::start_from`]. The network is
    /// unchanged then.
    pub fn start_from_file(
        &mut self,
        path: impl AsRef<Path>,
        map: &WeightMap,
        relative_scale: f64,
    ) -> Result<StartReport, Error> {
        let _environment = Environment::enter();
        let path = path.as_ref();
        let bytes = read_bytes(path, model_file::LARGEST_FILE)?;
        let format = |message: String| Error::Format { path: path.to_owned(), message };
        let damaged = |error: safetensors::SafeTensorError| format(format!("it is no whole safetensors file: {error}"));
        let (length, _) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        // a name that is there twice would be read as one
        json::check(&bytes[8..8 + length]).map_err(|error| format(format!("its header does not parse: {error}")))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;

        let other = |message: String| Error::OtherWeights { path: path.to_owned(), message };
        let ignored = names(map, &tensors).map_err(other)?;
        let mut weights: Vec<(&str, Tensor)> = Vec::with_capacity(map.weights.len());
        let mut known = HashSet::new();
        for mapped in &map.weights {
            let name = Foreign::new(&mapped.path);
            if !known.insert(&mapped.path) {
                return Err(Error::argument(format!("the weight `{name}` of a map"), "one tensor", "two"));
            }
            let own = self.type_of(&mapped.path)?;
            let view = tensors.tensor(&mapped.name).map_err(damaged)?;
            let about = |message: String| {
                other(format!("its tensor `{}`, for the weight `{name}`: {message}", Foreign::new(&mapped.name)))
            };
            weights.push((&mapped.path, tensor(&view, mapped, &own).map_err(about)?));
        }
        self.start_from(weights, relative_scale)?;
        let of_layers = self.parameters().iter().filter(|(_, parameter)| parameter.group != Group::Prior);
        let kept = of_layers.map(|(path, _)| self.weight_of(path));
        let mut kept: Vec<String> = kept.filter(|path| !known.contains(path)).collect();
        kept.dedup();
        Ok(StartReport { kept, ignored })
    }

    /// The type of a weight: of a parameter, or of the mean of a random variable.
    fn type_of(&self, path: &str) -> Result<Type, Error> {
        let mean = format!("{path}/loc");
        let parameter = if is_variable(self.parameters(), path) { mean.as_str() } else { path };
        Ok(self.parameters().get(parameter)?.tensor.ty())
    }

    /// The weight that a parameter belongs to: a random variable, or itself.
    fn weight_of(&self, path: &str) -> String {
        let variable = path.strip_suffix("/loc").or(path.strip_suffix("/raw_scale"));
        variable.filter(|variable| is_variable(self.parameters(), variable)).unwrap_or(path).to_owned()
    }
}

/// Whether the file has what the map names and nothing besides; returns what it has and is not used.
fn names(map: &WeightMap, tensors: &SafeTensors<'_>) -> Result<Vec<String>, String> {
    let mut there: Vec<&str> = tensors.names();
    there.sort_unstable();
    let missing: Vec<&str> =
        map.weights.iter().map(|mapped| mapped.name.as_str()).filter(|name| !there.contains(name)).collect();
    if !missing.is_empty() {
        let [missing, there] = [missing, there].map(Foreign::list);
        return Err(format!("it has no tensor {missing}; its tensors are {there}"));
    }
    let used: HashSet<&str> = map.weights.iter().map(|mapped| mapped.name.as_str()).collect();
    let unused: Vec<&str> = there.into_iter().filter(|name| !used.contains(name)).collect();
    let left: Vec<&str> =
        unused.iter().copied().filter(|name| !map.ignored.iter().any(|known| known == name)).collect();
    if !left.is_empty() && !map.ignores_others {
        let left = Foreign::list(left);
        return Err(format!("it has tensors that the map does not name: {left}; name them, or ignore them"));
    }
    Ok(unused.into_iter().map(str::to_owned).collect())
}

/// A tensor as the weight of this type that it is to be.
fn tensor(view: &TensorView<'_>, mapped: &Mapped, own: &Type) -> Result<Tensor, String> {
    let elements = elements(view, own.dtype)?;
    let own_shape = &own.shape;
    let there = view.shape();
    let shape = mapped.shape.as_deref().unwrap_or(there);
    if mapped.shape.is_some() && count(shape) != Some(elements.len()) {
        return Err(format!("it has shape {there:?}, which cannot be read as {shape:?}"));
    }
    let axes = mapped.axes.clone().unwrap_or_else(|| (0..shape.len()).collect());
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..shape.len()) {
        return Err(format!("it has shape {shape:?}, whose axes cannot be put in the order {axes:?}"));
    }
    let permuted: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let fits = match &mapped.shape {
        Some(_) => count(own_shape) == Some(elements.len()),
        None => permuted[..] == own_shape[..],
    };
    if !fits {
        let order = if mapped.axes.is_some() { format!(" with axes in the order {axes:?}") } else { String::new() };
        let own = own_shape.to_vec();
        return Err(format!("it has shape {permuted:?}{order}, expected {own:?}"));
    }
    let tensor = Tensor::floats(own, in_order(&elements, shape, &axes));
    tensor.map_err(|error| error.to_string())
}

/// The number of elements of a shape, if that is a number.
fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent))
}

/// Elements of a shape with its axes in another order.
fn in_order<T: Copy>(elements: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let (mut at, mut found) = (vec![0; axes.len()], Vec::with_capacity(elements.len()));
    for _ in 0..elements.len() {
        found.push(elements[at.iter().zip(axes).map(|(index, &axis)| index * strides[axis]).sum::<usize>()]);
        for (index, &axis) in at.iter_mut().zip(axes).rev() {
            *index += 1;
            if *index < shape[axis] {
                break;
            }
            *index = 0;
        }
    }
    found
}

/// The elements of a tensor, each as the nearest number of a type.
fn elements(view: &TensorView<'_>, dtype: DType) -> Result<Vec<f64>, String> {
    let bytes = view.data();
    let nearest = |x: f64| if dtype == DType::F64 { x } else { f64::from(x as f32) };
    let elements: Vec<f64> = match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&bytes| of_half(u16::from_le_bytes(bytes)).into()).collect(),
        Dtype::BF16 => {
            let word = |&bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16).into();
            bytes.as_chunks().0.iter().map(word).collect()
        }
        Dtype::F64 => bytes.as_chunks().0.iter().map(|&bytes| nearest(f64::from_le_bytes(bytes))).collect(),
        other => return Err(format!("it has element type {other}, expected F32, F16, BF16 or F64")),
    };
    match elements.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(format!("its element {at} is {} in `{dtype}`, expected a finite number", elements[at])),
        None => Ok(elements),
    }
}

/// A number of 16 bits, five of them for the exponent (IEEE 754 binary16), which is one of `f32` too.
fn of_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    let size = match exponent {
        // 2^-24 times the fraction
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of 16 bits, by the formula of the standard.
    #[test]
    fn halves_are_exact() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
            let size = match exponent {
                0 => fraction * f64::powi(2.0, -24),
                0x1f if fraction == 0.0 => f64::INFINITY,
                0x1f => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * f64::powi(2.0, exponent - 15),
            };
            let (want, got) = (if bits >> 15 == 1 { -size } else { size }, f64::from(of_half(bits)));
            assert!(
                got == want && got.is_sign_negative() == want.is_sign_negative() || got.is_nan() && want.is_nan(),
                "{bits:x}"
            );
        }
    }

    #[test]
    fn axes_in_another_order() {
        let elements: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let (shape, axes) = ([2, 3, 4], [2, 0, 1]);
        let found = in_order(&elements, &shape, &axes);
        for (i, j, k) in (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| (i, j, k)))) {
            assert_eq!(found[(k * 2 + i) * 3 + j], elements[(i * 3 + j) * 4 + k]);
        }
        assert_eq!(in_order(&[7.0], &[], &[]), [7.0]);
        assert!(in_order::<f32>(&[], &[0, 2], &[1, 0]).is_empty());
    }
}
