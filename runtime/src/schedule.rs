//! Which work of a call threads claim, in which order, and what each piece waits for.
//!
//! Stages that touch the same memory, at least one of them writing, run in the plan's order; others may run at once. Threads
//! claim tasks in the order of a list in which whatever a task waits for comes before it. So a thread waits for
//! tasks that others are at, never for one that nobody has claimed, and one thread alone can do everything.
//! The list is what threads would claim that always take the ready task with the most work behind it, if costs were exact.

use bayeslift_codegen::{Argument, Code, Stage};
use bayeslift_passes::{Access, Place, Plan};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;

/// About how many of the instructions that costs count take a microsecond.
const MICROSECOND: usize = 1 << 16;
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
/// Waking a thread, for the one that wakes it.
const WAKING: usize = 20 * MICROSECOND;
/// Of more stages it is not known which may run at once: each waits for the one before.
const MOST_STAGES: usize = 1 << 12;

/// How the stages of compiled code run.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// In the order in which they are claimed.
    pub tasks: Vec<Task>,
    /// For each group how many tasks it has.
    pub groups: Vec<u32>,
    /// For each stage where its arguments begin.
    pub arguments: Vec<usize>,
    /// How many threads are worth while.
    pub threads: usize,
    /// Whether they are even where they have to be woken.
    pub wakes: bool,
}

/// What a thread claims at once.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Stages that one task runs are a group, and so are the tasks of one stage.
    pub group: usize,
    /// Groups that must be over before.
    pub waits: Vec<usize>,
    /// Stages, one after the other, and the tiles of each.
    pub pieces: Vec<(usize, Range<i64>)>,
}

/// Stages that one task runs, or one stage that several tasks share, and what the schedule knows of it.
#[derive(Debug)]
struct Group {
    stages: Vec<usize>,
    waits: BTreeSet<usize>,
    cost: usize,
    /// How many tasks it could be cut into.
    tiles: usize,
}

impl Schedule {
    /// For up to `threads` threads; with `finest` for all of them, with as many tasks as there can be.
    pub fn new(plan: &Plan, code: &Code, threads: usize, finest: bool) -> Schedule {
        let stages = code.stages();
        let arguments = stages.iter().scan(0, |sum, stage| Some(std::mem::replace(sum, *sum + stage.arguments.len())));
        let arguments = arguments.collect();
        let small = if finest { 0 } else { SMALL };
        let groups = match stages.len() {
            ..=MOST_STAGES => groups(stages, &dependencies(plan, code), small),
            _ => one_after_the_other(stages),
        };
        let alone = List::new(&groups, stages, 1, small);
        let (time, mut used, mut best) = (alone.end, 1, alone);
        while used < threads {
            let more = if finest { threads } else { (2 * used).min(threads) };
            let list = List::new(&groups, stages, more, small);
            if list.end > best.end / 10 * WORTH_WHILE && !finest {
                break;
            }
            (used, best) = (more, list);
        }
        let wakes = finest || time - best.end > WAKING;
        Schedule { tasks: best.tasks, groups: best.counts, arguments, threads: used, wakes }
    }

    /// On how many threads the tasks of a stage can run.
    pub fn threads_of(&self, stage: usize) -> usize {
        self.tasks_of(stage).count().min(self.threads)
    }

    /// The tasks of one stage alone, which wait for nothing.
    pub fn tasks_of(&self, stage: usize) -> impl Iterator<Item = Task> {
        let pieces = self.tasks.iter().flat_map(|task| task.pieces.iter().map(|piece| (task.group, piece)));
        let own = pieces.filter(move |(_, piece)| piece.0 == stage);
        own.map(|(group, piece)| Task { group, waits: Vec::new(), pieces: vec![piece.clone()] })
    }
}

/// For each stage those before it that touch the same memory, one of the two writing.
fn dependencies(plan: &Plan, code: &Code) -> Vec<BTreeSet<usize>> {
    let stages = code.stages();
    let graph = &plan.graph;
    let bytes = |value| graph.ty(value).shape.elements() * 4;
    // one after the other: the arena, what tiles share, inputs, outputs
    let mut end = plan.arena_bytes + code.shared_bytes();
    let mut place = |bytes: usize| {
        end += bytes;
        end - bytes
    };
    let inputs: Vec<usize> = graph.inputs().iter().map(|input| place(bytes(input.value))).collect();
    let outputs: Vec<usize> = graph.outputs().iter().map(|output| place(bytes(output.value))).collect();
    let range = |access: &Access| {
        let start = match access.place {
            Place::Arena(offset) => offset,
            Place::Input(i) => inputs[i],
            Place::Output(i) => outputs[i],
        };
        start..start + access.bytes as usize
    };
    let shared = plan.arena_bytes..plan.arena_bytes + code.shared_bytes();

    let work = plan.work();
    let mut memory = Memory::new(end);
    let mut dependencies = Vec::with_capacity(stages.len());
    for (i, stage) in stages.iter().enumerate() {
        let (work, mut waits) = (&work[stage.kernel], BTreeSet::new());
        let is_last = stages.get(i + 1).is_none_or(|next| next.kernel != stage.kernel);
        work.reads.iter().for_each(|access| memory.touch(i, range(access), false, &mut waits));
        if stage.arguments.contains(&Argument::Shared) {
            memory.touch(i, shared.clone(), !is_last, &mut waits);
        }
        if is_last {
            work.writes.iter().for_each(|access| memory.touch(i, range(access), true, &mut waits));
        }
        waits.remove(&i);
        dependencies.push(waits);
    }
    dependencies
}

