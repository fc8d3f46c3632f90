//! A function of the user's as a layer.

use crate::{Call, Context, Error, Layer, LayerDescription, Scope};
use bayeslift_ir::{Error as GraphError, Expr};
use std::{fmt, sync::Arc};

/// A function of an expression as a layer.
///
/// With [samples](Context::samples) its argument has the sample axis in front, so it should work on trailing axes.
///
/// ```
/// use bayeslift_layers::{Affine, Lambda, Layer, Sequential};
/// let total = Lambda::new("total", |x| x.sum(x.shape().len() - 1));
/// let network = Sequential::new().layer(Affine::new(4, 2)).layer(total);
/// let trace = network.trace([16, 4].into())?;
/// assert_eq!((&trace.rows[1].path[..], &trace.rows[1].ty.shape[..]), ("total", &[16][..]));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// What is wrong with the operations that the function adds is told where the layer is called, with its path.
#[derive(Clone)]
pub struct Lambda {
    name: String,
    function: Arc<dyn for<'b> Fn(Expr<'b>) -> Expr<'b> + Send + Sync>,
}

impl Lambda {
    /// A layer that applies `function`. Containers number equal names: `double`, `double_1`, .. The name is all that a
    /// model file tells of the function.
    pub fn new(
        name: impl Into<String>,
        function: impl for<'b> Fn(Expr<'b>) -> Expr<'b> + Send + Sync + 'static,
    ) -> Self {
        Lambda { name: name.into(), function: Arc::new(function) }
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lambda({})", self.name)
    }
}

impl Layer for Lambda {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_default_name(&self) -> bool {
        true
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn call<'b>(&self, _: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        Ok(Call::new((self.function)(x)))
    }

    fn describe(&self) -> LayerDescription {
        LayerDescription::new("lambda").option("name", &self.name)
    }
}

/// A layer that makes the last `ndims` axes one, such as the height, width and channels of an image (3 in TFP unless
/// told).
///
/// Its input must have at least `ndims` axes besides the sample axis, if there is one, and `ndims` must be at least 1;
/// else the call is refused with the shape that came.
///
/// ```
/// use bayeslift_layers::{Layer, flatten_rightmost};
/// assert_eq!(flatten_rightmost(3).trace([16, 28, 28, 1].into())?.rows[0].ty.shape[..], [16, 784]);
/// assert!(flatten_rightmost(3).trace([16, 28].into()).is_err());
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub fn flatten_rightmost(ndims: usize) -> Lambda {
    Lambda::new("flatten_rightmost", move |x| {
        let shape = x.shape();
        let Some(kept) = shape.len().checked_sub(ndims).filter(|_| ndims > 0) else {
            x.builder().fail(GraphError::ShapeMismatch {
                op: "flatten_rightmost".into(),
                argument: "the input".into(),
                expected: format!("{ndims} or more axes (and ndims at least 1)"),
                found: shape,
            });
            return x;
        };
        let mut extents = shape[..kept].to_vec();
        extents.push(shape[kept..].iter().product());
        x.reshape(extents.as_slice())
    })
}

/// A layer that inserts axes of extent 1: TFP's `expand_dims`. An axis that is not negative is the place of the new
/// axis, counted from the first one; of negative ones -1 is behind the last axis of the input, -2 before that. Several
/// axes are inserted at once, each of them counted in the input, so `[0, 0]` puts two in front.
///
/// With a sample axis in front of the input, as predictions of several samples have, axes counted from the first one
/// come before it: use negative ones.
///
/// ```
/// use bayeslift_layers::{Layer, Sequential, expand_dims};
/// let shape = |axes: &[isize]| {
///     let trace = Sequential::new().layer(expand_dims(axes)).trace([4, 3].into())?;
///     Ok::<_, bayeslift_layers::Error>(trace.rows[0].ty.shape.to_vec())
/// };
/// assert_eq!(shape(&[0])?, [1, 4, 3]);
/// assert_eq!(shape(&[-1, 1])?, [4, 1, 3, 1]);
/// assert_eq!(shape(&[-2, -1, 0])?, [1, 4, 1, 3, 1]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub fn expand_dims(axes: &[isize]) -> Lambda {
    let axes = axes.to_vec();
    Lambda::new("expand_dims", move |x| {
        let shape = x.shape();
        let rank = shape.len() as isize;
        let place = |&axis: &isize| if axis < 0 { axis + rank + 1 } else { axis };
        let mut places: Vec<isize> = axes.iter().map(place).collect();
        if let Some(bad) = places.iter().position(|place| !(0..=rank).contains(place)) {
            x.builder().fail(GraphError::ShapeMismatch {
                op: "expand_dims".into(),
                argument: "the input".into(),
                expected: format!("enough axes for a new one at {}", axes[bad]),
                found: shape,
            });
            return x;
        }
        places.sort_unstable();
        let mut extents = shape.to_vec();
        places.iter().rev().for_each(|&place| extents.insert(place as usize, 1));
        x.reshape(extents.as_slice())
    })
}
