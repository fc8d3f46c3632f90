//! One step of training: what comes before it, its kernels, and whether it may be kept.

use super::{Learner, state::State};
use crate::{
    Error,
    deploy::{
        element::Element,
        entry::Looks,
        functions::{check_memory, refuse, within},
        language::Language,
        layout::Places,
        status::status,
    },
    predictor::model::NOISE,
    trainer::{LARGEST_GRADIENT, REFUSED_SCALARS, REFUSED_TARGETS, STEP},
};
use Width::{Long, Word};
use bayeslift_codegen::{
    Architecture, KernelTable, Program, Target,
    routine::{Data, Expr, Memory, RoutineBuilder, Variable, Width, launches},
};
use bayeslift_ir::{DType, Foreign, Graph, Type};
use bayeslift_runtime::Options;

/// What a step measures, besides which updates it has none or outputs of its own.
const MEASURED: [&str; 3] = ["loss", "negative_log_likelihood", "divergence"];
/// What no gradient's magnitude exceeds, of steps in place.
const BOUND: &str = "bound";

/// The code of a step, and where things lie in the workspace while it is made.
#[derive(Debug)]
pub struct Step {
    before: KernelTable,
    before_at: usize,
    step: KernelTable,
    step_at: usize,
    /// The noise address, which is that of the step, of sample 0 and row 0; and the step's number.
    key: i64,
    zeros: i64,
    number: i64,
    /// What graphs give, by name, but for what is updated in place.
    given: Vec<(String, i64, Type)>,
    arena: i64,
    scratch: i64,
    shared: i64,
    bytes: u64,
}

impl Step {
    /// Compiles the graphs.
    ///
    /// # Errors
    /// Graphs that read or give what a step does not.
    pub fn new<L: Language>(
        learner: &Learner,
        language: &L,
        target: Target,
        kernels: &mut Vec<L::Function>,
    ) -> Result<Step, Error> {
        let options = Options::default().target(target).threads(1);
        let mut emit = |graph: &Graph| -> Result<(KernelTable, usize), Error> {
            let Program { table, functions } = language.emit(&options, &options.optimize(graph)?)?;
            let at = kernels.len();
            kernels.extend(functions);
            Ok((table, at))
        };
        let (before, before_at) = emit(&learner.graphs.before)?;
        let (step, step_at) = emit(&learner.graphs.step)?;
        let mut places = Places::default();
        let key = places.take(16 + 12 + 8);
        let outputs = before.outputs.iter().chain(&step.outputs).filter(|output| output.updates.is_none());
        let given =
            outputs.map(|output| (output.name.clone(), places.take(output.ty.bytes() as u64), output.ty.clone()));
        let given: Vec<_> = given.collect();
        let mut most = |of: fn(&KernelTable) -> usize| places.take(of(&before).max(of(&step)) as u64);
        let arena = most(|table| table.arena_bytes);
        let scratch = most(|table| table.scratch_bytes);
        let shared = most(|table| table.shared_bytes);
        let (zeros, number, bytes) = (key + 16, key + 28, places.end);
        let made = Step { before, before_at, step, step_at, key, zeros, number, given, arena, scratch, shared, bytes };
        made.check()?;
        Ok(made)
    }

    /// Whether all that a routine reads is given.
    fn check(&self) -> Result<(), Error> {
        let scalar = Type::new(DType::F32, []);
        let looked_at = MEASURED.into_iter().chain([REFUSED_TARGETS]);
        let in_place = [BOUND, REFUSED_SCALARS].into_iter().filter(|_| self.is_in_place());
        for name in looked_at.chain(in_place) {
            let given = self.given.iter().find(|(known, ..)| known == name);
            if given.is_none_or(|(_, _, ty)| *ty != scalar) {
                return Err(Error::argument(
                    "a stored graph of a step",
                    format!("one that gives a scalar `{name}`"),
                    "none",
                ));
            }
        }
        Ok(())
    }

    pub fn workspace_bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether updates overwrite the state, as they are known to be finite before they are made.
    pub fn is_in_place(&self) -> bool {
        self.step.outputs.iter().any(|output| output.updates.is_some())
    }

    fn at(&self, name: &str) -> i64 {
        self.given.iter().find(|(known, ..)| known == name).map_or(0, |(_, at, _)| *at)
    }

    /// The kernels of a table. Inputs are found by name and type.
    fn launches(
        &self,
        b: &mut RoutineBuilder,
        (table, first): (&KernelTable, usize),
        workspace: Variable,
        known: impl Fn(&str, &Type) -> Option<Expr>,
        data: &mut Data,
    ) -> Result<(), Error> {
        let float = Type::new(DType::F32, []);
        let inputs = table.inputs.iter().map(|input| {
            let place = |at: i64| workspace + at;
            let own = match (input.name.as_str(), &input.ty) {
                (STEP, ty) if *ty == Type::u32([2]) => Some(place(self.number)),
                (name, ty) if name == NOISE[0] && *ty == Type::u32([4]) => Some(place(self.key)),
                (name, ty) if name == NOISE[1] && *ty == Type::u32([]) => Some(place(self.zeros)),
                (name, ty) if name == NOISE[2] && *ty == Type::u32([2]) => Some(place(self.zeros)),
                (name, ty) if *ty == float => {
                    self.before.outputs.iter().any(|output| output.name == name).then(|| place(self.at(name)))
                }
                _ => None,
            };
            known(&input.name, &input.ty).or(own).ok_or_else(|| {
                let found = format!("`{}` of type {}", Foreign::new(&input.name), input.ty);
                Error::argument("an input of a stored graph", "what a step is given", found)
            })
        });
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        // what is updated has the memory of an input
        let outputs = table.outputs.iter().map(|output| workspace + self.at(&output.name)).collect();
        let [arena, scratch, shared] = [self.arena, self.scratch, self.shared].map(|at| workspace + at);
        b.append(launches(table, first, &Memory { inputs, outputs, arena, scratch, shared }, data));
        Ok(())
    }

