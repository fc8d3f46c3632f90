//! What this machine is: the row of the table that is nearest to what the processor tells.

use crate::machines::{MACHINES, Machine};
use crate::{Architecture, InstructionSet};
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The row for this machine, and the widest vectors that both have.
pub(crate) fn machine() -> (&'static Machine, InstructionSet) {
    // Asking the processor is slow under a hypervisor. Not behind a lock, which a process that is forked meanwhile
    // would wait for: whoever comes first finds the same.
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let known = KNOWN.load(Ordering::Relaxed).checked_sub(1);
    let row = known.unwrap_or_else(|| nearest(widest(), fuses(), caches()));
    KNOWN.store(row + 1, Ordering::Relaxed);
    let machine = &MACHINES[row];
    (machine, machine.instruction_set.min(widest()))
}

/// Whether this machine has all that code for a row's instruction set may use: scalars too use what the row has.
pub(crate) fn runs(machine: &Machine, set: InstructionSet) -> bool {
    let used = set.max(machine.instruction_set.min(InstructionSet::Simd128));
    ARCHITECTURE == Some(machine.architecture)
        && used <= widest()
        && (fuses() || !machine.fuses)
        && (rounds() || !machine.rounds)
}

const ARCHITECTURE: Option<Architecture> = if cfg!(target_arch = "x86_64") {
    Some(Architecture::X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(Architecture::Aarch64)
} else if cfg!(target_arch = "riscv64") {
    Some(Architecture::Riscv64)
} else {
    None
};

/// The row of this architecture with the widest vectors that this machine has too, if need be by using less of them
/// than the row has; of those the one that fuses, if this does, and whose vectors and then caches are most like its
/// own. The first row if the architecture is none of the table's: code for it runs nowhere there.
fn nearest(set: InstructionSet, fuses: bool, caches: [usize; 2]) -> usize {
    let rows = MACHINES.iter().enumerate().filter(|(_, machine)| Some(machine.architecture) == ARCHITECTURE);
    let rows = rows.filter(|(_, machine)| fuses || !machine.fuses);
    let sixteenths = |a: usize, b: usize| 16 * a.abs_diff(b) / a.max(b).max(1);
    let distance = |machine: &Machine| {
        let [first, second] = caches;
        sixteenths(machine.first_level.bytes, first) + sixteenths(machine.second_level, second)
    };
    let fit = |machine: &Machine| {
        let used = machine.instruction_set.min(set);
        (Reverse(used), Reverse(machine.fuses), machine.instruction_set, distance(machine))
    };
    rows.min_by_key(|(_, machine)| fit(machine)).map_or(0, |(row, _)| row)
}

/// The widest vectors that this machine has, and that code may use: wide code follows the calling convention of Unix.
#[cfg(target_arch = "x86_64")]
fn widest() -> InstructionSet {
    let is_wide = cfg!(unix) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if is_wide && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
        InstructionSet::Avx512
    } else if is_wide {
        InstructionSet::Avx2
    } else if is_x86_feature_detected!("avx") {
        InstructionSet::Simd128
    } else {
        InstructionSet::Scalar
    }
}

/// NEON is in every 64-bit ARM; of others nothing is known.
#[cfg(not(target_arch = "x86_64"))]
fn widest() -> InstructionSet {
    if cfg!(target_arch = "aarch64") { InstructionSet::Simd128 } else { InstructionSet::Scalar }
}

#[cfg(target_arch = "x86_64")]
fn fuses() -> bool {
    is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn fuses() -> bool {
    true
}

#[cfg(target_arch = "x86_64")]
fn rounds() -> bool {
    is_x86_feature_detected!("sse4.2")
}

#[cfg(not(target_arch = "x86_64"))]
fn rounds() -> bool {
    true
}

/// The bytes of a core's caches, 0 where the processor does not tell: for data, and of the second level.
#[cfg(target_arch = "x86_64")]
fn caches() -> [usize; 2] {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // Intel's leaf, and the one of AMD, which describe caches in the same way
    const LEAVES: [u32; 2] = [4, 0x8000_001d];
    const MOST: u32 = 8;
    let mut caches = [0, 0];
    for leaf in LEAVES.into_iter().filter(|&leaf| leaf <= __cpuid(leaf & 0x8000_0000).eax) {
        for cache in (0..MOST).map(|number| __cpuid_count(leaf, number)) {
            let field = |word: u32, first: u32, bits: u32| (word >> first & ((1 << bits) - 1)) as usize;
            let (kind, level) = (field(cache.eax, 0, 5), field(cache.eax, 5, 3));
            let (line, partitions) = (field(cache.ebx, 0, 12) + 1, field(cache.ebx, 12, 10) + 1);
            let bytes = line * partitions * (field(cache.ebx, 22, 10) + 1) * (cache.ecx as usize + 1);
            const INSTRUCTIONS: usize = 2;
            match (kind, level) {
                (0, _) => break,
                (INSTRUCTIONS, _) => {}
                (_, 1 | 2) => caches[level - 1] = bytes,
                _ => {}
            }
        }
    }
    caches
}

#[cfg(not(target_arch = "x86_64"))]
fn caches() -> [usize; 2] {
    [0, 0]
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn unknown_machines_get_the_nearest() {
        let name = |set, fuses, caches: [usize; 2]| MACHINES[nearest(set, fuses, caches.map(|kib| kib << 10))].name;
        assert_eq!(name(InstructionSet::Avx512, true, [32, 1024]), "zen4");
        assert_eq!(name(InstructionSet::Avx512, true, [48, 2048]), "sapphire-rapids");
        assert_eq!(
            name(InstructionSet::Avx512, true, [48, 1280]),
            "zen5",
            "Ice Lake, whose vectors are as wide inside"
        );
        assert_eq!(name(InstructionSet::Avx2, true, [32, 256]), "zen3", "Haswell");
        assert_eq!(name(InstructionSet::Avx2, true, [0, 0]), "zen3", "a hypervisor that tells nothing");
        assert_eq!(name(InstructionSet::Simd128, false, [32, 256]), "sandy-bridge");
        assert_eq!(name(InstructionSet::Simd128, true, [32, 512]), "zen3", "where wide code cannot be called");
        assert_eq!(name(InstructionSet::Scalar, false, [32, 256]), "x86-64");
    }
}
