//! What a network that learns is between steps: parameters and the optimizer's state in one block of the caller's
//! memory.

use super::Learner;
use crate::{
    Error,
    deploy::{
        functions::{check_memory, checksum_of, refuse},
        layout::{ALIGN, Places},
        package,
        status::status,
    },
};
use Width::Long;
use bayeslift_codegen::routine::{Data, Expr, RoutineBuilder, Variable, Width};
use bayeslift_ir::{Foreign, Tensor, Type};

/// The header, long by long: what the state is good for, which package's it is, how many steps were made, and, if it is
/// sealed, a checksum of that number and all tensors.
const CONDITION: i64 = 0;
const DIGEST: i64 = 8;
const STEPS: i64 = 16;
const CHECKSUM: i64 = 24;
const HEADER: u64 = ALIGN;

/// Ready for steps and predictions.
const OPEN: i64 = 0x6261_7965_736f_7065;
/// Ready to be stored.
const SEALED: i64 = 0x6261_7965_7365_616c;
/// In the midst of a step.
const BUSY: i64 = 0x6261_7965_7362_7573;

/// A tensor of the state.
#[derive(Debug)]
pub struct StateTensor {
    pub path: String,
    /// Its first value.
    pub tensor: Tensor,
    /// Where it lies.
    pub at: i64,
}

/// Where tensors lie, and their first values.
#[derive(Debug)]
pub struct State {
    pub tensors: Vec<StateTensor>,
    pub bytes: u64,
    digest: i64,
    first_steps: i64,
}

impl State {
    /// Parameters, then the optimizer's state.
    pub fn new(learner: &Learner) -> Result<State, Error> {
        let mut places = Places { end: HEADER };
        let parameters = learner.model.parameters().iter().map(|(path, parameter)| (path, &parameter.tensor));
        // in the order of the graph, which files do not keep
        let inputs = || learner.graphs.step.inputs().iter();
        let state = inputs().filter_map(|input| learner.state.iter().find(|(path, _)| *path == input.name));
        let state = state.map(|(path, tensor)| (path.as_str(), tensor));
        let is_read = |(path, _): &&(String, Tensor)| inputs().any(|input| input.name == *path);
        if let Some((path, _)) = learner.state.iter().find(|one| !is_read(one)) {
            let expected = "a path that a step's graph reads";
            return Err(Error::argument("a tensor of the optimizer's state", expected, Foreign::new(path)));
        }
        let mut tensors: Vec<StateTensor> = Vec::new();
        for (path, tensor) in parameters.chain(state) {
            if tensors.iter().any(|known| known.path == path) {
                return Err(Error::argument(
                    "a tensor of the optimizer's state",
                    "a path that no parameter has",
                    Foreign::new(path),
                ));
            }
            let at = places.take(tensor.ty().bytes() as u64);
            tensors.push(StateTensor { path: path.to_owned(), tensor: tensor.clone(), at });
        }
        // all that a step depends on besides the numbers of steps: a state is of no other package than one that goes on
        // alike
        let mut identity = format!(
            "{}\n{}\n{}\n{} {}\n",
            learner.digest,
            learner.graphs.before,
            learner.graphs.step,
            learner.seed,
            learner.network_steps.wrapping_sub(learner.steps)
        );
        tensors.iter().for_each(|one| identity.push_str(&format!("{} {} {}\n", one.path, one.tensor.ty(), one.at)));
        let digest = package::digest(identity.as_bytes());
        let digest = u64::from_str_radix(&digest[..16], 16).expect("hexadecimal digits") as i64;
        Ok(State { tensors, bytes: places.end, digest, first_steps: learner.steps as i64 })
    }

    /// Where a tensor lies, if it has this type.
    pub fn find(&self, path: &str, ty: &Type) -> Option<i64> {
        self.tensors.iter().find(|one| one.path == path && one.tensor.ty() == *ty).map(|one| one.at)
    }

