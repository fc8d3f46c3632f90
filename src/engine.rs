//! Running a graph: compiled, or by the reference evaluator.

mod shared;

pub use shared::SharedCode;

use crate::Error;
use bayeslift_ir::{DType, Graph, Tensor, Type, evaluate};
use bayeslift_runtime::{Argument, Executable, Explanation, Options, Rewriting, Target, Workspace};
use std::sync::Arc;

/// How graphs are run. Results do not depend on it, to the bit, as long as the level of rewriting is the same.
///
/// ```
/// use bayeslift::{Backend, prelude::*};
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// let mean = |backend: Backend| {
///     let predictor = Predictor::with_options(&network, &PredictorOptions::default().backend(backend))?;
///     Ok::<_, Error>(predictor.regress(&[0.1, 0.2])?.mean()[0].to_bits())
/// };
/// assert_eq!(mean(Backend::Compiled(Options::default()))?, mean(Backend::Reference)?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Backend {
    /// Compiled to machine code, with these options.
    Compiled(Options),
    /// By the reference evaluator, after the same rewriting as by default: a thousand times slower, for tests and for
    /// machines that refuse executable memory.
    Reference,
    /// As compiled, where equal graphs are compiled once: see [`Backend::shared`].
    Shared(Options, SharedCode),
}

impl Backend {
    /// Compiled with these options, once for all that is run by clones of it: the steps of several networks that differ
    /// in their parameters alone, their predictors, the predictors of several files.
    ///
    /// ```
    /// use bayeslift::{Backend, prelude::*};
    ///
    /// let backend = Backend::shared(Options::default());
    /// let options = PredictorOptions::default().backend(backend.clone());
    /// for seed in 0..3 {
    ///     let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    ///     let network = Network::new(layer, [2], likelihood::Categorical, seed)?;
    ///     // the first one compiles
    ///     Predictor::with_options(&network, &options)?.classify(&[0.1, 0.2])?;
    /// }
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    pub fn shared(options: Options) -> Backend {
        Backend::Shared(options, SharedCode::default())
    }

    /// A graph as it is compiled, so that graphs which are cut out of it have its bits.
    pub(crate) fn rewritten(&self, graph: &Graph) -> Result<Graph, Error> {
        let default = Options::default();
        Ok(self.options().unwrap_or(&default).optimize(graph)?.graph)
    }

    /// How it compiles, if it does.
    pub(crate) fn options(&self) -> Option<&Options> {
        match self {
            Backend::Compiled(options) | Backend::Shared(options, _) => Some(options),
            Backend::Reference => None,
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Backend::Compiled(Options::default())
    }
}

impl From<Options> for Backend {
    fn from(options: Options) -> Self {
        Backend::Compiled(options)
    }
}

/// A graph that is ready to run. Shared freely between threads.
#[derive(Debug)]
pub(crate) enum Engine {
    Compiled(Arc<Executable>),
    Reference(Box<Graph>),
}

/// What one call of an [`Engine`] at a time works on, and where it leaves the outputs that update no input.
#[derive(Debug)]
pub(crate) struct Session {
    workspace: Option<Workspace>,
    pub outputs: Vec<Tensor>,
}

impl Session {
    /// What a call of compiled code works on. Its workspace is made if there is none.
    fn parts(&mut self, executable: &Executable) -> Result<(&mut Workspace, &mut [Tensor]), Error> {
        let workspace = match &mut self.workspace {
            Some(workspace) => workspace,
            none => none.insert(executable.workspace()?),
        };
        Ok((workspace, &mut self.outputs))
    }
}

impl Engine {
    pub fn new(graph: Graph, backend: &Backend) -> Result<Engine, Error> {
        Engine::with(graph, backend, |options| options)
    }

    /// As [`Engine::new`], for a graph that is simplified already.
    pub fn of_simplified(graph: Graph, backend: &Backend) -> Result<Engine, Error> {
        Engine::with(graph, backend, |options| options.simplify(false))
    }

    /// As [`Engine::new`], for a graph that is made of one that was rewritten already.
    pub fn of_rewritten(graph: Graph, backend: &Backend) -> Result<Engine, Error> {
        Engine::with(graph, backend, |options| options.rewriting(Rewriting::Off))
    }

    /// As [`Engine::new`], for a part of a graph that was [rewritten](Backend::rewritten): only bits that all parts
    /// share are left to find.
    pub fn of_part(graph: Graph, backend: &Backend) -> Result<Engine, Error> {
        Engine::with(graph, backend, |options| {
            let level = options.rewriting.min(Rewriting::Exact);
            options.rewriting(level)
        })
    }

    fn with(graph: Graph, backend: &Backend, passes: impl Fn(Options) -> Options) -> Result<Engine, Error> {
        Ok(match backend {
            Backend::Compiled(options) => {
                Engine::Compiled(Arc::new(Executable::compile(graph, &passes(options.clone()))?))
            }
            Backend::Shared(options, code) => Engine::Compiled(code.executable(graph, &passes(options.clone()))?),
            Backend::Reference => Engine::Reference(Box::new(passes(Options::default()).optimize(&graph)?.graph)),
        })
    }

    /// The graph that is run, after rewriting.
    pub fn graph(&self) -> &Graph {
        match self {
            Engine::Compiled(executable) => &executable.plan().graph,
            Engine::Reference(graph) => graph,
        }
    }

