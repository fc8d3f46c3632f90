//! Whether targets are those of a network.

use crate::{
    Dataset, Error, Targets,
    dataset::{check_labels, check_simplex, check_weights},
    error::{counted, short},
    fit::check_shape,
};
use bayeslift_ir::Shape;
use bayeslift_layers::likelihood::{Support, Target};

/// Checks that a data set is one for a network with these inputs and targets.
pub(crate) fn check_dataset(input: &Shape, target: &Target, data: &Dataset) -> Result<(), Error> {
    check_shape(input, data.shape())?;
    check_targets(target, data.rows(), data.targets())?;
    check_observed(target, data.rows(), data.present(), data.weights())?;
    let (found, expected) = (data.target_shape(), &target.shape);
    if found != expected {
        return Err(Error::argument(
            "the shape of a row's targets",
            format!("{expected}, that of the network's"),
            found,
        ));
    }
    Ok(())
}

/// Checks that targets are those of this number of rows of the network.
pub(crate) fn check_targets(target: &Target, rows: usize, targets: &Targets) -> Result<(), Error> {
    let (wanted, support) = (target.shape.elements(), target.support);
    let numbers = targets.numbers();
    let fits = match (targets, &numbers) {
        (Targets::Labels(labels), _) => matches!(support, Support::Classes(_)) && labels.len() == rows * wanted,
        (_, Some((units, values))) => {
            !matches!(support, Support::Classes(_)) && *units == wanted && values.len() == rows * wanted
        }
        (_, None) => false,
    };
    if !fits {
        let of_rows = |rows: usize, units: usize| format!("{} of {}", counted(rows, "row"), counted(units, "number"));
        let (expected, remedy) = match support {
            Support::Classes(classes) if wanted == 1 => {
                let is_one_hot = matches!(&numbers, Some((units, _)) if *units == classes);
                let remedy = match is_one_hot {
                    true => "if they are one-hot rows, make labels of them by `Dataset::one_hot` or `Targets::one_hot`",
                    false => "give each input a label, as `Dataset::classification` takes them",
                };
                (counted(rows, "label"), remedy)
            }
            Support::Classes(_) => {
                let expected = format!("{} of {}", counted(rows, "row"), counted(wanted, "label"));
                (expected, "give each position of each input a label, as `Dataset::classification_at` takes them")
            }
            Support::Simplex(_) => {
                (format!("{} that sum to 1", of_rows(rows, wanted)), "make them of labels by `Dataset::smoothed`")
            }
            Support::Binary => (
                of_rows(rows, wanted),
                "give each input a 0 or 1 for each of its labels, as `Dataset::multi_label` takes them",
            ),
            _ => {
                let remedy =
                    "give each input a number for each output of the network, as `Dataset::regression` takes them";
                (of_rows(rows, wanted), remedy)
            }
        };
        let found = match (targets, &numbers) {
            (Targets::Labels(labels), _) => counted(labels.len(), "label"),
            (_, Some((units, values))) if values.len().is_multiple_of((*units).max(1)) => {
                of_rows(values.len() / (*units).max(1), *units)
            }
            (_, Some((units, values))) => format!("{} in rows of {units}", counted(values.len(), "number")),
            (_, None) => "none".to_owned(),
        };
        return Err(Error::misuse(format!("the targets are {found}, where the network needs {expected}"), remedy));
    }
    match (targets, numbers, support) {
        (Targets::Labels(labels), _, Support::Classes(classes)) => check_labels(classes, wanted, labels),
        (_, Some((_, values)), Support::Simplex(classes)) => check_simplex(classes, wanted / classes.max(1), &values),
        (_, Some((units, values)), support) => match values.iter().position(|x| !support.contains(x)) {
            None => Ok(()),
            Some(i) => {
                let (row, column) = (i / units, i % units);
                Err(Error::argument(format!("target {column} of row {row}"), support.to_string(), short(values.at(i))))
            }
        },
        (_, None, _) => Ok(()),
    }
}

/// Checks what is told of the targets of `rows` rows.
pub(crate) fn check_observed(
    target: &Target,
    rows: usize,
    present: Option<&[bool]>,
    weights: Option<&[f32]>,
) -> Result<(), Error> {
    let targets = rows * target.shape.elements();
    if let Some(present) = present.filter(|present| present.len() != targets) {
        let expected = format!("{targets}, one for each target");
        return Err(Error::argument("the number of targets said to be present or not", expected, present.len()));
    }
    weights.map_or(Ok(()), |weights| check_weights(rows, weights))
}

/// Which events are known, as a mask, by which targets are: an event of several targets is if all of them are.
pub(crate) fn known_events(target: &Target, present: &[bool]) -> Vec<u32> {
    present.chunks(of_event(target)).map(|event| if is_known(event) { u32::MAX } else { 0 }).collect()
}

/// Whether an event is known of whose targets these are.
pub(super) fn is_known(event: &[bool]) -> bool {
    event.iter().all(|&present| present)
}

/// How many targets an event has.
pub(super) fn of_event(target: &Target) -> usize {
    (target.shape.elements() / target.events.elements().max(1)).max(1)
}
