//! The graph of a training step.

use super::{
    Trainer,
    clip::{Gradient, clipped},
    finite::LARGEST_GRADIENT,
    inputs::StepInputs,
    options::Form,
};
use crate::{Error, Network};
use bayeslift_ir::{Builder, DType, Environment, Expr, Graph, NoiseAddress, Value};
use bayeslift_layers::{
    Context, Scope, Step, TermDivergence,
    likelihood::{Bound, Observed},
};
use bayeslift_passes::{gradients, magnitude_bounds};

/// What becomes of the new parameters, state and statistics.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Updates {
    /// They overwrite the old ones, where the loss is finite and no gradient is too large.
    InPlace,
    /// They are outputs beside the old ones, whatever they are; of a table of which rows were read these rows, and in a
    /// further output their numbers.
    Aside,
    /// As `Aside`, but whole tables, and no bound is among the outputs.
    Accumulated,
}

/// The graph of a step, and what is known of its making.
pub(super) struct StepGraph {
    pub graph: Graph,
    /// What is updated, in the order of outputs.
    pub updates: Vec<Updated>,
    /// The divergence of each random variable: its path, how it is computed, and its value.
    pub terms: Vec<(String, String, Value)>,
    /// The gradient with respect to each trainable parameter, in their order, before it is clipped.
    pub gradients: Vec<Value>,
}

impl StepGraph {
    /// The graph that tells each term of the divergence too, in outputs after all others. These decide nothing of what
    /// a step does.
    pub fn telling(&self) -> Result<Graph, Error> {
        let b = Builder::from(self.graph.clone());
        for (path, _, value) in &self.terms {
            b.output(&format!("divergence/{path}"), b.expr(*value));
        }
        Ok(b.finish()?)
    }
}

/// What an output of a step is to replace.
#[derive(Clone, Debug)]
pub(super) struct Updated {
    pub path: String,
    /// Of rows the number of the output with their numbers.
    pub numbers: Option<usize>,
}

