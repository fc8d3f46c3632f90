//! Loops, and the values they carry.

use super::*;

impl Emitter<'_> {
    /// Copies a value to the place of another of its type.
    fn copy(&mut self, to: Reg, from: Reg) -> Emitted {
        match self.limits.file(self.class(to)) {
            allocate::File::General => {
                let from = self.index(from, RAX)?;
                self.write_index(to, from)
            }
            allocate::File::Mask => Err(Unsupported),
            allocate::File::Vector => {
                let wide = self.is_wide(to);
                let target = self.target(to);
                self.load_into(target, from, wide)?;
                self.keep(to, target)
            }
        }
    }

    /// Copies values, each to a place that no other still reads.
    fn copies(&mut self, mut pending: Vec<(Reg, Reg)>) -> Emitted {
        let file = |s: &Self, reg: Reg| s.limits.file(s.class(reg));
        let share = |s: &Self, a: Reg, b: Reg| s.location(a) == s.location(b) && file(s, a) == file(s, b);
        pending.retain(|&(to, from)| !share(self, to, from));
        while !pending.is_empty() {
            let is_read = |to: Reg| pending.iter().any(|&(_, from)| share(self, to, from));
            // none, where places are exchanged
            let next = pending.iter().position(|&(to, _)| !is_read(to)).ok_or(Unsupported)?;
            let (to, from) = pending.remove(next);
            self.taken = 0;
            self.copy(to, from)?;
        }
        Ok(())
    }

    pub(super) fn repeat(
        &mut self,
        counter: Reg,
        (start, end, step): (Reg, Reg, i64),
        carried: &[Carried],
        body: &[Stmt],
    ) -> Emitted {
        let (looped, after) = (self.new_label(), self.new_label());
        self.copies(carried.iter().map(|carry| (carry.reg, carry.initial)).collect())?;
        let first = self.index(start, RAX)?;
        self.write_index(counter, first)?;
        self.test(counter, end)?;
        self.add(Instruction::with_branch(Code::Jge_rel32_64, after))?;
        self.place(looped);
        self.block(body)?;
        self.enter();
        self.copies(carried.iter().map(|carry| (carry.reg, carry.next)).collect())?;
        let now = self.index(counter, RAX)?;
        let step = i32::try_from(step).map_err(|_| Unsupported)?;
        self.add(Instruction::with2(Code::Add_rm64_imm32, now, step))?;
        self.write_index(counter, now)?;
        self.test(counter, end)?;
        self.add(Instruction::with_branch(Code::Jl_rel32_64, looped))?;
        self.place(after);
        Ok(())
    }

    fn test(&mut self, counter: Reg, end: Reg) -> Emitted {
        let counter = self.index(counter, RAX)?;
        match self.location(end) {
            Location::Index(x) => self.add(Instruction::with2(Code::Cmp_rm64_imm32, counter, x as i32)),
            _ => {
                let end = self.index(end, RDX)?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, counter, end))
            }
        }
    }
}
