//! Linking tile kernels into executable memory.

use crate::{
    emit::{self, emit},
    lower::{Argument, Lowered, Tiling, lower},
    tile::TileKernel,
    wide::{self, Isa},
};
use bayeslift_passes::Plan;
use cranelift::codegen::{control::ControlPlane, isa, isa::OwnedTargetIsa, settings};
use cranelift::prelude::{AbiParam, Configurable, FunctionBuilderContext, Signature, types};
use cranelift_jit::{JITBuilder, JITModule, SystemMemoryProvider};
use cranelift_module::{FuncId, Linkage, Module as _, default_libcall_names};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// Why compiling failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refuses memory that can be executed.
    #[error("no executable memory: {0}; the system may forbid programs to generate code")]
    NoExecutableMemory(String),
    /// The code generator does not know this machine.
    #[error("no code generator for this machine: {0}")]
    UnsupportedMachine(String),
    /// The code generator rejected a kernel: a defect of Bayeslift.
    #[error("kernel {kernel} of {rows} x {cols} elements did not compile: {message}; please report this")]
    Kernel {
        /// The kernel's number in the plan.
        kernel: usize,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// The code generator's message.
        message: String,
    },
}

/// The signature of compiled kernels: pointers to tensors, scratch memory, the range of tiles.
pub type Function = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64);

/// A stage of a kernel in executable memory. Its tiles begin when those of stages before are over that touch the same memory, of which
/// one of the two writes some.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The kernel's number in the plan.
    pub kernel: usize,
    /// Its code. Valid as long as the [`Code`] it came from.
    pub function: Function,
    /// What to call it with.
    pub arguments: Vec<Argument>,
    /// How many tiles it has.
    pub tiles: usize,
    /// Which elements of the kernel's index space each tile computes; `None` if tiles are not of rows or parts of them.
    pub tiling: Option<Tiling>,
    /// About how many instructions of wide vectors it takes, counted for each element.
    pub cost: usize,
}

/// Compiled kernels, stage by stage in an order in which they may run, and the memory they lie in, which is freed with this.
pub struct Code {
    /// Kept to be freed.
    _module: Module,
    stages: Vec<Stage>,
    scratch_bytes: usize,
    shared_bytes: usize,
    digest: u64,
}

// SAFETY: after linking, the module is only kept to be freed; nothing is called through it, and the code it holds
// is read-only.
unsafe impl Sync for Code {}

/// A module whose memory is freed with it; Cranelift's own leaks it.
struct Module(Option<JITModule>);

impl Module {
    fn get(&mut self) -> &mut JITModule {
        self.0.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(module) = self.0.take() {
            // SAFETY: kernels are called by executables that own this; none can be running or be called later.
            unsafe { module.free_memory() };
        }
    }
}

