//! Convolution as a product of matrices: windows on an image are the rows of the left one, a kernel is the right one.
//!
//! Windows are a way to read the image: nothing here is stored, and what reads a product can be done on its tiles.

mod spread;

pub use spread::spread;

use crate::{Error, Expr, Shape, Window};
use smallvec::SmallVec;

/// How a convolution moves over an image `[leading.., examples, positions.., channels]`. Cross-correlation, as is
/// usual.
///
/// ```
/// use bayeslift_ir::{Builder, Convolution, Sliding, Type};
/// let b = Builder::new();
/// let image = b.input("image", Type::f32([32, 28, 28, 1]));
/// let kernel = b.input("kernel", Type::f32([7, 7, 1, 8]));
/// let axis = Sliding { size: 7, step: 2, dilation: 1, before: 2, after: 3 };
/// let convolution = Convolution { axes: [axis, axis].into_iter().collect(), groups: 1 };
/// assert_eq!(convolution.apply(image, kernel).shape()[..], [32, 14, 14, 8]);
/// // the other way, from 14 positions an axis to 28
/// let (features, kernel) = (b.input("features", Type::f32([32, 14, 14, 8])), b.input("up", Type::f32([7, 7, 8, 1])));
/// assert_eq!(convolution.apply_transpose(features, kernel, &[28, 28]).shape()[..], [32, 28, 28, 1]);
/// // what the first one multiplies: 14 * 14 windows of 32 images, each of 7 * 7 elements
/// assert_eq!(convolution.patches(image, &[].into()).rows.shape()[..], [32 * 14 * 14, 7 * 7]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
///
/// On one axis of positions, with two examples of one channel:
///
/// ```
/// use bayeslift_ir::{Builder, Convolution, Sliding, Tensor, Type, evaluate};
/// let b = Builder::new();
/// let (image, kernel) = (b.input("image", Type::f32([2, 3, 1])), b.input("kernel", Type::f32([2, 1, 1])));
/// let axis = Sliding { size: 2, step: 1, dilation: 1, before: 0, after: 0 };
/// b.output("y", Convolution { axes: [axis].into_iter().collect(), groups: 1 }.apply(image, kernel));
/// let inputs = [Tensor::f32([2, 3, 1], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?, Tensor::f32([2, 1, 1], [1.0, 10.0])?];
/// assert_eq!(evaluate(&b.finish()?, &inputs)?, [Tensor::f32([2, 2, 1], [21.0, 32.0, 54.0, 65.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// The axes of positions.
    pub axes: SmallVec<[Sliding; 3]>,
    /// How many runs of neighbours channels are cut into, which do not mix.
    pub groups: usize,
}

/// How windows move over one axis of an image: element `j` of window `p` is element `p * step + j * dilation - before`
/// of the axis, or 0 where that is outside of it.
///
/// ```
/// use bayeslift_ir::Sliding;
/// let axis = Sliding { size: 3, step: 2, dilation: 1, before: 1, after: 1 };
/// assert_eq!(axis.windows(28), Some(14));
/// assert_eq!(Sliding { dilation: 4, ..axis }.windows(28), Some(11));
/// assert_eq!(Sliding { size: 31, ..axis }.windows(28), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    /// The number of elements of a window.
    pub size: usize,
    /// How far apart windows are.
    pub step: usize,
    /// How far apart neighbours in a window are.
    pub dilation: usize,
    /// Zeros before the first element.
    pub before: usize,
    /// Zeros after the last element.
    pub after: usize,
}

impl Sliding {
    /// How many windows there are on an axis of this extent, `(before + extent + after - reach) / step + 1` with `reach
    /// = (size - 1) * dilation + 1` and the division rounded down; `None` if not one, and for a size or step of 0.
    pub fn windows(&self, extent: usize) -> Option<usize> {
        let reach = self.size.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)?;
        let padded = extent.checked_add(self.before)?.checked_add(self.after)?;
        Some(padded.checked_sub(reach)?.checked_div(self.step)? + 1)
    }

    fn window(&self, axis: usize, count: usize) -> Window {
        // so far apart is nothing on an axis that there can be
        let [step, dilation] = [self.step, self.dilation].map(|by| by.min(i32::MAX as usize) as i64);
        Window { axis, start: 0, size: self.size, dilation, count, step }
    }
}

