//! Stages that one task runs, and what each task waits for.

use super::{BESIDE, MOST_PARTS, TASKS_PER_THREAD};
use crate::dependencies::{Addresses, Parts, Touch, Touched, waits};
use bayeslift_codegen::{KernelTable, Stage};
use fixedbitset::FixedBitSet;
use std::collections::BTreeSet;
use std::ops::Range;

/// Stages that run one after the other, cut into parts that are a task each. A part waits for no other part of its
/// group: where several stages have several parts, those are of rows that have nothing to do with each other.
#[derive(Debug)]
pub(crate) struct Group {
    pub stages: Vec<usize>,
    /// For each stage where each part's tiles begin, and where the last one's end.
    pub(super) cuts: Vec<Vec<usize>>,
    /// For each part those of other groups that must be over before.
    pub waits: Vec<Vec<Parts>>,
    pub(super) cost: u64,
}

impl Group {
    /// How many parts, and so tasks, it has.
    pub fn parts(&self) -> usize {
        self.cuts[0].len() - 1
    }

    /// The tiles of one of its stages that belong to a part.
    pub fn tiles(&self, stage: usize, part: usize) -> Range<usize> {
        self.cuts[stage][part]..self.cuts[stage][part + 1]
    }

    /// One stage in `parts` parts.
    fn new(number: usize, stage: &Stage, parts: usize) -> Group {
        let cuts = vec![(0..=parts).map(|part| stage.tiles * part / parts).collect()];
        Group { stages: vec![number], cuts, waits: vec![Vec::new(); parts], cost: stage.cost }
    }

    /// The groups that some part waits for.
    pub(super) fn waits_for(&self) -> BTreeSet<usize> {
        self.waits.iter().flatten().map(|wait| wait.work).collect()
    }
}

/// Into how many tasks a stage is cut for `threads` threads.
fn tasks_for(stage: &Stage, threads: usize, small: u64) -> usize {
    let parts = |small: u64| usize::try_from(stage.cost / small.max(1)).unwrap_or(usize::MAX);
    let parts = parts(small).max(parts(small / 2).min(threads));
    parts.min(threads * TASKS_PER_THREAD).min(MOST_PARTS).clamp(1, stage.tiles.max(1))
}

/// Joins stages to groups.
pub(super) struct Former<'a> {
    stages: &'a [Stage],
    /// How much memory there is to touch, in bytes, and what each stage touches.
    end: usize,
    touches: Vec<Vec<Touch>>,
    /// What each stage waits for.
    dependencies: Vec<BTreeSet<usize>>,
    /// What stages cost that one task runs, at most together.
    small: u64,
    /// What claiming a task takes.
    claim: u64,
}

