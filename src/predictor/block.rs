//! Blocks of samples and rows: their graphs, compiled when first needed, and the memory of those who call them.

use super::{PredictorOptions, moment::MomentaryLock};
use crate::{
    Backend, Error, Network,
    engine::{Engine, Session},
};
use bayeslift_ir::{Builder, Graph, Input, Op, Tensor};
use bayeslift_layers::{Context, Scope, noise_inputs};
use bayeslift_passes::{Range, RangeAnalysis, Rewriting, WATCH, hidden, optimize, rescale, stage, watch};
use bayeslift_runtime::Argument;
use std::sync::OnceLock;

/// What is computed of each sample of each row, compiled for a block of rows and for a single one, each when it is first
/// needed.
#[derive(Debug)]
pub struct Blocks {
    likelihood: bool,
    many: OnceLock<Pool>,
    one: OnceLock<Pool>,
    /// Locked by who sets one of them.
    setting: MomentaryLock<()>,
}

impl Blocks {
    pub fn new(likelihood: bool) -> Blocks {
        Blocks { likelihood, many: OnceLock::new(), one: OnceLock::new(), setting: MomentaryLock::default() }
    }

    /// The block of this many rows: 1, or the options' number.
    pub fn pool(&self, network: &Network, options: &PredictorOptions, rows: usize) -> Result<&Pool, Error> {
        let pool = if rows == 1 { &self.one } else { &self.many };
        match pool.get() {
            Some(pool) => Ok(pool),
            None => {
                let graph = block(network, options, rows, self.likelihood)?;
                let made = Pool::new(&graph, network, &options.backend)?;
                let _setting = self.setting.lock().ok_or(bayeslift_runtime::Error::ForkedWhileCompiling)?;
                Ok(pool.get_or_init(|| made))
            }
        }
    }

    /// A block that is there already, or else that of this many rows.
    pub fn any(&self, network: &Network, options: &PredictorOptions, rows: usize) -> Result<&Pool, Error> {
        match self.many.get().or(self.one.get()) {
            Some(pool) => Ok(pool),
            None => self.pool(network, options, rows),
        }
    }

    /// Takes over a network's parameters.
    pub fn set_parameters(&mut self, network: &Network) -> Result<(), Error> {
        [&mut self.many, &mut self.one]
            .into_iter()
            .filter_map(OnceLock::get_mut)
            .try_for_each(|pool| pool.prepare(network))
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
    /// Computes what depends on parameters alone, such as variances, and its results: the same for all calls.
    preparation: (Engine, Session),
    /// The parameters that the block itself reads, by number.
    kept: Vec<usize>,
    /// Nothing overflows in [`Care::Plain`] that its outputs would not show, if no number of a row exceeds it.
    pub bound: f32,
    /// Whether samples differ: whether anything draws noise.
    pub draws: bool,
}

impl Pool {
    fn new(graph: &Graph, network: &Network, backend: &Backend) -> Result<Pool, Error> {
        let is_parameter = |input: &Input| network.parameters().get(&input.name).is_ok();
        // simplified before it is cut, since what is cut stays as large as it is; both parts are simple then
        let stages = stage(&optimize(graph, Rewriting::Off)?.graph, is_parameter)?;
        let first = Engine::of_simplified(stages.first, backend)?;
        let session = first.session()?;
        let plain = Compiled::new(Engine::of_simplified(stages.second, backend)?);
        let graph = plain.engine.graph();
        let live = graph.live();
        let draws = graph.values().any(|v| live[v.index()] && matches!(graph.node(v).op, Op::Noise(_)));
        let mut pool = Pool {
            setting: MomentaryLock::default(),
            plain,
            watched: OnceLock::new(),
            rescaled: OnceLock::new(),
            preparation: (first, session),
            kept: stages.kept,
            bound: 0.0,
            draws,
        };
        pool.prepare(network)?;
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
        let plain = self.plain.engine.graph();
        let graph = if care == Care::Watched { watch(plain, true)? } else { rescaled(plain)? };
        let made = graph.map(|graph| Engine::of_rewritten(graph, backend)).transpose()?.map(Compiled::new);
        let _setting = self.setting.lock().ok_or(bayeslift_runtime::Error::ForkedWhileCompiling)?;
        Ok(cell.get_or_init(|| made).as_ref())
    }

    /// Takes over a network's parameters.
    fn prepare(&mut self, network: &Network) -> Result<(), Error> {
        let (engine, session) = &mut self.preparation;
        let mut parameters: Vec<_> = tensors(network).map(Argument::from).collect();
        engine.call(session, &mut parameters)?;
        let known: Vec<&Tensor> = self.known(network).collect();
        self.bound = largest_bound(self.plain.engine.graph(), &known)?;
        Ok(())
    }

