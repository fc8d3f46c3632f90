//! For which gradients an optimizer's updates are surely finite.

use crate::Error;
use bayeslift_ir::{Builder, Expr, Graph, Tensor, Type, Value};
use bayeslift_layers::{Optimizer, Variable};
use bayeslift_passes::{Range, RangeAnalysis};

/// The largest gradient with which a step updates parameters in place, 2^50. Adam squares it, and divides it by a small number:
/// there is room for both.
pub(super) const LARGEST_GRADIENT: f32 = (1_u64 << 50) as f32;

/// The largest magnitude of a step's scalars, such as the learning rate, for which a proof is tried.
const LARGEST_SCALAR: f32 = 1024.0;

/// When an optimizer's updates are finite, for any finite parameters and gradients up to [`LARGEST_GRADIENT`]: if its state
/// is in these ranges, which such an update does not leave.
#[derive(Debug)]
pub(super) struct FiniteUpdates {
    /// For each state tensor of a parameter; nothing if there is no proof.
    state: Option<Vec<Range>>,
    /// Whether the state is in these ranges.
    is_inside: bool,
}

impl FiniteUpdates {
    /// `state` is that of all parameters that are trainable, one after the other.
    pub fn of(optimizer: &dyn Optimizer, variables: &[Variable], state: &[(String, Tensor)]) -> FiniteUpdates {
        // a proof that fails is none
        let state = prove(optimizer, variables, state).ok().flatten();
        FiniteUpdates { state, is_inside: true }
    }

    /// Whether an update with these scalars is.
    pub fn are_finite_for(&self, scalars: &[f32]) -> bool {
        self.state.is_some() && self.is_inside && scalars.iter().all(|scalar| scalar.abs() <= LARGEST_SCALAR)
    }

    /// Looks whether the state is in the ranges, after an update that may have left them.
    pub fn look(&mut self, state: &[(String, Tensor)]) {
        let Some(ranges) = self.state.as_ref().filter(|ranges| !ranges.is_empty()) else { return };
        let is_inside = |(range, (_, tensor)): (&Range, &(String, Tensor))| {
            let found = Range::of(tensor);
            !found.nan && range.low <= found.low && found.high <= range.high
        };
        self.is_inside = ranges.iter().cycle().zip(state).all(is_inside);
    }
}

/// An update of parameters of one type.
struct Update {
    graph: Graph,
    parameter: Value,
    state: Vec<Value>,
}

impl Update {
    /// Inputs are a parameter, its gradient, its state, scalars.
    fn new(optimizer: &dyn Optimizer, ty: &Type) -> Result<Update, Error> {
        let b = Builder::new();
        let input = |name: &str| b.input(name, ty.clone());
        let (parameter, gradient) = (input("parameter"), input("gradient"));
        let state: Vec<Expr<'_>> = optimizer.state().iter().map(|name| input(&format!("state/{name}"))).collect();
        let scalar = |name: &&str| b.input(&format!("scalar/{name}"), Type::f32([]));
        let scalars: Vec<Expr<'_>> = optimizer.scalars().iter().map(scalar).collect();
        let update = optimizer.update(parameter, gradient, &state, &scalars);
        b.check()?;
        let (parameter, state) = (update.parameter.value(), update.state.iter().map(|new| new.value()).collect());
        Ok(Update { parameter, state, graph: b.finish()? })
    }

    /// The ranges of the parameter and the state after an update, if the state was in `known`.
    fn after(&self, analysis: &RangeAnalysis<'_>, known: &[Range]) -> (Range, Vec<Range>) {
        // with room for the rounding of a bound
        let to = |size: f32| Range::new((-size).into(), size.into());
        let gradient = to(1.01 * LARGEST_GRADIENT);
        let ranges = analysis.ranges(|i| match i {
            0 => to(f32::MAX),
            1 => gradient,
            _ => known.get(i - 2).copied().unwrap_or(to(LARGEST_SCALAR)),
        });
        let of = |value: Value| ranges[value.index()];
        (of(self.parameter), self.state.iter().map(|new| of(*new)).collect())
    }
}

/// By interval analysis of updates: ranges that contain the state, and that no update of any of the parameters leaves; none if it finds
/// none, or if an update may not be finite.
fn prove(
    optimizer: &dyn Optimizer,
    variables: &[Variable],
    state: &[(String, Tensor)],
) -> Result<Option<Vec<Range>>, Error> {
    /// State that grows without end, or slowly, is given up.
    const TRIES: usize = 400;
    let mut types: Vec<&Type> = Vec::new();
    for variable in variables.iter().filter(|variable| variable.trainable) {
        if !types.contains(&&variable.ty) {
            types.push(&variable.ty);
        }
    }
    let updates = types.into_iter().map(|ty| Update::new(optimizer, ty)).collect::<Result<Vec<_>, _>>()?;
    let mut known = vec![Range::new(0.0, 0.0); optimizer.state().len()];
    if updates.iter().any(|update| update.state.len() != known.len()) {
        return Ok(None);
    }
    let count = known.len().max(1);
    for (i, (_, tensor)) in state.iter().enumerate() {
        known[i % count] = widened(known[i % count], Range::of(tensor));
    }
    let analyses = updates.iter().map(|update| RangeAnalysis::new(&update.graph, |_| None));
    let analyses = analyses.collect::<Result<Vec<_>, _>>()?;
    for _ in 0..TRIES {
        let before = known.clone();
        for (update, analysis) in updates.iter().zip(&analyses) {
            let (parameter, state) = update.after(analysis, &before);
            if !parameter.is_finite() || !state.iter().all(|new| new.is_finite()) {
                return Ok(None);
            }
            known = known.iter().zip(state).map(|(known, new)| widened(*known, new)).collect();
        }
        if known == before {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The first range, with ends moved out to twice those of the second where that is beyond: so that ends are reached.
fn widened(known: Range, new: Range) -> Range {
    let low = if new.low < known.low { 2.0 * new.low } else { known.low };
    let high = if new.high > known.high { 2.0 * new.high } else { known.high };
    Range { low, high, nan: known.nan || new.nan }
}