/// The windows of an image as rows of a matrix, from [`Convolution::patches`].
///
/// ```
/// use bayeslift_ir::{Builder, Convolution, Sliding, Tensor, Type, evaluate};
/// let b = Builder::new();
/// let axis = Sliding { size: 2, step: 1, dilation: 1, before: 0, after: 0 };
/// let convolution = Convolution { axes: [axis].into_iter().collect(), groups: 1 };
/// b.output("rows", convolution.patches(b.input("image", Type::f32([1, 3, 1])), &[].into()).rows);
/// let rows = evaluate(&b.finish()?, &[Tensor::f32([1, 3, 1], [1.0, 2.0, 3.0])?])?;
/// assert_eq!(rows, [Tensor::f32([2, 2], [1.0, 2.0, 2.0, 3.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Patches<'b> {
    /// Windows as rows, `[examples * positions, window * channels]`, behind axes for batches of kernels and for groups
    /// unless both are 1.
    pub rows: Expr<'b>,
    batches: usize,
    groups: usize,
    /// All axes before positions, and then positions.
    leading: SmallVec<[usize; 4]>,
    positions: SmallVec<[usize; 4]>,
}

impl Convolution {
    /// `[leading.., examples, positions.., channels]` and a kernel `[batch.., window.., channels / groups, outputs]`
    /// give `[leading.., examples, positions.., outputs]`. Axes of batches of kernels are as many leading axes of the
    /// image, which is broadcast to them, or all 1.
    ///
    /// The result at position `p` is the sum over `j` and channels of `image[p * step + j * dilation - before]` times
    /// `kernel[j]`, with zeros outside of the image. What does not fit is an error that the builder keeps.
    pub fn apply<'b>(&self, image: Expr<'b>, kernel: Expr<'b>) -> Expr<'b> {
        let (rank, shape) = (self.axes.len(), kernel.shape());
        let Some(batch) = shape.len().checked_sub(rank + 2) else {
            return fail(image, "the kernel", format!("{} axes or more", rank + 2), &shape);
        };
        let batch = Shape::new(&shape[..batch]);
        let patches = self.patches(image, &batch);
        let Some(kernel) = self.matrix(kernel, &patches) else { return image };
        patches.unpack(patches.rows.dot(kernel))
    }

