//! Linkers: machine code to something that runs.

#[cfg(feature = "deploy")]
pub mod c;
pub mod jit;
#[cfg(feature = "deploy")]
pub mod object;
#[cfg(feature = "deploy")]
pub mod processor;

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}
