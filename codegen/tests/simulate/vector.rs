//! What instructions on vectors and masks do.

use super::operands::{covers, immediate, lanes, size};
use super::{Flags, Machine, Vector};
use iced_x86::{Instruction, Mnemonic, OpKind};

fn byte(x: &Vector, n: usize) -> u8 {
    x[n / 4].to_le_bytes()[n % 4]
}

/// A lane from its four bytes, by their numbers in the vector.
fn bytes(lane: usize, f: impl Fn(usize) -> u8) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| f(lane * 4 + n)))
}

/// The two bits of a shuffle's immediate for a lane, which choose among four.
fn choice(immediate: u8, lane: usize) -> usize {
    usize::from(immediate >> (lane % 4 * 2) & 3)
}

/// The first lane of the 128 bits that a lane lies in.
fn group(lane: usize) -> usize {
    lane & !3
}

pub fn is_negative(x: u32) -> bool {
    (x as i32) < 0
}

fn negative_lanes(x: &Vector) -> u16 {
    (0..16).filter(|&lane| is_negative(x[lane])).fold(0, |lanes, lane| lanes | 1 << lane)
}

/// The predicates of `vcmpps` and `vcmppd`: from 16 on they differ only in which not-a-numbers they signal.
pub fn predicate(predicate: u8, a: f64, b: f64) -> bool {
    let (less, equal, greater) = (a < b, a == b, a > b);
    let unordered = !(less || equal || greater);
    match predicate & 15 {
        0 => equal,
        1 => less,
        2 => less || equal,
        3 => unordered,
        4 => !equal,
        5 => !less,
        6 => !(less || equal),
        7 => !unordered,
        8 => equal || unordered,
        9 => less || unordered,
        10 => less || equal || unordered,
        11 => false,
        12 => less || greater,
        13 => equal || greater,
        14 => greater,
        _ => true,
    }
}

fn integer_predicate(predicate: u8, a: i64, b: i64) -> bool {
    match predicate & 7 {
        0 => a == b,
        1 => a < b,
        2 => a <= b,
        3 => false,
        4 => a != b,
        5 => a >= b,
        6 => a > b,
        _ => true,
    }
}

/// A number rounded down, up, towards zero or to even, as the immediate says.
pub fn choose_rounded<T>(immediate: u8, [down, up, to_zero, to_even]: [T; 4]) -> T {
    match immediate & 7 {
        1 => down,
        2 => up,
        3 => to_zero,
        _ => to_even,
    }
}

