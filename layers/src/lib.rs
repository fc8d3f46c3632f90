//! What a user builds Bayesian neural networks with.
//!
//! Layers are descriptions: immutable, `Send + Sync`, without parameters of their own. A layer *declares* its
//! parameters in a [`Scope`], and is *called* with a [`Context`], which turns it into operations of an
//! [`ir`](bayeslift_ir) graph. A call is a function: it returns its output together with the terms of its divergence,
//! so that nothing is left behind in the layer and a layer used twice is right.
//!
//! Names are those of `tfp.experimental.nn` and of the field.
//!
//! ```
//! use bayeslift_ir::{Builder, Type};
//! use bayeslift_layers::{
//!     Activation, AffineVariationalReparameterizationLocal, Context, Divergence, Layer, Scope, Sequential,
//!     noise_inputs,
//! };
//!
//! let network = Sequential::new()
//!     .layer(AffineVariationalReparameterizationLocal::new(64, 32).activation(Activation::Relu))
//!     .layer(AffineVariationalReparameterizationLocal::new(32, 10));
//! let parameters = network.initialize(42)?;
//! assert_eq!(parameters.paths().next(), Some("affine/kernel/loc"));
//!
//! let builder = Builder::new();
//! let context = Context::new(Scope::bind(&builder, &parameters)?).noise(noise_inputs(&builder));
//! let images = builder.input("images", Type::f32([16, 64]));
//! let call = network.call(&context, images)?;
//! builder.output("logits", call.output);
//! builder.output("divergence", call.divergence(&Divergence::default())?);
//! let graph = builder.finish()?;
//! # Ok::<(), bayeslift_layers::Error>(())
//! ```

mod activation;
mod affine;
mod bijector;
mod composition;
mod context;
mod convolution;
mod description;
pub mod distribution;
mod divergence;
mod dropout;
mod eager;
mod embedding;
mod error;
mod estimator;
mod flatten;
mod flipout;
mod host;
mod initializer;
mod kernel_bias;
mod lambda;
mod layer;
pub mod likelihood;
mod linear;
mod local;
mod lookup;
pub mod metrics;
mod normalization;
mod optimizer;
mod parameters;
mod pooling;
mod posterior;
mod random_variable;
mod recipe;
mod reparameterization;
mod scope;
mod sequential;
pub mod special;
mod trace;
mod unpack;
mod variational;
mod variational_layer;

pub use activation::Activation;
pub use affine::{Affine, affine};
pub use bijector::Bijector;
pub use composition::{Branches, Residual};
pub use context::{Context, Site, noise_inputs};
pub use convolution::{
    Convolution, ConvolutionTranspose, ConvolutionTransposeVariational, ConvolutionTransposeVariationalFlipout,
    ConvolutionTransposeVariationalReparameterization, ConvolutionTransposeVariationalReparameterizationLocal,
    ConvolutionVariational, ConvolutionVariationalFlipout, ConvolutionVariationalReparameterization,
    ConvolutionVariationalReparameterizationLocal, Padding, PerAxis, unflatten_kernel,
};
pub use description::LayerDescription;
pub use distribution::{AnyDistribution, Distribution, Draw};
pub use divergence::{CustomDivergence, Divergence, TermDivergence, exact, monte_carlo};
pub use dropout::Dropout;
pub use eager::Eager;
pub use embedding::{
    Embedding, EmbeddingVariational, EmbeddingVariationalFlipout, EmbeddingVariationalReparameterization,
    EmbeddingVariationalReparameterizationLocal,
};
pub use error::Error;
pub use estimator::{Estimator, Forward, Output};
pub use flatten::Flatten;
pub use flipout::{AffineVariationalFlipout, Flipout, FlipoutBias, Signs, flipout_output};
pub use host::{integer_power, inverse_softplus, natural_log};
pub use initializer::{CustomInitializer, Initializer, fans};
pub use kernel_bias::{KernelBiasConfig, KernelBiasLayer};
pub use lambda::{Lambda, expand_dims, flatten_rightmost};
pub use layer::{Call, Layer, Term};
pub use likelihood::Likelihood;
pub use linear::{Linear, MatrixProduct, add_bias, on_units};
pub use local::{AffineVariationalReparameterizationLocal, Local, LocalBias, local_affine, local_output};
pub use lookup::{Reads, Unseen};
pub use normalization::{BatchNormalization, LayerNormalization, value_where_absent};
pub use optimizer::{Adam, AdamW, Ivon, Lazy, Optimizer, Partitioned, Rates, RmsProp, Sgd, Sgld, Step, Update};
pub use parameters::{Group, Parameter, Parameters, Variable};
pub use pooling::{GlobalPooling, Pooling};
pub use posterior::{CustomValue, KernelBias, KernelBiasShape, Posterior, PosteriorValue, Prior};
pub use random_variable::RandomVariable;
pub use recipe::Recipe;
pub use reparameterization::{AffineVariationalReparameterization, Reparameterization};
pub use scope::{Declaration, Scope};
pub use sequential::Sequential;
pub use trace::{Trace, TraceRow};
pub use variational::{AffineVariational, Variational};
pub use variational_layer::{Draws, VariationalLayer};
