//! Indices: arithmetic of rows, columns and element numbers, folded where it is constant.

use super::{Class, Inst, Reg, TileBuilder};

impl TileBuilder {
    /// An index's value, if it is constant.
    pub fn constant_index(&self, reg: Reg) -> Option<i64> {
        self.indices.get(&reg).copied()
    }

    /// Defines an index, unless it is constant or one of its operands.
    fn define_index(&mut self, inst: Inst) -> Reg {
        let known = |&reg: &Reg| self.constant_index(reg);
        let constant = match &inst {
            Inst::Index(x) => Some(*x),
            Inst::IndexScale(_, 0) | Inst::IndexRem(_, 1) => Some(0),
            Inst::IndexScale(a, 1) | Inst::IndexDiv(a, 1) => return *a,
            Inst::IndexScale(a, by) => known(a).map(|a| a * by),
            Inst::IndexDiv(a, by) => known(a).map(|a| a / by),
            Inst::IndexRem(a, by) => known(a).map(|a| a % by),
            Inst::IndexAdd(a, b) => match (known(a), known(b)) {
                (Some(a), Some(b)) => Some(a + b),
                (Some(0), _) => return *b,
                (_, Some(0)) => return *a,
                _ => None,
            },
            Inst::IndexMin(a, b) => known(a).zip(known(b)).map(|(a, b)| a.min(b)),
            _ => None,
        };
        let reg = self.define(constant.map_or(inst, Inst::Index), Class::Index, false);
        if let Some(x) = constant {
            self.indices.insert(reg, x);
        }
        reg
    }

    /// A constant index.
    pub fn index(&mut self, x: usize) -> Reg {
        self.define_index(Inst::Index(x as i64))
    }

    /// Sum of indices.
    pub fn index_add(&mut self, a: Reg, b: Reg) -> Reg {
        self.define_index(Inst::IndexAdd(a, b))
    }

    /// An index and a constant.
    pub fn index_offset(&mut self, a: Reg, by: i64) -> Reg {
        let by = self.define_index(Inst::Index(by));
        self.index_add(a, by)
    }

    /// An index times a constant.
    pub fn index_scale(&mut self, a: Reg, by: usize) -> Reg {
        self.index_scale_signed(a, by as i64)
    }

    /// As [`TileBuilder::index_scale`], for any constant.
    pub fn index_scale_signed(&mut self, a: Reg, by: i64) -> Reg {
        self.define_index(Inst::IndexScale(a, by))
    }

    /// A non-negative index divided by a constant.
    pub fn index_div(&mut self, a: Reg, by: usize) -> Reg {
        self.define_index(Inst::IndexDiv(a, by as i64))
    }

    /// The remainder of that division.
    pub fn index_rem(&mut self, a: Reg, by: usize) -> Reg {
        self.define_index(Inst::IndexRem(a, by as i64))
    }

    /// The largest multiple of `of` that is not above a non-negative index.
    pub fn index_round_down(&mut self, a: Reg, of: usize) -> Reg {
        let quotient = self.index_div(a, of);
        self.index_scale(quotient, of)
    }

    /// Difference of indices.
    pub fn index_sub(&mut self, a: Reg, b: Reg) -> Reg {
        let minus = self.index_scale_signed(b, -1);
        self.index_add(a, minus)
    }

    /// The smaller index.
    pub fn index_min(&mut self, a: Reg, b: Reg) -> Reg {
        self.define_index(Inst::IndexMin(a, b))
    }

    /// The low 32 bits of an index, as a scalar.
    pub fn index_low(&mut self, a: Reg) -> Reg {
        self.define(Inst::IndexLow(a), Class::Int, false)
    }

    /// The high 32 bits of an index, as a scalar.
    pub fn index_high(&mut self, a: Reg) -> Reg {
        self.define(Inst::IndexHigh(a), Class::Int, false)
    }

    /// An index from scalar halves.
    pub fn index_from(&mut self, low: Reg, high: Reg) -> Reg {
        self.define(Inst::IndexFrom(low, high), Class::Index, false)
    }
}
