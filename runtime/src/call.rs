//! The memory of a call, and walking its stages, on one thread or several. The split of work never changes the bits.

use crate::{
    aligned_buffer::AlignedBuffer,
    pool,
    task_schedule::TaskSchedule,
    team::{Job, Team},
    trial::Trial,
};
use bayeslift_codegen::{Stage, link::jit::Function};
use bayeslift_ir::{Environment, memory::Reservation};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The memory that one call of an [`Executable`](crate::Executable) uses: intermediate values, what the
/// threads of a kernel share, and each thread's scratch. Reuse it from call to call; have one per thread that calls.
#[derive(Debug)]
pub struct Workspace {
    /// Identifies the executable it was made for.
    pub(crate) owner: u64,
    /// Intermediate values, and what the tiles of one kernel share: what `pointers` point to, so kept as long as they
    /// are.
    pub(crate) _memory: [AlignedBuffer; 2],
    /// Of each thread.
    pub(crate) scratch: Vec<AlignedBuffer>,
    /// Of all this memory, until a call has touched it.
    pub(crate) untouched: Option<Reservation>,
    /// The threads that work on a call.
    pub(crate) team: Arc<Team>,
    /// How long calls have taken, where that decides on how many threads they run.
    pub(crate) trial: Trial,
    /// Where the inputs are, and then the outputs: filled anew for each call.
    pub(crate) tensors: Vec<*mut u8>,
    /// The pointers that kernels are called with: those to the caller's tensors are filled anew for each call, the
    /// others are to the buffers above and to words that the executable owns.
    pub(crate) pointers: Vec<*mut u8>,
}

// SAFETY: of the pointers, those are used again in later calls that are to the workspace's own buffers, and to words in
// the code of the executable, which is the same one, is alive then, and never writes them. A call has the workspace to
// itself.
unsafe impl Send for Workspace {}
// SAFETY: as above; nothing follows the pointers through a shared reference.
unsafe impl Sync for Workspace {}

/// Runs all stages, on as many threads as `workspace` has scratch memory for; on fewer where others are busy.
/// `workspace.pointers` holds the arguments of all stages, one after the other. Adds the time of each kernel to
/// `times`, if that is given; then stages run one after the other.
///
/// # Safety
/// `stages`, `functions` and `schedule` must be those of one kernel table. Every pointer must be valid for the extent
/// of the value that the table has there, or for what tiles share, writable where a kernel writes, and distinct
/// writable memories must not overlap.
pub(crate) unsafe fn run(
    (stages, functions): (&[Stage], &[Function]),
    schedule: &TaskSchedule,
    workspace: &mut Workspace,
    times: Option<&mut [Duration]>,
) {
    let _environment = Environment::enter();
    let Workspace { pointers, scratch, team, trial, .. } = workspace;
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
                unsafe { self::together(team, &Job { tasks: &tasks, only: Some(only), ..whole }, schedule.threads) };
            }
            times[stage.kernel] += start.elapsed();
        }
        return;
    }
    // SAFETY: the caller vouches for the pointers, and has the workspace to itself.
    let together = || unsafe { self::together(team, &whole, schedule.threads) };
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

/// Runs a job on `threads` threads, or on as many of them as there are.
///
/// # Safety
/// The pointers of the job must be as [`run`] wants them, and one thread at a time may call this for a team.
unsafe fn together(team: &Arc<Team>, job: &Job<'_>, threads: usize) {
    // SAFETY: the caller vouches for the pointers, and `finish` is called before the job is gone.
    unsafe { team.begin(job) };
    pool::enlist(team, threads);
    team.finish();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies::Addresses;
    use bayeslift_codegen::{KernelArgument, Target, compile, emit::Placement, link::jit::Code};
    use bayeslift_ir::arbitrary::{config, graph_and_inputs};
    use bayeslift_passes::{Place, Plan};
    use proptest::{prelude::*, sample::Index};
    use std::ops::Range;

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
            let scratch = AlignedBuffer::new(table.scratch_bytes, "scratch memory").unwrap();
            let call = |stage: &Stage, memory: &mut [u32], tiles: &Range<usize>| {
                let base: *mut u8 = memory.as_mut_ptr().cast();
                let pointers = stage.arguments.iter().map(|argument| match argument {
                    KernelArgument::Place(place) => base.wrapping_add(addresses.start(*place)),
                    KernelArgument::Shared => base.wrapping_add(addresses.shared.start),
                    KernelArgument::Words(words) => words.as_ptr().cast_mut().cast(),
                });
                let pointers: Vec<*mut u8> = pointers.collect();
                let (begin, end) = (tiles.start as i64, tiles.end as i64);
                // SAFETY: the memory has room for all that the plan and the code place, apart from each other; only
                // this thread is here.
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
}
