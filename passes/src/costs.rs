//! What operations cost.

use bayeslift_ir::Arithmetic;

/// What operations cost a machine: picoseconds for each element, on one core, with the widest vectors it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A multiplication and an addition of a contraction.
    pub product: u64,
    /// Reading or writing an element, in the caches.
    pub access: u64,
    /// An addition, a multiplication, a comparison.
    pub simple: u64,
    /// A division or a square root.
    pub division: u64,
    /// An elementary function.
    pub elementary: u64,
    /// A random number.
    pub draw: u64,
}

impl Costs {
    /// What rewriting chooses terms by, on all targets: some choices round differently, and no bit depends on the
    /// machine. First measured on a Zen 3 server, and the same ever since.
    pub const REFERENCE: Costs =
        Costs { product: 20, access: 40, simple: 20, division: 160, elementary: 600, draw: 1200 };

    /// The cost of some arithmetic.
    pub fn of(&self, arithmetic: Arithmetic) -> u64 {
        match arithmetic {
            Arithmetic::Copy => 0,
            Arithmetic::Simple => self.simple,
            Arithmetic::Division => self.division,
            Arithmetic::Elementary => self.elementary,
        }
    }
}
