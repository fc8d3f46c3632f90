//! Layers without random weights: those that give the same for the same input, and dropout, which has no weights at
//! all.

mod activation;
mod dropout;
mod flatten;
mod lambda;
mod normalization;
mod pooling;

pub use activation::Activation;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use lambda::{Lambda, expand_dims, flatten_rightmost};
pub use normalization::{BatchNormalization, LayerNormalization, value_where_absent};
pub use pooling::{GlobalPooling, Pooling};
