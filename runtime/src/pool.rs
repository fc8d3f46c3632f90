//! Threads that help with calls: one set a process, started with the first workspace that wants them, asleep while
//! nobody calls.
//!
//! No caller waits for a worker that has claimed nothing: one that never started, that the system does not run, or that
//! is missing after a fork merely does not help. So callers only try the locks of workers that were started; what is
//! locked is not idle.

use crate::team::{Slot, Team, lock};
use bayeslift_ir::Environment;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// More threads never work on one call, the calling one among them.
pub(crate) const MAX_THREADS: usize = 256;

static WORKERS: [Worker; MAX_THREADS - 1] = [const { Worker::new() }; MAX_THREADS - 1];

/// How many of the workers, the first ones, were asked to start. Orders nothing, so all its uses are relaxed.
static ASKED: AtomicUsize = AtomicUsize::new(0);

struct Worker {
    /// Locked by the worker while it works.
    state: Mutex<State>,
    called: Condvar,
}

enum State {
    /// Not started: nobody wanted it yet, or the system has no thread for it.
    Absent,
    Idle,
    Called(Slot),
}

impl Worker {
    const fn new() -> Worker {
        Worker { state: Mutex::new(State::Absent), called: Condvar::new() }
    }

    /// At most once for each worker.
    fn start(&'static self) {
        let mut state = lock(&self.state);
        if thread::Builder::new().name("bayeslift".into()).spawn(|| self.serve()).is_ok() {
            *state = State::Idle;
        }
    }

    /// Works wherever it is called to, without end: nothing here panics, and compiled code does not unwind.
    fn serve(&self) {
        // a thread begins with the floating-point environment of the one that started it
        let _environment = Environment::enter();
        let mut state = lock(&self.state);
        loop {
            if let State::Called(slot) = &*state {
                slot.work();
                *state = State::Idle;
            }
            state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Its state, if it has nothing to do.
    fn idle(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok().filter(|state| matches!(**state, State::Idle))
    }
}

/// Starts workers for calls on this many threads, those that are missing. Calls do not: it takes memory.
pub(crate) fn start(threads: usize) {
    let asked = ASKED.fetch_max(threads - 1, Ordering::Relaxed);
    WORKERS.iter().take(threads - 1).skip(asked).for_each(Worker::start);
}

/// Wakes idle workers for the free slots among the first of a team, so that `threads` threads work there if as many
/// are to be had.
pub(crate) fn enlist(team: &Arc<Team>, threads: usize) {
    let workers = WORKERS.iter().take(ASKED.load(Ordering::Relaxed));
    let mut idle = workers.filter_map(|worker| Some((worker, worker.idle()?)));
    for thread in (1..threads).filter(|&thread| team.has_free(thread)) {
        let Some((worker, mut state)) = idle.next() else { return };
        *state = State::Called(Slot::take(team, thread));
        drop(state);
        worker.called.notify_one();
    }
}
