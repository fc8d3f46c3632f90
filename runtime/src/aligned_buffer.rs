//! Zeroed memory, aligned to cache lines.

use crate::Error;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment of arenas and scratch memory: a cache line.
const ALIGNMENT: usize = 64;

/// What allocators align to anyway. Of more, they take memory and fill it with zeros; of this, they take zeros from the
/// system, which has them for nothing until they are touched.
const NATURAL: usize = 16;

/// Of fewer bytes allocators keep memory of their own, and fill it in any case.
const FROM_THE_SYSTEM: usize = 1 << 17;

/// Zeroed memory, aligned to a cache line.
#[derive(Debug)]
pub(crate) struct AlignedBuffer {
    /// Where it was allocated.
    memory: NonNull<u8>,
    layout: Layout,
    /// Where the first whole cache line begins.
    start: NonNull<u8>,
}

// SAFETY: a buffer owns its memory like a `Box<[u8]>`.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared references give only its address.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    pub fn new(bytes: usize, what: &'static str) -> Result<AlignedBuffer, Error> {
        let out_of_memory = || Error::OutOfMemory { what, bytes: bytes as u64 };
        let layout = if bytes < FROM_THE_SYSTEM {
            Layout::from_size_align(bytes.max(ALIGNMENT), ALIGNMENT)
        } else {
            Layout::from_size_align(bytes.saturating_add(ALIGNMENT - 1), NATURAL)
        };
        let layout = layout.map_err(|_| out_of_memory())?;
        // SAFETY: the layout has a positive size.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(out_of_memory)?;
        let before = memory.addr().get().wrapping_neg() % ALIGNMENT;
        // SAFETY: the first multiple of the alignment is here, or less than the alignment further on, and there is that
        // much more.
        let start = unsafe { memory.add(before) };
        Ok(AlignedBuffer { memory, layout, start })
    }

    pub fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}