/// Who wrote each part of the memory last, and who has read it since.
struct Memory(BTreeMap<usize, Part>);

#[derive(Clone, Default)]
struct Part {
    end: usize,
    writer: Option<usize>,
    readers: Vec<usize>,
}

impl Memory {
    fn new(end: usize) -> Memory {
        Memory(BTreeMap::from([(0, Part { end, ..Part::default() })]))
    }

    /// Notes that a stage reads or writes a range, and adds what it must wait for.
    fn touch(&mut self, stage: usize, range: Range<usize>, writes: bool, waits: &mut BTreeSet<usize>) {
        self.split(range.start);
        self.split(range.end);
        for (_, part) in self.0.range_mut(range.clone()) {
            waits.extend(part.writer);
            if writes {
                waits.extend(&part.readers);
                *part = Part { end: part.end, writer: Some(stage), readers: Vec::new() };
            } else {
                part.readers.push(stage);
            }
        }
    }

    fn split(&mut self, at: usize) {
        let Some((&start, part)) = self.0.range_mut(..at).next_back() else { return };
        if start < at && at < part.end {
            let upper = part.clone();
            part.end = at;
            self.0.insert(at, upper);
        }
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
        let direct = waits.into_iter().filter(|&wait| !all.has(wait)).collect::<BTreeSet<_>>();
        direct.iter().for_each(|&wait| all.set(wait));
        group_of.push(groups.len());
        groups.push(Group { stages: vec![i], waits: direct, cost, tiles: stage.tiles });
        before.push(all);
    }
    groups
}

/// Each stage a group that waits for the one before.
fn one_after_the_other(stages: &[Stage]) -> Vec<Group> {
    let group = |(i, stage): (usize, &Stage)| Group {
        stages: vec![i],
        waits: i.checked_sub(1).into_iter().collect(),
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

/// Tasks in the order in which they would be claimed, and when all would be done.
struct List {
    tasks: Vec<Task>,
    counts: Vec<u32>,
    end: usize,
}

impl List {
    fn new(groups: &[Group], stages: &[Stage], threads: usize, small: usize) -> List {
        let counts = groups.iter().map(|group| match group.stages[..] {
            [_] if threads > 1 => {
                (group.cost / small.max(1)).min(threads * TASKS_PER_THREAD).clamp(1, group.tiles.max(1))
            }
            _ => 1,
        });
        let counts: Vec<usize> = counts.collect();
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
        let mut list = List { tasks: Vec::new(), counts: counts.iter().map(|&n| n as u32).collect(), end: 0 };
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
            let (group, count, part) = (&groups[g], counts[g], claimed[g]);
            let pieces = group.stages.iter().map(|&stage| {
                let tile = |part: usize| (stages[stage].tiles * part / count) as i64;
                (stage, tile(part)..tile(part + 1))
            });
            list.tasks.push(Task { group: g, waits: group.waits.iter().copied().collect(), pieces: pieces.collect() });
            claimed[g] += 1;
            let end = now + CLAIM + group.cost / count;
            done[g] = done[g].max(end);
            list.end = list.end.max(end);
            free.push(Reverse((end, thread)));
            if claimed[g] < count {
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
    use bayeslift_ir::arbitrary::graph_and_inputs;
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
            let (mut begun, mut before) = (vec![0; groups], vec![Bits::default(); groups]);
            let mut tiles = vec![Vec::new(); code.stages().len()];
            let mut task_of = vec![(0, 0); code.stages().len()];
            for (t, task) in schedule.tasks.iter().enumerate() {
                for &wait in &task.waits {
                    prop_assert_eq!(begun[wait], schedule.groups[wait], "all of the group is claimed before");
                    let all = before[wait].clone();
                    before[task.group].add(&all);
                    before[task.group].set(wait);
                }
                begun[task.group] += 1;
                for (i, (stage, range)) in task.pieces.iter().enumerate() {
                    tiles[*stage].extend(range.clone());
                    task_of[*stage] = (t, i);
                }
            }
            prop_assert_eq!(&begun, &schedule.groups);
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
                let (group, waited) = (schedule.tasks[last].group, schedule.tasks[first].group);
                let ordered = if group == waited { i > j } else { before[group].has(waited) };
                prop_assert!(!conflict || ordered, "stage {late} does not wait for {early}");
            }
        }
    }
}
