//! What can go wrong, as one sentence each.

use bayeslift::ir::Foreign;
use std::{io, path::Path};

/// What can be wrong with a model, its inputs or what is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model is at fault, or the machine.
    #[error(transparent)]
    Library(#[from] bayeslift::Error),
    /// A file could not be read.
    #[error("could not read {name}: {source}")]
    Read {
        /// The file, as messages show it.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// What is to be written could not be.
    #[error("could not write {name}: {source}")]
    Write {
        /// The file, as messages show it.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is not what inputs are read from.
    #[error("{place}{problem}; {remedy}")]
    Input {
        /// The file and what of it, as messages show it, with the word or sign that leads to the problem.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A row has no finite prediction.
    #[error(
        "the prediction of {place} is not finite: its largest input is {largest}; look whether the model was trained on numbers of \
         this size, or go on without such rows by `--allow-non-finite`"
    )]
    NonFinitePrediction {
        /// The row's place in its file.
        place: String,
        /// The largest absolute value of the row.
        largest: String,
    },
    /// Whoever was to read the answer has closed the pipe: no error.
    #[error("nobody reads what is written")]
    ClosedPipe,
}

impl Error {
    /// What is wrong at a place, which ends with what leads to the problem: `: `, ` has `.
    pub fn input(place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Input { place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// Writing failed.
    pub fn write(name: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Error::ClosedPipe,
            _ => Error::Write { name: name.to_owned(), source },
        }
    }
}

/// A file as messages show it.
pub fn shown(path: &Path) -> String {
    format!("`{}`", Foreign::whole(&path.to_string_lossy()))
}
