//! Which work of a call threads claim, in which order, and what each piece waits for.
//!
//! Stages that touch the same memory, at least one of them writing, run in the plan's order; others may run at once. Threads
//! claim tasks in the order of a list in which whatever a task waits for comes before it. So a thread waits for
//! tasks that others are at, never for one that nobody has claimed, and one thread alone can do everything.
//! The list is what threads would claim that always take the ready task with the most work behind it, if costs were exact.

use crate::dependencies::dependencies;
use bayeslift_codegen::{Code, Stage};
use bayeslift_passes::Plan;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;
use std::time::Duration;

/// About how many of the instructions that costs count take a microsecond: `cargo bench -q --bench workloads -- train_mlp
/// threads=1 explain=json` prints the times that follow beside those measured.
const MICROSECOND: usize = 48 << 10;
/// Claiming a task, and telling others that it is done.
const CLAIM: usize = MICROSECOND / 10;
/// What stages cost that one task runs, at most together; what a task of a stage with several costs, at least.
const SMALL: usize = MICROSECOND / 2;
/// Which part of that they cost at most where one only happens to come after the other.
const BESIDE: usize = 4;
/// How many tasks a large stage is cut into for each thread: a thread that comes late or is interrupted leaves the others work.
const TASKS_PER_THREAD: usize = 4;
/// Twice as many threads must take at most this many tenths of the time.
const WORTH_WHILE: usize = 9;
/// What calls cost that always use several threads: they are not worth a trial each way.
const LARGE: usize = 2000 * MICROSECOND;
/// Of more stages it is not known which may run at once: each waits for the one before.
const MOST_STAGES: usize = 1 << 12;

/// About how long what costs so much takes on one thread.
pub(crate) fn time(cost: usize) -> Duration {
    Duration::from_secs_f64(cost as f64 / (1e6 * MICROSECOND as f64))
}

/// How the stages of compiled code run.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub groups: Vec<Group>,
    /// For each stage its group.
    pub group_of: Vec<usize>,
    /// The groups of all tasks, in the order in which they are claimed.
    pub tasks: Vec<usize>,
    /// For each stage where its arguments begin.
    pub arguments: Vec<usize>,
    /// How many threads are worth while.
    pub threads: usize,
    /// Whether they are in any case; otherwise that is to be measured.
    pub is_large: bool,
}

/// Stages that one task runs, or one stage that several tasks share.
#[derive(Debug)]
pub(crate) struct Group {
    pub stages: Vec<usize>,
    /// Groups that must be over before.
    pub waits: Vec<usize>,
    /// How many tasks it is cut into.
    pub tasks: usize,
    cost: usize,
    tiles: usize,
}

impl Group {
    /// The tiles of a stage, which has so many, that belong to a part.
    pub fn tiles(&self, part: usize, tiles: usize) -> Range<i64> {
        let first = |part: usize| (tiles * part / self.tasks) as i64;
        first(part)..first(part + 1)
    }
}

impl Schedule {
    /// For up to `threads` threads; with `finest` for all of them, with as many tasks as there can be.
    pub fn new(plan: &Plan, code: &Code, threads: usize, finest: bool) -> Schedule {
        let stages = code.stages();
        let arguments = stages.iter().scan(0, |sum, stage| Some(std::mem::replace(sum, *sum + stage.arguments.len())));
        let arguments = arguments.collect();
        let small = if finest { 0 } else { SMALL };
        let mut groups = match stages.len() {
            _ if threads == 1 => one_after_the_other(stages),
            ..=MOST_STAGES => groups(stages, &dependencies(plan, code), small),
            _ => one_after_the_other(stages),
        };
        let alone: usize = groups.iter().map(|group| group.cost).sum();
        let (mut used, mut end, mut tasks) = (1, alone, Vec::new());
        while used < threads {
            let more = if finest { threads } else { (2 * used).min(threads) };
            let counts = groups.iter().map(|group| group.tasks_for(more, small)).collect::<Vec<_>>();
            let list = List::new(&groups, &counts, more);
            if list.end * 10 >= end * WORTH_WHILE && !finest {
                break;
            }
            (used, end, tasks) = (more, list.end, list.tasks);
            groups.iter_mut().zip(counts).for_each(|(group, count)| group.tasks = count);
        }
        let is_large = finest || alone > LARGE;
        let mut group_of = vec![0; stages.len()];
        for (g, group) in groups.iter().enumerate() {
            group.stages.iter().for_each(|&stage| group_of[stage] = g);
        }
        Schedule { groups, group_of, tasks, arguments, threads: used, is_large }
    }
}