impl Trainer {
    pub(super) fn step_graph(&self, network: &Network, form: Form, updates: Updates) -> Result<StepGraph, Error> {
        let _environment = Environment::enter();
        self.check_network(network)?;
        let b = &network.builder();
        let scope = Scope::bind(b, network.parameters())?;
        let state: Vec<_> = self.state.iter().map(|(path, tensor)| b.input(path, tensor.ty())).collect();
        let optimizer = &self.options.optimizer;
        let inputs = StepInputs::of(network, form, &**optimizer).map(|(name, ty)| b.input(&name, ty));
        let StepInputs { noise, x, targets, present, weights, scalars, divergence_scale: scale } = inputs;
        let [key, first_sample, first_row] = noise;
        let noise = NoiseAddress { key, first_sample, first_row };
        let observed = Observed { targets, present, weights };

        let parameters = self.variables.iter().filter_map(|variable| Some((variable, scope.expr(&variable.path)?)));
        let parameters: Vec<_> = parameters.collect();
        let trainable = parameters.iter().filter(|(variable, _)| variable.trainable);
        let mut states = &state[..];
        let steps: Vec<Step<'_, '_>> = trainable
            .map(|&(variable, parameter)| {
                let (state, rest) = states.split_at(optimizer.state(variable).len());
                states = rest;
                Step { variable, parameter, state, scalars: &scalars, temperature: scale, noise, numbers: None }
            })
            .collect();
        let values: Vec<_> = steps.iter().map(|step| optimizer.value(step)).collect();
        steps.iter().zip(&values).for_each(|(step, value)| scope.substitute(&step.variable.path, *value));

        let context = Context::new(scope.clone()).noise(noise).training();
        let samples = self.options.samples;
        let context = if samples > 1 { context.samples(samples) } else { context };
        let call = network.call(&context, x)?;
        let (likelihood, output) = (network.likelihood(), call.output);
        let negative_log_likelihood = b.scoped("likelihood", || match self.options.bound {
            Bound::ImportanceWeighted if samples > 1 => likelihood.importance_weighted_loss(&scope, output, &observed),
            _ => likelihood.loss(&scope, output, &observed),
        })?;
        let terms = call.divergences(&self.options.divergence)?;
        let each = terms.iter().map(|term| term.value);
        let divergence = b.scoped("loss", || each.reduce(|a, b| a + b).unwrap_or_else(|| b.constant(0.0)));
        let term = |term: TermDivergence<'_>| (term.path, term.method.to_string(), term.value.value());
        let terms = terms.into_iter().map(term).collect();
        let loss = b.scoped("loss", || negative_log_likelihood + divergence * scale);

        let gradients = gradients(loss, &values);
        let mut followed: Vec<Gradient<'_>> = steps
            .iter()
            .zip(&gradients)
            .map(|(step, gradient)| Gradient::of(*gradient, optimizer.moves_read_rows(step.variable)))
            .collect();
        if let Some(limit) = self.options.clip_norm {
            b.scoped("clip", || clipped(&mut followed, limit));
        }
        let mut changes: Vec<Change<'_, '_>> = Vec::new();
        let mut paths = self.state.iter().map(|(path, _)| path);
        for (step, gradient) in steps.iter().zip(followed) {
            let (update, numbers) = b.scoped(&format!("update/{}", step.variable.path), || match gradient {
                Gradient::Whole(gradient) => (optimizer.update(step, gradient), None),
                // which rows were read is known when all parts are over
                Gradient::Rows(gradient) if updates == Updates::Accumulated => {
                    (gradient.update_of_all(&**optimizer, step), None)
                }
                Gradient::Rows(gradient) => (gradient.update(&**optimizer, step), Some(gradient.numbers)),
            });
            changes.push(Change { path: &step.variable.path, old: step.parameter, new: update.parameter, numbers });
            let state = step.state.iter().zip(update.state).zip(paths.by_ref());
            changes.extend(state.map(|((&old, new), path)| Change { path, old, new, numbers }));
        }
        let of_parameters = gradients.iter().map(|gradient| gradient.value()).collect();
        let mut bounded = gradients;
        for (path, new) in &call.updates {
            let old = scope.expr(path).filter(|_| self.is_statistic(path));
            let Some(old) = old else {
                let problem =
                    format!("a layer updates `{path}`, which is none of its parameters that are not trainable");
                return Err(Error::misuse(problem, "declare it with `Declaration::trainable` false"));
            };
            changes.push(Change { path, old, new: *new, numbers: None });
            bounded.push(*new);
        }
        // NaN is not below anything, and a sum with NaN is NaN.
        let finite: Vec<_> = parameters.iter().map(|(_, parameter)| *parameter).chain(values).collect();
        let (bound, is_finite) = b.scoped("bound", || {
            let all = magnitude_bounds(&bounded, &finite).into_iter();
            let bound = all.reduce(|a, b| a + b).unwrap_or(b.constant(0.0));
            let largest = if b.float() == DType::F64 { f64::MAX } else { f32::MAX.into() };
            let bound = loss.abs().less_equal(largest).select(bound, f64::INFINITY);
            (bound, bound.less_equal(LARGEST_GRADIENT))
        });
        for &Change { path, old, new, numbers } in &changes {
            b.scoped(&format!("update/{path}"), || match (updates, numbers) {
                (Updates::InPlace, None) => b.output_updating(path, is_finite.select(new, old), old),
                (Updates::InPlace, Some(numbers)) => {
                    let new = is_finite.select(new, old.gather(numbers));
                    b.output_updating(path, old.scatter_rows(numbers, new), old);
                }
                (Updates::Aside | Updates::Accumulated, _) => b.output(path, new),
            });
        }
        // parameters that one layer reads, and their state, share numbers
        let mut shared: Vec<Expr<'_>> = Vec::new();
        let mut updated = Vec::new();
        for Change { path, numbers, .. } in &changes {
            let place = numbers.map(|numbers| {
                let known = shared.iter().position(|known| known.value() == numbers.value());
                known.unwrap_or_else(|| {
                    shared.push(numbers);
                    shared.len() - 1
                })
            });
            updated.push(Updated { path: (*path).to_owned(), numbers: place.map(|place| changes.len() + place) });
        }
        if updates == Updates::Aside {
            shared.iter().enumerate().for_each(|(i, numbers)| b.output(&format!("numbers of rows/{i}"), *numbers));
        }
        b.output("loss", loss);
        b.output("negative_log_likelihood", negative_log_likelihood);
        b.output("divergence", divergence);
        if updates != Updates::Accumulated {
            b.output("bound", bound);
        }
        let graph = b.finish()?;
        Ok(StepGraph { graph, updates: updated, terms, gradients: of_parameters })
    }

    /// Whether a layer, and not the optimizer, may change the parameter at a path.
    fn is_statistic(&self, path: &str) -> bool {
        self.variables.iter().any(|variable| variable.path == path && !variable.trainable)
    }
}

/// A parameter, state or statistic, and what it becomes.
#[derive(Clone, Copy)]
struct Change<'a, 'b> {
    path: &'a str,
    old: Expr<'b>,
    /// All of it, or its rows of these numbers.
    new: Expr<'b>,
    numbers: Option<Expr<'b>>,
}
