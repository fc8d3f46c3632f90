//! Printing tile code.

use crate::tile::{ActiveLanes, Address, Carried, Inst, Reg, Stmt, TileKernel};
use std::fmt::{self, Display, Formatter};

impl Display for TileKernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", header(self))?;
        block(self, &self.body, 1, f)
    }
}

fn block(kernel: &TileKernel, stmts: &[Stmt], depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for stmt in stmts {
        writeln!(f, "{:1$}{2}", "", 2 * depth, Line(kernel, stmt))?;
        if let Stmt::Loop { body, .. } = stmt {
            block(kernel, body, depth + 1, f)?;
        }
    }
    Ok(())
}

/// The first line.
pub(in crate::tile) fn header(kernel: &TileKernel) -> String {
    let TileKernel { begin, end, arguments, scratch_bytes, .. } = kernel;
    format!("tiles {begin:?}..{end:?}, {arguments} arguments, {scratch_bytes} scratch bytes")
}

/// The line of a statement, without its indentation.
pub(in crate::tile) fn statement(kernel: &TileKernel, stmt: &Stmt) -> String {
    Line(kernel, stmt).to_string()
}

/// A statement, without a loop's body.
struct Line<'k>(&'k TileKernel, &'k Stmt);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line(kernel, stmt) = self;
        match stmt {
            Stmt::Let(reg, inst) => write!(f, "{} = {}", Defined(kernel, *reg), Operation(*inst)),
            Stmt::Store(address, reg, active) => write!(f, "{}{} = {reg:?}", Place(*address), Active(*active)),
            Stmt::Prefetch(address) => write!(f, "prefetch {}", Place(*address)),
            Stmt::LoadTransposed { into, class, address, stride, active } => {
                let [a, b, c, d] = into.map(|reg| Defined(kernel, reg));
                let (class, place, lanes) = (class.name(), Place(*address), Active(*active));
                write!(f, "{a}, {b}, {c}, {d} = load transposed {class} {place} stride {stride}{lanes}")
            }
            Stmt::Loop { counter, start, end, step, carried, .. } => {
                write!(f, "for {counter:?} in {start:?}..{end:?} step {step}")?;
                let mut carried = carried.iter();
                carried
                    .try_for_each(|Carried { reg, initial, next }| write!(f, ", {reg:?} = {initial:?} then {next:?}"))
            }
        }
    }
}

/// A register where it is defined.
struct Defined<'k>(&'k TileKernel, Reg);

impl Display for Defined<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Defined(kernel, reg) = self;
        // also of code that is not well-formed
        let vector = kernel.regs.get(reg.0 as usize).is_some_and(|ty| ty.vector);
        write!(f, "{reg:?}{}", if vector { "*" } else { "" })
    }
}

struct Place(Address);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Address { base, index, offset } = self.0;
        match offset {
            0 => write!(f, "{base}[{index:?}]"),
            _ => write!(f, "{base}[{index:?} + {offset}]"),
        }
    }
}

struct Active(ActiveLanes);

impl Display for Active {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |lanes| write!(f, " first {lanes}"))
    }
}

struct Operation(Inst);

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut call = |op: &str, args: &[Reg]| {
            write!(f, "{op}")?;
            args.iter().try_for_each(|arg| write!(f, " {arg:?}"))
        };
        match self.0 {
            Inst::Float(bits) => write!(f, "{}", Float(bits)),
            Inst::Int(word) => write!(f, "{word:#x}"),
            Inst::Double(bits) => write!(f, "double {}", Double(bits)),
            Inst::Unary(op, a) => call(op.name(), &[a]),
            Inst::Binary(op, a, b) => call(op.name(), &[a, b]),
            Inst::Fma(a, b, c) => call("fma", &[a, b, c]),
            Inst::Compare(op, a, b) => call(op.name(), &[a, b]),
            Inst::Select(m, a, b) => call("select", &[m, a, b]),
            Inst::Bits(a) => call("bits", &[a]),
            Inst::FromBits(a) => call("float_of_bits", &[a]),
            Inst::ToFloat(a) => call("to_float", &[a]),
            Inst::Widen(a) => call("widen", &[a]),
            Inst::Narrow(a) => call("narrow", &[a]),
            Inst::ToDouble(a) => call("to_double", &[a]),
            Inst::HighWord(a) => call("high_word", &[a]),
            Inst::LowWord(a) => call("low_word", &[a]),
            Inst::FromWords(high, low) => call("double_of_words", &[high, low]),
            Inst::IntBinary(op, a, b) => call(op.name(), &[a, b]),
            Inst::Shift(op, a, by) => write!(f, "{} {a:?} by {by}", op.name()),
            Inst::IntEqual(a, b) => call("int_equal", &[a, b]),
            Inst::IntLess(a, b) => call("int_less", &[a, b]),
            Inst::Splat(a) => call("splat", &[a]),
            Inst::LaneNumbers => call("lane_numbers", &[]),
            Inst::Halves(a, b, false) => call("lower_halves", &[a, b]),
            Inst::Halves(a, b, true) => call("upper_halves", &[a, b]),
            Inst::Load(of, address, active) => write!(f, "load {} {}{}", of.name(), Place(address), Active(active)),
            Inst::LoadStrided(of, address, stride, active) => {
                write!(f, "load {} {} stride {stride}{}", of.name(), Place(address), Active(active))
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

/// The shortest decimal that reads back as these bits; the bits themselves where they are no number.
struct Float(u32);

impl Display for Float {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match f32::from_bits(self.0) {
            x if !x.is_nan() => write!(f, "{x:?}"),
            _ if self.0 == f32::NAN.to_bits() => f.write_str("nan"),
            _ => write!(f, "float {:#x}", self.0),
        }
    }
}

/// As [`Float`], of a double.
struct Double(u64);

impl Display for Double {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match f64::from_bits(self.0) {
            x if !x.is_nan() => write!(f, "{x:?}"),
            _ => write!(f, "{:#x}", self.0),
        }
    }
}
