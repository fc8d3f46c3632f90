//! Walking the kernels of a call, on one thread or several. The split of work never changes the bits.
//!
//! A kernel has one stage or two. The tiles of a stage are cut into runs, and threads claim runs until none is left; a stage is
//! over when all its runs are finished. The calling thread claims like the others, so it waits for runs that others are at, and for
//! nothing else.

use crate::{
    environment::Guard,
    pool::{self, lock},
    workspace::{Block, Workspace},
};
use bayeslift_codegen::{Code, Stage};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Below this many vector operations a kernel is not worth more threads than one.
const COST_OF_A_THREAD: usize = 1 << 15;

/// How many runs there are for each thread: a thread that comes late or is interrupted leaves the others work.
const RUNS_PER_THREAD: usize = 4;

/// How long a thread has its core to itself while it waits, longer than most small kernels take.
const SPIN: Duration = Duration::from_micros(10);

/// How long it waits before it sleeps: about as long as waking up takes.
const PATIENCE: Duration = Duration::from_micros(50);

/// How many of at most `threads` threads a stage is worth.
pub(crate) fn share(stage: &Stage, threads: usize) -> usize {
    (stage.cost / COST_OF_A_THREAD).min(stage.tiles).clamp(1, threads)
}

/// How many of at most `threads` threads a call keeps busy.
pub(crate) fn useful_threads(code: &Code, threads: usize) -> usize {
    code.stages().iter().map(|stage| share(stage, threads)).max().unwrap_or(1)
}

/// Runs all kernels in order, on as many threads as `workspace` has scratch memory for; on fewer where others are busy.
/// `workspace.pointers` holds the arguments of all stages, one after the other. Adds the time of each kernel to `times`, if
/// that is given.
///
/// # Safety
/// Every pointer must be valid for the extent of its value in the plan that `code` was compiled from, or for what the
/// code shares, writable where a kernel writes, and distinct writable memories must not overlap.
pub(crate) unsafe fn run(code: &Code, workspace: &mut Workspace, times: Option<&mut [Duration]>) {
    let _guard = Guard::enter();
    let mut pointers = workspace.pointers.as_slice();
    let times = times.unwrap_or_default();
    for stage in code.stages() {
        let timed = times.get_mut(stage.kernel).map(|time| (time, Instant::now()));
        let (own, rest) = pointers.split_at(stage.arguments.len());
        pointers = rest;
        let threads = share(stage, workspace.scratch.len());
        let runs = if threads == 1 { 1 } else { stage.tiles.min(threads * RUNS_PER_THREAD) };
        let job = Job { stage, pointers: own, scratch: &workspace.scratch, runs };
        if threads == 1 {
            // SAFETY: the caller vouches for the pointers; nobody else is at work.
            unsafe { job.run(0, 0) };
        } else {
            // SAFETY: the caller vouches for the pointers, and has the workspace to itself.
            unsafe { workspace.crew.run(&job, threads) };
        }
        if let Some((time, start)) = timed {
            *time += start.elapsed();
        }
    }
}

/// A stage of a kernel and what to call it with.
struct Job<'a> {
    stage: &'a Stage,
    pointers: &'a [*mut u8],
    /// Of each thread.
    scratch: &'a [Block],
    /// How many runs its tiles are cut into.
    runs: usize,
}

impl Job<'_> {
    /// Runs a run of tiles.
    ///
    /// # Safety
    /// The pointers must be as [`run`] wants them, no other thread may be at this run or use the scratch memory of
    /// `thread`, and all stages before must be over.
    unsafe fn run(&self, run: usize, thread: usize) {
        let tile = |run: usize| (self.stage.tiles * run / self.runs) as i64;
        let (pointers, scratch) = (self.pointers.as_ptr(), self.scratch[thread].pointer());
        // SAFETY: tiles write different elements; for the rest the caller vouches.
        unsafe { (self.stage.function)(pointers, scratch, tile(run), tile(run + 1)) };
    }
}

/// The threads that work on the calls with one workspace: the calling thread, and those workers that have taken a seat.
#[derive(Debug)]
pub(crate) struct Crew {
    /// The current stage. It lies on the stack of [`run`]: when all its runs are finished, it may be gone.
    job: AtomicPtr<Job<'static>>,
    /// How many of its runs nobody has claimed.
    unclaimed: AtomicUsize,
    /// How many of its runs are not finished, and [`SLEEPS`].
    unfinished: AtomicUsize,
    /// Whether each of the threads beyond the first is there.
    seats: Box<[AtomicBool]>,
    /// Where the calling thread sleeps when others take long to finish.
    finished: (Mutex<()>, Condvar),
}

