//! Slices, padding and windows, of the two primitives that all of them are.

use crate::{Expr, Op, Shape, Window};
use std::ops::Range;

impl<'b> Expr<'b> {
    /// Windows on an axis, which becomes two: `[.., n, ..]` gives `[.., size, count, ..]`.
    pub fn window(self, window: Window) -> Expr<'b> {
        self.builder().push(Op::Window(window), &[self])
    }

    /// The adjoint of [`Expr::window`]: `[.., size, count, ..]` gives `[.., extent, ..]`, each element the sum of those
    /// that a window takes from there.
    pub fn fold(self, window: Window, extent: usize) -> Expr<'b> {
        self.builder().push(Op::Fold(window, extent), &[self])
    }

    /// The elements of an axis in this range.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Expr<'b> {
        if range.start == 0 && self.shape().get(axis) == Some(&range.end) {
            return self;
        }
        let count = range.end.saturating_sub(range.start);
        self.elements_of(Window { axis, start: range.start, size: 1, dilation: 1, count, step: 1 })
    }

    /// An axis in reverse order.
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

    /// Zeros before and after the elements of an axis, and `between` of them between neighbours. A -0 becomes +0.
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
