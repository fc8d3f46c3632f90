//! The image's adjoint in a product with windows on an image: again a product with windows.
//!
//! The rules of the primitives would store the adjoint of every window and fold that; here nothing is stored between the product
//! and the image.

use bayeslift_ir::{Expr, Op, Shape, Sliding, Value, Window, spread, windows_as_rows};

/// If `rows` is made of windows as [`windows_as_rows`] makes them, the image and, given the adjoint of `rows . columns`, its
/// adjoint.
pub(super) fn image_adjoint<'b>(
    rows: Expr<'b>,
    columns: Expr<'b>,
    adjoint: impl FnOnce() -> Expr<'b>,
) -> Option<(Expr<'b>, Expr<'b>)> {
    let (image, axes) = image_of(rows)?;
    let (shape, rank) = (image.shape(), axes.len());
    let (extents, [groups, channels]) = (&shape[2..2 + rank], [shape[rank + 2], shape[rank + 3]]);
    let sizes = axes.iter().map(|axis| axis.size);
    let positions = axes.iter().zip(extents).map(|(axis, &extent)| axis.windows(extent).unwrap_or(1));
    let outputs = columns.shape().last_extent();

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
    let (mut image, mut axes) = (b.expr(args[0]), Vec::new());
    while let (Op::Window(window), args) = behind(image) {
        axes.push(sliding(window)?);
        image = b.expr(args[0]);
    }
    axes.reverse();
    let rank = axes.len();
    if image.shape().len() != rank + 4 {
        return None;
    }
    for axis in (0..rank).rev() {
        if let Some((unpadded, before)) = padded(image, 2 + axis) {
            let after = image.shape()[2 + axis] - unpadded.shape()[2 + axis] - before;
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

fn sliding(window: Window) -> Option<Sliding> {
    let Window { start, size, dilation, step, .. } = window;
    let forward = |by: i64| usize::try_from(by).ok().filter(|&by| by > 0);
    let (step, dilation) = (forward(step)?, forward(dilation)?);
    (start == 0).then_some(Sliding { size, step, dilation, before: 0, after: 0 })
}
