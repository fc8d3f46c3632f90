//! Numbering registers.

use super::{Reg, Stmt, TileKernel};

impl TileKernel {
    /// The same code with registers numbered in the order in which they are defined, as reading its text numbers them.
    /// Those that are not defined are gone.
    ///
    /// # Panics
    /// If the code is not well-formed.
    pub fn renumbered(&self) -> TileKernel {
        let mut order = vec![self.begin, self.end];
        list(&self.body, &mut order);
        let mut numbers = vec![None; self.regs.len()];
        (0..).zip(&order).for_each(|(number, reg)| numbers[reg.0 as usize] = Some(Reg(number)));
        let rename = |reg: &mut Reg| *reg = numbers[reg.0 as usize].expect("what is read is defined");
        let mut kernel = self.clone();
        kernel.regs = order.iter().map(|reg| self.regs[reg.0 as usize]).collect();
        [&mut kernel.begin, &mut kernel.end].into_iter().for_each(rename);
        replace(&mut kernel.body, &rename);
        kernel
    }
}

/// Lists what statements define.
fn list(stmts: &[Stmt], order: &mut Vec<Reg>) {
    for stmt in stmts {
        stmt.results(|reg| order.push(reg));
        if let Stmt::Loop { counter, carried, body, .. } = stmt {
            order.push(*counter);
            order.extend(carried.iter().map(|carry| carry.reg));
            list(body, order);
        }
    }
}

fn replace(stmts: &mut [Stmt], rename: &impl Fn(&mut Reg)) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(reg, inst) => {
                rename(reg);
                inst.operands_mut(rename);
            }
            Stmt::Store(address, value, _) => [&mut address.index, value].into_iter().for_each(rename),
            Stmt::Prefetch(address) => rename(&mut address.index),
            Stmt::LoadTransposed { into, address, .. } => {
                into.iter_mut().for_each(rename);
                rename(&mut address.index);
            }
            Stmt::Loop { counter, start, end, carried, body, .. } => {
                [counter, start, end].into_iter().for_each(rename);
                for carry in carried {
                    [&mut carry.reg, &mut carry.initial, &mut carry.next].into_iter().for_each(rename);
                }
                replace(body, rename);
            }
        }
    }
}
