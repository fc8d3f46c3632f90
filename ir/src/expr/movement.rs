//! Slices, padding and windows, of the two primitives that all of them are.

use crate::{Expr, Op, Shape, Window};
use std::ops::Range;

/// Slices, padding and windows of one axis. Ranges and axes that do not fit are refused.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, Window, evaluate};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([5]));
/// b.output("slice", x.slice(0, 1..3));
/// b.output("reverse", x.reverse(0));
/// b.output("pad", x.slice(0, 0..3).pad(0, 1, 0, 1));
/// // pairs of neighbours, which begin at elements 0, 1, 2 and 3
/// let windows = Window { axis: 0, start: 0, size: 2, dilation: 1, count: 4, step: 1 };
/// assert_eq!(x.window(windows).ty(), Type::f32([2, 4]));
/// b.output("moving sums", x.window(windows).sum(0));
/// b.output("times each is in a window", (x.window(windows) * 0.0 + 1.0).fold(windows, 5));
/// let y = evaluate(&b.finish()?, &[Tensor::f32([5], [1.0, 2.0, 3.0, 4.0, 5.0])?])?;
/// assert_eq!(y[0], Tensor::f32([2], [2.0, 3.0])?);
/// assert_eq!(y[1], Tensor::f32([5], [5.0, 4.0, 3.0, 2.0, 1.0])?);
/// assert_eq!(y[2], Tensor::f32([6], [0.0, 1.0, 0.0, 2.0, 0.0, 3.0])?);
/// assert_eq!(y[3], Tensor::f32([4], [3.0, 5.0, 7.0, 9.0])?);
/// assert_eq!(y[4], Tensor::f32([5], [1.0, 2.0, 2.0, 2.0, 1.0])?);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
impl<'b> Expr<'b> {
    /// Windows on an axis, which becomes two: `[.., n, ..]` gives `[.., size, count, ..]`, where `[.., j, p, ..]` is
    /// element `start + p * step + j * dilation` of the axis. Windows that reach beyond it are refused.
    pub fn window(self, window: Window) -> Expr<'b> {
        self.builder().push(Op::Window(window), &[self])
    }

    /// The adjoint of [`Expr::window`]: `[.., size, count, ..]` gives `[.., extent, ..]`, each element the sum of those
    /// that a window takes from there, and 0 if none does. Of floats only.
    pub fn fold(self, window: Window, extent: usize) -> Expr<'b> {
        self.builder().push(Op::Fold(window, extent), &[self])
    }

    /// The elements of an axis in this range, which must not be empty: `[.., n, ..]` gives `[.., range.len(), ..]`.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Expr<'b> {
        if range.start == 0 && self.shape().get(axis) == Some(&range.end) {
            return self;
        }
        let count = range.end.saturating_sub(range.start);
        self.elements_of(Window { axis, start: range.start, size: 1, dilation: 1, count, step: 1 })
    }

    /// An axis in reverse order, of the same shape: element `i` is element `n - 1 - i` of this.
    pub fn reverse(self, axis: usize) -> Expr<'b> {
        match self.shape().get(axis) {
            Some(1) => self,
            extent => {
                let count = extent.copied().unwrap_or(0);
                let start = count.saturating_sub(1);
                self.elements_of(Window { axis, start, size: 1, dilation: 1, count, step: -1 })
            }
        }
    }

    /// Windows of one element, without the axis that counts it.
    fn elements_of(self, window: Window) -> Expr<'b> {
        let elements = self.window(window);
        let shape = elements.shape();
        if shape.len() <= window.axis { elements } else { elements.reshape(shape.without(window.axis)) }
    }

    /// Zeros before and after the elements of an axis, and `between` of them between neighbours: an extent of `n`
    /// becomes `before + n + (n - 1) * between + after`. A -0 becomes +0. Of floats only.
    pub fn pad(self, axis: usize, before: usize, after: usize, between: usize) -> Expr<'b> {
        let shape = self.shape();
        let Some(&extent) = shape.get(axis) else {
            return self.elements_of(Window { axis, start: 0, size: 1, dilation: 1, count: 0, step: 1 });
        };
        let between = if extent == 1 { 0 } else { between };
        if (before, after, between) == (0, 0, 0) {
            return self;
        }
        let step = between.saturating_add(1);
        let spread = (extent - 1).saturating_mul(step).saturating_add(1);
        let padded = before.saturating_add(spread).saturating_add(after);
        let to: Shape = shape[..axis].iter().chain([&padded]).chain(&shape[axis + 1..]).copied().collect();
        // neighbours along the axis and beyond it stay neighbours: they move as one axis
        let beyond: usize = match between {
            0 => shape[axis + 1..].iter().product(),
            _ => 1,
        };
        let (start, step) = (before.saturating_mul(beyond), i64::try_from(step).unwrap_or(i64::MAX));
        let window = Window { axis, start, size: 1, dilation: 1, count: extent * beyond, step };
        let moved = match between {
            0 => self.reshape([&shape[..axis], &[1, extent * beyond]].concat().as_slice()),
            _ => self.expand(axis),
        };
        moved.fold(window, padded.saturating_mul(beyond)).reshape(to)
    }
}
