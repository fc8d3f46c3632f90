//! Linking programs into relocatable objects: ELF, Mach-O, or COFF.
//!
//! An object refers to nothing outside of it and may lie anywhere: instructions that a machine lacks are functions in
//! it, data are read-only. Its own functions call each other by the convention of System V on every system; only those
//! that have a name follow the system's.

use super::processor;
use crate::emit::{
    MachineCode, Names, Relocated, Relocation, fill_routine, fill_software, isa_of_system, routine_signature,
    signature, software_signature, stack_bytes,
};
use crate::routine::{Assembly, Callee, Routine, Statement, Width};
use crate::{Error, System};
use cranelift::codegen::{
    Context,
    binemit::Reloc,
    control::ControlPlane,
    ir::{FuncRef, Function, GlobalValue, LibCall},
    isa::CallConv,
};
use cranelift::prelude::FunctionBuilderContext;
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module, ModuleError, ModuleReloc, ModuleRelocTarget};
use cranelift_object::{ObjectBuilder, ObjectModule};
use std::collections::HashMap;

/// An object file, and what it takes.
#[derive(Clone, Debug)]
pub struct Object {
    /// The file.
    pub bytes: Vec<u8>,
    /// How much of the stack a call of one of its functions takes at most.
    pub stack_bytes: u64,
    /// The size of its functions, their constants included.
    pub code_bytes: u64,
}

/// How functions of an object call each other.
const CONVENTION: CallConv = CallConv::SystemV;
/// What data are aligned to.
const LINE: u64 = 64;

/// Links a program. Its local symbols begin with `prefix`, so that people find them.
///
/// # Errors
/// A kernel that is not for this system's architecture; what the code generator refuses.
pub fn object(assembly: &Assembly<MachineCode>, prefix: &str, system: &System) -> Result<Object, Error> {
    let isa = isa_of_system(system)?;
    let names = cranelift_module::default_libcall_names();
    let builder = ObjectBuilder::new(isa, prefix, names).map_err(refused)?;
    let mut linker = Linker {
        module: ObjectModule::new(builder),
        system,
        prefix,
        context: Context::new(),
        functions: FunctionBuilderContext::new(),
        software: HashMap::new(),
        processor: HashMap::new(),
        kernels: Vec::with_capacity(assembly.kernels.len()),
        routines: Vec::with_capacity(assembly.routines.len()),
        code_bytes: 0,
    };
    for kernel in &assembly.kernels {
        linker.kernel(kernel)?;
    }
    let data = linker.data(&assembly.data)?;
    for routine in &assembly.routines {
        linker.routine(routine, data)?;
    }
    let stack_bytes = linker.routines.iter().map(|(_, stack)| *stack).max().unwrap_or(0);
    let Linker { module, code_bytes, .. } = linker;
    let bytes = module.finish().emit().map_err(|error| Error::Object(error.to_string()))?;
    Ok(Object { bytes, stack_bytes, code_bytes })
}

struct Linker<'a> {
    module: ObjectModule,
    system: &'a System,
    prefix: &'a str,
    context: Context,
    functions: FunctionBuilderContext,
    /// Stand-ins for instructions.
    software: HashMap<LibCall, FuncId>,
    processor: HashMap<Callee, FuncId>,
    /// Kernels and routines, and how much of the stack each takes with all that it calls.
    kernels: Vec<(FuncId, u64)>,
    routines: Vec<(FuncId, u64)>,
    code_bytes: u64,
}

