//! The text form of tile code, for reading and for tests.

use crate::tile::{Address, Base, Carried, Class, Inst, Part, Reg, Stmt, TileKernel};
use std::fmt::{self, Display, Formatter};

/// One statement a line; `*` marks vectors. Registers are numbered in the order they appear.
impl Display for TileKernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "tiles {:?}..{:?}, {} arguments, {} scratch bytes",
            self.begin, self.end, self.arguments, self.scratch_bytes
        )?;
        block(self, &self.body, 1, f)
    }
}

fn block(kernel: &TileKernel, stmts: &[Stmt], depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for stmt in stmts {
        match stmt {
            Stmt::Let(reg, inst) => {
                let mark = if kernel.regs[reg.0 as usize].vector { "*" } else { "" };
                writeln!(f, "{indent}{reg:?}{mark} = {}", Operation(*inst))?;
            }
            Stmt::Store(address, reg, part) => {
                writeln!(f, "{indent}{}{} = {reg:?}", Place(*address), Lanes(*part))?;
            }
            Stmt::Prefetch(address) => writeln!(f, "{indent}prefetch {}", Place(*address))?,
            Stmt::LoadTransposed { into, address, stride, part, .. } => {
                write!(f, "{indent}{:?} = load transposed {}", into, Place(*address))?;
                writeln!(f, " stride {stride}{}", Lanes(*part))?;
            }
            Stmt::Loop { counter, start, end, step, carried, body } => {
                write!(f, "{indent}for {counter:?} in {start:?}..{end:?} step {step}")?;
                for Carried { reg, initial, next } in carried {
                    write!(f, ", {reg:?} = {initial:?} then {next:?}")?;
                }
                writeln!(f)?;
                block(kernel, body, depth + 1, f)?;
            }
        }
    }
    Ok(())
}

struct Place(Address);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Address { base, index, offset } = self.0;
        match base {
            Base::Argument(i) => write!(f, "argument{i}")?,
            Base::Scratch => write!(f, "scratch")?,
        }
        match offset {
            0 => write!(f, "[{index:?}]"),
            _ => write!(f, "[{index:?} + {offset}]"),
        }
    }
}

struct Lanes(Part);

impl Display for Lanes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |lanes| write!(f, " first {lanes}"))
    }
}

struct Operation(Inst);

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let class = |class: Class| match class {
            Class::Float => "float",
            Class::Int => "int",
            Class::Mask => "mask",
            Class::Index => "index",
        };
        let name = |op: &dyn fmt::Debug| format!("{op:?}").to_lowercase();
        let mut call = |op: &str, args: &[Reg]| {
            write!(f, "{op}")?;
            args.iter().try_for_each(|arg| write!(f, " {arg:?}"))
        };
        match self.0 {
            Inst::Float(bits) => write!(f, "{:?}", f32::from_bits(bits)),
            Inst::Int(word) => write!(f, "{word:#x}"),
            Inst::Unary(op, a) => call(&name(&op), &[a]),
            Inst::Binary(op, a, b) => call(&name(&op), &[a, b]),
            Inst::Fma(a, b, c) => call("fma", &[a, b, c]),
            Inst::Compare(op, a, b) => call(&name(&op), &[a, b]),
            Inst::Select(m, a, b) => call("select", &[m, a, b]),
            Inst::Bits(a) => call("bits", &[a]),
            Inst::FromBits(a) => call("float_of_bits", &[a]),
            Inst::ToFloat(a) => call("to_float", &[a]),
            Inst::IntBinary(op, a, b) => call(&format!("int_{}", name(&op)), &[a, b]),
            Inst::Shift(op, a, by) => write!(f, "shift_{} {a:?} by {by}", name(&op)),
            Inst::IntEqual(a, b) => call("int_equal", &[a, b]),
            Inst::IntLess(a, b) => call("int_less", &[a, b]),
            Inst::Splat(a) => call("splat", &[a]),
            Inst::LaneNumbers => call("lane_numbers", &[]),
            Inst::Halves(a, b, false) => call("lower_halves", &[a, b]),
            Inst::Halves(a, b, true) => call("upper_halves", &[a, b]),
            Inst::Load(of, address, part) => write!(f, "load {} {}{}", class(of), Place(address), Lanes(part)),
            Inst::LoadStrided(of, address, stride, part) => {
                write!(f, "load {} {} stride {stride}{}", class(of), Place(address), Lanes(part))
            }
            Inst::IndexLow(a) => call("low", &[a]),
            Inst::IndexHigh(a) => call("high", &[a]),
            Inst::IndexFrom(low, high) => call("index", &[low, high]),
            Inst::Index(x) => write!(f, "{x}"),
            Inst::IndexAdd(a, b) => call("index_add", &[a, b]),
            Inst::IndexScale(a, by) => write!(f, "index_scale {a:?} by {by}"),
            Inst::IndexDiv(a, by) => write!(f, "index_div {a:?} by {by}"),
            Inst::IndexRem(a, by) => write!(f, "index_rem {a:?} by {by}"),
            Inst::IndexMin(a, b) => call("index_min", &[a, b]),
        }
    }
}