impl Code {
    /// Compiles every kernel of a plan for vectors of `width` elements: 1, 4 where the machine has them, or 8 or 16 where
    /// [`Isa::is_supported`]; with tiles enough for `threads` threads.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn compile(plan: &Plan, width: usize, threads: usize) -> Result<Code, Error> {
        let isa = cranelift_native::builder().map_err(unsupported)?;
        Code::compile_for(isa, plan, width, threads)
    }

    fn compile_for(isa: isa::Builder, plan: &Plan, width: usize, threads: usize) -> Result<Code, Error> {
        let isa = isa.finish(flags()?).map_err(unsupported)?;
        let narrow = if has_vectors(&*isa) { width.min(emit::WIDTH) } else { 1 };
        let mut linker = Linker::new(isa);
        let mut lowered = Vec::with_capacity(plan.kernels.len());
        for (i, kernel) in plan.kernels.iter().enumerate() {
            let failed = |message| Error::Kernel { kernel: i, rows: kernel.rows, cols: kernel.cols, message };
            let mut linked = None;
            if let Some(isa) = Isa::of_lanes(width) {
                let stages = lower(plan, kernel, width, threads);
                let ids: Result<Option<Vec<_>>, _> =
                    stages.iter().map(|stage| linker.add_wide(&stage.code, isa).map_err(failed)).collect();
                linked = ids?.map(|ids| (stages, ids));
            }
            let (stages, ids) = match linked {
                Some(linked) => linked,
                None => {
                    let stages = lower(plan, kernel, narrow, threads);
                    let ids = stages.iter().map(|stage| linker.add(&stage.code).map_err(failed));
                    let ids = ids.collect::<Result<_, _>>()?;
                    (stages, ids)
                }
            };
            lowered.extend(stages.into_iter().zip(ids).map(|(stage, id)| (i, stage, id)));
        }
        let digest = linker.digest.finish();
        let mut linked = linker.module;
        let module = linked.get();
        module.finalize_definitions().map_err(|error| Error::NoExecutableMemory(chain(&error)))?;
        let most = |bytes: fn(&Lowered) -> usize| lowered.iter().map(|(_, stage, _)| bytes(stage)).max().unwrap_or(0);
        let scratch_bytes = most(|stage| stage.code.scratch_bytes);
        let shared_bytes = most(|stage| stage.shared_bytes);
        let stages = lowered.into_iter().map(|(kernel, stage, id)| {
            let address = module.get_finalized_function(id);
            Stage {
                kernel,
                // SAFETY: `Linker::add` defined it with exactly this signature, or `Linker::add_wide` by code for
                // this convention, on the systems where it is the one of C.
                function: unsafe { std::mem::transmute::<*const u8, Function>(address) },
                arguments: stage.arguments,
                tiles: stage.tiles,
                tiling: stage.tiling,
                cost: stage.cost,
            }
        });
        let stages = stages.collect();
        Ok(Code { _module: linked, stages, scratch_bytes, shared_bytes, digest })
    }

    /// The stages of all kernels, in an order in which they may run.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// A digest of all machine code, before it is linked: equal for equal code, wherever it lies, in programs of one compiler.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How much memory the tiles of a kernel share at most.
    pub fn shared_bytes(&self) -> usize {
        self.shared_bytes
    }

    /// How much scratch memory each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} stages)", self.stages.len())
    }
}

fn unsupported(error: impl std::fmt::Display) -> Error {
    Error::UnsupportedMachine(error.to_string())
}

/// Whether Cranelift's vectors can be used. On x86-64 they need AVX: without it, instructions trap on operands in memory
/// that are not aligned, and Cranelift folds such operands into comparisons. On RISC-V they are an extension.
fn has_vectors(isa: &dyn isa::TargetIsa) -> bool {
    let flags = isa.isa_flags();
    let extension = flags.iter().find(|flag| matches!(flag.name, "has_avx" | "has_v"));
    extension.is_none_or(|flag| flag.as_bool() == Some(true))
}

fn flags() -> Result<settings::Flags, Error> {
    let mut flags = settings::builder();
    let options = [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        // a frame of spilled registers may be larger than the guard page of a stack
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(unsupported)?;
    }
    Ok(settings::Flags::new(flags))
}

/// What machines without a fused multiply-add call for each: exact, as the evaluator's.
extern "C" fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    bayeslift_ir::fma(a, b, c)
}

/// What machines without an instruction for it call.
extern "C" fn floor(x: f32) -> f32 {
    x.floor()
}

struct Linker {
    module: Module,
    /// Kernels by the width of their vectors: equal ones are compiled once.
    known: HashMap<(usize, TileKernel), FuncId>,
    functions: FunctionBuilderContext,
    /// See [`Code::digest`].
    digest: DefaultHasher,
}

impl Linker {
    fn new(isa: OwnedTargetIsa) -> Linker {
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.symbol("fmaf", fused_multiply_add as *const u8).symbol("floorf", floor as *const u8);
        // takes memory as code comes; kernels call nothing that has to be near
        builder.memory_provider(Box::new(SystemMemoryProvider::new()));
        let module = Module(Some(JITModule::new(builder)));
        Linker { module, known: HashMap::new(), functions: FunctionBuilderContext::new(), digest: DefaultHasher::new() }
    }

    /// A function with the signature of [`Function`].
    fn declare(&mut self) -> Result<(FuncId, Signature), String> {
        let name = format!("kernel_{}", self.known.len());
        let module = self.module.get();
        let pointer = module.target_config().pointer_type();
        let mut signature = module.make_signature();
        signature.params.extend([pointer, pointer, types::I64, types::I64].map(AbiParam::new));
        let id = module.declare_function(&name, Linkage::Local, &signature).map_err(|e| e.to_string())?;
        Ok((id, signature))
    }

