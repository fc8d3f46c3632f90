//! Whether targets are those of a network.

use crate::{
    Error, Network, Targets,
    dataset::{check_labels, check_simplex},
};
use bayeslift_layers::Likelihood;

/// Checks that targets are those of this number of rows of the network.
pub(crate) fn check_targets(network: &Network, rows: usize, targets: &Targets) -> Result<(), Error> {
    let on_simplex = matches!(network.likelihood(), Likelihood::SoftmaxCenteredNormal { .. });
    let wanted = network.classes().filter(|_| on_simplex).unwrap_or(network.outputs());
    let wants_labels = network.classes().is_some() && !on_simplex;
    let fits = match targets {
        Targets::Labels(labels) if wants_labels => {
            check_labels(wanted, labels)?;
            labels.len() == rows
        }
        Targets::Values { units, values } => !wants_labels && *units == wanted && values.len() == rows * wanted,
        Targets::Labels(_) => false,
    };
    if !fits {
        let numbers = |rows: usize, units: usize| format!("{rows} rows of {units} numbers");
        let expected = match (wants_labels, on_simplex) {
            (true, _) => format!("{rows} labels"),
            (false, true) => format!("{} that sum to 1", numbers(rows, wanted)),
            (false, false) => numbers(rows, wanted),
        };
        let found = match targets {
            Targets::Labels(labels) if wants_labels => format!("{} labels", labels.len()),
            Targets::Labels(_) if on_simplex => "labels: use `Dataset::smoothed`".to_owned(),
            Targets::Labels(_) => "labels".to_owned(),
            Targets::Values { units, values } if values.len().is_multiple_of((*units).max(1)) => {
                numbers(values.len() / (*units).max(1), *units)
            }
            Targets::Values { units, values } => format!("{} numbers in rows of {units}", values.len()),
        };
        return Err(Error::argument("the set of targets", expected, found));
    }
    match targets {
        Targets::Values { units, values } if on_simplex => check_simplex(*units, values),
        _ => Ok(()),
    }
}
