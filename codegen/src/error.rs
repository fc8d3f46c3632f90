//! Why compiling failed.

use crate::Target;
use bayeslift_ir::{Foreign, Origin};

/// Why compiling failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refuses memory that can be executed.
    #[error("no executable memory: {0}; the system may forbid programs to generate code")]
    NoExecutableMemory(String),
    /// The code generator does not know this machine.
    #[error("no code generator for this machine: {0}")]
    UnsupportedMachine(String),
    /// The target is another machine: its kernels can be lowered and looked at here, not run.
    #[error("code for {target} does not run on this machine")]
    ForeignTarget {
        /// The target.
        target: Target,
    },
    /// The code generator rejected a kernel: a defect of Bayeslift.
    #[error("kernel {kernel} of {rows} x {cols} elements{} did not compile: {message}; please report this", of(origin))]
    Kernel {
        /// The kernel's number in the plan.
        kernel: usize,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// Which part of the program it is from, if that is known.
        origin: Option<Origin>,
        /// The code generator's message.
        message: String,
    },
    /// There are no objects for this system.
    #[cfg(feature = "deploy")]
    #[error("no objects for `{name}`: {reason}")]
    System {
        /// What was asked for.
        name: String,
        /// Why there are none.
        reason: String,
    },
    /// The code generator or its linker refused a program: a defect of Bayeslift.
    #[cfg(feature = "deploy")]
    #[error("the object could not be made: {0}; please report this")]
    Object(String),
}

/// How an error names where a kernel is from.
fn of(origin: &Option<Origin>) -> String {
    origin.as_ref().map(|origin| format!(" of `{}`", Foreign::new(&origin.to_string()))).unwrap_or_default()
}
