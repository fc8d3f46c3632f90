//! For which gradients an optimizer's updates are surely finite.

use crate::Error;
use bayeslift_ir::{Builder, DType, Expr, Graph, Tensor, Type, Value};
use bayeslift_layers::{Optimizer, Step, Variable};
use bayeslift_passes::{Range, RangeAnalysis};

/// The largest gradient with which a step updates parameters in place, 2^50. Adam squares it, and divides it by a small
/// number: there is room for both.
pub(crate) const LARGEST_GRADIENT: f64 = (1_u64 << 50) as f64;

/// The largest magnitude of a step's scalars, such as the learning rate, for which a proof is tried.
pub(super) const LARGEST_SCALAR: f64 = 1024.0;

/// When an optimizer's updates are finite, for any finite parameters and gradients up to [`LARGEST_GRADIENT`]: if its
/// state is in these ranges, which such an update does not leave.
#[derive(Debug)]
pub(super) struct FiniteUpdates {
    /// For each state tensor; nothing if there is no proof.
    state: Option<Vec<Range>>,
    /// Whether the state is in these ranges.
    is_inside: bool,
}

impl FiniteUpdates {
    /// `state` is that of all parameters that are trainable, one after the other.
    pub fn of(
        optimizer: &dyn Optimizer,
        variables: &[Variable],
        state: &[(String, Tensor)],
        float: DType,
    ) -> FiniteUpdates {
        // a proof that fails is none
        let state = prove(optimizer, variables, state, float).ok().flatten();
        FiniteUpdates { state, is_inside: true }
    }

    /// Whether an update with these scalars, at this temperature, is.
    pub fn are_finite_for(&self, mut scalars: impl Iterator<Item = f64>, temperature: f64) -> bool {
        let is_in_range = scalars.all(|scalar| scalar.abs() <= LARGEST_SCALAR);
        self.state.is_some() && self.is_inside && is_in_range && (0.0..=LARGEST_SCALAR).contains(&temperature)
    }

    /// Looks whether the state is in the ranges, after an update that may have left them.
    pub fn look(&mut self, state: &[(String, Tensor)]) {
        self.is_inside = false;
        self.look_at(state, &[]);
    }

    /// As [`FiniteUpdates::look`], where of some tensors, by path, only these rows were written: others are looked at
    /// if they were outside.
    pub fn look_at(&mut self, state: &[(String, Tensor)], written: &[(&str, &Tensor)]) {
        let Some(ranges) = &self.state else { return };
        let was_inside = self.is_inside;
        let is_inside = |(range, (path, tensor)): (&Range, &(String, Tensor))| {
            let rows = written.iter().find(|(name, _)| was_inside && *name == path.as_str());
            let found = Range::of(rows.map_or(tensor, |(_, rows)| rows));
            !found.nan && range.low <= found.low && found.high <= range.high
        };
        self.is_inside = ranges.iter().zip(state).all(is_inside);
    }
}

/// An update of one parameter.
struct Update {
    graph: Graph,
    parameter: Value,
    /// What the network computes with.
    value: Value,
    state: Vec<Value>,
}

impl Update {
    /// Inputs are a parameter, its gradient, the temperature, its state, scalars.
    fn new(optimizer: &dyn Optimizer, variable: &Variable, float: DType) -> Result<Update, Error> {
        let b = Builder::of(float);
        let input = |name: &str| b.input(name, variable.ty.clone());
        let (parameter, gradient) = (input("parameter"), input("gradient"));
        let temperature = b.input("temperature", Type::new(float, []));
        let state: Vec<Expr<'_>> =
            optimizer.state(variable).iter().map(|name| input(&format!("state/{name}"))).collect();
        let scalar = |name: &String| b.input(&format!("scalar/{name}"), Type::new(float, []));
        let scalars: Vec<Expr<'_>> = optimizer.scalars().iter().map(scalar).collect();
        let step = Step { state: &state, scalars: &scalars, temperature, ..Step::new(variable, parameter) };
        let value = optimizer.value(&step).value();
        let update = optimizer.update(&step, gradient);
        b.check()?;
        let (parameter, state) = (update.parameter.value(), update.state.iter().map(|new| new.value()).collect());
        Ok(Update { parameter, value, state, graph: b.finish()? })
    }

