//! The table of machines: one row each, of what they have and what operations cost there.
//!
//! `cargo bench -q --bench kernels -- target` measures the costs of the machine at hand and prints them as a row;
//! `target=zen4` there and in the bench `workloads` runs as for another row, which tells whether capacities suit the
//! machine (docs/performance.md).

use crate::{Architecture, InstructionSet};
use bayeslift_passes::Costs;

/// A kind of machine.
#[derive(Debug, PartialEq)]
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    /// Its architecture.
    pub architecture: Architecture,
    /// The widest vectors it has.
    pub instruction_set: InstructionSet,
    /// Whether it multiplies and adds in one instruction. Without, each is a call of a function that is exact.
    pub fuses: bool,
    /// Whether it rounds to whole numbers in one instruction. Without, each is a call of a function.
    pub rounds: bool,
    /// How many multiply-adds of single elements a core begins in a cycle, with its widest vectors.
    pub multiply_adds: usize,
    /// A core's first-level cache for data.
    pub first_level: Cache,
    /// The bytes of a core's second-level cache.
    pub second_level: usize,
    /// How much of a product is computed at a time.
    pub cache_tile: CacheTile,
    /// How many bytes of the second-level cache tensors may take that a product's epilogue reads and writes.
    pub streamed: usize,
    /// How many bytes come from the second-level cache in a cycle, when a product waits for them.
    pub transfer: f64,
    /// After how many cycles results of instructions can be used.
    pub latencies: Latencies,
    /// How many picoseconds a thread takes to claim a task, and to tell others that it is done: more where cores are
    /// far apart.
    pub handover: u64,
    /// What operations cost with the widest vectors.
    pub costs: Costs,
}

/// A first-level cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its size.
    pub bytes: usize,
    /// How many lines it can hold whose addresses are a page apart.
    pub ways: usize,
}

/// About how many rows and columns of a product are computed at a time: so many that sums, panels and what reads them
/// stay in the second-level cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTile {
    /// Rows: a right operand is packed again for each tile of them.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Columns where the left operand is packed: more of them share that work.
    pub columns_of_packed: usize,
}

/// After how many cycles results of instructions can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// Additions, multiplications, conversions of floats.
    pub arithmetic: u32,
    /// A division.
    pub division: u32,
    /// A square root.
    pub root: u32,
    /// A load from the first-level cache.
    pub load: u32,
    /// Moving lanes, or between vectors and general registers.
    pub shuffle: u32,
}

/// Zen 4, and what other rows have where nothing else is known of their machines.
const ZEN4: Machine = Machine {
    name: "zen4",
    architecture: Architecture::X86_64,
    instruction_set: InstructionSet::Avx512,
    fuses: true,
    rounds: true,
    multiply_adds: 16,
    first_level: Cache { bytes: 32 << 10, ways: 8 },
    second_level: 1 << 20,
    cache_tile: CacheTile { rows: 144, columns: 64, columns_of_packed: 400 },
    streamed: 192 << 10,
    transfer: 12.0,
    latencies: Latencies { arithmetic: 4, division: 12, root: 16, load: 7, shuffle: 3 },
    handover: 100_000,
    costs: Costs { product: 20, access: 20, simple: 20, division: 160, elementary: 400, draw: 1200 },
};

/// The second level of x86-64, which has no vectors here: their instructions trap on operands that are not aligned.
const X86_64_V2: Machine = Machine {
    name: "x86-64-v2",
    instruction_set: InstructionSet::Scalar,
    fuses: false,
    multiply_adds: 2,
    second_level: 256 << 10,
    // products call a function for each multiply-add
    costs: Costs { product: 5000, access: 250, simple: 250, division: 1600, elementary: 20_000, draw: 40_000 },
    ..ZEN4
};

/// All kinds of machines. The costs of Zen 5 are what the bench printed; Zen 3 and 4 took about the same for an
/// element, Zen 4 with vectors twice as wide that it computes by halves. Those of others follow from what their makers
/// say of instructions: estimates.
pub const MACHINES: &[Machine] = &[
    Machine { name: "x86-64", rounds: false, ..X86_64_V2 },
    X86_64_V2,
    Machine {
        name: "sandy-bridge",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Simd128,
        fuses: false,
        multiply_adds: 4,
        second_level: 256 << 10,
        costs: Costs { product: 5000, access: 80, simple: 80, division: 1000, elementary: 20_000, draw: 5000 },
        ..ZEN4
    },
    Machine {
        name: "zen3",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Avx2,
        second_level: 512 << 10,
        ..ZEN4
    },
    ZEN4,
    Machine {
        name: "zen5",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Avx512,
        multiply_adds: 32,
        first_level: Cache { bytes: 48 << 10, ways: 12 },
        handover: 66_000,
        costs: Costs { product: 8, access: 19, simple: 24, division: 38, elementary: 183, draw: 557 },
        ..ZEN4
    },
    Machine {
        name: "sapphire-rapids",
        architecture: Architecture::X86_64,
        instruction_set: InstructionSet::Avx512,
        multiply_adds: 32,
        first_level: Cache { bytes: 48 << 10, ways: 12 },
        second_level: 2 << 20,
        cache_tile: CacheTile { rows: 288, columns: 256, columns_of_packed: 400 },
        streamed: 384 << 10,
        latencies: Latencies { arithmetic: 4, division: 17, root: 19, load: 8, shuffle: 3 },
        costs: Costs { product: 12, access: 20, simple: 20, division: 300, elementary: 300, draw: 900 },
        ..ZEN4
    },
    Machine {
        name: "neon",
        architecture: Architecture::Aarch64,
        instruction_set: InstructionSet::Simd128,
        multiply_adds: 8,
        first_level: Cache { bytes: 64 << 10, ways: 4 },
        costs: Costs { product: 60, access: 60, simple: 60, division: 480, elementary: 1200, draw: 3600 },
        ..ZEN4
    },
    Machine {
        name: "riscv64",
        architecture: Architecture::Riscv64,
        instruction_set: InstructionSet::Scalar,
        multiply_adds: 1,
        costs: Costs { product: 700, access: 700, simple: 700, division: 7000, elementary: 14_000, draw: 40_000 },
        ..ZEN4
    },
    // by what compilers make of C for the machine above
    Machine {
        name: "c99",
        architecture: Architecture::C99,
        instruction_set: InstructionSet::Scalar,
        multiply_adds: 1,
        second_level: 256 << 10,
        costs: Costs { product: 700, access: 700, simple: 700, division: 7000, elementary: 14_000, draw: 40_000 },
        ..ZEN4
    },
];
