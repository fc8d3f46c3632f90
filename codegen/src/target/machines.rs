use super::{Architecture, InstructionSet};

/// A kind of machine.
#[derive(Debug, PartialEq)]
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    /// Its architecture.
    pub architecture: Architecture,
    /// The widest vectors it has.
    pub instruction_set: InstructionSet,
    /// Fuses.
    pub fuses: bool,
    /// First.
    pub first_level: usize,
    /// Second.
    pub second_level: usize,
}

/// All kinds.
pub const MACHINES: &[Machine] = &[
    Machine {
        name: "x86-64",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Scalar,
        fuses: false,
        first_level: 32 << 10,
        second_level: 256 << 10,
    },
    Machine {
        name: "zen3",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Avx2,
        fuses: true,
        first_level: 32 << 10,
        second_level: 512 << 10,
    },
    Machine {
        name: "zen4",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Avx512,
        fuses: true,
        first_level: 32 << 10,
        second_level: 1 << 20,
    },
    Machine {
        name: "neon",
        architecture: Architecture::Aarch64,
        instruction_set: InstructionSet::Simd128,
        fuses: true,
        first_level: 64 << 10,
        second_level: 1 << 20,
    },
    Machine {
        name: "riscv64",
        architecture: Architecture::Riscv64,
        instruction_set: InstructionSet::Scalar,
        fuses: true,
        first_level: 32 << 10,
        second_level: 1 << 20,
    },
];
