//! What stands in for targets that are missing.

use super::targets::{is_known, of_event};
use crate::Targets;
use bayeslift_layers::likelihood::{Support, Target};
use std::borrow::Cow;

/// The targets, with some that the likelihood takes in the place of those of events that are not known, whatever was
/// there. The graph computes densities of these too, and only then leaves them out; of `NaN` gradients would be `NaN`.
pub(super) fn with_stand_ins<'t>(target: &Target, targets: &'t Targets, present: Option<&[bool]>) -> Cow<'t, Targets> {
    let Some(present) = present else { return Cow::Borrowed(targets) };
    let filled = match targets {
        Targets::Labels(labels) => {
            let classes = target.classes().unwrap_or(usize::MAX);
            fill(labels, target, present, |label| (label as usize) < classes, 0).map(Targets::Labels)
        }
        Targets::Values { units, values } => {
            // coordinates are a point only together
            let is_point = matches!(target.support, Support::Simplex(_));
            let may_stay = |value: f32| !is_point && target.support.contains(value.into());
            let filled = fill(values, target, present, may_stay, target.support.stand_in() as f32);
            filled.map(|values| Targets::Values { units: *units, values })
        }
        Targets::Doubles { units, values } => {
            let is_point = matches!(target.support, Support::Simplex(_));
            let may_stay = |value| !is_point && target.support.contains(value);
            let filled = fill(values, target, present, may_stay, target.support.stand_in());
            filled.map(|values| Targets::Doubles { units: *units, values })
        }
    };
    filled.map_or(Cow::Borrowed(targets), Cow::Owned)
}

/// The targets, with the stand-in for all of an event that is not known, unless all of them may stay; `None` if that
/// changes none.
fn fill<T: Copy>(
    targets: &[T],
    target: &Target,
    present: &[bool],
    may_stay: impl Fn(T) -> bool,
    stand_in: T,
) -> Option<Vec<T>> {
    let size = of_event(target);
    let is_bad = |event: &[T], present: &[bool]| !is_known(present) && !event.iter().all(|&target| may_stay(target));
    let mut events = targets.chunks(size).zip(present.chunks(size));
    if !events.any(|(event, present)| is_bad(event, present)) {
        return None;
    }
    let mut filled = targets.to_vec();
    for (event, present) in filled.chunks_mut(size).zip(present.chunks(size)) {
        if is_bad(event, present) {
            event.fill(stand_in);
        }
    }
    Some(filled)
}
