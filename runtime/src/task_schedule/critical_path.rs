//! The longest chain of tasks that wait for each other: what a call takes where there are threads for all others.

use super::TaskSchedule;
use crate::dependencies::Parts;

/// The longest chain, by the estimated costs of its tasks.
#[derive(Debug)]
pub(crate) struct CriticalPath {
    /// What its tasks cost, one after the other, in picoseconds.
    pub cost: u64,
    /// The groups of its tasks, in the order in which they run.
    pub groups: Vec<usize>,
}

/// When a part is over at the earliest, and the group and part that it has waited for last.
struct Over {
    at: u64,
    last: Option<(usize, usize)>,
}

impl TaskSchedule {
    /// The longest chain of tasks, where claiming one takes `claim` picoseconds; empty where one thread does it all.
    pub fn critical_path(&self, claim: u64) -> CriticalPath {
        let mut over: Vec<Vec<Over>> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let cost = claim + group.cost / group.parts() as u64;
            let parts = group.waits.iter().map(|waits| {
                let last = waits.iter().flat_map(parts).max_by_key(|&(work, part)| over[work][part].at);
                Over { at: cost + last.map_or(0, |(work, part)| over[work][part].at), last }
            });
            let parts = parts.collect();
            over.push(parts);
        }
        let all = over.iter().enumerate().flat_map(|(g, parts)| (0..parts.len()).map(move |part| (g, part)));
        let end = all.max_by_key(|&(g, part)| over[g][part].at);
        let chain = std::iter::successors(end, |&(g, part)| over[g][part].last);
        let mut groups: Vec<usize> = chain.map(|(g, _)| g).collect();
        groups.reverse();
        CriticalPath { cost: end.map_or(0, |(g, part)| over[g][part].at), groups }
    }
}

/// The parts that are waited for.
fn parts(&Parts { work, mask }: &Parts) -> impl Iterator<Item = (usize, usize)> {
    (0..u64::BITS as usize).filter(move |part| mask >> part & 1 == 1).map(move |part| (work, part))
}
