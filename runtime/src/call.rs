//! Walking the stages of a call, on one thread or several. The split of work never changes the bits.
//!
//! Threads claim the tasks of a [`Schedule`] until none is left; a call is over when all are finished. The calling thread claims like
//! the others, so it waits for tasks that others are at, and for nothing else.

use crate::{
    dependencies::Parts,
    pool::{self, lock},
    schedule::Schedule,
    workspace::{Block, Workspace},
};
use bayeslift_codegen::{Stage, link::jit::Function};
use bayeslift_ir::Environment;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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

/// Runs all stages, on as many threads as `workspace` has scratch memory for; on fewer where others are busy.
/// `workspace.pointers` holds the arguments of all stages, one after the other. Adds the time of each kernel to `times`, if
/// that is given; then stages run one after the other.
///
/// # Safety
/// `stages`, `functions` and `schedule` must be those of one kernel table. Every pointer must be valid for the extent of the value that
/// the table has there, or for what tiles share, writable where a kernel writes, and distinct writable memories must not overlap.
pub(crate) unsafe fn run(
    (stages, functions): (&[Stage], &[Function]),
    schedule: &Schedule,
    workspace: &mut Workspace,
    times: Option<&mut [Duration]>,
) {
    let _environment = Environment::enter();
    let Workspace { pointers, scratch, crew, trial, .. } = workspace;
    let whole = Job { stages, functions, schedule, tasks: &schedule.tasks, only: None, pointers, scratch };
    if let Some(times) = times {
        for (i, stage) in stages.iter().enumerate() {
            let (group, only) = schedule.group_of[i];
            let tasks = vec![group; schedule.parts(i)];
            let start = Instant::now();
            if tasks.len() == 1 {
                // SAFETY: the caller vouches for the pointers; nobody else is at work.
                unsafe { whole.stage(i, 0..stage.tiles, 0) };
            } else {
                // SAFETY: the caller vouches for the pointers, and has the workspace to itself.
                unsafe { crew.run(&Job { tasks: &tasks, only: Some(only), ..whole }, schedule.threads) };
            }
            times[stage.kernel] += start.elapsed();
        }
        return;
    }
    // SAFETY: the caller vouches for the pointers, and has the workspace to itself.
    let together = || unsafe { crew.run(&whole, schedule.threads) };
    let alone = || {
        for (i, stage) in stages.iter().enumerate() {
            // SAFETY: the caller vouches for the pointers; nobody else is at work.
            unsafe { whole.stage(i, 0..stage.tiles, 0) };
        }
    };
    match schedule.threads {
        1 => alone(),
        _ if schedule.is_large => together(),
        _ => trial.run(|is_together| if is_together { together() } else { alone() }),
    }
}

/// What to do, and with what.
struct Job<'a> {
    stages: &'a [Stage],
    /// By the symbols of stages.
    functions: &'a [Function],
    schedule: &'a Schedule,
    tasks: &'a [usize],
    /// Which stage of their groups is to be run, if only one is; what they wait for is over then.
    only: Option<usize>,
    pointers: &'a [*mut u8],
    /// Of each thread.
    scratch: &'a [Block],
}