/// Joins small stages to one that they wait for, or that waits for all they wait for. The groups a group waits for are before it.
fn groups(stages: &[Stage], dependencies: &[BTreeSet<usize>], small: usize) -> Vec<Group> {
    /// How many groups back one is looked for.
    const NEAR: usize = 16;
    let mut groups: Vec<Group> = Vec::new();
    // all groups that a group waits for, directly or not
    let mut before: Vec<Bits> = Vec::new();
    let mut group_of = Vec::with_capacity(stages.len());
    for (i, stage) in stages.iter().enumerate() {
        let waits: BTreeSet<usize> = dependencies[i].iter().map(|&stage| group_of[stage]).collect();
        let cost = stage.cost + CLAIM / 4;
        let (last, from) = (waits.last().copied(), groups.len().saturating_sub(NEAR));
        let mut candidates = last.into_iter().chain((from..groups.len()).rev());
        let joined = candidates.find(|&g| {
            let most = if waits.contains(&g) { small } else { small / BESIDE };
            groups[g].cost + cost <= most && waits.iter().all(|&wait| wait == g || before[g].has(wait))
        });
        if let Some(g) = joined {
            groups[g].stages.push(i);
            groups[g].cost += cost;
            group_of.push(g);
            continue;
        }
        let mut all = Bits::default();
        waits.iter().for_each(|&wait| all.add(&before[wait]));
        // others are waited for by way of these
        let direct: Vec<usize> = waits.into_iter().filter(|&wait| !all.has(wait)).collect();
        direct.iter().for_each(|&wait| all.set(wait));
        group_of.push(groups.len());
        groups.push(Group { stages: vec![i], waits: direct, tasks: 1, cost, tiles: stage.tiles });
        before.push(all);
    }
    groups
}

/// Each stage a group that waits for the one before.
fn one_after_the_other(stages: &[Stage]) -> Vec<Group> {
    let group = |(i, stage): (usize, &Stage)| Group {
        stages: vec![i],
        waits: i.checked_sub(1).into_iter().collect(),
        tasks: 1,
        cost: stage.cost,
        tiles: stage.tiles,
    };
    stages.iter().enumerate().map(group).collect()
}

/// A set of numbers.
#[derive(Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn has(&self, n: usize) -> bool {
        self.0.get(n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    fn set(&mut self, n: usize) {
        self.0.resize(self.0.len().max(n / 64 + 1), 0);
        self.0[n / 64] |= 1 << (n % 64);
    }

    fn add(&mut self, other: &Bits) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }
}

impl Group {
    /// Into how many tasks it is cut for so many threads.
    fn tasks_for(&self, threads: usize, small: usize) -> usize {
        match self.stages[..] {
            [_] => (self.cost / small.max(1)).min(threads * TASKS_PER_THREAD).clamp(1, self.tiles.max(1)),
            _ => 1,
        }
    }
}

/// The groups of tasks in the order in which they would be claimed, and when all would be done.
struct List {
    tasks: Vec<usize>,
    end: usize,
}

impl List {
    /// With groups in so many tasks each.
    fn new(groups: &[Group], counts: &[usize], threads: usize) -> List {
        let mut after = vec![Vec::new(); groups.len()];
        for (g, group) in groups.iter().enumerate() {
            group.waits.iter().for_each(|&wait| after[wait].push(g));
        }
        // the work from a group to the end that has to be done one after the other
        let mut behind = vec![0; groups.len()];
        for (g, group) in groups.iter().enumerate().rev() {
            let next = after[g].iter().map(|&next| behind[next]).max().unwrap_or(0);
            behind[g] = next + group.cost / counts[g].min(threads) + CLAIM;
        }

        let mut left: Vec<usize> = groups.iter().map(|group| group.waits.len()).collect();
        let (mut done, mut ready_at) = (vec![0; groups.len()], vec![0; groups.len()]);
        let mut claimed = vec![0; groups.len()];
        let mut free: BinaryHeap<Reverse<(usize, usize)>> = (0..threads).map(|thread| Reverse((0, thread))).collect();
        let mut waiting: BinaryHeap<Reverse<(usize, usize)>> =
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
            let end = now + CLAIM + groups[g].cost / counts[g];
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
                    ready_at[next] = groups[next].waits.iter().map(|&wait| done[wait]).max().unwrap_or(0);
                    waiting.push(Reverse((ready_at[next], next)));
                }
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_codegen::Argument;
    use bayeslift_ir::arbitrary::graph_and_inputs;
    use bayeslift_passes::{Access, Place};
    use proptest::prelude::*;

