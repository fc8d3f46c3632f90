//! What functions are called with.

use bayeslift_passes::Place;
use std::fmt;

/// What a pointer argument points to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KernelArgument {
    /// A value's memory.
    Place(Place),
    /// Memory that all tiles of a kernel share: written by its first stage, read by its second.
    Shared,
    /// Words that differ between kernels that are otherwise the same, such as a noise stream.
    Words(Vec<u32>),
}

impl fmt::Display for KernelArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelArgument::Place(Place::Input(i)) => write!(f, "input {i}"),
            KernelArgument::Place(Place::Output(i)) => write!(f, "output {i}"),
            KernelArgument::Place(Place::Arena(offset)) => write!(f, "arena + {offset}"),
            KernelArgument::Shared => f.write_str("shared"),
            KernelArgument::Words(words) => write!(f, "{words:x?}"),
        }
    }
}