    /// The windows of an image for kernels of this batch, `[]` for one kernel: what [`Convolution::apply`] multiplies
    /// with the kernel. An image that does not fit is an error that the builder keeps.
    pub fn patches<'b>(&self, image: Expr<'b>, batch: &Shape) -> Patches<'b> {
        let nothing =
            |rows| Patches { rows, batches: 1, groups: 1, leading: SmallVec::new(), positions: SmallVec::new() };
        let Some((grouped, leading)) = self.arrange(image, batch) else { return nothing(image) };
        let shape = grouped.shape();
        let windows = self.axes.iter().zip(&shape[2..]).map(|(axis, &extent)| axis.windows(extent));
        let Some(positions) = windows.collect::<Option<SmallVec<_>>>() else {
            return nothing(self.fail_image(image));
        };
        let rows = windows_as_rows(grouped, &self.axes);
        Patches { rows, batches: shape[0], groups: self.groups, leading, positions }
    }

    /// An image as `[batches, examples, positions.., groups, channels]`, side by side with kernels of this batch, and
    /// the extents of all axes before positions.
    fn arrange<'b>(&self, image: Expr<'b>, batch: &Shape) -> Option<(Expr<'b>, SmallVec<[usize; 4]>)> {
        let (rank, shape) = (self.axes.len(), image.shape());
        let Some(before) = shape.len().checked_sub(rank + 1).filter(|&before| before > 0) else {
            fail(image, "the image", format!("{} axes or more", rank + 2), &shape);
            return None;
        };
        if self.groups == 0 || !shape.last_extent().is_multiple_of(self.groups) {
            self.fail_image(image);
            return None;
        }
        let own = (before - 1).min(batch.len());
        let common = Shape::new(&shape[..own]).broadcast_with(batch);
        let Some(common) = common.filter(|common| common.check().is_ok()) else {
            fail(image, "the image", format!("leading axes that fit {batch}"), &shape);
            return None;
        };
        let leading: SmallVec<[usize; 4]> = common.iter().chain(&shape[own..before]).copied().collect();
        let full: Shape = leading.iter().chain(&shape[before..]).copied().collect();
        let batches = common.elements();
        let examples = leading.iter().product::<usize>() / batches;
        let extents = shape[before..shape.len() - 1].iter().copied();
        let channels = [self.groups, shape.last_extent() / self.groups];
        let grouped = [batches, examples].into_iter().chain(extents).chain(channels);
        let grouped = image.broadcast(&full).reshape(grouped.collect::<Shape>());
        // after an error operations do nothing
        (grouped.shape().len() == rank + 4).then_some((grouped, leading))
    }

    fn fail_image<'b>(&self, image: Expr<'b>) -> Expr<'b> {
        fail(image, "the image", format!("positions and channels that fit {self:?}"), &image.shape())
    }

    /// A kernel as the right operand of a product with these windows.
    fn matrix<'b>(&self, kernel: Expr<'b>, patches: &Patches<'b>) -> Option<Expr<'b>> {
        let (rank, shape, groups) = (self.axes.len(), kernel.shape(), self.groups);
        let batch = shape.len().checked_sub(rank + 2);
        let sizes = || self.axes.iter().map(|axis| axis.size);
        let depth = patches.rows.shape().last_extent();
        let fits = |&batch: &usize| {
            let window: &[usize] = &shape[batch..batch + rank];
            let inputs: usize = shape[batch..shape.len() - 1].iter().product();
            window.iter().copied().eq(sizes()) && inputs == depth && shape.last_extent().is_multiple_of(groups)
        };
        let Some(batch) = batch.filter(fits) else {
            let window: Vec<String> = sizes().map(|size| size.to_string()).collect();
            let expected =
                format!("[batch.., {}, channels, outputs], {depth} by a multiple of {groups}", window.join(", "));
            fail(kernel, "the kernel", expected, &shape);
            return None;
        };
        let (batches, outputs) = (shape[..batch].iter().product::<usize>(), shape.last_extent() / groups);
        if patches.batches == 1 && groups == 1 {
            return Some(kernel.reshape([depth, outputs]));
        }
        let kernel = kernel.reshape([batches, depth, groups, outputs]).transpose(&[0, 2, 1, 3]);
        Some(kernel.broadcast(&[patches.batches, groups, depth, outputs].into()))
    }

    /// The adjoint of [`Convolution::apply`] with respect to the image: each element of `[leading.., examples,
    /// positions.., channels]` is spread over a window of the result, `[leading.., examples, extents.., outputs]`;
    /// padding is cut off. The kernel is `[batch.., window.., channels / groups, outputs]`. Also known as a transposed
    /// convolution, or deconvolution. Extents with fewer windows than the image has positions are refused.
    pub fn apply_transpose<'b>(&self, image: Expr<'b>, kernel: Expr<'b>, extents: &[usize]) -> Expr<'b> {
        let (rank, shape) = (self.axes.len(), kernel.shape());
        let Some(batch) = shape.len().checked_sub(rank + 2) else {
            return fail(image, "the kernel", format!("{} axes or more", rank + 2), &shape);
        };
        let Some((grouped, leading)) = self.arrange(image, &Shape::new(&shape[..batch])) else { return image };
        let (grouped_shape, groups) = (grouped.shape(), self.groups);
        let (positions, channels) = (&grouped_shape[2..2 + rank], grouped_shape.last_extent());
        let fits = self.axes.iter().map(|axis| &axis.size).eq(&shape[batch..batch + rank])
            && channels == shape[shape.len() - 2]
            && shape.last_extent().is_multiple_of(groups)
            && extents.len() == rank;
        let is_reached = |((axis, &extent), &positions): ((&Sliding, &usize), &usize)| {
            axis.windows(extent).is_some_and(|windows| axis.size > 0 && windows >= positions)
        };
        if !fits || !self.axes.iter().zip(extents).zip(positions).all(is_reached) {
            let expected = format!("a kernel and extents that fit {self:?} of {}", image.shape());
            return fail(image, "the kernel", expected, &shape);
        }
        let (batches, outputs) = (shape[..batch].iter().product::<usize>(), shape.last_extent() / groups);
        // kernels with their groups before their windows
        let window = &shape[batch..batch + rank];
        let split = [batches].into_iter().chain(window.iter().copied()).chain([channels, groups, outputs]);
        let order = [0, rank + 2].into_iter().chain(1..=rank + 1).chain([rank + 3]);
        let kernel = kernel.reshape(split.collect::<Shape>()).transpose(&order.collect::<Vec<_>>());
        let kernel_shape =
            [grouped_shape[0], groups].into_iter().chain(window.iter().copied()).chain([channels, outputs]);
        let kernel = kernel.broadcast(&kernel_shape.collect());
        let joined: Shape = leading.iter().chain(extents).chain([&shape.last_extent()]).copied().collect();
        spread(grouped, kernel, &self.axes, extents).reshape(joined)
    }
}

