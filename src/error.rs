//! What can go wrong, in one enumeration.

use crate::FitReport;
use bayeslift_ir::Foreign;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What can be wrong with a network, its data, a training step or a file.
///
/// Errors name the layer, argument, row or file at fault, what was expected and what came. They arrive before anything
/// is changed: a network that a call refused is what it was before the call. Only [`Error::Fit`] comes later.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let network = Network::new(Affine::new(3, 1), [3], likelihood::Normal::fixed(1.0), 0)?;
/// let predictor = Predictor::new(&network)?;
/// let error: Error = predictor.regress(&[0.0; 4]).unwrap_err(); // no whole rows of three
/// println!("{error}");
/// match predictor.regress(&[0.0, f32::NAN, 0.0]) {
///     Err(error) => assert!(error.to_string().contains("NaN"), "{error}"),
///     Ok(_) => unreachable!("inputs are finite"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer, likelihood or optimizer is at fault.
    #[error(transparent)]
    Layer(#[from] bayeslift_layers::Error),
    /// Compiling or calling compiled code failed.
    #[error(transparent)]
    Runtime(#[from] bayeslift_runtime::Error),
    /// An argument does not fit.
    #[error("{} is {}, expected {expected}", Foreign::whole(argument), Foreign::whole(found))]
    Argument {
        /// The argument at fault.
        argument: String,
        /// What would fit.
        expected: String,
        /// What came.
        found: String,
    },
    /// What was asked for cannot be done.
    #[error("{}; {remedy}", Foreign::whole(problem))]
    Misuse {
        /// What is wrong, with what came and what is needed.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An input or target is infinite or not a number.
    #[error("column {column} of row {row} of the {what} is {value}; every element must be finite")]
    NonFinite {
        /// `inputs` or `targets`.
        what: &'static str,
        /// The row, counted from 0.
        row: usize,
        /// The element of the row, counted from 0.
        column: usize,
        /// The element.
        value: f64,
    },
    /// A prediction is infinite or not a number, or would hide that a value in the network is.
    #[error(
        "the prediction of row {row} is not finite: its largest input is {}; what is computed of it exceeds the \
         range of the network's floats, or parameters are not finite. `PredictorOptions::allow_non_finite` predicts the other rows",
        sized(*largest)
    )]
    NonFinitePrediction {
        /// The first such row, counted from 0 among those of the call.
        row: usize,
        /// The largest absolute value of the row's inputs, and of its targets if there are some.
        largest: f64,
    },
    /// A label is not that of a class.
    #[error("the label of row {row} is {label}, expected a number below {classes}, the number of classes")]
    Label {
        /// The row, counted from 0.
        row: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// The loss of a training step is infinite or not a number. Parameters and the optimizer's state are bit for bit
    /// those before the step.
    #[error(
        "the loss of step {step} is {} (negative log likelihood {}, divergence {}): {cause}; the parameters are those \
         before the step",
        sized(*loss),
        sized(*negative_log_likelihood),
        sized(*divergence)
    )]
    NonFiniteLoss {
        /// The step, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// Its first part, a mean over the batch.
        negative_log_likelihood: f64,
        /// Its second part, before it was weighted.
        divergence: f64,
        /// Where to look: the first parameter, input or target that is not finite, or that none is.
        cause: String,
    },
    /// No epoch could be chosen by validation: after each that it might have chosen, or after ten in a row before one
    /// was chosen, it was infinite or not a number.
    #[error(
        "validation can choose no epoch, since it is not finite: after epoch {epoch} the log likelihood of row {row} of \
         the validation data is {log_likelihood}"
    )]
    NonFiniteValidation {
        /// The last of these epochs.
        epoch: usize,
        /// The first row of the validation data whose log likelihood was not finite then, counted from 0.
        row: usize,
        /// That log likelihood.
        log_likelihood: f64,
    },
    /// Fitting ended after it had begun. The network has the best parameters so far; if validation has chosen none,
    /// those from before the step that failed.
    #[error("fitting ended in epoch {epoch} of {epochs}, after {} steps: {source}; {}", report.steps, report.kept())]
    Fit {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The number of epochs that was asked for.
        epochs: usize,
        /// What there is to report.
        report: Box<FitReport>,
        /// Why it ended.
        source: Box<Error>,
    },
    /// A training step whose loss is finite would make a parameter, the optimizer's state or a statistic infinite or
    /// not a number. All of them are bit for bit those before the step.
    #[error(
        "step {step} would make element {index} of `{path}` {value}, though its loss is {}: {cause}; the parameters \
         are those before the step",
        sized(*loss)
    )]
    NonFiniteUpdate {
        /// The step, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The parameter, or the optimizer's state of one.
        path: String,
        /// The row-major index of its first element that would not be finite.
        index: usize,
        /// What that would be.
        value: f64,
        /// Where to look: the first value of the step that is not finite, and its layer, where that can be told.
        cause: String,
    },
    /// A [source](crate::Source) could not read examples.
    #[error("could not read {} from number {first} on: {source}", counted(*rows, "example"))]
    Source {
        /// The first of them, counted from 0.
        first: usize,
        /// How many.
        rows: usize,
        /// What it says.
        source: crate::SourceError,
    },
    /// A file could not be read or written.
    #[error("could not {action} `{}`: {source}", shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is no model file, or a damaged one.
    #[error("`{}` is no model file that can be read: {}", shown(path), Foreign::whole(message))]
    Format {
        /// The file; `(bytes)` of what was in memory.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// A file is no training file, or a damaged one.
    #[error("`{}` is no training file that can be read: {}", shown(path), Foreign::whole(message))]
    TrainingFormat {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// A training file is sound, but of another network, of other options or of other data.
    #[error("the training file `{}` is of another course: {}", shown(path), Foreign::whole(message))]
    OtherTraining {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// The weights of another system's file are not those that a map tells of, or do not fit.
    #[error("the weights in `{}` do not fit: {}", shown(path), Foreign::whole(message))]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// What was expected and what came, with the names of tensors and weights.
        message: String,
    },
    /// A model file is sound, but of another network.
    #[error("the model file `{}` is of another network: {}", shown(path), Foreign::whole(message))]
    OtherNetwork {
        /// The file; `(bytes)` of what was in memory.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
}

/// A path as messages show it: file names may hold anything.
fn shown(path: &Path) -> String {
    Foreign::whole(&path.to_string_lossy()).to_string()
}

impl From<bayeslift_ir::Error> for Error {
    fn from(error: bayeslift_ir::Error) -> Self {
        Error::Layer(error.into())
    }
}

impl Error {
    pub(crate) fn argument(
        argument: impl Into<String>,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Error {
        Error::Argument { argument: argument.into(), expected: expected.to_string(), found: found.to_string() }
    }

    pub(crate) fn misuse(problem: impl Into<String>, remedy: &'static str) -> Error {
        Error::Misuse { problem: problem.into(), remedy }
    }
}

/// A count with the noun it is of, such as `1 label` or `3 rows`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of either type of floats, with the digits that its type has.
pub(crate) fn short(x: f64) -> String {
    let nearest = x as f32;
    if f64::from(nearest) == x { nearest.to_string() } else { x.to_string() }
}

/// As [`short`], with an exponent where there would be many zeros that `f32` cannot have.
fn sized(x: f64) -> String {
    if x.abs() > f32::MAX.into() { format!("{x:e}") } else { short(x) }
}
