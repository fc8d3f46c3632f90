//! Which registers are read by what has an effect: compilers warn of others.

use crate::tile::{Carried, Reg, Stmt, TileKernel};

/// The registers that are read. Bringing memory near reads nothing.
pub struct Live {
    registers: Vec<bool>,
}

impl Live {
    pub fn of(kernel: &TileKernel) -> Live {
        let mut live = Live { registers: vec![false; kernel.regs.len()] };
        // what loops carry may be read by what comes before
        while live.block(&kernel.body) {}
        live
    }

    pub fn contains(&self, reg: Reg) -> bool {
        self.registers[reg.0 as usize]
    }

    /// Whether a loop has an effect.
    pub fn runs(&self, carried: &[Carried], body: &[Stmt]) -> bool {
        let stores = |stmt: &Stmt| match stmt {
            Stmt::Store(..) => true,
            Stmt::Loop { carried, body, .. } => self.runs(carried, body),
            Stmt::Let(..) | Stmt::Prefetch(_) | Stmt::LoadTransposed { .. } => false,
        };
        carried.iter().any(|carry| self.contains(carry.reg)) || body.iter().any(stores)
    }

    /// Notes that a register is read. Whether that is new.
    fn read(&mut self, reg: Reg) -> bool {
        !std::mem::replace(&mut self.registers[reg.0 as usize], true)
    }

    /// Adds what a block reads. Whether something of it is new.
    fn block(&mut self, stmts: &[Stmt]) -> bool {
        let mut is_new = false;
        for stmt in stmts.iter().rev() {
            match stmt {
                Stmt::Prefetch(_) => {}
                Stmt::Let(reg, _) if !self.contains(*reg) => {}
                Stmt::Let(..) | Stmt::Store(..) | Stmt::LoadTransposed { .. } => {
                    stmt.operands(|reg| is_new |= self.read(reg));
                }
                Stmt::Loop { start, end, carried, body, .. } => {
                    for carry in carried {
                        if self.contains(carry.reg) {
                            is_new |= self.read(carry.initial) | self.read(carry.next);
                        }
                    }
                    is_new |= self.block(body);
                    if self.runs(carried, body) {
                        is_new |= self.read(*start) | self.read(*end);
                    }
                }
            }
        }
        is_new
    }
}
