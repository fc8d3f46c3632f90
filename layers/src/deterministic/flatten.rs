//! All axes but the first as one.

use crate::{Call, Context, Error, Layer, Scope};
use bayeslift_ir::Expr;

/// A layer that makes one axis of all axes of an example: `[examples, ..]` gives `[examples, units]`.
///
/// ```
/// use bayeslift_layers::{Affine, Convolution, Flatten, Layer, Sequential};
/// let convolution = Convolution::new(1, 4, [3, 3]);
/// let network = Sequential::new().layer(convolution).layer(Flatten).layer(Affine::new(4 * 26 * 26, 10));
/// let trace = network.trace([16, 28, 28, 1].into())?;
/// assert_eq!(trace.rows[1].ty.shape[..], [16, 4 * 26 * 26]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// With [samples](crate::Context::samples) the axis of samples stays, too. An input without an axis of examples is
/// refused with [`Error::Shape`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flatten;

impl Layer for Flatten {
    fn name(&self) -> &str {
        "flatten"
    }

    fn has_default_name(&self) -> bool {
        true
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let shape = x.shape();
        let axes = 1 + usize::from(context.sample_count().is_some());
        if shape.len() < axes {
            let expected = if axes == 2 { "[samples,examples,..]" } else { "[examples,..]" };
            return Err(Error::shape("the input", expected, &shape));
        }
        let (leading, rest) = shape.split_at(axes);
        Ok(Call::new(x.reshape([leading, &[rest.iter().product()]].concat().as_slice())))
    }
}
