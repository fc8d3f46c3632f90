//! Passes over the tensor graph of Bayeslift.
//!
//! Graph to graph: [`gradients`], [`stage`], which makes two graphs of one, [`Accumulation`], which makes steps on
//! parts of a batch of one on all of it, [`watch`] and [`rescale`], which deal with overflow, and the [`Pipeline`], the
//! list of what is done to every graph before it is planned. Graph to facts: [`RangeAnalysis`] and what it leaves
//! [`hidden`]. Graph to plan: [`Plan`] forms kernels, orders them and lays out their memory. This crate knows no
//! machine code.

mod accumulate;
mod bound;
mod costs;
mod gradient;
mod guard;
mod pipeline;
mod plan;
mod range;
mod rebuild;
mod rewrite;
mod simplify;
mod stage;
mod view;

pub use accumulate::{Accumulation, AccumulationError};
pub use bound::magnitude_bounds;
pub use costs::Costs;
pub use gradient::gradients;
pub use guard::{INSIDE, WATCH, hidden, rescale, unmarked, watch};
pub use pipeline::{Pipeline, Rewritten, optimize};
pub use plan::{
    Access, Counts, Defect, DotOperand, Extents, Footprint, Kernel, KernelKind, Part, Place, Plan, Read, Role, Work,
    Write,
};
pub use range::{Range, RangeAnalysis, lower_bound};
pub use rewrite::{Fused, Fusion, LocalOutput, Report, Rewriting};
pub use simplify::simplify;
pub use stage::{Stages, stage};
pub use view::{Axis, View, merge_axes};
