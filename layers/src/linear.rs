//! Maps that are linear in their input and in their kernel, and the layers that are one.

mod affine;
mod convolution;
mod embedding;
mod kernel_bias;
mod lookup;

pub use affine::{Affine, affine};
pub use convolution::{Convolution, ConvolutionTranspose, Padding, PerAxis, unflatten_kernel};
pub(crate) use convolution::{Geometry, convolution_options};
pub use embedding::Embedding;
pub use kernel_bias::{KernelBiasConfig, KernelBiasLayer};
pub(crate) use kernel_bias::{Sealed, kernel_bias_options};
pub use lookup::{Reads, Unseen};

use bayeslift_ir::{Expr, Shape};
use std::fmt::Debug;

/// How a layer applies its kernel: a map that is linear in its input and in its kernel, such as a matrix product or a
/// convolution.
///
/// An [`Estimator`](crate::Estimator) needs no more than that: it draws the output of any layer whose weights act
/// linearly. It finds the map of its layer in [`Forward::linear`](crate::Forward::linear).
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Linear, MatrixProduct};
/// let map: &dyn Linear = &MatrixProduct;
/// let b = Builder::new();
/// let (x, loc, scale) =
///     (b.input("x", Type::f32([1, 2])), b.input("loc", Type::f32([2, 1])), b.input("scale", Type::f32([2, 1])));
/// let signs = b.input("signs", Type::f32(map.input_shape(x)));
/// // of a kernel of independent normal elements the output is normal, with this mean and this variance
/// b.output("mean", map.apply(x, loc));
/// b.output("variance", map.apply(map.square(x), scale.square()));
/// // the input of flipout: signs of its own for each example
/// b.output("flipped", map.apply(map.multiply(x, signs), loc));
/// let [x, loc] = [Tensor::f32([1, 2], [3.0, 4.0])?, Tensor::f32([2, 1], [1.0, 1.0])?];
/// let [scale, signs] = [Tensor::f32([2, 1], [1.0, 2.0])?, Tensor::f32([1, 2], [1.0, -1.0])?];
/// let results = evaluate(&b.finish()?, &[x, loc, scale, signs])?;
/// let numbers: Vec<f32> = results.iter().filter_map(|result| Some(result.as_f32()?[0])).collect();
/// assert_eq!(numbers, [3.0 + 4.0, 9.0 * 1.0 + 16.0 * 4.0, 3.0 - 4.0]);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
pub trait Linear: Debug + Send + Sync {
    /// The map of `x: [.., input]` by a kernel, `[.., output]`. With samples, the first axis of `x` counts them and is
    /// 1 or as many; the kernel has a sample axis in front if it depends on the sample.
    fn apply<'b>(&self, x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b>;

    /// The squares of an input, as the map takes them. Default: `x * x`. An input that names what it selects is its
    /// own.
    fn square<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        x.square()
    }

    /// An input times `factor`, which broadcasts to [`Linear::input_shape`], as the map takes it. Default: `x *
    /// factor`.
    fn multiply<'b>(&self, x: Expr<'b>, factor: Expr<'b>) -> Expr<'b> {
        x * factor
    }

    /// The shape that the kernel contracts, `[.., input]`. Default: that of x.
    fn input_shape(&self, x: Expr<'_>) -> Shape {
        x.shape()
    }
}

/// The matrix product of affine layers: y[.., o] = sum over i of x[.., i] kernel[i, o], for `x: [.., input]` and
/// `kernel: [input, output]`, or `[samples, input, output]` for `x: [1 or samples, .., input]`.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{Linear, MatrixProduct};
/// let b = Builder::new();
/// // one input for five drawn kernels
/// let (x, kernel) = (b.input("x", Type::f32([1, 32, 3])), b.input("kernel", Type::f32([5, 3, 2])));
/// assert_eq!(MatrixProduct.apply(x, kernel).shape()[..], [5, 32, 2]);
/// ```
///
/// Extents that do not fit are an error of the graph, which [`Builder::finish`](bayeslift_ir::Builder::finish) tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatrixProduct;

impl Linear for MatrixProduct {
    fn apply<'b>(&self, x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
        product(x, kernel)
    }
}

/// y + bias for `y: [.., units]` and a bias `[units]`, or `[samples, units]`, which is put on the first and the last
/// axis of y.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::add_bias;
/// let b = Builder::new();
/// let y = b.input("y", Type::f32([5, 32, 8]));
/// let (bias, drawn) = (b.input("bias", Type::f32([8])), b.input("drawn", Type::f32([5, 8])));
/// assert_eq!(add_bias(y, bias).shape()[..], [5, 32, 8]);
/// // a bias of its own for each of 5 samples
/// assert_eq!(add_bias(y, drawn).shape()[..], [5, 32, 8]);
/// ```
pub fn add_bias<'b>(y: Expr<'b>, bias: Expr<'b>) -> Expr<'b> {
    y + on_units(bias, y)
}

/// A vector with a number for each unit, `[units]` or `[samples, units]`, with axes that broadcast against `x: [..,
/// units]` or `[samples, .., units]`.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::on_units;
/// let b = Builder::new();
/// let (x, vector) = (b.input("x", Type::f32([5, 32, 8])), b.input("vector", Type::f32([5, 8])));
/// assert_eq!((x * on_units(vector, x)).shape()[..], [5, 32, 8]);
/// ```
pub fn on_units<'b>(vector: Expr<'b>, x: Expr<'b>) -> Expr<'b> {
    let (shape, rank) = (vector.shape(), x.shape().len());
    if shape.len() < 2 || rank <= 2 {
        return vector;
    }
    let mut extents = vec![1; rank];
    (extents[0], extents[rank - 1]) = (shape[0], shape[1]);
    vector.reshape(extents.as_slice())
}

/// x kernel; see [`affine`](crate::affine).
pub(crate) fn product<'b>(x: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
    let (shape, kernel_shape) = (x.shape(), kernel.shape());
    let units = kernel_shape.last_extent();
    if kernel_shape.len() <= 2 || shape.len() < 2 {
        // A single example is a matrix of one row.
        return if shape.len() == 1 { x.expand(0).dot(kernel).reshape([units]) } else { x.dot(kernel) };
    }
    // One matrix product a sample: all axes between the sample axis and the units count rows.
    let rows = shape[1..shape.len() - 1].iter().product();
    let output = x.reshape([shape[0], rows, shape.last_extent()]).dot(kernel);
    let mut extents = shape.to_vec();
    extents[0] = kernel_shape[0];
    *extents.last_mut().expect("an input has units") = units;
    output.reshape(extents.as_slice())
}
