//! Loading a model file into a network: what the file says is compared with what the network is.

use super::{BYTES, Described, DescribedLayer, EMITTER_VERSION, ModelFile, describe};
use crate::{Error, Network};
use bayeslift_ir::{Foreign, Tensor};
use bayeslift_layers::{Group, Parameter, Parameters, value_where_absent};
use std::{collections::BTreeSet, iter::zip, path::Path};

pub(crate) fn load(network: &mut Network, path: &Path) -> Result<(), Error> {
    load_file(network, read(network, path)?, path)
}

pub(crate) fn load_bytes(network: &mut Network, bytes: &[u8]) -> Result<(), Error> {
    load_file(network, ModelFile::from_bytes(bytes)?, Path::new(BYTES))
}

/// Loads parameters alone, into the network's own groups, trainable or not as they are there.
pub(crate) fn load_weights(network: &mut Network, path: &Path) -> Result<(), Error> {
    let file = read(network, path)?;
    let mut parameters = parameters(network, &file).map_err(|difference| other(path, difference))?;
    for ((_, parameter), (_, own)) in zip(parameters.iter_mut(), network.parameters().iter()) {
        parameter.trainable = own.trainable;
    }
    network.check(&parameters)?;
    network.replace_parameters(parameters);
    Ok(())
}

fn read(network: &Network, path: &Path) -> Result<ModelFile, Error> {
    let own = network.parameters().iter().map(|(_, parameter)| parameter.tensor.shape().elements() as u64 * 4);
    ModelFile::read_for(path, own.sum())
}

/// Loads a file that was read from this path, if it is of the network.
pub(crate) fn load_file(network: &mut Network, file: ModelFile, path: &Path) -> Result<(), Error> {
    if let Some(difference) = words(network, &file) {
        return Err(other(path, difference));
    }
    let parameters = parameters(network, &file).map_err(|difference| other(path, difference))?;
    if let Some(difference) = made_of_parameters(network, &file)? {
        return Err(other(path, difference));
    }
    network.check(&parameters)?;
    network.replace_parameters(parameters);
    network.set_seed(file.seed);
    network.set_training_examples(file.training_examples);
    network.set_made(file.steps, file.epochs);
    Ok(())
}

fn other(path: &Path, message: String) -> Error {
    Error::OtherNetwork { path: path.to_owned(), message }
}

/// What differs first in inputs, likelihood and layers.
fn words(network: &Network, file: &ModelFile) -> Option<String> {
    if file.input != *network.input() {
        return Some(format!("its inputs have shape {}, expected {}", file.input, network.input()));
    }
    let likelihood = network.likelihood().describe();
    if file.likelihood != likelihood {
        return Some(format!("its likelihood is {}, expected {likelihood}", Foreign::new(&file.likelihood)));
    }
    if file.version == 1 { None } else { layers(network, &file.layers) }
}

fn layers(network: &Network, found: &[DescribedLayer]) -> Option<String> {
    let own = describe::layers(network);
    let label = |layer: &DescribedLayer| {
        let path = if layer.path.is_empty() { network.layer().name() } else { &layer.path };
        Foreign::new(path).to_string()
    };
    for (found, own) in zip(found, &own) {
        if found.path != own.path {
            return Some(format!("it has the layer `{}` where the network has `{}`", label(found), label(own)));
        }
        let path = label(own);
        let says = |what: &str, found: &str, own: &str| {
            let [what, found] = [what, found].map(|text| Foreign::new(text).to_string());
            Some(format!("layer `{path}`: its {what} is {found}, the network's is {own}"))
        };
        if found.kind != own.kind {
            return says("kind", &found.kind, &own.kind);
        }
        let names: BTreeSet<&String> = found.options.keys().chain(own.options.keys()).collect();
        for name in names {
            let [found, own] = [found, own].map(|layer| layer.options.get(name).map_or("not told", String::as_str));
            if found != own {
                return says(name, found, own);
            }
        }
    }
    if let Some(missing) = own.get(found.len()) {
        return Some(format!("it has no layer `{}`", label(missing)));
    }
    let extra = found.get(own.len())?;
    Some(format!("it has the layer `{}`, which the network has not", label(extra)))
}

