//! Operations as expressions in C.

use super::Printer;
use crate::tile::{Class, FloatBinary, FloatCompare, FloatUnary, Inst, IntBinary, Reg, Shift};

/// What a constant is in C.
pub(super) fn constant(inst: Inst, prefix: &str) -> Option<String> {
    match inst {
        Inst::Float(bits) => Some(match f32::from_bits(bits) {
            x if x.is_finite() => format!("{}f", number(x.into())),
            _ => format!("{prefix}_float_of({bits:#x}u)"),
        }),
        Inst::Double(bits) => Some(match f64::from_bits(bits) {
            x if x.is_finite() => number(x),
            _ => format!("{prefix}_double_of_long({bits:#x}u)"),
        }),
        Inst::Int(word) if word < 1 << 10 => Some(format!("{word}u")),
        Inst::Int(word) => Some(format!("{word:#x}u")),
        Inst::Index(i64::MIN) => Some("(-9223372036854775807 - 1)".into()),
        Inst::Index(x) => Some(x.to_string()),
        _ => None,
    }
}

/// A number as C reads it back: without a point if it is whole and small, else by a power of two.
fn number(x: f64) -> String {
    /// The numbers that decimals are exact for, also as `f32`.
    const SMALL: f64 = 1_000_000.0;
    if x.fract() == 0.0 && x.abs() < SMALL {
        return format!("{x:.1}");
    }
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
    let (whole, power) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let zeros = whole.trailing_zeros();
    let sign = if x.is_sign_negative() { "-" } else { "" };
    format!("{sign}{:#x}p{}", whole >> zeros, power + i64::from(zeros))
}

