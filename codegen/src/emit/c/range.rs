//! The indices that fit in 32 bits, whatever the tile: `ptrdiff_t` holds those on any machine.

use crate::tile::{Class, Inst, Reg, Stmt, TileKernel};

/// The least and the largest value of each index.
pub struct Ranges {
    known: Vec<Option<(i128, i128)>>,
}

impl Ranges {
    /// Of a kernel that is called for tiles up to this number.
    pub fn of(kernel: &TileKernel, tiles: i128) -> Ranges {
        let mut ranges = Ranges { known: vec![None; kernel.regs.len()] };
        ranges.set(kernel.begin, Some((0, tiles)));
        ranges.set(kernel.end, Some((0, tiles)));
        ranges.block(kernel, &kernel.body);
        ranges
    }

    /// Whether an index fits in 32 bits.
    pub fn is_narrow(&self, reg: Reg) -> bool {
        let fits = |x: i128| i32::try_from(x).is_ok();
        self.known[reg.0 as usize].is_some_and(|(least, most)| fits(least) && fits(most))
    }

    /// The only value of an index.
    pub fn constant(&self, reg: Reg) -> Option<i128> {
        self.known[reg.0 as usize].filter(|(least, most)| least == most).map(|(least, _)| least)
    }

    /// What overflows 64 bits is not known.
    fn set(&mut self, reg: Reg, range: Option<(i128, i128)>) {
        let fits = |x: i128| i64::try_from(x).is_ok();
        self.known[reg.0 as usize] = range.filter(|(least, most)| fits(*least) && fits(*most));
    }

    fn block(&mut self, kernel: &TileKernel, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(reg, inst) if kernel.regs[reg.0 as usize].class == Class::Index => {
                    let range = self.inst(*inst);
                    self.set(*reg, range);
                }
                Stmt::Loop { counter, start, end, step, body, .. } => {
                    let [start, end] = [start, end].map(|reg| self.known[reg.0 as usize]);
                    // where the loop ends, the counter is up to a step beyond the last value
                    let range =
                        start.zip(end).map(|((least, _), (_, most))| (least, least.max(most - 1 + i128::from(*step))));
                    self.set(*counter, range);
                    self.block(kernel, body);
                }
                Stmt::Let(..) | Stmt::Store(..) | Stmt::Prefetch(_) | Stmt::LoadTransposed { .. } => {}
            }
        }
    }

    fn inst(&self, inst: Inst) -> Option<(i128, i128)> {
        let of = |reg: Reg| self.known[reg.0 as usize];
        match inst {
            Inst::Index(x) => Some((x.into(), x.into())),
            Inst::IndexAdd(a, b) => of(a).zip(of(b)).map(|((a, b), (c, d))| (a + c, b + d)),
            Inst::IndexScale(a, by) => of(a).map(|(least, most)| {
                let (x, y) = (least * i128::from(by), most * i128::from(by));
                (x.min(y), x.max(y))
            }),
            Inst::IndexDiv(a, by) => {
                of(a).map(|(least, most)| (least.max(0) / i128::from(by), most.max(0) / i128::from(by)))
            }
            Inst::IndexRem(_, by) => Some((0, i128::from(by) - 1)),
            Inst::IndexMin(a, b) => of(a).zip(of(b)).map(|((a, b), (c, d))| (a.min(c), b.min(d))),
            _ => None,
        }
    }
}