    pub fn session(&self) -> Result<Session, Error> {
        match self {
            Engine::Compiled(executable) => {
                let mut outputs = executable.new_outputs()?;
                outputs.iter_mut().for_each(Tensor::align);
                Ok(Session { workspace: Some(executable.workspace()?), outputs })
            }
            Engine::Reference(graph) => {
                let returned = graph.outputs().iter().filter(|output| output.updates.is_none());
                let outputs = returned.map(|output| Tensor::zeros(graph.ty(output.value))).collect::<Result<_, _>>()?;
                Ok(Session { workspace: None, outputs })
            }
        }
    }

    /// Runs the graph on inputs in its order. Outputs that update an input are written over it, the others to the
    /// session.
    pub fn call(&self, session: &mut Session, inputs: &mut [Argument<'_>]) -> Result<(), Error> {
        match self {
            Engine::Compiled(executable) => {
                let (workspace, outputs) = session.parts(executable)?;
                Ok(executable.call_into(workspace, inputs, outputs)?)
            }
            Engine::Reference(graph) => interpret(graph, inputs, &mut session.outputs),
        }
    }

    /// What each kernel does.
    pub fn explain(&self) -> Result<Explanation, Error> {
        Ok(self.compiled()?.explain())
    }

    /// What each kernel would do on another machine.
    pub fn explain_for(&self, target: Target, threads: usize) -> Result<Explanation, Error> {
        Ok(self.compiled()?.explain_for(target, threads)?)
    }

    /// What each kernel does and how long it takes, over `runs` calls like that of [`Engine::call`].
    pub fn profile(
        &self,
        session: &mut Session,
        inputs: &mut [Argument<'_>],
        runs: usize,
    ) -> Result<Explanation, Error> {
        let executable = self.compiled()?;
        let (workspace, outputs) = session.parts(executable)?;
        Ok(executable.profile(workspace, inputs, outputs, runs)?)
    }

    fn compiled(&self) -> Result<&Executable, Error> {
        match self {
            Engine::Compiled(executable) => Ok(executable),
            Engine::Reference(_) => {
                let remedy = "use a compiled backend, such as `Options::default()`";
                Err(Error::misuse("the reference evaluator has no kernels to explain", remedy))
            }
        }
    }

    /// How many kernels were compiled.
    pub fn kernels(&self) -> usize {
        match self {
            Engine::Compiled(executable) => executable.plan().kernels.len(),
            Engine::Reference(_) => 0,
        }
    }
}

fn interpret(graph: &Graph, inputs: &mut [Argument<'_>], outputs: &mut [Tensor]) -> Result<(), Error> {
    let words = |ty: &Type, words| match ty.dtype {
        DType::Mask => Tensor::from_words(ty, words),
        _ => Tensor::u32(ty.shape.clone(), words),
    };
    let tensors = graph.inputs().iter().zip(inputs.iter()).map(|(input, argument)| {
        let ty = graph.ty(input.value);
        match argument {
            Argument::F32(x) => Tensor::f32(ty.shape.clone(), *x),
            Argument::F32Mut(x) => Tensor::f32(ty.shape.clone(), &**x),
            Argument::F64(x) => Tensor::f64(ty.shape.clone(), *x),
            Argument::F64Mut(x) => Tensor::f64(ty.shape.clone(), &**x),
            Argument::U32(x) => words(ty, x.to_vec()),
            Argument::U32Mut(x) => words(ty, x.to_vec()),
        }
    });
    let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
    let mut returned = outputs.iter_mut();
    for (output, result) in graph.outputs().iter().zip(evaluate(graph, &tensors)?) {
        let Some(input) = output.updates else {
            if let Some(tensor) = returned.next() {
                *tensor = result;
            }
            continue;
        };
        match (&mut inputs[input], Argument::from(&result)) {
            (Argument::F32Mut(to), Argument::F32(from)) => to.copy_from_slice(from),
            (Argument::F64Mut(to), Argument::F64(from)) => to.copy_from_slice(from),
            (Argument::U32Mut(to), Argument::U32(from)) => to.copy_from_slice(from),
            _ => return Err(bayeslift_runtime::Error::NotMutable { name: graph.inputs()[input].name.clone() }.into()),
        }
    }
    Ok(())
}

/// The two words of a number of 64 bits, as noise addresses hold them: low, high.
pub(crate) fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The key that noise is addressed by.
pub(crate) fn noise_key(seed: u64, step: u64) -> [u32; 4] {
    let ([a, b], [c, d]) = (words(seed), words(step));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::Builder;

    /// Inputs that outputs update are overwritten, of whichever type.
    #[test]
    fn the_reference_updates_its_inputs() -> Result<(), Error> {
        let b = Builder::new();
        let x = b.input("x", Type::f32([3]));
        let [total, count] = [b.input("total", Type::f64([])), b.input("count", Type::u32([2]))];
        b.output_updating("total", total + x.to_f64().sum(0), total);
        b.output_updating("count", count, count);
        b.output("double", x * 2.0);
        let engine = Engine::new(b.finish()?, &Backend::Reference)?;
        let mut session = engine.session()?;
        let (mut total, mut count) = ([1e16], [7, 8]);
        for _ in 0..2 {
            let x = [0.5, 1.0, 2.5];
            engine.call(&mut session, &mut [x[..].into(), Argument::F64Mut(&mut total), (&mut count[..]).into()])?;
        }
        assert_eq!((total, count), ([1e16 + 8.0], [7, 8]));
        assert_eq!(session.outputs, [Tensor::f32([3], [1.0, 2.0, 5.0])?]);
        // integers are no floats, whatever their bits
        let error =
            engine.call(&mut session, &mut [[0; 3][..].into(), Argument::F64Mut(&mut total), (&mut count[..]).into()]);
        assert!(error.unwrap_err().to_string().contains("element type u32, expected f32"));
        Ok(())
    }
}
