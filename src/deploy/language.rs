//! What a package has its functions in: the machine code of an object, or C.

use super::{DeployOptions, System, Weights, prototypes::Prototype};
use crate::Error;
use bayeslift_codegen::{
    KernelTable, Program,
    emit::{MachineCode, Placement, c::CKernel},
    link::{
        c::{self, c},
        object::object,
    },
    routine::Assembly,
};
use bayeslift_passes::{Place, Rewritten};
use bayeslift_runtime::Options;

/// What a program is linked into.
#[derive(Debug)]
pub struct Linked {
    /// The file.
    pub bytes: Vec<u8>,
    /// How much of the stack a call takes at most; of C its compiler knows.
    pub stack_bytes: Option<u64>,
    /// The size of its functions; of C its compiler knows.
    pub code_bytes: Option<u64>,
}

/// What kernels are emitted as, and linked into.
pub trait Language {
    /// What a kernel becomes.
    type Function;

    /// The kernels of a graph.
    fn emit(&self, options: &Options, graph: &Rewritten) -> Result<Program<Self::Function>, Error>;

    /// The file of a program with these functions for others, beside those that only it calls.
    fn link(
        &self,
        assembly: &Assembly<Self::Function>,
        options: &DeployOptions,
        system: &System,
        prototypes: &[Prototype],
    ) -> Result<Linked, Error>;
}

/// Objects.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Language for Machine {
    type Function = MachineCode;

    fn emit(&self, options: &Options, graph: &Rewritten) -> Result<Program<MachineCode>, Error> {
        Ok(options.emit(graph, Placement::Object)?)
    }

    fn link(
        &self,
        assembly: &Assembly<MachineCode>,
        options: &DeployOptions,
        system: &System,
        _: &[Prototype],
    ) -> Result<Linked, Error> {
        let linked = object(assembly, &options.name, system).map_err(bayeslift_runtime::Error::from)?;
        let (stack_bytes, code_bytes) = (Some(linked.stack_bytes), Some(linked.code_bytes));
        Ok(Linked { bytes: linked.bytes, stack_bytes, code_bytes })
    }
}

/// C99.
#[derive(Clone, Copy, Debug)]
pub struct C;

impl Language for C {
    type Function = CKernel;

    fn emit(&self, options: &Options, graph: &Rewritten) -> Result<Program<CKernel>, Error> {
        let Program { table, functions } = options.lower_optimized(graph)?;
        let functions = functions.into_iter().enumerate();
        let functions = functions.map(|(i, kernel)| CKernel { kernel, about: about(&table, i) }).collect();
        Ok(Program { table, functions })
    }

    fn link(
        &self,
        assembly: &Assembly<CKernel>,
        options: &DeployOptions,
        system: &System,
        prototypes: &[Prototype],
    ) -> Result<Linked, Error> {
        let about = format!(
            "A network, compiled by Bayeslift {} for {system}: see {}.h.\n * A kernel is a function that computes \
             something of a block of rows and samples; a routine calls others.",
            env!("CARGO_PKG_VERSION"),
            options.name
        );
        let given = c::Options {
            prefix: &options.name,
            about: &about,
            signatures: prototypes.iter().map(|of| (of.name.clone(), of.signature.clone())).collect(),
            data: if options.weights == Weights::Included { c::Data::Included } else { c::Data::Text },
        };
        let text = c(assembly, &given).map_err(bayeslift_runtime::Error::from)?;
        Ok(Linked { bytes: text.into_bytes(), stack_bytes: None, code_bytes: None })
    }
}

/// What a function of a table does: what its kernel computes, by which fusions, and of which named inputs.
fn about(table: &KernelTable, symbol: usize) -> String {
    let Some(stage) = table.stages.iter().find(|stage| stage.symbol.0 == symbol) else { return String::new() };
    let kernel = &table.kernels[stage.kernel];
    let mut text = kernel.name.clone();
    if table.stages.iter().rfind(|other| other.kernel == stage.kernel).is_some_and(|last| last.symbol.0 != symbol) {
        text.push_str(": packs operands");
    }
    if !kernel.labels.is_empty() {
        text = format!("{text}; {}", kernel.labels.join(", "));
    }
    let mut inputs: Vec<&str> = Vec::new();
    for touch in &stage.touches {
        if let Some(Place::Input(i)) = touch.place
            && !touch.writes
            && !inputs.contains(&table.inputs[i].name.as_str())
        {
            inputs.push(&table.inputs[i].name);
        }
    }
    if inputs.is_empty() { text } else { format!("{text}.\n * Reads {}", inputs.join(", ")) }
}
