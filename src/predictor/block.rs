//! Blocks of samples and rows: their graphs, compiled when first needed, and the memory of those who call them.

use super::{
    PredictorOptions,
    model::Model,
    moment::MomentaryLock,
    question::{Accumulator, FIRST_LOOK, Graphs, Question, RESULTS, Turns},
};
use crate::{
    Backend, Error,
    engine::{Engine, Session},
};
use bayeslift_ir::{DType, Graph, Input, Tensor, Type};
use bayeslift_passes::{
    INSIDE, Range, RangeAnalysis, Rewriting, Stages, WATCH, hidden, optimize, rescale, stage, unmarked, watch,
};
use bayeslift_runtime::Argument;
use std::sync::OnceLock;

/// What is computed of each sample of each row, compiled for a block of rows and for a single one, each when it is
/// first needed.
#[derive(Debug)]
pub struct Blocks {
    question: Question,
    many: OnceLock<Pool>,
    one: OnceLock<Pool>,
    /// Locked by who sets one of them.
    setting: MomentaryLock<()>,
}

impl Blocks {
    pub fn new(question: Question) -> Blocks {
        Blocks { question, many: OnceLock::new(), one: OnceLock::new(), setting: MomentaryLock::default() }
    }

    /// The block of this many rows: 1, or the options' number.
    pub fn pool(&self, model: &Model, options: &PredictorOptions, rows: usize) -> Result<&Pool, Error> {
        let pool = if rows == 1 { &self.one } else { &self.many };
        match pool.get() {
            Some(pool) => Ok(pool),
            None => {
                let made = Pool::new(self.question, model, options, rows)?;
                let _setting = self.setting.lock().ok_or(bayeslift_runtime::Error::ForkedWhileCompiling)?;
                Ok(pool.get_or_init(|| made))
            }
        }
    }

    /// A block that is there already, or else that of this many rows.
    pub fn any(&self, model: &Model, options: &PredictorOptions, rows: usize) -> Result<&Pool, Error> {
        match self.many.get().or(self.one.get()) {
            Some(pool) => Ok(pool),
            None => self.pool(model, options, rows),
        }
    }

    /// Takes over a model's parameters.
    pub fn set_parameters(&mut self, model: &Model) -> Result<(), Error> {
        [&mut self.many, &mut self.one]
            .into_iter()
            .filter_map(OnceLock::get_mut)
            .try_for_each(|pool| pool.prepare(model))
    }
}

/// How much care a block takes. All give the same bits where nothing overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// None: for rows that are too small for an overflow.
    Plain,
    /// It tells whether a value was not finite where its outputs would not show it.
    Watched,
    /// It also computes standard deviations of a layer's output whose squares are too large.
    Rescaled,
}

impl Care {
    pub const ALL: [Care; 3] = [Care::Plain, Care::Watched, Care::Rescaled];
}

/// A block with the care that may be taken of it, compiled when it is first needed.
#[derive(Debug)]
pub struct Pool {
    pub plain: Compiled,
    watched: OnceLock<Option<Compiled>>,
    rescaled: OnceLock<Option<Compiled>>,
    /// Held while one of these two is set.
    setting: MomentaryLock<()>,
    /// Of a network of `f64` the plain block as it is watched.
    marked: Option<Graph>,
    early: Early,
    /// Makes results of what was added up, if the block itself does not.
    pub finish: Option<Engine>,
    pub accumulators: Vec<Accumulator>,
    /// Nothing overflows in [`Care::Plain`] that its outputs would not show, if no number of a row exceeds it.
    pub bound: f64,
    /// Whether samples differ: whether anything draws noise.
    pub draws: bool,
    /// How many samples a call computes.
    pub at_once: usize,
}

impl Pool {
    fn new(question: Question, model: &Model, options: &PredictorOptions, rows: usize) -> Result<Pool, Error> {
        // draws of targets differ, whatever they are given
        let draws = model.draws()? || question == Question::Draw;
        let (at_once, turns) = match question {
            Question::Decision if draws => (FIRST_LOOK, Turns::Open),
            _ => {
                let at_once = at_once(options, rows, draws);
                (at_once, if draws && at_once < options.samples { Turns::Overlapping } else { Turns::One })
            }
        };
        let graphs = question.graphs(model, (at_once, turns), rows, draws)?;
        let staged = Staged::new(graphs, model, &options.backend)?;
        let finish = staged.finish.map(|graph| Engine::new(graph, &options.backend)).transpose()?;
        let mut pool = Pool {
            setting: MomentaryLock::default(),
            plain: Compiled::new(Engine::of_simplified(staged.late, &options.backend)?),
            marked: staged.marked,
            watched: OnceLock::new(),
            rescaled: OnceLock::new(),
            early: staged.early,
            finish,
            accumulators: staged.accumulators,
            bound: 0.0,
            draws,
            at_once,
        };
        pool.prepare(model)?;
        Ok(pool)
    }