impl Printer<'_> {
    /// The expression of an operation whose result is `reg`.
    pub(super) fn inst(&mut self, reg: Reg, inst: Inst) -> String {
        let prefix = self.prefix;
        let name = |reg: Reg| self.name(reg).to_owned();
        let of_doubles = |a: Reg| if self.is_double(a) { "_double" } else { "" };
        match inst {
            Inst::Unary(op, a) => {
                let op = match op {
                    FloatUnary::Sqrt => "sqrt",
                    FloatUnary::Neg => "neg",
                    FloatUnary::Abs => "abs",
                    FloatUnary::Floor => "floor",
                };
                format!("{prefix}_{op}{}({})", of_doubles(a), name(a))
            }
            Inst::Binary(op, x, y) => {
                let (a, b) = (name(x), name(y));
                match op {
                    FloatBinary::Add => format!("{a} + {b}"),
                    FloatBinary::Sub => format!("{a} - {b}"),
                    FloatBinary::Mul => format!("{prefix}_mul{}({a}, {b})", of_doubles(x)),
                    FloatBinary::Div => format!("{a} / {b}"),
                    FloatBinary::Max => format!("({a} > {b}) ? {a} : {b}"),
                    FloatBinary::Min => format!("({a} < {b}) ? {a} : {b}"),
                }
            }
            Inst::Fma(a, b, c) => format!("{prefix}_fma({}, {}, {})", name(a), name(b), name(c)),
            Inst::Compare(op, a, b) => {
                let op = match op {
                    FloatCompare::Less => "<",
                    FloatCompare::LessEqual => "<=",
                    FloatCompare::Equal => "==",
                };
                format!("{} {op} {}", name(a), name(b))
            }
            Inst::Select(mask, a, b) => format!("({} != 0) ? {} : {}", name(mask), name(a), name(b)),
            Inst::Bits(a) => format!("{prefix}_bits_of({})", name(a)),
            Inst::FromBits(a) => format!("{prefix}_float_of({})", name(a)),
            Inst::ToFloat(a) => format!("(float)(int32_t){}", name(a)),
            Inst::Widen(a) => format!("(double){}", name(a)),
            Inst::Narrow(a) => format!("(float){}", name(a)),
            Inst::ToDouble(a) => format!("(double)(int32_t){}", name(a)),
            Inst::HighWord(a) => format!("{prefix}_high_word({})", name(a)),
            Inst::LowWord(a) => format!("{prefix}_low_word({})", name(a)),
            Inst::FromWords(high, low) => format!("{prefix}_double_of({}, {})", name(high), name(low)),
            Inst::IntBinary(op, a, b) => {
                let op = match op {
                    IntBinary::Add => "+",
                    IntBinary::Sub => "-",
                    IntBinary::And => "&",
                    IntBinary::Or => "|",
                    IntBinary::Xor => "^",
                };
                format!("{} {op} {}", name(a), name(b))
            }
            Inst::Shift(op, a, by) => {
                let a = name(a);
                match op {
                    Shift::Left => format!("{a} << {by}u"),
                    Shift::LogicalRight => format!("{a} >> {by}u"),
                    Shift::ArithmeticRight => format!("(uint32_t)((int32_t){a} >> {by}u)"),
                    Shift::RotateLeft => format!("({a} << {by}u) | ({a} >> {}u)", 32 - by),
                }
            }
            Inst::IntEqual(a, b) => format!("{} == {}", name(a), name(b)),
            Inst::IntLess(a, b) => format!("(int32_t){} < (int32_t){}", name(a), name(b)),
            Inst::Load(Class::Double, address, _) => {
                let at = self.element(address, false, false);
                format!("{prefix}_get_double(&{at})")
            }
            Inst::Load(class, address, _) => self.element(address, class == Class::Float, false),
            Inst::IndexLow(a) => format!("(uint32_t){}", name(a)),
            Inst::IndexHigh(a) => format!("(uint32_t)((uint64_t)(int64_t){} >> 32u)", name(a)),
            Inst::IndexFrom(low, high) => format!("(int64_t)(((uint64_t){} << 32u) | {})", name(high), name(low)),
            Inst::IndexAdd(a, b)
                if self.ranges.is_narrow(a) && self.ranges.is_narrow(b) && self.ranges.is_narrow(reg) =>
            {
                format!("{} + {}", name(a), name(b))
            }
            Inst::IndexScale(a, by) if self.ranges.is_narrow(a) && self.ranges.is_narrow(reg) => {
                format!("{} * {by}", name(a))
            }
            Inst::IndexAdd(a, b) => self.index(reg, a, "+", &name(b)),
            Inst::IndexScale(a, by) => self.index(reg, a, "*", &by.to_string()),
            Inst::IndexDiv(a, by) => self.quotient(reg, a, '/', by),
            Inst::IndexRem(a, by) => self.quotient(reg, a, '%', by),
            Inst::IndexMin(a, b) => {
                let (a, b) = (name(a), name(b));
                format!("({a} < {b}) ? {a} : {b}")
            }
            Inst::Float(_) | Inst::Double(_) | Inst::Int(_) | Inst::Index(_) => {
                constant(inst, prefix).expect("constants are said above")
            }
            Inst::Splat(_) | Inst::LaneNumbers | Inst::Halves(..) | Inst::LoadStrided(..) => {
                unreachable!("it makes vectors")
            }
        }
    }

    /// What fits in 32 bits cannot overflow; all else is modulo 2^64.
    fn index(&self, reg: Reg, a: Reg, op: &str, b: &str) -> String {
        let a = self.name(a);
        match self.ranges.is_narrow(reg) {
            true => format!("(ptrdiff_t)({a} {op} {b})"),
            false => format!("(int64_t)((uint64_t){a} {op} (uint64_t)({b}))"),
        }
    }

    fn quotient(&self, reg: Reg, of: Reg, op: char, by: i64) -> String {
        let a = self.name(of);
        if self.ranges.is_narrow(reg) && !self.ranges.is_narrow(of) {
            format!("(ptrdiff_t)({a} {op} {by})")
        } else {
            format!("{a} {op} {by}")
        }
    }
}
