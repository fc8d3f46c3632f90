//! Memory, every access to which is checked.

use crate::tile::{Base, Fault};

fn within(elements: usize, memory: Base, element: i128) -> Result<usize, Fault> {
    let place = usize::try_from(element).ok().filter(|&place| place < elements);
    place.ok_or(Fault::OutOfBounds { memory, element, elements })
}

pub(super) fn read(words: &[u32], base: Base, element: i128) -> Result<u32, Fault> {
    within(words.len(), base, element).map(|place| words[place])
}

pub(super) fn write(words: &mut [u32], base: Base, element: i128, word: u32) -> Result<(), Fault> {
    words[within(words.len(), base, element)?] = word;
    Ok(())
}
