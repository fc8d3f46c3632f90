//! The tensor graph of Bayeslift.
//!
//! A [`Graph`] is an append-only, hash-consed, statically shaped program over tensors. [`Builder`] makes one with
//! ordinary operators; [`evaluate`] runs one, and its bits are the definition of what compiled code must
//! give. This crate knows no pass and no machine code.
//!
//! | To | look at |
//! |----|---------|
//! | write a layer or a likelihood | [`Expr`], its methods and operators; [`Operand`] for what takes numbers too |
//! | know what an operation computes | [`Op`]; [`elementary`] and [`noise`] for the bits of single elements |
//! | read or change a graph | [`Graph`], [`Op::kind`], [`result_type`], [`verify`]; [`text`] prints and reads it |
//! | pass data | [`Tensor`], [`Type`], [`Shape`]; [`same_bits`] compares |
//!
//! ```
//! use bayeslift_ir::{Builder, Tensor, Type, evaluate};
//! let b = Builder::new();
//! let (x, w) = (b.input("x", Type::f32([2, 2])), b.input("w", Type::f32([2, 1])));
//! b.output("y", x.dot(w) + 0.5);
//! let graph = b.finish()?;
//! let y = evaluate(&graph, &[Tensor::f32([2, 2], [1.0, 2.0, 3.0, 4.0])?, Tensor::f32([2, 1], [1.0, -1.0])?])?;
//! assert_eq!(y, [Tensor::f32([2, 1], [-0.5, -0.5])?]);
//! assert!(graph.to_string().contains("%2 = dot %0 %1 : f32[2,1]"));
//! # Ok::<(), bayeslift_ir::Error>(())
//! ```

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
