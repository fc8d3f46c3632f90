//! Which work of a call threads claim, in which order, and what each piece waits for.
//!
//! Parts of stages that touch the same memory, at least one of them writing, run in the plan's order; others may run at
//! once. Threads claim tasks in the order of a list in which whatever a task waits for comes before it. So a thread
//! waits for tasks that others are at, never for one that nobody has claimed, and one thread alone can do everything.
//! The list is what threads would claim that always take the ready task with the most work behind it, if costs were
//! exact and tasks waited for whole groups. They wait for parts of them, but all of a group is claimed before what
//! waits for some of it.

mod critical_path;
mod groups;

use bayeslift_codegen::KernelTable;
use groups::{Former, Group, one_after_the_other};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

/// Costs are picoseconds: `cargo bench -q --bench workloads -- train_mlp threads=1 explain=json` prints them beside
/// measured times.
const MICROSECOND: u64 = 1_000_000;
/// What stages cost that one task runs, at most together, in handovers; what a task of a stage with several costs, at
/// least, or half as much where there is one for each thread.
const SMALL: u64 = 5;
/// Which part of that they cost at most where one only happens to come after the other.
const BESIDE: u64 = 4;
/// How many tasks a large stage is cut into for each thread: a thread that comes late or is interrupted leaves the
/// others work.
const TASKS_PER_THREAD: usize = 4;
/// The most tasks that a group is cut into: as many as a word has bits.
const MOST_PARTS: usize = u64::BITS as usize;
/// Twice as many threads must take at most this many tenths of the time.
const WORTH_WHILE: u64 = 9;
/// What calls cost that always use several threads: they are not worth a trial each way.
const LARGE: u64 = 2000 * MICROSECOND;
/// Of more stages it is not known which may run at once: each waits for the one before.
const MOST_STAGES: usize = 1 << 12;

/// About how long what costs `cost` picoseconds takes on one thread.
pub(crate) fn time(cost: u64) -> Duration {
    Duration::from_nanos(cost / 1000)
}

/// How the stages of compiled code run.
#[derive(Debug)]
pub(crate) struct TaskSchedule {
    pub groups: Vec<Group>,
    /// For each stage its group, and which of its stages it is.
    pub group_of: Vec<(usize, usize)>,
    /// The groups of all tasks, in the order in which they are claimed.
    pub tasks: Vec<usize>,
    /// For each stage where its arguments begin.
    pub arguments: Vec<usize>,
    /// How many threads are worth while.
    pub threads: usize,
    /// What a call costs on one thread, and on as many as are worth while.
    pub costs: [u64; 2],
    /// Whether they are in any case; otherwise that is to be measured.
    pub is_large: bool,
}

impl TaskSchedule {
    /// For up to `threads` threads; with `finest` for all of them, with as many tasks as there can be.
    pub fn new(table: &KernelTable, threads: usize, finest: bool) -> TaskSchedule {
        let stages = &table.stages[..];
        let arguments = stages.iter().scan(0, |sum, stage| Some(std::mem::replace(sum, *sum + stage.arguments.len())));
        let arguments = arguments.collect();
        let claim = table.target.machine().handover;
        let small = if finest { 0 } else { SMALL * claim };
        let alone: u64 = stages.iter().map(|stage| stage.cost).sum();
        let former = (threads > 1 && stages.len() <= MOST_STAGES).then(|| Former::new(table, small));
        let (mut used, mut end, mut groups, mut tasks) = (1, alone, Vec::new(), Vec::new());
        while used < threads {
            let more = if finest { threads } else { (2 * used).min(threads) };
            let next = match &former {
                Some(former) => former.groups(more),
                None => one_after_the_other(stages, more, small),
            };
            let list = List::new(&next, more, claim);
            if list.end * 10 >= end * WORTH_WHILE && !finest {
                break;
            }
            (used, end, groups, tasks) = (more, list.end, next, list.tasks);
        }
        let is_large = finest || alone > LARGE;
        let mut group_of = vec![(0, 0); stages.len()];
        for (g, group) in groups.iter().enumerate() {
            group.stages.iter().enumerate().for_each(|(i, &stage)| group_of[stage] = (g, i));
        }
        TaskSchedule { groups, group_of, tasks, arguments, threads: used, costs: [alone, end], is_large }
    }
}

impl TaskSchedule {
    /// How many tasks there are in which a stage has a part.
    pub fn parts(&self, stage: usize) -> usize {
        self.groups.get(self.group_of[stage].0).map_or(1, Group::parts)
    }
}

/// The groups of tasks in the order in which they would be claimed, and when all would be done.
struct List {
    tasks: Vec<usize>,
    end: u64,
}

impl List {
    /// Where claiming a task takes `claim` picoseconds.
    fn new(groups: &[Group], threads: usize, claim: u64) -> List {
        let counts: Vec<usize> = groups.iter().map(Group::parts).collect();
        let waits: Vec<BTreeSet<usize>> = groups.iter().map(Group::waits_for).collect();
        let mut after = vec![Vec::new(); groups.len()];
        for (g, waits) in waits.iter().enumerate() {
            waits.iter().for_each(|&wait| after[wait].push(g));
        }
        // the work from a group to the end that has to be done one after the other
        let mut behind = vec![0; groups.len()];
        for (g, group) in groups.iter().enumerate().rev() {
            let next = after[g].iter().map(|&next| behind[next]).max().unwrap_or(0);
            behind[g] = next + group.cost / counts[g].min(threads) as u64 + claim;
        }

        let mut left: Vec<usize> = waits.iter().map(BTreeSet::len).collect();
        let (mut done, mut ready_at) = (vec![0; groups.len()], vec![0; groups.len()]);
        let mut claimed = vec![0; groups.len()];
        let mut free: BinaryHeap<Reverse<(u64, usize)>> = (0..threads).map(|thread| Reverse((0, thread))).collect();
        let mut waiting: BinaryHeap<Reverse<(u64, usize)>> =
            (0..groups.len()).filter(|&g| left[g] == 0).map(|g| Reverse((0, g))).collect();
        let mut ready = BinaryHeap::new();
        let mut list = List { tasks: Vec::with_capacity(counts.iter().sum()), end: 0 };
        while let Some(Reverse((mut now, thread))) = free.pop() {
            if ready.is_empty() {
                let Some(&Reverse((next, _))) = waiting.peek() else { break };
                now = now.max(next);
            }
            while let Some(&Reverse((_, g))) = waiting.peek().filter(|Reverse((time, _))| *time <= now) {
                waiting.pop();
                ready.push((behind[g], Reverse(g)));
            }
            let &(_, Reverse(g)) = ready.peek().expect("one was waiting");
            // another thread may have been later when it made this one ready
            now = now.max(ready_at[g]);
            list.tasks.push(g);
            claimed[g] += 1;
            let end = now + claim + groups[g].cost / counts[g] as u64;
            done[g] = done[g].max(end);
            list.end = list.end.max(end);
            free.push(Reverse((end, thread)));
            if claimed[g] < counts[g] {
                continue;
            }
            ready.pop();
            for &next in &after[g] {
                left[next] -= 1;
                if left[next] == 0 {
                    ready_at[next] = waits[next].iter().map(|&wait| done[wait]).max().unwrap_or(0);
                    waiting.push(Reverse((ready_at[next], next)));
                }
            }
        }
        list
    }
}

#[cfg(test)]
mod tests;
