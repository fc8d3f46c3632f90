//! Compiled graphs.

use crate::{
    Argument, CodeError, Error, Workspace,
    aligned_buffer::AlignedBuffer,
    call,
    compiling::Compiling,
    pool::{self, MAX_THREADS},
    task_schedule::TaskSchedule,
    team::Team,
    trial::Trial,
};
use bayeslift_codegen::{
    self as codegen, KernelTable, Program, Target,
    emit::{MachineCode, Placement},
    link::jit::Code,
    tile::TileKernel,
};
use bayeslift_ir::{
    self as ir, Environment, Graph, Tensor, Type,
    memory::{LARGE, Reservation},
    verify,
};
use bayeslift_passes::{Fusion, Pipeline, Place, Plan, Report, Rewriting, Rewritten};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

/// How to compile a graph.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What code is for; default: this machine. Results do not depend on it.
    pub target: Target,
    /// The most threads a call uses; default: as many as there are cores. Calls too small to share use fewer, and calls
    /// below two milliseconds or so use others only where that has turned out to be faster. Results do not depend on
    /// it.
    pub threads: usize,
    /// Whether to simplify the graph first. Results do not depend on it, but for those of [`Rewriting::All`], which may
    /// round differently.
    pub simplify: bool,
    /// Which rules rewrite the graph. [`Rewriting::All`] rounds differently than the others.
    pub rewriting: Rewriting,
    /// Cuts calls into as many tasks as there can be and wakes all threads for each, to test their order.
    finest: bool,
}

impl Default for Options {
    fn default() -> Self {
        // not behind a lock, which a process that is forked meanwhile would wait for; whoever comes first counts
        static CORES: AtomicUsize = AtomicUsize::new(0);
        let mut cores = CORES.load(Ordering::Relaxed);
        if cores == 0 {
            cores = available_parallelism().map_or(1, usize::from);
            CORES.store(cores, Ordering::Relaxed);
        }
        let (target, rewriting) = (Target::host(), Rewriting::default());
        Options { target, threads: cores, simplify: true, rewriting, finest: false }
    }
}

impl Options {
    /// For this target: with narrower vectors, or as for another machine that this one can stand in for.
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// With the widest vectors of the target that have at most `most` elements: 1, 4, 8 or 16.
    pub fn lanes(self, most: usize) -> Self {
        let target = self.target.with_lanes(most);
        self.target(target)
    }

    /// With up to this many threads, at least 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// With or without simplification.
    pub fn simplify(mut self, simplify: bool) -> Self {
        self.simplify = simplify;
        self
    }

    /// Rewritten by these rules.
    pub fn rewriting(mut self, rewriting: Rewriting) -> Self {
        self.rewriting = rewriting;
        self
    }

    #[doc(hidden)]
    pub fn is_finest(&self) -> bool {
        self.finest
    }

    #[doc(hidden)]
    pub fn finest(mut self, finest: bool) -> Self {
        self.finest = finest;
        self
    }

    /// The graph that is compiled with these options: the evaluator gives the bits of compiled code for this one.
    ///
    /// # Errors
    /// A graph that does not verify; [`Error::ForkedWhileCompiling`].
    pub fn optimize(&self, graph: &Graph) -> Result<Rewritten, Error> {
        verify(graph)?;
        let _compiling = Compiling::begin()?;
        Ok(Pipeline { simplify: self.simplify, rewriting: self.rewriting, stop_after: None }.run(graph)?)
    }

    /// The machine code of a graph that was optimized, and the table of its kernels, for any target: to be linked
    /// elsewhere.
    ///
    /// # Errors
    /// A graph that is too large; an architecture that this build has no code generator for;
    /// [`Error::ForkedWhileCompiling`].
    pub fn emit(&self, rewritten: &Rewritten, placement: Placement) -> Result<Program<MachineCode>, Error> {
        let _compiling = Compiling::begin()?;
        // code generation folds constants too
        let _environment = Environment::enter();
        let plan = Plan::with_fusions(rewritten.graph.clone(), &rewritten.fusions)?;
        let threads = self.threads.clamp(1, MAX_THREADS);
        Ok(codegen::compile(&plan, &rewritten.fusions, (self.target, placement), threads)?)
    }

