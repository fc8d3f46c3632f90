//! The threads of a call: which job they are at, which of its tasks are claimed, and which are finished.
//!
//! Threads claim the tasks of a [`TaskSchedule`] until none is left; a call is over when all are finished. The calling
//! thread claims like the others, so it waits for tasks that others are at, and for nothing else.

use crate::{aligned_buffer::AlignedBuffer, dependencies::Parts, task_schedule::TaskSchedule};
use bayeslift_codegen::{Stage, link::jit::Function};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread has its core to itself while it waits, longer than most small kernels take.
const SPIN: Duration = Duration::from_micros(10);

/// How long a worker waits for a job before it sleeps: about as long as waking up takes.
const PATIENCE: Duration = Duration::from_micros(50);

/// How long a thread waits for a task that others are at before it sleeps: longer than most tasks take.
const LONG_PATIENCE: Duration = Duration::from_millis(5);

/// How long it sleeps then each time before it looks again.
const NAP: Duration = Duration::from_micros(50);

/// What to do, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub stages: &'a [Stage],
    /// By the symbols of stages.
    pub functions: &'a [Function],
    pub schedule: &'a TaskSchedule,
    pub tasks: &'a [usize],
    /// Which stage of their groups is to be run, if only one is; what they wait for is over then.
    pub only: Option<usize>,
    pub pointers: &'a [*mut u8],
    /// Of each thread.
    pub scratch: &'a [AlignedBuffer],
}

impl Job<'_> {
    /// Runs some tiles of a stage.
    ///
    /// # Safety
    /// The pointers must be as [`run`](crate::call::run) wants them, no other thread may be at these tiles or use the
    /// scratch memory of `thread`, and all that these tiles wait for must be over.
    pub unsafe fn stage(&self, stage: usize, tiles: Range<usize>, thread: usize) {
        // a kernel of one tile does not look at the range
        if tiles.is_empty() {
            return;
        }
        let pointers = self.pointers[self.schedule.arguments[stage]..].as_ptr();
        // SAFETY: tiles write different elements; for the rest the caller vouches.
        let (scratch, begin, end) = (self.scratch[thread].pointer(), tiles.start as i64, tiles.end as i64);
        unsafe { self.functions[self.stages[stage].symbol.0](pointers, scratch, begin, end) };
    }
}

/// The threads that work on the calls with one workspace: the calling thread, and those workers that have taken a slot.
#[derive(Debug)]
pub(crate) struct Team {
    /// What is to be done. It lies on the stack of a call: when all its tasks are finished, it may be gone.
    job: AtomicPtr<Job<'static>>,
    /// How many of its tasks nobody has claimed.
    unclaimed: AtomicUsize,
    /// How many of its tasks are not finished, and [`SLEEPS`]. A thread says so of several at once, when it finds no
    /// more.
    unfinished: AtomicUsize,
    groups: Box<[Progress]>,
    /// Whether each of the threads beyond the first is there.
    slots: Box<[AtomicBool]>,
    /// Where the calling thread sleeps when others take long to finish.
    finished: (Mutex<()>, Condvar),
}

/// How far the tasks of a group are, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Progress {
    /// A bit for each part that is.
    finished: AtomicU64,
    /// How many parts were taken from the front, and from the back.
    taken: [AtomicUsize; 2],
}

impl Progress {
    fn start(&self, tasks: usize) {
        self.finished.store(0, Ordering::Relaxed);
        if tasks > 1 {
            self.taken.iter().for_each(|taken| taken.store(0, Ordering::Relaxed));
        }
    }

    /// The part that a thread takes which has claimed one of `tasks` tasks: every other thread begins at the back, so
    /// that, from kernel to kernel and call to call, each finds much of what it touched last in its own caches.
    fn take(&self, thread: usize, tasks: usize) -> usize {
        if tasks == 1 {
            return 0;
        }
        // all that take a part have claimed one, so no part is taken twice
        let end = thread % 2;
        let taken = self.taken[end].fetch_add(1, Ordering::Relaxed);
        if end == 0 { taken } else { tasks - 1 - taken }
    }
}

/// Set in [`Team::unfinished`] when the calling thread must be woken.
const SLEEPS: usize = 1 << (usize::BITS - 1);

