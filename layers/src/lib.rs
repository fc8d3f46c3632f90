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

mod containers;
mod deterministic;
pub mod distribution;
mod divergence;
mod error;
mod host;
mod layer;
pub mod likelihood;
mod linear;
pub mod metrics;
mod optimizer;
mod parameters;
pub mod special;
mod variational;

pub use containers::{Branches, Residual, Sequential};
pub use deterministic::{
    Activation, BatchNormalization, Dropout, Flatten, GlobalPooling, Lambda, LayerNormalization, Pooling, expand_dims,
    flatten_rightmost, value_where_absent,
};
pub use distribution::{AnyDistribution, Distribution, Draw};
pub use divergence::{CustomDivergence, Divergence, TermDivergence, exact, monte_carlo};
pub use error::Error;
pub use host::{integer_power, inverse_softplus, natural_log};
pub use layer::{
    Call, Context, Declaration, Eager, Layer, LayerDescription, Scope, Site, Term, Trace, TraceRow, noise_inputs,
};
pub use likelihood::Likelihood;
pub use linear::{
    Affine, Convolution, ConvolutionTranspose, Embedding, KernelBiasConfig, KernelBiasLayer, Linear, MatrixProduct,
    Padding, PerAxis, Reads, Unseen, add_bias, affine, on_units, unflatten_kernel,
};
pub use optimizer::{Adam, AdamW, Ivon, Lazy, Optimizer, Partitioned, Rates, RmsProp, Sgd, Sgld, Step, Update};
pub use parameters::{Bijector, CustomInitializer, Group, Initializer, Parameter, Parameters, Variable, fans};
pub use variational::{
    AffineVariational, AffineVariationalFlipout, AffineVariationalReparameterization,
    AffineVariationalReparameterizationLocal, ConvolutionTransposeVariational, ConvolutionTransposeVariationalFlipout,
    ConvolutionTransposeVariationalReparameterization, ConvolutionTransposeVariationalReparameterizationLocal,
    ConvolutionVariational, ConvolutionVariationalFlipout, ConvolutionVariationalReparameterization,
    ConvolutionVariationalReparameterizationLocal, CustomValue, Draws, EmbeddingVariational,
    EmbeddingVariationalFlipout, EmbeddingVariationalReparameterization, EmbeddingVariationalReparameterizationLocal,
    Estimate, Estimator, Flipout, FlipoutBias, Forward, KernelBias, KernelBiasShape, Local, LocalBias, Posterior,
    PosteriorValue, Prior, RandomVariable, Recipe, Reparameterization, Signs, Variational, VariationalLayer,
    flipout_output, local_affine, local_output,
};
