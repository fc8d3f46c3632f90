//! What a model file holds of predictions, so that it needs no layers to predict.

use crate::{
    Network,
    predictor::{law, model, template::Template},
};
use bayeslift_layers::likelihood::{Support, Target};
use serde::{Deserialize, Serialize};

/// What predictions are computed by, for any number of samples and rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prediction {
    /// Which values a target has: the name of the support, and the number of classes or coordinates if it has one.
    pub support: String,
    pub classes: Option<usize>,
    /// The shape of a target and of its events.
    pub target: Vec<usize>,
    pub events: Vec<usize>,
    /// The graph of the network, and that of the law of its output.
    pub network: String,
    pub law: String,
}

/// What a file says of a network's predictions; `None` if its graphs depend on the number of samples or rows by more
/// than their sizes.
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
