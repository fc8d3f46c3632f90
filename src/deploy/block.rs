//! Blocks of samples and rows as graphs and machine code, for objects.

use super::{element::Element, language::Language};
use crate::{
    Backend, Error,
    predictor::{
        block::{Staged, largest_bound, stages},
        model::Model,
        question::{Accumulator, Graphs, Question, Turns},
    },
};
use bayeslift_codegen::{KernelTable, Program, Target};
use bayeslift_ir::{Graph, Output, Tensor};
use bayeslift_passes::{Rewriting, Rewritten, Stages, WATCH, unmarked, watch};
use bayeslift_runtime::Options;

/// A block of samples and rows, ready to be compiled for any target.
#[derive(Debug)]
pub struct Block {
    pub question: Question,
    pub rows: usize,
    /// How many samples it computes at once.
    pub at_once: usize,
    pub turns: Turns,
    update: Rewritten,
    finish: Option<Rewritten>,
    /// What it knows of the parameters of each model: its first inputs.
    pub known: Vec<Vec<Tensor>>,
    pub accumulators: Vec<Accumulator>,
    /// Nothing overflows unseen in rows whose numbers are not larger.
    pub bound: f64,
    /// Whether the block looks itself for what overflows unseen, and tells it by an output more: where no bound could
    /// be shown.
    pub is_watched: bool,
}

/// A result: `width` numbers for each row.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub width: usize,
}

/// What a block's code for one target is as data.
#[derive(Debug)]
pub struct Compiled {
    pub update: KernelTable,
    pub finish: Option<KernelTable>,
    /// The number of the first function that makes results.
    pub finish_at: usize,
}

impl Block {
    /// A block that answers with moments or decides, of models that differ in their parameters alone.
    ///
    /// # Errors
    /// A model whose graphs are not those of the first.
    pub fn new(
        question: Question,
        models: &[Model],
        (at_once, turns): (usize, Turns),
        rows: usize,
        draws: bool,
    ) -> Result<Block, Error> {
        let backend = Backend::shared(Options::default());
        let stage = |model: &Model| {
            let graphs = question.graphs(model, (at_once, turns), rows, draws)?;
            let mut staged = Staged::new(graphs, model, &backend)?;
            let known = staged.known(model)?;
            Ok::<_, Error>((staged, known))
        };
        let (staged, of_first) = stage(&models[0])?;
        let mut known = vec![of_first];
        for (number, model) in models.iter().enumerate().skip(1) {
            let (other, of_other) = stage(model)?;
            if other.late != staged.late || other.finish != staged.finish {
                let problem = format!("member {number} has other layers than the first, or another likelihood");
                return Err(Error::misuse(problem, "compile it to an object of its own"));
            }
            known.push(of_other);
        }
        let update = Options::default().simplify(false).optimize(&staged.late)?;
        let finish = staged.finish.map(|graph| Options::default().optimize(&graph)).transpose()?;
        let (largest, bounded) =
            (Element::of(models[0].dtype).largest, staged.marked.as_ref().unwrap_or(&update.graph));
        let mut bound = largest;
        for known in &known {
            bound = bound.min(largest_bound(bounded, &known.iter().collect::<Vec<_>>(), models[0].dtype)?);
        }
        let watched = match (bound < 0.0, &staged.marked) {
            (false, _) => None,
            (true, None) => watch(&update.graph, true)?,
            (true, Some(marked)) => watch(marked, true)?.map(|graph| unmarked(&graph)).transpose()?,
        };
        let (is_watched, bound) = (watched.is_some(), if bound < 0.0 { largest } else { bound });
        let update = match watched {
            Some(graph) => Options::default().rewriting(Rewriting::Off).optimize(&graph)?,
            None => update,
        };
        let accumulators = staged.accumulators;
        Ok(Block { question, rows, at_once, turns, update, finish, known, accumulators, bound, is_watched })
    }

    /// A block of a network whose parameters are not known before they are used; and, for any parameters, what is
    /// computed of them before, and the numbers of those that the block itself reads. As nothing bounds what it
    /// computes, it looks itself for what overflows unseen.
    pub fn of_any(
        model: &Model,
        (at_once, turns): (usize, Turns),
        rows: usize,
        draws: bool,
    ) -> Result<(Block, Rewritten, Vec<usize>), Error> {
        let question = Question::Moments;
        let Graphs { update, finish, accumulators } = question.graphs(model, (at_once, turns), rows, draws)?;
        let Stages { first, second, kept } = stages(&update, model)?;
        let simple = Options::default().simplify(false);
        let (early, late) = (simple.optimize(&first)?, simple.optimize(&second)?);
        let finish = finish.map(|graph| Options::default().optimize(&graph)).transpose()?;
        let watched = watch(&late.graph, true)?;
        let is_watched = watched.is_some();
        let update = match watched {
            Some(graph) => Options::default().rewriting(Rewriting::Off).optimize(&graph)?,
            None => late,
        };
        let (known, bound) = (Vec::new(), f32::MAX.into());
        let block = Block { question, rows, at_once, turns, update, finish, known, accumulators, bound, is_watched };
        Ok((block, early, kept))
    }

    /// What it answers.
    pub fn results(&self) -> Vec<Column> {
        columns(&self.finish.as_ref().unwrap_or(&self.update).graph, self.rows)
    }

    /// The bytes of an accumulator of each kind.
    pub fn accumulator_bytes(&self) -> Vec<u64> {
        self.accumulators.iter().map(|sum| sum.ty.words() as u64 * 4).collect()
    }

    /// Its code.
    pub fn compile<L: Language>(&self, language: &L, target: Target) -> Result<(Compiled, Vec<L::Function>), Error> {
        let options = Options::default().target(target).threads(1);
        let Program { table: update, mut functions } = language.emit(&options, &self.update)?;
        let finish_at = functions.len();
        let finish = match &self.finish {
            None => None,
            Some(graph) => {
                let program = language.emit(&options, graph)?;
                functions.extend(program.functions);
                Some(program.table)
            }
        };
        Ok((Compiled { update, finish, finish_at }, functions))
    }
}

/// The results of a graph for `rows` rows.
pub fn columns(graph: &Graph, rows: usize) -> Vec<Column> {
    let outputs = graph.outputs().iter().filter(|output| output.updates.is_none() && output.name != WATCH);
    let width = |output: &Output| graph.ty(output.value).shape.elements() / rows;
    outputs.map(|output| Column { name: output.name.clone(), width: width(output) }).collect()
}
