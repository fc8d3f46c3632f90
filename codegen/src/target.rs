//! The machines that code is for: what they have, and what operations cost there.
//!
//! Nothing else in code generation knows a machine: lowering, emitters and the runtime's schedule ask a [`Target`]. No
//! bit of a result depends on it.

use crate::host;
pub use crate::machines::{Cache, CacheTile, Latencies, MACHINES, Machine};
use std::fmt;

/// Vectors of some length, and how many registers there are for them. Each set has what those before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstructionSet {
    /// One element at a time.
    Scalar,
    /// Vectors of four: AVX, or NEON. Without AVX, instructions of x86-64 trap on operands in memory that are not
    /// aligned.
    Simd128,
    /// Vectors of eight: AVX2 and FMA.
    Avx2,
    /// Vectors of sixteen: AVX-512 F and VL.
    Avx512,
}

impl InstructionSet {
    /// All of them, from narrow to wide.
    pub const ALL: [InstructionSet; 4] =
        [InstructionSet::Scalar, InstructionSet::Simd128, InstructionSet::Avx2, InstructionSet::Avx512];

    /// The number of elements of a vector.
    pub const fn lanes(self) -> usize {
        match self {
            InstructionSet::Scalar => 1,
            InstructionSet::Simd128 => 4,
            InstructionSet::Avx2 => 8,
            InstructionSet::Avx512 => 16,
        }
    }

    /// The name in the text form of targets.
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Scalar => "scalar",
            InstructionSet::Simd128 => "simd128",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
        }
    }
}

/// An architecture of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// Whatever a compiler of C99 makes code for.
    C99,
}

impl Architecture {
    /// The first part of a target triple.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
            Architecture::Riscv64 => "riscv64",
            Architecture::C99 => "c99",
        }
    }
}

/// How many multiply-adds of vectors, or of single elements, a core begins in a cycle at most.
const MOST_MULTIPLY_ADDS: usize = 2;

/// What code is compiled for: a kind of machine, and which of its instruction sets.
///
/// Prints as `zen3`, or `zen3/simd128` where a narrower set than the machine's is used; [`Target::named`] reads that.
/// [`Target::host`] prints as the row that it is nearest to, and may use more of this machine than that row has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    machine: &'static Machine,
    instruction_set: InstructionSet,
    /// Whether code may use whatever else this machine has.
    is_host: bool,
}

impl Target {
    /// This machine: the row of [`MACHINES`] that is nearest to it, and the widest vectors it has.
    pub fn host() -> Target {
        let (machine, instruction_set) = host::machine();
        Target { machine, instruction_set, is_host: true }
    }

    /// The target of this name, such as `zen3` or `zen3/simd128`; `None` if there is none, or if the machine has no
    /// such instructions.
    pub fn named(name: &str) -> Option<Target> {
        let (name, set) = name.split_once('/').map_or((name, None), |(name, set)| (name, Some(set)));
        let machine = MACHINES.iter().find(|machine| machine.name == name)?;
        let instruction_set = match set {
            None => machine.instruction_set,
            Some(set) => InstructionSet::ALL.into_iter().find(|known| known.name() == set)?,
        };
        (instruction_set <= machine.instruction_set).then_some(Target { machine, instruction_set, is_host: false })
    }

    /// All targets that have a name.
    pub fn all() -> impl Iterator<Item = Target> {
        MACHINES.iter().flat_map(|machine| {
            let sets = InstructionSet::ALL.into_iter().filter(|set| *set <= machine.instruction_set);
            sets.map(move |instruction_set| Target { machine, instruction_set, is_host: false })
        })
    }

    /// This target with the widest vectors of at most `most` elements.
    pub fn with_lanes(self, most: usize) -> Target {
        let fits = |set: &InstructionSet| set.lanes() <= most && *set <= self.instruction_set;
        let widest = InstructionSet::ALL.into_iter().rfind(fits);
        Target { instruction_set: widest.unwrap_or(InstructionSet::Scalar), ..self }
    }

