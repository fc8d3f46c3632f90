//! Cranelift's descriptions of targets.

use super::super::Placement;
use crate::{Architecture, Error, InstructionSet, Target};
use cranelift::codegen::{
    ir::types,
    isa::{self, CallConv, OwnedTargetIsa, TargetIsa},
    settings,
};
use cranelift::prelude::{AbiParam, Configurable, Signature};

/// The signature of kernels.
pub(crate) fn signature(isa: &dyn TargetIsa, convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    let pointer = isa.pointer_type();
    signature.params.extend([pointer, pointer, types::I64, types::I64].map(AbiParam::new));
    signature
}

/// Cranelift's description of this machine: what else it has is of no matter to the linker.
pub(crate) fn native() -> Result<OwnedTargetIsa, Error> {
    isa_of(Target::host(), "speed", Placement::Memory)
}

/// Cranelift's description of a target.
pub(super) fn isa_of(target: Target, opt_level: &str, placement: Placement) -> Result<OwnedTargetIsa, Error> {
    let machine = target.machine();
    let is_here = machine.architecture == Target::host().machine().architecture;
    let mut builder = if is_here && placement == Placement::Memory {
        // of this system, whose calling convention is not that of others
        cranelift_native::builder_with_options(target.is_host()).map_err(unsupported)?
    } else {
        // of no system, so that functions call each other in the same way on all
        isa::lookup_by_name(machine.architecture.name()).map_err(unsupported)?
    };
    if !target.is_host() && machine.architecture == Architecture::X86_64 {
        // scalars too are computed by these instructions
        let sse = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42"].into_iter().filter(|_| machine.rounds);
        let has_avx = machine.instruction_set > InstructionSet::Scalar;
        let flags = sse.chain(has_avx.then_some("has_avx")).chain(machine.fuses.then_some("has_fma"));
        flags.into_iter().try_for_each(|flag| builder.enable(flag)).map_err(unsupported)?;
    }
    builder.finish(flags(opt_level, placement)?).map_err(unsupported)
}

/// Cranelift's description of a system that an object is for.
#[cfg(feature = "deploy")]
pub(crate) fn isa_of_system(system: &crate::System) -> Result<OwnedTargetIsa, Error> {
    let builder = isa::lookup(system.triple().clone()).map_err(unsupported)?;
    builder.finish(flags("speed", Placement::Object)?).map_err(unsupported)
}

fn flags(opt_level: &str, placement: Placement) -> Result<settings::Flags, Error> {
    let mut flags = settings::builder();
    let (in_memory, in_object) = match placement {
        Placement::Memory => ("true", "false"),
        Placement::Object => ("false", "true"),
    };
    let options = [
        ("opt_level", opt_level),
        // An object has all that its functions call and read, near them: no table of addresses lies between. That is
        // what tables would be asked for by `is_pic`.
        ("is_pic", "false"),
        ("use_colocated_libcalls", in_object),
        // A frame of spilled registers may be larger than the guard page of a stack. Who links an object knows how
        // large its stack has to be.
        ("enable_probestack", in_memory),
        ("probestack_strategy", "inline"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(unsupported)?;
    }
    Ok(settings::Flags::new(flags))
}

fn unsupported(error: impl std::fmt::Display) -> Error {
    Error::UnsupportedMachine(error.to_string())
}
