//! Steps on more rows than are computed at once: gradient accumulation.

use super::{
    Scalars, StepInput, StepLoss, Trainer,
    graph::{StepGraph, Updated, Updates},
    inputs::BY_ROW,
    options::Form,
    overflow, tensors,
};
use crate::{
    Error, Network,
    engine::{Engine, Session, words},
};
use bayeslift_ir::{Environment, Graph, Tensor};
use bayeslift_passes::{Accumulation, AccumulationError};
use bayeslift_runtime::Argument;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
    time::Instant,
};

/// The step for one form of batch, in parts.
#[derive(Debug)]
pub(super) struct AccumulatedStep {
    /// What a part adds, by its number of rows.
    parts: BTreeMap<usize, (Engine, Session)>,
    /// The updates of the sums, beside what they replace.
    whole: (Engine, Session),
    /// What each of the first outputs is to replace.
    updates: Vec<Updated>,
    sums: Vec<Tensor>,
    stacks: Vec<Stack>,
}

/// What is kept of all rows.
#[derive(Debug)]
struct Stack {
    tensor: Tensor,
    /// How often rows begin anew: the extents before the axis that counts them.
    outer: usize,
}

impl Trainer {
    /// Whether steps on `rows` rows are made in parts.
    pub(super) fn accumulates(&self, rows: usize) -> bool {
        self.options.micro_batch_size.is_some_and(|size| rows > size)
    }

    /// Compiles the parts of a step, if they are not compiled yet.
    pub(super) fn prepare_accumulated(&mut self, network: &Network, form: Form) -> Result<(), Error> {
        if !self.accumulated.contains_key(&form) {
            let start = Instant::now();
            let made = self.compile_accumulated(network, form)?;
            self.accumulated.insert(form, made);
            self.compile_time += start.elapsed();
        }
        Ok(())
    }

    /// Makes a step, and applies it if everything that it computed is finite.
    pub(super) fn accumulated_step(
        &mut self,
        network: &mut Network,
        input: &StepInput<'_>,
        scalars: &Scalars,
    ) -> Result<StepLoss, Error> {
        let form = input.form(network.rows(input.inputs)?);
        self.prepare_accumulated(network, form)?;
        let Some(mut made) = self.accumulated.remove(&form) else {
            return Err(Error::misuse("the step is not compiled", "prepare it"));
        };
        let result = self.run_accumulated(&mut made, network, input, form.rows, scalars);
        self.accumulated.insert(form, made);
        result
    }

    fn run_accumulated(
        &mut self,
        made: &mut AccumulatedStep,
        network: &mut Network,
        input: &StepInput<'_>,
        rows: usize,
        scalars: &Scalars,
    ) -> Result<StepLoss, Error> {
        let size = self.options.micro_batch_size.unwrap_or(rows);
        let AccumulatedStep { parts, whole: (engine, session), updates, sums, stacks } = made;
        for sum in sums.iter_mut() {
            // added to anything it leaves that, to the bit, as +0 does not
            sum.as_f32_mut().into_iter().for_each(|sum| sum.fill(-0.0));
            sum.as_f64_mut().into_iter().for_each(|sum| sum.fill(-0.0));
        }
        for start in (0..rows).step_by(size) {
            let range = start..rows.min(start + size);
            let Some((engine, session)) = parts.get_mut(&range.len()) else { continue };
            let first_row = words(start as u64);
            let inputs = scalars.inputs(input).of_rows(rows, &range, &first_row);
            let mut arguments = inputs.after(tensors(network, &mut self.state));
            arguments.extend(sums.iter_mut().map(Argument::from));
            engine.call(session, &mut arguments)?;
            stacks.iter_mut().zip(&session.outputs).for_each(|(stack, part)| stack.put(part, rows, &range));
        }
        let mut arguments = scalars.arguments(tensors(network, &mut self.state), input);
        arguments.extend(sums.iter_mut().map(Argument::from));
        arguments.extend(stacks.iter_mut().map(|stack| Argument::from(&mut stack.tensor)));
        engine.call(session, &mut arguments)?;
        let measured = std::array::from_fn(|i| session.outputs[updates.len() + i].to_f64s().map_or(f64::NAN, |x| x[0]));
        let loss = StepLoss::of(self.step + 1, measured);
        self.apply(network, input, scalars, loss, updates, &mut session.outputs)?;
        Ok(loss)
    }

