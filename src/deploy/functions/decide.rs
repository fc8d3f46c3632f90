//! Decisions, row by row: with as many samples as each of them takes.

use super::{Functions, refuse, within};
use crate::{
    deploy::{decisions::Decides, status::status},
    predictor::question::{CERTAIN, FIRST_LOOK},
};
use Width::{Byte, Long, Word};
use bayeslift_codegen::routine::{Expr, RoutineBuilder, Variable, Width};

impl Functions<'_> {
    pub(super) fn decide(&self, block: usize, decides: &Decides) -> RoutineBuilder {
        let (mut builder, [request, inputs, rows, result, decision, workspace]) = RoutineBuilder::new([Long; 6]);
        let b = &mut builder;
        refuse(b, Expr::from(result).is_zero() | Expr::from(decision).is_zero(), "ERROR_NULL");
        self.check_workspace(b, workspace);
        self.check_rows(b, Some(inputs), rows);
        let [seed, first_row, first_sample, most] = self.request(b, request);
        let layout = self.parts.layout;
        let of = self.of[block];
        let clear = of.clear.expect("samples are added up");
        let finish = of.finish.expect("what is added up is made results of");
        within(b, self.architecture, |b| {
            let found = self.with_inputs(b, (inputs, rows), |b, state| {
                self.set_seed(b, workspace, seed);
                let accumulators = b.set(workspace + layout.accumulators);
                b.each(rows, |b, row| {
                    b.run(clear, vec![accumulators.into()]);
                    let x = b.set(inputs + row * self.row_bytes());
                    let number = b.set(first_row + row);
                    let [unseen, done, is_certain] = [(); 3].map(|()| b.set(0));
                    let end = b.set(Expr::from(most).minimum(FIRST_LOOK as i64));
                    let look = b.set(1);
                    b.repeat(Expr::from(done).less(end), |b| {
                        let [count, samples] = [1.into(), end.into()];
                        let given = [workspace, accumulators, x].map(Expr::from).into_iter().chain([count]);
                        let address = [number, first_sample, done].map(Expr::from).into_iter().chain([samples]);
                        let bad = b.call(of.update, given.chain(address).collect());
                        b.assign(unseen, unseen | bad);
                        b.store(Word, workspace, layout.look, look);
                        b.run(finish, vec![workspace.into(), accumulators.into(), end.into()]);
                        self.all_certain(b, block, decides, workspace, is_certain);
                        b.assign(done, end);
                        // once more if it is not certain, and there are more
                        let next = (end + end).minimum(most);
                        b.when(Expr::from(is_certain).is_zero(), |b| b.assign(end, next));
                        b.assign(look, look + 1);
                    });
                    let arguments = [workspace, result].map(Expr::from).into_iter().chain([1.into()]);
                    let bad = b.call(of.give, arguments.chain([row.into(), done.into()]).collect());
                    b.when(bad | unseen, |b| b.assign(state, status("ERROR_NOT_FINITE_RESULT")));
                    self.give_decision(b, block, decides, [workspace, decision, row, done]);
                });
            });
            b.assign(rows, found);
        });
        b.give(rows);
        builder
    }

    /// Where in the workspace the label's number of a result lies.
    fn place(&self, block: usize, name: &str) -> i64 {
        let (of, _) = &self.parts.blocks[block];
        let column = of.results().iter().position(|column| column.name == name).expect("decisions have this result");
        self.parts.layout.results_of(of)[column]
    }

    /// The bits of a number that lies in the workspace.
    fn number(&self, workspace: Variable, at: i64, index: impl Into<Expr>) -> Expr {
        let element = self.parts.element;
        (Expr::from(workspace) + index.into() * element.bytes).load(element.width, at)
    }

    /// Whether all labels of a row are certain.
    fn all_certain(
        &self,
        b: &mut RoutineBuilder,
        block: usize,
        decides: &Decides,
        workspace: Variable,
        into: Variable,
    ) {
        let at = self.place(block, CERTAIN);
        b.assign(into, 1);
        b.each(decides.labels as i64, |b, i| {
            let is_not = self.number(workspace, at, i).is_zero();
            b.when(is_not, |b| b.assign(into, 0));
        });
    }

    /// Gives the caller what it asked for of a row's decision.
    fn give_decision(
        &self,
        b: &mut RoutineBuilder,
        block: usize,
        decides: &Decides,
        [workspace, decision, row, samples]: [Variable; 4],
    ) {
        let [probabilities, certain] = ["probabilities", CERTAIN].map(|name| self.place(block, name));
        let (labels, classes) = (decides.labels as i64, decides.classes as i64);
        let [to_label, to_samples, to_certain] = [0, 1, 2].map(|number| b.set(Expr::from(decision).address(number)));
        b.when(to_samples, |b| b.store(Word, to_samples + row * 4, 0, samples));
        b.each(labels, |b, label| {
            let index = b.set(row * labels + label);
            b.when(to_certain, |b| {
                let is_certain = self.number(workspace, certain, label).is_zero().is_zero();
                b.store(Byte, to_certain + index, 0, is_certain);
            });
            b.when(to_label, |b| {
                // probabilities have no sign, so they are as their bits
                let [largest, best] = [(); 2].map(|()| b.set(0));
                b.each(classes, |b, class| {
                    let bits = b.set(self.number(workspace, probabilities, label * classes + class));
                    b.when(Expr::from(largest).less(bits), |b| {
                        b.assign(largest, bits);
                        b.assign(best, class);
                    });
                });
                b.store(Word, to_label + index * 4, 0, best);
            });
        });
    }
}
