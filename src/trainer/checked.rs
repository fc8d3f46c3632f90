//! Steps that are checked after they were computed, and before anything is written: where it could not be known before.

use super::{
    Scalars, StepInput, StepLoss, Trainer,
    finite::LARGEST_GRADIENT,
    graph::{Updated, Updates},
    options::Form,
    overflow::{self, Culprit},
    prepared,
    rows::write_rows,
    tell, tensors,
};
use crate::{
    Error, Network,
    engine::{Engine, Session},
};
use bayeslift_ir::Tensor;

/// A step that writes beside parameters and state what becomes of them, with the same bits.
#[derive(Debug)]
pub(super) struct CheckedStep {
    engine: Engine,
    session: Session,
    /// What each of its first outputs is to replace.
    updates: Vec<Updated>,
}

/// What a step gives besides updates.
pub(super) struct Measured {
    pub loss: StepLoss,
    /// What no magnitude of a gradient exceeds.
    bound: f64,
}

impl Measured {
    /// How many outputs of a step's graph these are: the last ones.
    const COUNT: usize = 4;

    /// From the outputs, of which the last `terms` are terms of the divergence.
    pub fn of(step: u64, outputs: &[Tensor], terms: usize) -> Measured {
        let first = outputs.len() - terms - Self::COUNT;
        let scalar = |i: usize| outputs[first + i].to_f64s().map_or(f64::NAN, |x| x[0]);
        Measured { loss: StepLoss::of(step, [0, 1, 2].map(scalar)), bound: scalar(3) }
    }

    /// Whether the step's graph, which compares the same numbers, has written updates in place.
    pub fn is_bounded(&self) -> bool {
        self.bound <= LARGEST_GRADIENT
    }
}

impl Trainer {
    /// Makes a step, and applies it if everything that it computed is finite.
    pub(super) fn checked_step(
        &mut self,
        network: &mut Network,
        input: &StepInput<'_>,
        step: u64,
        scalars: &Scalars,
    ) -> Result<StepLoss, Error> {
        let form = input.form(network.rows(input.inputs)?);
        let mut made = match prepared(&mut self.compiled, form)?.checked.take() {
            Some(made) => made,
            None => self.compile_checked(network, form)?,
        };
        let result = self.run_checked(&mut made, network, input, step, scalars);
        let compiled = prepared(&mut self.compiled, form)?;
        compiled.checked = Some(made);
        let measured = result?;
        compiled.is_bounded = measured.is_bounded();
        Ok(measured.loss)
    }

    fn run_checked(
        &mut self,
        made: &mut CheckedStep,
        network: &mut Network,
        input: &StepInput<'_>,
        step: u64,
        scalars: &Scalars,
    ) -> Result<Measured, Error> {
        let CheckedStep { engine, session, updates } = made;
        engine.call(session, &mut scalars.arguments(tensors(network, &mut self.state), input))?;
        let measured = Measured::of(step, &session.outputs, self.divergences.len());
        self.apply(network, input, scalars, measured.loss, updates, &mut session.outputs)?;
        Ok(measured)
    }

    /// Puts what a step computed beside parameters and state in their places, and counts it, if the loss and all of
    /// that is finite.
    pub(super) fn apply(
        &mut self,
        network: &mut Network,
        input: &StepInput<'_>,
        scalars: &Scalars,
        measured: StepLoss,
        updates: &[Updated],
        outputs: &mut [Tensor],
    ) -> Result<(), Error> {
        let StepLoss { step, loss, .. } = measured;
        if !loss.is_finite() {
            return Err(self.non_finite_loss(network, input, scalars, measured));
        }
        for (Updated { path, .. }, new) in updates.iter().zip(&*outputs) {
            if let Some((index, value)) = new.first_non_finite() {
                let path = path.clone();
                let cause = overflow::cause(self, network, input, scalars, Culprit::Update(&path));
                return Err(Error::NonFiniteUpdate { step, loss, path, index, value, cause });
            }
        }
        for (i, Updated { path, numbers }) in updates.iter().enumerate() {
            let state = self.state.iter_mut().find(|(name, _)| name == path).map(|(_, tensor)| tensor);
            let old = match state {
                Some(old) => old,
                None => &mut network.parameters_mut().get_mut(path)?.tensor,
            };
            match numbers.map(|output| outputs[output].as_u32().unwrap_or_default()) {
                Some(numbers) => write_rows(old, numbers, &outputs[i]),
                None => std::mem::swap(old, &mut outputs[i]),
            }
        }
        // of tables only rows were written, which are looked at; what was swapped has its new elements in place
        let of_rows = updates.iter().zip(&*outputs).filter(|(updated, _)| updated.numbers.is_some());
        let written: Vec<(&str, &Tensor)> = of_rows.map(|(updated, new)| (updated.path.as_str(), new)).collect();
        self.updates.look_at(&self.state, &written);
        tell(&mut self.divergences, outputs);
        self.count(network, step);
        Ok(())
    }

    /// The error for a loss that is not finite, of a step that has written nothing.
    pub(super) fn non_finite_loss(
        &mut self,
        network: &mut Network,
        input: &StepInput<'_>,
        scalars: &Scalars,
        loss: StepLoss,
    ) -> Error {
        let cause = overflow::cause(self, network, input, scalars, Culprit::Loss);
        let StepLoss { step, loss, negative_log_likelihood, divergence } = loss;
        Error::NonFiniteLoss { step, loss, negative_log_likelihood, divergence, cause }
    }

    fn compile_checked(&mut self, network: &Network, form: Form) -> Result<CheckedStep, Error> {
        let start = std::time::Instant::now();
        let step = self.step_graph(network, form, Updates::Aside)?;
        let engine = Engine::new(step.telling()?, &self.options.backend)?;
        let updates = step.updates;
        let session = engine.session()?;
        self.compile_time += start.elapsed();
        Ok(CheckedStep { engine, session, updates })
    }
}