impl Linker<'_> {
    fn kernel(&mut self, code: &MachineCode) -> Result<(), Error> {
        /// What a function takes that stands in for an instruction.
        const SOFTWARE: u64 = 256;
        let is_foreign = code.target.machine().architecture != self.system.architecture();
        if is_foreign {
            return Err(Error::ForeignTarget { target: code.target });
        }
        let name = format!("{}_kernel_{}", self.prefix, self.kernels.len());
        let signature = signature(self.module.isa(), CONVENTION);
        let id = self.module.declare_function(&name, Linkage::Local, &signature).map_err(refused)?;
        let mut relocations = Vec::with_capacity(code.relocations.len());
        let mut calls = false;
        for Relocation { offset, kind, target, addend } in &code.relocations {
            let name = match *target {
                Relocated::LibraryCall(call) => {
                    calls = true;
                    ModuleRelocTarget::from(self.software(call)?)
                }
                Relocated::Here(offset) => ModuleRelocTarget::FunctionOffset(id, offset),
            };
            relocations.push(ModuleReloc { offset: *offset, kind: *kind, name, addend: *addend });
        }
        self.module.define_function_bytes(id, code.alignment, &code.bytes, &relocations).map_err(refused)?;
        self.code_bytes += code.bytes.len() as u64;
        self.kernels.push((id, code.stack_bytes + if calls { SOFTWARE } else { 0 }));
        Ok(())
    }

    /// The function that stands in for an instruction.
    fn software(&mut self, call: LibCall) -> Result<FuncId, Error> {
        if let Some(&id) = self.software.get(&call) {
            return Ok(id);
        }
        let signature =
            software_signature(call, CONVENTION).ok_or_else(|| Error::Object(format!("it would call {call}")))?;
        let name = format!("{}_{call}", self.prefix);
        let id = self.module.declare_function(&name, Linkage::Local, &signature).map_err(refused)?;
        self.context.clear();
        self.context.func.signature = signature;
        let target = self.module.isa().frontend_config();
        fill_software(call, &mut self.context.func, &mut self.functions, target);
        self.define(id)?;
        self.software.insert(call, id);
        Ok(id)
    }

    /// Compiles the function that is in the context. Returns how much of the stack it takes by itself.
    fn define(&mut self, id: FuncId) -> Result<u64, Error> {
        let compiled = self.context.compile(self.module.isa(), &mut ControlPlane::default());
        let code = compiled.map_err(|error| Error::Object(format!("{:?}", error.inner)))?;
        let (stack_bytes, alignment, bytes) =
            (stack_bytes(code), u64::from(code.buffer.alignment), code.code_buffer().to_vec());
        let relocations = code.buffer.relocs().iter().map(|reloc| (reloc.clone(), reloc.kind)).collect::<Vec<_>>();
        let relocations = relocations.into_iter().map(|(reloc, kind)| {
            let mut relocation = ModuleReloc::from_mach_reloc(&reloc, &self.context.func, id);
            // Cranelift takes what is near for a function; Mach-O tells data from these
            let is_data = matches!(relocation.name, ModuleRelocTarget::User { namespace: 1, .. });
            relocation.kind = if is_data && kind == Reloc::X86CallPCRel4 { Reloc::X86PCRel4 } else { kind };
            relocation
        });
        let relocations: Vec<ModuleReloc> = relocations.collect();
        self.module.define_function_bytes(id, alignment, &bytes, &relocations).map_err(refused)?;
        self.code_bytes += bytes.len() as u64;
        Ok(stack_bytes)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<DataId, Error> {
        let name = format!("{}_data", self.prefix);
        let id = self.module.declare_data(&name, Linkage::Local, false, false).map_err(refused)?;
        let mut data = DataDescription::new();
        // an empty one has no address of its own
        let bytes = if bytes.is_empty() { vec![0] } else { bytes.to_vec() };
        data.define(bytes.into_boxed_slice());
        data.set_align(LINE);
        self.module.define_data(id, &data).map_err(refused)?;
        Ok(id)
    }

    fn routine(&mut self, routine: &Routine, data: DataId) -> Result<(), Error> {
        let number = self.routines.len();
        for callee in [Callee::ReadEnvironment, Callee::WriteEnvironment, Callee::Level] {
            if calls(&routine.body, callee) {
                self.ask_processor(callee)?;
            }
        }
        let convention = match routine.name {
            Some(_) => self.module.isa().default_call_conv(),
            None => CONVENTION,
        };
        let signature = routine_signature(&routine.parameters, routine.result, convention);
        let (name, linkage) = match &routine.name {
            Some(name) => (name.clone(), Linkage::Export),
            None => (format!("{}_routine_{number}", self.prefix), Linkage::Local),
        };
        let id = self.module.declare_function(&name, linkage, &signature).map_err(refused)?;
        self.context.clear();
        self.context.func.signature = signature;
        let target = self.module.isa().frontend_config();
        let mut names = Outside {
            module: &mut self.module,
            data,
            kernels: &self.kernels,
            routines: &self.routines,
            processor: &self.processor,
            deepest: 0,
            global: None,
            known: HashMap::new(),
        };
        fill_routine(routine, &mut self.context.func, &mut self.functions, target, &mut names);
        let deepest = names.deepest;
        let own = self.define(id)?;
        self.routines.push((id, own + deepest));
        Ok(())
    }

    fn ask_processor(&mut self, callee: Callee) -> Result<(), Error> {
        if self.processor.contains_key(&callee) {
            return Ok(());
        }
        let bytes = processor::code(callee, self.system.architecture());
        let bytes = bytes.ok_or_else(|| Error::Object(format!("{} has no {callee:?}", self.system)))?;
        let name = format!("{}_{callee:?}", self.prefix);
        let parameters: &[Width] = if callee == Callee::WriteEnvironment { &[Width::Long] } else { &[] };
        let signature = routine_signature(parameters, Width::Long, CONVENTION);
        let id = self.module.declare_function(&name, Linkage::Local, &signature).map_err(refused)?;
        self.module.define_function_bytes(id, 16, &bytes, &[]).map_err(refused)?;
        self.code_bytes += bytes.len() as u64;
        self.processor.insert(callee, id);
        Ok(())
    }
}

