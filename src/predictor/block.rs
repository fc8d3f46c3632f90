//! Blocks of samples and rows: their graphs, compiled when first needed, and the memory of those who call them.

use super::PredictorOptions;
use crate::{
    Backend, Error, Network,
    engine::{Engine, Session},
};
use bayeslift_ir::{Builder, Graph, Input, Tensor};
use bayeslift_layers::{Context, Scope, noise_inputs};
use bayeslift_passes::{simplify, stage};
use bayeslift_runtime::Argument;
use std::{
    borrow::Cow,
    sync::{Mutex, OnceLock, PoisonError},
};

/// What is computed of each sample of each row, compiled for a block of rows and for a single one, each when it is first
/// needed.
#[derive(Debug)]
pub struct Blocks {
    likelihood: bool,
    many: OnceLock<Pool>,
    one: OnceLock<Pool>,
}

impl Blocks {
    pub fn new(likelihood: bool) -> Blocks {
        Blocks { likelihood, many: OnceLock::new(), one: OnceLock::new() }
    }

    /// The block of this many rows: 1, or the options' number.
    pub fn pool(&self, network: &Network, options: &PredictorOptions, rows: usize) -> Result<&Pool, Error> {
        let pool = if rows == 1 { &self.one } else { &self.many };
        match pool.get() {
            Some(pool) => Ok(pool),
            None => {
                let graph = block(network, options, rows, self.likelihood)?;
                let made = Pool::new(&graph, network, &options.backend)?;
                Ok(pool.get_or_init(|| made))
            }
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

/// A compiled block and the memory of those who called it.
#[derive(Debug)]
pub struct Pool {
    pub engine: Engine,
    free: Mutex<Vec<Session>>,
    /// Computes what depends on parameters alone, such as variances, and its results: the same for all calls.
    preparation: (Engine, Session),
    /// The parameters that the block itself reads, by number.
    kept: Vec<usize>,
}

impl Pool {
    fn new(graph: &Graph, network: &Network, backend: &Backend) -> Result<Pool, Error> {
        let is_parameter = |input: &Input| network.parameters().get(&input.name).is_ok();
        let stages = stage(&simplify(graph)?, is_parameter)?;
        let first = Engine::new(stages.first, backend)?;
        let session = first.session()?;
        let engine = Engine::new(stages.second, backend)?;
        let mut pool = Pool { engine, free: Mutex::default(), preparation: (first, session), kept: stages.kept };
        pool.prepare(network)?;
        Ok(pool)
    }

    /// Takes over a network's parameters.
    fn prepare(&mut self, network: &Network) -> Result<(), Error> {
        let (engine, session) = &mut self.preparation;
        let mut parameters: Vec<_> = tensors(network).map(Argument::from).collect();
        engine.call(session, &mut parameters)
    }

    /// The block's first arguments: what depends on nothing but the parameters of this network, which it was prepared for.
    pub fn parameters<'a>(&'a self, network: &'a Network) -> impl Iterator<Item = Argument<'a>> {
        let own: Vec<&Tensor> = tensors(network).collect();
        let kept = self.kept.iter().map(move |&i| own[i]);
        self.preparation.1.outputs.iter().chain(kept).map(Argument::from)
    }

    pub fn take(&self) -> Result<Session, Error> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| self.engine.session(), Ok)
    }

    pub fn put_back(&self, session: Session) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

fn tensors(network: &Network) -> impl Iterator<Item = &Tensor> {
    network.parameters().iter().map(|(_, parameter)| &parameter.tensor)
}

/// Rows of a call that are computed at once: `count` rows from `first` on, in a block of `size`.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock {
    pub first: usize,
    pub count: usize,
    pub size: usize,
}

impl RowBlock {
    /// Their part of values that a row has `units` of; padded with zeros to the size of the block.
    pub fn of<T: Copy + Default>(self, all: &[T], units: usize) -> Cow<'_, [T]> {
        let rows = &all[self.first * units..(self.first + self.count) * units];
        if self.count == self.size {
            return rows.into();
        }
        let mut padded = rows.to_vec();
        padded.resize(self.size * units, T::default());
        padded.into()
    }
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
        let targets = b.input("targets", network.likelihood().target_type(&output.shape(), 1));
        b.output("log_likelihood", network.likelihood().log_prob(&scope, output, targets)?);
    } else if let Some(logits) = network.likelihood().logits(output) {
        let log_probabilities = logits.log_softmax();
        let probabilities = log_probabilities.exp();
        b.output("probabilities", probabilities);
        // Where a probability is 0, its logarithm is finite, or -infinity if the logit is.
        let terms = probabilities.equal(0.0).select(0.0, probabilities * log_probabilities);
        b.output("entropy", -terms.sum(2));
    } else {
        b.output("mean", output);
        // A likelihood of numbers has a scale.
        b.output("scale", network.likelihood().scale(&scope)?.unwrap_or_else(|| b.constant(0.0)));
    }
    b.check()?;
    let graph = b.graph().clone();
    Ok(graph)
}
