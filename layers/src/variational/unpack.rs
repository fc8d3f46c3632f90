//! What the user makes of a posterior before an estimator draws from it.

use crate::{AnyDistribution, Error, Estimate, Forward, KernelBias};
use std::{fmt, sync::Arc};

/// A function from a posterior to the distributions that an output is drawn from; default: the identity.
#[derive(Clone, Default)]
pub(crate) struct Unpack(Option<Arc<Function>>);

type Function =
    dyn for<'b> Fn(KernelBias<AnyDistribution<'b>>) -> Result<KernelBias<AnyDistribution<'b>>, Error> + Send + Sync;

impl Unpack {
    pub fn new(
        function: impl for<'b> Fn(KernelBias<AnyDistribution<'b>>) -> Result<KernelBias<AnyDistribution<'b>>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Unpack(Some(Arc::new(function)))
    }

    /// What `draw` makes of the distributions. Values of others than the posterior's are none of the divergence's.
    pub fn forward<'b>(
        &self,
        call: &Forward<'_, 'b>,
        draw: impl FnOnce(&Forward<'_, 'b>) -> Result<Estimate<'b>, Error>,
    ) -> Result<Estimate<'b>, Error> {
        let Some(unpack) = &self.0 else { return draw(call) };
        let posterior = unpack(call.posterior.clone())?;
        // The divergence draws at the random variables' own sites, where another family would draw other noise.
        let differ = |a: &AnyDistribution<'b>, b: &AnyDistribution<'b>| a.family() != b.family();
        let biases = posterior.bias.as_ref().zip(call.posterior.bias.as_ref());
        let is_other = differ(&posterior.kernel, &call.posterior.kernel) || biases.is_some_and(|(a, b)| differ(a, b));
        let context = if is_other { call.context.child("unpacked") } else { call.context.clone() };
        let Estimate { output, .. } = draw(&Forward { posterior: &posterior, context: &context, ..*call })?;
        Ok(Estimate { output, kernel: None, bias: None })
    }
}

/// What follows an estimator's name: it is a closure, so there is only that it was told.
impl fmt::Debug for Unpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { " of unpacked weights" } else { "" })
    }
}

/// What estimators have that draw from distributions made of the posterior: the option that says how, and a name to
/// print.
macro_rules! unpacking_estimator {
    ($estimator:ident) => {
        impl<L: crate::KernelBiasLayer> crate::Variational<L, $estimator> {
            /// A function from the posterior to the distributions that the output is drawn from, such as a tempered
            /// one. Default: the identity. The divergence is that of the posterior itself.
            ///
            /// ```
            /// use bayeslift_layers::{Affine, KernelBias, Variational};
            #[doc = concat!("use bayeslift_layers::", stringify!($estimator), ";")]
            /// // The bias moves the divergence, but not the output.
            #[doc = concat!("let layer = Variational::<Affine, ", stringify!($estimator), ">::new(8, 8)")]
            ///     .unpack_weights(|weights| Ok(KernelBias { bias: None, ..weights }));
            /// ```
            pub fn unpack_weights(
                mut self,
                unpack: impl for<'b> Fn(
                    crate::KernelBias<crate::AnyDistribution<'b>>,
                ) -> Result<crate::KernelBias<crate::AnyDistribution<'b>>, crate::Error>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.estimator.unpack = crate::variational::unpack::Unpack::new(unpack);
                self
            }
        }

        impl std::fmt::Debug for $estimator {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($estimator))?;
                self.unpack.fmt(f)
            }
        }
    };
}
pub(crate) use unpacking_estimator;