    /// `(state)`: makes it what it is before the first step here.
    pub fn start(&self, data: &mut Data) -> RoutineBuilder {
        let mut image = vec![0_u8; (self.bytes - HEADER) as usize];
        for StateTensor { tensor, at, .. } in &self.tensors {
            let bytes = tensor.words().into_iter().flat_map(u32::to_le_bytes);
            image[(*at as u64 - HEADER) as usize..].iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        }
        // zeros at the end, as of an optimizer that has not begun, are made
        let kept = image.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(8));
        let at = data.add(&image[..kept]);
        let (mut b, [state]) = RoutineBuilder::new([Long]);
        check_memory(&mut b, &[state]);
        b.each((kept / 8) as i64, |b, i| {
            let value = b.set((Expr::Data(at) + i * 8).load(Long, 0));
            b.store(Long, state + i * 8, HEADER as i64, value);
        });
        b.each(((image.len() - kept) / 8) as i64, |b, i| b.store(Long, state + i * 8, HEADER as i64 + kept as i64, 0));
        b.store(Long, state, DIGEST, self.digest);
        b.store(Long, state, STEPS, self.first_steps);
        (CHECKSUM..HEADER as i64).step_by(8).for_each(|at| b.store(Long, state, at, 0));
        b.store(Long, state, CONDITION, OPEN);
        b.give(status("OK"));
        b
    }

    /// Refuses memory that is no state of this package.
    fn check_is(&self, b: &mut RoutineBuilder, state: Variable, condition: i64) {
        check_memory(b, &[state]);
        for (at, expected) in [(CONDITION, condition), (DIGEST, self.digest)] {
            refuse(b, Expr::from(state).load(Long, at).equal(expected).is_zero(), "ERROR_STATE");
        }
    }

    /// Refuses what is no state that is ready for steps and predictions.
    pub fn check(&self, b: &mut RoutineBuilder, state: Variable) {
        self.check_is(b, state, OPEN);
    }

    /// Says that what follows is over only with [`State::rest`]: whatever interrupts it leaves no state.
    pub fn begin(&self, b: &mut RoutineBuilder, state: Variable) {
        b.store(Long, state, CONDITION, BUSY);
    }

    pub fn rest(&self, b: &mut RoutineBuilder, state: Variable) {
        b.store(Long, state, CONDITION, OPEN);
    }

    /// How many steps were made.
    pub fn made(&self, state: Variable) -> Expr {
        Expr::from(state).load(Long, STEPS)
    }

    pub fn count(&self, b: &mut RoutineBuilder, state: Variable, steps: impl Into<Expr>) {
        b.store(Long, state, STEPS, steps);
    }

    fn sum(&self, b: &mut RoutineBuilder, state: Variable) -> Variable {
        let tensors = b.set(state + HEADER as i64);
        let found = checksum_of(b, tensors, (self.bytes - HEADER) / 4);
        b.set(found + self.made(state))
    }

    /// `(state)`: makes it ready to be stored.
    pub fn seal(&self) -> RoutineBuilder {
        let (mut b, [state]) = RoutineBuilder::new([Long]);
        self.check_is(&mut b, state, OPEN);
        let sum = self.sum(&mut b, state);
        b.store(Long, state, CHECKSUM, sum);
        b.store(Long, state, CONDITION, SEALED);
        b.give(status("OK"));
        b
    }

    /// `(state)`: makes one that was stored ready again, if it is whole.
    pub fn open(&self) -> RoutineBuilder {
        let (mut b, [state]) = RoutineBuilder::new([Long]);
        self.check_is(&mut b, state, SEALED);
        let sum = self.sum(&mut b, state);
        refuse(&mut b, Expr::from(state).load(Long, CHECKSUM).equal(sum).is_zero(), "ERROR_DAMAGED");
        b.store(Long, state, CONDITION, OPEN);
        b.give(status("OK"));
        b
    }

    /// `(state)`: how many steps were made on it, or 0 for what is none.
    pub fn steps(&self) -> RoutineBuilder {
        let (mut b, [state]) = RoutineBuilder::new([Long]);
        b.when(Expr::from(state).is_zero(), |b| b.give(0));
        let of_another = Expr::from(state).load(Long, DIGEST).equal(self.digest).is_zero();
        b.when(of_another, |b| b.give(0));
        b.give(self.made(state));
        b
    }
}
