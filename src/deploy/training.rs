//! Networks that go on learning where they are deployed: a step of training beside prediction, on a state that the
//! caller keeps.

mod header;
mod predict;
mod state;
mod step;

use super::{
    DeployOptions, Package, System, Weights,
    block::Block,
    compile::{blocks, check, near, target},
    element::Element,
    entry::{Looks, Parts},
    functions::{Defaults, Functions},
    language::{C, Language, Machine},
    layout::{Layout, Places},
    package,
    prototypes::Prototype,
};
use crate::{
    DeviceTraining, Error, ModelFile, Network, PredictorOptions, Trainer,
    predictor::{model::Model, stored},
    trainer::DeviceGraphs,
    training_file,
};
use bayeslift_codegen::routine::{Assembly, Data, Width};
use bayeslift_ir::{DType, Environment, Tensor};
use predict::Derived;
use serde_json::json;
use state::{State, StateTensor};
use std::path::Path;
use step::Step;

/// Compiles a network that goes on learning: `NAME_step` makes the steps that the trainer would make on the network, of
/// as many rows each, and `NAME_predict` predicts with what was learned. Both work on a state that the caller keeps:
/// the network's parameters, the optimizer's state, and how many steps were made. The header says how it is started,
/// and how it is stored and used again.
///
/// Parameters, state and losses have the bits of [`Trainer::step`] with
/// [`DeviceTraining::rate`] and the training's divergence weight, predictions those of a
/// [`Predictor`](crate::Predictor) of the trainer's network. A step that is not finite is refused, as a trainer
/// refuses it, and leaves the state as it was.
///
/// ```
/// use bayeslift::{DeviceTraining, deploy::{self, DeployOptions}, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
/// let options = DeployOptions::new("flowers").samples(32);
/// let package = deploy::training(&trainer, &network, &DeviceTraining::new(8), &options)?;
/// assert!(package.header.contains("int flowers_step("));
/// # Ok::<(), bayeslift::Error>(())
/// ```
///
/// # Errors
/// As for [`network()`](super::network()); another network than the trainer's; weights in a file of their own; several
/// levels of instructions; an optimizer that tells its scalars on a host alone; a schedule by epochs or of a closure.
pub fn training(
    trainer: &Trainer,
    network: &Network,
    training: &DeviceTraining,
    options: &DeployOptions,
) -> Result<Package, Error> {
    let _environment = Environment::enter();
    let graphs = trainer.device_graphs(network, training)?;
    let digest = ModelFile::from_bytes(&network.to_bytes()?)?.digest.unwrap_or_default();
    let learner = Learner {
        model: Model::of_network(network, &PredictorOptions::default()),
        state: trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.clone())).collect(),
        graphs,
        rows: training.rows,
        seed: trainer.seed(),
        steps: trainer.steps(),
        network_steps: network.steps(),
        digest,
    };
    learner.compile(options)
}

/// As [`training()`], of the file that [`Trainer::save_for_device`] wrote, without the layers' code.
///
/// # Errors
/// As for [`training()`] and [`Predictor::open`](crate::Predictor::open); [`Error::TrainingFormat`] for a file that is
/// truncated, damaged or foreign, or that [`Trainer::save`] wrote, which knows no steps of a device.
pub fn training_file(path: impl AsRef<Path>, options: &DeployOptions) -> Result<Package, Error> {
    let _environment = Environment::enter();
    let path = path.as_ref();
    let training_file::ForDevice { file, state, graphs, rows, seed, steps } = training_file::for_device(path)?;
    let (network_steps, digest) = (file.steps, file.digest.clone().unwrap_or_default());
    let model = stored::model(file, path, &PredictorOptions::default())?;
    Learner { model, state, graphs, rows, seed, steps, network_steps, digest }.compile(options)
}

/// What learns.
struct Learner {
    model: Model,
    /// The optimizer's state by path.
    state: Vec<(String, Tensor)>,
    graphs: DeviceGraphs,
    /// Those of a step.
    rows: usize,
    /// Addresses the noise of steps.
    seed: u64,
    /// How many steps the trainer made, and all trainers on the network.
    steps: u64,
    network_steps: u64,
    /// That of the model's file.
    digest: String,
}

impl Learner {
    fn compile(&self, options: &DeployOptions) -> Result<Package, Error> {
        check(options)?;
        if options.levels.len() > 1 {
            let problem = "a network that learns was to be compiled for several levels of instructions";
            return Err(Error::misuse(problem, "compile it for one"));
        }
        if options.weights == Weights::File {
            let problem = "a network that learns was to have its weights in a file of their own";
            return Err(Error::misuse(problem, "leave the first ones inside: later ones are in its state"));
        }
        if options.abstention.is_some() || options.decision_error.is_some() {
            let problem = "a network that learns was to abstain or to decide";
            return Err(Error::misuse(
                problem,
                "compare what `NAME_predict` gives: its answers have both parts of doubt",
            ));
        }
        if self.model.dtype != DType::F32 {
            let problem = format!("the network is of {}, where devices train networks of f32", self.model.dtype);
            return Err(Error::misuse(problem, "make its layers of f32"));
        }
        let system = options.system()?;
        if system.is_c() { self.compile_as(&C, system, options) } else { self.compile_as(&Machine, system, options) }
    }

