//! The tensor graph of Bayeslift.
//!
//! A [`Graph`] is an append-only, hash-consed, statically shaped program over tensors. [`Builder`] makes one with
//! ordinary operators; [`evaluate`] runs one, and its bits are the definition of what compiled code must
//! give. This crate knows no pass and no machine code.

mod aligned_vec;
#[cfg(feature = "arbitrary")]
pub mod arbitrary;
mod builder;
mod convolution;
pub mod elementary;
mod environment;
mod error;
mod evaluate;
mod expr;
mod foreign;
mod graph;
mod infer;
mod kind;
mod lanes;
pub mod memory;
#[macro_use]
mod named;
pub mod noise;
mod op;
mod origin;
mod same_bits;
mod tensor;
pub mod text;
mod types;
mod verify;

pub use builder::{Builder, NoiseAddress};
pub use convolution::{Convolution, Patches, Sliding, spread, windows_as_rows};
pub use environment::Environment;
pub use error::Error;
pub use evaluate::{DOT_CHUNK, Elements, SUM_CHUNK, SUM_LANES, evaluate, evaluate_f64};
pub use expr::{Expr, Operand};
pub use foreign::Foreign;
pub use graph::{Args, Graph, Input, MAX_NODES, Node, Output, Value};
pub use infer::result_type;
pub use kind::{Arithmetic, Elementwise, Indexed, Kind, Literal, Movement, Reduction};
pub use lanes::{DoubleLanes, Lanes, Scalar, fma};
pub use op::{Binary, Compare, Noise, NoiseDistribution, Op, Unary, Window};
pub use origin::Origin;
pub use same_bits::same_bits;
pub use tensor::Tensor;
pub use types::{DType, MAX_ELEMENTS, MAX_RANK, Shape, Type};
pub use verify::verify;