impl Machine {
    /// Whether it is modelled.
    pub fn vector_instruction(&mut self, i: &Instruction) -> Result<bool, String> {
        use Mnemonic::*;
        match i.mnemonic() {
            Vaddps | Vaddss => self.floats(i, [1, 2], |[a, b]| a + b),
            Vsubps | Vsubss => self.floats(i, [1, 2], |[a, b]| a - b),
            Vmulps | Vmulss => self.floats(i, [1, 2], |[a, b]| a * b),
            Vdivps | Vdivss => self.floats(i, [1, 2], |[a, b]| a / b),
            // the second where either is not a number or both are zero
            Vmaxps | Vmaxss => self.floats(i, [1, 2], |[a, b]| if a > b { a } else { b }),
            Vminps | Vminss => self.floats(i, [1, 2], |[a, b]| if a < b { a } else { b }),
            Vsqrtps => self.floats(i, [1], |[a]| a.sqrt()),
            Vsqrtss => self.floats(i, [2], |[a]| a.sqrt()),
            Vfmadd132ps | Vfmadd132ss => self.floats(i, [0, 1, 2], |[a, b, c]| bayeslift_ir::fma(a, c, b)),
            Vfmadd213ps | Vfmadd213ss => self.floats(i, [0, 1, 2], |[a, b, c]| bayeslift_ir::fma(b, a, c)),
            Vfmadd231ps | Vfmadd231ss => self.floats(i, [0, 1, 2], |[a, b, c]| bayeslift_ir::fma(b, c, a)),
            Vroundps | Vroundss | Vrndscaleps | Vrndscaless => {
                let immediate = immediate(i)?;
                if immediate >> 4 != 0 {
                    return Err("rounding to fractions is not modelled".into());
                }
                let source = if matches!(i.mnemonic(), Vroundss | Vrndscaless) { 2 } else { 1 };
                self.floats(i, [source], |[a]| {
                    choose_rounded(immediate, [a.floor(), a.ceil(), a.trunc(), a.round_ties_even()])
                })
            }
            Vcvtdq2ps => self.lanewise(i, [1], |[a]| (a as i32 as f32).to_bits()),

            Vpaddd => self.lanewise(i, [1, 2], |[a, b]| a.wrapping_add(b)),
            Vpsubd => self.lanewise(i, [1, 2], |[a, b]| a.wrapping_sub(b)),
            Vpmulld => self.lanewise(i, [1, 2], |[a, b]| a.wrapping_mul(b)),
            Vpand | Vpandd | Vandps => self.lanewise(i, [1, 2], |[a, b]| a & b),
            Vpandn | Vpandnd | Vandnps => self.lanewise(i, [1, 2], |[a, b]| !a & b),
            Vpor | Vpord | Vorps => self.lanewise(i, [1, 2], |[a, b]| a | b),
            Vpxor | Vpxord | Vxorps => self.lanewise(i, [1, 2], |[a, b]| a ^ b),
            Vpslld => self.shift(i, |a, by| a.checked_shl(by).unwrap_or(0)),
            Vpsrld => self.shift(i, |a, by| a.checked_shr(by).unwrap_or(0)),
            Vpsrad => self.shift(i, |a, by| (a as i32 >> by.min(31)) as u32),
            Vprold => self.shift(i, |a, by| a.rotate_left(by % 32)),
            Vpternlogd => {
                let table = immediate(i)?;
                self.lanewise(i, [0, 1, 2], |abc| {
                    let row = |n: u32| abc.iter().fold(0, |row, x| row << 1 | (x >> n & 1));
                    (0..32).fold(0, |result, n| result | u32::from(table >> row(n) & 1) << n)
                })
            }

            Vcmpps => {
                let by = immediate(i)?;
                self.compare(i, |a, b| predicate(by, f32::from_bits(a).into(), f32::from_bits(b).into()))
            }
            Vpcmpeqd => self.compare(i, |a, b| a == b),
            Vpcmpgtd => self.compare(i, |a, b| a as i32 > b as i32),
            Vpcmpd => {
                let predicate = immediate(i)?;
                self.compare(i, |a, b| integer_predicate(predicate, i64::from(a as i32), i64::from(b as i32)))
            }
            Vpcmpud => {
                let predicate = immediate(i)?;
                self.compare(i, |a, b| integer_predicate(predicate, i64::from(a), i64::from(b)))
            }

            Vpshufb if i.has_op_mask() => Err("masks of bytes are not modelled".into()),
            Vpshufb => self.arrange(i, [1, 2], |[a, control], lane| {
                bytes(lane, |n| match byte(control, n) {
                    zero if zero & 0x80 != 0 => 0,
                    from => byte(a, group(lane) * 4 + usize::from(from & 15)),
                })
            }),
            Vpermilps if i.op_kind(2) != OpKind::Immediate8 => {
                self.arrange(i, [1, 2], |[a, control], lane| a[group(lane) + (control[lane] & 3) as usize])
            }
            Vpshufd | Vpermilps => {
                let immediate = immediate(i)?;
                self.arrange(i, [1], |[a], lane| a[group(lane) + choice(immediate, lane)])
            }
            Vshufps => {
                let immediate = immediate(i)?;
                self.arrange(i, [1, 2], |[a, b], lane| {
                    let from = if lane % 4 < 2 { a } else { b };
                    from[group(lane) + choice(immediate, lane)]
                })
            }
            Vunpcklps => self.arrange(i, [1, 2], |ab, lane| ab[lane % 2][group(lane) + lane % 4 / 2]),
            Vunpckhps => self.arrange(i, [1, 2], |ab, lane| ab[lane % 2][group(lane) + 2 + lane % 4 / 2]),
            Vinsertps => {
                let immediate = immediate(i)?;
                // memory has one element
                let from = if i.op_kind(2) == OpKind::Memory { 0 } else { usize::from(immediate >> 6) };
                self.arrange(i, [1, 2], |[a, b], lane| match lane {
                    _ if immediate >> lane & 1 == 1 => 0,
                    _ if lane == usize::from(immediate >> 4 & 3) => b[from],
                    _ => a[lane],
                })
            }
            Vshuff64x2 => {
                let immediate = immediate(i)?;
                self.arrange(i, [1, 2], |[a, b], lane| {
                    let from = if lane / 4 < 2 { a } else { b };
                    from[choice(immediate, lane / 4) * 4 + lane % 4]
                })
            }
            Vinsertf128 | Vinserti128 | Vinsertf32x4 | Vinserti32x4 => {
                let at = usize::from(immediate(i)?) % (lanes(i) / 4);
                self.arrange(i, [1, 2], |[a, b], lane| if lane / 4 == at { b[lane % 4] } else { a[lane] })
            }
            Vextractf128 | Vextracti128 | Vextractf32x4 | Vextracti32x4 => {
                let from = usize::from(immediate(i)?) % (size(i, 1) / 16);
                self.arrange(i, [1], |[a], lane| a[from * 4 + lane])
            }
            Vextractps => {
                let (x, from) = (self.vector_register(i.op_register(1))?, usize::from(immediate(i)? & 3));
                self.set_integer(i, 0, u64::from(x[from]))
            }
            Vperm2f128 | Vperm2i128 => {
                let immediate = immediate(i)?;
                self.arrange(i, [1, 2], |ab, lane| {
                    let control = usize::from(immediate >> (lane / 4 * 4));
                    if control & 8 != 0 { 0 } else { ab[control >> 1 & 1][(control & 1) * 4 + lane % 4] }
                })
            }

            Vblendps | Vpblendd => {
                let immediate = immediate(i)?;
                self.arrange(i, [1, 2], |[a, b], lane| if immediate >> lane & 1 == 1 { b[lane] } else { a[lane] })
            }
            Vblendvps => self.lanewise(i, [1, 2, 3], |[a, b, mask]| if is_negative(mask) { b } else { a }),
            Vpblendvb => self.arrange(i, [1, 2, 3], |[a, b, mask], lane| {
                bytes(lane, |n| byte(if byte(mask, n) & 0x80 != 0 { b } else { a }, n))
            }),
            Vblendmps | Vpblendmd => {
                let active = self.active(i)?;
                let (a, b) = (self.vector(i, 1, active)?, self.vector(i, 2, active)?);
                let other = |lane: usize| if i.zeroing_masking() { 0 } else { a[lane] };
                let result = |lane: usize| if active >> lane & 1 == 1 { b[lane] } else { other(lane) };
                self.set_vector_register(i.op_register(0), std::array::from_fn(result));
                Ok(())
            }

            Vbroadcastss | Vpbroadcastd if i.op_register(1).is_gpr() => {
                let x = self.register(i.op_register(1))? as u32;
                self.put(i, [x; 16])
            }
            Vbroadcastss | Vpbroadcastd => self.arrange(i, [1], |[a], _| a[0]),
            Vmovups | Vmovaps | Vmovdqu | Vmovdqa | Vmovdqu32 | Vmovdqa32 => self.lanewise(i, [1], |[a]| a),
            Vmovss => self.lanewise(i, [i.op_count() - 1], |[a]| a),
            Vmovd | Vmovq => self.move_integer(i),
            Vmaskmovps | Vpmaskmovd => {
                let mask = self.vector(i, 1, u16::MAX)?;
                let active = negative_lanes(&mask);
                if i.op_kind(0) == OpKind::Memory {
                    let (address, x) = (self.address(i, 0, 0)?, self.vector(i, 2, u16::MAX)?);
                    self.store(address, &x[..lanes(i)], active)
                } else {
                    let x = self.vector(i, 2, active)?;
                    self.put(i, x)
                }
            }
            Vpgatherdd | Vgatherdps => self.gather(i),
            Vzeroupper => {
                self.vectors[..16].iter_mut().for_each(|x| x[4..].fill(0));
                self.dirty = false;
                Ok(())
            }

            Kmovb | Kmovw | Kmovd | Kmovq => {
                let bits = match i.mnemonic() {
                    Kmovb => 8,
                    Kmovw => 16,
                    Kmovd => 32,
                    _ => 64,
                };
                let x = self.integer(i, 1)?;
                self.set_integer(i, 0, x & (u64::MAX >> (64 - bits)))
            }
            Kandw => self.masks(i, |a, b| a & b),
            Kandnw => self.masks(i, |a, b| !a & b),
            Korw => self.masks(i, |a, b| a | b),
            Kxorw => self.masks(i, |a, b| a ^ b),
            Kxnorw => self.masks(i, |a, b| !(a ^ b)),
            Knotw => {
                let x = self.integer(i, 1)?;
                self.set_integer(i, 0, u64::from(!(x as u16)))
            }
            Kortestw => {
                let x = (self.integer(i, 0)? | self.integer(i, 1)?) as u16;
                let flags = Flags { zero: x == 0, carry: x == u16::MAX, sign: false, overflow: false };
                self.flags = Some(flags);
                Ok(())
            }
            _ => return Ok(false),
        }?;
        Ok(true)
    }

