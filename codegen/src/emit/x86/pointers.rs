//! Which pointers of arguments stay in registers: in those that no index needs, the ones that are used most.

use super::{Allocation, GENERAL, Register};
use crate::tile::{Address, Base, Inst, Stmt, TileKernel};

/// About how many times as often as a loop its statements run.
const TURNS: u64 = 8;

/// Where pointers are kept, and which registers are taken.
pub(super) struct Pointers {
    /// For each argument its register, if it has one for the whole function.
    registers: Vec<Option<Register>>,
    used: Vec<Register>,
}

impl Pointers {
    pub fn new(kernel: &TileKernel, allocation: &Allocation) -> Pointers {
        let mut used: Vec<Register> = allocation.general.iter().map(|&n| GENERAL[usize::from(n)]).collect();
        let mut weights = vec![0_u64; kernel.arguments];
        weigh(&kernel.body, 1, &mut weights);
        let mut most: Vec<usize> = (0..kernel.arguments).filter(|&argument| weights[argument] > 0).collect();
        // of equal ones the first
        most.sort_by_key(|&argument| std::cmp::Reverse(weights[argument]));
        let free: Vec<Register> = GENERAL.into_iter().filter(|register| !used.contains(register)).collect();
        let mut registers = vec![None; kernel.arguments];
        for (argument, register) in most.into_iter().zip(free) {
            registers[argument] = Some(register);
            used.push(register);
        }
        Pointers { registers, used }
    }

    /// Where an argument's pointer is kept.
    pub fn register(&self, argument: usize) -> Option<Register> {
        self.registers[argument]
    }

    /// The arguments whose pointers are kept, and where.
    pub fn kept(&self) -> Vec<(usize, Register)> {
        self.registers.iter().enumerate().filter_map(|(argument, register)| Some((argument, (*register)?))).collect()
    }

    /// Whether an index or a pointer lives there.
    pub fn is_used(&self, register: Register) -> bool {
        self.used.contains(&register)
    }
}

/// Adds how often each argument's memory is accessed.
fn weigh(stmts: &[Stmt], times: u64, weights: &mut [u64]) {
    let mut access = |address: &Address| {
        if let Base::Argument(argument) = address.base {
            weights[argument] = weights[argument].saturating_add(times);
        }
    };
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, Inst::Load(_, address, _) | Inst::LoadStrided(_, address, ..))
            | Stmt::Store(address, ..)
            | Stmt::Prefetch(address)
            | Stmt::LoadTransposed { address, .. } => access(address),
            Stmt::Let(..) | Stmt::Loop { .. } => {}
        }
    }
    for stmt in stmts {
        if let Stmt::Loop { body, .. } = stmt {
            weigh(body, times.saturating_mul(TURNS), weights);
        }
    }
}
