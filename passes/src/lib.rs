//! Passes over the tensor graph of Bayeslift.
//!
//! Graph to graph: [`gradients`] and [`simplify`]. Graph to plan: [`Plan`] forms kernels, orders them and lays out their
//! memory. This crate knows no machine code.

mod gradient;
mod plan;
mod simplify;
mod view;

pub use gradient::gradients;
pub use plan::{Access, Counts, Extents, Kernel, Operand, Part, Place, Plan, Role, Work};
pub use simplify::simplify;
pub use view::{View, merge_axes};
