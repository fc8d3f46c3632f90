//! Which stages must wait for which: found from the memory they touch, so that whatever the reason is - a value that is read, one that
//! is overwritten, memory that is used again - none can be forgotten.

use bayeslift_codegen::{Argument, Code};
use bayeslift_passes::{Access, Place, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// For each stage those before it that touch the same memory, one of the two writing.
pub(crate) fn dependencies(plan: &Plan, code: &Code) -> Vec<BTreeSet<usize>> {
    let stages = code.stages();
    let graph = &plan.graph;
    let bytes = |value| graph.ty(value).shape.elements() * 4;
    // one after the other: the arena, what tiles share, inputs, outputs
    let mut end = plan.arena_bytes + code.shared_bytes();
    let mut place = |bytes: usize| {
        end += bytes;
        end - bytes
    };
    let inputs: Vec<usize> = graph.inputs().iter().map(|input| place(bytes(input.value))).collect();
    let outputs: Vec<usize> = graph.outputs().iter().map(|output| place(bytes(output.value))).collect();
    let range = |access: &Access| {
        let start = match access.place {
            Place::Arena(offset) => offset,
            Place::Input(i) => inputs[i],
            Place::Output(i) => outputs[i],
        };
        start..start + access.bytes as usize
    };
    let shared = plan.arena_bytes..plan.arena_bytes + code.shared_bytes();

    let work = plan.work();
    let mut memory = Memory::new(end);
    let mut dependencies = Vec::with_capacity(stages.len());
    for (i, stage) in stages.iter().enumerate() {
        let (work, mut waits) = (&work[stage.kernel], BTreeSet::new());
        let is_last = stages.get(i + 1).is_none_or(|next| next.kernel != stage.kernel);
        work.reads.iter().for_each(|access| memory.touch(i, range(access), false, &mut waits));
        if stage.arguments.contains(&Argument::Shared) {
            memory.touch(i, shared.clone(), !is_last, &mut waits);
        }
        if is_last {
            work.writes.iter().for_each(|access| memory.touch(i, range(access), true, &mut waits));
        }
        waits.remove(&i);
        dependencies.push(waits);
    }
    dependencies
}

/// Who wrote each part of the memory last, and who has read it since.
struct Memory(BTreeMap<usize, Part>);

#[derive(Clone, Default)]
struct Part {
    end: usize,
    writer: Option<usize>,
    readers: Vec<usize>,
}

impl Memory {
    fn new(end: usize) -> Memory {
        Memory(BTreeMap::from([(0, Part { end, ..Part::default() })]))
    }

    /// Notes that a stage reads or writes a range, and adds what it must wait for.
    fn touch(&mut self, stage: usize, range: Range<usize>, writes: bool, waits: &mut BTreeSet<usize>) {
        self.split(range.start);
        self.split(range.end);
        for (_, part) in self.0.range_mut(range.clone()) {
            waits.extend(part.writer);
            if writes {
                waits.extend(&part.readers);
                *part = Part { end: part.end, writer: Some(stage), readers: Vec::new() };
            } else {
                part.readers.push(stage);
            }
        }
    }

    fn split(&mut self, at: usize) {
        let Some((&start, part)) = self.0.range_mut(..at).next_back() else { return };
        if start < at && at < part.end {
            let upper = part.clone();
            part.end = at;
            self.0.insert(at, upper);
        }
    }
}