    /// Where a stage reads or writes, and whether it writes, found from the pointers that it is called with.
    fn touches(plan: &Plan, code: &Code, stage: usize) -> Vec<(Place, usize, bool)> {
        let work = &plan.work()[code.stages()[stage].kernel];
        let places = code.stages()[stage].arguments.iter().filter_map(|argument| match argument {
            Argument::Place(place) => Some(*place),
            _ => None,
        });
        let touch = |place: Place| {
            let at = |accesses: &[Access]| {
                accesses.iter().filter(|access| access.place == place).map(|access| access.bytes as usize).max()
            };
            let (read, written) = (at(&work.reads), at(&work.writes));
            (place, read.max(written).expect("what is pointed to is read or written"), written.is_some())
        };
        places.map(touch).collect()
    }

    fn overlap(a: (Place, usize), b: (Place, usize)) -> bool {
        match (a.0, b.0) {
            (Place::Arena(x), Place::Arena(y)) => x < y + b.1 && y < x + a.1,
            (x, y) => x == y,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        /// Every tile is in one task; what a task waits for is before it; stages that touch the same memory wait for each other.
        #[test]
        fn schedules_are_sound((graph, _) in graph_and_inputs(), threads in 1..9_usize, finest: bool) {
            let plan = Plan::new(graph).unwrap();
            let code = Code::compile(&plan, 4, threads).unwrap();
            let schedule = Schedule::new(&plan, &code, threads, finest);
            let groups = schedule.groups.len();
            let tasks = match schedule.threads {
                1 => (0..groups).collect(),
                _ => schedule.tasks.clone(),
            };
            let (mut begun, mut before) = (vec![0; groups], vec![Bits::default(); groups]);
            let mut tiles = vec![Vec::new(); code.stages().len()];
            let mut task_of = vec![(0, 0); code.stages().len()];
            for (t, &number) in tasks.iter().enumerate() {
                let (group, part) = (&schedule.groups[number], begun[number]);
                for &wait in &group.waits {
                    prop_assert_eq!(begun[wait], schedule.groups[wait].tasks, "all of the group is claimed before");
                    let all = before[wait].clone();
                    before[number].add(&all);
                    before[number].set(wait);
                }
                begun[number] += 1;
                for (i, &stage) in group.stages.iter().enumerate() {
                    tiles[stage].extend(group.tiles(part, code.stages()[stage].tiles));
                    task_of[stage] = (t, i);
                }
            }
            prop_assert_eq!(begun, schedule.groups.iter().map(|group| group.tasks).collect::<Vec<_>>());
            for (stage, tiles) in tiles.iter_mut().enumerate() {
                tiles.sort_unstable();
                prop_assert_eq!(tiles.clone(), (0..code.stages()[stage].tiles as i64).collect::<Vec<_>>());
            }
            let touched: Vec<_> = (0..tiles.len()).map(|stage| touches(&plan, &code, stage)).collect();
            for (late, early) in (0..tiles.len()).flat_map(|late| (0..late).map(move |early| (late, early))) {
                let conflict = touched[late].iter().any(|&(a, x, writes)| {
                    touched[early].iter().any(|&(b, y, written)| (writes || written) && overlap((a, x), (b, y)))
                });
                let [(last, i), (first, j)] = [task_of[late], task_of[early]];
                let (group, waited) = (tasks[last], tasks[first]);
                let ordered = if group == waited { i > j } else { before[group].has(waited) };
                prop_assert!(!conflict || ordered, "stage {late} does not wait for {early}");
            }
        }
    }

    /// Threads that have nothing to do may not begin before what they wait for is over.
    #[test]
    fn idle_threads_do_not_go_back_in_time() {
        let group = |waits, tiles| Group { stages: vec![0], waits, tasks: 1, cost: 100 * tiles, tiles };
        let groups = [group(vec![], 1), group(vec![0], 2)];
        assert_eq!(List::new(&groups, &[1, 2], 3).end, 200 + 2 * CLAIM);
    }
}
