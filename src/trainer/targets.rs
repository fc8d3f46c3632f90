//! Whether targets are those of a network.

use crate::{
    Error, Network, Targets,
    dataset::{check_labels, check_simplex},
    error::counted,
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
        let numbers = |rows: usize, units: usize| format!("{} of {}", counted(rows, "row"), counted(units, "number"));
        let (expected, remedy) = match (wants_labels, on_simplex) {
            (true, _) => (counted(rows, "label"), "give each input a label, as `Dataset::classification` takes them"),
            (false, true) => {
                (format!("{} that sum to 1", numbers(rows, wanted)), "make them of labels by `Dataset::smoothed`")
            }
            (false, false) => {
                let remedy =
                    "give each input a number for each output of the network, as `Dataset::regression` takes them";
                (numbers(rows, wanted), remedy)
            }
        };
        let found = match targets {
            Targets::Labels(labels) => counted(labels.len(), "label"),
            Targets::Values { units, values } if values.len().is_multiple_of((*units).max(1)) => {
                numbers(values.len() / (*units).max(1), *units)
            }
            Targets::Values { units, values } => format!("{} in rows of {units}", counted(values.len(), "number")),
        };
        return Err(Error::misuse(format!("the targets are {found}, where the network needs {expected}"), remedy));
    }
    match targets {
        Targets::Values { units, values } if on_simplex => check_simplex(*units, values),
        _ => Ok(()),
    }
}
