use crate::{
    Distribution, Error, KernelBias,
    estimator::{Forward, Output},
};
use std::sync::Arc;

/// A function from a posterior to the distributions that an output is drawn from; the identity unless told.
#[derive(Clone, Default)]
pub(crate) struct Unpack(Option<Arc<Function>>);

type Function =
    dyn for<'b> Fn(KernelBias<Distribution<'b>>) -> Result<KernelBias<Distribution<'b>>, Error> + Send + Sync;

impl Unpack {
    pub fn new(
        function: impl for<'b> Fn(KernelBias<Distribution<'b>>) -> Result<KernelBias<Distribution<'b>>, Error>
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
        draw: impl FnOnce(&Forward<'_, 'b>) -> Result<Output<'b>, Error>,
    ) -> Result<Output<'b>, Error> {
        let Some(unpack) = &self.0 else { return draw(call) };
        let posterior = unpack(call.posterior.clone())?;
        let Output { output, .. } = draw(&Forward { posterior: &posterior, ..*call })?;
        Ok(Output { output, kernel: None, bias: None })
    }
}
