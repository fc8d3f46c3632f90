//! Loops, and the values they carry.

use super::*;

impl Emitter<'_> {
    /// Copies a value to the place of another of its type.
    fn copy(&mut self, to: Reg, from: Reg) -> Emitted {
        if self.location(to) == self.location(from) {
            return Ok(());
        }
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

    pub(super) fn repeat(
        &mut self,
        counter: Reg,
        (start, end, step): (Reg, Reg, i64),
        carried: &[Carried],
        body: &[Stmt],
    ) -> Emitted {
        let (looped, after) = (self.new_label(), self.new_label());
        for carry in carried {
            // copies are made one after the other: none may overwrite what another still reads
            let overwritten = |to: &Carried| {
                self.location(to.reg) != self.location(to.next)
                    && to.reg != carry.reg
                    && self.location(to.reg) == self.location(carry.next)
                    && self.limits.file(self.class(to.reg)) == self.limits.file(self.class(carry.next))
            };
            if carried.iter().any(overwritten) {
                return Err(Unsupported);
            }
        }
        for carry in carried {
            self.taken = 0;
            self.copy(carry.reg, carry.initial)?;
        }
        let first = self.index(start, RAX)?;
        self.write_index(counter, first)?;
        self.test(counter, end)?;
        self.add(Instruction::with_branch(Code::Jge_rel32_64, after))?;
        self.place(looped);
        self.block(body)?;
        self.enter();
        for carry in carried {
            self.taken = 0;
            self.copy(carry.reg, carry.next)?;
        }
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
