//! Tile kernels to machine code.
//!
//! An [`Emitter`] takes kernels that were lowered for its [`Target`]. It may refuse one; then the kernel of the plan
//! goes, as a whole, to the next emitter of the list, lowered anew for that, with the same bits.

#[cfg(feature = "deploy")]
pub mod c;
mod cranelift;
pub mod x86;

use crate::{
    Architecture, Error, InstructionSet, Target,
    tile::{Class, TileKernel, verify_for},
};
#[cfg(feature = "deploy")]
pub(crate) use cranelift::{
    Names, fill_routine, fill_software, isa_of_system, routine_signature, software_signature, stack_bytes,
};
pub(crate) use cranelift::{Relocated, Relocation, native, signature};

/// What code is made of one tile kernel: a function of the signature [`Function`](crate::link::jit::Function).
#[derive(Clone, Debug)]
pub struct MachineCode {
    /// What it runs on.
    pub(crate) target: Target,
    /// The code, and the constants that it reads.
    pub(crate) bytes: Vec<u8>,
    /// Where it may lie: at multiples of this.
    pub(crate) alignment: u64,
    /// What the linker fills in.
    pub(crate) relocations: Vec<Relocation>,
    /// How much of the stack it takes at most.
    #[cfg_attr(not(feature = "deploy"), expect(dead_code, reason = "objects tell it"))]
    pub(crate) stack_bytes: u64,
}

/// Where code is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In this program's memory.
    Memory,
    /// In an object that is linked elsewhere: at any address, with all that it calls.
    Object,
}

impl MachineCode {
    /// The code, and the constants that it reads, before it is linked.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why an emitter leaves a kernel to the next one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Makes machine code of tile kernels.
pub trait Emitter {
    /// What kernels have to be lowered for.
    fn target(&self) -> Target;

    /// The code of a kernel: the same for the same kernel.
    ///
    /// # Errors
    /// A kernel that is left to the next emitter.
    fn emit(&mut self, kernel: &TileKernel) -> Result<MachineCode, Refusal>;
}

/// Refuses what is no code for the lanes of a target.
fn check(kernel: &TileKernel, target: Target) -> Result<(), Refusal> {
    let of_doubles = target.of_doubles().lanes();
    // Cranelift takes scalars of doubles beside its vectors
    let lanes = if kernel.has_doubles() && of_doubles > 1 { of_doubles } else { target.lanes() };
    let has_vectors =
        |doubles: bool| kernel.regs.iter().any(|reg| reg.vector && (!doubles || reg.class == Class::Double));
    if lanes == 1 && has_vectors(false) {
        return Err(Refusal(format!("it has vectors, and {target} has none")));
    }
    if of_doubles == 1 && has_vectors(true) {
        return Err(Refusal(format!("it has vectors of doubles, and {target} has none")));
    }
    verify_for(kernel, lanes).map_err(|error| Refusal(error.to_string()))
}

/// The emitters for a target, in the order in which they are asked.
///
/// # Errors
/// An architecture that there is no emitter for.
pub fn emitters(target: Target, placement: Placement) -> Result<Vec<Box<dyn Emitter>>, Error> {
    if target.machine().architecture == Architecture::C99 {
        return Err(Error::ForeignTarget { target });
    }
    let mut emitters: Vec<Box<dyn Emitter>> = Vec::new();
    if !target.is_portable() {
        emitters.push(Box::new(x86::X86(target)));
    }
    let narrow = target.with_lanes(InstructionSet::Simd128.lanes());
    emitters.push(Box::new(cranelift::Cranelift::new(narrow, placement)?));
    Ok(emitters)
}
