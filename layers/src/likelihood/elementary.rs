//! Functions of `f64` that graphs have as operations of `f32` only.

use bayeslift_ir::Expr;

/// log(1 + e^x). Its gradient is the [`sigmoid`] everywhere.
pub(super) fn softplus(x: Expr<'_>) -> Expr<'_> {
    let is_negative = x.less(0.0);
    let size = is_negative.select(-x, x);
    ((-size).exp() + 1.0).log() + is_negative.select(0.0, x)
}

/// 1 / (1 + e^-x).
pub(super) fn sigmoid(x: Expr<'_>) -> Expr<'_> {
    1.0 / ((-x).exp() + 1.0)
}
