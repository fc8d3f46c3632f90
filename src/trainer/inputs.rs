//! What a step's graph takes besides parameters and optimizer's state: told once for who makes it and for who calls it.

use super::options::Form;
use crate::{Network, predictor::model::NOISE};
use bayeslift_ir::{DType, Shape, Tensor, Type};
use bayeslift_layers::Optimizer;
use bayeslift_runtime::Argument;
use std::ops::Range;

/// The inputs that have rows, by name.
pub(super) const BY_ROW: [&str; 4] = ["x", "targets", "present", "weights"];

/// What a step takes, in the order of its graph's inputs: names and types, then values of the graph, or the arguments
/// of a call.
pub(super) struct StepInputs<T> {
    /// What addresses noise: the key, the first sample, the first row.
    pub noise: [T; 3],
    pub x: T,
    pub targets: T,
    /// Which events are known.
    pub present: Option<T>,
    /// How many times each row counts.
    pub weights: Option<T>,
    /// Those of the optimizer.
    pub scalars: Vec<T>,
    /// The weight of the divergence over the number of examples.
    pub divergence_scale: T,
}

impl<T> StepInputs<T> {
    /// Makes something of each, in their order.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> StepInputs<U> {
        StepInputs {
            noise: self.noise.map(&mut make),
            x: make(self.x),
            targets: make(self.targets),
            present: self.present.map(&mut make),
            weights: self.weights.map(&mut make),
            scalars: self.scalars.into_iter().map(&mut make).collect(),
            divergence_scale: make(self.divergence_scale),
        }
    }
}

impl StepInputs<(String, Type)> {
    /// Names and types.
    pub fn of(network: &Network, form: Form, optimizer: &dyn Optimizer) -> Self {
        let (float, target) = (network.dtype(), network.target());
        let rows_of = |shape: &Shape| [form.rows].iter().chain(shape.iter()).copied().collect::<Shape>();
        let named = |name: &str, ty: Type| (name.to_owned(), ty);
        let scalar = || Type::new(float, []);
        let ([key, first_sample, first_row], [x, targets, present, weights]) = (NOISE, BY_ROW);
        StepInputs {
            noise: [named(key, Type::u32([4])), named(first_sample, Type::u32([])), named(first_row, Type::u32([2]))],
            x: named(x, network.batch_type(form.rows)),
            targets: named(targets, target.ty(form.rows, float)),
            present: form.has_present.then(|| named(present, Type::new(DType::Mask, rows_of(&target.events)))),
            weights: form.has_weights.then(|| named(weights, Type::new(float, [form.rows]))),
            scalars: optimizer.scalars().into_iter().map(|name| (name, scalar())).collect(),
            divergence_scale: named("divergence_scale", scalar()),
        }
    }
}

impl<'a> StepInputs<Argument<'a>> {
    /// All arguments of a step, of which parameters and state are the first.
    pub fn after(self, tensors: impl Iterator<Item = &'a mut Tensor>) -> Vec<Argument<'a>> {
        const OTHERS: usize = 8;
        let mut arguments = Vec::with_capacity(tensors.size_hint().0 + self.scalars.len() + OTHERS);
        arguments.extend(tensors.map(Argument::from));
        self.map(|argument| arguments.push(argument));
        arguments
    }

    /// Those of some of the `rows` rows, which are numbered from the first one on.
    pub fn of_rows(mut self, rows: usize, range: &Range<usize>, first_row: &'a [u32; 2]) -> Self {
        let StepInputs { noise: [.., first], x, targets, present, weights, .. } = &mut self;
        *first = Argument::U32(first_row);
        for argument in [x, targets].into_iter().chain(present).chain(weights) {
            let of = |len: usize| range.start * (len / rows)..range.end * (len / rows);
            match argument {
                Argument::F32(x) => *x = &x[of(x.len())],
                Argument::F64(x) => *x = &x[of(x.len())],
                Argument::U32(x) => *x = &x[of(x.len())],
                _ => {}
            }
        }
        self
    }
}