/// Set in [`Crew::unfinished`] when the calling thread must be woken.
const SLEEPS: usize = 1 << (usize::BITS - 1);

impl Crew {
    /// For calls on up to `threads` threads.
    pub fn new(threads: usize) -> Arc<Crew> {
        let seats = (1..threads).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Crew {
            job: AtomicPtr::default(),
            unclaimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            seats,
            finished: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Runs a stage, with the help of as many workers as there are for `threads` threads.
    ///
    /// # Safety
    /// The pointers of the job must be as [`run`] wants them. One thread at a time may call this.
    unsafe fn run(self: &Arc<Crew>, job: &Job<'_>, threads: usize) {
        // All runs of the stage before are finished, so nobody looks at these now.
        self.job.store((&raw const *job).cast_mut().cast(), Ordering::Relaxed);
        self.unfinished.store(job.runs, Ordering::Relaxed);
        // Release: who claims a run sees the job, and whatever stages before have written.
        self.unclaimed.store(job.runs, Ordering::Release);
        pool::enlist(self, threads);
        while let Some(run) = self.claim() {
            self.work(run, 0);
        }
        self.wait();
    }

    /// Claims a run of the current stage. What a thread knew of stages before does not enter, so it is no matter if
    /// the count has been the same for another kernel meanwhile.
    fn claim(&self) -> Option<usize> {
        // Acquire: pairs with the release in `run`, also behind claims of others, which continue its release sequence.
        let claimed = self.unclaimed.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| left.checked_sub(1));
        claimed.ok().map(|left| left - 1)
    }

    /// Works on a run that this thread has claimed.
    fn work(&self, run: usize, thread: usize) {
        // Relaxed: claiming has made the store visible, and there is no other before this run is finished.
        let job = self.job.load(Ordering::Relaxed);
        // SAFETY: `Crew::run` does not return, and kernels do not change, before this run is finished; a run is claimed
        // once; a seat, and its scratch memory, is taken by one thread at a time.
        unsafe { (*job).run(run, thread) };
        // Release: what was written here is seen by the calling thread, and through it by those who work on the next
        // kernel. From here on the job may be gone; the crew is not, the caller and each seat hold it.
        if self.unfinished.fetch_sub(1, Ordering::Release) == SLEEPS | 1 {
            // the calling thread has the lock until it sleeps
            drop(lock(&self.finished.0));
            self.finished.1.notify_one();
        }
    }

    /// Waits until all runs are finished.
    fn wait(&self) {
        // Acquire, here and below: pairs with the release of each run that was finished.
        if spin(|| (self.unfinished.load(Ordering::Acquire) == 0).then_some(())).is_some() {
            return;
        }
        let mut guard = lock(&self.finished.0);
        while self.unfinished.fetch_or(SLEEPS, Ordering::Acquire) & !SLEEPS != 0 {
            guard = self.finished.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the seat of a thread is free.
    pub fn has_free(&self, thread: usize) -> bool {
        // Acquire: pairs with the release of the seat; its scratch memory passes on.
        !self.seats[thread - 1].load(Ordering::Acquire)
    }
}

/// A worker's place in a crew.
pub(crate) struct Seat {
    crew: Arc<Crew>,
    thread: usize,
}

impl Seat {
    /// Takes a free seat. Only the calling thread takes seats, so nobody comes between.
    pub fn take(crew: &Arc<Crew>, thread: usize) -> Seat {
        crew.seats[thread - 1].store(true, Ordering::Relaxed);
        Seat { crew: Arc::clone(crew), thread }
    }

    /// Works on what the crew has to do, until there was nothing for a while. A worker that gives up just when there is
    /// a kernel again misses that one.
    pub fn work(&self) {
        while let Some(run) = spin(|| self.crew.claim()) {
            self.crew.work(run, self.thread);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crew.seats[self.thread - 1].store(false, Ordering::Release);
    }
}

/// Polls for a while. After a moment others run in between: what is waited for may need this very core.
fn spin<T>(poll: impl Fn() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..64 {
            if let Some(found) = poll() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        let waited = start.get_or_insert_with(Instant::now).elapsed();
        if waited > PATIENCE {
            return None;
        }
        if waited > SPIN {
            thread::yield_now();
        }
    }
}
