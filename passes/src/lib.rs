//!

mod gradient;
mod plan;
mod simplify;
mod view;

pub use gradient::gradients;
pub use plan::{Kernel, Operand, Place, Plan};
pub use simplify::simplify;
pub use view::{View, merge_axes};
