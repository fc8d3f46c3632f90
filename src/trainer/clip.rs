//! Clipping of gradients by their norm.

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

/// All gradients, scaled by one number so that their norm, that of all of their elements together, is not above the limit (Pascanu et al. 2013,
/// algorithm 1).
///
/// Squares are of doubles, so they neither overflow nor vanish, whatever the gradients are. Where one is infinite or no number, so is what
/// becomes of it: the scale is 0 or no number then, and neither makes a number of it.
pub(super) fn clipped<'b>(gradients: &[Expr<'b>], limit: f64) -> Vec<Expr<'b>> {
    let squares = gradients.iter().map(|gradient| gradient.to_f64().square().sum_all());
    let Some(sum) = squares.reduce(|a, b| a + b) else { return Vec::new() };
    let b = sum.builder();
    // a norm of 0 leaves a quotient that is infinite, or a scale of 1
    let scale = (b.constant_f64(limit) / sum.sqrt()).min(b.constant_f64(1.0)).to_f32();
    gradients.iter().map(|gradient| *gradient * scale).collect()
}
