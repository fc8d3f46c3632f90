//! Which gradients an optimizer surely makes finite updates of.

use crate::Error;
use bayeslift_ir::{Builder, Expr, Type};
use bayeslift_layers::Optimizer;
use bayeslift_passes::{Range, RangeAnalysis};

/// The largest gradient of which a step that writes in place makes updates, 2^50. Adam squares it, and divides what its root
/// is added to by a small number: there is room for both.
pub(super) const LARGEST_GRADIENT: f32 = (1_u64 << 50) as f32;

/// The largest magnitude of a step's scalars, such as the learning rate, for which a proof is tried.
const LARGEST_SCALAR: f32 = 1024.0;

/// Whether an optimizer's updates are finite, of whatever finite parameters, if no gradient ever exceeded [`LARGEST_GRADIENT`]
/// and no scalar [`LARGEST_SCALAR`].
#[derive(Debug)]
pub(super) struct FiniteUpdates {
    is_proved: bool,
}

impl FiniteUpdates {
    pub fn of(optimizer: &dyn Optimizer) -> FiniteUpdates {
        FiniteUpdates { is_proved: prove(optimizer).unwrap_or(false) }
    }

    /// Whether they are with these scalars.
    pub fn are_finite_for(&self, scalars: &[f32]) -> bool {
        self.is_proved && scalars.iter().all(|scalar| scalar.abs() <= LARGEST_SCALAR)
    }
}

/// By interval analysis of the update of one number: finds ranges of the state that contain its start and that an update does
/// not leave. What fails to be one is no proof.
fn prove(optimizer: &dyn Optimizer) -> Result<bool, Error> {
    /// State that grows without end, or slowly, is given up.
    const TRIES: usize = 400;
    let b = Builder::new();
    let input = |name: &str| b.input(name, Type::f32([]));
    let (parameter, gradient) = (input("parameter"), input("gradient"));
    let state: Vec<Expr<'_>> = optimizer.state().iter().map(|name| input(&format!("state/{name}"))).collect();
    let scalars: Vec<Expr<'_>> = optimizer.scalars().iter().map(|name| input(&format!("scalar/{name}"))).collect();
    let update = optimizer.update(parameter, gradient, &state, &scalars);
    b.check()?;
    if update.state.len() != state.len() {
        return Ok(false);
    }
    let graph = b.graph().clone();
    let analysis = RangeAnalysis::new(&graph, |_| None)?;
    let mut known = vec![Range::new(0.0, 0.0); state.len()];
    for _ in 0..TRIES {
        let ranges = analysis.ranges(|i| match i {
            0 => Range::new(-f32::MAX, f32::MAX),
            // with room for the rounding of its bound
            1 => Range::new(-1.01 * LARGEST_GRADIENT, 1.01 * LARGEST_GRADIENT),
            _ if i < 2 + state.len() => known[i - 2],
            _ => Range::new(-LARGEST_SCALAR, LARGEST_SCALAR),
        });
        let of = |x: Expr<'_>| ranges[x.value().index()];
        if !of(update.parameter).is_finite() || !update.state.iter().all(|new| of(*new).is_finite()) {
            return Ok(false);
        }
        let next = known.iter().zip(&update.state).map(|(known, new)| widened(*known, of(*new)));
        let next: Vec<Range> = next.collect();
        if next == known {
            return Ok(true);
        }
        known = next;
    }
    Ok(false)
}

/// The first range, with ends moved out to twice those of the second where that is beyond: so that ends are reached.
fn widened(known: Range, new: Range) -> Range {
    let low = if new.low < known.low { 2.0 * new.low } else { known.low };
    let high = if new.high > known.high { 2.0 * new.high } else { known.high };
    Range { low, high, nan: known.nan || new.nan }
}