    /// Whether the optimizer does the same with both parameters, so that what is proved of one holds for the other.
    fn is_like(&self, other: &Update) -> bool {
        let values = |update: &Update| [update.parameter, update.value].into_iter().chain(update.state.clone());
        self.graph.nodes() == other.graph.nodes() && values(self).eq(values(other))
    }

    /// The range of the parameter and of what the network computes with, and the ranges of the state after an update,
    /// if the state was in `known`.
    fn after(&self, analysis: &RangeAnalysis<'_>, known: &[Range]) -> ([Range; 2], Vec<Range>) {
        // with room for the rounding of a bound
        let to = |size: f64| Range::new(-size, size);
        let largest = match self.graph.ty(self.parameter).dtype {
            DType::F64 => f64::MAX,
            _ => f32::MAX.into(),
        };
        let gradient = to(1.01 * LARGEST_GRADIENT);
        let ranges = analysis.ranges(|i| match i {
            0 => to(largest),
            1 => gradient,
            2 => Range::new(0.0, LARGEST_SCALAR),
            _ => known.get(i - 3).copied().unwrap_or(to(LARGEST_SCALAR)),
        });
        let of = |value: Value| ranges[value.index()];
        ([of(self.parameter), of(self.value)], self.state.iter().map(|new| of(*new)).collect())
    }

    /// Ranges around those that are known, which state in them does not leave, with all that the update gives finite.
    fn never_leaves(&self, mut known: Vec<Range>) -> Result<Option<Vec<Range>>, Error> {
        /// State that grows without end, or slowly, is given up.
        const TRIES: usize = 400;
        let analysis = RangeAnalysis::new(&self.graph, |_| None)?;
        for _ in 0..TRIES {
            let (values, state) = self.after(&analysis, &known);
            if !values.iter().chain(&state).all(|new| new.is_finite()) {
                return Ok(None);
            }
            let before = known.clone();
            known = known.iter().zip(state).map(|(known, new)| widened(*known, new)).collect();
            if known == before {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

/// By interval analysis of updates: for each state tensor a range that contains it, and that no update leaves; none if
/// it finds none, or if an update may not be finite.
fn prove(
    optimizer: &dyn Optimizer,
    variables: &[Variable],
    state: &[(String, Tensor)],
    float: DType,
) -> Result<Option<Vec<Range>>, Error> {
    // updates that differ, each with the range that its state starts in
    let mut kinds: Vec<(Update, Vec<Range>)> = Vec::new();
    let mut kind_of = Vec::new();
    let mut states = state.iter();
    for variable in variables.iter().filter(|variable| variable.trainable) {
        let count = optimizer.state(variable).len();
        let update = Update::new(optimizer, variable, float)?;
        if update.state.len() != count {
            return Ok(None);
        }
        let own = states.by_ref().take(count).map(|(_, tensor)| Range::of(tensor));
        let kind = kinds.iter().position(|(other, _)| other.is_like(&update)).unwrap_or_else(|| {
            kinds.push((update, vec![Range::new(0.0, 0.0); count]));
            kinds.len() - 1
        });
        kind_of.push(kind);
        let known = &mut kinds[kind].1;
        *known = known.iter().zip(own).map(|(known, new)| widened(*known, new)).collect();
    }
    let proved = kinds.into_iter().map(|(update, known)| update.never_leaves(known));
    let Some(ranges) = proved.collect::<Result<Option<Vec<_>>, _>>()? else { return Ok(None) };
    Ok(Some(kind_of.into_iter().flat_map(|kind| ranges[kind].clone()).collect()))
}

/// The first range, with ends moved out to twice those of the second where that is beyond: so that ends are reached.
fn widened(known: Range, new: Range) -> Range {
    let low = if new.low < known.low { 2.0 * new.low } else { known.low };
    let high = if new.high > known.high { 2.0 * new.high } else { known.high };
    Range { low, high, nan: known.nan || new.nan }
}
