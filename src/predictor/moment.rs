//! Locks that are held for a moment, and that a forked process does not wait for.

use std::{
    process,
    sync::{Mutex, MutexGuard, TryLockError},
    thread,
};

/// A lock that nobody holds for longer than a moment. In a process that was forked since, whoever holds it may be a
/// thread that is not there; then, after a while, it is not to be had.
#[derive(Debug)]
pub struct MomentaryLock<T> {
    process: u32,
    mutex: Mutex<T>,
}

impl<T: Default> Default for MomentaryLock<T> {
    fn default() -> Self {
        MomentaryLock { process: process::id(), mutex: Mutex::default() }
    }
}

impl<T> MomentaryLock<T> {
    /// The lock; `None` only in a process that was forked.
    pub fn lock(&self) -> Option<MutexGuard<'_, T>> {
        const ATTEMPTS: usize = 500;
        let mut attempts = 0;
        loop {
            match self.mutex.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
                Err(TryLockError::WouldBlock) if attempts >= ATTEMPTS && process::id() != self.process => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
            attempts += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// However long a thread of the same process holds it, such as one that the system does not let run.
    #[test]
    fn one_waits_for_threads_of_the_same_process() {
        let lock = MomentaryLock::<u32>::default();
        thread::scope(|scope| {
            let mut held = lock.lock().unwrap();
            let waiting = scope.spawn(|| lock.lock().map(|held| *held));
            thread::sleep(Duration::from_millis(50));
            *held = 7;
            drop(held);
            assert_eq!(waiting.join().unwrap(), Some(7));
        });
    }

    #[test]
    fn one_does_not_wait_for_another_process() {
        let lock = MomentaryLock::<u32> { process: process::id() ^ 1, ..MomentaryLock::default() };
        let _held = lock.lock().unwrap();
        assert!(lock.lock().is_none());
    }
}