impl<'b> Patches<'b> {
    /// A product's result `[.., examples * positions, outputs]` as an image.
    fn unpack(&self, product: Expr<'b>) -> Expr<'b> {
        let outputs = product.shape().last_extent() * self.groups;
        let shape: Shape = self.leading.iter().chain(&self.positions).chain([&outputs]).copied().collect();
        match self.groups {
            1 => product.reshape(shape),
            _ => product.transpose(&[0, 2, 1, 3]).reshape(shape),
        }
    }
}

/// The windows of `[batches, examples, positions.., groups, channels]` as rows of a matrix, `[batches, groups, examples
/// * windows, sizes * channels]`; without the first two axes if both are 1.
///
/// An image with another number of axes, and windows that do not lie on the padded image, are errors that the builder
/// keeps.
///
/// ```
/// use bayeslift_ir::{Builder, Sliding, Tensor, Type, evaluate, windows_as_rows};
/// let b = Builder::new();
/// let axis = Sliding { size: 2, step: 2, dilation: 1, before: 1, after: 0 };
/// b.output("rows", windows_as_rows(b.input("image", Type::f32([1, 1, 3, 1, 1])), &[axis]));
/// let rows = evaluate(&b.finish()?, &[Tensor::f32([1, 1, 3, 1, 1], [1.0, 2.0, 3.0])?])?;
/// assert_eq!(rows, [Tensor::f32([2, 2], [0.0, 1.0, 2.0, 3.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn windows_as_rows<'b>(image: Expr<'b>, axes: &[Sliding]) -> Expr<'b> {
    let (rank, shape) = (axes.len(), image.shape());
    if shape.len() != rank + 4 {
        return fail(image, "the image", format!("{} axes", rank + 4), &shape);
    }
    let counts = axes.iter().zip(&shape[2..]).map(|(axis, &extent)| axis.windows(extent).unwrap_or(0));
    let counts: SmallVec<[usize; 3]> = counts.collect();
    let mut x = image;
    for (i, axis) in axes.iter().enumerate() {
        x = x.pad(2 + i, axis.before, axis.after, 0);
    }
    for (i, (axis, &count)) in axes.iter().zip(&counts).enumerate() {
        x = x.window(axis.window(2 + 2 * i, count));
    }
    let (size_axes, count_axes) = ((0..rank).map(|i| 2 + 2 * i), (0..rank).map(|i| 3 + 2 * i));
    let groups_axis = 2 + 2 * rank;
    let order = [0, groups_axis, 1].into_iter().chain(count_axes).chain(size_axes).chain([groups_axis + 1]);
    let rows = counts.iter().fold(shape[1], |rows, &count| rows.saturating_mul(count));
    let depth = axes.iter().fold(shape.last_extent(), |depth, axis| depth.saturating_mul(axis.size));
    let x = x.transpose(&order.collect::<Vec<_>>());
    match (shape[0], shape[rank + 2]) {
        (1, 1) => x.reshape([rows, depth]),
        (batches, groups) => x.reshape([batches, groups, rows, depth]),
    }
}

/// Keeps the error that an argument does not fit, unless it is one that follows from another.
fn fail<'b>(x: Expr<'b>, argument: &str, expected: String, found: &Shape) -> Expr<'b> {
    if x.builder().check().is_ok() {
        let (op, argument) = ("convolution".into(), argument.into());
        x.builder().fail(Error::ShapeMismatch { op, argument, expected, found: found.clone() });
    }
    x
}
