//! The memory of a call.

use crate::{Error, call::Crew, trial::Trial};
use bayeslift_ir::memory::Reservation;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

/// Alignment of arenas and scratch memory: a cache line.
const ALIGNMENT: usize = 64;

/// What allocators align to anyway. Of more, they take memory and fill it with zeros; of this, they take zeros from the system, which
/// has them for nothing until they are touched.
const NATURAL: usize = 16;

/// Of fewer bytes allocators keep memory of their own, and fill it in any case.
const FROM_THE_SYSTEM: usize = 1 << 17;

/// Zeroed memory, aligned to a cache line.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it was allocated.
    memory: NonNull<u8>,
    layout: Layout,
    /// Where the first whole cache line begins.
    start: NonNull<u8>,
}

// SAFETY: a block owns its memory like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: shared references give only its address.
unsafe impl Sync for Block {}

impl Block {
    pub fn new(bytes: usize, what: &'static str) -> Result<Block, Error> {
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
        // SAFETY: the first multiple of the alignment is here, or less than the alignment further on, and there is that much more.
        let start = unsafe { memory.add(before) };
        Ok(Block { memory, layout, start })
    }

    pub fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

/// The memory that one call of an [`Executable`](crate::Executable) uses: intermediate values, what the
/// threads of a kernel share, and each thread's scratch. Reuse it from call to call; have one per thread that calls.
#[derive(Debug)]
pub struct Workspace {
    /// Identifies the executable it was made for.
    pub(crate) owner: u64,
    /// Intermediate values, and what the tiles of one kernel share: what `pointers` point to, so kept as long as they are.
    pub(crate) _memory: [Block; 2],
    /// Of each thread.
    pub(crate) scratch: Vec<Block>,
    /// Of all this memory, until a call has touched it.
    pub(crate) untouched: Option<Reservation>,
    /// The threads that work on a call.
    pub(crate) crew: Arc<Crew>,
    /// How long calls have taken, where that decides on how many threads they run.
    pub(crate) trial: Trial,
    /// Where the inputs are, and then the outputs: filled anew for each call.
    pub(crate) tensors: Vec<*mut u8>,
    /// The pointers that kernels are called with: those to the caller's tensors are filled anew for each call, the others are to
    /// the blocks above and to words that the executable owns.
    pub(crate) pointers: Vec<*mut u8>,
}

// SAFETY: of the pointers, those are used again in later calls that are to the workspace's own blocks, and to words in the code of
// the executable, which is the same one, is alive then, and never writes them. A call has the workspace to itself.
unsafe impl Send for Workspace {}
// SAFETY: as above; nothing follows the pointers through a shared reference.
unsafe impl Sync for Workspace {}
