//! What must wait for what: found from the memory that stages, and tiles of them, touch, so that none can be
//! forgotten, whatever the reason is: a value that is read, one that is overwritten, memory that is used again.

use bayeslift_codegen::{KernelTable, Stage, Tiling};
use bayeslift_ir::Type;
use bayeslift_passes::{Footprint, Place};
use std::collections::BTreeMap;
use std::ops::Range;

/// Memory that is read or written, as bytes of [`Addresses`].
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    pub bytes: Range<usize>,
    pub writes: bool,
}

impl Touched {
    pub fn conflicts(&self, other: &Touched) -> bool {
        let overlap = self.bytes.start.max(other.bytes.start) < self.bytes.end.min(other.bytes.end);
        overlap && (self.writes || other.writes)
    }
}

/// What a stage reads or writes of a value.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    whole: Touched,
    element_bytes: usize,
    /// What each element touches, and which elements a tile has; `None` where a tile may touch everything.
    by_element: Option<(Footprint, Tiling)>,
}

impl Touch {
    /// Whether some tiles here may have to do with some there.
    pub fn may_conflict(&self, other: &Touch) -> bool {
        self.whole.conflicts(&other.whole)
    }

    /// What some tiles touch.
    pub fn of(&self, tiles: Range<usize>) -> Touched {
        let whole = &self.whole;
        let bytes = match self.by_element {
            _ if tiles.is_empty() => whole.bytes.start..whole.bytes.start,
            None => whole.bytes.clone(),
            Some((footprint, tiling)) => {
                let elements = footprint.of(tiling.begin(tiles.start)..tiling.end(tiles.end));
                let [start, end] = [elements.start, elements.end].map(|n| whole.bytes.start + n * self.element_bytes);
                start..end
            }
        };
        Touched { bytes, ..*whole }
    }
}

/// All memory that stages can touch as one range of bytes: the arena, what tiles share, inputs, outputs.
pub(crate) struct Addresses {
    pub shared: Range<usize>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    pub end: usize,
}

impl Addresses {
    pub fn new(table: &KernelTable) -> Addresses {
        let shared = table.arena_bytes..table.arena_bytes + table.shared_bytes;
        let mut end = shared.end;
        let mut take = |ty: &Type| {
            let start = end;
            end += ty.bytes();
            start
        };
        let inputs = table.inputs.iter().map(|input| take(&input.ty)).collect();
        let outputs = table.outputs.iter().map(|output| take(&output.ty)).collect();
        Addresses { shared, inputs, outputs, end }
    }

    pub fn start(&self, place: Place) -> usize {
        match place {
            Place::Arena(offset) => offset,
            Place::Input(i) => self.inputs[i],
            Place::Output(i) => self.outputs[i],
        }
    }

    /// What a stage touches.
    pub fn touches(&self, stage: &Stage) -> Vec<Touch> {
        let touch = |touch: &bayeslift_codegen::Touch| {
            let start = touch.place.map_or(self.shared.start, |place| self.start(place));
            let whole = Touched { bytes: start..start + touch.bytes, writes: touch.writes };
            let by_element = touch.footprint.zip(stage.tiling);
            Touch { whole, element_bytes: touch.element_bytes, by_element }
        };
        stage.touches.iter().map(touch).collect()
    }
}

/// Some parts of the work of this number, as bits: at most 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub work: usize,
    pub mask: u64,
}

/// For each part of each work, the parts of earlier works that it must wait for, found from what they touch. Parts of
/// one work do not wait for each other.
pub(crate) fn waits(end: usize, works: impl Iterator<Item = Vec<Vec<Touched>>>) -> Vec<Vec<Vec<Parts>>> {
    let mut memory = Memory(BTreeMap::from([(0, Piece { end, ..Piece::default() })]));
    let of_work = |(work, parts): (usize, Vec<Vec<Touched>>)| {
        let waits = parts.iter().map(|touched| memory.waits(touched)).collect();
        memory.touch(work, &parts);
        waits
    };
    works.enumerate().map(of_work).collect()
}

/// Who wrote each piece of memory last, and who has read it since.
struct Memory(BTreeMap<usize, Piece>);

#[derive(Clone, Default)]
struct Piece {
    end: usize,
    writers: Vec<Parts>,
    readers: Vec<Parts>,
}

impl Memory {
    /// What must be over before all that is touched.
    fn waits(&mut self, touched: &[Touched]) -> Vec<Parts> {
        let mut waits = BTreeMap::new();
        for Touched { bytes, writes } in touched {
            for piece in self.pieces(bytes) {
                let readers = if *writes { &piece.readers[..] } else { &[] };
                for parts in piece.writers.iter().chain(readers) {
                    *waits.entry(parts.work).or_insert(0) |= parts.mask;
                }
            }
        }
        waits.into_iter().map(|(work, mask)| Parts { work, mask }).collect()
    }

    /// Notes what the parts of some work touch, which comes after all that was noted before.
    fn touch(&mut self, work: usize, parts: &[Vec<Touched>]) {
        for (part, touched) in parts.iter().enumerate() {
            for Touched { bytes, writes } in touched {
                self.pieces(bytes).for_each(|piece| piece.touch(Parts { work, mask: 1 << part }, *writes));
            }
        }
    }

    /// The pieces of a range, cut where it begins and ends.
    fn pieces(&mut self, bytes: &Range<usize>) -> impl Iterator<Item = &mut Piece> {
        for at in [bytes.start, bytes.end] {
            let Some((&start, piece)) = self.0.range_mut(..=at).next_back() else { continue };
            if start < at && at < piece.end {
                let upper = piece.clone();
                piece.end = at;
                self.0.insert(at, upper);
            }
        }
        self.0.range_mut(bytes.clone()).map(|(_, piece)| piece)
    }
}

impl Piece {
    fn touch(&mut self, part: Parts, writes: bool) {
        let is_same = |parts: &Parts| parts.work == part.work;
        if writes && !self.writers.last().is_some_and(is_same) {
            // whoever waits for the new writers waits for those that they wait for
            self.writers.clear();
            self.readers.retain(is_same);
        }
        let those = if writes { &mut self.writers } else { &mut self.readers };
        match those.last_mut().filter(|last| is_same(last)) {
            Some(last) => last.mask |= part.mask,
            None => those.push(part),
        }
    }
}
