//! Plan to machine code: the tile IR, its lowering from plans, its emission through Cranelift, linking.

mod emit;
mod jit;
mod lower;
mod print;
pub mod tile;
pub mod wide;

pub use emit::WIDTH;
pub use jit::{Code, Error, Function, Stage};
pub use lower::{Argument, Lowered, Tiling, lower};
