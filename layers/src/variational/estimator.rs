//! How the output of a layer with random weights is drawn.

use crate::{
    AnyDistribution, Context, Draw, Error, KernelBias, KernelBiasShape, Linear, PosteriorValue, distribution::Normal,
    linear::add_bias,
};
use bayeslift_ir::Expr;
use std::fmt::Debug;

/// How the output of a layer with random weights is drawn: an affine layer, or any other whose kernel acts linearly.
///
/// Its `Debug` text is what a model file says of it: it should tell what changes outputs, and be the same in every run.
///
/// ```
/// use bayeslift_ir::Expr;
/// use bayeslift_layers::{Affine, Error, Estimate, Estimator, Forward, Layer, Variational};
///
/// /// Draws kernel and bias once for all examples.
/// #[derive(Clone, Debug, Default)]
/// struct Drawn;
///
/// impl Estimator for Drawn {
///     fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error> {
///         call.normal_kernel("drawn")?; // an error that names the family, if it is another
///         let (kernel, bias) = (call.kernel()?, call.bias()?);
///         Ok(call.of_values(x, kernel, bias)) // and the divergence gets these draws
///     }
/// }
///
/// let layer: Variational<Affine, Drawn> = Variational::of(Affine::new(3, 2));
/// assert_eq!(layer.trace([8, 3].into())?.rows[0].ty.to_string(), "f32[8,2]");
/// # Ok::<(), Error>(())
/// ```
pub trait Estimator: Clone + Debug + Default + Send + Sync + 'static {
    /// The output before the activation, and the weights that it used, if it used a value of them.
    ///
    /// # Errors
    /// A posterior of a family that the estimator cannot use, noise where there is no address.
    fn forward<'b>(&self, call: &Forward<'_, 'b>, x: Expr<'b>) -> Result<Estimate<'b>, Error>;
}

/// What an [`Estimator`] works on, which has an example.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a, 'b> {
    /// The context of the call.
    pub context: &'a Context<'b>,
    /// The posterior.
    pub posterior: &'a KernelBias<AnyDistribution<'b>>,
    /// The shapes of kernel and bias.
    pub shape: &'a KernelBiasShape,
    /// The value of the posterior that was asked for.
    pub value: &'a PosteriorValue,
    /// How the kernel acts on the input.
    pub linear: &'a dyn Linear,
}

/// An [`Estimator`]'s output of a layer, and what it drew for it.
#[derive(Clone, Debug)]
pub struct Estimate<'b> {
    /// The output before the activation.
    pub output: Expr<'b>,
    /// The kernel's value, if the output used one.
    pub kernel: Option<Draw<'b>>,
    /// The bias's value, if the output used one.
    pub bias: Option<Draw<'b>>,
}

impl<'b> Forward<'_, 'b> {
    /// The value of the kernel, at the site `kernel`.
    ///
    /// # Errors
    /// As for [`PosteriorValue::of`].
    pub fn kernel(&self) -> Result<Draw<'b>, Error> {
        self.value.of(&self.posterior.kernel, &self.context.site("kernel"), &self.shape.kernel)
    }

    /// The value of the bias, if there is one, at the site `bias`.
    ///
    /// # Errors
    /// As for [`PosteriorValue::of`].
    pub fn bias(&self) -> Result<Option<Draw<'b>>, Error> {
        let (Some(posterior), Some(shape)) = (&self.posterior.bias, &self.shape.bias) else {
            return Ok(None);
        };
        self.value.of(posterior, &self.context.site("bias"), shape).map(Some)
    }

    /// The output of these weights, which it uses.
    pub fn of_values(&self, x: Expr<'b>, kernel: Draw<'b>, bias: Option<Draw<'b>>) -> Estimate<'b> {
        let product = self.linear.apply(x, kernel.value);
        let output = bias.map_or(product, |bias| add_bias(product, bias.value));
        Estimate { output, kernel: Some(kernel), bias }
    }

    /// The kernel's posterior, which must be normal in a layer of this kind, with parameters of the kernel's shape.
    ///
    /// # Errors
    /// A posterior of another family.
    pub fn normal_kernel(&self, kind: &str) -> Result<Normal<'b>, Error> {
        let posterior = &self.posterior.kernel;
        let Some(kernel) = posterior.as_normal() else {
            let expected = "Normal; layers with plain reparameterization take any";
            return Err(Error::argument(
                &format!("the posterior of a {kind} layer's kernel"),
                expected,
                posterior.family(),
            ));
        };
        // A location or scale may be one number for all.
        let whole = |x: Expr<'b>| x.broadcast(&self.shape.kernel);
        Ok(Normal::new(whole(kernel.loc), whole(kernel.scale)))
    }
}
