//! Passes over the tensor graph of Bayeslift.
//!
//! Graph to graph: [`gradients`], [`simplify`], [`rewrite`], [`stage`], which makes two graphs of one, and [`watch`] and
//! [`rescale`], which deal with overflow. Graph to facts: [`RangeAnalysis`] and what it leaves [`hidden`]. Graph to plan: [`Plan`]
//! forms kernels, orders them and lays out their memory. This crate knows no machine code.

mod bound;
mod gradient;
mod guard;
mod plan;
mod range;
mod rewrite;
mod simplify;
mod stage;
mod view;

pub use bound::magnitude_bounds;
pub use gradient::gradients;
pub use guard::{WATCH, hidden, rescale, watch};
pub use plan::{
    Access, Counts, Defect, Extents, Footprint, Kernel, KernelKind, Operand, Part, Place, Plan, Read, Role, Work, Write,
};
pub use range::{Range, RangeAnalysis};
pub use rewrite::{Fused, Fusion, LocalOutput, Report, Rewriting, Rewritten, optimize, rewrite};
pub use simplify::simplify;
pub use stage::{Stages, stage};
pub use view::{Axis, View, merge_axes};
