//! Lower-triangular matrices: square roots of covariances.

use bayeslift_ir::Expr;

/// The lower-triangular matrix of any matrix `[n, n]`: its elements below the diagonal, softplus of those on it + 1e-5,
/// and 0 above. A parameter that is any matrix so becomes the [scale](super::MultivariateNormal) of a distribution.
pub fn lower_triangular(raw: Expr<'_>) -> Expr<'_> {
    let n = raw.shape().last_extent();
    let (row, column) = (raw.builder().iota(n).expand(1), raw.builder().iota(n).expand(0));
    let diagonal = row.equal(column).select(raw.softplus() + 1e-5, 0.0);
    column.less(row).select(raw, diagonal)
}

/// The diagonal of a matrix.
pub(super) fn diagonal(x: Expr<'_>) -> Expr<'_> {
    let n = x.shape().last_extent();
    let (row, column) = (x.builder().iota(n).expand(1), x.builder().iota(n).expand(0));
    row.equal(column).select(x, 0.0).sum(1)
}

/// The sum of the logarithms of the diagonal: half the logarithm of the determinant of the covariance.
pub(super) fn log_determinant(scale: Expr<'_>) -> Expr<'_> {
    diagonal(scale).log().sum(0)
}

/// X of L X = B, for lower-triangular L `[n, n]` and B `[.., n, m]`, by forward substitution: n steps, a row of X each.
/// What is above the diagonal of L is not read as 0: it must be.
pub(super) fn solve<'b>(scale: Expr<'b>, right: Expr<'b>) -> Expr<'b> {
    let n = scale.shape().last_extent();
    let axis = right.shape().len() - 2;
    let index = right.builder().iota(n).expand(1);
    let (mut rest, mut solution) = (right, None);
    for i in 0..n {
        let pivot = scale.slice(0, i..i + 1).slice(1, i..i + 1);
        let row = rest.slice(axis, i..i + 1) / pivot;
        // what this row takes from those below; the row itself becomes 0
        rest = rest - scale.slice(1, i..i + 1) * row;
        let placed = index.equal(i as u32).select(row, 0.0);
        solution = Some(solution.map_or(placed, |solution: Expr<'b>| solution + placed));
    }
    solution.unwrap_or(right)
}

/// The lower-triangular L with L L' = C, for positive definite C `[r, r]` and small r (Cholesky): r steps, a column
/// each.
pub(super) fn cholesky(covariance: Expr<'_>) -> Expr<'_> {
    let n = covariance.shape().last_extent();
    let (row, column) = (covariance.builder().iota(n).expand(1), covariance.builder().iota(n).expand(0));
    let (mut rest, mut factor) = (covariance, None);
    for i in 0..n {
        let pivot = rest.slice(0, i..i + 1).slice(1, i..i + 1).sqrt();
        let below = row.less(i as u32).select(0.0, rest.slice(1, i..i + 1) / pivot);
        rest = rest - below * below.matrix_transpose();
        let placed = column.equal(i as u32).select(below, 0.0);
        factor = Some(factor.map_or(placed, |factor| factor + placed));
    }
    factor.unwrap_or(covariance)
}
