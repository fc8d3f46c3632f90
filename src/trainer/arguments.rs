//! What a step is called with: the numbers of a batch in the network's type, and scalars.

use super::{StepInput, Trainer, inputs::StepInputs, known_events};
use crate::{Error, FloatCow, Floats, Network, Targets, engine::noise_key};
use bayeslift_ir::{DType, Tensor};
use bayeslift_runtime::Argument;
use std::borrow::Cow;

/// The numbers of a batch in the network's type.
pub(super) struct Numbers<'a> {
    inputs: FloatCow<'a>,
    targets: Cow<'a, Targets>,
}

impl<'a> Numbers<'a> {
    pub fn of(network: &Network, inputs: Floats<'a>, targets: Cow<'a, Targets>) -> Result<Numbers<'a>, Error> {
        let inputs = FloatCow::from(inputs).of_network("inputs", network.dtype())?;
        let converted = match targets.numbers() {
            Some((units, values)) if values.dtype() != network.dtype() => {
                Some(Targets::of_numbers(units, values.of_network("targets", network.dtype())?))
            }
            _ => None,
        };
        Ok(Numbers { inputs, targets: converted.map_or(targets, Cow::Owned) })
    }

    /// The batch with these numbers.
    pub fn input<'b>(&'b self, input: &StepInput<'b>) -> StepInput<'b> {
        StepInput { inputs: self.inputs.slices(), targets: &self.targets, ..*input }
    }
}

/// What a step is called with besides tensors and batch.
pub(super) struct Scalars {
    key: [u32; 4],
    /// In the network's type: those of the optimizer, then the weight of the divergence over the number of examples.
    numbers: FloatCow<'static>,
    /// For a network of `f64` the weights of rows, if there are some.
    weights: Option<Vec<f64>>,
    /// Which events are known, as a mask, if not all are.
    present: Option<Vec<u32>>,
}

impl Scalars {
    /// Those of the optimizer.
    pub fn optimizer(&self) -> impl Iterator<Item = f64> {
        self.numbers.iter().take(self.numbers.len() - 1)
    }

    /// The weight of the divergence over the number of examples.
    pub fn temperature(&self) -> f64 {
        self.numbers.at(self.numbers.len() - 1)
    }

    /// What a step is called with besides tensors.
    pub fn inputs<'a>(&'a self, input: &StepInput<'a>) -> StepInputs<Argument<'a>> {
        StepInputs {
            noise: [Argument::U32(&self.key), Argument::U32(&[0]), Argument::U32(&[0, 0])],
            x: input.inputs.argument(),
            targets: match input.targets {
                Targets::Labels(labels) => Argument::U32(labels),
                Targets::Values { values, .. } => Argument::F32(values),
                Targets::Doubles { values, .. } => Argument::F64(values),
            },
            present: self.present.as_deref().map(Argument::U32),
            weights: match &self.weights {
                Some(weights) => Some(Argument::F64(weights)),
                None => input.weights.map(Argument::F32),
            },
            scalars: (0..self.numbers.len() - 1).map(|i| self.number(i)).collect(),
            divergence_scale: self.number(self.numbers.len() - 1),
        }
    }

    fn number(&self, i: usize) -> Argument<'_> {
        match &self.numbers {
            FloatCow::F32(numbers) => Argument::F32(&numbers[i..i + 1]),
            FloatCow::F64(numbers) => Argument::F64(&numbers[i..i + 1]),
        }
    }

    /// The arguments of a step, in the order of [`Trainer::graph`]: parameters and state first.
    pub fn arguments<'a>(
        &'a self,
        tensors: impl Iterator<Item = &'a mut Tensor>,
        input: &StepInput<'a>,
    ) -> Vec<Argument<'a>> {
        self.inputs(input).after(tensors)
    }
}

impl Trainer {
    /// What the next step is called with besides tensors and batch.
    pub(super) fn scalars(&self, network: &Network, input: &StepInput<'_>) -> Result<Scalars, Error> {
        let step = self.step + 1;
        let mut all = self.options.optimizer.scalar_values(step, input.rate);
        all.push(input.divergence_weight / self.training_examples as f64);
        let numbers = match network.dtype() {
            DType::F64 => FloatCow::F64(all.into()),
            _ => FloatCow::F32(all.into_iter().map(|x| x as f32).collect()),
        };
        let weights = input.weights.filter(|_| network.dtype() == DType::F64);
        let weights = weights.map(|weights| weights.iter().map(|&x| x.into()).collect());
        let present = input.present.map(|present| known_events(network.target(), present));
        let key = noise_key(self.seed, network.steps().wrapping_add(1));
        let scalars = Scalars { key, numbers, weights, present };
        if let Some((i, scalar)) = scalars.optimizer().enumerate().find(|(_, scalar)| !scalar.is_finite()) {
            let names = self.options.optimizer.scalars();
            let name = names.get(i).map_or("scalar", String::as_str);
            let problem = format!("at {:?} times the learning rate, the optimizer's {name} is {scalar}", input.rate);
            return Err(Error::misuse(problem, "use a smaller factor of the learning rate"));
        }
        if !scalars.temperature().is_finite() {
            let expected = format!(
                "a number that is finite as `{}` after division by {}, the number of training examples",
                network.dtype(),
                self.training_examples
            );
            return Err(Error::argument("the divergence weight", expected, format!("{:?}", input.divergence_weight)));
        }
        Ok(scalars)
    }
}
