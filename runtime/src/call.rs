//! Walking the kernel table, on one thread or several. The split of work never changes the bits.

use crate::{Error, environment::Guard, workspace::Workspace};
use bayeslift_codegen::{Code, CompiledKernel};
use std::sync::Barrier;

/// Below this many vector operations a kernel is not worth more threads than one.
const COST_OF_A_THREAD: usize = 1 << 15;

/// A kernel and where its pointers begin.
struct Job<'a> {
    kernel: &'a CompiledKernel,
    pointers: &'a [*mut u8],
}

/// Pointers that threads of one call share.
struct Shared<'a>(Vec<Job<'a>>);

// SAFETY: threads write disjoint tiles of a kernel, and wait for each other between kernels; see `run`.
unsafe impl Sync for Shared<'_> {}

/// Runs all kernels in order. `workspace.pointers` holds the arguments of all kernels, one after the other.
///
/// # Safety
/// Every pointer must be valid for the extent of its value in the plan that `code` was compiled from, writable where
/// a kernel writes, and distinct writable memories must not overlap.
pub(crate) unsafe fn run(code: &Code, workspace: &mut Workspace, threads: usize) -> Result<(), Error> {
    let mut pointers = workspace.pointers.as_slice();
    let jobs = code.kernels().iter().map(|kernel| {
        let (own, rest) = pointers.split_at(kernel.arguments.len());
        pointers = rest;
        Job { kernel, pointers: own }
    });
    let jobs = Shared(jobs.collect());
    let scratch: Vec<usize> = workspace.scratch.iter().map(|block| block.pointer() as usize).collect();
    let wanted = |kernel: &CompiledKernel| (kernel.cost / COST_OF_A_THREAD).clamp(1, threads.min(kernel.tiles.max(1)));
    let threads = code.kernels().iter().map(wanted).max().unwrap_or(1);
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        let _guard = Guard::enter();
        let jobs = &jobs;
        for job in &jobs.0 {
            let share = wanted(job.kernel);
            if thread < share {
                let tile = |i: usize| (job.kernel.tiles * i / share) as i64;
                // SAFETY: the caller vouches for the pointers; tiles of different threads write different elements;
                // the barrier below orders kernels; each thread has scratch memory of its own.
                unsafe {
                    let scratch = scratch[thread] as *mut u8;
                    (job.kernel.function)(job.pointers.as_ptr(), scratch, tile(thread), tile(thread + 1));
                }
            }
            if threads > 1 {
                barrier.wait();
            }
        }
    };
    if threads == 1 {
        work(0);
        return Ok(());
    }
    std::thread::scope(|scope| {
        for thread in 1..threads {
            let work = &work;
            scope.spawn(move || work(thread));
        }
        work(0);
    });
    Ok(())
}
