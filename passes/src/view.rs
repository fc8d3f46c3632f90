//! Views: reading a value through broadcasts, reshapes, transposes and windows without computing anything.

use bayeslift_ir::{Graph, Kind, Movement, Op, Shape, Value, Window};
use smallvec::{SmallVec, smallvec};

/// How the elements of a value of shape `shape` lie in the row-major memory of `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The value whose memory is read.
    pub source: Value,
    /// The shape of the value that is viewed.
    pub shape: Shape,
    /// The element of `source` that is the first one.
    pub start: i64,
    /// How each axis of `shape` lies there.
    pub axes: SmallVec<[Axis; 4]>,
}

/// How the elements along an axis lie in memory: as those of nested axes, outermost first, in row-major order. An axis
/// that one stride describes has one, or none if it has one element (hierarchical layouts; Cecka et al., CuTe).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis(SmallVec<[(usize, i64); 1]>);

impl Axis {
    /// `extent` elements, each `stride` elements of memory after the one before.
    pub fn new(extent: usize, stride: i64) -> Axis {
        if extent == 1 { Axis::default() } else { Axis(smallvec![(extent, stride)]) }
    }

    /// Nested axes as extents and strides: none of extent 1, none that continues the one before.
    pub fn nested(&self) -> &[(usize, i64)] {
        &self.0
    }

    /// How far apart neighbours are, 0 if there are none; `None` if no one stride describes that.
    pub fn stride(&self) -> Option<i64> {
        match *self.0 {
            [] => Some(0),
            [(_, stride)] => Some(stride),
            _ => None,
        }
    }
}

impl View {
    /// The value itself, in row-major order.
    pub fn identity(graph: &Graph, source: Value) -> View {
        let shape = graph.ty(source).shape.clone();
        let axes =
            shape.iter().zip(shape.strides()).map(|(&extent, stride)| Axis::new(extent, stride as i64)).collect();
        View { source, axes, shape, start: 0 }
    }

    /// The view of a view operation's result, given the view of its operand. `None` for a reshape or windows
    /// that no strides can express, and for operations that compute.
    pub fn through(&self, op: &Op) -> Option<View> {
        let Kind::Movement(movement) = op.kind() else { return None };
        let mut start = self.start;
        let (shape, axes) = match movement {
            Movement::Broadcast(shape) => {
                let missing = shape.len() - self.shape.len();
                let on_axis = |axis: usize| match axis.checked_sub(missing) {
                    Some(a) if self.shape[a] == shape[axis] => self.axes[a].clone(),
                    _ => Axis::new(shape[axis], 0),
                };
                (shape.clone(), (0..shape.len()).map(on_axis).collect())
            }
            Movement::Transpose(permutation) => (
                permutation.iter().map(|&a| self.shape[usize::from(a)]).collect(),
                permutation.iter().map(|&a| self.axes[usize::from(a)].clone()).collect(),
            ),
            Movement::Reshape(shape) => (shape.clone(), self.reshaped(shape)?),
            Movement::Window(Window { axis, start: first, size, dilation, count, step }) => {
                let stride = self.axes[axis].stride()?;
                start += first as i64 * stride;
                let windows = [Axis::new(size, dilation * stride), Axis::new(count, step * stride)];
                let mut shape = self.shape.to_vec();
                shape.splice(axis..=axis, [size, count]);
                let mut axes = self.axes.to_vec();
                axes.splice(axis..=axis, windows);
                (Shape::new(&shape), axes.into())
            }
        };
        Some(View { source: self.source, shape, start, axes })
    }

    /// The same elements under another shape: cuts nested axes where the new axes begin.
    fn reshaped(&self, shape: &Shape) -> Option<SmallVec<[Axis; 4]>> {
        let mut left = self.merged();
        let cut = |&extent: &usize| {
            let mut nested: SmallVec<[(usize, i64); 1]> = SmallVec::new();
            let mut wanted = extent;
            while wanted > 1 {
                let (extent, stride) = left.pop()?;
                let taken = if wanted.is_multiple_of(extent) { extent } else { wanted };
                if !extent.is_multiple_of(taken) {
                    return None;
                }
                if taken < extent {
                    left.push((extent / taken, stride * taken as i64));
                }
                nested.push((taken, stride));
                wanted /= taken;
            }
            nested.reverse();
            Some(Axis(nested))
        };
        let axes: Option<Vec<Axis>> = shape.iter().rev().map(cut).collect();
        Some(axes?.into_iter().rev().collect())
    }

    /// All nested axes as (extent, stride), outermost first, without axes of extent 1, and with neighbours
    /// that one stride describes made one.
    pub fn merged(&self) -> SmallVec<[(usize, i64); 4]> {
        merge_axes(&self.axes)
    }

