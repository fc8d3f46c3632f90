//! The members of an ensemble, one after the other, and their answers as one. A network is alone, and nothing is done
//! for it.

use super::Functions;
use Width::Long;
use bayeslift_codegen::routine::{Expr, RoutineBuilder, Variable, Width};

impl Functions<'_> {
    /// How many networks answer.
    pub(super) fn count(&self) -> usize {
        self.parts.members.map_or(1, |members| members.count)
    }

    /// Does something as often as there are networks.
    pub(super) fn times(&self, b: &mut RoutineBuilder, body: impl FnOnce(&mut RoutineBuilder, Expr)) {
        match self.parts.members {
            None => body(b, 0.into()),
            Some(members) => b.each(members.count as i64, |b, member| body(b, member.into())),
        }
    }

    /// As [`Functions::times`], with what is the member's own in its place: its parameters and its noise.
    pub(super) fn each_member(
        &self,
        b: &mut RoutineBuilder,
        workspace: Variable,
        body: impl FnOnce(&mut RoutineBuilder, Expr),
    ) {
        let layout = self.parts.layout;
        self.times(b, |b, member| {
            if let Some(members) = self.parts.members {
                let own = b.set(Expr::Data(members.table) + member.clone() * members.row_bytes);
                b.store(Long, workspace, layout.member, own);
                let seed = Expr::from(workspace).load(Long, layout.seed) + Expr::from(own).load(Long, 0);
                self.set_key(b, workspace, seed);
            }
            body(b, member);
        });
    }

    /// Keeps the seed that noise is addressed by, or that members count theirs from.
    pub(super) fn set_seed(&self, b: &mut RoutineBuilder, workspace: Variable, seed: impl Into<Expr>) {
        match self.parts.members {
            None => self.set_key(b, workspace, seed),
            Some(_) => b.store(Long, workspace, self.parts.layout.seed, seed),
        }
    }

    /// Keeps the results of a member for the answer of all. Gives whether one is not finite.
    pub(super) fn gather(
        &self,
        b: &mut RoutineBuilder,
        block: usize,
        workspace: Variable,
        [member, count, samples]: [Expr; 3],
    ) -> Variable {
        let layout = self.parts.layout;
        for (i, place) in layout.gathered.iter().enumerate() {
            let address = place.map_or(Expr::Number(0), |at| workspace + at);
            b.point(workspace + layout.gathered_at, i, address);
        }
        let first = member * self.parts.blocks[block].0.rows as i64;
        let into = workspace + layout.gathered_at;
        b.call(self.of[block].give, vec![workspace.into(), into, count, first, samples])
    }

    /// Makes one answer of what was gathered.
    pub(super) fn combine(&self, b: &mut RoutineBuilder, block: usize, workspace: Variable) {
        if let Some(together) = self.together.get(block) {
            b.run(together.combine, vec![workspace.into()]);
        }
    }

    /// Gives results to the caller; whether one is not finite.
    pub(super) fn give(&self, b: &mut RoutineBuilder, block: usize, arguments: Vec<Expr>) -> Variable {
        let give = self.together.get(block).map_or(self.of[block].give, |together| together.give);
        b.call(give, arguments)
    }
}
