//! What can go wrong in a build script.

use std::{error, fmt, io, path::PathBuf};

/// Why a model was not compiled, and what to do. It shows the same way for programmers as for users, since that is how
/// `main` of a build script prints it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cargo does not say what for, and where to.
    #[error("`{name}` is not set: call this in a build script, which cargo runs, or say the target and the folder")]
    NoBuildScript {
        /// The variable that cargo would have set.
        name: &'static str,
    },
    /// There is no model.
    #[error(
        "there is no model `{}` in `{}`: `Network::save` writes one, and paths begin at the package's folder",
        path.display(), folder.display()
    )]
    Missing {
        /// Where it was to be.
        path: PathBuf,
        /// Where paths begin.
        folder: PathBuf,
    },
    /// The model cannot be compiled.
    #[error("`{}` was not compiled: {source}", path.display())]
    Model {
        /// The file, or the folder.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// C could not be compiled.
    #[error(
        "the network is C for `{target}` ({no_object}), which a compiler has to be there for: {source}; install one (of \
         Debian for Cortex-M: gcc-arm-none-eabi; for WebAssembly: clang), or name it in the variable `{variable}`"
    )]
    Compiler {
        /// What it was for.
        target: String,
        /// Why there is no object.
        no_object: String,
        /// What the compiler said, or that there is none.
        source: cc::Error,
        /// The variable that names a compiler.
        variable: String,
    },
    /// A file could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
