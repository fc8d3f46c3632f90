//! What instructions on general registers do, and jumps.

use super::operands::size;
use super::{Flags, Machine};
use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

fn sign_extended(x: u64, size: usize) -> i64 {
    let unused = 64 - size * 8;
    (x << unused) as i64 >> unused
}

impl Machine {
    /// Whether it is modelled.
    pub fn general_instruction(&mut self, i: &Instruction) -> Result<bool, String> {
        use Mnemonic::*;
        match i.mnemonic() {
            Mov => self.set_integer(i, 0, self.integer(i, 1)?),
            Movsxd => self.set_integer(i, 0, sign_extended(self.integer(i, 1)?, size(i, 1)) as u64),
            Lea => self.set_integer(i, 0, self.address(i, 1, 0)?),
            Add => {
                let (a, b) = (self.integer(i, 0)?, self.integer(i, 1)?);
                let sum = self.arithmetic(i, a, b, a.wrapping_add(b), |a, b, sum| (sum < a, !(a ^ b) & (a ^ sum)));
                self.set_integer(i, 0, sum)
            }
            Sub | Cmp => {
                let (a, b) = (self.integer(i, 0)?, self.integer(i, 1)?);
                let difference = self.subtract(i, a, b);
                if i.mnemonic() == Cmp { Ok(()) } else { self.set_integer(i, 0, difference) }
            }
            Neg => {
                let a = self.integer(i, 0)?;
                let difference = self.subtract(i, 0, a);
                self.set_integer(i, 0, difference)
            }
            Inc | Dec => {
                let a = self.integer(i, 0)?;
                let carry = self.flags.map(|flags| flags.carry);
                let result = match i.mnemonic() {
                    Inc => self.arithmetic(i, a, 1, a.wrapping_add(1), |a, b, sum| (false, !(a ^ b) & (a ^ sum))),
                    _ => self.subtract(i, a, 1),
                };
                self.flags = self.flags.zip(carry).map(|(flags, carry)| Flags { carry, ..flags });
                self.set_integer(i, 0, result)
            }
            And | Test => self.logic(i, |a, b| a & b),
            Or => self.logic(i, |a, b| a | b),
            Xor => self.logic(i, |a, b| a ^ b),
            Not => self.set_integer(i, 0, !self.integer(i, 0)?),
            Shl => self.shift_integer(i, |a, by, _| a << by),
            Shr => self.shift_integer(i, |a, by, _| a >> by),
            Sar => self.shift_integer(i, |a, by, size| (sign_extended(a, size) >> by) as u64),
            Imul if i.op_count() >= 2 => {
                let (a, b) = match i.op_count() {
                    2 => (self.integer(i, 0)?, self.integer(i, 1)?),
                    _ => (self.integer(i, 1)?, self.integer(i, 2)?),
                };
                self.flags = None;
                self.set_integer(i, 0, a.wrapping_mul(b))
            }
            Div => self.divide(i),
            Cmovl | Cmovge | Cmovg | Cmovle | Cmove | Cmovne | Cmovb | Cmovae | Cmova | Cmovbe | Cmovs | Cmovns => {
                let (old, new) = (self.integer(i, 0)?, self.integer(i, 1)?);
                let moves = self.holds(i.condition_code())?;
                self.set_integer(i, 0, if moves { new } else { old })
            }
            Jl | Jge | Jg | Jle | Je | Jne | Jb | Jae | Ja | Jbe | Js | Jns => {
                if self.holds(i.condition_code())? {
                    self.ip = i.near_branch_target();
                }
                Ok(())
            }
            Jmp if matches!(i.op_kind(0), OpKind::NearBranch64) => {
                self.ip = i.near_branch_target();
                Ok(())
            }
            Push if size(i, 0) == 8 => {
                // what is preserved may be pushed though nothing has written it
                let x = match i.op_kind(0) {
                    OpKind::Register => self.general[i.op_register(0).number()],
                    _ => self.integer(i, 0)?,
                };
                let rsp = self.register(Register::RSP)?.wrapping_sub(8);
                self.set_register(Register::RSP, rsp);
                self.write(rsp, &x.to_le_bytes())
            }
            Pop if size(i, 0) == 8 => {
                let x = self.pop()?;
                self.set_integer(i, 0, x)
            }
            Ret if i.op_count() == 0 => {
                self.ip = self.pop()?;
                Ok(())
            }
            Nop | Prefetcht0 | Prefetcht1 | Prefetcht2 | Prefetchnta => Ok(()),
            _ => return Ok(false),
        }?;
        Ok(true)
    }