    fn compile_accumulated(&mut self, network: &Network, form: Form) -> Result<AccumulatedStep, Error> {
        let _environment = Environment::enter();
        let size = self.options.micro_batch_size.unwrap_or(form.rows);
        let step = self.step_graph(network, form, Updates::Accumulated)?;
        let updates = step.updates.clone();
        let telling = step.telling()?;
        self.name_divergences(&step);
        // Rounding rules look at what is around an operation, so they look at the whole.
        let backend = &self.options.backend;
        let accumulation = match accumulation(&backend.rewritten(&telling)?, form.rows) {
            Ok(accumulation) => accumulation,
            // of which values have layers
            Err(error) => {
                return Err(refused(accumulation(&telling, form.rows).err().unwrap_or(error), &step, network));
            }
        };
        let mut parts = BTreeMap::new();
        // full ones, and the last
        for rows in [size, (form.rows - 1) % size + 1] {
            if let Entry::Vacant(entry) = parts.entry(rows) {
                let part = accumulation.part(rows, rows < size);
                entry.insert(ready(part.map_err(|error| refused(error, &step, network))?, backend)?);
            }
        }
        let whole = accumulation.whole().map_err(|error| refused(error, &step, network))?;
        let sums = accumulation.zeros().map_err(|error| refused(error, &step, network))?;
        let stacks = accumulation
            .stacks(form.rows)
            .map(|(ty, axis)| Ok(Stack { tensor: Tensor::zeros(&ty)?, outer: ty.shape[..axis].iter().product() }));
        let stacks = stacks.collect::<Result<_, Error>>()?;
        Ok(AccumulatedStep { parts, whole: ready(whole, backend)?, updates, sums, stacks })
    }
}

impl Stack {
    /// Puts the rows of a part where they belong.
    fn put(&mut self, part: &Tensor, rows: usize, range: &Range<usize>) {
        let outer = self.outer;
        if let (Some(to), Some(from)) = (self.tensor.as_f32_mut(), part.as_f32()) {
            put(to, from, outer, rows, range);
        } else if let (Some(to), Some(from)) = (self.tensor.as_f64_mut(), part.as_f64()) {
            put(to, from, outer, rows, range);
        } else if let (Some(to), Some(from)) = (self.tensor.as_u32_mut(), part.as_u32()) {
            put(to, from, outer, rows, range);
        }
    }
}

fn put<T: Copy>(to: &mut [T], from: &[T], outer: usize, rows: usize, range: &Range<usize>) {
    let row = to.len() / (outer * rows).max(1);
    let blocks = to.chunks_exact_mut((rows * row).max(1)).zip(from.chunks_exact((range.len() * row).max(1)));
    blocks.for_each(|(to, from)| to[range.start * row..range.end * row].copy_from_slice(from));
}

fn accumulation(graph: &Graph, rows: usize) -> Result<Accumulation, AccumulationError> {
    Accumulation::new(graph, rows, |input| BY_ROW.contains(&input.name.as_str()))
}

fn ready(graph: Graph, backend: &crate::Backend) -> Result<(Engine, Session), Error> {
    let engine = Engine::of_part(graph, backend)?;
    let session = engine.session()?;
    Ok((engine, session))
}

/// Why a batch cannot be split, in words of the network.
fn refused(error: AccumulationError, step: &StepGraph, network: &Network) -> Error {
    match error {
        AccumulationError::Entangled { value, reason } => {
            let what = overflow::describe(step, network, value);
            let problem = format!("micro batches do not have the bits of one batch here: a value {reason}, {what}");
            Error::misuse(problem, "train without `micro_batch_size`")
        }
        AccumulationError::Rows { found, multiple } => Error::argument(
            "the micro batch size",
            format!("a multiple of {multiple}, for sums in the order of one batch"),
            found,
        ),
        AccumulationError::Graph(error) => error.into(),
        other => Error::misuse(other.to_string(), "train without `micro_batch_size`"),
    }
}