    /// The block with this care; `None` if it would be that with less.
    pub fn with(&self, care: Care, backend: &Backend) -> Result<Option<&Compiled>, Error> {
        let cell = match care {
            Care::Plain => return Ok(Some(&self.plain)),
            Care::Watched => &self.watched,
            Care::Rescaled => &self.rescaled,
        };
        if let Some(made) = cell.get() {
            return Ok(made.as_ref());
        }
        let plain = self.marked.as_ref().unwrap_or(self.plain.engine.graph());
        let graph = if care == Care::Watched { watch(plain, true)? } else { rescaled(plain)? };
        let graph = graph.map(|graph| unmarked(&graph)).transpose()?;
        let made = graph.map(|graph| Engine::of_rewritten(graph, backend)).transpose()?.map(Compiled::new);
        let _setting = self.setting.lock().ok_or(bayeslift_runtime::Error::ForkedWhileCompiling)?;
        Ok(cell.get_or_init(|| made).as_ref())
    }

    /// Names and types of the results.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, &Type)> {
        let graph = self.finish.as_ref().unwrap_or(&self.plain.engine).graph();
        let known = |name: &str| RESULTS.into_iter().find(|known| *known == name).unwrap_or_default();
        graph.outputs().iter().map(move |output| (known(&output.name), graph.ty(output.value)))
    }

    /// How many elements a call gives of what is not added up.
    pub fn each_elements(&self) -> usize {
        let graph = self.plain.engine.graph();
        graph.outputs().first().map_or(0, |output| graph.ty(output.value).shape.elements())
    }

    /// What a call with this care works on.
    pub fn take(&self, compiled: &Compiled) -> Result<Memory, Error> {
        if let Some(memory) = compiled.free.lock().and_then(|mut free| free.pop()) {
            return Ok(memory);
        }
        let accumulators = self.accumulators.iter().map(|sum| Tensor::zeros(&sum.ty)).collect::<Result<_, _>>()?;
        let finish = self.finish.as_ref().map(Engine::session).transpose()?;
        Ok(Memory { session: compiled.engine.session()?, finish, accumulators })
    }

    /// Takes over a model's parameters.
    fn prepare(&mut self, model: &Model) -> Result<(), Error> {
        self.early.compute(model)?;
        let known: Vec<&Tensor> = self.early.known(model).collect();
        self.bound = largest_bound(self.marked.as_ref().unwrap_or(self.plain.engine.graph()), &known, model.dtype)?;
        Ok(())
    }

    /// The block's first arguments: see [`Early::known`].
    pub fn parameters<'a>(&'a self, model: &'a Model, arguments: &mut Vec<Argument<'a>>) {
        arguments.reserve(self.early.session.outputs.len() + self.early.kept.len());
        self.early.known(model).for_each(|tensor| arguments.push(tensor.into()));
    }
}

/// What of a block depends on parameters alone, such as variances: the same for all calls.
#[derive(Debug)]
pub struct Early {
    engine: Engine,
    session: Session,
    /// The parameters that the block itself reads, by number, in order.
    kept: Vec<usize>,
}

impl Early {
    fn compute(&mut self, model: &Model) -> Result<(), Error> {
        let mut parameters: Vec<_> = tensors(model).map(Argument::from).collect();
        self.engine.call(&mut self.session, &mut parameters)
    }

    /// What depends on nothing but the parameters of this model, of which it was computed: the block's first inputs.
    pub fn known<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = &'a Tensor> {
        let kept = self.kept.iter().filter_map(|&i| model.parameters().nth(i));
        self.session.outputs.iter().chain(kept.map(|parameter| &parameter.tensor))
    }
}

/// The graphs of a block, with what depends on parameters alone apart from the rest.
#[derive(Debug)]
pub struct Staged {
    pub early: Early,
    /// The block, simplified: from what is known early, noise address, inputs, accumulators.
    pub late: Graph,
    /// That of a network of `f64` [marked](INSIDE): rewriting leaves it as it is.
    pub marked: Option<Graph>,
    pub finish: Option<Graph>,
    pub accumulators: Vec<Accumulator>,
}

impl Staged {
    pub fn new(graphs: Graphs, model: &Model, backend: &Backend) -> Result<Staged, Error> {
        let Graphs { update, finish, accumulators } = graphs;
        let stages = stages(&update, model)?;
        let engine = Engine::of_simplified(stages.first, backend)?;
        let session = engine.session()?;
        let early = Early { engine, session, kept: stages.kept };
        let is_marked = stages.second.outputs().iter().any(|output| output.name == INSIDE);
        let (late, marked) = match is_marked {
            true => (unmarked(&stages.second)?, Some(stages.second)),
            false => (stages.second, None),
        };
        Ok(Staged { early, late, marked, finish, accumulators })
    }