fn calls(statements: &[Statement], callee: Callee) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Call(other, ..) => *other == callee,
        Statement::If(_, body, other) => calls(body, callee) || calls(other, callee),
        Statement::While(_, body) => calls(body, callee),
        Statement::Set(..) | Statement::Store(..) | Statement::Point(..) => false,
        Statement::Launch { .. } | Statement::Return(_) => false,
    })
}

/// What a routine refers to, and the most of the stack that something of it takes.
struct Outside<'a> {
    module: &'a mut ObjectModule,
    data: DataId,
    kernels: &'a [(FuncId, u64)],
    routines: &'a [(FuncId, u64)],
    processor: &'a HashMap<Callee, FuncId>,
    deepest: u64,
    global: Option<GlobalValue>,
    known: HashMap<FuncId, FuncRef>,
}

impl Outside<'_> {
    fn function(&mut self, (id, stack): (FuncId, u64), function: &mut Function) -> FuncRef {
        self.deepest = self.deepest.max(stack);
        let module = &mut *self.module;
        *self.known.entry(id).or_insert_with(|| module.declare_func_in_func(id, function))
    }
}

impl Names for Outside<'_> {
    fn kernel(&mut self, number: usize, function: &mut Function) -> FuncRef {
        self.function(self.kernels[number], function)
    }

    fn callee(&mut self, callee: Callee, function: &mut Function) -> FuncRef {
        /// What a function of a few bytes takes.
        const FEW: u64 = 32;
        let found = match callee {
            Callee::Routine(number) => self.routines[number],
            _ => (self.processor[&callee], FEW),
        };
        self.function(found, function)
    }

    fn data(&mut self, function: &mut Function) -> GlobalValue {
        let module = &mut *self.module;
        *self.global.get_or_insert_with(|| module.declare_data_in_func(self.data, function))
    }
}

fn refused(error: ModuleError) -> Error {
    Error::Object(super::chain(&error))
}
