//! Linking tile kernels into executable memory.

use crate::{
    emit::emit,
    lower::{Argument, Lowered, lower},
    tile::TileKernel,
};
use bayeslift_passes::Plan;
use cranelift::codegen::{control::ControlPlane, isa::OwnedTargetIsa, settings};
use cranelift::prelude::{AbiParam, Configurable, FunctionBuilderContext, types};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use std::collections::HashMap;

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

/// A kernel in executable memory.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// Its code. Valid as long as the [`Code`] it came from.
    pub function: Function,
    /// What to call it with.
    pub arguments: Vec<Argument>,
    /// How many tiles it has.
    pub tiles: usize,
    /// A rough number of vector operations in all.
    pub cost: usize,
}

/// Compiled kernels, in the order they run, and the memory they lie in, which is freed with this.
pub struct Code {
    module: Option<JITModule>,
    kernels: Vec<CompiledKernel>,
    scratch_bytes: usize,
}

// SAFETY: after linking, the module is only kept to be freed; nothing is called through it, and the code it holds
// is read-only.
unsafe impl Sync for Code {}

impl Code {
    /// Compiles every kernel of a plan for vectors of `width` elements: 1, or 4 where the machine has them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn compile(plan: &Plan, width: usize) -> Result<Code, Error> {
        let isa = native_isa()?;
        let lowered: Vec<Lowered> = plan.kernels.iter().map(|kernel| lower(plan, kernel, width)).collect();
        let mut linker = Linker::new(isa)?;
        let mut ids = Vec::with_capacity(lowered.len());
        for (i, kernel) in lowered.iter().enumerate() {
            let id = linker.add(&kernel.code).map_err(|message| {
                let (rows, cols) = (plan.kernels[i].rows, plan.kernels[i].cols);
                Error::Kernel { kernel: i, rows, cols, message }
            })?;
            ids.push(id);
        }
        let mut module = linker.module;
        module.finalize_definitions().map_err(|error| Error::NoExecutableMemory(error.to_string()))?;
        let kernels = lowered.iter().zip(ids).map(|(kernel, id)| {
            let address = module.get_finalized_function(id);
            CompiledKernel {
                // SAFETY: the function was defined with exactly this signature by `Linker::add`.
                function: unsafe { std::mem::transmute::<*const u8, Function>(address) },
                arguments: kernel.arguments.clone(),
                tiles: kernel.tiles,
                cost: kernel.cost,
            }
        });
        let kernels = kernels.collect();
        let scratch_bytes = lowered.iter().map(|kernel| kernel.code.scratch_bytes).max().unwrap_or(0);
        Ok(Code { module: Some(module), kernels, scratch_bytes })
    }

    /// The kernels, in the order they run.
    pub fn kernels(&self) -> &[CompiledKernel] {
        &self.kernels
    }

    /// How much scratch memory each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: kernels are called by executables that own this; none can be running or be called later.
            unsafe { module.free_memory() };
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} kernels)", self.kernels.len())
    }
}

fn native_isa() -> Result<OwnedTargetIsa, Error> {
    let unsupported = |error: &dyn std::fmt::Display| Error::UnsupportedMachine(error.to_string());
    let mut flags = settings::builder();
    let options = [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_probestack", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(|error| unsupported(&error))?;
    }
    let builder = cranelift_native::builder().map_err(|error| unsupported(&error))?;
    builder.finish(settings::Flags::new(flags)).map_err(|error| unsupported(&error))
}

/// Enough address space for the code of any plan, so that relative calls always reach.
const CODE_SPACE: usize = 1 << 30;

struct Linker {
    module: JITModule,
    /// Equal kernels are compiled once.
    known: HashMap<TileKernel, FuncId>,
    functions: FunctionBuilderContext,
}

impl Linker {
    fn new(isa: OwnedTargetIsa) -> Result<Linker, Error> {
        let memory =
            ArenaMemoryProvider::new_with_size(CODE_SPACE).map_err(|e| Error::NoExecutableMemory(e.to_string()))?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.memory_provider(Box::new(memory));
        Ok(Linker { module: JITModule::new(builder), known: HashMap::new(), functions: FunctionBuilderContext::new() })
    }

    fn add(&mut self, kernel: &TileKernel) -> Result<FuncId, String> {
        if let Some(&id) = self.known.get(kernel) {
            return Ok(id);
        }
        let target = self.module.target_config();
        let pointer = target.pointer_type();
        let mut context = self.module.make_context();
        let params = [pointer, pointer, types::I64, types::I64];
        context.func.signature.params.extend(params.map(AbiParam::new));
        emit(kernel, &mut context.func, &mut self.functions, target);
        let name = format!("kernel_{}", self.known.len());
        let signature = context.func.signature.clone();
        let id = self.module.declare_function(&name, Linkage::Local, &signature).map_err(|e| e.to_string())?;
        self.module
            .define_function_with_control_plane(id, &mut context, &mut ControlPlane::default())
            .map_err(|e| format!("{e:?}"))?;
        self.known.insert(kernel.clone(), id);
        Ok(id)
    }
}
