//! Memory: the constants, addresses, loads and stores of whole vectors, parts of vectors and distant lanes.

use super::{isa::*, *};

/// The number of elements that instructions insert at once.
const FOUR: u32 = 4;

impl Emitter<'_> {
    /// Words among the constants.
    pub(super) fn pooled(&mut self, words: &[u32]) -> MemoryOperand {
        // aligned, so that none lies across cache lines
        let known = self.pool.chunks_exact(words.len()).position(|chunk| chunk == words);
        let index = known.map_or_else(
            || {
                let start = self.pool.len().next_multiple_of(words.len());
                self.pool.resize(start, 0);
                self.pool.extend(words);
                start
            },
            |chunk| chunk * words.len(),
        );
        MemoryOperand::with_base_displ(POOL, index as i64 * 4)
    }

    /// A constant in all lanes, as an operand.
    pub(super) fn constant(&mut self, bits: u32) -> MemoryOperand {
        match self.isa {
            Isa::Avx2 => self.pooled(&[bits; 8]),
            Isa::Avx512 => MemoryOperand { is_broadcast: true, ..self.pooled(&[bits]) },
        }
    }

    /// As [`Emitter::constant`], of a double.
    pub(super) fn constant_double(&mut self, bits: u64) -> MemoryOperand {
        self.pooled(&[bits as u32, (bits >> 32) as u32].repeat(4))
    }

    /// Where the pointer of an argument is passed.
    pub(super) fn pointer(argument: usize) -> MemoryOperand {
        MemoryOperand::with_base_displ(ARGUMENTS, argument as i64 * 8)
    }

    pub(super) fn address(&mut self, address: Address) -> Emitted<MemoryOperand> {
        let base = match address.base {
            Base::Scratch => SCRATCH,
            Base::Argument(i) => match self.pointers.register(i) {
                Some(register) => register,
                None => {
                    if self.loaded != Some(i) {
                        self.add(Instruction::with2(Code::Mov_r64_rm64, BASE, Self::pointer(i)))?;
                        self.loaded = Some(i);
                    }
                    BASE
                }
            },
        };
        let (index, elements) = match self.location(address.index) {
            Location::Index(x) => (Register::None, x + address.offset),
            _ => (self.index(address.index, RAX)?, address.offset),
        };
        after(MemoryOperand::new(base, index, 4, 0, 1, false, Register::None), elements)
    }

    /// Lets the next instruction, an access of memory, touch the first `lanes` lanes alone.
    fn add_masked(&mut self, instruction: Result<Instruction, iced_x86::IcedError>, lanes: u32, zero: bool) -> Emitted {
        let mut instruction = instruction.map_err(failed)?;
        self.add(Instruction::with2(Code::Mov_r32_imm32, Register::EDX, (1_u32 << lanes) - 1))?;
        self.add(Instruction::with2(Code::VEX_Kmovw_kr_r32, Register::K7, Register::EDX))?;
        instruction.set_op_mask(Register::K7);
        instruction.set_zeroing_masking(zero);
        self.push(instruction);
        Ok(())
    }

    /// How many words an access touches, if not all of a register's.
    fn touched(&self, reg: Reg, active: ActiveLanes) -> Option<u32> {
        let lanes = if self.is_vector(reg) { active.unwrap_or(self.lanes as u32) } else { 1 };
        let words = if self.class(reg) == Class::Double { 2 * lanes } else { lanes };
        let all = if self.is_wide(reg) { self.isa.lanes() as u32 } else { FOUR };
        Some(words).filter(|&words| words < all)
    }

    pub(super) fn load(&mut self, reg: Reg, address: Address, active: ActiveLanes) -> Emitted {
        let (isa, wide, memory, target) = (self.isa, self.is_wide(reg), self.address(address)?, self.target(reg));
        let whole = Instruction::with2(LOAD.of(isa, wide), target, memory);
        let first = target_of_four(target);
        match (self.touched(reg, active), isa) {
            (None, _) => self.add(whole)?,
            (Some(1), _) => self.add(Instruction::with2(LOAD_ONE.of(isa, false), first, memory))?,
            (Some(words), Isa::Avx512) => self.add_masked(whole, words, true)?,
            (Some(2), Isa::Avx2) => self.add(Instruction::with2(Code::VEX_Vmovq_xmm_xmmm64, first, memory))?,
            (Some(FOUR), Isa::Avx2) => self.add(Instruction::with2(LOAD.of(isa, false), first, memory))?,
            (Some(words), Isa::Avx2) => {
                let mask: Vec<u32> = (0..8).map(|word| if word < words { u32::MAX } else { 0 }).collect();
                let (touched, mask) = (self.temporary(wide), self.pooled(&mask));
                self.add(Instruction::with2(MOVE.of(isa, wide), touched, mask))?;
                self.add(Instruction::with3(LOAD_SOME.of(isa, wide), target, touched, memory))?;
            }
        }
        self.keep(reg, target)
    }

    pub(super) fn store(&mut self, address: Address, value: Reg, active: ActiveLanes) -> Emitted {
        let (isa, wide, touched) = (self.isa, self.is_wide(value), self.touched(value, active));
        let value = self.register(value, wide)?;
        let memory = self.address(address)?;
        let whole = Instruction::with2(STORE.of(isa, wide), memory, value);
        match (touched, isa) {
            (None, _) => self.add(whole),
            (Some(1), _) => self.add(Instruction::with2(STORE_ONE.of(isa, false), memory, target_of_four(value))),
            (Some(words), Isa::Avx512) => self.add_masked(whole, words, false),
            (Some(words), Isa::Avx2) => self.store_part(memory, value, words),
        }
    }

    /// Stores four, two and one words, as many as there are: masked stores are slow on some machines.
    fn store_part(&mut self, memory: MemoryOperand, value: Register, words: u32) -> Emitted {
        let (mut done, mut first) = (0, target_of_four(value));
        if words & FOUR != 0 {
            self.add(Instruction::with2(STORE.of(self.isa, false), memory, first))?;
            done = FOUR;
            if words > FOUR {
                first = self.temporary(false);
                self.add(Instruction::with3(Code::VEX_Vextractf128_xmmm128_ymm_imm8, first, value, 1))?;
            }
        }
        if words & 2 != 0 {
            let memory = after(memory, i64::from(done))?;
            self.add(Instruction::with2(Code::VEX_Vmovq_xmmm64_xmm, memory, first))?;
        }
        if words & 1 != 0 {
            let memory = after(memory, i64::from(done + (words & 2)))?;
            self.add(match words & 2 {
                0 => Instruction::with2(STORE_ONE.of(self.isa, false), memory, first),
                third => Instruction::with3(Code::VEX_Vextractps_rm32_xmm_imm8, memory, first, third),
            })?;
        }
        Ok(())
    }

    /// Lanes that lie `stride` elements apart, one by one: gathers are slower on every machine that was measured.
    pub(super) fn load_strided(&mut self, reg: Reg, address: Address, stride: i64, active: ActiveLanes) -> Emitted {
        let (isa, memory, target) = (self.isa, self.address(address)?, self.target(reg));
        let lanes = active.unwrap_or(self.lanes as u32);
        if self.class(reg) == Class::Double {
            self.load_strided_doubles(target, memory, stride, lanes)?;
            return self.keep(reg, target);
        }
        let first = target_of_four(target);
        let other = if lanes > FOUR { self.temporary(false) } else { first };
        for four in 0..lanes.div_ceil(FOUR) {
            let into = if four == 0 { first } else { other };
            for lane in 4 * four..lanes.min(FOUR * (four + 1)) {
                let element = after(memory, i64::from(lane) * stride)?;
                self.add(match lane % FOUR {
                    0 => Instruction::with2(LOAD_ONE.of(isa, false), into, element),
                    place => Instruction::with4(INSERT.of(isa, false), into, into, element, place << 4),
                })?;
            }
            if four > 0 {
                self.add(Instruction::with4(INSERT_FOUR.of(isa, true), target, target, into, four))?;
            }
        }
        self.keep(reg, target)
    }

    /// Lane 4 i + j of the results comes from row 4 i + j: register j collects rows j, 4 + j, 8 + j, ..., and each
    /// group of four lanes is then a matrix of 4 x 4 to transpose.
    pub(super) fn load_transposed(
        &mut self,
        into: &[Reg; 4],
        address: Address,
        stride: i64,
        active: ActiveLanes,
    ) -> Emitted {
        let (isa, wide, memory) = (self.isa, self.is_wide(into[0]), self.address(address)?);
        let lanes = active.unwrap_or(self.lanes as u32);
        let targets = into.map(|reg| self.target(reg));
        let rows = [self.temporary(wide), self.temporary(wide), targets[2], targets[3]];
        for (j, row) in (0..FOUR).zip(rows) {
            if j >= lanes {
                self.clear(row, wide)?;
            }
            for number in (j..lanes).step_by(FOUR as usize) {
                let elements = after(memory, i64::from(number) * stride)?;
                self.add(match number / FOUR {
                    0 => Instruction::with2(LOAD.of(isa, false), target_of_four(row), elements),
                    four => Instruction::with4(INSERT_FOUR.of(isa, true), row, row, elements, four),
                })?;
            }
        }
        let (low, high, shuffle) = (UNPACK_LOW.of(isa, wide), UNPACK_HIGH.of(isa, wide), SHUFFLE.of(isa, wide));
        let [a, b, c, d] = rows;
        let [first, second, third, fourth] = targets;
        self.add(Instruction::with3(low, first, a, b))?;
        self.add(Instruction::with3(high, a, a, b))?;
        self.add(Instruction::with3(low, b, c, d))?;
        self.add(Instruction::with3(high, c, c, d))?;
        self.add(Instruction::with4(shuffle, second, first, b, 0xee_u32))?;
        self.add(Instruction::with4(shuffle, first, first, b, 0x44_u32))?;
        self.add(Instruction::with4(shuffle, fourth, a, c, 0xee_u32))?;
        self.add(Instruction::with4(shuffle, third, a, c, 0x44_u32))?;
        for (reg, target) in into.iter().zip(targets) {
            self.keep(*reg, target)?;
        }
        Ok(())
    }
}

/// The part of a vector register that holds its first four elements.
pub(super) fn target_of_four(register: Register) -> Register {
    // the registers of each size follow each other, thirty-two of a kind
    Register::XMM0 + (register as u32 - Register::XMM0 as u32) % 32
}

/// Memory this many elements further on.
pub(super) fn after(memory: MemoryOperand, elements: i64) -> Emitted<MemoryOperand> {
    let displacement = elements.checked_mul(4).and_then(|bytes| memory.displacement.checked_add(bytes));
    match displacement {
        Some(displacement) if i32::try_from(displacement).is_ok() => Ok(MemoryOperand { displacement, ..memory }),
        _ => Err(Unsupported),
    }
}
