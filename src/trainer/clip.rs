//! Clipping of gradients by their norm.

use super::rows::RowGradient;
use crate::Error;
use bayeslift_ir::Expr;

/// Checks the limit of the norm.
pub(crate) fn check_clip_norm(limit: Option<f64>) -> Result<(), Error> {
    let Some(limit) = limit else { return Ok(()) };
    if limit as f32 > 0.0 && (limit as f32).is_finite() {
        return Ok(());
    }
    let expected = "a number that is positive and finite as `f32`";
    Err(Error::argument("the limit of the gradients' norm", expected, format!("{limit:?}")))
}

/// All gradients, scaled by one number so that their norm, that of all of their elements together, is not above the
/// limit (Pascanu et al. 2013, algorithm 1).
///
/// Squares are of doubles, so they neither overflow nor vanish, whatever the gradients are. Where one is infinite or no
/// number, so is what becomes of it: the scale is 0 or no number then, and neither makes a number of it.
///
/// Of tables of which rows were read, the sums of rows are scaled: others are zero.
pub(super) fn clipped<'b>(gradients: &mut [Gradient<'b>], limit: f64) {
    let squares = gradients.iter_mut().map(|gradient| gradient.elements().to_f64().square().sum_all());
    let Some(sum) = squares.reduce(|a, b| a + b) else { return };
    let b = sum.builder();
    // a norm of 0 leaves a quotient that is infinite, or a scale of 1
    let scale = (b.constant_f64(limit) / sum.sqrt()).min(b.constant_f64(1.0)).to_float();
    for gradient in gradients {
        *gradient.elements() = *gradient.elements() * scale;
        if let Gradient::Rows(rows) = gradient {
            rows.all = rows.all * scale;
        }
    }
}

/// A gradient that an optimizer follows.
#[derive(Clone, Copy)]
pub(super) enum Gradient<'b> {
    /// Of all elements.
    Whole(Expr<'b>),
    /// Of the rows that were read.
    Rows(RowGradient<'b>),
}

impl<'b> Gradient<'b> {
    /// Of rows if it is that of rows, and if those may be moved alone.
    pub fn of(gradient: Expr<'b>, by_rows: bool) -> Gradient<'b> {
        let rows = by_rows.then(|| RowGradient::of(gradient)).flatten();
        rows.map_or(Gradient::Whole(gradient), Gradient::Rows)
    }

    /// All of its elements that are not zero.
    fn elements(&mut self) -> &mut Expr<'b> {
        match self {
            Gradient::Whole(gradient) => gradient,
            Gradient::Rows(rows) => &mut rows.sums,
        }
    }
}