    /// `None` for a kernel that the wide emitter leaves to the portable one.
    fn add_wide(&mut self, kernel: &TileKernel, isa: Isa) -> Result<Option<FuncId>, String> {
        let key = (isa.lanes(), kernel.clone());
        if let Some(&id) = self.known.get(&key) {
            return Ok(Some(id));
        }
        let Ok(bytes) = wide::emit(kernel, isa) else { return Ok(None) };
        let (id, _) = self.declare()?;
        let module = self.module.get();
        module.define_function_bytes(id, 64, &bytes, &[]).map_err(|e| e.to_string())?;
        self.digest.write(&bytes);
        self.known.insert(key, id);
        Ok(Some(id))
    }

    fn add(&mut self, kernel: &TileKernel) -> Result<FuncId, String> {
        let key = (emit::WIDTH, kernel.clone());
        if let Some(&id) = self.known.get(&key) {
            return Ok(id);
        }
        let (id, signature) = self.declare()?;
        let module = self.module.get();
        let target = module.target_config();
        let mut context = module.make_context();
        context.func.signature = signature;
        emit(kernel, &mut context.func, &mut self.functions, target);
        module
            .define_function_with_control_plane(id, &mut context, &mut ControlPlane::default())
            .map_err(|e| format!("{e:?}"))?;
        let compiled = context.compiled_code().ok_or("a function without code")?;
        self.digest.write(compiled.code_buffer());
        self.known.insert(key, id);
        Ok(id)
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::{Address, Base, Class, Reg, TileBuilder};
    use bayeslift_ir::{
        Graph, Tensor,
        arbitrary::{config, graph_and_inputs},
        evaluate, same_bits,
    };
    use bayeslift_passes::Place;
    use proptest::prelude::*;

    /// What `code` gives, for graphs that update no input.
    fn run(code: &Code, plan: &Plan, inputs: &[Tensor]) -> Vec<Tensor> {
        let mut inputs: Vec<Vec<u32>> = inputs.iter().map(Tensor::words).collect();
        let types: Vec<_> = plan.graph.outputs().iter().map(|output| plan.graph.ty(output.value)).collect();
        let mut outputs: Vec<Vec<u32>> = types.iter().map(|ty| vec![0; ty.shape.elements()]).collect();
        let mut arena = vec![0u32; plan.arena_bytes / 4];
        let mut scratch = vec![0u32; code.scratch_bytes() / 4];
        let mut shared = vec![0u32; code.shared_bytes() / 4];
        for stage in code.stages() {
            let pointers: Vec<*mut u8> = stage
                .arguments
                .iter()
                .map(|argument| match argument {
                    Argument::Place(Place::Input(i)) => inputs[*i].as_mut_ptr().cast(),
                    Argument::Place(Place::Output(i)) => outputs[*i].as_mut_ptr().cast(),
                    Argument::Place(Place::Arena(offset)) => arena[offset / 4..].as_mut_ptr().cast(),
                    Argument::Shared => shared.as_mut_ptr().cast(),
                    Argument::Words(words) => words.as_ptr().cast_mut().cast(),
                })
                .collect();
            // SAFETY: every pointer is that of the value the plan has at its place.
            unsafe { (stage.function)(pointers.as_ptr(), scratch.as_mut_ptr().cast(), 0, stage.tiles as i64) };
        }
        types.into_iter().zip(outputs).map(|(ty, words)| Tensor::from_words(ty, words).unwrap()).collect()
    }

    /// Accesses of which some lanes lie within 2 GiB of the pointer and some beyond, on both sides; where a kernel cannot be wide, it is not.
    #[test]
    fn offsets_around_two_gibibytes_are_right() {
        const BORDER: i64 = 1 << 29;
        type Load = fn(&mut TileBuilder, Address, i64) -> Vec<Reg>;
        let loads: [Load; 2] = [
            |b, from, stride| vec![b.load_strided(Class::Int, from, stride)],
            |b, from, stride| b.load_transposed(Class::Int, from, stride).to_vec(),
        ];
        let widths = [Some(Isa::Avx512), Some(Isa::Avx2), None].into_iter();
        let widths: Vec<_> = widths.filter(|isa| isa.is_none_or(Isa::is_supported)).collect();
        for (part, offset) in (1..=4).flat_map(|part| (-6..6).map(move |offset| (part, offset))) {
            for (load, border, stride) in loads.iter().flat_map(|load| {
                [BORDER, -BORDER].into_iter().flat_map(move |border| [1, 7].map(move |stride| (load, border, stride)))
            }) {
                let mut b = TileBuilder::new();
                let (begin, end) = b.tile_range();
                let memory = |argument, index, offset| Address { base: Base::Argument(argument), index, offset };
                (b.vector, b.part) = (true, Some(part));
                let rows = load(&mut b, memory(0, begin, border + offset), stride);
                for (i, &row) in (0..).zip(&rows) {
                    b.store(memory(1, end, border + offset + i * 4), row);
                }
                let kernel = b.finish(2, 0);
                let input: Vec<u32> = (100..164).collect();
                for isa in &widths {
                    let native = cranelift_native::builder().unwrap().finish(flags().unwrap()).unwrap();
                    if isa.is_none() && !has_vectors(&*native) {
                        continue;
                    }
                    let mut linker = Linker::new(native);
                    let wide = isa.and_then(|isa| linker.add_wide(&kernel, isa).unwrap());
                    let id = wide.unwrap_or_else(|| linker.add(&kernel).unwrap());
                    let module = linker.module.get();
                    module.finalize_definitions().unwrap();
                    // SAFETY: it was defined with this signature.
                    let function =
                        unsafe { std::mem::transmute::<*const u8, Function>(module.get_finalized_function(id)) };
                    let mut input = input.clone();
                    let mut output = vec![0_u32; 64];
                    let pointers = [input.as_mut_ptr().cast::<u8>(), output.as_mut_ptr().cast()];
                    // SAFETY: the indices bring all accesses to elements 16 to 64 of memory that has as many.
                    unsafe { function(pointers.as_ptr(), std::ptr::null_mut(), 16 - border, 16 - border) };
                    let mut want = vec![0_u32; 64];
                    for row in 0..rows.len() as i64 {
                        for lane in 0..i64::from(part) {
                            let from = 16 + offset + lane * stride + row;
                            want[(16 + offset + row * 4 + lane) as usize] = input[from as usize];
                        }
                    }
                    assert_eq!(
                        output, want,
                        "{isa:?}, {part} lanes from {border} + {offset}, {stride} apart:\n{kernel}"
                    );
                }
            }
        }
    }

    /// The same bits on a machine of which nothing is known but its architecture: on x86-64 one that has no fused
    /// multiply-add and no rounding to whole numbers.
    #[test]
    fn the_poorest_machine_gives_the_same_bits() {
        let isa = || cranelift_native::builder_with_options(false).unwrap();
        if cfg!(target_arch = "x86_64") {
            assert!(!has_vectors(&*isa().finish(flags().unwrap()).unwrap()), "comparisons trap on unaligned operands");
        }
        proptest!(config(60),
            |((graph, inputs) in graph_and_inputs(), width in prop_oneof![Just(1), Just(4)])| {
            let mut plain = Graph::new();
            for value in graph.values() {
                match graph.node(value).op {
                    bayeslift_ir::Op::Input(i) => {
                        plain.input(&graph.inputs()[i as usize].name, graph.ty(value).clone()).unwrap()
                    }
                    _ => plain.push(graph.node(value).op.clone(), &graph.node(value).args).unwrap(),
                };
            }
            for output in graph.outputs() {
                plain.output(&output.name, output.value).unwrap();
            }
            let want = evaluate(&plain, &inputs).unwrap();
            let plan = Plan::new(plain).unwrap();
            let code = Code::compile_for(isa(), &plan, width, 1).unwrap();
            for (got, want) in run(&code, &plan, &inputs).iter().zip(&want) {
                prop_assert_eq!(same_bits(got, want), Ok(()));
            }
        });
    }
}
