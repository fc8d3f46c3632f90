//! Machine code to something that runs.

pub mod jit;
