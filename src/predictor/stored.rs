//! What a model file holds of predictions, so that it needs no layers to predict.

use super::{
    PredictorOptions, law,
    model::{self, Model},
    template::Template,
};
use crate::{Error, ModelFile, Network, model_file::Prediction};
use bayeslift_ir::Foreign;
use bayeslift_layers::likelihood::{Support, Target};
use std::path::Path;

/// What a file says of a network's predictions; `None` if its graphs depend on the number of samples or rows by more than their sizes.
pub fn prediction(network: &Network) -> Option<Prediction> {
    let of_network = |samples, rows| law::network_graph(network, None, samples, rows);
    let of_law = |samples, rows| {
        let output = model::output_type(&of_network(samples, rows)?)?;
        law::law_graph(network, None, output, [samples, rows])
    };
    let (support, classes) = support_name(network.target().support)?;
    Some(Prediction {
        support: support.to_owned(),
        classes,
        target: network.target().shape.to_vec(),
        events: network.target().events.to_vec(),
        network: Template::of(of_network)?.into_string(),
        law: Template::of(of_law)?.into_string(),
    })
}

/// What a predictor predicts with, of a file.
pub fn model(file: ModelFile, path: &Path, options: &PredictorOptions) -> Result<Model, Error> {
    let format = |message: String| Error::Format { path: path.to_owned(), message };
    let Some(stored) = file.prediction else {
        let why = if file.version < 3 {
            "it is of a version without graphs of predictions"
        } else {
            "its graphs could not be written for any number of rows: they are too large, or other ones for other numbers"
        };
        return Err(format(format!("{why}: load it into a network of its layers by `Network::load`")));
    };
    if options.posterior_value.is_some() {
        let problem = "another value of the posteriors was asked for, but a file has the graphs of the layers' own";
        return Err(Error::misuse(problem, "load it into a network of its layers by `Network::load`"));
    }
    let target = target(&stored)
        .ok_or_else(|| format(format!("its targets are of the unknown kind `{}`", Foreign::new(&stored.support))))?;
    [&target.shape, &target.events]
        .into_iter()
        .filter(|shape| !shape.is_empty())
        .try_for_each(|shape| shape.check())?;
    let template = |what: &str, text: &str| {
        Template::parse(text).map_err(|error| format(format!("its graph of the {what}: {error}")))
    };
    let graphs = [template("network", &stored.network)?, template("law", &stored.law)?];
    Model::stored(file.parameters, graphs, (file.input, file.seed), (target, file.likelihood))
        .map_err(|error| format(format!("its graphs: {error}")))
}

/// What a file says of targets, if it is of a kind that is known.
pub fn target(stored: &Prediction) -> Option<Target> {
    let support = support(&stored.support, stored.classes)?;
    Some(Target { support, shape: stored.target.as_slice().into(), events: stored.events.as_slice().into() })
}

/// The names of supports in files.
const NAMES: [(&str, Support); 6] = [
    ("real", Support::Real),
    ("positive", Support::Positive),
    ("non-negative", Support::NonNegative),
    ("unit interval", Support::UnitInterval),
    ("binary", Support::Binary),
    ("count", Support::Count),
];

fn support_name(support: Support) -> Option<(&'static str, Option<usize>)> {
    match support {
        Support::Classes(classes) => Some(("classes", Some(classes))),
        Support::Simplex(classes) => Some(("simplex", Some(classes))),
        _ => NAMES.iter().find(|(_, known)| *known == support).map(|(name, _)| (*name, None)),
    }
}

fn support(name: &str, classes: Option<usize>) -> Option<Support> {
    match (name, classes) {
        ("classes", Some(classes)) => Some(Support::Classes(classes)),
        ("simplex", Some(classes)) => Some(Support::Simplex(classes)),
        (_, None) => NAMES.iter().find(|(known, _)| *known == name).map(|(_, support)| *support),
        _ => None,
    }
}
