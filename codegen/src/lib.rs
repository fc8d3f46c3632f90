//! Plan to machine code.
//!
//! [`lower`] turns the kernels of a plan into [tile code](tile) for a [`Target`], an [emitter](emit) turns that into
//! machine code, and a [linker](link) makes it run. What an executable is besides its code says the [`KernelTable`].

pub mod emit;
mod error;
mod host;
pub mod link;
mod lower;
mod machines;
pub mod routine;
#[cfg(feature = "deploy")]
mod system;
mod table;
pub mod target;
pub mod tile;

pub use error::Error;
pub use lower::{KernelArgument, Lowered, Tiling, lower};
#[cfg(feature = "deploy")]
pub use system::{Level, System};
pub use table::{InputSpec, KernelTable, OutputSpec, Program, Stage, Summary, Symbol, Touch, compile};
pub use target::{Architecture, InstructionSet, Target};
