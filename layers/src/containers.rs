//! Layers made of layers: one after the other, beside each other, around each other.

mod composition;
mod sequential;

pub use composition::{Branches, Residual};
pub use sequential::Sequential;