    /// The kernels that a graph is compiled to, as tile code: to be printed, verified and interpreted, for any target.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// use bayeslift_runtime::{Options, Target};
    /// let b = Builder::new();
    /// b.output("y", b.input("x", Type::f32([100])) * 2.0);
    /// let neon = Target::named("neon").expect("a row of the table of machines");
    /// let program = Options::default().target(neon).lower(&b.finish()?)?;
    /// println!("{}{}", program.table, program.functions[0]);
    /// # Ok::<(), bayeslift_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Executable::compile`].
    pub fn lower(&self, graph: &Graph) -> Result<Program<TileKernel>, Error> {
        self.lower_optimized(&self.optimize(graph)?)
    }

    /// As [`Options::lower`], of a graph that was optimized.
    ///
    /// # Errors
    /// A graph that is too large; [`Error::ForkedWhileCompiling`].
    pub fn lower_optimized(&self, rewritten: &Rewritten) -> Result<Program<TileKernel>, Error> {
        let _compiling = Compiling::begin()?;
        let _environment = Environment::enter();
        let Rewritten { graph, fusions, .. } = rewritten;
        let plan = Plan::with_fusions(graph.clone(), fusions)?;
        Ok(Program::lower(&plan, fusions, self.target, self.threads.clamp(1, MAX_THREADS)))
    }
}

/// What a call passes for an input.
#[derive(Debug)]
struct Expected {
    dtype: ir::DType,
    elements: usize,
    /// Whether an output updates it.
    donated: bool,
}

impl Expected {
    /// Whether what is passed has the type, the number of elements and, if it is to be updated, may be written.
    fn is_met_by(&self, argument: &Argument<'_>) -> bool {
        argument.fits(self.dtype)
            && argument.len() == self.elements
            && (!self.donated || argument.is_mutable())
            && (self.dtype != ir::DType::Mask || argument.words().all(|word| word == 0 || word == u32::MAX))
    }
}

/// A compiled graph: call it with its inputs, get its outputs. Shared freely between threads.
#[derive(Debug)]
pub struct Executable {
    id: u64,
    plan: Plan,
    table: KernelTable,
    code: Code,
    digest: u64,
    /// Which argument of which number, counted over all stages, is which of the caller's tensors: inputs, then outputs.
    tensor_arguments: Vec<(usize, usize)>,
    schedule: TaskSchedule,
    /// What is passed for each input.
    expected: Vec<Expected>,
    /// How many outputs update no input.
    returned: usize,
    fusions: Vec<Fusion>,
    report: Report,
}

