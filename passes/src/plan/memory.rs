//! The arena: values share memory when their lifetimes do not overlap, unless all of them take little.

use super::{Place, Plan, Read, groups::UNASSIGNED};
use bayeslift_ir::{Error, Graph, Value};

/// Offsets and sizes are multiples of this: a cache line.
pub(super) const ALIGNMENT: usize = 64;
/// Of so few bytes all values keep their memory, so that kernels need not wait for others to have read what was there.
const FEW: usize = 1 << 17;
/// The largest arena.
const MAX_ARENA: usize = 1 << 36;

/// Assigns offsets in the arena to the values that are to lie there.
pub(super) fn assign(plan: &mut Plan) -> Result<(), Error> {
    let lifetimes = lifetimes(plan);
    let arena = || plan.graph.values().filter(|value| plan.places[value.index()] == Some(UNASSIGNED));
    let all: usize = arena().map(|value| size_of(&plan.graph, value)).fold(0, usize::saturating_add);
    let mut free = FreeList::default();
    for (born, dead) in &lifetimes {
        for &value in born {
            plan.places[value.index()] = Some(Place::Arena(free.take(size_of(&plan.graph, value))));
        }
        if all <= FEW {
            continue;
        }
        for &value in dead {
            let Some(Place::Arena(offset)) = plan.places[value.index()] else { unreachable!("born before it dies") };
            free.give(offset, size_of(&plan.graph, value));
        }
    }
    for write in plan.kernels.iter_mut().flat_map(|kernel| &mut kernel.writes) {
        if write.place == UNASSIGNED {
            write.place = plan.places[write.value.index()].expect("what is written has a place");
        }
    }
    plan.arena_bytes = free.end;
    if plan.arena_bytes > MAX_ARENA {
        let size = plan.arena_bytes as u64;
        return Err(Error::TooLarge { what: "bytes of intermediate values", size, limit: MAX_ARENA as u64 });
    }
    Ok(())
}

/// The bytes that a value takes in the arena.
pub(super) fn size_of(graph: &Graph, value: Value) -> usize {
    graph.ty(value).bytes().next_multiple_of(ALIGNMENT)
}

/// For each kernel the arena values it is the first to write and the last to touch.
fn lifetimes(plan: &Plan) -> Vec<(Vec<Value>, Vec<Value>)> {
    let mut touched = vec![None; plan.places.len()];
    for (k, kernel) in plan.kernels.iter().enumerate() {
        let written = kernel.writes.iter().map(|write| write.value);
        let read = kernel.reads.iter().flat_map(Read::views).map(|view| view.source);
        for value in written.chain(read).filter(|value| plan.places[value.index()] == Some(UNASSIGNED)) {
            let (_, last) = touched[value.index()].get_or_insert((k, k));
            *last = k;
        }
    }
    let mut lifetimes = vec![(Vec::new(), Vec::new()); plan.kernels.len()];
    for value in plan.graph.values() {
        if let Some((first, last)) = touched[value.index()] {
            lifetimes[first].0.push(value);
            lifetimes[last].1.push(value);
        }
    }
    lifetimes
}

/// Free ranges below the end of the arena, by offset; takes the smallest that fits.
#[derive(Default)]
struct FreeList {
    ranges: Vec<(usize, usize)>,
    end: usize,
}

impl FreeList {
    fn take(&mut self, size: usize) -> usize {
        let fitting = self.ranges.iter().enumerate().filter(|(_, range)| range.1 >= size);
        if let Some((i, _)) = fitting.min_by_key(|(_, range)| (range.1, range.0)) {
            let (offset, length) = self.ranges[i];
            if length == size {
                self.ranges.remove(i);
            } else {
                self.ranges[i] = (offset + size, length - size);
            }
            return offset;
        }
        // Nothing fits: extend the last range if it touches the end.
        if let Some(&(offset, length)) = self.ranges.last()
            && offset + length == self.end
        {
            self.ranges.pop();
            self.end = offset + size;
            return offset;
        }
        let offset = self.end;
        self.end += size;
        offset
    }

    fn give(&mut self, offset: usize, size: usize) {
        let i = self.ranges.partition_point(|range| range.0 < offset);
        self.ranges.insert(i, (offset, size));
        if i + 1 < self.ranges.len() && offset + size == self.ranges[i + 1].0 {
            self.ranges[i].1 += self.ranges.remove(i + 1).1;
        }
        if i > 0 && self.ranges[i - 1].0 + self.ranges[i - 1].1 == self.ranges[i].0 {
            self.ranges[i - 1].1 += self.ranges.remove(i).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges that are taken do not overlap, whatever was given back before.
    #[test]
    fn ranges_in_use_are_apart() {
        let mut random = 1_u64;
        let mut below = |n: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % n
        };
        let (mut free, mut used): (FreeList, Vec<(usize, usize)>) = Default::default();
        for _ in 0..5000 {
            if !used.is_empty() && below(2) == 0 {
                let (offset, size) = used.swap_remove(below(used.len()));
                free.give(offset, size);
                continue;
            }
            let size = (1 + below(9)) * ALIGNMENT;
            let offset = free.take(size);
            let apart = |&(other, length): &(usize, usize)| other + length <= offset || offset + size <= other;
            assert!(used.iter().all(apart) && offset + size <= free.end, "{offset} of {size} beside {used:?}");
            used.push((offset, size));
        }
        assert!(free.end < 1000 * 9 * ALIGNMENT, "nothing is used again: {}", free.end);
    }
}
