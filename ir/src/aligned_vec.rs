//! The elements of a tensor.

use crate::memory;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The bytes of a cache line.
const LINE: usize = 64;

/// A vector that can be moved to the beginning of a cache line, and then stays there, as do copies of it.
pub(crate) struct AlignedVec<T> {
    buffer: Vec<T>,
    /// Where the elements begin in the buffer.
    start: usize,
    is_aligned: bool,
}

impl<T> From<Vec<T>> for AlignedVec<T> {
    fn from(buffer: Vec<T>) -> AlignedVec<T> {
        AlignedVec { start: 0, buffer, is_aligned: false }
    }
}

impl<T: Copy + Default> AlignedVec<T> {
    pub fn align(&mut self) {
        // a copy is made; without memory for it access is only slower
        if !self.is_aligned && memory::check(self.len(), size_of::<T>(), "a copy").is_ok() {
            *self = self.aligned();
        }
    }

    fn aligned(&self) -> AlignedVec<T> {
        let spare = LINE / size_of::<T>() - 1;
        let mut buffer: Vec<T> = Vec::with_capacity(self.len() + spare);
        let offset = buffer.as_ptr().align_offset(LINE);
        // `align_offset` may know of none: then access is only slower
        let start = if offset <= spare { offset } else { 0 };
        buffer.resize(start, T::default());
        buffer.extend_from_slice(self);
        AlignedVec { buffer, start, is_aligned: true }
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.buffer[self.start..]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..]
    }
}

impl<T: Copy + Default> Clone for AlignedVec<T> {
    fn clone(&self) -> AlignedVec<T> {
        if self.is_aligned { self.aligned() } else { self.to_vec().into() }
    }
}

impl<T: PartialEq> PartialEq for AlignedVec<T> {
    fn eq(&self, other: &AlignedVec<T>) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for AlignedVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_elements_stay_aligned_and_the_same() {
        for len in [0, 1, 15, 16, 1000, 100_000] {
            let elements: Vec<u32> = (0..len).collect();
            let mut aligned = AlignedVec::from(elements.clone());
            aligned.align();
            let moved = vec![aligned.clone(), aligned];
            for aligned in &moved {
                assert_eq!(aligned.as_ptr().align_offset(LINE), 0, "{len} elements");
                assert_eq!(aligned[..], elements);
            }
        }
    }
}
