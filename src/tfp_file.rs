//! The weight files of `tfp.experimental.nn`: what its layers' `save` writes and `load` reads.
//!
//! Such a file is a NumPy archive of arrays named by their number alone: `arr_0`, `arr_1`, .. in the order of a
//! TensorFlow module's variables. Nothing in it says what an array is.

mod npy;

use crate::{
    Error, Network,
    model_file::{describe, read_bytes},
    new_file,
};
use bayeslift_ir::{Foreign, Shape, Tensor, Type};
use bayeslift_layers::{Group, Parameter, Parameters, unflatten_kernel, value_where_absent};
use std::{
    collections::HashMap,
    io::{Cursor, Read, Write},
    path::Path,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// What an archive may hold for an array besides its elements: a header, and what the archive says about it.
const LARGEST_HEADER: u64 = 1 << 12;

/// Saves the layers' parameters, with the kernels and biases of convolutions as TFP's `Convolution` holds them, or as
/// its `ConvolutionV2` does.
pub(crate) fn save(network: &Network, path: &Path, is_v2: bool) -> Result<(), Error> {
    check_posteriors(network)?;
    network.parameters().check_finite()?;
    let format = |error: zip::result::ZipError| Error::Format { path: path.to_owned(), message: error.to_string() };
    let layers = describe::layers(network);
    let kinds: HashMap<&str, &str> = layers.iter().map(|layer| (layer.path.as_str(), layer.kind.as_str())).collect();
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // Without the time, so that the same network gives the same bytes.
    let options = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Deflated);
    for (i, parameter) in variables(network.parameters()).into_iter().enumerate() {
        let tensor = &network.parameters().get(parameter)?.tensor;
        let tensor = under_tfp_shape(tensor, parameter, &kinds, is_v2)?;
        archive.start_file(file_name(i), options).map_err(format)?;
        archive.write_all(&npy::bytes(&tensor)).map_err(|error| format(error.into()))?;
    }
    new_file::replace(path, archive.finish().map_err(format)?.get_ref())
}