impl Team {
    /// For calls on up to `threads` threads, with `groups` groups.
    pub fn new(threads: usize, groups: usize) -> Arc<Team> {
        let slots = (1..threads).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Team {
            job: AtomicPtr::default(),
            unclaimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            groups: (0..groups).map(|_| Progress::default()).collect(),
            slots,
            finished: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Begins a job, of which whoever has a slot may claim tasks from here on.
    ///
    /// # Safety
    /// The pointers of the job must be as [`run`](crate::call::run) wants them. One thread at a time may call this, and
    /// must call [`Team::finish`] before it lets go of the job.
    pub unsafe fn begin(&self, job: &Job<'_>) {
        // All tasks of the job before are finished, so nobody looks at these now.
        self.job.store((&raw const *job).cast_mut().cast(), Ordering::Relaxed);
        self.unfinished.store(job.tasks.len(), Ordering::Relaxed);
        for (progress, group) in self.groups.iter().zip(&job.schedule.groups) {
            progress.start(group.parts());
        }
        // Release: who claims a task sees the job, and whatever jobs before have written.
        self.unclaimed.store(job.tasks.len(), Ordering::Release);
    }

    /// Works on the job until it is over.
    pub fn finish(&self) {
        self.work(0, || self.claim());
        self.wait();
    }

    /// Claims a task of the current job: returns how many there were. What a thread knew of jobs before does not enter,
    /// so it is no matter if the count has been the same for another job meanwhile.
    fn claim(&self) -> Option<usize> {
        // Acquire: pairs with the release in `begin`, also behind claims of others, which continue its release
        // sequence.
        self.unclaimed.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
    }

    /// Works on the tasks of a job until there are no more, if there are any; returns whether there were. `claim` says
    /// how the first is claimed.
    fn work(&self, thread: usize, first: impl FnOnce() -> Option<usize>) -> bool {
        let (mut claimed, mut done) = (first(), 0);
        while let Some(left) = claimed {
            // Relaxed: claiming has made the store visible, and there is no other before this task is finished.
            let job = self.job.load(Ordering::Relaxed);
            // SAFETY: `Team::finish` does not return, and jobs do not change, before this task is finished.
            let job = unsafe { &*job };
            let number = job.tasks[job.tasks.len() - left];
            let (group, progress) = (&job.schedule.groups[number], &self.groups[number]);
            let part = progress.take(thread, group.parts());
            if job.only.is_none() {
                group.waits[part].iter().for_each(|&parts| self.wait_for(parts));
            }
            for (i, &stage) in group.stages.iter().enumerate().filter(|(i, _)| job.only.is_none_or(|only| *i == only)) {
                // SAFETY: a task is claimed once; the schedule lets it wait for all that touches the same memory; a
                // slot, and its scratch memory, is taken by one thread at a time.
                unsafe { job.stage(stage, group.tiles(i, part), thread) };
            }
            // Release: what was written here is seen by those who wait for the part.
            progress.finished.fetch_or(1 << part, Ordering::Release);
            done += 1;
            claimed = self.claim();
        }
        // Release: and by the calling thread, and through it by those who work on the next job. From here on the job
        // may be gone; the team is not, the caller and each slot hold it.
        if done > 0 && self.unfinished.fetch_sub(done, Ordering::Release) == SLEEPS | done {
            // the calling thread has the lock until it sleeps
            drop(lock(&self.finished.0));
            self.finished.1.notify_one();
        }
        done > 0
    }

    /// Waits until some parts of a group are finished: others are at them.
    fn wait_for(&self, Parts { work, mask }: Parts) {
        // Acquire: pairs with the release of each of them.
        let is_over = || (self.groups[work].finished.load(Ordering::Acquire) & mask == mask).then_some(());
        if spin(LONG_PATIENCE, is_over).is_none() {
            while is_over().is_none() {
                thread::sleep(NAP);
            }
        }
    }

    /// Waits until all tasks are finished.
    fn wait(&self) {
        // Acquire, here and below: pairs with the release of each thread that finished some.
        if spin(LONG_PATIENCE, || (self.unfinished.load(Ordering::Acquire) == 0).then_some(())).is_some() {
            return;
        }
        let mut guard = lock(&self.finished.0);
        while self.unfinished.fetch_or(SLEEPS, Ordering::Acquire) & !SLEEPS != 0 {
            guard = self.finished.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the slot of a thread is free.
    pub fn has_free(&self, thread: usize) -> bool {
        // Acquire: pairs with the release of the slot; its scratch memory passes on.
        !self.slots[thread - 1].load(Ordering::Acquire)
    }
}

/// A worker's place in a team.
pub(crate) struct Slot {
    team: Arc<Team>,
    thread: usize,
}

impl Slot {
    /// Takes a free slot. Only the calling thread takes slots, so nobody comes between.
    pub fn take(team: &Arc<Team>, thread: usize) -> Slot {
        team.slots[thread - 1].store(true, Ordering::Relaxed);
        Slot { team: Arc::clone(team), thread }
    }

    /// Works on what the team has to do, until there was nothing for a while. A worker that gives up just when there is
    /// a job again misses that one.
    pub fn work(&self) {
        while self.team.work(self.thread, || spin(PATIENCE, || self.team.claim())) {}
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.team.slots[self.thread - 1].store(false, Ordering::Release);
    }
}

/// Polls for a while. After a moment others run in between: what is waited for may need this very core.
fn spin<T>(patience: Duration, poll: impl Fn() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..64 {
            if let Some(found) = poll() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        let waited = start.get_or_insert_with(Instant::now).elapsed();
        if waited > patience {
            return None;
        }
        if waited > SPIN {
            thread::yield_now();
        }
    }
}

/// Locks; nobody panics with one of our locks, so none is ever poisoned.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever threads take them, in whichever order.
    #[test]
    fn each_part_is_taken_once() {
        for (tasks, order) in (1..8).flat_map(|tasks| (0..1_usize << tasks).map(move |order| (tasks, order))) {
            let progress = Progress::default();
            // counts of the job before
            progress.taken.iter().for_each(|taken| taken.store(5, Ordering::Relaxed));
            progress.start(tasks);
            let mut parts: Vec<usize> = (0..tasks).map(|i| progress.take(order >> i & 1, tasks)).collect();
            parts.sort_unstable();
            assert_eq!(parts, (0..tasks).collect::<Vec<_>>(), "threads {order:b}");
        }
    }
}