    fn compile_as<L: Language>(&self, language: &L, system: System, options: &DeployOptions) -> Result<Package, Error> {
        let model = &self.model;
        let target = target(&system, options.levels.first().copied())?;
        let architecture = system.architecture();
        let draws = model.draws()?;
        let mut assembly = Assembly { kernels: Vec::new(), routines: Vec::new(), data: Vec::new() };
        let mut data = Data::default();
        let state = State::new(self)?;

        let mut derived = Derived::default();
        let of_any = |turns, rows| Block::of_any(model, turns, rows, draws);
        let (made, roles) = blocks(options, draws, of_any)?;
        let (mut compiled, mut kernels) = (Vec::new(), Vec::new());
        for (block, early, kept) in made {
            let (code, functions) = block.compile(language, target)?;
            kernels.push(vec![assembly.kernels.len()]);
            assembly.kernels.extend(functions);
            derived.add(language, target, early, kept, &mut assembly.kernels)?;
            compiled.push((block, vec![code]));
        }
        let units = model.input.elements();
        let element = Element::of(model.dtype);
        let layout = Layout::new(&compiled, None, (units, element));
        let mut places = Places { end: layout.bytes };
        let known = derived.place(&mut places, &state, model)?;
        let step = Step::new(self, language, target, &mut assembly.kernels)?;
        let workspace_bytes = places.end.max(step.workspace_bytes());

        let routines = &mut assembly.routines;
        let looks = Looks::new(routines, element, element.largest, architecture);
        let parts = Parts {
            blocks: &compiled,
            levels: &[None],
            layout: &layout,
            element,
            units,
            known: &known,
            members: None,
            abstains: None,
            decides: None,
            brings_weights: false,
            kernels: &kernels,
        };
        let of = (0..compiled.len()).map(|block| parts.of_block(block, routines, &mut data)).collect();
        let defaults = Defaults { seed: options.seed.unwrap_or(model.seed), samples: options.samples };
        let name = options.name.as_str();
        let functions = Functions {
            parts,
            roles,
            defaults,
            architecture,
            draws,
            name,
            weights: None,
            expected: [Vec::new(), Vec::new()],
            information: 0,
            of,
            together: Vec::new(),
            looks,
        };
        let predict = derived.predict(&functions, routines, &state, &mut data)?;
        let named = [
            ("start", state.start(&mut data)),
            ("step", step.routine(self, &state, looks, architecture, &mut data)?),
            ("predict", predict),
            ("seal", state.seal()),
            ("open", state.open()),
            ("steps", state.steps()),
        ];
        routines.extend(named.into_iter().map(|(function, builder)| {
            let result = if function == "steps" { Width::Long } else { Width::Word };
            builder.finish(Some(format!("{name}_{function}")), "", result)
        }));
        assembly.data = near(data, "train a smaller network on the device")?;

        let prototypes: Vec<Prototype> = header::prototypes(name, self.has_labels());
        let linked = language.link(&assembly, options, &system, &prototypes)?;
        let results = compiled[roles.many].0.results();
        let facts = header::Facts {
            learner: self,
            options,
            system: &system,
            results: &results,
            defaults,
            state_bytes: state.bytes,
            workspace_bytes,
            stack_bytes: linked.stack_bytes,
            in_place: step.is_in_place(),
            prototypes: &prototypes,
        };
        let header = header::header(&facts);
        let tensors = state.tensors.iter().map(|StateTensor { path, tensor, at }| {
            let ty = tensor.ty();
            json!({ "path": path, "type": ty.to_string(), "at": at, "bytes": ty.bytes() })
        });
        let results = results.iter().map(|result| json!({ "name": result.name, "width": result.width }));
        let manifest = json!({
            "name": name,
            "bayeslift": env!("CARGO_PKG_VERSION"),
            "abi": header::ABI,
            "system": system.to_string(),
            "levels": options.levels.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "model": {
                "digest": self.digest,
                "likelihood": model.likelihood,
                "seed": model.seed,
                "input": model.input.to_vec(),
            },
            "inputs": units,
            "targets": model.target.shape.elements(),
            "batch_rows": self.rows,
            "samples": defaults.samples,
            "seed": defaults.seed,
            "results": results.collect::<Vec<_>>(),
            "training": {
                "seed": self.seed,
                "steps": self.steps,
                "in_place": step.is_in_place(),
                "state": tensors.collect::<Vec<_>>(),
            },
            "bytes": {
                "object": linked.bytes.len(),
                "code": linked.code_bytes,
                "data": assembly.data.len(),
                "state": state.bytes,
                "workspace": workspace_bytes,
                "stack": linked.stack_bytes,
            },
            "weights": if options.weights == Weights::Included { "included" } else { "inside" },
            "sha256": { "object": package::digest(&linked.bytes), "header": package::digest(header.as_bytes()) },
        });
        let included = (options.weights == Weights::Included).then_some(assembly.data);
        Ok(Package::new(options, &system, linked.bytes, header, manifest, [None, included]))
    }

    /// Whether targets are labels of classes.
    fn has_labels(&self) -> bool {
        self.model.target.ty(1, DType::F32).dtype == DType::U32
    }
}