/// Loads parameters of the network's type, or of `f64` where they may be rounded.
pub(crate) fn load(network: &mut Network, path: &Path, may_round: bool) -> Result<(), Error> {
    check_posteriors(network)?;
    let mut parameters = network.parameters().clone();
    let variables = variables(network.parameters());
    let other = |message: String| Error::OtherNetwork { path: path.to_owned(), message };
    let format = |message: String| Error::Format { path: path.to_owned(), message };

    // Of f64, so that the message is about them, also where they are not read.
    let largest = |tensor: &Tensor| tensor.shape().elements() as u64 * 8 + LARGEST_HEADER;
    let tensors = network.parameters().iter().map(|(_, parameter)| &parameter.tensor);
    let bytes = read_bytes(path, tensors.map(largest).sum::<u64>() + LARGEST_HEADER)?;
    let damaged = |error: zip::result::ZipError| format(format!("it is no whole NumPy archive: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if archive.has_duplicate_names() {
        return Err(format("two of its arrays have one name".to_owned()));
    }
    if archive.len() != variables.len() {
        let paths = Foreign::list(variables.iter().copied());
        return Err(other(format!("it has {} arrays, expected {}: {paths}", archive.len(), variables.len())));
    }
    for (i, parameter) in variables.into_iter().enumerate() {
        let (name, own) = (file_name(i), &network.parameters().get(parameter)?.tensor);
        let about =
            |message: String| format!("its array {i}, for the parameter `{}`: {message}", Foreign::new(parameter));
        let limit = largest(own);
        let mut content = Vec::new();
        let file = archive.by_name(&name).map_err(|error| format(about(error.to_string())))?;
        file.take(limit + 1).read_to_end(&mut content).map_err(|error| format(about(error.to_string())))?;
        if content.len() as u64 > limit {
            return Err(other(about(format!("it has more than the {limit} bytes that {} needs at most", own.ty()))));
        }
        let found = npy::parse(&content, own.dtype(), may_round).map_err(|message| format(about(message)))?;
        let found = under_own_shape(found, own.shape());
        if found.ty() != own.ty() {
            return Err(other(about(format!("it has type {}, expected {}", found.ty(), own.ty()))));
        }
        if let Some((at, x)) = found.first_non_finite() {
            return Err(other(about(format!("its element {at} is {x}, expected a finite number"))));
        }
        parameters.assign(parameter, found)?;
    }
    for (path, parameter) in network.parameters().iter() {
        if let Some(tensor) = value_where_absent(path, parameter) {
            parameters.assign(path, tensor)?;
        }
    }
    network.check(&parameters)?;
    network.replace_parameters(parameters);
    Ok(())
}

/// The tensor under the shape that a parameter has here, if it is that parameter: TFP's `ConvolutionV2` and transposed
/// convolutions hold a kernel as `[filter.. * input, output]`, and the former a bias as `[1, 1, output]`.
fn under_own_shape(found: Tensor, own: &Shape) -> Tensor {
    let ones = found.shape().len().saturating_sub(own.len());
    let is_bias = own.len() == 1 && found.shape()[..ones].iter().all(|&extent| extent == 1);
    let elements = found.to_f64s().filter(|_| is_bias && found.shape()[ones..] == own[..]);
    let bias = elements.and_then(|elements| Tensor::floats(&Type::new(found.dtype(), own.clone()), elements).ok());
    bias.or_else(|| unflatten_kernel(&found, own).ok()).unwrap_or(found)
}

/// The tensor under the shape that TFP's layer has for a parameter of this path: that of [`under_own_shape`],
/// backwards.
fn under_tfp_shape(tensor: &Tensor, path: &str, kinds: &HashMap<&str, &str>, is_v2: bool) -> Result<Tensor, Error> {
    let parts: Vec<&str> = path.split('/').collect();
    let Some(at) = parts.iter().rposition(|part| matches!(*part, "kernel" | "bias")) else { return Ok(tensor.clone()) };
    let (layer, is_kernel) = (parts[..at].join("/"), parts[at] == "kernel");
    let kind = kinds.get(layer.as_str()).copied().unwrap_or_default();
    let shape = tensor.shape();
    let is_flat = kind == "convolution_transpose" || kind == "convolution" && is_v2;
    let shape: Shape = match is_kernel {
        true if is_flat => [shape.rows(), shape.last_extent()].into(),
        // in two dimensions, the only ones that `ConvolutionV2` has
        false if kind == "convolution" && is_v2 => [1, 1].iter().chain(shape.iter()).copied().collect(),
        _ => return Ok(tensor.clone()),
    };
    Ok(Tensor::from_words(&Type::new(tensor.dtype(), shape), tensor.words())?)
}

fn file_name(number: usize) -> String {
    format!("arr_{number}.npy")
}

/// The paths of the layers' parameters in the order of a TensorFlow module's variables: layer after layer, in each by
/// the names of TFP's attributes. That is the order of their declaration, but for the bias of a deterministic layer,
/// which comes before its kernel. A likelihood's parameters are none of a layer's, and what Keras does not have is in
/// no such file.
fn variables(parameters: &Parameters) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    let is_in_file = |path: &str, parameter: &Parameter| {
        parameter.group != Group::Likelihood && value_where_absent(path, parameter).is_none()
    };
    for (path, parameter) in parameters.iter().filter(|(path, parameter)| is_in_file(path, parameter)) {
        let kernel = path.strip_suffix("bias").map(|layer| format!("{layer}kernel"));
        let after_own_kernel = kernel.is_some() && paths.last().copied() == kernel.as_deref();
        let at = paths.len() - usize::from(after_own_kernel && parameter.group == Group::Weight);
        paths.insert(at, path);
    }
    paths
}

/// Checks that every posterior is what TFP makes of the numbers in a file: normal, with scale = softplus(raw) + 1e-5.
fn check_posteriors(network: &Network) -> Result<(), Error> {
    let builder = network.builder();
    let (_, call) = network.on_rows(&builder, 1)?;
    for term in &call.terms {
        let path = term.site.path();
        let expected = format!("Normal(loc = {path}/loc, scale = softplus({path}/raw_scale) + 0.00001)");
        let found = describe::distribution(&term.posterior);
        if found != expected {
            let expected = format!("{expected}, the only one that files of TFP hold");
            return Err(Error::argument(format!("the posterior of `{path}`"), expected, found));
        }
    }
    Ok(())
}