    /// How far apart neighbours on the last axis are; `None` if no one stride describes that.
    pub fn last_stride(&self) -> Option<i64> {
        self.axes.last().map_or(Some(0), Axis::stride)
    }

    /// Whether one stride describes every axis.
    pub fn is_strided(&self) -> bool {
        self.axes.iter().all(|axis| axis.stride().is_some())
    }

    /// Whether the elements are those of `source` in order, from the first on.
    pub fn is_contiguous(&self) -> bool {
        self.start == 0 && self.is_in_order()
    }

    /// Whether the elements are neighbours in `source`, in order, from any on.
    pub fn is_in_order(&self) -> bool {
        match *self.merged() {
            [] => true,
            [(_, stride)] => stride == 1,
            _ => false,
        }
    }

    /// Whether all elements are the same one.
    pub fn is_uniform(&self) -> bool {
        self.axes.iter().all(|axis| axis.nested().iter().all(|&(_, stride)| stride == 0))
    }
}

/// The nested axes of some axes; neighbours that one stride describes are made one.
pub fn merge_axes(axes: &[Axis]) -> SmallVec<[(usize, i64); 4]> {
    let mut merged: SmallVec<[(usize, i64); 4]> = SmallVec::new();
    for &(extent, stride) in axes.iter().flat_map(Axis::nested) {
        match merged.last_mut() {
            Some(last) if last.1 == stride * extent as i64 => *last = (last.0 * extent, stride),
            _ => merged.push((extent, stride)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::{Builder, Type};

    fn strides(view: &View) -> Vec<Option<i64>> {
        view.axes.iter().map(Axis::stride).collect()
    }

    #[test]
    fn reshapes_of_strided_views() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([4, 6])).value();
        let graph = b.finish().unwrap();
        let x = View::identity(&graph, x);
        let split = x.through(&Op::Reshape(Shape::new(&[2, 2, 6]))).unwrap();
        assert_eq!(strides(&split), [Some(12), Some(6), Some(1)]);
        let t = x.through(&Op::Transpose(SmallVec::from_slice(&[1, 0]))).unwrap();
        assert_eq!(strides(&t), [Some(1), Some(6)]);
        let flat = t.through(&Op::Reshape(Shape::new(&[24]))).unwrap();
        assert_eq!((flat.axes[0].nested(), flat.is_strided()), (&[(6, 1), (4, 6)][..], false));
        assert_eq!(flat.through(&Op::Reshape(Shape::new(&[6, 4]))), Some(t.clone()));
        assert_eq!(flat.through(&Op::Reshape(Shape::new(&[3, 8]))).unwrap().axes[1].nested(), [(2, 1), (4, 6)]);
        assert_eq!(t.through(&Op::Reshape(Shape::new(&[9, 8]))), None);
        let split = t.through(&Op::Reshape(Shape::new(&[6, 1, 2, 2]))).unwrap();
        assert_eq!(strides(&split), [Some(1), Some(0), Some(12), Some(6)]);
        let row = t.through(&Op::Broadcast(Shape::new(&[5, 6, 4]))).unwrap();
        assert_eq!(strides(&row), [Some(0), Some(1), Some(6)]);
        assert!(split.through(&Op::Reshape(Shape::new(&[6, 4]))).unwrap() == t);
    }

    #[test]
    fn windows_on_a_view() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([4, 6])).value();
        let graph = b.finish().unwrap();
        let x = View::identity(&graph, x);
        let window = Window { axis: 1, start: 5, size: 2, dilation: 1, count: 3, step: -2 };
        assert_eq!(x.through(&Op::Window(Window { start: 4, ..window })).unwrap().start, 4);
        let turned = x.through(&Op::Window(Window { size: 1, count: 6, step: -1, ..window })).unwrap();
        assert_eq!((turned.start, turned.shape.to_vec()), (5, vec![4, 1, 6]));
        assert_eq!(strides(&turned), [Some(6), Some(0), Some(-1)]);
        let rows = Window { axis: 0, start: 0, size: 2, dilation: 2, count: 2, step: 1 };
        let windows = turned.through(&Op::Window(rows)).unwrap();
        assert_eq!(strides(&windows), [Some(12), Some(6), Some(0), Some(-1)]);
        let flat = windows.through(&Op::Reshape(Shape::new(&[24]))).unwrap();
        assert_eq!(flat.axes[0].nested(), [(4, 6), (6, -1)]);
        assert_eq!(flat.through(&Op::Window(Window { axis: 0, ..rows })), None);
    }
}
