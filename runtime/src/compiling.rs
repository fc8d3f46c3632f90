//! Compilations under way. They take locks in libraries, and a process that is forked meanwhile would wait for them
//! without end, since of all threads it has only the one that forked: it gets an error instead.

use crate::Error;
use std::sync::atomic::{AtomicU64, Ordering};

/// The process that compiled last in the upper half, and how many of its threads are at it. Orders nothing.
static STATE: AtomicU64 = AtomicU64::new(0);

/// A compilation, until it is dropped.
pub(crate) struct Compiling(());

impl Compiling {
    pub fn begin() -> Result<Compiling, Error> {
        Compiling::count(&STATE, std::process::id()).then_some(Compiling(())).ok_or(Error::ForkedWhileCompiling)
    }

    /// Whether this process may compile; counts it then.
    fn count(state: &AtomicU64, process: u32) -> bool {
        let own = u64::from(process) << 32;
        let begin = |state: u64| match state as u32 {
            0 => Some(own | 1),
            _ if state >> 32 == u64::from(process) => Some(state + 1),
            // threads of the process that this one was forked from: none of them is here, and none will finish
            _ => None,
        };
        state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, begin).is_ok()
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        STATE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forked_processes_know_what_their_parents_were_at() {
        let state = AtomicU64::new(0);
        assert!(Compiling::count(&state, 7) && Compiling::count(&state, 7));
        assert!(!Compiling::count(&state, 8) && !Compiling::count(&state, 8));
        state.fetch_sub(2, Ordering::Relaxed);
        assert!(Compiling::count(&state, 8));
        assert!(!Compiling::count(&state, 7));
    }
}
