//! The text form of a graph: [`Display`](std::fmt::Display) prints it, [`FromStr`](std::str::FromStr) reads it.
//!
//! ```text
//! graph {                                             ; a comment ends with the line
//!   %0 = input "x" : f32[32,64]
//!   %1 = constant 1.5 : f32[]                         ; also nan, inf, -inf; f64[]; u32[] for an integer
//!   %2 = broadcast %1 : f32[32,64]
//!   %3 = mul %0 %2 : f32[32,64]
//!   %4 = transpose permutation=[1,0] %3 : f32[64,32]
//!   %5 = sum axis=1 %4 : f32[64]
//!   output "y" = %5
//! }
//! ```
//!
//! A line is a value's number, the operation, its attributes, its operands, and the type of the result, which the
//! reader checks; `from "affine"`, or `from gradient "affine"`, may follow, and tells where it comes from: `{:#}`
//! prints that. `output "w" = %9 updates %2` names a result that overwrites the input `%2`. Line breaks stand for
//! spaces. Numbers of values need not be consecutive, but operands are defined above their users. Reading what was
//! printed gives an equal graph.

mod lexer;
mod parse;
mod print;