    /// This target for code with doubles: where vectors are wide, four of them fill 256 bits, and four of anything else
    /// stand beside them. Cranelift's code has no vectors of doubles.
    pub fn of_doubles(self) -> Target {
        self.with_lanes(if self.is_portable() { 1 } else { 4 })
    }

    /// The kind of machine.
    pub fn machine(&self) -> &'static Machine {
        self.machine
    }

    /// Which of its instruction sets.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    /// The number of elements of a vector.
    pub fn lanes(&self) -> usize {
        self.instruction_set.lanes()
    }

    /// How many vectors registers hold.
    pub fn registers(&self) -> usize {
        match (self.machine.architecture, self.instruction_set) {
            (Architecture::X86_64, InstructionSet::Avx512) => 32,
            // what C is compiled for may have twice as many: of those with fewer none is fast
            (Architecture::X86_64 | Architecture::C99, _) => 16,
            (Architecture::Aarch64 | Architecture::Riscv64, _) => 32,
        }
    }

    /// Whether code is Cranelift's, which has other habits than that for wide vectors.
    pub fn is_portable(&self) -> bool {
        self.instruction_set <= InstructionSet::Simd128
    }

    /// Whether register tiles of products are so large that they read an element of an operand seldom.
    pub fn has_large_tiles(&self) -> bool {
        !self.is_portable() && self.registers() >= 32
    }

    /// How many multiply-adds of whole vectors begin in a cycle.
    pub fn multiply_adds(&self) -> f64 {
        let most = self.machine.multiply_adds / self.lanes();
        most.clamp(1, MOST_MULTIPLY_ADDS) as f64
    }

    /// What `picoseconds` on the machine's widest vectors are on this target's.
    pub fn scaled(&self, picoseconds: u64) -> u64 {
        let elements = |set: InstructionSet| self.machine.multiply_adds.min(MOST_MULTIPLY_ADDS * set.lanes()) as u64;
        let narrower = picoseconds * elements(self.machine.instruction_set) / elements(self.instruction_set);
        let is_measured_wide = self.machine.instruction_set > InstructionSet::Simd128;
        // Cranelift copies a factor of each multiply-add
        if self.is_portable() && is_measured_wide { narrower * 3 / 2 } else { narrower }
    }

    /// Whether code for it may use whatever this machine has.
    pub fn is_host(&self) -> bool {
        self.is_host
    }

    /// Whether this machine runs code for it.
    pub fn runs_here(&self) -> bool {
        host::runs(self.machine, self.instruction_set)
    }
}

impl Default for Target {
    fn default() -> Target {
        Target::host()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.machine.name)?;
        if self.instruction_set < self.machine.instruction_set {
            write!(f, "/{}", self.instruction_set.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        for target in Target::all() {
            assert_eq!(Target::named(&target.to_string()), Some(target));
        }
        assert_eq!(Target::named("zen3/avx512"), None, "it has none");
        assert_eq!((Target::named("zen9"), Target::named("zen3/")), (None, None));
    }

    #[test]
    fn narrower_vectors() {
        let lanes = |target: &str, most| Target::named(target).unwrap().with_lanes(most).lanes();
        assert_eq!([16, 8, 5, 2, 0].map(|most| lanes("zen4", most)), [16, 8, 4, 1, 1]);
        assert_eq!([16, 4, 1].map(|most| lanes("neon", most)), [4, 4, 1]);
        assert_eq!(lanes("zen4/simd128", 16), 4);
    }

    #[test]
    fn this_machine_runs_its_own_code() {
        let host = Target::host();
        assert!(host.runs_here() && host.is_host());
        let named = Target::named(&host.to_string()).expect("a row of the table");
        assert!(named.runs_here(), "all that the row has is here, or the set is narrowed");
        assert_eq!((named.machine, named.instruction_set), (host.machine, host.instruction_set));
        assert!([1, 4, 8].into_iter().all(|lanes| named.with_lanes(lanes).runs_here()));
        let foreign = if host.machine().architecture == Architecture::X86_64 { "neon" } else { "x86-64" };
        assert!(!Target::named(foreign).unwrap().runs_here());
    }
}
