//! Runs plans stage by stage, each on memory of its own, in whatever way a test is about.

use bayeslift_codegen::{KernelArgument, Lowered};
use bayeslift_ir::{Graph, Tensor};
use bayeslift_passes::{Kernel, Place, Plan};
use std::collections::BTreeMap;

/// What memory holds before anything is written there: no number, so that reading it shows.
pub const POISON: u32 = 0x7fa0_dead;

/// A stage to run.
pub struct Stage<'p> {
    pub lowered: &'p Lowered,
    stores: &'p BTreeMap<Place, usize>,
}

impl Stage<'_> {
    /// Whether the stage may write to an argument.
    pub fn writes(&self, argument: &KernelArgument) -> bool {
        match argument {
            KernelArgument::Place(place) => self.stores.contains_key(place),
            KernelArgument::Shared => true,
            KernelArgument::Words(_) => false,
        }
    }
}

/// What the plan gives. `lower` makes the stages of a kernel; `run` runs one on the words behind its arguments.
pub fn run(
    plan: &Plan,
    inputs: &[Tensor],
    lower: impl Fn(&Kernel) -> Vec<Lowered>,
    mut run: impl FnMut(&Stage<'_>, &mut [Vec<u32>]) -> Result<(), String>,
) -> Result<Vec<Tensor>, String> {
    let mut tensors = Tensors::new(plan, inputs);
    for (i, kernel) in plan.kernels.iter().enumerate() {
        let stores = stores(plan, kernel);
        let stages = lower(kernel);
        let mut shared = vec![POISON; stages[0].shared_bytes / 4];
        for lowered in &stages {
            let words = |argument: &KernelArgument| match argument {
                KernelArgument::Place(place) => tensors.at(*place, &stores).to_vec(),
                KernelArgument::Shared => shared.clone(),
                KernelArgument::Words(words) => words.clone(),
            };
            let mut arguments: Vec<Vec<u32>> = lowered.arguments.iter().map(words).collect();
            let before = arguments.clone();
            let stage = Stage { lowered, stores: &stores };
            let context = |message| format!("kernel {i}: {message}\n{}", lowered.code);
            run(&stage, &mut arguments).map_err(context)?;
            for ((argument, before), after) in lowered.arguments.iter().zip(before).zip(arguments) {
                if !stage.writes(argument) && before != after {
                    return Err(context(format!("{argument:?} is changed")));
                }
                match *argument {
                    KernelArgument::Place(place) => tensors.at(place, &stores).copy_from_slice(&after),
                    KernelArgument::Shared => shared = after,
                    KernelArgument::Words(_) => {}
                }
            }
        }
        tensors.held.extend(stores);
    }
    Ok(tensors.results(&plan.graph))
}

/// What one call of a plan works on.
struct Tensors {
    inputs: Vec<Vec<u32>>,
    outputs: Vec<Vec<u32>>,
    arena: Vec<u32>,
    /// How many words the values have that were stored last.
    held: BTreeMap<Place, usize>,
}

impl Tensors {
    fn new(plan: &Plan, inputs: &[Tensor]) -> Tensors {
        let poison = |elements: usize| vec![POISON; elements];
        let outputs = plan.graph.outputs().iter();
        Tensors {
            inputs: inputs.iter().map(Tensor::words).collect(),
            outputs: outputs.map(|output| poison(plan.graph.ty(output.value).words())).collect(),
            arena: poison(plan.arena_bytes / 4),
            held: BTreeMap::new(),
        }
    }

    /// The words in a place, and no more: of the value that a kernel puts there, or else of the one it holds.
    fn at(&mut self, place: Place, stores: &BTreeMap<Place, usize>) -> &mut [u32] {
        match place {
            Place::Input(i) => &mut self.inputs[i],
            Place::Output(i) => &mut self.outputs[i],
            Place::Arena(offset) => {
                let length = stores.get(&place).or(self.held.get(&place));
                &mut self.arena[offset / 4..][..length.copied().unwrap_or(0)]
            }
        }
    }

    /// What the caller gets for each output, which may lie in an input.
    fn results(&self, graph: &Graph) -> Vec<Tensor> {
        let words = graph.outputs().iter().enumerate().map(|(i, output)| match output.updates {
            Some(input) => (output, &self.inputs[input]),
            None => (output, &self.outputs[i]),
        });
        words.map(|(output, words)| Tensor::from_words(graph.ty(output.value), words.clone()).unwrap()).collect()
    }
}

/// Where a kernel stores values and results of reductions, and how many words.
fn stores(plan: &Plan, kernel: &Kernel) -> BTreeMap<Place, usize> {
    kernel.writes.iter().map(|write| (write.place, plan.graph.ty(write.value).words())).collect()
}
