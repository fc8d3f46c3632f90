//! The image's adjoint in a product with windows on an image: again a product with windows.
//!
//! The rules of the primitives would store the adjoint of every window and fold that; here nothing is stored between
//! the product and the image.

use bayeslift_ir::{Expr, MAX_ELEMENTS, Op, Shape, Sliding, Value, Window, spread, windows_as_rows};

/// If `rows` is made of windows as [`windows_as_rows`] makes them, and nothing between has a gradient that is asked
/// for, the image and, given the adjoint of `rows . columns`, its adjoint.
pub(super) fn image_adjoint<'b>(
    rows: Expr<'b>,
    columns: Expr<'b>,
    with_respect_to: &[Expr<'b>],
    adjoint: impl FnOnce() -> Expr<'b>,
) -> Option<(Expr<'b>, Expr<'b>)> {
    let (image, axes) = image_of(rows)?;
    let mut between = rows.value();
    while between != image.value() {
        if with_respect_to.iter().any(|x| x.value() == between) {
            return None;
        }
        between = rows.builder().graph().node(between).args[0];
    }
    let (shape, rank) = (image.shape(), axes.len());
    let (extents, [groups, channels]) = (&shape[2..2 + rank], [shape[rank + 2], shape[rank + 3]]);
    let sizes = axes.iter().map(|axis| axis.size);
    let positions = axes.iter().zip(extents).map(|(axis, &extent)| axis.windows(extent).unwrap_or(1));
    let outputs = columns.shape().last_extent();
    // the windows on the adjoint; the rules of the primitives read those on the image, which are there
    let windows = axes.iter().zip(extents).map(|(axis, &extent)| {
        let step = if axis.dilation == 1 { axis.step } else { 1 };
        (axis.size.div_ceil(step) as u128, ((axis.before + extent).div_ceil(step) - axis.before / step) as u128)
    });
    let each = [shape[0], groups, shape[1], outputs].map(|extent| extent as u128).into_iter();
    if each.chain(windows.map(|(size, count)| size * count)).product::<u128>() > MAX_ELEMENTS as u128 {
        return None;
    }

    let split = [shape[0], groups, shape[1]].into_iter().chain(positions).chain([outputs]);
    let order = [0, 2].into_iter().chain(3..3 + rank).chain([1, 3 + rank]);
    let adjoint = adjoint().reshape(split.collect::<Shape>()).transpose(&order.collect::<Vec<_>>());
    let split = [shape[0], groups].into_iter().chain(sizes).chain([channels, outputs]);
    let kernel = columns.reshape(split.collect::<Shape>()).matrix_transpose();
    Some((image, spread(adjoint, kernel, &axes, extents)))
}

/// The image whose windows these rows are, and how they move.
fn image_of(rows: Expr<'_>) -> Option<(Expr<'_>, Vec<Sliding>)> {
    let b = rows.builder();
    let behind = |x: Expr<'_>| (b.graph().node(x.value()).op.clone(), b.graph().node(x.value()).args.clone());
    let (Op::Reshape(_), args) = behind(rows) else { return None };
    let (Op::Transpose(_), args) = behind(b.expr(args[0])) else { return None };
    let (mut image, mut windows) = (b.expr(args[0]), Vec::new());
    while let (Op::Window(window), args) = behind(image) {
        windows.push(window);
        image = b.expr(args[0]);
    }
    let (rank, shape) = (windows.len(), image.shape());
    if rank == 0 || shape.len() != rank + 4 {
        return None;
    }
    let windows = windows.iter().rev().enumerate();
    let mut axes = windows.map(|(i, window)| sliding(window, i, shape[2 + i])).collect::<Option<Vec<_>>>()?;
    for axis in (0..rank).rev() {
        if let Some((unpadded, before)) = padded(image, 2 + axis) {
            let after = image.shape()[2 + axis].checked_sub(unpadded.shape()[2 + axis])?.checked_sub(before)?;
            axes[axis] = Sliding { before, after, ..axes[axis] };
            image = unpadded;
        }
    }
    (windows_as_rows(image, &axes).value() == rows.value()).then_some((image, axes))
}

/// What was padded along an axis to make `x`, and how many zeros come before it.
fn padded(x: Expr<'_>, axis: usize) -> Option<(Expr<'_>, usize)> {
    let b = x.builder();
    let graph = b.graph();
    let argument = |value: Value| graph.node(value).args.first().copied();
    let fold = argument(x.value())?;
    let Op::Fold(Window { start, size: 1, step: 1, .. }, _) = graph.node(fold).op else { return None };
    let source = argument(argument(fold)?)?;
    let (from, to) = (&graph.ty(source).shape, &graph.ty(x.value()).shape);
    let beyond: usize = to[axis + 1..].iter().product();
    let is_axis = from.len() == to.len() && from.without(axis) == to.without(axis) && start.is_multiple_of(beyond);
    is_axis.then(|| (b.expr(source), start / beyond))
}

/// How a window moves over axis `i` of the positions, which has this extent, if as those of a convolution do.
fn sliding(window: &Window, i: usize, extent: usize) -> Option<Sliding> {
    let forward = |by: i64| usize::try_from(by).ok().filter(|&by| by > 0);
    let (step, dilation) = (forward(window.step)?, forward(window.dilation)?);
    let sliding = Sliding { size: window.size, step, dilation, before: 0, after: 0 };
    let all = sliding.windows(extent) == Some(window.count);
    ((window.axis, window.start, all) == (2 + 2 * i, 0, true)).then_some(sliding)
}