/// The file's parameters in the network's order and groups, or what differs first in their names and types.
fn parameters(network: &Network, file: &ModelFile) -> Result<Parameters, String> {
    let mut parameters = Parameters::new();
    for (name, own) in network.parameters().iter() {
        let Ok(found) = file.parameters.get(name) else {
            // files of version 2 have every parameter
            if let Some(tensor) = value_where_absent(name, own).filter(|_| file.version == 1) {
                let parameter = Parameter { tensor, ..own.clone() };
                parameters.insert(name, parameter).map_err(|error| error.to_string())?;
                continue;
            }
            let known = Foreign::list(file.parameters.paths());
            return Err(format!("it has no parameter `{name}`; it has: {known}"));
        };
        let (expected, ty) = (own.tensor.ty(), found.tensor.ty());
        let mut parameter = Parameter { group: own.group, ..found.clone() };
        if own.group == Group::Likelihood && ty.shape.is_empty() {
            // all units shared a scale once
            let words = found.tensor.words().repeat(expected.shape.elements());
            parameter.tensor = Tensor::from_words(&expected, words).map_err(|error| error.to_string())?;
        } else if expected != ty {
            return Err(format!("its parameter `{name}` has type {ty}, expected {expected}"));
        }
        parameters.insert(name, parameter).map_err(|error| error.to_string())?;
    }
    match file.parameters.paths().find(|name| !parameters.contains(name)) {
        Some(extra) => Err(format!("it has the parameter `{}`, which the network has not", Foreign::new(extra))),
        None => Ok(parameters),
    }
}

/// What differs first in what is made of parameters: posteriors, priors, the graph.
fn made_of_parameters(network: &Network, file: &ModelFile) -> Result<Option<String>, Error> {
    let own = describe::posteriors_and_priors(network)?;
    for ((what, found), own) in zip([("posterior", &file.posteriors), ("prior", &file.priors)], &own) {
        if let Some(difference) = distributions(what, found, own, file.version == 1) {
            return Ok(Some(difference));
        }
    }
    // A graph says all, also what has no words; but it is the same for the same network only as long as it is made in
    // the same way.
    if file.emitter != Some(EMITTER_VERSION) {
        return Ok(None);
    }
    Ok(graphs(&file.graph_text, &network.graph(1)?.to_string()))
}

fn distributions(what: &str, found: &[Described], own: &[Described], is_old: bool) -> Option<String> {
    if found.len() != own.len() {
        return Some(format!("it has {} {what}s, expected {}", found.len(), own.len()));
    }
    // In files of version 1 what is not told, in words, may be the same.
    let is_told = |described: &Described| !is_old || !described.text.contains(describe::COMPUTED);
    let (found, own) = zip(found, own).find(|(found, own)| found != own && is_told(found) && is_told(own))?;
    let path = Foreign::new(&found.path);
    if found.path != own.path {
        return Some(format!("it has a {what} of `{path}` where the network has one of `{}`", own.path));
    }
    let (found, own) = (Foreign::cut(&found.text, 300), &own.text);
    Some(format!("its {what} of `{path}` is {found}, the network's is {own}"))
}

fn graphs(found: &str, own: &str) -> Option<String> {
    if found == own {
        return None;
    }
    let (mut found, mut own) = (found.lines(), own.lines());
    let mut number = 1;
    let (found, own) = loop {
        match (found.next(), own.next()) {
            (Some(found), Some(own)) if found == own => number += 1,
            (found, own) => break (found.unwrap_or("the end"), own.unwrap_or("the end")),
        }
    };
    let [found, own] = [found, own].map(|line| Foreign::new(line.trim()).to_string());
    Some(format!(
        "its layers are told in the same words, but line {number} of its graph is `{found}`, the network's is `{own}`: an \
         activation, posterior, prior or layer of one's own computes something else"
    ))
}