impl Executable {
    /// Compiles a graph.
    ///
    /// # Errors
    /// A target that does not run here; a graph that does not verify, or is too large; a machine that refuses
    /// executable memory; [`Error::ForkedWhileCompiling`].
    pub fn compile(graph: Graph, options: &Options) -> Result<Executable, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if !options.target.runs_here() {
            return Err(CodeError::ForeignTarget { target: options.target }.into());
        }
        let Rewritten { graph, fusions, report } = options.optimize(&graph)?;
        let _compiling = Compiling::begin()?;
        // code generation folds constants too
        let _environment = Environment::enter();
        let plan = Plan::with_fusions(graph, &fusions)?;
        let threads = options.threads.clamp(1, MAX_THREADS);
        let program = codegen::compile(&plan, &fusions, (options.target, Placement::Memory), threads)?;
        let code = Code::link(&program.functions)?;
        let (digest, table) = (program.digest(), program.table);
        let schedule = TaskSchedule::new(&table, threads, options.finest);
        let inputs = table.inputs.len();
        let tensor_arguments = table.stages.iter().flat_map(|stage| &stage.arguments).enumerate();
        let tensor_arguments = tensor_arguments.filter_map(|(i, argument)| match argument {
            codegen::KernelArgument::Place(Place::Input(input)) => Some((i, *input)),
            codegen::KernelArgument::Place(Place::Output(output)) => Some((i, inputs + output)),
            _ => None,
        });
        let tensor_arguments = tensor_arguments.collect();
        let expected = table.inputs.iter().map(|input| {
            let (dtype, elements) = (input.ty.dtype, input.ty.shape.elements());
            Expected { dtype, elements, donated: input.is_donated }
        });
        let expected = expected.collect();
        let returned = table.outputs.iter().filter(|output| output.updates.is_none()).count();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Executable {
            id,
            plan,
            table,
            code,
            digest,
            tensor_arguments,
            schedule,
            expected,
            returned,
            fusions,
            report,
        })
    }

    /// A digest of the machine code: compiling a graph again on the same machine, with the same options, gives the same
    /// code.
    pub fn code_digest(&self) -> u64 {
        self.digest
    }

    /// The plan that was compiled: prints as the list of kernels.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it is besides the code of its functions: stages, arguments, memory. Prints as a list.
    pub fn table(&self) -> &KernelTable {
        &self.table
    }

    pub(crate) fn schedule(&self) -> &TaskSchedule {
        &self.schedule
    }

    /// The groups of values of the plan's graph that rewriting found to be one fused operation each.
    pub fn fusions(&self) -> &[Fusion] {
        &self.fusions
    }

    /// How the plan's graph was rewritten.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The inputs' names and types, in the order calls take them.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.table.inputs.iter().map(|input| (input.name.as_str(), &input.ty))
    }

    /// The names and types of the outputs that calls return, in order: those that update no input.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Type)> {
        let returned = self.table.outputs.iter().filter(|output| output.updates.is_none());
        returned.map(|output| (output.name.as_str(), &output.ty))
    }

    /// Memory for calls; starts the threads that work on them. It takes what it takes when a call touches it; but where
    /// that is 64 MiB or more, what the machine cannot hold is refused now: what is available, to the process's control
    /// group on Linux, without what other workspaces have been promised and not touched yet. A process that is forked
    /// afterwards has none of them, and makes its calls alone.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn workspace(&self) -> Result<Workspace, Error> {
        let (threads, scratch_bytes) = (self.schedule.threads as u64, self.table.scratch_bytes as u64);
        let bytes = (self.table.arena_bytes as u64)
            .saturating_add(scratch_bytes.saturating_mul(threads))
            .saturating_add(self.table.shared_bytes as u64);
        let reservation = Reservation::new(bytes, "a workspace")?;
        let arena = AlignedBuffer::new(self.table.arena_bytes, "intermediate values")?;
        let scratch = (0..self.schedule.threads)
            .map(|_| AlignedBuffer::new(self.table.scratch_bytes, "scratch memory"))
            .collect::<Result<_, _>>()?;
        let shared = AlignedBuffer::new(self.table.shared_bytes, "operands that threads share")?;
        let arguments = self.table.stages.iter().flat_map(|stage| &stage.arguments);
        let pointers = arguments.map(|argument| match argument {
            codegen::KernelArgument::Place(Place::Arena(offset)) => arena.pointer().wrapping_add(*offset),
            codegen::KernelArgument::Place(Place::Input(_) | Place::Output(_)) => std::ptr::null_mut(),
            codegen::KernelArgument::Shared => shared.pointer(),
            codegen::KernelArgument::Words(words) => words.as_ptr().cast_mut().cast(),
        });
        let pointers = pointers.collect();
        pool::start(self.schedule.threads);
        Ok(Workspace {
            owner: self.id,
            _memory: [arena, shared],
            scratch,
            untouched: Some(reservation).filter(|_| bytes >= LARGE),
            team: Team::new(self.schedule.threads, self.schedule.groups.len()),
            trial: Trial::new(),
            tensors: Vec::with_capacity(self.table.inputs.len() + self.table.outputs.len()),
            pointers,
        })
    }

    /// Tensors that [`Executable::call_into`] can fill.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_outputs(&self) -> Result<Vec<Tensor>, Error> {
        self.outputs().map(|(_, ty)| Ok(Tensor::zeros(ty)?)).collect()
    }

    /// Calls with these inputs, in order. Returns the outputs that update no input, in order.
    ///
    /// # Errors
    /// As for [`Executable::call_into`]; [`Error::OutOfMemory`].
    pub fn call(&self, workspace: &mut Workspace, inputs: &mut [Argument<'_>]) -> Result<Vec<Tensor>, Error> {
        let mut outputs = self.new_outputs()?;
        self.call_into(workspace, inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// Calls with these inputs, and writes the outputs that update no input to `outputs`. Inputs that outputs update
    /// are overwritten. Allocates nothing once the workspace has been used, unless outputs have more than four axes.
    ///
    /// # Errors
    /// A wrong number of tensors, element types or numbers of elements, an updated input passed immutably. Nothing is
    /// written in that case.
    pub fn call_into(
        &self,
        workspace: &mut Workspace,
        inputs: &mut [Argument<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), Error> {
        self.call_timed(workspace, inputs, outputs, None)
    }

    /// As [`Executable::call_into`]; adds the time of each kernel to `times`, if that is given.
    pub(crate) fn call_timed(
        &self,
        workspace: &mut Workspace,
        inputs: &mut [Argument<'_>],
        outputs: &mut [Tensor],
        times: Option<&mut [Duration]>,
    ) -> Result<(), Error> {
        self.check(workspace, inputs, outputs)?;
        let Workspace { tensors, pointers, .. } = &mut *workspace;
        tensors.clear();
        tensors.extend(inputs.iter_mut().map(Argument::pointer));
        let mut returned = outputs.iter_mut().map(|tensor| Argument::from(tensor).pointer());
        for output in &self.table.outputs {
            tensors.push(match output.updates {
                Some(input) => tensors[input],
                None => returned.next().expect("counted by `check`"),
            });
        }
        for &(argument, tensor) in &self.tensor_arguments {
            pointers[argument] = tensors[tensor];
        }
        // SAFETY: `check` has compared every tensor with its type in the table and the workspace with the executable;
        // inputs that are written are borrowed mutably, so nothing overlaps them; the arena and the shared memory are
        // as large as the table wants them.
        unsafe { call::run((&self.table.stages, self.code.functions()), &self.schedule, workspace, times) };
        if workspace.untouched.is_some() {
            workspace.untouched = None;
        }
        Ok(())
    }

    fn check(&self, workspace: &Workspace, inputs: &[Argument<'_>], outputs: &[Tensor]) -> Result<(), Error> {
        if workspace.owner != self.id {
            return Err(Error::ForeignWorkspace);
        }
        let join = |names: Vec<&str>| names.join(", ");
        if inputs.len() != self.expected.len() {
            let names = join(self.inputs().map(|(name, _)| name).collect());
            return Err(Error::Count { what: "inputs", expected: self.expected.len(), found: inputs.len(), names });
        }
        if let Some(i) =
            inputs.iter().zip(&self.expected).position(|(argument, expected)| !expected.is_met_by(argument))
        {
            return Err(self.misfit(i, &inputs[i]));
        }
        if outputs.len() != self.returned {
            let names = join(self.outputs().map(|(name, _)| name).collect());
            return Err(Error::Count { what: "outputs", expected: self.returned, found: outputs.len(), names });
        }
        for (tensor, (name, ty)) in outputs.iter().zip(self.outputs()) {
            if tensor.dtype() != ty.dtype || *tensor.shape() != ty.shape {
                return Err(ir::Error::ShapeMismatch {
                    op: "call".into(),
                    argument: format!("the output `{name}`"),
                    expected: ty.to_string(),
                    found: tensor.shape().clone(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// Says why an argument does not fit its input.
    #[cold]
    fn misfit(&self, input: usize, argument: &Argument<'_>) -> Error {
        let (expected, input) = (&self.expected[input], &self.table.inputs[input]);
        let name = input.name.clone();
        if !argument.fits(expected.dtype) {
            let found = argument.dtype();
            let (op, argument) = ("call".into(), format!("the input `{name}`"));
            return ir::Error::DTypeMismatch { op, argument, expected: expected.dtype, found }.into();
        }
        if expected.elements != argument.len() {
            let (ty, expected, found) = (input.ty.clone(), expected.elements, argument.len());
            return ir::Error::ElementCount { name, ty, expected, found }.into();
        }
        if expected.donated && !argument.is_mutable() {
            return Error::NotMutable { name };
        }
        let message = format!("the mask `{name}` has words other than 0 and u32::MAX");
        ir::Error::Attribute { op: "call".into(), message }.into()
    }
}
