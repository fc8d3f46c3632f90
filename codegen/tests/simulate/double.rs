//! What instructions on doubles do: of two words each, the low one first.

use super::operands::{immediate, size};
use super::vector::{choose_rounded, is_negative, predicate};
use super::{Machine, Vector};
use iced_x86::{Instruction, Mnemonic};

fn double(x: &Vector, n: usize) -> f64 {
    f64::from_bits(u64::from(x[2 * n + 1]) << 32 | u64::from(x[2 * n]))
}

/// The word of a double that a lane of words has.
fn word(x: f64, lane: usize) -> u32 {
    (x.to_bits() >> (32 * (lane % 2))) as u32
}

impl Machine {
    /// Whether it is modelled.
    pub fn double_instruction(&mut self, i: &Instruction) -> Result<bool, String> {
        use Mnemonic::*;
        match i.mnemonic() {
            Vaddpd => self.doubles(i, [1, 2], |[a, b]| a + b),
            Vsubpd => self.doubles(i, [1, 2], |[a, b]| a - b),
            Vmulpd => self.doubles(i, [1, 2], |[a, b]| a * b),
            Vdivpd => self.doubles(i, [1, 2], |[a, b]| a / b),
            // the second where either is not a number or both are zero
            Vmaxpd => self.doubles(i, [1, 2], |[a, b]| if a > b { a } else { b }),
            Vminpd => self.doubles(i, [1, 2], |[a, b]| if a < b { a } else { b }),
            Vsqrtpd => self.doubles(i, [1], |[a]| a.sqrt()),
            Vroundpd => {
                let immediate = immediate(i)?;
                self.doubles(i, [1], |[a]| {
                    choose_rounded(immediate, [a.floor(), a.ceil(), a.trunc(), a.round_ties_even()])
                })
            }
            Vcmppd => {
                let by = immediate(i)?;
                let holds = |a: &Vector, b: &Vector, n| predicate(by, double(a, n), double(b, n));
                self.arrange(i, [1, 2], |[a, b], lane| if holds(a, b, lane / 2) { u32::MAX } else { 0 })
            }
            Vblendvpd => self.arrange(
                i,
                [1, 2, 3],
                |[a, b, mask], lane| {
                    if is_negative(mask[lane | 1]) { b[lane] } else { a[lane] }
                },
            ),
            Vcvtps2pd => self.arrange(i, [1], |[a], lane| word(f32::from_bits(a[lane / 2]).into(), lane)),
            Vcvtdq2pd => self.arrange(i, [1], |[a], lane| word((a[lane / 2] as i32).into(), lane)),
            Vcvtpd2ps => {
                let doubles = size(i, 1) / 8;
                self.arrange(i, [1], |[a], lane| if lane < doubles { (double(a, lane) as f32).to_bits() } else { 0 })
            }
            Vpmovsxdq => self.arrange(i, [1], |[a], lane| {
                let signs = if is_negative(a[lane / 2]) { u32::MAX } else { 0 };
                if lane % 2 == 0 { a[lane / 2] } else { signs }
            }),
            Vmovddup => self.arrange(i, [1], |[a], lane| a[lane / 4 * 4 + lane % 2]),
            Vbroadcastsd => self.arrange(i, [1], |[a], lane| a[lane % 2]),
            Vmovsd if i.op_count() == 2 => self.arrange(i, [1], |[a], lane| if lane < 2 { a[lane] } else { 0 }),
            Vmovhpd if i.op_count() == 3 => {
                self.arrange(i, [1, 2], |[a, b], lane| if lane < 2 { a[lane] } else { b[lane - 2] })
            }
            _ => return Ok(false),
        }?;
        Ok(true)
    }

    fn doubles<const N: usize>(
        &mut self,
        i: &Instruction,
        sources: [u32; N],
        f: impl Fn([f64; N]) -> f64,
    ) -> Result<(), String> {
        self.arrange(i, sources, |operands, lane| {
            word(f(std::array::from_fn(|n| double(&operands[n], lane / 2))), lane)
        })
    }
}
