//! Walking the kernel table, on one thread or several. The split of work never changes the bits.

use crate::{
    environment::Guard,
    workspace::{Block, Workspace},
};
use bayeslift_codegen::{Code, CompiledKernel};
use std::sync::{Barrier, OnceLock};
use std::thread;

/// Below this many vector operations a kernel is not worth more threads than one.
const COST_OF_A_THREAD: usize = 1 << 15;

/// A kernel and where its pointers begin.
struct Job<'a> {
    kernel: &'a CompiledKernel,
    pointers: &'a [*mut u8],
}

/// The threads of one call.
struct Team {
    size: usize,
    /// Where they wait for each other between kernels.
    barrier: Barrier,
}

impl Team {
    fn new(size: usize) -> Team {
        Team { size, barrier: Barrier::new(size) }
    }
}

/// Pointers that threads of one call share.
struct Shared<'a>(Vec<Job<'a>>);

// SAFETY: threads write disjoint tiles of a kernel, and wait for each other between kernels; see `run`.
unsafe impl Sync for Shared<'_> {}

/// How many of at most `threads` threads a kernel is worth.
fn share(kernel: &CompiledKernel, threads: usize) -> usize {
    (kernel.cost / COST_OF_A_THREAD).min(kernel.tiles).clamp(1, threads)
}

/// How many of at most `threads` threads a call keeps busy.
pub(crate) fn useful_threads(code: &Code, threads: usize) -> usize {
    code.kernels().iter().map(|kernel| share(kernel, threads)).max().unwrap_or(1)
}

/// Runs all kernels in order, on as many threads as `workspace` has scratch memory for; on fewer where the machine
/// has no more. `workspace.pointers` holds the arguments of all kernels, one after the other.
///
/// # Safety
/// Every pointer must be valid for the extent of its value in the plan that `code` was compiled from, writable where
/// a kernel writes, and distinct writable memories must not overlap.
pub(crate) unsafe fn run(code: &Code, workspace: &mut Workspace) {
    let mut pointers = workspace.pointers.as_slice();
    let jobs = code.kernels().iter().map(|kernel| {
        let (own, rest) = pointers.split_at(kernel.arguments.len());
        pointers = rest;
        Job { kernel, pointers: own }
    });
    let jobs = Shared(jobs.collect());
    let work = |thread: usize, team: &Team, scratch: &Block| {
        let _guard = Guard::enter();
        let jobs = &jobs;
        for job in &jobs.0 {
            let share = share(job.kernel, team.size);
            if thread < share {
                let tile = |i: usize| (job.kernel.tiles * i / share) as i64;
                // SAFETY: the caller vouches for the pointers; tiles of different threads write different elements;
                // the barrier below orders kernels; each thread has scratch memory of its own.
                unsafe {
                    (job.kernel.function)(job.pointers.as_ptr(), scratch.pointer(), tile(thread), tile(thread + 1));
                }
            }
            if team.size > 1 {
                team.barrier.wait();
            }
        }
    };
    let Some((own, others)) = workspace.scratch.split_first() else { return };
    // Known once all threads have started: one that did not would be waited for without end.
    let team = OnceLock::new();
    thread::scope(|scope| {
        let (work, team) = (&work, &team);
        let start = |(thread, scratch)| {
            let body = move || work(thread, team.wait(), scratch);
            thread::Builder::new().spawn_scoped(scope, body).is_ok()
        };
        let started = (1..).zip(others).take_while(|&other| start(other)).count();
        work(0, team.get_or_init(|| Team::new(1 + started)), own);
    });
}