impl<'a> Former<'a> {
    pub fn new(table: &'a KernelTable, small: u64) -> Former<'a> {
        let addresses = Addresses::new(table);
        let touches: Vec<Vec<Touch>> = table.stages.iter().map(|stage| addresses.touches(stage)).collect();
        let (end, stages) = (addresses.end, touches.iter().zip(&table.stages));
        let whole = stages.map(|(touches, stage)| vec![touches.iter().map(|touch| touch.of(0..stage.tiles)).collect()]);
        let waits = waits(end, whole).into_iter();
        let dependencies = waits.map(|parts| parts[0].iter().map(|wait| wait.work).collect()).collect();
        Former { stages: &table.stages, end, dependencies, touches, small, claim: table.target.machine().handover }
    }

    /// Groups for `threads` threads, in an order in which they may run. A stage joins one that it waits for where their
    /// parts have to do with each other one by one; a small one another small one that it waits for, or that waits for
    /// all it waits for.
    pub fn groups(&self, threads: usize) -> Vec<Group> {
        /// How many groups back one is looked for.
        const NEAR: usize = 16;
        let mut groups: Vec<Group> = Vec::new();
        // groups that a group waits for, directly or not
        let mut before: Vec<FixedBitSet> = Vec::new();
        let mut group_of = vec![0; self.stages.len()];
        for i in by_level(&self.dependencies) {
            let waits: BTreeSet<usize> = self.dependencies[i].iter().map(|&stage| group_of[stage]).collect();
            let (last, from) = (waits.last().copied(), groups.len().saturating_sub(NEAR));
            let others = (from..groups.len()).rev().filter(|&g| Some(g) != last);
            let candidates = last.into_iter().chain(others);
            // what has as little to wait for as the group, and is small, may also come before it
            let is_early = |wait: usize, g: usize| {
                wait < g && groups[wait].cost <= self.small && before[wait].is_subset(&before[g])
            };
            let waits_too =
                |g: usize| waits.iter().all(|&wait| wait == g || before[g].contains(wait) || is_early(wait, g));
            let (cost, parts) = (self.stages[i].cost, tasks_for(&self.stages[i], threads, self.small));
            let joined = candidates.filter(|&g| waits_too(g)).find_map(|g| match groups[g].parts() {
                1 => {
                    let most = if waits.contains(&g) { self.small } else { self.small / BESIDE };
                    (groups[g].cost + cost + self.claim / 4 <= most).then(|| (g, vec![0, self.stages[i].tiles]))
                }
                there if waits.contains(&g) && parts <= there => Some((g, self.same_cut(&groups[g], i)?)),
                _ => None,
            });
            if let Some((g, cut)) = joined {
                let group = &mut groups[g];
                group.stages.push(i);
                group.cuts.push(cut);
                group.cost += cost + self.claim / 4;
                group_of[i] = g;
                waits.iter().filter(|&&wait| wait != g).for_each(|&wait| before[g].grow_and_insert(wait));
                continue;
            }
            let mut all = FixedBitSet::new();
            for &wait in &waits {
                all.union_with(&before[wait]);
                all.grow_and_insert(wait);
            }
            group_of[i] = groups.len();
            groups.push(Group::new(i, &self.stages[i], parts));
            before.push(all);
        }
        self.find_waits(&mut groups);
        groups
    }

    /// How a stage is cut where a group is; `None` if tiles are on both sides of a cut, or if a part would have to wait
    /// for another.
    fn same_cut(&self, group: &Group, stage: usize) -> Option<Vec<usize>> {
        let first = &self.stages[group.stages[0]];
        let (there, here) = (first.tiling?, self.stages[stage].tiling?);
        let [all_there, all_here] = [there.begin(first.tiles), here.begin(self.stages[stage].tiles)];
        // where as large a share of all elements ends
        let cut = |&tiles: &usize| {
            let (element, all) = (there.begin(tiles) as u128 * all_here as u128, all_there as u128);
            let is_between = there.is_first_of_span(tiles) && element.is_multiple_of(all);
            here.tiles_before((element / all) as usize).filter(|_| is_between)
        };
        let cut: Vec<usize> = group.cuts[0].iter().map(cut).collect::<Option<_>>()?;
        let is_apart = |a: &Touch, b: &Touch, others: &[usize]| {
            if !a.may_conflict(b) {
                return true;
            }
            let all = others[others.len() - 1];
            cut.windows(2).zip(others.windows(2)).all(|(tiles, same)| {
                let part = a.of(tiles[0]..tiles[1]);
                !part.conflicts(&b.of(0..same[0])) && !part.conflicts(&b.of(same[1]..all))
            })
        };
        let mut others = group.stages.iter().zip(&group.cuts);
        let are_apart = others.all(|(&other, others)| {
            let mut pairs = self.touches[stage].iter().flat_map(|a| self.touches[other].iter().map(move |b| (a, b)));
            pairs.all(|(a, b)| is_apart(a, b, others))
        });
        are_apart.then_some(cut)
    }

    /// Finds out what each part waits for.
    fn find_waits(&self, groups: &mut [Group]) {
        let of_part = |group: &Group, part: usize| -> Vec<Touched> {
            let stages = group.stages.iter().enumerate();
            stages
                .flat_map(|(i, &stage)| self.touches[stage].iter().map(move |touch| touch.of(group.tiles(i, part))))
                .collect()
        };
        let touched = groups.iter().map(|group| (0..group.parts()).map(|part| of_part(group, part)).collect());
        let all_waits = waits(self.end, touched);
        // the groups that are over when any part of a group begins
        let mut over: Vec<FixedBitSet> = Vec::new();
        for (g, mut waits) in all_waits.into_iter().enumerate() {
            let of_part = |waits: &mut Vec<Parts>| {
                let mut all = FixedBitSet::new();
                waits.iter().for_each(|wait| all.union_with(&over[wait.work]));
                waits.retain(|wait| !all.contains(wait.work));
                let whole = waits.iter().filter(|wait| wait.mask == all_parts(groups[wait.work].parts()));
                whole.for_each(|wait| all.grow_and_insert(wait.work));
                all
            };
            let of_all = waits.iter_mut().map(of_part).reduce(|some, all| &some & &all).unwrap_or_default();
            over.push(of_all);
            groups[g].waits = waits;
        }
    }
}

/// A bit for each of `parts` parts.
fn all_parts(parts: usize) -> u64 {
    u64::MAX >> (u64::BITS as usize - parts)
}

/// The stages in an order in which they may run: first those that wait for none, then those that wait for these alone,
/// and so on.
fn by_level(dependencies: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::with_capacity(dependencies.len());
    for waits in dependencies {
        levels.push(waits.iter().map(|&wait| levels[wait] + 1).max().unwrap_or(0));
    }
    let mut order: Vec<usize> = (0..dependencies.len()).collect();
    order.sort_by_key(|&stage| levels[stage]);
    order
}

/// Each stage a group that waits for the one before.
pub(super) fn one_after_the_other(stages: &[Stage], threads: usize, small: u64) -> Vec<Group> {
    let mut before = None;
    let group = |(i, stage): (usize, &Stage)| {
        let mut group = Group::new(i, stage, tasks_for(stage, threads, small));
        let wait = before.replace(Parts { work: i, mask: all_parts(group.parts()) });
        group.waits.fill(wait.into_iter().collect());
        group
    };
    stages.iter().enumerate().map(group).collect()
}
