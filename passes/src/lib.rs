//!

mod gradient;

pub use gradient::gradients;
