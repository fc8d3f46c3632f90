//! Views: reading a value through broadcasts, reshapes and transposes without computing anything.

use bayeslift_ir::{Graph, Op, Shape, Value};
use smallvec::SmallVec;

/// How the elements of a value of shape `shape` lie in the row-major memory of `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The value whose memory is read.
    pub source: Value,
    /// The shape of the value that is viewed.
    pub shape: Shape,
    /// For each axis of `shape`, the distance in elements of `source`; 0 where it is repeated.
    pub strides: SmallVec<[usize; 4]>,
}

impl View {
    /// The value itself, in row-major order.
    pub fn identity(graph: &Graph, source: Value) -> View {
        let shape = graph.ty(source).shape.clone();
        View { source, strides: shape.strides(), shape }
    }

    /// The view of a view operation's result, given the view of its operand. `None` for a reshape
    /// that no strides can express, and for operations that compute.
    pub fn through(&self, op: &Op) -> Option<View> {
        let (shape, strides) = match op {
            Op::Broadcast(shape) => {
                let missing = shape.len() - self.shape.len();
                let stride = |axis: usize| match axis.checked_sub(missing) {
                    Some(a) if self.shape[a] == shape[axis] => self.strides[a],
                    _ => 0,
                };
                (shape.clone(), (0..shape.len()).map(stride).collect())
            }
            Op::Transpose(permutation) => (
                permutation.iter().map(|&a| self.shape[usize::from(a)]).collect(),
                permutation.iter().map(|&a| self.strides[usize::from(a)]).collect(),
            ),
            Op::Reshape(shape) => (shape.clone(), self.reshaped(shape)?),
            _ => return None,
        };
        Some(View { source: self.source, shape, strides })
    }

    /// Strides for the same elements under another shape: matches runs of axes with equal products.
    fn reshaped(&self, shape: &Shape) -> Option<SmallVec<[usize; 4]>> {
        let mut strides: SmallVec<[usize; 4]> = SmallVec::from_elem(0, shape.len());
        let merged = self.merged();
        let mut axis = shape.len();
        for &(extent, stride) in merged.iter().rev() {
            let mut covered = 1;
            while covered < extent {
                axis = axis.checked_sub(1)?;
                if extent % (covered * shape[axis]) != 0 {
                    return None;
                }
                strides[axis] = if shape[axis] == 1 { 0 } else { stride * covered };
                covered *= shape[axis];
            }
        }
        Some(strides)
    }

    /// The axes as (extent, stride), outermost first, without axes of extent 1, and with neighbours
    /// that one stride describes made one.
    pub fn merged(&self) -> SmallVec<[(usize, usize); 4]> {
        merge_axes(self.shape.iter().copied().zip(self.strides.iter().copied()))
    }

    /// Whether the elements are the whole of `source`, in order.
    pub fn is_contiguous(&self) -> bool {
        match *self.merged() {
            [] => true,
            [(_, stride)] => stride == 1,
            _ => false,
        }
    }

    /// Whether all elements are the same one.
    pub fn is_uniform(&self) -> bool {
        self.strides.iter().zip(self.shape.iter()).all(|(&stride, &extent)| stride == 0 || extent == 1)
    }
}

/// Merges neighbouring axes that one stride describes; drops axes of extent 1.
pub fn merge_axes(axes: impl Iterator<Item = (usize, usize)>) -> SmallVec<[(usize, usize); 4]> {
    let mut merged: SmallVec<[(usize, usize); 4]> = SmallVec::new();
    for (extent, stride) in axes.filter(|&(extent, _)| extent > 1) {
        match merged.last_mut() {
            Some(last) if last.1 == stride * extent => *last = (last.0 * extent, stride),
            _ => merged.push((extent, stride)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::{Builder, Type};

    #[test]
    fn reshapes_of_strided_views() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([4, 6])).value();
        let graph = b.finish().unwrap();
        let x = View::identity(&graph, x);
        let split = x.through(&Op::Reshape(Shape::new(&[2, 2, 6]))).unwrap();
        assert_eq!(split.strides.as_slice(), [12, 6, 1]);
        let t = x.through(&Op::Transpose(SmallVec::from_slice(&[1, 0]))).unwrap();
        assert_eq!(t.strides.as_slice(), [1, 6]);
        assert_eq!(t.through(&Op::Reshape(Shape::new(&[24]))), None);
        let split = t.through(&Op::Reshape(Shape::new(&[6, 1, 2, 2]))).unwrap();
        assert_eq!(split.strides.as_slice(), [1, 0, 12, 6]);
        let row = t.through(&Op::Broadcast(Shape::new(&[5, 6, 4]))).unwrap();
        assert_eq!(row.strides.as_slice(), [0, 1, 6]);
        assert!(split.through(&Op::Reshape(Shape::new(&[6, 4]))).unwrap() == t);
    }
}
