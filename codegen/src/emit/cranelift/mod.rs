//! Tile IR to machine code by Cranelift, for vectors of four elements or scalars.
//!
//! Facts about Cranelift that shape this file: `fmin`/`fmax` lower to long sequences, so maxima come as compare and
//! select; fused multiply-adds need the `has_fma` flag; a load is folded into its user only if nothing with a side
//! effect lies between, so loads stand right before their users; loops are not rotated, so they test at the end.

mod fill;
mod isa;
#[cfg(feature = "deploy")]
mod routine;
#[cfg(feature = "deploy")]
mod software;

use super::{Emitter, MachineCode, Placement, Refusal, check};
use crate::{Error, Target, tile::*};
use cranelift::codegen::{
    CompiledCode, Context, FinalizedMachReloc, FinalizedRelocTarget,
    binemit::{Addend, CodeOffset, Reloc},
    control::ControlPlane,
    ir::{ExternalName, LibCall},
    isa::OwnedTargetIsa,
};
use cranelift::prelude::FunctionBuilderContext;
#[cfg(feature = "deploy")]
pub(crate) use isa::isa_of_system;
pub(crate) use isa::{native, signature};
#[cfg(feature = "deploy")]
pub(crate) use routine::{Names, fill_routine, routine_signature};
#[cfg(feature = "deploy")]
pub(crate) use software::{fill_software, software_signature};

/// Optimizing puts each value before what reads it, so that chains of operations that were side by side come one behind
/// the other. Where `LOOK_AHEAD` statements follow each other, the machine does not look so far ahead as to begin the
/// next chain. Kernels of doubles alone are that long: the statistics of many samples.
const LOOK_AHEAD: usize = 256;

/// Emits through Cranelift.
pub(super) struct Cranelift {
    target: Target,
    isa: OwnedTargetIsa,
    /// The same, with statements in the order in which they are.
    in_order: OwnedTargetIsa,
    context: Context,
    functions: FunctionBuilderContext,
}

/// How many statements follow each other at most, without a loop between them.
fn longest(stmts: &[Stmt]) -> usize {
    let loops =
        stmts.iter().filter_map(|stmt| if let Stmt::Loop { body, .. } = stmt { Some(longest(body)) } else { None });
    loops.fold(stmts.len(), usize::max)
}

/// A place in code that the linker fills in.
#[derive(Clone, Debug)]
pub(crate) struct Relocation {
    pub offset: CodeOffset,
    pub kind: Reloc,
    pub target: Relocated,
    pub addend: Addend,
}

/// What a [`Relocation`] refers to.
#[derive(Clone, Debug)]
pub(crate) enum Relocated {
    /// A function that stands in for an instruction that the machine lacks.
    LibraryCall(LibCall),
    /// A place in the same function.
    Here(CodeOffset),
}

impl Cranelift {
    pub fn new(target: Target, placement: Placement) -> Result<Cranelift, Error> {
        let [isa, in_order] = [isa::isa_of(target, "speed", placement)?, isa::isa_of(target, "none", placement)?];
        Ok(Cranelift { target, isa, in_order, context: Context::new(), functions: FunctionBuilderContext::new() })
    }
}

impl Emitter for Cranelift {
    fn target(&self) -> Target {
        self.target
    }

    fn emit(&mut self, kernel: &TileKernel) -> Result<MachineCode, Refusal> {
        check(kernel, self.target)?;
        let has_doubles = kernel.regs.iter().any(|reg| reg.class == Class::Double);
        let stays_in_order = has_doubles && longest(&kernel.body) > LOOK_AHEAD;
        let Cranelift { isa, in_order, context, functions, .. } = self;
        let isa = if stays_in_order { in_order } else { isa };
        context.clear();
        context.func.signature = signature(&**isa, isa.default_call_conv());
        fill::fill(kernel, &mut context.func, functions, isa.frontend_config());
        let code =
            context.compile(&**isa, &mut ControlPlane::default()).map_err(|error| Refusal(format!("{error:?}")))?;
        let relocation = |reloc: &FinalizedMachReloc| {
            let target = match &reloc.target {
                FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) => Relocated::LibraryCall(*call),
                FinalizedRelocTarget::Func(offset) => Relocated::Here(*offset),
                FinalizedRelocTarget::ExternalName(name) => return Err(Refusal(format!("it refers to {name:?}"))),
            };
            Ok(Relocation { offset: reloc.offset, kind: reloc.kind, target, addend: reloc.addend })
        };
        Ok(MachineCode {
            target: self.target,
            bytes: code.code_buffer().to_vec(),
            alignment: u64::from(code.buffer.alignment),
            relocations: code.buffer.relocs().iter().map(relocation).collect::<Result<_, _>>()?,
            stack_bytes: stack_bytes(code),
        })
    }
}

/// How much of the stack a function takes itself, with what its caller and its first instructions put there.
pub(crate) fn stack_bytes(code: &CompiledCode) -> u64 {
    /// The return address, the caller's frame pointer, and what aligns them.
    const SETUP: u64 = 32;
    code.buffer.frame_layout().map_or(0, |layout| u64::from(layout.frame_to_fp_offset)) + SETUP
}
