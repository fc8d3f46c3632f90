//! Values that are moved: broadcast, transposed, reshaped, seen through windows, and folded back.

use super::{
    EXTENTS, Step,
    program::{MAX_SHAPE_RANK, MAX_VALUE, Program},
};
use crate::{Op, Shape, Value, Window};

pub(super) fn broadcast(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |_| true)?;
    broadcast_of(program, step, x)
}

pub(super) fn broadcast_of(program: &mut Program, step: &Step, x: Value) -> Option<Value> {
    let mut to = program.shape(x).to_vec();
    for (axis, extent) in to.iter_mut().enumerate().filter(|(_, extent)| **extent == 1) {
        *extent = step.choose(2 + axis % 4, &EXTENTS);
    }
    if step.choices[0].is_multiple_of(2) && to.len() < MAX_SHAPE_RANK {
        to.insert(0, step.choose(1, &EXTENTS));
    }
    program.push(Op::Broadcast(Shape::new(&to)), &[x])
}

pub(super) fn transpose(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.shape.len() > 1)?;
    transpose_of(program, step, x)
}

pub(super) fn transpose_of(program: &mut Program, step: &Step, x: Value) -> Option<Value> {
    let mut axes: Vec<u8> = (0..program.shape(x).len() as u8).collect();
    let last = axes.len().checked_sub(1).filter(|&last| last > 0)?;
    match step.choices[0] % 4 {
        0 => axes.swap(last - 1, last),
        1 => axes.reverse(),
        2 => axes.rotate_left(1),
        _ => axes.swap(0, usize::from(step.choices[1]) % last),
    }
    program.push(Op::Transpose(axes.into_iter().collect()), &[x])
}

pub(super) fn reshape(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |_| true)?;
    reshape_of(program, step, x)
}

pub(super) fn reshape_of(program: &mut Program, step: &Step, x: Value) -> Option<Value> {
    let mut shape = program.shape(x).to_vec();
    let axis = usize::from(step.choices[1]) % shape.len().max(1);
    match step.choices[0] % 4 {
        0 => shape = vec![shape.iter().product()],
        1 if axis + 1 < shape.len() => shape[axis] *= shape.remove(axis + 1),
        2 if axis < shape.len() => {
            let factor = [5, 3, 2].into_iter().find(|factor| shape[axis].is_multiple_of(*factor)).unwrap_or(1);
            shape[axis] /= factor;
            shape.insert(axis, factor);
        }
        _ => shape.insert(axis, 1),
    }
    program.push(Op::Reshape(Shape::new(&shape)), &[x])
}

pub(super) fn window(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| !ty.shape.is_empty())?;
    window_of(program, step, x)
}

/// Windows that lie on an axis, in any direction.
pub(super) fn window_of(program: &mut Program, step: &Step, x: Value) -> Option<Value> {
    let shape = program.shape(x);
    let axis = usize::from(step.choices[1]) % shape.len().max(1);
    let extent = *shape.get(axis)?;
    let window = some_window(step, axis, extent)?;
    if shape.elements() / extent * window.size * window.count > MAX_VALUE || shape.len() == MAX_SHAPE_RANK {
        return None;
    }
    program.push(Op::Window(window), &[x])
}

pub(super) fn some_window(step: &Step, axis: usize, extent: usize) -> Option<Window> {
    let size = step.choose(2, &[1, 2, 3, 1, 7]).min(extent);
    let dilation = step.choose(3, &[1, 1, 2, -1, 0]);
    let reach = 1 + (size - 1) * usize::try_from(i64::abs(dilation)).ok()?;
    let by = step.choose(4, &[1, 2, 1, -1, 3]);
    let count = extent.checked_sub(reach)? / usize::try_from(i64::abs(by)).ok()? + 1;
    let count = if step.choices[5].is_multiple_of(4) { count.div_ceil(2) } else { count };
    let behind = |negative: bool, distance: usize| if negative { distance } else { 0 };
    let start = behind(dilation < 0, reach - 1) + behind(by < 0, (count - 1) * usize::try_from(i64::abs(by)).ok()?);
    Some(Window { axis, start, size, dilation, count, step: by })
}

/// What an operand's first axes are folded to, as windows of as many elements as the first; or an axis padded.
pub(super) fn fold(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.pick(step, 0, |ty| ty.dtype.is_float() && !ty.shape.is_empty())?;
    let shape = program.shape(x);
    let axis = usize::from(step.choices[1]) % shape.len();
    let x = match step.choices[0] % 3 {
        0 if axis + 1 < shape.len() => x,
        _ => program.push(Op::Reshape([&shape[..axis], &[1], &shape[axis..]].concat().as_slice().into()), &[x])?,
    };
    let shape = program.shape(x);
    let (size, count) = (shape[axis], shape[axis + 1]);
    let (dilation, by) = (step.choose(3, &[1, 2, -1, 0]), step.choose(4, &[1, 2, 3, -1]));
    let [within, along] = [(size, dilation), (count, by)].map(|(n, by): (usize, i64)| (n as i64 - 1) * by);
    let before = i64::from(step.choices[2] % 3) - within.min(0) - along.min(0);
    let extent = before + within.max(0) + along.max(0) + 1 + i64::from(step.choices[5] % 3);
    let extent = usize::try_from(extent).ok()?;
    if shape.elements() / (size * count) * extent > MAX_VALUE {
        return None;
    }
    let window = Window { axis, start: usize::try_from(before).ok()?, size, dilation, count, step: by };
    program.push(Op::Fold(window, extent), &[x])
}
