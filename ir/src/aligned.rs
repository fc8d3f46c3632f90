//! Elements that begin at a cache line.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The bytes of a cache line.
const LINE: usize = 64;

/// A vector whose first element lies at the beginning of a cache line, so that vectors of sixteen lanes lie in one line each.
pub(crate) struct Aligned<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> From<Vec<T>> for Aligned<T> {
    /// Keeps the elements where they are if that is the beginning of a line.
    fn from(elements: Vec<T>) -> Aligned<T> {
        if elements.as_ptr().align_offset(LINE) == 0 {
            return Aligned { start: 0, len: elements.len(), buffer: elements };
        }
        Aligned::copied(&elements)
    }
}

impl<T: Copy + Default> Aligned<T> {
    fn copied(elements: &[T]) -> Aligned<T> {
        let spare = LINE / size_of::<T>() - 1;
        let mut buffer: Vec<T> = Vec::with_capacity(elements.len() + spare);
        let offset = buffer.as_ptr().align_offset(LINE);
        // nothing is wrong with elements that lie elsewhere: access to them is a little slower
        let start = if offset <= spare { offset } else { 0 };
        buffer.resize(start, T::default());
        buffer.extend_from_slice(elements);
        Aligned { buffer, start, len: elements.len() }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}

impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Aligned<T> {
        Aligned::copied(self)
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Aligned<T>) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_begin_at_a_line_and_stay_the_same() {
        for len in [0, 1, 15, 16, 1000, 100_000] {
            let elements: Vec<u32> = (0..len).collect();
            let aligned = Aligned::from(elements.clone());
            let moved = vec![aligned.clone(), aligned];
            for aligned in &moved {
                assert_eq!(aligned.as_ptr().align_offset(LINE), 0, "{len} elements");
                assert_eq!(aligned[..], elements);
            }
        }
    }
}