    fn pop(&mut self) -> Result<u64, String> {
        let rsp = self.register(Register::RSP)?;
        let x = u64::from_le_bytes(self.memory.read(rsp, 8)?.try_into().expect("eight bytes"));
        self.set_register(Register::RSP, rsp.wrapping_add(8));
        Ok(x)
    }

    /// Cuts a result to the operands' size and sets the flags: the carry, and the overflow from a sign.
    fn arithmetic(
        &mut self,
        i: &Instruction,
        a: u64,
        b: u64,
        result: u64,
        carry_and_overflow: impl Fn(u64, u64, u64) -> (bool, u64),
    ) -> u64 {
        let bits = size(i, 0) * 8;
        let result = result & (u64::MAX >> (64 - bits));
        let (carry, overflow) = carry_and_overflow(a, b, result);
        let is_negative = |x: u64| x >> (bits - 1) & 1 == 1;
        let flags = Flags { zero: result == 0, sign: is_negative(result), carry, overflow: is_negative(overflow) };
        self.flags = Some(flags);
        result
    }

    fn subtract(&mut self, i: &Instruction, a: u64, b: u64) -> u64 {
        self.arithmetic(i, a, b, a.wrapping_sub(b), |a, b, difference| (a < b, (a ^ b) & (a ^ difference)))
    }

    fn logic(&mut self, i: &Instruction, f: impl Fn(u64, u64) -> u64) -> Result<(), String> {
        let (a, b) = (self.integer(i, 0)?, self.integer(i, 1)?);
        let result = self.arithmetic(i, a, b, f(a, b), |_, _, _| (false, 0));
        if i.mnemonic() == Mnemonic::Test { Ok(()) } else { self.set_integer(i, 0, result) }
    }

    fn shift_integer(&mut self, i: &Instruction, f: impl Fn(u64, u32, usize) -> u64) -> Result<(), String> {
        let by = self.integer(i, 1)? as u32 & if size(i, 0) == 8 { 63 } else { 31 };
        if by != 0 {
            // they are partly undefined
            self.flags = None;
        }
        let result = f(self.integer(i, 0)?, by, size(i, 0));
        self.set_integer(i, 0, result)
    }

    /// Quotient and remainder of rdx:rax.
    fn divide(&mut self, i: &Instruction) -> Result<(), String> {
        let (low, high, bits) = match size(i, 0) {
            8 => (Register::RAX, Register::RDX, 64),
            4 => (Register::EAX, Register::EDX, 32),
            _ => return Err("division of this size is not modelled".into()),
        };
        let dividend = u128::from(self.register(high)?) << bits | u128::from(self.register(low)?);
        let divisor = u128::from(self.integer(i, 0)?);
        let quotient = dividend.checked_div(divisor).filter(|quotient| quotient >> bits == 0);
        let quotient = quotient.ok_or_else(|| format!("faults: {dividend} divided by {divisor}"))?;
        self.set_register(low, quotient as u64);
        self.set_register(high, (dividend % divisor) as u64);
        self.flags = None;
        Ok(())
    }

    fn holds(&self, condition: ConditionCode) -> Result<bool, String> {
        let Flags { zero, sign, carry, overflow } = self.flags.ok_or("depends on flags that nothing has set")?;
        Ok(match condition {
            ConditionCode::e => zero,
            ConditionCode::ne => !zero,
            ConditionCode::l => sign != overflow,
            ConditionCode::ge => sign == overflow,
            ConditionCode::le => zero || sign != overflow,
            ConditionCode::g => !zero && sign == overflow,
            ConditionCode::b => carry,
            ConditionCode::ae => !carry,
            ConditionCode::be => carry || zero,
            ConditionCode::a => !carry && !zero,
            ConditionCode::s => sign,
            ConditionCode::ns => !sign,
            _ => return Err(format!("the condition {condition:?} is not modelled")),
        })
    }
}