    /// What depends on nothing but the parameters of this network, which it was prepared for: the block's first inputs.
    fn known<'a>(&'a self, network: &'a Network) -> impl Iterator<Item = &'a Tensor> {
        let own: Vec<&Tensor> = tensors(network).collect();
        let kept = self.kept.iter().map(move |&i| own[i]);
        self.preparation.1.outputs.iter().chain(kept)
    }

    /// The block's first arguments: see [`Pool::known`].
    pub fn parameters<'a>(&'a self, network: &'a Network) -> impl Iterator<Item = Argument<'a>> {
        self.known(network).map(Argument::from)
    }
}

/// [`rescale`], and then [`watch`] what is left to watch.
fn rescaled(graph: &Graph) -> Result<Option<Graph>, bayeslift_ir::Error> {
    let Some(graph) = rescale(graph)? else { return Ok(None) };
    Ok(Some(watch(&graph, false)?.unwrap_or(graph)))
}

/// The largest power of two, or the largest number, for which interval analysis proves: if no number of a row exceeds it,
/// nothing overflows that outputs would not show. `known` are the first inputs. Below 0 if there is none.
fn largest_bound(graph: &Graph, known: &[&Tensor]) -> Result<f32, Error> {
    let analysis = RangeAnalysis::new(graph, |i| known.get(i).copied())?;
    let is_safe = |size: f32| hidden(graph, &analysis.ranges(|_| Range::new((-size).into(), size.into()))).is_empty();
    if is_safe(f32::MAX) {
        return Ok(f32::MAX);
    }
    // Ranges grow with those of the inputs. A smaller bound is of no use.
    let (mut safe, mut failing) = (-20, 128);
    let size = |exponent: i32| f32::from_bits(((127 + exponent) as u32) << 23);
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
    free: MomentaryLock<Vec<Session>>,
    is_watched: bool,
}

impl Compiled {
    fn new(engine: Engine) -> Compiled {
        let is_watched = engine.graph().outputs().iter().any(|output| output.name == WATCH);
        Compiled { engine, free: MomentaryLock::default(), is_watched }
    }

    pub fn take(&self) -> Result<Session, Error> {
        let free = self.free.lock().and_then(|mut free| free.pop());
        free.map_or_else(|| self.engine.session(), Ok)
    }

    pub fn put_back(&self, session: Session) {
        if let Some(mut free) = self.free.lock() {
            free.push(session);
        }
    }

    /// Whether the last call said that a value was not finite.
    pub fn found(&self, session: &Session) -> bool {
        let watch = session.outputs.last().and_then(Tensor::as_f32).filter(|_| self.is_watched);
        watch.is_some_and(|watch| watch != [0.0])
    }
}

fn tensors(network: &Network) -> impl Iterator<Item = &Tensor> {
    network.parameters().iter().map(|(_, parameter)| &parameter.tensor)
}

/// The graph of a block of this many rows. Inputs: the parameters, the noise address, `x`, and with `likelihood` also `targets`. Outputs,
/// each with the axes `[samples, rows]` in front: the log likelihood; or probabilities and their entropy; or the mean,
/// and as a scalar the standard deviation.
fn block(network: &Network, options: &PredictorOptions, rows: usize, likelihood: bool) -> Result<Graph, Error> {
    let b = &Builder::new();
    let scope = Scope::bind(b, network.parameters())?;
    let mut context = Context::new(scope.clone()).noise(noise_inputs(b)).samples(options.sample_block);
    if let Some(value) = &options.posterior_value {
        context = context.posterior_value(value.clone());
    }
    let x = b.input("x", network.batch_type(rows));
    let output = network.call(&context, x)?.output;
    if likelihood {
        let targets = b.input("targets", network.target().ty(rows));
        b.output("log_likelihood", network.likelihood().log_prob(&scope, output, &targets.into())?);
    } else {
        let law = network.likelihood().law(&scope, output)?;
        if let (Some(probabilities), Some(entropy)) = (law.probabilities(), law.entropy()) {
            b.output("probabilities", probabilities);
            b.output("entropy", entropy);
        } else {
            let mean = law.mean().unwrap_or(output);
            let variance = law.variance().unwrap_or_else(|| b.constant(0.0));
            b.output("mean", mean);
            b.output("scale", variance.sqrt().broadcast(&mean.shape()));
        }
    }
    b.check()?;
    let graph = b.graph().clone();
    Ok(graph)
}