    /// `(state, inputs, targets, rows, loss, workspace)`: makes a step.
    ///
    /// # Errors
    /// A graph that reads what a step is not given.
    pub fn routine(
        &self,
        learner: &Learner,
        state: &State,
        looks: Looks,
        architecture: Architecture,
        data: &mut Data,
    ) -> Result<RoutineBuilder, Error> {
        let (mut builder, [memory, inputs, targets, rows, loss, workspace]) = RoutineBuilder::new([Long; 6]);
        let b = &mut builder;
        check_memory(b, &[workspace]);
        state.check(b, memory);
        [inputs, targets].into_iter().for_each(|pointer| refuse(b, Expr::from(pointer).is_zero(), "ERROR_NULL"));
        refuse(b, Expr::from(rows).equal(learner.rows as i64).is_zero(), "ERROR_ROWS");
        let units = learner.model.input.elements() * learner.rows;
        let target_ty = learner.model.target.ty(learner.rows, DType::F32);
        let input_ty = learner.model.batch_type(learner.rows);
        let known = |name: &str, ty: &Type| match name {
            "x" if *ty == input_ty => Some(Expr::from(inputs)),
            "targets" if *ty == target_ty => Some(Expr::from(targets)),
            _ => state.find(name, ty).map(|at| memory + at),
        };
        let step = b.set(state.made(memory) + 1);
        let of_network = b.set(step + learner.network_steps.wrapping_sub(learner.steps) as i64);
        let result = b.set(status("OK"));
        let failed = |b: &mut RoutineBuilder, name| b.assign(result, status(name));
        let (mut before, mut kernels) = (Ok(()), Ok(()));
        within(b, architecture, |b| {
            for (at, value) in [
                (self.key, (learner.seed as i64).into()),
                (self.key + 8, Expr::from(of_network)),
                (self.number, step.into()),
            ] {
                let value = b.set(value);
                b.store(Word, workspace, at, value);
                b.store(Word, workspace, at + 4, value >> 32);
            }
            (0..3).for_each(|i| b.store(Word, workspace, self.zeros + 4 * i, 0));
            let is_refused = b.call(looks.exceeds, vec![inputs.into(), (units as i64).into()]);
            b.when(is_refused, |b| failed(b, "ERROR_NOT_FINITE_INPUT"));
            before = self.launches(b, (&self.before, self.before_at), workspace, known, data);
            let element = Element::of(DType::F32);
            let gives = |name: &str| Expr::from(workspace).load(Word, self.at(name)) & element.size();
            b.when(gives(REFUSED_TARGETS), |b| failed(b, "ERROR_TARGET"));
            if self.is_in_place() {
                b.when(gives(REFUSED_SCALARS), |b| failed(b, "ERROR_RATE"));
            }
            b.when(Expr::from(result).is_zero(), |b| {
                if self.is_in_place() {
                    state.begin(b, memory);
                }
                kernels = self.launches(b, (&self.step, self.step_at), workspace, known, data);
                if self.is_in_place() {
                    let largest = i64::from((LARGEST_GRADIENT as f32).to_bits());
                    b.when(Expr::from(largest).less(gives(BOUND)), |b| failed(b, "ERROR_LARGE_GRADIENT"));
                    state.rest(b, memory);
                }
                b.when(Expr::from(element.exponent - 1).less(gives(MEASURED[0])), |b| {
                    failed(b, "ERROR_NOT_FINITE_LOSS")
                });
                if !self.is_in_place() {
                    self.keep(b, state, looks, [memory, workspace, result]);
                }
                b.when(Expr::from(result).is_zero(), |b| state.count(b, memory, step));
                b.when(loss, |b| {
                    for (i, name) in MEASURED.into_iter().enumerate() {
                        b.store(Word, loss, 4 * i as i64, Expr::from(workspace).load(Word, self.at(name)));
                    }
                });
            });
        });
        before.and(kernels)?;
        b.give(result);
        Ok(builder)
    }

    /// Looks at updates that were made beside the state, and puts them in place if all are finite.
    fn keep(&self, b: &mut RoutineBuilder, state: &State, looks: Looks, [memory, workspace, result]: [Variable; 3]) {
        let updates = self.step.outputs.iter().filter_map(|output| {
            let to = state.find(&output.name, &output.ty)?;
            Some((self.at(&output.name), to, output.ty.words() as i64))
        });
        let updates: Vec<_> = updates.collect();
        for &(from, _, words) in &updates {
            let bad = b.call(looks.exceeds, vec![workspace + from, words.into()]);
            b.when(Expr::from(result).is_zero() & Expr::from(bad).is_zero().is_zero(), |b| {
                b.assign(result, status("ERROR_NOT_FINITE_UPDATE"));
            });
        }
        b.when(Expr::from(result).is_zero(), |b| {
            state.begin(b, memory);
            for &(from, to, words) in &updates {
                b.each(words, |b, i| {
                    let value = b.set((workspace + i * 4).load(Word, from));
                    b.store(Word, memory + i * 4, to, value);
                });
            }
            state.rest(b, memory);
        });
    }
}