    /// Computes what is known of a model's parameters.
    #[cfg(feature = "deploy")]
    pub fn known(&mut self, model: &Model) -> Result<Vec<Tensor>, Error> {
        self.early.compute(model)?;
        Ok(self.early.known(model).cloned().collect())
    }
}

/// A block's graph cut in two: what depends on parameters alone, and the rest.
pub fn stages(update: &Graph, model: &Model) -> Result<Stages, Error> {
    let is_parameter = |input: &Input| model.parameters().get(&input.name).is_ok();
    // simplified before it is cut, since what is cut stays as large as it is; both parts are simple then
    Ok(stage(&optimize(update, Rewriting::Off)?.graph, is_parameter)?)
}

/// How many samples a block of `rows` rows computes at once. A single row takes as many as there are, up to a few
/// hundred: then they need not be kept between calls. Where no layer draws noise all samples are one.
fn at_once(options: &PredictorOptions, rows: usize, draws: bool) -> usize {
    const OF_ONE_ROW: usize = 256;
    match (draws, rows) {
        (false, _) => 1,
        (true, 1) if options.samples <= OF_ONE_ROW => options.samples,
        (true, _) => options.sample_block,
    }
}

/// [`rescale`], and then [`watch`] what is left to watch.
fn rescaled(graph: &Graph) -> Result<Option<Graph>, bayeslift_ir::Error> {
    let Some(graph) = rescale(graph)? else { return Ok(None) };
    Ok(Some(watch(&graph, false)?.unwrap_or(graph)))
}

/// The largest power of two, or the largest number, for which interval analysis proves: if no number of a row exceeds
/// it, nothing overflows that outputs would not show. `known` are the first inputs. Below 0 if there is none.
pub fn largest_bound(graph: &Graph, known: &[&Tensor], float: DType) -> Result<f64, Error> {
    let analysis = RangeAnalysis::new(graph, |i| known.get(i).copied())?;
    let is_safe = |size: f64| hidden(graph, &analysis.ranges(|_| Range::new(-size, size))).is_empty();
    let (largest, exponents) = match float {
        DType::F64 => (f64::MAX, 1024),
        _ => (f32::MAX.into(), 128),
    };
    if is_safe(largest) {
        return Ok(largest);
    }
    // Ranges grow with those of the inputs. A smaller bound is of no use.
    let (mut safe, mut failing) = (-20, exponents);
    let size = |exponent: i64| f64::from_bits(((1023 + exponent) as u64) << 52);
    if !is_safe(size(safe)) {
        return Ok(-1.0);
    }
    while failing - safe > 1 {
        let middle = (safe + failing) / 2;
        if is_safe(size(middle)) { safe = middle } else { failing = middle }
    }
    Ok(size(safe))
}

/// A graph that is ready to run, and the memory of those who called it.
#[derive(Debug)]
pub struct Compiled {
    pub engine: Engine,
    free: MomentaryLock<Vec<Memory>>,
    is_watched: bool,
}

/// What the samples of one block of rows are added up in.
#[derive(Debug)]
pub struct Memory {
    pub session: Session,
    pub finish: Option<Session>,
    pub accumulators: Vec<Tensor>,
}

impl Memory {
    /// The results that were made last.
    pub fn results(&self) -> &[Tensor] {
        &self.finish.as_ref().unwrap_or(&self.session).outputs
    }

    /// Begins anew.
    pub fn clear(&mut self, pool: &Pool) {
        for (tensor, sum) in self.accumulators.iter_mut().zip(&pool.accumulators) {
            tensor.as_f64_mut().unwrap_or_default().fill(sum.initial);
        }
    }

    /// Makes results of what was added up, if there are accumulators; `besides` is what that takes besides them.
    pub fn finish<'a>(&'a mut self, pool: &Pool, besides: impl IntoIterator<Item = Argument<'a>>) -> Result<(), Error> {
        let (Some(finish), Some(session)) = (&pool.finish, &mut self.finish) else { return Ok(()) };
        let accumulators = self.accumulators.iter().map(Argument::from);
        finish.call(session, &mut accumulators.chain(besides).collect::<Vec<_>>())
    }
}

impl Compiled {
    fn new(engine: Engine) -> Compiled {
        let is_watched = engine.graph().outputs().iter().any(|output| output.name == WATCH);
        Compiled { engine, free: MomentaryLock::default(), is_watched }
    }

    /// Whether the last call said that a value was not finite.
    pub fn found(&self, session: &Session) -> bool {
        let watch = session.outputs.last().filter(|_| self.is_watched).and_then(Tensor::to_f64s);
        watch.is_some_and(|watch| watch != [0.0])
    }

    pub fn put_back(&self, memory: Memory) {
        if let Some(mut free) = self.free.lock() {
            free.push(memory);
        }
    }
}

fn tensors(model: &Model) -> impl Iterator<Item = &Tensor> {
    model.parameters().iter().map(|(_, parameter)| &parameter.tensor)
}
