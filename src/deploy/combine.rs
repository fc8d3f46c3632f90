//! How the answers of an ensemble's members become one.

use super::{
    entry::{NOT_FINITE, Parts, add, give},
    members::Answer,
};
use crate::ensemble::combine;
use bayeslift_codegen::routine::{Callee, Data, Routine, RoutineBuilder, Width::Long, launches};

/// The routines by which a block's answers become one.
#[derive(Clone, Copy, Debug)]
pub struct Together {
    /// `(workspace)`: makes one answer of what was gathered.
    pub combine: Callee,
    /// As that of [`OfBlock`](super::entry::OfBlock), of that answer.
    pub give: Callee,
}

impl Parts<'_> {
    /// For each block the routines that make one answer of its members'; none of a network.
    pub fn together(&self, routines: &mut Vec<Routine>, data: &mut Data) -> Vec<Together> {
        let Some(members) = self.members else { return Vec::new() };
        let made = members.answers.iter().map(|answer| Together {
            combine: add(routines, self.combine(answer, data), "(workspace): makes one answer of what members gave"),
            give: add(
                routines,
                give(self.element, answer.rows, &answer.results, &self.layout.together, self.abstains.as_ref()),
                &format!("(workspace, result, count, row, samples): gives the answer of all. {NOT_FINITE}"),
            ),
        });
        let made: Vec<Together> = made.collect();
        members.of_block.iter().map(|&answer| made[answer]).collect()
    }

    fn combine(&self, answer: &Answer, data: &mut Data) -> RoutineBuilder {
        let (mut b, [workspace]) = RoutineBuilder::new([Long]);
        self.launch(&mut b, workspace, |s, level| {
            let told = s.blocks[0].0.results();
            let place = |name: &&str| {
                let column = told.iter().position(|column| column.name == *name)?;
                s.layout.gathered[column]
            };
            let inputs = combine::READ.iter().filter_map(place).map(|at| workspace + at).collect();
            let outputs = s.layout.together.iter().map(|&at| workspace + at).collect();
            let (table, first) = &answer.compiled[level];
            launches(table, *first, &s.memory(workspace, inputs, outputs), data)
        });
        b.give(0);
        b
    }
}