impl Job<'_> {
    /// Runs some tiles of a stage.
    ///
    /// # Safety
    /// The pointers must be as [`run`] wants them, no other thread may be at these tiles or use the scratch memory of
    /// `thread`, and all that these tiles wait for must be over.
    unsafe fn stage(&self, stage: usize, tiles: Range<usize>, thread: usize) {
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

/// The threads that work on the calls with one workspace: the calling thread, and those workers that have taken a seat.
#[derive(Debug)]
pub(crate) struct Crew {
    /// What is to be done. It lies on the stack of [`run`]: when all its tasks are finished, it may be gone.
    job: AtomicPtr<Job<'static>>,
    /// How many of its tasks nobody has claimed.
    unclaimed: AtomicUsize,
    /// How many of its tasks are not finished, and [`SLEEPS`]. A thread says so of several at once, when it finds no more.
    unfinished: AtomicUsize,
    groups: Box<[Progress]>,
    /// Whether each of the threads beyond the first is there.
    seats: Box<[AtomicBool]>,
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

    /// The part that a thread takes which has claimed one of so many tasks: every other thread begins at the back, so that,
    /// from kernel to kernel and call to call, each finds much of what it touched last in its own caches.
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

/// Set in [`Crew::unfinished`] when the calling thread must be woken.
const SLEEPS: usize = 1 << (usize::BITS - 1);

impl Crew {
    /// For calls on up to `threads` threads, with so many groups.
    pub fn new(threads: usize, groups: usize) -> Arc<Crew> {
        let seats = (1..threads).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Crew {
            job: AtomicPtr::default(),
            unclaimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            groups: (0..groups).map(|_| Progress::default()).collect(),
            seats,
            finished: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Runs a job, with the help of as many workers as there are for `threads` threads.
    ///
    /// # Safety
    /// The pointers of the job must be as [`run`] wants them. One thread at a time may call this.
    unsafe fn run(self: &Arc<Crew>, job: &Job<'_>, threads: usize) {
        // All tasks of the job before are finished, so nobody looks at these now.
        self.job.store((&raw const *job).cast_mut().cast(), Ordering::Relaxed);
        self.unfinished.store(job.tasks.len(), Ordering::Relaxed);
        for (progress, group) in self.groups.iter().zip(&job.schedule.groups) {
            progress.start(group.parts());
        }
        // Release: who claims a task sees the job, and whatever jobs before have written.
        self.unclaimed.store(job.tasks.len(), Ordering::Release);
        pool::enlist(self, threads);
        self.work(0, || self.claim());
        self.wait();
    }

    /// Claims a task of the current job: returns how many there were. What a thread knew of jobs before does not enter, so it
    /// is no matter if the count has been the same for another job meanwhile.
    fn claim(&self) -> Option<usize> {
        // Acquire: pairs with the release in `run`, also behind claims of others, which continue its release sequence.
        self.unclaimed.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
    }

    /// Works on the tasks of a job until there are no more, if there are any; returns whether there were. `claim` says how the first is claimed.
    fn work(&self, thread: usize, first: impl FnOnce() -> Option<usize>) -> bool {
        let (mut claimed, mut done) = (first(), 0);
        while let Some(left) = claimed {
            // Relaxed: claiming has made the store visible, and there is no other before this task is finished.
            let job = self.job.load(Ordering::Relaxed);
            // SAFETY: `Crew::run` does not return, and jobs do not change, before this task is finished.
            let job = unsafe { &*job };
            let number = job.tasks[job.tasks.len() - left];
            let (group, progress) = (&job.schedule.groups[number], &self.groups[number]);
            let part = progress.take(thread, group.parts());
            if job.only.is_none() {
                group.waits[part].iter().for_each(|&parts| self.wait_for(parts));
            }
            for (i, &stage) in group.stages.iter().enumerate().filter(|(i, _)| job.only.is_none_or(|only| *i == only)) {
                // SAFETY: a task is claimed once; the schedule lets it wait for all that touches the same memory; a seat, and
                // its scratch memory, is taken by one thread at a time.
                unsafe { job.stage(stage, group.tiles(i, part), thread) };
            }
            // Release: what was written here is seen by those who wait for the part.
            progress.finished.fetch_or(1 << part, Ordering::Release);
            done += 1;
            claimed = self.claim();
        }
        // Release: and by the calling thread, and through it by those who work on the next job. From here on the job may be gone; the
        // crew is not, the caller and each seat hold it.
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
    /// a job again misses that one.
    pub fn work(&self) {
        while self.crew.work(self.thread, || spin(PATIENCE, || self.crew.claim())) {}
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crew.seats[self.thread - 1].store(false, Ordering::Release);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies::Addresses;
    use bayeslift_codegen::{Argument, Target, compile, emit::Placement, link::jit::Code};
    use bayeslift_ir::arbitrary::{config, graph_and_inputs};
    use bayeslift_passes::{Place, Plan};
    use proptest::{prelude::*, sample::Index};

    proptest! {
        #![proptest_config(config(300))]
        /// Tiles depend on no memory, and change none, but what they are said to touch.
        #[test]
        fn tiles_touch_what_they_say((graph, inputs) in graph_and_inputs(), threads in 1..9_usize, lanes in 0..4_usize, [first, count]: [Index; 2], seed: u32) {
            let lanes = [1, 4, 8, 16][lanes];
            let plan = Plan::new(graph).unwrap();
            let program = compile(&plan, &[], (Target::host().with_lanes(lanes), Placement::Memory), threads).unwrap();
            let (table, code) = (&program.table, Code::link(&program.functions).unwrap());
            let addresses = Addresses::new(table);
            let mut state = vec![0_u32; addresses.end / 4];
            for (i, input) in inputs.iter().enumerate() {
                let start = addresses.start(Place::Input(i)) / 4;
                state[start..start + input.words().len()].copy_from_slice(&input.words());
            }
            let scratch = Block::new(table.scratch_bytes, "scratch memory").unwrap();
            let call = |stage: &Stage, memory: &mut [u32], tiles: &Range<usize>| {
                let base: *mut u8 = memory.as_mut_ptr().cast();
                let pointers = stage.arguments.iter().map(|argument| match argument {
                    Argument::Place(place) => base.wrapping_add(addresses.start(*place)),
                    Argument::Shared => base.wrapping_add(addresses.shared.start),
                    Argument::Words(words) => words.as_ptr().cast_mut().cast(),
                });
                let pointers: Vec<*mut u8> = pointers.collect();
                let (begin, end) = (tiles.start as i64, tiles.end as i64);
                // SAFETY: the memory has room for all that the plan and the code place, apart from each other; only this thread is here.
                unsafe { code.functions()[stage.symbol.0](pointers.as_ptr(), scratch.pointer(), begin, end) };
            };
            for stage in &table.stages {
                let begin = first.index(stage.tiles);
                let tiles = begin..begin + 1 + count.index(stage.tiles - begin);
                let (mut reads, mut writes) = (vec![false; state.len()], vec![false; state.len()]);
                for touch in addresses.touches(stage) {
                    let touched = touch.of(tiles.clone());
                    let memory = if touched.writes { &mut writes } else { &mut reads };
                    memory[touched.bytes.start / 4..touched.bytes.end / 4].fill(true);
                }
                let mut plain = state.clone();
                // an odd number changes a word
                let other = |i: usize| state[i] ^ (seed | 1).wrapping_mul(2 * i as u32 + 1);
                let foreign: Vec<u32> =
                    (0..state.len()).map(|i| if reads[i] { state[i] } else { other(i) }).collect();
                let mut mixed = foreign.clone();
                call(stage, &mut plain, &tiles);
                call(stage, &mut mixed, &tiles);
                for i in 0..state.len() {
                    let is_kept = plain[i] == state[i] && mixed[i] == foreign[i];
                    let is_written = writes[i] && plain[i] == mixed[i];
                    prop_assert!(is_kept || is_written, "kernel {}, tiles {tiles:?}, word {i}:\n{plan}", stage.kernel);
                }
                call(stage, &mut state, &(0..stage.tiles));
            }
        }
    }

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