    fn shift(&mut self, i: &Instruction, f: impl Fn(u32, u32) -> u32) -> Result<(), String> {
        let by = u32::from(immediate(i)?);
        self.lanewise(i, [1], |[a]| f(a, by))
    }

    fn masks(&mut self, i: &Instruction, f: impl Fn(u16, u16) -> u16) -> Result<(), String> {
        let (a, b) = (self.integer(i, 1)?, self.integer(i, 2)?);
        self.set_integer(i, 0, u64::from(f(a as u16, b as u16)))
    }

    /// Between the first one or two lanes of a vector and an integer.
    fn move_integer(&mut self, i: &Instruction) -> Result<(), String> {
        let is_vector = |operand| i.op_kind(operand) == OpKind::Register && i.op_register(operand).is_vector_register();
        let double = i.mnemonic() == Mnemonic::Vmovq;
        let x = match is_vector(1) {
            true => {
                let x = self.vector_register(i.op_register(1))?;
                u64::from(x[0]) | if double { u64::from(x[1]) << 32 } else { 0 }
            }
            false => self.integer(i, 1)?,
        };
        if !is_vector(0) {
            return self.set_integer(i, 0, x);
        }
        let mut lanes = [0; 16];
        (lanes[0], lanes[1]) = (x as u32, (x >> 32) as u32);
        self.put(i, lanes)
    }

    /// EVEX takes a mask register, VEX the signs of its third operand; both are cleared.
    fn gather(&mut self, i: &Instruction) -> Result<(), String> {
        let (target, index) = (i.op_register(0), i.memory_index());
        let by_sign = i.op_count() == 3;
        let mask = if by_sign { i.op_register(2) } else { i.op_mask() };
        if target.number() == index.number() || by_sign && [target.number(), index.number()].contains(&mask.number()) {
            return Err("gathers with registers that are not distinct".into());
        }
        let active = match by_sign {
            true => negative_lanes(&self.vector_register(mask)?),
            false => self.active(i)?,
        };
        let mut x = if covers(active, lanes(i)) { [0; 16] } else { self.vector_register(target)? };
        for (lane, x) in x[..lanes(i)].iter_mut().enumerate().filter(|(lane, _)| active >> lane & 1 == 1) {
            *x = self.memory.read_word(self.address(i, 1, lane)?)?;
        }
        self.set_vector_register(target, x);
        match by_sign {
            true => self.set_vector_register(mask, [0; 16]),
            false => self.set_register(mask, 0),
        }
        Ok(())
    }
}
