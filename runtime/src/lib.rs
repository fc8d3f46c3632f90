//! Runs compiled graphs.
//!
//! An [`Executable`] owns its machine code and is shared freely between threads; a [`Workspace`] owns the memory of one
//! call at a time. Every shape, type and count is checked before compiled code runs.
//!
//! ```
//! use bayeslift_ir::{Builder, Type};
//! use bayeslift_runtime::{Executable, Options};
//!
//! let b = Builder::new();
//! let x = b.input("x", Type::f32([2, 3]));
//! b.output("y", (x + 1.0).exp().sum(1));
//! let executable = Executable::compile(b.finish()?, &Options::default())?;
//!
//! let mut workspace = executable.workspace()?;
//! let y = executable.call(&mut workspace, &mut [[0.0_f32, 0.0, 0.0, -1.0, -1.0, -1.0].as_slice().into()])?;
//! assert_eq!(y[0].as_f32().unwrap()[1], 3.0);
//! # Ok::<(), bayeslift_runtime::Error>(())
//! ```

mod aligned_buffer;
mod argument;
mod call;
mod compiling;
mod dependencies;
mod executable;
mod explain;
mod pool;
mod task_schedule;
mod team;
mod trial;

pub use argument::Argument;
pub use bayeslift_codegen::{Error as CodeError, Target};
pub use bayeslift_passes::{Fusion, LocalOutput, Report, Rewriting, Rewritten};
pub use call::Workspace;
pub use executable::{Executable, Options};
pub use explain::{Estimate, ExplainedKernel, Explanation, Kind};

/// What can go wrong when compiling or calling.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph is at fault.
    #[error(transparent)]
    Graph(bayeslift_ir::Error),
    /// The code generator or the machine is at fault.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The machine has no memory left.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// How much was asked for.
        bytes: u64,
    },
    /// A call passes a wrong number of tensors.
    #[error("{found} {what} passed, expected {expected}: {names}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many came.
        found: usize,
        /// The names of those that are needed.
        names: String,
    },
    /// An input that the graph updates is passed without the right to change it.
    #[error("the input `{name}` is updated in place: pass it mutably")]
    NotMutable {
        /// The input's name.
        name: String,
    },
    /// A process was forked while another thread of its parent was compiling: what that thread had locked stays locked.
    #[error("this process was forked while its parent was compiling, so it cannot compile; compile before forking")]
    ForkedWhileCompiling,
    /// A workspace made by another executable.
    #[error("the workspace belongs to another executable")]
    ForeignWorkspace,
}

impl From<bayeslift_ir::Error> for Error {
    fn from(error: bayeslift_ir::Error) -> Error {
        match error {
            bayeslift_ir::Error::OutOfMemory { what, bytes } => Error::OutOfMemory { what, bytes },
            error => Error::Graph(error),
        }
    }
}
